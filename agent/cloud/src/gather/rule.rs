//! The fields that security group rules and network ACL entries share: policy, protocol, ports.
//!
//! An absent policy or port range takes the vendor's documented default. An unreadable field, or an absent protocol, is
//! an error, because a rule that is only half understood may be the one that decides (`SEMANTICS.md` §1.2).

use crate::transport::row::{Row, RowError};
use pingtong_evidence::{Policy, PortRange, RuleProtocol};

/// The policy; `accept` if the field is absent.
pub(crate) fn policy(row: Row<'_>, name: &str) -> Result<Policy, RowError> {
    match row.word(name).as_deref() {
        None | Some("accept") => Ok(Policy::Accept),
        Some("drop") => Ok(Policy::Drop),
        other => Err(RowError::new(name, other)),
    }
}

pub(crate) fn protocol(row: Row<'_>, name: &str) -> Result<RuleProtocol, RowError> {
    let word = row.word(name);
    Ok(match word.as_deref() {
        Some("all" | "-1") => RuleProtocol::All,
        Some("tcp" | "6") => RuleProtocol::Tcp,
        Some("udp" | "17") => RuleProtocol::Udp,
        Some("icmp" | "icmp(ipv4)" | "1") => RuleProtocol::Icmp,
        Some("icmpv6" | "icmp(ipv6)" | "58") => RuleProtocol::Icmpv6,
        Some("gre" | "47") => RuleProtocol::Gre,
        other => {
            let number = other.and_then(|text| text.parse().ok());
            RuleProtocol::Number(number.ok_or_else(|| RowError::new(name, other))?)
        }
    })
}

/// The port range; all ports if the field is absent.
pub(crate) fn ports(row: Row<'_>, name: &str) -> Result<PortRange, RowError> {
    row.text(name).map_or(Ok(PortRange::ALL), |text| {
        PortRange::parse_slashed(&text).ok_or_else(|| RowError::new(name, Some(&text)))
    })
}
