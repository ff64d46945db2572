//! Tables, chains and rules of the whole packet filter.

use super::{
    place::{Family, FirewallHook},
    set::Element,
    statement::Statement,
};
use crate::Policy;
use serde::{Deserialize, Serialize};

/// The whole packet filter of a network namespace, as nftables shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct RuleSet {
    /// Tables by family and name.
    pub tables: Vec<Table>,
    /// Number of rules that are not listed because of [`RuleSet::RULES_MAX`]; zero means that the set is complete.
    #[serde(default)]
    pub rules_omitted: u64,
}

impl RuleSet {
    /// Maximum number of rules of all chains. A host with more has its further rules counted, not listed: 20,000 rules
    /// are a few megabytes of JSON, near what one report may have.
    pub const RULES_MAX: usize = 20_000;
}

/// Begins the name of a table of legacy iptables (`legacy:filter`). The handles of its rules are their positions, from 1.
pub const LEGACY_PREFIX: &str = "legacy:";

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Table {
    /// Family.
    pub family: Family,
    /// Name, unique in its family.
    pub name: String,
    /// Whether its base chains are switched off.
    #[serde(default)]
    pub dormant: bool,
    /// Chains in the kernel's order.
    #[serde(default)]
    pub chains: Vec<Chain>,
    /// Named sets and maps.
    #[serde(default)]
    pub sets: Vec<Set>,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Chain {
    /// Name, unique in its table.
    pub name: String,
    /// Where packets enter it; `None` for a regular chain, which only jumps and gotos lead to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseChain>,
    /// Rules in the order of evaluation.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// Where packets enter a base chain, and what happens to those that no rule decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BaseChain {
    /// Type of the chain.
    pub kind: ChainKind,
    /// The hook.
    pub hook: FirewallHook,
    /// Chains of one hook are passed from the lowest to the highest priority.
    pub priority: i32,
    /// What happens at the end of the chain.
    pub policy: Policy,
    /// Interfaces of a chain at `ingress` or `egress`; empty for other hooks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
}

/// Type of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainKind {
    /// Filters.
    Filter,
    /// Translates addresses: only the first packet of a connection passes it.
    Nat,
    /// Routes a packet again if its header or mark was changed.
    Route,
    /// A type that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A rule. Its statements apply from the first to the last, until one does not hold or decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// Handle, unique in its table.
    pub handle: u64,
    /// What the rule does; at most 128 statements (`NFT_RULE_MAXEXPRS`).
    pub statements: Vec<Statement>,
}

/// A named set or map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Set {
    /// Name, unique in its table.
    pub name: String,
    /// Elements; `None` if they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elements: Option<Vec<Element>>,
    /// Whether elements come and go by themselves: by a time-out, or added by rules.
    #[serde(default)]
    pub dynamic: bool,
}
