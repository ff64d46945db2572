//! What the agent reads of rules that `nft` and `iptables-nft` loaded, in a network namespace.
//!
//! Question: is every rule reported as it was loaded, in every family, and is what is not understood named? The rules
//! are compared as the agent shows them, which is nft's own syntax.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test stops at what it did not expect")]
#![allow(clippy::disallowed_methods, reason = "whether this is CI is told by the environment")]

mod road;

use pingtong_agent::facts;
use pingtong_evidence::packet_filter::{
    Chain, ChainKind, Data, Family, Field, FirewallHook, RuleSet, Source, Span, Statement, Value, Verdict,
};
use road::Net;

/// Family, rule as loaded, rule as shown; `=` where it is shown as loaded.
const RULES: &[(&str, &str, &str)] = &[
    ("ip", "ip saddr 10.1.2.3 drop", "="),
    ("ip", "ip saddr != 10.0.0.0/8 ip daddr 10.2.0.0/15 accept", "="),
    ("ip", "ip saddr 10.0.0.1 ip daddr 10.0.0.2 drop", "="),
    ("ip", "ip saddr & 0.255.0.0 == 0.1.0.0 drop", "="),
    ("ip", "ip saddr 10.0.0.1-10.0.0.9 drop", "ip saddr >= 10.0.0.1 ip saddr <= 10.0.0.9 drop"),
    (
        "ip",
        "ip saddr { 10.0.0.0/8, 192.168.1.1-192.168.1.9, 172.16.0.1 } drop",
        "ip saddr { 10.0.0.0/8, 172.16.0.1, 192.168.1.1-192.168.1.9 } drop",
    ),
    ("ip", "ip saddr . tcp dport { 1.2.3.0/24 . 80-90, 1.2.4.1 . 22 } drop", "="),
    ("ip", "ip saddr @hosts drop", "="),
    ("ip", "ip protocol icmp icmp type echo-request icmp code 0 drop", "="),
    ("ip", "icmp type { echo-request, echo-reply } drop", "icmp type { echo-reply, echo-request } drop"),
    ("ip", "icmp id 5 drop", "icmp type { echo-reply, echo-request } icmp id 5 drop"),
    ("ip", "ip ttl < 5 drop", "="),
    ("ip", "ip length 100-200 drop", "ip length >= 100 ip length <= 200 drop"),
    ("ip", "ip dscp cs1 drop", "ip dscp 0x8 drop"),
    ("ip", "ip dscp { cs1, cs2 } drop", "ip dscp { 0x8, 0x10 } drop"),
    ("ip", "ip version 4 drop", "="),
    ("ip", "ip frag-off & 0x1fff != 0 drop", "ip frag-off & 0x1fff != 0x0 drop"),
    ("ip", "fib saddr . iif oif missing drop", "="),
    ("ip", "fib daddr type { local, broadcast } drop", "="),
    ("ip", "limit rate over 5/minute burst 3 packets drop", "="),
    ("ip", "limit rate 10 kbytes/second accept", "limit rate 10240 bytes/second accept"),
    ("ip", "reject with icmp host-prohibited", "="),
    ("ip", "notrack", "="),
    ("ip6", "ip6 saddr fd00::/8 ip6 daddr fd00::1 drop", "="),
    ("ip6", "ip6 saddr fe80::/10 accept", "="),
    ("ip6", "icmpv6 type { echo-request, nd-neighbor-solicit } accept", "="),
    ("ip6", "ip6 nexthdr tcp tcp dport 22 reject with tcp reset", "="),
    ("ip6", "ip6 hoplimit != 255 drop", "="),
    ("ip6", "reject with icmpv6 admin-prohibited", "="),
    ("inet", "icmp type echo-request drop", "="),
    ("inet", "icmpv6 type echo-request drop", "="),
    ("inet", "tcp dport 443 counter log drop", "="),
    ("inet", "tcp sport 22 tcp dport 23 drop", "="),
    ("inet", "tcp dport { 22, 80-90 } accept", "="),
    ("inet", "tcp dport != { 22, 80 } accept", "="),
    ("inet", "udp dport != 10-20 drop", "="),
    ("inet", "meta l4proto { tcp, udp } th dport 53 drop", "="),
    ("inet", "th dport 53 drop", "@th,16,16 0x35 drop"),
    ("inet", "tcp flags syn / syn,ack drop", "="),
    ("inet", "tcp flags & (syn | ack) != 0 drop", "tcp flags syn,ack drop"),
    ("inet", "ct state established,related accept", "="),
    (
        "inet",
        "ct state vmap { new : drop, established : accept, related : jump other }",
        "ct state vmap { established : accept, related : jump other, new : drop }",
    ),
    ("inet", "ct status dnat accept", "="),
    ("inet", "ct direction reply accept", "="),
    ("inet", "ct original ip saddr 10.0.0.1 drop", "ct original saddr 10.0.0.1 drop"),
    ("inet", "ct count over 10 drop", "="),
    ("inet", "ct mark 0x7 meta mark set ct mark", "="),
    ("inet", "meta mark & 0xf0 == 0x10 drop", "="),
    ("inet", "meta mark { 1-2, 5-9 } drop", "meta mark { 0x1-0x2, 0x5-0x9 } drop"),
    ("inet", "meta mark set 0x1", "="),
    ("inet", "meta mark set meta mark | 0x1", "meta mark set (bitwise)"),
    ("inet", "meta length 100-200 drop", "meta length >= 100 meta length <= 200 drop"),
    ("inet", "meta pkttype broadcast drop", "="),
    ("inet", "meta skuid 1000 drop", "="),
    ("inet", "iifname \"eth*\" drop", "="),
    ("inet", "iifname { \"eth0\", \"wlan0\" } accept", "="),
    ("inet", "iif lo accept", "iif \"lo\" accept"),
    ("inet", "oifname \"up0\" drop", "="),
    ("inet", "quota over 100 mbytes drop", "quota over 104857600 bytes drop"),
    ("inet", "tcp dport @ports jump other", "="),
    ("inet", "goto other", "="),
    ("inet", "meta nfproto ipv6 return", "="),
    ("inet", "reject", "reject with icmpx port-unreachable"),
    ("inet", "numgen random mod 2 0 drop", "(numgen) 0x00000000 drop"),
    ("inet", "jhash ip saddr mod 2 0 drop", "meta nfproto ipv4 (hash) 0x00000000 drop"),
    ("inet", "tcp option maxseg size 1-500 drop", "(exthdr) >= 0x0001 (exthdr) <= 0x01f4 drop"),
    ("inet", "tcp option maxseg size set 1400", "(exthdr)"),
    ("inet", "update @seen { ip saddr limit rate 1/second } drop", "meta nfproto ipv4 (dynset) drop"),
    ("inet", "counter name \"hits\" drop", "="),
    ("inet", "limit name \"slow\" accept", "="),
    ("inet", "@ll,0,16 0x1234 drop", "="),
    ("bridge", "ether saddr 00:11:22:33:44:55 drop", "="),
    (
        "bridge",
        "meta protocol ip ip saddr 10.0.0.1 icmp type echo-request drop",
        "ip saddr 10.0.0.1 icmp type echo-request drop",
    ),
    ("arp", "arp operation request arp saddr ip 10.0.0.1 drop", "="),
    ("netdev", "ip saddr 10.0.0.1 udp dport 53 drop", "="),
    ("netdev", "ip6 daddr fd00::1 drop", "="),
    ("nat", "tcp dport 80 dnat to 10.0.0.5:8080", "="),
    ("nat", "meta l4proto tcp dnat to 10.0.0.1-10.0.0.9:80-90", "="),
    (
        "nat",
        "dnat to tcp dport map { 80 : 10.0.0.1, 443 : 10.0.0.2 }",
        "meta l4proto tcp dnat to tcp dport map { 80 : 10.0.0.1, 443 : 10.0.0.2 }",
    ),
    (
        "nat",
        "dnat to tcp dport map { 80 : 10.0.0.1 . 8080 }",
        "meta l4proto tcp dnat to tcp dport map { 80 : 10.0.0.1 . 8080 }",
    ),
    ("nat", "tcp dport 81 redirect to :8081", "="),
    ("nat", "ip saddr 10.0.0.0/8 masquerade", "="),
    ("nat", "snat to 1.2.3.4", "="),
];

