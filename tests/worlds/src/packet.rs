//! What happens to packets: a simulator of round trips, probe by probe, in the declared truth.
//!
//! Written from `SEMANTICS.md` alone: egress group, egress ACL, lookup in the vSwitch's route table, router
//! interface pair, ingress ACL, ingress group (§1–§4), then the guest (§5, §7.7). Security groups are stateful, ACLs
//! and routes are not. A packet is dropped by the first thing that refuses it, and the simulator reports which one that
//! was.

use crate::{
    habit::{Fate, fate},
    world::{Contained, Guest, GuestRule, Speaks, World, list},
};
use pingtong_evidence::{
    AclEntry, BusinessStatus, Direction, EniStatus, InstanceStatus, NextHopKind, Policy, RouteEntry, RouteStatus,
    RouterInterfaceStatus, RouterKind, RulePeer, RuleProtocol, SecurityGroupKind, Side,
};
use std::net::IpAddr;

/// What refused a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The sender's kernel, with this errno: the packet was never sent.
    Kernel(Side, i32),
    /// A device of the sender that does not lead to the peer.
    Swallowed(Side),
    /// The guest's packet filter, in its output hook.
    FilterOut(Side),
    /// Security groups, by side and whether in the ingress direction.
    Group(Side, bool),
    /// Network ACL, by side and whether in the ingress direction.
    Acl(Side, bool),
    /// Route lookup in the table of the vSwitch.
    Route(Side),
    /// A next hop of an ECMP route that forwards no packets.
    Leg(Side),
    /// The connection between the router interfaces.
    Link,
    /// The fabric between the VPCs.
    Fabric(Direction),
    /// No running host has the destination address.
    NoHost(Side),
    /// The guest has not configured the destination address.
    NotMine(Side),
    /// The guest's packet filter, in its input hook.
    FilterIn(Side),
    /// The guest's packet filter, because the packet exceeds its rate limit.
    Rate(Side),
    /// The guest's reverse-path filter.
    ReversePath(Side),
    /// The guest, because it ignores echo requests.
    Ignored(Side),
    /// A filter that would have accepted the host's own address: the agent's container has another one.
    Contained(Side),
    /// Another host took the request.
    Stranger(Direction),
    /// A habit of the guest.
    Habit(Side, Fate),
}

/// How far one round trip got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trip {
    /// The kernel accepted the request.
    pub sent: bool,
    /// The request left by the sender's network interface.
    pub left: bool,
    /// The request reached the far network interface.
    pub arrived: bool,
    /// The far guest accepted the request.
    pub accepted: bool,
    /// The reply left by the network interface on which the request arrived.
    pub replied: bool,
    /// The reply left by another network interface of the far guest.
    pub replied_elsewhere: bool,
    /// The reply reached the sender's network interface.
    pub back: bool,
    /// The prober received the reply.
    pub received: bool,
    /// A foreign reply arrived instead.
    pub stranger: bool,
    /// The kernel accepted the request, and the sender's own host reported that the target is unreachable.
    pub complained: bool,
    /// What ended the round trip; `None` if it was completed.
    pub refused: Option<Refusal>,
}

/// One packet in transit.
#[derive(Debug, Clone, Copy)]
struct Packet {
    direction: Direction,
    reply: bool,
    /// Source address of the packet.
    source: IpAddr,
    round: u64,
    number: u32,
}

impl Packet {
    fn from(self) -> Side {
        self.direction.source()
    }

    fn to(self) -> Side {
        self.direction.destination()
    }
}

/// The device by which a guest sends to the peer.
enum Out<'a> {
    Card,
    Other(&'a str),
    Refused(i32),
}

/// errno of a route lookup that finds no route (`ENETUNREACH`).
const NO_ROUTE: i32 = 101;
/// errno of a packet that the sender's own filter drops (`EPERM`).
const NOT_PERMITTED: i32 = 1;

fn lookup(world: &World, side: Side) -> Out<'_> {
    let (guest, peer) = (world.guest(side), world.address(side.opposite()));
    let best = guest.routes.iter().filter(|r| r.prefix.contains(peer)).max_by_key(|r| r.prefix.prefix_length());
    let device = best.map(|route| route.device.as_str()).or(guest.default_device.as_deref());
    match device {
        None => Out::Refused(NO_ROUTE),
        Some(device) if device == guest.card => Out::Card,
        Some(device) => Out::Other(device),
    }
}

