//! A scenario: what is done to a topology, and exactly what the verdict must be.
//!
//! One file holds one case. Like topologies, these files are a public contract and may also exist outside the
//! repository.

use crate::{
    diagnostics::{Mistake, Mistakes},
    topology::Topology,
    tutorial::STEPS,
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use toml::Spanned;

/// A checked scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Short description.
    pub name: String,
    /// A topology's name, or a path beside the scenario file.
    pub base: Spanned<String>,
    /// The steps of the tutorial that are done before `do`, in order; all six if absent.
    #[serde(default)]
    pub tutorial: Option<Vec<Spanned<u8>>>,
    /// The collector's `settle_ms`; the topology's if absent. If it is set, the lab asks for a verdict before anything
    /// is done, so that there is an earlier configuration that can change.
    #[serde(default)]
    pub settle_ms: Option<u64>,
    /// The steps of the scenario, in order.
    #[serde(rename = "do", default)]
    pub steps: Vec<Spanned<RawStep>>,
    /// The expected result.
    pub expect: Expected,
}

/// A step as written; its keys determine its kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawStep {
    #[serde(rename = "as")]
    account: Option<String>,
    call: Option<String>,
    on: Option<String>,
    run: Option<Vec<String>>,
    agent: Option<AgentSurroundings>,
    fabric: Option<String>,
    api: Option<String>,
    #[serde(default)]
    with: BTreeMap<String, toml::Value>,
    #[serde(default)]
    save: BTreeMap<String, String>,
    fails: Option<String>,
}

/// How the agent of an instance is run from now on. The default is directly on the instance, with all capabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentSurroundings {
    /// Capabilities that it does not get: `cap_net_raw`.
    pub without: Vec<String>,
    /// The address, with its block, of the container that it runs in.
    pub container: Option<ipnet::Ipv4Net>,
    /// How far its clock is ahead, in milliseconds.
    pub clock_ahead_ms: i64,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// An OpenAPI call by an account.
    Call {
        /// The account's name.
        account: String,
        /// `vpc`, `ecs`, …
        product: String,
        /// `DeleteRouteEntry`, …
        action: String,
        /// Parameters as in the API document, symbols not yet resolved.
        with: BTreeMap<String, String>,
        /// Name → path in the response, `Response.Field`.
        save: BTreeMap<String, String>,
        /// The error code with which the cloud must refuse the call; if absent, the call must succeed.
        fails: Option<String>,
    },
    /// A command inside an instance.
    Run {
        /// The instance's full name.
        on: String,
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// The agent of an instance is restarted.
    Agent {
        /// The instance's full name.
        on: String,
        /// The surroundings of the restarted agent.
        surroundings: AgentSurroundings,
    },
    /// A change of the fabric.
    Fabric {
        /// The peering's name.
        peering: String,
        /// Affected directions: forward, return.
        directions: Vec<pingtong_evidence::Direction>,
        /// The changed settings, by key.
        with: BTreeMap<String, toml::Value>,
    },
    /// The API gives wrong answers or refuses calls, or the cloud changes an object on its own.
    Api {
        /// The account's name.
        account: String,
        /// The changed behaviour, by key.
        with: BTreeMap<String, toml::Value>,
    },
}

/// The expected result.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// `healthy`, `degraded`, `broken` or `undecided`.
    pub state: Spanned<String>,
    /// Exactly these causes. An absent key matches anything.
    #[serde(default)]
    pub causes: Vec<ExpectedCause>,
    /// Exactly these gap codes; any gap is accepted if absent.
    #[serde(default)]
    pub gaps: Option<Vec<String>>,
    /// Whether the repairs, run as printed, must make every expectation hold with real packets.
    #[serde(default)]
    pub repaired: bool,
    /// Ids of the objects whose changes the verdict must prove to have broken the pair, symbols allowed; an empty list
    /// if no recorded change explains it. If the key is present, the lab asks for a verdict before anything is done, so
    /// that there is a time when the pair worked.
    #[serde(default)]
    pub onset: Option<Vec<String>>,
    /// What `pingtong audit` must say about each expectation, `holds`, `fails` or `unknown`, link by link and in the
    /// order of the topology. The causes that it names must be among `causes`.
    #[serde(default)]
    pub audit: Option<Vec<String>>,
    /// Whether the steady watch must come to the same states and causes, and after `repaired` to healthy pairs, without
    /// ever naming a cause that is not among `causes`.
    #[serde(default)]
    pub watched: bool,
    /// Exactly the causes that the configuration predicts for hosts without an agent; any if absent.
    #[serde(default)]
    pub predicted: Option<Vec<ExpectedCause>>,
}

