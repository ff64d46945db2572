//! What makes a cause *proven*, and what leaves it *supported*.
//!
//! A cause is proven if the round trips that it stops were observed dead, none of them alive, and nothing that is not
//! known could explain them otherwise. In particular:
//! - a cause of the configuration: the lists that decide about it were read. What is wrong between two router interfaces or
//!   between the blocks of two VPCs needs the lists of both accounts, and so does which kind of route is wrong;
//! - a cause in a guest: its host facts explain what the wire shows (module `guest`). A refusal that only the wire shows is
//!   supported;
//! - a fault of the fabric: packets were seen leaving one host and were not seen entering the other, the facts of both hosts
//!   are complete and neither of them keeps packets, and the far kernel's counters agree that nothing arrived.
//!
//! Evidence that is missing never makes a cause more certain.

use crate::{
    code::CauseCode,
    finding::{Doubt, Finding, Held, Stops, Walk},
    fix::Fix,
    guest_filter::{Asked, Filter, KnownHost, Maybe, Packets},
    lang::Both,
    model::Model,
    observe::{Counted, Observed},
    quality::means::Means,
    verdict::{Certainty, Cut},
    walk::flows,
};
use pingtong_evidence::{
    Container, Direction, HostFacts, Known, LinkKind, Mechanisms, NextHop, NextHopKind, Protocol, RouteOutcome, Side,
    Snapshot,
};
use std::collections::BTreeSet;

/// The certainty of a finding whose stopped round trips were observed as it says, or not (`agrees`).
pub(crate) fn of(finding: &Finding, agrees: bool, walk: &Walk, means: &Means<'_>) -> Certainty {
    let is_explained = finding.fix != Fix::Unexplained;
    let is_read = is_read(finding, walk, means.model);
    if agrees && is_explained && is_read && is_known_in_guest(finding, means) && leaves_no_other(finding, means) {
        Certainty::Proven
    } else {
        Certainty::Supported
    }
}

/// Whether the parts of the configuration that the cause is about were read.
fn is_read(finding: &Finding, walk: &Walk, model: &Model) -> bool {
    let blocks = |side: Side| model.snapshot(side).is_some_and(|snapshot| snapshot.vpcs.known().is_some());
    let connections = |side: Side| {
        blocks(side)
            && model.snapshot(side).is_some_and(|snapshot| match model.link.kind {
                LinkKind::RouterInterface => snapshot.router_interfaces.known().is_some(),
                LinkKind::VpcPeering => snapshot.vpc_peerings.known().is_some(),
                LinkKind::TransitRouter => true,
            })
    };
    match finding.code {
        CauseCode::FabricFault | CauseCode::LossInFabric => walk.blinds.is_empty(),
        CauseCode::RiMissing
        | CauseCode::RiWrongRegion
        | CauseCode::RiWrongVpc
        | CauseCode::RiRoleConflict
        | CauseCode::RiOppositeMismatch
        | CauseCode::RiNotConnected
        | CauseCode::RiConnecting => Side::BOTH.into_iter().all(connections),
        CauseCode::SgIngressMissing => {
            model.snapshot(finding.side).is_some_and(groups_are_read) && Side::BOTH.into_iter().all(blocks)
        }
        CauseCode::CidrOverlap | CauseCode::RouteShadowed => Side::BOTH.into_iter().all(blocks),
        CauseCode::RouteMissing
        | CauseCode::RouteWrongCidr
        | CauseCode::RouteWrongNextHop
        | CauseCode::RouteWrongTable => {
            model.routes_are_read(finding.side) && Side::BOTH.into_iter().all(connections) && !may_forward(&finding.fix)
        }
        _ => true,
    }
}

/// Whether the entry that a fix removes leads to an instance: it may be a firewall or a gateway that forwards to the peer,
/// which no configuration shows.
fn may_forward(fix: &Fix) -> bool {
    let is_host =
        |hop: &NextHop| matches!(hop.kind, NextHopKind::Instance | NextHopKind::NetworkInterface | NextHopKind::HaVip);
    matches!(fix, Fix::DeleteRoute { entry, .. } if entry.next_hops.iter().any(is_host))
}

/// Whether all security groups, their rules and what they are attached to were read: a rule that was meant to let the peer
/// in may be in any of them.
fn groups_are_read(snapshot: &Snapshot) -> bool {
    let groups = snapshot.security_groups.known();
    let are_known = groups.is_some_and(|groups| groups.iter().all(|group| group.rules.known().is_some()));
    are_known && snapshot.prefix_lists.known().is_some() && snapshot.enis.known().is_some()
}

