//! How an API can fail its reader: permissions, flow control, old answers, lost pages.
//!
//! Who is hit: `deny`, `stale` and `drop_page` hit RAM roles (the agents, the collector), as RAM policies do; the
//! account's own master key sees the truth, so a scenario's steps and repairs work on what is really there.
//! `throttle` is per account and hits reads of everybody; writes only when named.

use serde::Deserialize;

/// All actions, or those that match a pattern: `ecs:DescribeInstances`, `ecs:*`, `*`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Actions {
    /// All, or none.
    All(bool),
    /// Those named.
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

/// What the API of one account does to its readers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lies {
    /// Refused by RAM.
    pub deny: Vec<String>,
    /// Refused by flow control.
    pub throttle: Actions,
    /// Answers are as of so many seconds ago; never older than the baseline.
    pub stale: Option<u64>,
    /// One page of a listing is lost.
    pub drop_page: Actions,
    /// Group-sourced rules across VPCs are stored instead of refused.
    pub legacy_sg_auth: bool,
    /// No lie, but a cloud that takes its time: seconds that each passing state of the account's objects lasts.
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
