//! One canonical order for evidence that arrives in any order.

use std::cmp::Ordering;

/// Sorts by a key. Different items with equal keys are ordered by their whole `Debug` text, which is expensive and
/// therefore used last.
pub(crate) fn sort_by_key<T: PartialEq + std::fmt::Debug, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    items.sort_by(|a, b| {
        key(a).cmp(&key(b)).then_with(|| if a == b { Ordering::Equal } else { format!("{a:?}").cmp(&format!("{b:?}")) })
    });
}
