//! One fault at a time, and pairs of faults.

use super::world::*;
use crate::{Certainty, Cut, State, StepState, Verdict};
use pingtong_evidence::*;
use std::collections::BTreeSet;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

pub(crate) fn causes(verdict: &Verdict) -> BTreeSet<String> {
    blamed_ways(verdict).into_iter().collect()
}

/// Applies a fault to the tutorial's configuration with these observations on the wire, and expects exactly these
/// causes and, if `repaired` is set, proven repairs.
pub(crate) fn check(fault: impl FnOnce(&mut World), wire: (Wire, Wire), expect: &[&str], repaired: bool) -> Verdict {
    let mut world = World::healthy();
    world.wire(wire.0, wire.1);
    fault(&mut world);
    let verdict = world.verdict();
    let expect: BTreeSet<String> = expect.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(causes(&verdict), expect, "{:#?}", verdict.causes);
    assert_eq!(verdict.repairs.proven, repaired, "{:#?}", verdict.repairs);
    if repaired {
        assert!(verdict.repairs.minimal);
    }
    verdict
}

pub(crate) fn lines(verdict: &Verdict) -> Vec<String> {
    verdict.repairs.set.iter().map(|r| if r.cli.is_empty() { r.guest.join(" ") } else { r.cli.join(" ") }).collect()
}

pub(crate) const BOTH_S1: (Wire, Wire) = (Wire::S1, Wire::S1);

#[test]
fn the_healthy_tutorial_is_silent() {
    let verdict = check(|_| {}, (Wire::Through, Wire::Through), &[], true);
    assert_eq!(verdict.state, State::Healthy);
    assert!(verdict.gaps.is_empty() && verdict.suspects.is_empty() && verdict.repairs.set.is_empty());
    assert!(verdict.steps.iter().all(|step| step.state == StepState::Ok), "{:#?}", verdict.steps);
    assert_eq!((verdict.directions.forward.cut, verdict.directions.forward.predicted), (Cut::None, Cut::None));
}

#[test]
fn routes() {
    let missing = check(
        |w| w.entries(C).retain(|e| e.kind == RouteKind::System),
        (Wire::S5, Wire::S1),
        &["route-missing acceptor vtb-b return"],
        true,
    );
    assert_eq!(missing.directions.forward.predicted, Cut::S5);
    assert_eq!(missing.causes[0].certainty, Certainty::Proven);
    assert_eq!(
        lines(&missing),
        ["aliyun vpc CreateRouteEntry --RegionId cn-beijing --RouteTableId vtb-b \
--DestinationCidrBlock 192.168.0.0/16 --NextHopType RouterInterface --NextHopId ri-b"]
    );
    check(
        |w| w.entries(I)[1].destination = cidr("172.17.0.0/16"),
        (Wire::S1, Wire::S5),
        &["route-wrong-cidr initiator rte-peer-a forward"],
        true,
    );
    let hop = check(
        |w| w.entries(I)[1].next_hops[0].id = "ri-other".into(),
        (Wire::S1, Wire::S5),
        &["route-wrong-next-hop initiator rte-peer-a forward"],
        true,
    );
    // One call, and no moment without a route.
    assert_eq!(
        lines(&hop),
        [
            "aliyun vpc ModifyRouteEntry --RegionId cn-qingdao --RouteEntryId rte-peer-a --NewNextHopType RouterInterface \
--NewNextHopId ri-a"
        ]
    );
    // An instance may forward to the peer, which no configuration shows.
    let instance = check(
        |w| w.entries(I)[1].next_hops[0] = entry("x", "0.0.0.0/0", NextHopKind::Instance, "i-wall").next_hops.remove(0),
        (Wire::S1, Wire::S5),
        &["route-wrong-next-hop initiator rte-peer-a forward"],
        false,
    );
    assert_eq!(instance.causes[0].certainty, Certainty::Supported);
    check(
        |w| w.entries(I).push(entry("rte-x", "172.16.1.0/24", NextHopKind::NatGateway, "ngw-1")),
        (Wire::S1, Wire::S5),
        &["route-shadowed initiator rte-x forward"],
        true,
    );
    check(
        |w| {
            let mut custom = w.table(I).clone();
            custom.id = id("vtb-custom");
            custom.kind = RouteTableKind::Custom;
            known(&mut custom.entries).truncate(1);
            known(&mut w.snapshot(I).route_tables).push(custom);
            known(&mut w.snapshot(I).vswitches)[0].route_table = Some(id("vtb-custom"));
        },
        (Wire::S1, Wire::S5),
        &["route-wrong-table initiator vtb-custom forward"],
        true,
    );
    check(
        |w| w.entries(I)[1].status = RouteStatus::Pending,
        (Wire::S1, Wire::S5),
        &["route-not-available initiator rte-peer-a forward"],
        false,
    );
}

