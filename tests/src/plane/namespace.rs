//! A network namespace: a thread that runs in it and executes jobs there.
//!
//! The namespace also has a name under `/run/netns`, in the sandbox's private mount namespace, so that `exec` (and
//! `ip netns` where installed) can enter it. Processes started through it inherit it. Those of an instance start on its
//! machine, which is up or down. This module does not configure the network.

use super::machine::{self, Machine, file_name};
use anyhow::{Context, Result};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use std::{
    fmt,
    fs::{self, File},
    io,
    net::{SocketAddr, TcpListener},
    os::fd::{AsRawFd, RawFd},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

/// Directory with the names of namespaces.
pub(super) const NAMES: &str = "/run/netns";

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace. Cheap to clone. It exists as long as a clone, a process or a socket in it.
#[derive(Clone)]
pub struct Namespace(Arc<Inner>);

struct Inner {
    name: String,
    file: File,
    jobs: Mutex<mpsc::Sender<Job>>,
    power: Mutex<Power>,
}

/// The machine on which processes are started.
enum Power {
    /// No machine of its own: processes share the lab's.
    Shared,
    Off,
    On(Machine),
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Namespace").field(&self.0.name).finish()
    }
}

impl Namespace {
    /// Creates a namespace that contains only a loopback interface, which is down.
    pub fn create(name: &str) -> Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let (ready, readiness) = mpsc::channel();
        let path = path_of(name);
        fs::create_dir_all(NAMES).context("cannot create the directory of namespace names")?;
        File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        thread::Builder::new()
            .name(format!("netns {name}"))
            .spawn(move || {
                let _ = ready.send(enter_new(&path));
                // The loop ends when the last handle is dropped.
                for job in inbox {
                    job();
                }
            })
            .context("cannot start a namespace's thread")?;
        let file = readiness
            .recv()
            .context("a namespace's thread ended")?
            .with_context(|| format!("cannot make the network namespace {name}"))?;
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            file,
            jobs: Mutex::new(jobs),
            power: Mutex::new(Power::Shared),
        })))
    }

    /// Boots the machine of this network, if it is not up.
    pub(super) fn power_on(&self) -> Result<()> {
        let mut power = self.power();
        if !matches!(*power, Power::On(_)) {
            machine::register(self.name())?;
            *power = Power::Off;
            *power = Power::On(Machine::boot(self.name(), &self.0.file)?);
        }
        Ok(())
    }

    /// Kills the machine with everything on it. Dropping the returned value waits until the processes are reaped.
    pub(super) fn power_off(&self) -> Option<Machine> {
        let mut power = self.power();
        if !matches!(*power, Power::On(_)) {
            return None;
        }
        let Power::On(machine) = std::mem::replace(&mut *power, Power::Off) else { return None };
        machine.kill();
        Some(machine)
    }

    fn power(&self) -> MutexGuard<'_, Power> {
        self.0.power.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Name of the namespace.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// File descriptor of the namespace, for netlink.
    pub fn fd(&self) -> RawFd {
        self.0.file.as_raw_fd()
    }

    /// Runs a job in the namespace and returns its result.
    ///
    /// # Panics
    /// Panics if the job panics.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let boxed: Job = Box::new(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            let _ = done.send(outcome);
        });
        {
            let jobs = self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = jobs.send(boxed);
        }
        match result.recv() {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // The thread leaves its loop only if no handle is left, and this is one.
            Err(_) => std::process::abort(),
        }
    }

    /// Starts a process in the namespace; for an instance, on its machine.
    pub fn spawn(&self, mut command: Command) -> io::Result<Child> {
        match &*self.power() {
            Power::Shared => self.run(move || command.spawn()),
            Power::Off => Err(io::Error::other(format!("the instance {} is stopped", self.name()))),
            Power::On(machine) => machine.spawn(command),
        }
    }

    /// Opens a listener in the namespace. It works from any thread.
    pub fn tcp_listener(&self, address: SocketAddr) -> io::Result<TcpListener> {
        self.run(move || TcpListener::bind(address))
    }

    /// Sets kernel parameters of the namespace, by their paths under `/proc/sys/net`.
    pub fn set(&self, parameters: Vec<(String, &'static str)>) -> Result<()> {
        self.run(move || {
            for (path, value) in parameters {
                let path = format!("/proc/sys/net/{path}");
                fs::write(&path, value).with_context(|| format!("cannot set {path} to {value:?}"))?;
            }
            Ok(())
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let power = self.power.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !matches!(std::mem::replace(power, Power::Shared), Power::Shared) {
            machine::unregister(&self.name);
        }
        let path = path_of(&self.name);
        let _ = nix::mount::umount2(&path, nix::mount::MntFlags::MNT_DETACH);
        let _ = fs::remove_file(&path);
    }
}

/// Path of the file that names a namespace.
pub(super) fn path_of(name: &str) -> PathBuf {
    Path::new(NAMES).join(file_name(name))
}

fn enter_new(path: &Path) -> io::Result<File> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let own = "/proc/thread-self/ns/net";
    mount(Some(own), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    File::open(own)
}
