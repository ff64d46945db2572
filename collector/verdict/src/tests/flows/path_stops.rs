//! The path of a flow that does not get through: each stage has its own causes and gaps, and none of another stage.

use crate::tests::{
    configuration::transit,
    flows::paths::{filtered, lines, ping},
    world::*,
};
use crate::{Lang, PathLeg, PathState};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

/// A world in which everything that can stop a packet does so, at both ends.
fn all_broken() -> World {
    let mut world = World::healthy();
    for side in Side::BOTH {
        let drop = acl_entry("nae-drop", Policy::Drop, RuleProtocol::Icmp, "0.0.0.0/0");
        world.acl(side, true, vec![drop.clone()]);
        known(&mut known(&mut world.snapshot(side).network_acls)[0].egress).insert(0, drop);
        let out = rule("sgr-no", Policy::Drop, 1, RuleProtocol::All, RulePeer::Any);
        *world.rules(side) = vec![SecurityRule { ingress: false, ..out }];
        world.entries(side).truncate(1);
        world.interface(side).status = RouterInterfaceStatus::Inactive;
        known(&mut world.snapshot(side).instances)[0].status = InstanceStatus::Stopped;
    }
    world
}

#[test]
fn every_stage_has_its_own_cause_and_no_other() {
    let trace = ping(&all_broken(), Lang::En);
    assert_eq!([trace.state, trace.request.state, trace.reply.state], [PathState::Stopped; 3]);
    assert_eq!(
        lines(&trace.request, Lang::En),
        [
            "sending host | stopped | i-a | instance-stopped | the state of i-a is Stopped",
            "security group, egress | stopped | sg-a | sg-egress-blocked | sg-a drops icmp with 172.16.1.10: drop all -1/-1 0.0.0.0/0 priority 1",
            "network ACL, egress | stopped | nae-drop | nacl-egress-blocked | nacl-a egress entry 1 drops icmp with 172.16.1.10 (its block is 0.0.0.0/0)",
            "route look-up | stopped | vtb-a | route-missing | vtb-a has no entry that covers 172.16.1.10",
            "connection | stopped | ri-a | ri-inactive | ri-a is Inactive: its owner froze it",
            "network ACL, ingress | stopped | nae-drop | nacl-ingress-blocked | nacl-b ingress entry 1 drops icmp with 192.168.1.10 (its block is 0.0.0.0/0)",
            "security group, ingress | stopped | sg-b | sg-ingress-missing | no ingress rule accepts icmp from 192.168.1.10; ingress is denied by default",
            "receiving host | stopped | i-b | instance-stopped | the state of i-b is Stopped",
        ]
    );
    assert_eq!(
        lines(&trace.reply, Lang::En),
        [
            "sending host | stopped | i-b | instance-stopped | the state of i-b is Stopped",
            "network ACL, egress | stopped | nae-drop | nacl-egress-blocked | nacl-b egress entry 1 drops icmp with 192.168.1.10 (its block is 0.0.0.0/0)",
            "route look-up | stopped | vtb-b | route-missing | vtb-b has no entry that covers 192.168.1.10",
            "connection | stopped | ri-a | ri-inactive | ri-a is Inactive: its owner froze it",
            "network ACL, ingress | stopped | nae-drop | nacl-ingress-blocked | nacl-a ingress entry 1 drops icmp with 172.16.1.10 (its block is 0.0.0.0/0)",
            "receiving host | stopped | i-a | instance-stopped | the state of i-a is Stopped",
        ]
    );
}

#[test]
fn causes_are_told_in_chinese_as_well() {
    let trace = ping(&all_broken(), Lang::Zh);
    assert_eq!(
        lines(&trace.request, Lang::Zh)[2..5],
        [
            "网络ACL（出方向） | 被拦截 | nae-drop | nacl-egress-blocked | nacl-a 出方向第 1 条丢弃与 172.16.1.10 的 icmp（该条网段 0.0.0.0/0）",
            "路由查找 | 被拦截 | vtb-a | route-missing | vtb-a 中没有包含 172.16.1.10 的条目",
            "互联连接 | 被拦截 | ri-a | ri-inactive | ri-a 的状态为 Inactive：已被其所有者冻结",
        ]
    );
}

