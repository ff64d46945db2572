//! Accuracy of round-trip times: compares each with a packet capture of the same probe while every core is busy. Also
//! measures how evenly probes are sent.
//!
//! The tap at the prober's end sees a request just before the kernel timestamps its departure. The prober's times are
//! therefore shorter than the capture's by the path between the two, about a microsecond. This comes from the position
//! of the tap and is not an error; the median reports it. Errors are counted from the capture, with nothing subtracted.

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

/// Probes per second while round-trip times are compared.
const RATE: u32 = 10_000;
const TARGETS: usize = 100;
const COUNT: u32 = 300;
/// Probes that leave closer together than this count as one burst.
const TOGETHER_NS: i64 = 1_000_000;

/// Differences between round-trip times in microseconds: the prober's minus the capture's. Each figure is the median
/// over the rounds, each count the sum.
#[derive(Debug, Serialize)]
pub struct Times {
    /// Number of probes compared.
    pub compared: usize,
    /// The median difference, caused by the position of the tap.
    pub median_us: f64,
    /// 99.9 % of the differences are at most this large, sign ignored.
    pub p999_us: f64,
    /// The largest difference, sign ignored.
    pub worst_us: f64,
    /// The lowest difference: negative if the prober's time is shorter than the capture's.
    pub least_us: f64,
    /// The highest difference.
    pub most_us: f64,
    /// Round-trip times that the agent reports as not timestamped by the kernel at both ends.
    pub unstamped: u64,
    /// Round-trip times shorter than the minimum that the capture at the far end proves.
    pub below_far_end: usize,
}

/// Pacing of the probes on the wire; each figure is the median over the rounds.
#[derive(Debug, Serialize)]
pub struct Pacing {
    /// Requested rate in probes per second.
    pub rate: u32,
    /// Relative deviation of the rate on the wire from it.
    pub error: f64,
    /// The most probes that left within a millisecond, as milliseconds of the requested rate.
    pub burst_ms: f64,
    /// The burst that a policer draining at the rate would have to accept, in the same unit; includes late wake-ups.
    pub bucket_ms: f64,
    /// Microseconds of processor time per probe.
    pub cpu_us: f64,
}

/// Compares round-trip times while every core is busy. Figures are medians over the rounds; counts are sums.
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

/// Measures pacing; each figure is the median over the rounds.
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

/// Captures the wire while probes leave at a rate.
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

/// The most probes that left within [`TOGETHER_NS`].
#[expect(clippy::cast_precision_loss, reason = "some thousand probes")]
fn together(sent: &[i64]) -> f64 {
    let counts =
        sent.iter().enumerate().map(|(first, at)| sent[first..].partition_point(|other| other - at < TOGETHER_NS));
    counts.max().unwrap_or_default() as f64
}

/// The deepest level, in probes, of a token bucket that drains evenly at the rate.
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

/// Parses a line of samples: target, sequence number, send time, round-trip time. The last is empty if there was no
/// reply.
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
