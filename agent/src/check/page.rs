//! The result of `check` as text and as JSON.

use super::{extras::Extras, ports};
use crate::{Lang, render};
use pingtong_evidence::{Container, HostFacts, InterfaceKind, Known, ProbeEngine, ProbeRound, RouteOutcome, SCHEMA};
use std::{fmt::Write as _, io, net::IpAddr, time::Duration};

/// Result of surge-ping for one address.
#[derive(Debug)]
pub(super) struct Opinion {
    /// The address that was pinged.
    pub target: IpAddr,
    /// The round-trip time, or what came instead of a reply.
    pub result: Result<Duration, String>,
}

/// Prints the result of `check`.
///
/// # Errors
/// Fails if standard output is closed.
pub(super) fn print(
    rounds: &[ProbeRound],
    facts: &HostFacts,
    opinions: &[Opinion],
    extras: &Extras,
    json: bool,
    lang: Lang,
) -> io::Result<()> {
    if json {
        let opinions: Vec<_> = opinions.iter().map(opinion_json).collect();
        let mut all =
            serde_json::json!({"schema": SCHEMA, "rounds": rounds, "host": facts, "second_opinions": opinions});
        if let Some(document) = all.as_object_mut() {
            extras.add_to(document);
        }
        return render::text(&all.to_string());
    }
    let mut lines: Vec<String> = rounds.iter().map(|round| line(round, lang)).collect();
    lines.extend(opinions.iter().map(|opinion| opinion_words(opinion, lang)));
    lines.extend(extras.lines(lang));
    lines.extend(host(facts, lang));
    render::text(&lines.join("\n"))
}

/// Maximum error of surge-ping's times. It reads its clock after the send returned, so that a time may be too short by
/// the duration of the send, down to zero; and it reads the clock again only after it was woken.
const OPINION_ACCURACY: Duration = Duration::from_millis(1);

fn opinion_json(opinion: &Opinion) -> serde_json::Value {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    match &opinion.result {
        Ok(rtt) => serde_json::json!({
            "target": opinion.target, "rtt_ns": nanos(*rtt), "accuracy_ns": nanos(OPINION_ACCURACY),
            "usable": *rtt >= OPINION_ACCURACY,
        }),
        Err(why) => serde_json::json!({"target": opinion.target, "why_not": why}),
    }
}

fn opinion_words(opinion: &Opinion, lang: Lang) -> String {
    let target = opinion.target;
    match &opinion.result {
        Ok(rtt) if *rtt < OPINION_ACCURACY => {
            let what = lang.pick(
                "有应答；用时小于其 1 ms 的精度，数值不可用",
                "answered; in less than its accuracy of 1 ms, so that the time is of no use",
            );
            format!("{target}  surge-ping: {what}")
        }
        Ok(rtt) => format!("{target}  surge-ping: {:.1} ms (±1 ms)", rtt.as_secs_f64() * 1e3),
        Err(why) => format!("{target}  surge-ping: {why}"),
    }
}

fn line(round: &ProbeRound, lang: Lang) -> String {
    let (sent, received) = (round.sent.len(), round.replied.len());
    let mut line = match lang {
        Lang::Zh => format!("{:<15}  发送 {sent}  收到 {received}", round.target),
        Lang::En => format!("{:<15}  sent {sent}  received {received}", round.target),
    };
    line.push_str(&ports::words(round, lang));
    if ports::counts_loss(round)
        && let Some(lost) = (sent.saturating_sub(received) * 1_000).checked_div(sent)
    {
        let _ = write!(line, "  {} {}.{}%", lang.pick("丢失", "lost"), lost / 10, lost % 10);
    }
    if let Some(rtt) = &round.rtt {
        let ms = |nanos: pingtong_evidence::Nanos| nanos.as_millis_f64();
        let _ = write!(
            line,
            "  {} {:.3}/{:.3}/{:.3} ms",
            lang.pick("最小/平均/最大", "min/avg/max"),
            ms(rtt.min),
            ms(rtt.mean),
            ms(rtt.max)
        );
    }
    let mut more = |count: u64, zh: &str, en: &str| {
        if count > 0 {
            let _ = write!(line, "  {} {count}", lang.pick(zh, en));
        }
    };
    more(round.late.len(), "迟到", "late");
    more(round.duplicates, "重复", "duplicate");
    more(round.reordered, "乱序", "reordered");
    more(round.own_drops, "本机丢弃", "dropped by this host");
    for refused in &round.send_errors {
        let _ = write!(
            line,
            "  {} {} × {}",
            lang.pick("本机拒绝", "refused here:"),
            errno(refused.errno),
            refused.probes.len()
        );
    }
    for error in &round.icmp_errors {
        let _ = write!(
            line,
            "  ICMP {}/{} {} {} × {}",
            error.icmp_type,
            error.code,
            lang.pick("来自", "from"),
            error.from,
            error.count
        );
    }
    for stranger in &round.strangers {
        let _ = write!(
            line,
            "  {} {} × {}",
            lang.pick("陌生应答来自", "replies without our tag from"),
            stranger.from,
            stranger.count
        );
    }
    line
}

