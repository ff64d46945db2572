//! Links over transit routers: two regions; both routers belong to the initiator's account, and only that account can
//! read their tables.

use crate::tests::world::*;
use crate::{State, Verdict};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn blamed(verdict: &Verdict) -> Vec<String> {
    let causes = verdict.causes.iter();
    causes.map(|cause| format!("{} {} {} {}", cause.code, cause.side, cause.object.id, cause.object.region)).collect()
}

pub(in crate::tests) fn attachment(side: Side) -> TransitAttachment {
    let (x, account, region, ..) = World::side(side);
    TransitAttachment {
        id: id(&format!("tr-attach-{x}")),
        transit_router: id(&format!("tr-{x}")),
        vpc: id(&format!("vpc-{x}")),
        vpc_owner: Some(id(account)),
        vpc_region: Some(id(region)),
        attached: true,
        provenance: Provenance(0),
    }
}

pub(in crate::tests) fn peering(near: Side) -> TransitPeering {
    let (near, far) = (World::side(near), World::side(near.opposite()));
    TransitPeering {
        id: id("tr-attach-between"),
        transit_router: id(&format!("tr-{}", near.0)),
        region: id(near.2),
        peer_transit_router: id(&format!("tr-{}", far.0)),
        peer_region: id(far.2),
        peer_owner: Some(id(A)),
        bandwidth_mbps: Some(1024),
        attached: true,
        provenance: Provenance(0),
    }
}

pub(in crate::tests) fn learned(destination: &str, attachment: &str) -> TransitRoute {
    TransitRoute { destination: cidr(destination), attachment: Some(id(attachment)), active: true, propagated: true }
}

fn table(side: Side) -> TransitRouteTable {
    let (own, far) = (World::side(side).0, World::side(side.opposite()).0);
    let block = |x: &str| if x == "a" { "192.168.1.0/24" } else { "172.16.1.0/24" };
    TransitRouteTable {
        id: id(&format!("vtb-tr-{own}")),
        transit_router: id(&format!("tr-{own}")),
        associations: Known::Known(vec![id(&format!("tr-attach-{own}")), id("tr-attach-between")]),
        propagations: Known::Known(vec![id(&format!("tr-attach-{own}")), id("tr-attach-between")]),
        routes: Known::Known(vec![
            learned(block(own), &format!("tr-attach-{own}")),
            learned(block(far), "tr-attach-between"),
        ]),
        provenance: Provenance(0),
    }
}

pub(in crate::tests) fn refused() -> WhyUnknown {
    let action = "cen:ListTransitRouterRouteTables".into();
    WhyUnknown::Denied { action, code: "Forbidden.RAM".into(), request_id: String::new() }
}

pub(crate) fn healthy() -> World {
    let mut world = World::healthy();
    world.case.pair.link.kind = LinkKind::TransitRouter;
    for side in Side::BOTH {
        world.snapshot(side).transit_attachments = Known::Known(vec![attachment(side)]);
        let hop = &mut world.entries(side)[1].next_hops[0];
        (hop.kind, hop.id) = (NextHopKind::Attachment, attachment(side).id.to_string());
    }
    let owner = world.snapshot(I);
    owner.transit_peerings = Known::Known(vec![peering(I), peering(C)]);
    owner.transit_route_tables = Known::Known(vec![table(I), table(C)]);
    // The router does not belong to the acceptor: its listings do not show it.
    let other = world.snapshot(C);
    other.transit_peerings = Known::Known(vec![]);
    let (code, request_id) = ("InvalidTransitRouterId.NotFound".into(), String::new());
    let action = "cbn:ListTransitRouterRouteTables".into();
    other.transit_route_tables = Known::Unknown(WhyUnknown::Refused { action, code, request_id });
    world
}

pub(crate) fn tables(world: &mut World) -> &mut Vec<TransitRouteTable> {
    known(&mut world.snapshot(I).transit_route_tables)
}

pub(crate) fn routes(world: &mut World, side: Side) -> &mut Vec<TransitRoute> {
    known(&mut tables(world)[usize::from(side == C)].routes)
}

#[test]
fn two_regions_with_everything_done_are_healthy() {
    let verdict = healthy().verdict();
    assert_eq!((verdict.state, blamed(&verdict)), (State::Healthy, vec![]));
    assert!(verdict.gaps.is_empty(), "{:?}", verdict.gaps);
}

