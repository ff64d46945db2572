//! Which recorded change caused an outage: only changes that must be undone, with who made them; no change if none
//! explains the outage.

use crate::Onset;
use crate::tests::world::*;
use pingtong_evidence::*;

/// The healthy world ten minutes ago, followed by the broken one now.
fn history(mut good: World, mut bad: World) -> World {
    let age_ms = 600_000;
    let back = |at: Timestamp| Timestamp::from_millis(at.as_millis() - age_ms);
    for snapshot in &mut good.case.snapshots {
        (snapshot.taken_at, snapshot.finished_at) = (back(snapshot.taken_at), back(snapshot.finished_at));
    }
    for facts in &mut good.case.hosts {
        facts.at = back(facts.at);
    }
    for round in &mut good.case.probes {
        (round.started_at, round.ended_at) = (back(round.started_at), back(round.ended_at));
        round.key.round = (round.key.round.bits() - 1).into();
    }
    // The good rounds must be later than the good reading, and the bad rounds earlier than the bad reading.
    bad.case.snapshots.iter_mut().for_each(|snapshot| {
        (snapshot.taken_at, snapshot.finished_at) = (at(4_000), at(4_300));
    });
    bad.case.hosts.iter_mut().for_each(|facts| facts.at = at(4_100));
    good.case.hosts.iter_mut().for_each(|facts| facts.at = back(at(500)));
    bad.case.earlier = good.case.probes;
    bad.case.snapshots.extend(good.case.snapshots);
    bad.case.hosts.extend(good.case.hosts);
    bad
}

fn onset(world: &World) -> Onset {
    world.verdict().onset.expect("an onset")
}

fn what(onset: &Onset) -> Vec<&str> {
    onset.triggers.iter().map(|trigger| trigger.what.as_str()).collect()
}

#[test]
fn the_deleted_route_is_told_from_what_changed_beside_it() {
    let mut bad = World::healthy();
    bad.entries(Side::Acceptor).truncate(1);
    // Another change, without effect on the pair.
    let other = rule("sgr-other", Policy::Accept, 1, RuleProtocol::Tcp, RulePeer::Any);
    bad.rules(Side::Initiator).push(other);
    bad.wire(Wire::S5, Wire::S1);
    let call = |action: &str, object: &str, second: i64| ConfigChange {
        at: at(-second * 1000),
        event_id: format!("ev-{second}"),
        action: action.into(),
        who: "zhang".into(),
        objects: vec![object.into()],
        error: None,
        provenance: Provenance(0),
    };
    let mut world = history(World::healthy(), bad);
    let newest = world.case.snapshots.iter_mut().max_by_key(|s| (s.taken_at, s.account.clone())).unwrap();
    newest.changes = Known::Known(vec![
        call("vpc:DeleteRouteEntry", "vtb-b", 200),
        call("vpc:DeleteRouteEntry", "vtb-other", 100),
        ConfigChange { error: Some("Forbidden".into()), ..call("vpc:DeleteRouteEntry", "vtb-b", 50) },
    ]);
    let onset = onset(&world);
    assert!(onset.explained);
    assert_eq!(
        what(&onset),
        ["route entry 192.168.0.0/16 (vtb-b) was removed: 192.168.0.0/16 RouterInterface ri-b Available"]
    );
    let trigger = &onset.triggers[0];
    assert_eq!((trigger.side, trigger.object.id.as_str()), (Side::Acceptor, "vtb-b"));
    assert_eq!(trigger.call.as_ref().map(|call| call.event_id.as_str()), Some("ev-200"));
    assert!(onset.last_good < onset.first_bad);
}

#[test]
fn two_changes_that_both_must_be_undone_are_both_the_trigger() {
    let mut bad = World::healthy();
    bad.rules(Side::Acceptor).clear();
    bad.interface(Side::Initiator).status = RouterInterfaceStatus::Inactive;
    bad.interface(Side::Acceptor).opposite_status = Some(RouterInterfaceStatus::Inactive);
    bad.wire(Wire::S1, Wire::S1);
    let onset = onset(&history(World::healthy(), bad));
    assert!(onset.explained);
    let ids: Vec<_> = onset.triggers.iter().map(|trigger| trigger.object.id.as_str()).collect();
    assert_eq!(ids, ["ri-a", "sg-b"], "{:?}", what(&onset));
}

