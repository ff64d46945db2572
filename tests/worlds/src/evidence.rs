//! What truthful agents and truthful APIs report about a world: rounds, arrivals, host facts, health, snapshots.
//!
//! The formats are those of the real agent (`agent/probe`, `agent/evidence`): an observer that saw nothing of a round
//! reports no part of it, a refused send is not a sent probe, and the raw socket shows what a guest does with a packet.

use crate::{
    habit,
    packet::{Refusal, Trip, runs, seen_as, trip},
    world::{Guest, GuestRule, Speaks, World, list, named},
};
use pingtong_evidence::{
    AddressFact, AgentHealth, AgentId, ArrivalRound, Cidr, ClockFact, Container, Direction, EchoCount, FirewallFact,
    FirewallHook, FirewallRule, FirewallVerdict, HostFacts, IcmpCounters, IcmpError, InterfaceFact, InterfaceKind,
    InterfaceSettings, Known, MetadataFact, Nanos, Policy, ProbeEngine, ProbeRound, RoundKey, RoundPurpose, RouteFact,
    RouteOutcome, RoutingFact, RoutingTables, RttSummary, SCHEMA, SendErrors, SequenceSet, Side, Snapshot,
    StrangerReply, SysctlFacts, Timestamp,
    packet_filter::{
        BaseChain, Chain, ChainKind, Condition, Family, Field, Limit, LimitUnit, Rule, RuleSet, Source, Statement,
        Table, Value, Verdict,
    },
    routing::{Hop, RoutingRule, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN, TableRoute, TableRouteKind},
};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// Everything that is reported about a world.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Configuration of both accounts.
    pub snapshots: Vec<Snapshot>,
    /// Probe rounds, as reported by the senders.
    pub probes: Vec<ProbeRound>,
    /// Arrivals of the rounds, as reported by the observers.
    pub arrivals: Vec<ArrivalRound>,
    /// Facts about the hosts.
    pub hosts: Vec<HostFacts>,
    /// Agents that did not report.
    pub silent: Vec<AgentId>,
    /// Health of the agents, with the agent and the time of the report.
    pub healths: Vec<(AgentId, Timestamp, AgentHealth)>,
    /// When the verdict is requested.
    pub asked_at: Timestamp,
}

/// Start of every world, in milliseconds since 1970.
const EPOCH_MS: i64 = 1_700_000_000_000;
/// The request that all rounds answer.
const REQUEST: &str = "req-1";
/// Length of a round including its last timeout, in milliseconds.
const ROUND_MS: i64 = 2_600;

/// The time that is `millis` milliseconds after the start of the world.
pub fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millis(EPOCH_MS + millis)
}

/// The agent at a side.
fn agent(world: &World, side: Side) -> Option<AgentId> {
    world.pair.endpoint(side).agent.clone()
}

/// Whether the agent at a side reports.
fn reports(world: &World, side: Side) -> bool {
    world.guest(side).reports && runs(world, side)
}

/// Computes everything that is reported about a world.
pub fn evidence(world: &World) -> Evidence {
    let mut all = Evidence {
        snapshots: world.config.to_vec(),
        probes: vec![],
        arrivals: vec![],
        hosts: vec![],
        silent: vec![],
        healths: vec![],
        asked_at: moment(60_000),
    };
    for snapshot in &mut all.snapshots {
        (snapshot.taken_at, snapshot.finished_at) = (moment(50_000), moment(50_400));
    }
    let (mut arrived, mut turned_away) = ([0u64; 2], [0u64; 2]);
    for flow in Direction::BOTH {
        let (near, far) = (flow.source(), flow.destination());
        if !reports(world, near) {
            continue;
        }
        for round in 0..world.rounds {
            let trips: Vec<Trip> = (0..world.probes).map(|number| trip(world, flow, round, number)).collect();
            arrived[crate::world::at(far)] += trips.iter().filter(|trip| trip.accepted).count() as u64;
            for side in Side::BOTH {
                let refused = |trip: &&Trip| trip.refused == Some(Refusal::ReversePath(side));
                turned_away[crate::world::at(side)] += trips.iter().filter(refused).count() as u64;
            }
            all.probes.push(probe_round(world, flow, round, &trips));
            // In a container with its own network, the agent's sockets see nothing of what reaches the host.
            if reports(world, far) && world.guest(far).container.is_none() {
                all.arrivals.extend(arrival_round(world, flow, round, &trips));
            }
        }
    }
    for side in Side::BOTH {
        let Some(agent) = agent(world, side) else { continue };
        if reports(world, side) {
            all.hosts.push(facts(world, side, arrived[crate::world::at(side)], turned_away[crate::world::at(side)]));
            let requests = arrived[crate::world::at(side)];
            let echoes = EchoCount { since: moment(0), until: moment(55_000), requests };
            let fresh_done = Some(named(REQUEST));
            let health = AgentHealth { echoes: Some(echoes), fresh_done, ..AgentHealth::default() };
            all.healths.push((agent, moment(55_000), health));
        } else {
            all.silent.push(agent);
        }
    }
    all
}

