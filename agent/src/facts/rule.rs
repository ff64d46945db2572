//! What one nftables rule does, derived from its expressions.
//!
//! Follows registers in a straight line: a comparison compares what was last loaded into its register. An expression
//! that is not understood is named in the text and adds no match that we rely on. Constants are those of
//! `linux/netfilter/nf_tables.h`.

use super::netlink::Attributes;
use pingtong_evidence::FirewallVerdict;
use std::{collections::BTreeMap, net::Ipv4Addr};

const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const PROTOCOL_ICMP: u8 = 1;
/// `NFT_CMP_EQ`; 1 to 5 are not equal, less, less or equal, greater, greater or equal.
const EQUAL: u32 = 0;

/// A jump or goto to a chain of the same table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Jump(pub(super) String);

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) verdict: FirewallVerdict,
    pub(super) jump: Option<Jump>,
    pub(super) protocol: Option<u8>,
    pub(super) limited: bool,
    pub(super) text: String,
}

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Protocol,
    NetworkProtocol,
    IcmpType,
    Source,
    Destination,
    SourcePort,
    DestinationPort,
    InputInterface,
    OutputInterface,
    ConnectionState,
    EtherType,
    Unknown(&'static str),
}

/// Reads the list of expressions of a rule.
pub(super) fn read(expressions: Attributes<'_>) -> Meaning {
    let mut meaning =
        Meaning { verdict: FirewallVerdict::Other, jump: None, protocol: None, limited: false, text: String::new() };
    let mut registers: BTreeMap<u32, Held> = BTreeMap::new();
    let mut mask: Option<Vec<u8>> = None;
    let mut words: Vec<String> = vec![];
    for (_, element) in expressions {
        let element = Attributes::from(element);
        let name = element.text(EXPRESSION_NAME).unwrap_or_default();
        let data = element.nested(EXPRESSION_DATA).unwrap_or(Attributes::from(&[][..]));
        match name.as_str() {
            "meta" => hold(&mut registers, data.u32_net(1), meta(data.u32_net(2))),
            "payload" => hold(&mut registers, data.u32_net(1), payload(data, meaning.protocol)),
            "ct" => {
                let held = if data.u32_net(2) == Some(0) { Held::ConnectionState } else { Held::Unknown("ct") };
                hold(&mut registers, data.u32_net(1), held);
            }
            "bitwise" => {
                let held = data.u32_net(1).and_then(|register| registers.get(&register).copied());
                hold(&mut registers, data.u32_net(2), held.unwrap_or(Held::Unknown("bits")));
                mask = data.nested(4).and_then(|mask| mask.get(DATA_VALUE)).map(<[u8]>::to_vec);
            }
            "cmp" => {
                let held = data.u32_net(1).and_then(|register| registers.get(&register).copied());
                let value = data.nested(3).and_then(|data| data.get(DATA_VALUE)).unwrap_or_default();
                let comparison = data.u32_net(2).unwrap_or(u32::MAX);
                if let (Some(Held::Protocol), EQUAL, Some(&protocol)) = (held, comparison, value.first()) {
                    meaning.protocol = Some(protocol);
                }
                words.push(condition(held, comparison, value, mask.take().as_deref()));
            }
            "lookup" => {
                let held = data.u32_net(2).and_then(|register| registers.get(&register).copied());
                words.push(format!("{} @{}", subject(held), data.text(1).unwrap_or_default()));
            }
            "limit" | "connlimit" | "quota" => {
                meaning.limited = true;
                words.push(name);
            }
            "immediate" => {
                if let Some(verdict) = data.nested(2).and_then(|data| data.nested(DATA_VERDICT)) {
                    decide(&mut meaning, verdict, &mut words);
                }
            }
            "reject" => {
                meaning.verdict = FirewallVerdict::Reject;
                words.push(name);
            }
            "target" => {
                let target = data.text(1).unwrap_or_default();
                if target == "REJECT" {
                    meaning.verdict = FirewallVerdict::Reject;
                }
                words.push(target);
            }
            "match" => {
                let extension = data.text(1).unwrap_or_default();
                meaning.limited |= extension.contains("limit");
                words.push(format!("-m {extension}"));
            }
            "counter" | "log" | "" => {}
            _ => words.push(name),
        }
    }
    meaning.text = words.join(" ");
    meaning
}

fn hold(registers: &mut BTreeMap<u32, Held>, register: Option<u32>, held: Held) {
    if let Some(register) = register {
        registers.insert(register, held);
    }
}

