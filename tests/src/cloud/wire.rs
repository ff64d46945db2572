//! The OpenAPI endpoint: one path for all products, GET and POST. Action and version select the call.
//!
//! Parameters come from the query and from a form body; answers and errors have the documented JSON shapes. XML, which
//! the RPC form allows, is not supported.

use crate::cloud::{
    calls::params::Params, calls::refusal::Refusal, calls::request::Request, http::signature::decode_form,
    service::Cloud,
};
use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::any,
};
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc};

/// Maximum body size in bytes. The largest documented call, one hundred rules, has a tenth of it.
pub(in crate::cloud) const BODY_MAX: usize = 1 << 20;

/// Value of `x-acs-retry-after` in milliseconds. The SDKs recognise a throttled call by this header.
const RETRY_AFTER_MS: HeaderValue = HeaderValue::from_static("200");

/// The HTTP router of the endpoint.
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
