//! A guest's own facts compared with what was seen of its packets: what each filter rule, route and address explains.

use super::{
    rules::{ECHO_REPLY, ECHO_REQUEST, equal, icmp, masked},
    world::*,
};
use crate::{
    finding::Finding,
    guest::Guest,
    observe::{Leg, Observed, observe},
};
use pingtong_evidence::{
    packet_filter::{Comparison, CtKey, Field, Limit, LimitUnit, Statement, Verdict},
    *,
};

const C: Side = Side::Acceptor;

/// The acceptor's guest findings, after a change to the observed counts of the requests to it and of its own requests.
fn judged(world: &World, change: impl FnOnce(&mut Observed, &mut Observed)) -> Vec<Finding> {
    let question = &world.case.question();
    let facts = question.hosts.iter().map(|facts| (facts.agent.clone(), (*facts).clone())).collect();
    let seen = |flow| observe(question, flow, &facts);
    let (mut inbound, mut outbound) = (seen(Direction::Forward), seen(Direction::Return));
    change(&mut inbound, &mut outbound);
    let model = question.model();
    let facts = facts.get(&id("agent-b"));
    Guest { model: &model, pair: question.pair, side: C, facts, inbound: &inbound, outbound: &outbound }.findings()
}

/// Each finding as its code and the first line of its evidence.
fn told(world: &World) -> Vec<String> {
    told_of(&judged(world, |_, _| {}))
}

fn told_of(found: &[Finding]) -> Vec<String> {
    found.iter().map(|finding| format!("{}: {}", finding.code, finding.evidence[0].text.en)).collect()
}

/// The acceptor's packet filter refuses at this hook by rules with these conditions, with handles from 4.
fn ruled(hook: FirewallHook, rules: &[Vec<Statement>]) -> World {
    let mut world = World::healthy();
    world.refuse(C, hook, Some(1), None);
    let firewall = known(&mut world.facts(C).firewall);
    let model = firewall.refusing.remove(0);
    for (conditions, handle) in rules.iter().zip(4..) {
        let statements = conditions.iter().cloned().chain([Statement::Verdict(Verdict::Drop)]).collect();
        firewall.refusing.push(FirewallRule { handle: Some(handle), statements: Some(statements), ..model.clone() });
    }
    world
}

fn requests() -> Statement {
    icmp(ECHO_REQUEST)
}

fn replies() -> Statement {
    icmp(ECHO_REPLY)
}

/// A condition that the probes may or may not meet, of either type.
fn perhaps() -> Statement {
    masked(Field::Ct { key: CtKey::State, direction: None }, 1, Comparison::Ne, 0)
}

fn refusal(rules: &[&str]) -> Vec<String> {
    vec![format!("guest-firewall: the guest's packet filter refuses at hook output: {}", rules.join("; "))]
}

#[test]
fn a_rule_against_sending_is_blamed_for_what_does_not_leave_and_for_nothing_else() {
    let (requests, replies, both) = (vec![requests()], vec![replies()], vec![perhaps(), replies()]);
    let all = vec![];
    for (conditions, text, inbound, outbound, blamed) in [
        // The guest's own requests.
        (&requests, "icmp type echo-request drop", Wire::Through, Wire::S1, true),
        (&requests, "icmp type echo-request drop", Wire::Through, Wire::S0(1), true),
        (&requests, "icmp type echo-request drop", Wire::Through, Wire::S5, false),
        (&requests, "icmp type echo-request drop", Wire::Through, Wire::Through, false),
        // Replies to the peer's requests.
        (&replies, "icmp type echo-reply drop", Wire::S3, Wire::Through, true),
        (&replies, "icmp type echo-reply drop", Wire::Through, Wire::S1, false),
        // Both kinds: a packet of one kind that leaves refutes the rule for both.
        (&all, "drop", Wire::S3, Wire::S0(1), true),
        (&all, "drop", Wire::S3, Wire::Through, false),
        // A rule that may match: blamed only if replies are seen not to be made.
        (&both, "ct state invalid icmp type echo-reply drop", Wire::S3, Wire::Through, true),
        (&both, "ct state invalid icmp type echo-reply drop", Wire::S1, Wire::Through, false),
    ] {
        let mut world = ruled(FirewallHook::Output, std::slice::from_ref(conditions));
        world.wire(inbound, outbound);
        let expect = if blamed { refusal(&[&format!("inet guard in handle 4: {text}")]) } else { vec![] };
        assert_eq!(told(&world), expect, "{text:?} {inbound:?} {outbound:?}");
    }
    let mut ignoring = ruled(FirewallHook::Output, &[both]);
    ignoring.wire(Wire::S3, Wire::Through);
    ignoring.facts(C).sysctls.echo_ignore_all = Known::Known(true);
    assert_eq!(told(&ignoring), ["guest-echo-ignored: net.ipv4.icmp_echo_ignore_all is 1"], "that explains it");
}

