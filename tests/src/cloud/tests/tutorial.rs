//! The tutorial over the API, step by step: the state after each step, and the error code of each typical mistake.

use super::{A, B, Bench, text};
use crate::{cloud::metadata_router, desired::HopPlane};
use std::sync::Arc;

#[tokio::test]
async fn the_tutorial_leads_from_nothing_to_a_link_that_carries() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let (near, far) = bench.interfaces(&a, &b).await;
    let status = async |keys, id: &str| {
        let answer = bench.ok(keys, &format!("vpc:DescribeRouterInterfaceAttribute InstanceId={id}")).await;
        (text(&answer, "Status"), text(&answer, "OppositeInterfaceStatus"))
    };
    let connect = format!("vpc:ConnectRouterInterface RouterInterfaceId={near}");
    assert_eq!(status(&bench.a, &near).await, ("Idle".to_owned(), String::new()));
    assert_eq!(bench.refused(&bench.a, &connect).await, "IncorrectOppositeInterfaceInfo.NotSet");

    bench.introduce(&bench.a, &near, &far, &b.vrouter, B).await;
    assert_eq!(bench.refused(&bench.a, &connect).await, "IncorrectOppositeInterfaceInfo");
    bench.introduce(&bench.b, &far, &near, "vrt-wrong", A).await;
    assert_eq!(bench.refused(&bench.a, &connect).await, "IncorrectOppositeInterfaceInfo");
    bench.introduce(&bench.b, &far, &near, &a.vrouter, A).await;
    assert!(bench.cloud.subscribe().borrow().links.is_empty());

    let from_acceptor = format!("vpc:ConnectRouterInterface RouterInterfaceId={far}");
    assert_eq!(bench.refused(&bench.b, &from_acceptor).await, "IncorrectRole.NotInitiatingSide");
    bench.ok(&bench.a, &connect).await;
    assert_eq!(status(&bench.a, &near).await, ("Active".to_owned(), "Active".to_owned()));
    assert_eq!(status(&bench.b, &far).await, ("Active".to_owned(), "Active".to_owned()));
    assert_eq!(bench.refused(&bench.a, &connect).await, "IncorrectRIStatus");
    let desired = Arc::clone(&bench.cloud.subscribe().borrow());
    assert!(desired.links[&near].carries);
    assert_eq!(desired.links[&near].rate_mbit, Some(2));

    for (keys, side, peer, hop) in [(&bench.a, &a, "172.16.0.0/16", &near), (&bench.b, &b, "192.168.0.0/16", &far)] {
        let line = format!(
            "vpc:CreateRouteEntry RouteTableId={} DestinationCidrBlock={peer} NextHopType=RouterInterface NextHopId={hop}",
            side.table
        );
        bench.ok(keys, &line).await;
        assert_eq!(bench.refused(keys, &line).await, "InvalidCIDRBlock.Duplicate");
    }
    let desired = Arc::clone(&bench.cloud.subscribe().borrow());
    for side in [&a, &b] {
        let routes = &desired.vpcs[&side.vpc].tables[&side.table];
        assert_eq!(routes.len(), 3);
        assert!(routes.iter().any(|route| route.hops == [HopPlane::Link(near.clone())]), "{routes:?}");
    }
}

#[tokio::test]
async fn freezing_one_end_stops_the_link_and_deletion_waits_for_routes() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let (near, far) = bench.connected(&a, &b).await;
    let delete = format!("vpc:DeleteRouterInterface RouterInterfaceId={far}");
    assert_eq!(bench.refused(&bench.b, &delete).await, "IncorrectStatus");
    let retell = format!("vpc:ModifyRouterInterfaceAttribute RouterInterfaceId={far} OppositeRouterId=vrt-1");
    assert_eq!(bench.refused(&bench.b, &retell).await, "IncorrectStatus");
    let route = format!(
        "vpc:CreateRouteEntry RouteTableId={} DestinationCidrBlock=192.168.0.0/16 NextHopType=RouterInterface NextHopId={far}",
        b.table
    );
    let entry = text(&bench.ok(&bench.b, &route).await, "RouteEntryId");
    bench.ok(&bench.b, &format!("vpc:DeactivateRouterInterface RouterInterfaceId={far}")).await;
    let desired = Arc::clone(&bench.cloud.subscribe().borrow());
    assert!(!desired.links[&near].carries, "one inactive end is enough");
    let routes = &desired.vpcs[&b.vpc].tables[&b.table];
    assert!(routes.iter().any(|route| route.hops == [HopPlane::Link(near.clone())]), "the route stays");
    bench.ok(&bench.b, &format!("vpc:ActivateRouterInterface RouterInterfaceId={far}")).await;
    assert!(bench.cloud.subscribe().borrow().links[&near].carries);
    bench.ok(&bench.b, &format!("vpc:DeactivateRouterInterface RouterInterfaceId={far}")).await;
    let code = bench.refused(&bench.b, &delete).await;
    assert_eq!(code, "DependencyViolation.RouterInterfaceReferedByRouteEntry");
    bench.ok(&bench.b, &format!("vpc:DeleteRouteEntry RouteEntryId={entry}")).await;
    bench.ok(&bench.b, &delete).await;
    let seen = bench.ok(&bench.a, &format!("vpc:DescribeRouterInterfaceAttribute InstanceId={near}")).await;
    assert_eq!((text(&seen, "Status"), text(&seen, "OppositeInterfaceStatus")), ("Active".into(), "Deleted".into()));
    assert!(bench.cloud.subscribe().borrow().links.is_empty());
}

