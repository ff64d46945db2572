//! `ping [-c N] [-i S] [-W S] [-w S] [-s BYTES] [-q] [-n] [-I ADDRESS] [-M do|dont] ADDRESS`: sends real ICMP and
//! prints the last lines of iputils. It has the exit codes of iputils: 0 if replies came, 1 if none came or, with `-w`,
//! fewer than `-c` asked for, 2 for wrong usage. ICMP errors are printed with their sender.

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
    /// Time limit for the whole run.
    within: Option<Duration>,
    size: usize,
    quiet: bool,
    source: Option<Ipv4Addr>,
    /// The don't-fragment bit; `None` leaves it to the kernel.
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
        within: None,
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
            "W" => options.timeout = seconds()?,
            "w" => options.within = Some(seconds()?),
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
    let target =
        target.ok_or_else(|| Refusal::new("usage: ping [-c N] [-i S] [-W S] [-w S] [-s BYTES] [-q] ADDRESS"))?;
    options.target = target.parse().map_err(|_| Refusal::new(format!("{target}: Name or service not known")))?;
    Ok(options)
}

fn exchange(options: &Options, mut socket: Socket) -> u8 {
    let identifier = u16::try_from(std::process::id() & 0xffff).unwrap_or(1);
    let to = SockAddr::from(SocketAddrV4::new(options.target, 0));
    let (mut sent, mut received, mut errors) = (0_u16, 0_u16, 0_u16);
    let mut sent_at = Vec::new();
    let started = Instant::now();
    let end = options.within.map(|within| started + within);
    let is_over = || end.is_some_and(|end| Instant::now() >= end);
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
        let deadline = end.map_or(deadline, |end| end.min(deadline));
        while !(finished && received + errors >= sent) {
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                break;
            }
            // A receive time-out of the socket has only the resolution of the kernel's tick.
            let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            let _ = ppoll(&mut polled, Some(TimeSpec::from_duration(rest)), None);
            let Ok(length) = socket.read(&mut buffer) else { continue };
            let line = match heard(&buffer[..length], identifier) {
                Some((from, sequence, Heard::Reply)) => {
                    received += 1;
                    let at = usize::from(sequence).checked_sub(1).and_then(|at| sent_at.get(at));
                    at.map(|at| {
                        let milliseconds = at.elapsed().as_secs_f64() * 1000.0;
                        let (size, ttl) = (options.size + 8, buffer[8]);
                        format!("{size} bytes from {from}: icmp_seq={sequence} ttl={ttl} time={milliseconds:.3} ms")
                    })
                }
                Some((from, sequence, Heard::Error(what))) => {
                    errors += 1;
                    Some(format!("From {from} icmp_seq={sequence} {what}"))
                }
                None => None,
            };
            if let (Some(line), false) = (line, options.quiet) {
                render::line(&line);
            }
        }
        if finished || is_over() {
            break;
        }
    }
    let lost = f64::from(sent.saturating_sub(received)) * 100.0 / f64::from(sent.max(1));
    let failed = if errors == 0 { String::new() } else { format!("+{errors} errors, ") };
    render::line(&format!("\n--- {} ping statistics ---", options.target));
    render::line(&format!(
        "{sent} packets transmitted, {received} received, {failed}{lost:.0}% packet loss, time {}ms",
        started.elapsed().as_millis()
    ));
    let short = options.within.is_some() && options.count.is_some_and(|count| received < count);
    u8::from(received == 0 || short)
}

fn packet(options: &Options, identifier: u16, sequence: u16) -> Vec<u8> {
    let message = echo(identifier, sequence, options.size);
    let Some(whole) = options.whole else { return message };
    let length = u16::try_from(message.len() + 20).unwrap_or(u16::MAX).to_be_bytes();
    // The kernel fills in identification and checksum, and the source if it is zero.
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

/// A response to one of our packets.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Reply,
    /// An ICMP error, with the text that iputils prints.
    Error(String),
}

/// Parses a response to one of our packets: its sender, sequence number and kind. `None` for any other packet.
fn heard(packet: &[u8], identifier: u16) -> Option<(Ipv4Addr, u16, Heard)> {
    let from = Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(12..16)?).ok()?);
    let message = packet.get(usize::from(packet.first()? & 0x0f) * 4..)?;
    let number = |message: &[u8], at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    if message.first() == Some(&0) {
        return (number(message, 4)? == identifier).then_some((from, number(message, 6)?, Heard::Reply));
    }
    let what = match (message.first()?, message.get(1)?) {
        (3, 0) => "Destination Net Unreachable".to_owned(),
        (3, 1) => "Destination Host Unreachable".to_owned(),
        (3, 2) => "Destination Protocol Unreachable".to_owned(),
        (3, 3) => "Destination Port Unreachable".to_owned(),
        (3, 4) => format!("Frag needed and DF set (mtu = {})", number(message, 6)?),
        (3, 9) => "Destination Net Prohibited".to_owned(),
        (3, 10) => "Destination Host Prohibited".to_owned(),
        (3, 13) => "Packet filtered".to_owned(),
        (3, code) => format!("Dest Unreachable, Bad Code: {code}"),
        (11, 0) => "Time to live exceeded".to_owned(),
        (11, _) => "Frag reassembly time exceeded".to_owned(),
        _ => return None,
    };
    let quoted = message.get(8..)?;
    let ours = quoted.get(usize::from(quoted.first()? & 0x0f) * 4..)?;
    let about_us = quoted.get(9) == Some(&1) && ours.first() == Some(&8) && number(ours, 4)? == identifier;
    about_us.then_some((from, number(ours, 6)?, Heard::Error(what)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_ours_when_they_quote_us() {
        let ip = |from: [u8; 4], rest: &[u8]| {
            let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0];
            packet.extend_from_slice(&from);
            packet.extend_from_slice(&[10, 0, 0, 1]);
            packet.extend_from_slice(rest);
            packet
        };
        let mut error = vec![3, 1, 0, 0, 0, 0, 0, 0];
        error.extend_from_slice(&ip([10, 0, 0, 1], &echo(7, 3, 0)));
        let packet = ip([10, 0, 0, 254], &error);
        let what = Heard::Error("Destination Host Unreachable".to_owned());
        assert_eq!(heard(&packet, 7), Some((Ipv4Addr::new(10, 0, 0, 254), 3, what)));
        assert_eq!(heard(&packet, 8), None);
        assert_eq!(heard(&packet[..40], 7), None);
        let mut reply = echo(7, 4, 56);
        reply[0] = 0;
        assert_eq!(heard(&ip([10, 0, 0, 2], &reply), 7), Some((Ipv4Addr::new(10, 0, 0, 2), 4, Heard::Reply)));
        assert_eq!(heard(&ip([10, 0, 0, 2], &echo(7, 4, 56)), 7), None);
    }
}
