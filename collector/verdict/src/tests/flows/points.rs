//! The stage and the packets that each finding names, by cause code, and the order of the stages of a path.

use crate::tests::{
    configuration::links::peered, configuration::third, configuration::transit, flows::paths::ping, world::*,
};
use crate::{
    CauseCode, Lang, Stage,
    finding::{Finding, Stops, Walk},
    stage::{Point, Points},
    walk::walk,
};
use pingtong_evidence::*;
use std::collections::BTreeSet;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

/// Points as text, each as direction, kind of packet and stage.
fn named(points: &Points) -> Vec<String> {
    points.iter().map(|Point { direction, packet, stage }| format!("{direction} {packet:?} {stage:?}")).collect()
}

const CONNECTION: &[&str] =
    &["forward Request Connection", "forward Reply Connection", "return Request Connection", "return Reply Connection"];
const ROUTE: &[&str] = &["forward Request Route", "forward Reply Route"];

type Fault = fn(&mut World);

fn idle(world: &mut World) {
    for side in Side::BOTH {
        world.interface(side).status = RouterInterfaceStatus::Idle;
        world.interface(side).opposite_status = Some(RouterInterfaceStatus::Idle);
    }
}

fn own_table(world: &mut World) {
    let mut custom = world.table(I).clone();
    (custom.id, custom.kind) = (id("vtb-custom"), RouteTableKind::Custom);
    known(&mut custom.entries).truncate(1);
    known(&mut world.snapshot(I).route_tables).push(custom);
    known(&mut world.snapshot(I).vswitches)[0].route_table = Some(id("vtb-custom"));
}

fn overlapping(world: &mut World) {
    let mut vswitch = known(&mut world.snapshot(I).vswitches)[0].clone();
    (vswitch.id, vswitch.cidr) = (id("vsw-over"), cidr("172.16.1.0/25"));
    known(&mut world.snapshot(I).vswitches).push(vswitch);
    known(&mut world.snapshot(I).vpcs)[0].cidr = cidr("172.16.0.0/16");
}

fn by_the_hub(world: &mut World, back: bool) {
    *world = third::by_the_hub();
    third::interface(world, "ri-hub-to-b", "vpc-hub", "vpc-b");
    third::hub_table(world, if back { "ri-hub-to-a" } else { "ri-hub-to-b" });
}

fn unattached(world: &mut World) {
    let mut other = world.group(C).clone();
    other.id = id("sg-unused");
    known(&mut world.snapshot(C).security_groups).push(other);
    world.rules(C).clear();
}

fn misplaced(world: &mut World) {
    let ri = world.interface(C);
    (ri.vpc, ri.router) = (Some(id("vpc-other")), id("vrt-other"));
    world.interface(I).opposite_vpc = None;
}

fn listed(world: &mut World) {
    world.rules(C)[0].peer = RulePeer::PrefixList(id("pl-1"));
    let entries = Known::Known(vec![cidr("10.0.0.0/8")]);
    let list = PrefixList { id: id("pl-1"), entries, provenance: Provenance(0) };
    world.snapshot(C).prefix_lists = Known::Known(vec![list]);
}

fn deny(world: &mut World, ingress: bool) {
    world.acl(C, ingress, vec![acl_entry("nae-no", Policy::Drop, RuleProtocol::All, "0.0.0.0/0")]);
}

const INTO: &[&str] = &["forward Request IngressGroup"];

