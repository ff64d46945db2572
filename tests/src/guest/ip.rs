//! Stand-in for `ip link|addr|route|rule …`: the subset of its syntax that the faults and repairs in a guest need.
//! Talks to the kernel over netlink.

use super::{Refusal, render};
use crate::plane::{
    interfaces::{self, CableEnd, Link, MAIN, NextHop, Route, Rule, UP},
    netlink::{Message, Netlink},
};
use ipnet::Ipv4Net;
use std::{fmt::Write as _, io, net::Ipv4Addr, slice::Iter};

const PACKAGE: &str = "iproute2";

pub(super) fn run(words: &[String]) -> Result<u8, Refusal> {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    while let Some(option) = words.first().filter(|word| word.starts_with('-')) {
        if !matches!(*option, "-4" | "-o" | "-n" | "-d") {
            return Err(Refusal::not_understood(option, PACKAGE));
        }
        words.remove(0);
    }
    let Some((object, rest)) = words.split_first() else {
        return Err(Refusal::new("usage: ip link|addr|route|rule …"));
    };
    let mut netlink = Netlink::route().map_err(|error| Refusal::failed("cannot open netlink", &error))?;
    let netlink = &mut netlink;
    match *object {
        "l" | "li" | "link" => link(netlink, rest),
        "a" | "ad" | "addr" | "address" => address(netlink, rest),
        "r" | "ro" | "route" => route(netlink, rest),
        "ru" | "rule" => rule(netlink, rest),
        other => Err(Refusal::not_understood(other, PACKAGE)),
    }
    .map(|()| 0)
}

fn answers(error: &io::Error) -> Refusal {
    Refusal { message: format!("RTNETLINK answers: {}", reason(error)), code: 2 }
}

fn reason(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |code| nix::errno::Errno::from_raw(code).desc().to_owned())
}

fn send(netlink: &mut Netlink, message: &Message) -> Result<(), Refusal> {
    netlink.request(message).map_err(|error| answers(&error))
}

fn index(netlink: &mut Netlink, name: &str) -> Result<u32, Refusal> {
    interfaces::index_of(netlink, name)
        .map_err(|_| Refusal { message: format!("Cannot find device \"{name}\""), code: 1 })
}

fn value<'a>(words: &mut Iter<'_, &'a str>, of: &str) -> Result<&'a str, Refusal> {
    words.next().copied().ok_or_else(|| Refusal::new(format!("command line is not complete: {of:?} wants a value")))
}

fn parse<T: std::str::FromStr>(word: &str, what: &str) -> Result<T, Refusal> {
    word.parse().map_err(|_| Refusal::new(format!("{what} expected rather than {word:?}")))
}

/// An address with its prefix length; without one, a single host.
fn network(word: &str) -> Result<Ipv4Net, Refusal> {
    match word {
        "default" | "all" | "any" => Ok(Ipv4Net::default()),
        _ if word.contains('/') => parse(word, "an inet prefix"),
        _ => parse::<Ipv4Addr>(word, "an inet prefix").map(Ipv4Net::from),
    }
}

fn link(netlink: &mut Netlink, words: &[&str]) -> Result<(), Refusal> {
    let (verb, rest) = words.split_first().unwrap_or((&"show", &[]));
    let rest: Vec<&str> = rest.iter().copied().filter(|word| !matches!(*word, "dev" | "name")).collect();
    match (*verb, rest.as_slice()) {
        ("add" | "a", [name, "type", "bridge" | "dummy"]) => send(netlink, &interfaces::bridge(name)),
        ("add" | "a", [name, "type", "veth"]) => {
            let peer = format!("{}_peer", name.chars().take(10).collect::<String>());
            veth(netlink, name, &peer)
        }
        ("add" | "a", [name, "type", "veth", "peer", peer]) => veth(netlink, name, peer),
        ("del" | "delete" | "d", [name] | [name, "type", _]) => {
            index(netlink, name)?;
            send(netlink, &interfaces::remove_link(name))
        }
        ("set" | "s", [name, settings @ ..]) if !settings.is_empty() => {
            index(netlink, name)?;
            let mut settings = settings.iter();
            while let Some(setting) = settings.next() {
                let message = match *setting {
                    "up" => interfaces::set_flags(name, UP, UP),
                    "down" => interfaces::set_flags(name, 0, UP),
                    "mtu" => interfaces::set_mtu(name, parse(value(&mut settings, "mtu")?, "a number")?),
                    "nomaster" => interfaces::set_master(name, 0),
                    "master" => interfaces::set_master(name, index(netlink, value(&mut settings, "master")?)?),
                    other => return Err(Refusal::not_understood(other, PACKAGE)),
                };
                send(netlink, &message)?;
            }
            Ok(())
        }
        ("show" | "list" | "ls" | "sh", names) => show_links(netlink, names.first().copied(), false),
        _ => Err(Refusal::not_understood(&format!("link {}", words.join(" ")), PACKAGE)),
    }
}

