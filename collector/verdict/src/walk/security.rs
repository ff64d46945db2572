//! What the security groups of an interface do to a packet that begins a flow (replies pass: groups keep state).
//!
//! All rules of all groups are pooled and ordered by priority, drop before accept at equal priority. The first match
//! decides, else the default of the kind of group (`SEMANTICS.md` §1.1, §1.2). Exactly one cause is named per
//! blocked filter, the most specific explanation first: a drop that wins · a group source in another VPC · a prefix
//! list without the peer · a rule for the peer with another protocol or port · a rule with another block · the rule in
//! the other direction · the rule in a group that no interface uses · no rule at all.

use super::{Host, Packet, flows, host::blind_because, is_everything, ports_match, protocol_matches, round_trip};
use crate::{
    code::CauseCode,
    finding::{Finding, Stops, Walk},
    fix::Fix,
    lang::{Both, both},
    model::Model,
    stage::{PacketKind, Stage},
    verdict::{Object, ObjectKind},
};
use pingtong_evidence::{
    Cidr, Eni, Known, Pair, Policy, PrefixList, Protocol, RulePeer, SecurityGroup, SecurityGroupId, SecurityGroupKind,
    SecurityRule, Side, Snapshot, WhyUnknown,
};

/// Whether a rule matches, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    Yes,
    No,
    /// The rule refers to something that was not read.
    Maybe,
}

/// Sort key of a rule among all rules of an interface: the smallest priority number first, drop before accept.
pub(crate) fn standing(rule: &SecurityRule) -> (u16, bool) {
    (rule.priority, rule.policy == Policy::Accept)
}

/// Whether a rule matches this protocol and these ports.
pub(crate) fn serves(
    rule: &SecurityRule,
    protocol: Protocol,
    source_port: Option<u16>,
    destination_port: Option<u16>,
) -> bool {
    protocol_matches(rule.protocol, protocol)
        && ports_match(rule.ports, destination_port)
        && rule.source_ports.is_none_or(|ports| ports_match(ports, source_port))
}

/// Whether the rules pass a packet, and the rule that decides, `None` for the default. `pool` must be in the order of
/// evaluation. `Err` if a rule that refers to something unread might decide otherwise.
pub(crate) fn decide<T>(
    pool: impl IntoIterator<Item = (T, Policy, Match)>,
    accepts_by_default: bool,
) -> Result<(bool, Option<T>), ()> {
    let mut doubtful: Vec<Policy> = vec![];
    for (rule, policy, matches) in pool {
        match matches {
            Match::No => {}
            Match::Maybe => doubtful.push(policy),
            Match::Yes if doubtful.iter().any(|other| *other != policy) => return Err(()),
            Match::Yes => return Ok((policy == Policy::Accept, Some(rule))),
        }
    }
    let contradicts = |policy: &Policy| (*policy == Policy::Accept) != accepts_by_default;
    if doubtful.iter().any(contradicts) { Err(()) } else { Ok((accepts_by_default, None)) }
}

/// Whether the groups of an interface accept a packet that no rule matches.
pub(crate) fn accepts_by_default(ingress: bool, first: Option<&SecurityGroup>) -> bool {
    !ingress && first.is_none_or(|group| group.kind == SecurityGroupKind::Normal)
}

/// A rule with the group that holds it.
type Placed<'a> = (&'a SecurityGroup, &'a SecurityRule);

/// One filter: the groups of an interface, one direction, one packet.
struct Filter<'a> {
    model: &'a Model,
    snapshot: &'a Snapshot,
    side: Side,
    ingress: bool,
    packet: Packet,
    groups: Vec<&'a SecurityGroup>,
}

