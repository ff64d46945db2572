//! A snapshot counts only for the VPCs that it covers: two VPCs of one account and region, read by one agent in each.

use crate::{Case, Lang, tests::summary, tests::world::*, verdict::State};
use pingtong_evidence::*;
use pingtong_worlds::scoped;

/// The healthy tutorial with both VPCs in one account and region, and agents as the only readers.
fn neighbours() -> World {
    let case = serde_json::to_string(&World::healthy().case).unwrap();
    let mut case: Case = serde_json::from_str(&case.replace(B, A).replace("cn-beijing", "cn-qingdao")).unwrap();
    let whole: Vec<Snapshot> = std::mem::take(&mut case.snapshots);
    let interfaces: Vec<RouterInterface> =
        whole.iter().flat_map(|s| s.router_interfaces.known().unwrap()).cloned().collect();
    case.snapshots = whole.iter().flat_map(scoped::by_vpc).collect();
    for (later, snapshot) in (0..).zip(&mut case.snapshots) {
        // Router interfaces are listed by account and region.
        snapshot.router_interfaces = Known::Known(interfaces.clone());
        snapshot.taken_at = at(later);
    }
    World { case }
}

fn of<'w>(world: &'w mut World, vpc: &str) -> &'w mut Snapshot {
    world.case.snapshots.iter_mut().find(|s| s.coverage().includes(&id(vpc))).unwrap()
}

#[test]
fn each_side_is_judged_by_the_snapshot_that_covers_its_vpc() {
    let mut world = neighbours();
    for _ in 0..2 {
        let verdict = world.verdict();
        assert_eq!((verdict.state, summary::blamed(&verdict)), (State::Healthy, vec![]), "{:?}", verdict.gaps);
        assert_eq!(verdict.gaps, []);
        world.case.snapshots.reverse();
        for (later, snapshot) in (0..).zip(&mut world.case.snapshots) {
            snapshot.taken_at = at(later);
        }
    }
}

#[test]
fn a_dead_fabric_between_them_is_no_fault_of_either() {
    let mut world = neighbours();
    world.wire(Wire::S1, Wire::S1);
    let verdict = world.verdict();
    assert!(summary::blamed(&verdict).iter().all(|cause| cause.starts_with("fabric-fault")), "{:?}", verdict.causes);
}

#[test]
fn a_newer_snapshot_of_another_vpc_changes_nothing() {
    let mut world = neighbours();
    let mut other = scoped::of_vpc(&world.case.snapshots[0], &id("vpc-other"));
    other.taken_at = at(900);
    world.case.snapshots.push(other);
    world.case.settle_ms = 60_000;
    let verdict = world.verdict();
    assert_eq!((verdict.state, summary::blamed(&verdict)), (State::Healthy, vec![]), "{:?}", verdict.gaps);
}

/// What is not listed in a snapshot of another VPC is not missing.
#[test]
fn a_vpc_that_no_snapshot_covers_is_not_visible() {
    let mut world = neighbours();
    world.case.snapshots.retain(|snapshot| !snapshot.coverage().includes(&id("vpc-b")));
    for (forward, back) in [(Wire::Through, Wire::Through), (Wire::S1, Wire::S1)] {
        world.wire(forward, back);
        let verdict = world.verdict();
        assert_eq!(summary::blamed(&verdict), Vec::<String>::new());
        let gaps: Vec<_> = verdict.gaps.iter().map(|gap| (gap.code, gap.side)).collect();
        assert_eq!(gaps, [(GapCode::AccountNotVisible, Some(Side::Acceptor))]);
        assert!(verdict.gaps[0].what.contains("vpc-b"), "{:?}", verdict.gaps);
    }
}

#[test]
fn a_fault_of_one_side_is_found_there_and_its_repair_is_proven() {
    let mut world = neighbours();
    let tables = known(&mut of(&mut world, "vpc-b").route_tables);
    known(&mut tables[0].entries).retain(|entry| entry.kind == RouteKind::System);
    world.wire(Wire::S5, Wire::S1);
    let verdict = world.verdict();
    assert_eq!(blamed_ways(&verdict), ["route-missing acceptor vtb-b return"]);
    assert!(verdict.repairs.proven && verdict.repairs.minimal, "{:?}", verdict.repairs);
}

#[test]
fn an_interface_that_is_inactive_at_both_ends_is_repaired_in_both_snapshots() {
    let mut world = neighbours();
    for snapshot in &mut world.case.snapshots {
        for interface in known(&mut snapshot.router_interfaces) {
            interface.status = RouterInterfaceStatus::Inactive;
            interface.opposite_status = Some(RouterInterfaceStatus::Inactive);
        }
    }
    world.wire(Wire::S1, Wire::S1);
    let verdict = world.verdict();
    assert!(verdict.repairs.proven, "{:?}", verdict.repairs);
}

/// A change is seen between two readings of the same VPC, whatever was read of another one between them.
#[test]
fn what_changed_is_compared_with_the_same_vpc() {
    let mut world = neighbours();
    let mut later = of(&mut world, "vpc-b").clone();
    (later.taken_at, later.finished_at) = (at(900), at(950));
    let rules = known(&mut known(&mut later.security_groups)[0].rules);
    rules.push(rule("sgr-new", Policy::Accept, 5, RuleProtocol::Tcp, RulePeer::Any));
    world.case.snapshots.push(later);
    world.case.settle_ms = 60_000;
    let stale = |world: &World| world.verdict().gaps.iter().any(|gap| gap.code == GapCode::ConfigStale);
    assert!(stale(&world));
    let mut of_a = of(&mut world, "vpc-a").clone();
    (of_a.taken_at, of_a.finished_at) = (at(960), at(970));
    world.case.snapshots.retain(|s| s.coverage().includes(&id("vpc-b")) && s.taken_at < at(900));
    world.case.snapshots.push(of_a);
    assert!(!stale(&world), "vpc-a beside vpc-b is no change");
    assert_eq!(crate::diagnose_in(&world.case.question(), Lang::Zh).causes, []);
}
