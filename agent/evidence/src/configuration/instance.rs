//! Instances and their elastic network interfaces.
//!
//! Field names follow the vendor's documents (`API.md` §8).

use crate::{EniId, InstanceId, Provenance, SecurityGroupId, VSwitchId, VpcId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// State of an ECS instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceStatus {
    /// Being created.
    Pending,
    /// Up.
    Running,
    /// Being started.
    Starting,
    /// Being stopped.
    Stopping,
    /// Down.
    Stopped,
    /// A value that the vendor's documents do not list.
    Unrecognised,
}

/// An ECS instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Id of the instance.
    pub id: InstanceId,
    /// Name, possibly empty.
    #[serde(default)]
    pub name: String,
    /// State of the instance.
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
    /// Not bound to an instance.
    Available,
    /// Being bound, unbound, created or deleted.
    Changing,
    /// A value that the vendor's documents do not list.
    Unrecognised,
}

/// An elastic network interface (ENI), to which security groups are attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eni {
    /// Id of the interface.
    pub id: EniId,
    /// State of the interface.
    pub status: EniStatus,
    /// Whether it is the instance's primary interface.
    pub primary: bool,
    /// The instance that it is bound to.
    #[serde(default)]
    pub instance: Option<InstanceId>,
    /// Its VPC.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Its vSwitch, whose route table and network ACL apply.
    #[serde(default)]
    pub vswitch: Option<VSwitchId>,
    /// Its private addresses, the primary first.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Hardware address as reported, such as `00:16:3e:0c:7d:33`.
    #[serde(default)]
    pub mac: String,
    /// Its security groups.
    #[serde(default)]
    pub security_groups: Vec<SecurityGroupId>,
    /// Where this was read.
    #[serde(default)]
    pub provenance: Provenance,
}
