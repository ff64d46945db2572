//! The identity of a host, the credentials that sign its requests, and when these are fetched again.

use crate::fake::{
    Metadata, account, metadata_client, metadata_service, ok, page, refuse, scope, settings, start, tutorial,
};
use pingtong_cloud::{
    AccessKey, AssumedRole, Client, ClientSettings, Clock, Credentials, EndpointRule, SecretString, Signing, gather,
};
use pingtong_evidence::{Known, RegionId, Timestamp, WhyUnknown};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

#[tokio::test]
async fn identity_is_read_in_hardened_mode_and_without_tokens() {
    for hardened in [true, false] {
        let fact = metadata_client(Metadata { hardened, ..Metadata::default() }).await.identity().await.unwrap();
        assert_eq!((fact.instance.as_str(), fact.account.as_str()), ("i-1", "1000000000000001"));
        assert_eq!((fact.vpc.unwrap().as_str(), fact.vswitch), ("vpc-1", None));
        assert_eq!(fact.interfaces.len(), 1);
        assert_eq!(
            (fact.interfaces[0].eni.as_ref().unwrap().as_str(), fact.interfaces[0].addresses.len()),
            ("eni-1", 2)
        );
    }
}

#[tokio::test]
async fn where_the_house_demands_it_nothing_is_asked_without_a_token() {
    let client = |hardened| async move {
        metadata_client(Metadata { hardened, ..Metadata::default() }).await.hardened_only().identity().await
    };
    assert!(client(true).await.is_ok());
    let error = client(false).await.unwrap_err().to_string();
    assert!(error.contains("no session token"), "{error}");
}

#[tokio::test]
async fn the_instances_role_signs_and_an_instance_without_one_is_one_gap() {
    let (cloud, base) = start(tutorial()).await;
    for role in [true, false] {
        let metadata = metadata_client(Metadata { hardened: true, role, ..Metadata::default() }).await;
        let client =
            Client::new(ClientSettings { credentials: Credentials::instance_role(metadata), ..settings(&base) })
                .unwrap();
        let snapshot = gather(&client, &scope(), || Timestamp::from_millis(7)).await;
        if role {
            assert_eq!(snapshot.gaps, []);
            assert_eq!(cloud.calls.lock().unwrap()[0].2["x-acs-security-token"], "t");
        } else {
            assert_eq!(snapshot.gaps.len(), 1);
            assert!(matches!(snapshot.enis.why_unknown(), Some(WhyUnknown::NotPermitted { .. })));
        }
    }
}

#[tokio::test]
async fn refused_credentials_and_a_wrong_clock_are_corrected_once() {
    let cloud = tutorial()
        .on("DescribeVpcs", |_, before| {
            if before == 0 {
                refuse(400, "InvalidSecurityToken.Expired")
            } else {
                ok(page(["Vpcs", "Vpc"], &json!([])))
            }
        })
        .on("DescribeVSwitches", |_, _| refuse(400, "InvalidTimeStamp.Expired"));
    let (cloud, base) = start(cloud).await;
    let client = Client::new(settings(&base)).unwrap();
    let snapshot = gather(&client, &scope(), || Timestamp::from_millis(7)).await;
    assert_eq!(snapshot.vpcs, Known::Known(vec![]));
    assert!(
        matches!(snapshot.vswitches.why_unknown(), Some(WhyUnknown::Refused { code, .. }) if code == "InvalidTimeStamp.Expired")
    );
    assert_eq!(cloud.count("DescribeVSwitches"), 2);
}

fn minutes(count: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + count * 60_000)
}

#[tokio::test]
async fn an_assumed_role_signs_and_is_assumed_anew_before_it_ends() {
    let cloud = tutorial().on("AssumeRole", |query, before| {
        assert_eq!((query["RoleSessionName"].as_str(), query["DurationSeconds"].as_str()), ("pingtong", "3600"));
        assert_eq!(query["RoleArn"], "acs:ram::1000000000000001:role/reader");
        let key = json!({"AccessKeyId": format!("STS.{before}"), "AccessKeySecret": "s", "SecurityToken": format!("t{before}"),
            "Expiration": minutes(60 * (i64::try_from(before).unwrap() + 1)).to_string()});
        ok(json!({"RequestId": "R", "Credentials": key}))
    });
    let (cloud, base) = start(cloud).await;
    let endpoint = EndpointRule::parse(Some(&base)).unwrap();
    let role = AssumedRole {
        base: Credentials::fixed("testAccessKeyId", SecretString::from("hush"), None),
        arn: "acs:ram::1000000000000001:role/reader".into(),
        session: "pingtong".into(),
        seconds: 3600,
        external_id: None,
        region: RegionId::parse("cn-qingdao").unwrap(),
        endpoint: endpoint.clone(),
    };
    let now = Arc::new(AtomicI64::new(0));
    let shared = now.clone();
    let clock = Clock::new(move || minutes(shared.load(Ordering::Relaxed)));
    let credentials = Credentials::AssumedRole(Box::new(role));
    let client =
        Client::new(ClientSettings { clock, ..ClientSettings::new(account(), endpoint, credentials) }).unwrap();
    // Credentials are replaced 15 minutes before they expire; until then the cached ones are used.
    for (at, assumed, token) in [(0, 1, "t0"), (44, 1, "t0"), (46, 2, "t1"), (50, 2, "t1")] {
        now.store(at, Ordering::Relaxed);
        let snapshot = gather(&client, &scope(), || Timestamp::from_millis(7)).await;
        assert_eq!(snapshot.gaps, []);
        assert_eq!(cloud.count("AssumeRole"), assumed, "at minute {at}");
        let calls = cloud.calls.lock().unwrap();
        assert_eq!(calls.last().unwrap().2["x-acs-security-token"], token);
    }
    assert!(!format!("{client:?}").contains("hush"));
}

