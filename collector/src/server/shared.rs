//! State that all request handlers share: the roster, the revision of the plan, the current request for fresh evidence.
//!
//! A new revision is stored before agents can see it. Therefore, after a restart, no agent mistakes a new plan for one
//! that it already has.

use crate::{
    clock, credential,
    keeper::Keeper,
    plan::{
        budget::{self, Allotment},
        roster::Roster,
    },
    server::{gathering::Gathering, grants::Grants},
    settings::{ExpectedLink, Settings},
    store::{AgentRow, StoreError},
};
use pingtong_evidence::{
    AccountId, AgentId, LinkId, PairId, Plan, PlanLoad, RegionId, ReportBody, RequestTag, Side, Snapshot, Timestamp,
};
use pingtong_verdict::{State, spec_bits_per_s};
use prometheus_client::metrics::counter::Counter;
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

const REVISION: &str = "plan-revision";
/// Number of stored snapshots per account and region that are read at start to learn the bandwidth of links.
const SPEC_READERS: u32 = 8;

/// State shared by all handlers and the run loop.
pub(crate) struct ServerState {
    /// The settings.
    pub(crate) settings: Settings,
    /// Access to the store.
    pub(crate) keeper: Keeper,
    /// The administrator's token.
    pub(crate) admin: SecretString,
    /// Readers of the accounts whose owners grant the collector a role.
    pub(crate) grants: Grants,
    /// Cancelled when the program ends, so that long polls return at once.
    pub(crate) stop: CancellationToken,
    /// Event counters for `/metrics`.
    pub(crate) counters: Counters,
    planned: RwLock<Arc<Planned>>,
    revision: watch::Sender<u64>,
    fresh: Mutex<BTreeMap<AgentId, RequestTag>>,
    /// The load of the current request, and the agent that sends it.
    load: Mutex<Option<(AgentId, PlanLoad)>>,
    gathering: Mutex<Option<(Instant, Gathering)>>,
    /// Notified whenever the current gathering may be complete.
    gathered: Notify,
    seen: Mutex<BTreeMap<AgentId, Timestamp>>,
    states: Mutex<BTreeMap<PairId, State>>,
    /// Bandwidth of each link in bits per second, as each side's configuration specifies it.
    specs: Mutex<BTreeMap<(LinkId, Side), u64>>,
    /// Allows one request for fresh evidence at a time: a second one would make agents drop the first.
    pub(crate) one_at_a_time: tokio::sync::Mutex<()>,
    /// Allows one change of the roster at a time.
    refreshing: tokio::sync::Mutex<()>,
    /// Allows one change of the revision at a time, so that no revision is visible before it is stored.
    bumping: tokio::sync::Mutex<()>,
}

/// Event counts since the start of the program.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Reports that were stored. One that an agent sends again counts once.
    pub(crate) reports_accepted: Counter,
    /// Reports that validation rejected permanently.
    pub(crate) reports_rejected: Counter,
    /// Requests rejected because they carry no valid credential.
    pub(crate) unauthorised: Counter,
    /// Batches that could not be stored.
    pub(crate) keep_failed: Counter,
    /// Requests of operators for fresh evidence.
    pub(crate) verifications: Counter,
}

/// The roster, the nonce keys of its agents, and what their probes may use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Planned {
    /// Pairs and probe targets.
    pub(crate) roster: Roster,
    /// Probe budgets of the links, and the share of each agent.
    pub(crate) allotment: Allotment,
    /// The enrolled agents.
    pub(crate) agents: Vec<AgentId>,
    keys: BTreeMap<AgentId, String>,
}

impl ServerState {
    /// Creates the shared with a revision above every earlier one.
    ///
    /// # Errors
    /// If the store cannot be read or written, or the kernel returns no random numbers for a nonce key.
    pub(crate) async fn start(
        settings: Settings,
        keeper: Keeper,
        admin: SecretString,
        grants: Grants,
    ) -> Result<Self, StoreError> {
        let kept = keeper.read(|store| store.word(REVISION)).await?;
        let last: u64 = kept.and_then(|text| text.parse().ok()).unwrap_or(0);
        let shared = Self {
            settings,
            keeper,
            admin,
            grants,
            stop: CancellationToken::new(),
            counters: Counters::default(),
            planned: RwLock::default(),
            revision: watch::Sender::new(last),
            fresh: Mutex::default(),
            load: Mutex::default(),
            gathering: Mutex::default(),
            gathered: Notify::new(),
            seen: Mutex::default(),
            states: Mutex::default(),
            specs: Mutex::default(),
            one_at_a_time: tokio::sync::Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
            bumping: tokio::sync::Mutex::default(),
        };
        shared.bump().await?;
        for place in places_of(&shared.settings.links) {
            let before = clock::now();
            let (account, region) = place;
            let read =
                move |store: &mut crate::store::Store| store.snapshots_before(&account, &region, before, SPEC_READERS);
            let kept = shared.keeper.read(read).await?;
            shared.learn_specs(kept.iter().rev().map(Arc::as_ref));
        }
        shared.refresh().await?;
        Ok(shared)
    }

