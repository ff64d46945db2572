//! The path of a flow through a small estate, stage by stage: complete answers in both languages if it gets through.

use crate::tests::world::*;
use crate::{Estate, Flow, HostRef, Lang, PathLeg, PathState, PathTrace};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const WEB: (Protocol, Option<u16>) = (Protocol::Tcp, Some(80));

pub(crate) fn estate(world: &World) -> Estate {
    Estate::new(world.case.snapshots.clone(), std::slice::from_ref(&world.case.pair.link))
}

/// The host with this address; there must be exactly one.
pub(crate) fn host(estate: &Estate, address: &str) -> HostRef {
    let found = estate.hosts_at(ip(address));
    assert_eq!(found.len(), 1, "{address}");
    found[0]
}

fn trace(world: &World, ends: [&str; 2], (protocol, port): (Protocol, Option<u16>), lang: Lang) -> PathTrace {
    let estate = estate(world);
    let [source, destination] = ends.map(|address| host(&estate, address));
    estate.path(&Flow { source, destination, protocol, port }, lang).unwrap()
}

/// The pair's own flow.
pub(crate) fn ping(world: &World, lang: Lang) -> PathTrace {
    trace(world, ["192.168.1.10", "172.16.1.10"], (Protocol::Icmp, None), lang)
}

/// One line per stage: its name, state, object, codes and detail.
pub(crate) fn lines(leg: &PathLeg, lang: Lang) -> Vec<String> {
    let line = |stage: &crate::PathStage| {
        let object = stage.object.as_ref().map_or("-", |object| object.id.as_str());
        let codes: Vec<_> = stage.codes.iter().map(|code| code.as_str()).collect();
        [stage.stage.name(lang), stage.state.name(lang), object, &codes.join(" "), &stage.detail].join(" | ")
    };
    leg.stages().iter().map(line).collect()
}

/// A world with a network ACL and an egress rule at the initiator's side, and neither at the other.
pub(crate) fn filtered() -> World {
    let mut world = World::healthy();
    let entries = vec![
        acl_entry("nae-no", Policy::Drop, RuleProtocol::Tcp, "0.0.0.0/0"),
        acl_entry("nae-yes", Policy::Accept, RuleProtocol::All, "172.16.0.0/16"),
    ];
    world.acl(I, true, entries);
    let out = rule("sgr-out", Policy::Accept, 3, RuleProtocol::All, RulePeer::Any);
    world.rules(I).push(SecurityRule { ingress: false, ..out });
    world
}

#[test]
fn a_way_that_is_free_names_what_lets_each_packet_pass() {
    let trace = ping(&filtered(), Lang::En);
    let states = [trace.state, trace.request.state, trace.reply.state];
    assert_eq!(states, [PathState::Passes; 3]);
    assert_eq!(trace.link.as_ref().map(LinkId::as_str), Some("peering1"));
    assert_eq!(
        lines(&trace.request, Lang::En),
        [
            "sending host | passes | i-a |  | ",
            "security group, egress | passes | sgr-out |  | accept all -1/-1 0.0.0.0/0 priority 3",
            "network ACL, egress | passes | nae-open |  | entry 1",
            "route look-up | passes | rte-peer-a |  | 172.16.0.0/16 → RouterInterface ri-a",
            "connection | passes | ri-a |  | ",
            "network ACL, ingress | passes | - |  | none in effect",
            "security group, ingress | passes | sgr-b |  | accept icmp -1/-1 192.168.0.0/16 priority 1",
            "receiving host | passes | i-b |  | ",
        ]
    );
    assert_eq!(
        lines(&trace.reply, Lang::En),
        [
            "sending host | passes | i-b |  | ",
            "network ACL, egress | passes | - |  | none in effect",
            "route look-up | passes | rte-peer-b |  | 192.168.0.0/16 → RouterInterface ri-b",
            "connection | passes | ri-b |  | ",
            "network ACL, ingress | passes | nae-yes |  | entry 2",
            "receiving host | passes | i-a |  | ",
        ]
    );
}

#[test]
fn the_same_way_in_chinese() {
    let trace = ping(&filtered(), Lang::Zh);
    assert_eq!(
        lines(&trace.request, Lang::Zh),
        [
            "发送主机 | 通过 | i-a |  | ",
            "安全组（出方向） | 通过 | sgr-out |  | accept all -1/-1 0.0.0.0/0 priority 3",
            "网络ACL（出方向） | 通过 | nae-open |  | 第 1 条",
            "路由查找 | 通过 | rte-peer-a |  | 172.16.0.0/16 → RouterInterface ri-a",
            "互联连接 | 通过 | ri-a |  | ",
            "网络ACL（入方向） | 通过 | - |  | 未生效",
            "安全组（入方向） | 通过 | sgr-b |  | accept icmp -1/-1 192.168.0.0/16 priority 1",
            "接收主机 | 通过 | i-b |  | ",
        ]
    );
}

