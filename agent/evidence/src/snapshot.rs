//! Configuration of one account and region as it was at one time.
//!
//! Every object that a path crosses, in every state: an inactive router interface is a headline, not noise. Field
//! names follow the vendor's documents (`alibaba-cloud-api.md` §1, §2, §7); spellings of enumerations are settled
//! by whoever fills a snapshot, since the vendor's own case is not stable. What could not be read is
//! [`Known::Unknown`] where it belongs to one object, and a [`Gap`] where a whole call failed.

use crate::{
    AccountId, AttachmentId, Cidr, EniId, Gap, InstanceId, Known, NetworkAclEntryId, NetworkAclId, PortRange,
    PrefixListId, RegionId, RequestTag, RouteEntryId, RouteTableId, RouterId, RouterInterfaceId, SecurityGroupId,
    SecurityRuleId, Timestamp, TransitRouterId, VSwitchId, VpcId, VpcPeeringId, ZoneId,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Where a fact comes from: one API call, or one file of an import.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// The call, such as `vpc:DescribeRouterInterfaces`.
    pub api: String,
    /// The vendor's request id; for an import, the file.
    pub request_id: String,
    /// When the answer came.
    pub at: Timestamp,
}

/// Index into [`Snapshot::sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Provenance(pub u32);

/// One account's configuration in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Format version, [`crate::SCHEMA`].
    pub schema: u32,
    /// Whose configuration.
    pub account: AccountId,
    /// In which region.
    pub region: RegionId,
    /// When the first call was sent. What changed later may be missing.
    pub taken_at: Timestamp,
    /// When the last answer came.
    pub finished_at: Timestamp,
    /// The request for fresh evidence that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestTag>,
    /// The calls made.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// VPCs.
    #[serde(default)]
    pub vpcs: Known<Vec<Vpc>>,
    /// vSwitches.
    #[serde(default)]
    pub vswitches: Known<Vec<VSwitch>>,
    /// Route tables of VPC routers.
    #[serde(default)]
    pub route_tables: Known<Vec<RouteTable>>,
    /// Router interfaces.
    #[serde(default)]
    pub router_interfaces: Known<Vec<RouterInterface>>,
    /// VPC peering connections.
    #[serde(default)]
    pub vpc_peerings: Known<Vec<VpcPeering>>,
    /// Attachments of VPCs to transit routers.
    #[serde(default)]
    pub transit_attachments: Known<Vec<TransitAttachment>>,
    /// Route tables of transit routers.
    #[serde(default)]
    pub transit_route_tables: Known<Vec<TransitRouteTable>>,
    /// Network ACLs.
    #[serde(default)]
    pub network_acls: Known<Vec<NetworkAcl>>,
    /// Security groups.
    #[serde(default)]
    pub security_groups: Known<Vec<SecurityGroup>>,
    /// Prefix lists.
    #[serde(default)]
    pub prefix_lists: Known<Vec<PrefixList>>,
    /// ECS instances.
    #[serde(default)]
    pub instances: Known<Vec<Instance>>,
    /// Elastic network interfaces.
    #[serde(default)]
    pub enis: Known<Vec<Eni>>,
    /// What could not be read.
    #[serde(default)]
    pub gaps: Vec<Gap>,
}

