//! Guests that report their whole packet filter: what the walk blames, and the narrow repairs.

use super::{
    rules::{ECHO_REPLY, ECHO_REQUEST, block, equal, icmp, l4proto, match_on, not_understood},
    world::*,
};
use crate::{Certainty, State, Verdict};
use packet_filter::{
    BaseChain, Chain, ChainKind, Comparison, Family, Field, Limit, LimitUnit, Nat, NatKind, Rule, RuleSet, Source,
    SourceRange, Statement, Table, Value,
};
use pingtong_evidence::*;
use std::sync::Arc;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn drop() -> Statement {
    Statement::Verdict(packet_filter::Verdict::Drop)
}

fn accept() -> Statement {
    Statement::Verdict(packet_filter::Verdict::Accept)
}

/// A base chain; its rules have the handles 1, 2, …
fn base(kind: ChainKind, hook: FirewallHook, policy: Policy, rules: Vec<Vec<Statement>>) -> Chain {
    let priority = 0;
    let base = Some(BaseChain { kind, hook, priority, policy, devices: vec![] });
    let rules = (1..).zip(rules).map(|(handle, statements)| Rule { handle, statements }).collect();
    Chain { name: "c".into(), base, rules }
}

fn filter(world: &mut World, side: Side, chains: Vec<Chain>) {
    let table = Table { family: Family::Inet, name: "t".into(), dormant: false, chains, sets: vec![] };
    world.facts(side).firewall = Known::Known(FirewallFact {
        rules: Some(Arc::new(RuleSet { tables: vec![table], rules_omitted: 0 })),
        queues: Known::Known(vec![]),
        ..FirewallFact::default()
    });
}

/// The verdict on the tutorial whose acceptor has this filter, with what the wire shows in both directions.
fn with(chains: Vec<Chain>, wire: (Wire, Wire)) -> Verdict {
    let mut world = World::healthy();
    filter(&mut world, C, chains);
    world.wire(wire.0, wire.1);
    world.verdict()
}

fn blamed(verdict: &Verdict) -> Vec<String> {
    let of = |certainty| if certainty == Certainty::Proven { "" } else { " (supported)" };
    verdict.causes.iter().map(|cause| format!("{} {}{}", cause.code, cause.side, of(cause.certainty))).collect()
}

fn commands(verdict: &Verdict) -> Vec<String> {
    verdict.repairs.set.iter().map(|repair| repair.guest.join(" ")).filter(|line| !line.is_empty()).collect()
}

fn from(text: &str) -> Statement {
    match_on(Field::IpSource, Comparison::Eq, block(text))
}

#[test]
fn a_policy_that_drops_gets_an_accept_for_the_peer_and_nobody_else() {
    let others = vec![from("10.0.0.0/8"), accept()];
    let chains = vec![base(ChainKind::Filter, FirewallHook::Input, Policy::Drop, vec![others])];
    let verdict = with(chains, (Wire::S2, Wire::S5));
    assert_eq!(blamed(&verdict), ["guest-firewall acceptor"]);
    let add = "nft add rule inet t c ip saddr 192.168.1.10 icmp type";
    assert_eq!(commands(&verdict), [format!("{add} echo-request accept"), format!("{add} echo-reply accept")]);
    assert!(verdict.repairs.proven);
    assert!(verdict.repairs.opens.is_empty(), "{:?}", verdict.repairs.opens);
}

#[test]
fn a_rule_behind_one_that_accepts_is_not_blamed() {
    let rules = vec![vec![from("192.168.0.0/16"), accept()], vec![drop()]];
    let chains = || vec![base(ChainKind::Filter, FirewallHook::Input, Policy::Accept, rules.clone())];
    // Nothing that was read explains why requests that reach the interface are never seen by the stack.
    let verdict = with(chains(), (Wire::S2, Wire::Through));
    assert_eq!(blamed(&verdict), ["guest-firewall acceptor (supported)"]);
    assert_eq!(commands(&verdict), Vec::<String>::new());
    assert_eq!(with(chains(), (Wire::Through, Wire::Through)).state, State::Healthy);
}

/// A rule that is not listed may have accepted what the policy drops.
#[test]
fn a_filter_that_is_not_listed_whole_surely_refuses_nothing() {
    let mut world = World::healthy();
    filter(&mut world, C, vec![base(ChainKind::Filter, FirewallHook::Input, Policy::Drop, vec![])]);
    let firewall = known(&mut world.facts(C).firewall);
    firewall.rules = firewall.rules.as_deref().map(|rules| Arc::new(RuleSet { rules_omitted: 1, ..rules.clone() }));
    world.rules(C).clear();
    world.wire(Wire::S1, Wire::S1);
    assert_eq!(blamed(&world.verdict()), ["sg-ingress-missing acceptor"]);
}