#[test]
fn parts_without_an_id_of_their_own_are_named_by_what_holds_them() {
    let mut world = filtered();
    for side in Side::BOTH {
        world.entries(side).iter_mut().for_each(|entry| entry.id = None);
        world.rules(side).iter_mut().for_each(|rule| rule.id = None);
        known(&mut world.snapshot(side).instances).clear();
        known(&mut world.snapshot(side).enis)[0].instance = None;
    }
    let acl = &mut known(&mut world.snapshot(I).network_acls)[0];
    for entries in [&mut acl.ingress, &mut acl.egress] {
        for entry in known(entries) {
            entry.id = None;
        }
    }
    let trace = ping(&world, Lang::En);
    let objects = |leg: &PathLeg| -> Vec<String> {
        leg.stages().iter().map(|stage| stage.object.as_ref().map_or_else(String::new, |o| o.id.clone())).collect()
    };
    assert_eq!(objects(&trace.request), ["eni-a", "sg-a", "nacl-a", "vtb-a", "ri-a", "", "sg-b", "eni-b"]);
    assert_eq!(objects(&trace.reply), ["eni-b", "", "vtb-b", "ri-b", "nacl-a", "eni-a"]);
}

/// Adds another host to the initiator's VPC.
fn neighbour(world: &mut World, address: &str, vswitch: &str, group: &str) {
    let mut eni = known(&mut world.snapshot(I).enis)[0].clone();
    (eni.id, eni.instance, eni.addresses) = (id(&format!("eni-{address}")), None, vec![ip(address)]);
    (eni.vswitch, eni.security_groups) = (Some(id(vswitch)), vec![id(group)]);
    known(&mut world.snapshot(I).enis).push(eni);
}

/// Adds a member of the same group in the same vSwitch, and a member of another group in a vSwitch without an ACL.
fn neighbours() -> World {
    let mut world = filtered();
    neighbour(&mut world, "192.168.1.11", "vsw-a", "sg-a");
    let mut vswitch = known(&mut world.snapshot(I).vswitches)[0].clone();
    (vswitch.id, vswitch.cidr, vswitch.network_acl) = (id("vsw-a2"), cidr("192.168.2.0/24"), None);
    known(&mut world.snapshot(I).vswitches).push(vswitch);
    let mut group = world.group(I).clone();
    (group.id, group.rules) = (id("sg-a2"), Known::Known(vec![]));
    known(&mut world.snapshot(I).security_groups).push(group);
    neighbour(&mut world, "192.168.2.10", "vsw-a2", "sg-a2");
    world
}

#[test]
fn inside_one_vswitch_no_acl_filters_and_members_of_one_group_talk() {
    let world = neighbours();
    let trace_in = |lang| trace(&world, ["192.168.1.10", "192.168.1.11"], WEB, lang);
    let (en, zh) = (trace_in(Lang::En), trace_in(Lang::Zh));
    assert_eq!((en.state, en.link), (PathState::Passes, None));
    assert_eq!(
        lines(&en.request, Lang::En),
        [
            "sending host | passes | i-a |  | ",
            "security group, egress | passes | sg-a |  | members of one group reach each other",
            "network ACL, egress | passes | nacl-a |  | by default",
            "route look-up | passes | vpc-a |  | inside the VPC",
            "network ACL, ingress | passes | nacl-a |  | by default",
            "security group, ingress | passes | sg-a |  | members of one group reach each other",
            "receiving host | passes | eni-192.168.1.11 |  | ",
        ]
    );
    assert_eq!(
        lines(&zh.request, Lang::Zh)[1..5],
        [
            "安全组（出方向） | 通过 | sg-a |  | 同一安全组内实例互通",
            "网络ACL（出方向） | 通过 | nacl-a |  | 默认策略",
            "路由查找 | 通过 | vpc-a |  | 专有网络内部",
            "网络ACL（入方向） | 通过 | nacl-a |  | 默认策略",
        ]
    );
}

#[test]
fn between_vswitches_of_one_vpc_acls_and_groups_stop_what_nothing_accepts() {
    let trace = trace(&neighbours(), ["192.168.1.10", "192.168.2.10"], WEB, Lang::En);
    assert_eq!(
        lines(&trace.request, Lang::En)[4..6],
        [
            "network ACL, ingress | passes | - |  | none in effect",
            "security group, ingress | stopped | sg-a2 | sg-ingress-missing | by default",
        ]
    );
    assert_eq!(
        lines(&trace.reply, Lang::En)[3],
        "network ACL, ingress | stopped | nae-no | nacl-ingress-blocked | entry 1"
    );
    // A rule that drops is distinguished from a missing one.
    let mut world = neighbours();
    let groups = known(&mut world.snapshot(I).security_groups);
    let dropping = rule("sgr-drop", Policy::Drop, 2, RuleProtocol::Tcp, RulePeer::Any);
    known(&mut groups[1].rules).push(dropping);
    let dropped = self::trace(&world, ["192.168.1.10", "192.168.2.10"], WEB, Lang::Zh);
    assert_eq!(
        lines(&dropped.request, Lang::Zh)[5],
        "安全组（入方向） | 被拦截 | sgr-drop | sg-drop-wins | drop tcp 1/65535 0.0.0.0/0 priority 2"
    );
}

#[test]
fn an_end_is_told_with_all_that_is_shown_of_it() {
    let trace = ping(&World::healthy(), Lang::En);
    let told = [&trace.source, &trace.destination].map(|end| {
        let vpc = end.vpc.as_ref().map(VpcId::as_str);
        (end.address, end.instance.as_ref().map(InstanceId::as_str), end.interface.as_ref().map(EniId::as_str), vpc)
    });
    let of = |address, instance, eni, vpc| (ip(address), Some(instance), Some(eni), Some(vpc));
    assert_eq!(told, [of("192.168.1.10", "i-a", "eni-a", "vpc-a"), of("172.16.1.10", "i-b", "eni-b", "vpc-b")]);
    assert_eq!(estate(&World::healthy()).hosts_at(ip("fd00::1")), []);
}
