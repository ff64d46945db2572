//! Cloud Enterprise Network over the API: permissions, learned routes, and the resulting data plane.

use super::{A, B, Bench, Side, text};
use crate::desired::{Desired, HopPlane};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// Ids of the objects that join the tutorial's two sides through the transit routers of two regions.
pub(super) struct Joined {
    pub(super) cen: String,
    pub(super) near_router: String,
    pub(super) far_router: String,
    pub(super) near_table: String,
    pub(super) far_table: String,
    pub(super) near: String,
    pub(super) far: String,
    pub(super) between: String,
}

impl Joined {
    /// Every call that reads Cloud Enterprise Network; `near` is the initiator's side.
    pub(super) fn reads(&self, near: &Side) -> Vec<String> {
        let of_cen = format!("CenId={}", self.cen);
        let of_table = format!("TransitRouterRouteTableId={}", self.near_table);
        [
            "DescribeCens".to_owned(),
            format!("DescribeCenAttachedChildInstances {of_cen}"),
            format!("DescribeCenRouteMaps {of_cen}"),
            "ListTransitRouters".to_owned(),
            "ListTransitRouterVpcAttachments".to_owned(),
            "ListTransitRouterPeerAttachments".to_owned(),
            format!("ListTransitRouterRouteTables TransitRouterId={}", self.near_router),
            format!("ListTransitRouterRouteTableAssociations {of_table}"),
            format!("ListTransitRouterRouteTablePropagations {of_table}"),
            format!("ListTransitRouterRouteEntries {of_table} TransitRouterRouteEntryStatus=All"),
            format!("DescribeCenRegionDomainRouteEntries {of_cen} CenRegionId=cn-qingdao"),
            format!(
                "DescribePublishedRouteEntries {of_cen} ChildInstanceId={} ChildInstanceRegionId=cn-qingdao \
                 ChildInstanceType=VPC",
                near.vpc
            ),
        ]
        .map(|line| format!("cbn:{line}"))
        .into()
    }
}

impl Bench {
    /// The system table of a transit router.
    async fn transit_table(&self, router: &str) -> String {
        let listed = self.ok(&self.a, &format!("cbn:ListTransitRouterRouteTables TransitRouterId={router}")).await;
        text(&listed["TransitRouterRouteTables"][0], "TransitRouterRouteTableId")
    }

    /// Creates a CEN instance and a router per side, attaches both VPCs, and joins the regions. Nothing is associated
    /// or learned.
    pub(super) async fn joined(&self, a: &Side, b: &Side) -> Joined {
        let cen = text(&self.ok(&self.a, "cbn:CreateCen Name=c").await, "CenId");
        let router = async |region: &str| {
            let line = format!("cbn:CreateTransitRouter CenId={cen} RegionId={region}");
            text(&self.ok(&self.a, &line).await, "TransitRouterId")
        };
        let (near_router, far_router) = (router("cn-qingdao").await, router("cn-beijing").await);
        let grant = format!(
            "cbn:GrantInstanceToTransitRouter CenId={cen} CenOwnerId={A} InstanceId={} InstanceType=VPC",
            b.vpc
        );
        self.ok(&self.b, &grant).await;
        let near =
            text(&self.ok(&self.a, &attach(&near_router, a, A, "cn-qingdao-b")).await, "TransitRouterAttachmentId");
        let far =
            text(&self.ok(&self.a, &attach(&far_router, b, B, "cn-beijing-a")).await, "TransitRouterAttachmentId");
        let line = format!(
            "cbn:CreateTransitRouterPeerAttachment TransitRouterId={near_router} PeerTransitRouterId={far_router} \
             PeerTransitRouterRegionId=cn-beijing BandwidthType=DataTransfer Bandwidth=200 AutoPublishRouteEnabled=true"
        );
        let between = text(&self.ok(&self.a, &line).await, "TransitRouterAttachmentId");
        let (near_table, far_table) = (self.transit_table(&near_router).await, self.transit_table(&far_router).await);
        Joined { cen, near_router, far_router, near_table, far_table, near, far, between }
    }

