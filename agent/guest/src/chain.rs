//! The evaluation of one base chain, with the chains that it jumps to.
//!
//! A rule whose conditions surely hold decides; one whose conditions perhaps hold adds its decision to the possible ones, and
//! evaluation goes on behind it. What a rule writes under a condition that perhaps holds is known only where it makes
//! no difference.

use crate::{
    bits::Bits,
    condition::{Found, Seen, as_number},
    connection::{To, Translation},
    field::FieldValue,
    host::Host,
    maybe::Maybe,
    place::{How, Place},
    subject::{Device, Subject},
};
use pingtong_evidence::{
    Policy,
    packet_filter::{
        Chain, CtKey, Data, Family, Field, Nat, NatKind, ObjectKind, Reject, Source, SourceRange, Statement, Table,
        Value, Verdict,
    },
};
use std::net::IpAddr;

/// Maximum depth of jumps (`NFT_JUMP_STACK_SIZE`).
const JUMPS_MAX: usize = 16;
/// Maximum number of rules evaluated in one base chain. Chains that jump twice to chains that jump twice … would otherwise
/// take exponential time; beyond it, everything is possible.
const RULES_MAX: u32 = 100_000;

/// What a base chain does with a packet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome<'w> {
    /// What is known of the packet if it is accepted; `None` if it surely is not.
    pub(crate) accepted: Option<Subject<'w>>,
    /// The rules that may end it.
    pub(crate) stops: Vec<(Place, How)>,
}

impl<'w> Outcome<'w> {
    fn accept(&mut self, subject: &Subject<'w>) {
        self.accepted = Some(self.accepted.map_or(*subject, |other| other.or(subject)));
    }

    fn stop(&mut self, place: Place, how: How) {
        if !self.stops.contains(&(place, how.clone())) {
            self.stops.push((place, how));
        }
    }
}

/// A chain of a rule set, by the indices of table and chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) table: usize,
    pub(crate) chain: usize,
}

/// Evaluates a base chain.
pub(crate) fn evaluate<'w>(host: &Host<'w>, At { table, chain }: At, subject: &Subject<'w>) -> Outcome<'w> {
    let Some(of) = host.rules.tables.get(table) else { return Outcome::default() };
    let Some(base) = of.chains.get(chain) else { return Outcome::default() };
    let mut run = Run { host, table: of, index: table, outcome: Outcome::default(), rules: 0 };
    if let Some(rest) = run.chain(chain, subject, 0) {
        let place = Place { table, chain, rule: None, hook: subject.hook };
        match base.base.as_ref().map(|base| base.policy) {
            Some(Policy::Drop) => run.outcome.stop(place, How::Drop),
            Some(Policy::Accept) | None => run.outcome.accept(&rest),
        }
    }
    run.outcome
}

struct Run<'r, 'w> {
    host: &'r Host<'w>,
    table: &'r Table,
    index: usize,
    outcome: Outcome<'w>,
    rules: u32,
}