    /// The current roster.
    pub(crate) fn planned(&self) -> Arc<Planned> {
        self.planned.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Derives roster, keys and allotment again; if any of them changed, makes a new revision. This also picks up
    /// enrolments made by another process.
    ///
    /// # Errors
    /// If the store cannot be read or written, or the kernel returns no random numbers for a nonce key.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        let _one = self.refreshing.lock().await;
        let agents = self.keeper.read(|store| store.agents()).await?;
        let roster = Roster::derive(&self.settings.links, &agents);
        let keys = self.keys_of(&roster, &agents).await?;
        let allotment = self.allot(&roster);
        let planned = Planned { roster, allotment, agents: agents.into_iter().map(|agent| agent.id).collect(), keys };
        if *self.planned() == planned {
            return Ok(());
        }
        if planned.roster.left_out > 0 {
            tracing::warn!(pairs.left_out = planned.roster.left_out, "too many pairs; narrow the expectations");
        }
        tracing::info!(pairs = planned.roster.pairs.len(), agents = planned.agents.len(), "the plan changed");
        *self.planned.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(planned);
        self.bump().await
    }

    /// The current plan of one agent; `None` if the agent is no longer enrolled.
    pub(crate) fn plan_of(&self, agent: &AgentId) -> Option<Plan> {
        // Read the revision first: after a change in between, the agent asks once more and misses nothing.
        let revision = *self.revision.borrow();
        let planned = self.planned();
        let fresh = lock(&self.fresh).get(agent).cloned();
        let load = lock(&self.load).clone().filter(|(sender, _)| sender == agent).map(|(_, load)| load);
        let shares = planned.allotment.shares.get(agent).map_or(&[][..], Vec::as_slice);
        let key = planned.keys.get(agent)?;
        let mut plan = planned.roster.plan_of(agent, revision, key, shares, budget::careful(shares), clock::now())?;
        (plan.fresh, plan.load) = (fresh, load);
        plan.steady.probes = plan.steady.probes.min(self.settings.steady_probes);
        Some(plan)
    }

    /// Allots the probe budgets by the bandwidths that are known now.
    fn allot(&self, roster: &Roster) -> Allotment {
        let specs = lock(&self.specs).clone();
        // The initiator's specification decides for both ends (`SEMANTICS.md` §3.1.1).
        let spec = |link: &LinkId| Side::BOTH.iter().find_map(|side| specs.get(&(link.clone(), *side)).copied());
        let links = &self.settings.links;
        let known = links.iter().map(|expected| &expected.link.id).filter_map(|id| Some((id.clone(), spec(id)?)));
        let settings = &self.settings;
        budget::allot(roster, links, &known.collect(), &settings.budgets, settings.steady_probes)
    }

