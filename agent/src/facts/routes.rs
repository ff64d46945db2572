//! Route lookup: how the kernel would reach a peer (`RTM_GETROUTE`), with the prefix that decided.
//!
//! Two requests per peer: the plain one returns interface, gateway and source as a packet would get them; with
//! `RTM_F_FIB_MATCH` the kernel returns the table entry that matched. Policy rules that match the source address or a
//! mark are evaluated as for an unbound socket.

use super::netlink;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType},
};
use nix::{errno::Errno, net::if_::if_indextoname};
use pingtong_evidence::{Cidr, Known, RouteFact, RouteOutcome, WhyUnknown};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The routes towards `peers`.
pub(super) fn towards(peers: &[IpAddr]) -> Vec<RouteFact> {
    peers.iter().map(|&to| RouteFact { to, outcome: look_up(to) }).collect()
}

fn look_up(to: IpAddr) -> Known<RouteOutcome> {
    match ask(to, RouteFlags::empty()) {
        Ok(Some(route)) => outcome(&route, ask(to, RouteFlags::FibMatch).ok().flatten().as_ref()),
        Ok(None) => Known::Unknown(WhyUnknown::Malformed {
            action: String::from("route look-up"),
            message: String::from("the kernel gave no answer"),
        }),
        Err(error) => match error.raw_os_error() {
            Some(errno @ (libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL)) => {
                Known::Known(RouteOutcome::Refused { errno })
            }
            Some(errno) => unreachable_because(Errno::from_raw(errno).desc()),
            None => unreachable_because(&error.to_string()),
        },
    }
}

fn ask(to: IpAddr, flags: RouteFlags) -> io::Result<Option<RouteMessage>> {
    let mut message = RouteMessage::default();
    (message.header.address_family, message.header.destination_prefix_length) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    message.header.flags = flags;
    message.attributes.push(RouteAttribute::Destination(to.into()));
    let answers = netlink::route(&RouteNetlinkMessage::GetRoute(message), 0)?;
    Ok(answers.into_iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewRoute(route) => Some(route),
        _ => None,
    }))
}

fn outcome(route: &RouteMessage, matched: Option<&RouteMessage>) -> Known<RouteOutcome> {
    if route.header.kind == RouteType::Local {
        return Known::Known(RouteOutcome::Own);
    }
    let (mut index, mut source, mut gateway) = (None, None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(oif) => index = Some(*oif),
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            _ => {}
        }
    }
    let Some(index) = index else {
        return Known::Unknown(WhyUnknown::Malformed {
            action: String::from("route look-up"),
            message: String::from("the kernel named no interface"),
        });
    };
    let interface = if_indextoname(index).ok().and_then(|name| name.into_string().ok());
    let interface = interface.unwrap_or_else(|| format!("if{index}"));
    Known::Known(RouteOutcome::Via { interface, source, gateway, prefix: matched.and_then(prefix) })
}

/// The destination of the matched entry; the default route carries no `RTA_DST`.
fn prefix(route: &RouteMessage) -> Option<Cidr> {
    let length = route.header.destination_prefix_length;
    let network = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => Some(ip(address)),
        _ => None,
    });
    let leads = |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::Oif(_) | RouteAttribute::MultiPath(_));
    let network = match network {
        Some(network) => network?,
        None if length == 0 && route.attributes.iter().any(leads) => match route.header.address_family {
            AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        },
        None => return None,
    };
    Some(Cidr::around(network, length))
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

fn unreachable_because(message: &str) -> Known<RouteOutcome> {
    Known::Unknown(WhyUnknown::Unreachable { action: String::from("route look-up"), message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_our_own() {
        let facts = towards(&["127.0.0.1".parse().unwrap()]);
        assert_eq!(facts[0].outcome, Known::Known(RouteOutcome::Own));
        // A host without IPv6 has no such address, and reports that there is no route.
        let facts = towards(&["::1".parse().unwrap()]);
        let known = matches!(&facts[0].outcome, Known::Known(RouteOutcome::Own | RouteOutcome::Refused { .. }));
        assert!(known, "{:?}", facts[0].outcome);
    }
}