#[test]
fn connection() {
    check(
        |w| known(&mut w.snapshot(C).router_interfaces).clear(),
        BOTH_S1,
        &["ri-missing acceptor vpc-b both", "route-wrong-next-hop acceptor rte-peer-b return"],
        true,
    );
    let nothing = check(
        |w| {
            for side in Side::BOTH {
                known(&mut w.snapshot(side).router_interfaces).clear();
                w.entries(side).truncate(1);
                w.rules(side).clear();
            }
        },
        BOTH_S1,
        &[
            "ri-missing initiator vpc-a both",
            "ri-missing acceptor vpc-b both",
            "route-missing initiator vtb-a forward",
            "route-missing acceptor vtb-b return",
            "sg-ingress-missing initiator sg-a return",
            "sg-ingress-missing acceptor sg-b forward",
        ],
        true,
    );
    let text = lines(&nothing).join("\n");
    assert!(text.contains("ModifyRouterInterfaceAttribute --RegionId cn-qingdao --RouterInterfaceId ${ri_initiator} --OppositeInterfaceId ${ri_acceptor}"), "{text}");
    assert!(text.contains("ConnectRouterInterface --RegionId cn-qingdao --RouterInterfaceId ${ri_initiator}"));
    assert_eq!(nothing.repairs.set[0].save.get("ri_initiator").map(String::as_str), Some("Response.RouterInterfaceId"));
    let idle = |w: &mut World| {
        for side in Side::BOTH {
            w.interface(side).status = RouterInterfaceStatus::Idle;
            w.interface(side).opposite_status = Some(RouterInterfaceStatus::Idle);
        }
    };
    check(idle, BOTH_S1, &["ri-not-connected initiator ri-a both"], true);
    let unset = |w: &mut World, side| {
        let ri = w.interface(side);
        (ri.opposite_interface, ri.opposite_router, ri.opposite_owner, ri.opposite_vpc) = (None, None, None, None);
    };
    check(
        |w| {
            idle(w);
            unset(w, C);
        },
        BOTH_S1,
        &["ri-opposite-unset acceptor ri-b both"],
        true,
    );
    check(
        |w| {
            idle(w);
            w.interface(I).opposite_router = Some(id("vrt-x"));
        },
        BOTH_S1,
        &["ri-opposite-mismatch initiator ri-a both"],
        true,
    );
    check(
        |w| {
            w.interface(C).status = RouterInterfaceStatus::Inactive;
            w.interface(I).opposite_status = Some(RouterInterfaceStatus::Inactive);
            w.entries(I)[1].next_hops[0].enabled = Some(false);
        },
        BOTH_S1,
        &["ri-inactive acceptor ri-b both"],
        true,
    );
    check(
        |w| w.interface(I).business_status = BusinessStatus::FinancialLocked,
        BOTH_S1,
        &["ri-financial-locked initiator ri-a both"],
        false,
    );
    check(
        |w| {
            idle(w);
            unset(w, I);
            w.interface(C).role = RouterInterfaceRole::Initiating;
        },
        BOTH_S1,
        &["ri-role-conflict acceptor ri-b both", "ri-opposite-unset initiator ri-a both"],
        true,
    );
}

