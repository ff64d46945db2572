//! What leaves a verdict undecided or unconfirmed, and what does not: silent agents, clock offsets, old readings, changes
//! that are settling.

use crate::tests::{summary, world::*};
use crate::{Cut, HealthReport, State, Verdict};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn gaps(verdict: &Verdict) -> Vec<(GapCode, Option<Side>)> {
    verdict.gaps.iter().map(|gap| (gap.code, gap.side)).collect()
}

fn healthy(change: impl FnOnce(&mut World)) -> Verdict {
    let mut world = World::healthy();
    change(&mut world);
    world.verdict()
}

/// As in the tutorial: a ping in one direction proves nothing about the other.
#[test]
fn a_host_without_an_agent_leaves_the_way_from_it_open() {
    let verdict = healthy(|world| {
        world.silence(C);
        world.case.silent.clear();
        world.case.pair.acceptor.agent = None;
    });
    assert_eq!((verdict.state, gaps(&verdict)), (State::Undecided, vec![(GapCode::AgentSilent, Some(C))]));
    assert_eq!(verdict.next_step.as_deref(), Some("an agent on 172.16.1.10"));
}

type Make = fn(&World, &mut World);

#[test]
fn an_agent_is_silent_when_nothing_of_it_was_heard_or_it_is_told_so() {
    let unheard = |world: &mut World| {
        world.silence(C);
        world.case.silent.clear();
    };
    let silent = [(GapCode::AgentSilent, Some(C))];
    let health = |agent: &str| HealthReport { agent: id(agent), at: at(2_000), health: AgentHealth::default() };
    let verdict = healthy(|world| {
        unheard(world);
        world.case.healths.push(health("agent-a"));
    });
    assert_eq!(gaps(&verdict), silent, "what others say is not its word");
    assert_eq!(verdict.gaps[0].what, "no report from the agent agent-b on i-b (172.16.1.10)");
    let heard: [(&str, Make); 3] = [
        ("facts", |from, to| to.case.hosts.extend(from.case.hosts.clone())),
        ("probes", |from, to| to.case.probes.clone_from(&from.case.probes)),
        ("arrivals", |from, to| to.case.arrivals.clone_from(&from.case.arrivals)),
    ];
    for (what, make) in heard {
        let verdict = healthy(|world| {
            unheard(world);
            make(&World::healthy(), world);
        });
        assert!(
            verdict.gaps.iter().all(|gap| gap.what.starts_with("no report of probes")),
            "{what}: {:?}",
            verdict.gaps
        );
    }
    let by_health = healthy(|world| {
        unheard(world);
        world.case.healths.push(health("agent-b"));
    });
    assert_eq!(by_health.gaps[0].what, "no report of probes from 172.16.1.10 that count", "health");
    assert_eq!(gaps(&healthy(|world| world.case.silent.push(id("agent-b")))), silent, "told so");
}

#[test]
fn clocks_differ_from_a_second_beyond_what_they_are_known_to() {
    for (offset_ms, error_ms, told) in
        [(1_000, 0, false), (1_001, 0, true), (1_020, 20, false), (1_021, 20, true), (-1_021, 20, true)]
    {
        let verdict = healthy(|world| world.facts(C).clock = Known::Known(ClockFact { offset_ms, error_ms }));
        let expect: &[_] = if told { &[(GapCode::ClockSkew, Some(C))] } else { &[] };
        assert_eq!(gaps(&verdict), expect, "{offset_ms} ± {error_ms}");
        assert!(!told || verdict.gaps[0].what == format!("the clock on 172.16.1.10 differs by {offset_ms} ms"));
    }
}

#[test]
fn a_reading_is_stale_after_ten_minutes() {
    for (age_ms, told) in [(600_000, false), (600_001, true), (725_000, true)] {
        let verdict = healthy(|world| {
            world.snapshot(I).finished_at = world.case.asked_at;
            world.snapshot(C).finished_at = at(5_000 - age_ms);
        });
        let expect: &[_] = if told { &[(GapCode::ConfigStale, Some(C))] } else { &[] };
        assert_eq!(gaps(&verdict), expect, "{age_ms}");
        let seconds = age_ms / 1000;
        assert!(!told || verdict.gaps[0].what == format!("the configuration of account {B} is {seconds} s old"));
    }
}

