//! Security groups, and what limits their members and rules. Members join and leave in `membership`; rules are changed
//! in `rule`.

use super::{Answer, Call, done, malformed, time};
use crate::cloud::{
    calls::page::{TokenStyle, tokens},
    calls::refusal::Refusal,
    world::{Eni, Rule, SecurityGroup, World},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Maximum number of groups per interface (`SEMANTICS.md` §1.1: 5 by default, 10 at most).
const PER_INTERFACE_MAX: usize = 10;
/// Maximum number of rules in all groups of an interface, both directions together (`SEMANTICS.md` §1.1).
pub(super) const RULES_PER_INTERFACE_MAX: usize = 1000;
/// Maximum number of private addresses in a basic and in an enterprise group (`SEMANTICS.md` §1.1).
const ADDRESSES_MAX: [usize; 2] = [6000, 65_536];
/// Maximum number of groups per call (documented errors of DescribeSecurityGroupReferences).
const REFERENCES_MAX: usize = 10;
/// Maximum length of a name, in characters (`API.md` §1.8).
const NAME_MAX: usize = 128;

const RULE_TOKENS: TokenStyle =
    TokenStyle { size: "MaxResults", size_default: 500, size_max: 1000, total: false, echo: false };

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let region = call.region()?.to_owned();
    let vpc = call
        .params
        .get("VpcId")
        .ok_or_else(|| Refusal::new(403, "InvalidVpcId.NotFound", "vpc id must not empty when only support vpc vm."))?;
    super::vpc::ready(call, world, vpc)?;
    let enterprise = match call.params.get("SecurityGroupType").map(str::to_lowercase).as_deref() {
        None | Some("normal") => false,
        Some("enterprise") => true,
        Some(_) => return Err(malformed("SecurityGroupType")),
    };
    let name = call.params.text("SecurityGroupName");
    if name.chars().count() > NAME_MAX || name.starts_with("http://") || name.starts_with("https://") {
        let message = "Specified security group name is not valid.";
        return Err(Refusal::new(400, "InvalidSecurityGroupName.Malformed", message));
    }
    let id = world.make.id("sg-", &region);
    let group = SecurityGroup {
        id: id.clone(),
        owner: call.caller.account.clone(),
        region,
        name,
        description: call.params.text("Description"),
        vpc: vpc.to_owned(),
        enterprise,
        inner_accept: !enterprise,
        rules: Vec::new(),
        created: call.now,
    };
    world.groups.insert(id.clone(), group);
    Ok(json!({ "SecurityGroupId": id }))
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let id = own(call, world, call.params.need("SecurityGroupId")?)?.id.clone();
    let referred =
        world.groups.values().any(|group| group.id != id && group.rules.iter().any(|rule| rule.peer.group == id));
    if referred || world.enis.values().any(|eni| eni.groups.contains(&id)) {
        let message = "There is still instance(s) in the specified security group, or another group refers to it.";
        return Err(Refusal::new(403, "DependencyViolation", message));
    }
    world.groups.remove(&id);
    done()
}

pub(super) fn modify_policy(call: &Call<'_>, world: &mut World) -> Answer {
    let group = own(call, world, call.params.need("SecurityGroupId")?)?;
    let inner_accept = match call.params.need("InnerAccessPolicy")?.to_lowercase().as_str() {
        "accept" => true,
        "drop" => false,
        _ => {
            let message = "The Policy is invalid. Only 'Accept' and 'Drop' are supported. Ignore case.";
            return Err(Refusal::new(400, "InvalidPolicy.Malformed", message));
        }
    };
    if group.enterprise {
        let message = "The inner access policy of an enterprise security group cannot be changed.";
        return Err(Refusal::new(400, "InvalidSecurityGroupType.NotSupported", message));
    }
    let id = group.id.clone();
    if let Some(group) = world.groups.get_mut(&id) {
        group.inner_accept = inner_accept;
    }
    done()
}

