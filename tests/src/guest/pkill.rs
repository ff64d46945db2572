//! `pkill [-SIGNAL] [-f] [-x] NAME`: sends a signal to every other process of the guest whose name contains NAME.
//!
//! It finds the processes in the guest's own `/proc`. The real command takes a regular expression; this one takes plain
//! text and refuses what could be a pattern.

use super::Refusal;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::fs;

/// Exit code if no process matched.
const NONE_MATCHED: u8 = 1;

pub(super) fn run(words: &[String]) -> Result<u8, Refusal> {
    let (mut signal, mut whole, mut exact, mut names) = (Signal::SIGTERM, false, false, vec![]);
    for word in words {
        match word.as_str() {
            "-f" | "--full" => whole = true,
            "-x" | "--exact" => exact = true,
            option if option.starts_with('-') => {
                signal = signal_of(option).ok_or_else(|| Refusal::not_understood(option, "procps"))?;
            }
            name => names.push(name),
        }
    }
    let [name] = names[..] else { return Err(Refusal::new("usage: pkill [-SIGNAL] [-f] [-x] NAME")) };
    if name.is_empty() || name.contains(['*', '+', '?', '[', '(', '|', '^', '$', '\\']) {
        return Err(Refusal::not_understood(name, "procps"));
    }
    let mut matched = false;
    let entries = fs::read_dir("/proc").map_err(|error| Refusal::failed("cannot list processes", &error))?;
    for pid in entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        if pid.cast_unsigned() == std::process::id() || !fits(pid, name, whole, exact) {
            continue;
        }
        // A process that has ended in the meantime needs no signal.
        matched |= kill(Pid::from_raw(pid), signal).is_ok();
    }
    Ok(if matched { 0 } else { NONE_MATCHED })
}

fn signal_of(option: &str) -> Option<Signal> {
    let text = option.trim_start_matches('-');
    if let Ok(number) = text.parse::<i32>() {
        return Signal::try_from(number).ok();
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    name.parse().ok()
}

/// Whether a process matches the name. Zombies have an empty command line and never match.
fn fits(pid: i32, name: &str, whole: bool, exact: bool) -> bool {
    let read = |what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
    if command.is_empty() {
        return false;
    }
    let text = if whole { command.trim().to_owned() } else { String::from_utf8_lossy(&read("comm")).trim().to_owned() };
    if exact { text == name } else { text.contains(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_go_by_number_and_by_name() {
        assert_eq!(signal_of("-9"), Some(Signal::SIGKILL));
        assert_eq!(signal_of("-HUP"), Some(Signal::SIGHUP));
        assert_eq!(signal_of("-sigterm"), Some(Signal::SIGTERM));
        assert_eq!(signal_of("-4711"), None);
        assert_eq!(signal_of("--list"), None);
    }

    #[test]
    fn a_process_fits_by_its_name_or_its_whole_command() {
        let own = i32::try_from(std::process::id()).unwrap();
        let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
        assert!(fits(own, comm.trim(), false, true));
        assert!(!fits(own, "nobody-bears-this-name", true, false));
    }

    #[test]
    fn what_is_not_plain_text_is_refused() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(run(&words("-9 ping.*")).is_err());
        assert!(run(&words("-9")).is_err());
        assert_eq!(run(&words("nobody-bears-this-name")).unwrap(), NONE_MATCHED);
    }
}
