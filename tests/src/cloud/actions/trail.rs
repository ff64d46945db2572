//! ActionTrail 2020-07-06: what an account's calls changed.
//!
//! In the lab one endpoint serves all regions, and the request names no region: the answer has the events of all
//! regions, each with its own `acsRegion`. The error codes are not verified (U): the documents that were read do not
//! give them.

use super::{Answer, Call, time};
use crate::cloud::{
    calls::page::kept,
    calls::params::Params,
    calls::refusal::Refusal,
    trail::{Event, Trail},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// How far back a call without `StartTime` looks.
const BACK_BY_DEFAULT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Maximum and default number of events per page.
const PAGE_MAX: usize = 50;
const PAGE_DEFAULT: usize = 20;

pub(super) fn lookup(call: &Call<'_>, trail: &Trail) -> Answer {
    let params = call.params;
    let end = read_time(params, "EndTime")?.unwrap_or(call.as_of).min(call.as_of);
    let start = read_time(params, "StartTime")?.unwrap_or(end.checked_sub(BACK_BY_DEFAULT).unwrap_or(Timestamp::MIN));
    let newest_first = match params.get("Direction").map(str::to_uppercase).as_deref() {
        None | Some("BACKWARD") => true,
        Some("FORWARD") => false,
        Some(_) => return Err(invalid("Direction")),
    };
    let size: usize = params.number("MaxResults")?.unwrap_or(PAGE_DEFAULT);
    if size > PAGE_MAX || start > end {
        return Err(invalid(if start > end { "StartTime" } else { "MaxResults" }));
    }
    let wanted: Vec<(String, String)> = params
        .members("LookupAttribute")
        .iter()
        .map(|attribute| Ok((known_key(attribute.need("Key")?)?.to_owned(), attribute.text("Value"))))
        .collect::<Result<_, Refusal>>()?;
    let from =
        params.get("NextToken").map(|token| read_token(token).ok_or_else(|| invalid("NextToken"))).transpose()?;
    let due = |event: &&Event| match from {
        Some(number) if newest_first => event.number <= number,
        Some(number) => event.number >= number,
        None => true,
    };
    let mut events: Vec<&Event> = trail
        .of(&call.caller.account)
        .filter(|event| start <= event.at && event.at <= end)
        .filter(due)
        .filter(|event| wanted.iter().all(|(key, value)| matches(&event.fields, key, value)))
        .collect();
    if newest_first {
        events.reverse();
    }
    let events = kept(events, size.max(1), call.lose_page, false);
    let next = events.get(size).map_or_else(String::new, |event| write_token(event.number));
    let rows: Vec<&Value> = events.iter().take(size).map(|event| &event.fields).collect();
    Ok(json!({ "StartTime": time(start), "EndTime": time(end), "Events": rows, "NextToken": next }))
}

fn known_key(key: &str) -> Result<&str, Refusal> {
    const KEYS: [&str; 8] =
        ["ServiceName", "EventName", "User", "EventId", "ResourceType", "ResourceName", "EventRW", "EventAccessKeyId"];
    if KEYS.contains(&key) { Ok(key) } else { Err(invalid("LookupAttribute")) }
}

fn matches(event: &Value, key: &str, value: &str) -> bool {
    let one_of = |field: &str| event[field].as_str().unwrap_or_default().split(',').any(|one| one == value);
    match key {
        "ServiceName" => one_of("serviceName"),
        "EventName" => one_of("eventName"),
        "EventId" => one_of("eventId"),
        "EventRW" => one_of("eventRW"),
        "ResourceType" => one_of("resourceType"),
        "ResourceName" => one_of("resourceName"),
        "User" => event["userIdentity"]["userName"] == value,
        _ => event["userIdentity"]["accessKeyId"] == value,
    }
}

fn read_time(params: &Params, name: &str) -> Result<Option<Timestamp>, Refusal> {
    params.get(name).map(|text| text.parse().map_err(|_| invalid(name))).transpose()
}

fn invalid(name: &str) -> Refusal {
    let message = format!("The specified query parameter {name} is invalid.");
    Refusal::new(400, "InvalidQueryParameter", &message)
}

/// Writes a page token, which is opaque to readers.
fn write_token(number: u64) -> String {
    format!("eyJ0{number:016x}")
}

fn read_token(token: &str) -> Option<u64> {
    u64::from_str_radix(token.strip_prefix("eyJ0")?, 16).ok()
}