const IPTABLES: &[(&str, &str)] = &[
    ("-A INPUT -p icmp --icmp-type echo-request -j DROP", "icmp type echo-request counter drop"),
    ("-A INPUT -p tcp --dport 22 -j ACCEPT", "tcp dport 22 counter accept"),
    ("-A INPUT -p tcp ! --sport 100:200 -j DROP", "tcp sport != 100-200 counter drop"),
    ("-A INPUT -p udp --dport 53 -j DROP", "udp dport 53 counter drop"),
    ("-A INPUT -p tcp --syn -j DROP", "tcp flags syn / fin,syn,rst,ack counter drop"),
    ("-A INPUT -p tcp -m multiport --dports 80,443,1000:1010 -j DROP", "tcp dport { 80, 443, 1000-1010 } counter drop"),
    ("-A INPUT -p tcp -m multiport --ports 80,443 -j DROP", "meta l4proto tcp (xt multiport) counter drop"),
    ("-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT", "ct state established,related counter accept"),
    ("-A INPUT -m conntrack ! --ctstate NEW -j ACCEPT", "ct state ! new counter accept"),
    ("-A INPUT -m conntrack --ctorigsrc 10.0.0.1 -j ACCEPT", "(xt conntrack) counter accept"),
    ("-A INPUT -m state --state INVALID -j DROP", "ct state invalid counter drop"),
    (
        "-A INPUT -p udp -m comment --comment words -j REJECT --reject-with icmp-host-prohibited",
        "meta l4proto udp counter reject with icmp host-prohibited",
    ),
    ("-A INPUT -p tcp -j REJECT --reject-with tcp-reset", "meta l4proto tcp counter reject with tcp reset"),
    (
        "-A INPUT -p icmp -m limit --limit 5/s --limit-burst 7 -j ACCEPT",
        "meta l4proto icmp limit rate 5/second burst 7 packets counter accept",
    ),
    ("-A INPUT -m addrtype --dst-type LOCAL -j DROP", "fib daddr type local counter drop"),
    (
        "-A INPUT -m addrtype ! --src-type LOCAL,BROADCAST -j DROP",
        "fib saddr type != { local, broadcast } counter drop",
    ),
    ("-A INPUT -m mark --mark 0x1/0xff -j DROP", "meta mark & 0xff == 0x1 counter drop"),
    (
        "-A INPUT -s 10.0.0.0/8 ! -d 10.1.2.0/23 -i eth+ -j DROP",
        "iifname \"eth*\" ip saddr 10.0.0.0/8 ip daddr != 10.1.2.0/23 counter drop",
    ),
    ("-A INPUT -m pkttype --pkt-type broadcast -j DROP", "meta pkttype broadcast counter drop"),
    ("-A INPUT -m hashlimit --hashlimit-name x --hashlimit-above 5/s -j DROP", "(xt hashlimit) counter drop"),
    ("-A INPUT -m recent --set -j LOG", "(xt recent) counter log"),
    ("-A INPUT -m ttl --ttl-lt 5 -j DROP", "(xt ttl) counter drop"),
    ("-A INPUT -p tcp -j TCPMSS --set-mss 1000", "meta l4proto tcp counter (xt TCPMSS)"),
];

