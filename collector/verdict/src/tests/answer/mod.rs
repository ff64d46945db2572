//! What a verdict or an audit answers.

pub(crate) mod bundles;
pub(crate) mod checklist;
pub(crate) mod codes;
pub(crate) mod expectations;
pub(crate) mod names;
pub(crate) mod next_step;
pub(crate) mod onset;
pub(crate) mod onset_when;
pub(crate) mod properties;
pub(crate) mod redacted;
pub(crate) mod repairs;
pub(crate) mod undecided;
pub(crate) mod unseen;