#[test]
fn every_part_that_an_account_refuses_is_told() {
    let denied = |action: &str| WhyUnknown::Denied {
        action: action.into(),
        code: "Forbidden.RAM".into(),
        request_id: String::new(),
    };
    let verdict = healthy(|world| {
        let snapshot = world.snapshot(C);
        snapshot.security_groups = Known::Unknown(denied("ecs:DescribeSecurityGroups"));
        snapshot.network_acls = Known::Unknown(denied("vpc:DescribeNetworkAcls"));
        snapshot.changes = Known::Unknown(denied("actiontrail:LookupEvents"));
        world.snapshot(I).network_acls = Known::Unknown(denied("vpc:DescribeNetworkAcls"));
    });
    let grants: Vec<_> = verdict.gaps.iter().map(|gap| gap.closes_with.split(' ').nth(1).unwrap()).collect();
    let (acls, groups) = ("vpc:DescribeNetworkAcls", "ecs:DescribeSecurityGroups");
    let mut sorted = grants.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["actiontrail:LookupEvents", groups, acls, acls], "{:#?}", verdict.gaps);
}

#[test]
fn what_the_reader_is_told_would_permit_it_closes_the_gap() {
    let why = WhyUnknown::NotPermitted { what: "read".into(), closes_with: "turn it on in the settings".into() };
    let verdict = healthy(|world| world.snapshot(C).security_groups = Known::Unknown(why));
    assert_eq!(verdict.gaps[0].closes_with, "turn it on in the settings");
}

/// The verdict if the acceptor's rules changed between readings at these two times; probes ran from 1 000 to 3 600 ms.
fn changed(first_ms: i64, second_ms: i64) -> Verdict {
    healthy(|world| {
        world.case.settle_ms = 60_000;
        let mut before = world.snapshot(C).clone();
        (before.taken_at, before.finished_at) = (at(first_ms), at(first_ms));
        known(&mut known(&mut before.security_groups)[0].rules).push(rule(
            "sgr-old",
            Policy::Accept,
            9,
            RuleProtocol::Tcp,
            RulePeer::Any,
        ));
        let now = world.snapshot(C);
        (now.taken_at, now.finished_at) = (at(second_ms), at(second_ms));
        world.case.snapshots.push(before);
    })
}

#[test]
fn a_change_that_is_settling_is_reported_and_hides_nothing() {
    let stale = |verdict: &Verdict| {
        assert_eq!(verdict.state, State::Healthy, "that is what was observed");
        gaps(verdict).contains(&(GapCode::ConfigStale, None))
    };
    let settling = changed(-30_000, 300);
    assert!(stale(&settling));
    let what = format!("the configuration of account {B} changed 4 s ago; what is observed is confirmed in 56 s");
    assert_eq!(settling.gaps[0].what, what);
    assert!(stale(&changed(-90_000, -59_000)));
    assert!(!stale(&changed(-90_000, -59_001)), "over a minute before the first probe");
    assert!(stale(&changed(3_600, 4_000)));
    assert!(!stale(&changed(3_601, 4_000)), "after the last");
}

/// The change may not be in effect yet: what is left when the configuration explains nothing is not blamed.
#[test]
fn while_a_change_settles_nothing_is_blamed_by_elimination() {
    let broken = |settle_ms: u64, now_closed: bool| {
        let mut world = World::healthy();
        world.wire(Wire::S1, if now_closed { Wire::Through } else { Wire::S1 });
        world.case.settle_ms = settle_ms;
        let mut before = world.snapshot(C).clone();
        (before.taken_at, before.finished_at) = (at(-30_000), at(-30_000));
        if now_closed {
            world.rules(C).clear();
        } else {
            known(&mut known(&mut before.security_groups)[0].rules).clear();
        }
        world.case.snapshots.push(before);
        world.verdict()
    };
    let opened = broken(60_000, false);
    assert_eq!((opened.state, summary::blamed(&opened)), (State::Broken, vec![]));
    let confirmed = summary::blamed_codes(&broken(0, false));
    assert!(confirmed.contains(&"fabric-fault".to_owned()));
    assert_eq!(summary::suspected(&opened), confirmed);
    assert_eq!(opened.next_step.as_deref(), Some("a verdict on probes sent after the change has settled"));
    let closed = broken(60_000, true);
    assert_eq!(
        (closed.state, summary::blamed(&closed)),
        (State::Broken, vec!["sg-ingress-missing acceptor sg-b".to_owned()])
    );
}

