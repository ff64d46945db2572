//! The data plane that must exist: declared by the lab's cloud and implemented by the lab's plane.
//!
//! It is derived from the single declared state (`cloud`) and applied by `plane` as a whole, so the two cannot diverge.
//! Rules arrive here already merged, ordered and resolved to addresses: the plane does not know security groups or
//! prefix lists, only ordered matches. IPv4 only, like the lab's VPCs (`SEMANTICS.md` §5.1).

use ipnet::Ipv4Net;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

/// Everything that forwards or sends packets.
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
    /// Route tables, by id. The longest prefix wins; a packet that matches no route is dropped silently.
    pub tables: BTreeMap<String, Vec<RoutePlane>>,
}

/// A vSwitch, with the route table and the network ACL in effect.
#[derive(Debug, Clone, PartialEq)]
pub struct VSwitchPlane {
    /// CIDR block.
    pub cidr: Ipv4Net,
    /// The route table in effect for packets that its interfaces send.
    pub table: String,
    /// The network ACL bound to it; `None` filters nothing.
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
    /// Whether a match accepts the packet; otherwise it drops the packet silently.
    pub accept: bool,
    /// IP protocol number; `None` means any.
    pub protocol: Option<u8>,
    /// Inclusive destination ports; `None` means any. Only with TCP and UDP.
    pub ports: Option<(u16, u16)>,
    /// Inclusive source ports; `None` means any. Only with TCP and UDP.
    pub source_ports: Option<(u16, u16)>,
    /// Addresses of the far end: sources for ingress, destinations for egress. An empty list matches nothing.
    pub peers: Vec<Ipv4Net>,
    /// Addresses of the near end; `None` means any.
    pub own: Option<Ipv4Net>,
}

/// One route of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutePlane {
    /// Destination block.
    pub destination: Ipv4Net,
    /// Next hops; several mean ECMP by flow.
    pub hops: Vec<HopPlane>,
}

/// Next hop of a route.
#[derive(Debug, Clone, PartialEq)]
pub enum HopPlane {
    /// To the interfaces of this VPC that own the address; packets to addresses without an owner are dropped.
    Local,
    /// Into a link, by the key of [`Desired::links`].
    Link(String),
    /// To the interface of an instance, by the interface's id.
    Eni(String),
    /// To a cloud service range: the lab's service network.
    Service,
    /// Dropped silently.
    Blackhole,
}

/// An instance, with its network interfaces.
#[derive(Debug, Clone, PartialEq)]
pub struct InstancePlane {
    /// Instance id, `i-…`.
    pub id: String,
    /// Whether it runs. A stopped instance has no processes and answers nothing.
    pub running: bool,
    /// Its interfaces, the primary first.
    pub enis: Vec<EniPlane>,
}

/// An elastic network interface.
#[derive(Debug, Clone, PartialEq)]
pub struct EniPlane {
    /// Id, `eni-…`.
    pub id: String,
    /// Id of its VPC.
    pub vpc: String,
    /// Id of its vSwitch.
    pub vswitch: String,
    /// Hardware address.
    pub mac: [u8; 6],
    /// Private addresses, the primary first. The guest configures the primary one itself.
    pub addresses: Vec<Ipv4Addr>,
    /// Stateful filter for packets to the interface.
    pub ingress: Filter,
    /// Stateful filter for packets from the interface.
    pub egress: Filter,
}

/// A stateful filter: the combined effect of the security groups of one interface. Replies to accepted packets pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Addresses of this VPC that pass before any rule (members of a basic group whose inner access is `Accept`).
    pub members: BTreeSet<Ipv4Addr>,
    /// Rules, first match decides.
    pub rules: Vec<Match>,
    /// Whether a packet that matches no rule is accepted.
    pub accept_by_default: bool,
}

/// A transit router: connects links, filters nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TransitPlane {
    /// The route table for packets that arrive on a link, by the link's key. Packets from any other link are dropped
    /// silently.
    pub arrivals: BTreeMap<String, String>,
    /// Route tables, by id, with the same rules as a VPC's.
    pub tables: BTreeMap<String, Vec<RoutePlane>>,
}

/// A link between two routers, each of a VPC or a transit router.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkPlane {
    /// The initiator's router: the id of a VPC or of a transit router. For an attachment, the VPC.
    pub initiator: String,
    /// The acceptor's router, in the same form.
    pub acceptor: String,
    /// Whether packets pass. A frozen link stays in the route tables and drops silently.
    pub carries: bool,
    /// Bandwidth in Mbit/s per direction that the cloud grants; `None` is unlimited.
    pub rate_mbit: Option<u64>,
}

/// What one direction of a link has carried since the link was set up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes that left the near VPC into the link. Bytes beyond the granted bandwidth do not count, and none count
    /// while the link does not carry.
    pub bytes_in: u64,
    /// Bytes that reached the far VPC.
    pub bytes_out: u64,
    /// Packets dropped because they exceeded the bandwidth that the cloud grants; drops by a limit of the fabric do not
    /// count.
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
    /// Maximum additional delay in milliseconds, uniformly distributed.
    pub jitter_ms: f64,
    /// Bandwidth in Mbit/s; `None` is unlimited.
    pub rate_mbit: Option<f64>,
    /// Largest packet in bytes. Larger packets with DF are dropped silently, others are fragmented. `None` is 1500.
    pub mtu: Option<u32>,
    /// Share of packets that later ones overtake, 0 to 1.
    pub reorder: f64,
    /// Share of packets that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// Whether the direction is down, so that nothing passes.
    pub down: bool,
}
