//! Documented quotas, each at its limit, and the error codes of checks in single calls, by object.

use super::{B, Bench, Side, text};
use std::{fmt::Write as _, net::Ipv4Addr};

async fn made(bench: &Bench, line: &str, field: &str) -> String {
    text(&bench.ok(&bench.a, line).await, field)
}

/// `Permissions.N` parameters of `count` distinct rules; their ports begin after `first`.
fn permissions(count: usize, first: usize) -> String {
    (1..=count).fold(String::new(), |mut text, n| {
        let port = first + n;
        _ = write!(
            text,
            " Permissions.{n}.IpProtocol=tcp Permissions.{n}.PortRange={port}/{port} Permissions.{n}.SourceCidrIp=10.0.0.0/8"
        );
        text
    })
}

async fn fill(bench: &Bench, group: &str) {
    for first in [0, 100] {
        let line = format!("ecs:AuthorizeSecurityGroup SecurityGroupId={group}{}", permissions(100, first));
        bench.ok(&bench.a, &line).await;
    }
}

#[tokio::test]
async fn a_route_table_takes_two_hundred_entries_and_a_vpc_nine_custom_tables() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let (near, _) = bench.connected(&a, &b).await;
    for batch in 0..4 {
        let entries = (1..=50).fold(String::new(), |mut text, n| {
            let start = format!(" RouteEntries.{n}");
            _ = write!(
                text,
                "{start}.RouteTableId={}{start}.DstCidrBlock=10.{batch}.{n}.0/24{start}.NextHop={near}{start}.NextHopType=RouterInterface",
                a.table
            );
            text
        });
        let answer = bench.ok(&bench.a, &format!("vpc:CreateRouteEntries{entries}")).await;
        assert_eq!((&answer["SuccessCount"], &answer["FailedCount"]), (&50.into(), &0.into()), "{answer}");
    }
    let one = |destination: &str| {
        format!(
            "vpc:CreateRouteEntry RouteTableId={} DestinationCidrBlock={destination} NextHopType=RouterInterface NextHopId={near}",
            a.table
        )
    };
    assert_eq!(bench.refused(&bench.a, &one("172.16.0.0/16")).await, "QuotaExceeded");
    let start = "RouteEntries.1";
    let batch = format!(
        "vpc:CreateRouteEntries {start}.RouteTableId={} {start}.DstCidrBlock=172.16.0.0/16 {start}.NextHop={near} {start}.NextHopType=RouterInterface",
        a.table
    );
    let answer = bench.ok(&bench.a, &batch).await;
    assert_eq!(answer["FailedRouteEntries"][0]["FailedCode"], "QuotaExceeded");
    for _ in 0..9 {
        bench.ok(&bench.a, &format!("vpc:CreateRouteTable VpcId={}", a.vpc)).await;
    }
    let tenth = format!("vpc:CreateRouteTable VpcId={}", a.vpc);
    assert_eq!(bench.refused(&bench.a, &tenth).await, "QuotaExceeded.RouteTable");
}

