//! Spreads cases over the machine's cores. Results keep the order of the cases, so the number of cores changes nothing.

use std::{num::NonZero, thread};

/// Runs `work` on every case.
pub(super) fn on_all_cores<C: Sync, R: Send>(cases: &[C], work: impl Fn(&C) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = cases.len().div_ceil(cores).max(1);
    thread::scope(|scope| {
        let work = &work;
        let started: Vec<_> =
            cases.chunks(share).map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>())).collect();
        let mut results = vec![];
        for part in started {
            match part.join() {
                Ok(part) => results.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}
