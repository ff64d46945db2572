//! The periodic look at every pair: updates its state and the history, and logs one event for each change.
//!
//! A look takes the evidence of the last seconds except the very latest: arrivals, and the end of a round's time-out,
//! come later than the probes. That shows the state of a pair, and no more: its rounds may straddle the beginning of a
//! fault, and the configuration was read before it. When the state turns, or what the evidence blames does, the look
//! asks the agents and accounts of the link for fresh evidence, and only the verdict on that names a cause. Until then
//! the state is shown with nobody named. A changed state or a changed set of causes becomes a row of the history;
//! nothing else does.

use crate::{
    clock,
    evidence::{history, question},
    plan::budget::Allotment,
    server::{
        fresh,
        shared::{Planned, ServerState},
    },
    settings::ExpectedLink,
    store::{StoreError, VerdictRow},
};
use pingtong_evidence::{AgentId, LinkId, Pair, PairId, ProbeRound, Side, Timestamp};
use pingtong_verdict::{Bundle, Configurations, Repairs, State, Verdict, diagnose};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Evidence window of one look: ten rounds of ten probes.
const WINDOW: Duration = Duration::from_secs(10);
/// Minimum number of rounds of each flow in one look.
const ROUNDS_MIN: u32 = 3;
/// Evidence younger than this is left out: arrivals may still be in transit.
const TOO_FRESH: Duration = Duration::from_millis(1500);
/// An agent that probes reports every second; after so many missed reports it counts as silent.
const SILENT_AFTER: Duration = Duration::from_secs(15);
/// An agent without targets only fetches its plan, which may take a minute; after this time it counts as silent.
const SILENT_IDLE_AFTER: Duration = Duration::from_secs(75);
/// How long a baseline is used: it changes slowly, and reading it means reading a whole day's samples.
const USUAL_FOR: Duration = Duration::from_mins(1);
/// Older configuration says nothing about the present: five readings were missed.
const SNAPSHOT_AGE_MAX: Duration = Duration::from_mins(5);

/// How long to wait for agents that do not answer a request of the watch.
const WAIT_MS: u64 = 4_000;
/// Minimum time between two requests to the same link: a pair that flaps must not fill its link with requests.
const ASK_AGAIN_MIN: Duration = Duration::from_secs(10);
/// Time between two requests to a link of which a pair stays impaired: another cause may have come or gone.
const ASK_AGAIN: Duration = Duration::from_mins(1);

/// The results of the latest look.
#[derive(Debug)]
pub(crate) struct Watch {
    started_at: Timestamp,
    pairs: BTreeMap<PairId, PairWatch>,
    /// When the latest request to each link was answered. Rounds from before belong to what that request has judged.
    asked: BTreeMap<LinkId, Timestamp>,
    /// The baseline of each link, and when it was read.
    usual: BTreeMap<LinkId, (Timestamp, Vec<ProbeRound>)>,
    /// The compiled configuration of each link.
    configurations: Configurations,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    state: State,
    causes: Vec<String>,
}

impl Found {
    fn of(verdict: &Verdict) -> Self {
        let mut causes: Vec<String> =
            verdict.causes.iter().map(|cause| format!("{}@{}:{}", cause.code, cause.side, cause.object.id)).collect();
        causes.sort();
        Self { state: verdict.state, causes }
    }

    /// Whether the pair needs somebody to act.
    fn is_impaired(&self) -> bool {
        !self.causes.is_empty() || matches!(self.state, State::Broken | State::Degraded)
    }
}

/// What a look does with what the steady rounds of a pair show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Nothing: it is known.
    Nothing,
    /// Record it: nobody is named.
    Record,
    /// Ask for fresh evidence, and show the state until then.
    Determine,
}

/// One pair.
#[derive(Debug, Default)]
struct PairWatch {
    /// The latest row of the history.
    recorded: Option<Found>,
    /// What the steady rounds showed right after the latest request. They see less than a request does, so that this may
    /// differ from its verdict without anything having changed.
    steady: Option<Found>,
    /// Whether the latest row is the verdict on fresh evidence.
    determined: bool,
    /// Since when the cause of the present state is being determined.
    turned_at: Option<Timestamp>,
}

