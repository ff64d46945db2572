//! Security group rules: read in the top-level form and in `Permissions.N`, checked, added, removed, changed.
//!
//! Adding a duplicate succeeds and adds nothing. A group as the far end must be in the same VPC, unless the world's or
//! the account's `legacy_sg_auth` allows the rule to be stored (`SEMANTICS.md` §1.2).

use super::{
    Answer, Call, done,
    group::{self, RULES_PER_INTERFACE_MAX as PER_INTERFACE_MAX, weight, weight_of},
};
use crate::cloud::{
    calls::params::{Params, read_block},
    calls::refusal::Refusal,
    world::{Eni, Peer, Rule, SecurityGroup, World},
};
use std::collections::BTreeSet;

/// Maximum number of rules per group, both directions together (ECS document of AuthorizeSecurityGroup; 100 in older
/// ones).
const RULES_MAX: usize = 200;
/// Maximum number of rules per call, as `Permissions.N` (the same document).
const RULES_OF_A_CALL_MAX: usize = 100;
/// Maximum number of groups that the rules of a basic group can reference (`SEMANTICS.md` §1.1).
const GROUPS_NAMED_MAX: usize = 20;
/// Maximum length of a description, in characters (`API.md` §1.8).
const DESCRIPTION_MAX: usize = 512;

pub(super) fn authorize_ingress(call: &Call<'_>, world: &mut World) -> Answer {
    authorize(call, world, true)
}

pub(super) fn authorize_egress(call: &Call<'_>, world: &mut World) -> Answer {
    authorize(call, world, false)
}

pub(super) fn revoke_ingress(call: &Call<'_>, world: &mut World) -> Answer {
    revoke(call, world, true)
}

pub(super) fn revoke_egress(call: &Call<'_>, world: &mut World) -> Answer {
    revoke(call, world, false)
}

fn authorize(call: &Call<'_>, world: &mut World, ingress: bool) -> Answer {
    call.region()?;
    let target = group::own(call, world, call.params.need("SecurityGroupId")?)?.clone();
    let mut rules = Vec::new();
    for params in forms(call)? {
        let rule = read(call, &params, ingress)?;
        check_peer(call, world, &target, &rule)?;
        let known = |other: &Rule| same(other, &rule);
        if !target.rules.iter().any(known) && !rules.iter().any(known) {
            rules.push(rule);
        }
    }
    check_room(world, &target, &rules)?;
    for rule in &mut rules {
        rule.id = world.make.id("sgr-", &target.region);
    }
    if let Some(stored) = world.groups.get_mut(&target.id) {
        stored.rules.extend(rules);
    }
    done()
}

/// Checks that new rules fit the quotas of their group, and of every interface that is in the group.
fn check_room(world: &World, target: &SecurityGroup, rules: &[Rule]) -> Result<(), Refusal> {
    let mut extended = target.clone();
    extended.rules.extend_from_slice(rules);
    let named: BTreeSet<&str> =
        extended.rules.iter().map(|rule| rule.peer.group.as_str()).filter(|group| !group.is_empty()).collect();
    let added = weight(world, rules);
    let full = |eni: &Eni| eni.groups.contains(&target.id) && weight_of(world, &eni.groups) + added > PER_INTERFACE_MAX;
    if weight(world, &extended.rules) > RULES_MAX
        || named.len() > GROUPS_NAMED_MAX
        || (added > 0 && world.enis.values().any(full))
    {
        let message = "The limit of authorization records in the security group reaches.";
        return Err(Refusal::new(403, "AuthorizationLimitExceed", message));
    }
    Ok(())
}

fn revoke(call: &Call<'_>, world: &mut World, ingress: bool) -> Answer {
    call.region()?;
    let mut target = group::own(call, world, call.params.need("SecurityGroupId")?)?.clone();
    let ids = call.params.list("SecurityGroupRuleId");
    let missing = || {
        let message = "Specified group authorized item does not exist in our records.";
        Refusal::new(403, "InvalidGroupAuthItem.NotFound", message)
    };
    if ids.is_empty() {
        for params in forms(call)? {
            let rule = read(call, &params, ingress)?;
            let before = target.rules.len();
            target.rules.retain(|other| !same(other, &rule));
            if target.rules.len() == before {
                return Err(missing());
            }
        }
    } else {
        if !ids.iter().all(|id| target.rules.iter().any(|rule| rule.id == *id && rule.ingress == ingress)) {
            return Err(missing());
        }
        target.rules.retain(|rule| !ids.contains(&rule.id));
    }
    world.groups.insert(target.id.clone(), target);
    done()
}

