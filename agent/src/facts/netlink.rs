//! Requests to the kernel over netlink, as bytes: one request, all replies, and the kernel's errno if it refuses.
//!
//! `netlink-packet-route` encodes and decodes what concerns links, addresses and routes. Framing and attributes are our
//! own for the packet filter, whose expressions no maintained crate decodes. All parsing is bounded by the message;
//! replies of any shape are handled without panic.
//! Constants are those of `linux/netlink.h`.

use netlink_packet_core::{NetlinkSerializable as _, ParseableParametrized as _};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use std::io;

/// `NLM_F_REQUEST` and `NLM_F_DUMP`.
const REQUEST: u16 = 1;
pub(super) const DUMP: u16 = 0x300;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const HEADER_BYTES: usize = 16;
/// Low bits of an attribute's type; the high ones are flags.
const TYPE_MASK: u16 = 0x3fff;
/// Maximum number of replies. A larger table is an error, so that its fact is unknown.
const MESSAGES_MAX: usize = 100_000;
/// Bytes of the buffer for one read; the kernel sends at most 32 KiB at a time.
const BUFFER_BYTES: usize = 256 << 10;

/// One reply: its type and what follows the netlink header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u16,
    pub(super) body: Vec<u8>,
}

/// Sends one request to one subsystem and reads all replies.
///
/// # Errors
/// The kernel's refusal as an OS error, an error of the socket, or too many replies.
pub(super) fn ask(protocol: isize, kind: u16, flags: u16, body: &[u8]) -> io::Result<Vec<Message>> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let length = HEADER_BYTES + body.len();
    let mut request = Vec::with_capacity(length);
    request.extend(u32::try_from(length).map_err(io::Error::other)?.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend((REQUEST | flags).to_ne_bytes());
    request.extend(1u32.to_ne_bytes());
    request.extend(0u32.to_ne_bytes());
    request.extend(body);
    socket.send(&request, 0)?;
    let mut answers = vec![];
    loop {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        socket.recv(&mut buffer, 0)?;
        let mut rest = buffer.as_slice();
        if rest.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some((message, after)) = split(rest) {
            rest = after;
            match message.kind {
                DONE => return Ok(answers),
                ERROR => {
                    return match int(&message.body) {
                        Some(0) => Ok(answers),
                        Some(code) => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
                        None => Err(io::ErrorKind::InvalidData.into()),
                    };
                }
                _ => answers.push(message),
            }
            if answers.len() > MESSAGES_MAX {
                return Err(io::Error::other("more answers than can be taken"));
            }
        }
        if flags & DUMP == 0 {
            return Ok(answers);
        }
    }
}

/// Sends one request to the routing subsystem and decodes all replies.
///
/// # Errors
/// As of [`ask`], or a reply that cannot be decoded: a fact from the other replies alone would be wrong.
pub(super) fn route(request: &RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
    let mut body = vec![0; request.buffer_len()];
    request.serialize(&mut body);
    let answers = ask(NETLINK_ROUTE, request.message_type(), flags, &body)?;
    let decoded = answers.iter().map(|each| RouteNetlinkMessage::parse_with_param(&each.body, each.kind));
    decoded.collect::<Result<_, _>>().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn split(bytes: &[u8]) -> Option<(Message, &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER_BYTES..length)?.to_vec();
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((Message { kind, body }, after))
}

fn int(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// The attributes in a byte slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// The attributes after a fixed header of `header_bytes`.
    pub(super) fn after(body: &'a [u8], header_bytes: usize) -> Self {
        Self(body.get(header_bytes..).unwrap_or_default())
    }

    /// The value of the first attribute of a type.
    pub(super) fn get(mut self, kind: u16) -> Option<&'a [u8]> {
        self.find(|(each, _)| *each == kind).map(|(_, value)| value)
    }

    /// The attributes nested in the first attribute of a type.
    pub(super) fn nested(self, kind: u16) -> Option<Attributes<'a>> {
        self.get(kind).map(Attributes)
    }

    /// A string, which the kernel ends with a zero byte.
    pub(super) fn text(self, kind: u16) -> Option<String> {
        let value = self.get(kind)?;
        let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
        Some(String::from_utf8_lossy(value.get(..end)?).into_owned())
    }

    /// A number in network order (netfilter).
    pub(super) fn u32_net(self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(kind)?.get(..4)?.try_into().ok()?))
    }

    /// A number in network order (netfilter).
    pub(super) fn u64_net(self, kind: u16) -> Option<u64> {
        Some(u64::from_be_bytes(self.get(kind)?.get(..8)?.try_into().ok()?))
    }
}

impl<'a> From<&'a [u8]> for Attributes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

#[expect(clippy::copy_iterator, reason = "a view of bytes: each reader starts at its beginning")]
impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(self.0.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(self.0.get(2..4)?.try_into().ok()?) & TYPE_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Adds one attribute to a message under construction.
pub(super) fn push(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_back_and_a_cut_one_ends_the_list() {
        let mut body = vec![9, 9, 9, 9];
        push(&mut body, 3, b"eth0\0");
        push(&mut body, 0x8004, &7u32.to_be_bytes());
        let read = Attributes::after(&body, 4);
        assert_eq!(read.text(3).as_deref(), Some("eth0"));
        assert_eq!(read.u32_net(4), Some(7), "flag bits of the type are ignored");
        assert_eq!(Attributes::after(&body[..body.len() - 2], 4).count(), 1);
        assert_eq!(Attributes::from(&[0u8; 8][..]).count(), 0, "a length of zero does not loop");
    }
}
