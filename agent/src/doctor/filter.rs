//! Findings about packet filter and policy routing: whether pings with each peer pass it, by the same walk as the verdict's.
//!
//! "Pass" is said only if every rule on their way was understood. Without a peer, the rules that refuse are listed.

use super::{Finding, Standing, named, unread};
use crate::{Lang, engine::CAPABILITY_ADVICE};
use pingtong_evidence::{FirewallFact, FirewallRule, HostFacts, Known, Protocol, RouteOutcome};
use pingtong_guest::{Asked, End, KnownHost, Packets};
use std::net::IpAddr;

const REFUSES: &str = "firewall-refuses";
const NEXT: &str = "nft -a list ruleset";

pub(super) fn findings(facts: &HostFacts) -> Vec<Finding> {
    let fact = match &facts.firewall {
        Known::Known(fact) => fact,
        Known::Unknown(why) => {
            return vec![unread("firewall", ("本机防火墙", "the packet filter"), why, CAPABILITY_ADVICE)];
        }
    };
    let (chains, count) = (fact.base_chains, fact.refusing.len());
    let mut findings = vec![Finding::new(
        "firewall",
        Standing::Good,
        format!("可读取本机防火墙：{chains} 个基链，{count} 条拒绝规则"),
        format!("the packet filter can be read: {chains} base chains, {count} refusing rules"),
        "",
    )];
    findings.push(match (KnownHost::of(facts), peers(facts)) {
        (Some(host), peers) if !peers.is_empty() => walked(&host, &peers),
        _ => listed(fact),
    });
    if fact.legacy_tables {
        findings.push(Finding::new(
            "firewall-legacy",
            Standing::Unknown,
            "加载了旧版 iptables 表，nftables 列表中看不到",
            "legacy iptables tables are loaded, which the listing of nftables does not show",
            "iptables-legacy-save",
        ));
    }
    findings
}

/// The rules of policy routing: whether every one is understood and the kernel's own look-ups agree with the tables.
pub(super) fn routing(facts: &HostFacts) -> Finding {
    const CODE: &str = "routing-rules";
    const LIST: &str = "ip rule; ip route show table all";
    let tables = match &facts.routing {
        Known::Known(fact) => fact.tables.as_deref(),
        Known::Unknown(why) => return unread(CODE, ("策略路由规则", "the rules of policy routing"), why, LIST),
    };
    let Some(tables) = tables else {
        return Finding::new(CODE, Standing::Unknown, "没有路由表内容", "the routing tables are not listed", LIST);
    };
    let added: Vec<_> = tables.rules.iter().filter(|rule| !rule.is_default()).collect();
    let list = named(added.iter().map(ToString::to_string));
    let (count, routes, omitted) = (added.len(), tables.routes.len(), tables.routes_omitted);
    let is_understood = tables.rules.iter().all(|rule| rule.not_understood.is_empty()) && omitted == 0;
    let agrees = KnownHost::of(facts).is_none_or(|known| known.knows_routes());
    match (is_understood, agrees) {
        _ if count == 0 && omitted == 0 && agrees => Finding::new(
            CODE,
            Standing::Good,
            format!("没有额外的策略路由规则；{routes} 条路由"),
            format!("no rules of policy routing beside the kernel's own; {routes} routes"),
            "",
        ),
        (true, true) => Finding::new(
            CODE,
            Standing::Good,
            format!("{count} 条策略路由规则，均已识别：{list}"),
            format!("{count} rules of policy routing, every one understood: {list}"),
            "",
        ),
        (_, false) => Finding::new(
            CODE,
            Standing::Unknown,
            format!("内核的路由查找与路由表不一致：{list}"),
            format!("the kernel's own look-ups differ from its rules and tables: {list}"),
            LIST,
        ),
        (false, true) => Finding::new(
            CODE,
            Standing::Unknown,
            format!("策略路由未能全部识别（{omitted} 条路由未列出）：{list}"),
            format!("not every rule of policy routing is understood ({omitted} routes not listed): {list}"),
            LIST,
        ),
    }
}

/// The peers, each with the source address of packets to it.
fn peers(facts: &HostFacts) -> Vec<(IpAddr, IpAddr)> {
    let of = |to: IpAddr, interface: &str| {
        let mut all = facts.interfaces.known().into_iter().flatten().filter(|each| each.name == interface);
        let addresses = all.next().map_or(&[][..], |each| each.addresses.as_slice());
        addresses.iter().map(|(address, _)| *address).find(|address| address.is_ipv4() == to.is_ipv4())
    };
    let routes = facts.routes.iter().filter_map(|route| match route.outcome.known()? {
        RouteOutcome::Via { interface, source, .. } => Some((route.to, source.or_else(|| of(route.to, interface))?)),
        RouteOutcome::Refused { .. } | RouteOutcome::Own => None,
    });
    routes.collect()
}

