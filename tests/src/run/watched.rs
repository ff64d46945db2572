//! What the steady watch of the collector says beside the verdicts that were asked for. Its words are those of the
//! collector's log, one line for each change.

use super::{
    Outcome,
    blame::{Blame, Wanted, blames, fits, show_blame, wanted},
};
use crate::{
    estate::{Estate, log_path},
    scenario::Expected,
};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long the watch may take to say what a verdict says: its window, a reading of the accounts, and its looks.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(90);
/// Interval between two looks into the log.
const LOOK: Duration = Duration::from_millis(200);

/// One line of the watch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    pair: String,
    state: String,
    causes: Vec<Blame>,
}

impl Line {
    fn of(text: &str) -> Option<Self> {
        let line: Value = serde_json::from_str(text).ok()?;
        let fields = &line["fields"];
        if fields["message"] != "the pair changed" {
            return None;
        }
        let of_field = |key: &str| Some(fields[key].as_str()?.to_owned());
        let causes = of_field("causes")?.split_whitespace().filter_map(cause).collect();
        Some(Self { pair: of_field("pair.id")?, state: of_field("to")?, causes })
    }
}

/// A cause as the log has it, `code@side:object`.
fn cause(text: &str) -> Option<Blame> {
    let (code, rest) = text.split_once('@')?;
    let (side, object) = rest.split_once(':')?;
    Some(Blame { code: code.to_owned(), side: Some(side.to_owned()), object: object.to_owned(), direction: None })
}

fn lines() -> Result<Vec<Line>> {
    let log = std::fs::read_to_string(log_path("collector")).context("cannot read the collector's log")?;
    Ok(log.lines().filter_map(Line::of).collect())
}

/// The watch since a moment at which it had judged every pair.
pub(super) struct Watched {
    /// Number of lines before.
    from: usize,
}

impl Watched {
    /// Waits until the watch has judged every pair without an open question.
    pub(super) async fn begin(estate: &Estate) -> Result<Self> {
        let pairs = super::verify(estate).await?.len();
        let began = wait(|lines| (latest(lines).len() == pairs).then_some(lines.len())).await?;
        Ok(Self { from: began.context("the watch did not judge every pair")? })
    }

    /// Waits until the watch says what the verdicts say, and records every other cause that it named on the way.
    pub(super) async fn follows(
        &self,
        estate: &Estate,
        expected: &Expected,
        verdicts: &[Value],
        outcome: &mut Outcome,
    ) -> Result<()> {
        let states: BTreeMap<&str, &str> =
            verdicts.iter().filter_map(|v| Some((v["pair"]["id"].as_str()?, v["state"].as_str()?))).collect();
        let causes: Vec<Blame> = blames(verdicts).into_iter().map(|c| Blame { direction: None, ..c }).collect();
        let said = |lines: &[Line]| {
            let now = latest(lines);
            let same = now.iter().all(|(pair, line)| states.get(pair).is_none_or(|state| *state == line.state));
            let mut named: Vec<Blame> = now.values().flat_map(|line| line.causes.clone()).collect();
            named.sort();
            named.dedup();
            (same && causes.iter().all(|cause| named.contains(cause))).then_some(())
        };
        if wait(said).await?.is_none() {
            outcome.missing.push(format!("the watch says what the verdicts say, not {:?}", latest(&lines()?)));
        }
        self.names_only(estate, expected, outcome)
    }

    /// Waits until the watch finds every pair healthy, and records every unexpected cause that it named on the way.
    pub(super) async fn recovers(&self, estate: &Estate, expected: &Expected, outcome: &mut Outcome) -> Result<()> {
        let healthy = |lines: &[Line]| latest(lines).values().all(|line| line.state == "healthy").then_some(());
        if wait(healthy).await?.is_none() {
            outcome.missing.push(format!("the watch finds the pairs healthy, not {:?}", latest(&lines()?)));
        }
        self.names_only(estate, expected, outcome)
    }

    fn names_only(&self, estate: &Estate, expected: &Expected, outcome: &mut Outcome) -> Result<()> {
        let wanted: Vec<Wanted<'_>> = wanted(&expected.causes, estate)?;
        let all = lines()?;
        for line in all.get(self.from..).into_iter().flatten() {
            for cause in &line.causes {
                // The log leaves the direction out.
                let fitting = wanted.iter().any(|wanted| {
                    let way = wanted.0.direction.clone();
                    fits(wanted, &Blame { direction: way, ..cause.clone() })
                });
                let strange = format!("the watch: {} {}", line.state, show_blame(cause, estate));
                if !fitting && !outcome.unexpected.contains(&strange) {
                    outcome.unexpected.push(strange);
                }
            }
        }
        outcome.pass = outcome.missing.is_empty() && outcome.unexpected.is_empty();
        Ok(())
    }
}

/// The latest line of each pair.
fn latest(lines: &[Line]) -> BTreeMap<&str, &Line> {
    lines.iter().map(|line| (line.pair.as_str(), line)).collect()
}

/// Waits until `said` finds something in the log; `None` if it does not in time.
async fn wait<T>(said: impl Fn(&[Line]) -> Option<T>) -> Result<Option<T>> {
    let deadline = Instant::now() + FOLLOWS_WITHIN;
    loop {
        let lines = lines()?;
        if let Some(found) = said(&lines) {
            return Ok(Some(found));
        }
        if Instant::now() > deadline {
            if lines.is_empty() {
                bail!("the collector's log has no line of the watch");
            }
            return Ok(None);
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_watch_is_read_from_the_log() {
        let text = r#"{"level":"WARN","fields":{"message":"the pair changed","pair.id":"l/a~b/icmp","from":"healthy",
            "to":"broken","causes":"route-missing@acceptor:vtb-1 fabric-fault@initiator:ri-1~ri-2"}}"#
            .replace('\n', "");
        let line = Line::of(&text).unwrap();
        assert_eq!((line.pair.as_str(), line.state.as_str()), ("l/a~b/icmp", "broken"));
        let causes: Vec<_> = line.causes.iter().map(|c| (c.code.as_str(), c.object.as_str())).collect();
        assert_eq!(causes, [("route-missing", "vtb-1"), ("fabric-fault", "ri-1~ri-2")]);
        assert_eq!(Line::of("{\"fields\":{\"message\":\"serving\"}}"), None);
    }
}
