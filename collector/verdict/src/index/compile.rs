//! How an estate is compiled from snapshots, and recompiled after a change.
//!
//! Everything that is the same for many hosts is compiled once: pools of security groups by the set of groups, ACLs and
//! route tables by their ids. What could not be read becomes a filter or a table that says "unknown", never one that
//! passes or stops packets.

use super::{
    Estate, Host, Network, Profile, TableRef,
    filter::{DEFAULT, Filter, Say},
    groups::{Members, Pool, PoolKey, own_rules},
    links::{self, Joint},
    place::{Place, Shown, deciding},
    span::{Cells, Span, bits},
};
use crate::{
    model::readings,
    walk::{BadLeg, bad_leg},
};
use pingtong_evidence::{Instance, InstanceStatus, Known, Link, Side, Snapshot, VSwitch, VpcId};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// A route table of an estate.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) place: u32,
    /// Index of the table in the snapshot.
    pub(crate) at: usize,
    /// Index of the deciding entry, plus one; 0 if no entry decides.
    pub(crate) cells: Cells,
    /// For each entry: the links that it leads to, and whether all its packets get there.
    pub(crate) leads: Vec<Vec<(u32, Say)>>,
    /// For each entry: whether it is a system route.
    pub(crate) system: Vec<bool>,
}

pub(super) fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Key of a compiled ACL: the index of its place, its id, and whether it is the ingress direction.
pub(super) type AclKey = (u32, pingtong_evidence::NetworkAclId, bool);

/// An estate under construction, with the indexes that find what is already compiled.
pub(super) struct Making {
    estate: Estate,
    pools: BTreeMap<PoolKey, u32>,
    acls: BTreeMap<AclKey, u32>,
    tables: BTreeMap<(u32, usize), u32>,
    profiles: BTreeMap<Profile, u32>,
}

pub(super) fn make(snapshots: impl IntoIterator<Item = Arc<Snapshot>>, given: &[Link]) -> Estate {
    let places: Vec<Place> = readings::newest(snapshots).into_iter().map(Place::new).collect();
    let (links, links_left_out) = links::find(&places, given);
    let estate = Estate { places, given: given.to_vec(), links_left_out, ..Estate::default() };
    let mut making = Making {
        estate,
        pools: BTreeMap::new(),
        acls: BTreeMap::new(),
        tables: BTreeMap::new(),
        profiles: BTreeMap::new(),
    };
    // Two filters that all hosts share: 0 filters nothing, 1 could not be read.
    making.estate.acls = vec![Filter::constant(Say::Pass(DEFAULT)), Filter::constant(Say::Unknown)];
    making.networks();
    making.hosts();
    making.join(links);
    making.estate.acl_keys = making.acls.into_iter().map(|(key, at)| (at, key)).collect();
    making.estate.pool_keys = making.pools.into_iter().map(|(key, at)| (at, key)).collect();
    making.estate
}

impl Making {
    fn networks(&mut self) {
        for (place_at, place) in self.estate.places.iter().enumerate() {
            for id in place.vpcs() {
                let local =
                    place.vswitches(&id).filter_map(|(at, vswitch)| Some((Span::of(&vswitch.cidr)?, at))).collect();
                let place = number(place_at);
                self.estate.networks.push(Network { id, place, local, hosts: 0..0, peers: vec![], version: 0 });
            }
        }
    }

    fn hosts(&mut self) {
        let places = std::mem::take(&mut self.estate.places);
        let networks = std::mem::take(&mut self.estate.networks);
        let mut done = vec![];
        let mut hosts_of: Vec<BTreeMap<VpcId, Vec<_>>> = vec![];
        for place in &places {
            let mut by_vpc: BTreeMap<VpcId, Vec<_>> = BTreeMap::new();
            for ((vpc, address), found) in place.hosts() {
                by_vpc.entry(vpc).or_default().push((address, found));
            }
            hosts_of.push(by_vpc);
        }
        for (at, mut network) in networks.into_iter().enumerate() {
            let from = self.estate.hosts.len();
            if let (Some(place), Some(by_vpc)) =
                (places.get(network.place as usize), hosts_of.get_mut(network.place as usize))
            {
                let found = by_vpc.remove(&network.id).unwrap_or_default();
                let members = members(&found);
                for (address, (eni, instance)) in found {
                    self.host(number(at), &network, place, address, (eni, instance), &members);
                }
            }
            network.hosts = from..self.estate.hosts.len();
            done.push(network);
        }
        drop(hosts_of);
        self.estate.places = places;
        self.estate.networks = done;
    }