/// One fault for each cause that the walk finds, and the points at which it stops packets.
const CASES: &[(CauseCode, Fault, &[&str])] = &[
    (CauseCode::CidrOverlap, overlapping, ROUTE),
    (CauseCode::RiMissing, |w| known(&mut w.snapshot(C).router_interfaces).clear(), CONNECTION),
    (CauseCode::RiWrongRegion, |w| w.interface(I).opposite_region = Some(id("cn-hangzhou")), CONNECTION),
    (CauseCode::RiWrongVpc, misplaced, CONNECTION),
    (CauseCode::RiRoleConflict, |w| w.interface(C).role = RouterInterfaceRole::Initiating, CONNECTION),
    (
        CauseCode::RiOppositeUnset,
        |w| {
            idle(w);
            w.interface(C).opposite_interface = None;
        },
        CONNECTION,
    ),
    (
        CauseCode::RiOppositeMismatch,
        |w| {
            idle(w);
            w.interface(I).opposite_router = Some(id("vrt-x"));
        },
        CONNECTION,
    ),
    (CauseCode::RiNotConnected, idle, CONNECTION),
    (CauseCode::RiConnecting, |w| w.interface(I).status = RouterInterfaceStatus::Connecting, CONNECTION),
    (CauseCode::RiInactive, |w| w.interface(C).status = RouterInterfaceStatus::Inactive, CONNECTION),
    (CauseCode::RiFinancialLocked, |w| w.interface(I).business_status = BusinessStatus::FinancialLocked, CONNECTION),
    (CauseCode::RiSecurityLocked, |w| w.interface(I).business_status = BusinessStatus::SecurityLocked, CONNECTION),
    (CauseCode::PeeringNotActive, |w| peered(w, VpcPeeringStatus::Accepting), CONNECTION),
    (CauseCode::RouteMissing, |w| w.entries(I).truncate(1), ROUTE),
    (CauseCode::RouteWrongCidr, |w| w.entries(I)[1].destination = cidr("172.17.0.0/16"), ROUTE),
    (CauseCode::RouteWrongNextHop, |w| w.entries(I)[1].next_hops[0].id = "ri-other".into(), ROUTE),
    (CauseCode::RouteWrongTable, own_table, ROUTE),
    (
        CauseCode::RouteShadowed,
        |w| w.entries(I).push(entry("rte-x", "172.16.1.0/24", NextHopKind::NatGateway, "ngw-1")),
        ROUTE,
    ),
    (CauseCode::RouteNotAvailable, |w| w.entries(I)[1].status = RouteStatus::Pending, ROUTE),
    (
        CauseCode::EcmpLegDead,
        |w| {
            let dead = w.entries(I)[1].next_hops[0].clone();
            w.entries(I)[1].next_hops.push(NextHop { id: "ri-gone".into(), ..dead });
        },
        ROUTE,
    ),
    (CauseCode::RouteLoop, |w| by_the_hub(w, true), ROUTE),
    (CauseCode::RouteNotTransitive, |w| by_the_hub(w, false), ROUTE),
    (CauseCode::SgIngressMissing, |w| w.rules(C).clear(), INTO),
    (
        CauseCode::SgEgressBlocked,
        |w| {
            let out = rule("sgr-out", Policy::Drop, 1, RuleProtocol::All, RulePeer::Any);
            w.rules(I).push(SecurityRule { ingress: false, ..out });
        },
        &["forward Request EgressGroup"],
    ),
    (CauseCode::SgDropWins, |w| w.rules(C)[0].policy = Policy::Drop, INTO),
    (CauseCode::SgWrongProtocol, |w| w.rules(C)[0].protocol = RuleProtocol::Tcp, INTO),
    (CauseCode::SgWrongCidr, |w| w.rules(C)[0].peer = RulePeer::Cidr(cidr("192.168.2.0/24")), INTO),
    (CauseCode::SgWrongDirection, |w| w.rules(C)[0].ingress = false, INTO),
    (
        CauseCode::SgGroupSourceCrossVpc,
        |w| w.rules(C)[0].peer = RulePeer::Group { id: id("sg-a"), owner: Some(id(A)) },
        INTO,
    ),
    (CauseCode::SgNotAttached, unattached, INTO),
    (CauseCode::SgPrefixList, listed, INTO),
    (CauseCode::NaclIngressBlocked, |w| deny(w, true), &["forward Request IngressAcl", "forward Reply IngressAcl"]),
    (CauseCode::NaclEgressBlocked, |w| deny(w, false), &["return Request EgressAcl", "return Reply EgressAcl"]),
    (
        CauseCode::InstanceStopped,
        |w| known(&mut w.snapshot(C).instances)[0].status = InstanceStatus::Stopped,
        &["forward Request Destination", "forward Reply Destination", "return Request Source", "return Reply Source"],
    ),
    (
        CauseCode::IpNotOnEni,
        |w| {
            known(&mut w.snapshot(C).enis).clear();
            known(&mut w.snapshot(C).instances).clear();
        },
        &["forward Request Destination"],
    ),
];

fn walked(world: &World) -> Walk {
    let model = world.case.question().model();
    walk(&model, &world.case.pair, &[])
}

fn found(world: &World, code: CauseCode) -> Finding {
    let findings = walked(world).findings;
    let of_code = findings.iter().find(|finding| finding.code == code);
    of_code.unwrap_or_else(|| panic!("{code} is not among {findings:#?}")).clone()
}

#[test]
fn each_cause_names_the_stage_and_the_packets_that_it_stops() {
    for (code, fault, expect) in CASES {
        let mut world = World::healthy();
        fault(&mut world);
        assert_eq!(named(&found(&world, *code).points), *expect, "{code}");
    }
}

