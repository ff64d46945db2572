//! Host facts: what explains a cut inside a guest.
//!
//! Reads only, and never fails: what cannot be read is unknown with its reason. Blocking, since the kernel answers at
//! once; callers put it on a thread for blocking work. Metadata, clock and engine are known elsewhere and handed in.

mod firewall;
mod interfaces;
mod kernel;
mod load;
mod netlink;
mod routes;
mod rule;

pub use load::LoadReading;

use pingtong_evidence::{
    AgentId, ClockFact, Container, HostFacts, InterfaceFact, Known, MetadataFact, ProbeEngine, Protocol, RequestTag,
    SCHEMA, Timestamp, WatchedPort, WhyUnknown,
};
use std::net::IpAddr;

/// What the reader must be told.
#[derive(Debug, Clone)]
pub struct FactsOrder {
    /// Who looks.
    pub agent: AgentId,
    /// The request for fresh evidence that this answers.
    pub request: Option<RequestTag>,
    /// Towards whom routes are looked up.
    pub peers: Vec<IpAddr>,
    /// What the metadata service said.
    pub metadata: Known<MetadataFact>,
    /// How the agent probes.
    pub engine: ProbeEngine,
    /// Protocols beside ICMP whose probes it sees arrive.
    pub observes: Vec<Protocol>,
    /// Ports whose connections are seen arriving.
    pub watched_ports: Vec<WatchedPort>,
    /// The clock against the collector's.
    pub clock: Known<ClockFact>,
    /// What the host had done when the time began over which its load is reported.
    pub since: Option<LoadReading>,
    /// The same when that time ended: now when it is not set.
    pub until: Option<LoadReading>,
}

/// Reads the host.
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
        sysctls: kernel::sysctls(),
        firewall: firewall::list(),
        counters: kernel::counters(),
        load: load::since(order.since.as_ref(), order.until),
        engine: order.engine,
        observes: order.observes,
        watched_ports: order.watched_ports,
        clock: order.clock,
        metadata: order.metadata,
    }
}

/// The instance's private address on one of our interfaces means that we share its network.
fn container(interfaces: &Known<Vec<InterfaceFact>>, metadata: &Known<MetadataFact>) -> Known<Container> {
    let (interfaces, metadata) = match (interfaces, metadata) {
        (Known::Known(interfaces), Known::Known(metadata)) => (interfaces, metadata),
        (Known::Unknown(why), _) | (_, Known::Unknown(why)) => return Known::Unknown(why.clone()),
    };
    let mut own = interfaces.iter().flat_map(|interface| &interface.addresses).map(|(address, _)| *address);
    if own.any(|address| address == metadata.private_address) {
        return Known::Known(Container::No);
    }
    // An instance whose guest dropped its address is not a container; its card still has the instance's MAC.
    let of_instance = |mac: &str| metadata.interfaces.iter().any(|fact| fact.mac.eq_ignore_ascii_case(mac));
    let has_card = interfaces.iter().any(|interface| !interface.mac.is_empty() && of_instance(&interface.mac));
    Known::Known(if has_card { Container::No } else { Container::Yes })
}
