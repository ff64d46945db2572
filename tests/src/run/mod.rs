//! Runs one scenario in its own lab: boots it, breaks something, asks for a verdict, compares it exactly, runs the
//! repairs as printed, and checks reachability with real packets.
#![expect(clippy::disallowed_methods, reason = "a shell of the lab: it waits for states with a deadline and measures")]

mod audited;
mod blame;
mod watched;

use crate::{
    cloud::{ApiError, Hand, Lies, parse_aliyun_argv},
    desired::Shape,
    estate::{Estate, question_path},
    programs::Programs,
    reach::{self, Unreached},
    scenario::{Case, HAND_KEYS, Step, number},
    tutorial::field,
};
use anyhow::{Context, Result, anyhow, bail};
pub use blame::Blame;
use blame::{blames, matched, show_blame, show_expected, wanted};
use pingtong_evidence::{PairId, Side};
use pingtong_verdict::{Bundle, Evidence, Lang};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Seconds that `pingtong verify` waits for agents that do not respond.
const WAIT_S: &str = "4";

/// How long the collector may take to learn the usual times; rounds come once per second.
const USUAL_WITHIN: Duration = Duration::from_secs(30);
/// Earlier rounds of each end that are enough to know the usual times.
const USUAL_ROUNDS: usize = 4;

/// Code of the gap that reports a change that is still settling.
const SETTLING: &str = "config-stale";

/// Outcome of one scenario: the JSON line of `pingtong-lab run --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario's name.
    pub name: String,
    /// Whether everything was as expected.
    pub pass: bool,
    /// The worst state over all pairs.
    pub state: String,
    /// The blamed causes over all pairs.
    pub causes: Vec<Blame>,
    /// Gap codes over all pairs.
    pub gaps: Vec<String>,
    /// What the scenario expects.
    pub expected: Vec<String>,
    /// Expectations that were not found.
    pub missing: Vec<String>,
    /// Findings that were not expected.
    pub unexpected: Vec<String>,
    /// Whether the printed repairs restored every expectation; `None` if the scenario does not ask for it.
    pub repaired: Option<bool>,
    /// How long each part took.
    pub seconds: Seconds,
    /// Why the scenario could not be completed, if it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Durations in seconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// Until the collector and the agents were up.
    pub boot: f64,
    /// From the last step of the scenario until the question had fresh evidence.
    pub detect: f64,
    /// From then until the verdict was available.
    pub verdict: f64,
    /// Running the printed repairs, until every expectation held.
    pub repair: f64,
}

impl Outcome {
    /// The outcome of a case that has not run yet.
    pub fn of(case: &Case) -> Self {
        let expected = case.scenario.expect.causes.iter().map(show_expected).collect();
        Self { expected, ..Self::named(case.scenario.name.clone()) }
    }

    /// The outcome of a scenario that returned no result.
    pub fn lost(name: String, error: &anyhow::Error) -> Self {
        Self { error: Some(format!("{error:#}")), ..Self::named(name) }
    }

    fn named(name: String) -> Self {
        Self {
            name,
            pass: false,
            state: String::new(),
            causes: vec![],
            gaps: vec![],
            expected: vec![],
            missing: vec![],
            unexpected: vec![],
            repaired: None,
            seconds: Seconds::default(),
            error: None,
        }
    }
}

/// Runs a case; every failure is recorded in the outcome.
pub async fn run(case: &Case, programs: Programs) -> Outcome {
    let mut outcome = Outcome::of(case);
    if let Err(error) = attempt(case, programs, &mut outcome).await {
        outcome.error = Some(format!("{error:#}"));
        outcome.pass = false;
    }
    outcome
}

