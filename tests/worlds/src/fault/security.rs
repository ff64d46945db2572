//! Faults of security groups and network ACLs: step 6 (`SEMANTICS.md` §7.4, §7.5).

use super::Expected;
use crate::{
    draw::{acl_entry, bind_acl, rule, slice},
    world::{World, list, list_mut, named},
};
use pingtong_evidence::{
    AclEntry, Cidr, Direction, Known, Policy, PrefixList, Provenance, RulePeer, RuleProtocol, SecurityGroup,
    SecurityGroupKind, SecurityRule, Side,
};

fn inward(side: Side) -> Direction {
    side.opposite().sends()
}

fn kind(world: &World, side: Side) -> Option<SecurityGroupKind> {
    let id = &world.names(side).group;
    list(&world.config(side).security_groups).iter().find(|g| g.id.as_str() == *id).map(|g| g.kind)
}

/// The rule that lets the peer in.
fn accept(world: &mut World, side: Side) -> Option<&mut SecurityRule> {
    let (group, id) = (world.names(side).group.clone(), world.names(side).rule.clone());
    let rules = list_mut(&mut world.group_mut(side, &group)?.rules);
    rules.iter_mut().find(|rule| rule.id.as_ref().is_some_and(|have| have.as_str() == id))
}

fn edit(
    world: &mut World,
    side: Side,
    code: &'static str,
    with: impl FnOnce(&mut SecurityRule),
) -> Option<Vec<Expected>> {
    with(accept(world, side)?);
    Some(vec![Expected::by_config(code, side, world.names(side).rule.clone()).towards(inward(side))])
}

fn take(world: &mut World, side: Side) -> Option<SecurityRule> {
    let taken = accept(world, side)?.clone();
    let group = world.names(side).group.clone();
    list_mut(&mut world.group_mut(side, &group)?.rules).retain(|rule| rule.id != taken.id);
    Some(taken)
}

/// A cause for which any of the network interface's groups may be blamed, because all of them lack the rule.
fn any_group(world: &World, side: Side, code: &'static str, direction: Direction) -> Expected {
    let mut cause = Expected::by_config(code, side, "").towards(direction);
    cause.objects.clone_from(&world.names(side).groups);
    cause
}

pub(super) fn ingress_missing(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    take(world, side)?;
    Some(vec![any_group(world, side, "sg-ingress-missing", inward(side))])
}

pub(super) fn drop_wins(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let id = format!("sgr-{}-drop", world.names(side).letter);
    let peer = RulePeer::Cidr(world.block(side.opposite()));
    let drop = SecurityRule { policy: Policy::Drop, ..rule(&id, true, RuleProtocol::Icmp, 1, peer) };
    let last = world.names(side).groups.last()?.clone();
    list_mut(&mut world.group_mut(side, &last)?.rules).push(drop);
    Some(vec![Expected::by_config("sg-drop-wins", side, id).towards(inward(side))])
}

pub(super) fn wrong_protocol(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    edit(world, side, "sg-wrong-protocol", |rule| rule.protocol = RuleProtocol::Tcp)
}

pub(super) fn own_block(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let own = world.block(side);
    if own.overlaps(&world.block(side.opposite())) {
        return None;
    }
    edit(world, side, "sg-wrong-cidr", |rule| rule.peer = RulePeer::Cidr(own))
}

pub(super) fn too_narrow(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let (block, far) = (world.block(side.opposite()), world.address(side.opposite()));
    let narrow = (1..12).map(|n| slice(block, n)).find(|part| !part.contains(far))?;
    edit(world, side, "sg-wrong-cidr", |rule| rule.peer = RulePeer::Cidr(narrow))
}

pub(super) fn wrong_direction(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    // In an enterprise group the egress rule is needed as well, so it would not be a mistake.
    if kind(world, side)? != SecurityGroupKind::Normal {
        return None;
    }
    edit(world, side, "sg-wrong-direction", |rule| rule.ingress = false)
}

pub(super) fn peers_group(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    // Enterprise groups do not accept a group as a source.
    if kind(world, side)? != SecurityGroupKind::Normal {
        return None;
    }
    let id = named(&world.names(side.opposite()).group);
    let owner = Some(world.config(side.opposite()).account.clone());
    edit(world, side, "sg-group-source-cross-vpc", |rule| rule.peer = RulePeer::Group { id, owner })
}