#[tokio::test]
async fn routers_acls_and_prefix_lists_have_their_room() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    let interface = format!(
        "vpc:CreateRouterInterface Role=InitiatingSide Spec=Mini.2 RouterType=VRouter RouterId={} OppositeRegionId=cn-beijing",
        a.vrouter
    );
    for _ in 0..5 {
        bench.ok(&bench.a, &interface).await;
    }
    assert_eq!(bench.refused(&bench.a, &interface).await, "QuotaExceeded");

    let acl = made(&bench, &format!("vpc:CreateNetworkAcl VpcId={}", a.vpc), "NetworkAclId").await;
    let update = |count: usize| {
        (1..=count).fold(format!("vpc:UpdateNetworkAclEntries NetworkAclId={acl}"), |mut text, n| {
            let start = format!(" IngressAclEntries.{n}");
            _ = write!(
                text,
                "{start}.Policy=accept{start}.Protocol=all{start}.Port=-1/-1{start}.SourceCidrIp=10.{n}.0.0/16"
            );
            text
        })
    };
    bench.ok(&bench.a, &update(20)).await;
    assert_eq!(bench.refused(&bench.a, &update(21)).await, "QuotaExceeded.NetworkAclEntry");

    let list = |room: usize, rest: &str| {
        format!("ecs:CreatePrefixList PrefixListName=l AddressFamily=IPv4 MaxEntries={room} {rest}")
    };
    assert_eq!(bench.refused(&bench.a, &list(201, "")).await, "PrefixListEntryLimitExceeded");
    let two = "Entry.1.Cidr=10.0.0.0/8 Entry.2.Cidr=11.0.0.0/8";
    assert_eq!(bench.refused(&bench.a, &list(1, two)).await, "PrefixListEntryLimitExceeded");
    let full = made(&bench, &list(2, two), "PrefixListId").await;
    let add = format!("ecs:ModifyPrefixList PrefixListId={full} AddEntry.1.Cidr=12.0.0.0/8");
    assert_eq!(bench.refused(&bench.a, &add).await, "PrefixListEntryLimitExceeded");
    bench.ok(&bench.a, &format!("{add} RemoveEntry.1.Cidr=11.0.0.0/8")).await;
    for _ in 1..100 {
        bench.ok(&bench.a, &list(1, "")).await;
    }
    assert_eq!(bench.refused(&bench.a, &list(1, "")).await, "QuotaExceed.PrefixList");
    bench.ok(&bench.b, &list(1, "")).await;
}

#[tokio::test]
async fn rules_and_groups_have_their_number() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    let authorize = |group: &str, rest: &str| format!("ecs:AuthorizeSecurityGroup SecurityGroupId={group} {rest}");
    assert_eq!(bench.refused(&bench.a, &authorize(&a.group, &permissions(101, 0))).await, "InvalidParam.Permissions");
    fill(&bench, &a.group).await;
    let more = "IpProtocol=icmp SourceCidrIp=10.0.0.0/8";
    assert_eq!(bench.refused(&bench.a, &authorize(&a.group, more)).await, "AuthorizationLimitExceed");
    bench.ok(&bench.a, &authorize(&a.group, &permissions(1, 0))).await; // a duplicate adds nothing

    let group = format!("ecs:CreateSecurityGroup VpcId={}", a.vpc);
    let join = |group: &str| format!("ecs:JoinSecurityGroup SecurityGroupId={group} InstanceId={}", a.instance);
    for n in 2..=6 {
        let next = made(&bench, &group, "SecurityGroupId").await;
        fill(&bench, &next).await;
        if n < 6 {
            bench.ok(&bench.a, &join(&next)).await;
        } else {
            assert_eq!(bench.refused(&bench.a, &join(&next)).await, "AclLimitExceed");
        }
    }
    for n in 6..=11 {
        let next = made(&bench, &group, "SecurityGroupId").await;
        if n < 11 {
            bench.ok(&bench.a, &join(&next)).await;
            assert_eq!(bench.refused(&bench.a, &authorize(&next, more)).await, "AuthorizationLimitExceed");
        } else {
            assert_eq!(bench.refused(&bench.a, &join(&next)).await, "InstanceSecurityGroupLimitExceeded");
            name_groups(&bench, &a, &next).await;
        }
    }
}

/// A group can reference twenty groups, and a prefix list counts with its capacity.
async fn name_groups(bench: &Bench, a: &Side, target: &str) {
    let authorize =
        |rest: String| format!("ecs:AuthorizeSecurityGroup SecurityGroupId={target} IpProtocol=icmp {rest}");
    for n in 1..=21 {
        let line = format!("ecs:CreateSecurityGroup VpcId={}", a.vpc);
        let named = authorize(format!("SourceGroupId={}", made(bench, &line, "SecurityGroupId").await));
        if n < 21 {
            bench.ok(&bench.a, &named).await;
        } else {
            assert_eq!(bench.refused(&bench.a, &named).await, "AuthorizationLimitExceed");
        }
    }
    let list = |room: usize| format!("ecs:CreatePrefixList PrefixListName=l AddressFamily=IPv4 MaxEntries={room}");
    let (large, small) = (made(bench, &list(181), "PrefixListId").await, made(bench, &list(180), "PrefixListId").await);
    let by_list = |list: &str| authorize(format!("SourcePrefixListId={list}"));
    assert_eq!(bench.refused(&bench.a, &by_list(&large)).await, "AuthorizationLimitExceed");
    bench.ok(&bench.a, &by_list(&small)).await;
}

