//! The packets that two hosts exchange, as one of them sees them.

use crate::{
    exchange::answer,
    host::Host,
    packet::{Packet, Transport},
    subject::Owner,
    walk::{Flow, Passage, receive, send},
};
use pingtong_evidence::{InterfaceFact, Pair, Protocol, Side};
use std::net::IpAddr;

/// TCP flags of the first packet of a connection, and of the answer to it.
const SYN: u8 = 2;
const SYN_ACK: u8 = 18;

/// One kind of packets between two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The peer's requests, inbound.
    Requests,
    /// The replies to this host's requests, inbound.
    Replies,
    /// This host's requests, outbound.
    Sent,
    /// This host's replies, outbound.
    Answers,
}

impl Asked {
    /// Whether they are requests; otherwise the answers to them.
    pub fn is_request(self) -> bool {
        matches!(self, Self::Requests | Self::Sent)
    }

    /// Whether they arrive at the host; otherwise it sends them.
    pub fn is_inbound(self) -> bool {
        matches!(self, Self::Requests | Self::Replies)
    }
}

/// The packets between a host and its peer.
#[derive(Debug, Clone, Copy)]
pub struct Packets {
    /// Protocol, and the port of the service; the port of the other end is chosen by the kernel and is not known.
    pub service: (Protocol, Option<u16>),
    /// Address of the other host.
    pub peer: IpAddr,
    /// Address of this host.
    pub own: IpAddr,
}

impl Packets {
    /// The packets of a pair at the host of one side.
    pub fn of(pair: &Pair, side: Side) -> Self {
        Self {
            service: (pair.protocol, pair.port),
            peer: pair.endpoint(side.opposite()).address,
            own: pair.endpoint(side).address,
        }
    }

    fn request(&self, inbound: bool) -> Packet {
        let (source, destination) = if inbound { (self.peer, self.own) } else { (self.own, self.peer) };
        let transport = match self.service {
            (Protocol::Icmp, _) => Transport::Echo { reply: false, id: None, sequence: None },
            (Protocol::Tcp, port) => Transport::Tcp { source: None, destination: port, flags: SYN },
            (Protocol::Udp, port) => Transport::Udp { source: None, destination: port },
        };
        Packet::new(source, destination, transport)
    }

    /// What the host does with these packets, those of one kind.
    pub fn walk(&self, host: &Host<'_>, asked: Asked) -> Passage {
        let has_own = |interface: &&InterfaceFact| interface.addresses.iter().any(|(address, _)| *address == self.own);
        let device = host.interfaces.iter().find(has_own).map_or("", |interface| interface.name.as_str());
        match asked {
            Asked::Requests => receive(host, self.request(true), device, Flow::First),
            Asked::Sent => send(host, self.request(false), Owner::Unknown, Flow::First),
            Asked::Answers => {
                let request = self.request(true);
                let exchange = answer(host, request, device, Flow::First, |_| SYN_ACK);
                // Of requests that do not come in, the answers are those to requests that would.
                exchange.reply.unwrap_or_else(|| send(host, request.answered(SYN_ACK), Owner::Unknown, Flow::Unknown))
            }
            Asked::Replies => {
                let request = self.request(false);
                let sent = send(host, request, Owner::Unknown, Flow::First);
                receive(host, sent.packet.unwrap_or(request).answered(SYN_ACK), device, sent.flow_of_answer())
            }
        }
    }
}
