//! Draws rule sets of nftables: every family and hook of a host, sets, maps, verdict maps, jumps, address translation.

use fastrand::Rng;
use std::fmt::Write as _;

#[derive(Debug, Clone, Default)]
pub(crate) struct Drawn {
    pub(crate) tables: Vec<Table>,
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    family: &'static str,
    name: String,
    chains: Vec<Chain>,
}

#[derive(Debug, Clone)]
struct Chain {
    name: String,
    base: Option<Base>,
    rules: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct Base {
    kind: &'static str,
    hook: &'static str,
    priority: i32,
    drops: bool,
}

const FAMILIES: [&str; 7] = ["ip", "ip6", "inet", "inet", "inet", "ip", "netdev"];
const RULES_MAX: usize = 40;

/// Draws one; equal seeds give equal rule sets.
pub(crate) fn draw(seed: u64) -> Drawn {
    let mut random = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut left = 1 + random.usize(0..RULES_MAX).min(random.usize(0..RULES_MAX));
    let tables = 1 + random.usize(0..3);
    let mut drawn = Drawn::default();
    for index in 0..tables {
        let rules = if index + 1 == tables { left } else { random.usize(0..=left) };
        left -= rules;
        drawn.tables.push(Table::draw(&mut random, index, rules));
    }
    drawn
}

impl Drawn {
    pub(crate) fn rules(&self) -> usize {
        self.tables.iter().flat_map(|table| &table.chains).map(|chain| chain.rules.len()).sum()
    }

    /// As input for `nft -f`.
    pub(crate) fn script(&self) -> String {
        let mut text = String::from("flush ruleset\n");
        for table in &self.tables {
            table.print(&mut text);
        }
        text
    }

    /// Every rule set that lacks one table, one chain without jumps to it, or one rule.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut all = vec![];
        for (index, table) in self.tables.iter().enumerate() {
            let mut less = self.clone();
            less.tables.remove(index);
            all.push(less);
            for (chain_index, chain) in table.chains.iter().enumerate() {
                if !table.chains.iter().flat_map(|each| &each.rules).any(|rule| rule.contains(chain.name.as_str())) {
                    let mut less = self.clone();
                    less.tables[index].chains.remove(chain_index);
                    all.push(less);
                }
                for rule in 0..chain.rules.len() {
                    let mut less = self.clone();
                    less.tables[index].chains[chain_index].rules.remove(rule);
                    all.push(less);
                }
            }
        }
        all
    }
}

impl Table {
    fn draw(random: &mut Rng, index: usize, rules: usize) -> Self {
        let family = *pick(random, &FAMILIES);
        let bases = 1 + random.usize(0..3);
        let regulars = if family == "netdev" { 0 } else { random.usize(0..3) };
        let mut chains: Vec<Chain> = (0..regulars)
            .map(|number| Chain { name: format!("r{number}"), base: None, rules: vec![] })
            .chain((0..bases).map(|number| Chain {
                name: format!("b{number}"),
                base: Some(Base::draw(random, family)),
                rules: vec![],
            }))
            .collect();
        for _ in 0..rules {
            let number = random.usize(0..chains.len());
            let base = chains[number].base;
            // Chains of type nat take no jumps to chains with rules of filters.
            let jumps: Vec<String> = if base.is_some_and(|base| base.kind == "nat") {
                vec![]
            } else {
                // Only to earlier ones, so that there are no loops.
                chains[..number.min(regulars)].iter().map(|chain| chain.name.clone()).collect()
            };
            let rule = rule(random, family, base, &jumps);
            chains[number].rules.push(rule);
        }
        Self { family, name: format!("t{index}"), chains }
    }

    fn print(&self, text: &mut String) {
        let _ = writeln!(text, "table {} {} {{", self.family, self.name);
        if self.family != "netdev" {
            text.push_str(NAMED);
        }
        for chain in &self.chains {
            let _ = writeln!(text, "  chain {} {{", chain.name);
            if let Some(Base { kind, hook, priority, drops }) = chain.base {
                let device = if matches!(hook, "ingress" | "egress") { " device \"vb\"" } else { "" };
                let policy = if drops { "drop" } else { "accept" };
                let _ = writeln!(text, "    type {kind} hook {hook}{device} priority {priority}; policy {policy};");
            }
            for rule in &chain.rules {
                let _ = writeln!(text, "    {rule}");
            }
            text.push_str("  }\n");
        }
        text.push_str("}\n");
    }
}

