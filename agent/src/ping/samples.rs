//! `--samples FILE`: one line per probe, for comparison with a packet capture.
//!
//! `target,sequence,sent_ns,rtt_ns,what`: the wall clock in nanoseconds since 1970; the round-trip time is empty if
//! there is none. A probe that was given up and answered after all has two lines, of which the last one counts.

#![expect(clippy::disallowed_methods, reason = "turns the monotonic clock into the wall clock that captures show")]

use crate::clock::Clock;
use pingtong_probe::{Fate, What};
use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The file of `--samples`.
#[derive(Debug)]
pub(super) struct Samples {
    out: BufWriter<File>,
    /// The wall clock at the origin of the monotonic one.
    origin: Duration,
}

impl Samples {
    pub(super) fn create(path: &Path, clock: &Clock) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 16, File::create(path)?);
        writeln!(out, "target,sequence,sent_ns,rtt_ns,what")?;
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self { out, origin: system.saturating_sub(clock.mono()) })
    }

    pub(super) fn write(&mut self, targets: &[IpAddr], fates: &[Fate]) -> io::Result<()> {
        for fate in fates {
            let Some(target) = targets.get(fate.target) else { continue };
            let (word, rtt) = match fate.what {
                What::Received(rtt) => ("received", Some(rtt)),
                What::Late(rtt) => ("late", rtt),
                What::Lost => ("lost", None),
                What::Excused => ("undecided", None),
                What::Refused(_) => ("refused", None),
            };
            write!(self.out, "{target},{},", fate.sequence)?;
            if !fate.sent.is_zero() {
                write!(self.out, "{}", (self.origin + fate.sent).as_nanos())?;
            }
            self.out.write_all(b",")?;
            if let Some(rtt) = rtt {
                write!(self.out, "{}", rtt.as_nanos())?;
            }
            writeln!(self.out, ",{word}")?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
