//! Gathering from a cloud that answers, refuses, throttles, answers wrongly and loses pages.

use crate::fake::{Cloud, ok, page, refuse, scope, settings, start, tutorial};
use axum::{http::StatusCode, response::IntoResponse};
use pingtong_cloud::{Client, ClientSettings, Signing, gather, permissions};
use pingtong_evidence::{Known, NextHopKind, RulePeer, Snapshot, Timestamp, WhyUnknown};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

fn is_send<T: Future + Send>(future: T) -> T {
    future
}

async fn read(cloud: Cloud) -> (Arc<Cloud>, Snapshot) {
    let (cloud, base) = start(cloud).await;
    let client = Client::new(settings(&base)).unwrap();
    let snapshot = is_send(gather(&client, &scope(), || Timestamp::from_millis(7))).await;
    (cloud, snapshot)
}

fn why<T>(known: &Known<T>) -> &WhyUnknown {
    known.why_unknown().expect("should be unknown")
}

#[tokio::test]
async fn a_tutorials_account_is_read_whole_in_twelve_calls() {
    let (cloud, snapshot) = read(tutorial()).await;
    assert_eq!(snapshot.gaps, []);
    let table = &snapshot.route_tables.known().unwrap()[0];
    let hops: Vec<_> = table.entries.known().unwrap().iter().map(|entry| entry.next_hops[0].kind).collect();
    assert_eq!(hops, [NextHopKind::Local, NextHopKind::RouterInterface]);
    assert_eq!(snapshot.security_groups.known().unwrap()[0].rules.known().unwrap().len(), 1);
    assert_eq!(snapshot.enis.known().unwrap()[0].addresses[0].to_string(), "192.168.1.10");
    assert_eq!(snapshot.network_acls, Known::Known(vec![]));
    assert_eq!(snapshot.prefix_lists, Known::Known(vec![]));
    let calls = cloud.calls.lock().unwrap();
    assert!(calls.len() <= 12, "{} calls", calls.len());
    for (action, params, headers) in calls.iter() {
        assert!(headers.contains_key("authorization") && headers.contains_key("x-acs-security-token"));
        // Metrics are requested at the region's endpoint; the vendor's clients send no region to it.
        let region = (action != "DescribeMetricList").then_some("cn-qingdao");
        assert_eq!(params.get("RegionId").map(String::as_str), region, "{action}");
        assert_eq!(
            params.contains_key("VpcId"),
            matches!(
                action.as_str(),
                "DescribeVpcs"
                    | "DescribeVSwitches"
                    | "DescribeRouteTableList"
                    | "DescribeNetworkAcls"
                    | "DescribeSecurityGroups"
                    | "DescribeInstances"
                    | "DescribeNetworkInterfaces"
            ),
            "{action}"
        );
    }
    let provenance = snapshot.router_interfaces.known().unwrap()[0].provenance;
    assert_eq!(snapshot.sources[provenance.0 as usize].api, "vpc:DescribeRouterInterfaces");
}

#[tokio::test]
async fn the_same_configuration_gives_the_same_snapshot() {
    let first = read(tutorial()).await.1;
    for _ in 0..5 {
        assert_eq!(read(tutorial()).await.1, first);
    }
}

