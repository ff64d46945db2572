//! When an outage began, by which rounds and readings, and what was known before.

use super::world::*;
use crate::Onset;
use pingtong_evidence::*;

const C: Side = Side::Acceptor;
/// The good reading and rounds are so much older than the bad ones.
const AGE_MS: i64 = 600_000;

/// The healthy tutorial ten minutes ago; now requests go unanswered because the acceptor's route back is gone.
fn outage() -> World {
    broke(|world| world.entries(C).truncate(1), Wire::S5)
}

fn broke(change: impl FnOnce(&mut World), forward: Wire) -> World {
    let (mut world, good) = (World::healthy(), World::healthy());
    world.wire(forward, Wire::S1);
    change(&mut world);
    for snapshot in &mut world.question.snapshots {
        (snapshot.taken_at, snapshot.finished_at) = (at(4_000), at(4_300));
    }
    for facts in &mut world.question.hosts {
        facts.at = at(4_100);
    }
    for mut round in good.question.probes {
        (round.started_at, round.ended_at) = (at(1_000 - AGE_MS), at(3_600 - AGE_MS));
        round.key.round = 1;
        world.question.earlier.push(round);
    }
    for snapshot in good.question.snapshots {
        reading(&mut world, &snapshot, -AGE_MS, |_| {});
    }
    for mut facts in good.question.hosts {
        facts.at = at(500 - AGE_MS);
        world.question.hosts.push(facts);
    }
    world
}

/// Another reading like `model`, at that time.
fn reading(world: &mut World, model: &Snapshot, at_ms: i64, change: impl FnOnce(&mut Snapshot)) {
    let mut snapshot = model.clone();
    (snapshot.taken_at, snapshot.finished_at) = (at(at_ms), at(at_ms + 300));
    change(&mut snapshot);
    world.question.snapshots.push(snapshot);
}

fn healthy_acceptor() -> Snapshot {
    World::healthy().snapshot(C).clone()
}

fn unrouted(snapshot: &mut Snapshot) {
    known(&mut known(&mut snapshot.route_tables)[0].entries).truncate(1);
}

fn onset(world: &World) -> Onset {
    world.verdict().onset.expect("an onset")
}

fn objects(onset: &Onset) -> Vec<&str> {
    onset.triggers.iter().map(|trigger| trigger.object.id.as_str()).collect()
}

type Other = fn(&mut ProbeRound);

#[test]
fn it_began_between_the_last_good_round_and_the_first_bad_one_of_this_very_pair() {
    let plain = onset(&outage());
    assert_eq!((plain.last_good, plain.first_bad), (at(3_600 - AGE_MS), at(1_000)));
    assert_eq!(objects(&plain), ["vtb-b"]);
    let others: [(&str, Other); 5] = [
        ("of another pair", |round| round.pair = id("pair2")),
        ("to another host", |round| round.target = ip("172.16.1.99")),
        ("by another agent", |round| round.key.agent = id("agent-x")),
        ("of whole packets", |round| round.dont_fragment = true),
        ("by a prober that dropped packets", |round| round.own_drops = 1),
    ];
    for (what, other) in others {
        let mut world = outage();
        let mut later = world.question.earlier[0].clone();
        (later.started_at, later.ended_at, later.key.round) = (at(-5_000), at(-4_000), 3);
        other(&mut later);
        world.question.earlier.push(later);
        let found = onset(&world);
        assert_eq!((found.last_good, found.first_bad), (plain.last_good, plain.first_bad), "a round {what}");
    }
}

#[test]
fn it_is_told_of_pairs_that_are_down_alone() {
    let mut world = outage();
    // The bad round is followed by one that is answered: it lost packets, and is not down.
    for round in world.question.earlier.clone() {
        let key = RoundKey { round: 9, ..round.key.clone() };
        world.question.probes.push(ProbeRound { key, started_at: at(500), ended_at: at(900), ..round });
    }
    assert_eq!(world.verdict().onset, None);
}