#[test]
fn the_rule_of_a_chain_that_is_jumped_to_is_passed_before_it_drops() {
    let jump = vec![l4proto(1), Statement::Verdict(packet_filter::Verdict::Jump("pings".into()))];
    let regular = Chain {
        name: "pings".into(),
        base: None,
        rules: vec![Rule { handle: 9, statements: vec![icmp(ECHO_REQUEST), drop()] }],
    };
    let chains = vec![regular, base(ChainKind::Filter, FirewallHook::Input, Policy::Accept, vec![jump])];
    let verdict = with(chains, (Wire::S2, Wire::Through));
    assert_eq!(blamed(&verdict), ["guest-firewall acceptor"]);
    let expected = "nft insert rule inet t pings position 9 ip saddr 192.168.1.10 icmp type echo-request accept";
    assert_eq!(commands(&verdict), [expected]);
}

#[test]
fn what_two_chains_drop_takes_an_accept_in_each() {
    let chain = |name: &str| Chain {
        name: name.into(),
        ..base(ChainKind::Filter, FirewallHook::Input, Policy::Accept, vec![vec![icmp(ECHO_REQUEST), drop()]])
    };
    let verdict = with(vec![chain("one"), chain("two")], (Wire::S2, Wire::Through));
    let insert = |name: &str| {
        format!("nft insert rule inet t {name} position 1 ip saddr 192.168.1.10 icmp type echo-request accept")
    };
    assert_eq!(commands(&verdict), [insert("one"), insert("two")]);
    assert!(verdict.repairs.proven);
}

#[test]
fn a_rate_at_any_hook_explains_a_share_and_leaves_the_path_alone() {
    let limit = Limit { unit: LimitUnit::Packets, rate: 2, per_seconds: 1, burst: 5, over: true };
    let rules = vec![vec![icmp(ECHO_REPLY), Statement::Limit(limit), drop()]];
    let mut world = World::healthy();
    filter(&mut world, C, vec![base(ChainKind::Filter, FirewallHook::Egress, Policy::Accept, rules)]);
    let kept = spread(400, 100);
    for part in world.case.arrivals.iter_mut().filter(|part| part.observer.as_str() == "agent-b") {
        part.replied = Known::Known(kept.clone());
    }
    for round in world.case.probes.iter_mut().filter(|round| round.key.agent.as_str() == "agent-a") {
        round.replied = kept.clone();
    }
    let verdict = world.verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Degraded, vec!["guest-rate-limit acceptor".into()]));
}

#[test]
fn probes_that_a_guest_translates_or_turns_round_are_its_own_doing() {
    let one = |text: &str| {
        let source = Source::Value(Value::Address(ip(text)));
        Some(SourceRange { first: source.clone(), last: source })
    };
    let nat = |hook, kind, address| {
        let statement = Statement::Nat(Box::new(Nat { kind, family: Some(Family::Ip), address, port: None }));
        base(ChainKind::Nat, hook, Policy::Accept, vec![vec![statement]])
    };
    let except = "nft insert rule inet t c position 1 ip daddr 172.16.1.10 icmp type echo-request accept";
    let source = nat(FirewallHook::Postrouting, NatKind::Snat, one("203.0.113.9"));
    let mut world = World::healthy();
    filter(&mut world, I, vec![source.clone()]);
    world.wire(Wire::S1, Wire::Through);
    let verdict = world.verdict();
    assert_eq!((blamed(&verdict), commands(&verdict)), (vec!["guest-nat initiator".into()], vec![except.into()]));
    // The probes arrive all the same: the other side knows the address.
    world.wire(Wire::Through, Wire::Through);
    assert_eq!(world.verdict().state, State::Healthy);
    // The host answers its own probes; the far end, which watches, saw none of them.
    let mut world = World::healthy();
    filter(&mut world, I, vec![nat(FirewallHook::Output, NatKind::Redirect, None)]);
    world.case.arrivals.retain(|part| part.observer.as_str() != "agent-b");
    let verdict = world.verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Broken, vec!["guest-nat initiator".into()]));
}

