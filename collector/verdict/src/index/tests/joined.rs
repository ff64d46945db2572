//! Links that were not given: what the configuration itself shows about connected VPCs, for each kind of connection.

use super::*;
use crate::{
    Auditor, Lang,
    tests::{configuration::links::peered, configuration::transit, world::*},
};

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn shown(world: &World) -> Vec<String> {
    told(&Estate::new(world.case.snapshots.clone(), &[]))
}

fn told(estate: &Estate) -> Vec<String> {
    let end = |side: &LinkSide| format!("{} {} {}", &side.account.as_str()[15..], side.region, side.vpc);
    let line = |link: &Link| format!("{} {:?}: {} > {}", link.id, link.kind, end(&link.initiator), end(&link.acceptor));
    estate.links().map(line).collect()
}

fn passes(estate: &Estate) -> bool {
    let flow = |source, destination| Flow { source, destination, protocol: Protocol::Icmp, port: None };
    let hosts: Vec<HostRef> = estate.hosts().collect();
    let [a, b] = [hosts[0], hosts[1]];
    let both = [flow(a, b), flow(b, a)].map(|flow| estate.walk(&flow).unwrap());
    both.iter().all(|told| (told.request, told.reply) == (Outcome::Delivered, Outcome::Delivered))
}

#[test]
fn router_interfaces_that_name_each_other_are_one_link_from_the_initiating_end() {
    let world = World::healthy();
    let link = "vpc-a~vpc-b RouterInterface: 1 cn-qingdao vpc-a > 2 cn-beijing vpc-b";
    assert_eq!(shown(&world), [link]);
    assert!(passes(&Estate::new(world.case.snapshots.clone(), &[])));
    // From one side's snapshot alone: what it says about the other side.
    for side in Side::BOTH {
        let mut world = World::healthy();
        let own = world.snapshot(side).clone();
        world.case.snapshots = vec![own];
        assert_eq!(shown(&world), [link], "{side}");
    }
}

#[test]
fn an_interface_that_does_not_tell_its_vpc_is_found_by_its_router() {
    let mut world = World::healthy();
    for side in Side::BOTH {
        world.interface(side).vpc = None;
        world.interface(side).opposite_vpc = None;
    }
    assert_eq!(shown(&world), ["vpc-a~vpc-b RouterInterface: 1 cn-qingdao vpc-a > 2 cn-beijing vpc-b"]);
    // A router that belongs to none of the VPCs shows no link.
    for side in Side::BOTH {
        world.interface(side).router = id("vrt-of-nobody");
    }
    assert_eq!(shown(&world), Vec::<String>::new());
}

#[test]
fn an_interface_of_a_border_router_joins_no_vpcs() {
    let mut world = World::healthy();
    for side in Side::BOTH {
        world.interface(side).router_kind = RouterKind::Vbr;
    }
    assert_eq!(shown(&world), Vec::<String>::new());
}

#[test]
fn a_peering_connection_is_a_link_under_its_own_name() {
    let mut world = World::healthy();
    peered(&mut world, VpcPeeringStatus::Activated);
    for side in Side::BOTH {
        world.snapshot(side).router_interfaces = Known::Known(vec![]);
    }
    let link = "pcc-1 VpcPeering: 1 cn-qingdao vpc-a > 2 cn-beijing vpc-b";
    assert_eq!(shown(&world), [link]);
    assert!(passes(&Estate::new(world.case.snapshots.clone(), &[])));
    let own = world.snapshot(C).clone();
    world.case.snapshots = vec![own];
    assert_eq!(shown(&world), [link], "the accepting side alone tells of both");
}

#[test]
fn a_given_link_is_not_found_again_and_another_kind_is_a_second_one() {
    let mut world = World::healthy();
    let given = world.case.pair.link.clone();
    let made =
        |world: &World, given: &Link| told(&Estate::new(world.case.snapshots.clone(), std::slice::from_ref(given)));
    let first = "peering1 RouterInterface: 1 cn-qingdao vpc-a > 2 cn-beijing vpc-b";
    assert_eq!(made(&world, &given), [first]);
    // Given from the other end, the link joins the same two VPCs.
    let turned = Link { initiator: given.acceptor.clone(), acceptor: given.initiator.clone(), ..given.clone() };
    assert_eq!(made(&world, &turned), ["peering1 RouterInterface: 2 cn-beijing vpc-b > 1 cn-qingdao vpc-a"]);
    peered(&mut world, VpcPeeringStatus::Activated);
    assert_eq!(made(&world, &given), [first, "pcc-1 VpcPeering: 1 cn-qingdao vpc-a > 2 cn-beijing vpc-b"]);
}

