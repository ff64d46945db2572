//! The search for the largest packet that reaches a peer without being cut.
//!
//! Orders rounds of probes that may not be fragmented and decides from their outcome which sizes to try next: first the
//! two ends (an ordinary ping, and what the sender's own card carries), then several sizes at a time between them, at last
//! both sides of the boundary once more. Exact to the byte within [`BATCHES_MAX`] batches. Gives up at once where an
//! ordinary ping dies: a dead pair says nothing of sizes. What the own kernel refuses for its size is a bound and no loss.
//! Does not judge: whether a boundary is a fault is the verdict's business. Nothing here reads a clock.

use crate::{BucketKey, RoundOrder};
use pingtong_evidence::{PairId, ProbeRound, RequestTag};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Bytes of the IP and ICMP headers before the payload, in IPv4 and in IPv6.
const HEADER_BYTES: u32 = 28;
const HEADER_V6_BYTES: u32 = 48;
/// What an ordinary ping carries, as the steady rounds send it: a size that every path lets pass.
const BASE_PAYLOAD_BYTES: u32 = 56;
/// No packet that is searched for is larger, whatever a loopback says that it carries.
const PACKET_BYTES_MAX: u32 = 65_535;
/// Sizes tried at a time. A link's budget counts every byte: three cost a quarter less than six and two batches more.
const SIZES_MAX: u32 = 3;
/// Probes of each size: one lost packet must not look like a size that dies.
const PROBES: u32 = 3;
/// Probes on either side of the boundary at last.
const PROBES_SURE: u32 = 6;
/// Time between two probes of one size.
const SPACING: Duration = Duration::from_millis(20);
/// Shortest time-out once the round-trip time is known.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// Round trips within which an answer is taken to come.
const TIMEOUT_ROUND_TRIPS: u32 = 4;
/// Batches of one search: the ends, eight fourfold divisions of 65 535 bytes, the boundary, and one more search after chance
/// losses misled the first.
const BATCHES_MAX: u32 = 22;

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeGoal {
    /// For which pair.
    pub pair: PairId,
    /// Whose path.
    pub target: IpAddr,
    /// The request for fresh evidence that this answers.
    pub request: Option<RequestTag>,
    /// The budget that its packets are taken from.
    pub bucket: Option<BucketKey>,
    /// Largest packet that the own card carries, in bytes.
    pub mtu: u32,
    /// Time after which a probe counts as unanswered while no round-trip time is known.
    pub timeout: Duration,
    /// What an earlier search found: then both sides are looked at again, and all is searched only when one changed.
    pub known: Option<SizeBounds>,
}

/// The boundary, in bytes of the whole packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeBounds {
    /// The largest that passed.
    pub passes: u32,
    /// The smallest above it that did not, when any did not.
    pub dies: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Ends,
    Between,
    Sure,
    Over,
}

/// One search.
#[derive(Debug)]
pub struct SizeSearch {
    goal: SizeGoal,
    stage: Stage,
    batches: u32,
    low: u32,
    high: u32,
    timeout: Duration,
    /// Sizes of the batch under way, with their outcome when there is one.
    batch: BTreeMap<u32, Option<bool>>,
    found: Option<SizeBounds>,
}

impl SizeSearch {
    /// A search that has not begun. A card that carries no more than an ordinary ping leaves nothing to search.
    pub fn new(mut goal: SizeGoal) -> Self {
        goal.mtu = goal.mtu.min(PACKET_BYTES_MAX);
        let stage = if goal.mtu > base_bytes(goal.target) { Stage::Ends } else { Stage::Over };
        let (low, high, timeout) = (base_bytes(goal.target), goal.mtu, goal.timeout);
        Self { goal, stage, batches: 0, low, high, timeout, batch: BTreeMap::new(), found: None }
    }

    /// The request that it answers.
    pub fn request(&self) -> Option<&RequestTag> {
        self.goal.request.as_ref()
    }

    /// Whose path.
    pub fn target(&self) -> IpAddr {
        self.goal.target
    }

    /// What was found, once it is over; none where the pair is dead or the search was given up.
    pub fn found(&self) -> Option<SizeBounds> {
        self.found
    }

