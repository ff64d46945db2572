//! Router interfaces of the link: what one account's data shows about the other's, and what prevents connecting them.

use crate::ObjectKind;
use crate::tests::{summary, world::*};
use RouterInterfaceStatus as Status;
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn broken(change: impl FnOnce(&mut World)) -> Vec<String> {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S1);
    change(&mut world);
    summary::blamed(&world.verdict())
}

fn unread(world: &mut World, side: Side) {
    world.snapshot(side).router_interfaces = Known::Unknown(WhyUnknown::Denied {
        action: "vpc:DescribeRouterInterfaces".into(),
        code: "Forbidden.RAM".into(),
        request_id: String::new(),
    });
}

#[test]
fn a_missing_interface_is_its_networks_fault_and_any_other_its_own() {
    let kinds = |change: fn(&mut World)| {
        let mut world = World::healthy();
        world.wire(Wire::S1, Wire::S1);
        change(&mut world);
        world.verdict().causes.into_iter().map(|cause| (cause.object.id, cause.object.kind)).collect::<Vec<_>>()
    };
    let gone = |world: &mut World| {
        known(&mut world.snapshot(C).router_interfaces).clear();
        world.entries(C).truncate(1);
    };
    assert_eq!(kinds(gone)[0], ("vpc-b".to_owned(), ObjectKind::Vpc));
    let frozen = |world: &mut World| world.interface(C).status = Status::Inactive;
    assert_eq!(kinds(frozen)[0], ("ri-b".to_owned(), ObjectKind::RouterInterface));
}

#[test]
fn two_that_are_idle_are_not_connected_whatever_else_tells_so() {
    let idle = |world: &mut World, told: Option<Status>| {
        for side in Side::BOTH {
            let ri = world.interface(side);
            (ri.status, ri.opposite_status) = (Status::Idle, told);
        }
    };
    let blame = ["ri-not-connected initiator ri-a"];
    assert_eq!(broken(|world| idle(world, Some(Status::Idle))), blame);
    assert_eq!(broken(|world| idle(world, None)), blame, "both were read");
    let alone = |world: &mut World, told| {
        idle(world, told);
        world.case.snapshots.retain(|snapshot| snapshot.account.as_str() == A);
    };
    assert_eq!(broken(|world| alone(world, Some(Status::Idle))), blame, "the other's state is told");
    assert_eq!(broken(|world| alone(world, None)), Vec::<String>::new(), "nobody tells of the other");
    assert_eq!(broken(|world| alone(world, Some(Status::Active))), Vec::<String>::new());
}

#[test]
fn the_peers_words_name_this_sides_interface_only_while_both_are_in_use() {
    let astray = |world: &mut World| {
        world.wire(Wire::S1, Wire::S5);
        unread(world, I);
        world.entries(I)[1].next_hops[0].id = "ri-other".into();
    };
    assert_eq!(broken(astray), ["route-wrong-next-hop initiator rte-peer-a"]);
    for status in [Some(Status::Inactive), None] {
        let mut world = World::healthy();
        astray(&mut world);
        world.wire(Wire::S1, Wire::S1);
        world.interface(C).opposite_status = status;
        let blamed = summary::blamed(&world.verdict());
        assert!(!blamed.iter().any(|cause| cause.starts_with("route")), "which hop is the link's? {blamed:?}");
    }
}

#[test]
fn a_leg_carries_only_while_it_is_in_use_unlocked_and_its_opposite_too() {
    type Make = fn(&mut RouterInterface);
    let makes: [(&str, Make, bool); 5] = [
        ("in use", |_| {}, false),
        ("frozen", |ri| ri.status = Status::Inactive, true),
        ("locked", |ri| ri.business_status = BusinessStatus::FinancialLocked, true),
        ("its opposite frozen", |ri| ri.opposite_status = Some(Status::Inactive), true),
        ("its opposite untold", |ri| ri.opposite_status = None, false),
    ];
    for (what, make, dead) in makes {
        let mut world = World::healthy();
        let mut leg = world.interface(I).clone();
        leg.id = id("ri-z");
        make(&mut leg);
        known(&mut world.snapshot(I).router_interfaces).push(leg);
        let hop = NextHop { kind: NextHopKind::RouterInterface, id: "ri-z".into(), enabled: None, weight: None };
        world.entries(I)[1].next_hops.push(hop);
        let expect: &[&str] = if dead { &["ecmp-leg-dead initiator ri-z"] } else { &[] };
        assert_eq!(summary::blamed(&world.verdict()), expect, "{what}");
    }
}

#[test]
fn the_segment_bears_the_far_ends_name_as_the_near_end_tells_it() {
    let lossy = |change: &dyn Fn(&mut World)| {
        let mut world = World::healthy();
        world.wire(Wire::LosesRequests(20), Wire::Through);
        change(&mut world);
        summary::blamed(&world.verdict())
    };
    let beside = |world: &mut World| {
        let mut other = world.interface(I).clone();
        (other.id, other.opposite_interface, other.vpc) = (id("ri-0"), Some(id("ri-far")), Some(id("vpc-a2")));
        (other.router, other.opposite_vpc) = (id("vrt-a2"), Some(id("vpc-far")));
        known(&mut world.snapshot(I).router_interfaces).insert(0, other);
    };
    let segment = ["loss-in-fabric initiator ri-a~ri-b"];
    assert_eq!(lossy(&beside), segment);
    let told_by_one = |world: &mut World| {
        beside(world);
        unread(world, C);
        let all = known(&mut world.snapshot(I).router_interfaces);
        for ri in all {
            ri.opposite_status = None;
        }
    };
    assert_eq!(lossy(&told_by_one), segment);
}
