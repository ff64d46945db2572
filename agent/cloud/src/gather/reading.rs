//! Everything that was read from one account in one region, before it becomes a snapshot.
//!
//! Decides what is unknown and what is a gap when a listing failed, and how answers are numbered: objects by id,
//! answers in the order of this struct, so that the same configuration yields the same snapshot regardless of timing.
//! Makes no calls and opens no files: `gather.rs` and `import.rs` fill it.

use crate::{
    client::listing::{Listing, ListingApi, Now},
    gather::ecs,
    gather::interconnect,
    gather::records::{self, Measured},
    gather::vpc,
    transport::row::Row,
};
use pingtong_evidence::{
    AccountId, AttachmentId, Cidr, ConfigChange, Coverage, Eni, Gap, Instance, Known, LinkMetric, LinkMetricKind,
    NetworkAcl, NextHopKind, Policy, PrefixList, PrefixListId, Provenance, RegionId, RequestTag, RouteEntry,
    RouteTable, RouteTableId, RouterInterface, RulePeer, SecurityGroup, SecurityGroupId, SecurityRule, Snapshot,
    Timestamp, TransitAttachment, TransitPeering, TransitRoute, TransitRouteTable, TransitRouterId, VSwitch, Vpc,
    VpcPeering, WhyUnknown,
};
use std::collections::{BTreeMap, BTreeSet};

/// A listing, or the reason why it was not read.
pub(crate) type Read<T> = Result<Listing<T>, WhyUnknown>;

/// The rows that were read; empty if reading failed. The failure is reported when the reading becomes a snapshot.
pub(crate) fn rows<T>(read: &Read<T>) -> &[T] {
    read.as_ref().map_or(&[], |listing| &listing.rows)
}

/// All listings of one account in one region.
pub(crate) struct Reading {
    pub(crate) vpcs: Read<Vpc>,
    pub(crate) vswitches: Read<VSwitch>,
    pub(crate) route_tables: Read<Option<RouteTable>>,
    pub(crate) route_entries: BTreeMap<RouteTableId, Read<Option<RouteEntry>>>,
    pub(crate) router_interfaces: Read<RouterInterface>,
    pub(crate) network_acls: Read<NetworkAcl>,
    pub(crate) security_groups: Read<SecurityGroup>,
    pub(crate) security_rules: BTreeMap<SecurityGroupId, Read<SecurityRule>>,
    pub(crate) instances: Read<Instance>,
    pub(crate) enis: Read<Eni>,
    /// Entries of the prefix lists that security group rules refer to.
    pub(crate) prefix_lists: BTreeMap<PrefixListId, Read<Cidr>>,
    pub(crate) vpc_peerings: Optional<VpcPeering>,
    pub(crate) transit: Transit,
    /// One reading for each metric.
    pub(crate) metrics: Vec<(LinkMetricKind, Optional<Measured>)>,
    pub(crate) changes: Optional<Option<ConfigChange>>,
}

/// A listing that is not always read, and whose failure is not always a gap.
pub(crate) enum Optional<T> {
    /// The call was not made.
    NotAsked,
    /// The call was made and its result is needed: a failure is a gap.
    Needed(Read<T>),
    /// The call was made although no path needs its result: a failure is not a gap.
    AtHand(Read<T>),
}

impl<T> Optional<T> {
    /// The rows that were read; empty if the call failed or was not made.
    pub(crate) fn rows(&self) -> &[T] {
        match self {
            Self::Needed(Ok(listing)) | Self::AtHand(Ok(listing)) => &listing.rows,
            _ => &[],
        }
    }
}

/// What was read about transit routers.
pub(crate) enum Transit {
    /// The calls were not made, and nothing indicated that there is a transit router.
    NotAsked,
    /// The VPCs report that none of them is in a Cloud Enterprise Network.
    None,
    /// The calls were made.
    Read(Box<TransitReading>),
}

