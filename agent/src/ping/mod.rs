//! `pingtong-agent ping`: the engine as a stand-alone tool in the manner of fping.
//!
//! [`pingtong_probe::Sweep`] decides what is counted, and when. This I/O layer provides clock, sockets and terminal.
//! Raw sockets make it exact. Where they are not permitted, surge-ping replaces them, and the report says so.

mod help;
mod live;
mod observe;
mod portable;
mod raw;
mod report;
mod samples;
mod session;
mod signals;
mod targets;

pub use help::{completions, man};

use crate::{
    Exit, Lang, chain,
    cli::{PingArgs, Usage, WantedStamps},
    clock::Clock,
    engine::{CAPABILITY_ADVICE, NoSockets, Portable, Sockets, Stamps, portable::WINDOW},
    privilege,
};
use anyhow::{Context as _, bail};
use live::Live;
use nix::errno::Errno;
use observe::Observer;
use pingtong_evidence::AgentId;
use pingtong_probe::{AgentHash, NonceKey, Sweep, SweepSettings};
use samples::Samples;
use session::Session;
use signals::Signals;
use std::{io::IsTerminal as _, net::IpAddr, time::Duration};
use targets::{Family, Targets};
use tokio::runtime::Runtime;

/// Default probes per second over all targets.
const RATE_PPS: u32 = 10_000;
/// Bytes of an ICMP header.
const ICMP_HEADER_BYTES: usize = 8;
/// Default interval between two probes to one target.
const PERIOD: Duration = Duration::from_secs(1);

/// There is no way to probe, so nothing can be determined.
#[derive(Debug, thiserror::Error)]
#[error("cannot probe: {0}")]
pub struct NoEngine(String);

/// Runs to the end and prints the result.
///
/// # Errors
/// Fails if the command line is wrong, nothing can be probed, or output cannot be written.
pub fn ping(
    args: &PingArgs,
    sockets: Result<Sockets, Errno>,
    clock: Clock,
    json: bool,
    lang: Lang,
) -> anyhow::Result<Exit> {
    let draw = Draw::new()?;
    let identifier = draw.identifier();
    let mut sockets = match sockets {
        Ok(sockets) => Ok(prepared(sockets, args, identifier)?),
        Err(errno) => Err(errno),
    };
    if let Err(error) = privilege::drop_all_but_listing() {
        tracing::debug!(%error, "capabilities are kept");
    }
    let mut targets = targets(args)?;
    if let Some(scope) = &targets.scope {
        let sockets = sockets.as_mut().map_err(|errno| {
            let what = format!("link-local addresses need raw sockets: {}", errno.desc());
            NoEngine(format!("{what}; allow them with \"{CAPABILITY_ADVICE}\""))
        })?;
        sockets.scope(scope.index);
    }
    // This must precede the start of other threads, since they inherit the blocked signals.
    let signals = Signals::watch();
    let mut mover = Mover::of(sockets, args, lang)?;
    let settings = settings(args, std::mem::take(&mut targets.addresses), &mover, &draw)?;
    let samples = args
        .samples
        .as_deref()
        .map(|path| Samples::create(path, &clock).with_context(|| format!("cannot write \"{}\"", path.display())));
    let shows = !json && !args.quiet && std::io::stdout().is_terminal();
    let began = clock.mono();
    let mut session = Session {
        clock,
        sweep: Sweep::new(settings),
        targets,
        observer: args.observe.then(Observer::default),
        signals,
        live: shows.then(|| Live::start(lang)).flatten(),
        samples: samples.transpose()?,
        ends_at: args.duration.map(|duration| began + duration.0),
        began,
        first_sent: None,
        last_sent: None,
        interrupted: false,
        ended: false,
    };
    let ran = match &mut mover {
        Mover::Raw(sockets) => raw::run(&mut session, sockets, args.ttl),
        Mover::Portable(both) => {
            let (runtime, portable) = &mut **both;
            runtime.block_on(portable::run(&mut session, portable, identifier, args.timeout.0))
        }
    };
    if let Some(live) = session.live.take() {
        live.end();
    }
    ran?;
    session.write_samples()?;
    if let Some(samples) = session.samples.take() {
        samples.finish()?;
    }
    report::print(&session, mover.described(), json, args.quiet, lang)?;
    Ok(report::exit_of(&session))
}

/// What sends and receives packets.
enum Mover {
    Raw(Box<Sockets>),
    Portable(Box<(Runtime, Portable)>),
}

