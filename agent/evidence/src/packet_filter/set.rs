//! Sets and maps: named ones and those written in a rule.

use super::{
    value::{Span, Value},
    verdict::Verdict,
};
use serde::{Deserialize, Serialize};

/// A set or map that a rule searches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SetRef {
    /// Name of the set in the rule's table. Those written in a rule are named by the kernel (`__set0`, `__map0`).
    pub name: String,
    /// Elements of a set written in the rule; `None` for a named set, whose elements are with its table, and if they
    /// were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elements: Option<Vec<Element>>,
}

/// One element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Element {
    /// One span per operand of the lookup.
    pub key: Vec<Span>,
    /// What a map gives for the key; `None` in a set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
}

/// What a map gives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// One value, or several of a concatenation (an address and a port).
    Values(Vec<Value>),
    /// A verdict.
    Verdict(Verdict),
    /// A stateful object by its name: a counter, a limit.
    Object(String),
}
