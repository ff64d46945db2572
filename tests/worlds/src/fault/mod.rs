//! The registry of faults: what each breaks, what must be blamed for it, and which faults may occur together.
//!
//! Rules of composition:
//! 1. All blockers are reported, in both accounts at once: a fault in the configuration is expected regardless of what
//!    else stops the packets, a fault of a guest whenever its agent reports ([`Shown::ByConfig`], [`Shown::ByFacts`]).
//! 2. A fault that only packets can show is expected if it drops packets of the world and both ends report, or only the
//!    sender for what the sender alone sees ([`Shown::ByWire`]): behind another blocker there is nothing to see. A
//!    fault that is concluded because nothing else remains requires packets that nothing else would drop
//!    ([`Shown::ByExclusion`]); partial loss requires packets that get through ([`Shown::ByShare`]).
//! 3. Two faults that change the same thing are one fault: faults with a common [`Slot`] do not compose. A router
//!    interface that was created in the wrong place, or not at all, takes its routes and its state with it; a stopped
//!    instance hides its guest; an address that is on no network interface has no security groups; a reverse-path check
//!    is a lookup in the guest's routes.
//! 4. A router interface was either connected once or never: faults of the two phases do not compose, and "everything
//!    is filled in but nobody connected it" is not a separate fault if something is not filled in.
//! 5. A fault that refers to the peer's router interface (its role, its fields) requires one: it does not compose with
//!    a fault after which there is no such interface. Two interfaces that are both in other VPCs form another link;
//!    they are not this link with two faults.
//! 6. The cloud marks a next hop as unusable for as long as its router interface is not in use: together with a fault
//!    of the interface, this is a consequence of that fault.
//! 7. If both VPCs have the same CIDR block, no rule can be said to be meant for the peer: mistakes in rules are not
//!    separate faults.
//! 8. An agent in a container sees nothing of what reaches its host. If both agents are in containers, nobody sees
//!    anything, and of packets with a foreign source address nobody can say that the fabric dropped them.
//! 9. Two VPCs each of which has a vSwitch in the other's CIDR block overlap: that is a separate fault.

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

/// A part of a world that a fault changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The link's router interface.
    Interface(Side),
    /// Lock (business status) of that router interface.
    Lock(Side),
    /// Routes of the side's VPC, and the route tables of its vSwitches.
    Routes(Side),
    /// The security group rules that let the peer in.
    GroupIn(Side),
    /// The security group rules that let packets out.
    GroupOut(Side),
    /// Ingress entries of the network ACL.
    AclIn(Side),
    /// Egress entries of the network ACL.
    AclOut(Side),
    /// Instance and its addresses.
    Host(Side),
    /// Packet filter of the guest, input hook.
    FilterIn(Side),
    /// Packet filter of the guest, output hook.
    FilterOut(Side),
    /// Routes of the guest.
    GuestRoutes(Side),
    /// Echo setting of the guest.
    Echo(Side),
    /// Fabric in one direction.
    Fabric(Direction),
    /// The CIDR blocks of the VPCs, which distinguish the peer's network from the VPC's own network.
    Blocks,
    /// Whether an agent sees what reaches a host.
    Watch,
}

/// Whether a fault requires that the router interfaces were connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Never connected, and something is not as it must be.
    Incomplete,
    /// Never connected, although everything is filled in.
    Unconnected,
    /// Connected.
    Connected,
}

/// Which evidence shows a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Configuration alone.
    ByConfig,
    /// Facts about this side's guest, which its agent reports.
    ByFacts(Side),
    /// Facts about this side's guest, if it takes the pair's packets for its own; otherwise packets dropped for this reason.
    ByWalk(Side, Refusal),
    /// Packets that are dropped for one of these reasons.
    ByWire(Vec<Refusal>),
    /// Packets that are dropped for one of these reasons and would complete that half of the round trip if the cause
    /// were repaired. Whatever else would drop them is blamed instead.
    ByExclusion(Vec<Refusal>),
    /// Some packets of a direction that the fabric drops, while others of the same flow pass it and are seen.
    ByShare(Direction),
}

/// A cause that must be blamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Code of the cause, such as `route-missing`.
    pub code: &'static str,
    /// The side that must act.
    pub side: Side,
    /// Ids of the objects that may be blamed: any of them, because they are equally at fault.
    pub objects: Vec<String>,
    /// Direction that the cause affects; `None` matches any direction.
    pub direction: Option<Direction>,
    /// Which evidence shows the cause.
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

