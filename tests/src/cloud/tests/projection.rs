//! The data plane that is derived from the declared state.

use super::Bench;
use crate::desired::{Desired, HopPlane};
use std::{net::Ipv4Addr, sync::Arc};

fn desired(bench: &Bench) -> Arc<Desired> {
    Arc::clone(&bench.cloud.subscribe().borrow())
}

#[tokio::test]
async fn rules_of_all_groups_are_pooled_by_priority_and_drop_wins_ties() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    let line = format!("ecs:CreateSecurityGroup VpcId={} SecurityGroupName=sg2", a.vpc);
    let second = super::text(&bench.ok(&bench.a, &line).await, "SecurityGroupId");
    bench.ok(&bench.a, &format!("ecs:JoinSecurityGroup SecurityGroupId={second} InstanceId={}", a.instance)).await;
    for (group, rest) in [
        (&a.group, "IpProtocol=tcp PortRange=80/90 SourceCidrIp=10.0.0.9/8 Priority=50"),
        (&a.group, "IpProtocol=icmp PortRange=-1/-1 SourceCidrIp=172.16.0.0/16 Priority=2"),
        (&second, "IpProtocol=all PortRange=-1/-1 SourceCidrIp=0.0.0.0/0 Policy=drop Priority=2"),
        (&second, "IpProtocol=udp PortRange=53/53 SourceCidrIp=10.1.1.1 Priority=1 SourcePortRange=1000/2000"),
    ] {
        bench.ok(&bench.a, &format!("ecs:AuthorizeSecurityGroup SecurityGroupId={group} {rest}")).await;
    }
    let desired = desired(&bench);
    let eni = &desired.instances["A.ecs1"].enis[0];
    let seen: Vec<(bool, Option<u8>, String)> =
        eni.ingress.rules.iter().map(|rule| (rule.accept, rule.protocol, rule.peers[0].to_string())).collect();
    let expected = [
        (true, Some(17), "10.1.1.1/32".to_owned()),
        (false, None, "0.0.0.0/0".to_owned()),
        (true, Some(1), "172.16.0.0/16".to_owned()),
        (true, Some(6), "10.0.0.0/8".to_owned()),
    ];
    assert_eq!(seen, expected);
    assert_eq!(eni.ingress.rules[0].source_ports, Some((1000, 2000)));
    assert_eq!(eni.ingress.rules[3].ports, Some((80, 90)));
    assert!(!eni.ingress.accept_by_default && eni.egress.accept_by_default);
}

#[tokio::test]
async fn enterprise_groups_deny_by_default_and_have_no_members() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    let members = |desired: &Desired| desired.instances["A.ecs1"].enis[0].ingress.members.clone();
    assert_eq!(members(&desired(&bench)).into_iter().collect::<Vec<_>>(), [Ipv4Addr::new(192, 168, 1, 10)]);
    let policy = format!("ecs:ModifySecurityGroupPolicy SecurityGroupId={} InnerAccessPolicy=Drop", a.group);
    bench.ok(&bench.a, &policy).await;
    assert!(members(&desired(&bench)).is_empty());

    let line = format!("ecs:CreateSecurityGroup VpcId={} SecurityGroupType=enterprise", a.vpc);
    let group = super::text(&bench.ok(&bench.a, &line).await, "SecurityGroupId");
    let join = format!("ecs:JoinSecurityGroup SecurityGroupId={group} InstanceId={}", a.instance);
    assert_eq!(bench.refused(&bench.a, &join).await, "InvalidOperation.SecurityGroupTypeMismatch");
    let modify = format!("ecs:ModifyInstanceAttribute InstanceId={} SecurityGroupIds.1={group}", a.instance);
    bench.ok(&bench.a, &modify).await;
    let desired = desired(&bench);
    let eni = &desired.instances["A.ecs1"].enis[0];
    assert!(!eni.egress.accept_by_default && eni.egress.members.is_empty());
}

