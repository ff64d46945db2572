//! What the verdict engine predicts for every pair of hosts of a topology: which flows to try, and where each must be
//! lost.
//!
//! Both engines are asked: the walk that explains one pair of a link, and the compiled estate, which also covers hosts
//! inside one VPC and in VPCs that are not joined.

use super::ground::Ground;
use crate::topology::{Peering, PeeringKind};
use anyhow::Result;
use pingtong_evidence::{
    AccountId, Direction, Endpoint, InstanceId, Link, LinkId, LinkKind, LinkSide, Pair, PairId, Protocol, RegionId,
    Side, Snapshot, Timestamp, VpcId,
};
use pingtong_verdict::{Case, Cut, Estate, HostRef, Outcome, RoundTrip, predicted};
use std::{collections::BTreeMap, net::IpAddr};

/// One flow: its source, target and service.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    /// The instance that opens the flow, by full name.
    pub(super) from: String,
    /// The target instance, by full name.
    pub(super) to: String,
    /// The target address.
    pub(super) target: IpAddr,
    /// Protocol of the flow.
    pub(super) protocol: Protocol,
    /// Destination port of TCP and UDP.
    pub(super) port: Option<u16>,
    /// The pair as the product knows it and the direction of the requests; `None` if no link joins the two VPCs.
    pub(super) pair: Option<(Pair, Direction)>,
}

impl Flow {
    /// The flow in text form: `A.ecs1 → B.ecs1 tcp/443`.
    pub(super) fn shown(&self) -> String {
        let port = self.port.map(|port| format!("/{port}")).unwrap_or_default();
        format!("{} → {} {}{port}", self.from, self.to, self.protocol)
    }
}

/// Every ordered pair of hosts, with ICMP and each of the given TCP and UDP ports.
///
/// # Errors
/// Fails if the cloud has not created an object that the topology names.
pub(super) fn flows(ground: &Ground, services: &[(Protocol, u16)]) -> Result<Vec<Flow>> {
    let hosts: Vec<(&str, String)> =
        ground.topology.instances().map(|(vpc, i)| (vpc.name.get_ref().as_str(), i.full_name(vpc))).collect();
    let icmp = (Protocol::Icmp, None);
    let services: Vec<_> = std::iter::once(icmp).chain(services.iter().map(|(p, n)| (*p, Some(*n)))).collect();
    let mut found = vec![];
    for (from_vpc, from) in &hosts {
        for (to_vpc, to) in hosts.iter().filter(|(_, to)| to != from) {
            let joined = ground.topology.peerings.iter().find_map(|peering| {
                match (peering.initiator.get_ref().as_str(), peering.acceptor.get_ref().as_str()) {
                    (i, a) if (i, a) == (*from_vpc, *to_vpc) => Some((peering, Direction::Forward)),
                    (i, a) if (i, a) == (*to_vpc, *from_vpc) => Some((peering, Direction::Return)),
                    _ => None,
                }
            });
            for (protocol, port) in &services {
                let pair = match joined {
                    Some((peering, way)) => {
                        let id = PairId::parse(&format!("p{}", found.len()))?;
                        Some((pair(ground, peering, (way, from, to), id, (*protocol, *port))?, way))
                    }
                    None => None,
                };
                let target = endpoint(ground, to)?.address;
                let (from, to) = (from.clone(), to.clone());
                found.push(Flow { from, to, target, protocol: *protocol, port: *port, pair });
            }
        }
    }
    Ok(found)
}

fn pair(
    ground: &Ground,
    peering: &Peering,
    (way, from, to): (Direction, &str, &str),
    id: PairId,
    (protocol, port): (Protocol, Option<u16>),
) -> Result<Pair> {
    let (initiator, acceptor) = match way {
        Direction::Forward => (from, to),
        Direction::Return => (to, from),
    };
    Ok(Pair {
        id,
        link: link(ground, peering)?,
        initiator: endpoint(ground, initiator)?,
        acceptor: endpoint(ground, acceptor)?,
        protocol,
        port,
        opened_by: if port.is_none() { Side::Initiator } else { way.source() },
    })
}

fn endpoint(ground: &Ground, name: &str) -> Result<Endpoint> {
    Ok(Endpoint {
        address: ground.symbols.get(&format!("{name}.ip"))?.parse()?,
        instance: Some(InstanceId::parse(ground.symbols.get(name)?)?),
        agent: None,
    })
}

