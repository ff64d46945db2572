//! What guests do with packets besides the faults of the registry: rules at every hook, rates, translation, queues that drop,
//! programs. Each says what becomes of a packet and what an agent reports of it.
//!
//! The fates are written from the kernel's order of hooks (`SEMANTICS.md` §5.2): a program of XDP drops before anything sees
//! a packet, a packet socket sees it before netfilter, and what `egress` or a queue drops was accepted by the socket.

use crate::{
    random::Random,
    world::{Act, Guest, Habit, Place, Speaks, World},
};
use pingtong_evidence::{
    FirewallHook, Mechanisms, Policy, QueueDiscipline, Side,
    packet_filter::{
        BaseChain, Chain, ChainKind, Condition, Family, Field, Limit, LimitUnit, Nat, NatKind, Rule, RuleSet, Source,
        SourceRange, Statement, Table, Value, Verdict,
    },
};

/// What becomes of a packet in a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The socket's call fails.
    NotSent,
    /// It is dropped behind the socket, before the device.
    NotLeft,
    /// It leaves with addresses that the cloud does not accept.
    Rewritten,
    /// It is dropped before anything sees it.
    Unseen,
    /// It is dropped behind the packet socket.
    NotAccepted,
}

impl Habit {
    /// Draws one.
    pub fn draw(random: &mut Random) -> Self {
        let acts = [
            Act::Drop,
            Act::Drop,
            Act::DropUnseen,
            Act::SpareUnseen,
            Act::Limit,
            Act::Translate,
            Act::Shape,
            Act::Program,
            Act::Encrypt,
        ];
        let places = [Place::Device, Place::Raw, Place::Filter, Place::Jumped];
        let speaks = [Speaks::Requests, Speaks::Replies, Speaks::Icmp];
        let act = random.pick(&acts).copied().unwrap_or(Act::Drop);
        let inward = !matches!(act, Act::Shape | Act::Encrypt) && random.percent(50);
        let speaks = match act {
            Act::Translate => Speaks::Requests,
            Act::Shape | Act::Program | Act::Encrypt => Speaks::Icmp,
            _ => random.pick(&speaks).copied().unwrap_or(Speaks::Icmp),
        };
        let place = random.pick(&places).copied().unwrap_or(Place::Filter);
        Self { act, place, inward, speaks, spares: (false, false) }
    }