impl Snapshot {
    /// A snapshot of which nothing has been read yet.
    pub fn unread(account: AccountId, region: RegionId, taken_at: Timestamp) -> Self {
        Self {
            schema: crate::SCHEMA,
            account,
            region,
            taken_at,
            finished_at: taken_at,
            request: None,
            sources: vec![],
            vpcs: Known::default(),
            vswitches: Known::default(),
            route_tables: Known::default(),
            router_interfaces: Known::default(),
            vpc_peerings: Known::default(),
            transit_attachments: Known::default(),
            transit_route_tables: Known::default(),
            network_acls: Known::default(),
            security_groups: Known::default(),
            prefix_lists: Known::default(),
            instances: Known::default(),
            enis: Known::default(),
            gaps: vec![],
        }
    }
}

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// Id.
    pub id: VpcId,
    /// Name, possibly empty.
    #[serde(default)]
    pub name: String,
    /// Primary IPv4 block.
    pub cidr: Cidr,
    /// Further IPv4 blocks.
    #[serde(default)]
    pub secondary_cidrs: Vec<Cidr>,
    /// The VPC's router; none where the API left it out.
    #[serde(default)]
    pub router: Option<RouterId>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// A vSwitch: a subnet of a VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VSwitch {
    /// Id.
    pub id: VSwitchId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its zone; none where the API left it out.
    #[serde(default)]
    pub zone: Option<ZoneId>,
    /// Its block.
    pub cidr: Cidr,
    /// The route table in effect; none where the API left it out (then the VPC's system table is).
    #[serde(default)]
    pub route_table: Option<RouteTableId>,
    /// The network ACL bound to it; none means that none is bound.
    #[serde(default)]
    pub network_acl: Option<NetworkAclId>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// System or custom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteTableKind {
    /// Made with the VPC; serves every vSwitch without a custom table.
    System,
    /// Made by a user; serves the vSwitches bound to it.
    Custom,
}

/// What a route table may be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AssociateType {
    /// vSwitches.
    VSwitch,
    /// A gateway.
    Gateway,
}

/// A route table of a VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Id.
    pub id: RouteTableId,
    /// Its VPC.
    pub vpc: VpcId,
    /// System or custom.
    pub kind: RouteTableKind,
    /// What it may be bound to.
    pub associate_type: AssociateType,
    /// vSwitches bound to it, as the table tells.
    #[serde(default)]
    pub vswitches: Vec<VSwitchId>,
    /// Its entries.
    #[serde(default)]
    pub entries: Known<Vec<RouteEntry>>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// Who made a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteKind {
    /// The cloud: vSwitches and service ranges.
    System,
    /// A user.
    Custom,
    /// Learned by BGP.
    Bgp,
    /// Learned from a Cloud Enterprise Network.
    Cen,
    /// Learned from an Express Connect Router.
    Ecr,
}

/// Whether a route forwards. Documents disagree on the words, so each accepted word is listed
/// (`network-semantics.md` §2, "Entry status").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteStatus {
    /// `Available` or `Created`: it forwards.
    Available,
    /// `Pending` or `Creating`.
    Pending,
    /// `Modifying`.
    Modifying,
    /// `Deleting`.
    Deleting,
    /// A word that no document lists.
    Unrecognised,
}

/// The kind of a next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextHopKind {
    /// Inside the VPC: a system route of a vSwitch.
    Local,
    /// A cloud service range such as 100.64.0.0/10.
    Service,
    /// A router interface.
    RouterInterface,
    /// A VPC peering connection.
    VpcPeering,
    /// A transit router attachment.
    Attachment,
    /// An instance.
    Instance,
    /// A network interface.
    NetworkInterface,
    /// A highly available virtual address.
    HaVip,
    /// A VPN gateway.
    VpnGateway,
    /// A NAT gateway.
    NatGateway,
    /// An IPv4 gateway.
    Ipv4Gateway,
    /// An IPv6 gateway.
    Ipv6Gateway,
    /// A gateway endpoint.
    GatewayEndpoint,
    /// A gateway load balancer endpoint.
    GatewayLoadBalancerEndpoint,
    /// An Express Connect Router.
    ExpressConnectRouter,
    /// A route target group.
    RouteTargetGroup,
    /// A word that no document lists.
    Unrecognised,
}

