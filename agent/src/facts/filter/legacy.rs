//! Legacy iptables tables, which netlink does not show: read with `iptables-legacy-save`, typed like the rules of nftables.
//!
//! The kernel passes these tables at the same hooks as chains of nftables, with fixed priorities
//! (`linux/netfilter_ipv4.h`). A rule's handle is its position in its chain. What is not understood is named.

use super::xtables::{between, equality, reject, states, within};
use pingtong_evidence::{
    Cidr, Policy,
    packet_filter::{
        BaseChain, Chain, ChainKind, Condition, Family, Field, FirewallHook, LEGACY_PREFIX, Limit, LimitUnit, Nat,
        NatKind, Operand, Rule, Source, SourceRange, Span, Statement, Table, Test, Value, Verdict,
    },
};
use std::{iter::Peekable, net::IpAddr, process::Command, vec::IntoIter};

/// `XT_LIMIT_BURST`, which is not printed.
const LIMIT_BURST: u32 = 5;
const ALL_PORTS: (u16, u16) = (0, u16::MAX);
/// `NFPROTO_IPV6` and `NFPROTO_IPV4`.
const FAMILIES: [(u8, Family, &str, &str); 2] = [
    (2, Family::Ip, "/proc/thread-self/net/ip_tables_names", "iptables"),
    (10, Family::Ip6, "/proc/thread-self/net/ip6_tables_names", "ip6tables"),
];

/// The legacy tables of this network namespace; `None` if there are some that cannot be read.
pub(super) fn read() -> Option<Vec<Table>> {
    let mut all = vec![];
    for (number, family, names, tool) in FAMILIES {
        let names = std::fs::read_to_string(names).unwrap_or_default();
        let names: Vec<&str> = names.split_whitespace().collect();
        if names.is_empty() {
            continue;
        }
        let tables = parse(&saved(tool)?, number, &family)?;
        let is_listed = |name: &&str| tables.iter().any(|table| table.name.strip_prefix(LEGACY_PREFIX) == Some(name));
        if !names.iter().all(is_listed) {
            return None;
        }
        all.extend(tables);
    }
    Some(all)
}

/// What `iptables-legacy-save` prints, or `iptables-save` where that is the legacy one.
fn saved(tool: &str) -> Option<String> {
    let run = |name: String, argument: Option<&str>| {
        let out = Command::new(name).args(argument).output().ok().filter(|out| out.status.success())?;
        String::from_utf8(out.stdout).ok()
    };
    run(format!("{tool}-legacy-save"), None).or_else(|| {
        let version = run(format!("{tool}-save"), Some("--version"))?;
        let is_legacy = version.contains("legacy") || !version.contains("nf_tables");
        is_legacy.then(|| run(format!("{tool}-save"), None))?
    })
}

/// Parses the output of `iptables-save`; `None` if its structure is not understood.
fn parse(text: &str, number: u8, family: &Family) -> Option<Vec<Table>> {
    let mut tables: Vec<Table> = vec![];
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('*') {
            let name = format!("{LEGACY_PREFIX}{name}");
            tables.push(Table { family: family.clone(), name, dormant: false, chains: vec![], sets: vec![] });
        } else if let Some(chain) = line.strip_prefix(':') {
            let table = tables.last_mut()?;
            let mut words = chain.split_whitespace();
            let (name, policy) = (words.next()?, words.next()?);
            let base = base(table.name.strip_prefix(LEGACY_PREFIX)?, name, policy);
            table.chains.push(Chain { name: name.to_owned(), base, rules: vec![] });
        } else if line != "COMMIT" {
            let table = tables.last_mut()?;
            let names: Vec<String> = table.chains.iter().map(|chain| chain.name.clone()).collect();
            let mut words = split(line)?.into_iter().peekable();
            while words.peek()?.starts_with('[') {
                words.next();
            }
            if words.next()? != "-A" {
                return None;
            }
            let name = words.next()?;
            let chain = table.chains.iter_mut().find(|chain| chain.name == name)?;
            let statements = Reader { words, number, family, chains: &names, protocol: None, found: vec![] }.read();
            let handle = u64::try_from(chain.rules.len()).ok()? + 1;
            chain.rules.push(Rule { handle, statements });
        }
    }
    Some(tables)
}

