//! The path of a flow through the tutorial's networks, stage by stage, as text.

use crate::tests::world::*;
use crate::{Estate, Flow, HostRef, Lang, PathLeg, PathState, PathTrace};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

pub(in crate::tests) fn estate(world: &World) -> Estate {
    Estate::new(world.case.snapshots.clone(), std::slice::from_ref(&world.case.pair.link))
}

pub(in crate::tests) fn host(estate: &Estate, address: &str) -> HostRef {
    estate.hosts_at(ip(address))[0]
}

/// Adds another host to a side, in the same groups.
pub(in crate::tests) fn neighbour(world: &mut World, side: Side, number: u8) {
    let snapshot = world.snapshot(side);
    let mut eni = known(&mut snapshot.enis)[0].clone();
    let mut instance = known(&mut snapshot.instances)[0].clone();
    let address = match eni.addresses[0] {
        std::net::IpAddr::V4(own) => {
            std::net::IpAddr::from([own.octets()[0], own.octets()[1], own.octets()[2], number])
        }
        std::net::IpAddr::V6(_) => panic!("the tutorial has none"),
    };
    (eni.id, instance.id) = (id(&format!("{}-{number}", eni.id)), id(&format!("{}-{number}", instance.id)));
    (eni.instance, eni.addresses, instance.addresses) = (Some(instance.id.clone()), vec![address], vec![address]);
    known(&mut snapshot.enis).push(eni);
    known(&mut snapshot.instances).push(instance);
}

fn trace(world: &World, ends: [&str; 2], lang: Lang) -> PathTrace {
    let estate = estate(world);
    let [source, destination] = ends.map(|address| host(&estate, address));
    estate.path(&Flow { source, destination, protocol: Protocol::Icmp, port: None }, lang).unwrap()
}

const ACROSS: [&str; 2] = ["192.168.1.10", "172.16.1.10"];

/// One line `Stage state object codes: detail` per stage.
fn told(leg: &PathLeg) -> Vec<String> {
    let line = |stage: &crate::PathStage| {
        let object = stage.object.as_ref().map_or("-", |object| object.id.as_str());
        let codes: Vec<&str> = stage.codes.iter().map(|code| code.as_str()).collect();
        let line = format!("{:?} {:?} {object} {}", stage.stage, stage.state, codes.join(" "));
        let (line, detail) = (line.trim_end(), &stage.detail);
        if detail.is_empty() { line.to_owned() } else { format!("{line}: {detail}") }
    };
    leg.stages().iter().map(line).collect()
}

/// The stages of the request and of the reply that do not pass.
fn troubles(world: &World) -> [Vec<String>; 2] {
    let path = trace(world, ACROSS, Lang::En);
    [path.request, path.reply].map(|leg| told(&leg).into_iter().filter(|line| !line.contains(" Passes ")).collect())
}

#[test]
fn a_healthy_way_names_what_lets_it_pass_at_every_stage() {
    let mut world = World::healthy();
    world.acl(I, false, vec![acl_entry("nae-1", Policy::Accept, RuleProtocol::All, "0.0.0.0/0")]);
    let path = trace(&world, ACROSS, Lang::En);
    assert_eq!((path.state, path.link.as_ref().map(LinkId::as_str)), (PathState::Passes, Some("peering1")));
    let source = &path.source;
    assert_eq!((source.address, source.interface.as_ref().unwrap().as_str()), (ip("192.168.1.10"), "eni-a"));
    assert_eq!(
        told(&path.request),
        [
            "Source Passes i-a",
            "EgressGroup Passes sg-a: by default",
            "EgressAcl Passes nae-1: entry 1",
            "Route Passes rte-peer-a: 172.16.0.0/16 → RouterInterface ri-a",
            "Connection Passes ri-a",
            "IngressAcl Passes -: none in effect",
            "IngressGroup Passes sgr-b: accept icmp -1/-1 192.168.0.0/16 priority 1",
            "Destination Passes i-b",
        ]
    );
    assert_eq!(
        told(&path.reply),
        [
            "Source Passes i-b",
            "EgressAcl Passes -: none in effect",
            "Route Passes rte-peer-b: 192.168.0.0/16 → RouterInterface ri-b",
            "Connection Passes ri-b",
            "IngressAcl Passes nae-open: entry 1",
            "Destination Passes i-a",
        ]
    );
    let chinese = told(&trace(&world, ACROSS, Lang::Zh).request);
    let lines = ["EgressGroup Passes sg-a: 默认策略", "EgressAcl Passes nae-1: 第 1 条", "IngressAcl Passes -: 未生效"];
    assert_eq!([&chinese[1], &chinese[2], &chinese[5]], lines);
    world.acl(C, true, vec![]);
    assert_eq!(told(&trace(&world, ACROSS, Lang::En).request)[5], "IngressAcl Passes nacl-b: by default");
}

