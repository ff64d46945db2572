//! Ranges of IPv4 addresses, and the cells into which a set of ranges divides the address space.
//!
//! Everything that decides by address decides alike within a cell, so one evaluation per cell decides the whole space.
//! IPv4 only: the connections that join VPCs carry nothing else here, and IPv6 addresses are in no range.

use pingtong_evidence::Cidr;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

/// Addresses from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

impl Span {
    pub(crate) const ALL: Self = Self { first: 0, last: u32::MAX };

    pub(crate) fn of(block: &Cidr) -> Option<Self> {
        Some(Self { first: bits(block.network())?, last: bits(block.last())? })
    }

    pub(crate) fn host(address: u32) -> Self {
        Self { first: address, last: address }
    }

    pub(crate) fn contains(self, address: u32) -> bool {
        (self.first..=self.last).contains(&address)
    }
}

pub(crate) fn bits(address: IpAddr) -> Option<u32> {
    match address {
        IpAddr::V4(address) => Some(address.to_bits()),
        IpAddr::V6(_) => None,
    }
}

pub(crate) fn address(bits: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(bits))
}

/// A number for each cell of the address space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cells {
    /// First address of each cell, ascending from 0, with its value. Both are stored together because one look-up reads
    /// both.
    cells: Vec<(u32, u32)>,
}

impl Cells {
    /// Builds the coarsest cells with one value each. `value` is called for the first address of each range between two
    /// cuts.
    pub(crate) fn cut(spans: impl IntoIterator<Item = Span>, mut value: impl FnMut(u32) -> u32) -> Self {
        let mut cells = Self { cells: vec![] };
        for start in cuts(spans) {
            cells.push(start, value(start));
        }
        cells
    }

    /// Builds cells by the list of items that cover them, in the order of the items. `number` assigns one number to
    /// each distinct list.
    pub(crate) fn covered(items: &[Vec<Span>], mut number: impl FnMut(&[u32]) -> u32) -> Self {
        let starts = cuts(items.iter().flatten().copied());
        let mut covering: Vec<Vec<u32>> = vec![vec![]; starts.len()];
        for (item, spans) in (0u32..).zip(items) {
            for span in spans {
                let from = starts.partition_point(|start| *start < span.first);
                let to = starts.partition_point(|start| *start <= span.last);
                for list in covering.get_mut(from..to).into_iter().flatten() {
                    if list.last() != Some(&item) {
                        list.push(item);
                    }
                }
            }
        }
        let mut numbers: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
        let mut cells = Self { cells: vec![] };
        for (start, list) in starts.into_iter().zip(covering) {
            let known = numbers.get(&list).copied();
            let value = known.unwrap_or_else(|| number(&list));
            if known.is_none() {
                numbers.insert(list, value);
            }
            cells.push(start, value);
        }
        cells
    }

    fn push(&mut self, start: u32, value: u32) {
        if self.cells.last().is_none_or(|(_, last)| *last != value) {
            self.cells.push((start, value));
        }
    }

    pub(crate) fn at(&self, address: u32) -> u32 {
        if let [(_, only)] = self.cells.as_slice() {
            return *only;
        }
        let after = self.cells.partition_point(|(start, _)| *start <= address);
        self.cells.get(after.saturating_sub(1)).map_or(0, |(_, value)| *value)
    }
}

/// Addresses at which a range begins or the one before it has ended, including 0.
fn cuts(spans: impl IntoIterator<Item = Span>) -> Vec<u32> {
    let mut cuts = vec![0];
    for span in spans {
        cuts.push(span.first);
        cuts.extend(span.last.checked_add(1));
    }
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cell_has_the_list_of_what_covers_each_of_its_addresses(
            ends in proptest::collection::vec(proptest::collection::vec((0u32..40, 0u32..40), 1..3), 0..8)
        ) {
            let items: Vec<Vec<Span>> = ends
                .iter()
                .map(|item| item.iter().map(|(a, b)| Span { first: *a.min(b), last: *a.max(b) }).collect())
                .collect();
            let mut lists: Vec<Vec<u32>> = vec![];
            let cells = Cells::covered(&items, |list| {
                lists.push(list.to_vec());
                u32::try_from(lists.len() - 1).unwrap()
            });
            for address in (0..45).chain([u32::MAX]) {
                let naive: Vec<u32> = (0u32..)
                    .zip(&items)
                    .filter(|(_, spans)| spans.iter().any(|span| span.contains(address)))
                    .map(|(item, _)| item)
                    .collect();
                prop_assert_eq!(&lists[cells.at(address) as usize], &naive, "{}", address);
            }
        }
    }
}
