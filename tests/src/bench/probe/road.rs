//! The network paths that are measured: a host with the prober, a host with the targets, and between them a cable, a
//! router, or the lab's fabric.
//!
//! Everything here is done by the kernel: the far host owns whole blocks (`local` routes), so ten thousand targets cost
//! no more than one. Only the fabric is a userspace thread, for delay, duplicates and reordering, for which the kernel
//! offers no tool here. This module measures nothing.

use crate::{
    desired::Shape,
    plane::{
        Fabric, Namespace, Port,
        interfaces::{self, CableEnd, NO_ARP, Route, UP},
        netlink::Netlink,
        nft::{self, Hook, IP, Position, Rule, hook},
    },
};
use anyhow::{Context, Result, anyhow};
use ipnet::Ipv4Net;
use pingtong_evidence::Direction;
use std::{fs, net::Ipv4Addr};

/// Address of the prober.
pub(super) const HERE: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
/// The far end of the cable.
const THERE: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 2);
/// Targets at the end of the cable.
pub(super) const NEAR: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 16);
/// Targets behind the router.
pub(super) const ROUTED: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(172, 17, 0, 0), 16);
/// Targets behind the fabric.
pub(super) const SHAPED: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(172, 18, 0, 0), 16);
pub(super) const SHAPED_NAME: &str = "shaped";
/// The nftables table with the counters and the random drops.
const TABLE: &str = "bench";
/// The kernel's routing table for routes to the host's own addresses.
const LOCAL_TABLE: u32 = 255;

/// The namespaces and the fabric between them.
#[derive(Debug)]
pub(super) struct Road {
    /// Namespace in which probers run.
    pub here: Namespace,
    /// Namespace that owns the targets.
    pub there: Namespace,
    router: Namespace,
    fabric: Fabric,
}

impl Road {
    /// Sets up all three network paths.
    pub(super) fn lay() -> Result<Self> {
        let [here, router, there] = ["bench-here", "bench-router", "bench-there"].map(Namespace::create);
        let (here, router, there) = (here?, router?, there?);
        for namespace in [&here, &router, &there] {
            prepare(namespace)?;
        }
        connect((&here, "near"), (&there, "near"))?;
        connect((&here, "routed"), (&router, "here"))?;
        connect((&router, "there"), (&there, "routed"))?;
        let ends = [&here, &there].map(|end| Port { namespace: end.fd(), interface: SHAPED_NAME.to_owned() });
        let fabric = Fabric::plug("bench", ends, 1)?;
        for end in [&here, &there] {
            end.run(|| -> Result<()> {
                interfaces::without_offload(SHAPED_NAME)?;
                Ok(Netlink::route()?.request(&interfaces::set_flags(SHAPED_NAME, UP | NO_ARP, UP | NO_ARP))?)
            })?;
        }
        address(&here, "near", HERE, 24)?;
        address(&there, "near", THERE, 24)?;
        let nearer = [Ipv4Addr::new(192, 168, 1, 1), Ipv4Addr::new(192, 168, 1, 2)];
        let beyond = [Ipv4Addr::new(192, 168, 2, 1), Ipv4Addr::new(192, 168, 2, 2)];
        address(&here, "routed", nearer[0], 24)?;
        address(&router, "here", nearer[1], 24)?;
        address(&router, "there", beyond[0], 24)?;
        address(&there, "routed", beyond[1], 24)?;
        let shaped = [Ipv4Addr::new(192, 168, 3, 1), Ipv4Addr::new(192, 168, 3, 2)];
        address(&here, SHAPED_NAME, shaped[0], 24)?;
        address(&there, SHAPED_NAME, shaped[1], 24)?;
        route(&here, NEAR, "near", THERE)?;
        route(&here, ROUTED, "routed", nearer[1])?;
        route(&here, SHAPED, SHAPED_NAME, shaped[1])?;
        route(&router, ROUTED, "there", beyond[1])?;
        route(&there, block(nearer[0]), "routed", beyond[0])?;
        for owned in [NEAR, ROUTED, SHAPED] {
            own(&there, owned)?;
        }
        router.set(vec![("ipv4/ip_forward".into(), "1")])?;
        // The engine without raw sockets needs this.
        here.set(vec![("ipv4/ping_group_range".into(), "0 0")])?;
        Ok(Self { here, there, router, fabric })
    }

    /// Makes the router drop `forward` and `back` of a million packets towards the targets and back. The kernel draws
    /// at random which, and counts what it drops.
    pub(super) fn lose(&self, forward: u32, back: u32) -> Result<()> {
        self.router.run(move || {
            let mut netlink = Netlink::netfilter()?;
            let at = Hook { kind: "filter", number: hook::FORWARD, device: None, priority: 0, accept: Some(true) };
            let rule = |out: &str, share| {
                let rule = Rule::new()
                    .interface(nft::Field::OUT, nft::Comparison::Equal, out)
                    .at_random(share)
                    .counter()
                    .drop();
                nft::rule(IP, TABLE, "forward", Position::Last, &rule, None)
            };
            let messages = [
                nft::table(IP, TABLE),
                nft::remove_table(IP, TABLE),
                nft::table(IP, TABLE),
                nft::chain(IP, TABLE, "forward", Some(at)),
                rule("there", forward),
                rule("here", back),
            ];
            netlink.transaction(&messages).map_err(|(at, error)| anyhow!("nftables refused message {at}: {error}"))
        })
    }

