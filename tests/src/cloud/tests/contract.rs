//! The parameters that handlers read and the fields that they answer are fields that the official SDKs know, for every
//! API in the SDKs' models.
//!
//! The models (`testdata/models.json`) are the request and response fields of the SDK packages listed in
//! `API.md` §10: the APIs that are used here, and the deletions and changes in the same packages that a user
//! of an SDK expects with them. [`check`] compares every call of these tests with the models. The test below calls each
//! API, so that none is left out.

use super::{A, B, Bench, Side, text};
use crate::cloud::actions::{self, product_of};
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

/// Products whose APIs are called here. Transit routers (cbn) have a test of their own.
const PRODUCTS: [&str; 6] = ["vpc", "ecs", "vpcpeer", "sts", "cms", "actiontrail"];

/// APIs of the models that the cloud does not have, and why.
const LEFT_OUT: [(&str, &str); 1] =
    [("nis:", "the vendor's own path analysis: a competitor's, not a fact of the network")];

/// APIs that have a handler but never succeed, and why.
const NEVER_SUCCEEDS: [(&str, &str); 2] = [
    ("vpc:GrantInstanceToVbr", "there are no physical lines and so no border routers"),
    ("ecs:RunCommand", "the control plane alone has no guests"),
];

/// Parameters that every call may have, even if the SDK has no field for them: for the SDK, the regional endpoint takes
/// the place of `RegionId`.
const OF_EVERY_CALL: [&str; 3] = ["RegionId", "Action", "Version"];

#[derive(Deserialize)]
pub(super) struct Model {
    request: BTreeSet<String>,
    pub(super) response: BTreeSet<String>,
}

pub(super) fn models() -> &'static BTreeMap<String, Model> {
    static MODELS: OnceLock<BTreeMap<String, Model>> = OnceLock::new();
    MODELS.get_or_init(|| serde_json::from_str(include_str!("../../../testdata/models.json")).expect("models"))
}

/// The paths of all fields of an answer, for example `Vpcs.Vpc[].VpcId`.
pub(super) fn fields(answer: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    paths(answer, "", &mut found);
    found
}

fn paths(value: &Value, at: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                paths(inner, &path, out);
            }
        }
        Value::Array(rows) => rows.iter().for_each(|row| paths(row, &format!("{at}[]"), out)),
        _ => _ = out.insert(at.to_owned()),
    }
}

