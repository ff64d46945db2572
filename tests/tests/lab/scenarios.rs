//! Runs every scenario of the repository in the lab and requires exactly the expected verdict.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

/// Number of parallel labs. A lab mostly waits for probes; on two cores, more labs only delay each other.
const JOBS: &str = "4";

pub(crate) fn lab() -> Command {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_pingtong-lab"));
    // Under `cargo test` everything is built already. Without this the lab would run cargo once more, with the features
    // of other packages, and its program would be replaced while other labs run it.
    lab.env_remove("CARGO");
    lab
}

fn files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

/// Whether this machine can run the lab. If not, prints SKIPPED with the lab's own message, and fails under CI.
pub(crate) fn lab_runs() -> bool {
    let out = lab().arg("check").output().unwrap();
    if out.status.success() {
        return true;
    }
    let why = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    println!("SKIPPED: {why}");
    assert!(std::env::var_os("CI").is_none(), "under CI the lab must run: {why}");
    false
}

#[test]
fn every_scenario_gets_exactly_its_verdict() {
    if !lab_runs() {
        return;
    }
    let out = lab().args(["run", "--json", "--jobs", JOBS]).args(files()).output().unwrap();
    let lines: Vec<serde_json::Value> =
        String::from_utf8_lossy(&out.stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let failed: Vec<String> = lines.iter().filter(|l| l["pass"] != true).map(ToString::to_string).collect();
    assert!(
        out.status.success() && failed.is_empty() && lines.len() == files().len(),
        "{} of {} failed:\n{}\n{}",
        failed.len(),
        files().len(),
        failed.join("\n"),
        String::from_utf8_lossy(&out.stderr)
    );
}

/// What each scenario expects: its causes, or its gaps if it has no causes.
fn demanded() -> Vec<BTreeSet<String>> {
    files()
        .iter()
        .map(|f| std::fs::read_to_string(f).unwrap().parse::<toml::Table>().unwrap())
        .map(|table| {
            let list = |key: &str| table["expect"].get(key).and_then(|v| v.as_array()).cloned().unwrap_or_default();
            let causes = list("causes").into_iter().filter_map(|c| Some(c.get("code")?.as_str()?.to_owned()));
            let causes: BTreeSet<String> = causes.collect();
            let gaps = list("gaps").into_iter().filter_map(|g| g.as_str().map(str::to_owned));
            if causes.is_empty() { gaps.collect() } else { causes }
        })
        .collect()
}

#[test]
fn every_code_of_the_catalogue_has_a_scenario_that_demands_it_alone() {
    let demanded = demanded();
    let missing: Vec<&str> = pingtong_verdict::CauseCode::ALL
        .iter()
        .map(|code| code.as_str())
        .filter(|code| !OPEN.contains(code))
        .filter(|code| {
            let companion = COMPANIONS.iter().find(|(of, _)| of == code).map(|(_, companion)| *companion);
            let wanted: BTreeSet<String> = std::iter::once(*code).chain(companion).map(str::to_owned).collect();
            !demanded.contains(&wanted)
        })
        .collect();
    assert!(missing.is_empty(), "no scenario demands alone: {missing:?}");
}

#[test]
fn what_is_held_to_have_no_scenario_has_none() {
    let demanded = demanded();
    let stale: Vec<&str> =
        OPEN.into_iter().filter(|code| demanded.contains(&BTreeSet::from([(*code).to_owned()]))).collect();
    assert!(stale.is_empty(), "these have scenarios now: {stale:?}");
}

/// Causes that cannot occur alone, each with the cause that accompanies it. The cloud does not delete a router
/// interface that a route leads to, and it refuses a route to one that does not exist or belongs to another VPC. So if
/// the interface is missing, the route is missing too.
const COMPANIONS: [(&str, &str); 2] = [("ri-missing", "route-missing"), ("ri-wrong-vpc", "route-missing")];

/// Codes that the lab cannot produce yet.
const OPEN: [&str; 1] = ["host-overload"];

#[test]
fn a_malformed_scenario_gets_file_line_and_what_was_expected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broken.toml");
    std::fs::write(&path, "name = \"x\"\nbase = \"tutorial\"\n[[do]]\nfabric = \"peering1\"\nwith = { los = 0.1 }\n[expect]\nstate = \"broken\"\n").unwrap();
    let out = lab().arg("run").arg(&path).output().unwrap();
    let shown = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(64), "{shown}");
    assert!(
        shown.contains("broken.toml:3") && shown.contains("\"los\"") && shown.contains("loss, delay_ms"),
        "{shown}"
    );
}

#[test]
fn each_call_that_gather_makes_is_refused_in_some_scenario() {
    let texts: Vec<String> = files().iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let alone = |action: &String| texts.iter().any(|text| text.contains(&format!("deny = [\"{action}\"]")));
    let missing: Vec<String> = pingtong_cloud::permissions().into_iter().filter(|action| !alone(action)).collect();
    assert!(missing.is_empty(), "no scenario refuses only {missing:?}");
}