#[tokio::test]
async fn a_group_takes_so_many_addresses_and_an_interface_twenty() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    let make = format!("ecs:CreateNetworkInterface VSwitchId={} SecurityGroupId={}", a.vswitch, a.group);
    let eni = made(&bench, &make, "NetworkInterfaceId").await;
    let assign = |count: usize| {
        format!("ecs:AssignPrivateIpAddresses NetworkInterfaceId={eni} SecondaryPrivateIpAddressCount={count}")
    };
    bench.ok(&bench.a, &assign(19)).await;
    assert_eq!(bench.refused(&bench.a, &assign(1)).await, "InvalidParameter");
    let crowd = |world: &mut crate::cloud::World| {
        let pattern = world.enis[&eni].clone();
        for n in 1..=299_u32 {
            let mut other = pattern.clone();
            other.id = format!("eni-{n}");
            let first = 0x0a00_0000 + n * 32;
            other.addresses = (first..first + 20).map(Ipv4Addr::from).collect();
            world.enis.insert(other.id.clone(), other);
        }
    };
    bench.cloud.edit(crowd).await.expect("edited");
    assert_eq!(bench.refused(&bench.a, &make).await, "SecurityGroupInstanceLimitExceeded");
    let enterprise = format!("ecs:CreateSecurityGroup VpcId={} SecurityGroupType=enterprise", a.vpc);
    let enterprise = made(&bench, &enterprise, "SecurityGroupId").await;
    let elsewhere = format!("ecs:CreateNetworkInterface VSwitchId={} SecurityGroupId={enterprise}", a.vswitch);
    bench.ok(&bench.a, &elsewhere).await;
}

async fn all_refused(bench: &Bench, lines: &[(String, &str)]) {
    for (line, code) in lines {
        assert_eq!(bench.refused(&bench.a, line).await, *code, "{line}");
    }
}

