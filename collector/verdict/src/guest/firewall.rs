//! Whether a refusing rule of the guest's packet filter matches the probes.
//!
//! Reads the rule's protocol and the conditions that the agent could translate into text. A rule with a known protocol
//! and only understood conditions surely applies or surely does not. Any other rule perhaps applies, and such a rule is
//! blamed only if the wire shows a refusal. An earlier accepting rule is not visible here, so the wire decides in the
//! end.

use pingtong_evidence::{Cidr, FirewallRule, Protocol};
use std::net::IpAddr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applies {
    Surely,
    Perhaps,
    No,
}

/// The packets of the pair about which a rule is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The peer's requests, inbound.
    Requests,
    /// The replies to this host's requests, inbound.
    Replies,
    /// This host's requests, outbound.
    Sent,
    /// This host's replies, outbound.
    Answers,
}

/// Words that add no condition to those evaluated below. Any other word narrows the rule by a condition that is not
/// evaluated.
const PLAIN: [&str; 13] =
    ["ip", "meta", "protocol", "icmp", "policy", "drop", "reject", "drop,", "counter", "==", "=", "!=", "2"];

/// The nft keyword for the family of an address.
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

/// Protocols that a condition may name.
const PROTOCOLS: [&str; 3] = ["icmp", "tcp", "udp"];

