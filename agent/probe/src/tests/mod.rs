//! Helpers of tests.

#[cfg(test)]
pub(crate) mod sample;