/// One cause that must be blamed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedCause {
    /// Cause code.
    pub code: Spanned<String>,
    /// `initiator` or `acceptor`.
    #[serde(default)]
    pub side: Option<String>,
    /// The blamed object's id, symbols allowed.
    #[serde(default)]
    pub object: Option<String>,
    /// `forward` or `return`.
    #[serde(default)]
    pub direction: Option<String>,
}

const STATES: [&str; 4] = ["healthy", "degraded", "broken", "undecided"];
const FABRIC_KEYS: [&str; 9] =
    ["direction", "loss", "delay_ms", "jitter_ms", "rate_mbit", "mtu", "reorder", "duplicate", "down"];
const API_KEYS: [&str; 9] =
    ["deny", "throttle", "stale", "drop_page", "legacy_sg_auth", "pace", "lock", "state", "unusable"];
/// The keys that change an object once; the others change how the API answers from now on.
pub const HAND_KEYS: [&str; 3] = ["lock", "state", "unusable"];

/// A scenario with its topology, ready to run.
#[derive(Debug, Clone)]
pub struct Case {
    /// Path of the scenario file.
    pub path: PathBuf,
    /// The scenario.
    pub scenario: Scenario,
    /// The steps of the scenario, checked.
    pub steps: Vec<Step>,
    /// The topology that the scenario is based on.
    pub topology: Topology,
}

/// Why a scenario cannot be run at all.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The file cannot be read.
    #[error("cannot read \"{path}\": give the path of a scenario file")]
    Read {
        /// Path of the file.
        path: String,
        /// The I/O error.
        #[source]
        source: std::io::Error,
    },
    /// The file has mistakes.
    #[error("{0}")]
    Mistakes(Mistakes),
}

impl Scenario {
    /// The steps of the tutorial that are done before `do`.
    pub fn tutorial_steps(&self) -> Vec<u8> {
        match &self.tutorial {
            Some(steps) => steps.iter().map(|s| *s.get_ref()).collect(),
            None => STEPS.collect(),
        }
    }
}

impl Case {
    /// Reads a scenario and its topology.
    ///
    /// # Errors
    /// Fails with a [`CaseError`] if a file cannot be read or has mistakes. For mistakes it holds file, line and what
    /// was expected.
    pub fn load(path: &Path) -> Result<Self, CaseError> {
        let text = read(path)?;
        let scenario: Scenario =
            toml::from_str(&text).map_err(|e| CaseError::Mistakes(Mistakes::from_toml(path, &text, &e)))?;
        let mut mistakes = vec![];
        let steps: Vec<Step> = scenario.steps.iter().filter_map(|s| step(s, &mut mistakes)).collect();
        check_expected(&scenario.expect, &mut mistakes);
        for step in scenario.tutorial.iter().flatten().filter(|s| !STEPS.contains(s.get_ref())) {
            mistakes.push(wrong(step.span(), format!("step {} changes nothing", step.get_ref()), "1 to 6"));
        }
        let found = find_topology(path, scenario.base.get_ref());
        let Some(found) = found.filter(|_| mistakes.is_empty()) else {
            if find_topology(path, scenario.base.get_ref()).is_none() {
                mistakes.push(wrong(
                    scenario.base.span(),
                    format!("no topology \"{}\" was found", scenario.base.get_ref()),
                    "a topology's name, or a path beside this file",
                ));
            }
            return Err(CaseError::Mistakes(Mistakes::new(path, &text, &mistakes)));
        };
        let mut topology = Topology::parse(&found, &read(&found)?).map_err(CaseError::Mistakes)?;
        topology.settle_ms = scenario.settle_ms.or(topology.settle_ms);
        Ok(Self { path: path.to_owned(), scenario, steps, topology })
    }
}

fn read(path: &Path) -> Result<String, CaseError> {
    std::fs::read_to_string(path).map_err(|source| CaseError::Read { path: path.display().to_string(), source })
}

/// Directory of the topologies in this repository.
pub fn own_topologies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies")
}

