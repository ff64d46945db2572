//! `check`: runs once what `run` drives permanently.

pub(crate) mod extras;
mod hops;
mod load;
mod page;
pub(crate) mod path_size;
mod ports;

use crate::{
    Exit, Lang, chain,
    check::{extras::Extras, page::Opinion, ports::PortCheck},
    cli::CheckArgs,
    clock::{Clock, wall},
    engine::{Engine, second_opinion},
    facts::{self, FactsOrder},
    probing::Probing,
};
use anyhow::bail;
use pingtong_cloud::MetadataClient;
use pingtong_evidence::{AgentId, Known, PairId, ProbeRound, RoundPurpose, WhyUnknown};
use pingtong_probe::{NonceKey, RoundOrder};
use std::{collections::BTreeSet, net::IpAddr, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// Runs `pingtong-agent check` and prints the result.
///
/// # Errors
/// Fails if there is no way to probe, a requested part cannot run, or standard output is closed.
pub async fn check(args: &CheckArgs, engine: Engine, clock: Clock, json: bool, lang: Lang) -> anyhow::Result<Exit> {
    let metadata = match MetadataClient::new(args.metadata.as_deref())?.identity().await {
        Ok(fact) => Known::Known(fact),
        Err(error) => Known::Unknown(error.why()),
    };
    let kind = engine.kind();
    let targets: BTreeSet<IpAddr> = args.target.iter().copied().collect();
    let targets: Vec<IpAddr> = targets.into_iter().collect();
    let rounds = if targets.is_empty() {
        vec![]
    } else {
        probe(&targets, args.count, 50, 1_000, 56, 2_000, engine, clock).await?
    };
    let ports = PortCheck {
        targets: targets.clone(),
        tcp: args.tcp.clone(),
        udp: args.udp.clone(),
        probes: args.count,
        timeout: Duration::from_secs(1),
    };
    let port_rounds = ports.run(clock).await?;
    let mut opinions = vec![];
    if args.second_opinion {
        for &target in &targets {
            let result = second_opinion(target, Duration::from_secs(1)).await;
            opinions.push(Opinion { target, result });
        }
    }
    let order = FactsOrder {
        agent: local_agent()?,
        request: None,
        peers: targets.clone(),
        metadata,
        engine: kind,
        observes: vec![],
        watched_ports: vec![],
        clock: Known::Unknown(WhyUnknown::NotAsked),
        since: None,
        until: None,
    };
    let facts = tokio::task::spawn_blocking(move || facts::read(order, wall())).await?;
    let extras = Extras::of(args, &targets, &facts, clock, lang).await?;
    let (echoes, by_port) = (exit_of(&rounds), ports::exit_of(&port_rounds));
    let rounds: Vec<ProbeRound> = rounds.into_iter().chain(port_rounds).collect();
    page::print(&rounds, &facts, &opinions, &extras, json, lang)?;
    if extras.is_broken() {
        return Ok(Exit::Bad);
    }
    Ok([Exit::Bad, Exit::Undecided].into_iter().find(|exit| [echoes, by_port].contains(exit)).unwrap_or(echoes))
}

#[expect(clippy::too_many_arguments, reason = "the numbers of one command line, each named at both callers")]
async fn probe(
    targets: &[IpAddr],
    count: u32,
    period_ms: u32,
    timeout_ms: u32,
    size: u32,
    rate: u32,
    engine: Engine,
    clock: Clock,
) -> anyhow::Result<Vec<ProbeRound>> {
    if let Engine::None(why) = &engine {
        bail!("cannot probe: {why}");
    }
    if let Some(why) = engine.degraded(Lang::En) {
        tracing::warn!("{why}");
    }
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no random key for the probes: {error}"))?;
    let mut probing = Probing::new(clock, engine, local_agent()?, NonceKey::from_bytes(key), rate);
    for &target in targets {
        probing.start(RoundOrder {
            pair: PairId::parse(&target.to_string())?,
            target,
            probes: count,
            spacing: Duration::from_millis(period_ms.into()),
            timeout: Duration::from_millis(timeout_ms.into()),
            payload_bytes: usize::try_from(size)?,
            purpose: RoundPurpose::Connectivity,
            bucket: None,
            request: None,
        });
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut rounds = vec![];
    while probing.rounds() > 0 {
        rounds.extend(probing.pump().rounds);
        if probing.rounds() == 0 {
            break;
        }
        tokio::select! {
            () = probing.wait() => {}
            // The results so far are worth printing.
            _ = interrupt.recv() => {
                rounds.extend(probing.finish().rounds);
                break;
            }
        }
    }
    loop {
        let rest = probing.pump().rounds;
        if rest.is_empty() {
            break;
        }
        rounds.extend(rest);
    }
    rounds.sort_by_key(|round| round.key.round);
    Ok(rounds)
}

fn exit_of(rounds: &[ProbeRound]) -> Exit {
    if rounds.iter().all(|round| round.sent.is_empty() && round.send_errors.is_empty()) {
        return Exit::Undecided;
    }
    let all = rounds.iter().all(|round| round.replied.len() == u64::from(round.planned));
    if all { Exit::Fine } else { Exit::Bad }
}

pub(crate) fn local_agent() -> anyhow::Result<AgentId> {
    AgentId::parse("local").map_err(|error| anyhow::anyhow!(chain(&error)))
}
