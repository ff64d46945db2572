//! What an account's own records add to its configuration: who changed what, and what monitoring measured.
//!
//! Both come from optional services of the vendor, ActionTrail and CloudMonitor (`API.md` §9). They
//! explain a result; the walk along the path does not need them.

use crate::{Provenance, Timestamp};
use serde::{Deserialize, Serialize};

/// A change made through the vendor's API or console, as ActionTrail recorded it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigChange {
    /// Time of the change, by the vendor's clock.
    pub at: Timestamp,
    /// ActionTrail's id of the event.
    pub event_id: String,
    /// The call, such as `vpc:DeleteRouteEntry`.
    pub action: String,
    /// User, role or account that made the call; empty if not reported.
    #[serde(default)]
    pub who: String,
    /// Ids of the objects that the call named or created.
    #[serde(default)]
    pub objects: Vec<String>,
    /// The vendor's error code if the call failed and therefore changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// What CloudMonitor measures on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkMetricKind {
    /// `RateLimitDropPps`: packets per second that the bandwidth limit dropped. Above zero, the link was saturated.
    RateLimitDropPps,
    /// `ReceiveBandwidth`: bits per second received.
    ReceivedBitsPerSecond,
    /// `TransportedBandwidth`: bits per second sent.
    SentBitsPerSecond,
}

/// One measurement over a period. Values are in thousandths, so that evidence compares exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetricPoint {
    /// The vendor's time stamp of the period. The documents do not say whether it is the beginning or the end.
    pub at: Timestamp,
    /// Mean over the period, in thousandths of the unit; `None` if not reported.
    #[serde(default)]
    pub average_milli: Option<u64>,
    /// Maximum in the period, in thousandths of the unit; `None` if not reported.
    #[serde(default)]
    pub maximum_milli: Option<u64>,
}

/// One metric of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkMetric {
    /// Id of the router interface.
    pub interface: crate::RouterInterfaceId,
    /// What was measured.
    pub kind: LinkMetricKind,
    /// Length of a period in seconds.
    pub period_s: u32,
    /// Measurements, the oldest first.
    pub points: Vec<MetricPoint>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}
