//! Which of several router interfaces is the intended one for a link, whatever its name and place in the list.

use crate::tests::world::*;
use crate::walk::hops;
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn chosen(world: &World, side: Side) -> Option<String> {
    let mut model = world.case.question().model();
    model.elsewhere.clone_from(&world.case.elsewhere);
    hops(&model).get(side).map(|(_, id)| id.clone())
}

/// Makes the interface name no peer and wait to be connected.
fn unset(ri: &mut RouterInterface) {
    (ri.status, ri.connected_at, ri.opposite_status) = (RouterInterfaceStatus::Idle, None, None);
    (ri.opposite_interface, ri.opposite_owner, ri.opposite_router, ri.opposite_vpc) = (None, None, None, None);
}

/// Checks that the initiator's interface, changed by `meant`, is selected over a copy changed by `other`, whichever
/// name sorts first and whichever is listed first.
fn between(meant: impl Fn(&mut RouterInterface), other: impl Fn(&mut RouterInterface), far: impl Fn(&mut World)) {
    for name in ["ri-0", "ri-z"] {
        let mut world = World::healthy();
        far(&mut world);
        let mut beside = world.interface(I).clone();
        meant(world.interface(I));
        other(&mut beside);
        beside.id = id(name);
        for first in [false, true] {
            let mut world = world.clone();
            let all = known(&mut world.snapshot(I).router_interfaces);
            all.insert(usize::from(!first), beside.clone());
            assert_eq!(chosen(&world, I).as_deref(), Some("ri-a"), "beside {name}");
        }
    }
}

fn far_unset(world: &mut World) {
    unset(world.interface(C));
}

#[test]
fn the_one_that_is_joined_to_the_peer_goes_before_one_that_names_nobody() {
    between(|_| {}, unset, |_| {});
    // Its own fields decide where the peer's list does not.
    let by_id = |ri: &mut RouterInterface| {
        unset(ri);
        ri.opposite_interface = Some(id("ri-b"));
    };
    between(by_id, unset, far_unset);
    let by_vpc = |ri: &mut RouterInterface| {
        unset(ri);
        ri.opposite_vpc = Some(id("vpc-b"));
    };
    between(by_vpc, unset, |world| world.snapshot(C).router_interfaces = Known::default());
}

#[test]
fn of_two_that_name_nobody_the_one_that_the_peer_names_is_meant() {
    between(unset, unset, |_| {});
}

#[test]
fn of_two_that_nobody_names_region_role_and_owner_tell_in_this_order() {
    let elsewhere = |ri: &mut RouterInterface| {
        unset(ri);
        ri.opposite_region = Some(id("cn-hangzhou"));
    };
    let accepting = |ri: &mut RouterInterface| {
        unset(ri);
        ri.role = RouterInterfaceRole::Accepting;
    };
    let owned = |ri: &mut RouterInterface| {
        unset(ri);
        ri.opposite_owner = Some(id(B));
    };
    between(unset, elsewhere, far_unset);
    between(unset, accepting, far_unset);
    between(owned, unset, far_unset);
    between(accepting, elsewhere, far_unset);
    let accepting_owned = |ri: &mut RouterInterface| {
        accepting(ri);
        ri.opposite_owner = Some(id(B));
    };
    between(unset, accepting_owned, far_unset);
}

#[test]
fn one_that_is_joined_to_a_misplaced_interface_of_the_peers_is_the_last_choice() {
    let astray = |world: &mut World| {
        let far = world.interface(C);
        (far.vpc, far.router) = (Some(id("vpc-x")), id("vrt-x"));
        (far.opposite_interface, far.opposite_vpc) = (Some(id("ri-joined")), Some(id("vpc-a")));
    };
    let joined = |ri: &mut RouterInterface| {
        (ri.id, ri.opposite_vpc) = (id("ri-joined"), Some(id("vpc-x")));
    };
    let mut world = World::healthy();
    astray(&mut world);
    joined(world.interface(I));
    assert_eq!(chosen(&world, I).as_deref(), Some("ri-joined"), "alone, it was made for this link");
    let mut fresh = world.interface(I).clone();
    unset(&mut fresh);
    fresh.id = id("ri-z");
    known(&mut world.snapshot(I).router_interfaces).push(fresh);
    assert_eq!(chosen(&world, I).as_deref(), Some("ri-z"));
}

