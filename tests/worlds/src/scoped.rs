//! One whole snapshot as the agents of its VPCs would have read it: one snapshot for each VPC, with that VPC's objects
//! and the account's connections.

use pingtong_evidence::{Coverage, Known, Snapshot, VSwitchId, VpcId};
use std::{collections::BTreeSet, time::Duration};

fn kept<T: Clone>(list: &Known<Vec<T>>, keep: impl Fn(&T) -> bool) -> Known<Vec<T>> {
    match list {
        Known::Known(items) => Known::Known(items.iter().filter(|item| keep(item)).cloned().collect()),
        Known::Unknown(why) => Known::Unknown(why.clone()),
    }
}

/// The part of a snapshot that an agent in one VPC reads.
pub fn of_vpc(snapshot: &Snapshot, vpc: &VpcId) -> Snapshot {
    let vswitches = kept(&snapshot.vswitches, |vswitch| vswitch.vpc == *vpc);
    let own: BTreeSet<&VSwitchId> = vswitches.known().into_iter().flatten().map(|vswitch| &vswitch.id).collect();
    let inside = |named: Option<&VpcId>, vswitch: Option<&VSwitchId>| {
        named.map_or_else(|| vswitch.is_some_and(|id| own.contains(id)), |named| named == vpc)
    };
    Snapshot {
        covers: Some(Coverage::Vpcs(BTreeSet::from([vpc.clone()]))),
        vpcs: kept(&snapshot.vpcs, |found| found.id == *vpc),
        route_tables: kept(&snapshot.route_tables, |table| table.vpc == *vpc),
        transit_attachments: kept(&snapshot.transit_attachments, |attachment| attachment.vpc == *vpc),
        network_acls: kept(&snapshot.network_acls, |acl| acl.vpc == *vpc),
        security_groups: kept(&snapshot.security_groups, |group| group.vpc.as_ref() == Some(vpc)),
        instances: kept(&snapshot.instances, |i| inside(i.vpc.as_ref(), i.vswitch.as_ref())),
        enis: kept(&snapshot.enis, |eni| inside(eni.vpc.as_ref(), eni.vswitch.as_ref())),
        vswitches: vswitches.clone(),
        ..snapshot.clone()
    }
}

/// The snapshots of all VPCs that a snapshot covers, each read some seconds after the one before.
pub fn by_vpc(snapshot: &Snapshot) -> Vec<Snapshot> {
    let Coverage::Vpcs(vpcs) = Snapshot { covers: None, ..snapshot.clone() }.coverage().into_owned() else {
        return vec![];
    };
    let mut later = Duration::ZERO;
    let part = |vpc: &VpcId| {
        let mut part = of_vpc(snapshot, vpc);
        later += Duration::from_secs(7);
        (part.taken_at, part.finished_at) = (snapshot.taken_at.plus(later), snapshot.finished_at.plus(later));
        part
    };
    vpcs.iter().map(part).collect()
}
