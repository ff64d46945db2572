//! Two services of the run loop that only talk to the collector: long-polling the plan, and introducing the agent.

use crate::{backoff::Backoff, chain, clock::Clock, uplink::client::Collector};
use pingtong_evidence::{AgentHello, ClockFact, MetadataFact, Plan, SCHEMA};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// A plan as received.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// This host's clock relative to the collector's, if the collector did not hold the request.
    pub(crate) clock: Option<ClockFact>,
}

/// Passes on every new plan until `stop` is cancelled.
pub(crate) async fn watch_plan(
    collector: Collector,
    clock: Clock,
    plans: mpsc::Sender<Planned>,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::default();
    let mut known = None;
    loop {
        let (asked_at, started) = (crate::clock::wall(), clock.mono());
        let answer = tokio::select! {
            answer = collector.plan(known) => answer,
            () = stop.cancelled() => return,
        };
        let wait = match answer {
            Ok(plan) if plan.schema != SCHEMA => {
                tracing::warn!(schema = plan.schema, "the collector's plan is of another version; upgrade this agent");
                backoff.next()
            }
            Ok(plan) => {
                if backoff.reset() {
                    tracing::info!("the collector answers");
                }
                let took = clock.mono().saturating_sub(started);
                let sample = known.is_none().then(|| crate::uplink::sample(asked_at, took, plan.now));
                let news = known != Some(plan.revision);
                known = Some(plan.revision);
                if news && plans.send(Planned { plan, clock: sample }).await.is_err() {
                    return;
                }
                Duration::ZERO
            }
            Err(error) => {
                // One log line per change of state; the tries in between are logged at debug level.
                if backoff.is_fresh() {
                    tracing::warn!(error = %chain(&error), "no plan; reports are kept and the collector is tried again");
                } else {
                    tracing::debug!(error = %chain(&error), "no plan yet");
                }
                let wait = backoff.next();
                // A collector that was down may have restarted the count of its revisions.
                known = None;
                wait
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Introduces the agent at start and whenever its identity changes.
pub(crate) async fn introduce(
    collector: Collector,
    mut identity: watch::Receiver<Option<MetadataFact>>,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::default();
    loop {
        let metadata = identity.borrow_and_update().clone();
        let hello = AgentHello { schema: SCHEMA, version: env!("CARGO_PKG_VERSION").to_owned(), metadata };
        let answer = tokio::select! {
            answer = collector.hello(&hello) => answer,
            () = stop.cancelled() => return,
        };
        let changed = async {
            if identity.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        match answer {
            Ok(()) => {
                backoff.reset();
                tokio::select! {
                    () = changed => {}
                    () = stop.cancelled() => return,
                }
            }
            Err(error) => {
                if backoff.is_fresh() {
                    tracing::warn!(error = %chain(&error), "not introduced yet; tried again");
                }
                let wait = backoff.next();
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = changed => {}
                    () = stop.cancelled() => return,
                }
            }
        }
    }
}
