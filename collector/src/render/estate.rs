//! Audits and paths for people. For each expectation and forbid: first what fails or leaks, with its causes, then what
//! is unknown. A path is shown stage by stage.

use super::{
    layout::{Style, Tone, columns, pick, wrapped},
    line_of, print,
};
use pingtong_evidence::{EndpointSet, Expectation, PortRange, Protocol};
use pingtong_verdict::{
    Audit, AuditBlock, AuditFlows, ExpectationState, Failing, ForbidState, Lang, Object, PathLeg, PathState, PathTrace,
    Predicted, UnknownPart, Unprobed,
};
use std::fmt::Write as _;

/// Prints an audit.
pub(crate) fn audit(audit: &Audit, json: bool, style: Style) {
    print(&if json { line_of(audit) + "\n" } else { audit_page(audit, style) });
}

fn audit_page(audit: &Audit, style: Style) -> String {
    let lang = style.lang;
    let mut out = String::new();
    for answer in &audit.expectations {
        let (mark, tone, word) = match answer.state {
            ExpectationState::Holds => ("✓", Tone::Good, pick(lang, "holds", "成立")),
            ExpectationState::Fails => ("✗", Tone::Bad, pick(lang, "fails", "不成立")),
            ExpectationState::Unknown => ("?", Tone::Open, pick(lang, "unknown", "未知")),
        };
        let title = format!("{} {}", pick(lang, "expect", "期望"), asked(&answer.asked));
        head(&mut out, style, (mark, tone, word), &title, answer.pairs);
        failing_parts(&mut out, &answer.failing, style);
        unknown_parts(&mut out, &answer.unknown);
    }
    for answer in &audit.forbids {
        let (mark, tone, word) = match answer.state {
            ForbidState::Holds => ("✓", Tone::Good, pick(lang, "holds", "成立")),
            ForbidState::Leaks => ("✗", Tone::Bad, pick(lang, "leaks", "有泄漏")),
            ForbidState::Unknown => ("?", Tone::Open, pick(lang, "unknown", "未知")),
        };
        let title = format!("{} {}", pick(lang, "forbid", "禁止"), asked(&answer.asked));
        head(&mut out, style, (mark, tone, word), &title, answer.pairs);
        for leaking in &answer.leaking {
            flows(&mut out, &leaking.flows);
            for by in &leaking.by {
                let text = format!("{}: {}", by.stage.name(lang), named(&by.object, lang));
                out.push_str(&wrapped(&text, 6, 8));
            }
        }
        unknown_parts(&mut out, &answer.unknown);
    }
    out
}

fn head(out: &mut String, style: Style, (mark, tone, word): (&str, Tone, &str), title: &str, pairs: u64) {
    let count = match style.lang {
        Lang::En => format!("{pairs} {} of hosts", if pairs == 1 { "pair" } else { "pairs" }),
        Lang::Zh => format!("{pairs} 对主机"),
    };
    let _ = writeln!(out, "{} {} {title} ({count})", style.paint(tone, mark), style.paint(tone, word));
}

fn asked(expectation: &Expectation) -> String {
    let set = |set: &EndpointSet| match set {
        EndpointSet::Instance { id, .. } => id.to_string(),
        EndpointSet::VSwitch(id) => id.to_string(),
        EndpointSet::Vpc(id) => id.to_string(),
        EndpointSet::Cidr(block) => block.to_string(),
    };
    let service = service(expectation.protocol, expectation.ports);
    format!("{} → {} {service}", set(&expectation.from), set(&expectation.to))
}

fn service(protocol: Protocol, ports: Option<PortRange>) -> String {
    match ports {
        Some(ports) if ports.first() == ports.last() => format!("{protocol}/{}", ports.first()),
        Some(ports) => format!("{protocol}/{}-{}", ports.first(), ports.last()),
        None => protocol.to_string(),
    }
}

fn flows(out: &mut String, flows: &AuditFlows) {
    let service = service(flows.protocol, flows.ports);
    let text = format!("{} → {} {service}", blocks(&flows.source), blocks(&flows.destination));
    out.push_str(&wrapped(&text, 4, 6));
}

