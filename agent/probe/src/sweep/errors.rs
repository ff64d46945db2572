//! ICMP errors and refusals by the local kernel: counted by kind in total, and by kind and sender for each target.

use std::{collections::BTreeMap, net::IpAddr};

/// Maximum number of entries of target, kind and sender: a hostile network can invent any number of senders. An error
/// without an entry still counts in the totals by kind.
const ENTRIES_MAX: usize = 65_536;

/// Kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorKind {
    /// This host's kernel refused to send, with this errno.
    Refused(i32),
    /// An ICMP or ICMPv6 error.
    Icmp {
        /// Whether it is an ICMPv6 error.
        v6: bool,
        /// ICMP type.
        icmp_type: u8,
        /// ICMP code.
        code: u8,
    },
}

impl ErrorKind {
    /// Whether the error is informational: a redirect reports a better next hop and stops no packet.
    pub fn is_informational(self) -> bool {
        matches!(self, Self::Icmp { v6: false, icmp_type: 5, .. } | Self::Icmp { v6: true, icmp_type: 137, .. })
    }

    /// The name of an ICMP error, such as `unreachable-admin-prohibited`; `None` for a refusal, which its errno names.
    pub fn icmp_name(self) -> Option<String> {
        let Self::Icmp { v6, icmp_type, code } = self else { return None };
        let name = if v6 { name_v6(icmp_type, code) } else { name_v4(icmp_type, code) };
        Some(name.map_or_else(|| format!("icmp{}-{icmp_type}-{code}", if v6 { "v6" } else { "" }), str::to_owned))
    }
}

/// Errors of one kind from one sender about one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesError {
    /// Kind of the errors.
    pub kind: ErrorKind,
    /// Sender of the errors; `None` for this host's own kernel.
    pub from: Option<IpAddr>,
    /// Number of such errors.
    pub count: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Errors {
    by_kind: BTreeMap<ErrorKind, u64>,
    by_target: BTreeMap<(usize, ErrorKind, Option<IpAddr>), u64>,
}

impl Errors {
    pub(crate) fn refused(&mut self, target: usize, errno: i32) {
        self.count(target, ErrorKind::Refused(errno), None);
    }

    pub(crate) fn heard(&mut self, target: usize, from: IpAddr, kind: ErrorKind) {
        self.count(target, kind, Some(from));
    }

    pub(crate) fn of(&self, target: usize) -> Vec<SeriesError> {
        let first = (target, ErrorKind::Refused(i32::MIN), None);
        let own = self.by_target.range(first..).take_while(|((of, ..), _)| *of == target);
        own.map(|(&(_, kind, from), &count)| SeriesError { kind, from, count }).collect()
    }

    pub(crate) fn by_kind(&self) -> Vec<(ErrorKind, u64)> {
        self.by_kind.iter().map(|(kind, count)| (*kind, *count)).collect()
    }

    fn count(&mut self, target: usize, kind: ErrorKind, from: Option<IpAddr>) {
        *self.by_kind.entry(kind).or_default() += 1;
        let key = (target, kind, from);
        if self.by_target.len() < ENTRIES_MAX || self.by_target.contains_key(&key) {
            *self.by_target.entry(key).or_default() += 1;
        }
    }
}

fn name_v4(icmp_type: u8, code: u8) -> Option<&'static str> {
    Some(match (icmp_type, code) {
        (3, 0) => "unreachable-net",
        (3, 1) => "unreachable-host",
        (3, 2) => "unreachable-protocol",
        (3, 3) => "unreachable-port",
        (3, 4) => "fragmentation-needed",
        (3, 5) => "unreachable-source-route",
        (3, 6) => "unreachable-net-unknown",
        (3, 7) => "unreachable-host-unknown",
        (3, 8) => "unreachable-isolated",
        (3, 9) => "unreachable-net-prohibited",
        (3, 10) => "unreachable-host-prohibited",
        (3, 11) => "unreachable-net-tos",
        (3, 12) => "unreachable-host-tos",
        (3, 13) => "unreachable-admin-prohibited",
        (3, 14) => "unreachable-precedence-violation",
        (3, 15) => "unreachable-precedence-cutoff",
        (5, _) => "redirect",
        (11, 0) => "ttl-exceeded",
        (11, 1) => "reassembly-time-exceeded",
        (12, _) => "parameter-problem",
        _ => return None,
    })
}

fn name_v6(icmp_type: u8, code: u8) -> Option<&'static str> {
    Some(match (icmp_type, code) {
        (1, 0) => "unreachable-no-route",
        (1, 1) => "unreachable-admin-prohibited",
        (1, 2) => "unreachable-beyond-scope",
        (1, 3) => "unreachable-address",
        (1, 4) => "unreachable-port",
        (1, 5) => "unreachable-source-policy",
        (1, 6) => "unreachable-reject-route",
        (2, _) => "packet-too-big",
        (3, 0) => "hop-limit-exceeded",
        (3, 1) => "reassembly-time-exceeded",
        (4, _) => "parameter-problem",
        (137, _) => "redirect",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_kind_and_sender_and_stay_with_their_target() {
        let mut errors = Errors::default();
        let prohibited = ErrorKind::Icmp { v6: false, icmp_type: 3, code: 13 };
        errors.heard(1, [10, 0, 0, 1].into(), prohibited);
        errors.heard(1, [10, 0, 0, 2].into(), prohibited);
        errors.heard(1, [10, 0, 0, 2].into(), prohibited);
        errors.refused(1, 1);
        errors.refused(2, 1);
        let of = errors.of(1);
        assert_eq!(of.iter().map(|error| error.count).collect::<Vec<_>>(), [1, 1, 2]);
        assert_eq!(errors.of(0), []);
        assert_eq!(errors.by_kind(), [(ErrorKind::Refused(1), 2), (prohibited, 3)]);
        assert_eq!(prohibited.icmp_name().unwrap(), "unreachable-admin-prohibited");
        assert_eq!(ErrorKind::Icmp { v6: true, icmp_type: 99, code: 1 }.icmp_name().unwrap(), "icmpv6-99-1");
    }

    #[test]
    fn a_hostile_number_of_senders_is_bounded_and_still_counted() {
        let mut errors = Errors::default();
        for sender in 0..70_000u32 {
            let kind = ErrorKind::Icmp { v6: false, icmp_type: 11, code: 0 };
            errors.heard(0, std::net::Ipv4Addr::from(sender).into(), kind);
        }
        assert_eq!((errors.by_target.len(), errors.by_kind()[0].1), (ENTRIES_MAX, 70_000));
    }
}
