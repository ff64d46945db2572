//! Ledger of the probes that arrive from other agents.
//!
//! Joins, per round, what the packet socket sees (requests received, replies sent, by interface) with what the raw
//! socket sees (requests that the guest accepted). Returns the result in parts: when a round has been quiet, or after
//! one second at most. Counts only probes whose tag verifies and whose sender the plan names. A SYN carries no tag:
//! connections that the plan expects are recorded by their source ports, and the collector, which knows the rounds,
//! matches them. Does not judge: the verdict decides what a missing probe means. Reports since when it has been
//! watching, because what it could not see is not absent: probes that arrive before the plan names their sender are
//! kept and judged when it does.

use crate::{
    AgentHash, NonceKey, Now, Payload, Segment,
    arrival_key::Key,
    connections::Connections,
    wire::{EchoKind, Heard},
};
use pingtong_evidence::{
    AgentId, ArrivalRound, ConnectionArrivals, Known, PlanArrival, RoundKey, SequenceSet, Timestamp, WhyUnknown,
};
use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

/// A part is returned when nothing was added to it for this long.
const QUIET: Duration = Duration::from_millis(250);
/// A part is returned at this age at the latest.
const PART_AGE_MAX: Duration = Duration::from_secs(1);
/// A round's interface is remembered for this long after its last packet, so that a late reply on it is not taken for a
/// reply on another interface.
const MEMORY: Duration = Duration::from_secs(5);
/// Maximum number of rounds remembered. Eight peers with two rounds per second for [`MEMORY`] need 80; beyond the
/// maximum the oldest round is removed.
const ROUNDS_MAX: usize = 4_096;
/// Maximum number of sightings kept of senders that no plan has named yet: ten bursts of 400 probes, at about 100 bytes
/// each.
const EARLY_MAX: usize = 4_096;
/// Maximum number of connections in one part; further ones make the part incomplete, which `own_drops` reports. A round
/// has forty probes; the rest are foreign connections.
const CONNECTIONS_MAX: u64 = 1_024;
/// Maximum number of interfaces distinguished per round; more do not matter.
const INTERFACES_MAX: usize = 16;

/// Which sockets observe, or why one does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observers {
    /// The packet socket.
    pub wire: Result<(), WhyUnknown>,
    /// The raw ICMP socket.
    pub raw: Result<(), WhyUnknown>,
}

/// Input of a ledger.
#[derive(Debug)]
pub enum Sighting<'a> {
    /// The plan: the tags' key and the agents that may send.
    Plan {
        /// Key of the tags.
        key: NonceKey,
        /// Agents whose probes count.
        senders: Vec<AgentId>,
    },
    /// The packet socket saw a packet.
    Wire {
        /// The packet.
        packet: Heard<'a>,
        /// The packet seen.
        interface: &'a str,
        /// Whether it was leaving.
        outgoing: bool,
    },
    /// The raw socket saw a packet: netfilter and the address checks let it in.
    Raw {
        /// The packet.
        packet: Heard<'a>,
    },
    /// All connections that the plan expects and the packet socket watches for.
    Connections(Vec<PlanArrival>),
    /// The packet socket saw a packet that opens or answers a connection.
    Segment {
        /// The packet.
        segment: Segment,
        /// On which interface.
        interface: &'a str,
        /// Whether it was leaving.
        outgoing: bool,
    },
    /// One of the sockets dropped this many packets.
    OwnDrops(u64),
    /// Close all parts now, so that [`ArrivalLedger::poll`] returns them.
    Finish,
}

#[derive(Debug, Default)]
struct Part {
    first_at: Timestamp,
    last_at: Timestamp,
    watching: Duration,
    on_wire: SequenceSet,
    accepted: SequenceSet,
    replied: BTreeMap<String, SequenceSet>,
    own_drops: u64,
}

#[derive(Debug)]
struct Entry {
    interface: String,
    /// Destination port, if the entry is of connections.
    towards: Option<u16>,
    opened: Duration,
    touched: Duration,
    /// What has not been returned yet.
    part: Option<Part>,
}

/// A probe seen before the plan named its sender.
#[derive(Debug)]
struct Early {
    at: Now,
    from: IpAddr,
    to: IpAddr,
    payload: [u8; Payload::LENGTH],
    seen: Seen,
}

/// A part that the ledger returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    /// Probes of a round.
    Round(ArrivalRound),
    /// Connections, whose round is not known here.
    Connections(ConnectionArrivals),
}

impl Arrived {
    /// What was seen; the sets of connections hold source ports.
    pub fn seen(&self) -> &ArrivalRound {
        match self {
            Self::Round(part) => part,
            Self::Connections(part) => part.seen(),
        }
    }
}

