//! The sandbox of a lab: private user, mount, network, pid, IPC and host-name namespaces that leave nothing behind.
//!
//! The outer process starts `__sandbox`, which unshares. Its first child is `__init`, pid 1 of the new pid namespace,
//! which reaps. The child of that is `__inside`, the lab. The kernel kills each of them when its parent dies, and when
//! pid 1 dies it kills all other processes; files are on a private tmpfs. So kill -9 of any of them leaves nothing
//! behind. `__inside` leaves the host's network last, after it has bound an abstract socket there, by which labs are
//! found. A client learns the lab's pid from the socket's credentials and enters through `/proc/PID/ns`. A lab that
//! keeps running for its user has one door: a listener on the host's loopback for calls to its control plane.

use super::{
    confine, machine,
    process::{OUTSIDE_PROC, SELF, die_with_parent},
};
use anyhow::{Context, Result, anyhow, bail};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::{
        signal::{SigSet, Signal, kill},
        signalfd::{SfdFlags, SignalFd},
        wait::{self, WaitStatus},
    },
    unistd::{Pid, Uid, getgid, getppid, getuid, sethostname},
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    path::Path,
    process::{Command, ExitCode},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

const SANDBOX: &str = "__sandbox";
const INIT: &str = "__init";
const INSIDE: &str = "__inside";
/// How long a lab may take to send its announcement.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Signals that [`attend`] forwards to its command.
const PASSED_ON: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP];
/// Exit code for "our own failure".
const OWN_FAILURE: u8 = 70;

static BEACON: OnceLock<UnixListener> = OnceLock::new();
/// The listener for [`open_door`], until that takes it.
static DOOR: Mutex<Option<TcpListener>> = Mutex::new(None);
static ANSWER: OnceLock<Arc<Mutex<String>>> = OnceLock::new();

/// The stage of the program that this process is.
#[derive(Debug)]
pub enum Stage {
    /// A hidden stage that has ended.
    Exit(ExitCode),
    /// The program as the user started it.
    Outside(Vec<OsString>),
    /// The program inside the sandbox, with the same arguments.
    Inside(Vec<OsString>),
}

/// Determines the stage of this process and runs the hidden ones. Must be called first in `main`, before any thread
/// exists.
pub fn stage(args: Vec<OsString>) -> Stage {
    let kind = args.get(1).and_then(|arg| arg.to_str()).unwrap_or_default().to_owned();
    let rest = args.get(2..).unwrap_or_default();
    let outcome = match kind.as_str() {
        SANDBOX => unblocked().and_then(|()| isolate(rest)).map(Stage::Exit),
        INIT => unblocked().and_then(|()| init(rest)).map(Stage::Exit),
        machine::INIT => unblocked().and_then(|()| machine::init()).map(Stage::Exit),
        confine::CONFINE => unblocked().and_then(|()| confine::confine(rest)).map(Stage::Exit),
        machine::EXEC => unblocked().and_then(|()| machine::exec(rest)).map(Stage::Exit),
        INSIDE => unblocked().and_then(|()| settle(rest)).map(|()| {
            let program = args.first().cloned().unwrap_or_default();
            Stage::Inside(std::iter::once(program).chain(rest.iter().skip(1).cloned()).collect())
        }),
        _ => return Stage::Outside(args),
    };
    outcome.unwrap_or_else(|error| {
        render::failure(&error);
        Stage::Exit(ExitCode::from(OWN_FAILURE))
    })
}

/// Runs this program again inside a new sandbox, with these arguments, and returns its exit code.
pub fn run_inside(args: &[OsString]) -> Result<ExitCode> {
    let mut command = Command::new(SELF);
    command.arg(SANDBOX).arg(format!("{}.{}", getuid(), std::process::id())).args(args);
    attend(command).context("cannot run the sandbox")
}

