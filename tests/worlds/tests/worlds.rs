//! Checks the worlds themselves: drawn worlds work, every fault breaks one, and the registry follows its own rules.

use pingtong_worlds::{
    draw::{Wish, draw},
    evidence::{evidence, works},
    fault::{broken, conflict, registry},
    world::World,
};

fn can_have(faults: &[&pingtong_worlds::fault::Fault]) -> Option<World> {
    let overlap = faults.iter().any(|fault| fault.overlap);
    (0..80).find_map(|seed| broken(&draw(seed, Wish { overlap, plain: false }), faults)).map(|(world, _)| world)
}

#[test]
fn a_drawn_world_works_and_is_the_same_for_the_same_seed() {
    for seed in 0..300 {
        let world = draw(seed, Wish::default());
        assert!(works(&world), "seed {seed}: packets die in a world without a fault");
        assert_eq!(world, draw(seed, Wish::default()), "seed {seed}");
    }
}

#[test]
fn every_fault_breaks_a_world_and_is_expected_to_be_blamed() {
    for fault in registry() {
        let world = can_have(&[&fault]).unwrap_or_else(|| panic!("no world can have {}", fault.name));
        assert!(!works(&world), "{} stops no packet", fault.name);
        let overlap = fault.overlap;
        let (_, expected) =
            (0..80).find_map(|seed| broken(&draw(seed, Wish { overlap, plain: false }), &[&fault])).unwrap();
        assert!(expected.iter().any(|cause| cause.code == fault.code), "{} alone does not show", fault.name);
    }
}

#[test]
fn there_are_enough_faults_and_the_registry_says_of_every_pair_whether_it_composes() {
    let faults = registry();
    assert!(faults.len() >= 40);
    let names: std::collections::BTreeSet<&str> = faults.iter().map(|fault| fault.name.as_str()).collect();
    assert_eq!(names.len(), faults.len(), "two faults of one name");
    for a in &faults {
        assert!(conflict(a, a).is_some(), "{} composes with itself", a.name);
        for b in &faults {
            assert_eq!(conflict(a, b), conflict(b, a), "{} and {}", a.name, b.name);
        }
    }
}

#[test]
fn evidence_of_a_world_keeps_the_agents_contract() {
    for (at, fault) in registry().iter().enumerate() {
        let world = can_have(&[fault]).unwrap();
        let evidence = evidence(&world);
        for round in &evidence.probes {
            assert_eq!(round.replied.missing_from(&round.sent), 0, "{at} {}: a reply to what was not sent", fault.name);
            let refused: u64 = round.send_errors.iter().map(|error| error.probes.len()).sum();
            assert_eq!(round.sent.len() + refused, u64::from(round.planned), "{}", fault.name);
        }
        for part in &evidence.arrivals {
            let round = evidence.probes.iter().find(|round| round.key == part.key).unwrap();
            assert_eq!(part.on_wire.known().unwrap().missing_from(&round.sent), 0, "{}", fault.name);
        }
    }
}
