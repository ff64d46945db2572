//! The OpenAPI endpoint: one path, GET and POST, all products, told apart by action and version.
//!
//! Parameters come from the query and from a form body; answers and errors have the documented JSON shapes. XML, which
//! the RPC form allows, is not spoken.

use super::{params::Params, service::Cloud, signature::decode_form};
use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::any,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Largest body in bytes; the largest call of the documents, a hundred rules, is a tenth of it.
pub(super) const BODY_MAX: usize = 1 << 20;

/// The wait that flow control asks for, in milliseconds. By this header the SDKs know a throttled call.
const RETRY_AFTER_MS: HeaderValue = HeaderValue::from_static("200");

/// An error as the API answers it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    /// `AccessDeniedDetail` of RAM denials.
    pub(super) denied: Option<Value>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned(), denied: None }
    }
}

/// A request, decoded but not yet trusted.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    /// The id it is answered under.
    pub(super) id: String,
    /// Where it came from, when the server tells.
    pub(super) source: Option<IpAddr>,
    headers: HeaderMap,
    pub(super) body: Bytes,
    /// Query and form together.
    pub(super) params: Params,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// In a header for ACS3, a parameter for RPC.
    pub(super) fn action(&self) -> Option<&str> {
        self.header("x-acs-action").or_else(|| self.params.get("Action"))
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.header("x-acs-version").or_else(|| self.params.get("Version"))
    }
}

/// The endpoint.
pub fn router(cloud: Arc<Cloud>) -> Router {
    Router::new().route("/", any(answer)).layer(DefaultBodyLimit::max(BODY_MAX)).with_state(cloud)
}

async fn answer(
    State(cloud): State<Arc<Cloud>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    source: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request_id = uuid::Uuid::now_v7().to_string().to_uppercase();
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let Ok(body) = body else {
        let message = format!("The request body is larger than {BODY_MAX} bytes or incomplete.");
        return refuse(&Refusal::new(413, "RequestEntityTooLarge", &message), &request_id, &host);
    };
    let query = decode_form(uri.query().unwrap_or_default());
    let mut params = query.clone();
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
    if is_form {
        params.extend(decode_form(&String::from_utf8_lossy(&body)));
    }
    let request = Request {
        method: method.as_str().to_owned(),
        path: uri.path().to_owned(),
        query,
        id: request_id.clone(),
        source: source.map(|axum::Extension(ConnectInfo(source))| source.ip()),
        headers,
        body,
        params: Params::new(params),
    };
    let answer = if matches!(request.method.as_str(), "GET" | "POST") {
        cloud.answer(&request).await
    } else {
        let message = "This http method is not supported.";
        Err(Refusal::new(400, "UnsupportedHTTPMethod", message))
    };
    tracing::debug!(
        api.action = request.action().unwrap_or_default(),
        api.error = answer.as_ref().err().map(|refusal| refusal.code.as_str()),
        request.id = request_id,
        "api call"
    );
    match answer {
        Ok(mut body) => {
            body["RequestId"] = json!(request_id);
            reply(StatusCode::OK, &body)
        }
        Err(refusal) => refuse(&refusal, &request_id, &host),
    }
}

fn refuse(refusal: &Refusal, request_id: &str, host: &str) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = reply(status, &error_body(refusal, request_id, host));
    if refusal.code.starts_with("Throttling") {
        answer.headers_mut().insert("x-acs-retry-after", RETRY_AFTER_MS);
    }
    answer
}

fn error_body(refusal: &Refusal, request_id: &str, host: &str) -> Value {
    let mut body = json!({
        "RequestId": request_id,
        "HostId": host,
        "Code": refusal.code,
        "Message": refusal.message,
        "Recommend": format!("https://error-center.aliyun.com/status/search?Keyword={}&source=PopGw", refusal.code),
    });
    if let Some(denied) = &refusal.denied {
        body["AccessDeniedDetail"] = denied.clone();
    }
    body
}

fn reply(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json;charset=utf-8")], body.to_string()).into_response()
}
