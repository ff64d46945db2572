//! Expectations and forbids over whole sets of hosts, decided exactly.
//!
//! Rules:
//! 1. The hosts of a set are the addresses of interfaces or instances that the snapshots show inside it; an address
//!    that none has yet is in no set.
//! 2. An expectation holds if every flow's first packet and its reply get through; for ICMP, in both directions. It
//!    fails for flows that something stops. It is unknown for flows that nothing stops but that something unread may
//!    stop.
//! 3. A forbid leaks if a first packet gets through, whether or not an answer comes back.
//! 4. A set without hosts is unknown, unless it names one instance whose address no interface has: the explaining walk
//!    then says why.
//! 5. A question that names a link is about pairs with one host at each side of it; a question that names none is about
//!    all pairs.
//!
//! Causes come from the explaining walk, for one pair of each set of flows that every stage treats alike. Guests are
//! not evaluated.

mod answer;
mod hosts;
mod unprobed;

pub use answer::{
    Ask, Audit, AuditBlock, AuditCause, AuditFlows, Decider, ExpectationAnswer, ExpectationState, Failing,
    ForbidAnswer, ForbidState, Leaking, UnknownPart,
};
pub use unprobed::{Predicted, SetAnswer, Unprobed, UnprobedHost};

use super::{
    Estate, Flow, HostRef, Outcome, Trace,
    decider::Ends,
    filter::Say,
    links::views,
    sets::{self, Detail, FlowSet},
};
use crate::{
    CauseCode, GapNote, Lang,
    finding::{Blind, Finding, Stops, Walk},
    lang::{Both, both},
    model::Model,
    stage::{PacketKind, Stage},
    walk,
};
use pingtong_evidence::{
    Direction, Endpoint, EndpointSet, Expectation, GapCode, Link, LinkId, Pair, PairId, PortRange, Protocol, SCHEMA,
    Side,
};
use std::{collections::BTreeMap, net::IpAddr};

/// The versions that an answer depends on: that of the whole estate, and those of single networks by index.
type Basis = (u64, Vec<(u32, u64)>);

/// Answers audits, and remembers each answer as long as nothing that it depends on changes.
#[derive(Debug, Default)]
pub struct Auditor {
    expectations: BTreeMap<(Ask, Lang), (Basis, ExpectationAnswer)>,
    forbids: BTreeMap<(Ask, Lang), (Basis, ForbidAnswer)>,
}

impl Auditor {
    /// Decides every expectation and forbid.
    pub fn audit(&mut self, estate: &Estate, expectations: &[Ask], forbids: &[Ask], lang: Lang) -> Audit {
        let mut explainer = Explainer::new(estate).expecting(expectations);
        let expectations: Vec<ExpectationAnswer> = expectations
            .iter()
            .map(|ask| {
                let scope = Scope::of(estate, ask);
                let basis = scope.basis(estate);
                let key = (ask.clone(), lang);
                match self.expectations.get(&key) {
                    Some((have, answer)) if *have == basis => answer.clone(),
                    _ => {
                        let answer = scope.expectation(&mut explainer, lang);
                        self.expectations.insert(key, (basis, answer.clone()));
                        answer
                    }
                }
            })
            .collect();
        let forbids: Vec<ForbidAnswer> = forbids
            .iter()
            .map(|ask| {
                let scope = Scope::of(estate, ask);
                let basis = scope.basis(estate);
                let key = (ask.clone(), lang);
                match self.forbids.get(&key) {
                    Some((have, answer)) if *have == basis => answer.clone(),
                    _ => {
                        let answer = scope.forbid(&mut explainer, lang);
                        self.forbids.insert(key, (basis, answer.clone()));
                        answer
                    }
                }
            })
            .collect();
        let unknown = expectations.iter().map(|answer| &answer.unknown).chain(forbids.iter().map(|a| &a.unknown));
        let mut gaps: Vec<GapNote> = vec![];
        for gap in unknown.flatten().flat_map(|part| &part.gaps) {
            if !gaps.contains(gap) {
                gaps.push(gap.clone());
            }
        }
        gaps.extend(left_out(estate, lang));
        Audit { schema: SCHEMA, expectations, forbids, gaps }
    }
}

