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
