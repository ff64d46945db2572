//! The structure of the code base: which crate ("room") may use which, where `unsafe` is allowed, and what the pure
//! crates must not depend on.

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let names = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|d| d["kind"].as_str() != Some("dev"))
                .map(|d| d["name"].as_str().unwrap().to_owned())
                .collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

/// `evidence ← {guest, probe, cloud} ← agent`; `evidence ← guest ← verdict ← collector`; `cloud ← collector`;
/// `cli ← {agent, collector}`; `tests → all`.
#[test]
fn rooms_use_only_the_rooms_that_they_may_use() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("pingtong-evidence", &[][..]),
        ("pingtong-guest", &["pingtong-evidence"]),
        ("pingtong-probe", &["pingtong-evidence"]),
        ("pingtong-cloud", &["pingtong-evidence"]),
        ("pingtong-cli", &["pingtong-evidence"]),
        (
            "pingtong-agent",
            &["pingtong-evidence", "pingtong-cli", "pingtong-guest", "pingtong-probe", "pingtong-cloud"],
        ),
        ("pingtong-verdict", &["pingtong-evidence", "pingtong-guest"]),
        ("pingtong-worlds", &["pingtong-evidence"]),
        ("pingtong", &["pingtong-evidence", "pingtong-cli", "pingtong-verdict", "pingtong-cloud"]),
        (
            "pingtong-lab",
            &[
                "pingtong-evidence",
                "pingtong-cli",
                "pingtong-probe",
                "pingtong-cloud",
                "pingtong-agent",
                "pingtong-verdict",
                "pingtong-worlds",
                "pingtong",
            ],
        ),
    ]);
    let all = dependencies(&metadata());
    assert_eq!(all.keys().map(String::as_str).collect::<BTreeSet<_>>(), allowed.keys().copied().collect());
    for (room, uses) in &all {
        for used in uses.iter().filter(|u| allowed.contains_key(u.as_str())) {
            assert!(allowed[room.as_str()].contains(&used.as_str()), "{room} must not use {used}");
        }
    }
}

#[test]
fn pure_rooms_depend_on_nothing_that_could_touch_the_world() {
    let pure: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("pingtong-evidence", &["serde", "ipnet", "thiserror", "jiff"][..]),
        ("pingtong-probe", &["pingtong-evidence", "etherparse", "fastrand", "hmac", "sha2", "thiserror"]),
        ("pingtong-guest", &["pingtong-evidence"]),
        ("pingtong-verdict", &["pingtong-evidence", "pingtong-guest", "serde", "ipnet"]),
        ("pingtong-worlds", &["pingtong-evidence", "fastrand"]),
    ]);
    let all = dependencies(&metadata());
    for (room, may) in pure {
        for used in &all[room] {
            assert!(may.contains(&used.as_str()), "{room} is pure and must not depend on {used}");
        }
    }
}

#[test]
fn pure_rooms_read_no_clock_no_environment_and_no_file() {
    let forbidden = [
        "std::fs",
        "std::net::Tcp",
        "std::net::Udp",
        "std::env",
        "SystemTime",
        "Instant::now",
        "tokio",
        "std::process",
    ];
    for room in ["agent/evidence", "agent/guest", "agent/probe", "collector/verdict", "tests/worlds"] {
        for (path, text) in sources(&root().join(room).join("src")) {
            // Tests may read files; production code may not.
            let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
            let is_test = path.components().any(|c| c.as_os_str() == "tests") || path.ends_with("tests.rs");
            for word in forbidden.iter().filter(|_| !is_test) {
                let used = shipped.lines().any(|l| l.contains(word) && !l.trim_start().starts_with("//"));
                assert!(!used, "{} uses {word}", path.display());
            }
        }
    }
}

#[test]
fn unsafe_stands_only_in_audited_modules() {
    let audited: BTreeSet<&str> = AUDITED.into_iter().collect();
    let mut found = BTreeSet::new();
    for room in ["agent", "collector", "tests"] {
        for (path, text) in sources(&root().join(room)) {
            let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
            if code
                .into_iter()
                .any(|l| l.contains("unsafe {") || l.contains("unsafe fn") || l.contains("allow(unsafe_code"))
            {
                found.insert(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.remove("tests/tests/lab/house.rs");
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), audited);
}

/// Modules that contain `unsafe`. Each of them states why every block is sound.
const AUDITED: [&str; 3] = ["agent/src/engine/batch.rs", "agent/src/engine/ebpf.rs", "agent/src/engine/ring.rs"];

#[test]
fn no_file_names_a_place_of_one_machine() {
    let out = Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    for file in String::from_utf8(out.stdout).unwrap().lines() {
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        for word in [concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/ro", "ot/")] {
            assert!(!text.contains(word), "{file} names {word}");
        }
    }
}

#[test]
fn every_test_starts_the_lab_without_cargo() {
    let name = concat!("CARGO_BIN_EXE", "_pingtong-lab");
    let all = sources(&root().join("tests/tests"));
    let found: BTreeSet<&str> =
        all.iter().filter(|(_, text)| text.contains(name)).filter_map(|(path, _)| path.file_name()?.to_str()).collect();
    // `scenarios::lab` for the tests of `lab`; the test of the data plane starts only `check`, which builds nothing.
    assert_eq!(found, BTreeSet::from(["plane.rs", "scenarios.rs"]));
}

fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = vec![];
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_none_or(|n| n != "target") {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}
