//! The guest's firewall, read through netlink: base chains, their policies, and every rule that can drop or reject.
//!
//! Reads nftables, which also shows tables of iptables-nft; legacy iptables tables are only detected. Needs
//! `CAP_NET_ADMIN`. Reports which rules exist, where, and what they match as far as they are understood. Whether one of
//! them is at fault is not decided here.

use super::{
    netlink::{self, Attributes, DUMP},
    rule::{self, Jump},
};
use pingtong_evidence::{FirewallFact, FirewallHook, FirewallRule, FirewallVerdict, Known, WhyUnknown};
use std::collections::{BTreeMap, BTreeSet};

const NETLINK_NETFILTER: isize = 12;
/// `NFNL_SUBSYS_NFTABLES << 8` with `NFT_MSG_GETCHAIN` and `NFT_MSG_GETRULE`.
const GET_CHAIN: u16 = 0x0a00 | 4;
const GET_RULE: u16 = 0x0a00 | 7;
/// `struct nfgenmsg`: family, version, resource.
const HEADER_BYTES: usize = 4;

const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const HOOK_NUMBER: u16 = 1;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const RULE_EXPRESSIONS: u16 = 4;

/// Maximum number of rules listed; more are truncated after sorting by place.
const RULES_MAX: usize = 512;

/// Family, table, chain.
type Place = (u8, String, String);

/// Lists what drops or rejects packets in this network namespace.
pub(super) fn list() -> Known<FirewallFact> {
    let ask = |kind| netlink::ask(NETLINK_NETFILTER, kind, DUMP, &[0; HEADER_BYTES]);
    match ask(GET_CHAIN).and_then(|chains| Ok((chains, ask(GET_RULE)?))) {
        Ok((chains, rules)) => Known::Known(fact(
            chains.iter().map(|message| message.body.as_slice()),
            rules.iter().map(|message| message.body.as_slice()),
        )),
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

fn fact<'m>(chains: impl Iterator<Item = &'m [u8]>, rules: impl Iterator<Item = &'m [u8]>) -> FirewallFact {
    let mut hooks: BTreeMap<Place, BTreeSet<FirewallHook>> = BTreeMap::new();
    let mut refusing = BTreeSet::new();
    let mut base_chains = 0;
    for body in chains {
        let Some(base) = base_chain(body) else { continue };
        base_chains += 1;
        if base.drops {
            refusing.insert(FirewallRule {
                family: family_name(base.place.0).to_owned(),
                table: base.place.1.clone(),
                chain: base.place.2.clone(),
                hook: base.hook,
                handle: None,
                verdict: FirewallVerdict::Drop,
                protocol: None,
                limited: false,
                statements: None,
                text: String::from("policy drop"),
            });
        }
        hooks.entry(base.place).or_default().insert(base.hook);
    }
    let rules: Vec<(Place, u64, rule::Meaning)> = rules.filter_map(read_rule).collect();
    spread(&mut hooks, &rules);
    for (place, handle, meaning) in &rules {
        if !matches!(meaning.verdict, FirewallVerdict::Drop | FirewallVerdict::Reject) {
            continue;
        }
        for &hook in hooks.get(place).into_iter().flatten() {
            refusing.insert(FirewallRule {
                family: family_name(place.0).to_owned(),
                table: place.1.clone(),
                chain: place.2.clone(),
                hook,
                handle: Some(*handle),
                verdict: meaning.verdict,
                protocol: meaning.protocol,
                limited: meaning.limited,
                statements: None,
                text: meaning.text.clone(),
            });
        }
    }
    FirewallFact {
        refusing: refusing.into_iter().take(RULES_MAX).collect(),
        base_chains,
        legacy_tables: std::fs::read_to_string("/proc/net/ip_tables_names").is_ok_and(|names| !names.trim().is_empty()),
    }
}

/// Propagates hooks along jumps until nothing changes. Each pass adds at least one hook to one chain, so it terminates.
fn spread(hooks: &mut BTreeMap<Place, BTreeSet<FirewallHook>>, rules: &[(Place, u64, rule::Meaning)]) {
    loop {
        let mut changed = false;
        for (place, _, meaning) in rules {
            let Some(Jump(target)) = &meaning.jump else { continue };
            let from = hooks.get(place).cloned().unwrap_or_default();
            let into = hooks.entry((place.0, place.1.clone(), target.clone())).or_default();
            let before = into.len();
            into.extend(from);
            changed |= into.len() != before;
        }
        if !changed {
            return;
        }
    }
}

struct BaseChain {
    place: Place,
    hook: FirewallHook,
    drops: bool,
}

fn base_chain(body: &[u8]) -> Option<BaseChain> {
    let family = *body.first()?;
    let attributes = Attributes::after(body, HEADER_BYTES);
    let number = attributes.nested(CHAIN_HOOK)?.u32_net(HOOK_NUMBER)?;
    Some(BaseChain {
        place: (family, attributes.text(CHAIN_TABLE)?, attributes.text(CHAIN_NAME)?),
        hook: hook_of(family, number)?,
        drops: attributes.u32_net(CHAIN_POLICY) == Some(0),
    })
}

fn read_rule(body: &[u8]) -> Option<(Place, u64, rule::Meaning)> {
    let family = *body.first()?;
    let attributes = Attributes::after(body, HEADER_BYTES);
    let place = (family, attributes.text(RULE_TABLE)?, attributes.text(RULE_CHAIN)?);
    let meaning = rule::read(attributes.nested(RULE_EXPRESSIONS).unwrap_or(Attributes::from(&[][..])));
    Some((place, attributes.u64_net(RULE_HANDLE)?, meaning))
}

fn family_name(family: u8) -> &'static str {
    match family {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "unknown",
    }
}

