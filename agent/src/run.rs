//! The agent at work: one loop that owns every socket, timer and task, and one way out of it.
//!
//! What waits for the disk, the collector or the cloud runs beside it on a thread of its own, so that the loop does nothing
//! but probe, and one thread is woken for a probe instead of two.
//!
//! Nothing ends it but a signal: a collector, a metadata service or an API that is away is tried again in the
//! background, and what cannot be done is told in the reports.

use crate::{
    alarm::Alarm,
    backoff::Backoff,
    clock::{Clock, wall},
    collector::{Collector, CollectorError},
    engine::Engine,
    facts::{self, FactsOrder, LoadReading},
    fresh::FreshJobs,
    outbox::Outbox,
    path_sizes::PathSizes,
    plan_load::{self, LoadJob},
    plan_watch::{Planned, introduce, watch_plan},
    port_echo::PortEcho,
    port_probing::PortProbing,
    port_tap::PortTap,
    probing::{Probing, Yield},
    settings::Settings,
    spool::{SPOOL_BYTES_MAX, Spool},
    targets::{Purpose, Targets, as_flows, port_rate},
    uplink::{QUEUE_MAX, Sender, Uplink, UplinkState},
};
use pingtong_cloud::{Client, ClientSettings, Credentials, EndpointRule, GatherScope, MetadataClient, gather};
use pingtong_evidence::{
    AgentHealth, ClockFact, HostFacts, InstanceId, Known, LinkId, MetadataFact, Plan, PlanArrival, ProbeEngine,
    Protocol, Report, ReportBody, ReportId, RequestTag, Sampling, Snapshot, WatchedPort, WhyUnknown,
};
use pingtong_probe::{AgentHash, ClockWatch, NonceKey, PortOrder, RoundOrder, Sighting};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Between two reports of the agent's own health, unless there is news.
const HEALTH_PERIOD: Duration = Duration::from_secs(10);
/// A gather for fresh evidence must not outlast the asker's patience.
const FRESH_GATHER_MAX: Duration = Duration::from_millis(2_500);
const STEADY_GATHER_MAX: Duration = Duration::from_secs(30);
/// Steps of the clock kept for the report.
const CLOCK_STEPS_MAX: usize = 16;
/// A look at the sockets may be so much later, for the sake of something else that is due then.
const LOOK_DELAY_MAX: Duration = Duration::from_millis(50);
/// How long services may take to end.
const FAREWELL: Duration = Duration::from_secs(4);