fn blocks(blocks: &[AuditBlock]) -> String {
    let one = |block: &AuditBlock| {
        if block.first == block.last { block.first.to_string() } else { format!("{}-{}", block.first, block.last) }
    };
    if blocks.is_empty() { "-".to_owned() } else { blocks.iter().map(one).collect::<Vec<_>>().join(", ") }
}

fn failing_parts(out: &mut String, parts: &[Failing], style: Style) {
    for failing in parts {
        flows(out, &failing.flows);
        for cause in &failing.causes {
            let side = cause.side.map_or_else(String::new, |side| format!(" {side}"));
            let direction = cause.direction.map_or_else(String::new, |direction| format!(" {direction}"));
            let text = format!(
                "{}{side}{direction}: {}",
                style.paint(Tone::Bad, cause.code.as_str()),
                named(&cause.object, style.lang)
            );
            out.push_str(&wrapped(&text, 6, 8));
        }
    }
}

/// Maximum number of hosts of one expectation that the page names.
const HOSTS_SHOWN: usize = 20;

/// Renders what is predicted for hosts without an agent: those that the configuration stops first.
pub(super) fn unprobed(unprobed: &Unprobed, style: Style) -> String {
    let lang = style.lang;
    let mut out = String::new();
    for set in &unprobed.sets {
        let title = match lang {
            Lang::En => format!("Not measured: {} [{}]", asked(&set.asked), set.link),
            Lang::Zh => format!("未测量部分：{} [{}]", asked(&set.asked), set.link),
        };
        let _ = writeln!(out, "\n{}", style.paint(Tone::Strong, &title));
        let [blocked, unknown, passes] =
            [Predicted::Blocked, Predicted::Unknown, Predicted::Passes].map(|predicted| set.count(predicted));
        let (probed, hosts) = (set.probed, set.hosts.len());
        let sentence = match lang {
            Lang::En => format!(
                "{probed} pairs of hosts were measured. {hosts} hosts have no agent; by the configuration alone {blocked} are blocked, {unknown} are not known, {passes} are let through (their guests were not looked at)."
            ),
            Lang::Zh => format!(
                "已测量 {probed} 对主机。另有 {hosts} 台主机没有 agent，仅凭配置推断：{blocked} 台被阻断，{unknown} 台未知，{passes} 台放行（未检查其操作系统）。"
            ),
        };
        out.push_str(&wrapped(&sentence, 2, 2));
        for vpc in &set.unread {
            let text = match lang {
                Lang::En => format!("? the hosts of {vpc} were not read: which of them have no agent is not known"),
                Lang::Zh => format!("? 未读取 {vpc} 的主机：其中哪些没有 agent 未知"),
            };
            out.push_str(&wrapped(&text, 2, 4));
        }
        let mut hosts: Vec<_> = set.hosts.iter().collect();
        hosts.sort_by_key(|host| std::cmp::Reverse(host.predicted));
        for host in hosts.iter().take(HOSTS_SHOWN) {
            let (mark, tone, word) = match host.predicted {
                Predicted::Blocked => ("✗", Tone::Bad, pick(lang, "predicted to fail", "推断不通")),
                Predicted::Unknown => ("?", Tone::Open, pick(lang, "not known", "未知")),
                Predicted::Passes => ("·", Tone::Faint, pick(lang, "predicted to pass", "推断可通")),
            };
            let cells = columns(&[(&host.address.to_string(), 16), (host.instance.as_str(), 0)]);
            let _ = writeln!(out, "  {} {cells}  {word}", style.paint(tone, mark));
        }
        if hosts.len() > HOSTS_SHOWN {
            let more = hosts.len() - HOSTS_SHOWN;
            let text = match lang {
                Lang::En => format!("… and {more} more; --json lists all"),
                Lang::Zh => format!("……另有 {more} 台，--json 列出全部"),
            };
            out.push_str(&wrapped(&text, 2, 4));
        }
        failing_parts(&mut out, &set.failing, style);
        unknown_parts(&mut out, &set.unknown);
    }
    out
}

fn unknown_parts(out: &mut String, parts: &[UnknownPart]) {
    for part in parts {
        flows(out, &part.flows);
        for gap in &part.gaps {
            out.push_str(&wrapped(&format!("{}: {} ({})", gap.code, gap.what, gap.closes_with), 6, 8));
        }
    }
}

