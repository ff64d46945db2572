//! The output of `diagnose`, as it is printed in JSON. Only additive changes are allowed.
//!
//! These types decide nothing. The order of every list is fixed, so that equal evidence gives equal bytes.

mod past;

use crate::{catalogue, code::CauseCode, lang::Lang, probing::Probing, wilson::LossRate};
pub use past::{Answered, Changed, Onset, RecordedCall, Trigger};
use pingtong_evidence::{
    AccountId, Direction, GapCode, InstanceId, LoadRefusal, Pair, RegionId, RttSummary, Side, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What valid observations show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Every flow of the pair gets through, both ways.
    Healthy,
    /// Flows get through, with proven losses.
    Degraded,
    /// A flow does not get through.
    Broken,
    /// No valid observation decides.
    Undecided,
}

impl State {
    /// The name used in scripts and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Broken => "broken",
            Self::Undecided => "undecided",
        }
    }

    /// The name for people, in the given language.
    pub fn name(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (_, Lang::En) => self.as_str(),
            (Self::Healthy, Lang::Zh) => "健康",
            (Self::Degraded, Lang::Zh) => "劣化",
            (Self::Broken, Lang::Zh) => "不通",
            (Self::Undecided, Lang::Zh) => "无法判定",
        }
    }

    /// The exit code of a command that ends with this state.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Degraded | Self::Broken => 1,
            Self::Undecided => 2,
        }
    }
}

/// The cut point: where in a round trip packets die (`SEMANTICS.md` §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cut {
    /// Packets get through.
    #[serde(rename = "none")]
    None,
    /// In the sender: its kernel refuses the packets or sends them elsewhere.
    S0,
    /// Between the source's interface and the target's.
    S1,
    /// Seen on the target's interface, not accepted by its IP stack.
    S2,
    /// Accepted by the target's IP stack, no reply made.
    S3,
    /// Reply made, not sent through the target's interface.
    S4,
    /// Between the target's interface and the source's, on the return path.
    S5,
    /// Seen on the source's interface, not received by the prober.
    S6,
    /// Somewhere from S1 to S5: nobody observed the far end.
    #[serde(rename = "S1-S5")]
    Unanswered,
    /// Nothing valid was observed or predicted.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Cut {
    /// The name used in scripts and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::S0 => "S0",
            Self::S1 => "S1",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::S4 => "S4",
            Self::S5 => "S5",
            Self::S6 => "S6",
            Self::Unanswered => "S1-S5",
            Self::Unknown => "unknown",
        }
    }

    /// The name for people, in the given language.
    pub fn name(self, lang: Lang) -> &'static str {
        let (en, zh) = match self {
            Self::None => ("gets through", "通"),
            Self::S0 => ("dies in the sending host", "死在发送主机内"),
            Self::S1 => ("request dies between the two hosts", "请求死在两台主机之间"),
            Self::S2 => ("request reaches the interface, the guest refuses it", "请求到达网卡，被目标系统拒收"),
            Self::S3 => ("request is accepted, no reply is made", "请求被接收，但没有产生应答"),
            Self::S4 => ("reply is made and does not leave by the interface", "应答已产生，但没有从该网卡发出"),
            Self::S5 => ("reply dies between the two hosts", "应答死在两台主机之间"),
            Self::S6 => ("reply reaches the source host, not the prober", "应答到达源主机，但没有到达探测程序"),
            Self::Unanswered => ("unanswered; the far end was not observed", "无应答；对端没有观测"),
            Self::Unknown => ("not observed", "没有观测"),
        };
        match lang {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }
}

/// Loss of the round trips of one direction, split by where it happened. `None` where an end did not observe.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Loss {
    /// Probes sent whose answer was not received.
    pub round_trip: Option<LossRate>,
    /// Requests sent that did not arrive.
    pub request: Option<LossRate>,
    /// Requests arrived, or accepted if that was observed, that were not answered.
    pub host: Option<LossRate>,
    /// Answers made that did not come back.
    pub reply: Option<LossRate>,
}

/// Counts and results of the round trips that one side began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DirectionReport {
    /// Probes that the sender's kernel accepted.
    pub sent: u64,
    /// Of those, seen on the target's interface; `None` if the target was not observed.
    pub arrived: Option<u64>,
    /// Of those, answered by the target; `None` if the target was not observed.
    pub answered: Option<u64>,
    /// Answers that came back.
    pub received: u64,
    /// Probes that the sender's kernel refused.
    pub send_errors: u64,
    /// Loss rates, split by where the packets were lost.
    pub loss: Loss,
    /// The observed cut point: where all packets die.
    pub cut: Cut,
    /// The predicted cut point: where all packets must die according to the configuration.
    pub predicted: Cut,
    /// Round-trip times of the latest round that has any.
    pub rtt: Option<RttSummary>,
    /// Steps of a requested load, by their offered rate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<LoadReport>,
    /// Why the sender's agent sends no load although one was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_refused: Option<LoadRefusal>,
}

