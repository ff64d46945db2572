//! Requests for fresh evidence: what each of them still waits for (rounds, host facts, snapshot).
//!
//! It only keeps count. The run loop decides what a request needs, does the work, and reports here what is done.

use pingtong_evidence::RequestTag;
use std::{collections::VecDeque, time::Duration};

/// Maximum number of requests in progress. A further one ends the oldest, whose requester has given up by then.
const JOBS_MAX: usize = 4;
/// Answered requests remembered, so that a plan that still carries one does not start it again.
const REMEMBERED_MAX: usize = 32;
/// Facts are read at most this long after the burst began: late enough that counters show the burst.
const FACTS_DELAY_MAX: Duration = Duration::from_millis(400);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Job {
    tag: RequestTag,
    rounds: usize,
    facts_at: Option<Duration>,
    facts: bool,
    snapshot: bool,
}

/// Requests in progress, and those seen before.
#[derive(Debug, Default)]
pub(crate) struct FreshJobs {
    jobs: Vec<Job>,
    seen: VecDeque<RequestTag>,
}

impl FreshJobs {
    /// Whether `tag` was not seen before; marks it as seen.
    pub(crate) fn is_new(&mut self, tag: &RequestTag) -> bool {
        if self.seen.contains(tag) {
            return false;
        }
        self.seen.push_back(tag.clone());
        if self.seen.len() > REMEMBERED_MAX {
            self.seen.pop_front();
        }
        true
    }

    /// Begins work on `tag`, which needs `rounds` rounds, `lasting` that long, and a snapshot if `snapshot` is true.
    pub(crate) fn begin(&mut self, tag: RequestTag, now: Duration, rounds: usize, lasting: Duration, snapshot: bool) {
        if self.jobs.len() >= JOBS_MAX {
            self.jobs.remove(0);
        }
        let facts_at = Some(now.saturating_add((lasting / 2).min(FACTS_DELAY_MAX)));
        self.jobs.push(Job { tag, rounds, facts_at, facts: false, snapshot: !snapshot });
    }

    pub(crate) fn round_done(&mut self, tag: &RequestTag) {
        if let Some(job) = self.job(tag) {
            job.rounds = job.rounds.saturating_sub(1);
        }
    }

    /// Rounds that a request still waits for; `None` if it is not in progress.
    pub(crate) fn rounds_left(&self, tag: &RequestTag) -> Option<usize> {
        self.jobs.iter().find(|job| job.tag == *tag).map(|job| job.rounds)
    }

    pub(crate) fn facts_done(&mut self, tag: &RequestTag) {
        if let Some(job) = self.job(tag) {
            job.facts = true;
        }
    }

    pub(crate) fn snapshot_done(&mut self, tag: &RequestTag) {
        if let Some(job) = self.job(tag) {
            job.snapshot = true;
        }
    }

    /// A request whose facts are to be read now; each is returned once.
    pub(crate) fn facts_due(&mut self, now: Duration) -> Option<RequestTag> {
        let job = self.jobs.iter_mut().find(|job| job.facts_at.is_some_and(|at| at <= now))?;
        job.facts_at = None;
        Some(job.tag.clone())
    }

    /// A request for which everything is done; it is removed.
    pub(crate) fn finished(&mut self) -> Option<RequestTag> {
        let at = self.jobs.iter().position(|job| job.rounds == 0 && job.facts && job.snapshot)?;
        Some(self.jobs.remove(at).tag)
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.jobs.iter().filter_map(|job| job.facts_at).min()
    }

    fn job(&mut self, tag: &RequestTag) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.tag == *tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_finished_when_all_three_are_there() {
        let (mut jobs, tag) = (FreshJobs::default(), RequestTag::parse("r1").unwrap());
        assert!(jobs.is_new(&tag) && !jobs.is_new(&tag));
        jobs.begin(tag.clone(), Duration::ZERO, 2, Duration::from_secs(2), true);
        assert_eq!(jobs.facts_due(Duration::from_millis(399)), None);
        assert_eq!(jobs.facts_due(Duration::from_millis(400)), Some(tag.clone()));
        assert_eq!(jobs.facts_due(Duration::from_millis(400)), None);
        jobs.round_done(&tag);
        jobs.facts_done(&tag);
        jobs.snapshot_done(&tag);
        assert_eq!(jobs.finished(), None, "one round is missing");
        jobs.round_done(&tag);
        assert_eq!((jobs.finished(), jobs.finished()), (Some(tag), None));
    }
}
