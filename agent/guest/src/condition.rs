//! Whether a packet meets a condition.

use crate::{
    bits::number,
    field::{self, FieldValue},
    host::Host,
    maybe::Maybe,
    subject::Subject,
};
use pingtong_evidence::packet_filter::{
    Comparison, Condition, Data, Element, Operand, SetRef, Span, Table, Test, Value,
};

/// A packet at a rule of a table.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'s, 'h> {
    pub(crate) host: &'s Host<'h>,
    pub(crate) table: &'s Table,
    pub(crate) subject: &'s Subject<'s>,
}

/// What a lookup in a map gives.
pub(crate) struct Found<'d> {
    /// The data of every element that may be the packet's, each with whether it surely is.
    pub(crate) data: Vec<(Maybe, Option<&'d Data>)>,
    /// Whether there may be no element for the packet.
    pub(crate) may_miss: bool,
    /// Whether elements are not known.
    pub(crate) is_unknown: bool,
}

impl<'s> Seen<'s, '_> {
    /// Whether the packet meets a condition.
    pub(crate) fn meets(&self, condition: &Condition) -> Maybe {
        let Some(values) = self.values(&condition.operands) else { return Maybe::No };
        match (&condition.test, values.as_slice()) {
            (Test::Compare { how, value }, [one]) => compare(one, *how, value),
            (Test::Range { first, last, inverted }, [one]) => {
                let span = Span::Range { first: first.clone(), last: last.clone() };
                is_within(one, &span).inverted_if(*inverted)
            }
            (Test::In { set, inverted }, all) => self.is_in(all, set).inverted_if(*inverted),
            _ => Maybe::Perhaps,
        }
    }

    /// The values of fields; `None` if the packet lacks one of them.
    fn values(&self, operands: &[Operand]) -> Option<Vec<FieldValue>> {
        operands.iter().map(|operand| Some(self.value(operand)).filter(|value| *value != FieldValue::Absent)).collect()
    }

    /// The value of a field, or of some of its bits.
    pub(crate) fn value(&self, Operand { field, mask }: &Operand) -> FieldValue {
        match (field::read(self.host, self.subject, field), mask) {
            (FieldValue::Bits(bits), Some(mask)) => {
                FieldValue::Bits(as_number(mask).map_or(crate::Bits::UNKNOWN, |mask| bits.masked(mask)))
            }
            (value, _) => value,
        }
    }

    fn elements<'t>(&self, set: &'t SetRef) -> Option<&'t [Element]>
    where
        's: 't,
    {
        if let Some(written) = &set.elements {
            return Some(written);
        }
        let named = self.table.sets.iter().find(|each| each.name == set.name)?;
        // Elements that come and go by themselves may have come or gone since.
        named.elements.as_deref().filter(|_| !named.dynamic)
    }

    fn is_in(&self, values: &[FieldValue], set: &SetRef) -> Maybe {
        let Some(elements) = self.elements(set) else { return Maybe::Perhaps };
        let mut found = Maybe::No;
        for element in elements {
            found = found.or(is_element(values, element));
            if found == Maybe::Surely {
                break;
            }
        }
        found
    }

    /// Looks a key up in a map; `None` if the packet lacks a field of the key.
    pub(crate) fn look_up<'t>(&self, operands: &[Operand], map: &'t SetRef) -> Option<Found<'t>>
    where
        's: 't,
    {
        let values = self.values(operands)?;
        let Some(elements) = self.elements(map) else {
            return Some(Found { data: vec![], may_miss: true, is_unknown: true });
        };
        let mut data = vec![];
        let mut any = None;
        for element in elements {
            if element.key.as_slice() == [Span::Any] {
                any = Some(element.data.as_ref());
                continue;
            }
            match is_element(&values, element) {
                Maybe::No => {}
                // Keys do not overlap: no other element is the packet's.
                Maybe::Surely => {
                    return Some(Found {
                        data: vec![(Maybe::Surely, element.data.as_ref())],
                        may_miss: false,
                        is_unknown: false,
                    });
                }
                Maybe::Perhaps => data.push((Maybe::Perhaps, element.data.as_ref())),
            }
        }
        if let Some(catch_all) = any {
            data.push((if data.is_empty() { Maybe::Surely } else { Maybe::Perhaps }, catch_all));
        }
        Some(Found { data, may_miss: any.is_none(), is_unknown: false })
    }
}

fn compare(seen: &FieldValue, how: Comparison, value: &Value) -> Maybe {
    let bits = match how {
        Comparison::Eq => return equals(seen, value),
        Comparison::Ne => return equals(seen, value).inverted(),
        _ => match seen {
            FieldValue::Bits(bits) => bits,
            FieldValue::Name(_) | FieldValue::Absent => return Maybe::Perhaps,
        },
    };
    let Some(value) = as_number(value) else { return Maybe::Perhaps };
    let above = |first: Option<u128>| first.map_or(Maybe::No, |first| bits.is_within(first, u128::MAX));
    match how {
        Comparison::Lt => above(Some(value)).inverted(),
        Comparison::Ge => above(Some(value)),
        Comparison::Le => above(value.checked_add(1)).inverted(),
        Comparison::Gt => above(value.checked_add(1)),
        Comparison::Eq => bits.equals(value),
        Comparison::Ne => bits.equals(value).inverted(),
    }
}

fn equals(seen: &FieldValue, value: &Value) -> Maybe {
    match (seen, value) {
        (FieldValue::Absent, _) => Maybe::No,
        (FieldValue::Name(seen), Value::Name(name)) => Maybe::from(seen == name),
        (FieldValue::Name(seen), Value::NameStart(start)) => Maybe::from(seen.starts_with(start.as_str())),
        (FieldValue::Name(seen), Value::Number(index)) if seen.is_empty() => Maybe::from(*index == 0),
        (FieldValue::Bits(bits), Value::Prefix(block)) => bits.is_within(number(block.network()), number(block.last())),
        (FieldValue::Bits(bits), other) => as_number(other).map_or(Maybe::Perhaps, |value| bits.equals(value)),
        (FieldValue::Name(_), _) => Maybe::Perhaps,
    }
}

fn is_within(seen: &FieldValue, span: &Span) -> Maybe {
    match span {
        Span::Any => Maybe::Surely,
        Span::One(value) => equals(seen, value),
        Span::Range { first, last } => match (seen, as_number(first), as_number(last)) {
            (FieldValue::Bits(bits), Some(first), Some(last)) => bits.is_within(first, last),
            _ => Maybe::Perhaps,
        },
    }
}

fn is_element(values: &[FieldValue], element: &Element) -> Maybe {
    match element.key.as_slice() {
        [Span::Any] => Maybe::Surely,
        key if key.len() == values.len() => {
            values.iter().zip(key).fold(Maybe::Surely, |so_far, (seen, span)| so_far.and(is_within(seen, span)))
        }
        _ => Maybe::Perhaps,
    }
}

/// A value as a number; `None` for a name, or for bytes of more than 16.
pub(crate) fn as_number(value: &Value) -> Option<u128> {
    match value {
        Value::Number(number) => Some((*number).into()),
        Value::Address(address) => Some(number(*address)),
        Value::Bytes(digits) => u128::from_str_radix(digits, 16).ok(),
        Value::Prefix(_) | Value::Name(_) | Value::NameStart(_) => None,
    }
}
