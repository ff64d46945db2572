//! Whether a host cannot keep up with its packets: `host-overload`.
//!
//! Two kinds of evidence:
//! 1. Packets die inside the host: requests are seen at its interface and never answered, replies are seen there and
//!    never reach the prober, or its own packets never leave it, and no other fault of that guest, such as a rate-limited
//!    filter rule, explains it.
//! 2. Only packets to and from that host are impaired, while other pairs of the link clear the rest (module `shared`).
//!
//! Where a queue discipline of the host has dropped packets, that is a second explanation, and nothing is blamed.
//! Otherwise the host is blamed only if its own load figures agree: for packets that die inside it, packets dropped from the
//! backlog; where other pairs show that it is this host alone, also CPU time stolen by the hypervisor, or tasks that waited
//! for a CPU. Otherwise several causes fit: they become suspects, to be decided by those figures. High CPU utilisation alone is not a fault: most work is intended.

use crate::{
    code::CauseCode,
    finding::{Doubt, Finding, Note, Stops},
    fix::Fix,
    lang::{Both, both},
    observe::{LOSS_RATE_MIN, LOST_MIN, Leg, Observed},
    quality::means::Means,
    verdict::ObjectKind,
    wilson::LossRate,
};
use pingtong_evidence::{Direction, HostFacts, LoadFact, QueueDiscipline, Side};
use std::collections::BTreeSet;

/// Share of the time, in thousandths, in which some task waited for a CPU; from this value on, packets wait as well.
const WAITING_PERMILLE: u32 = 400;
/// Share of CPU time, in thousandths, that the hypervisor gave to other guests; from this value on, packets are
/// affected.
const STOLEN_PERMILLE: u32 = 100;

/// What the wire or other pairs show of one host: a finding if the host's figures agree, else a suspect.
pub(crate) type Shown = Result<Finding, Doubt>;

/// Packets lost inside each host, unless another finding about that guest explains them.
pub(crate) fn inside(means: &Means<'_>, standing: &[Finding]) -> Vec<Shown> {
    Side::BOTH.into_iter().filter_map(|side| inside_of(means, standing, side)).collect()
}

fn inside_of(means: &Means<'_>, standing: &[Finding], side: Side) -> Option<Shown> {
    let explained = |finding: &Finding| finding.side == side && finding.code.step(side) == Some(7);
    if standing.iter().any(explained) {
        return None;
    }
    let flow = side.opposite().sends();
    let lost = means.seen.get(&flow).and_then(dies_inside);
    let own = means.seen.get(&side.sends()).filter(|seen| seen.own_drops == 0);
    let home = own.and_then(|seen| seen.home).filter(|leg| impaired(*leg));
    if let Some(leg) = lost.or(home) {
        let (lost, of) = (leg.lost(), leg.of);
        let text = both!(
            "{lost} of {of} packets reached the host's interface and died inside it",
            "到达该主机网卡的 {of} 个报文中有 {lost} 个在主机内丢失"
        );
        return Some(overload(means, side, Some(flow), text, dropped));
    }
    let leg = own.and_then(Observed::leaving).filter(|leg| impaired(*leg))?;
    let (lost, of) = (leg.lost(), leg.of);
    let text = both!(
        "{lost} of {of} packets that the host handed to its kernel never left its interface",
        "该主机交给内核的 {of} 个报文中有 {lost} 个没有从网卡发出"
    );
    Some(overload(means, side, Some(side.sends()), text, dropped))
}

/// Of the requests that reached the host: the counts of those not accepted by its IP stack, else of those not answered.
pub(crate) fn dies_inside(seen: &Observed) -> Option<Leg> {
    if !seen.alive() {
        return None;
    }
    [seen.accept, seen.answer].into_iter().flatten().find(|leg| impaired(*leg))
}

fn impaired(leg: Leg) -> bool {
    leg.passed > 0
        && leg.lost() >= LOST_MIN
        && LossRate::new(leg.lost(), leg.of).is_some_and(|rate| rate.rate >= LOSS_RATE_MIN)
}