impl<'a> Filter<'a> {
    fn pool(&self) -> Vec<Placed<'a>> {
        let mut pool: Vec<_> = self
            .groups
            .iter()
            .filter_map(|group| group.rules.known().map(|rules| (*group, rules)))
            .flat_map(|(group, rules)| rules.iter().map(move |rule| (group, rule)))
            .filter(|(_, rule)| rule.ingress == self.ingress)
            .collect();
        pool.sort_by_key(|(_, rule)| standing(rule));
        pool
    }

    fn service_matches(&self, rule: &SecurityRule) -> bool {
        serves(rule, self.packet.protocol, self.packet.source_port, self.packet.destination_port)
    }

    fn prefix_list(&self, id: &pingtong_evidence::PrefixListId) -> Option<&'a PrefixList> {
        self.snapshot.prefix_lists.known()?.iter().find(|list| list.id == *id)
    }

    fn peer_matches(&self, rule: &SecurityRule) -> Match {
        let far = self.packet.far(self.side);
        if rule.own.is_some_and(|own| !own.contains(self.packet.near(self.side))) {
            return Match::No;
        }
        let yes = |is: bool| if is { Match::Yes } else { Match::No };
        match &rule.peer {
            RulePeer::Any => Match::Yes,
            RulePeer::Cidr(block) => yes(block.contains(far)),
            // A group as a source or destination matches only members in its own VPC, and the peer is in another one.
            RulePeer::Group { .. } => Match::No,
            RulePeer::PrefixList(id) => match self.prefix_list(id).and_then(|list| list.entries.known()) {
                Some(entries) => yes(entries.iter().any(|block| block.contains(far))),
                None => Match::Maybe,
            },
        }
    }

    fn matches(&self, rule: &SecurityRule) -> Match {
        if self.service_matches(rule) { self.peer_matches(rule) } else { Match::No }
    }

    fn accepts_by_default(&self) -> bool {
        accepts_by_default(self.ingress, self.groups.first().copied())
    }

    /// Whether this filter passes the packet, and the rule that decides, `None` for the default. `Err` if a rule that
    /// refers to something unread might decide otherwise.
    fn decide(&self) -> Result<(bool, Option<Placed<'a>>), ()> {
        let pool = self.pool().into_iter().map(|placed| (placed, placed.1.policy, self.matches(placed.1)));
        decide(pool, self.accepts_by_default())
    }

    /// Whether a matching drop rule is what blocks the packet. A drop rule that no accepting rule contradicts, and that
    /// an accepting rule of priority 1 would override, only repeats the default and is not a cause.
    fn drop_decides(&self, rule: &SecurityRule) -> bool {
        let accepted = |(_, rule): &Placed<'_>| rule.policy == Policy::Accept && self.matches(rule) == Match::Yes;
        self.accepts_by_default() || rule.priority <= 1 || self.pool().iter().any(accepted)
    }

    /// Whether a rule is meant for the peer rather than for everybody.
    fn meant_for_peer(&self, rule: &SecurityRule) -> bool {
        // A block of this VPC that overlaps one of the peer's VPC does not show whom a rule is meant for.
        let theirs = self.model.blocks(self.side.opposite());
        let mut own = self.model.blocks(self.side);
        own.retain(|own| !theirs.iter().any(|block| block.overlaps(own)));
        let meant = |block: &Cidr| {
            block.contains(self.packet.far(self.side))
                && !is_everything(block)
                && !own.iter().any(|vpc| block.covers(vpc))
        };
        match &rule.peer {
            RulePeer::Cidr(block) => meant(block),
            RulePeer::PrefixList(id) => {
                self.prefix_list(id).and_then(|list| list.entries.known()).is_some_and(|list| list.iter().any(meant))
            }
            RulePeer::Any | RulePeer::Group { .. } => false,
        }
    }

    /// Whether a block was probably meant for the peer but does not contain it: a part of the peer's VPC, this side's
    /// own VPC by mistake, or a neighbour of the peer's network.
    fn misses_peer(&self, block: &Cidr) -> bool {
        let far = self.packet.far(self.side);
        let theirs = self.model.block_of(self.side.opposite(), far);
        let near = Cidr::around(theirs.network(), block.prefix_length().clamp(1, 12));
        !block.contains(far)
            && (block.overlaps(&theirs)
                || self.model.blocks(self.side).iter().any(|vpc| vpc.covers(block))
                || near.overlaps(block))
    }

    fn rule_object(&self, group: &SecurityGroup, rule: &SecurityRule) -> Object {
        match &rule.id {
            Some(id) => self.model.object(self.side, ObjectKind::SecurityGroupRule, id.as_str()),
            None => self.model.object(self.side, ObjectKind::SecurityGroup, group.id.as_str()),
        }
    }

    /// Whether another expected pair of the link needs this rule: it is then not a mistaken attempt to allow this pair.
    fn serves_another(&self, rule: &SecurityRule, peers: &[Pair]) -> bool {
        peers.iter().any(|pair| {
            flows(pair).into_iter().any(|flow| {
                let packet = round_trip(pair, flow)[0];
                let here = if self.ingress { flow.destination() } else { flow.source() } == self.side;
                let other = Self { packet, groups: self.groups.clone(), ..*self };
                here && other.matches(rule) == Match::Yes
            })
        })
    }
}

