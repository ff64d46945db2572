//! The way of a packet through the hooks of a host.

use crate::{
    bits::Bits,
    chain::{At, Outcome, evaluate},
    connection::{Connection, Manip, Tracked},
    host::Host,
    lookup::{Input, Lookup, Route},
    maybe::Maybe,
    packet::{ACK, Packet, Transport},
    place::{End, How, Place},
    routes::{Decision, Fate},
    subject::{Device, Owner, Subject},
};
use pingtong_evidence::{
    InterfaceSettings, Policy,
    packet_filter::{
        BaseChain, ChainKind, CtDirection, Family, Field, FirewallHook, Operand, RuleSet, Source, Statement,
    },
};
use std::{collections::BTreeMap, net::IpAddr};

/// Priority of connection tracking at `prerouting` and `output` (`NF_IP_PRI_CONNTRACK`).
const TRACKING: i32 = -200;
/// Priorities of the translation of destinations and of sources (`NF_IP_PRI_NAT_DST`, `NF_IP_PRI_NAT_SRC`). All chains of type nat
/// are passed there, whatever their own priority; that orders them among each other.
const NAT_DESTINATION: i32 = -100;
const NAT_SOURCE: i32 = 100;

/// The interface by which packets for the host itself leave and arrive.
const LOOPBACK: &str = "lo";

/// Which packet of its connection a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The first one, or one of a connection that the host does not track.
    First,
    /// A later one, in the direction of the first.
    Original(Connection),
    /// One in the other direction.
    Reply(Connection),
    /// It is not known.
    Unknown,
}

/// What a host does with one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Every end that the packet may come to, each once. It is certain if there is only one.
    pub ends: Vec<End>,
    /// The packet as it leaves the host or is delivered; `None` if it surely does neither.
    pub packet: Option<Packet>,
    /// The connection that it then belongs to; `None` if it is not tracked, or not known.
    pub connection: Option<Connection>,
    /// Whether the host tracks the packet at all, if known.
    pub is_tracked: Option<bool>,
    /// The rules that translate its addresses or ports.
    pub translated_by: Vec<Place>,
    /// The last look-up of a route, if it is a packet of the host itself that is routed to another host.
    pub looked_up: Option<Lookup<'static>>,
}

impl Passage {
    /// The end, if it is certain.
    pub fn end(&self) -> Option<&End> {
        match self.ends.as_slice() {
            [end] => Some(end),
            _ => None,
        }
    }

    /// Whether it surely goes on, out of the host or into it.
    pub fn surely_goes_on(&self) -> bool {
        self.ends.iter().all(End::is_good)
    }

    /// Whether it surely does not go on, whichever of the ends it comes to.
    pub fn surely_ends(&self) -> bool {
        !self.ends.iter().any(|end| end.is_good() || *end == End::Unknown)
    }

    /// The flow of the answer to it.
    pub fn flow_of_answer(&self) -> Flow {
        match (self.connection, self.is_tracked) {
            (Some(connection), _) => Flow::Reply(connection),
            (None, Some(false)) => Flow::First,
            (None, _) => Flow::Unknown,
        }
    }

    /// The rules that may end it.
    pub fn stops(&self) -> impl Iterator<Item = (&Place, &How)> {
        self.ends.iter().filter_map(|end| match end {
            End::Stopped(place, how) => Some((place, how)),
            _ => None,
        })
    }
}

/// Walks a packet that arrives at an interface.
pub fn receive(host: &Host<'_>, packet: Packet, device: &str, flow: Flow) -> Passage {
    let input = host.interface(device).map_or(Device::Unknown, |interface| Device::Named(&interface.name));
    let mut walk = Walk::begin(host, packet, Owner::Nobody, input, Device::None);
    walk.bridge(device);
    walk.pass(FirewallHook::Ingress, flow);
    walk.pass(FirewallHook::Prerouting, flow);
    walk.check_source(device);
    if let Some(subject) = walk.subject {
        match subject.packet.destination {
            None => walk.end(End::Unknown),
            Some(to) if host.owns(to) => walk.deliver(to, flow),
            Some(to) => walk.forward(to, flow),
        }
    }
    walk.finish()
}

