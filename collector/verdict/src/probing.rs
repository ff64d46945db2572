//! How a link was probed: its budget, and the load that all of its probes together put on each direction.
//!
//! The packets of a round count as evenly spread over the time in which it was sent. Each direction carries the
//! requests of one flow and the replies of the other. The load of a direction is its maximum over any one second.
//! Requested loads (`RoundPurpose::Load`) are left out. Does not know the losses: module `quality::own_load`
//! decides what the load means for them.

use pingtong_evidence::{Direction, Link, LinkKind, Pair, PairId, ProbeBudget, ProbeRound, Side, Snapshot, probe_bits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Length in milliseconds of the slots in which packets are added up, and number of slots in the second over which a
/// load is measured.
const SLOT_MS: i64 = 100;
const SLOTS: usize = 10;
/// Maximum number of slots of one round: ten minutes. The packets of a longer round are added up as if it took that
/// long.
const ROUND_SLOTS_MAX: u64 = 6_000;
/// A load stays within the budget up to this share of it in percent, plus this number of bits: four packets of 1500
/// bytes that fall into the same second.
const TOLERATED_PERCENT: u64 = 125;
const TOLERATED_BITS: u64 = 4 * 1_500 * 8;
/// Share of the bandwidth in percent from which a load fills the link.
const FILLED_PERCENT: u64 = 75;
const BITS_PER_MEGABIT: u64 = 1_000_000;

/// Maximum load of each direction, in bits per second of whole IP packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct OwnLoad {
    /// Initiator to acceptor.
    pub forward: u64,
    /// Acceptor to initiator.
    #[serde(rename = "return")]
    pub back: u64,
}

impl OwnLoad {
    /// The load that the probes of these pairs, all of one link, put on the link.
    pub fn of<'p>(pairs: impl IntoIterator<Item = &'p Pair>, rounds: impl IntoIterator<Item = &'p ProbeRound>) -> Self {
        let pairs: BTreeMap<&PairId, &Pair> = pairs.into_iter().map(|pair| (&pair.id, pair)).collect();
        let mut slots: BTreeMap<i64, [u64; 2]> = BTreeMap::new();
        for round in rounds.into_iter().filter(|round| !round.purpose.is_load() && !round.sent.is_empty()) {
            let Some(out) = pairs.get(&round.pair).map(|pair| direction_of(pair, round)) else { continue };
            let each = probe_bits(round.protocol, round.target, round.payload_bytes);
            let answered = round.replied.union(&round.late);
            let whole = u64::try_from(round.ended_at.since(round.started_at).as_millis()).unwrap_or(u64::MAX);
            let took_ms = round.sending_ms.unwrap_or(whole);
            let count = (took_ms / SLOT_MS.unsigned_abs() + 1).min(ROUND_SLOTS_MAX);
            let held_ms = i64::try_from(round.held_ms.unwrap_or_default()).unwrap_or(i64::MAX);
            let first = round.started_at.as_millis().saturating_add(held_ms).div_euclid(SLOT_MS);
            let of_slot = |packets: u64, n: u64| packets * (n + 1) / count - packets * n / count;
            for n in 0..count {
                let slot = slots.entry(first.saturating_add_unsigned(n)).or_default();
                slot[index(out)] += of_slot(round.sent.len(), n) * each;
                slot[index(out.reverse())] += of_slot(answered.len(), n) * each;
            }
        }
        let peak = |direction: Direction| {
            let within = |at: i64| slots.range(at..at.saturating_add_unsigned(SLOTS as u64));
            let second = |at: &i64| within(*at).map(|(_, slot)| slot[index(direction)]).sum();
            slots.keys().map(second).max().unwrap_or(0)
        };
        Self { forward: peak(Direction::Forward), back: peak(Direction::Return) }
    }

    /// The load of one direction, in bits per second.
    pub fn get(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Forward => self.forward,
            Direction::Return => self.back,
        }
    }
}

/// How a link was probed: its budget, and the load of the probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Probing {
    /// The budget of the whole link.
    pub budget: ProbeBudget,
    /// The load that all probes put on the link.
    pub own: OwnLoad,
    /// Whether the load includes rounds that answer a request.
    pub requested: bool,
}

