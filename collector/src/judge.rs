//! From kept evidence to the question that the verdict engine answers. Decides what belongs to a pair, nothing else.

use crate::{
    roster::Roster,
    store::{Evidence, Store, StoreError},
};
use pingtong_evidence::{AgentId, Pair, PairId, RoundKey, Side, Timestamp};
use pingtong_verdict::Question;
use std::{collections::BTreeSet, time::Duration};

/// Other pairs given as context; more add size, not insight.
const PEERS_MAX: usize = 16;
/// Earlier snapshots of one place looked at for changes within the settling time.
const EARLIER_MAX: u32 = 8;

/// The question about one pair.
pub(crate) fn question(
    pair: &Pair,
    roster: &Roster,
    evidence: &Evidence,
    silent: &[AgentId],
    asked_at: Timestamp,
    settle_ms: u64,
) -> Question {
    let mut peers = roster.peers_of(pair);
    peers.truncate(PEERS_MAX);
    let pair_ids: BTreeSet<&PairId> = peers.iter().chain([pair]).map(|pair| &pair.id).collect();
    let probes: Vec<_> = evidence.probes.iter().filter(|round| pair_ids.contains(&round.pair)).cloned().collect();
    let keys: BTreeSet<&RoundKey> = probes.iter().map(|round| &round.key).collect();
    let arrivals = evidence.arrivals.iter().filter(|part| keys.contains(&part.key)).cloned().collect();
    let agents: BTreeSet<&AgentId> =
        peers.iter().chain([pair]).flat_map(|pair| Side::BOTH.map(|side| pair.endpoint(side).agent.as_ref())).flatten().collect();
    let own: BTreeSet<&AgentId> = Side::BOTH.into_iter().filter_map(|side| pair.endpoint(side).agent.as_ref()).collect();
    let accounts = Side::BOTH.map(|side| &pair.link.side(side).account);
    Question {
        hosts: evidence.hosts.iter().filter(|facts| agents.contains(&facts.agent)).cloned().collect(),
        snapshots: evidence.snapshots.iter().filter(|snapshot| accounts.contains(&&snapshot.account)).cloned().collect(),
        silent: silent.iter().filter(|agent| own.contains(agent)).cloned().collect(),
        healths: evidence.healths.iter().filter(|health| agents.contains(&health.agent)).cloned().collect(),
        pair: pair.clone(),
        peers,
        probes,
        arrivals,
        asked_at,
        settle_ms,
    }
}

/// Adds the earlier snapshots that tell whether something changed within the settling time: those within it, and of
/// each place the last one before it.
pub(crate) fn add_history(
    store: &Store,
    evidence: &mut Evidence,
    asked_at: Timestamp,
    settle_ms: u64,
) -> Result<(), StoreError> {
    if settle_ms == 0 {
        return Ok(());
    }
    let since = asked_at.as_millis().saturating_sub(i64::try_from(settle_ms).unwrap_or(i64::MAX));
    let places: BTreeSet<_> =
        evidence.snapshots.iter().map(|snapshot| (snapshot.account.clone(), snapshot.region.clone())).collect();
    for (account, region) in places {
        let mut before_settling = false;
        for snapshot in store.snapshots_before(&account, &region, asked_at.plus(Duration::from_mins(1)), EARLIER_MAX)? {
            if before_settling {
                break;
            }
            before_settling = snapshot.taken_at.as_millis() < since;
            if !evidence.snapshots.contains(&snapshot) {
                evidence.snapshots.push(snapshot);
            }
        }
    }
    Ok(())
}