/// `NF_INET_*` for ip, ip6, inet and bridge, `NF_NETDEV_*`, `NF_ARP_*`.
fn hook_of(family: u8, number: u32) -> Option<FirewallHook> {
    match (family, number) {
        (5, 0) | (1 | 2 | 10, 5) => Some(FirewallHook::Ingress),
        (5, 1) | (1 | 2 | 7 | 10, 4) => Some(FirewallHook::Postrouting),
        (1 | 2 | 7 | 10, 0) => Some(FirewallHook::Prerouting),
        (1 | 2 | 7 | 10, 1) | (3, 0) => Some(FirewallHook::Input),
        (1 | 2 | 7 | 10, 2) => Some(FirewallHook::Forward),
        (1 | 2 | 7 | 10, 3) | (3, 1) => Some(FirewallHook::Output),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink::push;

    fn chain(name: &str, hook: Option<u32>, policy: u32) -> Vec<u8> {
        let mut body = vec![1, 0, 0, 0];
        push(&mut body, CHAIN_TABLE, b"t\0");
        push(&mut body, CHAIN_NAME, format!("{name}\0").as_bytes());
        if let Some(hook) = hook {
            let mut nested = vec![];
            push(&mut nested, HOOK_NUMBER, &hook.to_be_bytes());
            push(&mut body, CHAIN_HOOK, &nested);
            push(&mut body, CHAIN_POLICY, &policy.to_be_bytes());
        }
        body
    }

    fn rule(chain: &str, handle: u64, expressions: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![1, 0, 0, 0];
        push(&mut body, RULE_TABLE, b"t\0");
        push(&mut body, RULE_CHAIN, format!("{chain}\0").as_bytes());
        push(&mut body, RULE_HANDLE, &handle.to_be_bytes());
        let mut list = vec![];
        for expression in expressions {
            push(&mut list, 1, expression);
        }
        push(&mut body, RULE_EXPRESSIONS, &list);
        body
    }

    #[test]
    fn policies_and_rules_behind_jumps_are_listed_at_their_hook() {
        let chains = [chain("in", Some(1), 0), chain("out", Some(3), 1), chain("deep", None, 1)];
        let rules = [
            rule("in", 7, &[rule::sample::jump("deep")]),
            rule("deep", 9, &[rule::sample::meta_l4proto(), rule::sample::cmp(&[1]), rule::sample::verdict(0)]),
            rule("out", 11, &[rule::sample::verdict(1)]),
        ];
        let fact = fact(chains.iter().map(Vec::as_slice), rules.iter().map(Vec::as_slice));
        assert_eq!(fact.base_chains, 2);
        let shown: Vec<_> = fact.refusing.iter().map(|r| (r.chain.as_str(), r.hook, r.handle, r.protocol)).collect();
        assert_eq!(shown, [("deep", FirewallHook::Input, Some(9), Some(1)), ("in", FirewallHook::Input, None, None)]);
    }
}
