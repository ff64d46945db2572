//! What watching costs: an observer under a flood, and a whole agent that has little to do.

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

/// Requests of a flood.
const FLOOD: usize = 300_000;
/// The instance whose agent is watched, and how many it probes.
const WATCHED: &str = "A.ecs1";
const PEERS: usize = 10;
/// How long it may settle in before it is measured.
const SETTLE: Duration = Duration::from_secs(20);

/// An observer under a flood.
#[derive(Debug, Serialize)]
pub struct Observer {
    /// Requests that the kernel took in.
    pub arrivals: u64,
    /// Of these, seen on the wire.
    pub seen: u64,
    /// Told as dropped by the observer itself.
    pub own_drops: u64,
    /// Microseconds of processor time an arrival.
    pub cpu_us: f64,
}

/// A whole agent that has little to do.
#[derive(Debug, Serialize)]
pub struct Idle {
    /// The build that was watched: `dist` where there is one, for that is what is given out.
    pub profile: String,
    /// Peers that it probes.
    pub peers: usize,
    /// Echo requests that left its host each second, those of searches for packet sizes included.
    pub probes_per_second: f64,
    /// How long it was watched.
    pub seconds: f64,
    /// Peak of resident memory meanwhile, in KiB.
    pub rss_kib: u64,
    /// Share of one core.
    pub of_core: f64,
    /// How often its threads were woken each second.
    pub wakes_per_second: f64,
    /// Processor time of its start, until it had settled in.
    pub start_cpu_seconds: f64,
}

/// Floods an observer, as often as there are rounds; what an arrival costs is the median.
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

/// Lets a whole agent run in the lab, with ten peers at one probe a second each.
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

/// One host on one side, [`PEERS`] on the other.
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

/// The process of the agent that runs in a namespace.
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
