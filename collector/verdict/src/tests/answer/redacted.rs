//! A redacted snapshot leads to the same verdict as the original: the same codes, steps, sides and directions.

use crate::Verdict;
use crate::tests::world::*;
use pingtong_evidence::*;
use proptest::prelude::*;
use std::hash::{DefaultHasher, Hasher};

type Fault = fn(&mut World, Side);

/// Each breaks a side in a different way, many of them through relations between CIDR blocks, ids and owners.
const FAULTS: [Fault; 24] = [
    |w, side| w.entries(side).truncate(1),
    |w, side| w.entries(side)[1].destination = cidr("10.9.0.0/16"),
    |w, side| w.entries(side).push(entry("rte-narrow", "172.16.1.0/25", NextHopKind::Instance, "i-router")),
    |w, side| w.entries(side)[1].next_hops[0].id = "ri-other".into(),
    |w, side| w.entries(side)[1].status = RouteStatus::Pending,
    |w, side| known(&mut w.snapshot(side).router_interfaces).clear(),
    |w, side| w.interface(side).status = RouterInterfaceStatus::Inactive,
    |w, side| w.interface(side).opposite_owner = Some(id("1000000000000009")),
    |w, side| w.interface(side).opposite_interface = Some(id("ri-elsewhere")),
    |w, side| w.interface(side).opposite_vpc = Some(id("vpc-elsewhere")),
    |w, side| w.interface(side).router = id("vrt-elsewhere"),
    |w, side| w.rules(side).clear(),
    |w, side| w.rules(side)[0].peer = RulePeer::Cidr(cidr("10.0.0.0/8")),
    |w, side| {
        w.rules(side).push(rule("sgr-drop", Policy::Drop, 1, RuleProtocol::All, RulePeer::Cidr(cidr("0.0.0.0/0"))));
    },
    |w, side| {
        w.rules(side)[0].peer = RulePeer::Group { id: id("sg-b"), owner: Some(id(B)) };
    },
    |w, side| {
        w.rules(side)[0].peer = RulePeer::PrefixList(id("pl-1"));
        let entries = Known::Known(vec![cidr("172.16.1.0/28"), cidr("192.168.1.0/28")]);
        let list = PrefixList { id: id("pl-1"), entries, provenance: Provenance(0) };
        w.snapshot(side).prefix_lists = Known::Known(vec![list]);
    },
    |w, side| w.acl(side, true, vec![acl_entry("nae-1", Policy::Drop, RuleProtocol::All, "0.0.0.0/0")]),
    |w, side| w.acl(side, false, vec![acl_entry("nae-1", Policy::Accept, RuleProtocol::Icmp, "172.16.0.0/12")]),
    |w, side| known(&mut w.snapshot(side).instances)[0].status = InstanceStatus::Stopped,
    |w, side| {
        let why =
            WhyUnknown::Unreachable { action: "vpc:DescribeVpcs".into(), message: "192.168.1.10 is silent".into() };
        w.snapshot(side).vswitches = Known::Unknown(why);
    },
    |w, side| {
        w.group(side).rules = Known::Unknown(WhyUnknown::Denied {
            action: "ecs:DescribeSecurityGroupAttribute".into(),
            code: "Forbidden.RAM".into(),
            request_id: "R".into(),
        });
    },
    |w, side| known(&mut w.snapshot(side).vpcs)[0].secondary_cidrs.push(cidr("172.16.1.0/24")),
    |w, side| known(&mut w.snapshot(side).vpcs)[0].secondary_cidrs.push(cidr("192.168.1.0/24")),
    |w, side| w.snapshot(side).enis = Known::Known(vec![]),
];

const WIRES: [Wire; 4] = [Wire::Through, Wire::S1, Wire::S2, Wire::S5];