/// Whether a rule applies to packets of the pair. `port` is the port of the service; the port of the other end is
/// chosen by the kernel and is unknown.
pub(crate) fn applies(
    rule: &FirewallRule,
    (protocol, port): (Protocol, Option<u16>),
    peer: IpAddr,
    own: IpAddr,
    asked: Asked,
) -> Applies {
    if rule.protocol.is_some_and(|bound| bound != number(protocol)) {
        return Applies::No;
    }
    let text = rule.text.replace(['"', '{', '}', ','], " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let inbound = matches!(asked, Asked::Requests | Asked::Replies);
    let (source, destination) = if inbound { (peer, own) } else { (own, peer) };
    let to_service = matches!(asked, Asked::Requests | Asked::Sent);
    let mut sure = rule.protocol.is_some() && rule.handle.is_some();
    for (at, word) in words.iter().enumerate() {
        let rest = &words[at + 1..];
        let met = match *word {
            "saddr" => matches_address(rest, source),
            "daddr" => matches_address(rest, destination),
            "l4proto" => matches_word(rest, &protocol.to_string(), &PROTOCOLS),
            // A rule that matches only replies does not affect requests.
            "type" if protocol == Protocol::Icmp && matches!(asked, Asked::Requests | Asked::Sent) => {
                matches_word(rest, "echo-request", &["echo-reply"])
            }
            "type" if protocol == Protocol::Icmp => matches_word(rest, "echo-reply", &["echo-request"]),
            "nfproto" => matches_word(rest, family(peer), &["ipv4", "ipv6"]),
            "tcp" | "udp" | "dport" | "sport" if protocol == Protocol::Icmp && !after(&words, at, "l4proto") => {
                Some(false)
            }
            "icmp" if protocol != Protocol::Icmp && !after(&words, at, "l4proto") => Some(false),
            "tcp" | "udp" if *word != protocol.to_string() && !after(&words, at, "l4proto") => Some(false),
            "dport" | "sport" if (*word == "dport") == to_service => port.and_then(|port| matches_port(rest, port)),
            word if word.parse::<u16>().is_ok() && ["dport", "sport"].iter().any(|name| after(&words, at, name)) => {
                Some(true)
            }
            "<" | "<=" | ">" | ">=" => words.get(at.wrapping_sub(1)).map(|name| matches!(*name, "dport" | "sport")),
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

/// Whether the word at `at` is a value of the condition `name`, alone or in a set.
fn after(words: &[&str], at: usize, name: &str) -> bool {
    let other = |word: &&&str| {
        !matches!(**word, "!=" | "==" | "=" | "<" | "<=" | ">" | ">=")
            && word.parse::<u16>().is_err()
            && !(name == "l4proto" && PROTOCOLS.contains(*word))
    };
    words[..at].iter().rev().find(other) == Some(&name)
}

/// Whether the port satisfies the comparison that follows; `None` if no number is compared.
fn matches_port(words: &[&str], port: u16) -> Option<bool> {
    let number = |at: usize| words.get(at)?.parse::<u16>().ok();
    match *words.first()? {
        "!=" => Some(port != number(1)?),
        "<" => Some(port < number(1)?),
        "<=" => Some(port <= number(1)?),
        ">" => Some(port > number(1)?),
        ">=" => Some(port >= number(1)?),
        _ => {
            // Several values are a set.
            let values: Vec<u16> = words.iter().map_while(|word| word.parse().ok()).collect();
            (!values.is_empty()).then(|| values.contains(&port))
        }
    }
}

/// Whether `ours` is the value that follows, or is in the set of values; `None` if the first value is not a known one.
fn matches_word(words: &[&str], ours: &str, known: &[&str]) -> Option<bool> {
    let negated = words.first() == Some(&"!=");
    let values = words.iter().skip_while(|word| matches!(**word, "!=" | "==" | "="));
    let mut values = values.take_while(|value| **value == ours || known.contains(*value)).peekable();
    values.peek()?;
    Some(values.any(|value| *value == ours) != negated)
}

/// Whether the blocks that follow contain `address`; `None` if no blocks follow.
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

    fn rule(text: &str) -> FirewallRule {
        FirewallRule {
            family: "inet".into(),
            table: "t".into(),
            chain: "c".into(),
            hook: FirewallHook::Input,
            handle: Some(1),
            verdict: FirewallVerdict::Drop,
            protocol: None,
            limited: false,
            statements: None,
            text: text.into(),
        }
    }

    #[test]
    fn a_set_of_protocols_or_ports_holds_each_of_its_values_and_no_other() {
        let (peer, own) = ("192.168.1.10".parse().unwrap(), "172.16.1.10".parse().unwrap());
        let ask = |text: &str, service| applies(&rule(text), service, peer, own, Asked::Requests);
        let (icmp, tcp, udp) = ((Protocol::Icmp, None), (Protocol::Tcp, Some(443)), (Protocol::Udp, Some(443)));
        for (text, meant) in [
            ("meta l4proto { icmp, tcp } drop", [true, true, false]),
            ("meta l4proto { tcp, icmp } drop", [true, true, false]),
            ("meta l4proto { tcp, udp } drop", [false, true, true]),
            ("meta l4proto != { tcp, udp } drop", [true, false, false]),
            ("tcp dport < 444 drop", [false, true, false]),
            ("tcp dport < 443 drop", [false, false, false]),
            ("tcp dport <= 443 drop", [false, true, false]),
            ("udp dport > 442 drop", [false, false, true]),
            ("udp dport > 443 drop", [false, false, false]),
            ("udp dport >= 443 drop", [false, false, true]),
            ("tcp dport { 80, 443 } drop", [false, true, false]),
            ("tcp dport != 443 drop", [false, false, false]),
        ] {
            for (service, applied) in [icmp, tcp, udp].into_iter().zip(meant) {
                assert_eq!(ask(text, service) != Applies::No, applied, "{text}: {service:?}");
            }
        }
    }

    #[test]
    fn a_rule_for_something_else_is_never_sure() {
        let rule = |protocol, text: &str| FirewallRule { protocol, ..rule(text) };
        let (peer, own) = ("192.168.1.10".parse().unwrap(), "172.16.1.10".parse().unwrap());
        let ask = |protocol, text| applies(&rule(protocol, text), (Protocol::Icmp, None), peer, own, Asked::Requests);
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
        let reply = |text| applies(&rule(Some(1), text), (Protocol::Icmp, None), peer, own, Asked::Replies);
        assert_eq!(reply("icmp type echo-reply"), Applies::Surely);
        assert_eq!(reply("icmp type echo-request"), Applies::No);
        assert_eq!(ask(None, "meta l4proto != icmp"), Applies::No);
        assert_eq!(ask(Some(1), "meta l4proto icmp (packet bytes)"), Applies::Perhaps);
        assert_eq!(ask(Some(1), "iifname docker0 meta l4proto icmp"), Applies::Perhaps);
        assert_eq!(ask(None, "ip saddr 192.168.0.0/16"), Applies::Perhaps);
        assert_eq!(ask(None, ""), Applies::Perhaps);
        let port = |bound, text, asked| applies(&rule(bound, text), (Protocol::Tcp, Some(443)), peer, own, asked);
        let request = |text| port(Some(6), text, Asked::Requests);
        assert_eq!(request("meta l4proto tcp dport 443 drop"), Applies::Surely);
        assert_eq!(request("meta l4proto tcp tcp dport 443 drop"), Applies::Surely);
        assert_eq!(request("meta l4proto tcp drop"), Applies::Surely);
        assert_eq!(request("meta l4proto tcp dport 22 drop"), Applies::No);
        assert_eq!(request("meta l4proto tcp dport != 443 drop"), Applies::No);
        assert_eq!(request("meta l4proto tcp dport { 22, 443 } drop"), Applies::Surely);
        assert_eq!(request("meta l4proto tcp dport >= 443 dport <= 444 drop"), Applies::Surely);
        assert_eq!(request("meta l4proto tcp dport >= 444 dport <= 450 drop"), Applies::No);
        assert_eq!(request("meta l4proto tcp dport @web drop"), Applies::Perhaps);
        // The source port of the peer is not known here.
        assert_eq!(request("meta l4proto tcp sport 443 drop"), Applies::Perhaps);
        assert_eq!(port(Some(6), "meta l4proto tcp sport 443 drop", Asked::Answers), Applies::Surely);
        assert_eq!(port(Some(6), "meta l4proto tcp dport 443 drop", Asked::Answers), Applies::Perhaps);
        assert_eq!(port(Some(6), "meta l4proto tcp sport 443 drop", Asked::Replies), Applies::Surely);
        assert_eq!(port(Some(17), "meta l4proto udp dport 443 drop", Asked::Requests), Applies::No);
        assert_eq!(port(None, "udp dport 443 drop", Asked::Requests), Applies::No);
        assert_eq!(port(None, "icmp type echo-request drop", Asked::Requests), Applies::No);
        assert_eq!(port(Some(1), "meta l4proto icmp drop", Asked::Requests), Applies::No);
    }
}
