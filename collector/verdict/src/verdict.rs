//! What `diagnose` answers, as it is printed in JSON (`design.md` §5). Additive changes only.
//!
//! Types without opinions: who fills them decides. Order of every list is fixed, so equal evidence gives equal bytes.

use crate::{code::CauseCode, lang::Lang, onset::Onset, own_load::Probing, wilson::LossRate};
use pingtong_evidence::{AccountId, Direction, GapCode, InstanceId, Pair, RegionId, RttSummary, Side, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What valid observations show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Every flow of the pair gets through, both ways.
    Healthy,
    /// Flows get through with losses that are proven.
    Degraded,
    /// A flow does not get through.
    Broken,
    /// No valid observation says.
    Undecided,
}

impl State {
    /// As scripts read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Broken => "broken",
            Self::Undecided => "undecided",
        }
    }

    /// As people read it.
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

/// Where in one round trip packets die (`network-semantics.md` §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cut {
    /// They get through.
    #[serde(rename = "none")]
    None,
    /// In the sender: its kernel refuses them or sends them elsewhere.
    S0,
    /// Between the source's interface and the target's.
    S1,
    /// On the target's interface, not in its IP stack.
    S2,
    /// In the target's stack, no reply made.
    S3,
    /// Reply made, not on the target's interface.
    S4,
    /// Between the target's interface and the source's, on the way back.
    S5,
    /// On the source's interface, not at the prober.
    S6,
    /// Somewhere from S1 to S5: nobody observed the far end.
    #[serde(rename = "S1-S5")]
    Unanswered,
    /// Nothing valid was observed, or predicted.
    #[serde(rename = "unknown")]
    Unknown,
}

impl Cut {
    /// As scripts read it.
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

    /// As people read it.
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

/// Loss of one direction's round trips, split by where it happened. None where an end did not observe.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Loss {
    /// Sent and not received.
    pub round_trip: Option<LossRate>,
    /// Sent and not arrived.
    pub request: Option<LossRate>,
    /// Arrived and not answered.
    pub host: Option<LossRate>,
    /// Answered and not received.
    pub reply: Option<LossRate>,
}

/// Round trips that one side began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DirectionReport {
    /// Probes that the sender's kernel took.
    pub sent: u64,
    /// Of those, seen on the target's interface; none when nobody looked.
    pub arrived: Option<u64>,
    /// Of those, answered by the target; none when nobody looked.
    pub answered: Option<u64>,
    /// Answers that came back.
    pub received: u64,
    /// Probes that the sender's kernel refused.
    pub send_errors: u64,
    /// Losses.
    pub loss: Loss,
    /// Where everything dies, as observed.
    pub cut: Cut,
    /// Where everything must die, as the configuration says.
    pub predicted: Cut,
    /// Round-trip times of the latest round that has any.
    pub rtt: Option<RttSummary>,
    /// Steps of a load that was asked for, by what they offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loads: Vec<LoadReport>,
    /// Why the sender's agent sends none though it was asked to, in its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_refused: Option<String>,
}

/// One step of a load: packets of one size, evenly spaced, so that shares of packets are shares of the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LoadReport {
    /// Bits offered each second.
    pub offered_bits_per_s: u64,
    /// Packets that left.
    pub sent: u64,
    /// Of those, seen on the target's interface; none when nobody looked, or not all the time.
    pub arrived: Option<u64>,
    /// Of those, answered by the target.
    pub answered: Option<u64>,
    /// Answers that came back.
    pub received: u64,
    /// Packets that the sender did not manage to send in time: its own shortage, and the offer was less by them.
    pub not_sent: u64,
}

impl LoadReport {
    /// Bits that reached the target each second; none when nobody looked.
    pub fn out_bits_per_s(&self) -> Option<u64> {
        self.share(self.arrived?, self.sent)
    }

    /// Bits that came back each second: what both directions carry, and with what was answered what the way back does.
    pub fn back_bits_per_s(&self) -> Option<u64> {
        self.share(self.received, self.sent)
    }

    fn share(&self, of: u64, all: u64) -> Option<u64> {
        let bits = u128::from(self.offered_bits_per_s) * u128::from(of);
        u64::try_from(bits.checked_div(all.into())?).ok()
    }
}

/// Both directions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Directions {
    /// Round trips begun by the initiator.
    pub forward: DirectionReport,
    /// Round trips begun by the acceptor.
    #[serde(rename = "return")]
    pub back: DirectionReport,
}

impl Directions {
    /// One of them.
    pub fn get(&self, direction: Direction) -> &DirectionReport {
        match direction {
            Direction::Forward => &self.forward,
            Direction::Return => &self.back,
        }
    }
}

