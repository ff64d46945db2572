//! An instance: a namespace with interfaces, and the processes in it.
//!
//! Only the guest's side is here: addresses, default route, loopback with the metadata service's address, start and
//! stop. A stopped instance has no processes but keeps its network namespace, so that the next start finds it; what the
//! guest changed there is reset at the start. The router makes sure that the interfaces of a stopped instance carry
//! nothing.

use super::{
    METADATA, factory,
    interfaces::{self, Route, UP},
    namespace::Namespace,
    netlink::Netlink,
    router,
};
use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use nix::{
    errno::Errno,
    sys::wait::{Id, WaitPidFlag, waitid},
    unistd::Pid,
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::OpenOptions,
    net::Ipv4Addr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// A process that runs whenever its instance runs.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// Environment variables in addition to those of the lab; `PATH` is always the guests'.
    pub env: Vec<(OsString, OsString)>,
    /// File to which its output is appended; `None` discards the output.
    pub log_path: Option<PathBuf>,
}

/// An interface as the guest has it after boot.
#[derive(Debug, Clone)]
pub(super) struct Interface {
    /// Index, which a guest cannot change.
    pub index: u32,
    /// Name in the guest.
    pub name: String,
    /// Hardware address.
    pub mac: [u8; 6],
    /// Primary private address.
    pub address: Ipv4Addr,
    /// Block of its vSwitch.
    pub block: Ipv4Net,
    /// Whether the default route leaves through it.
    pub primary: bool,
}

/// An instance, with the services that run on it.
#[derive(Debug)]
pub(super) struct Instance {
    /// Its network namespace.
    pub namespace: Namespace,
    /// Whether it runs.
    pub running: bool,
    /// Interfaces, by id.
    pub interfaces: BTreeMap<String, Interface>,
    services: Vec<ServiceSpec>,
    children: Vec<Arc<Mutex<Child>>>,
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
            netlink.request(&interfaces::add_address(1, METADATA, 32)).context("cannot place the metadata service")?;
            factory::remember();
            Ok(())
        })?;
        namespace.power_on()?;
        let (interfaces, services, children) = Default::default();
        Ok(Self { namespace, running: true, interfaces, services, children })
    }

    /// An unused name for one more interface.
    pub(super) fn free_name(&self) -> String {
        let taken = |name: &String| self.interfaces.values().any(|used| used.name == *name);
        (0..=self.interfaces.len()).map(|at| format!("eth{at}")).find(|name| !taken(name)).unwrap_or_default()
    }

    /// Adds an interface that already exists in the namespace, and configures it.
    pub(super) fn plug(&mut self, id: String, mut interface: Interface) -> Result<()> {
        let name = interface.name.clone();
        interface.index = self.namespace.run(move || interfaces::index_of(&mut Netlink::route()?, &name))?;
        self.interfaces.insert(id, interface.clone());
        self.namespace.run(move || configure(&interface))
    }

    /// Replaces the services, and starts them if the instance runs.
    pub(super) fn set_services(&mut self, services: Vec<ServiceSpec>) -> Result<()> {
        self.kill_services();
        self.services = services;
        if self.running { self.start_services() } else { Ok(()) }
    }

    fn start_services(&mut self) -> Result<()> {
        for service in &self.services {
            let child = self.namespace.spawn(command(service)?);
            let name = service.argv.first().cloned().unwrap_or_default();
            let child = child.with_context(|| format!("cannot start {}", name.display()))?;
            self.children.push(reaped(child)?);
        }
        Ok(())
    }

    /// Kills the services immediately.
    pub(super) fn kill_services(&mut self) {
        for child in self.children.drain(..) {
            let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts or stops the instance; does nothing if it is already in that state.
    pub(super) fn set_running(&mut self, running: bool) -> Result<()> {
        if self.running == running {
            return Ok(());
        }
        if !running {
            self.stop();
            return Ok(());
        }
        let mut interfaces: Vec<Interface> = self.interfaces.values().cloned().collect();
        interfaces.sort_by_key(|interface| !interface.primary);
        self.namespace.run(move || boot_network(&interfaces)).context("cannot set up its network")?;
        self.namespace.power_on()?;
        self.running = true;
        self.start_services()
    }

    /// Kills every process in it.
    pub(super) fn stop(&mut self) {
        self.running = false;
        let machine = self.namespace.power_off();
        self.kill_services();
        drop(machine);
    }
}

fn boot_network(interfaces: &[Interface]) -> Result<()> {
    let own = interfaces.iter().map(|interface| (interface.index, (interface.name.clone(), interface.mac))).collect();
    factory::reset(&own)?;
    interfaces.iter().try_for_each(configure)
}

fn configure(interface: &Interface) -> Result<()> {
    let mut netlink = Netlink::route()?;
    let index = interfaces::index_of(&mut netlink, &interface.name)?;
    netlink.request(&interfaces::add_address(index, interface.address, interface.block.prefix_len()))?;
    netlink.request(&interfaces::set_flags(&interface.name, UP, UP))?;
    if interface.primary {
        let route = Route::to(interfaces::MAIN, Ipv4Net::default()).via(index, Some(gateway(interface.block)));
        netlink.request(&route.add())?;
    }
    Ok(())
}

/// The address of a vSwitch's gateway: the third-last address of its block.
pub(super) fn gateway(block: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(block.broadcast()).saturating_sub(2))
}

/// Reaps a child when it exits or is killed from inside, as an init would, so that `ps` shows no zombie.
fn reaped(child: Child) -> Result<Arc<Mutex<Child>>> {
    let pid = Pid::from_raw(child.id().cast_signed());
    let child = Arc::new(Mutex::new(child));
    let own = Arc::clone(&child);
    let reap = move || {
        // `WNOWAIT` leaves it a zombie until the lock is held, so that no one kills a pid that has been reused.
        while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
        let _ = own.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
    };
    thread::Builder::new().name(format!("reaps {pid}")).spawn(reap).context("cannot start a thread")?;
    Ok(child)
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