/// The transit routers that are reached from the attachments and from the connections between transit routers.
#[derive(Default)]
pub(crate) struct TransitReading {
    pub(crate) attachments: Option<Read<TransitAttachment>>,
    pub(crate) peerings: BTreeMap<TransitRouterId, Read<TransitPeering>>,
    pub(crate) tables: BTreeMap<TransitRouterId, Read<TransitRouteTable>>,
    pub(crate) inner: BTreeMap<RouteTableId, TransitTableReading>,
}

/// The content of one transit route table.
pub(crate) struct TransitTableReading {
    pub(crate) routes: Read<TransitRoute>,
    pub(crate) associations: Read<Option<AttachmentId>>,
    pub(crate) propagations: Read<Option<AttachmentId>>,
}

impl Reading {
    /// The kinds of next hops of the routes.
    pub(crate) fn next_hops(entries: &BTreeMap<RouteTableId, Read<Option<RouteEntry>>>) -> BTreeSet<NextHopKind> {
        let read = entries.values().filter_map(|read| read.as_ref().ok());
        read.flat_map(|listing| listing.rows.iter().flatten())
            .flat_map(|entry| &entry.next_hops)
            .map(|hop| hop.kind)
            .collect()
    }

    /// The prefix lists that rules refer to.
    pub(crate) fn prefix_lists_named(rules: &BTreeMap<SecurityGroupId, Read<SecurityRule>>) -> BTreeSet<PrefixListId> {
        let read = rules.values().filter_map(|read| read.as_ref().ok());
        read.flat_map(|listing| &listing.rows)
            .filter_map(|rule| match &rule.peer {
                RulePeer::PrefixList(id) => Some(id.clone()),
                _ => None,
            })
            .collect()
    }

    /// Converts the readings to a snapshot.
    pub(crate) fn into_snapshot(self, mut record: Record<'_>) -> Snapshot {
        let vpcs = record.take((&vpc::VPCS, None), self.vpcs, |vpc| vpc.id.clone());
        let vswitches = record.take((&vpc::VSWITCHES, None), self.vswitches, |vswitch| vswitch.id.clone());
        let route_tables = record.route_tables(self.route_tables, self.route_entries);
        let interfaces = record.take((&vpc::ROUTER_INTERFACES, None), self.router_interfaces, |ri| ri.id.clone());
        let acls = record.take((&vpc::NETWORK_ACLS, None), self.network_acls, |acl| acl.id.clone());
        let groups = record.security_groups(self.security_groups, self.security_rules);
        let instances = record.take((&ecs::INSTANCES, None), self.instances, |instance| instance.id.clone());
        let enis = record.take((&ecs::ENIS, None), self.enis, |eni| eni.id.clone());
        let peerings =
            record.take_optional(&interconnect::VPC_PEERINGS, self.vpc_peerings, |peering| peering.id.clone());
        let lists = record.prefix_lists(self.prefix_lists);
        record.transit(self.transit);
        record.metrics(self.metrics);
        let changes = record.take_optional(&records::EVENTS, self.changes, std::clone::Clone::clone);
        let snapshot = &mut record.snapshot;
        // A prefix list that no rule refers to was not read; the rules that were read need no others.
        if groups.known().is_some() {
            snapshot.prefix_lists = Known::Known(lists);
        }
        snapshot.vpcs = vpcs;
        snapshot.vswitches = vswitches;
        snapshot.route_tables = route_tables;
        snapshot.router_interfaces = interfaces;
        snapshot.network_acls = acls;
        snapshot.security_groups = groups;
        snapshot.instances = instances;
        snapshot.enis = enis;
        snapshot.vpc_peerings = peerings;
        snapshot.changes = match changes {
            Known::Known(changes) => Known::Known(changes.into_iter().flatten().collect()),
            Known::Unknown(why) => Known::Unknown(why),
        };
        record.finish()
    }
}

/// Builds a snapshot.
pub(crate) struct Record<'a> {
    snapshot: Snapshot,
    now: Now<'a>,
}

impl<'a> Record<'a> {
    pub(crate) fn new(account: AccountId, region: RegionId, now: Now<'a>) -> Self {
        Self { snapshot: Snapshot::unread(account, region, now()), now }
    }