fn left_out(estate: &Estate, lang: Lang) -> Option<GapNote> {
    let count = estate.links_left_out();
    let what = both!(
        "{count} pairs of VPCs that transit routers join were left out",
        "有 {count} 对经转发路由器互通的专有网络未纳入"
    );
    let closes_with = both!("name the links that matter in the settings", "在配置文件中写明需要关注的链路");
    (count > 0).then(|| note(GapCode::ConfigDenied, &what, &closes_with, None, lang))
}

fn note(code: GapCode, what: &Both, closes_with: &Both, side: Option<Side>, lang: Lang) -> GapNote {
    GapNote { code, what: what.get(lang), closes_with: closes_with.get(lang), side }
}

/// A question with the hosts that it is about.
struct Scope<'a> {
    ask: &'a Ask,
    /// Indexes of the networks at the two sides of the link; `None` if the question names no link.
    ends: Option<[Option<u32>; 2]>,
    from: Vec<HostRef>,
    to: Vec<HostRef>,
}

impl<'a> Scope<'a> {
    fn of(estate: &Estate, ask: &'a Ask) -> Self {
        let ends = ask.link.as_ref().map(|link| Side::BOTH.map(|side| estate.network_of(link.side(side))));
        let within = ends.map(|ends| ends.into_iter().flatten().collect::<Vec<u32>>());
        let hosts = |set: &EndpointSet| estate.hosts_of(set, within.as_deref());
        Self { ask, ends, from: hosts(&ask.expectation.from), to: hosts(&ask.expectation.to) }
    }

    fn basis(&self, estate: &Estate) -> Basis {
        let mut networks: Vec<u32> =
            self.from.iter().chain(&self.to).filter_map(|host| estate.network_at(*host)).collect();
        networks.extend(self.ends.into_iter().flatten().flatten());
        networks.sort_unstable();
        networks.dedup();
        let version = |at: u32| estate.networks.get(at as usize).map_or(0, |network| network.version);
        (estate.version, networks.into_iter().map(|at| (at, version(at))).collect())
    }

    /// Pairs of host sets to decide: for a link, those with one set at each side.
    fn crossings(&self, estate: &Estate) -> Vec<(Vec<HostRef>, Vec<HostRef>)> {
        let Some(ends) = self.ends else { return vec![(self.from.clone(), self.to.clone())] };
        let at = |hosts: &[HostRef], end: Option<u32>| -> Vec<HostRef> {
            hosts.iter().copied().filter(|host| end.is_some() && estate.network_at(*host) == end).collect()
        };
        let [a, b] = ends;
        let all = [(at(&self.from, a), at(&self.to, b)), (at(&self.from, b), at(&self.to, a))];
        all.into_iter().filter(|(from, to)| !from.is_empty() && !to.is_empty()).collect()
    }

    fn expectation(&self, explainer: &mut Explainer<'_>, lang: Lang) -> ExpectationAnswer {
        let estate = explainer.estate;
        let Expectation { protocol, ports, .. } = self.ask.expectation;
        let (mut failing, mut unknown, mut pairs) = (vec![], vec![], 0);
        for (from, to) in self.crossings(estate) {
            pairs += pair_count(&from, &to);
            let back = (protocol == Protocol::Icmp).then_some((&to, &from));
            for (from, to) in [(&from, &to)].into_iter().chain(back) {
                for set in sets::flows(estate, (from, to), protocol, ports, Detail::Blockers) {
                    let [request, reply] = set.fate.map(Trace::outcome);
                    let stopped = [request, reply].iter().any(|o| matches!(o, Outcome::Stopped { .. }));
                    let hidden = [request, reply].iter().any(|o| matches!(o, Outcome::Unknown { .. }));
                    if stopped {
                        failing.push(explainer.failing(&set, protocol, (from, to)));
                    } else if hidden {
                        unknown.push(explainer.unknown(&set, protocol, (from, to), lang));
                    }
                }
            }
        }
        if pairs == 0 {
            self.nobody(explainer, &mut failing, &mut unknown, lang);
        }
        let state = match (failing.is_empty(), unknown.is_empty()) {
            (false, _) => ExpectationState::Fails,
            (true, false) => ExpectationState::Unknown,
            (true, true) => ExpectationState::Holds,
        };
        ExpectationAnswer {
            asked: self.ask.expectation.clone(),
            link: self.ask.link.as_ref().map(|link| link.id.clone()),
            state,
            pairs,
            failing,
            unknown,
        }
    }

