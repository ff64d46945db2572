//! A VPC's router: a namespace whose routes, neighbours and filters are updated by the difference to the desired state.
//!
//! It owns no address. Proxy ARP answers for an interface's gateway and for every address of its vSwitch, because a
//! route to them leads out of another interface: that of the owner, or `sink`, a bridge without ports, which drops
//! everything. The interface on which a packet arrives selects the route table. From links and services only the VPC's
//! own addresses are reachable, so nothing is transitive. A packet that matches no route hits a blackhole rule: no drop
//! here is ever answered.

use super::{
    filter::{self, Guarded, SERVICE_PORT},
    interfaces::{self, CableEnd, NO_ARP, Route, Rule, UP},
    namespace::Namespace,
    netlink::{Message, Netlink},
};
use crate::desired::{Desired, EniPlane, HopPlane, VpcPlane};
use anyhow::{Context, Result};
use ipnet::Ipv4Net;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

const SINK: &str = "sink";
/// Table with the addresses of the VPC itself, for packets from links and services.
const OWN_TABLE: u32 = 1000;
/// Table with the range of cloud services.
const SERVICE_TABLE: u32 = 1001;
const FIRST_TABLE: u32 = 1100;
const SERVICE_PRIORITY: u32 = 10;
pub(super) const PORT_PRIORITY: u32 = 100;
const LAST_PRIORITY: u32 = 32_000;
/// The hardware address that every gateway has in the real cloud.
const GATEWAY_MAC: [u8; 6] = [0xee, 0xff, 0xff, 0xff, 0xff, 0xff];

/// The range of cloud services.
pub(super) fn service_range() -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10)
}

/// An interface of the router.
#[derive(Debug, Clone)]
pub(super) struct RouterPort {
    /// Name.
    pub name: String,
    /// Interface index.
    pub index: u32,
}

impl RouterPort {
    /// Takes over the end of a link that is already in the namespace under this name.
    pub(super) fn of_link(namespace: &Namespace, name: String) -> Result<Self> {
        let inner = name.clone();
        let index = namespace.run(move || -> Result<u32> {
            interfaces::without_offload(&inner).context("cannot turn off a link's offloads")?;
            let mut netlink = Netlink::route()?;
            netlink.request(&interfaces::set_flags(&inner, UP | NO_ARP, UP | NO_ARP))?;
            Ok(interfaces::index_of(&mut netlink, &inner)?)
        })?;
        Ok(Self { name, index })
    }
}

/// A VPC's router.
#[derive(Debug)]
pub(super) struct Router {
    namespace: Namespace,
    sink: u32,
    service: u32,
    /// Ports to instances, by interface id.
    enis: BTreeMap<String, RouterPort>,
    /// Ports to links, by link id.
    links: BTreeMap<String, RouterPort>,
    table_numbers: BTreeMap<String, u32>,
    applied: Applied,
}

/// The rules, routes, neighbours and filters that are in effect in a router's namespace.
#[derive(Debug, Default, Clone)]
pub(super) struct Applied {
    pub(super) rules: BTreeSet<Rule>,
    pub(super) routes: BTreeMap<(u32, Ipv4Net), Route>,
    neighbours: BTreeMap<(u32, Ipv4Addr), [u8; 6]>,
    filter: Vec<Message>,
}

impl Applied {
    /// Changes the namespace to the wanted state, by difference.
    pub(super) fn follow(&mut self, namespace: &Namespace, wanted: Self) -> Result<()> {
        let (old, new) = (self.clone(), wanted.clone());
        let outcome = namespace.run(move || change(&old, &new));
        if outcome.is_ok() {
            *self = wanted;
        }
        outcome
    }

    /// Removes an interface.
    pub(super) fn forget(&mut self, namespace: &Namespace, port: &RouterPort) {
        let name = port.name.clone();
        namespace.run(move || {
            Netlink::route().and_then(|mut netlink| netlink.request(&interfaces::remove_link(&name))).ok()
        });
        // The kernel removes the routes and neighbours of the interface.
        self.routes.retain(|_, route| route.hops.iter().all(|hop| hop.interface != port.index));
        self.neighbours.retain(|(index, _), _| *index != port.index);
    }
}

