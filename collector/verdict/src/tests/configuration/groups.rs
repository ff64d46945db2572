//! Which rule of a group is named if no rule accepts the pair's packets: the likeliest mistake, or no rule.

use crate::tests::{summary, world::*};
use crate::{Verdict, walk};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

/// The verdict if the acceptor's group has these rules and requests do not arrive.
fn closed(rules: Vec<SecurityRule>, change: impl FnOnce(&mut World)) -> Verdict {
    let mut world = World::healthy();
    world.wire(Wire::S1, Wire::Through);
    *world.rules(C) = rules;
    change(&mut world);
    world.verdict()
}

fn blamed(rules: Vec<SecurityRule>) -> Vec<String> {
    summary::blamed(&closed(rules, |_| {}))
}

fn of(block: &str) -> RulePeer {
    RulePeer::Cidr(cidr(block))
}

fn accept(name: &str, protocol: RuleProtocol, peer: RulePeer) -> SecurityRule {
    rule(name, Policy::Accept, 1, protocol, peer)
}

fn outward(rule: SecurityRule) -> SecurityRule {
    SecurityRule { ingress: false, ..rule }
}

const MISSING: [&str; 1] = ["sg-ingress-missing acceptor sg-b"];

use RuleProtocol::{Icmp, Tcp};

/// A rule of five parts for another host of this side accepts nothing here, and shows why when it is printed.
#[test]
fn a_rule_for_another_host_of_its_own_side_shows_that_side() {
    let own = |peer, own: &str| SecurityRule { own: Some(cidr(own)), ..accept("sgr-1", Icmp, of(peer)) };
    let verdict = closed(vec![own("192.168.0.0/16", "172.16.1.99/32")], |_| {});
    let pooled = &summary::why(&verdict, "sg-ingress-missing")[1];
    assert!(pooled.contains("accept icmp -1/-1 192.168.0.0/16 to 172.16.1.99/32 priority 1"), "{pooled}");
    let drop = SecurityRule { policy: Policy::Drop, ..outward(own("192.168.0.0/16", "172.16.0.0/16")) };
    assert_eq!(walk::rule_text(&drop), "drop icmp -1/-1 172.16.0.0/16 to 192.168.0.0/16 priority 1");
}

#[test]
fn a_rule_is_a_mistaken_attempt_only_where_it_is_there_for_the_peer() {
    let peers = "192.168.0.0/16";
    assert_eq!(blamed(vec![accept("sgr-1", Tcp, of(peers))]), ["sg-wrong-protocol acceptor sgr-1"]);
    for (what, block) in [
        ("for everyone", "0.0.0.0/0"),
        ("for somebody else", "10.9.0.0/16"),
        ("for a half of the world that holds this network too", "128.0.0.0/1"),
        ("for a part of the peer's network that lacks the peer", "192.168.2.0/24"),
    ] {
        assert_eq!(blamed(vec![accept("sgr-1", Tcp, of(block))]), MISSING, "{what}");
    }
    assert_eq!(blamed(vec![accept("sgr-1", Tcp, RulePeer::Any)]), MISSING);
    let unread = closed(vec![accept("sgr-1", Tcp, of("0.0.0.0/0"))], |world| world.snapshot(C).vpcs = Known::default());
    assert_eq!(summary::blamed(&unread), MISSING, "whatever this network's own blocks are");
    assert_eq!(blamed(vec![accept("sgr-1", Icmp, of("192.168.2.0/24"))]), ["sg-wrong-cidr acceptor sgr-1"]);
    assert_eq!(blamed(vec![accept("sgr-1", Icmp, of("192.167.0.0/16"))]), ["sg-wrong-cidr acceptor sgr-1"]);
    assert_eq!(blamed(vec![accept("sgr-1", Icmp, of("172.16.9.0/24"))]), ["sg-wrong-cidr acceptor sgr-1"]);
    assert_eq!(blamed(vec![accept("sgr-1", Icmp, of("10.9.0.0/16"))]), MISSING, "nowhere near");
}

#[test]
fn a_rule_that_another_pair_of_the_link_needs_is_no_mistake() {
    let rules = || vec![accept("sgr-1", Tcp, of("192.168.0.0/16"))];
    let with = |opened_by: Side| {
        let verdict = closed(rules(), |world| {
            let mut other = world.case.pair.clone();
            (other.id, other.protocol, other.port) = (id("pair2"), Protocol::Tcp, Some(443));
            other.opened_by = opened_by;
            world.case.peers.push(other);
        });
        summary::blamed(&verdict)
    };
    assert_eq!(with(I), MISSING);
    assert_eq!(with(C), ["sg-wrong-protocol acceptor sgr-1"], "it needs no rule for what comes in");
}

