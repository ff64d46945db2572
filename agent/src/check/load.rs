//! `check --load`: the bounded load probe. Off unless requested, announced before it begins, one target at a time.
//!
//! The bounds are those of `pingtong_evidence`, and [`load_steps`] plans the steps. The collector has no part in it.

use crate::{
    Lang,
    check::local_agent,
    clock::Clock,
    engine::{Engine, Sockets},
    probing::Probing,
    render,
};
use anyhow::bail;
use pingtong_evidence::{LOAD_MBIT_MAX, LOAD_SECONDS_MAX, PairId, ProbeEngine, RoundPurpose};
use pingtong_probe::{LoadOutcome, NonceKey, RoundOrder, load_steps};
use serde_json::{Value, json};
use std::{fmt::Write as _, net::IpAddr, time::Duration};

const TIMEOUT: Duration = Duration::from_secs(1);
/// Rate cap of the prober, above what the largest load needs, so that the load's own pacing applies.
const RATE_PPS: u32 = 1_000_000;

/// Result of loading the path to one target.
#[derive(Debug)]
pub(crate) struct LoadSeen {
    pub(crate) target: IpAddr,
    pub(crate) steps: Vec<LoadOutcome>,
}

/// Loads the path to `target` in steps.
///
/// # Errors
/// Fails if raw sockets cannot be opened, or if the kernel provides no random bytes.
pub(crate) async fn load(
    target: IpAddr,
    mbit: u32,
    seconds: u32,
    clock: Clock,
    lang: Lang,
) -> anyhow::Result<LoadSeen> {
    let (mbit, seconds) = (mbit.min(LOAD_MBIT_MAX), seconds.min(LOAD_SECONDS_MAX));
    let engine = Engine::start(Sockets::open());
    if engine.kind() != ProbeEngine::Raw {
        bail!("the load probe needs raw sockets: {}", engine.degraded(Lang::En).unwrap_or_default());
    }
    tracing::warn!(%target, mbit, seconds, "the load probe begins: it takes bandwidth from others on this path, both ways");
    render::aside(&match lang {
        Lang::Zh => {
            format!("带宽压测即将开始：向 {target} 发送最高 {mbit} Mbit/s，共 {seconds} 秒，往返方向都会占用带宽")
        }
        Lang::En => format!("the load probe begins: up to {mbit} Mbit/s to {target} for {seconds} s, and as much back"),
    });
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no random key for the probes: {error}"))?;
    let mut probing = Probing::new(clock, engine, local_agent()?, NonceKey::from_bytes(key), RATE_PPS);
    let mut steps = vec![];
    for step in load_steps(mbit, seconds) {
        probing.start(RoundOrder {
            pair: PairId::parse(&target.to_string())?,
            target,
            probes: step.probes,
            spacing: step.spacing,
            timeout: TIMEOUT,
            payload_bytes: step.payload_bytes,
            purpose: RoundPurpose::Load { bits_per_s: step.bits_per_s },
            bucket: None,
            request: None,
        });
        loop {
            if let Some(round) = probing.pump().rounds.pop() {
                steps.push(LoadOutcome::of(&step, &round));
                break;
            }
            probing.wait().await;
        }
    }
    Ok(LoadSeen { target, steps })
}

/// The result as JSON.
pub(crate) fn as_json(seen: &LoadSeen) -> Value {
    let step = |step: &LoadOutcome| {
        json!({
            "offered_bits_per_s": step.offered_bits_per_s, "received_bits_per_s": step.received_bits_per_s,
            "sent": step.sent, "received": step.received, "not_sent": step.not_sent, "own_drops": step.own_drops,
            "lost_permille": step.lost_permille(),
        })
    };
    json!({"target": seen.target, "both_ways": true, "steps": seen.steps.iter().map(step).collect::<Vec<_>>()})
}

/// The result as text, one line per step.
pub(crate) fn words(seen: &LoadSeen, lang: Lang) -> Vec<String> {
    let line = |step: &LoadOutcome| {
        let mbit = |bits: u64| format!("{}.{:02}", bits / 1_000_000, bits % 1_000_000 / 10_000);
        let lost = step.lost_permille().map_or_else(|| "?".to_owned(), |lost| format!("{}.{}%", lost / 10, lost % 10));
        let (offered, back) = (mbit(step.offered_bits_per_s), mbit(step.received_bits_per_s));
        let LoadOutcome { sent, received, not_sent, own_drops, .. } = *step;
        let mut text = match lang {
            Lang::Zh => format!(
                "{}  压测 {offered} Mbit/s：发出 {sent}，返回 {received}（{back} Mbit/s），丢失 {lost}",
                seen.target
            ),
            Lang::En => {
                format!(
                    "{}  load of {offered} Mbit/s: sent {sent}, back {received} ({back} Mbit/s), lost {lost}",
                    seen.target
                )
            }
        };
        if not_sent > 0 {
            let _ = match lang {
                Lang::Zh => write!(text, "，本机来不及发送 {not_sent}"),
                Lang::En => write!(text, ", {not_sent} not sent in time by this host"),
            };
        }
        if own_drops > 0 {
            let _ = match lang {
                Lang::Zh => write!(text, "，本机丢弃 {own_drops}，丢失不能归因于路径"),
                Lang::En => write!(text, ", {own_drops} dropped by this host: the loss is not the path's"),
            };
        }
        text
    };
    seen.steps.iter().map(line).collect()
}
