//! Pairs of TCP and UDP: what the results of their probes prove, and what remains open if a port is silent while ping
//! is answered.

use crate::tests::{
    rules::{equal, l4proto, match_on},
    world::*,
};
use crate::{CauseCode, Certainty, Cut, Lang, State, Verdict, diagnose_in};
use pingtong_evidence::{
    packet_filter::{Comparison, Field, Value},
    *,
};

const PROBES: u32 = 40;

/// The result of every probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Closed,
    Silent,
    /// Rejected by the router of the sender's side.
    Rejected,
    /// Rejected by the target, but not in the way a closed port is.
    RejectedByTarget,
    /// The target sends as many refusals as its ICMP rate limit allows: six of forty.
    FewClosed,
}

/// The tutorial with a service on port 443 of the acceptor's host; `echoes` adds the ping pair between the hosts.
fn world(protocol: Protocol, end: End, echoes: Option<Wire>) -> World {
    let mut world = World::healthy();
    let icmp = world.case.pair.clone();
    let sibling = world.case.probes.first().cloned();
    world.wire(echoes.unwrap_or(Wire::Through), echoes.unwrap_or(Wire::Through));
    if echoes.is_some() {
        world.case.peers.push(icmp);
    } else {
        world.case.probes.clear();
        world.case.arrivals.clear();
    }
    let rule_protocol = if protocol == Protocol::Tcp { RuleProtocol::Tcp } else { RuleProtocol::Udp };
    let icmp_rule = rule("sgr-ping", Policy::Accept, 1, RuleProtocol::Icmp, RulePeer::Any);
    *world.rules(Side::Acceptor) = vec![
        icmp_rule,
        SecurityRule {
            ports: PortRange::new(443, 443).unwrap(),
            ..rule("sgr-port", Policy::Accept, 1, rule_protocol, RulePeer::Cidr(cidr("192.168.0.0/16")))
        },
    ];
    let pair = &mut world.case.pair;
    pair.id = id("pair1/port");
    (pair.protocol, pair.port) = (protocol, Some(443));
    let all = SequenceSet::first(PROBES);
    let some = match end {
        End::Open | End::Closed => all.clone(),
        End::FewClosed => SequenceSet::first(6),
        End::Silent | End::Rejected | End::RejectedByTarget => SequenceSet::new(),
    };
    let closed = if matches!(end, End::Closed | End::FewClosed) { some.clone() } else { SequenceSet::new() };
    let by = if end == End::Rejected { "192.168.1.253" } else { "172.16.1.10" };
    let error = IcmpError { from: ip(by), icmp_type: 3, code: 13, count: PROBES.into() };
    world.case.probes.push(ProbeRound {
        key: RoundKey { agent: id("agent-a"), round: (1 << 62).into() },
        pair: id("pair1/port"),
        protocol,
        planned: PROBES,
        sent: all,
        replied: some,
        late: SequenceSet::new(),
        icmp_errors: if matches!(end, End::Rejected | End::RejectedByTarget) { vec![error] } else { vec![] },
        ports: Some(PortFates { port: 443, closed, ..PortFates::default() }),
        ..sibling.unwrap()
    });
    world
}

fn blamed(verdict: &Verdict) -> Vec<CauseCode> {
    verdict.causes.iter().map(|cause| cause.code).collect()
}

/// The guest's packet filter drops TCP with this number in a field.
fn drop_port(world: &mut World, side: Side, hook: FirewallHook, field: Field, number: u64) {
    world.refuse(side, hook, Some(6), Some(4));
    world.restate(side, vec![l4proto(6), equal(field, number)]);
}

