//! The verdict engine: evidence in, verdict out.
//!
//! [`diagnose`] walks the pair's packets over configuration, joins what both ends saw of real probes, and names what
//! stops them: the object, its owner, the repair, and why that is certain. It is total (any evidence gives a verdict, what
//! is missing becomes a gap) and deterministic (the order of evidence changes no byte).
//!
//! Absences, held by the manifest: no I/O, no clock, no randomness, no async, no environment, no vendor wire format.

mod bandwidth;
mod catalogue;
mod change;
mod code;
mod correlate;
mod diagnose;
mod estate;
mod finding;
mod firewall;
mod guest;
mod host_load;
mod lang;
mod latency;
mod model;
mod observe;
mod onset;
mod own_load;
mod path_size;
mod per_flow;
mod quality;
mod question;
mod repair;
mod shared;
mod steps;
#[cfg(test)]
mod tests;
mod usual;
mod verdict;
mod walk;
mod wilson;

pub use catalogue::{CauseDoc, CauseKind, catalogue, explain};
pub use code::{CauseCode, UnknownCode};
pub use diagnose::{diagnose, diagnose_in, predicted, smallest_repair_set};
pub use estate::{
    Ask, Audit, AuditBlock, AuditCause, AuditFlows, Auditor, Decider, Estate, ExpectationAnswer, ExpectationState,
    Failing, Flow, ForbidAnswer, ForbidState, HostRef, Leaking, Outcome, PathEnd, PathLeg, PathStage, PathState,
    PathTrace, RoundTrip, Stage, UnknownPart,
};
pub use lang::{Lang, Texts};
pub use onset::{Onset, RecordedCall, Trigger};
pub use own_load::{OwnLoad, Probing, spec_bits_per_s};
pub use question::{HealthReport, Question};
pub use steps::step_name;
pub use verdict::{
    Cause, Certainty, Cut, DirectionReport, Directions, Evidence, GapNote, LoadReport, Loss, Object, ObjectKind,
    Opening, Repair, Repairs, State, Step, StepState, Suspect, Verdict,
};
pub use wilson::LossRate;