#[tokio::test]
async fn prefix_lists_and_groups_of_the_same_vpc_become_addresses() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    let line = "ecs:CreatePrefixList PrefixListName=peer AddressFamily=IPv4 MaxEntries=2 Entry.1.Cidr=172.16.0.0/16";
    let list = super::text(&bench.ok(&bench.a, line).await, "PrefixListId");
    let other = format!("ecs:CreateSecurityGroup VpcId={}", a.vpc);
    let other = super::text(&bench.ok(&bench.a, &other).await, "SecurityGroupId");
    let run = format!("ecs:RunInstances VSwitchId={} SecurityGroupId={other} InstanceName=ecs2", a.vswitch);
    bench.ok(&bench.a, &run).await;
    let authorize = format!("ecs:AuthorizeSecurityGroup SecurityGroupId={} IpProtocol=icmp PortRange=-1/-1", a.group);
    bench.ok(&bench.a, &format!("{authorize} SourcePrefixListId={list} Priority=1")).await;
    bench.ok(&bench.a, &format!("{authorize} SourceGroupId={other} Priority=2")).await;
    let peers = |bench: &Bench, n: usize| -> Vec<String> {
        let desired = desired(bench);
        desired.instances["A.ecs1"].enis[0].ingress.rules[n].peers.iter().map(ToString::to_string).collect()
    };
    assert_eq!(peers(&bench, 0), ["172.16.0.0/16"]);
    assert_eq!(peers(&bench, 1), ["192.168.1.1/32"]);
    bench.ok(&bench.a, &format!("ecs:ModifyPrefixList PrefixListId={list} RemoveEntry.1.Cidr=172.16.0.0/16")).await;
    assert!(peers(&bench, 0).is_empty(), "an empty list matches nothing");
}

#[tokio::test]
async fn acls_start_open_keep_their_order_and_empty_ones_filter_nothing() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    let acl = super::text(&bench.ok(&bench.a, &format!("vpc:CreateNetworkAcl VpcId={}", a.vpc)).await, "NetworkAclId");
    let bind = format!("NetworkAclId={acl} Resource.1.ResourceId={} Resource.1.ResourceType=VSwitch", a.vswitch);
    bench.ok(&bench.a, &format!("vpc:AssociateNetworkAcl {bind}")).await;
    let ingress = |bench: &Bench| desired(bench).vpcs[&a.vpc].vswitches[&a.vswitch].acl.clone().map(|acl| acl.ingress);
    assert_eq!(ingress(&bench).map(|rules| rules.iter().map(|rule| rule.accept).collect()), Some(vec![true]));
    let update = format!(
        "vpc:UpdateNetworkAclEntries NetworkAclId={acl} UpdateIngressAclEntries=true \
         IngressAclEntries.1.Policy=drop IngressAclEntries.1.Protocol=icmp IngressAclEntries.1.Port=-1/-1 \
         IngressAclEntries.1.SourceCidrIp=172.16.0.0/16 IngressAclEntries.2.Policy=accept \
         IngressAclEntries.2.Protocol=tcp IngressAclEntries.2.Port=22/80 IngressAclEntries.2.SourceCidrIp=0.0.0.0/0"
    );
    bench.ok(&bench.a, &update).await;
    let rules = ingress(&bench).expect("acl");
    assert_eq!(
        rules.iter().map(|rule| (rule.accept, rule.protocol)).collect::<Vec<_>>(),
        [(false, Some(1)), (true, Some(6))]
    );
    assert_eq!(rules[1].ports, Some((22, 80)));
    let described = bench.ok(&bench.a, &format!("vpc:DescribeNetworkAclAttributes NetworkAclId={acl}")).await;
    let egress = &described["NetworkAclAttribute"]["EgressAclEntries"]["EgressAclEntry"];
    assert_eq!(egress.as_array().map(Vec::len), Some(1), "the other direction is left alone");
    bench.ok(&bench.a, &format!("vpc:UpdateNetworkAclEntries NetworkAclId={acl} UpdateIngressAclEntries=true")).await;
    let rules = ingress(&bench).expect("acl");
    assert_eq!(rules.iter().map(|rule| (rule.accept, rule.protocol)).collect::<Vec<_>>(), [(true, None)]);
    bench.ok(&bench.a, &format!("vpc:UnassociateNetworkAcl {bind}")).await;
    assert_eq!(ingress(&bench), None);
}

#[tokio::test]
async fn a_custom_table_takes_over_for_its_vswitch_and_stopping_stops() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    let table =
        super::text(&bench.ok(&bench.a, &format!("vpc:CreateRouteTable VpcId={}", a.vpc)).await, "RouteTableId");
    let bind = format!("RouteTableId={table} VSwitchId={}", a.vswitch);
    bench.ok(&bench.a, &format!("vpc:AssociateRouteTable {bind}")).await;
    let now = desired(&bench);
    let vpc = &now.vpcs[&a.vpc];
    assert_eq!(vpc.vswitches[&a.vswitch].table, table);
    let hops: Vec<&HopPlane> = vpc.tables[&table].iter().flat_map(|route| &route.hops).collect();
    assert_eq!(hops, [&HopPlane::Local, &HopPlane::Service]);
    bench.ok(&bench.a, &format!("vpc:UnassociateRouteTable {bind}")).await;
    assert_eq!(desired(&bench).vpcs[&a.vpc].vswitches[&a.vswitch].table, a.table);
    let stop = format!("ecs:StopInstance InstanceId={}", a.instance);
    bench.ok(&bench.a, &stop).await;
    assert!(!desired(&bench).instances["A.ecs1"].running);
    assert_eq!(bench.refused(&bench.a, &stop).await, "IncorrectInstanceStatus");
    bench.ok(&bench.a, &format!("ecs:StartInstance InstanceId={}", a.instance)).await;
    assert!(desired(&bench).instances["A.ecs1"].running);
}

