//! The declared state: every object of every account, as the owners' calls have left it.
//!
//! It holds what was asked for, not what the wire says about it (`actions`) nor what carries packets (`project`).
//! System routes are not stored: they follow from the vSwitches. Ids are plain text here, as on the vendor's side.

use super::{ids::IdMaker, world_cen::CenWorld};
use ipnet::Ipv4Net;
use jiff::Timestamp;
use std::{collections::BTreeMap, net::Ipv4Addr};

/// Everything that exists, by id.
#[derive(Debug, Clone)]
pub struct World {
    /// Accounts, by their numeric id.
    pub accounts: BTreeMap<String, Account>,
    /// VPCs.
    pub vpcs: BTreeMap<String, Vpc>,
    /// vSwitches.
    pub vswitches: BTreeMap<String, VSwitch>,
    /// Route tables.
    pub tables: BTreeMap<String, RouteTable>,
    /// Router interfaces.
    pub interfaces: BTreeMap<String, RouterInterface>,
    /// VPC peering connections.
    pub peerings: BTreeMap<String, Peering>,
    /// Security groups.
    pub groups: BTreeMap<String, SecurityGroup>,
    /// Prefix lists.
    pub prefix_lists: BTreeMap<String, PrefixList>,
    /// Network ACLs.
    pub acls: BTreeMap<String, Acl>,
    /// Instances.
    pub instances: BTreeMap<String, Instance>,
    /// Elastic network interfaces.
    pub enis: BTreeMap<String, Eni>,
    /// Cloud Enterprise Network.
    pub cen: CenWorld,
    /// Whether group-sourced rules across VPCs are stored. They match nothing either way (`network-semantics.md` §0).
    pub legacy_sg_auth: bool,
    pub(super) make: IdMaker,
    pub(super) transitions: Vec<super::settle::Transition>,
}

/// An account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Numeric id.
    pub id: String,
    /// The name topologies use.
    pub name: String,
}

/// A VPC with its router.
#[derive(Debug, Clone)]
pub struct Vpc {
    /// `vpc-…`
    pub id: String,
    /// Account id.
    pub owner: String,
    /// Region.
    pub region: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Primary block.
    pub cidr: Ipv4Net,
    /// Further blocks.
    pub secondary: Vec<Ipv4Net>,
    /// `vrt-…`
    pub vrouter: String,
    /// The table bound to every vSwitch that has no other.
    pub system_table: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A vSwitch.
#[derive(Debug, Clone)]
pub struct VSwitch {
    /// `vsw-…`
    pub id: String,
    /// Account id.
    pub owner: String,
    /// Region.
    pub region: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Its VPC.
    pub vpc: String,
    /// Zone.
    pub zone: String,
    /// Block.
    pub cidr: Ipv4Net,
    /// The table in effect.
    pub table: String,
    /// The network ACL bound to it.
    pub acl: Option<String>,
    /// When it was made.
    pub created: Timestamp,
}

/// A route table. Only custom entries are stored.
#[derive(Debug, Clone)]
pub struct RouteTable {
    /// `vtb-…`
    pub id: String,
    /// Account id.
    pub owner: String,
    /// Region.
    pub region: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Its VPC.
    pub vpc: String,
    /// Whether it is the VPC's system table.
    pub system: bool,
    /// Custom entries.
    pub entries: Vec<RouteEntry>,
    /// When it was made.
    pub created: Timestamp,
}

/// Who made a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The cloud: vSwitches and the service range.
    System,
    /// The owner.
    Custom,
    /// A transit router.
    Cen,
}

/// A route.
#[derive(Debug, Clone)]
pub struct RouteEntry {
    /// `rte-…`
    pub id: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Destination.
    pub destination: Ipv4Net,
    /// Next hops; several mean ECMP.
    pub hops: Vec<Hop>,
    /// Who made it.
    pub origin: Origin,
    /// `Available`, or a state in which it does not forward (`Pending`, `Modifying`).
    pub status: String,
}

/// A next hop as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// `RouterInterface`, `Instance`, `NetworkInterface`, `VpcPeer`, `Attachment`, `local`, `service`.
    pub kind: String,
    /// Id of the next hop; empty for `local` and `service`.
    pub id: String,
    /// Weight in ECMP.
    pub weight: u32,
    /// Whether the cloud holds it usable; what is sent to one that is not is dropped.
    pub enabled: bool,
}

/// Which end of a router interface pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Connects.
    Initiating,
    /// Is connected to.
    Accepting,
}

/// State of a router interface (`network-semantics.md` §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterInterfaceState {
    /// Made, not connected.
    Idle,
    /// The initiating end while connecting.
    Connecting,
    /// The accepting end while connecting.
    AcceptingConnecting,
    /// Coming back from `Inactive`.
    Activating,
    /// Carries packets when both ends are.
    Active,
    /// Its specification is changing.
    Modifying,
    /// Being frozen.
    Deactivating,
    /// Frozen.
    Inactive,
    /// Going away.
    Deleting,
}

