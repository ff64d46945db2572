//! The data plane that must exist: what the lab's cloud declares and the lab's plane makes true.
//!
//! Derived from the one declared state (`cloud`) and applied by `plane` as a whole, so the two cannot drift. Rules come
//! here already pooled, ordered and resolved to addresses: the plane knows nothing of security groups or prefix
//! lists, only of ordered matches. IPv4 only, as the lab's VPCs are (`network-semantics.md` §5).

use ipnet::Ipv4Net;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

/// Everything that carries packets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// Routers, by VPC id.
    pub vpcs: BTreeMap<String, VpcPlane>,
    /// Transit routers, by id.
    pub transits: BTreeMap<String, TransitPlane>,
    /// Instances, by their name in the topology (`A.ecs1`).
    pub instances: BTreeMap<String, InstancePlane>,
    /// Links between routers, by the id of the initiator's end (a router interface, a peering connection) or of the
    /// attachment.
    pub links: BTreeMap<String, LinkPlane>,
}

/// A VPC's router.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VpcPlane {
    /// vSwitches, by id.
    pub vswitches: BTreeMap<String, VSwitchPlane>,
    /// Route tables, by id. Longest prefix decides; what matches nothing is dropped silently.
    pub tables: BTreeMap<String, Vec<RoutePlane>>,
}

/// A vSwitch.
#[derive(Debug, Clone, PartialEq)]
pub struct VSwitchPlane {
    /// Its block.
    pub cidr: Ipv4Net,
    /// The route table in effect for packets that its interfaces send.
    pub table: String,
    /// The network ACL bound to it; none filters nothing.
    pub acl: Option<AclPlane>,
}

/// A network ACL: stateless, first match decides, no match drops. Traffic inside one vSwitch is not filtered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AclPlane {
    /// For packets towards the vSwitch.
    pub ingress: Vec<Match>,
    /// For packets from the vSwitch.
    pub egress: Vec<Match>,
}

/// One ordered rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Accept, or drop silently.
    pub accept: bool,
    /// IP protocol number; none means any.
    pub protocol: Option<u8>,
    /// Inclusive destination ports; none means any. Only with TCP and UDP.
    pub ports: Option<(u16, u16)>,
    /// Inclusive source ports; none means any. Only with TCP and UDP.
    pub source_ports: Option<(u16, u16)>,
    /// Far ends: sources of ingress, destinations of egress. An empty list matches nothing.
    pub peers: Vec<Ipv4Net>,
    /// Near end; none means any.
    pub own: Option<Ipv4Net>,
}

/// One route of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutePlane {
    /// Destination.
    pub destination: Ipv4Net,
    /// Where to; several mean ECMP by flow.
    pub hops: Vec<HopPlane>,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq)]
pub enum HopPlane {
    /// To the interfaces of this VPC that own the address; addresses that none owns are dropped.
    Local,
    /// Into a link, by the key of [`Desired::links`].
    Link(String),
    /// To the interface of an instance, by the interface's id.
    Eni(String),
    /// To a cloud service range: the lab's service network.
    Service,
    /// Nowhere: dropped silently.
    Blackhole,
}

/// An instance.
#[derive(Debug, Clone, PartialEq)]
pub struct InstancePlane {
    /// Instance id, `i-…`.
    pub id: String,
    /// Whether it runs. One that does not has no processes and answers nothing.
    pub running: bool,
    /// Its interfaces, the primary first.
    pub enis: Vec<EniPlane>,
}

/// An elastic network interface.
#[derive(Debug, Clone, PartialEq)]
pub struct EniPlane {
    /// Id, `eni-…`.
    pub id: String,
    /// Its VPC's id.
    pub vpc: String,
    /// Its vSwitch's id.
    pub vswitch: String,
    /// Hardware address.
    pub mac: [u8; 6],
    /// Private addresses, the primary first. The guest configures the primary one itself.
    pub addresses: Vec<Ipv4Addr>,
    /// Stateful filter towards the interface, in order.
    pub ingress: Filter,
    /// Stateful filter from the interface, in order.
    pub egress: Filter,
}

/// A stateful filter: what security groups come to for one interface. The reply of an accepted packet passes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Addresses of this VPC that pass before any rule (members of a basic group whose inner access is `Accept`).
    pub members: BTreeSet<Ipv4Addr>,
    /// Rules, first match decides.
    pub rules: Vec<Match>,
    /// What happens when no rule matches.
    pub accept_by_default: bool,
}

/// A transit router: joins links, filters nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TransitPlane {
    /// The route table for packets that come in by a link, by the link's key. What comes in by another is dropped
    /// silently.
    pub arrivals: BTreeMap<String, String>,
    /// Route tables, by id, as a VPC's are.
    pub tables: BTreeMap<String, Vec<RoutePlane>>,
}

/// A link between two routers, a VPC's or a transit router each.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkPlane {
    /// The initiator's router: a VPC's id, or a transit router's. Of a VPC's attachment, the VPC.
    pub initiator: String,
    /// The acceptor's router, likewise.
    pub acceptor: String,
    /// Whether packets pass. A frozen link stays in the route tables and drops silently.
    pub carries: bool,
    /// Bandwidth in Mbit/s per direction that the cloud grants; none is unlimited.
    pub rate_mbit: Option<u64>,
}

/// What one direction of a link carried since it was plugged in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes that left the near VPC into the link: all but those beyond the granted bandwidth, and none while the link
    /// does not carry.
    pub bytes_in: u64,
    /// Bytes that reached the far VPC.
    pub bytes_out: u64,
    /// Packets dropped because they exceeded the bandwidth that the cloud grants, not one that the fabric has.
    pub over_grant: u64,
}

/// Both directions of a link: forward, return.
pub type BothWays = [Carried; 2];

/// What the fabric does to packets of one direction of a link, which no API shows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Shape {
    /// Share of packets lost, 0 to 1.
    pub loss: f64,
    /// Delay in milliseconds.
    pub delay_ms: f64,
    /// Greatest extra delay in milliseconds, uniformly drawn.
    pub jitter_ms: f64,
    /// Bandwidth in Mbit/s; none is unlimited.
    pub rate_mbit: Option<f64>,
    /// Largest packet in bytes; larger ones with DF vanish, others are fragmented. None is 1500.
    pub mtu: Option<u32>,
    /// Share of packets that later ones overtake, 0 to 1.
    pub reorder: f64,
    /// Share of packets that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// Nothing passes.
    pub down: bool,
}
