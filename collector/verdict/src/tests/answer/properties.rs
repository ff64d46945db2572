//! Order and repetition of evidence do not change a byte of the verdict; any evidence gives a verdict; both languages
//! say the same.

use crate::tests::world::*;
use crate::{Lang, diagnose, diagnose_in};
use pingtong_evidence::*;
use proptest::prelude::*;

fn broken(seed: u64) -> World {
    let mut world = World::healthy();
    let wires = [Wire::Through, Wire::S0(1), Wire::S1, Wire::S2, Wire::S3, Wire::S4, Wire::S5, Wire::LosesRequests(9)];
    let pick = |shift: u32| wires[usize::try_from((seed >> shift) % 8).unwrap()];
    world.wire(pick(0), pick(3));
    let side = if seed & 64 == 0 { Side::Initiator } else { Side::Acceptor };
    if seed & 128 != 0 {
        world.entries(side).truncate(1);
    }
    if seed & 256 != 0 {
        world.rules(side.opposite()).clear();
    }
    if seed & 512 != 0 {
        known(&mut world.snapshot(side).router_interfaces).clear();
    }
    if seed & 1024 != 0 {
        world.facts(side).sysctls.echo_ignore_all = Known::Known(true);
    }
    if seed & 2048 != 0 {
        world.snapshot(side).enis = Known::default();
        world.snapshot(side).security_groups = Known::default();
    }
    if seed & 4096 != 0 {
        world.silence(side);
    }
    if seed & 8192 != 0 {
        world.case.snapshots.remove(0);
    }
    if seed & 16_384 != 0 {
        world.interface_if_any(side, RouterInterfaceStatus::Inactive);
    }
    world
}

/// Takes away what would decide: an agent at one end, rounds, arrivals, or what the sender itself dropped.
fn poorer(mut world: World, seed: u64) -> World {
    let side = if seed & 1 == 0 { Side::Initiator } else { Side::Acceptor };
    let name = format!("agent-{}", World::side(side).0);
    if seed & 2 != 0 {
        let end = if side == Side::Initiator { &mut world.case.pair.initiator } else { &mut world.case.pair.acceptor };
        end.agent = None;
        world.case.probes.retain(|round| round.key.agent.as_str() != name);
        world.case.hosts.retain(|facts| facts.agent.as_str() != name);
    }
    if seed & 4 != 0 {
        world.case.probes.retain(|round| round.key.agent.as_str() != name);
    }
    if seed & 8 != 0 {
        world.case.arrivals.retain(|part| part.observer.as_str() != name);
    }
    if seed & 16 != 0 {
        for round in &mut world.case.probes {
            round.own_drops = 7;
        }
    }
    if seed & 32 != 0 {
        world.case.probes.clear();
    }
    world
}

impl World {
    fn interface_if_any(&mut self, side: Side, status: RouterInterfaceStatus) {
        let account = Self::side(side).1;
        for snapshot in self.case.snapshots.iter_mut().filter(|s| s.account.as_str() == account) {
            if let Known::Known(all) = &mut snapshot.router_interfaces {
                for ri in all.iter_mut() {
                    ri.status = status;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn order_and_repetition_change_no_byte(seed in 0u64..32_768) {
        let world = broken(seed);
        let first = serde_json::to_string(&diagnose(&world.case.question())).unwrap();
        let mut shuffled = world.case.clone();
        shuffled.probes.reverse();
        shuffled.probes.extend(world.case.probes.clone());
        shuffled.arrivals.reverse();
        shuffled.arrivals.extend(world.case.arrivals.clone());
        shuffled.snapshots.reverse();
        shuffled.hosts.reverse();
        prop_assert_eq!(&first, &serde_json::to_string(&diagnose(&shuffled.question())).unwrap());
        let read: crate::Verdict = serde_json::from_str(&first).unwrap();
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), first);
    }

    #[test]
    fn what_is_undecided_says_what_would_decide_it(seed in 0u64..32_768, loss in 0u64..64) {
        let world = poorer(broken(seed), loss);
        let verdict = diagnose(&world.case.question());
        if verdict.state == crate::State::Undecided {
            prop_assert!(!verdict.gaps.is_empty() || !verdict.suspects.is_empty());
            prop_assert!(verdict.next_step.is_some());
        }
    }

    #[test]
    fn both_languages_reach_the_same_verdict(seed in 0u64..32_768) {
        let world = broken(seed);
        let (en, zh) = (diagnose_in(&world.case.question(), Lang::En), diagnose_in(&world.case.question(), Lang::Zh));
        let codes = |v: &crate::Verdict| v.causes.iter().map(|c| (c.code, c.object.clone())).collect::<Vec<_>>();
        prop_assert_eq!(codes(&en), codes(&zh));
        prop_assert_eq!(en.state, zh.state);
        for (en, zh) in en.causes.iter().zip(&zh.causes) {
            prop_assert_ne!(&en.explain, &zh.explain);
        }
    }
}