/// Business state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Business {
    /// Paid and allowed.
    Normal,
    /// Unpaid.
    FinancialLocked,
    /// Locked for security.
    SecurityLocked,
}

/// What a router interface believes of its other end. Empty text is unset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opposite {
    /// Region.
    pub region: String,
    /// Router interface id.
    pub interface: String,
    /// Router id.
    pub router: String,
    /// `VRouter` or `VBR`.
    pub router_type: String,
    /// Account id.
    pub owner: String,
}

/// A router interface.
#[derive(Debug, Clone)]
pub struct RouterInterface {
    /// `ri-…`
    pub id: String,
    /// Account id.
    pub owner: String,
    /// Region.
    pub region: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Which end.
    pub role: Role,
    /// `Mini.2` … `Xlarge.1`, or `Negative`.
    pub spec: String,
    /// The router it is on.
    pub router: String,
    /// The VPC of that router.
    pub vpc: String,
    /// State.
    pub state: RouterInterfaceState,
    /// Business state.
    pub business: Business,
    /// The other end as declared.
    pub opposite: Opposite,
    /// Health check source and target.
    pub health_check: (String, String),
    /// Health check threshold and rate.
    pub health_check_pace: (u32, u32),
    /// When it was made.
    pub created: Timestamp,
    /// When it was connected.
    pub connected: Option<Timestamp>,
    /// When it was last changed.
    pub modified: Timestamp,
}

/// State of a VPC peering connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeeringState {
    /// Waits for the acceptor.
    Accepting,
    /// Carries packets.
    Activated,
    /// The acceptor refused.
    Rejected,
    /// Nobody accepted it in time.
    Expired,
}

/// A VPC peering connection.
#[derive(Debug, Clone)]
pub struct Peering {
    /// `pcc-…`
    pub id: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Account id of the initiator.
    pub owner: String,
    /// Region of the initiator.
    pub region: String,
    /// VPC of the initiator.
    pub vpc: String,
    /// Account id of the acceptor.
    pub accepting_owner: String,
    /// Region of the acceptor.
    pub accepting_region: String,
    /// VPC of the acceptor.
    pub accepting_vpc: String,
    /// Mbit/s; none is unlimited.
    pub bandwidth: Option<u32>,
    /// State.
    pub state: PeeringState,
    /// Business state.
    pub business: Business,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub modified: Timestamp,
}

/// The far end of a rule. Empty text is unset; of several, the first that is set counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// IPv4 block as given.
    pub cidr: String,
    /// IPv6 block as given.
    pub cidr6: String,
    /// Prefix list id.
    pub prefix_list: String,
    /// Security group id.
    pub group: String,
    /// Account id of that group.
    pub group_owner: String,
}

/// A security group rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `sgr-…`
    pub id: String,
    /// Ingress or egress.
    pub ingress: bool,
    /// Accept or drop.
    pub accept: bool,
    /// 1 to 100, smaller wins.
    pub priority: u8,
    /// `TCP`, `UDP`, `ICMP`, `GRE`, `ALL` or a number.
    pub protocol: String,
    /// Destination ports, `a/b` or `-1/-1`.
    pub ports: String,
    /// Source ports, as given.
    pub source_ports: String,
    /// Far end.
    pub peer: Peer,
    /// Near end, IPv4, as given.
    pub own_cidr: String,
    /// Near end, IPv6, as given.
    pub own_cidr6: String,
    /// Description.
    pub description: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A security group.
#[derive(Debug, Clone)]
pub struct SecurityGroup {
    /// `sg-…`
    pub id: String,
    /// Account id.
    pub owner: String,
    /// Region.
    pub region: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Its VPC.
    pub vpc: String,
    /// Enterprise (advanced) rather than basic.
    pub enterprise: bool,
    /// Whether members of a basic group always reach each other.
    pub inner_accept: bool,
    /// Rules, in the order they were added.
    pub rules: Vec<Rule>,
    /// When it was made.
    pub created: Timestamp,
}

/// A prefix list.
#[derive(Debug, Clone)]
pub struct PrefixList {
    /// `pl-…`
    pub id: String,
    /// Account id.
    pub owner: String,
    /// Region.
    pub region: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Room for entries.
    pub entries_max: u32,
    /// Blocks with descriptions.
    pub entries: Vec<(String, String)>,
    /// When it was made.
    pub created: Timestamp,
}

/// One ordered rule of a network ACL.
#[derive(Debug, Clone)]
pub struct AclEntry {
    /// `nae-…`
    pub id: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Accept or drop.
    pub accept: bool,
    /// `all`, `icmp`, `gre`, `tcp`, `udp`.
    pub protocol: String,
    /// Destination ports.
    pub ports: String,
    /// Far end.
    pub cidr: Ipv4Net,
    /// Made by the cloud at creation rather than by the owner.
    pub system: bool,
}

