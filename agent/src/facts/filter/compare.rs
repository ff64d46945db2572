//! Conditions from what a register holds and the bytes that it is compared with.

use super::{
    field::{self, Context, Part, selected},
    kind::{self, Kind},
    registers::{Held, Loaded, Place},
    set::RawSet,
};
use pingtong_evidence::{
    Cidr,
    packet_filter::{Comparison, Condition, Element, Field, Operand, SetRef, Span, Test, Value},
};

/// Bytes of an interface's name, with its zero byte.
const NAME_BYTES: usize = 16;

/// Resolves the index of an interface.
pub(super) type Names<'a> = &'a dyn Fn(u64) -> Option<String>;

/// One operand and how the bytes that it is compared with are read.
struct Read {
    operand: Operand,
    kind: Kind,
    bytes: usize,
    /// The value is compared with all bits at their places, the field begins so many bits higher.
    below: u32,
}

/// The conditions of a comparison, one for each field that was loaded.
pub(super) fn compare(
    context: &Context,
    names: Names<'_>,
    held: &Held,
    how: Comparison,
    value: &[u8],
) -> Vec<Condition> {
    let width = u32::try_from(value.len()).unwrap_or_default();
    let mut reads = operands(context, held, Some(width));
    if reads.len() > 1 && how != Comparison::Eq {
        // Fields that differ as a whole may be equal one by one.
        reads = vec![whole(held, width)];
    }
    let mut at = 0;
    let mut found = vec![];
    for read in reads {
        let part = value.get(at..at + read.bytes).unwrap_or_default();
        at += read.bytes;
        // No field equals a number with bits below it.
        let fits = kind::big_endian(part).trailing_zeros() >= read.below || kind::big_endian(part) == 0;
        let read = if read.below == 0 || fits { read } else { unknown("bitwise", Some(width)) };
        found.push(compare_one(names, read, how, part));
    }
    found
}

fn compare_one(names: Names<'_>, read: Read, how: Comparison, bytes: &[u8]) -> Condition {
    let equality = matches!(how, Comparison::Eq | Comparison::Ne);
    let Read { mut operand, kind, below, .. } = read;
    if equality
        && let Kind::Address4 | Kind::Address6 = kind
        && let Some(block) = block(kind, operand.mask.as_ref(), bytes)
    {
        let value = if operand.mask.is_none() && block == Cidr::host(block.network()) {
            Value::Address(block.network())
        } else {
            Value::Prefix(block)
        };
        operand.mask = None;
        return Condition { operands: vec![operand], test: Test::Compare { how, value } };
    }
    let value = match kind {
        Kind::Name if !bytes.contains(&0) && bytes.len() < NAME_BYTES => {
            Value::NameStart(String::from_utf8_lossy(bytes).into_owned())
        }
        _ => named(names, &operand.field, shifted(kind.value(bytes), below)),
    };
    Condition { operands: vec![operand], test: Test::Compare { how, value } }
}

/// The block that the first bytes of an address, or a mask, select.
fn block(kind: Kind, mask: Option<&Value>, bytes: &[u8]) -> Option<Cidr> {
    let length = match mask {
        Some(Value::Address(mask)) => kind::prefix_length(&octets(*mask))?,
        Some(_) => return None,
        None => u8::try_from(bytes.len() * 8).ok()?,
    };
    let address = kind::address(kind, bytes)?;
    let block = Cidr::around(address, length);
    // No address equals one with bits beyond the mask.
    (block.network() == address).then_some(block)
}

