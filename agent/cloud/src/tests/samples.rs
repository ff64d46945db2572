//! Checks that every documented sample of the calls made here decodes, and that any other JSON is handled without a
//! panic.
//!
//! Samples: `testdata/samples/`, from the vendor's API pages and SDKs, which mask addresses with asterisks.

use crate::{
    gather::ecs, gather::interconnect, gather::records, gather::vpc, transport::row::Row, transport::row::RowError,
};
use pingtong_evidence::*;
use proptest::prelude::*;
use serde_json::{Map, Value};

fn sample(name: &str) -> Map<String, Value> {
    let path = format!("{}/testdata/samples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn decode<T>(name: &str, container: &str, read: impl Fn(Row<'_>, Provenance) -> Result<T, RowError>) -> Vec<T> {
    let document = sample(name);
    let rows: Vec<T> = Row::new(&document).rows(container).map(|row| read(row, Provenance(0)).unwrap()).collect();
    assert!(!rows.is_empty(), "{name} has no rows");
    rows
}

#[test]
fn vpcs_and_vswitches() {
    let vpcs = decode("vpc.DescribeVpcs", "Vpcs", vpc::vpc);
    assert_eq!((vpcs.len(), vpcs[1].name.as_str(), vpcs[1].cidr.to_string()), (2, "kttest", "192.168.0.0/16".into()));
    assert_eq!(vpcs[0].router, Some(RouterId::parse("vrt-bp1jcg5cmxjbl9xgc****").unwrap()));
    let vswitches = decode("vpc.DescribeVSwitches", "VSwitches", vpc::vswitch);
    assert_eq!((vswitches[0].cidr.to_string(), &vswitches[0].network_acl), ("172.16.1.0/24".into(), &None));
}

#[test]
fn route_tables_and_entries() {
    let tables = decode("vpc.DescribeRouteTableList", "RouterTableList", vpc::route_table);
    let table = tables[0].as_ref().unwrap();
    assert_eq!((table.kind, table.vswitches.len()), (RouteTableKind::Custom, 1));
    let entries = decode("vpc.DescribeRouteEntryList", "RouteEntrys", vpc::route_entry);
    let entry = entries[0].as_ref().unwrap();
    assert_eq!((entry.kind, entry.status), (RouteKind::Custom, RouteStatus::Available));
    assert_eq!(entry.next_hops[0].kind, NextHopKind::NetworkInterface);
}

#[test]
fn router_interfaces() {
    let interfaces = decode("vpc.DescribeRouterInterfaces", "RouterInterfaceSet", vpc::router_interface);
    let interface = &interfaces[0];
    assert_eq!((interface.role, interface.status), (RouterInterfaceRole::Initiating, RouterInterfaceStatus::Inactive));
    assert_eq!(interface.opposite_status, Some(RouterInterfaceStatus::Deleted));
    assert_eq!(interface.opposite_router_kind, Some(RouterKind::VRouter));
    assert_eq!(interface.connected_at.unwrap().to_string(), "2017-12-27T06:34:37.000Z");
}

#[test]
fn network_acls() {
    let acls = decode("vpc.DescribeNetworkAcls", "NetworkAcls", vpc::network_acl);
    let entries = acls[0].ingress.known().unwrap();
    assert_eq!((entries[0].protocol, entries[0].ports), (RuleProtocol::All, PortRange::ALL));
    let document = sample("vpc.DescribeNetworkAclAttributes");
    let acl = vpc::network_acl(Row::new(&document).object("NetworkAclAttribute").unwrap(), Provenance(0)).unwrap();
    assert!(acl.egress.known().is_some());
}

#[test]
fn security_groups_and_rules() {
    let groups = decode("ecs.DescribeSecurityGroups", "SecurityGroups", ecs::security_group);
    assert_eq!(groups[0].kind, SecurityGroupKind::Normal);
    let account = AccountId::parse("1").unwrap();
    let rules = decode("ecs.DescribeSecurityGroupAttribute", "Permissions", |row, _| ecs::security_rule(row, &account));
    assert_eq!((rules.len(), rules[3].protocol, rules[3].priority), (4, RuleProtocol::Icmp, 1));
    assert_eq!(rules[0].peer, RulePeer::Cidr(Cidr::parse("10.0.0.0/8").unwrap()));
    let head = sample("ecs.DescribeSecurityGroupAttribute");
    assert_eq!(ecs::inner_access(Row::new(&head)).unwrap(), Some(Policy::Accept));
}

#[test]
fn instances_and_interfaces() {
    let instances = decode("ecs.DescribeInstances", "Instances", ecs::instance);
    assert_eq!((instances[0].status, instances[0].security_groups.len()), (InstanceStatus::Running, 1));
    let enis = decode("ecs.DescribeNetworkInterfaces", "NetworkInterfaceSets", ecs::eni);
    assert_eq!((enis[0].status, enis[0].primary), (EniStatus::InUse, true));
}

#[test]
fn newer_interconnects() {
    let (account, region) = (AccountId::parse("1").unwrap(), RegionId::parse("r").unwrap());
    let read = |row: Row<'_>, provenance| interconnect::vpc_peering(row, provenance, &account, &region);
    let peerings = decode("vpcpeer.ListVpcPeerConnections.assembled", "VpcPeerConnects", read);
    assert_eq!((peerings[0].status, peerings[0].bandwidth_mbps), (VpcPeeringStatus::Activated, Some(1024)));
    assert_eq!(peerings[0].accepting_owner.as_str(), "253460731706911258");
    let attachments =
        decode("cbn.ListTransitRouterVpcAttachments.assembled", "TransitRouterAttachments", interconnect::attachment);
    assert!(attachments[0].attached);
    decode("cbn.ListTransitRouterRouteTables.assembled", "TransitRouterRouteTables", interconnect::transit_table);
    let routes =
        decode("cbn.ListTransitRouterRouteEntries.assembled", "TransitRouterRouteEntries", interconnect::transit_route);
    assert_eq!((&routes[0].attachment, routes[0].active), (&None, true));
    let bound = decode(
        "cbn.ListTransitRouterRouteTableAssociations.assembled",
        "TransitRouterAssociations",
        interconnect::bound_attachment,
    );
    assert_eq!(bound, [None]);
}

/// Decodes one row and returns the object as JSON, so that any type of object can be searched.
type AsJson = fn(Row<'_>) -> Result<Value, RowError>;

/// Samples, the list that holds their rows (`None` if the answer is one row), and the fields of a row that a path walk
/// needs. Enumerations are left to the tests above, because decoding changes their text.
fn needed() -> Vec<(&'static str, Option<&'static str>, AsJson, Vec<&'static str>)> {
    macro_rules! json {
        ($object:expr) => {
            $object.map(|object| serde_json::to_value(object).unwrap())
        };
    }
    const AT: Provenance = Provenance(0);
    let (vpc, interface): (AsJson, AsJson) =
        (|row| json!(vpc::vpc(row, AT)), |row| json!(vpc::router_interface(row, AT)));
    let vpc_fields = vec!["VpcId", "VpcName", "CidrBlock", "VRouterId"];
    let interface_fields = vec![
        "RouterInterfaceId",
        "Spec",
        "Bandwidth",
        "RouterId",
        "VpcInstanceId",
        "OppositeRegionId",
        "OppositeInterfaceId",
        "OppositeInterfaceOwnerId",
        "OppositeRouterId",
        "OppositeVpcInstanceId",
        "CreationTime",
        "ConnectedTime",
        "EndTime",
    ];
    let peering: AsJson = |row| {
        let (account, region) = (AccountId::parse("1").unwrap(), RegionId::parse("r").unwrap());
        json!(interconnect::vpc_peering(row, AT, &account, &region))
    };
    let peering_fields = vec![
        "InstanceId",
        "Bandwidth",
        "OwnerId",
        "RegionId",
        "Vpc",
        "AcceptingOwnerUid",
        "AcceptingRegionId",
        "AcceptingVpc",
    ];
    let acl: AsJson = |row| json!(vpc::network_acl(row, AT));
    let acl_fields = vec!["NetworkAclId", "VpcId", "IngressAclEntries", "EgressAclEntries", "Resources"];
    vec![
        ("vpc.DescribeVpcs", Some("Vpcs"), vpc, vpc_fields.clone()),
        ("vpc.DescribeVpcAttribute", None, vpc, vpc_fields),
        (
            "vpc.DescribeVSwitches",
            Some("VSwitches"),
            |row| json!(vpc::vswitch(row, AT)),
            vec!["VSwitchId", "VpcId", "ZoneId", "CidrBlock"],
        ),
        (
            "vpc.DescribeRouteTableList",
            Some("RouterTableList"),
            |row| json!(vpc::route_table(row, AT)),
            vec!["RouteTableId", "VpcId", "VSwitchIds"],
        ),
        (
            "vpc.DescribeRouteEntryList",
            Some("RouteEntrys"),
            |row| json!(vpc::route_entry(row, AT)),
            vec!["RouteEntryId", "DestinationCidrBlock", "NextHopId"],
        ),
        ("vpc.DescribeRouterInterfaces", Some("RouterInterfaceSet"), interface, interface_fields.clone()),
        ("vpc.DescribeRouterInterfaceAttribute", None, interface, interface_fields),
        ("vpc.DescribeNetworkAcls", Some("NetworkAcls"), acl, acl_fields),
        (
            "ecs.DescribeSecurityGroups",
            Some("SecurityGroups"),
            |row| json!(ecs::security_group(row, AT)),
            vec!["SecurityGroupId", "SecurityGroupName", "VpcId"],
        ),
        (
            "ecs.DescribeSecurityGroupAttribute",
            Some("Permissions"),
            |row| json!(ecs::security_rule(row, &AccountId::parse("1").unwrap())),
            vec![
                "SecurityGroupRuleId",
                "Priority",
                "SourceCidrIp",
                "DestCidrIp",
                "SourceGroupId",
                "SourcePrefixListId",
            ],
        ),
        (
            "ecs.DescribeInstances",
            Some("Instances"),
            |row| json!(ecs::instance(row, AT)),
            vec!["InstanceId", "InstanceName", "VpcAttributes", "SecurityGroupIds"],
        ),
        (
            "ecs.DescribeNetworkInterfaces",
            Some("NetworkInterfaceSets"),
            |row| json!(ecs::eni(row, AT)),
            vec!["NetworkInterfaceId", "InstanceId", "VpcId", "VSwitchId", "MacAddress", "SecurityGroupIds"],
        ),
        ("vpcpeer.ListVpcPeerConnections.assembled", Some("VpcPeerConnects"), peering, peering_fields.clone()),
        ("vpcpeer.GetVpcPeerConnectionAttribute.assembled", None, peering, peering_fields),
        (
            "cbn.ListTransitRouterVpcAttachments.assembled",
            Some("TransitRouterAttachments"),
            |row| json!(interconnect::attachment(row, AT)),
            vec!["TransitRouterAttachmentId", "TransitRouterId", "VpcId", "VpcOwnerId", "VpcRegionId"],
        ),
        (
            "cbn.ListTransitRouterPeerAttachments.assembled",
            Some("TransitRouterAttachments"),
            |row| json!(interconnect::transit_peering(row, AT, &RegionId::parse("r").unwrap())),
            vec![
                "TransitRouterAttachmentId",
                "TransitRouterId",
                "RegionId",
                "PeerTransitRouterId",
                "PeerTransitRouterRegionId",
                "PeerTransitRouterOwnerId",
                "Bandwidth",
            ],
        ),
        (
            "cbn.ListTransitRouterRouteTables.assembled",
            Some("TransitRouterRouteTables"),
            |row| json!(interconnect::transit_table(row, AT)),
            vec!["TransitRouterRouteTableId", "TransitRouterId"],
        ),
        (
            "cbn.ListTransitRouterRouteEntries.assembled",
            Some("TransitRouterRouteEntries"),
            |row| json!(interconnect::transit_route(row, AT)),
            vec!["TransitRouterRouteEntryDestinationCidrBlock"],
        ),
        (
            "cbn.ListTransitRouterRouteTablePropagations.assembled",
            Some("TransitRouterPropagations"),
            |row| json!(interconnect::bound_attachment(row, AT)),
            vec!["TransitRouterAttachmentId"],
        ),
    ]
}

/// Collects the text of every string and number inside a value.
fn scalars(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| scalars(value, out)),
        Value::Object(members) => members.values().for_each(|value| scalars(value, out)),
        Value::String(text) => out.push(text.clone()),
        Value::Number(number) => out.push(number.to_string()),
        Value::Bool(_) | Value::Null => {}
    }
}

