//! The tutorial's checklist: which step fails, is not done yet, or could not be looked at, and what its lines say.

use crate::tests::{configuration::transit, world::*};
use crate::{Lang, StepState, Verdict, diagnose_in, step_name};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

/// One character per step: `+` done, `x` failed, `?` unknown, `-` not done.
fn signs(verdict: &Verdict) -> String {
    let sign = |state| match state {
        StepState::Ok => '+',
        StepState::Failed => 'x',
        StepState::Unknown => '?',
        StepState::NotDone => '-',
    };
    verdict.steps.iter().map(|step| sign(step.state)).collect()
}

fn steps(change: impl FnOnce(&mut World), forward: Wire, back: Wire) -> String {
    let mut world = World::healthy();
    world.wire(forward, back);
    change(&mut world);
    signs(&world.verdict())
}

fn denied(action: &str) -> WhyUnknown {
    WhyUnknown::Denied { action: action.into(), code: "Forbidden.RAM".into(), request_id: String::new() }
}

#[test]
fn every_line_of_a_healthy_tutorial_says_what_was_seen_in_both_languages() {
    let lines = |lang| {
        let verdict = diagnose_in(&World::healthy().case.question(), lang);
        let of = |step: &crate::Step| step.evidence.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
        verdict.steps.iter().map(of).collect::<Vec<_>>()
    };
    let english: [&[&str]; 9] = [
        &["vpc-a has 192.168.0.0/16", "vpc-b has 172.16.0.0/16"],
        &["ri-a: role Initiating, state Active, specification Mini.2"],
        &["ri-b: role Accepting, state Active, specification Mini.2"],
        &["ri-b names ri-a as its peer"],
        &["ri-a is Active", "ri-a names ri-b as its peer", "ri-b is Active"],
        &[
            "vtb-a (in effect for vsw-a) sends 172.16.1.10 by 172.16.0.0/16 to RouterInterface ri-a",
            "vtb-b (in effect for vsw-b) sends 192.168.1.10 by 192.168.0.0/16 to RouterInterface ri-b",
        ],
        &[
            "sg-a egress lets icmp with 172.16.1.10 pass: its default",
            "sg-a ingress lets icmp with 172.16.1.10 pass: accept icmp -1/-1 172.16.0.0/16 priority 1",
            "sg-b egress lets icmp with 192.168.1.10 pass: its default",
            "sg-b ingress lets icmp with 192.168.1.10 pass: accept icmp -1/-1 192.168.0.0/16 priority 1",
        ],
        &[
            "forward: sent 400, arrived 400, answered 400, received 400 (none: gets through)",
            "return: sent 400, arrived 400, answered 400, received 400 (none: gets through)",
            "the state of i-a is Running",
            "the state of i-b is Running",
        ],
        &[
            "forward: sent 400, arrived 400, answered 400, received 400 (none: gets through)",
            "return: sent 400, arrived 400, answered 400, received 400 (none: gets through)",
        ],
    ];
    assert_eq!(lines(Lang::En), english);
    let chinese: [&[&str]; 9] = [
        &["vpc-a 的网段：192.168.0.0/16", "vpc-b 的网段：172.16.0.0/16"],
        &["ri-a：角色 Initiating，状态 Active，规格 Mini.2"],
        &["ri-b：角色 Accepting，状态 Active，规格 Mini.2"],
        &["ri-b 的对端为 ri-a"],
        &["ri-a 的状态为 Active", "ri-a 的对端为 ri-b", "ri-b 的状态为 Active"],
        &[
            "vtb-a（vsw-a 生效）按 172.16.0.0/16 将 172.16.1.10 发往 RouterInterface ri-a",
            "vtb-b（vsw-b 生效）按 192.168.0.0/16 将 192.168.1.10 发往 RouterInterface ri-b",
        ],
        &[
            "sg-a 出方向放行与 172.16.1.10 的 icmp：默认策略",
            "sg-a 入方向放行与 172.16.1.10 的 icmp：accept icmp -1/-1 172.16.0.0/16 priority 1",
            "sg-b 出方向放行与 192.168.1.10 的 icmp：默认策略",
            "sg-b 入方向放行与 192.168.1.10 的 icmp：accept icmp -1/-1 192.168.0.0/16 priority 1",
        ],
        &[
            "正向：发出 400，到达 400，应答 400，收到 400（none：通）",
            "反向：发出 400，到达 400，应答 400，收到 400（none：通）",
            "i-a 的状态为 Running",
            "i-b 的状态为 Running",
        ],
        &[
            "正向：发出 400，到达 400，应答 400，收到 400（none：通）",
            "反向：发出 400，到达 400，应答 400，收到 400（none：通）",
        ],
    ];
    assert_eq!(lines(Lang::Zh), chinese);
}

#[test]
fn steps_bear_the_names_of_their_links_kind() {
    for kind in [LinkKind::RouterInterface, LinkKind::VpcPeering, LinkKind::TransitRouter] {
        for lang in [Lang::En, Lang::Zh] {
            let names: std::collections::BTreeSet<_> = (0..9).map(|n| step_name(kind, n, lang)).collect();
            assert_eq!((names.len(), names.contains("")), (9, false), "{kind:?}");
            assert_eq!(step_name(kind, 9, lang), "");
            assert_eq!(step_name(kind, 7, lang), step_name(LinkKind::RouterInterface, 7, lang));
        }
    }
    assert_eq!(step_name(LinkKind::RouterInterface, 1, Lang::En), "create the initiating side");
    assert_eq!(step_name(LinkKind::VpcPeering, 2, Lang::Zh), "对端账号接受连接");
    assert_eq!(step_name(LinkKind::TransitRouter, 4, Lang::En), "routes of the transit routers");
    let of_verdict: Vec<_> = World::healthy().verdict().steps.into_iter().map(|step| (step.n, step.name)).collect();
    let expected: Vec<_> = (0..9).map(|n| (n, step_name(LinkKind::RouterInterface, n, Lang::En).to_owned())).collect();
    assert_eq!(of_verdict, expected);
}

