//! Compares prediction with observation: which findings the wire proves, which it refutes, and what it shows beyond
//! them.
//!
//! Rules, in order:
//! 1. A finding is *refuted* if a packet that it stops was seen to pass; it becomes `model-contradicted`.
//! 2. A finding that is not refuted is *proven* if at least one round trip that it stops is observed dead and none
//!    alive, and something that was read explains it; otherwise it is *supported*.
//! 3. A round trip that dies although no finding stops it there (requests that never arrive, replies that never come
//!    back) is *unexplained*. If the sender's agent runs in a container, the container is blamed. If parts of the path
//!    could not be read, their causes are suspects. If the configuration was read before the packets died, changes made
//!    since then are suspects. If everything was read since, the fabric is blamed.
//! 4. Impairments of packets that pass are judged independently of all that (module `quality`).
//!
//! The line between causes and suspects: a *cause* is one code on one object that is the only remaining candidate
//! according to the configuration, to a host fact, or to the wire with everything else read. If several codes or
//! objects fit what is known, all of them are *suspects*, listed with the reading or test that would decide, and none
//! is blamed. What could not be read is a *gap*; it makes suspects and never a cause.

use crate::{
    certainty,
    code::CauseCode,
    finding::{Blind, Doubt, Finding, Held, Note, Stops, Walk},
    fix::Fix,
    lang::{Both, both},
    model::Model,
    observe::{Leg, Observed, Seen, observe_pair},
    quality::{self, means::Means},
    stage::Stage,
    verdict::{Certainty, Cut, ObjectKind},
    walk::{flows, link_ends},
};
use pingtong_evidence::{Direction, Pair, Protocol, Side};
use std::collections::{BTreeMap, BTreeSet};

/// Number of flows that must all pass to refute a dead next hop: if one of two next hops were dead, so many flows would
/// all avoid it by chance once in 256 times.
const FLOWS_MIN: u64 = 8;

/// Clock difference between two hosts that is tolerated, in milliseconds.
const CLOCKS_DIFFER_MS: i64 = 1_000;

pub(crate) struct Correlated {
    pub(crate) held: Vec<Held>,
    pub(crate) refuted: Vec<Finding>,
    pub(crate) doubts: Vec<Doubt>,
    /// Whether packets that pass are impaired although no single cause is left.
    pub(crate) impaired: bool,
    /// Whether losses were set aside because pingtong's own probes were too many.
    pub(crate) overloaded: bool,
    /// Sides whose configuration was read before packets died and does not explain their loss.
    pub(crate) outdated: BTreeSet<Side>,
    /// Whether repairs of what was found surely restore the pair: every cause is proven, and both hosts surely let its
    /// packets pass then.
    pub(crate) is_certain: bool,
}

struct Wire<'a> {
    seen: &'a Seen,
}

impl Wire<'_> {
    fn flow(&self, direction: Direction) -> Option<&Observed> {
        self.seen.get(&direction)
    }

    fn request_passes(&self, direction: Direction) -> bool {
        self.flow(direction).is_some_and(Observed::arrives)
    }

    fn reply_passes(&self, direction: Direction) -> bool {
        self.flow(direction.reverse()).is_some_and(Observed::alive)
    }

    fn passes(&self, direction: Direction) -> bool {
        self.request_passes(direction) || self.reply_passes(direction)
    }

    fn refutes(&self, stops: Stops) -> bool {
        match stops {
            Stops::Link => Direction::BOTH.into_iter().any(|d| self.passes(d)),
            Stops::Packets(d) => self.passes(d),
            Stops::Requests(d) => self.request_passes(d),
            Stops::Responses(d) => self.reply_passes(d),
            Stops::Host(side) => {
                let (inbound, outbound) = (self.flow(side.opposite().sends()), self.flow(side.sends()));
                inbound.is_some_and(Observed::answered) || outbound.is_some_and(|seen| seen.sent > 0)
            }
            Stops::Arrivals(side) | Stops::ArrivingRequests(side) => {
                self.flow(side.opposite().sends()).is_some_and(Observed::accepted)
            }
            Stops::Answers(side) => self.flow(side.opposite().sends()).is_some_and(Observed::answered),
            Stops::Sending(side) | Stops::OwnRequests(side) => self.flow(side.sends()).is_some_and(Observed::arrives),
            Stops::Replies(side) => self.flow(side.sends()).is_some_and(Observed::alive),
            // Such a finding stops a share of the flows, and each round is one flow: enough rounds without a loss
            // refute it.
            Stops::Some(_) => {
                let all: Vec<&Observed> = self.seen.values().collect();
                let whole = all
                    .iter()
                    .all(|seen| seen.rounds == 0 || (seen.valid() && seen.sent > 0 && seen.received == seen.sent));
                whole && all.iter().map(|seen| seen.rounds).sum::<u64>() >= FLOWS_MIN
            }
        }
    }
}

