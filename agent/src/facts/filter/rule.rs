//! The statements of one nftables rule, from its expressions.
//!
//! Follows the registers ([`super::registers`]) and what earlier comparisons establish about the packet's headers
//! ([`super::field::Context`]). An expression that is not understood is named and changes what is known as far as it
//! could. Constants are those of `linux/netfilter/nf_tables.h`.

use super::{
    compare::{self, Names, compare, range},
    field::{self, Context, Part},
    kind::{self, Kind},
    registers::{Held, Loaded, Place, Registers},
    set::Sets,
    verdict, xtables,
};
use crate::facts::netlink::Attributes;
use pingtong_evidence::packet_filter::{
    Comparison, Condition, Family, Limit, LimitUnit, Nat, NatKind, ObjectKind, Reject, Source, SourceRange, Span,
    Statement, Test, Value,
};

const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
/// `NFT_REG_VERDICT`.
const VERDICT_REGISTER: u32 = 0;
const NETMAP: u32 = 64;
/// `NFPROTO_IPV6`.
const IPV6: u32 = 10;

/// What a rule needs besides its expressions.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    /// `NFPROTO_*` of the table.
    pub(super) family: u8,
    /// Name of the table.
    pub(super) table: &'a str,
    /// All sets.
    pub(super) sets: &'a Sets,
    /// Names of interfaces.
    pub(super) names: Names<'a>,
}

/// Reads the list of expressions of a rule.
pub(super) fn read(around: Surroundings<'_>, expressions: Attributes<'_>) -> Vec<Statement> {
    let mut reader =
        Reader { around, context: Context::of_family(around.family), registers: Registers::default(), found: vec![] };
    for (_, element) in expressions {
        let element = Attributes::from(element);
        let name = element.text(EXPRESSION_NAME).unwrap_or_default();
        let data = element.nested(EXPRESSION_DATA).unwrap_or(Attributes::from(&[][..]));
        if reader.expression(&name, data).is_none() {
            reader.not_understood(&name);
        }
    }
    reader.found
}

struct Reader<'a> {
    around: Surroundings<'a>,
    context: Context,
    registers: Registers,
    found: Vec<Statement>,
}

