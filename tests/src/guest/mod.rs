//! Stand-ins for the commands of guests, for machines that lack the real ones.
//!
//! The lab's own binary, started under another name, implements the common subset of `sysctl`, `ip`, `nft`, `ping` and
//! `pkill`. Faults can then be made, and printed repairs run, with nothing to install. The stand-ins come last in a
//! guest's `PATH`. They refuse what they do not understand and name the package that has the real command.

mod ip;
mod nft;
mod ping;
mod pkill;
mod sysctl;

use std::{ffi::OsString, path::Path, process::ExitCode};

/// Runs the guest command that this process was started as; `None` if its name is not one of
/// [`GUEST_COMMANDS`](crate::plane::GUEST_COMMANDS).
pub fn dispatch(args: &[OsString]) -> Option<ExitCode> {
    let name = Path::new(args.first()?).file_name()?.to_str()?;
    let words: Option<Vec<String>> = args.iter().skip(1).map(|arg| arg.to_str().map(str::to_owned)).collect();
    let run = match name {
        "ip" => ip::run,
        "nft" => nft::run,
        "sysctl" => sysctl::run,
        "ping" => ping::run,
        "pkill" => pkill::run,
        _ => return None,
    };
    Some(match words.ok_or_else(|| Refusal::new("an argument is not text")).and_then(|words| run(&words)) {
        Ok(code) => ExitCode::from(code),
        Err(refusal) => {
            render::refusal(name, &refusal);
            ExitCode::from(refusal.code)
        }
    })
}

/// Why a stand-in did not do what it was asked: the message to print and the exit code.
#[derive(Debug)]
struct Refusal {
    message: String,
    code: u8,
}

impl Refusal {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    fn not_understood(what: &str, package: &str) -> Self {
        Self::new(format!("{what:?} is beyond the lab's stand-in; install the package {package} for the real command"))
    }

    fn failed(what: &str, error: &std::io::Error) -> Self {
        Self { message: format!("{what}: {error}"), code: 1 }
    }
}

mod render {
    //! The only place in the stand-ins that writes to the terminal.

    use super::Refusal;

    #[expect(clippy::print_stdout, reason = "a command's output")]
    pub(super) fn line(text: &str) {
        println!("{text}");
    }

    #[expect(clippy::print_stderr, reason = "a command's complaint")]
    pub(super) fn refusal(name: &str, refusal: &Refusal) {
        eprintln!("{name}: {}", refusal.message);
    }
}