pub(super) fn default_parameters() -> Vec<(String, &'static str)> {
    [
        ("ipv4/ip_forward", "1"),
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/conf/all/send_redirects", "0"),
        ("ipv4/conf/default/send_redirects", "0"),
        ("ipv4/conf/all/accept_redirects", "0"),
        ("ipv4/conf/all/proxy_arp", "1"),
        ("ipv4/fib_multipath_hash_policy", "1"),
    ]
    .map(|(path, value)| (path.to_owned(), value))
    .to_vec()
}

impl Router {
    /// Creates a router with a cable to the service network, where it is seen under one address.
    pub(super) fn create(
        name: &str,
        service: &Namespace,
        service_port: &str,
        service_address: Ipv4Addr,
    ) -> Result<Self> {
        let namespace = Namespace::create(name)?;
        namespace.set(default_parameters())?;
        without_ipv6(&namespace);
        let far = service_port.to_owned();
        let service_file = service.fd();
        let octets = service_address.octets();
        let mac = [0x02, 0x70, 0x74, 1, octets[2], octets[3]];
        let (sink, service_index) = namespace.run(move || -> Result<(u32, u32)> {
            let mut netlink = Netlink::route()?;
            let near = CableEnd { name: SERVICE_PORT, mac: Some(mac), namespace: None };
            let far = CableEnd { name: &far, mac: Some(mac), namespace: Some(service_file) };
            netlink.request(&interfaces::cable(&near, &far)).context("cannot lay the cable to the service network")?;
            netlink.request(&interfaces::bridge(SINK)).context("cannot make the sink, a bridge")?;
            for name in ["lo", SINK, SERVICE_PORT] {
                let flags = if name == "lo" { UP } else { UP | NO_ARP };
                netlink.request(&interfaces::set_flags(name, flags, flags))?;
            }
            let indices =
                (interfaces::index_of(&mut netlink, SINK)?, interfaces::index_of(&mut netlink, SERVICE_PORT)?);
            netlink.request(&Route::to(SERVICE_TABLE, service_range()).via(indices.1, None).add())?;
            add_last_rule(&mut netlink)?;
            transact(&filter::base(service_address))?;
            Ok(indices)
        })?;
        // The parameter exists once connection tracking is loaded. The cloud keeps ICMP state for up to 910 s, Linux
        // for 30 s.
        namespace.set(vec![("netfilter/nf_conntrack_icmp_timeout".to_owned(), "910")])?;
        Ok(Self {
            namespace,
            sink,
            service: service_index,
            enis: BTreeMap::new(),
            links: BTreeMap::new(),
            table_numbers: BTreeMap::new(),
            applied: Applied::default(),
        })
    }

    /// The router's namespace.
    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Creates a cable to an instance; the far end is down and unconfigured.
    pub(super) fn plug_eni(
        &mut self,
        eni: &EniPlane,
        port: String,
        guest: &Namespace,
        guest_interface: &str,
    ) -> Result<()> {
        let (name, far, mac, file) = (port.clone(), guest_interface.to_owned(), eni.mac, guest.fd());
        let index = self.namespace.run(move || -> Result<u32> {
            let mut netlink = Netlink::route()?;
            let near = CableEnd { name: &name, mac: Some(GATEWAY_MAC), namespace: None };
            let far = CableEnd { name: &far, mac: Some(mac), namespace: Some(file) };
            netlink.request(&interfaces::cable(&near, &far)).context("cannot lay an instance's cable")?;
            netlink.request(&interfaces::set_flags(&name, UP, UP))?;
            let index = interfaces::index_of(&mut netlink, &name)?;
            // By default Linux delays an ARP reply on behalf of another host by up to 0.8 s.
            netlink.request(&interfaces::answer_at_once(index)).context("cannot make proxy ARP answer at once")?;
            Ok(index)
        })?;
        self.enis.insert(eni.id.clone(), RouterPort { name: port, index });
        Ok(())
    }

    /// Removes the cable to an interface of an instance.
    pub(super) fn unplug_eni(&mut self, id: &str) {
        if let Some(port) = self.enis.remove(id) {
            self.forget(&port);
        }
    }