#[test]
fn the_first_reading_after_it_broke_tells_what_changed_and_no_later_one() {
    let mut world = outage();
    world.question.snapshots.retain(|snapshot| snapshot.taken_at != at(4_000) || snapshot.account.as_str() == A);
    // Unchanged after the last good round and before the first bad one; changed when it broke; changed further since.
    reading(&mut world, &healthy_acceptor(), -1_000, |_| {});
    reading(&mut world, &healthy_acceptor(), 1_000, unrouted);
    reading(&mut world, &healthy_acceptor(), 4_000, |snapshot| {
        unrouted(snapshot);
        known(&mut known(&mut snapshot.security_groups)[0].rules).clear();
    });
    assert_eq!(objects(&onset(&world)), ["vtb-b"]);
}

#[test]
fn the_first_facts_after_it_broke_tell_what_changed_and_no_later_ones() {
    let ignore = |world: &mut World| world.facts(C).sysctls.echo_ignore_all = Known::Known(true);
    let mut world = broke(ignore, Wire::S3);
    let now = world.question.hosts.iter().position(|facts| facts.agent.as_str() == "agent-b").unwrap();
    let bad = world.question.hosts.remove(now);
    let good = world.question.hosts.iter().find(|facts| facts.agent == bad.agent).unwrap().clone();
    let mut later = bad.clone();
    later.routes[0].outcome = Known::Known(RouteOutcome::Refused { errno: 101 });
    for (facts, at_ms) in [(good, -1_000), (bad, 1_000), (later, 4_000)] {
        world.question.hosts.push(HostFacts { at: at(at_ms), ..facts });
    }
    let what: Vec<_> = onset(&world).triggers.into_iter().map(|trigger| trigger.what).collect();
    assert_eq!(what, ["net.ipv4.icmp_echo_ignore_all changed"]);
}

#[test]
fn a_change_lies_between_the_two_neighbouring_readings_that_differ_by_it() {
    let between = |world: &World| {
        let found = onset(world);
        assert_eq!(objects(&found), ["vtb-b"]);
        (found.triggers[0].not_before, found.triggers[0].not_after)
    };
    let mut world = outage();
    assert_eq!(between(&world), (at(-AGE_MS), at(4_300)));
    // Long before, the route was missing once already; that is none of this outage.
    reading(&mut world, &healthy_acceptor(), -2 * AGE_MS, unrouted);
    assert_eq!(between(&world), (at(-AGE_MS), at(4_300)));
    // The other account's readings say nothing of this one's.
    let other = World::healthy().snapshot(Side::Initiator).clone();
    reading(&mut world, &other, -400_000, |_| {});
    assert_eq!(between(&world), (at(-AGE_MS), at(4_300)));
    reading(&mut world, &healthy_acceptor(), -300_000, |_| {});
    assert_eq!(between(&world), (at(-300_000), at(4_300)));
    reading(&mut world, &healthy_acceptor(), -200_000, unrouted);
    assert_eq!(between(&world), (at(-300_000), at(-199_700)));
    reading(&mut world, &healthy_acceptor(), -100_000, unrouted);
    assert_eq!(between(&world), (at(-300_000), at(-199_700)));
}

#[test]
fn what_was_not_known_before_did_not_change() {
    type Make = fn(&mut HostFacts);
    let cases: [(Make, Make, Wire); 2] = [
        (
            |facts| facts.sysctls.echo_ignore_all = Known::Known(true),
            |facts| facts.sysctls.echo_ignore_all = Known::default(),
            Wire::S3,
        ),
        (
            |facts| {
                let rule = FirewallRule {
                    family: "inet".into(),
                    table: "guard".into(),
                    chain: "in".into(),
                    hook: FirewallHook::Input,
                    handle: Some(4),
                    verdict: FirewallVerdict::Drop,
                    protocol: Some(1),
                    limited: false,
                    text: String::new(),
                };
                facts.firewall =
                    Known::Known(FirewallFact { refusing: vec![rule], base_chains: 1, legacy_tables: false });
            },
            |facts| facts.firewall = Known::default(),
            Wire::S2,
        ),
    ];
    for (now, before, wire) in cases {
        let mut world = broke(|world| now(world.facts(C)), wire);
        assert!(onset(&world).explained);
        for facts in world.question.hosts.iter_mut().filter(|facts| facts.at < at(0)) {
            before(facts);
        }
        let found = onset(&world);
        assert!(!found.explained && found.triggers.is_empty(), "{found:?}");
    }
}
