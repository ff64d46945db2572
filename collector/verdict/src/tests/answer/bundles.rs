//! Evidence that many pairs share: the same verdicts as with evidence of their own, and every link compiled once.

use crate::tests::world::{Wire, World, id};
use crate::{Bundle, Case, Configurations, Evidence, LinkReadings, PairContext, diagnose};
use pingtong_evidence::{Pair, PairId};
use std::{collections::BTreeMap, sync::Arc};

const PEERS: usize = 16;

/// The pairs of one link, each with rounds of its own; every third loses all requests that the initiator sends.
fn cases(pairs: usize) -> Vec<Case> {
    let mut own: BTreeMap<PairId, Case> = BTreeMap::new();
    for number in 0..pairs {
        let mut world = World::healthy();
        world.case.pair.id = id(&format!("pair{number:04}"));
        let wire = if number % 3 == 0 { (Wire::S1, Wire::S5) } else { (Wire::Through, Wire::Through) };
        world.wire(wire.0, wire.1);
        for round in &mut world.case.probes {
            round.key.round = (round.key.round.bits() + 10 * number as u64).into();
        }
        for part in &mut world.case.arrivals {
            part.key.round = (part.key.round.bits() + 10 * number as u64).into();
        }
        own.insert(world.case.pair.id.clone(), world.case);
    }
    let with_peers = |case: &Case| {
        let others = || own.values().filter(|other| other.pair.id != case.pair.id).take(PEERS);
        let mut case = case.clone();
        case.peers = others().map(|other| other.pair.clone()).collect();
        case.probes.extend(others().flat_map(|other| other.probes.clone()));
        case.arrivals.extend(others().flat_map(|other| other.arrivals.clone()));
        case
    };
    own.values().map(with_peers).collect()
}

fn bundle(cases: &[Case]) -> Bundle {
    let first = &cases[0];
    let evidence = Evidence {
        asked_at: first.asked_at,
        settle_ms: first.settle_ms,
        pairs: cases.iter().map(|case| case.pair.clone()).collect(),
        links: vec![LinkReadings { link: first.pair.link.id.clone(), snapshots: vec![1, 0], probing: None }],
        snapshots: first.snapshots.iter().cloned().map(Arc::new).collect(),
        probes: cases
            .iter()
            .flat_map(|case| case.probes.iter().filter(|round| round.pair == case.pair.id))
            .cloned()
            .collect(),
        earlier: vec![],
        arrivals: cases.iter().flat_map(|case| &case.arrivals[..2]).cloned().collect(),
        hosts: first.hosts.clone(),
        silent: first.silent.clone(),
        healths: first.healths.clone(),
    };
    let ids = |pairs: &[Pair]| pairs.iter().map(|pair| pair.id.clone()).collect();
    let asked = cases.iter().map(|case| PairContext {
        pair: case.pair.id.clone(),
        peers: ids(&case.peers),
        elsewhere: ids(&case.elsewhere),
    });
    let asked = asked.collect();
    Bundle::new(evidence, asked)
}

#[test]
fn shared_evidence_gives_the_verdicts_of_own_evidence() {
    let cases = cases(20);
    let text = serde_json::to_string(&bundle(&cases)).unwrap();
    assert_eq!(text.matches("\"taken_at\"").count(), 2, "each snapshot once");
    let read: Bundle = serde_json::from_str(&text).unwrap();
    let shared: Vec<_> = read.questions(&mut Configurations::default()).map(|question| diagnose(&question)).collect();
    let alone: Vec<_> = cases.iter().map(|case| diagnose(&case.question())).collect();
    assert_eq!(shared, alone);
    assert!(alone.iter().any(|verdict| verdict.causes.is_empty()) && alone.iter().any(|v| !v.causes.is_empty()));
}

#[test]
fn a_thousand_pairs_and_successive_looks_share_one_compiled_configuration() {
    let mut bundle = bundle(&cases(1_000));
    let mut configurations = Configurations::default();
    for _ in 0..2 {
        assert_eq!(bundle.questions(&mut configurations).count(), 1_000);
        assert_eq!(configurations.compiled(), 1);
    }
    let newer = (*bundle.evidence.snapshots[0]).clone();
    bundle.evidence.snapshots[0] = Arc::new(newer);
    assert_eq!(bundle.questions(&mut configurations).count(), 1_000);
    assert_eq!(configurations.compiled(), 2, "another reading is another configuration");
}

#[test]
fn a_bundle_that_contradicts_itself_is_refused_by_name() {
    let whole = serde_json::to_value(bundle(&cases(2))).unwrap();
    let refused = |change: fn(&mut serde_json::Value)| {
        let mut value = whole.clone();
        change(&mut value);
        serde_json::from_value::<Bundle>(value).unwrap_err().to_string()
    };
    assert!(refused(|value| value["schema"] = 3.into()).contains("schema 3"));
    assert!(refused(|value| value["pairs"][1]["peers"][0] = "nobody".into()).contains("\"nobody\""));
    assert!(refused(|value| value["evidence"]["links"][0]["snapshots"][0] = 7.into()).contains("snapshot 7"));
}