    /// Packets dropped towards the targets and back since [`Road::lose`].
    pub(super) fn lost(&self) -> Result<(u64, u64)> {
        let counts = self.router.run(|| nft::counted(&mut Netlink::netfilter()?, IP, TABLE))?;
        match counts[..] {
            [forward, back] => Ok((forward, back)),
            _ => Err(anyhow!("the kernel shows {} counters instead of two", counts.len())),
        }
    }

    /// Makes the targets' own firewall drop every ICMP packet on its input, or removes that rule.
    pub(super) fn guest_refuses(&self, refuses: bool) -> Result<()> {
        self.there.run(move || {
            let mut netlink = Netlink::netfilter()?;
            let at = Hook { kind: "filter", number: hook::INPUT, device: None, priority: 0, accept: Some(true) };
            let rule = Rule::new().is(nft::Field::PROTOCOL, &[1]).counter().drop();
            let mut messages = vec![nft::table(IP, TABLE), nft::remove_table(IP, TABLE)];
            if refuses {
                messages.extend([
                    nft::table(IP, TABLE),
                    nft::chain(IP, TABLE, "input", Some(at)),
                    nft::rule(IP, TABLE, "input", Position::Last, &rule, None),
                ]);
            }
            netlink.transaction(&messages).map_err(|(at, error)| anyhow!("nftables refused message {at}: {error}"))
        })
    }

    /// Sets what the fabric does to packets of both directions from now on.
    pub(super) fn shape(&self, shape: Shape) {
        for direction in Direction::BOTH {
            self.fabric.set_shape(direction, shape);
        }
    }
}

/// Echo replies that the namespace's kernel received, by its ICMP counters in `/proc/net/snmp`.
pub(super) fn replies_in(namespace: &Namespace) -> Result<u64> {
    counter(namespace, "Icmp:", "InEchoReps")
}

/// Echo requests that the namespace's kernel received.
pub(super) fn requests_in(namespace: &Namespace) -> Result<u64> {
    counter(namespace, "Icmp:", "InEchos")
}

/// Echo requests that the namespace's kernel sent.
pub(super) fn requests_out(namespace: &Namespace) -> Result<u64> {
    counter(namespace, "Icmp:", "OutEchos")
}

fn counter(namespace: &Namespace, group: &'static str, name: &'static str) -> Result<u64> {
    let text = namespace.run(|| fs::read_to_string("/proc/thread-self/net/snmp"))?;
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .find_map(|(found, value)| (found == name).then(|| value.parse().ok())?)
        .with_context(|| format!("the kernel shows no counter {name}"))
}

fn prepare(namespace: &Namespace) -> Result<()> {
    namespace.run(|| -> Result<()> {
        let mut netlink = Netlink::route()?;
        netlink.request(&interfaces::set_flags("lo", UP, UP))?;
        Ok(())
    })?;
    // Reverse-path filtering is not under test here.
    namespace.set(vec![("ipv4/conf/all/rp_filter".into(), "0"), ("ipv4/conf/default/rp_filter".into(), "0")])
}

fn connect((near, near_name): (&Namespace, &'static str), (far, far_name): (&Namespace, &'static str)) -> Result<()> {
    let far_fd = far.fd();
    near.run(move || -> Result<()> {
        let near_end = CableEnd { name: near_name, mac: None, namespace: None };
        let far_end = CableEnd { name: far_name, mac: None, namespace: Some(far_fd) };
        Netlink::route()?.request(&interfaces::cable(&near_end, &far_end)).context("cannot lay a cable")
    })
}

fn address(namespace: &Namespace, interface: &'static str, at: Ipv4Addr, prefix: u8) -> Result<()> {
    namespace.run(move || -> Result<()> {
        let mut netlink = Netlink::route()?;
        let index = interfaces::index_of(&mut netlink, interface)?;
        netlink.request(&interfaces::add_address(index, at, prefix))?;
        netlink.request(&interfaces::set_flags(interface, UP, UP))?;
        Ok(())
    })
}

fn route(namespace: &Namespace, to: Ipv4Net, interface: &'static str, gateway: Ipv4Addr) -> Result<()> {
    namespace.run(move || -> Result<()> {
        let mut netlink = Netlink::route()?;
        let index = interfaces::index_of(&mut netlink, interface)?;
        netlink.request(&Route::to(interfaces::MAIN, to).via(index, Some(gateway)).add())?;
        Ok(())
    })
}

fn own(namespace: &Namespace, block: Ipv4Net) -> Result<()> {
    namespace.run(move || -> Result<()> {
        let mut netlink = Netlink::route()?;
        let index = interfaces::index_of(&mut netlink, "lo")?;
        let route = Route { kind: interfaces::LOCAL, ..Route::to(LOCAL_TABLE, block) }.via(index, None);
        netlink.request(&route.add())?;
        Ok(())
    })
}

fn block(of: Ipv4Addr) -> Ipv4Net {
    // The prefix length is 24, so this cannot fail.
    Ipv4Net::new(of, 24).unwrap_or_default().trunc()
}
