//! The declared state: every object of every account, as the calls of the owners have left it.
//!
//! It holds what was requested, with the changes of state that are due later, not how the API reports it (`actions`)
//! nor what carries packets (`project`). System routes are not stored: `routes` computes them from the vSwitches. Ids
//! are plain text here, as in the vendor's API.

pub(crate) mod cen;
mod filters;
pub(crate) mod words;

use super::ids::IdMaker;
use cen::{CenChange, CenWorld};
pub use filters::{Acl, AclEntry, Peer, PrefixList, Rule, SecurityGroup};
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
    /// Whether rules that name a group of another VPC are stored instead of refused. They match nothing either way
    /// (`SEMANTICS.md` §1.2).
    pub legacy_sg_auth: bool,
    pub(super) make: IdMaker,
    pub(super) transitions: Vec<Transition>,
}

/// An account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Numeric id.
    pub id: String,
    /// Name of the account in topologies.
    pub name: String,
}

/// A VPC with its router.
#[derive(Debug, Clone)]
pub struct Vpc {
    /// `vpc-…`
    pub id: String,
    /// Id of the account that owns it.
    pub owner: String,
    /// Region id, for example `cn-qingdao`.
    pub region: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Primary IPv4 block.
    pub cidr: Ipv4Net,
    /// Secondary IPv4 blocks.
    pub secondary: Vec<Ipv4Net>,
    /// `vrt-…`
    pub vrouter: String,
    /// Id of the system route table, which is bound to every vSwitch that has no other.
    pub system_table: String,
    /// Time of creation.
    pub created: Timestamp,
}

/// A vSwitch.
#[derive(Debug, Clone)]
pub struct VSwitch {
    /// `vsw-…`
    pub id: String,
    /// Id of the account that owns it.
    pub owner: String,
    /// Region id, for example `cn-qingdao`.
    pub region: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Id of its VPC.
    pub vpc: String,
    /// Zone id, for example `cn-qingdao-b`.
    pub zone: String,
    /// IPv4 block.
    pub cidr: Ipv4Net,
    /// Id of the route table in effect.
    pub table: String,
    /// Id of the network ACL bound to it; `None` if there is no ACL.
    pub acl: Option<String>,
    /// Time of creation.
    pub created: Timestamp,
}

/// A route table. Only custom entries are stored.
#[derive(Debug, Clone)]
pub struct RouteTable {
    /// `vtb-…`
    pub id: String,
    /// Id of the account that owns it.
    pub owner: String,
    /// Region id, for example `cn-qingdao`.
    pub region: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Id of its VPC.
    pub vpc: String,
    /// Whether it is the VPC's system table.
    pub system: bool,
    /// Custom entries.
    pub entries: Vec<RouteEntry>,
    /// Time of creation.
    pub created: Timestamp,
}

/// Who created a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The cloud: routes to vSwitches and to the service range.
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
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Destination.
    pub destination: Ipv4Net,
    /// Next hops; several mean ECMP.
    pub hops: Vec<Hop>,
    /// Who created it.
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
    /// Whether the cloud considers it usable. Packets to an unusable next hop are dropped.
    pub enabled: bool,
}

/// The role of a router interface in its pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The end that starts the connection.
    Initiating,
    /// The end that is connected to.
    Accepting,
}

/// State of a router interface (`SEMANTICS.md` §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterInterfaceState {
    /// Created, not connected.
    Idle,
    /// The initiating end while connecting.
    Connecting,
    /// The accepting end while connecting.
    AcceptingConnecting,
    /// Changing from `Inactive` to `Active`.
    Activating,
    /// In service; the link carries packets if both ends are active.
    Active,
    /// Its specification is changing.
    Modifying,
    /// Changing from `Active` to `Inactive`.
    Deactivating,
    /// Deactivated; carries nothing.
    Inactive,
    /// Being deleted.
    Deleting,
}

/// Business status: whether the cloud has locked an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Business {
    /// Paid and not locked.
    Normal,
    /// Locked because of an unpaid bill.
    FinancialLocked,
    /// Locked for security reasons.
    SecurityLocked,
}

/// The opposite end as a router interface declares it. Empty text is unset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opposite {
    /// Region id, for example `cn-qingdao`.
    pub region: String,
    /// Router interface id.
    pub interface: String,
    /// Id of the router that the opposite interface is on.
    pub router: String,
    /// `VRouter` or `VBR`.
    pub router_type: String,
    /// Id of the account that owns it.
    pub owner: String,
}

/// A router interface.
#[derive(Debug, Clone)]
pub struct RouterInterface {
    /// `ri-…`
    pub id: String,
    /// Id of the account that owns it.
    pub owner: String,
    /// Region id, for example `cn-qingdao`.
    pub region: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Initiating or accepting end.
    pub role: Role,
    /// Specification: `Mini.2` … `Xlarge.1`, or `Negative` for the accepting end.
    pub spec: String,
    /// Id of the VPC router it is on.
    pub router: String,
    /// Id of the VPC of that router.
    pub vpc: String,
    /// State of the interface.
    pub state: RouterInterfaceState,
    /// Business status.
    pub business: Business,
    /// The opposite end as declared.
    pub opposite: Opposite,
    /// Source and target address of the health check; empty if unset.
    pub health_check: (String, String),
    /// Threshold and rate of the health check (`HcThreshold`, `HcRate`).
    pub health_check_pace: (u32, u32),
    /// Time of creation.
    pub created: Timestamp,
    /// When it was connected; `None` if it never was.
    pub connected: Option<Timestamp>,
    /// Time of the last change.
    pub modified: Timestamp,
}

