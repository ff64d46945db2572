//! Configuration of one account and region at one time.
//!
//! Contains every object that a path crosses, in every state: an inactive router interface is a main finding, not
//! noise. Field names follow the vendor's documents (`API.md` §8). The code that fills a snapshot
//! normalises the spelling of enumerations, since the vendor's own case is not stable. What could not be read is
//! [`Known::Unknown`] where it belongs to one object, and a [`Gap`] where a whole call failed.

use crate::{
    AccountId, ConfigChange, Eni, Gap, Instance, Known, LinkMetric, NetworkAcl, PrefixList, RegionId, RequestTag,
    RouteTable, RouterInterface, SecurityGroup, Timestamp, TransitAttachment, TransitPeering, TransitRouteTable,
    VSwitch, Vpc, VpcId, VpcPeering, WhyUnknown,
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeSet};

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

/// The VPCs of an account and region that a snapshot was read for. Its lists of vSwitches, route tables, transit
/// attachments, network ACLs, security groups, instances and interfaces say nothing about any other VPC: an object of
/// such a VPC that is not listed is unknown, not missing. The other lists are of the whole account and region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coverage {
    /// Every VPC.
    All,
    /// Only these.
    Vpcs(BTreeSet<VpcId>),
}

impl Coverage {
    /// Whether objects of this VPC are listed if they exist.
    pub fn includes(&self, vpc: &VpcId) -> bool {
        match self {
            Self::All => true,
            Self::Vpcs(vpcs) => vpcs.contains(vpc),
        }
    }
}

/// One account's configuration in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Format version, [`crate::SCHEMA`].
    pub schema: u32,
    /// Account whose configuration this is.
    pub account: AccountId,
    /// Region of the configuration.
    pub region: RegionId,
    /// When the first call was sent. Later changes may be missing.
    pub taken_at: Timestamp,
    /// When the last answer came.
    pub finished_at: Timestamp,
    /// The request for fresh evidence that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestTag>,
    /// What the reader asked for; `None` if it did not record that. See [`Snapshot::coverage`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers: Option<Coverage>,
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
    /// Connections between transit routers.
    #[serde(default)]
    pub transit_peerings: Known<Vec<TransitPeering>>,
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
    /// Measurements of the vendor's monitoring on connections. Optional: read only if the scope of the read includes
    /// them.
    #[serde(default)]
    pub link_metrics: Known<Vec<LinkMetric>>,
    /// Recent changes, and who made them. Optional: read only if the scope of the read includes them.
    #[serde(default)]
    pub changes: Known<Vec<ConfigChange>>,
    /// What could not be read.
    #[serde(default)]
    pub gaps: Vec<Gap>,
}

/// Calls a macro with the names of all lists of a snapshot: first those that forwarding depends on, then the optional
/// ones.
macro_rules! for_each_list {
    ($with:ident) => {
        $with!(
            [vpcs vswitches route_tables router_interfaces vpc_peerings transit_attachments transit_peerings
             transit_route_tables network_acls security_groups prefix_lists instances enis]
            [link_metrics changes]
        )
    };
}

/// The VPCs that the objects of a list name.
fn vpcs_of<T>(list: &Known<Vec<T>>, vpc: impl Fn(&T) -> Option<&VpcId>) -> impl Iterator<Item = &VpcId> {
    list.known().into_iter().flatten().filter_map(vpc)
}

