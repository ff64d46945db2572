//! Selects from the store the evidence of links and pairs that the verdict engine judges. Decides what belongs to a pair,
//! nothing else.

use crate::{
    plan::{budget::Allotment, roster::Roster},
    store::{LinkEvidence, SNAPSHOT_READERS_MAX, Store, StoreError},
};
use pingtong_evidence::{
    AgentId, Direction, Link, LinkId, LinkSide, Pair, PairId, ProbeRound, RoundKey, Side, Snapshot, Timestamp,
    WhyUnknown,
};
use pingtong_verdict::{Evidence, LinkReadings, PairContext, Probing};
use std::{cmp::Reverse, collections::BTreeSet, sync::Arc, time::Duration};

/// Maximum number of other pairs given as context; more would add size, not insight.
const PEERS_MAX: usize = 16;
/// Maximum number of earlier snapshots of the same VPCs that are checked for changes within the settling time.
const EARLIER_MAX: u32 = 16;
/// Snapshots of one VPC within this time count as taken at the same moment, so that the more complete
/// one may be preferred.
const SAME_TIME: Duration = Duration::from_secs(90);

/// Names the pairs that the configuration of a pair serves as well.
pub(crate) fn context(pair: &Pair, roster: &Roster) -> PairContext {
    let ids = |pairs: &mut dyn Iterator<Item = &Pair>| pairs.take(PEERS_MAX).map(|pair| pair.id.clone()).collect();
    PairContext {
        pair: pair.id.clone(),
        peers: ids(&mut roster.peers_of(pair)),
        elsewhere: ids(&mut roster.elsewhere_than(pair)),
    }
}

/// Joins what was read of links into the evidence about these pairs: each item once, and nothing of other pairs.
pub(crate) fn join(
    links: Vec<(LinkId, LinkEvidence)>,
    asked: &[PairContext],
    roster: &Roster,
    silent: &[AgentId],
    (asked_at, settle_ms): (Timestamp, u64),
) -> Evidence {
    let with_peers: BTreeSet<&PairId> = asked.iter().flat_map(|of| of.peers.iter().chain([&of.pair])).collect();
    let named = asked.iter().flat_map(|of| &of.elsewhere).chain(with_peers.iter().copied());
    let named: BTreeSet<&PairId> = named.collect();
    let pairs: Vec<Pair> = named.iter().filter_map(|id| roster.pairs.get(*id)).cloned().collect();
    let heard = pairs.iter().filter(|pair| with_peers.contains(&pair.id));
    let agents: BTreeSet<&AgentId> =
        heard.flat_map(|pair| Side::BOTH.map(|side| pair.endpoint(side).agent.as_ref())).flatten().collect();
    let mut readings = vec![];
    let mut snapshots: Vec<Arc<Snapshot>> = vec![];
    let mut all = LinkEvidence::default();
    for (link, of_link) in links {
        let places = of_link.snapshots.into_iter().map(|snapshot| {
            // The store hands out the same snapshot for the same row.
            snapshots.iter().position(|known| Arc::ptr_eq(known, &snapshot)).unwrap_or_else(|| {
                snapshots.push(snapshot);
                snapshots.len() - 1
            })
        });
        readings.push(LinkReadings { link, snapshots: places.collect(), probing: of_link.probing });
        all.probes.extend(of_link.probes.into_iter().filter(|round| with_peers.contains(&round.pair)));
        all.earlier.extend(of_link.earlier.into_iter().filter(|round| with_peers.contains(&round.pair)));
        all.arrivals.extend(of_link.arrivals);
        all.hosts.extend(of_link.hosts.into_iter().filter(|facts| agents.contains(&facts.agent)));
        all.healths.extend(of_link.healths.into_iter().filter(|health| agents.contains(&health.agent)));
    }
    let keys: BTreeSet<&RoundKey> = all.probes.iter().map(|round| &round.key).collect();
    all.arrivals.retain(|part| keys.contains(&part.key));
    // An agent of two links is read with both.
    all.hosts.sort_by(|one, other| (&one.agent, one.at).cmp(&(&other.agent, other.at)));
    all.hosts.dedup();
    all.healths.sort_by(|one, other| (&one.agent, one.at).cmp(&(&other.agent, other.at)));
    all.healths.dedup();
    Evidence {
        silent: silent.iter().filter(|agent| agents.contains(agent)).cloned().collect(),
        asked_at,
        settle_ms,
        pairs,
        links: readings,
        snapshots,
        probes: all.probes,
        earlier: all.earlier,
        arrivals: all.arrivals,
        hosts: all.hosts,
        healths: all.healths,
    }
}

