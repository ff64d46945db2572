//! Records of the cloud: changes for ActionTrail, link metrics for CloudMonitor; and the scripts that it starts.

use super::{A, Bench, Side, text};
use crate::{
    cloud::{Apply, Lies, Options, Script},
    desired::{BothWays, Carried, Desired},
};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    future::ready,
    sync::{Arc, Mutex},
};

/// A data plane without packets: its link counters are set by the test, and it records scripts.
#[derive(Default)]
struct Paper {
    links: Mutex<BTreeMap<String, BothWays>>,
    scripts: Mutex<Vec<Script>>,
}

impl Apply for Paper {
    fn apply(&self, _desired: Arc<Desired>) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(ready(Ok(())))
    }

    fn carried(&self) -> BoxFuture<'_, BTreeMap<String, BothWays>> {
        Box::pin(ready(self.links.lock().expect("lock").clone()))
    }

    fn start(&self, script: Script) -> BoxFuture<'_, anyhow::Result<()>> {
        self.scripts.lock().expect("lock").push(script);
        Box::pin(ready(Ok(())))
    }
}

async fn events(bench: &Bench, keys: &crate::cloud::Keys, rest: &str) -> Vec<Value> {
    let answer = bench.ok(keys, &format!("actiontrail:LookupEvents {rest}")).await;
    answer["Events"].as_array().expect("events").clone()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["eventName"].as_str()).collect()
}

async fn authorize(bench: &Bench, a: &Side) {
    let line = format!("ecs:AuthorizeSecurityGroup SecurityGroupId={} IpProtocol=icmp PortRange=-1/-1", a.group);
    bench.ok(&bench.a, &format!("{line} SourceCidrIp=172.16.0.0/16")).await;
}

#[tokio::test]
async fn every_change_is_recorded_with_who_what_and_how_it_ended() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    authorize(&bench, &a).await;
    bench.ok(&bench.a, "vpc:DescribeVpcs").await;
    assert_eq!(bench.refused(&bench.a, &format!("vpc:DeleteVpc VpcId={}", a.vpc)).await, "DependencyViolation");
    let role = bench.role_keys(&a, A);
    assert_eq!(bench.refused(&role, "vpc:CreateVpc").await, "Forbidden.RAM");

    let all = events(&bench, &bench.a, "").await;
    assert_eq!(
        names(&all),
        [
            "CreateVpc",
            "DeleteVpc",
            "AuthorizeSecurityGroup",
            "RunInstances",
            "CreateSecurityGroup",
            "CreateVSwitch",
            "CreateVpc"
        ],
        "newest first, no reads, nobody else's"
    );
    let [denied, failed, done, ..] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&denied["errorCode"], &failed["errorCode"]), (&json!("Forbidden.RAM"), &json!("DependencyViolation")));
    assert_eq!(denied["userIdentity"]["type"], "assumed-role");
    assert_eq!(denied["userIdentity"]["userName"], format!("pingtong-agent:{}", a.instance));
    assert!(done.get("errorCode").is_none() && done["responseElements"].is_object());
    for (field, value) in [
        ("eventRW", "Write"),
        ("eventType", "ApiCall"),
        ("eventCategory", "Management"),
        ("serviceName", "Ecs"),
        ("acsRegion", "cn-qingdao"),
        ("apiVersion", "2014-05-26"),
        ("resourceType", "ACS::ECS::SecurityGroup"),
        ("resourceName", a.group.as_str()),
        ("sourceIpAddress", "127.0.0.1"),
        ("recipientAccountId", A),
    ] {
        assert_eq!(done[field], value, "{field}");
    }
    assert_eq!(done["requestParameters"]["SourceCidrIp"], "172.16.0.0/16");
    assert_eq!(done["userIdentity"]["accessKeyId"], bench.a.access_key_id);
    assert_eq!(done["userIdentity"]["accountId"], A);
    assert!(!done.to_string().contains(&bench.a.access_key_secret));
    assert_eq!(events(&bench, &bench.b, "").await.len(), 4, "B's own, without the refused");
}

