//! Reads packets in batches without blocking, and turns them into events.
//!
//! The packet socket sees a probe leave before its reply can arrive. A batch of packets is read first and the packet
//! socket second, but what the packet socket saw is reported first; so every departure is reported before the reply to
//! it. Drops are read from a socket after its packets: a counter that comes with a packet does not include the latest
//! drops.

use super::{
    batch::{BATCH, Inbox, Message, Note, Queue},
    ring::Frame,
    sockets::{Event, Lane, Sockets, Tap, Version, drops_of},
};
use crate::clock::{Clock, Pair};
use pingtong_probe::{EchoKind, Heard, parse_icmpv6, parse_ipv4, parse_packet};
use std::{collections::BTreeMap, net::Ipv6Addr};

/// `PACKET_HOST` and `PACKET_OUTGOING` of `linux/if_packet.h`, `ARPHRD_LOOPBACK` of `linux/if_arp.h`.
const PACKET_HOST: u8 = 0;
const PACKET_OUTGOING: u8 = 4;
const HARDWARE_LOOPBACK: u16 = 772;

/// What the reads of one drain share.
struct Post<'a> {
    inbox: &'a mut Inbox,
    frames: &'a mut Option<Inbox>,
    names: &'a mut BTreeMap<i32, String>,
    tap: Option<&'a mut Tap>,
    packets_max: usize,
    pair: Pair,
    clock: &'a Clock,
    /// Packets read so far, from all sockets.
    read: usize,
}

/// Packets in one read that count as a stream, so that it pays to wait for more. One arrival is seen three times.
const STREAM_PACKETS: usize = 6;
/// Packets in one batched, low-priority read after which the next must come sooner: an eighth of the frames of an agent
/// that runs permanently.
const CROWD_PACKETS: usize = 512;

impl Sockets {
    /// Reads what is queued, at most `packets_max` per socket; true if a socket may have more.
    pub fn drain(&mut self, clock: &Clock, packets_max: usize, mut take: impl FnMut(Event<'_>)) -> bool {
        let pair = clock.pair(self.pair);
        self.pair = Some(pair);
        let tap = self.tap.as_mut().ok();
        let (inbox, frames, names) = (&mut self.inbox, &mut self.frames, &mut self.names);
        let mut post = Post { inbox, frames, names, tap, packets_max, pair, clock, read: 0 };
        // Replies recorded after this point are left for the next read: the packet socket, which is read before them,
        // may not have shown their arrival yet.
        let until = self.picked_up.as_ref().map_or(0, |(pickup, _)| pickup.records.written());
        let mut more = self.icmp.drain(&mut post, &mut take);
        if let Some((pickup, lane)) = &mut self.picked_up {
            let (read, unread) = pickup.take(until, packets_max, |stamp, packet| {
                let Some(packet) = parse_ipv4(packet) else { return };
                let at = clock.of_kernel(stamp, pair.mono());
                take(Event::Icmp { packet, at: at.unwrap_or(pair.mono()), stamped: at.is_some() });
            });
            post.read += read;
            more |= unread | lane.drain(&mut post, &mut take);
        }
        // Nothing arrives for a socket that sent nothing, unless requests of other hosts are observed.
        let whole_used = self.whole_v6.as_ref().is_ok_and(|lane| lane.used);
        if let Ok(lane) = &mut self.icmpv6
            && (lane.used || whole_used || self.wanted.requests)
        {
            more |= lane.drain(&mut post, &mut take);
        }
        self.busy = post.read >= STREAM_PACKETS;
        self.crowded = post.read >= CROWD_PACKETS;
        more
    }
}

impl Lane {
    fn drain(&mut self, post: &mut Post<'_>, take: &mut impl FnMut(Event<'_>)) -> bool {
        let mut read = 0;
        let mut more = false;
        loop {
            let wanted = BATCH.min(post.packets_max - read);
            let queue = if self.version == Version::V4 { Queue::Packets } else { Queue::Named };
            let count = post.inbox.receive(&self.fd, queue, wanted).unwrap_or_default();
            more |= post.watch(take);
            for message in (0..count).filter_map(|index| post.inbox.message(index)) {
                tell_packet(&message, self.version, post, take);
            }
            read += count;
            post.read += count;
            if count < wanted || read == post.packets_max {
                if read > 0 {
                    report_drops(&mut self.drops, drops_of(&self.fd), take);
                }
                return more || count == wanted;
            }
        }
    }
}

impl Post<'_> {
    /// Reports what the packet socket saw; true if there is more.
    fn watch(&mut self, take: &mut impl FnMut(Event<'_>)) -> bool {
        let Some(tap) = &mut self.tap else { return false };
        let (pair, names) = (self.pair, &mut *self.names);
        let mut tell = |frame: Frame<'_>| tell_frame(&frame, pair, names, take);
        let (read, more) = match &mut tap.ring {
            Some(ring) => {
                let read = (0..self.packets_max).take_while(|_| ring.take(&mut tell)).count();
                (read, read == self.packets_max)
            }
            None => tap.receive(self.frames.get_or_insert_with(Inbox::new), self.packets_max, &mut tell),
        };
        if !tap.observes {
            // Missed departures make times less exact and have no other effect.
            return more;
        }
        self.read += read;
        if read > 0 {
            match tap.new_drops() {
                0 => {}
                drops => take(Event::Drops(drops)),
            }
        }
        more
    }
}

