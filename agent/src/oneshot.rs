//! `ping` and `check`: the one-shot callers of the machinery that `run` drives.

use crate::{
    Lang, chain,
    check_extras::Extras,
    cli::{CheckArgs, PingArgs},
    clock::{Clock, wall},
    engine::{Engine, second_opinion},
    facts::{self, FactsOrder},
    port_check::{self, PortCheck},
    probing::Probing,
    render::{self, Opinion},
};
use anyhow::{Context, bail};
use pingtong_cloud::MetadataClient;
use pingtong_evidence::{AgentId, Cidr, Known, PairId, ProbeRound, WhyUnknown};
use pingtong_probe::{NonceKey, RoundOrder};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, ToSocketAddrs},
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// Addresses of one command at most: the hosts of a /16.
const TARGETS_MAX: usize = 65_536;

/// Exit codes of `design.md` §5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything answered.
    Healthy = 0,
    /// Something did not.
    Broken = 1,
    /// Nothing could be found out.
    Undecided = 2,
}

/// `pingtong-agent ping`.
///
/// # Errors
/// When there is nothing to probe, or no way to.
pub async fn ping(args: &PingArgs, engine: Engine, clock: Clock, json: bool, lang: Lang) -> anyhow::Result<Exit> {
    let mut texts = args.target.clone();
    if let Some(list) = &args.targets {
        if Cidr::parse(list).is_ok() {
            texts.push(list.clone());
        } else {
            let file = std::fs::read_to_string(list)
                .with_context(|| format!("cannot read \"{list}\"; --targets takes a file or a CIDR block"))?;
            texts.extend(file.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_owned()));
        }
    }
    let targets = resolve(texts.iter().map(String::as_str).filter(|text| !text.is_empty()))?;
    let rounds = probe(&targets, args.count, args.period, args.timeout, args.size, args.rate, engine, clock).await?;
    render::ping(&rounds, json, lang)?;
    Ok(judge(&rounds))
}

/// `pingtong-agent check`.
///
/// # Errors
/// When there is no way to probe.
pub async fn check(args: &CheckArgs, engine: Engine, clock: Clock, json: bool, lang: Lang) -> anyhow::Result<Exit> {
    let metadata = match MetadataClient::new(args.metadata.as_deref())?.identity().await {
        Ok(fact) => Known::Known(fact),
        Err(error) => Known::Unknown(error.why()),
    };
    let kind = engine.kind();
    let targets: BTreeSet<Ipv4Addr> = args.target.iter().copied().collect();
    let targets: Vec<Ipv4Addr> = targets.into_iter().collect();
    let rounds = if targets.is_empty() {
        vec![]
    } else {
        probe(&targets, args.count, 50, 1_000, 56, 2_000, engine, clock).await?
    };
    let ports = PortCheck {
        targets: targets.iter().map(|target| IpAddr::V4(*target)).collect(),
        tcp: args.tcp.clone(),
        udp: args.udp.clone(),
        probes: args.count,
        timeout: Duration::from_secs(1),
    };
    let port_rounds = ports.run(clock).await?;
    let mut opinions = vec![];
    if args.second_opinion {
        for &target in &targets {
            let result = second_opinion(IpAddr::V4(target), Duration::from_secs(1)).await;
            opinions.push(Opinion { target, result });
        }
    }
    let order = FactsOrder {
        agent: local_agent()?,
        request: None,
        peers: targets.iter().copied().map(IpAddr::V4).collect(),
        metadata,
        engine: kind,
        observes: vec![],
        clock: Known::Unknown(WhyUnknown::NotAsked),
        since: None,
    };
    let facts = tokio::task::spawn_blocking(move || facts::read(order, wall())).await?;
    let extras = Extras::of(args, &targets, &facts, clock, lang).await?;
    let (echoes, by_port) = (judge(&rounds), port_check::judge(&port_rounds));
    let rounds: Vec<ProbeRound> = rounds.into_iter().chain(port_rounds).collect();
    render::check(&rounds, &facts, &opinions, &extras, json, lang)?;
    if extras.is_broken() {
        return Ok(Exit::Broken);
    }
    Ok([Exit::Broken, Exit::Undecided].into_iter().find(|exit| [echoes, by_port].contains(exit)).unwrap_or(echoes))
}

#[expect(clippy::too_many_arguments, reason = "the numbers of one command line, each named at both callers")]
async fn probe(
    targets: &[Ipv4Addr],
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
    if let Some(why) = engine.degraded() {
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
            dont_fragment: false,
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
            // What is known so far is worth printing.
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

fn resolve<'t>(texts: impl Iterator<Item = &'t str>) -> anyhow::Result<Vec<Ipv4Addr>> {
    let mut targets = vec![];
    let mut mistakes = vec![];
    for text in texts {
        if let Ok(block) = Cidr::parse(text) {
            match hosts(block) {
                Some(hosts) => targets.extend(hosts),
                None => mistakes.push(format!("\"{text}\" is not a block of at most {TARGETS_MAX} IPv4 addresses")),
            }
            continue;
        }
        let found = (text, 0).to_socket_addrs().ok().and_then(|mut all| {
            all.find_map(|address| if let IpAddr::V4(v4) = address.ip() { Some(v4) } else { None })
        });
        match found {
            Some(address) => targets.push(address),
            None => mistakes
                .push(format!("\"{text}\" is neither an IPv4 address, a CIDR block nor a name that resolves to one")),
        }
    }
    let mut seen = BTreeSet::new();
    targets.retain(|target| seen.insert(*target));
    if !mistakes.is_empty() {
        bail!(Usage(mistakes.join("\n")));
    }
    if targets.is_empty() || targets.len() > TARGETS_MAX {
        bail!(Usage(format!("{} targets were given; 1 to {TARGETS_MAX} are accepted", targets.len())));
    }
    Ok(targets)
}

/// Something wrong with the command line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Hosts of a block: without network and broadcast address from /30 up.
fn hosts(block: Cidr) -> Option<Vec<Ipv4Addr>> {
    let (IpAddr::V4(first), IpAddr::V4(last)) = (block.network(), block.last()) else { return None };
    let (mut first, mut last) = (u32::from(first), u32::from(last));
    if block.prefix_length() <= 30 {
        (first, last) = (first + 1, last - 1);
    }
    (usize::try_from(last - first).ok()? < TARGETS_MAX).then(|| (first..=last).map(Ipv4Addr::from).collect())
}

fn judge(rounds: &[ProbeRound]) -> Exit {
    if rounds.iter().all(|round| round.sent.is_empty() && round.send_errors.is_empty()) {
        return Exit::Undecided;
    }
    let all = rounds.iter().all(|round| round.replied.len() == u64::from(round.planned));
    if all { Exit::Healthy } else { Exit::Broken }
}

pub(crate) fn local_agent() -> anyhow::Result<AgentId> {
    AgentId::parse("local").map_err(|error| anyhow::anyhow!(chain(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_addresses_blocks_and_names_and_every_mistake_is_told() {
        let targets = resolve(["10.0.0.1", "10.0.0.0/30", "10.0.0.1"].into_iter()).unwrap();
        assert_eq!(targets, [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)]);
        let error = resolve(["10.0.0.0/8", "no host"].into_iter()).unwrap_err().to_string();
        assert!(error.contains("10.0.0.0/8") && error.contains("no host"), "{error}");
        assert!(resolve(std::iter::empty()).is_err());
    }
}