/// Records how much of a link the probes of all its pairs used.
pub(crate) fn measure(link: &LinkId, roster: &Roster, allotment: &Allotment, evidence: &mut LinkEvidence) {
    let Some(budget) = allotment.budgets.get(link) else { return };
    let pairs = roster.pairs.values().filter(|pair| pair.link.id == *link);
    evidence.probing = Some(Probing::new(*budget, pairs, &evidence.probes));
}

/// Whether a request's probes used more of a link than they may, by the bandwidth that is known now, and partly
/// answered rounds lost some. Such losses decide nothing; another request within the budget does.
pub(crate) fn is_overloaded(evidence: &LinkEvidence, bandwidth: u64) -> bool {
    let lost = |round: &ProbeRound| {
        let answered = round.replied.union(&round.late);
        !answered.is_empty() && round.sent.missing_from(&answered) > 0
    };
    let too_much = |probing: &Probing| Direction::BOTH.iter().any(|direction| probing.exceeds(*direction, bandwidth));
    evidence.probing.as_ref().is_some_and(too_much) && evidence.probes.iter().any(lost)
}

/// Adds the newest snapshot that an operator handed over, for each VPC of the link that nothing else read for this
/// question. The verdict reports its age.
pub(crate) fn add_handed_over(store: &Store, link: &Link, evidence: &mut LinkEvidence) -> Result<(), StoreError> {
    for side in Side::BOTH.map(|side| link.side(side)) {
        if !evidence.snapshots.iter().any(|snapshot| covers(snapshot, side)) {
            evidence.snapshots.extend(store.handed_over(side)?);
        }
    }
    Ok(())
}

/// The stored snapshots by which the link's VPCs are judged if nothing is read anew: the latest until a time.
pub(crate) fn latest(store: &Store, link: &Link, until: Timestamp) -> Result<Vec<Arc<Snapshot>>, StoreError> {
    let mut evidence = LinkEvidence::default();
    for side in Side::BOTH.map(|side| link.side(side)) {
        evidence.snapshots.extend(store.snapshots_of(side, until, SNAPSHOT_READERS_MAX)?);
    }
    add_handed_over(store, link, &mut evidence)?;
    choose(link, &mut evidence);
    Ok(evidence.snapshots)
}

/// Keeps one snapshot for each VPC of the link: the agents there and the collector itself may each have taken one.
pub(crate) fn choose(link: &Link, evidence: &mut LinkEvidence) {
    let read = std::mem::take(&mut evidence.snapshots);
    for side in Side::BOTH {
        if let Some(best) = best(link, side, &read)
            && !evidence.snapshots.contains(best)
        {
            evidence.snapshots.push(Arc::clone(best));
        }
    }
}

/// The snapshot to judge a side's VPC by. The one with fewer unknowns is preferred, then the one of both of the link's
/// VPCs, then the newer one.
fn best<'s>(link: &Link, side: Side, read: &'s [Arc<Snapshot>]) -> Option<&'s Arc<Snapshot>> {
    let covering = || read.iter().filter(|snapshot| covers(snapshot, link.side(side)));
    let newest = covering().map(|snapshot| snapshot.taken_at).max()?;
    covering().filter(|snapshot| newest.since(snapshot.taken_at) <= SAME_TIME).max_by_key(|snapshot| {
        // Each failed call below whole lists (one table's entries, one group's rules) is a gap of its own. A list that
        // no route led to was not asked for, so it does not count as missing.
        let unread = snapshot.unknown_lists().filter(|why| **why != WhyUnknown::NotAsked);
        let unknowns = unread.count() + snapshot.gaps.len();
        let both = covers(snapshot, link.side(side.opposite()));
        (Reverse(unknowns), both, snapshot.taken_at, snapshot.finished_at, snapshot.sources.len())
    })
}

fn covers(snapshot: &Snapshot, side: &LinkSide) -> bool {
    snapshot.account == side.account && snapshot.region == side.region && snapshot.coverage().includes(&side.vpc)
}

