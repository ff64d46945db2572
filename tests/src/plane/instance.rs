//! An instance: a namespace with interfaces, and the processes in it.
//!
//! The guest's side only: addresses, default route, loopback with the metadata service's address, start and stop. A
//! stopped instance keeps its namespace, so that its next start finds it, and has no processes; that its interfaces
//! carry nothing is the router's doing.

use super::{
    interfaces::{self, Route, UP},
    namespace::Namespace,
    netlink::Netlink,
    router,
};
use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, OpenOptions},
    net::Ipv4Addr,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// Where every instance finds its metadata service.
pub(super) const METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
/// Kills of what forks faster than it dies, before giving up.
const KILL_ROUNDS_MAX: usize = 20;

/// A process that runs whenever its instance does.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// Environment besides what the lab has; `PATH` is the guests'.
    pub env: Vec<(OsString, OsString)>,
    /// Where its output goes, appended; none throws it away.
    pub log_path: Option<PathBuf>,
}

/// An instance.
#[derive(Debug)]
pub(super) struct Instance {
    /// Its namespace.
    pub namespace: Namespace,
    /// Whether it runs.
    pub running: bool,
    /// Interfaces, by id, with their names in the guest.
    pub interfaces: BTreeMap<String, String>,
    services: Vec<ServiceSpec>,
    children: Vec<Child>,
}

impl Instance {
    /// A running instance without interfaces.
    pub(super) fn create(name: &str) -> Result<Self> {
        let namespace = Namespace::create(name)?;
        namespace.set(
            [("ipv4/ip_forward", "0"), ("ipv4/conf/all/rp_filter", "0"), ("ipv4/conf/default/rp_filter", "0")]
                .map(|(path, value)| (path.to_owned(), value))
                .to_vec(),
        )?;
        router::without_ipv6(&namespace);
        namespace.run(|| -> Result<()> {
            let mut netlink = Netlink::route()?;
            netlink.request(&interfaces::set_flags("lo", UP, UP))?;
            netlink.request(&interfaces::add_address(1, METADATA, 32)).context("cannot place the metadata service")
        })?;
        let (interfaces, services, children) = Default::default();
        Ok(Self { namespace, running: true, interfaces, services, children })
    }

    /// A name for one more interface.
    pub(super) fn free_name(&self) -> String {
        let taken = |name: &String| self.interfaces.values().any(|used| used == name);
        (0..=self.interfaces.len()).map(|at| format!("eth{at}")).find(|name| !taken(name)).unwrap_or_default()
    }

    /// Configures an interface as the guest's system does at boot.
    pub(super) fn configure(&self, interface: &str, address: Ipv4Addr, block: Ipv4Net, primary: bool) -> Result<()> {
        let name = interface.to_owned();
        self.namespace.run(move || -> Result<()> {
            let mut netlink = Netlink::route()?;
            let index = interfaces::index_of(&mut netlink, &name)?;
            netlink.request(&interfaces::add_address(index, address, block.prefix_len()))?;
            netlink.request(&interfaces::set_flags(&name, UP, UP))?;
            if primary {
                netlink
                    .request(&Route::to(interfaces::MAIN, Ipv4Net::default()).via(index, Some(gateway(block))).add())?;
            }
            Ok(())
        })
    }

    /// Replaces the services, and starts them when the instance runs.
    pub(super) fn set_services(&mut self, services: Vec<ServiceSpec>) -> Result<()> {
        self.kill_services();
        self.services = services;
        if self.running { self.start_services() } else { Ok(()) }
    }

    fn start_services(&mut self) -> Result<()> {
        for service in &self.services {
            let child = self.namespace.spawn(command(service)?);
            let name = service.argv.first().cloned().unwrap_or_default();
            self.children.push(child.with_context(|| format!("cannot start {}", name.display()))?);
        }
        Ok(())
    }

    /// Kills the services at once.
    pub(super) fn kill_services(&mut self) {
        for mut child in self.children.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts or stops it.
    pub(super) fn set_running(&mut self, running: bool) -> Result<()> {
        if self.running == running {
            return Ok(());
        }
        self.running = running;
        if running {
            return self.start_services();
        }
        self.stop();
        Ok(())
    }

    /// Kills everything in it.
    pub(super) fn stop(&mut self) {
        let Ok(identity) = self.namespace.identity() else { return self.kill_services() };
        for _ in 0..KILL_ROUNDS_MAX {
            let inside = processes(identity);
            if inside.is_empty() {
                break;
            }
            for pid in inside {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
        self.kill_services();
    }
}

/// The address a vSwitch's gateway has: the third from its end.
pub(super) fn gateway(block: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(block.broadcast()).saturating_sub(2))
}

fn command(service: &ServiceSpec) -> Result<Command> {
    let (program, arguments) = service.argv.split_first().context("a service without a program")?;
    let output = || -> Result<Stdio> {
        let Some(path) = &service.log_path else { return Ok(Stdio::null()) };
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(file.with_context(|| format!("cannot open the log {}", path.display()))?.into())
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("PATH", super::guest_path())
        .envs(service.env.iter().cloned())
        .stdin(Stdio::null())
        .stdout(output()?)
        .stderr(output()?);
    Ok(command)
}

/// Processes alive in a network namespace. Empty where `/proc` is not our pid namespace's: pids there are not ours.
fn processes(identity: u64) -> Vec<Pid> {
    let own = std::process::id();
    if fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse().ok()) != Some(own) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|file| file.ino() == identity))
        .map(|pid| Pid::from_raw(pid.cast_signed()))
        .collect()
}
