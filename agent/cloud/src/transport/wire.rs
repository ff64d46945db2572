//! Sends one signed request and reads its answer. Does not retry and decides nothing.

use crate::{
    Signing,
    signing::{Acs3Request, Params, authorization, canonical_query, hex, sha256_hex, sign_acs3, sign_rpc},
    transport::access_key::AccessKey,
    transport::clock::seconds_text,
    transport::endpoint::{Product, host_header},
    transport::http::{self, BODY_BYTES_MAX, BodyError},
};
use pingtong_evidence::Timestamp;
use reqwest::Url;
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, time::Duration};

/// The content of one request.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) product: Product,
    pub(crate) action: &'a str,
    pub(crate) params: &'a Params,
    pub(crate) base: &'a Url,
}

/// The answer to one request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The wait that the server requests.
    pub(crate) retry_after: Option<Duration>,
    /// Time of the server's clock.
    pub(crate) date: Option<Timestamp>,
    /// The answer; empty if it is not a JSON object.
    pub(crate) document: Map<String, Value>,
    /// Whether the answer is a JSON object.
    pub(crate) is_document: bool,
}

impl Reply {
    /// Parses a body.
    pub(crate) fn read(status: u16, bytes: &[u8]) -> Self {
        let (document, is_document) = match serde_json::from_slice(bytes) {
            Ok(Value::Object(document)) => (document, true),
            _ => (Map::new(), false),
        };
        Self { status, retry_after: None, date: None, document, is_document }
    }

    /// Code and message if this is an error answer. An answer with status 200 is one if `Success` is false.
    pub(crate) fn error(&self) -> Option<(String, String)> {
        let success = self.document.get("Success");
        let failed = success.is_some_and(|value| value == &Value::Bool(false) || value.as_str() == Some("false"));
        if (200..300).contains(&self.status) && !failed {
            return None;
        }
        let text = |name: &str| self.document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let code = text("Code").map_or_else(|| format!("HTTP {}", self.status), printable);
        Some((code, text("Message").map_or_else(String::new, printable)))
    }

    pub(crate) fn request_id(&self) -> String {
        self.document.get("RequestId").and_then(Value::as_str).map_or_else(String::new, printable)
    }

    /// The RAM action that an error answer reports as missing.
    pub(crate) fn denied_action(&self) -> Option<String> {
        let detail = self.document.get("AccessDeniedDetail")?;
        detail.get("AuthAction").and_then(Value::as_str).filter(|text| !text.is_empty()).map(printable)
    }
}

/// Makes external text safe for a terminal: removes control characters and limits its length.
fn printable(text: &str) -> String {
    const CHARACTERS_MAX: usize = 500;
    text.chars().filter(|c| !c.is_control()).take(CHARACTERS_MAX).collect()
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("no answer")]
    NoAnswer(#[source] reqwest::Error),
    #[error("the answer has more than {BODY_BYTES_MAX} bytes")]
    TooLong,
    #[error("the kernel gave no random numbers")]
    NoRandomness,
}

pub(crate) async fn send(
    http: &reqwest::Client,
    outgoing: &Outgoing<'_>,
    key: &AccessKey,
    now: Timestamp,
    signing: Signing,
) -> Result<Reply, WireError> {
    let mut nonce = [0_u8; 16];
    getrandom::fill(&mut nonce).map_err(|_| WireError::NoRandomness)?;
    let nonce = hex(&nonce);
    let request = match signing {
        Signing::Acs3 => acs3(http, outgoing, key, now, nonce),
        Signing::Rpc => rpc(http, outgoing, key, now, nonce),
    };
    // The URL contains parameters and, for RPC, the signature, so it is kept out of errors.
    let response = request.send().await.map_err(|error| WireError::NoAnswer(error.without_url()))?;
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = header("x-acs-retry-after")
        .and_then(|text| text.trim().parse().ok())
        .filter(|ms| *ms > 0)
        .map(Duration::from_millis);
    let date = header("date")
        .and_then(|text| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok())
        .map(|time| Timestamp::from_millis(time.as_millisecond()));
    let bytes = http::body(response, BODY_BYTES_MAX).await.map_err(|error| match error {
        BodyError::Broken(error) => WireError::NoAnswer(error.without_url()),
        BodyError::TooLong => WireError::TooLong,
    })?;
    Ok(Reply { retry_after, date, ..Reply::read(status, &bytes) })
}

