//! Refused authentication and its error codes (`API.md` §5), with the signature that current SDKs send.
//! The legacy signature is tested in `refusals`.

use super::{A, Bench, text};
use crate::cloud::{
    Keys, Lies,
    http::signature::{ACS3, Acs3, sha256_hex},
    wire::BODY_MAX,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

/// The parts of a request, which a test can change before and after it is signed.
struct Sent {
    method: &'static str,
    headers: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    body: String,
}

impl Sent {
    fn new(keys: &Keys) -> Self {
        let mut headers = BTreeMap::from(
            [
                ("x-acs-action", "DescribeVpcs"),
                ("x-acs-version", "2016-04-28"),
                ("x-acs-signature-nonce", &uuid::Uuid::now_v7().to_string()),
                ("x-acs-date", &Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        if let Some(token) = &keys.security_token {
            headers.insert("x-acs-accesskey-id".to_owned(), keys.access_key_id.clone());
            headers.insert("x-acs-security-token".to_owned(), token.clone());
        }
        let query = BTreeMap::from([("RegionId".to_owned(), "cn-qingdao".to_owned())]);
        Self { method: "POST", headers, query, body: String::new() }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    fn authorization(&self, keys: &Keys) -> (String, String) {
        let headers: Vec<(String, String)> = self.headers.clone().into_iter().collect();
        let signed = Acs3 {
            method: self.method,
            path: "/",
            query: &self.query,
            headers: &headers,
            body_sha256: &sha256_hex(self.body.as_bytes()),
        };
        let text = format!(
            "{ACS3} Credential={},SignedHeaders={},Signature={}",
            keys.access_key_id,
            signed.signed_headers(),
            signed.signature(&keys.access_key_secret)
        );
        (text, signed.string_to_sign())
    }

    async fn send(self, bench: &Bench, authorization: &str) -> (u16, Value) {
        _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().expect("client");
        let method = self.method.parse().expect("method");
        let query: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = http.request(method, format!("{}/?{}", bench.endpoint, query.join("&")));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.header("authorization", authorization).body(self.body).send().await.expect("answer");
        (answer.status().as_u16(), answer.json().await.expect("json"))
    }

    /// Signs and sends the request; returns the status and the error code, which is empty on success.
    async fn outcome(self, bench: &Bench, keys: &Keys) -> (u16, String) {
        let (authorization, _) = self.authorization(keys);
        let (status, answer) = self.send(bench, &authorization).await;
        (status, answer["Code"].as_str().unwrap_or_default().to_owned())
    }
}

#[tokio::test]
async fn what_is_not_signed_in_time_by_a_known_key_for_the_first_time_is_refused() {
    let bench = Bench::new().await;
    let keys = &bench.a;
    let new = || Sent::new(keys);
    assert_eq!(new().outcome(&bench, keys).await, (200, String::new()));
    let time = |minutes: i64| {
        let at = Timestamp::now().checked_add(SignedDuration::from_mins(minutes)).expect("time");
        at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    assert_eq!(new().header("x-acs-date", &time(-14)).outcome(&bench, keys).await.0, 200);
    let once = || new().header("x-acs-signature-nonce", "once");
    assert_eq!(once().outcome(&bench, keys).await.0, 200);
    let unknown = Keys { access_key_id: "LTAIunknown".to_owned(), ..keys.clone() };
    let wrong = Keys { access_key_secret: "wrong".to_owned(), ..keys.clone() };
    for (sent, keys, status, code) in [
        (new().header("x-acs-date", &time(-16)), keys, 400, "InvalidTimeStamp.Expired"),
        (new().header("x-acs-date", &time(16)), keys, 400, "InvalidTimeStamp.Expired"),
        (new().header("x-acs-date", "yesterday"), keys, 400, "InvalidTimeStamp.Format"),
        (new().without("x-acs-date"), keys, 400, "IllegalTimestamp"),
        (new().without("x-acs-signature-nonce"), keys, 400, "Missingx-acs-signature-nonce"),
        (once(), keys, 400, "SignatureNonceUsed"),
        (new(), &unknown, 404, "InvalidAccessKeyId.NotFound"),
        (new(), &wrong, 400, "SignatureDoesNotMatch"),
        (new().header("x-acs-action", "DescribeNothing"), keys, 404, "InvalidAction.NotFound"),
        (new().without("x-acs-action"), keys, 400, "MissingAction"),
        (new().header("x-acs-version", "1999-01-01"), keys, 404, "InvalidVersion"),
        (Sent { method: "PUT", ..new() }, keys, 400, "UnsupportedHTTPMethod"),
        (Sent { body: "x".repeat(BODY_MAX + 1), ..new() }, keys, 413, "RequestEntityTooLarge"),
    ] {
        let shown = format!("{code} {:?}", sent.headers);
        assert_eq!(sent.outcome(&bench, keys).await, (status, code.to_owned()), "{shown}");
    }
    let (_, answer) = new().send(&bench, &format!("{ACS3} Credential=only")).await;
    assert_eq!(text(&answer, "Code"), "IncompleteSignature");
    bench.cloud.disable_key(&keys.access_key_id, true);
    assert_eq!(new().outcome(&bench, keys).await, (400, "InvalidAccessKeyId.Inactive".to_owned()));
    bench.cloud.disable_key(&keys.access_key_id, false);
    assert_eq!(new().outcome(&bench, keys).await.0, 200);
}

#[tokio::test]
async fn a_wrong_signature_is_answered_with_what_should_have_been_signed() {
    let bench = Bench::new().await;
    let sent = Sent::new(&bench.a);
    let (authorization, string_to_sign) = sent.authorization(&bench.a);
    let spoilt = Sent { query: BTreeMap::new(), ..sent };
    let (_, expected) = spoilt.authorization(&bench.a);
    let (status, answer) = spoilt.send(&bench, &authorization).await;
    assert_eq!((status, text(&answer, "Code").as_str()), (400, "SignatureDoesNotMatch"));
    let message = text(&answer, "Message");
    assert!(message.ends_with(&format!("server string to sign is:{expected}")), "{message}");
    assert_ne!(expected, string_to_sign);
    for field in ["RequestId", "HostId", "Recommend"] {
        assert!(!text(&answer, field).is_empty(), "{field}");
    }
}

#[tokio::test]
async fn temporary_keys_need_their_token_while_it_lasts_and_ram_denies_in_detail() {
    let bench = Bench::new().await;
    let (a, _) = bench.sides().await;
    let role = bench.role_keys(&a, A);
    let new = || Sent::new(&role);
    assert_eq!(new().outcome(&bench, &role).await, (200, String::new()));
    let other = bench.cloud.keyring().issue(A, "pingtong-agent", "x", Timestamp::now(), SignedDuration::from_hours(1));
    let others = other.keys.security_token.clone().expect("token");
    for (sent, code) in [
        (new().without("x-acs-security-token"), "MissingSecurityToken"),
        (new().header("x-acs-security-token", &others), "InvalidSecurityToken.MismatchWithAccessKey"),
    ] {
        assert_eq!(sent.outcome(&bench, &role).await, (400, code.to_owned()));
    }
    bench.cloud.set_lies("A", Lies { deny: vec!["vpc:DescribeVpcs".to_owned()], ..Lies::default() });
    let sent = new();
    let (authorization, _) = sent.authorization(&role);
    let (status, answer) = sent.send(&bench, &authorization).await;
    assert_eq!((status, text(&answer, "Code").as_str()), (403, "Forbidden.RAM"));
    let detail = &answer["AccessDeniedDetail"];
    for (field, value) in [
        ("AuthAction", "vpc:DescribeVpcs"),
        ("AuthPrincipalType", "AssumedRoleUser"),
        ("AuthPrincipalOwnerId", A),
        ("NoPermissionType", "ImplicitDeny"),
    ] {
        assert_eq!(detail[field], value, "{field}");
    }
    assert_eq!(text(detail, "AuthPrincipalDisplayName"), format!("pingtong-agent:{}", a.instance));
    bench.cloud.set_lies("A", Lies::default());
    bench.cloud.expire_key(&role.access_key_id);
    assert_eq!(new().outcome(&bench, &role).await, (400, "InvalidSecurityToken.Expired".to_owned()));
}