    /// Associates every attachment with the system table of its routers, and lets that table learn from it.
    pub(super) async fn bound(&self, joined: &Joined) {
        for action in ["AssociateTransitRouterAttachmentWithRouteTable", "EnableTransitRouterRouteTablePropagation"] {
            for (table, attachment) in [
                (&joined.near_table, &joined.near),
                (&joined.near_table, &joined.between),
                (&joined.far_table, &joined.far),
                (&joined.far_table, &joined.between),
            ] {
                self.ok(&self.a, &format!("cbn:{action} {}", pair(table, attachment))).await;
            }
        }
    }

    /// Destination, next hop, type and status of every route of a transit router's table.
    async fn transit_routes(&self, table: &str, status: &str) -> Vec<[String; 4]> {
        let line = format!(
            "cbn:ListTransitRouterRouteEntries TransitRouterRouteTableId={table} TransitRouterRouteEntryStatus={status}"
        );
        let listed = self.ok(&self.a, &line).await;
        let field =
            |row: &Value, name: &str| row[format!("TransitRouterRouteEntry{name}")].as_str().unwrap_or("").to_owned();
        let rows = listed["TransitRouterRouteEntries"].as_array().expect("rows").iter();
        rows.map(|row| ["DestinationCidrBlock", "NextHopId", "Type", "Status"].map(|name| field(row, name))).collect()
    }
}

fn attach(router: &str, side: &Side, owner: &str, zone: &str) -> String {
    format!(
        "cbn:CreateTransitRouterVpcAttachment TransitRouterId={router} VpcId={} VpcOwnerId={owner} \
         ZoneMappings.1.ZoneId={zone} ZoneMappings.1.VSwitchId={}",
        side.vpc, side.vswitch
    )
}

fn pair(table: &str, attachment: &str) -> String {
    format!("TransitRouterRouteTableId={table} TransitRouterAttachmentId={attachment}")
}

fn desired(bench: &Bench) -> Arc<Desired> {
    bench.cloud.subscribe().borrow().clone()
}

fn active(destination: &str, hop: &str, kind: &str) -> [String; 4] {
    [destination, hop, kind, "Active"].map(str::to_owned)
}

#[tokio::test]
async fn a_vpc_of_another_account_exists_once_it_is_granted_and_its_owner_sees_that_attachment_alone() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let cen = text(&bench.ok(&bench.a, "cbn:CreateCen").await, "CenId");
    let line = format!("cbn:CreateTransitRouter CenId={cen} RegionId=cn-beijing");
    let router = text(&bench.ok(&bench.a, &line).await, "TransitRouterId");
    assert_eq!(bench.refused(&bench.a, &line).await, "InstanceExist");
    let attach = attach(&router, &b, B, "cn-beijing-a");
    assert_eq!(bench.refused(&bench.a, &attach).await, "InvalidVpcId.NotFound");
    let grant = |cen: &str, vpc: &str| {
        format!("cbn:GrantInstanceToTransitRouter CenId={cen} CenOwnerId={A} InstanceId={vpc} InstanceType=VPC")
    };
    assert_eq!(bench.refused(&bench.b, &grant("cen-x", &b.vpc)).await, "InvalidCenId.NotFound");
    assert_eq!(bench.refused(&bench.b, &grant(&cen, &a.vpc)).await, "InvalidVpcId.NotFound");
    bench.ok(&bench.b, &grant(&cen, &b.vpc)).await;
    let wrong_zone = attach.replace("cn-beijing-a", "cn-beijing-b");
    assert_eq!(bench.refused(&bench.a, &wrong_zone).await, "IllegalParam.ZoneMappings");
    let id = text(&bench.ok(&bench.a, &attach).await, "TransitRouterAttachmentId");
    assert_eq!(bench.refused(&bench.a, &attach).await, "InstanceExist");

    for keys in [&bench.a, &bench.b] {
        let line = "cbn:ListTransitRouterVpcAttachments RegionId=cn-beijing";
        let listed = bench.ok(keys, line).await;
        assert_eq!(text(&listed["TransitRouterAttachments"][0], "TransitRouterAttachmentId"), id);
    }
    assert_eq!(bench.ok(&bench.b, "cbn:ListTransitRouters RegionId=cn-beijing").await["TotalCount"], 0);
    let tables = format!("cbn:ListTransitRouterRouteTables TransitRouterId={router}");
    assert_eq!(bench.refused(&bench.b, &tables).await, "InvalidTransitRouterId.NotFound");
    let delete = format!("cbn:DeleteTransitRouterVpcAttachment TransitRouterAttachmentId={id}");
    assert_eq!(bench.refused(&bench.b, &delete).await, "InvalidTransitRouterAttachmentId.NotFound");
    let vpcs = bench.ok(&bench.b, "vpc:DescribeVpcs").await;
    assert_eq!(vpcs["Vpcs"]["Vpc"][0]["CenStatus"], "Attached");
    let line = format!("vpc:CreateVSwitch VpcId={} CidrBlock=172.16.2.0/24 ZoneId=cn-beijing-b", b.vpc);
    let empty = text(&bench.ok(&bench.b, &line).await, "VSwitchId");
    bench.ok(&bench.a, &format!("{delete} Force=true")).await;
    let attach = attach.replace(&b.vswitch, &empty).replace("cn-beijing-a", "cn-beijing-b");
    bench.ok(&bench.a, &attach).await;
    let delete = format!("vpc:DeleteVSwitch VSwitchId={empty}");
    assert_eq!(bench.refused(&bench.b, &delete).await, "DependencyViolation", "the router has an interface there");
}

