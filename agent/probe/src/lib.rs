//! Sans-IO prober: schedule, in-flight probes, classification of what comes back, round-trip-time arithmetic, and the
//! ledger of probes that arrive from other agents.
//!
//! Three state machines (ICMP, ports, arrivals) are driven by three functions each: `handle(now, Input)`, `poll(now) ->
//! Option<Output>` and `next_deadline()`. [`Sweep`] is the state machine for mass probing; its inputs are methods,
//! since each comes a hundred thousand times a second. Nothing here opens a socket, reads a clock or draws a random
//! number: time comes in as [`Now`], randomness as a seed. This lets the tests run hours of rounds under a virtual
//! clock.

mod arrival_key;
mod arrivals;
mod connections;
mod datagram;
mod hop_walk;
mod ip;
mod load;
mod nonce;
mod now;
mod path_size;
mod payload;
mod port_prober;
mod port_round;
mod prober;
mod round;
mod rtt;
mod sweep;
#[cfg(test)]
mod tests;
mod unsent;
mod wire;

pub use arrivals::{ArrivalLedger, Arrived, Observers, Sighting};
pub use datagram::{Datagram, Segment, parse_datagram, parse_segment};
pub use hop_walk::{Hop, HopAnswer, HopOrder, HopProbe, HopWalk};
pub use load::{LOAD_PACKET_BITS, LoadOutcome, LoadStep, load_steps};
pub use nonce::{NonceKey, NonceKeyError};
pub use now::{ClockWatch, Now};
pub use path_size::size_search::{SizeBounds, SizeGoal, SizeSearch};
pub use path_size::{PathSize, SizeVerdict};
pub use payload::{AgentHash, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, Payload};
pub use port_prober::{PortInput, PortOrder, PortOutput, PortProber, PortProberSettings, PortSend};
pub use prober::{BucketKey, Counters, Input, Output, Prober, ProberSettings, RoundOrder, SendProbe};
pub use sweep::{
    ErrorKind, Fate, Handover, Oddities, RELATIVE_ERROR, RttFigures, SeriesError, Share, Sweep, SweepProbe,
    SweepSettings, TICK, Tally, TargetFigures, What,
};
pub use unsent::{Unsent, WhyUnsent};
pub use wire::{
    EchoKind, Heard, IPV4_HEADER_BYTES, echo_request, echo_request_to, ipv4_header, parse_icmpv6, parse_ipv4,
    parse_ipv6, parse_packet,
};
