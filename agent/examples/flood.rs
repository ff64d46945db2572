//! What the sockets of the engine cost, beside what the kernel itself needs for the same probes.
//!
//! `flood kernel 100000 100` sends 100 000 probes to 100 addresses and reads nothing: the floor. `flood engine 100000 100`
//! has the engine send them, read every reply and count; `flood stamped …` has departures stamped too, `flood watch …` is the
//! other side: it watches so many requests arrive. Addresses count up
//! from the third argument (`172.16.0.1` without). Wants `CAP_NET_RAW` and somebody who answers.

#![expect(clippy::print_stdout, reason = "a tool for people who measure")]
#![expect(clippy::disallowed_methods, reason = "it reads the clock to measure")]
#![expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "counts of one run are small")]

use anyhow::Context;
use nix::sys::{
    resource::{UsageWho, getrusage},
    socket::{AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType, SockaddrIn, sendmmsg, socket},
};
use pingtong_agent::{
    clock::Clock,
    engine::{Event, Handed, Outgoing, Sockets},
};
use pingtong_probe::{EchoKind, Heard, echo_request};
use socket2::{SockFilter, SockRef};
use std::{
    io::IoSlice,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

const BATCH: usize = 64;
/// Begins with a number and its complement, whose sum is the same for every number.
const PAYLOAD: [u8; 56] = {
    let mut payload = [0x5a; 56];
    (payload[4], payload[5], payload[6], payload[7]) = (!0x5a, !0x5a, !0x5a, !0x5a);
    payload
};
const IDENTIFIER: u16 = 0x7171;

struct Task {
    probes: usize,
    targets: usize,
    first: IpAddr,
}

impl Task {
    fn target(&self, probe: usize) -> IpAddr {
        let step = (probe % self.targets) as u128;
        match self.first {
            IpAddr::V4(first) => Ipv4Addr::from(u32::from(first) + step as u32).into(),
            IpAddr::V6(first) => Ipv6Addr::from(u128::from(first) + step).into(),
        }
    }

    fn packet(&self, probe: usize) -> Vec<u8> {
        let mut packet = echo_request(IDENTIFIER, (probe & 0xffff) as u16, &PAYLOAD);
        if self.first.is_ipv6() {
            packet[0] = 128;
            packet[2..4].fill(0);
        }
        packet
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, default: &str| arguments.get(index).cloned().unwrap_or_else(|| default.to_owned());
    let mode = argument(0, "engine");
    let task = Task {
        probes: argument(1, "100000").parse()?,
        targets: argument(2, "100").parse()?,
        first: argument(3, "172.16.0.1").parse()?,
    };
    let (started, used) = (Instant::now(), cpu()?);
    let came = match mode.as_str() {
        "kernel" => kernel(&task)?,
        "engine" => engine(&task, false)?,
        "stamped" => engine(&task, true)?,
        "watch" => watch(&task)?,
        other => anyhow::bail!("no such mode: {other}"),
    };
    let (took, cpu) = (started.elapsed(), cpu()?.saturating_sub(used));
    println!(
        "{mode}: {:.1} kpps, {:.2} us CPU a probe; {came}",
        task.probes as f64 / took.as_secs_f64() / 1e3,
        cpu.as_secs_f64() * 1e6 / task.probes as f64
    );
    Ok(())
}

fn kernel(task: &Task) -> anyhow::Result<String> {
    let IpAddr::V4(_) = task.first else { anyhow::bail!("the floor is measured with IPv4") };
    let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Icmp)?;
    SockRef::from(&raw).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)])?;
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let packets: Vec<_> = (0..BATCH).map(|probe| task.packet(probe)).collect();
    let slices: Vec<_> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
    let (mut sent, mut short) = (0, 0);
    while sent < task.probes {
        let names: Vec<_> = (sent..(sent + BATCH).min(task.probes))
            .map(|probe| match task.target(probe) {
                IpAddr::V4(to) => Some(SockaddrIn::from(SocketAddrV4::new(to, 0))),
                IpAddr::V6(_) => None,
            })
            .collect();
        let taken = sendmmsg(raw.as_raw_fd(), &mut headers, &slices, &names, [], MsgFlags::empty())?.count();
        short += usize::from(taken < names.len());
        sent += taken;
    }
    Ok(format!("{short} short counts"))
}

/// Watches until the requests have come and nothing more does.
fn watch(task: &Task) -> anyhow::Result<String> {
    let clock = Clock::start();
    let mut sockets = Sockets::open().context("raw socket")?;
    sockets.stamp_departures(false);
    let (mut came, mut accepted, mut left, mut dropped, mut drains) = (0, 0, 0, 0, 0_u32);
    let mut last = clock.mono();
    while came < task.probes || clock.mono().saturating_sub(last) < Duration::from_millis(200) {
        let before = came;
        sockets.drain(&clock, 1_024, |event| match event {
            Event::Wire { packet: Heard::Echo { kind: EchoKind::Request, .. }, outgoing: false, .. } => came += 1,
            Event::Wire { packet: Heard::Echo { kind: EchoKind::Reply, .. }, outgoing: true, .. } => left += 1,
            Event::Icmp { packet: Heard::Echo { kind: EchoKind::Request, .. }, .. } => accepted += 1,
            Event::Drops(drops) => dropped += drops,
            _ => {}
        });
        drains += 1;
        if came > before {
            last = clock.mono();
        }
        sockets.ready_within(Duration::from_millis(100))?;
    }
    Ok(format!("{came} came, {accepted} let in, {left} replies left, {dropped} own drops, {drains} drains"))
}

