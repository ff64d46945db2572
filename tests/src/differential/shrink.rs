//! Finds the smallest network that still disagrees: removes everything that is not needed.
//!
//! First it removes all but two hosts at once, then greedily one element at a time: faults, connections, VPCs, hosts,
//! vSwitches, then filters and route tables. It stops when no single element can be removed any more or the number of
//! tries is used up.

use super::fault::Fault;
use crate::topology::{Rule, Topology, Vpc};
use std::collections::BTreeSet;

/// Maximum number of tries per reduction; each builds and probes a network.
pub const TRIES_MAX: usize = 400;

/// A network with its faults.
#[derive(Debug, Clone)]
pub struct Case {
    /// The network before its faults.
    pub topology: Topology,
    /// The faults that are made in it.
    pub faults: Vec<Fault>,
}

/// Removes what `still_disagrees` does not need. `hosts` are the ends of a flow that disagrees, by full name.
pub async fn smallest<F: Future<Output = bool>>(
    mut case: Case,
    hosts: [&str; 2],
    mut still_disagrees: impl FnMut(Case) -> F,
) -> Case {
    let alone = Case { topology: around(&case.topology, hosts), faults: case.faults.clone() };
    if still_disagrees(alone.clone()).await {
        case = alone;
    }
    let mut tries = 0;
    loop {
        let (mut at, mut smaller) = (0, false);
        loop {
            let candidates = lesser(&case);
            let Some(candidate) = candidates.into_iter().nth(at) else { break };
            tries += 1;
            if tries > TRIES_MAX {
                return case;
            }
            if still_disagrees(candidate.clone()).await {
                (case, smaller) = (candidate, true);
            } else {
                at += 1;
            }
        }
        if !smaller {
            return case;
        }
    }
}

/// Every variant of the case with one element removed.
fn lesser(case: &Case) -> Vec<Case> {
    let mut found = vec![];
    for at in 0..case.faults.len() {
        let mut less = case.clone();
        less.faults.remove(at);
        found.push(less);
    }
    let mut network = |change: &dyn Fn(&mut Topology)| {
        let mut less = case.clone();
        change(&mut less.topology);
        found.push(less);
    };
    let topology = &case.topology;
    if topology.peerings.len() > 1 {
        for at in 0..topology.peerings.len() {
            network(&|t| without_peering(t, at));
        }
    }
    for (v, vpc) in topology.vpcs.iter().enumerate() {
        for at in 0..vpc.instances.len() {
            network(&|t| drop(t.vpcs[v].instances.remove(at)));
        }
        let used = |at: usize| vpc.instances.iter().any(|i| i.vswitch.get_ref() == vpc.vswitches[at].name.get_ref());
        for at in (0..vpc.vswitches.len()).filter(|at| !used(*at)) {
            network(&|t| drop(t.vpcs[v].vswitches.remove(at)));
        }
        for at in 0..vpc.vswitches.len() {
            if vpc.vswitches[at].route_table.is_some() {
                network(&|t| t.vpcs[v].vswitches[at].route_table = None);
            }
            if vpc.vswitches[at].network_acl.is_some() {
                network(&|t| t.vpcs[v].vswitches[at].network_acl = None);
            }
        }
        for at in 0..vpc.route_tables.len() {
            network(&|t| drop(t.vpcs[v].route_tables.remove(at)));
        }
        for at in 0..vpc.network_acls.len() {
            network(&|t| drop(t.vpcs[v].network_acls.remove(at)));
        }
        for at in 0..vpc.secondary_cidrs.len() {
            network(&|t| drop(t.vpcs[v].secondary_cidrs.remove(at)));
        }
        lesser_filters(vpc, v, &mut network);
    }
    found
}

