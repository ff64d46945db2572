//! Runs the vendor's credentials SDK inside an instance of a running lab. It knows only the address of the metadata
//! service and the API's endpoint as `up` prints it.

use super::python::{Python, succeed};
use crate::scenarios::{lab, lab_runs};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
};

/// A lab with a data plane, which is killed when this value is dropped.
struct Lab {
    process: Child,
    line: String,
}

impl Lab {
    fn up() -> Self {
        let mut lab = lab();
        lab.args(["up", "tutorial"]);
        let mut process = lab.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, line }
    }

    fn instance(&self, name: &str) -> Value {
        let all: Value = serde_json::from_str(&self.line).unwrap();
        all["instances"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_credentials_sdk_gets_a_role_inside_an_instance_and_signs_with_it() {
    let Some(python) = Python::find() else { return };
    if !lab_runs() {
        return;
    }
    let lab = Lab::up();
    let as_printed: Vec<String> = serde_json::from_value(lab.instance("A.ecs1")["enter"].clone()).unwrap();
    let pid = lab.instance("B.ecs1")["pid"].as_i64().unwrap().to_string();
    let mut by_pid = vec!["nsenter", "-t", pid.as_str(), "-n"];
    if !nix::unistd::getuid().is_root() {
        by_pid.extend(["-U", "--preserve-credentials"]);
    }
    let as_printed: Vec<&str> = as_printed.iter().map(String::as_str).collect();
    for (instance, argv) in [("A.ecs1", as_printed), ("B.ecs1", by_pid)] {
        let mut command = python.command_in(&argv, "instance.py");
        command.arg(instance).env("PINGTONG_LAB", &lab.line);
        let called = succeed(command);
        assert!(called.contains("sts:GetCallerIdentity") && called.contains("vpc:DescribeVpcs"), "{called:?}");
    }
}
