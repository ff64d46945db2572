//! Benchmarks: figures of the product's own binaries, printed and never judged by a clock in a test.

pub mod gather;
pub mod large;
pub mod load;
pub mod probe;
mod rough;
