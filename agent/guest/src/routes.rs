//! Which route a packet takes: policy rules and tables evaluated as the kernel does (`fib_rules_lookup`,
//! `fib_table_lookup`, `fib6_rule_lookup` of Linux 6.1).
//!
//! Three-valued: a condition that the look-up leaves open, an attribute that is not understood, several next hops, each
//! give several decisions, of which one is true.

use crate::{
    lookup::{Input, Lookup, Route},
    maybe::Maybe,
    packet::{ICMP, ICMPV6},
};
use pingtong_evidence::routing::{
    RoutingAction, RoutingRule, RoutingTables, TABLE_LOCAL, TABLE_MAIN, TableRoute, TableRouteKind,
};
use std::{
    cmp::Reverse,
    net::{IpAddr, Ipv4Addr},
};

/// The interface of packets of the host itself in a rule with `iif`.
const LOOPBACK: &str = "lo";

/// What a look-up comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Where the packet goes.
    pub fate: Fate,
    /// Index of the rule that decides in the list of rules; `None` if no rule does.
    pub rule: Option<usize>,
    /// Index of the route in the list of routes; `None` if the rule itself decides.
    pub route: Option<usize>,
}

/// Where a look-up sends a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// By this interface.
    Device(String),
    /// To this host.
    Local,
    /// To a broadcast, anycast or multicast address.
    Group,
    /// Nowhere: refused, dropped, or no route.
    Refused,
    /// It is not known.
    Unknown,
}

/// What one table says.
enum Found {
    Decided(Fate, usize),
    /// It has no route.
    Next,
}

/// Every decision that a look-up may come to; one is certain.
pub fn decide(tables: &RoutingTables, lookup: &Lookup<'_>) -> Vec<Decision> {
    let ipv4 = lookup.destination.is_ipv4();
    let rules: Vec<(usize, &RoutingRule)> = tables.of_family(ipv4).collect();
    // As long as no rule was ever added, IPv4 looks into local and main at once: the longest prefix of both wins.
    let may_be_merged = ipv4 && !tables.has_policy(true);
    let mut decisions = vec![];
    let mut add = |fate: Fate, rule: usize, route: Option<usize>| {
        let decision = Decision { fate, rule: Some(rule), route };
        if !decisions.contains(&decision) {
            decisions.push(decision);
        }
    };
    let mut at = 0;
    while let Some((index, rule)) = rules.get(at).copied() {
        at += 1;
        let applies = applies(rule, lookup);
        if applies == Maybe::No {
            continue;
        }
        if !rule.not_understood.is_empty() {
            add(Fate::Unknown, index, None);
            continue;
        }
        let mut goes_on = applies == Maybe::Perhaps;
        match rule.action {
            RoutingAction::Nop => goes_on = true,
            RoutingAction::Goto(priority) => {
                let target = rules.iter().position(|(_, other)| other.priority == priority).filter(|to| *to >= at);
                match target {
                    None => goes_on = true,
                    Some(target) if applies == Maybe::Surely => {
                        at = target;
                        continue;
                    }
                    Some(_) => add(Fate::Unknown, index, None),
                }
            }
            RoutingAction::Blackhole | RoutingAction::Unreachable | RoutingAction::Prohibit => {
                add(Fate::Refused, index, None);
            }
            RoutingAction::Table(table) => {
                for found in table_lookup(tables, table, rule.suppress_prefix_length, lookup) {
                    match found {
                        Found::Decided(fate, route) => {
                            if may_be_merged && table == TABLE_LOCAL && has_longer(tables, lookup.destination, route) {
                                add(Fate::Unknown, index, None);
                            }
                            add(fate, index, Some(route));
                        }
                        Found::Next => goes_on = true,
                    }
                }
            }
        }
        if !goes_on {
            return decisions;
        }
    }
    decisions.push(Decision { fate: Fate::Refused, rule: None, route: None });
    decisions
}

/// The route, if it is certain.
pub(crate) fn route(decisions: &[Decision]) -> Route {
    let Some((first, others)) = decisions.split_first() else { return Route::Unknown };
    if others.iter().any(|other| other.fate != first.fate) {
        return Route::Unknown;
    }
    match &first.fate {
        Fate::Device(device) => Route::Device(device.clone()),
        Fate::Refused => Route::Refused,
        Fate::Local | Fate::Group | Fate::Unknown => Route::Unknown,
    }
}

/// Whether the main table has a longer prefix for an address than this route.
fn has_longer(tables: &RoutingTables, to: IpAddr, route: usize) -> bool {
    let length = tables.routes.get(route).map_or(0, |route| route.to.prefix_length());
    let mut main = tables.routes.iter().filter(|other| other.table == TABLE_MAIN && other.to.contains(to));
    main.any(|other| other.to.prefix_length() > length)
}