/// What load figures say of the losses or delays in question; `None` if they do not explain them.
type Figures = fn(&LoadFact) -> Option<Both>;

/// Blames a host if its load figures agree, else suspects it.
pub(crate) fn overload(
    means: &Means<'_>,
    side: Side,
    direction: Option<Direction>,
    text: Both,
    explain: Figures,
) -> Shown {
    let pair = &means.question.pair;
    let endpoint = pair.endpoint(side);
    let facts = endpoint.agent.as_ref().and_then(|agent| means.facts.get(agent));
    if let Some(queue) = facts.and_then(dropping) {
        let QueueDiscipline { interface, kind, dropped } = queue;
        return Err(Doubt {
            codes: BTreeSet::from([CauseCode::HostOverload, CauseCode::GuestRateLimit]),
            side: Some(side),
            decided_by: both!(
                "the queue discipline {kind} of the host's {interface}, which has dropped {dropped} packets: whether that number rises with the losses (tc -s qdisc show dev {interface})",
                "该主机 {interface} 上的队列规则 {kind} 已丢弃 {dropped} 个报文：看该数字是否随丢包增加（tc -s qdisc show dev {interface}）"
            ),
        });
    }
    let load = facts.and_then(|facts| facts.load.known());
    let Some(figures) = load.and_then(explain) else {
        return Err(Doubt {
            codes: BTreeSet::from([CauseCode::HostOverload, CauseCode::GuestRateLimit, CauseCode::GuestFirewall]),
            side: Some(side),
            decided_by: Both::new(
                "the host's load and packet filter at the time of the loss",
                "丢包时刻该主机的负载与防火墙规则",
            ),
        });
    };
    let id = endpoint.instance.as_ref().map_or_else(|| endpoint.address.to_string(), ToString::to_string);
    let stops = Stops::Some(direction.unwrap_or(Direction::Forward));
    Ok(Finding {
        code: CauseCode::HostOverload,
        side,
        direction: None,
        object: means.model.object(side, ObjectKind::Instance, id),
        stops,
        points: stops.at_host(side),
        evidence: vec![Note::plain(text), Note::plain(figures)],
        fix: Fix::Manual,
    })
}

/// The queue discipline of the host that has dropped most.
fn dropping(facts: &HostFacts) -> Option<&QueueDiscipline> {
    let all = facts.mechanisms.known().into_iter().flat_map(|mechanisms| &mechanisms.disciplines);
    all.filter(|queue| queue.dropped > 0).max_by_key(|queue| queue.dropped)
}

/// Packets that the host's own kernel counted as dropped. That its processors were busy is a coincidence: tasks that wait for
/// a processor lose no packets.
fn dropped(load: &LoadFact) -> Option<Both> {
    let (drops, over) = (load.backlog_drops, load.over_ms);
    (drops > 0).then(|| {
        both!(
            "its processors did not fetch {drops} packets in time within {over} ms (softnet drops)",
            "{over} 毫秒内有 {drops} 个报文因 CPU 未及时取走而被丢弃（softnet drops）"
        )
    })
}

/// What makes a host lose packets before its interface or delays them, where other pairs show that it is this host alone.
pub(crate) fn strained(load: &LoadFact) -> Option<Both> {
    if let Some(figures) = dropped(load) {
        return Some(figures);
    }
    let waiting = load.waiting_permille.filter(|waiting| *waiting >= WAITING_PERMILLE);
    let stolen = Some(load.stolen_permille).filter(|stolen| *stolen >= STOLEN_PERMILLE);
    let (percent, busy) = (waiting.or(stolen)? / 10, load.busy_permille / 10);
    Some(if waiting.is_some() {
        both!(
            "work waited for a processor during {percent} % of the time; they were busy for {busy} %",
            "{percent} % 的时间里有任务在等待 CPU；CPU 使用率 {busy} %"
        )
    } else {
        both!(
            "the hypervisor gave {percent} % of its processor time to others",
            "有 {percent} % 的 CPU 时间被虚拟化层分给了其他实例（steal）"
        )
    })
}