fn numbers(trips: &[Trip], which: fn(&Trip) -> bool) -> SequenceSet {
    (0u32..).zip(trips).filter(|(_, trip)| which(trip)).map(|(number, _)| number).collect()
}

fn key(world: &World, flow: Direction, round: u64) -> RoundKey {
    let sender = agent(world, flow.source()).unwrap_or_else(|| named("agent"));
    RoundKey { agent: sender, round: ((1 << 20) + round).into() }
}

fn begun(round: u64) -> i64 {
    1_000 + i64::try_from(round).unwrap_or(0) * ROUND_MS
}

fn probe_round(world: &World, flow: Direction, round: u64, trips: &[Trip]) -> ProbeRound {
    let target = world.address(flow.destination());
    let mut errors: BTreeMap<i32, SequenceSet> = BTreeMap::new();
    for (number, trip) in (0u32..).zip(trips) {
        if let Some(Refusal::Kernel(_, errno)) = trip.refused.filter(|_| !trip.sent) {
            errors.entry(errno).or_default().insert(number);
        }
    }
    let count = |which: fn(&Trip) -> bool| trips.iter().filter(|trip| which(trip)).count() as u64;
    let received = numbers(trips, |t| t.received);
    let complaints = count(|t| t.complained);
    let complainer = world.guest(flow.source()).devices.first().map(|device| device.address.0);
    ProbeRound {
        key: key(world, flow, round),
        pair: world.pair.id.clone(),
        target,
        protocol: world.pair.protocol,
        request: Some(named(REQUEST)),
        started_at: moment(begun(round)),
        ended_at: moment(begun(round) + ROUND_MS),
        sending_ms: None,
        held_ms: None,
        payload_bytes: 56,
        purpose: RoundPurpose::Connectivity,
        planned: world.probes,
        sent: numbers(trips, |t| t.sent),
        send_errors: errors.into_iter().map(|(errno, probes)| SendErrors { errno, probes }).collect(),
        late: SequenceSet::new(),
        departed: Known::Known(numbers(trips, |t| t.left)),
        replied_on_wire: Known::Known(numbers(trips, |t| t.back)),
        duplicates: 0,
        reordered: 0,
        strangers: Some(count(|t| t.stranger))
            .filter(|count| *count > 0)
            .map(|count| StrangerReply { from: target, count })
            .into_iter()
            .collect(),
        icmp_errors: complainer
            .filter(|_| complaints > 0)
            .map(|from| IcmpError { from, icmp_type: 3, code: 1, count: complaints })
            .into_iter()
            .collect(),
        own_drops: 0,
        rtt: rtt(received.len()),
        ports: None,
        replied: received,
    }
}

fn rtt(samples: u64) -> Option<RttSummary> {
    let ms = |tenths: u64| Nanos(tenths * 100_000);
    (samples > 0).then(|| RttSummary {
        samples,
        min: ms(281),
        mean: ms(285),
        p50: ms(284),
        p95: ms(292),
        p99: ms(301),
        max: ms(305),
        jitter: ms(3),
        kernel_timestamps: true,
        kernel_departures: true,
    })
}

