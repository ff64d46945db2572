//! Which of several readings of an account and region counts for which VPC: the newest one that covers it.
//!
//! Agents read their own VPC only, the collector may read all of them, and each comes at its own time.

use pingtong_evidence::{AccountId, Coverage, RegionId, Snapshot, VpcId};
use std::{
    borrow::Borrow,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// A snapshot that counts for at least one VPC.
#[derive(Debug, Clone)]
pub(crate) struct Reading<S> {
    pub(crate) snapshot: S,
    /// VPCs for which a newer snapshot of the same account and region counts instead.
    newer: BTreeSet<VpcId>,
}

impl<S: Borrow<Snapshot>> Reading<S> {
    /// Whether this is the snapshot to ask about a VPC of its account and region.
    pub(crate) fn counts_for(&self, vpc: &VpcId) -> bool {
        self.snapshot.borrow().coverage().includes(vpc) && !self.newer.contains(vpc)
    }

    /// Whether no other snapshot of the same account and region counts for a VPC that this one covers.
    pub(crate) fn is_undivided(&self) -> bool {
        self.newer.is_empty()
    }
}

/// Whether any part of the path was read. An account that denies every call is as invisible as one without a snapshot.
pub(crate) fn shows_anything(snapshot: &Snapshot) -> bool {
    snapshot.vpcs.known().is_some()
        || snapshot.vswitches.known().is_some()
        || snapshot.route_tables.known().is_some()
        || snapshot.router_interfaces.known().is_some()
        || snapshot.security_groups.known().is_some()
        || snapshot.instances.known().is_some()
        || snapshot.enis.known().is_some()
        || snapshot.vpc_peerings.known().is_some()
        || snapshot.transit_attachments.known().is_some()
        || snapshot.transit_peerings.known().is_some()
        || snapshot.transit_route_tables.known().is_some()
}

/// The snapshots that count, by account and region. Among equally new ones, the one with more answered calls counts.
pub(crate) fn newest<S: Borrow<Snapshot>>(snapshots: impl IntoIterator<Item = S>) -> Vec<Reading<S>> {
    let mut places: BTreeMap<(AccountId, RegionId), Vec<S>> = BTreeMap::new();
    for snapshot in snapshots {
        let of = snapshot.borrow();
        places.entry((of.account.clone(), of.region.clone())).or_default().push(snapshot);
    }
    let mut counting = vec![];
    for mut readings in places.into_values() {
        readings.sort_by_key(|snapshot| {
            let of = snapshot.borrow();
            Reverse((of.taken_at, of.finished_at, of.sources.len()))
        });
        let mut covered: BTreeSet<VpcId> = BTreeSet::new();
        for (rank, snapshot) in readings.into_iter().enumerate() {
            let coverage = snapshot.borrow().coverage().into_owned();
            let more = match &coverage {
                Coverage::All => true,
                Coverage::Vpcs(vpcs) => rank == 0 || !vpcs.is_subset(&covered),
            };
            if !more {
                continue;
            }
            counting.push(Reading { snapshot, newer: covered.clone() });
            match coverage {
                Coverage::All => break,
                Coverage::Vpcs(vpcs) => covered.extend(vpcs),
            }
        }
    }
    counting
}
