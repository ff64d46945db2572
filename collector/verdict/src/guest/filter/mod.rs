//! Which rules of a guest's packet filter refuse the packets of a pair.
//!
//! Walks the packets through the host (`pingtong_guest`). From an agent that reports the whole rule set, the walk knows
//! every rule in its order. Other agents report only the rules that refuse, some as text: then an earlier rule that
//! accepts is not visible, so that only a rule that names a protocol surely refuses, and marks and connections are not
//! known. The text of a rule is for the reader and is never read.

mod listed;

use pingtong_evidence::{
    Cidr, FirewallFact, FirewallRule, FirewallVerdict, HostFacts, InterfaceFact, InterfaceKind, Pair, Protocol,
    RouteOutcome, Side,
    packet_filter::{Family, Field, RuleSet, Statement},
};
pub(crate) use pingtong_guest::Maybe;
use pingtong_guest::{
    End, Flow, Host, How, Owner, Packet, Passage, Place, Route, Routing, Transport, answer, receive, send,
};
use std::net::IpAddr;

/// TCP flags of the first packet of a connection, and of the answer to it.
const SYN: u8 = 2;
const SYN_ACK: u8 = 18;

/// The packets of the pair about which a rule is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The peer's requests, inbound.
    Requests,
    /// The replies to this host's requests, inbound.
    Replies,
    /// This host's requests, outbound.
    Sent,
    /// This host's replies, outbound.
    Answers,
}

/// The packets between a host and its peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packets {
    /// Protocol, and the port of the service; the port of the other end is chosen by the kernel and is not known.
    pub(crate) service: (Protocol, Option<u16>),
    pub(crate) peer: IpAddr,
    pub(crate) own: IpAddr,
}

impl Packets {
    /// The packets of a pair at the host of one side.
    pub(crate) fn of(pair: &Pair, side: Side) -> Self {
        Self {
            service: (pair.protocol, pair.port),
            peer: pair.endpoint(side.opposite()).address,
            own: pair.endpoint(side).address,
        }
    }

    fn request(&self, inbound: bool) -> Packet {
        let (source, destination) = if inbound { (self.peer, self.own) } else { (self.own, self.peer) };
        let transport = match self.service {
            (Protocol::Icmp, _) => Transport::Echo { reply: false, id: None, sequence: None },
            (Protocol::Tcp, port) => Transport::Tcp { source: None, destination: port, flags: SYN },
            (Protocol::Udp, port) => Transport::Udp { source: None, destination: port },
        };
        Packet::new(source, destination, transport)
    }

    /// What the host does with these packets, those of one kind.
    fn walk(&self, host: &Host<'_>, asked: Asked) -> Passage {
        let has_own = |interface: &&InterfaceFact| interface.addresses.iter().any(|(address, _)| *address == self.own);
        let device = host.interfaces.iter().find(has_own).map_or("", |interface| interface.name.as_str());
        match asked {
            Asked::Requests => receive(host, self.request(true), device, Flow::First),
            Asked::Sent => send(host, self.request(false), Owner::Unknown, Flow::First),
            Asked::Answers => {
                let request = self.request(true);
                let exchange = answer(host, request, device, Flow::First, |_| SYN_ACK);
                // Of requests that do not come in, the answers are those to requests that would.
                exchange.reply.unwrap_or_else(|| send(host, request.answered(SYN_ACK), Owner::Unknown, Flow::Unknown))
            }
            Asked::Replies => {
                let request = self.request(false);
                let sent = send(host, request, Owner::Unknown, Flow::First);
                let flow = match (sent.connection, sent.is_tracked) {
                    (Some(connection), _) => Flow::Reply(connection),
                    (None, Some(false)) => Flow::First,
                    (None, _) => Flow::Unknown,
                };
                receive(host, sent.packet.unwrap_or(request).answered(SYN_ACK), device, flow)
            }
        }
    }
}

