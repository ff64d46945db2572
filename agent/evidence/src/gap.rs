//! What could not be read, and why.
//!
//! [`Known`] holds a value or the reason why it was not read; [`Gap`] records a failed read of configuration. A gap is
//! never a fault and never means "no problem".

use crate::{AccountId, RegionId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A value that was read, or the reason why it was not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known<T> {
    /// It was read.
    Known(T),
    /// It was not read, for this reason. Unknown does not mean absent.
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

    /// The reason, if the value is unknown.
    pub fn why_unknown(&self) -> Option<&WhyUnknown> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(why) => Some(why),
        }
    }
}

impl<T> Default for Known<T> {
    /// Not asked: a value that nothing has read is unknown, not empty.
    fn default() -> Self {
        Self::Unknown(WhyUnknown::NotAsked)
    }
}

/// Why something is not known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyUnknown {
    /// No attempt was made to read it.
    NotAsked,
    /// The account's permissions refuse it.
    Denied {
        /// The RAM action to grant, such as `ecs:DescribeSecurityGroupAttribute`.
        action: String,
        /// The vendor's error code, such as `Forbidden.RAM`.
        code: String,
        /// The vendor's request id; empty if there is none.
        request_id: String,
    },
    /// The API still throttled the call after all retries.
    Throttled {
        /// The action that was called.
        action: String,
    },
    /// No answer came.
    Unreachable {
        /// The API action or the file.
        action: String,
        /// Error message of the transport.
        message: String,
    },
    /// An answer came, but could not be parsed or exceeded a limit.
    Malformed {
        /// The API action or the file.
        action: String,
        /// What was wrong with the answer.
        message: String,
    },
    /// The API answered with another error.
    Refused {
        /// The action that was called.
        action: String,
        /// The vendor's error code.
        code: String,
        /// The vendor's request id; empty if there is none.
        request_id: String,
    },
    /// The host has no such facility, or the agent lacks the capability to look.
    NotPermitted {
        /// The operation that was attempted.
        what: String,
        /// What would permit it, such as a `setcap` command.
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

/// The cause codes that name a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapCode {
    /// There is no snapshot of one account.
    AccountNotVisible,
    /// An API action was refused or failed.
    ConfigDenied,
    /// A snapshot is older than the probes, or the configuration changed within the settling time.
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

/// One item of configuration that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// Account whose configuration was requested.
    pub account: AccountId,
    /// Region of the request.
    pub region: RegionId,
    /// The RAM action, such as `vpc:DescribeVSwitches`.
    pub action: String,
    /// The object that the call named, if it named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Why it is not known.
    pub why: WhyUnknown,
    /// When the last attempt ended.
    pub at: Timestamp,
}