/// Signs `host`, `content-type` if there is a body, and all `x-acs-*`: the set of the vectors' minimal form.
fn acs3(
    http: &reqwest::Client,
    outgoing: &Outgoing<'_>,
    key: &AccessKey,
    now: Timestamp,
    nonce: String,
) -> reqwest::RequestBuilder {
    const FORM: &str = "application/x-www-form-urlencoded";
    let nothing = Params::new();
    let (query, body) =
        if outgoing.product.form_body() { (&nothing, form(outgoing.params)) } else { (outgoing.params, String::new()) };
    let payload_sha256 = sha256_hex(body.as_bytes());
    let mut headers = BTreeMap::from([
        ("host".to_owned(), host_header(outgoing.base)),
        ("x-acs-action".to_owned(), outgoing.action.to_owned()),
        ("x-acs-version".to_owned(), outgoing.product.version().to_owned()),
        ("x-acs-date".to_owned(), seconds_text(now)),
        ("x-acs-signature-nonce".to_owned(), nonce),
        ("x-acs-content-sha256".to_owned(), payload_sha256.clone()),
    ]);
    if !body.is_empty() {
        headers.insert("content-type".to_owned(), FORM.to_owned());
    }
    if let Some(token) = &key.token {
        headers.insert("x-acs-accesskey-id".to_owned(), key.id.clone());
        headers.insert("x-acs-security-token".to_owned(), token.expose_secret().to_owned());
    }
    let request = Acs3Request { method: "POST", path: "/", query, headers: &headers, payload_sha256: &payload_sha256 };
    let signed = sign_acs3(&request, key.secret.expose_secret());
    let mut builder = http
        .post(with_query(outgoing.base, &canonical_query(query)))
        .header("accept", "application/json")
        .header("authorization", authorization(&key.id, &headers, &signed.signature));
    for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
        builder = builder.header(name, value);
    }
    builder.body(body)
}

fn rpc(
    http: &reqwest::Client,
    outgoing: &Outgoing<'_>,
    key: &AccessKey,
    now: Timestamp,
    nonce: String,
) -> reqwest::RequestBuilder {
    let mut params = outgoing.params.clone();
    let mut set = |name: &str, value: String| params.insert(name.to_owned(), value);
    set("Action", outgoing.action.to_owned());
    set("Version", outgoing.product.version().to_owned());
    set("Format", "json".to_owned());
    set("AccessKeyId", key.id.clone());
    set("SignatureMethod", "HMAC-SHA1".to_owned());
    set("SignatureVersion", "1.0".to_owned());
    set("SignatureNonce", nonce);
    set("Timestamp", seconds_text(now));
    if let Some(token) = &key.token {
        set("SecurityToken", token.expose_secret().to_owned());
    }
    let signed = sign_rpc("POST", &params, key.secret.expose_secret());
    params.insert("Signature".to_owned(), signed.signature);
    let builder = http.post(with_query(outgoing.base, &canonical_query(&params)));
    builder.header("accept", "application/json").body("")
}

/// A form body: encoded as the query, but with a plus for a space.
fn form(params: &Params) -> String {
    canonical_query(params).replace("%20", "+")
}

fn with_query(base: &Url, query: &str) -> Url {
    let mut url = base.clone();
    url.set_query(Some(query).filter(|query| !query.is_empty()));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, text: &str) -> Reply {
        let document: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        let is_document = !document.is_empty();
        Reply { status, retry_after: None, date: None, document, is_document }
    }

    #[test]
    fn refusals_are_read_from_the_documented_forms() {
        let signature = reply(400, include_str!("../../testdata/samples/error.SignatureDoesNotMatch.json"));
        let (code, message) = signature.error().unwrap();
        assert_eq!(code, "SignatureDoesNotMatch");
        assert!(message.contains("server string to sign is:POST&%2F&"));
        assert_eq!(signature.request_id(), "1DD9FD9A-8E57-43E5-B911-E4F5AD2027F7");
        assert_eq!(
            reply(400, include_str!("../../testdata/samples/error.rpc.json")).error().unwrap().0,
            "InvalidParameter"
        );
        assert_eq!(reply(502, "<html>").error().unwrap().0, "HTTP 502");
        assert_eq!(reply(200, r#"{"Success": false, "Code": "Busy"}"#).error().unwrap().0, "Busy");
        assert_eq!(reply(200, r#"{"Success": true, "Code": "200"}"#).error(), None);
    }

    #[test]
    fn a_denial_names_the_action_it_means_and_no_outside_text_steers_a_terminal() {
        let denial = reply(
            403,
            r#"{"Code": "NoPermission\u001b[2J", "AccessDeniedDetail": {"AuthAction": "cen:ListTransitRouters"}}"#,
        );
        assert_eq!(denial.denied_action().unwrap(), "cen:ListTransitRouters");
        assert_eq!(denial.error().unwrap().0, "NoPermission[2J");
        assert_eq!(reply(403, r#"{"Code": "Forbidden.RAM"}"#).denied_action(), None);
    }
}
