//! The agent's run loop: it owns every socket, timer and task, and ends in one way only.
//!
//! What waits for the disk, the collector or the cloud runs beside the loop on a separate thread, so that the loop does
//! nothing but probe, and a probe wakes one thread instead of two.
//!
//! Only a signal ends it. If the collector, the metadata service or an API is down, it is retried in the background,
//! and the reports say what cannot be done.

mod alarm;
mod fresh;
mod path_sizes;
mod plan_load;
mod readings;
mod reports;
mod rounds;
mod targets;

use crate::{
    Lang,
    backoff::Backoff,
    clock::Clock,
    engine::Engine,
    facts::LoadReading,
    ports::{echo::PortEcho, probing::PortProbing, tap::PortTap},
    probing::Probing,
    run::{
        alarm::Alarm,
        fresh::FreshJobs,
        path_sizes::PathSizes,
        plan_load::LoadJob,
        targets::{Targets, port_rate},
    },
    settings::Settings,
    uplink::{
        QUEUE_MAX, Sender, Uplink, UplinkState,
        client::{Collector, CollectorError},
        outbox::Outbox,
        plan_watch::{Planned, introduce, watch_plan},
        spool::{SPOOL_BYTES_MAX, Spool},
    },
};
use pingtong_cloud::{Client, ClientSettings, Credentials, EndpointRule, MetadataClient};
use pingtong_evidence::{
    ClockFact, HostFacts, InstanceId, Known, LinkId, LoadRefusal, MetadataFact, Plan, PlanArrival, RequestTag,
    Snapshot, WatchedPort, WhyUnknown,
};
use pingtong_probe::{AgentHash, ClockWatch, NonceKey, Sighting};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    runtime::Handle,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// Maximum number of clock steps kept for the report.
const CLOCK_STEPS_MAX: usize = 16;
/// A batched read of the sockets may be this much later, to coincide with something else that is due then.
const LOOK_DELAY_MAX: Duration = Duration::from_millis(50);
/// How long background services may take to end.
const FAREWELL: Duration = Duration::from_secs(4);

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The collector's certificate cannot be used.
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

struct AgentLoop {
    settings: Settings,
    clock: Clock,
    probing: Probing,
    /// Prober of ports; the reason as text if the kernel refuses what it needs.
    ports: Result<PortProbing, String>,
    /// What observes arriving probes of ports; `None` without the capability.
    tap: Option<PortTap>,
    /// What echoes UDP probes; `None` if the kernel has no descriptor for it.
    echo: Option<PortEcho>,
    /// Ports whose connections `tap` observes.
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
    /// Runtime on which `tasks` run.
    beside: Handle,
    fresh: FreshJobs,
    sizes: PathSizes,
    loading: LoadJob,
    load_refused: Option<LoadRefusal>,
    /// Content of the packet filter that was last reported whole, and when.
    filter_sent: Option<(String, Duration)>,
    /// The same of the routing tables.
    tables_sent: Option<(String, Duration)>,
    /// Load totals of the host when its load was last reported.
    load: Option<LoadReading>,
    /// Load totals at the last two steady rounds, the older first. They cover the time before a burst of probes, whose
    /// own load is not a property of the host.
    recent: [LoadReading; 2],
    /// The two totals between which the host's load is reported to the request in progress.
    before_burst: Option<(LoadReading, LoadReading)>,
    /// Totals from which the kernel's echo requests are counted: for the request in progress, and for its own health.
    echoes_since: (Option<LoadReading>, LoadReading),
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
/// [`RunError`] if the collector's certificate or the settings of the cloud cannot be used, or signals cannot be
/// watched.
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
    if let Some(why) = engine.degraded(Lang::En) {
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
    let mut agent_loop = AgentLoop {
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
        filter_sent: None,
        tables_sent: None,
        load: None,
        recent: [LoadReading::now(), LoadReading::now()],
        before_burst: None,
        echoes_since: (None, LoadReading::now()),
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
    tracing::info!(agent.id = %agent_loop.settings.agent, collector = agent_loop.settings.collector, "the agent is at work");
    let mut alarm = Alarm::new(clock);
    loop {
        agent_loop.turn();
        let due = agent_loop.next_deadline();
        tokio::select! {
            () = agent_loop.probing.readable() => {}
            () = port_probes(&agent_loop.ports) => {}
            () = port_arrivals(agent_loop.tap.as_mut()) => {}
            () = port_echoes(agent_loop.echo.as_ref()) => {}
            Some(planned) = plans.recv() => agent_loop.take_plan(planned),
            Some(done) = agent_loop.tasks.join_next() => {
                if let Ok(done) = done {
                    agent_loop.take_done(done);
                }
            }
            () = alarm.at(due) => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("the agent ends");
    agent_loop.end();
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

/// Waits until probes of ports may have arrived; forever without a tap.
async fn port_arrivals(tap: Option<&mut PortTap>) {
    match tap {
        Some(tap) => tap.ready().await,
        None => std::future::pending().await,
    }
}

/// Waits until there may be a datagram to echo; forever without an echo.
async fn port_echoes(echo: Option<&PortEcho>) {
    match echo {
        Some(echo) => echo.ready().await,
        None => std::future::pending().await,
    }
}

/// Waits until the agent's own probes of ports may have ended; forever without a prober.
async fn port_probes(ports: &Result<PortProbing, String>) {
    match ports {
        Ok(ports) => ports.readable().await,
        Err(_) => std::future::pending().await,
    }
}

/// The client that reads this account's configuration with the instance's RAM role.
///
/// # Errors
/// Fails if the endpoint in the settings is not a valid address, or the HTTP client cannot be built.
pub fn cloud_client(settings: &Settings, metadata: &MetadataClient) -> Result<Client, pingtong_cloud::BuildError> {
    let endpoint = EndpointRule::parse(settings.cloud_endpoint.as_deref())?;
    let credentials = Credentials::instance_role(metadata.clone());
    Client::new(ClientSettings::new(settings.account.clone(), endpoint, credentials))
}

impl AgentLoop {
    /// Does everything that is due.
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
            // Every turn reads the sockets.
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

    /// Reports everything that is left. Dropping the queue's sender makes the uplink send its last batch and end.
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
