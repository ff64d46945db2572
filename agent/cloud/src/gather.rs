//! Reading one account's configuration in one region. Collection that cannot fail: what could not be read becomes a
//! gap and an unknown at its place, the rest goes on.
//!
//! Calls: eight listings (nine where the peering product can be reached), one more per route table and security group,
//! and only where a rule or a route leads there, prefix lists, peering connections and transit routers. Router
//! interfaces are never filtered by VPC: one made on the wrong router must be seen. Lists are sorted by id and answers
//! numbered in a fixed order, so that the same configuration gives the same snapshot whatever the timing.

use crate::{
    CallError, Client, EndpointRule, ecs, interconnect,
    listing::{Listing, ListingApi, Now},
    row::{Row, RowError},
    signing::Params,
    vpc,
};
use futures_util::future::join_all;
use pingtong_evidence::{
    AccountId, Gap, Known, NextHopKind, PrefixList, PrefixListId, Provenance, RegionId, RequestTag, RouteTable,
    RulePeer, SecurityGroup, Snapshot, Timestamp, TransitRouteTable, VpcId, WhyUnknown,
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// Time for a whole gathering when nobody waits for it.
const WITHIN: Duration = Duration::from_secs(30);

/// What to gather.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatherScope {
    /// Whose configuration.
    pub account: AccountId,
    /// In which region.
    pub region: RegionId,
    /// Only this VPC's objects, where the API can filter; keeps the number of calls small.
    pub vpc: Option<VpcId>,
    /// The request for fresh evidence that this answers.
    pub request: Option<RequestTag>,
    /// Time for the whole; what is not read by then becomes a gap.
    pub within: Duration,
}

impl GatherScope {
    /// Everything of an account in a region, within 30 s.
    pub fn new(account: AccountId, region: RegionId) -> Self {
        Self { account, region, vpc: None, request: None, within: WITHIN }
    }
}

/// The RAM actions that gathering may use: what a role needs, and all that it needs.
pub fn permissions() -> Vec<String> {
    let apis = [
        &vpc::VPCS,
        &vpc::VSWITCHES,
        &vpc::ROUTE_TABLES,
        &vpc::ROUTE_ENTRIES,
        &vpc::ROUTER_INTERFACES,
        &vpc::NETWORK_ACLS,
        &ecs::SECURITY_GROUPS,
        &ecs::SECURITY_RULES,
        &ecs::PREFIX_LIST_ENTRIES,
        &ecs::INSTANCES,
        &ecs::ENIS,
        &interconnect::VPC_PEERINGS,
        &interconnect::ATTACHMENTS,
        &interconnect::TRANSIT_TABLES,
        &interconnect::TRANSIT_ROUTES,
        &interconnect::ASSOCIATIONS,
    ];
    apis.into_iter().map(ListingApi::name).collect()
}

type Read = Result<Listing, CallError>;

