//! An unreliable network path to the cloud: middleware that throttles some requests and breaks some connections. Which
//! ones depends only on a seed and the number of the request, so every run with the same seed hits the same requests.

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use fastrand::Rng;
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How often requests fail, and how many have failed so far.
#[derive(Debug)]
pub(super) struct Rough {
    /// How many of a thousand requests are throttled.
    pub(super) throttled_permille: u64,
    /// For how many of a thousand requests the connection breaks while the response is being sent.
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

    /// Draws a number below 1000 for a request; the same in every run with the same seed. Forked, because the first
    /// numbers of neighbouring seeds are correlated.
    fn lot(&self, number: u64) -> u64 {
        Rng::with_seed(self.seed.wrapping_add(number)).fork().u64(..1000)
    }
}

/// The cloud's router with the unreliable path in front of it.
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

/// A response whose connection breaks in the middle of the body.
fn broken() -> Response {
    let pieces = [Ok(Bytes::from_static(b"{\"RequestId\": \"")), Err(std::io::Error::other("the connection breaks"))];
    Response::new(Body::from_stream(futures_util::stream::iter(pieces)))
}