/// Compares the parameters read by a call, and the fields of its answer, with the models.
pub(super) fn check(action: &str, asked: &BTreeSet<String>, answer: Option<&Value>) {
    let model = models().get(action).unwrap_or_else(|| panic!("{action} is not in the models"));
    let known: BTreeSet<&str> = model.request.iter().map(|path| path.trim_end_matches("[]")).collect();
    let unknown: Vec<&String> =
        asked.iter().filter(|name| !known.contains(name.as_str()) && !OF_EVERY_CALL.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{action} asks for parameters that no SDK sends: {unknown:?}");
    let answered = answer.map(fields).unwrap_or_default();
    // Events are free-form maps in the SDKs.
    let free = |path: &str| path.starts_with("Events[].");
    let unknown: Vec<&String> = answered.iter().filter(|path| !model.response.contains(*path) && !free(path)).collect();
    assert!(unknown.is_empty(), "{action} answers with unknown fields {unknown:?}");
}

fn handled(api: &str) -> bool {
    api.split_once(':').is_some_and(|(product, action)| actions::find(product, action).is_some())
}

#[test]
fn every_api_of_the_models_is_handled_or_left_out_for_a_reason() {
    let missing: Vec<&String> = models()
        .keys()
        .filter(|api| PRODUCTS.iter().any(|product| api.starts_with(&format!("{product}:"))) && !handled(api))
        .collect();
    assert!(missing.is_empty(), "no handler for {missing:?}");
    for (start, why) in LEFT_OUT {
        let found: Vec<&String> = models().keys().filter(|api| api.starts_with(start)).collect();
        assert!(!found.is_empty() && found.iter().all(|api| !handled(api)), "{start} is left out: {why}");
    }
    for version in ["2016-04-28", "2014-05-26", "2015-04-01", "2022-01-01", "2019-01-01", "2020-07-06"] {
        assert!(product_of(version).is_some_and(|product| PRODUCTS.contains(&product)), "{version}");
    }
}

#[tokio::test]
async fn every_api_is_walked_and_speaks_as_the_official_sdks_do() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let (near, far) = bench.connected(&a, &b).await;
    let made = async |line: String, field: &str| text(&bench.ok(&bench.a, &line).await, field);
    let acl = made(format!("vpc:CreateNetworkAcl VpcId={}", a.vpc), "NetworkAclId").await;
    let list = "ecs:CreatePrefixList PrefixListName=l AddressFamily=IPv4 MaxEntries=2 Entry.1.Cidr=10.0.0.0/8";
    let list = made(list.to_owned(), "PrefixListId").await;
    let eni = format!("ecs:CreateNetworkInterface VSwitchId={} SecurityGroupId={}", a.vswitch, a.group);
    let eni = made(eni, "NetworkInterfaceId").await;
    let table = made(format!("vpc:CreateRouteTable VpcId={}", a.vpc), "RouteTableId").await;
    let group = made(format!("ecs:CreateSecurityGroup VpcId={}", a.vpc), "SecurityGroupId").await;
    let vpc = made("vpc:CreateVpc CidrBlock=10.9.0.0/16".to_owned(), "VpcId").await;
    let vswitch = format!("vpc:CreateVSwitch VpcId={vpc} CidrBlock=10.9.1.0/24 ZoneId=cn-qingdao-b");
    let vswitch = made(vswitch, "VSwitchId").await;
    let instance = format!("ecs:CreateInstance VSwitchId={} SecurityGroupId={} InstanceName=i2", a.vswitch, a.group);
    let instance = made(instance, "InstanceId").await;
    let peering_line = format!(
        "vpcpeer:CreateVpcPeerConnection VpcId={vpc} AcceptingAliUid={B} AcceptingRegionId=cn-beijing AcceptingVpcId={}",
        b.vpc
    );
    let peering = made(peering_line.clone(), "InstanceId").await;
    for (keys, line) in
        changes(&a, &b, [&near, &far, &acl, &list, &eni, &table, &group, &vpc, &vswitch, &instance, &peering])
    {
        bench.ok(if keys == A { &bench.a } else { &bench.b }, &line).await;
    }
    for line in reads(&a, [&near, &acl, &list, &peering]) {
        bench.ok(&bench.a, &line).await;
    }
    for (keys, line) in
        removals(&a, [&near, &far, &acl, &list, &eni, &table, &group, &vpc, &vswitch, &instance, &peering])
    {
        bench.ok(if keys == A { &bench.a } else { &bench.b }, &line).await;
    }
    let again = text(&bench.ok(&bench.a, &peering_line).await, "InstanceId");
    bench.ok(&bench.b, &format!("vpcpeer:RejectVpcPeerConnection InstanceId={again}")).await;
    bench.ok(&bench.a, &format!("vpcpeer:DeleteVpcPeerConnection InstanceId={again}")).await;
    bench.ok(&bench.a, &format!("vpc:DeleteVpc VpcId={vpc}")).await;
    change_rules(&bench, &a.group).await;
    let walked = bench.called.borrow().clone();
    let left: Vec<&String> = models()
        .keys()
        .filter(|api| PRODUCTS.iter().any(|product| api.starts_with(&format!("{product}:"))))
        .filter(|api| !walked.contains(*api) && !NEVER_SUCCEEDS.iter().any(|(name, _)| name == api))
        .collect();
    assert!(left.is_empty(), "not walked: {left:?}");
    assert_eq!(walked.intersection(&NEVER_SUCCEEDS.map(|(name, _)| name.to_owned()).into()).count(), 0);
}

type Ids<'a> = [&'a String; 11];

