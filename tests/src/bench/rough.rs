//! A road to the cloud on which some requests are throttled and some connections break.

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How rough the road is, and what happened on it.
#[derive(Debug)]
pub(super) struct Rough {
    /// Requests of a thousand that are throttled.
    pub(super) throttled_permille: u64,
    /// Connections of a thousand requests that break, before or within the answer.
    pub(super) broken_permille: u64,
    seed: u64,
    pub(super) requests: AtomicU64,
    pub(super) throttled: AtomicU64,
    pub(super) broken: AtomicU64,
}

impl Rough {
    pub(super) fn new(seed: u64, throttled_permille: u64, broken_permille: u64) -> Self {
        let (requests, throttled, broken) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { throttled_permille, broken_permille, seed, requests, throttled, broken }
    }

    /// A number below 1000 for each request, the same in every run with the same seed: splitmix64.
    fn lot(&self, number: u64) -> u64 {
        let mut mixed = self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % 1000
    }
}

/// The router with the road before it.
pub(super) fn road(rough: Arc<Rough>, router: Router) -> Router {
    router.layer(from_fn_with_state(rough, pass))
}

async fn pass(State(rough): State<Arc<Rough>>, request: Request, next: Next) -> Response {
    let number = rough.requests.fetch_add(1, Ordering::Relaxed);
    let lot = rough.lot(number);
    if lot < rough.throttled_permille {
        rough.throttled.fetch_add(1, Ordering::Relaxed);
        return throttling();
    }
    let response = next.run(request).await;
    if lot < rough.throttled_permille + rough.broken_permille {
        rough.broken.fetch_add(1, Ordering::Relaxed);
        return broken();
    }
    response
}

fn throttling() -> Response {
    let body = json!({
        "RequestId": "THROTTLED", "HostId": "lab", "Code": "Throttling.User",
        "Message": "Request was denied due to user flow control.",
    });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// An answer whose connection ends in the middle of the body.
fn broken() -> Response {
    let pieces = [Ok(Bytes::from_static(b"{\"RequestId\": \"")), Err(std::io::Error::other("the connection breaks"))];
    Response::new(Body::from_stream(futures_util::stream::iter(pieces)))
}