impl Reader<'_> {
    /// Reads one expression; `None` if it is not understood.
    fn expression(&mut self, name: &str, data: Attributes<'_>) -> Option<()> {
        match name {
            "meta" => self.load_or_write(data, (1, 3), field::meta(data.u32_net(2)?)),
            "ct" => {
                let direction = data.get(3).and_then(|bytes| bytes.first().copied());
                self.load_or_write(data, (1, 4), field::ct(data.u32_net(2)?, direction))
            }
            "fib" => self.load(data.u32_net(1)?, field::fib(data.u32_net(2)?, data.u32_net(3)?)),
            "payload" => self.payload(data),
            "bitwise" => self.bitwise(data),
            "byteorder" => self.byte_order(data),
            "cmp" => self.compare(data),
            "range" => self.range(data),
            "lookup" => self.lookup(data),
            "immediate" => self.immediate(data),
            "exthdr" | "hash" | "numgen" | "rt" | "socket" | "osf" | "tunnel" | "xfrm" => self.computation(name, data),
            "match" => {
                let (extension, info) = (data.text(1)?, data.get(3).unwrap_or_default());
                let revision = data.u32_net(2).unwrap_or_default();
                let known = xtables::matched(&extension, revision, info, &self.context);
                self.extension(&extension, known);
                Some(())
            }
            "target" => {
                let (extension, info) = (data.text(1)?, data.get(3).unwrap_or_default());
                let revision = data.u32_net(2).unwrap_or_default();
                let known = xtables::target(&extension, revision, info, self.around.family);
                self.extension(&extension, known);
                Some(())
            }
            _ => {
                let statement = self.action(name, data)?;
                self.found.push(statement);
                Some(())
            }
        }
    }

    /// An expression that is a statement by itself.
    fn action(&self, name: &str, data: Attributes<'_>) -> Option<Statement> {
        Some(match name {
            "counter" => Statement::Counter,
            "log" => Statement::Log,
            "notrack" => Statement::NoTrack,
            "limit" => Statement::Limit(Limit {
                unit: if data.u32_net(4) == Some(1) { LimitUnit::Bytes } else { LimitUnit::Packets },
                rate: data.u64_net(1)?,
                per_seconds: data.u64_net(2)?,
                burst: data.u32_net(3).unwrap_or_default(),
                over: flag(data, 5),
            }),
            "quota" => Statement::Quota { bytes: data.u64_net(1)?, over: flag(data, 2) },
            "connlimit" => Statement::ConnectionLimit { count: data.u32_net(1)?, over: flag(data, 2) },
            "reject" => Statement::Reject(self.reject(data)?),
            "queue" => queue(data)?,
            "nat" => Statement::Nat(Box::new(self.nat(data)?)),
            "masq" => Statement::Nat(Box::new(Nat {
                kind: NatKind::Masquerade,
                family: None,
                address: None,
                port: self.ports(data, (2, 3)),
            })),
            "redir" => Statement::Nat(Box::new(Nat {
                kind: NatKind::Redirect,
                family: None,
                address: None,
                port: self.ports(data, (1, 2)),
            })),
            "objref" => Statement::Object { kind: object(data.u32_net(1)?), name: data.text(2)? },
            _ => return None,
        })
    }

    fn not_understood(&mut self, name: &str) {
        let name = if name.is_empty() { "expression" } else { name };
        self.registers.forget(name);
        self.found.push(Statement::NotUnderstood { name: name.to_owned() });
    }

    fn extension(&mut self, name: &str, known: Option<Vec<Statement>>) {
        for statement in known.unwrap_or_else(|| vec![Statement::NotUnderstood { name: format!("xt {name}") }]) {
            match statement {
                Statement::Match(condition) => self.condition(condition),
                other => self.found.push(other),
            }
        }
    }

    fn load(&mut self, register: u32, part: Part) -> Option<()> {
        let bytes = u32::try_from(part.bytes).ok()?;
        self.registers.put(register, bytes, Held::Loaded(Place::Known(part).into()));
        Some(())
    }

    /// Reads something into a register, or writes it from one.
    fn load_or_write(&mut self, data: Attributes<'_>, (into, from): (u16, u16), part: Part) -> Option<()> {
        if let Some(register) = data.u32_net(into) {
            return self.load(register, part);
        }
        let to = self.source(data.u32_net(from)?, part.kind);
        self.found.push(Statement::Assign { field: part.field, to });
        Some(())
    }

    fn payload(&mut self, data: Attributes<'_>) -> Option<()> {
        let (base, offset, bytes) = (field::base(data.u32_net(2)?)?, data.u32_net(3)?, data.u32_net(4)?);
        if let Some(register) = data.u32_net(1) {
            self.registers.put(register, bytes, Held::Loaded(Place::Packet { base, offset, bytes }.into()));
            return Some(());
        }
        let mut parts = field::parts(&self.context, base, offset, bytes);
        let part = match (parts.pop(), parts.is_empty()) {
            (Some(part), true) => part,
            _ => field::raw(base, offset, bytes),
        };
        let to = self.source(data.u32_net(5)?, part.kind);
        self.found.push(Statement::Assign { field: part.field, to });
        Some(())
    }

    /// The result of a computation that is not understood.
    fn computation(&mut self, name: &str, data: Attributes<'_>) -> Option<()> {
        let destination = if matches!(name, "hash" | "socket" | "tunnel") { 2 } else { 1 };
        // Without a register to write, it changes the packet (`exthdr`).
        let register = data.u32_net(destination)?;
        self.registers.put(register, 16, Held::Unknown(name.to_owned()));
        Some(())
    }

    fn bitwise(&mut self, data: Attributes<'_>) -> Option<()> {
        let (from, into, bytes) = (data.u32_net(1)?, data.u32_net(2)?, data.u32_net(3)?);
        let held = match (self.registers.get(from), data.u32_net(6).unwrap_or_default()) {
            // `NFT_BITWISE_MASK_XOR`.
            (Held::Loaded(loaded @ Loaded { mask: None, shift: 0, .. }), 0) => {
                let value = |kind| data.nested(kind).and_then(|data| data.get(DATA_VALUE)).unwrap_or_default();
                let (mask, flipped) = (value(4), value(5));
                let plain = flipped.iter().all(|&byte| byte == 0) && !mask.is_empty();
                plain.then(|| Held::Loaded(Loaded { mask: Some(mask.to_vec()), ..loaded }))
            }
            // `NFT_BITWISE_RSHIFT`.
            (Held::Loaded(loaded @ Loaded { shift: 0, .. }), 2) if bytes == 1 => {
                let shift =
                    data.nested(7).and_then(|data| data.get(DATA_VALUE)).and_then(|bytes| bytes.try_into().ok());
                shift.map(|bytes| Held::Loaded(Loaded { shift: u32::from_ne_bytes(bytes), ..loaded }))
            }
            (Held::Unknown(name), _) => Some(Held::Unknown(name)),
            _ => None,
        };
        self.registers.put(into, bytes, held.unwrap_or_else(|| Held::Unknown(String::from("bitwise"))));
        Some(())
    }

    fn byte_order(&mut self, data: Attributes<'_>) -> Option<()> {
        let (from, into, bytes, size) = (data.u32_net(1)?, data.u32_net(2)?, data.u32_net(4)?, data.u32_net(5)?);
        let held = match self.registers.get(from) {
            Held::Loaded(loaded @ Loaded { mask: None, shift: 0, .. }) if bytes == size => {
                Held::Loaded(Loaded { swapped: !loaded.swapped, ..loaded })
            }
            Held::Unknown(name) => Held::Unknown(name),
            _ => Held::Unknown(String::from("byteorder")),
        };
        self.registers.put(into, bytes, held);
        Some(())
    }

    fn compare(&mut self, data: Attributes<'_>) -> Option<()> {
        let how = match data.u32_net(2)? {
            0 => Comparison::Eq,
            1 => Comparison::Ne,
            2 => Comparison::Lt,
            3 => Comparison::Le,
            4 => Comparison::Gt,
            5 => Comparison::Ge,
            _ => return None,
        };
        let value = data.nested(3)?.get(DATA_VALUE)?;
        let held = self.registers.get(data.u32_net(1)?);
        for condition in compare(&self.context, self.around.names, &held, how, value) {
            self.condition(condition);
        }
        Some(())
    }

    fn range(&mut self, data: Attributes<'_>) -> Option<()> {
        let end = |kind| data.nested(kind).and_then(|data| data.get(DATA_VALUE));
        let held = self.registers.get(data.u32_net(1)?);
        let condition = range(&self.context, &held, (end(3)?, end(4)?), data.u32_net(2)? == 1);
        self.condition(condition);
        Some(())
    }

    /// Adds a condition, and learns from it which headers the packet has.
    fn condition(&mut self, condition: Condition) {
        if let Some((field, number)) = condition.equals() {
            self.context.learn(field, vec![number]);
        }
        if let ([operand], Test::In { set, inverted: false }) = (condition.operands.as_slice(), &condition.test)
            && let Some(elements) = set.elements.as_ref().filter(|_| operand.mask.is_none())
        {
            let number = |key: &[Span]| match key {
                [Span::One(Value::Number(number))] => Some(*number),
                _ => None,
            };
            let numbers: Option<Vec<u64>> = elements.iter().map(|element| number(&element.key)).collect();
            if let Some(numbers) = numbers.filter(|numbers| !numbers.is_empty()) {
                self.context.learn(&operand.field, numbers);
            }
        }
        self.found.push(Statement::Match(condition));
    }

    fn lookup(&mut self, data: Attributes<'_>) -> Option<()> {
        let (name, from) = (data.text(1)?, data.u32_net(2)?);
        let set = self.around.sets.get(self.around.family, self.around.table, &name);
        let bytes = set.map_or(0, super::set::RawSet::key_bytes);
        let row = self.registers.row(from, u32::try_from(bytes).ok()?);
        let (operands, found) = compare::lookup(&self.context, &row, &name, set);
        match data.u32_net(3) {
            None => {
                let test = Test::In { set: found, inverted: data.u32_net(5).unwrap_or_default() & 1 != 0 };
                self.condition(Condition { operands, test });
            }
            Some(VERDICT_REGISTER) => self.found.push(Statement::VerdictMap { operands, map: found }),
            Some(into) => {
                let mut register = into;
                let kinds = set.map_or_else(|| vec![(Kind::Bytes, 16)], super::set::RawSet::data_kinds);
                for (part, (_, bytes)) in (0u32..).zip(kinds) {
                    let held = Held::Mapped { operands: operands.clone(), map: found.clone(), part };
                    let bytes = u32::try_from(bytes).ok()?;
                    self.registers.put(register, bytes, held);
                    register = following(register, bytes);
                }
            }
        }
        Some(())
    }

    fn immediate(&mut self, data: Attributes<'_>) -> Option<()> {
        let value = data.nested(2)?;
        if let Some(decided) = value.nested(DATA_VERDICT) {
            self.found.push(Statement::Verdict(verdict::read(decided)?));
            return Some(());
        }
        let bytes = value.get(DATA_VALUE)?;
        self.registers.put(data.u32_net(1)?, u32::try_from(bytes.len()).ok()?, Held::Constant(bytes.to_vec()));
        Some(())
    }

    fn reject(&self, data: Attributes<'_>) -> Option<Reject> {
        let code = data.get(2).and_then(|bytes| bytes.first().copied()).unwrap_or_default();
        let ipv6 = u32::from(self.around.family) == IPV6 || self.context.network == Some(0x86dd);
        Some(match data.u32_net(1)? {
            0 if ipv6 => Reject::Icmpv6(code),
            0 => Reject::Icmp(code),
            1 => Reject::TcpReset,
            2 => Reject::Icmpx(code),
            _ => return None,
        })
    }

    fn nat(&self, data: Attributes<'_>) -> Option<Nat> {
        let (family, kind) = match data.u32_net(2)? {
            2 => (Some(Family::Ip), Kind::Address4),
            IPV6 => (Some(Family::Ip6), Kind::Address6),
            _ => (None, Kind::Bytes),
        };
        let address = self.written(data, (3, 4), (kind, kind::ADDRESS_BYTES_MAX));
        // A translation of prefixes (`NF_NAT_RANGE_NETMAP`) is not understood.
        (data.u32_net(7).unwrap_or_default() & NETMAP == 0).then_some(())?;
        let kind = if data.u32_net(1)? == 0 { NatKind::Snat } else { NatKind::Dnat };
        Some(Nat { kind, family, address, port: self.ports(data, (5, 6)) })
    }

    fn ports(&self, data: Attributes<'_>, registers: (u16, u16)) -> Option<SourceRange> {
        self.written(data, registers, (Kind::Network, kind::PORT_BYTES))
    }

    /// What the registers named by two attributes hold, each at most of some bytes; the second one may be absent.
    fn written(
        &self,
        data: Attributes<'_>,
        (first, last): (u16, u16),
        (kind, bytes): (Kind, usize),
    ) -> Option<SourceRange> {
        let first = data.u32_net(first)?;
        let last = data.u32_net(last).unwrap_or(first);
        let source = |register| match self.registers.get(register) {
            Held::Constant(constant) => Source::Value(kind.value(constant.get(..bytes).unwrap_or(&constant))),
            _ => self.source(register, kind),
        };
        Some(SourceRange { first: source(first), last: source(last) })
    }

    /// What a register holds, for a value of a kind.
    fn source(&self, register: u32, kind: Kind) -> Source {
        match self.registers.get(register) {
            Held::Constant(bytes) => Source::Value(kind.value(&bytes)),
            Held::Mapped { operands, map, part } => Source::Map { operands, map, part },
            held @ Held::Loaded(_) => compare::operand(&self.context, &held)
                .map_or_else(|| Source::NotUnderstood { name: String::from("payload") }, Source::Field),
            Held::Unknown(name) => Source::NotUnderstood { name },
        }
    }
}

