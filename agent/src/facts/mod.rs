//! Host facts: what explains packet loss inside a guest.
//!
//! Only reads, and never fails: what cannot be read is unknown, with its reason. It blocks, since the kernel answers at
//! once; callers run it on a thread for blocking work. Metadata, clock and engine are known elsewhere and passed in.

mod filter;
mod interfaces;
mod kernel;
mod load;
mod mechanisms;
mod netlink;
mod routes;
mod tables;

pub use load::LoadReading;

use pingtong_evidence::{
    AgentId, ClockFact, Container, FirewallFact, HostFacts, InterfaceFact, Known, Mechanisms, MetadataFact,
    ProbeEngine, Protocol, RequestTag, RoutingTables, SCHEMA, SysctlFacts, Timestamp, WatchedPort, WhyUnknown,
    packet_filter::RuleSet,
};
use std::{io, net::IpAddr};

/// What the reader cannot find out and must be given.
#[derive(Debug, Clone)]
pub struct FactsOrder {
    /// The agent that reports the facts.
    pub agent: AgentId,
    /// The request for fresh evidence that this answers.
    pub request: Option<RequestTag>,
    /// The peers towards which routes are looked up.
    pub peers: Vec<IpAddr>,
    /// The metadata service's answer.
    pub metadata: Known<MetadataFact>,
    /// The agent's probe engine.
    pub engine: ProbeEngine,
    /// Protocols besides ICMP whose arriving probes the agent observes.
    pub observes: Vec<Protocol>,
    /// Ports whose incoming connections are observed.
    pub watched_ports: Vec<WatchedPort>,
    /// This host's clock relative to the collector's.
    pub clock: Known<ClockFact>,
    /// Load totals at the start of the time over which load is reported; without them there is no load fact.
    pub since: Option<LoadReading>,
    /// Load totals at the end of that time; `None` means now.
    pub until: Option<LoadReading>,
}

/// Reads the facts of this host.
pub fn read(order: FactsOrder, at: Timestamp) -> HostFacts {
    let interfaces = interfaces::list().map_or_else(
        |error| {
            Known::Unknown(WhyUnknown::Unreachable {
                action: String::from("listing interfaces"),
                message: error.to_string(),
            })
        },
        Known::Known,
    );
    HostFacts {
        schema: SCHEMA,
        agent: order.agent,
        at,
        request: order.request,
        container: container(&interfaces, &order.metadata),
        interfaces,
        routes: routes::towards(&order.peers),
        routing: tables::read(),
        sysctls: kernel::sysctls(),
        firewall: firewall(),
        mechanisms: mechanisms::read(),
        counters: kernel::counters(),
        load: load::since(order.since.as_ref(), order.until),
        engine: order.engine,
        observes: order.observes,
        watched_ports: order.watched_ports,
        clock: order.clock,
        metadata: order.metadata,
    }
}

/// Reads what refuses packets in this network namespace.
pub fn firewall() -> Known<FirewallFact> {
    filter::list()
}

/// Reads the whole packet filter of this network namespace.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN`, another refusal of the kernel, or an error of the netlink socket.
pub fn rule_set() -> io::Result<RuleSet> {
    filter::read()
}

/// Reads the rules of policy routing and all routing tables of this network namespace.
///
/// # Errors
/// The kernel's refusal, a reply that cannot be decoded, or rules that change while they are read.
pub fn routing_tables() -> io::Result<RoutingTables> {
    tables::tables()
}

/// Reads the kernel settings of this network namespace.
pub fn kernel_settings() -> SysctlFacts {
    kernel::sysctls()
}

/// Lists the interfaces of this network namespace.
///
/// # Errors
/// If the kernel refuses, or a reply cannot be decoded.
pub fn interfaces() -> io::Result<Vec<InterfaceFact>> {
    interfaces::list()
}

/// Reads what else handles packets in this network namespace.
pub fn mechanisms() -> Known<Mechanisms> {
    mechanisms::read()
}

/// If one of our interfaces has the instance's private address, we share the instance's network.
fn container(interfaces: &Known<Vec<InterfaceFact>>, metadata: &Known<MetadataFact>) -> Known<Container> {
    let (interfaces, metadata) = match (interfaces, metadata) {
        (Known::Known(interfaces), Known::Known(metadata)) => (interfaces, metadata),
        (Known::Unknown(why), _) | (_, Known::Unknown(why)) => return Known::Unknown(why.clone()),
    };
    let mut own = interfaces.iter().flat_map(|interface| &interface.addresses).map(|(address, _)| *address);
    if own.any(|address| address == metadata.private_address) {
        return Known::Known(Container::No);
    }
    // An instance whose guest removed the address is not a container; its NIC still has the instance's MAC address.
    let of_instance = |mac: &str| metadata.interfaces.iter().any(|fact| fact.mac.eq_ignore_ascii_case(mac));
    let has_card = interfaces.iter().any(|interface| !interface.mac.is_empty() && of_instance(&interface.mac));
    Known::Known(if has_card { Container::No } else { Container::Yes })
}