fn veth(netlink: &mut Netlink, name: &str, peer: &str) -> Result<(), Refusal> {
    let end = |name| CableEnd { name, mac: None, namespace: None };
    send(netlink, &interfaces::cable(&end(name), &end(peer)))
}

fn show_links(netlink: &mut Netlink, only: Option<&str>, with_addresses: bool) -> Result<(), Refusal> {
    let links = interfaces::links(netlink).map_err(|error| answers(&error))?;
    let addresses = interfaces::addresses(netlink).map_err(|error| answers(&error))?;
    if let Some(name) = only {
        index(netlink, name)?;
    }
    for link in links.iter().filter(|link| only.is_none_or(|name| name == link.name)) {
        let mac: Vec<String> = link.mac.iter().map(|byte| format!("{byte:02x}")).collect();
        let kind = if link.flags & 0x8 != 0 { "loopback" } else { "ether" };
        render::line(&format!(
            "{}: {}: <{}> mtu {} state {}",
            link.index,
            link.name,
            flags(link),
            link.mtu,
            state(link)
        ));
        render::line(&format!("    link/{kind} {}", mac.join(":")));
        for (_, at, prefix) in addresses.iter().filter(|(index, ..)| with_addresses && *index == link.index) {
            render::line(&format!("    inet {at}/{prefix} scope global {}", link.name));
        }
    }
    Ok(())
}

fn flags(link: &Link) -> String {
    let names = [(0x8, "LOOPBACK"), (0x2, "BROADCAST"), (0x1000, "MULTICAST"), (0x1, "UP"), (0x1_0000, "LOWER_UP")];
    let set: Vec<&str> = names.iter().filter(|(bit, _)| link.flags & bit != 0).map(|(_, name)| *name).collect();
    set.join(",")
}

fn state(link: &Link) -> &'static str {
    match link.state {
        2 => "DOWN",
        6 => "UP",
        _ => "UNKNOWN",
    }
}

fn address(netlink: &mut Netlink, words: &[&str]) -> Result<(), Refusal> {
    let (verb, rest) = words.split_first().unwrap_or((&"show", &[]));
    match *verb {
        "show" | "list" | "ls" | "sh" => {
            return show_links(netlink, rest.iter().copied().find(|word| *word != "dev"), true);
        }
        "flush" => {
            let name = rest.iter().copied().find(|word| *word != "dev").unwrap_or_default();
            let index = index(netlink, name)?;
            let all = interfaces::addresses(netlink).map_err(|error| answers(&error))?;
            for (_, at, prefix) in all.into_iter().filter(|(of, ..)| *of == index) {
                send(netlink, &interfaces::remove_address(index, at, prefix))?;
            }
            return Ok(());
        }
        _ => {}
    }
    let (mut net, mut device) = (None, None);
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        match *word {
            "dev" => device = Some(value(&mut words, "dev")?),
            "broadcast" | "brd" | "scope" | "label" => drop(value(&mut words, word)?),
            "local" => {}
            _ => net = Some(network(word)?),
        }
    }
    let (Some(net), Some(device)) = (net, device) else { return Err(Refusal::new("usage: ip addr add|del A/P dev N")) };
    let index = index(netlink, device)?;
    let message = match *verb {
        "add" | "a" => interfaces::add_address(index, net.addr(), net.prefix_len()),
        "del" | "delete" | "d" => interfaces::remove_address(index, net.addr(), net.prefix_len()),
        other => return Err(Refusal::not_understood(other, PACKAGE)),
    };
    send(netlink, &message)
}

