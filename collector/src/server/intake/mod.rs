//! The HTTP interface: what agents report and what commands ask for.
//!
//! Decides who may send what. Error answers carry text that is safe to show and says what to do; internal causes go to
//! the log only. Bodies, waits and counts are bounded.

mod agents;
mod operators;
mod refusal;
pub(crate) mod validate;

pub(crate) use operators::{SnapshotsReply, SnapshotsRequest, VerifyRequest};
pub(crate) use refusal::RefusalBody;

use crate::server::shared::ServerState;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use std::sync::Arc;

/// Maximum number of bytes of one request; a snapshot of a large account is well below it.
const BODY_BYTES_MAX: usize = 8 << 20;

/// Builds the router with all routes.
pub(crate) fn router(shared: Arc<ServerState>) -> Router {
    Router::new()
        .route("/v1/plan", get(agents::plan))
        .route("/v1/hello", post(agents::hello))
        .route("/v1/reports", post(agents::reports))
        .route("/v1/verify", post(operators::verify))
        .route("/v1/snapshots", post(operators::snapshots))
        .route("/v1/verdicts", get(operators::verdicts))
        .route("/metrics", get(operators::metrics))
        .route("/healthz", get(operators::healthz))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}
