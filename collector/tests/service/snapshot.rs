//! `snapshot`, `policy` and `diagnose --snapshot`: the real binary, with a cloud on loopback that shows one account's
//! VPC.

use crate::site::{A, B, Site};
use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use pingtong_evidence::Snapshot;
use serde_json::{Value, json};
use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Output, Stdio},
};

const KEY: [&str; 4] = ["--access-key-id", "LTAI-flag", "--access-key-secret-file", "secret"];

/// Answers, for one key only, which account it belongs to and which VPC exists; refuses everything else.
async fn answer(headers: HeaderMap) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let refuse = |code: &str| {
        let body = json!({"RequestId": "NO", "HostId": "h", "Code": code, "Message": "You are not authorized."});
        (StatusCode::FORBIDDEN, Json(body)).into_response()
    };
    if !text("authorization").contains("Credential=LTAI-flag,") {
        return refuse("InvalidAccessKeyId.NotFound");
    }
    match text("x-acs-action").as_str() {
        "GetCallerIdentity" => Json(json!({"RequestId": "R", "AccountId": B, "Arn": "a", "IdentityType": "RAMUser"})).into_response(),
        "DescribeVpcs" => Json(json!({"RequestId": "R", "TotalCount": 1, "PageNumber": 1, "PageSize": 50, "Vpcs": {"Vpc": [
            {"VpcId": "vpc-b", "VpcName": "prod", "CidrBlock": "172.16.0.0/16", "VRouterId": "vrt-b", "RegionId": "cn-beijing"}
        ]}}))
        .into_response(),
        _ => refuse("Forbidden.RAM"),
    }
}

async fn cloud() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
    endpoint
}

fn site() -> Site {
    let site = Site::new();
    std::fs::write(site.path("secret"), "hush-flag\n").unwrap();
    site
}

fn read(site: &Site, endpoint: &str, more: &[&str]) -> Output {
    let arguments = [&KEY, &["--endpoint", endpoint, "--region", "cn-beijing"][..], more].concat();
    site.run("snapshot", &arguments)
}

