//! Reads the configuration of one account in one region. Collection cannot fail: what could not be read becomes a gap
//! and an unknown value in its place, and everything else is still read.
//!
//! Calls: nine listings (eight if the peering product has no reachable endpoint), one more per route table and security
//! group, one for the drops of router interfaces, and, only if something refers to them, prefix lists, peering
//! connections and transit routers. Router interfaces are never filtered by VPC, because one created on the wrong
//! router must be visible. These APIs do not indicate that an answer is unchanged, so every poll repeats every listing.

pub(crate) mod ecs;
pub(crate) mod interconnect;
pub(crate) mod reading;
pub(crate) mod records;
pub(crate) mod rule;
pub(crate) mod summary;
pub(crate) mod survey;
pub(crate) mod vpc;

use crate::{
    CallError, Client, EndpointRule,
    client::listing::{Listing, ListingApi, Now},
    gather::reading::{Optional, Read, Reading, Record, Transit, TransitReading, TransitTableReading, rows},
    gather::records::Measured,
    signing::Params,
    transport::row::{Row, RowError},
};
use futures_util::future::join_all;
use pingtong_evidence::{
    AccountId, Cidr, ConfigChange, Coverage, LinkMetricKind, NextHopKind, PrefixListId, Provenance, RegionId,
    RequestTag, RouteEntry, RouteTable, RouteTableId, RouterInterface, RouterInterfaceId, RouterKind, SecurityGroup,
    SecurityGroupId, SecurityRule, Snapshot, Timestamp, TransitPeering, TransitRouteTable, TransitRouterId, VpcId,
    VpcPeering, WhyUnknown,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Default time limit of a whole gathering, if no caller waits for it.
const WITHIN: Duration = Duration::from_secs(30);
/// Time limit for a service that may have no endpoint inside VPCs (`API.md` §2): a gathering waits no
/// longer for it.
const OPTIONAL_INTERNAL_WITHIN: Duration = Duration::from_secs(2);
/// How far back a request about an incident reads configuration changes: ActionTrail returns 50 events per page, at two
/// calls per second.
const CHANGES_BACK: Duration = Duration::from_hours(2);
/// Maximum number of transit routers to follow: a network spans regions, not thousands of routers.
const TRANSIT_ROUTERS_MAX: usize = 50;

/// What one gathering reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatherScope {
    /// Account whose configuration is read.
    pub account: AccountId,
    /// Region to read.
    pub region: RegionId,
    /// Reads only this VPC's objects where the API can filter, which keeps the number of calls small.
    pub vpc: Option<VpcId>,
    /// The request for fresh evidence that this gathering answers.
    pub request: Option<RequestTag>,
    /// Time limit of the whole gathering; what is not read by then becomes a gap.
    pub within: Duration,
    /// Whether to ask CloudMonitor what the bandwidth limits of router interfaces dropped.
    pub metrics: bool,
    /// How far back to ask ActionTrail for configuration changes; `None` makes no such call.
    pub changes: Option<Duration>,
}

impl GatherScope {
    /// Everything of an account in a region except configuration changes, within 30 s.
    pub fn new(account: AccountId, region: RegionId) -> Self {
        Self { account, region, vpc: None, request: None, within: WITHIN, metrics: true, changes: None }
    }

    /// Makes this gathering answer `request`. If there is a request, an incident is being investigated, so
    /// configuration changes are read as well.
    #[must_use]
    pub fn answering(self, request: Option<RequestTag>) -> Self {
        Self { changes: request.as_ref().map(|_| CHANGES_BACK), request, ..self }
    }
}

/// A listing that has ended, successfully or not.
#[derive(Debug, Clone)]
pub struct Progress<'a> {
    /// The RAM action.
    pub action: &'a str,
    /// Id of the object, or name of the metric, that the call asks about, if it names one.
    pub object: Option<&'a str>,
    /// Number of rows read, or why the listing failed.
    pub rows: Result<usize, &'a CallError>,
}

