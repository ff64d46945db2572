//! One snapshot of an estate, of one account and region, and the position of each object in it.
//!
//! Makes no decision about packets. If two objects claim the same id or address, the first one counts, as in `walk`.

use super::span::{Span, bits};
use crate::{
    model::readings::Reading,
    walk::{acl_bound_to, best_route},
};
use pingtong_evidence::{
    Eni, Instance, Known, LinkSide, NetworkAcl, PrefixListId, RouteEntry, RouteTable, RouteTableKind, SecurityGroup,
    SecurityGroupId, Snapshot, VSwitch, VSwitchId, VpcId,
};
use std::{collections::BTreeMap, sync::Arc};

/// Position in a list of a snapshot.
pub(crate) type At = usize;

/// The interface and the instance that show an address.
pub(crate) type Shown<'a> = (Option<&'a Eni>, Option<&'a Instance>);

/// A snapshot with its indexes.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) reading: Reading<Arc<Snapshot>>,
    /// The part that shows how VPCs are connected. Hundreds of connections may be judged, each with its own copy of
    /// this part.
    pub(crate) wires: Snapshot,
    groups: BTreeMap<SecurityGroupId, At>,
    vswitches: BTreeMap<VSwitchId, At>,
    prefix_lists: BTreeMap<PrefixListId, At>,
    vswitches_of: BTreeMap<VpcId, Vec<At>>,
    tables_of: BTreeMap<VpcId, Vec<At>>,
}

fn list<T>(known: &Known<Vec<T>>) -> &[T] {
    known.known().map_or(&[], Vec::as_slice)
}

/// Maps each key to the first item that has it.
fn index<T, K: Ord + Clone>(items: &[T], key: impl Fn(&T) -> &K) -> BTreeMap<K, At> {
    items.iter().enumerate().rev().map(|(at, item)| (key(item).clone(), at)).collect()
}

fn by_vpc<T>(items: &[T], vpc: impl Fn(&T) -> &VpcId) -> BTreeMap<VpcId, Vec<At>> {
    let mut all: BTreeMap<VpcId, Vec<At>> = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        all.entry(vpc(item).clone()).or_default().push(at);
    }
    all
}

fn wires(snapshot: &Snapshot) -> Snapshot {
    Snapshot {
        finished_at: snapshot.finished_at,
        covers: Some(snapshot.coverage().into_owned()),
        vpcs: snapshot.vpcs.clone(),
        router_interfaces: snapshot.router_interfaces.clone(),
        vpc_peerings: snapshot.vpc_peerings.clone(),
        ..Snapshot::unread(snapshot.account.clone(), snapshot.region.clone(), snapshot.taken_at)
    }
}

impl Place {
    pub(crate) fn new(reading: Reading<Arc<Snapshot>>) -> Self {
        let snapshot = &reading.snapshot;
        Self {
            groups: index(list(&snapshot.security_groups), |group| &group.id),
            vswitches: index(list(&snapshot.vswitches), |vswitch| &vswitch.id),
            prefix_lists: index(list(&snapshot.prefix_lists), |list| &list.id),
            vswitches_of: by_vpc(list(&snapshot.vswitches), |vswitch| &vswitch.vpc),
            tables_of: by_vpc(list(&snapshot.route_tables), |table| &table.vpc),
            wires: wires(snapshot),
            reading,
        }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.reading.snapshot
    }

    /// Whether this is the place to ask about a VPC of an account and region.
    pub(crate) fn is_of(&self, side: &LinkSide) -> bool {
        let snapshot = self.snapshot();
        snapshot.account == side.account && snapshot.region == side.region && self.reading.counts_for(&side.vpc)
    }

    /// The VPCs that a description or a vSwitch shows and for which no newer snapshot counts, in order.
    pub(crate) fn vpcs(&self) -> Vec<VpcId> {
        let described = list(&self.snapshot().vpcs).iter().map(|vpc| &vpc.id);
        let mut all: Vec<VpcId> =
            described.chain(self.vswitches_of.keys()).filter(|vpc| self.reading.counts_for(vpc)).cloned().collect();
        all.sort();
        all.dedup();
        all
    }

    pub(crate) fn group(&self, id: &SecurityGroupId) -> Option<(At, &SecurityGroup)> {
        let at = *self.groups.get(id)?;
        Some((at, list(&self.snapshot().security_groups).get(at)?))
    }