fn meta(key: Option<u32>) -> Held {
    match key {
        Some(1) => Held::EtherType,
        Some(6) => Held::InputInterface,
        Some(7) => Held::OutputInterface,
        Some(15) => Held::NetworkProtocol,
        Some(16) => Held::Protocol,
        _ => Held::Unknown("meta"),
    }
}

/// The field that a load from the packet reads, by base, offset and length.
fn payload(data: Attributes<'_>, protocol: Option<u8>) -> Held {
    match (data.u32_net(2), data.u32_net(3), data.u32_net(4)) {
        (Some(1), Some(9), Some(1)) => Held::Protocol,
        // Prefixes of whole octets are loaded shorter, without a mask.
        (Some(1), Some(12), Some(1..=4)) => Held::Source,
        (Some(1), Some(16), Some(1..=4)) => Held::Destination,
        (Some(2), Some(0), Some(1)) if protocol == Some(PROTOCOL_ICMP) => Held::IcmpType,
        (Some(2), Some(0), Some(2)) => Held::SourcePort,
        (Some(2), Some(2), Some(2)) => Held::DestinationPort,
        _ => Held::Unknown("packet bytes"),
    }
}

fn condition(held: Option<Held>, comparison: u32, value: &[u8], mask: Option<&[u8]>) -> String {
    let operator = match comparison {
        EQUAL => "",
        1 => "!= ",
        2 => "< ",
        3 => "<= ",
        4 => "> ",
        5 => ">= ",
        _ => "? ",
    };
    let equal = comparison == EQUAL;
    let byte = || value.first().copied().unwrap_or_default();
    let port = || u16::from_be_bytes([byte(), value.get(1).copied().unwrap_or_default()]);
    let interface = || String::from_utf8_lossy(value).trim_end_matches('\0').to_owned();
    match held {
        Some(Held::Protocol) => format!("meta l4proto {operator}{}", protocol_name(byte())),
        Some(Held::NetworkProtocol) => format!("meta nfproto {operator}{}", family_name(byte())),
        Some(Held::EtherType) => format!("meta protocol {operator}{:#06x}", port()),
        Some(Held::IcmpType) => format!("icmp type {operator}{}", icmp_type_name(byte())),
        Some(Held::Source) => format!("ip saddr {operator}{}", block(value, mask)),
        Some(Held::Destination) => format!("ip daddr {operator}{}", block(value, mask)),
        Some(Held::SourcePort) => format!("sport {operator}{}", port()),
        Some(Held::DestinationPort) => format!("dport {operator}{}", port()),
        Some(Held::InputInterface) => format!("iifname {operator}{}", interface()),
        Some(Held::OutputInterface) => format!("oifname {operator}{}", interface()),
        // A masked state is compared with zero: "not zero" means that one of the states holds.
        Some(Held::ConnectionState) => {
            format!("ct state {}{}", if equal { "!= " } else { "" }, mask.map_or(String::new(), state_names))
        }
        Some(Held::Unknown(what)) => format!("({what})"),
        None => String::from("(?)"),
    }
}

/// The name of the field that a set is searched for.
fn subject(held: Option<Held>) -> &'static str {
    match held {
        Some(Held::Protocol) => "meta l4proto",
        Some(Held::NetworkProtocol) => "meta nfproto",
        Some(Held::EtherType) => "meta protocol",
        Some(Held::IcmpType) => "icmp type",
        Some(Held::Source) => "ip saddr",
        Some(Held::Destination) => "ip daddr",
        Some(Held::SourcePort) => "sport",
        Some(Held::DestinationPort) => "dport",
        Some(Held::InputInterface) => "iifname",
        Some(Held::OutputInterface) => "oifname",
        Some(Held::ConnectionState) => "ct state",
        Some(Held::Unknown(what)) => what,
        None => "(?)",
    }
}

fn block(value: &[u8], mask: Option<&[u8]>) -> String {
    let mut octets = [0; 4];
    for (octet, byte) in octets.iter_mut().zip(value) {
        *octet = *byte;
    }
    let length = match mask {
        Some(mask) => mask.iter().map(|byte| byte.leading_ones()).sum(),
        None => u32::try_from(value.len()).unwrap_or(4).min(4) * 8,
    };
    format!("{}/{length}", Ipv4Addr::from(octets))
}