#[tokio::test]
async fn vpcs_vswitches_and_tables_are_checked() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let (near, _) = bench.connected(&a, &b).await;
    let table = made(&bench, &format!("vpc:CreateRouteTable VpcId={}", a.vpc), "RouteTableId").await;
    let other = made(&bench, "vpc:CreateVpc CidrBlock=10.0.0.0/16", "VpcId").await;
    let foreign = made(&bench, &format!("vpc:CreateRouteTable VpcId={other}"), "RouteTableId").await;
    let (vpc, vswitch) = (&a.vpc, &a.vswitch);
    bench.ok(&bench.a, &format!("vpc:AssociateRouteTable RouteTableId={table} VSwitchId={vswitch}")).await;
    let route = format!(
        "vpc:CreateRouteEntry RouteTableId={table} DestinationCidrBlock=192.168.9.0/25 NextHopType=RouterInterface NextHopId={near}"
    );
    bench.ok(&bench.a, &route).await;
    let make = |cidr: &str| format!("vpc:CreateVSwitch VpcId={vpc} ZoneId=cn-qingdao-b CidrBlock={cidr}");
    all_refused(
        &bench,
        &[
            ("vpc:CreateVpc CidrBlock=10.0.0.1/8".to_owned(), "InvalidCidrBlock.Malformed"),
            ("vpc:CreateVpc CidrBlock=10.0.0.0/29".to_owned(), "InvalidCidrBlock.Malformed"),
            ("vpc:CreateVpc DryRun=TRUE".to_owned(), "DryRunOperation"),
            ("vpc:CreateVpc RegionId=Nowhere".to_owned(), "InvalidRegionId.NotFound"),
            ("vpc:DeleteVpc VpcId=vpc-none".to_owned(), "InvalidVpcId.NotFound"),
            (format!("vpc:DeleteVpc VpcId={}", b.vpc), "InvalidVpcId.NotFound"),
            (format!("vpc:DeleteVpc VpcId={vpc}"), "DependencyViolation"),
            (
                format!("vpc:AssociateVpcCidrBlock VpcId={vpc} SecondaryCidrBlock=192.168.0.0/17"),
                "InvalidCidrBlock.Overlapped",
            ),
            (format!("vpc:ModifyVpcAttribute VpcId={vpc} CidrBlock=192.168.128.0/17"), "DependencyViolation.VSwitch"),
            ("vpc:CreateVSwitch VpcId=vpc-none ZoneId=z CidrBlock=10.0.0.0/24".to_owned(), "InvalidVpcId.NotFound"),
            (format!("vpc:CreateVSwitch VpcId={vpc} CidrBlock=192.168.2.0/24"), "MissingZoneId"),
            (make("192.168.2.0/30"), "InvalidCidrBlock.Malformed"),
            (make("10.0.0.0/24"), "InvalidCidrBlock.NotInVpc"),
            (make("192.168.1.0/25"), "InvalidCidrBlock.Overlapped"),
            (make("192.168.9.0/24"), "RouteConflict"),
            (format!("vpc:DeleteVSwitch VSwitchId={vswitch}"), "DependencyViolation"),
            ("vpc:DeleteVSwitch VSwitchId=vsw-none".to_owned(), "InvalidVSwitchId.NotFound"),
            (format!("vpc:DeleteRouteTable RouteTableId={}", a.table), "OperationDenied"),
            (format!("vpc:DeleteRouteTable RouteTableId={table}"), "DependencyViolation.VSwitch"),
            (
                format!("vpc:AssociateRouteTable RouteTableId={foreign} VSwitchId={vswitch}"),
                "InvalidVSwitchId.NotSameVpc",
            ),
            (
                format!("vpc:AssociateRouteTable RouteTableId={table} VSwitchId={vswitch}"),
                "OperationFailed.AlreadyAssociated",
            ),
            (
                format!("vpc:UnassociateRouteTable RouteTableId={foreign} VSwitchId={vswitch}"),
                "OperationFailed.NotAssociated",
            ),
            (
                format!("vpc:GrantInstanceToVbr InstanceId={vpc} VbrOwnerUid={B} VbrRegionNo=cn-beijing GrantType=All"),
                "Instance.NotFound",
            ),
            (
                format!(
                    "vpc:GrantInstanceToVbr InstanceId={vpc} VbrOwnerUid={B} VbrRegionNo=cn-beijing GrantType=Specify"
                ),
                "InvalidParam.NotNull",
            ),
            ("vpc:DescribeEcGrantRelation InstanceId=vbr-1 InstanceType=VBR".to_owned(), "Instance.NotFound"),
        ],
    )
    .await;
    let zones = bench.ok(&bench.a, "vpc:DescribeZones").await;
    assert!(
        zones["Zones"]["Zone"]
            .as_array()
            .is_some_and(|zones| zones.iter().any(|zone| zone["ZoneId"] == "cn-qingdao-b"))
    );
}

