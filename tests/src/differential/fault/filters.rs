//! Faults of filters: rules, memberships, network ACLs and prefix lists that have changed.

use super::{Draw, Fault, FaultCall, call, in_vpc, named, of_account};
use crate::{
    differential::draw::PORTS,
    topology::{NetworkAcl, Rule, SecurityGroup, Vpc},
};
use std::net::Ipv4Addr;

fn rule_call(vpc: &Vpc, group: &SecurityGroup, (ingress, rule): (bool, &Rule), verb: &str) -> FaultCall {
    let (way, end) = if ingress { ("", "Source") } else { ("Egress", "Dest") };
    let far = if ingress { &rule.source } else { &rule.destination };
    let far = far.as_ref().map_or("0.0.0.0/0", |far| far.get_ref());
    let list = vpc.prefix_lists.iter().any(|list| list.name.get_ref() == far);
    let other = vpc.security_groups.iter().any(|group| group.name.get_ref() == far);
    let (key, value) = match (list, other) {
        (true, _) => (format!("Permissions.1.{end}PrefixListId"), of_account(vpc, far)),
        (_, true) => (format!("Permissions.1.{end}GroupId"), of_account(vpc, far)),
        _ => (format!("Permissions.1.{end}CidrIp"), far.to_owned()),
    };
    let with = [
        ("SecurityGroupId", of_account(vpc, group.name.get_ref())),
        ("Permissions.1.IpProtocol", rule.protocol.clone()),
        ("Permissions.1.PortRange", rule.ports.clone()),
        ("Permissions.1.Policy", rule.policy.clone()),
        ("Permissions.1.Priority", rule.priority.to_string()),
        ("Permissions.1.NicType", "intranet".into()),
        (&key, value),
    ];
    call(vpc, &format!("ecs:{verb}SecurityGroup{way}"), with)
}

pub(super) fn rule_revoked(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, group) = draw.group()?;
    let rules: Vec<(bool, &Rule)> =
        group.ingress.iter().map(|r| (true, r)).chain(group.egress.iter().map(|r| (false, r))).collect();
    let rule = draw.random.pick(&rules)?;
    Some(Fault { what: "a rule is revoked", calls: vec![rule_call(vpc, group, *rule, "Revoke")] })
}

/// A rule whose far end is drawn from a peer of the VPC, and whether it is an ingress rule.
fn drawn_rule(draw: &mut Draw<'_>, policy: &str) -> Option<(bool, Rule)> {
    let way = draw.way()?;
    let far = match draw.random.below(4) {
        0 => draw.part_of(way.peer)?,
        1 => "0.0.0.0/0".to_owned(),
        _ => draw.block_of(way.peer),
    };
    let ingress = draw.percent(60);
    let far = Some(crate::differential::draw::text(far));
    let (source, destination) = if ingress { (far, None) } else { (None, far) };
    let port = draw.random.pick(&PORTS)?;
    let (protocol, ports) = match draw.random.below(9) {
        0 | 1 => ("all", "-1/-1".to_owned()),
        2 | 3 => ("tcp", format!("{port}/{port}")),
        4 | 5 => ("udp", "1/65535".to_owned()),
        6 => ("gre", "-1/-1".to_owned()),
        _ => ("icmp", "-1/-1".to_owned()),
    };
    let priority = draw.random.pick(&[1_u16, 2, 60]).copied()?;
    Some((ingress, Rule { protocol: protocol.into(), ports, source, destination, policy: policy.into(), priority }))
}

/// A rule that the API accepts but a topology file cannot express: a far end with host bits, source ports, or a near
/// end.
fn odd_rule(draw: &mut Draw<'_>, policy: &str) -> Option<FaultCall> {
    let (vpc, group) = draw.group()?;
    let (ingress, rule) = drawn_rule(draw, policy)?;
    let mut one = rule_call(vpc, group, (ingress, &rule), "Authorize");
    let (end, near) = if ingress { ("Source", "Dest") } else { ("Dest", "Source") };
    if draw.percent(30)
        && let Some(far) = one.with.get_mut(&format!("Permissions.1.{end}CidrIp"))
        && let Some((address, length)) = far.clone().split_once('/')
        && let Ok(address) = address.parse::<Ipv4Addr>()
        && length != "0"
    {
        let host = Ipv4Addr::from(u32::from(address) | u32::from(length != "32"));
        *far = if length == "32" { host.to_string() } else { format!("{host}/{length}") };
    }
    if draw.percent(25) {
        // The ranges contain all ports that probes are sent from, or none of them.
        let ports = if draw.percent(50) { "1024/65535" } else { "1/1023" };
        one.with.insert("Permissions.1.SourcePortRange".into(), ports.into());
    }
    if draw.percent(25) {
        let own = if draw.percent(50) { draw.part_of(vpc)? } else { draw.block_of(vpc) };
        one.with.insert(format!("Permissions.1.{near}CidrIp"), own);
    }
    Some(one)
}

