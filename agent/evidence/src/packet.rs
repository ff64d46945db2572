//! Protocols and ports of a flow.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The protocol of a flow or an expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// ICMP. Probe rounds use it for ICMPv6 echo as well. Neither security groups nor ACLs match its type or code.
    Icmp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// An inclusive range of ports; `first <= last` always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Every port.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// The range from `first` to `last`, both included; `None` if `first` is greater than `last`.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// Parses the vendor's form `22/22` or `-1/-1`, the latter meaning every port; `None` for anything else.
    pub fn parse_slashed(text: &str) -> Option<Self> {
        let (first, last) = text.trim().split_once('/')?;
        if (first, last) == ("-1", "-1") {
            return Some(Self::ALL);
        }
        Self::new(first.parse().ok()?, last.parse().ok()?)
    }

    /// First port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// Last port.
    pub fn last(self) -> u16 {
        self.last
    }

    /// Whether `port` lies in the range.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl TryFrom<(u16, u16)> for PortRange {
    type Error = &'static str;
    fn try_from((first, last): (u16, u16)) -> Result<Self, Self::Error> {
        Self::new(first, last).ok_or("a port range runs from the lower port to the higher")
    }
}

impl From<PortRange> for (u16, u16) {
    fn from(range: PortRange) -> Self {
        (range.first, range.last)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_vendors_form() {
        assert_eq!(PortRange::parse_slashed("-1/-1"), Some(PortRange::ALL));
        assert_eq!(PortRange::parse_slashed("22/80"), PortRange::new(22, 80));
        for bad in ["", "22", "80/22", "-1/5", "1/70000", "a/b"] {
            assert_eq!(PortRange::parse_slashed(bad), None, "{bad}");
        }
    }
}
