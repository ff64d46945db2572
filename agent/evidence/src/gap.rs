//! What could not be looked at, and why. A gap is never a fault and never reads as "fine".

use crate::{AccountId, RegionId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A value that was read, or the reason why it was not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known<T> {
    /// It was read.
    Known(T),
    /// It was not, and this is why. Missing is not absent.
    Unknown(WhyUnknown),
}

impl<T> Known<T> {
    /// The value, when it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// The reason, when it is not.
    pub fn why_unknown(&self) -> Option<&WhyUnknown> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(why) => Some(why),
        }
    }
}

impl<T> Default for Known<T> {
    /// Not asked: what nobody read is unknown, not empty.
    fn default() -> Self {
        Self::Unknown(WhyUnknown::NotAsked)
    }
}

/// Why something is not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyUnknown {
    /// Nobody tried.
    NotAsked,
    /// The account's permissions refuse it.
    Denied {
        /// The RAM action to grant, such as `ecs:DescribeSecurityGroupAttribute`.
        action: String,
        /// The vendor's error code, such as `Forbidden.RAM`.
        code: String,
        /// The vendor's request id, empty when none came.
        request_id: String,
    },
    /// The API kept refusing for flow control after all retries.
    Throttled {
        /// The action that was called.
        action: String,
    },
    /// No answer came.
    Unreachable {
        /// The action or file.
        action: String,
        /// What the transport said.
        message: String,
    },
    /// An answer came and could not be understood, or broke a bound.
    Malformed {
        /// The action or file.
        action: String,
        /// What was wrong.
        message: String,
    },
    /// The API answered with another error.
    Refused {
        /// The action that was called.
        action: String,
        /// The vendor's error code.
        code: String,
        /// The vendor's request id, empty when none came.
        request_id: String,
    },
    /// The host has no such facility, or the agent lacks the capability to look.
    NotPermitted {
        /// What was tried.
        what: String,
        /// What would permit it.
        closes_with: String,
    },
}

impl fmt::Display for WhyUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("nobody looked"),
            Self::Denied { action, code, .. } => write!(f, "{action} was refused with {code}"),
            Self::Throttled { action } => write!(f, "{action} was throttled to the last retry"),
            Self::Unreachable { action, message } => write!(f, "{action} got no answer: {message}"),
            Self::Malformed { action, message } => write!(f, "{action} gave an answer that cannot be read: {message}"),
            Self::Refused { action, code, .. } => write!(f, "{action} failed with {code}"),
            Self::NotPermitted { what, .. } => write!(f, "{what} is not permitted"),
        }
    }
}

/// The codes of `causes.md` that name a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapCode {
    /// No snapshot of one account at all.
    AccountNotVisible,
    /// An API action was refused or failed.
    ConfigDenied,
    /// A snapshot is older than the probes, or changed within the settling time.
    ConfigStale,
    /// An agent may not open the sockets that it needs.
    ProbeNotPermitted,
    /// No report from an agent.
    AgentSilent,
    /// Two clocks disagree.
    ClockSkew,
}

impl GapCode {
    /// The code as users and scripts write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccountNotVisible => "account-not-visible",
            Self::ConfigDenied => "config-denied",
            Self::ConfigStale => "config-stale",
            Self::ProbeNotPermitted => "probe-not-permitted",
            Self::AgentSilent => "agent-silent",
            Self::ClockSkew => "clock-skew",
        }
    }
}

impl fmt::Display for GapCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that a gather could not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// Whose configuration.
    pub account: AccountId,
    /// In which region.
    pub region: RegionId,
    /// The RAM action, such as `vpc:DescribeVSwitches`.
    pub action: String,
    /// The object asked about, when the call names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Why it is not known.
    pub why: WhyUnknown,
    /// When the last try ended.
    pub at: Timestamp,
}