/// Whether what a cause says of a guest was read there: the wire alone does not show which rule refuses, nor what kind of
/// interface packets leave by.
fn is_known_in_guest(finding: &Finding, means: &Means<'_>) -> bool {
    let facts = || facts_of(means, finding.side);
    match finding.code {
        // Which interfaces are network interfaces of the cloud, the metadata service says.
        CauseCode::GuestRouteOverlap | CauseCode::GuestMultiEni => {
            facts().is_some_and(|facts| facts.interfaces.known().is_some() && facts.metadata.known().is_some())
        }
        // The configuration shows an address that no interface has; that the guest lacks it may be because its agent runs in
        // a container.
        CauseCode::IpNotOnEni => {
            let sources = finding.evidence.iter().filter_map(|note| note.source.as_ref());
            let is_of_guest = sources.into_iter().any(|source| source.api == "host");
            !is_of_guest || facts().is_some_and(|facts| facts.container == Known::Known(Container::No))
        }
        // A rule that refuses these packets only perhaps leaves what else the kernel may do with them.
        CauseCode::GuestFirewall => {
            let packets = Packets::of(means.question.pair, finding.side);
            let kinds = [Asked::Requests, Asked::Replies, Asked::Sent, Asked::Answers];
            let refuses = |filter: Filter<'_>| kinds.into_iter().any(|asked| filter.surely_refuses(&packets, asked));
            // The host itself says by ICMP errors that it rejects a port, which neither an open nor a closed one does.
            let inbound = means.seen.get(&finding.side.opposite().sends());
            let rejects = inbound.is_some_and(|seen| seen.complaints.contains_key(&packets.own));
            (rejects && packets.service.0 != Protocol::Icmp) || facts().and_then(Filter::of).is_some_and(refuses)
        }
        CauseCode::GuestNat | CauseCode::GuestRateLimit => {
            facts().is_some_and(|facts| facts.firewall.known().is_some())
        }
        _ => true,
    }
}

/// Whether nothing else explains a fault of the fabric.
fn leaves_no_other(finding: &Finding, means: &Means<'_>) -> bool {
    let directions = match (finding.code, finding.stops) {
        (CauseCode::FabricFault | CauseCode::LossInFabric, Stops::Packets(way) | Stops::Some(way)) => vec![way],
        (CauseCode::FabricFault | CauseCode::LossInFabric, _) => Direction::BOTH.to_vec(),
        _ => return true,
    };
    let seen = |flow: Direction| means.seen.get(&flow).filter(|seen| seen.valid());
    directions.into_iter().all(|way| {
        let requests = seen(way).filter(|seen| seen.request.is_some_and(|leg| leg.lost() > 0));
        let replies = seen(way.reverse()).filter(|seen| seen.reply.is_some_and(|leg| leg.lost() > 0));
        let requests = requests.map(|seen| did_not_arrive(means, way, seen));
        let replies = replies.map(|seen| seen.home.is_some());
        let proofs: Vec<bool> = requests.into_iter().chain(replies).collect();
        !proofs.is_empty() && proofs.iter().all(|proof| *proof) && Side::BOTH.into_iter().all(|s| is_whole(means, s))
    })
}

/// Whether requests were seen leaving, and neither the far agent nor the far kernel got them.
fn did_not_arrive(means: &Means<'_>, way: Direction, seen: &Observed) -> bool {
    let far = way.destination();
    let lets_in = facts_of(means, far).is_some_and(|facts| {
        let packets = Packets::of(means.question.pair, far);
        let passes = Filter::of(facts).is_some_and(|filter| filter.passes(&packets, Asked::Requests));
        passes && has_address(means, facts, far) && !may_refuse_by_path(means, facts, far)
    });
    seen.departure.is_some() && seen.counted == Counted::Agrees && lets_in
}

fn facts_of<'m>(means: &Means<'m>, side: Side) -> Option<&'m HostFacts> {
    means.question.pair.endpoint(side).agent.as_ref().and_then(|agent| means.facts.get(agent))
}

/// Whether an interface of the host has the pair's address.
fn has_address(means: &Means<'_>, facts: &HostFacts, side: Side) -> bool {
    let own = means.question.pair.endpoint(side).address;
    let mut held = facts.interfaces.known().into_iter().flatten().flat_map(|each| &each.addresses);
    held.any(|(address, _)| *address == own)
}

/// Whether the facts of a host are complete.
fn is_whole(means: &Means<'_>, side: Side) -> bool {
    facts_of(means, side).is_some_and(|facts| {
        let filter = facts.firewall.known().and_then(|firewall| firewall.rules.as_deref());
        filter.is_some_and(|rules| rules.rules_omitted == 0)
            && facts.interfaces.known().is_some()
            && facts.mechanisms.known().is_some()
            && facts.container == Known::Known(Container::No)
    })
}

