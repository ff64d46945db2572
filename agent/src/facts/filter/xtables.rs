//! Matches and targets of xtables, as iptables-nft writes them where nftables has no expression of its own.
//!
//! Their parameters are the kernel's structures (`linux/netfilter/xt_*.h`, `linux/netfilter_ipv4/ipt_REJECT.h` and so on),
//! numbers in host order unless the packet's own. Only revisions and parameters that are fully understood are decoded;
//! anything else is named by the caller.

use super::{
    field::Context,
    kind::{Kind, big_endian},
};
use pingtong_evidence::packet_filter::{
    Comparison, Condition, CtKey, Element, Family, FibResult, Field, Nat, NatKind, Operand, Reject, SetRef, Source,
    SourceRange, Span, Statement, Test, Value,
};
use std::collections::BTreeMap;

const TCP: u64 = 6;
const UDP: u64 = 17;
const IPV6: u8 = 10;
const ALL_PORTS: (u16, u16) = (0, u16::MAX);
/// `XT_CONNTRACK_STATE` in the flags of what is matched.
const CONNTRACK_STATE: u16 = 1;
/// `XT_CONNTRACK_STATE_ALIAS`: written as `-m state`.
const CONNTRACK_STATE_ALIAS: u16 = 1 << 13;
/// `XT_CONNTRACK_STATE_UNTRACKED`, and the same state in nftables. The other states have the same bits.
const UNTRACKED: (u32, u32) = (1 << 8, 1 << 6);
const STATES: u32 = 0b1111;
/// `NF_NAT_RANGE_MAP_IPS` and `NF_NAT_RANGE_PROTO_SPECIFIED`, and those that choose ports at random.
const NAT_ADDRESS: u32 = 1;
const NAT_PORT: u32 = 2;
const NAT_RANDOM: u32 = 4 | 16;

/// Bytes of a structure.
#[derive(Clone, Copy)]
struct Info<'a>(&'a [u8]);

impl Info<'_> {
    fn u8(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    fn u16(self, at: usize) -> Option<u16> {
        Some(u16::from_ne_bytes(self.0.get(at..at + 2)?.try_into().ok()?))
    }

    fn u32(self, at: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(self.0.get(at..at + 4)?.try_into().ok()?))
    }
}

/// The statements of a match; `None` if it is not understood.
pub(super) fn matched(name: &str, revision: u32, info: &[u8], context: &Context) -> Option<Vec<Statement>> {
    let info = Info(info);
    let conditions = match (name, revision) {
        ("comment", _) => vec![],
        ("tcp", 0) => tcp(info)?,
        ("udp", 0) => udp(info)?,
        ("icmp", 0) => icmp(info, (Field::IcmpType, Field::IcmpCode), Some(u8::MAX))?,
        ("icmp6", 0) => icmp(info, (Field::Icmpv6Type, Field::Icmpv6Code), None)?,
        ("multiport", 1) => multiport(info, context)?,
        ("conntrack", 1..=3) => conntrack(info)?,
        ("state", 0) => vec![states(info.u32(0)?, false)?],
        ("mark", 1) => vec![mark(info)?],
        ("addrtype", 1) => addrtype(info)?,
        ("pkttype", 0) => {
            let how = equality(info.u32(4)? != 0);
            let value = Value::Number(info.u32(0)?.into());
            vec![Condition::new(Field::MetaPkttype, Test::Compare { how, value })]
        }
        _ => return None,
    };
    Some(conditions.into_iter().map(Statement::Match).collect())
}

pub(super) fn equality(inverted: bool) -> Comparison {
    if inverted { Comparison::Ne } else { Comparison::Eq }
}

/// The condition on a field between two ends; `None` if every value meets it.
pub(super) fn between(field: Field, (first, last): (u16, u16), whole: (u16, u16), inverted: bool) -> Option<Condition> {
    if (first, last) == whole && !inverted {
        return None;
    }
    let number = |number: u16| Value::Number(number.into());
    let test = if first == last {
        Test::Compare { how: equality(inverted), value: number(first) }
    } else {
        Test::Range { first: number(first), last: number(last), inverted }
    };
    Some(Condition::new(field, test))
}