#[test]
fn a_route_that_a_transit_router_lacks_is_its_tables_fault_and_the_owner_writes_it() {
    let mut world = healthy();
    world.wire(Wire::S1, Wire::S5);
    routes(&mut world, I).retain(|route| route.destination == cidr("192.168.1.0/24"));
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["route-missing initiator vtb-tr-a cn-qingdao"]);
    assert!(verdict.repairs.proven);
    assert_eq!(
        verdict.repairs.set[0].cli.join(" "),
        "aliyun cbn CreateTransitRouterRouteEntry --RegionId cn-qingdao --TransitRouterRouteTableId vtb-tr-a \
         --TransitRouterRouteEntryDestinationCidrBlock 172.16.0.0/16 --TransitRouterRouteEntryNextHopType Attachment \
         --TransitRouterRouteEntryNextHopId tr-attach-between"
    );
}

#[test]
fn a_table_that_does_not_learn_says_so_and_unread_learning_is_told() {
    let mut world = healthy();
    world.wire(Wire::S1, Wire::S5);
    routes(&mut world, I).retain(|route| route.destination == cidr("192.168.1.0/24"));
    known(&mut tables(&mut world)[0].propagations).retain(|from| from.as_str() == "tr-attach-a");
    let texts = |verdict: &Verdict| -> String {
        verdict.causes.iter().flat_map(|cause| &cause.evidence).map(|line| line.text.clone()).collect()
    };
    assert!(texts(&world.verdict()).contains("does not learn from tr-attach-between"));
    tables(&mut world)[0].propagations = Known::Unknown(refused());
    let verdict = world.verdict();
    assert!(!texts(&verdict).contains("does not learn"));
    assert_eq!(blamed(&verdict), ["route-missing initiator vtb-tr-a cn-qingdao"]);
    assert!(verdict.gaps.iter().any(|gap| gap.code == GapCode::ConfigDenied), "{:?}", verdict.gaps);
}

#[test]
fn the_router_of_the_other_region_is_looked_up_as_well() {
    let mut world = healthy();
    world.wire(Wire::S1, Wire::S5);
    routes(&mut world, C).retain(|route| route.destination == cidr("192.168.1.0/24"));
    assert_eq!(blamed(&world.verdict()), ["route-missing initiator vtb-tr-b cn-beijing"]);
}

#[test]
fn a_written_black_hole_goes_before_a_learned_route_and_is_deleted() {
    let mut world = healthy();
    world.wire(Wire::S5, Wire::S1);
    let hole = TransitRoute { attachment: None, propagated: false, ..learned("192.168.1.0/24", "tr-attach-between") };
    routes(&mut world, C).push(hole);
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["route-wrong-next-hop initiator vtb-tr-b cn-beijing"]);
    assert!(verdict.repairs.proven);
    assert!(
        verdict.repairs.set[0].cli.join(" ").contains("DeleteTransitRouterRouteEntry"),
        "{:?}",
        verdict.repairs.set
    );
}

#[test]
fn a_route_to_another_attachment_is_wrong() {
    let mut world = healthy();
    world.wire(Wire::S1, Wire::S5);
    routes(&mut world, I).push(learned("172.16.1.0/28", "tr-attach-x"));
    assert_eq!(blamed(&world.verdict()), ["route-wrong-next-hop initiator vtb-tr-a cn-qingdao"]);
}

#[test]
fn routers_that_send_a_packet_back_and_forth_are_found_out() {
    let mut world = healthy();
    world.wire(Wire::S1, Wire::S5);
    routes(&mut world, C).push(learned("172.16.1.0/28", "tr-attach-between"));
    assert_eq!(blamed(&world.verdict()), ["route-loop initiator vtb-tr-b cn-beijing"]);
}

#[test]
fn what_stops_a_packet_at_one_router_hides_nothing_at_the_other() {
    let mut world = healthy();
    world.wire(Wire::S1, Wire::S5);
    routes(&mut world, I).retain(|route| route.destination == cidr("192.168.1.0/24"));
    let hole = TransitRoute { attachment: None, ..learned("172.16.1.0/28", "tr-attach-b") };
    routes(&mut world, C).push(hole);
    assert_eq!(
        blamed(&world.verdict()),
        ["route-missing initiator vtb-tr-a cn-qingdao", "route-wrong-next-hop initiator vtb-tr-b cn-beijing"]
    );
}