#[test]
fn a_setting_of_a_guest_is_found_as_well() {
    let mut bad = World::healthy();
    bad.facts(Side::Acceptor).sysctls.echo_ignore_all = Known::Known(true);
    bad.wire(Wire::S3, Wire::Through);
    let onset = onset(&history(World::healthy(), bad));
    assert!(onset.explained);
    assert_eq!(what(&onset), ["net.ipv4.icmp_echo_ignore_all changed"]);
    assert_eq!(onset.triggers[0].object.id, "i-b");
}

#[test]
fn a_round_that_ran_while_it_broke_does_not_hide_the_change() {
    let mut bad = World::healthy();
    bad.facts(Side::Acceptor).sysctls.echo_ignore_all = Known::Known(true);
    bad.wire(Wire::S3, Wire::Through);
    let mut world = history(World::healthy(), bad);
    for (n, whole) in world.case.earlier.clone().into_iter().enumerate() {
        let key = RoundKey { round: (1_000 + n as u64).into(), ..whole.key.clone() };
        let replied = SequenceSet::first(SENT / 2);
        world.case.earlier.push(ProbeRound { key, started_at: at(0), ended_at: at(4_150), replied, ..whole });
    }
    assert!(onset(&world).explained);
}

#[test]
fn what_no_change_explains_is_said_to_be_so() {
    let mut bad = World::healthy();
    bad.rules(Side::Initiator).push(rule("sgr-other", Policy::Accept, 1, RuleProtocol::Tcp, RulePeer::Any));
    bad.wire(Wire::S1, Wire::S5);
    let onset = onset(&history(World::healthy(), bad));
    assert!(!onset.explained && onset.triggers.is_empty());
    assert!(onset.text.ends_with("no recorded change explains it"), "{}", onset.text);
}

#[test]
fn a_pair_that_never_worked_on_record_has_no_onset() {
    let mut good = World::healthy();
    good.wire(Wire::S1, Wire::S5);
    let mut bad = World::healthy();
    bad.entries(Side::Initiator).truncate(1);
    bad.wire(Wire::S1, Wire::S5);
    assert_eq!(history(good, bad).verdict().onset, None);
}

#[test]
fn a_pair_that_works_has_no_onset() {
    assert_eq!(history(World::healthy(), World::healthy()).verdict().onset, None);
}

#[test]
fn facts_that_stayed_as_they_were_are_no_trigger() {
    // The route is gone. All host facts that could explain it are the same in both readings, whatever else was read.
    let mut bad = World::healthy();
    bad.entries(Side::Initiator).truncate(1);
    bad.facts(Side::Acceptor).counters =
        Known::Known(IcmpCounters { in_echos: 9, out_echo_replies: 9, reverse_path_drops: 0 });
    bad.wire(Wire::S1, Wire::S5);
    let onset = onset(&history(World::healthy(), bad));
    let ids: Vec<_> = onset.triggers.iter().map(|trigger| trigger.object.id.as_str()).collect();
    assert_eq!(ids, ["vtb-a"]);
}

#[test]
fn every_kind_of_guest_change_is_told_from_the_others() {
    let broken = |change: fn(&mut HostFacts), wire: Wire| {
        let mut bad = World::healthy();
        change(bad.facts(Side::Acceptor));
        bad.wire(wire, Wire::S1);
        onset(&history(World::healthy(), bad)).triggers.iter().map(|trigger| trigger.what.clone()).collect::<Vec<_>>()
    };
    let refuse = |facts: &mut HostFacts| {
        facts.firewall = Known::Known(FirewallFact {
            refusing: vec![FirewallRule {
                family: "inet".into(),
                table: "guard".into(),
                chain: "in".into(),
                hook: FirewallHook::Input,
                handle: Some(4),
                verdict: FirewallVerdict::Drop,
                protocol: Some(1),
                limited: false,
                statements: Some(vec![]),
                text: String::new(),
            }],
            base_chains: 1,
            legacy_tables: false,
            ..FirewallFact::default()
        });
    };
    assert_eq!(broken(refuse, Wire::S2), ["the guest's packet filter changed"]);
    let unroute = |facts: &mut HostFacts| facts.routes[0].outcome = Known::Known(RouteOutcome::Refused { errno: 101 });
    assert_eq!(broken(unroute, Wire::S3), ["the guest's route to the peer changed"]);
}
