//! A fake cloud and a fake metadata service that answer over real HTTP as the test specifies.
//!
//! They check only the content of requests; signatures are checked by the vendor's vectors and by the lab.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{RawQuery, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use pingtong_cloud::{ClientSettings, Credentials, EndpointRule, GatherScope, MetadataClient, SecretString};
use pingtong_evidence::{AccountId, RegionId, VpcId};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

pub(crate) type Query = BTreeMap<String, String>;
pub(crate) type Answer = Box<dyn Fn(&Query, usize) -> Response + Send + Sync>;

/// A cloud: one answer function per action, which receives the parameters and the number of earlier calls.
#[derive(Default)]
pub(crate) struct Cloud {
    answers: BTreeMap<&'static str, Answer>,
    pub(crate) calls: Mutex<Vec<(String, Query, HeaderMap)>>,
}

impl Cloud {
    pub(crate) fn on(
        mut self,
        action: &'static str,
        answer: impl Fn(&Query, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        self.answers.insert(action, Box::new(answer));
        self
    }

    pub(crate) fn count(&self, action: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| call.0 == action).count()
    }
}

pub(crate) fn ok(value: Value) -> Response {
    Json(value).into_response()
}

pub(crate) fn refuse(status: u16, code: &str) -> Response {
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

pub(crate) async fn listen(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

pub(crate) async fn start(cloud: Cloud) -> (Arc<Cloud>, String) {
    let cloud = Arc::new(cloud);
    let base = listen(Router::new().fallback(serve).with_state(cloud.clone())).await;
    (cloud, base)
}

pub(crate) fn page(container: [&str; 2], rows: &Value) -> Value {
    let total = rows.as_array().unwrap().len();
    json!({"RequestId": "R", "PageNumber": 1, "PageSize": 50, "TotalCount": total, container[0]: {container[1]: rows}})
}

/// Account A of the tutorial, completely set up.
pub(crate) fn tutorial() -> Cloud {
    let fixed = |container: [&'static str; 2], rows: Value| move |_: &Query, _: usize| ok(page(container, &rows));
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
        .on("ListVpcPeerConnections", |_, _| ok(json!({"RequestId": "R", "TotalCount": 0, "VpcPeerConnects": []})))
        .on("DescribeMetricList", |_, _| ok(json!({"RequestId": "R", "Code": "200", "Success": true, "Period": "60", "Datapoints": "[]"})))
        .on("LookupEvents", |_, _| ok(json!({"RequestId": "R", "Events": []})))
        .on("DescribeNetworkAcls", fixed(["NetworkAcls", "NetworkAcl"], json!([])))
        .on("DescribeSecurityGroups", fixed(["SecurityGroups", "SecurityGroup"], json!([{"SecurityGroupId": "sg-1", "VpcId": "vpc-1", "SecurityGroupType": "normal"}])))
        .on("DescribeSecurityGroupAttribute", |_, _| ok(json!({"RequestId": "R", "InnerAccessPolicy": "Accept", "NextToken": "", "Permissions": {"Permission": [
            {"Direction": "ingress", "IpProtocol": "ICMP", "PortRange": "-1/-1", "SourceCidrIp": "172.16.0.0/16", "Policy": "Accept", "Priority": 1}]}})))
        .on("DescribeInstances", fixed(["Instances", "Instance"], json!([{"InstanceId": "i-1", "Status": "Running", "VpcAttributes":
            {"VpcId": "vpc-1", "VSwitchId": "vsw-1", "PrivateIpAddress": {"IpAddress": ["192.168.1.10"]}}, "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]}}])))
        .on("DescribeNetworkInterfaces", fixed(["NetworkInterfaceSets", "NetworkInterfaceSet"], json!([{"NetworkInterfaceId": "eni-1",
            "InstanceId": "i-1", "Status": "InUse", "Type": "Primary", "VSwitchId": "vsw-1", "PrivateIpAddress": "192.168.1.10", "SecurityGroupIds": {"SecurityGroupId": ["sg-1"]}}])))
}

pub(crate) fn account() -> AccountId {
    AccountId::parse("1000000000000001").unwrap()
}

pub(crate) fn settings(base: &str) -> ClientSettings {
    let credentials = Credentials::fixed(
        "testAccessKeyId",
        SecretString::from("testAccessKeySecret"),
        Some(SecretString::from("testToken")),
    );
    ClientSettings::new(account(), EndpointRule::parse(Some(base)).unwrap(), credentials)
}

pub(crate) fn scope() -> GatherScope {
    let mut scope = GatherScope::new(account(), RegionId::parse("cn-qingdao").unwrap());
    scope.vpc = Some(VpcId::parse("vpc-1").unwrap());
    scope
}

/// A metadata service. In hardened mode its first token expires at once.
#[derive(Default)]
pub(crate) struct Metadata {
    pub(crate) tokens: Mutex<usize>,
    pub(crate) role: bool,
    pub(crate) hardened: bool,
}

async fn metadata(State(state): State<Arc<Metadata>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
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

pub(crate) async fn metadata_service(state: Metadata) -> String {
    listen(Router::new().fallback(metadata).with_state(Arc::new(state))).await
}

pub(crate) async fn metadata_client(state: Metadata) -> MetadataClient {
    MetadataClient::new(Some(&metadata_service(state).await)).unwrap()
}