fn speaks_of(rule: &GuestRule, reply: bool) -> bool {
    match rule.speaks {
        Speaks::Requests => !reply,
        Speaks::Replies => reply,
        Speaks::Icmp => true,
        Speaks::OtherService => false,
    }
}

/// The output path of the guest: why it drops the packet, or whether the packet leaves by another network interface.
fn leaves(world: &World, packet: Packet) -> Result<bool, Refusal> {
    let (side, guest) = (packet.from(), world.guest(packet.from()));
    let out = lookup(world, side);
    if let Out::Refused(errno) = out {
        return Err(Refusal::Kernel(side, errno));
    }
    if deciding(guest, false, packet.reply).next().is_some() {
        let refused = if packet.reply { Refusal::FilterOut(side) } else { Refusal::Kernel(side, NOT_PERMITTED) };
        return Err(refused);
    }
    match fate(world, side, false, packet.reply, packet.number) {
        Some(Fate::NotSent) if !packet.reply => return Err(Refusal::Kernel(side, NOT_PERMITTED)),
        Some(fate) => return Err(Refusal::Habit(side, fate)),
        None => {}
    }
    match out {
        Out::Card | Out::Refused(_) => Ok(false),
        Out::Other(name) => {
            let card = guest.devices.iter().any(|d| d.name == name && !d.mac.is_empty());
            if card { Ok(true) } else { Err(Refusal::Swallowed(side)) }
        }
    }
}

/// The rules of a hook that match a packet, up to one before which it is accepted.
fn deciding(guest: &Guest, inward: bool, reply: bool) -> impl Iterator<Item = &GuestRule> {
    let of_hook = guest.rules.iter().filter(move |rule| rule.inward == inward);
    let spared = move |rule: &&GuestRule| if reply { rule.spares.1 } else { rule.spares.0 };
    of_hook.take_while(move |rule| !spared(rule)).filter(move |rule| speaks_of(rule, reply))
}

/// Whether the guest drops a packet before anything sees it.
fn unseen(world: &World, packet: Packet) -> Result<(), Refusal> {
    match fate(world, packet.to(), true, packet.reply, packet.number) {
        Some(Fate::Unseen) => Err(Refusal::Habit(packet.to(), Fate::Unseen)),
        _ => Ok(()),
    }
}

/// The input path of the guest: why it drops the packet.
fn enters(world: &World, packet: Packet) -> Result<(), Refusal> {
    let (side, guest) = (packet.to(), world.guest(packet.to()));
    if let Some(fate) = fate(world, side, true, packet.reply, packet.number) {
        return Err(Refusal::Habit(side, fate));
    }
    if !guest.has_address && !packet.reply {
        return Err(Refusal::NotMine(side));
    }
    // The reverse-path check belongs to the routing of incoming packets, which comes before the filter's input hook.
    let asymmetric = guest.routed_by_mark || !matches!(lookup(world, side), Out::Card);
    if guest.strict_reverse_path && asymmetric {
        return Err(Refusal::ReversePath(side));
    }
    for rule in deciding(guest, true, packet.reply) {
        if !rule.limited {
            return Err(Refusal::FilterIn(side));
        }
        if packet.number % 2 == 1 {
            return Err(Refusal::Rate(side));
        }
    }
    Ok(())
}

/// Whether a rule's protocol matches ICMP.
fn of_icmp(protocol: RuleProtocol) -> bool {
    matches!(protocol, RuleProtocol::All | RuleProtocol::Icmp | RuleProtocol::Number(1))
}