    /// The entries of a prefix list; `None` if they could not be read.
    pub(crate) fn prefix_list(&self, id: &PrefixListId) -> Option<Vec<Span>> {
        let found = list(&self.snapshot().prefix_lists).get(*self.prefix_lists.get(id)?)?;
        Some(found.entries.known()?.iter().filter_map(Span::of).collect())
    }

    pub(crate) fn vswitch(&self, id: &VSwitchId) -> Option<&VSwitch> {
        list(&self.snapshot().vswitches).get(*self.vswitches.get(id)?)
    }

    pub(crate) fn vswitches(&self, vpc: &VpcId) -> impl Iterator<Item = (At, &VSwitch)> {
        let all = list(&self.snapshot().vswitches);
        self.vswitches_of.get(vpc).into_iter().flatten().filter_map(|at| Some((*at, all.get(*at)?)))
    }

    /// The vSwitch of a host: the one that its interface or instance names, else the one whose block holds its address.
    pub(crate) fn vswitch_of_host(&self, vpc: &VpcId, named: Option<&VSwitchId>, address: u32) -> Option<At> {
        let by_name = named.and_then(|id| self.vswitches(vpc).find(|(_, vswitch)| vswitch.id == *id));
        let holds = |vswitch: &VSwitch| Span::of(&vswitch.cidr).is_some_and(|span| span.contains(address));
        by_name.or_else(|| self.vswitches(vpc).find(|(_, vswitch)| holds(vswitch))).map(|(at, _)| at)
    }

    /// The table in effect for a vSwitch: the one it names, else one that names it, else the VPC's system table.
    pub(crate) fn table_of(&self, vswitch: &VSwitch) -> Option<At> {
        let all = list(&self.snapshot().route_tables);
        let own = || self.tables_of.get(&vswitch.vpc).into_iter().flatten().filter_map(|at| Some((*at, all.get(*at)?)));
        let named = vswitch.route_table.as_ref().and_then(|id| own().find(|(_, table)| table.id == *id));
        let found = named
            .or_else(|| own().find(|(_, table)| table.vswitches.contains(&vswitch.id)))
            .or_else(|| own().find(|(_, table)| table.kind == RouteTableKind::System));
        found.map(|(at, _)| at)
    }

    pub(crate) fn table(&self, at: At) -> Option<&RouteTable> {
        list(&self.snapshot().route_tables).get(at)
    }

    /// The ACL bound to a vSwitch.
    pub(crate) fn acl_of(&self, vswitch: &VSwitch) -> Option<&NetworkAcl> {
        acl_bound_to(list(&self.snapshot().network_acls), vswitch)
    }

    /// Addresses with their interfaces and instances. An address of an interface counts before that of an instance, as
    /// in `walk::host`.
    pub(crate) fn hosts(&self) -> BTreeMap<(VpcId, u32), Shown<'_>> {
        let instances = list(&self.snapshot().instances);
        let by_id = index(instances, |instance| &instance.id);
        let vpc_of = |vpc: Option<&VpcId>, vswitch: Option<&VSwitchId>| {
            vpc.cloned().or_else(|| self.vswitch(vswitch?).map(|vswitch| vswitch.vpc.clone()))
        };
        let mut hosts = BTreeMap::new();
        let mut by_address: BTreeMap<(VpcId, u32), &Instance> = BTreeMap::new();
        for instance in instances {
            let Some(vpc) = vpc_of(instance.vpc.as_ref(), instance.vswitch.as_ref()) else { continue };
            for address in instance.addresses.iter().copied().filter_map(bits) {
                by_address.entry((vpc.clone(), address)).or_insert(instance);
            }
        }
        for eni in list(&self.snapshot().enis) {
            let Some(vpc) = vpc_of(eni.vpc.as_ref(), eni.vswitch.as_ref()) else { continue };
            for address in eni.addresses.iter().copied().filter_map(bits) {
                let key = (vpc.clone(), address);
                let instance = match &eni.instance {
                    Some(id) => by_id.get(id).and_then(|at| instances.get(*at)),
                    None => by_address.get(&key).copied(),
                };
                hosts.entry(key).or_insert((Some(eni), instance));
            }
        }
        for (key, instance) in by_address {
            hosts.entry(key).or_insert((None, Some(instance)));
        }
        hosts
    }
}

/// Index of the entry that decides for an address.
pub(crate) fn deciding(entries: &[RouteEntry], to: u32) -> Option<u32> {
    best_route(entries, super::span::address(to)).and_then(|(at, _)| u32::try_from(at).ok())
}