/// A network ACL.
#[derive(Debug, Clone)]
pub struct Acl {
    /// `nacl-…`
    pub id: String,
    /// Account id.
    pub owner: String,
    /// Region.
    pub region: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Its VPC.
    pub vpc: String,
    /// Towards the vSwitch, in order.
    pub ingress: Vec<AclEntry>,
    /// From the vSwitch, in order.
    pub egress: Vec<AclEntry>,
    /// When it was made.
    pub created: Timestamp,
}

/// State of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Being started.
    Starting,
    /// Runs.
    Running,
    /// Being stopped.
    Stopping,
    /// Does not run.
    Stopped,
}

/// An instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// `i-…`
    pub id: String,
    /// Account id.
    pub owner: String,
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
    /// Name.
    pub name: String,
    /// State.
    pub state: InstanceState,
    /// Interfaces, the primary first.
    pub enis: Vec<String>,
    /// RAM role; empty is none.
    pub ram_role: String,
    /// Whether the metadata service asks for a token.
    pub metadata_tokens_required: bool,
    /// Whether there is a metadata service.
    pub metadata_enabled: bool,
    /// When it was made.
    pub created: Timestamp,
}

/// State of an elastic network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EniState {
    /// Bound to an instance.
    InUse,
    /// Bound to none.
    Available,
}

/// An elastic network interface.
#[derive(Debug, Clone)]
pub struct Eni {
    /// `eni-…`
    pub id: String,
    /// Account id.
    pub owner: String,
    /// Region.
    pub region: String,
    /// Name.
    pub name: String,
    /// Its VPC.
    pub vpc: String,
    /// Its vSwitch.
    pub vswitch: String,
    /// Hardware address.
    pub mac: [u8; 6],
    /// Private addresses, the primary first.
    pub addresses: Vec<Ipv4Addr>,
    /// Security groups.
    pub groups: Vec<String>,
    /// The instance it is bound to.
    pub instance: Option<String>,
    /// Whether it is that instance's primary one.
    pub primary: bool,
    /// When it was made.
    pub created: Timestamp,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            accounts: BTreeMap::new(),
            vpcs: BTreeMap::new(),
            vswitches: BTreeMap::new(),
            tables: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            peerings: BTreeMap::new(),
            groups: BTreeMap::new(),
            prefix_lists: BTreeMap::new(),
            acls: BTreeMap::new(),
            instances: BTreeMap::new(),
            enis: BTreeMap::new(),
            cen: CenWorld::default(),
            legacy_sg_auth: false,
            make: IdMaker::new(seed),
            transitions: Vec::new(),
        }
    }

    /// An account by id or name.
    pub fn account(&self, name_or_id: &str) -> Option<&Account> {
        self.accounts.get(name_or_id).or_else(|| self.accounts.values().find(|account| account.name == name_or_id))
    }

    fn account_id(&self, name_or_id: &str) -> Option<&str> {
        self.account(name_or_id).map(|account| account.id.as_str())
    }

    /// A VPC of an account by name.
    pub fn vpc_named(&self, account: &str, name: &str) -> Option<&Vpc> {
        let owner = self.account_id(account)?;
        self.vpcs.values().find(|vpc| vpc.owner == owner && vpc.name == name)
    }

    /// A vSwitch of a VPC by name.
    pub fn vswitch_named(&self, account: &str, vpc: &str, name: &str) -> Option<&VSwitch> {
        let owner = self.account_id(account)?;
        self.vswitches.values().find(|vswitch| vswitch.owner == owner && vswitch.vpc == vpc && vswitch.name == name)
    }

    /// A security group of an account by name.
    pub fn group_named(&self, account: &str, name: &str) -> Option<&SecurityGroup> {
        let owner = self.account_id(account)?;
        self.groups.values().find(|group| group.owner == owner && group.name == name)
    }

    /// An instance of an account by name.
    pub fn instance_named(&self, account: &str, name: &str) -> Option<&Instance> {
        let owner = self.account_id(account)?;
        self.instances.values().find(|instance| instance.owner == owner && instance.name == name)
    }

    /// The primary interface of an instance.
    pub fn primary_eni(&self, instance: &str) -> Option<&Eni> {
        self.enis.get(self.instances.get(instance)?.enis.first()?)
    }

    /// The VPC whose router has this id.
    pub fn vpc_of_router(&self, vrouter: &str) -> Option<&Vpc> {
        self.vpcs.values().find(|vpc| vpc.vrouter == vrouter)
    }

    /// vSwitches of a VPC.
    pub fn vswitches_of(&self, vpc: &str) -> impl Iterator<Item = &VSwitch> {
        self.vswitches.values().filter(move |vswitch| vswitch.vpc == vpc)
    }

    /// The other end of a router interface: the one that exists under the declared id and points back.
    pub fn partner(&self, interface: &RouterInterface) -> Option<&RouterInterface> {
        let other = self.interfaces.get(&interface.opposite.interface)?;
        (other.opposite.interface == interface.id && other.role != interface.role).then_some(other)
    }
}