async fn attempt(case: &Case, programs: Programs, outcome: &mut Outcome) -> Result<()> {
    let started = Instant::now();
    let steps = case.scenario.tutorial_steps();
    let mut estate = Estate::boot(case.topology.clone(), &steps, programs).await.context("cannot boot the topology")?;
    outcome.seconds.boot = started.elapsed().as_secs_f64();
    if case.scenario.expect.onset.is_some() || case.scenario.settle_ms.is_some() {
        verify(&estate).await.context("before anything is done")?;
    }
    if case.steps.iter().any(alters_times) {
        see_usual_times(&estate).await.context("before the steps of the scenario")?;
    }
    let watched = if case.scenario.expect.watched { Some(watched::Watched::begin(&estate).await?) } else { None };
    for (i, step) in case.steps.iter().enumerate() {
        perform(&mut estate, step).await.with_context(|| format!("step {} of the scenario", i + 1))?;
    }
    let (done, done_at) = (Instant::now(), std::time::SystemTime::now());
    let verdicts = verify(&estate).await?;
    let answered = done.elapsed().as_secs_f64();
    outcome.seconds.detect = evidence_after(&verdicts, done_at).clamp(0.0, answered);
    outcome.seconds.verdict = answered - outcome.seconds.detect;

    compare(case, &estate, &verdicts, outcome)?;
    if let Some(causes) = &case.scenario.expect.predicted {
        audited::compare_predicted(&estate, causes, outcome).await?;
    }
    if let Some(states) = &case.scenario.expect.audit {
        audited::compare(&estate, &case.scenario.expect, states, outcome).await?;
    }
    if let Some(watched) = &watched {
        watched.follows(&estate, &case.scenario.expect, &verdicts, outcome).await?;
    }
    if case.scenario.expect.repaired {
        let started = Instant::now();
        let restored = repair_and_reach(&mut estate, &verdicts).await;
        outcome.seconds.repair = started.elapsed().as_secs_f64();
        outcome.repaired = Some(restored.is_ok());
        outcome.pass &= restored.is_ok();
        restored.context("the printed repairs do not restore the expectation")?;
        if let Some(watched) = &watched {
            watched.recovers(&estate, &case.scenario.expect, outcome).await?;
        }
    }
    Ok(())
}

/// Whether a step changes packet times. The usual times must then be on record before the step.
fn alters_times(step: &Step) -> bool {
    const KEYS: [&str; 3] = ["delay_ms", "jitter_ms", "rate_mbit"];
    matches!(step, Step::Fabric { with, .. } if KEYS.iter().any(|key| with.contains_key(*key)))
}

/// Verifies repeatedly until the collector has seen enough rounds of every probing end to know the usual times. A user
/// does the same after the setup.
async fn see_usual_times(estate: &Estate) -> Result<()> {
    let deadline = Instant::now() + USUAL_WITHIN;
    loop {
        verify(estate).await?;
        let asked = std::fs::read_to_string(question_path()).context("cannot read what was asked")?;
        let bundle: Bundle = serde_json::from_str(&asked)?;
        if bundle.pairs.iter().all(|asked| knows_what_is_usual(&bundle.evidence, &asked.pair)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the collector keeps too few rounds to know what is usual");
        }
    }
}

fn knows_what_is_usual(evidence: &Evidence, pair: &PairId) -> bool {
    let ends = evidence
        .pairs
        .iter()
        .filter(|known| known.id == *pair)
        .flat_map(|pair| Side::BOTH.map(|side| pair.endpoint(side)));
    ends.filter_map(|end| end.agent.as_ref()).all(|agent| {
        let of_agent = evidence.earlier.iter().filter(|round| round.pair == *pair && round.key.agent == *agent);
        of_agent.count() >= USUAL_ROUNDS
    })
}

/// Seconds from `since` to the newest evidence of a verdict. All clocks are this machine's.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit in 53 bits")]
fn evidence_after(verdicts: &[Value], since: std::time::SystemTime) -> f64 {
    let since_ms = since.duration_since(std::time::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64() * 1000.0);
    let newest = verdicts.iter().filter_map(|v| v["evidence_at"].as_i64()).max();
    newest.map_or(0.0, |at| (at as f64 - since_ms) / 1000.0)
}

/// Asks the lab's collector for fresh verdicts: one for each pair.
///
/// # Errors
/// Fails if `pingtong verify` cannot be run or prints no verdict; the error contains its message.
pub async fn verify(estate: &Estate) -> Result<Vec<Value>> {
    verify_in(estate, Lang::En).await
}