    fn host(
        &mut self,
        vpc: u32,
        network: &Network,
        place: &Place,
        address: u32,
        (eni, instance): Shown<'_>,
        members: &Members,
    ) {
        let named = eni.and_then(|e| e.vswitch.as_ref()).or_else(|| instance.and_then(|i| i.vswitch.as_ref()));
        let vswitch_at = place.vswitch_of_host(&network.id, named, address);
        let vswitch = vswitch_at.and_then(|at| place.snapshot().vswitches.known()?.get(at));
        let groups = eni.map(|e| &e.security_groups).or_else(|| instance.map(|i| &i.security_groups));
        let groups = groups.cloned().unwrap_or_default();
        let read = place.snapshot().security_groups.known().is_some();
        let mut pool = |ingress: bool, inside: Option<u32>| {
            let own = if read { own_rules(place, &groups, ingress, address) } else { vec![] };
            let key = PoolKey { place: network.place, groups: groups.clone(), ingress, inside, own };
            if let Some(at) = self.pools.get(&key) {
                return *at;
            }
            let at = number(self.estate.pools.len());
            self.estate.pools.push(Pool::compile(&key, place, inside.map(|_| members)));
            self.pools.insert(key, at);
            at
        };
        let outer = [pool(false, None), pool(true, None)];
        let inner = [pool(false, Some(vpc)), pool(true, Some(vpc))];
        let acl = [false, true].map(|ingress| self.acl(network.place, place, vswitch, ingress));
        let profile = Profile {
            vpc,
            vswitch: vswitch_at.map(number),
            table: self.table(network.place, place, vswitch),
            acl,
            outer,
            inner,
            status: status(place.snapshot(), instance),
        };
        let next = number(self.profiles.len());
        let at = *self.profiles.entry(profile).or_insert_with(|| {
            self.estate.profiles.push(profile);
            next
        });
        let first = |addresses: &[IpAddr]| addresses.first().copied().and_then(bits) == Some(address);
        let primary = match (eni, instance) {
            (Some(eni), _) => eni.primary && first(&eni.addresses),
            (None, instance) => instance.is_some_and(|instance| first(&instance.addresses)),
        };
        let instance = instance.map(|i| i.id.clone()).or_else(|| eni.and_then(|e| e.instance.clone()));
        self.estate.hosts.push(Host { address, profile: at, instance, eni: eni.map(|e| e.id.clone()), primary });
    }

    /// Index of the ACL filter that applies to a vSwitch, as `walk::acl` selects it.
    fn acl(&mut self, place_at: u32, place: &Place, vswitch: Option<&VSwitch>, ingress: bool) -> u32 {
        let Some(vswitch) = vswitch else { return u32::from(place.snapshot().vswitches.known().is_none()) };
        if place.snapshot().network_acls.known().is_none() {
            return u32::from(vswitch.network_acl.is_some());
        }
        let Some(acl) = place.acl_of(vswitch) else { return 0 };
        let Some(entries) = acl.entries(ingress).known() else { return 1 };
        let next = number(self.estate.acls.len());
        *self.acls.entry((place_at, acl.id.clone(), ingress)).or_insert_with(|| {
            self.estate.acls.push(Filter::acl(entries));
            next
        })
    }

    /// The table that applies to a vSwitch, as `walk::route` selects it.
    fn table(&mut self, place_at: u32, place: &Place, vswitch: Option<&VSwitch>) -> TableRef {
        let Some(vswitch) = vswitch else {
            let read = place.snapshot().vswitches.known().is_some();
            return if read { TableRef::Absent } else { TableRef::Unread };
        };
        let Some(at) = place.table_of(vswitch) else { return TableRef::Unread };
        let Some(entries) = place.table(at).and_then(|table| table.entries.known()) else { return TableRef::Unread };
        let next = number(self.estate.tables.len());
        let known = *self.tables.entry((place_at, at)).or_insert(next);
        if known == next {
            let spans = entries.iter().filter_map(|entry| Span::of(&entry.destination));
            let cells = Cells::cut(spans, |to| deciding(entries, to).map_or(0, |entry| entry.saturating_add(1)));
            let system = entries.iter().map(|e| e.kind == pingtong_evidence::RouteKind::System).collect();
            self.estate.tables.push(Table { place: place_at, at, cells, leads: vec![vec![]; entries.len()], system });
        }
        TableRef::At(known)
    }