/// A world in which no configuration that decides is readable, at either side.
fn unread() -> World {
    let mut world = filtered();
    for side in Side::BOTH {
        let why = |list: &str| {
            let (action, code, request_id) = (format!("{list} of {side}"), "Forbidden".into(), String::new());
            WhyUnknown::Denied { action, code, request_id }
        };
        let snapshot = world.snapshot(side);
        snapshot.route_tables = Known::Unknown(why("tables"));
        snapshot.router_interfaces = Known::Unknown(why("interfaces"));
        snapshot.network_acls = Known::Unknown(why("ACLs"));
        snapshot.security_groups = Known::Unknown(why("groups"));
        snapshot.enis = Known::Unknown(why("cards"));
        known(&mut snapshot.vswitches)[0].network_acl = Some(id("nacl-x"));
    }
    world
}

fn details(leg: &PathLeg, account: &str, other: &str) -> Vec<String> {
    leg.stages().iter().map(|stage| stage.detail.replace(account, "OWN").replace(other, "FAR")).collect()
}

#[test]
fn a_stage_that_was_not_read_says_what_was_refused_to_whom() {
    let trace = ping(&unread(), Lang::En);
    assert_eq!([trace.state, trace.request.state, trace.reply.state], [PathState::Unknown; 3]);
    assert_eq!(
        details(&trace.request, A, B),
        [
            "the network interfaces of account OWN: cards of initiator was refused with Forbidden",
            "the security group rules of account OWN: groups of initiator was refused with Forbidden",
            "the network ACLs of account OWN: ACLs of initiator was refused with Forbidden",
            "the router interfaces of account OWN: interfaces of initiator was refused with Forbidden; the route tables of account OWN: tables of initiator was refused with Forbidden",
            "the router interfaces of account OWN: interfaces of initiator was refused with Forbidden; the router interfaces of account FAR: interfaces of acceptor was refused with Forbidden",
            "the network ACLs of account FAR: ACLs of acceptor was refused with Forbidden",
            "the security group rules of account FAR: groups of acceptor was refused with Forbidden",
            "the network interfaces of account FAR: cards of acceptor was refused with Forbidden",
        ]
    );
    assert_eq!(
        details(&trace.reply, B, A),
        [
            "the network interfaces of account OWN: cards of acceptor was refused with Forbidden",
            "the network ACLs of account OWN: ACLs of acceptor was refused with Forbidden",
            "the router interfaces of account OWN: interfaces of acceptor was refused with Forbidden; the route tables of account OWN: tables of acceptor was refused with Forbidden",
            "the router interfaces of account FAR: interfaces of initiator was refused with Forbidden; the router interfaces of account OWN: interfaces of acceptor was refused with Forbidden",
            "the network ACLs of account FAR: ACLs of initiator was refused with Forbidden",
            "the network interfaces of account FAR: cards of initiator was refused with Forbidden",
        ]
    );
    let zh = ping(&unread(), Lang::Zh);
    let first = &zh.request.stages()[0].detail;
    assert_eq!(first, "账号 1000000000000001 的弹性网卡: cards of initiator was refused with Forbidden");
}

#[test]
fn a_table_or_group_that_no_reading_holds_is_unknown_and_not_free() {
    let mut world = World::healthy();
    known(&mut world.snapshot(I).security_groups).clear();
    known(&mut world.snapshot(C).route_tables).clear();
    let trace = ping(&world, Lang::En);
    assert_eq!(
        lines(&trace.request, Lang::En)[1],
        "security group, egress | unknown | sg-a |  | the security group rules of account 1000000000000001"
    );
    assert_eq!(
        lines(&trace.reply, Lang::En)[2],
        "route look-up | unknown | - |  | the route tables of account 1000000000000002"
    );
}

#[test]
fn an_address_inside_the_senders_own_vpc_never_leaves_it() {
    let mut world = World::healthy();
    let mut vswitch = known(&mut world.snapshot(I).vswitches)[0].clone();
    (vswitch.id, vswitch.cidr) = (id("vsw-over"), cidr("172.16.1.0/25"));
    known(&mut world.snapshot(I).vswitches).push(vswitch);
    let stage = |world: &World| {
        let trace = ping(world, Lang::En);
        assert_eq!((trace.request.state, trace.reply.state), (PathState::Stopped, PathState::Passes));
        lines(&trace.request, Lang::En)[3].clone()
    };
    known(&mut world.snapshot(I).vpcs)[0].secondary_cidrs = vec![cidr("172.16.0.0/16")];
    let swallowed = stage(&world);
    assert!(swallowed.starts_with("route look-up | stopped | vtb-a | route-shadowed | 172.16.1.0/25"), "{swallowed}");
    // If the whole VPC covers the peer's block, the two VPCs overlap.
    known(&mut world.snapshot(I).vpcs)[0].cidr = cidr("172.16.0.0/16");
    let overlap = "route look-up | stopped | vpc-a | cidr-overlap | vpc-a has the block 172.16.0.0/16";
    assert_eq!(stage(&world), overlap);
}

