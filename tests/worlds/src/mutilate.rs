//! Evidence of which parts are missing: host facts, arrivals, rounds, lists of the configuration.
//!
//! Nothing in it is false. What is missing may be marked as unknown, as by an agent that could not look, or may simply
//! not be there, as after reports that were lost on their way.

use crate::{
    evidence::Evidence,
    lie::refuse,
    random::Random,
    world::{World, list_mut},
};
use pingtong_evidence::{AgentId, HostFacts, Known, SequenceSet, Side, WhyUnknown};

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// All facts about one host.
    Facts,
    /// One or more of the facts about one host.
    PartOfFacts,
    /// Everything that one observer saw arrive.
    Arrivals,
    /// What one observer saw of some rounds.
    SomeArrivals,
    /// One of the stages that one observer sees.
    Stage,
    /// All rounds of one sender.
    Rounds,
    /// Some rounds of one sender.
    SomeRounds,
    /// Which requests left one sender's network interface, or which replies it received.
    OnWire,
    /// The health reports.
    Health,
    /// Lists of one account.
    Lists,
    /// Parts of one account's lists: entries of tables, rules of groups.
    Nested,
    /// The whole configuration of one account.
    Snapshot,
}

const ALL: [Cut; 12] = [
    Cut::Facts,
    Cut::PartOfFacts,
    Cut::Arrivals,
    Cut::SomeArrivals,
    Cut::Stage,
    Cut::Rounds,
    Cut::SomeRounds,
    Cut::OnWire,
    Cut::Health,
    Cut::Lists,
    Cut::Nested,
    Cut::Snapshot,
];

/// Takes one to four parts away; returns what is left, and what was taken with its side.
pub fn mutilated(random: &mut Random, world: &World, mut evidence: Evidence) -> (Evidence, Vec<(Cut, Side)>) {
    let mut cuts = vec![];
    for _ in 0..=random.below(4) {
        let side = if random.percent(50) { Side::Initiator } else { Side::Acceptor };
        let Some(cut) = random.pick(&ALL).copied() else { continue };
        take(random, world, cut, side, &mut evidence);
        cuts.push((cut, side));
    }
    (evidence, cuts)
}

fn unread() -> WhyUnknown {
    WhyUnknown::Throttled { action: String::from("taken away") }
}

fn take(random: &mut Random, world: &World, cut: Cut, side: Side, evidence: &mut Evidence) {
    let agent = world.pair.endpoint(side).agent.clone();
    let is_own = |other: &AgentId| Some(other) == agent.as_ref();
    let account = &world.config(side).account;
    match cut {
        Cut::Facts => evidence.hosts.retain(|facts| !is_own(&facts.agent)),
        Cut::PartOfFacts => {
            for facts in evidence.hosts.iter_mut().filter(|facts| is_own(&facts.agent)) {
                for _ in 0..=random.below(3) {
                    take_fact(random, facts);
                }
            }
        }
        Cut::Arrivals => evidence.arrivals.retain(|part| !is_own(&part.observer)),
        Cut::SomeArrivals => evidence.arrivals.retain(|part| !is_own(&part.observer) || random.percent(50)),
        Cut::Stage => {
            let stage = random.below(3);
            for part in evidence.arrivals.iter_mut().filter(|part| is_own(&part.observer)) {
                let set = match stage {
                    0 => &mut part.on_wire,
                    1 => &mut part.accepted,
                    _ => &mut part.replied,
                };
                *set = Known::Unknown(unread());
            }
        }
        Cut::Rounds => evidence.probes.retain(|round| !is_own(&round.key.agent)),
        Cut::SomeRounds => evidence.probes.retain(|round| !is_own(&round.key.agent) || random.percent(50)),
        Cut::OnWire => {
            for round in evidence.probes.iter_mut().filter(|round| is_own(&round.key.agent)) {
                let set = if random.percent(50) { &mut round.replied_on_wire } else { &mut round.departed };
                *set = Known::<SequenceSet>::Unknown(unread());
            }
        }
        Cut::Health => evidence.healths.retain(|(agent, _, _)| !is_own(agent)),
        Cut::Lists => {
            refuse(random, evidence, side, world, |action| WhyUnknown::Throttled { action: action.to_owned() });
        }
        Cut::Nested => {
            for snapshot in evidence.snapshots.iter_mut().filter(|snapshot| snapshot.account == *account) {
                for table in list_mut(&mut snapshot.route_tables).iter_mut().filter(|_| random.percent(50)) {
                    table.entries = Known::Unknown(unread());
                }
                for group in list_mut(&mut snapshot.security_groups).iter_mut().filter(|_| random.percent(50)) {
                    group.rules = Known::Unknown(unread());
                }
                for acl in list_mut(&mut snapshot.network_acls) {
                    for entries in [&mut acl.ingress, &mut acl.egress].into_iter().filter(|_| random.percent(25)) {
                        *entries = Known::Unknown(unread());
                    }
                }
            }
        }
        Cut::Snapshot => evidence.snapshots.retain(|snapshot| snapshot.account != *account),
    }
}

fn take_fact(random: &mut Random, facts: &mut HostFacts) {
    match random.below(11) {
        0 => facts.metadata = Known::Unknown(unread()),
        1 => facts.interfaces = Known::Unknown(unread()),
        2 => facts.routes.clear(),
        3 => facts.sysctls.echo_ignore_all = Known::Unknown(unread()),
        4 => facts.sysctls.strict_reverse_path = Known::Unknown(unread()),
        5 => facts.sysctls.forwards = Known::Unknown(unread()),
        6 => facts.firewall = Known::Unknown(unread()),
        // As agents report it that do not report whole rule sets.
        7 => {
            if let Known::Known(firewall) = &mut facts.firewall {
                firewall.rules = None;
            }
        }
        8 => facts.mechanisms = Known::Unknown(unread()),
        9 => facts.counters = Known::Unknown(unread()),
        _ => facts.container = Known::Unknown(unread()),
    }
}