/// Reads an account's configuration; `now` gives the times that the snapshot carries.
pub async fn gather<F>(client: &Client, scope: &GatherScope, now: F) -> Snapshot
where
    F: Fn() -> Timestamp + Send + Sync,
{
    let reader = Reader { client, scope, deadline: Instant::now() + scope.within, now: &now };
    let mut record = Record::new(scope, &now);
    if let Err(error) = client.check_credentials(reader.deadline).await {
        return record.without_credentials(&error.why("ram/security-credentials"));
    }
    let of_vpc = || scope.vpc.iter().map(|id| ("VpcId".to_owned(), id.to_string())).collect::<Params>();
    let (vpcs, vswitches, routes, interfaces, peerings, acls, groups, instances, enis) = tokio::join!(
        reader.list(&vpc::VPCS, of_vpc()),
        reader.list(&vpc::VSWITCHES, of_vpc()),
        reader.route_tables(of_vpc()),
        reader.list(&vpc::ROUTER_INTERFACES, Params::new()),
        reader.peerings_at_hand(),
        reader.list(&vpc::NETWORK_ACLS, of_vpc()),
        reader.security_groups(of_vpc()),
        reader.list(&ecs::INSTANCES, of_vpc()),
        reader.list(&ecs::ENIS, of_vpc()),
    );
    record.snapshot.vpcs = record.take(&vpc::VPCS, vpcs, vpc::vpc, |vpc| vpc.id.clone());
    record.snapshot.vswitches = record.take(&vpc::VSWITCHES, vswitches, vpc::vswitch, |vswitch| vswitch.id.clone());
    record.snapshot.route_tables = record.take_route_tables(routes);
    record.snapshot.router_interfaces =
        record.take(&vpc::ROUTER_INTERFACES, interfaces, vpc::router_interface, |interface| interface.id.clone());
    record.snapshot.network_acls = record.take(&vpc::NETWORK_ACLS, acls, vpc::network_acl, |acl| acl.id.clone());
    record.snapshot.security_groups = record.take_security_groups(groups);
    record.snapshot.instances = record.take(&ecs::INSTANCES, instances, ecs::instance, |instance| instance.id.clone());
    record.snapshot.enis = record.take(&ecs::ENIS, enis, ecs::eni, |eni| eni.id.clone());

    let hops = record.next_hops();
    let lists = record.prefix_lists_named();
    let peerings_wanted = hops.contains(&NextHopKind::VpcPeering);
    let (peerings, lists, transit) = tokio::join!(
        reader.peerings(peerings, peerings_wanted),
        reader.prefix_lists(lists),
        reader.transit(hops.contains(&NextHopKind::Attachment), of_vpc()),
    );
    record.take_peerings(peerings, peerings_wanted);
    record.take_prefix_lists(lists);
    if let Some(transit) = transit {
        record.take_transit(transit);
    }
    record.finish()
}

/// Makes the calls. Knows nothing of the snapshot.
struct Reader<'a> {
    client: &'a Client,
    scope: &'a GatherScope,
    deadline: Instant,
    now: Now<'a>,
}

/// A listing whose rows lead to one listing each.
struct Nested<Id> {
    outer: Read,
    inner: Vec<(Id, Read)>,
}

/// A transit router's route table: its routes and its associations.
struct TransitRead {
    attachments: Read,
    tables: Vec<Read>,
    inner: Vec<(TransitRouteTable, Read, Read)>,
}

