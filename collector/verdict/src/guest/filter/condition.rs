//! Whether a packet meets a condition: surely, perhaps, or not.

use super::{
    Applies,
    packet::{FieldValue, Packet, number},
};
use pingtong_evidence::packet_filter::{Comparison, Condition, Element, Operand, Span, Test, Value};

/// Whether a packet meets a condition. A set whose elements are not in the rule is not known.
pub(super) fn meets(packet: &Packet, condition: &Condition) -> Applies {
    let seen: Vec<FieldValue> = condition.operands.iter().map(|operand| operand_of(packet, operand)).collect();
    if seen.contains(&FieldValue::Absent) {
        return Applies::No;
    }
    match (&condition.test, seen.as_slice()) {
        (Test::Compare { how, value }, [one]) => compare(*one, *how, value),
        (Test::Range { first, last, inverted }, [one]) => {
            inverted_if(*inverted, is_within(*one, &Span::Range { first: first.clone(), last: last.clone() }))
        }
        (Test::In { set, inverted }, all) => {
            let elements = set.elements.as_ref();
            inverted_if(*inverted, elements.map_or(Applies::Perhaps, |elements| is_element(all, elements)))
        }
        _ => Applies::Perhaps,
    }
}

fn operand_of(packet: &Packet, Operand { field, mask }: &Operand) -> FieldValue {
    match (packet.field(field), mask) {
        (FieldValue::Is(seen), Some(mask)) => {
            as_number(mask).map_or(FieldValue::Unknown, |mask| FieldValue::Is(seen & mask))
        }
        (known, _) => known,
    }
}

fn compare(seen: FieldValue, how: Comparison, value: &Value) -> Applies {
    match how {
        Comparison::Eq => return equals(seen, value),
        Comparison::Ne => return equals(seen, value).not(),
        _ => {}
    }
    let (FieldValue::Is(seen), Some(value)) = (seen, as_number(value)) else { return Applies::Perhaps };
    Applies::from(match how {
        Comparison::Lt => seen < value,
        Comparison::Le => seen <= value,
        Comparison::Gt => seen > value,
        Comparison::Ge => seen >= value,
        Comparison::Eq => seen == value,
        Comparison::Ne => seen != value,
    })
}

fn equals(seen: FieldValue, value: &Value) -> Applies {
    let FieldValue::Is(seen) = seen else { return Applies::Perhaps };
    match value {
        Value::Prefix(block) => Applies::from((number(block.network())..=number(block.last())).contains(&seen)),
        other => as_number(other).map_or(Applies::Perhaps, |value| Applies::from(seen == value)),
    }
}

fn is_within(seen: FieldValue, span: &Span) -> Applies {
    match span {
        Span::Any => Applies::Surely,
        Span::One(value) => equals(seen, value),
        Span::Range { first, last } => compare(seen, Comparison::Ge, first).and(compare(seen, Comparison::Le, last)),
    }
}

fn is_element(seen: &[FieldValue], elements: &[Element]) -> Applies {
    let one = |element: &Element| match element.key.as_slice() {
        [Span::Any] => Applies::Surely,
        key if key.len() == seen.len() => {
            seen.iter().zip(key).fold(Applies::Surely, |so_far, (seen, span)| so_far.and(is_within(*seen, span)))
        }
        _ => Applies::Perhaps,
    };
    elements.iter().fold(Applies::No, |so_far, element| so_far.or(one(element)))
}

fn inverted_if(inverted: bool, applies: Applies) -> Applies {
    if inverted { applies.not() } else { applies }
}

/// A value as a number; `None` for a name, or for bytes of more than 16.
fn as_number(value: &Value) -> Option<u128> {
    match value {
        Value::Number(number) => Some((*number).into()),
        Value::Address(address) => Some(number(*address)),
        Value::Bytes(digits) => u128::from_str_radix(digits, 16).ok(),
        Value::Prefix(_) | Value::Name(_) | Value::NameStart(_) => None,
    }
}