#[tokio::test]
async fn events_are_narrowed_ordered_and_paged() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    authorize(&bench, &a).await;
    let by = |key: &str, value: &str| format!("LookupAttribute.1.Key={key} LookupAttribute.1.Value={value}");
    for (key, value, count) in [
        ("EventName", "CreateVpc", 1),
        ("ServiceName", "Ecs", 3),
        ("EventRW", "Read", 0),
        ("ResourceName", a.group.as_str(), 3),
        ("ResourceType", "ACS::VPC::VSwitch", 2),
        ("User", "root", 5),
        ("EventAccessKeyId", bench.a.access_key_id.as_str(), 5),
    ] {
        assert_eq!(events(&bench, &bench.a, &by(key, value)).await.len(), count, "{key}={value}");
    }
    let forward = events(&bench, &bench.a, "Direction=FORWARD").await;
    assert_eq!(names(&forward).first(), Some(&"CreateVpc"));
    let first = bench.ok(&bench.a, "actiontrail:LookupEvents MaxResults=2").await;
    authorize(&bench, &a).await;
    let next = format!("actiontrail:LookupEvents MaxResults=2 NextToken={}", text(&first, "NextToken"));
    let second = bench.ok(&bench.a, &next).await;
    let third = format!("actiontrail:LookupEvents MaxResults=2 NextToken={}", text(&second, "NextToken"));
    let third = bench.ok(&bench.a, &third).await;
    let paged: Vec<&str> = [&first, &second, &third]
        .into_iter()
        .flat_map(|page| page["Events"].as_array().expect("events"))
        .filter_map(|event| event["eventId"].as_str())
        .collect();
    let backward: Vec<&str> = forward.iter().rev().filter_map(|event| event["eventId"].as_str()).collect();
    assert_eq!(paged, backward, "a change between two pages moves nothing");
    assert_eq!(third["NextToken"], "");
    let (start, end) = ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
    assert!(events(&bench, &bench.a, &format!("StartTime={start} EndTime={end}")).await.is_empty());
    for wrong in [
        format!("StartTime={end} EndTime={start}"),
        "StartTime=yesterday".to_owned(),
        "MaxResults=51".to_owned(),
        "Direction=SIDEWAYS".to_owned(),
        "NextToken=x".to_owned(),
        by("Colour", "red"),
    ] {
        let line = format!("actiontrail:LookupEvents {wrong}");
        assert_eq!(bench.refused(&bench.a, &line).await, "InvalidQueryParameter", "{wrong}");
    }
}

#[tokio::test]
async fn the_lies_reach_records_and_figures_too() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    bench.connected(&a, &b).await;
    let role = bench.role_keys(&a, A);
    let figures = "cms:DescribeMetricList Namespace=acs_express_connect MetricName=RateLimitDropPps";
    let deny = ["cms:DescribeMetricList", "actiontrail:LookupEvents"].map(str::to_owned).into();
    bench.cloud.set_lies("A", Lies { deny, ..Lies::default() });
    for line in [figures, "actiontrail:LookupEvents"] {
        assert_eq!(bench.refused(&role, line).await, "Forbidden.RAM");
        bench.ok(&bench.a, line).await;
    }
    let throttle = crate::cloud::Actions::Only(vec!["cms:*".to_owned(), "actiontrail:*".to_owned()]);
    bench.cloud.set_lies("A", Lies { throttle, ..Lies::default() });
    for line in [figures, "actiontrail:LookupEvents"] {
        assert_eq!(bench.refused(&role, line).await, "Throttling.User");
    }
    bench.cloud.set_lies("A", Lies { stale: Some(3600), ..Lies::default() });
    assert!(events(&bench, &role, "").await.is_empty(), "as of before");
    let all = events(&bench, &bench.a, "").await.len();
    assert!(all >= 5);
    bench.cloud.set_lies("A", Lies { drop_page: crate::cloud::Actions::All(true), ..Lies::default() });
    let lost = bench.ok(&role, "actiontrail:LookupEvents MaxResults=2").await;
    assert_eq!(lost["Events"].as_array().map(Vec::len), Some(2));
    let mut seen = 2;
    let mut token = text(&lost, "NextToken");
    while !token.is_empty() {
        let page = bench.ok(&role, &format!("actiontrail:LookupEvents MaxResults=2 NextToken={token}")).await;
        seen += page["Events"].as_array().map_or(0, Vec::len);
        token = text(&page, "NextToken");
    }
    assert!(seen < all, "{seen} of {all}");
}