#[tokio::test]
async fn tables_learn_from_vpcs_and_over_regions_and_the_owners_routes_go_first() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let joined = bench.joined(&a, &b).await;
    assert_eq!(bench.transit_routes(&joined.near_table, "All").await, Vec::<[String; 4]>::new());
    bench.bound(&joined).await;
    assert_eq!(
        bench.transit_routes(&joined.near_table, "All").await,
        [active("172.16.1.0/24", &joined.between, "Propagated"), active("192.168.1.0/24", &joined.near, "Propagated"),]
    );
    let create = |destination: &str, rest: &str| {
        format!(
            "cbn:CreateTransitRouterRouteEntry TransitRouterRouteTableId={} \
             TransitRouterRouteEntryDestinationCidrBlock={destination} {rest}",
            joined.near_table
        )
    };
    let hole = create("172.16.1.0/24", "TransitRouterRouteEntryNextHopType=BlackHole");
    let id = text(&bench.ok(&bench.a, &hole).await, "TransitRouterRouteEntryId");
    assert_eq!(bench.refused(&bench.a, &hole).await, "InstanceExist.TransitRouterRouteEntry");
    let elsewhere =
        format!("TransitRouterRouteEntryNextHopType=Attachment TransitRouterRouteEntryNextHopId={}", joined.far);
    let elsewhere = create("10.0.0.0/8", &elsewhere);
    assert_eq!(bench.refused(&bench.a, &elsewhere).await, "InvalidTransitRouterRouteEntryNextHopId.NotFound");
    let all = bench.transit_routes(&joined.near_table, "All").await;
    assert_eq!(all[0], active("172.16.1.0/24", "", "Static"));
    assert_eq!(all[1][3], "Candidate");
    assert_eq!(bench.transit_routes(&joined.near_table, "Active").await.len(), 2);
    let arriving = |bench: &Bench, router: &str, link: &str| {
        let desired = desired(bench);
        let transit = &desired.transits[router];
        transit.tables[&transit.arrivals[link]].clone()
    };
    let routes = arriving(&bench, &joined.near_router, &joined.near);
    assert_eq!(routes[0].hops, [HopPlane::Blackhole]);
    bench.ok(&bench.a, &format!("cbn:DeleteTransitRouterRouteEntry TransitRouterRouteEntryId={id}")).await;
    let routes = arriving(&bench, &joined.near_router, &joined.near);
    assert_eq!(routes[0].hops, [HopPlane::Link(joined.between.clone())]);
    let learned = format!(
        "cbn:DeleteTransitRouterRouteEntry TransitRouterRouteTableId={} \
         TransitRouterRouteEntryDestinationCidrBlock=192.168.1.0/24",
        joined.near_table
    );
    assert_eq!(bench.refused(&bench.a, &learned).await, "OperationFailed.DeleteTransitRouterRouteEntry");

    let stop = format!("cbn:DisableTransitRouterRouteTablePropagation {}", pair(&joined.far_table, &joined.far));
    bench.ok(&bench.a, &stop).await;
    assert_eq!(bench.refused(&bench.a, &stop).await, "OperationUnsupported.DisablePropagation");
    assert_eq!(bench.transit_routes(&joined.near_table, "All").await.len(), 1, "what the far table lost is not lent");
}

