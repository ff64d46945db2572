//! The one thing to do next.

use crate::tests::world::*;
use crate::{CauseCode, Lang, diagnose_in};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

fn next(change: impl FnOnce(&mut World), forward: Wire, back: Wire) -> Option<String> {
    let mut world = World::healthy();
    world.wire(forward, back);
    change(&mut world);
    world.verdict().next_step
}

fn frozen(world: &mut World) {
    world.interface(C).status = RouterInterfaceStatus::Inactive;
    world.interface(I).opposite_status = Some(RouterInterfaceStatus::Inactive);
}

#[test]
fn the_first_step_that_is_not_right_goes_first_whatever_the_order_of_work() {
    let both = |world: &mut World| {
        frozen(world);
        world.entries(I).push(entry("rte-x", "172.16.1.0/24", NextHopKind::NatGateway, "ngw-1"));
    };
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::S1);
    both(&mut world);
    let verdict = world.verdict();
    assert_eq!(verdict.repairs.set[0].code, CauseCode::RouteShadowed, "the route is in the way");
    let call = "aliyun vpc ActivateRouterInterface --RegionId cn-beijing --RouterInterfaceId ri-b";
    assert_eq!(verdict.next_step, Some(format!("account {B}: {call}")));
    let chinese = diagnose_in(&world.case.question(), Lang::Zh).next_step;
    assert_eq!(chinese, Some(format!("账号 {B}：{call}")));
}

#[test]
fn networks_that_overlap_do_not_hold_up_what_a_command_does() {
    let told = next(
        |world| {
            known(&mut world.snapshot(I).vpcs)[0].cidr = cidr("172.16.0.0/12");
            let mut over = known(&mut world.snapshot(I).vswitches)[0].clone();
            (over.id, over.cidr) = (id("vsw-over"), cidr("172.16.1.0/24"));
            known(&mut world.snapshot(I).vswitches).push(over);
            world.rules(C).clear();
        },
        Wire::S1,
        Wire::S5,
    );
    assert!(told.as_ref().is_some_and(|told| told.contains("AuthorizeSecurityGroup")), "{told:?}");
}

#[test]
fn what_no_command_does_is_told_by_its_step_when_undone_and_by_its_cause_when_broken() {
    let locked = next(|world| world.interface(I).business_status = BusinessStatus::FinancialLocked, Wire::S1, Wire::S1);
    let page = crate::catalogue::doc(CauseCode::RiFinancialLocked).repair.get(Lang::En);
    assert_eq!(locked, Some(format!("account {A}: {page}")));
    let deleted = next(
        |world| {
            world.snapshot(C).router_interfaces = Known::default();
            world.interface(I).opposite_status = Some(RouterInterfaceStatus::Deleted);
        },
        Wire::S1,
        Wire::S1,
    );
    assert_eq!(deleted, Some(format!("account {B}: create the accepting side")));
}

#[test]
fn where_nothing_is_to_repair_a_gap_is_closed_unless_all_is_well() {
    let denied = |world: &mut World| {
        world.snapshot(C).network_acls = Known::Unknown(WhyUnknown::Denied {
            action: "vpc:DescribeNetworkAcls".into(),
            code: "Forbidden.RAM".into(),
            request_id: String::new(),
        });
    };
    assert_eq!(next(denied, Wire::Through, Wire::Through), None);
    let silent = next(|world| world.silence(C), Wire::Through, Wire::Through);
    assert_eq!(silent.as_deref(), Some("a running agent there that reaches the collector"));
    let unexplained = next(
        |world| {
            world.facts(C).firewall = Known::default();
            world.facts(C).routes.clear();
        },
        Wire::S3,
        Wire::Through,
    );
    assert_eq!(unexplained.as_deref(), Some("the answering host's facts"));
}

#[test]
fn a_commands_step_in_the_guest_is_told_as_the_command() {
    let told = next(|world| world.facts(C).sysctls.echo_ignore_all = Known::Known(true), Wire::S3, Wire::Through);
    assert_eq!(told, Some(format!("account {B}: sysctl -w net.ipv4.icmp_echo_ignore_all=0")));
}
