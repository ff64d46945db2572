//! Tomography: what other pairs of the same link say about where an impairment lies.
//!
//! Pairs of one link share its segment and differ in their hosts. Rules: 1. A pair speaks when enough of it was observed: it
//! is impaired alike, or it is clean, or it says nothing. 2. A host is cleared by a clean pair that it is an end of. 3. One
//! host is the place when the other end is cleared, it is not, and every impaired pair has it; otherwise the segment is.
//! Knows neither what impairs nor why.

use pingtong_evidence::{Endpoint, Pair, Side};

/// What a pair says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Impaired,
    Clean,
    Nothing,
}

/// How many other pairs say what, for the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub(crate) impaired: usize,
    pub(crate) clean: usize,
}

fn has(pair: &Pair, side: Side, host: &Endpoint) -> bool {
    pair.endpoint(side).address == host.address
}

/// The side of `pair` whose host alone is impaired, when the others say so, with how many said what.
pub(crate) fn host_alone(pair: &Pair, others: &[(&Pair, Word)]) -> (Option<Side>, Count) {
    let say = |word: Word| others.iter().filter(move |(_, said)| *said == word).map(|(other, _)| *other);
    let cleared = |side: Side| say(Word::Clean).any(|other| has(other, side, pair.endpoint(side)));
    let in_all = |side: Side| say(Word::Impaired).all(|other| has(other, side, pair.endpoint(side)));
    let alone = Side::BOTH.into_iter().find(|side| !cleared(*side) && cleared(side.opposite()) && in_all(*side));
    (alone, Count { impaired: say(Word::Impaired).count(), clean: say(Word::Clean).count() })
}