impl Reader<'_> {
    async fn list(&self, api: &ListingApi, params: Params) -> Read {
        // Boxed: a dozen of these run side by side inside one future, which would be very large.
        Box::pin(self.client.list(api, &self.scope.region, &params, self.deadline, self.now)).await
    }

    async fn nested<Id, T>(
        &self,
        (outer, params): (&ListingApi, Params),
        (inner, key): (&ListingApi, &str),
        read: impl Fn(Row<'_>, Provenance) -> Result<T, RowError>,
        id: impl Fn(T) -> Option<Id>,
    ) -> Nested<Id>
    where
        Id: ToString,
    {
        let outer = self.list(outer, params).await;
        // Rows that cannot be read are reported when the outer listing is taken.
        let rows = outer.as_ref().ok().and_then(|listing| listing.convert(0, read).ok()).unwrap_or_default();
        let inner = rows.into_iter().filter_map(id).map(async |id| {
            let params = Params::from([(key.to_owned(), id.to_string())]);
            let read = self.list(inner, params).await;
            (id, read)
        });
        let inner = join_all(inner).await;
        Nested { outer, inner }
    }

    async fn route_tables(&self, params: Params) -> Nested<pingtong_evidence::RouteTableId> {
        let outer = (&vpc::ROUTE_TABLES, params);
        self.nested(outer, (&vpc::ROUTE_ENTRIES, "RouteTableId"), vpc::route_table, |table| table.map(|table| table.id))
            .await
    }

    async fn security_groups(&self, params: Params) -> Nested<pingtong_evidence::SecurityGroupId> {
        let outer = (&ecs::SECURITY_GROUPS, params);
        self.nested(outer, (&ecs::SECURITY_RULES, "SecurityGroupId"), ecs::security_group, |group| Some(group.id)).await
    }

    /// The peering product has no endpoint inside VPCs: there it is asked only once a route leads to it.
    async fn peerings_at_hand(&self) -> Option<Read> {
        if *self.client.endpoint() == EndpointRule::Internal {
            return None;
        }
        Some(self.list(&interconnect::VPC_PEERINGS, Params::new()).await)
    }

    async fn peerings(&self, at_hand: Option<Read>, wanted: bool) -> Option<Read> {
        if at_hand.is_none() && wanted {
            return Some(self.list(&interconnect::VPC_PEERINGS, Params::new()).await);
        }
        at_hand
    }

    async fn prefix_lists(&self, ids: BTreeSet<PrefixListId>) -> Vec<(PrefixListId, Read)> {
        let reads = ids.into_iter().map(async |id| {
            let read =
                self.list(&ecs::PREFIX_LIST_ENTRIES, Params::from([("PrefixListId".to_owned(), id.to_string())])).await;
            (id, read)
        });
        join_all(reads).await
    }

    async fn transit(&self, wanted: bool, params: Params) -> Option<TransitRead> {
        if !wanted {
            return None;
        }
        let attachments = self.list(&interconnect::ATTACHMENTS, params).await;
        let rows = attachments.as_ref().ok().and_then(|listing| listing.convert(0, interconnect::attachment).ok());
        let routers: BTreeSet<_> = rows.unwrap_or_default().into_iter().map(|row| row.transit_router).collect();
        let tables = join_all(routers.into_iter().map(async |router| {
            self.list(&interconnect::TRANSIT_TABLES, Params::from([("TransitRouterId".to_owned(), router.to_string())]))
                .await
        }))
        .await;
        let readable = tables.iter().filter_map(|read| read.as_ref().ok());
        let rows = readable.filter_map(|listing| listing.convert(0, interconnect::transit_table).ok()).flatten();
        let inner = rows.map(async |table| {
            let of_table = || Params::from([("TransitRouterRouteTableId".to_owned(), table.id.to_string())]);
            let (entries, associations) = tokio::join!(
                self.list(&interconnect::TRANSIT_ROUTES, of_table()),
                self.list(&interconnect::ASSOCIATIONS, of_table()),
            );
            (table, entries, associations)
        });
        let inner = join_all(inner).await;
        Some(TransitRead { attachments, tables, inner })
    }
}

/// Fills the snapshot. Makes no calls.
struct Record<'a> {
    snapshot: Snapshot,
    now: Now<'a>,
}

impl<'a> Record<'a> {
    fn new(scope: &GatherScope, now: Now<'a>) -> Self {
        let mut snapshot = Snapshot::unread(scope.account.clone(), scope.region.clone(), now());
        snapshot.request.clone_from(&scope.request);
        Self { snapshot, now }
    }

    fn finish(mut self) -> Snapshot {
        self.snapshot.finished_at = (self.now)();
        self.snapshot
    }

    /// Without credentials every list is unknown for one reason, and that is one gap.
    fn without_credentials(mut self, why: &WhyUnknown) -> Snapshot {
        self.gap("ram/security-credentials".to_owned(), None, why.clone());
        self.snapshot.forget_all(why);
        self.finish()
    }

    fn gap(&mut self, action: String, object: Option<String>, why: WhyUnknown) {
        tracing::debug!(account.id = %self.snapshot.account, %action, reason = %why, "configuration not read");
        let (account, region) = (self.snapshot.account.clone(), self.snapshot.region.clone());
        self.snapshot.gaps.push(Gap { account, region, action, object, why, at: (self.now)() });
    }