#[tokio::test]
async fn equal_seeds_give_equal_ids() {
    let (one, two) = (Bench::new().await, Bench::new().await);
    assert_eq!(one.sides().await.0.instance, two.sides().await.0.instance);
    let world = one.cloud.world();
    let vpc = world.vpc_named("A", "vpc").expect("vpc");
    assert!(vpc.id.starts_with("vpc-m5e"));
    let instance = world.instance_named(A, "ecs1").expect("instance");
    assert_eq!(
        world.primary_eni(&instance.id).map(|eni| eni.addresses[0].to_string()).as_deref(),
        Some("192.168.1.10")
    );
    assert!(world.group_named("A", "sg1").is_some() && world.vswitch_named("A", &vpc.id, "vsw1").is_some());
}

#[tokio::test]
async fn an_instance_finds_itself_and_its_role_in_the_metadata() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listener");
    let base = format!("http://{}/latest", listener.local_addr().expect("address"));
    let app = metadata_router(Arc::clone(&bench.cloud), &a.instance);
    #[expect(clippy::disallowed_methods, reason = "the server lives as long as the test's run time")]
    tokio::spawn(async move { axum::serve(listener, app).await });
    _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().expect("client");
    let get = async |path: &str, token: Option<&str>| {
        let mut request = http.get(format!("{base}/{path}"));
        if let Some(token) = token {
            request = request.header("X-aliyun-ecs-metadata-token", token);
        }
        let answer = request.send().await.expect("answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    assert_eq!(get("meta-data/instance-id", None).await, (200, a.instance.clone()));
    assert_eq!(get("meta-data/private-ipv4", None).await.1, "192.168.1.10");
    assert_eq!(get("meta-data/vpc-cidr-block", None).await.1, "192.168.0.0/16");
    assert_eq!(get("meta-data/ram/security-credentials/", None).await.1, "pingtong-agent");
    assert_eq!(get("meta-data/nonsense", None).await.0, 404);
    let mac = get("meta-data/network/interfaces/macs/", None).await.1;
    let facts = get(&format!("meta-data/network/interfaces/macs/{mac}private-ipv4s"), None).await.1;
    assert_eq!(facts, "[\"192.168.1.10\"]");
    let document: serde_json::Value =
        serde_json::from_str(&get("dynamic/instance-identity/document", None).await.1).expect("json");
    assert_eq!(document["owner-account-id"], A);

    bench
        .ok(
            &bench.a,
            &format!(
                "ecs:ModifyInstanceMetadataOptions InstanceId={} HttpEndpoint=enabled HttpTokens=required",
                a.instance
            ),
        )
        .await;
    assert_eq!(get("meta-data/instance-id", None).await.0, 403);
    let put = |seconds: &'static str| {
        http.put(format!("{base}/api/token")).header("X-aliyun-ecs-metadata-token-ttl-seconds", seconds).send()
    };
    assert_eq!(put("21700").await.expect("answer").status().as_u16(), 400);
    let token = put("60").await.expect("answer").text().await.expect("token");
    assert_eq!(get("meta-data/instance-id", Some("wrong")).await.0, 403);
    let role = get("meta-data/ram/security-credentials/pingtong-agent", Some(&token)).await.1;
    let role: serde_json::Value = serde_json::from_str(&role).expect("json");
    assert_eq!(role["Code"], "Success");
    let keys = crate::cloud::Keys {
        access_key_id: text(&role, "AccessKeyId"),
        access_key_secret: text(&role, "AccessKeySecret"),
        security_token: Some(text(&role, "SecurityToken")),
    };
    let identity = bench.ok(&keys, "sts:GetCallerIdentity").await;
    assert_eq!((text(&identity, "AccountId"), text(&identity, "IdentityType")), (A.into(), "AssumedRoleUser".into()));
}
