//! A small client of the OpenAPI, for the lab's own steps and for the repair commands that pingtong prints.
//!
//! Signs with ACS3. Knows the API version of each product, but not what the calls mean.

use crate::cloud::{
    http::signature::{ACS3, Acs3, canonical_query, sha256_hex},
    keyring::Keys,
};
use jiff::Timestamp;
use serde_json::Value;
use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

/// Timeout of a call. The lab answers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The API answered with an error.
    #[error("{action} refused: {status} {code}: {message} (request {request_id})")]
    Refused {
        /// Product and action, for example `vpc:CreateVpc`.
        action: String,
        /// HTTP status.
        status: u16,
        /// Vendor code.
        code: String,
        /// Vendor message.
        message: String,
        /// Request id of the refused call.
        request_id: String,
    },
    /// The product is unknown, there was no answer, or the answer was not JSON.
    #[error("cannot call {action} at {endpoint}: {reason}")]
    Transport {
        /// Product and action, for example `vpc:CreateVpc`.
        action: String,
        /// URL of the endpoint.
        endpoint: String,
        /// What failed, with the chain of causes.
        reason: String,
    },
}

impl ApiError {
    /// The vendor's error code; `None` if the API did not answer.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::Transport { .. } => None,
        }
    }
}

/// The API version of a product, by the product's name in the `aliyun` tool.
pub(in crate::cloud) fn version_of(product: &str) -> Option<&'static str> {
    Some(match product.to_lowercase().as_str() {
        "vpc" => "2016-04-28",
        "ecs" => "2014-05-26",
        "sts" => "2015-04-01",
        "vpcpeer" => "2022-01-01",
        "cbn" => "2017-09-12",
        "cms" => "2019-01-01",
        "actiontrail" => "2020-07-06",
        "nis" => "2021-12-16",
        _ => return None,
    })
}

/// Calls an action at `endpoint` (`http://100.100.0.2`). `region` is sent as `RegionId` if it is not empty and the
/// parameters have none.
///
/// # Errors
/// Fails with [`ApiError::Refused`] if the API answers with an error. Fails with [`ApiError::Transport`] if the product
/// is unknown, the endpoint does not answer, or the answer is not JSON.
pub async fn call(
    endpoint: &str,
    keys: &Keys,
    product: &str,
    action: &str,
    region: &str,
    params: &BTreeMap<String, String>,
) -> Result<Value, ApiError> {
    let transport = |reason: String| ApiError::Transport {
        action: format!("{product}:{action}"),
        endpoint: endpoint.to_owned(),
        reason,
    };
    let version = version_of(product).ok_or_else(|| transport(format!("unknown product \"{product}\"")))?;
    let mut query = params.clone();
    if !region.is_empty() {
        query.entry("RegionId".to_owned()).or_insert_with(|| region.to_owned());
    }
    let host = endpoint.trim_end_matches('/').split_once("://").map_or(endpoint, |(_, host)| host);
    let host = host.strip_suffix(":80").filter(|_| endpoint.starts_with("http://")).unwrap_or(host);
    let body_sha256 = sha256_hex(b"");
    let mut headers = vec![
        ("host".to_owned(), host.to_owned()),
        ("x-acs-action".to_owned(), action.to_owned()),
        ("x-acs-content-sha256".to_owned(), body_sha256.clone()),
        ("x-acs-date".to_owned(), Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ("x-acs-signature-nonce".to_owned(), uuid::Uuid::now_v7().to_string()),
        ("x-acs-version".to_owned(), version.to_owned()),
    ];
    if let Some(token) = &keys.security_token {
        headers.push(("x-acs-accesskey-id".to_owned(), keys.access_key_id.clone()));
        headers.push(("x-acs-security-token".to_owned(), token.clone()));
        headers.sort();
    }
    let signed = Acs3 { method: "POST", path: "/", query: &query, headers: &headers, body_sha256: &body_sha256 };
    let authorization = format!(
        "{ACS3} Credential={},SignedHeaders={},Signature={}",
        keys.access_key_id,
        signed.signed_headers(),
        signed.signature(&keys.access_key_secret)
    );
    let url = format!("{}/?{}", endpoint.trim_end_matches('/'), canonical_query(&query));
    let mut request = http().map_err(&transport)?.post(url).header("authorization", authorization);
    for (name, value) in headers.iter().filter(|(name, _)| name != "host") {
        request = request.header(name, value);
    }
    let answer = request.send().await.map_err(|error| transport(chain(&error)))?;
    let status = answer.status();
    let body: Value = answer.json().await.map_err(|error| transport(chain(&error)))?;
    if status.is_success() {
        return Ok(body);
    }
    let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    Err(ApiError::Refused {
        action: format!("{product}:{action}"),
        status: status.as_u16(),
        code: field("Code"),
        message: field("Message"),
        request_id: field("RequestId"),
    })
}

/// The shared HTTP client. It keeps no idle connections, so it works from any runtime and network namespace.
fn http() -> Result<&'static reqwest::Client, String> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    CLIENT
        .get_or_init(|| {
            // An error means that a provider is already installed, which is fine.
            _ = rustls::crypto::ring::default_provider().install_default();
            reqwest::Client::builder()
                .no_proxy()
                .pool_max_idle_per_host(0)
                .timeout(TIMEOUT)
                .build()
                .map_err(|error| chain(&error))
        })
        .as_ref()
        .map_err(Clone::clone)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