/// What a rule does with a packet that met its conditions.
enum Deed<'w> {
    /// Evaluation goes on with the next rule.
    Next(Subject<'w>),
    /// The packet is decided.
    Decided,
    /// The chain ends here; evaluation goes on behind the jump to it.
    Returns(Subject<'w>),
}

impl<'w> Run<'_, 'w> {
    /// Evaluates a chain; the packet as it is behind the jump to it, `None` if it surely does not come there.
    fn chain(&mut self, chain: usize, subject: &Subject<'w>, depth: usize) -> Option<Subject<'w>> {
        let Chain { rules, .. } = self.table.chains.get(chain)?;
        let mut now = *subject;
        let mut returned = None;
        for (index, rule) in rules.iter().enumerate() {
            self.rules += 1;
            let place = Place { table: self.index, chain, rule: Some(index), hook: subject.hook };
            if self.rules > RULES_MAX {
                self.outcome.stop(place, How::NotUnderstood(String::from("the number of rules")));
                self.outcome.accept(&now);
                return None;
            }
            let mut written = now;
            let (holds, deed) = self.rule(&rule.statements, &mut written, place, depth);
            if holds == Maybe::No {
                continue;
            }
            let may_skip = holds == Maybe::Perhaps;
            now = match deed {
                Deed::Next(after) if may_skip => now.or(&after),
                Deed::Next(after) => after,
                Deed::Decided if may_skip => now,
                Deed::Decided => return returned,
                Deed::Returns(after) => {
                    join(&mut returned, &after);
                    if !may_skip {
                        return returned;
                    }
                    now
                }
            };
        }
        join(&mut returned, &now);
        returned
    }

    /// Evaluates a rule: whether its conditions hold, and what it then does.
    fn rule(
        &mut self,
        statements: &[Statement],
        subject: &mut Subject<'w>,
        place: Place,
        depth: usize,
    ) -> (Maybe, Deed<'w>) {
        let mut holds = Maybe::Surely;
        for statement in statements {
            let seen = Seen { host: self.host, table: self.table, subject };
            match statement {
                Statement::Match(condition) => holds = holds.and(seen.meets(condition)),
                Statement::Limit(_) | Statement::Quota { .. } | Statement::ConnectionLimit { .. } => {
                    holds = holds.and(Maybe::Perhaps);
                }
                Statement::Object { kind, .. } => {
                    if !matches!(
                        kind,
                        ObjectKind::Counter | ObjectKind::CtHelper | ObjectKind::CtTimeout | ObjectKind::CtExpectation
                    ) {
                        holds = holds.and(Maybe::Perhaps);
                    }
                }
                Statement::Counter | Statement::Log => {}
                Statement::NoTrack => subject.notrack = Some(true),
                Statement::Assign { field, to } => match seen.source(to) {
                    Written::Absent => return (Maybe::No, Deed::Next(*subject)),
                    Written::Unknown => assign(subject, field, None),
                    Written::Is(value) => assign(subject, field, Some(&value)),
                },
                // In a table of both families it does nothing to packets of the other one (`nft_nat_inet_eval`).
                Statement::Nat(nat)
                    if nat.family.as_ref().is_some_and(|family| {
                        *family == (if subject.packet.ipv4 { Family::Ip6 } else { Family::Ip })
                    }) => {}
                Statement::Nat(nat) => {
                    subject.translation = Some(Translation { by: Some(place), ..seen.translation(nat) });
                    self.outcome.accept(subject);
                    return (holds, Deed::Decided);
                }
                Statement::Verdict(verdict) => return (holds, self.decide(verdict, subject, place, depth)),
                Statement::VerdictMap { operands, map } => {
                    let Some(found) = seen.look_up(operands, map) else { return (Maybe::No, Deed::Next(*subject)) };
                    if found.is_unknown {
                        return (holds.and(Maybe::Perhaps), self.open(place, format!("map {}", map.name), subject));
                    }
                    return (holds, self.by_map(&found, subject, place, depth));
                }
                Statement::Reject(how) => {
                    self.outcome.stop(place, How::Reject(*how));
                    return (holds, Deed::Decided);
                }
                Statement::Queue { first, last, bypass } => {
                    self.queue((*first, *last), *bypass, subject, place);
                    return (holds, Deed::Decided);
                }
                Statement::NotUnderstood { name } => {
                    if may_decide(name) {
                        self.outcome.stop(place, How::NotUnderstood(name.clone()));
                        self.outcome.accept(subject);
                    }
                    if !is_harmless(name) {
                        holds = holds.and(Maybe::Perhaps);
                    }
                }
            }
            if holds == Maybe::No {
                return (holds, Deed::Next(*subject));
            }
        }
        (holds, Deed::Next(*subject))
    }

    fn queue(&mut self, (first, last): (u16, u16), bypass: bool, subject: &Subject<'w>, place: Place) {
        let listens = self.host.queues.map(|listening| (first..=last).all(|queue| listening.contains(&queue)));
        match (listens, bypass) {
            (Some(false), true) => self.outcome.accept(subject),
            (Some(false), false) => self.outcome.stop(place, How::Queue),
            // The program decides.
            (Some(true) | None, _) => {
                self.outcome.stop(place, How::Queue);
                self.outcome.accept(subject);
            }
        }
    }

    fn by_map(&mut self, found: &Found<'_>, subject: &Subject<'w>, place: Place, depth: usize) -> Deed<'w> {
        let (mut next, mut returned) = (found.may_miss.then_some(*subject), None);
        for (holds, data) in &found.data {
            let Some(Data::Verdict(verdict)) = data else {
                self.outcome.stop(place, How::NotUnderstood(String::from("a map without verdicts")));
                join(&mut next, subject);
                continue;
            };
            match self.decide(verdict, subject, place, depth) {
                Deed::Next(after) => join(&mut next, &after),
                Deed::Returns(after) => join(&mut returned, &after),
                Deed::Decided => {}
            }
            if *holds == Maybe::Perhaps && found.may_miss {
                join(&mut next, subject);
            }
        }
        match (next, returned) {
            (None, None) => Deed::Decided,
            (Some(after), None) => Deed::Next(after),
            (None, Some(after)) => Deed::Returns(after),
            // Both are possible: what may return is as if it had been accepted or stopped by what follows.
            (Some(after), Some(back)) => {
                self.outcome.stop(place, How::NotUnderstood(String::from("a map that may return")));
                self.outcome.accept(&back);
                Deed::Next(after.or(&back))
            }
        }
    }

    /// What a verdict does. Only for a rule whose conditions hold, surely or perhaps.
    fn decide(&mut self, verdict: &Verdict, subject: &Subject<'w>, place: Place, depth: usize) -> Deed<'w> {
        match verdict {
            Verdict::Accept => {
                self.outcome.accept(subject);
                Deed::Decided
            }
            Verdict::Drop => {
                self.outcome.stop(place, How::Drop);
                Deed::Decided
            }
            Verdict::Continue => Deed::Next(*subject),
            Verdict::Return => Deed::Returns(*subject),
            Verdict::Jump(to) | Verdict::Goto(to) => {
                let target = self.table.chains.iter().position(|chain| chain.name == *to);
                let Some(target) = target.filter(|_| depth < JUMPS_MAX) else {
                    return self.open(place, format!("chain {to}"), subject);
                };
                match (self.chain(target, subject, depth + 1), verdict) {
                    (None, _) => Deed::Decided,
                    (Some(after), Verdict::Jump(_)) => Deed::Next(after),
                    (Some(after), _) => Deed::Returns(after),
                }
            }
            Verdict::Other(code) => self.open(place, format!("verdict {code}"), subject),
        }
    }

    /// Everything is possible: the packet is decided, or evaluation goes on.
    fn open(&mut self, place: Place, what: String, subject: &Subject<'w>) -> Deed<'w> {
        self.outcome.stop(place, How::NotUnderstood(what));
        self.outcome.accept(subject);
        Deed::Next(*subject)
    }
}

fn join<'w>(one: &mut Option<Subject<'w>>, other: &Subject<'w>) {
    *one = Some(one.map_or(*other, |one| one.or(other)));
}

/// What a rule writes.
enum Written {
    /// Nothing: the packet lacks what it is made from, so that the rule ends.
    Absent,
    /// A value that is not known.
    Unknown,
    Is(Value),
}

impl Written {
    fn value(self) -> Option<Value> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Unknown => None,
        }
    }
}