#[test]
fn security_groups() {
    let missing =
        check(|w| w.rules(C).clear(), (Wire::S1, Wire::Through), &["sg-ingress-missing acceptor sg-b forward"], true);
    assert_eq!(
        lines(&missing),
        ["aliyun ecs AuthorizeSecurityGroup --RegionId cn-beijing --SecurityGroupId sg-b \
--IpProtocol icmp --PortRange=-1/-1 --SourceCidrIp 192.168.0.0/16 --NicType intranet --Policy accept --Priority 1"]
    );
    assert_eq!(missing.repairs.opens[0].source, "192.168.0.0/16");
    let case =
        |change: &dyn Fn(&mut World), expect: &str| check(|w| change(w), (Wire::S1, Wire::Through), &[expect], true);
    let peer = || RulePeer::Cidr(cidr("192.168.0.0/16"));
    case(
        &|w| w.rules(C).push(rule("sgr-d", Policy::Drop, 1, RuleProtocol::All, peer())),
        "sg-drop-wins acceptor sgr-d forward",
    );
    case(&|w| w.rules(C)[0].protocol = RuleProtocol::Tcp, "sg-wrong-protocol acceptor sgr-b forward");
    case(
        &|w| w.rules(C)[0].peer = RulePeer::Group { id: id("sg-a"), owner: Some(id(A)) },
        "sg-group-source-cross-vpc acceptor sgr-b forward",
    );
    case(&|w| w.rules(C)[0].peer = RulePeer::Cidr(cidr("192.168.2.0/24")), "sg-wrong-cidr acceptor sgr-b forward");
    case(&|w| w.rules(C)[0].ingress = false, "sg-wrong-direction acceptor sgr-b forward");
    case(
        &|w| w.rules(C)[0] = rule("sgr-last", Policy::Drop, 100, RuleProtocol::All, RulePeer::Any),
        "sg-ingress-missing acceptor sg-b forward",
    );
    case(&|w| w.rules(C)[0].policy = Policy::Drop, "sg-drop-wins acceptor sgr-b forward");
    case(
        &|w| {
            w.rules(C)[0] = rule("sgr-e", Policy::Drop, 1, RuleProtocol::Icmp, peer());
            w.rules(C)[0].ingress = false;
            let accept = rule("sgr-b", Policy::Accept, 1, RuleProtocol::Icmp, peer());
            w.rules(C).push(accept);
            w.wire(Wire::Through, Wire::S1);
        },
        "sg-egress-blocked acceptor sg-b return",
    );
    case(
        &|w| {
            w.rules(C)[0].peer = RulePeer::PrefixList(id("pl-1"));
            w.snapshot(C).prefix_lists = Known::Known(vec![PrefixList {
                id: id("pl-1"),
                entries: Known::Known(vec![cidr("10.0.0.0/8")]),
                provenance: Provenance(0),
            }]);
        },
        "sg-prefix-list acceptor pl-1 forward",
    );
    case(
        &|w| {
            let mut other = w.group(C).clone();
            other.id = id("sg-unused");
            known(&mut w.snapshot(C).security_groups).push(other);
            w.rules(C).clear();
        },
        "sg-not-attached acceptor sg-unused forward",
    );
    // A group on a second network interface of the instance counts as not attached; one on another host's interface
    // serves that host.
    let elsewhere = |instance: &'static str| {
        move |w: &mut World| {
            let mut other = w.group(C).clone();
            other.id = id("sg-beside");
            known(&mut w.snapshot(C).security_groups).push(other);
            let mut eni = known(&mut w.snapshot(C).enis)[0].clone();
            (eni.id, eni.instance, eni.primary) = (id("eni-second"), Some(id(instance)), false);
            (eni.addresses, eni.security_groups) = (vec![ip("172.16.1.20")], vec![id("sg-beside")]);
            known(&mut w.snapshot(C).enis).push(eni);
            w.rules(C).clear();
        }
    };
    case(&elsewhere("i-b"), "sg-not-attached acceptor sg-beside forward");
    case(&elsewhere("i-other"), "sg-ingress-missing acceptor sg-b forward");
}

#[test]
fn network_acls() {
    let deny = |name: &str| {
        vec![
            acl_entry(name, Policy::Drop, RuleProtocol::Icmp, "192.168.0.0/16"),
            acl_entry("nae-all", Policy::Accept, RuleProtocol::All, "0.0.0.0/0"),
        ]
    };
    let blocked = check(
        |w| w.acl(C, true, deny("nae-d")),
        (Wire::S1, Wire::S5),
        &["nacl-ingress-blocked acceptor nae-d forward"],
        true,
    );
    let line = &lines(&blocked)[0];
    assert!(line.contains("--UpdateIngressAclEntries true --IngressAclEntries.1.Policy accept --IngressAclEntries.1.Protocol icmp --IngressAclEntries.1.Port=-1/-1 --IngressAclEntries.1.SourceCidrIp 192.168.0.0/16 --IngressAclEntries.2.NetworkAclEntryId nae-d"), "{line}");
    check(
        |w| w.acl(C, false, deny("nae-d")),
        (Wire::S5, Wire::S1),
        &["nacl-egress-blocked acceptor nae-d return"],
        true,
    );
    check(
        |w| w.acl(C, true, vec![acl_entry("nae-t", Policy::Accept, RuleProtocol::Tcp, "0.0.0.0/0")]),
        (Wire::S1, Wire::S5),
        &["nacl-ingress-blocked acceptor nacl-b forward"],
        true,
    );
    check(|w| w.acl(C, true, vec![]), (Wire::Through, Wire::Through), &[], true);
}

