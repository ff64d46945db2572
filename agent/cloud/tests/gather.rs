//! Gathering against a cloud that answers over real HTTP with recorded pages, refuses, throttles, lies and loses pages.
//!
//! The fake checks nothing but what it is asked; signatures are checked by the vendor's vectors and by the lab.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]
#![expect(clippy::disallowed_methods, reason = "each test owns its servers; they end with its runtime")]

use axum::{
    Json, Router,
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use pingtong_cloud::{
    Client, ClientSettings, Credentials, EndpointRule, GatherScope, MetadataClient, Secret, Signing, gather,
};
use pingtong_evidence::{AccountId, Known, NextHopKind, RegionId, RulePeer, Snapshot, Timestamp, VpcId, WhyUnknown};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

type Query = BTreeMap<String, String>;
type Answer = Box<dyn Fn(&Query, usize) -> Response + Send + Sync>;

/// A cloud: one answer per action, told the parameters and how often it was asked before.
#[derive(Default)]
struct Cloud {
    answers: BTreeMap<&'static str, Answer>,
    calls: Mutex<Vec<(String, Query, HeaderMap)>>,
}

impl Cloud {
    fn on(mut self, action: &'static str, answer: impl Fn(&Query, usize) -> Response + Send + Sync + 'static) -> Self {
        self.answers.insert(action, Box::new(answer));
        self
    }

    fn count(&self, action: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| call.0 == action).count()
    }
}

fn ok(value: Value) -> Response {
    Json(value).into_response()
}