pub(super) fn rule_dropping(draw: &mut Draw<'_>) -> Option<Fault> {
    Some(Fault { what: "a rule drops", calls: vec![odd_rule(draw, "drop")?] })
}

pub(super) fn rule_added(draw: &mut Draw<'_>) -> Option<Fault> {
    Some(Fault { what: "a rule accepts", calls: vec![odd_rule(draw, "accept")?] })
}

/// Sets a group's inner access to `Drop`: its members are isolated from each other; hosts of other VPCs are not
/// affected.
pub(super) fn inner_access(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, group) = draw.group()?;
    let with = [("SecurityGroupId", of_account(vpc, group.name.get_ref())), ("InnerAccessPolicy", "Drop".to_owned())];
    let calls = vec![call(vpc, "ecs:ModifySecurityGroupPolicy", with)];
    Some(Fault { what: "a group keeps its members apart", calls })
}

fn membership(draw: &mut Draw<'_>, verb: &str) -> Option<FaultCall> {
    let (vpc, instance) = draw.instance()?;
    let group = draw.random.pick(&vpc.security_groups)?;
    let member = instance.security_groups.contains(&group.name);
    let with =
        [("SecurityGroupId", of_account(vpc, group.name.get_ref())), ("InstanceId", named(&instance.full_name(vpc)))];
    (member == (verb == "Leave")).then(|| call(vpc, &format!("ecs:{verb}SecurityGroup"), with))
}

pub(super) fn group_left(draw: &mut Draw<'_>) -> Option<Fault> {
    Some(Fault { what: "an instance leaves a group", calls: vec![membership(draw, "Leave")?] })
}

pub(super) fn group_joined(draw: &mut Draw<'_>) -> Option<Fault> {
    Some(Fault { what: "an instance joins a group", calls: vec![membership(draw, "Join")?] })
}

pub(super) fn acl_changed(draw: &mut Draw<'_>) -> Option<Fault> {
    let vpc = draw.vpc()?;
    let acl: &NetworkAcl = draw.random.pick(&vpc.network_acls)?;
    let ingress = draw.percent(50);
    let (side, end) = if ingress { ("Ingress", "SourceCidrIp") } else { ("Egress", "DestinationCidrIp") };
    let mut one = call(vpc, "vpc:UpdateNetworkAclEntries", [("NetworkAclId", in_vpc(vpc, acl.name.get_ref()))]);
    one.with.insert(format!("Update{side}AclEntries"), "true".into());
    for n in 1..=draw.random.below(4) {
        let policy = if draw.percent(60) { "accept" } else { "drop" };
        let (_, rule) = drawn_rule(draw, policy)?;
        let far = rule.source.or(rule.destination).map(toml::Spanned::into_inner).unwrap_or_default();
        for (key, value) in [("Policy", rule.policy), ("Protocol", rule.protocol), ("Port", rule.ports), (end, far)] {
            one.with.insert(format!("{side}AclEntries.{n}.{key}"), value);
        }
    }
    Some(Fault { what: "a network ACL has other entries", calls: vec![one] })
}

pub(super) fn acl_bound(draw: &mut Draw<'_>) -> Option<Fault> {
    let (vpc, vswitch) = draw.vswitch()?;
    let bind = |verb: &str, acl: &str| {
        let with = [
            ("NetworkAclId", in_vpc(vpc, acl)),
            ("Resource.1.ResourceId", in_vpc(vpc, vswitch.name.get_ref())),
            ("Resource.1.ResourceType", "VSwitch".to_owned()),
        ];
        call(vpc, &format!("vpc:{verb}NetworkAcl"), with)
    };
    let other = draw.random.pick(&vpc.network_acls)?.name.get_ref();
    let calls = match &vswitch.network_acl {
        Some(own) if own.get_ref() == other => vec![bind("Unassociate", other)],
        Some(own) => vec![bind("Unassociate", own.get_ref()), bind("Associate", other)],
        None => vec![bind("Associate", other)],
    };
    Some(Fault { what: "a network ACL is bound elsewhere", calls })
}

pub(super) fn list_changed(draw: &mut Draw<'_>) -> Option<Fault> {
    let vpc = draw.vpc()?;
    let list = draw.random.pick(&vpc.prefix_lists)?;
    let with = [
        ("PrefixListId", of_account(vpc, list.name.get_ref())),
        ("RemoveEntry.1.Cidr", draw.random.pick(&list.entries)?.get_ref().clone()),
    ];
    Some(Fault { what: "a prefix list lacks an entry", calls: vec![call(vpc, "ecs:ModifyPrefixList", with)] })
}
