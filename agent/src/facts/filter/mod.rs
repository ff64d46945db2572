//! The guest's packet filter, read through netlink: every table, chain, rule and set of nftables, as typed rules.
//!
//! nftables also shows the tables of iptables-nft; legacy iptables tables are read with their own tool (`legacy`). Needs `CAP_NET_ADMIN`.
//! Reports which rules exist, where, and what they do as far as they are understood; what is not understood is named.
//! Whether a rule is at fault is not decided here. Constants are those of `linux/netfilter/nf_tables.h`.

mod compare;
mod field;
mod kind;
mod legacy;
mod refusing;
mod registers;
mod rule;
mod set;
mod verdict;
mod xtables;

use super::netlink::{self, Attributes, DUMP, Message};
use pingtong_evidence::{
    Known, Policy, WhyUnknown,
    packet_filter::{BaseChain, Chain, ChainKind, Family, FirewallFact, FirewallHook, Rule, RuleSet, Set, Table},
};
use rule::Surroundings;
use set::Sets;
use std::{collections::BTreeMap, io};

const NETLINK_NETFILTER: isize = 12;
/// `NFNL_SUBSYS_NFTABLES << 8`, with the number of the message: 1, 4, 7, 10, 13, 16.
const GET_TABLE: u16 = 0x0a01;
const GET_CHAIN: u16 = 0x0a04;
const GET_RULE: u16 = 0x0a07;
const GET_SET: u16 = 0x0a0a;
const GET_SET_ELEMENTS: u16 = 0x0a0d;
const GET_GENERATION: u16 = 0x0a10;
/// `struct nfgenmsg`: family, version, resource.
const HEADER_BYTES: usize = 4;

const GENERATION_ID: u16 = 1;
const TABLE_NAME: u16 = 1;
const TABLE_FLAGS: u16 = 2;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const HOOK_DEVICE: u16 = 3;
const HOOK_DEVICES: u16 = 4;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const RULE_EXPRESSIONS: u16 = 4;
const DORMANT: u32 = 1;

/// How often the rule set is read until it does not change meanwhile.
const ATTEMPTS: usize = 3;

/// Family, table.
type Place = (u8, String);

/// Lists what drops or rejects packets in this network namespace.
pub(super) fn list() -> Known<FirewallFact> {
    match read() {
        Ok(mut rules) => {
            let legacy = legacy::read();
            let is_unread = legacy.is_none();
            add(&mut rules, legacy.unwrap_or_default());
            Known::Known(refusing::fact(rules, is_unread))
        }
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES)) => {
            Known::Unknown(WhyUnknown::NotPermitted {
                what: String::from("listing the packet filter"),
                closes_with: String::from("setcap cap_net_raw,cap_net_admin+ep /usr/bin/pingtong-agent"),
            })
        }
        Err(error) => Known::Unknown(WhyUnknown::Unreachable {
            action: String::from("listing the packet filter"),
            message: error.to_string(),
        }),
    }
}

/// Adds legacy tables, of whose rules no more are listed than of others.
fn add(rules: &mut RuleSet, legacy: Vec<Table>) {
    let count = |table: &Table| table.chains.iter().map(|chain| chain.rules.len()).sum::<usize>();
    let mut left = RuleSet::RULES_MAX.saturating_sub(rules.tables.iter().map(count).sum());
    for mut table in legacy {
        for chain in &mut table.chains {
            let more = chain.rules.len().saturating_sub(left);
            chain.rules.truncate(left);
            left -= chain.rules.len();
            rules.rules_omitted = rules.rules_omitted.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        }
        rules.tables.push(table);
    }
}

/// The kernel's lists.
struct Lists {
    tables: Vec<Message>,
    chains: Vec<Message>,
    rules: Vec<Message>,
    sets: Sets,
}

/// Reads the rule set of this network namespace.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN`, another refusal of the kernel, or an error of the socket.
pub(super) fn read() -> io::Result<RuleSet> {
    let names: BTreeMap<u64, String> = nix::net::if_::if_nameindex().map_or_else(
        |_| BTreeMap::new(),
        |all| all.iter().map(|each| (each.index().into(), each.name().to_string_lossy().into_owned())).collect(),
    );
    let mut lists = None;
    for _ in 0..ATTEMPTS {
        let before = generation()?;
        let mut read = dump()?;
        read.sets.fill(&set::elements);
        if generation()? == before {
            lists = Some(read);
            break;
        }
    }
    // Sets that rules write inline have new names after a change: elements read in the middle of one may be others'.
    let lists = lists.map_or_else(dump, Ok)?;
    Ok(rule_set(&lists, &|index| names.get(&index).cloned()))
}

fn ask(kind: u16) -> io::Result<Vec<Message>> {
    netlink::ask(NETLINK_NETFILTER, kind, DUMP, &[0; HEADER_BYTES])
}

fn dump() -> io::Result<Lists> {
    let (tables, chains, rules) = (ask(GET_TABLE)?, ask(GET_CHAIN)?, ask(GET_RULE)?);
    let sets = Sets::from_messages(ask(GET_SET)?.iter().map(|message| message.body.as_slice()));
    Ok(Lists { tables, chains, rules, sets })
}

/// Number of changes to the rule set so far.
fn generation() -> io::Result<Option<u32>> {
    let answers = netlink::ask(NETLINK_NETFILTER, GET_GENERATION, 0, &[0; HEADER_BYTES])?;
    Ok(answers.first().and_then(|message| Attributes::after(&message.body, HEADER_BYTES).u32_net(GENERATION_ID)))
}