fn arrival_round(world: &World, flow: Direction, round: u64, trips: &[Trip]) -> Option<ArrivalRound> {
    let (near, far) = (flow.source(), flow.destination());
    let on_wire = numbers(trips, |t| t.arrived);
    if on_wire.is_empty() {
        return None;
    }
    let elsewhere = numbers(trips, |t| t.replied_elsewhere);
    let other = world.guest(far).default_device.clone().unwrap_or_default();
    Some(ArrivalRound {
        observer: agent(world, far)?,
        key: key(world, flow, round),
        from: seen_as(world, near),
        to: world.address(far),
        first_at: moment(begun(round)),
        last_at: moment(begun(round) + ROUND_MS - 1_000),
        watching_ms: Some(600_000),
        interface: world.guest(far).card.clone(),
        on_wire: Known::Known(on_wire),
        accepted: Known::Known(numbers(trips, |t| t.accepted)),
        replied: Known::Known(numbers(trips, |t| t.replied)),
        replied_elsewhere: if elsewhere.is_empty() { vec![] } else { vec![(other, elsewhere)] },
        own_drops: 0,
    })
}

/// The gateway of an IPv4 block, by the cloud's convention: the last address but two.
pub fn gateway(block: Cidr) -> Option<IpAddr> {
    match block.last() {
        IpAddr::V4(last) => Some(IpAddr::from((last.to_bits() - 2).to_be_bytes())),
        IpAddr::V6(_) => None,
    }
}

fn rule_fact(rule: &GuestRule) -> FirewallRule {
    let equal = |field, number| Statement::Match(Condition::equal(field, number));
    let (protocol, field) = match rule.speaks {
        Speaks::Requests => (1, Some((Field::IcmpType, 8))),
        Speaks::Replies => (1, Some((Field::IcmpType, 0))),
        Speaks::Icmp => (1, None),
        Speaks::OtherService => (6, Some((Field::TcpDestinationPort, 3306))),
    };
    let mut statements = vec![equal(Field::MetaL4proto, protocol.into())];
    statements.extend(field.map(|(field, number)| equal(field, number)));
    if rule.limited {
        let limit = Limit { unit: LimitUnit::Packets, rate: 20, per_seconds: 1, burst: 5, over: true };
        statements.push(Statement::Limit(limit));
    }
    statements.push(Statement::Verdict(Verdict::Drop));
    FirewallRule {
        family: "inet".into(),
        table: "guard".into(),
        chain: if rule.inward { "inward" } else { "outward" }.into(),
        hook: if rule.inward { FirewallHook::Input } else { FirewallHook::Output },
        handle: Some(rule.handle),
        verdict: FirewallVerdict::Drop,
        protocol: Some(protocol),
        limited: rule.limited,
        statements: Some(statements),
        text: String::new(),
    }
}

/// The mark of what the host sends itself, if a rule of policy routing looks at it.
const MARK: u32 = 7;

/// The packet filter: rules that drop, and what marks the host's own packets for a rule of policy routing.
fn rule_set(guest: &Guest) -> RuleSet {
    let rules = &guest.rules;
    let marks = Statement::Assign { field: Field::MetaMark, to: Source::Value(Value::Number(MARK.into())) };
    let base = BaseChain {
        kind: ChainKind::Route,
        hook: FirewallHook::Output,
        priority: -150,
        policy: Policy::Accept,
        devices: vec![],
    };
    let steers =
        Chain { name: "output".into(), base: Some(base), rules: vec![Rule { handle: 2, statements: vec![marks] }] };
    let steer = Table { family: Family::Ip, name: "steer".into(), dormant: false, chains: vec![steers], sets: vec![] };
    let chain = |name: &str, inward: bool| Chain {
        name: name.into(),
        base: Some(BaseChain {
            kind: ChainKind::Filter,
            hook: if inward { FirewallHook::Input } else { FirewallHook::Output },
            priority: 0,
            policy: Policy::Accept,
            devices: vec![],
        }),
        rules: rules
            .iter()
            .filter(|rule| rule.inward == inward)
            .map(|rule| Rule { handle: rule.handle, statements: rule_fact(rule).statements.unwrap_or_default() })
            .collect(),
    };
    let table = Table {
        family: Family::Inet,
        name: "guard".into(),
        dormant: false,
        chains: vec![chain("inward", true), chain("outward", false)],
        sets: vec![],
    };
    let guard = (!rules.is_empty()).then_some(table);
    let tables = guard.into_iter().chain(guest.routed_by_mark.then_some(steer)).collect();
    let mut all = RuleSet { tables, rules_omitted: 0 };
    habit::add_tables(guest, &mut all);
    all
}

