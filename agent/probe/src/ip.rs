//! IP headers of untrusted packets, read by `etherparse`: addresses, protocol and what follows the headers.
//!
//! A body is limited by the packet's length field and by the bytes present: a packet socket also delivers the padding
//! of short Ethernet frames, which the length removes, and a quoted packet is shorter than its length says. Later
//! fragments are not read, since they have no header of the protocol.

use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv6ExtensionSlice, Ipv6ExtensionsSlice, Ipv6Header, Ipv6HeaderSlice};
use std::net::IpAddr;

/// Maximum number of headers examined after the IPv6 header, the protocol's own included. RFC 8200 has six kinds of
/// extension headers, each at most once and destination options at most twice; a longer chain is not legitimate.
pub(crate) const EXTENSIONS_MAX: usize = 8;

/// An IP packet split into its parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    /// Protocol of `body`.
    pub(crate) protocol: IpNumber,
    pub(crate) body: &'a [u8],
}

/// Splits a packet of either IP version; `None` if it is malformed or a later fragment.
pub(crate) fn split(packet: &[u8]) -> Option<Parts<'_>> {
    match packet.first()? >> 4 {
        4 => split_v4(packet),
        6 => split_v6(packet),
        _ => None,
    }
}

/// Splits an IPv4 packet; `None` if it is malformed or a later fragment.
pub(crate) fn split_v4(packet: &[u8]) -> Option<Parts<'_>> {
    let header = Ipv4HeaderSlice::from_slice(packet).ok()?;
    let end = usize::from(header.total_len()).min(packet.len());
    let body = packet.get(header.slice().len()..end)?;
    let (from, to) = (header.source_addr().into(), header.destination_addr().into());
    (header.fragments_offset().value() == 0).then_some(Parts { from, to, protocol: header.protocol(), body })
}

/// Splits an IPv6 packet; `None` if it is malformed, a later fragment or a jumbogram, which no probe is.
pub(crate) fn split_v6(packet: &[u8]) -> Option<Parts<'_>> {
    let header = Ipv6HeaderSlice::from_slice(packet).ok()?;
    let end = (Ipv6Header::LEN + usize::from(header.payload_length())).min(packet.len());
    let rest = packet.get(Ipv6Header::LEN..end)?;
    let (extensions, protocol, body, fault) = Ipv6ExtensionsSlice::from_slice_lax(header.next_header(), rest);
    if fault.is_some() || body.len() < rest.len() && !readable(extensions) {
        return None;
    }
    let (from, to) = (header.source_addr().into(), header.destination_addr().into());
    Some(Parts { from, to, protocol, body })
}

fn readable(extensions: Ipv6ExtensionsSlice<'_>) -> bool {
    let later = |each: &Ipv6ExtensionSlice<'_>| match each {
        Ipv6ExtensionSlice::Fragment(fragment) => fragment.fragment_offset().value() != 0,
        _ => false,
    };
    let mut extensions = extensions.into_iter();
    !extensions.by_ref().take(EXTENSIONS_MAX - 1).any(|each| later(&each)) && extensions.next().is_none()
}