#[derive(Default)]
struct Count {
    answered: usize,
    stamped: usize,
    departures: usize,
    dropped: u64,
    refused: usize,
    sum: Duration,
    least: Option<Duration>,
}

fn engine(task: &Task, stamps: bool) -> anyhow::Result<String> {
    let clock = Clock::start();
    let mut sockets = Sockets::open().context("raw socket")?;
    sockets.unobserved();
    sockets.only(IDENTIFIER..=IDENTIFIER);
    sockets.stamp_departures(stamps);
    let window = sockets.window();
    let mut sent_at = vec![Duration::ZERO; task.probes];
    let mut packets: Vec<_> = (0..BATCH).map(|probe| task.packet(probe)).collect();
    let (mut sent, mut last, mut count) = (0, clock.mono(), Count::default());
    while count.answered + count.refused < task.probes && clock.mono().saturating_sub(last) < Duration::from_secs(2) {
        let room = window.saturating_sub(sent - count.answered).min(task.probes - sent).min(BATCH);
        let at = clock.mono();
        for (index, packet) in packets.iter_mut().enumerate().take(room) {
            number(packet, sent + index);
        }
        let probes: Vec<_> = (0..room).map(|index| outgoing(task, sent + index, &packets[index])).collect();
        let mut taken = 0;
        sockets.send_batch(&probes, &mut |index, handed| match handed {
            Handed::Taken => {
                sent_at[sent + index] = at;
                taken += 1;
            }
            Handed::Refused(_) => {
                count.refused += 1;
                taken += 1;
            }
            Handed::NoRoom => {}
        });
        sent += taken;
        let before = count.answered;
        sockets.drain(&clock, 256, |event| count.take(&event, &mut sent_at));
        if count.answered > before {
            last = clock.mono();
        }
        if room == 0 {
            sockets.ready_within(Duration::from_millis(10))?;
        }
    }
    Ok(count.line(sent, window, &format!("{:?}", sockets.stamps())))
}

fn outgoing<'a>(task: &Task, probe: usize, packet: &'a [u8]) -> Outgoing<'a> {
    Outgoing { to: task.target(probe), packet, dont_fragment: false, hop_limit: None }
}

/// Puts the number of the probe into its payload and the checksum, which the payload's first two words keep right.
fn number(packet: &mut [u8], probe: usize) {
    let number = (probe as u32).to_be_bytes();
    let opposite = (!(probe as u32)).to_be_bytes();
    packet[8..12].copy_from_slice(&number);
    packet[12..16].copy_from_slice(&opposite);
}

impl Count {
    fn take(&mut self, event: &Event<'_>, sent_at: &mut [Duration]) {
        match *event {
            Event::Wire {
                packet: Heard::Echo { kind: EchoKind::Request, payload, .. }, outgoing: true, at, ..
            } => {
                let number = payload.first_chunk().map(|number| u32::from_be_bytes(*number) as usize);
                if let Some((sent, at)) = number.and_then(|number| sent_at.get_mut(number)).zip(at) {
                    self.departures += 1;
                    *sent = at;
                }
            }
            Event::Icmp { packet: Heard::Echo { kind: EchoKind::Reply, payload, .. }, at, stamped } => {
                let Some(number) = payload.first_chunk() else { return };
                let Some(sent) = sent_at.get_mut(u32::from_be_bytes(*number) as usize) else { return };
                if *sent == Duration::MAX {
                    return;
                }
                let rtt = at.saturating_sub(std::mem::replace(sent, Duration::MAX));
                self.answered += 1;
                self.stamped += usize::from(stamped);
                self.sum += rtt;
                self.least = Some(self.least.map_or(rtt, |least| least.min(rtt)));
            }
            Event::Drops(drops) => self.dropped += drops,
            Event::Icmp { .. } | Event::Wire { .. } => {}
        }
    }

    fn line(&self, sent: usize, window: usize, stamps: &str) -> String {
        format!(
            "{} of {sent} answered, {} refused, {} stamped, {} departures, {} own drops, RTT min {:.1} mean {:.1} us, window {window}, {stamps}",
            self.answered,
            self.refused,
            self.stamped,
            self.departures,
            self.dropped,
            self.least.unwrap_or_default().as_secs_f64() * 1e6,
            self.sum.as_secs_f64() * 1e6 / self.answered.max(1) as f64,
        )
    }
}

/// User and system time of this process.
fn cpu() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = |time: nix::sys::time::TimeVal| (time.tv_sec() * 1_000_000 + time.tv_usec()).cast_unsigned();
    Ok(Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time())))
}
