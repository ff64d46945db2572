//! Policy routing: rules and the routes of all tables (`RTM_GETRULE`, `RTM_GETROUTE`), typed.
//!
//! What an attribute means is in `linux/fib_rules.h` and `linux/rtnetlink.h`. Attributes that change where a packet goes and
//! are not decoded are named; those that do not (metrics, realms, who added it) are left out.

use super::netlink::{self, DUMP};
use netlink_packet_core::Nla as _;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteType, RouteVia,
    },
    rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage},
};
use pingtong_evidence::{
    Cidr, Known, RoutingFact, RoutingTables, WhyUnknown,
    routing::{Hop, RoutingAction, RoutingRule, TableRoute, TableRouteKind},
};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// `FRA_PAD`, `FRA_SPORT_MASK`, `FRA_DPORT_MASK`, `FRA_DSCP`, which the decoder does not know.
const PAD: u16 = 18;
const PORT_MASKS: [u16; 2] = [28, 29];
const DSCP: u16 = 25;
/// How often the tables are read until the rules do not change meanwhile.
const ATTEMPTS: usize = 3;

type Names = BTreeMap<u32, String>;

/// Reads them; unknown if a part cannot be read.
pub(super) fn read() -> Known<RoutingFact> {
    tables().map_or_else(
        |error| {
            Known::Unknown(WhyUnknown::Unreachable {
                action: String::from("listing routing rules and tables"),
                message: error.to_string(),
            })
        },
        |tables| Known::Known(RoutingFact { content: Some(content(&tables)), tables: Some(Arc::new(tables)) }),
    )
}

/// Reads rules and routes of both families.
///
/// # Errors
/// The kernel's refusal, a reply that cannot be decoded, or rules that change while they are read.
pub(super) fn tables() -> io::Result<RoutingTables> {
    for _ in 0..ATTEMPTS {
        let before = rules()?;
        let names: Names = nix::net::if_::if_nameindex().map_or_else(
            |_| Names::new(),
            |all| all.iter().map(|each| (each.index(), each.name().to_string_lossy().into_owned())).collect(),
        );
        let (routes, routes_omitted) = routes(&names)?;
        if rules()? == before {
            return Ok(RoutingTables { rules: before, routes, routes_omitted });
        }
    }
    Err(io::Error::other("the rules changed while they were read"))
}

/// Equal for equal tables of one agent. The prefix keeps them apart from rule sets of the packet filter.
fn content(tables: &RoutingTables) -> String {
    let mut hasher = DefaultHasher::new();
    tables.hash(&mut hasher);
    format!("routes-{:016x}", hasher.finish())
}

fn rules() -> io::Result<Vec<RoutingRule>> {
    let mut found = vec![];
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RuleMessage::default();
        message.header.family = family;
        let answers = match netlink::route(&RouteNetlinkMessage::GetRule(message), DUMP) {
            // A kernel without IPv6 has no rules of it.
            Err(error) if family == AddressFamily::Inet6 && is_missing(&error) => continue,
            answers => answers?,
        };
        found.extend(answers.iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRule(message) if message.header.family == family => Some(rule(message)),
            _ => None,
        }));
    }
    Ok(found)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT))
}