const NAMED: &str = "  set peers { type ipv4_addr; flags interval; elements = { 10.9.0.1, 10.20.0.0/16 } }
  set others { type ipv4_addr; elements = { 10.9.0.7, 10.9.0.8 } }
  set services { type inet_service; elements = { 8080, 9000 } }
  set pairs { type ipv4_addr . inet_service; elements = { 10.9.0.1 . 8080, 10.9.0.2 . 9000 } }
";

impl Base {
    fn draw(random: &mut Rng, family: &str) -> Self {
        if family == "netdev" {
            let hook = *pick(random, &["ingress", "egress"]);
            return Self { kind: "filter", hook, priority: *pick(random, &[-10, 0, 10]), drops: random.u8(0..8) == 0 };
        }
        match random.u8(0..10) {
            0..=6 => {
                let hooks = ["input", "input", "output", "prerouting", "postrouting", "forward", "output", "input"];
                let hook = if family == "inet" && random.u8(0..12) == 0 { "ingress" } else { pick(random, &hooks) };
                let priority =
                    if hook == "ingress" { 0 } else { *pick(random, &[-300, -150, -10, 0, 0, 0, 10, 50, 150, 300]) };
                Self { kind: "filter", hook, priority, drops: random.u8(0..5) == 0 }
            }
            7 | 8 => {
                let (hook, priority) = *pick(
                    random,
                    &[
                        ("prerouting", -100),
                        ("output", -100),
                        ("input", 100),
                        ("postrouting", 100),
                        ("prerouting", -90),
                    ],
                );
                Self { kind: "nat", hook, priority, drops: random.u8(0..12) == 0 }
            }
            _ => Self { kind: "route", hook: "output", priority: *pick(random, &[-150, -300, 0]), drops: false },
        }
    }
}

fn pick<'a, T>(random: &mut Rng, from: &'a [T]) -> &'a T {
    &from[random.usize(0..from.len())]
}

fn rule(random: &mut Rng, family: &str, base: Option<Base>, jumps: &[String]) -> String {
    let conditions = *pick(random, &[0, 1, 1, 1, 2, 2, 3]);
    let mut words: Vec<String> = vec![];
    let mut l4 = None;
    let v4 = family == "ip" || (family != "ip6" && random.bool());
    for _ in 0..conditions {
        let condition = condition(random, family, v4, base, &mut l4);
        if !words.contains(&condition) {
            words.push(condition);
        }
    }
    words.push(end(random, family, base, jumps, l4));
    words.join(" ")
}