pub(crate) fn seen_text(direction: Direction, seen: &Observed) -> Both {
    let count = |leg: Option<Leg>| leg.map_or_else(|| "?".to_owned(), |leg| leg.passed.to_string());
    let cut = seen.cut.unwrap_or(Cut::Unknown);
    let (sent, arrived, answered, received) = (seen.sent, count(seen.request), count(seen.answer), seen.received);
    let (code, en, zh) = (cut.as_str(), cut.name(crate::Lang::En), cut.name(crate::Lang::Zh));
    let way = if direction == Direction::Forward { "正向" } else { "反向" };
    both!(
        "{direction}: sent {sent}, arrived {arrived}, answered {answered}, received {received} ({code}: {en})",
        "{way}：发出 {sent}，到达 {arrived}，应答 {answered}，收到 {received}（{code}：{zh}）"
    )
}

/// `means` is the input for judging impairments of packets that pass.
pub(crate) fn correlate(
    pair: &Pair,
    walk: &Walk,
    guests: Vec<Finding>,
    contained: &BTreeMap<Side, Finding>,
    means: &Means<'_>,
    seen: &Seen,
) -> Correlated {
    let wire = Wire { seen };
    let (refuted, mut standing): (Vec<Finding>, Vec<Finding>) =
        // The next hop may be chosen by addresses alone: one pair without loss refutes nothing while other pairs of the
        // link are dead.
        walk.findings.iter().cloned().partition(|finding| {
            wire.refutes(finding.stops) && !(matches!(finding.stops, Stops::Some(_)) && others_dead(pair, means))
        });
    // The configuration alone may already show the cause, such as an address on no interface; the guest's finding is
    // then a duplicate.
    let told = |guest: &Finding| standing.iter().any(|have| have.code == guest.code && have.object == guest.object);
    let guests: Vec<Finding> = guests.into_iter().filter(|guest| !told(guest)).collect();
    standing.extend(guests);
    let mut doubts = vec![];
    let outdated = beyond(means, walk, contained, &mut standing, &mut doubts);
    let quality = quality::assess(means, &standing);
    standing.extend(quality.findings);
    let impaired = !quality.doubts.is_empty();
    let overloaded = !quality.set_aside.is_empty();
    doubts.extend(quality.doubts.into_iter().chain(quality.set_aside));
    let mut held: Vec<Held> = standing.into_iter().map(|finding| hold(means, walk, finding)).collect();
    held.extend(refuted.iter().map(|finding| contradicted(seen, finding)));
    held.sort_by_key(|held| held.finding.order());
    let is_proven = held.iter().all(|held| held.certainty == Certainty::Proven);
    let is_certain = is_proven && certainty::is_located(means) && certainty::hosts_pass(means, &held);
    Correlated { held, refuted, doubts, impaired, overloaded, outdated, is_certain }
}

/// Whether a round of another pair of the link received no reply at all.
fn others_dead(pair: &Pair, means: &Means<'_>) -> bool {
    let mut others = means.question.probes.iter().filter(|round| round.pair != pair.id && round.own_drops == 0);
    others.any(|round| !round.sent.is_empty() && round.replied.is_empty() && round.late.is_empty())
}

