//! Compares the index with the explaining walk, and with a naive walk that shares nothing with either.

use super::*;
use crate::{
    finding::Stops,
    model::Model,
    walk::{self, flows},
};
use pingtong_evidence::*;
use pingtong_worlds::{estate::Shape, random::Random};
use std::net::IpAddr;

mod joined;
mod naive;
mod refresh;
mod scoped;
mod sets;

pub(super) const SEEDS: u64 = 100;

pub(super) fn small(seed: u64) -> (Vec<Snapshot>, Estate) {
    let snapshots = pingtong_worlds::estate::estate(Shape::SMALL, seed);
    let estate = Estate::new(snapshots.clone(), &[]);
    (snapshots, estate)
}

/// Services inside the ranges of the generator's rules, at their ends, and beside them.
pub(super) const SERVICES: [(Protocol, Option<u16>); 7] = [
    (Protocol::Icmp, None),
    (Protocol::Tcp, Some(22)),
    (Protocol::Tcp, Some(181)),
    (Protocol::Tcp, Some(49_100)),
    (Protocol::Udp, Some(81)),
    (Protocol::Udp, Some(443)),
    (Protocol::Udp, Some(0)),
];

fn pair(link: &Link, ends: [IpAddr; 2], (protocol, port): (Protocol, Option<u16>), opened_by: Side) -> Pair {
    let endpoint = |address| Endpoint { address, instance: None, agent: None };
    Pair {
        id: "pair".parse().unwrap(),
        link: link.clone(),
        initiator: endpoint(ends[0]),
        acceptor: endpoint(ends[1]),
        protocol,
        port,
        opened_by,
    }
}

/// Delivered, stopped or unknown, whatever the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Delivered,
    Stopped,
    Unknown,
}

pub(super) fn kind(outcome: Outcome) -> Kind {
    match outcome {
        Outcome::Delivered => Kind::Delivered,
        Outcome::Stopped { .. } => Kind::Stopped,
        Outcome::Unknown { .. } => Kind::Unknown,
    }
}

fn explained(snapshots: &[Snapshot], pair: &Pair, flow: Direction) -> [Kind; 2] {
    let walk = walk::walk(&Model::new(&pair.link, snapshots), pair, &[]);
    let told = |stops: &dyn Fn(Stops) -> bool, way: Direction| {
        if walk.findings.iter().any(|found| stops(found.stops) || found.stops == Stops::Some(way)) {
            Kind::Stopped
        } else if walk.blinds.iter().any(|blind| blind.stops.iter().any(|s| stops(*s))) {
            Kind::Unknown
        } else {
            Kind::Delivered
        }
    };
    [told(&|s| s.request(flow), flow), told(&|s| s.reply(flow), flow.reverse())]
}

#[test]
fn the_index_says_what_the_explaining_walk_says() {
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for seed in 0..SEEDS {
        let (snapshots, estate) = small(seed);
        let mut random = Random::new(seed);
        let hosts: Vec<HostRef> = estate.hosts().collect();
        for joint in &estate.joints {
            let link = &joint.link;
            let of = |side: Side| {
                let end = link.side(side);
                let here = |host: &&HostRef| {
                    let network = &estate.networks[estate.profile(estate.host(**host).unwrap()).unwrap().vpc as usize];
                    let snapshot = estate.places[network.place as usize].snapshot();
                    network.id == end.vpc && snapshot.account == end.account && snapshot.region == end.region
                };
                hosts.iter().filter(here).copied().collect::<Vec<_>>()
            };
            let ends = Side::BOTH.map(of);
            for opened_by in Side::BOTH {
                for service in SERVICES {
                    let [Some(a), Some(b)] = [&ends[0], &ends[1]].map(|all| random.pick(all).copied()) else {
                        continue;
                    };
                    let vpcs = [a, b].map(|host| estate.profile(estate.host(host).unwrap()).unwrap().vpc);
                    if estate.links_between(vpcs[0], vpcs[1]).len() > 1 {
                        continue;
                    }
                    let (source, destination) = if opened_by == Side::Initiator { (a, b) } else { (b, a) };
                    let pair = pair(link, [a, b].map(|host| estate.address(host).unwrap()), service, opened_by);
                    let flow = opened_by.sends();
                    assert!(flows(&pair).contains(&flow));
                    let asked = Flow { source, destination, protocol: service.0, port: service.1 };
                    let fast = estate.walk(&asked).unwrap();
                    let kinds = [kind(fast.request), kind(fast.reply)];
                    let told = explained(&snapshots, &pair, flow);
                    assert_eq!(kinds, told, "seed {seed}: {pair:?}: {fast:?}");
                    *seen.entry(format!("{told:?}")).or_default() += 1;
                    let naive = naive::walk(&snapshots, link, &pair, opened_by);
                    assert_eq!(kinds, naive, "seed {seed}, naive: {pair:?}: {fast:?}");
                }
            }
        }
    }
    // Every combination must have been met often, or the test says little.
    for combination in [
        "[Delivered, Delivered]",
        "[Stopped, Stopped]",
        "[Delivered, Stopped]",
        "[Stopped, Delivered]",
        "[Unknown, Unknown]",
        "[Stopped, Unknown]",
    ] {
        assert!(seen.get(combination).is_some_and(|count| *count >= 10), "{combination}: {seen:?}");
    }
}

#[test]
fn hosts_bear_the_interface_and_the_instance_that_the_snapshots_show() {
    let (snapshots, estate) = small(1);
    let enis: Vec<&Eni> = snapshots.iter().filter_map(|s| s.enis.known()).flatten().collect();
    let mut shown = 0;
    for host in estate.hosts() {
        let (address, vpc) = (estate.address(host).unwrap(), estate.vpc(host).unwrap());
        let own = enis.iter().find(|eni| eni.addresses.contains(&address) && eni.vpc.as_ref() == Some(vpc));
        if let Some(eni) = own {
            shown += 1;
            assert_eq!(estate.interface(host), Some(&eni.id));
            assert_eq!(estate.instance(host), eni.instance.as_ref());
        }
    }
    assert!(shown > 0, "the generator shows interfaces");
}
