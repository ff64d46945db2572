//! Parser for the nftables language: splits text into words and translates rules into the expressions of `plane::nft`.

use super::{PACKAGE, Refusal};
use crate::plane::nft::{Comparison, Field, Rule, state};
use ipnet::Ipv4Net;
use std::collections::VecDeque;

const IPV4: u8 = 2;
const INET: u8 = 1;
const NETDEV: u8 = 5;
const ETHER_TYPE_IPV4: [u8; 2] = [0x08, 0x00];

/// A text split into words; braces, commas and ends of statements are separate words.
pub(super) struct Words(VecDeque<String>);

impl Words {
    pub(super) fn new(text: &str) -> Self {
        let mut words = VecDeque::new();
        let mut word = String::new();
        let mut end = |word: &mut String| {
            if !word.is_empty() {
                words.push_back(std::mem::take(word));
            }
        };
        let (mut quoted, mut comment) = (false, false);
        let mut found = Vec::new();
        for letter in text.chars() {
            comment &= letter != '\n';
            match letter {
                _ if comment => {}
                '"' => quoted = !quoted,
                _ if quoted => word.push(letter),
                '#' => comment = true,
                '\n' | ';' | '{' | '}' | ',' => {
                    found.push(std::mem::take(&mut word));
                    found.push(if letter == '\n' { ";".to_owned() } else { letter.to_string() });
                }
                _ if letter.is_whitespace() => found.push(std::mem::take(&mut word)),
                _ => word.push(letter),
            }
        }
        found.push(word);
        found.iter_mut().for_each(&mut end);
        Self(words)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn next(&mut self, what: &str) -> Result<String, Refusal> {
        self.0.pop_front().ok_or_else(|| Refusal::new(format!("syntax error: the command ends where {what} belongs")))
    }

    pub(super) fn back(&mut self, word: &str) {
        self.0.push_front(word.to_owned());
    }

    pub(super) fn take_if(&mut self, word: &str) -> bool {
        let is = self.0.front().is_some_and(|next| next == word);
        if is {
            self.0.pop_front();
        }
        is
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), Refusal> {
        let next = self.next(word)?;
        if next == word { Ok(()) } else { Err(Refusal::new(format!("syntax error: {next:?} where {word:?} belongs"))) }
    }

    pub(super) fn number(&mut self) -> Result<u64, Refusal> {
        let word = self.next("a number")?;
        word.parse().map_err(|_| Refusal::new(format!("syntax error: {word:?} where a number belongs")))
    }

    /// Reads an optional address family; the default is `ip`.
    pub(super) fn family(&mut self) -> u8 {
        for (name, family) in [("inet", INET), ("ip6", 10), ("arp", 3), ("bridge", 7), ("netdev", NETDEV)] {
            if self.take_if(name) {
                return family;
            }
        }
        self.take_if("ip");
        IPV4
    }

    /// Reads a hook's priority: a number, a name, or a name with an offset.
    pub(super) fn priority(&mut self) -> Result<i32, Refusal> {
        let word = self.next("a priority")?;
        let base = match word.as_str() {
            "raw" => -300,
            "mangle" => -150,
            "dstnat" => -100,
            "filter" => 0,
            "security" => 50,
            "srcnat" => 100,
            number => {
                return number.parse().map_err(|_| Refusal::new(format!("{word:?} is not a priority")));
            }
        };
        let sign = if self.take_if("+") { 1 } else { -i32::from(self.take_if("-")) };
        if sign == 0 {
            return Ok(base);
        }
        Ok(base + sign * i32::try_from(self.number()?).unwrap_or_default())
    }

    fn ends(&self) -> bool {
        self.0.front().is_none_or(|next| next == ";" || next == "}")
    }

    /// Reads one value or the values of a set, and whether `!=` precedes them.
    fn values(&mut self) -> Result<(bool, Vec<String>), Refusal> {
        let differ = self.take_if("!=");
        self.take_if("==");
        if !self.take_if("{") {
            let mut values = vec![self.next("a value")?];
            while self.take_if(",") {
                values.push(self.next("a value")?);
            }
            return Ok((differ, values));
        }
        let mut values = Vec::new();
        while !self.take_if("}") {
            if !self.take_if(",") {
                values.push(self.next("a value")?);
            }
        }
        Ok((differ, values))
    }
}

/// The rules that one line stands for (one for each value of its sets), each with its text.
pub(super) fn rules(words: &mut Words, family: u8) -> Result<Vec<(Rule, String)>, Refusal> {
    let mut rules = vec![(Rule::new(), String::new())];
    while !words.ends() {
        let alternatives = clause(words, family)?;
        rules = rules
            .iter()
            .flat_map(|(rule, text)| {
                alternatives
                    .iter()
                    .map(move |(apply, said)| (apply(rule.clone()), format!("{text} {said}").trim().to_owned()))
            })
            .collect();
    }
    Ok(rules)
}

type Clause = (Box<dyn Fn(Rule) -> Rule>, String);

#[expect(clippy::unnecessary_wraps, reason = "the usual end of a clause, which may be refused")]
fn one(apply: impl Fn(Rule) -> Rule + 'static, said: &str) -> Result<Vec<Clause>, Refusal> {
    Ok(vec![(Box::new(apply), said.to_owned())])
}

fn clause(words: &mut Words, family: u8) -> Result<Vec<Clause>, Refusal> {
    let word = words.next("a statement")?;
    match word.as_str() {
        "accept" => one(Rule::accept, "accept"),
        "drop" => one(Rule::drop, "drop"),
        "return" => one(Rule::leave, "return"),
        "jump" => {
            let chain = words.next("a chain")?;
            let said = format!("jump {chain}");
            one(move |rule| rule.jump(&chain), &said)
        }
        "counter" => {
            for part in ["packets", "bytes"] {
                if words.take_if(part) {
                    words.number()?;
                }
            }
            one(Rule::counter, "counter")
        }
        "comment" => {
            words.next("a comment")?;
            one(|rule| rule, "")
        }
        "reject" => reject(words, family),
        "limit" => limit(words),
        "ct" => {
            words.expect("state")?;
            let (differ, values) = words.values()?;
            let mut bits = 0;
            for value in &values {
                bits |= flow_state(value)?;
            }
            let all = state::INVALID | state::ESTABLISHED | state::RELATED | state::NEW | state::UNTRACKED;
            let bits = if differ { all & !bits } else { bits };
            let said = format!("ct state {}{}", if differ { "!= " } else { "" }, values.join(","));
            one(move |rule| rule.flow_state(bits), &said)
        }
        "meta" => {
            let key = words.next("a key")?;
            if key == "mark" && words.take_if("set") {
                let text = words.next("a mark")?;
                let number = mark(&text)?;
                return one(move |rule| rule.mark(number), &format!("meta mark set {number:#010x}"));
            }
            matched(words, family, "meta", &key)
        }
        "iifname" | "oifname" | "iif" | "oif" => matched(words, family, "meta", &word),
        "ip" | "icmp" | "tcp" | "udp" | "th" => {
            let key = words.next("a field")?;
            matched(words, family, &word, &key)
        }
        other => Err(Refusal::not_understood(other, PACKAGE)),
    }
}

/// Parses a mark, in decimal or with `0x`.
fn mark(text: &str) -> Result<u32, Refusal> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| Refusal::new(format!("{text:?} is not a mark")))
}

