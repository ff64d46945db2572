//! Probes of TCP and UDP ports: sending them, seeing those of others arrive, echoing datagrams.

pub mod echo;
pub mod probing;
mod sockets;
pub mod tap;
