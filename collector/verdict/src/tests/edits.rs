//! What counts as a change of configuration, how it is told, and that undoing it leaves nothing changed.

use super::{transit, world::*};
use crate::{Lang, change::changes};
use pingtong_evidence::*;

const I: Side = Side::Initiator;

/// A reading with one of everything.
fn reading() -> Snapshot {
    let mut world = transit::healthy();
    let entries = vec![acl_entry("nae-1", Policy::Accept, RuleProtocol::All, "0.0.0.0/0")];
    world.acl(I, true, entries);
    let mut snapshot = world.snapshot(I).clone();
    known(&mut snapshot.transit_peerings).truncate(1);
    snapshot.prefix_lists = Known::Known(vec![PrefixList {
        id: id("pl-1"),
        entries: Known::Known(vec![cidr("10.0.0.0/8"), cidr("10.1.0.0/16")]),
        provenance: Provenance(0),
    }]);
    snapshot.vpc_peerings = Known::Known(vec![VpcPeering {
        id: id("pcc-1"),
        status: VpcPeeringStatus::Activated,
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
    snapshot
}

/// `kind object key: before → after`, for each change.
fn told(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let gone = |text: &Option<String>| text.clone().unwrap_or_else(|| "(none)".to_owned());
    let line = |change: &crate::change::Change| {
        let (kind, before, after) = (change.kind().name(Lang::En), gone(&change.before), gone(&change.after));
        let key = if change.key() == change.object() { String::new() } else { format!(" {}", change.key()) };
        format!("{kind} {}{key}: {before} → {after}", change.object())
    };
    changes(before, after).iter().map(line).collect()
}

fn table(snapshot: &mut Snapshot) -> &mut RouteTable {
    &mut known(&mut snapshot.route_tables)[0]
}

fn group(snapshot: &mut Snapshot) -> &mut SecurityGroup {
    &mut known(&mut snapshot.security_groups)[0]
}

fn transit_table(snapshot: &mut Snapshot) -> &mut TransitRouteTable {
    &mut known(&mut snapshot.transit_route_tables)[0]
}

type Make = fn(&mut Snapshot);

const MADE: [(Make, &str); 23] = [
    (
        |s| known(&mut s.vpcs)[0].secondary_cidrs.push(cidr("10.0.0.0/16")),
        "VPC vpc-a: 192.168.0.0/16 - → 192.168.0.0/16 10.0.0.0/16",
    ),
    (
        |s| known(&mut s.vswitches)[0].network_acl = None,
        "vSwitch vsw-a: 192.168.1.0/24 RouteTable vtb-a NetworkAcl nacl-a → \
         192.168.1.0/24 RouteTable vtb-a NetworkAcl -",
    ),
    (
        |s| table(s).vswitches.push(id("vsw-2")),
        "route table vtb-a: System VSwitches vsw-a → System VSwitches vsw-a vsw-2",
    ),
    (|s| table(s).vswitches.clear(), "route table vtb-a: System VSwitches vsw-a → System VSwitches -"),
    (|s| known(&mut s.route_tables).clear(), "route table vtb-a: System VSwitches vsw-a → (none)"),
    (
        |s| known(&mut table(s).entries)[1].next_hops[0].id = "tr-2".into(),
        "route entry vtb-a 172.16.0.0/16: 172.16.0.0/16 Attachment tr-attach-a Available → \
         172.16.0.0/16 Attachment tr-2 Available",
    ),
    (
        |s| known(&mut table(s).entries).truncate(1),
        "route entry vtb-a 172.16.0.0/16: 172.16.0.0/16 Attachment tr-attach-a Available → (none)",
    ),
    (
        |s| known(&mut table(s).entries).push(entry("rte-2", "10.0.0.0/8", NextHopKind::Instance, "i-2")),
        "route entry vtb-a 10.0.0.0/8: (none) → 10.0.0.0/8 Instance i-2 Available",
    ),
    (
        |s| known(&mut s.router_interfaces)[0].status = RouterInterfaceStatus::Inactive,
        "router interface ri-a: Active Normal Mini.2 OppositeInterface ri-b → \
         Inactive Normal Mini.2 OppositeInterface ri-b",
    ),
    (
        |s| known(&mut s.vpc_peerings)[0].status = VpcPeeringStatus::Deleted,
        "VPC peering connection pcc-1: Activated Normal → Deleted Normal",
    ),
    (
        |s| known(&mut s.transit_attachments)[0].attached = false,
        "transit router attachment tr-attach-a: tr-a vpc-a Attached=true → tr-a vpc-a Attached=false",
    ),
    (
        |s| known(&mut s.transit_peerings)[0].attached = false,
        "transit router attachment tr-attach-between: tr-a tr-b Attached=true → tr-a tr-b Attached=false",
    ),
    (
        |s| known(&mut transit_table(s).routes).truncate(1),
        "route table vtb-tr-a: RouteEntries 2 Associations 2 Propagations 2 → \
         RouteEntries 1 Associations 2 Propagations 2",
    ),
    (
        |s| transit_table(s).propagations = Known::Unknown(transit::refused()),
        "route table vtb-tr-a: RouteEntries 2 Associations 2 Propagations 2 → \
         RouteEntries 2 Associations 2 Propagations ?",
    ),
    (
        |s| known(&mut known(&mut s.network_acls)[0].ingress).clear(),
        "network ACL nacl-a: IngressAclEntries 1 EgressAclEntries 1 VSwitches vsw-a → \
         IngressAclEntries 0 EgressAclEntries 1 VSwitches vsw-a",
    ),
    (|s| group(s).kind = SecurityGroupKind::Enterprise, "security group sg-a: Normal → Enterprise"),
    (
        |s| known(&mut group(s).rules)[0].policy = Policy::Drop,
        "security group rule sg-a sgr-a: ingress accept icmp -1/-1 172.16.0.0/16 priority 1 → \
         ingress drop icmp -1/-1 172.16.0.0/16 priority 1",
    ),
    (
        |s| {
            let mut rule = rule("sgr-x", Policy::Accept, 5, RuleProtocol::Tcp, RulePeer::Any);
            (rule.id, rule.ingress) = (None, false);
            known(&mut group(s).rules).push(rule);
        },
        "security group rule sg-a egress accept tcp 1/65535 0.0.0.0/0 priority 5: (none) → \
         egress accept tcp 1/65535 0.0.0.0/0 priority 5",
    ),
    (
        |s| known(&mut known(&mut s.prefix_lists)[0].entries).truncate(1),
        "prefix list pl-1: 10.0.0.0/8 10.1.0.0/16 → 10.0.0.0/8",
    ),
    (|s| known(&mut s.prefix_lists)[0].entries = Known::default(), "prefix list pl-1: 10.0.0.0/8 10.1.0.0/16 → ?"),
    (
        |s| known(&mut s.instances)[0].status = InstanceStatus::Stopped,
        "instance i-a: Running 192.168.1.10 SecurityGroups sg-a → Stopped 192.168.1.10 SecurityGroups sg-a",
    ),
    (
        |s| known(&mut s.enis)[0].security_groups.clear(),
        "network interface eni-a: InUse 192.168.1.10 SecurityGroups sg-a → InUse 192.168.1.10 SecurityGroups -",
    ),
    (
        |s| known(&mut s.enis)[0].addresses.push(ip("192.168.1.11")),
        "network interface eni-a: InUse 192.168.1.10 SecurityGroups sg-a → \
         InUse 192.168.1.10 192.168.1.11 SecurityGroups sg-a",
    ),
];

#[test]
fn every_change_is_told_by_what_it_was_and_became_and_can_be_undone() {
    let before = reading();
    for (make, expect) in MADE {
        let mut after = before.clone();
        make(&mut after);
        assert_eq!(told(&before, &after), [expect]);
        let mut undone = after.clone();
        for change in changes(&before, &after) {
            change.undo(&before, &mut undone);
        }
        assert_eq!(told(&before, &undone), Vec::<String>::new(), "{expect}");
        // What came to be is gone, and what is gone came to be, the other way round.
        let mut redone = before.clone();
        for change in changes(&after, &before) {
            change.undo(&after, &mut redone);
        }
        assert_eq!(told(&after, &redone), Vec::<String>::new(), "{expect}");
    }
}

#[test]
fn undoing_a_change_of_a_table_or_a_group_leaves_what_it_holds() {
    let before = reading();
    let mut after = before.clone();
    table(&mut after).kind = RouteTableKind::Custom;
    known(&mut table(&mut after).entries).truncate(1);
    group(&mut after).kind = SecurityGroupKind::Enterprise;
    known(&mut group(&mut after).rules).clear();
    let all = changes(&before, &after);
    assert_eq!(all.len(), 4);
    for change in all.iter().filter(|change| change.key() == change.object()) {
        change.undo(&before, &mut after);
    }
    assert_eq!(
        told(&before, &after),
        [
            "route entry vtb-a 172.16.0.0/16: 172.16.0.0/16 Attachment tr-attach-a Available → (none)",
            "security group rule sg-a sgr-a: ingress accept icmp -1/-1 172.16.0.0/16 priority 1 → (none)",
        ]
    );
}

#[test]
fn where_when_in_which_order_and_why_not_something_was_read_is_no_change() {
    let refused = |request: &str| WhyUnknown::Refused {
        action: "a:B".into(),
        code: "Throttling".into(),
        request_id: request.into(),
    };
    let made = |request: &str, provenance: u32, turned: bool| {
        let mut snapshot = reading();
        let at = Provenance(provenance);
        table(&mut snapshot).provenance = at;
        table(&mut snapshot).vswitches.push(id("vsw-2"));
        for entry in known(&mut table(&mut snapshot).entries) {
            entry.provenance = at;
        }
        (transit_table(&mut snapshot).provenance, group(&mut snapshot).provenance) = (at, at);
        transit_table(&mut snapshot).propagations = Known::Unknown(refused(request));
        group(&mut snapshot).inner_access = Known::Unknown(refused(request));
        let acl = &mut known(&mut snapshot.network_acls)[0];
        (acl.provenance, acl.egress) = (at, Known::Unknown(refused(request)));
        acl.vswitches.push(id("vsw-2"));
        known(&mut snapshot.prefix_lists)[0].provenance = at;
        known(&mut snapshot.vpcs)[0].provenance = at;
        if turned {
            table(&mut snapshot).vswitches.reverse();
            known(&mut table(&mut snapshot).entries).reverse();
            known(&mut transit_table(&mut snapshot).routes).reverse();
            known(&mut snapshot.network_acls)[0].vswitches.reverse();
            known(&mut known(&mut snapshot.prefix_lists)[0].entries).reverse();
        }
        snapshot
    };
    let before = made("req-1", 0, false);
    assert_eq!(told(&before, &made("req-2", 0, false)), Vec::<String>::new());
    assert_eq!(told(&before, &made("req-1", 3, false)), Vec::<String>::new());
    assert_eq!(told(&before, &made("req-1", 0, true)), Vec::<String>::new());
    // A list that only one reading knows tells of no change either.
    let mut unread = before.clone();
    (unread.enis, unread.route_tables) = (Known::default(), Known::default());
    assert_eq!(told(&before, &unread), Vec::<String>::new());
    assert_eq!(told(&unread, &before), Vec::<String>::new());
}
