//! Makes an instance a separate machine for the processes in it: pid, mount and host-name namespaces, and an init.
//!
//! A thread enters these namespaces once per boot and starts every process of the instance, so that starting a process
//! costs no more than elsewhere. Pid 1 in them, a stage of this program, mounts `/proc` and reaps. If it is killed, the
//! kernel kills all other processes of the instance, even where they cannot have their own `/proc`. The namespaces have
//! names under [`MACHINES`], through which `exec` enters them. All files are the lab's; only `/proc` differs.

use super::process::{OUTSIDE_PROC, SELF, die_with_parent};
use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::{
        prctl,
        signal::{SigSet, Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, sethostname},
};
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::{
        fs::{MetadataExt as _, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// Name of the stage that is pid 1 of a machine.
pub(super) const INIT: &str = "__guest-init";
/// Name of the stage that becomes the command to run for `exec`.
pub(super) const EXEC: &str = "__guest-exec";
/// Contains a directory for each instance: empty while it is stopped, otherwise with its namespaces.
const MACHINES: &str = "/run/machines";
/// Name here, name in `/proc`, and clone flag. The mount namespace is last, because paths change their meaning after
/// it.
const KINDS: [(&str, &str, CloneFlags); 3] = [
    ("pid", "pid_for_children", CloneFlags::CLONE_NEWPID),
    ("uts", "uts", CloneFlags::CLONE_NEWUTS),
    ("mnt", "mnt", CloneFlags::CLONE_NEWNS),
];
/// The kernel's limit on host names, in bytes.
const HOST_NAME_BYTES_MAX: usize = 64;
/// How long a stop waits until killed processes are reaped by their parents.
const REAPED_WITHIN: Duration = Duration::from_secs(2);

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// A running machine. Dropping it kills everything in it.
#[derive(Debug)]
pub(super) struct Machine {
    name: String,
    init: Pid,
    /// `None` once the machine goes down.
    orders: Option<mpsc::Sender<Order>>,
    down: mpsc::Receiver<()>,
}

impl Machine {
    /// Boots a machine in a network namespace.
    pub(super) fn boot(name: &str, network: &File) -> Result<Self> {
        let network = network.try_clone().context("cannot keep a network namespace open")?;
        let (orders, inbox) = mpsc::channel::<Order>();
        let (started, start) = mpsc::channel();
        let (over, down) = mpsc::channel();
        let host = name.to_owned();
        let life = move || {
            let mut init = match enter(&host, &network) {
                Ok((own, init)) => {
                    let _ = started.send(Ok((own, init.id())));
                    init
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
            let _ = init.wait();
            let _ = over.send(());
        };
        thread::Builder::new().name(format!("on {name}")).spawn(life).context("cannot start a machine's thread")?;
        let (own, init) = start.recv().context("a machine's thread ended")??;
        let init = Pid::from_raw(init.cast_signed());
        let machine = Self { name: name.to_owned(), init, orders: Some(orders), down };
        publish(name, &own).with_context(|| format!("cannot name the namespaces of {name}"))?;
        Ok(machine)
    }

    /// Starts a process on the machine.
    pub(super) fn spawn(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the instance is going down");
        let (reply, answer) = mpsc::channel();
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send((command, reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }

    /// Kills every process. Their parents may still reap them; dropping the machine waits for that.
    pub(super) fn kill(&self) {
        let _ = kill(self.init, Signal::SIGKILL);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The thread reaps the init after this; until then its pid cannot be reused.
        self.kill();
        self.orders = None;
        let _ = self.down.recv_timeout(REAPED_WITHIN);
        for (kind, ..) in KINDS {
            let _ = fs::remove_file(directory(&self.name).join(kind));
        }
    }
}

/// Creates the directory that marks a name as that of an instance.
pub(super) fn register(name: &str) -> Result<()> {
    fs::create_dir_all(directory(name)).with_context(|| format!("cannot make the directory of {name}"))
}

/// Removes the directory of an instance.
pub(super) fn unregister(name: &str) {
    let _ = fs::remove_dir(directory(name));
}

/// The namespaces of a machine, in the order to enter them; `None` if no instance has the name.
pub(super) fn namespaces(name: &str) -> Result<Option<Vec<(File, CloneFlags)>>> {
    let directory = directory(name);
    if !directory.is_dir() {
        return Ok(None);
    }
    let open = |(kind, _, flag): (&str, &str, CloneFlags)| Some((File::open(directory.join(kind)).ok()?, flag));
    let files: Option<Vec<_>> = KINDS.into_iter().map(open).collect();
    files.map(Some).with_context(|| format!("the instance {name:?} is stopped; start it by ecs StartInstance"))
}

/// The pid of a machine's init as seen from outside the sandbox.
pub(super) fn outside_pid(name: &str) -> Option<i32> {
    let wanted = fs::metadata(directory(name).join("pid")).ok()?.ino();
    let first = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        Some(line.split_whitespace().last()? == "1")
    };
    fs::read_dir(OUTSIDE_PROC)
        .ok()?
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(_, process)| fs::metadata(process.join("ns/pid")).is_ok_and(|file| file.ino() == wanted))
        .find(|(_, process)| fs::read_to_string(process.join("status")).ok().and_then(first) == Some(true))
        .map(|(pid, _)| pid)
}

/// Runs the stage [`INIT`]: mounts `/proc`, reports on standard output that the machine is up, and reaps.
pub(super) fn init() -> Result<ExitCode> {
    die_with_parent()?;
    let _ = prctl::set_name(c"init");
    // The kernel refuses this if parts of the outer /proc are masked, as in containers; the lab's /proc then remains.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let _ = mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>);
    let mut deaths = SigSet::empty();
    deaths.add(Signal::SIGCHLD);
    deaths.thread_block().context("cannot block a signal")?;
    let mut output = io::stdout();
    output.write_all(b"\n").and_then(|()| output.flush()).context("cannot say that the machine is up")?;
    loop {
        while !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD)) {}
        deaths.wait().context("cannot wait for a signal")?;
    }
}

/// Runs the stage [`EXEC`]: becomes the command, and is killed together with its parent.
pub(super) fn exec(argv: &[OsString]) -> Result<ExitCode> {
    die_with_parent()?;
    let (program, arguments) = argv.split_first().context("no command to run was given")?;
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

fn directory(name: &str) -> PathBuf {
    Path::new(MACHINES).join(file_name(name))
}

/// A name as a single path component.
pub(super) fn file_name(name: &str) -> String {
    name.replace('/', "_")
}

/// Makes this thread the one that starts a machine's processes. Returns the thread's directory in the lab's `/proc`.
fn enter(name: &str, network: &File) -> Result<(PathBuf, Child)> {
    let own = fs::read_link("/proc/thread-self").context("cannot find a thread in /proc")?;
    setns(network, CloneFlags::CLONE_NEWNET).context("cannot enter an instance's network namespace")?;
    unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
        .context("cannot make an instance's namespaces")?;
    let mut host = name;
    while host.len() > HOST_NAME_BYTES_MAX {
        host = host.char_indices().next_back().map_or("", |(at, _)| &host[..at]);
    }
    sethostname(host).context("cannot set an instance's host name")?;
    let _ = umount2(OUTSIDE_PROC, MntFlags::MNT_DETACH);
    let mut init = Command::new(SELF)
        .arg0("init")
        .arg(INIT)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start an instance's init")?;
    let mut output = init.stdout.take().context("an instance's init has no output")?;
    output.read_exact(&mut [0]).context("an instance's init ended early")?;
    Ok((Path::new("/proc").join(own), init))
}

fn publish(name: &str, own: &Path) -> Result<()> {
    // A mount on a name would outlive the thread, but not every kernel allows a mount namespace to be mounted in its
    // parent: 6.18 refuses it if its numbers, allocated per CPU, suggest that the child is older.
    for (kind, link, _) in KINDS {
        let path = directory(name).join(kind);
        symlink(own.join("ns").join(link), &path).with_context(|| format!("cannot create {}", path.display()))?;
    }
    Ok(())
}
