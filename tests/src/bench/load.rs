//! Measures how much of a narrow link the product's own probes take and how much they leave to its owner.
//!
//! Sixteen pairs share the smallest connection that is sold. The link's own counters show what the probes take while a
//! verification runs and while none runs. A TCP connection of the owner shows what is left: alone, with the steady
//! probes, and with one verification after another. All values come from one run on one machine, so the ratios hold on
//! any machine.

use crate::{estate::Estate, programs::Programs, run, scenario::own_topologies, topology::Topology, tutorial::STEPS};
use anyhow::{Context, Result, anyhow};
use pingtong_evidence::Direction;
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const TOPOLOGY: &str = "sixteen-pairs";
const PORT: u16 = 5001;
/// Time that a TCP connection gets to reach its steady rate before the rate is measured.
const SETTLES: Duration = Duration::from_secs(4);
/// Bandwidth of the connection (Mini.2) in bit/s.
const BANDWIDTH: f64 = 2e6;
/// Smallest share of the owner's TCP rate that must be left, and largest share of the bandwidth that probes may take,
/// steady rounds included.
const KEPT_MIN: f64 = 0.75;
const TAKEN_MAX: f64 = 0.22;
/// Longest time in seconds that a verification of the sixteen pairs may take.
const VERIFY_MAX_S: f64 = 10.0;

/// Measures each condition for `seconds`.
///
/// # Errors
/// Fails if the lab cannot be set up, if a verification cannot be run or if the owner's TCP connection cannot be
/// opened.
pub async fn run(seconds: u64, programs: &Programs) -> Result<Value> {
    let long = Duration::from_secs(seconds.max(1));
    let estate = Estate::boot(topology()?, &STEPS.collect::<Vec<u8>>(), programs.clone()).await?;
    let _ = run::verify(&estate).await?;
    let steady_taken = taken(&estate, tokio::time::sleep(long)).await?.1;
    let (verified, taken) = taken(&estate, run::verify(&estate)).await?;
    let verdicts = verified?;
    let healthy = verdicts.iter().filter(|verdict| verdict["state"] == "healthy").count();
    let begun = now();
    run::verify(&estate).await?;
    let verify_s = begun.elapsed().as_secs_f64();
    let steady = rate(&estate, long, async { Ok(()) }).await?;
    let again = async {
        let until = now() + SETTLES + long;
        while now() < until {
            run::verify(&estate).await?;
        }
        Ok(())
    };
    let verifying = rate(&estate, long, again).await?;
    for (vpc, instance) in estate.topology.instances() {
        let end = ["pkill", "-9", "pingtong-agent"].map(str::to_owned);
        estate.run_in_instance(&instance.full_name(vpc), &end).await?;
    }
    let alone = rate(&estate, long, async { Ok(()) }).await?;
    let (kept_steady, kept) = (steady / alone, verifying / alone);
    let good = healthy == verdicts.len() && kept >= KEPT_MIN && kept_steady >= KEPT_MIN && taken <= TAKEN_MAX;
    Ok(json!({
        "schema": 1,
        "pairs": verdicts.len(),
        "healthy": healthy,
        "verify_seconds": verify_s,
        "own_share_verifying": taken,
        "own_share_steady": steady_taken,
        "tcp_bits_per_s": { "alone": alone, "steady": steady, "verifying": verifying },
        "tcp_kept_steady": kept_steady,
        "tcp_kept_verifying": kept,
        "met": good && verify_s <= VERIFY_MAX_S,
    }))
}

fn topology() -> Result<Topology> {
    let path = own_topologies().join(format!("{TOPOLOGY}.toml"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Topology::parse(&path, &text).map_err(|error| anyhow!("{error}"))
}

/// Runs `work` and returns its result together with the share of the bandwidth used meanwhile, from the link's own
/// counters. The busier direction counts.
#[expect(clippy::cast_precision_loss, reason = "bytes of some seconds are far below 2^52")]
async fn taken<T>(estate: &Estate, work: impl Future<Output = T>) -> Result<(T, f64)> {
    let link = estate.symbols.get("peering1.initiator")?.to_owned();
    let bytes = || {
        let of = |direction| estate.plane.counters(&link, direction).bytes_in;
        [of(Direction::Forward), of(Direction::Return)]
    };
    let (before, begun) = (bytes(), now());
    let done = work.await;
    let (after, took) = (bytes(), begun.elapsed().as_secs_f64());
    let most = after.iter().zip(before).map(|(after, before)| after - before).max().unwrap_or(0);
    Ok((done, most as f64 * 8.0 / took / BANDWIDTH))
}

/// TCP throughput in bit/s from the initiator's first host to the acceptor's first host while `beside` runs.
#[expect(clippy::cast_precision_loss, reason = "bytes of some seconds are far below 2^52")]
async fn rate(estate: &Estate, long: Duration, beside: impl Future<Output = Result<()>>) -> Result<f64> {
    let (from, to) = (estate.namespace("A.ecs1")?, estate.namespace("B.ecs1")?);
    let address: Ipv4Addr = estate.symbols.get("B.ecs1.ip")?.parse()?;
    let listener = to.run(move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))).context("cannot listen")?;
    let stream = from.run(move || TcpStream::connect(SocketAddrV4::new(address, PORT))).context("cannot connect")?;
    let (mut accepted, _) = listener.accept().context("cannot accept")?;
    let (received, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, ended) = (Arc::clone(&received), Arc::clone(&over));
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(count) = accepted.read(&mut buffer) {
            counted.fetch_add(count as u64, Ordering::Relaxed);
            if count == 0 || ended.load(Ordering::Relaxed) {
                return;
            }
        }
    });
    let mut sender = stream.try_clone()?;
    let writer = std::thread::spawn(move || while sender.write_all(&[0; 16_384]).is_ok() {});
    let measure = async {
        tokio::time::sleep(SETTLES).await;
        let (before, begun) = (received.load(Ordering::Relaxed), now());
        tokio::time::sleep(long).await;
        (received.load(Ordering::Relaxed) - before) as f64 * 8.0 / begun.elapsed().as_secs_f64()
    };
    let (rate, done) = tokio::join!(measure, beside);
    over.store(true, Ordering::Relaxed);
    let _ = stream.shutdown(std::net::Shutdown::Both);
    let ends = tokio::task::spawn_blocking(move || (writer.join(), reader.join())).await?;
    drop(ends);
    done?;
    Ok(rate)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
fn now() -> Instant {
    Instant::now()
}
