//! The verdict engine: evidence in, verdict out.
//!
//! [`diagnose`] walks the packets of a pair over the configuration, correlates the prediction with what both ends
//! observed of real probes, and names what stops the packets: the object, its owner, the repair and the proof. It is
//! total (any evidence yields a verdict, missing evidence becomes a gap) and deterministic (the order of the evidence
//! does not change a byte of the verdict).
//!
//! The manifest enforces what this crate does without: no I/O, no clock, no randomness, no async, no environment, no
//! vendor wire format.

mod catalogue;
mod certainty;
mod code;
mod configuration;
mod correlate;
mod diagnose;
mod evidence;
mod finding;
mod fix;
mod gaps;
mod guest;
mod guest_filter;
mod index;
mod lang;
mod model;
mod observe;
mod onset;
mod order;
mod probing;
mod quality;
mod question;
mod repair;
mod settling;
mod stage;
mod steps;
#[cfg(test)]
mod tests;
mod vendor_text;
mod verdict;
mod walk;
mod wilson;

pub use catalogue::{CauseDoc, CauseKind, catalogue, explain};
pub use code::{CauseCode, UnknownCode};
pub use configuration::{Configuration, Configurations};
pub use diagnose::{diagnose, diagnose_in, is_changing, predicted, smallest_repair_set};
pub use evidence::{Bundle, Evidence, LinkReadings, PairContext};
pub use index::{
    Ask, Audit, AuditBlock, AuditCause, AuditFlows, Auditor, Decider, Estate, ExpectationAnswer, ExpectationState,
    Failing, Flow, ForbidAnswer, ForbidState, HostRef, Leaking, Outcome, PathEnd, PathLeg, PathStage, PathState,
    PathTrace, Predicted, RoundTrip, SetAnswer, UnknownPart, Unprobed, UnprobedHost,
};
pub use lang::{Lang, Texts};
pub use probing::{OwnLoad, Probing, spec_bits_per_s};
pub use question::{Case, HealthReport, Question};
pub use stage::Stage;
pub use steps::step_name;
pub use verdict::{
    Answered, Cause, Certainty, Changed, Cut, DirectionReport, Directions, EvidenceLine, GapNote, LoadReport, Loss,
    Object, ObjectKind, Onset, Opening, RecordedCall, Repair, Repairs, State, Step, StepState, Suspect, Trigger,
    Verdict,
};
pub use wilson::LossRate;
