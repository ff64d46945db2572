//! `doctor`: checks what works on this host, and names the next step for what does not.
//!
//! Examines what each cut point of a round trip needs, from the sockets to the collector. A finding is good, wrong, or
//! unknown if it could not be examined; unknown counts as neither of the others.

mod filter;
mod host;
mod limits;
pub mod page;
mod path_size;

use crate::{
    Exit, Lang, chain,
    check::path_size::search,
    cli::DoctorArgs,
    clock::{Clock, wall},
    engine::{CAPABILITY_ADVICE, Engine, Shortcoming, Stamps, words_of},
    facts::{self, FactsOrder},
    ports::tap::PortTap,
    privilege,
    settings::Settings,
    uplink::{client::Collector, spool::Spool},
};
use caps::Capability;
use limits::Limits;
use pingtong_cloud::MetadataClient;
use pingtong_evidence::{AgentId, HostFacts, Known, Plan, ProbeEngine, WhyUnknown};
use std::{collections::BTreeSet, fmt::Write as _, net::IpAddr};

/// Maximum number of addresses or rules named in one line.
const NAMED_MAX: usize = 8;

/// Clock offset in milliseconds beyond which timestamps of two hosts cannot be compared.
const OFFSET_MS_MAX: i64 = 1_000;

/// Codes of findings that do not stop the agent from working. Without raw sockets it probes less exactly; a firewall
/// rule that drops or rejects, a small buffer or a limit may affect none of its packets.
const ADVISORY: [&str; 9] = [
    "net-raw",
    "net-admin",
    "firewall",
    "firewall-refuses",
    "firewall-legacy",
    "rp-filter",
    "receive-buffer",
    "open-files",
    "udp-arrivals",
];

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As it should be.
    Good,
    /// Not as it should be.
    Wrong,
    /// It could not be examined.
    Unknown,
}

impl Standing {
    /// The name in JSON output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
        }
    }

    fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Wrong }
    }
}

/// One thing that was checked.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Stable code, for scripts.
    pub code: &'static str,
    /// Result of the check.
    pub standing: Standing,
    /// Text in Chinese.
    pub zh: String,
    /// Text in English.
    pub en: String,
    /// The next step: a command or a place. `None` if the finding is good.
    pub next: Option<String>,
}

impl Finding {
    pub(crate) fn new(
        code: &'static str,
        standing: Standing,
        zh: impl Into<String>,
        en: impl Into<String>,
        next: &str,
    ) -> Self {
        let next = (standing != Standing::Good && !next.is_empty()).then(|| next.to_owned());
        Self { code, standing, zh: zh.into(), en: en.into(), next }
    }
}

fn unread(code: &'static str, (zh, en): (&str, &str), why: &WhyUnknown, next: &str) -> Finding {
    Finding::new(
        code,
        Standing::Unknown,
        format!("{zh}：无法读取（{why}）"),
        format!("{en}: cannot be read ({why})"),
        next,
    )
}

/// The first [`NAMED_MAX`] items, and the count of the rest.
fn named(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(NAMED_MAX);
    let mut text = all.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 {
        let _ = write!(text, "; +{more}");
    }
    text
}

/// Examines everything that an agent needs.
///
/// # Errors
/// Fails if the settings cannot be read, or the client of the metadata service cannot be built from them.
pub async fn examine(args: &DoctorArgs, engine: Engine, clock: Clock) -> anyhow::Result<(Vec<Finding>, Exit)> {
    let settings = args.config.as_deref().map(Settings::load).transpose()?;
    let mut findings =
        vec![capability("net-raw", Capability::CAP_NET_RAW), capability("net-admin", Capability::CAP_NET_ADMIN)];
    findings.push(sockets(engine.kind(), engine.stamps(), &engine.shortcomings()));
    findings.push(arrivals(PortTap::open().err().map(|errno| errno.desc().to_owned()).as_deref()));
    findings.extend(Limits::read(privilege::has(Capability::CAP_NET_ADMIN)).findings());
    let metadata_client = MetadataClient::new(settings.as_ref().and_then(|settings| settings.metadata.as_deref()))?;
    let metadata = match metadata_client.identity().await {
        Ok(fact) => Known::Known(fact),
        Err(error) => {
            findings.push(Finding::new(
                "metadata",
                Standing::Wrong,
                format!("元数据服务没有应答：{}", chain(&error)),
                format!("the metadata service does not answer: {}", chain(&error)),
                "curl -s http://100.100.100.200/latest/meta-data/instance-id",
            ));
            Known::Unknown(error.why())
        }
    };
    let mut peers: BTreeSet<IpAddr> = args.peer.iter().copied().collect();
    if let Some(settings) = &settings {
        let (told, plan) = collector(settings, &clock).await;
        findings.extend(told);
        findings.push(spool(settings));
        peers.extend(plan.iter().flat_map(|plan| &plan.targets).map(|target| target.address));
    }
    let order = FactsOrder {
        agent: AgentId::parse("local")?,
        request: None,
        peers: peers.into_iter().collect(),
        metadata,
        engine: engine.kind(),
        observes: vec![],
        watched_ports: vec![],
        clock: Known::default(),
        since: None,
        until: None,
    };
    let facts = tokio::task::spawn_blocking(move || facts::read(order, wall())).await?;
    findings.extend(host::findings(&facts, settings.as_ref()));
    if !args.peer.is_empty() {
        findings.extend(sizes(&args.peer, &facts, clock).await);
    }
    let exit = verdict(&findings);
    Ok((findings, exit))
}