fn route(netlink: &mut Netlink, words: &[&str]) -> Result<(), Refusal> {
    let (verb, rest) = words.split_first().unwrap_or((&"show", &[]));
    match *verb {
        "show" | "list" | "ls" | "sh" => show_routes(netlink, rest),
        "get" => get_route(netlink, rest),
        "add" | "a" => wanted(netlink, rest, false).and_then(|route| send(netlink, &route.add())),
        "replace" | "change" => wanted(netlink, rest, false).and_then(|route| send(netlink, &route.replace())),
        "del" | "delete" | "d" => wanted(netlink, rest, true).and_then(|route| send(netlink, &route.remove())),
        other => Err(Refusal::not_understood(other, PACKAGE)),
    }
}

fn wanted(netlink: &mut Netlink, words: &[&str], removal: bool) -> Result<Route, Refusal> {
    let mut words = words.iter();
    let mut route = Route::to(MAIN, Ipv4Net::default());
    let (mut destination, mut typed) = (None, false);
    let mut hop = NextHop { interface: 0, gateway: None };
    while let Some(word) = words.next() {
        match *word {
            "unicast" | "blackhole" | "unreachable" | "prohibit" => {
                typed = true;
                route.kind = match *word {
                    "blackhole" => interfaces::BLACKHOLE,
                    "unreachable" => interfaces::UNREACHABLE,
                    "prohibit" => interfaces::PROHIBIT,
                    _ => interfaces::UNICAST,
                };
            }
            "to" => {}
            "via" => hop.gateway = Some(parse(value(&mut words, "via")?, "an inet address")?),
            "dev" => hop.interface = index(netlink, value(&mut words, "dev")?)?,
            "src" => route.source = Some(parse(value(&mut words, "src")?, "an inet address")?),
            "metric" | "preference" => route.metric = parse(value(&mut words, "metric")?, "a number")?,
            "table" => route.table = table(value(&mut words, "table")?)?,
            "onlink" => route.on_link = true,
            "scope" | "proto" | "protocol" => drop(value(&mut words, word)?),
            other => destination = Some(network(other)?),
        }
    }
    let destination = destination.ok_or_else(|| Refusal::new("a route wants a destination"))?;
    if destination.trunc() != destination {
        return Err(Refusal { message: "RTNETLINK answers: Invalid argument".to_owned(), code: 2 });
    }
    route.destination = destination;
    if hop.interface != 0 || hop.gateway.is_some() {
        route.hops.push(hop);
    }
    if removal && !typed {
        route.kind = 0;
    }
    Ok(route)
}

fn table(word: &str) -> Result<u32, Refusal> {
    match word {
        "main" => Ok(MAIN),
        "local" => Ok(255),
        "default" => Ok(253),
        "all" => Ok(0),
        number => parse(number, "a table"),
    }
}

fn show_routes(netlink: &mut Netlink, words: &[&str]) -> Result<(), Refusal> {
    let mut wanted = MAIN;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "table" => wanted = table(value(&mut words, "table")?)?,
            other => return Err(Refusal::not_understood(other, PACKAGE)),
        }
    }
    let names = interfaces::links(netlink).map_err(|error| answers(&error))?;
    let routes = interfaces::routes(netlink).map_err(|error| answers(&error))?;
    for route in routes.iter().filter(|route| wanted == 0 || route.table == wanted) {
        render::line(&text(route, &names));
    }
    Ok(())
}

fn get_route(netlink: &mut Netlink, words: &[&str]) -> Result<(), Refusal> {
    let words: Vec<&str> = words.iter().copied().filter(|word| *word != "to").collect();
    let (to, from) = match words.as_slice() {
        [to] => (*to, None),
        [to, "from", from] => (*to, Some(parse(from, "an inet address")?)),
        _ => return Err(Refusal::not_understood(&format!("route get {}", words.join(" ")), PACKAGE)),
    };
    let to: Ipv4Addr = parse(to, "an inet address")?;
    let route = interfaces::route_towards(netlink, to, from).map_err(|error| answers(&error))?;
    let names = interfaces::links(netlink).map_err(|error| answers(&error))?;
    render::line(&text(&route, &names));
    Ok(())
}

