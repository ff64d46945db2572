//! A packet at a hook, with what the kernel knows of it there.

use crate::{
    bits::Bits,
    connection::{Tracked, Translation},
    packet::Packet,
};
use pingtong_evidence::packet_filter::FirewallHook;

/// Who sends a packet, as the owner of its socket shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// No program: another host, or the kernel itself.
    Nobody,
    /// A program of this user.
    User(u32),
    /// A program of a user that is not known.
    Unknown,
}

/// An interface at a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device<'w> {
    /// There is none at this hook.
    None,
    /// That of this name.
    Named(&'w str),
    /// Which one is not known.
    Unknown,
}

impl<'w> Device<'w> {
    /// Its name, if there is one and it is known.
    pub(crate) fn name(self) -> Option<&'w str> {
        match self {
            Self::Named(name) => Some(name),
            Self::None | Self::Unknown => None,
        }
    }
}

/// A packet at a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subject<'w> {
    pub(crate) packet: Packet,
    pub(crate) hook: FirewallHook,
    pub(crate) input: Device<'w>,
    pub(crate) output: Device<'w>,
    pub(crate) mark: Bits,
    pub(crate) owner: Owner,
    pub(crate) tracked: Tracked,
    /// Whether a rule took the packet out of tracking before tracking began.
    pub(crate) notrack: Option<bool>,
    /// What the chains of type nat at this hook decided.
    pub(crate) translation: Option<Translation>,
}

impl Subject<'_> {
    /// What is known of a subject that is one of two at the same hook.
    pub(crate) fn or(&self, other: &Self) -> Self {
        let packet = if self.packet == other.packet { self.packet } else { either(&self.packet, &other.packet) };
        let translation =
            if self.translation == other.translation { self.translation } else { Some(Translation::UNKNOWN) };
        Self {
            packet,
            mark: self.mark.or(other.mark),
            tracked: self.tracked.or(other.tracked),
            notrack: self.notrack.filter(|_| self.notrack == other.notrack),
            translation,
            ..*self
        }
    }
}

fn either(one: &Packet, other: &Packet) -> Packet {
    fn same<T: PartialEq + Copy>(one: Option<T>, other: Option<T>) -> Option<T> {
        one.filter(|_| one == other)
    }
    let (ports, others) = (one.ports(), other.ports());
    let mut packet = Packet {
        source: same(one.source, other.source),
        destination: same(one.destination, other.destination),
        payload_bytes: same(one.payload_bytes, other.payload_bytes),
        ttl: same(one.ttl, other.ttl),
        ..*one
    };
    packet.set_source_port(same(ports.0, others.0));
    packet.set_destination_port(same(ports.1, others.1));
    packet
}
