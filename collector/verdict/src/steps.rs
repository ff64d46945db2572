//! The tutorial's steps as a checklist, each with what was seen (`SEMANTICS.md` §0).
//!
//! A step fails because of the causes that belong to it, or is not done if those causes mean that. It is unknown if
//! something could not be looked at, and done only if something was seen to be right. Links of other kinds than the
//! tutorial's have their own steps 1 to 4. Concludes nothing beyond the walk, the observations on the wire and the
//! guests' facts.

use crate::{
    code::CauseCode,
    correlate::{Correlated, seen_text},
    finding::{Blind, Finding, Note, Walk},
    fix::Fix,
    lang::{Lang, Texts, both},
    model::Model,
    observe::{Observed, Seen},
    quality::path_size,
    verdict::{EvidenceLine, ObjectKind, Repair, State, Step, StepState, Verdict},
    walk::flows,
};
use pingtong_evidence::{Direction, LinkKind, Pair, Side};

const NAMES: [Texts; 9] = [
    Texts { en: "prerequisites: accounts, CIDRs do not overlap", zh: "前提：账号信息、网段不冲突" },
    Texts { en: "create the initiating side", zh: "创建发起端" },
    Texts { en: "create the accepting side", zh: "创建接收端" },
    Texts { en: "add the initiator on the acceptor", zh: "在接收端添加发起端" },
    Texts { en: "add the acceptor on the initiator, connect", zh: "在发起端添加接收端并发起连接" },
    Texts { en: "routes on both sides", zh: "配置两端路由" },
    Texts { en: "security groups and network ACLs", zh: "配置安全组与网络ACL" },
    Texts { en: "ping, both directions, hosts included", zh: "双向 ping 通（含主机）" },
    Texts { en: "quality: loss, latency", zh: "质量：丢包、时延" },
];

/// Steps 1 to 4 where a VPC peering connection joins the VPCs.
const PEERING_NAMES: [Texts; 4] = [
    Texts { en: "create the VPC peering connection", zh: "创建VPC对等连接" },
    Texts { en: "accept it in the other account", zh: "对端账号接受连接" },
    Texts { en: "nothing to add: one connection serves both sides", zh: "无需添加：两端共用一个连接" },
    Texts { en: "the connection is activated", zh: "连接已激活" },
];

/// Steps 1 to 4 where transit routers join them.
const TRANSIT_NAMES: [Texts; 4] = [
    Texts { en: "attach the initiator's VPC to a transit router", zh: "将发起端VPC连接到转发路由器" },
    Texts { en: "attach the acceptor's VPC", zh: "连接接收端VPC" },
    Texts {
        en: "join the regions, associate both attachments with a route table",
        zh: "打通地域，两端连接建立关联转发",
    },
    Texts { en: "routes of the transit routers", zh: "转发路由器的路由（路由学习）" },
];

/// Causes that mean "not done yet" rather than "done wrongly".
const UNDONE: [CauseCode; 5] = [
    CauseCode::RiMissing,
    CauseCode::RiOppositeUnset,
    CauseCode::RiNotConnected,
    CauseCode::RouteMissing,
    CauseCode::SgIngressMissing,
];

/// The steps that create the connection.
const CONNECTION: std::ops::RangeInclusive<u8> = 1..=4;

/// The name of a step for a link of this kind; empty if `n` is beyond the last step.
pub fn step_name(kind: LinkKind, n: u8, lang: Lang) -> &'static str {
    let own: &[Texts] = match kind {
        LinkKind::RouterInterface => &[],
        LinkKind::VpcPeering => &PEERING_NAMES,
        LinkKind::TransitRouter => &TRANSIT_NAMES,
    };
    let at = usize::from(n);
    let name = at.checked_sub(1).and_then(|at| own.get(at)).or_else(|| NAMES.get(at));
    name.map_or("", |name| name.get(lang))
}

/// The conclusions and observations from which the checklist is made.
pub(crate) struct Checklist<'a> {
    pub(crate) model: &'a Model,
    pub(crate) pair: &'a Pair,
    pub(crate) walk: &'a Walk,
    pub(crate) correlated: &'a Correlated,
    pub(crate) seen: &'a Seen,
}

