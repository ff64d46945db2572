//! The searches for the largest packets that pass, as the run loop holds them.
//!
//! A search runs for each request for fresh evidence, and rarely beside the steady rounds. The size is a matter of the path
//! and paths of one link are mostly one, so a few targets at a time are enough: the others have their turn later. What the
//! own card carries comes from the host facts; before they are read there is no search.

use pingtong_evidence::{HostFacts, PairId, ProbeRound, RequestTag, RouteOutcome};
use pingtong_probe::{RoundOrder, SizeBounds, SizeGoal, SizeSearch};
use std::{collections::BTreeMap, net::IpAddr, time::Duration};

/// Targets searched for at a time. With both ends searching, four send at most 36 kB in 60 ms, which the queue of the
/// smallest connection that is sold holds.
const SEARCHES_MAX: usize = 4;
/// Between two searches beside the steady rounds: shorter than what the collector looks at of them, so that it always has one.
const PERIOD: Duration = Duration::from_secs(8);

/// After the beginning of a burst: large packets fill a slow path at once, and then the burst could not show that it does.
const AFTER_BURST: Duration = Duration::from_millis(250);

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct PathSizes {
    running: Vec<SizeSearch>,
    /// What cards towards each peer carry.
    mtus: BTreeMap<IpAddr, u32>,
    /// What was found on a path, with what the card carried then.
    found: BTreeMap<IpAddr, (u32, SizeBounds)>,
    next_at: Duration,
    /// Nothing is sent before: the burst of probes has the path for itself first.
    quiet_until: Option<Duration>,
    turn: usize,
}

impl PathSizes {
    /// Notes what the cards carry.
    pub(crate) fn learn(&mut self, facts: &HostFacts) {
        let mtu_of = |name: &str| facts.interfaces.known()?.iter().find(|card| card.name == name).map(|card| card.mtu);
        self.mtus = facts
            .routes
            .iter()
            .filter_map(|route| match route.outcome.known()? {
                RouteOutcome::Via { interface, .. } => Some((route.to, mtu_of(interface)?)),
                RouteOutcome::Refused { .. } | RouteOutcome::Own => None,
            })
            .collect();
    }

    /// Whether the steady rounds should have a search beside them.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.next_at <= now && self.running.is_empty()
    }

    /// Begins searches, as many as may run at a time; how many.
    pub(crate) fn begin(
        &mut self,
        targets: &[(PairId, IpAddr)],
        timeout: Duration,
        request: Option<&RequestTag>,
        now: Duration,
    ) -> usize {
        self.next_at = now.saturating_add(PERIOD);
        self.quiet_until = request.map(|_| now.saturating_add(AFTER_BURST));
        let count = targets.len().min(SEARCHES_MAX);
        let mut begun = 0;
        for at in 0..count {
            let Some((pair, target)) = targets.get((self.turn + at) % targets.len()) else { continue };
            let Some(&mtu) = self.mtus.get(target) else { continue };
            let known = self.found.get(target).filter(|(had, _)| *had == mtu).map(|(_, bounds)| *bounds);
            let goal = SizeGoal { pair: pair.clone(), target: *target, request: request.cloned(), mtu, timeout, known };
            let search = SizeSearch::new(goal);
            if !search.is_over() {
                self.running.push(search);
                begun += 1;
            }
        }
        self.turn = (self.turn + count) % targets.len().max(1);
        begun
    }

    /// Takes a closed round of a search.
    pub(crate) fn take(&mut self, round: &ProbeRound) {
        for search in &mut self.running {
            if search.take(round) {
                return;
            }
        }
    }

    /// When rounds that wait may start.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.quiet_until
    }

    /// Rounds to start now.
    pub(crate) fn orders(&mut self, now: Duration) -> Vec<RoundOrder> {
        if self.quiet_until.is_some_and(|until| now < until) {
            return vec![];
        }
        self.quiet_until = None;
        self.running.iter_mut().flat_map(SizeSearch::orders).collect()
    }

    /// Forgets the searches that are over; the requests that they answered.
    pub(crate) fn finished(&mut self) -> Vec<RequestTag> {
        let mut tags = vec![];
        for search in std::mem::take(&mut self.running) {
            if !search.is_over() {
                self.running.push(search);
                continue;
            }
            let mtu = self.mtus.get(&search.target()).copied();
            match mtu.zip(search.found()) {
                Some(found) => self.found.insert(search.target(), found),
                None => self.found.remove(&search.target()),
            };
            tags.extend(search.request().cloned());
        }
        tags
    }
}
