//! Reduces a snapshot to what can matter for one link: a large account has thousands of objects that no packet of the
//! pair meets.
//!
//! VPCs that connections join to those of the link, however many connections lie between, keep their route tables,
//! vSwitches and ACLs, because a packet may be sent that way. Interfaces, instances and rules matter only in the link's
//! own two VPCs. Security groups elsewhere are kept by id, because rules may name them.

use pingtong_evidence::{Known, Link, RouterInterface, SecurityGroup, Side, Snapshot, VpcId};
use std::collections::BTreeSet;

/// Returns the VPCs that connections of any kind and state join to those of the link, including the link's own.
pub(super) fn joined(link: &Link, snapshots: &[&Snapshot]) -> BTreeSet<VpcId> {
    let mut edges: Vec<(VpcId, VpcId)> = vec![];
    for snapshot in snapshots {
        for ri in snapshot.router_interfaces.known().into_iter().flatten() {
            let far = ri.opposite_vpc.clone().or_else(|| opposite_vpc(snapshots, ri));
            edges.extend(ri.vpc.clone().zip(far));
        }
        for peering in snapshot.vpc_peerings.known().into_iter().flatten() {
            edges.push((peering.vpc.clone(), peering.accepting_vpc.clone()));
        }
    }
    let attachments = snapshots.iter().filter_map(|snapshot| snapshot.transit_attachments.known()).flatten();
    let attached: Vec<&VpcId> = attachments.map(|attachment| &attachment.vpc).collect();
    // Transit routers of different regions are connected to each other, so a packet may meet any attached VPC.
    edges.extend(attached.windows(2).filter_map(|two| Some(((*two.first()?).clone(), (*two.get(1)?).clone()))));
    let mut joined: BTreeSet<VpcId> = Side::BOTH.map(|side| link.side(side).vpc.clone()).into_iter().collect();
    loop {
        let before = joined.len();
        for (near, far) in &edges {
            if joined.contains(near) || joined.contains(far) {
                joined.insert(near.clone());
                joined.insert(far.clone());
            }
        }
        if joined.len() == before {
            return joined;
        }
    }
}

fn opposite_vpc(snapshots: &[&Snapshot], ri: &RouterInterface) -> Option<VpcId> {
    let opposite = ri.opposite_interface.as_ref()?;
    let all = snapshots.iter().filter_map(|snapshot| snapshot.router_interfaces.known()).flatten();
    all.into_iter().find(|other| other.id == *opposite)?.vpc.clone()
}

fn kept<T: Clone>(list: &Known<Vec<T>>, keep: impl Fn(&T) -> bool) -> Known<Vec<T>> {
    match list {
        Known::Known(items) => Known::Known(items.iter().filter(|item| keep(item)).cloned().collect()),
        Known::Unknown(why) => Known::Unknown(why.clone()),
    }
}

/// Returns the snapshot without the objects that no packet of the link can meet.
pub(super) fn narrowed(snapshot: &Snapshot, link: &Link, joined: &BTreeSet<VpcId>) -> Snapshot {
    let own =
        |vpc: Option<&VpcId>| vpc.is_none_or(|vpc| Side::BOTH.into_iter().any(|side| link.side(side).vpc == *vpc));
    let security_groups = match &snapshot.security_groups {
        Known::Known(groups) => {
            Known::Known(groups.iter().map(|group| named(group, own(group.vpc.as_ref()))).collect())
        }
        Known::Unknown(why) => Known::Unknown(why.clone()),
    };
    Snapshot {
        schema: snapshot.schema,
        account: snapshot.account.clone(),
        region: snapshot.region.clone(),
        request: snapshot.request.clone(),
        covers: Some(snapshot.coverage().into_owned()),
        taken_at: snapshot.taken_at,
        finished_at: snapshot.finished_at,
        sources: snapshot.sources.clone(),
        vpcs: snapshot.vpcs.clone(),
        vswitches: kept(&snapshot.vswitches, |vswitch| joined.contains(&vswitch.vpc)),
        route_tables: kept(&snapshot.route_tables, |table| joined.contains(&table.vpc)),
        router_interfaces: snapshot.router_interfaces.clone(),
        vpc_peerings: snapshot.vpc_peerings.clone(),
        transit_attachments: snapshot.transit_attachments.clone(),
        transit_peerings: snapshot.transit_peerings.clone(),
        transit_route_tables: snapshot.transit_route_tables.clone(),
        network_acls: kept(&snapshot.network_acls, |acl| joined.contains(&acl.vpc)),
        security_groups,
        prefix_lists: snapshot.prefix_lists.clone(),
        instances: kept(&snapshot.instances, |instance| own(instance.vpc.as_ref())),
        enis: kept(&snapshot.enis, |eni| own(eni.vpc.as_ref())),
        link_metrics: snapshot.link_metrics.clone(),
        changes: snapshot.changes.clone(),
        gaps: snapshot.gaps.clone(),
    }
}

/// Copies a group. The rules, which are most of its size, are kept only if they matter.
fn named(group: &SecurityGroup, with_rules: bool) -> SecurityGroup {
    SecurityGroup {
        id: group.id.clone(),
        name: group.name.clone(),
        vpc: group.vpc.clone(),
        kind: group.kind,
        inner_access: group.inner_access.clone(),
        rules: if with_rules { group.rules.clone() } else { Known::default() },
        provenance: group.provenance,
    }
}