/// Breaks a world and returns what must be blamed; `None` if this world has nothing to break in that way.
type Breaks = fn(&mut World, Side) -> Option<Vec<Expected>>;

/// One fault on one side.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Name of the fault: the code, the variant, the side.
    pub name: String,
    /// Code of the cause that it triggers.
    pub code: &'static str,
    /// Side of the fault; for the fabric, the side from which the direction starts.
    pub side: Side,
    /// Slots that it changes.
    pub edits: Vec<Slot>,
    /// Slots of which it leaves nothing.
    pub destroys: Vec<Slot>,
    /// Slots that must exist.
    pub needs: Vec<Slot>,
    /// Phase of the router interfaces that it requires; `None` if any phase will do.
    pub phase: Option<Phase>,
    /// Whether both VPCs must have the same CIDR block.
    pub overlap: bool,
    breaks: Breaks,
}

/// Why two faults cannot be distinguished, or cannot occur together; `None` if they compose.
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

/// Breaks a world in all these ways, and returns it with the causes that must be blamed. `None` if the world has
/// nothing to break in one of these ways.
pub fn broken(world: &World, faults: &[&Fault]) -> Option<(World, Vec<Expected>)> {
    let (broken, causes) = broken_with(world, faults)?;
    let expected = visible(&broken, causes);
    Some((broken, expected))
}

/// The same with every cause there is, whether the evidence can show it or not.
pub fn broken_with(world: &World, faults: &[&Fault]) -> Option<(World, Vec<Expected>)> {
    let mut broken = world.clone();
    let mut causes = vec![];
    for fault in faults {
        causes.extend((fault.breaks)(&mut broken, fault.side)?);
    }
    Some((broken.settled(), causes))
}

/// What the reports of both ends show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sight {
    /// Reasons for which packets are dropped.
    pub deaths: BTreeSet<Refusal>,
    /// Those reasons without which some dropped packet would complete the same half of the round trip.
    pub sole: BTreeSet<Refusal>,
    /// Directions in which some packets of a flow are lost and others get through.
    pub shares: BTreeSet<Direction>,
}

/// The world without a cause that only its effect shows; `None` for all other causes.
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

/// Whether the sender alone sees the refusal: what happens to replies at its own host, and who answers.
fn seen_by_sender(refusal: Refusal, sender: Side) -> bool {
    match refusal {
        Refusal::ReversePath(side) | Refusal::FilterIn(side) | Refusal::Rate(side) | Refusal::Contained(side) => {
            side == sender
        }
        Refusal::Stranger(flow) => flow.source() == sender,
        _ => false,
    }
}

/// The reasons for which packets are dropped, in rounds that are reported.
pub fn sight(world: &World) -> Sight {
    let reports = |side: Side| world.guest(side).reports && runs(world, side);
    let mut sight = Sight::default();
    for flow in Direction::BOTH.into_iter().filter(|flow| reports(flow.source())) {
        let far = flow.destination();
        // An agent in a container does not see what reaches its host.
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

/// Those of the expected causes that the evidence can show. Two `fabric-fault` causes, one per direction, become one
/// cause without a direction.
fn visible(world: &World, expected: Vec<Expected>) -> Vec<Expected> {
    let sight = sight(world);
    let silent = evidence(world).silent;
    let heard = |side: Side| world.pair.endpoint(side).agent.as_ref().is_some_and(|agent| !silent.contains(agent));
    let mut seen: Vec<Expected> = vec![];
    let legs: Vec<Direction> =
        expected.iter().filter(|c| c.code == "ecmp-leg-dead").filter_map(|c| c.direction).collect();
    // The next hop may be chosen by addresses alone: all packets of the pair may have taken the dead one.
    let hidden = |refusal: &Refusal| match refusal {
        Refusal::Fabric(direction) => legs.contains(direction),
        Refusal::Contained(side) => legs.contains(&side.sends()),
        _ => false,
    };
    for cause in expected {
        let shows = match &cause.shown {
            Shown::ByConfig => true,
            Shown::ByFacts(side) => heard(*side),
            Shown::ByWalk(side, refusal) => {
                let held = world.eni(*side).is_some_and(|eni| eni.addresses.contains(&world.address(*side)));
                (heard(*side) && held && world.guest(*side).has_address) || sight.deaths.contains(refusal)
            }
            Shown::ByWire(refusals) => refusals.iter().any(|refusal| sight.deaths.contains(refusal)),
            Shown::ByExclusion(refusals) => {
                refusals.iter().any(|refusal| sight.sole.contains(refusal) && !hidden(refusal))
            }
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
