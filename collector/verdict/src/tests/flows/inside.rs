//! Paths inside one VPC, and over transit routers.

use crate::tests::{
    configuration::transit,
    flows::ways::{host, neighbour},
    world::*,
};
use crate::{Estate, Flow, Lang, PathLeg, PathState, Stage};
use pingtong_evidence::*;

const I: Side = Side::Initiator;
const C: Side = Side::Acceptor;

pub(in crate::tests) fn way(world: &World, ends: [&str; 2], lang: Lang) -> crate::PathTrace {
    let estate = Estate::new(world.case.snapshots.clone(), std::slice::from_ref(&world.case.pair.link));
    let [source, destination] = ends.map(|address| host(&estate, address));
    estate.path(&Flow { source, destination, protocol: Protocol::Icmp, port: None }, lang).unwrap()
}

fn told(leg: &PathLeg) -> Vec<String> {
    let line = |stage: &crate::PathStage| {
        let object = stage.object.as_ref().map_or("-", |object| object.id.as_str());
        let codes: Vec<&str> = stage.codes.iter().map(|code| code.as_str()).collect();
        format!("{:?} {:?} {object} {}: {}", stage.stage, stage.state, codes.join(" "), stage.detail)
    };
    leg.stages().iter().map(line).map(|line| line.replace(" : ", ": ")).collect()
}

const WITHIN: [&str; 2] = ["172.16.1.20", "172.16.1.10"];

fn within(change: impl FnOnce(&mut SecurityGroup)) -> World {
    let mut world = World::healthy();
    neighbour(&mut world, C, 20);
    change(world.group(C));
    world
}

#[test]
fn members_of_a_group_reach_each_other_inside_the_network() {
    let path = way(&within(|_| {}), WITHIN, Lang::En);
    assert_eq!((path.state, path.link), (PathState::Passes, None));
    assert_eq!(
        told(&path.request),
        [
            "Source Passes i-b-20: ",
            "EgressGroup Passes sg-b: members of one group reach each other",
            "EgressAcl Passes -: none in effect",
            "Route Passes vpc-b: inside the VPC",
            "IngressAcl Passes -: none in effect",
            "IngressGroup Passes sg-b: members of one group reach each other",
            "Destination Passes i-b: ",
        ]
    );
    let reply: Vec<Stage> = path.reply.stages().iter().map(|stage| stage.stage).collect();
    let stages = [Stage::Source, Stage::EgressAcl, Stage::Route, Stage::IngressAcl, Stage::Destination];
    assert_eq!(reply, stages, "groups pass replies");
    let chinese = told(&way(&within(|_| {}), WITHIN, Lang::Zh).request);
    let lines = ["EgressGroup Passes sg-b: 同一安全组内实例互通", "Route Passes vpc-b: 专有网络内部"];
    assert_eq!([&chinese[1], &chinese[3]], lines);
}

#[test]
fn an_isolating_group_an_enterprise_group_and_a_drop_rule_stop_members_by_their_own_codes() {
    let groups = |change: fn(&mut SecurityGroup)| {
        let lines = told(&way(&within(change), WITHIN, Lang::En).request);
        [lines[1].clone(), lines[5].clone()]
    };
    let isolated = groups(|group| group.inner_access = Known::Known(Policy::Drop));
    let out = "EgressGroup Passes sg-b: by default";
    assert_eq!(isolated, [out, "IngressGroup Stopped sg-b sg-ingress-missing: by default"]);
    let dropping = groups(|group| {
        group.inner_access = Known::Known(Policy::Drop);
        let peer = RulePeer::Cidr(cidr("172.16.0.0/16"));
        known(&mut group.rules).push(rule("sgr-d", Policy::Drop, 1, RuleProtocol::Icmp, peer));
    });
    let line = "IngressGroup Stopped sgr-d sg-drop-wins: drop icmp -1/-1 172.16.0.0/16 priority 1";
    assert_eq!(dropping, [out, line]);
    let enterprise = groups(|group| group.kind = SecurityGroupKind::Enterprise);
    let lines = [
        "EgressGroup Stopped sg-b sg-egress-blocked: by default",
        "IngressGroup Stopped sg-b sg-ingress-missing: by default",
    ];
    assert_eq!(enterprise, lines, "an enterprise group isolates its members");
    let unread = groups(|group| group.inner_access = Known::default());
    assert!(unread[1].starts_with("IngressGroup Unknown"), "{unread:?}");
    let by_group = groups(|group| {
        group.inner_access = Known::Known(Policy::Drop);
        let peer = RulePeer::Group { id: id("sg-b"), owner: None };
        known(&mut group.rules).push(rule("sgr-g", Policy::Accept, 1, RuleProtocol::Icmp, peer));
    });
    assert_eq!(by_group[1], "IngressGroup Passes sgr-g: accept icmp -1/-1 sg-b priority 1");
}

pub(in crate::tests) const ACROSS: [&str; 2] = ["192.168.1.10", "172.16.1.10"];

#[test]
fn a_transit_router_is_a_stage_only_where_it_stops_or_hides_a_packet() {
    let stages = |world: &World| {
        let path = way(world, ACROSS, Lang::En);
        [path.request, path.reply].map(|leg| {
            let shown = |line: &String| line.starts_with("Connection") || line.starts_with("Transit");
            told(&leg).into_iter().filter(shown).collect::<Vec<_>>()
        })
    };
    let connections = ["Connection Passes tr-attach-a: ", "Connection Passes tr-attach-b: "];
    assert_eq!(stages(&transit::healthy()), connections.map(|line| vec![line.to_owned()]));
    let mut hole = transit::healthy();
    hole.rules(C).clear();
    transit::routes(&mut hole, I).push(TransitRoute { attachment: None, ..transit::learned("172.16.1.0/28", "x") });
    let [request, reply] = stages(&hole);
    let line =
        "Transit Stopped vtb-tr-a route-wrong-next-hop: vtb-tr-a drops 172.16.1.10: 172.16.1.0/28 is a black hole";
    assert_eq!((request[1].as_str(), reply.len()), (line, 1));
    let mut unread = transit::healthy();
    unread.snapshot(I).transit_route_tables = Known::Unknown(transit::refused());
    let why = format!("the route tables of the transit router of account {A}: {}", transit::refused());
    let [request, reply] = stages(&unread);
    assert_eq!(request[1], format!("Transit Unknown tr-attach-a: {why}"));
    assert_eq!(reply[1], format!("Transit Unknown tr-attach-b: {why}"));
}