fn errno(errno: i32) -> String {
    format!("{} ({errno})", nix::errno::Errno::from_raw(errno).desc())
}

fn host(facts: &HostFacts, lang: Lang) -> Vec<String> {
    let mut lines = vec![];
    let engine = match facts.engine {
        ProbeEngine::Raw => lang.pick("原始套接字（精确）", "raw sockets (exact)"),
        ProbeEngine::Portable => {
            lang.pick("surge-ping（看不到到达和 ICMP 错误）", "surge-ping (no arrivals, no ICMP errors)")
        }
        ProbeEngine::None => lang.pick("无法探测", "no probes"),
    };
    lines.push(format!("{}: {engine}", lang.pick("探测方式", "engine")));
    let unknown = |why: &pingtong_evidence::WhyUnknown| format!("? {why}");
    let metadata = match &facts.metadata {
        Known::Known(fact) => format!("{} {} {} {}", fact.instance, fact.account, fact.region, fact.private_address),
        Known::Unknown(why) => unknown(why),
    };
    lines.push(format!("{}: {metadata}", lang.pick("元数据", "metadata")));
    for route in &facts.routes {
        let outcome = match &route.outcome {
            Known::Known(RouteOutcome::Via { interface, source, gateway, prefix }) => {
                let mut text = interface.clone();
                for (name, value) in [
                    ("via", gateway.map(|a| a.to_string())),
                    ("src", source.map(|a| a.to_string())),
                    ("prefix", prefix.map(|p| p.to_string())),
                ] {
                    if let Some(value) = value {
                        let _ = write!(text, " {name} {value}");
                    }
                }
                text
            }
            Known::Known(RouteOutcome::Refused { errno: code }) => errno(*code),
            Known::Known(RouteOutcome::Own) => lang.pick("本机地址", "an address of this host").to_owned(),
            Known::Unknown(why) => unknown(why),
        };
        lines.push(format!("{} {}: {outcome}", lang.pick("路由", "route to"), route.to));
    }
    if let Known::Known(interfaces) = &facts.interfaces {
        for interface in interfaces.iter().filter(|each| each.kind != InterfaceKind::Loopback) {
            let addresses: Vec<String> = interface.addresses.iter().map(|(address, _)| address.to_string()).collect();
            lines.push(format!(
                "{} {}: {:?} mtu {} {}",
                lang.pick("网卡", "interface"),
                interface.name,
                interface.kind,
                interface.mtu,
                addresses.join(" ")
            ));
        }
    }
    if facts.sysctls.echo_ignore_all.known() == Some(&true) {
        lines.push(
            lang.pick(
                "icmp_echo_ignore_all = 1：本机不应答 ping",
                "icmp_echo_ignore_all = 1: this host answers no ping",
            )
            .to_owned(),
        );
    }
    match &facts.firewall {
        Known::Known(firewall) => {
            for rule in &firewall.refusing {
                lines.push(format!(
                    "{} {} {} {} {:?}: {rule}",
                    lang.pick("防火墙", "firewall"),
                    rule.family,
                    rule.table,
                    rule.chain,
                    rule.hook,
                ));
            }
        }
        Known::Unknown(why) => lines.push(format!("{}: {}", lang.pick("防火墙", "firewall"), unknown(why))),
    }
    if facts.container.known() == Some(&Container::Yes) {
        lines.push(
            lang.pick("在容器中运行，地址不是实例的地址", "in a container: its addresses are not the instance's")
                .to_owned(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opinion_below_its_own_accuracy_is_no_figure() {
        let of = |micros: u64| Opinion { target: [10, 1, 1, 2].into(), result: Ok(Duration::from_micros(micros)) };
        for micros in [0, 3, 999] {
            let words = opinion_words(&of(micros), Lang::En);
            assert!(words.contains("of no use") && !words.contains("0.0"), "{words}");
            assert!(opinion_words(&of(micros), Lang::Zh).contains("不可用"));
            assert_eq!(opinion_json(&of(micros))["usable"], false);
        }
        assert!(opinion_words(&of(12_340), Lang::En).contains("12.3 ms (±1 ms)"));
        let json = opinion_json(&of(12_340));
        assert_eq!(
            (&json["rtt_ns"], &json["usable"], &json["accuracy_ns"]),
            (&12_340_000.into(), &true.into(), &1_000_000.into())
        );
        let refused = Opinion { target: [10, 0, 0, 2].into(), result: Err("silence".to_owned()) };
        assert_eq!(opinion_json(&refused)["usable"], serde_json::Value::Null);
    }
}