#[test]
fn vpcs_at_one_transit_router_or_at_joined_ones_are_linked() {
    let mut world = transit::healthy();
    for side in Side::BOTH {
        world.snapshot(side).router_interfaces = Known::Known(vec![]);
    }
    let link = "vpc-a~vpc-b TransitRouter: 1 cn-qingdao vpc-a > 2 cn-beijing vpc-b";
    assert_eq!(shown(&world), [link]);
    assert!(passes(&Estate::new(world.case.snapshots.clone(), &[])));
    // Routers that are not connected: no link.
    world.snapshot(I).transit_peerings = Known::Known(vec![]);
    assert_eq!(shown(&world), Vec::<String>::new());
    // One router for both.
    known(&mut world.snapshot(C).transit_attachments)[0].transit_router = id("tr-a");
    assert_eq!(shown(&world), [link]);
}

#[test]
fn routers_are_joined_over_others_whatever_the_order_of_their_connections() {
    let peering = |name: &str, near: &str, far: &str| TransitPeering {
        id: id(name),
        transit_router: id(near),
        region: id("cn-qingdao"),
        peer_transit_router: id(far),
        peer_region: id("cn-beijing"),
        peer_owner: None,
        bandwidth_mbps: None,
        attached: true,
        provenance: Provenance(0),
    };
    let long = [("p1", "tr-y", "tr-b"), ("p2", "tr-x", "tr-y"), ("p3", "tr-a", "tr-m"), ("p4", "tr-m", "tr-x")];
    let short = [("p1", "tr-x", "tr-b"), ("p2", "tr-a", "tr-x")];
    for (chain, turned) in [(&long[..], false), (&long, true), (&short, false), (&short, true)] {
        let mut world = transit::healthy();
        for side in Side::BOTH {
            world.snapshot(side).router_interfaces = Known::Known(vec![]);
        }
        let mut peerings: Vec<_> = chain.iter().map(|(name, near, far)| peering(name, near, far)).collect();
        if turned {
            peerings.reverse();
        }
        world.snapshot(I).transit_peerings = Known::Known(peerings);
        assert_eq!(shown(&world).len(), 1, "{turned}");
        known(&mut world.snapshot(I).transit_peerings).retain(|peering| peering.id.as_str() != "p2");
        assert_eq!(shown(&world), Vec::<String>::new(), "{turned}");
    }
}

#[test]
fn a_transit_router_stops_the_packets_of_one_direction_only() {
    let mut world = transit::healthy();
    transit::routes(&mut world, I).retain(|route| route.destination == cidr("192.168.1.0/24"));
    let estate = Estate::new(world.case.snapshots.clone(), std::slice::from_ref(&world.case.pair.link));
    let hosts: Vec<HostRef> = estate.hosts().collect();
    let walk =
        |source, destination| estate.walk(&Flow { source, destination, protocol: Protocol::Icmp, port: None }).unwrap();
    let (there, back) = (walk(hosts[0], hosts[1]), walk(hosts[1], hosts[0]));
    let stopped = Outcome::Stopped { stage: Stage::Transit, by: Some(0) };
    assert_eq!([there.request, there.reply], [stopped, Outcome::Delivered]);
    assert_eq!([back.request, back.reply], [Outcome::Delivered, stopped]);
}

#[test]
fn more_links_than_are_kept_are_counted_and_told() {
    let vpcs = 92;
    let mut snapshot = Snapshot::unread(id(A), id("cn-qingdao"), at(0));
    snapshot.vpcs = Known::Known(
        (0..vpcs)
            .map(|n| Vpc {
                id: id(&format!("vpc-{n:02}")),
                name: String::new(),
                cidr: cidr(&format!("10.{n}.0.0/16")),
                secondary_cidrs: vec![],
                router: None,
                provenance: Provenance(0),
            })
            .collect(),
    );
    snapshot.transit_attachments = Known::Known(
        (0..vpcs)
            .map(|n| TransitAttachment {
                id: id(&format!("tr-attach-{n:02}")),
                transit_router: id("tr-a"),
                vpc: id(&format!("vpc-{n:02}")),
                vpc_owner: Some(id(A)),
                vpc_region: None,
                attached: true,
                provenance: Provenance(0),
            })
            .collect(),
    );
    let found = |snapshot: &Snapshot| {
        let reading = crate::model::readings::newest([std::sync::Arc::new(snapshot.clone())]).remove(0);
        let places = [place::Place::new(reading)];
        let (links, left_out) = super::links::find(&places, &[]);
        (links.len(), left_out)
    };
    let left_out = vpcs * (vpcs - 1) / 2 - super::links::TRANSIT_LINKS_MAX;
    assert_eq!(found(&snapshot), (4_096, left_out));
    let told = |links_left_out: usize| {
        let estate = Estate { links_left_out, ..Estate::default() };
        assert_eq!(estate.links_left_out(), links_left_out);
        let gaps = Auditor::default().audit(&estate, &[], &[], Lang::En).gaps;
        gaps.into_iter().map(|gap| (gap.code, gap.what)).collect::<Vec<_>>()
    };
    let what = "90 pairs of VPCs that transit routers join were left out".to_owned();
    assert_eq!(told(left_out), [(GapCode::ConfigDenied, what)]);
    // With no more links than are kept, none is reported as left out.
    known(&mut snapshot.transit_attachments).truncate(91);
    assert_eq!(found(&snapshot), (4_095, 0));
    assert_eq!(told(0), []);
}