/// Where a route sends packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// Kind.
    pub kind: NextHopKind,
    /// Id as returned, empty for local and service routes.
    #[serde(default)]
    pub id: String,
    /// Whether the cloud holds it usable; reported for router interfaces only.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Share among several; reported for router interfaces only.
    #[serde(default)]
    pub weight: Option<u32>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteEntry {
    /// Id; none where the API left it out.
    #[serde(default)]
    pub id: Option<RouteEntryId>,
    /// Destination.
    pub destination: Cidr,
    /// Who made it.
    pub kind: RouteKind,
    /// Whether it forwards.
    pub status: RouteStatus,
    /// Next hops; several mean ECMP.
    pub next_hops: Vec<NextHop>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// A router interface's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterInterfaceRole {
    /// `InitiatingSide`.
    Initiating,
    /// `AcceptingSide`.
    Accepting,
}

/// A router's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterKind {
    /// The router of a VPC.
    VRouter,
    /// A virtual border router, the end of a physical line.
    Vbr,
}

/// State of a router interface (`alibaba-cloud-api.md` §1.1). Packets pass when both ends are `Active`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouterInterfaceStatus {
    /// Never connected.
    Idle,
    /// Acceptor, connection being accepted.
    AcceptingConnecting,
    /// Initiator, connecting.
    Connecting,
    /// Being activated.
    Activating,
    /// In use.
    Active,
    /// Specification being changed.
    Modifying,
    /// Being frozen.
    Deactivating,
    /// Frozen by its owner.
    Inactive,
    /// Being deleted.
    Deleting,
    /// Gone; seen only as the opposite's state.
    Deleted,
    /// A word that no document lists.
    Unrecognised,
}

/// Whether the account's bill or the cloud's security team holds an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BusinessStatus {
    /// Nothing holds it.
    Normal,
    /// A bill is not paid.
    FinancialLocked,
    /// Locked for security reasons.
    SecurityLocked,
    /// A word that no document lists.
    Unrecognised,
}

/// A router interface: one half of an Express Connect VPC-to-VPC connection.
///
/// The `opposite_*` fields are what *this* side's API returns about the other: one account's view already tells much
/// of the peer's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterInterface {
    /// Id.
    pub id: RouterInterfaceId,
    /// Role.
    pub role: RouterInterfaceRole,
    /// State.
    pub status: RouterInterfaceStatus,
    /// Lock.
    pub business_status: BusinessStatus,
    /// Specification, such as `Mini.2` or `Negative`.
    pub spec: String,
    /// Bandwidth in Mbit/s, when told.
    #[serde(default)]
    pub bandwidth_mbps: Option<u64>,
    /// Kind of the router that it sits on.
    pub router_kind: RouterKind,
    /// The router that it sits on.
    pub router: RouterId,
    /// The VPC of that router.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// The region that its creator said the other side is in.
    #[serde(default)]
    pub opposite_region: Option<RegionId>,
    /// The interface set as its opposite; none when unset.
    #[serde(default)]
    pub opposite_interface: Option<RouterInterfaceId>,
    /// The account set as the owner of the opposite; none when unset.
    #[serde(default)]
    pub opposite_owner: Option<AccountId>,
    /// The router set as the opposite's; none when unset.
    #[serde(default)]
    pub opposite_router: Option<RouterId>,
    /// Kind of the opposite router; none when unset. The API's default is VBR, a trap for VPC-to-VPC.
    #[serde(default)]
    pub opposite_router_kind: Option<RouterKind>,
    /// The opposite's state as seen from this side.
    #[serde(default)]
    pub opposite_status: Option<RouterInterfaceStatus>,
    /// The opposite's lock as seen from this side.
    #[serde(default)]
    pub opposite_business_status: Option<BusinessStatus>,
    /// The opposite's VPC as seen from this side.
    #[serde(default)]
    pub opposite_vpc: Option<VpcId>,
    /// When it was created.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When it was connected; none when never.
    #[serde(default)]
    pub connected_at: Option<Timestamp>,
    /// When a prepaid one ends.
    #[serde(default)]
    pub ends_at: Option<Timestamp>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// State of a VPC peering connection; packets pass when it is `Activated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VpcPeeringStatus {
    /// Being made.
    Creating,
    /// Waiting for the other account.
    Accepting,
    /// Being changed.
    Updating,
    /// Refused by the other account.
    Rejected,
    /// Not accepted in time.
    Expired,
    /// In use.
    Activated,
    /// Being deleted.
    Deleting,
    /// Gone.
    Deleted,
    /// A word that no document lists.
    Unrecognised,
}

