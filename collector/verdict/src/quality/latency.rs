//! Whether the round-trip time of a pair has shifted: `latency-shift`.
//!
//! Each rule excludes one kind of false alarm:
//! 1. A usual time is known from earlier rounds of the same flow (module `usual`).
//! 2. Not only the median but the shortest round-trip time of the judged rounds lies above the usual median, by at
//!    least [`SHIFT_MIN`], a fifth of the usual time and twice its usual spread: slow packets among fast ones are
//!    jitter.
//! 3. The shift exceeds the spread of the judged rounds themselves: a path with large jitter has not moved. The
//!    spread is measured from the shortest to the median, because delays that a busy host adds to the slowest packets
//!    do not describe the path.
//! 4. Every flow of the pair that has a usual time has shifted: the round trips of both flows travel in both
//!    directions.
//! 5. No loss is attributed to the bandwidth: otherwise its queue causes the delay.
//!
//! A round trip does not show in which direction it became longer, so no direction is blamed. Nor does it distinguish
//! the path from a slow host: module `host_load` checks that first.

use crate::{
    code::CauseCode,
    finding::{Finding, Note, Stops},
    fix::Fix,
    lang::both,
    model::Model,
    quality::{
        bandwidth::millis,
        means::Changes,
        usual::{Change, Times},
    },
    stage::Stage,
    verdict::ObjectKind,
    walk::link_ends,
};
use pingtong_evidence::{Direction, Side};
use std::time::Duration;

/// Minimum shift that is reported: a change of route inside a region costs less.
const SHIFT_MIN: Duration = Duration::from_millis(5);

/// How much longer round trips take; `None` unless the shift is certain.
pub(crate) fn shift(change: &Change) -> Option<Duration> {
    let (usual, now) = (change.usual?, change.now);
    let by = now.low.saturating_sub(usual.middle);
    let spread = |times: Times| times.middle.saturating_sub(times.low);
    (by >= SHIFT_MIN && by >= usual.middle / 5 && by >= spread(usual) * 2 && by > spread(now)).then_some(by)
}

pub(crate) fn finding(model: &Model, changes: &Changes) -> Option<Finding> {
    let known: Vec<(Direction, &Change)> =
        changes.iter().filter(|(_, change)| change.usual.is_some()).map(|(flow, change)| (*flow, change)).collect();
    if known.is_empty() || !known.iter().all(|(_, change)| shift(change).is_some()) {
        return None;
    }
    let evidence = known.iter().filter_map(|(flow, change)| {
        let (usual, now) = (change.usual?, change.now);
        let (before, after, low) = (millis(usual.middle), millis(now.middle), millis(now.low));
        let rounds = usual.rounds;
        let way = if *flow == Direction::Forward { "正向" } else { "反向" };
        Some(Note::plain(both!(
            "{flow}: round trips take {after} ms, at least {low} ms; usual over {rounds} earlier rounds were {before} ms",
            "{way}：往返时延为 {after} 毫秒，最短 {low} 毫秒；此前 {rounds} 轮中通常为 {before} 毫秒"
        )))
    });
    let stops = Stops::Some(Direction::Forward);
    Some(Finding {
        code: CauseCode::LatencyShift,
        side: Side::Initiator,
        direction: None,
        object: model.object(Side::Initiator, ObjectKind::Segment, link_ends(model)),
        stops,
        points: stops.at(Stage::Connection),
        evidence: evidence.collect(),
        fix: Fix::Manual,
    })
}