    /// Whether there is nothing more to order.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// The rounds to start now; none while some are under way.
    pub fn orders(&mut self) -> Vec<RoundOrder> {
        if !self.batch.is_empty() || self.is_over() {
            return vec![];
        }
        self.batches += 1;
        if self.batches > BATCHES_MAX {
            self.stage = Stage::Over;
            return vec![];
        }
        let base = base_bytes(self.goal.target);
        let known = self.goal.known.filter(|_| self.stage == Stage::Ends);
        let sizes: Vec<u32> = match self.stage {
            Stage::Ends => match known {
                Some(known) => [Some(base), Some(known.passes), known.dies].into_iter().flatten().collect(),
                None => vec![base, self.goal.mtu],
            },
            Stage::Between => between(self.low, self.high),
            Stage::Sure => vec![self.low, self.high],
            Stage::Over => vec![],
        };
        let sure = self.stage == Stage::Sure || known.is_some_and(|known| known.dies.is_some());
        let probes = if sure { PROBES_SURE } else { PROBES };
        self.batch = sizes.into_iter().map(|size| (size, None)).collect();
        self.batch.keys().map(|size| self.order(*size, probes)).collect()
    }

    fn order(&self, size: u32, probes: u32) -> RoundOrder {
        RoundOrder {
            pair: self.goal.pair.clone(),
            target: self.goal.target,
            probes,
            spacing: SPACING,
            timeout: self.timeout,
            payload_bytes: usize::try_from(size.saturating_sub(header_bytes(self.goal.target))).unwrap_or(usize::MAX),
            dont_fragment: true,
            load_bits_per_s: None,
            bucket: self.goal.bucket.clone(),
            request: self.goal.request.clone(),
        }
    }

    /// Takes a closed round; false when it is none of this search.
    pub fn take(&mut self, round: &ProbeRound) -> bool {
        let size = round.payload_bytes.saturating_add(header_bytes(self.goal.target));
        let ours = round.dont_fragment
            && round.pair == self.goal.pair
            && round.target == self.goal.target
            && round.request == self.goal.request;
        let Some(outcome) = self.batch.get_mut(&size).filter(|outcome| ours && outcome.is_none()) else {
            return false;
        };
        *outcome = Some(!round.replied.is_empty() || !round.late.is_empty());
        if let Some(rtt) = round.rtt.filter(|_| size == base_bytes(self.goal.target)) {
            let several = Duration::from_nanos(rtt.max.0).saturating_mul(TIMEOUT_ROUND_TRIPS);
            self.timeout = several.max(TIMEOUT_MIN).min(self.goal.timeout);
        }
        if self.batch.values().all(Option::is_some) {
            self.conclude();
        }
        true
    }

    /// The largest that passed counts; what died below it died by chance.
    fn conclude(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let passed = |size: u32| batch.get(&size).copied().flatten() == Some(true);
        if self.stage == Stage::Ends && !passed(base_bytes(self.goal.target)) {
            self.stage = Stage::Over;
            return;
        }
        let low = batch.keys().copied().filter(|size| passed(*size)).max().unwrap_or(self.low).max(self.low);
        let high = batch.keys().copied().filter(|size| *size > low && !passed(*size)).min();
        let misled = low >= self.high;
        self.low = low;
        // Nothing died above it: the search goes on up to what the card carries, should that not be reached.
        self.high = high.unwrap_or(if misled || self.stage == Stage::Ends { self.goal.mtu } else { self.high });
        if self.low >= self.goal.mtu {
            self.found = Some(SizeBounds { passes: self.low, dies: None });
            self.stage = Stage::Over;
            return;
        }
        let settled = self.high == self.low + 1 && high.is_some();
        let confirmed = self.stage == Stage::Sure || (self.stage == Stage::Ends && self.goal.known.is_some());
        if settled && confirmed {
            self.found = Some(SizeBounds { passes: self.low, dies: Some(self.high) });
        }
        self.stage = match (settled && confirmed, self.high == self.low + 1) {
            (true, _) => Stage::Over,
            (false, true) => Stage::Sure,
            (false, false) => Stage::Between,
        };
    }
}

fn header_bytes(target: IpAddr) -> u32 {
    if target.is_ipv4() { HEADER_BYTES } else { HEADER_V6_BYTES }
}

fn base_bytes(target: IpAddr) -> u32 {
    header_bytes(target) + BASE_PAYLOAD_BYTES
}

/// Up to [`SIZES_MAX`] sizes that cut the open interval evenly.
fn between(low: u32, high: u32) -> Vec<u32> {
    let inside = high.saturating_sub(low).saturating_sub(1);
    let count = inside.min(SIZES_MAX);
    let at = |n: u32| u64::from(low) + u64::from(n) * u64::from(inside + 1) / u64::from(count + 1);
    (1..=count).filter_map(|n| u32::try_from(at(n)).ok()).collect()
}