fn rule(message: &RuleMessage) -> RoutingRule {
    let header = &message.header;
    let ipv4 = header.family == AddressFamily::Inet;
    let mut rule = RoutingRule {
        ipv4,
        inverted: header.flags.contains(RuleFlags::Invert),
        detached: header.flags.intersects(RuleFlags::IifDetached | RuleFlags::OifDetached),
        tos: Some(header.tos).filter(|tos| *tos != 0),
        ..RoutingRule::default()
    };
    let known = RuleFlags::Permanent
        | RuleFlags::Invert
        | RuleFlags::Unresolved
        | RuleFlags::IifDetached
        | RuleFlags::OifDetached;
    if !known.contains(header.flags) {
        rule.not_understood.push(format!("flags {:#x}", header.flags.bits()));
    }
    let any = if ipv4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let block = |address: IpAddr, length: u8| Some(Cidr::around(address, length)).filter(|_| length > 0);
    (rule.from, rule.to) = (block(any, header.src_len), block(any, header.dst_len));
    let (mut table, mut target, mut mark, mut bits) = (u32::from(header.table), 0, None, None);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Source(address) => rule.from = block(*address, header.src_len),
            RuleAttribute::Destination(address) => rule.to = block(*address, header.dst_len),
            RuleAttribute::Iifname(name) => rule.input = Some(name.clone()),
            RuleAttribute::Oifname(name) => rule.output = Some(name.clone()),
            RuleAttribute::Goto(priority) => target = *priority,
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::FwMark(value) => mark = Some(*value),
            RuleAttribute::FwMask(value) => bits = Some(*value),
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::SuppressPrefixLen(length) => {
                rule.suppress_prefix_length = Some(*length).filter(|length| *length != u32::MAX);
            }
            RuleAttribute::UidRange(users) => {
                rule.users = Some((users.start, users.end)).filter(|users| *users != (0, u32::MAX));
            }
            RuleAttribute::IpProtocol(protocol) => rule.protocol = Some((*protocol).into()),
            RuleAttribute::SourcePortRange(ports) => rule.source_ports = Some((ports.start, ports.end)),
            RuleAttribute::DestinationPortRange(ports) => rule.destination_ports = Some((ports.start, ports.end)),
            RuleAttribute::Realm(_)
            | RuleAttribute::Protocol(_)
            | RuleAttribute::L3MDev(false)
            | RuleAttribute::SuppressIfGroup(u32::MAX) => {}
            RuleAttribute::TunId(_) => rule.not_understood.push("tun_id".to_owned()),
            RuleAttribute::SuppressIfGroup(_) => rule.not_understood.push("suppress_ifgroup".to_owned()),
            RuleAttribute::L3MDev(true) => rule.not_understood.push("l3mdev".to_owned()),
            RuleAttribute::Other(other) if other.kind() == PAD => {}
            RuleAttribute::Other(other) if PORT_MASKS.contains(&other.kind()) => {
                let mut value = vec![0; other.value_len()];
                other.emit_value(&mut value);
                if value != u16::MAX.to_ne_bytes() {
                    rule.not_understood.push("port mask".to_owned());
                }
            }
            RuleAttribute::Other(other) if other.kind() == DSCP => rule.not_understood.push("dscp".to_owned()),
            other => rule.not_understood.push(format!("attribute {}", other.kind())),
        }
    }
    // The kernel reports a mask without a value where the value is zero.
    rule.mark = match (mark, bits) {
        (None, None | Some(0)) => None,
        (value, bits) => Some((value.unwrap_or(0), bits.unwrap_or(u32::MAX))),
    };
    rule.action = match header.action {
        RuleAction::ToTable => RoutingAction::Table(table),
        RuleAction::Blackhole => RoutingAction::Blackhole,
        RuleAction::Unreachable => RoutingAction::Unreachable,
        RuleAction::Prohibit => RoutingAction::Prohibit,
        RuleAction::Goto => RoutingAction::Goto(target),
        RuleAction::Nop => RoutingAction::Nop,
        other => {
            rule.not_understood.push(format!("action {}", u8::from(other)));
            RoutingAction::Nop
        }
    };
    rule
}

fn routes(names: &Names) -> io::Result<(Vec<TableRoute>, u64)> {
    let (mut found, mut omitted) = (vec![], 0);
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let answers = match netlink::route(&RouteNetlinkMessage::GetRoute(message), DUMP) {
            Err(error) if family == AddressFamily::Inet6 && is_missing(&error) => continue,
            answers => answers?,
        };
        for answer in &answers {
            let RouteNetlinkMessage::NewRoute(message) = answer else { continue };
            // Cached routes are no routes of a table.
            if message.header.address_family != family || message.header.flags.contains(RouteFlags::Cloned) {
                continue;
            }
            if found.len() < RoutingTables::ROUTES_MAX {
                found.push(route(message, names));
            } else {
                omitted += 1;
            }
        }
    }
    Ok((found, omitted))
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// A next hop under construction.
#[derive(Default)]
struct Leading {
    index: Option<u32>,
    gateway: Option<IpAddr>,
    dead: bool,
    no_carrier: bool,
}