fn flow_state(word: &str) -> Result<u32, Refusal> {
    match word {
        "invalid" => Ok(state::INVALID),
        "established" => Ok(state::ESTABLISHED),
        "related" => Ok(state::RELATED),
        "new" => Ok(state::NEW),
        "untracked" => Ok(state::UNTRACKED),
        other => Err(Refusal::new(format!("{other:?} is not a state of a flow"))),
    }
}

fn reject(words: &mut Words, family: u8) -> Result<Vec<Clause>, Refusal> {
    if !words.take_if("with") {
        let kind = if family == INET { 2 } else { 0 };
        return one(move |rule| rule.reject(kind, if kind == 2 { 1 } else { 3 }), "reject");
    }
    let how = words.next("a kind of answer")?;
    if how == "tcp" {
        words.expect("reset")?;
        let guarded = move |rule: Rule| rule.is(Field::PROTOCOL, &[6]).reject(1, 0);
        return one(guarded, "reject with tcp reset");
    }
    words.take_if("type");
    let name = words.next("a kind of ICMP message")?;
    let (kind, code) = match (how.as_str(), name.as_str()) {
        ("icmp", "net-unreachable") => (0, 0),
        ("icmp", "host-unreachable") => (0, 1),
        ("icmp", "prot-unreachable") => (0, 2),
        ("icmp", "port-unreachable") => (0, 3),
        ("icmp", "net-prohibited") => (0, 9),
        ("icmp", "host-prohibited") => (0, 10),
        ("icmp", "admin-prohibited") => (0, 13),
        ("icmpx", "no-route") => (2, 0),
        ("icmpx", "port-unreachable") => (2, 1),
        ("icmpx", "host-unreachable") => (2, 2),
        ("icmpx", "admin-prohibited") => (2, 3),
        _ => return Err(Refusal::not_understood(&format!("reject with {how} {name}"), PACKAGE)),
    };
    one(
        move |rule| {
            let rule = if kind == 0 && family == INET { rule.is(Field::FAMILY, &[IPV4]) } else { rule };
            rule.reject(kind, code)
        },
        &format!("reject with {how} {name}"),
    )
}

