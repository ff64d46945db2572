//! The alternatives of the search, and its brute-force reference.

use super::*;
use crate::smallest_repair_set;
use std::collections::BTreeSet;

fn with_task<T>(world: &World, then: impl FnOnce(&Task<'_>, &[Finding]) -> T) -> T {
    let model = model(world);
    let refuted = BTreeSet::new();
    let task = Task { model: &model, pair: &world.case.pair, peers: &[], others: &[], refuted: &refuted };
    let found = task.blockers(&model);
    then(&task, &found)
}

/// The commands of all alternatives for the only finding.
fn alternatives(world: &World) -> Vec<String> {
    with_task(world, |task, found| {
        assert_eq!(found.len(), 1, "{found:#?}");
        let fixes = task.alternatives(task.model, &found[0]);
        fixes.iter().map(|fix| command(&mut task.model.clone(), found[0].side, fix).unwrap_or_default()).collect()
    })
}

#[test]
fn an_accepting_rule_stands_in_for_a_drop_rule_that_it_can_overrule() {
    let dropped = |priority| {
        let mut world = World::healthy();
        world.rules(C)[0].priority = 60;
        let peer = RulePeer::Cidr(cidr("192.168.0.0/16"));
        world.rules(C).push(rule("sgr-no", Policy::Drop, priority, RuleProtocol::Icmp, peer));
        alternatives(&world)
    };
    let revoke = "RevokeSecurityGroup --SecurityGroupId sg-b --SecurityGroupRuleId.1 sgr-no";
    let accept = "AuthorizeSecurityGroup --SecurityGroupId sg-b --IpProtocol icmp --PortRange=-1/-1 --SourceCidrIp \
                  192.168.0.0/16 --NicType intranet --Policy accept --Priority 1";
    assert_eq!(dropped(2), [revoke, accept]);
    assert_eq!(dropped(1), [revoke], "nothing comes before priority 1");
}

#[test]
fn a_route_stands_in_for_a_shadowing_one_only_where_it_is_narrower() {
    let shadowed = |block: &str| {
        let mut world = World::healthy();
        world.entries(I).push(entry("rte-x", block, NextHopKind::Instance, "i-else"));
        alternatives(&world)
    };
    let delete = "DeleteRouteEntry --RouteEntryId rte-x".to_owned();
    let create = |block: &str| {
        format!(
            "CreateRouteEntry --RouteTableId vtb-a --DestinationCidrBlock {block} --NextHopType RouterInterface \
             --NextHopId ri-a"
        )
    };
    assert_eq!(shadowed("172.16.0.0/20"), [delete.clone(), create("172.16.1.0/24")]);
    assert_eq!(shadowed("172.16.1.0/24"), [delete.clone(), create("172.16.1.10/32")]);
    assert_eq!(shadowed("172.16.1.10/32"), [delete], "nothing is narrower than one address");
}

#[test]
fn what_was_built_in_the_wrong_place_may_stay_there() {
    let mut world = World::healthy();
    let ri = world.interface(I);
    (ri.vpc, ri.router) = (Some(id("vpc-else")), id("vrt-else"));
    with_task(&world, |task, found| {
        let wrong = found.iter().find(|finding| finding.code == CauseCode::RiWrongVpc).unwrap();
        let fixes = task.alternatives(task.model, wrong);
        assert_eq!(fixes.first(), Some(&Fix::CreateInterface));
        assert!(matches!(fixes.get(1), Some(Fix::RemoveInterface { .. })));
    });
    // An interface for the wrong region prevents the creation of the right one.
    let mut world = World::healthy();
    world.interface(I).opposite_region = Some(id("cn-shanghai"));
    with_task(&world, |task, found| {
        let wrong = found.iter().find(|finding| finding.code == CauseCode::RiWrongRegion).unwrap();
        assert!(matches!(task.alternatives(task.model, wrong)[..], [Fix::RemoveInterface { .. }]));
    });
}

#[test]
fn the_yardstick_tries_every_subset_of_at_most_so_many_candidates() {
    // Two fixes, each of which is the only one for its finding.
    let mut world = World::healthy();
    world.entries(I).truncate(1);
    world.rules(C).clear();
    world.wire(Wire::S1, Wire::S1);
    assert_eq!(smallest_repair_set(&world.case.question(), 2), Some(2));
    assert_eq!(smallest_repair_set(&world.case.question(), 1), None);
    // A fix that can be applied only after another one is among the candidates as well.
    let mut world = World::healthy();
    for side in Side::BOTH {
        known(&mut world.snapshot(side).router_interfaces).clear();
        world.entries(side).truncate(1);
    }
    world.wire(Wire::S1, Wire::S1);
    let repairs = world.verdict().repairs;
    assert!(repairs.proven && repairs.minimal);
    // Two interfaces, the opposite fields of each, one call that connects them, and two routes.
    assert_eq!(repairs.set.len(), 7);
    assert_eq!(smallest_repair_set(&world.case.question(), 10), Some(7));
}