/// Where packets enter a chain; `None` for one that only rules lead to.
fn base(table: &str, chain: &str, policy: &str) -> Option<BaseChain> {
    let hook = match chain {
        "PREROUTING" => FirewallHook::Prerouting,
        "INPUT" => FirewallHook::Input,
        "FORWARD" => FirewallHook::Forward,
        "OUTPUT" => FirewallHook::Output,
        "POSTROUTING" => FirewallHook::Postrouting,
        _ => return None,
    };
    let policy = match policy {
        "ACCEPT" => Policy::Accept,
        "DROP" => Policy::Drop,
        _ => return None,
    };
    let (kind, priority) = match (table, hook) {
        ("raw", _) => (ChainKind::Filter, -300),
        ("mangle", FirewallHook::Output) => (ChainKind::Route, -150),
        ("mangle", _) => (ChainKind::Filter, -150),
        ("nat", FirewallHook::Prerouting | FirewallHook::Output) => (ChainKind::Nat, -100),
        ("nat", _) => (ChainKind::Nat, 100),
        ("security", _) => (ChainKind::Filter, 50),
        _ => (ChainKind::Filter, 0),
    };
    Some(BaseChain { kind, hook, priority, policy, devices: vec![] })
}

/// Words of a line, of which some are in quotes with `\` before a quote.
fn split(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quoted, mut is_word) = (vec![], String::new(), false, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => (quoted, is_word) = (!quoted, true),
            '\\' if quoted => word.push(letters.next()?),
            ' ' if !quoted => {
                if std::mem::take(&mut is_word) {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => {
                word.push(other);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push(word);
    }
    (!quoted).then_some(words)
}

/// Reads the words of a rule behind its chain.
struct Reader<'r> {
    words: Peekable<IntoIter<String>>,
    number: u8,
    family: &'r Family,
    chains: &'r [String],
    protocol: Option<u64>,
    found: Vec<Statement>,
}

/// Options of one match or target: an inversion, a name, values.
type Options = Vec<(bool, String, Vec<String>)>;

fn compare(field: Field, value: Value, inverted: bool) -> Condition {
    Condition::new(field, Test::Compare { how: equality(inverted), value })
}

fn unknown(name: &str) -> Statement {
    Statement::NotUnderstood { name: format!("xt {name}") }
}

impl Reader<'_> {
    fn read(mut self) -> Vec<Statement> {
        // Matches on the packet itself come first, in any order.
        let mut inverted = false;
        while let Some(word) = self.words.next() {
            match word.as_str() {
                "!" => {
                    inverted = true;
                    continue;
                }
                "-s" | "-d" | "-i" | "-o" | "-p" => {
                    let Some(value) = self.words.next() else { break };
                    match self.own(&word, &value, inverted) {
                        Some(condition) => self.found.push(Statement::Match(condition)),
                        None => self.found.push(unknown(&format!("{word} {value}"))),
                    }
                }
                "-m" => {
                    let Some(name) = self.words.next() else { break };
                    let options = self.options();
                    match self.matched(&name, &options) {
                        Some(statements) => self.found.extend(statements),
                        None => self.found.push(unknown(&name)),
                    }
                }
                "-j" | "-g" => {
                    let Some(name) = self.words.next() else { break };
                    let options = self.options();
                    let target = if word == "-g" && self.chains.contains(&name) {
                        Some(vec![Statement::Verdict(Verdict::Goto(name.clone()))])
                    } else {
                        self.target(&name, &options)
                    };
                    self.found.extend(target.unwrap_or_else(|| vec![unknown(&name)]));
                }
                other => self.found.push(unknown(other)),
            }
            inverted = false;
        }
        self.found
    }

    /// The words up to the next match or target.
    fn options(&mut self) -> Options {
        let mut options: Options = vec![];
        let mut inverted = false;
        while let Some(word) = self.words.next_if(|word| !matches!(word.as_str(), "-m" | "-j" | "-g")) {
            if word == "!" {
                inverted = true;
            } else if word.starts_with("--") {
                options.push((std::mem::take(&mut inverted), word, vec![]));
            } else if let Some((_, _, values)) = options.last_mut() {
                values.push(word);
            }
        }
        options
    }

    fn own(&mut self, option: &str, value: &str, inverted: bool) -> Option<Condition> {
        let is_v4 = *self.family == Family::Ip;
        let of = |v4: Field, v6: Field| if is_v4 { v4 } else { v6 };
        Some(match option {
            "-s" => compare(of(Field::IpSource, Field::Ip6Source), block(value)?, inverted),
            "-d" => compare(of(Field::IpDestination, Field::Ip6Destination), block(value)?, inverted),
            "-i" | "-o" => {
                let field = if option == "-i" { Field::MetaIifname } else { Field::MetaOifname };
                let name = match value.strip_suffix('+') {
                    Some(start) => Value::NameStart(start.to_owned()),
                    None => Value::Name(value.to_owned()),
                };
                compare(field, name, inverted)
            }
            _ => {
                let number = protocol(value)?;
                self.protocol = Some(number).filter(|_| !inverted);
                compare(Field::MetaL4proto, Value::Number(number), inverted)
            }
        })
    }

    fn matched(&self, name: &str, options: &Options) -> Option<Vec<Statement>> {
        let mut found = vec![];
        let burst =
            options.iter().find(|(_, option, _)| option == "--limit-burst").and_then(|(.., values)| values.first());
        let burst = burst.map_or(Some(LIMIT_BURST), |text| text.parse().ok())?;
        for (inverted, option, values) in options {
            let value = || values.first().map(String::as_str);
            let condition = match (name, option.as_str()) {
                ("comment", _) | ("limit", "--limit-burst") => continue,
                ("limit", "--limit") if !inverted => {
                    let (rate, unit) = value()?.split_once('/')?;
                    let per_seconds = match unit {
                        "s" | "sec" | "second" => 1,
                        "m" | "min" | "minute" => 60,
                        "h" | "hour" => 3_600,
                        "d" | "day" => 86_400,
                        _ => return None,
                    };
                    let rate = rate.parse().ok()?;
                    found.push(Statement::Limit(Limit {
                        unit: LimitUnit::Packets,
                        rate,
                        per_seconds,
                        burst,
                        over: false,
                    }));
                    continue;
                }
                ("tcp" | "udp", "--sport" | "--dport") => {
                    let field = self.port(option == "--sport")?;
                    match between(field, ports(value()?)?, ALL_PORTS, *inverted) {
                        Some(condition) => condition,
                        None => continue,
                    }
                }
                ("tcp", "--tcp-flags") => {
                    let [mask, flags] = values.as_slice() else { return None };
                    let mask = Some(Value::Number(tcp_flags(mask)?));
                    let operand = Operand { field: Field::TcpFlags, mask };
                    let value = Value::Number(tcp_flags(flags)?);
                    Condition { operands: vec![operand], test: Test::Compare { how: equality(*inverted), value } }
                }
                ("icmp", "--icmp-type") | ("icmp6", "--icmpv6-type") => {
                    let (icmp_type, code) = value()?.split_once('/').map_or((value()?, None), |(t, c)| (t, Some(c)));
                    if icmp_type == "any" || (name == "icmp" && icmp_type == "255") {
                        if *inverted {
                            return None;
                        }
                        continue;
                    }
                    let (kind, of_code) = if name == "icmp" {
                        (Field::IcmpType, Field::IcmpCode)
                    } else {
                        (Field::Icmpv6Type, Field::Icmpv6Code)
                    };
                    if let Some(code) = code {
                        // The inversion is of type and code together, which is no list of conditions.
                        if *inverted {
                            return None;
                        }
                        let number = Value::Number(code.parse().ok()?);
                        found.push(Statement::Match(compare(of_code, number, false)));
                    }
                    compare(kind, Value::Number(icmp_type.parse().ok()?), *inverted)
                }
                ("multiport", "--sports" | "--dports") => {
                    let field = self.port(option == "--sports")?;
                    let span = |each: &str| {
                        let (first, last) = ports(each)?;
                        let (first, last) = (Value::Number(first.into()), Value::Number(last.into()));
                        Some(if first == last { Span::One(first) } else { Span::Range { first, last } })
                    };
                    let keys: Option<Vec<Span>> = value()?.split(',').map(span).collect();
                    within(field, "multiport", keys?, *inverted)
                }
                ("conntrack", "--ctstate") | ("state", "--state") => {
                    let bit = |state: &str| match state {
                        "INVALID" => Some(1),
                        "ESTABLISHED" => Some(1 << 1),
                        "RELATED" => Some(1 << 2),
                        "NEW" => Some(1 << 3),
                        "UNTRACKED" => Some(1 << 8),
                        // Translated connections.
                        _ => None,
                    };
                    let bits = value()?.split(',').map(bit).try_fold(0, |all, bit| Some(all | bit?))?;
                    states(bits, *inverted)?
                }
                ("mark", "--mark") => {
                    let (value, mask) = marked(value()?)?;
                    let mask = (mask != u32::MAX).then(|| Value::Number(mask.into()));
                    let operand = Operand { field: Field::MetaMark, mask };
                    let test = Test::Compare { how: equality(*inverted), value: Value::Number(value.into()) };
                    Condition { operands: vec![operand], test }
                }
                _ => return None,
            };
            found.push(Statement::Match(condition));
        }
        Some(found)
    }

    fn port(&self, source: bool) -> Option<Field> {
        match (self.protocol?, source) {
            (6, true) => Some(Field::TcpSourcePort),
            (6, false) => Some(Field::TcpDestinationPort),
            (17, true) => Some(Field::UdpSourcePort),
            (17, false) => Some(Field::UdpDestinationPort),
            (_, true) => Some(Field::ThSourcePort),
            (_, false) => Some(Field::ThDestinationPort),
        }
    }

    fn target(&self, name: &str, options: &Options) -> Option<Vec<Statement>> {
        let option = |wanted: &str| options.iter().find(|(_, option, _)| option == wanted);
        let value = |wanted: &str| option(wanted).and_then(|(_, _, values)| values.first()).map(String::as_str);
        Some(vec![match name {
            "ACCEPT" => Statement::Verdict(Verdict::Accept),
            "DROP" => Statement::Verdict(Verdict::Drop),
            "RETURN" => Statement::Verdict(Verdict::Return),
            "LOG" | "NFLOG" => Statement::Log,
            "NOTRACK" => Statement::NoTrack,
            "CT" if options.len() == 1 && option("--notrack").is_some() => Statement::NoTrack,
            "REJECT" => Statement::Reject(reject(rejection(value("--reject-with")?, self.number)?, self.number)?),
            "MARK" => match marked(value("--set-xmark")?)? {
                (mark, u32::MAX) => {
                    Statement::Assign { field: Field::MetaMark, to: Source::Value(Value::Number(mark.into())) }
                }
                _ => return None,
            },
            "SNAT" => self.nat(NatKind::Snat, Some(value("--to-source")?), None)?,
            "DNAT" => self.nat(NatKind::Dnat, Some(value("--to-destination")?), None)?,
            "MASQUERADE" => self.nat(NatKind::Masquerade, None, value("--to-ports"))?,
            "REDIRECT" => self.nat(NatKind::Redirect, None, value("--to-ports"))?,
            chain if self.chains.iter().any(|name| name == chain) => {
                Statement::Verdict(Verdict::Jump(chain.to_owned()))
            }
            _ => return None,
        }])
    }
}