fn snapshots(text: &[u8]) -> Vec<Snapshot> {
    std::str::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Saves a snapshot of one side of the site's link: it shows the side's instance and no router interfaces, nothing else
/// is known.
fn saved(site: &Site, file: &str, account: &str, region: &str, letter: &str, address: &str) {
    let snapshot = json!({
        "schema": 1, "account": account, "region": region, "taken_at": 1000, "finished_at": 2000,
        "router_interfaces": {"known": []}, "instances": {"known": [{"id": format!("i-{letter}"), "name": "billing",
            "status": "running", "vpc": format!("vpc-{letter}"), "addresses": [address]}]},
    });
    std::fs::write(site.path(file), snapshot.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_of_the_credentials_is_read_into_a_file_for_its_owner_alone() {
    let (site, endpoint) = (site(), cloud().await);
    let output = read(&site, &endpoint, &["--out", "b.json", "--lang", "zh", "--region", "cn-hangzhou"]);
    assert_eq!(output.status.code(), Some(2), "gaps: {output:?}");
    assert!(output.stdout.is_empty());
    assert_eq!(std::fs::metadata(site.path("b.json")).unwrap().permissions().mode() & 0o777, 0o600);
    let read = snapshots(&std::fs::read(site.path("b.json")).unwrap());
    let places: Vec<_> = read.iter().map(|s| (s.account.as_str(), s.region.as_str())).collect();
    assert_eq!(places, [(B, "cn-beijing"), (B, "cn-hangzhou")]);
    assert_eq!(read[0].vpcs.known().unwrap()[0].id.as_str(), "vpc-b");
    let said = said(&output);
    for part in ["1  专有网络 VPC", "ecs:DescribeInstances", "Forbidden.RAM", "下一步", "pingtong policy read"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let quiet = self::read(&site, &endpoint, &["--quiet"]);
    assert!(quiet.stderr.is_empty() && snapshots(&quiet.stdout).len() == 1, "{quiet:?}");
    assert!(!format!("{output:?}{quiet:?}").contains("hush"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_may_come_on_standard_input_and_a_wrong_account_is_refused() {
    let (site, endpoint) = (site(), cloud().await);
    let mut arguments = vec!["--access-key-id", "LTAI-flag", "--access-key-secret-file", "-", "--quiet"];
    arguments.extend(["--endpoint", &endpoint, "--region", "cn-beijing"]);
    let mut child = site.command("snapshot", &arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hush-flag").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), snapshots(&output.stdout).len()), (Some(2), 1));
    let wrong = read(&site, &endpoint, &["--account", A]);
    assert_eq!(wrong.status.code(), Some(64), "{wrong:?}");
    assert!(said(&wrong).contains(&format!("belong to account {B}, not to {A}")) && wrong.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_named_on_the_command_line_counts_before_the_environment() {
    let (site, endpoint) = (site(), cloud().await);
    std::fs::create_dir(site.path(".aliyun")).unwrap();
    let profiles = json!({"current": "other", "profiles": [
        {"name": "ops", "mode": "AK", "access_key_id": "LTAI-flag", "access_key_secret": "hush"}]});
    std::fs::write(site.path(".aliyun/config.json"), profiles.to_string()).unwrap();
    let run = |more: &[&str]| {
        let arguments = [&["--endpoint", &endpoint, "--region", "cn-beijing", "--quiet"][..], more].concat();
        let key = [("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI-env"), ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "hush")];
        site.command("snapshot", &arguments).envs(key).output().unwrap()
    };
    assert_eq!(run(&["--profile", "ops"]).status.code(), Some(2));
    let refused = run(&[]);
    assert_eq!(refused.status.code(), Some(70), "{refused:?}");
    assert!(said(&refused).contains("the owner of the credentials is not known"), "{refused:?}");
}

#[test]
fn saved_answers_become_a_snapshot_without_any_key() {
    let site = site();
    std::fs::create_dir(site.path("answers")).unwrap();
    let vpcs = json!({"RequestId": "R", "TotalCount": 1, "PageNumber": 1, "PageSize": 50, "Vpcs": {"Vpc": [
        {"VpcId": "vpc-b", "CidrBlock": "172.16.0.0/16", "VRouterId": "vrt-b", "RegionId": "cn-beijing", "OwnerId": 1_000_000_000_000_002_u64}]}});
    std::fs::write(site.path("answers/DescribeVpcs.json"), vpcs.to_string()).unwrap();
    let output = site.run("snapshot", &["--import", "answers", "--account", B, "--region", "cn-beijing"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let read = snapshots(&output.stdout);
    assert_eq!((read[0].account.as_str(), read[0].vpcs.known().unwrap().len()), (B, 1));
    let none = site.run("snapshot", &["--import", "nowhere"]);
    assert_eq!(none.status.code(), Some(64), "{none:?}");
}

#[test]
fn two_accounts_snapshots_are_redacted_alike_and_differently_each_time() {
    let site = site();
    saved(&site, "a.json", A, "cn-qingdao", "a", "192.168.1.10");
    saved(&site, "b.json", A, "cn-beijing", "b", "172.16.1.10");
    let redact = || {
        let output = site.run("snapshot", &["--from", "a.json", "--from", "b.json", "--redact", "--quiet"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        output.stdout
    };
    let (one, other) = (redact(), redact());
    assert_ne!(one, other);
    let text = String::from_utf8(one.clone()).unwrap();
    for lost in [A, "i-a\"", "vpc-b\"", "billing"] {
        assert!(!text.contains(lost), "{lost} in {text}");
    }
    let read = snapshots(&one);
    assert_eq!(read[0].account, read[1].account, "the same account twice");
    assert!(text.contains("cn-beijing"));
}

#[test]
fn saved_snapshots_are_diagnosed_against_the_settings() {
    let site = site();
    saved(&site, "a.json", A, "cn-qingdao", "a", "192.168.1.10");
    saved(&site, "b.json", B, "cn-beijing", "b", "172.16.1.10");
    let output = site.run("diagnose", &["--snapshot", "a.json", "--snapshot", "b.json", "--json"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    let codes: Vec<_> = verdict["causes"].as_array().unwrap().iter().map(|cause| &cause["code"]).collect();
    assert!(codes.contains(&&json!("ri-missing")), "{verdict}");
    let silent = verdict["gaps"].as_array().unwrap().iter().filter(|gap| gap["code"] == "agent-silent").count();
    assert_eq!(silent, 2, "nobody probed: {verdict}");
    for wrong in [&["--snapshot", "secret"][..], &["--snapshot", "a.json", "b.json"], &[]] {
        let output = site.run("diagnose", wrong);
        assert_eq!(output.status.code(), Some(64), "{wrong:?}: {output:?}");
    }
}

#[test]
fn a_snapshot_handed_to_the_collector_counts_where_nobody_reads_the_account() {
    let site = site();
    site.enroll("A.ecs1", A, "i-a");
    let _server = site.serve();
    let place = ["--to-collector", "--config", "collector.toml", "--data", "data", "--quiet"];
    let gaps_of_b = || -> Vec<String> {
        let output = site.run("verify", &["--json", "--wait", "1"]);
        let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
        let of_b = verdict["gaps"].as_array().unwrap().iter().filter(|gap| gap["side"] == "acceptor");
        of_b.map(|gap| gap["code"].as_str().unwrap().to_owned()).collect()
    };
    assert!(gaps_of_b().contains(&"account-not-visible".to_owned()));
    saved(&site, "b.json", B, "cn-beijing", "b", "172.16.1.10");
    let output = site.run("snapshot", &[&["--from", "b.json"][..], &place].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let gaps = gaps_of_b();
    assert!(!gaps.contains(&"account-not-visible".to_owned()) && gaps.contains(&"config-stale".to_owned()), "{gaps:?}");
    saved(&site, "c.json", "1000000000000003", "cn-beijing", "b", "172.16.1.10");
    let output = site.run("snapshot", &[&["--from", "c.json"][..], &place].concat());
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(said(&output).contains("account 1000000000000003 is on no link"), "{output:?}");
}

#[test]
fn policies_are_printed_whole_and_incomplete_questions_end_with_64() {
    let site = site();
    let printed = |arguments: &[&str]| -> Value {
        let output = site.run("policy", arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(printed(&["read"]), printed(&["agent"]));
    assert!(printed(&["read"])["Statement"][0]["Action"].as_array().unwrap().contains(&json!("vpc:DescribeVpcs")));
    assert_eq!(
        printed(&["collector-trust", "--account", A, "--external-id", "e-1"])["Statement"][0]["Condition"],
        json!({"StringEquals": {"sts:ExternalId": "e-1"}})
    );
    assert!(
        printed(&["collector", "--account", B])
            .to_string()
            .contains("acs:ram::1000000000000002:role/pingtong-collector")
    );
    assert!(printed(&["instance-trust"]).to_string().contains("ecs.aliyuncs.com"));
    for (name, arguments) in [
        ("policy", &["collector-trust"][..]),
        ("policy", &["collector-trust", "--account", A, "--external-id", "a b"]),
        ("policy", &["collector", "--role", "*"]),
        ("snapshot", &[]),
        ("snapshot", &["--region", "cn-beijing", "--access-key-id", "x"]),
        ("snapshot", &["--region", "cn-beijing", "--endpoint", "ftp://x"]),
        ("snapshot", &["--from", "secret"]),
        ("snapshot", &["--from", "secret", "--redact", "--to-collector"]),
    ] {
        let output = site.run(name, arguments);
        assert_eq!(output.status.code(), Some(64), "{name} {arguments:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
}
