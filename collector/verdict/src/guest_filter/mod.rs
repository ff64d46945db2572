//! Which rules of a guest's packet filter refuse the packets of a pair.
//!
//! Walks the packets through the host (`pingtong_guest`). From an agent that reports the whole rule set, the walk knows
//! every rule in its order. Other agents report only the rules that refuse, some as text: then an earlier rule that
//! accepts is not visible, so that only a rule that names a protocol surely refuses, and marks and connections are not
//! known. The text of a rule is for the reader and is never read.

mod listed;

use pingtong_evidence::{
    FirewallFact, FirewallRule, HostFacts, Protocol,
    packet_filter::{Field, Statement},
};
pub(crate) use pingtong_guest::{Asked, KnownHost, Maybe, Packets};
use pingtong_guest::{End, Host, How, Lookup, Route, Routing, with_address};
use std::net::IpAddr;

/// A host's packet filter, as far as it is reported.
pub(crate) enum Filter<'f> {
    /// All rules, with what else the walk needs.
    Whole(KnownHost<'f>),
    /// Those that refuse, and whether the host has no others that were not read.
    Refusing(&'f [FirewallRule], bool),
}

/// Packets whose addresses a rule translates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Translated {
    pub(crate) rule: FirewallRule,
    /// Source and destination after it.
    pub(crate) becomes: (IpAddr, IpAddr),
    /// Whether they then leave the host; otherwise the host itself gets them.
    pub(crate) leaves: bool,
}

impl<'f> Filter<'f> {
    /// The packet filter that a host reports; `None` if it was not read.
    pub(crate) fn of(facts: &'f HostFacts) -> Option<Self> {
        let fact: &FirewallFact = facts.firewall.known()?;
        let is_all = !fact.legacy_tables && fact.rules.as_deref().is_none_or(|rules| rules.rules_omitted == 0);
        Some(
            KnownHost::of(facts)
                .map_or(Self::Refusing(&fact.refusing, is_all), |known| Self::Whole(known.past_checks())),
        )
    }

    /// The rules that surely refuse packets or, if there are none and `possible_too` is set, that perhaps do.
    pub(crate) fn refusing(&self, packets: &Packets, asked: Asked, possible_too: bool) -> Vec<FirewallRule> {
        match self {
            Self::Whole(whole) => {
                let passage = whole.walk(packets, asked);
                if passage.surely_ends() {
                    return whole.stops(&passage);
                }
                // What a rate refuses is a share.
                let possible = passage.stops().filter(|(place, _)| possible_too && !whole.is_limited(**place));
                possible.filter_map(|(place, how)| whole.rule(*place, how)).collect()
            }
            Self::Refusing(all, _) => {
                let of = |wanted| -> Vec<FirewallRule> {
                    let unlimited = all.iter().filter(|rule| !rule.limited);
                    unlimited.filter(|rule| applies(rule, packets, asked) == wanted).cloned().collect()
                };
                let sure = of(Maybe::Surely);
                if sure.is_empty() && possible_too { of(Maybe::Perhaps) } else { sure }
            }
        }
    }

    /// A rule that refuses some of these packets because of their rate.
    pub(crate) fn limiting(&self, packets: &Packets, asked: Asked) -> Option<FirewallRule> {
        match self {
            Self::Whole(whole) => {
                let passage = whole.walk(packets, asked);
                let mut limited = passage.stops().filter(|(place, _)| whole.is_limited(**place));
                limited.find_map(|(place, how)| whole.rule(*place, how))
            }
            Self::Refusing(all, _) => {
                let mut limited = all.iter().filter(|rule| rule.limited);
                limited.find(|rule| applies(rule, packets, asked) != Maybe::No).cloned()
            }
        }
    }

    /// What a rule that surely translates their addresses makes of packets.
    pub(crate) fn translating(&self, packets: &Packets, asked: Asked) -> Option<Translated> {
        let Self::Whole(whole) = self else { return None };
        let passage = whole.walk(packets, asked);
        let goes_on = passage.end().filter(|end| end.is_good())?;
        let packet = passage.packet?;
        let rule = whole.rule(*passage.translated_by.first()?, &How::Drop)?;
        let becomes = (packet.source?, packet.destination?);
        Some(Translated { rule, becomes, leaves: !matches!(goes_on, End::Delivered) })
    }

    /// Whether rules, and nothing else, surely end packets.
    pub(crate) fn surely_refuses(&self, packets: &Packets, asked: Asked) -> bool {
        match self {
            Self::Whole(whole) => {
                let ends = whole.walk(packets, asked).ends;
                let by_rule = |end: &End| matches!(end, End::Stopped(_, how) if !matches!(how, How::NotUnderstood(_)));
                !ends.is_empty() && ends.iter().all(by_rule)
            }
            Self::Refusing(..) => !self.refusing(packets, asked, false).is_empty(),
        }
    }

    /// Whether packets surely pass as they are, those of the host itself by the interface that has its address.
    pub(crate) fn passes(&self, packets: &Packets, asked: Asked) -> bool {
        let ends = if asked.is_inbound() { (packets.peer, packets.own) } else { (packets.own, packets.peer) };
        match self {
            Self::Whole(whole) => {
                let passage = whole.walk(packets, asked);
                let is_same = passage.packet.and_then(|packet| packet.source.zip(packet.destination)) == Some(ends);
                passage.surely_goes_on() && is_same && (asked.is_inbound() || whole.leaves_at_home(packets, &passage))
            }
            Self::Refusing(all, is_all) => *is_all && all.iter().all(|rule| applies(rule, packets, asked) == Maybe::No),
        }
    }
}

/// No route is known.
struct NoRoutes;

impl Routing for NoRoutes {
    fn towards(&self, _lookup: &Lookup<'_>) -> Route {
        Route::Unknown
    }
}

/// Whether a rule applies to packets of a pair, evaluated alone.
pub(crate) fn applies(rule: &FirewallRule, packets: &Packets, asked: Asked) -> Maybe {
    let interfaces = with_address(&[], packets.own);
    let rules = listed::alone(rule);
    let host = Host {
        rules: &rules,
        is_whole: false,
        interfaces: &interfaces,
        routing: &NoRoutes,
        forwards: None,
        settings: None,
        queues: None,
    };
    let passage = packets.walk(&host, asked);
    if passage.stops().next().is_none() {
        Maybe::No
    } else if passage.ends.iter().any(|end| end.is_good() || *end == End::Unknown) {
        Maybe::Perhaps
    } else {
        Maybe::Surely
    }
}

/// Whether a rule treats echo requests and replies differently.
pub(crate) fn names_a_type(rule: &FirewallRule, peer: IpAddr, own: IpAddr) -> bool {
    let echo = Packets { service: (Protocol::Icmp, None), peer, own };
    let differ = |one, other| applies(rule, &echo, one) != applies(rule, &echo, other);
    differ(Asked::Requests, Asked::Replies) || differ(Asked::Sent, Asked::Answers)
}

/// Whether a rule has a condition on the source port.
pub(crate) fn names_a_source_port(rule: &FirewallRule) -> bool {
    let is_port = |field: &Field| matches!(field, Field::TcpSourcePort | Field::UdpSourcePort | Field::ThSourcePort);
    rule.statements.iter().flatten().any(|statement| match statement {
        Statement::Match(condition) => condition.operands.iter().any(|operand| is_port(&operand.field)),
        _ => false,
    })
}

#[cfg(test)]
mod tests;