fn applies(rule: &RoutingRule, lookup: &Lookup<'_>) -> Maybe {
    let mut all = Maybe::from(!rule.detached);
    let within = |(first, last): (u16, u16), port: Option<u16>| {
        port.map_or(Maybe::Perhaps, |port| Maybe::from((first..=last).contains(&port)))
    };
    if let Some(name) = &rule.input {
        all = all.and(match lookup.input {
            Input::Local => Maybe::from(name == LOOPBACK),
            Input::Device(device) => Maybe::from(name == device),
            Input::Unknown => Maybe::Perhaps,
        });
    }
    if rule.output.is_some() {
        // Only a socket that is bound to an interface asks for it; the kernel's own echo replies and the agent's do not.
        let is_echo = lookup.protocol.is_some_and(|protocol| [ICMP, ICMPV6].contains(&protocol));
        all = all.and(if is_echo || lookup.input != Input::Local { Maybe::No } else { Maybe::Perhaps });
    }
    if let Some((value, mask)) = rule.mark {
        all = all.and(lookup.mark.map_or(Maybe::Perhaps, |mark| Maybe::from((mark ^ value) & mask == 0)));
    }
    if let Some((first, last)) = rule.users {
        all = all.and(lookup.user.map_or(Maybe::Perhaps, |user| Maybe::from((first..=last).contains(&user))));
    }
    if let Some(block) = &rule.to {
        all = all.and(block.contains(lookup.destination).into());
    }
    if let Some(block) = &rule.from {
        let unbound = match lookup.destination {
            IpAddr::V4(_) => Maybe::from(block.contains(Ipv4Addr::UNSPECIFIED.into())),
            // A rule with a source applies to no packet without one.
            IpAddr::V6(_) => Maybe::No,
        };
        let bound = lookup.source.map_or(Maybe::Perhaps, |source| Maybe::from(block.contains(source)));
        all = all.and(match lookup.is_bound {
            Some(true) => bound,
            Some(false) => unbound,
            None if bound == unbound => bound,
            None => Maybe::Perhaps,
        });
    }
    if rule.tos.is_some() {
        all = all.and(Maybe::Perhaps);
    }
    if let Some(protocol) = rule.protocol {
        all = all.and(lookup.protocol.map_or(Maybe::Perhaps, |of| Maybe::from(of == protocol)));
    }
    if let Some(ports) = rule.source_ports {
        all = all.and(within(ports, lookup.ports.0));
    }
    if let Some(ports) = rule.destination_ports {
        all = all.and(within(ports, lookup.ports.1));
    }
    if !rule.not_understood.is_empty() {
        all = all.and(Maybe::Perhaps);
    }
    all.inverted_if(rule.inverted)
}

/// What a table says: one result is certain.
fn table_lookup(tables: &RoutingTables, table: u32, suppressed: Option<u32>, lookup: &Lookup<'_>) -> Vec<Found> {
    if tables.routes_omitted > 0 {
        return vec![Found::Next, Found::Decided(Fate::Unknown, usize::MAX)];
    }
    let to = lookup.destination;
    let mut candidates: Vec<(usize, &TableRoute)> =
        tables.routes.iter().enumerate().filter(|(_, route)| route.table == table && route.to.contains(to)).collect();
    let rank = |route: &TableRoute| (Reverse(route.to.prefix_length()), Reverse(route.tos), route.metric);
    candidates.sort_by_key(|(_, route)| rank(route));
    let mut found = vec![];
    let mut rest = candidates.as_slice();
    while let Some(((index, route), after)) = rest.split_first() {
        let mut fates = fates(route);
        // Routes of IPv6 with the same metric share the packets, and how far their routers are reachable decides among others.
        let shared: Vec<&(usize, &TableRoute)> =
            if to.is_ipv4() { vec![] } else { after.iter().filter(|(_, other)| other.to == route.to).collect() };
        for (_, other) in &shared {
            fates.extend(self::fates(other));
        }
        fates.dedup();
        rest = after.get(shared.len()..).unwrap_or_default();
        let may_not_match = route.tos != 0;
        let is_passed = fates.is_empty();
        let is_suppressed = suppressed.is_some_and(|length| u32::from(route.to.prefix_length()) <= length);
        for fate in fates {
            match fate {
                // What refuses is no result that could be suppressed.
                Fate::Refused | Fate::Unknown => found.push(Found::Decided(fate, *index)),
                _ if is_suppressed => found.push(Found::Next),
                fate => found.push(Found::Decided(fate, *index)),
            }
        }
        if route.kind == TableRouteKind::Throw && route.not_understood.is_empty() {
            found.push(Found::Next);
            if !may_not_match {
                return found;
            }
        } else if !is_passed && !may_not_match {
            return found;
        }
    }
    found.push(Found::Next);
    found
}

