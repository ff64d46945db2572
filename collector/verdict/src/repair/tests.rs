//! Single repairs on a model: what each changes, how its command is written, and when the cloud would refuse it.

use super::{apply::apply, *};
use crate::tests::{configuration::links::peered, configuration::transit, world::*};
use pingtong_evidence::*;

mod bounds;
mod openings;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn model(world: &World) -> Model {
    world.case.question().model()
}

/// The action and its parameters, without the tool, the product and the region.
fn command(model: &mut Model, side: Side, fix: &Fix) -> Option<String> {
    let call = apply(model, side, fix)?;
    assert_eq!(call.cli[0], "aliyun");
    assert_eq!(call.cli[3..5], ["--RegionId".to_owned(), model.link.side(side).region.to_string()]);
    Some([&[call.cli[2].clone()], &call.cli[5..]].concat().join(" "))
}

fn ri(model: &Model, side: Side) -> &RouterInterface {
    &model.snapshot(side).unwrap().router_interfaces.known().unwrap()[0]
}

/// Both interfaces name each other and are not connected yet.
fn idle() -> World {
    let mut world = World::healthy();
    for side in Side::BOTH {
        let ri = world.interface(side);
        (ri.status, ri.opposite_status) = (RouterInterfaceStatus::Idle, Some(RouterInterfaceStatus::Idle));
    }
    world
}

#[test]
fn two_interfaces_that_name_each_other_are_connected_and_know_of_it() {
    let mut world = idle();
    let mut third = world.interface(C).clone();
    (third.id, third.opposite_interface) = (id("ri-third"), Some(id("ri-of-another")));
    known(&mut world.snapshot(C).router_interfaces).push(third);
    let mut model = model(&world);
    let connect = Fix::Connect { ri: id("ri-a") };
    let told = command(&mut model, I, &connect);
    assert_eq!(told.as_deref(), Some("ConnectRouterInterface --RouterInterfaceId ri-a"));
    let active = RouterInterfaceStatus::Active;
    for side in Side::BOTH {
        assert_eq!((ri(&model, side).status, ri(&model, side).opposite_status), (active, Some(active)), "{side}");
    }
    let others = &model.snapshot(C).unwrap().router_interfaces.known().unwrap()[1];
    let idle = RouterInterfaceStatus::Idle;
    assert_eq!((others.status, others.opposite_status), (idle, Some(idle)), "of another connection");
    assert_eq!(command(&mut model, I, &connect), None, "twice is refused");
}

#[test]
fn interfaces_that_do_not_name_each_other_rightly_are_not_connected() {
    type Spoil = fn(&mut RouterInterface);
    let spoils: [Spoil; 5] = [
        |ri| ri.opposite_interface = Some(id("ri-x")),
        |ri| ri.opposite_router = Some(id("vrt-x")),
        |ri| ri.opposite_router_kind = Some(RouterKind::Vbr),
        |ri| ri.opposite_owner = Some(id("1000000000000009")),
        |ri| ri.status = RouterInterfaceStatus::Active,
    ];
    for (n, spoil) in spoils.into_iter().enumerate() {
        for side in Side::BOTH {
            let mut world = idle();
            spoil(world.interface(side));
            let mut model = model(&world);
            let before = [I, C].map(|side| ri(&model, side).clone());
            assert_eq!(command(&mut model, I, &Fix::Connect { ri: id("ri-a") }), None, "{n} {side}");
            assert_eq!([I, C].map(|side| ri(&model, side).clone()), before);
        }
    }
}

#[test]
fn an_interface_is_activated_though_its_account_cannot_be_read() {
    let mut world = World::healthy();
    world.interface(C).opposite_status = Some(RouterInterfaceStatus::Inactive);
    let mut third = world.interface(C).clone();
    (third.id, third.opposite_interface) = (id("ri-third"), Some(id("ri-of-another")));
    known(&mut world.snapshot(C).router_interfaces).push(third);
    world.snapshot(I).router_interfaces = Known::default();
    let mut seen = model(&world);
    let told = command(&mut seen, I, &Fix::Activate { ri: id("ri-a") });
    assert_eq!(told.as_deref(), Some("ActivateRouterInterface --RouterInterfaceId ri-a"));
    let all = seen.snapshot(C).unwrap().router_interfaces.known().unwrap();
    let states: Vec<_> = all.iter().map(|ri| ri.opposite_status.unwrap()).collect();
    assert_eq!(states, [RouterInterfaceStatus::Active, RouterInterfaceStatus::Inactive]);
    // An interface that its account is known not to have is not activated.
    let mut model = model(&World::healthy());
    assert_eq!(command(&mut model, I, &Fix::Activate { ri: id("ri-none") }), None);
}

