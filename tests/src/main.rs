//! The binary `pingtong-lab`: parses the arguments, enters the sandbox if the command needs a lab, runs the command and
//! maps the result to an exit code.

use pingtong_lab::{cli, guest, plane::sandbox};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Order matters: guest commands and the stages of the sandbox need a process with a single thread.
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if let Some(code) = guest::dispatch(&args) {
        return code;
    }
    match sandbox::stage(args) {
        sandbox::Stage::Exit(code) => code,
        sandbox::Stage::Outside(args) => cli::outside(&args),
        sandbox::Stage::Inside(args) => cli::inside(&args),
    }
}
