//! The account's own records: CloudMonitor metrics of router interfaces, and ActionTrail events.
//!
//! Facts: `API.md` §9. Both readings are optional; neither is needed to walk a path. Metric values are
//! stored as integer thousandths, so that equal evidence compares equal.

use crate::{
    client::listing::{ListingApi, Paging},
    signing::Params,
    transport::endpoint::Product,
    transport::row::{Row, RowError},
};
use pingtong_evidence::{
    ConfigChange, LinkMetric, LinkMetricKind, MetricPoint, Provenance, RouterInterfaceId, Timestamp,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Length of one period in seconds: the finest resolution that the service keeps.
pub(crate) const PERIOD_S: u32 = 60;
/// Maximum number of interfaces in one call.
pub(crate) const INTERFACES_PER_CALL: usize = 50;
/// How far back metrics are requested, in milliseconds. With the period and the interfaces of one call, this stays
/// below the 1440 rows of a page.
const METRICS_BACK_MS: i64 = 15 * 60 * 1000;

/// The vendor's own clients do not send `RegionId` to this API: the endpoint selects the region.
pub(crate) const METRICS: ListingApi = ListingApi {
    product: Product::Cms,
    action: "DescribeMetricList",
    container: "Datapoints",
    paging: Paging::Token("Length", 1440),
    regional: false,
};
pub(crate) const EVENTS: ListingApi = ListingApi {
    product: Product::ActionTrail,
    action: "LookupEvents",
    container: "Events",
    paging: Paging::Token("MaxResults", 50),
    regional: false,
};

/// The vendor's name of a metric.
pub(crate) fn metric_name(kind: LinkMetricKind) -> &'static str {
    match kind {
        LinkMetricKind::RateLimitDropPps => "RateLimitDropPps",
        LinkMetricKind::ReceivedBitsPerSecond => "ReceiveBandwidth",
        LinkMetricKind::SentBitsPerSecond => "TransportedBandwidth",
    }
}

/// All metrics that are requested. The drop rate is first, because the others are read only if it is above zero.
pub(crate) const METRIC_KINDS: [LinkMetricKind; 3] =
    [LinkMetricKind::RateLimitDropPps, LinkMetricKind::ReceivedBitsPerSecond, LinkMetricKind::SentBitsPerSecond];

/// Parameters of a call for one metric of the given interfaces, up to `now`.
pub(crate) fn metric_params(kind: LinkMetricKind, interfaces: &[RouterInterfaceId], now: Timestamp) -> Params {
    let dimensions: Vec<Value> = interfaces.iter().map(|id| serde_json::json!({ "instanceId": id.as_str() })).collect();
    let from = now.as_millis().saturating_sub(METRICS_BACK_MS);
    let text = |(key, value): (&str, String)| (key.to_owned(), value);
    [
        ("Namespace", "acs_express_connect".to_owned()),
        ("MetricName", metric_name(kind).to_owned()),
        ("Dimensions", Value::from(dimensions).to_string()),
        ("Period", PERIOD_S.to_string()),
        ("StartTime", from.to_string()),
        ("EndTime", now.as_millis().to_string()),
    ]
    .map(text)
    .into()
}

/// One measurement and the interface that it belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    interface: RouterInterfaceId,
    point: MetricPoint,
    pub(crate) provenance: Provenance,
}