/// `struct xt_tcp`.
fn tcp(info: Info<'_>) -> Option<Vec<Condition>> {
    let inverted = info.u8(11)?;
    let option = info.u8(8)?;
    let (mask, flags) = (info.u8(9)?, info.u8(10)?);
    if option != 0 {
        return None;
    }
    let ends = |at: usize| Some((info.u16(at)?, info.u16(at + 2)?));
    let mut found: Vec<Condition> = between(Field::TcpSourcePort, ends(0)?, ALL_PORTS, inverted & 1 != 0)
        .into_iter()
        .chain(between(Field::TcpDestinationPort, ends(4)?, ALL_PORTS, inverted & 2 != 0))
        .collect();
    if mask != 0 || inverted & 4 != 0 {
        let operand = Operand { field: Field::TcpFlags, mask: Some(Value::Number(mask.into())) };
        let test = Test::Compare { how: equality(inverted & 4 != 0), value: Value::Number(flags.into()) };
        found.push(Condition { operands: vec![operand], test });
    }
    Some(found)
}

/// `struct xt_udp`.
fn udp(info: Info<'_>) -> Option<Vec<Condition>> {
    let inverted = info.u8(8)?;
    let ends = |at: usize| Some((info.u16(at)?, info.u16(at + 2)?));
    let source = between(Field::UdpSourcePort, ends(0)?, ALL_PORTS, inverted & 1 != 0);
    Some(source.into_iter().chain(between(Field::UdpDestinationPort, ends(4)?, ALL_PORTS, inverted & 2 != 0)).collect())
}

/// `struct ipt_icmp` and `struct ip6t_icmp`. `any`: the type that stands for all types.
fn icmp(info: Info<'_>, (kind, code): (Field, Field), any: Option<u8>) -> Option<Vec<Condition>> {
    let named = info.u8(0)?;
    let codes = (u16::from(info.u8(1)?), u16::from(info.u8(2)?));
    let inverted = info.u8(3)? & 1 != 0;
    let whole = (0, u16::from(u8::MAX));
    if any == Some(named) {
        return (!inverted).then(Vec::new);
    }
    // The inversion is of type and code together, which is no list of conditions.
    if inverted && codes != whole {
        return None;
    }
    let test = Test::Compare { how: equality(inverted), value: Value::Number(named.into()) };
    Some(std::iter::once(Condition::new(kind, test)).chain(between(code, codes, whole, false)).collect())
}

/// `struct xt_multiport_v1`.
fn multiport(info: Info<'_>, context: &Context) -> Option<Vec<Condition>> {
    let (flags, count, inverted) = (info.u8(0)?, usize::from(info.u8(1)?), info.u8(47)? != 0);
    let field = match (flags, context.transport.as_slice()) {
        (0, [TCP]) => Field::TcpSourcePort,
        (1, [TCP]) => Field::TcpDestinationPort,
        (0, [UDP]) => Field::UdpSourcePort,
        (1, [UDP]) => Field::UdpDestinationPort,
        (0, _) => Field::ThSourcePort,
        (1, _) => Field::ThDestinationPort,
        // Either port is in the list: no field by itself.
        _ => return None,
    };
    let mut keys = vec![];
    let mut at = 0;
    while at < count {
        let (port, begins) = (info.u16(2 + 2 * at)?, info.u8(32 + at)? != 0);
        let number = |number: u16| Value::Number(number.into());
        keys.push(if begins {
            at += 1;
            Span::Range { first: number(port), last: number(info.u16(2 + 2 * at)?) }
        } else {
            Span::One(number(port))
        });
        at += 1;
    }
    Some(vec![within(field, "multiport", keys, inverted)])
}

pub(super) fn within(field: Field, name: &str, keys: Vec<Span>, inverted: bool) -> Condition {
    let elements = keys.into_iter().map(|key| Element { key: vec![key], data: None }).collect();
    let set = SetRef { name: name.to_owned(), elements: Some(elements) };
    Condition::new(field, Test::In { set, inverted })
}

/// The states of `struct xt_conntrack_mtinfo3`; its other parts are not understood.
fn conntrack(info: Info<'_>) -> Option<Vec<Condition>> {
    let (matched, inverted) = (info.u16(146)?, info.u16(148)?);
    (matched & !CONNTRACK_STATE_ALIAS == CONNTRACK_STATE).then_some(())?;
    Some(vec![states(info.u16(150)?.into(), inverted & CONNTRACK_STATE != 0)?])
}

/// One of some states of connection tracking, or none of them.
pub(super) fn states(bits: u32, inverted: bool) -> Option<Condition> {
    let known = bits & STATES;
    let untracked = if bits & UNTRACKED.0 != 0 { UNTRACKED.1 } else { 0 };
    (bits & !(STATES | UNTRACKED.0) == 0).then_some(())?;
    let mask = Some(Value::Number((known | untracked).into()));
    let operand = Operand { field: Field::Ct { key: CtKey::State, direction: None }, mask };
    let how = equality(!inverted);
    Some(Condition { operands: vec![operand], test: Test::Compare { how, value: Value::Number(0) } })
}