fn route_fact(world: &World, side: Side) -> RouteFact {
    let (guest, to) = (world.guest(side), world.address(side.opposite()));
    let block = world.vswitch(side).map(|vswitch| vswitch.cidr);
    let via = |interface: &str, gateway, prefix| RouteOutcome::Via {
        interface: interface.to_owned(),
        source: None,
        gateway,
        prefix: Some(prefix),
    };
    let best = guest.routes.iter().filter(|r| r.prefix.contains(to)).max_by_key(|r| r.prefix.prefix_length());
    let everything: Cidr = named("0.0.0.0/0");
    let outcome = if guest.routed_by_mark {
        via(TUNNEL, None, Cidr::host(to))
    } else if guest.container.is_some() {
        let device = guest.devices.first();
        let gateway = device.map(|d| {
            IpAddr::from(match d.address.1.network() {
                IpAddr::V4(first) => (first.to_bits() + 1).to_be_bytes(),
                IpAddr::V6(_) => [0; 4],
            })
        });
        via(device.map_or("eth0", |d| d.name.as_str()), gateway, everything)
    } else if let Some(route) = best {
        via(&route.device, route.gateway, route.prefix)
    } else if let Some(device) = &guest.default_device {
        let other = guest.devices.iter().find(|d| d.name == *device).map(|d| d.address.1);
        via(device, other.or(block).and_then(gateway), everything)
    } else {
        RouteOutcome::Refused { errno: 101 }
    };
    RouteFact { to, outcome: Known::Known(outcome) }
}

/// The tunnel by which the main table leads to the peer, if a rule routes the pair's own packets otherwise.
const TUNNEL: &str = "wg-far";
/// The table in which that rule looks.
const OWN_TABLE: u32 = 100;

/// The rules of policy routing and the routes of all tables.
fn routing_tables(world: &World, side: Side) -> RoutingTables {
    let (guest, peer) = (world.guest(side), world.address(side.opposite()));
    let mut rules = vec![
        RoutingRule::lookup(true, 0, TABLE_LOCAL),
        RoutingRule::lookup(true, 32_766, TABLE_MAIN),
        RoutingRule::lookup(true, 32_767, TABLE_DEFAULT),
    ];
    let route = |table, to, device: &str, gateway| TableRoute {
        table,
        to,
        kind: TableRouteKind::Unicast,
        metric: 0,
        tos: 0,
        source: None,
        hops: vec![Hop { device: device.to_owned(), gateway, dead: false }],
        not_understood: vec![],
    };
    let block = world.vswitch(side).map(|vswitch| vswitch.cidr);
    let everything: Cidr = named("0.0.0.0/0");
    let mut routes: Vec<TableRoute> =
        guest.routes.iter().map(|each| route(TABLE_MAIN, each.prefix, &each.device, each.gateway)).collect();
    if let Some(device) = &guest.default_device {
        let other = guest.devices.iter().find(|each| each.name == *device).map(|each| each.address.1);
        routes.push(route(TABLE_MAIN, everything, device, other.or(block).and_then(gateway)));
    }
    if guest.routed_by_mark {
        rules.insert(1, RoutingRule { mark: Some((MARK, u32::MAX)), ..RoutingRule::lookup(true, 100, OWN_TABLE) });
        routes.push(route(OWN_TABLE, everything, &guest.card, block.and_then(gateway)));
        routes.push(route(TABLE_MAIN, Cidr::host(peer), TUNNEL, None));
    }
    RoutingTables { rules, routes, routes_omitted: 0 }
}

fn interfaces(world: &World, side: Side, guest: &Guest) -> Vec<InterfaceFact> {
    let address = world.address(side);
    let block = world.vswitch(side).map_or_else(|| Cidr::host(address), |vswitch| vswitch.cidr);
    let held = world.eni(side).map_or(&[][..], |eni| eni.addresses.as_slice());
    let kept = held.iter().filter(|held| **held != address || guest.has_address);
    let card = InterfaceFact {
        name: guest.card.clone(),
        kind: InterfaceKind::Card,
        up: true,
        mtu: 1500,
        mac: guest.mac.clone(),
        addresses: kept.map(|held| (*held, block)).collect(),
    };
    let devices = guest.devices.iter().map(|device| InterfaceFact {
        name: device.name.clone(),
        kind: device.kind,
        up: true,
        mtu: 1500,
        mac: device.mac.clone(),
        addresses: vec![device.address],
    });
    let tunnel = guest.routed_by_mark.then(|| InterfaceFact {
        name: TUNNEL.to_owned(),
        kind: InterfaceKind::Tunnel,
        up: true,
        mtu: 1420,
        mac: String::new(),
        addresses: vec![],
    });
    let devices = devices.chain(tunnel);
    if guest.container.is_some() { devices.collect() } else { std::iter::once(card).chain(devices).collect() }
}