impl Checklist<'_> {
    /// All steps, 0 to 8, in order.
    pub(crate) fn steps(&self, lang: Lang) -> Vec<Step> {
        let mut judged: Vec<(StepState, Vec<Note>)> = (0..=8).map(|n| self.state_of(n)).collect();
        self.not_begun(&mut judged);
        let name = |n| step_name(self.model.link.kind, n, lang).to_owned();
        (0..)
            .zip(judged)
            .map(|(n, (state, notes))| {
                let mut evidence: Vec<EvidenceLine> = vec![];
                for note in notes {
                    let line = note.evidence(lang);
                    if !evidence.contains(&line) {
                        evidence.push(line);
                    }
                }
                Step { n, name: name(n), state, evidence }
            })
            .collect()
    }

    /// Steps are done in order. A step of which nothing is seen, although everything was looked at, is not done if an
    /// earlier step is not done. A ping that cannot get through yet is not done rather than failed.
    fn not_begun(&self, judged: &mut [(StepState, Vec<Note>)]) {
        let mut open = false;
        for (n, (state, notes)) in (0..).zip(judged.iter_mut()).take(7).skip(1) {
            if open && *state == StepState::Unknown && notes.is_empty() && self.blinds(n).next().is_none() {
                *state = StepState::NotDone;
            }
            open |= *state == StepState::NotDone;
        }
        let wrong =
            judged.iter().take(7).any(|(state, _)| *state == StepState::Failed) || self.blamed(7).next().is_some();
        if let Some((state, _)) = judged.get_mut(7).filter(|(state, _)| *state == StepState::Failed)
            && open
            && !wrong
        {
            *state = StepState::NotDone;
        }
    }

    fn blamed(&self, n: u8) -> impl Iterator<Item = &Finding> {
        self.correlated.held.iter().map(|held| &held.finding).filter(move |finding| self.step_of(finding) == Some(n))
    }

    /// The step of the checklist that a finding belongs to: the step of its code or, for parts of a connection that
    /// other kinds of links have, the step that creates the part.
    fn step_of(&self, finding: &Finding) -> Option<u8> {
        let side = if finding.side == Side::Initiator { 1 } else { 2 };
        let of_transit = |id: &str| {
            let tables = self.model.snapshots().filter_map(|s| s.transit_route_tables.known()).flatten();
            tables.into_iter().any(|table| table.id.as_str() == id)
        };
        let own = || self.model.snapshots().filter_map(|s| s.transit_attachments.known()).flatten();
        match (self.model.link.kind, finding.code, finding.object.kind) {
            (LinkKind::VpcPeering, CauseCode::PeeringNotActive, ObjectKind::Vpc) => Some(1),
            (LinkKind::VpcPeering, CauseCode::PeeringNotActive, _) if accepts(finding) => Some(2),
            (LinkKind::TransitRouter, CauseCode::PeeringNotActive, ObjectKind::Vpc) => Some(side),
            (LinkKind::TransitRouter, CauseCode::PeeringNotActive, _) => {
                Some(if own().any(|a| a.id.as_str() == finding.object.id) { side } else { 3 })
            }
            (LinkKind::TransitRouter, _, ObjectKind::TransitAttachment) => Some(3),
            (LinkKind::TransitRouter, _, ObjectKind::RouteTable) if of_transit(&finding.object.id) => Some(4),
            _ => finding.code.step(finding.side),
        }
    }

    fn undone(&self, finding: &Finding) -> bool {
        match finding.code {
            CauseCode::PeeringNotActive => finding.object.kind == ObjectKind::Vpc || accepts(finding),
            // An enterprise security group without any egress rule has not been set up yet.
            CauseCode::SgEgressBlocked => {
                let groups = self.model.snapshot(finding.side).and_then(|s| s.security_groups.known());
                let group = groups.into_iter().flatten().find(|group| group.id.as_str() == finding.object.id);
                group.and_then(|group| group.rules.known()).is_some_and(|rules| rules.iter().all(|rule| rule.ingress))
            }
            code => UNDONE.contains(&code),
        }
    }

    /// What could not be looked at for a step. An unread part of a connection leaves every step open that creates the
    /// connection.
    fn blinds(&self, n: u8) -> impl Iterator<Item = &Blind> {
        let of_connection = CONNECTION.contains(&n);
        self.walk
            .blinds
            .iter()
            .filter(move |blind| blind.step == n || (of_connection && blind.step == *CONNECTION.end()))
    }

    fn state_of(&self, n: u8) -> (StepState, Vec<Note>) {
        let mut notes: Vec<Note> = self.blamed(n).filter_map(|f| f.evidence.first().cloned()).collect();
        notes.extend(self.blinds(n).map(|blind| Note::plain(blind.what.clone())));
        let passes: Vec<Note> = self.walk.passes.iter().filter(|p| p.step == n).map(|p| p.note.clone()).collect();
        let seen = |flow| self.seen.get(&flow).map(|seen| (flow, seen));
        let observed: Vec<_> = flows(self.pair).into_iter().filter_map(seen).collect();
        let wire = observed.iter().filter(|(_, seen)| seen.rounds > 0);
        let wire = wire.map(|(flow, seen)| Note::plain(seen_text(*flow, seen)));
        let alive = !observed.is_empty() && observed.iter().all(|(_, seen)| seen.valid() && seen.alive());
        let seen_right = match n {
            7 => {
                notes.extend(wire);
                notes.extend(observed.iter().filter_map(|(flow, seen)| by_port(self.pair, *flow, seen)));
                notes.extend(passes);
                if observed.iter().any(|(_, seen)| seen.dead()) {
                    return (StepState::Failed, notes);
                }
                alive
            }
            8 => {
                if alive {
                    notes.extend(wire);
                    notes.extend(observed.iter().filter_map(|(flow, seen)| {
                        let rtt = seen.rtt?;
                        let (p50, p95, max) = (rtt.p50, rtt.p95, rtt.max);
                        let text = format!("{flow}: RTT p50 {p50}, p95 {p95}, max {max}");
                        Some(Note::plain(crate::lang::Both::new(text.clone(), text)))
                    }));
                    notes.extend(observed.iter().filter_map(|(flow, seen)| path_size::largest(*flow, seen)));
                }
                alive
            }
            _ => {
                let some = !passes.is_empty();
                notes.extend(passes);
                some
            }
        };
        let state = if self.blamed(n).any(|finding| !self.undone(finding)) {
            StepState::Failed
        } else if self.blamed(n).next().is_some() {
            StepState::NotDone
        } else if self.blinds(n).next().is_some() || !seen_right {
            StepState::Unknown
        } else {
            StepState::Ok
        };
        (state, notes)
    }

    /// The one thing to do next: the repair of the first step that is failed or not done.
    pub(crate) fn next_step(&self, verdict: &Verdict, lang: Lang) -> Option<String> {
        let set = &verdict.repairs.set;
        let open = verdict.steps.iter().filter(|step| step.n > 0 && step.n < 8).map(|step| (step.n, step.state));
        let first = open.into_iter().find(|(_, state)| matches!(state, StepState::Failed | StepState::NotDone));
        let of_step = first.and_then(|(n, _)| {
            set.iter().find(|repair| self.blamed(n).any(|f| f.code == repair.code && f.object == repair.object))
        });
        if let Some(repair) = of_step.or_else(|| set.first()) {
            let by_hand = repair.cli.is_empty() && repair.guest.is_empty() && of_step.is_some();
            // If no command does it, the name of the step says more than the general advice of a cause.
            let step = first.filter(|(n, state)| by_hand && CONNECTION.contains(n) && *state == StepState::NotDone);
            return Some(said(repair, step.map(|(n, _)| step_name(self.model.link.kind, n, lang)), lang));
        }
        if verdict.state == State::Healthy {
            return None;
        }
        let gap = verdict.gaps.first().map(|gap| gap.closes_with.clone());
        gap.or_else(|| verdict.suspects.first().map(|suspect| suspect.decided_by.clone()))
    }
}