/// Why an agent cannot even begin.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The collector's certificate is of no use.
    #[error(transparent)]
    Collector(#[from] CollectorError),
    /// The cloud client cannot be made from the settings.
    #[error("cannot use \"metadata\" or \"cloud_endpoint\" of the settings")]
    Cloud(#[from] pingtong_cloud::BuildError),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
}

enum Done {
    Identity(Result<MetadataFact, WhyUnknown>),
    Facts(Box<HostFacts>),
    Gathered { tag: Option<RequestTag>, snapshot: Result<Box<Snapshot>, WhyUnknown> },
}

struct Station {
    settings: Settings,
    clock: Clock,
    probing: Probing,
    /// Probes of ports; none, and why, where the kernel refuses what they need.
    ports: Result<PortProbing, String>,
    /// What sees probes of ports arrive; none without the capability.
    tap: Option<PortTap>,
    /// What echoes them; none when the kernel has no descriptor for it.
    echo: Option<PortEcho>,
    /// Ports whose connections it looks for.
    watched_ports: Vec<WatchedPort>,
    hash: AgentHash,
    metadata_client: MetadataClient,
    cloud: Client,
    metadata: Known<MetadataFact>,
    identity: watch::Sender<Option<MetadataFact>>,
    instance: watch::Sender<Option<InstanceId>>,
    outbox: Outbox,
    uplink: watch::Receiver<UplinkState>,
    plan: Option<Plan>,
    plan_clock: Option<ClockFact>,
    targets: Targets,
    tasks: JoinSet<Done>,
    /// Where these run.
    beside: Handle,
    fresh: FreshJobs,
    sizes: PathSizes,
    loading: LoadJob,
    load_refused: Option<String>,
    /// What the host had done when its load was reported last.
    load: Option<LoadReading>,
    /// The same at the latest two steady rounds, the older first: the time before a burst of probes, whose own load is no
    /// property of the host.
    recent: [LoadReading; 2],
    /// Between which two readings the host's load is reported to the request under way.
    before_burst: Option<(LoadReading, LoadReading)>,
    identity_backoff: Backoff,
    identity_at: Option<Duration>,
    gathering: bool,
    round_at: Option<Duration>,
    /// When the next steady round of each link with a share is due.
    links_due: BTreeMap<LinkId, Duration>,
    snapshot_at: Option<Duration>,
    health_at: Duration,
    watch: ClockWatch,
    steps_ms: Vec<i64>,
    lag_max: Duration,
}

/// Works until SIGTERM or SIGINT.
///
/// # Errors
/// [`RunError`] when it cannot begin.
pub async fn run(
    settings: Settings,
    engine: Engine,
    tap: Option<PortTap>,
    clock: Clock,
    beside: Handle,
) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let collector = Collector::new(&settings)?;
    let metadata_client = MetadataClient::new(settings.metadata.as_deref())?;
    let cloud = cloud_client(&settings, &metadata_client)?;
    let spool = Spool::open(&settings.spool, SPOOL_BYTES_MAX).unwrap_or_else(|error| {
        tracing::warn!(directory = %settings.spool.display(), %error, "reports are kept in memory only, the spool directory cannot be used; make it writable");
        Spool::in_memory(&settings.spool, SPOOL_BYTES_MAX)
    });
    if let Some(why) = engine.degraded() {
        tracing::warn!("{why}");
    }
    let stop = CancellationToken::new();
    let (plan_sender, mut plans) = mpsc::channel(4);
    let (report_sender, report_receiver) = mpsc::channel(QUEUE_MAX);
    let (state_sender, state) = watch::channel(UplinkState::default());
    let (identity, identity_receiver) = watch::channel(None);
    let (instance, instance_receiver) = watch::channel(None);
    let mut services = JoinSet::new();
    services.spawn_on(watch_plan(collector.clone(), clock, plan_sender, stop.clone()), &beside);
    services.spawn_on(introduce(collector.clone(), identity_receiver, stop.clone()), &beside);
    let sender =
        Sender { agent: settings.agent.clone(), account: settings.account.clone(), instance: instance_receiver };
    let uplink = Uplink { collector, sender, spool, reports: report_receiver, state: state_sender, clock };
    services.spawn_on(uplink.run(), &beside);
    let key = NonceKey::from_bytes([0; 32]);
    let mut station = Station {
        hash: AgentHash::of(&settings.agent),
        tap,
        watched_ports: vec![],
        echo: PortEcho::new(settings.udp_echo.clone())
            .inspect_err(|error| tracing::warn!(%error, "no datagram is echoed"))
            .ok(),
        ports: PortProbing::new(clock, settings.agent.clone(), key.clone(), port_rate(settings.rate_pps_max))
            .map_err(|error| format!("no probes of ports: {error}")),
        probing: Probing::new(clock, engine, settings.agent.clone(), key, settings.rate_pps_max).steady(),
        metadata_client,
        cloud,
        metadata: Known::default(),
        identity,
        instance,
        outbox: Outbox::new(report_sender),
        uplink: state,
        plan: None,
        plan_clock: None,
        targets: Targets::default(),
        tasks: JoinSet::new(),
        beside,
        fresh: FreshJobs::default(),
        sizes: PathSizes::default(),
        loading: LoadJob::default(),
        load_refused: None,
        load: None,
        recent: [LoadReading::now(), LoadReading::now()],
        before_burst: None,
        links_due: BTreeMap::new(),
        identity_backoff: Backoff::default(),
        identity_at: Some(Duration::ZERO),
        gathering: false,
        round_at: None,
        snapshot_at: None,
        health_at: Duration::ZERO,
        watch: ClockWatch::default(),
        steps_ms: vec![],
        lag_max: Duration::ZERO,
        settings,
        clock,
    };
    tracing::info!(agent.id = %station.settings.agent, collector = station.settings.collector, "the agent is at work");
    let mut alarm = Alarm::new(clock);
    loop {
        station.turn();
        let due = station.next_deadline();
        tokio::select! {
            () = station.probing.readable() => {}
            () = port_probes(&station.ports) => {}
            () = port_arrivals(station.tap.as_mut()) => {}
            () = port_echoes(station.echo.as_ref()) => {}
            Some(planned) = plans.recv() => station.take_plan(planned),
            Some(done) = station.tasks.join_next() => {
                if let Ok(done) = done {
                    station.take_done(done);
                }
            }
            () = alarm.at(due) => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("the agent ends");
    station.end();
    stop.cancel();
    let all = async { while services.join_next().await.is_some() {} };
    if tokio::time::timeout(FAREWELL, all).await.is_err() {
        tracing::warn!("ended without waiting for the collector");
    }
    Ok(())
}

fn watched(arrival: &PlanArrival) -> WatchedPort {
    WatchedPort { from: arrival.from, to: arrival.to, port: arrival.port }
}

/// Waits until probes of ports may have arrived.
async fn port_arrivals(tap: Option<&mut PortTap>) {
    match tap {
        Some(tap) => tap.ready().await,
        None => std::future::pending().await,
    }
}

/// Waits until there may be a datagram to echo.
async fn port_echoes(echo: Option<&PortEcho>) {
    match echo {
        Some(echo) => echo.ready().await,
        None => std::future::pending().await,
    }
}

/// Waits until probes of ports may have come to an end.
async fn port_probes(ports: &Result<PortProbing, String>) {
    match ports {
        Ok(ports) => ports.readable().await,
        Err(_) => std::future::pending().await,
    }
}

/// The client that reads this account's configuration with the instance's RAM role.
///
/// # Errors
/// When the settings' addresses are of no use.
pub fn cloud_client(settings: &Settings, metadata: &MetadataClient) -> Result<Client, pingtong_cloud::BuildError> {
    let endpoint = EndpointRule::parse(settings.cloud_endpoint.as_deref())?;
    let credentials = Credentials::instance_role(metadata.clone());
    Client::new(ClientSettings::new(settings.account.clone(), endpoint, credentials))
}

impl Station {
    /// Everything that is due.
    fn turn(&mut self) {
        let now = self.clock.now();
        if let Some(step) = self.watch.observe(now) {
            tracing::warn!(step_ms = step, "the clock was stepped");
            self.steps_ms.push(step);
            if self.steps_ms.len() > CLOCK_STEPS_MAX {
                self.steps_ms.remove(0);
            }
        }
        self.lag_max = self.lag_max.max(self.probing.lag());
        if let Some(echo) = &mut self.echo {
            echo.answer();
        }
        if let Some(tap) = &mut self.tap {
            let probing = &mut self.probing;
            tap.drain(self.hash, |sighting| probing.sight(sighting));
        }
        let mut out = self.probing.pump();
        if let Ok(ports) = &mut self.ports {
            out.rounds.extend(ports.pump());
        }
        self.report_yield(out);
        if self.identity_at.is_some_and(|at| at <= now.mono) {
            self.identity_at = None;
            self.ask_identity();
        }
        if self.round_at.is_some_and(|at| at <= now.mono) {
            self.steady_round(now.mono);
        }
        if self.snapshot_at.is_some_and(|at| at <= now.mono) {
            self.steady_readings(now.mono);
        }
        if self.sizes.next_deadline().is_some_and(|at| at <= now.mono) {
            self.go_on_searching();
        }
        if let Some(order) = self.loading.next(&self.fresh) {
            self.probing.start(order);
        }
        while let Some(tag) = self.fresh.facts_due(now.mono) {
            self.read_facts(Some(tag));
        }
        while let Some(tag) = self.fresh.finished() {
            tracing::debug!(request = %tag, "fresh evidence is complete");
            self.report_health(Some(tag));
        }
        if self.plan.is_some() && self.health_at <= now.mono {
            self.report_health(None);
        }
        self.outbox.turn(self.clock.mono());
    }

    fn next_deadline(&self) -> Option<Duration> {
        let health = self.plan.is_some().then_some(self.health_at);
        let due = [
            self.identity_at,
            self.round_at,
            self.snapshot_at,
            self.fresh.next_deadline(),
            self.sizes.next_deadline(),
            self.probing.next_deadline(),
            self.ports.as_ref().ok().and_then(PortProbing::next_deadline),
            self.outbox.next_deadline(),
            health,
        ];
        let due = due.into_iter().flatten().min();
        match (due, self.probing.next_look()) {
            (Some(due), Some(look)) if due > look.saturating_add(LOOK_DELAY_MAX) => Some(look),
            // Every turn looks.
            (Some(due), _) => Some(due),
            (None, look) => look,
        }
    }

    fn take_plan(&mut self, planned: Planned) {
        let Planned { plan, clock } = planned;
        self.plan_clock = clock.or(self.plan_clock);
        let key = match NonceKey::parse_hex(&plan.nonce_key) {
            Ok(key) => key,
            Err(error) => {
                tracing::warn!(%error, "the plan cannot be followed");
                return;
            }
        };
        let targets = Targets::of(&plan, &self.settings.allow, self.probing.engine().ipv6());
        if targets != self.targets {
            tracing::info!(revision = plan.revision, targets = targets.probed.len(), "a new plan");
            if !targets.refused.is_empty() {
                tracing::warn!(addresses = ?targets.refused, "not probed: outside \"allow\" of the settings");
            }
        }
        if let Ok(ports) = &mut self.ports {
            ports.rekey(key.clone());
        }
        if let Some(echo) = &mut self.echo {
            echo.plan(key.clone(), &plan.arrivals);
        }
        self.probing.plan(key, targets.senders.clone(), targets.buckets());
        let connections = self.tap.as_mut().map_or_else(Vec::new, |tap| tap.look_for(&plan.arrivals));
        self.watched_ports = connections.iter().map(watched).collect();
        self.probing.sight(Sighting::Connections(connections));
        let now = self.clock.mono();
        let first = self.plan.is_none();
        let changed = first || targets != self.targets;
        self.links_due.retain(|link, _| targets.shares.contains_key(link));
        self.targets = targets;
        let fresh = plan.fresh.clone();
        if changed {
            self.round_at = Some(now);
            self.health_at = now;
        }
        if first {
            self.snapshot_at = Some(now);
        }
        self.plan = Some(plan);
        if let Some(tag) = fresh
            && self.fresh.is_new(&tag)
        {
            self.begin_fresh(tag);
        }
    }

    fn begin_fresh(&mut self, tag: RequestTag) {
        let Some(sampling) = self.plan.as_ref().map(|plan| plan.fresh_sampling) else { return };
        let (orders, lasting) = self.targets.orders(sampling, Purpose::Fresh, self.settings.rate_pps_max, |_| true);
        let ports = self.targets.port_orders(sampling, Purpose::Fresh, |_| true);
        self.before_burst = Some((self.recent[0].clone(), LoadReading::now()));
        let rounds = self.start(as_flows(orders), Some(&tag))
            + self.start_ports(ports, Some(&tag))
            + self.search_sizes(Purpose::Fresh, sampling, Some(&tag))
            + self.plan_load(sampling, &tag);
        tracing::debug!(request = %tag, rounds, "fresh evidence is asked for");
        self.fresh.begin(tag.clone(), self.clock.mono(), rounds, lasting, self.settings.snapshot);
        if self.settings.snapshot {
            self.gather(Some(tag), FRESH_GATHER_MAX);
        }
    }

    /// Takes up the load that the plan asks for together with a request; how many rounds it will be.
    fn plan_load(&mut self, sampling: Sampling, tag: &RequestTag) -> usize {
        self.load_refused = None;
        let Some(load) = self.plan.as_ref().and_then(|plan| plan.load.clone()) else { return 0 };
        let engine = self.probing.engine().kind();
        match plan_load::allowed(&load, &self.settings, &self.targets, engine) {
            Ok((mbit, seconds)) => {
                tracing::warn!(peer.addr = %load.address, mbit, seconds, "a load of the path is asked for and allowed: it takes bandwidth from others, both ways");
                let timeout = Duration::from_millis(sampling.timeout_ms.into());
                self.loading.begin(&load, mbit, seconds, timeout, tag)
            }
            Err(why) => {
                tracing::warn!(peer.addr = %load.address, why, "a load of the path is asked for and not sent");
                self.load_refused = Some(why);
                0
            }
        }
    }

    fn steady_round(&mut self, now: Duration) {
        let Some(sampling) = self.plan.as_ref().map(|plan| plan.steady) else { return };
        let period = Duration::from_millis(sampling.period_ms.max(1).into());
        let due = self.round_at.unwrap_or(now);
        // A loop that was held up does not make up for rounds that are past.
        self.round_at = Some((due + period).max(now));
        self.lag_max = self.lag_max.max(now.saturating_sub(due));
        self.recent.swap(0, 1);
        self.recent[1] = LoadReading::now();
        let due = self.links_due_at(now);
        let due = |link: Option<&LinkId>| link.is_none_or(|link| due.contains(link));
        let (orders, _) = self.targets.orders(sampling, Purpose::Steady, self.settings.rate_pps_max, due);
        let ports = self.targets.port_orders(sampling, Purpose::Steady, due);
        self.start(orders, None);
        self.start_ports(ports, None);
        self.search_sizes(Purpose::Steady, sampling, None);
    }

    /// Links whose steady round is due; their next ones are set.
    fn links_due_at(&mut self, now: Duration) -> BTreeSet<LinkId> {
        let mut due = BTreeSet::new();
        for (link, share) in &self.targets.shares {
            let next = self.links_due.entry(link.clone()).or_insert(now);
            if *next <= now {
                let period = Duration::from_millis(share.steady.period_ms.max(1).into());
                *next = (*next + period).max(now);
                due.insert(link.clone());
            }
        }
        due
    }

    /// Begins searches for the largest packets that pass; how many there are.
    fn search_sizes(&mut self, purpose: Purpose, sampling: Sampling, tag: Option<&RequestTag>) -> usize {
        if self.probing.engine().kind() != ProbeEngine::Raw {
            return 0;
        }
        let timeout = Duration::from_millis(sampling.timeout_ms.into());
        let count = self.sizes.begin(&self.targets, purpose, timeout, tag, self.clock.mono());
        self.go_on_searching();
        count
    }

    fn go_on_searching(&mut self) {
        for order in self.sizes.orders(self.clock.mono()) {
            self.probing.start(order);
        }
        for tag in self.sizes.finished() {
            self.fresh.round_done(&tag);
        }
    }

    /// Starts rounds; how many were started.
    fn start(&mut self, orders: Vec<RoundOrder>, tag: Option<&RequestTag>) -> usize {
        if self.probing.engine().kind() == ProbeEngine::None {
            return 0;
        }
        let count = orders.len();
        for order in orders {
            self.probing.start(RoundOrder { request: tag.cloned(), ..order });
        }
        count
    }

    /// Starts rounds of probes of ports; how many were started.
    fn start_ports(&mut self, orders: Vec<PortOrder>, tag: Option<&RequestTag>) -> usize {
        let Ok(ports) = &mut self.ports else { return 0 };
        let count = orders.len();
        for order in orders {
            ports.start(PortOrder { request: tag.cloned(), ..order });
        }
        count
    }

    fn steady_readings(&mut self, now: Duration) {
        let Some(plan) = &self.plan else { return };
        self.snapshot_at = Some(now + Duration::from_millis(plan.snapshot_period_ms.max(1_000).into()));
        self.read_facts(None);
        if let Some(echo) = &mut self.echo {
            echo.retry();
        }
        if self.identity_at.is_none() && self.metadata.known().is_some() {
            self.identity_at = Some(now);
        }
        if self.settings.snapshot && !self.gathering {
            self.gathering = true;
            self.gather(None, STEADY_GATHER_MAX);
        }
    }

    fn read_facts(&mut self, request: Option<RequestTag>) {
        let (since, until) = match self.before_burst.take().filter(|_| request.is_some()) {
            Some((since, until)) => (Some(since), Some(until)),
            None => (self.load.replace(LoadReading::now()), None),
        };
        let order = FactsOrder {
            agent: self.settings.agent.clone(),
            request,
            peers: self.targets.peers.clone(),
            metadata: self.metadata.clone(),
            engine: self.probing.engine().kind(),
            watched_ports: self.watched_ports.clone(),
            observes: self.tap.iter().map(|_| Protocol::Udp).collect(),
            clock: self.clock_fact().map_or_else(Known::default, Known::Known),
            since,
            until,
        };
        self.tasks.spawn_blocking_on(move || Done::Facts(Box::new(facts::read(order, wall()))), &self.beside);
    }

    fn ask_identity(&mut self) {
        let client = self.metadata_client.clone();
        let asking = async move { Done::Identity(client.identity().await.map_err(|error| error.why())) };
        self.tasks.spawn_on(asking, &self.beside);
    }

    fn gather(&mut self, tag: Option<RequestTag>, within: Duration) {
        let (cloud, metadata_client) = (self.cloud.clone(), self.metadata_client.clone());
        let (account, known) = (self.settings.account.clone(), self.metadata.known().cloned());
        let gathering = async move {
            let identity = match known {
                Some(identity) => Ok(identity),
                None => metadata_client.identity().await.map_err(|error| error.why()),
            };
            let snapshot = match identity {
                Ok(identity) => {
                    let mut scope = GatherScope::new(account, identity.region).answering(tag.clone());
                    scope.vpc = identity.vpc;
                    scope.within = within;
                    Ok(Box::new(gather(&cloud, &scope, wall).await))
                }
                Err(why) => Err(why),
            };
            Done::Gathered { tag, snapshot }
        };
        self.tasks.spawn_on(gathering, &self.beside);
    }

    fn take_done(&mut self, done: Done) {
        match done {
            Done::Identity(Ok(fact)) => {
                self.identity_backoff.reset();
                if self.metadata.known() != Some(&fact) {
                    tracing::info!(instance.id = %fact.instance, account.id = %fact.account, region = %fact.region, "the metadata service told who we are");
                    self.instance.send_replace(Some(fact.instance.clone()));
                    self.identity.send_replace(Some(fact.clone()));
                    let first = self.metadata.known().is_none();
                    self.metadata = Known::Known(fact);
                    if first && self.plan.is_some() {
                        self.snapshot_at = Some(self.clock.mono());
                    }
                }
            }
            Done::Identity(Err(why)) => {
                let wait = self.identity_backoff.next();
                self.identity_at = Some(self.clock.mono() + wait);
                // What it told earlier still holds: an instance does not become another one.
                if self.metadata.known().is_none() && self.metadata.why_unknown() != Some(&why) {
                    tracing::warn!(%why, again_in = ?wait, "the metadata service is silent; probing goes on, the account's configuration waits");
                    self.metadata = Known::Unknown(why);
                }
            }
            Done::Facts(facts) => {
                self.sizes.learn(&facts);
                if let Some(tag) = &facts.request {
                    self.fresh.facts_done(tag);
                }
                self.report(ReportBody::Host(facts));
            }
            Done::Gathered { tag, snapshot } => {
                match &tag {
                    Some(tag) => self.fresh.snapshot_done(tag),
                    None => self.gathering = false,
                }
                match snapshot {
                    Ok(snapshot) => self.report(ReportBody::Snapshot(snapshot)),
                    Err(why) => {
                        tracing::warn!(%why, "no snapshot: the region is not known without the metadata service");
                    }
                }
            }
        }
    }

    fn report_yield(&mut self, out: Yield) {
        for round in out.rounds {
            self.loading.take(&round);
            if round.dont_fragment {
                self.sizes.take(&round);
            } else if let Some(tag) = &round.request {
                self.fresh.round_done(tag);
            }
            self.report(ReportBody::Probe(round));
        }
        self.go_on_searching();
        for arrival in out.arrivals {
            self.report(ReportBody::Arrival(arrival));
        }
    }

    fn report_health(&mut self, fresh_done: Option<RequestTag>) {
        let no_ports = self.ports.as_ref().err().filter(|_| !self.targets.ports.is_empty()).cloned();
        let degraded: Vec<String> = [self.probing.engine().degraded(), self.targets.unsupported.clone(), no_ports]
            .into_iter()
            .flatten()
            .chain(self.echo.iter().flat_map(PortEcho::failed))
            .collect();
        let health = AgentHealth {
            reports_dropped: self.uplink.borrow().dropped + self.outbox.dropped(),
            probes_not_sent: self.probing.counters().probes_not_sent
                + self.ports.as_ref().map_or(0, PortProbing::not_sent),
            targets_refused: self.targets.refused.clone(),
            clock_steps_ms: self.steps_ms.clone(),
            loop_lag_ms_max: u64::try_from(std::mem::take(&mut self.lag_max).as_millis()).unwrap_or(u64::MAX),
            degraded: (!degraded.is_empty()).then(|| degraded.join("; ")),
            load_refused: if fresh_done.is_some() { self.load_refused.take() } else { self.load_refused.clone() },
            fresh_done,
        };
        self.health_at = self.clock.mono() + HEALTH_PERIOD;
        self.report(ReportBody::Health(health));
    }

    fn report(&mut self, body: ReportBody) {
        let Ok(id) = ReportId::parse(&uuid::Uuid::now_v7().to_string()) else { return };
        self.outbox.add(self.clock.mono(), Report { id, at: wall(), body });
    }

    fn clock_fact(&self) -> Option<ClockFact> {
        self.uplink.borrow().clock.or(self.plan_clock)
    }

    /// Gives everything out; dropping the queue's end tells the uplink to say farewell.
    fn end(mut self) {
        let mut out = self.probing.finish();
        if let Ok(ports) = &mut self.ports {
            out.rounds.extend(ports.finish());
        }
        self.report_yield(out);
        self.report_health(None);
        self.outbox.flush();
    }
}