#[test]
fn a_rule_in_the_other_direction_is_named_when_it_would_let_the_peer_in() {
    let peers = "192.168.0.0/16";
    let turned = |rule| blamed(vec![outward(rule)]);
    assert_eq!(turned(accept("sgr-1", Icmp, of(peers))), ["sg-wrong-direction acceptor sgr-1"]);
    assert_eq!(turned(accept("sgr-1", Tcp, of(peers))), MISSING, "another service");
    assert_eq!(turned(accept("sgr-1", Icmp, of("10.9.0.0/16"))), MISSING, "another peer");
    let dropping = SecurityRule { policy: Policy::Drop, ..accept("sgr-1", Icmp, of(peers)) };
    let verdict = closed(vec![outward(dropping)], |world| world.wire(Wire::S1, Wire::S1));
    assert_eq!(summary::blamed(&verdict), ["sg-ingress-missing acceptor sg-b", "sg-egress-blocked acceptor sg-b"]);
}

/// Adds a security group that no interface of this network belongs to.
fn group(world: &mut World, name: &str, vpc: &str, rules: Vec<SecurityRule>) {
    let mut group = world.group(C).clone();
    (group.id, group.vpc, group.rules) = (id(name), Some(id(vpc)), Known::Known(rules));
    known(&mut world.snapshot(C).security_groups).push(group);
}

#[test]
fn a_group_as_source_is_foreign_when_it_cannot_be_one_of_this_network() {
    let source = |name: &str, owner: Option<&str>| RulePeer::Group { id: id(name), owner: owner.map(id) };
    let foreign = ["sg-group-source-cross-vpc acceptor sgr-1"];
    for (what, protocol, peer, expect) in [
        ("the other account's", Icmp, source("sg-far", Some(A)), true),
        ("the other account's, for another service", Tcp, source("sg-far", Some(A)), false),
        ("one that nobody shows", Icmp, source("sg-far", None), true),
        ("one of this network", Icmp, source("sg-b", None), false),
        ("one of this network, whoever is said to own it", Icmp, source("sg-b", Some(A)), false),
        ("one of a third network", Icmp, source("sg-third", None), false),
        ("one of a third network, of this account", Icmp, source("sg-third", Some(B)), false),
        ("one of a third network, of the other account", Icmp, source("sg-third", Some(A)), true),
        ("one of the peer's network", Icmp, source("sg-theirs", None), true),
    ] {
        let verdict = closed(vec![accept("sgr-1", protocol, peer)], |world| {
            group(world, "sg-third", "vpc-x", vec![]);
            group(world, "sg-theirs", "vpc-a", vec![]);
        });
        let expect: &[&str] = if expect { &foreign } else { &MISSING };
        assert_eq!(summary::blamed(&verdict), expect, "{what}");
    }
}

#[test]
fn a_group_that_is_attached_nowhere_is_named_when_it_would_let_the_peer_in() {
    let peers = "192.168.0.0/16";
    let beside = |rules: Vec<SecurityRule>| {
        let verdict = closed(vec![], |world| group(world, "sg-beside", "vpc-b", rules));
        summary::blamed(&verdict)
    };
    assert_eq!(beside(vec![accept("sgr-1", Icmp, of(peers))]), ["sg-not-attached acceptor sg-beside"]);
    assert_eq!(beside(vec![accept("sgr-1", Tcp, of(peers))]), MISSING, "another service");
    assert_eq!(beside(vec![accept("sgr-1", Icmp, of("0.0.0.0/0"))]), MISSING, "for everyone");
    assert_eq!(beside(vec![outward(accept("sgr-1", Icmp, of(peers)))]), MISSING, "what goes out");
    let drop = SecurityRule { policy: Policy::Drop, ..accept("sgr-1", Icmp, of(peers)) };
    assert_eq!(beside(vec![drop]), MISSING, "it refuses");
}

#[test]
fn a_drop_rule_is_blamed_when_something_would_accept_without_it() {
    let drop = rule("sgr-d", Policy::Drop, 5, RuleProtocol::All, of("192.168.0.0/16"));
    let late = |peer: &str| SecurityRule { priority: 50, ..accept("sgr-a", Icmp, of(peer)) };
    assert_eq!(blamed(vec![drop.clone(), late("192.168.0.0/16")]), ["sg-drop-wins acceptor sgr-d"]);
    assert_eq!(blamed(vec![drop.clone(), late("10.9.0.0/16")]), MISSING, "nothing would");
    let first = SecurityRule { priority: 1, ..drop };
    assert_eq!(blamed(vec![first]), ["sg-drop-wins acceptor sgr-d"], "and no rule goes before it");
}