    fn forbid(&self, explainer: &mut Explainer<'_>, lang: Lang) -> ForbidAnswer {
        let estate = explainer.estate;
        let Expectation { protocol, ports, .. } = self.ask.expectation;
        let (mut leaking, mut unknown, mut pairs) = (vec![], vec![], 0);
        for (from, to) in self.crossings(estate) {
            pairs += pair_count(&from, &to);
            for set in sets::flows(estate, (&from, &to), protocol, ports, Detail::Request) {
                let [request, _] = set.fate;
                match request.outcome() {
                    Outcome::Delivered => leaking.extend(explainer.leaking(&set, protocol, (&from, &to))),
                    Outcome::Unknown { .. } => {
                        unknown.push(explainer.unknown(&set, protocol, (&from, &to), lang));
                    }
                    Outcome::Stopped { .. } => {}
                }
            }
        }
        if pairs == 0 {
            unknown.push(self.empty(lang));
        }
        let state = match (leaking.is_empty(), unknown.is_empty()) {
            (false, _) => ForbidState::Leaks,
            (true, false) => ForbidState::Unknown,
            (true, true) => ForbidState::Holds,
        };
        ForbidAnswer {
            asked: self.ask.expectation.clone(),
            link: self.ask.link.as_ref().map(|link| link.id.clone()),
            state,
            pairs,
            leaking,
            unknown,
        }
    }

    /// Answers a question without any pair of hosts: an instance that is named is evaluated even if no host is shown.
    fn nobody(
        &self,
        explainer: &Explainer<'_>,
        failing: &mut Vec<Failing>,
        unknown: &mut Vec<UnknownPart>,
        lang: Lang,
    ) {
        let Expectation { protocol, ports, .. } = self.ask.expectation;
        let named = |set: &EndpointSet, hosts: &[HostRef]| match set {
            EndpointSet::Instance { address, .. } => Some(*address),
            _ => explainer.estate.address(*hosts.first()?),
        };
        let ends = named(&self.ask.expectation.from, &self.from).zip(named(&self.ask.expectation.to, &self.to));
        // Hosts that are shown at one side of the link only are not a pair of it, and no host is missing.
        let missing = self.from.is_empty() || self.to.is_empty();
        let asked = self.ask.link.as_ref().zip(ends).filter(|_| missing);
        let Some((link, (from, to))) = asked else { return unknown.push(self.empty(lang)) };
        let source_side = self.side_of_from(explainer.estate, from, to);
        let port = ports.map(PortRange::first);
        let Some(pair) = pair(link, source_side, [from, to], protocol, port) else {
            return unknown.push(self.empty(lang));
        };
        let snapshots = views(link, &explainer.estate.places, false);
        let walk = walk::walk(&Model::new(link, snapshots), &pair, &[]);
        // ICMP is decided in both directions: a failure in either direction is a failure.
        let asked = source_side.sends();
        let ways = [asked].into_iter().chain(walk::flows(&pair));
        let flow = ways.into_iter().find(|way| !causes(&walk, *way).is_empty()).unwrap_or(asked);
        let (from, to) = if flow == asked { (from, to) } else { (to, from) };
        let (source, destination) = (vec![lone(from)], vec![lone(to)]);
        let flows = AuditFlows { source, destination, protocol, ports, direction: Some(flow) };
        let causes = causes(&walk, flow);
        if causes.is_empty() {
            let gaps = gaps(&walk, flow, lang);
            let gaps = if gaps.is_empty() { vec![self.nobody_note(lang)] } else { gaps };
            unknown.push(UnknownPart { flows, gaps });
        } else {
            failing.push(Failing { flows, causes });
        }
    }

