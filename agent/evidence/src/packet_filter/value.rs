//! Constants that a rule compares with, and spans of them.

use crate::Cidr;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A constant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A number, whatever its byte order in the packet or in the kernel.
    Number(u64),
    /// An address.
    Address(IpAddr),
    /// Every address of a block. Compared only by [`crate::packet_filter::Comparison::Eq`] and `Ne`.
    Prefix(Cidr),
    /// A name, such as that of an interface.
    Name(String),
    /// Every name that begins with this one (`eth*`).
    NameStart(String),
    /// Bytes as lower-case hexadecimal digits, two per byte, in the order of the packet: hardware addresses, and values
    /// of more than 8 bytes whose meaning is not known.
    Bytes(String),
}

/// One value, or all values between two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// One value.
    One(Value),
    /// All values from the first to the last, both included.
    Range {
        /// The first value.
        first: Value,
        /// The last value.
        last: Value,
    },
    /// Any value: the catch-all element `*` of a set, which counts where no other element does.
    Any,
}
