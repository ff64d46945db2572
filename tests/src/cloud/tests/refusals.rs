//! Error codes of the API: signatures, timestamps, replays, RAM, flow control, and the checks of single calls.

use super::{A, B, Bench, text};
use crate::cloud::{
    Actions, Lies,
    http::signature::{decode_form, percent, rpc_signature, rpc_string_to_sign},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Sends an RPC-signed request by GET; `tamper` may change the parameters after signing.
async fn rpc(
    bench: &Bench,
    secret: &str,
    extra: &[(&str, &str)],
    tamper: fn(&mut BTreeMap<String, String>),
) -> (u16, Value) {
    let mut params: BTreeMap<String, String> = decode_form(
        "Action=DescribeVpcs&Version=2016-04-28&Format=JSON&RegionId=cn-qingdao&SignatureMethod=HMAC-SHA1\
         &SignatureVersion=1.0&SignatureType=",
    );
    params.insert("AccessKeyId".to_owned(), bench.a.access_key_id.clone());
    params.insert("SignatureNonce".to_owned(), uuid::Uuid::now_v7().to_string());
    params.insert("Timestamp".to_owned(), jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    params.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let signature = rpc_signature(secret, &rpc_string_to_sign("GET", &params));
    params.insert("Signature".to_owned(), signature);
    tamper(&mut params);
    let query: Vec<String> = params.iter().map(|(key, value)| format!("{}={}", percent(key), percent(value))).collect();
    _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().expect("client");
    let answer = http.get(format!("{}/?{}", bench.endpoint, query.join("&"))).send().await.expect("answer");
    (answer.status().as_u16(), answer.json().await.expect("json"))
}

#[tokio::test]
async fn the_rpc_signature_is_checked_in_every_part() {
    let bench = Bench::new().await;
    let secret = bench.a.access_key_secret.clone();
    let (status, answer) = rpc(&bench, &secret, &[("VpcName", "a b*中")], |_| ()).await;
    assert_eq!((status, &answer["TotalCount"]), (200, &serde_json::json!(0)), "{answer}");

    let code = |answer: (u16, Value)| (answer.0, text(&answer.1, "Code"));
    let (status, answer) = rpc(&bench, "wrong", &[], |_| ()).await;
    assert_eq!((status, text(&answer, "Code").as_str()), (400, "SignatureDoesNotMatch"));
    assert!(text(&answer, "Message").contains("server string to sign is:GET&%2F&AccessKeyId"), "{answer}");
    for field in ["RequestId", "HostId", "Recommend"] {
        assert!(!text(&answer, field).is_empty());
    }
    let changed = rpc(&bench, &secret, &[], |params| _ = params.insert("VpcId".to_owned(), "vpc-1".to_owned())).await;
    assert_eq!(code(changed), (400, "SignatureDoesNotMatch".to_owned()));
    let old = rpc(&bench, &secret, &[("Timestamp", "2020-01-01T00:00:00Z")], |_| ()).await;
    assert_eq!(code(old), (400, "InvalidTimeStamp.Expired".to_owned()));
    let odd = rpc(&bench, &secret, &[("Timestamp", "yesterday")], |_| ()).await;
    assert_eq!(code(odd), (400, "InvalidTimeStamp.Format".to_owned()));
    let unknown = rpc(&bench, &secret, &[("AccessKeyId", "LTAIunknown")], |_| ()).await;
    assert_eq!(code(unknown), (404, "InvalidAccessKeyId.NotFound".to_owned()));
    let action = rpc(&bench, &secret, &[("Action", "DescribeNothing")], |_| ()).await;
    assert_eq!(code(action), (404, "InvalidAction.NotFound".to_owned()));
    let nonce = [("SignatureNonce", "once")];
    assert_eq!(rpc(&bench, &secret, &nonce, |_| ()).await.0, 200);
    assert_eq!(code(rpc(&bench, &secret, &nonce, |_| ()).await), (400, "SignatureNonceUsed".to_owned()));
}

#[tokio::test]
async fn roles_read_and_do_not_write_and_end() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    let keys = bench.role_keys(&a, A);
    assert_eq!(bench.ok(&keys, "vpc:DescribeVpcs").await["TotalCount"], 1);
    assert_eq!(bench.refused(&keys, "vpc:CreateVpc").await, "Forbidden.RAM");
    let mut stolen = keys.clone();
    stolen.security_token = Some("CAIS-wrong".to_owned());
    assert_eq!(bench.refused(&stolen, "vpc:DescribeVpcs").await, "InvalidSecurityToken.MismatchWithAccessKey");
    bench.cloud.expire_key(&keys.access_key_id);
    assert_eq!(bench.refused(&keys, "vpc:DescribeVpcs").await, "InvalidSecurityToken.Expired");

    let assume = |account: &str| {
        format!("sts:AssumeRole RoleArn=acs:ram::{account}:role/pingtong-collector RoleSessionName=collector")
    };
    let own = bench.ok(&bench.a, &assume(A)).await;
    assert!(own["Credentials"]["AccessKeyId"].as_str().is_some_and(|id| id.starts_with("STS.")));
    assert_eq!(bench.refused(&bench.a, &assume(B)).await, "NoPermission");
    bench.cloud.trust("B", "pingtong-collector", "A");
    bench.ok(&bench.a, &assume(B)).await;
    let nobody = format!("sts:AssumeRole RoleArn=acs:ram::{A}:role/nobody RoleSessionName=collector");
    assert_eq!(bench.refused(&bench.a, &nobody).await, "EntityNotExist.Role");
}

#[tokio::test]
async fn lies_reach_roles_and_never_the_master_key() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    bench.cloud.baseline();
    let role = bench.role_keys(&a, A);
    let rules = format!("ecs:DescribeSecurityGroupAttribute SecurityGroupId={}", a.group);
    let deny = Lies { deny: vec!["ecs:DescribeSecurityGroupAttribute".to_owned()], ..Lies::default() };
    bench.cloud.set_lies("A", deny);
    assert_eq!(bench.refused(&role, &rules).await, "Forbidden.RAM");
    bench.ok(&bench.a, &rules).await;
    bench.ok(&role, "ecs:DescribeSecurityGroups").await;

    bench.cloud.set_lies("A", Lies { throttle: Actions::All(true), ..Lies::default() });
    assert_eq!(bench.refused(&role, &rules).await, "Throttling.User");

    bench.cloud.set_lies("A", Lies { stale: Some(3600), ..Lies::default() });
    let authorize = format!(
        "ecs:AuthorizeSecurityGroup SecurityGroupId={} IpProtocol=icmp PortRange=-1/-1 SourceCidrIp=172.16.0.0/16",
        a.group
    );
    bench.ok(&bench.a, &authorize).await;
    let count = |answer: Value| answer["Permissions"]["Permission"].as_array().map_or(0, Vec::len);
    assert_eq!(count(bench.ok(&role, &rules).await), 0, "as of before");
    assert_eq!(count(bench.ok(&bench.a, &rules).await), 1);

    bench.cloud.set_lies("A", Lies { drop_page: Actions::All(true), ..Lies::default() });
    let routes = bench.ok(&role, &format!("vpc:DescribeRouteEntryList RouteTableId={} MaxResult=100", a.table)).await;
    assert_eq!(routes["TotalCount"], 2);
    assert_eq!(routes["RouteEntrys"]["RouteEntry"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn security_group_rules_are_checked_as_documented() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let authorize = |rest: &str| format!("ecs:AuthorizeSecurityGroup SecurityGroupId={} {rest}", a.group);
    for (rest, code) in [
        (
            format!("IpProtocol=icmp PortRange=-1/-1 SourceGroupId={} SourceGroupOwnerId={B}", b.group),
            "InvalidSourceGroupId.Mismatch",
        ),
        (format!("IpProtocol=icmp PortRange=-1/-1 SourceGroupId={}", b.group), "InvalidSourceGroupId.NotFound"),
        (format!("IpProtocol=icmp PortRange=-1/-1 SourceGroupId={}", a.group), "InvalidParamter.Conflict"),
        ("IpProtocol=icmp PortRange=1/65535 SourceCidrIp=0.0.0.0/0".to_owned(), "OperationDenied"),
        (
            "IpProtocol=all PortRange=-1/-1 SourcePortRange=1/1023 SourceCidrIp=0.0.0.0/0".to_owned(),
            "InvalidSourcePortRange.Malformed",
        ),
        ("IpProtocol=tcp PortRange=80 SourceCidrIp=0.0.0.0/0".to_owned(), "InvalidIpProtocol.Malformed"),
        ("IpProtocol=tcp PortRange=80/80 SourceCidrIp=nowhere".to_owned(), "InvalidSourceCidrIp.Malformed"),
        ("IpProtocol=tcp PortRange=80/80".to_owned(), "MissingParameter.Source"),
        (
            "IpProtocol=icmp PortRange=-1/-1 Priority=101 SourceCidrIp=0.0.0.0/0".to_owned(),
            "InvalidPriority.ValueNotSupported",
        ),
    ] {
        assert_eq!(bench.refused(&bench.a, &authorize(&rest)).await, code, "{rest}");
    }
    let once = authorize("IpProtocol=icmp PortRange=-1/-1 SourceCidrIp=172.16.0.0/16");
    let again =
        authorize("Permissions.1.IpProtocol=ICMP Permissions.1.SourceCidrIp=172.16.0.0/16 Permissions.1.Policy=Accept");
    bench.ok(&bench.a, &once).await;
    bench.ok(&bench.a, &again).await;
    let rules = |side: &super::Side| bench.cloud.world().groups[&side.group].rules.clone();
    assert_eq!(rules(&a).len(), 1, "a duplicate adds nothing");
    let id = rules(&a)[0].id.clone();
    let revoke = format!("ecs:RevokeSecurityGroup SecurityGroupId={} ", a.group);
    let other = format!("{revoke} IpProtocol=icmp PortRange=-1/-1 SourceCidrIp=172.17.0.0/16");
    assert_eq!(bench.refused(&bench.a, &other).await, "InvalidGroupAuthItem.NotFound");
    bench.ok(&bench.a, &format!("{revoke} SecurityGroupRuleId.1={id}")).await;
    bench.ok(&bench.a, &once).await;
    bench.ok(&bench.a, &format!("{revoke} IpProtocol=icmp PortRange=-1/-1 SourceCidrIp=172.16.0.0/16")).await;
    assert_eq!(rules(&a).len(), 0);

    bench.cloud.set_lies("A", Lies { legacy_sg_auth: true, ..Lies::default() });
    let foreign = format!("IpProtocol=icmp PortRange=-1/-1 SourceGroupId={} SourceGroupOwnerId={B}", b.group);
    bench.ok(&bench.a, &authorize(&foreign)).await;
    let desired = std::sync::Arc::clone(&bench.cloud.subscribe().borrow());
    assert_eq!(desired.instances["A.ecs1"].enis[0].ingress.rules[0].peers, [], "it is stored and matches nothing");
}

#[tokio::test]
async fn routes_are_checked_as_documented() {
    let bench = Bench::new().await;
    let (a, b) = bench.sides().await;
    let (near, far) = bench.connected(&a, &b).await;
    let create = |rest: &str| format!("vpc:CreateRouteEntry RouteTableId={} {rest}", a.table);
    for (rest, code) in [
        (
            format!("DestinationCidrBlock=192.168.1.0/24 NextHopType=RouterInterface NextHopId={near}"),
            "InvalidCidrBlock",
        ),
        (format!("DestinationCidrBlock=192.168.1.7 NextHopType=RouterInterface NextHopId={near}"), "InvalidCidrBlock"),
        (
            format!("DestinationCidrBlock=100.64.0.0/10 NextHopType=RouterInterface NextHopId={near}"),
            "InvalidCidrBlock",
        ),
        (
            format!("DestinationCidrBlock=172.16.0.0/33 NextHopType=RouterInterface NextHopId={near}"),
            "InvalidCidrBlock.Malformed",
        ),
        (
            format!("DestinationCidrBlock=172.16.0.0/16 NextHopType=RouterInterface NextHopId={far}"),
            "InvalidNextHopId.NotFound",
        ),
        ("DestinationCidrBlock=172.16.0.0/16".to_owned(), "InvalidNexthopTypeAndList.BothNull"),
        (format!("DestinationCidrBlock=172.16.0.0/16 NextHopType=Moon NextHopId={near}"), "InvalidNextHopType"),
        (
            format!(
                "DestinationCidrBlock=172.16.0.0/16 NextHopList.1.NextHopId={near} NextHopList.1.NextHopType=RouterInterface"
            ),
            "InvalidNexthopListSize",
        ),
        (
            format!("DestinationCidrBlock=172.16.0.0/16 NextHopType=RouterInterface NextHopId={near} DryRun=True"),
            "DryRunOperation",
        ),
    ] {
        assert_eq!(bench.refused(&bench.a, &create(&rest)).await, code, "{rest}");
    }
    bench
        .ok(
            &bench.a,
            &create(&format!("DestinationCidrBlock=172.16.1.10 NextHopType=RouterInterface NextHopId={near}")),
        )
        .await;
    bench
        .ok(
            &bench.a,
            &create(&format!("DestinationCidrBlock=192.0.0.0/8 NextHopType=RouterInterface NextHopId={near}")),
        )
        .await;
    let delete = |destination: &str, hop: &str| {
        format!("vpc:DeleteRouteEntry RouteTableId={} DestinationCidrBlock={destination} NextHopId={hop}", a.table)
    };
    assert_eq!(bench.refused(&bench.a, &delete("172.16.1.10/32", &far)).await, "InvalidRouteEntry.NotFound");
    assert_eq!(bench.refused(&bench.a, &delete("192.168.1.0/24", "")).await, "OperationDenied");
    bench.ok(&bench.a, &delete("172.16.1.10/32", &near)).await;
    assert_eq!(bench.refused(&bench.b, &delete("192.0.0.0/8", &near)).await, "InvalidRouteTableId.NotFound");
}
