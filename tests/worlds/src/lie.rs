//! Evidence that is not true, or not complete.
//!
//! There are two kinds. *Missing* evidence is marked as missing, and lies of this kind can be combined freely: refused
//! and throttled calls, an account that nobody sees, a silent agent, packets that an agent itself dropped, clock
//! offsets. *False* evidence is not marked: a configuration as it was while it had a fault, a page that was lost. Only
//! packets distinguish a false configuration from the truth, so it comes with the reports of both agents, or with its
//! true age; if nobody sends, no engine could know.

use crate::{
    evidence::{Evidence, evidence, moment},
    fault::{Fault, broken},
    random::Random,
    world::{World, list_mut},
};
use pingtong_evidence::{ClockFact, Gap, Known, SequenceSet, Side, Snapshot, WhyUnknown};

/// What is wrong with the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lie {
    /// The API returns the configuration from before a fault was repaired.
    Stale,
    /// As `Stale`, and the snapshots have times that are too old to be relied on.
    Old,
    /// A page of a list is lost without any indication.
    DroppedPage,
    /// Calls are refused.
    Denied,
    /// Calls are throttled.
    Throttled,
    /// One account is not visible at all.
    Invisible,
    /// One agent does not report.
    Silent,
    /// Agents themselves dropped packets.
    OwnDrops,
    /// The clock of one host is wrong.
    Clock,
}

/// Lies that omit something.
const MISSING: [Lie; 6] = [Lie::Denied, Lie::Throttled, Lie::Invisible, Lie::Silent, Lie::OwnDrops, Lie::Clock];
/// Lies that state something false.
const FALSE: [Lie; 3] = [Lie::Stale, Lie::Old, Lie::DroppedPage];

/// Evidence of a healthy world with one to three lies in it, and the list of these lies.
pub fn lying(random: &mut Random, world: &World, faults: &[Fault]) -> (Evidence, Vec<Lie>) {
    let mut told = evidence(world);
    let mut lies = vec![];
    if random.percent(45) {
        lies.extend(random.pick(&FALSE).copied());
    } else {
        for _ in 0..=random.below(3) {
            lies.extend(random.pick(&MISSING).copied());
        }
    }
    lies.sort_unstable();
    lies.dedup();
    for lie in &lies {
        tell(random, world, faults, *lie, &mut told);
    }
    (told, lies)
}

fn tell(random: &mut Random, world: &World, faults: &[Fault], lie: Lie, told: &mut Evidence) {
    let side = if random.percent(50) { Side::Initiator } else { Side::Acceptor };
    let (account, agent) = (&world.config(side).account, world.pair.endpoint(side).agent.clone());
    match lie {
        Lie::Stale | Lie::Old => {
            let once = std::iter::repeat_with(|| random.pick(faults)).take(40).flatten();
            let configured =
                once.filter_map(|fault| broken(world, &[fault])).find(|(past, _)| past.config != world.config);
            if let Some((past, _)) = configured {
                let age = if lie == Lie::Old { -3_600_000 } else { 0 };
                for snapshot in &mut told.snapshots {
                    let side = if *account == snapshot.account { side } else { side.opposite() };
                    let (taken, finished) = (snapshot.taken_at, snapshot.finished_at);
                    *snapshot = past.config(side).clone();
                    (snapshot.taken_at, snapshot.finished_at) =
                        if age == 0 { (taken, finished) } else { (moment(age), moment(age + 400)) };
                }
            }
        }
        Lie::DroppedPage => {
            for snapshot in told.snapshots.iter_mut().filter(|s| s.account == *account) {
                drop_page(random, snapshot);
            }
        }
        Lie::Denied => refuse(random, told, side, world, |action| WhyUnknown::Denied {
            action: action.to_owned(),
            code: "Forbidden.RAM".into(),
            request_id: "req-denied".into(),
        }),
        Lie::Throttled => {
            refuse(random, told, side, world, |action| WhyUnknown::Throttled { action: action.to_owned() });
        }
        Lie::Invisible => told.snapshots.retain(|snapshot| snapshot.account != *account),
        Lie::Silent => {
            let Some(agent) = agent else { return };
            told.probes.retain(|round| round.key.agent != agent);
            told.arrivals.retain(|part| part.observer != agent);
            told.hosts.retain(|facts| facts.agent != agent);
            told.healths.retain(|(have, _, _)| *have != agent);
            told.silent.push(agent);
        }
        Lie::OwnDrops => own_drops(random, told),
        Lie::Clock => {
            for facts in told.hosts.iter_mut().filter(|facts| Some(&facts.agent) == agent.as_ref()) {
                facts.clock = Known::Known(ClockFact { offset_ms: 90_000, error_ms: 10 });
            }
        }
    }
}