    /// The side of the link that the source is at: as its own host shows, or the destination's host, or the blocks of
    /// the VPCs.
    fn side_of_from(&self, estate: &Estate, from: IpAddr, to: IpAddr) -> Side {
        let shown = |hosts: &[HostRef]| {
            let at = hosts.first().and_then(|host| estate.network_at(*host));
            let [initiator, acceptor] = self.ends?;
            match at {
                None => None,
                at if at == initiator => Some(Side::Initiator),
                at if at == acceptor => Some(Side::Acceptor),
                Some(_) => None,
            }
        };
        let Some(link) = &self.ask.link else { return Side::Initiator };
        let model = Model::new(link, views(link, &estate.places, true));
        let inside = |address: IpAddr| {
            Side::BOTH.into_iter().find(|side| model.blocks(*side).iter().any(|block| block.contains(address)))
        };
        shown(&self.from)
            .or_else(|| shown(&self.to).map(Side::opposite))
            .or_else(|| inside(from))
            .or_else(|| inside(to).map(Side::opposite))
            .unwrap_or(Side::Initiator)
    }

    fn empty(&self, lang: Lang) -> UnknownPart {
        let Expectation { protocol, ports, .. } = self.ask.expectation;
        let (source, destination) = (vec![], vec![]);
        let flows = AuditFlows { source, destination, protocol, ports, direction: None };
        UnknownPart { flows, gaps: vec![self.nobody_note(lang)] }
    }

    fn nobody_note(&self, lang: Lang) -> GapNote {
        if !self.from.is_empty() && !self.to.is_empty() {
            let what = both!("no two of these hosts have the link between them", "这些主机中没有分处该链路两端的两台");
            let closes_with =
                both!("name hosts at both sides of the link, or no link", "让两端主机分处该链路两侧，或不指定链路");
            return note(GapCode::AccountNotVisible, &what, &closes_with, None, lang);
        }
        let set = if self.from.is_empty() { &self.ask.expectation.from } else { &self.ask.expectation.to };
        let name = match set {
            EndpointSet::Instance { id, address } => format!("{id} ({address})"),
            EndpointSet::VSwitch(id) => id.to_string(),
            EndpointSet::Vpc(id) => id.to_string(),
            EndpointSet::Cidr(block) => block.to_string(),
        };
        let what = both!("the snapshots show no host of {name}", "快照中没有 {name} 的主机");
        let closes_with = both!("give a snapshot of the account and region that has it", "提供其所在账号和地域的快照");
        note(GapCode::AccountNotVisible, &what, &closes_with, None, lang)
    }
}

fn pair_count(from: &[HostRef], to: &[HostRef]) -> u64 {
    let (rows, columns) = (u64::try_from(from.len()), u64::try_from(to.len()));
    rows.ok().zip(columns.ok()).map_or(u64::MAX, |(rows, columns)| rows.saturating_mul(columns))
}

fn lone(address: IpAddr) -> AuditBlock {
    AuditBlock { vpc: None, first: address, last: address, hosts: 1 }
}

fn pair(
    link: &Link,
    source_side: Side,
    [from, to]: [IpAddr; 2],
    protocol: Protocol,
    port: Option<u16>,
) -> Option<Pair> {
    let endpoint = |address| Endpoint { address, instance: None, agent: None };
    let (initiator, acceptor) = if source_side == Side::Initiator { (from, to) } else { (to, from) };
    Some(Pair {
        id: PairId::parse(&format!("{initiator}-{acceptor}")).ok()?,
        link: link.clone(),
        initiator: endpoint(initiator),
        acceptor: endpoint(acceptor),
        protocol,
        port,
        opened_by: source_side,
    })
}

