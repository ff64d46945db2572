//! Drawn networks with drawn faults: real packets must do what the engine predicts for every pair.
//!
//! `PINGTONG_DIFFERENTIAL_CASES` and `PINGTONG_DIFFERENTIAL_SEED` set another number of cases or another seed.

use super::scenarios::{lab, lab_runs};

/// A hundred cases take about twenty seconds.
const CASES: &str = "120";
const SEED: &str = "1";

#[test]
fn prediction_and_packets_agree() {
    if !lab_runs() {
        return;
    }
    let asked = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let (cases, seed) = (asked("PINGTONG_DIFFERENTIAL_CASES", CASES), asked("PINGTONG_DIFFERENTIAL_SEED", SEED));
    let out = lab().args(["differential", "--cases", &cases, "--seed", &seed]).output().unwrap();
    let (shown, failed) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{shown}\n{failed}");
}