fn limit(words: &mut Words) -> Result<Vec<Clause>, Refusal> {
    words.expect("rate")?;
    let over = words.take_if("over");
    let rate = words.next("a rate")?;
    let wrong = || Refusal::new(format!("{rate:?} is not a rate such as 10/second"));
    let (packets, unit) = rate.split_once('/').ok_or_else(wrong)?;
    let packets: u64 = packets.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        _ => return Err(wrong()),
    };
    let burst = if words.take_if("burst") { words.number()? } else { 5 };
    words.take_if("packets");
    let burst = u32::try_from(burst).map_err(|_| wrong())?;
    let said = format!("limit rate {}{rate} burst {burst} packets", if over { "over " } else { "" });
    one(move |rule| rule.limit(packets, seconds, burst, over), &said)
}

/// Reads the values that follow a field and compares the field with them.
fn matched(words: &mut Words, family: u8, of: &str, key: &str) -> Result<Vec<Clause>, Refusal> {
    let (differ, values) = words.values()?;
    let mut clauses: Vec<Clause> = Vec::new();
    let how = if differ { Comparison::NotEqual } else { Comparison::Equal };
    for value in &values {
        let test = test(of, key, value, how)?;
        let needs = need(of, key);
        let apply = move |rule: Rule| {
            let rule = match needs {
                Need::Nothing => rule,
                Need::Ipv4 => when_inet(rule, family),
                Need::Protocol(1) => when_inet(rule, family).is(Field::PROTOCOL, &[1]),
                Need::Protocol(number) => rule.is(Field::PROTOCOL, &[number]),
            };
            test(rule)
        };
        let shown = if of == "meta" && key.ends_with("name") { format!("\"{value}\"") } else { value.clone() };
        let object =
            if of == "meta" && key != "l4proto" && key != "nfproto" { String::new() } else { format!("{of} ") };
        clauses.push((Box::new(apply), format!("{object}{key} {}{shown}", if differ { "!= " } else { "" })));
    }
    if !differ || clauses.len() < 2 {
        return Ok(clauses);
    }
    // `!=` with several values: all comparisons go into one rule.
    let said = format!("{of} {key} != {{ {} }}", values.join(", "));
    one(move |rule| clauses.iter().fold(rule, |rule, (apply, _)| apply(rule)), &said)
}

fn when_inet(rule: Rule, family: u8) -> Rule {
    match family {
        INET => rule.is(Field::FAMILY, &[IPV4]),
        NETDEV => rule.is(Field::ETHER_TYPE, &ETHER_TYPE_IPV4),
        _ => rule,
    }
}

#[derive(Clone, Copy)]
enum Need {
    Nothing,
    Ipv4,
    Protocol(u8),
}

fn need(of: &str, _key: &str) -> Need {
    match of {
        "ip" => Need::Ipv4,
        "icmp" => Need::Protocol(1),
        "tcp" => Need::Protocol(6),
        "udp" => Need::Protocol(17),
        _ => Need::Nothing,
    }
}

