//! Cloud Enterprise Network in the declared state: CEN instances, transit routers, attachments, their route tables.
//!
//! What owners asked for is stored; what follows from it is worked out here: the routes that a transit router's table
//! learns, and those that a VPC's tables are given. Facts: `alibaba-cloud-api.md` §7, `network-semantics.md` §2. Where
//! both are silent the product's documented behaviour counts: nothing is associated or learned by itself; a VPC lends
//! its system routes, one a vSwitch, and no custom ones; a connection between regions lends, both ways, what the table
//! associated with its far end has from VPCs and owners, black holes too, and nothing that came over another such
//! connection; of equal destinations the owner's route wins, then the router's own VPCs, then the smallest region.

use super::{
    ids::derived,
    world::{Hop, Origin, RouteEntry, RouteTable, World},
};
use ipnet::Ipv4Net;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Everything of Cloud Enterprise Network, by id.
#[derive(Debug, Clone, Default)]
pub struct CenWorld {
    /// CEN instances.
    pub cens: BTreeMap<String, Cen>,
    /// Transit routers.
    pub routers: BTreeMap<String, TransitRouter>,
    /// What is attached to them.
    pub attachments: BTreeMap<String, Attachment>,
    /// Their route tables.
    pub tables: BTreeMap<String, TransitTable>,
    /// VPCs whose owners let another account's CEN instance attach them.
    pub grants: BTreeSet<Grant>,
}

/// Where an object is in its life. Each kind of object has words of its own for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Being made.
    Coming,
    /// In effect.
    Here,
    /// Being removed.
    Going,
}

impl Stage {
    pub(super) fn text(self, [coming, here, going]: [&'static str; 3]) -> &'static str {
        match self {
            Self::Coming => coming,
            Self::Here => here,
            Self::Going => going,
        }
    }
}

/// A CEN instance.
#[derive(Debug, Clone)]
pub struct Cen {
    /// `cen-…`
    pub id: String,
    /// Account id.
    pub owner: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Stage.
    pub stage: Stage,
    /// When it was made.
    pub created: Timestamp,
}

/// A transit router of the Enterprise edition: one for each region of a CEN instance.
#[derive(Debug, Clone)]
pub struct TransitRouter {
    /// `tr-…`
    pub id: String,
    /// Account id, which is the CEN instance's.
    pub owner: String,
    /// Its CEN instance.
    pub cen: String,
    /// Region.
    pub region: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Stage.
    pub stage: Stage,
    /// When it was made.
    pub created: Timestamp,
}

/// What an attachment joins to its transit router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attached {
    /// A VPC, by the vSwitches in which the router has an interface, with their zones.
    Vpc {
        /// VPC id.
        vpc: String,
        /// Zone and vSwitch.
        zones: Vec<(String, String)>,
    },
    /// The transit router of another region.
    Router {
        /// Its id.
        router: String,
        /// Mbit/s.
        bandwidth: u32,
        /// `DataTransfer` or `BandwidthPackage`.
        bandwidth_type: String,
        /// `Platinum` or `Gold`.
        link_type: String,
    },
}

/// An attachment.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// `tr-attach-…`
    pub id: String,
    /// Account id, which is the transit router's.
    pub owner: String,
    /// Its CEN instance.
    pub cen: String,
    /// The transit router.
    pub router: String,
    /// What is attached.
    pub to: Attached,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Whether routes of the associated table are lent to the far end.
    pub publishes: bool,
    /// Stage.
    pub stage: Stage,
    /// When it was made.
    pub created: Timestamp,
}

impl Attachment {
    /// The attached VPC.
    pub fn vpc(&self) -> Option<&str> {
        match &self.to {
            Attached::Vpc { vpc, .. } => Some(vpc),
            Attached::Router { .. } => None,
        }
    }

    /// The transit router at the other end, seen from one of the two.
    pub fn across(&self, from: &str) -> Option<&str> {
        match &self.to {
            Attached::Router { router, .. } if self.router == from => Some(router),
            Attached::Router { router, .. } if router == from => Some(&self.router),
            _ => None,
        }
    }

    /// Whether it ends at a transit router, at either end.
    pub fn ends_at(&self, router: &str) -> bool {
        self.router == router || self.across(router).is_some()
    }
}

/// A route that an owner wrote into a transit router's table.
#[derive(Debug, Clone)]
pub struct TransitRoute {
    /// `rte-…`
    pub id: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Destination.
    pub destination: Ipv4Net,
    /// The attachment it leads to; none is a black hole.
    pub attachment: Option<String>,
    /// Stage.
    pub stage: Stage,
    /// When it was made.
    pub created: Timestamp,
}

/// A route table of a transit router.
#[derive(Debug, Clone)]
pub struct TransitTable {
    /// `vtb-…`
    pub id: String,
    /// The transit router.
    pub router: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Whether it came with the router.
    pub system: bool,
    /// Attachments whose packets are looked up here.
    pub associations: BTreeMap<String, Stage>,
    /// Attachments whose routes are learned here.
    pub propagations: BTreeMap<String, Stage>,
    /// Routes written by the owner.
    pub routes: Vec<TransitRoute>,
    /// Stage.
    pub stage: Stage,
    /// When it was made.
    pub created: Timestamp,
}

