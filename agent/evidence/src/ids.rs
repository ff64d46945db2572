//! Identifiers, one type each, so that two of them cannot be swapped by mistake.
//!
//! An id is parsed once, where it enters the program, and displayed exactly as read. No code draws conclusions from its
//! spelling: prefixes such as `ri-` are the vendor's habit, not a contract (`API.md` §1.7).

use crate::redact::{Redact, Redactor};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Maximum length of an id in bytes. The vendor's longest is about 40; the limit keeps hostile input small.
const ID_BYTES_MAX: usize = 128;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("an id is empty")]
    Empty,
    /// The text is longer than 128 bytes.
    #[error("an id has {0} bytes; at most {ID_BYTES_MAX} are accepted")]
    TooLong(usize),
    /// The text contains white space or a control character.
    #[error("id \"{0}\" contains white space or a control character")]
    Character(String),
}

fn checked(text: &str) -> Result<String, IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong(text.len()));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(IdError::Character(text.escape_debug().to_string()));
    }
    Ok(text.to_owned())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Reads an id.
            ///
            /// # Errors
            /// [`IdError`] when the text is empty, longer than 128 bytes, or has white space or control characters.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                checked(text).map(Self)
            }

            /// The id as it was read.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl Redact for $name {
            fn redact(&self, by: &Redactor<'_>) -> Self {
                Self(by.id(&self.0))
            }
        }
    )+};
}

ids! {
    /// An Alibaba Cloud account (the main account's numeric uid, as text).
    AccountId;
    /// A region such as `cn-qingdao`.
    RegionId;
    /// A zone such as `cn-qingdao-b`.
    ZoneId;
    /// A VPC, `vpc-…`.
    VpcId;
    /// A vSwitch, `vsw-…`.
    VSwitchId;
    /// A VPC's router (vRouter), `vrt-…`, or a virtual border router, `vbr-…`.
    RouterId;
    /// A route table, `vtb-…`.
    RouteTableId;
    /// A route entry, `rte-…`.
    RouteEntryId;
    /// A router interface, `ri-…`.
    RouterInterfaceId;
    /// A VPC peering connection of the newer product, `pcc-…`.
    VpcPeeringId;
    /// A transit router, `tr-…`.
    TransitRouterId;
    /// A transit router attachment, `tr-attach-…`.
    AttachmentId;
    /// A network ACL, `nacl-…`.
    NetworkAclId;
    /// One entry of a network ACL, `nae-…`.
    NetworkAclEntryId;
    /// A security group, `sg-…`.
    SecurityGroupId;
    /// A security group rule, `sgr-…`.
    SecurityRuleId;
    /// A prefix list, `pl-…`.
    PrefixListId;
    /// An ECS instance, `i-…`.
    InstanceId;
    /// An elastic network interface, `eni-…`.
    EniId;
    /// Any cloud object, where only its identity matters: what a cause blames, what an evidence line names.
    ObjectId;
    /// An agent, named at enrolment.
    AgentId;
    /// A link between two VPCs, named in the collector's settings.
    LinkId;
    /// A probed pair of one link, named by the collector.
    PairId;
    /// A report. The agent generates the id (UUIDv7), so that a resent report keeps it.
    ReportId;
    /// A request for fresh evidence. Evidence that answers the request carries the tag, so that freshness does not need
    /// synchronised clocks.
    RequestTag;
}

macro_rules! object_ids {
    ($($name:ident)+) => {$(
        impl From<&$name> for ObjectId {
            fn from(id: &$name) -> Self {
                Self(id.0.clone())
            }
        }
    )+};
}
object_ids! {
    AccountId VpcId VSwitchId RouterId RouteTableId RouteEntryId RouterInterfaceId VpcPeeringId TransitRouterId
    AttachmentId NetworkAclId NetworkAclEntryId SecurityGroupId SecurityRuleId PrefixListId InstanceId EniId AgentId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_displays_exactly_the_text_read() {
        let text = "ri-m5e33r3n78zyi5573kf85";
        assert_eq!(RouterInterfaceId::parse(text).unwrap().to_string(), text);
        assert_eq!(serde_json::to_string(&VpcId::parse("vpc-1").unwrap()).unwrap(), "\"vpc-1\"");
    }

    #[test]
    fn refuses_empty_long_and_spaced_text() {
        assert_eq!(VpcId::parse(""), Err(IdError::Empty));
        assert_eq!(VpcId::parse(&"x".repeat(129)), Err(IdError::TooLong(129)));
        assert!(matches!(VpcId::parse("vpc 1"), Err(IdError::Character(_))));
        assert!(serde_json::from_str::<VpcId>("\"a\\nb\"").is_err());
    }
}