impl Tap {
    /// Reads frames by system calls; returns how many, and whether there are more.
    fn receive(&self, inbox: &mut Inbox, frames_max: usize, tell: &mut impl FnMut(Frame<'_>)) -> (usize, bool) {
        let mut read = 0;
        loop {
            let wanted = BATCH.min(frames_max - read);
            let count = inbox.receive(&self.fd, Queue::Named, wanted).unwrap_or_default();
            for message in (0..count).filter_map(|index| inbox.message(index)) {
                let stamp = message.notes().find_map(|note| if let Note::Stamp(at) = note { Some(at) } else { None });
                tell(Frame { name: message.name, packet: message.packet, stamp: stamp.unwrap_or_default() });
            }
            read += count;
            if count < wanted || read == frames_max {
                return (read, count == wanted);
            }
        }
    }
}

fn tell_packet(message: &Message<'_>, version: Version, post: &Post<'_>, take: &mut impl FnMut(Event<'_>)) {
    let (mut stamp, mut to) = (None, Ipv6Addr::UNSPECIFIED);
    for note in message.notes() {
        match note {
            Note::Stamp(at) => stamp = post.pair.mono_of(at),
            Note::To(address) => to = address.into(),
            Note::Drops(_) => {}
        }
    }
    let packet = match version {
        Version::V4 => parse_ipv4(message.packet),
        Version::V6 => sender_v6(message.name).and_then(|from| parse_icmpv6(from, to, message.packet)),
    };
    let Some(packet) = packet else { return };
    let at = stamp.unwrap_or_else(|| post.clock.mono());
    take(Event::Icmp { packet, at, stamped: stamp.is_some() });
}

fn tell_frame(frame: &Frame<'_>, pair: Pair, names: &mut BTreeMap<i32, String>, take: &mut impl FnMut(Event<'_>)) {
    // struct sockaddr_ll: family, protocol, interface, hardware type, packet type.
    let Some((index, hardware, kind)) = link_parts(frame.name) else { return };
    let outgoing = match kind {
        PACKET_HOST => false,
        PACKET_OUTGOING => true,
        _ => return,
    };
    let Some(packet) = parse_packet(frame.packet) else { return };
    // Loopback traffic neither arrives at this host nor leaves it, so incoming requests and outgoing replies are
    // skipped. The other two still show that a probe was sent and answered.
    let request = matches!(packet, Heard::Echo { kind: EchoKind::Request, .. });
    if hardware == HARDWARE_LOOPBACK && request != outgoing {
        return;
    }
    let interface = names.entry(index).or_insert_with(|| name_of(index));
    take(Event::Wire { packet, interface, outgoing, at: pair.mono_of(frame.stamp) });
}

/// The address of a `sockaddr_in6`: family, port, flow, address.
fn sender_v6(name: &[u8]) -> Option<Ipv6Addr> {
    Some(Ipv6Addr::from(*name.get(8..)?.first_chunk::<16>()?))
}

/// Interface, hardware type and packet type of a `sockaddr_ll`.
fn link_parts(name: &[u8]) -> Option<(i32, u16, u8)> {
    let index = i32::from_ne_bytes(*name.get(4..)?.first_chunk()?);
    let hardware = u16::from_ne_bytes(*name.get(8..)?.first_chunk()?);
    Some((index, hardware, *name.get(10)?))
}

fn report_drops(seen: &mut u32, now: Option<u32>, take: &mut impl FnMut(Event<'_>)) {
    // The kernel's counter is a total that wraps.
    let Some(now) = now else { return };
    let new = now.wrapping_sub(*seen);
    *seen = now;
    if new > 0 {
        take(Event::Drops(u64::from(new)));
    }
}

fn name_of(index: i32) -> String {
    u32::try_from(index)
        .ok()
        .and_then(|index| nix::net::if_::if_indextoname(index).ok())
        .and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| format!("if{index}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_told_once_and_across_the_wrap() {
        let mut seen = u32::MAX - 1;
        let mut told = vec![];
        for now in [None, Some(u32::MAX - 1), Some(1), Some(1)] {
            report_drops(&mut seen, now, &mut |event| told.push(format!("{event:?}")));
        }
        assert_eq!(told, ["Drops(3)"]);
    }

    #[test]
    fn a_link_address_that_is_cut_has_no_parts() {
        let mut name = [0; 20];
        name[4..8].copy_from_slice(&7i32.to_ne_bytes());
        name[8..10].copy_from_slice(&1u16.to_ne_bytes());
        name[10] = PACKET_OUTGOING;
        assert_eq!(link_parts(&name), Some((7, 1, PACKET_OUTGOING)));
        for cut in 0..=10 {
            assert_eq!(link_parts(&name[..cut]), None);
        }
    }

    #[test]
    fn an_interface_that_is_gone_has_a_name_still() {
        assert_eq!(name_of(i32::MAX), format!("if{}", i32::MAX));
        assert_eq!(name_of(-1), "if-1");
    }
}
