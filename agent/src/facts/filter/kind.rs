//! How the bytes of a register, of a constant or of a set's element are to be read.

use pingtong_evidence::{
    Cidr,
    packet_filter::{Span, Value},
};
use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Bytes of a port.
pub(super) const PORT_BYTES: usize = 2;
/// Bytes of the longest address.
pub(super) const ADDRESS_BYTES_MAX: usize = 16;

/// Meaning of the bytes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number in network order.
    Network,
    /// A number in host order.
    Host,
    /// An IPv4 address.
    Address4,
    /// An IPv6 address.
    Address6,
    /// A name that ends with a zero byte.
    Name,
    /// Bytes without another meaning.
    Bytes,
}

impl Kind {
    /// Kind of a data type of nft (`enum datatypes` in `datatype.h` of its source), which the kernel stores unread.
    pub(super) fn of_type(number: u32) -> Self {
        match number {
            7 => Self::Address4,
            8 => Self::Address6,
            // Numbers of the packet: protocols, ports, types and codes of ICMP, and so on.
            1 | 2 | 10..=17 | 29 | 32..=34 | 36 | 37 | 46 => Self::Network,
            // Numbers of the kernel: marks, indexes, states.
            19..=28 | 31 | 35 | 38 | 39 => Self::Host,
            5 | 41 => Self::Name,
            _ => Self::Bytes,
        }
    }

    /// The same number after a change of its byte order.
    pub(super) fn swapped(self) -> Self {
        match self {
            Self::Network => Self::Host,
            Self::Host => Self::Network,
            other => other,
        }
    }

    /// Reads a value.
    pub(super) fn value(self, bytes: &[u8]) -> Value {
        let read = match self {
            Self::Network if bytes.len() <= 8 => Some(Value::Number(big_endian(bytes))),
            Self::Host => host_order(bytes).map(Value::Number),
            Self::Address4 => <[u8; 4]>::try_from(bytes).ok().map(|b| Value::Address(IpAddr::from(b))),
            Self::Address6 => <[u8; 16]>::try_from(bytes).ok().map(|b| Value::Address(IpAddr::from(b))),
            Self::Name => Some(Value::Name(name(bytes))),
            Self::Network | Self::Bytes => None,
        };
        read.unwrap_or_else(|| Value::Bytes(hexadecimal(bytes)))
    }

    /// The values from the first to the last.
    pub(super) fn span(self, first: &[u8], last: &[u8]) -> Span {
        if first == last {
            return Span::One(self.value(first));
        }
        match self {
            Self::Address4 | Self::Address6 => {
                if let Some(block) = block(first, last) {
                    return Span::One(Value::Prefix(block));
                }
            }
            Self::Name => {
                let kept = first.iter().zip(last).take_while(|(a, b)| a == b).count();
                let (low, high) = (first.get(kept..).unwrap_or_default(), last.get(kept..).unwrap_or_default());
                return if low.iter().all(|&byte| byte == 0) && high.iter().all(|&byte| byte == 0xff) {
                    Span::One(Value::NameStart(name(first)))
                } else {
                    Span::Range { first: Value::Bytes(hexadecimal(first)), last: Value::Bytes(hexadecimal(last)) }
                };
            }
            _ => {}
        }
        Span::Range { first: self.value(first), last: self.value(last) }
    }
}

/// A name up to its zero byte.
pub(super) fn name(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A number in network order; of more than 8 bytes, the last 8.
pub(super) fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn host_order(bytes: &[u8]) -> Option<u64> {
    Some(match bytes.len() {
        1 => u64::from(*bytes.first()?),
        2 => u64::from(u16::from_ne_bytes(bytes.try_into().ok()?)),
        4 => u64::from(u32::from_ne_bytes(bytes.try_into().ok()?)),
        8 => u64::from_ne_bytes(bytes.try_into().ok()?),
        _ => return None,
    })
}

/// An address from its first bytes; the others are zero. Of 4 or of 16 bytes by `kind`.
pub(super) fn address(kind: Kind, first: &[u8]) -> Option<IpAddr> {
    fn padded<const N: usize>(first: &[u8]) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        bytes.get_mut(..first.len())?.copy_from_slice(first);
        Some(bytes)
    }
    match kind {
        Kind::Address4 => padded(first).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        Kind::Address6 => padded(first).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))),
        _ => None,
    }
}

/// The length of a mask whose set bits all come first.
pub(super) fn prefix_length(mask: &[u8]) -> Option<u8> {
    let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    let leading = mask.iter().take_while(|&&byte| byte == 0xff).count();
    let rest = mask.get(leading).map_or(0, |byte| byte.leading_ones());
    let leading = u32::try_from(leading).ok()? * 8 + rest;
    (leading == ones).then(|| u8::try_from(ones).ok()).flatten()
}

/// The block that begins and ends with these addresses.
fn block(first: &[u8], last: &[u8]) -> Option<Cidr> {
    let kind = if first.len() == 4 { Kind::Address4 } else { Kind::Address6 };
    let differs: Vec<u8> = first.iter().zip(last).map(|(a, b)| !(a ^ b)).collect();
    let length = prefix_length(&differs)?;
    let block = Cidr::around(address(kind, first)?, length);
    (block.network() == address(kind, first)? && block.last() == address(kind, last)?).then_some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: u64) -> Value {
        Value::Number(value)
    }

    #[test]
    fn bytes_are_read_by_their_kind() {
        assert_eq!(Kind::Network.value(&[1, 187]), number(443));
        assert_eq!(Kind::Host.value(&5u32.to_ne_bytes()), number(5));
        assert_eq!(Kind::Host.swapped().value(&5u32.to_be_bytes()), number(5));
        assert_eq!(Kind::Address4.value(&[10, 0, 0, 1]), Value::Address([10, 0, 0, 1].into()));
        assert_eq!(Kind::Name.value(b"eth0\0\0"), Value::Name("eth0".into()));
        assert_eq!(Kind::Network.value(&[1; 9]), Value::Bytes("01".repeat(9)));
        assert_eq!(Kind::Address4.value(&[10, 0]), Value::Bytes("0a00".into()), "too short for an address");
    }

    #[test]
    fn a_range_of_addresses_is_a_block_only_if_it_is_one() {
        let span = |first: [u8; 4], last: [u8; 4]| Kind::Address4.span(&first, &last);
        assert_eq!(span([10, 0, 0, 0], [10, 255, 255, 255]), Span::One(Value::Prefix("10.0.0.0/8".parse().unwrap())));
        assert!(matches!(span([10, 0, 0, 1], [10, 0, 0, 9]), Span::Range { .. }));
        assert!(matches!(span([10, 0, 0, 1], [10, 0, 0, 2]), Span::Range { .. }));
        assert_eq!(span([10, 0, 0, 2], [10, 0, 0, 3]), Span::One(Value::Prefix("10.0.0.2/31".parse().unwrap())));
        assert_eq!(Kind::Network.span(&[0, 80], &[0, 90]), Span::Range { first: number(80), last: number(90) });
        assert_eq!(Kind::Name.span(b"eth\0\0", b"eth\xff\xff"), Span::One(Value::NameStart("eth".into())));
    }

    #[test]
    fn the_length_of_a_mask_with_gaps_is_unknown() {
        assert_eq!(prefix_length(&[255, 254, 0, 0]), Some(15));
        assert_eq!(prefix_length(&[0, 255, 0, 0]), None);
        assert_eq!(prefix_length(&[255, 0, 255, 0]), None);
        assert_eq!(prefix_length(&[0, 0]), Some(0));
    }
}