type Test = Box<dyn Fn(Rule) -> Rule>;

fn test(of: &str, key: &str, value: &str, how: Comparison) -> Result<Test, Refusal> {
    let wrong = || Refusal::new(format!("{value:?} is no value of {of} {key}"));
    let owned = value.to_owned();
    let bytes = |field, bytes: Vec<u8>| -> Result<Test, Refusal> {
        Ok(Box::new(move |rule: Rule| rule.when(field, how, &bytes)))
    };
    match (of, key) {
        ("ip", "saddr" | "daddr") => {
            let field = if key == "saddr" { Field::SOURCE } else { Field::DESTINATION };
            let net: Ipv4Net = match value.parse() {
                Ok(net) => net,
                Err(_) => Ipv4Net::from(value.parse::<std::net::Ipv4Addr>().map_err(|_| wrong())?),
            };
            Ok(Box::new(move |rule: Rule| rule.within(field, how, net)))
        }
        ("ip", "protocol") => bytes(Field::Network(9, 1), vec![protocol(value).ok_or_else(wrong)?]),
        ("meta", "l4proto") => bytes(Field::PROTOCOL, vec![protocol(value).ok_or_else(wrong)?]),
        ("meta", "nfproto") => bytes(Field::FAMILY, vec![if value == "ipv6" { 10 } else { IPV4 }]),
        ("meta", "iifname" | "iif") => Ok(Box::new(move |rule: Rule| rule.interface(Field::IN, how, &owned))),
        ("meta", "oifname" | "oif") => Ok(Box::new(move |rule: Rule| rule.interface(Field::OUT, how, &owned))),
        ("icmp", "type") => bytes(Field::ICMP_TYPE, vec![icmp_type(value).ok_or_else(wrong)?]),
        ("tcp" | "udp" | "th", "dport" | "sport") => {
            let field = if key == "sport" { Field::SOURCE_PORT } else { Field::DESTINATION_PORT };
            let (low, high) = value.split_once('-').unwrap_or((value, value));
            let range = (low.parse::<u16>().map_err(|_| wrong())?, high.parse::<u16>().map_err(|_| wrong())?);
            match (how, range.0 == range.1) {
                (Comparison::Equal, _) => Ok(Box::new(move |rule: Rule| rule.port(field, range))),
                (_, true) => bytes(field, range.0.to_be_bytes().to_vec()),
                (_, false) => Err(Refusal::not_understood(&format!("!= {value}"), PACKAGE)),
            }
        }
        _ => Err(Refusal::not_understood(&format!("{of} {key}"), PACKAGE)),
    }
}

fn protocol(name: &str) -> Option<u8> {
    match name {
        "icmp" => Some(1),
        "tcp" => Some(6),
        "udp" => Some(17),
        "gre" => Some(47),
        number => number.parse().ok(),
    }
}

fn icmp_type(name: &str) -> Option<u8> {
    match name {
        "echo-reply" => Some(0),
        "destination-unreachable" => Some(3),
        "redirect" => Some(5),
        "echo-request" => Some(8),
        "time-exceeded" => Some(11),
        "parameter-problem" => Some(12),
        "timestamp-request" => Some(13),
        "timestamp-reply" => Some(14),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        rules(&mut Words::new(line), INET).unwrap().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn a_set_becomes_a_rule_for_each_value() {
        assert_eq!(
            texts("tcp dport { 22, 80-90 } counter accept"),
            ["tcp dport 22 counter accept", "tcp dport 80-90 counter accept"]
        );
    }

    #[test]
    fn statements_and_comments_are_cut() {
        let words = Words::new("add rule ip f \"in put\" drop # no\nlist ruleset");
        assert_eq!(words.0, ["add", "rule", "ip", "f", "in put", "drop", ";", "list", "ruleset"]);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_package() {
        let refused = rules(&mut Words::new("tproxy to :1"), INET).err().unwrap();
        assert!(refused.message.contains("nftables"), "{}", refused.message);
    }

    #[test]
    fn priorities_may_be_named() {
        assert_eq!(Words::new("filter - 10").priority().unwrap(), -10);
        assert_eq!(Words::new("-300").priority().unwrap(), -300);
    }
}
