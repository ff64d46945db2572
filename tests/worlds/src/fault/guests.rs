//! Faults of hosts and of the fabric: steps 7 and 8 (`SEMANTICS.md` §7.6, §7.7, §7.9).
#![expect(clippy::unnecessary_wraps, reason = "every fault has one signature; some worlds cannot have some faults")]

use super::{Expected, Shown};
use crate::{
    draw::address_in,
    packet::Refusal,
    world::{Contained, Device, GuestRoute, GuestRule, Speaks, World, list_mut, named},
};
use pingtong_evidence::{Cidr, Direction, InstanceStatus, InterfaceKind, Side};

pub(super) fn stopped(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let id = world.names(side).instance.clone();
    let all = list_mut(&mut world.config_mut(side).instances);
    all.iter_mut().find(|instance| instance.id.as_str() == id)?.status = InstanceStatus::Stopped;
    Some(vec![Expected::by_config("instance-stopped", side, id)])
}

/// The instance has another address now; the pair still expects the old one.
pub(super) fn readdressed(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let (address, block) = (world.address(side), world.vswitch(side)?.cidr);
    let (other, instance, eni) =
        (address_in(block, 77), world.names(side).instance.clone(), world.names(side).eni.clone());
    let config = world.config_mut(side);
    list_mut(&mut config.instances).iter_mut().find(|i| i.id.as_str() == instance)?.addresses = vec![other];
    list_mut(&mut config.enis).iter_mut().find(|e| e.id.as_str() == eni)?.addresses = vec![other];
    Some(vec![Expected::by_config("ip-not-on-eni", side, address.to_string())])
}

/// The pair's address is a secondary address of the network interface, and the guest has not configured it.
pub(super) fn unconfigured(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let (address, block, eni) = (world.address(side), world.vswitch(side)?.cidr, world.names(side).eni.clone());
    let held = list_mut(&mut world.config_mut(side).enis).iter_mut().find(|e| e.id.as_str() == eni)?;
    held.addresses = vec![address_in(block, 77), address];
    world.guest_mut(side).has_address = false;
    let mut cause = Expected::by_facts("ip-not-on-eni", side, world);
    cause.objects = vec![address.to_string()];
    Some(vec![cause])
}

fn filter(world: &mut World, side: Side, inward: bool, speaks: Speaks) -> Option<Vec<Expected>> {
    let handle = if inward { 4 } else { 7 };
    world.guest_mut(side).rules.push(GuestRule { inward, speaks, handle, limited: false, spares: (false, false) });
    let direction = if inward { side.opposite().sends() } else { side.sends() };
    Some(vec![Expected::by_facts("guest-firewall", side, world).towards(direction)])
}

pub(super) fn refuses_requests(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    filter(world, side, true, Speaks::Requests)
}

pub(super) fn refuses_replies(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    filter(world, side, true, Speaks::Replies)
}

pub(super) fn refuses_icmp(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    filter(world, side, true, Speaks::Icmp)
}

pub(super) fn refuses_to_send(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    filter(world, side, false, Speaks::Icmp)
}

pub(super) fn refuses_to_answer(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    filter(world, side, false, Speaks::Replies)
}

pub(super) fn rate_limit(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    world.guest_mut(side).rules.push(GuestRule {
        inward: true,
        speaks: Speaks::Requests,
        handle: 5,
        limited: true,
        spares: (false, false),
    });
    let mut cause = Expected::by_facts("guest-rate-limit", side, world);
    cause.shown = Shown::ByWire(vec![Refusal::Rate(side)]);
    Some(vec![cause])
}

pub(super) fn echo_ignored(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    world.guest_mut(side).ignores_echo = true;
    Some(vec![Expected::by_facts("guest-echo-ignored", side, world)])
}

pub(super) fn no_route(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    world.guest_mut(side).default_device = None;
    Some(vec![Expected::by_facts("guest-route-missing", side, world)])
}