/// The content of a verdict without the ids of objects.
fn structure(verdict: &Verdict) -> String {
    let mut causes: Vec<_> =
        verdict.causes.iter().map(|c| (c.code, c.step, c.side, c.direction, c.object.kind, c.certainty)).collect();
    let mut suspects: Vec<_> = verdict.suspects.iter().map(|s| (s.codes.clone(), s.side)).collect();
    let mut repairs: Vec<_> = verdict.repairs.set.iter().map(|r| (r.side, r.code, r.cli.len())).collect();
    let mut gaps: Vec<_> = verdict.gaps.iter().map(|g| (g.code, g.side)).collect();
    causes.sort();
    suspects.sort();
    repairs.sort();
    gaps.sort();
    let steps: Vec<_> = verdict.steps.iter().map(|step| (step.n, step.state)).collect();
    let cuts = [&verdict.directions.forward, &verdict.directions.back].map(|report| (report.cut, report.predicted));
    let proof = (verdict.repairs.minimal, verdict.repairs.proven, verdict.repairs.opens.len());
    format!("{:?} {steps:?}\n{causes:?}\n{suspects:?}\n{repairs:?} {proof:?}\n{gaps:?}\n{cuts:?}", verdict.state)
}

fn keyed(key: u64, input: &[u8]) -> [u8; 32] {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(key);
    hasher.write(input);
    let first = hasher.finish();
    hasher.write_u8(1);
    let second = hasher.finish();
    let mut out = [0; 32];
    for (part, value) in
        out.chunks_mut(8).zip([first, second, first ^ second.rotate_left(9), first.wrapping_add(second)])
    {
        part.copy_from_slice(&value.to_be_bytes());
    }
    out
}

/// The same question with redacted snapshots. The pair is built from the redacted values that replace its own in an
/// unbroken world.
fn redacted(world: &World, key: u64) -> World {
    let mut all = world.case.snapshots.clone();
    all.extend(World::healthy().case.snapshots);
    let mut all = redact(&all, &|input| keyed(key, input));
    let mut plain = all.split_off(world.case.snapshots.len());
    let mut other = World::healthy();
    for (side, snapshot) in Side::BOTH.into_iter().zip(&mut plain) {
        let pair = &mut other.case.pair;
        let (link, end) = match side {
            Side::Initiator => (&mut pair.link.initiator, &mut pair.initiator),
            Side::Acceptor => (&mut pair.link.acceptor, &mut pair.acceptor),
        };
        link.account = snapshot.account.clone();
        let instance = &known(&mut snapshot.instances)[0];
        link.vpc = instance.vpc.clone().unwrap();
        (end.instance, end.address) = (Some(instance.id.clone()), instance.addresses[0]);
    }
    other.case.snapshots = all;
    other
}

/// Sets the observations of both directions; `None` if there are no probes.
fn observe(world: &mut World, wires: Option<(Wire, Wire)>) {
    // Host facts contain addresses too, and are not shared.
    world.case.hosts.clear();
    world.case.probes.clear();
    world.case.arrivals.clear();
    if let Some((forward, back)) = wires {
        world.wire(forward, back);
    }
}

fn check(faults: &[(usize, Side)], wires: Option<(Wire, Wire)>, key: u64) {
    let mut world = World::healthy();
    for (fault, side) in faults {
        // Another fault may already have removed the object that a fault changes.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| FAULTS[*fault](&mut world, *side)));
    }
    let mut other = redacted(&world, key);
    observe(&mut world, wires);
    observe(&mut other, wires);
    assert_ne!(world.case.snapshots, other.case.snapshots);
    assert_eq!(structure(&world.verdict()), structure(&other.verdict()), "faults {faults:?}");
}

#[test]
fn every_single_fault_reads_the_same() {
    for fault in 0..FAULTS.len() {
        for side in Side::BOTH {
            for key in 0..4 {
                check(&[(fault, side)], None, key);
                check(&[(fault, side)], Some((Wire::S1, Wire::S5)), key);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn faults_together_read_the_same(
        faults in proptest::collection::vec((0..FAULTS.len(), prop_oneof![Just(Side::Initiator), Just(Side::Acceptor)]), 0..5),
        wires in proptest::option::of((0..WIRES.len(), 0..WIRES.len())),
        key: u64,
    ) {
        check(&faults, wires.map(|(forward, back)| (WIRES[forward], WIRES[back])), key);
    }
}