/// The ledger: takes [`Sighting`]s and returns what [`Arrived`].
#[derive(Debug)]
pub struct ArrivalLedger {
    observer: AgentId,
    observers: Observers,
    connections: Connections,
    key: Option<NonceKey>,
    senders: BTreeMap<AgentHash, AgentId>,
    entries: BTreeMap<Key, Entry>,
    early: VecDeque<Early>,
    /// Since when no early sighting has been discarded.
    since: Duration,
    ready: VecDeque<Arrived>,
}

#[derive(Debug)]
enum Seen {
    OnWire(String),
    Accepted,
    Replied(String),
}

impl ArrivalLedger {
    /// An empty ledger of `observer`, whose sockets have been open since `now`.
    pub fn new(observer: AgentId, observers: Observers, now: Now) -> Self {
        Self {
            observer,
            observers,
            connections: Connections::default(),
            key: None,
            senders: BTreeMap::new(),
            entries: BTreeMap::new(),
            early: VecDeque::new(),
            since: now.mono,
            ready: VecDeque::new(),
        }
    }

    /// Processes one sighting.
    pub fn handle(&mut self, now: Now, sighting: Sighting<'_>) {
        match sighting {
            Sighting::Plan { key, senders } => {
                self.key = Some(key);
                self.senders = senders.into_iter().map(|agent| (AgentHash::of(&agent), agent)).collect();
                for early in std::mem::take(&mut self.early) {
                    self.note(early.at, early.from, early.to, &early.payload, early.seen);
                }
            }
            Sighting::Wire { packet, interface, outgoing } => {
                let Heard::Echo { kind, from, to, payload, .. } = packet else { return };
                match (kind, outgoing) {
                    (EchoKind::Request, false) => {
                        self.note(now, from, to, payload, Seen::OnWire(interface.to_owned()));
                    }
                    (EchoKind::Reply, true) => self.note(now, to, from, payload, Seen::Replied(interface.to_owned())),
                    // The prober handles our own outgoing requests and the replies to them.
                    (EchoKind::Request, true) | (EchoKind::Reply, false) => {}
                }
            }
            Sighting::Raw { packet } => {
                if let Heard::Echo { kind: EchoKind::Request, from, to, payload, .. } = packet {
                    self.note(now, from, to, payload, Seen::Accepted);
                }
            }
            Sighting::Connections(expected) => self.connections.expect(now.mono, expected),
            Sighting::Segment { segment, interface, outgoing } => self.note_segment(now, segment, interface, outgoing),
            Sighting::OwnDrops(drops) => {
                for part in self.entries.values_mut().filter_map(|entry| entry.part.as_mut()) {
                    part.own_drops += drops;
                }
            }
            Sighting::Finish => self.flush(|_| true),
        }
    }

    /// Returns the next part that is due.
    pub fn poll(&mut self, now: Now) -> Option<Arrived> {
        if self.ready.is_empty() {
            self.flush(|entry| entry.part_due() <= now.mono);
            self.entries.retain(|_, entry| entry.part.is_some() || entry.touched.saturating_add(MEMORY) > now.mono);
        }
        self.ready.pop_front()
    }

    /// When [`ArrivalLedger::poll`] will return something next; zero if a part is ready.
    pub fn next_deadline(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        self.entries.values().filter(|entry| entry.part.is_some()).map(Entry::part_due).min()
    }

    fn note(&mut self, now: Now, from: IpAddr, to: IpAddr, payload: &[u8], seen: Seen) {
        let known = self.key.as_ref().and_then(|key| Payload::parse(payload, key));
        let Some(probe) = known.filter(|probe| self.senders.contains_key(&probe.agent)) else {
            return self.keep(now, from, to, payload, seen);
        };
        if probe.sequence >= SequenceSet::NUMBERS_MAX {
            return;
        }
        let key = Key { agent: probe.agent, round: probe.round, from, to };
        self.enter(now, key, None, self.since, probe.sequence, seen);
    }

    fn note_segment(&mut self, now: Now, segment: Segment, interface: &str, outgoing: bool) {
        let (near, far) = if outgoing { (segment.from, segment.to) } else { (segment.to, segment.from) };
        // An incoming answer or an outgoing SYN belongs to our own connections.
        if segment.answer != outgoing {
            return;
        }
        let entries = &self.entries;
        let pending = |key: &Key| entries.get(key).is_some_and(|entry| entry.part.is_some());
        let Some((key, since)) = self.connections.key(now, far.ip(), near, pending) else { return };
        let seen = if outgoing { Seen::Replied(interface.to_owned()) } else { Seen::OnWire(interface.to_owned()) };
        self.enter(now, key, Some(near.port()), since.max(self.since), far.port().into(), seen);
    }