/// Removes the second half of one list.
fn drop_page(random: &mut Random, snapshot: &mut Snapshot) {
    fn halve<T>(known: &mut Known<Vec<T>>) {
        let list = list_mut(known);
        list.truncate(list.len() / 2);
    }
    match random.below(7) {
        0 => halve(&mut snapshot.router_interfaces),
        1 => halve(&mut snapshot.security_groups),
        2 => halve(&mut snapshot.route_tables),
        3 => list_mut(&mut snapshot.route_tables).iter_mut().for_each(|table| halve(&mut table.entries)),
        4 => halve(&mut snapshot.instances),
        5 => halve(&mut snapshot.enis),
        _ => list_mut(&mut snapshot.security_groups).iter_mut().for_each(|group| halve(&mut group.rules)),
    }
}

/// Makes one to four lists of a side unknown.
pub(crate) fn refuse(random: &mut Random, told: &mut Evidence, side: Side, world: &World, why: fn(&str) -> WhyUnknown) {
    let (account, region) = (world.config(side).account.clone(), world.config(side).region.clone());
    for snapshot in told.snapshots.iter_mut().filter(|snapshot| snapshot.account == account) {
        for _ in 0..=random.below(4) {
            let n = random.below(9);
            let action = match n {
                0 => "vpc:DescribeVpcs",
                1 => "vpc:DescribeVSwitches",
                2 => "vpc:DescribeRouteTableList",
                3 => "vpc:DescribeRouterInterfaces",
                4 => "vpc:DescribeNetworkAcls",
                5 => "ecs:DescribeSecurityGroups",
                6 => "ecs:DescribePrefixLists",
                7 => "ecs:DescribeInstances",
                _ => "ecs:DescribeNetworkInterfaces",
            };
            let why = why(action);
            match n {
                0 => snapshot.vpcs = Known::Unknown(why.clone()),
                1 => snapshot.vswitches = Known::Unknown(why.clone()),
                2 => snapshot.route_tables = Known::Unknown(why.clone()),
                3 => snapshot.router_interfaces = Known::Unknown(why.clone()),
                4 => snapshot.network_acls = Known::Unknown(why.clone()),
                5 => snapshot.security_groups = Known::Unknown(why.clone()),
                6 => snapshot.prefix_lists = Known::Unknown(why.clone()),
                7 => snapshot.instances = Known::Unknown(why.clone()),
                _ => snapshot.enis = Known::Unknown(why.clone()),
            }
            let (account, region) = (account.clone(), region.clone());
            snapshot.gaps.push(Gap {
                account,
                region,
                action: action.to_owned(),
                object: None,
                why,
                at: moment(50_300),
            });
        }
    }
}

/// Every round of the observers, or of the senders, loses some of what it saw and reports that it dropped packets.
fn own_drops(random: &mut Random, told: &mut Evidence) {
    let keep = 2 + u32::try_from(random.below(5)).unwrap_or(0);
    let some = |set: &SequenceSet| -> SequenceSet {
        set.ranges().iter().flat_map(|(first, last)| *first..=*last).filter(|n| n % keep != 0).collect()
    };
    let observers = random.percent(50);
    if observers {
        for part in &mut told.arrivals {
            for seen in [&mut part.on_wire, &mut part.accepted, &mut part.replied] {
                if let Known::Known(set) = seen {
                    *set = some(set);
                }
            }
            part.own_drops = 7;
        }
    } else {
        for round in &mut told.probes {
            round.replied = some(&round.replied);
            if let Known::Known(set) = &mut round.replied_on_wire {
                *set = some(set);
            }
            round.own_drops = 7;
        }
    }
}
