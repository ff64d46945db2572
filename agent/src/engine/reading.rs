//! How packets are read: in batches, without waiting, and what each says.
//!
//! A probe's departure is stamped before it leaves, so its stamp is in the error queue before its reply can be in the
//! receive queue. Reading a batch of packets first and the stamps second, and telling the stamps first, therefore tells
//! every departure before the reply to it. Drops are read from the socket after its packets: a counter that comes with
//! a packet says nothing about what was dropped last.

use super::{
    batch::{BATCH, Inbox, Message, Note, Queue},
    sockets::{Event, Lane, Sockets, Tap, Version, drops_of},
};
use crate::clock::{Clock, Pair};
use pingtong_probe::{parse_icmpv6, parse_ipv4, parse_packet};
use std::{collections::BTreeMap, net::Ipv6Addr};

/// `PACKET_HOST` and `PACKET_OUTGOING` of `linux/if_packet.h`, `ARPHRD_LOOPBACK` of `linux/if_arp.h`.
const PACKET_HOST: u8 = 0;
const PACKET_OUTGOING: u8 = 4;
const HARDWARE_LOOPBACK: u16 = 772;

/// What reading a socket needs beside the socket.
struct Post<'a> {
    inbox: &'a mut Inbox,
    errors: &'a mut Inbox,
    packets_max: usize,
    pair: Pair,
    clock: &'a Clock,
    /// Packets read from all sockets.
    read: usize,
}

/// Packets of one reading that are a stream: further ones are worth waiting for. One arrival is seen three times.
const STREAM_PACKETS: usize = 6;
/// Packets of one reading at leisure after which the next one must come sooner: an eighth of what the frames hold.
const CROWD_PACKETS: usize = 1_024;

impl Sockets {
    /// Reads what is there, `packets_max` of each socket at most; true when one may have more.
    pub fn drain(&mut self, clock: &Clock, packets_max: usize, mut take: impl FnMut(Event<'_>)) -> bool {
        let pair = clock.pair(self.pair);
        self.pair = Some(pair);
        let (inbox, errors) = (&mut self.inbox, &mut self.errors);
        let mut post = Post { inbox, errors, packets_max, pair, clock, read: 0 };
        let mut more = self.icmp.drain(self.whole.as_mut().ok(), &mut post, &mut take);
        // Nothing comes to a socket that nothing left by, unless others' requests are looked at.
        let whole_used = self.whole_v6.as_ref().is_ok_and(|lane| lane.used);
        if let Ok(lane) = &mut self.icmpv6
            && (lane.used || whole_used || self.wanted.requests)
        {
            more |= lane.drain(self.whole_v6.as_mut().ok(), &mut post, &mut take);
        }
        if let Ok(tap) = &mut self.tap {
            more |= tap.drain(&mut post, &mut self.names, &mut take);
        }
        self.busy = post.read >= STREAM_PACKETS;
        self.crowded = post.read >= CROWD_PACKETS;
        more
    }
}

impl Lane {
    /// Reads packets; those to what `whole` sent come here too.
    fn drain(&mut self, mut whole: Option<&mut Self>, post: &mut Post<'_>, take: &mut impl FnMut(Event<'_>)) -> bool {
        let mut read = 0;
        loop {
            let wanted = BATCH.min(post.packets_max - read);
            let queue = if self.version == Version::V4 { Queue::Packets } else { Queue::Named };
            let count = post.inbox.receive(&self.fd, queue, wanted).unwrap_or_default();
            self.tell_departures(post, take);
            if let Some(whole) = whole.as_deref_mut() {
                whole.tell_departures(post, take);
            }
            for message in (0..count).filter_map(|index| post.inbox.message(index)) {
                tell_packet(&message, self.version, post, take);
            }
            read += count;
            post.read += count;
            if count < wanted || read == post.packets_max {
                if read > 0 {
                    report_drops(&mut self.drops, drops_of(&self.fd), take);
                }
                return count == wanted;
            }
        }
    }

    fn tell_departures(&mut self, post: &mut Post<'_>, take: &mut impl FnMut(Event<'_>)) {
        self.read_departures(post.errors);
        for (token, stamp) in self.left.drain(..) {
            if let Some(at) = post.pair.mono_of(stamp) {
                take(Event::Left { token, at });
            }
        }
    }

    /// Reads the stamps that are there, whose number the receive buffer bounds.
    pub(super) fn read_departures(&mut self, errors: &mut Inbox) {
        while self.stamping && self.departures.awaited() {
            let count = errors.receive(&self.fd, Queue::Errors, BATCH).unwrap_or_default();
            for message in (0..count).filter_map(|index| errors.message(index)) {
                let (mut stamp, mut key) = (None, None);
                for note in message.notes() {
                    match note {
                        Note::Stamp(at) => stamp = Some(at),
                        Note::Key(number) => key = Some(number),
                        Note::Drops(_) | Note::To(_) => {}
                    }
                }
                if let Some(token) = key.and_then(|key| self.departures.left(key))
                    && let Some(stamp) = stamp
                {
                    self.left.push((token, stamp));
                }
            }
            if count < BATCH {
                break;
            }
        }
    }
}

impl Tap {
    fn drain(
        &mut self,
        post: &mut Post<'_>,
        names: &mut BTreeMap<i32, String>,
        take: &mut impl FnMut(Event<'_>),
    ) -> bool {
        let mut read = 0;
        let more = loop {
            if read == post.packets_max {
                break true;
            }
            let Some(ring) = &mut self.ring else {
                let wanted = BATCH.min(post.packets_max - read);
                let count = post.inbox.receive(&self.fd, Queue::Named, wanted).unwrap_or_default();
                for message in (0..count).filter_map(|index| post.inbox.message(index)) {
                    tell_frame(message.name, message.packet, names, take);
                }
                read += count;
                if count < wanted {
                    break false;
                }
                continue;
            };
            if !ring.take(|name, packet| tell_frame(name, packet, names, take)) {
                break false;
            }
            read += 1;
        };
        post.read += read;
        if read > 0 {
            match self.new_drops() {
                0 => {}
                drops => take(Event::Drops(drops)),
            }
        }
        more
    }
}

fn tell_packet(message: &Message<'_>, version: Version, post: &Post<'_>, take: &mut impl FnMut(Event<'_>)) {
    let (mut stamp, mut to) = (None, Ipv6Addr::UNSPECIFIED);
    for note in message.notes() {
        match note {
            Note::Stamp(at) => stamp = post.pair.mono_of(at),
            Note::To(address) => to = address.into(),
            Note::Key(_) | Note::Drops(_) => {}
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

fn tell_frame(name: &[u8], packet: &[u8], names: &mut BTreeMap<i32, String>, take: &mut impl FnMut(Event<'_>)) {
    // struct sockaddr_ll: family, protocol, interface, hardware type, packet type.
    let Some((index, hardware, kind)) = link_parts(name) else { return };
    let outgoing = match kind {
        _ if hardware == HARDWARE_LOOPBACK => return,
        PACKET_HOST => false,
        PACKET_OUTGOING => true,
        _ => return,
    };
    if let Some(packet) = parse_packet(packet) {
        let interface = names.entry(index).or_insert_with(|| name_of(index));
        take(Event::Wire { packet, interface, outgoing });
    }
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