fn points(answer: &Value) -> Vec<Value> {
    assert_eq!(answer["Code"], "200");
    serde_json::from_str(answer["Datapoints"].as_str().expect("a string")).expect("an array in a string")
}

fn metric(name: &str, interface: &str) -> String {
    format!("Namespace=acs_express_connect MetricName={name} Period=60 Dimensions=[{{\"instanceId\":\"{interface}\"}}]")
}

#[tokio::test]
async fn each_end_of_a_link_sees_its_own_side_of_what_was_carried() {
    let paper = Arc::new(Paper::default());
    let bench = Bench::on(Options { seed: 1, ..Options::default() }, Arc::clone(&paper) as Arc<dyn Apply>).await;
    let (a, b) = bench.sides().await;
    let (near, far) = bench.connected(&a, &b).await;
    // The largest value of all periods: a new minute can begin while the test runs.
    let average = async |keys: &crate::cloud::Keys, name: &str, interface: &str| {
        let answer = bench.ok(keys, &format!("cms:DescribeMetricList {}", metric(name, interface))).await;
        points(&answer).iter().filter_map(|point| point["Average"].as_f64()).max_by(f64::total_cmp)
    };
    let carry = |forward: Carried, back: Carried| {
        paper.links.lock().expect("lock").insert(near.clone(), [forward, back]);
    };
    assert_eq!(average(&bench.a, "ReceiveBandwidth", &near).await, None, "nothing was watched yet");
    carry(Carried::default(), Carried::default());
    average(&bench.a, "ReceiveBandwidth", &near).await;
    carry(
        Carried { bytes_in: 1_000_000, bytes_out: 900_000, over_grant: 5000 },
        Carried { bytes_in: 0, bytes_out: 0, over_grant: 0 },
    );
    assert!(average(&bench.a, "TransportedBandwidth", &near).await > Some(0.0));
    let (sent, received) =
        (average(&bench.a, "TransportedBandwidth", &near).await, average(&bench.b, "ReceiveBandwidth", &far).await);
    assert!(received > Some(0.0) && received < sent, "the fabric lost a tenth: {sent:?} {received:?}");
    assert_eq!(average(&bench.a, "ReceiveBandwidth", &near).await, Some(0.0));
    assert_eq!(average(&bench.b, "TransportedBandwidth", &far).await, Some(0.0));
    assert!(average(&bench.a, "RateLimitDropPps", &near).await > Some(0.0));
    assert_eq!(average(&bench.b, "RateLimitDropPps", &far).await, Some(0.0), "dropped before it came here");
    assert_eq!(average(&bench.a, "RateLimitDropPps", &far).await, None, "another account's interface");

    let top = format!("cms:DescribeMetricTop {} Orderby=Average", metric("TransportedBandwidth", &near));
    let rows = points(&bench.ok(&bench.a, &top).await);
    assert_eq!((&rows[0]["order"], &rows[0]["instanceId"], &rows[0]["userId"]), (&json!(1), &json!(near), &json!(A)));
    let beginning = rows[0]["timestamp"].as_i64().expect("milliseconds");
    assert_eq!(beginning % 60_000, 0);
    let list = |rest: &str| format!("cms:DescribeMetricList {} {rest}", metric("TransportedBandwidth", &near));
    assert_eq!(
        points(&bench.ok(&bench.a, &list(&format!("StartTime={beginning}"))).await).len(),
        0,
        "open on the left"
    );
    assert_eq!(points(&bench.ok(&bench.a, &list(&format!("StartTime={}", beginning - 1))).await).len(), 1);
    let long_ago = list("StartTime=2019-01-30T00:00:00Z EndTime=2019-01-30T01:00:00Z");
    assert_eq!(points(&bench.ok(&bench.a, &long_ago).await).len(), 0);
    let answer = bench.ok(&bench.a, &list("Length=1440")).await;
    assert_eq!((&answer["Period"], &answer["Success"], answer.get("NextToken")), (&json!("60"), &json!(true), None));
}