#[test]
fn a_rule_that_replies_refute_is_not_what_refuses_requests() {
    let mut world = ruled(FirewallHook::Output, &[vec![], vec![requests()]]);
    world.wire(Wire::Through, Wire::S0(1));
    assert_eq!(told(&world), refusal(&["inet guard in handle 5: icmp type echo-request drop"]));
    let mut unexplained = ruled(FirewallHook::Output, &[vec![]]);
    unexplained.wire(Wire::Through, Wire::S0(1));
    assert_eq!(told(&unexplained), ["guest-firewall: the kernel refuses to send (EPERM)"]);
}

#[test]
fn a_rule_that_may_refuse_is_named_beside_one_that_surely_does() {
    let lines =
        ["inet guard in handle 4: ct state invalid drop", "inet guard in handle 5: icmp type echo-request drop"];
    // Replies that are not made and requests that do not leave: the first rule may refuse the one, the second certainly
    // refuses the other.
    let mut world = ruled(FirewallHook::Output, &[vec![perhaps()], vec![requests()]]);
    world.wire(Wire::S3, Wire::S1);
    assert_eq!(told(&world), refusal(&lines));
    // The kernel refuses some packets, although others leave.
    world.wire(Wire::S3, Wire::Through);
    let some_refused = judged(&world, |_, outbound| {
        outbound.errors.insert(1, 10);
    });
    assert_eq!(told_of(&some_refused), refusal(&lines));
    // If the peer's requests do not arrive, only the refusal of the guest's own requests is seen.
    let mut world = ruled(FirewallHook::Output, &[vec![perhaps()]]);
    world.wire(Wire::S1, Wire::S0(1));
    assert_eq!(told(&world), refusal(&lines[..1]));
}

#[test]
fn a_route_that_leads_elsewhere_is_blamed_only_for_packets_that_do_not_get_through() {
    let via = |interface: &str, prefix: &str| RouteOutcome::Via {
        interface: interface.into(),
        source: None,
        gateway: Some(ip("10.0.0.1")),
        prefix: Some(cidr(prefix)),
    };
    let mut world = World::healthy();
    world.facts(C).routes[0].outcome = Known::Known(via("br0", "192.168.0.0/20"));
    let why =
        "guest-route-overlap: the guest sends 192.168.1.10 by br0 via 10.0.0.1 (route 192.168.0.0/20), not by eth0";
    for (inbound, outbound, blamed) in [
        (Wire::S1, Wire::Through, false),
        (Wire::Through, Wire::S1, false),
        (Wire::S1, Wire::S1, true),
        (Wire::S4, Wire::S1, true),
        (Wire::S4, Wire::Through, true),
        (Wire::S3, Wire::S1, true),
    ] {
        world.wire(inbound, outbound);
        let expect: &[&str] = if blamed { &[why] } else { &[] };
        assert_eq!(told(&world), expect, "{inbound:?} {outbound:?}");
    }
}

