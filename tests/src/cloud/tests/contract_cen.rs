//! Cloud Enterprise Network: makes every call in the SDK's models; the bench compares each with the models.

use super::{
    A, Bench,
    contract::{fields, models},
    text,
};
use std::collections::BTreeSet;

#[tokio::test]
async fn every_call_of_cloud_enterprise_network_answers_with_fields_that_the_official_sdk_knows() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let joined = bench.joined(&a, &b).await;
    bench.bound(&joined).await;
    let mut checked = BTreeSet::new();
    let of_table = format!("TransitRouterRouteTableId={}", joined.near_table);
    let hole = format!(
        "{of_table} TransitRouterRouteEntryDestinationCidrBlock=10.0.0.0/8 TransitRouterRouteEntryNextHopType=BlackHole"
    );
    let pair = format!("{of_table} TransitRouterAttachmentId={}", joined.near);
    let second = text(&bench.ok(&bench.a, "cbn:CreateCen Name=second").await, "CenId");
    let grant = format!("CenId={second} CenOwnerId={A} InstanceId={} InstanceType=VPC", b.vpc);
    for action in ["GrantInstanceToTransitRouter", "RevokeInstanceFromTransitRouter"] {
        bench.ok(&bench.b, &format!("cbn:{action} {grant}")).await;
        checked.insert(action.to_owned());
    }
    let made = [
        "CreateCen Name=third".to_owned(),
        format!("CreateTransitRouter CenId={} RegionId=cn-hangzhou", joined.cen),
        format!("CreateTransitRouterRouteTable TransitRouterId={}", joined.near_router),
        format!("CreateTransitRouterRouteEntry {hole}"),
    ];
    let made = made.map(|line| format!("cbn:{line}"));
    for line in made.into_iter().chain(joined.reads(&a)) {
        let answered = fields(&bench.ok(&bench.a, &line).await);
        let told = answered.iter().any(|path| path.contains("[].") || (path.ends_with("Id") && path != "RequestId"));
        // No call creates a routing policy, so that list is always empty.
        assert!(told || line.contains("DescribeCenRouteMaps"), "{line} answers with an id or a row");
        let action = line.split_whitespace().next().and_then(|word| word.strip_prefix("cbn:"));
        checked.insert(action.expect("action").to_owned());
    }
    let spare = format!("TransitRouterId={}", joined.far_router);
    let spare = bench.ok(&bench.a, &format!("cbn:CreateTransitRouterRouteTable {spare}")).await;
    let spare = text(&spare, "TransitRouterRouteTableId");
    let [near, far, between] =
        [&joined.near, &joined.far, &joined.between].map(|id| format!("TransitRouterAttachmentId={id}"));
    for line in [
        format!("DisableTransitRouterRouteTablePropagation {pair}"),
        format!("DissociateTransitRouterAttachmentFromRouteTable {pair}"),
        format!("DeleteTransitRouterRouteTable TransitRouterRouteTableId={spare}"),
        format!("UpdateTransitRouterVpcAttachmentAttribute {near} AutoPublishRouteEnabled=true"),
        format!("UpdateTransitRouterPeerAttachmentAttribute {between} Bandwidth=300"),
        format!("DeleteTransitRouterRouteEntry {hole}"),
        format!("AssociateTransitRouterAttachmentWithRouteTable {pair}"),
        format!("EnableTransitRouterRouteTablePropagation {pair}"),
        format!("DeleteTransitRouterVpcAttachment {far} Force=true"),
        format!("DeleteTransitRouterVpcAttachment {near} Force=true"),
        format!("DeleteTransitRouterPeerAttachment {between} Force=true"),
        format!("DeleteTransitRouter TransitRouterId={}", joined.far_router),
        format!("DeleteCen CenId={second}"),
    ] {
        bench.ok(&bench.a, &format!("cbn:{line}")).await;
        checked.insert(line.split_whitespace().next().expect("action").to_owned());
    }
    // `joined` makes these calls and reads their answers.
    checked.extend(["CreateTransitRouterVpcAttachment", "CreateTransitRouterPeerAttachment"].map(str::to_owned));
    // An API without response fields does not exist in the SDK, although the documents name it.
    let exists = |api: &str| !models()[api].response.is_empty();
    let called = |api: &str| api.strip_prefix("cbn:").is_none_or(|action| checked.contains(action));
    let missing: Vec<&String> = models().keys().filter(|api| exists(api) && !called(api)).collect();
    assert!(missing.is_empty(), "calls of the models that were not made: {missing:?}");
}
