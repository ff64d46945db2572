//! Errors of calls to the cloud, and the reason that each one leaves in a snapshot.
//!
//! An error keeps HTTP status, vendor code, request id, action, account and region, and names the permission to grant.
//! Codes are classified by `API.md` §5; the misspelt codes are the service's own.

use pingtong_evidence::{AccountId, RegionId, WhyUnknown};
use std::fmt;

/// Why a client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The text is not a base address.
    #[error("\"{0}\" is not a base address; write it as http://100.100.0.2 or https://host:port")]
    Address(String),
    /// The HTTP client could not be created.
    #[error("cannot make an HTTP client; for https the system's certificates must be installed (ca-certificates)")]
    Http(#[source] reqwest::Error),
}

/// Identifies the call that an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallName {
    /// The RAM action, such as `vpc:DescribeVpcs`.
    pub action: String,
    /// Account whose credentials signed the call.
    pub account: AccountId,
    /// Region of the call.
    pub region: RegionId,
}

impl fmt::Display for CallName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of account {} in {}", self.action, self.account, self.region)
    }
}

/// An error answer of the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The refused call.
    pub call: CallName,
    /// HTTP status.
    pub status: u16,
    /// Vendor code, such as `Forbidden.RAM`; `HTTP 502` and the like if the answer has no code.
    pub code: String,
    /// Vendor message.
    pub message: String,
    /// Vendor request id, possibly empty.
    pub request_id: String,
    /// The RAM action to grant, if a missing permission is the cause.
    pub permission: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} was refused with \"{}\" (status {}, request {}): {}",
            self.call, self.code, self.status, self.request_id, self.message
        )?;
        match &self.permission {
            Some(action) => write!(f, "; grant \"{action}\" to the role or user that signed it"),
            None => Ok(()),
        }
    }
}

/// Why no credentials are available.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialError {
    /// The instance has no RAM role.
    #[error("the instance has no RAM role; attach one with read permissions")]
    NoRole,
    /// The metadata service, a credentials service or STS did not answer, or asked for a later retry.
    #[error("cannot read credentials from {from}: {what}")]
    Unreachable {
        /// Address of the service.
        from: String,
        /// What happened.
        what: String,
    },
    /// The answer contains no usable credentials.
    #[error("credentials from {from} cannot be used: {what}")]
    Unusable {
        /// Address of the service.
        from: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// A role could not be assumed.
    #[error("cannot assume role \"{role}\": {what}; let the role trust the caller and grant \"sts:AssumeRole\"")]
    Refused {
        /// The role's ARN.
        role: String,
        /// Code and message of the refusal, or what is wrong with the region.
        what: String,
    },
}

impl CredentialError {
    /// Whether a retry may help.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// The reason to record in a snapshot for what `action` could not read.
    pub fn why(&self, action: &str) -> WhyUnknown {
        let action = action.to_owned();
        match self {
            Self::NoRole => WhyUnknown::NotPermitted {
                what: "reading the account's configuration".to_owned(),
                closes_with: "attach a RAM role with read permissions to the instance".to_owned(),
            },
            Self::Unreachable { .. } => WhyUnknown::Unreachable { action, message: self.to_string() },
            Self::Unusable { .. } => WhyUnknown::Malformed { action, message: self.to_string() },
            Self::Refused { .. } => WhyUnknown::Denied {
                action: "sts:AssumeRole".to_owned(),
                code: self.to_string(),
                request_id: String::new(),
            },
        }
    }
}

/// Why a call returned no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The cloud answered with an error.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// No answer arrived.
    #[error("{call} got no answer; check that the endpoint can be reached from here")]
    NoAnswer {
        /// The call that failed.
        call: CallName,
        /// Error of the HTTP transport.
        #[source]
        source: reqwest::Error,
    },
    /// The deadline of the call passed, usually while waiting for the cloud's flow control.
    #[error("{call} was given up when its time ran out")]
    OutOfTime {
        /// The call that failed.
        call: CallName,
    },
    /// The answer cannot be parsed or exceeds a limit.
    #[error("{call} gave an answer that cannot be read: {what}")]
    Unreadable {
        /// The call that failed.
        call: CallName,
        /// What is wrong with the answer.
        what: String,
    },
    /// No credentials are available to sign the call.
    #[error("{call} could not be signed")]
    Credentials {
        /// The call that failed.
        call: CallName,
        /// Why there are no credentials.
        #[source]
        source: CredentialError,
    },
}

