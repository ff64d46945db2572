//! The lab's data plane: implements [`Desired`] in network namespaces, without any external program.
//!
//! There is one namespace for each VPC's router, each transit router, each instance, and the cloud services, and one
//! thread for each link between routers. The plane does not know accounts or APIs. It cannot diverge from the cloud: it
//! receives the complete state each time and computes the difference. The behaviour that was measured for it is in
//! `SEMANTICS.md` §9; packets, connection tracking, routes and ICMP are the kernel's own.

mod confine;
mod fabric;
mod factory;
mod filter;
mod instance;
pub mod interfaces;
mod machine;
mod namespace;
pub mod netlink;
pub mod nft;
mod process;
mod router;
pub mod sandbox;
mod shape;
mod transit;

pub use confine::Confinement;
pub use fabric::{Fabric, Port};
pub use instance::ServiceSpec;
pub use namespace::Namespace;
pub use shape::{LinkCounters, checksum};

use crate::desired::{BothWays, Carried, Desired, EniPlane, InstancePlane, LinkPlane, Shape};
use anyhow::{Context, Result, anyhow, bail};
use instance::{Instance, Interface};
use ipnet::Ipv4Net;
use netlink::Netlink;
use pingtong_evidence::Direction;
use router::Router;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    net::Ipv4Addr,
    os::fd::RawFd,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use transit::Transit;

/// Directory of the stand-ins for guest commands.
pub const GUEST_TOOLS: &str = "/run/guest-tools";
/// Names under which this binary is a guest command.
pub const GUEST_COMMANDS: [&str; 5] = ["ip", "nft", "ping", "pkill", "sysctl"];
/// Prefix length of the service network's block and the addresses of its hosts: the OpenAPI endpoint and the collector.
const SERVICE_PREFIX: u8 = 16;
const SERVICE_ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 0, 2), Ipv4Addr::new(100, 100, 0, 10)];
/// Address of the metadata service in every instance.
const METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// The `PATH` of processes in guests: the machine's own commands first, the stand-ins for missing ones last.
pub fn guest_path() -> OsString {
    OsString::from(format!("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{GUEST_TOOLS}"))
}

/// Options of a plane.
#[derive(Debug, Clone, Copy)]
pub struct PlaneOptions {
    /// Seed of all random decisions in links.
    pub seed: u64,
}

/// A place that has its own namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An instance, by name.
    Instance(String),
    /// The service network.
    Service,
}

/// The data plane. Its methods block for milliseconds; they need no asynchronous context and may be called inside one.
#[derive(Debug)]
pub struct Plane {
    service: Namespace,
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    routers: BTreeMap<String, Router>,
    transits: BTreeMap<String, Transit>,
    instances: BTreeMap<String, Instance>,
    /// Interfaces that are attached, by id.
    enis: BTreeMap<String, Plugged>,
    links: BTreeMap<String, (LinkPlane, Fabric)>,
    shapes: BTreeMap<(String, u8), Shape>,
    names: u32,
    routers_made: u32,
    applied: Option<Arc<Desired>>,
}

