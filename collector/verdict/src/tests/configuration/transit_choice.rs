//! Which of several attachments and routers is the intended one, which region and reading is named, and how a loop is
//! repaired.

use crate::Verdict;
use crate::tests::{
    configuration::transit::{healthy, routes, tables},
    world::*,
};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn blamed(verdict: &Verdict) -> Vec<String> {
    let causes = verdict.causes.iter();
    causes.map(|cause| format!("{} {} {}", cause.code, cause.object.id, cause.object.region)).collect()
}

/// Adds a second attachment of the initiator's VPC, whose name sorts first.
fn second(world: &mut World, router: &str) {
    let all = known(&mut world.snapshot(I).transit_attachments);
    let second = TransitAttachment { id: id("tr-attach-0"), transit_router: id(router), ..all[0].clone() };
    all.push(second);
}

#[test]
fn an_attachment_at_a_router_that_nothing_joins_to_the_peers_is_not_meant() {
    let mut world = healthy();
    second(&mut world, "tr-lonely");
    assert_eq!(blamed(&world.verdict()), Vec::<String>::new());
    // It is not intended even if the route leads to it: the route is then wrong.
    world.wire(Wire::S1, Wire::S5);
    world.entries(I)[1].next_hops[0].id = "tr-attach-0".into();
    assert_eq!(blamed(&world.verdict()), ["route-wrong-next-hop rte-peer-a cn-qingdao"]);
}

#[test]
fn of_two_attachments_at_one_router_the_one_that_routes_lead_to_is_meant() {
    let mut world = healthy();
    second(&mut world, "tr-a");
    assert_eq!(blamed(&world.verdict()), Vec::<String>::new());
    let mut bound = known(&mut tables(&mut world)[0].associations).clone();
    bound.push(id("tr-attach-0"));
    tables(&mut world)[0].associations = Known::Known(bound);
    routes(&mut world, I)[0].attachment = Some(id("tr-attach-0"));
    world.entries(I)[1].next_hops[0].id = "tr-attach-0".into();
    assert_eq!(blamed(&world.verdict()), Vec::<String>::new());
}

#[test]
fn a_router_that_no_attachment_places_is_placed_by_its_connection() {
    let mut world = healthy();
    world.wire(Wire::S1, Wire::S5);
    for side in Side::BOTH {
        known(&mut world.snapshot(side).transit_attachments)[0].vpc_region = None;
    }
    routes(&mut world, C).retain(|route| route.destination == cidr("192.168.1.0/24"));
    assert_eq!(blamed(&world.verdict()), ["route-missing vtb-tr-b cn-beijing"]);
    let mut world = healthy();
    world.wire(Wire::S1, Wire::S5);
    for side in Side::BOTH {
        known(&mut world.snapshot(side).transit_attachments)[0].vpc_region = None;
    }
    routes(&mut world, I).retain(|route| route.destination == cidr("192.168.1.0/24"));
    assert_eq!(blamed(&world.verdict()), ["route-missing vtb-tr-a cn-qingdao"]);
}

#[test]
fn a_learned_route_that_makes_a_loop_is_overruled_and_not_deleted() {
    let mut world = healthy();
    world.wire(Wire::S1, Wire::S5);
    let routes = routes(&mut world, C);
    routes.retain(|route| route.destination == cidr("192.168.1.0/24"));
    let back = TransitRoute { destination: cidr("172.16.0.0/16"), ..routes[0].clone() };
    routes.push(back);
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["route-loop vtb-tr-b cn-beijing"]);
    assert!(verdict.repairs.proven);
    let cli = verdict.repairs.set[0].cli.join(" ");
    assert!(cli.contains("CreateTransitRouterRouteEntry") && cli.ends_with("tr-attach-b"), "{cli}");
}

#[test]
fn evidence_names_the_call_that_read_a_table_and_none_where_another_reading_showed_it() {
    let missing = |elsewhere: bool| {
        let mut world = healthy();
        world.wire(Wire::S1, Wire::S5);
        routes(&mut world, I).retain(|route| route.destination == cidr("192.168.1.0/24"));
        if elsewhere {
            // Another reading of the same account, in a third region, contains its routers.
            let own = world.snapshot(I);
            let mut third = Snapshot::unread(own.account.clone(), id("cn-hangzhou"), own.taken_at);
            third.vpcs = Known::Known(vec![]);
            third.transit_route_tables = std::mem::take(&mut own.transit_route_tables);
            third.transit_peerings = std::mem::take(&mut own.transit_peerings);
            world.case.snapshots.push(third);
        }
        let mut verdict = world.verdict();
        assert_eq!(blamed(&verdict), ["route-missing vtb-tr-a cn-qingdao"]);
        verdict.causes.remove(0).evidence.remove(0).api
    };
    assert_eq!(missing(false).as_deref(), Some("vpc:Describe"));
    assert_eq!(missing(true), None);
}
