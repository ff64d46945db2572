//! Engine, prober and ledger joined: what every command that probes drives.

use crate::{
    clock::Clock,
    engine::{Engine, Handed},
};
use pingtong_evidence::{AgentId, ArrivalRound, ProbeRound};
use pingtong_probe::{
    ArrivalLedger, BucketKey, Counters, Input, NonceKey, Now, Output, Prober, ProberSettings, RoundOrder, SendProbe,
    Sighting, Unsent, WhyUnsent,
};
use std::{collections::BTreeMap, time::Duration};

/// Probes handed over before the sockets are read again, so that replies do not pile up behind a burst.
const SEND_MAX: usize = 64;
/// Rounds given out before the caller gets its turn.
const CLOSE_MAX: usize = 64;
/// Between two looks at leisure while answers are to come, and while only others' probes can: the kernel's stamps tell
/// when packets came. What its queues cannot hold for so long (10 000 arrivals a second) it drops, and tells.
const LOOK: Duration = Duration::from_millis(100);
const LOOK_AT_REST: Duration = Duration::from_millis(200);

/// What came of driving.
#[derive(Debug, Default)]
pub struct Yield {
    /// Rounds that are over.
    pub rounds: Vec<ProbeRound>,
    /// Arrivals that are due.
    pub arrivals: Vec<ArrivalRound>,
}

/// The three together.
#[derive(Debug)]
pub struct Probing {
    clock: Clock,
    engine: Engine,
    prober: Prober,
    ledger: ArrivalLedger,
    /// Whether rounds that nobody asked for may end a moment later, so that less is spent on waking for them.
    steady: bool,
}

impl Probing {
    /// At rest.
    pub fn new(clock: Clock, engine: Engine, agent: AgentId, key: NonceKey, rate_pps_max: u32) -> Self {
        let prober = Prober::new(ProberSettings {
            agent: agent.clone(),
            key,
            rate_pps_max,
            window: engine.window(),
            seed: seed(),
            started: clock.now(),
            wire: engine.observers().wire,
        });
        let ledger = ArrivalLedger::new(agent, engine.observers(), clock.now());
        Self { clock, engine, prober, ledger, steady: false }
    }

    /// The same for work that goes on for ever: packets are read at leisure while nobody waits for a round.
    #[must_use]
    pub fn steady(self) -> Self {
        Self { steady: true, ..self }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What did not go as planned.
    pub fn counters(&self) -> Counters {
        self.prober.counters()
    }

    /// Rounds under way.
    pub fn rounds(&self) -> usize {
        self.prober.rounds()
    }

    /// Begins a round now.
    pub fn start(&mut self, order: RoundOrder) {
        self.prober.handle(self.clock.now(), Input::Start(order));
    }

    /// Takes the plan's key, senders and budgets, the latter in bits per second.
    pub fn plan(&mut self, key: NonceKey, senders: Vec<AgentId>, buckets: BTreeMap<BucketKey, u64>) {
        let now = self.clock.now();
        self.prober.handle(now, Input::Rekey(key.clone()));
        self.prober.handle(now, Input::Buckets(buckets));
        self.ledger.handle(now, Sighting::Plan { key, senders });
    }

    /// Takes what another socket than the engine's saw arrive or leave.
    pub fn sight(&mut self, sighting: Sighting<'_>) {
        self.ledger.handle(self.clock.now(), sighting);
    }

    /// Ends everything and gives out what there is.
    pub fn finish(&mut self) -> Yield {
        let now = self.clock.now();
        self.engine.drain_last(&self.clock, &mut self.prober, &mut self.ledger);
        self.prober.handle(now, Input::Finish);
        self.ledger.handle(now, Sighting::Finish);
        self.pump()
    }

    /// Does what is due: reads, sends, and gives out what is over.
    pub fn pump(&mut self) -> Yield {
        self.engine.drain(&self.clock, &mut self.prober, &mut self.ledger);
        let mut out = Yield::default();
        let now = self.clock.now();
        let mut probes = vec![];
        while probes.len() < SEND_MAX && out.rounds.len() < CLOSE_MAX {
            match self.prober.poll(now) {
                Some(Output::Send(probe)) => probes.push(probe),
                Some(Output::Closed(round)) => out.rounds.push(round),
                None => break,
            }
        }
        self.send(now, &probes);
        if !probes.is_empty() && !self.is_at_leisure() {
            // That they left is there to be read at once, and would wake us otherwise.
            self.engine.drain(&self.clock, &mut self.prober, &mut self.ledger);
        }
        while let Some(arrival) = self.ledger.poll(self.clock.now()) {
            out.arrivals.push(arrival);
        }
        out
    }

    fn send(&mut self, now: Now, probes: &[SendProbe]) {
        let at = self.clock.mono();
        let machine = &mut self.prober;
        self.engine.send(probes, &mut |index, handed| {
            let Some(&SendProbe { round, sequence, .. }) = probes.get(index) else { return };
            let input = match handed {
                Handed::Taken => Input::Sent { round, sequence, at },
                Handed::Refused(errno) => Input::Unsent(Unsent { round, sequence, why: WhyUnsent::Refused(errno) }),
                Handed::NoRoom => Input::Unsent(Unsent { round, sequence, why: WhyUnsent::NoRoom }),
            };
            machine.handle(now, input);
        });
    }

    /// When [`Probing::pump`] has something to do though nothing came to be read.
    pub fn next_deadline(&self) -> Option<Duration> {
        [self.prober.next_deadline(), self.ledger.next_deadline()].into_iter().flatten().min()
    }

    /// At leisure, when to look whether something came.
    pub fn next_look(&self) -> Option<Duration> {
        let every = if self.prober.rounds() > 0 { LOOK } else { LOOK_AT_REST };
        self.is_at_leisure().then(|| self.engine.next_look(every)).flatten()
    }

    /// Waits until there is something to read; at leisure for ever, see [`Probing::next_look`].
    pub async fn readable(&mut self) {
        let leisure = self.is_at_leisure();
        self.engine.ready(leisure, &self.clock, &mut self.prober).await;
    }

    fn is_at_leisure(&self) -> bool {
        self.steady && !self.prober.is_waited_for()
    }

    /// Waits until [`Probing::pump`] has something to do. May be dropped at any time.
    pub async fn wait(&mut self) {
        let (clock, deadline) = (self.clock, self.next_deadline());
        let due = async {
            match deadline {
                Some(deadline) if deadline <= clock.mono() => {}
                Some(deadline) => tokio::time::sleep_until(clock.instant(deadline)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.readable() => {}
            () = due => {}
        }
    }

    /// How far behind its schedule the prober is.
    pub fn lag(&self) -> Duration {
        self.prober.next_deadline().map_or(Duration::ZERO, |due| {
            if due.is_zero() { Duration::ZERO } else { self.clock.mono().saturating_sub(due) }
        })
    }
}

/// Random, or the process id when the kernel gives none: it only keeps identifiers of two runs apart.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => u64::from(std::process::id()),
    }
}