/// Walks a packet that a local socket, or the kernel, sends.
pub fn send(host: &Host<'_>, packet: Packet, owner: Owner, flow: Flow) -> Passage {
    let mut walk = Walk::begin(host, packet, owner, Device::None, Device::None);
    let Some(before) = walk.route_out() else { return walk.finish() };
    walk.pass(FirewallHook::Output, flow);
    // The route of what a rule ends here would have been looked up once more.
    walk.looked_up = walk.looked_up.filter(|_| walk.subject.is_some() || !walk.reroutes);
    let is_moved = walk.subject.is_some_and(|after| {
        after.packet.destination != packet.destination || (walk.reroutes && after.mark != Bits::exactly(0))
    });
    if is_moved && walk.route_out().is_none() {
        return walk.finish();
    }
    let device = walk.subject.map_or(before, |subject| subject.output);
    let end = if device == Device::Named(LOOPBACK) { |_| End::Delivered } else { End::Left };
    walk.leave(flow, device, end);
    walk.finish()
}

struct Walk<'h, 'w> {
    host: &'h Host<'w>,
    /// The packet where it is now; `None` if it surely came to an end.
    subject: Option<Subject<'w>>,
    ends: Vec<End>,
    /// Whether the kernel tracks connections of the packet's family at all.
    tracks: bool,
    /// Whether a chain of type route saw the packet.
    reroutes: bool,
    passed: Option<Subject<'w>>,
    translated_by: Vec<Place>,
    looked_up: Option<Lookup<'static>>,
}

/// What happens at one priority of a hook.
#[derive(Clone, Copy)]
enum Step<'g> {
    Chains(&'g [At]),
    Track,
    Translate(Manip),
}

/// Chains by priority.
fn groups(chains: &[(usize, usize, &BaseChain)]) -> Vec<(i32, Vec<At>)> {
    let mut groups: BTreeMap<i32, Vec<At>> = BTreeMap::new();
    for &(table, chain, base) in chains {
        groups.entry(base.priority).or_default().push(At { table, chain });
    }
    groups.into_iter().collect()
}

impl<'h, 'w> Walk<'h, 'w> {
    fn begin(host: &'h Host<'w>, packet: Packet, owner: Owner, input: Device<'w>, output: Device<'w>) -> Self {
        let subject = Subject {
            packet,
            hook: FirewallHook::Ingress,
            input,
            output,
            mark: if host.is_whole { Bits::exactly(0) } else { Bits::UNKNOWN },
            owner,
            tracked: Tracked::Invalid,
            notrack: Some(false),
            translation: None,
        };
        Self {
            host,
            subject: Some(subject),
            ends: vec![],
            tracks: tracks(host.rules, packet.ipv4),
            reroutes: false,
            passed: None,
            translated_by: vec![],
            looked_up: None,
        }
    }

    fn end(&mut self, end: End) {
        if !self.ends.contains(&end) {
            self.ends.push(end);
        }
    }

    /// The packet surely ends here.
    fn end_all(&mut self, end: End) {
        self.end(end);
        self.subject = None;
    }

    fn finish(self) -> Passage {
        let tracked = self.passed.map(|subject| subject.tracked);
        Passage {
            ends: self.ends,
            packet: self.passed.map(|subject| subject.packet),
            connection: tracked.as_ref().and_then(Tracked::confirmed),
            is_tracked: tracked.and_then(|tracked| match tracked {
                Tracked::Of(..) => Some(true),
                Tracked::Invalid | Tracked::Untracked => Some(false),
                Tracked::Unknown => None,
            }),
            translated_by: self.translated_by,
            looked_up: self.looked_up,
        }
    }

