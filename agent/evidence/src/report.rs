//! Messages between agents and the collector.
//!
//! HTTP with JSON bodies. The agent always makes the request; the collector never connects to an agent. `GET
//! /v1/plan?known=REVISION&wait_ms=N` returns at once if the plan has another revision, otherwise when the plan changes
//! or after N ms. `POST /v1/hello` introduces the agent. `POST /v1/reports` takes a [`ReportBatch`] and returns an
//! [`Ack`] only after the accepted reports are stored durably. All carry `Authorization: Bearer AGENT_ID.SECRET`.

use crate::{
    AccountId, AgentId, ArrivalRound, ConnectionArrivals, HostFacts, InstanceId, LinkId, LinkShare, LoadRefusal,
    MetadataFact, PairId, ProbeRound, Protocol, ReportId, RequestTag, Snapshot, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// An agent's introduction, sent at start and when its identity changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentHello {
    /// Format version, [`crate::SCHEMA`].
    pub schema: u32,
    /// Version of the agent's program.
    pub version: String,
    /// Answer of the metadata service; `None` if it cannot be reached.
    #[serde(default)]
    pub metadata: Option<MetadataFact>,
}

/// One address to probe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanTarget {
    /// The pair that the probes belong to.
    pub pair: PairId,
    /// The address to probe.
    pub address: IpAddr,
    /// The agent at that address, if one is enrolled.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// Protocol of the probes.
    pub protocol: Protocol,
    /// Destination port; `None` for ICMP.
    #[serde(default)]
    pub port: Option<u16>,
    /// The link that the probes cross. They keep to the plan's [`LinkShare`] of that link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
}

/// Connections or datagrams that another agent sends to this one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanArrival {
    /// The agent that sends them.
    pub agent: AgentId,
    /// Source address.
    pub from: IpAddr,
    /// Destination address, one of this host's own.
    pub to: IpAddr,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Destination port.
    pub port: u16,
}

/// Maximum rate of a load test of a path, in megabits per second of whole IP packets, whatever is requested.
pub const LOAD_MBIT_MAX: u32 = 200;
/// Maximum duration of all steps of a load test together, in seconds.
pub const LOAD_SECONDS_MAX: u32 = 10;

/// A load test of one path, run once, together with the collection of fresh evidence. It takes bandwidth from other
/// traffic. It therefore needs an explicit request, the collector's settings must permit it for the link, and the
/// agent's own settings take precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanLoad {
    /// The pair whose path is loaded.
    pub pair: PairId,
    /// Destination address; one of the plan's targets.
    pub address: IpAddr,
    /// Maximum rate in megabits per second.
    pub mbit: u32,
    /// Maximum total duration in seconds.
    pub seconds: u32,
}

/// Sampling of rounds: number, spacing and time-out of the probes, and the period of the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sampling {
    /// Probes per target and round.
    pub probes: u32,
    /// Milliseconds between two probes to one target.
    pub spacing_ms: u32,
    /// Milliseconds after which a probe without an answer counts as unanswered.
    pub timeout_ms: u32,
    /// Milliseconds between the starts of two rounds.
    pub period_ms: u32,
}

/// What the collector asks one agent to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Format version, [`crate::SCHEMA`].
    pub schema: u32,
    /// Changes whenever anything below changes.
    pub revision: u64,
    /// Key of the probes' nonces, common to all agents of a link: 32 bytes as hex.
    pub nonce_key: String,
    /// What to probe. Addresses outside the agent's own allow list are refused and reported.
    pub targets: Vec<PlanTarget>,
    /// Agents whose probes may arrive here although this agent sends none to them: connections have one direction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub senders: Vec<AgentId>,
    /// TCP and UDP probes that other agents send to this one: which connections to watch for, and where a datagram may
    /// be echoed. The agent's own settings decide whether it echoes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrivals: Vec<PlanArrival>,
    /// Sampling of the steady rounds.
    pub steady: Sampling,
    /// Milliseconds between two readings of configuration and host facts.
    pub snapshot_period_ms: u32,
    /// A request for fresh evidence. For a tag not seen before, the agent at once runs one round with `fresh_sampling`
    /// and collects host facts and a snapshot; each carries the tag.
    #[serde(default)]
    pub fresh: Option<RequestTag>,
    /// Sampling of the round that answers the request.
    pub fresh_sampling: Sampling,
    /// What the probes of each link may use and how they are spread, in place of `steady` and `fresh_sampling`. The
    /// period of a link's steady rounds is a multiple of the plan's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<LinkShare>,
    /// A load test that belongs to the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<PlanLoad>,
    /// The collector's clock when it answered.
    pub now: Timestamp,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Assigned by the agent: a resent report keeps its id.
    pub id: ReportId,
    /// When it was made.
    pub at: Timestamp,
    /// Content of the report.
    pub body: ReportBody,
}

