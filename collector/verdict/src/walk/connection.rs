//! Whether the two VPCs are connected, and by which next hop the routes of each side must lead to the connection.
//!
//! Router interfaces: of those on the link's VPC, module `meant` selects the one meant for this peer. Then roles,
//! regions, opposite fields, locks and states of both ends are judged, each in the view of its own account, or in the
//! opposite end's view if its own is missing. VPC peering connections are judged by their state. Transit routers are
//! judged in `transit`. Facts: DescribeRouterInterfaces (`SEMANTICS.md` §3, §7.2).

use super::{
    at_connection,
    host::blind_because,
    meant::{all_at, choose, expected_role, misplaced, was_connected},
    transit,
};
use crate::{
    code::CauseCode,
    finding::{Finding, Note, Stops, Walk},
    fix::Fix,
    lang::{Both, both},
    model::Model,
    verdict::ObjectKind,
};
use pingtong_evidence::{
    BusinessStatus, LinkKind, NextHop, NextHopKind, RouterInterface, RouterInterfaceRole,
    RouterInterfaceStatus as Status, RouterKind, Side, VpcPeering, VpcPeeringStatus,
};

/// The next hops that lead to the link, by side.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hops {
    initiator: Option<(NextHopKind, String)>,
    acceptor: Option<(NextHopKind, String)>,
    unseen: Vec<Side>,
}

impl Hops {
    pub(super) fn set(&mut self, side: Side, kind: NextHopKind, id: String) {
        match side {
            Side::Initiator => self.initiator = Some((kind, id)),
            Side::Acceptor => self.acceptor = Some((kind, id)),
        }
    }

    pub(crate) fn get(&self, side: Side) -> Option<&(NextHopKind, String)> {
        match side {
            Side::Initiator => self.initiator.as_ref(),
            Side::Acceptor => self.acceptor.as_ref(),
        }
    }

    pub(crate) fn is_link(&self, side: Side, hop: &NextHop) -> bool {
        self.get(side).is_some_and(|(kind, id)| *kind == hop.kind && *id == hop.id)
    }

    pub(super) fn unsee(&mut self, side: Side) {
        self.unseen.push(side);
    }

    /// Whether the side's connections could not be read at all.
    pub(crate) fn unseen(&self, side: Side) -> bool {
        self.unseen.contains(&side)
    }

    /// Whether a next hop is in use at this side according to its own description; `None` if that was not read. Next
    /// hops other than router interfaces count as in use.
    pub(crate) fn carries(model: &Model, side: Side, hop: &NextHop) -> Option<bool> {
        if hop.kind != NextHopKind::RouterInterface {
            return Some(true);
        }
        let all = model.snapshot(side)?.router_interfaces.known()?;
        Some(all.iter().find(|ri| ri.id.as_str() == hop.id).is_some_and(|ri| {
            ri.status == Status::Active
                && ri.business_status == BusinessStatus::Normal
                && ri.opposite_status.is_none_or(|status| status == Status::Active)
        }))
    }
}

/// The ids of the link's two ends in the form of a segment, `a~b`.
pub(crate) fn link_ends(model: &Model) -> String {
    let hops = check_link(model, &mut Walk::default());
    let end = |side: Side| {
        let other = hops.get(side.opposite()).map(|(_, id)| id.as_str());
        let opposite = model.snapshot(side.opposite()).and_then(|s| s.router_interfaces.known()).and_then(|all| {
            all.iter().find(|ri| Some(ri.id.as_str()) == other)?.opposite_interface.as_ref().map(ToString::to_string)
        });
        hops.get(side).map(|(_, id)| id.clone()).or(opposite).unwrap_or_else(|| model.link.side(side).vpc.to_string())
    };
    let (a, b) = (end(Side::Initiator), end(Side::Acceptor));
    if a == b {
        return format!("{}~{}", model.link.initiator.vpc, model.link.acceptor.vpc);
    }
    format!("{a}~{b}")
}