impl Reader<'_> {
    fn nat(&self, kind: NatKind, to: Option<&str>, to_ports: Option<&str>) -> Option<Statement> {
        // An address of IPv6 is in brackets where a port follows.
        let (address, port) = match to {
            None => ("", to_ports),
            Some(to) if *self.family == Family::Ip => {
                to.split_once(':').map_or((to, None), |(to, port)| (to, Some(port)))
            }
            Some(to) => match to.strip_prefix('[').and_then(|to| to.split_once(']')) {
                Some((to, "")) => (to, None),
                Some((to, port)) => (to, Some(port.strip_prefix(':')?)),
                None => (to, None),
            },
        };
        let range = |text: &str, value: &dyn Fn(&str) -> Option<Value>| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some(SourceRange { first: Source::Value(value(first)?), last: Source::Value(value(last)?) })
        };
        let address = match address {
            "" => None,
            text => Some(range(text, &|each| each.parse().ok().map(Value::Address))?),
        };
        let port = match port {
            Some(text) => Some(range(text, &|each| each.parse::<u16>().ok().map(|port| Value::Number(port.into())))?),
            None => None,
        };
        Some(Statement::Nat(Box::new(Nat { kind, family: Some(self.family.clone()), address, port })))
    }
}

fn block(text: &str) -> Option<Value> {
    let block = match text.split_once('/') {
        None => Cidr::host(text.parse().ok()?),
        // A mask that is no prefix is not understood.
        Some((_, length)) if length.parse::<u8>().is_ok() => Cidr::parse_masked(text).ok()?,
        Some((address, mask)) => {
            let mask = mask.parse::<std::net::Ipv4Addr>().ok()?.to_bits();
            let length = u8::try_from(mask.leading_ones()).ok()?;
            (mask.count_ones() == u32::from(length)).then_some(())?;
            Cidr::around(address.parse::<IpAddr>().ok()?, length)
        }
    };
    let is_host = block.prefix_length() == if block.is_ipv4() { 32 } else { 128 };
    Some(if is_host { Value::Address(block.network()) } else { Value::Prefix(block) })
}

