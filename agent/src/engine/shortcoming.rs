//! What an engine cannot do as well as raw sockets and a packet socket would, and the next step.

use super::{CAPABILITY_ADVICE, Stamps};
use crate::Lang;
use nix::errno::Errno;

/// One shortcoming of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shortcoming {
    /// The kernel refuses a packet socket.
    NoPacketSocket(Errno),
    /// Departures are not stamped: a time includes what this host needs to send.
    DeparturesUnstamped,
    /// The kernel stamps no packets.
    NoStamps,
    /// No raw sockets; surge-ping probes by a socket of this type, `raw` or `datagram`.
    Portable(&'static str),
    /// Neither engine may run.
    NoSockets(NoSockets),
}

/// Why neither engine may run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "raw socket: {}; datagram socket: {datagram}; allow one with \"{CAPABILITY_ADVICE}\" or \"sysctl -w net.ipv4.ping_group_range='0 2147483647'\"",
    raw.desc()
)]
pub struct NoSockets {
    /// Refusal of the raw sockets.
    pub(super) raw: Errno,
    datagram: String,
}

impl NoSockets {
    /// From the refusal of the raw sockets, and of surge-ping's.
    pub fn new(raw: Errno, datagram: &std::io::Error) -> Self {
        // surge-ping appends its own advice to the kernel's error; ours replaces it.
        let datagram = datagram.to_string();
        let datagram = datagram.split(['.', '\n']).next().unwrap_or_default().to_owned();
        Self { raw, datagram }
    }
}

impl Shortcoming {
    /// What the packet stamps lack, if anything.
    pub(super) fn of_stamps(stamps: Stamps) -> Option<Self> {
        match stamps {
            Stamps::TxAndRx => None,
            Stamps::RxOnly => Some(Self::DeparturesUnstamped),
            Stamps::None => Some(Self::NoStamps),
        }
    }

    /// For a reader.
    pub fn words(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::NoPacketSocket(errno), Lang::En) => format!(
                "no packet socket ({}): arrivals that the guest refuses stay unseen; allow it with \"{CAPABILITY_ADVICE}\"",
                errno.desc()
            ),
            (Self::NoPacketSocket(errno), Lang::Zh) => format!(
                "没有抓包套接字（{}）：被本机拒绝的到达看不到；授权：\"{CAPABILITY_ADVICE}\"",
                errno.desc()
            ),
            (Self::DeparturesUnstamped, lang) => lang
                .pick(
                    "没有抓包套接字就看不到探测的发出：时间包含本机发送所需的时间",
                    "without a packet socket the departure of probes is not seen: times include what this host needs to send them",
                )
                .to_owned(),
            (Self::NoStamps, lang) => lang
                .pick(
                    "内核不记录报文时间：时间包含本机自身的延迟",
                    "the kernel stamps no packets: times include this host's own delays",
                )
                .to_owned(),
            (Self::Portable(socket), Lang::En) => format!(
                "raw sockets are not permitted, probing through surge-ping on a {socket} socket: no arrivals, no ICMP errors, times to about 1 ms; allow them with \"{CAPABILITY_ADVICE}\""
            ),
            (Self::Portable(socket), Lang::Zh) => format!(
                "没有原始套接字，改用 surge-ping（{socket} 套接字）：看不到到达和 ICMP 错误，时间精度约 1 毫秒；授权：\"{CAPABILITY_ADVICE}\""
            ),
            (Self::NoSockets(why), Lang::En) => format!("no probes: {why}"),
            (Self::NoSockets(why), Lang::Zh) => {
                format!("不能打开任何 ICMP 套接字，无法探测；agent 仍会上报配置和本机事实：{why}")
            }
        }
    }
}

/// Several shortcomings in one text; `None` if there is none.
pub fn words_of(shortcomings: &[Shortcoming], lang: Lang) -> Option<String> {
    let words: Vec<String> = shortcomings.iter().map(|one| one.words(lang)).collect();
    (!words.is_empty()).then(|| words.join(lang.pick("；", "; ")))
}