    fn join(&mut self, links: Vec<Link>) {
        let estate = &mut self.estate;
        let mut tables_of: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for profile in &estate.profiles {
            if let TableRef::At(table) = profile.table {
                let tables = tables_of.entry(profile.vpc).or_default();
                if !tables.contains(&table) {
                    tables.push(table);
                }
            }
        }
        for link in links {
            let (joint, model) = Joint::compile(link.clone(), &links::views(&link, &estate.places, true));
            let at = number(estate.joints.len());
            let ends = Side::BOTH.map(|side| estate.network_of(link.side(side)));
            for (side, end) in Side::BOTH.into_iter().zip(ends) {
                let tables = end.and_then(|end| tables_of.get(&end)).into_iter().flatten();
                for table in tables {
                    let Some(table) = estate.tables.get_mut(*table as usize) else { continue };
                    let entries = estate.places.get(table.place as usize).and_then(|place| place.table(table.at));
                    let entries = entries.and_then(|table| table.entries.known()).into_iter().flatten();
                    for ((entry, leads), name) in entries.zip(&mut table.leads).zip(0u32..) {
                        if entry.next_hops.iter().any(|hop| joint.hops.is_link(side, hop)) {
                            let say = match bad_leg(&model, side, entry, |hop| joint.hops.is_link(side, hop)) {
                                None => Say::Pass(name),
                                Some(BadLeg::Unread) => Say::Unknown,
                                Some(BadLeg::Dead(_) | BadLeg::Disabled) => Say::Stop(name),
                            };
                            leads.push((at, say));
                        }
                    }
                }
            }
            if let [Some(a), Some(b)] = ends {
                for (near, far) in [(a, b), (b, a)] {
                    if let Some(network) = estate.networks.get_mut(near as usize) {
                        network.add_peer(far, at);
                    }
                }
            }
            estate.joints.push(joint);
        }
    }
}

impl Network {
    fn add_peer(&mut self, vpc: u32, link: u32) {
        match self.peers.binary_search_by_key(&vpc, |(peer, _)| *peer) {
            Ok(at) => {
                if let Some((_, links)) = self.peers.get_mut(at) {
                    links.push(link);
                }
            }
            Err(at) => self.peers.insert(at, (vpc, vec![link])),
        }
    }
}

