//! The four injected faults: deny and throttle on every reading API, stale and a lost page on every listing.

use super::{A, Bench, contract::reads_of, text};
use crate::cloud::{Actions, Keys, Lies};
use serde_json::Value;

/// Calls of listings that return at least two rows, each with the path of the rows in the answer.
async fn listings(bench: &Bench) -> Vec<(String, &'static str)> {
    let (a, b) = bench.sides().await;
    let (near, _) = bench.connected(&a, &b).await;
    let made = async |line: &str, field: &str| text(&bench.ok(&bench.a, line).await, field);
    let list = "ecs:CreatePrefixList PrefixListName=l AddressFamily=IPv4 MaxEntries=1 Entry.1.Cidr=10.0.0.0/8";
    let (list, _) = (made(list, "PrefixListId").await, made(list, "PrefixListId").await);
    let group = made(&format!("ecs:CreateSecurityGroup VpcId={}", a.vpc), "SecurityGroupId").await;
    for line in [
        "vpc:CreateVpc CidrBlock=10.9.0.0/16".to_owned(),
        format!("vpc:CreateVSwitch VpcId={} CidrBlock=192.168.2.0/24 ZoneId=cn-qingdao-b", a.vpc),
        format!("ecs:RunInstances VSwitchId={} SecurityGroupId={} InstanceName=ecs2", a.vswitch, a.group),
        format!("vpc:CreateNetworkAcl VpcId={}", a.vpc),
        format!("vpc:CreateNetworkAcl VpcId={}", a.vpc),
        format!(
            "vpc:CreateRouterInterface Role=InitiatingSide Spec=Mini.2 RouterType=VRouter RouterId={} OppositeRegionId=cn-beijing",
            a.vrouter
        ),
        format!("ecs:AuthorizeSecurityGroup SecurityGroupId={} IpProtocol=icmp SourcePrefixListId={list}", a.group),
        format!("ecs:AuthorizeSecurityGroup SecurityGroupId={} IpProtocol=gre SourceCidrIp=10.0.0.0/8", a.group),
        format!("ecs:AuthorizeSecurityGroup SecurityGroupId={group} IpProtocol=icmp SourcePrefixListId={list}"),
    ] {
        bench.ok(&bench.a, &line).await;
    }
    let vpcs: Vec<String> =
        bench.cloud.world().vpcs.values().filter(|vpc| vpc.owner == A).map(|vpc| vpc.id.clone()).collect();
    for vpc in vpcs {
        let line = format!(
            "vpcpeer:CreateVpcPeerConnection VpcId={vpc} AcceptingAliUid={} AcceptingRegionId=cn-beijing AcceptingVpcId={}",
            super::B,
            b.vpc
        );
        bench.ok(&bench.a, &line).await;
    }
    assert!(near.starts_with("ri-"));
    [
        ("vpc:DescribeVpcs".to_owned(), "/Vpcs/Vpc"),
        ("vpc:DescribeVSwitches".to_owned(), "/VSwitches/VSwitch"),
        ("vpc:DescribeVRouters".to_owned(), "/VRouters/VRouter"),
        ("vpc:DescribeRouteTableList".to_owned(), "/RouterTableList/RouterTableListType"),
        ("vpc:DescribeRouteTables".to_owned(), "/RouteTables/RouteTable"),
        (format!("vpc:DescribeRouteEntryList MaxResult=2 RouteTableId={}", a.table), "/RouteEntrys/RouteEntry"),
        ("vpc:DescribeRouterInterfaces".to_owned(), "/RouterInterfaceSet/RouterInterfaceType"),
        ("vpc:DescribeNetworkAcls".to_owned(), "/NetworkAcls/NetworkAcl"),
        ("ecs:DescribeInstances".to_owned(), "/Instances/Instance"),
        ("ecs:DescribeInstanceStatus".to_owned(), "/InstanceStatuses/InstanceStatus"),
        ("ecs:DescribeInstanceRamRole".to_owned(), "/InstanceRamRoleSets/InstanceRamRoleSet"),
        ("ecs:DescribeNetworkInterfaces".to_owned(), "/NetworkInterfaceSets/NetworkInterfaceSet"),
        ("ecs:DescribeSecurityGroups".to_owned(), "/SecurityGroups/SecurityGroup"),
        (
            format!("ecs:DescribeSecurityGroupAttribute MaxResults=1 SecurityGroupId={}", a.group),
            "/Permissions/Permission",
        ),
        ("ecs:DescribePrefixLists MaxResults=1".to_owned(), "/PrefixLists/PrefixList"),
        (
            format!("ecs:DescribePrefixListAssociations MaxResults=1 PrefixListId={list}"),
            "/PrefixListAssociations/PrefixListAssociation",
        ),
        ("vpcpeer:ListVpcPeerConnections".to_owned(), "/VpcPeerConnects"),
        ("actiontrail:LookupEvents MaxResults=10".to_owned(), "/Events"),
        ("cms:DescribeMetricMetaList".to_owned(), "/Resources/Resource"),
    ]
    .into()
}