/// Whether the decoded object contains a text. Ids, CIDR blocks and numbers must appear unchanged, times in the
/// snapshot's own format. Everything else passes: decoding changes enumerations and ports, and masked addresses cannot
/// be read.
fn kept(text: &str, decoded: &[String]) -> bool {
    let id_or_block = text.contains('-') && !text.starts_with("-1/") || text.contains('/') && text.contains('.');
    let number = text.parse::<f64>().is_ok();
    let masked = text.contains("**.") || text.contains("XX") || text.contains(":*");
    if text.is_empty() || masked || !(id_or_block || number) {
        return true;
    }
    let time = Row::new(&Map::from_iter([("t".to_owned(), Value::from(text))])).time("t");
    decoded.iter().any(|have| {
        have == text || time.is_some_and(|time| *have == time.to_string() || *have == time.as_millis().to_string())
    })
}

#[test]
fn no_field_that_a_walk_needs_is_lost_from_any_documented_sample() {
    let mut checked = 0;
    for (name, container, read, fields) in needed() {
        let document = sample(name);
        let whole = Row::new(&document);
        let rows: Vec<Row<'_>> = container.map_or_else(|| vec![whole], |container| whole.rows(container).collect());
        assert!(!rows.is_empty(), "{name} has no rows");
        for row in rows {
            let mut decoded = vec![];
            scalars(&read(row).unwrap(), &mut decoded);
            for field in &fields {
                let mut told = vec![];
                scalars(row.value(field).unwrap_or(&Value::Null), &mut told);
                for text in told {
                    assert!(kept(&text, &decoded), "{name}: {field} \"{text}\" is not in {decoded:?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn the_older_form_of_route_tables_tells_the_same_of_a_route() {
    let document = sample("vpc.DescribeRouteTables");
    let table = Row::new(&document).rows("RouteTables").next().unwrap();
    let routes: Vec<_> = table
        .rows("RouteEntrys")
        .map(|row| vpc::route_entry(row, Provenance(0)).unwrap().unwrap().next_hops[0].clone())
        .collect();
    assert_eq!((routes[0].kind, routes[0].id.as_str()), (NextHopKind::RouterInterface, "ri-2zeo3xzyf38r4urzdpvfs"));
    assert_eq!(routes[1].kind, NextHopKind::Service);
}

#[test]
fn metrics_are_read_from_the_documented_sample() {
    let rows = decode("cms.DescribeMetricList", "Datapoints", |row, at| {
        // The sample is of an instance; its measurements have the same fields.
        let mut fields = Map::new();
        for name in ["timestamp", "Maximum", "Average"] {
            fields.insert(name.to_owned(), row.value(name).unwrap().clone());
        }
        fields.insert("instanceId".to_owned(), Value::from("ri-1"));
        records::measured(Row::new(&fields), at)
    });
    let metrics = records::by_interface(LinkMetricKind::RateLimitDropPps, rows);
    assert_eq!((metrics.len(), metrics[0].points.len()), (1, 10));
    assert_eq!(metrics[0].points[0].average_milli, Some(99_520));
}

/// Decodes a rule, for the forms that the documents leave open.
fn rule(fields: &Value) -> Result<SecurityRule, RowError> {
    ecs::security_rule(Row::new(fields.as_object().unwrap()), &AccountId::parse("1").unwrap())
}

#[test]
fn a_rule_is_read_by_the_documented_precedence() {
    let five = rule(&serde_json::json!({
        "Direction": "egress", "Policy": "DROP", "Priority": "110", "IpProtocol": "tcp", "PortRange": "1/65535",
        "SourceCidrIp": "10.1.2.3", "SourcePortRange": "-1/-1", "DestCidrIp": "172.16.1.9/16", "DestGroupId": "sg-x"
    }))
    .unwrap();
    assert_eq!((five.ingress, five.policy, five.priority), (false, Policy::Drop, 110));
    assert_eq!(five.peer, RulePeer::Cidr(Cidr::parse("172.16.0.0/16").unwrap()));
    assert_eq!((five.own, five.source_ports), (Some(Cidr::parse("10.1.2.3").unwrap()), None));
    let group = |owner: &str| {
        let fields = serde_json::json!({"Direction": "ingress", "IpProtocol": "ICMP", "SourceGroupId": "sg-x",
            "SourceGroupOwnerAccount": owner, "SourcePrefixListId": "pl-x"});
        rule(&fields).unwrap().peer
    };
    let id = SecurityGroupId::parse("sg-x").unwrap();
    assert_eq!(group("1"), RulePeer::Group { id: id.clone(), owner: None });
    assert_eq!(group("2"), RulePeer::Group { id, owner: Some(AccountId::parse("2").unwrap()) });
    let ports = rule(&serde_json::json!({"Direction": "ingress", "IpProtocol": "TCP", "PortRangeListId": "prl-1"}));
    assert_eq!(ports.unwrap_err().to_string(), "PortRangeListId is \"prl-1\"");
}

#[test]
fn next_hops_of_system_routes_and_several_hops_are_told_apart() {
    let entry = |fields: Value| vpc::route_entry(Row::new(fields.as_object().unwrap()), Provenance(0)).unwrap();
    let kind = |destination: &str, hop: Value| {
        entry(serde_json::json!({"DestinationCidrBlock": destination, "Type": "System", "Status": "Available",
            "NextHops": {"NextHop": [hop]}}))
        .unwrap()
        .next_hops[0]
            .kind
    };
    assert_eq!(
        kind("192.168.1.0/24", serde_json::json!({"NextHopType": "local", "NextHopId": ""})),
        NextHopKind::Local
    );
    assert_eq!(kind("192.168.1.0/24", serde_json::json!({})), NextHopKind::Local);
    assert_eq!(kind("100.64.0.0/10", serde_json::json!({"NextHopType": "service"})), NextHopKind::Service);
    assert_eq!(kind("100.64.0.0/10", serde_json::json!({})), NextHopKind::Service);
    let ecmp = entry(serde_json::json!({"DestinationCidrBlock": "10.0.0.0/8", "Type": "custom", "Status": "Available", "NextHops": {"NextHop": [
        {"NextHopType": "RouterInterface", "NextHopId": "ri-1", "Enabled": 1, "Weight": 100},
        {"NextHopType": "RouterInterface", "NextHopId": "ri-2", "Enabled": 0, "Weight": "0"}]}}))
    .unwrap();
    let hops: Vec<_> = ecmp.next_hops.iter().map(|hop| (hop.enabled, hop.weight)).collect();
    assert_eq!(hops, [(Some(true), Some(100)), (Some(false), Some(0))]);
    assert_eq!(entry(serde_json::json!({"DestinationCidrBlock": "pl-1", "Type": "Custom"})), None);
}

/// JSON of any shape, with the vendor's field names in it so that readers get past the first field.
fn any_json() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 24] = [
        "VpcId",
        "VSwitchId",
        "CidrBlock",
        "SecondaryCidrBlocks",
        "RouteTableId",
        "RouteTableType",
        "RouterType",
        "DestinationCidrBlock",
        "NextHops",
        "NextHopType",
        "Type",
        "Status",
        "Role",
        "RouterInterfaceId",
        "RouterId",
        "NetworkAclId",
        "IngressAclEntries",
        "SecurityGroupId",
        "Direction",
        "IpProtocol",
        "PortRange",
        "InstanceId",
        "Priority",
        "SourceCidrIp",
    ];
    const WORDS: [&str; 12] = [
        "vpc-1",
        "10.0.0.0/8",
        "",
        "System",
        "VBR",
        "-1/-1",
        "InitiatingSide",
        "ingress",
        "TCP",
        "99999",
        "é\u{0}",
        "pl-1",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(WORDS.to_vec()).prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 48, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(NAMES.to_vec()), inner), 0..10)
                .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_answered_without_panic(value in any_json()) {
        let members = match value {
            Value::Object(members) => members,
            other => Map::from_iter([("VpcId".to_owned(), other)]),
        };
        let (row, at) = (Row::new(&members), Provenance(0));
        let (account, region) = (AccountId::parse("1").unwrap(), RegionId::parse("r").unwrap());
        let _ = (vpc::vpc(row, at), vpc::vswitch(row, at), vpc::route_table(row, at), vpc::route_entry(row, at));
        let _ = (vpc::router_interface(row, at), vpc::network_acl(row, at), ecs::security_group(row, at));
        let _ = (ecs::security_rule(row, &account), ecs::inner_access(row), ecs::instance(row, at), ecs::eni(row, at));
        let _ = (ecs::prefix_list_entry(row, at), interconnect::vpc_peering(row, at, &account, &region));
        let _ = (interconnect::attachment(row, at), interconnect::transit_table(row, at));
        let _ = (interconnect::transit_route(row, at), interconnect::bound_attachment(row, at), row.time("Status"));
    }
}