/// What can be done about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Wait and retry.
    Wait,
    /// Fetch new credentials and retry.
    NewCredentials,
    /// Correct the clock and retry.
    CorrectClock,
    /// The owner of the account must grant a permission.
    Grant,
    /// No remedy is known: the refusal is final.
    None,
}

/// Codes for objects in transition; the same call succeeds shortly afterwards.
const BUSY: [&str; 7] = [
    "IncorrectRouteEntryStatus",
    "IncorrectVpcStatus",
    "TaskConflict",
    "OperationConflict",
    "SystemBusy",
    "LastTokenProcessing",
    "OperationFailed.DistibuteLock",
];

pub(crate) fn is_throttling(status: u16, code: &str) -> bool {
    status == 429 || code.contains("Throttling")
}

/// Classifies an error answer. The first match decides: 1 flow control, 2 credentials, 3 clock, 4 signature (never a
/// permission, although some products answer 403; only a reused nonce is worth a retry), 5 permission, 6 server failure
/// or an object in transition.
pub(crate) fn remedy(status: u16, code: &str) -> Remedy {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| code.starts_with(prefix));
    if is_throttling(status, code) {
        Remedy::Wait
    } else if starts(&["InvalidSecurityToken", "InvalidAccessKeyId", "SecurityTokenExpired", "MissingSecurityToken"]) {
        Remedy::NewCredentials
    } else if starts(&["InvalidTimeStamp", "IllegalTimestamp"]) {
        Remedy::CorrectClock
    } else if starts(&["SignatureDoesNotMatch", "IncompleteSignature", "UnsupportedHTTPMethod"]) {
        Remedy::None
    } else if starts(&["SignatureNonceUsed"]) {
        Remedy::Wait
    } else if status == 403 || starts(&["Forbidden", "Forbbiden", "NoPermission", "Unauthorized", "AccessDenied"]) {
        Remedy::Grant
    } else if status >= 500 || code == "ServiceUnavailable" || BUSY.contains(&code) || starts(&["IncorrectStatus"]) {
        Remedy::Wait
    } else {
        Remedy::None
    }
}

impl CallError {
    /// The call that failed.
    pub fn call(&self) -> &CallName {
        match self {
            Self::Refused(refusal) => &refusal.call,
            Self::NoAnswer { call, .. }
            | Self::OutOfTime { call }
            | Self::Unreadable { call, .. }
            | Self::Credentials { call, .. } => call,
        }
    }

    /// The reason to record in a snapshot.
    pub fn why(&self) -> WhyUnknown {
        let action = self.call().action.clone();
        match self {
            Self::Refused(refusal) if is_throttling(refusal.status, &refusal.code) => WhyUnknown::Throttled { action },
            Self::Refused(refusal) => {
                let (code, request_id) = (refusal.code.clone(), refusal.request_id.clone());
                match &refusal.permission {
                    Some(permission) => WhyUnknown::Denied { action: permission.clone(), code, request_id },
                    None => WhyUnknown::Refused { action, code, request_id },
                }
            }
            Self::NoAnswer { source, .. } => WhyUnknown::Unreachable { action, message: root(source) },
            Self::OutOfTime { .. } => {
                WhyUnknown::Unreachable { action, message: "no answer within the time given".to_owned() }
            }
            Self::Unreadable { what, .. } => WhyUnknown::Malformed { action, message: what.clone() },
            Self::Credentials { source, .. } => source.why(&action),
        }
    }
}

/// The text of the innermost cause, which is usually the error of the operating system.
pub(crate) fn root(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lead_to_what_helps() {
        for (status, code, expected) in [
            (400, "Throttling.User", Remedy::Wait),
            (503, "ServiceUnavailable", Remedy::Wait),
            (500, "InternalError", Remedy::Wait),
            (400, "TaskConflict", Remedy::Wait),
            (403, "Forbidden.RAM", Remedy::Grant),
            (400, "Forbbiden", Remedy::Grant),
            (403, "NoPermission", Remedy::Grant),
            (403, "SignatureDoesNotMatch", Remedy::None),
            (403, "InvalidSecurityToken.Expired", Remedy::NewCredentials),
            (400, "InvalidTimeStamp.Expired", Remedy::CorrectClock),
            (404, "InvalidRegionId.NotFound", Remedy::None),
        ] {
            assert_eq!(remedy(status, code), expected, "{status} {code}");
        }
    }
}
