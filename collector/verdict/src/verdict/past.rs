//! What a verdict says of the past: when a pair broke and why, and what changed while it was probed.

use super::Object;
use pingtong_evidence::{Direction, Side, Timestamp};
use serde::{Deserialize, Serialize};

/// A change in the middle of the probes of one flow. What the verdict says of the flow is what holds after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Direction of the flow's requests.
    pub direction: Direction,
    /// About when, by the collector's clock if the sender's is known in relation to it.
    pub at: Timestamp,
    /// Probes of the round before the change.
    pub before: Answered,
    /// Probes of the round after it.
    pub after: Answered,
}

/// How many probes were sent, and how many of them were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Probes sent.
    pub sent: u64,
    /// Of these, the answered ones.
    pub received: u64,
}

/// When a pair broke, and which changes broke it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onset {
    /// End of the last round that was answered completely, or beginning of the last one if it was answered in part.
    /// With two dead flows, the earlier of these times.
    pub last_good: Timestamp,
    /// Beginning of the first round after it. With two dead flows, the later of these times.
    pub first_bad: Timestamp,
    /// Whether undoing the triggers restores the pair in the model.
    pub explained: bool,
    /// The changes whose reversal is needed and suffices.
    pub triggers: Vec<Trigger>,
    /// When it broke and why, in one sentence.
    pub text: String,
}

/// A change that took part in breaking the pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// What changed; for a route or a rule, the table or group that holds it.
    pub object: Object,
    /// The side at which it changed.
    pub side: Side,
    /// What it was and what it became.
    pub what: String,
    /// Time at which it was still unchanged: start of the last reading that shows it so.
    pub not_before: Timestamp,
    /// Time at which it was changed: end of the first reading that shows it so.
    pub not_after: Timestamp,
    /// The API call that made the change, if the account's records show one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<RecordedCall>,
}

/// An API call from the account's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// Time of the call, by the vendor's clock.
    pub at: Timestamp,
    /// The action, such as `vpc:DeleteRouteEntry`.
    pub action: String,
    /// The user, role or account that made it; empty if not reported.
    pub who: String,
    /// ActionTrail's id of the event.
    pub event_id: String,
}
