//! A request for fresh evidence to the agents and accounts of some links, for a user or for the watch.

use crate::{
    clock,
    evidence::{history, question},
    server::{gathering::Gathering, shared::ServerState},
    store::StoreError,
};
use pingtong_evidence::{AgentId, IdError, LinkId, Pair, PlanLoad, RequestTag};
use pingtong_verdict::{Bundle, Configurations};
use std::{collections::BTreeSet, time::Duration};

/// Milliseconds in which the probes of a single pair are sent; a caller's `wait_ms` covers this much.
const REQUEST_MS_USUAL: u64 = 1_600;
/// Age above which configuration that nobody reads for the request says nothing about the present.
const READ_BEFORE_MAX: Duration = Duration::from_mins(10);

/// The tag of a new request.
///
/// # Errors
/// Never: the text of a UUID is an id.
pub(crate) fn tag() -> Result<RequestTag, IdError> {
    RequestTag::parse(&uuid::Uuid::now_v7().to_string())
}

/// Whether the probes of some pair met a change in their middle, so that they show less than another request would.
pub(crate) fn is_changing(bundle: &Bundle) -> bool {
    bundle.questions(&mut Configurations::default()).any(|question| pingtong_verdict::is_changing(&question))
}

/// Asks the agents of these pairs for fresh evidence once, and reads the configuration of `more` links beside theirs.
/// Returns the evidence, and the links on which the probes exceeded their budget and some were lost. The caller holds
/// `one_at_a_time`.
///
/// # Errors
/// If the store cannot be read or written.
pub(crate) async fn ask(
    shared: &ServerState,
    tag: RequestTag,
    pairs: &[Pair],
    more: &BTreeSet<LinkId>,
    load: Option<(AgentId, PlanLoad)>,
    wait_ms: u64,
) -> Result<(Bundle, Vec<LinkId>), StoreError> {
    let planned = shared.planned();
    let of_pairs = pairs.iter().map(|pair| pair.link.id.clone());
    let links: BTreeSet<LinkId> = of_pairs.chain(more.iter().cloned()).collect();
    let asked: BTreeSet<_> = links.iter().flat_map(|link| planned.roster.agents_of(link)).collect();
    let asked_at = clock::now();
    let agents: Vec<_> = asked.iter().cloned().collect();
    shared.ask(Gathering::new(tag.clone(), asked), &agents, load).await?;
    let expected: Vec<_> = shared.settings.links.iter().filter(|expected| links.contains(&expected.link.id)).collect();
    // Agents of links with many pairs need more time to stay within the budget than agents of a single pair.
    let took_ms = links.iter().filter_map(|link| planned.allotment.request_ms.get(link)).max().copied();
    let wait_ms = wait_ms + took_ms.unwrap_or(0).saturating_sub(REQUEST_MS_USUAL);
    let (read, ()) = tokio::join!(
        shared.read_granted(&expected, Some(&tag), Duration::from_millis(wait_ms)),
        shared.await_gathering(wait_ms),
    );
    let silent = shared.end_gathering().map(|gathering| gathering.silent()).unwrap_or_default();
    read?;
    tracing::info!(
        pairs = pairs.len(),
        agents.asked = agents.len(),
        agents.silent = silent.len(),
        "fresh evidence is in"
    );
    let (mut links, mut overloaded) = (vec![], vec![]);
    for expected in expected {
        let link = expected.link.id.clone();
        let (tag, agents) = (tag.clone(), planned.roster.agents_of(&link));
        let (settle_ms, wanted) = (shared.settings.settle_ms, expected.link.clone());
        let asked_of: Vec<_> = pairs.iter().filter(|pair| pair.link.id == link).cloned().collect();
        let mut evidence = shared
            .keeper
            .read(move |store| {
                let mut evidence = store.evidence_of_request(&wanted.id, &tag, &agents)?;
                if agents.is_empty() {
                    // Nobody there answers; what was read last has to do where the collector does not read itself.
                    let latest = question::latest(store, &wanted, asked_at)?;
                    let recent = latest.into_iter().filter(|read| asked_at.since(read.finished_at) < READ_BEFORE_MAX);
                    evidence.snapshots.extend(recent);
                }
                question::add_handed_over(store, &wanted, &mut evidence)?;
                question::choose(&wanted, &mut evidence);
                question::add_history(store, &mut evidence, asked_at, settle_ms)?;
                history::add(store, asked_of.iter(), &mut evidence)?;
                let before = history::began(&evidence).unwrap_or(asked_at);
                evidence.earlier.extend(history::usual(store, &wanted.id, before)?);
                Ok(evidence)
            })
            .await?;
        question::measure(&link, &planned.roster, &planned.allotment, &mut evidence);
        let bandwidth = shared.planned().allotment.budgets.get(&link).map_or(u64::MAX, |now| now.bandwidth.bits_per_s);
        if question::is_overloaded(&evidence, bandwidth) {
            overloaded.push(link.clone());
        }
        links.push((link, evidence));
    }
    let asked: Vec<_> = pairs.iter().map(|pair| question::context(pair, &planned.roster)).collect();
    let about = (asked_at, shared.settings.settle_ms);
    let evidence = question::join(links, &asked, &planned.roster, &silent, about);
    Ok((Bundle::new(evidence, asked), overloaded))
}
