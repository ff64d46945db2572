//! What the registers hold while the expressions of a rule are read in their order.
//!
//! A later load replaces the earlier meaning of every word that it writes. An expression that is not known may write
//! any register, so that nothing is known of them afterwards.

use super::field::Part;
use pingtong_evidence::packet_filter::{Operand, PayloadBase, SetRef};
use std::collections::BTreeMap;

const WORD_BYTES: u32 = 4;
/// `NFT_REG_1` to `NFT_REG_4` are 16 bytes each, `NFT_REG32_00` and those after it 4 bytes of the same memory.
const WORDS_OF_WIDE: u32 = 4;
const WIDE_LAST: u32 = 4;
const NARROW_FIRST: u32 = 8;

/// Where a loaded value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Bytes of the packet, whose names depend on what is known of its headers.
    Packet { base: PayloadBase, offset: u32, bytes: u32 },
    /// Something that has a name in itself.
    Known(Part),
}

/// A loaded value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loaded {
    pub(super) place: Place,
    /// Only these bits are left.
    pub(super) mask: Option<Vec<u8>>,
    /// The bits were moved right by so many.
    pub(super) shift: u32,
    /// The order of the bytes was changed.
    pub(super) swapped: bool,
}

impl From<Place> for Loaded {
    fn from(place: Place) -> Self {
        Self { place, mask: None, shift: 0, swapped: false }
    }
}

/// What a register holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Held {
    /// A value of the packet or about it.
    Loaded(Loaded),
    /// A constant.
    Constant(Vec<u8>),
    /// What a map gave, by its place among the values that the map gives.
    Mapped { operands: Vec<Operand>, map: SetRef, part: u32 },
    /// The result of an expression that is not understood, by its name.
    Unknown(String),
}

/// The registers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Registers {
    /// By the first word, with the length in words.
    held: BTreeMap<u32, (u32, Held)>,
    /// The last expression after which nothing is known.
    lost_to: Option<String>,
}

impl Registers {
    /// Writes a register. Everything that the value overlaps is forgotten.
    pub(super) fn put(&mut self, register: u32, bytes: u32, held: Held) {
        let Some(from) = word(register) else { return };
        let words = bytes.div_ceil(WORD_BYTES).max(1);
        self.held.retain(|at, (length, _)| at + *length <= from || from + words <= *at);
        self.held.insert(from, (words, held));
    }

    /// What a register holds.
    pub(super) fn get(&self, register: u32) -> Held {
        let found = word(register).and_then(|at| self.held.get(&at));
        found.map_or_else(|| self.unknown(), |(_, held)| held.clone())
    }

    /// The values one behind another that fill `bytes` from a register on; at least one.
    pub(super) fn row(&self, register: u32, bytes: u32) -> Vec<Held> {
        let Some(first) = word(register) else { return vec![self.unknown()] };
        let (mut at, end) = (first, first + bytes.div_ceil(WORD_BYTES).max(1));
        let mut found = vec![];
        while at < end {
            let Some((words, held)) = self.held.get(&at) else { return vec![self.unknown()] };
            found.push(held.clone());
            at += words;
        }
        found
    }

    /// Forgets everything: an expression of this name may have written any register.
    pub(super) fn forget(&mut self, name: &str) {
        self.held.clear();
        self.lost_to = Some(name.to_owned());
    }

    fn unknown(&self) -> Held {
        Held::Unknown(self.lost_to.clone().unwrap_or_else(|| String::from("register")))
    }
}

/// The first word of a register, counted from `NFT_REG32_00`.
fn word(register: u32) -> Option<u32> {
    match register {
        1..=WIDE_LAST => Some((register - 1) * WORDS_OF_WIDE),
        NARROW_FIRST.. => Some(register - NARROW_FIRST),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(byte: u8) -> Held {
        Held::Constant(vec![byte])
    }

    #[test]
    fn a_later_load_replaces_what_it_overlaps() {
        let mut registers = Registers::default();
        registers.put(1, 16, constant(1));
        registers.put(9, 4, constant(2));
        assert_eq!(registers.get(9), constant(2));
        assert_eq!(registers.get(1), Held::Unknown("register".into()), "its second word was written");
        registers.put(1, 4, constant(3));
        registers.put(10, 2, constant(4));
        assert_eq!(registers.row(1, 12), [constant(3), constant(2), constant(4)]);
        assert_eq!(registers.row(1, 16), [Held::Unknown("register".into())], "the last word is unknown");
        registers.put(2, 4, constant(5));
        assert_eq!(registers.get(12), constant(5), "another name of the same word");
        registers.forget("inner");
        assert_eq!(registers.get(2), Held::Unknown("inner".into()));
    }
}
