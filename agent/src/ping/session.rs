//! One run of `ping`, independent of the engine: what ends it, what is shown meanwhile, and what is recorded of each
//! probe.

use super::{
    live::Live,
    observe::Observer,
    samples::Samples,
    signals::{Asked, Signals, pause},
    targets::Targets,
};
use crate::clock::Clock;
use pingtong_probe::Sweep;
use std::{io, time::Duration};

/// State of the run.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) clock: Clock,
    pub(super) sweep: Sweep,
    /// Names of the targets; the addresses are in `sweep`.
    pub(super) targets: Targets,
    pub(super) observer: Option<Observer>,
    pub(super) signals: Signals,
    pub(super) live: Option<Live>,
    pub(super) samples: Option<Samples>,
    /// When `--duration` is over, on the monotonic clock.
    pub(super) ends_at: Option<Duration>,
    pub(super) began: Duration,
    /// When the first and the last probe were handed to the kernel.
    pub(super) first_sent: Option<Duration>,
    pub(super) last_sent: Option<Duration>,
    pub(super) interrupted: bool,
    pub(super) ended: bool,
}

impl Session {
    /// Does what is due besides probing.
    ///
    /// # Errors
    /// Fails if the samples cannot be written.
    pub(super) fn tend(&mut self, now: Duration) -> io::Result<()> {
        match self.signals.asked() {
            Some(Asked::End) => self.interrupted = true,
            Some(Asked::Pause) => {
                if let Some(live) = &mut self.live {
                    live.rest();
                }
                pause();
            }
            None => {}
        }
        if !self.ended && self.ends_at.is_some_and(|ends_at| now >= ends_at) {
            self.ended = true;
            self.sweep.finish_sending();
        }
        if let Some(live) = self.live.as_mut().filter(|live| live.is_due(now)) {
            let passed = now.saturating_sub(self.began);
            live.show(now, passed, &self.sweep, &self.targets, self.observer.as_ref());
        }
        self.write_samples()
    }

    /// Writes the samples that were decided since the last call.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub(super) fn write_samples(&mut self) -> io::Result<()> {
        let Some(samples) = &mut self.samples else { return Ok(()) };
        let fates = self.sweep.take_fates();
        samples.write(self.sweep.targets(), &fates)
    }

    /// Whether everything that was requested is done.
    pub(super) fn is_over(&self) -> bool {
        let watching_only = self.observer.is_some() && self.sweep.targets().is_empty();
        self.interrupted || (self.sweep.is_done() && (self.ended || !watching_only))
    }
}