/// Runs a command to its end and returns its exit code. Forwards signals, and reaps all other children.
fn attend(mut command: Command) -> Result<ExitCode> {
    let mut wanted = SigSet::empty();
    for signal in PASSED_ON.into_iter().chain([Signal::SIGCHLD]) {
        wanted.add(signal);
    }
    wanted.thread_block().context("cannot block signals")?;
    let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC).context("cannot wait for signals")?;
    let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let child = Pid::from_raw(child.id().cast_signed());
    loop {
        match wait::waitpid(None, Some(wait::WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return Ok(code_of(code)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => return Ok(code_of(128 + signal as i32)),
            Ok(WaitStatus::StillAlive) => {}
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(errno) => bail!("cannot wait for a child: {errno}"),
        }
        let Ok(Some(info)) = signals.read_signal() else { continue };
        // The terminal sends its signals to the child as well.
        let from_a_process = info.ssi_code <= 0;
        let signal = i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
        if let Some(signal) = signal.filter(|signal| PASSED_ON.contains(signal) && from_a_process) {
            let _ = kill(child, signal);
        }
    }
}

/// Undoes the signal mask that [`attend`] in the parent has set for this process.
fn unblocked() -> Result<()> {
    SigSet::all().thread_unblock().context("cannot unblock signals")
}

fn code_of(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(OWN_FAILURE))
}

fn isolate(args: &[OsString]) -> Result<ExitCode> {
    let parent = getppid();
    let (uid, gid) = (getuid(), getgid());
    let extents = |kind: &str| fs::read_to_string(format!("/proc/self/{kind}")).unwrap_or_default();
    let (uids, gids) = (identity(&extents("uid_map")), identity(&extents("gid_map")));
    let all = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    if measures_as_root(args) && unshare(all).is_ok() {
        return in_new_namespaces(parent, args);
    }
    unshare(all | CloneFlags::CLONE_NEWUSER).map_err(|errno| anyhow!(refusal(errno)))?;
    let whole = uid.is_root() && fs::write("/proc/self/uid_map", uids).is_ok();
    if !(whole && fs::write("/proc/self/gid_map", gids).is_ok()) {
        fs::write("/proc/self/setgroups", "deny").map_err(|_| anyhow!(refusal(Errno::EPERM)))?;
        if !whole {
            fs::write("/proc/self/uid_map", format!("0 {uid} 1")).map_err(|_| anyhow!(refusal(Errno::EPERM)))?;
        }
        fs::write("/proc/self/gid_map", format!("0 {gid} 1")).map_err(|_| anyhow!(refusal(Errno::EPERM)))?;
    }
    in_new_namespaces(parent, args)
}

/// Whether this is the benchmark of the probe engine, started by root. In a user namespace the kernel refuses the
/// agent's BPF program, and the benchmark would measure the agent as it runs without the capability.
fn measures_as_root(args: &[OsString]) -> bool {
    let root = caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_BPF).unwrap_or(false);
    root && args.windows(2).any(|words| words[0] == "bench" && words[1] == "probe")
}

fn in_new_namespaces(parent: Pid, args: &[OsString]) -> Result<ExitCode> {
    // This must come after the change of credentials, which clears the setting.
    die_with_parent()?;
    if getppid() != parent {
        return Ok(ExitCode::from(OWN_FAILURE));
    }
    let mut command = Command::new(SELF);
    command.arg(INIT).args(args);
    attend(command)
}

/// The identity map of all ids that exist here, derived from a process's own map.
fn identity(map: &str) -> String {
    use std::fmt::Write as _;
    let mut lines = String::new();
    for line in map.lines() {
        let mut fields = line.split_whitespace();
        if let (Some(first), Some(count)) = (fields.next(), fields.nth(1)) {
            let _ = writeln!(lines, "{first} {first} {count}");
        }
    }
    lines
}