pub(crate) fn check_link(model: &Model, walk: &mut Walk) -> Hops {
    match model.link.kind {
        LinkKind::RouterInterface => router_interfaces(model, walk),
        LinkKind::VpcPeering => vpc_peering(model, walk),
        LinkKind::TransitRouter => transit::attached(model, walk),
    }
}

struct Judge<'a> {
    model: &'a Model,
    walk: &'a mut Walk,
}

impl Judge<'_> {
    fn blame(&mut self, code: CauseCode, side: Side, ri: &str, note: Note, fix: Fix) {
        let kind = if code == CauseCode::RiMissing { ObjectKind::Vpc } else { ObjectKind::RouterInterface };
        self.walk.blame(Finding {
            code,
            side,
            direction: None,
            object: self.model.object(side, kind, ri),
            stops: Stops::Link,
            points: at_connection(),
            evidence: vec![note],
            fix,
        });
    }

    fn blame_interface(&mut self, code: CauseCode, side: Side, ri: &RouterInterface, text: Both, fix: Fix) {
        let note = self.model.note(side, ri.id.as_str(), ri.provenance, text);
        self.blame(code, side, ri.id.as_str(), note, fix);
    }
}

const RI_CODES: [CauseCode; 6] = [
    CauseCode::RiMissing,
    CauseCode::RiOppositeUnset,
    CauseCode::RiOppositeMismatch,
    CauseCode::RiNotConnected,
    CauseCode::RiInactive,
    CauseCode::RiFinancialLocked,
];

fn router_interfaces(model: &Model, walk: &mut Walk) -> Hops {
    let mut hops = Hops::default();
    let chosen = |side| choose(model, side);
    for side in Side::BOTH {
        if let Some(ri) = chosen(side) {
            hops.set(side, NextHopKind::RouterInterface, ri.id.to_string());
        } else if all_at(model, side).is_none() {
            match vouched(model, side) {
                Some(id) => hops.set(side, NextHopKind::RouterInterface, id),
                None => hops.unseen.push(side),
            }
        }
    }
    let mut judge = Judge { model, walk };
    for side in Side::BOTH {
        exists(&mut judge, side);
    }
    roles(&mut judge);
    for side in Side::BOTH {
        if let Some(ri) = chosen(side) {
            fields(&mut judge, side, ri, chosen(side.opposite()));
        }
    }
    states(&mut judge);
    hops
}

/// The id of the side's interface as the peer's own description names it, if both ends are in use.
fn vouched(model: &Model, side: Side) -> Option<String> {
    let ri = choose(model, side.opposite())?;
    let in_use = ri.status == Status::Active && ri.opposite_status == Some(Status::Active);
    ri.opposite_interface.as_ref().filter(|_| in_use).map(ToString::to_string)
}

