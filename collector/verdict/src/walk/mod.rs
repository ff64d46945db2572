//! The packet walk: every stage between two hosts, both ways, over configuration alone.
//!
//! Decides which stages stop the pair's packets and with which object. A stage is judged whether or not an earlier one
//! stops the packet, so one fault never hides the next. Knows nothing of observations. Semantics:
//! `SEMANTICS.md` §1 (security groups), §2 (routes), §3 (router interfaces), §4 (ACLs).

mod acl;
mod connection;
mod host;
mod meant;
mod overlap;
mod route;
mod security;
mod third;
mod transit;

pub(crate) use acl::{bound_to as acl_bound_to, serves as acl_serves};
pub(crate) use connection::{Hops, link_ends};
pub(crate) use host::{Host, blind_because};
pub(crate) use meant::has_room;
pub(crate) use route::{BadLeg, bad_leg, best_route, route_text};
pub(crate) use security::{
    Match, accepts_by_default as group_default, decide as group_decides, rule_text, serves as group_serves,
    standing as rule_standing,
};

use crate::{
    finding::{Stops, Walk},
    model::Model,
    stage::{PacketKind, Point, Points, Stage},
};
use pingtong_evidence::{Cidr, Direction, Pair, PortRange, Protocol, RuleProtocol, Side};
use std::net::IpAddr;

/// An ephemeral port that stands for every port that hosts choose for the near end of a flow.
pub(crate) const EPHEMERAL_PORT: u16 = 49_152;

/// One packet of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) direction: Direction,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: Protocol,
    pub(crate) source_port: Option<u16>,
    pub(crate) destination_port: Option<u16>,
    pub(crate) kind: PacketKind,
}

impl Packet {
    /// The address at the other end, seen from `side`.
    pub(crate) fn far(&self, side: Side) -> IpAddr {
        if self.direction.source() == side { self.destination } else { self.source }
    }

    /// The address at this end, seen from `side`.
    pub(crate) fn near(&self, side: Side) -> IpAddr {
        if self.direction.source() == side { self.source } else { self.destination }
    }

    /// The point at which this packet meets a stage.
    fn at(&self, stage: Stage) -> Points {
        Points::from([Point { direction: self.direction, packet: self.kind, stage }])
    }

    /// The service as text: `icmp`, or `tcp/443`.
    pub(crate) fn service(&self) -> String {
        self.destination_port.map_or_else(|| self.protocol.to_string(), |port| format!("{}/{port}", self.protocol))
    }
}

/// The points of the connection, which treats every packet alike.
fn at_connection() -> Points {
    Stops::Link.at(Stage::Connection)
}

/// The next hops that lead to the link, without any finding about it.
pub(crate) fn hops(model: &Model) -> Hops {
    connection::check_link(model, &mut Walk::default())
}

/// The directions in which the pair's hosts begin flows.
pub(crate) fn flows(pair: &Pair) -> Vec<Direction> {
    match pair.protocol {
        Protocol::Icmp => Direction::BOTH.to_vec(),
        Protocol::Tcp | Protocol::Udp => vec![pair.opened_by.sends()],
    }
}

/// The request and the reply of a flow.
pub(crate) fn round_trip(pair: &Pair, flow: Direction) -> [Packet; 2] {
    let (source, destination) = (pair.endpoint(flow.source()).address, pair.endpoint(flow.destination()).address);
    let near_port = pair.port.map(|_| EPHEMERAL_PORT);
    let request = Packet {
        direction: flow,
        source,
        destination,
        protocol: pair.protocol,
        source_port: near_port,
        destination_port: pair.port,
        kind: PacketKind::Request,
    };
    let reply = Packet {
        direction: flow.reverse(),
        source: destination,
        destination: source,
        protocol: pair.protocol,
        source_port: pair.port,
        destination_port: near_port,
        kind: PacketKind::Reply,
    };
    [request, reply]
}

/// Whether the protocol of a rule matches this one.
pub(crate) fn protocol_matches(rule: RuleProtocol, protocol: Protocol) -> bool {
    match rule {
        RuleProtocol::All => true,
        RuleProtocol::Tcp => protocol == Protocol::Tcp,
        RuleProtocol::Udp => protocol == Protocol::Udp,
        RuleProtocol::Icmp => protocol == Protocol::Icmp,
        RuleProtocol::Number(number) => u8::from_protocol(protocol) == number,
        RuleProtocol::Icmpv6 | RuleProtocol::Gre => false,
    }
}

/// Whether a rule's ports cover this one. Protocols without ports are covered by any range.
pub(crate) fn ports_match(ports: PortRange, port: Option<u16>) -> bool {
    port.is_none_or(|port| ports.contains(port))
}

trait FromProtocol {
    fn from_protocol(protocol: Protocol) -> Self;
}

impl FromProtocol for u8 {
    /// The IANA protocol number.
    fn from_protocol(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Icmp => 1,
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }
}

/// Whether a block covers every address: a rule with such a block is meant for everybody, not for the peer.
pub(crate) fn is_everything(block: &Cidr) -> bool {
    block.prefix_length() == 0
}

/// Walks both packets of every flow of the pair.
pub(crate) fn walk(model: &Model, pair: &Pair, peers: &[Pair]) -> Walk {
    let mut walk = Walk::default();
    let hops = connection::check_link(model, &mut walk);
    for side in Side::BOTH {
        host::check_host(model, pair, side, &mut walk);
    }
    let swallowed = overlap::find_overlaps(model, pair, &mut walk);
    for flow in flows(pair) {
        for packet in round_trip(pair, flow) {
            let leaves = !swallowed.contains(&packet.direction.source());
            for stage in Stage::ALL {
                match stage {
                    Stage::EgressGroup | Stage::IngressGroup => {
                        security::check_groups(model, peers, &packet, stage, &mut walk);
                    }
                    Stage::EgressAcl | Stage::IngressAcl => acl::check_acl(model, &packet, stage, &mut walk),
                    Stage::Route if leaves => route::look_up(model, &packet, &hops, &mut walk),
                    Stage::Transit if leaves => transit::forward(model, &packet, &mut walk),
                    // Hosts and the connection treat all packets alike and are judged once, above.
                    Stage::Source | Stage::Connection | Stage::Destination | Stage::Route | Stage::Transit => {}
                }
            }
        }
    }
    walk.findings.sort_by_key(crate::finding::Finding::order);
    walk.blinds.sort();
    walk.passes.sort();
    walk
}

/// Judges the connection that joins the VPCs, from configuration alone.
pub(crate) fn connection(model: &Model) -> (Hops, Walk) {
    let mut walk = Walk::default();
    let hops = connection::check_link(model, &mut walk);
    (hops, walk)
}

/// Judges what transit routers do to a packet.
pub(crate) fn in_transit(model: &Model, packet: &Packet) -> Walk {
    let mut walk = Walk::default();
    transit::forward(model, packet, &mut walk);
    walk
}
