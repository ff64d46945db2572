//! Whether large packets vanish on the way: `mtu-black-hole`.
//!
//! Facts: rounds of packets with the don't-fragment bit set, of sizes that the agents search for (`agent/probe`, size
//! search), and where they arrived. Rules:
//! 1. The pair is alive: ordinary probes of the flow are answered, and some packet of a search is answered.
//! 2. Every packet above the largest size that passes dies, at least [`DEAD_MIN`] of them, and the probability that the
//!    flow's ordinary loss took all of them is below [`CHANCE_MAX`].
//! 3. No "fragmentation needed" was received: with it, path MTU discovery works and there is no fault
//!    (`SEMANTICS.md` §7.6.5). Packets that the sender's own kernel refuses were not sent and do not count.
//! 4. Requests that did not reach the far interface died in their own direction. Requests that did reach it died as
//!    replies, unless the far end's own requests of that size pass: replies may be fragmented, which then explains
//!    their loss. If nobody observed the far interface, the direction stays open. Both directions with limits that may
//!    be the same are one cause: a search that a busy host or a narrow budget ended early leaves a range.
//!
//! Does not know what the segment consists of, such as a tunnel or an interface with a smaller MTU. The small MTU of a
//! host's own network interface is reported as evidence.

use crate::{
    code::CauseCode,
    finding::{Finding, Note, Stops},
    fix::Fix,
    lang::both,
    model::Model,
    observe::{Observed, Seen, observe_pair},
    quality::means::Means,
    stage::Stage,
    verdict::ObjectKind,
    walk::link_ends,
    wilson::LossRate,
};
use pingtong_evidence::{AgentId, Direction, HostFacts, Pair, Side};
use std::collections::BTreeMap;

/// Minimum number of lost packets to call a size dead: two rounds of three.
const DEAD_MIN: u64 = 6;
/// Maximum probability that the flow's ordinary loss took all of them; above it, chance remains an explanation.
const CHANCE_MAX: f64 = 1e-6;
/// Number of lost packets above which more do not change the probability.
const DEAD_COUNTED_MAX: i32 = 1_000;

/// The size limit of a direction: largest size that passes and smallest that dies, in bytes, and number of packets
/// lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    passes: u32,
    dies: u32,
    dead: u64,
}

impl Limit {
    /// Whether one size may be the limit of both: neither has passed what died in the other.
    fn agrees(self, other: Self) -> bool {
        self.passes < other.dies && other.passes < self.dies
    }

    /// What holds of both, if they agree.
    fn with(self, other: Self) -> Self {
        Self { passes: self.passes.min(other.passes), dies: self.dies.min(other.dies), dead: self.dead + other.dead }
    }
}

/// The findings: one for each direction, or one for both. If no size search ran on the pair itself, the searches on
/// other pairs of its link count, provided that they all agree: these pairs share the segment.
pub(crate) fn size_limits(means: &Means<'_>) -> Vec<Finding> {
    let Means { model, question, facts, seen, .. } = means;
    let pair = &question.pair;
    let limits_of_pair = limits(seen);
    let searched = |seen: &Seen| seen.values().any(|observed| !observed.sizes.is_empty());
    if searched(seen) || !seen.values().all(Observed::alive) {
        return findings(model, pair, facts, &limits_of_pair);
    }
    let of_link = question.peers.iter().filter(|other| other.id != pair.id && other.link.id == pair.link.id);
    let observed = |other: &Pair| -> Seen {
        Direction::BOTH.into_iter().map(|flow| (flow, observe_pair(question, other, flow, facts))).collect()
    };
    let mut others = of_link.map(|other| (other, observed(other))).filter(|(_, seen)| searched(seen));
    let Some((first, first_seen)) = others.next() else { return vec![] };
    let shared = limits(&first_seen);
    let agree = |other: Limits| {
        other.len() == shared.len()
            && other.iter().all(|(way, limit)| shared.get(way).is_some_and(|same| same.agrees(*limit)))
    };
    if !others.all(|(_, seen)| agree(limits(&seen))) {
        return vec![];
    }
    findings(model, first, facts, &shared)
}

fn findings(model: &Model, pair: &Pair, facts: &BTreeMap<AgentId, HostFacts>, limits: &Limits) -> Vec<Finding> {
    limits.iter().map(|(direction, limit)| finding(model, pair, facts, *direction, *limit)).collect()
}

/// The size limit of each direction. The key `None` means that the direction is not known or that both have the same
/// limit.
type Limits = BTreeMap<Option<Direction>, Limit>;

fn limits(seen: &Seen) -> Limits {
    let mut limits = Limits::new();
    for (flow, observed) in seen {
        let Some(limit) = limit(observed) else { continue };
        let leg = leg(*flow, observed, limit);
        let clean = |d: Direction| seen.get(&d).is_some_and(|other| passes_whole(other, limit.dies));
        // Replies may be fragmented on their way; if whole packets pass in that direction, the replies were not lost
        // because of their size.
        if leg.is_some_and(|leg| leg != *flow && clean(leg)) {
            continue;
        }
        let told = limits.entry(leg).or_insert(limit);
        if limit.passes < told.passes {
            *told = limit;
        }
    }
    if limits.keys().any(Option::is_some) {
        limits.remove(&None);
    }
    let forward = limits.get(&Some(Direction::Forward)).copied();
    let back = limits.get(&Some(Direction::Return)).copied();
    if let (Some(one), Some(other)) = (forward, back)
        && one.agrees(other)
    {
        limits = BTreeMap::from([(None, one.with(other))]);
    }
    limits
}

