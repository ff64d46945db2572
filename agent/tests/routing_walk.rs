//! Does the model of policy routing decide as the kernel does?
//!
//! Draws rules and tables of IPv4 and IPv6, loads them with `ip` into a network namespace, reads them back as the agent does,
//! and compares the model's decision with the kernel's own look-up, for packets of the host itself and for packets that
//! arrive, with and without a mark and a source. A disagreement prints its seed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test stops at what it did not expect and reads the environment"
)]

mod road;

use fastrand::Rng;
use pingtong_agent::facts;
use pingtong_evidence::{RoutingTables, packet_filter::RuleSet};
use pingtong_guest::{End, Fate, Flow, Host, Input, Lookup, decide, echo, receive};
use road::Net;
use std::net::IpAddr;

/// Seeds of the test, each a set of rules and tables.
const SEEDS: std::ops::Range<u64> = 0..100;
/// Maximum share of look-ups that the model leaves open, in thousandths.
const OPEN_PERMILLE_MAX: u64 = 100;
const DEVICES: [&str; 3] = ["d0", "d1", "d2"];
const TABLES: [&str; 3] = ["main", "100", "51820"];
const MARKS: [u32; 3] = [0, 0x10, 0xca6c];

/// Marks the routes of the test, so that they can be removed.
const DRAWN: &str = "99";

/// Addresses and prefixes of a family.
struct Family {
    ipv4: bool,
    option: &'static str,
    prefixes: [&'static str; 5],
    destinations: [&'static str; 4],
    /// The host's own address at the first device, and one of another host there.
    own: &'static str,
    other: &'static str,
}

const FAMILIES: [Family; 2] = [
    Family {
        ipv4: true,
        option: "-4",
        prefixes: ["default", "172.16.0.0/12", "172.16.1.0/24", "172.16.1.10/32", "10.9.0.0/16"],
        destinations: ["172.16.1.10", "172.16.1.11", "172.20.0.1", "10.9.3.3"],
        own: "10.0.0.1",
        other: "10.0.0.2",
    },
    Family {
        ipv4: false,
        option: "-6",
        prefixes: ["default", "fd16::/16", "fd16:1::/32", "fd16:1::10/128", "fd09::/16"],
        destinations: ["fd16:1::10", "fd16:1::11", "fd16:2::1", "fd09::3"],
        own: "fd00::1",
        other: "fd00::2",
    },
];

fn pick<'a>(rng: &mut Rng, all: &[&'a str]) -> &'a str {
    all[rng.usize(..all.len())]
}

fn route(rng: &mut Rng, family: &Family) -> String {
    let (to, table) = (pick(rng, &family.prefixes), pick(rng, &TABLES));
    let metric = if rng.bool() { format!(" metric {}", rng.u8(1..4)) } else { String::new() };
    let metric = format!("{metric} proto {DRAWN}");
    match rng.u8(..8) {
        0 => format!("route add throw {to} table {table}{metric}"),
        1 => {
            let kind = pick(rng, &["unreachable", "blackhole", "prohibit"]);
            format!("route add {kind} {to} table {table}{metric}")
        }
        2 if family.ipv4 => {
            let (one, other) = (pick(rng, &DEVICES), pick(rng, &DEVICES));
            format!("route add {to} table {table}{metric} nexthop dev {one} nexthop dev {other}")
        }
        _ => format!("route add {to} dev {} table {table}{metric}", pick(rng, &DEVICES)),
    }
}