pub(crate) fn measured(row: Row<'_>, provenance: Provenance) -> Result<Measured, RowError> {
    let value = |name: &str| row.number::<f64>(name).and_then(thousandths);
    let at = row.number("timestamp").ok_or_else(|| RowError::new("timestamp", row.text("timestamp").as_deref()))?;
    Ok(Measured {
        interface: row.id("instanceId")?,
        point: MetricPoint {
            at: Timestamp::from_millis(at),
            average_milli: value("Average").or_else(|| value("Value")),
            maximum_milli: value("Maximum"),
        },
        provenance,
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "range and sign are checked before")]
fn thousandths(value: f64) -> Option<u64> {
    let scaled = (value * 1000.0).round();
    (0.0..1e18).contains(&scaled).then_some(scaled as u64)
}

/// Whether any of these measurements is above zero.
pub(crate) fn above_zero(rows: &[Measured]) -> bool {
    rows.iter().any(|row| row.point.average_milli.max(row.point.maximum_milli) > Some(0))
}

/// Groups the measurements of one metric by interface, the oldest first.
pub(crate) fn by_interface(kind: LinkMetricKind, rows: Vec<Measured>) -> Vec<LinkMetric> {
    let mut found: BTreeMap<RouterInterfaceId, LinkMetric> = BTreeMap::new();
    for row in rows {
        let (interface, provenance) = (row.interface.clone(), row.provenance);
        let metric = found.entry(row.interface).or_insert_with(|| LinkMetric {
            interface,
            kind,
            period_s: PERIOD_S,
            points: vec![],
            provenance,
        });
        metric.points.push(row.point);
    }
    let mut metrics: Vec<LinkMetric> = found.into_values().collect();
    for metric in &mut metrics {
        metric.points.sort();
    }
    metrics
}

/// Parameters of a call for the changes since a given time; read-only events are left out.
pub(crate) fn event_params(since: Timestamp, now: Timestamp) -> Params {
    let text = |(key, value): (&str, String)| (key.to_owned(), value);
    [
        ("StartTime", crate::transport::clock::seconds_text(since)),
        ("EndTime", crate::transport::clock::seconds_text(now)),
        ("LookupAttribute.1.Key", "EventRW".to_owned()),
        ("LookupAttribute.1.Value", "Write".to_owned()),
    ]
    .map(text)
    .into()
}

/// Products whose changes can affect a path, as ActionTrail names them, in lower case.
const SERVICES: [&str; 7] = ["vpc", "ecs", "cbn", "vpcpeer", "cen", "expressconnect", "ram"];

/// A change; `None` if it is a read-only event, or is about a product that no path crosses.
pub(crate) fn change(row: Row<'_>, provenance: Provenance) -> Result<Option<ConfigChange>, RowError> {
    let service = row.word("serviceName").unwrap_or_default();
    let name = row.text("eventName").ok_or_else(|| RowError::new("eventName", None))?;
    if row.word("eventRW").is_some_and(|word| word != "write") || !SERVICES.contains(&service.as_str()) {
        return Ok(None);
    }
    let at = row.time("eventTime").ok_or_else(|| RowError::new("eventTime", row.text("eventTime").as_deref()))?;
    let user = row.object("userIdentity");
    let who =
        user.and_then(|user| ["userName", "principalId", "accountId"].into_iter().find_map(|name| user.text(name)));
    Ok(Some(ConfigChange {
        at,
        event_id: row.text("eventId").unwrap_or_default(),
        action: format!("{service}:{name}"),
        who: who.unwrap_or_default(),
        objects: objects(row),
        error: row.text("errorCode"),
        provenance,
    }))
}

/// Object ids in an event: in its request parameters, in its response, and in its own list of resources.
fn objects(row: Row<'_>) -> Vec<String> {
    let mut ids = BTreeSet::new();
    for field in ["requestParameters", "responseElements", "referencedResources", "resourceName"] {
        if let Some(value) = row.value(field) {
            collect_ids(value, 0, &mut ids);
        }
    }
    ids.into_iter().collect()
}

/// Maximum nesting depth that is searched for ids.
const DEPTH_MAX: u32 = 6;
/// Maximum number of ids that are taken from one event; a call refers to a handful.
const IDS_MAX: usize = 50;

fn collect_ids(value: &Value, depth: u32, ids: &mut BTreeSet<String>) {
    if depth > DEPTH_MAX || ids.len() >= IDS_MAX {
        return;
    }
    match value {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            // Some services put a whole document into a string.
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => collect_ids(&inner, depth + 1, ids),
            _ => ids.extend(text.split([',', ';', ' ']).filter(|part| is_id(part)).take(IDS_MAX).map(str::to_owned)),
        },
        Value::Array(list) => list.iter().for_each(|value| collect_ids(value, depth + 1, ids)),
        Value::Object(members) => members.values().for_each(|value| collect_ids(value, depth + 1, ids)),
        _ => {}
    }
}

