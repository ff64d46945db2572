//! Field names on the wire are those of the official SDKs' models, for every call that answers with fields.

use super::{B, Bench, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Answered by the real service, absent from the SDK's models.
const BEYOND_THE_MODELS: [&str; 0] = [];

fn models() -> BTreeMap<String, BTreeSet<String>> {
    let text = include_str!("../../../testdata/models.json");
    serde_json::from_str(text).expect("models")
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

#[tokio::test]
async fn every_field_answered_is_known_to_the_official_sdks() {
    let bench = Bench::new().await;
    let models = models();
    let (a, b) = bench.sides().await;
    let (near, far) = bench.connected(&a, &b).await;
    let acl = text(&bench.ok(&bench.a, &format!("vpc:CreateNetworkAcl VpcId={}", a.vpc)).await, "NetworkAclId");
    let list = text(
        &bench
            .ok(
                &bench.a,
                "ecs:CreatePrefixList PrefixListName=l AddressFamily=IPv4 MaxEntries=2 Entry.1.Cidr=10.0.0.0/8",
            )
            .await,
        "PrefixListId",
    );
    let eni = text(
        &bench
            .ok(&bench.a, &format!("ecs:CreateNetworkInterface VSwitchId={} SecurityGroupId={}", a.vswitch, a.group))
            .await,
        "NetworkInterfaceId",
    );
    let mut checked = 0;
    for line in [
        format!(
            "vpc:CreateRouteEntry RouteTableId={} DestinationCidrBlock=172.16.0.0/16 NextHopType=RouterInterface NextHopId={near}",
            a.table
        ),
        format!(
            "vpc:AssociateNetworkAcl NetworkAclId={acl} Resource.1.ResourceId={} Resource.1.ResourceType=VSwitch",
            a.vswitch
        ),
        format!(
            "ecs:AuthorizeSecurityGroup SecurityGroupId={} IpProtocol=icmp PortRange=-1/-1 SourcePrefixListId={list}",
            a.group
        ),
        format!(
            "ecs:AuthorizeSecurityGroupEgress SecurityGroupId={} IpProtocol=tcp PortRange=1/65535 DestCidrIp=172.16.0.0/16",
            a.group
        ),
        format!(
            "vpcpeer:CreateVpcPeerConnection VpcId={} AcceptingAliUid={B} AcceptingRegionId=cn-beijing AcceptingVpcId={}",
            a.vpc, b.vpc
        ),
        format!("ecs:AttachNetworkInterface NetworkInterfaceId={eni} InstanceId={}", a.instance),
        format!("ecs:AssignPrivateIpAddresses NetworkInterfaceId={eni} SecondaryPrivateIpAddressCount=2"),
        format!("ecs:CreateNetworkInterface VSwitchId={} SecurityGroupId={}", a.vswitch, a.group),
        format!("vpc:CreateNetworkAcl VpcId={}", a.vpc),
        format!("vpc:CreateRouteTable VpcId={}", a.vpc),
        format!("vpc:AssociateVpcCidrBlock VpcId={} SecondaryCidrBlock=10.0.0.0/16", a.vpc),
        "vpc:CreateVpc CidrBlock=10.9.0.0/16".to_owned(),
        "sts:GetCallerIdentity".to_owned(),
        format!("sts:AssumeRole RoleArn=acs:ram::{}:role/pingtong-collector RoleSessionName=test", super::A),
        "vpc:DescribeRegions".to_owned(),
        "vpc:DescribeVpcs".to_owned(),
        format!("vpc:DescribeVpcAttribute VpcId={}", a.vpc),
        "vpc:DescribeVSwitches".to_owned(),
        format!("vpc:DescribeVSwitchAttributes VSwitchId={}", a.vswitch),
        "vpc:DescribeVRouters".to_owned(),
        "vpc:DescribeRouteTableList".to_owned(),
        "vpc:DescribeRouteTables".to_owned(),
        format!("vpc:DescribeRouteEntryList RouteTableId={}", a.table),
        "vpc:DescribeRouterInterfaces Filter.1.Key=Status Filter.1.Value.1=Active".to_owned(),
        format!("vpc:DescribeRouterInterfaceAttribute InstanceId={near}"),
        "vpc:DescribeNetworkAcls".to_owned(),
        format!("vpc:DescribeNetworkAclAttributes NetworkAclId={acl}"),
        format!("vpc:ModifyRouterInterfaceSpec RouterInterfaceId={near} Spec=Small.1"),
        "ecs:DescribeRegions".to_owned(),
        "ecs:DescribeInstances".to_owned(),
        "ecs:DescribeInstanceStatus".to_owned(),
        "ecs:DescribeInstanceRamRole".to_owned(),
        "ecs:DescribeNetworkInterfaces MaxResults=100".to_owned(),
        "ecs:DescribeSecurityGroups".to_owned(),
        "ecs:DescribeSecurityGroups PageNumber=1 PageSize=50".to_owned(),
        format!("ecs:DescribeSecurityGroupAttribute SecurityGroupId={}", a.group),
        format!("ecs:DescribeSecurityGroupReferences SecurityGroupId.1={}", a.group),
        "ecs:DescribePrefixLists".to_owned(),
        format!("ecs:DescribePrefixListAttributes PrefixListId={list}"),
        format!("ecs:DescribePrefixListAssociations PrefixListId={list}"),
        "vpcpeer:ListVpcPeerConnections".to_owned(),
    ] {
        hold_against(&models, &bench, &line).await;
        checked += 1;
    }
    assert_eq!(checked, 41);
    assert_ne!(near, far);
}

/// Makes a call as A; every field of its answer is one of its model's.
async fn hold_against(models: &BTreeMap<String, BTreeSet<String>>, bench: &Bench, line: &str) -> BTreeSet<String> {
    let answer = bench.ok(&bench.a, line).await;
    let action = line.split_whitespace().next().expect("action");
    let known = models.get(action).unwrap_or_else(|| panic!("{action} is not in the models"));
    let mut answered = BTreeSet::new();
    paths(&answer, "", &mut answered);
    let unknown: Vec<&String> =
        answered.iter().filter(|path| !known.contains(*path) && !BEYOND_THE_MODELS.contains(&path.as_str())).collect();
    assert!(unknown.is_empty(), "{action} answers with unknown fields {unknown:?}");
    answered
}

#[tokio::test]
async fn every_call_of_cloud_enterprise_network_answers_with_fields_that_the_official_sdk_knows() {
    let bench = Bench::new().await;
    let models = models();
    let (a, b) = bench.sides().await;
    let joined = bench.joined(&a, &b).await;
    bench.bound(&joined).await;
    let mut checked = BTreeSet::new();
    let of_table = format!("TransitRouterRouteTableId={}", joined.near_table);
    let hole = format!(
        "{of_table} TransitRouterRouteEntryDestinationCidrBlock=10.0.0.0/8 TransitRouterRouteEntryNextHopType=BlackHole"
    );
    let pair = format!("{of_table} TransitRouterAttachmentId={}", joined.near);
    for line in [
        "CreateCen Name=second".to_owned(),
        format!("CreateTransitRouter CenId={} RegionId=cn-hangzhou", joined.cen),
        format!("CreateTransitRouterRouteTable TransitRouterId={}", joined.near_router),
        format!("CreateTransitRouterRouteEntry {hole}"),
        "DescribeCens".to_owned(),
        format!("DescribeCenAttachedChildInstances CenId={}", joined.cen),
        "ListTransitRouters".to_owned(),
        "ListTransitRouterVpcAttachments".to_owned(),
        "ListTransitRouterPeerAttachments".to_owned(),
        format!("ListTransitRouterRouteTables TransitRouterId={}", joined.near_router),
        format!("ListTransitRouterRouteTableAssociations {of_table}"),
        format!("ListTransitRouterRouteTablePropagations {of_table}"),
        format!("ListTransitRouterRouteEntries {of_table} TransitRouterRouteEntryStatus=All"),
        format!("DescribeCenRegionDomainRouteEntries CenId={} CenRegionId=cn-qingdao", joined.cen),
        format!(
            "DescribePublishedRouteEntries CenId={} ChildInstanceId={} ChildInstanceRegionId=cn-qingdao ChildInstanceType=VPC",
            joined.cen, a.vpc
        ),
    ] {
        let answered = hold_against(&models, &bench, &format!("cbn:{line}")).await;
        assert!(answered.iter().any(|path| path.contains("[].") || path.ends_with("Id")), "{line} answers with a row");
        checked.insert(line.split_whitespace().next().expect("action").to_owned());
    }
    bench.ok(&bench.a, &format!("cbn:DisableTransitRouterRouteTablePropagation {pair}")).await;
    bench.ok(&bench.a, &format!("cbn:DissociateTransitRouterAttachmentFromRouteTable {pair}")).await;
    for line in [
        format!("DescribeCenRouteMaps CenId={}", joined.cen),
        format!("DeleteTransitRouterRouteEntry {hole}"),
        format!("AssociateTransitRouterAttachmentWithRouteTable {pair}"),
        format!("EnableTransitRouterRouteTablePropagation {pair}"),
        format!("DeleteTransitRouterVpcAttachment TransitRouterAttachmentId={} Force=true", joined.far),
    ] {
        hold_against(&models, &bench, &format!("cbn:{line}")).await;
        checked.insert(line.split_whitespace().next().expect("action").to_owned());
    }
    // Made by `joined`, with their answers read there.
    checked.extend(
        ["CreateTransitRouterVpcAttachment", "CreateTransitRouterPeerAttachment", "GrantInstanceToTransitRouter"]
            .map(str::to_owned),
    );
    let missing: Vec<&String> = models
        .keys()
        .filter(|action| action.strip_prefix("cbn:").is_some_and(|action| !checked.contains(action)))
        .filter(|action| !models[*action].is_empty())
        .collect();
    assert!(missing.is_empty(), "calls of the models that no answer was held against: {missing:?}");
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