#[tokio::test]
async fn a_refused_role_is_a_gap_that_says_what_to_grant() {
    let (_, base) = start(tutorial().on("AssumeRole", |_, _| refuse(403, "NoPermission"))).await;
    let endpoint = EndpointRule::parse(Some(&base)).unwrap();
    let role = AssumedRole {
        base: Credentials::Fixed(AccessKey {
            id: "a".into(),
            secret: SecretString::from("s"),
            token: None,
            ends_at: None,
        }),
        arn: "acs:ram::1:role/r".into(),
        session: "pingtong".into(),
        seconds: 3600,
        external_id: Some("x".into()),
        region: RegionId::parse("cn-qingdao").unwrap(),
        endpoint: endpoint.clone(),
    };
    let credentials = Credentials::AssumedRole(Box::new(role));
    let client = Client::new(ClientSettings::new(account(), endpoint, credentials)).unwrap();
    let snapshot = gather(&client, &scope(), || Timestamp::from_millis(7)).await;
    assert_eq!(snapshot.gaps.len(), 1);
    assert!(matches!(&snapshot.gaps[0].why, WhyUnknown::Denied { action, .. } if action == "sts:AssumeRole"));
}

#[tokio::test]
async fn the_caller_is_who_the_cloud_says() {
    let sample = include_str!("../../testdata/samples/sts.GetCallerIdentity.json");
    let cloud = tutorial().on("GetCallerIdentity", move |_, _| ok(serde_json::from_str(sample).unwrap()));
    let (_, base) = start(cloud).await;
    let client = Client::new(settings(&base)).unwrap();
    let region = RegionId::parse("cn-qingdao").unwrap();
    let caller = client.caller_identity(&region, Duration::from_secs(5)).await.unwrap();
    assert_eq!((caller.account.as_str(), caller.kind.as_str()), ("196813200012****", "RAMUser"));
}

#[tokio::test]
async fn a_refusal_shows_everything_needed_to_act_and_no_secret() {
    let (_, base) = start(tutorial().on("GetCallerIdentity", |_, _| refuse(403, "NoPermission"))).await;
    let client = Client::new(settings(&base)).unwrap();
    let region = RegionId::parse("cn-qingdao").unwrap();
    let error = client.caller_identity(&region, Duration::from_secs(5)).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    for part in ["sts:GetCallerIdentity", "1000000000000001", "cn-qingdao", "NoPermission", "403", "REFUSED", "grant"] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    assert!(!shown.contains("testAccessKeySecret") && !shown.contains("testToken"));
}

#[tokio::test]
async fn a_clock_far_off_is_corrected_from_the_clouds_own() {
    // The older signature sends the time as a parameter, which the fake can see.
    let cloud = tutorial().on("DescribeVpcs", |query, _| {
        if query["Timestamp"].starts_with("1970") {
            return refuse(400, "InvalidTimeStamp.Expired");
        }
        ok(page(["Vpcs", "Vpc"], &json!([])))
    });
    let (cloud, base) = start(cloud).await;
    let (clock, signing) = (Clock::new(|| Timestamp::from_millis(0)), Signing::Rpc);
    let client = Client::new(ClientSettings { clock, signing, ..settings(&base) }).unwrap();
    for calls in [2, 3] {
        let snapshot = gather(&client, &scope(), || Timestamp::from_millis(7)).await;
        assert_eq!((snapshot.gaps, cloud.count("DescribeVpcs")), (vec![], calls));
    }
}

#[tokio::test]
async fn a_credentials_service_serves_in_the_metadata_services_form() {
    let service = metadata_service(Metadata { role: true, ..Metadata::default() }).await;
    let credentials = Credentials::Service(format!("{service}/latest/meta-data/ram/security-credentials/reader"));
    let (cloud, base) = start(tutorial()).await;
    let client = Client::new(ClientSettings { credentials, ..settings(&base) }).unwrap();
    assert_eq!(gather(&client, &scope(), || Timestamp::from_millis(7)).await.gaps, []);
    assert_eq!(cloud.calls.lock().unwrap()[0].2["x-acs-accesskey-id"], "STS.x");
}