#[tokio::test]
async fn questions_about_metrics_are_checked() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let (near, _) = bench.connected(&a, &b).await;
    let ask = |change: &str| {
        let line = format!("cms:DescribeMetricList {}", metric("ReceiveBandwidth", &near));
        let (from, to) = change.split_once('>').expect("from>to");
        line.replace(from, to)
    };
    for (change, code) in [
        ("Namespace=acs_express_connect>Namespace=", "MissingNamespace"),
        ("acs_express_connect>acs_moon", "ResourceNotFound"),
        ("ReceiveBandwidth>Colour", "ResourceNotFound"),
        ("Period=60>Period=61", "ParameterInvalid"),
        ("Period=60>Period=0", "ParameterInvalid"),
        ("Period=60>StartTime=soon", "ParameterInvalid"),
        ("Period=60>Length=1441", "InvalidParameter.Length"),
        ("Period=60>StartTime=1700000000000", "ParameterInvalid"),
        ("Period=60>StartTime=1700000000000 EndTime=1700000000000", "ParameterInvalid"),
        ("\"instanceId\">\"colour\"", "ParameterInvalid"),
    ] {
        assert_eq!(bench.refused(&bench.a, &ask(change)).await, code, "{change}");
    }
    assert_eq!(
        points(&bench.ok(&bench.a, &ask("Period=60>Period=300")).await),
        [Value::Null; 0],
        "no plane, no figures"
    );
    let meta = bench.ok(&bench.a, "cms:DescribeMetricMetaList Namespace=acs_express_connect").await;
    assert_eq!(meta["Resources"]["Resource"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn scripts_reach_the_guests_that_are_named() {
    let paper = Arc::new(Paper::default());
    let bench = Bench::on(Options { seed: 1, ..Options::default() }, Arc::clone(&paper) as Arc<dyn Apply>).await;
    let (a, b) = bench.sides().await;
    let run = |instance: &str, content: &str, rest: &str| {
        format!("ecs:RunCommand Type=RunShellScript CommandContent={content} InstanceId.1={instance} {rest}")
    };
    let answer = bench.ok(&bench.a, &run(&a.instance, "ZGF0ZQ==", "ContentEncoding=Base64 Timeout=5")).await;
    assert!(text(&answer, "InvokeId").starts_with("t-") && text(&answer, "CommandId").starts_with("c-"));
    let started: Vec<(String, String, u64)> = paper
        .scripts
        .lock()
        .expect("lock")
        .iter()
        .map(|script| (script.guest.clone(), script.text.clone(), script.timeout.as_secs()))
        .collect();
    assert_eq!(started, [("A.ecs1".to_owned(), "date".to_owned(), 5)]);
    for (line, code) in [
        (run(&b.instance, "date", ""), "InvalidInstance.NotFound"),
        (run("", "date", ""), "MissingParam.InstanceId"),
        (run(&a.instance, "%%", "ContentEncoding=Base64"), "CmdContent.DecodeError"),
        (run(&a.instance, &"x".repeat(25 << 10), ""), "CmdContent.ExceedLimit"),
        (run(&a.instance, "date", "").replace("RunShellScript", "RunBatScript"), "InvalidCmdType.NotFound"),
    ] {
        assert_eq!(bench.refused(&bench.a, &line).await, code);
    }
    bench.ok(&bench.a, &format!("ecs:StopInstance InstanceId={}", a.instance)).await;
    assert_eq!(bench.refused(&bench.a, &run(&a.instance, "date", "")).await, "IncorrectInstanceStatus");
    assert_eq!(bench.refused(&bench.role_keys(&a, A), &run(&a.instance, "date", "")).await, "Forbidden.RAM");
    let alone = Bench::new().await;
    let (a, _) = alone.sides().await;
    assert_eq!(alone.refused(&alone.a, &run(&a.instance, "date", "")).await, "InternalError.Dispatch");
}