#[test]
fn the_fabric_is_suspected_but_not_blamed_while_the_sender_may_have_kept_the_packets() {
    let chains = |rule: Vec<Statement>| vec![base(ChainKind::Filter, FirewallHook::Output, Policy::Accept, vec![rule])];
    let dead = |world: &mut World| {
        world.wire(Wire::S1, Wire::S5);
        for round in &mut world.case.probes {
            round.replied_on_wire = Known::Known(SequenceSet::new());
        }
        let verdict = world.verdict();
        let suspects = verdict.suspects.iter().flat_map(|suspect| suspect.codes.clone());
        (blamed(&verdict), suspects.map(|code| code.to_string()).collect::<Vec<_>>())
    };
    let mut world = World::healthy();
    assert_eq!(dead(&mut world).0, ["fabric-fault initiator"]);
    filter(&mut world, I, chains(vec![equal(Field::MetaMark, 7), drop()]));
    assert_eq!(dead(&mut world).0, ["fabric-fault initiator"], "a mark that nothing sets");
    let open = (vec![], vec!["fabric-fault".to_owned(), "guest-firewall".to_owned()]);
    filter(&mut world, I, chains(vec![not_understood("numgen"), drop()]));
    let sorted = |(blamed, mut suspects): (Vec<String>, Vec<String>)| {
        suspects.sort();
        (blamed, suspects)
    };
    assert_eq!(sorted(dead(&mut world)), open);
    let change: [fn(&mut HostFacts); 4] = [
        |facts| facts.firewall = Known::default(),
        |facts| facts.mechanisms = Known::default(),
        |facts| facts.mechanisms = Known::Known(Mechanisms { ipsec_policies: 1, ..Mechanisms::default() }),
        |facts| facts.mechanisms = Known::Known(Mechanisms { xdp: vec!["eth0".into()], ..Mechanisms::default() }),
    ];
    for change in change {
        let mut world = World::healthy();
        change(world.facts(I));
        assert_eq!(sorted(dead(&mut world)), open);
    }
    let mut world = World::healthy();
    world.case.hosts.retain(|facts| facts.agent.as_str() != "agent-a");
    assert_eq!(sorted(dead(&mut world)), open, "no facts of the sending host");
}

/// A segment that drops does not ask which flow a packet belongs to.
#[test]
fn a_segment_that_the_other_flow_crosses_is_not_blamed() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::Through);
    let verdict = world.verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Broken, vec![]));
    let suspects: Vec<String> =
        verdict.suspects.iter().flat_map(|suspect| &suspect.codes).map(ToString::to_string).collect();
    assert_eq!(suspects, ["sg-ingress-missing", "sg-egress-blocked", "fabric-fault"]);
}

#[test]
fn probes_that_never_left_the_host_are_not_lost_on_the_way() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::Through);
    for round in world.case.probes.iter_mut().filter(|round| round.key.agent.as_str() == "agent-a") {
        round.departed = Known::Known(SequenceSet::new());
    }
    let verdict = world.verdict();
    assert_eq!(verdict.directions.forward.cut, crate::Cut::S0);
    assert!(!blamed(&verdict).iter().any(|cause| cause.starts_with("fabric-fault")), "{:?}", blamed(&verdict));
    // Of those that left, none is missing.
    let mut world = World::healthy();
    let left = spread(400, 100);
    for round in world.case.probes.iter_mut().filter(|round| round.key.agent.as_str() == "agent-a") {
        (round.departed, round.replied) = (Known::Known(left.clone()), left.clone());
    }
    for part in world.case.arrivals.iter_mut().filter(|part| part.observer.as_str() == "agent-b") {
        (part.on_wire, part.accepted) = (Known::Known(left.clone()), Known::Known(left.clone()));
        part.replied = Known::Known(left.clone());
    }
    let verdict = world.verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Degraded, vec![]));
    assert_eq!(verdict.suspects[0].side, Some(I));
}

/// A rule of a legacy table is passed by with its own tool, at its position.
#[test]
fn a_rule_of_a_legacy_table_gets_a_command_of_its_tool() {
    let mut world = World::healthy();
    let rules = vec![vec![from("10.0.0.0/8"), accept()], vec![icmp(ECHO_REQUEST), drop()]];
    let chains = vec![base(ChainKind::Filter, FirewallHook::Input, Policy::Accept, rules)];
    filter(&mut world, C, chains);
    if let Known::Known(FirewallFact { rules: Some(rules), .. }) = &mut world.facts(C).firewall {
        let table = &mut Arc::make_mut(rules).tables[0];
        (table.family, table.name) = (Family::Ip, "legacy:filter".into());
    }
    world.wire(Wire::S2, Wire::Through);
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["guest-firewall acceptor"]);
    let insert = "iptables-legacy -t filter -I c 2 -s 192.168.1.10 -p icmp --icmp-type echo-request -j ACCEPT";
    assert_eq!(commands(&verdict), [insert]);
}
