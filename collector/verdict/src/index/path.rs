//! The path of one flow, stage by stage, including the stages after one that stops it.
//!
//! The index supplies the decision of each stage. Why a stage stops a packet, and with which code, comes from the
//! explaining walk, whose findings name the points at which they stop it. Stages that were not read are listed as
//! unknown. Guests are not part of this path.

use super::{
    DEFAULT, Estate, Flow, HostRef, INNER, Outcome, Trace,
    audit::{Explainer, plain_code},
    decider::Ends,
    filter::Say,
};
use crate::{
    CauseCode, Lang,
    finding::{Finding, Walk},
    stage::{PacketKind, Point, Stage},
    verdict::Object,
    walk::{route_text, rule_text},
};
use pingtong_evidence::{Direction, EniId, InstanceId, LinkId, Protocol, SCHEMA, VpcId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What becomes of a packet, at one stage or in total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathState {
    /// It gets through.
    Passes,
    /// It is stopped.
    Stopped,
    /// Something that decides was not read.
    Unknown,
}

/// One end of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathEnd {
    /// Address of the host.
    pub address: IpAddr,
    /// Instance of the host; `None` if the snapshots show none.
    pub instance: Option<InstanceId>,
    /// Interface with the address; `None` if the snapshots show none.
    pub interface: Option<EniId>,
    /// VPC of the host.
    pub vpc: Option<VpcId>,
}

/// One stage of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStage {
    /// The stage.
    pub stage: Stage,
    /// What becomes of the packet at this stage.
    pub state: PathState,
    /// The object that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    /// Cause codes, if it stops the packet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<CauseCode>,
    /// The rule, route or gap in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// The path of one packet.
///
/// Built from a trace only, whose stages are in order; therefore it is not read back from JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathLeg {
    /// What becomes of the packet in total.
    pub state: PathState,
    stages: Vec<PathStage>,
}

impl PathLeg {
    /// Describes each stage of a trace; `None` leaves a stage out.
    fn new(trace: Trace, describe: impl Fn(Stage, Say) -> Option<PathStage>) -> Self {
        let stages = trace.decisions().filter_map(|(stage, say)| describe(stage, say)).collect();
        Self { state: PathState::of(trace.outcome()), stages }
    }

    /// Stages that the packet meets, in order.
    pub fn stages(&self) -> &[PathStage] {
        &self.stages
    }
}

/// The path of a flow and of its reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathTrace {
    /// Format version.
    pub schema: u32,
    /// The host that opens the flow.
    pub source: PathEnd,
    /// The host that answers.
    pub destination: PathEnd,
    /// Protocol of the flow.
    pub protocol: Protocol,
    /// Destination port; `None` if the protocol has no ports.
    pub port: Option<u16>,
    /// The link that the flow uses or would use; `None` inside one VPC.
    pub link: Option<LinkId>,
    /// What becomes of the flow: stopped if either packet is stopped, else unknown if either is unknown.
    pub state: PathState,
    /// The first packet.
    pub request: PathLeg,
    /// The reply.
    pub reply: PathLeg,
}

impl PathState {
    /// Name of the state for people.
    pub fn name(self, lang: Lang) -> &'static str {
        let (en, zh) = match self {
            Self::Passes => ("passes", "通过"),
            Self::Stopped => ("stopped", "被拦截"),
            Self::Unknown => ("unknown", "未知"),
        };
        match lang {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }

    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Delivered => Self::Passes,
            Outcome::Stopped { .. } => Self::Stopped,
            Outcome::Unknown { .. } => Self::Unknown,
        }
    }
}

impl Estate {
    /// Traces the path of a flow and of its reply; `None` if a host is not part of this estate.
    pub fn path(&self, flow: &Flow, lang: Lang) -> Option<PathTrace> {
        let ends = Ends::of(self, flow)?;
        let explained = Explainer::new(self).walk(flow);
        let (walk, direction) = explained.map_or((None, None), |(walk, direction)| (Some(walk), Some(direction)));
        let tracer = Tracer { ends: &ends, walk: walk.as_ref(), direction, lang };
        let [request, reply] = ends.traces(flow)?;
        let (request, reply) = (tracer.leg(PacketKind::Request, request), tracer.leg(PacketKind::Reply, reply));
        let link = if ends.same_vpc { None } else { self.link_of(&ends).map(|link| link.id) };
        let states = [request.state, reply.state];
        let state = [PathState::Stopped, PathState::Unknown].into_iter().find(|state| states.contains(state));
        Some(PathTrace {
            schema: SCHEMA,
            source: self.end(flow.source)?,
            destination: self.end(flow.destination)?,
            protocol: flow.protocol,
            port: flow.port,
            link,
            state: state.unwrap_or(PathState::Passes),
            request,
            reply,
        })
    }

    fn end(&self, host: HostRef) -> Option<PathEnd> {
        Some(PathEnd {
            address: self.address(host)?,
            instance: self.instance(host).cloned(),
            interface: self.interface(host).cloned(),
            vpc: self.vpc(host).cloned(),
        })
    }
}

