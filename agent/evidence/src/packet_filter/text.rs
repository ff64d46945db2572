//! Prints rules for the reader, in the syntax of nft. The only place where a rule becomes text; nothing reads it back.
//!
//! As nft does, a condition on the family or protocol is left out where the next field implies it (`tcp dport 443`), and
//! numbers are shown by the names that nft has for them. What is not understood stands in parentheses.

mod names;

use super::{
    condition::{Comparison, Condition, Operand, Test},
    fact::{FirewallRule, FirewallVerdict},
    field::Field,
    rule_set::Rule,
    set::{Data, Element, SetRef},
    statement::{LimitUnit, Nat, NatKind, ObjectKind, Source, SourceRange, Statement},
    value::{Span, Value},
    verdict::{Reject, Verdict},
};
use std::fmt::{self, Display as _};

/// Displays a list by a function for one item.
struct List<'a, T>(&'a [T], &'static str, fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result);

impl<T> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(items, between, show) = self;
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                f.write_str(between)?;
            }
            show(item, f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        statements(&self.statements, f)
    }
}

impl fmt::Display for FirewallRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.statements {
            Some(list) if !list.is_empty() => statements(list, f),
            None if !self.text.is_empty() => f.write_str(&self.text),
            _ => {
                let policy = if self.handle.is_none() { "policy " } else { "" };
                let verdict = match self.verdict {
                    FirewallVerdict::Accept => "accept",
                    FirewallVerdict::Drop => "drop",
                    FirewallVerdict::Reject => "reject",
                    FirewallVerdict::Other => "continue",
                };
                write!(f, "{policy}{verdict}")
            }
        }
    }
}

fn statements(all: &[Statement], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut first = true;
    for (at, statement) in all.iter().enumerate() {
        if implied(statement, &all[at + 1..]) {
            continue;
        }
        if !first {
            f.write_str(" ")?;
        }
        first = false;
        write!(f, "{statement}")?;
    }
    Ok(())
}

