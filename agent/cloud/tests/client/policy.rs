//! Checks that the policy to paste allows exactly what gathering calls.

use crate::{
    fake::{Cloud, scope, settings, start, tutorial},
    gather::{led_everywhere, two_regions},
};
use pingtong_cloud::{Client, Product, gather, read_policy};
use pingtong_evidence::Timestamp;
use std::{collections::BTreeSet, time::Duration};

/// The products, identified by the API version in a request; no two of them have the same.
const PRODUCTS: [Product; 7] =
    [Product::Vpc, Product::Ecs, Product::Sts, Product::VpcPeer, Product::Cbn, Product::Cms, Product::ActionTrail];

/// Every action that gathering calls against this cloud, with its product.
async fn called(cloud: Cloud, with_records: bool) -> BTreeSet<String> {
    let (cloud, base) = start(cloud).await;
    let client = Client::new(settings(&base)).unwrap();
    let mut scope = scope();
    scope.metrics = with_records;
    scope.changes = with_records.then_some(Duration::from_hours(2));
    gather(&client, &scope, || Timestamp::from_millis(7)).await;
    let calls = cloud.calls.lock().unwrap();
    let name = |(action, _, headers): &(String, _, axum::http::HeaderMap)| {
        let version = headers["x-acs-version"].to_str().unwrap();
        let product = PRODUCTS.into_iter().find(|product| product.version() == version).unwrap();
        format!("{}:{action}", product.code())
    };
    calls.iter().map(name).collect()
}

#[tokio::test]
async fn the_reading_policy_allows_what_gathering_calls_and_no_more() {
    let policy = read_policy();
    let allowed: BTreeSet<String> = policy["Statement"][0]["Action"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| action.as_str().unwrap().to_owned())
        .collect();
    let mut all = BTreeSet::new();
    for (cloud, with_records) in
        [(tutorial(), false), (two_regions(), true), (led_everywhere(), true), (Cloud::default(), true)]
    {
        let called = called(cloud, with_records).await;
        assert!(called.is_subset(&allowed), "not allowed: {:?}", called.difference(&allowed));
        all.extend(called);
    }
    assert!(allowed.is_subset(&all), "never called: {:?}", allowed.difference(&all));
}