#[test]
fn overlapping_blocks() {
    check(
        |w| {
            known(&mut w.snapshot(C).vpcs)[0].cidr = cidr("192.168.0.0/16");
            let vswitch = &mut known(&mut w.snapshot(C).vswitches)[0];
            vswitch.cidr = cidr("192.168.1.0/24");
            known(&mut w.snapshot(C).enis)[0].addresses = vec![ip("192.168.1.20")];
            known(&mut w.snapshot(C).instances)[0].addresses = vec![ip("192.168.1.20")];
            w.case.pair.acceptor.address = ip("192.168.1.20");
            for side in Side::BOTH {
                w.rules(side)[0].peer = RulePeer::Cidr(cidr("192.168.0.0/16"));
            }
            w.facts(C).interfaces = Known::default();
            w.wire(Wire::S1, Wire::S1);
        },
        BOTH_S1,
        &["cidr-overlap initiator vpc-a both"],
        false,
    );
}

/// The cloud accepts no route within a vSwitch's block, so only the vSwitch itself can be changed (§2.2.7).
#[test]
fn a_vswitch_in_a_later_block_shadows_the_route_to_the_peer() {
    let shadow = |w: &mut World| {
        known(&mut w.snapshot(I).vpcs)[0].secondary_cidrs.push(cidr("172.16.0.0/20"));
        let mut legacy = known(&mut w.snapshot(I).vswitches)[0].clone();
        (legacy.id, legacy.cidr) = (id("vsw-legacy"), cidr("172.16.1.0/24"));
        known(&mut w.snapshot(I).vswitches).push(legacy);
        w.entries(I).push(entry("rte-legacy", "172.16.1.0/24", NextHopKind::Local, ""));
    };
    let legacy = "route-shadowed initiator rte-legacy forward";
    check(shadow, (Wire::S1, Wire::S5), &[legacy], false);
    check(
        |w| {
            shadow(w);
            w.entries(I).retain(|e| e.kind == RouteKind::System);
        },
        (Wire::S1, Wire::S5),
        &[legacy, "route-missing initiator vtb-a forward"],
        false,
    );
}

#[test]
fn a_block_inside_the_peers_swallows_one_way_only() {
    let over = |w: &mut World| {
        let own = w.snapshot(I);
        let mut over = known(&mut own.vswitches)[0].clone();
        (over.id, over.cidr) = (id("vsw-over"), cidr("172.16.1.0/24"));
        known(&mut own.vswitches).push(over);
    };
    // A secondary block shadows the route, whether or not the table lists the vSwitch's own entry.
    check(
        |w| {
            over(w);
            known(&mut w.snapshot(I).vpcs)[0].secondary_cidrs.push(cidr("172.16.1.0/24"));
        },
        (Wire::S1, Wire::S5),
        &["route-shadowed initiator vtb-a forward"],
        false,
    );
    // Two VPCs with overlapping primary blocks.
    check(
        |w| {
            over(w);
            known(&mut w.snapshot(I).vpcs)[0].cidr = cidr("172.16.0.0/12");
        },
        (Wire::S1, Wire::S5),
        &["cidr-overlap initiator vpc-a both"],
        false,
    );
}

