//! `check --path-size` and `doctor --peer`: the largest packet that passes unfragmented.
//!
//! Drives the same search as `run`. Needs raw sockets. The MTU of this host's interface comes from the host facts.

use crate::{
    Lang,
    check::local_agent,
    clock::Clock,
    engine::{Engine, Sockets},
    probing::Probing,
};
use anyhow::bail;
use pingtong_evidence::{HostFacts, PairId, ProbeEngine, RouteOutcome};
use pingtong_probe::{NonceKey, PathSize, SizeGoal, SizeSearch, SizeVerdict};
use serde_json::{Value, json};
use std::{net::IpAddr, time::Duration};

/// Timeout of one probe.
const TIMEOUT: Duration = Duration::from_secs(1);
const RATE_PPS: u32 = 1_000;

/// Searches the paths to `targets` one after another: large packets to several targets would fill a slow path and look
/// like loss. A target without a route out of this host is not searched.
///
/// # Errors
/// Fails if raw sockets cannot be opened, or if the kernel provides no random bytes.
pub(crate) async fn search(targets: &[IpAddr], facts: &HostFacts, clock: Clock) -> anyhow::Result<Vec<PathSize>> {
    let mut found = vec![];
    for &target in targets {
        found.push(match mtu_towards(facts, target) {
            Some(mtu) => search_one(target, mtu, clock).await?,
            None => PathSize::new(target, 0),
        });
    }
    Ok(found)
}

async fn search_one(target: IpAddr, mtu: u32, clock: Clock) -> anyhow::Result<PathSize> {
    let engine = Engine::start(Sockets::open());
    if engine.kind() != ProbeEngine::Raw {
        bail!("packet sizes need raw sockets: {}", engine.degraded(Lang::En).unwrap_or_default());
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no random key for the probes: {error}"))?;
    let mut probing = Probing::new(clock, engine, local_agent()?, NonceKey::from_bytes(key), RATE_PPS);
    let pair = PairId::parse(&target.to_string())?;
    let mut search =
        SizeSearch::new(SizeGoal { pair, target, request: None, bucket: None, mtu, timeout: TIMEOUT, known: None });
    let mut size = PathSize::new(target, mtu);
    loop {
        for order in search.orders() {
            probing.start(order);
        }
        if search.is_over() {
            break;
        }
        let rounds = probing.pump().rounds;
        if rounds.is_empty() {
            probing.wait().await;
        }
        for round in rounds {
            size.take(&round);
            search.take(&round);
        }
    }
    size.bounds = search.found();
    Ok(size)
}

/// MTU of the interface towards a peer; `None` without a route out of this host.
fn mtu_towards(facts: &HostFacts, target: IpAddr) -> Option<u32> {
    let route = facts.routes.iter().find(|route| route.to == target)?;
    let RouteOutcome::Via { interface, .. } = route.outcome.known()? else { return None };
    facts.interfaces.known()?.iter().find(|card| card.name == *interface).map(|card| card.mtu)
}

/// The result as JSON.
pub(crate) fn as_json(size: &PathSize) -> Value {
    json!({
        "target": size.target,
        "mtu": size.mtu,
        "passes": size.bounds.map(|bounds| bounds.passes),
        "dies": size.bounds.and_then(|bounds| bounds.dies),
        "told_by": size.told_by,
        "verdict": size.verdict().as_str(),
    })
}

/// The result as one line of text.
pub(crate) fn words(size: &PathSize, lang: Lang) -> String {
    let (target, mtu) = (size.target, size.mtu);
    let passes = size.bounds.map_or(0, |bounds| bounds.passes);
    let by: Vec<String> = size.told_by.iter().map(ToString::to_string).collect();
    let by = by.join(" ");
    match (size.verdict(), lang) {
        (SizeVerdict::Whole, Lang::Zh) => format!("{target}  不分片可通过 {passes} 字节（网卡 MTU {mtu}），路径未缩小"),
        (SizeVerdict::Whole, Lang::En) => {
            format!("{target}  {passes} bytes pass unfragmented, all that the network interface carries")
        }
        (SizeVerdict::Told, Lang::Zh) => {
            format!("{target}  不分片最大 {passes} 字节（网卡 MTU {mtu}）；更大的报文由 {by} 通知需要分片，属正常")
        }
        (SizeVerdict::Told, Lang::En) => format!(
            "{target}  {passes} bytes pass unfragmented (the network interface carries {mtu}); {by} reports that larger ones need fragmentation, as it should"
        ),
        (SizeVerdict::BlackHole, Lang::Zh) => {
            format!("{target}  不分片最大 {passes} 字节（网卡 MTU {mtu}）；更大的报文消失且无人通知：MTU 黑洞")
        }
        (SizeVerdict::BlackHole, Lang::En) => format!(
            "{target}  {passes} bytes pass unfragmented (the network interface carries {mtu}); larger ones are lost and nobody reports why: a black hole"
        ),
        (SizeVerdict::Dead, Lang::Zh) => format!("{target}  小报文也不通，无法判断大小"),
        (SizeVerdict::Dead, Lang::En) => format!("{target}  not even small packets pass: nothing can be said of sizes"),
        (SizeVerdict::NotSearched, Lang::Zh) => format!("{target}  未查找：没有通往该地址的已知网卡"),
        (SizeVerdict::NotSearched, Lang::En) => {
            format!("{target}  not searched: no network interface towards it is known")
        }
        (SizeVerdict::Unsettled, Lang::Zh) => format!("{target}  丢包过多，找不到大小边界"),
        (SizeVerdict::Unsettled, Lang::En) => format!("{target}  too many packets were lost to find a boundary"),
    }
}
