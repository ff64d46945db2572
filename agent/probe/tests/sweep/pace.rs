//! The pace on a virtual clock, with a loop that wakes late and sometimes very late.

use crate::world::{World, ms, order, us};
use proptest::prelude::*;
use std::time::Duration;

/// Runs a sweep of `targets` with `count` probes each and returns the departure times. `delays` are how late the loop
/// wakes, in microseconds, used in turn.
fn departures(targets: usize, count: u64, period: Duration, rate: u32, delays: &[u64]) -> Vec<Duration> {
    let mut settings = order(targets, count);
    (settings.period, settings.rate_pps) = (period, rate);
    let mut world = World::new(settings);
    let mut times = vec![];
    let mut delays = delays.iter().cycle();
    while (times.len() as u64) < targets as u64 * count {
        for probe in world.send() {
            times.push(world.now);
            world.answer(&probe, world.now + us(10));
        }
        world.sweep.drained(world.now);
        let Some(next) = world.sweep.next_deadline(world.now) else { break };
        world.now = next.max(world.now) + us(*delays.next().unwrap());
    }
    times
}

fn rate_of(times: &[Duration]) -> f64 {
    let span = times.last().unwrap().abs_diff(times[0]);
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let rate = (times.len() - 1) as f64 / span.as_secs_f64();
    rate
}

fn burst(times: &[Duration], within: Duration) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, time) in times.iter().enumerate() {
        while *time >= times[first] + within {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

fn rates() -> impl Strategy<Value = u32> {
    prop_oneof![Just(700u32), Just(1_000), Just(4_000), Just(5_000), Just(20_000), 700u32..60_000]
}

/// Maximum level of a bucket that drains at `rate`: the burst that a policer on the path would have to pass at once.
fn deepest(times: &[Duration], rate: u32) -> f64 {
    let (mut level, mut most, mut before) = (0.0f64, 0.0f64, times[0]);
    for time in times {
        level = (level - time.abs_diff(before).as_secs_f64() * f64::from(rate)).max(0.0) + 1.0;
        (most, before) = (most.max(level), *time);
    }
    most
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn the_rate_holds_within_half_a_hundredth(
        rate in rates(),
        mut delays in proptest::collection::vec(0u64..120, 50),
        stalls in proptest::collection::vec((0usize..50, 200u64..800), 0..9),
    ) {
        for (at, delay) in stalls {
            delays[at] = delay;
        }
        let times = departures(10, u64::from(rate) / 10, Duration::ZERO, rate, &delays);
        let error = (rate_of(&times) / f64::from(rate) - 1.0).abs();
        prop_assert!(error <= 0.005, "{error}");
    }

    #[test]
    fn no_more_than_three_milliseconds_worth_leaves_together_nor_a_policer_sees_more_than_a_probe_beyond(
        rate in rates(),
        mut delays in proptest::collection::vec(0u64..120, 50),
        stalls in proptest::collection::vec((0usize..50, 1_000u64..50_000), 0..9),
    ) {
        for (at, delay) in stalls {
            delays[at] = delay;
        }
        let times = departures(10, u64::from(rate) / 30, Duration::ZERO, rate, &delays);
        let most = deepest(&times, rate);
        prop_assert!(most <= f64::from(rate) * 3e-3 + 1.0, "{most} of {rate}");
        // From 5,000 per second on there are ticks of one millisecond, two of which may follow each other at once.
        let within = if rate < 5_000 { us(1) } else { ms(1) };
        let together = burst(&times, within);
        prop_assert!(together * 1_000 <= usize::try_from(rate * 3).unwrap() + 1_000, "{together} of {rate}");
    }
}

#[test]
fn the_period_is_per_target_and_targets_are_spread_over_it() {
    let times = departures(1_000, 3, ms(1_000), 1_000_000, &[60]);
    assert!((rate_of(&times) / 1_000.0 - 1.0).abs() <= 0.005);
    assert!(burst(&times, ms(100)) <= 103);
}

#[test]
fn the_rate_over_all_bounds_a_period_that_asks_for_more() {
    let times = departures(1_000, 3, ms(10), 10_000, &[60]);
    assert!((rate_of(&times) / 10_000.0 - 1.0).abs() <= 0.005);
}

#[test]
fn probers_started_together_do_not_stay_together_and_none_drifts() {
    let gaps = |seed: u64| {
        let mut settings = order(1, 200);
        settings.seed = seed;
        let mut world = World::new(settings);
        let mut times = vec![];
        world.run(|probe| {
            times.push(probe.at);
            vec![us(10)]
        });
        times
    };
    let (one, other) = (gaps(1), gaps(2));
    assert_eq!(one[0], other[0], "the first leaves at once");
    assert!(one.iter().zip(&other).filter(|(one, other)| one.abs_diff(**other) > ms(1)).count() > 100);
    for times in [&one, &other] {
        for (number, time) in (0u32..).zip(times) {
            let late = time.abs_diff(times[0] + ms(100) * number);
            assert!(late <= ms(11), "{late:?}");
        }
    }
}

#[test]
fn flat_out_is_bounded_by_the_window_alone() {
    let mut settings = order(5, 1_000);
    (settings.period, settings.rate_pps, settings.window) = (Duration::ZERO, 0, 64);
    let mut world = World::new(settings);
    let sent = world.send();
    assert_eq!(sent.len(), 64);
    assert!(world.send().is_empty());
    for probe in &sent[..10] {
        world.answer(probe, world.now);
    }
    assert_eq!(world.send().len(), 10);
}

#[test]
fn flat_out_with_a_period_sends_each_round_at_once_and_no_sooner() {
    let mut settings = order(500, 3);
    settings.rate_pps = 0;
    let mut world = World::new(settings);
    assert_eq!(world.send().len(), 500);
    world.now = world.sweep.next_deadline(world.now).unwrap();
    assert_eq!(world.now, ms(5_100));
    assert_eq!(world.send().len(), 500);
}

#[test]
fn a_host_that_slept_does_not_make_up_for_hours() {
    let mut world = World::new(order(1, 1_000_000));
    let _ = world.send();
    world.now += Duration::from_hours(2);
    let mut sent = 0;
    for _ in 0..1_000 {
        sent += world.send().len();
        world.now += ms(1);
    }
    assert!((10..=12).contains(&sent), "{sent} in one second, of 10 planned");
}
