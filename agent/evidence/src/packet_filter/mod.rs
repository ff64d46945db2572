//! The packet filter of a guest, typed: what nftables rules compare, and what they do with a packet.
//!
//! The agent decodes the kernel's expressions into these types, the verdict engine evaluates them, and `text` prints
//! them for the reader in the syntax of nft. Whatever is not understood is [`Field::NotUnderstood`],
//! [`Source::NotUnderstood`] or [`Statement::NotUnderstood`], with the name of the expression (`numgen`), and `xt` with
//! the name of the extension for the matches and targets of xtables (`xt recent`). Nothing is judged here.
//!
//! Semantics: `nft(8)` and `linux/netfilter/nf_tables.h`. Types are closed but for names that a later kernel may add.

mod condition;
mod fact;
mod field;
mod place;
mod rule_set;
mod set;
mod statement;
mod text;
mod value;
mod verdict;

pub use condition::{Comparison, Condition, Operand, Test};
pub use fact::{FirewallFact, FirewallRule, FirewallVerdict};
pub use field::{CtDirection, CtKey, FibResult, Field, PayloadBase};
pub use place::{Family, FirewallHook};
pub use rule_set::{BaseChain, Chain, ChainKind, LEGACY_PREFIX, Rule, RuleSet, Set, Table};
pub use set::{Data, Element, SetRef};
pub use statement::{Limit, LimitUnit, Nat, NatKind, ObjectKind, Source, SourceRange, Statement};
pub use value::{Span, Value};
pub use verdict::{Reject, Verdict};

#[cfg(test)]
mod tests;
