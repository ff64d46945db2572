//! What could not be looked at, and what would close the gap: parts of the configuration, silent agents, clocks, changes
//! that may not be in effect yet. Judges nothing.

use crate::{
    finding::{Blind, Walk},
    lang::{Both, Lang, both},
    model::Model,
    observe::{Observed, Seen},
    question::Question,
    settling::settled,
    stage::Points,
    verdict::GapNote,
    walk::{blind_because, flows},
};
use pingtong_evidence::{
    AgentId, Direction, GapCode, HostFacts, LinkKind, Pair, ProbeEngine, Side, Snapshot, WhyUnknown,
};
use std::collections::{BTreeMap, BTreeSet};

/// Clock offset from which times of two hosts must not be compared, in milliseconds.
const CLOCK_OFFSET_MS_MAX: i64 = 1_000;
/// Age above which a snapshot says little about the present, in milliseconds: ten minutes, ten reading periods of one
/// minute.
const SNAPSHOT_AGE_MS_MAX: u128 = 600_000;

/// A gap in both languages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GapText {
    code: GapCode,
    side: Option<Side>,
    what: Both,
    closes_with: Both,
}

impl GapText {
    pub(crate) fn note(&self, lang: Lang) -> GapNote {
        GapNote { code: self.code, what: self.what.get(lang), closes_with: self.closes_with.get(lang), side: self.side }
    }
}

/// The gaps of a pair.
pub(crate) fn gaps(
    question: &Question<'_>,
    model: &Model,
    walk: &Walk,
    facts: &BTreeMap<AgentId, HostFacts>,
    changed: Option<&Both>,
) -> BTreeSet<GapText> {
    let mut gaps: BTreeSet<GapText> = walk
        .blinds
        .iter()
        .map(|Blind { gap, side, what, closes_with, .. }| GapText {
            code: *gap,
            side: Some(*side),
            what: what.clone(),
            closes_with: closes_with.clone(),
        })
        .collect();
    gaps.extend(refused(model, &gaps));
    let mut add = |code, side, what: Both, closes_with: Both| {
        gaps.insert(GapText { code, side, what, closes_with });
    };
    if let Some(changed) = changed {
        add(GapCode::ConfigStale, None, changed.clone(), settled());
    }
    for side in Side::BOTH {
        let endpoint = question.pair.endpoint(side);
        let address = endpoint.address;
        let agent = endpoint.agent.as_ref();
        if let Some(age) = model.snapshot(side).map(|s| question.asked_at.since(s.finished_at)) {
            let (account, seconds) = (&model.link.side(side).account, age.as_secs());
            if age.as_millis() > SNAPSHOT_AGE_MS_MAX {
                add(
                    GapCode::ConfigStale,
                    Some(side),
                    both!(
                        "the configuration of account {account} is {seconds} s old",
                        "账号 {account} 的配置是 {seconds} 秒前的"
                    ),
                    Both::new("a fresh snapshot", "重新采集配置快照"),
                );
            }
        }
        let heard = |agent: &AgentId| {
            !question.silent.contains(&agent)
                && (facts.contains_key(agent)
                    || question.probes.iter().any(|round| round.key.agent == *agent)
                    || question.arrivals.iter().any(|part| part.observer == *agent)
                    || question.healths.iter().any(|health| health.agent == *agent))
        };
        // An end without an enrolled agent is not silent: its flow is not measured, which the state shows.
        if let Some(name) = agent.filter(|agent| !heard(agent)) {
            let object =
                endpoint.instance.as_ref().map_or_else(|| address.to_string(), |id| format!("{id} ({address})"));
            add(
                GapCode::AgentSilent,
                Some(side),
                both!("no report from the agent {name} on {object}", "{object} 上的 agent {name} 没有报告"),
                Both::new(
                    "a running agent there that reaches the collector",
                    "在该实例上运行 agent 并保证其能连到收集端",
                ),
            );
        }
        let Some(facts) = agent.and_then(|agent| facts.get(agent)) else { continue };
        if facts.engine == ProbeEngine::None {
            add(
                GapCode::ProbeNotPermitted,
                Some(side),
                both!("the agent on {address} may not send probes", "{address} 上的 agent 无权发送探测包"),
                Both::new(
                    "CAP_NET_RAW for the agent: setcap cap_net_raw+ep on its program",
                    "授予 agent CAP_NET_RAW：对其程序执行 setcap cap_net_raw+ep",
                ),
            );
        }
        if let Some(clock) = facts.clock.known()
            && clock.offset_ms.saturating_abs() > CLOCK_OFFSET_MS_MAX.saturating_add(clock.error_ms.saturating_abs())
        {
            let offset = clock.offset_ms;
            add(
                GapCode::ClockSkew,
                Some(side),
                both!("the clock on {address} differs by {offset} ms", "{address} 的时钟相差 {offset} 毫秒"),
                Both::new("time synchronisation (chrony) on that host", "在该主机上启用时间同步（chrony）"),
            );
        }
    }
    gaps
}