#[test]
fn an_open_port_and_a_refused_one_are_both_a_healthy_path() {
    for (protocol, end) in [
        (Protocol::Tcp, End::Open),
        (Protocol::Tcp, End::Closed),
        (Protocol::Udp, End::Closed),
        (Protocol::Udp, End::FewClosed),
    ] {
        let world = world(protocol, end, None);
        let verdict = world.verdict();
        assert_eq!((verdict.state, blamed(&verdict)), (State::Healthy, vec![]), "{protocol} {end:?}");
        let says = |lang: Lang, word: &str| {
            let step = diagnose_in(&world.case.question(), lang).steps.remove(7);
            step.evidence.iter().any(|line| line.text.contains(word))
        };
        let refused = end != End::Open;
        assert_eq!((says(Lang::En, "nobody listens"), says(Lang::Zh, "无人监听")), (refused, refused));
    }
}

#[test]
fn the_rate_of_port_unreachables_is_no_loss() {
    let verdict = world(Protocol::Udp, End::FewClosed, None).verdict();
    let forward = verdict.directions.forward;
    assert_eq!((forward.sent, forward.received, forward.cut), (6, 6, Cut::None));
}

#[test]
fn a_silent_tcp_port_is_broken_and_a_missing_rule_for_it_is_proven() {
    let mut world = world(Protocol::Tcp, End::Silent, Some(Wire::Through));
    world.rules(Side::Acceptor).pop();
    let verdict = world.verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Broken, vec![CauseCode::SgIngressMissing]));
    assert_eq!(verdict.causes[0].certainty, Certainty::Proven);
}

#[test]
fn a_silent_port_beside_living_pings_leaves_what_tells_ports_apart() {
    let verdict = world(Protocol::Tcp, End::Silent, Some(Wire::Through)).verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Broken, vec![]));
    assert_eq!(verdict.suspects[0].codes, [CauseCode::GuestFirewall, CauseCode::FabricFault]);
    assert!(verdict.suspects[0].decided_by.contains("443"), "{}", verdict.suspects[0].decided_by);
    // Without pings, or if they are not answered, hosts and paths are not cleared.
    for echoes in [None, Some(Wire::S1)] {
        let verdict = world(Protocol::Tcp, End::Silent, echoes).verdict();
        let codes: Vec<CauseCode> = verdict.suspects.iter().flat_map(|suspect| suspect.codes.clone()).collect();
        assert!(codes.contains(&CauseCode::InstanceStopped), "{echoes:?}: {codes:?}");
        assert!(!codes.contains(&CauseCode::GuestEchoIgnored), "{echoes:?}: {codes:?}");
    }
}

#[test]
fn a_guest_that_drops_the_port_is_blamed_and_one_that_drops_another_is_not() {
    let mut world = world(Protocol::Tcp, End::Silent, None);
    drop_port(&mut world, Side::Acceptor, FirewallHook::Input, Field::TcpDestinationPort, 443);
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), [CauseCode::GuestFirewall]);
    assert_eq!((verdict.causes[0].side, verdict.causes[0].direction), (Side::Acceptor, Some(Direction::Forward)));
    for (side, hook, field, port) in [
        (Side::Acceptor, FirewallHook::Input, Field::TcpDestinationPort, 22),
        // Packets of the guest's own connections do not belong to this pair.
        (Side::Acceptor, FirewallHook::Output, Field::TcpDestinationPort, 443),
        (Side::Initiator, FirewallHook::Input, Field::TcpDestinationPort, 443),
    ] {
        let mut world = self::world(Protocol::Tcp, End::Silent, None);
        drop_port(&mut world, side, hook, field.clone(), port);
        assert_eq!(blamed(&world.verdict()), [], "{field:?} {port} at {hook:?}");
    }
    // Packets that do belong to it: the initiator's requests, the replies to them, and the service's answers.
    for (side, hook, field, port) in [
        (Side::Initiator, FirewallHook::Output, Field::TcpDestinationPort, 443),
        (Side::Initiator, FirewallHook::Input, Field::TcpSourcePort, 443),
        (Side::Acceptor, FirewallHook::Output, Field::TcpSourcePort, 443),
    ] {
        let mut world = self::world(Protocol::Tcp, End::Silent, None);
        drop_port(&mut world, side, hook, field.clone(), port);
        assert_eq!(blamed(&world.verdict()), [CauseCode::GuestFirewall], "{field:?} {port} at {hook:?}");
    }
}