fn metadata(world: &World, side: Side) -> MetadataFact {
    let (names, config, guest) = (world.names(side), world.config(side), world.guest(side));
    let held = world.eni(side).map_or_else(Vec::new, |eni| eni.addresses.clone());
    let mut macs = vec![AddressFact { mac: guest.mac.clone(), eni: Some(named(&names.eni)), addresses: held.clone() }];
    macs.extend(
        guest.devices.iter().filter(|d| d.kind == InterfaceKind::Card && !d.mac.is_empty()).map(|d| AddressFact {
            mac: d.mac.clone(),
            eni: None,
            addresses: vec![d.address.0],
        }),
    );
    MetadataFact {
        instance: named(&names.instance),
        account: config.account.clone(),
        region: config.region.clone(),
        vpc: Some(named(&names.vpc)),
        vswitch: Some(named(&names.vswitch)),
        private_address: held.first().copied().unwrap_or_else(|| world.address(side)),
        interfaces: macs,
    }
}

fn facts(world: &World, side: Side, arrived: u64, turned_away: u64) -> HostFacts {
    let guest = world.guest(side);
    let contained = guest.container.is_some();
    let rules = if contained { vec![] } else { guest.rules.iter().map(rule_fact).collect() };
    let chains = u32::from(!guest.rules.is_empty() && !contained);
    HostFacts {
        schema: SCHEMA,
        agent: agent(world, side).unwrap_or_else(|| named("agent")),
        at: moment(49_000),
        request: None,
        metadata: Known::Known(metadata(world, side)),
        interfaces: Known::Known(interfaces(world, side, guest)),
        routes: vec![route_fact(world, side)],
        routing: if contained {
            Known::default()
        } else {
            let tables = Some(Arc::new(routing_tables(world, side)));
            Known::Known(RoutingFact { tables, content: None })
        },
        sysctls: SysctlFacts {
            echo_ignore_all: Known::Known(guest.ignores_echo),
            strict_reverse_path: Known::Known(if guest.strict_reverse_path {
                vec![guest.card.clone()]
            } else {
                vec![]
            }),
            ping_group_range: Known::Known((1, 0)),
            forwards: Known::Known(false),
            forwards_v6: Known::Known(false),
            per_interface: Known::Known(vec![InterfaceSettings {
                name: guest.card.clone(),
                rp_filter: u8::from(guest.strict_reverse_path),
                accept_local: false,
                source_valid_mark: false,
                route_localnet: false,
                arp_ignore: 0,
                arp_filter: false,
            }]),
            ..SysctlFacts::default()
        },
        firewall: Known::Known(FirewallFact {
            refusing: rules,
            base_chains: chains,
            legacy_tables: false,
            rules: Some(Arc::new(if contained { RuleSet::default() } else { rule_set(guest) })),
            queues: Known::Known(vec![]),
            content: None,
        }),
        mechanisms: Known::Known(habit::mechanisms(guest)),
        counters: Known::Known(IcmpCounters {
            in_echos: arrived,
            out_echo_replies: arrived,
            reverse_path_drops: turned_away,
        }),
        load: Known::default(),
        container: Known::Known(if guest.container.is_some() { Container::Yes } else { Container::No }),
        engine: ProbeEngine::Raw,
        observes: vec![],
        watched_ports: vec![],
        clock: Known::Known(ClockFact { offset_ms: guest.clock_offset_ms, error_ms: 5 }),
    }
}

/// Whether every probe of every flow is answered; checks at most 16 probes of each round.
pub fn works(world: &World) -> bool {
    Side::BOTH.into_iter().all(|side| reports(world, side))
        && Direction::BOTH.into_iter().all(|flow| {
            (0..world.rounds)
                .all(|round| (0..world.probes.min(16)).all(|number| trip(world, flow, round, number).received))
        })
        && world.config.iter().all(|config| !list(&config.vpcs).is_empty())
}