/// `struct xt_mark_mtinfo1`.
fn mark(info: Info<'_>) -> Option<Condition> {
    let (value, mask, inverted) = (info.u32(0)?, info.u32(4)?, info.u8(8)? != 0);
    let mask = (mask != u32::MAX).then(|| Value::Number(mask.into()));
    let operand = Operand { field: Field::MetaMark, mask };
    let test = Test::Compare { how: equality(inverted), value: Value::Number(value.into()) };
    Some(Condition { operands: vec![operand], test })
}

/// `struct xt_addrtype_info_v1`, unless it is limited to an interface.
fn addrtype(info: Info<'_>) -> Option<Vec<Condition>> {
    let (source, destination, flags) = (info.u16(0)?, info.u16(2)?, info.u32(4)?);
    (flags & !3 == 0).then_some(())?;
    let of = |types: u16, source: bool, inverted: bool| {
        let keys: Vec<Span> =
            (0u16..16).filter(|bit| types & (1 << bit) != 0).map(|bit| Span::One(Value::Number(bit.into()))).collect();
        let field = Field::Fib {
            source,
            destination: !source,
            mark: false,
            iif: false,
            oif: false,
            result: FibResult::AddressType,
        };
        match keys.as_slice() {
            [] => None,
            [Span::One(one)] => {
                Some(Condition::new(field, Test::Compare { how: equality(inverted), value: one.clone() }))
            }
            _ => Some(within(field, "addrtype", keys, inverted)),
        }
    };
    Some(of(source, true, flags & 1 != 0).into_iter().chain(of(destination, false, flags & 2 != 0)).collect())
}

/// The statements of a target; `None` if it is not understood.
pub(super) fn target(name: &str, revision: u32, info: &[u8], family: u8) -> Option<Vec<Statement>> {
    let kind = match (name, revision) {
        ("SNAT", 0 | 1) => Some(NatKind::Snat),
        ("DNAT", 0..=2) => Some(NatKind::Dnat),
        ("MASQUERADE", 0) => Some(NatKind::Masquerade),
        ("REDIRECT", 0) => Some(NatKind::Redirect),
        _ => None,
    };
    if let Some(kind) = kind {
        let nat = if revision == 0 && family != IPV6 { nat(kind, info) } else { nat2(kind, info, family) };
        return Some(vec![Statement::Nat(Box::new(nat?))]);
    }
    let info = Info(info);
    Some(vec![match (name, revision) {
        ("REJECT", 0) => Statement::Reject(reject(info.u32(0)?, family)?),
        ("LOG" | "NFLOG", _) => Statement::Log,
        ("NOTRACK", _) => Statement::NoTrack,
        // `XT_CT_NOTRACK`; the other flags and a helper or zone are not understood.
        ("CT", _) if info.u16(0)? == 1 => Statement::NoTrack,
        ("MARK", 2) if info.u32(4)? == u32::MAX => {
            let to = Source::Value(Value::Number(info.u32(0)?.into()));
            Statement::Assign { field: Field::MetaMark, to }
        }
        _ => return None,
    }])
}

/// `enum ipt_reject_with` and `enum ip6t_reject_with`, as the error that is sent.
pub(super) fn reject(with: u32, family: u8) -> Option<Reject> {
    let codes: BTreeMap<u32, Reject> = if family == IPV6 {
        [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (7, 5), (8, 6)]
            .map(|(with, code)| (with, Reject::Icmpv6(code)))
            .into_iter()
            .chain([(6, Reject::TcpReset)])
            .collect()
    } else {
        [(0, 0), (1, 1), (2, 2), (3, 3), (5, 9), (6, 10), (8, 13)]
            .map(|(with, code)| (with, Reject::Icmp(code)))
            .into_iter()
            .chain([(7, Reject::TcpReset)])
            .collect()
    };
    codes.get(&with).copied()
}

/// `struct nf_nat_ipv4_multi_range_compat` with its one range.
fn nat(kind: NatKind, info: &[u8]) -> Option<Nat> {
    let flags = Info(info).u32(4)?;
    let address = |at: usize| Some(Kind::Address4.value(info.get(at..at + 4)?));
    translation(kind, Family::Ip, flags, (address(8)?, address(12)?), (info.get(16..18)?, info.get(18..20)?))
}

