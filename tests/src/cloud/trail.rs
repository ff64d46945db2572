//! What was changed and by whom: every writing call of an account, refused ones included, as ActionTrail records it
//! (`API.md` §9).
//!
//! Not recorded are reads, calls that fail authentication, and STS calls, which change no object. Events are visible
//! immediately; the real service takes minutes. Memory is bounded by number and by size of events; the oldest are
//! dropped first. The lab derives the type and name of the resource from the ids in a call; that is its own
//! interpretation.

use super::{
    calls::refusal::Refusal,
    calls::request::Request,
    keyring::{Caller, Identity},
    world::words::time,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Maximum number of events per account: a day of a busy lab.
const EVENTS_MAX: usize = 10_000;
/// Maximum JSON size of the events of an account, in bytes.
const BYTES_MAX: usize = 16 << 20;
/// Maximum length kept of a parameter's value, in characters.
const VALUE_MAX: usize = 1024;

/// Parameters of the protocol, which are not arguments of the call. Events leave them out.
const OF_THE_WIRE: [&str; 12] = [
    "Action",
    "Version",
    "Format",
    "AccessKeyId",
    "Signature",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureType",
    "SignatureVersion",
    "Timestamp",
    "SecurityToken",
    "ClientToken",
];

/// Resource types by id prefix, longer prefixes first.
const RESOURCES: [(&str, &str); 15] = [
    ("tr-attach-", "ACS::CEN::TransitRouterAttachment"),
    ("nacl-", "ACS::VPC::NetworkAcl"),
    ("vpc-", "ACS::VPC::VPC"),
    ("vsw-", "ACS::VPC::VSwitch"),
    ("vtb-", "ACS::VPC::RouteTable"),
    ("vrt-", "ACS::VPC::VRouter"),
    ("rte-", "ACS::VPC::RouteEntry"),
    ("eni-", "ACS::ECS::NetworkInterface"),
    ("cen-", "ACS::CEN::CenInstance"),
    ("pcc-", "ACS::VPC::VpcPeerConnection"),
    ("ri-", "ACS::VPC::RouterInterface"),
    ("sg-", "ACS::ECS::SecurityGroup"),
    ("pl-", "ACS::ECS::PrefixList"),
    ("tr-", "ACS::CEN::TransitRouter"),
    ("i-", "ACS::ECS::Instance"),
];

/// One recorded call.
pub(super) struct Event {
    /// Sequence number in the account. Page tokens refer to it, so that new events do not shift pages.
    pub(super) number: u64,
    pub(super) at: Timestamp,
    pub(super) fields: Value,
    bytes: usize,
}

#[derive(Default)]
struct Log {
    events: VecDeque<Event>,
    bytes: usize,
    made: u64,
}

/// The events of every account.
#[derive(Default)]
pub(super) struct Trail(BTreeMap<String, Log>);

impl Trail {
    /// The events of an account, the oldest first.
    pub(super) fn of(&self, account: &str) -> impl DoubleEndedIterator<Item = &Event> {
        self.0.get(account).into_iter().flat_map(|log| &log.events)
    }

    pub(super) fn record(&mut self, account: &str, at: Timestamp, fields: Value) {
        let log = self.0.entry(account.to_owned()).or_default();
        let bytes = fields.to_string().len();
        log.events.push_back(Event { number: log.made, at, fields, bytes });
        log.made += 1;
        log.bytes += bytes;
        while log.events.len() > EVENTS_MAX || log.bytes > BYTES_MAX {
            let Some(oldest) = log.events.pop_front() else { break };
            log.bytes -= oldest.bytes;
        }
    }
}

/// A call and its outcome.
pub(super) struct Recorded<'a> {
    pub(super) request: &'a Request,
    pub(super) product: &'a str,
    pub(super) action: &'a str,
    pub(super) caller: &'a Caller,
    /// Id of the access key, and when it was issued.
    pub(super) key: (&'a str, Timestamp),
    pub(super) at: Timestamp,
    pub(super) outcome: &'a Result<Value, Refusal>,
}

/// The ActionTrail event of a call.
pub(super) fn event(call: &Recorded<'_>) -> Value {
    let parameters: Map<String, Value> = call
        .request
        .params
        .all()
        .iter()
        .filter(|(name, _)| !OF_THE_WIRE.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), json!(value.chars().take(VALUE_MAX).collect::<String>())))
        .collect();
    let answer = call.outcome.as_ref().ok();
    let resources = resources(parameters.values().chain(answer.into_iter().flat_map(leaves)));
    let types: Vec<&str> = resources.keys().copied().collect();
    let names: Vec<&str> = resources.values().flatten().map(String::as_str).collect();
    let mut fields = json!({
        "eventId": uuid::Uuid::now_v7().to_string().to_uppercase(),
        "eventVersion": "1",
        "eventTime": time(call.at),
        "eventName": call.action,
        "eventRW": "Write",
        "eventType": "ApiCall",
        "eventCategory": "Management",
        "eventSource": call.request.header("host").unwrap_or_default(),
        "serviceName": service_name(call.product),
        "acsRegion": call.request.params.all().get("RegionId").map_or("", String::as_str),
        "apiVersion": call.request.version().unwrap_or_default(),
        "requestId": call.request.id,
        "resourceType": types.join(","),
        "resourceName": names.join(","),
        "referencedResources": resources,
        "requestParameters": parameters,
        "sourceIpAddress": call.request.source.map_or_else(|| "Internal".to_owned(), |source| source.to_string()),
        "userAgent": call.request.header("user-agent").unwrap_or_default(),
        "userIdentity": identity(call),
        "recipientAccountId": call.caller.account,
        "additionalEventData": {},
    });
    match call.outcome {
        Ok(answer) => fields["responseElements"] = answer.clone(),
        Err(refusal) => {
            fields["errorCode"] = json!(refusal.code);
            fields["errorMessage"] = json!(refusal.message);
        }
    }
    fields
}