/// One step of a load: packets of one size, evenly spaced, so that shares of packets are shares of the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LoadReport {
    /// Offered rate in bits per second.
    pub offered_bits_per_s: u64,
    /// Packets that left.
    pub sent: u64,
    /// Of those, seen on the target's interface; `None` if the target was not observed, or not all the time.
    pub arrived: Option<u64>,
    /// Of those, answered by the target; `None` if the target was not observed, or not all the time.
    pub answered: Option<u64>,
    /// Answers that came back.
    pub received: u64,
    /// Packets that the sender did not send in time because of its own limits; the real offer was lower by these
    /// packets.
    pub not_sent: u64,
}

impl LoadReport {
    /// Bits per second that reached the target; `None` if the target was not observed.
    pub fn out_bits_per_s(&self) -> Option<u64> {
        self.share(self.arrived?, self.sent)
    }

    /// Bits per second that came back: what both directions together carry. Compared with the answered packets, it
    /// shows what the return path carries.
    pub fn back_bits_per_s(&self) -> Option<u64> {
        self.share(self.received, self.sent)
    }

    fn share(&self, of: u64, all: u64) -> Option<u64> {
        let bits = u128::from(self.offered_bits_per_s) * u128::from(of);
        u64::try_from(bits.checked_div(all.into())?).ok()
    }
}

/// The reports of both directions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Directions {
    /// Round trips begun by the initiator.
    pub forward: DirectionReport,
    /// Round trips begun by the acceptor.
    #[serde(rename = "return")]
    pub back: DirectionReport,
}

impl Directions {
    /// The report of one direction.
    pub fn get(&self, direction: Direction) -> &DirectionReport {
        match direction {
            Direction::Forward => &self.forward,
            Direction::Return => &self.back,
        }
    }
}

/// A line of evidence: what was seen, on which object, and where it was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EvidenceLine {
    /// What was seen.
    pub text: String,
    /// Id of the object on which it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The account that owns the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The API call that read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// The request id of that call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// State of a step of the tutorial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Done, as was observed.
    Ok,
    /// Done wrongly, or broken since.
    Failed,
    /// Could not be looked at.
    Unknown,
    /// Not done yet.
    NotDone,
}

impl StepState {
    /// One character for the checklist.
    pub fn mark(self) -> char {
        match self {
            Self::Ok => '✓',
            Self::Failed | Self::NotDone => '✗',
            Self::Unknown => '?',
        }
    }

    /// The name for people, in the given language.
    pub fn name(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (Self::Ok, Lang::En) => "ok",
            (Self::Failed, Lang::En) => "failed",
            (Self::Unknown, Lang::En) => "unknown",
            (Self::NotDone, Lang::En) => "not done",
            (Self::Ok, Lang::Zh) => "完成",
            (Self::Failed, Lang::Zh) => "有误",
            (Self::Unknown, Lang::Zh) => "未知",
            (Self::NotDone, Lang::Zh) => "未做",
        }
    }
}

/// One step of the tutorial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its number, 0 to 8.
    pub n: u8,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: StepState,
    /// Evidence for the state.
    pub evidence: Vec<EvidenceLine>,
}

/// The kind of object that an id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectKind {
    /// A VPC.
    Vpc,
    /// A router interface.
    RouterInterface,
    /// A VPC peering connection.
    VpcPeering,
    /// An attachment to a transit router.
    TransitAttachment,
    /// A vSwitch.
    #[serde(rename = "vswitch")]
    VSwitch,
    /// A route table.
    RouteTable,
    /// A route entry.
    RouteEntry,
    /// A security group.
    SecurityGroup,
    /// A security group rule.
    SecurityGroupRule,
    /// A prefix list.
    PrefixList,
    /// A network ACL.
    NetworkAcl,
    /// An entry of a network ACL.
    NetworkAclEntry,
    /// An instance.
    Instance,
    /// An elastic network interface.
    NetworkInterface,
    /// An address.
    Address,
    /// A stretch of the fabric between two ends.
    Segment,
}

impl ObjectKind {
    /// The name for people, in the given language.
    pub fn name(self, lang: Lang) -> &'static str {
        let (en, zh) = match self {
            Self::Vpc => ("VPC", "专有网络"),
            Self::RouterInterface => ("router interface", "路由器接口"),
            Self::VpcPeering => ("VPC peering connection", "VPC对等连接"),
            Self::TransitAttachment => ("transit router attachment", "转发路由器连接"),
            Self::VSwitch => ("vSwitch", "交换机"),
            Self::RouteTable => ("route table", "路由表"),
            Self::RouteEntry => ("route entry", "路由条目"),
            Self::SecurityGroup => ("security group", "安全组"),
            Self::SecurityGroupRule => ("security group rule", "安全组规则"),
            Self::PrefixList => ("prefix list", "前缀列表"),
            Self::NetworkAcl => ("network ACL", "网络ACL"),
            Self::NetworkAclEntry => ("network ACL entry", "网络ACL条目"),
            Self::Instance => ("instance", "实例"),
            Self::NetworkInterface => ("network interface", "弹性网卡"),
            Self::Address => ("address", "地址"),
            Self::Segment => ("segment", "链路段"),
        };
        match lang {
            Lang::En => en,
            Lang::Zh => zh,
        }
    }
}