fn changes(
    a: &Side,
    b: &Side,
    [near, far, acl, list, eni, table, group, vpc, vswitch, instance, peering]: Ids<'_>,
) -> Vec<(&'static str, String)> {
    let Side { vswitch: home, group: own, instance: host, table: system, .. } = a;
    let bound = format!("Resource.1.ResourceId={home} Resource.1.ResourceType=VSwitch");
    [
        (A, format!("vpc:ModifyVpcAttribute VpcId={vpc} VpcName=v2 Description=d CidrBlock=10.9.0.0/17")),
        (A, format!("vpc:AssociateVpcCidrBlock VpcId={vpc} SecondaryCidrBlock=10.8.0.0/16")),
        (A, format!("vpc:ModifyVSwitchAttribute VSwitchId={vswitch} VSwitchName=w2")),
        (A, format!("vpc:ModifyRouteTableAttributes RouteTableId={table} RouteTableName=t2")),
        (A, format!("vpc:AssociateRouteTable RouteTableId={table} VSwitchId={home}")),
        (A, format!("vpc:CreateRouteEntry RouteTableId={system} DestinationCidrBlock=172.16.0.0/16 NextHopType=RouterInterface NextHopId={near} RouteEntryName=r")),
        (A, format!("vpc:ModifyRouteEntry RouteTableId={system} DestinationCidrBlock=172.16.0.0/16 RouteEntryName=r2")),
        (A, format!("vpc:CreateRouteEntries RouteEntries.1.RouteTableId={table} RouteEntries.1.DstCidrBlock=172.16.0.0/16 RouteEntries.1.NextHop={near} RouteEntries.1.NextHopType=RouterInterface RouteEntries.2.RouteTableId={table} RouteEntries.2.DstCidrBlock=192.168.1.0/24 RouteEntries.2.NextHop={near} RouteEntries.2.NextHopType=RouterInterface")),
        (A, format!("vpc:DeactivateRouterInterface RouterInterfaceId={near}")),
        (A, format!("vpc:ActivateRouterInterface RouterInterfaceId={near}")),
        (A, format!("vpc:ModifyRouterInterfaceSpec RouterInterfaceId={near} Spec=Small.1")),
        (B, format!("vpc:ModifyRouterInterfaceAttribute RouterInterfaceId={far} Name=n")),
        (A, format!("vpc:ModifyNetworkAclAttributes NetworkAclId={acl} NetworkAclName=n2")),
        (A, format!("vpc:UpdateNetworkAclEntries NetworkAclId={acl} IngressAclEntries.1.Policy=accept IngressAclEntries.1.Protocol=icmp IngressAclEntries.1.Port=-1/-1 IngressAclEntries.1.SourceCidrIp=0.0.0.0/0")),
        (A, format!("vpc:AssociateNetworkAcl NetworkAclId={acl} {bound}")),
        (A, format!("ecs:ModifySecurityGroupAttribute SecurityGroupId={group} SecurityGroupName=g2")),
        (A, format!("ecs:ModifySecurityGroupPolicy SecurityGroupId={group} InnerAccessPolicy=Drop")),
        (A, format!("ecs:AuthorizeSecurityGroup SecurityGroupId={own} IpProtocol=icmp PortRange=-1/-1 SourcePrefixListId={list}")),
        (A, format!("ecs:AuthorizeSecurityGroup SecurityGroupId={own} Permissions.1.IpProtocol=tcp Permissions.1.PortRange=1/2 Permissions.1.SourceGroupId={group}")),
        (A, format!("ecs:AuthorizeSecurityGroupEgress SecurityGroupId={own} IpProtocol=tcp PortRange=1/65535 DestCidrIp=172.16.0.0/16")),
        (A, format!("ecs:JoinSecurityGroup SecurityGroupId={group} InstanceId={host}")),
        (A, format!("ecs:ModifyPrefixList PrefixListId={list} AddEntry.1.Cidr=10.0.0.0/9")),
        (A, format!("ecs:StartInstance InstanceId={instance}")),
        (A, format!("ecs:ModifyInstanceAttribute InstanceId={instance} SecurityGroupIds.1={own}")),
        (A, format!("ecs:ModifyInstanceMetadataOptions InstanceId={instance} HttpEndpoint=enabled HttpTokens=optional")),
        (A, format!("ecs:AttachNetworkInterface NetworkInterfaceId={eni} InstanceId={host}")),
        (A, format!("ecs:ModifyNetworkInterfaceAttribute NetworkInterfaceId={eni} NetworkInterfaceName=e SecurityGroupId.1={own}")),
        (A, format!("ecs:AssignPrivateIpAddresses NetworkInterfaceId={eni} PrivateIpAddress.1=192.168.1.77")),
        (A, format!("ecs:AssignPrivateIpAddresses NetworkInterfaceId={eni} SecondaryPrivateIpAddressCount=2")),
        (B, format!("vpcpeer:AcceptVpcPeerConnection InstanceId={peering}")),
        (A, format!("vpcpeer:ModifyVpcPeerConnection InstanceId={peering} Name=p Bandwidth=10")),
        (B, format!("vpcpeer:ListVpcPeerConnections VpcId={}", b.vpc)),
    ]
    .into()
}

