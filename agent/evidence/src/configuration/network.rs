//! VPCs and their vSwitches.
//!
//! Field names follow the vendor's documents (`API.md` §8).

use crate::{Cidr, NetworkAclId, Provenance, RouteTableId, RouterId, VSwitchId, VpcId, ZoneId};
use serde::{Deserialize, Serialize};

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// Id of the VPC.
    pub id: VpcId,
    /// Name, possibly empty.
    #[serde(default)]
    pub name: String,
    /// Primary IPv4 block.
    pub cidr: Cidr,
    /// Further IPv4 blocks.
    #[serde(default)]
    pub secondary_cidrs: Vec<Cidr>,
    /// The VPC's router; `None` if the API omits it.
    #[serde(default)]
    pub router: Option<RouterId>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}

/// A vSwitch: a subnet of a VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VSwitch {
    /// Id of the vSwitch.
    pub id: VSwitchId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its zone; `None` if the API omits it.
    #[serde(default)]
    pub zone: Option<ZoneId>,
    /// Its CIDR block.
    pub cidr: Cidr,
    /// The route table in effect; `None` if the API omits it, in which case the VPC's system table is in effect.
    #[serde(default)]
    pub route_table: Option<RouteTableId>,
    /// The network ACL bound to it; `None` if there is no ACL.
    #[serde(default)]
    pub network_acl: Option<NetworkAclId>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}