/// Number of rows over all pages of a listing.
async fn rows(bench: &Bench, keys: &Keys, line: &str, path: &str) -> usize {
    let (mut token, mut count) = (String::new(), 0);
    loop {
        let answer = bench.ok(keys, &format!("{line} NextToken={token}")).await;
        count += answer.pointer(path).and_then(Value::as_array).map_or(0, Vec::len);
        token = answer["NextToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            return count;
        }
    }
}

#[tokio::test]
async fn a_page_can_be_lost_from_every_listing_and_every_listing_can_be_stale() {
    let bench = Bench::new().await;
    let listings = listings(&bench).await;
    let side = bench.cloud.world().instance_named("A", "ecs1").expect("instance").id.clone();
    let role = bench.cloud.keyring().of_instance(A, "pingtong-agent", &side, jiff::Timestamp::now()).keys;
    for (line, path) in &listings {
        bench.cloud.set_lies("A", Lies::default());
        let all = rows(&bench, &role, line, path).await;
        assert!(all >= 2, "{line} shows {all}");
        bench.cloud.set_lies("A", Lies { drop_page: Actions::All(true), ..Lies::default() });
        let seen = rows(&bench, &role, line, path).await;
        assert!(seen < all, "{line} lost nothing of {all}");
        assert_eq!(rows(&bench, &bench.a, line, path).await, all, "{line} for the master key");
        // The list of metrics belongs to the service and does not depend on the state of the account.
        if !line.starts_with("cms:") {
            bench.cloud.set_lies("A", Lies { stale: Some(3600), ..Lies::default() });
            let told = bench.call(&role, &format!("{line} NextToken=")).await;
            let stale = told.map_or(0, |answer| answer.pointer(path).and_then(Value::as_array).map_or(0, Vec::len));
            assert_eq!(stale, 0, "{line} as of before anything was made");
        }
    }
}

#[tokio::test]
async fn every_read_can_be_denied_and_throttled_by_its_name() {
    let bench = Bench::new().await;
    let (a, mut reads) = reads_of(&bench).await;
    let (near, far) = bench.sides().await;
    reads.extend(bench.joined(&near, &far).await.reads(&near));
    let role = bench.role_keys(&a, A);
    for line in &reads {
        let name = line.split(' ').next().expect("name").to_owned();
        if name.starts_with("sts:") {
            continue;
        }
        bench.cloud.set_lies("A", Lies { deny: vec![name.clone()], ..Lies::default() });
        assert_eq!(bench.refused(&role, line).await, "Forbidden.RAM", "{line}");
        bench.cloud.set_lies("A", Lies { throttle: Actions::Only(vec![name]), ..Lies::default() });
        assert_eq!(bench.refused(&role, line).await, "Throttling.User", "{line}");
        bench.cloud.set_lies("A", Lies::default());
        bench.ok(&role, line).await;
    }
    assert!(reads.len() > 40);
}