fn exists(judge: &mut Judge<'_>, side: Side) {
    let (model, region) = (judge.model, &judge.model.link.side(side.opposite()).region);
    if let Some(ri) = choose(model, side) {
        let (id, role, status, spec) = (&ri.id, format!("{:?}", ri.role), format!("{:?}", ri.status), &ri.spec);
        if let Some(wrong) = ri.opposite_region.as_ref().filter(|r| *r != region) {
            let text = both!(
                "{id} was made for a peer in {wrong}; the peer's VPC is in {region}",
                "{id} 创建时选择的对端地域是 {wrong}，而对端专有网络在 {region}"
            );
            judge.blame_interface(CauseCode::RiWrongRegion, side, ri, text, Fix::RemoveInterface { ri: ri.id.clone() });
        } else {
            let step = if side == Side::Initiator { 1 } else { 2 };
            let note = model.note(
                side,
                id.as_str(),
                ri.provenance,
                both!(
                    "{id}: role {role}, state {status}, specification {spec}",
                    "{id}：角色 {role}，状态 {status}，规格 {spec}"
                ),
            );
            judge.walk.pass(at_connection(), step, side, note);
        }
        return;
    }
    let vpc = &model.link.side(side).vpc;
    if let Some(all) = all_at(model, side) {
        if let Some(ri) = misplaced(model, side) {
            let (id, other) = (&ri.id, ri.vpc.as_ref().map_or_else(|| ri.router.to_string(), ToString::to_string));
            let text = both!(
                "{id} is joined to the peer but sits on {other}, not on {vpc}",
                "{id} 已与对端相连，但建在 {other} 上，而不是 {vpc}"
            );
            return judge.blame_interface(
                CauseCode::RiWrongVpc,
                side,
                ri,
                text,
                Fix::RemoveInterface { ri: ri.id.clone() },
            );
        }
        let (count, role) = (all.len(), format!("{:?}", expected_role(side)));
        let text = both!(
            "no {role} router interface for this peer on the router of {vpc} ({count} in the account and region)",
            "{vpc} 的路由器上没有面向该对端的 {role} 路由器接口（该账号该地域共 {count} 个）"
        );
        let provenance = all.first().map(|ri| ri.provenance).unwrap_or_default();
        let note = model.note(side, vpc.as_str(), provenance, text);
        return judge.blame(CauseCode::RiMissing, side, vpc.as_str(), note, Fix::CreateInterface);
    }
    let seen_by_peer = choose(model, side.opposite()).and_then(|ri| ri.opposite_status.map(|status| (ri, status)));
    if let Some((ri, Status::Deleted)) = seen_by_peer {
        let id = &ri.id;
        let text = both!("{id} at the other side reports its opposite as deleted", "另一侧的 {id} 显示其对端已删除");
        let note = model.note(side.opposite(), id.as_str(), ri.provenance, text);
        return judge.blame(CauseCode::RiMissing, side, vpc.as_str(), note, Fix::Manual);
    }
    if matches!(seen_by_peer, Some((ri, Status::Active)) if ri.status == Status::Active) {
        // The peer's own description says that both ends are in use: nothing is left open about steps 1 to 4.
        return;
    }
    let why = model.snapshot(side).and_then(|s| s.router_interfaces.why_unknown());
    let what = ("the router interfaces", "路由器接口");
    let hides = RI_CODES.to_vec();
    judge.walk.blind(blind_because(model, side, at_connection(), why, what, vec![Stops::Link], hides));
}

fn roles(judge: &mut Judge<'_>) {
    let model = judge.model;
    let (Some(ours), Some(theirs)) = (choose(model, Side::Initiator), choose(model, Side::Acceptor)) else { return };
    if ours.role != theirs.role {
        return;
    }
    for (side, ri) in [(Side::Initiator, ours), (Side::Acceptor, theirs)] {
        if ri.role != expected_role(side) {
            let (id, role) = (&ri.id, format!("{:?}", ri.role));
            let text = both!(
                "{id} has the role {role}, and so has its peer; one must initiate and one accept",
                "{id} 的角色是 {role}，与对端相同；应一端发起、一端接收"
            );
            judge.blame_interface(
                CauseCode::RiRoleConflict,
                side,
                ri,
                text,
                Fix::RemoveInterface { ri: ri.id.clone() },
            );
        }
    }
}

