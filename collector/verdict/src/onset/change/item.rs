//! The items of a snapshot that can change individually: its objects, the routes of a table, the rules of a group.
//!
//! Each item defines the key that identifies it in two readings, what does not count as a change (where and in which
//! order it was read), and a short description. The description uses the vendor's own terms and ids, which are the same
//! in every language.

use crate::walk::rule_text;
use pingtong_evidence::{
    Eni, Instance, Known, NetworkAcl, NextHop, PrefixList, Provenance, RouteEntry, RouteTable, RouterInterface,
    SecurityGroup, SecurityRule, TransitAttachment, TransitPeering, TransitRouteTable, VSwitch, Vpc, VpcPeering,
    WhyUnknown,
};
use std::fmt::Debug;

pub(crate) trait Item: Clone + Debug + PartialEq {
    /// Key that identifies the item in another reading.
    fn key(&self) -> String;
    /// Removes what does not count as a change, and the parts that are items themselves.
    fn bare(&mut self);
    /// Takes the parts that are items themselves from another reading of the item.
    fn keep_parts(&mut self, _other: &Self) {}
    /// Short description of the item.
    fn text(&self) -> String;
}

/// Removes the reason why a part is unknown: it names a request, which differs in every reading.
fn forget_why<T>(known: &mut Known<T>) {
    if let Known::Unknown(why) = known {
        *why = WhyUnknown::NotAsked;
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    if items.is_empty() { "-".to_owned() } else { items.join(" ") }
}

fn or_none<T: ToString>(item: Option<&T>) -> String {
    item.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn count<T>(known: &Known<Vec<T>>) -> String {
    known.known().map_or_else(|| "?".to_owned(), |all| all.len().to_string())
}

/// Implements [`Item`] for types that are identified by their id and whose provenance alone does not count as a change.
macro_rules! by_id {
    ($($item:ident($this:ident) $told:block)+) => {$(
        impl Item for $item {
            fn key(&self) -> String {
                self.id.to_string()
            }
            fn bare(&mut self) {
                self.provenance = Provenance::default();
            }
            fn text(&self) -> String {
                let $this = self;
                $told
            }
        }
    )+};
}

by_id! {
    Vpc(it) {
        format!("{} {}", it.cidr, list(&it.secondary_cidrs))
    }
    VSwitch(it) {
        let (table, acl) = (or_none(it.route_table.as_ref()), or_none(it.network_acl.as_ref()));
        format!("{} RouteTable {table} NetworkAcl {acl}", it.cidr)
    }
    RouterInterface(it) {
        let opposite = or_none(it.opposite_interface.as_ref());
        format!("{:?} {:?} {} OppositeInterface {opposite}", it.status, it.business_status, it.spec)
    }
    VpcPeering(it) {
        format!("{:?} {:?}", it.status, it.business_status)
    }
    TransitAttachment(it) {
        format!("{} {} Attached={}", it.transit_router, it.vpc, it.attached)
    }
    TransitPeering(it) {
        format!("{} {} Attached={}", it.transit_router, it.peer_transit_router, it.attached)
    }
    Instance(it) {
        format!("{:?} {} SecurityGroups {}", it.status, list(&it.addresses), list(&it.security_groups))
    }
    Eni(it) {
        format!("{:?} {} SecurityGroups {}", it.status, list(&it.addresses), list(&it.security_groups))
    }
}

impl Item for RouteTable {
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn bare(&mut self) {
        self.provenance = Provenance::default();
        self.vswitches.sort();
        self.entries = Known::default();
    }
    fn keep_parts(&mut self, other: &Self) {
        self.entries = other.entries.clone();
    }
    fn text(&self) -> String {
        format!("{:?} VSwitches {}", self.kind, list(&self.vswitches))
    }
}

impl Item for RouteEntry {
    fn key(&self) -> String {
        self.destination.to_string()
    }
    fn bare(&mut self) {
        self.provenance = Provenance::default();
    }
    fn text(&self) -> String {
        let hop = |hop: &NextHop| format!("{:?} {}", hop.kind, hop.id).trim_end().to_owned();
        let hops: Vec<String> = self.next_hops.iter().map(hop).collect();
        format!("{} {} {:?}", self.destination, hops.join(", "), self.status)
    }
}

impl Item for TransitRouteTable {
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn bare(&mut self) {
        self.provenance = Provenance::default();
        forget_why(&mut self.routes);
        forget_why(&mut self.associations);
        forget_why(&mut self.propagations);
        if let Known::Known(routes) = &mut self.routes {
            routes.sort_by_cached_key(|route| format!("{route:?}"));
        }
    }
    fn text(&self) -> String {
        let (routes, associations) = (count(&self.routes), count(&self.associations));
        format!("RouteEntries {routes} Associations {associations} Propagations {}", count(&self.propagations))
    }
}

impl Item for NetworkAcl {
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn bare(&mut self) {
        self.provenance = Provenance::default();
        self.vswitches.sort();
        forget_why(&mut self.ingress);
        forget_why(&mut self.egress);
    }
    fn text(&self) -> String {
        let (ingress, egress) = (count(&self.ingress), count(&self.egress));
        format!("IngressAclEntries {ingress} EgressAclEntries {egress} VSwitches {}", list(&self.vswitches))
    }
}

impl Item for SecurityGroup {
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn bare(&mut self) {
        self.provenance = Provenance::default();
        self.rules = Known::default();
        forget_why(&mut self.inner_access);
    }
    fn keep_parts(&mut self, other: &Self) {
        self.rules = other.rules.clone();
    }
    fn text(&self) -> String {
        format!("{:?}", self.kind)
    }
}

impl Item for SecurityRule {
    fn key(&self) -> String {
        self.id.as_ref().map_or_else(|| format!("{} {}", self.way(), rule_text(self)), ToString::to_string)
    }
    fn bare(&mut self) {}
    fn text(&self) -> String {
        format!("{} {}", self.way(), rule_text(self))
    }
}

trait Way {
    fn way(&self) -> &'static str;
}

impl Way for SecurityRule {
    fn way(&self) -> &'static str {
        if self.ingress { "ingress" } else { "egress" }
    }
}

impl Item for PrefixList {
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn bare(&mut self) {
        self.provenance = Provenance::default();
        forget_why(&mut self.entries);
        if let Known::Known(entries) = &mut self.entries {
            entries.sort();
        }
    }
    fn text(&self) -> String {
        self.entries.known().map_or_else(|| "?".to_owned(), |entries| list(entries))
    }
}