fn dies(stops: Stops, flow: Direction) -> bool {
    stops.round_trip(flow) || matches!(stops, Stops::Some(_))
}

pub(super) fn causes(walk: &Walk, flow: Direction) -> Vec<AuditCause> {
    let ours = walk.findings.iter().filter(|finding| dies(finding.stops, flow));
    let mut causes: Vec<AuditCause> = ours.map(AuditCause::of).collect();
    causes.sort();
    causes.dedup();
    causes
}

impl AuditCause {
    fn of(finding: &Finding) -> Self {
        Self {
            code: finding.code,
            side: Some(finding.side),
            direction: finding.direction,
            object: finding.object.clone(),
        }
    }
}

fn gaps(walk: &Walk, flow: Direction, lang: Lang) -> Vec<GapNote> {
    let ours = walk.blinds.iter().filter(|blind| blind.stops.iter().any(|stops| dies(*stops, flow)));
    let mut all: Vec<GapNote> = vec![];
    for Blind { gap, side, what, closes_with, .. } in ours {
        let note = note(*gap, what, closes_with, Some(*side), lang);
        if !all.contains(&note) {
            all.push(note);
        }
    }
    all
}

/// Explains sets of flows by one of their pairs.
pub(super) struct Explainer<'e> {
    estate: &'e Estate,
    /// Models by link, built when first needed.
    models: BTreeMap<LinkId, Model>,
    /// Sample pairs of the expectations that name a link: a rule may be there for one of them.
    expected: Vec<Pair>,
}

impl<'e> Explainer<'e> {
    pub(super) fn new(estate: &'e Estate) -> Self {
        Self { estate, models: BTreeMap::new(), expected: vec![] }
    }

    /// Adds what else is expected: a rule that serves another expectation is not a mistaken attempt at this one.
    fn expecting(mut self, asks: &[Ask]) -> Self {
        for ask in asks {
            let Some(link) = &ask.link else { continue };
            let Expectation { protocol, ports, .. } = ask.expectation;
            for (from, to) in Scope::of(self.estate, ask).crossings(self.estate) {
                let flow = from.first().zip(to.first()).map(|(source, destination)| Flow {
                    source: *source,
                    destination: *destination,
                    protocol,
                    port: ports.map(PortRange::first),
                });
                self.expected.extend(flow.and_then(|flow| self.pair_of(link, &flow)));
            }
        }
        self
    }

    /// The flow as a pair of the link.
    fn pair_of(&self, link: &Link, flow: &Flow) -> Option<Pair> {
        let source = self.estate.network_at(flow.source)?;
        let at_initiator = self.estate.networks.get(source as usize)?.id == link.initiator.vpc;
        let side = if at_initiator { Side::Initiator } else { Side::Acceptor };
        let addresses = [self.estate.address(flow.source)?, self.estate.address(flow.destination)?];
        pair(link, side, addresses, flow.protocol, flow.port)
    }

    /// Runs the explaining walk of a flow between two VPCs; `None` inside one VPC.
    pub(super) fn walk(&mut self, flow: &Flow) -> Option<(Walk, Direction)> {
        let ends = Ends::of(self.estate, flow)?;
        if ends.same_vpc {
            return None;
        }
        let link = self.estate.link_of(&ends)?;
        let pair = self.pair_of(&link, flow)?;
        let ours =
            |peer: &&Pair| Side::BOTH.into_iter().all(|side| peer.link.side(side) == link.side(side)) && **peer != pair;
        let peers: Vec<Pair> = self.expected.iter().filter(ours).cloned().collect();
        let model = self
            .models
            .entry(link.id.clone())
            .or_insert_with(|| Model::new(&link, views(&link, &self.estate.places, false)));
        Some((walk::walk(model, &pair, &peers), pair.opened_by.sends()))
    }