/// Content of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportBody {
    /// A round of probes.
    Probe(Box<ProbeRound>),
    /// Arrivals of another agent's round.
    Arrival(ArrivalRound),
    /// Arrivals of another agent's connections. Agents before version 0.2 report them as an `arrival` with a `port`.
    Connections(ConnectionArrivals),
    /// Host facts.
    Host(Box<HostFacts>),
    /// Configuration of the agent's own account.
    Snapshot(Box<Snapshot>),
    /// Health of the agent itself.
    Health(AgentHealth),
}

/// What the agent did not do, and its own condition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentHealth {
    /// Reports dropped because the spool was full, since start.
    pub reports_dropped: u64,
    /// Probes that were due and not sent, since start: held back by the rate cap or the window for a whole time-out,
    /// without a budget, or without room in the kernel.
    pub probes_not_sent: u64,
    /// Targets refused because they are outside the allow list.
    #[serde(default)]
    pub targets_refused: Vec<IpAddr>,
    /// Steps of the clock that were detected, in milliseconds, the latest last; at most 16.
    #[serde(default)]
    pub clock_steps_ms: Vec<i64>,
    /// Maximum delay of the run loop behind its schedule since the last report, in milliseconds.
    pub loop_lag_ms_max: u64,
    /// Why exact probing is not possible, as text; `None` if it is possible.
    #[serde(default)]
    pub degraded: Option<String>,
    /// Why a load test that the plan requests was not sent; `None` if there is no request or it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_refused: Option<LoadRefusal>,
    /// The request for fresh evidence whose round, host facts and snapshot have all been sent.
    #[serde(default)]
    pub fresh_done: Option<RequestTag>,
    /// What the kernel counted meanwhile; `None` if it was not read twice. For a request it covers the time in
    /// which the agent answered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echoes: Option<EchoCount>,
}

/// The kernel's own count of ICMP echo requests, from whomever: a witness of what the agent's sockets saw arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EchoCount {
    /// Beginning of the time counted, by the agent's clock.
    pub since: Timestamp,
    /// End of the time counted, by the agent's clock.
    pub until: Timestamp,
    /// IPv4 echo requests that the IP stack received: `InEchos` of `/proc/net/snmp`. Those that the packet filter or the
    /// reverse-path filter drops are not among them.
    pub requests: u64,
}

/// Reports in one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportBatch {
    /// Format version, [`crate::SCHEMA`].
    pub schema: u32,
    /// The reporting agent.
    pub agent: AgentId,
    /// The instance that it runs on, if known.
    #[serde(default)]
    pub instance: Option<InstanceId>,
    /// The account that the agent reports for. The collector refuses any account other than the credential's own.
    pub account: AccountId,
    /// The reports, oldest first.
    pub reports: Vec<Report>,
}

/// A report that will never be accepted; the agent drops it and counts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Id of the report.
    pub id: ReportId,
    /// Reason, as text.
    pub why: String,
}

/// Outcome of a batch. Everything accepted is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Reports stored, now or earlier.
    pub accepted: Vec<ReportId>,
    /// Reports refused permanently.
    #[serde(default)]
    pub rejected: Vec<Rejected>,
    /// The collector's clock when it answered.
    pub now: Timestamp,
}