const IPTABLES_NAT: &[(&str, &str)] = &[
    (
        "-A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080",
        "tcp dport 80 counter dnat to 10.0.0.5:8080",
    ),
    ("-A PREROUTING -p tcp --dport 81 -j REDIRECT --to-ports 8081", "tcp dport 81 counter redirect to :8081"),
    (
        "-A POSTROUTING -s 10.0.0.0/8 -j SNAT --to-source 1.2.3.4-1.2.3.5",
        "ip saddr 10.0.0.0/8 counter snat to 1.2.3.4-1.2.3.5",
    ),
    ("-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE", "ip saddr 10.0.0.0/8 counter masquerade"),
];

/// A namespace in which these tools run; `None`, with the reason on standard error, without one. Fails under `CI`.
fn net(tools: &[&str]) -> Option<Net> {
    let made = Net::create().and_then(|net| tools.iter().try_for_each(|tool| net.run(tool).map(drop)).map(|()| net));
    match made {
        Ok(net) => Some(net),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "a namespace and {tools:?} are needed here: {why}");
            eprintln!("SKIPPED: {why}");
            None
        }
    }
}

fn read(net: &Net) -> RuleSet {
    net.within(facts::rule_set).unwrap()
}

/// The rules of a chain as they are shown.
fn shown(rules: &RuleSet, family: &Family, table: &str, chain: &str) -> Vec<String> {
    chain_of(rules, family, table, chain).rules.iter().map(ToString::to_string).collect()
}

fn chain_of<'r>(rules: &'r RuleSet, family: &Family, table: &str, chain: &str) -> &'r Chain {
    let table = rules.tables.iter().find(|each| each.family == *family && each.name == table);
    table.and_then(|table| table.chains.iter().find(|each| each.name == chain)).unwrap()
}