struct Tracer<'t> {
    ends: &'t Ends<'t>,
    walk: Option<&'t Walk>,
    /// Direction on the link in which the flow is opened.
    direction: Option<Direction>,
    lang: Lang,
}

impl Tracer<'_> {
    fn leg(&self, packet: PacketKind, trace: Trace) -> PathLeg {
        // A stage that the packet never meets is not part of its path.
        let meets = |stage: Stage, say: Say| match stage {
            Stage::Connection => !self.ends.same_vpc,
            Stage::Transit => say != Say::Pass(0),
            Stage::EgressGroup | Stage::IngressGroup => packet == PacketKind::Request,
            _ => true,
        };
        PathLeg::new(trace, |stage, say| meets(stage, say).then(|| self.stage(packet, stage, say)))
    }

    fn stage(&self, packet: PacketKind, stage: Stage, say: Say) -> PathStage {
        let object = self.ends.decider(packet, stage, say);
        match say {
            Say::Pass(by) => PathStage {
                stage,
                state: PathState::Passes,
                object,
                codes: vec![],
                detail: self.words(packet, stage, by),
            },
            Say::Stop(by) => {
                let point = self.point(packet, stage);
                let ours = |finding: &&Finding| point.is_some_and(|point| finding.points.contains(&point));
                let found: Vec<&Finding> = self.walk.into_iter().flat_map(|walk| &walk.findings).filter(ours).collect();
                let mut codes: Vec<CauseCode> = found.iter().map(|finding| finding.code).collect();
                codes.sort_unstable();
                codes.dedup();
                if codes.is_empty() {
                    codes.push(plain_code(stage, by));
                }
                let first = found.first();
                let told = first.and_then(|finding| finding.evidence.first()).map(|note| note.text.get(self.lang));
                PathStage {
                    stage,
                    state: PathState::Stopped,
                    object: first.map(|finding| finding.object.clone()).or(object),
                    codes,
                    detail: told.unwrap_or_else(|| self.words(packet, stage, by)),
                }
            }
            Say::Unknown => {
                PathStage { stage, state: PathState::Unknown, object, codes: vec![], detail: self.gap(packet, stage) }
            }
        }
    }

    /// One stage of one packet in the explaining walk; `None` if there was no walk.
    fn point(&self, packet: PacketKind, stage: Stage) -> Option<Point> {
        let direction = match packet {
            PacketKind::Request => self.direction?,
            PacketKind::Reply => self.direction?.reverse(),
        };
        Some(Point { direction, packet, stage })
    }

    fn gap(&self, packet: PacketKind, stage: Stage) -> String {
        let Some(point) = self.point(packet, stage) else { return String::new() };
        // The sender's view of the connection says which next hop of a route leads to the link.
        let hop = (stage == Stage::Route).then_some(Point { stage: Stage::Connection, ..point });
        let blinds = self.walk.into_iter().flat_map(|walk| &walk.blinds);
        let ours = blinds.filter(|blind| {
            let of_hop = hop.is_some_and(|hop| blind.points.contains(&hop));
            blind.points.contains(&point) || (of_hop && blind.side == point.direction.source())
        });
        let mut all: Vec<String> = ours.map(|blind| blind.what.get(self.lang)).collect();
        all.dedup();
        all.join("; ")
    }

    /// The rule, entry or route in words.
    fn words(&self, packet: PacketKind, stage: Stage, by: u32) -> String {
        let default = match self.lang {
            Lang::En => "by default",
            Lang::Zh => "默认策略",
        };
        match stage {
            Stage::EgressGroup | Stage::IngressGroup if by == INNER => match self.lang {
                Lang::En => "members of one group reach each other".to_owned(),
                Lang::Zh => "同一安全组内实例互通".to_owned(),
            },
            Stage::EgressGroup | Stage::IngressGroup => {
                self.ends.rule_at(packet, stage, by).map_or_else(|| default.to_owned(), rule_text)
            }
            Stage::EgressAcl | Stage::IngressAcl => {
                let name = if by == DEFAULT { None } else { by.checked_add(1) };
                match (name, self.lang) {
                    (None, _) if self.ends.decider(packet, stage, Say::Pass(by)).is_none() => match self.lang {
                        Lang::En => "none in effect".to_owned(),
                        Lang::Zh => "未生效".to_owned(),
                    },
                    (None, _) => default.to_owned(),
                    (Some(n), Lang::En) => format!("entry {n}"),
                    (Some(n), Lang::Zh) => format!("第 {n} 条"),
                }
            }
            Stage::Route if self.ends.same_vpc => match self.lang {
                Lang::En => "inside the VPC".to_owned(),
                Lang::Zh => "专有网络内部".to_owned(),
            },
            Stage::Route => self.ends.route_at(packet, by).map_or_else(String::new, route_text),
            Stage::Connection | Stage::Transit | Stage::Source | Stage::Destination => String::new(),
        }
    }
}