/// Whether it is known where each flow of the pair dies, if it does: otherwise there may be more than was found.
pub(crate) fn is_located(means: &Means<'_>) -> bool {
    flows(means.question.pair).into_iter().all(|flow| {
        let seen = means.seen.get(&flow).filter(|seen| seen.valid());
        seen.is_some_and(|seen| {
            !matches!(seen.cut, None | Some(Cut::Unknown | Cut::Unanswered)) && !seen.has_unsplit_loss()
        })
    })
}

/// Whether both hosts surely let the pair's packets pass once the found causes are gone: nothing of them is unknown, and
/// what refuses has a command that was tried on the rule set. Repairs are proven only then.
pub(crate) fn hosts_pass(means: &Means<'_>, held: &[Held]) -> bool {
    Side::BOTH.into_iter().all(|side| {
        let found = |codes: &[CauseCode]| {
            held.iter().any(|held| held.finding.side == side && codes.contains(&held.finding.code))
        };
        let commanded = held.iter().any(|held| {
            let is_filter = [CauseCode::GuestFirewall, CauseCode::GuestNat].contains(&held.finding.code);
            held.finding.side == side && is_filter && matches!(held.finding.fix, Fix::Guest { .. })
        });
        // A host that is not running has no facts; what it does once it runs is not known.
        facts_of(means, side).is_some_and(|facts| {
            is_whole(means, side)
                && (filter_passes(means, facts, side, commanded) || (found(&ROUTED_WRONG) && has_no_filter(facts)))
                && facts.is_opaque().known() == Some(&false)
                && (found(&[CauseCode::GuestEchoIgnored]) || answers_echo(means, facts))
                && (found(&[CauseCode::GuestRpFilter]) || !may_refuse_by_path(means, facts, side))
                && (found(&ROUTED_WRONG) || is_routed_home(means, facts, side))
                && !may_shape(means, facts, side)
        })
    })
}

/// Causes about the route or the address of a host, whose commands set it right.
const ROUTED_WRONG: [CauseCode; 4] =
    [CauseCode::GuestRouteMissing, CauseCode::GuestRouteOverlap, CauseCode::GuestMultiEni, CauseCode::IpNotOnEni];

/// Whether the packet filter surely lets each kind of packets pass, or surely refuses them and there are commands against
/// that.
fn filter_passes(means: &Means<'_>, facts: &HostFacts, side: Side, commanded: bool) -> bool {
    let pair = means.question.pair;
    let opens = pair.protocol == Protocol::Icmp || side == pair.opened_by;
    let serves = pair.protocol == Protocol::Icmp || side != pair.opened_by;
    let asked = [(opens, Asked::Sent), (opens, Asked::Replies), (serves, Asked::Requests), (serves, Asked::Answers)];
    Filter::of(facts).is_some_and(|filter| {
        let packets = Packets::of(pair, side);
        let is_sure = |asked| !filter.refusing(&packets, asked, false).is_empty();
        let passes = |asked| filter.passes(&packets, asked) || (commanded && is_sure(asked));
        asked.into_iter().all(|(is_kind, asked)| !is_kind || passes(asked))
    })
}

/// Whether the host may hold back a share of what it sends: a queue discipline that is made to, or probes that did not
/// leave.
fn may_shape(means: &Means<'_>, facts: &HostFacts, side: Side) -> bool {
    let own = means.seen.get(&side.sends()).and_then(Observed::leaving);
    let held_back = own.is_some_and(|leg| leg.passed > 0 && leg.lost() > 0);
    held_back || facts.mechanisms.known().is_some_and(Mechanisms::shapes)
}

/// Whether there is no rule at all: packets then pass by whatever interface a repaired route leads.
fn has_no_filter(facts: &HostFacts) -> bool {
    let rules = facts.firewall.known().and_then(|firewall| firewall.rules.as_deref());
    rules.is_some_and(|rules| rules.tables.is_empty())
}

fn answers_echo(means: &Means<'_>, facts: &HostFacts) -> bool {
    let pair = means.question.pair;
    let ignores = facts.sysctls.ignores_echo(pair.endpoint(pair.opened_by).address);
    pair.protocol != Protocol::Icmp || *ignores == Known::Known(false)
}

