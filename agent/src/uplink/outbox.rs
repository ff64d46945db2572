//! Queue of reports between the run loop and the uplink.
//!
//! Reports without a request wait briefly for others, so that a second of steady work is one message, one file of the
//! spool and one HTTP request. A report that answers a request is sent at once, together with those that wait. A crash
//! loses the reports that wait.

use pingtong_evidence::{Report, ReportBody};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a report waits for others. Rounds that began together end within two reads of the sockets, and arrivals of
/// a peer's round are reported a quarter of a second after the last one. The collector evaluates data that is 1.5 s
/// old.
const TOGETHER: Duration = Duration::from_millis(250);
/// This many reports do not wait.
const ENOUGH: usize = 256;

/// Waiting reports, and the queue that they go to.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<Vec<Report>>,
    reports: Vec<Report>,
    due: Option<Duration>,
    dropped: u64,
}

impl Outbox {
    pub(crate) fn new(queue: mpsc::Sender<Vec<Report>>) -> Self {
        Self { queue, reports: vec![], due: None, dropped: 0 }
    }

    /// Takes a report at `now`.
    pub(crate) fn add(&mut self, now: Duration, report: Report) {
        let hurried = is_asked_for(&report.body) || self.reports.len() + 1 >= ENOUGH;
        let due = if hurried { now } else { now.saturating_add(TOGETHER) };
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        self.reports.push(report);
    }

    /// Sends the waiting reports if they are due.
    pub(crate) fn turn(&mut self, now: Duration) {
        if self.due.is_some_and(|due| due <= now) {
            self.flush();
        }
    }

    /// Sends all waiting reports.
    pub(crate) fn flush(&mut self) {
        self.due = None;
        let reports = std::mem::take(&mut self.reports);
        let count = reports.len() as u64;
        if count > 0
            && let Err(error) = self.queue.try_send(reports)
        {
            self.dropped += count;
            tracing::warn!(%error, dropped = self.dropped, "reports are lost: the spool does not keep up");
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.due
    }

    /// Reports lost because the queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Whether a request waits for it.
fn is_asked_for(body: &ReportBody) -> bool {
    match body {
        ReportBody::Probe(round) => round.request.is_some(),
        ReportBody::Host(facts) => facts.request.is_some(),
        ReportBody::Snapshot(snapshot) => snapshot.request.is_some(),
        ReportBody::Health(health) => health.fresh_done.is_some(),
        ReportBody::Arrival(_) | ReportBody::Connections(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{AgentHealth, ReportId, RequestTag, Timestamp};

    fn report(name: &str, tag: Option<&str>) -> Report {
        let fresh_done = tag.map(|tag| RequestTag::parse(tag).unwrap());
        let body = ReportBody::Health(AgentHealth { fresh_done, ..AgentHealth::default() });
        Report { id: ReportId::parse(name).unwrap(), at: Timestamp::from_millis(1), body }
    }

    fn sent(queue: &mut mpsc::Receiver<Vec<Report>>) -> Option<Vec<String>> {
        Some(queue.try_recv().ok()?.iter().map(|report| report.id.to_string()).collect())
    }

    #[test]
    fn what_nobody_asked_for_waits_and_what_is_asked_for_takes_it_along() {
        let (sender, mut queue) = mpsc::channel(4);
        let mut outbox = Outbox::new(sender);
        let at = Duration::from_millis;
        outbox.add(at(1_000), report("a", None));
        outbox.add(at(1_200), report("b", None));
        assert_eq!(outbox.next_deadline(), Some(at(1_250)));
        outbox.turn(at(1_249));
        assert_eq!(sent(&mut queue), None);
        outbox.turn(at(1_250));
        assert_eq!((sent(&mut queue), outbox.next_deadline()), (Some(vec!["a".into(), "b".into()]), None));
        outbox.add(at(2_000), report("c", None));
        outbox.add(at(2_001), report("d", Some("r1")));
        outbox.turn(at(2_001));
        assert_eq!(sent(&mut queue), Some(vec!["c".into(), "d".into()]));
        outbox.turn(at(9_000));
        assert_eq!(sent(&mut queue), None, "nothing is no message");
    }

    #[test]
    fn many_do_not_wait_and_a_full_queue_is_counted() {
        let (sender, mut queue) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        for number in 0..ENOUGH {
            outbox.add(Duration::ZERO, report(&format!("r{number}"), None));
        }
        outbox.turn(Duration::ZERO);
        outbox.add(Duration::ZERO, report("late", None));
        outbox.flush();
        assert_eq!((outbox.dropped(), sent(&mut queue).map(|reports| reports.len())), (1, Some(ENOUGH)));
    }
}
