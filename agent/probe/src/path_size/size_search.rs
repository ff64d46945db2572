//! Search for the largest packet that reaches a peer without fragmentation.
//!
//! Orders rounds of probes with don't-fragment set and decides from their outcome which sizes to try next: first the
//! two ends (an ordinary ping, and the MTU of the sender's own NIC), then several sizes at a time between them, finally
//! both sides of the boundary once more. Exact to the byte within [`BATCHES_MAX`] batches. Gives up at once if an
//! ordinary ping gets no answer: a dead pair says nothing about sizes. A size that the sender's own kernel refuses is a
//! bound and not a loss; a round that a busy host could not send shows nothing and is ordered again. Does not judge: the verdict decides whether a boundary is a fault. Nothing here reads a clock.

use crate::{BucketKey, RoundOrder};
use pingtong_evidence::{PairId, ProbeRound, RequestTag, RoundPurpose};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Bytes of the IP and ICMP headers before the payload, in IPv4 and in IPv6.
const HEADER_BYTES: u32 = 28;
const HEADER_V6_BYTES: u32 = 48;
/// Payload of an ordinary ping, as the steady rounds send it: a size that every path passes.
const BASE_PAYLOAD_BYTES: u32 = 56;
/// Maximum packet size searched, whatever MTU a loopback interface reports.
const PACKET_BYTES_MAX: u32 = 65_535;
/// Sizes tried at a time. A link's budget counts every byte: three cost a quarter less than six and take two batches
/// more.
const SIZES_MAX: u32 = 3;
/// Probes of each size: one lost packet must not look like a size that does not pass.
const PROBES: u32 = 3;
/// Probes on either side of the boundary in the final confirmation.
const PROBES_SURE: u32 = 6;
/// Time between two probes of one size.
const SPACING: Duration = Duration::from_millis(20);
/// Shortest time-out once the round-trip time is known.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);
/// Number of round trips within which an answer is expected.
const TIMEOUT_ROUND_TRIPS: u32 = 4;
/// Maximum number of batches in one search: the ends, eight fourfold divisions of 65 535 bytes, the boundary, and one
/// more search after chance losses misled the first.
const BATCHES_MAX: u32 = 22;

/// Settings of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeGoal {
    /// The pair that the search belongs to.
    pub pair: PairId,
    /// Target of the path.
    pub target: IpAddr,
    /// The request for fresh evidence that this answers.
    pub request: Option<RequestTag>,
    /// The token bucket that its packets are charged to.
    pub bucket: Option<BucketKey>,
    /// MTU of the sender's own NIC, in bytes.
    pub mtu: u32,
    /// Time after which a probe counts as unanswered while no round-trip time is known.
    pub timeout: Duration,
    /// Result of an earlier search: both of its sides are tried again, and everything is searched only if one changed.
    pub known: Option<SizeBounds>,
}

/// The boundary, in bytes of the whole packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeBounds {
    /// The largest size that passed.
    pub passes: u32,
    /// The smallest size above it that did not pass; `None` if there was none.
    pub dies: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Ends,
    Between,
    Sure,
    Over,
}

/// What is known of a size of the current batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// To be ordered: not tried yet, or tried in a round that shows nothing.
    Wanted,
    Running,
    Passed,
    Failed,
}

/// State of one search.
#[derive(Debug)]
pub struct SizeSearch {
    goal: SizeGoal,
    stage: Stage,
    batches: u32,
    low: u32,
    high: u32,
    timeout: Duration,
    /// Sizes of the current batch.
    batch: BTreeMap<u32, Trial>,
    found: Option<SizeBounds>,
    /// The largest size, if its packets were lost: it is tried once more beside smaller ones. Its loss is then evidence, even if
    /// a busy host does not come to the end of the search.
    again: Option<u32>,
}

impl SizeSearch {
    /// A search that has not started. If the MTU is not above the size of an ordinary ping, there is nothing to search.
    pub fn new(mut goal: SizeGoal) -> Self {
        goal.mtu = goal.mtu.min(PACKET_BYTES_MAX);
        let stage = if goal.mtu > base_bytes(goal.target) { Stage::Ends } else { Stage::Over };
        let (low, high, timeout) = (base_bytes(goal.target), goal.mtu, goal.timeout);
        Self { goal, stage, batches: 0, low, high, timeout, batch: BTreeMap::new(), found: None, again: None }
    }

    /// The request for fresh evidence that the search answers.
    pub fn request(&self) -> Option<&RequestTag> {
        self.goal.request.as_ref()
    }

    /// Target of the path.
    pub fn target(&self) -> IpAddr {
        self.goal.target
    }

    /// The result, once the search is over; `None` if the pair is dead or the search was given up.
    pub fn found(&self) -> Option<SizeBounds> {
        self.found
    }