fn refusal(errno: Errno) -> String {
    let knob = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let set = if knob("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    } else if knob("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        "sysctl -w kernel.unprivileged_userns_clone=1"
    } else if knob("/proc/sys/user/max_user_namespaces").as_deref() == Some("0") {
        "sysctl -w user.max_user_namespaces=10000"
    } else {
        "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined …"
    };
    let (or_root, or_root_zh) =
        if getuid().is_root() { ("", "") } else { (", or run as root", "，或以 root 运行") };
    format!(
        "this machine does not let the lab make a user namespace ({errno}); allow it with `{set}`{or_root}\n\
         本机不允许实验环境创建用户命名空间（{errno}）；请执行 `{set}`{or_root_zh}"
    )
}

fn init(args: &[OsString]) -> Result<ExitCode> {
    die_with_parent()?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .context("cannot make mounts private")?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=755"))
        .context("cannot mount a private /run")?;
    fs::create_dir(OUTSIDE_PROC).context("cannot create a directory in /run")?;
    let _ = mount(Some("/proc"), OUTSIDE_PROC, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>);
    // The kernel refuses this if parts of the outer /proc are masked, as in containers; the outer one then remains.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let _ = mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>);
    let mut command = Command::new(SELF);
    command.arg(INSIDE).args(args);
    attend(command)
}

fn settle(args: &[OsString]) -> Result<()> {
    die_with_parent()?;
    let owner = args.first().and_then(|arg| arg.to_str()).context("started without the owner's id")?;
    let address = SocketAddr::from_abstract_name(format!("pingtong-lab.{owner}"))?;
    let beacon = UnixListener::bind_addr(&address).context("cannot announce the lab")?;
    if args.get(1).is_some_and(|command| command == "up" || command == "demo") {
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on the host's loopback")?;
        *DOOR.lock().unwrap_or_else(PoisonError::into_inner) = Some(door);
    }
    unshare(CloneFlags::CLONE_NEWNET).context("cannot leave the host's network")?;
    sethostname("pingtong-lab").context("cannot set the sandbox's host name")?;
    let _ = BEACON.set(beacon);
    Ok(())
}

/// A lab that runs on this machine for this user.
#[derive(Debug, Clone)]
pub struct RunningLab {
    /// The lab's process, as seen from here.
    pub pid: i32,
    /// The process that was started as `pingtong-lab up` or `demo`.
    pub launcher: i32,
    /// Name under which it was announced.
    pub name: String,
    /// The description with which it was announced.
    pub info: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct Announcement {
    name: String,
    info: serde_json::Value,
}

/// A listener on the loopback of the host, for a lab that keeps running for its user. It was bound before the sandbox
/// left the host's network. Requests to the control plane can come in through it; packets cannot.
///
/// # Errors
/// Fails if this lab has no such listener or it has already been taken.
pub fn open_door() -> Result<TcpListener> {
    DOOR.lock().unwrap_or_else(PoisonError::into_inner).take().context("this lab has no door to the host")
}

fn launcher_of(socket: &str) -> Option<i32> {
    socket.rsplit_once('.')?.1.parse().ok()
}

/// Pid of the process that was started as this lab, as its user sees it.
pub fn launcher() -> Option<i32> {
    let address = BEACON.get()?.local_addr().ok()?;
    launcher_of(&String::from_utf8_lossy(address.as_abstract_name()?))
}

/// Makes this lab discoverable by other processes of this user; a second call replaces the announcement.
pub fn announce(name: &str, info: serde_json::Value) -> Result<()> {
    let beacon = BEACON.get().context("only a lab inside its sandbox can be announced")?;
    let line = serde_json::to_string(&Announcement { name: name.to_owned(), info })?;
    if let Some(answer) = ANSWER.get() {
        *answer.lock().unwrap_or_else(PoisonError::into_inner) = line;
        return Ok(());
    }
    let answer = Arc::new(Mutex::new(line));
    let _ = ANSWER.set(Arc::clone(&answer));
    let beacon = beacon.try_clone().context("cannot listen for who looks for labs")?;
    std::thread::Builder::new().name("beacon".to_owned()).spawn(move || {
        for mut caller in beacon.incoming().flatten() {
            let line = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let _ = caller.set_write_timeout(Some(ANSWER_TIMEOUT));
            let _ = caller.write_all(line.as_bytes());
        }
    })?;
    Ok(())
}

/// The announced labs of this user, sorted by the names of their sockets.
pub fn discover() -> Result<Vec<RunningLab>> {
    let listed = fs::read_to_string("/proc/net/unix").context("cannot list this machine's sockets")?;
    let prefix = format!("@pingtong-lab.{}.", getuid());
    let mut names: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(7))
        .filter(|name| name.starts_with(&prefix))
        .collect();
    names.sort_unstable();
    names.dedup(); // a connection that waits to be accepted is listed under the same name
    Ok(names.into_iter().filter_map(|name| ask(name.trim_start_matches('@')).ok()).collect())
}

