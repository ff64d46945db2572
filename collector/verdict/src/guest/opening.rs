//! Commands that let packets of a pair pass a guest's packet filter: an accept for just these packets, inserted before each
//! rule that ends or translates them.
//!
//! With the whole rule set the commands are tried on it: they are given only if the walk then surely passes. Nothing else
//! of the filter changes, so that they open nothing but the pair's own packets.

use crate::guest_filter::{Asked, Filter, Packets};
use pingtong_evidence::{
    FirewallRule, Protocol,
    packet_filter::{Comparison, Condition, Field, LEGACY_PREFIX, Rule, RuleSet, Statement, Test, Value, Verdict},
};
use pingtong_guest::Place;

/// Maximum number of rules inserted for one kind of packets.
const RULES_MAX: usize = 8;

/// Commands that let packets of these kinds pass; `None` if none are known to be enough.
pub(super) fn commands(filter: &Filter<'_>, packets: &Packets, kinds: &[Asked]) -> Option<Vec<Vec<String>>> {
    let mut commands = vec![];
    match filter {
        Filter::Whole(whole) => {
            let mut rules: RuleSet = whole.rules().clone();
            for &asked in kinds {
                let mut inserted = 0;
                while let Some(place) = whole.with(&rules).obstacle(packets, asked).ok()? {
                    if inserted == RULES_MAX {
                        return None;
                    }
                    inserted += 1;
                    commands.push(command(&whole.with(&rules).named(place)?, packets, asked));
                    insert(&mut rules, place, packets, asked)?;
                }
            }
        }
        Filter::Refusing(..) => {
            for &asked in kinds {
                let rules = filter.refusing(packets, asked, true);
                commands.extend(rules.iter().map(|rule| command(rule, packets, asked)));
            }
        }
    }
    commands.dedup();
    Some(commands)
}

/// A command that accepts packets before a rule, or where the policy of a chain would end them.
pub(super) fn command(rule: &FirewallRule, packets: &Packets, asked: Asked) -> Vec<String> {
    let FirewallRule { family, table, chain, .. } = rule;
    if let Some(table) = table.strip_prefix(LEGACY_PREFIX) {
        return legacy_command(rule, table, packets, asked);
    }
    let place = match rule.handle {
        Some(handle) => format!("insert rule {family} {table} {chain} position {handle}"),
        None => format!("add rule {family} {table} {chain}"),
    };
    format!("nft {place} {} accept", matching(packets, asked)).split(' ').map(str::to_owned).collect()
}

/// The same for a table of legacy iptables, whose handles are positions.
fn legacy_command(rule: &FirewallRule, table: &str, packets: &Packets, asked: Asked) -> Vec<String> {
    let ipv4 = packets.peer.is_ipv4();
    let tool = if ipv4 { "iptables-legacy" } else { "ip6tables-legacy" };
    let chain = &rule.chain;
    let place = rule.handle.map_or_else(|| format!("-A {chain}"), |position| format!("-I {chain} {position}"));
    let (peer, end) = (packets.peer, if asked.is_inbound() { "-s" } else { "-d" });
    let kind = if asked.is_request() { "echo-request" } else { "echo-reply" };
    let (protocol, port) = packets.service;
    let service = match (protocol, port) {
        (Protocol::Icmp, _) if ipv4 => format!("-p icmp --icmp-type {kind}"),
        (Protocol::Icmp, _) => format!("-p icmpv6 --icmpv6-type {kind}"),
        (_, Some(port)) => format!("-p {protocol} --{} {port}", if asked.is_request() { "dport" } else { "sport" }),
        (_, None) => format!("-p {protocol}"),
    };
    let words = format!("{tool} -t {table} {place} {end} {peer} {service} -j ACCEPT");
    words.split(' ').map(str::to_owned).collect()
}

/// The match in the words of nft.
fn matching(packets: &Packets, asked: Asked) -> String {
    let (ip, icmp) = if packets.peer.is_ipv4() { ("ip", "icmp") } else { ("ip6", "icmpv6") };
    let end = if asked.is_inbound() { "saddr" } else { "daddr" };
    let peer = packets.peer;
    let (protocol, port) = packets.service;
    let service = match (protocol, port) {
        (Protocol::Icmp, _) => {
            format!(" {icmp} type {}", if asked.is_request() { "echo-request" } else { "echo-reply" })
        }
        (_, Some(port)) => format!(" {protocol} {} {port}", if asked.is_request() { "dport" } else { "sport" }),
        (_, None) => format!(" meta l4proto {protocol}"),
    };
    format!("{ip} {end} {peer}{service}")
}

/// Inserts the same rule into a rule set.
fn insert(rules: &mut RuleSet, place: Place, packets: &Packets, asked: Asked) -> Option<()> {
    let equal = |field, value| Statement::Match(Condition::new(field, Test::Compare { how: Comparison::Eq, value }));
    let ipv4 = packets.peer.is_ipv4();
    let address = match (ipv4, asked.is_inbound()) {
        (true, true) => Field::IpSource,
        (true, false) => Field::IpDestination,
        (false, true) => Field::Ip6Source,
        (false, false) => Field::Ip6Destination,
    };
    let (protocol, port) = packets.service;
    let request = asked.is_request();
    let service = match protocol {
        Protocol::Icmp if ipv4 => Some((Field::IcmpType, if request { 8 } else { 0 })),
        Protocol::Icmp => Some((Field::Icmpv6Type, if request { 128 } else { 129 })),
        Protocol::Tcp if request => port.map(|port| (Field::TcpDestinationPort, port.into())),
        Protocol::Tcp => port.map(|port| (Field::TcpSourcePort, port.into())),
        Protocol::Udp if request => port.map(|port| (Field::UdpDestinationPort, port.into())),
        Protocol::Udp => port.map(|port| (Field::UdpSourcePort, port.into())),
    };
    let (field, number) = service?;
    let statements = vec![
        equal(address, Value::Address(packets.peer)),
        equal(field, Value::Number(number)),
        Statement::Verdict(Verdict::Accept),
    ];
    let chain = rules.tables.get_mut(place.table)?.chains.get_mut(place.chain)?;
    let at = place.rule.unwrap_or(chain.rules.len());
    (at <= chain.rules.len()).then(|| chain.rules.insert(at, Rule { handle: 0, statements }))
}
