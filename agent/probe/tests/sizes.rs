//! The size search on paths of a known size: exact, bounded, and not misled by a dead pair or by chance losses.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use pingtong_evidence::{
    AgentId, Nanos, PairId, ProbeRound, RoundKey, RoundPurpose, RttSummary, SendErrors, SequenceSet,
};
use pingtong_probe::{RoundOrder, SizeBounds, SizeGoal, SizeSearch};
use proptest::prelude::*;
use std::time::Duration;

fn goal(mtu: u32) -> SizeGoal {
    SizeGoal {
        pair: PairId::parse("p").unwrap(),
        target: [172, 16, 1, 10].into(),
        request: None,
        bucket: None,
        mtu,
        timeout: Duration::from_secs(1),
        known: None,
    }
}

/// The round as the prober would close it, with this many of its probes answered.
fn closed(order: &RoundOrder, replied: u32) -> ProbeRound {
    let rtt = Nanos(3_000_000);
    let key = RoundKey { agent: AgentId::parse("a").unwrap(), round: 1.into() };
    ProbeRound {
        request: order.request.clone(),
        payload_bytes: u32::try_from(order.payload_bytes).unwrap(),
        purpose: order.purpose,
        replied: SequenceSet::first(replied),
        rtt: (replied > 0).then_some(RttSummary {
            samples: replied.into(),
            min: rtt,
            mean: rtt,
            p50: rtt,
            p95: rtt,
            p99: rtt,
            max: rtt,
            jitter: Nanos(0),
            kernel_timestamps: true,
            kernel_departures: true,
        }),
        ..ProbeRound::unanswered(key, order.pair.clone(), order.target, order.probes)
    }
}

/// Runs a search to its end; returns its result, the number of probes, and the longest time that its rounds could take.
fn run(search: &mut SizeSearch, mut answers: impl FnMut(&RoundOrder) -> u32) -> (Option<SizeBounds>, u32, Duration) {
    let (mut probes, mut lasting) = (0, Duration::ZERO);
    for _ in 0..100 {
        let orders = search.orders();
        if orders.is_empty() {
            assert!(search.is_over(), "nothing is under way and nothing is ordered");
            return (search.found(), probes, lasting);
        }
        let longest = orders.iter().map(|order| order.spacing * order.probes + order.timeout).max();
        lasting += longest.unwrap_or_default();
        for order in &orders {
            assert_eq!(order.purpose, RoundPurpose::PathSize);
            probes += order.probes;
            let replied = answers(order);
            assert!(search.take(&closed(order, replied)));
        }
    }
    unreachable!("the search does not end")
}

/// The round as the prober would close it if a busy host sent only this many of its probes, and none was answered.
fn hardly_sent(order: &RoundOrder, sent: u32) -> ProbeRound {
    ProbeRound { sent: SequenceSet::first(sent), ..closed(order, 0) }
}

#[test]
fn a_size_that_a_busy_host_could_not_send_is_tried_again_and_is_no_bound() {
    let mut search = SizeSearch::new(goal(1_500));
    let mut path = path(1_387);
    for n in 0..100u32 {
        let orders = search.orders();
        if orders.is_empty() {
            assert!(search.is_over());
            break;
        }
        for (place, order) in orders.iter().enumerate() {
            // Every second batch loses its last round to the host: all of it or all but one probe.
            let spoilt = place + 1 == orders.len() && n % 2 == 0;
            let round = if spoilt { hardly_sent(order, n / 2 % 2) } else { closed(order, path(order)) };
            assert!(search.take(&round));
        }
    }
    assert_eq!(search.found(), Some(SizeBounds { passes: 1_387, dies: Some(1_388) }));
}

#[test]
fn a_search_whose_rounds_are_never_sent_ends_without_a_result() {
    let mut search = SizeSearch::new(goal(1_500));
    let mut batches = 0;
    while !search.is_over() {
        for order in search.orders() {
            let round = if order.payload_bytes == 56 { closed(&order, 3) } else { hardly_sent(&order, 0) };
            assert!(search.take(&round));
        }
        batches += 1;
        assert!(batches < 100, "the search does not end");
    }
    assert_eq!(search.found(), None);
}