    /// A listing's objects, or why there are none. Files its sources.
    fn read<T>(
        &mut self,
        api: &ListingApi,
        read: Read,
        convert: impl Fn(Row<'_>, Provenance) -> Result<T, RowError>,
    ) -> Result<(Vec<T>, Listing), WhyUnknown> {
        let mut listing = read.map_err(|error| error.why())?;
        let objects = listing.convert(self.snapshot.sources.len(), convert);
        self.snapshot.sources.append(&mut listing.sources);
        match objects {
            Ok(objects) => Ok((objects, listing)),
            Err(message) => Err(WhyUnknown::Malformed { action: api.name(), message }),
        }
    }

    /// As [`Record::read`], where a failure is a gap about `object`.
    fn read_or_gap<T>(
        &mut self,
        (api, object): (&ListingApi, Option<String>),
        read: Read,
        convert: impl Fn(Row<'_>, Provenance) -> Result<T, RowError>,
    ) -> Result<(Vec<T>, Listing), WhyUnknown> {
        let result = self.read(api, read, convert);
        if let Err(why) = &result {
            self.gap(api.name(), object, why.clone());
        }
        result
    }

    fn take<T, K: Ord>(
        &mut self,
        api: &ListingApi,
        read: Read,
        convert: impl Fn(Row<'_>, Provenance) -> Result<T, RowError>,
        key: impl Fn(&T) -> K,
    ) -> Known<Vec<T>> {
        match self.read_or_gap((api, None), read, convert) {
            Ok((mut objects, _)) => {
                objects.sort_by_key(&key);
                // An object that moved between pages while they were read came twice.
                objects.dedup_by(|a, b| key(a) == key(b));
                Known::Known(objects)
            }
            Err(why) => Known::Unknown(why),
        }
    }

    fn take_route_tables(&mut self, routes: Nested<pingtong_evidence::RouteTableId>) -> Known<Vec<RouteTable>> {
        let key = |table: &Option<RouteTable>| table.as_ref().map(|table| table.id.clone());
        let tables = self.take(&vpc::ROUTE_TABLES, routes.outer, vpc::route_table, key);
        let Known::Known(tables) = tables else {
            return Known::Unknown(tables.why_unknown().cloned().unwrap_or(WhyUnknown::NotAsked));
        };
        let mut tables: Vec<RouteTable> = tables.into_iter().flatten().collect();
        for (id, read) in sorted(routes.inner) {
            let about = (&vpc::ROUTE_ENTRIES, Some(id.to_string()));
            let entries = match self.read_or_gap(about, read, vpc::route_entry) {
                Ok((entries, _)) => Known::Known(entries.into_iter().flatten().collect()),
                Err(why) => Known::Unknown(why),
            };
            if let Some(table) = tables.iter_mut().find(|table| table.id == id) {
                table.entries = entries;
            }
        }
        Known::Known(tables)
    }

    fn take_security_groups(
        &mut self,
        groups: Nested<pingtong_evidence::SecurityGroupId>,
    ) -> Known<Vec<SecurityGroup>> {
        let taken = self.take(&ecs::SECURITY_GROUPS, groups.outer, ecs::security_group, |group| group.id.clone());
        let Known::Known(mut taken) = taken else { return taken };
        let account = self.snapshot.account.clone();
        for (id, read) in sorted(groups.inner) {
            let api = &ecs::SECURITY_RULES;
            let rules = self.read_or_gap((api, Some(id.to_string())), read, |row, _| ecs::security_rule(row, &account));
            let Some(group) = taken.iter_mut().find(|group| group.id == id) else { continue };
            match rules {
                Ok((rules, listing)) => {
                    let silent = |message: String| WhyUnknown::Malformed { action: api.name(), message };
                    group.inner_access = match ecs::inner_access(Row::new(&listing.head)) {
                        Ok(Some(policy)) => Known::Known(policy),
                        Ok(None) => Known::Unknown(silent("InnerAccessPolicy is missing".to_owned())),
                        Err(error) => Known::Unknown(silent(error.to_string())),
                    };
                    group.rules = Known::Known(rules);
                }
                Err(why) => {
                    group.inner_access = Known::Unknown(why.clone());
                    group.rules = Known::Unknown(why);
                }
            }
        }
        Known::Known(taken)
    }

    /// A failure is a gap only where a route leads to a peering connection; else nothing needs it.
    fn take_peerings(&mut self, peerings: Option<Read>, wanted: bool) {
        let Some(read) = peerings else { return };
        let (account, region) = (self.snapshot.account.clone(), self.snapshot.region.clone());
        let api = &interconnect::VPC_PEERINGS;
        let result =
            self.read(api, read, |row, provenance| interconnect::vpc_peering(row, provenance, &account, &region));
        self.snapshot.vpc_peerings = match result {
            Ok((mut peerings, _)) => {
                peerings.sort_by(|a, b| a.id.cmp(&b.id));
                Known::Known(peerings)
            }
            Err(why) => {
                if wanted {
                    self.gap(api.name(), None, why.clone());
                }
                Known::Unknown(why)
            }
        };
    }

    fn take_prefix_lists(&mut self, lists: Vec<(PrefixListId, Read)>) {
        let mut taken = vec![];
        for (id, read) in lists {
            let provenance = Provenance(u32::try_from(self.snapshot.sources.len()).unwrap_or(u32::MAX));
            let about = (&ecs::PREFIX_LIST_ENTRIES, Some(id.to_string()));
            let entries = match self.read_or_gap(about, read, ecs::prefix_list_entry) {
                Ok((entries, _)) => Known::Known(entries),
                Err(why) => Known::Unknown(why),
            };
            taken.push(PrefixList { id, entries, provenance });
        }
        // A list that no rule names was not asked about; none is missed by the rules that were read.
        if self.snapshot.security_groups.known().is_some() {
            self.snapshot.prefix_lists = Known::Known(taken);
        }
    }

    fn take_transit(&mut self, transit: TransitRead) {
        let key = |attachment: &pingtong_evidence::TransitAttachment| attachment.id.clone();
        self.snapshot.transit_attachments =
            self.take(&interconnect::ATTACHMENTS, transit.attachments, interconnect::attachment, key);
        if let Known::Unknown(why) = &self.snapshot.transit_attachments {
            self.snapshot.transit_route_tables = Known::Unknown(why.clone());
            return;
        }
        let mut tables: Result<Vec<TransitRouteTable>, WhyUnknown> = Ok(vec![]);
        for read in transit.tables {
            let read = self.read_or_gap((&interconnect::TRANSIT_TABLES, None), read, interconnect::transit_table);
            tables = match (tables, read) {
                (Ok(mut tables), Ok((more, _))) => {
                    tables.extend(more);
                    Ok(tables)
                }
                (Err(why), _) | (_, Err(why)) => Err(why),
            };
        }
        let mut tables = match tables {
            Ok(tables) => tables,
            Err(why) => {
                self.snapshot.transit_route_tables = Known::Unknown(why);
                return;
            }
        };
        for (table, routes, associations) in transit.inner {
            let about = |api| (api, Some(table.id.to_string()));
            let routes = self.read_or_gap(about(&interconnect::TRANSIT_ROUTES), routes, interconnect::transit_route);
            let bound = self.read_or_gap(about(&interconnect::ASSOCIATIONS), associations, interconnect::association);
            let Some(taken) = tables.iter_mut().find(|taken| taken.id == table.id) else { continue };
            taken.routes = match routes {
                Ok((routes, _)) => Known::Known(routes),
                Err(why) => Known::Unknown(why),
            };
            taken.associations = match bound {
                Ok((bound, _)) => Known::Known(bound.into_iter().flatten().collect()),
                Err(why) => Known::Unknown(why),
            };
        }
        tables.sort_by(|a, b| a.id.cmp(&b.id));
        self.snapshot.transit_route_tables = Known::Known(tables);
    }

    fn next_hops(&self) -> BTreeSet<NextHopKind> {
        let tables = self.snapshot.route_tables.known().into_iter().flatten();
        let entries = tables.filter_map(|table| table.entries.known()).flatten();
        entries.flat_map(|entry| &entry.next_hops).map(|hop| hop.kind).collect()
    }

    fn prefix_lists_named(&self) -> BTreeSet<PrefixListId> {
        let groups = self.snapshot.security_groups.known().into_iter().flatten();
        let rules = groups.filter_map(|group| group.rules.known()).flatten();
        let named = rules.filter_map(|rule| match &rule.peer {
            RulePeer::PrefixList(id) => Some(id.clone()),
            _ => None,
        });
        named.collect()
    }
}

fn sorted<Id: Ord>(mut inner: Vec<(Id, Read)>) -> Vec<(Id, Read)> {
    inner.sort_by(|a, b| a.0.cmp(&b.0));
    inner
}
