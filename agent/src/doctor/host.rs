//! Turns host facts into findings of `doctor`: one per fact, with the next step for what is wrong.
//!
//! Pure: facts in, findings out. A fact that could not be read is `Unknown`, which is neither good nor wrong. The facts
//! come from `crate::facts` (netlink and `/proc`) and the metadata service.

use super::{Finding, Standing, filter, named, unread};
use crate::settings::Settings;
use pingtong_evidence::{
    Container, HostFacts, InterfaceFact, InterfaceKind, Known, MetadataFact, ProbeEngine, RouteFact, RouteOutcome,
};

/// Every finding about the host.
pub(super) fn findings(facts: &HostFacts, settings: Option<&Settings>) -> Vec<Finding> {
    let mut findings = vec![];
    if let Known::Known(fact) = &facts.metadata {
        findings.push(identity(fact, settings));
    }
    findings.push(addresses(facts));
    findings.push(container(facts));
    findings.extend(facts.routes.iter().map(route));
    findings.push(filter::routing(facts));
    findings.extend(filter::findings(facts));
    findings.push(echoes(&facts.sysctls.echo_ignore_all));
    findings.push(reverse_path(facts));
    findings.push(groups(facts));
    findings.push(counters(facts));
    findings
}

fn identity(fact: &MetadataFact, settings: Option<&Settings>) -> Finding {
    let own = settings.is_none_or(|settings| settings.account == fact.account);
    let text = format!("{} {} {} {}", fact.instance, fact.account, fact.region, fact.private_address);
    if own {
        return Finding::new("metadata", Standing::Good, format!("元数据：{text}"), format!("metadata: {text}"), "");
    }
    Finding::new(
        "metadata",
        Standing::Wrong,
        format!("实例属于账号 {}，与配置中的账号不同", fact.account),
        format!("the instance belongs to account {}, the settings name another", fact.account),
        &format!("pingtong enroll --account {} …", fact.account),
    )
}

/// Whether the guest has every address that the cloud assigned to it.
fn addresses(facts: &HostFacts) -> Finding {
    const CODE: &str = "addresses";
    let what = ("本机地址与元数据的比对", "addresses against the metadata service");
    let (interfaces, metadata) = match (&facts.interfaces, &facts.metadata) {
        (Known::Known(interfaces), Known::Known(metadata)) => (interfaces, metadata),
        (Known::Unknown(why), _) | (_, Known::Unknown(why)) => {
            return unread(CODE, what, why, "ip address show");
        }
    };
    let held = |address| interfaces.iter().any(|i| i.addresses.iter().any(|(own, _)| *own == address));
    let mut given = vec![metadata.private_address];
    given.extend(metadata.interfaces.iter().flat_map(|interface| &interface.addresses).copied());
    let missing: Vec<_> = given.into_iter().filter(|address| !held(*address)).collect();
    let Some(first) = missing.first() else {
        let list = named(interfaces.iter().filter(|i| i.kind != InterfaceKind::Loopback).map(shown));
        return Finding::new(
            CODE,
            Standing::Good,
            format!("元数据给出的地址本机都有：{list}"),
            format!("the guest has every address that the metadata service names: {list}"),
            "",
        );
    };
    let list = named(missing.iter().map(ToString::to_string));
    let card = interfaces.iter().find(|i| i.kind == InterfaceKind::Card).map_or("eth0", |card| card.name.as_str());
    Finding::new(
        CODE,
        Standing::Wrong,
        format!("元数据给出的地址本机没有：{list}"),
        format!("the guest lacks addresses that the metadata service names: {list}"),
        &format!("ip address add {first}/32 dev {card}"),
    )
}

fn shown(interface: &InterfaceFact) -> String {
    let addresses: Vec<String> = interface.addresses.iter().map(|(address, _)| address.to_string()).collect();
    format!("{} {} mtu {}", interface.name, addresses.join(" "), interface.mtu)
}

