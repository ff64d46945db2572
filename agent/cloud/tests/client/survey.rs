//! Reading for a command: the account of the credentials, several regions, and what happens if the named account is
//! wrong.

use crate::fake::{Cloud, account, ok, refuse, settings, start, tutorial};
use pingtong_cloud::{EndpointRule, Survey, SurveyError};
use pingtong_evidence::{AccountId, RegionId, Timestamp};
use serde_json::json;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

fn survey(base: &str, account: Option<AccountId>) -> Survey {
    Survey {
        account,
        regions: ["cn-qingdao", "cn-beijing"].map(|region| RegionId::parse(region).unwrap()).to_vec(),
        vpc: None,
        endpoint: EndpointRule::parse(Some(base)).unwrap(),
        credentials: settings(base).credentials,
        within: Duration::from_secs(20),
        calls_per_second: pingtong_cloud::CALLS_PER_SECOND,
        changes: None,
    }
}

fn known_caller() -> Cloud {
    tutorial().on("GetCallerIdentity", |_, _| {
        ok(json!({"RequestId": "R", "AccountId": "1000000000000001", "Arn": "a", "IdentityType": "RAMUser"}))
    })
}

#[tokio::test]
async fn every_region_is_read_under_the_account_of_the_credentials_and_watched() {
    let (_, base) = start(known_caller()).await;
    let seen = AtomicUsize::new(0);
    let watch = |_: &pingtong_cloud::Progress<'_>| {
        seen.fetch_add(1, Ordering::Relaxed);
    };
    let snapshots = survey(&base, None).read(|| Timestamp::from_millis(7), &watch).await.unwrap();
    let places: Vec<_> = snapshots.iter().map(|s| (s.account.as_str(), s.region.as_str(), s.gaps.len())).collect();
    assert_eq!(places, [("1000000000000001", "cn-qingdao", 0), ("1000000000000001", "cn-beijing", 0)]);
    assert!(seen.into_inner() >= 2 * 9);
}

#[tokio::test]
async fn configuration_is_not_filed_under_another_accounts_name() {
    let (cloud, base) = start(known_caller()).await;
    let stranger = AccountId::parse("1000000000000002").unwrap();
    let refused = survey(&base, Some(stranger)).read(|| Timestamp::from_millis(7), &|_| ()).await;
    assert!(matches!(refused, Err(SurveyError::Another { .. })), "{refused:?}");
    assert_eq!(cloud.count("DescribeVpcs"), 0);
}

#[tokio::test]
async fn where_the_cloud_does_not_say_the_name_given_counts() {
    let silent = || tutorial().on("GetCallerIdentity", |_, _| refuse(403, "NoPermission"));
    let (_, base) = start(silent()).await;
    let named = survey(&base, Some(account())).read(|| Timestamp::from_millis(7), &|_| ()).await.unwrap();
    assert_eq!((named.len(), &named[0].account), (2, &account()));
    let unnamed = survey(&base, None).read(|| Timestamp::from_millis(7), &|_| ()).await;
    assert!(matches!(unnamed, Err(SurveyError::Whose(_))), "{unnamed:?}");
}
