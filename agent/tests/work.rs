//! The agent's binary against a collector of the test's own, over real TLS and real ICMP on the loopback.
//!
//! Question: does an unmodified agent follow a plan, answer a request for fresh evidence, and lose no report while its
//! collector is down or the agent itself is restarted? Only the loopback is used. Without the capability for raw
//! sockets, the agent must say so and still report.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and reads the real clock where it measures"
)]

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use axum_server::tls_rustls::RustlsConfig;
use pingtong_agent::engine::Sockets;
use pingtong_evidence::{
    Ack, AgentHello, AgentId, LoadRefusal, PairId, Plan, PlanArrival, PlanLoad, PlanTarget, Protocol, ReportBatch,
    ReportBody, ReportId, RequestTag, RoundPurpose, SCHEMA, Sampling, Timestamp,
};
use pingtong_probe::{AgentHash, NonceKey, Payload};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::timeout};

const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Fake {
    plan: Arc<watch::Sender<Plan>>,
    away: Arc<watch::Sender<bool>>,
    kept: Arc<watch::Sender<Vec<(ReportId, ReportBody)>>>,
}

#[derive(Deserialize)]
struct PlanQuery {
    known: Option<u64>,
    wait_ms: u64,
}

impl Fake {
    fn new() -> Self {
        let (plan, _) = watch::channel(plan(1, None));
        let (away, _) = watch::channel(false);
        let (kept, _) = watch::channel(vec![]);
        Self { plan: Arc::new(plan), away: Arc::new(away), kept: Arc::new(kept) }
    }