/// A condition; `l4` remembers the protocol that an earlier one established.
fn condition(random: &mut Rng, family: &str, v4: bool, base: Option<Base>, l4: &mut Option<&'static str>) -> String {
    let is_netdev = family == "netdev" || base.is_some_and(|base| base.hook == "ingress");
    let not = if random.u8(0..5) == 0 { "!= " } else { "" };
    let end = *pick(random, &["saddr", "daddr"]);
    let l4_of = |l4: &mut Option<&'static str>, of: &'static str| -> bool {
        if l4.is_none_or(|bound| bound == of) {
            *l4 = Some(of);
            return true;
        }
        false
    };
    match random.u8(0..26) {
        0..=3 if v4 => {
            let what = pick(
                random,
                &[
                    "10.9.0.1",
                    "10.9.0.2",
                    "10.9.0.0/24",
                    "{ 10.9.0.1, 10.8.0.0/16 }",
                    "10.9.0.2-10.9.0.9",
                    "10.0.0.0/8",
                    "10.8.0.2",
                ],
            );
            format!("ip {end} {not}{what}")
        }
        0..=3 => {
            let what = pick(random, &["fd09::1", "fd09::2", "fd09::/64", "{ fd09::1, fd08::/16 }", "fd00::/8"]);
            format!("ip6 {end} {not}{what}")
        }
        4 if v4 && !is_netdev => format!("ip {end} {not}@{}", pick(random, &["peers", "others"])),
        5 if v4 && !is_netdev => {
            let (is_tcp, is_udp) = (l4_of(l4, "tcp"), l4_of(l4, "udp"));
            match (is_tcp, is_udp) {
                (true, _) => format!("ip saddr . tcp dport {not}@pairs"),
                (_, true) => format!("ip daddr . udp dport {not}@pairs"),
                _ => format!("ip {end} 10.9.0.0/16"),
            }
        }
        6..=8 if l4_of(l4, "tcp") => {
            let what = pick(random, &["8080", "8081", "{ 8080, 9000-9010 }", "8000-8080", "@services"]);
            let what = if is_netdev && what.starts_with('@') { "8080" } else { what };
            format!("tcp {} {not}{what}", pick(random, &["dport", "dport", "dport", "sport"]))
        }
        9 | 10 if l4_of(l4, "udp") => {
            let what = pick(random, &["9000", "{ 9000, 53 }", "53", "9000-9100"]);
            format!("udp {} {not}{what}", pick(random, &["dport", "dport", "sport"]))
        }
        11 | 12 if v4 && l4_of(l4, "icmp") => {
            format!(
                "icmp type {not}{}",
                pick(
                    random,
                    &["echo-request", "echo-reply", "{ echo-request, echo-reply }", "destination-unreachable"]
                )
            )
        }
        11 | 12 if !v4 && l4_of(l4, "icmpv6") => {
            format!(
                "icmpv6 type {not}{}",
                pick(random, &["echo-request", "echo-reply", "{ echo-request, nd-neighbor-solicit }"])
            )
        }
        13 if l4_of(l4, "tcp") => (*pick(
            random,
            &[
                "tcp flags syn / syn,ack",
                "tcp flags & (fin | syn | rst | ack) == syn",
                "tcp flags rst",
                "tcp flags syn,ack / syn,ack",
            ],
        ))
        .to_owned(),
        14..=16 if !is_netdev => format!(
            "ct state {not}{}",
            pick(
                random,
                &[
                    "new",
                    "established",
                    "established,related",
                    "{ new, established }",
                    "invalid",
                    "untracked",
                    "new,established"
                ]
            )
        ),
        17 if !is_netdev => (*pick(
            random,
            &[
                "ct direction original",
                "ct direction reply",
                "ct status dnat",
                "ct status snat",
                "ct status & (snat|dnat) != 0",
                "ct mark 0x0",
                "ct mark 0x5",
                "ct protocol tcp",
            ],
        ))
        .to_owned(),
        18 => format!("meta mark {not}{}", pick(random, &["0x0", "0x1", "0x2", "& 0x3 == 0x1"])).replace("!= &", "&"),
        19 if !is_netdev => format!(
            "{} {not}{}",
            pick(random, &["iifname", "oifname"]),
            pick(random, &["\"vb\"", "\"v*\"", "\"lo\"", "{ \"vb\", \"lo\" }", "\"vx\""])
        ),
        20 if l4.is_none() => {
            let (what, of) = *pick(
                random,
                &[
                    ("tcp", "tcp"),
                    ("udp", "udp"),
                    ("icmp", "icmp"),
                    ("ipv6-icmp", "icmpv6"),
                    ("{ tcp, udp }", "several"),
                    ("{ icmp, ipv6-icmp }", "several"),
                ],
            );
            *l4 = Some(if not.is_empty() { of } else { "several" });
            format!("meta l4proto {not}{what}")
        }
        21 if family == "inet" || is_netdev => (if v4 { "meta protocol ip" } else { "meta protocol ip6" }).to_owned(),
        22 if !is_netdev && base.is_some_and(|base| matches!(base.hook, "prerouting" | "input" | "output")) => {
            format!("fib {end} type {not}{}", pick(random, &["local", "unicast"]))
        }
        23 if v4 => format!(
            "ip {}",
            pick(random, &["ttl < 10", "ttl 64", "version 4", "frag-off & 0x1fff != 0", "protocol != 1"])
        ),
        24 => format!("meta length {}", pick(random, &["< 50", "> 1000", "40-100"])),
        25 if base.is_some_and(|base| base.hook == "output") => {
            (*pick(random, &["meta skuid 0", "meta skuid != 0", "meta skuid 1000"])).to_owned()
        }
        _ => String::from("counter"),
    }
}