    /// Whether there is nothing more to order.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Returns the rounds to start now; empty while some are running.
    pub fn orders(&mut self) -> Vec<RoundOrder> {
        if self.is_over() || self.batch.values().any(|trial| *trial == Trial::Running) {
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
            Stage::Between => between(self.low, self.high).into_iter().chain(self.again.take()).collect(),
            Stage::Sure => vec![self.low, self.high],
            Stage::Over => vec![],
        };
        if self.batch.is_empty() {
            self.batch = sizes.into_iter().map(|size| (size, Trial::Wanted)).collect();
        }
        let sure = self.stage == Stage::Sure || known.is_some_and(|known| known.dies.is_some());
        let probes = if sure { PROBES_SURE } else { PROBES };
        let mut wanted = vec![];
        for (size, trial) in self.batch.iter_mut().filter(|(_, trial)| **trial == Trial::Wanted) {
            *trial = Trial::Running;
            wanted.push(*size);
        }
        wanted.into_iter().map(|size| self.order(size, probes)).collect()
    }

    fn order(&self, size: u32, probes: u32) -> RoundOrder {
        RoundOrder {
            pair: self.goal.pair.clone(),
            target: self.goal.target,
            probes,
            spacing: SPACING,
            timeout: self.timeout,
            payload_bytes: usize::try_from(size.saturating_sub(header_bytes(self.goal.target))).unwrap_or(usize::MAX),
            purpose: RoundPurpose::PathSize,
            bucket: self.goal.bucket.clone(),
            request: self.goal.request.clone(),
        }
    }

    /// Takes a closed round; returns false if it does not belong to this search.
    pub fn take(&mut self, round: &ProbeRound) -> bool {
        let size = round.payload_bytes.saturating_add(header_bytes(self.goal.target));
        let ours = round.purpose == RoundPurpose::PathSize
            && round.pair == self.goal.pair
            && round.target == self.goal.target
            && round.request == self.goal.request;
        let Some(trial) = self.batch.get_mut(&size).filter(|trial| ours && **trial == Trial::Running) else {
            return false;
        };
        *trial = outcome(round);
        if (self.stage, *trial, size) == (Stage::Ends, Trial::Failed, self.goal.mtu) && !round.sent.is_empty() {
            self.again = Some(size);
        }
        if let Some(rtt) = round.rtt.filter(|_| size == base_bytes(self.goal.target)) {
            let several = Duration::from_nanos(rtt.max.0).saturating_mul(TIMEOUT_ROUND_TRIPS);
            self.timeout = several.max(TIMEOUT_MIN).min(self.goal.timeout);
        }
        if self.batch.values().all(|trial| matches!(trial, Trial::Passed | Trial::Failed)) {
            self.conclude();
        }
        true
    }

    /// Evaluates a batch. The largest size that passed counts; smaller sizes that failed were lost by chance.
    fn conclude(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let passed = |size: u32| batch.get(&size) == Some(&Trial::Passed);
        if self.stage == Stage::Ends && !passed(base_bytes(self.goal.target)) {
            self.stage = Stage::Over;
            return;
        }
        let low = batch.keys().copied().filter(|size| passed(*size)).max().unwrap_or(self.low).max(self.low);
        let high = batch.keys().copied().filter(|size| *size > low && !passed(*size)).min();
        let misled = low >= self.high;
        self.low = low;
        // Nothing failed above it: the search continues up to the MTU, if that is not reached yet.
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

/// What a closed round shows. A round that the host could not send in full, or whose replies it may have dropped itself,
/// shows nothing unless something was answered.
fn outcome(round: &ProbeRound) -> Trial {
    let answered = !round.replied.is_empty() || !round.late.is_empty();
    let refused: u64 = round.send_errors.iter().map(|error| error.probes.len()).sum();
    let whole = round.sent.len() + refused >= u64::from(round.planned) && round.own_drops == 0;
    match (answered, whole) {
        (true, _) => Trial::Passed,
        (false, true) => Trial::Failed,
        (false, false) => Trial::Wanted,
    }
}

fn header_bytes(target: IpAddr) -> u32 {
    if target.is_ipv4() { HEADER_BYTES } else { HEADER_V6_BYTES }
}

fn base_bytes(target: IpAddr) -> u32 {
    header_bytes(target) + BASE_PAYLOAD_BYTES
}

/// Up to [`SIZES_MAX`] sizes that divide the open interval evenly.
fn between(low: u32, high: u32) -> Vec<u32> {
    let inside = high.saturating_sub(low).saturating_sub(1);
    let count = inside.min(SIZES_MAX);
    let at = |n: u32| u64::from(low) + u64::from(n) * u64::from(inside + 1) / u64::from(count + 1);
    (1..=count).filter_map(|n| u32::try_from(at(n)).ok()).collect()
}