/// Creates the objects to read; returns the initiator's side and one call of every reading API.
pub(super) async fn reads_of(bench: &Bench) -> (Side, Vec<String>) {
    let (a, b) = bench.sides().await;
    let (near, _) = bench.connected(&a, &b).await;
    let made = async |line: String, field: &str| text(&bench.ok(&bench.a, &line).await, field);
    let acl = made(format!("vpc:CreateNetworkAcl VpcId={}", a.vpc), "NetworkAclId").await;
    let list = "ecs:CreatePrefixList PrefixListName=l AddressFamily=IPv4 MaxEntries=1";
    let list = made(list.to_owned(), "PrefixListId").await;
    let peering = format!(
        "vpcpeer:CreateVpcPeerConnection VpcId={} AcceptingAliUid={B} AcceptingRegionId=cn-beijing AcceptingVpcId={}",
        a.vpc, b.vpc
    );
    let peering = made(peering, "InstanceId").await;
    let reads = reads(&a, [&near, &acl, &list, &peering]);
    (a, reads)
}

fn reads(a: &Side, [near, acl, list, peering]: [&String; 4]) -> Vec<String> {
    let Side { vpc, vswitch, group, table, instance, .. } = a;
    let metric = |action: &str, rest: &str| {
        format!(
            "cms:{action} Namespace=acs_express_connect MetricName=RateLimitDropPps Period=60 Dimensions=[{{\"instanceId\":\"{near}\"}}] {rest}"
        )
    };
    [
        "sts:GetCallerIdentity".to_owned(),
        format!("sts:AssumeRole RoleArn=acs:ram::{A}:role/pingtong-collector RoleSessionName=test"),
        "vpc:DescribeRegions".to_owned(),
        "vpc:DescribeZones".to_owned(),
        "vpc:DescribeVpcs".to_owned(),
        format!("vpc:DescribeVpcAttribute VpcId={vpc}"),
        "vpc:DescribeVSwitches".to_owned(),
        format!("vpc:DescribeVSwitchAttributes VSwitchId={vswitch}"),
        "vpc:DescribeVRouters".to_owned(),
        "vpc:DescribeRouteTableList".to_owned(),
        "vpc:DescribeRouteTables".to_owned(),
        format!("vpc:DescribeRouteEntryList RouteTableId={table}"),
        "vpc:DescribeRouterInterfaces Filter.1.Key=Status Filter.1.Value.1=Active".to_owned(),
        format!("vpc:DescribeRouterInterfaceAttribute InstanceId={near}"),
        "vpc:DescribeNetworkAcls".to_owned(),
        format!("vpc:DescribeNetworkAclAttributes NetworkAclId={acl}"),
        format!("vpc:DescribeEcGrantRelation InstanceId={vpc} InstanceType=VPC"),
        format!("vpc:DescribeGrantRulesToCen InstanceId={vpc} InstanceType=VPC"),
        "ecs:DescribeRegions".to_owned(),
        "ecs:DescribeInstances".to_owned(),
        "ecs:DescribeInstanceStatus".to_owned(),
        "ecs:DescribeInstanceRamRole".to_owned(),
        "ecs:DescribeNetworkInterfaces MaxResults=100".to_owned(),
        "ecs:DescribeSecurityGroups".to_owned(),
        "ecs:DescribeSecurityGroups PageNumber=1 PageSize=50".to_owned(),
        format!("ecs:DescribeSecurityGroupAttribute SecurityGroupId={group}"),
        format!("ecs:DescribeSecurityGroupReferences SecurityGroupId.1={group}"),
        "ecs:DescribePrefixLists".to_owned(),
        format!("ecs:DescribePrefixListAttributes PrefixListId={list}"),
        format!("ecs:DescribePrefixListAssociations PrefixListId={list}"),
        "vpcpeer:ListVpcPeerConnections".to_owned(),
        format!("vpcpeer:GetVpcPeerConnectionAttribute InstanceId={peering}"),
        metric("DescribeMetricList", "Length=10"),
        metric("DescribeMetricLast", ""),
        metric("DescribeMetricData", ""),
        metric("DescribeMetricTop", "Orderby=Maximum"),
        "cms:DescribeMetricMetaList Namespace=acs_express_connect".to_owned(),
        format!("actiontrail:LookupEvents LookupAttribute.1.Key=ResourceName LookupAttribute.1.Value={instance}"),
    ]
    .into()
}