fn rule_set(lists: &Lists, names: compare::Names<'_>) -> RuleSet {
    let mut tables: BTreeMap<Place, Table> = BTreeMap::new();
    for body in lists.tables.iter().map(|message| message.body.as_slice()) {
        if let Some((place, mut table)) = table(body) {
            let sets = lists.sets.named(place.0, &place.1);
            table.sets = sets
                .map(|(name, set)| Set { name: name.to_owned(), elements: set.typed(), dynamic: set.is_dynamic() })
                .collect();
            tables.insert(place, table);
        }
    }
    let mut chains = BTreeMap::new();
    for body in lists.chains.iter().map(|message| message.body.as_slice()) {
        if let Some((place, chain)) = chain(body)
            && let Some(table) = tables.get_mut(&place)
        {
            chains.insert((place, chain.name.clone()), table.chains.len());
            table.chains.push(chain);
        }
    }
    let (mut listed, mut rules_omitted) = (0, 0);
    for body in lists.rules.iter().map(|message| message.body.as_slice()) {
        if listed >= RuleSet::RULES_MAX {
            rules_omitted += 1;
        } else if let Some((place, rule)) = rule(body, &lists.sets, names)
            && let Some(at) = chains.get(&place)
            && let Some(chain) = tables.get_mut(&place.0).and_then(|table| table.chains.get_mut(*at))
        {
            chain.rules.push(rule);
            listed += 1;
        }
    }
    RuleSet { tables: tables.into_values().collect(), rules_omitted }
}

fn table(body: &[u8]) -> Option<(Place, Table)> {
    let family = *body.first()?;
    let attributes = Attributes::after(body, HEADER_BYTES);
    let name = attributes.text(TABLE_NAME)?;
    let dormant = attributes.u32_net(TABLE_FLAGS).unwrap_or_default() & DORMANT != 0;
    let table = Table { family: family_of(family), name: name.clone(), dormant, chains: vec![], sets: vec![] };
    Some(((family, name), table))
}

fn chain(body: &[u8]) -> Option<(Place, Chain)> {
    let family = *body.first()?;
    let attributes = Attributes::after(body, HEADER_BYTES);
    let base = attributes.nested(CHAIN_HOOK).and_then(|hook| {
        let one = hook.text(HOOK_DEVICE).into_iter();
        let several = hook.nested(HOOK_DEVICES).into_iter().flatten().map(|(_, name)| kind::name(name));
        let mut devices: Vec<String> = one.chain(several).collect();
        devices.sort();
        devices.dedup();
        Some(BaseChain {
            kind: match attributes.text(CHAIN_TYPE).as_deref() {
                Some("filter") => ChainKind::Filter,
                Some("nat") => ChainKind::Nat,
                Some("route") => ChainKind::Route,
                _ => ChainKind::Unknown,
            },
            hook: hook_of(family, hook.u32_net(HOOK_NUMBER)?),
            priority: hook.u32_net(HOOK_PRIORITY).unwrap_or_default().cast_signed(),
            policy: if attributes.u32_net(CHAIN_POLICY) == Some(0) { Policy::Drop } else { Policy::Accept },
            devices,
        })
    });
    let chain = Chain { name: attributes.text(CHAIN_NAME)?, base, rules: vec![] };
    Some(((family, attributes.text(CHAIN_TABLE)?), chain))
}

fn rule(body: &[u8], sets: &Sets, names: compare::Names<'_>) -> Option<((Place, String), Rule)> {
    let family = *body.first()?;
    let attributes = Attributes::after(body, HEADER_BYTES);
    let table = attributes.text(RULE_TABLE)?;
    let expressions = attributes.nested(RULE_EXPRESSIONS).unwrap_or(Attributes::from(&[][..]));
    let statements = rule::read(Surroundings { family, table: &table, sets, names }, expressions);
    let place = ((family, table), attributes.text(RULE_CHAIN)?);
    Some((place, Rule { handle: attributes.u64_net(RULE_HANDLE)?, statements }))
}

/// `NFPROTO_*`.
fn family_of(number: u8) -> Family {
    match number {
        1 => Family::Inet,
        2 => Family::Ip,
        3 => Family::Arp,
        5 => Family::Netdev,
        7 => Family::Bridge,
        10 => Family::Ip6,
        other => Family::Unknown(other.to_string()),
    }
}

/// `NF_INET_*` for ip, ip6, inet and bridge, `NF_NETDEV_*`, `NF_ARP_*`.
fn hook_of(family: u8, number: u32) -> FirewallHook {
    match (family, number) {
        (5, 0) | (1 | 2 | 10, 5) => FirewallHook::Ingress,
        (5, 1) => FirewallHook::Egress,
        (1 | 2 | 7 | 10, 0) => FirewallHook::Prerouting,
        (1 | 2 | 7 | 10, 1) | (3, 0) => FirewallHook::Input,
        (1 | 2 | 7 | 10, 2) => FirewallHook::Forward,
        (1 | 2 | 7 | 10, 3) | (3, 1) => FirewallHook::Output,
        (1 | 2 | 7 | 10, 4) => FirewallHook::Postrouting,
        _ => FirewallHook::Unknown,
    }
}

#[cfg(test)]
mod tests;