    /// The base chains of a hook that the packet passes, with their position in the rule set.
    fn chains(&self, hook: FirewallHook, subject: &Subject<'_>) -> Vec<(usize, usize, &'w BaseChain)> {
        let rules = self.host.rules;
        let device = if hook == FirewallHook::Ingress { subject.input } else { subject.output };
        let at_device = matches!(hook, FirewallHook::Ingress | FirewallHook::Egress);
        let mut found = vec![];
        for (table_index, table) in rules.tables.iter().enumerate().filter(|(_, table)| !table.dormant) {
            let of_family = match table.family {
                Family::Ip => subject.packet.ipv4 && !at_device,
                Family::Ip6 => !subject.packet.ipv4 && !at_device,
                Family::Inet => true,
                Family::Netdev => at_device,
                Family::Bridge | Family::Arp | Family::Unknown(_) => false,
            };
            for (index, chain) in table.chains.iter().enumerate().filter(|_| of_family) {
                let Some(base) = chain.base.as_ref().filter(|base| base.hook == hook) else { continue };
                // Without names, the chain is of a device that is not known.
                let is_of = |name| base.devices.is_empty() || base.devices.iter().any(|each| each == name);
                if !at_device || device.name().is_none_or(is_of) {
                    found.push((table_index, index, base));
                }
            }
        }
        found.sort_by_key(|(_, _, base)| base.priority);
        found
    }

    /// Passes all chains of a hook, connection tracking and address translation.
    fn pass(&mut self, hook: FirewallHook, flow: Flow) {
        let Some(subject) = self.subject.as_mut() else { return };
        subject.hook = hook;
        let here = *subject;
        let chains = self.chains(hook, &here);
        let mut steps: Vec<(i32, Step)> = match hook {
            FirewallHook::Prerouting | FirewallHook::Output => {
                vec![(TRACKING, Step::Track), (NAT_DESTINATION, Step::Translate(Manip::Destination))]
            }
            FirewallHook::Input | FirewallHook::Postrouting => vec![(NAT_SOURCE, Step::Translate(Manip::Source))],
            _ => vec![],
        };
        let (nat, filters): (Vec<_>, Vec<_>) = chains.into_iter().partition(|(_, _, base)| base.kind == ChainKind::Nat);
        self.reroutes |= filters.iter().any(|(_, _, base)| base.kind == ChainKind::Route);
        let groups = groups(&filters);
        steps.extend(groups.iter().map(|(priority, group)| (*priority, Step::Chains(group))));
        steps.sort_by_key(|(priority, _)| *priority);
        for (priority, step) in &steps {
            let Some(before) = self.subject else { return };
            match step {
                Step::Chains(group) => self.filter(group, &before),
                Step::Track => self.track(flow),
                Step::Translate(manip) => self.translate(*manip, &nat),
            }
            // Chains of the same priority as the kernel's own step may be passed before it or after it.
            let is_shared = !matches!(step, Step::Chains(_)) && groups.iter().any(|(other, _)| other == priority);
            if is_shared && let Some(after) = self.subject {
                self.subject = Some(before.or(&after));
            }
        }
    }

    /// Passes chains of one priority. Their order is that in which they were made, which is not known.
    fn filter(&mut self, group: &[At], subject: &Subject<'w>) {
        let alone: Vec<Outcome<'w>> = group.iter().map(|at| evaluate(self.host, *at, subject)).collect();
        // What the other chains of the group may have made of the packet before.
        let others = |index: usize| {
            let changed = alone.iter().enumerate().filter(|(other, _)| *other != index);
            changed.filter_map(|(_, outcome)| outcome.accepted).fold(*subject, |all, one| all.or(&one))
        };
        // A chain that translates ends the chains of type nat behind it.
        let translates = |outcome: &Outcome<'_>| outcome.accepted.is_some_and(|after| after.translation.is_some());
        let may_skip = group.len() > 1 && alone.iter().any(translates);
        let mut after: Option<Subject<'w>> = Some(*subject);
        for (index, at) in group.iter().enumerate() {
            let outcome = match (group.len(), others(index)) {
                (1, _) => alone.get(index).cloned().unwrap_or_default(),
                (_, before) if before == *subject => alone.get(index).cloned().unwrap_or_default(),
                (_, before) => evaluate(self.host, *at, &before),
            };
            for (place, how) in outcome.stops {
                self.end(End::Stopped(place, how));
            }
            after = match (after, outcome.accepted) {
                (Some(one), Some(other)) if one == *subject => Some(other),
                (Some(one), Some(other)) if other == *subject => Some(one),
                (Some(one), Some(other)) => Some(one.or(&other)),
                (one, other) if may_skip => one.or(other),
                _ => None,
            };
        }
        self.subject = after;
    }

