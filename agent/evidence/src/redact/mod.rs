//! Redaction of snapshots, so that they can be shown to outsiders: every id, name and address is replaced, every
//! relation between them is kept.
//!
//! A text becomes the same pseudonym in all snapshots of one call, so that a reference from one account's snapshot into
//! another's still resolves. Addresses keep containment, overlap and prefix lengths (`address`); messages keep their
//! words (`text`). Unchanged are regions and zones, times, states, ports, priorities, bandwidths, measurements, the
//! order of lists, and the vendor's own terms (actions, error codes, specifications). A reader who has the key can undo
//! the redaction by trying candidates; a reader without it still sees the size and structure of the network.
//!
//! Nothing here creates or stores a key: the caller passes a keyed function to [`redact`]. The treatment of each field
//! is decided in `snapshot`, where a new field does not compile until that decision is made.

mod address;
mod snapshot;
mod text;

use crate::Snapshot;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

/// A keyed function whose results cannot be distinguished from random without its key, such as HMAC-SHA256.
pub type KeyedFunction<'k> = &'k dyn Fn(&[u8]) -> [u8; 32];

/// Returns the snapshots with every id, name and address replaced. The same function gives the same result.
pub fn redact(snapshots: &[Snapshot], keyed: KeyedFunction<'_>) -> Vec<Snapshot> {
    let by = Redactor::new(keyed);
    // The first pass learns every original, because messages may mention names from another snapshot.
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
    /// Every text that was replaced, with its pseudonym.
    originals: RefCell<BTreeMap<String, String>>,
    /// Those of them that a message cannot match word by word: they contain white space, quotes or outer punctuation.
    phrases: RefCell<BTreeSet<String>>,
}

impl<'k> Redactor<'k> {
    fn new(keyed: KeyedFunction<'k>) -> Self {
        Self { keyed, originals: RefCell::default(), phrases: RefCell::default() }
    }

    /// Result of the keyed function for a text of one kind.
    fn image(&self, kind: u8, text: &[u8]) -> [u8; 32] {
        let mut input = Vec::with_capacity(text.len() + 1);
        input.push(kind);
        input.extend_from_slice(text);
        (self.keyed)(&input)
    }
}

#[cfg(test)]
mod tests;
