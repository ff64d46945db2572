//! Load of the host: totals read from `/proc` twice, and what they grew by in between.
//!
//! Processor figures are those of the whole machine, which on an instance is the instance. What a kernel lacks (CPU
//! pressure before 4.20 or switched off) is left out. Without `/proc/stat` and `/proc/net/dev`, which every kernel has,
//! there is no fact.

use super::kernel;
use crate::clock::wall;
use pingtong_evidence::{EchoCount, Known, LoadFact, Timestamp, WhyUnknown};
use std::time::Duration;

/// Shares are per mille.
const PARTS: u64 = 1_000;
const BITS: u64 = 8;

/// Totals since the machine started.
#[derive(Debug, Clone, Default)]
pub struct LoadReading {
    /// Time since the machine started, with a resolution of 10 ms.
    at: Duration,
    ticks: Option<Ticks>,
    waited_us: Option<u64>,
    backlog_drops: u64,
    carried: Option<Carried>,
    /// By the wall clock.
    read_at: Timestamp,
    echo_requests: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ticks {
    all: u64,
    idle: u64,
    stolen: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Carried {
    received: u64,
    sent: u64,
}

impl LoadReading {
    /// The totals as of now. Reads six small files.
    pub fn now() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        Self {
            at: read("/proc/uptime").as_deref().and_then(uptime).unwrap_or_default(),
            ticks: read("/proc/stat").as_deref().and_then(ticks),
            waited_us: read("/proc/pressure/cpu").as_deref().and_then(waited),
            backlog_drops: read("/proc/net/softnet_stat").map_or(0, |text| backlog_drops(&text)),
            carried: read("/proc/net/dev").map(|text| carried(&text)),
            read_at: wall(),
            echo_requests: kernel::counters().known().map(|counters| counters.in_echos),
        }
    }

    /// What the kernel counted of echo requests since an earlier reading; `None` if it was not read twice.
    pub fn echoes_since(&self, before: &Self) -> Option<EchoCount> {
        let requests = self.echo_requests?.checked_sub(before.echo_requests?)?;
        Some(EchoCount { since: before.read_at, until: self.read_at, requests })
    }
}

/// The load since `before`, up to `until` or else now. Backlog drops are counted up to now in any case: a burst of our
/// own probes is too small to fill the backlog, so that drops meanwhile are the host's.
pub(super) fn since(before: Option<&LoadReading>, until: Option<LoadReading>) -> Known<LoadFact> {
    let Some(before) = before else { return Known::Unknown(WhyUnknown::NotAsked) };
    let now = LoadReading::now();
    let drops = now.backlog_drops;
    between(before, &LoadReading { backlog_drops: drops, ..until.unwrap_or(now) })
}

fn between(before: &LoadReading, after: &LoadReading) -> Known<LoadFact> {
    let missing = |file: &str| {
        Known::Unknown(WhyUnknown::Unreachable { action: file.to_owned(), message: "not readable".to_owned() })
    };
    let (Some(ticks), Some(had)) = (after.ticks, before.ticks) else { return missing("/proc/stat") };
    let (Some(carried), Some(carried_before)) = (after.carried, before.carried) else {
        return missing("/proc/net/dev");
    };
    let over = after.at.saturating_sub(before.at);
    let over_us = u64::try_from(over.as_micros()).unwrap_or(u64::MAX).max(1);
    let all = ticks.all.saturating_sub(had.all).max(1);
    let share =
        |part: u64, whole: u64| u32::try_from(part.saturating_mul(PARTS) / whole).unwrap_or(u32::MAX).min(1_000);
    let rate = |now: u64, then: u64| {
        u64::try_from(u128::from(now.saturating_sub(then)) * u128::from(BITS) * 1_000_000 / u128::from(over_us))
            .unwrap_or(u64::MAX)
    };
    Known::Known(LoadFact {
        over_ms: over_us / 1_000,
        busy_permille: share(all.saturating_sub(ticks.idle.saturating_sub(had.idle)), all),
        stolen_permille: share(ticks.stolen.saturating_sub(had.stolen), all),
        waiting_permille: after
            .waited_us
            .zip(before.waited_us)
            .map(|(now, then)| share(now.saturating_sub(then), over_us)),
        backlog_drops: after.backlog_drops.saturating_sub(before.backlog_drops),
        sent_bits_per_s: rate(carried.sent, carried_before.sent),
        received_bits_per_s: rate(carried.received, carried_before.received),
    })
}

fn uptime(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

/// Parses the line of all processors: user, nice, system, idle, I/O wait, interrupts, soft interrupts, stolen.
fn ticks(text: &str) -> Option<Ticks> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line.split_whitespace().take(8).filter_map(|word| word.parse().ok()).collect();
    let (idle, disk) = (*fields.get(3)?, fields.get(4).copied().unwrap_or_default());
    Some(Ticks { all: fields.iter().sum(), idle: idle + disk, stolen: fields.get(7).copied().unwrap_or_default() })
}

/// Microseconds in which some task waited for a processor.
fn waited(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    line.split_whitespace().find_map(|word| word.strip_prefix("total="))?.parse().ok()
}

/// Sums the second column of every processor's line, in hexadecimal.
fn backlog_drops(text: &str) -> u64 {
    let drops = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1)?, 16).ok();
    text.lines().filter_map(drops).sum()
}

