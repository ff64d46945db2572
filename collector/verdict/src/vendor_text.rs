//! Protocols and ports as the vendor's API and console write them (`API.md` §8.7).

use pingtong_evidence::{PortRange, RuleProtocol};

/// Ports in the vendor's form; `-1/-1` for protocols without ports.
pub(crate) fn ports_text(protocol: RuleProtocol, ports: PortRange) -> String {
    match protocol {
        RuleProtocol::Tcp | RuleProtocol::Udp => format!("{}/{}", ports.first().max(1), ports.last()),
        _ => "-1/-1".to_owned(),
    }
}

/// A protocol in the vendor's form.
pub(crate) fn protocol_text(protocol: RuleProtocol) -> String {
    match protocol {
        RuleProtocol::All => "all".into(),
        RuleProtocol::Tcp => "tcp".into(),
        RuleProtocol::Udp => "udp".into(),
        RuleProtocol::Icmp => "icmp".into(),
        RuleProtocol::Icmpv6 => "icmpv6".into(),
        RuleProtocol::Gre => "gre".into(),
        RuleProtocol::Number(number) => number.to_string(),
    }
}
