//! VPCs and their vSwitches.
//!
//! Field names follow the vendor's documents (`alibaba-cloud-api.md` §1, §2, §7).

use crate::{Cidr, NetworkAclId, Provenance, RouteTableId, RouterId, VSwitchId, VpcId, ZoneId};
use serde::{Deserialize, Serialize};

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
