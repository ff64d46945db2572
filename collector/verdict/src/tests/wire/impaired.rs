//! The figures behind impairments of a pair: a host that cannot keep up, flows that lose everything.

use crate::tests::world::*;
use crate::{
    CauseCode, Lang,
    finding::Finding,
    model::Model,
    observe::{FlowSeen, Leg, Observed},
    quality::{host_load, means::Means, per_flow},
};
use pingtong_evidence::*;
use std::collections::BTreeMap;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

const fn leg(of: u64, passed: u64) -> Leg {
    Leg { of, passed }
}

/// The evidence about hosts that lose packets inside, given the counts of one flow and earlier findings.
fn inside(world: &World, flow: Direction, observed: Observed, standing: &[Finding]) -> Vec<(Side, Vec<String>)> {
    let question = &world.case.question();
    let model = question.model();
    let facts = question.hosts.iter().map(|facts| (facts.agent.clone(), (*facts).clone())).collect();
    let seen = BTreeMap::from([(flow, observed)]);
    let (changes, excesses) = (BTreeMap::new(), BTreeMap::new());
    let means = Means { model: &model, question, facts: &facts, seen: &seen, changes: &changes, excesses: &excesses };
    let told = |shown: host_load::Shown| match shown {
        Ok(found) => {
            assert_eq!(found.code, CauseCode::HostOverload);
            (found.side, found.evidence.iter().map(|note| note.text.get(Lang::En)).collect())
        }
        Err(doubt) => (doubt.side.unwrap(), vec![]),
    };
    host_load::inside(&means, standing).into_iter().map(told).collect()
}

/// A flow that is answered, with further counts set by `counted`.
fn alive(counted: impl FnOnce(&mut Observed)) -> Observed {
    let mut observed = Observed::default();
    (observed.rounds, observed.sent, observed.received) = (1, 400, 390);
    counted(&mut observed);
    observed
}

fn strain(world: &mut World, side: Side, load: LoadFact) {
    world.facts(side).load = Known::Known(LoadFact { over_ms: 400, ..load });
}

#[test]
fn a_host_is_blamed_with_what_its_figures_say() {
    let lost = "10 of 400 packets reached the host's interface and died inside it";
    let mut world = World::healthy();
    strain(&mut world, C, LoadFact { backlog_drops: 9, waiting_permille: Some(900), ..LoadFact::default() });
    let observed = alive(|o| o.accept = Some(leg(400, 390)));
    let figures = "its processors did not fetch 9 packets in time within 400 ms (softnet drops)";
    let told = inside(&world, Direction::Forward, observed, &[]);
    assert_eq!(told, [(C, vec![lost.to_owned(), figures.to_owned()])]);
}

#[test]
fn busy_processors_alone_are_a_coincidence() {
    for load in [
        LoadFact { waiting_permille: Some(437), busy_permille: 985, stolen_permille: 300, ..LoadFact::default() },
        LoadFact { waiting_permille: Some(399), stolen_permille: 258, ..LoadFact::default() },
    ] {
        let mut world = World::healthy();
        strain(&mut world, C, load);
        let observed = alive(|o| o.accept = Some(leg(400, 390)));
        assert_eq!(inside(&world, Direction::Forward, observed, &[]), [(C, vec![])]);
    }
}

#[test]
fn figures_below_their_bounds_leave_a_suspect() {
    let mut world = World::healthy();
    let load =
        LoadFact { waiting_permille: Some(399), stolen_permille: 99, busy_permille: 1_000, ..LoadFact::default() };
    strain(&mut world, C, load);
    let observed = alive(|o| o.answer = Some(leg(400, 390)));
    assert_eq!(inside(&world, Direction::Forward, observed, &[]), [(C, vec![])]);
}

#[test]
fn few_losses_and_total_ones_are_not_the_hosts() {
    let world = World::healthy();
    let told = |accept| inside(&world, Direction::Forward, alive(|o| o.accept = Some(accept)), &[]).len();
    assert_eq!(told(leg(400, 397)), 1);
    assert_eq!(told(leg(400, 398)), 0, "two packets are chance");
    assert_eq!(told(leg(10_000, 9_990)), 0, "one in a thousand is less than anybody need know");
    assert_eq!(told(leg(400, 0)), 0, "what dies altogether is no overload");
    assert_eq!(told(leg(400, 400)), 0);
}

#[test]
fn answers_that_reached_the_probing_host_and_got_lost_there_are_that_hosts() {
    let world = World::healthy();
    let observed = alive(|o| o.home = Some(leg(400, 380)));
    assert_eq!(inside(&world, Direction::Forward, observed.clone(), &[]), [(I, vec![])]);
    let own = alive(|o| (o.home, o.own_drops) = (Some(leg(400, 380)), 20));
    assert_eq!(inside(&world, Direction::Forward, own, &[]), [], "its own prober dropped them");
}

#[test]
fn another_fault_of_the_same_guest_explains_what_dies_inside_it() {
    let refusing = |side: Side| {
        let mut world = World::healthy();
        world.refuse(side, FirewallHook::Input, Some(1), Some(4));
        world.wire(Wire::S2, Wire::S2);
        let question = &world.case.question();
        let model = question.model();
        let facts = question.hosts.iter().copied().find(|facts| facts.agent.as_str().ends_with(World::side(side).0));
        let nothing = Observed::default();
        let pair = question.pair;
        let guest = crate::guest::Guest { model: &model, pair, side, facts, inbound: &nothing, outbound: &nothing };
        let found = guest.findings();
        assert!(!found.is_empty());
        found
    };
    let world = World::healthy();
    let observed = alive(|o| o.accept = Some(leg(400, 390)));
    assert_eq!(inside(&world, Direction::Forward, observed.clone(), &refusing(C)), []);
    assert_eq!(inside(&world, Direction::Forward, observed.clone(), &refusing(I)).len(), 1, "of the other guest");
    // A fault on the same side but before the guest does not explain it.
    let mut closed = World::healthy();
    closed.rules(C).clear();
    let model = Model::new(&closed.case.pair.link, &closed.case.snapshots);
    let standing = crate::walk::walk(&model, &closed.case.pair, &[]).findings;
    assert_eq!(standing.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(), ["sg-ingress-missing"]);
    assert_eq!(inside(&world, Direction::Forward, observed, &standing).len(), 1);
}

/// Splits flows given as begin, end, packets sent, packets arrived.
fn split(flows: &[(i64, i64, u64, u64)]) -> Option<(usize, usize)> {
    let seen = |&(began, ended, of, passed): &(i64, i64, u64, u64)| FlowSeen {
        began: at(began),
        ended: at(ended),
        leg: Leg { of, passed },
    };
    per_flow::split(&alive(|o| o.flows = flows.iter().map(seen).collect()))
}

#[test]
fn loss_goes_by_flow_where_dead_and_whole_flows_run_at_once() {
    let (dead, whole) = ((0, 100, 50, 0), (50, 150, 50, 50));
    assert_eq!(split(&[dead, whole]), Some((1, 2)));
    assert_eq!(split(&[dead, dead, whole, dead]), Some((3, 4)));
    assert_eq!(split(&[dead, dead]), None, "all dead");
    assert_eq!(split(&[whole, whole]), None, "all whole");
    assert_eq!(split(&[dead, whole, (0, 100, 50, 25)]), None, "one loses half");
    for apart in [(100, 200, 50, 50), (-100, 0, 50, 50)] {
        assert_eq!(split(&[dead, apart]), None, "one begins when the other has ended");
    }
    assert_eq!(split(&[dead, whole, (0, 100, 4, 2)]), Some((1, 2)), "four packets make no flow");
}