#[test]
fn silence_of_udp_proves_nothing_and_a_rejection_does() {
    let silent = world(Protocol::Udp, End::Silent, Some(Wire::Through));
    let verdict = silent.verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Undecided, vec![]));
    let said =
        |verdict: &Verdict| verdict.suspects.iter().map(|suspect| suspect.decided_by.clone()).collect::<String>();
    assert!(said(&verdict).contains("nobody watched"), "{}", said(&verdict));
    assert!(said(&diagnose_in(&silent.case.question(), Lang::Zh)).contains("没有人观测"));
    assert_eq!(verdict.next_step, Some(said(&verdict)));
    let verdict = world(Protocol::Udp, End::Rejected, Some(Wire::Through)).verdict();
    assert_eq!(verdict.state, State::Broken);
    // A missing rule in the configuration is still named, although the wire cannot prove it.
    let mut world = world(Protocol::Udp, End::Silent, None);
    world.rules(Side::Acceptor).pop();
    let verdict = world.verdict();
    assert_eq!((verdict.state, verdict.causes[0].certainty), (State::Undecided, Certainty::Supported));
}

#[test]
fn loss_of_connections_is_loss() {
    let mut world = world(Protocol::Tcp, End::Closed, None);
    let round = world.case.probes.last_mut().unwrap();
    let kept: SequenceSet = (0..PROBES).filter(|n| n % 4 != 0).collect();
    let resent = (0..PROBES).filter(|n| n % 4 == 0).collect();
    round.replied = kept.clone();
    round.ports = Some(PortFates { port: 443, closed: kept, resent, ..PortFates::default() });
    let verdict = world.verdict();
    assert_eq!((verdict.state, verdict.directions.forward.received), (State::Degraded, 30));
}

/// Adds what the far agent saw of the probes; no report if nothing arrived.
fn arrivals(world: &mut World, came: u32, answered: u32) {
    let facts = world.facts(Side::Acceptor);
    facts.observes = vec![Protocol::Udp];
    facts.watched_ports = vec![WatchedPort { from: ip("192.168.1.10"), to: ip("172.16.1.10"), port: 443 }];
    let key = world.case.probes.last().unwrap().key.clone();
    if came == 0 {
        return;
    }
    world.case.arrivals.push(ArrivalRound {
        observer: id("agent-b"),
        key,
        from: ip("192.168.1.10"),
        to: ip("172.16.1.10"),
        first_at: at(1_000),
        last_at: at(2_600),
        watching_ms: Some(60_000),
        interface: "eth0".into(),
        on_wire: Known::Known(SequenceSet::first(came)),
        accepted: Known::Known(SequenceSet::new()),
        replied: Known::Known(SequenceSet::first(answered)),
        replied_elsewhere: vec![],
        own_drops: 0,
    });
}

#[test]
fn datagrams_that_a_watching_agent_never_saw_died_on_the_way() {
    let mut world = world(Protocol::Udp, End::Silent, None);
    arrivals(&mut world, 0, 0);
    let mut unwatched = self::world(Protocol::Udp, End::Silent, None);
    unwatched.facts(Side::Acceptor).observes = vec![];
    let verdict = world.verdict();
    assert_eq!((verdict.state, verdict.directions.forward.cut), (State::Broken, Cut::S1));
    assert_eq!(unwatched.verdict().state, State::Undecided);
    world.rules(Side::Acceptor).pop();
    let verdict = world.verdict();
    let cause = &verdict.causes[0];
    assert_eq!((cause.code, cause.certainty), (CauseCode::SgIngressMissing, Certainty::Proven));
}