impl Seen<'_, '_> {
    fn source(&self, source: &Source) -> Written {
        match source {
            Source::Value(value) => Written::Is(value.clone()),
            Source::Field(operand) => match self.value(operand) {
                FieldValue::Absent => Written::Absent,
                FieldValue::Bits(bits) => {
                    let number = bits.exact().and_then(|number| u64::try_from(number).ok());
                    number.map_or(Written::Unknown, |number| Written::Is(Value::Number(number)))
                }
                FieldValue::Name(_) => Written::Unknown,
            },
            Source::Map { operands, map, part } => {
                let Some(found) = self.look_up(operands, map) else { return Written::Absent };
                match found.data.as_slice() {
                    [] if !found.is_unknown => Written::Absent,
                    [(Maybe::Surely, Some(Data::Values(values)))] => usize::try_from(*part)
                        .ok()
                        .and_then(|part| values.get(part))
                        .map_or(Written::Unknown, |value| Written::Is(value.clone())),
                    _ => Written::Unknown,
                }
            }
            Source::NotUnderstood { .. } => Written::Unknown,
        }
    }

    fn translation(&self, nat: &Nat) -> Translation {
        let one = |range: &SourceRange| {
            let value = self.source(&range.first).value();
            value.filter(|_| range.first == range.last)
        };
        let subject = self.subject;
        let address = match (&nat.address, nat.kind) {
            (Some(range), _) => match one(range) {
                Some(Value::Address(address)) => To::New(address),
                _ => To::Unknown,
            },
            (None, NatKind::Masquerade) => {
                let own = subject.output.name().and_then(|device| self.host.first_address(device, subject.packet.ipv4));
                own.map_or(To::Unknown, To::New)
            }
            (None, NatKind::Redirect) => match subject.input {
                Device::Named(device) => {
                    self.host.first_address(device, subject.packet.ipv4).map_or(To::Unknown, To::New)
                }
                Device::None if subject.packet.ipv4 => To::New(IpAddr::from([127, 0, 0, 1])),
                Device::None => To::New(IpAddr::from(1_u128.to_be_bytes())),
                Device::Unknown => To::Unknown,
            },
            (None, NatKind::Snat | NatKind::Dnat) => To::Unchanged,
        };
        let port = match &nat.port {
            Some(range) => match one(range).as_ref().and_then(as_number).map(u16::try_from) {
                Some(Ok(port)) => To::New(port),
                _ => To::Unknown,
            },
            None => To::Unchanged,
        };
        Translation { address, port, by: None }
    }
}