#[tokio::test]
async fn every_page_is_read_in_both_styles() {
    let all = |kind: &'static str| (0..120).map(move |n| format!("{kind}-{n:03}")).collect::<Vec<_>>();
    let cloud = tutorial()
        .on("DescribeVpcs", move |query, _| {
            let (number, size): (usize, usize) = (query["PageNumber"].parse().unwrap(), query["PageSize"].parse().unwrap());
            let rows: Vec<Value> = all("vpc").iter().skip((number - 1) * size).take(size).map(|id| json!({"VpcId": id, "CidrBlock": "10.0.0.0/8"})).collect();
            ok(json!({"RequestId": "R", "TotalCount": 120, "Vpcs": {"Vpc": rows}}))
        })
        .on("DescribeRouteEntryList", |query, _| {
            assert_eq!(query["MaxResult"], "100");
            let from: usize = query.get("NextToken").map_or(0, |token| token.parse().unwrap());
            let rows: Vec<Value> = (from..(from + 50).min(120)).map(|n| json!({"DestinationCidrBlock": format!("10.{n}.0.0/16"), "Type": "Custom", "Status": "Available"})).collect();
            let next = if from + 50 < 120 { (from + 50).to_string() } else { String::new() };
            ok(json!({"RequestId": "R", "NextToken": next, "RouteEntrys": {"RouteEntry": rows}}))
        });
    let (_, snapshot) = read(cloud).await;
    assert_eq!(snapshot.gaps, []);
    assert_eq!(snapshot.vpcs.known().unwrap().len(), 120);
    assert_eq!(snapshot.route_tables.known().unwrap()[0].entries.known().unwrap().len(), 120);
}

#[tokio::test]
async fn a_denied_call_is_a_gap_that_names_the_permission_and_the_rest_goes_on() {
    let (cloud, snapshot) =
        read(tutorial().on("DescribeSecurityGroupAttribute", |_, _| refuse(403, "Forbidden.RAM"))).await;
    let denied = WhyUnknown::Denied {
        action: "ecs:DescribeSecurityGroupAttribute".into(),
        code: "Forbidden.RAM".into(),
        request_id: "REFUSED".into(),
    };
    assert_eq!(snapshot.gaps.len(), 1);
    assert_eq!((&snapshot.gaps[0].why, snapshot.gaps[0].object.as_deref()), (&denied, Some("sg-1")));
    assert_eq!(why(&snapshot.security_groups.known().unwrap()[0].rules), &denied);
    assert!(snapshot.route_tables.known().is_some() && snapshot.instances.known().is_some());
    assert_eq!(cloud.count("DescribeSecurityGroupAttribute"), 1, "a denial is not asked again");
}

#[tokio::test]
async fn throttling_and_server_trouble_are_asked_again() {
    let vpcs = || ok(page(["Vpcs", "Vpc"], &json!([])));
    let cloud = tutorial()
        .on("DescribeVpcs", move |_, before| if before < 2 { refuse(400, "Throttling.User") } else { vpcs() })
        .on("DescribeNetworkAcls", |_, before| match before {
            0 => refuse(503, "ServiceUnavailable"),
            1 => (StatusCode::BAD_GATEWAY, "<html>").into_response(),
            _ => ok(page(["NetworkAcls", "NetworkAcl"], &json!([]))),
        });
    let (cloud, snapshot) = read(cloud).await;
    assert_eq!(snapshot.gaps, []);
    assert_eq!((cloud.count("DescribeVpcs"), cloud.count("DescribeNetworkAcls")), (3, 3));
}

#[tokio::test]
async fn the_wait_that_the_server_asks_for_is_kept() {
    let cloud = tutorial().on("DescribeVpcs", |_, before| {
        let mut answer = refuse(400, "Throttling.Api");
        answer.headers_mut().insert("x-acs-retry-after", "600".parse().unwrap());
        if before == 0 { answer } else { ok(page(["Vpcs", "Vpc"], &json!([]))) }
    });
    let before = tokio::time::Instant::now();
    let (_, snapshot) = read(cloud).await;
    // On its own, the client would have waited 200 ms at most.
    assert!(before.elapsed() >= Duration::from_millis(600));
    assert_eq!(snapshot.gaps, []);
}

#[tokio::test]
async fn the_permissions_named_are_the_calls_made_when_everything_is_there() {
    let (cloud, base) = start(two_regions()).await;
    let client = Client::new(settings(&base)).unwrap();
    let mut scope = scope();
    scope.changes = Some(Duration::from_hours(2));
    let snapshot = gather(&client, &scope, || Timestamp::from_millis(7)).await;
    assert_eq!(snapshot.gaps, []);
    let mut called: Vec<String> = cloud.calls.lock().unwrap().iter().map(|call| call.0.clone()).collect();
    called.sort();
    called.dedup();
    let mut named: Vec<String> =
        permissions().iter().map(|permission| permission.split_once(':').unwrap().1.to_owned()).collect();
    named.sort();
    assert_eq!(called, named);
}

