//! `doctor`: what works here, and the next step for what does not.

use crate::{
    chain,
    clock::{Clock, wall},
    collector::Collector,
    engine::{CAPABILITY_ADVICE, Engine},
    facts::{self, FactsOrder},
    oneshot::Exit,
    privilege,
    settings::Settings,
    spool::Spool,
};
use caps::Capability;
use pingtong_cloud::MetadataClient;
use pingtong_evidence::{AgentId, Container, HostFacts, Known, MetadataFact, ProbeEngine};
use std::path::Path;

/// Offset of the clocks beyond which stamps of two hosts cannot be laid side by side.
const OFFSET_MS_MAX: i64 = 1_000;

/// One thing looked at.
#[derive(Debug)]
pub struct Finding {
    /// Stable, for scripts.
    pub code: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// In Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
    /// What to do about it: a command or a place.
    pub next: Option<String>,
}

impl Finding {
    fn new(code: &'static str, ok: bool, zh: impl Into<String>, en: impl Into<String>, next: &str) -> Self {
        Self { code, ok, zh: zh.into(), en: en.into(), next: (!ok && !next.is_empty()).then(|| next.to_owned()) }
    }
}

/// Looks at everything that an agent needs.
///
/// # Errors
/// When the settings cannot be read.
pub async fn examine(config: Option<&Path>, engine: Engine, clock: Clock) -> anyhow::Result<(Vec<Finding>, Exit)> {
    let settings = config.map(Settings::load).transpose()?;
    let mut findings =
        vec![capability("net-raw", Capability::CAP_NET_RAW), capability("net-admin", Capability::CAP_NET_ADMIN)];
    findings.push(sockets(&engine));
    let metadata_client = MetadataClient::new(settings.as_ref().and_then(|settings| settings.metadata.as_deref()))?;
    let metadata = match metadata_client.identity().await {
        Ok(fact) => Known::Known(fact),
        Err(error) => {
            findings.push(Finding::new(
                "metadata",
                false,
                format!("元数据服务没有应答：{}", chain(&error)),
                format!("the metadata service does not answer: {}", chain(&error)),
                "curl -s http://100.100.100.200/latest/meta-data/instance-id",
            ));
            Known::Unknown(error.why())
        }
    };
    let order = FactsOrder {
        agent: AgentId::parse("local")?,
        request: None,
        peers: vec![],
        metadata,
        engine: engine.kind(),
        observes: vec![],
        clock: Known::default(),
        since: None,
    };
    let facts = tokio::task::spawn_blocking(move || facts::read(order, wall())).await?;
    findings.extend(host(&facts, settings.as_ref()));
    if let Some(settings) = &settings {
        findings.extend(collector(settings, &clock).await);
        findings.push(spool(settings));
    }
    // Without raw sockets an agent still works, so only what stops the work makes the exit code.
    let stopped =
        findings.iter().any(|finding| !finding.ok && !matches!(finding.code, "net-raw" | "net-admin" | "firewall"));
    Ok((findings, if stopped { Exit::Broken } else { Exit::Healthy }))
}

fn capability(code: &'static str, capability: Capability) -> Finding {
    let has = privilege::has(capability);
    let (zh, en) = if has { ("有权限", "may use") } else { ("没有权限", "may not use") };
    Finding::new(code, has, format!("{zh} {capability}"), format!("{en} {capability}"), CAPABILITY_ADVICE)
}

fn sockets(engine: &Engine) -> Finding {
    match (engine.kind(), engine.degraded()) {
        (ProbeEngine::Raw, None) => {
            Finding::new("sockets", true, "原始 ICMP 套接字和抓包套接字可用", "raw ICMP and packet sockets work", "")
        }
        (kind, why) => {
            let zh = match kind {
                ProbeEngine::Raw => "没有抓包套接字：被本机拒绝的到达看不到",
                ProbeEngine::Portable => "没有原始套接字，改用 surge-ping：看不到到达和 ICMP 错误，时间精度约 1 毫秒",
                ProbeEngine::None => "不能打开任何 ICMP 套接字，无法探测；代理仍会上报配置和本机事实",
            };
            Finding::new("sockets", false, zh, why.unwrap_or_default(), CAPABILITY_ADVICE)
        }
    }
}