/// A VPC peering connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcPeering {
    /// Id.
    pub id: VpcPeeringId,
    /// State.
    pub status: VpcPeeringStatus,
    /// Lock.
    pub business_status: BusinessStatus,
    /// Bandwidth in Mbit/s; none when unlimited or untold.
    #[serde(default)]
    pub bandwidth_mbps: Option<u64>,
    /// The requesting account.
    pub owner: AccountId,
    /// The requesting VPC's region.
    pub region: RegionId,
    /// The requesting VPC.
    pub vpc: VpcId,
    /// The accepting account.
    pub accepting_owner: AccountId,
    /// The accepting VPC's region.
    pub accepting_region: RegionId,
    /// The accepting VPC.
    pub accepting_vpc: VpcId,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// A VPC's attachment to a transit router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitAttachment {
    /// Id.
    pub id: AttachmentId,
    /// The transit router.
    pub transit_router: TransitRouterId,
    /// The VPC.
    pub vpc: VpcId,
    /// Whether its state is `Attached`.
    pub attached: bool,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// A route of a transit router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitRoute {
    /// Destination.
    pub destination: Cidr,
    /// The attachment that it leads to; none is a black hole.
    #[serde(default)]
    pub attachment: Option<AttachmentId>,
    /// Whether its state is `Active`.
    pub active: bool,
}

/// A route table of a transit router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitRouteTable {
    /// Id.
    pub id: RouteTableId,
    /// The transit router.
    pub transit_router: TransitRouterId,
    /// Attachments whose traffic is looked up here.
    #[serde(default)]
    pub associations: Vec<AttachmentId>,
    /// Its routes.
    #[serde(default)]
    pub routes: Known<Vec<TransitRoute>>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// Accept or drop. A drop is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Let through.
    Accept,
    /// Drop without answer.
    Drop,
}

/// The protocol of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleProtocol {
    /// Any protocol.
    All,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP for IPv4.
    Icmp,
    /// ICMP for IPv6.
    Icmpv6,
    /// GRE.
    Gre,
    /// Another protocol by its IANA number.
    Number(u8),
}

/// The far end that a security group rule speaks of. When several are given the CIDR wins, then the prefix list
/// (`network-semantics.md` §1.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RulePeer {
    /// Any address.
    Any,
    /// A block of addresses; a bare address is a block of one.
    Cidr(Cidr),
    /// Members of a security group, which matches inside one VPC only.
    Group {
        /// The group.
        id: SecurityGroupId,
        /// Its owner when another account's; none when own or untold.
        owner: Option<AccountId>,
    },
    /// A prefix list.
    PrefixList(PrefixListId),
}

/// A rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityRule {
    /// Id; none where the API left it out.
    #[serde(default)]
    pub id: Option<SecurityRuleId>,
    /// Ingress or egress.
    pub ingress: bool,
    /// Accept or drop.
    pub policy: Policy,
    /// 1 to 100 (110 in old default groups); smaller wins, drop wins among equals.
    pub priority: u16,
    /// Protocol.
    pub protocol: RuleProtocol,
    /// Destination ports.
    pub ports: PortRange,
    /// Source ports of a five-tuple rule.
    #[serde(default)]
    pub source_ports: Option<PortRange>,
    /// The far end: source of an ingress rule, destination of an egress rule.
    pub peer: RulePeer,
    /// The near end of a five-tuple rule: destination of an ingress rule, source of an egress rule.
    #[serde(default)]
    pub own: Option<Cidr>,
}

