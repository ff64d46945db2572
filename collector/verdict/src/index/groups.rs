//! The security groups of an interface, pooled and compiled.
//!
//! Interfaces with the same groups share one pool for each direction, unless a five-tuple rule distinguishes their
//! addresses. A group as source or destination matches inside its VPC only (`SEMANTICS.md` §1.2). Pools for
//! traffic with other VPCs therefore leave such rules out. Pools for traffic inside the VPC expand them to the
//! addresses of the members, and let members of one group reach each other as its inner policy says (§1.1).

use super::{
    filter::{Filter, INNER, Item, Say},
    place::Place,
    span::{Span, address},
};
use crate::walk::{group_default, rule_standing};
use pingtong_evidence::{
    Known, Policy, PortRange, RulePeer, RuleProtocol, SecurityGroup, SecurityGroupId, SecurityGroupKind, SecurityRule,
};
use std::collections::BTreeMap;

/// Addresses of the members of groups inside one VPC.
pub(crate) type Members = BTreeMap<SecurityGroupId, Vec<Span>>;

/// Key of a pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PoolKey {
    pub(crate) place: u32,
    pub(crate) groups: Vec<SecurityGroupId>,
    pub(crate) ingress: bool,
    /// Index of the VPC inside which the pool filters; `None` for traffic with other VPCs.
    pub(crate) inside: Option<u32>,
    /// For each rule with a near block, whether the block contains the interface's address.
    pub(crate) own: Vec<bool>,
}

/// Position of a rule: the index of its group in the snapshot's list, and its index in the group.
pub(crate) type RuleAt = (u32, u32);

/// A compiled pool.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) filter: Filter,
    /// The rules that decisions refer to by number.
    pub(crate) names: Vec<RuleAt>,
}

/// For each rule with a near block, in order, whether the block contains the address `near`.
pub(crate) fn own_rules(place: &Place, groups: &[SecurityGroupId], ingress: bool, near: u32) -> Vec<bool> {
    let found = groups.iter().filter_map(|id| place.group(id)).filter_map(|(_, group)| group.rules.known()).flatten();
    found
        .filter(|rule| rule.ingress == ingress)
        .filter_map(|rule| rule.own)
        .map(|own| own.contains(address(near)))
        .collect()
}

impl Pool {
    fn constant(say: Say) -> Self {
        Self { filter: Filter::constant(say), names: vec![] }
    }

    pub(crate) fn compile(key: &PoolKey, place: &Place, members: Option<&Members>) -> Self {
        if key.groups.is_empty() {
            return Self::constant(Say::Pass(super::filter::DEFAULT));
        }
        let groups: Vec<(usize, &SecurityGroup)> = key.groups.iter().filter_map(|id| place.group(id)).collect();
        if groups.len() < key.groups.len() || groups.iter().any(|(_, group)| group.rules.known().is_none()) {
            return Self::constant(Say::Unknown);
        }
        let mut own = key.own.iter();
        let mut speaks = |rule: &SecurityRule| rule.own.is_none() || own.next() == Some(&true);
        let mut pool: Vec<(RuleAt, &SecurityRule)> = vec![];
        for (group_at, group) in &groups {
            for (at, rule) in group.rules.known().into_iter().flatten().enumerate() {
                if rule.ingress == key.ingress && speaks(rule) {
                    let name = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
                    pool.push(((name(*group_at), name(at)), rule));
                }
            }
        }
        pool.sort_by_key(|(_, rule)| rule_standing(rule));
        let inner = everyone();
        let mut items = members.map_or_else(Vec::new, |members| inner_items(&groups, members, &inner));
        for (name, (_, rule)) in (0u32..).zip(&pool) {
            let (spans, doubtful) = covered(rule, place, members);
            items.push(Item { name, rule, spans, doubtful });
        }
        let default = group_default(key.ingress, groups.first().map(|(_, group)| *group));
        Self { filter: Filter::groups(&items, default), names: pool.into_iter().map(|(at, _)| at).collect() }
    }
}

/// The far addresses that a rule covers, and whether that could not be read.
fn covered(rule: &SecurityRule, place: &Place, members: Option<&Members>) -> (Vec<Span>, bool) {
    match &rule.peer {
        RulePeer::Any => (vec![Span::ALL], false),
        RulePeer::Cidr(block) => (Span::of(block).into_iter().collect(), false),
        RulePeer::Group { id, .. } => {
            let found = members.and_then(|members| members.get(id));
            (found.cloned().unwrap_or_default(), false)
        }
        RulePeer::PrefixList(id) => match place.prefix_list(id) {
            Some(spans) => (spans, false),
            None => (vec![Span::ALL], true),
        },
    }
}

fn everyone() -> SecurityRule {
    SecurityRule {
        id: None,
        ingress: true,
        policy: Policy::Accept,
        priority: 0,
        protocol: RuleProtocol::All,
        ports: PortRange::ALL,
        source_ports: None,
        peer: RulePeer::Any,
        own: None,
    }
}

/// The implicit rules of basic groups: members reach each other whatever the rules say, unless the group isolates them.
fn inner_items<'a>(groups: &[(usize, &SecurityGroup)], members: &Members, rule: &'a SecurityRule) -> Vec<Item<'a>> {
    let open = groups.iter().filter(|(_, group)| {
        group.kind == SecurityGroupKind::Normal && group.inner_access != Known::Known(Policy::Drop)
    });
    open.map(|(_, group)| Item {
        name: INNER,
        rule,
        spans: members.get(&group.id).cloned().unwrap_or_default(),
        doubtful: group.inner_access.known().is_none(),
    })
    .collect()
}
