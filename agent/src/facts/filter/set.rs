//! Sets and maps as the kernel lists them, and their elements as spans of values.
//!
//! Sets that rules write inline (anonymous ones) are read first, since a rule means nothing without them, with maps to
//! verdicts, since they lead to chains. All are bounded: elements beyond the bounds are reported as not read.

use super::{kind::Kind, verdict};
use crate::facts::netlink::{self, Attributes, DUMP, push};
use pingtong_evidence::packet_filter::{Data, Element, Span};
use std::{collections::BTreeMap, io};

const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LENGTH: u16 = 5;
const SET_DATA_TYPE: u16 = 6;
const SET_DATA_LENGTH: u16 = 7;
const SET_USERDATA: u16 = 13;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const ELEMENT_FLAGS: u16 = 3;
const ELEMENT_OBJECT: u16 = 9;
const ELEMENT_KEY_END: u16 = 10;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

const ANONYMOUS: u32 = 1;
const INTERVAL: u32 = 4;
const TIMEOUT: u32 = 0x10;
const EVAL: u32 = 0x20;
/// `NFT_DATA_VERDICT`, the type of data of a map to verdicts.
const VERDICTS: u32 = 0xffff_ff00;
/// `NFT_SET_ELEM_INTERVAL_END` and `NFT_SET_ELEM_CATCHALL`.
const INTERVAL_END: u32 = 1;
const CATCH_ALL: u32 = 2;
/// Types of a concatenation are packed into one number, 6 bits each.
const TYPE_BITS: u32 = 6;
/// Components of a concatenation begin at multiples of this length.
const COMPONENT_BYTES: usize = 4;
/// Attribute of a set's user data with the byte order of its key: 1 host, 2 network (`NFTNL_UDATA_SET_KEYBYTEORDER`).
const USERDATA_KEY_ORDER: u8 = 0;

/// Maximum number of elements of one set; a rule with a larger one is understood only in part.
pub(super) const ELEMENTS_MAX: usize = 4_096;
/// Maximum number of elements of all sets: with the rules, near what one report may have.
pub(super) const ALL_ELEMENTS_MAX: usize = 20_000;

/// Family, table, set.
type Name = (u8, String, String);

/// One element as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Raw {
    key: Vec<u8>,
    key_end: Option<Vec<u8>>,
    flags: u32,
    data: Option<RawData>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum RawData {
    Value(Vec<u8>),
    Verdict(pingtong_evidence::packet_filter::Verdict),
    Object(String),
}

/// A set or map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RawSet {
    flags: u32,
    key_type: u32,
    key_bytes: u32,
    data_type: u32,
    data_bytes: u32,
    key_in_host_order: Option<bool>,
    /// `None` if they were not read.
    pub(super) elements: Option<Vec<Raw>>,
}

/// All sets of all tables.
#[derive(Debug, Clone, Default)]
pub(super) struct Sets(BTreeMap<Name, RawSet>);

impl Sets {
    /// Builds the list from the kernel's answers, without elements.
    pub(super) fn from_messages<'m>(messages: impl Iterator<Item = &'m [u8]>) -> Self {
        Self(messages.filter_map(read).collect())
    }

    /// Reads the elements of sets as far as the bounds allow, the needed ones first.
    pub(super) fn fill(&mut self, ask: &dyn Fn(&Name) -> io::Result<Vec<Raw>>) {
        let mut left = ALL_ELEMENTS_MAX;
        for needed in [true, false] {
            for (name, set) in self.0.iter_mut().filter(|(_, set)| set.is_needed() == needed) {
                if left == 0 {
                    return;
                }
                let Ok(elements) = ask(name) else { continue };
                if elements.len() <= ELEMENTS_MAX.min(left) {
                    left -= elements.len();
                    set.elements = Some(elements);
                }
            }
        }
    }

    pub(super) fn get(&self, family: u8, table: &str, set: &str) -> Option<&RawSet> {
        self.0.get(&(family, table.to_owned(), set.to_owned()))
    }

    /// The named sets of a table.
    pub(super) fn named(&self, family: u8, table: &str) -> impl Iterator<Item = (&str, &RawSet)> {
        let of = move |(at, name, _): &Name| *at == family && name == table;
        self.0
            .iter()
            .filter(move |(name, set)| of(name) && set.flags & ANONYMOUS == 0)
            .map(|((_, _, n), s)| (n.as_str(), s))
    }

    #[cfg(test)]
    pub(super) fn with(mut self, family: u8, table: &str, set: &str, raw: RawSet) -> Self {
        self.0.insert((family, table.to_owned(), set.to_owned()), raw);
        self
    }
}