/// The tutorial's account with a rule that refers to a prefix list, drops on its router interface, and a transit router
/// in each of two connected regions.
pub(crate) fn two_regions() -> Cloud {
    let peering = |router: &str, region: &str, peer: &str, peer_region: &str| {
        json!({"TransitRouterAttachmentId": "tr-attach-p", "TransitRouterId": router, "RegionId": region, "Status": "Attached",
            "PeerTransitRouterId": peer, "PeerTransitRouterRegionId": peer_region, "PeerTransitRouterOwnerId": 1_000_000_000_000_001_u64, "Bandwidth": 2})
    };
    tutorial()
        .on("DescribeVpcs", |_, _| ok(page(["Vpcs", "Vpc"], &json!([
            {"VpcId": "vpc-1", "CidrBlock": "192.168.0.0/16", "CenStatus": "Attached"}]))))
        .on("DescribeSecurityGroupAttribute", |_, _| ok(json!({"RequestId": "R", "InnerAccessPolicy": "Drop", "Permissions": {"Permission": [
            {"Direction": "ingress", "IpProtocol": "ALL", "PortRange": "-1/-1", "SourcePrefixListId": "pl-1"}]}})))
        .on("DescribePrefixListAttributes", |_, _| ok(json!({"RequestId": "R", "Entries": {"Entry": [{"Cidr": "172.16.0.0/16"}]}})))
        .on("DescribeMetricList", |query, _| {
            assert!(query["Dimensions"].contains("ri-1") && query["Namespace"] == "acs_express_connect");
            let value = if query["MetricName"] == "RateLimitDropPps" { 12.5 } else { 2e6 };
            let points = json!([{"timestamp": 60_000, "instanceId": "ri-1", "Average": value}]).to_string();
            ok(json!({"RequestId": "R", "Code": "200", "Success": true, "Datapoints": points}))
        })
        .on("LookupEvents", |query, _| {
            assert!(!query.contains_key("RegionId") && query["LookupAttribute.1.Value"] == "Write");
            ok(json!({"RequestId": "R", "NextToken": "", "Events": [
                {"eventId": "E", "eventName": "DeleteRouteEntry", "serviceName": "Vpc", "eventTime": "2026-01-02T03:04:05Z", "eventRW": "Write"},
                {"eventName": "PutObject", "serviceName": "Oss", "eventTime": "2026-01-02T03:04:05Z"}]}))
        })
        .on("ListTransitRouterVpcAttachments", |_, _| ok(json!({"TransitRouterAttachments": [
            {"TransitRouterAttachmentId": "tr-attach-1", "TransitRouterId": "tr-1", "VpcId": "vpc-1", "Status": "Attached"}]})))
        .on("ListTransitRouterPeerAttachments", move |query, _| {
            let (here, there) = (("tr-1", "cn-qingdao"), ("tr-2", "cn-beijing"));
            let (own, other) = if query["TransitRouterId"] == "tr-1" { (here, there) } else { (there, here) };
            assert_eq!(query["RegionId"], own.1);
            ok(json!({"TotalCount": 1, "TransitRouterAttachments": [peering(own.0, own.1, other.0, other.1)]}))
        })
        .on("ListTransitRouterRouteTables", |query, _| {
            let router = &query["TransitRouterId"];
            ok(json!({"TransitRouterRouteTables": [{"TransitRouterRouteTableId": format!("vtb-{router}"), "TransitRouterId": router}]}))
        })
        .on("ListTransitRouterRouteEntries", |_, _| ok(json!({"TransitRouterRouteEntries": [
            {"TransitRouterRouteEntryDestinationCidrBlock": "172.16.0.0/16", "TransitRouterRouteEntryNextHopType": "Attachment",
             "TransitRouterRouteEntryNextHopId": "tr-attach-p", "TransitRouterRouteEntryStatus": "Active", "TransitRouterRouteEntryType": "Propagated"}]})))
        .on("ListTransitRouterRouteTableAssociations", |_, _| ok(json!({"TransitRouterAssociations": [
            {"TransitRouterAttachmentId": "tr-attach-1", "Status": "Active"}]})))
        .on("ListTransitRouterRouteTablePropagations", |_, _| ok(json!({"TransitRouterPropagations": [
            {"TransitRouterAttachmentId": "tr-attach-1", "Status": "Active"}, {"TransitRouterAttachmentId": "tr-attach-2", "Status": "Deleting"}]})))
}