/// Steps 1 to 6 are what the walk judges, and of step 7 the two causes that the configuration shows.
#[test]
fn the_table_has_every_cause_that_the_walk_finds() {
    let hosts = [CauseCode::InstanceStopped, CauseCode::IpNotOnEni];
    let judged = |code: &CauseCode| {
        *code == CauseCode::CidrOverlap
            || hosts.contains(code)
            || code.step(I).is_some_and(|step| (1..=6).contains(&step))
    };
    let all: BTreeSet<CauseCode> = CauseCode::ALL.iter().copied().filter(judged).collect();
    assert_eq!(CASES.iter().map(|(code, ..)| *code).collect::<BTreeSet<_>>(), all);
}

#[test]
fn transit_routers_are_a_stage_of_their_own_although_their_causes_have_the_codes_of_others() {
    let mut lacking = transit::healthy();
    transit::routes(&mut lacking, I).retain(|route| route.destination == cidr("192.168.1.0/24"));
    let route = found(&lacking, CauseCode::RouteMissing);
    assert_eq!(named(&route.points), ["forward Request Transit", "forward Reply Transit"]);
    let mut apart = transit::healthy();
    for peering in known(&mut apart.snapshot(I).transit_peerings) {
        peering.attached = false;
    }
    let stages: BTreeSet<Stage> =
        found(&apart, CauseCode::PeeringNotActive).points.iter().map(|point| point.stage).collect();
    assert_eq!(stages, BTreeSet::from([Stage::Transit]));
}

#[test]
fn a_filter_that_sees_ports_stops_requests_or_replies() {
    for (ingress, expect) in [(true, "forward Request IngressAcl"), (false, "return Reply EgressAcl")] {
        let mut world = World::healthy();
        (world.case.pair.protocol, world.case.pair.port) = (Protocol::Tcp, Some(443));
        deny(&mut world, ingress);
        let code = if ingress { CauseCode::NaclIngressBlocked } else { CauseCode::NaclEgressBlocked };
        assert_eq!(named(&found(&world, code).points), [expect]);
    }
}

#[test]
fn a_host_stops_what_it_sends_at_the_source_and_what_it_receives_at_the_destination() {
    let cases: [(Stops, &[&str]); 5] = [
        (Stops::Sending(C), &["return Request Source", "return Reply Source"]),
        (Stops::Answers(C), &["return Reply Source"]),
        (Stops::Arrivals(C), &["forward Request Destination", "forward Reply Destination"]),
        (Stops::Replies(C), &["forward Reply Destination"]),
        (Stops::Some(Direction::Return), &["return Request Source", "return Reply Source"]),
    ];
    for (stops, expect) in cases {
        assert_eq!(named(&stops.at_host(C)), expect, "{stops:?}");
    }
}

#[test]
fn what_was_not_read_names_its_stage() {
    let mut world = World::healthy();
    let acceptor = world.snapshot(C);
    acceptor.route_tables = Known::default();
    acceptor.router_interfaces = Known::default();
    acceptor.security_groups = Known::default();
    acceptor.instances = Known::default();
    let blinds = walked(&world).blinds;
    let stages = |step: u8| -> BTreeSet<Stage> {
        blinds.iter().filter(|blind| blind.step == step).flat_map(|b| &b.points).map(|point| point.stage).collect()
    };
    assert_eq!(stages(5), BTreeSet::from([Stage::Route]));
    assert_eq!(stages(6), BTreeSet::from([Stage::EgressGroup, Stage::IngressGroup]));
    assert_eq!(stages(7), BTreeSet::from([Stage::Source, Stage::Destination]));
}

/// In a healthy tutorial with ACLs, every stage but that of transit routers is seen to pass every packet that meets it.
#[test]
fn what_passes_names_its_stage() {
    let mut world = World::healthy();
    for side in Side::BOTH {
        world.acl(side, true, vec![acl_entry("nae-yes", Policy::Accept, RuleProtocol::All, "0.0.0.0/0")]);
    }
    let passes = walked(&world).passes;
    let points: Points = passes.into_iter().flat_map(|pass| pass.points).collect();
    let stages = |text: &str| named(&points).into_iter().filter(|point| point.starts_with(text)).count();
    assert_eq!([stages("forward Request"), stages("return Request")], [8, 8]);
    assert_eq!([stages("forward Reply"), stages("return Reply")], [6, 6], "groups pass replies");
}

#[test]
fn the_stages_of_a_path_are_in_order_whatever_stops_it() {
    for (_, fault, _) in CASES.iter().filter(|(code, ..)| *code != CauseCode::IpNotOnEni) {
        let mut world = World::healthy();
        fault(&mut world);
        let path = ping(&world, Lang::En);
        for stages in [path.request.stages(), path.reply.stages()] {
            assert!(stages.is_sorted_by(|one, next| one.stage < next.stage), "{stages:?}");
        }
    }
}