/// Writes a field; `None` writes a value that is not known.
fn assign(subject: &mut Subject<'_>, field: &Field, value: Option<&Value>) {
    let number = value.and_then(as_number);
    let address = match value {
        Some(Value::Address(address)) => Some(*address),
        _ => None,
    };
    let port = number.and_then(|number| u16::try_from(number).ok());
    let packet = &mut subject.packet;
    match field {
        Field::MetaMark => subject.mark = Bits::of(number),
        Field::Ct { key: CtKey::Mark, .. } => {
            subject.tracked.set_mark(Bits::of(number));
        }
        Field::IpSource | Field::Ip6Source => packet.source = address,
        Field::IpDestination | Field::Ip6Destination => packet.destination = address,
        Field::TcpSourcePort | Field::UdpSourcePort | Field::ThSourcePort => packet.set_source_port(port),
        Field::TcpDestinationPort | Field::UdpDestinationPort | Field::ThDestinationPort => {
            packet.set_destination_port(port);
        }
        Field::IpTtl | Field::Ip6HopLimit => packet.ttl = number.and_then(|ttl| u8::try_from(ttl).ok()),
        Field::MetaPriority | Field::MetaNftrace | Field::IpDscp | Field::IpEcn | Field::Ip6Dscp | Field::Ct { .. } => {
        }
        // Bits without a name may be any of the packet.
        _ => {
            packet.source = None;
            packet.destination = None;
            packet.set_source_port(None);
            packet.set_destination_port(None);
        }
    }
}

/// Expressions of the kernel that are conditions or count, and decide nothing by themselves.
const CONDITIONS: [&str; 12] =
    ["numgen", "hash", "exthdr", "osf", "socket", "tunnel", "xfrm", "rt", "dynset", "last", "inner", "range"];
/// Targets of xtables that let the packet go on.
const TARGETS_THAT_GO_ON: [&str; 15] = [
    "TCPMSS",
    "TCPOPTSTRIP",
    "TOS",
    "DSCP",
    "TTL",
    "HL",
    "ECN",
    "MARK",
    "CONNMARK",
    "CLASSIFY",
    "LOG",
    "NFLOG",
    "TRACE",
    "CHECKSUM",
    "SECMARK",
];

/// Whether what is not understood may end the packet by itself. Matches of xtables have names of small letters, its targets of
/// capitals.
fn may_decide(name: &str) -> bool {
    match name.strip_prefix("xt ") {
        Some(extension) => {
            extension.chars().any(|letter| letter.is_ascii_uppercase()) && !TARGETS_THAT_GO_ON.contains(&extension)
        }
        None => !CONDITIONS.contains(&name),
    }
}

/// Whether the next statement surely follows.
fn is_harmless(name: &str) -> bool {
    name == "last" || name.strip_prefix("xt ").is_some_and(|extension| TARGETS_THAT_GO_ON.contains(&extension))
}

/// What a rejecting rule sends: type and code of an ICMP error, or `None` for a TCP segment with RST.
pub(crate) fn icmp_error(reject: Reject, ipv4: bool) -> Option<(u8, u8)> {
    match reject {
        Reject::TcpReset => None,
        Reject::Icmp(code) => Some((3, code)),
        Reject::Icmpv6(code) => Some((1, code)),
        Reject::Icmpx(code) => Some(icmpx(code, ipv4)),
    }
}

/// `NFT_REJECT_ICMPX_*` in both families (`nft_reject_icmp_code`, `nft_reject_icmpv6_code`).
fn icmpx(code: u8, ipv4: bool) -> (u8, u8) {
    match (code, ipv4) {
        (0, true) => (3, 0),
        (1, true) => (3, 3),
        (2, true) => (3, 1),
        (_, true) => (3, 13),
        (0, false) => (1, 0),
        (1, false) => (1, 4),
        (2, false) => (1, 3),
        (_, false) => (1, 1),
    }
}