#[tokio::test]
async fn transit_routers_are_followed_into_other_regions_and_drops_ask_for_the_load() {
    let (cloud, snapshot) = read(two_regions()).await;
    assert_eq!(snapshot.gaps, []);
    let peerings = snapshot.transit_peerings.known().unwrap();
    let ends: Vec<_> =
        peerings.iter().map(|peering| (peering.transit_router.as_str(), peering.region.as_str())).collect();
    assert_eq!(ends, [("tr-1", "cn-qingdao"), ("tr-2", "cn-beijing")]);
    let tables = snapshot.transit_route_tables.known().unwrap();
    assert_eq!(tables.iter().map(|table| table.id.as_str()).collect::<Vec<_>>(), ["vtb-tr-1", "vtb-tr-2"]);
    assert_eq!(tables[0].propagations.known().unwrap().len(), 1);
    assert!(tables[1].routes.known().unwrap()[0].propagated);
    let metrics = snapshot.link_metrics.known().unwrap();
    assert_eq!(
        metrics.iter().map(|metric| metric.points[0].average_milli).collect::<Vec<_>>(),
        [Some(12_500), Some(2_000_000_000), Some(2_000_000_000)]
    );
    assert_eq!(snapshot.sources[metrics[2].provenance.0 as usize].api, "cms:DescribeMetricList");
    assert_eq!(snapshot.changes, Known::Unknown(WhyUnknown::NotAsked));
    assert_eq!(cloud.count("ListTransitRouterPeerAttachments"), 2);
}

#[tokio::test]
async fn a_refused_record_is_a_gap_and_what_no_vpc_is_in_is_known_to_be_absent() {
    let cloud = tutorial().on("DescribeMetricList", |_, _| refuse(403, "Forbidden.RAM"));
    let (cloud, snapshot) = read(cloud).await;
    assert_eq!(snapshot.gaps.iter().map(|gap| gap.action.as_str()).collect::<Vec<_>>(), ["cms:DescribeMetricList"]);
    assert!(matches!(why(&snapshot.link_metrics), WhyUnknown::Denied { .. }));
    assert_eq!(snapshot.transit_attachments, Known::Known(vec![]));
    assert_eq!(cloud.count("ListTransitRouterVpcAttachments"), 0);
    let (_, hidden) =
        read(two_regions().on("ListTransitRouterVpcAttachments", |_, _| {
            ok(json!({"TotalCount": 0, "TransitRouterAttachments": []}))
        }))
        .await;
    assert!(
        matches!(why(&hidden.transit_attachments), WhyUnknown::NotPermitted { what, .. } if what.contains("vpc-1"))
    );
    let (_, blind) = read(tutorial().on("DescribeVpcs", |_, _| refuse(403, "Forbidden.RAM"))).await;
    assert_eq!(blind.transit_attachments, Known::Unknown(WhyUnknown::NotAsked));
}

#[tokio::test]
async fn endless_throttling_ends_with_the_time_given() {
    let (_, base) = start(tutorial().on("DescribeVSwitches", |_, _| refuse(400, "Throttling"))).await;
    let client = Client::new(settings(&base)).unwrap();
    let mut scope = scope();
    scope.within = Duration::from_millis(600);
    let before = tokio::time::Instant::now();
    let snapshot = gather(&client, &scope, || Timestamp::from_millis(7)).await;
    assert!(before.elapsed() < Duration::from_millis(1500));
    assert_eq!(why(&snapshot.vswitches), &WhyUnknown::Throttled { action: "vpc:DescribeVSwitches".into() });
    assert!(snapshot.vpcs.known().is_some());
}

