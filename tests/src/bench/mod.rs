//! Benchmarks of the product's own binaries. They print figures; no test passes or fails by a clock.

pub mod gather;
pub mod large;
pub mod load;
pub mod probe;
mod rough;
pub mod verdict;
