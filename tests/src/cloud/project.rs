//! From the declared state to the data plane: pooled and ordered filters, effective routes, links that carry traffic.
//!
//! Facts: `SEMANTICS.md` §1 (rules of all groups are pooled, smaller priority first, drop wins ties; group
//! sources match only within one VPC; basic groups let their members talk and allow all egress), §2 (the vSwitch's own
//! table; routes stay when their link is down), §3 (nothing passes unless both ends are active), §4 (an ACL without
//! entries in a direction filters nothing there). A transit router is a separate router, and an attachment is a link to
//! it (`SEMANTICS.md` §6.2). The data plane does the lookups in the router's tables, so it follows any set of
//! tables exactly.

use super::{
    actions::{bandwidth_mbit, read_ports},
    calls::params::read_block,
    data_plane::guest_name,
    routes::{entries_of, lookups_of},
    settle::passing,
    world::cen::{Attached, Attachment, Stage, TransitRouter},
    world::{
        Acl, AclEntry, Business, Eni, Hop, InstanceState, PeeringState, Role, RouterInterface, RouterInterfaceState,
        Rule, SecurityGroup, VSwitch, Vpc, World,
    },
};
use crate::desired::{
    AclPlane, Desired, EniPlane, Filter, HopPlane, InstancePlane, LinkPlane, Match, RoutePlane, TransitPlane,
    VSwitchPlane, VpcPlane,
};
use ipnet::Ipv4Net;
use std::{collections::BTreeMap, net::Ipv4Addr};

/// The data plane of a world.
pub(super) fn project(world: &World) -> Desired {
    let links = links(world);
    let vpcs = world.vpcs.values().map(|vpc| (vpc.id.clone(), vpc_plane(world, vpc, &links))).collect();
    let instances = world
        .instances
        .values()
        .map(|instance| {
            let enis =
                instance.enis.iter().filter_map(|id| world.enis.get(id)).map(|eni| eni_plane(world, eni)).collect();
            let running = instance.state == InstanceState::Running;
            (guest_name(world, instance), InstancePlane { id: instance.id.clone(), running, enis })
        })
        .collect();
    let transits = world.cen.routers.values().map(|router| (router.id.clone(), transit_plane(world, router))).collect();
    Desired { vpcs, transits, instances, links }
}

fn links(world: &World) -> BTreeMap<String, LinkPlane> {
    let pairs = world.interfaces.values().filter(|near| near.role == Role::Initiating).filter_map(|near| {
        let far = world.partner(near)?;
        let carries = [near, far].into_iter().all(forwards);
        let link = LinkPlane {
            initiator: near.vpc.clone(),
            acceptor: far.vpc.clone(),
            carries,
            rate_mbit: bandwidth_mbit(&near.spec),
        };
        (near.vpc != far.vpc && near.connected.is_some()).then(|| (near.id.clone(), link))
    });
    let peerings = world.peerings.values().map(|peering| {
        let there = !matches!(passing(world, &peering.id), Some("Creating" | "Deleting"));
        let carries = there && peering.state == PeeringState::Activated && peering.business == Business::Normal;
        let link = LinkPlane {
            initiator: peering.vpc.clone(),
            acceptor: peering.accepting_vpc.clone(),
            carries,
            rate_mbit: peering.bandwidth.map(u64::from),
        };
        (peering.id.clone(), link)
    });
    let attachments =
        world.cen.attachments.values().map(|attachment| (attachment.id.clone(), attachment_link(attachment)));
    pairs.chain(peerings).chain(attachments).collect()
}

/// The link of an attachment. Its initiator end is the VPC, or the transit router where a peer attachment was created.
fn attachment_link(attachment: &Attachment) -> LinkPlane {
    let carries = attachment.stage == Stage::Here;
    let (from, to, rate) = match &attachment.to {
        Attached::Vpc { vpc, .. } => (vpc, &attachment.router, None),
        Attached::Router { router, bandwidth, .. } => (&attachment.router, router, Some(u64::from(*bandwidth))),
    };
    LinkPlane { initiator: from.clone(), acceptor: to.clone(), carries, rate_mbit: rate }
}

fn transit_plane(world: &World, router: &TransitRouter) -> TransitPlane {
    let own = || world.cen.tables_of(&router.id);
    let arrivals = own().flat_map(|table| {
        let associated = table.associations.iter().filter(|(_, stage)| **stage == Stage::Here);
        associated.map(|(attachment, _)| (attachment.clone(), table.id.clone()))
    });
    let tables = own().map(|table| {
        let best = lookups_of(world, table).into_iter().filter(|route| route.best);
        let planes = best.map(|route| RoutePlane {
            destination: route.destination,
            hops: vec![route.attachment.map_or(HopPlane::Blackhole, HopPlane::Link)],
        });
        (table.id.clone(), planes.collect())
    });
    TransitPlane { arrivals: arrivals.collect(), tables: tables.collect() }
}

/// Whether a router interface forwards. A change of its specification does not interrupt it.
fn forwards(interface: &RouterInterface) -> bool {
    matches!(interface.state, RouterInterfaceState::Active | RouterInterfaceState::Modifying)
        && interface.business == Business::Normal
}

fn vpc_plane(world: &World, vpc: &Vpc, links: &BTreeMap<String, LinkPlane>) -> VpcPlane {
    let vswitches = world.vswitches_of(&vpc.id).map(|vswitch| (vswitch.id.clone(), vswitch_plane(world, vswitch)));
    let tables = world.tables.values().filter(|table| table.vpc == vpc.id).map(|table| {
        let routes = entries_of(world, table)
            .into_iter()
            .filter(|entry| matches!(entry.status.as_str(), "Available" | "Created"))
            .map(|entry| RoutePlane {
                destination: entry.destination,
                hops: entry.hops.iter().map(|hop| hop_plane(world, links, hop)).collect(),
            })
            .collect();
        (table.id.clone(), routes)
    });
    VpcPlane { vswitches: vswitches.collect(), tables: tables.collect() }
}