fn group_refuses(world: &World, side: Side, inward: bool, far: IpAddr) -> bool {
    let config = world.config(side);
    let Some(eni) = world.eni(side) else { return false };
    let groups: Vec<_> =
        list(&config.security_groups).iter().filter(|group| eni.security_groups.contains(&group.id)).collect();
    let matches = |peer: &RulePeer| match peer {
        RulePeer::Any => true,
        RulePeer::Cidr(block) => block.contains(far),
        // The members of a group are in this VPC, and the peer is not.
        RulePeer::Group { .. } => false,
        RulePeer::PrefixList(id) => list(&config.prefix_lists)
            .iter()
            .any(|l| l.id == *id && list(&l.entries).iter().any(|block| block.contains(far))),
    };
    let deciding = groups
        .iter()
        .flat_map(|group| list(&group.rules))
        .filter(|rule| rule.ingress == inward && of_icmp(rule.protocol) && matches(&rule.peer))
        .map(|rule| (rule.priority, rule.policy == Policy::Accept))
        .min();
    match deciding {
        Some((_, accepts)) => !accepts,
        None => inward || groups.iter().any(|group| group.kind == SecurityGroupKind::Enterprise),
    }
}

fn acl_refuses(world: &World, side: Side, inward: bool, far: IpAddr) -> bool {
    let Some(id) = world.vswitch(side).and_then(|vswitch| vswitch.network_acl.as_ref()) else { return false };
    let Some(acl) = list(&world.config(side).network_acls).iter().find(|acl| acl.id == *id) else { return false };
    let entries: &[AclEntry] = list(if inward { &acl.ingress } else { &acl.egress });
    let first = entries.iter().find(|entry| of_icmp(entry.protocol) && entry.peer.contains(far));
    first.map_or(!entries.is_empty(), |entry| entry.policy == Policy::Drop)
}

/// The path from the sender's vRouter to the peer's: why the packet does not get through.
fn crosses(world: &World, packet: Packet) -> Result<(), Refusal> {
    let (side, far) = (packet.from(), world.address(packet.to()));
    let config = world.config(side);
    let Some(vswitch) = world.vswitch(side) else { return Err(Refusal::Route(side)) };
    let table = list(&config.route_tables).iter().find(|t| vswitch.route_table.as_ref() == Some(&t.id));
    let usable = |entry: &&RouteEntry| entry.status == RouteStatus::Available && entry.destination.contains(far);
    let best = table
        .map_or(&[][..], |table| list(&table.entries))
        .iter()
        .filter(usable)
        .max_by_key(|entry| entry.destination.prefix_length());
    let Some(best) = best else { return Err(Refusal::Route(side)) };
    let legs = best.next_hops.len() as u64;
    let flow = packet.round + u64::from(packet.reply != (side == Side::Acceptor));
    let Some(hop) = usize::try_from(flow % legs.max(1)).ok().and_then(|leg| best.next_hops.get(leg)) else {
        return Err(Refusal::Route(side));
    };
    let refused = if legs > 1 { Refusal::Leg(side) } else { Refusal::Route(side) };
    if hop.kind != NextHopKind::RouterInterface || hop.enabled == Some(false) {
        return Err(refused);
    }
    let Some(ri) = world.interface(side, &hop.id) else { return Err(refused) };
    let carries = |status, business, kind| {
        status == RouterInterfaceStatus::Active && business == BusinessStatus::Normal && kind == RouterKind::VRouter
    };
    if !carries(ri.status, ri.business_status, ri.router_kind) {
        return Err(if hop.id == world.names(side).interface { Refusal::Link } else { refused });
    }
    let other = side.opposite();
    let peer = ri.opposite_interface.as_ref().and_then(|id| world.interface(other, id.as_str()));
    let Some(peer) = peer else {
        return Err(if hop.id == world.names(side).interface { Refusal::Link } else { refused });
    };
    let joined = carries(peer.status, peer.business_status, peer.router_kind)
        && peer.opposite_interface.as_ref() == Some(&ri.id)
        && peer.vpc.as_ref().is_some_and(|vpc| vpc.as_str() == world.names(other).vpc);
    if joined { Ok(()) } else { Err(Refusal::Link) }
}

