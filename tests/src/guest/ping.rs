//! `ping [-c N] [-i S] [-W S] [-s BYTES] [-q] [-n] [-I ADDRESS] [-M do|dont] ADDRESS`: real ICMP, the last lines and
//! exit codes of iputils (0 when anything came back, 1 when nothing did, 2 for mistakes).

#![expect(clippy::disallowed_methods, reason = "a run loop: it reads the clock")]

use super::{Refusal, render};
use crate::plane::checksum;
use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::time::TimeSpec,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    io::Read as _,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

struct Options {
    count: Option<u16>,
    interval: Duration,
    timeout: Duration,
    size: usize,
    quiet: bool,
    source: Option<Ipv4Addr>,
    /// The don't-fragment bit; none leaves it to the kernel.
    whole: Option<bool>,
    target: Ipv4Addr,
}

pub(super) fn run(words: &[String]) -> Result<u8, Refusal> {
    let options = parse(words)?;
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))
        .map_err(|error| Refusal { code: 2, ..Refusal::failed("cannot open an ICMP socket", &error) })?;
    socket
        .set_nonblocking(true)
        .map_err(|error| Refusal { code: 2, ..Refusal::failed("cannot set up the socket", &error) })?;
    if let Some(source) = options.source {
        let bound = socket.bind(&SockAddr::from(SocketAddrV4::new(source, 0)));
        bound.map_err(|error| Refusal { code: 2, ..Refusal::failed("cannot bind", &error) })?;
    }
    if options.whole.is_some() {
        let own = socket.set_header_included_v4(true);
        own.map_err(|error| Refusal { code: 2, ..Refusal::failed("cannot write IP headers", &error) })?;
    }
    Ok(exchange(&options, socket))
}

fn parse(words: &[String]) -> Result<Options, Refusal> {
    let mut options = Options {
        count: None,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        size: 56,
        quiet: false,
        source: None,
        whole: None,
        target: Ipv4Addr::UNSPECIFIED,
    };
    let mut words = words.iter();
    let mut target = None;
    while let Some(word) = words.next() {
        let (flag, glued) = match word.strip_prefix('-') {
            Some(rest) if word.len() > 1 => rest.split_at(1),
            _ => {
                target = Some(word);
                continue;
            }
        };
        if matches!(flag, "q" | "n" | "4") && glued.is_empty() {
            options.quiet |= flag == "q";
            continue;
        }
        let known = ["c", "i", "W", "w", "s", "I", "M"].contains(&flag);
        let value = if glued.is_empty() { words.next().map(String::as_str) } else { Some(glued) };
        let (Some(value), true) = (value, known) else { return Err(Refusal::not_understood(word, "iputils-ping")) };
        let wrong = || Refusal::new(format!("invalid argument: {value:?}"));
        let seconds = || value.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok()).ok_or_else(wrong);
        match flag {
            "c" => options.count = Some(value.parse().map_err(|_| wrong())?),
            "i" => options.interval = seconds()?,
            "W" | "w" => options.timeout = seconds()?,
            "s" => options.size = value.parse().ok().filter(|size| *size <= 65_000).ok_or_else(wrong)?,
            "I" => options.source = Some(value.parse().map_err(|_| wrong())?),
            _ => {
                options.whole = match value {
                    "do" => Some(true),
                    "dont" => Some(false),
                    "want" => None,
                    _ => return Err(wrong()),
                }
            }
        }
    }
    let target = target.ok_or_else(|| Refusal::new("usage: ping [-c N] [-i S] [-W S] [-s BYTES] [-q] ADDRESS"))?;
    options.target = target.parse().map_err(|_| Refusal::new(format!("{target}: Name or service not known")))?;
    Ok(options)
}

fn exchange(options: &Options, mut socket: Socket) -> u8 {
    let identifier = u16::try_from(std::process::id() & 0xffff).unwrap_or(1);
    let to = SockAddr::from(SocketAddrV4::new(options.target, 0));
    let (mut sent, mut received) = (0_u16, 0_u16);
    let mut sent_at = Vec::new();
    let started = Instant::now();
    render::line(&format!("PING {0} ({0}) {1}({2}) bytes of data.", options.target, options.size, options.size + 28));
    let mut buffer = vec![0; 65_536];
    loop {
        let last = options.count.is_some_and(|count| sent >= count);
        if !last {
            sent += 1;
            sent_at.push(Instant::now());
            if let Err(error) = socket.send_to(&packet(options, identifier, sent), &to) {
                render::refusal("ping", &Refusal::failed("sendmsg", &error));
            }
        }
        let finished = options.count.is_some_and(|count| sent >= count);
        let deadline = Instant::now() + if finished { options.timeout } else { options.interval };
        while !(finished && received >= sent) {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                break;
            }
            // A socket's own time-out is as coarse as the kernel's tick.
            let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            let _ = ppoll(&mut polled, Some(TimeSpec::from_duration(rest)), None);
            let Ok(length) = socket.read(&mut buffer) else { continue };
            if let Some((from, sequence)) = reply(&buffer[..length], identifier) {
                received += 1;
                let elapsed = usize::from(sequence).checked_sub(1).and_then(|at| sent_at.get(at)).map(Instant::elapsed);
                if let (Some(spent), false) = (elapsed, options.quiet) {
                    let milliseconds = spent.as_secs_f64() * 1000.0;
                    render::line(&format!(
                        "{} bytes from {from}: icmp_seq={sequence} ttl={} time={milliseconds:.3} ms",
                        options.size + 8,
                        buffer[8],
                    ));
                }
            }
        }
        if finished {
            break;
        }
    }
    let lost = f64::from(sent.saturating_sub(received)) * 100.0 / f64::from(sent.max(1));
    render::line(&format!("\n--- {} ping statistics ---", options.target));
    render::line(&format!(
        "{sent} packets transmitted, {received} received, {lost:.0}% packet loss, time {}ms",
        started.elapsed().as_millis()
    ));
    u8::from(received == 0)
}

fn packet(options: &Options, identifier: u16, sequence: u16) -> Vec<u8> {
    let message = echo(identifier, sequence, options.size);
    let Some(whole) = options.whole else { return message };
    let length = u16::try_from(message.len() + 20).unwrap_or(u16::MAX).to_be_bytes();
    // The kernel fills in identification and checksum, and the source where it is zero.
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, if whole { 0x40 } else { 0 }, 0, 64, 1, 0, 0];
    packet.extend_from_slice(&options.source.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    packet.extend_from_slice(&options.target.octets());
    packet.extend_from_slice(&message);
    packet
}

fn echo(identifier: u16, sequence: u16, size: usize) -> Vec<u8> {
    let mut message = vec![8, 0, 0, 0];
    message.extend_from_slice(&identifier.to_be_bytes());
    message.extend_from_slice(&sequence.to_be_bytes());
    message.resize(8 + size, 0x70);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

fn reply(packet: &[u8], identifier: u16) -> Option<(Ipv4Addr, u16)> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let message = packet.get(header..)?;
    let number = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let from = Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(12..16)?).ok()?);
    (message.first() == Some(&0) && number(4)? == identifier).then_some((from, number(6)?))
}