/// A host's packet filter, as far as it is reported.
pub(crate) enum Filter<'f> {
    /// All rules, with what else the walk needs.
    Whole(Whole<'f>),
    /// Those that refuse.
    Refusing(&'f [FirewallRule]),
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

/// A host of which all rules are reported.
pub(crate) struct Whole<'f> {
    rules: &'f RuleSet,
    interfaces: &'f [InterfaceFact],
    facts: &'f HostFacts,
    queues: Option<&'f [u16]>,
}

impl<'f> Filter<'f> {
    /// The packet filter that a host reports; `None` if it was not read.
    pub(crate) fn of(facts: &'f HostFacts) -> Option<Self> {
        let fact: &FirewallFact = facts.firewall.known()?;
        let rules = fact.rules.as_deref().filter(|_| !fact.legacy_tables);
        Some(match rules.zip(facts.interfaces.known()) {
            Some((rules, interfaces)) => {
                Self::Whole(Whole { rules, interfaces, facts, queues: fact.queues.known().map(Vec::as_slice) })
            }
            None => Self::Refusing(&fact.refusing),
        })
    }

    /// The rules that surely refuse packets or, if there are none and `possible_too` is set, that perhaps do.
    pub(crate) fn refusing(&self, packets: &Packets, asked: Asked, possible_too: bool) -> Vec<FirewallRule> {
        match self {
            Self::Whole(whole) => {
                let passage = whole.walk(packets, asked);
                if passage.surely_ends() || possible_too { whole.stops(&passage) } else { vec![] }
            }
            Self::Refusing(all) => {
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
            Self::Refusing(all) => {
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

    /// Whether packets surely pass.
    pub(crate) fn passes(&self, packets: &Packets, asked: Asked) -> bool {
        match self {
            Self::Whole(whole) => whole.rules.rules_omitted == 0 && whole.walk(packets, asked).surely_goes_on(),
            Self::Refusing(all) => all.iter().all(|rule| applies(rule, packets, asked) == Maybe::No),
        }
    }
}

impl Whole<'_> {
    /// What the host does with packets.
    fn walk(&self, packets: &Packets, asked: Asked) -> Passage {
        // An address that no interface has is that of one which is not listed.
        let has_own = self.interfaces.iter().flat_map(|each| &each.addresses).any(|(own, _)| *own == packets.own);
        let stand_in = if has_own { vec![] } else { with_address(self.interfaces, packets.own) };
        let sysctls = &self.facts.sysctls;
        let forwards = if packets.own.is_ipv4() { &sysctls.forwards } else { &sysctls.forwards_v6 };
        let host = Host {
            rules: self.rules,
            is_whole: true,
            interfaces: if has_own { self.interfaces } else { &stand_in },
            routing: self,
            forwards: forwards.known().copied(),
            queues: self.queues,
        };
        packets.walk(&host, asked)
    }

    /// The rules that may end a packet, in the order of the walk.
    fn stops(&self, passage: &Passage) -> Vec<FirewallRule> {
        passage.stops().filter_map(|(place, how)| self.rule(*place, how)).collect()
    }

    /// Whether a rate decides that the packet comes to this end: that of the rule, or of one before it in its chain.
    fn is_limited(&self, place: Place) -> bool {
        let chain = self.rules.tables.get(place.table).and_then(|table| table.chains.get(place.chain));
        let rules = chain.map_or(&[][..], |chain| chain.rules.as_slice());
        let up_to = place.rule.map_or(rules.len(), |rule| rule.saturating_add(1));
        rules.iter().take(up_to).any(|rule| rule.statements.iter().any(Statement::is_limited))
    }

    fn rule(&self, place: Place, how: &How) -> Option<FirewallRule> {
        let table = self.rules.tables.get(place.table)?;
        let chain = table.chains.get(place.chain)?;
        let rule = place.rule.and_then(|rule| chain.rules.get(rule));
        Some(FirewallRule {
            family: family_name(&table.family).to_owned(),
            table: table.name.clone(),
            chain: chain.name.clone(),
            hook: place.hook,
            handle: rule.map(|rule| rule.handle),
            verdict: match how {
                How::Drop => FirewallVerdict::Drop,
                How::Reject(_) => FirewallVerdict::Reject,
                How::Queue | How::NotUnderstood(_) => FirewallVerdict::Other,
            },
            protocol: None,
            limited: false,
            statements: Some(rule.map_or_else(Vec::new, |rule| rule.statements.clone())),
            text: String::new(),
        })
    }
}

impl Routing for Whole<'_> {
    fn towards(&self, destination: IpAddr, _source: Option<IpAddr>, _mark: Option<u32>) -> Route {
        let found = self.facts.routes.iter().find(|route| route.to == destination);
        match found.and_then(|route| route.outcome.known()) {
            Some(RouteOutcome::Via { interface, .. }) => Route::Device(interface.clone()),
            // A refusing route is a cause of its own; it does not hide what the packet filter does.
            Some(RouteOutcome::Refused { .. } | RouteOutcome::Own) | None => Route::Unknown,
        }
    }
}

/// No route is known.
struct NoRoutes;

impl Routing for NoRoutes {
    fn towards(&self, _destination: IpAddr, _source: Option<IpAddr>, _mark: Option<u32>) -> Route {
        Route::Unknown
    }
}

fn with_address(interfaces: &[InterfaceFact], address: IpAddr) -> Vec<InterfaceFact> {
    let nameless = InterfaceFact {
        name: String::new(),
        kind: InterfaceKind::Card,
        up: true,
        mtu: 0,
        mac: String::new(),
        addresses: vec![(address, Cidr::host(address))],
    };
    interfaces.iter().cloned().chain([nameless]).collect()
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

fn family_name(family: &Family) -> &str {
    match family {
        Family::Ip => "ip",
        Family::Ip6 => "ip6",
        Family::Inet => "inet",
        Family::Netdev => "netdev",
        Family::Bridge => "bridge",
        Family::Arp => "arp",
        Family::Unknown(name) => name,
    }
}

#[cfg(test)]
mod tests;