    /// Records what was seen of a probe. `towards` is the port if it is a connection; since `since`, nothing was
    /// missed.
    fn enter(&mut self, now: Now, key: Key, towards: Option<u16>, since: Duration, number: u32, seen: Seen) {
        if !self.entries.contains_key(&key) {
            self.make_room();
        }
        let entry = self.entries.entry(key).or_insert_with(|| Entry {
            interface: String::new(),
            towards,
            opened: now.mono,
            touched: now.mono,
            part: None,
        });
        entry.touched = now.mono;
        if entry.part.is_none() {
            entry.opened = now.mono;
        }
        let watching = now.mono.saturating_sub(since);
        let part = entry.part.get_or_insert_with(|| Part { first_at: now.wall, watching, ..Part::default() });
        part.last_at = now.wall;
        if towards.is_some() && part.on_wire.len() >= CONNECTIONS_MAX && !part.on_wire.contains(number) {
            part.own_drops += 1;
            return;
        }
        match seen {
            Seen::OnWire(interface) => {
                // A bridge shows a packet twice; it came in on the NIC, which sees it first.
                if entry.interface.is_empty() {
                    entry.interface.clone_from(&interface);
                }
                part.on_wire.insert(number);
            }
            Seen::Accepted => {
                part.accepted.insert(number);
            }
            Seen::Replied(interface) => {
                if part.replied.len() < INTERFACES_MAX || part.replied.contains_key(&interface) {
                    part.replied.entry(interface).or_default().insert(number);
                }
            }
        }
    }

    /// Keeps a packet that may turn out to be one of our probes once the plan names its sender.
    fn keep(&mut self, now: Now, from: IpAddr, to: IpAddr, payload: &[u8], seen: Seen) {
        let Some(payload) = payload.first_chunk().filter(|payload| Payload::marks(*payload)) else { return };
        self.early.push_back(Early { at: now, from, to, payload: *payload, seen });
        while let Some(first) = self.early.front()
            && (self.early.len() > EARLY_MAX || first.at.mono.saturating_add(MEMORY) < now.mono)
        {
            self.since = self.since.max(first.at.mono);
            self.early.pop_front();
        }
    }

    fn make_room(&mut self) {
        if self.entries.len() < ROUNDS_MAX {
            return;
        }
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.touched).map(|(key, _)| *key);
        if let Some((key, entry)) = oldest.and_then(|key| self.entries.remove_entry(&key)) {
            self.give_out(key, entry.interface, entry.towards, entry.part);
        }
    }

    fn flush(&mut self, due: impl Fn(&Entry) -> bool) {
        let mut parts = vec![];
        for (key, entry) in &mut self.entries {
            if entry.part.is_some() && due(entry) {
                parts.push((*key, entry.interface.clone(), entry.towards, entry.part.take()));
            }
        }
        for (key, interface, towards, part) in parts {
            self.give_out(key, interface, towards, part);
        }
    }

    fn give_out(&mut self, key: Key, interface: String, towards: Option<u16>, part: Option<Part>) {
        let (Some(mut part), Some(agent)) = (part, self.senders.get(&key.agent)) else { return };
        let mut replied = part.replied.remove(&interface).unwrap_or_default();
        if interface.is_empty() {
            // The arrival interface is not known, so no reply can be said to leave elsewhere.
            replied = part.replied.values().fold(replied, |all, set| all.union(set));
            part.replied.clear();
        }
        let replied_elsewhere = part
            .replied
            .into_iter()
            .map(|(interface, set)| (interface, without(&set, &replied)))
            .filter(|(_, set)| !set.is_empty())
            .collect();
        let seen_by = |by: &Result<(), WhyUnknown>, set: SequenceSet| match by {
            Ok(()) => Known::Known(set),
            Err(why) => Known::Unknown(why.clone()),
        };
        let part = ArrivalRound {
            observer: self.observer.clone(),
            key: RoundKey { agent: agent.clone(), round: key.round },
            from: key.from,
            to: key.to,
            first_at: part.first_at,
            last_at: part.last_at,
            watching_ms: Some(u64::try_from(part.watching.as_millis()).unwrap_or(u64::MAX)),
            interface,
            on_wire: seen_by(&self.observers.wire, part.on_wire),
            // The raw socket receives only echo packets.
            accepted: if towards.is_some() {
                Known::Unknown(WhyUnknown::NotAsked)
            } else {
                seen_by(&self.observers.raw, part.accepted)
            },
            replied: seen_by(&self.observers.wire, replied),
            replied_elsewhere,
            own_drops: part.own_drops,
        };
        self.ready.push_back(match towards {
            Some(towards) => Arrived::Connections(ConnectionArrivals::new(towards, part)),
            None => Arrived::Round(part),
        });
    }
}

impl Entry {
    fn part_due(&self) -> Duration {
        self.touched.saturating_add(QUIET).min(self.opened.saturating_add(PART_AGE_MAX))
    }
}

/// Numbers of `set` that are not in `other`.
fn without(set: &SequenceSet, other: &SequenceSet) -> SequenceSet {
    set.ranges().iter().flat_map(|&(first, last)| first..=last).filter(|&number| !other.contains(number)).collect()
}
