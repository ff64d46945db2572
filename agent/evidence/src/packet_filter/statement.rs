//! The parts of a rule, in their order: conditions, and what is done with a packet that met all earlier ones.

use super::{
    condition::{Condition, Operand},
    field::Field,
    place::Family,
    set::SetRef,
    value::Value,
    verdict::{Reject, Verdict},
};
use serde::{Deserialize, Serialize};

/// One part of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statement {
    /// Goes on with the next part only if the condition holds.
    Match(Condition),
    /// Goes on only within, or beyond, a rate.
    Limit(Limit),
    /// Goes on only until, or after, a number of bytes.
    Quota {
        /// The number of bytes.
        bytes: u64,
        /// Whether it goes on after them instead of until then.
        over: bool,
    },
    /// Goes on only up to, or beyond, a number of connections.
    ConnectionLimit {
        /// The number of connections.
        count: u32,
        /// Whether it goes on beyond them.
        over: bool,
    },
    /// Writes a field: a mark, or a part of the packet.
    Assign {
        /// What is written.
        field: Field,
        /// What it becomes.
        to: Source,
    },
    /// Translates addresses or ports; ends the evaluation of the chain like [`Verdict::Accept`].
    Nat(Box<Nat>),
    /// Decides.
    Verdict(Verdict),
    /// Decides by a map; goes on if the map has no element for the packet.
    VerdictMap {
        /// The key.
        operands: Vec<Operand>,
        /// The map.
        map: SetRef,
    },
    /// Drops, and sends an error to the sender.
    Reject(Reject),
    /// Hands the packet to a program.
    Queue {
        /// Number of the first queue.
        first: u16,
        /// Number of the last queue; the packet goes to one of them.
        last: u16,
        /// Whether the packet passes while no program listens; otherwise it is dropped then.
        bypass: bool,
    },
    /// Takes the packet out of connection tracking.
    NoTrack,
    /// Counts. No condition.
    Counter,
    /// Logs. No condition.
    Log,
    /// Uses a stateful object of the table.
    Object {
        /// Kind of the object.
        kind: ObjectKind,
        /// Its name.
        name: String,
    },
    /// An expression, or an extension of xtables, that is not understood. It may be a condition, and it may decide.
    NotUnderstood {
        /// Name of the expression, or `xt` with the name of the extension.
        name: String,
    },
}

impl Statement {
    /// Whether it lets a rule match at a limited rate only.
    pub fn is_limited(&self) -> bool {
        match self {
            Self::Limit(_) | Self::Quota { .. } | Self::ConnectionLimit { .. } => true,
            Self::Object { kind, .. } => {
                matches!(kind, ObjectKind::Limit | ObjectKind::Quota | ObjectKind::ConnectionLimit)
            }
            Self::NotUnderstood { name } => name.starts_with("xt ") && name.contains("limit"),
            _ => false,
        }
    }
}

/// A rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Limit {
    /// What is counted.
    pub unit: LimitUnit,
    /// How many of them.
    pub rate: u64,
    /// In this many seconds.
    pub per_seconds: u64,
    /// How many more pass at once.
    pub burst: u32,
    /// Whether the rule goes on beyond the rate instead of within it.
    pub over: bool,
}

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitUnit {
    /// Packets.
    Packets,
    /// Bytes.
    Bytes,
}

/// A translation of addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Nat {
    /// What is translated.
    pub kind: NatKind,
    /// Family of the address; `None` if the rule leaves it open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// The new address; `None` if it stays, or if the kernel chooses it (masquerade, redirect).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SourceRange>,
    /// The new port; `None` if it stays where that is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<SourceRange>,
}

/// What a translation changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NatKind {
    /// The source.
    Snat,
    /// The destination.
    Dnat,
    /// The source, to the address of the output interface.
    Masquerade,
    /// The destination, to this host.
    Redirect,
}

/// Where a written value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A constant.
    Value(Value),
    /// A field.
    Field(Operand),
    /// A map.
    Map {
        /// The key.
        operands: Vec<Operand>,
        /// The map.
        map: SetRef,
        /// Which of the values that the map gives, from zero.
        #[serde(default)]
        part: u32,
    },
    /// A computation that is not understood.
    NotUnderstood {
        /// Name of the expression that computes.
        name: String,
    },
}

/// A value, or one of those between two.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceRange {
    /// The first value.
    pub first: Source,
    /// The last value; equal to the first if there is only one.
    pub last: Source,
}

/// Kind of a stateful object (`NFT_OBJECT_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A counter. No condition.
    Counter,
    /// A quota.
    Quota,
    /// A helper of connection tracking. No condition.
    CtHelper,
    /// A rate.
    Limit,
    /// A number of connections.
    ConnectionLimit,
    /// Time-outs of connection tracking. No condition.
    CtTimeout,
    /// An expectation of connection tracking. No condition.
    CtExpectation,
    /// A proxy for TCP handshakes.
    Synproxy,
    /// Another kind.
    #[serde(other)]
    Other,
}