#[test]
fn a_route_back_wins_over_what_is_in_its_way() {
    for (prefix, command) in [
        ("192.168.0.0/20", "ip route replace 192.168.1.0/24 via 172.16.1.253 dev eth0"),
        ("192.168.1.0/24", "ip route replace 192.168.1.10/32 via 172.16.1.253 dev eth0"),
        ("192.168.1.0/28", "ip route replace 192.168.1.10/32 via 172.16.1.253 dev eth0"),
    ] {
        let mut world = World::healthy();
        world.facts(C).routes[0].outcome = Known::Known(RouteOutcome::Via {
            interface: "br0".into(),
            source: None,
            gateway: None,
            prefix: Some(cidr(prefix)),
        });
        world.wire(Wire::S4, Wire::S1);
        assert_eq!(world.verdict().repairs.set[0].guest.join(" "), command, "{prefix}");
    }
}

#[test]
fn an_address_of_the_peers_is_taken_off_the_interface_that_has_it() {
    let mut world = World::healthy();
    let facts = world.facts(C);
    facts.routes[0].outcome = Known::Known(RouteOutcome::Own);
    known(&mut facts.interfaces)[0].addresses.push((ip("192.168.1.10"), cidr("192.168.1.0/28")));
    world.wire(Wire::S3, Wire::S1);
    assert_eq!(told(&world), ["guest-route-overlap: the guest holds the peer's address 192.168.1.10 itself, on eth0"]);
    assert_eq!(world.verdict().repairs.set[0].guest.join(" "), "ip address del 192.168.1.10/28 dev eth0");
}

#[test]
fn a_kernel_that_lacks_a_route_for_some_packets_and_sent_others_has_one() {
    let mut world = World::healthy();
    world.facts(C).routes.clear();
    world.wire(Wire::S1, Wire::S0(101));
    assert_eq!(told(&world), ["guest-route-missing: the kernel refuses to send: errno 101"]);
    let some = judged(&world, |_, outbound| outbound.sent = 390);
    assert_eq!(told_of(&some), Vec::<String>::new());
}

#[test]
fn a_rate_is_blamed_for_a_share_of_three_packets_or_more() {
    let limit = || {
        let limit = Limit { unit: LimitUnit::Packets, rate: 10, per_seconds: 1, burst: 5, over: false };
        Statement::Limit(limit)
    };
    let rule = |conditions: Vec<Statement>, limited: bool| {
        let mut world = ruled(FirewallHook::Input, &[conditions]);
        world.limit(C, limited);
        world
    };
    let share = |world: &World, passed: u64, of: u64| {
        let found = judged(world, |inbound, _| inbound.accept = Some(Leg { of, passed }));
        told_of(&found)
    };
    let limited = rule(vec![limit()], true);
    let lost = |lost: u64, of: u64| {
        format!(
            "guest-rate-limit: the host refused {lost} of {of} requests that reached the interface; a rule is bound to a \
             rate: inet guard in handle 4: limit rate 10/second burst 5 packets drop"
        )
    };
    assert_eq!(share(&limited, 397, 400), [lost(3, 400)]);
    assert_eq!(share(&limited, 1, 400), [lost(399, 400)]);
    assert_eq!(share(&limited, 398, 400), Vec::<String>::new(), "two packets are no share");
    assert_eq!(share(&limited, 0, 400), Vec::<String>::new(), "a rate lets some pass");
    assert_eq!(
        share(&rule(vec![perhaps()], false), 300, 400),
        Vec::<String>::new(),
        "a rule without a rate refuses all"
    );
    assert_eq!(
        share(&rule(vec![equal(Field::TcpDestinationPort, 22), limit()], true), 300, 400),
        Vec::<String>::new(),
        "for TCP"
    );
}

#[test]
fn a_refusal_that_nothing_explains_is_for_hands_and_proves_no_repair() {
    let mut world = World::healthy();
    world.facts(C).firewall = Known::default();
    world.wire(Wire::S2, Wire::Through);
    let repairs = world.verdict().repairs;
    assert!(!repairs.proven);
    assert_eq!(super::summary::commands(&world.verdict()), ["by hand: guest-firewall"]);
}
