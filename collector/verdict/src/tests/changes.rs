//! What differs between two readings of one account: each kind of object told in its own words, undone exactly, and nothing
//! said of what only the reading itself changed.

use super::world::*;
use crate::{
    change::{Change, changes},
    verdict::ObjectKind,
};
use pingtong_evidence::*;

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

type Edit = fn(&mut Snapshot);
type Told = (ObjectKind, &'static str, &'static str, Option<&'static str>, Option<&'static str>);

/// Edits, each with the one change that it is: kind, the object that the records name, key, before, after.
fn edits() -> Vec<(Edit, Told)> {
    use ObjectKind as K;
    vec![
        (
            |s| first(&mut s.vpcs).secondary_cidrs = vec![cidr("10.5.0.0/16"), cidr("10.6.0.0/16")],
            (K::Vpc, "vpc-a", "vpc-a", Some("192.168.0.0/16 -"), Some("192.168.0.0/16 10.5.0.0/16 10.6.0.0/16")),
        ),
        (
            |s| (first(&mut s.vswitches).network_acl, first(&mut s.vswitches).route_table) = (None, None),
            (
                K::VSwitch,
                "vsw-a",
                "vsw-a",
                Some("192.168.1.0/24 RouteTable vtb-a NetworkAcl nacl-a"),
                Some("192.168.1.0/24 RouteTable - NetworkAcl -"),
            ),
        ),
        (
            |s| first(&mut s.route_tables).vswitches.clear(),
            (K::RouteTable, "vtb-a", "vtb-a", Some("System VSwitches vsw-a"), Some("System VSwitches -")),
        ),
        (
            |s| known(&mut first(&mut s.route_tables).entries)[1].status = RouteStatus::Pending,
            (
                K::RouteEntry,
                "vtb-a",
                "172.16.0.0/16",
                Some("172.16.0.0/16 RouterInterface ri-a Available"),
                Some("172.16.0.0/16 RouterInterface ri-a Pending"),
            ),
        ),
        (
            |s| first(&mut s.router_interfaces).opposite_interface = None,
            (
                K::RouterInterface,
                "ri-a",
                "ri-a",
                Some("Active Normal Mini.2 OppositeInterface ri-b"),
                Some("Active Normal Mini.2 OppositeInterface -"),
            ),
        ),
        (
            |s| first(&mut s.vpc_peerings).status = VpcPeeringStatus::Activated,
            (K::VpcPeering, "pcc-1", "pcc-1", Some("Accepting Normal"), Some("Activated Normal")),
        ),
        (
            |s| first(&mut s.transit_attachments).attached = false,
            (
                K::TransitAttachment,
                "tr-attach-a",
                "tr-attach-a",
                Some("tr-a vpc-a Attached=true"),
                Some("tr-a vpc-a Attached=false"),
            ),
        ),
        (
            |s| first(&mut s.transit_peerings).attached = false,
            (
                K::TransitAttachment,
                "tr-attach-ab",
                "tr-attach-ab",
                Some("tr-a tr-b Attached=true"),
                Some("tr-a tr-b Attached=false"),
            ),
        ),
        (
            |s| known(&mut first(&mut s.transit_route_tables).routes).truncate(1),
            (
                K::RouteTable,
                "vtb-tr",
                "vtb-tr",
                Some("RouteEntries 2 Associations 1 Propagations ?"),
                Some("RouteEntries 1 Associations 1 Propagations ?"),
            ),
        ),
        (
            |s| known(&mut first(&mut s.network_acls).ingress).clear(),
            (
                K::NetworkAcl,
                "nacl-a",
                "nacl-a",
                Some("IngressAclEntries 1 EgressAclEntries 1 VSwitches vsw-a"),
                Some("IngressAclEntries 0 EgressAclEntries 1 VSwitches vsw-a"),
            ),
        ),
        (
            |s| first(&mut s.security_groups).kind = SecurityGroupKind::Enterprise,
            (K::SecurityGroup, "sg-a", "sg-a", Some("Normal"), Some("Enterprise")),
        ),
        (
            |s| known(&mut first(&mut s.security_groups).rules)[0].policy = Policy::Drop,
            (
                K::SecurityGroupRule,
                "sg-a",
                "sgr-a",
                Some("ingress accept icmp -1/-1 172.16.0.0/16 priority 1"),
                Some("ingress drop icmp -1/-1 172.16.0.0/16 priority 1"),
            ),
        ),
        (
            |s| known(&mut first(&mut s.security_groups).rules).truncate(1),
            (
                K::SecurityGroupRule,
                "sg-a",
                "egress drop tcp 1/65535 0.0.0.0/0 priority 7",
                Some("egress drop tcp 1/65535 0.0.0.0/0 priority 7"),
                None,
            ),
        ),
        (
            |s| known(&mut first(&mut s.prefix_lists).entries).truncate(1),
            (K::PrefixList, "pl-1", "pl-1", Some("10.1.0.0/16 10.2.0.0/16"), Some("10.1.0.0/16")),
        ),
        (
            |s| first(&mut s.prefix_lists).entries = Known::default(),
            (K::PrefixList, "pl-1", "pl-1", Some("10.1.0.0/16 10.2.0.0/16"), Some("?")),
        ),
        (
            |s| first(&mut s.instances).status = InstanceStatus::Stopped,
            (
                K::Instance,
                "i-a",
                "i-a",
                Some("Running 192.168.1.10 SecurityGroups sg-a"),
                Some("Stopped 192.168.1.10 SecurityGroups sg-a"),
            ),
        ),
        (
            |s| first(&mut s.enis).security_groups.clear(),
            (
                K::NetworkInterface,
                "eni-a",
                "eni-a",
                Some("InUse 192.168.1.10 SecurityGroups sg-a"),
                Some("InUse 192.168.1.10 SecurityGroups -"),
            ),
        ),
    ]
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
    // The order in which they are listed, and the request that was refused.
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
    found.iter().for_each(|change| change.undo(&before, &mut after));
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