#[test]
fn datagrams_that_arrive_and_stay_unanswered_prove_a_refusal_only_where_a_rule_surely_refuses() {
    let mut world = world(Protocol::Udp, End::Silent, None);
    arrivals(&mut world, PROBES, 0);
    let verdict = world.verdict();
    assert_eq!((verdict.state, verdict.directions.forward.arrived), (State::Undecided, Some(40)));
    let [suspect] = verdict.suspects.as_slice() else { panic!("{:?}", verdict.suspects) };
    assert_eq!(suspect.codes, [CauseCode::GuestFirewall]);
    assert!(suspect.decided_by.contains("ss -lun"), "{}", suspect.decided_by);
    world.refuse(Side::Acceptor, FirewallHook::Input, Some(17), Some(4));
    world.restate(Side::Acceptor, vec![l4proto(17), equal(Field::UdpDestinationPort, 443)]);
    let verdict = world.verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Broken, vec![CauseCode::GuestFirewall]));
    assert_eq!(verdict.directions.forward.cut, Cut::S2);
    world.restate(Side::Acceptor, vec![l4proto(17), equal(Field::UdpDestinationPort, 22)]);
    assert_eq!(world.verdict().state, State::Undecided);
}

#[test]
fn loss_on_the_way_out_is_seen_beside_refusals_that_are_rare() {
    let mut world = world(Protocol::Udp, End::FewClosed, None);
    arrivals(&mut world, PROBES, 6);
    let part = world.case.arrivals.last_mut().unwrap();
    // The last probe arrived, so the observer knows what did not arrive before it.
    part.on_wire = Known::Known((0..PROBES).filter(|n| *n < 6 || n % 2 == 1).collect());
    let verdict = world.verdict();
    let loss = verdict.directions.forward.loss.request.unwrap();
    assert_eq!((loss.lost, loss.of, verdict.state), (17, 40, State::Degraded));
}

#[test]
fn a_target_that_rejects_by_icmp_has_a_filter_and_its_rule_is_named_where_it_is_known() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let verdict = world(protocol, End::RejectedByTarget, None).verdict();
        assert_eq!((verdict.state, blamed(&verdict)), (State::Broken, vec![CauseCode::GuestFirewall]), "{protocol}");
        assert_eq!((verdict.causes[0].side, verdict.causes[0].certainty), (Side::Acceptor, Certainty::Proven));
        assert!(verdict.causes[0].explain.contains("172.16.1.10 itself rejects"), "{}", verdict.causes[0].explain);
        assert!(verdict.repairs.set.is_empty() || verdict.repairs.set[0].guest.is_empty());
    }
    // A rule that may match the port is then blamed, and its removal is the repair.
    let mut world = world(Protocol::Tcp, End::RejectedByTarget, None);
    world.refuse(Side::Acceptor, FirewallHook::Input, Some(6), Some(4));
    let interface = match_on(Field::MetaIifname, Comparison::Eq, Value::Name("eth0".into()));
    world.restate(Side::Acceptor, vec![interface, l4proto(6), equal(Field::TcpDestinationPort, 443)]);
    let verdict = world.verdict();
    assert_eq!(verdict.repairs.set[0].guest[..3], ["nft", "insert", "rule"]);
    // A rejection by a router is not one by the host.
    let verdict = self::world(Protocol::Tcp, End::Rejected, None).verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Broken, vec![]));
}

#[test]
fn syns_that_a_watching_agent_never_saw_died_on_the_way() {
    let mut world = world(Protocol::Tcp, End::Silent, None);
    arrivals(&mut world, 0, 0);
    let verdict = world.verdict();
    assert_eq!((verdict.state, verdict.directions.forward.cut), (State::Broken, Cut::S1));
    assert_eq!(blamed(&verdict), [CauseCode::FabricFault], "everything was looked at");
    // Absence proves something only for ports that are watched, and only if the source address is the one that the
    // observer looks for.
    let unwatched: [fn(&mut World); 3] = [
        |world| world.facts(Side::Acceptor).watched_ports.clear(),
        |world| world.facts(Side::Acceptor).watched_ports[0].port = 80,
        |world| {
            let Known::Known(cards) = &mut world.facts(Side::Initiator).interfaces else { panic!() };
            cards.retain(|card| card.addresses.iter().all(|(held, _)| *held != ip("192.168.1.10")));
        },
    ];
    for change in unwatched {
        let mut world = world.clone();
        change(&mut world);
        assert_eq!(world.verdict().directions.forward.cut, Cut::Unanswered);
    }
    world.rules(Side::Acceptor).pop();
    assert_eq!(blamed(&world.verdict()), [CauseCode::SgIngressMissing]);
}