    fn failing(&mut self, set: &FlowSet, protocol: Protocol, hosts: (&[HostRef], &[HostRef])) -> Failing {
        let flow = set.sample(protocol);
        let told = flow.and_then(|flow| self.walk(&flow));
        let mut causes = told.as_ref().map_or_else(Vec::new, |(walk, flow)| causes(walk, *flow));
        if causes.is_empty() {
            causes = flow.map_or_else(Vec::new, |flow| self.plain_causes(&flow, set));
        }
        Failing { flows: self.flows(set, protocol, hosts, told.map(|(_, direction)| direction)), causes }
    }

    fn flows(
        &self,
        set: &FlowSet,
        protocol: Protocol,
        hosts: (&[HostRef], &[HostRef]),
        direction: Option<Direction>,
    ) -> AuditFlows {
        AuditFlows {
            source: self.estate.blocks(hosts.0, set, true),
            destination: self.estate.blocks(hosts.1, set, false),
            protocol,
            ports: set.ports,
            direction,
        }
    }

    /// Causes inside one VPC, which the explaining walk does not cover.
    fn plain_causes(&self, flow: &Flow, set: &FlowSet) -> Vec<AuditCause> {
        let Some(ends) = Ends::of(self.estate, flow) else { return vec![] };
        let mut causes = vec![];
        for (packet, trace) in PacketKind::BOTH.into_iter().zip(set.fate) {
            for (stage, say) in trace.decisions() {
                let Say::Stop(by) = say else { continue };
                let code = plain_code(stage, by);
                causes.extend(ends.decider(packet, stage, say).map(|object| AuditCause {
                    code,
                    side: None,
                    direction: None,
                    object,
                }));
            }
        }
        causes.sort();
        causes.dedup();
        causes
    }

    fn unknown(
        &mut self,
        set: &FlowSet,
        protocol: Protocol,
        hosts: (&[HostRef], &[HostRef]),
        lang: Lang,
    ) -> UnknownPart {
        let told = set.sample(protocol).and_then(|flow| self.walk(&flow));
        let mut all = told.as_ref().map_or_else(Vec::new, |(walk, flow)| gaps(walk, *flow, lang));
        if all.is_empty() {
            let what = both!("part of the configuration on the way", "途经的部分配置");
            let closes_with = both!("read the snapshots again with the permission to", "授权后重新读取快照");
            all.push(note(GapCode::ConfigDenied, &what, &closes_with, None, lang));
        }
        UnknownPart { flows: self.flows(set, protocol, hosts, told.map(|(_, direction)| direction)), gaps: all }
    }

    fn leaking(&mut self, set: &FlowSet, protocol: Protocol, hosts: (&[HostRef], &[HostRef])) -> Option<Leaking> {
        let ends = Ends::of(self.estate, &set.sample(protocol)?)?;
        let [request, _] = set.fate;
        let telling = request.decisions().filter(|(stage, _)| !matches!(stage, Stage::Source | Stage::Destination));
        let by = telling.filter_map(|(stage, say)| {
            ends.decider(PacketKind::Request, stage, say).map(|object| Decider { stage, object })
        });
        Some(Leaking { by: by.collect(), flows: self.flows(set, protocol, hosts, ends.direction()) })
    }
}

/// The code of a stage that stops a packet inside one VPC.
pub(super) fn plain_code(stage: Stage, by: u32) -> CauseCode {
    match stage {
        Stage::Source | Stage::Destination => CauseCode::InstanceStopped,
        Stage::EgressGroup => CauseCode::SgEgressBlocked,
        Stage::IngressGroup if by == super::DEFAULT => CauseCode::SgIngressMissing,
        Stage::IngressGroup => CauseCode::SgDropWins,
        Stage::EgressAcl => CauseCode::NaclEgressBlocked,
        Stage::IngressAcl => CauseCode::NaclIngressBlocked,
        Stage::Route | Stage::Connection | Stage::Transit => CauseCode::RouteMissing,
    }
}

#[cfg(test)]
mod tests;
