//! The table of all faults, each with what it changes.

use super::{
    Breaks, Fault, Phase, Slot,
    guests::{
        bridge, container, dead, echo_ignored, loss, no_route, rate_limit, readdressed, refuses_icmp, refuses_replies,
        refuses_requests, refuses_to_answer, refuses_to_send, reverse_path, second_card, stopped, stranger, tunnel,
        unconfigured,
    },
    interfaces, routes, security,
};
use pingtong_evidence::Side;

/// Code, variant, the function that breaks a world, the slots that it changes.
type Row = (&'static str, &'static str, Breaks, fn(Side) -> Vec<Slot>);

const fn at(slot: fn(Side) -> Slot) -> fn(Side) -> Slot {
    slot
}

fn interface(side: Side) -> Vec<Slot> {
    vec![Slot::Interface(side)]
}

fn interfaces_of_both(_: Side) -> Vec<Slot> {
    Side::BOTH.map(Slot::Interface).to_vec()
}

fn whole_interface(side: Side) -> Vec<Slot> {
    vec![Slot::Interface(side), Slot::Lock(side), Slot::Routes(side)]
}

fn whole_guest(side: Side) -> Vec<Slot> {
    [Slot::Host, Slot::FilterIn, Slot::FilterOut, Slot::GuestRoutes, Slot::Echo].map(|slot| at(slot)(side)).to_vec()
}

fn contained(side: Side) -> Vec<Slot> {
    let mut slots = whole_guest(side);
    slots.extend([Slot::Watch, Slot::Fabric(side.sends())]);
    slots
}

fn unaddressed(side: Side) -> Vec<Slot> {
    vec![Slot::Host(side), Slot::GroupIn(side), Slot::GroupOut(side)]
}

fn lock(side: Side) -> Vec<Slot> {
    vec![Slot::Lock(side)]
}

fn routes_of(side: Side) -> Vec<Slot> {
    vec![Slot::Routes(side)]
}

/// A next hop that the cloud marks as unusable is a separate fault only if its router interface is in use.
fn unusable_hop(side: Side) -> Vec<Slot> {
    let mut slots = vec![Slot::Routes(side)];
    slots.extend(Side::BOTH.map(Slot::Interface));
    slots.extend(Side::BOTH.map(Slot::Lock));
    slots
}

fn everyones_routes(_: Side) -> Vec<Slot> {
    let mut slots = Side::BOTH.map(Slot::Routes).to_vec();
    slots.extend(Side::BOTH.map(Slot::GuestRoutes));
    slots
}

const CONNECTION: &[(Row, Option<Phase>)] = &[
    (("ri-missing", "", interfaces::missing, whole_interface), Some(Phase::Incomplete)),
    (("ri-wrong-region", "", interfaces::wrong_region, interface), Some(Phase::Incomplete)),
    (("ri-wrong-vpc", "", interfaces::wrong_vpc, whole_interface), Some(Phase::Connected)),
    (("ri-role-conflict", "", interfaces::role_conflict, interfaces_of_both), Some(Phase::Incomplete)),
    (("ri-opposite-unset", "", interfaces::opposite_unset, interface), Some(Phase::Incomplete)),
    (("ri-opposite-mismatch", "id", interfaces::wrong_opposite_id, interface), Some(Phase::Incomplete)),
    (("ri-opposite-mismatch", "owner", interfaces::wrong_owner, interface), Some(Phase::Incomplete)),
    (("ri-opposite-mismatch", "router", interfaces::own_router, interface), Some(Phase::Incomplete)),
    (("ri-inactive", "", interfaces::inactive, interface), Some(Phase::Connected)),
    (("ri-financial-locked", "", interfaces::financial_lock, lock), None),
    (("ri-security-locked", "", interfaces::security_lock, lock), None),
];

/// Faults of the connection that only the initiator's side can have.
const CONNECTING: &[(Row, Option<Phase>)] = &[
    (("ri-not-connected", "", interfaces::not_connected, interfaces_of_both), Some(Phase::Unconnected)),
    (("ri-connecting", "", interfaces::connecting, interfaces_of_both), Some(Phase::Unconnected)),
    (("cidr-overlap", "", routes::overlap, everyones_routes), None),
];