/// The register behind a value that begins at a register.
fn following(register: u32, bytes: u32) -> u32 {
    let narrow = if register < 8 { 8 + (register.saturating_sub(1)) * 4 } else { register };
    narrow + bytes.div_ceil(4)
}

fn flag(data: Attributes<'_>, kind: u16) -> bool {
    data.u32_net(kind).unwrap_or_default() & 1 != 0
}

fn queue(data: Attributes<'_>) -> Option<Statement> {
    let number = |kind| data.get(kind).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes);
    let first = number(1)?;
    let last = first.saturating_add(number(2).unwrap_or(1).saturating_sub(1));
    Some(Statement::Queue { first, last, bypass: number(3).unwrap_or_default() & 1 != 0 })
}

/// `NFT_OBJECT_*`.
fn object(number: u32) -> ObjectKind {
    match number {
        1 => ObjectKind::Counter,
        2 => ObjectKind::Quota,
        3 => ObjectKind::CtHelper,
        4 => ObjectKind::Limit,
        5 => ObjectKind::ConnectionLimit,
        7 => ObjectKind::CtTimeout,
        9 => ObjectKind::CtExpectation,
        10 => ObjectKind::Synproxy,
        _ => ObjectKind::Other,
    }
}

#[cfg(test)]
pub(super) mod sample;
#[cfg(test)]
mod tests;
