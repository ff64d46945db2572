//! A host as an agent reports it.

use crate::{
    host::{Host, Routing},
    lookup::{Lookup, Route},
    maybe::Maybe,
    packet::UDP,
    pair::{Asked, Packets},
    place::{End, How, Place},
    routes::{Decision, Fate, decide},
    walk::Passage,
};
use pingtong_evidence::{
    Cidr, FirewallHook, FirewallRule, FirewallVerdict, HostFacts, InterfaceFact, InterfaceKind, InterfaceSettings,
    RouteFact, RouteOutcome, RoutingTables,
    packet_filter::{RuleSet, Statement},
};
use std::net::IpAddr;

/// What is in the way of packets is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRule;

/// A host of which all rules are reported.
#[derive(Clone, Copy)]
pub struct KnownHost<'f> {
    rules: &'f RuleSet,
    interfaces: &'f [InterfaceFact],
    facts: &'f HostFacts,
    queues: Option<&'f [u16]>,
    routes: Routes<'f>,
    settings: Option<&'f [InterfaceSettings]>,
}

/// What is known of a host's routes.
#[derive(Clone, Copy)]
enum Routes<'f> {
    /// All rules and tables, and the kernel's own look-ups agree with them.
    Whole(&'f RoutingTables),
    /// The kernel's look-ups for the peers, which no rule but the kernel's own can change.
    Looked,
    /// The kernel does something else than its tables say, or they are not listed whole.
    Unknown,
}

impl<'f> Routes<'f> {
    fn of(facts: &'f HostFacts) -> Self {
        // Older agents report only the look-ups.
        let Some(fact) = facts.routing.known() else { return Self::Looked };
        let Some(tables) = fact.tables.as_deref() else { return Self::Unknown };
        if !facts.routes.iter().all(|route| agrees(tables, route)) {
            return Self::Unknown;
        }
        match tables.routes_omitted {
            0 => Self::Whole(tables),
            _ if tables.has_policy(true) || tables.has_policy(false) => Self::Unknown,
            _ => Self::Looked,
        }
    }
}

/// Whether the kernel's look-up for a peer is one that its tables allow. The kernel looks up as for a UDP socket of root that is
/// not bound, of IPv6 without a protocol (`inet_rtm_getroute`, `inet6_rtm_getroute`).
fn agrees(tables: &RoutingTables, fact: &RouteFact) -> bool {
    let Some(outcome) = fact.outcome.known() else { return true };
    let protocol = Some(if fact.to.is_ipv4() { UDP } else { 0 });
    let lookup = Lookup { is_bound: Some(false), mark: Some(0), protocol, ..Lookup::to(fact.to) };
    decide(tables, &lookup).iter().any(|decision| match (&decision.fate, outcome) {
        // An address of a group is looked up like no other.
        (Fate::Unknown | Fate::Group, _)
        | (Fate::Local, RouteOutcome::Own)
        | (Fate::Refused, RouteOutcome::Refused { .. }) => true,
        (Fate::Device(device), RouteOutcome::Via { interface, .. }) => device == interface,
        _ => false,
    })
}

impl<'f> KnownHost<'f> {
    /// The host; `None` if its interfaces or its packet filter are not known whole.
    pub fn of(facts: &'f HostFacts) -> Option<Self> {
        let fact = facts.firewall.known()?;
        let rules = fact.rules.as_deref().filter(|rules| !fact.legacy_tables && rules.rules_omitted == 0)?;
        let interfaces = facts.interfaces.known()?;
        let queues = fact.queues.known().map(Vec::as_slice);
        let settings = facts.sysctls.per_interface.known().map(Vec::as_slice);
        Some(Self { rules, interfaces, facts, queues, routes: Routes::of(facts), settings })
    }

    /// Its packet filter.
    pub fn rules(&self) -> &RuleSet {
        self.rules
    }