/// What would decide a pair that nothing else leaves open: the probes of each flow that show nothing. A flow with probes
/// that count is named too if all have some, so that an undecided pair always has a gap.
pub(crate) fn undecided(pair: &Pair, seen: &Seen) -> Vec<GapText> {
    let shows = |flow: &Direction| seen.get(flow).is_some_and(Observed::valid);
    let silent: Vec<Direction> = flows(pair).into_iter().filter(|flow| !shows(flow)).collect();
    let open = if silent.is_empty() { flows(pair) } else { silent };
    let gap = |flow: Direction| {
        let end = pair.endpoint(flow.source());
        let address = end.address;
        let (what, closes_with) = if end.agent.is_none() {
            (
                both!(
                    "no agent probes from {address}: whether it reaches the peer is not measured",
                    "{address} 上没有 agent：未测量它能否到达对端"
                ),
                both!("an agent on {address}", "在 {address} 上部署 agent"),
            )
        } else {
            (
                both!("no report of probes from {address} that count", "没有来自 {address} 的有效探测报告"),
                Both::new("another verification", "再次验证"),
            )
        };
        GapText { code: GapCode::AgentSilent, side: Some(flow.source()), what, closes_with }
    };
    open.into_iter().map(gap).collect()
}

/// The gap of a side whose configuration was read before packets died and does not explain their loss.
pub(crate) fn outdated(model: &Model, side: Side) -> GapText {
    let account = &model.link.side(side).account;
    GapText {
        code: GapCode::ConfigStale,
        side: Some(side),
        what: both!(
            "the configuration of account {account} was read before these packets died",
            "账号 {account} 的配置是在这些报文丢失之前读取的"
        ),
        closes_with: Both::new("a fresh snapshot", "重新采集配置快照"),
    }
}

/// Gaps for parts of the path's configuration that an account denies access to. They are reported even if other
/// evidence supplied the answer and nothing is left open.
fn refused(model: &Model, told: &BTreeSet<GapText>) -> Vec<GapText> {
    let mut found = vec![];
    for side in Side::BOTH {
        let Some(snapshot) = model.snapshot(side) else { continue };
        let parts = [
            (snapshot.vpcs.why_unknown(), ("the VPCs", "专有网络")),
            (snapshot.vswitches.why_unknown(), ("the vSwitches", "交换机")),
            (snapshot.route_tables.why_unknown(), ("the route tables", "路由表")),
            (connections_unread(model, snapshot), ("the connections", "连接")),
            (snapshot.network_acls.why_unknown(), ("the network ACLs", "网络ACL")),
            (snapshot.security_groups.why_unknown(), ("the security groups", "安全组")),
            (snapshot.prefix_lists.why_unknown(), ("the prefix lists", "前缀列表")),
            (snapshot.instances.why_unknown(), ("the instances", "实例")),
            (snapshot.enis.why_unknown(), ("the network interfaces", "弹性网卡")),
            (snapshot.link_metrics.why_unknown(), ("the metrics of router interfaces", "路由器接口的监控指标")),
            (snapshot.changes.why_unknown(), ("who changed what", "操作记录")),
        ];
        for (why, what) in parts {
            let Some(why @ WhyUnknown::Denied { .. }) = why else { continue };
            let Blind { gap, what, closes_with, .. } =
                blind_because(model, side, Points::new(), Some(why), what, vec![], vec![]);
            if !told.iter().any(|have| have.side == Some(side) && have.closes_with == closes_with) {
                found.push(GapText { code: gap, side: Some(side), what, closes_with });
            }
        }
    }
    found
}

fn connections_unread<'a>(model: &Model, snapshot: &'a Snapshot) -> Option<&'a WhyUnknown> {
    match model.link.kind {
        LinkKind::RouterInterface => snapshot.router_interfaces.why_unknown(),
        LinkKind::VpcPeering => snapshot.vpc_peerings.why_unknown(),
        LinkKind::TransitRouter => {
            let lists = [
                snapshot.transit_attachments.why_unknown(),
                snapshot.transit_peerings.why_unknown(),
                snapshot.transit_route_tables.why_unknown(),
            ];
            let tables = snapshot.transit_route_tables.known().into_iter().flatten();
            let parts = tables
                .flat_map(|t| [t.associations.why_unknown(), t.propagations.why_unknown(), t.routes.why_unknown()]);
            let mut unread = lists.into_iter().chain(parts).flatten();
            unread.find(|why| matches!(why, WhyUnknown::Denied { .. }))
        }
    }
}
