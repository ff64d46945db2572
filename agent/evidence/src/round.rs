//! What a round is for, and how rounds are numbered.

use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// Which numbers a round takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoundKind {
    /// A round of ICMP probes.
    Echo,
    /// A round of TCP or UDP probes.
    Ports,
    /// No round: the arrivals of connections whose round the observer does not know, numbered by the observer.
    Connections,
}

/// Number of a round, unique for its agent and kind: kind, time, and a counter of the same time, in 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoundId(u64);

impl RoundId {
    /// Bits of the counter, below the time in milliseconds since 1970. A counter that exceeds them runs into the time:
    /// numbers stay unique as long as the agent does not start again within as many milliseconds.
    const COUNTER_BITS: u32 = 20;
    /// Set for rounds of ports. Times in milliseconds stay below this bit until 2109.
    const PORTS: u64 = 1 << 62;
    /// Set for arrivals of connections.
    const CONNECTIONS: u64 = 1 << 63;

    /// The number of the `counter`-th round of a kind; `at` is when its agent started, for [`RoundKind::Connections`]
    /// when the arrivals began.
    #[must_use]
    pub fn new(kind: RoundKind, at: Timestamp, counter: u64) -> Self {
        let at = u64::try_from(at.as_millis()).unwrap_or(0);
        let number = (at << Self::COUNTER_BITS).wrapping_add(counter) & (Self::PORTS - 1);
        Self(
            number
                | match kind {
                    RoundKind::Echo => 0,
                    RoundKind::Ports => Self::PORTS,
                    RoundKind::Connections => Self::CONNECTIONS,
                },
        )
    }

    /// The kind that the number was taken by.
    #[must_use]
    pub fn kind(self) -> RoundKind {
        if self.0 & Self::CONNECTIONS != 0 {
            RoundKind::Connections
        } else if self.0 & Self::PORTS != 0 {
            RoundKind::Ports
        } else {
            RoundKind::Echo
        }
    }

    /// The number as 64 bits: what a probe carries.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The number as a signed integer, as SQL stores it: negative for connections, from 2^62 on for rounds of ports.
    /// Numbers of one kind are ordered by time.
    #[must_use]
    pub fn signed(self) -> i64 {
        self.0.cast_signed()
    }
}

/// The number that a probe carries.
impl From<u64> for RoundId {
    fn from(bits: u64) -> Self {
        Self(bits)
    }
}

/// What a round is for. Only the probes of [`RoundPurpose::Connectivity`] count as lost when nothing answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "Fields", into = "Fields")]
pub enum RoundPurpose {
    /// Whether packets get through.
    #[default]
    Connectivity,
    /// The largest packet that passes: the probes have don't-fragment set.
    PathSize,
    /// How much the path carries: one step of a load test. Unanswered probes of other rounds meanwhile are not loss
    /// either.
    Load {
        /// Offered rate in bits per second.
        bits_per_s: u64,
    },
}

impl RoundPurpose {
    /// Whether the round is a step of a load test.
    #[must_use]
    pub fn is_load(self) -> bool {
        matches!(self, Self::Load { .. })
    }
}

/// The fields of a round in JSON that say what it is for.
#[derive(Serialize, Deserialize)]
struct Fields {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dont_fragment: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    load_bits_per_s: Option<u64>,
}

impl From<Fields> for RoundPurpose {
    fn from(fields: Fields) -> Self {
        match fields {
            Fields { load_bits_per_s: Some(bits_per_s), .. } => Self::Load { bits_per_s },
            Fields { dont_fragment: true, .. } => Self::PathSize,
            Fields { .. } => Self::Connectivity,
        }
    }
}

impl From<RoundPurpose> for Fields {
    fn from(purpose: RoundPurpose) -> Self {
        let load_bits_per_s = match purpose {
            RoundPurpose::Load { bits_per_s } => Some(bits_per_s),
            RoundPurpose::Connectivity | RoundPurpose::PathSize => None,
        };
        Self { dont_fragment: purpose == RoundPurpose::PathSize, load_bits_per_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_keep_their_kind_and_are_ordered_by_time() {
        let at = |ms, kind, counter| RoundId::new(kind, Timestamp::from_millis(ms), counter);
        let now = 1_800_000_000_000;
        for kind in [RoundKind::Echo, RoundKind::Ports, RoundKind::Connections] {
            assert_eq!(at(now, kind, 7).kind(), kind);
            assert!(at(now, kind, 7).signed() < at(now, kind, 8).signed());
            assert!(at(now, kind, (1 << 20) - 1).signed() < at(now + 1, kind, 0).signed());
            assert_eq!(RoundId::from(at(now, kind, 7).bits()), at(now, kind, 7));
        }
        // Stored numbers: connections below zero, ports from 2^62 on, echo between.
        assert!(at(now, RoundKind::Connections, 0).signed() < 0);
        assert!((0..1 << 62).contains(&at(now, RoundKind::Echo, 0).signed()));
        assert!(at(now, RoundKind::Ports, 0).signed() >= 1 << 62);
    }

    #[test]
    fn the_purpose_reads_and_writes_the_fields_of_earlier_versions() {
        for (purpose, fields) in [
            (RoundPurpose::Connectivity, json!({})),
            (RoundPurpose::PathSize, json!({"dont_fragment": true})),
            (RoundPurpose::Load { bits_per_s: 5 }, json!({"load_bits_per_s": 5})),
        ] {
            assert_eq!(serde_json::to_value(purpose).unwrap(), fields);
            assert_eq!(serde_json::from_value::<RoundPurpose>(fields).unwrap(), purpose);
        }
    }
}
