//! What watching costs: an observer under a flood of echo requests, and a complete agent with ten peers and little to
//! do. The figures are processor time, memory and wake-ups; the arrivals are compared with the kernel's counters.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use super::{
    direction::Arrivals,
    distributed,
    flood::flood,
    measure::{Running, exact_cpu_of, forget_peak, median, peak_kib, sleeps_of},
    pinger::Agent,
    road::{NEAR, Road, requests_in, requests_out},
};
use crate::{estate::Estate, programs::Programs, topology::Topology};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, Instant},
};

/// Requests per flood.
const FLOOD: usize = 300_000;
/// The instance whose agent is observed, and the number of peers that it probes.
const WATCHED: &str = "A.ecs1";
const PEERS: usize = 10;
/// How long the agent may settle before it is measured.
const SETTLE: Duration = Duration::from_secs(20);

/// Results of an observer under a flood; counts are sums over the rounds.
#[derive(Debug, Serialize)]
pub struct Observer {
    /// Requests that the kernel received.
    pub arrivals: u64,
    /// Requests that the observer saw on the wire.
    pub seen: u64,
    /// Packets that the observer reports as its own drops.
    pub own_drops: u64,
    /// Microseconds of processor time per arrival, median over the rounds.
    pub cpu_us: f64,
}

/// Results of a complete agent that has little to do.
#[derive(Debug, Serialize)]
pub struct Idle {
    /// Name of the build profile that was observed: `dist` if that was built, because it is the one that is
    /// distributed.
    pub profile: String,
    /// Number of peers that the agent probes.
    pub peers: usize,
    /// Echo requests per second that left its host, path-MTU searches included.
    pub probes_per_second: f64,
    /// How long it was observed, in seconds.
    pub seconds: f64,
    /// Peak resident memory in that time, in KiB.
    pub rss_kib: u64,
    /// Processor time as a share of one core.
    pub of_core: f64,
    /// Voluntary context switches of its threads per second.
    pub wakes_per_second: f64,
    /// Processor time from its start until it had settled, in seconds.
    pub start_cpu_seconds: f64,
}

/// Floods an observer once per round. The cost of an arrival is the median.
pub(super) fn observer(road: &Road, agent: &Agent, rounds: usize) -> Result<Observer> {
    let all = (0..rounds.max(1)).map(|_| flooded(road, agent)).collect::<Result<Vec<_>>>()?;
    Ok(Observer {
        arrivals: all.iter().map(|observer| observer.arrivals).sum(),
        seen: all.iter().map(|observer| observer.seen).sum(),
        own_drops: all.iter().map(|observer| observer.own_drops).sum(),
        cpu_us: median(all.iter().map(|observer| observer.cpu_us).collect()),
    })
}

fn flooded(road: &Road, agent: &Agent) -> Result<Observer> {
    let watching = Running::start(&road.there, agent.observe())?;
    watching.until_watching()?;
    let (before, cpu_before) = (requests_in(&road.there)?, watching.cpu_seconds()?);
    let targets = (1..=100_u32).map(|n| (u32::from(NEAR.network()) + n).into()).collect();
    flood(&road.here, targets, FLOOD)?;
    let arrivals = requests_in(&road.there)? - before;
    let cpu_seconds = watching.cpu_until_quiet()? - cpu_before;
    let told = Arrivals::read(&watching.interrupt()?)?;
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
    let cpu_us = cpu_seconds * 1e6 / arrivals as f64;
    Ok(Observer { arrivals, seen: told.on_wire, own_drops: told.own_drops, cpu_us })
}

