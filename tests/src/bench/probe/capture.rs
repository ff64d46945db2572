//! A packet capture by tcpdump, and what it says of probes: when each request left and its answer came.
//!
//! Reads the file format of `pcap-savefile(5)` with nanoseconds, Ethernet frames, IPv4, ICMP echoes.

use super::measure::Running;
use crate::plane::Namespace;
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

/// Magic of a capture with nanoseconds, in the order of the host that wrote it.
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const FRAME_HEADER: usize = 14;

/// A capture under way.
#[derive(Debug)]
pub(super) struct Capture {
    running: Running,
    file: PathBuf,
}

/// An echo seen.
#[derive(Debug, Clone, Copy)]
struct Echo {
    at_ns: i64,
    request: bool,
    target: Ipv4Addr,
    identifier: u16,
    sequence: u16,
}

/// What became of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct OnWire {
    /// When it passed, in nanoseconds since 1970.
    pub sent_ns: i64,
    /// Nanoseconds until its first answer passed.
    pub rtt_ns: Option<i64>,
}

impl Capture {
    /// Begins to capture echoes on an interface.
    pub(super) fn start(namespace: &Namespace, interface: &str, file: PathBuf) -> Result<Self> {
        let mut command = Command::new("tcpdump");
        command
            .args(["-i", interface, "-s", "64", "-B", "65536", "--time-stamp-precision=nano", "-Z", "root", "-w"])
            .arg(&file)
            .arg("icmp");
        let running = Running::start(namespace, command)?;
        running.until_watching()?;
        Ok(Self { running, file })
    }

    /// Ends it: per target, its requests in the order in which they left.
    pub(super) fn end(self) -> Result<BTreeMap<Ipv4Addr, Vec<OnWire>>> {
        self.running.interrupt()?;
        read(&self.file)
    }
}

fn read(file: &Path) -> Result<BTreeMap<Ipv4Addr, Vec<OnWire>>> {
    let bytes = fs::read(file).with_context(|| format!("cannot read the capture {}", file.display()))?;
    if word(&bytes, 0) != Some(NANOSECONDS) {
        bail!("the capture has no nanoseconds");
    }
    let mut seen: BTreeMap<Ipv4Addr, Vec<OnWire>> = BTreeMap::new();
    // The number has 16 bits and comes again; an answer belongs to the latest request that bore it.
    let mut latest: BTreeMap<(Ipv4Addr, u16, u16), usize> = BTreeMap::new();
    let mut rest = bytes.get(FILE_HEADER..).unwrap_or_default();
    while let (Some(seconds), Some(nanos), Some(length)) = (word(rest, 0), word(rest, 4), word(rest, 8)) {
        let end = RECORD_HEADER + usize::try_from(length)?;
        let Some(frame) = rest.get(RECORD_HEADER..end) else { break };
        rest = &rest[end..];
        let at_ns = i64::from(seconds) * 1_000_000_000 + i64::from(nanos);
        let Some(echo) = echo(frame, at_ns) else { continue };
        let of_target = seen.entry(echo.target).or_default();
        let key = (echo.target, echo.identifier, echo.sequence);
        if echo.request {
            latest.insert(key, of_target.len());
            of_target.push(OnWire { sent_ns: echo.at_ns, rtt_ns: None });
        } else if let Some(request) = latest.get(&key).and_then(|at| of_target.get_mut(*at)) {
            request.rtt_ns.get_or_insert(echo.at_ns - request.sent_ns);
        }
    }
    Ok(seen)
}

fn echo(frame: &[u8], at_ns: i64) -> Option<Echo> {
    let packet = frame.get(FRAME_HEADER..)?;
    let header = usize::from(packet.first()? & 15) * 4;
    let icmp = packet.get(header..)?;
    let request = match icmp.first()? {
        8 => true,
        0 => false,
        _ => return None,
    };
    let target = packet.get(if request { 16..20 } else { 12..16 })?;
    let half = |at: usize| Some(u16::from_be_bytes([*icmp.get(at)?, *icmp.get(at + 1)?]));
    Some(Echo {
        at_ns,
        request,
        target: Ipv4Addr::from(<[u8; 4]>::try_from(target).ok()?),
        identifier: half(4)?,
        sequence: half(6)?,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
