//! Requested loads: what each direction carried, and that none of it counts as loss of the pair.

use crate::tests::world::*;
use crate::{Lang, State, diagnose_in};
use pingtong_evidence::*;

const STEP: u64 = 8_000_000;

/// The healthy tutorial with a load step of 1,000 packets: `arrived` of them arrived and were answered, and `received`
/// answers came back.
fn world(arrived: u32, received: u32) -> World {
    let mut world = World::healthy();
    let round = world.case.probes.iter().find(|round| round.key.agent.as_str() == "agent-a").unwrap();
    let key = RoundKey { agent: round.key.agent.clone(), round: 77.into() };
    let load = ProbeRound {
        purpose: RoundPurpose::Load { bits_per_s: STEP },
        started_at: at(4_000),
        ended_at: at(6_000),
        replied: SequenceSet::first(received),
        ..ProbeRound::unanswered(key.clone(), round.pair.clone(), round.target, 1_000)
    };
    let part = world.case.arrivals.iter().find(|part| part.key == round.key).unwrap();
    // The last packet arrived, so the packets missing before it count as missing.
    let mut came: SequenceSet = (0..arrived - 1).collect();
    came.insert(999);
    let part = ArrivalRound {
        key,
        first_at: at(4_000),
        last_at: at(5_000),
        on_wire: Known::Known(came.clone()),
        accepted: Known::Known(came.clone()),
        replied: Known::Known(came),
        ..part.clone()
    };
    world.case.probes.push(load);
    world.case.arrivals.push(part);
    world
}

#[test]
fn each_direction_of_a_load_has_its_own_figure_and_the_pair_stays_healthy() {
    let verdict = world(500, 250).verdict();
    assert_eq!((verdict.state, verdict.causes.len(), verdict.suspects.len()), (State::Healthy, 0, 0));
    let forward = verdict.directions.forward;
    assert_eq!((forward.sent, forward.received), (u64::from(SENT), u64::from(SENT)), "the load is not among them");
    let [step] = forward.loads.as_slice() else { panic!("{:?}", forward.loads) };
    assert_eq!((step.sent, step.arrived, step.answered, step.received), (1_000, Some(500), Some(500), 250));
    assert_eq!((step.out_bits_per_s(), step.back_bits_per_s()), (Some(STEP / 2), Some(STEP / 4)));
    assert!(verdict.directions.back.loads.is_empty());
}

#[test]
fn nobody_who_looked_and_drops_of_an_end_leave_a_direction_untold() {
    let mut unseen = world(500, 250);
    unseen.case.arrivals.retain(|part| part.key.round != 77.into());
    let step = unseen.verdict().directions.forward.loads[0];
    assert_eq!((step.arrived, step.out_bits_per_s(), step.back_bits_per_s()), (None, None, Some(STEP / 4)));
    let mut drops = world(500, 250);
    drops.case.arrivals.last_mut().unwrap().own_drops = 1;
    assert_eq!(drops.verdict().directions.forward.loads[0].arrived, None);
    drops.case.probes.last_mut().unwrap().own_drops = 1;
    assert!(drops.verdict().directions.forward.loads.is_empty(), "what came back is not told either");
}

#[test]
fn what_others_lose_beside_a_load_is_the_loads_and_what_they_lose_later_is_not() {
    let loses = |started: i64| {
        let mut world = world(1_000, 1_000);
        let round = world.case.probes.iter().find(|round| round.key.agent.as_str() == "agent-a").unwrap();
        let key = RoundKey { agent: round.key.agent.clone(), round: 78.into() };
        let part = world.case.arrivals.iter().find(|part| part.key == round.key).unwrap();
        let kept: SequenceSet = (0..SENT).filter(|n| n % 4 != 0).collect();
        let came = || Known::Known(kept.clone());
        let part = ArrivalRound {
            key: key.clone(),
            first_at: at(started),
            last_at: at(started + 900),
            on_wire: came(),
            accepted: came(),
            replied: came(),
            ..part.clone()
        };
        world.case.probes.push(ProbeRound {
            key,
            started_at: at(started),
            ended_at: at(started + 1_000),
            replied: kept,
            ..round.clone()
        });
        world.case.arrivals.push(part);
        world.verdict().state
    };
    assert_eq!(loses(4_500), State::Healthy);
    assert_eq!(loses(9_000), State::Degraded);
}

#[test]
fn a_load_that_the_agent_refuses_has_its_reason() {
    let mut world = World::healthy();
    let health = AgentHealth { load_refused: Some(LoadRefusal::NotPermitted), ..AgentHealth::default() };
    world.case.healths.push(crate::HealthReport { agent: id("agent-a"), at: at(5_000), health });
    let verdict = diagnose_in(&world.case.question(), Lang::En);
    assert_eq!(verdict.directions.forward.load_refused, Some(LoadRefusal::NotPermitted));
    assert_eq!((verdict.state, verdict.directions.back.load_refused), (State::Healthy, None));
}
