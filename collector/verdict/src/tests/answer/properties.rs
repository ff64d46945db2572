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