#[tokio::test]
async fn router_interfaces_are_checked() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let (near, far) = bench.connected(&a, &b).await;
    let make = |change: &str| {
        let line = format!(
            "vpc:CreateRouterInterface Role=InitiatingSide Spec=Mini.2 RouterType=VRouter RouterId={} OppositeRegionId=cn-beijing",
            a.vrouter
        );
        let (from, to) = change.split_once('>').expect("from>to");
        line.replace(from, to)
    };
    let modify = |rest: &str| format!("vpc:ModifyRouterInterfaceAttribute RouterInterfaceId={near} {rest}");
    all_refused(
        &bench,
        &[
            (make("InitiatingSide>Middle"), "InvalidRole.ValueNotSupported"),
            (make("Mini.2>Negative"), "InvalidSpec.ValueNotSupported"),
            (make("InitiatingSide>AcceptingSide"), "InvalidSpec.ValueNotSupported"),
            (make("VRouter RouterId>VBR RouterId"), "InvalidRouterType.ValueNotSupported"),
            (make("RouterId=vrt-m5e>RouterId=vrt-none"), "InvalidRouterId.NotFound"),
            (make("OppositeRegionId=cn-beijing>Name=n2"), "MissingOppositeRegionId"),
            (modify("Name=http://x"), "InvalidName.Malformd"),
            (modify("Description=https://x"), "InvalidDescription.Malformed"),
            (modify("OppositeRouterId=vrt-1"), "IncorrectStatus"),
            (modify("OppositeRouterType=Moon"), "InvalidOppositeRouterType.ValueNotSupported"),
            (modify("").replace(&near, &far), "InvalidRouterInterfaceId.NotFound"),
            (
                format!("vpc:ModifyRouterInterfaceSpec RouterInterfaceId={near} Spec=Negative"),
                "InvalidSpec.ValudNotSupported",
            ),
            (format!("vpc:ActivateRouterInterface RouterInterfaceId={near}"), "IncorrectStatus"),
            ("vpc:DescribeRouterInterfaces Filter.1.Key=Colour".to_owned(), "InvalidFilterKey.ValueNotSupported"),
        ],
    )
    .await;
    bench.ok(&bench.b, &format!("vpc:DeactivateRouterInterface RouterInterfaceId={far}")).await;
    bench.ok(&bench.b, &format!("vpc:DeleteRouterInterface RouterInterfaceId={far}")).await;
    let spec = format!("vpc:ModifyRouterInterfaceSpec RouterInterfaceId={near} Spec=Small.1");
    assert_eq!(bench.refused(&bench.a, &spec).await, "InvalidOpposite.NotFound");
    let locked = |world: &mut crate::cloud::World| {
        world.interfaces.get_mut(&near).expect("interface").business = crate::cloud::Business::FinancialLocked;
    };
    bench.cloud.edit(locked).await.expect("edited");
    let freeze = format!("vpc:DeactivateRouterInterface RouterInterfaceId={near}");
    assert_eq!(bench.refused(&bench.a, &freeze).await, "Forbidden.FinancileLocked");
    assert_eq!(bench.refused(&bench.a, &make("Mini.2>Mini.5")).await, "Forbidden.BillsOutstanding");
}

