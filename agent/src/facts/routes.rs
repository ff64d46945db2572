//! Route lookup: how the kernel would reach a peer (`RTM_GETROUTE`), with the prefix that decided.
//!
//! Two requests per peer: the plain one returns interface, gateway and source as a packet would get them; with
//! `RTM_F_FIB_MATCH` the kernel returns the table entry that matched. Policy rules that match the source address or a
//! mark are evaluated as for an unbound socket.

use super::netlink::{self, Attributes};
use nix::{errno::Errno, net::if_::if_indextoname};
use pingtong_evidence::{Cidr, Known, RouteFact, RouteOutcome, WhyUnknown};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// `AF_INET` and `AF_INET6` as the kernel's messages carry them.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const NETLINK_ROUTE: isize = 0;
const RTM_GETROUTE: u16 = 26;
const HEADER_BYTES: usize = 12;
const RTM_F_FIB_MATCH: u32 = 0x2000;
const RTN_LOCAL: u8 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;

/// The routes towards `peers`.
pub(super) fn towards(peers: &[IpAddr]) -> Vec<RouteFact> {
    peers.iter().map(|&to| RouteFact { to, outcome: look_up(to) }).collect()
}

fn look_up(to: IpAddr) -> Known<RouteOutcome> {
    match ask(to, 0) {
        Ok(Some(body)) => outcome(&body, ask(to, RTM_F_FIB_MATCH).ok().flatten().as_deref()),
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

fn ask(to: IpAddr, flags: u32) -> io::Result<Option<Vec<u8>>> {
    let mut body = vec![0; HEADER_BYTES];
    let (family, octets) = match to {
        IpAddr::V4(to) => (AF_INET, to.octets().to_vec()),
        IpAddr::V6(to) => (AF_INET6, to.octets().to_vec()),
    };
    body[0] = family;
    body[1] = if to.is_ipv4() { 32 } else { 128 };
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    netlink::push(&mut body, RTA_DST, &octets);
    Ok(netlink::ask(NETLINK_ROUTE, RTM_GETROUTE, 0, &body)?.into_iter().next().map(|message| message.body))
}

fn outcome(body: &[u8], matched: Option<&[u8]>) -> Known<RouteOutcome> {
    if body.get(7) == Some(&RTN_LOCAL) {
        return Known::Known(RouteOutcome::Own);
    }
    let answer = Attributes::after(body, HEADER_BYTES);
    let Some(index) = answer.u32_host(RTA_OIF) else {
        return Known::Unknown(WhyUnknown::Malformed {
            action: String::from("route look-up"),
            message: String::from("the kernel named no interface"),
        });
    };
    let interface = if_indextoname(index).ok().and_then(|name| name.into_string().ok());
    Known::Known(RouteOutcome::Via {
        interface: interface.unwrap_or_else(|| format!("if{index}")),
        source: answer.get(RTA_PREFSRC).and_then(address),
        gateway: answer.get(RTA_GATEWAY).and_then(address),
        prefix: matched.and_then(prefix),
    })
}

/// The destination of the matched entry; the default route carries no `RTA_DST`.
fn prefix(body: &[u8]) -> Option<Cidr> {
    let length = *body.get(1)?;
    let attributes = Attributes::after(body, HEADER_BYTES);
    let network = match attributes.get(RTA_DST) {
        Some(value) => address(value)?,
        None if length == 0 && (attributes.get(RTA_OIF).is_some() || attributes.get(RTA_MULTIPATH).is_some()) => {
            match *body.first()? {
                AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            }
        }
        None => return None,
    };
    Some(Cidr::around(network, length))
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(value).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
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