fn container(facts: &HostFacts) -> Finding {
    match &facts.container {
        Known::Known(Container::No) => Finding::new(
            "container",
            Standing::Good,
            "与实例共用网络，不在独立网络的容器中",
            "shares the instance's network, not in a container of its own",
            "",
        ),
        Known::Known(Container::Yes) => Finding::new(
            "container",
            Standing::Wrong,
            "在容器中运行，看不到实例的网络",
            "in a container that does not share the instance's network",
            "docker run --network host …",
        ),
        Known::Unknown(why) => unread("container", ("是否在容器中", "whether this is a container"), why, ""),
    }
}

fn route(route: &RouteFact) -> Finding {
    const CODE: &str = "route";
    let to = route.to;
    match &route.outcome {
        Known::Known(RouteOutcome::Via { interface, source, gateway, prefix }) => {
            let said =
                |name: &str, value: Option<String>| value.map_or_else(String::new, |value| format!(" {name} {value}"));
            let way = format!(
                "dev {interface}{}{}{}",
                said("via", gateway.map(|address| address.to_string())),
                said("src", source.map(|address| address.to_string())),
                said("prefix", prefix.map(|block| block.to_string()))
            );
            Finding::new(CODE, Standing::Good, format!("到 {to} 的路由：{way}"), format!("route to {to}: {way}"), "")
        }
        Known::Known(RouteOutcome::Refused { errno }) => {
            let why = nix::errno::Errno::from_raw(*errno).desc();
            Finding::new(
                CODE,
                Standing::Wrong,
                format!("到 {to} 没有可用路由：{why}"),
                format!("no usable route to {to}: {why}"),
                &format!("ip route get {to}; ip route replace {to} via GATEWAY dev eth0"),
            )
        }
        Known::Known(RouteOutcome::Own) => Finding::new(
            CODE,
            Standing::Wrong,
            format!("{to} 是本机自己的地址：探测不会离开本机"),
            format!("{to} is an address of this host: probes never leave it"),
            &format!("ip address show to {to}"),
        ),
        Known::Unknown(why) => {
            unread(CODE, (&format!("到 {to} 的路由"), &format!("route to {to}")), why, "ip route get")
        }
    }
}

fn echoes(ignored: &Known<bool>) -> Finding {
    const NAME: &str = "net.ipv4.icmp_echo_ignore_all";
    match ignored {
        Known::Known(false) => Finding::new(
            "echo",
            Standing::Good,
            format!("{NAME} = 0：本机应答 ping"),
            format!("{NAME} = 0: pings are answered"),
            "",
        ),
        Known::Known(true) => Finding::new(
            "echo",
            Standing::Wrong,
            format!("{NAME} = 1：本机不应答 ping"),
            format!("{NAME} = 1: this host answers no ping"),
            &format!("sysctl -w {NAME}=0"),
        ),
        Known::Unknown(why) => unread("echo", (NAME, NAME), why, &format!("sysctl {NAME}")),
    }
}

/// Strict reverse-path filtering is wrong only if it has dropped packets; otherwise it is only mentioned.
fn reverse_path(facts: &HostFacts) -> Finding {
    let strict = match &facts.sysctls.strict_reverse_path {
        Known::Known(strict) => strict,
        Known::Unknown(why) => return unread("rp-filter", ("rp_filter", "rp_filter"), why, "sysctl -a -r rp_filter"),
    };
    let drops = facts.counters.known().map_or(0, |counters| counters.reverse_path_drops);
    let list = named(strict.iter().cloned());
    match (strict.is_empty(), drops) {
        (true, _) => Finding::new(
            "rp-filter",
            Standing::Good,
            "没有网卡启用严格反向路径过滤",
            "no interface filters reverse paths strictly",
            "",
        ),
        (false, 0) => Finding::new(
            "rp-filter",
            Standing::Good,
            format!("{list} 启用了严格反向路径过滤，尚未拒绝过报文"),
            format!("{list} filter reverse paths strictly and have refused no packet"),
            "",
        ),
        (false, drops) => Finding::new(
            "rp-filter",
            Standing::Wrong,
            format!("{list} 的严格反向路径过滤已拒绝 {drops} 个报文"),
            format!("strict reverse-path filtering of {list} has refused {drops} packets"),
            "sysctl -w net.ipv4.conf.all.rp_filter=2",
        ),
    }
}

