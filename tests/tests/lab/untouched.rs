//! Every topology of the repository as it stands, with its own specification and nobody's hand on it: nothing is blamed. What
//! our own probes fill must never read as a fault.

use super::scenarios::{lab, lab_runs};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// Topologies that are something else by design, with what they are: two VPCs with one block, and a host without an agent.
const OTHERWISE: [(&str, &str); 2] = [("one-agent", "undecided"), ("overlap", "broken")];
/// As many labs at a time as for the scenarios.
const JOBS: &str = "4";

#[test]
fn every_topology_is_healthy_untouched() {
    if !lab_runs() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let topologies = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies");
    let mut names: Vec<String> = std::fs::read_dir(topologies)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".toml")?.to_owned()))
        .collect();
    names.sort();
    let files: Vec<_> = names
        .iter()
        .map(|name| {
            let path = dir.path().join(format!("untouched-{name}.toml"));
            let text = format!("name = \"{name}\"\nbase = \"{name}\"\n[expect]\nstate = \"healthy\"\ncauses = []\n");
            std::fs::write(&path, text).unwrap();
            path
        })
        .collect();
    let out = lab().args(["run", "--json", "--jobs", JOBS]).args(&files).output().unwrap();
    let shown: BTreeMap<String, String> = String::from_utf8_lossy(&out.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|outcome| {
            let causes: Vec<&Value> =
                outcome["causes"].as_array().unwrap().iter().map(|cause| &cause["code"]).collect();
            let state = outcome["state"].as_str().unwrap_or_default().to_owned();
            let blamed = if causes.is_empty() || state == "broken" { String::new() } else { format!(" {causes:?}") };
            (outcome["name"].as_str().unwrap().to_owned(), format!("{state}{blamed}"))
        })
        .collect();
    let expected: BTreeMap<String, String> = names
        .iter()
        .map(|name| {
            let otherwise = OTHERWISE.iter().find(|(other, _)| other == name);
            (name.clone(), otherwise.map_or("healthy", |(_, state)| state).to_owned())
        })
        .collect();
    assert_eq!(shown, expected, "{}", String::from_utf8_lossy(&out.stderr));
}
