//! Probes that took more of the link than their budget: packets that they lose decide nothing, but packets that pass
//! still count.

use crate::tests::world::*;
use crate::{CauseCode, OwnLoad, Probing, State, spec_bits_per_s};
use pingtong_evidence::*;

/// Every fourth forward request is lost; all probes of both sides are sent within this number of milliseconds.
fn lossy(sending_ms: u64) -> World {
    let mut world = World::healthy();
    world.wire(Wire::LosesRequests(4), Wire::Through);
    for round in &mut world.case.probes {
        round.sending_ms = Some(sending_ms);
        round.request = Some(id("r1"));
    }
    world
}

/// The budget of a link of this bandwidth in Mbit/s: 2 % for steady rounds and 15 % for requested ones.
fn budget(mbit: u64) -> ProbeBudget {
    let bits_per_s = mbit * 1_000_000;
    ProbeBudget {
        bandwidth: LinkBandwidth { bits_per_s, source: BandwidthSource::Spec },
        steady_bits_per_s: bits_per_s / 50,
        fresh_bits_per_s: bits_per_s * 15 / 100,
        flows: 2,
    }
}

fn measured(mut world: World, mbit: u64) -> World {
    let pair = world.case.pair.clone();
    world.case.probing = Some(Probing::new(budget(mbit), [&pair], &world.case.probes));
    for side in Side::BOTH {
        world.interface(side).bandwidth_mbps = Some(mbit);
    }
    world
}

fn shown(world: &World) -> (State, Vec<CauseCode>, Vec<Vec<CauseCode>>) {
    let verdict = world.verdict();
    let causes = verdict.causes.iter().map(|cause| cause.code).collect();
    (verdict.state, causes, verdict.suspects.into_iter().map(|suspect| suspect.codes).collect())
}

#[test]
fn each_direction_carries_requests_of_one_flow_and_replies_of_the_other() {
    let world = lossy(1_600);
    let own = OwnLoad::of([&world.case.pair], &world.case.probes);
    // In one second: 250 requests and 250 replies of 84 bytes forward, a quarter fewer replies back, plus or minus one
    // slot of 100 ms.
    let near = |bits: u64, packets: u64| bits.abs_diff(packets * 84 * 8) < 40 * 84 * 8;
    assert!(near(own.forward, 500) && near(own.back, 437), "{own:?}");
    let at_once = OwnLoad::of([&world.case.pair], &lossy(0).case.probes);
    assert_eq!((at_once.forward, at_once.back), (800 * 84 * 8, 700 * 84 * 8));
    assert_eq!(OwnLoad::of([], &world.case.probes), OwnLoad::default(), "rounds of other links do not count");
    // Rounds that were held back until the others were sent add nothing to their second.
    let mut apart = lossy(500);
    let held = apart.case.probes.len() / 2;
    for round in &mut apart.case.probes[held..] {
        round.held_ms = Some(2_000);
    }
    let (together, apart) = (lossy(500).case.probes, apart.case.probes);
    let forward = |rounds: &[ProbeRound]| OwnLoad::of([&world.case.pair], rounds).forward;
    assert!(forward(&apart) < forward(&together), "{} of {}", forward(&apart), forward(&together));
}

#[test]
fn loss_within_the_budget_is_the_links() {
    let world = measured(lossy(1_600), 2);
    let (state, causes, _) = shown(&world);
    assert_eq!((state, causes), (State::Degraded, vec![CauseCode::LossInFabric]));
    assert_eq!(world.verdict().probing, world.case.probing);
}

#[test]
fn loss_beyond_the_budget_decides_nothing_and_says_so() {
    let world = measured(lossy(300), 2);
    let (state, causes, suspects) = shown(&world);
    assert_eq!((state, causes), (State::Undecided, vec![]));
    assert_eq!(suspects, [[CauseCode::BandwidthSaturated, CauseCode::LossInFabric]]);
    let why = &world.verdict().suspects[0].decided_by;
    assert!(why.contains("26 % of the bandwidth") && why.contains("verify again"), "{why}");
    // On a link with more bandwidth, the same probes stay within their budget.
    assert_eq!(shown(&measured(lossy(300), 5)).0, State::Degraded);
}

#[test]
fn a_specification_that_was_reduced_since_the_plan_was_made_counts() {
    let mut world = measured(lossy(300), 100);
    assert_eq!(shown(&world).0, State::Degraded);
    for side in Side::BOTH {
        world.interface(side).bandwidth_mbps = Some(2);
    }
    assert_eq!(shown(&world).0, State::Undecided);
}

#[test]
fn what_is_dead_or_whole_is_judged_whatever_the_probes_took() {
    let mut dead = measured(lossy(300), 2);
    dead.wire(Wire::S1, Wire::Through);
    assert_eq!(shown(&dead).0, State::Broken);
    let mut whole = measured(lossy(300), 2);
    whole.wire(Wire::Through, Wire::Through);
    assert_eq!(shown(&whole).0, State::Healthy);
}

#[test]
fn loss_that_nobody_split_is_set_aside_as_well() {
    let mut world = measured(lossy(300), 2);
    world.case.arrivals.clear();
    world.case.hosts.clear();
    assert_eq!(shown(&world).0, State::Undecided);
    assert!(!world.verdict().suspects.is_empty());
}

#[test]
fn evidence_without_a_budget_shows_at_least_whether_the_probes_filled_the_link() {
    let mut world = lossy(300);
    for side in Side::BOTH {
        world.interface(side).bandwidth_mbps = Some(2);
    }
    assert_eq!(shown(&world).0, State::Degraded, "a quarter of the bandwidth");
    let own: Vec<ProbeRound> = world.case.probes.clone();
    for n in 2..=4 {
        let mut peer = world.case.pair.clone();
        peer.id = id(&format!("pair{n}"));
        world.case.probes.extend(own.iter().map(|round| ProbeRound {
            pair: peer.id.clone(),
            key: RoundKey { round: (round.key.round.bits() + 1_000 * n).into(), ..round.key.clone() },
            ..round.clone()
        }));
        world.case.peers.push(peer);
    }
    assert_eq!(shown(&world).0, State::Undecided, "four pairs take all of it");
}

#[test]
fn the_bandwidth_of_a_link_is_read_from_its_own_account_alone() {
    let mut world = World::healthy();
    world.interface(Side::Initiator).bandwidth_mbps = Some(10);
    let link = world.case.pair.link.clone();
    let read = |world: &World, side: Side| {
        world.case.snapshots.iter().filter_map(|snapshot| spec_bits_per_s(&link, side, snapshot)).collect::<Vec<_>>()
    };
    assert_eq!(read(&world, Side::Initiator), [10_000_000]);
    world.interface(Side::Initiator).bandwidth_mbps = Some(0);
    assert!(read(&world, Side::Initiator).is_empty(), "nothing is granted by a zero");
    world.snapshot(Side::Initiator).router_interfaces = Known::default();
    assert!(read(&world, Side::Initiator).is_empty());
}
