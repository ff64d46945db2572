//! The path of reports to the collector: first into the spool, and out of it once the collector acknowledges them.
//!
//! One batch is in flight at a time, so that the order is kept. Nothing is dropped while it may still be accepted:
//! missing responses and server errors are retried with backoff. A batch that the collector calls invalid is split
//! until the invalid report is alone, and only that one is dropped and counted.

pub mod client;
pub(crate) mod outbox;
pub(crate) mod plan_watch;
pub mod spool;

use crate::{
    backoff::Backoff,
    chain,
    clock::{Clock, wall},
    uplink::{
        client::{Collector, CollectorError},
        spool::Spool,
    },
};
use pingtong_evidence::{AccountId, Ack, AgentId, ClockFact, InstanceId, Report, ReportId, SCHEMA, Timestamp};
use std::{collections::BTreeSet, future::Future, pin::Pin, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

/// Maximum reports and bytes of one batch; the collector's own limit is larger.
const BATCH_REPORTS_MAX: usize = 256;
const BATCH_BYTES_MAX: u64 = 1 << 20;
/// Groups of reports that may queue between the run loop and the spool. The spool only writes files, so this is seconds
/// of work.
pub(crate) const QUEUE_MAX: usize = 512;
/// How long the last batch may take when the agent ends; what is left stays on disk.
const FAREWELL: Duration = Duration::from_secs(2);
/// A clock sample older than this may be replaced by a less exact one.
const SAMPLE_AGE_MAX: Duration = Duration::from_mins(1);

/// State of the uplink that the run loop reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct UplinkState {
    /// Reports lost since start.
    pub(crate) dropped: u64,
    /// This host's clock relative to the collector's.
    pub(crate) clock: Option<ClockFact>,
}

/// Identity that each batch carries.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) agent: AgentId,
    pub(crate) account: AccountId,
    /// Set once the metadata service has answered.
    pub(crate) instance: watch::Receiver<Option<InstanceId>>,
}

pub(crate) struct Uplink {
    pub(crate) collector: Collector,
    pub(crate) sender: Sender,
    pub(crate) spool: Spool,
    pub(crate) reports: mpsc::Receiver<Vec<Report>>,
    pub(crate) state: watch::Sender<UplinkState>,
    pub(crate) clock: Clock,
}

type Posting = Pin<Box<dyn Future<Output = Posted> + Send>>;

struct Posted {
    ids: Vec<ReportId>,
    asked_at: Timestamp,
    took: Duration,
    result: Result<Ack, CollectorError>,
}

