//! The periodic look at every pair: updates its state and the history, and logs one event for each change.
//!
//! A look takes the evidence of the last seconds except the very latest: arrivals, and the end of a round's time-out,
//! come later than the probes. A changed state or a changed set of causes becomes a row of the history; nothing else
//! does.

use crate::{
    clock,
    evidence::{history, question},
    plan::budget::Allotment,
    server::shared::ServerState,
    store::{StoreError, VerdictRow},
};
use pingtong_evidence::{AgentId, LinkId, Pair, PairId, ProbeRound, Side, Timestamp};
use pingtong_verdict::{Configurations, State, Verdict, diagnose};
use std::{collections::BTreeMap, time::Duration};

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

/// The results of the latest look.
#[derive(Debug)]
pub(crate) struct Watch {
    started_at: Timestamp,
    last: BTreeMap<PairId, Found>,
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

impl Watch {
    pub(crate) fn new(started_at: Timestamp) -> Self {
        Self { started_at, last: BTreeMap::new(), usual: BTreeMap::new(), configurations: Configurations::default() }
    }

    /// Looks at every pair once.
    pub(crate) async fn look(&mut self, shared: &ServerState) -> Result<(), StoreError> {
        let now = clock::now();
        let planned = shared.planned();
        let seen = shared.seen();
        let silent: Vec<AgentId> = planned
            .agents
            .iter()
            .filter(|agent| {
                let idle = planned.roster.targets.get(*agent).is_none_or(Vec::is_empty);
                let allowed = if idle { SILENT_IDLE_AFTER } else { SILENT_AFTER };
                now.since(*seen.get(*agent).unwrap_or(&self.started_at)) > allowed
            })
            .cloned()
            .collect();
        let until = Timestamp::from_millis(now.as_millis() - i64::try_from(TOO_FRESH.as_millis()).unwrap_or(0));
        let mut states = BTreeMap::new();
        for expected in &shared.settings.links {
            let link = expected.link.id.clone();
            let Windows { rounds: since, searches } = windows(&planned.allotment, &link, until);
            let (agents, settle_ms) = (planned.roster.agents_of(&link), shared.settings.settle_ms);
            if agents.is_empty() {
                continue;
            }
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
            let about = (now, settle_ms);
            let evidence = question::join(vec![(link.clone(), evidence)], &asked, &planned.roster, &silent, about);
            let mut configurations = std::mem::take(&mut self.configurations);
            let diagnosed = tokio::task::spawn_blocking(move || {
                let questions = evidence.questions(&asked, &mut configurations);
                let verdicts: Vec<Verdict> = questions.map(|question| diagnose(&question)).collect();
                (verdicts, configurations)
            });
            let Ok((verdicts, configurations)) = diagnosed.await else { continue };
            self.configurations = configurations;
            for verdict in verdicts {
                states.insert(verdict.pair.id.clone(), verdict.state);
                self.note(shared, &link, &verdict, now).await?;
            }
        }
        self.last.retain(|pair, _| states.contains_key(pair));
        shared.set_states(states);
        Ok(())
    }

    async fn note(
        &mut self,
        shared: &ServerState,
        link: &LinkId,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut causes: Vec<String> =
            verdict.causes.iter().map(|cause| format!("{}@{}:{}", cause.code, cause.side, cause.object.id)).collect();
        causes.sort();
        let found = Found { state: verdict.state, causes };
        let earlier = self.last.get(&verdict.pair.id).cloned();
        if earlier.as_ref() == Some(&found) {
            return Ok(());
        }
        let pair = &verdict.pair.id;
        let (from, to, causes) =
            (earlier.map_or("new", |found| found.state.as_str()), found.state.as_str(), found.causes.join(" "));
        match found.state {
            State::Healthy | State::Undecided => tracing::info!(pair.id = %pair, from, to, causes, "the pair changed"),
            State::Degraded | State::Broken => tracing::warn!(pair.id = %pair, from, to, causes, "the pair changed"),
        }
        let row = VerdictRow {
            link: link.clone(),
            pair: pair.clone(),
            at: now,
            state: to.to_owned(),
            body: serde_json::to_string(verdict).map_err(|source| StoreError::Body { what: "verdict", source })?,
        };
        shared.keeper.write(move |store| store.keep_verdict(&row)).await?;
        self.last.insert(verdict.pair.id.clone(), found);
        Ok(())
    }
}