    /// Sets when the content was first requested, if that is not now.
    pub(crate) fn taken_at(mut self, at: Timestamp) -> Self {
        self.snapshot.taken_at = at;
        self
    }

    /// Sets the request that the snapshot answers.
    pub(crate) fn answering(mut self, request: Option<RequestTag>) -> Self {
        self.snapshot.request = request;
        self
    }

    /// Sets which VPCs were asked for.
    pub(crate) fn covering(mut self, covers: Coverage) -> Self {
        self.snapshot.covers = Some(covers);
        self
    }

    /// Marks every list as unknown for the same reason, and records that reason as a single gap.
    pub(crate) fn without_credentials(mut self, why: &WhyUnknown) -> Snapshot {
        self.gap("ram/security-credentials".to_owned(), None, why.clone());
        self.snapshot.forget_all(why);
        self.finish()
    }

    fn finish(mut self) -> Snapshot {
        self.snapshot.finished_at = (self.now)();
        self.snapshot
    }

    fn gap(&mut self, action: String, object: Option<String>, why: WhyUnknown) {
        tracing::debug!(account.id = %self.snapshot.account, %action, reason = %why, "configuration not read");
        let (account, region) = (self.snapshot.account.clone(), self.snapshot.region.clone());
        self.snapshot.gaps.push(Gap { account, region, action, object, why, at: (self.now)() });
    }

    /// Records the answers of a listing and makes its objects refer to them.
    fn file<T: Located>(&mut self, mut listing: Listing<T>) -> Vec<T> {
        let offset = u32::try_from(self.snapshot.sources.len()).unwrap_or(u32::MAX);
        listing.rows.iter_mut().for_each(|row| row.move_by(offset));
        self.snapshot.sources.append(&mut listing.sources);
        listing.rows
    }

    /// The objects of a listing, sorted by key. A failure is recorded as a gap about `object`.
    fn take<T: Located, K: Ord>(
        &mut self,
        (api, object): (&ListingApi, Option<String>),
        read: Read<T>,
        key: impl Fn(&T) -> K,
    ) -> Known<Vec<T>> {
        match read {
            Ok(listing) => {
                let mut objects = self.file(listing);
                objects.sort_by_key(&key);
                // An object that moved between pages while they were read appears twice.
                objects.dedup_by(|a, b| key(a) == key(b));
                Known::Known(objects)
            }
            Err(why) => {
                self.gap(api.name(), object, why.clone());
                Known::Unknown(why)
            }
        }
    }

    fn take_optional<T: Located, K: Ord>(
        &mut self,
        api: &ListingApi,
        read: Optional<T>,
        key: impl Fn(&T) -> K,
    ) -> Known<Vec<T>> {
        match read {
            Optional::NotAsked => Known::default(),
            Optional::AtHand(Err(why)) => Known::Unknown(why),
            Optional::Needed(read) | Optional::AtHand(read) => self.take((api, None), read, key),
        }
    }

    /// A listing about one object, in the order in which it was received, because rules and routes have an order.
    fn take_inner<T: Located>(&mut self, api: &ListingApi, object: &str, read: Read<T>) -> Known<Vec<T>> {
        match read {
            Ok(listing) => Known::Known(self.file(listing)),
            Err(why) => {
                self.gap(api.name(), Some(object.to_owned()), why.clone());
                Known::Unknown(why)
            }
        }
    }

    fn route_tables(
        &mut self,
        tables: Read<Option<RouteTable>>,
        entries: BTreeMap<RouteTableId, Read<Option<RouteEntry>>>,
    ) -> Known<Vec<RouteTable>> {
        let key = |table: &Option<RouteTable>| table.as_ref().map(|table| table.id.clone());
        let mut tables: Vec<RouteTable> = match self.take((&vpc::ROUTE_TABLES, None), tables, key) {
            Known::Known(tables) => tables.into_iter().flatten().collect(),
            Known::Unknown(why) => return Known::Unknown(why),
        };
        for (id, read) in entries {
            let entries = self.take_inner(&vpc::ROUTE_ENTRIES, id.as_str(), read);
            if let Some(table) = find(&mut tables, &id, |table| &table.id) {
                table.entries = flattened(entries);
            }
        }
        Known::Known(tables)
    }

