//! CloudMonitor 2019-01-01: the metrics of router interfaces that the data plane can really count.
//!
//! Namespace `acs_express_connect`, dimension `instanceId`. An interface transports what leaves its own VPC, whatever
//! the fabric does to it later. It receives what reaches its VPC. In the transport direction it drops what exceeds the
//! granted bandwidth. Without a data plane there are no datapoints.
//!
//! A datapoint has the start of its period as its time. The real service is minutes behind; the lab also returns the
//! current period, as the rate over the elapsed part, so that a short scenario sees its own traffic. A call without
//! `StartTime` returns the last hour (U: not verified); times without a zone are read as UTC (U).

use super::{Answer, Call, MetricCall};
use crate::cloud::{
    calls::meter::{MINUTE, Meter, Rate},
    calls::page::{TokenStyle, numbered, tokens},
    calls::params::Params,
    calls::refusal::Refusal,
    world::{Role, World},
};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NAMESPACE: &str = "acs_express_connect";
/// Name, unit and description of each metric.
const METRICS: [(&str, &str, &str); 3] = [
    ("ReceiveBandwidth", "bit/s", "Network inflow bandwidth"),
    ("TransportedBandwidth", "bit/s", "Network outflow bandwidth"),
    ("RateLimitDropPps", "countS", "Packets dropped by the bandwidth limit per second"),
];
/// Maximum number of interfaces per call.
const INSTANCES_MAX: usize = 50;
/// Maximum and default time window of a call.
const SPAN_MAX: SignedDuration = SignedDuration::from_hours(31 * 24);
const SPAN_DEFAULT: SignedDuration = SignedDuration::from_hours(1);

const STYLE: TokenStyle = TokenStyle { size: "Length", size_default: 1000, size_max: 1440, total: false, echo: false };
/// Default number of rows of DescribeMetricTop.
const TOP_DEFAULT: usize = 10;
/// Largest page of DescribeMetricMetaList.
const META_PAGE_MAX: usize = 100;

/// A datapoint: one period of one interface. `begin` is in seconds since the epoch.
struct Point {
    begin: i64,
    interface: String,
    row: Value,
}

pub(super) fn list(call: &MetricCall<'_>) -> Answer {
    let points = points(call)?;
    paged(call, points)
}

/// As [`list`], with the latest period of each interface only.
pub(super) fn last(call: &MetricCall<'_>) -> Answer {
    let points = latest(points(call)?);
    paged(call, points)
}

/// As [`list`], without pages.
pub(super) fn data(call: &MetricCall<'_>) -> Answer {
    let rows = points(call)?.into_iter().map(|point| point.row).take(STYLE.size_max).collect();
    answer(call.call.params, rows)
}

pub(super) fn top(call: &MetricCall<'_>) -> Answer {
    let params = call.call.params;
    let by = params.need("Orderby")?;
    if !["Average", "Minimum", "Maximum"].contains(&by) {
        return Err(invalid("Orderby"));
    }
    let descending = params.get("OrderDesc").is_none_or(|text| text.eq_ignore_ascii_case("true"));
    let length: usize = params.number("Length")?.unwrap_or(TOP_DEFAULT);
    let mut points = latest(points(call)?);
    points.sort_by(|one, other| {
        let (one, other) = (one.row[by].as_f64().unwrap_or(0.0), other.row[by].as_f64().unwrap_or(0.0));
        if descending { other.total_cmp(&one) } else { one.total_cmp(&other) }
    });
    let rows = points
        .into_iter()
        .take(length.min(STYLE.size_max))
        .enumerate()
        .map(|(n, mut point)| {
            point.row["order"] = json!(n + 1);
            point.row["_count"] = json!(1);
            point.row
        })
        .collect();
    answer(params, rows)
}

pub(super) fn meta(call: &Call<'_>, _world: &World) -> Answer {
    let params = call.params;
    let rows = METRICS
        .iter()
        .filter(|(name, ..)| params.wants("Namespace", NAMESPACE) && params.wants("MetricName", name))
        .map(|(name, unit, description)| {
            json!({
                "Namespace": NAMESPACE,
                "MetricName": name,
                "Description": description,
                "Unit": unit,
                "Dimensions": "userId,instanceId",
                "Periods": "60,300",
                "Statistics": "Average,Minimum,Maximum",
                "Labels": "[{\"name\":\"metricCategory\",\"value\":\"instanceId\"}]",
            })
        })
        .collect();
    let mut answer = numbered(rows, params, META_PAGE_MAX, call.lose_page)?.under("Resources", "Resource");
    if let Some(fields) = answer.as_object_mut() {
        fields.remove("PageNumber");
        fields.remove("PageSize");
    }
    answer["Code"] = json!(200);
    answer["Success"] = json!(true);
    Ok(answer)
}

fn paged(call: &MetricCall<'_>, points: Vec<Point>) -> Answer {
    let rows = points.into_iter().map(|point| point.row).collect();
    let page = tokens(rows, call.call.params, &STYLE, call.call.lose_page)?;
    let mut answer = answer(call.call.params, page.rows)?;
    answer["Success"] = json!(true);
    if let Some(token) = page.fields.get("NextToken").filter(|token| **token != "") {
        answer["NextToken"] = token.clone();
    }
    Ok(answer)
}

fn answer(params: &Params, rows: Vec<Value>) -> Answer {
    let period = period(params)?.to_string();
    Ok(json!({ "Code": "200", "Period": period, "Datapoints": Value::Array(rows).to_string() }))
}