fn rule(rng: &mut Rng, family: &Family) -> String {
    let mut words = vec!["rule add".to_owned()];
    if rng.u8(..4) == 0 {
        words.push("not".to_owned());
    }
    if rng.u8(..3) == 0 {
        words.push(format!("from {}", [family.own, family.other, family.prefixes[1]][rng.usize(..3)]));
    }
    if rng.bool() {
        words.push(format!("to {}", family.prefixes[rng.usize(1..5)]));
    }
    match rng.u8(..9) {
        0 | 1 => words.push(format!("fwmark {:#x}", MARKS[rng.usize(1..3)])),
        2 => words.push("fwmark 0x10/0x30".to_owned()),
        3 => words.push(format!("iif {}", ["lo", "d0", "gone"][rng.usize(..3)])),
        4 => words.push(format!("uidrange {}", ["0-0", "1000-2000"][rng.usize(..2)])),
        5 => words.push(format!("ipproto {}", ["udp", "tcp"][rng.usize(..2)])),
        6 => words.push("oif d1".to_owned()),
        _ => {}
    }
    words.push(format!("priority {}", rng.u32(1..40) * 1_000));
    words.push(match rng.u8(..10) {
        0 => pick(rng, &["unreachable", "blackhole", "prohibit"]).to_owned(),
        1 => "nop".to_owned(),
        2 => format!("goto {}", 32_766),
        3 => format!("lookup {} suppress_prefixlength {}", pick(rng, &TABLES), [0, 16][rng.usize(..2)]),
        _ => format!("lookup {}", pick(rng, &TABLES)),
    });
    words.join(" ")
}

/// What the kernel says.
#[derive(Debug, PartialEq)]
enum Seen {
    Device(String),
    Refused,
}

/// The kernel's answer to a look-up by `ip route get`.
fn kernel(net: &Net, family: &Family, to: &str, from: Option<&str>, input: bool, mark: u32) -> Option<Seen> {
    let from = from.map_or_else(String::new, |from| format!(" from {from}"));
    let input = if input { " iif d0" } else { "" };
    let mark = if mark == 0 { String::new() } else { format!(" mark {mark}") };
    match net.run(&format!("ip {} route get {to}{from}{input}{mark}", family.option)) {
        Ok(text) => {
            let mut words = text.split_whitespace();
            words.find(|word| *word == "dev")?;
            words.next().map(|device| Seen::Device(device.to_owned()))
        }
        Err(error) => {
            let refused = ["unreachable", "No route", "Permission denied", "Invalid argument"];
            refused.iter().any(|words| error.contains(words)).then_some(Seen::Refused)
        }
    }
}

/// How many look-ups were compared, how many were left open, and which were wrong.
#[derive(Default)]
struct Counts {
    compared: u64,
    open: u64,
    wrong: Vec<String>,
}

fn compare(net: &Net, family: &Family, tables: &RoutingTables, seed: u64, counts: &mut Counts) {
    for to in family.destinations {
        for mark in MARKS {
            for (from, input) in [(None, false), (Some(family.own), false), (Some(family.other), true)] {
                let Some(answer) = kernel(net, family, to, from, input, mark) else { continue };
                let lookup = Lookup {
                    source: from.map(|from| from.parse().unwrap()),
                    is_bound: Some(from.is_some()),
                    mark: Some(mark),
                    input: if input { Input::Device("d0") } else { Input::Local },
                    // `ip route get` looks up as for UDP, IPv6 as for no protocol, in the name of root; what arrives by IPv6 has no user.
                    protocol: Some(if family.ipv4 { 17 } else { 0 }),
                    user: Some(if input && !family.ipv4 { u32::MAX } else { 0 }),
                    ..Lookup::to(to.parse::<IpAddr>().unwrap())
                };
                let decisions = decide(tables, &lookup);
                counts.compared += 1;
                counts.open += u64::from(decisions.iter().any(|each| each.fate != decisions[0].fate));
                let agrees = decisions.iter().any(|each| match (&each.fate, &answer) {
                    (Fate::Device(device), Seen::Device(name)) => device == name,
                    (Fate::Refused, Seen::Refused) | (Fate::Unknown, _) => true,
                    _ => false,
                });
                if !agrees {
                    counts.wrong.push(format!("seed {seed}: {lookup:?}\n  {decisions:?}\n  seen {answer:?}"));
                }
            }
        }
    }
}

