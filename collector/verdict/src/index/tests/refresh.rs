//! A newer snapshot of one place: the answers are those of a fresh estate, and what cannot have changed is not
//! recompiled.

use super::*;
use crate::{
    Lang, PathTrace,
    tests::{configuration::transit, world::*},
};

const I: Side = Side::Initiator;

/// A copy of a snapshot for another region of the same account, with objects of its own.
fn elsewhere(snapshot: &Snapshot) -> Snapshot {
    let text = serde_json::to_string(snapshot).unwrap();
    let mut text = text.replace("cn-qingdao", "cn-hangzhou").replace("192.168.1.", "10.9.1.");
    for name in ["vpc-a", "vsw-a", "vtb-a", "vrt-a", "ri-a", "sg-a", "eni-a", "i-a", "nacl-a"] {
        text = text.replace(&format!("\"{name}\""), &format!("\"{name}2\""));
    }
    serde_json::from_str(&text).unwrap()
}

/// Two connected VPCs and a third one beside them, in another region of the initiator's account.
fn beside() -> (World, Estate) {
    let mut world = World::healthy();
    let second = SecurityGroup { id: id("sg-a3"), ..world.group(I).clone() };
    known(&mut world.snapshot(I).security_groups).push(second);
    known(&mut world.snapshot(I).enis)[0].security_groups.push(id("sg-a3"));
    let other = elsewhere(world.snapshot(I));
    world.case.snapshots.push(other);
    let estate = Estate::new(world.case.snapshots.clone(), std::slice::from_ref(&world.case.pair.link));
    (world, estate)
}

/// The paths between all hosts, for ICMP and for TCP port 80.
fn paths(estate: &Estate) -> Vec<PathTrace> {
    let hosts: Vec<HostRef> = estate.hosts().collect();
    let mut all = vec![];
    for (protocol, port) in [(Protocol::Icmp, None), (Protocol::Tcp, Some(80))] {
        for source in &hosts {
            for destination in hosts.iter().filter(|other| *other != source) {
                let flow = Flow { source: *source, destination: *destination, protocol, port };
                all.extend(estate.path(&flow, Lang::En));
            }
        }
    }
    all
}

/// How often the whole estate and each VPC were recompiled.
fn versions(estate: &Estate) -> (u64, Vec<(String, u64)>) {
    let networks = estate.networks.iter().map(|network| (network.id.to_string(), network.version));
    (estate.version, networks.collect())
}

fn touched(estate: &Estate) -> Vec<String> {
    let (whole, networks) = versions(estate);
    let vpcs = networks.into_iter().filter(|(_, version)| *version > 0).map(|(vpc, _)| vpc);
    (0..whole).map(|_| "all".to_owned()).chain(vpcs).collect()
}

type Edit = fn(&mut Snapshot);

/// Refreshes the estate with the edited snapshot of a place and checks the answers; returns what was recompiled.
fn after(world: &World, mut estate: Estate, at: usize, edit: Edit) -> Vec<String> {
    let mut snapshots = world.case.snapshots.clone();
    edit(&mut snapshots[at]);
    estate.refresh(snapshots[at].clone());
    let fresh = Estate::new(snapshots, std::slice::from_ref(&world.case.pair.link));
    assert_eq!(paths(&estate), paths(&fresh));
    let links = |estate: &Estate| estate.links().cloned().collect::<Vec<_>>();
    assert_eq!(links(&estate), links(&fresh));
    touched(&estate)
}

fn groups(snapshot: &mut Snapshot) -> &mut Vec<SecurityGroup> {
    known(&mut snapshot.security_groups)
}

#[test]
fn rules_alone_touch_the_networks_of_their_group_only() {
    let edits: [Edit; 3] = [
        |s| known(&mut groups(s)[0].rules)[0].policy = Policy::Drop,
        |s| known(&mut groups(s)[0].rules).clear(),
        |s| groups(s)[0].inner_access = Known::Known(Policy::Drop),
    ];
    for edit in edits {
        for (place, vpc) in ["vpc-a", "vpc-b", "vpc-a2"].into_iter().enumerate() {
            let (world, estate) = beside();
            assert_eq!(after(&world, estate, place, edit), [vpc], "{place}");
        }
    }
}

#[test]
fn the_same_reading_once_more_touches_nothing() {
    let (world, estate) = beside();
    assert_eq!(after(&world, estate, 0, |s| s.taken_at = at(60_000)), Vec::<String>::new());
}

