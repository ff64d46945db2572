//! Stores arrivals: parts of one round by one observer are united as they come. Where one part could not look, the union
//! could not look either, since a missing part would read as loss.

use super::{StoreError, body_of};
use pingtong_evidence::{ArrivalRound, Known, SequenceSet};
use rusqlite::{OptionalExtension, Transaction, params};
use std::collections::BTreeMap;

/// Merges a part with what is stored of the same round by the same observer, and stores the result.
pub(super) fn keep_whole(db: &Transaction<'_>, part: &ArrivalRound, now: i64) -> Result<(), StoreError> {
    let fail = StoreError::of("keep a report");
    let (agent, round, observer) = (part.key.agent.as_str(), part.key.round.signed(), part.observer.as_str());
    let earlier: Option<String> = db
        .prepare_cached("SELECT body FROM arrival WHERE agent = ?1 AND round = ?2 AND observer = ?3")
        .and_then(|mut select| select.query_row(params![agent, round, observer], |row| row.get(0)).optional())
        .map_err(&fail)?;
    let earlier: Option<ArrivalRound> = earlier
        .map(|body| serde_json::from_str(&body).map_err(|source| StoreError::Body { what: "arrival round", source }))
        .transpose()?;
    let whole = earlier.map_or_else(|| part.clone(), |earlier| unite(earlier, part));
    keep_row(db, part, &body_of("arrival round", &whole)?, now)
}

/// Stores arrivals in place of earlier ones of the same number by the same observer; `body` is their JSON.
pub(super) fn keep_row(db: &Transaction<'_>, part: &ArrivalRound, body: &str, now: i64) -> Result<(), StoreError> {
    let (agent, round, observer) = (part.key.agent.as_str(), part.key.round.signed(), part.observer.as_str());
    db.prepare_cached(
        "INSERT OR REPLACE INTO arrival (agent, round, observer, kept_at, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )
    .and_then(|mut insert| insert.execute(params![agent, round, observer, now, body]))
    .map(drop)
    .map_err(StoreError::of("keep a report"))
}

/// Merges two parts of the same round by the same observer.
fn unite(mut whole: ArrivalRound, part: &ArrivalRound) -> ArrivalRound {
    // How long the observer had been watching is taken from the earliest part.
    if part.first_at < whole.first_at {
        whole.watching_ms = part.watching_ms;
    }
    whole.first_at = whole.first_at.min(part.first_at);
    whole.last_at = whole.last_at.max(part.last_at);
    if whole.interface.is_empty() {
        whole.interface.clone_from(&part.interface);
    }
    whole.on_wire = unite_known(&whole.on_wire, &part.on_wire);
    whole.accepted = unite_known(&whole.accepted, &part.accepted);
    whole.replied = unite_known(&whole.replied, &part.replied);
    let mut elsewhere: BTreeMap<String, SequenceSet> = whole.replied_elsewhere.into_iter().collect();
    for (interface, probes) in &part.replied_elsewhere {
        let united = elsewhere.get(interface).map_or_else(|| probes.clone(), |earlier| earlier.union(probes));
        elsewhere.insert(interface.clone(), united);
    }
    whole.replied_elsewhere = elsewhere.into_iter().collect();
    whole.own_drops = whole.own_drops.saturating_add(part.own_drops);
    whole
}

fn unite_known(whole: &Known<SequenceSet>, part: &Known<SequenceSet>) -> Known<SequenceSet> {
    match (whole, part) {
        (Known::Known(one), Known::Known(other)) => Known::Known(one.union(other)),
        (Known::Unknown(why), _) | (_, Known::Unknown(why)) => Known::Unknown(why.clone()),
    }
}
