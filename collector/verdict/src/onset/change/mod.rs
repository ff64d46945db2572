//! What changed in the configuration of one account and region between two readings, and how to undo it in the model.
//!
//! How, when and in which order things were read is not a change; neither is a part that only one of the readings could
//! read. Supplies the rule that probes within the settling time of a change prove nothing (`SEMANTICS.md`
//! §1.3), and the search for what began an outage.

mod item;

use crate::verdict::ObjectKind;
use item::Item;
use pingtong_evidence::{Known, RouteTableId, SecurityGroupId, Snapshot};
use std::collections::BTreeMap;

/// The list of a snapshot that an item belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Vpc,
    VSwitch,
    Table,
    Entry(RouteTableId),
    Interface,
    VpcPeering,
    Attachment,
    TransitPeering,
    TransitTable,
    Acl,
    Group,
    Rule(SecurityGroupId),
    PrefixList,
    Instance,
    Eni,
}

/// One item that was added, removed or modified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    part: Part,
    key: String,
    /// Short description before the change; `None` if the item did not exist.
    pub(crate) before: Option<String>,
    /// Short description after the change; `None` if the item no longer exists.
    pub(crate) after: Option<String>,
}

impl Change {
    /// The id by which the vendor's records name the item: for a route its table, for a rule its group.
    pub(crate) fn object(&self) -> &str {
        match &self.part {
            Part::Entry(table) => table.as_str(),
            Part::Rule(group) => group.as_str(),
            _ => &self.key,
        }
    }

    /// Key of the item itself, such as a route's destination.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Kind of the changed object.
    pub(crate) fn kind(&self) -> ObjectKind {
        match self.part {
            Part::Vpc => ObjectKind::Vpc,
            Part::VSwitch => ObjectKind::VSwitch,
            Part::Table | Part::TransitTable => ObjectKind::RouteTable,
            Part::Entry(_) => ObjectKind::RouteEntry,
            Part::Interface => ObjectKind::RouterInterface,
            Part::VpcPeering => ObjectKind::VpcPeering,
            Part::Attachment | Part::TransitPeering => ObjectKind::TransitAttachment,
            Part::Acl => ObjectKind::NetworkAcl,
            Part::Group => ObjectKind::SecurityGroup,
            Part::Rule(_) => ObjectKind::SecurityGroupRule,
            Part::PrefixList => ObjectKind::PrefixList,
            Part::Instance => ObjectKind::Instance,
            Part::Eni => ObjectKind::NetworkInterface,
        }
    }

    /// Makes the item in `model` what it was in `before`.
    pub(crate) fn undo(&self, before: &Snapshot, model: &mut Snapshot) {
        let key = &self.key;
        match &self.part {
            Part::Vpc => put_back(key, &before.vpcs, &mut model.vpcs),
            Part::VSwitch => put_back(key, &before.vswitches, &mut model.vswitches),
            Part::Table => put_back(key, &before.route_tables, &mut model.route_tables),
            Part::Entry(table) => {
                let Known::Known(tables) = &mut model.route_tables else { return };
                let was = before.route_tables.known().and_then(|all| all.iter().find(|t| t.id == *table));
                if let (Some(was), Some(is)) = (was, tables.iter_mut().find(|t| t.id == *table)) {
                    put_back(key, &was.entries, &mut is.entries);
                }
            }
            Part::Interface => put_back(key, &before.router_interfaces, &mut model.router_interfaces),
            Part::VpcPeering => put_back(key, &before.vpc_peerings, &mut model.vpc_peerings),
            Part::Attachment => put_back(key, &before.transit_attachments, &mut model.transit_attachments),
            Part::TransitPeering => put_back(key, &before.transit_peerings, &mut model.transit_peerings),
            Part::TransitTable => put_back(key, &before.transit_route_tables, &mut model.transit_route_tables),
            Part::Acl => put_back(key, &before.network_acls, &mut model.network_acls),
            Part::Group => put_back(key, &before.security_groups, &mut model.security_groups),
            Part::Rule(group) => {
                let Known::Known(groups) = &mut model.security_groups else { return };
                let was = before.security_groups.known().and_then(|all| all.iter().find(|g| g.id == *group));
                if let (Some(was), Some(is)) = (was, groups.iter_mut().find(|g| g.id == *group)) {
                    put_back(key, &was.rules, &mut is.rules);
                }
            }
            Part::PrefixList => put_back(key, &before.prefix_lists, &mut model.prefix_lists),
            Part::Instance => put_back(key, &before.instances, &mut model.instances),
            Part::Eni => put_back(key, &before.enis, &mut model.enis),
        }
    }
}