#[test]
fn anything_else_makes_the_estate_anew_and_right() {
    let edits: [Edit; 14] = [
        // Groups: another default, another order, another count, another VPC, a rule with a near block, no groups read.
        |s| groups(s)[0].kind = SecurityGroupKind::Enterprise,
        |s| {
            groups(s).reverse();
            known(&mut groups(s)[0].rules)[0].id = Some(id("sgr-first"));
        },
        |s| groups(s).truncate(1),
        |s| groups(s)[0].vpc = None,
        |s| known(&mut groups(s)[0].rules)[0].own = Some(cidr("192.168.9.0/24")),
        |s| s.security_groups = Known::default(),
        |s| known(&mut s.vswitches)[0].cidr = cidr("192.168.0.0/16"),
        |s| known(&mut known(&mut s.route_tables)[0].entries).truncate(1),
        |s| known(&mut s.router_interfaces)[0].status = RouterInterfaceStatus::Inactive,
        |s| s.vpc_peerings = Known::default(),
        |s| known(&mut s.instances)[0].status = InstanceStatus::Stopped,
        |s| known(&mut s.enis)[0].security_groups.clear(),
        |s| known(&mut s.vpcs)[0].router = None,
        |s| s.network_acls = Known::default(),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let (world, estate) = beside();
        assert_eq!(after(&world, estate, 0, edit), ["all"], "edit {number}");
    }
}

#[test]
fn a_near_block_that_goes_makes_the_estate_anew() {
    let (mut world, _) = beside();
    known(&mut world.group(I).rules)[0].own = Some(cidr("192.168.9.0/24"));
    let estate = Estate::new(world.case.snapshots.clone(), std::slice::from_ref(&world.case.pair.link));
    assert_eq!(after(&world, estate, 0, |s| known(&mut groups(s)[0].rules)[0].own = None), ["all"]);
}

#[test]
fn acls_prefix_lists_and_transit_routers_make_the_estate_anew() {
    let edits: [Edit; 5] = [
        |s| {
            let drop = acl_entry("nae-no", Policy::Drop, RuleProtocol::All, "0.0.0.0/0");
            known(&mut known(&mut s.network_acls)[0].ingress).insert(0, drop);
        },
        |s| known(&mut known(&mut s.prefix_lists)[0].entries).clear(),
        |s| known(&mut s.transit_attachments)[0].attached = false,
        |s| s.transit_peerings = Known::Known(vec![]),
        |s| known(&mut known(&mut s.transit_route_tables)[0].routes).clear(),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut world = transit::healthy();
        world.acl(I, true, vec![acl_entry("nae-yes", Policy::Accept, RuleProtocol::All, "0.0.0.0/0")]);
        let (list, provenance) = (id("pl-1"), Provenance(0));
        let entries = Known::Known(vec![cidr("172.16.0.0/16")]);
        world.snapshot(I).prefix_lists = Known::Known(vec![PrefixList { id: list, entries, provenance }]);
        let listed = rule("sgr-pl", Policy::Accept, 1, RuleProtocol::Tcp, RulePeer::PrefixList(id("pl-1")));
        world.rules(I).push(listed);
        let estate = Estate::new(world.case.snapshots.clone(), std::slice::from_ref(&world.case.pair.link));
        assert_eq!(after(&world, estate, 0, edit), ["all"], "edit {number}");
    }
}

#[test]
fn a_place_that_was_not_read_before_is_added_and_given_links_are_kept() {
    let (world, _) = beside();
    let link = std::slice::from_ref(&world.case.pair.link);
    let mut estate = Estate::new(world.case.snapshots[..1].to_vec(), link);
    for snapshot in world.case.snapshots.iter().skip(1).rev() {
        estate.refresh(snapshot.clone());
    }
    assert_eq!(estate.version, 2);
    assert_eq!(paths(&estate), paths(&Estate::new(world.case.snapshots.clone(), link)));
    // The interface of the third VPC names the peer's: a link that was not given, beside the given one.
    assert_eq!(estate.links().map(|link| link.id.as_str()).collect::<Vec<_>>(), ["peering1", "vpc-a2~vpc-b"]);
}

#[test]
fn of_several_readings_of_a_place_the_newest_counts_in_any_order() {
    let (world, estate) = beside();
    let mut older = world.case.snapshots.clone();
    for snapshot in &mut older {
        snapshot.taken_at = at(-60_000);
        groups(snapshot).clear();
    }
    let newer = world.case.snapshots.clone();
    for both in [[older.clone(), newer.clone()].concat(), [newer, older].concat()] {
        let made = Estate::new(both, std::slice::from_ref(&world.case.pair.link));
        assert_eq!(paths(&made), paths(&estate));
    }
}
