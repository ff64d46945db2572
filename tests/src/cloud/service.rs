//! The cloud itself: the declared state over time, who may change it, and the data plane that follows it.
//!
//! Changes are serialised; a changing call returns when the data plane has applied the change. Reads wait only for
//! state changes that are due, and for the counters of links. Only this module and `metadata` read the clock of the
//! emulated cloud. `actions` decides which calls exist, `project` what they mean for packets.

use crate::cloud::{
    actions::{self, Call, Handler, MetricCall},
    calls::meter::{Meter, until_next_minute},
    calls::refusal::Refusal,
    calls::request::Request,
    data_plane::Apply,
    hand::Hand,
    http::auth,
    keyring::{AGENT_ROLE, Caller, Identity, Keyring, Keys},
    lies::Lies,
    project::project,
    settle::{next_due, settle},
    trail::{Recorded, Trail, event},
    world::{Account, World},
};
use crate::desired::Desired;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// Number of states kept for stale answers. That covers hours of a busy lab; beyond it the oldest are dropped.
const HISTORY_MAX: usize = 4096;

/// Parameters of a cloud.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Equal seeds give equal ids to equal calls.
    pub seed: u64,
    /// How long each transitional state lasts (`Connecting`, `Stopping`, …).
    pub pace: Duration,
}

/// The emulated cloud: declared state, keys, injected faults, recorded changes and link counters.
pub struct Cloud {
    apply: Arc<dyn Apply>,
    states: RwLock<States>,
    turn: Arc<tokio::sync::Mutex<()>>,
    pub(in crate::cloud) keyring: Mutex<Keyring>,
    lies: Mutex<BTreeMap<String, Lies>>,
    trail: Mutex<Trail>,
    meter: Mutex<Meter>,
    /// How long each transitional state lasts, unless the account has a pace of its own.
    pace: Mutex<Duration>,
    desired: watch::Sender<Arc<Desired>>,
    held: AtomicBool,
    changed: Notify,
}

struct States {
    current: Arc<World>,
    /// The states in order of time, the current one included, each with the time from which it is valid.
    history: VecDeque<(Timestamp, Arc<World>)>,
}

impl Cloud {
    /// An empty cloud.
    pub fn new(options: Options, apply: Arc<dyn Apply>) -> Arc<Self> {
        let current = Arc::new(World::new(options.seed));
        let history = VecDeque::from([(Timestamp::now(), Arc::clone(&current))]);
        Arc::new(Self {
            apply,
            states: RwLock::new(States { current, history }),
            turn: Arc::default(),
            keyring: Mutex::default(),
            lies: Mutex::default(),
            trail: Mutex::default(),
            meter: Mutex::default(),
            pace: Mutex::new(options.pace),
            desired: watch::Sender::new(Arc::default()),
            held: AtomicBool::new(false),
            changed: Notify::new(),
        })
    }