/// `struct nf_nat_range` and `struct nf_nat_range2`.
fn nat2(kind: NatKind, info: &[u8], family: u8) -> Option<Nat> {
    let (of, length, family) =
        if family == IPV6 { (Kind::Address6, 16, Family::Ip6) } else { (Kind::Address4, 4, Family::Ip) };
    let address = |at: usize| Some(of.value(info.get(at..at + length)?));
    let flags = Info(info).u32(0)?;
    translation(kind, family, flags, (address(4)?, address(20)?), (info.get(36..38)?, info.get(38..40)?))
}

fn translation(
    kind: NatKind,
    family: Family,
    flags: u32,
    (first, last): (Value, Value),
    (low, high): (&[u8], &[u8]),
) -> Option<Nat> {
    // Persistent mappings and random ports change no fate of a packet; other flags are not understood.
    (flags & !(NAT_ADDRESS | NAT_PORT | NAT_RANDOM | 8) == 0).then_some(())?;
    let range = |first, last| SourceRange { first: Source::Value(first), last: Source::Value(last) };
    let port = |bytes| Value::Number(big_endian(bytes));
    Some(Nat {
        kind,
        family: Some(family),
        address: (flags & NAT_ADDRESS != 0).then(|| range(first, last)),
        port: (flags & NAT_PORT != 0).then(|| range(port(low), port(high))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(statements: Option<Vec<Statement>>) -> Option<String> {
        statements.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    fn matched(name: &str, revision: u32, info: &[u8]) -> Option<String> {
        let context = Context { transport: vec![TCP], ..Context::default() };
        text(super::matched(name, revision, info, &context))
    }

    #[test]
    fn what_is_understood_in_part_is_not_understood() {
        let port = |port: u16| port.to_ne_bytes();
        let tcp = |option: u8| {
            let mut info = [port(0), port(u16::MAX), port(22), port(22)].concat();
            info.extend([option, 0x17, 2, 0]);
            info
        };
        assert_eq!(matched("tcp", 0, &tcp(0)).unwrap(), "tcp dport 22 tcp flags syn / fin,syn,rst,ack");
        assert_eq!(matched("tcp", 0, &tcp(5)), None, "a TCP option");
        assert_eq!(matched("tcp", 1, &tcp(0)), None, "a revision that does not exist");
        assert_eq!(matched("tcp", 0, &tcp(0)[..9]), None, "cut off");
        assert_eq!(matched("icmp", 0, &[8, 0, 255, 0]).unwrap(), "icmp type echo-request");
        assert_eq!(matched("icmp", 0, &[8, 0, 255, 1]).unwrap(), "icmp type != echo-request");
        assert_eq!(matched("icmp", 0, &[3, 1, 1, 1]), None, "not this type with this code");
        assert_eq!(matched("icmp", 0, &[255, 0, 255, 0]).unwrap(), "");
        assert_eq!(matched("recent", 1, &[0; 300]), None);
    }

    #[test]
    fn ports_of_a_list_are_values_and_ranges() {
        let mut info = [0; 48];
        (info[0], info[1]) = (1, 3);
        for (at, port) in [80u16, 1000, 1010].into_iter().enumerate() {
            info[2 + 2 * at..4 + 2 * at].copy_from_slice(&port.to_ne_bytes());
        }
        info[33] = 1;
        assert_eq!(matched("multiport", 1, &info).unwrap(), "tcp dport { 80, 1000-1010 }");
        info[47] = 1;
        assert_eq!(matched("multiport", 1, &info).unwrap(), "tcp dport != { 80, 1000-1010 }");
        info[0] = 2;
        assert_eq!(matched("multiport", 1, &info), None, "either port");
    }

    #[test]
    fn states_and_rejections_have_the_codes_of_nftables() {
        assert_eq!(matched("state", 0, &0x102u32.to_ne_bytes()).unwrap(), "ct state established,untracked");
        assert_eq!(matched("state", 0, &0x40u32.to_ne_bytes()), None, "a translated connection");
        let target = |family, with: u32| text(target("REJECT", 0, &with.to_ne_bytes(), family));
        assert_eq!(target(2, 6).unwrap(), "reject with icmp host-prohibited");
        assert_eq!(target(10, 1).unwrap(), "reject with icmpv6 admin-prohibited");
        assert_eq!(target(2, 4), None, "an echo reply");
    }
}
