//! Joins engine, prober and arrival ledger, for every command that probes by ICMP.
//!
//! It moves data between the three: packets in, probes out, finished rounds and arrivals to the caller. It does not
//! choose targets or schedule rounds; the caller starts them.

use crate::{
    clock::Clock,
    engine::{Engine, Handed},
};
use pingtong_evidence::{AgentId, ProbeRound};
use pingtong_probe::{
    ArrivalLedger, Arrived, BucketKey, Counters, Input, NonceKey, Now, Output, Prober, ProberSettings, RoundOrder,
    SendProbe, Sighting, Unsent, WhyUnsent,
};
use std::{collections::BTreeMap, time::Duration};

/// Maximum probes sent before the sockets are read again, so that replies do not pile up behind a burst.
const SEND_MAX: usize = 64;
/// Maximum rounds returned before the caller gets its turn.
const CLOSE_MAX: usize = 64;
/// Interval of batched, low-priority reads while replies are outstanding, and while only probes of other agents can
/// arrive: the kernel's timestamps show when packets arrived. What its queues cannot hold for that long (more than
/// 10 000 arrivals a second) is dropped, and the drops are reported.
const LOOK: Duration = Duration::from_millis(100);
const LOOK_AT_REST: Duration = Duration::from_millis(200);

/// Result of one call of [`Probing::pump`].
#[derive(Debug, Default)]
pub struct Yield {
    /// Rounds that are over.
    pub rounds: Vec<ProbeRound>,
    /// Arrivals that are due to be reported.
    pub arrivals: Vec<Arrived>,
}

/// Engine, prober and ledger.
#[derive(Debug)]
pub struct Probing {
    clock: Clock,
    engine: Engine,
    prober: Prober,
    ledger: ArrivalLedger,
    /// Whether rounds without a request may end slightly later, so that less is spent on wake-ups.
    steady: bool,
}

impl Probing {
    /// Creates it without rounds.
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

    /// The same for permanent work: packets are read in batches, at low priority, while no request waits for a round.
    #[must_use]
    pub fn steady(self) -> Self {
        Self { steady: true, ..self }
    }

    /// The engine in use.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Counters of what did not go as planned.
    pub fn counters(&self) -> Counters {
        self.prober.counters()
    }

    /// Rounds in progress.
    pub fn rounds(&self) -> usize {
        self.prober.rounds()
    }

    /// Begins a round now.
    pub fn start(&mut self, order: RoundOrder) {
        self.prober.handle(self.clock.now(), Input::Start(order));
    }

    /// Applies the plan's key, senders and budgets, the latter in bits per second.
    pub fn plan(&mut self, key: NonceKey, senders: Vec<AgentId>, buckets: BTreeMap<BucketKey, u64>) {
        let now = self.clock.now();
        self.prober.handle(now, Input::Rekey(key.clone()));
        self.prober.handle(now, Input::Buckets(buckets));
        self.ledger.handle(now, Sighting::Plan { key, senders });
    }

    /// Takes what a socket other than the engine's saw arrive or leave.
    pub fn sight(&mut self, sighting: Sighting<'_>) {
        self.ledger.handle(self.clock.now(), sighting);
    }

    /// Ends everything and returns what there is.
    pub fn finish(&mut self) -> Yield {
        let now = self.clock.now();
        self.engine.drain_last(&self.clock, &mut self.prober, &mut self.ledger);
        self.prober.handle(now, Input::Finish);
        self.ledger.handle(now, Sighting::Finish);
        self.pump()
    }

    /// Does what is due: reads, sends, and returns what is over.
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
            // The departures are queued already, and would cause a wake-up otherwise.
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

    /// When [`Probing::pump`] has something to do even if nothing arrives.
    pub fn next_deadline(&self) -> Option<Duration> {
        [self.prober.next_deadline(), self.ledger.next_deadline()].into_iter().flatten().min()
    }

    /// When to read the sockets next during batched, low-priority reads; `None` otherwise.
    pub fn next_look(&self) -> Option<Duration> {
        let every = if self.prober.rounds() > 0 { LOOK } else { LOOK_AT_REST };
        self.is_at_leisure().then(|| self.engine.next_look(every)).flatten()
    }

    /// Waits until there is something to read; forever during batched, low-priority reads, see [`Probing::next_look`].
    pub async fn readable(&mut self) {
        let leisure = self.is_at_leisure();
        self.engine.ready(leisure, &self.clock, &mut self.prober).await;
    }

    fn is_at_leisure(&self) -> bool {
        self.steady && !self.prober.is_waited_for()
    }

    /// Waits until [`Probing::pump`] has something to do. The future may be dropped at any time.
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

/// A random number, or the process id if the kernel provides none: it only keeps identifiers of two runs apart.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_ne_bytes(bytes),
        Err(_) => u64::from(std::process::id()),
    }
}