    /// A receiver of the data plane that must exist, updated on every change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Desired>> {
        self.desired.subscribe()
    }

    /// The declared state now.
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&self.states.read().unwrap_or_else(PoisonError::into_inner).current)
    }

    /// Opens an account with a master key and the roles of agents and of the collector.
    pub fn create_account(&self, name: &str, id: &str) -> Keys {
        let now = Timestamp::now();
        let keys = self.keyring().open_account(id, now);
        let mut states = self.states.write().unwrap_or_else(PoisonError::into_inner);
        let mut world = World::clone(&states.current);
        world.accounts.insert(id.to_owned(), Account { id: id.to_owned(), name: name.to_owned() });
        states.current = Arc::new(world);
        let current = Arc::clone(&states.current);
        states.history.push_back((now, current));
        keys
    }

    /// The master key of an account, by name or id.
    pub fn keys(&self, account: &str) -> Option<Keys> {
        let id = self.world().account(account)?.id.clone();
        self.keyring().master(&id)
    }

    /// Lets `trusted` assume a role of `account`; both by name or id.
    pub fn trust(&self, account: &str, role: &str, trusted: &str) {
        let (account, trusted) = (self.account_id(account), self.account_id(trusted));
        self.keyring().trust(&account, role, &trusted);
    }

    /// Makes a temporary key expire immediately.
    pub fn expire_key(&self, access_key_id: &str) {
        self.keyring().expire(access_key_id, Timestamp::now());
    }

    /// Disables a key, or enables it again.
    pub fn disable_key(&self, access_key_id: &str, disabled: bool) {
        self.keyring().disable(access_key_id, disabled);
    }

    /// Sets how long each transitional state lasts from now on; [`Cloud::drive`] must run.
    pub fn set_pace(&self, pace: Duration) {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = pace;
    }

    /// Replaces the faults injected into the API of an account.
    pub fn set_lies(&self, account: &str, lies: Lies) {
        let account = self.account_id(account);
        self.lies_of_all().insert(account, lies);
    }

    /// Adds to the faults injected into the API of an account.
    pub fn add_lies(&self, account: &str, lies: Lies) {
        let account = self.account_id(account);
        let mut all = self.lies_of_all();
        let told = all.remove(&account).unwrap_or_default();
        all.insert(account, told.merged(lies));
    }

    /// Applies a provider-side event to an object of an account, given by name or id.
    ///
    /// # Errors
    /// Fails if the account has no such object, if the object cannot have the status, or if the data plane cannot apply
    /// the change.
    pub async fn befall(&self, account: &str, hand: &Hand) -> anyhow::Result<()> {
        let account = self.account_id(account);
        self.edit(|world| hand.act(world, &account)).await?.map_err(anyhow::Error::msg)
    }

    /// Sets, for every account, whether rules that name a group of another VPC are stored instead of refused.
    pub async fn set_legacy_sg_auth(&self, on: bool) -> anyhow::Result<()> {
        self.edit(|world| world.legacy_sg_auth = on).await
    }

    /// Drops all states before the current one: stale answers never show an older state.
    pub fn baseline(&self) {
        let mut states = self.states.write().unwrap_or_else(PoisonError::into_inner);
        let current = Arc::clone(&states.current);
        states.history = VecDeque::from([(Timestamp::now(), current)]);
    }

    /// Stops applying changes to the data plane until [`Cloud::release`]: calls return without waiting for it.
    pub fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Applies all changes since [`Cloud::hold`] to the data plane; calls wait for it again.
    pub async fn release(&self) -> anyhow::Result<()> {
        self.held.store(false, Ordering::SeqCst);
        self.edit(|_| ()).await
    }

    /// Changes the declared state in a way that no API call offers.
    pub async fn edit<T>(&self, change: impl FnOnce(&mut World) -> T) -> anyhow::Result<T> {
        self.change(|world, _| Ok(change(world))).await.map_err(|refusal| anyhow::anyhow!(refusal.message))
    }

    /// Creates a running instance with the RAM role of agents; account by name or id.
    pub async fn create_instance(
        &self,
        account: &str,
        vswitch: &str,
        name: &str,
        address: Ipv4Addr,
        groups: &[String],
    ) -> anyhow::Result<String> {
        let order = actions::NewInstance {
            owner: self.account_id(account),
            vswitch: vswitch.to_owned(),
            name: name.to_owned(),
            address: Some(address),
            groups: groups.to_vec(),
            ram_role: AGENT_ROLE.to_owned(),
            running: true,
        };
        self.change(|world, now| actions::add_instance(world, &order, now))
            .await
            .map_err(|refusal| anyhow::anyhow!("{}: {}", refusal.code, refusal.message))
    }

    /// Carries out state changes when they are due, and reads the counters of links at the start of each minute. Needed
    /// with a pace and with a data plane; runs until dropped.
    pub async fn drive(self: Arc<Self>) {
        self.read_counters().await;
        loop {
            let now = Timestamp::now();
            let minute = Duration::try_from(until_next_minute(now)).unwrap_or_default();
            let due =
                next_due(&self.world()).map(|due| Duration::try_from(due.duration_since(now)).unwrap_or_default());
            tokio::select! {
                () = tokio::time::sleep(due.unwrap_or(Duration::MAX)), if due.is_some() => self.settle_due().await,
                () = tokio::time::sleep(minute) => self.read_counters().await,
                () = self.changed.notified() => {}
            }
        }
    }

    async fn read_counters(&self) {
        let carried = self.apply.carried().await;
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).read(Timestamp::now(), carried);
    }

    pub(in crate::cloud) fn keyring(&self) -> MutexGuard<'_, Keyring> {
        self.keyring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lies_of_all(&self) -> MutexGuard<'_, BTreeMap<String, Lies>> {
        self.lies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account_id(&self, name_or_id: &str) -> String {
        self.world().account(name_or_id).map_or_else(|| name_or_id.to_owned(), |account| account.id.clone())
    }

    /// Answers one request.
    pub(in crate::cloud) async fn answer(&self, request: &Request) -> Result<Value, Refusal> {
        let now = Timestamp::now();
        let action = request.action().ok_or_else(|| Refusal::new(400, "MissingAction", "Action is mandatory."))?;
        let version = request.version().ok_or_else(|| Refusal::new(400, "MissingVersion", "Version is mandatory."))?;
        let product = actions::product_of(version)
            .ok_or_else(|| Refusal::new(404, "InvalidVersion", "Specified parameter Version is not valid."))?;
        let handler = actions::find(product, action).ok_or_else(|| {
            let message = "Specified api is not found, please check your url and method.";
            Refusal::new(404, "InvalidAction.NotFound", message)
        })?;
        let caller = auth::verify(request, &mut self.keyring(), now)?;
        let outcome = self.handle(request, (product, action, handler), &caller, now).await;
        if handler.writes() {
            self.record(request, (product, action), &caller, &outcome);
        }
        outcome
    }

    fn record(
        &self,
        request: &Request,
        (product, action): (&str, &str),
        caller: &Caller,
        outcome: &Result<Value, Refusal>,
    ) {
        let key = auth::key_of(request).unwrap_or_default();
        let at = Timestamp::now();
        let issued = self.keyring().find(key).map_or(at, |credential| credential.issued);
        let call = Recorded { request, product, action, caller, key: (key, issued), at, outcome };
        self.trail.lock().unwrap_or_else(PoisonError::into_inner).record(&caller.account, at, event(&call));
    }

    async fn handle(
        &self,
        request: &Request,
        (product, action, handler): (&str, &str, Handler),
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let lies = self.lies_of_all().get(&caller.account).cloned().unwrap_or_default();
        let writes = handler.writes();
        let bound = matches!(caller.identity, Identity::Role { .. });
        if lies.throttles(product, action, writes) {
            let message = "Request was denied due to user flow control.";
            return Err(Refusal::new(400, "Throttling.User", message));
        }
        if bound && (writes || lies.denies(product, action)) {
            return Err(denied(product, action, caller));
        }
        if next_due(&self.world()).is_some_and(|due| due <= now) {
            self.settle_due().await;
        }
        let call = Call {
            params: &request.params,
            caller,
            now,
            as_of: lies.stale.filter(|_| bound).map_or(now, |seconds| ago(now, seconds)),
            pace: self.pace_of(&lies),
            lose_page: bound && lies.drops_page(product, action),
            legacy_sg_auth: lies.legacy_sg_auth || self.world().legacy_sg_auth,
        };
        let world = || if call.as_of < now { self.world_as_of(call.as_of) } else { self.world() };
        match handler {
            Handler::Read(read) => read(&call, &world()),
            Handler::Guest(plan) => {
                let (scripts, answer) = plan(&call, &world())?;
                for script in scripts {
                    self.apply.start(script).await.map_err(|error| {
                        let message = format!("The request processing has failed due to dispatch error: {error:#}");
                        Refusal::new(500, "InternalError.Dispatch", &message)
                    })?;
                }
                Ok(answer)
            }
            Handler::Metrics(read) => {
                self.read_counters().await;
                let world = world();
                let meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
                read(&MetricCall { call, world: &world, meter: &meter })
            }
            Handler::Trail(read) => read(&call, &self.trail.lock().unwrap_or_else(PoisonError::into_inner)),
            Handler::Write(write) => self.change(|world, _| write(&call, world)).await,
            Handler::Keys(issue) => issue(&call, &mut self.keyring()),
        }
    }

    fn pace_of(&self, lies: &Lies) -> SignedDuration {
        let own = lies.pace.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let pace = own.unwrap_or_else(|| *self.pace.lock().unwrap_or_else(PoisonError::into_inner));
        SignedDuration::try_from(pace).unwrap_or_default()
    }

    fn world_as_of(&self, at: Timestamp) -> Arc<World> {
        let states = self.states.read().unwrap_or_else(PoisonError::into_inner);
        let earlier = states.history.iter().rev().find(|(since, _)| *since <= at).or_else(|| states.history.front());
        earlier.map_or_else(|| Arc::clone(&states.current), |(_, world)| Arc::clone(world))
    }

    async fn settle_due(&self) {
        if let Err(refusal) = self.change(|_, _| Ok(())).await {
            tracing::error!(error = refusal.message, "the data plane did not follow a state change");
        }
    }

    async fn change<T>(&self, change: impl FnOnce(&mut World, Timestamp) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let now = Timestamp::now();
        let mut world = World::clone(&self.world());
        settle(&mut world, now);
        let value = change(&mut world, now)?;
        settle(&mut world, now);
        let desired = self.commit(world, now);
        self.changed.notify_one();
        if self.held.load(Ordering::SeqCst) {
            return Ok(value);
        }
        let apply = Arc::clone(&self.apply);
        #[expect(clippy::disallowed_methods, reason = "a caller that hangs up must not leave the plane half changed")]
        let applied = tokio::spawn(async move {
            let applied = apply.apply(desired).await;
            drop(turn);
            applied
        });
        match applied.await {
            Ok(Ok(())) => Ok(value),
            Ok(Err(error)) => Err(internal(&format!("{error:#}"))),
            Err(error) => Err(internal(&error.to_string())),
        }
    }

    fn commit(&self, world: World, now: Timestamp) -> Arc<Desired> {
        let desired = Arc::new(project(&world));
        let world = Arc::new(world);
        {
            let mut states = self.states.write().unwrap_or_else(PoisonError::into_inner);
            states.current = Arc::clone(&world);
            states.history.push_back((now, world));
            if states.history.len() > HISTORY_MAX {
                states.history.pop_front();
            }
        }
        self.desired.send_replace(Arc::clone(&desired));
        desired
    }
}

fn ago(now: Timestamp, seconds: u64) -> Timestamp {
    let age = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    now.checked_sub(age).unwrap_or(Timestamp::MIN)
}

fn internal(reason: &str) -> Refusal {
    Refusal::new(500, "InternalError", &format!("The data plane did not follow: {reason}"))
}

fn denied(product: &str, action: &str, caller: &crate::cloud::keyring::Caller) -> Refusal {
    let message = "User not authorized to operate on the specified resource, or this API doesn't support RAM.";
    let principal = match &caller.identity {
        Identity::Master => caller.account.clone(),
        Identity::Role { name, session } => format!("{name}:{session}"),
    };
    let detail = json!({
        "PolicyType": "AccountLevelIdentityBasedPolicy",
        "AuthPrincipalOwnerId": caller.account,
        "AuthPrincipalType": "AssumedRoleUser",
        "AuthPrincipalDisplayName": principal,
        "NoPermissionType": "ImplicitDeny",
        // RAM names actions `<product>:<ApiName>` (`API.md` §7).
        "AuthAction": format!("{product}:{action}"),
    });
    Refusal { denied: Some(detail), ..Refusal::new(403, "Forbidden.RAM", message) }
}