#[tokio::test]
async fn attachments_are_links_whose_tables_are_chosen_by_where_a_packet_comes_in() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let joined = bench.joined(&a, &b).await;
    let now = desired(&bench);
    let ends = |id: &str| (now.links[id].initiator.clone(), now.links[id].acceptor.clone());
    assert_eq!(ends(&joined.near), (a.vpc.clone(), joined.near_router.clone()));
    assert_eq!(ends(&joined.far), (b.vpc.clone(), joined.far_router.clone()));
    assert_eq!(ends(&joined.between), (joined.near_router.clone(), joined.far_router.clone()));
    assert_eq!((now.links[&joined.between].carries, now.links[&joined.between].rate_mbit), (true, Some(200)));
    assert!(now.transits[&joined.near_router].arrivals.is_empty());

    let associate =
        |table: &str| format!("cbn:AssociateTransitRouterAttachmentWithRouteTable {}", pair(table, &joined.near));
    assert_eq!(bench.refused(&bench.a, &associate(&joined.far_table)).await, "IllegalParam.TransitRouterTableId");
    bench.ok(&bench.a, &associate(&joined.near_table)).await;
    let line = format!("cbn:CreateTransitRouterRouteTable TransitRouterId={}", joined.near_router);
    let custom = text(&bench.ok(&bench.a, &line).await, "TransitRouterRouteTableId");
    assert_eq!(bench.refused(&bench.a, &associate(&custom)).await, "AssociationExist.TransitRouterTable");
    assert_eq!(desired(&bench).transits[&joined.near_router].arrivals[&joined.near], joined.near_table);
    let dissociate =
        format!("cbn:DissociateTransitRouterAttachmentFromRouteTable {}", pair(&joined.near_table, &joined.near));
    bench.ok(&bench.a, &dissociate).await;
    bench.ok(&bench.a, &associate(&custom)).await;
    assert_eq!(desired(&bench).transits[&joined.near_router].arrivals[&joined.near], custom);

    let route = format!(
        "vpc:CreateRouteEntry RouteTableId={} DestinationCidrBlock=172.16.0.0/16 NextHopType=Attachment NextHopId=",
        a.table
    );
    assert_eq!(bench.refused(&bench.a, &format!("{route}{}", joined.far)).await, "InvalidNextHopId.NotFound");
    bench.ok(&bench.a, &format!("{route}{}", joined.near)).await;
    let now = desired(&bench);
    let hops = now.vpcs[&a.vpc].tables[&a.table].iter().flat_map(|route| &route.hops);
    assert!(hops.into_iter().any(|hop| *hop == HopPlane::Link(joined.near.clone())));
}

