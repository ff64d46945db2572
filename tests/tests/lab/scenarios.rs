//! Every scenario of the repository, through the lab, exactly.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

/// Labs at a time. A lab mostly waits for probes; on two cores more of them only delay each other.
const JOBS: &str = "4";

pub(crate) fn lab() -> Command {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_pingtong-lab"));
    // Under `cargo test` everything is built already; without this the lab would ask cargo to build once more.
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

/// Whether this machine can run the lab; when not, says SKIPPED with the lab's own sentence, and fails under CI.
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

#[test]
fn every_cause_of_this_issue_has_a_scenario_that_demands_it_alone() {
    let demanded: Vec<BTreeSet<String>> = files()
        .iter()
        .map(|f| std::fs::read_to_string(f).unwrap().parse::<toml::Table>().unwrap())
        .map(|table| {
            let list = |key: &str| table["expect"].get(key).and_then(|v| v.as_array()).cloned().unwrap_or_default();
            let causes = list("causes").into_iter().filter_map(|c| Some(c.get("code")?.as_str()?.to_owned()));
            let causes: BTreeSet<String> = causes.collect();
            let gaps = list("gaps").into_iter().filter_map(|g| g.as_str().map(str::to_owned));
            if causes.is_empty() { gaps.collect() } else { causes }
        })
        .collect();
    for code in COVERED {
        let alone = BTreeSet::from([code.to_owned()]);
        let with_companion = COMPANIONS
            .iter()
            .find(|(c, _)| *c == code)
            .map(|(c, companion)| BTreeSet::from([(*c).to_owned(), (*companion).to_owned()]));
        assert!(
            demanded.contains(&alone) || with_companion.is_some_and(|w| demanded.contains(&w)),
            "no scenario demands {code} alone"
        );
    }
}

/// Causes that cannot be made alone: the cloud deletes no router interface that a route leads to, and refuses a route
/// to one that does not exist, so where an interface is missing the route is too.
const COMPANIONS: [(&str, &str); 1] = [("ri-missing", "route-missing")];

const COVERED: [&str; 29] = [
    "account-not-visible",
    "config-denied",
    "cidr-overlap",
    "ri-missing",
    "ri-opposite-unset",
    "ri-opposite-mismatch",
    "ri-not-connected",
    "ri-inactive",
    "route-missing",
    "route-wrong-cidr",
    "route-wrong-next-hop",
    "sg-ingress-missing",
    "sg-drop-wins",
    "sg-wrong-protocol",
    "sg-group-source-cross-vpc",
    "nacl-ingress-blocked",
    "nacl-egress-blocked",
    "instance-stopped",
    "guest-firewall",
    "guest-echo-ignored",
    "guest-route-overlap",
    "agent-silent",
    "loss-in-fabric",
    "guest-rate-limit",
    "bandwidth-saturated",
    "latency-shift",
    "mtu-black-hole",
    "fabric-fault",
    "model-contradicted",
];

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