fn hold(means: &Means<'_>, walk: &Walk, mut finding: Finding) -> Held {
    let (pair, seen) = (means.question.pair, means.seen);
    let stopped: Vec<(Direction, &Observed)> = flows(pair)
        .into_iter()
        .filter(|flow| finding.stops.round_trip(*flow) || matches!(finding.stops, Stops::Some(_)))
        .filter_map(|flow| seen.get(&flow).map(|seen| (flow, seen)))
        .filter(|(_, seen)| seen.valid())
        .collect();
    let partial = matches!(finding.stops, Stops::Some(_));
    let agrees = !stopped.is_empty() && stopped.iter().all(|(_, seen)| if partial { true } else { seen.dead() });
    for (flow, seen) in &stopped {
        finding.evidence.push(Note::plain(seen_text(*flow, seen)));
    }
    let certainty = certainty::of(&finding, agrees, walk, means);
    Held { finding, certainty }
}

fn contradicted(seen: &Seen, finding: &Finding) -> Held {
    let code = finding.code;
    let mut evidence = vec![Note::plain(both!(
        "the configuration predicts {code}; fresh probes pass all the same",
        "按配置推断应为 {code}，但新发的探测包照样通过"
    ))];
    evidence.extend(finding.evidence.iter().cloned());
    evidence
        .extend(seen.iter().filter(|(_, seen)| seen.valid()).map(|(flow, seen)| Note::plain(seen_text(*flow, seen))));
    let finding = Finding { code: CauseCode::ModelContradicted, evidence, fix: Fix::Manual, ..finding.clone() };
    Held { finding, certainty: Certainty::Proven }
}