/// Fields of an interface that contradict its peer: name, value, expected value.
fn wrong_fields(model: &Model, side: Side, ri: &RouterInterface, peer: Option<&RouterInterface>) -> Vec<[String; 3]> {
    let mut wrong = vec![];
    let mut check = |field: &str, have: Option<String>, want: Option<String>| {
        if let (Some(have), Some(want)) = (have, want)
            && have != want
        {
            wrong.push([field.to_owned(), have, want]);
        }
    };
    let text = |id: &dyn ToString| Some(id.to_string());
    check("OppositeInterfaceId", ri.opposite_interface.as_ref().and_then(|i| text(i)), peer.and_then(|p| text(&p.id)));
    if was_connected(ri) {
        return wrong;
    }
    let account = &model.link.side(side.opposite()).account;
    let router = peer.map(|p| &p.router).or_else(|| model.vpc(side.opposite()).and_then(|v| v.router.as_ref()));
    check("OppositeInterfaceOwnerId", ri.opposite_owner.as_ref().and_then(|o| text(o)), text(account));
    check("OppositeRouterId", ri.opposite_router.as_ref().and_then(|r| text(r)), router.and_then(|r| text(r)));
    if ri.opposite_router_kind == Some(RouterKind::Vbr) {
        wrong.push(["OppositeRouterType".to_owned(), "VBR".to_owned(), "VRouter".to_owned()]);
    }
    wrong
}

fn fields(judge: &mut Judge<'_>, side: Side, ri: &RouterInterface, peer: Option<&RouterInterface>) {
    let (model, id) = (judge.model, &ri.id);
    let step = if side == Side::Acceptor { 3 } else { 4 };
    let mut unset = vec![];
    for (field, is_set) in [
        ("OppositeInterfaceId", ri.opposite_interface.is_some()),
        ("OppositeRouterId", ri.opposite_router.is_some()),
        ("OppositeInterfaceOwnerId", ri.opposite_owner.is_some()),
    ] {
        if !is_set {
            unset.push(field);
        }
    }
    let fix =
        if was_connected(ri) { Fix::RemoveInterface { ri: id.clone() } } else { Fix::SetOpposite { ri: id.clone() } };
    if !was_connected(ri) && !unset.is_empty() {
        let list = unset.join(", ");
        let text = both!("{id} does not name its peer: {list} not set", "{id} 没有填写对端信息：{list} 未设置");
        return judge.blame_interface(CauseCode::RiOppositeUnset, side, ri, text, fix);
    }
    if peer.is_none() && all_at(model, side.opposite()).is_some() {
        // The peer's interface does not exist. That is blamed, and this field is only its consequence.
        return;
    }
    let wrong = wrong_fields(model, side, ri, peer);
    if !wrong.is_empty() {
        let list =
            wrong.iter().map(|[field, have, want]| format!("{field}={have} (≠ {want})")).collect::<Vec<_>>().join(", ");
        let text = both!("{id} names another peer: {list}", "{id} 填写的对端信息有误：{list}");
        return judge.blame_interface(CauseCode::RiOppositeMismatch, side, ri, text, fix);
    }
    if let Some(opposite) = &ri.opposite_interface {
        let note = model.note(
            side,
            id.as_str(),
            ri.provenance,
            both!("{id} names {opposite} as its peer", "{id} 的对端为 {opposite}"),
        );
        judge.walk.pass(at_connection(), step, side, note);
    }
}

fn states(judge: &mut Judge<'_>) {
    let model = judge.model;
    let structural = judge.walk.findings.iter().any(|f| f.stops == Stops::Link);
    let ends: Vec<(Side, &RouterInterface)> =
        Side::BOTH.into_iter().filter_map(|side| choose(model, side).map(|ri| (side, ri))).collect();
    for &(side, ri) in &ends {
        lock(judge, side, ri.business_status, ri.id.as_str(), ri, side);
        if all_at(model, side.opposite()).is_none()
            && let (Some(lock_seen), Some(opposite)) = (ri.opposite_business_status, &ri.opposite_interface)
        {
            lock(judge, side.opposite(), lock_seen, opposite.as_str(), ri, side);
        }
        let (id, status) = (&ri.id, format!("{:?}", ri.status));
        match ri.status {
            Status::Inactive | Status::Deactivating => {
                let text = both!("{id} is {status}: its owner froze it", "{id} 的状态为 {status}：已被其所有者冻结");
                judge.blame_interface(CauseCode::RiInactive, side, ri, text, Fix::Activate { ri: id.clone() });
            }
            Status::Active => {
                let note =
                    model.note(side, id.as_str(), ri.provenance, both!("{id} is {status}", "{id} 的状态为 {status}"));
                judge.walk.pass(at_connection(), 4, side, note);
            }
            _ => {}
        }
        let peer_unseen = all_at(model, side.opposite()).is_none();
        if let (true, Some(Status::Inactive | Status::Deactivating), Some(opposite)) =
            (peer_unseen, ri.opposite_status, &ri.opposite_interface)
        {
            let text = both!("{id} reports that its peer {opposite} is frozen", "{id} 显示其对端 {opposite} 已被冻结");
            let note = model.note(side, id.as_str(), ri.provenance, text);
            let fix = Fix::Activate { ri: opposite.clone() };
            judge.blame(CauseCode::RiInactive, side.opposite(), opposite.as_str(), note, fix);
        }
    }
    if structural {
        return;
    }
    unconnected(judge, &ends);
}

