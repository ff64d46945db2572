//! One run of the pinger, whatever engine moves its packets: what ends it, what is shown meanwhile, what is written
//! down of each probe.

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

/// The run.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) clock: Clock,
    pub(super) sweep: Sweep,
    /// The names; the addresses are the sweep's.
    pub(super) targets: Targets,
    pub(super) observer: Option<Observer>,
    pub(super) signals: Signals,
    pub(super) live: Option<Live>,
    pub(super) samples: Option<Samples>,
    /// When `--duration` is over.
    pub(super) ends_at: Option<Duration>,
    pub(super) began: Duration,
    /// When the first and the last probe were handed to the kernel.
    pub(super) first_sent: Option<Duration>,
    pub(super) last_sent: Option<Duration>,
    pub(super) interrupted: bool,
    pub(super) ended: bool,
}

impl Session {
    /// What is due beside probing.
    ///
    /// # Errors
    /// When what is to be written cannot be.
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

    /// Writes down what was decided.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write_samples(&mut self) -> io::Result<()> {
        let Some(samples) = &mut self.samples else { return Ok(()) };
        let fates = self.sweep.take_fates();
        samples.write(self.sweep.targets(), &fates)
    }

    /// Whether all is done that was asked for.
    pub(super) fn is_over(&self) -> bool {
        let watching_only = self.observer.is_some() && self.sweep.targets().is_empty();
        self.interrupted || (self.sweep.is_done() && (self.ended || !watching_only))
    }
}