impl PairWatch {
    /// Decides what to do with what the steady rounds show; `asked_ago` is the time since the latest request to the link.
    fn next(&mut self, found: &Found, asked_ago: Option<Duration>) -> Next {
        let may_ask = asked_ago.is_none_or(|ago| ago >= ASK_AGAIN_MIN);
        let recorded = self.recorded.as_ref();
        let same_state = recorded.is_some_and(|recorded| recorded.state == found.state);
        if !found.is_impaired() {
            (self.turned_at, self.steady, self.determined) = (None, None, false);
            return if recorded == Some(found) { Next::Nothing } else { Next::Record };
        }
        let unchanged = recorded == Some(found) || self.steady.as_ref().is_none_or(|steady| steady == found);
        if self.determined && same_state && unchanged {
            self.steady = Some(found.clone());
            return if asked_ago.is_some_and(|ago| ago >= ASK_AGAIN) { Next::Determine } else { Next::Nothing };
        }
        if may_ask || !same_state { Next::Determine } else { Next::Nothing }
    }
}

/// Start times of the evidence of one look.
struct Windows {
    rounds: Timestamp,
    searches: Timestamp,
}

/// If a link's budget makes its rounds or its searches rare, the look covers a longer time.
fn windows(allotment: &Allotment, link: &LinkId, until: Timestamp) -> Windows {
    let before =
        |long: Duration| Timestamp::from_millis(until.as_millis() - i64::try_from(long.as_millis()).unwrap_or(0));
    let period = allotment.steady_period_ms.get(link).copied().unwrap_or(0);
    let shares = allotment.shares.values().flatten().filter(|share| share.link == *link);
    let search = shares.map(|share| share.search_period_ms).max().unwrap_or(0);
    Windows {
        rounds: before(WINDOW.max(Duration::from_millis(period) * ROUNDS_MIN)),
        searches: before(WINDOW.max(Duration::from_millis(search.into()) * 5 / 4)),
    }
}

/// Shortest time whose steady rounds are evaluated: the same minimum number of rounds.
fn shortest(allotment: &Allotment, link: &LinkId) -> Duration {
    let period = allotment.steady_period_ms.get(link).copied().unwrap_or(0);
    Duration::from_millis(period.max(1_000)) * ROUNDS_MIN
}

/// The verdict with nobody and nothing named: what is left until the evidence has been read again.
fn determining(verdict: Verdict, since: Timestamp) -> Verdict {
    Verdict {
        causes: vec![],
        suspects: vec![],
        repairs: Repairs::default(),
        onset: None,
        next_step: None,
        determining_since: Some(since),
        ..verdict
    }
}

impl Watch {
    pub(crate) fn new(started_at: Timestamp) -> Self {
        Self {
            started_at,
            pairs: BTreeMap::new(),
            asked: BTreeMap::new(),
            usual: BTreeMap::new(),
            configurations: Configurations::default(),
        }
    }

    /// Looks at every pair once.
    pub(crate) async fn look(&mut self, shared: &ServerState) -> Result<(), StoreError> {
        let now = clock::now();
        let planned = shared.planned();
        self.pairs.retain(|pair, _| planned.roster.pairs.contains_key(pair));
        let mut turned: BTreeSet<LinkId> = BTreeSet::new();
        for expected in &shared.settings.links {
            let link = &expected.link.id;
            for verdict in self.steady(shared, &planned, expected, now).await? {
                let found = Found::of(&verdict);
                let asked_ago = self.asked.get(link).map(|at| now.since(*at));
                let pair = self.pairs.entry(verdict.pair.id.clone()).or_default();
                match pair.next(&found, asked_ago) {
                    Next::Nothing => {}
                    Next::Record => self.record(shared, verdict, now).await?,
                    Next::Determine => {
                        if asked_ago.is_none_or(|ago| ago >= ASK_AGAIN_MIN) {
                            turned.insert(link.clone());
                        }
                        if pair.recorded.as_ref().is_none_or(|recorded| recorded.state != found.state) {
                            pair.determined = false;
                            let since = *pair.turned_at.get_or_insert(now);
                            self.record(shared, determining(verdict, since), now).await?;
                        }
                    }
                }
            }
        }
        self.publish(shared);
        if !turned.is_empty() {
            self.determine(shared, &turned).await?;
            self.publish(shared);
        }
        Ok(())
    }

    fn publish(&self, shared: &ServerState) {
        let state = |(pair, of): (&PairId, &PairWatch)| Some((pair.clone(), of.recorded.as_ref()?.state));
        shared.set_states(self.pairs.iter().filter_map(state).collect());
    }