/// A blamed object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Object {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: ObjectKind,
    /// Its id.
    pub id: String,
    /// The account that owns it.
    pub account: AccountId,
    /// The region in which it is.
    pub region: RegionId,
}

/// How certain a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// Configuration or host facts name it, and observations on the wire agree.
    Proven,
    /// Configuration or host facts name it, but there are no observations on the wire that confirm it.
    Supported,
}

impl Certainty {
    /// The name for people, in the given language.
    pub fn name(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (Self::Proven, Lang::En) => "proven",
            (Self::Supported, Lang::En) => "supported",
            (Self::Proven, Lang::Zh) => "已证实",
            (Self::Supported, Lang::Zh) => "有依据",
        }
    }
}

/// What is wrong, who owns it, and the evidence for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The cause code, as `pingtong explain` lists it.
    pub code: CauseCode,
    /// The step of the tutorial; `None` if it belongs to no step.
    pub step: Option<u8>,
    /// The side that owns the object and must act.
    pub side: Side,
    /// The direction of the packets that it stops; `None` if it stops both.
    pub direction: Option<Direction>,
    /// The blamed object.
    pub object: Object,
    /// How certain the cause is.
    pub certainty: Certainty,
    /// What supports it.
    pub evidence: Vec<EvidenceLine>,
    /// The cause in one sentence for the reader.
    pub explain: String,
}

impl Cause {
    /// The cause in one sentence in the given language, without the evidence.
    pub fn sentence(&self, lang: Lang) -> String {
        let title = catalogue::doc(self.code).title.get(lang);
        let (kind, id, account) = (self.object.kind.name(lang), &self.object.id, &self.object.account);
        match lang {
            Lang::En => format!("{title}: {kind} {id} of account {account} ({} side)", self.side),
            Lang::Zh => {
                let side = match self.side {
                    Side::Initiator => "发起端",
                    Side::Acceptor => "接收端",
                };
                format!("{title}：{side}账号 {account} 的{kind} {id}")
            }
        }
    }
}

/// What the evidence leaves open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Suspect {
    /// The causes that fit.
    pub codes: Vec<CauseCode>,
    /// The side, if all of them agree on one.
    pub side: Option<Side>,
    /// The object, if all of them agree on one.
    pub object: Option<Object>,
    /// The evidence or test that would decide.
    pub decided_by: String,
}

/// One API call or one guest command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// The account that must run it.
    pub account: AccountId,
    /// The side of that account.
    pub side: Side,
    /// The cause that it removes.
    pub code: CauseCode,
    /// The object that it changes.
    pub object: Object,
    /// An `aliyun` command that runs as printed; empty when there is none.
    pub cli: Vec<String>,
    /// The steps in the console, or who must act if no command helps.
    pub console: String,
    /// A command to run in the guest; empty when there is none.
    pub guest: Vec<String>,
    /// The instance whose guest runs the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Fields of the API response to save, for use as `${name}` in later commands.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub save: BTreeMap<String, String>,
}

/// Flows that a repair set permits besides the pair's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Opening {
    /// Source address block.
    pub source: String,
    /// Destination address block.
    pub destination: String,
    /// Protocol, as the vendor writes it.
    pub protocol: String,
    /// Destination ports, as the vendor writes them.
    pub ports: String,
}

/// Repairs that together restore the pair.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Repairs {
    /// Whether the pair stays broken in the model if any one of them is left out.
    pub minimal: bool,
    /// Whether all of them restore both directions, in the model and as far as the guests' facts go.
    pub proven: bool,
    /// The repairs in an order that works.
    pub set: Vec<Repair>,
    /// Other flows that they permit.
    pub opens: Vec<Opening>,
}

/// Something that could not be looked at and matters here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GapNote {
    /// The gap code, as `pingtong explain` lists it.
    pub code: GapCode,
    /// What could not be looked at.
    pub what: String,
    /// What would close it.
    pub closes_with: String,
    /// The side, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
}

/// The result of a diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Format version.
    pub schema: u32,
    /// The pair.
    pub pair: Pair,
    /// State of the pair.
    pub state: State,
    /// What was observed and predicted in each direction.
    pub directions: Directions,
    /// The tutorial's steps.
    pub steps: Vec<Step>,
    /// The causes that were found.
    pub causes: Vec<Cause>,
    /// What the evidence leaves open.
    pub suspects: Vec<Suspect>,
    /// What restores the pair.
    pub repairs: Repairs,
    /// What could not be looked at.
    pub gaps: Vec<GapNote>,
    /// How the link was probed, over all of its pairs; `None` if the evidence does not contain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probing: Option<Probing>,
    /// When it broke and why; `None` if no record reaches back to a time when it worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onset: Option<Onset>,
    /// The one thing to do next, in words.
    #[serde(default)]
    pub next_step: Option<String>,
    /// What changed while the pair was probed, the earliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Changed>,
    /// Since when the state is known and the cause is being determined, so that none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub determining_since: Option<Timestamp>,
    /// Time at which the question was asked.
    pub asked_at: Timestamp,
    /// Time of the latest evidence.
    pub evidence_at: Option<Timestamp>,
}