    /// Serves on a free port of the loopback; returns the address and the certificate.
    async fn serve(&self) -> (SocketAddr, String) {
        pingtong_cloud::install_crypto();
        let made = rcgen::generate_simple_self_signed(vec![String::from("127.0.0.1")]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let tls = RustlsConfig::from_pem(certificate.clone().into_bytes(), key.into_bytes()).await.unwrap();
        let app = Router::new()
            .route("/v1/plan", get(plan_of))
            .route("/v1/hello", post(hello))
            .route("/v1/reports", post(reports))
            .with_state(self.clone());
        let handle = axum_server::Handle::new();
        let server = axum_server::bind_rustls(SocketAddr::from(([127, 0, 0, 1], 0)), tls).handle(handle.clone());
        tokio::spawn(server.serve(app.into_make_service()));
        (handle.listening().await.unwrap(), certificate)
    }

    async fn wait(&self, what: &str, mut there: impl FnMut(&[(ReportId, ReportBody)]) -> bool) {
        let mut kept = self.kept.subscribe();
        let waited = timeout(DEADLINE, kept.wait_for(|kept| there(kept))).await;
        assert!(waited.is_ok(), "{what} within {DEADLINE:?}; kept: {:#?}", self.kept.borrow());
    }
}

async fn plan_of(
    State(fake): State<Fake>,
    headers: HeaderMap,
    Query(query): Query<PlanQuery>,
) -> Result<Json<Plan>, StatusCode> {
    authorised(&fake, &headers)?;
    let mut plan = fake.plan.subscribe();
    let changed = plan.wait_for(|plan| Some(plan.revision) != query.known);
    let _ = timeout(Duration::from_millis(query.wait_ms), changed).await;
    let plan = fake.plan.borrow().clone();
    Ok(Json(plan))
}

async fn hello(State(fake): State<Fake>, headers: HeaderMap, Json(_): Json<AgentHello>) -> Result<(), StatusCode> {
    authorised(&fake, &headers)
}

async fn reports(
    State(fake): State<Fake>,
    headers: HeaderMap,
    Json(batch): Json<ReportBatch>,
) -> Result<Json<Ack>, StatusCode> {
    authorised(&fake, &headers)?;
    let accepted: Vec<ReportId> = batch.reports.iter().map(|report| report.id.clone()).collect();
    fake.kept.send_modify(|kept| kept.extend(batch.reports.into_iter().map(|report| (report.id, report.body))));
    Ok(Json(Ack { accepted, rejected: vec![], now: Timestamp::from_millis(0) }))
}

fn authorised(fake: &Fake, headers: &HeaderMap) -> Result<(), StatusCode> {
    if *fake.away.borrow() {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let right = headers.get("authorization").is_some_and(|value| value == "Bearer A.ecs1.00ff");
    if right { Ok(()) } else { Err(StatusCode::UNAUTHORIZED) }
}

fn plan(revision: u64, fresh: Option<&str>) -> Plan {
    let target = |address: &str| PlanTarget {
        pair: PairId::parse(address).unwrap(),
        address: address.parse().unwrap(),
        agent: None,
        protocol: Protocol::Icmp,
        port: None,
        link: None,
    };
    Plan {
        schema: SCHEMA,
        revision,
        nonce_key: "07".repeat(32),
        targets: vec![target("127.0.0.1"), target("192.0.2.1")],
        senders: vec![],
        arrivals: vec![],
        steady: Sampling { probes: 5, spacing_ms: 10, timeout_ms: 200, period_ms: 200 },
        snapshot_period_ms: 60_000,
        fresh: fresh.map(|tag| RequestTag::parse(tag).unwrap()),
        fresh_sampling: Sampling { probes: 100, spacing_ms: 4, timeout_ms: 500, period_ms: 1_000 },
        shares: vec![],
        load: None,
        now: Timestamp::from_millis(0),
    }
}

/// An agent process, killed when this is dropped.
struct Agent(Child);

impl Agent {
    fn start(config: &Path) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_pingtong-agent"))
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn config(directory: &Path, collector: SocketAddr, certificate: &str) -> std::path::PathBuf {
    let path = directory.join("agent.toml");
    let spool = directory.join("spool");
    let text = format!(
        "collector = \"https://{collector}\"\ncertificate = \"\"\"\n{certificate}\"\"\"\nagent = \"A.ecs1\"\nsecret = \"00ff\"\n\
         account = \"1000000000000001\"\nallow = [\"127.0.0.0/8\"]\nrate_pps_max = 2000\nspool = \"{}\"\n\
         metadata = \"http://127.0.0.1:1\"\ncloud_endpoint = \"http://127.0.0.1:1\"\n",
        spool.display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn raw_permitted() -> bool {
    let permitted = Sockets::open().is_ok();
    if !permitted {
        assert!(std::env::var_os("CI").is_none(), "raw sockets are needed under CI");
        eprintln!("SKIPPED: the part with raw sockets: no CAP_NET_RAW");
    }
    permitted
}

#[tokio::test]
async fn a_request_for_fresh_evidence_is_answered_at_once_and_completely() {
    let (fake, directory) = (Fake::new(), tempfile::tempdir().unwrap());
    let (address, certificate) = fake.serve().await;
    let _agent = Agent::start(&config(directory.path(), address, &certificate));
    fake.wait("health", |kept| kept.iter().any(|(_, body)| matches!(body, ReportBody::Health(_)))).await;

    let asked = std::time::Instant::now();
    fake.plan.send_replace(plan(2, Some("r1")));
    let tag = RequestTag::parse("r1").unwrap();
    let done =
        |body: &ReportBody| matches!(body, ReportBody::Health(health) if health.fresh_done.as_ref() == Some(&tag));
    fake.wait("fresh evidence", |kept| kept.iter().any(|(_, body)| done(body))).await;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(4), "fresh evidence took {took:?}");

    let kept = fake.kept.borrow().clone();
    let at = kept.iter().position(|(_, body)| done(body)).unwrap();
    let facts = kept[..at]
        .iter()
        .any(|(_, body)| matches!(body, ReportBody::Host(facts) if facts.request.as_ref() == Some(&tag)));
    assert!(facts, "facts come before the end is told");
    let health =
        kept.iter().rev().find_map(|(_, body)| if let ReportBody::Health(health) = body { Some(health) } else { None });
    let health = health.unwrap();
    assert_eq!(health.targets_refused, ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]);
    if raw_permitted() {
        let rounds = kept[..at].iter().filter_map(|(_, body)| match body {
            ReportBody::Probe(round)
                if round.request.as_ref() == Some(&tag) && round.purpose != RoundPurpose::PathSize =>
            {
                Some(round)
            }
            _ => None,
        });
        let rounds: Vec<_> = rounds.collect();
        let sum =
            |count: fn(&pingtong_evidence::ProbeRound) -> u64| rounds.iter().map(|round| count(round)).sum::<u64>();
        let counts = [sum(|r| r.planned.into()), sum(|r| r.sent.len()), sum(|r| r.replied.len())];
        assert_eq!(counts, [100; 3], "the burst comes before the end is told");
        assert_eq!(rounds.len(), 4, "each of its flows has an identifier of its own");
        assert!(rounds.iter().all(|round| round.rtt.unwrap().kernel_timestamps));
    } else {
        assert!(health.degraded.is_some(), "what is not permitted is told");
    }
}

#[tokio::test]
async fn a_load_is_sent_after_everything_else_where_the_owner_allows_it_and_else_refused_in_words() {
    let (fake, directory) = (Fake::new(), tempfile::tempdir().unwrap());
    let (address, certificate) = fake.serve().await;
    let path = config(directory.path(), address, &certificate);
    let pair = PairId::parse("127.0.0.1").unwrap();
    let load = PlanLoad { pair, address: [127, 0, 0, 1].into(), mbit: 100, seconds: 1 };
    let asked = |revision, tag| Plan { load: Some(load.clone()), ..plan(revision, Some(tag)) };
    let done = |body: &ReportBody, tag: &str| match body {
        ReportBody::Health(health) if health.fresh_done.as_ref().is_some_and(|done| done.as_str() == tag) => {
            Some(health.load_refused.clone())
        }
        _ => None,
    };
    let agent = Agent::start(&path);
    fake.plan.send_replace(asked(2, "r1"));
    fake.wait("the refusal", |kept| kept.iter().any(|(_, body)| done(body, "r1").is_some())).await;
    let why = fake.kept.borrow().iter().find_map(|(_, body)| done(body, "r1")).unwrap();
    assert_eq!(why, Some(LoadRefusal::NotPermitted), "it is off by default");
    drop(agent);

    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("load_mbit_max = 4\n{text}")).unwrap();
    let _agent = Agent::start(&path);
    fake.plan.send_replace(asked(3, "r2"));
    fake.wait("the load", |kept| kept.iter().any(|(_, body)| done(body, "r2").is_some())).await;
    let kept = fake.kept.borrow().clone();
    let end = kept.iter().position(|(_, body)| done(body, "r2").is_some()).unwrap();
    let rounds: Vec<_> = kept[..end]
        .iter()
        .filter_map(|(_, body)| match body {
            ReportBody::Probe(round) if round.request.as_ref().is_some_and(|tag| tag.as_str() == "r2") => Some(round),
            _ => None,
        })
        .collect();
    if raw_permitted() {
        let loads: Vec<_> = rounds.iter().map(|round| round.purpose).filter(|purpose| purpose.is_load()).collect();
        let steps = [1_000_000, 2_000_000, 4_000_000].map(|bits_per_s| RoundPurpose::Load { bits_per_s });
        assert_eq!(loads, steps, "cut to the owner's word, in rising steps");
        let burst_ended = rounds.iter().filter(|round| round.is_plain()).map(|round| round.ended_at).max().unwrap();
        assert!(rounds.iter().all(|round| !round.purpose.is_load() || round.started_at >= burst_ended));
        assert_eq!(done(&kept[end].1, "r2"), Some(None));
    }
}

#[tokio::test]
async fn an_expected_datagram_is_echoed_at_a_port_that_the_owner_names() {
    let (fake, directory) = (Fake::new(), tempfile::tempdir().unwrap());
    let (address, certificate) = fake.serve().await;
    let path = config(directory.path(), address, &certificate);
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("udp_echo = [{port}]\n{text}")).unwrap();
    let peer = AgentId::parse("B.ecs1").unwrap();
    let here = [127, 0, 0, 1].into();
    let arrival = PlanArrival { agent: peer.clone(), from: here, to: here, protocol: Protocol::Udp, port };
    fake.plan.send_replace(Plan { arrivals: vec![arrival], ..plan(2, None) });
    let _agent = Agent::start(&path);
    let probe = Payload { agent: AgentHash::of(&peer), round: 1.into(), sequence: 0 };
    let probe = probe.encode(&NonceKey::from_bytes([7; 32]), 64);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(("127.0.0.1", port)).await.unwrap();
    let echoed = async {
        let mut buffer = [0; 128];
        loop {
            // The port refuses until the agent has its plan.
            let sent = socket.send(&probe).await.is_ok();
            match timeout(Duration::from_millis(100), socket.recv(&mut buffer)).await {
                Ok(Ok(bytes)) if sent => return buffer[..bytes].to_vec(),
                _ => {}
            }
        }
    };
    assert_eq!(timeout(DEADLINE, echoed).await.expect("an echo"), probe);
}

#[tokio::test]
async fn reports_outlive_an_absent_collector_and_a_killed_agent() {
    let (fake, directory) = (Fake::new(), tempfile::tempdir().unwrap());
    let (address, certificate) = fake.serve().await;
    let config = config(directory.path(), address, &certificate);
    let agent = Agent::start(&config);
    fake.wait("the first report", |kept| !kept.is_empty()).await;
    fake.away.send_replace(true);

    // What is on disk now was never acknowledged. The directory is polled: it fills while the collector is down.
    let spool = directory.path().join("spool");
    let waiting = || std::fs::read_dir(&spool).map_or(0, Iterator::count);
    let filled = async {
        while waiting() < 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if raw_permitted() {
        timeout(DEADLINE, filled).await.expect("reports are kept on disk");
    }
    drop(agent);
    let left: Vec<String> = std::fs::read_dir(&spool)
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok())
        .filter_map(|text| serde_json::from_str::<pingtong_evidence::Report>(&text).ok())
        .map(|report| report.id.to_string())
        .collect();

    fake.away.send_replace(false);
    let _again = Agent::start(&config);
    fake.wait("every report that was left", |kept| {
        left.iter().all(|id| kept.iter().any(|(each, _)| each.as_str() == id))
    })
    .await;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (id, _) in fake.kept.borrow().iter() {
        *times.entry(id.to_string()).or_default() += 1;
    }
    assert!(times.values().all(|&times| times == 1), "an acknowledged report is not sent again: {times:?}");
}

#[test]
fn wrong_settings_end_with_64_and_every_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.toml");
    std::fs::write(&path, "agent = \"\"\nnonsense = 1\n").unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_pingtong-agent")).args(["run", "--config"]).arg(&path).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{errors}");
    for expected in ["agent.toml:1: agent = \"\": ", "agent.toml:2: unknown key \"nonsense\"", "\"secret\" is missing"]
    {
        assert!(errors.contains(expected), "{expected} in {errors}");
    }
}

#[test]
fn a_command_that_does_not_exist_ends_with_64() {
    let output = Command::new(env!("CARGO_BIN_EXE_pingtong-agent")).arg("pong").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
}