/// Directory of the scenarios in this repository.
pub fn own_scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Finds a topology that `scenario` names; if `scenario` is a directory, one that the command line names. Looks for a
/// path beside the file, for a name beside it, in `../topologies` or in `topologies`, and for a name in this
/// repository.
pub fn find_topology(scenario: &Path, base: &str) -> Option<PathBuf> {
    let beside = if scenario.is_dir() { scenario } else { scenario.parent().unwrap_or(Path::new(".")) };
    let file = format!("{base}.toml");
    [
        beside.join(base),
        beside.join(&file),
        beside.join("../topologies").join(&file),
        beside.join("topologies").join(&file),
        own_topologies().join(&file),
    ]
    .into_iter()
    .find(|path| path.is_file())
}

fn wrong(span: std::ops::Range<usize>, what: String, expected: &str) -> Mistake {
    Mistake { span, what, expected: expected.into() }
}

fn check_expected(expected: &Expected, mistakes: &mut Vec<Mistake>) {
    let state = expected.state.get_ref();
    if !STATES.contains(&state.as_str()) {
        mistakes.push(wrong(
            expected.state.span(),
            format!("\"{state}\" is no state"),
            "healthy, degraded, broken or undecided",
        ));
    }
    for cause in &expected.causes {
        let code = cause.code.get_ref();
        if pingtong_verdict::explain(code).is_none() {
            mistakes.push(wrong(cause.code.span(), format!("\"{code}\" is no cause code"), "a code of the catalogue"));
        }
        for (value, known, what) in
            [(&cause.side, ["initiator", "acceptor"], "side"), (&cause.direction, ["forward", "return"], "direction")]
        {
            if let Some(value) = value.as_ref().filter(|v| !known.contains(&v.as_str())) {
                mistakes.push(wrong(
                    cause.code.span(),
                    format!("\"{value}\" is no {what}"),
                    &format!("{what} = \"{}\" or \"{}\"", known[0], known[1]),
                ));
            }
        }
    }
}

fn step(raw: &Spanned<RawStep>, mistakes: &mut Vec<Mistake>) -> Option<Step> {
    let (span, raw) = (raw.span(), raw.get_ref());
    let mut refuse = |what: String, expected: &str| {
        mistakes.push(wrong(span.clone(), what, expected));
        None
    };
    let kinds = [raw.account.is_some(), raw.on.is_some(), raw.fabric.is_some(), raw.api.is_some()];
    if kinds.iter().filter(|k| **k).count() != 1 {
        return refuse(
            "a step is of exactly one kind".into(),
            "as + call, or on + run, or on + agent, or fabric + with, or api + with",
        );
    }
    if let Some(account) = &raw.account {
        let Some((product, action)) = raw.call.as_deref().and_then(|c| c.split_once(':')) else {
            return refuse("\"as\" needs a call".into(), "call = \"vpc:DeleteRouteEntry\"");
        };
        let mut with = BTreeMap::new();
        for (key, value) in &raw.with {
            flatten(key, value, &mut with);
        }
        return Some(Step::Call {
            account: account.clone(),
            product: product.into(),
            action: action.into(),
            with,
            save: raw.save.clone(),
            fails: raw.fails.clone(),
        });
    }
    if let (Some(on), Some(surroundings), None) = (&raw.on, &raw.agent, &raw.run) {
        return Some(Step::Agent { on: on.clone(), surroundings: surroundings.clone() });
    }
    if let Some(on) = &raw.on {
        let Some(argv) = raw.run.clone().filter(|a| !a.is_empty()) else {
            return refuse("\"on\" needs a command".into(), "run = [\"sysctl\", \"-w\", \"…\"]");
        };
        return Some(Step::Run { on: on.clone(), argv });
    }
    if let Some(peering) = &raw.fabric {
        if let Some(key) = raw.with.keys().find(|k| !FABRIC_KEYS.contains(&k.as_str())) {
            return refuse(format!("the fabric has no \"{key}\""), &FABRIC_KEYS.join(", "));
        }
        if let Some((key, value)) = raw.with.iter().find(|(k, v)| !fabric_value_fits(k, v)) {
            return refuse(
                format!("{key} = {value} does not fit"),
                "loss, reorder and duplicate from 0 to 1; others from 0; down true or false",
            );
        }
        let directions = match raw.with.get("direction").map(|d| d.as_str().unwrap_or("?")) {
            None | Some("both") => pingtong_evidence::Direction::BOTH.to_vec(),
            Some("forward") => vec![pingtong_evidence::Direction::Forward],
            Some("return") => vec![pingtong_evidence::Direction::Return],
            Some(other) => return refuse(format!("\"{other}\" is no direction"), "forward, return or both"),
        };
        let with = raw.with.iter().filter(|(k, _)| *k != "direction").map(|(k, v)| (k.clone(), v.clone())).collect();
        return Some(Step::Fabric { peering: peering.clone(), directions, with });
    }
    let account = raw.api.clone().unwrap_or_default();
    if let Some(key) = raw.with.keys().find(|k| !API_KEYS.contains(&k.as_str())) {
        return refuse(format!("an API cannot be told \"{key}\""), &API_KEYS.join(", "));
    }
    Some(Step::Api { account, with: raw.with.clone() })
}