    /// Takes over the end of a link that is already in the namespace under this name.
    pub(super) fn plug_link(&mut self, link: &str, name: String) -> Result<()> {
        self.links.insert(link.to_owned(), RouterPort::of_link(&self.namespace, name)?);
        Ok(())
    }

    /// Removes the end of a link.
    pub(super) fn unplug_link(&mut self, link: &str) {
        if let Some(port) = self.links.remove(link) {
            self.forget(&port);
        }
    }

    fn forget(&mut self, port: &RouterPort) {
        self.applied.forget(&self.namespace, port);
    }

    /// Changes routes, neighbours and filters to the desired state.
    pub(super) fn apply(&mut self, id: &str, vpc: &VpcPlane, desired: &Desired) -> Result<()> {
        let live: Vec<(&EniPlane, RouterPort)> = desired
            .instances
            .values()
            .filter(|instance| instance.running)
            .flat_map(|instance| &instance.enis)
            .filter(|eni| eni.vpc == id)
            .filter_map(|eni| Some((eni, self.enis.get(&eni.id)?.clone())))
            .collect();
        let wanted = Applied {
            rules: self.rules(vpc, &live),
            routes: self.routes(vpc, &live),
            neighbours: live
                .iter()
                .flat_map(|(eni, port)| eni.addresses.iter().map(|at| ((port.index, *at), eni.mac)))
                .collect(),
            filter: filters(vpc, &live, desired),
        };
        self.applied.follow(&self.namespace, wanted)
    }

    fn table_number(&mut self, id: &str) -> u32 {
        number_of(&mut self.table_numbers, id)
    }

    fn rules(&mut self, vpc: &VpcPlane, live: &[(&EniPlane, RouterPort)]) -> BTreeSet<Rule> {
        let mut rules = BTreeSet::new();
        let mut add = |priority, interface: &str, to, table| {
            rules.insert(Rule {
                priority,
                interface: Some(interface.to_owned()),
                from: None,
                to,
                mark: None,
                table: Some(table),
            });
        };
        for (eni, port) in live {
            let Some(vswitch) = vpc.vswitches.get(&eni.vswitch) else { continue };
            add(SERVICE_PRIORITY, &port.name, Some(service_range()), SERVICE_TABLE);
            add(PORT_PRIORITY, &port.name, None, self.table_number(&vswitch.table));
        }
        for name in self.links.values().map(|port| port.name.as_str()).chain([SERVICE_PORT]) {
            add(PORT_PRIORITY, name, None, OWN_TABLE);
        }
        rules
    }

    fn routes(&mut self, vpc: &VpcPlane, live: &[(&EniPlane, RouterPort)]) -> BTreeMap<(u32, Ipv4Net), Route> {
        let mut routes = BTreeMap::new();
        let mut add = |route: Route| {
            routes.entry((route.table, route.destination)).or_insert(route);
        };
        let own = |table: u32| {
            live.iter().flat_map(move |(eni, port)| {
                eni.addresses.iter().map(move |at| Route::to(table, Ipv4Net::from(*at)).via(port.index, None))
            })
        };
        own(OWN_TABLE).for_each(&mut add);
        for (id, entries) in &vpc.tables {
            let table = self.table_number(id);
            for entry in entries {
                add(self.route(table, entry.destination, &entry.hops, live));
            }
            for route in own(table) {
                let longest = entries
                    .iter()
                    .filter(|entry| entry.destination.contains(&route.destination.addr()))
                    .max_by_key(|entry| entry.destination.prefix_len());
                if longest.is_some_and(|entry| entry.hops.contains(&HopPlane::Local)) {
                    add(route);
                }
            }
        }
        routes
    }

    fn route(&self, table: u32, destination: Ipv4Net, hops: &[HopPlane], live: &[(&EniPlane, RouterPort)]) -> Route {
        let mut route = Route::to(table, destination);
        for hop in hops {
            match hop {
                HopPlane::Local => route = route.via(self.sink, None),
                HopPlane::Service => route = route.via(self.service, None),
                HopPlane::Link(link) => {
                    if let Some(port) = self.links.get(link) {
                        route = route.via(port.index, None);
                    }
                }
                HopPlane::Eni(id) => {
                    let owner = live.iter().find(|(eni, _)| eni.id == *id);
                    if let Some((port, gateway)) = owner.and_then(|(eni, port)| Some((port, *eni.addresses.first()?))) {
                        route.on_link = true;
                        route = route.via(port.index, Some(gateway));
                    }
                }
                HopPlane::Blackhole => {}
            }
        }
        if route.hops.is_empty() { Route::blackhole(table, destination) } else { route }
    }
}

