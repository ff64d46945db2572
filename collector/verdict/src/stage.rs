//! The stages on the path of a packet, in the order in which it meets them, and points: one stage of one packet.
//!
//! Each stage of the walk names its own points in what it concludes, so nothing has to infer them from cause codes.
//! Knows nothing about what is decided at a stage. The stages are those of `SEMANTICS.md` §1 to §4.

use crate::lang::Lang;
use pingtong_evidence::{Direction, Side};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A stage on the path of a packet, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The sending host itself.
    Source,
    /// Security groups of the sender.
    EgressGroup,
    /// Network ACL of the sender's vSwitch.
    EgressAcl,
    /// Look-up in the table of the sender's vSwitch.
    Route,
    /// Router interfaces, peering connection or attachments.
    Connection,
    /// Tables of transit routers.
    Transit,
    /// Network ACL of the receiver's vSwitch.
    IngressAcl,
    /// Security groups of the receiver.
    IngressGroup,
    /// The receiving host itself.
    Destination,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 9] = [
        Self::Source,
        Self::EgressGroup,
        Self::EgressAcl,
        Self::Route,
        Self::Connection,
        Self::Transit,
        Self::IngressAcl,
        Self::IngressGroup,
        Self::Destination,
    ];

    /// Name of the stage for people.
    pub fn name(self, lang: Lang) -> &'static str {
        let (en, zh) = match self {
            Self::Source => ("sending host", "发送主机"),
            Self::EgressGroup => ("security group, egress", "安全组（出方向）"),
            Self::EgressAcl => ("network ACL, egress", "网络ACL（出方向）"),
            Self::Route => ("route look-up", "路由查找"),
            Self::Connection => ("connection", "互联连接"),
            Self::Transit => ("transit router", "转发路由器"),
            Self::IngressAcl => ("network ACL, ingress", "网络ACL（入方向）"),
            Self::IngressGroup => ("security group, ingress", "安全组（入方向）"),
            Self::Destination => ("receiving host", "接收主机"),
        };
        match lang {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }

    /// The step of the tutorial that stays open if this stage could not be read. A connection belongs to steps 1 to 4, of
    /// which the last needs all of it.
    pub(crate) fn step(self) -> u8 {
        match self {
            Self::Connection => 4,
            Self::Route | Self::Transit => 5,
            Self::EgressGroup | Self::EgressAcl | Self::IngressAcl | Self::IngressGroup => 6,
            Self::Source | Self::Destination => 7,
        }
    }

    /// The side whose configuration decides about a packet of this direction; the sender's for what both share.
    pub(crate) fn side(self, direction: Direction) -> Side {
        match self {
            Self::IngressAcl | Self::IngressGroup | Self::Destination => direction.destination(),
            Self::Source | Self::EgressGroup | Self::EgressAcl | Self::Route | Self::Connection | Self::Transit => {
                direction.source()
            }
        }
    }
}

/// One of the two packets of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PacketKind {
    Request,
    Reply,
}

impl PacketKind {
    pub(crate) const BOTH: [Self; 2] = [Self::Request, Self::Reply];
}

/// One stage of the packets of one kind that travel in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) direction: Direction,
    pub(crate) packet: PacketKind,
    pub(crate) stage: Stage,
}

/// The points that a conclusion is about.
pub(crate) type Points = BTreeSet<Point>;

/// Collects the points at which packets meet the stage that `of` names; `None` leaves these packets out.
pub(crate) fn points(of: impl Fn(Direction, PacketKind) -> Option<Stage>) -> Points {
    let packets = Direction::BOTH.into_iter().flat_map(|direction| PacketKind::BOTH.map(|packet| (direction, packet)));
    packets
        .filter_map(|(direction, packet)| of(direction, packet).map(|stage| Point { direction, packet, stage }))
        .collect()
}