/// Judges two ends that have no other fault but are not connected.
fn unconnected(judge: &mut Judge<'_>, ends: &[(Side, &RouterInterface)]) {
    let initiating = ends.iter().find(|(_, ri)| ri.role == RouterInterfaceRole::Initiating).or_else(|| ends.first());
    let Some(&(side, ri)) = initiating else { return };
    let moving = ends.iter().find(|(_, ri)| {
        matches!(ri.status, Status::Connecting | Status::AcceptingConnecting | Status::Activating | Status::Modifying)
    });
    if let Some(&(side, ri)) = moving {
        let (id, status) = (&ri.id, format!("{:?}", ri.status));
        let since = judge
            .model
            .snapshot(side)
            .map(|s| s.taken_at)
            .zip(ri.created_at)
            .map_or_else(String::new, |(now, created)| format!(" ({} s)", now.since(created).as_secs()));
        let text = both!("{id} is {status}{since}", "{id} 的状态为 {status}{since}");
        return judge.blame_interface(CauseCode::RiConnecting, side, ri, text, Fix::Manual);
    }
    let both_seen = ends.len() == Side::BOTH.len();
    if ri.status == Status::Idle && (both_seen || ri.opposite_status.is_some_and(|s| s == Status::Idle)) {
        let id = &ri.id;
        let text = both!(
            "{id} and its peer name each other and both are Idle: nobody has connected them",
            "{id} 与对端已互相填写，但都处于 Idle：尚未发起连接"
        );
        judge.blame_interface(CauseCode::RiNotConnected, side, ri, text, Fix::Connect { ri: ri.id.clone() });
    }
}

fn lock(judge: &mut Judge<'_>, side: Side, status: BusinessStatus, id: &str, seen_on: &RouterInterface, seen_at: Side) {
    let (code, en, zh) = match status {
        BusinessStatus::FinancialLocked => (CauseCode::RiFinancialLocked, "a bill is not paid", "欠费锁定"),
        BusinessStatus::SecurityLocked => (CauseCode::RiSecurityLocked, "locked for security reasons", "安全锁定"),
        BusinessStatus::Normal | BusinessStatus::Unrecognised => return,
    };
    let text = both!("{id} is locked: {en}", "{id} 被锁定：{zh}");
    let note = judge.model.note(seen_at, seen_on.id.as_str(), seen_on.provenance, text);
    judge.blame(code, side, id, note, Fix::Manual);
}

/// Blames steps 1 to 4 for links that do not use router interfaces.
fn other_kind(model: &Model, side: Side, kind: ObjectKind, id: &str, text: Both, fix: Fix, walk: &mut Walk) {
    walk.blame(Finding {
        code: CauseCode::PeeringNotActive,
        side,
        direction: None,
        object: model.object(side, kind, id),
        stops: Stops::Link,
        points: at_connection(),
        evidence: vec![model.note(side, id, pingtong_evidence::Provenance::default(), text)],
        fix,
    });
}

