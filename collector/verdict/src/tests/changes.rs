//! Differences between two readings of one account: each kind of object is described in its own way and undone exactly,
//! and differences that only the reading itself causes are not reported.

use super::world::*;
use crate::{
    onset::change::{Change, changes},
    verdict::ObjectKind,
};
use edits::edits;
use pingtong_evidence::*;

mod edits;

const I: Side = Side::Initiator;

fn denied(request: &str) -> WhyUnknown {
    let (action, code) = ("x:Describe".to_owned(), "Forbidden".to_owned());
    WhyUnknown::Denied { action, code, request_id: request.to_owned() }
}

/// A reading that holds at least one object of each kind.
fn reading() -> Snapshot {
    let mut world = World::healthy();
    world.acl(I, true, vec![acl_entry("nae-1", Policy::Drop, RuleProtocol::Icmp, "10.0.0.0/8")]);
    let mut nameless = rule("sgr-x", Policy::Drop, 7, RuleProtocol::Tcp, RulePeer::Any);
    (nameless.id, nameless.ingress) = (None, false);
    world.rules(I).push(nameless);
    let mut snapshot = world.snapshot(I).clone();
    snapshot.vpc_peerings = Known::Known(vec![VpcPeering {
        id: id("pcc-1"),
        status: VpcPeeringStatus::Accepting,
        business_status: BusinessStatus::Normal,
        bandwidth_mbps: None,
        owner: id(A),
        region: id("cn-qingdao"),
        vpc: id("vpc-a"),
        accepting_owner: id(B),
        accepting_region: id("cn-beijing"),
        accepting_vpc: id("vpc-b"),
        provenance: Provenance(0),
    }]);
    snapshot.transit_attachments = Known::Known(vec![TransitAttachment {
        id: id("tr-attach-a"),
        transit_router: id("tr-a"),
        vpc: id("vpc-a"),
        vpc_owner: None,
        vpc_region: None,
        attached: true,
        provenance: Provenance(0),
    }]);
    snapshot.transit_peerings = Known::Known(vec![TransitPeering {
        id: id("tr-attach-ab"),
        transit_router: id("tr-a"),
        region: id("cn-qingdao"),
        peer_transit_router: id("tr-b"),
        peer_region: id("cn-beijing"),
        peer_owner: None,
        bandwidth_mbps: None,
        attached: true,
        provenance: Provenance(0),
    }]);
    let route = |block, active| TransitRoute { destination: cidr(block), attachment: None, active, propagated: true };
    snapshot.transit_route_tables = Known::Known(vec![TransitRouteTable {
        id: id("vtb-tr"),
        transit_router: id("tr-a"),
        associations: Known::Known(vec![id("tr-attach-a")]),
        propagations: Known::Unknown(denied("r1")),
        routes: Known::Known(vec![route("10.0.0.0/8", true), route("10.9.0.0/16", false)]),
        provenance: Provenance(0),
    }]);
    snapshot.prefix_lists = Known::Known(vec![PrefixList {
        id: id("pl-1"),
        entries: Known::Known(vec![cidr("10.1.0.0/16"), cidr("10.2.0.0/16")]),
        provenance: Provenance(0),
    }]);
    snapshot
}

fn first<T>(list: &mut Known<Vec<T>>) -> &mut T {
    known(list).first_mut().unwrap()
}

fn told(change: &Change) -> (ObjectKind, &str, &str, Option<&str>, Option<&str>) {
    (change.kind(), change.object(), change.key(), change.before.as_deref(), change.after.as_deref())
}

#[test]
fn each_kind_of_change_is_told_once_and_undone_exactly() {
    let before = reading();
    for (edit, expected) in edits() {
        let mut after = before.clone();
        edit(&mut after);
        let found = changes(&before, &after);
        assert_eq!(found.iter().map(told).collect::<Vec<_>>(), [expected]);
        found[0].undo(&before, &mut after);
        assert_eq!(after, before, "undoing {expected:?}");
    }
}

