//! Netlink messages over one blocking socket: route, netfilter and generic netlink.
//!
//! `netlink-packet-route` encodes and decodes route netlink. The attributes of the other two are encoded here: most
//! nftables expressions that the lab uses (`ct`, `nat`, `limit`, `reject`) are in no typed crate yet. This module knows
//! the framing (`linux/netlink.h`) but not what the messages mean. Attribute numbers are defined where they are used.

use netlink_packet_core::{NetlinkSerializable as _, ParseableParametrized as _};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr};
use std::io;

/// `NLM_F_REQUEST`.
pub const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`.
pub const ACK: u16 = 0x4;
/// `NLM_F_DUMP`.
pub const DUMP: u16 = 0x300;
/// `NLM_F_CREATE`.
pub const CREATE: u16 = 0x400;
/// `NLM_F_EXCL`.
pub const EXCL: u16 = 0x200;
/// `NLM_F_REPLACE`.
pub const REPLACE: u16 = 0x100;
/// `NLM_F_APPEND`.
pub const APPEND: u16 = 0x800;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const NESTED: u16 = 0x8000;
const HEADER: usize = 16;

/// `NFNL_SUBSYS_NFTABLES`, as the upper byte of a message's type.
pub const NFTABLES: u16 = 10 << 8;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// A list of attributes under construction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Appends an attribute with these bytes.
    #[must_use]
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.push(kind, value);
        self
    }

    /// Appends a native-endian number, as route netlink uses.
    #[must_use]
    pub fn u32(self, kind: u16, value: u32) -> Self {
        self.with(kind, &value.to_ne_bytes())
    }

    /// Appends a number in network byte order, as netfilter uses.
    #[must_use]
    pub fn be32(self, kind: u16, value: u32) -> Self {
        self.with(kind, &value.to_be_bytes())
    }

    /// Appends a text with its terminating zero.
    #[must_use]
    pub fn text(mut self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.push(kind, &bytes);
        self
    }

    /// Appends attributes inside an attribute.
    #[must_use]
    pub fn nest(mut self, kind: u16, inner: &Attributes) -> Self {
        self.push(kind | NESTED, &inner.0);
        self
    }

    /// Appends attributes inside an attribute without the nested flag, which some kernel interfaces do not expect.
    #[must_use]
    pub fn nest_unmarked(mut self, kind: u16, inner: &Attributes) -> Self {
        self.push(kind, &inner.0);
        self
    }

    fn push(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        while !self.0.len().is_multiple_of(4) {
            self.0.push(0);
        }
    }
}

/// A message; its length and sequence number are added when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Message type.
    pub kind: u16,
    /// Flags in addition to `NLM_F_REQUEST`.
    pub flags: u16,
    /// Family header and attributes.
    pub body: Vec<u8>,
}

impl Message {
    /// A message of family header and attributes.
    pub fn new(kind: u16, flags: u16, header: &[u8], attributes: &Attributes) -> Self {
        let mut body = header.to_vec();
        body.extend_from_slice(&attributes.0);
        Self { kind, flags, body }
    }

    /// A message of route netlink.
    pub fn route(message: &RouteNetlinkMessage, flags: u16) -> Self {
        let mut body = vec![0; message.buffer_len()];
        message.serialize(&mut body);
        Self { kind: message.message_type(), flags, body }
    }

    /// A netfilter message for a family (`NFPROTO_…`).
    pub fn netfilter(kind: u16, flags: u16, family: u8, attributes: &Attributes) -> Self {
        Self::new(NFTABLES | kind, flags, &[family, 0, 0, 0], attributes)
    }

    fn write(&self, sequence: u32, extra: u16, out: &mut Vec<u8>) {
        let length = u32::try_from(HEADER + self.body.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_ne_bytes());
        out.extend_from_slice(&self.kind.to_ne_bytes());
        out.extend_from_slice(&(self.flags | REQUEST | extra).to_ne_bytes());
        out.extend_from_slice(&sequence.to_ne_bytes());
        out.extend_from_slice(&0_u32.to_ne_bytes());
        out.extend_from_slice(&self.body);
        while !out.len().is_multiple_of(4) {
            out.push(0);
        }
    }
}

/// An answer: type and body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Message type.
    pub kind: u16,
    /// Family header and attributes.
    pub body: Vec<u8>,
}

/// A netlink socket in the calling thread's network namespace.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Route netlink: links, addresses, routes, rules, neighbours.
    pub fn route() -> io::Result<Self> {
        Self::open(0)
    }

    /// Netfilter netlink: nftables.
    pub fn netfilter() -> io::Result<Self> {
        Self::open(12)
    }

    /// Generic netlink.
    pub fn generic() -> io::Result<Self> {
        Self::open(16)
    }

    fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_cap_ack(true)?;
        socket.set_rx_buf_sz(1_i32 << 20)?;
        // A transaction is sent as one message; the kernel limits this size to `wmem_max`.
        let _ = socket2::SockRef::from(&socket).set_send_buffer_size(8 << 20);
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends one request and waits until the kernel has executed it.
    pub fn request(&mut self, message: &Message) -> io::Result<()> {
        self.talk(message, ACK).map(drop)
    }

    /// Sends one question and returns the answers.
    pub fn ask(&mut self, message: &Message) -> io::Result<Vec<Answer>> {
        let extra = if message.flags & DUMP == DUMP { 0 } else { ACK };
        self.talk(message, extra)
    }

    /// Sends one question of route netlink and decodes the answers.
    pub fn ask_route(&mut self, message: &RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        let answers = self.ask(&Message::route(message, flags))?;
        let decoded = answers.iter().map(|each| RouteNetlinkMessage::parse_with_param(&each.body, each.kind));
        decoded.collect::<Result<_, _>>().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn talk(&mut self, message: &Message, extra: u16) -> io::Result<Vec<Answer>> {
        self.sequence += 1;
        let mut bytes = Vec::with_capacity(HEADER + message.body.len() + 4);
        message.write(self.sequence, extra, &mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            for frame in frames(&bytes) {
                if frame.sequence != self.sequence {
                    continue;
                }
                match frame.kind {
                    ERROR => return error_of(frame.body).map(|()| answers),
                    DONE => return Ok(answers),
                    kind => answers.push(Answer { kind, body: frame.body.to_vec() }),
                }
            }
        }
    }

    /// Sends an nftables transaction, which takes effect as a whole or not at all. The error holds the index of the
    /// refused message.
    pub fn transaction(&mut self, messages: &[Message]) -> Result<(), (usize, io::Error)> {
        let Some(last) = messages.len().checked_sub(1) else { return Ok(()) };
        let edge = |kind| Message { kind, flags: 0, body: vec![0, 0, 0, 10] }; // resource id: nftables, network order
        let first = self.sequence + 2;
        let mut bytes = Vec::new();
        edge(BATCH_BEGIN).write(first - 1, 0, &mut bytes);
        let mut sequence = first;
        for (at, message) in messages.iter().enumerate() {
            // One acknowledgement is enough; a thousand would overflow the receive buffer.
            message.write(sequence, if at == last { ACK } else { 0 }, &mut bytes);
            sequence += 1;
        }
        edge(BATCH_END).write(sequence, 0, &mut bytes);
        self.sequence = sequence;
        self.socket.send(&bytes, 0).map_err(|error| (0, error))?;
        loop {
            let (bytes, _) = self.socket.recv_from_full().map_err(|error| (0, error))?;
            for frame in frames(&bytes) {
                if frame.kind != ERROR || frame.sequence + 1 < first {
                    continue;
                }
                let at = frame.sequence.saturating_sub(first) as usize;
                error_of(frame.body).map_err(|error| (at, error))?;
                if at == last {
                    return Ok(());
                }
            }
        }
    }
}

struct Frame<'a> {
    kind: u16,
    sequence: u32,
    body: &'a [u8],
}

fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind), Some(sequence)) = (u32_at(bytes, 0), u16_at(bytes, 4), u32_at(bytes, 8)) {
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else { break };
        found.push(Frame { kind, sequence, body });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn error_of(body: &[u8]) -> io::Result<()> {
    match u32_at(body, 0).map_or(0, u32::cast_signed) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(-code)),
    }
}

/// The attributes in a byte string; the flag bits are removed from their kinds.
pub fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (u16_at(bytes, 0), u16_at(bytes, 2)) {
        let length = usize::from(length);
        let Some(value) = bytes.get(4..length) else { break };
        found.push((kind & 0x3fff, value));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

/// The first attribute of a kind.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).into_iter().find(|(k, _)| *k == kind).map(|(_, value)| value)
}

/// The text of an attribute without its terminating zero.
pub fn text_of(value: &[u8]) -> String {
    String::from_utf8_lossy(value).trim_end_matches('\0').to_owned()
}

/// The native-endian `u32` at an offset.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The native-endian `u16` at an offset.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_read_back_as_written() {
        let inner = Attributes::new().be32(7, 0xdead_beef);
        let outer = Attributes::new().text(1, "eth0").nest(2, &inner).u32(3, 9);
        let read = attributes(outer.bytes());
        assert_eq!(read.len(), 3);
        assert_eq!(text_of(read[0].1), "eth0");
        assert_eq!(attribute(read[1].1, 7), Some(&[0xde, 0xad, 0xbe, 0xef][..]));
        assert_eq!(u32_at(read[2].1, 0), Some(9));
    }

    #[test]
    fn a_torn_message_yields_what_is_whole() {
        let bytes = Attributes::new().u32(1, 5).u32(2, 6);
        assert_eq!(attributes(&bytes.bytes()[..12]).len(), 1);
    }
}
