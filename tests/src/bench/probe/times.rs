//! Honest times: each round-trip time beside the packet capture of the same probe, on cores that are kept busy; and how
//! evenly probes leave.
//!
//! The tap at the prober's end sees a request just before the kernel stamps its departure, so the prober's times
//! are shorter than the capture's by the path between the two, a microsecond or so; that is the tap's place and not an
//! error, and it is told as the median. Errors are counted from the capture, nothing taken off.

use super::{
    capture::{Capture, OnWire},
    measure::median,
    pinger::{Agent, Order, write_targets},
    road::{NEAR, Road, SHAPED, SHAPED_NAME},
};
use crate::desired::Shape;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs,
    hint::black_box,
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Probes a second while round-trip times are compared.
const RATE: u32 = 10_000;
const TARGETS: usize = 100;
const COUNT: u32 = 300;
/// What leaves closer together than this left at once.
const TOGETHER_NS: i64 = 1_000_000;

/// Round-trip times beside the wire's, in microseconds: the prober's less the capture's.
#[derive(Debug, Serialize)]
pub struct Times {
    /// Probes compared.
    pub compared: usize,
    /// The middle: the place of the tap.
    pub median_us: f64,
    /// 99.9 of 100 are not farther off.
    pub p999_us: f64,
    /// None is farther off.
    pub worst_us: f64,
    /// The farthest below the capture's.
    pub least_us: f64,
    /// The farthest above it.
    pub most_us: f64,
    /// Times that are not the kernel's at both ends, by the agent's own account.
    pub unstamped: u64,
    /// Times that are shorter than what the far end's capture proves to be the least.
    pub below_far_end: usize,
}

/// How evenly probes left.
#[derive(Debug, Serialize)]
pub struct Pacing {
    /// Probes a second that were asked for.
    pub rate: u32,
    /// How far the rate on the wire was from it, as a share.
    pub error: f64,
    /// The most that left within a millisecond, in milliseconds' worth of probes.
    pub burst_ms: f64,
    /// What a policer that drains at the rate would have to let pass at once, likewise; wake-ups that come late count in.
    pub bucket_ms: f64,
    /// Microseconds of processor time a probe.
    pub cpu_us: f64,
}

/// Compares round-trip times, with every core kept busy: the median of each figure over the rounds, and all shortfalls.
pub(super) fn measure(road: &Road, agent: &Agent, directory: &Path, rounds: usize) -> Result<Times> {
    let all = (0..rounds.max(1)).map(|_| compare(road, agent, directory)).collect::<Result<Vec<_>>>()?;
    let of = |figure: fn(&Times) -> f64| median(all.iter().map(figure).collect());
    Ok(Times {
        compared: all.iter().map(|times| times.compared).sum(),
        median_us: of(|times| times.median_us),
        p999_us: of(|times| times.p999_us),
        worst_us: of(|times| times.worst_us),
        least_us: of(|times| times.least_us),
        most_us: of(|times| times.most_us),
        unstamped: all.iter().map(|times| times.unstamped).sum(),
        below_far_end: all.iter().map(|times| times.below_far_end).sum(),
    })
}

fn compare(road: &Road, agent: &Agent, directory: &Path) -> Result<Times> {
    let file = directory.join("targets-times");
    let samples = directory.join("samples");
    write_targets(&file, SHAPED, TARGETS)?;
    road.shape(Shape { delay_ms: 2.5, ..Shape::default() });
    let near = Capture::start(&road.here, SHAPED_NAME)?;
    let far = Capture::start(&road.there, SHAPED_NAME)?;
    let busy = Busy::start();
    let path = samples.to_string_lossy().into_owned();
    let order = Order {
        targets: &file,
        count: COUNT,
        period_ms: "10",
        rate: RATE,
        timeout_ms: 1_000,
        more: &["--stamps", "both", "--samples", &path],
    };
    let told = agent.ping(&road.here, &order)?;
    drop(busy);
    let (near, far) = (near.end()?, far.end()?);
    road.shape(Shape::default());
    let told_samples = fs::read_to_string(&samples).context("the agent wrote no samples")?;
    let mut errors = Vec::new();
    let mut below_far_end = 0;
    for line in told_samples.lines() {
        let Some((target, sequence, rtt_ns)) = sample(line) else { continue };
        let of = |seen: &BTreeMap<Ipv4Addr, Vec<OnWire>>| seen.get(&target)?.get(sequence)?.rtt_ns;
        let Some(wire) = of(&near) else { continue };
        errors.push(micros(rtt_ns - wire));
        below_far_end += usize::from(of(&far).is_some_and(|least| rtt_ns < least));
    }
    ensure!(
        errors.len() as u64 * 10 >= told.count("received")? * 9,
        "only {} of {} round-trip times are in the capture",
        errors.len(),
        told.count("received")?
    );
    let mut sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let at = |of_thousand: usize| sizes.get((sizes.len() * of_thousand / 1_000).min(sizes.len() - 1)).copied();
    Ok(Times {
        compared: errors.len(),
        median_us: median(errors.clone()),
        p999_us: at(999).unwrap_or(f64::NAN),
        worst_us: at(1_000).unwrap_or(f64::NAN),
        least_us: errors.iter().copied().fold(f64::NAN, f64::min),
        most_us: errors.iter().copied().fold(f64::NAN, f64::max),
        unstamped: told.summary["unstamped"].as_u64().unwrap_or_default(),
        below_far_end,
    })
}