fn read(body: &[u8]) -> Option<(Name, RawSet)> {
    let attributes = Attributes::after(body, super::HEADER_BYTES);
    let number = |kind| attributes.u32_net(kind).unwrap_or_default();
    let set = RawSet {
        flags: number(SET_FLAGS),
        key_type: number(SET_KEY_TYPE),
        key_bytes: number(SET_KEY_LENGTH),
        data_type: number(SET_DATA_TYPE),
        data_bytes: number(SET_DATA_LENGTH),
        key_in_host_order: attributes.get(SET_USERDATA).and_then(key_order),
        elements: None,
    };
    Some(((*body.first()?, attributes.text(SET_TABLE)?, attributes.text(SET_NAME)?), set))
}

/// User data are a list of a type byte, a length byte, and the value.
fn key_order(mut data: &[u8]) -> Option<bool> {
    while let [kind, length, rest @ ..] = data {
        let value = rest.get(..usize::from(*length))?;
        if *kind == USERDATA_KEY_ORDER {
            return match value.get(..4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes) {
                Some(1) => Some(true),
                Some(2) => Some(false),
                _ => None,
            };
        }
        data = rest.get(usize::from(*length)..)?;
    }
    None
}

/// Reads the elements of a set from the kernel.
///
/// # Errors
/// The kernel's refusal, such as for a set that is gone.
pub(super) fn elements((family, table, set): &Name) -> io::Result<Vec<Raw>> {
    let mut body = vec![*family, 0, 0, 0];
    push(&mut body, LIST_TABLE, format!("{table}\0").as_bytes());
    push(&mut body, LIST_SET, format!("{set}\0").as_bytes());
    let answers = netlink::ask(super::NETLINK_NETFILTER, super::GET_SET_ELEMENTS, DUMP, &body)?;
    Ok(answers.iter().flat_map(|message| from_message(&message.body)).collect())
}

fn from_message(body: &[u8]) -> Vec<Raw> {
    let list = Attributes::after(body, super::HEADER_BYTES).nested(LIST_ELEMENTS);
    let element = |(_, bytes)| {
        let element = Attributes::from(bytes);
        let value = |kind| element.nested(kind).and_then(|data| data.get(DATA_VALUE)).map(<[u8]>::to_vec);
        let verdict = element.nested(ELEMENT_DATA).and_then(|data| data.nested(DATA_VERDICT)).and_then(verdict::read);
        let data = match (value(ELEMENT_DATA), verdict) {
            (Some(value), _) => Some(RawData::Value(value)),
            (None, Some(verdict)) => Some(RawData::Verdict(verdict)),
            (None, None) => element.text(ELEMENT_OBJECT).map(RawData::Object),
        };
        Raw {
            key: value(ELEMENT_KEY).unwrap_or_default(),
            key_end: value(ELEMENT_KEY_END),
            flags: element.u32_net(ELEMENT_FLAGS).unwrap_or_default(),
            data,
        }
    };
    list.map_or_else(Vec::new, |list| list.map(element).collect())
}

impl RawSet {
    pub(super) fn key_bytes(&self) -> usize {
        usize::try_from(self.key_bytes).unwrap_or_default()
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.flags & ANONYMOUS != 0
    }

    fn is_needed(&self) -> bool {
        self.is_anonymous() || self.data_type == VERDICTS
    }

    /// Whether elements come and go by themselves.
    pub(super) fn is_dynamic(&self) -> bool {
        self.flags & (TIMEOUT | EVAL) != 0
    }

    /// Kinds of the key's components by the set's own type.
    fn key_kinds(&self) -> Vec<(Kind, usize)> {
        let kinds = split_types(self.key_type);
        if let ([kind], Some(host)) = (kinds.as_slice(), self.key_in_host_order)
            && matches!(kind, Kind::Bytes | Kind::Host | Kind::Network)
        {
            // Sets of intervals of host-order numbers hold them in network order.
            let host = host && self.flags & INTERVAL == 0;
            return vec![(if host { Kind::Host } else { Kind::Network }, self.key_bytes())];
        }
        let [only] = kinds.as_slice() else {
            return kinds.iter().zip(lengths(self.key_type)).map(|(kind, bytes)| (*kind, bytes)).collect();
        };
        vec![(*only, self.key_bytes())]
    }