impl State {
    /// The namespace of a router at which a link may end, as an open file descriptor.
    fn end(&self, id: &str) -> Option<RawFd> {
        let vpc = self.routers.get(id).map(Router::namespace);
        vpc.or_else(|| self.transits.get(id).map(Transit::namespace)).map(Namespace::fd)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Plugged {
    instance: String,
    vpc: String,
    vswitch: String,
    mac: [u8; 6],
}

impl Plane {
    /// Builds the service network and the directory of guest commands. Works inside the sandbox only.
    pub fn boot(options: PlaneOptions) -> Result<Self> {
        place_guest_tools()?;
        let service = Namespace::create("service")?;
        router::without_ipv6(&service);
        service.set(vec![
            ("ipv4/conf/all/rp_filter".to_owned(), "0"),
            ("ipv4/conf/default/rp_filter".to_owned(), "0"),
            ("ipv4/ip_forward".to_owned(), "0"),
        ])?;
        service.run(|| -> Result<()> {
            let mut netlink = Netlink::route()?;
            netlink.request(&interfaces::set_flags("lo", interfaces::UP, interfaces::UP))?;
            for address in SERVICE_ADDRESSES {
                let added = netlink.request(&interfaces::add_address(1, address, SERVICE_PREFIX));
                added.context("cannot give the service network its addresses")?;
            }
            Ok(())
        })?;
        Ok(Self { service, seed: options.seed, state: Mutex::default() })
    }

    /// Changes the data plane to the desired state. Parts that do not change are not touched.
    pub fn apply(&self, desired: Arc<Desired>) -> Result<()> {
        let mut state = self.state();
        if state.applied.as_deref() == Some(&*desired) {
            return Ok(());
        }
        state.applied = None;
        unplug(&mut state, &desired);
        self.plug_routers(&mut state, &desired)?;
        plug_transits(&mut state, &desired)?;
        plug_instances(&mut state, &desired)?;
        self.plug_links(&mut state, &desired)?;
        for (id, vpc) in &desired.vpcs {
            let router = state.routers.get_mut(id).context("a router is missing")?;
            router.apply(id, vpc, &desired).with_context(|| format!("cannot apply {id}"))?;
        }
        for (id, wanted) in &desired.transits {
            let transit = state.transits.get_mut(id).context("a transit router is missing")?;
            transit.apply(wanted).with_context(|| format!("cannot apply {id}"))?;
        }
        for (name, wanted) in &desired.instances {
            if let Some(instance) = state.instances.get_mut(name) {
                instance.set_running(wanted.running).with_context(|| format!("cannot start {name}"))?;
            }
        }
        state.applied = Some(desired);
        Ok(())
    }

    fn plug_routers(&self, state: &mut State, desired: &Desired) -> Result<()> {
        for id in desired.vpcs.keys() {
            if state.routers.contains_key(id) {
                continue;
            }
            state.routers_made += 1;
            let [_, _, high, low] = state.routers_made.to_be_bytes();
            let (address, port) = (Ipv4Addr::new(100, 127, high, low), format!("r{}", state.routers_made));
            let name = if id.starts_with("vpc-") { id.clone() } else { format!("vpc-{id}") };
            let router = Router::create(&name, &self.service, &port, address)
                .with_context(|| format!("cannot make the router of {id}"))?;
            self.service.run(move || -> Result<()> {
                let mut netlink = Netlink::route()?;
                let flags = interfaces::UP | interfaces::NO_ARP;
                netlink.request(&interfaces::set_flags(&port, flags, flags))?;
                let index = interfaces::index_of(&mut netlink, &port)?;
                let route = interfaces::Route::to(interfaces::MAIN, Ipv4Net::from(address)).via(index, None);
                Ok(netlink.request(&route.add())?)
            })?;
            state.routers.insert(id.clone(), router);
        }
        Ok(())
    }

    fn plug_links(&self, state: &mut State, desired: &Desired) -> Result<()> {
        for (id, link) in &desired.links {
            let ends = [&link.initiator, &link.acceptor];
            let Some(namespaces) = ends.into_iter().map(|end| state.end(end)).collect::<Option<Vec<_>>>() else {
                continue;
            };
            if !state.links.contains_key(id) {
                let mut ports = Vec::new();
                for namespace in namespaces {
                    state.names += 1;
                    ports.push(Port { namespace, interface: format!("l{}", state.names) });
                }
                let ports = <[Port; 2]>::try_from(ports).map_err(|_| anyhow!("a link has two ends"))?;
                let fabric = Fabric::plug(id, ports.clone(), seed_of(self.seed, id))?;
                for (end, port) in ends.into_iter().zip(ports) {
                    if let Some(router) = state.routers.get_mut(end) {
                        router.plug_link(id, port.interface)?;
                    } else if let Some(transit) = state.transits.get_mut(end) {
                        transit.plug_link(id, port.interface)?;
                    }
                }
                for direction in Direction::BOTH {
                    if let Some(shape) = state.shapes.get(&(id.clone(), direction as u8)) {
                        fabric.set_shape(direction, *shape);
                    }
                }
                state.links.insert(id.clone(), (link.clone(), fabric));
            }
            if let Some((plugged, fabric)) = state.links.get_mut(id) {
                fabric.set_grant(link.carries, link.rate_mbit);
                plugged.clone_from(link);
            }
        }
        Ok(())
    }

    /// Sets what the fabric does to one direction of a link, now or as soon as the link exists.
    pub fn set_shape(&self, link: &str, direction: Direction, shape: Shape) {
        let mut state = self.state();
        state.shapes.insert((link.to_owned(), direction as u8), shape);
        if let Some((_, fabric)) = state.links.get(link) {
            fabric.set_shape(direction, shape);
        }
    }

    /// Returns what the fabric does to one direction of a link.
    pub fn shape(&self, link: &str, direction: Direction) -> Shape {
        self.state().shapes.get(&(link.to_owned(), direction as u8)).copied().unwrap_or_default()
    }

    /// Counters of one direction of a link since the link was attached.
    pub fn counters(&self, link: &str, direction: Direction) -> LinkCounters {
        self.state().links.get(link).map(|(_, fabric)| fabric.counters(direction)).unwrap_or_default()
    }

    /// What each link has carried since it was attached, by the link's id.
    pub fn carried(&self) -> BTreeMap<String, BothWays> {
        let one = |fabric: &Fabric, direction| {
            let LinkCounters { bytes_in, bytes_out, over_grant, .. } = fabric.counters(direction);
            Carried { bytes_in, bytes_out, over_grant }
        };
        let state = self.state();
        let links = state.links.iter();
        links.map(|(id, (_, fabric))| (id.clone(), Direction::BOTH.map(|direction| one(fabric, direction)))).collect()
    }

    /// The namespace of a place; an instance keeps its namespace over stop and start.
    pub fn namespace(&self, place: &Place) -> Option<Namespace> {
        match place {
            Place::Service => Some(self.service.clone()),
            Place::Instance(name) => self.state().instances.get(name).map(|instance| instance.namespace.clone()),
        }
    }

    /// The pid of a running instance's init, as seen from outside the sandbox.
    pub fn outside_pid(&self, instance: &str) -> Option<i32> {
        let running = self.state().instances.get(instance)?.running;
        running.then(|| machine::outside_pid(instance)).flatten()
    }

    /// Sets the processes that run whenever the instance runs; starts them now if it runs.
    pub fn set_services(&self, instance: &str, services: Vec<ServiceSpec>) -> Result<()> {
        let mut state = self.state();
        let found = state.instances.get_mut(instance).with_context(|| format!("no instance {instance:?}"))?;
        found.set_services(services)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes everything that is no longer desired.
fn unplug(state: &mut State, desired: &Desired) {
    let wanted = plugs(desired);
    let gone: Vec<String> = state
        .enis
        .iter()
        .filter(|(id, at)| wanted.get(*id).map(|(p, ..)| p) != Some(at))
        .map(|(id, _)| id.clone())
        .collect();
    for id in gone {
        if let Some(plugged) = state.enis.remove(&id) {
            if let Some(router) = state.routers.get_mut(&plugged.vpc) {
                router.unplug_eni(&id);
            }
            if let Some(instance) = state.instances.get_mut(&plugged.instance) {
                instance.interfaces.remove(&id);
            }
        }
    }
    let State { instances, links, routers, transits, .. } = state;
    instances.retain(|name, instance| {
        let keep = desired.instances.contains_key(name);
        if !keep {
            instance.stop();
        }
        keep
    });
    let ends = |link: &LinkPlane| [link.initiator.clone(), link.acceptor.clone()];
    links.retain(|id, (plugged, _)| {
        let keep = desired.links.get(id).is_some_and(|link| ends(link) == ends(plugged))
            && ends(plugged).iter().all(|end| desired.vpcs.contains_key(end) || desired.transits.contains_key(end));
        if !keep {
            for end in ends(plugged) {
                if let Some(router) = routers.get_mut(&end) {
                    router.unplug_link(id);
                } else if let Some(transit) = transits.get_mut(&end) {
                    transit.unplug_link(id);
                }
            }
        }
        keep
    });
    routers.retain(|id, _| desired.vpcs.contains_key(id));
    transits.retain(|id, _| desired.transits.contains_key(id));
}

/// The interfaces to attach, by id: the place, the interface, and whether it is the primary one of its instance.
fn plugs(desired: &Desired) -> BTreeMap<String, (Plugged, &EniPlane, bool)> {
    let mut found = BTreeMap::new();
    for (name, InstancePlane { enis, .. }) in &desired.instances {
        for (at, eni) in enis.iter().enumerate() {
            let plugged =
                Plugged { instance: name.clone(), vpc: eni.vpc.clone(), vswitch: eni.vswitch.clone(), mac: eni.mac };
            found.insert(eni.id.clone(), (plugged, eni, at == 0));
        }
    }
    found
}

fn plug_instances(state: &mut State, desired: &Desired) -> Result<()> {
    for name in desired.instances.keys() {
        if !state.instances.contains_key(name) {
            let instance = Instance::create(name).with_context(|| format!("cannot make the instance {name}"))?;
            state.instances.insert(name.clone(), instance);
        }
    }
    // Primary interfaces first, so that they get the first names.
    let wanted = plugs(desired);
    let order: BTreeSet<(bool, &String)> = wanted.iter().map(|(id, (.., primary))| (!primary, id)).collect();
    for (secondary, id) in order {
        let Some((plugged, eni, _)) = wanted.get(id) else { continue };
        if state.enis.contains_key(id) {
            continue;
        }
        let State { routers, instances, names, enis, .. } = state;
        let (Some(router), Some(instance)) = (routers.get_mut(&eni.vpc), instances.get_mut(&plugged.instance)) else {
            continue;
        };
        let block =
            desired.vpcs.get(&eni.vpc).and_then(|vpc| vpc.vswitches.get(&eni.vswitch)).map(|vswitch| vswitch.cidr);
        let (Some(block), Some(address)) = (block, eni.addresses.first()) else { continue };
        *names += 1;
        let name = instance.free_name();
        router.plug_eni(eni, format!("v{names}"), &instance.namespace, &name)?;
        let context = format!("cannot configure {name} of {}", plugged.instance);
        let (mac, address, primary) = (eni.mac, *address, !secondary);
        instance.plug(id.clone(), Interface { index: 0, name, mac, address, block, primary }).context(context)?;
        enis.insert(
            id.clone(),
            Plugged {
                instance: plugged.instance.clone(),
                vpc: eni.vpc.clone(),
                vswitch: eni.vswitch.clone(),
                mac: eni.mac,
            },
        );
    }
    Ok(())
}

fn plug_transits(state: &mut State, desired: &Desired) -> Result<()> {
    for id in desired.transits.keys() {
        if !state.transits.contains_key(id) {
            let transit = Transit::create(id).with_context(|| format!("cannot make the transit router {id}"))?;
            state.transits.insert(id.clone(), transit);
        }
    }
    Ok(())
}

fn place_guest_tools() -> Result<()> {
    fs::create_dir_all(GUEST_TOOLS).context("cannot create the directory of guest commands")?;
    let own = std::env::current_exe().context("cannot find this program's own file")?;
    if !own.is_file() {
        bail!("{} was replaced while it ran, so that no guest finds its commands; start it again", own.display());
    }
    for tool in GUEST_COMMANDS {
        let path = Path::new(GUEST_TOOLS).join(tool);
        let _ = fs::remove_file(&path);
        std::os::unix::fs::symlink(&own, &path).with_context(|| format!("cannot place {}", path.display()))?;
    }
    Ok(())
}

/// A seed that differs between links and between labs, but not between runs: a hash of the name, not a draw.
fn seed_of(seed: u64, link: &str) -> u64 {
    link.bytes()
        .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
