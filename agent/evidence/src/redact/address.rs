//! Addresses: prefix-preserving anonymisation after Crypto-PAn (Xu, Fan, Ammar, Moon 2002).
//!
//! The keyed function decides from all preceding bits whether a bit is kept or flipped. Two addresses therefore share
//! exactly as many leading bits as before, an address stays in its block, and no two addresses become the same. Bits
//! that lead to a block with a special meaning are never flipped: private addresses stay private, and 100.64.0.0/10
//! stays the cloud's. Such a block itself and 0.0.0.0/0 are unchanged; a block that is a few bits longer may be
//! unchanged by chance. Limit: a reader who knows the plain form of one address knows the leading bits that other
//! addresses share with it.

use super::{Redact, Redactor};
use crate::Cidr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 blocks with a special meaning: this network, private, shared (the cloud's services), loopback, link-local,
/// benchmarks, multicast, reserved.
const SPECIAL_V4: [(Ipv4Addr, u8); 10] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];
/// The same for IPv6: unspecified, loopback and mapped; global; unique local; link-local; multicast.
const SPECIAL_V6: [(Ipv6Addr, u8); 5] = [
    (Ipv6Addr::UNSPECIFIED, 8),
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
];
const KIND_V4: u8 = 4;
const KIND_V6: u8 = 6;

impl Redactor<'_> {
    pub(super) fn address(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => {
                let special = SPECIAL_V4.map(|(block, length)| (widened(block.to_bits()), length));
                let image = self.flipped(KIND_V4, widened(v4.to_bits()), 32, &special);
                // The first 32 of 128 bits; the others are zero.
                IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(image >> 96).unwrap_or_default()))
            }
            IpAddr::V6(v6) => {
                let special = SPECIAL_V6.map(|(block, length)| (block.to_bits(), length));
                IpAddr::V6(Ipv6Addr::from_bits(self.flipped(KIND_V6, v6.to_bits(), 128, &special)))
            }
        }
    }

    /// `address` with each of its first `length` bits kept or flipped.
    fn flipped(&self, kind: u8, address: u128, length: u8, special: &[(u128, u8)]) -> u128 {
        let mut image = address;
        for at in 0..length {
            let prefix = leading(address, at);
            let fixed = special.iter().any(|&(block, whole)| at < whole && leading(block, at) == prefix);
            if fixed {
                continue;
            }
            let mut input = [0; 17];
            input[0] = at;
            input[1..].copy_from_slice(&prefix.to_be_bytes());
            image ^= u128::from(self.image(kind, &input)[0] & 1) << (127 - at);
        }
        image
    }
}

fn widened(address: u32) -> u128 {
    u128::from(address) << 96
}

/// The first `bits` bits of `address`; the others are zero.
fn leading(address: u128, bits: u8) -> u128 {
    if bits == 0 { 0 } else { address >> (128 - bits) << (128 - bits) }
}

impl Redact for IpAddr {
    fn redact(&self, by: &Redactor<'_>) -> Self {
        by.address(*self)
    }
}

impl Redact for Cidr {
    fn redact(&self, by: &Redactor<'_>) -> Self {
        Self::around(by.address(self.network()), self.prefix_length())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{by_key, cidr};
    use super::*;
    use proptest::prelude::*;

    fn block() -> impl Strategy<Value = Cidr> {
        let start = prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 2]>().prop_map(|[c, d]| IpAddr::from([192, 168, c, d])),
            any::<[u8; 2]>().prop_map(|[c, d]| IpAddr::from([172, 16 + c % 16, c, d])),
            any::<[u8; 2]>().prop_map(|[c, d]| IpAddr::from([100, 64 + c % 64, c, d])),
            any::<[u8; 16]>().prop_map(IpAddr::from),
        ];
        (start, 0u8..=128).prop_map(|(address, length)| Cidr::around(address, length))
    }

    proptest! {
        #[test]
        fn every_relation_between_blocks_stays_true(key: u64, one in block(), other in block()) {
            by_key(key, |by| {
                let (x, y) = (one.redact(by), other.redact(by));
                prop_assert_eq!(x.prefix_length(), one.prefix_length());
                prop_assert_eq!(x.is_ipv4(), one.is_ipv4());
                prop_assert_eq!(x.covers(&y), one.covers(&other));
                prop_assert_eq!(x.overlaps(&y), one.overlaps(&other));
                prop_assert_eq!(x == y, one == other);
                prop_assert_eq!(x.contains(other.network().redact(by)), one.contains(other.network()));
                Ok(())
            })?;
        }

        #[test]
        fn a_block_with_a_meaning_of_its_own_keeps_it(key: u64, address in block()) {
            by_key(key, |by| {
                for special in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7", "2000::/3"] {
                    let special = cidr(special);
                    prop_assert_eq!(special.redact(by), special);
                    prop_assert_eq!(special.covers(&address.redact(by)), special.covers(&address));
                }
                Ok(())
            })?;
        }
    }
}
