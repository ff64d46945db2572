//! What agents and the collector say to each other.
//!
//! HTTP with JSON bodies; the agent always asks, the collector never connects to an agent.
//! `GET /v1/plan?known=REVISION&wait_ms=N` answers at once when the plan has another revision, otherwise when it
//! changes or after N ms. `POST /v1/hello` introduces the agent. `POST /v1/reports` takes a [`ReportBatch`] and answers an
//! [`Ack`] only after the accepted reports are kept durably. All carry `Authorization: Bearer AGENT_ID.SECRET`.

use crate::{
    AccountId, AgentId, ArrivalRound, HostFacts, InstanceId, LinkId, LinkShare, MetadataFact, PairId, ProbeRound,
    Protocol, ReportId, RequestTag, Snapshot, Timestamp,
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
    /// What the metadata service says; none when it cannot be reached.
    #[serde(default)]
    pub metadata: Option<MetadataFact>,
}

/// One address to probe.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanTarget {
    /// For which pair.
    pub pair: PairId,
    /// The address.
    pub address: IpAddr,
    /// The agent there, when one is enrolled.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// With which protocol.
    pub protocol: Protocol,
    /// To which port; none for ICMP.
    #[serde(default)]
    pub port: Option<u16>,
    /// The link that the probes cross, whose [`LinkShare`] of the plan they keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
}

/// Connections or datagrams of another agent that come to this one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanArrival {
    /// The agent that sends them.
    pub agent: AgentId,
    /// From which address.
    pub from: IpAddr,
    /// To which of this host's addresses.
    pub to: IpAddr,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// To which port.
    pub port: u16,
}

/// Greatest rate that a load of a path offers, in megabits a second of whole IP packets, whatever is asked for.
pub const LOAD_MBIT_MAX: u32 = 200;
/// Longest time of all steps of a load together, in seconds.
pub const LOAD_SECONDS_MAX: u32 = 10;

/// A load of one path, once, together with fresh evidence. It takes bandwidth from others: somebody asked for it by name, the
/// collector's settings permit it for the link, and the agent's own settings have the last word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanLoad {
    /// For which pair.
    pub pair: PairId,
    /// Towards which address; one of the plan's targets.
    pub address: IpAddr,
    /// Megabits a second at most.
    pub mbit: u32,
    /// Seconds in all at most.
    pub seconds: u32,
}

/// How much is sent and read in one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sampling {
    /// Probes per target and round.
    pub probes: u32,
    /// Milliseconds between two probes to one target.
    pub spacing_ms: u32,
    /// Milliseconds after which an unanswered probe counts as unanswered.
    pub timeout_ms: u32,
    /// Milliseconds between the starts of two rounds.
    pub period_ms: u32,
}

/// What the collector asks of one agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Format version, [`crate::SCHEMA`].
    pub schema: u32,
    /// Changes whenever anything below changes.
    pub revision: u64,
    /// Key of the probes' nonces, common to all agents of a link: 32 bytes as hex.
    pub nonce_key: String,
    /// Whom to probe. Addresses outside the agent's own allow list are refused and reported.
    pub targets: Vec<PlanTarget>,
    /// Agents whose probes may arrive here though none of ours go there: connections have one direction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub senders: Vec<AgentId>,
    /// Probes of ports that come to this agent: whose connections to look for, and where a datagram may be echoed. The
    /// agent's own settings decide whether it echoes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrivals: Vec<PlanArrival>,
    /// The steady rounds.
    pub steady: Sampling,
    /// Milliseconds between two readings of configuration and host facts.
    pub snapshot_period_ms: u32,
    /// A request for fresh evidence: on a tag not seen before, at once one round with `fresh_sampling`, host facts
    /// and a snapshot, each carrying the tag.
    #[serde(default)]
    pub fresh: Option<RequestTag>,
    /// How much is sent for it.
    pub fresh_sampling: Sampling,
    /// What the probes of each link may take and how they are spread, in place of `steady` and `fresh_sampling`. The period
    /// of a link's steady rounds is a multiple of the plan's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<LinkShare>,
    /// A load that belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<PlanLoad>,
    /// The collector's clock when it answered.
    pub now: Timestamp,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Made by the agent: a resent report is the same report.
    pub id: ReportId,
    /// When it was made.
    pub at: Timestamp,
    /// What it says.
    pub body: ReportBody,
}

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportBody {
    /// A round of probes.
    Probe(ProbeRound),
    /// Arrivals of another agent's round.
    Arrival(ArrivalRound),
    /// Host facts.
    Host(Box<HostFacts>),
    /// Configuration of the agent's own account.
    Snapshot(Box<Snapshot>),
    /// How the agent itself fares.
    Health(AgentHealth),
}

/// What the agent did not do, and how it fares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentHealth {
    /// Reports dropped because the spool was full, since start.
    pub reports_dropped: u64,
    /// Probes not sent because of the local rate cap, since start.
    pub probes_not_sent: u64,
    /// Targets refused because they are outside the allow list.
    #[serde(default)]
    pub targets_refused: Vec<IpAddr>,
    /// Steps of the clock seen, in milliseconds, the latest last; at most 16.
    #[serde(default)]
    pub clock_steps_ms: Vec<i64>,
    /// Greatest delay of the run loop behind its schedule since the last report, in milliseconds.
    pub loop_lag_ms_max: u64,
    /// Why no exact probing is possible, in words, when it is not.
    #[serde(default)]
    pub degraded: Option<String>,
    /// Why a load that the plan asks for is not sent, in words; none when there is none, or it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_refused: Option<String>,
    /// The request for fresh evidence whose round, facts and snapshot are all sent.
    #[serde(default)]
    pub fresh_done: Option<RequestTag>,
}

/// Reports in one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportBatch {
    /// Format version, [`crate::SCHEMA`].
    pub schema: u32,
    /// Who reports.
    pub agent: AgentId,
    /// The instance it runs on, when it knows.
    #[serde(default)]
    pub instance: Option<InstanceId>,
    /// The account that it speaks for. The collector refuses any but the credential's own.
    pub account: AccountId,
    /// The reports, oldest first.
    pub reports: Vec<Report>,
}

/// A report that will never be accepted; the agent drops it and counts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Which.
    pub id: ReportId,
    /// Why, in words.
    pub why: String,
}

/// What became of a batch. Everything accepted is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Kept, now or earlier.
    pub accepted: Vec<ReportId>,
    /// Refused for good.
    #[serde(default)]
    pub rejected: Vec<Rejected>,
    /// The collector's clock when it answered.
    pub now: Timestamp,
}
