//! Configuration that could not be read leaves its causes open, whatever else was seen to pass.

use crate::tests::{
    configuration::transit,
    flows::inside::{ACROSS, way},
    summary,
    world::*,
};
use crate::{Lang, PathState};
use pingtong_evidence::*;

fn denied(action: &str) -> WhyUnknown {
    WhyUnknown::Denied { action: action.into(), code: "Forbidden.RAM".into(), request_id: String::new() }
}

/// The other side's packets pass the connection, so it works; where this side's route leads is still unknown.
#[test]
fn a_route_whose_next_hop_nobody_could_look_at_is_suspected_before_the_fabric() {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S5);
    world.entries(Side::Initiator)[1].next_hops[0].id = "ri-other".into();
    for side in Side::BOTH {
        world.snapshot(side).router_interfaces = Known::Unknown(denied("vpc:DescribeRouterInterfaces"));
    }
    let verdict = world.verdict();
    assert_eq!(summary::blamed(&verdict), Vec::<String>::new());
    assert!(
        summary::suspected(&verdict).contains(&"route-wrong-next-hop".to_owned()),
        "{:?}",
        summary::suspected(&verdict)
    );
    let gaps: Vec<_> = verdict.gaps.iter().map(|gap| (gap.code, gap.side)).collect();
    assert_eq!(gaps, [(GapCode::ConfigDenied, Some(Side::Initiator)), (GapCode::ConfigDenied, Some(Side::Acceptor))]);
}

#[test]
fn what_a_third_account_shows_of_a_transit_router_counts() {
    let mut world = transit::healthy();
    let owner = world.snapshot(Side::Initiator);
    let mut third = Snapshot::unread(id("1000000000000003"), id("cn-qingdao"), owner.taken_at);
    third.finished_at = owner.finished_at;
    std::mem::swap(&mut third.transit_route_tables, &mut owner.transit_route_tables);
    std::mem::swap(&mut third.transit_peerings, &mut owner.transit_peerings);
    assert_eq!(way(&world, ACROSS, Lang::En).state, PathState::Unknown);
    world.case.snapshots.push(third);
    assert_eq!(way(&world, ACROSS, Lang::En).state, PathState::Passes);
}
