//! The registry of faults: what each breaks, what must be blamed for it, and which may happen together.
//!
//! Rules of composition:
//! 1. All blockers are named, in both accounts at once: a fault in the configuration is expected whatever else stops the
//!    packets, a fact of a guest whenever its agent reports ([`Shown::ByConfig`], [`Shown::ByFacts`]).
//! 2. What only the wire can show is expected when packets of the world die of it and both ends report
//!    ([`Shown::ByWire`]): behind another blocker there is nothing to see.
//! 3. Two faults that change one thing are one fault: faults with a common [`Slot`] do not compose. An interface built in
//!    the wrong place or not at all takes its routes and its state with it; a stopped instance hides its guest; an address
//!    on no interface has no groups; a reverse-path check is a look-up in the guest's routes.
//! 4. A router interface was either connected once or never: faults of the two phases do not compose, and "all is filled in
//!    and nobody connected it" is no fault of its own where something is not filled in.
//! 5. What speaks of the peer's interface (its role, its fields) needs one: it does not compose with a fault that leaves
//!    none there. Two interfaces that both sit on other VPCs are another link, not this one gone wrong twice.
//! 6. The cloud holds a next hop unusable for as long as its interface is not in use: beside a fault of the interface
//!    that is its consequence.

mod guests;
mod interfaces;
mod registry;
mod routes;
mod security;

pub use registry::registry;

use crate::{
    evidence::evidence,
    packet::{Refusal, runs, trip},
    world::World,
};
use pingtong_evidence::{Direction, Side};
use std::collections::BTreeSet;

/// Something that a fault changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The link's router interface.
    Interface(Side),
    /// Its lock.
    Lock(Side),
    /// Routes of the side's VPC, and its vSwitches' tables.
    Routes(Side),
    /// The group rules that let the peer in.
    GroupIn(Side),
    /// The group rules that let packets out.
    GroupOut(Side),
    /// Ingress entries of the ACL.
    AclIn(Side),
    /// Egress entries of the ACL.
    AclOut(Side),
    /// Instance and addresses.
    Host(Side),
    /// Packet filter of the guest, inward.
    FilterIn(Side),
    /// Packet filter of the guest, outward.
    FilterOut(Side),
    /// Routes of the guest.
    GuestRoutes(Side),
    /// Echo setting of the guest.
    Echo(Side),
    /// Fabric.
    Fabric(Direction),
    /// The VPCs' blocks.
    Blocks,
}

/// Whether a fault presupposes that the interfaces were connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Never connected, something is not as it must be.
    Incomplete,
    /// Never connected though all is filled in.
    Unconnected,
    /// Connected.
    Connected,
}

/// By what a cause shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Configuration alone.
    ByConfig,
    /// Facts of this side's guest.
    ByFacts(Side),
    /// Packets that die of it.
    ByWire(Vec<Refusal>),
}

/// A cause that must be blamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Code.
    pub code: &'static str,
    /// The side that must act.
    pub side: Side,
    /// The blamed object: any of these, which are equally at fault.
    pub objects: Vec<String>,
    /// Direction; none matches any.
    pub direction: Option<Direction>,
    /// By what it shows.
    pub shown: Shown,
}

impl Expected {
    fn by_config(code: &'static str, side: Side, object: impl Into<String>) -> Self {
        Self { code, side, objects: vec![object.into()], direction: None, shown: Shown::ByConfig }
    }

    fn by_facts(code: &'static str, side: Side, world: &World) -> Self {
        let objects = vec![world.names(side).instance.clone()];
        Self { code, side, objects, direction: None, shown: Shown::ByFacts(side) }
    }

    fn towards(self, direction: Direction) -> Self {
        Self { direction: Some(direction), ..self }
    }
}

/// Breaks a world and says what must be blamed; none where this world has nothing to break in that way.
type Breaks = fn(&mut World, Side) -> Option<Vec<Expected>>;

/// One fault.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What it is called: the code, the variant, the side.
    pub name: String,
    /// The code that it triggers.
    pub code: &'static str,
    /// Its side; for the fabric, the side that the direction starts from.
    pub side: Side,
    /// What it changes.
    pub edits: Vec<Slot>,
    /// What it leaves nothing of.
    pub destroys: Vec<Slot>,
    /// What must be there.
    pub needs: Vec<Slot>,
    /// Phase of the interfaces.
    pub phase: Option<Phase>,
    /// Whether both VPCs must have one block.
    pub overlap: bool,
    breaks: Breaks,
}

/// Why two faults cannot be told apart, or not happen together; none when they compose.
pub fn conflict(a: &Fault, b: &Fault) -> Option<&'static str> {
    if a.edits.iter().any(|slot| b.edits.contains(slot)) {
        return Some("both change one thing (rule 3)");
    }
    let fresh = |phase| matches!(phase, Phase::Incomplete | Phase::Unconnected);
    if let (Some(p), Some(q)) = (a.phase, b.phase) {
        if fresh(p) != fresh(q) {
            return Some("interfaces were connected once, or never (rule 4)");
        }
        if p != q {
            return Some("unconnected is no fault of its own where something is not filled in (rule 4)");
        }
    }
    let lacks = |a: &Fault, b: &Fault| a.needs.iter().any(|slot| b.destroys.contains(slot));
    (lacks(a, b) || lacks(b, a)).then_some("what speaks of the peer's interface needs one (rule 5)")
}

/// Breaks a world in all these ways. None when it has nothing to break in one of them.
pub fn broken(world: &World, faults: &[&Fault]) -> Option<(World, Vec<Expected>)> {
    let mut broken = world.clone();
    let mut expected = vec![];
    for fault in faults {
        expected.extend((fault.breaks)(&mut broken, fault.side)?);
    }
    let broken = broken.settled();
    let expected = visible(&broken, expected);
    Some((broken, expected))
}

/// What packets die of, in rounds that are reported.
pub fn deaths(world: &World) -> BTreeSet<Refusal> {
    let reports = |side: Side| world.guest(side).reports && runs(world, side);
    let mut found = BTreeSet::new();
    for flow in Direction::BOTH {
        if !Side::BOTH.into_iter().all(reports) {
            continue;
        }
        for round in 0..world.rounds {
            found.extend((0..world.probes).filter_map(|number| trip(world, flow, round, number).refused));
        }
    }
    found
}

/// Of what is at fault, what the evidence can show. Causes of one segment in both directions are one cause of neither.
fn visible(world: &World, expected: Vec<Expected>) -> Vec<Expected> {
    let deaths = deaths(world);
    let silent = evidence(world).silent;
    let heard = |side: Side| world.pair.endpoint(side).agent.as_ref().is_some_and(|agent| !silent.contains(agent));
    let mut seen: Vec<Expected> = vec![];
    for cause in expected {
        let shows = match &cause.shown {
            Shown::ByConfig => true,
            Shown::ByFacts(side) => heard(*side),
            Shown::ByWire(refusals) => refusals.iter().any(|refusal| deaths.contains(refusal)),
        };
        let twin = seen.iter_mut().find(|have| cause.code == "fabric-fault" && have.code == cause.code);
        match twin {
            Some(have) if shows => have.direction = None,
            _ if shows => seen.push(cause),
            _ => {}
        }
    }
    seen
}
