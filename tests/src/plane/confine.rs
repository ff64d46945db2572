//! The surroundings of an agent that does not run directly on its instance: without a capability, or in a container's
//! network.
//!
//! A stage of this program sets up the surroundings and then becomes the agent. The container is like one of Docker or
//! of a cluster: its own network namespace behind a veth pair to the instance. The instance forwards its packets
//! unchanged to private addresses and with the instance's own source address to the cloud's services. This module does
//! not know agents.

use super::{
    METADATA,
    interfaces::{self, CableEnd, MAIN, Route, UP},
    netlink::Netlink,
    nft::{self, Comparison::Equal, Field, Hook, IP, Position, Rule, hook},
    process::SELF,
};
use anyhow::{Context, Result, bail};
use caps::{CapSet, Capability};
use ipnet::Ipv4Net;
use nix::sched::{CloneFlags, setns, unshare};
use std::{
    ffi::OsString,
    fs::{self, File},
    net::Ipv4Addr,
    os::{fd::AsRawFd, unix::process::CommandExt as _},
    process::{Command, ExitCode},
};

/// Name of the stage.
pub(super) const CONFINE: &str = "__guest-confine";
/// The instance's end of a container's veth pair.
const CABLE: &str = "veth-agent";
/// The container's end of the veth pair.
const INSIDE: &str = "eth0";
const TABLE: &str = "container";
/// Block of the cloud's services, which know the addresses of instances but not those of containers.
const SERVICES: &str = "100.64.0.0/10";

/// The restrictions under which a process runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Capabilities that the process does not get, as the kernel spells them: `cap_net_raw`.
    pub without: Vec<String>,
    /// The container's address with its block; `None` runs the process directly on the instance.
    pub container: Option<Ipv4Net>,
}

impl Confinement {
    /// The argument vector that starts a command under these restrictions.
    pub fn argv(&self, command: Vec<OsString>) -> Vec<OsString> {
        if *self == Self::default() {
            return command;
        }
        let container = self.container.map_or_else(String::new, |net| net.to_string());
        let stage = [SELF.into(), CONFINE.into(), self.without.join(",").into(), container.into()];
        stage.into_iter().chain(command).collect()
    }
}

/// The stage [`CONFINE`]. Its arguments are the capabilities to drop, the container's address, and the command.
pub(super) fn confine(words: &[OsString]) -> Result<ExitCode> {
    let [without, container, program, arguments @ ..] = words else { bail!("no command was given") };
    let text = |word: &OsString| word.to_str().map(str::to_owned).context("a word is not text");
    let container = text(container)?;
    if !container.is_empty() {
        enter_container(container.parse().context("a container's address")?)?;
    }
    for name in text(without)?.split(',').filter(|name| !name.is_empty()) {
        let capability: Capability =
            name.to_uppercase().parse().map_err(|_| anyhow::anyhow!("\"{name}\" is no capability"))?;
        caps::drop(None, CapSet::Bounding, capability).with_context(|| format!("cannot take {name} away"))?;
    }
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

fn enter_container(own: Ipv4Net) -> Result<()> {
    let gateway = own.hosts().find(|at| *at != own.addr()).context("a container's block has room for two")?;
    let instance = File::open("/proc/thread-self/ns/net").context("cannot open the instance's network")?;
    unshare(CloneFlags::CLONE_NEWNET).context("cannot make a container's network")?;
    let container = File::open("/proc/thread-self/ns/net").context("cannot open the container's network")?;
    setns(&instance, CloneFlags::CLONE_NEWNET).context("cannot go back to the instance")?;
    lay_cable(own, gateway, &container)?;
    setns(&container, CloneFlags::CLONE_NEWNET).context("cannot enter the container's network")?;
    let mut netlink = Netlink::route()?;
    for name in ["lo", INSIDE] {
        netlink.request(&interfaces::set_flags(name, UP, UP))?;
    }
    let index = interfaces::index_of(&mut netlink, INSIDE)?;
    netlink.request(&interfaces::add_address(index, own.addr(), own.prefix_len()))?;
    netlink.request(&Route::to(MAIN, Ipv4Net::default()).via(index, Some(gateway)).add())?;
    Ok(())
}

/// Sets up the instance's side: the near end of the veth pair, forwarding, and source NAT towards the cloud's services.
fn lay_cable(own: Ipv4Net, gateway: Ipv4Addr, container: &File) -> Result<()> {
    let mut netlink = Netlink::route()?;
    // Removes the veth pair of an earlier container.
    let _ = netlink.request(&interfaces::remove_link(CABLE));
    let near = CableEnd { name: CABLE, mac: None, namespace: None };
    let far = CableEnd { name: INSIDE, mac: None, namespace: Some(container.as_raw_fd()) };
    netlink.request(&interfaces::cable(&near, &far)).context("cannot lay a container's cable")?;
    let index = interfaces::index_of(&mut netlink, CABLE)?;
    netlink.request(&interfaces::add_address(index, gateway, own.prefix_len()))?;
    netlink.request(&interfaces::set_flags(CABLE, UP, UP))?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("cannot make the instance forward")?;
    let cards = interfaces::addresses(&mut netlink)?;
    let card = cards.iter().map(|(_, at, _)| *at).find(|at| !at.is_loopback() && *at != gateway && *at != METADATA);
    let place = Hook { kind: "nat", number: hook::POSTROUTING, device: None, priority: 100, accept: Some(true) };
    let services = Rule::new().within(Field::SOURCE, Equal, own.trunc()).within(
        Field::DESTINATION,
        Equal,
        SERVICES.parse().context("the services' block")?,
    );
    let masked = services.source_nat(card.context("the instance has no address")?);
    let messages = [
        nft::table(IP, TABLE),
        nft::remove_table(IP, TABLE),
        nft::table(IP, TABLE),
        nft::chain(IP, TABLE, "out", Some(place)),
        nft::rule(IP, TABLE, "out", Position::Last, &masked, None),
    ];
    let mut filter = Netlink::netfilter()?;
    filter.transaction(&messages).map_err(|(_, error)| error).context("cannot mask a container towards services")
}
