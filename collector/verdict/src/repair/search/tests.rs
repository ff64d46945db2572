//! Properties of the search: the bound is never too high, the limit is respected, and a set contains nothing
//! unnecessary.

use super::*;
use crate::tests::world::*;
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn with_task<T>(world: &World, then: impl FnOnce(&Task<'_>) -> T) -> T {
    let model = world.case.question().model();
    let refuted = BTreeSet::new();
    then(&Task { model: &model, pair: &world.case.pair, peers: &[], others: &[], refuted: &refuted })
}

/// The lower bound for a set, and the size of the smallest one.
fn bound(world: &World) -> (usize, usize) {
    with_task(world, |task| {
        let plan = task.search();
        assert!(plan.restores);
        (at_least(&task.removable(task.model)), plan.fixes.len())
    })
}

#[test]
fn the_bound_counts_each_side_and_kind_once_and_connections_as_one() {
    let mut world = World::healthy();
    assert_eq!(bound(&world), (0, 0));
    world.entries(I).truncate(1);
    assert_eq!(bound(&world), (1, 1));
    world.entries(C).truncate(1);
    world.rules(C).clear();
    assert_eq!(bound(&world), (3, 3));
    world.interface(I).status = RouterInterfaceStatus::Inactive;
    assert_eq!(bound(&world), (4, 4));
    // The bound counts connections as one, though here both ends must be activated.
    world.interface(C).status = RouterInterfaceStatus::Inactive;
    assert_eq!(bound(&world), (4, 5));
}

/// Both routes and both interfaces are missing: seven calls, most of which need one before them.
fn bare() -> World {
    let mut world = World::healthy();
    for side in Side::BOTH {
        known(&mut world.snapshot(side).router_interfaces).clear();
        world.entries(side).truncate(1);
    }
    world
}

/// Runs a search that has already used `nodes` of its nodes and holds `plan` fixes.
fn from(task: &Task<'_>, nodes: usize, plan: usize) -> Search {
    let mut search = Search { nodes, best: None, furthest: vec![] };
    let start = Planned::of(&task.removable(task.model)[0], Fix::Manual);
    task.descend(&mut search, task.model, &task.removable(task.model), &mut vec![start; plan]);
    search
}

#[test]
fn a_search_that_reaches_its_limit_keeps_the_furthest_way() {
    with_task(&bare(), |task| {
        let whole = from(task, 0, 0);
        assert_eq!(whole.best.map(|plan| plan.len()), Some(7));
        let cut = from(task, NODES_MAX - 4, 0);
        assert_eq!((cut.best.is_none(), cut.furthest.len()), (true, 3), "one step a node");
        let first: Vec<_> = cut.furthest.iter().map(|planned| planned.fix.rank()).collect();
        assert_eq!(first, [1, 1, 2], "in the order of work");
        let none = from(task, NODES_MAX - 1, 0);
        assert_eq!((none.nodes, none.best.is_none(), none.furthest.len()), (NODES_MAX, true, 0));
        let long = from(task, 0, FIXES_MAX);
        assert_eq!((long.nodes, long.best.is_none()), (1, true), "a set of that length is not made longer");
    });
}

#[test]
fn a_set_that_cannot_become_smaller_than_the_best_is_left() {
    with_task(&bare(), |task| {
        let blockers = task.removable(task.model);
        let one = Planned::of(&blockers[0], Fix::Manual);
        let go_on = |best: usize| {
            let mut search = Search { nodes: 0, best: Some(vec![one.clone(); best]), furthest: vec![] };
            task.descend(&mut search, task.model, &blockers, &mut vec![]);
            search.nodes
        };
        let bound = at_least(&blockers);
        assert_eq!(go_on(bound), 1, "as small at best");
        assert!(go_on(bound + 1) > 1);
    });
}

#[test]
fn what_cannot_be_done_yet_waits_for_what_can() {
    with_task(&bare(), |task| {
        let mut blockers = task.removable(task.model);
        blockers.reverse();
        let mut search = Search { nodes: 0, best: None, furthest: vec![] };
        task.descend(&mut search, task.model, &blockers, &mut vec![]);
        assert_eq!(search.best.map(|plan| plan.len()), Some(7), "routes before there is a connection");
        assert!(search.nodes < 20, "{}", search.nodes);
    });
}

#[test]
fn what_restores_without_a_member_does_without_it() {
    let mut world = World::healthy();
    world.entries(I).truncate(1);
    with_task(&world, |task| {
        let found = task.removable(task.model);
        let needed = Planned::of(&found[0], found[0].fix.clone());
        let accept = |port| {
            let (group, peer) = (id("sg-b"), cidr("192.168.0.0/16"));
            let fix = Fix::AcceptRule { group, ingress: true, protocol: Protocol::Tcp, port, peer };
            Planned::of(&found[0], fix)
        };
        let plan = vec![accept(Some(80)), needed.clone(), accept(Some(443))];
        assert!(!task.left_after(plan.iter()));
        assert!(task.without(&plan, 1) && !task.without(&plan, 0));
        assert_eq!(task.minimise(plan), [needed]);
    });
}

#[test]
fn the_set_is_in_the_order_of_work() {
    let ranks = |world: &World| -> Vec<u8> {
        with_task(world, |task| task.search().fixes.iter().map(|planned| planned.fix.rank()).collect())
    };
    let mut world = bare();
    world.rules(C).clear();
    assert_eq!(ranks(&world), [1, 1, 2, 2, 3, 5, 5, 6]);
    // A repair that cannot be completed is listed in that order as well.
    world.snapshot(C).route_tables = Known::default();
    let told = ranks(&world);
    assert!(told.is_sorted(), "{told:?}");
}