fn octets(address: std::net::IpAddr) -> Vec<u8> {
    match address {
        std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
        std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The condition that a value is within a range.
pub(super) fn range(context: &Context, held: &Held, (first, last): (&[u8], &[u8]), inverted: bool) -> Condition {
    let width = u32::try_from(first.len()).unwrap_or_default();
    let mut reads = operands(context, held, Some(width));
    if reads.len() != 1 {
        reads = vec![whole(held, width)];
    }
    let mut operands = vec![];
    let value = |bytes: &[u8]| Value::Bytes(kind::hexadecimal(bytes));
    let mut ends = (value(first), value(last));
    for read in reads {
        ends = (shifted(read.kind.value(first), read.below), shifted(read.kind.value(last), read.below));
        operands.push(read.operand);
    }
    Condition { operands, test: Test::Range { first: ends.0, last: ends.1, inverted } }
}

/// The operands of a lookup, and the set with the elements that it has if the rule itself wrote it.
pub(super) fn lookup(context: &Context, row: &[Held], name: &str, set: Option<&RawSet>) -> (Vec<Operand>, SetRef) {
    let reads: Vec<Read> = row.iter().flat_map(|held| operands(context, held, None)).collect();
    let kinds: Vec<(Kind, usize)> = reads.iter().map(|read| (read.kind, read.bytes)).collect();
    let below: Vec<u32> = reads.iter().map(|read| read.below).collect();
    let elements = set.filter(|set| set.is_anonymous()).and_then(|set| set.read_as(&kinds)).map(|all| {
        all.into_iter()
            .map(|Element { key, data }| {
                let key = key.into_iter().zip(&below).map(|(span, below)| shifted_span(span, *below)).collect();
                Element { key, data }
            })
            .collect()
    });
    (reads.into_iter().map(|read| read.operand).collect(), SetRef { name: name.to_owned(), elements })
}

/// The operand that a register holds, for a value that is copied from it.
pub(super) fn operand(context: &Context, held: &Held) -> Option<Operand> {
    match operands(context, held, None).as_slice() {
        [Read { operand, below: 0, .. }] => Some(operand.clone()),
        _ => None,
    }
}

/// What a register holds as fields. `width`: number of bytes that are compared, if fewer than were loaded.
fn operands(context: &Context, held: &Held, width: Option<u32>) -> Vec<Read> {
    let loaded = match held {
        Held::Loaded(loaded) => loaded,
        Held::Unknown(name) => return vec![unknown(name, width)],
        Held::Constant(_) => return vec![unknown("immediate", width)],
        Held::Mapped { .. } => return vec![unknown("map", width)],
    };
    let parts = match &loaded.place {
        Place::Known(part) => {
            let bytes = width.and_then(|width| usize::try_from(width).ok()).unwrap_or(part.bytes);
            vec![Part { bytes, ..part.clone() }]
        }
        Place::Packet { base, offset, bytes } => {
            let width = width.unwrap_or(*bytes).min(*bytes);
            if let Some(mask) = &loaded.mask
                && let Some((field, below)) = selected(context, *base, (*offset, width), mask)
                && (loaded.shift == 0 || loaded.shift == below)
            {
                let below = below - loaded.shift;
                let bytes = usize::try_from(width).unwrap_or_default();
                return vec![Read { operand: field.into(), kind: Kind::Network, bytes, below }];
            }
            field::parts(context, *base, *offset, width)
        }
    };
    if loaded.shift != 0 {
        return vec![unknown("bitwise", width)];
    }
    if loaded.mask.is_some() && parts.len() > 1 {
        return vec![whole(held, width.unwrap_or_default())];
    }
    let read = |part: Part| {
        let kind = if loaded.swapped { part.kind.swapped() } else { part.kind };
        let mask = loaded.mask.as_deref().map(|mask| kind.value(mask));
        Read { operand: Operand { field: part.field, mask }, kind, bytes: part.bytes, below: 0 }
    };
    parts.into_iter().map(read).collect()
}

/// A load as one field without a name.
fn whole(held: &Held, width: u32) -> Read {
    let Held::Loaded(Loaded { place: Place::Packet { base, offset, bytes }, mask, swapped, .. }) = held else {
        return unknown("register", Some(width));
    };
    let width = if width == 0 { *bytes } else { width };
    let part = field::raw(*base, *offset, width);
    let kind = if *swapped { part.kind.swapped() } else { part.kind };
    let mask = mask.as_deref().map(|mask| kind.value(mask));
    Read { operand: Operand { field: part.field, mask }, kind, bytes: part.bytes, below: 0 }
}

fn unknown(name: &str, width: Option<u32>) -> Read {
    let operand = Operand::from(Field::NotUnderstood { name: name.to_owned() });
    Read { operand, kind: Kind::Bytes, bytes: width.and_then(|w| usize::try_from(w).ok()).unwrap_or(4), below: 0 }
}

fn shifted(value: Value, below: u32) -> Value {
    match value {
        Value::Number(number) => Value::Number(number >> below),
        other => other,
    }
}

fn shifted_span(span: Span, below: u32) -> Span {
    match span {
        Span::One(value) => Span::One(shifted(value, below)),
        Span::Range { first, last } => Span::Range { first: shifted(first, below), last: shifted(last, below) },
        Span::Any => Span::Any,
    }
}

/// The name of an interface instead of its index, if it has one.
fn named(names: Names<'_>, field: &Field, value: Value) -> Value {
    match (field, &value) {
        (Field::MetaIif | Field::MetaOif, Value::Number(index)) => names(*index).map_or(value, Value::Name),
        _ => value,
    }
}