/// A line of evidence: what was seen, on which object, and where it was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// What.
    pub text: String,
    /// On which object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Of which account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// By which call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Whose request id was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// How a step of the tutorial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Done, and seen to be.
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

    /// As people read it.
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
    /// How it stands.
    pub state: StepState,
    /// Why.
    pub evidence: Vec<Evidence>,
}

/// What kind of thing an id names.
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
    /// As people read it.
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
    /// What kind of thing.
    #[serde(rename = "type")]
    pub kind: ObjectKind,
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub account: AccountId,
    /// Where it is.
    pub region: RegionId,
}

/// How firmly a cause is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// Configuration or host facts name it and the wire agrees.
    Proven,
    /// Configuration or host facts name it; the wire could not speak.
    Supported,
}

impl Certainty {
    /// As people read it.
    pub fn name(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (Self::Proven, Lang::En) => "proven",
            (Self::Supported, Lang::En) => "supported",
            (Self::Proven, Lang::Zh) => "已证实",
            (Self::Supported, Lang::Zh) => "有依据",
        }
    }
}

/// What is wrong, whose it is, and why we say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Code of `causes.md`.
    pub code: CauseCode,
    /// The step of the tutorial; none for what belongs to no step.
    pub step: Option<u8>,
    /// Who owns the object and must act.
    pub side: Side,
    /// The direction of the packets that it stops; none when it stops both.
    pub direction: Option<Direction>,
    /// The blamed object.
    pub object: Object,
    /// How firmly.
    pub certainty: Certainty,
    /// What supports it.
    pub evidence: Vec<Evidence>,
    /// One sentence for the reader.
    pub explain: String,
}

impl Cause {
    /// The sentence in the language of choice, without the evidence.
    pub fn sentence(&self, lang: Lang) -> String {
        let title = self.code.doc().title.get(lang);
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
    /// At which side, when they agree on one.
    pub side: Option<Side>,
    /// On which object, when they agree on one.
    pub object: Option<Object>,
    /// The evidence or test that would decide.
    pub decided_by: String,
}

/// One API call or one guest command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Who must run it.
    pub account: AccountId,
    /// At which side.
    pub side: Side,
    /// The cause that it removes.
    pub code: CauseCode,
    /// The object that it changes.
    pub object: Object,
    /// An `aliyun` command that runs as printed; empty when there is none.
    pub cli: Vec<String>,
    /// The way through the console, or who must act when no command helps.
    pub console: String,
    /// A command to run in the guest; empty when there is none.
    pub guest: Vec<String>,
    /// The guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Fields of the answer to keep for `${name}` in later commands.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub save: BTreeMap<String, String>,
}

/// Flows that a repair set permits besides the pair's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Opening {
    /// From.
    pub source: String,
    /// To.
    pub destination: String,
    /// By which protocol.
    pub protocol: String,
    /// To which ports.
    pub ports: String,
}

/// Repairs that together restore the pair.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Repairs {
    /// Whether leaving any one out leaves the pair broken, in the model.
    pub minimal: bool,
    /// Whether all of them restore both directions, in the model and as far as the guests' facts go.
    pub proven: bool,
    /// The repairs in an order that works.
    pub set: Vec<Repair>,
    /// What else they open.
    pub opens: Vec<Opening>,
}

/// Something that could not be looked at and matters here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GapNote {
    /// Code of `causes.md`.
    pub code: GapCode,
    /// What.
    pub what: String,
    /// What would close it.
    pub closes_with: String,
    /// At which side, when it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Format version.
    pub schema: u32,
    /// The pair.
    pub pair: Pair,
    /// How it stands.
    pub state: State,
    /// What was observed and predicted, by direction.
    pub directions: Directions,
    /// The tutorial's steps.
    pub steps: Vec<Step>,
    /// What is to blame.
    pub causes: Vec<Cause>,
    /// What the evidence leaves open.
    pub suspects: Vec<Suspect>,
    /// What restores the pair.
    pub repairs: Repairs,
    /// What could not be looked at.
    pub gaps: Vec<GapNote>,
    /// How the link was probed, over all of its pairs; none where the evidence does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probing: Option<Probing>,
    /// When it broke and what did it; none where no record reaches back to a time when it worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onset: Option<Onset>,
    /// The one thing to do next, in words.
    #[serde(default)]
    pub next_step: Option<String>,
    /// When the question was asked.
    pub asked_at: Timestamp,
    /// When the latest evidence was made.
    pub evidence_at: Option<Timestamp>,
}
