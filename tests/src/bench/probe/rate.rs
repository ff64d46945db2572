//! Rate and cost at full speed, compared with the kernel's limit, fping, ping and surge-ping. The programs run one
//! after another in each round.

use super::{
    flood::flood,
    measure::median,
    pinger::{Agent, Order, fping, ping, write_targets},
    road::{NEAR, Road, replies_in},
};
use anyhow::{Result, ensure};
use serde::Serialize;
use std::path::Path;

/// Probes per run.
const PROBES: usize = 100_000;
/// Probes per run of surge-ping.
const SURGE_PROBES: usize = 20_000;
/// Number of targets from which on fping is busy.
const FPING_TARGETS: usize = 1_000;
/// Probes per run of fping, which exits if it is asked for more than 65 535.
const FPING_PROBES: usize = 60_000;

/// Medians over the rounds, each ratio taken within a round.
#[derive(Debug, Serialize)]
pub struct Rate {
    /// Number of targets that are probed in turn.
    pub targets: usize,
    /// The kernel's limit in probes per second.
    pub kernel_pps: f64,
    /// The kernel's minimum in microseconds of processor time per probe.
    pub kernel_cpu_us: f64,
    /// Rate as a share of the kernel's limit.
    pub of_kernel: f64,
    /// Processor time per probe as a multiple of the kernel's minimum.
    pub cpu_of_floor: f64,
    /// The same with transmit timestamps.
    pub cpu_of_floor_stamped: f64,
    /// Rate as a multiple of fping's; `None` if fping is not installed or was not run with this number of targets.
    pub of_fping: Option<f64>,
    /// Processor time per probe as a share of fping's.
    pub cpu_of_fping: Option<f64>,
    /// Rate as a multiple of that of `ping -f`; measured with one target only.
    pub of_ping: Option<f64>,
    /// Processor time per probe as a share of that of `ping -f`.
    pub cpu_of_ping: Option<f64>,
    /// Rate as a multiple of surge-ping's; measured with a hundred targets only.
    pub of_surge_ping: Option<f64>,
    /// Processor time per probe as a share of surge-ping's.
    pub cpu_of_surge_ping: Option<f64>,
    /// Peak resident memory in KiB.
    pub rss_kib: f64,
    /// Probes whose reply the kernel received but which the engine did not count as answered, over all rounds.
    pub false_losses: u64,
}

/// Measures with `targets` targets.
///
/// # Errors
/// Fails if a program cannot be run, its output cannot be read, or the agent did not send every probe.
pub(super) fn measure(road: &Road, agent: &Agent, directory: &Path, targets: usize, rounds: usize) -> Result<Rate> {
    let file = directory.join(format!("targets-{targets}"));
    let addresses = write_targets(&file, NEAR, targets)?;
    let count = u32::try_from(PROBES / targets)?;
    let mut columns: [Vec<f64>; 12] = std::array::from_fn(|_| Vec::new());
    let mut false_losses = 0;
    for _ in 0..rounds {
        let kernel = flood(&road.here, addresses.clone(), PROBES)?;
        let mut order =
            Order { targets: &file, count, period_ms: "0", rate: 0, timeout_ms: 1000, more: &["--stamps", "receive"] };
        let mut run = |order: &Order<'_>| -> Result<(f64, f64, f64)> {
            let before = replies_in(&road.here)?;
            let told = agent.ping(&road.here, order)?;
            let answered = replies_in(&road.here)? - before;
            ensure!(told.count("sent")? == u64::from(count) * targets as u64, "not all was sent: {}", told.summary);
            false_losses += answered.saturating_sub(told.count("received")?);
            #[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
            let sent = told.count("sent")? as f64;
            let rss = told.summary["rss_kib_max"].as_f64().unwrap_or(f64::NAN);
            Ok((told.rate()?, told.ran.cpu_seconds * 1e6 / sent, rss))
        };
        let (rate, cpu, rss) = run(&order)?;
        order.more = &["--stamps", "both"];
        let (_, stamped, _) = run(&order)?;
        let values =
            [kernel.rate, kernel.cpu_us, rate / kernel.rate, cpu / kernel.cpu_us, stamped / kernel.cpu_us, rss];
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value);
        }
        // fping is called with at least 10 ms between two probes to one target; with fewer targets it would be idle.
        if targets >= FPING_TARGETS
            && let Some((other, other_cpu)) = fping(&road.here, &file, u32::try_from(FPING_PROBES / targets)?)?
        {
            columns[6].push(rate / other);
            columns[7].push(cpu / other_cpu);
        }
        if targets == 100 {
            order.more = &[];
            order.count = u32::try_from(SURGE_PROBES / targets)?;
            if let Some(told) = agent.portable(&road.here, &order)? {
                #[expect(clippy::cast_precision_loss, reason = "ten thousand")]
                let sent = told.count("sent")? as f64;
                columns[10].push(rate / told.rate()?);
                columns[11].push(cpu / (told.ran.cpu_seconds * 1e6 / sent));
            }
        }
        if targets == 1
            && let Some((other, other_cpu)) = ping(&road.here, addresses[0], u32::try_from(PROBES)?)?
        {
            columns[8].push(rate / other);
            columns[9].push(cpu / other_cpu);
        }
    }
    let [kernel_pps, kernel_cpu_us, of_kernel, cpu_of_floor, stamped, rss_kib, others @ ..] = columns;
    // Rate and cost relative to fping, to ping and to surge-ping.
    let others = others.map(|column| (!column.is_empty()).then(|| median(column)));
    Ok(Rate {
        targets,
        kernel_pps: median(kernel_pps),
        kernel_cpu_us: median(kernel_cpu_us),
        of_kernel: median(of_kernel),
        cpu_of_floor: median(cpu_of_floor),
        cpu_of_floor_stamped: median(stamped),
        of_fping: others[0],
        cpu_of_fping: others[1],
        of_ping: others[2],
        cpu_of_ping: others[3],
        of_surge_ping: others[4],
        cpu_of_surge_ping: others[5],
        rss_kib: median(rss_kib),
        false_losses,
    })
}