    /// Kinds of the values that a map gives, with their lengths in bytes.
    pub(super) fn data_kinds(&self) -> Vec<(Kind, usize)> {
        let kinds = split_types(self.data_type);
        match kinds.as_slice() {
            [only] => vec![(*only, usize::try_from(self.data_bytes).unwrap_or_default())],
            _ => kinds.iter().copied().zip(lengths(self.data_type)).collect(),
        }
    }

    /// The elements with their keys read by the set's own type.
    pub(super) fn typed(&self) -> Option<Vec<Element>> {
        self.read_as(&self.key_kinds())
    }

    /// The elements with the components of their keys read as these kinds, of these lengths in bytes. `None` if they
    /// were not read from the kernel, or do not fit.
    pub(super) fn read_as(&self, kinds: &[(Kind, usize)]) -> Option<Vec<Element>> {
        let mut all = self.elements.clone()?;
        all.sort_by(|a, b| (&a.key, a.flags & INTERVAL_END == 0).cmp(&(&b.key, b.flags & INTERVAL_END == 0)));
        let mut found = vec![];
        for (at, raw) in all.iter().enumerate() {
            if raw.flags & INTERVAL_END != 0 {
                continue;
            }
            let key = if raw.flags & CATCH_ALL != 0 {
                vec![Span::Any]
            } else if let Some(end) = &raw.key_end {
                components(kinds, &raw.key, end)?
            } else if let (true, [(kind, _)]) = (self.flags & INTERVAL != 0, kinds) {
                // An interval ends before the next element, whether that begins or ends one.
                let next = all.get(at + 1).filter(|next| next.flags & CATCH_ALL == 0);
                let last = next.map_or_else(|| vec![0xff; raw.key.len()], |next| before(&next.key));
                vec![kind.span(&raw.key, &last)]
            } else {
                components(kinds, &raw.key, &raw.key)?
            };
            found.push(Element { key, data: raw.data.as_ref().map(|data| self.data(data)) });
        }
        Some(found)
    }

    fn data(&self, raw: &RawData) -> Data {
        match raw {
            RawData::Verdict(verdict) => Data::Verdict(verdict.clone()),
            RawData::Object(name) => Data::Object(name.clone()),
            RawData::Value(bytes) => {
                let mut rest = bytes.as_slice();
                let kinds = self.data_kinds();
                let values = kinds.iter().map(|(kind, length)| {
                    let value = rest.get(..*length).unwrap_or(rest);
                    rest = rest.get(length.next_multiple_of(COMPONENT_BYTES)..).unwrap_or_default();
                    kind.value(value)
                });
                Data::Values(values.collect())
            }
        }
    }
}

/// The components of a key, each at the next multiple of 4 bytes.
fn components(kinds: &[(Kind, usize)], first: &[u8], last: &[u8]) -> Option<Vec<Span>> {
    let mut at = 0;
    let mut found = vec![];
    for (kind, length) in kinds {
        found.push(kind.span(first.get(at..at + length)?, last.get(at..at + length)?));
        at += length.next_multiple_of(COMPONENT_BYTES);
    }
    (at >= first.len()).then_some(found)
}

/// The number before one in network order.
fn before(key: &[u8]) -> Vec<u8> {
    let mut bytes = key.to_vec();
    for byte in bytes.iter_mut().rev() {
        let (less, borrows) = byte.overflowing_sub(1);
        *byte = less;
        if !borrows {
            break;
        }
    }
    bytes
}

fn split_types(packed: u32) -> Vec<Kind> {
    types(packed).into_iter().map(Kind::of_type).collect()
}

fn types(packed: u32) -> Vec<u32> {
    let mut found = vec![];
    let mut rest = packed;
    while rest > 0 {
        found.push(rest & ((1 << TYPE_BITS) - 1));
        rest >>= TYPE_BITS;
    }
    if found.is_empty() {
        found.push(0);
    }
    found.reverse();
    found
}

/// Lengths in bytes of the components of a concatenation, by their types.
fn lengths(packed: u32) -> Vec<usize> {
    let length = |number: u32| match number {
        9 => 6,
        10 | 11 | 13 | 17 | 21 => 2,
        1 | 2 | 12 | 14..=16 | 29 | 31..=34 | 36 | 37 | 39 => 1,
        5 | 8 | 41 => 16,
        _ => 4,
    };
    types(packed).into_iter().map(length).collect()
}