/// The state's bits are in host order.
fn state_names(mask: &[u8]) -> String {
    let bits = mask.get(..4).and_then(|mask| mask.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let names = [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
    names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect::<Vec<_>>().join(",")
}

fn protocol_name(protocol: u8) -> String {
    match protocol {
        1 => String::from("icmp"),
        6 => String::from("tcp"),
        17 => String::from("udp"),
        other => other.to_string(),
    }
}

fn family_name(family: u8) -> String {
    match family {
        2 => String::from("ipv4"),
        10 => String::from("ipv6"),
        other => other.to_string(),
    }
}

fn icmp_type_name(icmp_type: u8) -> String {
    match icmp_type {
        0 => String::from("echo-reply"),
        8 => String::from("echo-request"),
        other => other.to_string(),
    }
}

fn decide(meaning: &mut Meaning, verdict: Attributes<'_>, words: &mut Vec<String>) {
    let code = verdict.u32_net(VERDICT_CODE).map(u32::cast_signed);
    let word = match code {
        Some(0) => {
            meaning.verdict = FirewallVerdict::Drop;
            "drop"
        }
        Some(1) => {
            meaning.verdict = FirewallVerdict::Accept;
            "accept"
        }
        Some(-3 | -4) => {
            meaning.jump = verdict.text(VERDICT_CHAIN).map(Jump);
            "jump"
        }
        _ => return,
    };
    words.push(word.to_owned());
}

/// Expressions as the kernel writes them.
#[cfg(test)]
pub(super) mod sample {
    use super::super::netlink::push;

    fn expression(name: &str, data: &[u8]) -> Vec<u8> {
        let mut body = vec![];
        push(&mut body, super::EXPRESSION_NAME, format!("{name}\0").as_bytes());
        push(&mut body, super::EXPRESSION_DATA, data);
        body
    }

    fn numbers(pairs: &[(u16, u32)]) -> Vec<u8> {
        let mut data = vec![];
        for (kind, value) in pairs {
            push(&mut data, *kind, &value.to_be_bytes());
        }
        data
    }

    pub(in super::super) fn meta_l4proto() -> Vec<u8> {
        expression("meta", &numbers(&[(1, 1), (2, 16)]))
    }

    pub(in super::super) fn payload(base: u32, offset: u32, length: u32) -> Vec<u8> {
        expression("payload", &numbers(&[(1, 1), (2, base), (3, offset), (4, length)]))
    }

    pub(in super::super) fn cmp(value: &[u8]) -> Vec<u8> {
        compare(super::EQUAL, value)
    }

    pub(in super::super) fn compare(how: u32, value: &[u8]) -> Vec<u8> {
        let mut data = numbers(&[(1, 1), (2, how)]);
        let mut nested = vec![];
        push(&mut nested, super::DATA_VALUE, value);
        push(&mut data, 3, &nested);
        expression("cmp", &data)
    }

    pub(in super::super) fn verdict(code: i32) -> Vec<u8> {
        immediate(code, None)
    }

    pub(in super::super) fn jump(chain: &str) -> Vec<u8> {
        immediate(-3, Some(chain))
    }

    fn immediate(code: i32, chain: Option<&str>) -> Vec<u8> {
        let mut verdict = vec![];
        push(&mut verdict, super::VERDICT_CODE, &code.to_be_bytes());
        if let Some(chain) = chain {
            push(&mut verdict, super::VERDICT_CHAIN, format!("{chain}\0").as_bytes());
        }
        let (mut nested, mut data) = (vec![], numbers(&[(1, 0)]));
        push(&mut nested, super::DATA_VERDICT, &verdict);
        push(&mut data, 2, &nested);
        expression("immediate", &data)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::netlink::push, *};

    fn meaning(expressions: &[Vec<u8>]) -> Meaning {
        let mut list = vec![];
        for expression in expressions {
            push(&mut list, 1, expression);
        }
        read(Attributes::from(list.as_slice()))
    }

    #[test]
    fn a_drop_of_echo_requests_is_understood() {
        let read = meaning(&[
            sample::payload(1, 9, 1),
            sample::cmp(&[1]),
            sample::payload(2, 0, 1),
            sample::cmp(&[8]),
            sample::payload(1, 12, 2),
            sample::cmp(&[192, 168]),
            sample::verdict(0),
        ]);
        assert_eq!((read.verdict, read.protocol, read.limited), (FirewallVerdict::Drop, Some(1), false));
        assert_eq!(read.text, "meta l4proto icmp icmp type echo-request ip saddr 192.168.0.0/16 drop");
    }

    #[test]
    fn a_range_of_ports_is_not_its_ends() {
        let read = meaning(&[
            sample::meta_l4proto(),
            sample::cmp(&[6]),
            sample::payload(2, 2, 2),
            sample::compare(5, &[1, 187]),
            sample::compare(3, &[1, 188]),
            sample::verdict(0),
        ]);
        assert_eq!(read.text, "meta l4proto tcp dport >= 443 dport <= 444 drop");
    }

    #[test]
    fn a_rule_without_verdict_refuses_nothing() {
        assert_eq!(meaning(&[]).verdict, FirewallVerdict::Other);
    }
}