fn named(object: &Object, lang: Lang) -> String {
    format!("{} {} ({}, {})", object.kind.name(lang), object.id, object.account, object.region)
}

/// Prints a path.
pub(crate) fn path(trace: &PathTrace, json: bool, style: Style) {
    print(&if json { line_of(trace) + "\n" } else { path_page(trace, style) });
}

fn path_page(trace: &PathTrace, style: Style) -> String {
    let lang = style.lang;
    let mut out = String::new();
    let port = trace.port.map_or_else(String::new, |port| format!("/{port}"));
    let link = trace.link.as_ref().map_or_else(String::new, |link| format!("  [{link}]"));
    let title = format!("{} → {} {}{port}{link}", trace.source.address, trace.destination.address, trace.protocol);
    let _ = writeln!(out, "{title}  {}", painted(trace.state, style));
    let there = format!("{} → {}", trace.source.address, trace.destination.address);
    let back = format!("{} → {}", trace.destination.address, trace.source.address);
    leg(&mut out, pick(lang, "request", "请求"), &there, &trace.request, style);
    leg(&mut out, pick(lang, "reply", "应答"), &back, &trace.reply, style);
    out
}

fn painted(state: PathState, style: Style) -> String {
    let tone = match state {
        PathState::Passes => Tone::Good,
        PathState::Stopped => Tone::Bad,
        PathState::Unknown => Tone::Open,
    };
    style.paint(tone, state.name(style.lang))
}

fn leg(out: &mut String, name: &str, way: &str, leg: &PathLeg, style: Style) {
    let _ = writeln!(out, "{name} {way}  {}", painted(leg.state, style));
    for stage in leg.stages() {
        let (mark, tone) = match stage.state {
            PathState::Passes => ("✓", Tone::Good),
            PathState::Stopped => ("✗", Tone::Bad),
            PathState::Unknown => ("?", Tone::Open),
        };
        let object = stage.object.as_ref().map_or_else(String::new, |object| object.id.clone());
        let cells = columns(&[(stage.stage.name(style.lang), 24), (&object, 0)]);
        let codes: Vec<&str> = stage.codes.iter().map(|code| code.as_str()).collect();
        let codes =
            if codes.is_empty() { String::new() } else { format!("  {}", style.paint(Tone::Bad, &codes.join(", "))) };
        let _ = writeln!(out, "  {} {cells}{codes}", style.paint(tone, mark));
        if !stage.detail.is_empty() {
            out.push_str(&wrapped(&stage.detail, 28, 28));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::layout::WIDTH;
    use serde_json::json;
    use unicode_width::UnicodeWidthStr;

    fn predicted() -> Unprobed {
        let host = |instance: &str, address: &str, predicted: &str| json!({"instance": instance, "address": address, "side": "acceptor", "predicted": predicted});
        let block = |address: &str| json!([{"vpc": "vpc-b", "first": address, "last": address, "hosts": 1}]);
        let object = json!({"type": "security-group", "id": "sg-closed", "account": "2", "region": "cn-beijing"});
        serde_json::from_value(json!({
            "schema": 1,
            "sets": [{
                "asked": {"from": {"vpc": "vpc-a"}, "to": {"vpc": "vpc-b"}, "protocol": "icmp"}, "link": "p", "probed": 4,
                "hosts": [host("i-b3", "172.16.1.12", "passes"), host("i-b4", "172.16.1.13", "blocked")],
                "failing": [{
                    "source": block("192.168.1.10"), "destination": block("172.16.1.13"), "protocol": "icmp",
                    "direction": "forward",
                    "causes": [{"code": "sg-ingress-missing", "side": "acceptor", "direction": "forward", "object": object}]
                }],
                "unknown": [], "unread": ["vpc-a"]
            }]
        }))
        .unwrap()
    }

    #[test]
    fn what_was_measured_and_what_is_predicted_are_kept_apart() {
        let style = |lang| Style { lang, colour: false, verbose: false };
        insta::assert_snapshot!(unprobed(&predicted(), style(Lang::En)) + &unprobed(&predicted(), style(Lang::Zh)));
        for lang in [Lang::En, Lang::Zh] {
            assert!(unprobed(&predicted(), style(lang)).lines().all(|line| line.width() <= WIDTH));
        }
    }
}