#[test]
fn a_round_that_the_kernel_refuses_is_a_bound_and_one_with_own_drops_is_none() {
    let mut search = SizeSearch::new(goal(1_500));
    let first = search.orders();
    let refused = SendErrors { errno: 90, probes: SequenceSet::first(3) };
    assert!(search.take(&closed(&first[0], 3)));
    assert!(search.take(&ProbeRound { send_errors: vec![refused], ..hardly_sent(&first[1], 0) }));
    let second = search.orders();
    assert!(second.iter().all(|order| order.payload_bytes + 28 < 1_500), "1500 is a bound: {second:?}");
    for order in &second {
        assert!(search.take(&ProbeRound { own_drops: 1, ..closed(order, 0) }));
    }
    assert_eq!(search.orders(), second, "what the host's queue dropped is tried again");
}

fn path(passes: u32) -> impl FnMut(&RoundOrder) -> u32 {
    move |order| if order.payload_bytes + 28 <= passes as usize { order.probes } else { 0 }
}

proptest! {
    #[test]
    fn any_path_is_found_to_the_byte_within_a_bound(mtu in 85u32..=65_535, share in 0u32..=1_000) {
        let passes = 84 + (mtu - 84) * share / 1_000;
        let (found, probes, _) = run(&mut SizeSearch::new(goal(mtu)), path(passes));
        let dies = (passes < mtu).then_some(passes + 1);
        prop_assert_eq!(found, Some(SizeBounds { passes, dies }));
        prop_assert!(probes <= 150, "{} probes", probes);
    }

    #[test]
    fn one_lost_batch_of_a_size_is_found_out(passes in 400u32..1_500, lost in 0usize..18) {
        let mut round = 0;
        let mut truth = path(passes);
        let (found, ..) = run(&mut SizeSearch::new(goal(1_500)), |order| {
            let base = order.payload_bytes + 28 == 84;
            round += 1;
            // The final confirmation has more probes; losing all of those by chance is a different case.
            if round == lost && !base && order.probes == 3 { 0 } else { truth(order) }
        });
        prop_assert_eq!(found, Some(SizeBounds { passes, dies: Some(passes + 1) }));
    }
}

#[test]
fn the_usual_search_is_short() {
    let (found, probes, lasting) = run(&mut SizeSearch::new(goal(1_500)), path(1_400));
    assert_eq!(found, Some(SizeBounds { passes: 1_400, dies: Some(1_401) }));
    assert!(probes <= 90 && lasting <= Duration::from_millis(2_200), "{probes} probes, {lasting:?}");
    let (found, probes, lasting) = run(&mut SizeSearch::new(goal(1_500)), path(1_500));
    assert_eq!((found, probes), (Some(SizeBounds { passes: 1_500, dies: None }), 6));
    assert!(lasting <= Duration::from_millis(1_060));
}

#[test]
fn a_dead_pair_ends_the_search_at_once() {
    let (found, probes, _) = run(&mut SizeSearch::new(goal(1_500)), |_| 0);
    assert_eq!((found, probes), (None, 6));
    let (found, ..) = run(&mut SizeSearch::new(goal(65_536)), path(70_000));
    assert_eq!(found.unwrap().passes, 65_535, "a loopback's size is no packet's");
    let (found, probes, _) = run(&mut SizeSearch::new(goal(84)), |_| 0);
    assert_eq!((found, probes), (None, 0));
}

#[test]
fn a_known_boundary_is_only_looked_at_again_and_a_moved_one_is_searched_anew() {
    let known = SizeBounds { passes: 1_400, dies: Some(1_401) };
    let again = || SizeSearch::new(SizeGoal { known: Some(known), ..goal(1_500) });
    let (found, probes, _) = run(&mut again(), path(1_400));
    assert_eq!((found, probes), (Some(known), 18));
    for passes in [1_200, 1_450, 1_500] {
        let (found, ..) = run(&mut again(), path(passes));
        assert_eq!(found.unwrap().passes, passes);
    }
}

#[test]
fn rounds_of_others_are_left_alone() {
    let mut search = SizeSearch::new(goal(1_500));
    let orders = search.orders();
    let mut other = closed(&orders[0], 3);
    other.purpose = RoundPurpose::Connectivity;
    assert!(!search.take(&other));
    other.purpose = RoundPurpose::PathSize;
    other.payload_bytes = 999;
    assert!(!search.take(&other));
    assert!(search.orders().is_empty(), "a batch is under way");
}
