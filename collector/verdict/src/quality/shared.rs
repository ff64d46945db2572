//! Tomography: what the other pairs of the same link show about where an impairment lies.
//!
//! Pairs of one link share its segment and differ in their hosts. Rules:
//! 1. A pair counts if enough of it was observed: it is impaired in the same way or it is clean; otherwise it counts
//!    for nothing.
//! 2. A host is cleared by a clean pair of which it is an end.
//! 3. One host is the location if the other end is cleared, it is not, and every impaired pair includes it; otherwise
//!    the segment is.
//!
//! Does not know what the impairment is or what causes it.

use pingtong_evidence::{Endpoint, Pair, Side};

/// What another pair of the link shows about the impairment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Impaired,
    Clean,
    Nothing,
}

/// Number of other pairs that are impaired or clean, for the evidence text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub(crate) impaired: usize,
    pub(crate) clean: usize,
}

fn has(pair: &Pair, side: Side, host: &Endpoint) -> bool {
    pair.endpoint(side).address == host.address
}

/// The side of `pair` whose host alone is impaired, if the other pairs show that, and the counts of these pairs.
pub(crate) fn host_alone(pair: &Pair, others: &[(&Pair, Word)]) -> (Option<Side>, Count) {
    let say = |word: Word| others.iter().filter(move |(_, said)| *said == word).map(|(other, _)| *other);
    let cleared = |side: Side| say(Word::Clean).any(|other| has(other, side, pair.endpoint(side)));
    let in_all = |side: Side| say(Word::Impaired).all(|other| has(other, side, pair.endpoint(side)));
    let alone = Side::BOTH.into_iter().find(|side| !cleared(*side) && cleared(side.opposite()) && in_all(*side));
    (alone, Count { impaired: say(Word::Impaired).count(), clean: say(Word::Clean).count() })
}
