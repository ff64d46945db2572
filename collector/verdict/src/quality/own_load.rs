//! Whether pingtong's own probes were too many for their losses to mean anything.
//!
//! A probe that dies in a queue which the probes themselves filled shows nothing about the link. The load of a
//! direction was too high if it exceeds the budget given by the plan, or if it fills the bandwidth of the link,
//! whatever the budget (module `probing`). The losses of that direction then decide nothing. The bandwidth that counts
//! is the smaller of the planned one and the one in the current configuration: the specification may have been reduced
//! since.

use super::{
    bandwidth::granted,
    means::{Excess, Excesses},
};
use crate::{
    model::Model,
    probing::{OwnLoad, fills},
    question::Question,
};
use pingtong_evidence::Direction;

/// The directions in which pingtong's own probes were too many for their losses to mean anything.
pub(crate) fn excesses(question: &Question<'_>, model: &Model) -> Excesses {
    let granted = granted(model);
    let own = match &question.probing {
        Some(probing) => probing.own,
        // Evidence from before budgets existed: it can still be seen whether the probes filled the link.
        None => OwnLoad::of(question.peers.iter().copied().chain([question.pair]), question.probes.iter().copied()),
    };
    let planned = question.probing.as_ref().map(|probing| probing.budget.bandwidth.bits_per_s);
    let Some(bandwidth) = [granted, planned].into_iter().flatten().min() else { return Excesses::new() };
    let too_much = |direction: Direction| match &question.probing {
        Some(probing) => probing.exceeds(direction, bandwidth),
        None => fills(own.get(direction), bandwidth),
    };
    let excess = |direction| (direction, Excess { own: own.get(direction), bandwidth });
    Direction::BOTH.into_iter().filter(|direction| too_much(*direction)).map(excess).collect()
}
