//! Accounts that grant the collector a role: read if no agent can read them, and skipped quietly if the role is
//! refused.

use crate::site::{A, B, Server, Site};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const ENVIRONMENT: [(&str, &str); 2] =
    [("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI-operator"), ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "hush-operator")];

/// A cloud that grants or refuses its one role, and whose one readable call lists a VPC.
struct Cloud {
    grants: bool,
    /// Requested actions, each with the key that signed the request.
    asked: Mutex<Vec<(String, String)>>,
}

impl Cloud {
    async fn start(grants: bool) -> (Arc<Self>, String) {
        let cloud = Arc::new(Self { grants, asked: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&cloud));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (cloud, endpoint)
    }

    fn signers_of(&self, action: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| asked == action).map(|(_, key)| key.clone()).collect()
    }
}

async fn answer(State(cloud): State<Arc<Cloud>>, headers: HeaderMap) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (action, authorisation) = (text("x-acs-action"), text("authorization"));
    let key = authorisation.split("Credential=").nth(1).and_then(|rest| rest.split(',').next()).unwrap_or_default();
    cloud.asked.lock().unwrap().push((action.clone(), key.to_owned()));
    let refuse = |code: &str| {
        let body = json!({"RequestId": "NO", "HostId": "h", "Code": code, "Message": "You are not authorized."});
        (StatusCode::FORBIDDEN, Json(body)).into_response()
    };
    match action.as_str() {
        "AssumeRole" if cloud.grants => Json(json!({"RequestId": "YES", "Credentials": {
            "AccessKeyId": "STS.role", "AccessKeySecret": "hush-role", "SecurityToken": "token", "Expiration": "2999-01-01T00:00:00Z"
        }}))
        .into_response(),
        "AssumeRole" => refuse("NoPermission"),
        "DescribeVpcs" => Json(json!({"RequestId": "YES", "TotalCount": 1, "PageNumber": 1, "PageSize": 50, "Vpcs": {"Vpc": [
            {"VpcId": "vpc-b", "CidrBlock": "172.16.0.0/16", "VRouterId": "vrt-b", "RegionId": "cn-beijing", "Status": "Available"}
        ]}}))
        .into_response(),
        _ => refuse("Forbidden.RAM"),
    }
}

fn served(site: &Site, endpoint: &str) -> Server {
    let role = format!(
        "cloud_endpoint = \"{endpoint}\"\n[[account]]\nid = \"{B}\"\nrole = \"acs:ram::{B}:role/pingtong-collector\""
    );
    site.write_config(&role);
    site.enroll("A.ecs1", A, "i-a");
    site.enroll("B.ecs1", B, "i-b");
    site.serve_with(&ENVIRONMENT)
}

/// Runs `verify` while no agent answers; returns the verdict and the evidence that it was made from.
fn verify(site: &Site) -> (Value, Value) {
    let output = site.run("verify", &["--json", "--wait", "2", "--save", "evidence.json"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let verdict = serde_json::from_str(text.trim());
    assert!(verdict.is_ok(), "{verdict:?}: {output:?} {}", site.log());
    let saved: Value = serde_json::from_slice(&std::fs::read(site.path("evidence.json")).unwrap()).unwrap();
    (verdict.unwrap(), saved["evidence"].clone())
}

fn gaps(verdict: &Value) -> Vec<(String, String)> {
    let text = |gap: &Value, key: &str| gap[key].as_str().unwrap_or_default().to_owned();
    verdict["gaps"].as_array().unwrap().iter().map(|gap| (text(gap, "code"), text(gap, "side"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_agent_is_dead_is_read_through_the_granted_role() {
    let site = Site::new();
    let (cloud, endpoint) = Cloud::start(true).await;
    let _server = served(&site, &endpoint);
    let (verdict, evidence) = verify(&site);
    let snapshots = evidence["snapshots"].as_array().unwrap();
    assert_eq!(snapshots.len(), 1, "{snapshots:?}");
    assert_eq!((&snapshots[0]["account"], &snapshots[0]["region"]), (&B.into(), &"cn-beijing".into()));
    assert!(snapshots[0]["request"].is_string(), "read for this very request: {}", snapshots[0]);
    assert_eq!(snapshots[0]["vpcs"]["known"][0]["id"], "vpc-b");
    let gaps = gaps(&verdict);
    assert!(gaps.contains(&("account-not-visible".into(), "initiator".into())), "{gaps:?}");
    assert!(gaps.contains(&("config-denied".into(), "acceptor".into())), "{gaps:?}");
    assert_eq!(cloud.signers_of("AssumeRole"), ["LTAI-operator"], "the role's credentials serve until they end");
    assert!(cloud.signers_of("DescribeVpcs").iter().all(|key| key == "STS.role"));
    assert!(!site.log().contains("hush"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_role_leaves_the_account_unread_and_is_told_once() {
    let site = Site::new();
    let (_cloud, endpoint) = Cloud::start(false).await;
    let _server = served(&site, &endpoint);
    for _ in 0..2 {
        let (verdict, _) = verify(&site);
        let gaps = gaps(&verdict);
        for side in ["initiator", "acceptor"] {
            assert!(gaps.contains(&("account-not-visible".into(), side.into())), "{gaps:?}");
        }
        assert!(verdict["gaps"].to_string().contains("[[account]]"), "how to grant a role: {verdict}");
    }
    assert_eq!(site.log().matches("cannot read the account by itself").count(), 1, "{}", site.log());
}