/// Checks the groups of an interface: all in its VPC, all of one kind, and within the quotas.
pub(super) fn check_membership(call: &Call<'_>, world: &World, eni: &Eni, groups: &[String]) -> Result<(), Refusal> {
    let mut kinds = BTreeSet::new();
    for id in groups {
        let group = own(call, world, id)?;
        if group.vpc != eni.vpc {
            let message = "Specified instance and security group are not in the same VPC.";
            return Err(Refusal::new(400, "InvalidInstanceId.Mismatch", message));
        }
        kinds.insert(group.enterprise);
    }
    if kinds.len() > 1 {
        let message = "An interface cannot be in basic and enterprise security groups at once.";
        return Err(Refusal::new(400, "InvalidOperation.SecurityGroupTypeMismatch", message));
    }
    if groups.is_empty() || groups.len() > PER_INTERFACE_MAX {
        let message = "Exceeding the allowed amount of security groups that an instance can be in.";
        return Err(Refusal::new(400, "InstanceSecurityGroupLimitExceeded", message));
    }
    if weight_of(world, groups) > RULES_PER_INTERFACE_MAX {
        let message = "The rules of the security groups exceed what an interface can have.";
        return Err(Refusal::new(403, "AclLimitExceed", message));
    }
    for id in groups.iter().filter(|id| !eni.groups.contains(id)) {
        let room = ADDRESSES_MAX[usize::from(kinds.contains(&true))];
        let members = world.enis.values().filter(|other| other.id != eni.id && other.groups.contains(id));
        if members.map(|other| other.addresses.len()).sum::<usize>() + eni.addresses.len() > room {
            let message = "The maximum number of instances in a security group is exceeded.";
            return Err(Refusal::new(403, "SecurityGroupInstanceLimitExceeded", message));
        }
    }
    Ok(())
}

/// How much rules count towards the quotas: one each, or the capacity of the prefix list that a rule references.
pub(super) fn weight(world: &World, rules: &[Rule]) -> usize {
    rules
        .iter()
        .map(|rule| world.prefix_lists.get(&rule.peer.prefix_list).map_or(1, |list| list.entries_max as usize))
        .sum()
}

/// How much the rules of several groups count together on one interface.
pub(super) fn weight_of(world: &World, groups: &[String]) -> usize {
    groups.iter().filter_map(|id| world.groups.get(id)).map(|group| weight(world, &group.rules)).sum()
}

pub(super) fn describe_all(call: &Call<'_>, world: &World) -> Answer {
    let region = call.region()?;
    let params = call.params;
    let rows = world
        .groups
        .values()
        .filter(|group| {
            call.sees(&group.owner, &group.region)
                && params.wants("VpcId", &group.vpc)
                && params.wants("SecurityGroupId", &group.id)
                && params.wants_one_of("SecurityGroupIds", &group.id)
                && params.wants("SecurityGroupName", &group.name)
                && params.wants("SecurityGroupType", kind(group))
        })
        .map(|group| {
            let members = world.enis.values().filter(|eni| eni.groups.contains(&group.id));
            json!({
                "SecurityGroupId": group.id,
                "SecurityGroupName": group.name,
                "Description": group.description,
                "VpcId": group.vpc,
                "SecurityGroupType": kind(group),
                "RuleCount": group.rules.len(),
                "GroupToGroupRuleCount": group.rules.iter().filter(|rule| !rule.peer.group.is_empty()).count(),
                "EcsCount": members.filter(|eni| eni.primary).count(),
                "ServiceManaged": false,
                "ResourceGroupId": "",
                "CreationTime": time(group.created),
                "Tags": { "Tag": [] },
            })
        })
        .collect();
    let mut answer = call.ecs_page(rows)?.under("SecurityGroups", "SecurityGroup");
    answer["RegionId"] = json!(region);
    Ok(answer)
}

fn kind(group: &SecurityGroup) -> &'static str {
    if group.enterprise { "enterprise" } else { "normal" }
}