/// Like [`verify`], with texts in `lang`. The question is saved in [`question_path`].
///
/// # Errors
/// Fails if `pingtong verify` cannot be run or prints no verdict; the error contains its message.
pub async fn verify_in(estate: &Estate, lang: Lang) -> Result<Vec<Value>> {
    let mut command = estate.pingtong(["verify", "--json", "--wait", WAIT_S, "--lang", lang.as_str()]);
    command.arg("--save").arg(question_path());
    let out = estate.run_in_service(command).await?;
    let text = String::from_utf8_lossy(&out.stdout);
    let mut verdicts: Vec<Value> = text
        .lines()
        .filter(|l| !l.trim().is_empty())
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .with_context(|| format!("pingtong verify printed no JSON: {text}"))?;
    // The last line may be about hosts without an agent.
    verdicts.retain(|line| line.get("pair").is_some());
    if verdicts.is_empty() {
        bail!("pingtong verify gave no verdict: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(verdicts)
}

/// What a user of `pingtong` sees for the most recent question.
pub(crate) async fn human(estate: &Estate, lang: Lang) -> Result<String> {
    let mut command = estate.diagnose();
    command.arg(question_path()).args(["--lang", lang.as_str()]);
    let out = estate.run_in_service(command).await?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    if text.trim().is_empty() {
        bail!("pingtong diagnose printed nothing: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(text)
}

/// Carries out one step of a scenario.
///
/// # Errors
/// Fails if the step fails, or if a call succeeds that the cloud had to refuse.
pub async fn perform(estate: &mut Estate, step: &Step) -> Result<()> {
    match step {
        Step::Call { account, product, action, with, save, fails } => {
            let with: BTreeMap<String, String> = with
                .iter()
                .map(|(k, v)| Ok((k.clone(), estate.symbols.resolve(v)?)))
                .collect::<Result<_, crate::symbols::UnknownSymbol>>()?;
            let region = region_of(estate, account, &with);
            let answer = estate.operators.call(account, product, action, &region, with).await;
            match (answer, fails) {
                (Ok(answer), None) => save_fields(estate, account, &region, save, &answer),
                (Ok(_), Some(code)) => bail!("{product}:{action} succeeded and had to fail with {code}"),
                (Err(error), None) => Err(error),
                (Err(error), Some(code)) => match error.downcast_ref::<ApiError>() {
                    Some(ApiError::Refused { code: got, .. }) if got == code => Ok(()),
                    _ => Err(error.context(format!("{product}:{action} had to fail with {code}"))),
                },
            }
        }
        Step::Run { on, argv } => {
            let argv: Vec<String> = argv.iter().map(|a| estate.symbols.resolve(a)).collect::<Result<_, _>>()?;
            let out = estate.run_in_instance(on, &argv).await?;
            if !out.status.success() {
                bail!(
                    "\"{}\" in {on} failed ({}): {}",
                    argv.join(" "),
                    out.status,
                    String::from_utf8_lossy(&out.stderr).trim()
                );
            }
            Ok(())
        }
        Step::Agent { on, surroundings } => estate.restart_agent(on, surroundings).await,
        Step::Fabric { peering, directions, with } => {
            let link = estate.symbols.get(&format!("{peering}.initiator"))?;
            for direction in directions {
                let shape = reshaped(estate.plane.shape(link, *direction), with)?;
                estate.plane.set_shape(link, *direction, shape);
            }
            Ok(())
        }
        Step::Api { account, with } => {
            let (hands, lies): (BTreeMap<_, _>, BTreeMap<_, _>) =
                with.clone().into_iter().partition(|(key, _)| HAND_KEYS.contains(&key.as_str()));
            for (key, value) in hands {
                let what = serde_json::json!({ key: resolved(estate, serde_json::to_value(value)?)? });
                let hand: Hand = serde_json::from_value(what).context("what befalls an object")?;
                estate.cloud.befall(account, &hand).await?;
            }
            if !lies.is_empty() {
                let lies: Lies = serde_json::from_value(serde_json::to_value(lies)?).context("an API's lies")?;
                estate.cloud.add_lies(account, lies);
            }
            Ok(())
        }
    }
}

/// A value with the symbols in its texts resolved.
fn resolved(estate: &Estate, value: Value) -> Result<Value> {
    Ok(match value {
        Value::String(text) => Value::String(estate.symbols.resolve(&text)?),
        Value::Object(map) => {
            let each = map.into_iter().map(|(key, value)| Ok((key, resolved(estate, value)?)));
            Value::Object(each.collect::<Result<_>>()?)
        }
        other => other,
    })
}

fn save_fields(
    estate: &mut Estate,
    account: &str,
    region: &str,
    save: &BTreeMap<String, String>,
    answer: &Value,
) -> Result<()> {
    for (name, path) in save {
        estate.symbols.set_in(account, region, name, field(answer, path)?);
    }
    Ok(())
}

/// The region of a call: as given, otherwise that of an object in its parameters, otherwise that of the account's first
/// VPC.
fn region_of(estate: &Estate, account: &str, with: &BTreeMap<String, String>) -> String {
    let own =
        || estate.topology.vpcs.iter().find(|v| v.account() == account).map(|v| v.region.clone()).unwrap_or_default();
    with.get("RegionId")
        .cloned()
        .or_else(|| estate.symbols.region_of(account, with.values()).map(str::to_owned))
        .unwrap_or_else(own)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be small and positive on reading"
)]
fn reshaped(mut shape: Shape, with: &BTreeMap<String, toml::Value>) -> Result<Shape> {
    for (key, value) in with {
        let n = number(value);
        let need = || n.ok_or_else(|| anyhow!("{key} needs a number"));
        match key.as_str() {
            "loss" => shape.loss = need()?,
            "delay_ms" => shape.delay_ms = need()?,
            "jitter_ms" => shape.jitter_ms = need()?,
            "rate_mbit" => shape.rate_mbit = Some(need()?),
            "mtu" => shape.mtu = Some(need()? as u32),
            "reorder" => shape.reorder = need()?,
            "duplicate" => shape.duplicate = need()?,
            "down" => shape.down = value.as_bool().unwrap_or(false),
            other => bail!("the fabric has no \"{other}\""),
        }
    }
    Ok(shape)
}

/// Compares verdicts with the expectations of the case and records the result in `outcome`.
///
/// # Errors
/// Fails if an expectation uses an unknown symbol.
pub fn compare(case: &Case, estate: &Estate, verdicts: &[Value], outcome: &mut Outcome) -> Result<()> {
    outcome.state = worst_state(verdicts);
    outcome.causes = blames(verdicts);
    outcome.gaps = gap_codes(verdicts);
    let expect = &case.scenario.expect;
    let wanted = wanted(&expect.causes, estate)?;
    let (missing, unexpected) = matched(&wanted, &outcome.causes);
    outcome.missing = missing.into_iter().map(|i| show_expected(wanted[i].0)).collect();
    outcome.unexpected = unexpected.into_iter().map(|i| show_blame(&outcome.causes[i], estate)).collect();
    if *expect.state.get_ref() != outcome.state {
        outcome.missing.push(format!("state {}", expect.state.get_ref()));
        outcome.unexpected.push(format!("state {}", outcome.state));
    }
    if case.scenario.settle_ms.is_none() && !expect.gaps.iter().flatten().any(|gap| gap == SETTLING) {
        // The steps of the scenario are changes that are still settling, which every verdict on them reports.
        outcome.gaps = gap_codes(&without_settling(verdicts));
    }
    if let Some(gaps) = &expect.gaps {
        let mut gaps = gaps.clone();
        gaps.sort();
        gaps.dedup();
        outcome.missing.extend(gaps.iter().filter(|g| !outcome.gaps.contains(g)).map(|g| format!("gap {g}")));
        outcome.unexpected.extend(outcome.gaps.iter().filter(|g| !gaps.contains(g)).map(|g| format!("gap {g}")));
    }
    if let Some(objects) = &expect.onset {
        compare_onset(estate, verdicts, objects, outcome)?;
    }
    outcome.pass = outcome.missing.is_empty() && outcome.unexpected.is_empty();
    Ok(())
}

/// Every broken pair must have exactly the expected triggers.
fn compare_onset(estate: &Estate, verdicts: &[Value], objects: &[String], outcome: &mut Outcome) -> Result<()> {
    let wanted: std::collections::BTreeSet<String> =
        objects.iter().map(|object| estate.symbols.resolve(object)).collect::<Result<_, _>>()?;
    for verdict in verdicts.iter().filter(|v| v["state"] == "broken") {
        let onset = &verdict["onset"];
        let triggers = onset["triggers"].as_array().into_iter().flatten();
        let found = triggers.filter_map(|t| t["object"]["id"].as_str().map(str::to_owned)).collect();
        if onset["explained"] != !wanted.is_empty() || wanted != found {
            outcome.missing.push(format!("onset {wanted:?}"));
            outcome.unexpected.push(format!("onset {found:?}, explained {}", onset["explained"]));
        }
    }
    Ok(())
}

fn worst_state(verdicts: &[Value]) -> String {
    const WORST_FIRST: [&str; 4] = ["broken", "degraded", "undecided", "healthy"];
    let states: Vec<&str> = verdicts.iter().filter_map(|v| v["state"].as_str()).collect();
    WORST_FIRST.iter().find(|s| states.contains(s)).map_or_else(String::new, ToString::to_string)
}

/// The gap of a change that is still settling has no side; one of an old snapshot has.
fn without_settling(verdicts: &[Value]) -> Vec<Value> {
    let mut verdicts = verdicts.to_vec();
    for verdict in &mut verdicts {
        if let Some(gaps) = verdict["gaps"].as_array_mut() {
            gaps.retain(|gap| gap["code"] != SETTLING || !gap["side"].is_null());
        }
    }
    verdicts
}

fn gap_codes(verdicts: &[Value]) -> Vec<String> {
    let mut all: Vec<String> = verdicts
        .iter()
        .flat_map(|v| v["gaps"].as_array().into_iter().flatten())
        .filter_map(|g| g["code"].as_str().map(str::to_owned))
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Runs every repair as printed, as the printed account or in the printed instance. Returns the lines that were run.
///
/// # Errors
/// Fails if a line fails; the error names it.
pub async fn repair(estate: &mut Estate, verdicts: &[Value]) -> Result<Vec<String>> {
    let mut saved: BTreeMap<String, String> = BTreeMap::new();
    let mut done: Vec<String> = vec![];
    for item in verdicts.iter().flat_map(|v| v["repairs"]["set"].as_array().into_iter().flatten()) {
        let argv = |key: &str| -> Vec<String> {
            let words = item[key].as_array().into_iter().flatten().filter_map(Value::as_str);
            words.map(|w| fill(w, &saved)).collect()
        };
        let (cli, guest) = (argv("cli"), argv("guest"));
        let line = if cli.is_empty() { guest.join(" ") } else { cli.join(" ") };
        let account = item["account"].as_str().unwrap_or_default();
        let place = item["instance"].as_str().filter(|_| cli.is_empty()).and_then(|id| estate.instance_name(id));
        let place = place.or_else(|| estate.account_name(account).map(str::to_owned)).unwrap_or_default();
        let shown = format!("{place} $ {line}");
        if line.is_empty() || done.contains(&shown) {
            continue; // Two pairs may print the same repair of a shared object.
        }
        if cli.is_empty() {
            let id = item["instance"].as_str().unwrap_or_default();
            let instance =
                estate.instance_name(id).ok_or_else(|| anyhow!("\"{line}\" names no instance of the lab: \"{id}\""))?;
            let out = estate.run_in_instance(&instance, &guest).await?;
            if !out.status.success() {
                bail!("\"{line}\" in {instance} failed: {}", String::from_utf8_lossy(&out.stderr).trim());
            }
        } else {
            let answer = aliyun(estate, account, &cli).await?;
            for (name, path) in item["save"].as_object().into_iter().flatten() {
                saved.insert(name.clone(), field(&answer, path.as_str().unwrap_or_default())?);
            }
        }
        done.push(shown);
    }
    Ok(done)
}

fn fill(word: &str, saved: &BTreeMap<String, String>) -> String {
    saved.iter().fold(word.to_owned(), |w, (name, value)| w.replace(&format!("${{{name}}}"), value))
}

/// Runs an `aliyun PRODUCT Action --Parameter value …` line against the lab's cloud as the account with this id.
///
/// # Errors
/// Fails if the line cannot be parsed, no account has the id, or the API refuses the call.
pub async fn aliyun(estate: &Estate, account_id: &str, argv: &[String]) -> Result<Value> {
    let call = parse_aliyun_argv(argv).map_err(|why| anyhow!("\"{}\": {why}", argv.join(" ")))?;
    let account = estate.account_name(account_id).ok_or_else(|| anyhow!("no account has the id \"{account_id}\""))?;
    let region = call.region.clone().unwrap_or_else(|| region_of(estate, account, &call.params));
    estate
        .operators
        .call(account, &call.product, &call.action, &region, call.params)
        .await
        .with_context(|| format!("\"{}\"", argv.join(" ")))
}

/// Runs the repairs as printed and checks every expectation with real packets.
async fn repair_and_reach(estate: &mut Estate, verdicts: &[Value]) -> Result<()> {
    /// Within this time the cloud's state transitions and a booting guest reach their final state.
    const SETTLES_WITHIN: Duration = Duration::from_secs(3);
    repair(estate, verdicts).await?;
    let deadline = Instant::now() + SETTLES_WITHIN;
    loop {
        let unreached: Vec<Unreached> = reach::check(estate).await?;
        if unreached.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let list: Vec<String> = unreached.iter().map(ToString::to_string).collect();
            bail!("still unreachable: {}", list.join("; "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_state_counts() {
        let v = |s: &str| serde_json::json!({ "state": s });
        assert_eq!(worst_state(&[v("healthy"), v("degraded"), v("undecided")]), "degraded");
        assert_eq!(worst_state(&[v("healthy"), v("undecided")]), "undecided");
    }
}