    fn security_groups(
        &mut self,
        groups: Read<SecurityGroup>,
        rules: BTreeMap<SecurityGroupId, Read<SecurityRule>>,
    ) -> Known<Vec<SecurityGroup>> {
        let mut groups = match self.take((&ecs::SECURITY_GROUPS, None), groups, |group| group.id.clone()) {
            Known::Known(groups) => groups,
            unknown @ Known::Unknown(_) => return unknown,
        };
        let api = &ecs::SECURITY_RULES;
        for (id, read) in rules {
            let inner_access = match &read {
                Ok(listing) => inner_access(api, Row::new(&listing.head)),
                Err(why) => Known::Unknown(why.clone()),
            };
            let rules = self.take_inner(api, id.as_str(), read);
            if let Some(group) = find(&mut groups, &id, |group| &group.id) {
                group.inner_access = inner_access;
                group.rules = rules;
            }
        }
        Known::Known(groups)
    }

    fn prefix_lists(&mut self, lists: BTreeMap<PrefixListId, Read<Cidr>>) -> Vec<PrefixList> {
        let mut taken = vec![];
        for (id, read) in lists {
            let provenance = Provenance(u32::try_from(self.snapshot.sources.len()).unwrap_or(u32::MAX));
            let entries = self.take_inner(&ecs::PREFIX_LIST_ENTRIES, id.as_str(), read);
            taken.push(PrefixList { id, entries, provenance });
        }
        taken
    }

    fn transit(&mut self, transit: Transit) {
        let transit = match transit {
            Transit::NotAsked => return,
            Transit::None => {
                self.snapshot.transit_attachments = Known::Known(vec![]);
                self.snapshot.transit_peerings = Known::Known(vec![]);
                self.snapshot.transit_route_tables = Known::Known(vec![]);
                return;
            }
            Transit::Read(transit) => *transit,
        };
        let attachments = transit.attachments.map_or_else(Known::default, |read| {
            self.take((&interconnect::ATTACHMENTS, None), read, |attachment| attachment.id.clone())
        });
        if let Known::Unknown(why) = &attachments {
            self.snapshot.transit_peerings = Known::Unknown(why.clone());
            self.snapshot.transit_route_tables = Known::Unknown(why.clone());
        } else {
            let api = &interconnect::TRANSIT_PEERINGS;
            self.snapshot.transit_peerings =
                self.merged(api, transit.peerings, |peering| (peering.transit_router.clone(), peering.id.clone()));
            let tables = self.merged(&interconnect::TRANSIT_TABLES, transit.tables, |table| table.id.clone());
            self.snapshot.transit_route_tables = self.transit_tables(tables, transit.inner);
        }
        self.snapshot.transit_attachments = attachments;
    }

    /// Merges the listings about several routers into one; unknown if any of them is unknown.
    fn merged<T: Located, K: Ord>(
        &mut self,
        api: &ListingApi,
        reads: BTreeMap<TransitRouterId, Read<T>>,
        key: impl Fn(&T) -> K,
    ) -> Known<Vec<T>> {
        let mut all = Ok(vec![]);
        for (router, read) in reads {
            let some = self.take((api, Some(router.to_string())), read, &key);
            all = match (all, some) {
                (Ok(mut all), Known::Known(mut some)) => {
                    all.append(&mut some);
                    Ok(all)
                }
                (Err(why), _) | (_, Known::Unknown(why)) => Err(why),
            };
        }
        match all {
            Ok(mut all) => {
                all.sort_by_key(&key);
                all.dedup_by(|a, b| key(a) == key(b));
                Known::Known(all)
            }
            Err(why) => Known::Unknown(why),
        }
    }