impl Leading {
    fn take(&mut self, attribute: &RouteAttribute) {
        match attribute {
            RouteAttribute::Oif(index) => self.index = Some(*index),
            RouteAttribute::Gateway(address) => self.gateway = ip(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => self.gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => self.gateway = Some((*address).into()),
            _ => {}
        }
    }

    fn hop(self, names: &Names, ipv4: bool) -> Option<Hop> {
        let index = self.index?;
        let device = names.get(&index).cloned().unwrap_or_else(|| format!("if{index}"));
        let dead = self.dead || (self.no_carrier && ignores_without_carrier(&device, ipv4));
        Some(Hop { device, gateway: self.gateway, dead })
    }
}

/// Whether the kernel leaves out routes by an interface without carrier.
fn ignores_without_carrier(device: &str, ipv4: bool) -> bool {
    let family = if ipv4 { "ipv4" } else { "ipv6" };
    let path = format!("/proc/sys/net/{family}/conf/{device}/ignore_routes_with_linkdown");
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() != "0")
}

fn route(message: &RouteMessage, names: &Names) -> TableRoute {
    let header = &message.header;
    let any = match header.address_family {
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let ipv4 = any.is_ipv4();
    let mut not_understood = vec![];
    let kind = match header.kind {
        RouteType::Unicast => TableRouteKind::Unicast,
        RouteType::Local => TableRouteKind::Local,
        RouteType::Broadcast | RouteType::Anycast | RouteType::Multicast => TableRouteKind::Group,
        RouteType::BlackHole => TableRouteKind::Blackhole,
        RouteType::Unreachable => TableRouteKind::Unreachable,
        RouteType::Prohibit => TableRouteKind::Prohibit,
        RouteType::Throw => TableRouteKind::Throw,
        other => {
            not_understood.push(format!("type {}", u8::from(other)));
            TableRouteKind::Unicast
        }
    };
    let mut route = TableRoute {
        table: header.table.into(),
        to: Cidr::around(any, header.destination_prefix_length),
        kind,
        metric: 0,
        tos: header.tos,
        source: None,
        hops: vec![],
        not_understood,
    };
    if header.source_prefix_length > 0 {
        route.not_understood.push("from".to_owned());
    }
    let mut leading = Leading {
        dead: header.flags.contains(RouteFlags::Dead),
        no_carrier: header.flags.contains(RouteFlags::Linkdown),
        ..Leading::default()
    };
    for attribute in &message.attributes {
        leading.take(attribute);
        match attribute {
            RouteAttribute::Destination(address) => {
                if let Some(address) = ip(address) {
                    route.to = Cidr::around(address, header.destination_prefix_length);
                }
            }
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::PrefSource(address) => route.source = ip(address),
            RouteAttribute::MultiPath(hops) => route.hops.extend(hops.iter().filter_map(|each| hop(each, names, ipv4))),
            RouteAttribute::EncapType(_) | RouteAttribute::Encap(_) => route.not_understood.push("encap".to_owned()),
            _ => {}
        }
    }
    route.hops.extend(leading.hop(names, ipv4));
    if route.kind == TableRouteKind::Unicast && route.hops.is_empty() {
        route.not_understood.push("nexthop".to_owned());
    }
    route.not_understood.dedup();
    route
}

fn hop(each: &RouteNextHop, names: &Names, ipv4: bool) -> Option<Hop> {
    let mut leading = Leading {
        index: Some(each.interface_index),
        dead: each.flags.contains(RouteNextHopFlags::Dead),
        no_carrier: each.flags.contains(RouteNextHopFlags::Linkdown),
        ..Leading::default()
    };
    each.attributes.iter().for_each(|attribute| leading.take(attribute));
    leading.hop(names, ipv4)
}
