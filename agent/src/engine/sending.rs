//! Sends probes in batches, and reports the outcome of each.
//!
//! `sendmmsg` reports an error only if the first message fails; otherwise it returns a short count without the reason.
//! The message at which it stopped is therefore sent alone, so that a refusal gets its errno and a transient failure
//! gets a second try. If the kernel lacks room, that is not a refusal: it says nothing about the network.
//!
//! A small IPv4 probe is sent with an IP header of ours, through the socket for whole packets: the kernel then copies
//! one packet instead of gathering it from parts, which saves a twentieth of the cost of a probe. Packets that may have
//! to be fragmented are sent through the other socket.

use super::{
    batch::{BATCH, FEW, Letter, NUMBER_CONTROL_BYTES, number_control, send},
    sockets::{Lane, Sockets},
};
use nix::errno::Errno;
use pingtong_probe::{IPV4_HEADER_BYTES, ipv4_header};
use std::net::IpAddr;

/// A probe to send.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Destination.
    pub to: IpAddr,
    /// The ICMP message; the kernel fills in the checksum of ICMPv6.
    pub packet: &'a [u8],
    /// Whether it must not be fragmented on the way.
    pub dont_fragment: bool,
    /// TTL or hop limit; the host's default if `None`.
    pub hop_limit: Option<u8>,
}

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// The kernel took it.
    Taken,
    /// The kernel refused it, with this errno.
    Refused(i32),
    /// It was not sent: the kernel had no room, or there is no socket for it.
    NoRoom,
}

/// Bytes of a `sockaddr_in` and of a `sockaddr_in6`.
const NAME4_BYTES: usize = 16;
const NAME6_BYTES: usize = 28;

/// Largest IPv4 packet that every host accepts whole (RFC 791), and that no interface in use needs to fragment.
const UNCUT_BYTES: usize = 576;

/// Room for a header and a probe of the usual size.
const HEADED_BYTES: usize = 128;

/// Memory from which a `Letter` borrows.
#[derive(Debug, Clone, Copy)]
struct Envelope {
    name: [u8; NAME6_BYTES],
    /// An IPv4 header, followed by the packet if that is small: gathering it from two parts costs more than the copy.
    headed: [u8; HEADED_BYTES],
    control: [u8; NUMBER_CONTROL_BYTES],
}

impl Sockets {
    /// Sends probes, and reports the outcome of each by its index in `probes`.
    pub fn send_batch(&mut self, probes: &[Outgoing<'_>], became: &mut impl FnMut(usize, Handed)) {
        let mut first = 0;
        while let Some(probe) = probes.get(first) {
            let headed = self.whole.is_ok();
            let way = |probe: &Outgoing<'_>| (probe.to.is_ipv6(), probe.whole(headed));
            let alike = probes[first..].iter().take(BATCH).take_while(|other| way(other) == way(probe)).count();
            let batch = &probes[first..first + alike];
            let mut tell = |index: usize, handed| became(first + index, handed);
            let lane = match way(probe) {
                (false, false) => Ok(&mut self.icmp),
                (false, true) => self.whole.as_mut().map_err(|_| Handed::NoRoom),
                (true, false) => self.icmpv6.as_mut().map_err(|_| Handed::NoRoom),
                (true, true) => self.whole_v6.as_mut().map_err(|_| Handed::NoRoom),
            };
            match lane {
                Ok(lane) if alike <= FEW => lane.send::<FEW>(batch, &mut tell),
                Ok(lane) => lane.send::<BATCH>(batch, &mut tell),
                Err(handed) => (0..alike).for_each(|index| tell(index, handed)),
            }
            first += alike;
        }
    }
}

impl Outgoing<'_> {
    /// Whether it is sent through the socket for whole packets; `headed` says whether there is one for IPv4.
    fn whole(&self, headed: bool) -> bool {
        let small = headed && self.to.is_ipv4() && IPV4_HEADER_BYTES + self.packet.len() <= UNCUT_BYTES;
        self.dont_fragment || small
    }
}