fn fabric_value_fits(key: &str, value: &toml::Value) -> bool {
    let number = number(value);
    match key {
        "direction" => true,
        "down" => value.is_bool(),
        "loss" | "reorder" | "duplicate" => number.is_some_and(|n| (0.0..=1.0).contains(&n)),
        _ => number.is_some_and(|n| n >= 0.0),
    }
}

/// The value of a TOML integer or float.
#[expect(clippy::cast_precision_loss, reason = "settings of a link are small numbers")]
pub fn number(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|i| i as f64))
}

/// Flattens parameters like the API: lists by number from 1, tables by key (`Permissions.1.Policy`).
fn flatten(key: &str, value: &toml::Value, out: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                flatten(&format!("{key}.{}", i + 1), item, out);
            }
        }
        toml::Value::Table(table) => {
            for (name, item) in table {
                flatten(&format!("{key}.{name}"), item, out);
            }
        }
        toml::Value::String(text) => {
            out.insert(key.into(), text.clone());
        }
        other => {
            out.insert(key.into(), other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Case, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        std::fs::write(&path, text).unwrap();
        Case::load(&path).map_err(|e| e.to_string())
    }

    const HEAD: &str = "name = \"x\"\nbase = \"tutorial\"\n";

    #[test]
    fn reads_the_four_kinds_of_steps() {
        let case = load(&format!(
            "{HEAD}[[do]]\nas = \"B\"\ncall = \"ecs:AuthorizeSecurityGroup\"\nwith = {{ SecurityGroupId = \"${{B.sg1}}\", Permissions = [{{ Priority = 1 }}] }}\n\
             [[do]]\non = \"B.ecs1\"\nrun = [\"true\"]\n[[do]]\nfabric = \"peering1\"\nwith = {{ direction = \"forward\", loss = 0.05 }}\n\
             [[do]]\napi = \"B\"\nwith = {{ deny = [\"ecs:DescribeInstances\"] }}\n[expect]\nstate = \"broken\"\n"
        ))
        .unwrap();
        assert_eq!(case.steps.len(), 4);
        let Step::Call { with, .. } = &case.steps[0] else { panic!("a call") };
        assert_eq!(with["Permissions.1.Priority"], "1");
    }

    #[test]
    fn mistakes_name_file_line_and_what_was_expected() {
        for (text, wants) in [
            (format!("{HEAD}[expect]\nstate = \"sick\"\n"), vec!["mine.toml:4", "is no state", "undecided"]),
            (format!("{HEAD}[[do]]\nas = \"A\"\n[expect]\nstate = \"broken\"\n"), vec!["mine.toml:3", "needs a call"]),
            (
                format!("{HEAD}[[do]]\nfabric = \"p\"\nwith = {{ loss = 7 }}\n[expect]\nstate = \"broken\"\n"),
                vec!["loss", "0 to 1"],
            ),
            (format!("{HEAD}oops = 1\n[expect]\nstate = \"broken\"\n"), vec!["oops", "expected"]),
            (format!("{HEAD}[expect]\nstate = \"broken\"\ncauses = [{{ code = \"gremlins\" }}]\n"), vec!["gremlins"]),
            (
                "name = \"x\"\nbase = \"nowhere\"\n[expect]\nstate = \"healthy\"\n".into(),
                vec!["mine.toml:2", "nowhere"],
            ),
        ] {
            let shown = load(&text).unwrap_err();
            for want in wants {
                assert!(shown.contains(want), "{want} in:\n{shown}");
            }
        }
    }
}