fn stop(world: &mut World, side: Side) {
    known(&mut world.snapshot(side).instances)[0].status = InstanceStatus::Stopped;
}

fn refuse(world: &mut World, side: Side) {
    let deny = |name: &str| vec![acl_entry(name, Policy::Drop, RuleProtocol::All, "0.0.0.0/0")];
    world.acl(side, true, deny("nae-in"));
    known(&mut world.snapshot(side).network_acls)[0].egress = Known::Known(deny("nae-out"));
}

#[test]
fn every_fault_is_told_at_its_own_stage_of_the_packet_that_it_stops() {
    let mut world = World::healthy();
    for side in Side::BOTH {
        stop(&mut world, side);
        refuse(&mut world, side);
        world.entries(side).truncate(1);
        let mut out = rule("sgr-out", Policy::Drop, 1, RuleProtocol::All, RulePeer::Any);
        out.ingress = false;
        *world.rules(side) = vec![out];
        world.interface(side).business_status = BusinessStatus::FinancialLocked;
    }
    let codes = |leg: &PathLeg| -> Vec<String> {
        let stages = leg.stages().iter();
        stages
            .map(|stage| {
                let codes: Vec<&str> = stage.codes.iter().map(|code| code.as_str()).collect();
                format!("{:?} {} {}", stage.stage, stage.object.as_ref().unwrap().id, codes.join(" "))
            })
            .collect()
    };
    let path = trace(&world, ACROSS, Lang::En);
    assert_eq!(path.state, PathState::Stopped);
    assert_eq!(
        codes(&path.request),
        [
            "Source i-a instance-stopped",
            "EgressGroup sg-a sg-egress-blocked",
            "EgressAcl nae-out nacl-egress-blocked",
            "Route vtb-a route-missing",
            "Connection ri-a ri-financial-locked",
            "IngressAcl nae-in nacl-ingress-blocked",
            "IngressGroup sg-b sg-ingress-missing",
            "Destination i-b instance-stopped",
        ]
    );
    assert_eq!(
        codes(&path.reply),
        [
            "Source i-b instance-stopped",
            "EgressAcl nae-out nacl-egress-blocked",
            "Route vtb-b route-missing",
            "Connection ri-a ri-financial-locked",
            "IngressAcl nae-in nacl-ingress-blocked",
            "Destination i-a instance-stopped",
        ]
    );
}

#[test]
fn what_stops_a_packet_says_why_in_the_readers_language() {
    let mut world = World::healthy();
    world.entries(I).truncate(1);
    assert_eq!(troubles(&world)[0], ["Route Stopped vtb-a route-missing: vtb-a has no entry that covers 172.16.1.10"]);
    let chinese = trace(&world, ACROSS, Lang::Zh).request;
    assert!(told(&chinese)[3].ends_with("vtb-a 中没有包含 172.16.1.10 的条目"), "{:?}", told(&chinese));
    // The sender's own network contains the destination, so the packet stays there.
    let mut world = World::healthy();
    let mut own = known(&mut world.snapshot(I).vswitches)[0].clone();
    (own.id, own.cidr) = (id("vsw-own"), cidr("172.16.1.0/24"));
    known(&mut world.snapshot(I).vswitches).push(own);
    let [request, reply] = troubles(&world);
    assert!(
        request[0].starts_with("Route Stopped vtb-a route-shadowed: 172.16.1.0/24 is this VPC's own"),
        "{request:?}"
    );
    assert_eq!((request.len(), reply.len()), (1, 0));
}