#[tokio::test]
async fn malformed_answers_are_gaps() {
    let cloud = tutorial()
        .on("DescribeVpcs", |_, _| ok(page(["Vpcs", "Vpc"], &json!([{"VpcId": "vpc-1", "CidrBlock": "banana"}]))))
        .on("DescribeVSwitches", |_, _| (StatusCode::OK, "not json").into_response())
        .on("DescribeInstances", |_, _| ok(json!({"RequestId": "R"})))
        .on("DescribeNetworkInterfaces", |_, _| ok(page(["NetworkInterfaceSets", "X"], &json!([7]))));
    let (_, snapshot) = read(cloud).await;
    assert_eq!(snapshot.gaps.len(), 4);
    for why in [why(&snapshot.vpcs), why(&snapshot.vswitches), why(&snapshot.instances), why(&snapshot.enis)] {
        assert!(matches!(why, WhyUnknown::Malformed { .. }), "{why:?}");
    }
    assert!(why(&snapshot.vpcs).to_string().contains("banana"));
}

#[tokio::test]
async fn a_lost_page_makes_a_listing_unknown_and_never_short() {
    let cloud = tutorial()
        // The second page is empty although the total announces more.
        .on("DescribeVpcs", |query, _| {
            let rows = if query["PageNumber"] == "1" {
                json!([{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/8"}])
            } else {
                json!([])
            };
            ok(json!({"RequestId": "R", "TotalCount": 2, "Vpcs": {"Vpc": rows}}))
        })
        // The token never changes.
        .on("DescribeInstances", |_, _| {
            ok(json!({"RequestId": "R", "NextToken": "same", "Instances": {"Instance": []}}))
        })
        // The token is lost.
        .on("DescribeRouteEntryList", |_, _| {
            ok(json!({"RequestId": "R", "TotalCount": 9, "RouteEntrys": {"RouteEntry": []}}))
        });
    let (cloud, snapshot) = read(cloud).await;
    assert!(matches!(why(&snapshot.vpcs), WhyUnknown::Malformed { message, .. } if message.contains("1 of 2")));
    assert!(
        matches!(why(&snapshot.instances), WhyUnknown::Malformed { message, .. } if message.contains("token twice"))
    );
    let entries = &snapshot.route_tables.known().unwrap()[0].entries;
    assert!(matches!(why(entries), WhyUnknown::Malformed { message, .. } if message.contains("0 of 9")));
    assert!(cloud.count("DescribeInstances") <= 4);
}

/// The tutorial's account with routes to every kind of connection; one of its reads is refused.
pub(crate) fn led_everywhere() -> Cloud {
    tutorial()
        .on("DescribeSecurityGroupAttribute", |_, _| ok(json!({"RequestId": "R", "InnerAccessPolicy": "Drop", "Permissions": {"Permission": [
            {"Direction": "ingress", "IpProtocol": "ALL", "PortRange": "-1/-1", "SourcePrefixListId": "pl-1"}]}})))
        .on("DescribePrefixListAttributes", |_, _| ok(json!({"RequestId": "R", "Entries": {"Entry": [{"Cidr": "172.16.0.0/16"}]}})))
        .on("DescribeRouteEntryList", |_, _| ok(json!({"RequestId": "R", "RouteEntrys": {"RouteEntry": [
            {"DestinationCidrBlock": "172.16.0.0/16", "Type": "Custom", "Status": "Available", "NextHops": {"NextHop": [{"NextHopType": "VpcPeer", "NextHopId": "pcc-1"}]}},
            {"DestinationCidrBlock": "172.17.0.0/16", "Type": "CEN", "Status": "Available", "NextHops": {"NextHop": [{"NextHopType": "Attachment", "NextHopId": "tr-attach-1"}]}}]}})))
        .on("ListVpcPeerConnections", |query, _| {
            assert_eq!(query["RegionId"], "cn-qingdao");
            ok(json!({"RequestId": "R", "TotalCount": 1, "VpcPeerConnects": [{"InstanceId": "pcc-1", "Status": "Activated", "OwnerId": 1, "RegionId": "cn-qingdao",
                "Vpc": {"VpcId": "vpc-1"}, "AcceptingOwnerUid": 2, "AcceptingRegionId": "cn-beijing", "AcceptingVpc": {"VpcId": "vpc-2"}}]}))
        })
        .on("ListTransitRouterVpcAttachments", |_, _| ok(json!({"TransitRouterAttachments": [
            {"TransitRouterAttachmentId": "tr-attach-1", "TransitRouterId": "tr-1", "VpcId": "vpc-1", "Status": "Attached"}]})))
        .on("ListTransitRouterRouteTables", |_, _| ok(json!({"TransitRouterRouteTables": [{"TransitRouterRouteTableId": "vtb-t", "TransitRouterId": "tr-1"}]})))
        .on("ListTransitRouterRouteEntries", |_, _| ok(json!({"TransitRouterRouteEntries": [
            {"TransitRouterRouteEntryDestinationCidrBlock": "172.17.0.0/16", "TransitRouterRouteEntryNextHopType": "Attachment",
             "TransitRouterRouteEntryNextHopId": "tr-attach-2", "TransitRouterRouteEntryStatus": "Active"}]})))
        .on("ListTransitRouterRouteTableAssociations", |_, _| refuse(403, "NoPermission"))
        .on("ListTransitRouterRouteTablePropagations", |_, _| ok(json!({"TransitRouterPropagations": [
            {"TransitRouterAttachmentId": "tr-attach-1", "Status": "Active"}]})))
        .on("ListTransitRouterPeerAttachments", |_, _| ok(json!({"TotalCount": 0, "TransitRouterAttachments": []})))
}

#[tokio::test]
async fn prefix_lists_peerings_and_transit_routers_are_read_where_something_leads_there() {
    let (_, snapshot) = read(led_everywhere()).await;
    assert!(
        matches!(&snapshot.security_groups.known().unwrap()[0].rules.known().unwrap()[0].peer, RulePeer::PrefixList(id) if id.as_str() == "pl-1")
    );
    assert_eq!(snapshot.prefix_lists.known().unwrap()[0].entries.known().unwrap()[0].to_string(), "172.16.0.0/16");
    assert_eq!(snapshot.vpc_peerings.known().unwrap()[0].accepting_vpc.as_str(), "vpc-2");
    let transit = &snapshot.transit_route_tables.known().unwrap()[0];
    assert_eq!(transit.routes.known().unwrap()[0].attachment.as_ref().unwrap().as_str(), "tr-attach-2");
    assert_eq!(
        snapshot.gaps.iter().map(|gap| gap.action.as_str()).collect::<Vec<_>>(),
        ["cbn:ListTransitRouterRouteTableAssociations"]
    );
}

#[tokio::test]
async fn the_older_signature_travels_in_parameters() {
    let (cloud, base) = start(tutorial()).await;
    let client = Client::new(ClientSettings { signing: Signing::Rpc, ..settings(&base) }).unwrap();
    let snapshot = gather(&client, &scope(), || Timestamp::from_millis(7)).await;
    assert_eq!(snapshot.gaps, []);
    let calls = cloud.calls.lock().unwrap();
    assert!(
        calls
            .iter()
            .all(|(_, params, headers)| params.contains_key("Signature") && !headers.contains_key("authorization"))
    );
}

#[tokio::test]
async fn an_unreachable_cloud_is_told_with_its_reason() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::new(settings(&base)).unwrap();
    let mut scope = scope();
    scope.within = Duration::from_millis(300);
    let snapshot = gather(&client, &scope, || Timestamp::from_millis(7)).await;
    assert!(matches!(why(&snapshot.vpcs), WhyUnknown::Unreachable { .. }), "{:?}", snapshot.vpcs);
    let shown = format!("{client:?} {snapshot:?}");
    assert!(!shown.contains("testAccessKeySecret") && !shown.contains("testToken"));
}
