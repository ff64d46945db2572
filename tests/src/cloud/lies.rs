//! Fault injection into the API: denied permissions, flow control, stale answers, lost pages.
//!
//! `deny`, `stale` and `drop_page` affect RAM roles (the agents, the collector), as RAM policies do. The account's own
//! master key sees the true state, so a scenario's steps and repairs work on what really exists. `throttle` applies per
//! account to the reads of every caller, and to writes only if they are named.

use serde::Deserialize;

/// All actions, or those that match a pattern: `ecs:DescribeInstances`, `ecs:*`, `*`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Actions {
    /// All actions if true, none if false.
    All(bool),
    /// The actions that match one of these patterns.
    Only(Vec<String>),
}

impl Default for Actions {
    fn default() -> Self {
        Self::All(false)
    }
}

impl Actions {
    fn hits(&self, product: &str, action: &str) -> bool {
        match self {
            Self::All(all) => *all,
            Self::Only(patterns) => matches_any(patterns, product, action),
        }
    }

    fn names(&self, product: &str, action: &str) -> bool {
        matches!(self, Self::Only(_)) && self.hits(product, action)
    }

    fn merged(self, other: Self) -> Self {
        match (self, other) {
            (Self::All(true), _) | (_, Self::All(true)) => Self::All(true),
            (Self::All(false), other) => other,
            (one, Self::All(false)) => one,
            (Self::Only(mut one), Self::Only(other)) => {
                one.extend(other);
                Self::Only(one)
            }
        }
    }
}

/// Faults injected into the API of one account.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lies {
    /// Patterns of actions that RAM refuses.
    pub deny: Vec<String>,
    /// Actions that flow control refuses.
    pub throttle: Actions,
    /// Age in seconds of the state that answers show; never older than the baseline.
    pub stale: Option<u64>,
    /// Listings that lose one page.
    pub drop_page: Actions,
    /// Whether rules that name a group of another VPC are stored instead of refused.
    pub legacy_sg_auth: bool,
    /// Not a fault but latency: how long each transitional state of the account's objects lasts, in seconds.
    pub pace: Option<f64>,
}

impl Lies {
    pub(super) fn denies(&self, product: &str, action: &str) -> bool {
        matches_any(&self.deny, product, action)
    }

    pub(super) fn throttles(&self, product: &str, action: &str, writes: bool) -> bool {
        if writes { self.throttle.names(product, action) } else { self.throttle.hits(product, action) }
    }

    pub(super) fn drops_page(&self, product: &str, action: &str) -> bool {
        self.drop_page.hits(product, action)
    }

    pub(super) fn merged(mut self, other: Self) -> Self {
        self.deny.extend(other.deny);
        Self {
            deny: self.deny,
            throttle: self.throttle.merged(other.throttle),
            stale: other.stale.or(self.stale),
            drop_page: self.drop_page.merged(other.drop_page),
            legacy_sg_auth: self.legacy_sg_auth || other.legacy_sg_auth,
            pace: other.pace.or(self.pace),
        }
    }
}

fn matches_any(patterns: &[String], product: &str, action: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.split_once(':') {
        Some((wanted, name)) => wanted.eq_ignore_ascii_case(product) && matches_name(name, action),
        None => matches_name(pattern, action),
    })
}

fn matches_name(pattern: &str, action: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => action.starts_with(start),
        None => pattern == action,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_products_and_beginnings() {
        let lies = Lies { deny: vec!["ecs:Describe*".to_owned(), "vpc:DescribeVpcs".to_owned()], ..Lies::default() };
        assert!(lies.denies("ecs", "DescribeInstances"));
        assert!(!lies.denies("vpc", "DescribeVSwitches"));
        assert!(lies.denies("vpc", "DescribeVpcs"));
    }

    #[test]
    fn writes_are_throttled_only_when_named() {
        let all = Lies { throttle: Actions::All(true), ..Lies::default() };
        assert!(all.throttles("vpc", "DescribeVpcs", false));
        assert!(!all.throttles("vpc", "CreateVpc", true));
        let read: Lies = toml::from_str("throttle = [\"vpc:CreateVpc\"]\nstale = 5").expect("lies");
        assert!(read.throttles("vpc", "CreateVpc", true));
        assert_eq!(read.stale, Some(5));
    }
}