#[test]
fn a_step_that_only_the_peers_words_vouch_for_is_unknown_and_not_undone() {
    let unread =
        |w: &mut World| w.snapshot(C).router_interfaces = Known::Unknown(denied("vpc:DescribeRouterInterfaces"));
    assert_eq!(steps(unread, Wire::Through, Wire::Through), "++??+++++");
}

#[test]
fn what_is_unread_of_one_step_leaves_the_others_as_they_are() {
    let tables = |w: &mut World| w.snapshot(C).route_tables = Known::Unknown(denied("vpc:DescribeRouteTableList"));
    assert_eq!(steps(tables, Wire::Through, Wire::Through), "+++++?+++");
    let interfaces = |w: &mut World| {
        for side in Side::BOTH {
            w.snapshot(side).router_interfaces = Known::Unknown(denied("vpc:DescribeRouterInterfaces"));
        }
    };
    assert_eq!(steps(interfaces, Wire::Through, Wire::Through), "+?????+++");
    let groups = |w: &mut World| w.snapshot(C).security_groups = Known::Unknown(denied("ecs:DescribeSecurityGroups"));
    assert_eq!(steps(groups, Wire::Through, Wire::Through), "++++++?++");
}

#[test]
fn a_ping_that_cannot_get_through_yet_did_not_fail_unless_something_is_wrong() {
    let idle = |w: &mut World| {
        for side in Side::BOTH {
            let ri = w.interface(side);
            (ri.status, ri.opposite_status) = (RouterInterfaceStatus::Idle, Some(RouterInterfaceStatus::Idle));
        }
    };
    assert_eq!(steps(idle, Wire::S1, Wire::S1), "++++-++-?");
    let wrong_route = |w: &mut World| {
        idle(w);
        w.entries(I)[1].destination = cidr("172.17.0.0/16");
    };
    assert_eq!(steps(wrong_route, Wire::S1, Wire::S1), "++++-x+x?");
    let refusing = |w: &mut World| {
        idle(w);
        w.refuse(C, FirewallHook::Output, Some(1), Some(4));
    };
    assert_eq!(steps(refusing, Wire::S1, Wire::S0(1)), "++++-++x?");
}

#[test]
fn an_enterprise_group_waits_for_its_first_egress_rule_and_fails_by_the_others() {
    let enterprise = |w: &mut World, egress: Option<Policy>| {
        let mut other = w.group(C).clone();
        other.id = id("sg-0");
        let group = w.group(C);
        group.kind = SecurityGroupKind::Enterprise;
        if let Some(policy) = egress {
            let mut rule = rule("sgr-out", policy, 1, RuleProtocol::Tcp, RulePeer::Any);
            rule.ingress = false;
            known(&mut group.rules).push(rule);
        }
        known(&mut w.snapshot(C).security_groups).insert(0, other);
        known(&mut w.snapshot(C).security_groups).swap(0, 1);
    };
    assert_eq!(steps(|w| enterprise(w, None), Wire::Through, Wire::S1), "++++++--?");
    assert_eq!(steps(|w| enterprise(w, Some(Policy::Accept)), Wire::Through, Wire::S1), "++++++xx?");
}

#[test]
fn a_flow_without_a_round_has_no_line() {
    let mut world = World::healthy();
    world.silence(C);
    let lines: Vec<_> = world.verdict().steps[7].evidence.iter().map(|line| line.text.clone()).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("forward: sent 400"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("return")), "{lines:?}");
}

#[test]
fn parts_of_transit_routers_belong_to_the_steps_that_make_them() {
    let of = |change: fn(&mut World)| {
        let mut world = transit::healthy();
        world.wire(Wire::S1, Wire::S1);
        change(&mut world);
        signs(&world.verdict())
    };
    assert_eq!(signs(&transit::healthy().verdict()), "+++++++++");
    let unattached = |world: &mut World, side: Side| {
        known(&mut world.snapshot(side).transit_attachments).clear();
        world.entries(side).truncate(1);
    };
    assert_eq!(&of(|_| {})[..7], "+++++++");
    let mut world = transit::healthy();
    world.wire(Wire::S1, Wire::S1);
    unattached(&mut world, I);
    assert_eq!(&signs(&world.verdict())[1..3], "-+");
    let mut world = transit::healthy();
    world.wire(Wire::S1, Wire::S1);
    unattached(&mut world, C);
    assert_eq!(&signs(&world.verdict())[1..3], "+-");
    assert_eq!(&of(|w| known(&mut w.snapshot(C).transit_attachments)[0].attached = false)[1..6], "+x+++");
    assert_eq!(&of(|w| known(&mut w.snapshot(I).transit_attachments)[0].attached = false)[1..6], "x++++");
    let apart = |w: &mut World| {
        for peering in known(&mut w.snapshot(I).transit_peerings) {
            peering.attached = false;
        }
    };
    assert_eq!(&of(apart)[1..6], "++x++");
    let unassociated = |w: &mut World| known(&mut transit::tables(w)[1].associations).truncate(1);
    assert_eq!(&of(unassociated)[1..6], "++-++");
    let unrouted = |w: &mut World| transit::routes(w, I).truncate(1);
    assert_eq!(&of(unrouted)[1..6], "+++-+");
    assert_eq!(&of(|w| w.entries(I).truncate(1))[1..6], "++++-");
}
