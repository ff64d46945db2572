//! Interfaces of this network namespace with their kinds and addresses (`RTM_GETLINK`, `RTM_GETADDR`).

use super::netlink::{self, Attributes, DUMP};
use pingtong_evidence::{Cidr, InterfaceFact, InterfaceKind};
use std::{collections::BTreeMap, io, net::IpAddr};

const NETLINK_ROUTE: isize = 0;
const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const LINK_HEADER_BYTES: usize = 16;
const ADDRESS_HEADER_BYTES: usize = 8;
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// Kinds that encapsulate packets, as `ip -d link` names them.
const TUNNELS: [&str; 17] = [
    "tun",
    "wireguard",
    "vxlan",
    "gre",
    "gretap",
    "ip6gre",
    "ip6gretap",
    "ipip",
    "ip6tnl",
    "sit",
    "geneve",
    "vti",
    "vti6",
    "xfrm",
    "erspan",
    "bareudp",
    "gtp",
];

/// Lists all interfaces, in the order of their index.
pub(super) fn list() -> io::Result<Vec<InterfaceFact>> {
    let mut interfaces = BTreeMap::new();
    for message in netlink::ask(NETLINK_ROUTE, RTM_GETLINK, DUMP, &[0; LINK_HEADER_BYTES])? {
        if let Some((index, interface)) = interface(&message.body) {
            interfaces.insert(index, interface);
        }
    }
    for message in netlink::ask(NETLINK_ROUTE, RTM_GETADDR, DUMP, &[0; ADDRESS_HEADER_BYTES])? {
        if let Some((index, address)) = address(&message.body)
            && let Some(interface) = interfaces.get_mut(&index)
        {
            interface.addresses.push(address);
        }
    }
    Ok(interfaces.into_values().collect())
}

fn interface(body: &[u8]) -> Option<(u32, InterfaceFact)> {
    let word = |at: usize| Some(u32::from_ne_bytes(body.get(at..at + 4)?.try_into().ok()?));
    let (index, flags) = (word(4)?, word(8)?);
    let attributes = Attributes::after(body, LINK_HEADER_BYTES);
    let info = attributes.nested(IFLA_LINKINFO);
    let kind = info.and_then(|info| info.text(IFLA_INFO_KIND)).unwrap_or_default();
    let port_of = info.and_then(|info| info.text(IFLA_INFO_SLAVE_KIND)).unwrap_or_default();
    let octets = attributes.get(IFLA_ADDRESS).filter(|octets| octets.len() == 6).unwrap_or_default();
    let mac: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let fact = InterfaceFact {
        name: attributes.text(IFLA_IFNAME)?,
        kind: match (flags & IFF_LOOPBACK != 0, kind.as_str(), port_of.as_str()) {
            (true, _, _) => InterfaceKind::Loopback,
            (_, "bridge", _) => InterfaceKind::Bridge,
            (_, kind, _) if TUNNELS.contains(&kind) => InterfaceKind::Tunnel,
            (_, _, "bridge") => InterfaceKind::BridgePort,
            _ => InterfaceKind::Card,
        },
        up: flags & IFF_UP != 0,
        mtu: attributes.u32_host(IFLA_MTU).unwrap_or_default(),
        mac: mac.join(":"),
        addresses: vec![],
    };
    Some((index, fact))
}

fn address(body: &[u8]) -> Option<(u32, (IpAddr, Cidr))> {
    let prefix_length = *body.get(1)?;
    let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let attributes = Attributes::after(body, ADDRESS_HEADER_BYTES);
    // On a point-to-point link, `IFA_ADDRESS` is the address of the other end; our own is `IFA_LOCAL`.
    let value = attributes.get(IFA_LOCAL).or_else(|| attributes.get(IFA_ADDRESS))?;
    let network = attributes.get(IFA_ADDRESS).unwrap_or(value);
    Some((index, (read(value)?, Cidr::around(read(network)?, prefix_length))))
}

fn read(value: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(value).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_listed_with_its_kind() {
        let interfaces = list().unwrap();
        let lo = interfaces.iter().find(|interface| interface.name == "lo").expect("every namespace has one");
        assert_eq!(lo.kind, InterfaceKind::Loopback);
    }
}
