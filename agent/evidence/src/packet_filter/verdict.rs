//! What ends the evaluation of a rule.

use serde::{Deserialize, Serialize};

/// What a rule decides about a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The packet leaves this base chain and goes on to the next one at the hook.
    Accept,
    /// The packet is dropped silently.
    Drop,
    /// Evaluation goes on with the next rule.
    Continue,
    /// Evaluation goes on behind the jump that led to this chain; in a base chain, its policy applies.
    Return,
    /// Evaluation goes on in another chain of the table, and comes back.
    Jump(String),
    /// Evaluation goes on in another chain of the table, and does not come back to this one.
    Goto(String),
    /// Another code of the kernel, such as `NF_STOLEN` (2).
    Other(i32),
}

/// The error that a rejecting rule sends to the sender of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reject {
    /// ICMP destination unreachable (type 3) with this code.
    Icmp(u8),
    /// ICMPv6 destination unreachable (type 1) with this code.
    Icmpv6(u8),
    /// Either, by the packet's family: 0 no route, 1 port unreachable, 2 host unreachable, 3 prohibited
    /// (`NFT_REJECT_ICMPX_*`).
    Icmpx(u8),
    /// A TCP segment with RST.
    TcpReset,
}
