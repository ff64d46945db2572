//! Whether a refusing rule of the guest's packet filter matches the probes.
//!
//! Evaluates the rule's typed statements: surely, perhaps, or not. Whatever is not understood makes *perhaps*, never
//! *not* and never *surely*. A rule that names a protocol and has only understood conditions surely applies or surely
//! does not; any other rule perhaps applies, and such a rule is blamed only if the wire shows a refusal. An earlier
//! accepting rule is not visible here, so the wire decides in the end. The text of a rule is for the reader and is
//! never read: of a rule from an agent that reported no statements, only the family and protocol count.

mod condition;
mod packet;

pub(crate) use packet::Asked;

use condition::meets;
use packet::Packet;
use pingtong_evidence::{
    FirewallRule, Protocol,
    packet_filter::{CtKey, Field, ObjectKind, Statement},
};
use std::net::IpAddr;

/// Whether a rule applies to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applies {
    Surely,
    Perhaps,
    No,
}

impl From<bool> for Applies {
    fn from(is_true: bool) -> Self {
        if is_true { Self::Surely } else { Self::No }
    }
}

impl Applies {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Surely, Self::Surely) => Self::Surely,
            _ => Self::Perhaps,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    fn not(self) -> Self {
        match self {
            Self::Surely => Self::No,
            Self::Perhaps => Self::Perhaps,
            Self::No => Self::Surely,
        }
    }
}

/// Whether a rule applies to packets of the pair. `port` is the port of the service; the port of the other end is
/// chosen by the kernel and is unknown.
pub(crate) fn applies(
    rule: &FirewallRule,
    service: (Protocol, Option<u16>),
    peer: IpAddr,
    own: IpAddr,
    asked: Asked,
) -> Applies {
    let packet = Packet::new(service, peer, own, asked);
    let of_other_family = match rule.family.as_str() {
        "ip" => !packet.is_ipv4(),
        "ip6" => packet.is_ipv4(),
        "arp" => true,
        _ => false,
    };
    if of_other_family || rule.protocol.is_some_and(|bound| bound != packet.protocol()) {
        return Applies::No;
    }
    let Some(statements) = &rule.statements else { return Applies::Perhaps };
    let named = if rule.protocol.is_some() && rule.handle.is_some() { Applies::Surely } else { Applies::Perhaps };
    statements.iter().fold(named, |so_far, statement| so_far.and(passes(&packet, statement)))
}

/// Whether a packet goes on behind a statement, or is decided by it.
fn passes(packet: &Packet, statement: &Statement) -> Applies {
    match statement {
        Statement::Match(condition) => meets(packet, condition),
        Statement::Verdict(_)
        | Statement::Reject(_)
        | Statement::Counter
        | Statement::Log
        | Statement::NoTrack
        | Statement::Assign {
            field: Field::MetaMark | Field::MetaPriority | Field::MetaNftrace | Field::Ct { key: CtKey::Mark, .. },
            ..
        }
        | Statement::Object {
            kind: ObjectKind::Counter | ObjectKind::CtHelper | ObjectKind::CtTimeout | ObjectKind::CtExpectation,
            ..
        } => Applies::Surely,
        Statement::Limit(_)
        | Statement::Quota { .. }
        | Statement::ConnectionLimit { .. }
        | Statement::Assign { .. }
        | Statement::Nat(_)
        | Statement::VerdictMap { .. }
        | Statement::Queue { .. }
        | Statement::Object { .. }
        | Statement::NotUnderstood { .. } => Applies::Perhaps,
    }
}

/// Whether a rule treats echo requests and replies differently.
pub(crate) fn names_a_type(rule: &FirewallRule, peer: IpAddr, own: IpAddr) -> bool {
    let echo = |asked| Packet::new((Protocol::Icmp, None), peer, own, asked);
    let pairs = [(echo(Asked::Requests), echo(Asked::Replies)), (echo(Asked::Sent), echo(Asked::Answers))];
    rule.statements
        .iter()
        .flatten()
        .any(|statement| pairs.iter().any(|(request, reply)| passes(request, statement) != passes(reply, statement)))
}

/// Whether a rule has a condition on the source port.
pub(crate) fn names_a_source_port(rule: &FirewallRule) -> bool {
    let is_port = |field: &Field| matches!(field, Field::TcpSourcePort | Field::UdpSourcePort | Field::ThSourcePort);
    rule.statements.iter().flatten().any(|statement| match statement {
        Statement::Match(condition) => condition.operands.iter().any(|operand| is_port(&operand.field)),
        _ => false,
    })
}

#[cfg(test)]
mod tests;