/// Sums the bytes of all interfaces except the loopback.
fn carried(text: &str) -> Carried {
    let of_line = |line: &str| {
        let (name, figures) = line.split_once(':')?;
        let figures: Vec<u64> = figures.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        (name.trim() != "lo").then_some((*figures.first()?, *figures.get(8)?))
    };
    text.lines().filter_map(of_line).fold(Carried::default(), |sum, (received, sent)| Carried {
        received: sum.received + received,
        sent: sum.sent + sent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_from_the_kernels_tables() {
        let stat = "cpu  10 0 20 60 5 1 1 3 0 0\ncpu0 1 1 1 1\n";
        assert_eq!(ticks(stat), Some(Ticks { all: 100, idle: 65, stolen: 3 }));
        assert_eq!(waited("some avg10=1.00 avg60=0.50 avg300=0.10 total=1234\nfull avg10=0 total=9\n"), Some(1234));
        assert_eq!(backlog_drops("00000001 0000000a 0\n00000001 00000001 0\n"), 11);
        let dev = "Inter-| Receive\n face |bytes\n    lo: 9 9 0 0 0 0 0 0 9 9 0\n  eth0: 100 1 0 0 0 0 0 0 200 2 0\n";
        assert_eq!(carried(dev), Carried { received: 100, sent: 200 });
    }

    #[test]
    fn a_load_is_what_grew_between_two_readings() {
        let before =
            LoadReading { ticks: Some(Ticks::default()), carried: Some(Carried::default()), ..LoadReading::default() };
        let after = LoadReading {
            at: Duration::from_millis(500),
            ticks: Some(Ticks { all: 200, idle: 50, stolen: 20 }),
            waited_us: None,
            backlog_drops: 7,
            carried: Some(Carried { received: 1_000, sent: 125_000 }),
            ..LoadReading::default()
        };
        let load = between(&before, &after).known().copied().unwrap();
        assert_eq!((load.over_ms, load.busy_permille, load.stolen_permille), (500, 750, 100));
        assert_eq!((load.waiting_permille, load.backlog_drops), (None, 7));
        assert_eq!((load.sent_bits_per_s, load.received_bits_per_s), (2_000_000, 16_000));
        assert!(between(&LoadReading::default(), &after).known().is_none());
    }

    #[test]
    fn this_kernel_has_the_tables() {
        let reading = LoadReading::now();
        assert!(reading.ticks.is_some() && reading.carried.is_some() && reading.at > Duration::ZERO);
    }
}
