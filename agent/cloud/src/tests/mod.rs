//! Tests that need more than one module.

#[cfg(test)]
pub(crate) mod fuzz;
#[cfg(test)]
pub(crate) mod samples;
