//! Prefix lists of ECS, which security group rules can reference.

use super::{Answer, Call, ECS_TOKENS, done, malformed, not_found, time};
use crate::cloud::{
    calls::page::{TokenStyle, tokens},
    calls::params::{Params, read_block},
    calls::refusal::Refusal,
    world::{PrefixList, World},
};
use serde_json::{Value, json};

/// Maximum value of `MaxEntries`, the capacity of a list (`SEMANTICS.md` §1.2).
const ENTRIES_MAX: u32 = 200;
/// Maximum number of lists of an account per region (`SEMANTICS.md` §1.2).
const LISTS_MAX: usize = 100;

const STYLE: TokenStyle = TokenStyle { total: false, ..ECS_TOKENS };

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let region = call.region()?.to_owned();
    let params = call.params;
    let family = params.need("AddressFamily")?.to_owned();
    if !matches!(family.as_str(), "IPv4" | "IPv6") {
        return Err(malformed("AddressFamily"));
    }
    let entries_max: u32 = params
        .number("MaxEntries")?
        .ok_or_else(|| params.need("MaxEntries").err().unwrap_or_else(|| malformed("MaxEntries")))?;
    let entries = read_entries(params, "Entry", &family)?;
    if entries_max > ENTRIES_MAX || entries.len() > entries_max as usize {
        return Err(exceeded());
    }
    let own = world.prefix_lists.values().filter(|list| call.sees(&list.owner, &list.region));
    if own.count() >= LISTS_MAX {
        return Err(Refusal::new(403, "QuotaExceed.PrefixList", "The maximum number of prefix lists is reached."));
    }
    let id = world.make.id("pl-", &region);
    let list = PrefixList {
        id: id.clone(),
        owner: call.caller.account.clone(),
        region,
        name: params.need("PrefixListName")?.to_owned(),
        description: params.text("Description"),
        family,
        entries_max,
        entries,
        created: call.now,
    };
    world.prefix_lists.insert(id.clone(), list);
    Ok(json!({ "PrefixListId": id }))
}

pub(super) fn modify(call: &Call<'_>, world: &mut World) -> Answer {
    call.region()?;
    let params = call.params;
    let mut list = own(call, world, params.need("PrefixListId")?)?.clone();
    let removed: Vec<String> =
        params.members("RemoveEntry").iter().map(|entry| read_cidr(entry, &list.family)).collect::<Result<_, _>>()?;
    list.entries.retain(|(cidr, _)| !removed.contains(cidr));
    for (cidr, description) in read_entries(params, "AddEntry", &list.family)? {
        list.entries.retain(|(other, _)| *other != cidr);
        list.entries.push((cidr, description));
    }
    if list.entries.len() > list.entries_max as usize {
        return Err(exceeded());
    }
    super::router_interface::set(params, "PrefixListName", &mut list.name);
    super::router_interface::set(params, "Description", &mut list.description);
    world.prefix_lists.insert(list.id.clone(), list);
    done()
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    call.region()?;
    let list = own(call, world, call.params.need("PrefixListId")?)?;
    if !associated(world, list).is_empty() {
        let message = "The specified prefix list has associated resources.";
        return Err(Refusal::new(400, "NotAllowed.AssociationExist", message));
    }
    let id = list.id.clone();
    world.prefix_lists.remove(&id);
    done()
}

pub(super) fn describe_all(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let params = call.params;
    let rows = world
        .prefix_lists
        .values()
        .filter(|list| {
            call.sees(&list.owner, &list.region)
                && params.wants_one_of("PrefixListId", &list.id)
                && params.wants("PrefixListName", &list.name)
                && params.wants("AddressFamily", &list.family)
        })
        .map(|list| {
            let mut row = common(list);
            row["AssociationCount"] = json!(associated(world, list).len());
            row["ResourceGroupId"] = json!("");
            row
        })
        .collect();
    Ok(tokens(rows, params, &STYLE, call.lose_page)?.under("PrefixLists", "PrefixList"))
}

pub(super) fn describe_one(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let list = own(call, world, call.params.need("PrefixListId")?)?;
    let entries: Vec<Value> =
        list.entries.iter().map(|(cidr, description)| json!({ "Cidr": cidr, "Description": description })).collect();
    let mut answer = common(list);
    answer["Entries"] = json!({ "Entry": entries });
    Ok(answer)
}

pub(super) fn describe_associations(call: &Call<'_>, world: &World) -> Answer {
    call.region()?;
    let list = own(call, world, call.params.need("PrefixListId")?)?;
    let rows = associated(world, list)
        .into_iter()
        .map(|id| json!({ "ResourceId": id, "ResourceType": "securitygroup" }))
        .collect();
    Ok(tokens(rows, call.params, &STYLE, call.lose_page)?.under("PrefixListAssociations", "PrefixListAssociation"))
}

fn associated<'a>(world: &'a World, list: &PrefixList) -> Vec<&'a str> {
    let refers = |rules: &[crate::cloud::world::Rule]| rules.iter().any(|rule| rule.peer.prefix_list == list.id);
    world.groups.values().filter(|group| refers(&group.rules)).map(|group| group.id.as_str()).collect()
}

fn common(list: &PrefixList) -> Value {
    json!({
        "PrefixListId": list.id,
        "PrefixListName": list.name,
        "Description": list.description,
        "AddressFamily": list.family,
        "MaxEntries": list.entries_max,
        "CreationTime": time(list.created),
    })
}

fn read_entries(params: &Params, name: &str, family: &str) -> Result<Vec<(String, String)>, Refusal> {
    params
        .members(name)
        .iter()
        .map(|entry| {
            let cidr = read_cidr(entry, family)?;
            Ok((cidr, entry.text("Description")))
        })
        .collect()
}

fn read_cidr(entry: &Params, family: &str) -> Result<String, Refusal> {
    let cidr = entry.need("Cidr")?;
    if family == "IPv4" && read_block(cidr, false).is_none() {
        return Err(malformed("Cidr"));
    }
    Ok(cidr.to_owned())
}

fn exceeded() -> Refusal {
    Refusal::new(403, "PrefixListEntryLimitExceeded", "The number of entries exceeds the room of the prefix list.")
}

fn own<'a>(call: &Call<'_>, world: &'a World, id: &str) -> Result<&'a PrefixList, Refusal> {
    world
        .prefix_lists
        .get(id)
        .filter(|list| call.sees(&list.owner, &list.region))
        .ok_or_else(|| not_found("PrefixListId"))
}