#[tokio::test]
async fn acls_prefix_lists_interfaces_and_instances_are_checked() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    let acl = made(&bench, &format!("vpc:CreateNetworkAcl VpcId={}", a.vpc), "NetworkAclId").await;
    let second = made(&bench, &format!("vpc:CreateNetworkAcl VpcId={}", a.vpc), "NetworkAclId").await;
    let bind =
        |acl: &str| format!("NetworkAclId={acl} Resource.1.ResourceId={} Resource.1.ResourceType=VSwitch", a.vswitch);
    bench.ok(&bench.a, &format!("vpc:AssociateNetworkAcl {}", bind(&acl))).await;
    let list = "ecs:CreatePrefixList PrefixListName=l AddressFamily=IPv4 MaxEntries=1";
    let list = made(&bench, list, "PrefixListId").await;
    let rule = format!("SecurityGroupId={} IpProtocol=icmp SourcePrefixListId={list}", a.group);
    bench.ok(&bench.a, &format!("ecs:AuthorizeSecurityGroup {rule}")).await;
    let make = format!("ecs:CreateNetworkInterface VSwitchId={} SecurityGroupId={}", a.vswitch, a.group);
    let eni = made(&bench, &make, "NetworkInterfaceId").await;
    let primary = bench.cloud.world().primary_eni(&a.instance).expect("eni").id.clone();
    let attach = format!("ecs:AttachNetworkInterface NetworkInterfaceId={eni} InstanceId={}", a.instance);
    bench.ok(&bench.a, &attach).await;
    let entry = |rest: &str| format!("vpc:UpdateNetworkAclEntries NetworkAclId={acl} {rest}");
    let one = "IngressAclEntries.1";
    all_refused(
        &bench,
        &[
            (entry(&format!("{one}.Protocol=moon")), "InvalidProtocol.Malformed"),
            (entry(&format!("{one}.Protocol=icmp {one}.Port=1/2")), "InvalidPort.Malformed"),
            (entry(&format!("{one}.Protocol=tcp {one}.Port=9/2")), "InvalidPort.Malformed"),
            (entry(&format!("{one}.Policy=maybe")), "InvalidPolicy.Malformed"),
            (entry(&format!("{one}.SourceCidrIp=nowhere")), "InvalidSourceCidrIp.Malformed"),
            (entry("").replace(&acl, "nacl-none"), "InvalidNetworkAclId.NotFound"),
            (format!("vpc:AssociateNetworkAcl {}", bind(&second)), "IncorrectStatus.Resource"),
            (format!("vpc:UnassociateNetworkAcl {}", bind(&second)), "InvalidParameter.NotAssociated"),
            (format!("vpc:AssociateNetworkAcl NetworkAclId={acl}"), "MissingResource"),
            (format!("vpc:DeleteNetworkAcl NetworkAclId={acl}"), "DependencyViolation"),
            (format!("ecs:DeletePrefixList PrefixListId={list}"), "NotAllowed.AssociationExist"),
            ("ecs:DeletePrefixList PrefixListId=pl-none".to_owned(), "InvalidPrefixListId.NotFound"),
            (format!("{make} PrimaryIpAddress=192.168.1.10"), "InvalidPrivateIpAddress.Duplicated"),
            (format!("{make} PrimaryIpAddress=192.168.2.10"), "InvalidPrivateIpAddress.Malformed"),
            (attach.clone(), "InvalidOperation.InvalidEniState"),
            (
                format!("ecs:DetachNetworkInterface NetworkInterfaceId={primary} InstanceId={}", a.instance),
                "InvalidOperation.DetachPrimaryEniNotAllowed",
            ),
            (format!("ecs:DeleteNetworkInterface NetworkInterfaceId={eni}"), "InvalidOperation.InvalidEniState"),
            ("ecs:DeleteNetworkInterface NetworkInterfaceId=eni-none".to_owned(), "InvalidEniId.NotFound"),
            (
                format!("ecs:UnassignPrivateIpAddresses NetworkInterfaceId={primary} PrivateIpAddress.1=192.168.1.10"),
                "InvalidIp.IpUnassigned",
            ),
            (format!("ecs:StartInstance InstanceId={}", a.instance), "IncorrectInstanceStatus"),
            (format!("ecs:DeleteInstance InstanceId={}", a.instance), "IncorrectInstanceStatus"),
            ("ecs:StartInstance InstanceId=i-none".to_owned(), "InvalidInstanceId.NotFound"),
            (
                format!("ecs:RunInstances VSwitchId={} SecurityGroupId=sg-none", a.vswitch),
                "InvalidSecurityGroupId.NotFound",
            ),
            (
                format!("ecs:RunInstances VSwitchId={} SecurityGroupId={} Amount=101", a.vswitch, a.group),
                "InvalidAmount.Malformed",
            ),
            (
                format!("ecs:JoinSecurityGroup SecurityGroupId={} InstanceId={}", a.group, a.instance),
                "InvalidInstanceId.AlreadyExists",
            ),
            (
                format!("ecs:LeaveSecurityGroup SecurityGroupId={} InstanceId={}", a.group, a.instance),
                "InstanceLastSecurityGroup",
            ),
            (format!("ecs:DeleteSecurityGroup SecurityGroupId={}", a.group), "DependencyViolation"),
            (
                format!("ecs:CreateSecurityGroup VpcId={} SecurityGroupName=http://x", a.vpc),
                "InvalidSecurityGroupName.Malformed",
            ),
            ("ecs:CreateSecurityGroup".to_owned(), "InvalidVpcId.NotFound"),
            (
                format!("ecs:ModifySecurityGroupPolicy SecurityGroupId={} InnerAccessPolicy=maybe", a.group),
                "InvalidPolicy.Malformed",
            ),
            ("ecs:DescribeSecurityGroupReferences".to_owned(), "InvalidSecurityGroupId.Malformed"),
        ],
    )
    .await;
    bench.ok(&bench.a, &format!("ecs:DetachNetworkInterface NetworkInterfaceId={eni} InstanceId={}", a.instance)).await;
    bench.ok(&bench.a, &format!("ecs:DeleteNetworkInterface NetworkInterfaceId={eni}")).await;
    assert!(!bench.cloud.world().enis.contains_key(&eni));
}