#[test]
fn the_latest_evidence_dates_the_verdict() {
    assert_eq!(World::healthy().verdict().evidence_at, Some(at(3_600)));
    assert_eq!(healthy(|world| world.facts(C).at = at(4_000)).evidence_at, Some(at(4_000)));
    assert_eq!(healthy(|world| world.snapshot(C).finished_at = at(4_500)).evidence_at, Some(at(4_500)));
}

#[test]
fn the_newest_facts_count_and_of_two_of_one_time_the_same_in_any_order() {
    let ignoring = |now_ms: i64, turned: bool| {
        let mut world = World::healthy();
        world.wire(Wire::S3, Wire::Through);
        let mut other = world.facts(C).clone();
        (other.at, other.sysctls.echo_ignore_all) = (at(now_ms), Known::Known(true));
        world.case.hosts.push(other);
        if turned {
            world.case.hosts.reverse();
        }
        summary::blamed(&world.verdict())
    };
    for turned in [false, true] {
        assert_eq!(ignoring(2_500, turned), ["guest-echo-ignored acceptor i-b"]);
        assert_eq!(ignoring(1_500, turned), Vec::<String>::new(), "it was so before");
    }
    assert_eq!(ignoring(2_000, false), ignoring(2_000, true));
}

#[test]
fn replies_that_the_far_end_did_not_see_are_a_strangers_only_where_requests_are_led_astray() {
    let mut world = World::healthy();
    world.case.arrivals.retain(|part| part.observer.as_str() != "agent-b");
    world.rules(C).clear();
    assert_eq!(summary::blamed(&world.verdict()), ["model-contradicted acceptor sg-b"], "a closed group leads nowhere");
}

#[test]
fn what_a_guest_sends_elsewhere_it_has_made() {
    let cut = |wire: Wire, change: fn(&mut World)| {
        let mut world = World::healthy();
        world.wire(wire, Wire::S1);
        change(&mut world);
        world.verdict().directions.forward.cut
    };
    let astray = |world: &mut World| {
        world.facts(C).routes[0].outcome = Known::Known(RouteOutcome::Via {
            interface: "br0".into(),
            source: None,
            gateway: None,
            prefix: Some(cidr("192.168.0.0/20")),
        });
    };
    assert_eq!(cut(Wire::S3, astray), Cut::S4);
    assert_eq!(cut(Wire::S1, astray), Cut::S1);
    assert_eq!(cut(Wire::S3, |world| world.facts(C).sysctls.echo_ignore_all = Known::Known(true)), Cut::S3);
}

#[test]
fn loss_one_way_degrades_though_the_other_way_is_not_measured() {
    let mut world = World::healthy();
    world.wire(Wire::LosesRequests(20), Wire::Through);
    world.silence(C);
    assert_eq!(world.verdict().state, State::Degraded);
    // A few lost packets on each of several parts of the path are normal for any network.
    let mut world = World::healthy();
    let without = |lost: u32| -> SequenceSet { (lost..SENT).collect() };
    let part = world.case.arrivals.iter_mut().find(|part| part.observer.as_str() == "agent-b").unwrap();
    (part.on_wire, part.accepted) = (Known::Known(without(2)), Known::Known(without(2)));
    part.replied = Known::Known(without(2));
    let round = world.case.probes.iter_mut().find(|round| round.key.agent.as_str() == "agent-a").unwrap();
    round.replied = without(4);
    assert_eq!((world.verdict().state, summary::blamed(&world.verdict())), (State::Healthy, vec![]));
}
