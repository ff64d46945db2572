//! Conclusions of the walk and of the correlation, before they are rendered in one language.
//!
//! A finding names a cause and its object and says which packets it stops. A blind spot names a part of the
//! configuration that could not be read, and the causes that it may hide. Neither knows what was observed on the wire.

use crate::{
    code::CauseCode,
    fix::Fix,
    lang::{Both, Lang},
    stage::{PacketKind, Points, Stage, points},
    verdict::{Certainty, EvidenceLine, Object},
};
use pingtong_evidence::{AccountId, Direction, GapCode, Side, Source};
use std::collections::BTreeSet;

/// A line of evidence in both languages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Note {
    pub(crate) text: Both,
    pub(crate) object: Option<String>,
    pub(crate) account: Option<AccountId>,
    pub(crate) source: Option<Source>,
}

impl Note {
    /// A line that is not about an object of the cloud.
    pub(crate) fn plain(text: Both) -> Self {
        Self { text, object: None, account: None, source: None }
    }

    pub(crate) fn evidence(&self, lang: Lang) -> EvidenceLine {
        EvidenceLine {
            text: self.text.get(lang),
            object: self.object.clone(),
            account: self.account.clone(),
            api: self.source.as_ref().map(|s| s.api.clone()),
            request_id: self.source.as_ref().map(|s| s.request_id.clone()).filter(|id| !id.is_empty()),
            at: self.source.as_ref().map(|s| s.at),
        }
    }
}

/// The packets that a cause stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stops {
    /// Everything on the link.
    Link,
    /// Every packet of one direction, requests and replies: routes and ACLs keep no state.
    Packets(Direction),
    /// Packets of one direction that begin a flow: security groups pass the replies.
    Requests(Direction),
    /// Replies of one direction: an ACL distinguishes them from requests by their port.
    Responses(Direction),
    /// Everything from and to the host at one side.
    Host(Side),
    /// Packets that arrive at the host at one side: requests to it and replies to its own requests.
    Arrivals(Side),
    /// Requests that arrive at the host at one side; the replies to its own requests pass.
    ArrivingRequests(Side),
    /// Replies that arrive at the host at one side.
    Replies(Side),
    /// Replies that the host at one side should send.
    Answers(Side),
    /// Every packet that the host at one side sends.
    Sending(Side),
    /// Requests that the host at one side sends; its replies pass.
    OwnRequests(Side),
    /// A share of the packets of one direction.
    Some(Direction),
}

impl Stops {
    /// Whether it stops the request of round trips begun in `flow`.
    pub(crate) fn request(self, flow: Direction) -> bool {
        match self {
            Self::Link | Self::Host(_) => true,
            Self::Packets(d) | Self::Requests(d) => d == flow,
            Self::Arrivals(side) | Self::ArrivingRequests(side) => flow.destination() == side,
            Self::Sending(side) | Self::OwnRequests(side) => flow.source() == side,
            Self::Responses(_) | Self::Answers(_) | Self::Replies(_) | Self::Some(_) => false,
        }
    }

    /// Whether it stops the reply of round trips begun in `flow`, provided that the request arrives.
    pub(crate) fn reply(self, flow: Direction) -> bool {
        match self {
            Self::Link | Self::Host(_) => true,
            Self::Packets(d) | Self::Responses(d) => d == flow.reverse(),
            Self::Arrivals(side) | Self::Replies(side) => flow.source() == side,
            Self::Answers(side) | Self::Sending(side) => flow.destination() == side,
            Self::Requests(_) | Self::ArrivingRequests(_) | Self::OwnRequests(_) | Self::Some(_) => false,
        }
    }

    /// Whether it stops round trips begun in `flow`, by their request or by their reply.
    pub(crate) fn round_trip(self, flow: Direction) -> bool {
        self.request(flow) || self.reply(flow)
    }

    /// Whether it stops packets of this kind that travel in `direction`, or a share of them.
    fn packets(self, direction: Direction, packet: PacketKind) -> bool {
        let dies = match packet {
            PacketKind::Request => self.request(direction),
            PacketKind::Reply => self.reply(direction.reverse()),
        };
        dies || self == Self::Some(direction)
    }

