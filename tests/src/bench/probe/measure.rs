//! What a program costs: runs it as a process in a namespace and measures its elapsed time, processor time, memory and
//! sleeps. The figures come from `getrusage`, the process's CPU clock and `/proc`.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures")]

use crate::plane::Namespace;
use anyhow::{Context, Result, bail};
use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        signal::{Signal, kill},
        time::{TimeVal, TimeValLike as _},
    },
    time::clock_getcpuclockid,
    unistd::Pid,
};
use std::{
    io::Read as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Time limit for one program.
const WITHIN: Duration = Duration::from_mins(5);
/// Consecutive checks that must find a program asleep before it is taken to be waiting for packets.
const ASLEEP_MIN: u32 = 10;
/// How long to wait for a program to start watching, to become idle or to exit.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that has exited.
#[derive(Debug)]
pub(super) struct Ran {
    /// Elapsed time.
    pub seconds: f64,
    /// User and system time.
    pub cpu_seconds: f64,
    pub stdout: String,
    pub stderr: String,
    pub status: ExitStatus,
}

/// A program that runs at the same time as others.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    output: thread::JoinHandle<std::io::Result<String>>,
}

/// Runs one program to its end. No other child may exit meanwhile: the kernel reports one sum for all exited children.
pub(super) fn run(namespace: &Namespace, mut command: Command) -> Result<Ran> {
    let name = command.get_program().to_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let before = cpu_of_children()?;
    let begun = Instant::now();
    let child = namespace.spawn(command).with_context(|| format!("cannot start {}", name.display()))?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    let (ended, still_running) = mpsc::channel::<()>();
    let guard = thread::spawn(move || {
        if still_running.recv_timeout(WITHIN) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    });
    let output = child.wait_with_output()?;
    let seconds = begun.elapsed().as_secs_f64();
    drop(ended);
    let _ = guard.join();
    Ok(Ran {
        seconds,
        cpu_seconds: cpu_of_children()? - before,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        status: output.status,
    })
}

impl Running {
    /// Starts a program.
    pub(super) fn start(namespace: &Namespace, mut command: Command) -> Result<Self> {
        let name = command.get_program().to_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = namespace.spawn(command).with_context(|| format!("cannot start {}", name.display()))?;
        let mut stdout = child.stdout.take().context("a child without standard output")?;
        let output = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        Ok(Self { child, output })
    }

    /// Processor time so far, user and system, as `/proc` shows it.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        cpu_of(self.child.id())
    }

    /// Processor time once the program has finished its work: when it used none for half a second.
    pub(super) fn cpu_until_quiet(&self) -> Result<f64> {
        let deadline = Instant::now() + PATIENCE;
        let mut before = self.cpu_seconds()?;
        loop {
            thread::sleep(Duration::from_millis(500));
            let now = self.cpu_seconds()?;
            // `/proc` has a resolution of a hundredth of a second.
            if now - before < 0.015 || Instant::now() > deadline {
                return Ok(now);
            }
            before = now;
        }
    }

    /// Waits until the program has opened a packet socket and sleeps: the packets that it must see must not arrive
    /// earlier.
    pub(super) fn until_watching(&self) -> Result<()> {
        let (table, state) =
            (format!("/proc/{}/net/packet", self.child.id()), format!("/proc/{}/stat", self.child.id()));
        let deadline = Instant::now() + PATIENCE;
        let mut asleep = 0;
        while asleep < ASLEEP_MIN {
            if Instant::now() > deadline {
                bail!("a program that was to watch opened no packet socket");
            }
            thread::sleep(Duration::from_millis(1));
            let watching = std::fs::read_to_string(&table)?.lines().count() > 1;
            let sleeping = std::fs::read_to_string(&state)?.contains(") S ");
            asleep = if watching && sleeping { asleep + 1 } else { 0 };
        }
        Ok(())
    }

    /// Sends it SIGINT and returns what it printed.
    pub(super) fn interrupt(self) -> Result<String> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGINT)?;
        self.finish()
    }

    /// Waits until it ends and returns what it printed.
    pub(super) fn finish(mut self) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
                self.child.wait()?;
                bail!("a program did not end");
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.output.join().map_err(|_| anyhow::anyhow!("a reader of output panicked"))?.context("cannot read output")
    }
}

/// Processor time of a process so far, user and system, as `/proc` shows it: to a hundredth of a second.
pub(super) fn cpu_of(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = text.rsplit_once(") ").map(|(_, rest)| rest).context("a strange /proc/PID/stat")?;
    let ticks: Vec<u64> = after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    let [user, system] = ticks[..] else { bail!("a strange /proc/PID/stat") };
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100);
    #[expect(clippy::cast_precision_loss, reason = "ticks of a run of minutes")]
    Ok((user + system) as f64 / per_second as f64)
}

/// Processor time of a process so far in seconds, threads that have exited included, with nanosecond resolution.
pub(super) fn exact_cpu_of(pid: u32) -> Result<f64> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?)).context("no clock of a process")?;
    Ok(std::time::Duration::from(clock.now()?).as_secs_f64())
}

/// Resets the peak: from now on [`peak_kib`] returns the peak since this call.
pub(super) fn forget_peak(pid: u32) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("the kernel does not forget a peak of memory")
}

/// Peak of a process's resident memory in KiB.
pub(super) fn peak_kib(pid: u32) -> Result<u64> {
    number_of(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// How often the threads of a process went to sleep so far; those that have ended are not counted.
pub(super) fn sleeps_of(pid: u32) -> Result<u64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten();
    Ok(threads
        .filter_map(|thread| number_of(thread.path().join("status").to_str()?, "voluntary_ctxt_switches:").ok())
        .sum())
}

fn number_of(status: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(status)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    line.trim().trim_end_matches(" kB").parse().with_context(|| format!("a strange {name}"))
}

fn cpu_of_children() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok(seconds_of(usage.user_time()) + seconds_of(usage.system_time()))
}

/// Processor time of the calling thread.
pub(super) fn cpu_of_thread() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    Ok(seconds_of(usage.user_time()) + seconds_of(usage.system_time()))
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of minutes")]
fn seconds_of(time: TimeVal) -> f64 {
    time.num_microseconds() as f64 / 1e6
}

/// The median; of an even number of values, the lower of the middle two. NaN if there are no values.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}