fn lesser_filters(vpc: &Vpc, v: usize, network: &mut impl FnMut(&dyn Fn(&mut Topology))) {
    for (i, instance) in vpc.instances.iter().enumerate() {
        for at in 0..instance.security_groups.len() {
            if instance.security_groups.len() > 1 {
                network(&|t| drop(t.vpcs[v].instances[i].security_groups.remove(at)));
            }
        }
    }
    for (g, group) in vpc.security_groups.iter().enumerate() {
        network(&|t| drop(t.vpcs[v].security_groups.remove(g)));
        for at in 0..group.ingress.len() {
            network(&|t| drop(t.vpcs[v].security_groups[g].ingress.remove(at)));
        }
        for at in 0..group.egress.len() {
            network(&|t| drop(t.vpcs[v].security_groups[g].egress.remove(at)));
        }
    }
    for at in 0..vpc.prefix_lists.len() {
        network(&|t| drop(t.vpcs[v].prefix_lists.remove(at)));
    }
    for (a, acl) in vpc.network_acls.iter().enumerate() {
        let count = |entries: &Option<Vec<Rule>>| entries.as_ref().map_or(0, Vec::len);
        for at in 0..count(&acl.ingress) {
            network(&|t| drop(t.vpcs[v].network_acls[a].ingress.as_mut().map(|entries| entries.remove(at))));
        }
        for at in 0..count(&acl.egress) {
            network(&|t| drop(t.vpcs[v].network_acls[a].egress.as_mut().map(|entries| entries.remove(at))));
        }
    }
}

/// Reduces a topology to these hosts, the objects that they use, and all VPCs with their connections.
fn around(topology: &Topology, hosts: [&str; 2]) -> Topology {
    let mut less = topology.clone();
    for vpc in &mut less.vpcs {
        let account = vpc.account().to_owned();
        vpc.instances.retain(|i| hosts.contains(&format!("{account}.{}", i.name.get_ref()).as_str()));
        let (instances, lists) = (&vpc.instances, &vpc.prefix_lists);
        vpc.vswitches.retain(|v| instances.iter().any(|i| i.vswitch.get_ref() == v.name.get_ref()));
        vpc.security_groups.retain(|g| instances.iter().any(|i| i.security_groups.contains(&g.name)));
        vpc.network_acls.retain(|acl| vpc.vswitches.iter().any(|v| v.network_acl.as_ref() == Some(&acl.name)));
        vpc.route_tables.retain(|table| vpc.vswitches.iter().any(|v| v.route_table.as_ref() == Some(&table.name)));
        let named: BTreeSet<&str> = vpc
            .security_groups
            .iter()
            .flat_map(|g| g.ingress.iter().chain(&g.egress))
            .flat_map(|rule| [&rule.source, &rule.destination])
            .filter_map(|far| far.as_ref().map(|far| far.get_ref().as_str()))
            .collect();
        let unused: BTreeSet<String> = lists.iter().map(|l| l.name.get_ref().clone()).collect();
        let unused: BTreeSet<String> = unused.into_iter().filter(|list| !named.contains(list.as_str())).collect();
        vpc.prefix_lists.retain(|list| !unused.contains(list.name.get_ref()));
    }
    less
}

/// Removes a connection, and the VPCs that no other connection joins.
fn without_peering(topology: &mut Topology, at: usize) {
    topology.peerings.remove(at);
    let joined: BTreeSet<String> = topology
        .peerings
        .iter()
        .flat_map(|peering| [peering.initiator.get_ref().clone(), peering.acceptor.get_ref().clone()])
        .collect();
    topology.vpcs.retain(|vpc| joined.contains(vpc.name.get_ref()));
    topology.expects.retain(|expect| joined.contains(expect.from.get_ref()) && joined.contains(expect.to.get_ref()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::{draw, fault};
    use pingtong_worlds::random::Random;

    fn drawn(seed: u64) -> Case {
        let mut random = Random::new(seed);
        let topology = draw::topology(&mut random);
        let faults = fault::faults(&mut random, &topology);
        Case { topology, faults }
    }

    #[tokio::test]
    async fn what_is_left_is_what_is_needed() {
        for seed in 0..20 {
            // Needs any host; everything else can be removed.
            let small = smallest(drawn(seed), ["A.ecs11", "B.ecs21"], |case| async move {
                case.topology.vpcs.iter().any(|v| !v.instances.is_empty())
            })
            .await;
            assert!(small.faults.is_empty(), "seed {seed}");
            assert_eq!(small.topology.peerings.len(), 1, "seed {seed}");
            assert_eq!(small.topology.instances().count(), 1, "seed {seed}");
            assert!(small.topology.vpcs.iter().all(|v| v.security_groups.is_empty() && v.network_acls.is_empty()));
        }
    }

    #[tokio::test]
    async fn what_needs_everything_stays() {
        let case = drawn(3);
        let count = (case.faults.len(), case.topology.instances().count());
        let same = smallest(case, ["A.ecs11", "B.ecs21"], |_| async { false }).await;
        assert_eq!((same.faults.len(), same.topology.instances().count()), count);
    }
}
