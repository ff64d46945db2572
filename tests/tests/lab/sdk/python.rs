//! Finds the Python interpreter that has the vendor's SDKs and runs programs of `tests/sdk` with it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Path of a Python with the packages of `tests/sdk/requirements.txt`.
pub(super) struct Python(PathBuf);

impl Python {
    /// `PINGTONG_SDK_PYTHON` if set, otherwise the interpreter of `target/sdk-venv`. If it lacks the SDKs, prints
    /// SKIPPED and how to install them, and fails under CI.
    pub(super) fn find() -> Option<Self> {
        let given = std::env::var_os("PINGTONG_SDK_PYTHON").map(PathBuf::from);
        let given = given.unwrap_or_else(|| root().join("target/sdk-venv/bin/python"));
        // The path is not resolved: an interpreter finds its environment through the symbolic link.
        let found = Self(std::path::absolute(given).unwrap());
        let why = match found.command("installed.py").output() {
            Ok(out) if out.status.success() => return Some(found),
            Ok(out) => String::from_utf8_lossy(&out.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        let python = found.0.display();
        println!(
            "SKIPPED: {python} does not have the vendor's SDKs ({why}); install them with \
             \"python3 -m venv target/sdk-venv && target/sdk-venv/bin/pip install -r tests/sdk/requirements.txt\", \
             or name another interpreter in PINGTONG_SDK_PYTHON"
        );
        assert!(std::env::var_os("CI").is_none(), "under CI the vendor's SDKs must be installed: {why}");
        None
    }

    /// A command that runs test modules of `tests/sdk`. It is one process for all, because loading the SDKs takes
    /// seconds.
    pub(super) fn tests(&self, modules: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        prepare(&mut command);
        command.args(["-m", "unittest"]).args(modules).current_dir(root().join("tests/sdk"));
        command
    }

    /// A command that runs a program of `tests/sdk`.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(&self.0);
        prepare(&mut command);
        command.arg(root().join("tests/sdk").join(program));
        command
    }

    /// The same, started by another program: `argv` precedes the interpreter.
    pub(super) fn command_in(&self, argv: &[&str], program: &str) -> Command {
        let mut command = Command::new(argv[0]);
        prepare(&mut command);
        command.args(&argv[1..]).arg(&self.0).arg(root().join("tests/sdk").join(program));
        command
    }
}

/// Removes proxies and the user's credentials, and keeps byte code out of the source directories.
fn prepare(command: &mut Command) {
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "CARGO"] {
        command.env_remove(name);
    }
    for name in ["ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN", "ECS_METADATA", "CREDENTIALS_URI"] {
        command.env_remove(format!("ALIBABA_CLOUD_{name}"));
    }
    command.env("NO_PROXY", "*").env("PYTHONPYCACHEPREFIX", root().join("target/sdk-pycache"));
    command.stdin(Stdio::null());
}

/// Runs a program to its end, requires that it succeeds, and returns the calls that it reports.
pub(super) fn succeed(mut command: Command) -> BTreeSet<String> {
    let out = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let shown: Vec<_> = command.get_args().map(std::ffi::OsStr::to_string_lossy).collect();
    assert!(out.status.success(), "{shown:?} failed:\n{stdout}\n{stderr}");
    let last: serde_json::Value = serde_json::from_str(stdout.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{shown:?} did not say what it called ({error}):\n{stdout}\n{stderr}"));
    last["called"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}
