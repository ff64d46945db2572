//! Signals of `ping`, read like a file between two sends, so that a signal does not kill it before its summary.

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

/// What a user requested by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// To end now, with the summary.
    End,
    /// To be stopped for a while.
    Pause,
}

/// Interrupt, termination and the terminal's stop key, blocked and readable.
#[derive(Debug)]
pub(super) struct Signals(Option<SignalFd>);

impl Signals {
    /// Must be called before other threads start, since they inherit the blocked signals.
    pub(super) fn watch() -> Self {
        let wanted = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGTSTP]);
        let opened = wanted
            .thread_block()
            .and_then(|()| SignalFd::with_flags(&wanted, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC));
        if let Err(error) = &opened {
            tracing::warn!(%error, "an interrupt will end this without a summary");
            let _ = wanted.thread_unblock();
        }
        Self(opened.ok())
    }

    /// What was requested since the last call.
    pub(super) fn asked(&self) -> Option<Asked> {
        let signal = self.0.as_ref()?.read_signal().ok().flatten()?;
        let pause = i32::try_from(signal.ssi_signo) == Ok(Signal::SIGTSTP as i32);
        Some(if pause { Asked::Pause } else { Asked::End })
    }
}

/// Stops this process until it is continued.
pub(super) fn pause() {
    if let Err(error) = nix::sys::signal::raise(Signal::SIGSTOP) {
        tracing::debug!(%error, "cannot stop");
    }
}