const TABLES: &str = "ip link add up0 type veth peer name up1
    nft add table ip t
    nft add chain ip t c { type filter hook input priority -150 ; policy drop ; }
    nft add set ip t hosts { type ipv4_addr ; flags interval ; elements = { 10.0.0.0/8 , 1.1.1.1 } ; }
    nft add table ip6 t
    nft add chain ip6 t c { type filter hook input priority 0 ; }
    nft add table inet t
    nft add chain inet t other
    nft add chain inet t c { type filter hook forward priority 0 ; }
    nft add set inet t ports { type inet_service ; elements = { 80 , 443 } ; }
    nft add set inet t seen { type ipv4_addr ; flags dynamic,timeout ; timeout 1m ; }
    nft add map inet t away { type inet_service : verdict ; elements = { 22 : goto other } ; }
    nft add counter inet t hits
    nft add limit inet t slow { rate 5/second ; }
    nft add table bridge t
    nft add chain bridge t c { type filter hook prerouting priority 0 ; }
    nft add table arp t
    nft add chain arp t c { type filter hook input priority 0 ; }
    nft add table netdev t
    nft add chain netdev t c { type filter hook ingress device up0 priority 0 ; }
    nft add table ip nat
    nft add chain ip nat c { type nat hook prerouting priority -100 ; }
    nft add chain ip nat out { type nat hook postrouting priority 100 ; }";

