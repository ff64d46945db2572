//! Requests of operators and their tools: fresh evidence, snapshots, history, health, metrics. All but `/healthz` need
//! the admin token.

use super::{refusal::Refusal, validate};
use crate::{
    clock, credential,
    plan::roster::Roster,
    server::{fresh, metrics, shared::ServerState},
    settings::ExpectedLink,
};
use axum::{
    Json,
    extract::{Query, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use pingtong_evidence::{AgentId, Pair, PlanLoad, SCHEMA, Snapshot};
use pingtong_verdict::{Ask, Bundle};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// Longest wait for fresh evidence in milliseconds.
const WAIT_MS_MAX: u64 = 120_000;
const VERDICTS_MAX: u32 = 1000;

/// Body of `POST /v1/verify`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct VerifyRequest {
    /// ID of a pair or of a link, or the beginning of a pair's ID; `None` for every pair.
    #[serde(default)]
    pub(crate) pair: Option<String>,
    /// Milliseconds to wait for agents that do not answer.
    pub(crate) wait_ms: u64,
    /// Whether to send a load too; then the request must select exactly one pair, and its link must permit a load.
    #[serde(default)]
    pub(crate) load: bool,
}

/// `POST /v1/verify`: gathers fresh evidence. The answer is everything that each verdict follows from, so that the caller
/// can save it and diagnose it again.
pub(super) async fn verify(
    State(shared): State<Arc<ServerState>>,
    headers: HeaderMap,
    body: Result<Json<VerifyRequest>, JsonRejection>,
) -> Result<Json<Bundle>, Refusal> {
    authorise(&shared, &headers)?;
    let Json(request) = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text()))?;
    let _turn = shared.one_at_a_time.lock().await;
    shared.refresh().await?;
    let planned = shared.planned();
    let pairs = wanted_pairs(&shared, request.pair.as_deref())?;
    if pairs.iter().all(|pair| planned.roster.agents_of(&pair.link.id).is_empty()) {
        return Err(Refusal::new(StatusCode::CONFLICT, nothing_enrolled(&shared)));
    }
    let load = if request.load { Some(load_of(&shared, &pairs)?) } else { None };
    shared.counters.verifications.inc();
    let wait_ms = request.wait_ms.min(WAIT_MS_MAX);
    let expectations = whole_expectations(&shared, request.pair.as_deref());
    let more = expectations.iter().filter_map(|ask| Some(ask.link.as_ref()?.id.clone())).collect();
    let tag = || fresh::tag().map_err(|error| Refusal::bad_request(error.to_string()));
    let (mut bundle, overloaded) = fresh::ask(&shared, tag()?, &pairs, &more, load.clone(), wait_ms).await?;
    let is_changing = fresh::is_changing(&bundle);
    if is_changing {
        tracing::info!("something changed while the pairs were probed; asking once more");
    }
    if !overloaded.is_empty() {
        // The plan now takes into account what was learned of their bandwidth meanwhile.
        tracing::warn!(links = ?overloaded, "probes took more than their budget and some were lost; asking once more");
    }
    if is_changing || !overloaded.is_empty() {
        let (again, _) = fresh::ask(&shared, tag()?, &pairs, &more, load, wait_ms).await?;
        // The rounds before show what changed and when; losses that their own load made show nothing.
        let before = if is_changing { bundle.evidence.probes } else { vec![] };
        bundle = again;
        bundle.evidence.earlier.extend(before);
    }
    Ok(Json(bundle.expecting(expectations)))
}

/// The expectations that a request is about as a whole: all of them, or those of a link that it names.
fn whole_expectations(shared: &ServerState, wanted: Option<&str>) -> Vec<Ask> {
    let links = shared.settings.links.iter().filter(|of| wanted.is_none_or(|wanted| of.link.id.as_str() == wanted));
    links.flat_map(ExpectedLink::asks).collect()
}

/// The load for the one pair of the request, and the agent that sends it.
fn load_of(shared: &ServerState, pairs: &[Pair]) -> Result<(AgentId, PlanLoad), Refusal> {
    let [pair] = pairs else {
        let known: Vec<&str> = pairs.iter().take(20).map(|pair| pair.id.as_str()).collect();
        return Err(Refusal::bad_request(format!("a load is of one pair; name it: {}", known.join(", "))));
    };
    let link = &pair.link.id;
    let limit = shared.settings.links.iter().find(|expected| expected.link.id == *link).and_then(|link| link.load);
    let limit = limit.ok_or_else(|| {
        let error = format!("the settings permit no load of link \"{link}\"; give its [[link]] a load_mbit");
        Refusal::new(StatusCode::FORBIDDEN, error)
    })?;
    let (sender, load) = Roster::load_of(pair, limit).map_err(|why| Refusal::bad_request(why.to_string()))?;
    tracing::warn!(agent.id = %sender, peer.addr = %load.address, mbit = load.mbit, seconds = load.seconds, "a load of the path is asked for");
    Ok((sender, load))
}

/// Body of `POST /v1/snapshots`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotsRequest {
    /// Format version.
    pub(crate) schema: u32,
    /// Snapshots to store.
    pub(crate) snapshots: Vec<Snapshot>,
}