    fn track(&mut self, flow: Flow) {
        let Some(subject) = self.subject.as_mut() else { return };
        let tracked = match flow {
            Flow::First => Tracked::first(&subject.packet),
            Flow::Original(connection) => Tracked::Of(connection, CtDirection::Original),
            Flow::Reply(connection) => Tracked::Of(connection.after_a_reply(), CtDirection::Reply),
            Flow::Unknown => Tracked::Unknown,
        };
        subject.tracked = match subject.notrack {
            _ if !self.host.is_whole => Tracked::Unknown,
            Some(false) if !self.tracks => Tracked::Invalid,
            Some(false) => tracked,
            Some(true) => Tracked::Untracked,
            None => Tracked::Unknown,
        };
    }

    fn translate(&mut self, manip: Manip, chains: &[(usize, usize, &'w BaseChain)]) {
        // An error is translated as the connection that it quotes, and passes no chain.
        let is_error = |packet: &Packet| matches!(packet.transport, Transport::Icmp { .. });
        if self.subject.is_some_and(|subject| subject.tracked.may_be_bound() && !is_error(&subject.packet)) {
            for (_, group) in groups(chains) {
                let Some(mut subject) = self.subject else { return };
                subject.translation = None;
                self.filter(&group, &subject);
                let Some(after) = self.subject.as_mut() else { return };
                let Some(translation) = after.translation.take() else { continue };
                self.translated_by.extend(translation.by);
                if after.tracked == Tracked::Unknown {
                    // It may be translated, or not.
                    forget(&mut after.packet, manip);
                } else {
                    after.tracked.bind(manip, Some(translation));
                }
                break;
            }
        }
        if let Some(subject) = self.subject.as_mut() {
            let tracked = subject.tracked;
            tracked.translate(&mut subject.packet, manip);
        }
    }

    /// Frames of a bridge pass its own chains first, which are not walked.
    fn bridge(&mut self, device: &str) {
        use pingtong_evidence::InterfaceKind;
        let is_bridge = self.host.interface(device).is_some_and(|interface| interface.kind == InterfaceKind::Bridge);
        let filters = self
            .host
            .rules
            .tables
            .iter()
            .any(|table| table.family == Family::Bridge && table.chains.iter().any(|chain| chain.base.is_some()));
        if is_bridge && filters {
            self.end(End::Unknown);
        }
    }

    /// Checks the source address before the packet is routed (`fib_validate_source`, IPv4 only).
    fn check_source(&mut self, device: &str) {
        let Some(subject) = self.subject.filter(|subject| subject.packet.ipv4 && device != LOOPBACK) else { return };
        let Some(all) = self.host.settings else { return };
        let Some(settings) = all.iter().find(|each| each.name == device) else {
            if all.iter().any(|each| each.rp_filter > 0) {
                self.end(End::ReversePath);
            }
            return;
        };
        let Some(source) = subject.packet.source else { return };
        if self.host.owns(source) && !settings.accept_local {
            return self.end_all(End::Martian);
        }
        if settings.rp_filter == 0 {
            return;
        }
        let asked = look_up(&subject, source, Input::Local);
        let mark = if settings.source_valid_mark { asked.mark } else { Some(0) };
        let back = subject.packet.destination;
        let lookup = Lookup { source: back, is_bound: Some(true), mark, user: Some(0), ..asked };
        match comes_back(&self.host.routing.decisions(&lookup), device, settings) {
            Maybe::Surely => {}
            Maybe::Perhaps => self.end(End::ReversePath),
            Maybe::No => self.end_all(End::ReversePath),
        }
    }

    /// The next hop's hardware address is asked for by ARP, whose chains are not walked.
    fn resolve(&mut self) {
        let arp = self.host.rules.tables.iter().filter(|table| table.family == Family::Arp && !table.dormant);
        let may_drop = |base: &BaseChain, rules: usize| base.policy == Policy::Drop || rules > 0;
        let mut chains = arp.flat_map(|table| &table.chains);
        if chains.any(|chain| chain.base.as_ref().is_some_and(|base| may_drop(base, chain.rules.len()))) {
            self.end(End::Unknown);
        }
    }

    fn deliver(&mut self, to: IpAddr, flow: Flow) {
        if to.is_loopback()
            && let Some(Device::Named(device)) = self.subject.map(|subject| subject.input)
            && device != LOOPBACK
        {
            let settings = self.host.settings.and_then(|all| all.iter().find(|each| each.name == device));
            match settings.map(|each| each.route_localnet) {
                Some(false) if to.is_ipv4() => return self.end_all(End::Martian),
                Some(true) => {}
                _ => self.end(End::Martian),
            }
        }
        self.pass(FirewallHook::Input, flow);
        self.passed = self.subject;
        if self.subject.is_some() {
            self.end(End::Delivered);
        }
    }

    fn forward(&mut self, to: IpAddr, flow: Flow) {
        match self.host.forwards {
            Some(false) => return self.end_all(End::NotForwarding),
            Some(true) => {}
            None => self.end(End::NotForwarding),
        }
        let is_special = to.is_multicast() || to == IpAddr::from([255; 4]);
        let Some(subject) = self.subject else { return };
        let input = subject.input.name().map_or(Input::Unknown, Input::Device);
        let lookup = Lookup { is_bound: Some(true), user: Some(0), ..look_up(&subject, to, input) };
        match self.device_towards(&lookup) {
            _ if is_special => self.end_all(End::Unknown),
            Found::Refused => self.end_all(End::NoRoute),
            Found::By(device) => {
                if let Some(subject) = self.subject.as_mut() {
                    subject.output = device;
                    subject.packet.ttl = subject.packet.ttl.and_then(|ttl| ttl.checked_sub(1));
                }
                self.pass(FirewallHook::Forward, flow);
                self.leave(flow, device, End::Forwarded);
            }
        }
    }

    /// Passes `postrouting` and `egress`.
    fn leave(&mut self, flow: Flow, device: Device<'w>, end: fn(String) -> End) {
        if let Some(subject) = self.subject.as_mut()
            && subject.input != Device::None
        {
            // Whether a forwarded packet still has its input interface there depends on the version of the kernel.
            subject.input = Device::Unknown;
        }
        self.pass(FirewallHook::Postrouting, flow);
        self.pass(FirewallHook::Egress, flow);
        if device != Device::Named(LOOPBACK) && self.subject.is_some_and(|subject| subject.packet.ipv4) {
            self.resolve();
        }
        self.passed = self.subject;
        if self.subject.is_some() {
            self.end(device.name().map_or(End::Unknown, |name| end(name.to_owned())));
        }
    }

    /// Looks up where the packet leaves; `None` if it does not.
    fn route_out(&mut self) -> Option<Device<'w>> {
        let subject = self.subject?;
        let Some(to) = subject.packet.destination else {
            self.end_all(End::Unknown);
            return None;
        };
        if self.host.owns(to) {
            if let Some(subject) = self.subject.as_mut() {
                subject.output = Device::Named(LOOPBACK);
            }
            return Some(Device::Named(LOOPBACK));
        }
        let lookup = look_up(&subject, to, Input::Local);
        self.looked_up = Some(lookup);
        match self.device_towards(&lookup) {
            Found::Refused => {
                self.end_all(End::NoRoute);
                None
            }
            Found::By(device) => {
                if let Some(subject) = self.subject.as_mut() {
                    subject.output = device;
                }
                Some(device)
            }
        }
    }

    fn device_towards(&self, lookup: &Lookup<'_>) -> Found<'w> {
        match self.host.routing.towards(lookup) {
            Route::Device(name) => Found::By(
                self.host.interface(&name).map_or(Device::Unknown, |interface| Device::Named(&interface.name)),
            ),
            Route::Refused => Found::Refused,
            Route::Unknown => Found::By(Device::Unknown),
        }
    }
}

/// Whether the reverse-path filter of an interface passes a packet, by the look-up of its source. Of several next hops of one
/// route any may be the interface.
fn comes_back(decisions: &[Decision], device: &str, settings: &InterfaceSettings) -> Maybe {
    let of_route = |one: &Decision, other: &Decision| (one.rule, one.route) == (other.rule, other.route);
    let by_device = |each: &Decision| matches!(&each.fate, Fate::Device(name) if name == device);
    let passes = |decision: &Decision| match &decision.fate {
        Fate::Unknown => Maybe::Perhaps,
        Fate::Device(_) if settings.rp_filter != 1 => Maybe::Surely,
        Fate::Device(_) => Maybe::from(decisions.iter().any(|each| of_route(each, decision) && by_device(each))),
        Fate::Local => Maybe::from(settings.accept_local),
        Fate::Group | Fate::Refused => Maybe::No,
    };
    let mut all = decisions.iter().map(passes);
    let Some(first) = all.next() else { return Maybe::Perhaps };
    if all.all(|other| other == first) { first } else { Maybe::Perhaps }
}

/// Whether a rule looks at connections or translates addresses: only then the kernel tracks them (`nf_ct_netns_get`).
fn tracks(rules: &RuleSet, ipv4: bool) -> bool {
    let own = if ipv4 { Family::Ip } else { Family::Ip6 };
    let tables = rules.tables.iter().filter(|table| table.family == own || table.family == Family::Inet);
    let mut rules = tables.flat_map(|table| &table.chains).flat_map(|chain| &chain.rules);
    rules.any(|rule| rule.statements.iter().any(|statement| uses_tracking(statement, &own)))
}

fn uses_tracking(statement: &Statement, family: &Family) -> bool {
    let is_ct = |operand: &Operand| matches!(operand.field, Field::Ct { .. });
    match statement {
        Statement::Match(condition) => condition.operands.iter().any(is_ct),
        Statement::VerdictMap { operands, .. } => operands.iter().any(is_ct),
        Statement::Assign { field, to } => {
            let reads = match to {
                Source::Field(operand) => is_ct(operand),
                Source::Map { operands, .. } => operands.iter().any(is_ct),
                Source::Value(_) | Source::NotUnderstood { .. } => false,
            };
            reads || matches!(field, Field::Ct { .. })
        }
        // Only of its own family, even in a table of both.
        Statement::Nat(nat) => nat.family.as_ref().is_none_or(|of| of == family),
        // What is not understood may be a match of xtables on the state.
        Statement::ConnectionLimit { .. } | Statement::NotUnderstood { .. } | Statement::Object { .. } => true,
        _ => false,
    }
}

/// The look-up of a route for a packet where it is now.
fn look_up<'l>(subject: &Subject<'_>, to: IpAddr, input: Input<'l>) -> Lookup<'l> {
    let packet = &subject.packet;
    let is_segment = matches!(packet.transport, Transport::Tcp { flags, .. } if flags & ACK != 0);
    let (is_bound, user) = match subject.owner {
        // The kernel answers with the address that it was asked at, in the name of root.
        Owner::Nobody => (Some(true), Some(0)),
        Owner::User(user) => (Some(true).filter(|_| is_segment), Some(user)),
        Owner::Unknown => (Some(true).filter(|_| is_segment), None),
    };
    let ports = match packet.transport {
        Transport::Tcp { .. } | Transport::Udp { .. } => packet.ports(),
        Transport::Echo { .. } | Transport::Icmp { .. } => (None, None),
    };
    Lookup {
        destination: to,
        source: packet.source,
        is_bound,
        input,
        mark: subject.mark.exact().and_then(|mark| u32::try_from(mark).ok()),
        protocol: Some(packet.protocol()),
        ports,
        user,
    }
}

enum Found<'w> {
    By(Device<'w>),
    Refused,
}

fn forget(packet: &mut Packet, manip: Manip) {
    match manip {
        Manip::Source => {
            packet.source = None;
            packet.set_source_port(None);
        }
        Manip::Destination => {
            packet.destination = None;
            packet.set_destination_port(None);
        }
    }
}
