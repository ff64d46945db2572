//! `pingtong-agent ping` as a program: its output, its exit codes and how it ends, in its own network namespace.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops at what it did not expect")]
#![expect(clippy::disallowed_methods, reason = "whether this is CI is told by the environment")]

mod road;

use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Output, Stdio},
};

const AGENT: &str = env!("CARGO_BIN_EXE_pingtong-agent");

/// The agent in a namespace with only a loopback interface, after the commands `before` ran there.
fn in_namespace(before: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-Urn", "sh", "-c", &format!("ip link set lo up && {before} exec \"$@\""), "sh", AGENT, "ping"]);
    command.args(arguments).env("LC_ALL", "C");
    command
}

/// Whether such namespaces can be created here; a test that cannot run says so, and fails under CI.
fn possible() -> bool {
    let made = Command::new("unshare").args(["-Urn", "sh", "-c", "ip link set lo up"]).output();
    let possible = made.is_ok_and(|made| made.status.success());
    if !possible {
        eprintln!("SKIPPED: \"unshare -Urn\" with \"ip\" is not possible here");
        assert!(std::env::var_os("CI").is_none(), "under CI every test has to run");
    }
    possible
}

fn run(before: &str, arguments: &[&str]) -> Output {
    in_namespace(before, arguments).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn one_line_a_target_and_a_last_line_for_the_whole() {
    if !possible() {
        return;
    }
    let output = run("", &["127.0.0.1", "127.0.0.8/30", "-c", "4", "-p", "10", "--json"]);
    let lines = lines(&output);
    assert_eq!((code(&output), lines.len()), (Some(0), 4));
    for (line, address) in lines.iter().zip(["127.0.0.1", "127.0.0.9", "127.0.0.10"]) {
        assert_eq!((&line["target"], &line["sent"], &line["received"]), (&address.into(), &4.into(), &4.into()));
        assert!(line["rtt_us"]["p50"].as_f64().unwrap() > 0.0);
    }
    let summary = &lines[3]["summary"];
    assert_eq!((&lines[3]["schema"], lines[3].as_object().unwrap().len()), (&1.into(), 2));
    assert_eq!((&summary["sent"], &summary["received"], &summary["lost"]), (&12.into(), &12.into(), &0.into()));
    for key in ["late", "duplicates", "own_drops", "targets", "alive", "rss_kib_max"] {
        assert!(summary[key].is_u64(), "{key}");
    }
    for key in ["errors", "loss", "rtt_us", "cpu_seconds"] {
        assert!(summary[key].is_object(), "{key}");
    }
    assert!(summary["seconds"].as_f64().unwrap() > 0.0 && summary["rate_pps"].as_f64().unwrap() > 0.0);
}

/// The kernel passes the peak memory of a program on to what that starts, which must not be reported as ours.
#[test]
fn memory_is_that_of_the_pinger_and_ten_thousand_targets_take_little_of_it() {
    if !possible() {
        return;
    }
    let large = std::hint::black_box(vec![1u8; 96 << 20]);
    let peak_kib = |targets: &str, count: &str| {
        let output = run("", &[targets, "-c", count, "--rate", "0", "--json"]);
        let summary = &lines(&output).pop().unwrap()["summary"];
        assert_eq!((&summary["lost"], &summary["refused"]), (&0.into(), &0.into()), "{summary}");
        summary["rss_kib_max"].as_u64().unwrap()
    };
    let (one, many) = (peak_kib("127.1.0.1", "40000"), peak_kib("127.1.0.0/18", "3"));
    assert!(large.len() > 80 << 20 && one < 60 << 10, "{one} KiB");
    // 16,382 targets. The difference also includes what they share, such as the code that prints them.
    assert!(many < one + 16_382 * 400 / 1_024 + 512, "{many} KiB after {one} KiB");
}

#[test]
fn people_read_a_line_a_target_and_the_whole_in_their_language() {
    if !possible() {
        return;
    }
    for (lang, whole) in [("en", "2 targets, 1 answer  sent 3  received 3  lost 0"), ("zh", "共 2 个目标，1 个有应答")]
    {
        let before = "ip route add unreachable 10.9.9.0/24 &&";
        let output = run(before, &["127.0.0.1", "10.9.9.1", "-c", "3", "-p", "10", "--lang", lang]);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("127.0.0.1 ") && lines[1].starts_with("10.9.9.1 "), "{text}");
        assert!(lines[2].starts_with(whole) && lines[3].ends_with("EHOSTUNREACH × 3"), "{text}");
        assert!(lines[4].ends_with("raw (kernel-tx-rx)") && lines.len() == 5, "{text}");
    }
}

#[test]
fn refusals_of_this_host_are_named_and_are_no_losses() {
    if !possible() {
        return;
    }
    let output = run("", &["127.0.0.1", "192.0.2.1", "-c", "2", "-p", "10", "-t", "100", "--json"]);
    let lines = lines(&output);
    let summary = &lines[2]["summary"];
    assert_eq!(code(&output), Some(1));
    assert_eq!((&summary["sent"], &summary["lost"], &summary["refused"]), (&2.into(), &0.into(), &2.into()));
    assert_eq!(summary["errors"]["ENETUNREACH"], 2);
    assert_eq!((&lines[1]["answered"], &lines[1]["loss"]), (&0.0.into(), &Value::Null));
}

