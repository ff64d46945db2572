//! The benchmark at a small size, so that every run of the tests holds the engine to it.

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