/// Whether a condition on the family or protocol is implied by the field of the next condition that is not one.
fn implied(statement: &Statement, rest: &[Statement]) -> bool {
    let Statement::Match(condition) = statement else { return false };
    let Some((field @ (Field::MetaNfproto | Field::MetaL4proto | Field::MetaProtocol), number)) = condition.equals()
    else {
        return false;
    };
    let mut conditions = rest.iter().map_while(|next| match next {
        Statement::Match(next) => Some(next),
        _ => None,
    });
    let next = conditions.find(|next| next.equals().is_none_or(|(field, _)| !names::is_dependency(field)));
    next.is_some_and(|next| {
        next.operands.iter().any(|operand| match field {
            Field::MetaL4proto => operand.field.transport().map(u64::from) == Some(number),
            Field::MetaNfproto => operand.field.family().map(u64::from) == Some(number),
            _ => operand.field.family().map(names::ether_type) == Some(number),
        })
    })
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Match(condition) => condition.fmt(f),
            Self::Limit(limit) => {
                let over = if limit.over { "over " } else { "" };
                let unit = match limit.unit {
                    LimitUnit::Packets => "",
                    LimitUnit::Bytes => " bytes",
                };
                write!(f, "limit rate {over}{}{unit}/{}", limit.rate, names::period(limit.per_seconds))?;
                match (limit.burst, limit.unit) {
                    (0, _) => Ok(()),
                    (burst, LimitUnit::Packets) => write!(f, " burst {burst} packets"),
                    (burst, LimitUnit::Bytes) => write!(f, " burst {burst} bytes"),
                }
            }
            Self::Quota { bytes, over } => write!(f, "quota {}{bytes} bytes", if *over { "over " } else { "" }),
            Self::ConnectionLimit { count, over } => {
                write!(f, "ct count {}{count}", if *over { "over " } else { "" })
            }
            Self::Assign { field, to } => {
                write!(f, "{} set ", names::field(field))?;
                source(field, to, f)
            }
            Self::Nat(nat) => nat.fmt(f),
            Self::Verdict(verdict) => verdict.fmt(f),
            Self::VerdictMap { operands, map } => {
                write!(f, "{} vmap ", Operands(operands))?;
                set(operands, None, map, f)
            }
            Self::Reject(reject) => reject.fmt(f),
            Self::Queue { first, last, bypass } => {
                write!(f, "queue to {first}")?;
                if last > first {
                    write!(f, "-{last}")?;
                }
                f.write_str(if *bypass { " bypass" } else { "" })
            }
            Self::NoTrack => f.write_str("notrack"),
            Self::Counter => f.write_str("counter"),
            Self::Log => f.write_str("log"),
            Self::Object { kind, name } => {
                let kind = match kind {
                    ObjectKind::Counter => "counter",
                    ObjectKind::Quota => "quota",
                    ObjectKind::CtHelper => "ct helper set",
                    ObjectKind::Limit => "limit",
                    ObjectKind::ConnectionLimit => "ct count",
                    ObjectKind::CtTimeout => "ct timeout set",
                    ObjectKind::CtExpectation => "ct expectation set",
                    ObjectKind::Synproxy => "synproxy",
                    ObjectKind::Other => "object",
                };
                write!(f, "{kind} name \"{name}\"")
            }
            Self::NotUnderstood { name } => write!(f, "({name})"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (
            [Operand { field, mask: Some(Value::Number(mask)) }],
            Test::Compare { how, value: Value::Number(value) },
        ) = (self.operands.as_slice(), &self.test)
            && let Some(bits) = names::bits(field)
        {
            return flags(&names::field(field), bits, *mask, (*how, *value), f);
        }
        let field = self.operands.first().map(|operand| &operand.field);
        write!(f, "{} ", Operands(&self.operands))?;
        match &self.test {
            Test::Compare { how, value: constant } => {
                let masked = self.operands.iter().any(|operand| operand.mask.is_some());
                f.write_str(match how {
                    Comparison::Eq if masked => "== ",
                    Comparison::Eq => "",
                    Comparison::Ne => "!= ",
                    Comparison::Lt => "< ",
                    Comparison::Le => "<= ",
                    Comparison::Gt => "> ",
                    Comparison::Ge => ">= ",
                })?;
                value(field, constant, f)
            }
            Test::Range { first, last, inverted } => {
                f.write_str(if *inverted { "!= " } else { "" })?;
                value(field, first, f)?;
                f.write_str("-")?;
                value(field, last, f)
            }
            Test::In { set: sought, inverted } => {
                f.write_str(if *inverted { "!= " } else { "" })?;
                set(&self.operands, None, sought, f)
            }
        }
    }
}

/// A comparison of some bits, as nft writes it for flags and states.
fn flags(
    name: &str,
    bits: &[(u64, &str)],
    mask: u64,
    (how, value): (Comparison, u64),
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let names = |number: u64| names::of_bits(bits, number);
    match (how, value) {
        (Comparison::Ne, 0) => write!(f, "{name} {}", names(mask)),
        (Comparison::Eq, 0) => write!(f, "{name} ! {}", names(mask)),
        (Comparison::Eq, value) => write!(f, "{name} {} / {}", names(value), names(mask)),
        (Comparison::Ne, value) => write!(f, "{name} != {} / {}", names(value), names(mask)),
        _ => write!(f, "({name})"),
    }
}

/// Operands of a comparison or lookup.
struct Operands<'a>(&'a [Operand]);

impl fmt::Display for Operands<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        List(self.0, " . ", |operand, f| {
            f.write_str(&names::field(&operand.field))?;
            match &operand.mask {
                Some(mask) => {
                    f.write_str(" & ")?;
                    value(Some(&operand.field), mask, f)
                }
                None => Ok(()),
            }
        })
        .fmt(f)
    }
}