/// Describes a rule, such as `drop icmp 172.16.0.0/16 priority 1`.
pub(crate) fn rule_text(rule: &SecurityRule) -> String {
    let policy = if rule.policy == Policy::Accept { "accept" } else { "drop" };
    let peer = match &rule.peer {
        RulePeer::Any => "0.0.0.0/0".to_owned(),
        RulePeer::Cidr(block) => block.to_string(),
        RulePeer::Group { id, owner } => owner.as_ref().map_or_else(|| id.to_string(), |o| format!("{id} ({o})")),
        RulePeer::PrefixList(id) => id.to_string(),
    };
    let (protocol, priority) = (crate::vendor_text::protocol_text(rule.protocol), rule.priority);
    let ports = crate::vendor_text::ports_text(rule.protocol, rule.ports);
    // A rule with five parts names its own side as well, and matches no other.
    let between = match &rule.own {
        None => peer,
        Some(own) if rule.ingress => format!("{peer} to {own}"),
        Some(own) => format!("{own} to {peer}"),
    };
    let source_ports =
        rule.source_ports.map(|ports| format!(" from port {}/{}", ports.first(), ports.last())).unwrap_or_default();
    format!("{policy} {protocol} {ports}{source_ports} {between} priority {priority}")
}

/// Judges the groups of the sender or of the receiver, whichever `stage` is.
pub(crate) fn check_groups(model: &Model, peers: &[Pair], packet: &Packet, stage: Stage, walk: &mut Walk) {
    if packet.kind == PacketKind::Reply {
        return;
    }
    let (side, ingress) = (stage.side(packet.direction), stage == Stage::IngressGroup);
    let stops = Stops::Requests(packet.direction);
    let hides = if ingress {
        vec![CauseCode::SgIngressMissing, CauseCode::SgDropWins, CauseCode::SgWrongProtocol, CauseCode::SgWrongCidr]
    } else {
        vec![CauseCode::SgEgressBlocked]
    };
    let mut blind = |why: Option<&WhyUnknown>, what| {
        walk.blind(blind_because(model, side, stops.at(stage), why, what, vec![stops], hides.clone()));
    };
    let rules = ("the security group rules", "安全组规则");
    let Some(snapshot) = model.snapshot(side) else { return blind(None, rules) };
    let host = Host::find(model, side, packet.near(side));
    let Some(ids) = host.groups() else {
        let why = snapshot.enis.why_unknown().or_else(|| snapshot.instances.why_unknown());
        if why.is_some() {
            blind(why, ("the security groups of the interface", "网卡所属的安全组"));
        }
        return;
    };
    let all = match &snapshot.security_groups {
        Known::Known(all) => all,
        Known::Unknown(why) => return blind(Some(why), rules),
    };
    let groups: Vec<&SecurityGroup> = ids.iter().filter_map(|id| all.iter().find(|g| g.id == *id)).collect();
    if groups.len() < ids.len() {
        return blind(None, rules);
    }
    if let Some(why) = groups.iter().find_map(|group| group.rules.why_unknown()) {
        return blind(Some(why), rules);
    }
    let Some(first) = groups.first().copied() else { return };
    let filter = Filter { model, snapshot, side, ingress, packet: *packet, groups };
    let Ok(decided) = filter.decide() else {
        return blind(snapshot.prefix_lists.why_unknown(), ("the prefix lists", "前缀列表"));
    };
    let (service, far) = (packet.service(), packet.far(side));
    let way = if ingress { ("ingress", "入方向") } else { ("egress", "出方向") };
    let (en, zh) = way;
    if let (true, rule) = decided {
        let (id, provenance) = rule.map_or((&first.id, first.provenance), |(group, _)| (&group.id, group.provenance));
        let how = rule.map_or_else(
            || Both::new("its default", "默认策略"),
            |(_, rule)| {
                let text = rule_text(rule);
                Both::new(text.clone(), text)
            },
        );
        let (how_en, how_zh) = (how.en, how.zh);
        return walk.pass(
            packet.at(stage),
            6,
            side,
            model.note(
                side,
                id.as_str(),
                provenance,
                both!(
                    "{id} {en} lets {service} with {far} pass: {how_en}",
                    "{id} {zh}放行与 {far} 的 {service}：{how_zh}"
                ),
            ),
        );
    }
    let (code, object, text, fix) = match decided.1 {
        Some((group, rule)) if filter.drop_decides(rule) => dropped(&filter, first, group, rule),
        Some(_) | None => missing(&filter, first, peers, all),
    };
    let provenance =
        filter.groups.iter().find(|g| g.id.as_str() == object.id).map_or(first.provenance, |g| g.provenance);
    let held: Vec<String> =
        filter.pool().into_iter().map(|(group, rule)| format!("{}: {}", group.id, rule_text(rule))).collect();
    let held = if held.is_empty() { "-".to_owned() } else { held.join("; ") };
    let pooled = both!("{en} rules on the interface, in order: {held}", "网卡上的{zh}规则（按生效顺序）：{held}");
    walk.blame(Finding {
        code,
        side,
        direction: Some(packet.direction),
        evidence: vec![
            model.note(side, &object.id, provenance, text),
            model.note(side, first.id.as_str(), first.provenance, pooled),
        ],
        object,
        stops,
        points: stops.at(stage),
        fix,
    });
}