/// Judges round trips that die although no finding stops them. Returns the sides whose configuration is too old to
/// explain them.
fn beyond(
    means: &Means<'_>,
    walk: &Walk,
    contained: &BTreeMap<Side, Finding>,
    standing: &mut Vec<Finding>,
    doubts: &mut Vec<Doubt>,
) -> BTreeSet<Side> {
    let (model, pair, seen) = (means.model, &means.question.pair, means.seen);
    let mut outdated = BTreeSet::new();
    let wire = Wire { seen };
    let mut dead_legs: BTreeMap<Direction, Vec<Note>> = BTreeMap::new();
    let open = |blind: &Blind, flow: Direction| {
        blind.stops.iter().any(|stops| stops.round_trip(flow) && !wire.refutes(*stops))
    };
    strangers(model, pair, seen, standing);
    for flow in flows(pair) {
        if let Some(observed) = seen.get(&flow).filter(|seen| seen.mute)
            && !standing.iter().any(|finding| finding.stops.round_trip(flow))
        {
            doubts.push(mute(pair, flow.destination(), observed));
        }
        if let Some(observed) = seen.get(&flow).filter(|seen| seen.alive() && seen.unseen()) {
            doubts.push(answered_unseen(pair, flow.destination(), observed));
        }
        let Some(observed) = seen.get(&flow).filter(|seen| seen.dead()) else { continue };
        let mut hidden = false;
        for blind in walk.blinds.iter().filter(|blind| open(blind, flow)) {
            hidden = true;
            doubts.push(Doubt {
                codes: blind.hides.iter().copied().collect(),
                side: Some(blind.side),
                decided_by: blind.closes_with.clone(),
            });
        }
        let cut = observed.cut.unwrap_or(Cut::Unknown);
        // A cause that stops replies does not explain requests that never arrive, nor the reverse. What a guest refuses
        // is seen at its interface first, if an agent observes there.
        let at_interface = |finding: &Finding| {
            matches!(finding.stops, Stops::Arrivals(_) | Stops::ArrivingRequests(_) | Stops::Replies(_))
        };
        let explains = |finding: &Finding| match cut {
            Cut::S1 => finding.stops.request(flow) && !at_interface(finding),
            Cut::S5 => finding.stops.reply(flow) && !(observed.home.is_some() && at_interface(finding)),
            _ => finding.stops.round_trip(flow),
        };
        // All packets of one direction between two addresses may take the dead one of several next hops.
        let dies_in = |direction: Direction| match cut {
            Cut::S1 => direction == flow,
            Cut::S5 => direction == flow.reverse(),
            _ => true,
        };
        let leg = |f: &Finding| {
            f.code == CauseCode::EcmpLegDead && matches!(f.stops, Stops::Some(direction) if dies_in(direction))
        };
        if standing.iter().any(|finding| explains(finding) || leg(finding)) {
            continue;
        }
        if let (Cut::S1 | Cut::S5 | Cut::Unanswered, Some(container)) = (cut, contained.get(&flow.source())) {
            standing.push(container.clone());
            continue;
        }
        let far = flow.destination();
        let leg = match cut {
            Cut::S1 => flow,
            Cut::S5 => flow.reverse(),
            _ => {
                let arrived = observed.request.map_or(0, |leg| leg.passed);
                doubts.push(if pair.protocol == Protocol::Tcp && arrived > 0 {
                    unanswered(pair, far, arrived)
                } else if echoes_pass(means, flow) {
                    by_port_alone(pair, far)
                } else {
                    doubt(cut, far, pair.protocol)
                });
                continue;
            }
        };
        let before = Side::BOTH.into_iter().filter(|side| read_before(model, *side, observed)).collect::<Vec<_>>();
        if hidden {
            doubts.push(Doubt {
                codes: BTreeSet::from([CauseCode::FabricFault]),
                side: None,
                decided_by: Both::new("the parts of the configuration that could not be read", "尚未读到的那部分配置"),
            });
        } else if !before.is_empty() {
            doubts.extend(before.iter().map(|side| unread_since(*side)));
            outdated.extend(before);
        } else if wire.passes(leg) {
            doubts.push(crossed_by_others(leg));
        } else if let Some(open) = certainty::not_clean(means, leg, cut) {
            doubts.push(open);
        } else {
            dead_legs.entry(leg).or_default().push(Note::plain(seen_text(flow, observed)));
        }
    }
    let direction = match dead_legs.keys().collect::<Vec<_>>().as_slice() {
        [] => return outdated,
        [only] => Some(**only),
        _ => None,
    };
    let text = both!(
        "the configuration of both sides and both guests let these packets pass, and they die on the way",
        "两侧配置与两端系统都应放行，但报文仍在途中丢失"
    );
    let mut evidence = vec![Note::plain(text)];
    evidence.extend(dead_legs.into_values().flatten());
    let stops = direction.map_or(Stops::Link, Stops::Packets);
    standing.push(Finding {
        code: CauseCode::FabricFault,
        side: Side::Initiator,
        direction,
        object: model.object(Side::Initiator, ObjectKind::Segment, link_ends(model)),
        stops,
        points: stops.at(Stage::Connection),
        evidence,
        fix: Fix::Manual,
    });
    outdated
}

/// Suspects if packets of the other flow cross the same segment in the same direction: a segment that drops does not ask which
/// flow a packet belongs to, a stateful filter does (`SEMANTICS.md` §7.1).
fn crossed_by_others(leg: Direction) -> Doubt {
    Doubt {
        codes: BTreeSet::from([CauseCode::SgIngressMissing, CauseCode::SgEgressBlocked, CauseCode::FabricFault]),
        side: Some(leg.destination()),
        decided_by: Both::new(
            "the security groups read anew: packets of the other flow cross the same segment in the same direction, which a filter that keeps state explains and a broken segment does not",
            "重新读取安全组：另一条流的报文沿同一方向通过了同一段路径，这符合有状态的过滤，而不符合该段故障",
        ),
    }
}

/// Whether a side's configuration was read before the first of the dead round trips, so that it cannot show changes
/// made in between.
fn read_before(model: &Model, side: Side, seen: &Observed) -> bool {
    let read = model.snapshot(side).map(|snapshot| snapshot.finished_at.as_millis());
    let began = seen.first.map(|first| first.as_millis().saturating_sub(CLOCKS_DIFFER_MS));
    read.zip(began).is_some_and(|(read, began)| read < began)
}

