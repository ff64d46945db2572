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

/// Which of the pair's packets a rule is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The peer's requests, coming in.
    Requests,
    /// The replies to our own, coming in.
    Replies,
    /// Our own requests, going out.
    Sent,
    /// Our replies, going out.
    Answers,
}

/// Words that say nothing beyond the conditions judged below. Any other word narrows the rule by something unjudged.
const PLAIN: [&str; 13] =
    ["ip", "meta", "protocol", "icmp", "policy", "drop", "reject", "drop,", "counter", "==", "=", "!=", "2"];

/// nft's word for the family of an address.
fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}

fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Icmp => 1,
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    }
}

pub(crate) fn applies(rule: &FirewallRule, protocol: Protocol, peer: IpAddr, own: IpAddr, asked: Asked) -> Applies {
    if rule.protocol.is_some_and(|bound| bound != number(protocol)) {
        return Applies::No;
    }
    let text = rule.text.replace(['"', '{', '}', ','], " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let inbound = matches!(asked, Asked::Requests | Asked::Replies);
    let (source, destination) = if inbound { (peer, own) } else { (own, peer) };
    let mut sure = rule.protocol.is_some() && rule.handle.is_some();
    for (at, word) in words.iter().enumerate() {
        let rest = &words[at + 1..];
        let met = match *word {
            "saddr" => matches_address(rest, source),
            "daddr" => matches_address(rest, destination),
            "l4proto" => matches_word(rest, &protocol.to_string(), &["icmp", "tcp", "udp"]),
            // A rule for replies alone leaves requests alone.
            "type" if protocol == Protocol::Icmp && matches!(asked, Asked::Requests | Asked::Sent) => {
                matches_word(rest, "echo-request", &["echo-reply"])
            }
            "type" if protocol == Protocol::Icmp => matches_word(rest, "echo-reply", &["echo-request"]),
            "nfproto" => matches_word(rest, family(peer), &["ipv4", "ipv6"]),
            "tcp" | "udp" | "dport" | "sport" if protocol == Protocol::Icmp && !after(&words, at, "l4proto") => {
                Some(false)
            }
            "type" | "echo-request" | "echo-reply" | "tcp" | "udp" | "ipv4" | "ipv6" => Some(true),
            word if PLAIN.contains(&word.to_ascii_lowercase().as_str()) || Cidr::parse_masked(word).is_ok() => {
                Some(true)
            }
            _ => None,
        };
        match met {
            Some(true) => {}
            Some(false) => return Applies::No,
            None => sure = false,
        }
    }
    if sure { Applies::Surely } else { Applies::Perhaps }
}

/// Whether the word at `at` is the value of the condition `name`.
fn after(words: &[&str], at: usize, name: &str) -> bool {
    words[..at].iter().rev().find(|word| !matches!(**word, "!=" | "==" | "=")) == Some(&name)
}

/// Whether the value that follows is `ours`; none when it is none of the values known.
fn matches_word(words: &[&str], ours: &str, known: &[&str]) -> Option<bool> {
    let negated = words.first() == Some(&"!=");
    let value = words.iter().find(|word| !matches!(**word, "!=" | "==" | "="))?;
    (*value == ours || known.contains(value)).then(|| (*value == ours) != negated)
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
        let ask = |protocol, text| applies(&rule(protocol, text), Protocol::Icmp, peer, own, Asked::Requests);
        assert_eq!(ask(Some(1), "icmp type echo-request"), Applies::Surely);
        assert_eq!(ask(Some(1), ""), Applies::Surely);
        assert_eq!(ask(Some(6), ""), Applies::No);
        assert_eq!(ask(None, "tcp dport 22"), Applies::No);
        assert_eq!(ask(Some(1), "ip saddr 10.0.0.0/8"), Applies::No);
        assert_eq!(ask(Some(1), "ip saddr { 10.0.0.0/8, 192.168.0.0/16 }"), Applies::Surely);
        assert_eq!(ask(Some(1), "ip saddr != 10.0.0.0/8"), Applies::Surely);
        assert_eq!(ask(Some(1), "ct state invalid"), Applies::Perhaps);
        assert_eq!(ask(Some(1), "meta l4proto icmp icmp type echo-request"), Applies::Surely);
        assert_eq!(ask(Some(1), "meta l4proto icmp icmp type echo-reply"), Applies::No);
        assert_eq!(ask(Some(1), "meta nfproto ipv4 meta l4proto icmp icmp type echo-request drop"), Applies::Surely);
        assert_eq!(ask(Some(1), "meta nfproto ipv6"), Applies::No);
        let reply = |text| applies(&rule(Some(1), text), Protocol::Icmp, peer, own, Asked::Replies);
        assert_eq!(reply("icmp type echo-reply"), Applies::Surely);
        assert_eq!(reply("icmp type echo-request"), Applies::No);
        assert_eq!(ask(None, "meta l4proto != icmp"), Applies::No);
        assert_eq!(ask(Some(1), "meta l4proto icmp (packet bytes)"), Applies::Perhaps);
        assert_eq!(ask(Some(1), "iifname docker0 meta l4proto icmp"), Applies::Perhaps);
        assert_eq!(ask(None, "ip saddr 192.168.0.0/16"), Applies::Perhaps);
        assert_eq!(ask(None, ""), Applies::Perhaps);
    }
}