fn host(facts: &HostFacts, settings: Option<&Settings>) -> Vec<Finding> {
    let mut findings = vec![];
    if let Known::Known((first, last)) = facts.sysctls.ping_group_range {
        let open = first <= last;
        if facts.engine == ProbeEngine::None {
            findings.push(Finding::new(
                "ping-group-range",
                open,
                format!("net.ipv4.ping_group_range = {first} {last}"),
                format!("net.ipv4.ping_group_range = {first} {last}"),
                "sysctl -w net.ipv4.ping_group_range='0 2147483647'",
            ));
        }
    }
    if let Known::Known(fact) = &facts.metadata {
        findings.push(identity(fact, settings));
    }
    match &facts.firewall {
        Known::Known(firewall) => findings.push(Finding::new(
            "firewall",
            true,
            format!("可读取本机防火墙：{} 个基链，{} 条拒绝规则", firewall.base_chains, firewall.refusing.len()),
            format!(
                "the packet filter can be read: {} base chains, {} refusing rules",
                firewall.base_chains,
                firewall.refusing.len()
            ),
            "",
        )),
        Known::Unknown(why) => {
            findings.push(Finding::new(
                "firewall",
                false,
                format!("无法读取本机防火墙：{why}"),
                format!("the packet filter cannot be read: {why}"),
                CAPABILITY_ADVICE,
            ));
        }
    }
    if facts.container.known() == Some(&Container::Yes) {
        findings.push(Finding::new(
            "container",
            false,
            "在容器中运行，看不到实例的网络",
            "in a container that does not share the instance's network",
            "docker run --network host …",
        ));
    }
    findings
}

fn identity(fact: &MetadataFact, settings: Option<&Settings>) -> Finding {
    let own = settings.is_none_or(|settings| settings.account == fact.account);
    let text = format!("{} {} {} {}", fact.instance, fact.account, fact.region, fact.private_address);
    if own {
        return Finding::new("metadata", true, format!("元数据：{text}"), format!("metadata: {text}"), "");
    }
    Finding::new(
        "metadata",
        false,
        format!("实例属于账号 {}，与配置中的账号不同", fact.account),
        format!("the instance belongs to account {}, the settings name another", fact.account),
        &format!("pingtong enroll --account {} …", fact.account),
    )
}

async fn collector(settings: &Settings, clock: &Clock) -> Vec<Finding> {
    let collector = match Collector::new(settings) {
        Ok(collector) => collector,
        Err(error) => return vec![Finding::new("collector", false, chain(&error), chain(&error), "pingtong enroll …")],
    };
    let (asked_at, started) = (wall(), clock.mono());
    match collector.plan(None).await {
        Ok(plan) => {
            let sample = crate::uplink::sample(asked_at, clock.mono().saturating_sub(started), plan.now);
            let offset = sample.offset_ms;
            let ok = offset.saturating_abs() <= OFFSET_MS_MAX.saturating_add(sample.error_ms);
            vec![
                Finding::new(
                    "collector",
                    true,
                    format!("采集端应答，计划中有 {} 个目标", plan.targets.len()),
                    format!("the collector answers, its plan has {} targets", plan.targets.len()),
                    "",
                ),
                Finding::new(
                    "clock",
                    ok,
                    format!("时钟比采集端快 {offset} ms"),
                    format!("the clock is {offset} ms ahead of the collector's"),
                    "chronyc makestep",
                ),
            ]
        }
        Err(error) => vec![Finding::new(
            "collector",
            false,
            format!("采集端：{}", chain(&error)),
            chain(&error),
            "pingtong serve --config collector.toml --data DIR",
        )],
    }
}

fn spool(settings: &Settings) -> Finding {
    let shown = settings.spool.display();
    match Spool::open(&settings.spool, crate::spool::SPOOL_BYTES_MAX) {
        Ok(spool) => Finding::new(
            "spool",
            true,
            format!("{shown} 可用，待发 {} 份", spool.len()),
            format!("{shown} works, {} reports wait", spool.len()),
            "",
        ),
        Err(error) => Finding::new(
            "spool",
            false,
            format!("{shown} 不可用：{error}"),
            format!("{shown} cannot be used: {error}"),
            &format!("mkdir -p {shown}"),
        ),
    }
}