fn text(route: &Route, names: &[Link]) -> String {
    let mut text = match route.kind {
        interfaces::BLACKHOLE => "blackhole ",
        interfaces::UNREACHABLE => "unreachable ",
        interfaces::PROHIBIT => "prohibit ",
        2 => "local ",
        3 => "broadcast ",
        _ => "",
    }
    .to_owned();
    text += &match route.destination {
        net if net == Ipv4Net::default() => "default".to_owned(),
        net if net.prefix_len() == 32 => net.addr().to_string(),
        net => net.to_string(),
    };
    for hop in &route.hops {
        if route.hops.len() > 1 {
            text += " nexthop";
        }
        if let Some(gateway) = hop.gateway {
            let _ = write!(text, " via {gateway}");
        }
        let name = names.iter().find(|link| link.index == hop.interface).map_or("?", |link| link.name.as_str());
        let _ = write!(text, " dev {name}");
    }
    if let Some(source) = route.source {
        let _ = write!(text, " src {source}");
    }
    if route.metric != 0 {
        let _ = write!(text, " metric {}", route.metric);
    }
    text
}

fn rule(netlink: &mut Netlink, words: &[&str]) -> Result<(), Refusal> {
    let (verb, rest) = words.split_first().unwrap_or((&"show", &[]));
    if matches!(*verb, "show" | "list" | "ls" | "sh") {
        for rule in interfaces::rules(netlink).map_err(|error| answers(&error))? {
            let from = rule.from.map_or("all".to_owned(), |net| net.to_string());
            let to = rule.to.map_or(String::new(), |net| format!(" to {net}"));
            let interface = rule.interface.map_or(String::new(), |name| format!(" iif {name}"));
            let mark = rule.mark.map_or(String::new(), |mark| format!(" fwmark {mark:#x}"));
            let action = rule.table.map_or("blackhole".to_owned(), |table| format!("lookup {}", table_name(table)));
            render::line(&format!("{}:\tfrom {from}{to}{interface}{mark} {action}", rule.priority));
        }
        return Ok(());
    }
    let mut rule = Rule { priority: 32_765, interface: None, from: None, to: None, mark: None, table: None };
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        match *word {
            "from" => rule.from = Some(network(value(&mut words, "from")?)?).filter(|net| net.prefix_len() > 0),
            "to" => rule.to = Some(network(value(&mut words, "to")?)?).filter(|net| net.prefix_len() > 0),
            "iif" | "dev" => rule.interface = Some(value(&mut words, "iif")?.to_owned()),
            "fwmark" => rule.mark = Some(mark(value(&mut words, "fwmark")?)?),
            "table" | "lookup" => rule.table = Some(table(value(&mut words, "table")?)?),
            "priority" | "pref" | "prio" => rule.priority = parse(value(&mut words, "priority")?, "a number")?,
            "blackhole" => rule.table = None,
            other => return Err(Refusal::not_understood(other, PACKAGE)),
        }
    }
    match *verb {
        "add" | "a" => send(netlink, &rule.add()),
        "del" | "delete" | "d" => send(netlink, &rule.remove()),
        other => Err(Refusal::not_understood(other, PACKAGE)),
    }
}

/// Parses a mark, in decimal or with `0x`.
fn mark(word: &str) -> Result<u32, Refusal> {
    word.strip_prefix("0x").map_or_else(
        || parse(word, "a mark"),
        |digits| {
            u32::from_str_radix(digits, 16).map_err(|_| Refusal::new(format!("a mark expected rather than {word:?}")))
        },
    )
}

fn table_name(table: u32) -> String {
    match table {
        255 => "local".to_owned(),
        MAIN => "main".to_owned(),
        253 => "default".to_owned(),
        number => number.to_string(),
    }
}
