//! `check --hops`: tries rising hop limits against a target. Hop evidence, never proof.

use crate::{
    Lang,
    clock::Clock,
    engine::{Event, Handed, Outgoing, Sockets},
};
use anyhow::Context;
use pingtong_probe::{EchoKind, Heard, Hop, HopOrder, HopWalk, echo_request_to};
use serde_json::{Value, json};
use std::{fmt::Write as _, net::IpAddr, time::Duration};

/// Probes per hop limit.
const PROBES: u8 = 3;
const SPACING: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(1);
/// Random payload of a probe; its reply must carry the same.
const PAYLOAD_BYTES: usize = 32;
/// Maximum packets read at a time.
const READ_MAX: usize = 256;

/// Result of one walk.
#[derive(Debug)]
pub(crate) struct HopsSeen {
    pub(crate) target: IpAddr,
    pub(crate) hops: Vec<Hop>,
}

/// Walks the hop limits; blocks until the walk is over.
///
/// # Errors
/// Fails if raw sockets cannot be opened or waited for, or if the kernel provides no random bytes.
pub(crate) fn walk(target: IpAddr, hops_max: u8, clock: &Clock) -> anyhow::Result<HopsSeen> {
    let mut sockets = Sockets::open().context("a walk of hop limits needs raw sockets")?;
    let mut random = [0; PAYLOAD_BYTES];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("nothing random for the probes: {error}"))?;
    let identifier = u16::from_be_bytes([random[0], random[1]]);
    let order = HopOrder { target, hops_max, probes: PROBES, spacing: SPACING, timeout: TIMEOUT };
    let mut walk = HopWalk::new(order, clock.mono());
    while !walk.is_over(clock.mono()) {
        while let Some(probe) = walk.poll(clock.mono()) {
            let packet = echo_request_to(target, identifier, probe.sequence, &random);
            let outgoing =
                Outgoing { to: target, packet: &packet, dont_fragment: false, hop_limit: Some(probe.hop_limit) };
            sockets.send_batch(&[outgoing], &mut |_, handed| {
                if handed != Handed::Taken {
                    walk.refused(probe.sequence);
                }
            });
        }
        sockets.ready_within(walk.next_deadline().saturating_sub(clock.mono())).context("cannot wait for answers")?;
        sockets.drain(clock, READ_MAX, |event| {
            if let Event::Icmp { packet, at, .. } = event
                && let Some((sequence, from, what)) = answer(&packet, identifier, &random)
            {
                walk.answered(sequence, from, what, at);
            }
        });
    }
    Ok(HopsSeen { target, hops: walk.hops() })
}

/// An answer to one of our probes: its sequence number, who sent it, and its ICMP type and code.
fn answer(packet: &Heard<'_>, identifier: u16, payload: &[u8]) -> Option<(u16, IpAddr, (u8, u8))> {
    match *packet {
        Heard::Echo { kind: EchoKind::Reply, from, identifier: ours, sequence, payload: borne, .. } => {
            (ours == identifier && borne == payload).then_some((sequence, from, (0, 0)))
        }
        // A redirect announces a better route and ends nothing.
        Heard::Error { icmp_type: 5, .. } | Heard::Echo { .. } => None,
        Heard::Error { from, icmp_type, code, identifier: ours, sequence, .. } => {
            (ours == identifier).then_some((sequence, from, (icmp_type, code)))
        }
    }
}

/// The result as JSON.
pub(crate) fn as_json(seen: &HopsSeen) -> Value {
    let hop = |hop: &Hop| {
        let answers: Vec<Value> = hop
            .answers
            .iter()
            .map(|answer| {
                json!({
                    "from": answer.from, "icmp_type": answer.icmp_type, "code": answer.code, "count": answer.count,
                    "took_min_ns": u64::try_from(answer.took_min.as_nanos()).unwrap_or(u64::MAX),
                })
            })
            .collect();
        json!({"hop_limit": hop.hop_limit, "sent": hop.sent, "answers": answers})
    };
    json!({"target": seen.target, "hops": seen.hops.iter().map(hop).collect::<Vec<_>>(), "proof": false})
}

/// The result as text, one line per hop.
pub(crate) fn words(seen: &HopsSeen, lang: Lang) -> Vec<String> {
    let heading = match lang {
        Lang::Zh => format!("{}  逐跳线索（仅供参考，不作为证据）：", seen.target),
        Lang::En => format!("{}  hop evidence, never proof:", seen.target),
    };
    let mut lines = vec![heading];
    for hop in &seen.hops {
        let mut line = format!("  {:>2}", hop.hop_limit);
        for answer in &hop.answers {
            let ms = answer.took_min.as_secs_f64() * 1e3;
            let _ = write!(
                line,
                "  {} ICMP {}/{} × {}  {ms:.3} ms",
                answer.from, answer.icmp_type, answer.code, answer.count
            );
        }
        if hop.sent == 0 {
            line.push_str(lang.pick("  本机拒绝发送", "  refused here"));
        } else if hop.answers.is_empty() {
            line.push_str(lang.pick("  无应答", "  silent"));
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_answers_our_probe_counts() {
        let (from, to): (IpAddr, IpAddr) = ("10.0.0.9".parse().unwrap(), "10.0.0.1".parse().unwrap());
        let reply = |identifier, payload| {
            let kind = EchoKind::Reply;
            answer(&Heard::Echo { kind, from, to, identifier, sequence: 4, payload }, 7, &[1, 2, 3])
        };
        assert_eq!(reply(7, &[1, 2, 3]), Some((4, from, (0, 0))));
        assert_eq!((reply(8, &[1, 2, 3]), reply(7, &[1, 2, 4])), (None, None));
        let error = |icmp_type, identifier| {
            let quoted_to = to;
            let heard =
                Heard::Error { from, icmp_type, code: 0, quoted_to, identifier, sequence: 5, quoted_payload: &[] };
            answer(&heard, 7, &[])
        };
        assert_eq!(error(11, 7), Some((5, from, (11, 0))));
        assert_eq!((error(11, 8), error(5, 7)), (None, None));
    }
}