impl Uplink {
    /// Works until the run loop has dropped its end of the queue, then sends what is left.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut retry_at: Option<Instant> = None;
        let mut count_max = BATCH_REPORTS_MAX;
        let mut posting: Option<Posting> = None;
        let mut best: Option<(ClockFact, Duration)> = None;
        if !self.spool.is_empty() {
            tracing::info!(reports = self.spool.len(), "reports of an earlier run wait for the collector");
        }
        loop {
            if posting.is_none() && retry_at.is_none() && !self.spool.is_empty() {
                posting = self.post(count_max);
            }
            let pause = async {
                match retry_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let answer = async {
                match &mut posting {
                    Some(posting) => posting.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                reports = self.reports.recv() => match reports {
                    Some(reports) => self.keep(&reports),
                    None => break,
                },
                () = pause => retry_at = None,
                posted = answer => {
                    posting = None;
                    match self.take(posted, &mut count_max, &mut best) {
                        Ok(()) => {
                            if backoff.reset() {
                                tracing::info!(waiting = self.spool.len(), "the collector is back");
                            }
                        }
                        Err(error) => {
                            let wait = backoff.next();
                            tracing::debug!(error = %chain(&error), ?wait, waiting = self.spool.len(), "reports wait");
                            retry_at = Some(Instant::now() + wait);
                        }
                    }
                }
            }
        }
        self.farewell(posting).await;
    }

    /// Sends what is left, within [`FAREWELL`].
    async fn farewell(mut self, posting: Option<Posting>) {
        let all = async {
            let (mut count_max, mut best) = (BATCH_REPORTS_MAX, None);
            let mut posting = posting;
            loop {
                if posting.is_none() {
                    posting = self.post(count_max);
                }
                let Some(current) = posting.take() else { return };
                let posted = current.await;
                if self.take(posted, &mut count_max, &mut best).is_err() {
                    return;
                }
            }
        };
        if timeout(FAREWELL, all).await.is_err() || !self.spool.is_empty() {
            tracing::info!(waiting = self.spool.len(), "reports stay on disk for the next run");
        }
    }

    fn keep(&mut self, reports: &[Report]) {
        if let Err(error) = self.spool.push(reports) {
            tracing::warn!(%error, reports = reports.len(), "reports stay in memory, the spool directory does not take them");
        }
        self.tell(|_| {});
    }

    fn post(&mut self, count_max: usize) -> Option<Posting> {
        let batch = self.spool.batch(count_max, BATCH_BYTES_MAX);
        if batch.is_empty() {
            return None;
        }
        let (ids, texts): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let body = self.body(&texts)?;
        let (collector, clock, asked_at) = (self.collector.clone(), self.clock, wall());
        Some(Box::pin(async move {
            let started = clock.mono();
            let result = collector.reports(body).await;
            Posted { ids, asked_at, took: clock.mono().saturating_sub(started), result }
        }))
    }

    /// A [`pingtong_evidence::ReportBatch`] whose reports are JSON already.
    fn body(&self, texts: &[String]) -> Option<String> {
        let head = serde_json::json!({
            "schema": SCHEMA,
            "agent": self.sender.agent,
            "instance": *self.sender.instance.borrow(),
            "account": self.sender.account,
        });
        let head = head.to_string();
        Some(format!("{},\"reports\":[{}]}}", head.strip_suffix('}')?, texts.join(",")))
    }

    fn take(
        &mut self,
        posted: Posted,
        count_max: &mut usize,
        best: &mut Option<(ClockFact, Duration)>,
    ) -> Result<(), CollectorError> {
        match posted.result {
            Ok(ack) => {
                for rejected in &ack.rejected {
                    tracing::warn!(report = %rejected.id, why = rejected.why, "the collector refuses a report");
                }
                self.spool.count_dropped(ack.rejected.len() as u64);
                let refused = ack.rejected.into_iter().map(|rejected| rejected.id);
                let done: BTreeSet<ReportId> = ack.accepted.into_iter().chain(refused).collect();
                let progressed = posted.ids.iter().any(|id| done.contains(id));
                self.spool.remove(&done);
                *count_max = BATCH_REPORTS_MAX;
                let sample = sample(posted.asked_at, posted.took, ack.now);
                let at = self.clock.mono();
                if best.is_none_or(|(fact, since)| {
                    sample.error_ms <= fact.error_ms || at.saturating_sub(since) > SAMPLE_AGE_MAX
                }) {
                    *best = Some((sample, at));
                    self.tell(|state| state.clock = Some(sample));
                }
                if progressed {
                    return Ok(());
                }
                // A response that settles nothing would otherwise be followed by the same request at once, without end.
                Err(CollectorError::Status {
                    status: reqwest::StatusCode::OK,
                    text: String::from("none of the reports was acknowledged"),
                })
            }
            Err(CollectorError::Status { status, text }) if matches!(status.as_u16(), 400 | 413 | 415 | 422) => {
                if posted.ids.len() > 1 {
                    *count_max = posted.ids.len() / 2;
                    return Ok(());
                }
                tracing::warn!(%status, text, "the collector cannot read a report, it is dropped");
                self.spool.count_dropped(1);
                self.spool.remove(&posted.ids.into_iter().collect());
                *count_max = BATCH_REPORTS_MAX;
                self.tell(|_| {});
                Ok(())
            }
            Err(error) => {
                if matches!(error, CollectorError::Refused(_)) {
                    tracing::warn!(%error, "reports wait");
                }
                Err(error)
            }
        }
    }

    fn tell(&self, change: impl FnOnce(&mut UplinkState)) {
        let dropped = self.spool.dropped();
        self.state.send_modify(|state| {
            state.dropped = dropped;
            change(state);
        });
    }
}

/// Clock of this host minus that of the collector, assuming that the response was made halfway.
pub(crate) fn sample(asked_at: Timestamp, took: Duration, collector: Timestamp) -> ClockFact {
    let half = i64::try_from(took.as_millis() / 2).unwrap_or(i64::MAX);
    ClockFact {
        offset_ms: asked_at.as_millis().saturating_add(half).saturating_sub(collector.as_millis()),
        error_ms: half.saturating_add(1),
    }
}