/// The path from the sender's network interface to the receiver's: why the packet does not get through.
fn travels(world: &World, packet: Packet) -> Result<(), Refusal> {
    let (from, to) = (packet.from(), packet.to());
    let far = world.address(to);
    if !packet.reply && group_refuses(world, from, false, far) {
        return Err(Refusal::Group(from, false));
    }
    if acl_refuses(world, from, false, far) {
        return Err(Refusal::Acl(from, false));
    }
    crosses(world, packet)?;
    let fabric = world.fabric(packet.direction);
    if fabric.stranger && !packet.reply {
        return Err(Refusal::Stranger(packet.direction));
    }
    let lost = fabric.loses_every > 0 && packet.number % fabric.loses_every == u32::from(packet.reply);
    if fabric.dead || lost {
        return Err(Refusal::Fabric(packet.direction));
    }
    if !packet.reply && !hosted(world, to) {
        return Err(Refusal::NoHost(to));
    }
    let meant = world.address(from);
    if acl_refuses(world, to, true, packet.source) {
        let foreign = !acl_refuses(world, to, true, meant);
        return Err(if foreign { Refusal::Contained(from) } else { Refusal::Acl(to, true) });
    }
    if !packet.reply && group_refuses(world, to, true, packet.source) {
        let foreign = !group_refuses(world, to, true, meant);
        return Err(if foreign { Refusal::Contained(from) } else { Refusal::Group(to, true) });
    }
    Ok(())
}

/// Whether a running host has the pair's address, according to the cloud.
fn hosted(world: &World, side: Side) -> bool {
    let address = world.address(side);
    world.eni(side).is_some_and(|eni| eni.status == EniStatus::InUse && eni.addresses.contains(&address))
        && runs(world, side)
}

/// Whether the host at a side is running.
pub fn runs(world: &World, side: Side) -> bool {
    world.instance(side).is_some_and(|instance| instance.status == InstanceStatus::Running)
}

/// The source address of the agent at a side, as peers see it.
pub fn seen_as(world: &World, side: Side) -> IpAddr {
    let (guest, address) = (world.guest(side), world.address(side));
    let bare = guest.devices.iter().find(|_| guest.container == Some(Contained::Bare));
    let held = world.eni(side).map_or(&[][..], |eni| eni.addresses.as_slice());
    let moved = held.iter().find(|held| **held != address).filter(|_| !guest.has_address || !held.contains(&address));
    bare.map(|device| device.address.0).or(moved.copied()).unwrap_or(address)
}

/// Simulates one probe of one round that the source of `flow` started, and its reply.
pub fn trip(world: &World, flow: Direction, round: u64, number: u32) -> Trip {
    let mut trip = Trip {
        sent: true,
        left: false,
        arrived: false,
        accepted: false,
        replied: false,
        replied_elsewhere: false,
        back: false,
        received: false,
        stranger: false,
        complained: false,
        refused: None,
    };
    let source = seen_as(world, flow.source());
    let request = Packet { direction: flow, reply: false, source, round, number };
    trip.refused = walk(world, request, &mut trip).err();
    trip
}

fn walk(world: &World, request: Packet, trip: &mut Trip) -> Result<(), Refusal> {
    let (near, far) = (request.from(), request.to());
    let container = world.guest(near).container.is_some();
    match if container { Ok(false) } else { leaves(world, request) } {
        Ok(false) => {}
        // The cloud accepts packets from a network interface only if their source is an address of that interface.
        Ok(true) => return Err(Refusal::Swallowed(near)),
        Err(refused) => {
            trip.left = matches!(refused, Refusal::Habit(_, Fate::Rewritten));
            trip.sent = !matches!(refused, Refusal::Kernel(..));
            trip.complained = matches!(refused, Refusal::Swallowed(_));
            return Err(refused);
        }
    }
    trip.left = true;
    if let Err(refused) = travels(world, request) {
        trip.stranger = matches!(refused, Refusal::Stranger(_));
        return Err(refused);
    }
    unseen(world, request)?;
    trip.arrived = true;
    enters(world, request)?;
    trip.accepted = true;
    if world.guest(far).ignores_echo {
        return Err(Refusal::Ignored(far));
    }
    // The reply goes to the source address of the request: an address that is in no network gets no reply.
    if request.source != world.address(near) && world.guest(near).container == Some(Contained::Bare) {
        return Err(Refusal::Contained(near));
    }
    let reply = Packet { direction: request.direction.reverse(), reply: true, source: world.address(far), ..request };
    if leaves(world, reply)? {
        trip.replied_elsewhere = true;
        return Err(Refusal::Swallowed(far));
    }
    trip.replied = true;
    travels(world, reply)?;
    unseen(world, reply)?;
    trip.back = true;
    enters(world, reply)?;
    trip.received = true;
    Ok(())
}
