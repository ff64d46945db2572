//! What can be said about the network.
//!
//! The bottom room of the house: ids, addresses, units, what agents observe, what hosts tell about themselves, and
//! configuration snapshots with their gaps. Every other crate speaks in these types.
//!
//! Absences, held by the manifest and by a test: no I/O, no clock, no randomness, no async, no vendor wire format.
//! Serde is here because these types *are* the format in which evidence travels and is kept; it is versioned by
//! [`SCHEMA`], changes are additive.

mod cidr;
mod gap;
mod host;
mod ids;
mod link;
mod observation;
mod packet;
mod report;
mod sequence;
mod snapshot;
mod time;

pub use cidr::{Cidr, CidrError};
pub use gap::{Gap, GapCode, Known, WhyUnknown};
pub use host::{
    AddressFact, ClockFact, Container, FirewallFact, FirewallHook, FirewallRule, FirewallVerdict, HostFacts,
    IcmpCounters, InterfaceFact, InterfaceKind, MetadataFact, ProbeEngine, RouteFact, RouteOutcome, SysctlFacts,
};
pub use ids::{
    AccountId, AgentId, AttachmentId, EniId, IdError, InstanceId, LinkId, NetworkAclEntryId, NetworkAclId, ObjectId,
    PairId, PrefixListId, RegionId, ReportId, RequestTag, RouteEntryId, RouteTableId, RouterId, RouterInterfaceId,
    SecurityGroupId, SecurityRuleId, TransitRouterId, VSwitchId, VpcId, VpcPeeringId, ZoneId,
};
pub use link::{Direction, Endpoint, EndpointSet, Expectation, Link, LinkKind, LinkSide, Pair, Side};
pub use observation::{ArrivalRound, IcmpError, ProbeRound, RoundKey, RttSummary, SendErrors, StrangerReply};
pub use packet::{PortRange, Protocol};
pub use report::{Ack, AgentHealth, AgentHello, Plan, PlanTarget, Rejected, Report, ReportBatch, ReportBody, Sampling};
pub use sequence::SequenceSet;
pub use snapshot::{
    AclEntry, AssociateType, BusinessStatus, Eni, EniStatus, Instance, InstanceStatus, NetworkAcl, NextHop,
    NextHopKind, Policy, PrefixList, Provenance, RouteEntry, RouteKind, RouteStatus, RouteTable, RouteTableKind,
    RouterInterface, RouterInterfaceRole, RouterInterfaceStatus, RouterKind, RulePeer, RuleProtocol, SecurityGroup,
    SecurityGroupKind, SecurityRule, Snapshot, Source, TransitAttachment, TransitRoute, TransitRouteTable, VSwitch,
    Vpc, VpcPeering, VpcPeeringStatus,
};
pub use time::{Nanos, TimeError, Timestamp};

/// Version of every JSON document built from these types. Additive changes keep it.
pub const SCHEMA: u32 = 1;