fn value(field: Option<&Field>, constant: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match constant {
        Value::Number(number) => f.write_str(&names::number(field, *number)),
        Value::Address(address) => address.fmt(f),
        Value::Prefix(block) => block.fmt(f),
        Value::Name(name) => write!(f, "\"{name}\""),
        Value::NameStart(start) => write!(f, "\"{start}*\""),
        Value::Bytes(digits) => f.write_str(&names::bytes(field, digits)),
    }
}

fn span(field: Option<&Field>, span: &Span, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match span {
        Span::One(one) => value(field, one, f),
        Span::Range { first, last } => {
            value(field, first, f)?;
            f.write_str("-")?;
            value(field, last, f)
        }
        Span::Any => f.write_str("*"),
    }
}

/// Prints a set by its elements, if they are known and the set was written in the rule, else by its name. `written`: the
/// field that a map's values are written to.
fn set(operands: &[Operand], written: Option<&Field>, sought: &SetRef, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(elements) = &sought.elements else { return write!(f, "@{}", sought.name) };
    f.write_str("{ ")?;
    for (at, Element { key, data }) in elements.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        for (at, part) in key.iter().enumerate() {
            if at > 0 {
                f.write_str(" . ")?;
            }
            span(operands.get(at).map(|operand| &operand.field), part, f)?;
        }
        match data {
            None => {}
            Some(Data::Values(given)) => {
                f.write_str(" : ")?;
                for (at, each) in given.iter().enumerate() {
                    f.write_str(if at > 0 { " . " } else { "" })?;
                    value(written.filter(|_| given.len() == 1), each, f)?;
                }
            }
            Some(Data::Verdict(verdict)) => write!(f, " : {verdict}")?,
            Some(Data::Object(name)) => write!(f, " : \"{name}\"")?,
        }
    }
    f.write_str(" }")
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Continue => f.write_str("continue"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
            Self::Other(code) => write!(f, "(verdict {code})"),
        }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Icmp(code) => write!(f, "reject with icmp {}", names::icmp_unreachable(code)),
            Self::Icmpv6(code) => write!(f, "reject with icmpv6 {}", names::icmpv6_unreachable(code)),
            Self::Icmpx(code) => write!(f, "reject with icmpx {}", names::icmpx_unreachable(code)),
            Self::TcpReset => f.write_str("reject with tcp reset"),
        }
    }
}

impl fmt::Display for Nat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            NatKind::Snat => "snat",
            NatKind::Dnat => "dnat",
            NatKind::Masquerade => "masquerade",
            NatKind::Redirect => "redirect",
        })?;
        if self.address.is_none() && self.port.is_none() {
            return Ok(());
        }
        f.write_str(" to ")?;
        if let Some(range) = &self.address {
            source_range(&Field::IpDestination, range, f)?;
        }
        if let Some(range) = self.port.as_ref().filter(|port| !self.address.as_ref().is_some_and(|a| one_map(a, port)))
        {
            f.write_str(":")?;
            source_range(&Field::ThDestinationPort, range, f)?;
        }
        Ok(())
    }
}

/// Whether one map gives both address and port.
fn one_map(address: &SourceRange, port: &SourceRange) -> bool {
    match (&address.first, &port.first) {
        (Source::Map { operands: a, map: b, part: 0 }, Source::Map { operands: c, map: d, part: 1 }) => {
            (a, b) == (c, d)
        }
        _ => false,
    }
}

fn source_range(field: &Field, range: &SourceRange, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    source(field, &range.first, f)?;
    if range.last != range.first {
        f.write_str("-")?;
        source(field, &range.last, f)?;
    }
    Ok(())
}

fn source(field: &Field, from: &Source, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match from {
        Source::Value(constant) => value(Some(field), constant, f),
        Source::Field(operand) => Operands(std::slice::from_ref(operand)).fmt(f),
        Source::Map { operands, map, .. } => {
            write!(f, "{} map ", Operands(operands))?;
            set(operands, Some(field), map, f)
        }
        Source::NotUnderstood { name } => write!(f, "({name})"),
    }
}