#[tokio::test]
async fn published_routes_reach_the_vpcs_tables_and_the_owners_go_before_them() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let joined = bench.joined(&a, &b).await;
    bench.bound(&joined).await;
    let given = async || -> Vec<String> {
        let line = format!("vpc:DescribeRouteEntryList RouteTableId={} RouteEntryType=CEN", a.table);
        let listed = bench.ok(&bench.a, &line).await;
        let rows = listed["RouteEntrys"]["RouteEntry"].as_array().expect("rows").iter();
        rows.map(|row| {
            format!(
                "{} {}",
                text(row, "DestinationCidrBlock"),
                row["NextHops"]["NextHop"][0]["NextHopId"].as_str().expect("hop")
            )
        })
        .collect()
    };
    assert_eq!(given().await, Vec::<String>::new());
    let publish = format!(
        "cbn:UpdateTransitRouterVpcAttachmentAttribute TransitRouterAttachmentId={} AutoPublishRouteEnabled=true",
        joined.near
    );
    bench.ok(&bench.a, &publish).await;
    assert_eq!(given().await, [format!("172.16.1.0/24 {}", joined.near)], "its own block does not come back");
    let own = format!(
        "vpc:CreateRouteEntry RouteTableId={} DestinationCidrBlock=172.16.1.0/24 NextHopType=Instance NextHopId={}",
        a.table, a.instance
    );
    bench.ok(&bench.a, &own).await;
    assert_eq!(given().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_in_use_is_not_deleted_unless_forced_and_deletion_takes_what_hangs_on_it() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let joined = bench.joined(&a, &b).await;
    bench.bound(&joined).await;
    let delete = format!("cbn:DeleteTransitRouterVpcAttachment TransitRouterAttachmentId={}", joined.near);
    assert_eq!(bench.refused(&bench.a, &delete).await, "OperationFailed.RouteTableAssociationExist");
    bench
        .ok(
            &bench.a,
            &format!("cbn:DissociateTransitRouterAttachmentFromRouteTable {}", pair(&joined.near_table, &joined.near)),
        )
        .await;
    assert_eq!(bench.refused(&bench.a, &delete).await, "OperationFailed.RouteTablePropagationExist");
    bench
        .ok(
            &bench.a,
            &format!("cbn:DisableTransitRouterRouteTablePropagation {}", pair(&joined.near_table, &joined.near)),
        )
        .await;
    let route = format!(
        "vpc:CreateRouteEntry RouteTableId={} DestinationCidrBlock=172.16.0.0/16 NextHopType=Attachment NextHopId={}",
        a.table, joined.near
    );
    bench.ok(&bench.a, &route).await;
    assert_eq!(bench.refused(&bench.a, &delete).await, "OperationFailed.RouteEntryExist");
    assert_eq!(
        bench.refused(&bench.a, &format!("cbn:DeleteTransitRouter TransitRouterId={}", joined.near_router)).await,
        "IncorrectStatus.TransitRouterInstance"
    );
    bench.ok(&bench.a, &format!("{delete} Force=true")).await;
    let between =
        format!("cbn:DeleteTransitRouterPeerAttachment TransitRouterAttachmentId={} Force=true", joined.between);
    bench.ok(&bench.a, &between).await;
    let now = desired(&bench);
    assert!(!now.links.contains_key(&joined.near) && !now.links.contains_key(&joined.between));
    assert_eq!(
        bench.transit_routes(&joined.far_table, "All").await,
        [active("172.16.1.0/24", &joined.far, "Propagated")]
    );
    let far = format!("cbn:DeleteTransitRouterVpcAttachment TransitRouterAttachmentId={} Force=true", joined.far);
    bench.ok(&bench.a, &far).await;
    let cen = format!("cbn:DeleteCen CenId={}", joined.cen);
    assert_eq!(bench.refused(&bench.a, &cen).await, "InvalidOperation.CenInstanceStatus");
    for router in [&joined.near_router, &joined.far_router] {
        bench.ok(&bench.a, &format!("cbn:DeleteTransitRouter TransitRouterId={router}")).await;
    }
    bench.ok(&bench.a, &cen).await;
    assert_eq!(bench.ok(&bench.a, "cbn:DescribeCens").await["TotalCount"], 0);
    assert!(desired(&bench).transits.is_empty());
}

#[tokio::test]
async fn nothing_takes_part_before_the_pace_has_passed() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    bench.cloud.set_pace(Duration::from_hours(1));
    let cen = text(&bench.ok(&bench.a, "cbn:CreateCen").await, "CenId");
    assert_eq!(bench.ok(&bench.a, "cbn:DescribeCens").await["Cens"]["Cen"][0]["Status"], "Creating");
    let line = format!("cbn:CreateTransitRouter CenId={cen} RegionId=cn-qingdao");
    let router = text(&bench.ok(&bench.a, &line).await, "TransitRouterId");
    assert_eq!(bench.ok(&bench.a, "cbn:ListTransitRouters").await["TransitRouters"][0]["Status"], "Creating");
    let id = text(&bench.ok(&bench.a, &attach(&router, &a, A, "cn-qingdao-b")).await, "TransitRouterAttachmentId");
    let listed = bench.ok(&bench.a, "cbn:ListTransitRouterVpcAttachments").await;
    assert_eq!(listed["TransitRouterAttachments"][0]["Status"], "Attaching");
    assert!(!desired(&bench).links[&id].carries);
    let table = bench.transit_table(&router).await;
    let associate = format!("cbn:AssociateTransitRouterAttachmentWithRouteTable {}", pair(&table, &id));
    assert_eq!(bench.refused(&bench.a, &associate).await, "IncorrectStatus.AttachmentOrRouteTable");
}
