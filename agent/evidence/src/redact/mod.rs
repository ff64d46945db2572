//! Snapshots that can be shown to strangers: every id, name and address replaced, every relation between them kept.
//!
//! The same text becomes the same pseudonym in all snapshots of one call, so that a reference from one account's snapshot
//! into another's still leads there. Addresses keep containment, overlap and prefix lengths (`address`), messages keep
//! their words (`text`). Kept as they are: regions and zones, times, states, ports, priorities, bandwidths, measurements, the
//! order of lists, and the vendor's own words (actions, error codes, specifications). Who knows the key can undo it by
//! trying; who does not still sees how large the network is and how it is built.
//!
//! Nothing here makes or keeps a key: [`redact`] is told a keyed function. What a field holds is decided in `snapshot`,
//! where a new field does not compile until somebody has decided.

mod address;
mod snapshot;
mod text;

use crate::Snapshot;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

/// A keyed function whose results nobody can tell from chance without its key, such as HMAC-SHA256.
pub type KeyedFunction<'k> = &'k dyn Fn(&[u8]) -> [u8; 32];

/// The snapshots with every id, name and address replaced; the same under the same function.
pub fn redact(snapshots: &[Snapshot], keyed: KeyedFunction<'_>) -> Vec<Snapshot> {
    let by = Redactor::new(keyed);
    // The first pass learns every original, for messages may name what another snapshot calls its own.
    let _ = snapshots.to_vec().redact(&by);
    snapshots.to_vec().redact(&by)
}

/// Something that can be redacted.
pub(crate) trait Redact {
    fn redact(&self, by: &Redactor<'_>) -> Self;
}

/// Replaces texts and addresses.
pub(crate) struct Redactor<'k> {
    keyed: KeyedFunction<'k>,
    /// Every text that was replaced, and by what.
    originals: RefCell<BTreeMap<String, String>>,
    /// Those of them that are more than one word.
    phrases: RefCell<BTreeSet<String>>,
}

impl<'k> Redactor<'k> {
    fn new(keyed: KeyedFunction<'k>) -> Self {
        Self { keyed, originals: RefCell::default(), phrases: RefCell::default() }
    }

    /// What the function gives for a text of one kind.
    fn image(&self, kind: u8, text: &[u8]) -> [u8; 32] {
        let mut input = Vec::with_capacity(text.len() + 1);
        input.push(kind);
        input.extend_from_slice(text);
        (self.keyed)(&input)
    }
}

#[cfg(test)]
mod tests;