#[tokio::test]
async fn egress_rules_and_whole_forms_are_checked_like_ingress_ones() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let egress = |rest: &str| format!("ecs:AuthorizeSecurityGroupEgress SecurityGroupId={} {rest}", a.group);
    let ingress = |rest: &str| format!("ecs:AuthorizeSecurityGroup SecurityGroupId={} {rest}", a.group);
    all_refused(
        &bench,
        &[
            (
                egress(&format!("IpProtocol=icmp DestGroupId={} DestGroupOwnerId={B}", b.group)),
                "InvalidDestGroupId.Mismatch",
            ),
            (egress(&format!("IpProtocol=icmp DestGroupId={}", b.group)), "InvalidDestGroupId.NotFound"),
            (egress("IpProtocol=tcp PortRange=1/2"), "MissingParameter.Dest"),
            (egress("IpProtocol=tcp PortRange=1/2 DestCidrIp=nowhere"), "InvalidDestCidrIp.Malformed"),
            (ingress("IpProtocol=tcp PortRange=-1/-1 SourceCidrIp=10.0.0.0/8"), "InvalidIpProtocol.Malformed"),
            (ingress("IpProtocol=moon SourceCidrIp=10.0.0.0/8"), "InvalidIpProtocol.ValueNotSupported"),
            (ingress("IpProtocol=icmp SourceCidrIp=10.0.0.0/8 Policy=maybe"), "InvalidPolicy.Malformed"),
            (ingress("IpProtocol=icmp SourceCidrIp=10.0.0.0/8 NicType=moon"), "InvalidNicType.ValueNotSupported"),
            (ingress("IpProtocol=icmp SourceCidrIp=10.0.0.0/8 DestCidrIp=10.0.0.0/8"), "InvalidParamter.Conflict"),
            (
                ingress("IpProtocol=udp PortRange=1/2 SourcePortRange=x SourceCidrIp=10.0.0.0/8"),
                "InvalidSourcePortRange.Malformed",
            ),
            (
                ingress("IpProtocol=icmp SourceCidrIp=10.0.0.0/8 Ipv6SourceCidrIp=fc00::/7"),
                "InvalidParam.Ipv4ProtocolConflictWithIpv6Address",
            ),
            (ingress("IpProtocol=icmp SourcePrefixListId=pl-none"), "InvalidPrefixListId.NotFound"),
            (
                ingress(&format!("IpProtocol=icmp SourceCidrIp=10.0.0.0/8 Description={}", "x".repeat(513))),
                "InvalidSecurityGroupDiscription.Malformed",
            ),
        ],
    )
    .await;
    let enterprise = format!("ecs:CreateSecurityGroup VpcId={} SecurityGroupType=enterprise", a.vpc);
    let enterprise = made(&bench, &enterprise, "SecurityGroupId").await;
    let group =
        format!("ecs:AuthorizeSecurityGroup SecurityGroupId={enterprise} IpProtocol=icmp SourceGroupId={}", a.group);
    assert_eq!(bench.refused(&bench.a, &group).await, "InvalidSecurityGroupType.NotSupported");
    let both = format!("IpProtocol=icmp SourceCidrIp=10.0.0.0/8 SourceGroupId={} SourceGroupOwnerId={B}", b.group);
    bench.ok(&bench.a, &ingress(&both)).await;
    let stored = bench.cloud.world().groups[&a.group].rules[0].peer.clone();
    assert_eq!(
        (stored.cidr.as_str(), stored.group.as_str()),
        ("10.0.0.0/8", ""),
        "the block wins, the group is ignored"
    );
    for form in [format!("VpcId.1={} VpcId.2=vpc-x", a.vpc), format!("VpcId=vpc-x,{}", a.vpc)] {
        bench.ok(&bench.a, &format!("vpcpeer:ListVpcPeerConnections {form}")).await;
    }
}