#[tokio::test]
async fn a_vpc_peering_connection_carries_once_it_is_accepted() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let line = format!(
        "vpcpeer:CreateVpcPeerConnection VpcId={} AcceptingAliUid={} AcceptingRegionId=cn-beijing AcceptingVpcId={}",
        a.vpc,
        super::B,
        b.vpc
    );
    let id = super::text(&bench.ok(&bench.a, &line).await, "InstanceId");
    assert!(!desired(&bench).links[&id].carries);
    let route = format!(
        "vpc:CreateRouteEntry RouteTableId={} DestinationCidrBlock=192.168.0.0/16 NextHopType=VpcPeer NextHopId={id}",
        b.table
    );
    bench.ok(&bench.b, &route).await;
    bench.ok(&bench.b, &format!("vpcpeer:AcceptVpcPeerConnection InstanceId={id}")).await;
    let now = desired(&bench);
    assert!(now.links[&id].carries);
    assert!(now.vpcs[&b.vpc].tables[&b.table].iter().any(|route| route.hops == [HopPlane::Link(id.clone())]));
    let listed = bench.ok(&bench.b, &format!("vpcpeer:ListVpcPeerConnections VpcId={},vpc-other", b.vpc)).await;
    assert_eq!(listed["VpcPeerConnects"][0]["Status"], "Activated");
}

/// Provider-side events, which no call of an account causes: the control plane reports them, the data plane follows.
#[tokio::test]
async fn what_the_clouds_own_hand_does_is_said_and_obeyed() {
    use crate::cloud::Hand;
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let (near, far) = bench.connected(&a, &b).await;
    let route = format!(
        "vpc:CreateRouteEntry RouteTableId={} DestinationCidrBlock=172.16.0.0/16 NextHopType=RouterInterface NextHopId={near}",
        a.table
    );
    let entry = super::text(&bench.ok(&bench.a, &route).await, "RouteEntryId");
    let hand = |text: &str| -> Hand { serde_json::from_str(text).expect("a hand") };
    let lock = |status: &str| hand(&format!(r#"{{"lock":{{"object":"{far}","status":"{status}"}}}}"#));
    let state =
        |object: &str, status: &str| hand(&format!(r#"{{"state":{{"object":"{object}","status":"{status}"}}}}"#));
    let carries = || desired(&bench).links[&near].carries;

    bench.cloud.befall("B", &lock("FinancialLocked")).await.expect("locked");
    assert!(!carries());
    let seen = bench.ok(&bench.a, &format!("vpc:DescribeRouterInterfaceAttribute InstanceId={near}")).await;
    assert_eq!(seen["OppositeInterfaceBusinessStatus"], "FinancialLocked");
    let thaw = format!("vpc:DeactivateRouterInterface RouterInterfaceId={far}");
    assert_eq!(bench.refused(&bench.b, &thaw).await, "Forbidden.FinancileLocked");
    bench.cloud.befall("B", &lock("Normal")).await.expect("paid");
    assert!(carries());

    bench.cloud.befall("A", &state(&near, "Connecting")).await.expect("stuck");
    assert!(!carries());
    bench.cloud.befall("A", &state(&near, "Active")).await.expect("free");
    let hops = || {
        let routes = &desired(&bench).vpcs[&a.vpc].tables[&a.table];
        routes.iter().find(|r| r.destination.to_string() == "172.16.0.0/16").map(|r| r.hops.clone())
    };
    assert_eq!(hops(), Some(vec![HopPlane::Link(near.clone())]));
    bench.cloud.befall("A", &hand(&format!(r#"{{"unusable":"{entry}"}}"#))).await.expect("disabled");
    assert_eq!(hops(), Some(vec![HopPlane::Blackhole]));
    bench.cloud.befall("A", &state(&entry, "Pending")).await.expect("pending");
    assert_eq!(hops(), None);

    for (account, wrong) in [("A", lock("Normal")), ("B", state(&far, "Melting")), ("A", state("ri-none", "Active"))] {
        assert!(bench.cloud.befall(account, &wrong).await.is_err(), "{wrong:?} of {account}");
    }
}
