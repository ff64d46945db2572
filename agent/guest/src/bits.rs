//! A number of which some bits may be unknown.

use crate::Maybe;
use std::net::IpAddr;

/// A number of up to 128 bits of which some bits may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    value: u128,
    known: u128,
}

impl Bits {
    /// A number of which nothing is known.
    pub const UNKNOWN: Self = Self { value: 0, known: 0 };

    /// A known number.
    pub const fn exactly(value: u128) -> Self {
        Self { value, known: u128::MAX }
    }

    /// A number of which the bits set in `known` are those of `value`.
    pub const fn partly(value: u128, known: u128) -> Self {
        Self { value: value & known, known }
    }

    /// The number, if it is known or not given.
    pub fn of(value: Option<impl Into<u128>>) -> Self {
        value.map_or(Self::UNKNOWN, |value| Self::exactly(value.into()))
    }

    /// An address as a number.
    pub fn of_address(address: Option<IpAddr>) -> Self {
        address.map_or(Self::UNKNOWN, |address| Self::exactly(number(address)))
    }

    /// The number, if all of it is known.
    pub fn exact(self) -> Option<u128> {
        (self.known == u128::MAX).then_some(self.value)
    }

    /// Only the bits that are set in `mask`; the others are zero.
    #[must_use]
    pub fn masked(self, mask: u128) -> Self {
        Self { value: self.value & mask, known: self.known | !mask }
    }

    /// `length` bits of it behind the first `offset` of `of`, counted from the most significant.
    #[must_use]
    pub fn part(self, of: u32, offset: u32, length: u32) -> Self {
        let Some(shift) = of.checked_sub(offset).and_then(|left| left.checked_sub(length)) else {
            return Self::UNKNOWN;
        };
        let shifted = |bits: u128| bits.checked_shr(shift).unwrap_or_default();
        let mask = 1_u128.checked_shl(length).map_or(u128::MAX, |bit| bit - 1);
        Self { value: shifted(self.value) & mask, known: shifted(self.known) | !mask }
    }

    /// What is known of a number that is one of two.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let known = self.known & other.known & !(self.value ^ other.value);
        Self { value: self.value & known, known }
    }

    /// Whether it equals a number.
    pub fn equals(self, number: u128) -> Maybe {
        if (self.value ^ number) & self.known != 0 {
            Maybe::No
        } else if self.known == u128::MAX {
            Maybe::Surely
        } else {
            Maybe::Perhaps
        }
    }

    /// Whether it is between two numbers, both included.
    pub fn is_within(self, first: u128, last: u128) -> Maybe {
        // The smallest and the largest number that it may be.
        let (low, high) = (self.value, self.value | !self.known);
        if high < first || low > last {
            Maybe::No
        } else if low >= first && high <= last {
            Maybe::Surely
        } else {
            Maybe::Perhaps
        }
    }
}

/// An address as a number.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}
