//! The routes that follow from the declared state and are not stored in it.
//!
//! These are the entries of a VPC's table, with its system routes and those from transit routers, and the routes of a
//! transit router's table, written and learned. The module ranks routes to equal destinations, but it does not decide
//! which of them the API lists (`actions`) or how packets follow them (`project`).

use super::{
    calls::params::read_block,
    ids::derived,
    settle::passing,
    world::cen::{Attachment, Stage, TransitTable},
    world::{Hop, Origin, RouteEntry, RouteTable, World},
};
use ipnet::Ipv4Net;
use std::collections::BTreeMap;

/// Address range of cloud services. Every table has a system route to it.
pub(super) const SERVICE_RANGE: &str = "100.64.0.0/10";

/// All entries of a table: system routes (one per vSwitch, one for the service range), then custom ones, then those
/// from transit routers.
pub(super) fn entries_of(world: &World, table: &RouteTable) -> Vec<RouteEntry> {
    let system = |destination: Ipv4Net, kind: &str| RouteEntry {
        id: derived("rte-", &format!("{}{destination}", table.id)),
        name: String::new(),
        description: String::new(),
        destination,
        hops: vec![Hop { kind: kind.to_owned(), id: String::new(), weight: 0, enabled: true }],
        origin: Origin::System,
        status: "Available".to_owned(),
    };
    let mut entries: Vec<RouteEntry> =
        world.vswitches_of(&table.vpc).map(|vswitch| system(vswitch.cidr, "local")).collect();
    entries.extend(read_block(SERVICE_RANGE, false).map(|range| system(range, "service")));
    entries.extend(table.entries.iter().cloned().map(|mut entry| {
        if let Some(status) = passing(world, &entry.id) {
            status.clone_into(&mut entry.status);
        }
        entry
    }));
    entries.extend(given_routes(world, table));
    entries
}

/// The routes that a VPC's table receives from transit routers. A route of the owner takes precedence over one to the
/// same destination. Destinations inside a vSwitch, or inside the destination of a route to a router interface, are not
/// accepted.
fn given_routes(world: &World, table: &RouteTable) -> Vec<RouteEntry> {
    let publishing = world.cen.attachments.values().filter(|attachment| {
        attachment.publishes && attachment.stage == Stage::Here && attachment.vpc() == Some(&table.vpc)
    });
    let lent = publishing.flat_map(|attachment| {
        let from = world.cen.associated(&attachment.router, &attachment.id);
        let routes = from.map(|table| lookups_of(world, table)).unwrap_or_default();
        let abroad = routes.into_iter().filter(|route| route.best && route.attachment.as_ref() != Some(&attachment.id));
        abroad.map(|route| (attachment.id.clone(), route.destination))
    });
    let taken = |destination: &Ipv4Net| {
        world.vswitches_of(&table.vpc).any(|vswitch| vswitch.cidr.contains(destination))
            || table.entries.iter().any(|entry| {
                let interface = entry.hops.iter().any(|hop| hop.kind == "RouterInterface");
                entry.destination == *destination || (interface && entry.destination.contains(destination))
            })
    };
    let wanted: BTreeMap<Ipv4Net, String> =
        lent.filter(|(_, destination)| !taken(destination)).map(|(id, destination)| (destination, id)).collect();
    wanted
        .into_iter()
        .map(|(destination, id)| RouteEntry {
            id: derived("rte-", &format!("{}{id}{destination}", table.id)),
            name: String::new(),
            description: String::new(),
            destination,
            hops: vec![Hop { kind: "Attachment".to_owned(), id, weight: 0, enabled: true }],
            origin: Origin::Cen,
            status: "Available".to_owned(),
        })
        .collect()
}

/// A route of a transit router's table, written or learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lookup {
    pub(super) destination: Ipv4Net,
    /// `None` is a black hole.
    pub(super) attachment: Option<String>,
    /// Id of the written route; `None` if it is learned.
    pub(super) written: Option<String>,
    /// Id of the VPC or transit router that the route originates from.
    pub(super) origin: String,
    /// Region of the origin; `None` if it is the router's own region.
    pub(super) region: Option<String>,
    pub(super) stage: Stage,
    /// Whether it is in effect: no other route to the same destination takes precedence.
    pub(super) best: bool,
}

/// All routes of a transit router's table, written and learned. Facts: `API.md` §8.6,
/// `SEMANTICS.md` §6.2; where both are silent, the documented behaviour of the product applies.
///
/// A VPC advertises its system routes, one per vSwitch, and no custom routes. A connection between regions advertises,
/// in both directions, the routes that the table associated with its far end has from VPCs and from owners, black holes
/// included, and nothing that came over another such connection. For equal destinations the owner's route takes
/// precedence, then the router's own VPCs, then the region whose id sorts first.
pub(super) fn lookups_of(world: &World, table: &TransitTable) -> Vec<Lookup> {
    let mut found = own_lookups(world, table);
    for (attachment, to) in learned_from(world, table) {
        let Some(far) = attachment.across(&table.router).filter(|_| attachment.publishes) else { continue };
        let region = world.cen.routers.get(far).map(|router| router.region.clone());
        let lent = world.cen.associated(far, &attachment.id).map(|table| own_lookups(world, table)).unwrap_or_default();
        found.extend(lent.into_iter().filter(|route| route.best).map(|route| Lookup {
            attachment: Some(attachment.id.clone()),
            written: None,
            region: region.clone(),
            stage: to,
            ..route
        }));
    }
    rank(&mut found);
    found
}

/// The routes of a table from its owner and from the router's own VPCs.
fn own_lookups(world: &World, table: &TransitTable) -> Vec<Lookup> {
    let written = table.routes.iter().map(|route| Lookup {
        destination: route.destination,
        attachment: route.attachment.clone(),
        written: Some(route.id.clone()),
        origin: table.router.clone(),
        region: None,
        stage: route.stage,
        best: false,
    });
    let learned = learned_from(world, table).flat_map(|(attachment, stage)| {
        let vswitches = attachment.vpc().into_iter().flat_map(|vpc| world.vswitches_of(vpc));
        vswitches.map(move |vswitch| Lookup {
            destination: vswitch.cidr,
            attachment: Some(attachment.id.clone()),
            written: None,
            origin: vswitch.vpc.clone(),
            region: None,
            stage,
            best: false,
        })
    });
    let mut found: Vec<Lookup> = written.chain(learned).collect();
    rank(&mut found);
    found
}

fn learned_from<'a>(world: &'a World, table: &'a TransitTable) -> impl Iterator<Item = (&'a Attachment, Stage)> {
    let attached = |(id, stage): (&String, &Stage)| Some((world.cen.attachments.get(id)?, *stage));
    table.propagations.iter().filter_map(attached).filter(|(attachment, _)| attachment.stage == Stage::Here)
}

/// Sorts by destination, the route in effect first, and sets `best`.
fn rank(found: &mut [Lookup]) {
    found.sort_by(|a, b| {
        let order = |route: &Lookup| {
            (
                route.destination,
                route.stage != Stage::Here,
                route.written.is_none(),
                route.region.clone(),
                route.attachment.clone(),
            )
        };
        order(a).cmp(&order(b))
    });
    let mut last = None;
    for route in found {
        route.best = route.stage == Stage::Here && last != Some(route.destination);
        last = Some(route.destination);
    }
}