#[test]
fn an_attachment_without_an_association_is_blamed() {
    let mut world = healthy();
    world.wire(Wire::S1, Wire::S5);
    known(&mut tables(&mut world)[1].associations).retain(|bound| bound.as_str() == "tr-attach-b");
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["route-missing initiator tr-attach-between cn-beijing"]);
    assert!(verdict.repairs.proven);
    assert_eq!(
        verdict.repairs.set[0].cli.join(" "),
        "aliyun cbn AssociateTransitRouterAttachmentWithRouteTable --RegionId cn-qingdao --TransitRouterRouteTableId \
         vtb-tr-b --TransitRouterAttachmentId tr-attach-between"
    );
}

#[test]
fn attachments_that_are_not_attached_are_blamed_and_hide_nothing() {
    let mut world = healthy();
    world.wire(Wire::S1, Wire::S1);
    known(&mut world.snapshot(C).transit_attachments)[0].attached = false;
    for peering in known(&mut world.snapshot(I).transit_peerings) {
        peering.attached = false;
    }
    routes(&mut world, C).retain(|route| route.destination == cidr("192.168.1.0/24"));
    assert_eq!(
        blamed(&world.verdict()),
        [
            "peering-not-active initiator tr-attach-between cn-qingdao",
            "peering-not-active acceptor tr-attach-b cn-beijing",
            "route-missing initiator vtb-tr-b cn-beijing",
        ]
    );
}

#[test]
fn one_router_of_one_region_needs_no_connection() {
    let mut world = healthy();
    known(&mut world.snapshot(C).transit_attachments)[0].transit_router = id("tr-a");
    let all = tables(&mut world);
    all.truncate(1);
    known(&mut all[0].associations).push(id("tr-attach-b"));
    all[0].routes =
        Known::Known(vec![learned("192.168.1.0/24", "tr-attach-a"), learned("172.16.1.0/24", "tr-attach-b")]);
    assert_eq!(world.verdict().state, State::Healthy);
    world.wire(Wire::S5, Wire::S1);
    routes(&mut world, I).remove(0);
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["route-missing initiator vtb-tr-a cn-qingdao"]);
    assert!(verdict.repairs.proven);
}

#[test]
fn what_was_not_read_is_a_gap_and_never_a_cause() {
    type Hide = fn(&mut World);
    let hidden: [(&str, Hide); 5] = [
        ("tables", |w| w.snapshot(I).transit_route_tables = Known::Unknown(refused())),
        ("routes", |w| tables(w)[0].routes = Known::Unknown(refused())),
        ("associations", |w| {
            tables(w)[0].associations = Known::Unknown(refused());
        }),
        ("connections", |w| w.snapshot(I).transit_peerings = Known::Unknown(refused())),
        ("attachments", |w| w.snapshot(I).transit_attachments = Known::Unknown(refused())),
    ];
    for (what, hide) in hidden {
        let mut world = healthy();
        world.wire(Wire::S1, Wire::S5);
        hide(&mut world);
        let verdict = world.verdict();
        assert_eq!(blamed(&verdict), Vec::<String>::new(), "{what}");
        assert!(verdict.gaps.iter().any(|gap| gap.code == GapCode::ConfigDenied), "{what}: {:?}", verdict.gaps);
    }
}

#[test]
fn a_route_shows_an_attachment_that_no_listing_does() {
    let mut world = healthy();
    world.wire(Wire::S5, Wire::S1);
    known(&mut world.snapshot(C).transit_attachments).clear();
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), Vec::<String>::new());
    world.wire(Wire::S1, Wire::S1);
    world.entries(C).retain(|entry| entry.kind == RouteKind::System);
    assert!(blamed(&world.verdict()).contains(&"peering-not-active acceptor vpc-b cn-beijing".to_owned()));
}

#[test]
fn a_router_that_sends_a_packet_back_over_the_regions_makes_a_loop() {
    let mut world = healthy();
    world.wire(Wire::S1, Wire::S5);
    let back = TransitRoute { propagated: false, ..learned("172.16.1.0/24", "tr-attach-between") };
    routes(&mut world, C).push(back);
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["route-loop initiator vtb-tr-b cn-beijing"]);
    assert!(verdict.repairs.proven, "{:#?}", verdict.repairs);
}