fn swallowed(world: &mut World, side: Side, name: &str, kind: InterfaceKind, length: u8) -> Option<Vec<Expected>> {
    let prefix = Cidr::around(world.address(side.opposite()), length);
    let guest = world.guest_mut(side);
    guest.devices.push(Device {
        name: name.into(),
        kind,
        mac: String::new(),
        address: (address_in(prefix, 1), prefix),
    });
    guest.routes.push(GuestRoute { prefix, device: name.into(), gateway: None });
    Some(vec![Expected::by_facts("guest-route-overlap", side, world)])
}

pub(super) fn bridge(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    swallowed(world, side, "br-compose", InterfaceKind::Bridge, 20)
}

pub(super) fn tunnel(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    swallowed(world, side, "wg0", InterfaceKind::Tunnel, 16)
}

/// The pair's address is on a second network interface, and the default route leaves by the first.
pub(super) fn second_card(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let block = world.vswitch(side)?.cidr;
    let guest = world.guest_mut(side);
    guest.card = "eth1".into();
    guest.default_device = Some("eth0".into());
    let (mac, kind) = ("00:16:3e:00:00:0a".to_owned(), InterfaceKind::Card);
    guest.devices.push(Device { name: "eth0".into(), kind, mac, address: (address_in(block, 99), block) });
    Some(vec![Expected::by_facts("guest-multi-eni", side, world)])
}

pub(super) fn reverse_path(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let guest = world.guest_mut(side);
    (guest.strict_reverse_path, guest.routed_by_mark) = (true, true);
    let mut cause = Expected::by_facts("guest-rp-filter", side, world);
    cause.shown = Shown::ByWalk(side, Refusal::ReversePath(side));
    Some(vec![cause])
}

pub(super) fn container(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let guest = world.guest_mut(side);
    guest.container = Some(Contained::Bare);
    let address = (named("172.29.0.2"), named("172.29.0.0/24"));
    guest.devices.push(Device {
        name: "eth0".into(),
        kind: InterfaceKind::Card,
        mac: "02:42:ac:1d:00:02".into(),
        address,
    });
    // A container whose host rewrites source addresses does no harm: this cause requires packets that are dropped
    // because of the foreign address.
    let mut cause = Expected::by_facts("agent-in-container", side, world);
    cause.shown = Shown::ByExclusion(vec![Refusal::Contained(side)]);
    Some(vec![cause])
}

/// The link, in the notation of a segment.
fn segment(world: &World) -> String {
    format!("{}~{}", world.names(Side::Initiator).interface, world.names(Side::Acceptor).interface)
}

/// A cause in the fabric. Only the platform can repair it; the initiator owns the connection and must ask for the
/// repair.
fn of_fabric(world: &World, code: &'static str, directions: &[Direction]) -> Vec<Expected> {
    let mut cause = Expected::by_config(code, Side::Initiator, segment(world));
    cause.direction = match directions {
        [only] => Some(*only),
        _ => None,
    };
    cause.shown = Shown::ByExclusion(directions.iter().map(|direction| Refusal::Fabric(*direction)).collect());
    vec![cause]
}

pub(super) fn loss(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    world.fabric_mut(side.sends()).loses_every = 7;
    let mut causes = of_fabric(world, "loss-in-fabric", &[side.sends()]);
    causes[0].shown = Shown::ByShare(side.sends());
    Some(causes)
}

pub(super) fn dead(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    world.fabric_mut(side.sends()).dead = true;
    Some(of_fabric(world, "fabric-fault", &[side.sends()]))
}

/// Another host answers in place of this side's host.
pub(super) fn stranger(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let flow = side.opposite().sends();
    world.fabric_mut(flow).stranger = true;
    let mut cause = Expected::by_config("stranger-replied", side, world.address(side).to_string()).towards(flow);
    cause.shown = Shown::ByWire(vec![Refusal::Stranger(flow)]);
    Some(vec![cause])
}
