//! Counts echo requests that arrive at this host, by source: on the wire, accepted by the guest, and replies that left.
//!
//! The packet socket sees what reached an interface, the raw socket what the guest accepted; the difference is what the
//! guest refused. Drops of either socket's queue are reported beside the counts, which are then lower bounds.

use crate::Lang;
use pingtong_probe::{EchoKind, Heard};
use std::{collections::BTreeMap, net::IpAddr};

/// Maximum number of sources counted separately, since addresses can be forged without end. Further ones are counted
/// together.
const SOURCES_MAX: usize = 65_536;

/// Counts of one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Arrivals {
    pub(super) on_wire: u64,
    pub(super) accepted: u64,
    pub(super) replies_left: u64,
}

/// Counts of all sources.
#[derive(Debug, Default)]
pub(super) struct Observer {
    sources: BTreeMap<IpAddr, Arrivals>,
    others: Arrivals,
    pub(super) own_drops: u64,
}

impl Observer {
    /// Counts a packet that the raw socket received.
    pub(super) fn accepted(&mut self, packet: &Heard<'_>) {
        if let Heard::Echo { kind: EchoKind::Request, from, .. } = *packet {
            self.of(from).accepted += 1;
        }
    }

    /// Counts a packet seen on an interface.
    pub(super) fn on_wire(&mut self, packet: &Heard<'_>, outgoing: bool) {
        match *packet {
            Heard::Echo { kind: EchoKind::Request, from, .. } if !outgoing => self.of(from).on_wire += 1,
            Heard::Echo { kind: EchoKind::Reply, to, .. } if outgoing => self.of(to).replies_left += 1,
            _ => {}
        }
    }

    /// Sources in order of address; those beyond the limit follow together, without an address.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Option<IpAddr>, Arrivals)> {
        let others = (self.others != Arrivals::default()).then_some((None, self.others));
        self.sources.iter().map(|(source, arrivals)| (Some(*source), *arrivals)).chain(others)
    }

    pub(super) fn total(&self) -> Arrivals {
        self.rows().fold(Arrivals::default(), |sum, (_, row)| Arrivals {
            on_wire: sum.on_wire + row.on_wire,
            accepted: sum.accepted + row.accepted,
            replies_left: sum.replies_left + row.replies_left,
        })
    }

    fn of(&mut self, source: IpAddr) -> &mut Arrivals {
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            return &mut self.others;
        }
        self.sources.entry(source).or_default()
    }
}

/// One line about the arrivals from one source, or of all.
pub(super) fn arrivals_line(source: &str, row: Arrivals, lang: Lang) -> String {
    match lang {
        Lang::Zh => {
            format!("{source:<15}  线路到达 {}  本机接受 {}  应答发出 {}", row.on_wire, row.accepted, row.replies_left)
        }
        Lang::En => {
            format!(
                "{source:<15}  on the wire {}  accepted {}  replies left {}",
                row.on_wire, row.accepted, row.replies_left
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn sources_are_told_apart_and_bounded() {
        let mut observer = Observer::default();
        let echo = |kind, from: u32, to: u32| Heard::Echo {
            kind,
            from: Ipv4Addr::from(from).into(),
            to: Ipv4Addr::from(to).into(),
            identifier: 1,
            sequence: 1,
            payload: &[],
        };
        for source in 0..70_000 {
            observer.on_wire(&echo(EchoKind::Request, source, 1), false);
        }
        observer.accepted(&echo(EchoKind::Request, 5, 1));
        observer.on_wire(&echo(EchoKind::Reply, 1, 5), true);
        observer.on_wire(&echo(EchoKind::Reply, 5, 1), false);
        assert_eq!(observer.total(), Arrivals { on_wire: 70_000, accepted: 1, replies_left: 1 });
        assert_eq!(observer.rows().count(), SOURCES_MAX + 1);
        let five = observer.rows().nth(5).unwrap();
        assert_eq!(five, (Some(Ipv4Addr::from(5).into()), Arrivals { on_wire: 1, accepted: 1, replies_left: 1 }));
    }
}
