//! In canonical form, our client's requests must equal the vendor's SDK's requests for the same calls, byte for byte.
//!
//! The client gathers from a recorder. `tests/sdk/same_calls.py` then makes every recorded call again through the SDK's
//! typed request and compares. No call is named here: the test compares what was recorded, and every action of
//! `permissions()` must have been recorded.

use super::{
    python::{Python, succeed},
    recorder::Recording,
};
use pingtong_cloud::{
    AssumedRole, Client, ClientSettings, Clock, Credentials, EndpointRule, GatherScope, SecretString, Signing, gather,
    permissions,
};
use pingtong_evidence::{AccountId, RegionId, Timestamp, VpcId};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, os::fd::OwnedFd, process::Stdio, time::Duration};

const ACCOUNT: &str = "1000000000000001";
const KEY: (&str, &str) = ("LTAI5tRecorded", "secret of the account");
/// 2026-01-02T03:04:05Z, the fixed time of this test.
const NOW_MS: i64 = 1_767_323_045_000;

/// One way of reading an account.
struct Reading {
    credentials: fn(&EndpointRule) -> Credentials,
    vpc: Option<&'static str>,
    signing: Signing,
}

/// With a key and with a role's session, with and without restriction to a VPC, with both signature methods.
const READINGS: [Reading; 3] = [
    Reading { credentials: own_key, vpc: None, signing: Signing::Acs3 },
    Reading { credentials: role, vpc: Some("vpc-1"), signing: Signing::Acs3 },
    Reading { credentials: role, vpc: Some("vpc-1"), signing: Signing::Rpc },
];

fn own_key(_: &EndpointRule) -> Credentials {
    Credentials::fixed(KEY.0, SecretString::from(KEY.1), None)
}

fn role(endpoint: &EndpointRule) -> Credentials {
    Credentials::AssumedRole(Box::new(AssumedRole {
        base: own_key(endpoint),
        arn: format!("acs:ram::{ACCOUNT}:role/pingtong-collector"),
        session: "by.pingtong@host-1".to_owned(),
        seconds: 3600,
        external_id: Some("what the owner demands: ä/+ =".to_owned()),
        region: region(),
        endpoint: endpoint.clone(),
    }))
}

fn region() -> RegionId {
    RegionId::parse("cn-qingdao").unwrap()
}

fn answers() -> Map<String, Value> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/answers.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

async fn read(endpoint: &str, reading: &Reading) {
    let account = AccountId::parse(ACCOUNT).unwrap();
    let endpoint = EndpointRule::parse(Some(endpoint)).unwrap();
    let mut settings = ClientSettings::new(account.clone(), endpoint.clone(), (reading.credentials)(&endpoint));
    settings.signing = reading.signing;
    settings.clock = Clock::new(|| Timestamp::from_millis(NOW_MS));
    let client = Client::new(settings).unwrap();
    client.caller_identity(&region(), Duration::from_secs(10)).await.unwrap();
    let mut scope = GatherScope::new(account, region());
    scope.vpc = reading.vpc.map(|id| VpcId::parse(id).unwrap());
    scope.changes = Some(Duration::from_hours(2));
    gather(&client, &scope, || Timestamp::from_millis(NOW_MS)).await;
}

#[tokio::test]
async fn every_request_is_the_one_that_the_sdk_makes() {
    let Some(python) = Python::find() else { return };
    let recording = Recording::start(answers());
    for reading in &READINGS {
        read(&recording.endpoint, reading).await;
    }
    let (requests, listener) = recording.stop().await;
    let secrets = json!({ KEY.0: KEY.1, "STS.recorded": "secret of the session" });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({ "requests": requests, "secrets": secrets }).to_string()).unwrap();
    let mut command = python.command("same_calls.py");
    // The SDK sends to the same address as the client, so that `Host`, which is signed, is the same.
    command.arg(file.path()).stdin(Stdio::from(OwnedFd::from(listener)));
    let compared = tokio::task::spawn_blocking(|| succeed(command)).await.unwrap();
    let mut wanted: BTreeSet<String> = permissions().into_iter().collect();
    wanted.extend(["sts:GetCallerIdentity".to_owned(), "sts:AssumeRole".to_owned()]);
    assert_eq!(compared, wanted, "what was recorded and compared, and what the client may call");
}
