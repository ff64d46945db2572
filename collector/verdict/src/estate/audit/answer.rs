//! What an audit asks and answers, as it is printed in JSON. Additive changes only; who fills them decides.

use super::super::Stage;
use crate::{CauseCode, GapNote, verdict::Object};
use pingtong_evidence::{Direction, Expectation, Link, LinkId, PortRange, Protocol, Side, VpcId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What is asked about one expectation or forbid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ask {
    /// From which hosts to which, and what.
    pub expectation: Expectation,
    /// The link that it is about; none for whatever joins the hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
}

/// Hosts of one VPC from the first address to the last: all of the set that lie in between.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AuditBlock {
    /// The VPC; none for an address that none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<VpcId>,
    /// First address.
    pub first: IpAddr,
    /// Last address.
    pub last: IpAddr,
    /// How many hosts.
    pub hosts: usize,
}

/// Why flows fail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AuditCause {
    /// Code of `causes.md`.
    pub code: CauseCode,
    /// The side of the link that must act; none inside one VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// Which way packets die of it; none when both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The object.
    pub object: Object,
}

/// Flows from some hosts to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFlows {
    /// From where.
    pub source: Vec<AuditBlock>,
    /// To where.
    pub destination: Vec<AuditBlock>,
    /// Protocol.
    pub protocol: Protocol,
    /// First and last port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<PortRange>,
    /// Which way they are opened, in the link's terms; none inside one VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
}

/// Flows that fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Which.
    #[serde(flatten)]
    pub flows: AuditFlows,
    /// Why.
    pub causes: Vec<AuditCause>,
}

/// Flows of which it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownPart {
    /// Which.
    #[serde(flatten)]
    pub flows: AuditFlows,
    /// What was not read.
    pub gaps: Vec<GapNote>,
}

/// Flows that get through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaking {
    /// Which.
    #[serde(flatten)]
    pub flows: AuditFlows,
    /// What lets them.
    pub by: Vec<Decider>,
}

/// What decides at a stage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Decider {
    /// The stage.
    pub stage: Stage,
    /// The rule, entry, route or link end; the group, ACL or table where its default does.
    pub object: Object,
}

/// How an expectation fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpectationState {
    /// Every flow gets through and back.
    Holds,
    /// Some do not.
    Fails,
    /// None is known to fail, and of some it is not known.
    Unknown,
}

/// How a forbid fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForbidState {
    /// No flow gets through.
    Holds,
    /// Some do.
    Leaks,
    /// None is known to, and of some it is not known.
    Unknown,
}

/// The answer to an expectation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectationAnswer {
    /// What was asked.
    #[serde(flatten)]
    pub asked: Expectation,
    /// The link that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
    /// How it fares.
    pub state: ExpectationState,
    /// Ordered pairs of hosts that were decided.
    pub pairs: u64,
    /// What fails.
    pub failing: Vec<Failing>,
    /// What is not known.
    pub unknown: Vec<UnknownPart>,
}

/// The answer to a forbid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForbidAnswer {
    /// What was asked.
    #[serde(flatten)]
    pub asked: Expectation,
    /// The link that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
    /// How it fares.
    pub state: ForbidState,
    /// Ordered pairs of hosts that were decided.
    pub pairs: u64,
    /// What gets through.
    pub leaking: Vec<Leaking>,
    /// What is not known.
    pub unknown: Vec<UnknownPart>,
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Format version.
    pub schema: u32,
    /// For each expectation.
    pub expectations: Vec<ExpectationAnswer>,
    /// For each forbid.
    pub forbids: Vec<ForbidAnswer>,
    /// What was not read or left out, over all.
    pub gaps: Vec<GapNote>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What scripts read, byte for byte and in this order.
    #[test]
    fn the_documents_are_as_they_always_were() {
        let block = json!([{"vpc": "vpc-a", "first": "10.0.0.1", "last": "10.0.0.9", "hosts": 3}]);
        let flows = |ports: Value, direction: Value| {
            let mut flows = json!({"source": block, "destination": block, "protocol": "tcp"});
            for (key, value) in [("ports", ports), ("direction", direction)] {
                if !value.is_null() {
                    flows[key] = value;
                }
            }
            flows
        };
        for (ports, direction) in [(json!([22, 80]), json!("return")), (Value::Null, Value::Null)] {
            let with = |key: &str| {
                let mut part = flows(ports.clone(), direction.clone());
                part[key] = json!([]);
                part
            };
            let failing: Failing = serde_json::from_value(with("causes")).unwrap();
            let unknown: UnknownPart = serde_json::from_value(with("gaps")).unwrap();
            let leaking: Leaking = serde_json::from_value(with("by")).unwrap();
            let middle = if ports.is_null() { "" } else { r#","ports":[22,80],"direction":"return""# };
            let block = r#"[{"vpc":"vpc-a","first":"10.0.0.1","last":"10.0.0.9","hosts":3}]"#;
            let text = |last: &str| {
                format!(r#"{{"source":{block},"destination":{block},"protocol":"tcp"{middle},"{last}":[]}}"#)
            };
            assert_eq!(serde_json::to_string(&failing).unwrap(), text("causes"));
            assert_eq!(serde_json::to_string(&unknown).unwrap(), text("gaps"));
            assert_eq!(serde_json::to_string(&leaking).unwrap(), text("by"));
        }
    }
}
