//! Blocks of addresses. Overlap and containment are decided here and nowhere else.
//!
//! [`Cidr::parse`] refuses host bits and reports the network that was probably meant. [`Cidr::parse_masked`] is for
//! values from the vendor's API, which may have host bits or be bare addresses (`SEMANTICS.md` §1.2, §2.2).

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr, str::FromStr};

/// A block of IPv4 or IPv6 addresses without host bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr(IpNet);

/// Why a text is not a block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not of the form `address/length`.
    #[error("\"{0}\" is not a CIDR block; write it as 192.168.0.0/16")]
    Malformed(String),
    /// The address has bits beyond the prefix length.
    #[error("\"{given}\" has host bits set; probably {meant} was meant")]
    HostBits {
        /// The text as given.
        given: String,
        /// The network that contains the given address.
        meant: Cidr,
    },
}

impl Cidr {
    /// Parses `address/length`; a bare address is a block of one address.
    ///
    /// # Errors
    /// [`CidrError::Malformed`] if the text is neither an address nor a CIDR block. [`CidrError::HostBits`], with the
    /// network that was probably meant, if the address has bits set beyond the prefix length.
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        let net = read(text)?;
        if net.addr() == net.network() {
            return Ok(Self(net));
        }
        Err(CidrError::HostBits { given: text.to_owned(), meant: Self(net.trunc()) })
    }

    /// Parses like [`Cidr::parse`], but clears host bits instead of refusing them.
    ///
    /// # Errors
    /// [`CidrError::Malformed`] if the text is neither an address nor a CIDR block.
    pub fn parse_masked(text: &str) -> Result<Self, CidrError> {
        read(text).map(|net| Self(net.trunc()))
    }

    /// The block that contains only this address.
    pub fn host(address: IpAddr) -> Self {
        Self(IpNet::from(address))
    }

    /// The block of `prefix_length` bits that contains `address`; the length is limited to 32 for IPv4 and 128 for
    /// IPv6.
    pub fn around(address: IpAddr, prefix_length: u8) -> Self {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let net = IpNet::new(address, prefix_length.min(longest)).unwrap_or_else(|_| IpNet::from(address));
        Self(net.trunc())
    }

    /// First address of the block.
    pub fn network(&self) -> IpAddr {
        self.0.network()
    }

    /// Last address of the block.
    pub fn last(&self) -> IpAddr {
        self.0.broadcast()
    }

    /// Number of leading bits fixed by the block.
    pub fn prefix_length(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether `address` lies in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// Whether every address of `other` lies in this block.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether the two blocks have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// Whether this is an IPv4 block.
    pub fn is_ipv4(&self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }
}

fn read(text: &str) -> Result<IpNet, CidrError> {
    let text = text.trim();
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| CidrError::Malformed(text.to_owned()))
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;
    fn from_str(text: &str) -> Result<Self, CidrError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;
    fn try_from(text: String) -> Result<Self, CidrError> {
        Self::parse(&text)
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn host_bits_are_refused_with_the_network_probably_meant() {
        let error = Cidr::parse("192.168.1.10/16").unwrap_err();
        assert_eq!(error.to_string(), "\"192.168.1.10/16\" has host bits set; probably 192.168.0.0/16 was meant");
        assert_eq!(Cidr::parse_masked("192.168.1.10/16").unwrap().to_string(), "192.168.0.0/16");
    }

    #[test]
    fn a_bare_address_is_a_block_of_one() {
        assert_eq!(Cidr::parse("10.0.0.1").unwrap().to_string(), "10.0.0.1/32");
        assert_eq!(Cidr::parse("fd00::1").unwrap().prefix_length(), 128);
    }

    #[test]
    fn families_never_overlap() {
        assert!(!Cidr::parse("0.0.0.0/0").unwrap().overlaps(&Cidr::parse("::/0").unwrap()));
    }

    proptest! {
        #[test]
        fn overlap_is_containment_one_way_or_the_other(a: u32, la in 0u8..=32, b: u32, lb in 0u8..=32) {
            let (x, y) = (Cidr::around(IpAddr::from(a.to_be_bytes()), la), Cidr::around(IpAddr::from(b.to_be_bytes()), lb));
            let common = la.min(lb);
            let same_bits = common == 0 || (a ^ b) >> (32 - u32::from(common)) == 0;
            prop_assert_eq!(x.overlaps(&y), same_bits);
            prop_assert_eq!(x.overlaps(&y), y.overlaps(&x));
            prop_assert_eq!(Cidr::parse(&x.to_string()).unwrap(), x);
        }

        #[test]
        fn any_text_is_answered_without_panic(text in ".{0,60}") {
            let _ = Cidr::parse(&text);
        }
    }
}