fn end(random: &mut Rng, family: &str, base: Option<Base>, jumps: &[String], l4: Option<&'static str>) -> String {
    if let Some(base) = base.filter(|base| base.kind == "nat") {
        return translation(random, family, base, l4);
    }
    let hook = base.map_or("", |base| base.hook);
    let rejects = matches!(hook, "input" | "output" | "forward");
    match random.u8(0..24) {
        0..=6 => String::from("accept"),
        7..=12 => String::from("drop"),
        13 if rejects && l4 == Some("tcp") => String::from("reject with tcp reset"),
        13 | 14 if rejects => match family {
            "ip" => format!(
                "reject with icmp {}",
                pick(random, &["port-unreachable", "admin-prohibited", "host-unreachable"])
            ),
            "ip6" => format!("reject with icmpv6 {}", pick(random, &["port-unreachable", "admin-prohibited"])),
            _ => format!(
                "reject with icmpx {}",
                pick(random, &["port-unreachable", "admin-prohibited", "no-route", "host-unreachable"])
            ),
        },
        15 | 16 => format!("meta mark set {}", pick(random, &["0x1", "0x2", "0x5"])),
        17 if family != "netdev" && hook != "ingress" && base.is_none_or(|base| base.priority > -200) => {
            (*pick(random, &["ct mark set 0x5", "ct mark set meta mark", "meta mark set ct mark"])).to_owned()
        }
        18 if base.is_some_and(|base| base.priority < -200 && matches!(base.hook, "prerouting" | "output")) => {
            String::from("notrack")
        }
        19 if family != "netdev" && hook != "ingress" => {
            let to = jumps.first().map_or_else(|| String::from("drop"), |chain| format!("jump {chain}"));
            match random.u8(0..4) {
                0 => format!("ct state vmap {{ new : {to}, established : accept }}"),
                1 => format!("meta l4proto vmap {{ tcp : {to}, udp : continue, icmp : accept }}"),
                2 if l4 == Some("tcp") => format!("tcp dport vmap {{ 8080 : {to}, 8081-8090 : return }}"),
                _ => format!("meta mark vmap {{ 0x0 : continue, 0x1 : {to}, 0x2 : return }}"),
            }
        }
        20 | 21 if !jumps.is_empty() => format!("{} {}", pick(random, &["jump", "jump", "goto"]), pick(random, jumps)),
        22 => String::from("return"),
        _ => String::from("counter"),
    }
}

fn translation(random: &mut Rng, family: &str, base: Base, l4: Option<&'static str>) -> String {
    let of = match family {
        "inet" => *pick(random, &["ip", "ip6"]),
        family => family,
    };
    let inet = if family == "inet" { format!(" {of}") } else { String::new() };
    let source = matches!(base.hook, "input" | "postrouting");
    let (own, other, far) =
        if of == "ip" { ("10.8.0.2", "10.9.0.77", "10.8.0.1") } else { ("fd08::2", "fd09::77", "fd08::1") };
    let port = if matches!(l4, Some("tcp" | "udp")) { ":8081" } else { "" };
    let bracketed =
        |address: &str| if of == "ip6" && !port.is_empty() { format!("[{address}]") } else { address.to_owned() };
    match (random.u8(0..8), source) {
        (0, _) => String::from("accept"),
        (1, _) => String::from("counter"),
        (2, true) if base.hook == "postrouting" => String::from("masquerade"),
        (2, false) if l4.is_some_and(|l4| matches!(l4, "tcp" | "udp")) => format!("redirect to {port}"),
        (2 | 3, false) => String::from("redirect"),
        (_, true) => format!("snat{inet} to {}", pick(random, &[own, own, other])),
        (4, false) => format!("dnat{inet} to {}{port}", bracketed(far)),
        (5, false) => format!("dnat{inet} to {other}"),
        (_, false) => format!("dnat{inet} to {}{port}", bracketed(own)),
    }
}
