//! Every topology of the repository, with its own specification and without any change: no cause may be blamed. In
//! particular, a link that our own probes fill must never be reported as a fault.

use super::scenarios::{lab, lab_runs};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// Topologies with another state by design: one with a host that has no agent, and one whose two VPCs have the same
/// block.
const OTHERWISE: [(&str, &str); 2] = [("one-agent", "undecided"), ("overlap", "broken")];
/// Number of parallel labs, the same as for the scenarios.
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