/// Which groups may open ICMP datagram sockets. Wrong only if there is no other way to probe.
fn groups(facts: &HostFacts) -> Finding {
    const NAME: &str = "net.ipv4.ping_group_range";
    let advice = format!("sysctl -w {NAME}='0 2147483647'");
    match facts.sysctls.ping_group_range {
        Known::Known((first, last)) => {
            let needed = facts.engine == ProbeEngine::None && first > last;
            let standing = if needed { Standing::Wrong } else { Standing::Good };
            let text = format!("{NAME} = {first} {last}");
            Finding::new("ping-group-range", standing, text.clone(), text, &advice)
        }
        Known::Unknown(ref why) => unread("ping-group-range", (NAME, NAME), why, &format!("sysctl {NAME}")),
    }
}

fn counters(facts: &HostFacts) -> Finding {
    match &facts.counters {
        Known::Known(counters) => {
            let (echoes, replies, drops) = (counters.in_echos, counters.out_echo_replies, counters.reverse_path_drops);
            Finding::new(
                "counters",
                Standing::Good,
                format!("内核计数器可读：收到 ping {echoes}，应答 {replies}，反向路径丢弃 {drops}"),
                format!(
                    "kernel counters can be read: {echoes} pings in, {replies} replies out, {drops} refused by reverse path"
                ),
                "",
            )
        }
        Known::Unknown(why) => unread("counters", ("内核计数器", "kernel counters"), why, "cat /proc/net/snmp"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{
        FirewallFact, FirewallHook, FirewallRule, FirewallVerdict, IcmpCounters, Timestamp, WhyUnknown,
        packet_filter::{Statement, Verdict},
    };
    use serde_json::json;

    fn facts() -> HostFacts {
        let known = |value: serde_json::Value| json!({"known": value});
        serde_json::from_value(json!({
            "schema": 1, "agent": "a", "at": 0,
            "metadata": known(json!({"instance": "i-1", "account": "1", "region": "cn-a", "private_address": "10.0.0.5"})),
            "interfaces": known(json!([{"name": "eth0", "kind": "card", "up": true, "mtu": 1500,
                "addresses": [["10.0.0.5", "10.0.0.0/24"]]}])),
            "routing": known(json!({"tables": {"rules": [{"ipv4": true, "priority": 32766, "action": {"table": 254}}],
                "routes": [{"table": 254, "to": "0.0.0.0/0", "hops": [{"device": "eth0"}]}]}})),
            "routes": [{"to": "172.16.0.1", "outcome": known(json!({"via": {"interface": "eth0", "source": "10.0.0.5",
                "gateway": "10.0.0.253", "prefix": "0.0.0.0/0"}}))}],
            "sysctls": {"echo_ignore_all": known(json!(false)), "strict_reverse_path": known(json!([])),
                "ping_group_range": known(json!([1, 0]))},
            "firewall": known(json!({"refusing": [], "base_chains": 0})),
            "counters": known(json!({"in_echos": 1, "out_echo_replies": 1, "reverse_path_drops": 0})),
            "container": known(json!("no")), "engine": "raw", "clock": known(json!({"offset_ms": 0, "error_ms": 1}))
        }))
        .unwrap()
    }

    fn standing(facts: &HostFacts, code: &str) -> Standing {
        let found = findings(facts, None).into_iter().find(|finding| finding.code == code);
        found.unwrap_or_else(|| panic!("no finding {code}")).standing
    }

    #[test]
    fn a_sound_host_has_nothing_wrong_and_every_text_exists_twice() {
        let all = findings(&facts(), None);
        for finding in &all {
            assert_eq!((finding.standing, &finding.next), (Standing::Good, &None), "{}", finding.code);
            assert!(!finding.zh.is_empty() && !finding.en.is_empty(), "{}", finding.code);
        }
        let codes: Vec<&str> = all.iter().map(|finding| finding.code).collect();
        assert_eq!(
            codes,
            [
                "metadata",
                "addresses",
                "container",
                "route",
                "routing-rules",
                "firewall",
                "firewall-refuses",
                "echo",
                "rp-filter",
                "ping-group-range",
                "counters"
            ]
        );
    }

    #[test]
    fn every_fault_is_found_and_has_a_next_step() {
        type Break = fn(&mut HostFacts);
        let rule = || FirewallRule {
            family: "inet".into(),
            table: "t".into(),
            chain: "c".into(),
            hook: FirewallHook::Input,
            handle: Some(1),
            verdict: FirewallVerdict::Drop,
            protocol: Some(1),
            limited: false,
            statements: Some(vec![Statement::Verdict(Verdict::Drop)]),
            text: String::new(),
        };
        let cases: [(&str, Break); 8] = [
            ("addresses", |f| f.interfaces = Known::Known(vec![])),
            ("container", |f| f.container = Known::Known(Container::Yes)),
            ("route", |f| f.routes[0].outcome = Known::Known(RouteOutcome::Refused { errno: 101 })),
            ("route", |f| f.routes[0].outcome = Known::Known(RouteOutcome::Own)),
            ("echo", |f| f.sysctls.echo_ignore_all = Known::Known(true)),
            ("rp-filter", |f| {
                f.sysctls.strict_reverse_path = Known::Known(vec!["eth0".into()]);
                f.counters = Known::Known(IcmpCounters { reverse_path_drops: 3, ..IcmpCounters::default() });
            }),
            ("ping-group-range", |f| f.engine = ProbeEngine::None),
            ("firewall-legacy", |f| {
                f.firewall = Known::Known(FirewallFact {
                    refusing: vec![],
                    base_chains: 1,
                    legacy_tables: true,
                    ..FirewallFact::default()
                });
            }),
        ];
        for (code, spoil) in cases {
            let mut facts = facts();
            spoil(&mut facts);
            let all = findings(&facts, None);
            let finding = all.iter().find(|finding| finding.code == code).unwrap();
            assert_ne!(finding.standing, Standing::Good, "{code}");
            assert!(finding.next.is_some(), "{code}");
        }
        let mut facts = facts();
        facts.firewall = Known::Known(FirewallFact {
            refusing: vec![rule(); 12],
            base_chains: 1,
            legacy_tables: false,
            ..FirewallFact::default()
        });
        let all = findings(&facts, None);
        let refuses = all.iter().find(|finding| finding.code == "firewall-refuses").unwrap();
        assert_eq!(refuses.standing, Standing::Wrong);
        assert!(refuses.en.contains("+4"), "{}", refuses.en);
        facts.metadata =
            Known::Known(MetadataFact { account: "2".parse().unwrap(), ..facts.metadata.known().unwrap().clone() });
        assert_eq!(standing(&facts, "metadata"), Standing::Good, "without settings any account is ours");
    }

    #[test]
    fn what_could_not_be_read_is_unknown_and_neither_fine_nor_wrong() {
        let why = || WhyUnknown::NotAsked;
        let mut facts = facts();
        facts.interfaces = Known::Unknown(why());
        facts.container = Known::Unknown(why());
        facts.routes[0].outcome = Known::Unknown(why());
        facts.routing = Known::Unknown(why());
        facts.firewall = Known::Unknown(why());
        facts.sysctls = pingtong_evidence::SysctlFacts::default();
        facts.counters = Known::Unknown(why());
        facts.at = Timestamp::from_millis(1);
        for finding in findings(&facts, None).iter().filter(|finding| finding.code != "metadata") {
            assert_eq!(finding.standing, Standing::Unknown, "{}", finding.code);
        }
    }
}