/// What a route may do with a packet; empty if the kernel does not use it.
fn fates(route: &TableRoute) -> Vec<Fate> {
    if !route.not_understood.is_empty() {
        return vec![Fate::Unknown];
    }
    match route.kind {
        TableRouteKind::Local => vec![Fate::Local],
        TableRouteKind::Group => vec![Fate::Group],
        TableRouteKind::Blackhole | TableRouteKind::Unreachable | TableRouteKind::Prohibit => vec![Fate::Refused],
        TableRouteKind::Throw => vec![],
        TableRouteKind::Unicast => {
            let usable = route.hops.iter().filter(|hop| !hop.dead);
            let mut all: Vec<Fate> = usable.map(|hop| Fate::Device(hop.device.clone())).collect();
            all.dedup();
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{Cidr, routing::Hop};

    fn route_to(table: u32, to: &str, device: &str) -> TableRoute {
        TableRoute {
            table,
            to: Cidr::parse(to).unwrap(),
            kind: TableRouteKind::Unicast,
            metric: 0,
            tos: 0,
            source: None,
            hops: vec![Hop { device: device.into(), gateway: None, dead: false }],
            not_understood: vec![],
        }
    }

    fn fates_of(tables: &RoutingTables, mark: Option<u32>) -> Vec<Fate> {
        let lookup = Lookup { mark, ..Lookup::to("172.16.1.10".parse().unwrap()) };
        decide(tables, &lookup).into_iter().map(|decision| decision.fate).collect()
    }

    /// The tables that wg-quick makes for a tunnel of all addresses.
    fn tunnel() -> RoutingTables {
        let lookup = |priority, table| RoutingRule::lookup(true, priority, table);
        RoutingTables {
            rules: vec![
                lookup(0, TABLE_LOCAL),
                RoutingRule { suppress_prefix_length: Some(0), ..lookup(32_764, TABLE_MAIN) },
                RoutingRule { inverted: true, mark: Some((0xca6c, u32::MAX)), ..lookup(32_765, 51_820) },
                lookup(32_766, TABLE_MAIN),
            ],
            routes: vec![route_to(TABLE_MAIN, "0.0.0.0/0", "eth0"), route_to(51_820, "0.0.0.0/0", "wg0")],
            routes_omitted: 0,
        }
    }

    #[test]
    fn a_mark_decides_whether_the_tunnel_gets_it_and_an_unknown_mark_leaves_it_open() {
        let mut tables = tunnel();
        let device = |name: &str| Fate::Device(name.into());
        assert_eq!(fates_of(&tables, Some(0)), [device("wg0")]);
        assert_eq!(fates_of(&tables, Some(0xca6c)), [device("eth0")]);
        assert_eq!(fates_of(&tables, None), [device("wg0"), device("eth0")]);
        tables.routes.push(route_to(TABLE_MAIN, "172.16.0.0/16", "eth0"));
        assert_eq!(fates_of(&tables, None), [device("eth0")], "more than the default route is not suppressed");
        tables.rules[2].not_understood.push("dscp".into());
        tables.routes.pop();
        assert_eq!(fates_of(&tables, Some(0)), [Fate::Unknown, device("eth0")]);
        tables.routes_omitted = 1;
        assert!(fates_of(&tables, Some(0)).contains(&Fate::Unknown));
    }

    #[test]
    fn what_throws_or_is_dead_leads_on_and_what_refuses_does_not() {
        let mut tables = tunnel();
        tables.routes[1].kind = TableRouteKind::Throw;
        assert_eq!(fates_of(&tables, Some(0)), [Fate::Device("eth0".into())]);
        tables.routes[1].kind = TableRouteKind::Blackhole;
        assert_eq!(fates_of(&tables, Some(0)), [Fate::Refused]);
        tables.routes[1] = route_to(51_820, "172.16.0.0/12", "wg0");
        tables.routes[1].hops[0].dead = true;
        assert_eq!(fates_of(&tables, Some(0)), [Fate::Device("eth0".into())]);
        tables.rules.truncate(3);
        tables.rules.remove(1);
        let none = decide(&tables, &Lookup::to("172.16.1.10".parse().unwrap()));
        assert_eq!(none, [Decision { fate: Fate::Refused, rule: None, route: None }]);
    }
}