    /// The verdicts that follow from the steady rounds of a link; none while too few came since the latest request.
    async fn steady(
        &mut self,
        shared: &ServerState,
        planned: &Planned,
        expected: &ExpectedLink,
        now: Timestamp,
    ) -> Result<Vec<Verdict>, StoreError> {
        let link = expected.link.id.clone();
        let until = Timestamp::from_millis(now.as_millis() - i64::try_from(TOO_FRESH.as_millis()).unwrap_or(0));
        let Windows { rounds, searches } = windows(&planned.allotment, &link, until);
        let asked = self.asked.get(&link).copied().filter(|asked| *asked > rounds);
        if asked.is_some_and(|asked| until.since(asked) < shortest(&planned.allotment, &link)) {
            return Ok(vec![]);
        }
        let (since, searches) = (asked.unwrap_or(rounds), asked.unwrap_or(searches));
        let (agents, settle_ms) = (planned.roster.agents_of(&link), shared.settings.settle_ms);
        if agents.is_empty() {
            return Ok(vec![]);
        }
        let silent = self.silent(shared, planned, now);
        let sides = Side::BOTH.map(|side| expected.link.side(side).clone());
        let wanted = expected.link.clone();
        let pairs: Vec<Pair> = planned.roster.pairs.values().filter(|pair| pair.link.id == link).cloned().collect();
        let asked_of = pairs.clone();
        let known = self.usual.get(&link).cloned();
        let (mut evidence, usual) = shared
            .keeper
            .read(move |store| {
                let mut evidence = store.evidence_of_window(&wanted.id, &agents, &sides, since, until)?;
                if searches < since {
                    store.add_searches(&wanted.id, searches, until, &mut evidence)?;
                }
                evidence.snapshots.retain(|snapshot| now.since(snapshot.finished_at) < SNAPSHOT_AGE_MAX);
                question::choose(&wanted, &mut evidence);
                question::add_history(store, &mut evidence, now, settle_ms)?;
                history::add(store, asked_of.iter(), &mut evidence)?;
                let before = history::began(&evidence).unwrap_or(since);
                let usual = match known {
                    Some((at, rounds)) if now.since(at) < USUAL_FOR => (at, rounds),
                    _ => (now, history::usual(store, &wanted.id, before)?),
                };
                evidence.earlier.extend(usual.1.iter().cloned());
                Ok((evidence, usual))
            })
            .await?;
        self.usual.insert(link.clone(), usual);
        question::measure(&link, &planned.roster, &planned.allotment, &mut evidence);
        let asked: Vec<_> = pairs.iter().map(|pair| question::context(pair, &planned.roster)).collect();
        let evidence = question::join(vec![(link, evidence)], &asked, &planned.roster, &silent, (now, settle_ms));
        Ok(self.diagnosed(Bundle::new(evidence, asked)).await)
    }

    /// Agents that should have been heard of by now.
    fn silent(&self, shared: &ServerState, planned: &Planned, now: Timestamp) -> Vec<AgentId> {
        let seen = shared.seen();
        let is_silent = |agent: &&AgentId| {
            let idle = planned.roster.targets.get(*agent).is_none_or(Vec::is_empty);
            let allowed = if idle { SILENT_IDLE_AFTER } else { SILENT_AFTER };
            now.since(*seen.get(*agent).unwrap_or(&self.started_at)) > allowed
        };
        planned.agents.iter().filter(is_silent).cloned().collect()
    }

    async fn diagnosed(&mut self, bundle: Bundle) -> Vec<Verdict> {
        let mut configurations = std::mem::take(&mut self.configurations);
        let diagnosed = tokio::task::spawn_blocking(move || {
            let verdicts: Vec<Verdict> =
                bundle.questions(&mut configurations).map(|question| diagnose(&question)).collect();
            (verdicts, configurations)
        });
        let Ok((verdicts, configurations)) = diagnosed.await else { return vec![] };
        self.configurations = configurations;
        verdicts
    }

    /// Asks the agents and accounts of these links for fresh evidence, and records the verdicts on it.
    async fn determine(&mut self, shared: &ServerState, links: &BTreeSet<LinkId>) -> Result<(), StoreError> {
        let Ok(tag) = fresh::tag() else { return Ok(()) };
        let turn = shared.one_at_a_time.lock().await;
        let planned = shared.planned();
        let pairs: Vec<Pair> =
            planned.roster.pairs.values().filter(|pair| links.contains(&pair.link.id)).cloned().collect();
        let (bundle, overloaded) = fresh::ask(shared, tag, &pairs, &BTreeSet::new(), None, WAIT_MS).await?;
        drop(turn);
        let verdicts = self.diagnosed(bundle).await;
        let now = clock::now();
        self.asked.extend(links.iter().map(|link| (link.clone(), now)));
        for verdict in verdicts {
            // What our own probes may have lost decides nothing; the next look asks again.
            if overloaded.contains(&verdict.pair.link.id) {
                continue;
            }
            let pair = self.pairs.entry(verdict.pair.id.clone()).or_default();
            (pair.turned_at, pair.steady, pair.determined) = (None, None, true);
            self.record(shared, verdict, now).await?;
        }
        Ok(())
    }