impl Lane {
    /// Sends a batch of one kind, at most `N` probes.
    fn send<const N: usize>(&mut self, probes: &[Outgoing<'_>], became: &mut impl FnMut(usize, Handed)) {
        self.used = true;
        let mut envelopes = [Envelope::EMPTY; N];
        let mut letters = [Letter::default(); N];
        for ((envelope, letter), probe) in envelopes.iter_mut().zip(&mut letters).zip(probes) {
            self.identification = self.identification.checked_add(1).unwrap_or(1);
            *letter = envelope.letter(probe, self.headed.map(|hop_limit| (self.identification, hop_limit)), self.scope);
        }
        let letters = &letters[..probes.len().min(N)];
        let mut done = 0;
        let mut alone = false;
        while done < letters.len() {
            let end = if alone { done + 1 } else { letters.len() };
            let sent = send::<N>(&self.fd, &letters[done..end]);
            let taken = sent.unwrap_or_default();
            (done..done + taken).for_each(|index| became(index, Handed::Taken));
            done += taken;
            match sent {
                Ok(_) if done == end => alone = false,
                // It stopped at a message without saying why; the next call returns the reason, since that message is
                // its first.
                Ok(_) => alone = true,
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    if is_want_of_room(errno) {
                        return (done..letters.len()).for_each(|index| became(index, Handed::NoRoom));
                    }
                    became(done, Handed::Refused(errno as i32));
                    done += 1;
                    alone = false;
                }
            }
        }
    }
}

impl Envelope {
    const EMPTY: Self = Self { name: [0; NAME6_BYTES], headed: [0; HEADED_BYTES], control: [0; NUMBER_CONTROL_BYTES] };

    /// `headed` holds the identification and the default hop limit of an IPv4 header, if one is to be written.
    fn letter<'a>(&'a mut self, probe: &Outgoing<'a>, headed: Option<(u16, u8)>, scope: u32) -> Letter<'a> {
        let (name, level, kind) = match probe.to {
            IpAddr::V4(to) => {
                self.name[..2].copy_from_slice(&address_family(libc::AF_INET));
                self.name[4..8].copy_from_slice(&to.octets());
                if let Some((identification, usual)) = headed {
                    let limit = probe.hop_limit.unwrap_or(usual);
                    let bytes = ipv4_header(to, identification, limit, probe.dont_fragment);
                    self.headed[..IPV4_HEADER_BYTES].copy_from_slice(&bytes);
                }
                (NAME4_BYTES, libc::SOL_IP, libc::IP_TTL)
            }
            IpAddr::V6(to) => {
                self.name[..2].copy_from_slice(&address_family(libc::AF_INET6));
                self.name[8..24].copy_from_slice(&to.octets());
                if to.is_unicast_link_local() {
                    self.name[24..].copy_from_slice(&scope.to_ne_bytes());
                }
                (NAME6_BYTES, libc::SOL_IPV6, libc::IPV6_HOPLIMIT)
            }
        };
        let limit = probe.hop_limit.filter(|_| headed.is_none());
        if let Some(limit) = limit {
            self.control = number_control(level, kind, i32::from(limit));
        }
        let end = IPV4_HEADER_BYTES + probe.packet.len();
        let (head, body): (&[u8], &[u8]) = match headed {
            None => (&[], probe.packet),
            Some(_) if end > HEADED_BYTES => (&self.headed[..IPV4_HEADER_BYTES], probe.packet),
            Some(_) => {
                self.headed[IPV4_HEADER_BYTES..end].copy_from_slice(probe.packet);
                (&[], &self.headed[..end])
            }
        };
        Letter { head, body, name: &self.name[..name], control: if limit.is_some() { &self.control } else { &[] } }
    }
}

fn address_family(family: i32) -> [u8; 2] {
    u16::try_from(family).unwrap_or_default().to_ne_bytes()
}

fn is_want_of_room(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM)
}
