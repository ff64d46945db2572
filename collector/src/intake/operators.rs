//! What people and their tools ask and bring: fresh evidence, snapshots, history, health, metrics. All but `/healthz` need
//! the admin token.

use super::{refusal::Refusal, validate};
use crate::{
    board::{Board, Counters},
    clock, credential,
    gathering::Gathering,
    history, judge, metrics,
    roster::Roster,
};
use axum::{
    Json,
    extract::{Query, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
};
use pingtong_evidence::{AgentId, LinkId, Pair, PlanLoad, RequestTag, SCHEMA, Snapshot};
use pingtong_verdict::Question;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Longest time to wait for fresh evidence.
const WAIT_MS_MAX: u64 = 120_000;
const VERDICTS_MAX: u32 = 1000;
/// Milliseconds in which the probes of a single pair are sent: what a caller's patience is meant for.
const REQUEST_MS_USUAL: u64 = 1_600;

/// Body of `POST /v1/verify`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct VerifyRequest {
    /// A pair's id, or a link's, or the beginning of a pair's; none for every pair.
    #[serde(default)]
    pub(crate) pair: Option<String>,
    /// How long to wait for agents that do not answer.
    pub(crate) wait_ms: u64,
    /// Whether to load the path too: of exactly one pair, whose link permits it.
    #[serde(default)]
    pub(crate) load: bool,
}

/// Its answer: everything that each verdict follows from, so that whoever asked can keep it and decide it again.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct QuestionsReply {
    /// Format version.
    pub(crate) schema: u32,
    /// One for each pair, by pair id.
    pub(crate) questions: Vec<Question>,
}

/// `POST /v1/verify`.
pub(super) async fn verify(
    State(board): State<Arc<Board>>,
    headers: HeaderMap,
    body: Result<Json<VerifyRequest>, JsonRejection>,
) -> Result<Json<QuestionsReply>, Refusal> {
    authorise(&board, &headers)?;
    let Json(request) = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text()))?;
    let _turn = board.one_at_a_time.lock().await;
    board.refresh().await?;
    let planned = board.planned();
    let pairs = wanted_pairs(&board, request.pair.as_deref())?;
    if pairs.iter().all(|pair| planned.roster.agents_of(&pair.link.id).is_empty()) {
        return Err(Refusal::new(StatusCode::CONFLICT, nothing_enrolled(&board)));
    }
    let load = if request.load { Some(load_of(&board, &pairs)?) } else { None };
    Counters::add(&board.counters.verifications, 1);
    let wait_ms = request.wait_ms.min(WAIT_MS_MAX);
    let (mut questions, overloaded) = ask(&board, &pairs, load.clone(), wait_ms).await?;
    if !overloaded.is_empty() {
        // What was learned of their bandwidth meanwhile is in the plan now.
        tracing::warn!(links = ?overloaded, "probes took more than their budget and some were lost; asking once more");
        (questions, _) = ask(&board, &pairs, load, wait_ms).await?;
    }
    questions.sort_by(|one, other| one.pair.id.cmp(&other.pair.id));
    Ok(Json(QuestionsReply { schema: SCHEMA, questions }))
}

/// Asks the agents of these pairs for fresh evidence once; the questions, and links on which the probes took more than they
/// may and were lost.
async fn ask(
    board: &Board,
    pairs: &[Pair],
    load: Option<(AgentId, PlanLoad)>,
    wait_ms: u64,
) -> Result<(Vec<Question>, Vec<LinkId>), Refusal> {
    let planned = board.planned();
    let links: BTreeSet<LinkId> = pairs.iter().map(|pair| pair.link.id.clone()).collect();
    let asked: BTreeSet<_> = links.iter().flat_map(|link| planned.roster.agents_of(link)).collect();
    let asked_at = clock::now();
    let tag = RequestTag::parse(&uuid::Uuid::now_v7().to_string())
        .map_err(|error| Refusal::bad_request(error.to_string()))?;
    let agents: Vec<_> = asked.iter().cloned().collect();
    board.ask(Gathering::new(tag.clone(), asked), &agents, load).await?;
    let expected: Vec<_> = board.settings.links.iter().filter(|expected| links.contains(&expected.link.id)).collect();
    // Agents of crowded links need more time for their budget than those of a single pair.
    let took_ms = links.iter().filter_map(|link| planned.allotment.request_ms.get(link)).max().copied();
    let wait_ms = wait_ms + took_ms.unwrap_or(0).saturating_sub(REQUEST_MS_USUAL);
    let (read, ()) = tokio::join!(
        board.read_granted(&expected, Some(&tag), Duration::from_millis(wait_ms)),
        board.await_gathering(wait_ms),
    );
    let silent = board.end_gathering().map(|gathering| gathering.silent()).unwrap_or_default();
    read?;
    tracing::info!(
        pairs = pairs.len(),
        agents.asked = agents.len(),
        agents.silent = silent.len(),
        "fresh evidence is in"
    );
    let (mut questions, mut overloaded) = (vec![], vec![]);
    for expected in expected {
        let link = expected.link.id.clone();
        let (tag, agents) = (tag.clone(), planned.roster.agents_of(&link));
        let (settle_ms, wanted) = (board.settings.settle_ms, expected.link.clone());
        let of_link: Vec<_> = pairs.iter().filter(|pair| pair.link.id == link).cloned().collect();
        let asked_of = of_link.clone();
        let mut evidence = board
            .keeper
            .read(move |store| {
                let mut evidence = store.evidence_of_request(&wanted.id, &tag, &agents)?;
                judge::add_handed_over(store, &wanted, &mut evidence)?;
                judge::choose(&wanted, &mut evidence);
                judge::add_history(store, &mut evidence, asked_at, settle_ms)?;
                history::add(store, asked_of.iter(), &mut evidence)?;
                let before = history::began(&evidence).unwrap_or(asked_at);
                evidence.earlier.extend(history::usual(store, &wanted.id, before)?);
                Ok(evidence)
            })
            .await?;
        judge::measure(&link, &planned, &mut evidence);
        let bandwidth = board.planned().allotment.budgets.get(&link).map_or(u64::MAX, |now| now.bandwidth.bits_per_s);
        if judge::is_overloaded(&evidence, bandwidth) {
            overloaded.push(link.clone());
        }
        questions.extend(
            of_link.iter().map(|pair| judge::question(pair, &planned.roster, &evidence, &silent, asked_at, settle_ms)),
        );
    }
    Ok((questions, overloaded))
}