fn walked(host: &KnownHost<'_>, peers: &[(IpAddr, IpAddr)]) -> Finding {
    let (mut refused, mut open) = (vec![], vec![]);
    for &(peer, own) in peers {
        for asked in [Asked::Requests, Asked::Answers, Asked::Sent, Asked::Replies] {
            let passage = host.walk(&Packets { service: (Protocol::Icmp, None), peer, own }, asked);
            let checks = passage.ends.iter().filter(|end| matches!(end, End::ReversePath | End::Martian));
            let rules = host.stops(&passage);
            let rules = rules.iter().map(words).chain(checks.map(|_| String::from("rp_filter"))).collect::<Vec<_>>();
            let rules = rules.join("; ");
            if passage.surely_ends() {
                refused.push((asked, peer, rules));
            } else if !passage.surely_goes_on() {
                open.push((asked, peer, rules));
            }
        }
    }
    let list = |all: &[(Asked, IpAddr, String)], lang: Lang| {
        named(all.iter().map(|(asked, peer, rules)| format!("{} {peer}: {rules}", kind(*asked, lang))))
    };
    let both = |all: &[(Asked, IpAddr, String)]| (list(all, Lang::Zh), list(all, Lang::En));
    if !refused.is_empty() {
        let (zh, en) = both(&refused);
        let (zh, en) = (format!("本机拒绝：{zh}"), format!("this host refuses {en}"));
        return Finding::new(REFUSES, Standing::Wrong, zh, en, NEXT);
    }
    if !open.is_empty() {
        let (zh, en) = both(&open);
        let zh = format!("规则或路由未能全部识别，无法确定本机是否放行：{zh}");
        let en = format!("not every rule or route is understood: this host may refuse {en}");
        return Finding::new(REFUSES, Standing::Unknown, zh, en, NEXT);
    }
    let count = peers.len();
    Finding::new(
        REFUSES,
        Standing::Good,
        format!("与 {count} 个对端互 ping 的报文都能通过本机防火墙"),
        format!("pings with {count} peers pass the packet filter, both ways"),
        "",
    )
}

fn kind(asked: Asked, lang: Lang) -> &'static str {
    match asked {
        Asked::Requests => lang.pick("来自对端的 ping 请求", "echo requests from"),
        Asked::Answers => lang.pick("发往对端的 ping 应答", "echo replies to"),
        Asked::Sent => lang.pick("发往对端的 ping 请求", "echo requests to"),
        Asked::Replies => lang.pick("来自对端的 ping 应答", "echo replies from"),
    }
}

fn words(rule: &FirewallRule) -> String {
    format!("{} {} {}: {rule}", rule.family, rule.table, rule.chain)
}

fn listed(fact: &FirewallFact) -> Finding {
    let list = named(fact.refusing.iter().map(words));
    match (list.is_empty(), fact.legacy_tables) {
        (true, false) => Finding::new(
            REFUSES,
            Standing::Good,
            "本机防火墙没有拒绝规则",
            "no rule of the packet filter refuses anything",
            "",
        ),
        (true, true) => Finding::new(
            REFUSES,
            Standing::Unknown,
            "nftables 中没有拒绝规则；旧版 iptables 表未读取",
            "no rule of nftables refuses anything; the legacy iptables tables are not read",
            "iptables-legacy-save",
        ),
        (false, _) => Finding::new(
            REFUSES,
            Standing::Wrong,
            format!("本机防火墙会拒绝某些报文：{list}"),
            format!("the packet filter refuses some packets: {list}"),
            NEXT,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A host with one peer, whose input hook has these rules.
    fn said(rules: &serde_json::Value) -> (Standing, String) {
        let known = |value: serde_json::Value| json!({"known": value});
        let facts: HostFacts = serde_json::from_value(json!({
            "schema": 1, "agent": "a", "at": 0, "metadata": {"unknown": "not_asked"}, "sysctls": {},
            "interfaces": known(json!([{"name": "eth0", "kind": "card", "up": true, "mtu": 1500,
                "addresses": [["10.0.0.5", "10.0.0.0/24"]]}])),
            "routes": [{"to": "172.16.0.1", "outcome": known(json!({"via": {"interface": "eth0"}}))}],
            "firewall": known(json!({"refusing": [], "base_chains": 1, "rules": {"tables": [{"family": "inet", "name": "t",
                "chains": [{"name": "in", "base": {"kind": "filter", "hook": "input", "priority": 0, "policy": "accept"},
                "rules": rules}]}]}})),
            "counters": {"unknown": "not_asked"}, "container": {"unknown": "not_asked"}, "engine": "raw",
            "clock": {"unknown": "not_asked"},
        }))
        .unwrap();
        let found = findings(&facts).into_iter().find(|finding| finding.code == REFUSES).unwrap();
        assert_eq!(found.next.is_none(), found.standing == Standing::Good);
        (found.standing, found.en)
    }

    #[test]
    fn pings_pass_are_refused_or_it_is_open() {
        let rule = |statements: serde_json::Value| json!({"handle": 3, "statements": statements});
        let icmp_type = |number: u64| json!({"match": {"operands": [{"field": "icmp_type"}], "test": {"compare": {"how": "eq", "value": {"number": number}}}}});
        let drop = json!({"verdict": "drop"});
        assert_eq!(said(&json!([])).0, Standing::Good);
        let (standing, text) = said(&json!([rule(json!([icmp_type(8), drop]))]));
        assert_eq!(standing, Standing::Wrong);
        assert!(text.contains("echo requests from 172.16.0.1: inet t in: ") && !text.contains("replies"), "{text}");
        let accepted = json!([rule(json!([icmp_type(8), {"verdict": "accept"}])), rule(json!([icmp_type(8), drop]))]);
        assert_eq!(said(&accepted).0, Standing::Good, "an earlier rule accepts");
        let (standing, text) = said(&json!([rule(json!([{"not_understood": {"name": "xt recent"}}, drop]))]));
        assert_eq!(standing, Standing::Unknown);
        assert!(text.contains("not every rule or route is understood"), "{text}");
    }
}
