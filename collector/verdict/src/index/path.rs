//! The path of one flow, stage by stage, including the stages after one that stops it.
//!
//! The index supplies the decision of each stage. Why a stage stops a packet, and with which code, comes from the
//! explaining walk, whose findings are assigned to the stage that they belong to. Stages that were not read are listed
//! as unknown. Guests are not part of this path.

use super::{
    DEFAULT, Estate, Flow, HostRef, INNER, Outcome, Stage,
    audit::{Explainer, plain_code},
    decider::{Ends, Leg},
    filter::Say,
    outcome,
};
use crate::{
    CauseCode, Lang,
    finding::{Finding, Stops, Walk},
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathLeg {
    /// What becomes of the packet in total.
    pub state: PathState,
    /// Stages that the packet meets, in order.
    pub stages: Vec<PathStage>,
}

/// The path of a flow and of its reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

impl Stage {
    /// Name of the stage for people.
    pub fn name(self, lang: Lang) -> &'static str {
        let (en, zh) = match self {
            Self::Source => ("sending host", "发送主机"),
            Self::EgressGroup => ("security group, egress", "安全组（出方向）"),
            Self::EgressAcl => ("network ACL, egress", "网络ACL（出方向）"),
            Self::Route => ("route look-up", "路由查找"),
            Self::Connection => ("connection", "互联连接"),
            Self::Transit => ("transit router", "转发路由器"),
            Self::IngressAcl => ("network ACL, ingress", "网络ACL（入方向）"),
            Self::IngressGroup => ("security group, ingress", "安全组（入方向）"),
            Self::Destination => ("receiving host", "接收主机"),
        };
        match lang {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }
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
        let [request, reply] = ends.stages(flow)?;
        let (request, reply) = (tracer.leg(Leg::Request, request), tracer.leg(Leg::Reply, reply));
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
    fn leg(&self, leg: Leg, stages: [(Stage, Say); 9]) -> PathLeg {
        let state = PathState::of(outcome(&stages));
        // A stage that the packet never meets is not part of its path.
        let meets = |stage: Stage, say: Say| match stage {
            Stage::Connection => !self.ends.same_vpc,
            Stage::Transit => say != Say::Pass(0),
            Stage::EgressGroup | Stage::IngressGroup => leg == Leg::Request,
            _ => true,
        };
        let met = stages.into_iter().filter(|(stage, say)| meets(*stage, *say));
        PathLeg { state, stages: met.map(|(stage, say)| self.stage(leg, stage, say)).collect() }
    }

    fn stage(&self, leg: Leg, stage: Stage, say: Say) -> PathStage {
        let object = self.ends.decider(leg, stage, say);
        match say {
            Say::Pass(by) => {
                PathStage { stage, state: PathState::Passes, object, codes: vec![], detail: self.words(leg, stage, by) }
            }
            Say::Stop(by) => {
                let found: Vec<&Finding> = self.findings(leg, stage).collect();
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
                    detail: told.unwrap_or_else(|| self.words(leg, stage, by)),
                }
            }
            Say::Unknown => {
                PathStage { stage, state: PathState::Unknown, object, codes: vec![], detail: self.gap(leg, stage) }
            }
        }
    }

    /// Findings that belong to a stage of one packet.
    fn findings(&self, leg: Leg, stage: Stage) -> impl Iterator<Item = &Finding> {
        let way = self.way(leg);
        let flow = self.direction;
        let ours = move |finding: &&Finding| {
            let (Some(flow), Some(way)) = (flow, way) else { return false };
            let dies = match leg {
                Leg::Request => finding.stops.request(flow),
                Leg::Reply => finding.stops.reply(flow),
            };
            (dies || finding.stops == Stops::Some(way)) && is_of(finding, stage, way)
        };
        self.walk.into_iter().flat_map(|walk| &walk.findings).filter(ours)
    }

    /// Direction of one packet on the link.
    fn way(&self, leg: Leg) -> Option<Direction> {
        match leg {
            Leg::Request => self.direction,
            Leg::Reply => self.direction.map(Direction::reverse),
        }
    }

    fn gap(&self, leg: Leg, stage: Stage) -> String {
        let Some(way) = self.way(leg) else { return String::new() };
        let step = match stage {
            Stage::Connection => 4,
            Stage::Route | Stage::Transit => 5,
            Stage::EgressGroup | Stage::EgressAcl | Stage::IngressAcl | Stage::IngressGroup => 6,
            Stage::Source | Stage::Destination => 7,
        };
        let receiving = matches!(stage, Stage::IngressAcl | Stage::IngressGroup | Stage::Destination);
        let side = if receiving { way.destination() } else { way.source() };
        let blinds = self.walk.into_iter().flat_map(|walk| &walk.blinds);
        let acl = matches!(stage, Stage::EgressAcl | Stage::IngressAcl);
        let is_acl = |blind: &crate::finding::Blind| {
            blind.hides.iter().any(|c| matches!(c, CauseCode::NaclIngressBlocked | CauseCode::NaclEgressBlocked))
        };
        let any_side = matches!(stage, Stage::Connection | Stage::Transit);
        let ours = blinds.filter(|blind| {
            let near = blind.step == step || (stage == Stage::Route && blind.step == 4);
            near && (any_side || blind.side == side) && (step != 6 || is_acl(blind) == acl)
        });
        let mut all: Vec<String> = ours.map(|blind| blind.what.get(self.lang)).collect();
        all.dedup();
        all.join("; ")
    }

    /// The rule, entry or route in words.
    fn words(&self, leg: Leg, stage: Stage, by: u32) -> String {
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
                self.ends.rule_at(leg, stage, by).map_or_else(|| default.to_owned(), rule_text)
            }
            Stage::EgressAcl | Stage::IngressAcl => {
                let name = if by == DEFAULT { None } else { by.checked_add(1) };
                match (name, self.lang) {
                    (None, _) if self.ends.decider(leg, stage, Say::Pass(by)).is_none() => match self.lang {
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
            Stage::Route => self.ends.route_at(leg, by).map_or_else(String::new, route_text),
            Stage::Connection | Stage::Transit | Stage::Source | Stage::Destination => String::new(),
        }
    }
}

/// Whether a finding belongs to a stage of a packet that travels in the direction `way`.
fn is_of(finding: &Finding, stage: Stage, way: Direction) -> bool {
    let at_sender = finding.side == way.source();
    let code = finding.code.as_str();
    match stage {
        Stage::Source => matches!(finding.code, CauseCode::InstanceStopped | CauseCode::IpNotOnEni) && at_sender,
        Stage::Destination => matches!(finding.code, CauseCode::InstanceStopped | CauseCode::IpNotOnEni) && !at_sender,
        Stage::EgressGroup => code.starts_with("sg-") && at_sender,
        Stage::IngressGroup => code.starts_with("sg-") && !at_sender,
        Stage::EgressAcl => finding.code == CauseCode::NaclEgressBlocked && at_sender,
        Stage::IngressAcl => finding.code == CauseCode::NaclIngressBlocked && !at_sender,
        Stage::Route => {
            (code.starts_with("route-") && at_sender)
                || matches!(finding.code, CauseCode::CidrOverlap | CauseCode::EcmpLegDead)
        }
        Stage::Connection => code.starts_with("ri-") || finding.code == CauseCode::PeeringNotActive,
        Stage::Transit => code.starts_with("route-") || finding.code == CauseCode::PeeringNotActive,
    }
}