pub(super) fn modify_ingress(call: &Call<'_>, world: &mut World) -> Answer {
    modify(call, world, true)
}

pub(super) fn modify_egress(call: &Call<'_>, world: &mut World) -> Answer {
    modify(call, world, false)
}

/// Changes the fields that are given and keeps the others.
fn modify(call: &Call<'_>, world: &mut World, ingress: bool) -> Answer {
    call.region()?;
    let target = group::own(call, world, call.params.need("SecurityGroupId")?)?.clone();
    let id = call.params.need("SecurityGroupRuleId")?;
    let old = target.rules.iter().find(|rule| rule.id == id && rule.ingress == ingress).ok_or_else(|| {
        let message = "The specified SecurityGroupRuleId does not exist.";
        Refusal::new(404, "InvalidSecurityGroupRuleId.NotFound", message)
    })?;
    let mut params = as_params(old);
    let far = if ingress {
        ["SourceCidrIp", "Ipv6SourceCidrIp", "SourceGroupId", "SourcePrefixListId"]
    } else {
        ["DestCidrIp", "Ipv6DestCidrIp", "DestGroupId", "DestPrefixListId"]
    };
    if far.iter().any(|name| call.params.get(name).is_some()) {
        params = params.without(&far);
    }
    let mut rule = read(call, &params.overlaid(call.params), ingress)?;
    check_peer(call, world, &target, &rule)?;
    rule.id.clone_from(&old.id);
    rule.created = old.created;
    let stored = world.groups.get_mut(&target.id).map(|group| &mut group.rules);
    if let Some(slot) = stored.into_iter().flatten().find(|slot| slot.id == id) {
        *slot = rule;
    }
    done()
}

/// Parameters of each rule of a call: the members of `Permissions.N`, or the call's own parameters.
fn forms(call: &Call<'_>) -> Result<Vec<Params>, Refusal> {
    let members = call.params.members("Permissions");
    if members.len() > RULES_OF_A_CALL_MAX {
        return Err(Refusal::new(400, "InvalidParam.Permissions", "A call takes at most 100 permissions."));
    }
    Ok(if members.is_empty() { vec![call.params.clone()] } else { members })
}

fn as_params(rule: &Rule) -> Params {
    let (far, near) = sides(rule.ingress);
    let pairs = [
        ("IpProtocol".to_owned(), rule.protocol.clone()),
        ("PortRange".to_owned(), rule.ports.clone()),
        ("SourcePortRange".to_owned(), rule.source_ports.clone()),
        ("Policy".to_owned(), if rule.accept { "accept" } else { "drop" }.to_owned()),
        ("Priority".to_owned(), rule.priority.to_string()),
        ("Description".to_owned(), rule.description.clone()),
        (format!("{far}CidrIp"), rule.peer.cidr.clone()),
        (format!("Ipv6{far}CidrIp"), rule.peer.cidr6.clone()),
        (format!("{far}GroupId"), rule.peer.group.clone()),
        (format!("{far}PrefixListId"), rule.peer.prefix_list.clone()),
        (format!("{near}CidrIp"), rule.own_cidr.clone()),
    ];
    Params::made(pairs.each_ref().map(|(name, value)| (name.as_str(), value.clone())))
}

fn sides(ingress: bool) -> (&'static str, &'static str) {
    if ingress { ("Source", "Dest") } else { ("Dest", "Source") }
}

