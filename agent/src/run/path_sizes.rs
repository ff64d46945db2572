//! The searches for the largest packets that pass, as the run loop holds them.
//!
//! A search runs for each request for fresh evidence, and occasionally beside the steady rounds. The size is a property
//! of the path, and the targets of one link mostly share a path, so that a few targets at a time are enough; the others
//! take their turn later. The plan sets how many and how often, by the budget of each link. The MTU of this host's
//! interface comes from the host facts. A search for a request waits for the facts of the same request, because the MTU
//! may have changed since they were last read; one beside the steady rounds does not take place before any are read.

use crate::run::targets::{EchoTarget, Purpose, Targets};
use pingtong_evidence::{HostFacts, LinkId, ProbeRound, RequestTag, RouteOutcome};
use pingtong_probe::{BucketKey, RoundOrder, SizeBounds, SizeGoal, SizeSearch};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

/// Targets of one link searched at a time if the plan gives the link no share.
const SEARCHES_MAX: usize = 4;
/// Interval between two searches beside the steady rounds of such a link: shorter than the period that the collector
/// evaluates, so that the period always contains one.
const PERIOD: Duration = Duration::from_secs(8);

/// Delay after the beginning of a burst. Large packets fill a slow path at once, and then the burst could not show that
/// it fills the path.
const AFTER_BURST: Duration = Duration::from_millis(250);

/// Running searches, their schedule, and earlier results.
#[derive(Debug, Default)]
pub(crate) struct PathSizes {
    running: Vec<SizeSearch>,
    /// Searches for requests whose facts are not read yet, and those whose targets' MTU turned out to be unknown.
    waiting: Vec<Waiting>,
    dropped: Vec<RequestTag>,
    /// MTU of the interface towards each peer.
    mtus: BTreeMap<IpAddr, u32>,
    /// What was found on a path, with the MTU of the interface at that time.
    found: BTreeMap<IpAddr, (u32, SizeBounds)>,
    /// When each link's next search beside the steady rounds is due, and which of its targets has the next turn.
    links: BTreeMap<Option<LinkId>, Turn>,
    /// No probe of a search is sent before this time, so that the burst has the path to itself.
    quiet_until: Option<Duration>,
}

/// A search that waits for the host facts of its request.
#[derive(Debug)]
struct Waiting {
    target: EchoTarget,
    bucket: Option<BucketKey>,
    timeout: Duration,
    request: RequestTag,
}

#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    next_at: Duration,
    target: usize,
}

