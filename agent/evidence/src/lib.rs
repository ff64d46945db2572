//! Types for everything that can be said about the network.
//!
//! This is the lowest crate: ids, addresses, units, what agents observe, what hosts report about themselves, and
//! configuration snapshots with their gaps. Every other crate uses these types.
//!
//! The crate has no I/O, no clock, no randomness, no async and no vendor wire format; its manifest and a test enforce
//! this. It uses Serde because these types *are* the format in which evidence is sent and stored. [`SCHEMA`] versions
//! that format; changes are additive.

mod budget;
mod cidr;
mod configuration;
mod connections;
mod gap;
mod host;
mod ids;
mod lang;
mod link;
mod load_refusal;
mod observation;
mod packet;
pub mod packet_filter;
mod redact;
mod report;
mod round;
pub mod routing;
mod sequence;
mod snapshot;
mod time;

pub use budget::{ASSUMED_BITS_PER_S, BandwidthSource, LinkBandwidth, LinkShare, ProbeBudget, echo_bits, probe_bits};
pub use cidr::{Cidr, CidrError};
pub use configuration::filter::{
    AclEntry, NetworkAcl, Policy, PrefixList, RulePeer, RuleProtocol, SecurityGroup, SecurityGroupKind, SecurityRule,
};
pub use configuration::history::{ConfigChange, LinkMetric, LinkMetricKind, MetricPoint};
pub use configuration::instance::{Eni, EniStatus, Instance, InstanceStatus};
pub use configuration::interconnect::{
    BusinessStatus, RouterInterface, RouterInterfaceRole, RouterInterfaceStatus, RouterKind, TransitAttachment,
    TransitPeering, TransitRoute, TransitRouteTable, VpcPeering, VpcPeeringStatus,
};
pub use configuration::network::{VSwitch, Vpc};
pub use configuration::route::{
    AssociateType, NextHop, NextHopKind, RouteEntry, RouteKind, RouteStatus, RouteTable, RouteTableKind,
};
pub use connections::ConnectionArrivals;
pub use gap::{Gap, GapCode, Known, WhyUnknown};
pub use host::{
    AddressFact, ClockFact, Container, HostFacts, IcmpCounters, IcmpLimits, InterfaceFact, InterfaceKind,
    InterfaceSettings, LoadFact, Mechanisms, MetadataFact, ProbeEngine, QueueDiscipline, RouteFact, RouteOutcome,
    SysctlFacts, WatchedPort,
};
pub use ids::{
    AccountId, AgentId, AttachmentId, EniId, IdError, InstanceId, LinkId, NetworkAclEntryId, NetworkAclId, ObjectId,
    PairId, PrefixListId, RegionId, ReportId, RequestTag, RouteEntryId, RouteTableId, RouterId, RouterInterfaceId,
    SecurityGroupId, SecurityRuleId, TransitRouterId, VSwitchId, VpcId, VpcPeeringId, ZoneId,
};
pub use lang::Lang;
pub use link::{Direction, Endpoint, EndpointSet, Expectation, Link, LinkKind, LinkSide, Pair, Side};
pub use load_refusal::LoadRefusal;
pub use observation::{
    ArrivalRound, IcmpError, PortFates, ProbeRound, RoundKey, RttSummary, SendErrors, StrangerReply,
};
pub use packet::{PortRange, Protocol};
pub use packet_filter::{FirewallFact, FirewallHook, FirewallRule, FirewallVerdict};
pub use redact::{KeyedFunction, redact};
pub use report::{
    Ack, AgentHealth, AgentHello, EchoCount, LOAD_MBIT_MAX, LOAD_SECONDS_MAX, Plan, PlanArrival, PlanLoad, PlanTarget,
    Rejected, Report, ReportBatch, ReportBody, Sampling,
};
pub use round::{RoundId, RoundKind, RoundPurpose};
pub use routing::{RoutingFact, RoutingTables};
pub use sequence::SequenceSet;
pub use snapshot::{Coverage, Provenance, Snapshot, Source};
pub use time::{Nanos, TimeError, Timestamp};

/// Version of every JSON document built from these types. Additive changes do not change it.
pub const SCHEMA: u32 = 1;