/// A VPC whose owner lets a CEN instance of another account attach it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// VPC id.
    pub vpc: String,
    /// CEN instance.
    pub cen: String,
    /// Account id of the CEN instance's owner.
    pub cen_owner: String,
}

/// A route of a transit router's table, written or learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lookup {
    pub(super) destination: Ipv4Net,
    /// None is a black hole.
    pub(super) attachment: Option<String>,
    /// None is learned.
    pub(super) written: Option<String>,
    /// The VPC or transit router that a learned one comes from.
    pub(super) origin: String,
    /// Region of the origin, when it is another one.
    pub(super) region: Option<String>,
    pub(super) stage: Stage,
    /// Whether none of the same destination goes before it.
    pub(super) best: bool,
}

impl CenWorld {
    /// The table in which packets that come in by an attachment are looked up.
    pub(super) fn associated(&self, router: &str, attachment: &str) -> Option<&TransitTable> {
        let here = |table: &&TransitTable| table.associations.get(attachment) == Some(&Stage::Here);
        self.tables_of(router).find(here)
    }

    /// Whether a transit router has an interface in a vSwitch.
    pub(super) fn reaches_into(&self, vswitch: &str) -> bool {
        self.attachments.values().any(|attachment| match &attachment.to {
            Attached::Vpc { zones, .. } => zones.iter().any(|(_, own)| own == vswitch),
            Attached::Router { .. } => false,
        })
    }

    pub(super) fn tables_of(&self, router: &str) -> impl Iterator<Item = &TransitTable> {
        self.tables.values().filter(move |table| table.router == router)
    }
}

/// Everything in a table of a transit router.
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

/// What a table has of its owner and of the router's own VPCs.
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

/// Sorts by destination, the one in effect first.
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

/// The routes that a VPC's table is given by transit routers. A route of the owner's goes before one of the same
/// destination; what lies in a vSwitch, or in a router interface's route, is not taken.
pub(super) fn given_routes(world: &World, table: &RouteTable) -> Vec<RouteEntry> {
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

/// A change of stage that is due at a time.
#[derive(Debug, Clone)]
pub(super) enum CenChange {
    /// What a call asked for is there.
    Arrived(CenObject),
    /// What a call removed is gone.
    Gone(CenObject),
}

#[derive(Debug, Clone)]
pub(super) enum CenObject {
    Cen(String),
    Router(String),
    Attachment(String),
    Table(String),
    /// Table, attachment.
    Association(String, String),
    /// Table, attachment.
    Propagation(String, String),
    /// Table, route.
    Route(String, String),
}

impl CenWorld {
    pub(super) fn settle(&mut self, change: &CenChange) {
        match change {
            CenChange::Arrived(object) => {
                if let Some(stage) = self.stage_mut(object) {
                    *stage = Stage::Here;
                }
            }
            CenChange::Gone(object) => self.remove(object),
        }
    }

    pub(super) fn stage_mut(&mut self, object: &CenObject) -> Option<&mut Stage> {
        match object {
            CenObject::Cen(id) => self.cens.get_mut(id).map(|cen| &mut cen.stage),
            CenObject::Router(id) => self.routers.get_mut(id).map(|router| &mut router.stage),
            CenObject::Attachment(id) => self.attachments.get_mut(id).map(|attachment| &mut attachment.stage),
            CenObject::Table(id) => self.tables.get_mut(id).map(|table| &mut table.stage),
            CenObject::Association(table, id) => self.tables.get_mut(table)?.associations.get_mut(id),
            CenObject::Propagation(table, id) => self.tables.get_mut(table)?.propagations.get_mut(id),
            CenObject::Route(table, id) => {
                let routes = &mut self.tables.get_mut(table)?.routes;
                routes.iter_mut().find(|route| route.id == *id).map(|route| &mut route.stage)
            }
        }
    }

    fn remove(&mut self, object: &CenObject) {
        match object {
            CenObject::Cen(id) => _ = self.cens.remove(id),
            CenObject::Router(id) => {
                self.routers.remove(id);
                self.tables.retain(|_, table| table.router != *id);
            }
            CenObject::Attachment(id) => {
                self.attachments.remove(id);
                for table in self.tables.values_mut() {
                    table.associations.remove(id);
                    table.propagations.remove(id);
                    table.routes.retain(|route| route.attachment.as_ref() != Some(id));
                }
            }
            CenObject::Table(id) => _ = self.tables.remove(id),
            CenObject::Association(table, id) => {
                self.tables.get_mut(table).map(|table| table.associations.remove(id));
            }
            CenObject::Propagation(table, id) => {
                self.tables.get_mut(table).map(|table| table.propagations.remove(id));
            }
            CenObject::Route(table, id) => {
                if let Some(table) = self.tables.get_mut(table) {
                    table.routes.retain(|route| route.id != *id);
                }
            }
        }
    }
}