/// The kernel's number of a route table, assigned when the table is first seen.
pub(super) fn number_of(numbers: &mut BTreeMap<String, u32>, id: &str) -> u32 {
    let next = numbers.values().max().map_or(FIRST_TABLE, |last| last + 1);
    *numbers.entry(id.to_owned()).or_insert(next)
}

/// Adds the rule that drops packets for which no table has a route.
pub(super) fn add_last_rule(netlink: &mut Netlink) -> Result<()> {
    let last = Rule { priority: LAST_PRIORITY, interface: None, from: None, to: None, mark: None, table: None };
    netlink.request(&last.add()).context("cannot add the last rule")?;
    Ok(())
}

fn filters(vpc: &VpcPlane, live: &[(&EniPlane, RouterPort)], desired: &Desired) -> Vec<Message> {
    let several = || desired.instances.values().map(|instance| &instance.enis).filter(|enis| enis.len() > 1);
    let siblings = |own: &EniPlane| {
        let beside = several().filter(|enis| enis.iter().any(|eni| eni.id == own.id)).flatten();
        beside.filter(|eni| eni.id != own.id && eni.vpc == own.vpc).flat_map(|eni| &eni.addresses).copied().collect()
    };
    let guarded: Vec<Guarded<'_>> = live
        .iter()
        .filter_map(|(eni, port)| {
            let vswitch = vpc.vswitches.get(&eni.vswitch)?;
            Some(Guarded {
                interface: &port.name,
                ingress: &eni.ingress,
                egress: &eni.egress,
                vswitch: (&eni.vswitch, vswitch.cidr, vswitch.acl.as_ref()),
                siblings: siblings(eni),
            })
        })
        .collect();
    filter::table(&guarded)
}

/// Applies the difference between two states. Filters come first, so that nothing is reachable unfiltered.
fn change(old: &Applied, new: &Applied) -> Result<()> {
    if old.filter != new.filter {
        transact(&new.filter)?;
    }
    let mut netlink = Netlink::route()?;
    for ((index, at), _) in old.neighbours.iter().filter(|(key, _)| !new.neighbours.contains_key(key)) {
        let _ = netlink.request(&interfaces::remove_neighbour(*index, *at));
    }
    for ((index, at), mac) in new.neighbours.iter().filter(|(key, mac)| old.neighbours.get(key) != Some(mac)) {
        netlink.request(&interfaces::add_neighbour(*index, *at, *mac)).context("cannot fix a neighbour's address")?;
    }
    for (_, route) in old.routes.iter().filter(|(key, _)| !new.routes.contains_key(key)) {
        let _ = netlink.request(&route.remove());
    }
    for (key, route) in &new.routes {
        if old.routes.get(key) != Some(route) {
            let change = netlink.request(&route.replace());
            change.with_context(|| format!("cannot set the route to {}", route.destination))?;
        }
    }
    for rule in old.rules.difference(&new.rules) {
        let _ = netlink.request(&rule.remove());
    }
    for rule in new.rules.difference(&old.rules) {
        match netlink.request(&rule.add()) {
            // The rule was left by a change that failed half way; such a rule is not in `old`.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            outcome => outcome.context("cannot add a routing rule")?,
        }
    }
    Ok(())
}

fn transact(messages: &[Message]) -> Result<()> {
    let mut netlink = Netlink::netfilter()?;
    netlink.transaction(messages).map_err(|(at, error)| {
        anyhow::Error::new(error).context(format!("the kernel refuses message {at} of {} of a filter", messages.len()))
    })
}

/// Disables IPv6, and with it neighbour discovery on the cables. If the kernel has no IPv6, there is nothing to do.
pub(super) fn without_ipv6(namespace: &Namespace) {
    let _ = namespace.set(vec![("ipv6/conf/default/disable_ipv6".to_owned(), "1")]);
}