/// Suspects if the configuration is older than the failure: what may have changed since it was read, or the fabric.
fn unread_since(side: Side) -> Doubt {
    Doubt {
        codes: BTreeSet::from([
            CauseCode::RiInactive,
            CauseCode::RouteMissing,
            CauseCode::SgIngressMissing,
            CauseCode::NaclIngressBlocked,
            CauseCode::FabricFault,
        ]),
        side: Some(side),
        decided_by: Both::new(
            "the configuration read anew: it was read before these packets died",
            "重新读取配置：现有配置是在这些报文丢失之前读取的",
        ),
    }
}

/// Blames other hosts that answer, if nothing else explains the missing replies. They also receive the replies to the
/// other flow.
fn strangers(model: &Model, pair: &Pair, seen: &Seen, standing: &mut Vec<Finding>) {
    for flow in flows(pair) {
        let Some(observed) = seen.get(&flow).filter(|seen| seen.dead()) else { continue };
        if let Some((address, count)) = observed.strangers.first_key_value()
            && !standing.iter().any(|finding| finding.stops.request(flow) && diverts(finding.code))
        {
            standing.push(stranger(model, flow, &address.to_string(), *count));
        }
    }
}

/// Whether a cause delivers requests to another host, which may answer. A cause that only drops requests makes nobody
/// answer.
fn diverts(code: CauseCode) -> bool {
    matches!(
        code,
        CauseCode::CidrOverlap
            | CauseCode::GuestNat
            | CauseCode::RouteShadowed
            | CauseCode::RouteWrongNextHop
            | CauseCode::GuestRouteOverlap
            | CauseCode::GuestMultiEni
            | CauseCode::RiWrongVpc
    )
}

fn stranger(model: &Model, flow: Direction, address: &str, count: u64) -> Finding {
    let (side, stops) = (flow.destination(), Stops::Packets(flow));
    let text = both!(
        "{count} replies from {address} carry no agent's nonce: another host answers",
        "来自 {address} 的 {count} 个应答没有 agent 的随机标记：应答的是别的主机"
    );
    Finding {
        code: CauseCode::StrangerReplied,
        side,
        direction: Some(flow),
        object: model.object(side, ObjectKind::Address, address),
        stops,
        points: stops.at_host(side),
        evidence: vec![Note::plain(text)],
        fix: Fix::Manual,
    }
}

/// Whether echoes between the same two hosts pass although the probes of a port do not: link, routes and both hosts
/// then work.
fn echoes_pass(means: &Means<'_>, flow: Direction) -> bool {
    let pair = &means.question.pair;
    let ends = |pair: &Pair| Side::BOTH.map(|side| pair.endpoint(side).address);
    let mut echoes =
        means.question.peers.iter().filter(|other| {
            other.protocol == Protocol::Icmp && other.link.id == pair.link.id && ends(other) == ends(pair)
        });
    pair.protocol != Protocol::Icmp
        && echoes.any(|other| observe_pair(means.question, other, flow, means.facts).alive())
}

/// Suspects if one port is silent between hosts that answer each other's pings: only what distinguishes ports remains.
fn by_port_alone(pair: &Pair, far: Side) -> Doubt {
    let address = pair.endpoint(far).address;
    let (protocol, port) = (pair.protocol, pair.port.map_or_else(String::new, |port| port.to_string()));
    Doubt {
        codes: BTreeSet::from([CauseCode::GuestFirewall, CauseCode::FabricFault]),
        side: Some(far),
        decided_by: both!(
            "pings between the two hosts pass and {protocol} port {port} is silent: what the packet filter of {address} says (nft list ruleset), and a capture there (tcpdump {protocol} port {port})",
            "两台主机之间 ping 正常，只有 {protocol} {port} 端口无应答：查看 {address} 的防火墙（nft list ruleset），并在该主机抓包（tcpdump {protocol} port {port}）"
        ),
    }
}