/// Evidence that only probes of ports provide: a refusal by the target itself shows that the path works and nothing
/// listens, and a resent SYN shows loss.
fn by_port(pair: &Pair, flow: Direction, seen: &Observed) -> Option<Note> {
    let (protocol, port, closed, resent) = (pair.protocol, pair.port?, seen.closed, seen.resent);
    let way = if flow == Direction::Forward { "正向" } else { "反向" };
    if closed > 0 {
        return Some(Note::plain(both!(
            "{flow}: the target itself refused {closed} probes of {protocol} port {port}: the path is fine both ways, and nobody listens there (or a filter of that host answers in the same words)",
            "{way}：目标主机自身拒绝了 {closed} 个 {protocol} {port} 端口的探测：路径双向正常，只是该端口无人监听（或该主机的防火墙以同样方式拒绝）"
        )));
    }
    (resent > 0).then(|| {
        Note::plain(both!(
            "{flow}: {resent} connections were answered only to a second SYN: the first packet, or its answer, was lost",
            "{way}：{resent} 个连接在内核重发 SYN 后才有应答：首个报文或其应答丢失"
        ))
    })
}

/// Whether the connection waits to be accepted by the other account.
fn accepts(finding: &Finding) -> bool {
    matches!(finding.fix, Fix::AcceptPeering { .. })
}

/// The account and what it must do; `instead` is used if no command does it.
fn said(repair: &Repair, instead: Option<&str>, lang: Lang) -> String {
    let account = &repair.account;
    let command = if repair.cli.is_empty() { repair.guest.join(" ") } else { repair.cli.join(" ") };
    let what = if command.is_empty() { instead.unwrap_or(&repair.console) } else { &command };
    match lang {
        Lang::En => format!("account {account}: {what}"),
        Lang::Zh => format!("账号 {account}：{what}"),
    }
}