fn link(ground: &Ground, peering: &Peering) -> Result<Link> {
    let side = |vpc: &str| -> Result<LinkSide> {
        let account = vpc.split('.').next().unwrap_or_default();
        Ok(LinkSide {
            account: AccountId::parse(ground.symbols.get(&format!("{account}.id"))?)?,
            region: RegionId::parse(ground.symbols.get(&format!("{vpc}.region"))?)?,
            vpc: VpcId::parse(ground.symbols.get(vpc)?)?,
        })
    };
    Ok(Link {
        id: LinkId::parse(peering.name.get_ref())?,
        kind: match peering.kind {
            PeeringKind::RouterInterface => LinkKind::RouterInterface,
            PeeringKind::VpcPeering => LinkKind::VpcPeering,
            PeeringKind::TransitRouter => LinkKind::TransitRouter,
        },
        initiator: side(peering.initiator.get_ref())?,
        acceptor: side(peering.acceptor.get_ref())?,
    })
}

/// The prediction of one engine for a flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prediction {
    /// The engine: the walk that explains one pair, or the compiled estate.
    pub(super) by: &'static str,
    /// Where the flow must be lost.
    pub(super) cut: Cut,
}

/// Where each flow must be lost according to these snapshots, in the order of `flows`; one entry per engine that covers
/// the flow.
pub(super) fn cuts(ground: &Ground, flows: &[Flow], snapshots: &[Snapshot]) -> Result<Vec<Vec<Prediction>>> {
    let links = ground.topology.peerings.iter().map(|peering| link(ground, peering)).collect::<Result<Vec<_>>>()?;
    let estate = Estate::new(snapshots.iter().cloned(), &links);
    let by_instance: BTreeMap<(String, IpAddr), HostRef> = estate
        .hosts()
        .filter_map(|host| Some(((estate.instance(host)?.to_string(), estate.address(host)?), host)))
        .collect();
    let host = |name: &str| -> Result<Option<HostRef>> {
        let end = endpoint(ground, name)?;
        let instance = end.instance.map(|id| id.to_string()).unwrap_or_default();
        Ok(by_instance.get(&(instance, end.address)).copied())
    };
    flows
        .iter()
        .map(|flow| {
            let mut said = vec![];
            if let Some((pair, direction)) = &flow.pair {
                let cut = predicted(&case(flows, pair, snapshots).question(), *direction);
                said.push(Prediction { by: "walk", cut });
            }
            if let (Some(source), Some(destination)) = (host(&flow.from)?, host(&flow.to)?) {
                let asked = pingtong_verdict::Flow { source, destination, protocol: flow.protocol, port: flow.port };
                let cut = estate.walk(&asked).map_or(Cut::Unknown, |trip| cut_of(&trip));
                said.push(Prediction { by: "estate", cut });
            }
            Ok(said)
        })
        .collect()
}

fn cut_of(trip: &RoundTrip) -> Cut {
    match (trip.request, trip.reply) {
        (Outcome::Stopped { .. }, _) => Cut::S1,
        (Outcome::Delivered, Outcome::Stopped { .. }) => Cut::S5,
        (Outcome::Delivered, Outcome::Delivered) => Cut::None,
        _ => Cut::Unknown,
    }
}

fn case(flows: &[Flow], pair: &Pair, snapshots: &[Snapshot]) -> Case {
    Case {
        probing: None,
        pair: pair.clone(),
        peers: vec![],
        elsewhere: elsewhere(flows, pair),
        earlier: vec![],
        snapshots: snapshots.to_vec(),
        probes: vec![],
        arrivals: vec![],
        hosts: vec![],
        silent: vec![],
        healths: vec![],
        asked_at: Timestamp::from_millis(0),
        settle_ms: 0,
    }
}

/// One pair of each other link.
fn elsewhere(flows: &[Flow], pair: &Pair) -> Vec<Pair> {
    let mut found: Vec<Pair> = vec![];
    for (other, _) in flows.iter().filter_map(|flow| flow.pair.as_ref()) {
        if other.link.id != pair.link.id && !found.iter().any(|have| have.link.id == other.link.id) {
            found.push(other.clone());
        }
    }
    found
}
