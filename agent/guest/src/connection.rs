//! Connection tracking and address translation: what the kernel knows of the connection of a packet.

use crate::{
    bits::Bits,
    packet::{ACK, Packet, RST, SYN, Transport},
    place::Place,
};
use pingtong_evidence::packet_filter::{CtDirection, CtKey};
use std::net::IpAddr;

/// Bits of `ct state`.
const INVALID: u128 = 1;
const ESTABLISHED: u128 = 2;
const NEW: u128 = 8;
const UNTRACKED: u128 = 64;
/// Bits of `ct status`.
const SEEN_REPLY: u128 = 2;
const CONFIRMED: u128 = 8;
const SNAT: u128 = 16;
const DNAT: u128 = 32;
const EXPECTED: u128 = 1;
const DYING: u128 = 512;

/// Addresses and ports of the first packet of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuple {
    /// Source address.
    pub source: Option<IpAddr>,
    /// Destination address.
    pub destination: Option<IpAddr>,
    /// Source and destination port; of an echo, both are its identifier.
    pub ports: (Option<u16>, Option<u16>),
}

/// A tracked connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Of its first packet, before any translation.
    pub original: Tuple,
    /// Whether a packet of the other direction was seen.
    pub replied: bool,
    /// Whether its first packet passed the host.
    confirmed: bool,
    source: Option<Translation>,
    destination: Option<Translation>,
    mark: Bits,
}

/// What a packet's address and port become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Translation {
    pub(crate) address: To<IpAddr>,
    pub(crate) port: To<u16>,
    /// The rule that translates; `None` if it is one of several.
    pub(crate) by: Option<Place>,
}

/// What one value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To<T> {
    Unchanged,
    New(T),
    Unknown,
}

impl<T: PartialEq> To<T> {
    fn applied(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Unchanged => before,
            Self::New(value) => Some(value),
            Self::Unknown => None,
        }
    }
}

impl Translation {
    pub(crate) const UNKNOWN: Self = Self { address: To::Unknown, port: To::Unknown, by: None };
}

/// Whether a translation is of source addresses or of destination addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manip {
    Source,
    Destination,
}

/// What connection tracking says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one per packet; nearly all packets have a connection")]
pub(crate) enum Tracked {
    /// Its hook comes later, or the packet belongs to no connection and can begin none.
    Invalid,
    /// A rule took it out of tracking.
    Untracked,
    /// It belongs to a connection.
    Of(Connection, CtDirection),
    /// It is not known which of these.
    Unknown,
}

impl Tracked {
    /// Of a packet that belongs to no connection yet.
    pub(crate) fn first(packet: &Packet) -> Self {
        let may_begin = match packet.transport {
            Transport::Echo { reply, .. } => !reply,
            // A segment in the middle of a connection is picked up (`nf_conntrack_tcp_loose`).
            Transport::Tcp { flags, .. } => flags & (SYN | ACK) != SYN | ACK && flags & RST == 0,
            Transport::Udp { .. } => true,
            // An error is related to the connection that it quotes, if the kernel still knows that.
            Transport::Icmp { .. } => return Self::Unknown,
        };
        if !may_begin {
            return Self::Invalid;
        }
        let original = Tuple { source: packet.source, destination: packet.destination, ports: packet.ports() };
        let connection = Connection {
            original,
            replied: false,
            confirmed: false,
            source: None,
            destination: None,
            mark: Bits::exactly(0),
        };
        Self::Of(connection, CtDirection::Original)
    }

