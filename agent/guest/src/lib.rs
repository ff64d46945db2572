//! The walk of a packet through one host, as its kernel would do it.
//!
//! [`Host`] is what an agent reports of a host: packet filter, interfaces, routes, kernel settings. [`receive`] walks a packet that arrives
//! at a network interface: `ingress`, `prerouting`, the check of its
//! source address, routing decision, `input` or `forward`. [`send`] walks a packet of a
//! local socket: `output`, routing decision, `postrouting`, `egress`. Both pass the base chains of all families in the
//! order of their priorities, connection tracking, and address translation, and return every [`End`] that the packet
//! may come to: one end is certain, several leave it open. Whatever is not known or not understood makes several ends,
//! never a wrong one. [`KnownHost`] is a host as an agent reports it, [`Packets`] are what it exchanges with a peer.
//!
//! Sources: `nft(8)`; `net/netfilter/nf_tables_core.c` (rules, jumps), `nf_nat_core.c` (which packets pass chains of type
//! nat), `nf_conntrack_core.c` and `nf_conntrack_proto_*.c` (states), all of Linux 6.1.

mod bits;
mod chain;
mod condition;
mod connection;
mod exchange;
mod field;
mod host;
mod known;
mod lookup;
mod maybe;
mod packet;
mod pair;
mod place;
mod routes;
mod subject;
mod walk;

pub use bits::Bits;
pub use connection::{Connection, Tuple};
pub use exchange::{Exchange, Refusal, answer};
pub use host::{Host, Routing};
pub use known::{KnownHost, NoRule, with_address};
pub use lookup::{Input, Lookup, Route};
pub use maybe::Maybe;
pub use packet::{Packet, Transport, echo};
pub use pair::{Asked, Packets};
pub use place::{End, How, Place};
pub use routes::{Decision, Fate, decide};
pub use subject::Owner;
pub use walk::{Flow, Passage, receive, send};