#[test]
fn one_whose_peer_is_known_to_sit_on_another_vpc_is_none_of_this_links() {
    let mut world = World::healthy();
    let mut other = world.interface(C).clone();
    (other.id, other.vpc, other.router) = (id("ri-x"), Some(id("vpc-x")), id("vrt-x"));
    other.opposite_interface = None;
    far_unset(&mut world);
    known(&mut world.snapshot(C).router_interfaces).push(other);
    let ri = world.interface(I);
    (ri.opposite_interface, ri.opposite_vpc) = (Some(id("ri-x")), None);
    assert_eq!(chosen(&world, I), None);
    world.interface(I).opposite_interface = Some(id("ri-b"));
    assert_eq!(chosen(&world, I).as_deref(), Some("ri-a"));
}

/// A pair of another link between two VPCs.
fn link(world: &World, initiator: (&str, &str, &str), acceptor: (&str, &str, &str)) -> Pair {
    let side = |(account, region, vpc): (&str, &str, &str)| LinkSide {
        account: id(account),
        region: id(region),
        vpc: id(vpc),
    };
    let mut pair = world.case.pair.clone();
    (pair.id, pair.link.id) = (id("other"), id("link-2"));
    (pair.link.initiator, pair.link.acceptor) = (side(initiator), side(acceptor));
    pair
}

#[test]
fn one_that_names_nobody_waits_for_another_link_only_if_that_link_wants_it_and_this_one_does_not() {
    let own = (A, "cn-qingdao", "vpc-a");
    let third = ("1000000000000003", "cn-beijing", "vpc-x");
    let (accepting, initiating) = (RouterInterfaceRole::Accepting, RouterInterfaceRole::Initiating);
    for (what, role, other, ours) in [
        ("its role is wanted by the other link alone", accepting, (third, own), false),
        ("its role is wanted by this link too", initiating, (own, third), true),
        ("the other link is another VPC's", accepting, (third, (A, "cn-qingdao", "vpc-a2")), true),
        ("the other link is another account's", accepting, (third, (B, "cn-qingdao", "vpc-a")), true),
        ("the other link wants the other role", accepting, (own, third), true),
        ("the other link's peer is in another region", accepting, ((third.0, "cn-hangzhou", third.2), own), true),
    ] {
        let mut world = World::healthy();
        far_unset(&mut world);
        unset(world.interface(I));
        world.interface(I).role = role;
        let pair = link(&world, other.0, other.1);
        world.case.elsewhere.push(pair);
        assert_eq!(chosen(&world, I).is_some(), ours, "{what}");
    }
    // An interface that names this link's peer belongs to this link, whatever its role.
    let mut world = World::healthy();
    world.interface(I).role = accepting;
    let pair = link(&world, third, own);
    world.case.elsewhere.push(pair);
    assert_eq!(chosen(&world, I).as_deref(), Some("ri-a"));
}

#[test]
fn an_interface_on_another_vpc_is_misplaced_only_when_both_ends_say_that_they_are_joined() {
    let codes = |near: &str, far: &str| {
        let mut world = World::healthy();
        world.wire(Wire::S1, Wire::S1);
        let ri = world.interface(I);
        (ri.vpc, ri.router, ri.opposite_interface) = (Some(id("vpc-x")), id("vrt-x"), Some(id(near)));
        let peer = world.interface(C);
        (peer.opposite_interface, peer.opposite_vpc) = (Some(id(far)), None);
        let verdict = world.verdict();
        let made = verdict.causes.iter().filter(|cause| cause.side == I).map(|cause| cause.code.to_string());
        made.filter(|code| code == "ri-missing" || code == "ri-wrong-vpc").collect::<Vec<_>>()
    };
    assert_eq!(codes("ri-b", "ri-a"), ["ri-wrong-vpc"]);
    assert_eq!(codes("ri-b", "ri-q"), ["ri-missing"]);
    assert_eq!(codes("ri-q", "ri-a"), ["ri-missing"]);
}

#[test]
fn nothing_is_built_where_an_interface_stands_in_the_place() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S1);
    let ri = world.interface(I);
    (ri.opposite_interface, ri.opposite_vpc, ri.opposite_owner) = (Some(id("ri-gone")), None, None);
    unset(world.interface(C));
    let verdict = world.verdict();
    let calls: Vec<&str> = verdict.repairs.set.iter().map(|repair| repair.cli[2].as_str()).collect();
    let clearing = ["DeleteRouteEntry", "DeactivateRouterInterface", "DeleteRouterInterface", "CreateRouterInterface"];
    assert_eq!(calls[..4], clearing, "{calls:?}");
    assert!(verdict.repairs.proven);
}
