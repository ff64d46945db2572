//! Cloud Enterprise Network: every call of the SDK's models is made, and each is held against them by the bench.

use super::{
    Bench,
    contract::{fields, models},
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
    for line in [
        "CreateCen Name=second".to_owned(),
        format!("CreateTransitRouter CenId={} RegionId=cn-hangzhou", joined.cen),
        format!("CreateTransitRouterRouteTable TransitRouterId={}", joined.near_router),
        format!("CreateTransitRouterRouteEntry {hole}"),
        "DescribeCens".to_owned(),
        format!("DescribeCenAttachedChildInstances CenId={}", joined.cen),
        "ListTransitRouters".to_owned(),
        "ListTransitRouterVpcAttachments".to_owned(),
        "ListTransitRouterPeerAttachments".to_owned(),
        format!("ListTransitRouterRouteTables TransitRouterId={}", joined.near_router),
        format!("ListTransitRouterRouteTableAssociations {of_table}"),
        format!("ListTransitRouterRouteTablePropagations {of_table}"),
        format!("ListTransitRouterRouteEntries {of_table} TransitRouterRouteEntryStatus=All"),
        format!("DescribeCenRegionDomainRouteEntries CenId={} CenRegionId=cn-qingdao", joined.cen),
        format!(
            "DescribePublishedRouteEntries CenId={} ChildInstanceId={} ChildInstanceRegionId=cn-qingdao ChildInstanceType=VPC",
            joined.cen, a.vpc
        ),
    ] {
        let answered = fields(&bench.ok(&bench.a, &format!("cbn:{line}")).await);
        assert!(answered.iter().any(|path| path.contains("[].") || path.ends_with("Id")), "{line} answers with a row");
        checked.insert(line.split_whitespace().next().expect("action").to_owned());
    }
    bench.ok(&bench.a, &format!("cbn:DisableTransitRouterRouteTablePropagation {pair}")).await;
    bench.ok(&bench.a, &format!("cbn:DissociateTransitRouterAttachmentFromRouteTable {pair}")).await;
    for line in [
        format!("DescribeCenRouteMaps CenId={}", joined.cen),
        format!("DeleteTransitRouterRouteEntry {hole}"),
        format!("AssociateTransitRouterAttachmentWithRouteTable {pair}"),
        format!("EnableTransitRouterRouteTablePropagation {pair}"),
        format!("DeleteTransitRouterVpcAttachment TransitRouterAttachmentId={} Force=true", joined.far),
    ] {
        bench.ok(&bench.a, &format!("cbn:{line}")).await;
        checked.insert(line.split_whitespace().next().expect("action").to_owned());
    }
    // Made by `joined`, with their answers read there.
    checked.extend(
        ["CreateTransitRouterVpcAttachment", "CreateTransitRouterPeerAttachment", "GrantInstanceToTransitRouter"]
            .map(str::to_owned),
    );
    // The SDK has no such call, whatever the documents name.
    let exists = |api: &str| !models()[api].response.is_empty();
    let called = |api: &str| api.strip_prefix("cbn:").is_none_or(|action| checked.contains(action));
    let missing: Vec<&String> = models().keys().filter(|api| exists(api) && !called(api)).collect();
    assert!(missing.is_empty(), "calls of the models that were not made: {missing:?}");
}
