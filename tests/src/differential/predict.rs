//! What the verdict engine says of every pair of a topology: the flows to try, and where each must die.

use super::ground::Ground;
use crate::topology::{Peering, PeeringKind};
use anyhow::{Context, Result};
use pingtong_evidence::{
    AccountId, Direction, Endpoint, InstanceId, Link, LinkId, LinkKind, LinkSide, Pair, PairId, Protocol, RegionId,
    Side, Snapshot, Timestamp, VpcId,
};
use pingtong_verdict::{Cut, Question, predicted};

/// One flow of a pair: who opens it towards whom.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    /// The pair, as the product knows it.
    pub(super) pair: Pair,
    /// The direction of its requests.
    pub(super) direction: Direction,
    /// The instance that opens it, by full name.
    pub(super) from: String,
    /// The instance that is reached.
    pub(super) to: String,
}

impl Flow {
    /// The flow as the verdict's reader sees it: `A.ecs1 → B.ecs1 tcp/443 over peering1`.
    pub(super) fn shown(&self) -> String {
        let port = self.pair.port.map(|port| format!("/{port}")).unwrap_or_default();
        format!("{} → {} {}{port} over {}", self.from, self.to, self.pair.protocol, self.pair.link.id)
    }
}

/// Every ordered pair of hosts of every peering, with ICMP and each of the given ports of TCP and UDP.
///
/// # Errors
/// A name that the cloud has not made.
pub(super) fn flows(ground: &Ground, services: &[(Protocol, u16)]) -> Result<Vec<Flow>> {
    let mut found = vec![];
    for peering in &ground.topology.peerings {
        let link = link(ground, peering)?;
        let hosts = |vpc: &str| -> Result<Vec<(String, Endpoint)>> {
            let vpc = ground.topology.vpc(vpc).context("a peering's VPC")?;
            vpc.instances.iter().map(|i| Ok((i.full_name(vpc), endpoint(ground, &i.full_name(vpc))?))).collect()
        };
        for (initiator, near) in hosts(peering.initiator.get_ref())? {
            for (acceptor, far) in &hosts(peering.acceptor.get_ref())? {
                let icmp = (Protocol::Icmp, None);
                for (protocol, port) in std::iter::once(icmp).chain(services.iter().map(|(p, n)| (*p, Some(*n)))) {
                    for direction in Direction::BOTH {
                        let opened_by = if port.is_none() { Side::Initiator } else { direction.source() };
                        let id = format!("p{}", found.len());
                        let pair = Pair {
                            id: PairId::parse(&id)?,
                            link: link.clone(),
                            initiator: near.clone(),
                            acceptor: far.clone(),
                            protocol,
                            port,
                            opened_by,
                        };
                        let (from, to) = match direction {
                            Direction::Forward => (initiator.clone(), acceptor.clone()),
                            Direction::Return => (acceptor.clone(), initiator.clone()),
                        };
                        found.push(Flow { pair, direction, from, to });
                    }
                }
            }
        }
    }
    Ok(found)
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

/// Where each flow must die, as these snapshots say. In order.
pub(super) fn cuts(flows: &[Flow], snapshots: &[Snapshot]) -> Vec<Cut> {
    let question = |flow: &Flow| Question {
        pair: flow.pair.clone(),
        peers: vec![],
        elsewhere: elsewhere(flows, &flow.pair),
        snapshots: snapshots.to_vec(),
        probes: vec![],
        earlier: vec![],
        arrivals: vec![],
        hosts: vec![],
        silent: vec![],
        healths: vec![],
        asked_at: Timestamp::from_millis(0),
        settle_ms: 0,
    };
    flows.iter().map(|flow| predicted(&question(flow), flow.direction)).collect()
}

/// One pair of each other link.
fn elsewhere(flows: &[Flow], pair: &Pair) -> Vec<Pair> {
    let mut found: Vec<Pair> = vec![];
    for other in flows.iter().map(|flow| &flow.pair) {
        if other.link.id != pair.link.id && !found.iter().any(|have| have.link.id == other.link.id) {
            found.push(other.clone());
        }
    }
    found
}
