//! With a pace, objects go through the documented transitional states. Calls on an object in transition are refused.

use super::{B, Bench, Side, text};
use crate::cloud::{Cloud, Lies, Options};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// A pace longer than any test, so that transitional states stay.
const NEVER: Duration = Duration::from_hours(1);

async fn status(bench: &Bench, line: &str, path: &str) -> String {
    let answer = bench.ok(&bench.a, line).await;
    answer.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("no {path} in {answer}")).to_owned()
}

/// The tutorial's objects, connected first without a pace; then the pace is set.
async fn slowed(pace: Duration) -> (Bench, Side, Side, String, String) {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let (near, far) = bench.connected(&a, &b).await;
    bench.cloud.set_pace(pace);
    (bench, a, b, near, far)
}

#[tokio::test]
async fn router_interfaces_pass_through_their_states() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    bench.cloud.set_pace(NEVER);
    let (near, far) = bench.connected(&a, &b).await;
    let describe = format!("vpc:DescribeRouterInterfaceAttribute InstanceId={near}");
    assert_eq!(status(&bench, &describe, "/Status").await, "Connecting");
    assert_eq!(status(&bench, &describe, "/OppositeInterfaceStatus").await, "AcceptingConnecting");
    assert!(!bench.cloud.subscribe().borrow().links[&near].carries);
    let route = format!(
        "vpc:CreateRouteEntry RouteTableId={} DestinationCidrBlock=192.168.0.0/16 NextHopType=RouterInterface NextHopId={far}",
        b.table
    );
    assert_eq!(bench.refused(&bench.b, &route).await, "IncorrectStatus.RouterInterface");

    let (bench, _, _, near, far) = slowed(NEVER).await;
    let describe = format!("vpc:DescribeRouterInterfaceAttribute InstanceId={near}");
    bench.ok(&bench.a, &format!("vpc:DeactivateRouterInterface RouterInterfaceId={near}")).await;
    assert_eq!(status(&bench, &describe, "/Status").await, "Deactivating");
    let delete = format!("vpc:DeleteRouterInterface RouterInterfaceId={near}");
    assert_eq!(bench.refused(&bench.a, &delete).await, "IncorrectStatus");
    let opposite = format!("vpc:DescribeRouterInterfaceAttribute InstanceId={far}");
    assert_eq!(text(&bench.ok(&bench.b, &opposite).await, "OppositeInterfaceStatus"), "Deactivating");

    let (bench, _, _, near, _) = slowed(NEVER).await;
    bench.ok(&bench.a, &format!("vpc:ModifyRouterInterfaceSpec RouterInterfaceId={near} Spec=Small.1")).await;
    let describe = format!("vpc:DescribeRouterInterfaceAttribute InstanceId={near}");
    assert_eq!(status(&bench, &describe, "/Status").await, "Modifying");
    let link = bench.cloud.subscribe().borrow().links[&near].clone();
    assert!(link.carries, "a change of size does not interrupt");
}

#[tokio::test]
async fn a_new_vpc_is_pending_and_not_built_in() {
    let (bench, ..) = slowed(NEVER).await;
    let vpc = text(&bench.ok(&bench.a, "vpc:CreateVpc CidrBlock=10.0.0.0/16").await, "VpcId");
    let describe = format!("vpc:DescribeVpcs VpcId={vpc}");
    assert_eq!(status(&bench, &describe, "/Vpcs/Vpc/0/Status").await, "Pending");
    for line in [
        format!("vpc:CreateVSwitch VpcId={vpc} CidrBlock=10.0.1.0/24 ZoneId=cn-qingdao-b"),
        format!("vpc:CreateRouteTable VpcId={vpc}"),
        format!("vpc:CreateNetworkAcl VpcId={vpc}"),
        format!("ecs:CreateSecurityGroup VpcId={vpc}"),
    ] {
        assert_eq!(bench.refused(&bench.a, &line).await, "IncorrectVpcStatus", "{line}");
    }
}

#[tokio::test]
async fn routes_of_a_vpc_are_changed_one_after_the_other() {
    let (bench, a, _, near, _) = slowed(NEVER).await;
    let create = |destination: &str| {
        format!(
            "vpc:CreateRouteEntry RouteTableId={} DestinationCidrBlock={destination} NextHopType=RouterInterface NextHopId={near}",
            a.table
        )
    };
    bench.ok(&bench.a, &create("172.16.0.0/16")).await;
    let describe = format!("vpc:DescribeRouteEntryList RouteTableId={} DestinationCidrBlock=172.16.0.0/16", a.table);
    assert_eq!(status(&bench, &describe, "/RouteEntrys/RouteEntry/0/Status").await, "Pending");
    assert_eq!(bench.cloud.subscribe().borrow().vpcs[&a.vpc].tables[&a.table].len(), 2, "it does not forward yet");
    assert_eq!(bench.refused(&bench.a, &create("172.17.0.0/16")).await, "TaskConflict");
    let delete =
        format!("vpc:DeleteRouteEntry RouteTableId={} DestinationCidrBlock=172.16.0.0/16 NextHopId={near}", a.table);
    assert_eq!(bench.refused(&bench.a, &delete).await, "IncorrectRouteEntryStatus");

    let (bench, a, _, near, _) = slowed(Duration::ZERO).await;
    let create = |destination: &str| {
        format!(
            "vpc:CreateRouteEntry RouteTableId={} DestinationCidrBlock={destination} NextHopType=RouterInterface NextHopId={near}",
            a.table
        )
    };
    bench.ok(&bench.a, &create("172.16.0.0/16")).await;
    bench.ok(&bench.a, &create("172.17.0.0/16")).await;
    bench.cloud.set_pace(NEVER);
    let delete = |destination: &str| {
        format!("vpc:DeleteRouteEntry RouteTableId={} DestinationCidrBlock={destination} NextHopId={near}", a.table)
    };
    bench.ok(&bench.a, &delete("172.16.0.0/16")).await;
    let describe = format!("vpc:DescribeRouteEntryList RouteTableId={} DestinationCidrBlock=172.16.0.0/16", a.table);
    assert_eq!(status(&bench, &describe, "/RouteEntrys/RouteEntry/0/Status").await, "Deleting");
    assert_eq!(bench.refused(&bench.a, &delete("172.17.0.0/16")).await, "TaskConflict");
}