/// The largest packets that pass to the given peers. These are the only probes that `doctor` sends.
async fn sizes(peers: &[IpAddr], facts: &HostFacts, clock: Clock) -> Vec<Finding> {
    match search(peers, facts, clock).await {
        Ok(sizes) => sizes.iter().map(path_size::finding).collect(),
        Err(error) => vec![Finding::new(
            "path-size",
            Standing::Unknown,
            format!("无法查找可通过的最大报文：{error}"),
            format!("the largest packet that passes cannot be searched: {error}"),
            CAPABILITY_ADVICE,
        )],
    }
}

/// The exit code. Only findings that stop the agent from working count.
fn verdict(findings: &[Finding]) -> Exit {
    let stops = |finding: &&Finding| finding.standing == Standing::Wrong && !ADVISORY.contains(&finding.code);
    if findings.iter().any(|finding| stops(&finding)) { Exit::Bad } else { Exit::Fine }
}

fn capability(code: &'static str, capability: Capability) -> Finding {
    let has = privilege::has(capability);
    let (zh, en) = if has { ("有权限", "may use") } else { ("没有权限", "may not use") };
    let (zh, en) = (format!("{zh} {capability}"), format!("{en} {capability}"));
    Finding::new(code, Standing::of(has), zh, en, CAPABILITY_ADVICE)
}

/// The engine chosen, and how exact it is.
fn sockets(kind: ProbeEngine, stamps: Option<Stamps>, shortcomings: &[Shortcoming]) -> Finding {
    let (zh, en) = match stamps {
        Some(Stamps::TxAndRx) => ("收发时间均由内核记录", "the kernel stamps departures and arrivals"),
        Some(Stamps::RxOnly) => (
            "接收时间由内核记录，发送时间为发送前读取",
            "the kernel stamps arrivals, departures are read just before sending",
        ),
        Some(Stamps::None) | None => ("时间由本进程读取", "times are read by this process"),
    };
    let short = |lang| words_of(shortcomings, lang).unwrap_or_default();
    match kind {
        ProbeEngine::Raw if shortcomings.is_empty() => Finding::new(
            "sockets",
            Standing::Good,
            format!("原始 ICMP 套接字和抓包套接字可用，{zh}"),
            format!("raw ICMP and packet sockets work, {en}"),
            "",
        ),
        ProbeEngine::Raw | ProbeEngine::Portable | ProbeEngine::None => {
            Finding::new("sockets", Standing::Wrong, short(Lang::Zh), short(Lang::En), CAPABILITY_ADVICE)
        }
    }
}

/// Whether arriving UDP probes of other agents can be observed.
fn arrivals(refused: Option<&str>) -> Finding {
    match refused {
        None => Finding::new(
            "udp-arrivals",
            Standing::Good,
            "能观测到其他 agent 的 UDP 探测到达",
            "UDP probes of other agents are seen arriving",
            "",
        ),
        Some(why) => Finding::new(
            "udp-arrivals",
            Standing::Wrong,
            format!("看不到其他 agent 的 UDP 探测到达：{why}"),
            format!("UDP probes of other agents are not seen arriving: {why}"),
            CAPABILITY_ADVICE,
        ),
    }
}