#[test]
fn a_route_leads_to_the_side_s_own_end_of_each_kind_of_connection() {
    let mut peering = World::healthy();
    peered(&mut peering, VpcPeeringStatus::Activated);
    for (mut world, hop) in [
        (World::healthy(), "RouterInterface --NextHopId ri-a"),
        (peering, "VpcPeer --NextHopId pcc-1"),
        (transit::healthy(), "Attachment --NextHopId tr-attach-a"),
    ] {
        let route = Fix::CreateRoute { table: id("vtb-a"), destination: cidr("172.16.0.0/16") };
        assert_eq!(command(&mut model(&world), I, &route), None, "there is one already");
        world.entries(I).truncate(1);
        let mut model = model(&world);
        let told = command(&mut model, I, &route).unwrap();
        let expected = "CreateRouteEntry --RouteTableId vtb-a --DestinationCidrBlock 172.16.0.0/16 --NextHopType ";
        assert_eq!(told, format!("{expected}{hop}"));
        let tables = model.snapshot(I).unwrap().route_tables.known().unwrap();
        let made = &tables[0].entries.known().unwrap()[1];
        assert_eq!((made.destination, made.status), (cidr("172.16.0.0/16"), RouteStatus::Available));
    }
}

#[test]
fn a_transit_router_is_changed_only_where_that_changes_something() {
    let mut model = model(&transit::healthy());
    let (table, attachment): (RouteTableId, AttachmentId) = (id("vtb-tr-a"), id("tr-attach-b"));
    let associate = |attachment: &str| Fix::AssociateTransit { table: table.clone(), attachment: id(attachment) };
    assert_eq!(command(&mut model, I, &associate("tr-attach-a")), None, "associated already");
    let words = "AssociateTransitRouterAttachmentWithRouteTable --TransitRouterRouteTableId vtb-tr-a";
    let told = command(&mut model, I, &associate("tr-attach-b"));
    assert_eq!(told, Some(format!("{words} --TransitRouterAttachmentId tr-attach-b")));
    let route = |block: &str, propagated, attachment: Option<AttachmentId>| {
        let destination = cidr(block);
        TransitRoute { destination, attachment, active: true, propagated }
    };
    let create = |block: &str| {
        let (table, attachment) = (table.clone(), attachment.clone());
        Fix::CreateTransitRoute { table, destination: cidr(block), attachment }
    };
    let delete = |route: TransitRoute| Fix::DeleteTransitRoute { table: table.clone(), route };
    // A propagated route does not prevent a static one; a static one does, for the same block only.
    assert!(command(&mut model, I, &create("172.16.1.0/24")).is_some());
    assert_eq!(command(&mut model, I, &create("172.16.1.0/24")), None);
    assert!(command(&mut model, I, &create("172.16.2.0/24")).is_some());
    let written = route("172.16.1.0/24", false, Some(attachment.clone()));
    let told = command(&mut model, I, &delete(written.clone()));
    let words = "DeleteTransitRouterRouteEntry --TransitRouterRouteTableId vtb-tr-a \
                 --TransitRouterRouteEntryDestinationCidrBlock 172.16.1.0/24 --TransitRouterRouteEntryNextHopType";
    let hop = "--TransitRouterRouteEntryNextHopId tr-attach-b";
    assert_eq!(told, Some(format!("{words} Attachment {hop}")));
    assert_eq!(command(&mut model, I, &delete(written)), None, "it is gone");
    assert_eq!(command(&mut model, I, &delete(route("10.0.0.0/8", false, None))), None, "it never was");
}

#[test]
fn a_rule_without_an_id_is_revoked_by_all_its_fields() {
    let peers = [
        (RulePeer::Any, "--SourceCidrIp 0.0.0.0/0"),
        (RulePeer::Cidr(cidr("10.0.0.0/8")), "--SourceCidrIp 10.0.0.0/8"),
        (RulePeer::Cidr(cidr("fd00::/8")), "--Ipv6SourceCidrIp fd00::/8"),
        (RulePeer::Group { id: id("sg-x"), owner: None }, "--SourceGroupId sg-x"),
        (
            RulePeer::Group { id: id("sg-x"), owner: Some(id(B)) },
            "--SourceGroupId sg-x --SourceGroupOwnerId 1000000000000002",
        ),
        (RulePeer::PrefixList(id("pl-1")), "--SourcePrefixListId pl-1"),
    ];
    for (peer, words) in peers {
        for ingress in [true, false] {
            let ports = PortRange::new(0, 90).unwrap();
            let plain = rule("sgr-x", Policy::Drop, 7, RuleProtocol::Udp, peer.clone());
            let nameless = SecurityRule { id: None, ingress, ports, ..plain };
            let mut world = World::healthy();
            world.rules(C).push(nameless.clone());
            let mut model = model(&world);
            let told = command(&mut model, C, &Fix::RemoveRule { group: id("sg-b"), rule: nameless.clone() });
            let (action, far) = if ingress {
                ("RevokeSecurityGroup", words.to_owned())
            } else {
                ("RevokeSecurityGroupEgress", words.replace("Source", "Dest"))
            };
            let expected = format!(
                "{action} --SecurityGroupId sg-b --IpProtocol udp --PortRange 1/90 {far} --NicType intranet --Policy drop \
                 --Priority 7"
            );
            assert_eq!(told, Some(expected));
            let groups = model.snapshot(C).unwrap().security_groups.known().unwrap();
            assert_eq!(groups[0].rules.known().unwrap().len(), 1);
        }
    }
}