    /// Records a verdict, unless it says what the row before says.
    async fn record(&mut self, shared: &ServerState, verdict: Verdict, now: Timestamp) -> Result<(), StoreError> {
        let found = Found::of(&verdict);
        let id = verdict.pair.id.clone();
        let pair = self.pairs.entry(id.clone()).or_default();
        if pair.recorded.as_ref() == Some(&found) {
            return Ok(());
        }
        let from = pair.recorded.as_ref().map_or("new", |found| found.state.as_str());
        let (to, causes) = (found.state.as_str(), found.causes.join(" "));
        let determining = verdict.determining_since.is_some();
        match found.state {
            State::Healthy | State::Undecided => {
                tracing::info!(pair.id = %id, from, to, causes, determining, "the pair changed");
            }
            State::Degraded | State::Broken => {
                tracing::warn!(pair.id = %id, from, to, causes, determining, "the pair changed");
            }
        }
        let row = VerdictRow {
            link: verdict.pair.link.id.clone(),
            pair: id,
            at: now,
            state: to.to_owned(),
            body: serde_json::to_string(&verdict).map_err(|source| StoreError::Body { what: "verdict", source })?,
        };
        pair.recorded = Some(found);
        shared.keeper.write(move |store| store.keep_verdict(&row)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Option<Duration> = Some(Duration::from_secs(30));

    fn found(state: State, causes: &[&str]) -> Found {
        Found { state, causes: causes.iter().map(ToString::to_string).collect() }
    }

    /// A pair of which a request has found this.
    fn known(state: State, causes: &[&str]) -> PairWatch {
        PairWatch { recorded: Some(found(state, causes)), determined: true, ..PairWatch::default() }
    }

    #[test]
    fn nobody_is_named_before_fresh_evidence_is_in() {
        let mut pair = PairWatch::default();
        assert_eq!(pair.next(&found(State::Broken, &["route-missing@acceptor:vtb-1"]), None), Next::Determine);
        let mut pair = known(State::Healthy, &[]);
        assert_eq!(pair.next(&found(State::Degraded, &["loss-in-fabric@initiator:a~b"]), LATER), Next::Determine);
        assert_eq!(pair.next(&found(State::Undecided, &["ri-missing@acceptor:vpc-b"]), LATER), Next::Determine);
    }

    /// The configuration may be read for the first time after the first look.
    #[test]
    fn a_cause_that_comes_without_a_change_of_state_is_determined() {
        let mut pair = PairWatch::default();
        assert_eq!(pair.next(&found(State::Undecided, &[]), None), Next::Record);
        pair.recorded = Some(found(State::Undecided, &[]));
        assert_eq!(pair.next(&found(State::Undecided, &["ri-missing@acceptor:vpc-b"]), None), Next::Determine);
    }

    #[test]
    fn what_names_nobody_is_recorded_at_once() {
        let mut pair = PairWatch::default();
        assert_eq!(pair.next(&found(State::Healthy, &[]), None), Next::Record);
        let mut pair = known(State::Broken, &["route-missing@acceptor:vtb-1"]);
        assert_eq!(pair.next(&found(State::Healthy, &[]), Some(Duration::from_secs(1))), Next::Record);
        let mut pair = known(State::Healthy, &[]);
        assert_eq!(pair.next(&found(State::Healthy, &[]), LATER), Next::Nothing);
        assert_eq!(pair.next(&found(State::Undecided, &[]), LATER), Next::Record);
    }

    /// The steady rounds see less than a request does.
    #[test]
    fn a_difference_to_the_verdict_that_stays_is_no_change() {
        let (more, less) = (["mtu-black-hole@initiator:a~b"], ["loss-in-fabric@initiator:a~b"]);
        let mut pair = known(State::Degraded, &more);
        assert_eq!(pair.next(&found(State::Degraded, &less), LATER), Next::Nothing);
        assert_eq!(pair.next(&found(State::Degraded, &less), LATER), Next::Nothing);
        assert_eq!(pair.next(&found(State::Degraded, &[]), LATER), Next::Determine, "it changed");
        assert_eq!(pair.next(&found(State::Broken, &less), LATER), Next::Determine, "it turned");
    }

    #[test]
    fn an_impaired_pair_is_determined_again_every_minute() {
        let cause = ["route-missing@acceptor:vtb-1"];
        let mut pair = known(State::Broken, &cause);
        assert_eq!(pair.next(&found(State::Broken, &cause), Some(ASK_AGAIN / 2)), Next::Nothing);
        assert_eq!(pair.next(&found(State::Broken, &cause), Some(ASK_AGAIN)), Next::Determine);
    }
}