#[test]
fn guests() {
    let echo = check(
        |w| w.facts(C).sysctls.echo_ignore_all = Known::Known(true),
        (Wire::S3, Wire::Through),
        &["guest-echo-ignored acceptor i-b forward"],
        true,
    );
    assert_eq!(lines(&echo), ["sysctl -w net.ipv4.icmp_echo_ignore_all=0"]);
    let wall = check(
        |w| w.refuse(C, FirewallHook::Input, Some(1), Some(4)),
        (Wire::S2, Wire::S5),
        &["guest-firewall acceptor i-b forward"],
        true,
    );
    let insert = "nft insert rule inet guard in position 4 ip saddr 192.168.1.10 icmp type";
    assert_eq!(lines(&wall), [format!("{insert} echo-request accept"), format!("{insert} echo-reply accept")]);
    assert_eq!(wall.directions.back.cut, Cut::S6);
    let policy = check(
        // Of an agent that reports no other rules.
        |w| w.refuse(C, FirewallHook::Input, None, None),
        (Wire::S2, Wire::S5),
        &["guest-firewall acceptor i-b forward"],
        false,
    );
    let add = "nft add rule inet guard in ip saddr 192.168.1.10 icmp type";
    assert_eq!(lines(&policy), [format!("{add} echo-request accept"), format!("{add} echo-reply accept")]);
    check(|w| w.refuse(C, FirewallHook::Input, Some(6), Some(4)), (Wire::Through, Wire::Through), &[], true);
    check(
        |w| w.refuse(C, FirewallHook::Output, Some(1), Some(9)),
        (Wire::S3, Wire::S0(1)),
        &["guest-firewall acceptor i-b return"],
        true,
    );
    let overlap = check(
        |w| {
            w.facts(C).routes[0].outcome = Known::Known(RouteOutcome::Via {
                interface: "br0".into(),
                source: None,
                gateway: None,
                prefix: Some(cidr("192.168.0.0/20")),
            });
        },
        (Wire::S4, Wire::S1),
        &["guest-route-overlap acceptor i-b return"],
        true,
    );
    assert_eq!(lines(&overlap), ["ip route replace 192.168.1.0/24 via 172.16.1.253 dev eth0"]);
    assert_eq!(overlap.directions.back.cut, Cut::S0);
    check(
        |w| w.facts(C).routes[0].outcome = Known::Known(RouteOutcome::Refused { errno: 101 }),
        (Wire::S3, Wire::S0(101)),
        &["guest-route-missing acceptor i-b return"],
        true,
    );
    check(
        |w| {
            w.facts(C).sysctls.strict_reverse_path = Known::Known(vec!["eth0".into()]);
            w.facts(C).counters =
                Known::Known(IcmpCounters { in_echos: 0, out_echo_replies: 0, reverse_path_drops: 400 });
        },
        (Wire::S2, Wire::S5),
        &["guest-rp-filter acceptor i-b forward"],
        true,
    );
}

#[test]
fn a_stopped_instance_is_named_although_its_agent_is_silent() {
    let verdict = check(
        |w| {
            known(&mut w.snapshot(C).instances)[0].status = InstanceStatus::Stopped;
            w.silence(C);
        },
        (Wire::S1, Wire::S1),
        &["instance-stopped acceptor i-b both"],
        // What the host does once it runs is not known.
        false,
    );
    assert_eq!(verdict.state, State::Broken);
    assert_eq!(verdict.gaps.iter().map(|g| g.code).collect::<Vec<_>>(), [GapCode::AgentSilent]);
}

#[test]
fn the_fabric() {
    let loss =
        check(|_| {}, (Wire::LosesRequests(20), Wire::Through), &["loss-in-fabric initiator ri-a~ri-b forward"], false);
    assert_eq!(loss.state, State::Degraded);
    check(|_| {}, BOTH_S1, &["fabric-fault initiator ri-a~ri-b both"], false);
    check(|_| {}, (Wire::S1, Wire::S5), &["fabric-fault initiator ri-a~ri-b forward"], false);
    let own = check(
        |w| w.case.probes.iter_mut().for_each(|p| p.own_drops = 3),
        (Wire::LosesRequests(20), Wire::Through),
        &[],
        false,
    );
    assert_eq!(own.state, State::Undecided);
}

#[test]
fn the_wire_has_the_last_word() {
    let verdict = check(
        |w| w.rules(C).clear(),
        (Wire::Through, Wire::Through),
        &["model-contradicted acceptor sg-b forward"],
        false,
    );
    assert_eq!(verdict.state, State::Healthy);
    assert!(verdict.repairs.set.is_empty());
}

#[test]
fn faults_add_up() {
    let verdict = check(
        |w| {
            w.entries(C).truncate(1);
            w.facts(C).sysctls.echo_ignore_all = Known::Known(true);
            w.rules(I).clear();
            w.refuse(I, FirewallHook::Input, Some(1), Some(4));
        },
        (Wire::S3, Wire::S1),
        &[
            "route-missing acceptor vtb-b return",
            "guest-echo-ignored acceptor i-b forward",
            "sg-ingress-missing initiator sg-a return",
            "guest-firewall initiator i-a return",
        ],
        true,
    );
    assert_eq!(verdict.repairs.set.len(), 5, "requests and replies pass the guest by a rule each");
}