async fn collector(settings: &Settings, clock: &Clock) -> (Vec<Finding>, Option<Plan>) {
    let collector = match Collector::new(settings) {
        Ok(collector) => collector,
        Err(error) => {
            let wrong = Finding::new("collector", Standing::Wrong, chain(&error), chain(&error), "pingtong enroll …");
            return (vec![wrong], None);
        }
    };
    let (asked_at, started) = (wall(), clock.mono());
    match collector.plan(None).await {
        Ok(plan) => {
            let sample = crate::uplink::sample(asked_at, clock.mono().saturating_sub(started), plan.now);
            let offset = sample.offset_ms;
            let ok = offset.saturating_abs() <= OFFSET_MS_MAX.saturating_add(sample.error_ms);
            let findings = vec![
                Finding::new(
                    "collector",
                    Standing::Good,
                    format!("采集端应答，计划中有 {} 个目标", plan.targets.len()),
                    format!("the collector answers, its plan has {} targets", plan.targets.len()),
                    "",
                ),
                clock_against(offset, ok),
            ];
            (findings, Some(plan))
        }
        Err(error) => {
            let wrong = Finding::new(
                "collector",
                Standing::Wrong,
                format!("采集端：{}", chain(&error)),
                chain(&error),
                "pingtong serve --config collector.toml --data DIR",
            );
            (vec![wrong], None)
        }
    }
}

fn clock_against(offset_ms: i64, ok: bool) -> Finding {
    Finding::new(
        "clock",
        Standing::of(ok),
        format!("时钟比采集端快 {offset_ms} ms"),
        format!("the clock is {offset_ms} ms ahead of the collector's"),
        "chronyc makestep",
    )
}

fn spool(settings: &Settings) -> Finding {
    let shown = settings.spool.display();
    match Spool::open(&settings.spool, crate::uplink::spool::SPOOL_BYTES_MAX) {
        Ok(spool) => Finding::new(
            "spool",
            Standing::Good,
            format!("{shown} 可用，待发 {} 份", spool.len()),
            format!("{shown} works, {} reports wait", spool.len()),
            "",
        ),
        Err(error) => Finding::new(
            "spool",
            Standing::Wrong,
            format!("{shown} 不可用：{error}"),
            format!("{shown} cannot be used: {error}"),
            &format!("mkdir -p {shown}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::NoSockets;
    use nix::errno::Errno;

    #[test]
    fn the_engine_its_stamps_and_what_it_lacks_are_told() {
        let exact = sockets(ProbeEngine::Raw, Some(Stamps::TxAndRx), &[]);
        let less = sockets(ProbeEngine::Raw, Some(Stamps::RxOnly), &[]);
        assert_eq!((exact.standing, less.standing), (Standing::Good, Standing::Good));
        assert_ne!((&exact.en, &exact.zh), (&less.en, &less.zh));
        for (kind, short) in [
            (ProbeEngine::Raw, Shortcoming::NoPacketSocket(Errno::EPERM)),
            (ProbeEngine::Portable, Shortcoming::Portable("raw")),
            (
                ProbeEngine::None,
                Shortcoming::NoSockets(NoSockets::new(Errno::EPERM, &std::io::Error::other("no. advice"))),
            ),
        ] {
            let finding = sockets(kind, None, std::slice::from_ref(&short));
            assert_eq!((finding.standing, finding.next.is_some()), (Standing::Wrong, true));
            assert_eq!((finding.en, finding.zh), (short.words(Lang::En), short.words(Lang::Zh)));
        }
        assert_eq!((arrivals(None).standing, arrivals(Some("x")).standing), (Standing::Good, Standing::Wrong));
        assert_eq!(
            (clock_against(3, true).standing, clock_against(9_000, false).standing),
            (Standing::Good, Standing::Wrong)
        );
    }

    #[test]
    fn what_is_advice_or_unknown_stops_nothing() {
        let one = |code, standing| verdict(&[Finding::new(code, standing, "", "", "")]);
        for code in ADVISORY {
            assert_eq!(one(code, Standing::Wrong), Exit::Fine, "{code}");
        }
        assert_eq!(one("echo", Standing::Wrong), Exit::Bad);
        assert_eq!((one("echo", Standing::Unknown), one("echo", Standing::Good)), (Exit::Fine, Exit::Fine));
    }
}