#[test]
fn what_is_undone_leaves_every_other_change_in_place() {
    let before = reading();
    let mut after = before.clone();
    edits().into_iter().filter(|(_, told)| told.4 != Some("?")).for_each(|(edit, _)| edit(&mut after));
    let found = changes(&before, &after);
    for change in &found {
        let mut undone = after.clone();
        change.undo(&before, &mut undone);
        let left: Vec<_> = found.iter().filter(|other| *other != change).cloned().collect();
        assert_eq!(changes(&before, &undone), left, "{change:?}");
    }
}

#[test]
fn another_reading_of_the_same_is_no_change() {
    let before = reading();
    let mut after = before.clone();
    after.taken_at = at(60_000);
    for provenance in [
        &mut first(&mut after.vpcs).provenance,
        &mut first(&mut after.route_tables).provenance,
        &mut first(&mut after.transit_route_tables).provenance,
        &mut first(&mut after.network_acls).provenance,
        &mut first(&mut after.security_groups).provenance,
        &mut first(&mut after.prefix_lists).provenance,
        &mut first(&mut after.enis).provenance,
    ] {
        *provenance = Provenance(9);
    }
    known(&mut first(&mut after.route_tables).entries)[1].provenance = Provenance(9);
    // Only the order of the lists and the id of the refused request differ.
    known(&mut first(&mut after.route_tables).entries).reverse();
    known(&mut first(&mut after.prefix_lists).entries).reverse();
    known(&mut first(&mut after.transit_route_tables).routes).reverse();
    first(&mut after.transit_route_tables).propagations = Known::Unknown(denied("r2"));
    assert_eq!(changes(&before, &after), []);
}

#[test]
fn where_two_vswitches_are_bound_their_order_is_no_change() {
    let (one, other): (VSwitchId, VSwitchId) = (id("vsw-a"), id("vsw-z"));
    let mut before = reading();
    first(&mut before.route_tables).vswitches = vec![one.clone(), other.clone()];
    first(&mut before.network_acls).vswitches = vec![one.clone(), other.clone()];
    let mut after = before.clone();
    first(&mut after.route_tables).vswitches.reverse();
    first(&mut after.network_acls).vswitches.reverse();
    assert_eq!(changes(&before, &after), []);
}

#[test]
fn refusals_that_differ_only_in_their_request_are_no_change() {
    let refused = |request: &str| {
        let mut snapshot = reading();
        let acl = first(&mut snapshot.network_acls);
        (acl.ingress, acl.egress) = (Known::Unknown(denied(request)), Known::Unknown(denied(request)));
        first(&mut snapshot.security_groups).inner_access = Known::Unknown(denied(request));
        first(&mut snapshot.prefix_lists).entries = Known::Unknown(denied(request));
        let table = first(&mut snapshot.transit_route_tables);
        (table.routes, table.associations) = (Known::Unknown(denied(request)), Known::Unknown(denied(request)));
        snapshot
    };
    assert_eq!(changes(&refused("r1"), &refused("r2")), []);
}

#[test]
fn what_is_new_and_what_is_gone_have_one_side_each_and_are_undone() {
    let (before, mut after) = (reading(), reading());
    let mut second = first(&mut after.vswitches).clone();
    second.id = id("vsw-new");
    known(&mut after.vswitches).push(second);
    known(&mut after.enis).clear();
    let found = changes(&before, &after);
    let sides: Vec<_> = found.iter().map(|c| (c.object(), c.before.is_some(), c.after.is_some())).collect();
    assert_eq!(sides, [("vsw-new", false, true), ("eni-a", true, false)]);
    for change in &found {
        change.undo(&before, &mut after);
    }
    assert_eq!(after, before);
}

#[test]
fn a_list_that_one_reading_lacks_says_nothing() {
    let before = reading();
    let mut after = before.clone();
    after.enis = Known::default();
    after.route_tables = Known::default();
    assert_eq!(changes(&before, &after), []);
    assert_eq!(changes(&after, &before), []);
}