fn removals(
    a: &Side,
    [near, far, acl, list, eni, table, group, vpc, vswitch, instance, peering]: Ids<'_>,
) -> Vec<(&'static str, String)> {
    let Side { vswitch: home, group: own, instance: host, table: system, .. } = a;
    let bound = format!("Resource.1.ResourceId={home} Resource.1.ResourceType=VSwitch");
    [
        (A, format!("vpc:DeleteRouteEntries RouteEntries.1.RouteTableId={table} RouteEntries.1.DstCidrBlock=172.16.0.0/16 RouteEntries.1.NextHop={near} RouteEntries.2.RouteTableId={table} RouteEntries.2.DstCidrBlock=172.16.0.0/16")),
        (A, format!("vpc:DeleteRouteEntry RouteTableId={system} DestinationCidrBlock=172.16.0.0/16 NextHopId={near}")),
        (A, format!("vpc:UnassociateRouteTable RouteTableId={table} VSwitchId={home}")),
        (A, format!("vpc:DeleteRouteTable RouteTableId={table}")),
        (A, format!("vpc:UnassociateNetworkAcl NetworkAclId={acl} {bound}")),
        (A, format!("vpc:DeleteNetworkAcl NetworkAclId={acl}")),
        (A, format!("vpc:DeactivateRouterInterface RouterInterfaceId={near}")),
        (A, format!("vpc:DeleteRouterInterface RouterInterfaceId={near}")),
        (B, format!("vpc:DeactivateRouterInterface RouterInterfaceId={far}")),
        (B, format!("vpc:DeleteRouterInterface RouterInterfaceId={far}")),
        (A, format!("vpcpeer:DeleteVpcPeerConnection InstanceId={peering}")),
        (A, format!("ecs:RevokeSecurityGroup SecurityGroupId={own} IpProtocol=icmp PortRange=-1/-1 SourcePrefixListId={list}")),
        (A, format!("ecs:RevokeSecurityGroup SecurityGroupId={own} Permissions.1.IpProtocol=tcp Permissions.1.PortRange=1/2 Permissions.1.SourceGroupId={group}")),
        (A, format!("ecs:RevokeSecurityGroupEgress SecurityGroupId={own} IpProtocol=tcp PortRange=1/65535 DestCidrIp=172.16.0.0/16")),
        (A, format!("ecs:DeletePrefixList PrefixListId={list}")),
        (A, format!("ecs:LeaveSecurityGroup SecurityGroupId={group} InstanceId={host}")),
        (A, format!("ecs:DeleteSecurityGroup SecurityGroupId={group}")),
        (A, format!("ecs:UnassignPrivateIpAddresses NetworkInterfaceId={eni} PrivateIpAddress.1=192.168.1.77")),
        (A, format!("ecs:DetachNetworkInterface NetworkInterfaceId={eni} InstanceId={host}")),
        (A, format!("ecs:DeleteNetworkInterface NetworkInterfaceId={eni}")),
        (A, format!("ecs:StopInstance InstanceId={instance}")),
        (A, format!("ecs:DeleteInstance InstanceId={instance}")),
        (A, format!("vpc:DeleteVSwitch VSwitchId={vswitch}")),
        (A, format!("vpc:UnassociateVpcCidrBlock VpcId={vpc} SecondaryCidrBlock=10.8.0.0/16")),
    ]
    .into()
}