    fn transit_tables(
        &mut self,
        tables: Known<Vec<TransitRouteTable>>,
        inner: BTreeMap<RouteTableId, TransitTableReading>,
    ) -> Known<Vec<TransitRouteTable>> {
        let Known::Known(mut tables) = tables else { return tables };
        for (id, reading) in inner {
            let routes = self.take_inner(&interconnect::TRANSIT_ROUTES, id.as_str(), reading.routes);
            let bound = self.take_inner(&interconnect::ASSOCIATIONS, id.as_str(), reading.associations);
            let learned = self.take_inner(&interconnect::PROPAGATIONS, id.as_str(), reading.propagations);
            if let Some(table) = find(&mut tables, &id, |table| &table.id) {
                table.routes = routes;
                table.associations = flattened(bound);
                table.propagations = flattened(learned);
            }
        }
        Known::Known(tables)
    }

    fn metrics(&mut self, readings: Vec<(LinkMetricKind, Optional<Measured>)>) {
        let mut metrics: Option<Known<Vec<LinkMetric>>> = None;
        for (kind, reading) in readings {
            let measured = match reading {
                Optional::NotAsked => continue,
                Optional::AtHand(Err(why)) => Known::Unknown(why),
                Optional::Needed(read) | Optional::AtHand(read) => {
                    self.take_inner(&records::METRICS, records::metric_name(kind), read)
                }
            };
            metrics = Some(match (metrics, measured) {
                (None, Known::Known(rows)) => Known::Known(records::by_interface(kind, rows)),
                (Some(Known::Known(mut metrics)), Known::Known(rows)) => {
                    metrics.extend(records::by_interface(kind, rows));
                    Known::Known(metrics)
                }
                // The metrics that were read are still useful.
                (Some(known @ Known::Known(_)), Known::Unknown(_)) => known,
                (Some(Known::Unknown(why)), _) | (None, Known::Unknown(why)) => Known::Unknown(why),
            });
        }
        self.snapshot.link_metrics = metrics.unwrap_or_default();
    }
}

fn inner_access(api: &ListingApi, head: Row<'_>) -> Known<Policy> {
    let silent = |message: String| Known::Unknown(WhyUnknown::Malformed { action: api.name(), message });
    match ecs::inner_access(head) {
        Ok(Some(policy)) => Known::Known(policy),
        Ok(None) => silent("InnerAccessPolicy is missing".to_owned()),
        Err(error) => silent(error.to_string()),
    }
}

/// Finds an object in a list that is sorted by id.
fn find<'a, T, K: Ord>(sorted: &'a mut [T], key: &K, of: impl Fn(&T) -> &K) -> Option<&'a mut T> {
    let at = sorted.binary_search_by(|object| of(object).cmp(key)).ok()?;
    sorted.get_mut(at)
}

fn flattened<T>(rows: Known<Vec<Option<T>>>) -> Known<Vec<T>> {
    match rows {
        Known::Known(rows) => Known::Known(rows.into_iter().flatten().collect()),
        Known::Unknown(why) => Known::Unknown(why),
    }
}

/// Objects that record in which answer they were found.
pub(crate) trait Located {
    /// Adds `answers` to the index of the answer, if the object has one.
    fn move_by(&mut self, answers: u32);
}

macro_rules! located {
    ($($type:ty),+; unlocated $($bare:ty),+) => {
        $(impl Located for $type {
            fn move_by(&mut self, answers: u32) {
                self.provenance.0 = self.provenance.0.saturating_add(answers);
            }
        })+
        $(impl Located for $bare {
            fn move_by(&mut self, _: u32) {}
        })+
    };
}

located!(
    Vpc, VSwitch, RouteTable, RouteEntry, RouterInterface, NetworkAcl, SecurityGroup, Instance, Eni, VpcPeering,
    TransitAttachment, TransitPeering, TransitRouteTable, ConfigChange, Measured;
    unlocated SecurityRule, Cidr, TransitRoute, AttachmentId
);

impl<T: Located> Located for Option<T> {
    fn move_by(&mut self, answers: u32) {
        if let Some(object) = self {
            object.move_by(answers);
        }
    }
}