    /// Its rules of policy routing and its routes, if they are listed whole and the kernel's look-ups agree with them.
    pub fn tables(&self) -> Option<&'f RoutingTables> {
        match self.routes {
            Routes::Whole(tables) => Some(tables),
            Routes::Looked | Routes::Unknown => None,
        }
    }

    /// Whether the kernel's look-up for a peer shows where every packet to it goes, or the tables do.
    pub fn knows_routes(&self) -> bool {
        !matches!(self.routes, Routes::Unknown)
    }

    /// The same host without the checks of source addresses, so that they do not hide what the packet filter does.
    #[must_use]
    pub fn past_checks(self) -> Self {
        Self { settings: None, ..self }
    }

    /// The same host with every reverse-path filter loose, as `net.ipv4.conf.all.rp_filter=2` makes it: whether it then passes
    /// packets that arrive.
    pub fn passes_if_loose(&self, packets: &Packets, asked: Asked) -> bool {
        let Some(settings) = self.settings else { return false };
        let loose: Vec<InterfaceSettings> =
            settings.iter().map(|each| InterfaceSettings { rp_filter: 2, ..each.clone() }).collect();
        let host = KnownHost { settings: Some(&loose), ..*self };
        !host.walk(packets, asked).ends.contains(&End::ReversePath)
    }

    /// Whether the reverse-path filter refuses packets that arrive and that no rule ends before; `None` if its settings are not
    /// known.
    pub fn reverse_path(&self, packets: &Packets, asked: Asked) -> Option<Maybe> {
        self.settings?;
        let passage = self.walk(packets, asked);
        Some(match passage.ends.contains(&End::ReversePath) {
            true if passage.surely_ends() && !comes_past_routing(&passage) => Maybe::Surely,
            true => Maybe::Perhaps,
            false => Maybe::No,
        })
    }

    /// The same host with other rules.
    pub fn with<'r>(&self, rules: &'r RuleSet) -> KnownHost<'r>
    where
        'f: 'r,
    {
        KnownHost { rules, ..*self }
    }

    /// The rule that ends packets, or translates their addresses; `None` if they surely pass as they are.
    ///
    /// # Errors
    /// If what is in their way is no rule.
    pub fn obstacle(&self, packets: &Packets, asked: Asked) -> Result<Option<Place>, NoRule> {
        let passage = self.walk(packets, asked);
        let stop = passage.stops().next().map(|(place, _)| *place);
        match stop.or_else(|| passage.translated_by.first().copied()) {
            None if !passage.surely_goes_on() => Err(NoRule),
            place => Ok(place),
        }
    }

    /// The rule at a place.
    pub fn named(&self, place: Place) -> Option<FirewallRule> {
        self.rule(place, &How::Drop)
    }

    /// What the host does with packets.
    pub fn walk(&self, packets: &Packets, asked: Asked) -> Passage {
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
            settings: self.settings,
            queues: self.queues,
        };
        packets.walk(&host, asked)
    }

    /// Whether packets that leave do so by the interface that has the host's address; one without the address is not known
    /// to be another.
    pub fn leaves_at_home(&self, packets: &Packets, passage: &Passage) -> bool {
        let has_own = |each: &&InterfaceFact| each.addresses.iter().any(|(address, _)| *address == packets.own);
        let Some(home) = self.interfaces.iter().find(has_own) else { return true };
        passage.ends.iter().all(|end| !matches!(end, End::Left(device) if *device != home.name))
    }

    /// The rules that may end a packet, in the order of the walk.
    pub fn stops(&self, passage: &Passage) -> Vec<FirewallRule> {
        passage.stops().filter_map(|(place, how)| self.rule(*place, how)).collect()
    }

    /// Whether a rate decides that the packet comes to this end: that of the rule, or of one before it in its chain.
    pub fn is_limited(&self, place: Place) -> bool {
        let chain = self.rules.tables.get(place.table).and_then(|table| table.chains.get(place.chain));
        let rules = chain.map_or(&[][..], |chain| chain.rules.as_slice());
        let up_to = place.rule.map_or(rules.len(), |rule| rule.saturating_add(1));
        rules.iter().take(up_to).any(|rule| rule.statements.iter().any(Statement::is_limited))
    }

    /// The rule at a place, as it ends a packet.
    pub fn rule(&self, place: Place, how: &How) -> Option<FirewallRule> {
        let table = self.rules.tables.get(place.table)?;
        let chain = table.chains.get(place.chain)?;
        let rule = place.rule.and_then(|rule| chain.rules.get(rule));
        Some(FirewallRule {
            family: table.family.name().to_owned(),
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

impl Routing for KnownHost<'_> {
    fn towards(&self, lookup: &Lookup<'_>) -> Route {
        match self.routes {
            // A refusing route is a cause of its own; it does not hide what the packet filter does.
            Routes::Whole(tables) => match tables.towards(lookup) {
                Route::Refused => Route::Unknown,
                route => route,
            },
            Routes::Looked => {
                let found = self.facts.routes.iter().find(|route| route.to == lookup.destination);
                match found.and_then(|route| route.outcome.known()) {
                    Some(RouteOutcome::Via { interface, .. }) => Route::Device(interface.clone()),
                    Some(RouteOutcome::Refused { .. } | RouteOutcome::Own) | None => Route::Unknown,
                }
            }
            Routes::Unknown => Route::Unknown,
        }
    }

    fn decisions(&self, lookup: &Lookup<'_>) -> Vec<Decision> {
        match self.routes {
            Routes::Whole(tables) => decide(tables, lookup),
            Routes::Looked | Routes::Unknown => {
                let fate = match self.towards(lookup) {
                    Route::Device(device) => Fate::Device(device),
                    Route::Refused | Route::Unknown => Fate::Unknown,
                };
                vec![Decision { fate, rule: None, route: None }]
            }
        }
    }
}

/// Whether a rule behind the routing decision may end the packet.
fn comes_past_routing(passage: &Passage) -> bool {
    passage.stops().any(|(place, _)| !matches!(place.hook, FirewallHook::Ingress | FirewallHook::Prerouting))
}

/// Interfaces, and one of unknown name that has this address.
pub fn with_address(interfaces: &[InterfaceFact], address: IpAddr) -> Vec<InterfaceFact> {
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
