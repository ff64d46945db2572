//! Requests of agents: fetch the plan, introduce themselves, deliver reports.

use super::{
    refusal::Refusal,
    validate::{self, RawBatch},
};
use crate::{clock, credential, server::shared::ServerState, store::AgentRow};
use axum::{
    Json,
    body::Bytes,
    extract::{
        Query, State,
        rejection::{BytesRejection, JsonRejection},
    },
    http::{HeaderMap, StatusCode, header},
};
use pingtong_evidence::{Ack, AgentHello, Plan, ReportBody, ReportId, SCHEMA};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};

/// Longest wait of a long poll in milliseconds; proxies on the path often end a request after a minute.
const WAIT_MS_MAX: u64 = 55_000;

#[derive(Debug, Deserialize)]
pub(super) struct PlanQuery {
    #[serde(default)]
    known: Option<u64>,
    #[serde(default)]
    wait_ms: u64,
}

/// `GET /v1/plan?known=REVISION&wait_ms=N`: the agent's plan; waits while the known revision is the current one.
pub(super) async fn plan(
    State(shared): State<Arc<ServerState>>,
    headers: HeaderMap,
    Query(query): Query<PlanQuery>,
) -> Result<Json<Plan>, Refusal> {
    let agent = authenticate(&shared, &headers).await?;
    let mut revisions = shared.revisions();
    let wait = Duration::from_millis(query.wait_ms.min(WAIT_MS_MAX));
    if query.known == Some(*revisions.borrow_and_update()) {
        tokio::select! {
            _ = revisions.changed() => {}
            () = tokio::time::sleep(wait) => {}
            () = shared.stop.cancelled() => {}
        }
        shared.saw(&agent.id, clock::now());
    }
    if let Some(plan) = shared.plan_of(&agent.id) {
        return Ok(Json(plan));
    }
    // Another process enrolled the agent a moment ago: the roster does not contain it yet.
    shared.refresh().await?;
    shared.plan_of(&agent.id).map(Json).ok_or_else(Refusal::unauthorised)
}

/// `POST /v1/hello`: an agent introduces itself.
pub(super) async fn hello(
    State(shared): State<Arc<ServerState>>,
    headers: HeaderMap,
    body: Result<Json<AgentHello>, JsonRejection>,
) -> Result<StatusCode, Refusal> {
    let agent = authenticate(&shared, &headers).await?;
    let Json(hello) = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text()))?;
    if hello.schema != SCHEMA {
        return Err(Refusal::bad_request(format!("schema {} is not understood, only {SCHEMA}", hello.schema)));
    }
    if let Some(metadata) = &hello.metadata
        && metadata.account != agent.account
    {
        return Err(Refusal::bad_request(format!(
            "the instance belongs to account {}, \"{}\" was enrolled for {}; enroll it for the account that owns the instance",
            metadata.account, agent.id, agent.account
        )));
    }
    // An agent that restarts while its metadata service is unavailable is still on the same instance.
    let known = agent.hello.and_then(|known| known.metadata);
    let hello = AgentHello { metadata: hello.metadata.or(known), ..hello };
    let id = agent.id.clone();
    if shared.keeper.write(move |store| store.keep_hello(&id, &hello, clock::now())).await? {
        tracing::info!(agent.id = %agent.id, "an agent introduced itself");
        shared.refresh().await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/reports`: an agent delivers a batch of reports.
pub(super) async fn reports(
    State(shared): State<Arc<ServerState>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Ack>, Refusal> {
    let agent = authenticate(&shared, &headers).await?;
    let body = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text()))?;
    // The reports are borrowed from the body, and stored as they came.
    let batch: RawBatch<'_> = serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad_request(format!("the batch cannot be read: {error}")))?;
    let planned = shared.planned();
    let sorted = validate::sort(batch, &agent.id, &agent.account, &planned.roster)
        .map_err(|why| Refusal::bad_request(why.to_string()))?;
    for rejected in sorted.rejected.iter().take(3) {
        tracing::warn!(agent.id = %agent.id, report.id = %rejected.id, why = %rejected.why, "a report was refused");
    }
    let accepted = keep(&shared, &agent, sorted.accepted, &planned).await?;
    // Counted last: if the store fails, the agent sends the batch again.
    shared.counters.reports_rejected.inc_by(sorted.rejected.len() as u64);
    Ok(Json(Ack { accepted, rejected: sorted.rejected, now: clock::now() }))
}

async fn keep(
    shared: &ServerState,
    agent: &AgentRow,
    batch: Vec<crate::store::Incoming>,
    planned: &crate::server::shared::Planned,
) -> Result<Vec<ReportId>, Refusal> {
    if batch.is_empty() {
        return Ok(vec![]);
    }
    let batch = Arc::new(batch);
    let (id, to_keep) = (agent.id.clone(), Arc::clone(&batch));
    let kept = shared.keeper.write(move |store| store.keep(&id, &to_keep, clock::now())).await;
    let fresh = kept.inspect_err(|_| {
        shared.counters.keep_failed.inc();
    })?;
    shared.counters.reports_accepted.inc_by(fresh as u64);
    let snapshots = batch.iter().filter_map(|incoming| match &incoming.report.body {
        ReportBody::Snapshot(snapshot) => Some(&**snapshot),
        _ => None,
    });
    if shared.learn_specs(snapshots) {
        shared.refresh().await?;
    }
    shared.note(
        &agent.id,
        batch.iter().map(|incoming| {
            let observed = match &incoming.report.body {
                ReportBody::Probe(round) => planned.roster.has_observer(round),
                _ => false,
            };
            (&incoming.report.body, observed)
        }),
    );
    Ok(batch.iter().map(|incoming| incoming.report.id.clone()).collect())
}

/// The enrolled agent whose credential the request carries.
pub(super) async fn authenticate(shared: &ServerState, headers: &HeaderMap) -> Result<AgentRow, Refusal> {
    let token = credential::bearer(headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()));
    let checked = match token.and_then(credential::agent_and_secret) {
        Some((id, secret)) => {
            let row = shared.keeper.read(move |store| store.agent(&id)).await?;
            credential::matches(row.as_ref(), secret).then_some(row).flatten()
        }
        None => None,
    };
    let Some(agent) = checked else {
        shared.counters.unauthorised.inc();
        return Err(Refusal::unauthorised());
    };
    shared.saw(&agent.id, clock::now());
    Ok(agent)
}
