//! Parts that an estate is made of: networks with their blocks and names, lists, rules.

use pingtong_evidence::{Cidr, Known, Policy, PortRange, RulePeer, RuleProtocol, SecurityRule};
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn block(address: u32, length: u8) -> Cidr {
    Cidr::around(IpAddr::V4(Ipv4Addr::from_bits(address)), length)
}

/// Address bits of each VPC: 4096 addresses, of which two vSwitches have half each.
pub(super) const VPC_BITS: u32 = 12;

/// A VPC and its addresses.
pub(super) struct Network {
    pub(super) index: u32,
    pub(super) place: usize,
    pub(super) base: u32,
}

impl Network {
    pub(super) fn cidr(&self) -> Cidr {
        block(self.base, 20)
    }

    pub(super) fn vswitch(&self, which: u32) -> Cidr {
        block(self.base + (which << (VPC_BITS - 1)), 21)
    }

    pub(super) fn name(&self, kind: &str) -> String {
        format!("{kind}-{}", self.index)
    }
}

pub(super) fn known<T>(list: &mut Known<Vec<T>>) -> &mut Vec<T> {
    if matches!(list, Known::Unknown(_)) {
        *list = Known::Known(vec![]);
    }
    match list {
        Known::Known(items) => items,
        Known::Unknown(_) => unreachable!("just made known"),
    }
}

pub(super) fn accept(ingress: bool, peer: Cidr) -> SecurityRule {
    SecurityRule {
        id: None,
        ingress,
        policy: Policy::Accept,
        priority: 1,
        protocol: RuleProtocol::All,
        ports: PortRange::ALL,
        source_ports: None,
        peer: RulePeer::Cidr(peer),
        own: None,
    }
}