impl Probing {
    /// The budget and the load of the probes of these pairs, all of one link.
    pub fn new<'p>(budget: ProbeBudget, pairs: impl IntoIterator<Item = &'p Pair>, rounds: &'p [ProbeRound]) -> Self {
        let requested = rounds.iter().any(|round| round.request.is_some());
        Self { budget, own: OwnLoad::of(pairs, rounds), requested }
    }

    /// Bits per second that probes may put on each direction of a link with this bandwidth in bits per second. If it is
    /// smaller than the planned one, the budget shrinks in proportion.
    pub fn allowed_bits_per_s(&self, bandwidth: u64) -> u64 {
        let budget = self.budget.steady_bits_per_s + if self.requested { self.budget.fresh_bits_per_s } else { 0 };
        let (carried, planned) = (u128::from(bandwidth), u128::from(self.budget.bandwidth.bits_per_s.max(1)));
        if carried >= planned {
            budget
        } else {
            u64::try_from(u128::from(budget) * carried / planned).unwrap_or(budget)
        }
    }

    /// Whether the load of a direction was too high for a link with this bandwidth in bits per second.
    pub fn exceeds(&self, direction: Direction, bandwidth: u64) -> bool {
        let own = self.own.get(direction);
        own > self.allowed_bits_per_s(bandwidth) * TOLERATED_PERCENT / 100 + TOLERATED_BITS || fills(own, bandwidth)
    }
}

pub(crate) fn fills(own: u64, bandwidth: u64) -> bool {
    own >= bandwidth.saturating_mul(FILLED_PERCENT) / 100
}

fn direction_of(pair: &Pair, round: &ProbeRound) -> Direction {
    let sends = |side: Side| {
        let by_agent = pair.endpoint(side).agent.as_ref() == Some(&round.key.agent);
        by_agent && pair.endpoint(side.opposite()).address == round.target
    };
    let side = Side::BOTH.into_iter().find(|side| sends(*side));
    let to_acceptor = pair.acceptor.address == round.target;
    side.map_or(if to_acceptor { Direction::Forward } else { Direction::Return }, Side::sends)
}

fn index(direction: Direction) -> usize {
    match direction {
        Direction::Forward => 0,
        Direction::Return => 1,
    }
}

/// Bandwidth of the link in bits per second according to the configuration of one account: the specification of its
/// router interface to the other VPC, the bandwidth of a VPC peering connection, or that of the connection between the
/// transit routers of two regions. The smallest value if several match; `None` if it is unlimited or not known.
pub fn spec_bits_per_s(link: &Link, side: Side, snapshot: &Snapshot) -> Option<u64> {
    let (own, far) = (link.side(side), link.side(side.opposite()));
    if (&snapshot.account, &snapshot.region) != (&own.account, &own.region) {
        return None;
    }
    let mbit = match link.kind {
        LinkKind::RouterInterface => {
            let all = snapshot.router_interfaces.known()?.iter();
            let leads = all.filter(|ri| {
                ri.vpc.as_ref() == Some(&own.vpc) && ri.opposite_vpc.as_ref().is_none_or(|vpc| *vpc == far.vpc)
            });
            leads.filter_map(|ri| ri.bandwidth_mbps).filter(|mbit| *mbit > 0).min()
        }
        LinkKind::VpcPeering => {
            let joins = |one, other| (one, other) == (&own.vpc, &far.vpc) || (one, other) == (&far.vpc, &own.vpc);
            let all = snapshot.vpc_peerings.known()?.iter();
            let joining = all.filter(|peering| joins(&peering.vpc, &peering.accepting_vpc));
            joining.filter_map(|peering| peering.bandwidth_mbps).filter(|mbit| *mbit > 0).min()
        }
        LinkKind::TransitRouter => {
            let regions =
                |one, other| (one, other) == (&own.region, &far.region) || (one, other) == (&far.region, &own.region);
            let all = snapshot.transit_peerings.known()?.iter();
            let joining = all.filter(|peering| regions(&peering.region, &peering.peer_region));
            joining.filter_map(|peering| peering.bandwidth_mbps).filter(|mbit| *mbit > 0).min()
        }
    };
    mbit?.checked_mul(BITS_PER_MEGABIT)
}