    /// What is known of a packet that is tracked in one of two ways.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Of(one, way), Self::Of(other, other_way)) if way == other_way => {
                let either =
                    |one: Option<Translation>, other| if one == other { one } else { Some(Translation::UNKNOWN) };
                let connection = Connection {
                    source: either(one.source, other.source),
                    destination: either(one.destination, other.destination),
                    mark: one.mark.or(other.mark),
                    ..one
                };
                Self::Of(connection, way)
            }
            _ => Self::Unknown,
        }
    }

    /// The value of a key; `None` if the packet has none, so that no comparison holds.
    pub(crate) fn field(&self, key: CtKey, direction: Option<CtDirection>, packet: &Packet) -> Option<Bits> {
        match (self, key) {
            (Self::Unknown, _) => Some(Bits::UNKNOWN),
            (Self::Invalid, CtKey::State) => Some(Bits::exactly(INVALID)),
            (Self::Untracked, CtKey::State) => Some(Bits::exactly(UNTRACKED)),
            (Self::Invalid | Self::Untracked, _) => None,
            (Self::Of(connection, way), key) => Some(connection.field(key, *way, direction, packet)),
        }
    }

    pub(crate) fn set_mark(&mut self, mark: Bits) {
        if let Self::Of(connection, _) = self {
            connection.mark = mark;
        }
    }

    /// Translates a packet as its connection is translated at this hook.
    pub(crate) fn translate(&self, packet: &mut Packet, manip: Manip) {
        let Self::Of(connection, way) = self else { return };
        match (way, manip) {
            (CtDirection::Original, Manip::Destination) => {
                if let Some(to) = connection.destination {
                    packet.destination = to.address.applied(packet.destination);
                    packet.set_destination_port(to.port.applied(packet.ports().1));
                }
            }
            (CtDirection::Original, Manip::Source) => {
                if let Some(to) = connection.source {
                    packet.source = to.address.applied(packet.source);
                    packet.set_source_port(to.port.applied(packet.ports().0));
                }
            }
            (CtDirection::Reply, Manip::Destination) => {
                if connection.source.is_some() {
                    packet.destination = connection.original.source;
                    packet.set_destination_port(connection.original.ports.0);
                }
            }
            (CtDirection::Reply, Manip::Source) => {
                if connection.destination.is_some() {
                    packet.source = connection.original.destination;
                    packet.set_source_port(connection.original.ports.1);
                }
            }
        }
    }

    /// Whether chains of type nat still decide how its connection is translated: only its first packet passes them.
    pub(crate) fn may_be_bound(&self) -> bool {
        match self {
            Self::Of(connection, CtDirection::Original) => !connection.confirmed,
            Self::Unknown => true,
            Self::Of(..) | Self::Invalid | Self::Untracked => false,
        }
    }

    /// Binds its connection to a translation.
    pub(crate) fn bind(&mut self, manip: Manip, to: Option<Translation>) {
        if let Self::Of(connection, _) = self {
            match manip {
                Manip::Source => connection.source = to,
                Manip::Destination => connection.destination = to,
            }
        }
    }

    /// The connection after the packet passed the host.
    pub(crate) fn confirmed(&self) -> Option<Connection> {
        match self {
            Self::Of(connection, way) => Some(Connection {
                confirmed: true,
                replied: connection.replied || *way == CtDirection::Reply,
                ..*connection
            }),
            _ => None,
        }
    }
}

impl Connection {
    /// Whether the address or port of its packets may be translated.
    pub fn is_translated(&self) -> bool {
        self.source.is_some() || self.destination.is_some()
    }

    /// The same connection after a packet of the other direction was seen.
    #[must_use]
    pub fn after_a_reply(self) -> Self {
        Self { replied: true, ..self }
    }

    fn field(&self, key: CtKey, way: CtDirection, asked: Option<CtDirection>, packet: &Packet) -> Bits {
        let is_reply = way == CtDirection::Reply;
        match key {
            CtKey::State => Bits::exactly(if is_reply || self.replied { ESTABLISHED } else { NEW }),
            CtKey::Direction => Bits::exactly(is_reply.into()),
            CtKey::Status => self.status(is_reply),
            CtKey::Mark => self.mark,
            CtKey::L3proto => Bits::exactly(if packet.ipv4 { 2 } else { 10 }),
            CtKey::Protocol => Bits::exactly(packet.protocol().into()),
            CtKey::Zone => Bits::exactly(0),
            CtKey::Source | CtKey::Destination | CtKey::SourcePort | CtKey::DestinationPort => {
                let Some(asked) = asked else { return Bits::UNKNOWN };
                let tuple = if asked == CtDirection::Original { self.original } else { self.reply_tuple() };
                match key {
                    CtKey::Source => Bits::of_address(tuple.source),
                    CtKey::Destination => Bits::of_address(tuple.destination),
                    CtKey::SourcePort => Bits::of(tuple.ports.0),
                    _ => Bits::of(tuple.ports.1),
                }
            }
            _ => Bits::UNKNOWN,
        }
    }

    /// What the other end answers with.
    fn reply_tuple(&self) -> Tuple {
        let (source, destination) = (self.source, self.destination);
        let address = |to: Option<Translation>, before| to.map_or(before, |to| to.address.applied(before));
        let port = |to: Option<Translation>, before| to.map_or(before, |to| to.port.applied(before));
        Tuple {
            source: address(destination, self.original.destination),
            destination: address(source, self.original.source),
            ports: (port(destination, self.original.ports.1), port(source, self.original.ports.0)),
        }
    }

    fn status(&self, is_reply: bool) -> Bits {
        let mut known = EXPECTED | DYING | SEEN_REPLY | CONFIRMED;
        let mut value = 0;
        let mut set = |bit: u128, is_set: bool| value |= if is_set { bit } else { 0 };
        set(SEEN_REPLY, self.replied || is_reply);
        set(CONFIRMED, self.confirmed);
        for (bit, translation) in [(SNAT, self.source), (DNAT, self.destination)] {
            // A translation to the same value sets no bit.
            if translation.is_none() {
                known |= bit;
            }
        }
        Bits::partly(value, known)
    }
}