fn ask(name: &str) -> Result<RunningLab> {
    let mut stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let peer = nix::sys::socket::getsockopt(&stream, nix::sys::socket::sockopt::PeerCredentials)?;
    if Uid::from_raw(peer.uid()) != getuid() {
        bail!("the socket {name} belongs to another user");
    }
    let mut line = String::new();
    stream.read_to_string(&mut line)?;
    let launcher = launcher_of(name).with_context(|| format!("the socket {name} names no process"))?;
    let Announcement { name, info } = serde_json::from_str(&line)?;
    Ok(RunningLab { pid: peer.pid(), launcher, name, info })
}

/// Runs a command inside an instance of a running lab. Must be called while this process has only one thread.
pub fn enter(lab: &RunningLab, instance: &str, argv: &[OsString]) -> Result<ExitCode> {
    let open = |kind: &str| {
        let path = format!("/proc/{}/ns/{kind}", lab.pid);
        File::open(&path).with_context(|| format!("cannot open {path}; is the lab still running?"))
    };
    let kinds = [
        ("user", CloneFlags::CLONE_NEWUSER),
        ("mnt", CloneFlags::CLONE_NEWNS),
        ("pid", CloneFlags::CLONE_NEWPID),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("ipc", CloneFlags::CLONE_NEWIPC),
    ];
    let directory = std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_path_buf());
    let files = kinds.iter().map(|(kind, _)| open(kind)).collect::<Result<Vec<_>>>()?;
    for (file, (kind, flag)) in files.iter().zip(kinds) {
        setns(file, flag).with_context(|| format!("cannot enter the lab's {kind} namespace"))?;
    }
    let path = super::namespace::path_of(instance);
    let Ok(network) = File::open(&path) else {
        bail!("the lab {:?} has no instance {instance:?}; it has: {}", lab.name, instances().join(", "));
    };
    setns(&network, CloneFlags::CLONE_NEWNET).context("cannot enter the instance's network namespace")?;
    for (file, flag) in machine::namespaces(instance)?.unwrap_or_default() {
        setns(file, flag).with_context(|| format!("cannot enter a namespace of {instance}"))?;
    }
    let mut command = Command::new(SELF);
    command.arg(machine::EXEC).args(argv).env("PATH", super::guest_path());
    if std::env::set_current_dir(directory).is_err() {
        command.current_dir("/");
    }
    attend(command)
}

fn instances() -> Vec<String> {
    let Ok(entries) = fs::read_dir(super::namespace::NAMES) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names.retain(|name| !name.starts_with("vpc-"));
    names
}

mod render {
    //! The only place in the sandbox that writes to the terminal.

    #[expect(clippy::print_stderr, reason = "a stage that cannot start has no other way to say so")]
    pub(super) fn failure(error: &anyhow::Error) {
        eprintln!("pingtong-lab: {error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_map_keeps_every_extent() {
        assert_eq!(identity("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
    }

    #[test]
    fn other_arguments_are_the_users() {
        let args = vec![OsString::from("lab"), OsString::from("demo")];
        assert!(matches!(stage(args), Stage::Outside(args) if args.len() == 2));
    }
}