fn vswitch_plane(world: &World, vswitch: &VSwitch) -> VSwitchPlane {
    let acl = vswitch.acl.as_ref().and_then(|id| world.acls.get(id)).map(acl_plane);
    VSwitchPlane { cidr: vswitch.cidr, table: vswitch.table.clone(), acl }
}

fn hop_plane(world: &World, links: &BTreeMap<String, LinkPlane>, hop: &Hop) -> HopPlane {
    if !hop.enabled {
        return HopPlane::Blackhole;
    }
    let link = |id: &str| links.contains_key(id).then(|| HopPlane::Link(id.to_owned()));
    let plane = match hop.kind.as_str() {
        "local" => Some(HopPlane::Local),
        "service" => Some(HopPlane::Service),
        "RouterInterface" => world.interfaces.get(&hop.id).and_then(|near| match near.role {
            Role::Initiating => link(&near.id),
            Role::Accepting => link(&world.partner(near)?.id),
        }),
        "VpcPeer" | "Attachment" => link(&hop.id),
        "Instance" => world.primary_eni(&hop.id).map(|eni| HopPlane::Eni(eni.id.clone())),
        "NetworkInterface" => {
            world.enis.get(&hop.id).filter(|eni| eni.instance.is_some()).map(|eni| HopPlane::Eni(eni.id.clone()))
        }
        _ => None,
    };
    plane.unwrap_or(HopPlane::Blackhole)
}

fn acl_plane(acl: &Acl) -> AclPlane {
    let direction = |entries: &[AclEntry]| match entries {
        [] => vec![everything()],
        entries => entries
            .iter()
            .map(|entry| Match {
                accept: entry.accept,
                protocol: protocol_number(&entry.protocol),
                ports: read_ports(&entry.ports),
                peers: vec![entry.cidr],
                ..everything()
            })
            .collect(),
    };
    AclPlane { ingress: direction(&acl.ingress), egress: direction(&acl.egress) }
}

fn everything() -> Match {
    Match { accept: true, protocol: None, ports: None, source_ports: None, peers: vec![Ipv4Net::default()], own: None }
}

fn eni_plane(world: &World, eni: &Eni) -> EniPlane {
    let groups: Vec<&SecurityGroup> = eni.groups.iter().filter_map(|id| world.groups.get(id)).collect();
    EniPlane {
        id: eni.id.clone(),
        vpc: eni.vpc.clone(),
        vswitch: eni.vswitch.clone(),
        mac: eni.mac,
        addresses: eni.addresses.clone(),
        ingress: filter(world, eni, &groups, true),
        egress: filter(world, eni, &groups, false),
    }
}

fn filter(world: &World, eni: &Eni, groups: &[&SecurityGroup], ingress: bool) -> Filter {
    let members = groups
        .iter()
        .filter(|group| !group.enterprise && group.inner_accept)
        .flat_map(|group| addresses_of(world, &group.id))
        .collect();
    let mut pool: Vec<&Rule> =
        groups.iter().flat_map(|group| &group.rules).filter(|rule| rule.ingress == ingress).collect();
    pool.sort_by_key(|rule| (rule.priority, rule.accept));
    let rules = pool.into_iter().filter_map(|rule| rule_match(world, eni, rule)).collect();
    let accept_by_default = !ingress && !groups.is_empty() && groups.iter().all(|group| !group.enterprise);
    Filter { members, rules, accept_by_default }
}

/// The match of a rule; `None` for rules that concern IPv6 only.
fn rule_match(world: &World, eni: &Eni, rule: &Rule) -> Option<Match> {
    let peer = &rule.peer;
    let peers = if !peer.cidr.is_empty() {
        read_block(&peer.cidr, true).into_iter().collect()
    } else if !peer.cidr6.is_empty() || !rule.own_cidr6.is_empty() {
        return None;
    } else if !peer.group.is_empty() {
        let same_vpc = world.groups.get(&peer.group).is_some_and(|group| group.vpc == eni.vpc);
        if same_vpc { addresses_of(world, &peer.group).map(Ipv4Net::from).collect() } else { Vec::new() }
    } else {
        let entries = world.prefix_lists.get(&peer.prefix_list).map(|list| list.entries.as_slice()).unwrap_or_default();
        entries.iter().filter_map(|(cidr, _)| read_block(cidr, true)).collect()
    };
    Some(Match {
        accept: rule.accept,
        protocol: protocol_number(&rule.protocol),
        ports: read_ports(&rule.ports),
        source_ports: read_ports(&rule.source_ports),
        peers,
        own: read_block(&rule.own_cidr, true),
    })
}

/// Addresses of the interfaces in a group that are bound to an instance.
fn addresses_of<'a>(world: &'a World, group: &'a str) -> impl Iterator<Item = Ipv4Addr> + 'a {
    world
        .enis
        .values()
        .filter(move |eni| eni.instance.is_some() && eni.groups.iter().any(|id| id == group))
        .flat_map(|eni| eni.addresses.iter().copied())
}

fn protocol_number(name: &str) -> Option<u8> {
    match name.to_lowercase().as_str() {
        "all" => None,
        "icmp" => Some(1),
        "tcp" => Some(6),
        "udp" => Some(17),
        "gre" => Some(47),
        "icmpv6" => Some(58),
        other => other.parse().ok(),
    }
}