/// Basic or enterprise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityGroupKind {
    /// Basic: egress allowed unless dropped, members reach each other by default.
    Normal,
    /// Enterprise (advanced): both ways denied unless accepted, members isolated.
    Enterprise,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Id.
    pub id: SecurityGroupId,
    /// Name, possibly empty.
    #[serde(default)]
    pub name: String,
    /// Its VPC.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Basic or enterprise.
    pub kind: SecurityGroupKind,
    /// Whether members reach each other (`InnerAccessPolicy`).
    #[serde(default)]
    pub inner_access: Known<Policy>,
    /// Its rules, both directions.
    #[serde(default)]
    pub rules: Known<Vec<SecurityRule>>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// One entry of a network ACL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclEntry {
    /// Id; none where the API left it out.
    #[serde(default)]
    pub id: Option<NetworkAclEntryId>,
    /// Accept or drop.
    pub policy: Policy,
    /// Protocol.
    pub protocol: RuleProtocol,
    /// Destination ports, in both directions.
    pub ports: PortRange,
    /// The far end: source of an ingress entry, destination of an egress entry.
    pub peer: Cidr,
    /// Whether the cloud made it.
    #[serde(default)]
    pub system: bool,
}

/// A network ACL: stateless, in list order, first match decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAcl {
    /// Id.
    pub id: NetworkAclId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Ingress entries in order.
    #[serde(default)]
    pub ingress: Known<Vec<AclEntry>>,
    /// Egress entries in order.
    #[serde(default)]
    pub egress: Known<Vec<AclEntry>>,
    /// vSwitches bound to it.
    #[serde(default)]
    pub vswitches: Vec<VSwitchId>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

impl NetworkAcl {
    /// Entries of one traffic direction as seen from the vSwitch.
    pub fn entries(&self, ingress: bool) -> &Known<Vec<AclEntry>> {
        if ingress { &self.ingress } else { &self.egress }
    }
}

/// A prefix list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixList {
    /// Id.
    pub id: PrefixListId,
    /// Its blocks.
    #[serde(default)]
    pub entries: Known<Vec<Cidr>>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// State of an ECS instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceStatus {
    /// Being made.
    Pending,
    /// Up.
    Running,
    /// Being started.
    Starting,
    /// Being stopped.
    Stopping,
    /// Down.
    Stopped,
    /// A word that no document lists.
    Unrecognised,
}

/// An ECS instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Id.
    pub id: InstanceId,
    /// Name, possibly empty.
    #[serde(default)]
    pub name: String,
    /// State.
    pub status: InstanceStatus,
    /// Its VPC.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Its primary vSwitch.
    #[serde(default)]
    pub vswitch: Option<VSwitchId>,
    /// Its primary private addresses.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Security groups of its primary interface.
    #[serde(default)]
    pub security_groups: Vec<SecurityGroupId>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// State of an elastic network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EniStatus {
    /// Bound to an instance.
    InUse,
    /// Bound to none.
    Available,
    /// Being bound, unbound, made or deleted.
    Changing,
    /// A word that no document lists.
    Unrecognised,
}

/// An elastic network interface: what security groups are attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eni {
    /// Id.
    pub id: EniId,
    /// State.
    pub status: EniStatus,
    /// Whether it is the instance's primary interface.
    pub primary: bool,
    /// The instance that it is bound to.
    #[serde(default)]
    pub instance: Option<InstanceId>,
    /// Its VPC.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Its vSwitch: the one whose route table and ACL count.
    #[serde(default)]
    pub vswitch: Option<VSwitchId>,
    /// Its private addresses, the primary first.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Hardware address as told, such as `00:16:3e:0c:7d:33`.
    #[serde(default)]
    pub mac: String,
    /// Its security groups.
    #[serde(default)]
    pub security_groups: Vec<SecurityGroupId>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}
