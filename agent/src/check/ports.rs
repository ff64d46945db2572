//! `check --tcp` and `check --udp`: probes ports from the command line, and puts the results into words.

use crate::{Exit, Lang, check::local_agent, clock::Clock, ports::probing::PortProbing};
use anyhow::Context;
use pingtong_evidence::{PairId, ProbeRound, Protocol};
use pingtong_probe::{NonceKey, PortOrder};
use std::{fmt::Write as _, net::IpAddr, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

/// Interval between two probes of one port; each may open a connection at a service.
const SPACING: Duration = Duration::from_millis(50);
const RATE_PPS: u32 = 1_000;

/// What to probe.
#[derive(Debug, Clone)]
pub(crate) struct PortCheck {
    pub(crate) targets: Vec<IpAddr>,
    pub(crate) tcp: Vec<u16>,
    pub(crate) udp: Vec<u16>,
    pub(crate) probes: u32,
    pub(crate) timeout: Duration,
}

impl PortCheck {
    fn orders(&self) -> anyhow::Result<Vec<PortOrder>> {
        let tcp = self.tcp.iter().map(|port| (Protocol::Tcp, *port));
        let ports: Vec<(Protocol, u16)> = tcp.chain(self.udp.iter().map(|port| (Protocol::Udp, *port))).collect();
        let mut orders = vec![];
        for &target in &self.targets {
            for &(protocol, port) in &ports {
                orders.push(PortOrder {
                    pair: PairId::parse(&format!("{target}/{protocol}/{port}"))?,
                    target,
                    protocol,
                    port,
                    probes: self.probes,
                    spacing: SPACING,
                    timeout: self.timeout,
                    request: None,
                });
            }
        }
        Ok(orders)
    }

    /// Probes the ports; returns the rounds in the order of targets and ports.
    ///
    /// # Errors
    /// Fails if the kernel provides no epoll descriptor or random bytes, or if signals cannot be watched.
    pub(crate) async fn run(&self, clock: Clock) -> anyhow::Result<Vec<ProbeRound>> {
        let orders = self.orders()?;
        if orders.is_empty() {
            return Ok(vec![]);
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no random key for the probes: {error}"))?;
        let mut probing = PortProbing::new(clock, local_agent()?, NonceKey::from_bytes(key), RATE_PPS)
            .context("cannot wait for sockets")?;
        for order in orders {
            probing.start(order);
        }
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut rounds = vec![];
        while probing.rounds() > 0 {
            rounds.extend(probing.pump());
            if probing.rounds() == 0 {
                break;
            }
            tokio::select! {
                () = probing.wait() => {}
                _ = interrupt.recv() => {
                    rounds.extend(probing.finish());
                    break;
                }
            }
        }
        rounds.sort_by_key(|round| round.key.round);
        Ok(rounds)
    }
}

/// The exit code for rounds of ports. Silence of a UDP port alone is not a fault: a listener need not answer what it
/// does not know.
pub(crate) fn exit_of(rounds: &[ProbeRound]) -> Exit {
    let silent = |round: &ProbeRound| round.replied.is_empty() && round.late.is_empty();
    let one = |round: &ProbeRound| match round.protocol {
        _ if round.sent.is_empty() && round.send_errors.is_empty() => Exit::Undecided,
        Protocol::Udp if round.icmp_errors.is_empty() && silent(round) && round.send_errors.is_empty() => {
            Exit::Undecided
        }
        // Port unreachables are rate limited: one proves the path, and missing ones are not loss.
        Protocol::Udp if silent(round) || !round.icmp_errors.is_empty() => Exit::Bad,
        Protocol::Udp => Exit::Fine,
        _ if round.replied.len() == u64::from(round.planned) => Exit::Fine,
        _ => Exit::Bad,
    };
    let all: Vec<Exit> = rounds.iter().map(one).collect();
    [Exit::Bad, Exit::Undecided].into_iter().find(|exit| all.contains(exit)).unwrap_or(Exit::Fine)
}

/// Whether unanswered probes count as lost: errors are not losses, and port unreachables are rate limited.
pub(crate) fn counts_loss(round: &ProbeRound) -> bool {
    let Some(ports) = &round.ports else { return true };
    round.icmp_errors.is_empty() && (round.protocol != Protocol::Udp || ports.closed.is_empty())
}

/// The results of a round's probes in words; empty for a round of ICMP.
pub(crate) fn words(round: &ProbeRound, lang: Lang) -> String {
    let Some(ports) = &round.ports else { return String::new() };
    let mut text = format!("  {} {}", round.protocol, ports.port);
    let closed = ports.closed.len();
    if closed > 0 {
        let _ = write!(
            text,
            "  {} × {closed}",
            lang.pick(
                "对端拒绝（路径正常，端口无人监听）",
                "refused by the target (the path is fine, nobody listens):"
            )
        );
    }
    let open = round.replied.len().saturating_sub(closed);
    if open > 0 {
        let _ = write!(text, "  {} × {open}", lang.pick("端口开放", "open:"));
    }
    if !ports.resent.is_empty() {
        let _ = write!(
            text,
            "  {} × {}",
            lang.pick("内核重发 SYN 后才有应答（首个报文丢失）", "answered only to a second SYN (the first was lost):"),
            ports.resent.len()
        );
    }
    if round.protocol == Protocol::Udp
        && round.replied.is_empty()
        && round.icmp_errors.is_empty()
        && !round.sent.is_empty()
    {
        text.push_str(lang.pick(
            "  无应答：可能是路径或防火墙丢弃，也可能是服务收到后不作答（需对端 agent 观测到达才能区分）",
            "  silence: dropped on the way or by a firewall, or a service that does not answer (only an agent there can tell)",
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::SequenceSet;
    use serde_json::json;

    fn round(protocol: &str, replied: u32, closed: u32, errors: u64) -> ProbeRound {
        let mut round: ProbeRound = serde_json::from_value(json!({
            "key": {"agent": "a", "round": 1}, "pair": "p", "target": "10.0.0.2", "protocol": protocol, "started_at": 1,
            "ended_at": 2, "payload_bytes": 0, "planned": 10, "sent": [[0, 9]], "replied": [], "ports": {"port": 443}
        }))
        .unwrap();
        round.replied = SequenceSet::first(replied);
        round.ports.as_mut().unwrap().closed = SequenceSet::first(closed);
        if errors > 0 {
            let error = json!({"from": "10.0.0.1", "icmp_type": 3, "code": 13, "count": errors});
            round.icmp_errors = vec![serde_json::from_value(error).unwrap()];
        }
        round
    }

    #[test]
    fn a_refusal_by_the_target_is_a_healthy_path_and_the_words_say_so() {
        let refused = round("tcp", 10, 10, 0);
        assert_eq!(exit_of(std::slice::from_ref(&refused)), Exit::Fine);
        assert!(words(&refused, Lang::En).contains("nobody listens"), "{}", words(&refused, Lang::En));
        assert!(words(&refused, Lang::Zh).contains("无人监听"));
        let open = round("tcp", 10, 0, 0);
        assert!(!words(&open, Lang::En).contains("nobody listens"));
        assert!(words(&open, Lang::En).contains("open"));
    }

    #[test]
    fn silence_of_tcp_is_broken_and_of_udp_is_open() {
        assert_eq!(exit_of(&[round("tcp", 0, 0, 0)]), Exit::Bad);
        assert_eq!(exit_of(&[round("tcp", 9, 0, 0)]), Exit::Bad);
        assert_eq!(exit_of(&[round("udp", 0, 0, 0)]), Exit::Undecided);
        assert_eq!(exit_of(&[round("udp", 0, 0, 1)]), Exit::Bad);
        assert_eq!(exit_of(&[round("udp", 6, 6, 0)]), Exit::Fine);
        assert_eq!(exit_of(&[round("udp", 6, 6, 0), round("tcp", 0, 0, 10)]), Exit::Bad);
        assert!(words(&round("udp", 0, 0, 0), Lang::En).contains("silence"));
        let counted = [round("tcp", 9, 0, 0), round("udp", 9, 0, 0), round("udp", 6, 6, 0), round("tcp", 0, 0, 1)];
        assert_eq!(counted.map(|round| counts_loss(&round)), [true, true, false, false]);
    }
}
