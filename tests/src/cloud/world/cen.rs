//! Cloud Enterprise Network in the declared state: CEN instances, transit routers, attachments, their route tables.
//!
//! It stores what owners requested; `routes` computes what the tables learn and receive because of it. Facts:
//! `SEMANTICS.md` §6.2. Where it is silent, the documented behaviour of the product applies. Nothing is
//! associated or learned automatically.

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
    /// Grants of VPC owners that let a CEN instance attach their VPCs.
    pub grants: BTreeSet<Grant>,
}

/// Life-cycle stage of an object. Each kind of object has its own status values for it in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Being created.
    Coming,
    /// In effect.
    Here,
    /// Being removed.
    Going,
}

impl Stage {
    pub(in crate::cloud) fn text(self, [coming, here, going]: [&'static str; 3]) -> &'static str {
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
    /// Id of the account that owns it.
    pub owner: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Life-cycle stage.
    pub stage: Stage,
    /// Time of creation.
    pub created: Timestamp,
}

/// A transit router of the Enterprise edition: one for each region of a CEN instance.
#[derive(Debug, Clone)]
pub struct TransitRouter {
    /// `tr-…`
    pub id: String,
    /// Id of the account that owns it, which owns the CEN instance too.
    pub owner: String,
    /// Id of its CEN instance.
    pub cen: String,
    /// Region id, for example `cn-qingdao`.
    pub region: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Life-cycle stage.
    pub stage: Stage,
    /// Time of creation.
    pub created: Timestamp,
}

/// What an attachment joins to its transit router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attached {
    /// A VPC, with the vSwitches in which the router has an interface, and their zones.
    Vpc {
        /// VPC id.
        vpc: String,
        /// Pairs of zone id and vSwitch id.
        zones: Vec<(String, String)>,
    },
    /// The transit router of another region.
    Router {
        /// Id of that transit router.
        router: String,
        /// Bandwidth in Mbit/s.
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
    /// Id of the account that owns it, which owns the transit router too.
    pub owner: String,
    /// Id of its CEN instance.
    pub cen: String,
    /// Id of its transit router.
    pub router: String,
    /// What is attached.
    pub to: Attached,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Whether the routes of the associated table are advertised to the far end.
    pub publishes: bool,
    /// Life-cycle stage.
    pub stage: Stage,
    /// Time of creation.
    pub created: Timestamp,
}

impl Attachment {
    /// Id of the attached VPC; `None` if a transit router is attached.
    pub fn vpc(&self) -> Option<&str> {
        match &self.to {
            Attached::Vpc { vpc, .. } => Some(vpc),
            Attached::Router { .. } => None,
        }
    }

    /// Id of the transit router at the end opposite to `from`; `None` for a VPC, or if `from` is not an end.
    pub fn across(&self, from: &str) -> Option<&str> {
        match &self.to {
            Attached::Router { router, .. } if self.router == from => Some(router),
            Attached::Router { router, .. } if router == from => Some(&self.router),
            _ => None,
        }
    }

    /// Whether the transit router is one of its ends.
    pub fn ends_at(&self, router: &str) -> bool {
        self.router == router || self.across(router).is_some()
    }
}

/// A route that an owner added to the table of a transit router.
#[derive(Debug, Clone)]
pub struct TransitRoute {
    /// `rte-…`
    pub id: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Destination.
    pub destination: Ipv4Net,
    /// Id of the attachment that is the next hop; `None` is a black hole.
    pub attachment: Option<String>,
    /// Life-cycle stage.
    pub stage: Stage,
    /// Time of creation.
    pub created: Timestamp,
}

/// A route table of a transit router.
#[derive(Debug, Clone)]
pub struct TransitTable {
    /// `vtb-…`
    pub id: String,
    /// Id of its transit router.
    pub router: String,
    /// Name given by the owner; empty if unset.
    pub name: String,
    /// Description given by the owner; empty if unset.
    pub description: String,
    /// Whether it is the system table, created with the router.
    pub system: bool,
    /// Attachments whose incoming packets are looked up here, by id.
    pub associations: BTreeMap<String, Stage>,
    /// Attachments whose routes are learned here, by id.
    pub propagations: BTreeMap<String, Stage>,
    /// Routes added by the owner.
    pub routes: Vec<TransitRoute>,
    /// Life-cycle stage.
    pub stage: Stage,
    /// Time of creation.
    pub created: Timestamp,
}

/// The permission of a VPC owner for a CEN instance of another account to attach the VPC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// VPC id.
    pub vpc: String,
    /// Id of the CEN instance.
    pub cen: String,
    /// Account id of the CEN instance's owner.
    pub cen_owner: String,
}

impl CenWorld {
    /// The table in which packets that arrive through an attachment are looked up.
    pub(in crate::cloud) fn associated(&self, router: &str, attachment: &str) -> Option<&TransitTable> {
        let here = |table: &&TransitTable| table.associations.get(attachment) == Some(&Stage::Here);
        self.tables_of(router).find(here)
    }

    /// Whether a transit router has an interface in a vSwitch.
    pub(in crate::cloud) fn reaches_into(&self, vswitch: &str) -> bool {
        self.attachments.values().any(|attachment| match &attachment.to {
            Attached::Vpc { zones, .. } => zones.iter().any(|(_, own)| own == vswitch),
            Attached::Router { .. } => false,
        })
    }

    pub(in crate::cloud) fn tables_of(&self, router: &str) -> impl Iterator<Item = &TransitTable> {
        self.tables.values().filter(move |table| table.router == router)
    }
}

/// A change of stage that is due at a time.
#[derive(Debug, Clone)]
pub(in crate::cloud) enum CenChange {
    /// An object that a call created takes effect.
    Arrived(CenObject),
    /// An object that a call deleted disappears.
    Gone(CenObject),
}

#[derive(Debug, Clone)]
pub(in crate::cloud) enum CenObject {
    Cen(String),
    Router(String),
    Attachment(String),
    Table(String),
    /// An association, by table and attachment id.
    Association(String, String),
    /// A propagation, by table and attachment id.
    Propagation(String, String),
    /// A written route, by table and route id.
    Route(String, String),
}

impl CenWorld {
    pub(in crate::cloud) fn settle(&mut self, change: &CenChange) {
        match change {
            CenChange::Arrived(object) => {
                if let Some(stage) = self.stage_mut(object) {
                    *stage = Stage::Here;
                }
            }
            CenChange::Gone(object) => self.remove(object),
        }
    }

    pub(in crate::cloud) fn stage_mut(&mut self, object: &CenObject) -> Option<&mut Stage> {
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
