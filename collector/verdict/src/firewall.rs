//! Whether a refusing rule of the guest's packet filter speaks of the probes.
//!
//! Reads the rule's protocol and the conditions that the agent could put into words. A rule whose protocol is told and
//! whose conditions are all understood surely applies, or surely not; anything else only perhaps, and a perhaps is blamed
//! only when the wire shows a refusal. An earlier accepting rule is not seen here: the wire has the last word.

use pingtong_evidence::{Cidr, FirewallRule, Protocol};
use std::net::IpAddr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applies {
    Surely,
    Perhaps,
    No,
}

/// Words that narrow a rule by something we do not judge.
const UNJUDGED: [&str; 16] = [
    "ct", "state", "mark", "limit", "length", "ttl", "uid", "skuid", "ether", "quota", "time", "hour", "day", "fib", "vlan",
    "dscp",
];

fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Icmp => 1,
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

pub(crate) fn applies(rule: &FirewallRule, protocol: Protocol, peer: IpAddr, own: IpAddr, inbound: bool) -> Applies {
    if rule.protocol.is_some_and(|bound| bound != number(protocol)) {
        return Applies::No;
    }
    let text = rule.text.replace(['"', '{', '}', ','], " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let (source, destination) = if inbound { (peer, own) } else { (own, peer) };
    let mut sure = rule.protocol.is_some() && rule.handle.is_some();
    for (at, word) in words.iter().enumerate() {
        let address = match *word {
            "saddr" => source,
            "daddr" => destination,
            "tcp" | "udp" | "dport" | "sport" if protocol == Protocol::Icmp => return Applies::No,
            "dport" | "sport" => {
                sure = false;
                continue;
            }
            word if UNJUDGED.contains(&word) || word.starts_with('@') => {
                sure = false;
                continue;
            }
            _ => continue,
        };
        match matches_address(&words[at + 1..], address) {
            Some(true) => {}
            Some(false) => return Applies::No,
            None => sure = false,
        }
    }
    if sure { Applies::Surely } else { Applies::Perhaps }
}

/// Whether the blocks that follow hold `address`; none when they are not blocks.
fn matches_address(words: &[&str], address: IpAddr) -> Option<bool> {
    let negated = words.first() == Some(&"!=");
    let words = words.iter().skip_while(|word| matches!(**word, "!=" | "==" | "="));
    let blocks: Vec<Cidr> = words.map_while(|word| Cidr::parse_masked(word).ok()).collect();
    (!blocks.is_empty()).then(|| blocks.iter().any(|block| block.contains(address)) != negated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{FirewallHook, FirewallVerdict};

    #[test]
    fn a_rule_for_something_else_is_never_sure() {
        let rule = |protocol, text: &str| FirewallRule {
            family: "inet".into(),
            table: "t".into(),
            chain: "c".into(),
            hook: FirewallHook::Input,
            handle: Some(1),
            verdict: FirewallVerdict::Drop,
            protocol,
            limited: false,
            text: text.into(),
        };
        let (peer, own) = ("192.168.1.10".parse().unwrap(), "172.16.1.10".parse().unwrap());
        let ask = |protocol, text| applies(&rule(protocol, text), Protocol::Icmp, peer, own, true);
        assert_eq!(ask(Some(1), "icmp type echo-request"), Applies::Surely);
        assert_eq!(ask(Some(1), ""), Applies::Surely);
        assert_eq!(ask(Some(6), ""), Applies::No);
        assert_eq!(ask(None, "tcp dport 22"), Applies::No);
        assert_eq!(ask(Some(1), "ip saddr 10.0.0.0/8"), Applies::No);
        assert_eq!(ask(Some(1), "ip saddr { 10.0.0.0/8, 192.168.0.0/16 }"), Applies::Surely);
        assert_eq!(ask(Some(1), "ip saddr != 10.0.0.0/8"), Applies::Surely);
        assert_eq!(ask(Some(1), "ct state invalid"), Applies::Perhaps);
        assert_eq!(ask(None, ""), Applies::Perhaps);
    }
}
