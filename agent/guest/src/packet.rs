//! A packet, as far as it is known.

use std::net::IpAddr;

/// IP protocol numbers.
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

/// TCP flags.
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// A packet of which some fields may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Whether it is IPv4; otherwise IPv6.
    pub ipv4: bool,
    /// Source address; `None` if the kernel chooses it.
    pub source: Option<IpAddr>,
    /// Destination address; `None` if the kernel chooses it.
    pub destination: Option<IpAddr>,
    /// Transport header.
    pub transport: Transport,
    /// Bytes after the transport header, if known.
    pub payload_bytes: Option<u16>,
    /// Time to live or hop limit, if known.
    pub ttl: Option<u8>,
}

/// A transport header of which some fields may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// An ICMP or ICMPv6 echo.
    Echo {
        /// Whether it is a reply; otherwise a request.
        reply: bool,
        /// Identifier.
        id: Option<u16>,
        /// Sequence number.
        sequence: Option<u16>,
    },
    /// Another ICMP or ICMPv6 message, such as an error.
    Icmp {
        /// Type.
        icmp_type: u8,
        /// Code.
        code: u8,
    },
    /// A TCP segment.
    Tcp {
        /// Source port.
        source: Option<u16>,
        /// Destination port.
        destination: Option<u16>,
        /// Flags: 1 fin, 2 syn, 4 rst, 8 psh, 16 ack.
        flags: u8,
    },
    /// A UDP datagram.
    Udp {
        /// Source port.
        source: Option<u16>,
        /// Destination port.
        destination: Option<u16>,
    },
}

/// An echo request between two addresses; identifier, sequence number and length are not known.
pub fn echo(source: IpAddr, destination: IpAddr) -> Packet {
    Packet::new(source, destination, Transport::Echo { reply: false, id: None, sequence: None })
}

impl Packet {
    /// A packet of unknown length and time to live.
    pub fn new(source: IpAddr, destination: IpAddr, transport: Transport) -> Self {
        Self {
            ipv4: source.is_ipv4(),
            source: Some(source),
            destination: Some(destination),
            transport,
            payload_bytes: None,
            ttl: None,
        }
    }

    /// IP protocol number.
    pub fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Echo { .. } | Transport::Icmp { .. } => {
                if self.ipv4 {
                    ICMP
                } else {
                    ICMPV6
                }
            }
            Transport::Tcp { .. } => TCP,
            Transport::Udp { .. } => UDP,
        }
    }

    /// Source and destination port; of an echo, both are its identifier.
    pub(crate) fn ports(&self) -> (Option<u16>, Option<u16>) {
        match self.transport {
            Transport::Echo { id, .. } => (id, id),
            Transport::Icmp { .. } => (None, None),
            Transport::Tcp { source, destination, .. } | Transport::Udp { source, destination } => {
                (source, destination)
            }
        }
    }

    pub(crate) fn set_source_port(&mut self, port: Option<u16>) {
        match &mut self.transport {
            Transport::Tcp { source, .. } | Transport::Udp { source, .. } => *source = port,
            Transport::Echo { .. } | Transport::Icmp { .. } => {}
        }
    }

    pub(crate) fn set_destination_port(&mut self, port: Option<u16>) {
        match &mut self.transport {
            Transport::Tcp { destination, .. } | Transport::Udp { destination, .. } => *destination = port,
            Transport::Echo { .. } | Transport::Icmp { .. } => {}
        }
    }

    /// The answer to it, as the other end sends it: an echo reply, a segment with these flags, a datagram. Its time to live is not
    /// known, nor is the length of anything but an echo.
    #[must_use]
    pub fn answered(&self, flags: u8) -> Self {
        let transport = match self.transport {
            Transport::Echo { id, sequence, .. } => Transport::Echo { reply: true, id, sequence },
            Transport::Tcp { source, destination, .. } => {
                Transport::Tcp { source: destination, destination: source, flags }
            }
            Transport::Udp { source, destination } => Transport::Udp { source: destination, destination: source },
            icmp @ Transport::Icmp { .. } => icmp,
        };
        let payload_bytes = self.payload_bytes.filter(|_| matches!(transport, Transport::Echo { .. }));
        Self { source: self.destination, destination: self.source, transport, payload_bytes, ttl: None, ..*self }
    }

    /// Total length in bytes, if known. That of a TCP segment depends on its options.
    pub(crate) fn length(&self) -> Option<u16> {
        let headers = (if self.ipv4 { 20 } else { 40 }) + 8;
        match self.transport {
            Transport::Echo { .. } | Transport::Udp { .. } => self.payload_bytes?.checked_add(headers),
            Transport::Icmp { .. } | Transport::Tcp { .. } => None,
        }
    }
}