#[tokio::test]
async fn rules_are_changed_by_the_call_of_their_direction() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    change_rules(&bench, &a.group).await;
}

async fn change_rules(bench: &Bench, group: &str) {
    for line in ["AuthorizeSecurityGroup SourceCidrIp", "AuthorizeSecurityGroupEgress DestCidrIp"] {
        let (action, end) = line.split_once(' ').expect("two words");
        bench
            .ok(
                &bench.a,
                &format!("ecs:{action} SecurityGroupId={group} IpProtocol=tcp PortRange=1/2 {end}=10.0.0.0/8"),
            )
            .await;
    }
    let rules = || bench.cloud.world().groups[group].rules.clone();
    let [ingress, egress] = [0, 1].map(|n| rules()[n].id.clone());
    let change = |call: &str, rule: &str, rest: &str| {
        format!("ecs:{call} SecurityGroupId={group} SecurityGroupRuleId={rule} {rest}")
    };
    bench.ok(&bench.a, &change("ModifySecurityGroupRule", &ingress, "SourceCidrIp=10.1.0.0/16")).await;
    bench.ok(&bench.a, &change("ModifySecurityGroupEgressRule", &egress, "DestCidrIp=10.2.0.0/16 Policy=drop")).await;
    let seen: Vec<(String, bool)> = rules().iter().map(|rule| (rule.peer.cidr.clone(), rule.accept)).collect();
    assert_eq!(seen, [("10.1.0.0/16".to_owned(), true), ("10.2.0.0/16".to_owned(), false)]);
    let wrong = change("ModifySecurityGroupRule", &egress, "Policy=accept");
    assert_eq!(bench.refused(&bench.a, &wrong).await, "InvalidSecurityGroupRuleId.NotFound");
}

#[tokio::test]
async fn listings_come_in_pages_and_filters_narrow_them() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let (near, _) = bench.connected(&a, &b).await;
    for n in 1..=11 {
        bench.ok(&bench.a, &format!("vpc:CreateVpc CidrBlock=10.{n}.0.0/16 VpcName=v{n}")).await;
    }
    let rows = |answer: &Value| answer["Vpcs"]["Vpc"].as_array().map_or(0, Vec::len);
    let first = bench.ok(&bench.a, "vpc:DescribeVpcs").await;
    assert_eq!((rows(&first), &first["TotalCount"]), (10, &serde_json::json!(12)));
    assert_eq!(rows(&bench.ok(&bench.a, "vpc:DescribeVpcs PageNumber=2").await), 2);
    assert_eq!(rows(&bench.ok(&bench.a, "vpc:DescribeVpcs PageSize=50 VpcName=v3").await), 1);
    assert_eq!(rows(&bench.ok(&bench.b, "vpc:DescribeVpcs").await), 1, "accounts do not see each other's");
    assert_eq!(rows(&bench.ok(&bench.a, "vpc:DescribeVpcs RegionId=cn-beijing").await), 0);
    let filtered = |key: &str, value: &str| {
        format!("vpc:DescribeRouterInterfaces Filter.1.Key={key} Filter.1.Value.1=x Filter.1.Value.2={value}")
    };
    let answer = bench.ok(&bench.a, &filtered("RouterInterfaceId", &near)).await;
    let row = &answer["RouterInterfaceSet"]["RouterInterfaceType"][0];
    assert_eq!((&row["OppositeVpcInstanceId"], &row["OppositeInterfaceOwnerId"]), (&b.vpc.into(), &B.into()));
    assert_eq!(bench.ok(&bench.a, &filtered("Status", "Idle")).await["TotalCount"], 0);
    assert_eq!(bench.refused(&bench.a, &filtered("Colour", "x")).await, "InvalidFilterKey.ValueNotSupported");
}