impl Snapshot {
    /// What the snapshot covers. If its reader did not record that, only the VPCs of which it shows an object count.
    pub fn coverage(&self) -> Cow<'_, Coverage> {
        if let Some(recorded) = &self.covers {
            return Cow::Borrowed(recorded);
        }
        let shown = vpcs_of(&self.vpcs, |vpc| Some(&vpc.id))
            .chain(vpcs_of(&self.vswitches, |vswitch| Some(&vswitch.vpc)))
            .chain(vpcs_of(&self.route_tables, |table| Some(&table.vpc)))
            .chain(vpcs_of(&self.network_acls, |acl| Some(&acl.vpc)))
            .chain(vpcs_of(&self.security_groups, |group| group.vpc.as_ref()))
            .chain(vpcs_of(&self.instances, |instance| instance.vpc.as_ref()))
            .chain(vpcs_of(&self.enis, |eni| eni.vpc.as_ref()));
        Cow::Owned(Coverage::Vpcs(shown.cloned().collect()))
    }

    /// Whether another snapshot is of the same account, region and VPCs, so that a difference between the two is a
    /// change.
    pub fn same_scope(&self, other: &Self) -> bool {
        self.account == other.account && self.region == other.region && self.coverage() == other.coverage()
    }

    /// Marks every list as unknown, for one reason.
    pub fn forget_all(&mut self, why: &WhyUnknown) {
        macro_rules! forget {
            ([$($list:ident)+] [$($optional:ident)+]) => {{
                $(self.$list = Known::Unknown(why.clone());)+
                $(self.$optional = Known::Unknown(why.clone());)+
            }};
        }
        for_each_list!(forget);
    }

    /// Reasons why lists that forwarding depends on are unknown; known lists are skipped.
    pub fn unknown_lists(&self) -> impl Iterator<Item = &WhyUnknown> {
        macro_rules! reasons {
            ([$($list:ident)+] [$($optional:ident)+]) => { [$(self.$list.why_unknown()),+] };
        }
        for_each_list!(reasons).into_iter().flatten()
    }

    /// Every list by name, with its number of objects or the reason why it is unknown.
    pub fn counts(&self) -> Vec<(&'static str, Result<usize, &WhyUnknown>)> {
        fn count<T>(list: &Known<Vec<T>>) -> Result<usize, &WhyUnknown> {
            match list {
                Known::Known(list) => Ok(list.len()),
                Known::Unknown(why) => Err(why),
            }
        }
        macro_rules! counts {
            ([$($list:ident)+] [$($optional:ident)+]) => {
                vec![$((stringify!($list), count(&self.$list)),)+ $((stringify!($optional), count(&self.$optional)),)+]
            };
        }
        for_each_list!(counts)
    }

    /// A snapshot in which nothing has been read yet.
    pub fn unread(account: AccountId, region: RegionId, taken_at: Timestamp) -> Self {
        Self {
            schema: crate::SCHEMA,
            account,
            region,
            taken_at,
            finished_at: taken_at,
            request: None,
            covers: None,
            sources: vec![],
            vpcs: Known::default(),
            vswitches: Known::default(),
            route_tables: Known::default(),
            router_interfaces: Known::default(),
            vpc_peerings: Known::default(),
            transit_attachments: Known::default(),
            transit_peerings: Known::default(),
            transit_route_tables: Known::default(),
            network_acls: Known::default(),
            security_groups: Known::default(),
            prefix_lists: Known::default(),
            instances: Known::default(),
            enis: Known::default(),
            link_metrics: Known::default(),
            changes: Known::default(),
            gaps: vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn vpc(name: &str) -> VpcId {
        VpcId::parse(name).unwrap()
    }

    fn snapshot(extra: &Value) -> Snapshot {
        let mut all = json!({"schema": 1, "account": "1", "region": "r", "taken_at": 1, "finished_at": 2});
        all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_snapshot_without_recorded_coverage_covers_only_the_vpcs_that_it_shows() {
        let old = snapshot(&json!({
            "enis": {"known": [{"id": "eni-1", "status": "in_use", "primary": true, "vpc": "vpc-b", "addresses": [],
                "security_groups": [], "provenance": 0}]}
        }));
        assert_eq!(old.coverage().into_owned(), Coverage::Vpcs(BTreeSet::from([vpc("vpc-b")])));
        assert!(!snapshot(&json!({})).coverage().includes(&vpc("vpc-b")));
    }

    #[test]
    fn recorded_coverage_counts_even_if_nothing_was_read() {
        let all = snapshot(&json!({"covers": "all"}));
        assert!(all.coverage().includes(&vpc("vpc-x")));
        let one = snapshot(&json!({"covers": {"vpcs": ["vpc-a"]}}));
        assert!(one.coverage().includes(&vpc("vpc-a")) && !one.coverage().includes(&vpc("vpc-x")));
        assert!(!one.same_scope(&all));
        assert_eq!(serde_json::to_value(&one).unwrap()["covers"], json!({"vpcs": ["vpc-a"]}));
    }
}
