//! Flows that a set of repairs permits besides the pair's own: by changed rules and entries, by guests, and between
//! shown hosts.

use super::*;
use crate::repair::{apply::apply, opens::opens};

/// The openings of a fix, each as one line.
fn opened(world: &World, side: Side, fix: &Fix) -> Vec<String> {
    let before = model(world);
    let mut after = before.clone();
    apply(&mut after, side, fix);
    let told = opens(&before, &after, &world.case.pair, std::iter::once((side, fix)));
    told.iter().map(|o| format!("{} > {} {} {}", o.source, o.destination, o.protocol, o.ports)).collect()
}

/// A group that drops everything the rule matches, and the fix that removes the rule.
fn dropping(rule: SecurityRule) -> (World, Fix) {
    let mut world = World::healthy();
    world.rules(C).insert(0, rule.clone());
    (world, Fix::RemoveRule { group: id("sg-b"), rule })
}

#[test]
fn a_removed_drop_rule_opens_what_it_spoke_of() {
    let all = [
        (RuleProtocol::Icmp, RulePeer::Cidr(cidr("192.168.0.0/20")), "192.168.0.0/20 > 172.16.1.10/32 icmp -1/-1"),
        (RuleProtocol::All, RulePeer::Any, "0.0.0.0/0 > 172.16.1.10/32 all -1/-1"),
        (RuleProtocol::Tcp, RulePeer::Any, "0.0.0.0/0 > 172.16.1.10/32 tcp 1/65535"),
        (RuleProtocol::Udp, RulePeer::PrefixList(id("pl-1")), "10.1.0.0/16 > 172.16.1.10/32 udp 1/65535"),
    ];
    for (protocol, peer, expected) in all {
        let (mut world, fix) = dropping(rule("sgr-no", Policy::Drop, 1, protocol, peer));
        let list = |name: &str, block: &str| PrefixList {
            id: id(name),
            entries: Known::Known(vec![cidr(block)]),
            provenance: Provenance(0),
        };
        let lists = vec![list("pl-0", "10.9.0.0/16"), list("pl-1", "10.1.0.0/16")];
        world.snapshot(C).prefix_lists = Known::Known(lists);
        assert_eq!(opened(&world, C, &fix), [expected]);
    }
    // Members of a group are in the same VPC, so nothing is opened between the two VPCs. Removing an accepting rule
    // opens nothing either.
    let group = RulePeer::Group { id: id("sg-b"), owner: None };
    let (world, fix) = dropping(rule("sgr-no", Policy::Drop, 1, RuleProtocol::Tcp, group));
    assert_eq!(opened(&world, C, &fix), Vec::<String>::new());
    let (world, fix) = dropping(rule("sgr-yes", Policy::Accept, 1, RuleProtocol::Tcp, RulePeer::Any));
    assert_eq!(opened(&world, C, &fix), Vec::<String>::new());
}

#[test]
fn an_egress_rule_opens_the_way_out() {
    let out = SecurityRule {
        ingress: false,
        ..rule("sgr-no", Policy::Drop, 1, RuleProtocol::Udp, RulePeer::Cidr(cidr("192.168.0.0/16")))
    };
    let (world, fix) = dropping(out);
    assert_eq!(opened(&world, C, &fix), ["172.16.1.10/32 > 192.168.0.0/16 udp 1/65535"]);
}

#[test]
fn an_acl_entry_opens_the_hosts_of_its_vswitch() {
    let mut world = World::healthy();
    world.acl(C, true, vec![acl_entry("nae-no", Policy::Drop, RuleProtocol::All, "0.0.0.0/0")]);
    let mut other = known(&mut world.snapshot(C).enis)[0].clone();
    (other.id, other.addresses, other.vswitch) = (id("eni-other"), vec![ip("172.16.2.10")], Some(id("vsw-b2")));
    let mut beside = known(&mut world.snapshot(C).vswitches)[0].clone();
    (beside.id, beside.cidr, beside.network_acl) = (id("vsw-b2"), cidr("172.16.2.0/24"), None);
    known(&mut world.snapshot(C).vswitches).push(beside);
    known(&mut world.snapshot(C).enis).push(other);
    let accept = |protocol, port| Fix::AclAccept {
        acl: id("nacl-b"),
        ingress: true,
        at: 0,
        protocol,
        port,
        peer: cidr("192.168.0.0/16"),
    };
    let lines = |fix| opened(&world, C, &fix);
    assert_eq!(lines(accept(Protocol::Icmp, None)), ["192.168.0.0/16 > 172.16.1.10/32 icmp -1/-1"]);
    assert_eq!(lines(accept(Protocol::Tcp, Some(443))), ["192.168.0.0/16 > 172.16.1.10/32 tcp 443/443"]);
    assert_eq!(lines(accept(Protocol::Udp, None)), ["192.168.0.0/16 > 172.16.1.10/32 udp 1/65535"]);
}

