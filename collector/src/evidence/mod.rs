//! From stored evidence to the question that the verdict engine answers.

pub(crate) mod history;
pub(crate) mod question;
