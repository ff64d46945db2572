//! What the counts of one direction mean: whether they are valid, how far packets are known to get, where they die.

use crate::tests::world::*;
use crate::{
    Cut,
    observe::{Leg, Observed},
};
use pingtong_evidence::*;

fn counts(rounds: u64, sent: u64, received: u64) -> Observed {
    let mut seen = Observed::default();
    (seen.rounds, seen.sent, seen.received) = (rounds, sent, received);
    seen
}

fn leg(of: u64, passed: u64) -> Leg {
    Leg { of, passed }
}

#[test]
fn counts_are_valid_from_a_round_on_unless_the_prober_dropped_what_is_missing() {
    for (rounds, sent, received, refused, own_drops, valid) in [
        (0, 0, 0, 0, 0, false),
        (0, 10, 0, 0, 0, false),
        (0, 0, 0, 5, 0, false),
        (1, 0, 0, 0, 0, false),
        (1, 0, 0, 5, 0, true),
        (1, 10, 0, 0, 0, true),
        (1, 10, 9, 0, 3, false),
        (1, 10, 10, 0, 3, true),
    ] {
        let mut seen = counts(rounds, sent, received);
        seen.own_drops = own_drops;
        if refused > 0 {
            seen.errors.insert(101, refused);
        }
        assert_eq!(seen.valid(), valid, "{seen:?}");
        let loss = seen.report(Cut::None).loss.round_trip;
        assert_eq!(loss.is_some(), valid && sent > 0, "a share of what does not count is none: {seen:?}");
    }
}

#[test]
fn loss_needs_replies_and_something_missing_that_counts() {
    let dropped = |mut seen: Observed| {
        seen.own_drops = 1;
        seen
    };
    for (seen, lossy, dead) in [
        (counts(1, 10, 9), true, false),
        (counts(1, 10, 10), false, false),
        (counts(1, 10, 0), false, true),
        (counts(0, 10, 9), false, false),
        (dropped(counts(1, 10, 9)), false, false),
        (dropped(counts(1, 10, 0)), false, false),
    ] {
        assert_eq!((seen.lossy(), seen.dead()), (lossy, dead), "{seen:?}");
    }
}

#[test]
fn packets_come_as_far_as_any_observer_saw_them_and_a_reply_proves_the_whole_way() {
    let far = |seen: &Observed| [seen.arrives(), seen.accepted(), seen.answered()];
    assert_eq!(far(&counts(1, 10, 0)), [false; 3], "nobody looked");
    assert_eq!(far(&counts(1, 10, 1)), [true; 3], "nobody looked, and a reply came");
    let mut seen = counts(1, 10, 0);
    (seen.request, seen.accept, seen.answer) = (Some(leg(10, 0)), Some(leg(0, 0)), Some(leg(0, 0)));
    assert_eq!(far(&seen), [false; 3]);
    (seen.request, seen.accept, seen.answer) = (Some(leg(10, 3)), Some(leg(3, 0)), Some(leg(0, 0)));
    assert_eq!(far(&seen), [true, false, false]);
    (seen.accept, seen.answer) = (Some(leg(3, 2)), Some(leg(2, 0)));
    assert_eq!(far(&seen), [true, true, false]);
    seen.answer = Some(leg(2, 1));
    assert_eq!(far(&seen), [true; 3]);
    // Packets that one observer saw die do not outweigh a reply.
    let mut seen = counts(1, 10, 1);
    (seen.request, seen.accept, seen.answer) = (Some(leg(10, 0)), Some(leg(0, 0)), Some(leg(0, 0)));
    assert_eq!(far(&seen), [true; 3]);
}

#[test]
fn replies_of_a_stranger_are_no_replies_of_the_target() {
    let target = ip("172.16.1.10");
    let mut seen = counts(2, 10, 7);
    seen.strangers.insert(target, 2);
    seen.rtt = Some(RttSummary {
        samples: 7,
        min: Nanos(1),
        mean: Nanos(1),
        p50: Nanos(1),
        p95: Nanos(1),
        p99: Nanos(1),
        max: Nanos(1),
        jitter: Nanos(0),
        kernel_timestamps: true,
        kernel_departures: true,
    });
    (seen.request, seen.accept, seen.answer, seen.reply) =
        (Some(leg(10, 7)), Some(leg(7, 7)), Some(leg(7, 7)), Some(leg(7, 7)));
    let masked = seen.answered_by_stranger(target);
    assert_eq!(masked.strangers.get(&target), Some(&9));
    let report = masked.report(Cut::None);
    assert_eq!((report.sent, report.received, report.rtt), (10, 0, None));
    assert_eq!((report.arrived, report.answered, report.cut), (Some(0), None, Cut::S1));
}
