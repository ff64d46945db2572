//! Links beyond the tutorial's: several CIDR blocks per VPC, peering connections instead of router interfaces.

use crate::Verdict;
use crate::tests::world::*;
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn blamed(verdict: &Verdict) -> Vec<String> {
    verdict.causes.iter().map(|cause| format!("{} {} {}", cause.code, cause.side, cause.object.id)).collect()
}

#[test]
fn a_route_for_another_block_of_the_peer_is_not_wrong() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S5);
    known(&mut world.snapshot(C).vpcs)[0].secondary_cidrs.push(cidr("10.120.0.0/20"));
    world.entries(I)[1].destination = cidr("10.120.0.0/20");
    assert_eq!(blamed(&world.verdict()), ["route-missing initiator vtb-a"]);
}

/// Turns the link into a peering connection in this state, with routes that lead to it.
pub(crate) fn peered(world: &mut World, status: VpcPeeringStatus) {
    world.case.pair.link.kind = LinkKind::VpcPeering;
    for side in Side::BOTH {
        let peering = VpcPeering {
            id: id("pcc-1"),
            status,
            business_status: BusinessStatus::Normal,
            bandwidth_mbps: None,
            owner: id(World::side(I).1),
            region: id(World::side(I).2),
            vpc: id("vpc-a"),
            accepting_owner: id(World::side(C).1),
            accepting_region: id(World::side(C).2),
            accepting_vpc: id("vpc-b"),
            provenance: Provenance(0),
        };
        world.snapshot(side).vpc_peerings = Known::Known(vec![peering]);
        let hop = &mut world.entries(side)[1].next_hops[0];
        (hop.kind, hop.id) = (NextHopKind::VpcPeering, "pcc-1".into());
    }
}

#[test]
fn a_peering_connection_that_waits_is_accepted_by_the_other_account() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S1);
    peered(&mut world, VpcPeeringStatus::Accepting);
    let verdict = world.verdict();
    assert_eq!(blamed(&verdict), ["peering-not-active acceptor pcc-1"]);
    assert!(verdict.repairs.proven);
    assert_eq!(
        verdict.repairs.set[0].cli.join(" "),
        "aliyun vpcpeer AcceptVpcPeerConnection --RegionId cn-beijing --InstanceId pcc-1"
    );
}

/// A copy of the tutorial's pair that belongs to a link between the peer's VPC and a third one.
fn other_link(world: &World, vpc: &str, address: &str) -> Pair {
    let mut pair = world.case.pair.clone();
    pair.link.id = id("link-2");
    pair.id = id("link-2/other");
    pair.link.initiator.vpc = id(vpc);
    pair.initiator.address = ip(address);
    pair
}

#[test]
fn what_serves_another_link_is_no_mistaken_attempt_at_this_one() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::Through);
    world.rules(C)[0].peer = RulePeer::Cidr(cidr("192.169.0.0/16"));
    assert_eq!(blamed(&world.verdict()), ["sg-wrong-cidr acceptor sgr-b"]);
    let other = other_link(&world, "vpc-x", "192.169.1.1");
    world.case.elsewhere.push(other);
    assert_eq!(blamed(&world.verdict()), ["sg-ingress-missing acceptor sg-b"]);
}

#[test]
fn an_interface_on_another_vpc_is_misplaced_unless_another_link_needs_it() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S1);
    let elsewhere = world.interface(I);
    (elsewhere.vpc, elsewhere.router) = (Some(id("vpc-x")), id("vrt-x"));
    world.interface(C).opposite_vpc = Some(id("vpc-x"));
    let found = blamed(&world.verdict());
    assert!(found.contains(&"ri-wrong-vpc initiator ri-a".to_owned()), "{found:?}");
    assert!(!found.iter().any(|cause| cause.starts_with("ri-missing")), "{found:?}");
    let other = other_link(&world, "vpc-x", "10.9.0.1");
    world.case.elsewhere.push(other);
    let found = blamed(&world.verdict());
    assert!(found.contains(&"ri-missing initiator vpc-a".to_owned()), "{found:?}");
    assert!(!found.iter().any(|cause| cause.starts_with("ri-wrong-vpc")), "{found:?}");
}

#[test]
fn an_interface_without_a_peer_goes_to_the_link_that_wants_its_role() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S1);
    known(&mut world.snapshot(C).router_interfaces).clear();
    world.entries(C).retain(|entry| entry.kind == RouteKind::System);
    let ours = world.interface(I);
    (ours.status, ours.connected_at, ours.role) = (RouterInterfaceStatus::Idle, None, RouterInterfaceRole::Accepting);
    (ours.opposite_interface, ours.opposite_router, ours.opposite_owner) = (None, None, None);
    world.entries(I).retain(|entry| entry.kind == RouteKind::System);
    let mut other = world.case.pair.clone();
    other.id = id("link-2/other");
    other.link.id = id("link-2");
    other.link.acceptor = other.link.initiator.clone();
    other.link.initiator = LinkSide { vpc: id("vpc-x"), ..world.case.pair.link.acceptor.clone() };
    world.case.elsewhere.push(other);
    let found = blamed(&world.verdict());
    assert!(found.contains(&"ri-missing initiator vpc-a".to_owned()), "{found:?}");
}

#[test]
fn a_peering_connection_that_does_not_exist_is_made_and_accepted() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S1);
    world.case.pair.link.kind = LinkKind::VpcPeering;
    for side in Side::BOTH {
        world.snapshot(side).vpc_peerings = Known::Known(vec![]);
        world.entries(side).retain(|entry| entry.kind == RouteKind::System);
    }
    let verdict = world.verdict();
    assert!(verdict.repairs.proven, "{:#?}", verdict.repairs);
    let actions: Vec<&str> = verdict.repairs.set.iter().map(|repair| repair.cli[2].as_str()).collect();
    let wanted = ["CreateVpcPeerConnection", "AcceptVpcPeerConnection", "CreateRouteEntry", "CreateRouteEntry"];
    assert_eq!(actions, wanted);
}

#[test]
fn another_link_joins_a_vpc_only_where_accounts_and_both_vpcs_agree() {
    let mut world = World::healthy();
    let joined = |world: &World, side, vpc: &str| {
        let mut model = world.case.question().model();
        model.elsewhere.clone_from(&world.case.elsewhere);
        model.joined_elsewhere(side, &id(vpc))
    };
    let other = other_link(&world, "vpc-a2", "192.168.7.10");
    world.case.elsewhere = vec![other.clone()];
    assert!(joined(&world, I, "vpc-a2"));
    assert!(!joined(&world, C, "vpc-a2"), "it is the initiator's");
    let mut foreign = other.clone();
    foreign.link.initiator.account = id("1000000000000009");
    world.case.elsewhere = vec![foreign];
    assert!(!joined(&world, I, "vpc-a2"), "of another account");
    let mut astray = other;
    astray.link.acceptor.vpc = id("vpc-x");
    world.case.elsewhere = vec![astray];
    assert!(!joined(&world, I, "vpc-a2"), "to another VPC");
}