fn limit(observed: &Observed) -> Option<Limit> {
    let sent = observed.sizes.iter().filter(|(_, sized)| sized.sent > 0);
    let passes = sent.clone().filter(|(_, sized)| sized.replied > 0).map(|(size, _)| *size).max()?;
    let above = sent.filter(|(size, _)| **size > passes);
    if above.clone().any(|(_, sized)| !sized.told_by.is_empty()) {
        return None;
    }
    let dead = above.clone().map(|(_, sized)| sized.sent).sum();
    let dies = *above.map(|(size, _)| size).min()?;
    let ordinary = LossRate::new(observed.sent.saturating_sub(observed.received), observed.sent)?;
    let chance = ordinary.high.powi(i32::try_from(dead).unwrap_or(DEAD_COUNTED_MAX).min(DEAD_COUNTED_MAX));
    (observed.alive() && dead >= DEAD_MIN && chance < CHANCE_MAX).then_some(Limit { passes, dies, dead })
}

/// In which direction a flow's packets above the limit died.
fn leg(flow: Direction, observed: &Observed, limit: Limit) -> Option<Direction> {
    let above = || observed.sizes.range(limit.dies..).map(|(_, sized)| sized).filter(|sized| sized.sent > 0);
    if above().all(|sized| sized.arrived == Some(0)) {
        return Some(flow);
    }
    above().all(|sized| sized.arrived.is_some_and(|arrived| arrived > 0)).then(|| flow.reverse())
}

/// Whether packets of at least this size arrive whole.
fn passes_whole(observed: &Observed, size: u32) -> bool {
    observed.sizes.range(size..).any(|(_, sized)| sized.replied > 0 || sized.arrived.is_some_and(|arrived| arrived > 0))
}

fn finding(
    model: &Model,
    pair: &Pair,
    facts: &BTreeMap<AgentId, HostFacts>,
    direction: Option<Direction>,
    limit: Limit,
) -> Finding {
    let Limit { passes, dies, dead } = limit;
    let (en, zh) = match direction {
        Some(Direction::Forward) => (" forward", "正向"),
        Some(Direction::Return) => (" on the return path", "反向"),
        None => ("", ""),
    };
    let text = both!(
        "packets of up to {passes} bytes pass{en}; all {dead} of {dies} bytes and more that may not be fragmented vanish, and nobody sends \"fragmentation needed\"",
        "{zh}不超过 {passes} 字节的报文可通过；{dead} 个 {dies} 字节及以上、不允许分片的报文全部消失，且没有收到“需要分片”的 ICMP 报文"
    );
    let mut evidence = vec![Note::plain(text)];
    evidence.extend(Side::BOTH.into_iter().filter_map(|side| narrow_card(pair, facts, side, limit)));
    let stops = Stops::Some(direction.unwrap_or(Direction::Forward));
    Finding {
        code: CauseCode::MtuBlackHole,
        side: Side::Initiator,
        direction,
        object: model.object(Side::Initiator, ObjectKind::Segment, link_ends(model)),
        stops,
        points: stops.at(Stage::Connection),
        evidence,
        fix: Fix::Manual,
    }
}

/// Evidence that the host's own network interface has an MTU no larger than what passes.
fn narrow_card(pair: &Pair, facts: &BTreeMap<AgentId, HostFacts>, side: Side, limit: Limit) -> Option<Note> {
    let endpoint = pair.endpoint(side);
    let address = endpoint.address;
    let cards = facts.get(endpoint.agent.as_ref()?)?.interfaces.known()?;
    let card = cards.iter().find(|card| card.addresses.iter().any(|(own, _)| *own == address))?;
    let (name, mtu) = (&card.name, card.mtu);
    (mtu <= limit.passes).then(|| {
        Note::plain(both!(
            "the network interface {name} of {address} itself carries {mtu} bytes",
            "{address} 的网卡 {name} 自身 MTU 即为 {mtu} 字节"
        ))
    })
}

/// The largest unfragmented packet that was answered, for the checklist.
pub(crate) fn largest(flow: Direction, observed: &Observed) -> Option<Note> {
    let answered = observed.sizes.iter().filter(|(_, sized)| sized.replied > 0);
    let size = answered.map(|(size, _)| *size).max()?;
    let told: Vec<String> = observed.sizes.values().flat_map(|sized| &sized.told_by).map(ToString::to_string).collect();
    let way = if flow == Direction::Forward { "正向" } else { "反向" };
    let text = match told.first() {
        None => both!("{flow}: packets of {size} bytes pass unfragmented", "{way}：{size} 字节的报文不分片即可通过"),
        Some(by) => both!(
            "{flow}: packets of {size} bytes pass unfragmented; {by} says of larger ones that they need fragmentation",
            "{way}：{size} 字节的报文不分片即可通过；更大的报文由 {by} 通知需要分片"
        ),
    };
    Some(Note::plain(text))
}
