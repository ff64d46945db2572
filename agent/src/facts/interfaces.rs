//! Interfaces of this network namespace with their kinds and addresses (`RTM_GETLINK`, `RTM_GETADDR`).

use super::netlink::{self, DUMP};
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{InfoKind, InfoPortKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
};
use pingtong_evidence::{Cidr, InterfaceFact, InterfaceKind};
use std::{collections::BTreeMap, io, net::IpAddr};

/// Lists all interfaces, in the order of their index.
///
/// # Errors
/// If the kernel refuses, or a reply cannot be decoded.
pub(super) fn list() -> io::Result<Vec<InterfaceFact>> {
    let mut interfaces = BTreeMap::new();
    for message in netlink::route(&RouteNetlinkMessage::GetLink(LinkMessage::default()), DUMP)? {
        if let RouteNetlinkMessage::NewLink(link) = message
            && let Some(interface) = interface(&link)
        {
            interfaces.insert(link.header.index, interface);
        }
    }
    for message in netlink::route(&RouteNetlinkMessage::GetAddress(AddressMessage::default()), DUMP)? {
        if let RouteNetlinkMessage::NewAddress(message) = message
            && let Some(interface) = interfaces.get_mut(&message.header.index)
            && let Some(address) = address(&message)
        {
            interface.addresses.push(address);
        }
    }
    Ok(interfaces.into_values().collect())
}

/// `None` if the interface has no name, which no kernel does.
fn interface(link: &LinkMessage) -> Option<InterfaceFact> {
    let mut fact = InterfaceFact {
        name: String::new(),
        kind: InterfaceKind::Card,
        up: link.header.flags.contains(LinkFlags::Up),
        mtu: 0,
        mac: String::new(),
        addresses: vec![],
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => fact.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => fact.mtu = *mtu,
            LinkAttribute::Address(octets) if octets.len() == 6 => {
                let octets: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
                fact.mac = octets.join(":");
            }
            LinkAttribute::LinkInfo(infos) => fact.kind = kind(infos),
            _ => {}
        }
    }
    if link.header.flags.contains(LinkFlags::Loopback) {
        fact.kind = InterfaceKind::Loopback;
    }
    (!fact.name.is_empty()).then_some(fact)
}

fn kind(infos: &[LinkInfo]) -> InterfaceKind {
    let own = infos.iter().find_map(|info| if let LinkInfo::Kind(kind) = info { Some(kind) } else { None });
    let of_bridge = infos.iter().any(|info| matches!(info, LinkInfo::PortKind(InfoPortKind::Bridge)));
    match own {
        Some(InfoKind::Bridge) => InterfaceKind::Bridge,
        Some(kind) if encapsulates(kind) => InterfaceKind::Tunnel,
        _ if of_bridge => InterfaceKind::BridgePort,
        _ => InterfaceKind::Card,
    }
}

fn encapsulates(kind: &InfoKind) -> bool {
    matches!(
        kind,
        InfoKind::Tun
            | InfoKind::Wireguard
            | InfoKind::Vxlan
            | InfoKind::GreTun
            | InfoKind::GreTap
            | InfoKind::GreTun6
            | InfoKind::GreTap6
            | InfoKind::IpIp
            | InfoKind::Ip6Tnl
            | InfoKind::SitTun
            | InfoKind::Geneve
            | InfoKind::Vti
            | InfoKind::Vti6
            | InfoKind::Xfrm
            | InfoKind::ErSpan
            | InfoKind::BareUdp
            | InfoKind::Gtp
    )
}

/// Our address, and the network that it is in. On a point-to-point link, `IFA_ADDRESS` is the address of the other end;
/// our own is `IFA_LOCAL`.
fn address(message: &AddressMessage) -> Option<(IpAddr, Cidr)> {
    let (mut own, mut network) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => own = Some(*address),
            AddressAttribute::Address(address) => network = Some(*address),
            _ => {}
        }
    }
    let own = own.or(network)?;
    Some((own, Cidr::around(network.unwrap_or(own), message.header.prefix_len)))
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