/// Compares what the check of source addresses does with packets that arrive at the first device.
fn compare_checks(net: &Net, host: &Host<'_>, seed: u64, counts: &mut Counts) {
    let own = FAMILIES[0].own;
    for from in FAMILIES[0].destinations.into_iter().chain([FAMILIES[0].other, own]) {
        let answer = net.run(&format!("ip route get {own} from {from} iif d0"));
        let passage = receive(host, echo(from.parse().unwrap(), own.parse().unwrap()), "d0", Flow::First);
        let agrees = passage.ends.iter().any(|end| match (end, &answer) {
            (End::Delivered, Ok(_)) => true,
            (End::ReversePath, Err(error)) => error.contains("cross-device") || error.contains("Invalid argument"),
            (End::Martian, Err(error)) => error.contains("Invalid argument"),
            _ => false,
        });
        counts.compared += 1;
        counts.open += u64::from(passage.ends.len() > 1);
        if !agrees {
            counts
                .wrong
                .push(format!("seed {seed}: from {from} {:?} {:?}\n  seen {answer:?}", passage.ends, host.settings));
        }
    }
}

#[test]
fn the_model_decides_as_the_kernel_does() {
    let needed = |error: &str| {
        assert!(std::env::var_os("CI").is_none(), "CI must run this test: {error}");
        eprintln!("SKIPPED: {error}");
    };
    let net = match Net::create() {
        Ok(net) => net,
        Err(error) => return needed(&error),
    };
    if let Err(error) = net.run("ip -V") {
        return needed(&error);
    }
    net.all("ip link set lo up\n sysctl ipv4/ip_forward 1\n sysctl ipv6/conf/all/forwarding 1");
    for device in DEVICES {
        net.all(&format!(
            "ip link add {device} type veth peer name p{device}
             sysctl ipv4/conf/{device}/rp_filter 0
             sysctl ipv6/conf/{device}/accept_dad 0
             ip link set p{device} up
             ip link set {device} up"
        ));
    }
    // Routes by a device without carrier are used unless it is set otherwise.
    net.all("ip link set pd1 down");
    net.all("ip addr add 10.0.0.1/24 dev d0\n ip addr add fd00::1/64 dev d0 nodad");
    net.all("sysctl ipv4/conf/all/rp_filter 0");
    let mut counts = Counts::default();
    for seed in SEEDS {
        let mut rng = Rng::with_seed(seed);
        for family in &FAMILIES {
            let mut added = vec![];
            let lines: Vec<String> = (0..rng.usize(1..8))
                .map(|_| route(&mut rng, family))
                .collect::<Vec<_>>()
                .into_iter()
                .chain((0..rng.usize(0..6)).map(|_| rule(&mut rng, family)).collect::<Vec<_>>())
                .collect();
            for line in lines {
                // What the kernel or `ip` does not take is not there.
                if net.run(&format!("ip {} {line}", family.option)).is_ok() {
                    added.push(line);
                }
            }
            let tables = net.within(facts::routing_tables).unwrap();
            assert_eq!(tables.routes_omitted, 0);
            let before = counts.wrong.len();
            compare(&net, family, &tables, seed, &mut counts);
            if family.ipv4 {
                let filters = rng.u8(..3);
                net.all(&format!(
                    "sysctl ipv4/conf/d0/rp_filter {filters}\n sysctl ipv4/conf/d0/accept_local {}",
                    rng.u8(..2)
                ));
                let (settings, interfaces) =
                    net.within(|| (facts::kernel_settings().per_interface, facts::interfaces().unwrap()));
                let rules = RuleSet::default();
                let host = Host {
                    rules: &rules,
                    is_whole: true,
                    interfaces: &interfaces,
                    routing: &tables,
                    forwards: Some(true),
                    settings: settings.known().map(Vec::as_slice),
                    queues: None,
                };
                compare_checks(&net, &host, seed, &mut counts);
                net.all("sysctl ipv4/conf/d0/rp_filter 0\n sysctl ipv4/conf/d0/accept_local 0");
            }
            if counts.wrong.len() > before {
                counts.wrong.push(added.join("\n"));
            }
            for line in added.iter().filter(|line| line.starts_with("rule")) {
                net.all(&format!("ip {} {}", family.option, line.replacen(" add ", " del ", 1)));
            }
            net.all(&format!("ip {} route flush table all proto {DRAWN}", family.option));
        }
    }
    eprintln!("{} look-ups, {} open, {} wrong", counts.compared, counts.open, counts.wrong.len());
    assert!(counts.wrong.is_empty(), "{}", counts.wrong.join("\n"));
    assert!(counts.open * 1_000 <= counts.compared * OPEN_PERMILLE_MAX, "{} of {}", counts.open, counts.compared);
}