/// Callback that is called for every listing that ends.
pub type Watch<'a> = &'a (dyn Fn(&Progress<'_>) + Send + Sync);

/// The RAM actions that gathering may call: exactly those that a role needs.
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
        &interconnect::TRANSIT_PEERINGS,
        &interconnect::TRANSIT_TABLES,
        &interconnect::TRANSIT_ROUTES,
        &interconnect::ASSOCIATIONS,
        &interconnect::PROPAGATIONS,
        &records::METRICS,
        &records::EVENTS,
    ];
    apis.into_iter().map(ListingApi::name).collect()
}

/// Reads an account's configuration; `now` supplies the times in the snapshot.
pub async fn gather<F>(client: &Client, scope: &GatherScope, now: F) -> Snapshot
where
    F: Fn() -> Timestamp + Send + Sync,
{
    gather_watched(client, scope, now, &|_| ()).await
}

/// As [`gather`], and calls `watch` for every listing that ends.
pub async fn gather_watched<F>(client: &Client, scope: &GatherScope, now: F, watch: Watch<'_>) -> Snapshot
where
    F: Fn() -> Timestamp + Send + Sync,
{
    let reader = Reader { client, scope, deadline: Instant::now() + scope.within, now: &now, watch };
    let covers = scope.vpc.as_ref().map_or(Coverage::All, |vpc| Coverage::Vpcs(BTreeSet::from([vpc.clone()])));
    let record = Record::new(scope.account.clone(), scope.region.clone(), &now);
    let record = record.answering(scope.request.clone()).covering(covers);
    match client.check_credentials(reader.deadline).await {
        Ok(()) => reader.read().await.into_snapshot(record),
        Err(error) => record.without_credentials(&error.why("ram/security-credentials")),
    }
}

/// Makes the calls. Does not know the format of snapshots.
struct Reader<'a> {
    client: &'a Client,
    scope: &'a GatherScope,
    deadline: Instant,
    now: Now<'a>,
    watch: Watch<'a>,
}

/// A call's parameters, and the object that it asks about.
#[derive(Default)]
struct Ask {
    params: Params,
    object: Option<String>,
    /// Region of the call, if it differs from the scope's.
    region: Option<RegionId>,
    /// Deadline of the call, if it is earlier than that of the whole gathering.
    deadline: Option<Instant>,
}

impl Ask {
    fn about(key: &str, id: &impl ToString) -> Self {
        let id = id.to_string();
        Self { params: Params::from([(key.to_owned(), id.clone())]), object: Some(id), ..Self::default() }
    }
}