/// Answer of `POST /v1/snapshots`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotsReply {
    /// Format version.
    pub(crate) schema: u32,
    /// Number of snapshots stored.
    pub(crate) kept: usize,
}

/// `POST /v1/snapshots`: configuration that an operator read. It counts only where nothing else reads the account.
pub(super) async fn snapshots(
    State(shared): State<Arc<ServerState>>,
    headers: HeaderMap,
    body: Result<Json<SnapshotsRequest>, JsonRejection>,
) -> Result<Json<SnapshotsReply>, Refusal> {
    authorise(&shared, &headers)?;
    let Json(request) = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text()))?;
    if request.schema != SCHEMA {
        return Err(Refusal::bad_request(format!("schema {} is not understood, only {SCHEMA}", request.schema)));
    }
    for snapshot in &request.snapshots {
        validate::handed_over(snapshot, &shared.settings.links).map_err(|why| Refusal::bad_request(why.to_string()))?;
    }
    let kept = request.snapshots.len();
    for snapshot in &request.snapshots {
        let (account, region, gaps) = (&snapshot.account, &snapshot.region, snapshot.gaps.len());
        tracing::info!(account.id = %account, region.id = %region, gaps, "an operator hands over a snapshot");
    }
    let snapshots = request.snapshots;
    shared.keeper.write(move |store| store.keep_handed_over(snapshots, clock::now())).await?;
    Ok(Json(SnapshotsReply { schema: SCHEMA, kept }))
}

fn wanted_pairs(shared: &ServerState, wanted: Option<&str>) -> Result<Vec<Pair>, Refusal> {
    let planned = shared.planned();
    if planned.agents.is_empty() || planned.roster.pairs.is_empty() {
        return Err(Refusal::new(StatusCode::CONFLICT, nothing_enrolled(shared)));
    }
    let all = planned.roster.pairs.values();
    let Some(wanted) = wanted else { return Ok(all.cloned().collect()) };
    if let Some(pair) = all.clone().find(|pair| pair.id.as_str() == wanted) {
        return Ok(vec![pair.clone()]);
    }
    let found: Vec<Pair> = all
        .clone()
        .filter(|pair| pair.link.id.as_str() == wanted || pair.id.as_str().starts_with(wanted))
        .cloned()
        .collect();
    if found.is_empty() {
        let known: Vec<&str> = all.take(20).map(|pair| pair.id.as_str()).collect();
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("no pair or link is named \"{wanted}\"; there are: {}", known.join(", ")),
        ));
    }
    Ok(found)
}

/// Error text that names the missing enrolments.
fn nothing_enrolled(shared: &ServerState) -> String {
    let links = shared.settings.links.iter().map(|expected| {
        let (initiator, acceptor) = (&expected.link.initiator, &expected.link.acceptor);
        format!("link \"{}\" joins accounts {} and {}", expected.link.id, initiator.account, acceptor.account)
    });
    format!(
        "no agent is known on any host of the expectations ({}); run \"pingtong enroll --name NAME --account ID --instance i-…\" \
         for an instance on each side, give each its agent.toml, and start \"pingtong-agent run\" there",
        links.collect::<Vec<_>>().join("; ")
    )
}

#[derive(Debug, Deserialize)]
pub(super) struct VerdictsQuery {
    #[serde(default)]
    count: Option<u32>,
}

/// `GET /v1/verdicts?count=N`: the latest changes of state, newest first.
pub(super) async fn verdicts(
    State(shared): State<Arc<ServerState>>,
    headers: HeaderMap,
    Query(query): Query<VerdictsQuery>,
) -> Result<Json<Value>, Refusal> {
    authorise(&shared, &headers)?;
    let count = query.count.unwrap_or(50).min(VERDICTS_MAX);
    let rows = shared.keeper.read(move |store| store.verdicts(count)).await?;
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|row| {
            let verdict: Value = serde_json::from_str(&row.body).unwrap_or_default();
            json!({"link": row.link, "pair": row.pair, "at": row.at, "state": row.state, "verdict": verdict})
        })
        .collect();
    Ok(Json(json!({"schema": SCHEMA, "verdicts": rows})))
}

/// `GET /healthz`: whether the store answers.
pub(super) async fn healthz(State(shared): State<Arc<ServerState>>) -> Result<&'static str, Refusal> {
    shared.keeper.write(|store| store.word("plan-revision")).await?;
    Ok("ok\n")
}

/// `GET /metrics`: metrics in the text format of OpenMetrics.
pub(super) async fn metrics(
    State(shared): State<Arc<ServerState>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Refusal> {
    authorise(&shared, &headers)?;
    let readings = metrics::Readings { states: shared.states(), seen: shared.seen(), now: clock::now() };
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text(&shared.counters, readings)))
}

fn authorise(shared: &ServerState, headers: &HeaderMap) -> Result<(), Refusal> {
    let token = credential::bearer(headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()));
    if token.is_some_and(|token| credential::is(&shared.admin, token)) {
        return Ok(());
    }
    shared.counters.unauthorised.inc();
    let error = "the admin token is not valid here; use the file admin-token of this collector's data directory";
    Err(Refusal::new(StatusCode::UNAUTHORIZED, error))
}
