//! Gathering against a cloud that answers, refuses, throttles, lies and loses pages.

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
        assert_eq!(params.get("RegionId").unwrap(), "cn-qingdao", "{action}");
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
    // Left to itself the client would have waited 200 ms at most.
    assert!(before.elapsed() >= Duration::from_millis(600));
    assert_eq!(snapshot.gaps, []);
}

#[tokio::test]
async fn every_call_made_is_among_the_permissions_named() {
    let permissions = permissions();
    let (cloud, _) = read(tutorial()).await;
    for (action, ..) in cloud.calls.lock().unwrap().iter() {
        assert!(permissions.iter().any(|permission| permission.ends_with(&format!(":{action}"))), "{action}");
    }
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
        // The second page is empty although the total promises more.
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

#[tokio::test]
async fn prefix_lists_peerings_and_transit_routers_are_read_where_something_leads_there() {
    let cloud = tutorial()
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
        .on("ListTransitRouterRouteTableAssociations", |_, _| refuse(403, "NoPermission"));
    let (_, snapshot) = read(cloud).await;
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