    /// The code of the cause that may be proven for it.
    pub fn code(self) -> Option<&'static str> {
        match self.act {
            Act::Drop | Act::DropUnseen => Some("guest-firewall"),
            Act::Limit => Some("guest-rate-limit"),
            Act::Translate => Some("guest-nat"),
            Act::SpareUnseen | Act::Shape | Act::Program | Act::Encrypt => None,
        }
    }

    fn fate(self, inward: bool, reply: bool, number: u32) -> Option<Fate> {
        let speaks = match self.speaks {
            Speaks::Requests => !reply,
            Speaks::Replies => reply,
            Speaks::Icmp => true,
            Speaks::OtherService => false,
        };
        let is_spared = if reply { self.spares.1 } else { self.spares.0 };
        if self.inward != inward || !speaks || is_spared {
            return None;
        }
        let refused = match (inward, self.place) {
            (true, _) => Fate::NotAccepted,
            (false, Place::Device) => Fate::NotLeft,
            (false, _) => Fate::NotSent,
        };
        match self.act {
            Act::Drop | Act::DropUnseen => Some(refused),
            Act::Limit => (number % 2 == 1).then_some(refused),
            Act::SpareUnseen => None,
            Act::Translate => Some(if inward { Fate::NotAccepted } else { Fate::Rewritten }),
            Act::Shape => (number % 4 == 3).then_some(Fate::NotLeft),
            Act::Program => Some(if inward { Fate::Unseen } else { Fate::NotLeft }),
            Act::Encrypt => Some(Fate::NotLeft),
        }
    }

    /// The order in which habits meet a packet.
    fn order(self) -> u8 {
        let rank = match (self.act, self.place) {
            (Act::Program, _) if self.inward => 0,
            (Act::Translate, _) if self.inward => 3,
            (Act::Translate | Act::Encrypt, _) => 4,
            (Act::Shape | Act::Program, _) => 6,
            (_, Place::Device) => 1,
            (_, Place::Raw) => 2,
            (_, Place::Filter | Place::Jumped) => 4,
        };
        // What leaves meets the device last.
        if !self.inward && rank == 1 { 5 } else { rank }
    }

    /// The table that an agent reports.
    fn table(self, index: usize, guest: &Guest) -> Option<Table> {
        let equal = |field, number| Statement::Match(Condition::equal(field, number));
        let mut statements = vec![equal(Field::MetaL4proto, 1)];
        statements.extend(match self.speaks {
            Speaks::Requests => Some(equal(Field::IcmpType, 8)),
            Speaks::Replies => Some(equal(Field::IcmpType, 0)),
            Speaks::Icmp | Speaks::OtherService => None,
        });
        let unseen = || Statement::NotUnderstood { name: String::from("numgen") };
        let (mut kind, mut place) = (ChainKind::Filter, self.place);
        match self.act {
            Act::Drop => statements.push(Statement::Verdict(Verdict::Drop)),
            Act::DropUnseen | Act::SpareUnseen => statements.extend([unseen(), Statement::Verdict(Verdict::Drop)]),
            Act::Limit => {
                let limit = Limit { unit: LimitUnit::Packets, rate: 20, per_seconds: 1, burst: 5, over: true };
                statements.extend([Statement::Limit(limit), Statement::Verdict(Verdict::Drop)]);
            }
            Act::Translate => {
                (kind, place) = (ChainKind::Nat, Place::Filter);
                let address = Source::Value(Value::Address("203.0.113.9".parse().ok()?));
                let address = Some(SourceRange { first: address.clone(), last: address });
                let kind = if self.inward { NatKind::Dnat } else { NatKind::Snat };
                statements.push(Statement::Nat(Box::new(Nat { kind, family: Some(Family::Ip), address, port: None })));
            }
            Act::Shape | Act::Program | Act::Encrypt => return None,
        }
        let hook = match (self.inward, place, self.act) {
            (true, _, Act::Translate) | (true, Place::Raw, _) => FirewallHook::Prerouting,
            (false, _, Act::Translate) => FirewallHook::Postrouting,
            (true, Place::Device, _) => FirewallHook::Ingress,
            (false, Place::Device, _) => FirewallHook::Egress,
            (true, Place::Filter | Place::Jumped, _) => FirewallHook::Input,
            (false, Place::Raw | Place::Filter | Place::Jumped, _) => FirewallHook::Output,
        };
        let priority = match (place, self.act, self.inward) {
            (_, Act::Translate, true) => -100,
            (_, Act::Translate, false) => 100,
            (Place::Raw, ..) => -300,
            _ => 0,
        };
        let devices = if place == Place::Device { vec![guest.card.clone()] } else { vec![] };
        let base = Some(BaseChain { kind, hook, priority, policy: Policy::Accept, devices });
        let rules = vec![Rule { handle: 3, statements }];
        let chains = if place == Place::Jumped {
            let jump = vec![Statement::Verdict(Verdict::Jump("inner".into()))];
            vec![
                Chain { name: "inner".into(), base: None, rules },
                Chain { name: "outer".into(), base, rules: vec![Rule { handle: 5, statements: jump }] },
            ]
        } else {
            vec![Chain { name: "chain".into(), base, rules }]
        };
        let family = match (place, self.act) {
            (Place::Device, _) => Family::Netdev,
            (_, Act::Translate) => Family::Ip,
            _ => Family::Inet,
        };
        Some(Table { family, name: format!("habit{index}"), dormant: false, chains, sets: vec![] })
    }
}

/// What the habits of the guest at a side do with a packet.
pub fn fate(world: &World, side: Side, inward: bool, reply: bool, number: u32) -> Option<Fate> {
    let mut habits = world.guest(side).habits.clone();
    habits.sort_by_key(|habit| habit.order());
    habits.into_iter().find_map(|habit| habit.fate(inward, reply, number))
}

/// Adds the tables of a guest's habits to its rule set.
pub(crate) fn add_tables(guest: &Guest, rules: &mut RuleSet) {
    let tables = guest.habits.iter().enumerate().filter_map(|(index, habit)| habit.table(index, guest));
    rules.tables.extend(tables);
}

/// What else an agent reports of a guest's kernel.
pub(crate) fn mechanisms(guest: &Guest) -> Mechanisms {
    let has = |act: Act, inward: bool| guest.habits.iter().any(|habit| habit.act == act && habit.inward == inward);
    let discipline =
        |kind: &str, dropped| QueueDiscipline { interface: guest.card.clone(), kind: kind.into(), dropped };
    let shape = has(Act::Shape, false).then(|| discipline("tbf", 25));
    let program = has(Act::Program, false).then(|| discipline("clsact", 0));
    Mechanisms {
        disciplines: shape.into_iter().chain(program).collect(),
        xdp: if has(Act::Program, true) { vec![guest.card.clone()] } else { vec![] },
        ipsec_policies: u32::from(has(Act::Encrypt, false)),
        routing_rules: u32::from(guest.routed_by_mark),
    }
}
