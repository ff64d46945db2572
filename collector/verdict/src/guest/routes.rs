//! Findings about the routes of a guest: rules of policy routing, tables, and the kernel's own look-ups.
//!
//! With all rules and tables the look-up of a packet is evaluated as the kernel does (`pingtong_guest::decide`), and a command is
//! given only if the same evaluation shows that it leads the packets to the right interface. Where rules of policy routing are
//! not listed, or the kernel does something else than its tables say, the kernel's look-up is shown without a command: a
//! route in the main table may change nothing.

use super::{Guest, words};
use crate::{
    code::CauseCode,
    finding::{Finding, Stops},
    fix::Fix,
    guest_filter::{Asked, KnownHost},
    lang::{Both, both},
    verdict::Cut,
};
use pingtong_evidence::{
    Cidr, InterfaceKind, Protocol, RouteOutcome, RoutingTables,
    routing::{Hop, RoutingRule, TABLE_MAIN, TableRoute, TableRouteKind},
};
use pingtong_guest::{Decision, Fate, Lookup, decide};

/// errnos of a packet that the sender has no route for.
const NO_ROUTE: [i32; 4] = [101, 113, 13, 22];

/// A change of the routes that is tried on the tables.
struct Trial {
    tables: RoutingTables,
    commands: Vec<Vec<String>>,
}