/// Adds the earlier snapshots that show whether something changed within the settling time: those within it, and the
/// last one before it, of the same VPCs as each chosen one.
pub(crate) fn add_history(
    store: &Store,
    evidence: &mut LinkEvidence,
    asked_at: Timestamp,
    settle_ms: u64,
) -> Result<(), StoreError> {
    if settle_ms == 0 {
        return Ok(());
    }
    let since = asked_at.as_millis().saturating_sub(i64::try_from(settle_ms).unwrap_or(i64::MAX));
    let mut earlier = vec![];
    for chosen in &evidence.snapshots {
        let before = Timestamp::from_millis(chosen.taken_at.as_millis().saturating_sub(1));
        for snapshot in store.snapshots_like(chosen, before, EARLIER_MAX)? {
            let before_settling = snapshot.taken_at.as_millis() < since;
            earlier.push(snapshot);
            if before_settling {
                break;
            }
        }
    }
    evidence.snapshots.extend(earlier);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{AccountId, Coverage, Gap, Known, LinkKind, RegionId, Vpc, VpcId};
    use serde_json::json;

    fn link() -> Link {
        let side = |account: &str, region: &str, vpc: &str| -> LinkSide {
            serde_json::from_value(json!({"account": account, "region": region, "vpc": vpc})).unwrap()
        };
        let (initiator, acceptor) = (side("1", "r", "vpc-a"), side("2", "r", "vpc-b"));
        Link { id: LinkId::parse("p").unwrap(), kind: LinkKind::RouterInterface, initiator, acceptor }
    }

    /// A snapshot of account 1 whose only known list holds this VPC.
    fn reading(taken_s: i64, vpc: &str, gaps: usize) -> Snapshot {
        let at = Timestamp::from_millis(taken_s * 1000);
        let (account, region) = (AccountId::parse("1").unwrap(), RegionId::parse("r").unwrap());
        let mut snapshot = Snapshot::unread(account.clone(), region.clone(), at);
        let vpc: Vpc = serde_json::from_value(json!({
            "id": vpc, "cidr": "10.0.0.0/8", "router": "vrt-a", "status": "available", "provenance": 0
        }))
        .unwrap();
        snapshot.vpcs = Known::Known(vec![vpc]);
        let gap =
            Gap { account, region, action: "vpc:DescribeX".to_owned(), object: None, why: WhyUnknown::NotAsked, at };
        snapshot.gaps = vec![gap; gaps];
        snapshot
    }

    fn chosen(readings: &[Snapshot]) -> Vec<(i64, usize)> {
        let snapshots = readings.iter().cloned().map(Arc::new).collect();
        let mut evidence = LinkEvidence { snapshots, ..LinkEvidence::default() };
        choose(&link(), &mut evidence);
        evidence.snapshots.iter().map(|snapshot| (snapshot.taken_at.as_millis() / 1000, snapshot.gaps.len())).collect()
    }

    #[test]
    fn of_two_readings_of_the_same_moment_the_one_that_tells_more_counts() {
        assert_eq!(chosen(&[reading(100, "vpc-a", 0), reading(101, "vpc-a", 2)]), [(100, 0)]);
        assert_eq!(chosen(&[reading(101, "vpc-a", 0), reading(100, "vpc-a", 0)]), [(101, 0)]);
        assert_eq!(chosen(&[reading(100, "vpc-a", 2), reading(101, "vpc-other", 0)]), [(100, 2)]);
    }

    #[test]
    fn an_older_reading_is_not_preferred_for_what_it_told_then() {
        assert_eq!(chosen(&[reading(100, "vpc-a", 0), reading(191, "vpc-a", 2)]), [(191, 2)]);
    }

    /// Two VPCs of one account and region, each read by its own agent.
    #[test]
    fn each_side_has_the_newest_snapshot_that_covers_its_vpc() {
        let near = Link { acceptor: LinkSide { vpc: VpcId::parse("vpc-b").unwrap(), ..link().initiator }, ..link() };
        let chosen = |readings: &[Snapshot]| {
            let snapshots = readings.iter().cloned().map(Arc::new).collect();
            let mut evidence = LinkEvidence { snapshots, ..LinkEvidence::default() };
            choose(&near, &mut evidence);
            evidence.snapshots.iter().map(|snapshot| snapshot.taken_at.as_millis() / 1000).collect::<Vec<_>>()
        };
        let apart = [reading(100, "vpc-a", 0), reading(160, "vpc-b", 0), reading(250, "vpc-c", 0)];
        assert_eq!(chosen(&apart), [100, 160]);
        let mut all = reading(170, "vpc-a", 0);
        all.covers = Some(Coverage::All);
        assert_eq!(chosen(&[apart.as_slice(), &[all.clone()]].concat()), [170]);
        all.gaps = reading(170, "vpc-a", 1).gaps;
        assert_eq!(chosen(&[apart.as_slice(), &[all]].concat()), [100, 160]);
    }

    #[test]
    fn readings_of_other_places_are_left_out() {
        let mut elsewhere = reading(100, "vpc-a", 0);
        elsewhere.region = RegionId::parse("s").unwrap();
        assert_eq!(chosen(&[elsewhere]), []);
    }
}