fn read(call: &Call<'_>, params: &Params, ingress: bool) -> Result<Rule, Refusal> {
    let (far, near) = sides(ingress);
    let accept = match params.get("Policy").map(str::to_lowercase).as_deref() {
        None | Some("accept") => true,
        Some("drop") => false,
        Some(_) => {
            let message = "The specified parameter \"Policy\" is not valid.";
            return Err(Refusal::new(400, "InvalidPolicy.Malformed", message));
        }
    };
    let priority = match params.get("Priority").map(str::parse::<u8>) {
        None => 1,
        Some(Ok(priority)) if (1..=100).contains(&priority) => priority,
        Some(_) => {
            let message = "The parameter Priority is invalid.";
            return Err(Refusal::new(400, "InvalidPriority.ValueNotSupported", message));
        }
    };
    if params.get("NicType").is_some_and(|kind| !matches!(kind, "internet" | "intranet")) {
        return Err(Refusal::new(400, "InvalidNicType.ValueNotSupported", "The specified NicType does not exist."));
    }
    let protocol = params.need("IpProtocol")?.to_uppercase();
    let ports = read_protocol(&protocol, params)?;
    let source_ports = params.text("SourcePortRange");
    // Only TCP and UDP have ports. For all other protocols, and for ALL, the only value is `-1/-1`, any port.
    let ported = matches!(protocol.as_str(), "TCP" | "UDP");
    if !source_ports.is_empty() && source_ports != "-1/-1" && (!ported || read_ports(&source_ports).is_none()) {
        let message = "The specified parameter \"SourcePortRange\" is not valid.";
        return Err(Refusal::new(400, "InvalidSourcePortRange.Malformed", message));
    }
    let block = |name: String| {
        let text = params.text(&name);
        if text.is_empty() || read_block(&text, true).is_some() {
            return Ok(text);
        }
        let message = format!("The specified parameter \"{name}\" is not valid.");
        Err(Refusal::new(400, &format!("Invalid{name}.Malformed"), &message))
    };
    let group = params.text(&format!("{far}GroupId"));
    let named_owner = [format!("{far}GroupOwnerId"), format!("{far}GroupOwnerAccount")];
    let owner = named_owner.iter().find_map(|name| params.get(name)).unwrap_or(&call.caller.account).to_owned();
    let peer = Peer {
        cidr: block(format!("{far}CidrIp"))?,
        cidr6: params.text(&format!("Ipv6{far}CidrIp")),
        prefix_list: params.text(&format!("{far}PrefixListId")),
        group_owner: if group.is_empty() { String::new() } else { owner },
        group,
    };
    if !peer.cidr.is_empty() && !peer.cidr6.is_empty() {
        let message = "IPv4 and IPv6 blocks cannot be mixed in one rule.";
        return Err(Refusal::new(400, "InvalidParam.Ipv4ProtocolConflictWithIpv6Address", message));
    }
    let own_cidr = block(format!("{near}CidrIp"))?;
    if !own_cidr.is_empty() && read_block(&own_cidr, true) == read_block(&peer.cidr, true) {
        let message = "The specified SourceCidrIp should be different from the DestCidrIp.";
        return Err(Refusal::new(400, "InvalidParamter.Conflict", message));
    }
    let description = params.text("Description");
    if description.chars().count() > DESCRIPTION_MAX {
        let message = "The specified security group rule description is not valid.";
        return Err(Refusal::new(400, "InvalidSecurityGroupDiscription.Malformed", message));
    }
    Ok(Rule {
        id: String::new(),
        ingress,
        accept,
        priority,
        protocol,
        ports,
        source_ports,
        peer: effective(peer),
        own_cidr,
        own_cidr6: params.text(&format!("Ipv6{near}CidrIp")),
        description,
        created: call.now,
    })
}

/// Of several far ends, a block takes precedence over a group, and both over a prefix list.
fn effective(mut peer: Peer) -> Peer {
    if !peer.cidr.is_empty() || !peer.cidr6.is_empty() {
        peer.group.clear();
        peer.group_owner.clear();
        peer.prefix_list.clear();
    } else if !peer.group.is_empty() {
        peer.prefix_list.clear();
    }
    peer
}