/// Number of a protocol in the words of `/etc/protocols` that iptables prints.
fn protocol(text: &str) -> Option<u64> {
    Some(match text {
        "icmp" => 1,
        "tcp" => 6,
        "udp" => 17,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "icmpv6" | "ipv6-icmp" => 58,
        "sctp" => 132,
        "udplite" => 136,
        number => return number.parse::<u8>().ok().map(Into::into),
    })
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}

fn tcp_flags(text: &str) -> Option<u64> {
    let bit = |flag: &str| match flag {
        "NONE" => Some(0),
        "FIN" => Some(1),
        "SYN" => Some(2),
        "RST" => Some(4),
        "PSH" => Some(8),
        "ACK" => Some(16),
        "URG" => Some(32),
        "ALL" => Some(63),
        _ => None,
    };
    text.split(',').map(bit).try_fold(0, |all, bit| Some(all | bit?))
}

/// A mark, and the bits of it that count.
fn marked(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match text.split_once('/') {
        Some((value, mask)) => Some((number(value)?, number(mask)?)),
        None => Some((number(text)?, u32::MAX)),
    }
}

/// The number of an error in `enum ipt_reject_with` or `enum ip6t_reject_with`.
fn rejection(name: &str, family: u8) -> Option<u32> {
    let names: &[(&str, u32)] = if family == 10 {
        &[
            ("icmp6-no-route", 0),
            ("icmp6-adm-prohibited", 1),
            ("icmp6-addr-unreachable", 3),
            ("icmp6-port-unreachable", 4),
            ("tcp-reset", 6),
        ]
    } else {
        &[
            ("icmp-net-unreachable", 0),
            ("icmp-host-unreachable", 1),
            ("icmp-proto-unreachable", 2),
            ("icmp-port-unreachable", 3),
            ("icmp-net-prohibited", 5),
            ("icmp-host-prohibited", 6),
            ("tcp-reset", 7),
            ("icmp-admin-prohibited", 8),
        ]
    };
    names.iter().find(|(each, _)| *each == name).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: &str = r#"# Generated by iptables-save v1.8.9
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
[0:0] -A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080
[0:0] -A PREROUTING -d 10.0.0.9/32 -j DNAT --to-destination 10.1.0.1-10.1.0.3:80
COMMIT
*filter
:INPUT DROP [3:210]
:X - [0:0]
-A INPUT ! -s 10.0.0.0/8 -p icmp -m icmp --icmp-type 8 -m comment --comment "a \"word\" -j X" -j DROP
-A INPUT -i eth+ ! -o eth1 -p tcp -m multiport --dports 1,2:5 -m conntrack --ctstate NEW,ESTABLISHED -g X
-A X -m recent --update --seconds 60 --name DEFAULT -j REJECT --reject-with icmp-host-prohibited
-A X -j TPROXY --on-port 1
COMMIT
"#;

    #[test]
    fn what_iptables_save_prints_reads_as_typed_rules() {
        let tables = parse(SAVED, 2, &Family::Ip).unwrap();
        let [nat, filter] = &tables[..] else { panic!("{tables:?}") };
        let base = |table: &Table, chain: usize| {
            table.chains[chain].base.as_ref().map(|base| (base.hook, base.priority, base.policy))
        };
        assert_eq!(base(nat, 0), Some((FirewallHook::Prerouting, -100, Policy::Accept)));
        assert_eq!((base(filter, 0), base(filter, 1)), (Some((FirewallHook::Input, 0, Policy::Drop)), None));
        let text = |table: &Table, chain: usize| -> Vec<String> {
            let words = |rule: &Rule| rule.statements.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            table.chains[chain].rules.iter().map(words).collect()
        };
        assert_eq!(
            text(nat, 0),
            ["meta l4proto tcp tcp dport 80 redirect to :8080", "ip daddr 10.0.0.9 dnat to 10.1.0.1-10.1.0.3:80"]
        );
        assert_eq!(
            text(filter, 0),
            [
                "ip saddr != 10.0.0.0/8 meta l4proto icmp icmp type echo-request drop",
                "iifname \"eth*\" oifname != \"eth1\" meta l4proto tcp tcp dport { 1, 2-5 } ct state established,new goto X",
            ]
        );
        let of = |rule: usize| filter.chains[1].rules[rule].statements.clone();
        assert!(matches!(&of(0)[..], [Statement::NotUnderstood { name }, Statement::Reject(_)] if name == "xt recent"));
        assert_eq!(of(1), [unknown("TPROXY")]);
        assert_eq!(filter.chains[1].rules[1].handle, 2);
        assert!(parse("*filter\n-A INPUT -j DROP\n", 2, &Family::Ip).is_none(), "a chain that is not listed");
    }
}