    /// Records the bandwidths in snapshots, given oldest first. Returns whether one changed, so that the plan must be
    /// derived again.
    pub(crate) fn learn_specs<'s>(&self, snapshots: impl Iterator<Item = &'s Snapshot>) -> bool {
        let mut changed = false;
        let mut specs = lock(&self.specs);
        for snapshot in snapshots {
            for link in self.settings.links.iter().map(|expected| &expected.link) {
                for side in Side::BOTH {
                    if let Some(bits_per_s) = spec_bits_per_s(link, side, snapshot) {
                        changed |= specs.insert((link.id.clone(), side), bits_per_s) != Some(bits_per_s);
                    }
                }
            }
        }
        changed
    }

    /// Subscribes to the revision, to wait until the plan changes.
    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Begins a request for fresh evidence and wakes the agents.
    ///
    /// # Errors
    /// If the new revision cannot be stored.
    pub(crate) async fn ask(
        &self,
        gathering: Gathering,
        agents: &[AgentId],
        load: Option<(AgentId, PlanLoad)>,
    ) -> Result<(), StoreError> {
        let tag = gathering.tag().clone();
        *lock(&self.load) = load;
        *lock(&self.gathering) = Some((Instant::now(), gathering));
        lock(&self.fresh).extend(agents.iter().map(|agent| (agent.clone(), tag.clone())));
        self.bump().await
    }

    fn with_gathering(&self, change: impl FnOnce(u64, &mut Gathering)) {
        if let Some((begun_at, gathering)) = lock(&self.gathering).as_mut() {
            change(elapsed_ms(*begun_at), gathering);
        }
        self.gathered.notify_waiters();
    }

    /// Waits until the current request is complete, until `deadline_ms` after its start, or until the program ends.
    pub(crate) async fn await_gathering(&self, deadline_ms: u64) {
        loop {
            // Created before the check, so that a notification in between is not missed.
            let gathered = self.gathered.notified();
            let next = lock(&self.gathering).as_ref().and_then(|(begun_at, gathering)| {
                Some(*begun_at + Duration::from_millis(gathering.next_deadline_ms(elapsed_ms(*begun_at), deadline_ms)?))
            });
            let Some(next) = next else { return };
            tokio::select! {
                () = gathered => {}
                () = tokio::time::sleep_until(next) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Passes the stored reports of an agent to the current request; the flag says whether an agent runs at the round's
    /// target.
    pub(crate) fn note<'b>(&self, agent: &AgentId, bodies: impl Iterator<Item = (&'b ReportBody, bool)>) {
        self.with_gathering(|now_ms, gathering| {
            for (body, observed) in bodies {
                gathering.note(now_ms, agent, body, observed);
            }
        });
    }

    /// Ends the current request and returns its gathering.
    pub(crate) fn end_gathering(&self) -> Option<Gathering> {
        lock(&self.fresh).clear();
        *lock(&self.load) = None;
        lock(&self.gathering).take().map(|(_, gathering)| gathering)
    }

    /// Reads the accounts of these links that grant a role, and stores the snapshots beside those that agents report.
    ///
    /// # Errors
    /// If the store fails. A refused role or call is not an error.
    pub(crate) async fn read_granted(
        &self,
        links: &[&ExpectedLink],
        request: Option<&RequestTag>,
        within: Duration,
    ) -> Result<(), StoreError> {
        let snapshots = tokio::select! {
            snapshots = self.grants.gather(links, request, within) => snapshots,
            () = self.stop.cancelled() => return Ok(()),
        };
        if snapshots.is_empty() {
            return Ok(());
        }
        let changed = self.learn_specs(snapshots.iter());
        self.keeper.write(move |store| store.keep_snapshots(&snapshots, clock::now())).await?;
        if changed { self.refresh().await } else { Ok(()) }
    }

    /// The states of the pairs at the latest look.
    pub(crate) fn states(&self) -> BTreeMap<PairId, State> {
        lock(&self.states).clone()
    }

    /// Records the states of the pairs.
    pub(crate) fn set_states(&self, states: BTreeMap<PairId, State>) {
        *lock(&self.states) = states;
    }

    /// Records that an agent sent a request.
    pub(crate) fn saw(&self, agent: &AgentId, now: Timestamp) {
        lock(&self.seen).insert(agent.clone(), now);
    }

    /// When agents were last seen, since the start of the program.
    pub(crate) fn seen(&self) -> BTreeMap<AgentId, Timestamp> {
        lock(&self.seen).clone()
    }

    async fn bump(&self) -> Result<(), StoreError> {
        let _one = self.bumping.lock().await;
        let next = self.revision.borrow().saturating_add(1);
        self.keeper.write(move |store| store.set_word(REVISION, &next.to_string())).await?;
        self.revision.send_replace(next);
        Ok(())
    }

    async fn keys_of(&self, roster: &Roster, agents: &[AgentRow]) -> Result<BTreeMap<AgentId, String>, StoreError> {
        let mut keys = BTreeMap::new();
        for agent in agents {
            let word = match roster.key_links.get(&agent.id) {
                Some(link) => format!("nonce-key:{link}"),
                None => "nonce-key".to_owned(),
            };
            let wanted = word.clone();
            let known = self.keeper.read(move |store| store.word(&wanted)).await?;
            let key = if let Some(key) = known {
                key
            } else {
                let fresh = credential::generate().map_err(StoreError::Random)?;
                self.keeper.write(move |store| store.word_or_insert(&word, fresh.expose_secret())).await?
            };
            keys.insert(agent.id.clone(), key);
        }
        Ok(keys)
    }
}

fn places_of(links: &[ExpectedLink]) -> BTreeSet<(AccountId, RegionId)> {
    let sides = links.iter().flat_map(|expected| Side::BOTH.map(|side| expected.link.side(side)));
    sides.map(|side| (side.account.clone(), side.region.clone())).collect()
}

fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Locks and ignores poisoning: if another holder panicked, the plain values that it left stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