fn dropped(
    filter: &Filter<'_>,
    first: &SecurityGroup,
    group: &SecurityGroup,
    rule: &SecurityRule,
) -> (CauseCode, Object, Both, Fix) {
    let (text, id, service, far) =
        (rule_text(rule), &group.id, filter.packet.service(), filter.packet.far(filter.side));
    let peer_block = filter.model.block_of(filter.side.opposite(), far);
    let broader = match &rule.peer {
        RulePeer::Cidr(block) => !peer_block.covers(block),
        RulePeer::Any | RulePeer::Group { .. } | RulePeer::PrefixList(_) => true,
    };
    let fix = if broader && rule.priority > 1 {
        accept_peer(filter, &first.id)
    } else {
        Fix::RemoveRule { group: group.id.clone(), rule: rule.clone() }
    };
    let why = both!("{id} drops {service} with {far}: {text}", "{id} 丢弃与 {far} 的 {service}：{text}");
    if filter.ingress {
        (CauseCode::SgDropWins, filter.rule_object(group, rule), why, fix)
    } else {
        let object = filter.model.object(filter.side, ObjectKind::SecurityGroup, group.id.as_str());
        (CauseCode::SgEgressBlocked, object, why, fix)
    }
}

fn accept_peer(filter: &Filter<'_>, group: &SecurityGroupId) -> Fix {
    Fix::AcceptRule {
        group: group.clone(),
        ingress: filter.ingress,
        protocol: filter.packet.protocol,
        port: filter.packet.destination_port,
        peer: filter.model.block_of(filter.side.opposite(), filter.packet.far(filter.side)),
    }
}