/// Measures the pace: the median of each figure over the rounds.
pub(super) fn pace(
    road: &Road,
    agent: &Agent,
    directory: &Path,
    rate: u32,
    seconds: u32,
    rounds: usize,
) -> Result<Pacing> {
    let all = (0..rounds.max(1)).map(|_| paced(road, agent, directory, rate, seconds)).collect::<Result<Vec<_>>>()?;
    let of = |figure: fn(&Pacing) -> f64| median(all.iter().map(figure).collect());
    Ok(Pacing {
        rate,
        error: of(|pacing| pacing.error),
        burst_ms: of(|pacing| pacing.burst_ms),
        bucket_ms: of(|pacing| pacing.bucket_ms),
        cpu_us: of(|pacing| pacing.cpu_us),
    })
}

/// Looks at the wire while probes leave at a rate.
fn paced(road: &Road, agent: &Agent, directory: &Path, rate: u32, seconds: u32) -> Result<Pacing> {
    let file = directory.join("targets-pacing");
    write_targets(&file, NEAR, TARGETS)?;
    let capture = Capture::start(&road.here, "near")?;
    let count = rate * seconds / u32::try_from(TARGETS)?;
    let order = Order { targets: &file, count, period_ms: "0", rate, timeout_ms: 500, more: &[] };
    let told = agent.ping(&road.here, &order)?;
    let mut sent: Vec<i64> = capture.end()?.into_values().flatten().map(|probe| probe.sent_ns).collect();
    sent.sort_unstable();
    ensure!(sent.len() as u64 == told.count("sent")?, "the capture holds {} of {} probes", sent.len(), told.summary);
    let (first, last) = (sent[0], sent[sent.len() - 1]);
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand probes")]
    let (gaps, count) = ((sent.len() - 1) as f64, sent.len() as f64);
    let reached = gaps / (micros(last - first) / 1e6);
    Ok(Pacing {
        rate,
        error: (reached / f64::from(rate) - 1.0).abs(),
        burst_ms: together(&sent) / f64::from(rate) * 1e3,
        bucket_ms: deepest(&sent, f64::from(rate)) / f64::from(rate) * 1e3,
        cpu_us: told.ran.cpu_seconds * 1e6 / count,
    })
}

/// The most within a millisecond, in probes.
#[expect(clippy::cast_precision_loss, reason = "some thousand probes")]
fn together(sent: &[i64]) -> f64 {
    let counts =
        sent.iter().enumerate().map(|(first, at)| sent[first..].partition_point(|other| other - at < TOGETHER_NS));
    counts.max().unwrap_or_default() as f64
}

/// The bucket that an even stream of the rate would need to hold these: its deepest level, in probes.
fn deepest(sent: &[i64], rate: f64) -> f64 {
    let mut level: f64 = 0.0;
    let mut most: f64 = 0.0;
    let mut before = sent[0];
    for &at in sent {
        level = (level - micros(at - before) / 1e6 * rate).max(0.0) + 1.0;
        most = most.max(level);
        before = at;
    }
    most
}

/// One line of samples: target, number, when sent, round-trip time; the last is empty when there was none.
fn sample(line: &str) -> Option<(Ipv4Addr, usize, i64)> {
    let mut fields = line.split([' ', ',', '\t']);
    let (target, sequence) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((target, sequence, fields.nth(1)?.parse().ok()?))
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of minutes")]
fn micros(nanos: i64) -> f64 {
    nanos as f64 / 1e3
}

/// Threads that keep every core busy until this is dropped.
struct Busy {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Busy {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..cores)
            .map(|_| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    let mut work = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        work = black_box(work.wrapping_mul(31).wrapping_add(7));
                    }
                })
            })
            .collect();
        Self { stop, threads }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