fn put_back<T: Item>(key: &str, before: &Known<Vec<T>>, model: &mut Known<Vec<T>>) {
    let (Known::Known(before), Known::Known(model)) = (before, model) else { return };
    let was = before.iter().find(|item| item.key() == key).cloned();
    let at = model.iter().position(|item| item.key() == key);
    match (was, at) {
        (Some(mut was), Some(at)) => {
            if let Some(is) = model.get_mut(at) {
                was.keep_parts(is);
                *is = was;
            }
        }
        (Some(was), None) => model.push(was),
        (None, Some(at)) => {
            model.remove(at);
        }
        (None, None) => {}
    }
}

fn by_key<T: Item>(items: &[T]) -> BTreeMap<String, &T> {
    items.iter().map(|item| (item.key(), item)).collect()
}

/// Adds the items of a list that differ. Compares only if both readings know the list.
fn compare<T: Item>(part: &Part, before: &Known<Vec<T>>, after: &Known<Vec<T>>, found: &mut Vec<Change>) {
    let (Known::Known(before), Known::Known(after)) = (before, after) else { return };
    let (before, after) = (by_key(before), by_key(after));
    let same = |a: &T, b: &T| {
        let (mut a, mut b) = (a.clone(), b.clone());
        a.bare();
        b.bare();
        a == b
    };
    let mut add = |key: &String, before: Option<&T>, after: Option<&T>| {
        let (before, after) = (before.map(Item::text), after.map(Item::text));
        found.push(Change { part: part.clone(), key: key.clone(), before, after });
    };
    for (key, was) in &before {
        match after.get(key) {
            Some(is) if same(was, is) => {}
            is => add(key, Some(was), is.copied()),
        }
    }
    for (key, is) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
        add(key, None, Some(is));
    }
}

/// Everything that packets depend on and that changed from one reading to the next.
pub(crate) fn changes(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let mut found = vec![];
    compare(&Part::Vpc, &before.vpcs, &after.vpcs, &mut found);
    compare(&Part::VSwitch, &before.vswitches, &after.vswitches, &mut found);
    compare(&Part::Table, &before.route_tables, &after.route_tables, &mut found);
    for (was, is) in both_known(&before.route_tables, &after.route_tables) {
        compare(&Part::Entry(is.id.clone()), &was.entries, &is.entries, &mut found);
    }
    compare(&Part::Interface, &before.router_interfaces, &after.router_interfaces, &mut found);
    compare(&Part::VpcPeering, &before.vpc_peerings, &after.vpc_peerings, &mut found);
    compare(&Part::Attachment, &before.transit_attachments, &after.transit_attachments, &mut found);
    compare(&Part::TransitPeering, &before.transit_peerings, &after.transit_peerings, &mut found);
    compare(&Part::TransitTable, &before.transit_route_tables, &after.transit_route_tables, &mut found);
    compare(&Part::Acl, &before.network_acls, &after.network_acls, &mut found);
    compare(&Part::Group, &before.security_groups, &after.security_groups, &mut found);
    for (was, is) in both_known(&before.security_groups, &after.security_groups) {
        compare(&Part::Rule(is.id.clone()), &was.rules, &is.rules, &mut found);
    }
    compare(&Part::PrefixList, &before.prefix_lists, &after.prefix_lists, &mut found);
    compare(&Part::Instance, &before.instances, &after.instances, &mut found);
    compare(&Part::Eni, &before.enis, &after.enis, &mut found);
    found
}

/// Pairs of items that are in both readings.
fn both_known<'a, T: Item>(before: &'a Known<Vec<T>>, after: &'a Known<Vec<T>>) -> Vec<(&'a T, &'a T)> {
    let (Known::Known(before), Known::Known(after)) = (before, after) else { return vec![] };
    before.iter().filter_map(|was| Some((was, after.iter().find(|is| is.key() == was.key())?))).collect()
}
