//! What pooled security group rules, or one direction of a network ACL, do to packets: compiled once, asked by far address,
//! protocol and destination port.
//!
//! Addresses fall into cells by the rules that cover them; each distinct list of rules gives one column, which says what
//! happens at each port. The decision itself is that of `walk::security` and `walk::acl`, asked once for each step of a column.
//! The near port of a request is the same for all (`walk::EPHEMERAL_PORT`), and replies pass security groups.

use super::span::{Cells, Span};
use crate::walk::{EPHEMERAL_PORT, Match, acl_serves, group_decides, group_serves};
use pingtong_evidence::{AclEntry, Policy, PortRange, Protocol, SecurityRule};

/// What one stage says to a packet, and which of its parts says so: its meaning is the stage's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Say {
    Pass(u32),
    Stop(u32),
    /// It could not be read.
    Unknown,
}

/// No rule, but the default.
pub(crate) const DEFAULT: u32 = u32::MAX;

/// A rule that does not stand in the group: members of one group reach each other.
pub(crate) const INNER: u32 = u32::MAX - 1;

/// What happens at each port of a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Steps {
    /// The same at every port, which is the rule.
    One(Say),
    /// The last port of each step and what is said.
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

/// What happens to packets from or to one cell of addresses.
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

    /// Last ports of steps.
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

/// One rule on its way into a filter.
pub(crate) struct Item<'a> {
    /// What a decision by it is called.
    pub(crate) name: u32,
    pub(crate) rule: &'a SecurityRule,
    /// Far addresses that it covers, or may cover.
    pub(crate) spans: Vec<Span>,
    /// What it covers could not be read.
    pub(crate) doubtful: bool,
}

/// A compiled filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    cells: Cells,
    columns: Vec<Column>,
}

impl Filter {
    /// One that says the same to everything.
    pub(crate) fn constant(say: Say) -> Self {
        Self { cells: Cells::cut([], |_| 0), columns: vec![Column::new(&[], |_, _| say)] }
    }

    /// Rules of security groups, in the order in which they are tried.
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

    /// Entries of an ACL, in their order.
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

    /// The column of a far address.
    pub(crate) fn column(&self, far: u32) -> u32 {
        self.cells.at(far)
    }

    pub(crate) fn at(&self, column: u32) -> Option<&Column> {
        self.columns.get(column as usize)
    }
}