/// Whether a text is the id of an object that a path can cross, by the prefixes of `API.md` §1.7.
fn is_id(text: &str) -> bool {
    const PREFIXES: [&str; 16] = [
        "vpc-", "vsw-", "vrt-", "vtb-", "rte-", "ri-", "nacl-", "nae-", "eni-", "i-", "sg-", "sgr-", "pl-", "pcc-",
        "cen-", "tr-",
    ];
    const LENGTH_MAX: usize = 64;
    let plain = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    text.len() <= LENGTH_MAX && PREFIXES.iter().any(|prefix| text.strip_prefix(prefix).is_some_and(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read<T>(value: &Value, with: impl Fn(Row<'_>, Provenance) -> Result<T, RowError>) -> Result<T, RowError> {
        with(Row::new(value.as_object().unwrap()), Provenance(0))
    }

    #[test]
    fn measurements_are_grouped_by_interface_in_order_of_time() {
        let rows = [
            json!({"timestamp": 120_000, "instanceId": "ri-b", "Average": "1.25", "Maximum": 3}),
            json!({"timestamp": "60000", "instanceId": "ri-b", "Value": 0}),
            json!({"timestamp": 60_000, "instanceId": "ri-a", "Maximum": -1}),
        ];
        let rows: Vec<Measured> = rows.iter().map(|row| read(row, measured).unwrap()).collect();
        assert!(above_zero(&rows) && !above_zero(&rows[1..]));
        let metrics = by_interface(LinkMetricKind::RateLimitDropPps, rows);
        let ids: Vec<&str> = metrics.iter().map(|metric| metric.interface.as_str()).collect();
        assert_eq!(ids, ["ri-a", "ri-b"]);
        let values: Vec<_> =
            metrics[1].points.iter().map(|p| (p.at.as_millis(), p.average_milli, p.maximum_milli)).collect();
        assert_eq!(values, [(60_000, Some(0), None), (120_000, Some(1250), Some(3000))]);
        assert!(read(&json!({"instanceId": "ri-a"}), measured).is_err());
    }

    #[test]
    fn an_event_names_who_did_what_to_which_objects() {
        let event = json!({"eventId": "E", "eventTime": "2026-01-02T03:04:05Z", "eventName": "DeleteRouteEntry", "eventRW": "Write",
            "serviceName": "Vpc", "userIdentity": {"type": "ram-user", "userName": "wang"}, "errorCode": "",
            "requestParameters": {"RouteTableId": "vtb-1", "NextHopId": "ri-1", "RegionId": "cn-beijing"},
            "responseElements": r#"{"RequestId":"R","Ids":["rte-1"]}"#, "resourceName": "vtb-1,vpc-1"});
        let change = read(&event, change).unwrap().unwrap();
        assert_eq!((change.action.as_str(), change.who.as_str(), change.error), ("vpc:DeleteRouteEntry", "wang", None));
        assert_eq!(change.objects, ["ri-1", "rte-1", "vpc-1", "vtb-1"]);
    }

    #[test]
    fn reads_and_products_off_every_path_are_left_out() {
        for (service, rw) in [("Oss", "Write"), ("Vpc", "Read")] {
            let event =
                json!({"eventName": "X", "serviceName": service, "eventRW": rw, "eventTime": "2026-01-02T03:04:05Z"});
            assert_eq!(read(&event, change).unwrap(), None);
        }
        assert!(read(&json!({"serviceName": "Vpc"}), change).is_err());
    }
}