pub(super) fn describe_rules(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let group = own(call, world, call.params.need("SecurityGroupId")?)?;
    let direction = call.params.get("Direction").unwrap_or("all").to_lowercase();
    let rows = group
        .rules
        .iter()
        .filter(|rule| match direction.as_str() {
            "ingress" => rule.ingress,
            "egress" => !rule.ingress,
            _ => true,
        })
        .map(|rule| rule_row(world, rule))
        .collect();
    let mut answer = tokens(rows, call.params, &RULE_TOKENS, call.lose_page)?.under("Permissions", "Permission");
    answer["SecurityGroupId"] = json!(group.id);
    answer["SecurityGroupName"] = json!(group.name);
    answer["Description"] = json!(group.description);
    answer["RegionId"] = json!(group.region);
    answer["VpcId"] = json!(group.vpc);
    answer["InnerAccessPolicy"] = json!(if group.inner_accept { "Accept" } else { "Drop" });
    Ok(answer)
}

fn rule_row(world: &World, rule: &Rule) -> Value {
    let group_name = world.groups.get(&rule.peer.group).map_or("", |group| group.name.as_str());
    let list_name = world.prefix_lists.get(&rule.peer.prefix_list).map_or("", |list| list.name.as_str());
    let far = [
        ("CidrIp", rule.peer.cidr.as_str()),
        ("GroupId", &rule.peer.group),
        ("GroupName", group_name),
        ("GroupOwnerAccount", &rule.peer.group_owner),
        ("PrefixListId", &rule.peer.prefix_list),
        ("PrefixListName", list_name),
    ];
    let (far_side, near_side) = if rule.ingress { ("Source", "Dest") } else { ("Dest", "Source") };
    let mut row = json!({
        "SecurityGroupRuleId": rule.id,
        "Direction": if rule.ingress { "ingress" } else { "egress" },
        "Policy": if rule.accept { "Accept" } else { "Drop" },
        "Priority": rule.priority,
        "IpProtocol": rule.protocol,
        "PortRange": rule.ports,
        "SourcePortRange": rule.source_ports,
        "NicType": "intranet",
        "Description": rule.description,
        "CreateTime": time(rule.created),
        "PortRangeListId": "",
        "PortRangeListName": "",
    });
    for (field, value) in far {
        row[format!("{far_side}{field}")] = json!(value);
        row[format!("{near_side}{field}")] = json!("");
    }
    row[format!("{near_side}CidrIp")] = json!(rule.own_cidr);
    row[format!("Ipv6{far_side}CidrIp")] = json!(rule.peer.cidr6);
    row[format!("Ipv6{near_side}CidrIp")] = json!(rule.own_cidr6);
    row
}

pub(super) fn describe_references(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let ids = call.params.list("SecurityGroupId");
    if ids.is_empty() || ids.len() > REFERENCES_MAX {
        let message = "The specified parameter SecurityGroupId is essential and size should less than 10";
        return Err(Refusal::new(400, "InvalidSecurityGroupId.Malformed", message));
    }
    let mut rows = Vec::new();
    for id in ids {
        own(call, world, &id)?;
        let referring: Vec<Value> = world
            .groups
            .values()
            .filter(|group| group.rules.iter().any(|rule| rule.peer.group == id))
            .map(|group| json!({ "AliUid": group.owner, "SecurityGroupId": group.id }))
            .collect();
        rows.push(json!({
            "SecurityGroupId": id,
            "ReferencingSecurityGroups": { "ReferencingSecurityGroup": referring },
        }));
    }
    Ok(json!({ "SecurityGroupReferences": { "SecurityGroupReference": rows } }))
}

/// The caller's security group with this id.
pub(super) fn own<'a>(call: &Call<'_>, world: &'a World, id: &str) -> Result<&'a SecurityGroup, Refusal> {
    world.groups.get(id).filter(|group| call.sees(&group.owner, &group.region)).ok_or_else(|| {
        Refusal::new(404, "InvalidSecurityGroupId.NotFound", "The specified SecurityGroupId does not exist.")
    })
}