impl Reader<'_> {
    async fn read(&self) -> Reading {
        let in_cen: Mutex<BTreeSet<VpcId>> = Mutex::default();
        let a_vpc = |row: Row<'_>, provenance: Provenance| {
            let vpc = vpc::vpc(row, provenance)?;
            if row.word("CenStatus").as_deref() == Some("attached") {
                in_cen.lock().unwrap_or_else(PoisonError::into_inner).insert(vpc.id.clone());
            }
            Ok(vpc)
        };
        let ((vpcs, vswitches, tables, peerings), (linked, acls, groups, instances, enis), changes) = tokio::join!(
            async {
                tokio::join!(
                    self.list(&vpc::VPCS, self.of_vpc(), a_vpc),
                    self.list(&vpc::VSWITCHES, self.of_vpc(), vpc::vswitch),
                    self.route_tables(),
                    self.peerings_at_hand(),
                )
            },
            async {
                tokio::join!(
                    self.interfaces_with_metrics(),
                    self.list(&vpc::NETWORK_ACLS, self.of_vpc(), vpc::network_acl),
                    self.security_groups(),
                    self.list(&ecs::INSTANCES, self.of_vpc(), ecs::instance),
                    self.list(&ecs::ENIS, self.of_vpc(), ecs::eni),
                )
            },
            self.changes(),
        );
        let (route_tables, route_entries) = tables;
        let (security_groups, security_rules) = groups;
        let (router_interfaces, metrics) = linked;
        let hops = Reading::next_hops(&route_entries);
        let in_cen = in_cen.into_inner().unwrap_or_else(PoisonError::into_inner);
        let leads_there = !in_cen.is_empty() || hops.contains(&NextHopKind::Attachment);
        let no_cen = vpcs.is_ok() && route_tables.is_ok() && route_entries.values().all(Result::is_ok);
        let (vpc_peerings, prefix_lists, transit) = tokio::join!(
            self.peerings(peerings, hops.contains(&NextHopKind::VpcPeering)),
            self.prefix_lists(Reading::prefix_lists_named(&security_rules)),
            async {
                match (leads_there, no_cen) {
                    (true, _) => Transit::Read(Box::new(self.transit(&in_cen).await)),
                    (false, true) => Transit::None,
                    (false, false) => Transit::NotAsked,
                }
            },
        );
        Reading {
            vpcs,
            vswitches,
            route_tables,
            route_entries,
            router_interfaces,
            network_acls: acls,
            security_groups,
            security_rules,
            instances,
            enis,
            prefix_lists,
            vpc_peerings,
            transit,
            metrics,
            changes,
        }
    }

    fn of_vpc(&self) -> Ask {
        let params = self.scope.vpc.iter().map(|id| ("VpcId".to_owned(), id.to_string())).collect();
        Ask { params, ..Ask::default() }
    }

    async fn list<T: Send>(
        &self,
        api: &ListingApi,
        ask: Ask,
        read: impl Fn(Row<'_>, Provenance) -> Result<T, RowError> + Send + Sync,
    ) -> Read<T> {
        let deadline = ask.deadline.unwrap_or(self.deadline).min(self.deadline);
        let region = ask.region.as_ref().unwrap_or(&self.scope.region);
        // Boxed: thousands of these may run concurrently inside one future, which would otherwise be very large.
        let listing = Box::pin(self.client.list(api, region, &ask.params, (deadline, self.now), &read)).await;
        let rows = listing.as_ref().map(|listing| listing.rows.len());
        (self.watch)(&Progress { action: &api.name(), object: ask.object.as_deref(), rows });
        listing.map_err(|error| error.why())
    }

    /// Makes one listing for each of several objects.
    async fn list_each<Id, T: Send>(
        &self,
        api: &ListingApi,
        key: &str,
        ids: impl IntoIterator<Item = Id>,
        read: impl Fn(Row<'_>, Provenance) -> Result<T, RowError> + Copy + Send + Sync,
    ) -> BTreeMap<Id, Read<T>>
    where
        Id: ToString + Ord + Send,
    {
        let reads = ids.into_iter().map(async |id| {
            let listing = self.list(api, Ask::about(key, &id), read).await;
            (id, listing)
        });
        join_all(reads).await.into_iter().collect()
    }

    async fn route_tables(&self) -> (Read<Option<RouteTable>>, BTreeMap<RouteTableId, Read<Option<RouteEntry>>>) {
        let tables = self.list(&vpc::ROUTE_TABLES, self.of_vpc(), vpc::route_table).await;
        let ids: BTreeSet<_> = rows(&tables).iter().flatten().map(|table| table.id.clone()).collect();
        let entries = self.list_each(&vpc::ROUTE_ENTRIES, "RouteTableId", ids, vpc::route_entry).await;
        (tables, entries)
    }

    async fn security_groups(&self) -> (Read<SecurityGroup>, BTreeMap<SecurityGroupId, Read<SecurityRule>>) {
        let groups = self.list(&ecs::SECURITY_GROUPS, self.of_vpc(), ecs::security_group).await;
        let ids: BTreeSet<_> = rows(&groups).iter().map(|group| group.id.clone()).collect();
        let account = &self.scope.account;
        let rule = |row: Row<'_>, _: Provenance| ecs::security_rule(row, account);
        let rules = self.list_each(&ecs::SECURITY_RULES, "SecurityGroupId", ids, rule).await;
        (groups, rules)
    }

    async fn prefix_lists(&self, ids: BTreeSet<PrefixListId>) -> BTreeMap<PrefixListId, Read<Cidr>> {
        self.list_each(&ecs::PREFIX_LIST_ENTRIES, "PrefixListId", ids, ecs::prefix_list_entry).await
    }

    /// Reads peering connections, unless the endpoints inside VPCs are in use: the peering product has none there, so
    /// it is called only after a route leads to it.
    async fn peerings_at_hand(&self) -> Option<Read<VpcPeering>> {
        if *self.client.endpoint() == EndpointRule::Internal {
            return None;
        }
        Some(self.list_peerings().await)
    }

    async fn list_peerings(&self) -> Read<VpcPeering> {
        let (account, region) = (&self.scope.account, &self.scope.region);
        let read = |row: Row<'_>, provenance: Provenance| interconnect::vpc_peering(row, provenance, account, region);
        self.list(&interconnect::VPC_PEERINGS, Ask::default(), read).await
    }

    /// Peering connections. A failure matters only if a route leads to one; otherwise no path needs them.
    async fn peerings(&self, at_hand: Option<Read<VpcPeering>>, needed: bool) -> Optional<VpcPeering> {
        match (at_hand, needed) {
            (Some(read), true) => Optional::Needed(read),
            (Some(read), false) => Optional::AtHand(read),
            (None, true) => Optional::Needed(self.list_peerings().await),
            (None, false) => Optional::NotAsked,
        }
    }

    /// Router interfaces, and the metrics of what their bandwidth limits dropped.
    async fn interfaces_with_metrics(&self) -> (Read<RouterInterface>, Vec<(LinkMetricKind, Optional<Measured>)>) {
        let interfaces = self.list(&vpc::ROUTER_INTERFACES, Ask::default(), vpc::router_interface).await;
        let ids: Vec<_> = rows(&interfaces)
            .iter()
            .filter(|interface| interface.router_kind == RouterKind::VRouter)
            .filter(|interface| self.scope.vpc.is_none() || interface.vpc.is_none() || interface.vpc == self.scope.vpc)
            .map(|interface| interface.id.clone())
            .collect();
        if !self.scope.metrics || ids.is_empty() {
            return (interfaces, vec![]);
        }
        let mut metrics = vec![];
        for kind in records::METRIC_KINDS {
            let reading = self.metric(kind, &ids).await;
            // The traffic rates explain drops; without drops they are not needed.
            let telling = records::above_zero(reading.rows());
            metrics.push((kind, reading));
            if !telling && kind == LinkMetricKind::RateLimitDropPps {
                break;
            }
        }
        (interfaces, metrics)
    }

    async fn metric(&self, kind: LinkMetricKind, ids: &[RouterInterfaceId]) -> Optional<Measured> {
        let name = records::metric_name(kind);
        let reads = ids.chunks(records::INTERFACES_PER_CALL).map(|ids| {
            let ask = Ask {
                params: records::metric_params(kind, ids, (self.now)()),
                object: Some(name.to_owned()),
                deadline: self.optional_deadline(),
                ..Ask::default()
            };
            self.list(&records::METRICS, ask, records::measured)
        });
        let mut all: Read<Measured> = Ok(Listing::default());
        for read in join_all(reads).await {
            all = match (all, read) {
                (Ok(mut all), Ok(mut more)) => {
                    let offset = u32::try_from(all.sources.len()).unwrap_or(u32::MAX);
                    more.rows.iter_mut().for_each(|row| row.provenance.0 = row.provenance.0.saturating_add(offset));
                    all.rows.append(&mut more.rows);
                    all.sources.append(&mut more.sources);
                    Ok(all)
                }
                (Err(why), _) | (_, Err(why)) => Err(why),
            };
        }
        self.optional(all)
    }

    async fn changes(&self) -> Optional<Option<ConfigChange>> {
        let Some(back) = self.scope.changes else { return Optional::NotAsked };
        let now = (self.now)();
        let since =
            Timestamp::from_millis(now.as_millis().saturating_sub(i64::try_from(back.as_millis()).unwrap_or(i64::MAX)));
        let ask =
            Ask { params: records::event_params(since, now), deadline: self.optional_deadline(), ..Ask::default() };
        self.optional(self.list(&records::EVENTS, ask, records::change).await)
    }

    /// These services may have no endpoint inside VPCs. If one is unreachable from there, that is not a gap, because no
    /// path needs its answers.
    fn optional<T>(&self, read: Read<T>) -> Optional<T> {
        let beyond_reach = matches!(&read, Err(WhyUnknown::Unreachable { .. }));
        if beyond_reach && *self.client.endpoint() == EndpointRule::Internal {
            return Optional::AtHand(read);
        }
        Optional::Needed(read)
    }

    fn optional_deadline(&self) -> Option<Instant> {
        (*self.client.endpoint() == EndpointRule::Internal).then(|| Instant::now() + OPTIONAL_INTERNAL_WITHIN)
    }

    /// Reads transit routers, starting at the attachments of the VPCs and following their connections to routers of
    /// other regions. If a VPC reports that it is in a Cloud Enterprise Network but none of its attachments is listed,
    /// another owner attached it and does not show the attachment.
    async fn transit(&self, in_cen: &BTreeSet<VpcId>) -> TransitReading {
        let mut attachments = self.list(&interconnect::ATTACHMENTS, self.of_vpc(), interconnect::attachment).await;
        let listed = |vpc: &&VpcId| rows(&attachments).iter().any(|row| row.vpc == **vpc);
        if attachments.is_ok()
            && let Some(hidden) = in_cen.iter().find(|vpc| !listed(vpc))
        {
            attachments = Err(WhyUnknown::NotPermitted {
                what: format!("seeing the attachment of {hidden} to its Cloud Enterprise Network"),
                closes_with: "a snapshot of the account that owns the Cloud Enterprise Network".to_owned(),
            });
        }
        let mut waiting: BTreeMap<TransitRouterId, RegionId> =
            rows(&attachments).iter().map(|row| (row.transit_router.clone(), self.scope.region.clone())).collect();
        let mut reading = TransitReading { attachments: Some(attachments), ..TransitReading::default() };
        while let Some((router, region)) = waiting.pop_first() {
            let (peerings, tables) =
                tokio::join!(self.transit_peerings(&router, &region), self.transit_tables(&router));
            for peering in rows(&peerings) {
                let known = reading.peerings.len() + waiting.len();
                let new = peering.peer_transit_router != router
                    && !reading.peerings.contains_key(&peering.peer_transit_router);
                let own = peering.peer_owner.as_ref().is_none_or(|owner| *owner == self.scope.account);
                if new && own && known < TRANSIT_ROUTERS_MAX {
                    waiting.insert(peering.peer_transit_router.clone(), peering.peer_region.clone());
                }
            }
            let inner = rows(&tables).iter().map(|table| self.transit_table(&table.id));
            reading.inner.extend(join_all(inner).await);
            reading.peerings.insert(router.clone(), peerings);
            reading.tables.insert(router, tables);
        }
        reading
    }

    async fn transit_peerings(&self, router: &TransitRouterId, region: &RegionId) -> Read<TransitPeering> {
        let ask = Ask { region: Some(region.clone()), ..Ask::about("TransitRouterId", router) };
        let read = |row: Row<'_>, provenance: Provenance| interconnect::transit_peering(row, provenance, region);
        self.list(&interconnect::TRANSIT_PEERINGS, ask, read).await
    }

    async fn transit_tables(&self, router: &TransitRouterId) -> Read<TransitRouteTable> {
        let ask = Ask::about("TransitRouterId", router);
        self.list(&interconnect::TRANSIT_TABLES, ask, interconnect::transit_table).await
    }

    async fn transit_table(&self, id: &RouteTableId) -> (RouteTableId, TransitTableReading) {
        let of_table = || Ask::about("TransitRouterRouteTableId", id);
        let (routes, associations, propagations) = tokio::join!(
            self.list(&interconnect::TRANSIT_ROUTES, of_table(), interconnect::transit_route),
            self.list(&interconnect::ASSOCIATIONS, of_table(), interconnect::bound_attachment),
            self.list(&interconnect::PROPAGATIONS, of_table(), interconnect::bound_attachment),
        );
        (id.clone(), TransitTableReading { routes, associations, propagations })
    }
}
