//! The decision of every stage about one packet.
//!
//! The constructor asks for one decision per stage, in the order of the stages: there is no trace with a stage out of
//! order, missing or repeated, and nothing that reads a trace sorts it.

use super::{DEFAULT, Outcome, filter::Say};
use crate::stage::Stage;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Trace([Say; Stage::ALL.len()]);

impl Trace {
    pub(crate) fn new(decide: impl FnMut(Stage) -> Say) -> Self {
        Self(Stage::ALL.map(decide))
    }

    /// Every stage with its decision, in order.
    pub(crate) fn decisions(self) -> impl Iterator<Item = (Stage, Say)> {
        Stage::ALL.into_iter().zip(self.0)
    }

    pub(crate) fn map(self, change: impl FnMut(Say) -> Say) -> Self {
        Self(self.0.map(change))
    }

    /// A stage that stops the packet counts before an unknown stage, wherever it is: the packet dies for certain.
    pub(crate) fn outcome(self) -> Outcome {
        let mut unknown = None;
        for (stage, say) in self.decisions() {
            match say {
                Say::Pass(_) => {}
                Say::Stop(by) => return Outcome::Stopped { stage, by: (by != DEFAULT).then_some(by) },
                Say::Unknown => unknown = unknown.or(Some(stage)),
            }
        }
        unknown.map_or(Outcome::Delivered, |stage| Outcome::Unknown { stage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_has_every_stage_once_and_in_order() {
        let mut asked = vec![];
        let trace = Trace::new(|stage| {
            asked.push(stage);
            if stage == Stage::Route { Say::Stop(7) } else { Say::Pass(0) }
        });
        assert_eq!(asked, Stage::ALL);
        assert!(asked.is_sorted_by(|one, next| one < next));
        assert!(trace.decisions().all(|(stage, say)| (say == Say::Stop(7)) == (stage == Stage::Route)));
        assert_eq!(trace.outcome(), Outcome::Stopped { stage: Stage::Route, by: Some(7) });
    }
}
