//! VPC peering connections: which of several is the intended one, what each state requires and from whom, and what
//! could not be read.

use crate::StepState;
use crate::tests::{summary, world::*};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn peering(name: &str, status: VpcPeeringStatus, asked_by: Side) -> VpcPeering {
    let (near, far) = (World::side(asked_by), World::side(asked_by.opposite()));
    VpcPeering {
        id: id(name),
        status,
        business_status: BusinessStatus::Normal,
        bandwidth_mbps: None,
        owner: id(near.1),
        region: id(near.2),
        vpc: id(&format!("vpc-{}", near.0)),
        accepting_owner: id(far.1),
        accepting_region: id(far.2),
        accepting_vpc: id(&format!("vpc-{}", far.0)),
        provenance: Provenance(0),
    }
}

/// A world in which both sides list these connections and their routes lead over the first.
fn joined(all: &[VpcPeering]) -> World {
    let mut world = World::healthy();
    world.case.pair.link.kind = LinkKind::VpcPeering;
    for side in Side::BOTH {
        world.snapshot(side).router_interfaces = Known::Known(vec![]);
        world.snapshot(side).vpc_peerings = Known::Known(all.to_vec());
        match all.first() {
            Some(first) => {
                let hop = &mut world.entries(side)[1].next_hops[0];
                (hop.kind, hop.id) = (NextHopKind::VpcPeering, first.id.to_string());
            }
            None => world.entries(side).truncate(1),
        }
    }
    world.wire(Wire::S1, Wire::S1);
    world
}

fn state(world: &World, step: usize) -> StepState {
    world.verdict().steps[step].state
}

#[test]
fn what_a_connections_state_asks_and_of_whom() {
    use VpcPeeringStatus::{Accepting, Deleted, Deleting, Expired, Rejected, Updating};
    let create = |side: &str| vec![format!("{side} CreateVpcPeerConnection")];
    for (status, asked_by, blamed, calls, step, how) in [
        (Accepting, I, "acceptor pcc-1", vec!["acceptor AcceptVpcPeerConnection".to_owned()], 2, StepState::NotDone),
        (Accepting, C, "initiator pcc-1", vec!["initiator AcceptVpcPeerConnection".to_owned()], 2, StepState::NotDone),
        (Rejected, I, "initiator pcc-1", create("initiator"), 4, StepState::Failed),
        (Expired, I, "initiator pcc-1", create("initiator"), 4, StepState::Failed),
        (Deleting, I, "initiator pcc-1", create("initiator"), 4, StepState::Failed),
        (Deleted, C, "acceptor pcc-1", create("acceptor"), 4, StepState::Failed),
        (Updating, I, "initiator pcc-1", vec!["initiator by hand".to_owned()], 4, StepState::Failed),
    ] {
        let world = joined(&[peering("pcc-1", status, asked_by)]);
        let verdict = world.verdict();
        assert_eq!(summary::blamed(&verdict)[0], format!("peering-not-active {blamed}"), "{status:?}");
        let call = |repair: &crate::Repair| repair.cli.get(2).cloned().unwrap_or_else(|| "by hand".to_owned());
        let told: Vec<_> =
            verdict.repairs.set.iter().map(|repair| format!("{} {}", repair.side, call(repair))).collect();
        assert!(calls.iter().all(|call| told.contains(call)), "{status:?}: {told:?}");
        assert_eq!(state(&world, step), how, "{status:?}");
    }
}

#[test]
fn a_connection_that_waits_while_it_is_locked_cannot_be_accepted() {
    for lock in [BusinessStatus::FinancialLocked, BusinessStatus::SecurityLocked] {
        let locked = VpcPeering { business_status: lock, ..peering("pcc-1", VpcPeeringStatus::Accepting, I) };
        let verdict = joined(&[locked]).verdict();
        assert_eq!(summary::blamed(&verdict), ["peering-not-active initiator pcc-1"]);
        assert_eq!(summary::commands(&verdict), ["by hand: peering-not-active"]);
        let carrying = VpcPeering { business_status: lock, ..peering("pcc-1", VpcPeeringStatus::Activated, I) };
        assert_eq!(summary::blamed(&joined(&[carrying]).verdict()), ["peering-not-active initiator pcc-1"]);
    }
}

#[test]
fn an_activated_connection_goes_before_others_and_a_living_one_before_one_that_is_over() {
    use VpcPeeringStatus::{Accepting, Activated, Expired, Updating};
    let first = peering("pcc-5", Activated, I);
    for other in [peering("pcc-1", Accepting, I), peering("pcc-9", Expired, I), peering("pcc-9", Updating, I)] {
        let mut world = joined(&[first.clone(), other]);
        world.wire(Wire::Through, Wire::Through);
        let verdict = world.verdict();
        assert_eq!(summary::blamed(&verdict), Vec::<String>::new());
        let lines: Vec<_> = verdict.steps[1..5].iter().map(|step| step.evidence[0].text.clone()).collect();
        let active = "the peering connection pcc-5 is Activated";
        assert_eq!(lines, ["pcc-5 joins vpc-a and vpc-b", active, active, active]);
    }
    for over in ["pcc-1", "pcc-9"] {
        let world = joined(&[peering("pcc-5", Accepting, I), peering(over, Expired, I)]);
        assert_eq!(summary::blamed(&world.verdict()), ["peering-not-active acceptor pcc-5"], "beside {over}");
    }
}

#[test]
fn the_connection_is_read_from_the_account_that_owns_it() {
    for side in Side::BOTH {
        let mut world = joined(&[peering("pcc-1", VpcPeeringStatus::Activated, side)]);
        world.wire(Wire::Through, Wire::Through);
        let line = &world.verdict().steps[1].evidence[0];
        assert_eq!(line.account.as_ref().map(AccountId::as_str), Some(World::side(side).1));
    }
}

#[test]
fn connections_that_nobody_could_list_are_a_gap_at_both_sides_and_suspected() {
    let mut world = joined(&[]);
    for side in Side::BOTH {
        let why = WhyUnknown::Denied {
            action: "vpcpeer:ListVpcPeerConnections".into(),
            code: "Forbidden.RAM".into(),
            request_id: String::new(),
        };
        world.snapshot(side).vpc_peerings = Known::Unknown(why);
    }
    let verdict = world.verdict();
    let gaps: Vec<_> = verdict.gaps.iter().map(|gap| (gap.code, gap.side)).collect();
    assert_eq!(gaps, [(GapCode::ConfigDenied, Some(I)), (GapCode::ConfigDenied, Some(C))]);
    assert!(verdict.gaps[0].what.starts_with("the VPC peering connections of account"), "{:?}", verdict.gaps);
    assert!(
        summary::suspected(&verdict).contains(&"peering-not-active".to_owned()),
        "{:?}",
        summary::suspected(&verdict)
    );
    assert_eq!(state(&world, 1), StepState::Unknown);
}

#[test]
fn where_no_connection_exists_making_it_is_the_first_step() {
    let world = joined(&[]);
    assert_eq!(summary::blamed(&world.verdict())[0], "peering-not-active initiator vpc-a");
    let states: Vec<_> = (0..6).map(|step| state(&world, step)).collect();
    assert_eq!(states[1..], [StepState::NotDone; 5]);
    let next = world.verdict().next_step.unwrap();
    assert!(next.contains("CreateVpcPeerConnection"), "{next}");
}