/// Suspects in a host that receives SYNs and sends nothing back: an open port and a closed one both answer.
fn unanswered(pair: &Pair, far: Side, arrived: u64) -> Doubt {
    let address = pair.endpoint(far).address;
    let port = pair.port.map_or_else(String::new, |port| port.to_string());
    Doubt {
        codes: BTreeSet::from([CauseCode::GuestFirewall, CauseCode::GuestRpFilter, CauseCode::GuestRouteMissing]),
        side: Some(far),
        decided_by: both!(
            "{arrived} SYNs reached TCP port {port} of {address}, which neither accepted nor refused them: its packet filter (nft list ruleset), its way back (ip route get), or a full accept queue (nstat -az TcpExtListenOverflows)",
            "{arrived} 个 SYN 已到达 {address} 的 TCP {port} 端口，该主机既未接受也未拒绝：查看其防火墙（nft list ruleset）、回程路由（ip route get）与监听队列是否溢出（nstat -az TcpExtListenOverflows）"
        ),
    }
}

/// Suspects if replies come to requests that the far agent, although it watches, never saw: another host may have answered.
fn answered_unseen(pair: &Pair, far: Side, seen: &Observed) -> Doubt {
    let (address, received) = (pair.endpoint(far).address, seen.received);
    Doubt {
        codes: BTreeSet::from([CauseCode::StrangerReplied, CauseCode::GuestNat]),
        side: Some(far),
        decided_by: both!(
            "{received} probes to {address} were answered and its agent saw none of them arrive: whether they reach that host (tcpdump icmp there) or another one answers",
            "发往 {address} 的 {received} 个探测有应答，但该主机的 agent 一个也没有看到：报文是否到达该主机（在其上执行 tcpdump icmp），还是由其他主机应答"
        ),
    }
}

/// Suspects if datagrams are not answered, besides a listener that does not answer unknown senders.
fn mute(pair: &Pair, far: Side, seen: &Observed) -> Doubt {
    let address = pair.endpoint(far).address;
    let port = pair.port.map_or_else(String::new, |port| port.to_string());
    let arrived = seen.request.map_or(0, |leg| leg.passed);
    let (codes, decided_by) = if arrived > 0 {
        let text = both!(
            "{arrived} datagrams reached {address} and nothing came back: a service on UDP port {port} that does not answer unknown senders, or a filter of that host; whether something listens there (ss -lun) decides",
            "{arrived} 个 UDP 报文已到达 {address}，但没有任何返回：可能是 {port} 端口的服务不应答陌生报文，也可能是该主机防火墙丢弃；查看该端口是否有监听（ss -lun）即可区分"
        );
        (vec![CauseCode::GuestFirewall], text)
    } else {
        let text = both!(
            "nothing came back from UDP port {port} of {address}, and nobody watched whether the datagrams arrive: an agent there that does, or a service that answers, decides",
            "{address} 的 UDP {port} 端口没有任何返回，也没有人观测报文是否到达：在该主机运行能观测到达的 agent，或用会应答的服务，即可区分"
        );
        (vec![CauseCode::GuestFirewall, CauseCode::FabricFault], text)
    };
    Doubt { codes: codes.into_iter().collect(), side: Some(far), decided_by }
}

/// Suspects that fit a cut point which no fact explains.
fn doubt(cut: Cut, far: Side, protocol: Protocol) -> Doubt {
    let (codes, side, decided_by): (&[CauseCode], Side, Both) = match cut {
        Cut::S0 => (
            &[CauseCode::GuestFirewall, CauseCode::GuestRouteMissing],
            far.opposite(),
            Both::new("the sender's host facts", "发送端的主机信息"),
        ),
        Cut::S3 | Cut::S4 => (
            &[CauseCode::GuestEchoIgnored, CauseCode::GuestFirewall, CauseCode::GuestRouteMissing],
            far,
            Both::new("the answering host's facts", "应答端的主机信息"),
        ),
        _ => (
            &[
                CauseCode::InstanceStopped,
                CauseCode::GuestFirewall,
                CauseCode::GuestEchoIgnored,
                CauseCode::GuestRouteOverlap,
                CauseCode::FabricFault,
            ],
            far,
            Both::new("a report of the agent at the far end", "对端 agent 的报告"),
        ),
    };
    // Only ICMP echo requests can be ignored by a kernel setting.
    let fits = |code: &CauseCode| protocol == Protocol::Icmp || *code != CauseCode::GuestEchoIgnored;
    Doubt { codes: codes.iter().copied().filter(fits).collect(), side: Some(side), decided_by }
}