/// Runs a complete agent in the lab, with ten peers at one probe per second each.
pub(super) async fn idle(programs: &Programs, seconds: u64) -> Result<Idle> {
    let topology = Topology::parse(Path::new("idle.toml"), &topology()).context("the idle agent's topology")?;
    let dist = distributed(&programs.agent).filter(|dist| dist.is_file());
    let agent = dist.unwrap_or_else(|| programs.agent.clone());
    let programs = Programs { agent, ..programs.clone() };
    let estate = Estate::boot(topology, &[1, 2, 3, 4, 5, 6], programs.clone()).await?;
    let namespace = estate.namespace(WATCHED)?;
    let pid = agent_in(namespace.fd(), &programs.agent)?;
    tokio::time::sleep(SETTLE).await;
    let start_cpu_seconds = exact_cpu_of(pid)?;
    forget_peak(pid)?;
    let (probes, sleeps, begun) = (requests_out(&namespace)?, sleeps_of(pid)?, Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let cpu = exact_cpu_of(pid)? - start_cpu_seconds;
    let (probes, sleeps) = (requests_out(&namespace)? - probes, sleeps_of(pid)?.saturating_sub(sleeps));
    let seconds = begun.elapsed().as_secs_f64();
    let profile = programs.agent.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    #[expect(clippy::cast_precision_loss, reason = "some a second for an hour")]
    let (probes, sleeps) = (probes as f64, sleeps as f64);
    Ok(Idle {
        profile,
        peers: PEERS,
        probes_per_second: probes / seconds,
        seconds,
        rss_kib: peak_kib(pid)?,
        of_core: cpu / seconds,
        wakes_per_second: sleeps / seconds,
        start_cpu_seconds,
    })
}

/// A topology with one host on one side and [`PEERS`] on the other.
fn topology() -> String {
    let group = |source| {
        format!(
            r#"security_groups = [ {{ name = "sg1", type = "normal", ingress = [ {{ protocol = "icmp", ports = "-1/-1", source = "{source}", policy = "accept", priority = 1 }} ] }} ]"#
        )
    };
    let host = |n: usize, net: &str, agent: bool| {
        format!(
            r#"{{ name = "ecs{n}", vswitch = "vsw1", ip = "{net}.1.{}", security_groups = ["sg1"], agent = {agent} }}"#,
            9 + n
        )
    };
    let peers: Vec<String> = (1..=PEERS).map(|n| host(n, "172.16", n == 1)).collect();
    let expected: Vec<String> = (1..=PEERS)
        .map(|n| format!("[[expect]]\nfrom = \"A.ecs1\"\nto = \"B.ecs{n}\"\nprotocol = \"icmp\"\n"))
        .collect();
    format!(
        r#"
steady_probes = 1
[[account]]
name = "A"
id = "1000000000000001"
[[account]]
name = "B"
id = "1000000000000002"
[[vpc]]
name = "A.vpc1"
region = "cn-qingdao"
cidr = "192.168.0.0/16"
vswitches = [ {{ name = "vsw1", zone = "cn-qingdao-b", cidr = "192.168.1.0/24" }} ]
{}
instances = [ {} ]
[[vpc]]
name = "B.vpc2"
region = "cn-beijing"
cidr = "172.16.0.0/16"
vswitches = [ {{ name = "vsw1", zone = "cn-beijing-b", cidr = "172.16.1.0/24" }} ]
{}
instances = [ {} ]
[[peering]]
name = "peering1"
kind = "router-interface"
initiator = "A.vpc1"
acceptor = "B.vpc2"
spec = "Mini.2"
{}"#,
        group("172.16.0.0/16"),
        host(1, "192.168", true),
        group("192.168.0.0/16"),
        peers.join(", "),
        expected.join("")
    )
}

/// Id of the one agent process that runs in a network namespace.
fn agent_in(namespace: i32, program: &Path) -> Result<u32> {
    let wanted = fs::metadata(format!("/proc/self/fd/{namespace}"))?.ino();
    let processes = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let found: Vec<u32> = processes
        .filter(|pid| {
            let net = fs::metadata(format!("/proc/{pid}/ns/net"));
            let runs = fs::read_link(format!("/proc/{pid}/exe"));
            net.is_ok_and(|net| net.ino() == wanted) && runs.is_ok_and(|exe| exe.file_name() == program.file_name())
        })
        .collect();
    ensure!(found.len() == 1, "{} agents run in the namespace instead of one", found.len());
    Ok(found[0])
}
