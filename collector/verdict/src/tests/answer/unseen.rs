//! What could not be looked at: suspects and gaps, and neither a cause nor a healthy state.

use crate::{
    State,
    tests::{
        cases::{BOTH_S1, check, lines},
        world::*,
    },
};
use pingtong_evidence::*;
use std::collections::BTreeSet;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

#[test]
fn what_is_not_seen_is_suspected_and_never_fine() {
    let unseen = check(|w| w.case.snapshots.retain(|s| s.account.as_str() == A), (Wire::S1, Wire::Through), &[], false);
    assert_eq!(unseen.state, State::Broken);
    assert_eq!(
        unseen.gaps.iter().map(|g| g.code).collect::<BTreeSet<_>>(),
        BTreeSet::from([GapCode::AccountNotVisible])
    );
    assert!(unseen.suspects.iter().any(|s| s.codes.contains(&crate::CauseCode::SgIngressMissing)));
    let denied = check(
        |w| {
            w.group(C).rules = Known::Unknown(WhyUnknown::Denied {
                action: "ecs:DescribeSecurityGroupAttribute".into(),
                code: "Forbidden.RAM".into(),
                request_id: String::new(),
            });
        },
        (Wire::S1, Wire::Through),
        &[],
        false,
    );
    assert_eq!(denied.gaps.iter().map(|g| g.code).collect::<Vec<_>>(), [GapCode::ConfigDenied]);
    assert!(denied.gaps[0].closes_with.contains("ecs:DescribeSecurityGroupAttribute"));
    let mut silent = World::healthy();
    silent.silence(I);
    silent.silence(C);
    assert_eq!(silent.verdict().state, State::Undecided);
    let mut settling = World::healthy();
    settling.case.settle_ms = 60_000;
    let mut before = settling.snapshot(C).clone();
    before.taken_at = at(-30_000);
    before.finished_at = at(-29_000);
    known(&mut before.router_interfaces).clear();
    settling.case.snapshots.push(before);
    let mut same = World::healthy();
    same.case.settle_ms = 60_000;
    let mut earlier = same.snapshot(C).clone();
    (earlier.taken_at, earlier.finished_at) = (at(-30_000), at(-29_000));
    earlier.sources.clear();
    known(&mut earlier.enis)[0].provenance = Provenance(4);
    same.case.snapshots.push(earlier);
    assert_eq!(same.verdict().state, State::Healthy);
    let verdict = settling.verdict();
    assert_eq!((verdict.state, verdict.gaps[0].code), (State::Healthy, GapCode::ConfigStale));
}

/// The cloud refuses to connect before both sides name each other correctly, so that repair comes first, in either
/// account.
#[test]
fn connecting_comes_after_both_sides_name_each_other() {
    let idle = |world: &mut World, side: Side, forget: bool| {
        let Known::Known(all) = &mut world.snapshot(side).router_interfaces else { panic!("known") };
        all[0].status = RouterInterfaceStatus::Idle;
        all[0].connected_at = None;
        all[0].opposite_status = Some(RouterInterfaceStatus::Idle);
        if forget {
            (all[0].opposite_interface, all[0].opposite_router, all[0].opposite_owner) = (None, None, None);
        }
    };
    for forgetful in [vec![C], vec![I], vec![I, C]] {
        let verdict = check(
            |w| {
                idle(w, I, forgetful.contains(&I));
                idle(w, C, forgetful.contains(&C));
            },
            BOTH_S1,
            &forgetful
                .iter()
                .map(|side| {
                    if *side == I {
                        "ri-opposite-unset initiator ri-a both"
                    } else {
                        "ri-opposite-unset acceptor ri-b both"
                    }
                })
                .collect::<Vec<_>>(),
            true,
        );
        let lines = lines(&verdict);
        assert_eq!(lines.len(), forgetful.len() + 1, "{lines:#?}");
        assert!(lines.last().unwrap().contains("ConnectRouterInterface"), "{lines:#?}");
        assert!(lines[..forgetful.len()].iter().all(|l| l.contains("ModifyRouterInterfaceAttribute")), "{lines:#?}");
    }
}

#[test]
fn a_silent_agent_on_a_live_host_is_a_gap_and_no_fault() {
    let verdict = check(|w| w.silence(C), (Wire::Through, Wire::Through), &[], false);
    assert_eq!(verdict.state, State::Undecided, "one direction was never measured");
    assert_eq!(verdict.gaps.iter().map(|g| g.code).collect::<Vec<_>>(), [GapCode::AgentSilent]);
}

#[test]
fn an_account_that_refuses_every_call_is_not_visible() {
    let mut world = World::healthy();
    let taken = world.snapshot(C).taken_at;
    *world.snapshot(C) = Snapshot::unread(id(B), id("cn-beijing"), taken);
    let verdict = world.verdict();
    assert_eq!(verdict.state, State::Healthy);
    assert_eq!(verdict.gaps.iter().map(|g| g.code).collect::<Vec<_>>(), [GapCode::AccountNotVisible]);
}

#[test]
fn an_output_rule_without_protocol_is_shown_by_the_wire() {
    let verdict = check(
        // Of an agent that reports no other rules.
        |w| w.refuse(I, FirewallHook::Output, None, Some(5)),
        (Wire::S0(1), Wire::S3),
        &["guest-firewall initiator i-a forward"],
        false,
    );
    let insert = "nft insert rule inet guard in position 5 ip daddr 172.16.1.10 icmp type";
    assert_eq!(lines(&verdict), [format!("{insert} echo-request accept"), format!("{insert} echo-reply accept")]);
}

#[test]
fn an_interface_rebuilt_after_its_peer_was_deleted() {
    let verdict = check(
        |w| {
            known(&mut w.snapshot(C).router_interfaces).clear();
            w.entries(C).truncate(1);
            w.interface(I).opposite_status = Some(RouterInterfaceStatus::Deleted);
        },
        BOTH_S1,
        &["ri-missing acceptor vpc-b both", "route-missing acceptor vtb-b return"],
        true,
    );
    let actions: Vec<String> = verdict.repairs.set.iter().map(|r| r.cli[2].clone()).collect();
    assert_eq!(
        actions[..4],
        ["DeleteRouteEntry", "DeactivateRouterInterface", "DeleteRouterInterface", "CreateRouterInterface"]
    );
}

#[test]
fn one_account_sees_the_others_frozen_interface() {
    check(
        |w| {
            w.case.snapshots.retain(|s| s.account.as_str() == A);
            w.interface(I).opposite_status = Some(RouterInterfaceStatus::Inactive);
        },
        BOTH_S1,
        &["ri-inactive acceptor ri-b both"],
        false,
    );
}
