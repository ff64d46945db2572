//! What pooled security group rules, or one direction of a network ACL, do to packets: compiled once, looked up by far
//! address, protocol and destination port.
//!
//! Addresses are divided into cells by the rules that cover them. Each distinct list of rules becomes one column, which
//! holds the decision at each port. The decisions are those of `walk::security` and `walk::acl`, which are called once
//! for each step of a column. The near port of a request is the same for all flows (`walk::EPHEMERAL_PORT`), and
//! replies pass security groups.

use super::span::{Cells, Span};
use crate::walk::{EPHEMERAL_PORT, Match, acl_serves, group_decides, group_serves};
use pingtong_evidence::{AclEntry, Policy, PortRange, Protocol, SecurityRule};

/// The decision of one stage about a packet. The number identifies the part that decides; its meaning depends on the
/// stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Say {
    Pass(u32),
    Stop(u32),
    /// The stage could not be read.
    Unknown,
}

/// Number of the default, which decides if no rule does.
pub(crate) const DEFAULT: u32 = u32::MAX;

/// Number of a rule that is not listed in the group: members of one group reach each other.
pub(crate) const INNER: u32 = u32::MAX - 1;

/// The decisions of one protocol by port.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Steps {
    /// The same decision at every port, which is the usual case.
    One(Say),
    /// The last port of each step, and its decision.
    Many(Vec<(u16, Say)>),
}

impl Steps {
    fn say(&self, port: u16) -> Say {
        match self {
            Self::One(say) => *say,
            Self::Many(steps) => {
                let at = steps.partition_point(|(last, _)| *last < port);
                steps.get(at).map_or(Say::Unknown, |(_, say)| *say)
            }
        }
    }
}

/// The decisions about packets from or to one cell of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    icmp: Say,
    tcp: Steps,
    udp: Steps,
}

impl Column {
    fn new(ports: &[PortRange], say: impl Fn(Protocol, Option<u16>) -> Say) -> Self {
        let mut cuts = vec![0u16];
        for range in ports {
            cuts.push(range.first());
            cuts.extend(range.last().checked_add(1));
        }
        cuts.sort_unstable();
        cuts.dedup();
        let steps = |protocol| {
            let mut steps: Vec<(u16, Say)> = vec![];
            for (at, first) in cuts.iter().enumerate() {
                let last = cuts.get(at + 1).map_or(u16::MAX, |next| next - 1);
                let says = say(protocol, Some(*first));
                match steps.last_mut() {
                    Some(step) if step.1 == says => step.0 = last,
                    _ => steps.push((last, says)),
                }
            }
            match steps.as_slice() {
                [(_, say)] => Steps::One(*say),
                _ => Steps::Many(steps),
            }
        };
        Self { icmp: say(Protocol::Icmp, None), tcp: steps(Protocol::Tcp), udp: steps(Protocol::Udp) }
    }

    pub(crate) fn say(&self, protocol: Protocol, port: Option<u16>) -> Say {
        match (protocol, port) {
            (Protocol::Tcp, Some(port)) => self.tcp.say(port),
            (Protocol::Udp, Some(port)) => self.udp.say(port),
            _ => self.icmp,
        }
    }

    /// The last ports of the steps; empty if every port has the same decision.
    pub(crate) fn ends(&self, protocol: Protocol) -> impl Iterator<Item = u16> {
        let steps = match protocol {
            Protocol::Icmp => None,
            Protocol::Tcp => Some(&self.tcp),
            Protocol::Udp => Some(&self.udp),
        };
        let many = steps.into_iter().flat_map(|steps| match steps {
            Steps::One(_) => &[][..],
            Steps::Many(steps) => steps,
        });
        many.map(|(last, _)| *last)
    }
}

/// One rule to be compiled into a filter.
pub(crate) struct Item<'a> {
    /// Number that identifies the rule in a decision.
    pub(crate) name: u32,
    pub(crate) rule: &'a SecurityRule,
    /// Far addresses that it covers, or may cover.
    pub(crate) spans: Vec<Span>,
    /// Whether the addresses that it covers could not be read.
    pub(crate) doubtful: bool,
}

/// A compiled filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    cells: Cells,
    columns: Vec<Column>,
}

impl Filter {
    /// A filter with the same decision about every packet.
    pub(crate) fn constant(say: Say) -> Self {
        Self { cells: Cells::cut([], |_| 0), columns: vec![Column::new(&[], |_, _| say)] }
    }

    /// Compiles rules of security groups, in the order in which they are evaluated.
    pub(crate) fn groups(items: &[Item<'_>], accepts_by_default: bool) -> Self {
        let spans: Vec<Vec<Span>> = items.iter().map(|item| item.spans.clone()).collect();
        let at = |index: &u32| items.get(*index as usize);
        Self::compile(&spans, |list| {
            let ports: Vec<PortRange> = list.iter().filter_map(at).map(|item| item.rule.ports).collect();
            Column::new(&ports, |protocol, port| {
                let source_port = port.map(|_| EPHEMERAL_PORT);
                let pool = list.iter().filter_map(at).map(|item| {
                    let serves = group_serves(item.rule, protocol, source_port, port);
                    let matches = match (serves, item.doubtful) {
                        (false, _) => Match::No,
                        (true, true) => Match::Maybe,
                        (true, false) => Match::Yes,
                    };
                    (item.name, item.rule.policy, matches)
                });
                match group_decides(pool, accepts_by_default) {
                    Ok((true, name)) => Say::Pass(name.unwrap_or(DEFAULT)),
                    Ok((false, name)) => Say::Stop(name.unwrap_or(DEFAULT)),
                    Err(()) => Say::Unknown,
                }
            })
        })
    }

    /// Compiles entries of an ACL, in the order of the list.
    pub(crate) fn acl(entries: &[AclEntry]) -> Self {
        if entries.is_empty() {
            return Self::constant(Say::Pass(DEFAULT));
        }
        let spans: Vec<Vec<Span>> = entries.iter().map(|entry| Span::of(&entry.peer).into_iter().collect()).collect();
        let at = |index: &u32| entries.get(*index as usize).map(|entry| (*index, entry));
        Self::compile(&spans, |list| {
            let ports: Vec<PortRange> = list.iter().filter_map(at).map(|(_, entry)| entry.ports).collect();
            Column::new(&ports, |protocol, port| {
                match list.iter().filter_map(at).find(|(_, entry)| acl_serves(entry, protocol, port)) {
                    Some((name, entry)) if entry.policy == Policy::Accept => Say::Pass(name),
                    Some((name, _)) => Say::Stop(name),
                    None => Say::Stop(DEFAULT),
                }
            })
        })
    }

    fn compile(spans: &[Vec<Span>], column: impl Fn(&[u32]) -> Column) -> Self {
        let mut columns: Vec<Column> = vec![];
        let cells = Cells::covered(spans, |list| {
            let new = column(list);
            let at = columns.iter().position(|have| *have == new).unwrap_or_else(|| {
                columns.push(new);
                columns.len() - 1
            });
            u32::try_from(at).unwrap_or(u32::MAX)
        });
        Self { cells, columns }
    }

    /// Index of the column of a far address.
    pub(crate) fn column(&self, far: u32) -> u32 {
        self.cells.at(far)
    }

    pub(crate) fn at(&self, column: u32) -> Option<&Column> {
        self.columns.get(column as usize)
    }
}