    /// The points at which a stage between the hosts stops these packets.
    pub(crate) fn at(self, stage: Stage) -> Points {
        points(|direction, packet| self.packets(direction, packet).then_some(stage))
    }

    /// The points at which the host at `side` stops these packets: it is the source of what it sends and the
    /// destination of what it receives.
    pub(crate) fn at_host(self, side: Side) -> Points {
        let stage = |direction: Direction| if direction.source() == side { Stage::Source } else { Stage::Destination };
        points(|direction, packet| self.packets(direction, packet).then(|| stage(direction)))
    }
}

/// A cause that was found: its object, the packets that it stops, the evidence and the fix.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) code: CauseCode,
    pub(crate) side: Side,
    pub(crate) direction: Option<Direction>,
    pub(crate) object: Object,
    pub(crate) stops: Stops,
    /// Where these packets stop on their paths.
    pub(crate) points: Points,
    pub(crate) evidence: Vec<Note>,
    pub(crate) fix: Fix,
}

impl Finding {
    /// Identity of the cause: two findings with equal keys are the same cause.
    pub(crate) fn key(&self) -> (CauseCode, Side, Object, Option<Direction>) {
        (self.code, self.side, self.object.clone(), self.direction)
    }

    pub(crate) fn order(&self) -> (u8, CauseCode, Side, Object, Option<Direction>) {
        (self.code.step(self.side).unwrap_or(9), self.code, self.side, self.object.clone(), self.direction)
    }
}

/// A finding with the certainty that the observations give it.
pub(crate) struct Held {
    pub(crate) finding: Finding,
    pub(crate) certainty: Certainty,
}

/// Cause codes that fit the observations, and the reading or test that would decide between them.
pub(crate) struct Doubt {
    pub(crate) codes: BTreeSet<CauseCode>,
    pub(crate) side: Option<Side>,
    pub(crate) decided_by: Both,
}

/// A part of the configuration that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Blind {
    pub(crate) gap: GapCode,
    pub(crate) side: Side,
    pub(crate) step: u8,
    /// Packets that the hidden causes would stop.
    pub(crate) stops: Vec<Stops>,
    /// The causes that it may hide.
    pub(crate) hides: Vec<CauseCode>,
    pub(crate) what: Both,
    pub(crate) closes_with: Both,
    /// Where the packets would stop.
    pub(crate) points: Points,
}

/// A stage that was read and lets the packet pass.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pass {
    pub(crate) step: u8,
    pub(crate) side: Side,
    pub(crate) note: Note,
    /// Where the packets pass.
    pub(crate) points: Points,
}

/// Result of a walk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Walk {
    pub(crate) findings: Vec<Finding>,
    pub(crate) blinds: Vec<Blind>,
    pub(crate) passes: Vec<Pass>,
}

impl Walk {
    /// Adds a finding, or only its evidence if the same cause was found before.
    pub(crate) fn blame(&mut self, finding: Finding) {
        match self.findings.iter_mut().find(|have| have.key() == finding.key()) {
            Some(have) => {
                for note in finding.evidence {
                    if !have.evidence.contains(&note) {
                        have.evidence.push(note);
                    }
                }
                have.points.extend(finding.points);
            }
            None => self.findings.push(finding),
        }
    }

    pub(crate) fn blind(&mut self, blind: Blind) {
        let same = |have: &&mut Blind| {
            (have.gap, have.side, have.step, &have.what) == (blind.gap, blind.side, blind.step, &blind.what)
        };
        match self.blinds.iter_mut().find(same) {
            Some(have) => {
                have.stops.extend(blind.stops);
                have.stops.sort_unstable();
                have.stops.dedup();
                have.hides.extend(blind.hides);
                have.hides.sort_unstable();
                have.hides.dedup();
                have.points.extend(blind.points);
            }
            None => self.blinds.push(blind),
        }
    }

    pub(crate) fn pass(&mut self, points: Points, step: u8, side: Side, note: Note) {
        match self.passes.iter_mut().find(|have| (have.step, have.side, &have.note) == (step, side, &note)) {
            Some(have) => have.points.extend(points),
            None => self.passes.push(Pass { step, side, note, points }),
        }
    }
}
