//! The registry of faults: what each breaks, what must be blamed for it, and which may happen together.
//!
//! Rules of composition:
//! 1. All blockers are named, in both accounts at once: a fault in the configuration is expected whatever else stops the
//!    packets, a fact of a guest whenever its agent reports ([`Shown::ByConfig`], [`Shown::ByFacts`]).
//! 2. What only the wire can show is expected when packets of the world die of it and both ends report
//!    ([`Shown::ByWire`]): behind another blocker there is nothing to see. What is concluded because nothing else is
//!    left needs packets that nothing else would take ([`Shown::ByExclusion`]), loss of a share packets that pass
//!    ([`Shown::ByShare`]).
//! 3. Two faults that change one thing are one fault: faults with a common [`Slot`] do not compose. An interface built in
//!    the wrong place or not at all takes its routes and its state with it; a stopped instance hides its guest; an address
//!    on no interface has no groups; a reverse-path check is a look-up in the guest's routes.
//! 4. A router interface was either connected once or never: faults of the two phases do not compose, and "all is filled in
//!    and nobody connected it" is no fault of its own where something is not filled in.
//! 5. What speaks of the peer's interface (its role, its fields) needs one: it does not compose with a fault that leaves
//!    none there. Two interfaces that both sit on other VPCs are another link, not this one gone wrong twice.
//! 6. The cloud holds a next hop unusable for as long as its interface is not in use: beside a fault of the interface
//!    that is its consequence.
//! 7. Where both VPCs have one block, no rule can be said to be meant for the peer: its mistakes are no faults of their own.
//! 8. An agent in a container sees nothing of what reaches its host. Of two such agents nobody sees anything, and of
//!    packets that bear a foreign address nobody can say that the fabric took them.
//! 9. Two VPCs each of which has a vSwitch in the other's block overlap: that is one fault of its own.

mod guests;
mod interfaces;
mod registry;
mod routes;
mod security;

pub use registry::registry;

use crate::{
    evidence::evidence,
    packet::{Refusal, Trip, runs, trip},
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
    /// The VPCs' blocks, by which the peer is told from the own network.
    Blocks,
    /// Whether anybody sees what reaches a host.
    Watch,
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
    /// Packets that die of it and would pass that leg if it were mended: what else would take them is blamed in its stead.
    ByExclusion(Vec<Refusal>),
    /// Some packets of a direction that die in the fabric while others of the same flow pass it and are seen.
    ByShare(Direction),
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
    (lacks(a, b) || lacks(b, a))
        .then_some("what speaks of the peer needs one that is there and told apart (rules 5, 7)")
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

/// What the reports of both ends show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sight {
    /// What packets die of.
    pub deaths: BTreeSet<Refusal>,
    /// Of these, what packets would not die of anything else on the same leg.
    pub sole: BTreeSet<Refusal>,
    /// Directions in which some packets of a flow are lost and some pass.
    pub shares: BTreeSet<Direction>,
}

/// The world without what only its effect tells of.
fn mended(world: &World, refusal: Refusal) -> Option<World> {
    let mut mended = world.clone();
    match refusal {
        Refusal::Fabric(direction) => mended.fabric_mut(direction).dead = false,
        Refusal::Contained(side) => {
            let guest = mended.guest_mut(side);
            (guest.container, guest.devices) = (None, vec![]);
        }
        _ => return None,
    }
    Some(mended)
}

/// What the sender alone sees: what becomes of replies at its own interface, and who answers.
fn seen_by_sender(refusal: Refusal, sender: Side) -> bool {
    match refusal {
        Refusal::ReversePath(side) | Refusal::FilterIn(side) | Refusal::Rate(side) | Refusal::Contained(side) => {
            side == sender
        }
        Refusal::Stranger(flow) => flow.source() == sender,
        _ => false,
    }
}

/// What packets die of, in rounds that are reported.
pub fn sight(world: &World) -> Sight {
    let reports = |side: Side| world.guest(side).reports && runs(world, side);
    let mut sight = Sight::default();
    for flow in Direction::BOTH.into_iter().filter(|flow| reports(flow.source())) {
        let far = flow.destination();
        // From a container nobody sees what reaches the host.
        let watched = reports(far) && world.guest(far).container.is_none();
        let places: Vec<(u64, u32)> =
            (0..world.rounds).flat_map(|round| (0..world.probes).map(move |number| (round, number))).collect();
        let trips: Vec<Trip> = places.iter().map(|(round, number)| trip(world, flow, *round, *number)).collect();
        let seen = |refusal: &Refusal| watched || seen_by_sender(*refusal, flow.source());
        sight.deaths.extend(trips.iter().filter_map(|trip| trip.refused).filter(seen));
        for (place, died) in places.iter().zip(&trips) {
            let Some(refusal) = died.refused.filter(seen).filter(|refusal| !sight.sole.contains(refusal)) else {
                continue;
            };
            let again = mended(world, refusal).map(|world| trip(&world, flow, place.0, place.1));
            if again.is_some_and(
                |again| if died.replied { again.back } else { again.arrived && !died.arrived || again.back },
            ) {
                sight.sole.insert(refusal);
            }
        }
        let died = |refusal: Refusal| trips.iter().any(|trip| trip.refused == Some(refusal));
        let legs = [(flow, trips.iter().any(|t| t.arrived)), (flow.reverse(), trips.iter().any(|t| t.back))];
        let shares = legs.into_iter().filter(|(leg, passes)| watched && *passes && died(Refusal::Fabric(*leg)));
        sight.shares.extend(shares.map(|(leg, _)| leg));
    }
    sight
}

/// Of what is at fault, what the evidence can show. Causes of one segment in both directions are one cause of neither.
fn visible(world: &World, expected: Vec<Expected>) -> Vec<Expected> {
    let sight = sight(world);
    let silent = evidence(world).silent;
    let heard = |side: Side| world.pair.endpoint(side).agent.as_ref().is_some_and(|agent| !silent.contains(agent));
    let mut seen: Vec<Expected> = vec![];
    for cause in expected {
        let shows = match &cause.shown {
            Shown::ByConfig => true,
            Shown::ByFacts(side) => heard(*side),
            Shown::ByWire(refusals) => refusals.iter().any(|refusal| sight.deaths.contains(refusal)),
            Shown::ByExclusion(refusals) => refusals.iter().any(|refusal| sight.sole.contains(refusal)),
            Shown::ByShare(direction) => sight.shares.contains(direction),
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
