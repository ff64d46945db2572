//! Runs the benchmark at a small size, so that every test run checks the engine against it.

use super::*;

#[test]
fn nothing_is_blamed_in_healthy_networks() {
    let blame = blame::healthy(1_000, 200);
    assert_eq!((blame.causes, blame.not_healthy), (0, 0), "{:?}", blame.misses);
}

#[test]
fn the_order_of_evidence_changes_no_byte() {
    let determinism = speed::determinism(7, 20);
    assert_eq!(determinism.identical, determinism.sets);
}

#[test]
fn a_sound_estate_is_found_sound_by_walks_and_audits() {
    let shape = Shape { vpcs: 12, peerings: 8, rules: 20, hosts: 6, ..Shape::LARGE };
    let speed = estate::speed(3, shape, 500);
    assert!(speed.sound && speed.walks_per_second > 0.0, "{speed:?}");
    assert_eq!(speed.audit_pairs, 8 * 36);
}

#[test]
fn every_single_fault_is_blamed_exactly() {
    let singles = accuracy::singles(1, 1);
    assert_eq!((singles.exact, singles.impossible), (singles.total, 0), "{:#?}", singles.misses);
}

#[test]
fn lying_evidence_of_healthy_networks_blames_nothing() {
    let lying = blame::lies(1, 150);
    assert_eq!(lying.fault_causes, 0, "{:#?}", lying.misses);
}

#[test]
fn printed_repairs_restore_the_world_and_no_part_of_them_does() {
    let repairs = repairs::repairs(1, 30);
    assert!(repairs.cases > 0);
    assert_eq!(repairs.restored, repairs.cases, "{:#?}", repairs.misses);
    assert_eq!(repairs.minimal_by_brute_force, repairs.tried_by_parts, "{:#?}", repairs.misses);
}
