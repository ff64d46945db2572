//! Blamed causes, and how they are matched with the expected ones.

use crate::{estate::Estate, scenario::ExpectedCause, symbols::UnknownSymbol};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A blamed cause, with the fields that are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blame {
    /// Cause code.
    pub code: String,
    /// `initiator` or `acceptor`, if the cause has a side.
    pub side: Option<String>,
    /// Id of the blamed object.
    pub object: String,
    /// Direction, if the cause has one.
    pub direction: Option<String>,
}

impl Blame {
    /// The cause in the JSON of a verdict or of an audit.
    pub(super) fn of(cause: &Value) -> Self {
        let text = |v: &Value| v.as_str().map(str::to_owned);
        Self {
            code: text(&cause["code"]).unwrap_or_default(),
            side: text(&cause["side"]),
            object: text(&cause["object"]["id"]).unwrap_or_default(),
            direction: text(&cause["direction"]),
        }
    }
}

/// All causes of these verdicts, each once.
pub(super) fn blames(verdicts: &[Value]) -> Vec<Blame> {
    let mut all: Vec<Blame> =
        verdicts.iter().flat_map(|v| v["causes"].as_array().into_iter().flatten()).map(Blame::of).collect();
    all.sort();
    all.dedup();
    all
}

/// An expected cause with its object's id.
pub(super) type Wanted<'c> = (&'c ExpectedCause, Option<String>);

/// The expected causes with the ids of their objects.
pub(super) fn wanted<'c>(causes: &'c [ExpectedCause], estate: &Estate) -> Result<Vec<Wanted<'c>>, UnknownSymbol> {
    let object = |c: &ExpectedCause| c.object.as_deref().map(|o| estate.symbols.resolve(o)).transpose();
    causes.iter().map(|c| Ok((c, object(c)?))).collect()
}

/// Whether a found cause is the expected one. What either leaves out matches anything.
pub(super) fn fits((wanted, object): &Wanted<'_>, found: &Blame) -> bool {
    *wanted.code.get_ref() == found.code
        && wanted.side.as_ref().is_none_or(|side| Some(side) == found.side.as_ref())
        && object.as_ref().is_none_or(|object| *object == found.object)
        && wanted.direction.as_ref().is_none_or(|way| Some(way) == found.direction.as_ref())
}

/// The largest one-to-one matching of expected and found causes. Returns the indices that are left over on either side.
pub(super) fn matched(wanted: &[Wanted<'_>], found: &[Blame]) -> (Vec<usize>, Vec<usize>) {
    let table: Vec<Vec<usize>> =
        wanted.iter().map(|w| (0..found.len()).filter(|b| fits(w, &found[*b])).collect()).collect();
    let mut taken = BTreeMap::new();
    let missing = (0..wanted.len()).filter(|w| !place(*w, &table, &mut taken, &mut vec![])).collect();
    let unexpected = (0..found.len()).filter(|b| !taken.contains_key(b)).collect();
    (missing, unexpected)
}

/// Finds a match for `w`, and moves other matches if necessary.
fn place(w: usize, fits: &[Vec<usize>], taken: &mut BTreeMap<usize, usize>, seen: &mut Vec<usize>) -> bool {
    for &b in &fits[w] {
        if seen.contains(&b) {
            continue;
        }
        seen.push(b);
        let free = match taken.get(&b).copied() {
            None => true,
            Some(holder) => place(holder, fits, taken, seen),
        };
        if free {
            taken.insert(b, w);
            return true;
        }
    }
    false
}

pub(super) fn show_expected(cause: &ExpectedCause) -> String {
    let parts = [Some(cause.code.get_ref().clone()), cause.side.clone(), cause.object.clone(), cause.direction.clone()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

pub(super) fn show_blame(blame: &Blame, estate: &Estate) -> String {
    let object = estate.symbols.name_of(&blame.object).map_or(blame.object.clone(), |n| format!("${{{n}}}"));
    let parts = [Some(blame.code.clone()), blame.side.clone(), Some(object), blame.direction.clone()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blame(code: &str, side: &str, object: &str) -> Blame {
        Blame { code: code.into(), side: Some(side.into()), object: object.into(), direction: None }
    }

    fn expected(text: &str) -> ExpectedCause {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn matching_is_one_to_one_and_finds_a_way_when_there_is_one() {
        let any = expected("code = \"route-missing\"");
        let b = expected("code = \"route-missing\"\nside = \"initiator\"");
        let found = [blame("route-missing", "initiator", "1"), blame("route-missing", "acceptor", "2")];
        assert_eq!(matched(&[(&any, None), (&b, None)], &found), (vec![], vec![]));
        assert_eq!(matched(&[(&any, None)], &found), (vec![], vec![1]));
        assert_eq!(matched(&[(&b, Some("9".into()))], &found), (vec![0], vec![0, 1]));
    }
}