#[test]
fn a_guests_packet_filter_opens_to_everybody() {
    let guest = |opens: Option<&str>| Fix::Guest {
        instance: id("i-b"),
        commands: vec![vec!["nft".into()]],
        opens: opens.map(str::to_owned),
    };
    let world = World::healthy();
    assert_eq!(opened(&world, C, &guest(Some("icmp"))), ["0.0.0.0/0 > 172.16.1.10/32 icmp -1/-1"]);
    assert_eq!(opened(&world, C, &guest(None)), Vec::<String>::new());
}

#[test]
fn of_a_pair_with_a_port_only_its_own_port_is_not_news() {
    let mut world = World::healthy();
    (world.case.pair.protocol, world.case.pair.port) = (Protocol::Tcp, Some(443));
    let peer = RulePeer::Cidr(cidr("192.168.1.10/32"));
    let web = rule("sgr-web", Policy::Accept, 1, RuleProtocol::Tcp, peer);
    world.rules(C).push(SecurityRule { ports: PortRange::new(442, 444).unwrap(), ..web });
    world.entries(I).truncate(1);
    let fix = Fix::CreateRoute { table: id("vtb-a"), destination: cidr("172.16.0.0/16") };
    let expected = [
        "192.168.1.10/32 > 172.16.1.10/32 icmp -1/-1",
        "192.168.1.10/32 > 172.16.1.10/32 tcp 442/442",
        "192.168.1.10/32 > 172.16.1.10/32 tcp 444/444",
    ];
    assert_eq!(opened(&world, I, &fix), expected);
}

/// A rule that opens more than another makes the other's line redundant: by address, by protocol, by port.
#[test]
fn what_another_line_covers_is_left_out_and_what_it_does_not_is_told() {
    let accept = |protocol, port, peer: &str| Fix::AcceptRule {
        group: id("sg-b"),
        ingress: true,
        protocol,
        port,
        peer: cidr(peer),
    };
    let both = |one: &Fix, other: &Fix| {
        let mut world = World::healthy();
        world.rules(C).clear();
        let before = model(&world);
        let mut after = before.clone();
        let fixes = [(C, one), (C, other)];
        for (side, fix) in fixes {
            apply(&mut after, side, fix);
        }
        opens(&before, &after, &world.case.pair, fixes.into_iter()).len()
    };
    let tcp = |port, peer| accept(Protocol::Tcp, port, peer);
    let wide = tcp(None, "192.168.0.0/16");
    assert_eq!(both(&wide, &tcp(None, "192.168.1.0/24")), 1, "a wider block");
    assert_eq!(both(&wide, &tcp(Some(22), "192.168.0.0/16")), 1, "every port");
    assert_eq!(both(&tcp(Some(22), "192.168.0.0/16"), &tcp(Some(23), "192.168.1.0/24")), 2, "another port");
    assert_eq!(both(&wide, &accept(Protocol::Udp, None, "192.168.1.0/24")), 2, "another protocol");
    assert_eq!(both(&wide, &tcp(None, "192.169.0.0/24")), 2, "beside it");
}

#[test]
fn a_rule_for_every_protocol_covers_one_for_each() {
    let drop = |name, protocol| rule(name, Policy::Drop, 1, protocol, RulePeer::Cidr(cidr("192.168.0.0/16")));
    let [all, tcp] = [drop("sgr-1", RuleProtocol::All), drop("sgr-2", RuleProtocol::Tcp)];
    let mut world = World::healthy();
    world.rules(C).extend([all.clone(), tcp.clone()]);
    let before = model(&world);
    let fixes = [all, tcp].map(|rule| (C, Fix::RemoveRule { group: id("sg-b"), rule }));
    let mut after = before.clone();
    for (side, fix) in &fixes {
        apply(&mut after, *side, fix);
    }
    let told = opens(&before, &after, &world.case.pair, fixes.iter().map(|(side, fix)| (*side, fix)));
    assert_eq!(told.iter().map(|o| o.protocol.as_str()).collect::<Vec<_>>(), ["all"]);
}
