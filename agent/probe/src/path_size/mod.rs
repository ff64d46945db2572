//! Result of a search for the largest packet: whole, fragmentation needed, a black hole, or a dead pair.
//!
//! A path that reports "fragmentation needed" works: senders learn from it. One that reports nothing drops large
//! packets silently, and connections hang although pings pass. The senders of the reports are kept. A dead pair says
//! nothing about sizes.

pub(crate) mod size_search;

use crate::SizeBounds;
use pingtong_evidence::ProbeRound;
use std::{collections::BTreeSet, net::IpAddr};

/// ICMP type and code of "fragmentation needed and don't-fragment set".
const FRAGMENTATION_NEEDED: (u8, u8) = (3, 4);
/// Type of ICMPv6 "packet too big".
const PACKET_TOO_BIG: u8 = 2;

/// How a path treats packets as large as the MTU of the local NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeVerdict {
    /// They pass.
    Whole,
    /// They do not pass, and an ICMP error reports it.
    Told,
    /// They are dropped, and no ICMP error reports it.
    BlackHole,
    /// Not even small packets pass.
    Dead,
    /// The search found no boundary: too many packets were lost by chance.
    Unsettled,
    /// There was no search: the NIC towards the target is not known.
    NotSearched,
}

impl SizeVerdict {
    /// The value that scripts read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Told => "fragmentation-needed",
            Self::BlackHole => "black-hole",
            Self::Dead => "dead",
            Self::Unsettled => "unsettled",
            Self::NotSearched => "not-searched",
        }
    }
}

/// Result of a size search on one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathSize {
    /// Target of the path.
    pub target: IpAddr,
    /// MTU of the local NIC in bytes; zero if the NIC towards the target is not known.
    pub mtu: u32,
    /// The boundary, if it was found.
    pub bounds: Option<SizeBounds>,
    /// Senders of "fragmentation needed" or "packet too big".
    pub told_by: BTreeSet<IpAddr>,
    /// Whether any packet of the search was answered.
    pub alive: bool,
}

impl PathSize {
    /// The state before the search.
    pub fn new(target: IpAddr, mtu: u32) -> Self {
        Self { target, mtu, bounds: None, told_by: BTreeSet::new(), alive: false }
    }

    /// Takes a closed round of the search.
    pub fn take(&mut self, round: &ProbeRound) {
        self.alive |= !round.replied.is_empty() || !round.late.is_empty();
        let tells = |(icmp_type, code): (u8, u8), from: IpAddr| {
            (icmp_type, code) == FRAGMENTATION_NEEDED || (from.is_ipv6() && icmp_type == PACKET_TOO_BIG)
        };
        let told = round.icmp_errors.iter().filter(|error| tells((error.icmp_type, error.code), error.from));
        self.told_by.extend(told.map(|error| error.from));
    }

    /// Verdict from the boundary and the answers.
    pub fn verdict(&self) -> SizeVerdict {
        match self.bounds {
            Some(SizeBounds { dies: None, .. }) => SizeVerdict::Whole,
            Some(_) if !self.told_by.is_empty() => SizeVerdict::Told,
            Some(_) => SizeVerdict::BlackHole,
            None if self.mtu == 0 => SizeVerdict::NotSearched,
            None if self.alive => SizeVerdict::Unsettled,
            None => SizeVerdict::Dead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RoundOrder, SizeGoal, SizeSearch};
    use pingtong_evidence::{IcmpError, PairId, RoundPurpose, SequenceSet};
    use std::time::Duration;

    fn closed(order: &RoundOrder, passes: bool, by: Option<&str>) -> ProbeRound {
        let error = |by: &str| IcmpError { from: by.parse().unwrap(), icmp_type: 3, code: 4, count: 1 };
        ProbeRound {
            pair: order.pair.clone(),
            target: order.target,
            payload_bytes: u32::try_from(order.payload_bytes).unwrap(),
            purpose: RoundPurpose::PathSize,
            replied: SequenceSet::first(if passes { order.probes } else { 0 }),
            icmp_errors: if passes { vec![] } else { by.map(error).into_iter().collect() },
            ..crate::tests::sample::round(order.probes)
        }
    }

    /// Searches a path that carries `carries` bytes; `by` reports larger packets, if it is set.
    fn search(carries: u32, by: Option<&str>) -> PathSize {
        let target = "172.16.1.10".parse().unwrap();
        let pair: PairId = "p".parse().unwrap();
        let timeout = Duration::from_secs(1);
        let mut search =
            SizeSearch::new(SizeGoal { pair, target, request: None, bucket: None, mtu: 1_500, timeout, known: None });
        let mut size = PathSize::new(target, 1_500);
        for _ in 0..64 {
            for order in search.orders() {
                let round = closed(&order, order.payload_bytes + 28 <= usize::try_from(carries).unwrap(), by);
                size.take(&round);
                search.take(&round);
            }
        }
        assert!(search.is_over());
        size.bounds = search.found();
        size
    }

    #[test]
    fn a_black_hole_is_told_from_a_path_that_speaks() {
        let passes = |size: &PathSize| size.bounds.map(|bounds| bounds.passes);
        let whole = search(1_500, None);
        assert_eq!((whole.verdict(), passes(&whole)), (SizeVerdict::Whole, Some(1_500)));
        let told = search(1_400, Some("10.0.0.1"));
        assert_eq!((told.verdict(), passes(&told)), (SizeVerdict::Told, Some(1_400)));
        assert_eq!(told.told_by, ["10.0.0.1".parse().unwrap()].into());
        let hole = search(1_400, None);
        assert_eq!((hole.verdict(), passes(&hole)), (SizeVerdict::BlackHole, Some(1_400)));
        assert_eq!(search(0, None).verdict(), SizeVerdict::Dead);
        assert_eq!(PathSize::new("10.0.0.2".parse().unwrap(), 0).verdict(), SizeVerdict::NotSearched);
        // A dead pair stays dead, whatever ICMP errors report.
        assert_eq!(search(0, Some("10.0.0.1")).verdict(), SizeVerdict::Dead);
    }
}