/// Whether strict reverse-path filtering may refuse packets that were not seen to pass it.
fn may_refuse_by_path(means: &Means<'_>, facts: &HostFacts, side: Side) -> bool {
    let shows = |flow: Direction, by: fn(&Observed) -> bool| means.seen.get(&flow).is_some_and(by);
    let passes = shows(side.opposite().sends(), Observed::accepted) || shows(side.sends(), Observed::alive);
    let strict = || facts.sysctls.strict_reverse_path.known().is_none_or(|strict| !strict.is_empty());
    let walk = |asked| KnownHost::of(facts)?.reverse_path(&Packets::of(means.question.pair, side), asked);
    let may_refuse = |asked| walk(asked).map_or_else(strict, |refuses| refuses != Maybe::No);
    !passes && [Asked::Requests, Asked::Replies].into_iter().any(may_refuse)
}

/// Whether the host sends packets for the peer by the interface that has the pair's address.
fn is_routed_home(means: &Means<'_>, facts: &HostFacts, side: Side) -> bool {
    let (own, peer) =
        (means.question.pair.endpoint(side).address, means.question.pair.endpoint(side.opposite()).address);
    let home = facts.interfaces.known().into_iter().flatten().find(|i| i.addresses.iter().any(|(a, _)| *a == own));
    let outcome = facts.routes.iter().find(|route| route.to == peer).and_then(|route| route.outcome.known());
    home.zip(outcome).is_some_and(
        |(home, outcome)| matches!(outcome, RouteOutcome::Via { interface, .. } if *interface == home.name),
    )
}

/// Suspects if a host at either end of a direction may have kept packets that the fabric seems to lose: the fabric is
/// blamed only for what surely left one host and did not enter the other.
pub(crate) fn not_clean(means: &Means<'_>, way: Direction, cut: Cut) -> Option<Doubt> {
    let asked = if cut == Cut::S5 { Asked::Answers } else { Asked::Sent };
    let sender = sender_may_keep(means, way.source(), asked).map(|what| (way.source(), what));
    let receiver = || Some((way.destination(), receiver_may_keep(means, way.destination())?));
    let (side, decided_by) = sender.or_else(receiver)?;
    let codes = BTreeSet::from([CauseCode::GuestFirewall, CauseCode::FabricFault]);
    Some(Doubt { codes, side: Some(side), decided_by })
}

/// What would decide whether the receiving host drops packets before anything on it can see them: an XDP program does.
fn receiver_may_keep(means: &Means<'_>, side: Side) -> Option<Both> {
    let Some(facts) = facts_of(means, side) else {
        return Some(Both::new("the host facts of the side that receives these packets", "接收这些报文一端的主机信息"));
    };
    match facts.mechanisms.known() {
        None => Some(Both::new(
            "whether the receiving host has XDP programs, which drop packets before anything else sees them; that could not be read",
            "接收端是否有 XDP 程序（它会在任何观测之前丢弃报文），目前未能读取",
        )),
        Some(mechanisms) if !mechanisms.xdp.is_empty() => Some(Both::new(
            "whether the XDP program of the receiving host drops the packets: it sees them before anything else",
            "报文是否被接收端的 XDP 程序丢弃：它先于其他一切看到报文",
        )),
        Some(_) => None,
    }
}

/// What would decide whether the sending host kept these packets itself.
fn sender_may_keep(means: &Means<'_>, side: Side, asked: Asked) -> Option<Both> {
    let Some(facts) = facts_of(means, side) else {
        return Some(Both::new("the host facts of the side that sends these packets", "发送这些报文一端的主机信息"));
    };
    match facts.is_opaque().known() {
        Some(false) => {}
        Some(true) => {
            return Some(Both::new(
                "whether the sending host itself keeps the packets: it has XDP or tc programs, IPsec policies or rules of policy routing that are not listed, which are not modelled",
                "报文是否被发送端自身丢弃：该主机有 XDP 或 tc 程序、IPsec 策略或未列出的策略路由规则，这些未被建模",
            ));
        }
        None => {
            return Some(Both::new(
                "what else the sending host's kernel does with packets (XDP, IPsec, policy routing), which could not be read",
                "发送端内核还以哪些方式处理报文（XDP、IPsec、策略路由），目前未能读取",
            ));
        }
    }
    let passes = Filter::of(facts).map(|filter| filter.passes(&Packets::of(means.question.pair, side), asked));
    match passes {
        Some(true) => None,
        Some(false) => Some(Both::new(
            "whether the sending guest drops them or sends them elsewhere: not all rules of its packet filter and of its routing are understood",
            "发送端系统是否丢弃这些报文或将其发往别处：其防火墙与路由规则未能全部识别",
        )),
        None => Some(Both::new(
            "the packet filter of the sending guest, which could not be read",
            "发送端系统的防火墙规则，目前未能读取",
        )),
    }
}