/// The addresses of each group's members.
fn members(hosts: &[(u32, Shown<'_>)]) -> Members {
    let mut members = Members::new();
    for (address, (eni, instance)) in hosts {
        let groups = eni.map(|e| &e.security_groups).or_else(|| instance.map(|i| &i.security_groups));
        for group in groups.into_iter().flatten() {
            members.entry(group.clone()).or_default().push(Span::host(*address));
        }
    }
    members
}

/// Whether the host can send and receive at all, as `walk::host` judges it.
fn status(snapshot: &Snapshot, instance: Option<&Instance>) -> Say {
    let stopped = instance.is_some_and(|instance| match instance.status {
        InstanceStatus::Running | InstanceStatus::Unrecognised => false,
        InstanceStatus::Pending | InstanceStatus::Starting | InstanceStatus::Stopping | InstanceStatus::Stopped => true,
    });
    let unread = (instance.is_none() && matches!(snapshot.instances, Known::Unknown(_)))
        || matches!(snapshot.enis, Known::Unknown(_));
    match (stopped, unread) {
        (true, _) => Say::Stop(0),
        (false, true) => Say::Unknown,
        (false, false) => Say::Pass(0),
    }
}

impl Estate {
    /// Takes a newer snapshot of a place. If only rules of security groups differ, only the pools that contain them are
    /// recompiled; otherwise the estate is rebuilt. Returns the VPCs whose answers may differ, `None` for all.
    pub(super) fn renew(&mut self, snapshot: Snapshot) -> Option<Vec<u32>> {
        // Where several snapshots cover one VPC, a newer one of them may count for more VPCs than the one before.
        let divided = self.places.iter().any(|place| !place.reading.is_undivided());
        let at = self.places.iter().position(|place| !divided && place.snapshot().same_scope(&snapshot));
        let changed = at.and_then(|at| changed_groups(self.places.get(at)?.snapshot(), &snapshot));
        let (Some(at), Some(changed)) = (at, changed) else {
            let others = self.places.drain(..).map(|place| place.reading.snapshot);
            let kept: Vec<Arc<Snapshot>> = others.filter(|have| !have.same_scope(&snapshot)).collect();
            let given = std::mem::take(&mut self.given);
            *self = make(kept.into_iter().chain([Arc::new(snapshot)]), &given);
            return None;
        };
        if let Some(place) = self.places.get_mut(at) {
            place.reading.snapshot = Arc::new(snapshot);
        }
        Some(self.recompile(number(at), &changed))
    }

    fn recompile(&mut self, place_at: u32, changed: &[pingtong_evidence::SecurityGroupId]) -> Vec<u32> {
        let holds = |key: &PoolKey| key.place == place_at && key.groups.iter().any(|group| changed.contains(group));
        let touched: Vec<u32> = self.pool_keys.iter().filter(|(_, key)| holds(key)).map(|(at, _)| *at).collect();
        let mut vpcs: Vec<u32> = vec![];
        for profile in &self.profiles {
            let uses = profile.outer.iter().chain(&profile.inner).any(|pool| touched.binary_search(pool).is_ok());
            if uses && !vpcs.contains(&profile.vpc) {
                vpcs.push(profile.vpc);
            }
        }
        for at in touched {
            let Some(key) = self.pool_keys.get(&at) else { continue };
            let members = key.inside.and_then(|vpc| self.members_of(vpc));
            let Some(place) = self.places.get(place_at as usize) else { continue };
            let pool = Pool::compile(key, place, members.as_ref());
            if let Some(have) = self.pools.get_mut(at as usize) {
                *have = pool;
            }
        }
        vpcs
    }

    /// The members of groups inside a VPC, according to the pools of its hosts.
    fn members_of(&self, vpc: u32) -> Option<Members> {
        let network = self.networks.get(vpc as usize)?;
        let mut members = Members::new();
        for host in self.hosts.get(network.hosts.clone())? {
            let profile = self.profiles.get(host.profile as usize)?;
            let [egress, _] = profile.outer;
            for group in &self.pool_keys.get(&egress)?.groups {
                members.entry(group.clone()).or_default().push(Span::host(host.address));
            }
        }
        Some(members)
    }
}

/// The groups whose rules or inner policy differ; `None` if anything else that packets depend on differs, or if a
/// changed group has a rule with a near block.
fn changed_groups(old: &Snapshot, new: &Snapshot) -> Option<Vec<pingtong_evidence::SecurityGroupId>> {
    let same = old.vpcs == new.vpcs
        && old.vswitches == new.vswitches
        && old.route_tables == new.route_tables
        && old.router_interfaces == new.router_interfaces
        && old.vpc_peerings == new.vpc_peerings
        && old.transit_attachments == new.transit_attachments
        && old.transit_peerings == new.transit_peerings
        && old.transit_route_tables == new.transit_route_tables
        && old.network_acls == new.network_acls
        && old.prefix_lists == new.prefix_lists
        && old.instances == new.instances
        && old.enis == new.enis;
    let (Known::Known(before), Known::Known(after)) = (&old.security_groups, &new.security_groups) else { return None };
    if !same || before.len() != after.len() {
        return None;
    }
    let mut changed = vec![];
    for (was, is) in before.iter().zip(after) {
        if was.id != is.id || was.vpc != is.vpc || was.kind != is.kind {
            return None;
        }
        if was.rules != is.rules || was.inner_access != is.inner_access {
            let near = |rules: &Known<Vec<pingtong_evidence::SecurityRule>>| {
                rules.known().into_iter().flatten().any(|rule| rule.own.is_some())
            };
            if near(&was.rules) || near(&is.rules) {
                return None;
            }
            changed.push(was.id.clone());
        }
    }
    Some(changed)
}
