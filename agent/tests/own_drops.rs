//! How `ping` treats replies that its own receive queue drops, in network namespaces.
//!
//! Questions: if a responder holds back its replies and sends them in one burst while the pinger is stopped, are those
//! that the queue cannot hold reported as this host's own drops, and never as loss? Do the replies to all probes in
//! flight fit the queue, whatever the size of the probes? The pinger lacks the capability to raise its buffer beyond
//! the host's limit.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test stops at what it did not expect")]
#![allow(clippy::disallowed_methods, reason = "whether this is CI is told by the environment, and waits are bounded")]

mod road;

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recvfrom, sendto, setsockopt,
            socket, sockopt,
        },
        time::TimeVal,
    },
    unistd::Pid,
};
use road::{Road, THERE};
use serde_json::Value;
use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

const AGENT: &str = env!("CARGO_BIN_EXE_pingtong-agent");
const DEADLINE: Duration = Duration::from_mins(1);
/// After this many milliseconds without a probe, the pinger waits for replies.
const QUIET_MS: i64 = 200;
const IPV4_HEADER_BYTES: usize = 20;

/// Answers echo requests on command, in place of the responder's kernel.
struct Responder {
    fd: OwnedFd,
    held: Vec<(SockaddrIn, Vec<u8>)>,
    seen: usize,
}

impl Responder {
    fn new(road: &Road) -> Self {
        road.there.all("sysctl ipv4/icmp_echo_ignore_all 1");
        let fd = road
            .there
            .within(|| socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp).unwrap());
        setsockopt(&fd, sockopt::RcvBufForce, &(128 << 20)).unwrap();
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(0, QUIET_MS * 1_000)).unwrap();
        Self { fd, held: vec![], seen: 0 }
    }

    /// Holds back requests that arrive, until no more arrive.
    fn hold(&mut self) {
        let since = Instant::now();
        let mut buffer = vec![0; 4_096];
        loop {
            assert!(since.elapsed() < DEADLINE, "no probe comes");
            match recvfrom::<SockaddrIn>(self.fd.as_raw_fd(), &mut buffer) {
                Ok((bytes, Some(from))) if buffer[IPV4_HEADER_BYTES] == 8 => {
                    self.held.push((from, reply_to(&buffer[IPV4_HEADER_BYTES..bytes])));
                    self.seen += 1;
                }
                Err(Errno::EAGAIN) if !self.held.is_empty() => return,
                Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(errno) => panic!("{errno}"),
            }
        }
    }

    /// Sends all replies, each `times` times.
    fn release(&mut self, times: usize) {
        for (to, reply) in self.held.drain(..) {
            for _ in 0..times {
                assert_eq!(sendto(self.fd.as_raw_fd(), &reply, &to, MsgFlags::empty()), Ok(reply.len()));
            }
        }
    }
}

/// Makes the reply to a request: the checksum rises by as much as the type falls.
fn reply_to(request: &[u8]) -> Vec<u8> {
    let mut reply = request.to_vec();
    let sum = u32::from(u16::from_be_bytes([reply[2], reply[3]])) + 0x0800;
    let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    reply[0] = 0;
    reply[2..4].copy_from_slice(&folded.to_be_bytes());
    reply
}

/// What the pinger lacks: raising its buffer, and in the second case also ring-buffer receive of replies.
const LACKS: [&str; 2] = ["-net_admin", "-net_admin,-bpf,-sys_admin"];

fn start(road: &Road, lacks: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new("setpriv");
    command.args([&format!("--bounding-set={lacks}"), &format!("--inh-caps={lacks}"), AGENT, "ping", THERE, "--json"]);
    command.args(arguments).env("LC_ALL", "C").stdout(Stdio::piped()).stderr(Stdio::piped());
    road.here.within(move || command.spawn().unwrap())
}

/// Stops the pinger while `work` runs.
fn held_up(child: &Child, work: impl FnOnce()) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let stopped = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    };
    let since = Instant::now();
    while !stopped() {
        assert!(since.elapsed() < DEADLINE, "it does not stop");
        std::thread::yield_now();
    }
    work();
    kill(pid, Signal::SIGCONT).unwrap();
}

fn summary(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let last = text.lines().last().unwrap_or_else(|| panic!("{output:?}"));
    serde_json::from_str::<Value>(last).unwrap()["summary"].clone()
}

fn number(summary: &Value, key: &str) -> u64 {
    summary[key].as_u64().unwrap_or_else(|| panic!("{key} in {summary}"))
}

#[test]
fn answers_that_the_own_queue_dropped_are_own_drops_and_no_loss() {
    const PROBES: u64 = 1_000;
    // Forty replies to each probe, at 832 bytes of the queue each, exceed the largest buffer that is requested.
    const TIMES: usize = 40;
    for lacks in LACKS {
        let Some(road) = road::build() else { return };
        let mut responder = Responder::new(&road);
        let child = start(&road, lacks, &["-c", &PROBES.to_string(), "--rate", "0", "-t", "5000"]);
        responder.hold();
        assert_eq!(responder.seen as u64, PROBES, "all are on their way");
        held_up(&child, || responder.release(TIMES));
        let output = child.wait_with_output().unwrap();
        let summary = summary(&output);
        let [sent, received, lost, undecided, own_drops, duplicates] =
            ["sent", "received", "lost", "undecided", "own_drops", "duplicates"].map(|key| number(&summary, key));
        assert_eq!((sent, lost), (PROBES, 0), "{summary}");
        assert_eq!(received + undecided, PROBES, "{summary}");
        assert!(received > 0 && undecided > 0 && own_drops > 0, "the queue ran over: {summary}");
        // Every reply that was sent is accounted for.
        assert_eq!(received + duplicates + own_drops, PROBES * TIMES as u64, "{summary}");
        assert_eq!((&summary["loss"]["attributable"], output.status.code()), (&false.into(), Some(2)), "{summary}");
    }
}

#[test]
fn what_is_on_its_way_fits_the_queue_whatever_the_size() {
    for (lacks, size, probes) in [(LACKS[0], "56", 12_000), (LACKS[1], "56", 12_000), (LACKS[1], "1400", 9_000)] {
        let Some(road) = road::build() else { return };
        let mut responder = Responder::new(&road);
        let child = start(&road, lacks, &["-c", &probes.to_string(), "-s", size, "--rate", "0", "-t", "20000"]);
        while responder.seen < probes {
            responder.hold();
            held_up(&child, || responder.release(1));
        }
        let output = child.wait_with_output().unwrap();
        let summary = summary(&output);
        let counts = ["sent", "received", "lost", "undecided", "own_drops"].map(|key| number(&summary, key));
        let all = u64::try_from(probes).unwrap();
        assert_eq!((counts, output.status.code()), ([all, all, 0, 0, 0], Some(0)), "{size} bytes: {summary}");
    }
}