fn latest(points: Vec<Point>) -> Vec<Point> {
    let mut of_interface = BTreeMap::new();
    for point in points {
        of_interface.insert(point.interface.clone(), point);
    }
    of_interface.into_values().collect()
}

/// Every period in the window, of every requested interface, the oldest first.
fn points(call: &MetricCall<'_>) -> Result<Vec<Point>, Refusal> {
    let params = call.call.params;
    let (namespace, metric) = (params.need("Namespace")?, params.need("MetricName")?);
    if namespace != NAMESPACE || !METRICS.iter().any(|(name, ..)| *name == metric) {
        return Err(Refusal::new(404, "ResourceNotFound", "The specified resource is not found."));
    }
    let (start, end) = window(params, call.call.as_of)?;
    let period = period(params)?;
    let wanted = instances(params)?;
    let mut points = Vec::new();
    for interface in call.world.interfaces.values() {
        let named = wanted.as_ref().is_none_or(|ids| ids.contains(&interface.id));
        if !named || !call.call.sees(&interface.owner, &interface.region) {
            continue;
        }
        let (link, outward) = match interface.role {
            Role::Initiating => (&interface.id, 0),
            Role::Accepting => match call.world.partner(interface) {
                Some(partner) => (&partner.id, 1),
                None => continue,
            },
        };
        for (begin, values) in periods(call.meter, link, outward, metric, period, call.call.as_of) {
            let at = Timestamp::from_second(begin).unwrap_or(Timestamp::MIN);
            if start < at && at <= end {
                points.push(Point {
                    begin,
                    interface: interface.id.clone(),
                    row: row(interface.id.as_str(), &interface.owner, begin, &values),
                });
            }
        }
    }
    points.sort_by(|one, other| (one.begin, &one.interface).cmp(&(other.begin, &other.interface)));
    Ok(points)
}

/// The per-minute values of a metric, by the start of their period in seconds since the epoch.
fn periods(
    meter: &Meter,
    link: &str,
    outward: usize,
    metric: &str,
    period: i64,
    until: Timestamp,
) -> BTreeMap<i64, Vec<f64>> {
    let (direction, pick): (usize, fn(&Rate) -> f64) = match metric {
        "ReceiveBandwidth" => (1 - outward, |rate| rate.bits_out),
        "TransportedBandwidth" => (outward, |rate| rate.bits_in),
        _ => (outward, |rate| rate.dropped),
    };
    let mut periods: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for rate in meter.rates(link, direction, until) {
        periods.entry(rate.minute.div_euclid(period) * period).or_default().push(pick(&rate));
    }
    periods
}

fn row(interface: &str, owner: &str, begin: i64, minutes: &[f64]) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "a period has at most some thousand minutes")]
    let average = minutes.iter().sum::<f64>() / minutes.len() as f64;
    let thousandths = |value: f64| json!((value * 1000.0).round() / 1000.0);
    json!({
        "timestamp": begin * 1000,
        "userId": owner,
        "instanceId": interface,
        "Average": thousandths(average),
        "Minimum": thousandths(minutes.iter().copied().fold(f64::INFINITY, f64::min)),
        "Maximum": thousandths(minutes.iter().copied().fold(0.0, f64::max)),
    })
}

fn period(params: &Params) -> Result<i64, Refusal> {
    let period: i64 = params.number("Period")?.unwrap_or(MINUTE);
    if period > 0 && period % MINUTE == 0 { Ok(period) } else { Err(invalid("Period")) }
}

/// The requested time window; a period that begins exactly at its start is outside.
fn window(params: &Params, now: Timestamp) -> Result<(Timestamp, Timestamp), Refusal> {
    let end = read_time(params, "EndTime")?.unwrap_or(now);
    let start = read_time(params, "StartTime")?.unwrap_or(end.checked_sub(SPAN_DEFAULT).unwrap_or(Timestamp::MIN));
    if start >= end || end.duration_since(start) > SPAN_MAX {
        return Err(invalid("StartTime"));
    }
    Ok((start, end))
}

/// Milliseconds or seconds since the epoch, or a date in one of the two documented forms.
fn read_time(params: &Params, name: &str) -> Result<Option<Timestamp>, Refusal> {
    /// A smaller number is in seconds: as milliseconds this is a time in 1973.
    const SECONDS_BELOW: i64 = 100_000_000_000;
    let Some(text) = params.get(name) else { return Ok(None) };
    let read = match text.parse::<i64>() {
        Ok(number) if number < SECONDS_BELOW => Timestamp::from_second(number).ok(),
        Ok(number) => Timestamp::from_millisecond(number).ok(),
        Err(_) => text.parse().ok().or_else(|| {
            let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
            Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
        }),
    };
    read.map(Some).ok_or_else(|| invalid(name))
}

/// The interface ids in `Dimensions`, one JSON object or an array of them; `None` if there is no such parameter.
fn instances(params: &Params) -> Result<Option<Vec<String>>, Refusal> {
    let Some(text) = params.get("Dimensions") else { return Ok(None) };
    let wrong = || invalid("Dimensions");
    let objects = match serde_json::from_str(text).map_err(|_| wrong())? {
        Value::Array(objects) => objects,
        object => vec![object],
    };
    if objects.len() > INSTANCES_MAX {
        return Err(wrong());
    }
    objects
        .iter()
        .map(|object| object["instanceId"].as_str().map(str::to_owned).ok_or_else(wrong))
        .collect::<Result<_, _>>()
        .map(Some)
}

fn invalid(name: &str) -> Refusal {
    Refusal::new(400, "ParameterInvalid", &format!("Illegal parameters: {name}."))
}