fn missing(
    filter: &Filter<'_>,
    first: &SecurityGroup,
    peers: &[Pair],
    all: &[SecurityGroup],
) -> (CauseCode, Object, Both, Fix) {
    let (service, far, side) = (filter.packet.service(), filter.packet.far(filter.side), filter.side);
    let fix = accept_peer(filter, &first.id);
    let group_object = |id: &SecurityGroupId| filter.model.object(side, ObjectKind::SecurityGroup, id.as_str());
    if !filter.ingress {
        let id = &first.id;
        let text = both!(
            "{id} is an enterprise group: egress is denied unless a rule accepts it, and none accepts {service} to {far}",
            "{id} 是企业安全组，出方向默认拒绝，没有规则放行到 {far} 的 {service}"
        );
        return (CauseCode::SgEgressBlocked, group_object(id), text, fix);
    }
    let accepts: Vec<(&SecurityGroup, &SecurityRule)> =
        filter.pool().into_iter().filter(|(_, rule)| rule.policy == Policy::Accept).collect();
    if let Some((group, rule)) = accepts.iter().find(|(_, rule)| foreign_group(filter, rule, all)) {
        let rule_words = rule_text(rule);
        let text = both!(
            "the rule \"{rule_words}\" names a security group of another VPC, which matches nothing; name the peer's block instead",
            "规则“{rule_words}”以另一个专有网络的安全组为授权对象，不会匹配任何报文；请改用对端网段"
        );
        return (CauseCode::SgGroupSourceCrossVpc, filter.rule_object(group, rule), text, fix);
    }
    let listed = accepts.iter().find_map(|(_, rule)| match &rule.peer {
        RulePeer::PrefixList(id) if filter.service_matches(rule) => Some(id),
        _ => None,
    });
    if let Some(id) = listed {
        let text = both!("the prefix list {id} does not contain {far}", "前缀列表 {id} 不包含 {far}");
        return (CauseCode::SgPrefixList, filter.model.object(side, ObjectKind::PrefixList, id.as_str()), text, fix);
    }
    let other_service = accepts.iter().find(|(_, rule)| {
        !filter.service_matches(rule) && filter.meant_for_peer(rule) && !filter.serves_another(rule, peers)
    });
    if let Some((group, rule)) = other_service {
        let rule_words = rule_text(rule);
        let text = both!(
            "the rule for the peer is \"{rule_words}\", which does not cover {service}",
            "为对端设置的规则是“{rule_words}”，不包含 {service}"
        );
        return (CauseCode::SgWrongProtocol, filter.rule_object(group, rule), text, fix);
    }
    let other_block = accepts.iter().find(|(_, rule)| match &rule.peer {
        RulePeer::Cidr(block) => {
            filter.service_matches(rule) && filter.misses_peer(block) && !filter.model.meant_elsewhere(side, block, far)
        }
        _ => false,
    });
    if let Some((group, rule)) = other_block {
        let rule_words = rule_text(rule);
        let text = both!("the rule \"{rule_words}\" does not cover {far}", "规则“{rule_words}”不包含 {far}");
        return (CauseCode::SgWrongCidr, filter.rule_object(group, rule), text, fix);
    }
    if first.kind == SecurityGroupKind::Normal {
        let backwards = Filter { ingress: false, groups: filter.groups.clone(), ..*filter };
        let turned = backwards.pool().into_iter().find(|(_, rule)| {
            rule.policy == Policy::Accept && filter.service_matches(rule) && filter.meant_for_peer(rule)
        });
        if let Some((group, rule)) = turned {
            let rule_words = rule_text(rule);
            let text = both!(
                "the rule for the peer, \"{rule_words}\", is an egress rule; {service} from {far} needs it as ingress",
                "为对端设置的规则“{rule_words}”写在了出方向；来自 {far} 的 {service} 需要入方向规则"
            );
            return (CauseCode::SgWrongDirection, filter.rule_object(group, rule), text, fix);
        }
    }
    if let Some(group) = unattached(filter, all) {
        let id = &group.id;
        let text = both!(
            "{id} accepts {service} from {far}, but no interface in use belongs to it",
            "{id} 放行来自 {far} 的 {service}，但没有在用的网卡属于它"
        );
        return (CauseCode::SgNotAttached, group_object(id), text, fix);
    }
    let id = &first.id;
    let text = both!(
        "no ingress rule accepts {service} from {far}; ingress is denied by default",
        "没有入方向规则放行来自 {far} 的 {service}，入方向默认拒绝"
    );
    (CauseCode::SgIngressMissing, group_object(id), text, fix)
}

/// Whether the source of a rule is a group outside this VPC: one of another account, one that is not among the groups
/// read, or one of the peer's VPC.
fn foreign_group(filter: &Filter<'_>, rule: &SecurityRule, all: &[SecurityGroup]) -> bool {
    let RulePeer::Group { id, owner } = &rule.peer else { return false };
    let vpc = &filter.model.link.side(filter.side).vpc;
    let here = all.iter().any(|g| g.id == *id && g.vpc.as_ref().is_none_or(|v| v == vpc));
    let ours = &filter.model.link.side(filter.side).account;
    filter.service_matches(rule)
        && !here
        && (owner.as_ref().is_some_and(|o| o != ours) || !all.iter().any(|g| g.id == *id) || {
            let theirs = &filter.model.link.side(filter.side.opposite()).vpc;
            all.iter().any(|g| g.id == *id && g.vpc.as_ref() == Some(theirs))
        })
}

/// Finds a group of the VPC that accepts the packet by a rule meant for the peer, and that is on no interface, or only
/// on other interfaces of the same instance.
fn unattached<'a>(filter: &Filter<'a>, all: &'a [SecurityGroup]) -> Option<&'a SecurityGroup> {
    let vpc = &filter.model.link.side(filter.side).vpc;
    let enis = filter.snapshot.enis.known()?;
    let near = filter.packet.near(filter.side);
    let instance = Host::find(filter.model, filter.side, near).eni.and_then(|eni| eni.instance.as_ref());
    let beside = |eni: &Eni| instance.is_some() && eni.instance.as_ref() == instance && !eni.addresses.contains(&near);
    all.iter().find(|group| {
        group.vpc.as_ref() == Some(vpc)
            && !enis.iter().any(|eni| eni.security_groups.contains(&group.id) && !beside(eni))
            && group.rules.known().is_some_and(|rules| {
                rules.iter().any(|rule| {
                    rule.ingress
                        && rule.policy == Policy::Accept
                        && filter.meant_for_peer(rule)
                        && filter.matches(rule) == Match::Yes
                })
            })
    })
}