/// The port range of a rule, checked against its protocol.
fn read_protocol(protocol: &str, params: &Params) -> Result<String, Refusal> {
    let whole = matches!(protocol, "ICMP" | "GRE" | "ALL" | "ICMPV6");
    let ported = matches!(protocol, "TCP" | "UDP");
    let numeric = protocol.parse::<u8>().is_ok();
    if !(whole || ported || numeric) {
        let message = "The parameter IpProtocol must be specified with case insensitive TCP, UDP, ICMP, GRE or All.";
        return Err(Refusal::new(400, "InvalidIpProtocol.ValueNotSupported", message));
    }
    let ports = match params.get("PortRange") {
        Some(ports) => ports.to_owned(),
        None if ported => {
            let message = "The specified parameter \"PortRange\" is not valid.";
            return Err(Refusal::new(400, "InvalidIpProtocol.Malformed", message));
        }
        None => "-1/-1".to_owned(),
    };
    if whole && ports != "-1/-1" {
        let message = "The specified IpProtocol does not exist or IpProtocol and PortRange do not match.";
        return Err(Refusal::new(400, "OperationDenied", message));
    }
    if ported && read_ports(&ports).is_none() {
        let message = "The specified parameter \"PortRange\" is not valid.";
        return Err(Refusal::new(400, "InvalidIpProtocol.Malformed", message));
    }
    Ok(ports)
}

/// Reads a port range `a/b` with 1 ≤ a ≤ b; `None` for everything else, `-1/-1` included.
pub(in crate::cloud) fn read_ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('/')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (1 <= first && first <= last).then_some((first, last))
}

fn check_peer(call: &Call<'_>, world: &World, target: &SecurityGroup, rule: &Rule) -> Result<(), Refusal> {
    let (far, _) = sides(rule.ingress);
    let peer = &rule.peer;
    if peer.cidr.is_empty() && peer.cidr6.is_empty() && peer.group.is_empty() && peer.prefix_list.is_empty() {
        let message = format!("Either {far}CidrIp or {far}GroupId must be specified.");
        return Err(Refusal::new(400, &format!("MissingParameter.{far}"), &message));
    }
    if !peer.prefix_list.is_empty() {
        let list = world.prefix_lists.get(&peer.prefix_list);
        if list.is_none_or(|list| list.owner != target.owner || list.region != target.region) {
            let message = "The specified prefix list does not exist.";
            return Err(Refusal::new(404, "InvalidPrefixListId.NotFound", message));
        }
    }
    if peer.group.is_empty() {
        return Ok(());
    }
    if peer.group == target.id {
        let message = "The specified SecurityGroupId should be different from the SourceGroupId.";
        return Err(Refusal::new(403, "InvalidParamter.Conflict", message));
    }
    let Some(other) = world.groups.get(&peer.group).filter(|other| other.owner == peer.group_owner) else {
        let message = format!("The {far}GroupId provided does not exist in our records.");
        return Err(Refusal::new(404, &format!("Invalid{far}GroupId.NotFound"), &message));
    };
    if target.enterprise {
        let message = "An enterprise security group cannot refer to security groups.";
        return Err(Refusal::new(400, "InvalidSecurityGroupType.NotSupported", message));
    }
    if other.vpc != target.vpc && !call.legacy_sg_auth {
        let which = if rule.ingress { "source" } else { "destination" };
        let message = format!("Specified security group and {which} group are not in the same VPC.");
        return Err(Refusal::new(400, &format!("Invalid{far}GroupId.Mismatch"), &message));
    }
    Ok(())
}

/// Whether the service treats two rules as the same: equal match fields, policy and priority. Descriptions do not
/// count.
fn same(one: &Rule, other: &Rule) -> bool {
    let block = |text: &str| read_block(text, true).map_or_else(|| text.to_owned(), |net| net.to_string());
    let sources = |text: &str| if text == "-1/-1" { String::new() } else { text.to_owned() };
    one.ingress == other.ingress
        && one.accept == other.accept
        && one.priority == other.priority
        && one.protocol == other.protocol
        && one.ports == other.ports
        && sources(&one.source_ports) == sources(&other.source_ports)
        && block(&one.peer.cidr) == block(&other.peer.cidr)
        && one.peer.cidr6 == other.peer.cidr6
        && one.peer.group == other.peer.group
        && one.peer.prefix_list == other.peer.prefix_list
        && block(&one.own_cidr) == block(&other.own_cidr)
        && one.own_cidr6 == other.own_cidr6
}