#[tokio::test]
async fn peerings_instances_interfaces_and_acls_show_what_is_under_way() {
    let (bench, a, b, ..) = slowed(NEVER).await;
    let peering = format!(
        "vpcpeer:CreateVpcPeerConnection VpcId={} AcceptingAliUid={B} AcceptingRegionId=cn-beijing AcceptingVpcId={}",
        a.vpc, b.vpc
    );
    let peering = text(&bench.ok(&bench.a, &peering).await, "InstanceId");
    let get = format!("vpcpeer:GetVpcPeerConnectionAttribute InstanceId={peering}");
    assert_eq!(status(&bench, &get, "/Status").await, "Creating");
    let accept = format!("vpcpeer:AcceptVpcPeerConnection InstanceId={peering}");
    assert_eq!(bench.refused(&bench.b, &accept).await, "IncorrectStatus.VpcPeer");

    let make = format!("ecs:CreateInstance VSwitchId={} SecurityGroupId={}", a.vswitch, a.group);
    let second = text(&bench.ok(&bench.a, &make).await, "InstanceId");
    let describe = format!("ecs:DescribeInstances InstanceIds=[\"{second}\"]");
    assert_eq!(status(&bench, &describe, "/Instances/Instance/0/Status").await, "Pending");
    let start = format!("ecs:StartInstance InstanceId={second}");
    assert_eq!(bench.refused(&bench.a, &start).await, "IncorrectInstanceStatus");
    bench.ok(&bench.a, &format!("ecs:StopInstance InstanceId={}", a.instance)).await;
    let describe = format!("ecs:DescribeInstanceStatus InstanceId.1={}", a.instance);
    assert_eq!(status(&bench, &describe, "/InstanceStatuses/InstanceStatus/0/Status").await, "Stopping");

    let make = format!("ecs:CreateNetworkInterface VSwitchId={} SecurityGroupId={}", a.vswitch, a.group);
    let eni = text(&bench.ok(&bench.a, &make).await, "NetworkInterfaceId");
    let describe = format!("ecs:DescribeNetworkInterfaces NetworkInterfaceId.1={eni}");
    assert_eq!(status(&bench, &describe, "/NetworkInterfaceSets/NetworkInterfaceSet/0/Status").await, "Creating");
    let attach = format!("ecs:AttachNetworkInterface NetworkInterfaceId={eni} InstanceId={}", a.instance);
    assert_eq!(bench.refused(&bench.a, &attach).await, "InvalidOperation.InvalidEniState");

    let acl = text(&bench.ok(&bench.a, &format!("vpc:CreateNetworkAcl VpcId={}", a.vpc)).await, "NetworkAclId");
    let bound = format!("Resource.1.ResourceId={} Resource.1.ResourceType=VSwitch", a.vswitch);
    bench.ok(&bench.a, &format!("vpc:AssociateNetworkAcl NetworkAclId={acl} {bound}")).await;
    let entries = format!("vpc:UpdateNetworkAclEntries NetworkAclId={acl} UpdateIngressAclEntries=true");
    bench.ok(&bench.a, &entries).await;
    let describe = format!("vpc:DescribeNetworkAclAttributes NetworkAclId={acl}");
    assert_eq!(status(&bench, &describe, "/NetworkAclAttribute/Status").await, "Modifying");
    assert_eq!(status(&bench, &describe, "/NetworkAclAttribute/Resources/Resource/0/Status").await, "BINDING");
}

#[tokio::test]
async fn states_settle_by_themselves_and_the_pace_can_be_one_accounts_own() {
    let bench = Bench::with(Options { seed: 1, ..Options::default() }).await;
    #[expect(clippy::disallowed_methods, reason = "the loop lives as long as the test's run time")]
    tokio::spawn(Cloud::drive(Arc::clone(&bench.cloud)));
    bench.cloud.set_lies("A", Lies { pace: Some(0.02), ..Lies::default() });
    let made = text(&bench.ok(&bench.a, "vpc:CreateVpc CidrBlock=10.0.0.0/16").await, "VpcId");
    let others = text(&bench.ok(&bench.b, "vpc:CreateVpc CidrBlock=10.0.0.0/16").await, "VpcId");
    let seen = bench.ok(&bench.b, &format!("vpc:DescribeVpcAttribute VpcId={others}")).await;
    assert_eq!(text(&seen, "Status"), "Available", "B has no pace");
    let mut settled = bench.cloud.subscribe();
    let describe = format!("vpc:DescribeVpcAttribute VpcId={made}");
    let settle = async {
        // Settling is a change too, and wakes the subscriber.
        while status(&bench, &describe, "/Status").await != "Available" {
            settled.changed().await.expect("the cloud is there");
        }
    };
    tokio::time::timeout(Duration::from_secs(10), settle).await.expect("it settles");
}