impl PathSizes {
    /// Records the MTUs of the interfaces, and begins the searches that waited for them.
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
        for waiting in std::mem::take(&mut self.waiting) {
            if facts.request.as_ref() != Some(&waiting.request) {
                self.waiting.push(waiting);
                continue;
            }
            let Waiting { target, bucket, timeout, request } = waiting;
            if !self.search(&target, bucket, timeout, Some(&request)) {
                self.dropped.push(request);
            }
        }
    }

    /// Begins searches on each link, as many as may run at a time; returns how many. Beside steady rounds, it begins
    /// only those that are due, and only while no search runs on any link.
    pub(crate) fn begin(
        &mut self,
        targets: &Targets,
        purpose: Purpose,
        timeout: Duration,
        request: Option<&RequestTag>,
        now: Duration,
    ) -> usize {
        let links: BTreeSet<Option<LinkId>> = targets.probed.iter().map(|target| target.link.clone()).collect();
        self.links.retain(|link, _| links.contains(link));
        if request.is_some() {
            self.quiet_until = Some(now.saturating_add(AFTER_BURST));
        }
        let idle = self.running.is_empty();
        let mut begun = 0;
        for link in links {
            let share = link.as_ref().and_then(|link| targets.shares.get(link));
            let period = share.map_or(PERIOD, |share| Duration::from_millis(share.search_period_ms.into()));
            let turn = self.links.entry(link.clone()).or_default();
            let count = match (purpose, share) {
                (Purpose::Steady, _) if !idle || turn.next_at > now => continue,
                (Purpose::Fresh, Some(share)) => usize::try_from(share.fresh_searches).unwrap_or(usize::MAX),
                (Purpose::Steady, Some(_)) => 1,
                (_, None) => SEARCHES_MAX,
            };
            let own: Vec<&EchoTarget> = targets.probed.iter().filter(|target| target.link == link).collect();
            let count = count.min(own.len());
            let first = turn.target;
            *turn = Turn { next_at: now.saturating_add(period), target: (first + count) % own.len().max(1) };
            let bucket = link.map(|link| BucketKey { link, fresh: purpose == Purpose::Fresh });
            for target in own.iter().cycle().skip(first).take(count) {
                if let Some(request) = request {
                    let (target, bucket, request) = ((*target).clone(), bucket.clone(), request.clone());
                    self.waiting.push(Waiting { target, bucket, timeout, request });
                    begun += 1;
                } else {
                    begun += usize::from(self.search(target, bucket.clone(), timeout, None));
                }
            }
        }
        begun
    }

    fn search(
        &mut self,
        target: &EchoTarget,
        bucket: Option<BucketKey>,
        timeout: Duration,
        request: Option<&RequestTag>,
    ) -> bool {
        let Some(&mtu) = self.mtus.get(&target.address) else { return false };
        let known = self.found.get(&target.address).filter(|(had, _)| *had == mtu).map(|(_, bounds)| *bounds);
        let (pair, address) = (target.pair.clone(), target.address);
        let goal = SizeGoal { pair, target: address, request: request.cloned(), bucket, mtu, timeout, known };
        let search = SizeSearch::new(goal);
        if search.is_over() {
            return false;
        }
        self.running.push(search);
        true
    }

    /// Takes a closed round; ignores one that belongs to no search.
    pub(crate) fn take(&mut self, round: &ProbeRound) {
        for search in &mut self.running {
            if search.take(round) {
                return;
            }
        }
    }

    /// When waiting rounds may start.
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

    /// Removes the searches that are over; returns the requests that they answered.
    pub(crate) fn finished(&mut self) -> Vec<RequestTag> {
        let mut tags = std::mem::take(&mut self.dropped);
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(routes: &serde_json::Value, mtu: u32, request: Option<&RequestTag>) -> HostFacts {
        let unknown = json!({"unknown": "not_asked"});
        let cards = json!({"known": [{"name": "eth0", "kind": "card", "up": true, "mtu": mtu}]});
        serde_json::from_value(json!({
            "schema": 1, "agent": "a", "at": 0, "metadata": unknown, "interfaces": cards, "routes": routes, "sysctls": {},
            "firewall": unknown, "counters": unknown, "container": unknown, "engine": "raw", "clock": unknown,
            "request": request,
        }))
        .unwrap()
    }

    fn begin(sizes: &mut PathSizes, purpose: Purpose, request: Option<&RequestTag>) -> usize {
        let target = EchoTarget { pair: "p1/a-b".parse().unwrap(), address: [10, 0, 0, 2].into(), link: None };
        let targets = Targets { probed: vec![target], ..Targets::default() };
        sizes.begin(&targets, purpose, Duration::from_secs(1), request, Duration::ZERO)
    }

    fn route() -> serde_json::Value {
        json!([{"to": "10.0.0.2", "outcome": {"known": {"via": {"interface": "eth0"}}}}])
    }

    const LATER: Duration = Duration::from_millis(500);

    /// On a busy host the request may come before the facts are read: the search must take place all the same.
    #[test]
    fn a_search_for_a_request_waits_for_the_facts() {
        let tag = RequestTag::parse("r1").unwrap();
        let mut sizes = PathSizes::default();
        assert_eq!(begin(&mut sizes, Purpose::Steady, None), 0, "not beside the steady rounds");
        assert_eq!(begin(&mut sizes, Purpose::Fresh, Some(&tag)), 1);
        assert_eq!((sizes.orders(LATER).len(), sizes.finished()), (0, vec![]));
        sizes.learn(&facts(&route(), 1_500, Some(&tag)));
        assert!(!sizes.orders(LATER).is_empty());
        assert_eq!(sizes.finished(), vec![], "it runs");
        let mut sizes = PathSizes::default();
        assert_eq!(begin(&mut sizes, Purpose::Fresh, Some(&tag)), 1);
        sizes.learn(&facts(&json!([]), 1_500, Some(&tag)));
        assert_eq!((sizes.orders(LATER).len(), sizes.finished()), (0, vec![tag]), "no route: it is over");
    }

    /// The facts from before say what the MTU was then.
    #[test]
    fn a_search_for_a_request_goes_up_to_the_mtu_of_now() {
        let tag = RequestTag::parse("r1").unwrap();
        let mut sizes = PathSizes::default();
        sizes.learn(&facts(&route(), 1_500, None));
        assert_eq!(begin(&mut sizes, Purpose::Fresh, Some(&tag)), 1);
        sizes.learn(&facts(&route(), 1_500, None));
        assert_eq!(sizes.orders(LATER).len(), 0, "these were not read for the request");
        sizes.learn(&facts(&route(), 8_500, Some(&tag)));
        let largest = sizes.orders(LATER).iter().map(|order| order.payload_bytes + 28).max();
        assert_eq!(largest, Some(8_500));
    }
}