#[test]
fn syns_that_arrive_and_stay_unanswered_are_the_guests_and_refute_what_would_stop_them_before() {
    let mut world = world(Protocol::Tcp, End::Silent, Some(Wire::Through));
    arrivals(&mut world, PROBES, 0);
    let verdict = world.verdict();
    assert_eq!((verdict.state, blamed(&verdict), verdict.directions.forward.cut), (State::Broken, vec![], Cut::S3));
    let [suspect] = verdict.suspects.as_slice() else { panic!("{:?}", verdict.suspects) };
    assert!(suspect.codes.contains(&CauseCode::GuestFirewall) && !suspect.codes.contains(&CauseCode::FabricFault));
    assert!(suspect.decided_by.contains("40 SYNs reached TCP port 443"), "{}", suspect.decided_by);
    let zh = diagnose_in(&world.case.question(), Lang::Zh);
    assert!(zh.suspects[0].decided_by.contains("40 个 SYN 已到达"), "{}", zh.suspects[0].decided_by);
    let mut refuted = world.clone();
    refuted.rules(Side::Acceptor).pop();
    let verdict = refuted.verdict();
    assert!(blamed(&verdict).contains(&CauseCode::ModelContradicted), "{:?}", verdict.causes);
    drop_port(&mut world, Side::Acceptor, FirewallHook::Input, Field::TcpDestinationPort, 443);
    let verdict = world.verdict();
    assert_eq!((blamed(&verdict), verdict.directions.forward.cut), (vec![CauseCode::GuestFirewall], Cut::S2));
}

#[test]
fn the_direction_of_lost_connections_is_told_and_a_second_syn_tells_nothing_of_it() {
    let mut world = world(Protocol::Tcp, End::Open, None);
    arrivals(&mut world, PROBES, PROBES);
    let lost: SequenceSet = (0..PROBES).filter(|n| n % 4 == 0).collect();
    let kept: SequenceSet = (0..PROBES).filter(|n| n % 4 != 0).collect();
    let round = world.case.probes.last_mut().unwrap();
    round.replied = kept.clone();
    let part = world.case.arrivals.last_mut().unwrap();
    (part.on_wire, part.replied) = (Known::Known(kept.clone()), Known::Known(kept));
    part.watching_ms = Some(60_000);
    let told = world.verdict().directions.forward.loss;
    // The last probe was not lost, so the observer knows which earlier ones did not arrive.
    assert_eq!((told.request.unwrap().lost, told.host.unwrap().lost), (10, 0));
    let round = world.case.probes.last_mut().unwrap();
    round.ports.as_mut().unwrap().resent = lost;
    let told = world.verdict().directions.forward.loss;
    assert_eq!((told.round_trip.unwrap().lost, told.request.unwrap().lost), (10, 0));
}

#[test]
fn answers_that_leave_the_far_host_do_not_refute_what_drops_them_after_it() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let mut world = world(protocol, End::Silent, None);
        arrivals(&mut world, PROBES, PROBES);
        let rule = if protocol == Protocol::Tcp { RuleProtocol::Tcp } else { RuleProtocol::Udp };
        // The ACL accepts packets to the service's port but not the replies from it.
        let mut entry = acl_entry("nae-1", Policy::Accept, rule, "0.0.0.0/0");
        entry.ports = PortRange::new(443, 443).unwrap();
        world.acl(Side::Acceptor, false, vec![entry]);
        let verdict = world.verdict();
        assert_eq!(blamed(&verdict), [CauseCode::NaclEgressBlocked], "{protocol}: {:?}", verdict.causes);
        assert_eq!((verdict.state, verdict.directions.forward.cut), (State::Broken, Cut::S5), "{protocol}");
    }
}
