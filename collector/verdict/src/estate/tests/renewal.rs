//! What a newer snapshot makes anew: the pools of the groups whose rules changed, or everything.

use super::*;
use crate::tests::world::{World, acl_entry, at, cidr, id, ip, known, rule};

const C: Side = Side::Acceptor;

/// Gives what is made anew once the acceptor's snapshot changed: the VPCs, or none for everything.
fn renewed(change: impl FnOnce(&mut Snapshot)) -> Option<Vec<String>> {
    let mut world = World::healthy();
    let before = world.snapshot(C);
    let mut other = known(&mut before.security_groups)[0].clone();
    other.id = id("sg-other");
    known(&mut before.security_groups).push(other);
    let acl = vec![acl_entry("nae-1", Policy::Accept, RuleProtocol::All, "0.0.0.0/0")];
    world.acl(C, true, acl);
    let mut estate = Estate::new(world.question.snapshots.clone(), &[]);
    let mut after = world.snapshot(C).clone();
    (after.taken_at, after.finished_at) = (at(9_000), at(9_300));
    change(&mut after);
    let vpcs = estate.renew(after.clone())?;
    // Whatever was made anew answers as an estate that was made of the newest from the start.
    let kept = world.question.snapshots.iter().filter(|snapshot| snapshot.account != after.account).cloned();
    let fresh = Estate::new(kept.chain([after.clone()]), &[]);
    for (source, destination) in [("192.168.1.10", "172.16.1.10"), ("172.16.1.10", "192.168.1.10")] {
        let answer = |estate: &Estate| {
            let [source, destination] = [source, destination].map(|address| estate.hosts_at(ip(address))[0]);
            estate.walk(&Flow { source, destination, protocol: Protocol::Icmp, port: None })
        };
        assert_eq!(answer(&estate), answer(&fresh));
    }
    Some(vpcs.into_iter().map(|at| estate.networks[at as usize].id.to_string()).collect())
}

fn drop_all(snapshot: &mut Snapshot) {
    let drop = rule("sgr-d", Policy::Drop, 1, RuleProtocol::All, RulePeer::Any);
    known(&mut known(&mut snapshot.security_groups)[0].rules).push(drop);
}

#[test]
fn a_change_of_rules_costs_the_networks_that_use_the_group_and_nothing_else() {
    assert_eq!(renewed(drop_all), Some(vec!["vpc-b".to_owned()]));
    assert_eq!(renewed(|_| {}), Some(vec![]));
    let unused = renewed(|snapshot| known(&mut known(&mut snapshot.security_groups)[1].rules).clear());
    assert_eq!(unused, Some(vec![]), "no interface belongs to it");
    let inner = |snapshot: &mut Snapshot| {
        known(&mut snapshot.security_groups)[0].inner_access = Known::Known(Policy::Drop);
    };
    assert_eq!(renewed(inner), Some(vec!["vpc-b".to_owned()]));
}

#[test]
fn a_rule_with_a_near_block_before_or_after_makes_everything_anew() {
    let near = |snapshot: &mut Snapshot| {
        known(&mut known(&mut snapshot.security_groups)[0].rules)[0].own = Some(cidr("172.16.1.0/24"));
    };
    assert_eq!(renewed(near), None);
    let mut world = World::healthy();
    near(world.snapshot(C));
    let mut estate = Estate::new(world.question.snapshots.clone(), &[]);
    known(&mut known(&mut world.snapshot(C).security_groups)[0].rules)[0].own = None;
    assert_eq!(estate.renew(world.snapshot(C).clone()), None);
}

#[test]
fn a_change_of_anything_else_makes_everything_anew() {
    type Make = fn(&mut Snapshot);
    let makes: [(&str, Make); 16] = [
        ("vpcs", |s| known(&mut s.vpcs)[0].secondary_cidrs.push(cidr("10.0.0.0/16"))),
        ("vswitches", |s| known(&mut s.vswitches)[0].zone = Some("z".parse().unwrap())),
        ("tables", |s| known(&mut known(&mut s.route_tables)[0].entries).truncate(1)),
        ("interfaces", |s| known(&mut s.router_interfaces).clear()),
        ("peerings", |s| s.vpc_peerings = Known::default()),
        ("attachments", |s| s.transit_attachments = Known::default()),
        ("transit peerings", |s| s.transit_peerings = Known::default()),
        ("transit tables", |s| s.transit_route_tables = Known::default()),
        ("acls", |s| known(&mut s.network_acls).clear()),
        ("prefix lists", |s| s.prefix_lists = Known::default()),
        ("instances", |s| known(&mut s.instances)[0].status = InstanceStatus::Stopped),
        ("enis", |s| known(&mut s.enis)[0].security_groups.clear()),
        ("a group more", |s| {
            let mut group = known(&mut s.security_groups)[0].clone();
            group.id = id("sg-new");
            known(&mut s.security_groups).push(group);
        }),
        ("another group", |s| known(&mut s.security_groups)[1].id = id("sg-new")),
        ("a group elsewhere", |s| known(&mut s.security_groups)[1].vpc = None),
        ("a group of another kind", |s| known(&mut s.security_groups)[1].kind = SecurityGroupKind::Enterprise),
    ];
    for (what, make) in makes {
        assert_eq!(renewed(make), None, "{what}");
        let with_rules = renewed(|snapshot| {
            make(snapshot);
            if let Some(group) = known(&mut snapshot.security_groups).first_mut() {
                known(&mut group.rules).clear();
            }
        });
        assert_eq!(with_rules, None, "{what}, and rules");
    }
}

#[test]
fn a_snapshot_of_another_place_replaces_none() {
    for (account, region) in [("1000000000000009", "cn-beijing"), ("1000000000000002", "cn-hangzhou")] {
        let mut world = World::healthy();
        let mut estate = Estate::new(world.question.snapshots.clone(), &[]);
        let mut elsewhere = Snapshot::unread(id(account), id(region), at(9_000));
        elsewhere.security_groups = world.snapshot(C).security_groups.clone();
        assert_eq!(estate.renew(elsewhere), None);
        assert_eq!((estate.places.len(), estate.hosts_at(ip("172.16.1.10")).len()), (3, 1), "{account} {region}");
    }
}

#[test]
fn only_pools_of_the_changed_place_and_group_are_made_anew() {
    // Both accounts name their group alike; only one of them changes.
    let mut world = World::healthy();
    for side in Side::BOTH {
        let snapshot = world.snapshot(side);
        known(&mut snapshot.security_groups)[0].id = id("sg-same");
        known(&mut snapshot.enis)[0].security_groups = vec![id("sg-same")];
    }
    let mut estate = Estate::new(world.question.snapshots.clone(), &[]);
    drop_all(world.snapshot(C));
    let vpcs = estate.renew(world.snapshot(C).clone()).unwrap();
    let names: Vec<_> = vpcs.into_iter().map(|at| estate.networks[at as usize].id.to_string()).collect();
    assert_eq!(names, ["vpc-b"]);
}