const CONFIGURED: &[Row] = &[
    ("route-missing", "", routes::missing, routes_of),
    ("route-missing", "one block", routes::missing_one_block, routes_of),
    ("route-wrong-cidr", "", routes::wrong_cidr, routes_of),
    ("route-wrong-next-hop", "instance", routes::to_instance, routes_of),
    ("route-wrong-next-hop", "interface", routes::to_other_interface, routes_of),
    ("route-wrong-table", "", routes::wrong_table, routes_of),
    ("route-shadowed", "entry", routes::shadowed, routes_of),
    ("route-shadowed", "vSwitch", routes::shadowed_by_vswitch, |s| vec![Slot::Routes(s), Slot::Blocks]),
    ("route-not-available", "pending", routes::pending, routes_of),
    ("route-not-available", "disabled", routes::disabled, unusable_hop),
    ("ecmp-leg-dead", "", routes::dead_leg, routes_of),
    ("sg-ingress-missing", "", security::ingress_missing, |s| vec![Slot::GroupIn(s)]),
    ("sg-drop-wins", "", security::drop_wins, |s| vec![Slot::GroupIn(s)]),
    ("sg-wrong-protocol", "", security::wrong_protocol, |s| vec![Slot::GroupIn(s)]),
    ("sg-wrong-cidr", "own block", security::own_block, |s| vec![Slot::GroupIn(s)]),
    ("sg-wrong-cidr", "too narrow", security::too_narrow, |s| vec![Slot::GroupIn(s)]),
    ("sg-wrong-direction", "", security::wrong_direction, |s| vec![Slot::GroupIn(s)]),
    ("sg-group-source-cross-vpc", "", security::peers_group, |s| vec![Slot::GroupIn(s)]),
    ("sg-not-attached", "", security::not_attached, |s| vec![Slot::GroupIn(s)]),
    ("sg-prefix-list", "", security::prefix_list, |s| vec![Slot::GroupIn(s)]),
    ("sg-egress-blocked", "drop", security::egress_drop, |s| vec![Slot::GroupOut(s)]),
    ("sg-egress-blocked", "enterprise", security::egress_unopened, |s| vec![Slot::GroupOut(s)]),
    ("nacl-ingress-blocked", "drop", security::acl_ingress_drop, |s| vec![Slot::AclIn(s)]),
    ("nacl-ingress-blocked", "no match", security::acl_ingress_silent, |s| vec![Slot::AclIn(s)]),
    ("nacl-egress-blocked", "drop", security::acl_egress_drop, |s| vec![Slot::AclOut(s)]),
    ("nacl-egress-blocked", "no match", security::acl_egress_silent, |s| vec![Slot::AclOut(s)]),
    ("instance-stopped", "", stopped, whole_guest),
    ("ip-not-on-eni", "changed", readdressed, unaddressed),
    ("ip-not-on-eni", "not configured", unconfigured, |s| vec![Slot::Host(s)]),
    ("guest-firewall", "requests in", refuses_requests, |s| vec![Slot::FilterIn(s)]),
    ("guest-firewall", "replies in", refuses_replies, |s| vec![Slot::FilterIn(s)]),
    ("guest-firewall", "icmp in", refuses_icmp, |s| vec![Slot::FilterIn(s)]),
    ("guest-firewall", "icmp out", refuses_to_send, |s| vec![Slot::FilterOut(s)]),
    ("guest-firewall", "replies out", refuses_to_answer, |s| vec![Slot::FilterOut(s)]),
    ("guest-rate-limit", "", rate_limit, |s| vec![Slot::FilterIn(s)]),
    ("guest-echo-ignored", "", echo_ignored, |s| vec![Slot::Echo(s)]),
    ("guest-route-missing", "", no_route, |s| vec![Slot::GuestRoutes(s)]),
    ("guest-route-overlap", "bridge", bridge, |s| vec![Slot::GuestRoutes(s)]),
    ("guest-route-overlap", "tunnel", tunnel, |s| vec![Slot::GuestRoutes(s)]),
    ("guest-multi-eni", "", second_card, |s| vec![Slot::GuestRoutes(s), Slot::Host(s)]),
    ("guest-rp-filter", "", reverse_path, |s| vec![Slot::GuestRoutes(s)]),
    ("agent-in-container", "", container, contained),
    ("stranger-replied", "", stranger, |s| vec![Slot::Fabric(s.opposite().sends())]),
    ("loss-in-fabric", "", loss, |s| vec![Slot::Fabric(s.sends())]),
    ("fabric-fault", "", dead, |s| vec![Slot::Fabric(s.sends())]),
];

fn fault(row: &Row, side: Side, phase: Option<Phase>) -> Fault {
    let (code, variant, breaks, edits) = *row;
    let name = if variant.is_empty() { format!("{code} @{side}") } else { format!("{code} ({variant}) @{side}") };
    let peers = Slot::Interface(side.opposite());
    let destroys = match code {
        "ri-missing" | "ri-wrong-vpc" => vec![Slot::Interface(side)],
        "cidr-overlap" => vec![Slot::Blocks],
        _ => vec![],
    };
    let needs = match code {
        "ri-opposite-mismatch" | "ri-role-conflict" | "ri-wrong-vpc" => vec![peers],
        "sg-wrong-protocol" | "sg-wrong-cidr" | "sg-wrong-direction" | "sg-not-attached" => vec![Slot::Blocks],
        _ => vec![],
    };
    Fault { name, code, side, edits: edits(side), destroys, needs, phase, overlap: code == "cidr-overlap", breaks }
}

/// All faults, in the order of the catalogue.
pub fn registry() -> Vec<Fault> {
    let mut all = vec![];
    for side in Side::BOTH {
        all.extend(CONNECTION.iter().map(|(row, phase)| fault(row, side, *phase)));
        all.extend(CONFIGURED.iter().map(|row| fault(row, side, None)));
    }
    all.extend(CONNECTING.iter().map(|(row, phase)| fault(row, Side::Initiator, *phase)));
    all
}
