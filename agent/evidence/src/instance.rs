//! Instances and their elastic network interfaces.
//!
//! Field names follow the vendor's documents (`alibaba-cloud-api.md` §1, §2, §7).

use crate::{EniId, InstanceId, Provenance, SecurityGroupId, VSwitchId, VpcId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

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