/// State of a VPC peering connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeeringState {
    /// Waits for the acceptor's decision.
    Accepting,
    /// Carries packets.
    Activated,
    /// The acceptor rejected it.
    Rejected,
    /// The acceptor did not accept it in time.
    Expired,
}

/// A VPC peering connection.
#[derive(Debug, Clone)]
pub struct Peering {
    /// `pcc-…`
    pub id: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Account id of the initiator.
    pub owner: String,
    /// Region of the initiator.
    pub region: String,
    /// VPC id of the initiator.
    pub vpc: String,
    /// Account id of the acceptor.
    pub accepting_owner: String,
    /// Region of the acceptor.
    pub accepting_region: String,
    /// VPC id of the acceptor.
    pub accepting_vpc: String,
    /// Bandwidth in Mbit/s; `None` is unlimited.
    pub bandwidth: Option<u32>,
    /// State of the connection.
    pub state: PeeringState,
    /// Business status.
    pub business: Business,
    /// Time of creation.
    pub created: Timestamp,
    /// Time of the last change.
    pub modified: Timestamp,
}

/// State of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Being started.
    Starting,
    /// Running.
    Running,
    /// Being stopped.
    Stopping,
    /// Not running.
    Stopped,
}

/// An instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// `i-…`
    pub id: String,
    /// Id of the account that owns it.
    pub owner: String,
    /// Region id, for example `cn-qingdao`.
    pub region: String,
    /// Zone id, for example `cn-qingdao-b`.
    pub zone: String,
    /// Name given by the owner, or the instance id.
    pub name: String,
    /// State of the instance.
    pub state: InstanceState,
    /// Ids of its network interfaces, the primary first.
    pub enis: Vec<String>,
    /// Name of its RAM role; empty if it has no role.
    pub ram_role: String,
    /// Whether the metadata service requires a token.
    pub metadata_tokens_required: bool,
    /// Whether the metadata service is enabled.
    pub metadata_enabled: bool,
    /// Time of creation.
    pub created: Timestamp,
}

/// State of an elastic network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EniState {
    /// Bound to an instance.
    InUse,
    /// Not bound to an instance.
    Available,
}

/// An elastic network interface.
#[derive(Debug, Clone)]
pub struct Eni {
    /// `eni-…`
    pub id: String,
    /// Id of the account that owns it.
    pub owner: String,
    /// Region id, for example `cn-qingdao`.
    pub region: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Id of its VPC.
    pub vpc: String,
    /// Id of its vSwitch.
    pub vswitch: String,
    /// Hardware address.
    pub mac: [u8; 6],
    /// Private addresses, the primary first.
    pub addresses: Vec<Ipv4Addr>,
    /// Ids of its security groups.
    pub groups: Vec<String>,
    /// Id of the instance it is bound to; `None` if it is not bound.
    pub instance: Option<String>,
    /// Whether it is the primary interface of that instance.
    pub primary: bool,
    /// Time of creation.
    pub created: Timestamp,
}

/// A change that is due at a time.
#[derive(Debug, Clone)]
pub(super) struct Transition {
    pub(super) due: Timestamp,
    pub(super) change: Change,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Interface {
        id: String,
        to: RouterInterfaceState,
    },
    InterfaceGone {
        id: String,
    },
    Instance {
        id: String,
        to: InstanceState,
    },
    /// Shows `status` until it is due, and changes nothing.
    Shown {
        id: String,
        status: &'static str,
    },
    Peering {
        id: String,
        to: PeeringState,
    },
    PeeringGone {
        id: String,
    },
    RouteGone {
        table: String,
        id: String,
    },
    TableGone {
        id: String,
    },
    EniGone {
        id: String,
    },
    /// An object of Cloud Enterprise Network.
    Cen(CenChange),
}

impl Change {
    /// Whether it concerns the object with this id; always false for Cloud Enterprise Network.
    pub(super) fn is_of(&self, object: &str) -> bool {
        match self {
            Self::Interface { id, .. }
            | Self::InterfaceGone { id }
            | Self::Instance { id, .. }
            | Self::Shown { id, .. }
            | Self::Peering { id, .. }
            | Self::PeeringGone { id }
            | Self::RouteGone { id, .. }
            | Self::TableGone { id }
            | Self::EniGone { id } => id == object,
            Self::Cen(_) => false,
        }
    }
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

    /// The opposite end of a router interface: the interface with the declared id, if it exists and points back.
    pub fn partner(&self, interface: &RouterInterface) -> Option<&RouterInterface> {
        let other = self.interfaces.get(&interface.opposite.interface)?;
        (other.opposite.interface == interface.id && other.role != interface.role).then_some(other)
    }
}
