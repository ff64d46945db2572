//! Batch creation and deletion of routes. Each entry is handled like a call of its own; failures are listed by entry.

use super::{Answer, Call, route_entry};
use crate::cloud::{calls::params::Params, calls::refusal::Refusal, world::World};
use serde_json::{Value, json};

/// Maximum number of entries per call (API document of CreateRouteEntries: at most 50).
const ENTRIES_MAX: usize = 50;

pub(super) fn create(call: &Call<'_>, world: &mut World) -> Answer {
    let (entries, mut ids, mut failed) = (read(call)?, Vec::new(), Vec::new());
    call.refuse_dry_run()?;
    for entry in &entries {
        let params = Params::made([
            ("RouteTableId", entry.text("RouteTableId")),
            ("DestinationCidrBlock", entry.text("DstCidrBlock")),
            ("NextHopId", entry.text("NextHop")),
            ("NextHopType", entry.text("NextHopType")),
            ("RouteEntryName", entry.text("Name")),
            ("Description", entry.text("Description")),
        ]);
        let wrong_family = entry.get("IpVersion").is_some_and(|version| version != "4");
        let made = if wrong_family {
            Err(Refusal::new(400, "Parameter.Illegal", "The specified IpVersion is not supported."))
        } else {
            route_entry::create_in_batch(&Call { params: &params, ..*call }, world)
        };
        match made {
            Ok(answer) => ids.push(answer["RouteEntryId"].clone()),
            Err(refusal) => failed.push(failure(entry, &refusal)),
        }
    }
    Ok(json!({
        "RouteEntryIds": ids,
        "SuccessCount": ids.len(),
        "FailedCount": failed.len(),
        "FailedRouteEntries": failed,
    }))
}

pub(super) fn delete(call: &Call<'_>, world: &mut World) -> Answer {
    let (entries, mut failed) = (read(call)?, Vec::new());
    call.refuse_dry_run()?;
    for entry in &entries {
        let params = Params::made([
            ("RouteTableId", entry.text("RouteTableId")),
            ("RouteEntryId", entry.text("RouteEntryId")),
            ("DestinationCidrBlock", entry.text("DstCidrBlock")),
            ("NextHopId", entry.text("NextHop")),
        ]);
        if let Err(refusal) = route_entry::delete_in_batch(&Call { params: &params, ..*call }, world) {
            let mut row = failure(entry, &refusal);
            row["RouteEntryId"] = json!(entry.text("RouteEntryId"));
            failed.push(row);
        }
    }
    Ok(json!({
        "SuccessCount": entries.len() - failed.len(),
        "FailedCount": failed.len(),
        "FailedRouteEntries": failed,
    }))
}

fn read(call: &Call<'_>) -> Result<Vec<Params>, Refusal> {
    call.region()?;
    let entries = call.params.members("RouteEntries");
    if entries.is_empty() {
        return Err(Refusal::new(400, "MissingRouteEntries", "RouteEntries is mandatory for this action."));
    }
    if entries.len() > ENTRIES_MAX {
        return Err(Refusal::new(400, "Parameter.Illegal", "A call takes at most 50 route entries."));
    }
    Ok(entries)
}

fn failure(entry: &Params, refusal: &Refusal) -> Value {
    json!({
        "DstCidrBlock": entry.text("DstCidrBlock"),
        "NextHop": entry.text("NextHop"),
        "FailedCode": refusal.code,
        "FailedMessage": refusal.message,
    })
}
