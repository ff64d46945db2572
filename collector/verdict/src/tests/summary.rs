//! The content of a verdict, in short texts for comparison in tests.

use crate::{Suspect, Verdict};

/// Each cause as code, side and object.
pub(crate) fn blamed(verdict: &Verdict) -> Vec<String> {
    verdict.causes.iter().map(|cause| format!("{} {} {}", cause.code, cause.side, cause.object.id)).collect()
}

/// The code of each cause.
pub(crate) fn blamed_codes(verdict: &Verdict) -> Vec<String> {
    verdict.causes.iter().map(|cause| cause.code.to_string()).collect()
}

/// The evidence lines of the causes with this code.
pub(crate) fn why(verdict: &Verdict, code: &str) -> Vec<String> {
    let causes = verdict.causes.iter().filter(|cause| cause.code.as_str() == code);
    causes.flat_map(|cause| &cause.evidence).map(|line| line.text.clone()).collect()
}

/// The codes of each suspect.
pub(crate) fn suspected(verdict: &Verdict) -> Vec<String> {
    let codes = |suspect: &Suspect| suspect.codes.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(" ");
    verdict.suspects.iter().map(codes).collect()
}

/// The commands of the repair set, for the cloud or the guest; a manual repair is listed by its code.
pub(crate) fn commands(verdict: &Verdict) -> Vec<String> {
    let one = |repair: &crate::Repair| match (repair.cli.as_slice(), repair.guest.as_slice()) {
        ([], []) => format!("by hand: {}", repair.code),
        ([], guest) => guest.join(" "),
        (cli, _) => cli.join(" "),
    };
    verdict.repairs.set.iter().map(one).collect()
}