fn refuse(status: u16, code: &str) -> Response {
    let body = json!({"RequestId": "REFUSED", "HostId": "h", "Code": code, "Message": "no"});
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn serve(
    State(cloud): State<Arc<Cloud>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut params = Query::new();
    for pair in query.unwrap_or_default().split('&').chain(std::str::from_utf8(&body).unwrap().split('&')) {
        if let Some((key, value)) = pair.split_once('=') {
            params.insert(key.to_owned(), value.replace("%3A", ":").replace("%2F", "/"));
        }
    }
    let action = headers.get("x-acs-action").map(|value| value.to_str().unwrap().to_owned());
    let action = action.or_else(|| params.get("Action").cloned()).unwrap();
    let before = cloud.count(&action);
    cloud.calls.lock().unwrap().push((action.clone(), params.clone(), headers));
    match cloud.answers.get(action.as_str()) {
        Some(answer) => answer(&params, before),
        None => refuse(404, "InvalidAction.NotFound"),
    }
}

async fn listen(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

async fn start(cloud: Cloud) -> (Arc<Cloud>, String) {
    let cloud = Arc::new(cloud);
    let base = listen(Router::new().fallback(serve).with_state(cloud.clone())).await;
    (cloud, base)
}

fn page(container: [&str; 2], rows: Value) -> Value {
    let total = rows.as_array().unwrap().len();
    json!({"RequestId": "R", "PageNumber": 1, "PageSize": 50, "TotalCount": total, container[0]: {container[1]: rows}})
}

/// The tutorial's account A, finished.
fn tutorial() -> Cloud {
    let fixed =
        |container: [&'static str; 2], rows: Value| move |_: &Query, _: usize| ok(page(container, rows.clone()));
    Cloud::default()
        .on("DescribeVpcs", fixed(["Vpcs", "Vpc"], json!([{"VpcId": "vpc-1", "CidrBlock": "192.168.0.0/16", "VRouterId": "vrt-1"}])))
        .on("DescribeVSwitches", fixed(["VSwitches", "VSwitch"], json!([
            {"VSwitchId": "vsw-1", "VpcId": "vpc-1", "CidrBlock": "192.168.1.0/24", "RouteTable": {"RouteTableId": "vtb-1"}, "NetworkAclId": ""}])))
        .on("DescribeRouteTableList", fixed(["RouterTableList", "RouterTableListType"], json!([
            {"RouteTableId": "vtb-1", "VpcId": "vpc-1", "RouteTableType": "System", "RouterType": "VRouter", "VSwitchIds": {"VSwitchId": ["vsw-1"]}}])))
        .on("DescribeRouteEntryList", fixed(["RouteEntrys", "RouteEntry"], json!([
            {"DestinationCidrBlock": "192.168.1.0/24", "Type": "System", "Status": "Available", "NextHops": {"NextHop": [{"NextHopType": "local"}]}},
            {"DestinationCidrBlock": "172.16.0.0/16", "Type": "Custom", "Status": "Available",
             "NextHops": {"NextHop": [{"NextHopType": "RouterInterface", "NextHopId": "ri-1", "Enabled": 1}]}}])))
        .on("DescribeRouterInterfaces", fixed(["RouterInterfaceSet", "RouterInterfaceType"], json!([
            {"RouterInterfaceId": "ri-1", "Role": "InitiatingSide", "Status": "Active", "RouterId": "vrt-1", "RouterType": "VRouter", "Spec": "Mini.2"}])))
        .on("DescribeNetworkAcls", fixed(["NetworkAcls", "NetworkAcl"], json!([])))
        .on("DescribeSecurityGroups", fixed(["SecurityGroups", "SecurityGroup"], json!([{"SecurityGroupId": "sg-1", "VpcId": "vpc-1", "SecurityGroupType": "normal"}])))
        .on("DescribeSecurityGroupAttribute", |_, _| ok(json!({"RequestId": "R", "InnerAccessPolicy": "Accept", "NextToken": "", "Permissions": {"Permission": [
            {"Direction": "ingress", "IpProtocol": "ICMP", "PortRange": "-1/-1", "SourceCidrIp": "172.16.0.0/16", "Policy": "Accept", "Priority": 1}]}})))
        .on("DescribeInstances", fixed(["Instances", "Instance"], json!([{"InstanceId": "i-1", "Status": "Running", "VpcAttributes":
            {"VpcId": "vpc-1", "VSwitchId": "vsw-1", "PrivateIpAddress": {"IpAddress": ["192.168.1.10"]}}, "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]}}])))
        .on("DescribeNetworkInterfaces", fixed(["NetworkInterfaceSets", "NetworkInterfaceSet"], json!([{"NetworkInterfaceId": "eni-1",
            "InstanceId": "i-1", "Status": "InUse", "Type": "Primary", "VSwitchId": "vsw-1", "PrivateIpAddress": "192.168.1.10", "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]}}])))
}

fn account() -> AccountId {
    AccountId::parse("1000000000000001").unwrap()
}

fn settings(base: &str) -> ClientSettings {
    let credentials =
        Credentials::fixed("testAccessKeyId", Secret::new("testAccessKeySecret"), Some(Secret::new("testToken")));
    ClientSettings::new(account(), EndpointRule::parse(Some(base)).unwrap(), credentials)
}

fn scope() -> GatherScope {
    let mut scope = GatherScope::new(account(), RegionId::parse("cn-qingdao").unwrap());
    scope.vpc = Some(VpcId::parse("vpc-1").unwrap());
    scope
}

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
    let vpcs = || ok(page(["Vpcs", "Vpc"], json!([])));
    let cloud = tutorial()
        .on("DescribeVpcs", move |_, before| if before < 2 { refuse(400, "Throttling.User") } else { vpcs() })
        .on("DescribeNetworkAcls", |_, before| match before {
            0 => refuse(503, "ServiceUnavailable"),
            1 => (StatusCode::BAD_GATEWAY, "<html>").into_response(),
            _ => ok(page(["NetworkAcls", "NetworkAcl"], json!([]))),
        });
    let (cloud, snapshot) = read(cloud).await;
    assert_eq!(snapshot.gaps, []);
    assert_eq!((cloud.count("DescribeVpcs"), cloud.count("DescribeNetworkAcls")), (3, 3));
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
        .on("DescribeVpcs", |_, _| ok(page(["Vpcs", "Vpc"], json!([{"VpcId": "vpc-1", "CidrBlock": "banana"}]))))
        .on("DescribeVSwitches", |_, _| (StatusCode::OK, "not json").into_response())
        .on("DescribeInstances", |_, _| ok(json!({"RequestId": "R"})))
        .on("DescribeNetworkInterfaces", |_, _| ok(page(["NetworkInterfaceSets", "X"], json!([7]))));
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

/// A metadata service in hardened mode, whose first token ends at once.
#[derive(Default)]
struct Metadata {
    tokens: Mutex<usize>,
    role: bool,
    hardened: bool,
}

async fn metadata(
    State(state): State<Arc<Metadata>>,
    method: axum::http::Method,
    uri: axum::http::Uri,
    headers: HeaderMap,
) -> Response {
    let path = uri.path();
    if method == "PUT" {
        if !state.hardened {
            return StatusCode::NOT_FOUND.into_response();
        }
        assert_eq!(
            (path, headers["X-aliyun-ecs-metadata-token-ttl-seconds"].to_str().unwrap()),
            ("/latest/api/token", "21600")
        );
        let mut tokens = state.tokens.lock().unwrap();
        *tokens += 1;
        return format!("token-{tokens}").into_response();
    }
    let token = headers.get("X-aliyun-ecs-metadata-token").map(|value| value.to_str().unwrap().to_owned());
    if state.hardened && token.as_deref() != Some("token-2") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let mac = "/latest/meta-data/network/interfaces/macs/00:16:3e:00:00:01";
    match path {
        "/latest/dynamic/instance-identity/document" => {
            json!({"instance-id": "i-1", "owner-account-id": "1000000000000001",
            "region-id": "cn-qingdao", "private-ipv4": "192.168.1.10", "zone-id": "z"})
            .to_string()
            .into_response()
        }
        "/latest/meta-data/vpc-id" => "vpc-1".into_response(),
        "/latest/meta-data/network/interfaces/macs/" => "00:16:3e:00:00:01/\n".into_response(),
        path if path == format!("{mac}/network-interface-id") => "eni-1".into_response(),
        path if path == format!("{mac}/private-ipv4s") => r#"["192.168.1.10","192.168.1.11"]"#.into_response(),
        "/latest/meta-data/ram/security-credentials/" if state.role => "reader".into_response(),
        "/latest/meta-data/ram/security-credentials/reader" if state.role => {
            json!({"AccessKeyId": "STS.x", "AccessKeySecret": "s",
            "SecurityToken": "t", "Expiration": "2999-01-01T00:00:00Z", "Code": "Success"})
            .to_string()
            .into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn metadata_client(state: Metadata) -> MetadataClient {
    let base = listen(Router::new().fallback(metadata).with_state(Arc::new(state))).await;
    MetadataClient::new(Some(&base)).unwrap()
}

#[tokio::test]
async fn identity_is_read_in_hardened_mode_and_without_tokens() {
    for hardened in [true, false] {
        let fact = metadata_client(Metadata { hardened, ..Metadata::default() }).await.identity().await.unwrap();
        assert_eq!((fact.instance.as_str(), fact.account.as_str()), ("i-1", "1000000000000001"));
        assert_eq!((fact.vpc.unwrap().as_str(), fact.vswitch), ("vpc-1", None));
        assert_eq!(fact.interfaces.len(), 1);
        assert_eq!(
            (fact.interfaces[0].eni.as_ref().unwrap().as_str(), fact.interfaces[0].addresses.len()),
            ("eni-1", 2)
        );
    }
}

#[tokio::test]
async fn the_instances_role_signs_and_an_instance_without_one_is_one_gap() {
    let (cloud, base) = start(tutorial()).await;
    for role in [true, false] {
        let metadata = metadata_client(Metadata { hardened: true, role, ..Metadata::default() }).await;
        let client =
            Client::new(ClientSettings { credentials: Credentials::instance_role(metadata), ..settings(&base) })
                .unwrap();
        let snapshot = gather(&client, &scope(), || Timestamp::from_millis(7)).await;
        if role {
            assert_eq!(snapshot.gaps, []);
            assert_eq!(cloud.calls.lock().unwrap()[0].2["x-acs-security-token"], "t");
        } else {
            assert_eq!(snapshot.gaps.len(), 1);
            assert!(matches!(why(&snapshot.enis), WhyUnknown::NotPermitted { .. }));
        }
    }
}

#[tokio::test]
async fn refused_credentials_and_a_wrong_clock_are_corrected_once() {
    let cloud = tutorial()
        .on("DescribeVpcs", |_, before| {
            if before == 0 { refuse(400, "InvalidSecurityToken.Expired") } else { ok(page(["Vpcs", "Vpc"], json!([]))) }
        })
        .on("DescribeVSwitches", |_, _| refuse(400, "InvalidTimeStamp.Expired"));
    let (cloud, snapshot) = read(cloud).await;
    assert_eq!(snapshot.vpcs, Known::Known(vec![]));
    assert!(matches!(why(&snapshot.vswitches), WhyUnknown::Refused { code, .. } if code == "InvalidTimeStamp.Expired"));
    assert_eq!(cloud.count("DescribeVSwitches"), 2);
}