impl Guest<'_> {
    /// The finding about packets that this host's routes refuse or send elsewhere.
    pub(super) fn route(&self) -> Option<Finding> {
        // Both ends have the same address: the blocks overlap, and this host correctly has the address.
        if self.address() == self.peer() {
            return None;
        }
        // The host's own probes may pass with the address of the other interface, while replies that leave by it do not
        // reach the peer. Rules for the source address concern replies alone.
        let known = self.known_routes();
        let misled = self.inbound.dead() && (!self.inbound.elsewhere.is_empty() || known.is_some());
        let sends = self.outbound.arrives();
        if (sends && !misled) || (self.inbound.answered() && self.inbound.elsewhere.is_empty()) {
            return None;
        }
        let peer = self.peer();
        let outcome =
            self.facts.into_iter().flat_map(|f| &f.routes).find(|r| r.to == peer).and_then(|r| r.outcome.known());
        let stops = if sends { Stops::Answers(self.side) } else { Stops::Sending(self.side) };
        if !matches!(outcome, Some(RouteOutcome::Own))
            && let Some(known) = &known
        {
            return self.route_by_tables(known, sends).or_else(|| self.route_by_wire(stops));
        }
        match outcome {
            // Requests of the host's own that arrive refute what its own look-up came to.
            _ if sends && self.inbound.elsewhere.is_empty() => None,
            Some(RouteOutcome::Own) => {
                let held = self.interfaces().iter().find_map(|i| {
                    i.addresses.iter().find(|(address, _)| *address == peer).map(|(_, block)| (i, block))
                });
                let (device, block) = held?;
                let (name, length) = (&device.name, block.prefix_length());
                let text = both!(
                    "the guest holds the peer's address {peer} itself, on {name}",
                    "系统自身的 {name} 占用了对端地址 {peer}"
                );
                let command = words(&["ip", "address", "del", &format!("{peer}/{length}"), "dev", name]);
                Some(self.finding(CauseCode::GuestRouteOverlap, stops, text, vec![command], None))
            }
            Some(RouteOutcome::Via { interface, prefix, gateway, .. }) => {
                let card = self.home()?;
                if *interface == card.name {
                    return None;
                }
                let prefix_words = prefix.map_or_else(|| "?".to_owned(), |p| p.to_string());
                let via = gateway.map_or_else(String::new, |g| format!(" via {g}"));
                let name = &card.name;
                let text = both!(
                    "the guest sends {peer} by {interface}{via} (route {prefix_words}), not by {name}",
                    "系统把到 {peer} 的报文从 {interface}{via} 发出（路由 {prefix_words}），而不是 {name}"
                );
                Some(self.routed(self.swallower(interface), stops, text, self.narrower(*prefix)))
            }
            Some(RouteOutcome::Refused { errno }) => {
                let to = if *errno == NO_ROUTE[0] {
                    self.model.block_of(self.side.opposite(), peer)
                } else {
                    Cidr::host(peer)
                };
                let text = both!(
                    "the guest has no route to {peer} (errno {errno})",
                    "系统没有到 {peer} 的路由（errno {errno}）"
                );
                Some(self.routed(CauseCode::GuestRouteMissing, stops, text, to))
            }
            None => self.route_by_wire(stops),
        }
    }

    /// The finding from the wire alone: replies seen leaving by another interface, or packets that the kernel has no
    /// route for.
    fn route_by_wire(&self, stops: Stops) -> Option<Finding> {
        let peer = self.peer();
        if let (Some(Cut::S4), Some((interface, count))) = (self.inbound.cut, self.inbound.elsewhere.first_key_value())
        {
            let text = both!("{count} replies left by {interface}", "{count} 个应答从 {interface} 发出");
            return Some(self.routed(self.swallower(interface), stops, text, Cidr::host(peer)));
        }
        let errno = NO_ROUTE.into_iter().find(|errno| self.outbound.errors.contains_key(errno))?;
        if self.outbound.sent > 0 {
            return None;
        }
        let text = both!("the kernel refuses to send: errno {errno}", "内核拒绝发送：errno {errno}");
        let to = if errno == NO_ROUTE[0] { self.model.block_of(self.side.opposite(), peer) } else { Cidr::host(peer) };
        Some(self.routed(CauseCode::GuestRouteMissing, stops, text, to))
    }

    /// The cause code for an interface that packets wrongly leave by: a second network interface is a different cause
    /// from a bridge or a tunnel.
    fn swallower(&self, interface: &str) -> CauseCode {
        // The metadata that an agent read at its start may be older than a network interface; the account's list of
        // interfaces is not.
        let told = self.facts.and_then(|f| f.metadata.known()).into_iter().flat_map(|m| &m.interfaces);
        let enis = self.model.snapshot(self.side).and_then(|s| s.enis.known()).into_iter().flatten();
        let macs: Vec<&str> = told.map(|i| i.mac.as_str()).chain(enis.map(|eni| eni.mac.as_str())).collect();
        let card = self.interfaces().iter().any(|i| {
            i.name == interface
                && i.kind == InterfaceKind::Card
                && macs.iter().any(|mac| mac.eq_ignore_ascii_case(&i.mac))
        });
        if card { CauseCode::GuestMultiEni } else { CauseCode::GuestRouteOverlap }
    }

    /// The host, if its rules and tables are known whole.
    fn known_routes(&self) -> Option<KnownHost<'_>> {
        self.facts.and_then(KnownHost::of).map(KnownHost::past_checks).filter(|known| known.tables().is_some())
    }

    /// Whether rules of policy routing may decide that are not evaluated here.
    fn has_other_rules(&self) -> bool {
        let Some(facts) = self.facts else { return false };
        let tables = facts.routing.known().and_then(|fact| fact.tables.as_deref());
        let counted = facts.mechanisms.known().is_some_and(|each| each.routing_rules > 0);
        tables.map_or(counted, |tables| tables.has_policy(self.peer().is_ipv4()))
            || KnownHost::of(facts).is_some_and(|known| !known.knows_routes())
    }

    /// The kinds of packets that this host sends to the peer.
    fn sent_kinds(&self) -> Vec<Asked> {
        match (self.pair.protocol, self.side == self.pair.opened_by) {
            (Protocol::Icmp, _) => vec![Asked::Sent, Asked::Answers],
            (_, true) => vec![Asked::Sent],
            (_, false) => vec![Asked::Answers],
        }
    }

    /// The look-ups of packets of these kinds.
    fn look_ups(&self, known: &KnownHost<'_>, kinds: &[Asked]) -> Vec<(Asked, Lookup<'static>)> {
        let of = |asked: &Asked| {
            let lookup = known.walk(&self.packets(), *asked).looked_up?;
            // The agent sends echo requests from sockets that are bound to no address.
            let is_probe = *asked == Asked::Sent && self.pair.protocol == Protocol::Icmp;
            let is_bound = if is_probe { Some(false) } else { lookup.is_bound };
            Some((*asked, Lookup { is_bound, ..lookup }))
        };
        kinds.iter().filter_map(of).collect()
    }

    /// The finding from rules and tables: packets of one kind surely do not leave by the right interface. `sends`: the wire shows
    /// that requests do.
    fn route_by_tables(&self, known: &KnownHost<'_>, sends: bool) -> Option<Finding> {
        let (tables, home) = (known.tables()?, self.home()?);
        let mut kinds = self.sent_kinds();
        kinds.retain(|asked| *asked == Asked::Answers || !sends);
        let mut astray = self.look_ups(known, &kinds).into_iter().filter_map(|(asked, lookup)| {
            let decisions = decide(tables, &lookup);
            let is_astray = |each: &Decision| match &each.fate {
                Fate::Device(device) => *device != home.name,
                Fate::Local | Fate::Refused => true,
                Fate::Group | Fate::Unknown => false,
            };
            let first = decisions.first().cloned()?;
            decisions.iter().all(is_astray).then_some((asked, lookup, first))
        });
        let (asked, lookup, decision) = astray.next()?;
        let peer = self.peer();
        let (by_en, by_zh) = decided_by(tables, &decision);
        let mark = lookup.mark.filter(|mark| *mark != 0);
        let (marked_en, marked_zh) = mark.map_or_else(<(String, String)>::default, |mark| {
            (format!(" with mark {mark:#x}"), format!("（标记 {mark:#x}）"))
        });
        let (what_en, what_zh) = if asked == Asked::Sent { ("packets", "报文") } else { ("replies", "应答") };
        let (code, text) = match &decision.fate {
            Fate::Device(device) => {
                let name = &home.name;
                let text = both!(
                    "the guest sends {what_en} to {peer}{marked_en} by {device}, not by {name}: {by_en}",
                    "系统把到 {peer} 的{what_zh}{marked_zh}从 {device} 发出，而不是 {name}：{by_zh}"
                );
                (self.swallower(device), text)
            }
            Fate::Local => {
                let text = both!(
                    "the guest takes {peer} for an address of its own: {by_en}",
                    "系统把 {peer} 当作自身地址：{by_zh}"
                );
                (CauseCode::GuestRouteOverlap, text)
            }
            Fate::Refused | Fate::Group | Fate::Unknown => {
                let text = both!(
                    "the guest has no route for {what_en} to {peer}{marked_en}: {by_en}",
                    "系统没有到 {peer} 的{what_zh}{marked_zh}的路由：{by_zh}"
                );
                (CauseCode::GuestRouteMissing, text)
            }
        };
        let prefix = decision.route.and_then(|route| tables.routes.get(route)).map(|route| route.to);
        let to = match (decision.route, decision.rule) {
            (None, None) => self.model.block_of(self.side.opposite(), peer),
            _ => self.narrower(prefix),
        };
        let stops = if asked == Asked::Sent { Stops::Sending(self.side) } else { Stops::Answers(self.side) };
        Some(self.routed(code, stops, text, to))
    }

    /// A finding about routes, with the commands that lead the packets to the right interface; a route in the main table is
    /// for `to`.
    fn routed(&self, code: CauseCode, stops: Stops, text: Both, to: Cidr) -> Finding {
        let commands = match self.known_routes() {
            Some(known) => self.tried(&known, to),
            None if self.has_other_rules() => None,
            None => Some(self.route_command(to)),
        };
        let mut finding = self.finding(code, stops, text, commands.clone().unwrap_or_default(), None);
        if commands.is_none() {
            finding.fix = Fix::Unexplained;
        }
        finding
    }

    /// The first commands with which every packet to the peer surely leaves by the right interface: a route in the main table,
    /// a rule for the peer before the one that decides now, or both.
    fn tried(&self, known: &KnownHost<'_>, to: Cidr) -> Option<Vec<Vec<String>>> {
        let (tables, home) = (known.tables()?, self.home()?);
        let kinds = self.sent_kinds();
        let look_ups = self.look_ups(known, &kinds);
        let reaches = |tables: &RoutingTables| {
            let is_home = |each: &Decision| matches!(&each.fate, Fate::Device(device) if *device == home.name);
            let surely = |lookup: &Lookup<'_>| decide(tables, lookup).iter().all(is_home);
            look_ups.len() == kinds.len() && look_ups.iter().all(|(_, lookup)| surely(lookup))
        };
        let now = Trial { tables: tables.clone(), commands: vec![] };
        let astray = |lookup: &Lookup<'_>| {
            let is_other = |each: &Decision| !matches!(&each.fate, Fate::Device(device) if *device == home.name);
            decide(tables, lookup).into_iter().filter(is_other).filter_map(|each| each.rule).collect::<Vec<_>>()
        };
        let deciding = look_ups.iter().flat_map(|(_, lookup)| astray(lookup)).min();
        let by_route = self.with_route(&now, to);
        let by_rule = deciding.and_then(|rule| self.with_rule(&now, rule));
        let by_both = by_rule.as_ref().and_then(|trial| self.with_route(trial, to));
        let mut trials = [by_route, by_rule, by_both].into_iter().flatten();
        trials.find(|trial| reaches(&trial.tables)).map(|trial| trial.commands)
    }

    /// With a route in the main table, as `ip route replace` makes it.
    fn with_route(&self, before: &Trial, to: Cidr) -> Option<Trial> {
        let mut commands = before.commands.clone();
        let home = self.home()?;
        let gateway = self.gateway(&home.name)?;
        let command = self.route_command(to);
        if command.is_empty() || gateway.is_ipv4() != to.is_ipv4() {
            return None;
        }
        commands.extend(command);
        let mut tables = before.tables.clone();
        let hop = Hop { device: home.name.clone(), gateway: Some(gateway), dead: false };
        let route = TableRoute {
            table: TABLE_MAIN,
            to,
            kind: TableRouteKind::Unicast,
            metric: 0,
            tos: 0,
            source: None,
            hops: vec![hop],
            not_understood: vec![],
        };
        tables.routes.retain(|each| (each.table, each.to, each.metric, each.tos) != (TABLE_MAIN, to, 0, 0));
        tables.routes.push(route);
        Some(Trial { tables, commands })
    }

    /// With a rule that looks up the main table for the peer, just before another rule. No rule comes before the one that keeps
    /// the host's own addresses.
    fn with_rule(&self, before: &Trial, deciding: usize) -> Option<Trial> {
        let other = before.tables.rules.get(deciding)?;
        let (peer, priority) =
            (Cidr::host(self.peer()), other.priority.checked_sub(1).filter(|priority| *priority > 0)?);
        let rule = RoutingRule { to: Some(peer), ..RoutingRule::lookup(peer.is_ipv4(), priority, TABLE_MAIN) };
        let mut tables = before.tables.clone();
        let later = |each: &RoutingRule| each.ipv4 == rule.ipv4 && each.priority > priority;
        let at = tables.rules.iter().position(later)?;
        tables.rules.insert(at, rule);
        let mut command = words(&["ip"]);
        if !peer.is_ipv4() {
            command.push("-6".to_owned());
        }
        let (to, priority) = (peer.to_string(), priority.to_string());
        command.extend(words(&["rule", "add", "to", &to, "lookup", "main", "priority", &priority]));
        let commands = before.commands.iter().cloned().chain([command]).collect();
        Some(Trial { tables, commands })
    }

    /// A block for the peer that is more specific than `prefix`: its vSwitch if that is, else its address alone.
    fn narrower(&self, prefix: Option<Cidr>) -> Cidr {
        let peer = self.peer();
        let vswitch = self.model.vswitch_of(self.side.opposite(), peer).map(|v| v.cidr);
        vswitch
            .zip(prefix)
            .filter(|(block, prefix)| block.prefix_length() > prefix.prefix_length())
            .map_or_else(|| Cidr::host(peer), |(block, _)| block)
    }

    fn route_command(&self, to: Cidr) -> Vec<Vec<String>> {
        let card = self.home().map_or("eth0", |card| card.name.as_str());
        self.gateway(card).map_or_else(Vec::new, |gateway| {
            vec![words(&["ip", "route", "replace", &to.to_string(), "via", &gateway.to_string(), "dev", card])]
        })
    }
}

/// The rule and the route that decide, in the words of iproute2.
fn decided_by(tables: &RoutingTables, decision: &Decision) -> (String, String) {
    let rule = decision.rule.and_then(|rule| tables.rules.get(rule)).map(ToString::to_string);
    let route = decision.route.and_then(|route| tables.routes.get(route)).map(ToString::to_string);
    match (rule, route) {
        (Some(rule), Some(route)) => (format!("rule {rule}, route {route}"), format!("规则 {rule}，路由 {route}")),
        (Some(rule), None) => (format!("rule {rule}"), format!("规则 {rule}")),
        (None, _) => ("no table has one".to_owned(), "没有任何路由表有匹配的路由".to_owned()),
    }
}