#[test]
fn a_transit_router_is_a_stage_where_it_does_not_pass() {
    let free = ping(&transit::healthy(), Lang::En);
    assert_eq!(
        lines(&free.request, Lang::En)[3..6],
        [
            "route look-up | passes | rte-peer-a |  | 172.16.0.0/16 → Attachment tr-attach-a",
            "connection | passes | tr-attach-a |  | ",
            "network ACL, ingress | passes | - |  | none in effect",
        ]
    );
    let mut world = transit::healthy();
    transit::routes(&mut world, I).retain(|route| route.destination == cidr("192.168.1.0/24"));
    let stopped = ping(&world, Lang::En);
    assert_eq!((stopped.request.state, stopped.reply.state), (PathState::Stopped, PathState::Passes));
    assert_eq!(
        lines(&stopped.request, Lang::En)[5],
        "transit router | stopped | vtb-tr-a | route-missing | vtb-tr-a of the transit router has no route that covers 172.16.1.10"
    );
    assert_eq!(lines(&stopped.request, Lang::En)[4], "connection | passes | tr-attach-a |  | ");
    world.snapshot(I).transit_route_tables = Known::default();
    let hidden = ping(&world, Lang::En);
    let stage = &hidden.reply.stages()[4];
    assert_eq!((stage.state, hidden.state), (PathState::Unknown, PathState::Unknown));
    assert!(stage.detail.starts_with("the route tables of the transit router of account 1000000000000001"));
}

#[test]
fn over_a_peering_connection_each_end_is_named_by_it() {
    let mut world = World::healthy();
    crate::tests::configuration::links::peered(&mut world, VpcPeeringStatus::Activated);
    let trace = ping(&world, Lang::En);
    assert_eq!(trace.state, PathState::Passes);
    assert_eq!(lines(&trace.request, Lang::En)[4], "connection | passes | pcc-1 |  | ");
    crate::tests::configuration::links::peered(&mut world, VpcPeeringStatus::Accepting);
    let waiting = ping(&world, Lang::En);
    assert_eq!(waiting.state, PathState::Stopped);
    let codes = waiting.request.stages().iter().flat_map(|stage| &stage.codes).map(|code| code.as_str());
    assert_eq!(codes.collect::<Vec<_>>(), ["peering-not-active"]);
}

#[test]
fn each_packet_goes_over_the_link_that_its_own_route_leads_to() {
    // A peering connection joins the VPCs as well, and the acceptor's route leads to it.
    let mut world = World::healthy();
    crate::tests::configuration::links::peered(&mut world, VpcPeeringStatus::Activated);
    world.case.pair.link.kind = LinkKind::RouterInterface;
    let hop = &mut world.entries(I)[1].next_hops[0];
    (hop.kind, hop.id) = (NextHopKind::RouterInterface, "ri-a".into());
    let trace = ping(&world, Lang::En);
    assert_eq!((trace.state, trace.link.as_ref().map(LinkId::as_str)), (PathState::Passes, Some("peering1")));
    assert_eq!(lines(&trace.request, Lang::En)[4], "connection | passes | ri-a |  | ");
    assert_eq!(lines(&trace.reply, Lang::En)[3], "connection | passes | pcc-1 |  | ");
    // A packet without a route is assumed to use the link of the opposite direction.
    world.entries(C).truncate(1);
    assert_eq!(lines(&ping(&world, Lang::En).reply, Lang::En)[3], "connection | passes | ri-b |  | ");
}

/// Both have causes with the codes of routes.
#[test]
fn the_table_of_the_vpc_and_that_of_a_transit_router_do_not_share_causes_or_gaps() {
    let mut world = transit::healthy();
    world.entries(I)[1].next_hops[0].enabled = Some(false);
    transit::routes(&mut world, I).retain(|route| route.destination == cidr("192.168.1.0/24"));
    let shown = |world: &World| lines(&ping(world, Lang::En).request, Lang::En);
    let [route, _, router] = &shown(&world)[3..6] else { panic!("three stages") };
    assert!(route.starts_with("route look-up | stopped | rte-peer-a | route-not-available | "), "{route}");
    assert!(router.starts_with("transit router | stopped | vtb-tr-a | route-missing | "), "{router}");
    world.snapshot(I).route_tables = Known::default();
    world.snapshot(I).transit_route_tables = Known::default();
    let unread = &shown(&world)[3];
    assert!(unread.starts_with("route look-up | unknown | - |  | the route tables of account"), "{unread}");
    assert!(!unread.contains("transit router"), "{unread}");
}