#[test]
fn probes_leave_by_the_interface_and_from_the_address_that_were_asked_for() {
    if !possible() {
        return;
    }
    let observed = |arguments: &[&str]| {
        let mut all = vec!["127.0.0.1", "-c", "2", "-p", "5", "--json"];
        all.extend(arguments);
        run("", &all)
    };
    assert_eq!(code(&observed(&["-I", "lo", "-S", "127.0.0.9"])), Some(0));
    for wrong in [["-I", "none0"], ["-S", "192.0.2.1"]] {
        let output = observed(&wrong);
        assert_eq!(code(&output), Some(64), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn silence_is_loss_and_each_probe_is_written_down() {
    if !possible() {
        return;
    }
    let samples = tempfile::NamedTempFile::new().unwrap();
    let path = samples.path().to_str().unwrap();
    let silent = "echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all;";
    let output = run(silent, &["127.0.0.1", "-c", "3", "-p", "10", "-t", "50.5", "--json", "--samples", path]);
    let summary = &lines(&output)[1]["summary"];
    assert_eq!(code(&output), Some(1));
    assert_eq!((&summary["sent"], &summary["lost"], &summary["loss"]["rate"]), (&3.into(), &3.into(), &1.0.into()));
    let text = std::fs::read_to_string(samples.path()).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(
        rows.iter().map(|row| (row[1], row[3], row[4])).collect::<Vec<_>>(),
        [("0", "", "lost"), ("1", "", "lost"), ("2", "", "lost"),]
    );
}

#[test]
fn an_interrupt_prints_what_is_known_and_waits_no_longer() {
    if !possible() {
        return;
    }
    let arguments = ["127.0.0.1", "--loop", "-p", "5", "-t", "60000", "--json"];
    // The shell prints its process id, which the agent keeps.
    let mut child = in_namespace("echo $$;", &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut number = String::new();
    out.read_line(&mut number).unwrap();
    let status = format!("/proc/{}/status", child.id());
    // The signals are blocked once the agent watches them; before that, an interrupt would kill it.
    let watches = || {
        std::fs::read_to_string(&status).is_ok_and(|text| {
            let blocked = text.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap_or("0");
            u64::from_str_radix(blocked.trim(), 16).is_ok_and(|signals| signals & 0b10 != 0)
        })
    };
    while !watches() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let rest: Vec<Value> = out.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    child.wait().unwrap();
    let summary = &rest.last().unwrap()["summary"];
    assert_eq!((&summary["interrupted"], &summary["lost"]), (&true.into(), &0.into()));
    let count = |key: &str| summary[key].as_u64().unwrap();
    assert_eq!(count("sent"), count("received") + count("undecided"));
}

#[test]
fn flat_out_counts_every_answer_of_a_hundred_thousand() {
    if !possible() {
        return;
    }
    let output = run("", &["127.1.0.0/24", "-c", "400", "--rate", "0", "--json"]);
    let summary = &lines(&output)[254]["summary"];
    assert_eq!((&summary["sent"], &summary["received"]), (&101_600.into(), &101_600.into()), "{summary}");
    assert_eq!((&summary["duplicates"], &summary["own_drops"], &summary["foreign"]), (&0.into(), &0.into(), &0.into()));
}

#[test]
fn another_pinger_beside_us_is_not_counted() {
    if !possible() {
        return;
    }
    let both = format!("{AGENT} ping 127.0.0.1 -c 100 -p 1 --json > /dev/null & ");
    let output = run(&both, &["127.0.0.1", "-c", "100", "-p", "1", "--json"]);
    let summary = &lines(&output)[1]["summary"];
    assert_eq!((&summary["sent"], &summary["received"], &summary["duplicates"]), (&100.into(), &100.into(), &0.into()));
}

#[test]
fn every_mistake_is_told_and_the_exit_code_is_64() {
    let mut child = Command::new(AGENT)
        .args(["ping", "10.0.0.0/8", "--targets", "-", "--targets", "/no/such/file"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"# a comment\n10.1.2.3/8 behind\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(code(&output), Some(64));
    for expected in ["10.0.0.0/8", "standard input:2", "/no/such/file"] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    for wrong in [["ping", "--timeout", "0"], ["ping", "--period", "-1"], ["ping", "--size", "8"]] {
        assert_eq!(code(&Command::new(AGENT).args(wrong).output().unwrap()), Some(64), "{wrong:?}");
    }
    assert_eq!(code(&Command::new(AGENT).arg("ping").output().unwrap()), Some(64));
}

#[test]
fn man_pages_and_completions_come_from_the_commands() {
    let man = Command::new(AGENT).arg("man").output().unwrap();
    let text = String::from_utf8(man.stdout).unwrap();
    assert!(text.contains(".TH") && text.contains("\\-\\-observe"), "{text}");
    for shell in ["bash", "zsh", "fish"] {
        let script = Command::new(AGENT).args(["completions", shell]).output().unwrap();
        assert!(String::from_utf8(script.stdout).unwrap().contains("observe"), "{shell}");
    }
}

#[test]
fn a_link_local_target_is_reached_by_the_interface_named_with_it_and_by_no_other() {
    let Some(road) = road::build() else { return };
    road.router.all("ip addr add fe80::aa/64 dev r1 nodad");
    road.here.all(
        "ip link add other0 type veth peer name other1
         ip link set other0 up
         ip link set other1 up",
    );
    let ping = |targets: &[&str]| {
        let mut command = Command::new(AGENT);
        command.arg("ping").args(targets).args(["-c", "3", "-p", "20", "-t", "300", "--json"]).env("LC_ALL", "C");
        road.here.within(move || command.output().unwrap())
    };
    // The kernel brings up an interface's own link-local address some time after the interface.
    let since = std::time::Instant::now();
    let mut output = ping(&["fe80::aa%up0"]);
    while code(&output) != Some(0) && since.elapsed().as_secs() < 30 {
        output = ping(&["fe80::aa%up0"]);
    }
    let line = &lines(&output)[0];
    assert_eq!((&line["target"], &line["received"]), (&"fe80::aa".into(), &3.into()), "{output:?}");
    let elsewhere = ping(&["fe80::aa%other0"]);
    assert_eq!(&lines(&elsewhere)[0]["received"], &0, "another interface does not lead there");
    for (targets, expected) in [
        (&["fe80::aa"][..], "fe80::aa%eth0"),
        (&["fe80::aa%up0", "fe80::aa%other0"], "another run"),
        (&["fe80::aa%up0", "-I", "other0"], "give one of both"),
    ] {
        let refused = ping(targets);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains(expected) && code(&refused) == Some(64), "{targets:?}: {:?} {said}", code(&refused));
    }
}

/// A terminal of the test's own; the program takes its far end for a real one.
struct Terminal {
    master: std::fs::File,
    shown: std::sync::mpsc::Receiver<Vec<u8>>,
    text: String,
}

impl Terminal {
    /// Starts `ping` on it, as the program that the terminal's keys interrupt.
    fn start(arguments: &[&str]) -> (Self, std::process::Child) {
        let size = nix::pty::Winsize { ws_row: 24, ws_col: 140, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = nix::pty::openpty(Some(&size), None).unwrap();
        // If the program held its terminal, the terminal would outlive a test that fails, and the program with it.
        let alone = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC);
        nix::fcntl::fcntl(&pty.master, alone).unwrap();
        let end = |fd: &std::os::fd::OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let inner = in_namespace("", arguments);
        let child = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .arg(inner.get_program())
            .args(inner.get_args())
            .env("LC_ALL", "C")
            .stdin(end(&pty.slave))
            .stdout(end(&pty.slave))
            .stderr(end(&pty.slave))
            .spawn()
            .unwrap();
        drop(pty.slave);
        let master = std::fs::File::from(pty.master);
        let (tell, shown) = std::sync::mpsc::channel();
        let mut reader = master.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading ends with an error once no process holds the terminal.
            while let Ok(count @ 1..) = std::io::Read::read(&mut reader, &mut bytes) {
                if tell.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        (Self { master, shown, text: String::new() }, child)
    }

    /// Waits until the output is as wanted; false if there is no more output.
    fn wait(&mut self, wanted: impl Fn(&str) -> bool) -> bool {
        while !wanted(&self.text) {
            let Ok(bytes) = self.shown.recv_timeout(std::time::Duration::from_secs(20)) else { return false };
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
        true
    }
}

#[test]
fn the_table_is_drawn_over_itself_and_an_interrupt_leaves_the_summary_and_the_cursor() {
    if !possible() {
        return;
    }
    let (mut terminal, mut child) = Terminal::start(&["127.0.0.1", "127.0.0.2", "-l", "-p", "20"]);
    let redrawn =
        |text: &str| text.matches("on their way").count() >= 3 && text.contains("\x1b[?25l") && text.contains("A\r");
    assert!(terminal.wait(redrawn), "{:?}", terminal.text);
    for expected in ["127.0.0.1", "127.0.0.2", "received", "p99/ms"] {
        assert!(terminal.text.contains(expected), "{expected}: {:?}", terminal.text);
    }
    assert!(!terminal.text.contains("\x1b[?25h"), "the cursor stays away meanwhile");
    // The terminal turns this key into an interrupt.
    terminal.master.write_all(b"\x03").unwrap();
    terminal.wait(|_| false);
    assert_eq!(child.wait().unwrap().code(), Some(0), "{:?}", terminal.text);
    let (_, after) = terminal.text.rsplit_once("\x1b[?25h").expect("the cursor is given back");
    let mut words = after.split_whitespace().skip_while(|word| *word != "sent");
    let sent: u64 = words.nth(1).unwrap().parse().unwrap();
    let received: u64 = words.nth(1).unwrap().parse().unwrap();
    assert!(sent > 20 && received + 2 >= sent, "what is under way is not lost: {after:?}");
    assert!(after.contains("lost 0") && !after.contains("lost%"), "{after:?}");
}