#[test]
fn what_was_not_read_is_told_at_its_own_stage() {
    let denied = |action: &str| WhyUnknown::Denied {
        action: action.into(),
        code: "Forbidden.RAM".into(),
        request_id: String::new(),
    };
    let why = |what: &str, side: Side| {
        let mut world = World::healthy();
        let reason = denied("a:B");
        let snapshot = world.snapshot(side);
        match what {
            "groups" => snapshot.security_groups = Known::Unknown(reason),
            "acls" => {
                known(&mut snapshot.vswitches)[0].network_acl = Some(id("nacl-1"));
                snapshot.network_acls = Known::Unknown(reason);
            }
            "tables" => snapshot.route_tables = Known::Unknown(reason),
            "instances" => snapshot.enis = Known::Unknown(reason),
            _ => snapshot.router_interfaces = Known::Unknown(reason),
        }
        world
    };
    let gap = |what: &str, account: &str| format!("{what} of account {account}: {}", denied("a:B"));
    let line = |stage: &str, object: &str, what: &str, account: &str| {
        format!("{stage} Unknown {object}: {}", gap(what, account))
    };
    let (groups, acls) = ("the security group rules", "the network ACLs");
    assert_eq!(troubles(&why("groups", I)), [vec![line("EgressGroup", "-", groups, A)], vec![]]);
    assert_eq!(troubles(&why("groups", C)), [vec![line("IngressGroup", "-", groups, B)], vec![]]);
    let both = |first: &str, second: &str, object: &str, what: &str, account: &str| {
        [vec![line(first, object, what, account)], vec![line(second, object, what, account)]]
    };
    assert_eq!(troubles(&why("acls", I)), both("EgressAcl", "IngressAcl", "-", acls, A));
    assert_eq!(troubles(&why("acls", C)), both("IngressAcl", "EgressAcl", "-", acls, B));
    assert_eq!(troubles(&why("tables", I)), [vec![line("Route", "-", "the route tables", A)], vec![]]);
    assert_eq!(troubles(&why("tables", C)), [vec![], vec![line("Route", "-", "the route tables", B)]]);
    let interfaces = "the network interfaces";
    assert_eq!(troubles(&why("instances", I)), both("Source", "Destination", "i-a", interfaces, A));
    assert_eq!(troubles(&why("instances", C)), both("Destination", "Source", "i-b", interfaces, B));
    // Everything unread at once: each stage reports only its own part.
    let mut world = World::healthy();
    for side in Side::BOTH {
        for what in ["groups", "acls", "tables", "interfaces"] {
            let from = why(what, side);
            let snapshot = world.snapshot(side);
            let read = from.case.snapshots.into_iter().find(|s| s.account == snapshot.account).unwrap();
            match what {
                "groups" => snapshot.security_groups = read.security_groups,
                "acls" => (snapshot.network_acls, snapshot.vswitches) = (read.network_acls, read.vswitches),
                "tables" => snapshot.route_tables = read.route_tables,
                _ => snapshot.router_interfaces = read.router_interfaces,
            }
        }
    }
    let connections = |account: &str| gap("the router interfaces", account);
    let connection = |object: &str| format!("Connection Unknown {object}: {}; {}", connections(A), connections(B));
    assert_eq!(
        troubles(&world)[0],
        [
            line("EgressGroup", "-", groups, A),
            line("EgressAcl", "-", acls, A),
            format!("Route Unknown -: {}; {}", connections(A), gap("the route tables", A)),
            connection("vpc-a"),
            line("IngressAcl", "-", acls, B),
            line("IngressGroup", "-", groups, B),
        ]
    );
}