pub(super) fn not_attached(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let (taken, kind) = (take(world, side)?, kind(world, side)?);
    let id = format!("sg-{}-lonely", world.names(side).letter);
    let vpc = named(&world.names(side).vpc);
    list_mut(&mut world.config_mut(side).security_groups).push(SecurityGroup {
        id: named(&id),
        name: String::new(),
        vpc: Some(vpc),
        kind,
        inner_access: Known::Known(Policy::Accept),
        rules: Known::Known(vec![taken]),
        provenance: Provenance(0),
    });
    Some(vec![Expected::by_config("sg-not-attached", side, id).towards(inward(side))])
}

pub(super) fn prefix_list(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let id = format!("pl-{}-short", world.names(side).letter);
    let list = PrefixList {
        id: named(&id),
        entries: Known::Known(vec![named("203.0.113.0/24"), named("198.51.100.0/24")]),
        provenance: Provenance(0),
    };
    list_mut(&mut world.config_mut(side).prefix_lists).push(list);
    let peer = RulePeer::PrefixList(named(&id));
    edit(world, side, "sg-prefix-list", |rule| rule.peer = peer)?;
    Some(vec![Expected::by_config("sg-prefix-list", side, id).towards(inward(side))])
}

pub(super) fn egress_drop(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let id = format!("sgr-{}-outdrop", world.names(side).letter);
    let peer = RulePeer::Cidr(world.block(side.opposite()));
    let drop = SecurityRule { policy: Policy::Drop, ..rule(&id, false, RuleProtocol::All, 1, peer) };
    let last = world.names(side).groups.last()?.clone();
    list_mut(&mut world.group_mut(side, &last)?.rules).push(drop);
    Some(vec![Expected::by_config("sg-egress-blocked", side, last).towards(side.sends())])
}

pub(super) fn egress_unopened(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    if kind(world, side)? != SecurityGroupKind::Enterprise {
        return None;
    }
    for group in list_mut(&mut world.config_mut(side).security_groups) {
        list_mut(&mut group.rules).retain(|rule| rule.ingress);
    }
    Some(vec![any_group(world, side, "sg-egress-blocked", side.sends())])
}

/// The entries of the ACL on the host's vSwitch; if the vSwitch has no ACL, an open one is bound first.
fn acl_entries(world: &mut World, side: Side, ingress: bool) -> Option<&mut Vec<AclEntry>> {
    let names = world.names(side).clone();
    if world.vswitch(side)?.network_acl.is_none() {
        let everything: Cidr = named("0.0.0.0/0");
        let open = |way| {
            vec![acl_entry(&format!("nae-{}-{way}-open", names.letter), Policy::Accept, RuleProtocol::All, everything)]
        };
        bind_acl(world.config_mut(side), &names, &format!("nacl-{}", names.letter), open("in"), open("out"));
    }
    let id = world.vswitch(side)?.network_acl.clone()?;
    let acl = list_mut(&mut world.config_mut(side).network_acls).iter_mut().find(|acl| acl.id == id)?;
    Some(list_mut(if ingress { &mut acl.ingress } else { &mut acl.egress }))
}

fn acl_drop(world: &mut World, side: Side, ingress: bool) -> Option<String> {
    let peer = world.block(side.opposite());
    let id = format!("nae-{}-{}-deny", world.names(side).letter, if ingress { "in" } else { "out" });
    acl_entries(world, side, ingress)?.insert(0, acl_entry(&id, Policy::Drop, RuleProtocol::Icmp, peer));
    Some(id)
}

/// Replaces the entries by one that matches other packets only. Returns the id of the ACL.
fn acl_silent(world: &mut World, side: Side, ingress: bool) -> Option<String> {
    let id = format!("nae-{}-{}-web", world.names(side).letter, if ingress { "in" } else { "out" });
    *acl_entries(world, side, ingress)? = vec![acl_entry(&id, Policy::Accept, RuleProtocol::Tcp, named("0.0.0.0/0"))];
    world.vswitch(side)?.network_acl.as_ref().map(ToString::to_string)
}

pub(super) fn acl_ingress_drop(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let id = acl_drop(world, side, true)?;
    Some(vec![Expected::by_config("nacl-ingress-blocked", side, id).towards(inward(side))])
}

pub(super) fn acl_egress_drop(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let id = acl_drop(world, side, false)?;
    Some(vec![Expected::by_config("nacl-egress-blocked", side, id).towards(side.sends())])
}

pub(super) fn acl_ingress_silent(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let id = acl_silent(world, side, true)?;
    Some(vec![Expected::by_config("nacl-ingress-blocked", side, id).towards(inward(side))])
}

pub(super) fn acl_egress_silent(world: &mut World, side: Side) -> Option<Vec<Expected>> {
    let id = acl_silent(world, side, false)?;
    Some(vec![Expected::by_config("nacl-egress-blocked", side, id).towards(side.sends())])
}
