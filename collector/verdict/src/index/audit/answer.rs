//! What an audit asks and answers, in the form that is printed as JSON. Only additive changes are allowed. Makes no
//! decision: the parent module computes the values.

use crate::{CauseCode, GapNote, stage::Stage, verdict::Object};
use pingtong_evidence::{Direction, Expectation, Link, LinkId, PortRange, Protocol, Side, VpcId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A question about one expectation or forbid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ask {
    /// Source and destination hosts, protocol and ports.
    pub expectation: Expectation,
    /// The link that the question is about; `None` for any connection between the hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
}

/// Hosts of one VPC from the first address to the last: all hosts of the set in that range.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AuditBlock {
    /// The VPC; `None` if no VPC is known to have the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc: Option<VpcId>,
    /// First address.
    pub first: IpAddr,
    /// Last address.
    pub last: IpAddr,
    /// Number of hosts.
    pub hosts: usize,
}

/// A cause of failing flows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AuditCause {
    /// The cause code, as `pingtong explain` lists it.
    pub code: CauseCode,
    /// The side of the link that must act; `None` inside one VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// Direction of the packets that it stops; `None` for both directions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The blamed object.
    pub object: Object,
}

/// Flows from some hosts to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFlows {
    /// Source hosts.
    pub source: Vec<AuditBlock>,
    /// Destination hosts.
    pub destination: Vec<AuditBlock>,
    /// Protocol of the flows.
    pub protocol: Protocol,
    /// First and last destination port; `None` if the protocol has no ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<PortRange>,
    /// Direction on the link in which they are opened; `None` inside one VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
}

/// Flows that fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The flows that fail.
    #[serde(flatten)]
    pub flows: AuditFlows,
    /// Why they fail.
    pub causes: Vec<AuditCause>,
}

/// Flows that could not be decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownPart {
    /// The flows in question.
    #[serde(flatten)]
    pub flows: AuditFlows,
    /// What was not read, and what would close the gap.
    pub gaps: Vec<GapNote>,
}

/// Flows that get through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaking {
    /// The flows that get through.
    #[serde(flatten)]
    pub flows: AuditFlows,
    /// What lets them pass at each stage.
    pub by: Vec<Decider>,
}

/// What decides at a stage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Decider {
    /// The stage.
    pub stage: Stage,
    /// The rule, entry, route or link end that decides; the group, ACL or table if its default decides.
    pub object: Object,
}

/// State of an expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpectationState {
    /// Every flow gets through and back.
    Holds,
    /// Some flows do not.
    Fails,
    /// No flow is known to fail, and some could not be decided.
    Unknown,
}

/// State of a forbid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForbidState {
    /// No flow gets through.
    Holds,
    /// Some flows get through.
    Leaks,
    /// No flow is known to get through, and some could not be decided.
    Unknown,
}

/// The answer to an expectation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectationAnswer {
    /// The expectation that was asked about.
    #[serde(flatten)]
    pub asked: Expectation,
    /// The link that the question is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
    /// Whether the expectation holds.
    pub state: ExpectationState,
    /// Ordered pairs of hosts that were decided.
    pub pairs: u64,
    /// Flows that fail.
    pub failing: Vec<Failing>,
    /// Flows that could not be decided.
    pub unknown: Vec<UnknownPart>,
}

/// The answer to a forbid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForbidAnswer {
    /// The forbidden flows that were asked about.
    #[serde(flatten)]
    pub asked: Expectation,
    /// The link that the question is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
    /// Whether the forbid holds.
    pub state: ForbidState,
    /// Ordered pairs of hosts that were decided.
    pub pairs: u64,
    /// Flows that get through.
    pub leaking: Vec<Leaking>,
    /// Flows that could not be decided.
    pub unknown: Vec<UnknownPart>,
}

/// The answers of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Format version.
    pub schema: u32,
    /// One answer for each expectation, in the order asked.
    pub expectations: Vec<ExpectationAnswer>,
    /// One answer for each forbid, in the order asked.
    pub forbids: Vec<ForbidAnswer>,
    /// What was not read or was left out, over all answers.
    pub gaps: Vec<GapNote>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The text that scripts read, byte for byte and in this order.
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