#[test]
fn a_drop_rule_for_the_peer_goes_and_a_wider_one_is_overruled_unless_it_is_the_first() {
    for (peer, priority, call) in [
        (of("192.168.0.0/16"), 5, "RevokeSecurityGroup"),
        (of("192.168.1.0/24"), 5, "RevokeSecurityGroup"),
        (of("192.0.0.0/8"), 5, "AuthorizeSecurityGroup"),
        (RulePeer::Any, 5, "AuthorizeSecurityGroup"),
        (RulePeer::Any, 2, "AuthorizeSecurityGroup"),
        (of("192.0.0.0/8"), 1, "RevokeSecurityGroup"),
        (RulePeer::Any, 1, "RevokeSecurityGroup"),
    ] {
        let drop = rule("sgr-d", Policy::Drop, priority, Icmp, peer.clone());
        let late = SecurityRule { priority: 50, ..accept("sgr-a", Icmp, of("192.168.0.0/16")) };
        let verdict = closed(vec![drop, late], |_| {});
        let calls: Vec<_> = verdict.repairs.set.iter().map(|repair| repair.cli[2].as_str()).collect();
        assert_eq!(calls, [call], "{peer:?} {priority}");
    }
}

#[test]
fn a_nameless_rule_is_told_by_its_group_and_from_the_call_that_read_it() {
    let verdict = closed(vec![], |world| {
        let mut second = world.group(C).clone();
        let mut drop = rule("sgr-d", Policy::Drop, 1, RuleProtocol::All, RulePeer::Any);
        drop.id = None;
        (second.id, second.rules, second.provenance) = (id("sg-second"), Known::Known(vec![drop]), Provenance(1));
        let snapshot = world.snapshot(C);
        known(&mut snapshot.security_groups).push(second);
        known(&mut snapshot.enis)[0].security_groups.push(id("sg-second"));
        snapshot.sources.push(Source { api: "ecs:Second".into(), request_id: "req-2".into(), at: at(200) });
    });
    assert_eq!(summary::blamed(&verdict), ["sg-drop-wins acceptor sg-second"]);
    let requests: Vec<_> = verdict.causes[0].evidence.iter().take(2).map(|line| line.request_id.as_deref()).collect();
    assert_eq!(requests, [Some("req-2"), Some("req-b")]);
}

#[test]
fn a_rule_of_which_something_is_unread_decides_nothing_against_one_that_is_read() {
    use walk::Match::{Maybe, No, Yes};
    let (yes, no) = (Policy::Accept, Policy::Drop);
    let decide = |pool: &[(u8, Policy, walk::Match)], default| walk::group_decides(pool.to_vec(), default);
    assert_eq!(decide(&[(1, yes, Yes), (2, no, Yes)], false), Ok((true, Some(1))));
    assert_eq!(decide(&[(1, no, No), (2, yes, Yes)], false), Ok((true, Some(2))));
    assert_eq!(decide(&[(1, yes, Maybe), (2, yes, Yes)], false), Ok((true, Some(2))), "both say the same");
    assert_eq!(decide(&[(1, no, Maybe), (2, yes, Yes)], false), Err(()));
    assert_eq!(decide(&[(1, yes, Yes), (2, no, Maybe)], false), Ok((true, Some(1))), "it comes too late");
    for default in [false, true] {
        assert_eq!(decide(&[], default), Ok((default, None)));
        let (alike, unlike) = if default { (yes, no) } else { (no, yes) };
        assert_eq!(decide(&[(1, alike, Maybe)], default), Ok((default, None)));
        assert_eq!(decide(&[(1, unlike, Maybe)], default), Err(()));
    }
}

#[test]
fn entries_of_an_acl_are_told_by_their_place_and_replies_have_any_port() {
    let mut world = World::healthy();
    let other = acl_entry("nae-1", Policy::Drop, RuleProtocol::Udp, "0.0.0.0/0");
    let open = acl_entry("nae-2", Policy::Accept, RuleProtocol::All, "0.0.0.0/0");
    world.acl(C, true, vec![other, open]);
    let lines: Vec<_> = world.verdict().steps[6].evidence.iter().map(|line| line.text.clone()).collect();
    assert!(lines.contains(&"nacl-b ingress entry 2 accepts icmp with 192.168.1.10".to_owned()), "{lines:?}");
    let ports = |ingress: bool| {
        let mut world = World::healthy();
        (world.case.pair.protocol, world.case.pair.port) = (Protocol::Tcp, Some(443));
        world.case.probes.clear();
        world.case.arrivals.clear();
        for side in Side::BOTH {
            world.rules(side)[0].protocol = RuleProtocol::All;
        }
        world.acl(C, ingress, vec![acl_entry("nae-1", Policy::Drop, RuleProtocol::All, "0.0.0.0/0")]);
        let line = summary::commands(&world.verdict()).join(" ");
        let (_, port) = line.split_once("1.Port ").unwrap_or_else(|| panic!("{line}"));
        port.split(' ').next().unwrap().to_owned()
    };
    assert_eq!((ports(true), ports(false)), ("443/443".to_owned(), "1/65535".to_owned()));
}