impl Mover {
    fn of(sockets: Result<Sockets, Errno>, args: &PingArgs, lang: Lang) -> anyhow::Result<Self> {
        match sockets {
            Ok(sockets) => Ok(Self::Raw(Box::new(sockets))),
            Err(errno) if args.interface.is_some() || args.source.is_some() => {
                bail!(NoEngine(format!(
                    "--interface and --source need raw sockets: {}; allow them with \"{CAPABILITY_ADVICE}\"",
                    errno.desc()
                )))
            }
            Err(errno) if args.observe => {
                bail!("arrivals cannot be observed: {}; allow it with \"{CAPABILITY_ADVICE}\"", errno.desc())
            }
            Err(errno) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                match runtime.block_on(async { Portable::open() }) {
                    Ok(portable) => {
                        let what = lang.pick(
                            "不允许使用原始套接字，改用 surge-ping：时间精度约 1 毫秒，看不到迟到、重复和 ICMP 错误",
                            "raw sockets are not permitted, surge-ping stands in: times to about 1 ms, no late answers, no duplicates, no ICMP errors",
                        );
                        crate::render::aside(&format!("{what} ({}); {CAPABILITY_ADVICE}", errno.desc()));
                        Ok(Self::Portable(Box::new((runtime, portable))))
                    }
                    Err(error) => bail!(NoEngine(NoSockets::new(errno, &error).to_string())),
                }
            }
        }
    }

    fn window(&self, packet_bytes: usize) -> usize {
        match self {
            Self::Raw(sockets) => sockets.window_of(packet_bytes),
            Self::Portable(_) => WINDOW,
        }
    }

    fn stamps_departures(&self) -> bool {
        matches!(self, Self::Raw(sockets) if sockets.stamps() == Stamps::TxAndRx)
    }

    fn described(&self) -> report::Engine {
        match self {
            Self::Raw(sockets) => {
                let (timestamps, accuracy_us) = match sockets.stamps() {
                    Stamps::TxAndRx => ("kernel-tx-rx", None),
                    Stamps::RxOnly => ("kernel-rx", Some(1_000)),
                    Stamps::None => ("user", Some(10_000)),
                };
                let replies = if sockets.picks_up() { "picked-up" } else { "queued" };
                report::Engine { name: "raw", timestamps, replies, accuracy_us }
            }
            Self::Portable(_) => {
                report::Engine { name: "portable", timestamps: "user", replies: "queued", accuracy_us: Some(1_000) }
            }
        }
    }
}

fn targets(args: &PingArgs) -> anyhow::Result<Targets> {
    let family = match (args.ipv4, args.ipv6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    };
    let targets = targets::read(&args.target, &args.targets, family).map_err(Usage)?;
    if let (Some(address), None, None) = (targets.unscoped, &targets.scope, &args.interface) {
        bail!(Usage(format!("{address} is link-local: say by which interface, such as {address}%eth0 or -I eth0")));
    }
    if let (Some(scope), Some(bound)) = (&targets.scope, &args.interface)
        && nix::net::if_::if_nametoindex(bound.as_str()).ok() != Some(scope.index)
    {
        bail!(Usage(format!("-I {bound} binds all probes, and a target asks for {}; give one of both", scope.name)));
    }
    if targets.addresses.is_empty() && !args.observe {
        bail!(Usage(String::from("no target: give an address, a name, a CIDR block, or --targets FILE")));
    }
    Ok(targets)
}

/// Configures the sockets as requested, while the process has the capabilities.
fn prepared(mut sockets: Sockets, args: &PingArgs, identifier: u16) -> anyhow::Result<Sockets> {
    if !args.observe {
        sockets.unobserved();
    }
    sockets
        .leave_by(args.interface.as_deref(), args.source)
        .map_err(|error| Usage(format!("probes cannot leave by that interface or from that address: {error}")))?;
    sockets.stamp_departures(args.stamps() == WantedStamps::Both);
    sockets.only(identifier..=identifier);
    if args.rate == Some(0) {
        sockets.hurry(&(identifier..=identifier));
    }
    Ok(sockets)
}

/// Random bytes for what has to differ in every run.
struct Draw([u8; 54]);

impl Draw {
    fn new() -> anyhow::Result<Self> {
        let mut random = [0; 54];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random numbers for the probes: {error}"))?;
        Ok(Self(random))
    }

    fn identifier(&self) -> u16 {
        u16::from_be_bytes([self.0[52], self.0[53]])
    }
}

fn settings(args: &PingArgs, targets: Vec<IpAddr>, mover: &Mover, draw: &Draw) -> anyhow::Result<SweepSettings> {
    let (key, rest) = draw.0.split_at(32);
    let number = |at: usize| rest[at..at + 8].iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    let key: [u8; 32] = key.try_into()?;
    let rate_pps = args.rate.unwrap_or(RATE_PPS);
    let usual = if rate_pps == 0 { Duration::ZERO } else { PERIOD };
    Ok(SweepSettings {
        targets,
        count: args.count(),
        period: args.period.map_or(usual, |period| period.0),
        rate_pps,
        timeout: args.timeout.0,
        window: mover.window(ICMP_HEADER_BYTES + usize::try_from(args.size)?),
        payload_bytes: usize::try_from(args.size)?,
        agent: AgentHash::of(&AgentId::parse("local").map_err(|error| anyhow::anyhow!(chain(&error)))?),
        identifier: draw.identifier(),
        run: u32::from_be_bytes([rest[16], rest[17], rest[18], rest[19]]),
        seed: number(0),
        key: NonceKey::from_bytes(key),
        stamps_departures: mover.stamps_departures(),
        keeps_fates: args.samples.is_some(),
    })
}