#[cfg(test)]
pub(super) mod sample {
    use super::*;

    /// An anonymous set with these keys.
    pub(in super::super) fn anonymous(key_bytes: u32, keys: &[&[u8]]) -> RawSet {
        let raw = |key: &&[u8]| Raw { key: key.to_vec(), key_end: None, flags: 0, data: None };
        RawSet { flags: ANONYMOUS, key_bytes, elements: Some(keys.iter().map(raw).collect()), ..RawSet::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::packet_filter::Value;

    fn raw(key: &[u8], flags: u32) -> Raw {
        Raw { key: key.to_vec(), key_end: None, flags, data: None }
    }

    fn ports(elements: Vec<Raw>) -> Vec<Span> {
        let set = RawSet { flags: INTERVAL, key_bytes: 2, elements: Some(elements), ..RawSet::default() };
        set.read_as(&[(Kind::Network, 2)]).unwrap().into_iter().flat_map(|element| element.key).collect()
    }

    #[test]
    fn intervals_end_before_the_next_element() {
        let number = Value::Number;
        // As the kernel lists { 22, 80-90, 91-91 }: from the highest to the lowest, with an end at zero.
        let listed = vec![
            raw(&[0, 92], INTERVAL_END),
            raw(&[0, 91], 0),
            raw(&[0, 80], 0),
            raw(&[0, 23], INTERVAL_END),
            raw(&[0, 22], 0),
            raw(&[0, 0], INTERVAL_END),
        ];
        assert_eq!(
            ports(listed),
            [Span::One(number(22)), Span::Range { first: number(80), last: number(90) }, Span::One(number(91))]
        );
        assert_eq!(
            ports(vec![raw(&[0xff, 0], 0)]),
            [Span::Range { first: number(0xff00), last: number(0xffff) }],
            "without an end to the last value"
        );
    }

    #[test]
    fn components_of_a_concatenation_are_aligned() {
        let key = [1, 2, 3, 0, 0, 80, 0, 0];
        let end = [1, 2, 3, 255, 0, 90, 0, 0];
        let kinds = [(Kind::Address4, 4), (Kind::Network, 2)];
        let spans = components(&kinds, &key, &end).unwrap();
        assert_eq!(spans[0], Span::One(Value::Prefix("1.2.3.0/24".parse().unwrap())));
        assert_eq!(spans[1], Span::Range { first: Value::Number(80), last: Value::Number(90) });
        assert_eq!(components(&kinds, &key[..4], &end[..4]), None, "too short");
        assert_eq!(types(0x1cd), [7, 13]);
    }

    #[test]
    fn the_bounds_leave_elements_unread_and_needed_sets_come_first() {
        let set = |flags, data_type| RawSet { flags, data_type, ..RawSet::default() };
        let all = [("a", set(0, 0)), ("large", set(0, 0)), ("v", set(8, VERDICTS)), ("z", set(ANONYMOUS, 0))];
        let sets = all.into_iter().fold(Sets::default(), |sets, (name, set)| sets.with(2, "t", name, set));
        let read = |each: usize| {
            let mut sets = sets.clone();
            let length = |name: &str| if name == "large" { ELEMENTS_MAX + 1 } else { each };
            sets.fill(&|(_, _, name)| Ok(vec![raw(&[1], 0); length(name)]));
            let filled = |name: &&str| sets.get(2, "t", name).unwrap().elements.is_some();
            ["a", "large", "v", "z"].into_iter().filter(filled).collect::<Vec<_>>()
        };
        assert_eq!(read(ELEMENTS_MAX), ["a", "v", "z"]);
        let more: Vec<String> = (0..ALL_ELEMENTS_MAX / ELEMENTS_MAX).map(|number| format!("n{number}")).collect();
        let mut full = more.iter().fold(sets.clone(), |sets, name| sets.with(2, "t", name, set(ANONYMOUS, 0)));
        full.fill(&|_| Ok(vec![raw(&[1], 0); ELEMENTS_MAX]));
        let filled = |name: &str| full.get(2, "t", name).unwrap().elements.is_some();
        assert_eq!([filled("n0"), filled("a")], [true, false], "a named set waits for those that rules need");
        assert_eq!(sets.named(2, "t").map(|(name, _)| name).collect::<Vec<_>>(), ["a", "large", "v"]);
    }
}