#[test]
fn every_rule_of_nft_is_shown_as_it_was_loaded() {
    let Some(net) = net(&["nft -v", "ip -V"]) else { return };
    net.all(TABLES);
    let place = |family: &str, rule: &str| match family {
        "nat" if rule.contains("masquerade") || rule.contains("snat") => ("ip".to_owned(), "nat", "out"),
        "nat" => ("ip".to_owned(), "nat", "c"),
        family => (family.to_owned(), "t", "c"),
    };
    let mut wrong = vec![];
    for (family, loaded, expected) in RULES {
        let (family, table, chain) = place(family, loaded);
        if let Err(why) = net.run(&format!("nft add rule {family} {table} {chain} {loaded}")) {
            wrong.push(format!("{family}: {loaded}: not loaded: {why}"));
            continue;
        }
        let rules = read(&net);
        let family: Family = serde_json::from_value(family.into()).unwrap();
        let expected = if *expected == "=" { loaded } else { expected };
        let found = shown(&rules, &family, table, chain).pop().unwrap_or_default();
        if found != *expected {
            wrong.push(format!("{family:?}: {loaded}\n  shown    {found}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rules:\n{}", wrong.len(), RULES.len(), wrong.join("\n"));
}

#[test]
fn chains_sets_and_maps_are_read_whole() {
    let Some(net) = net(&["nft -v", "ip -V"]) else { return };
    net.all(TABLES);
    net.all(
        "nft add rule inet t c tcp dport vmap @away
         nft add rule inet t other drop",
    );
    let rules = read(&net);
    let base = chain_of(&rules, &Family::Ip, "t", "c").base.clone().unwrap();
    assert_eq!((base.kind, base.hook, base.priority), (ChainKind::Filter, FirewallHook::Input, -150));
    assert_eq!(base.policy, pingtong_evidence::Policy::Drop);
    let base = chain_of(&rules, &Family::Netdev, "t", "c").base.clone().unwrap();
    assert_eq!((base.hook, base.devices), (FirewallHook::Ingress, vec!["up0".to_owned()]));
    assert_eq!(chain_of(&rules, &Family::Ip, "nat", "out").base.clone().unwrap().kind, ChainKind::Nat);
    assert_eq!(chain_of(&rules, &Family::Inet, "t", "other").base, None);
    let sets = |family: Family| &rules.tables.iter().find(|t| t.family == family && t.name == "t").unwrap().sets;
    let [hosts] = sets(Family::Ip).as_slice() else { panic!("{:?}", sets(Family::Ip)) };
    let keys: Vec<&Span> = hosts.elements.iter().flatten().flat_map(|element| &element.key).collect();
    let address = Value::Address([1, 1, 1, 1].into());
    assert_eq!(keys, [&Span::One(address), &Span::One(Value::Prefix("10.0.0.0/8".parse().unwrap()))]);
    let named = |name: &str| sets(Family::Inet).iter().find(|set| set.name == name).unwrap();
    let away = &named("away").elements.as_ref().unwrap()[0];
    assert_eq!(away.key, [Span::One(Value::Number(22))]);
    assert_eq!(away.data, Some(Data::Verdict(Verdict::Goto("other".into()))));
    assert!(named("seen").dynamic && !named("ports").dynamic);
    let fact = net.within(facts::firewall);
    let fact = fact.known().unwrap();
    let behind: Vec<_> = fact.refusing.iter().filter(|rule| rule.chain == "other").map(|rule| rule.hook).collect();
    assert_eq!(behind, [FirewallHook::Forward], "reached by a map");
}

#[test]
fn what_a_translation_becomes_is_typed() {
    let Some(net) = net(&["nft -v", "ip -V"]) else { return };
    net.all(TABLES);
    net.all("nft add rule ip nat c dnat to tcp dport map { 80 : 10.0.0.1 . 8080 }");
    let rules = read(&net);
    let statements = &chain_of(&rules, &Family::Ip, "nat", "c").rules[0].statements;
    let Some(Statement::Nat(nat)) = statements.last() else { panic!("{statements:?}") };
    let Some(Source::Map { operands, map, part: 0 }) = nat.address.as_ref().map(|range| &range.first) else {
        panic!("{nat:?}")
    };
    assert_eq!(operands[0].field, Field::TcpDestinationPort);
    let given = vec![Value::Address([10, 0, 0, 1].into()), Value::Number(8080)];
    assert_eq!(map.elements.as_ref().unwrap()[0].data, Some(Data::Values(given)));
    assert!(matches!(nat.port.as_ref().map(|range| &range.first), Some(Source::Map { part: 1, .. })), "{nat:?}");
}

#[test]
fn every_rule_of_iptables_nft_is_understood_or_named() {
    let Some(net) = net(&["iptables-nft -V", "nft -v"]) else { return };
    let mut wrong = vec![];
    for (table, list) in [("filter", IPTABLES), ("nat", IPTABLES_NAT)] {
        for (loaded, expected) in list {
            if let Err(why) = net.run(&format!("iptables-nft -t {table} {loaded}")) {
                wrong.push(format!("{loaded}: not loaded: {why}"));
                continue;
            }
            let chain = loaded.split(' ').nth(1).unwrap();
            let found = shown(&read(&net), &Family::Ip, table, chain).pop().unwrap_or_default();
            if found != *expected {
                wrong.push(format!("{loaded}\n  shown    {found}\n  expected {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} rules:\n{}", wrong.len(), wrong.join("\n"));
}

/// The same rules in legacy tables mean the same, or are named as not understood.
#[test]
fn every_rule_of_legacy_iptables_is_understood_or_named() {
    let Some(net) = net(&["iptables-legacy -V", "iptables-legacy-save -V", "nft -v"]) else { return };
    let firewall = || net.within(facts::firewall).known().cloned().unwrap();
    assert!(!firewall().legacy_tables, "no table is loaded yet");
    let (mut wrong, mut named) = (vec![], 0);
    for (table, list) in [("filter", IPTABLES), ("nat", IPTABLES_NAT)] {
        for (loaded, expected) in list {
            if net.run(&format!("iptables-legacy -t {table} {loaded}")).is_err() {
                // An extension or a revision that only the other tool has.
                continue;
            }
            let fact = firewall();
            assert!(!fact.legacy_tables, "what is listed is no gap");
            let chain = loaded.split(' ').nth(1).unwrap();
            let rules = fact.rules.unwrap();
            let found = shown(&rules, &Family::Ip, &format!("legacy:{table}"), chain).pop().unwrap_or_default();
            let parts = |text: &str| -> std::collections::BTreeSet<String> {
                text.replace(" counter", "").split(' ').map(str::to_owned).collect()
            };
            match found.contains("xt ") {
                true => named += 1,
                false if parts(&found) == parts(expected) => {}
                false => wrong.push(format!("{loaded}\n  shown    {found}\n  expected {expected}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{} rules:\n{}", wrong.len(), wrong.join("\n"));
    eprintln!("{named} rules are named as not understood");
}

#[test]
fn what_else_handles_packets_is_read() {
    let Some(net) = net(&["ip -V", "tc -V"]) else { return };
    let read = || net.within(facts::mechanisms).known().cloned().unwrap();
    net.all("ip link add up0 type veth peer name up1\n ip link set lo up");
    assert!(!read().has_programs());
    net.all("tc qdisc add dev up0 root tbf rate 512kbit burst 3000 limit 3000");
    let [shaper] = &read().disciplines[..] else { panic!("{:?}", read()) };
    assert_eq!((shaper.interface.as_str(), shaper.kind.as_str(), shaper.dropped), ("up0", "tbf", 0));
    assert!(!read().has_programs(), "a queue is seen by what it drops");
    net.all("ip rule add from 10.9.9.9 table 77");
    assert_eq!(read().routing_rules, 1);
    net.all("ip rule del from 10.9.9.9 table 77\n tc qdisc add dev up1 clsact");
    assert_eq!((read().routing_rules, read().has_programs()), (0, true));
}