/// The load of the one pair that was asked for.
fn load_of(board: &Board, pairs: &[Pair]) -> Result<(AgentId, PlanLoad), Refusal> {
    let [pair] = pairs else {
        let known: Vec<&str> = pairs.iter().take(20).map(|pair| pair.id.as_str()).collect();
        return Err(Refusal::bad_request(format!("a load is of one pair; name it: {}", known.join(", "))));
    };
    let link = &pair.link.id;
    let limit = board.settings.links.iter().find(|expected| expected.link.id == *link).and_then(|link| link.load);
    let limit = limit.ok_or_else(|| {
        let error = format!("the settings permit no load of link \"{link}\"; give its [[link]] a load_mbit");
        Refusal::new(StatusCode::FORBIDDEN, error)
    })?;
    let (sender, load) = Roster::load_of(pair, limit).map_err(Refusal::bad_request)?;
    tracing::warn!(agent.id = %sender, peer.addr = %load.address, mbit = load.mbit, seconds = load.seconds, "a load of the path is asked for");
    Ok((sender, load))
}

/// Body of `POST /v1/snapshots`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotsRequest {
    /// Format version.
    pub(crate) schema: u32,
    /// What to keep.
    pub(crate) snapshots: Vec<Snapshot>,
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotsReply {
    /// Format version.
    pub(crate) schema: u32,
    /// How many are kept now.
    pub(crate) kept: usize,
}

/// `POST /v1/snapshots`: configuration that an operator read; it counts where nobody else reads the account.
pub(super) async fn snapshots(
    State(board): State<Arc<Board>>,
    headers: HeaderMap,
    body: Result<Json<SnapshotsRequest>, JsonRejection>,
) -> Result<Json<SnapshotsReply>, Refusal> {
    authorise(&board, &headers)?;
    let Json(request) = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text()))?;
    if request.schema != SCHEMA {
        return Err(Refusal::bad_request(format!("schema {} is not understood, only {SCHEMA}", request.schema)));
    }
    for snapshot in &request.snapshots {
        validate::handed_over(snapshot, &board.settings.links).map_err(Refusal::bad_request)?;
    }
    let kept = request.snapshots.len();
    for snapshot in &request.snapshots {
        let (account, region, gaps) = (&snapshot.account, &snapshot.region, snapshot.gaps.len());
        tracing::info!(account.id = %account, region.id = %region, gaps, "an operator hands over a snapshot");
    }
    let snapshots = request.snapshots;
    board.keeper.write(move |store| store.keep_handed_over(snapshots, clock::now())).await?;
    Ok(Json(SnapshotsReply { schema: SCHEMA, kept }))
}

fn wanted_pairs(board: &Board, wanted: Option<&str>) -> Result<Vec<Pair>, Refusal> {
    let planned = board.planned();
    if planned.agents.is_empty() || planned.roster.pairs.is_empty() {
        return Err(Refusal::new(StatusCode::CONFLICT, nothing_enrolled(board)));
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

/// Says which enrolments are missing.
fn nothing_enrolled(board: &Board) -> String {
    let links = board.settings.links.iter().map(|expected| {
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

/// `GET /v1/verdicts?count=N`: the latest changes of state, the latest first.
pub(super) async fn verdicts(
    State(board): State<Arc<Board>>,
    headers: HeaderMap,
    Query(query): Query<VerdictsQuery>,
) -> Result<Json<Value>, Refusal> {
    authorise(&board, &headers)?;
    let count = query.count.unwrap_or(50).min(VERDICTS_MAX);
    let rows = board.keeper.read(move |store| store.verdicts(count)).await?;
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
pub(super) async fn healthz(State(board): State<Arc<Board>>) -> Result<&'static str, Refusal> {
    board.keeper.write(|store| store.word("plan-revision")).await?;
    Ok("ok\n")
}

/// `GET /metrics` in the text form of Prometheus.
pub(super) async fn metrics(State(board): State<Arc<Board>>, headers: HeaderMap) -> Result<String, Refusal> {
    authorise(&board, &headers)?;
    Ok(metrics::text(&board, clock::now()))
}

fn authorise(board: &Board, headers: &HeaderMap) -> Result<(), Refusal> {
    let token = credential::bearer(headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()));
    if token.is_some_and(|token| board.admin.is(token)) {
        return Ok(());
    }
    Counters::add(&board.counters.unauthorised, 1);
    let error = "the admin token is not valid here; use the file admin-token of this collector's data directory";
    Err(Refusal::new(StatusCode::UNAUTHORIZED, error))
}
