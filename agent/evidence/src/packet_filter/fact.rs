//! What a host reports about its packet filter.

use super::{place::FirewallHook, rule_set::RuleSet, statement::Statement};
use crate::Known;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a rule, or a chain's policy, does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirewallVerdict {
    /// Lets through.
    Accept,
    /// Drops silently.
    Drop,
    /// Drops with an error to the sender.
    Reject,
    /// Continues elsewhere: jump, goto, queue.
    Other,
}

/// One rule, or the policy of one base chain, of the guest's packet filter that can refuse a packet.
///
/// Its `Display` is the rule in the syntax of nft, without its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FirewallRule {
    /// nftables family: `ip`, `ip6`, `inet`, `netdev`, `arp`, `bridge`.
    pub family: String,
    /// Name of the table.
    pub table: String,
    /// Name of the chain.
    pub chain: String,
    /// Hook of the base chain that the rule is in or reachable from.
    pub hook: FirewallHook,
    /// Handle of the rule; `None` for the policy of a chain.
    #[serde(default)]
    pub handle: Option<u64>,
    /// Verdict of the rule or policy.
    pub verdict: FirewallVerdict,
    /// IP protocol number that the rule matches; `None` if it matches any protocol, or if the match was not understood.
    #[serde(default)]
    pub protocol: Option<u8>,
    /// Whether the rule matches at a limited rate only.
    #[serde(default)]
    pub limited: bool,
    /// The rule; `None` from an agent that reported only text. Empty for the policy of a chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<Vec<Statement>>,
    /// The rule in the words of an agent that reported no statements, for the reader alone; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// The guest's packet filter: what of it can refuse packets, and all of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FirewallFact {
    /// Every rule and chain policy that drops or rejects.
    pub refusing: Vec<FirewallRule>,
    /// Number of base chains; zero means that no packet filter is configured.
    pub base_chains: u32,
    /// Whether legacy iptables tables are loaded that this listing does not include.
    #[serde(default)]
    pub legacy_tables: bool,
    /// All of it; `None` from an agent that reports only what refuses, and if an earlier report of this agent has it
    /// with the same `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Arc<RuleSet>>,
    /// Identifies the content of `rules` among all that this agent reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Numbers of the netfilter queues for which a program listens.
    #[serde(default)]
    pub queues: Known<Vec<u16>>,
}
