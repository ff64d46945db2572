//! A request that arrives at a host, and what the host sends back.

use crate::{
    chain::icmp_error,
    host::Host,
    packet::{ACK, Packet, RST, Transport},
    place::{End, How, Place},
    subject::Owner,
    walk::{Flow, Passage, receive, send},
};

/// What becomes of a request and of the answers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The request, inbound.
    pub request: Passage,
    /// The answer, outbound; `None` if the request surely is not delivered.
    pub reply: Option<Passage>,
    /// What rules that reject the request send to its sender.
    pub refusals: Vec<Refusal>,
}

/// The error that a rejecting rule sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule.
    pub place: Place,
    /// The error as the rule sends it, before it passes the packet filter itself.
    pub error: Packet,
    /// What becomes of it.
    pub passage: Passage,
}

/// Walks a request that arrives at an interface, and the answer of the local socket. `flags` gives the TCP flags of the answer
/// to a segment as it is delivered: 18 from an open port, 20 from a closed one. An echo request is answered by the kernel.
pub fn answer(host: &Host<'_>, request: Packet, device: &str, flow: Flow, flags: impl Fn(&Packet) -> u8) -> Exchange {
    let passage = receive(host, request, device, flow);
    let reply = passage.packet.filter(|_| passage.ends.contains(&End::Delivered)).map(|delivered| {
        let flags = flags(&delivered);
        let owner = match delivered.transport {
            Transport::Echo { .. } | Transport::Icmp { .. } => Owner::Nobody,
            Transport::Tcp { .. } if flags & RST != 0 => Owner::Nobody,
            Transport::Tcp { .. } | Transport::Udp { .. } => Owner::Unknown,
        };
        send(host, delivered.answered(flags), owner, passage.flow_of_answer())
    });
    let refusals = passage.stops().filter_map(|(place, how)| match how {
        How::Reject(reject) => Some(refusal(host, &request, *place, icmp_error(*reject, request.ipv4))),
        _ => None,
    });
    let refusals = refusals.flatten().collect();
    Exchange { request: passage, reply, refusals }
}

fn refusal(host: &Host<'_>, request: &Packet, place: Place, error: Option<(u8, u8)>) -> Option<Refusal> {
    let is_tcp = matches!(request.transport, Transport::Tcp { .. });
    let error = match error {
        None if !is_tcp => return None,
        None => request.answered(RST | ACK),
        Some((icmp_type, code)) => {
            let transport = Transport::Icmp { icmp_type, code };
            Packet { transport, payload_bytes: None, ..request.answered(0) }
        }
    };
    // The kernel may know the connection of the request, or not: it was not confirmed.
    Some(Refusal { place, error, passage: send(host, error, Owner::Nobody, Flow::Unknown) })
}