/// Whether a peering connection can never carry packets again, so that a new one must be requested.
fn is_over(status: VpcPeeringStatus) -> bool {
    matches!(
        status,
        VpcPeeringStatus::Rejected | VpcPeeringStatus::Expired | VpcPeeringStatus::Deleting | VpcPeeringStatus::Deleted
    )
}

fn vpc_peering(model: &Model, walk: &mut Walk) -> Hops {
    let mut hops = Hops::default();
    let (ours, theirs) = (&model.link.initiator.vpc, &model.link.acceptor.vpc);
    let joins =
        |p: &&VpcPeering| (&p.vpc, &p.accepting_vpc) == (ours, theirs) || (&p.vpc, &p.accepting_vpc) == (theirs, ours);
    let seen: Vec<&VpcPeering> =
        model.snapshots().filter_map(|s| s.vpc_peerings.known()).flatten().filter(joins).collect();
    let best = seen.iter().max_by_key(|p| (p.status == VpcPeeringStatus::Activated, !is_over(p.status), p.id.clone()));
    if let Some(peering) = best {
        let (id, status) = (&peering.id, format!("{:?}", peering.status));
        for side in Side::BOTH {
            hops.set(side, NextHopKind::VpcPeering, id.to_string());
        }
        let locked =
            matches!(peering.business_status, BusinessStatus::FinancialLocked | BusinessStatus::SecurityLocked);
        let text = both!("the peering connection {id} is {status}", "对等连接 {id} 的状态为 {status}");
        let owner = if peering.owner == model.link.initiator.account { Side::Initiator } else { Side::Acceptor };
        let there = both!("{id} joins {ours} and {theirs}", "{id} 连接 {ours} 与 {theirs}");
        walk.pass(at_connection(), 1, owner, model.note(owner, id.as_str(), peering.provenance, there));
        if peering.status == VpcPeeringStatus::Activated && !locked {
            // The connection was accepted, and neither side has anything left to do.
            for step in [2, 3, 4] {
                let note = model.note(owner, id.as_str(), peering.provenance, text.clone());
                walk.pass(at_connection(), step, owner, note);
            }
        } else {
            // The account that did not request the connection must accept it.
            let asked = if peering.vpc == *ours { Side::Initiator } else { Side::Acceptor };
            let (side, fix) = if peering.status == VpcPeeringStatus::Accepting && !locked {
                (asked.opposite(), Fix::AcceptPeering { peering: peering.id.clone() })
            } else if is_over(peering.status) {
                (asked, Fix::CreatePeering)
            } else {
                (asked, Fix::Manual)
            };
            other_kind(model, side, ObjectKind::VpcPeering, id.as_str(), text, fix, walk);
        }
    } else if Side::BOTH.iter().any(|s| model.snapshot(*s).is_some_and(|s| s.vpc_peerings.known().is_some())) {
        let text = both!("no peering connection joins {ours} and {theirs}", "没有连接 {ours} 与 {theirs} 的对等连接");
        other_kind(model, Side::Initiator, ObjectKind::Vpc, ours.as_str(), text, Fix::CreatePeering, walk);
    } else {
        unseen_both(model, &mut hops, walk, ("the VPC peering connections", "VPC对等连接"), |s| {
            s.vpc_peerings.why_unknown()
        });
    }
    hops
}

fn unseen_both(
    model: &Model,
    hops: &mut Hops,
    walk: &mut Walk,
    what: (&str, &str),
    why: impl Fn(&pingtong_evidence::Snapshot) -> Option<&pingtong_evidence::WhyUnknown>,
) {
    for side in Side::BOTH {
        hops.unseen.push(side);
        let why = model.snapshot(side).and_then(&why);
        let hides = vec![CauseCode::PeeringNotActive];
        walk.blind(blind_because(model, side, at_connection(), why, what, vec![Stops::Link], hides));
    }
}