fn identity(call: &Recorded<'_>) -> Value {
    let account = &call.caller.account;
    let (kind, principal, user) = match &call.caller.identity {
        Identity::Master => ("root-account", account.clone(), "root".to_owned()),
        Identity::Role { name, session } => ("assumed-role", format!("{name}:{session}"), format!("{name}:{session}")),
    };
    json!({
        "type": kind,
        "principalId": principal,
        "accountId": account,
        "userName": user,
        "accessKeyId": call.key.0,
        "sessionContext": {
            "attributes": { "creationDate": time(call.key.1), "mfaAuthenticated": "false" },
        },
    })
}

/// The name of a product as events spell it.
fn service_name(product: &str) -> &str {
    match product {
        "vpc" => "Vpc",
        "ecs" => "Ecs",
        "vpcpeer" => "VpcPeer",
        "cbn" => "Cbn",
        other => other,
    }
}

/// The resource ids among some values, by resource type.
fn resources<'a>(values: impl Iterator<Item = &'a Value>) -> BTreeMap<&'static str, Vec<String>> {
    let mut found: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    for text in values.filter_map(Value::as_str).flat_map(|text| text.split(',')) {
        let id = text.trim_matches(|letter: char| "[]\" ".contains(letter));
        let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let Some((_, kind)) = RESOURCES.iter().find(|(start, _)| plain && id.starts_with(start)) else { continue };
        let ids = found.entry(kind).or_default();
        if !ids.iter().any(|known| known == id) {
            ids.push(id.to_owned());
        }
    }
    found
}

fn leaves(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(fields) => fields.values().flat_map(leaves).collect(),
        Value::Array(rows) => rows.iter().flat_map(leaves).collect(),
        leaf => vec![leaf],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_events_go_when_there_are_too_many_or_they_are_too_large() {
        let mut trail = Trail::default();
        for n in 0..EVENTS_MAX + 3 {
            trail.record("1", Timestamp::UNIX_EPOCH, json!(n));
        }
        assert_eq!(trail.of("1").count(), EVENTS_MAX);
        assert_eq!(trail.of("1").next().map(|event| event.number), Some(3));
        trail.record("1", Timestamp::UNIX_EPOCH, json!("x".repeat(BYTES_MAX - 10)));
        assert!(trail.of("1").count() < 5, "{}", trail.of("1").count());
        assert_eq!(trail.of("2").count(), 0);
    }

    #[test]
    fn ids_are_found_in_every_form_and_named_once() {
        let values = [json!("vpc-1,vpc-2"), json!("[\"i-1\"]"), json!("eni-1"), json!("in-flight i-x"), json!("vpc-1")];
        let found = resources(values.iter());
        assert_eq!(found["ACS::VPC::VPC"], ["vpc-1", "vpc-2"]);
        assert_eq!(found["ACS::ECS::Instance"], ["i-1"]);
        assert_eq!(found.len(), 3);
    }
}
