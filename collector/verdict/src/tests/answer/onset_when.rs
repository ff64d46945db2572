//! When a pair broke and between which readings: which rounds and readings of a longer record count.

use crate::Onset;
use crate::tests::world::*;
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;
/// How long before the bad rounds the good ones were, in milliseconds.
const AGO: i64 = 600_000;

fn moved(time: Timestamp, by: i64) -> Timestamp {
    Timestamp::from_millis(time.as_millis() + by)
}

type Spoil = fn(&mut ProbeRound);
/// Time of a reading in milliseconds, the side that was read, and how it differed from the healthy one.
type Reading = (i64, Side, fn(&mut World));

/// The pair worked ten minutes ago and is dead now; its configuration was read as given.
fn record(readings: &[Reading]) -> World {
    let mut world = World::healthy();
    for mut round in world.case.probes.clone() {
        (round.started_at, round.ended_at) = (moved(round.started_at, -AGO), moved(round.ended_at, -AGO));
        round.key.round = (round.key.round.bits() - 1).into();
        world.case.earlier.push(round);
    }
    world.wire(Wire::S5, Wire::S1);
    world.case.snapshots.clear();
    for (taken, side, edit) in readings {
        let mut then = World::healthy();
        edit(&mut then);
        let mut snapshot = then.snapshot(*side).clone();
        (snapshot.taken_at, snapshot.finished_at) = (at(*taken), at(*taken + 300));
        world.case.snapshots.push(snapshot);
    }
    world
}

fn whole(_: &mut World) {}

fn unrouted(world: &mut World) {
    world.entries(C).truncate(1);
}

fn closed(world: &mut World) {
    world.rules(C).clear();
}

fn onset(world: &World) -> Onset {
    world.verdict().onset.expect("an onset")
}

/// Id of each changed object, and the times in milliseconds between which it changed.
fn told(onset: &Onset) -> Vec<(String, i64, i64)> {
    let ms = |time: Timestamp| time.as_millis() - at(0).as_millis();
    let triggers = onset.triggers.iter();
    triggers.map(|trigger| (trigger.object.id.clone(), ms(trigger.not_before), ms(trigger.not_after))).collect()
}

#[test]
fn a_change_lies_between_the_two_neighbouring_readings_that_tell_it() {
    let mut readings: Vec<Reading> =
        vec![(-700_000, I, whole), (-700_000, C, whole), (4_000, I, whole), (4_000, C, unrouted)];
    assert_eq!(told(&onset(&record(&readings))), [("vtb-b".to_owned(), -700_000, 4_300)]);
    readings.extend([(-500_000, C, whole as fn(&mut World)), (-300_000, C, unrouted), (-100_000, C, unrouted)]);
    assert_eq!(told(&onset(&record(&readings))), [("vtb-b".to_owned(), -500_000, -299_700)]);
    // A reading of the other account, and one from before the pair last worked, do not narrow down the time.
    readings.extend([(-400_000, I, whole as fn(&mut World)), (-900_000, C, unrouted)]);
    assert_eq!(told(&onset(&record(&readings))), [("vtb-b".to_owned(), -500_000, -299_700)]);
}

#[test]
fn what_changed_after_the_outage_began_is_no_trigger() {
    // The first reading after the first unanswered round shows what broke the pair; later ones show further changes.
    let both: fn(&mut World) = |world| {
        unrouted(world);
        closed(world);
    };
    for first in [1_000, 4_000] {
        let world = record(&[
            (-700_000, I, whole),
            (-700_000, C, whole),
            (first, C, unrouted),
            (9_000, I, whole),
            (9_000, C, both),
        ]);
        let found = onset(&world);
        assert!(found.explained, "{}", found.text);
        assert_eq!(told(&found), [("vtb-b".to_owned(), -700_000, first + 300)]);
    }
}

#[test]
fn of_readings_while_it_broke_the_last_counts() {
    let world = record(&[
        (-700_000, I, whole),
        (-700_000, C, whole),
        (-500_000, C, closed),
        (-300_000, C, unrouted),
        (-300_000, I, whole),
    ]);
    assert_eq!(told(&onset(&world)), [("vtb-b".to_owned(), -500_000, -299_700)]);
}

fn facts(world: &mut World, taken: i64, ignored: bool) {
    let mut facts = world.case.hosts.iter().find(|facts| facts.agent.as_str() == "agent-b").unwrap().clone();
    (facts.at, facts.sysctls.echo_ignore_all) = (at(taken), Known::Known(ignored));
    world.case.hosts.push(facts);
}

#[test]
fn of_a_hosts_facts_those_right_after_the_outage_began_count() {
    for first in [1_000, 4_000] {
        let mut world = record(&[(-700_000, I, whole), (-700_000, C, whole)]);
        world.wire(Wire::S3, Wire::S1);
        world.facts(C).at = at(-700_000);
        facts(&mut world, first, true);
        facts(&mut world, 9_000, false);
        let found = onset(&world);
        assert_eq!(told(&found), [("i-b".to_owned(), -700_000, first)], "{}", found.text);
    }
}

#[test]
fn a_setting_that_was_not_read_before_is_no_change() {
    type Set = fn(&mut World);
    let settings: [(Wire, Set); 2] = [
        (Wire::S2, |world| world.refuse(C, FirewallHook::Input, Some(1), Some(4))),
        (Wire::S3, |world| world.facts(C).sysctls.echo_ignore_all = Known::Known(true)),
    ];
    for (wire, set) in settings {
        let mut world = record(&[(-700_000, I, whole), (-700_000, C, whole)]);
        world.wire(wire, Wire::S1);
        set(&mut world);
        let mut before = World::healthy().facts(C).clone();
        (before.at, before.firewall) = (at(-700_000), Known::default());
        before.sysctls.echo_ignore_all = Known::default();
        world.case.hosts.push(before);
        let found = onset(&world);
        assert!(!found.explained && found.triggers.is_empty(), "{}", found.text);
    }
}

#[test]
fn only_whole_rounds_of_the_pairs_own_flow_tell_when_it_worked() {
    let readings: [Reading; 4] = [(-700_000, I, whole), (-700_000, C, whole), (4_000, I, whole), (4_000, C, unrouted)];
    let expected = onset(&record(&readings));
    assert_eq!((expected.last_good, expected.first_bad), (at(3_600 - AGO), at(1_000)));
    let spoils: [Spoil; 5] = [
        |round| round.purpose = RoundPurpose::PathSize,
        |round| round.pair = id("another"),
        |round| round.target = ip("172.16.1.99"),
        |round| round.key.agent = id("agent-x"),
        |round| round.own_drops = 3,
    ];
    for (n, spoil) in spoils.into_iter().enumerate() {
        let mut world = record(&readings);
        // Rounds that were answered after the pair died, but that belong to something else.
        for mut round in world.case.earlier.clone() {
            (round.started_at, round.ended_at, round.key.round) = (at(3_700), at(3_900), 2_000.into());
            spoil(&mut round);
            world.case.earlier.push(round);
        }
        let found = onset(&world);
        assert_eq!((found.last_good, found.first_bad), (expected.last_good, expected.first_bad), "{n}");
    }
}
