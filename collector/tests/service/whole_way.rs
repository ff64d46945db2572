//! The whole path: enrol, serve, report, verify; then diagnose again from the saved evidence.

use crate::site::{A, Agent, B, Site, health, report};
use pingtong_evidence::{ArrivalRound, BandwidthSource, Known, Plan, ProbeRound, ReportBody, RequestTag, SequenceSet};
use serde_json::{Value, json};
use std::process::Stdio;

/// Waits for the request, then answers it as a live agent does.
async fn answer(agent: &Agent, observed_from: &str, own_address: &str, peer_address: &str, peer: &str) -> Plan {
    let calm = Burst { number: 1, probes: 100, sending_ms: 900, answered: 100 };
    answer_with(agent, [observed_from, own_address, peer_address, peer], calm, None).await
}

/// What an agent sends for one request.
#[derive(Clone, Copy)]
struct Burst {
    number: u64,
    probes: u32,
    sending_ms: u64,
    answered: u32,
}

/// Answers a request other than `before` with this burst.
async fn answer_with(agent: &Agent, ends: [&str; 4], burst: Burst, before: Option<&RequestTag>) -> Plan {
    let [observed_from, own_address, peer_address, peer] = ends;
    let Burst { number, probes, sending_ms, answered } = burst;
    let mut plan = agent.plan(0, 0).await;
    while plan.fresh.is_none() || plan.fresh.as_ref() == before {
        plan = agent.plan(plan.revision, 30_000).await;
    }
    let tag = plan.fresh.clone().unwrap();
    let target = &plan.targets[0];
    assert_eq!(target.address.to_string(), peer_address);
    let now = plan.now;
    let round: ProbeRound = serde_json::from_value(json!({
        "key": {"agent": agent.name, "round": number}, "pair": target.pair, "target": peer_address, "protocol": "icmp",
        "request": tag, "started_at": now, "ended_at": now.plus(std::time::Duration::from_secs(1)), "payload_bytes": 56,
        "planned": probes, "sent": SequenceSet::first(probes), "replied": SequenceSet::first(answered), "sending_ms": sending_ms
    }))
    .unwrap();
    let all = || Known::Known(SequenceSet::first(answered));
    let arrival: ArrivalRound = serde_json::from_value(json!({
        "observer": agent.name, "key": {"agent": peer, "round": number}, "from": observed_from, "to": own_address,
        "first_at": now, "last_at": now, "interface": "eth0", "on_wire": all(), "accepted": all(), "replied": all()
    }))
    .unwrap();
    let ack = agent
        .report(vec![
            report(&format!("r-probe-{number}"), ReportBody::Probe(Box::new(round))),
            report(&format!("r-arrival-{number}"), ReportBody::Arrival(arrival)),
            health(&format!("r-health-{number}"), Some(&tag)),
        ])
        .await;
    assert_eq!((ack.accepted.len(), ack.rejected), (3, vec![]));
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn from_enrolment_to_a_verdict_that_can_be_decided_again() {
    let site = Site::new();
    let (a, b) = (site.enroll("A.ecs1", A, "i-a"), site.enroll("B.ecs1", B, "i-b"));
    let mut server = site.serve();
    assert_eq!(a.hello("i-a", "vpc-a", "192.168.1.10").await.status(), 204);
    assert_eq!(b.hello("i-b", "vpc-b", "172.16.1.10").await.status(), 204);

    let verify = site
        .command("verify", &["--json", "--wait", "20", "--save", "evidence.json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (plan_a, plan_b) = tokio::join!(
        answer(&a, "172.16.1.10", "192.168.1.10", "172.16.1.10", "B.ecs1"),
        answer(&b, "192.168.1.10", "172.16.1.10", "192.168.1.10", "A.ecs1")
    );
    assert_eq!(plan_a.nonce_key, plan_b.nonce_key, "agents of a link recognise each other's probes");
    assert_eq!(plan_a.nonce_key.len(), 64);
    let output = verify.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let verdict: Value =
        serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text} {}", site.log()));
    assert_eq!(verdict["pair"]["id"], "peering1/192.168.1.10-172.16.1.10/icmp");
    assert_eq!(verdict["state"], "healthy", "{verdict}");
    assert_eq!(verdict["directions"]["forward"]["sent"], 100);
    assert_eq!(output.status.code(), Some(0));

    let again = site.run("diagnose", &["evidence.json", "--json"]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), text, "the same evidence gives the same bytes");
    assert_eq!(again.status.code(), Some(0));
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(site.path("evidence.json")).unwrap()).unwrap();
    assert_eq!((&saved["schema"], saved["pairs"].as_array().unwrap().len()), (&json!(2), 1));
    assert_eq!(saved["evidence"]["arrivals"].as_array().unwrap().len(), 2);
    assert_eq!(saved["evidence"]["silent"], json!([]));

    assert_eq!(server.terminate(), Some(0), "{}", site.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_answer_is_named_and_costs_the_wait_only() {
    let site = Site::new();
    let (a, _b) = (site.enroll("A.ecs1", A, "i-a"), site.enroll("B.ecs1", B, "i-b"));
    let _server = site.serve();
    let verify = site
        .command("verify", &["--json", "--wait", "1", "--save", "evidence.json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    answer(&a, "172.16.1.10", "192.168.1.10", "172.16.1.10", "B.ecs1").await;
    verify.wait_with_output().unwrap();
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(site.path("evidence.json")).unwrap()).unwrap();
    assert_eq!(saved["evidence"]["silent"], json!(["B.ecs1"]));
    assert_eq!(saved["evidence"]["probes"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_steady_probes_are_planned_where_the_settings_say_so() {
    for (more, probes) in [("", 10), ("steady_probes = 1", 1)] {
        let site = Site::new();
        site.write_config(more);
        let a = site.enroll("A.ecs1", A, "i-a");
        let _server = site.serve();
        let plan = a.plan(0, 0).await;
        assert_eq!((plan.steady.probes, plan.steady.period_ms, plan.fresh_sampling.probes), (probes, 1_000, 400));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_agent_learns_of_a_new_peer_at_once() {
    let site = Site::new();
    let a = site.enroll("A.ecs1", A, "i-a");
    let _server = site.serve();
    let plan = a.plan(0, 0).await;
    assert_eq!(plan.targets[0].agent, None);
    let waiting = tokio::spawn({
        let a = a.clone();
        async move { a.plan(plan.revision, 25_000).await }
    });
    site.enroll("B.ecs1", B, "i-b");
    let changed = waiting.await.unwrap();
    assert!(changed.revision > plan.revision);
    assert_eq!(changed.targets[0].agent.as_ref().unwrap().as_str(), "B.ecs1");
    assert_eq!(a.plan(changed.revision, 0).await.revision, changed.revision, "nothing new is said so at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_does_not_wait_for_long_polls_and_revisions_never_repeat() {
    let site = Site::new();
    let a = site.enroll("A.ecs1", A, "i-a");
    let mut server = site.serve();
    let plan = a.plan(0, 0).await;
    let waiting = tokio::spawn({
        let a = a.clone();
        async move { a.plan(plan.revision, 50_000).await }
    });
    // The server answers another connection while the first one waits.
    assert_eq!(a.plan(0, 0).await.revision, plan.revision);
    assert_eq!(server.terminate(), Some(0), "{}", site.log());
    assert!(site.log().contains("stopped"), "{}", site.log());
    drop(waiting);
    let _server = site.serve();
    assert!(a.plan(0, 0).await.revision > plan.revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_need_the_admin_token_and_get_numbers() {
    let site = Site::new();
    let a = site.enroll("A.ecs1", A, "i-a");
    let _server = site.serve();
    for _ in 0..2 {
        // Sent again, it is stored and counted once.
        a.report(vec![health("one", None)]).await;
    }
    let token = std::fs::read_to_string(site.path("data/admin-token")).unwrap();
    for (path, token, status) in [
        ("healthz", "", 200),
        ("metrics", "", 401),
        ("metrics", a.token.as_str(), 401),
        ("metrics", token.as_str(), 200),
        ("v1/verdicts", token.as_str(), 200),
        ("v1/plan", token.as_str(), 401),
    ] {
        let response = a.client.get(format!("{}/{path}", a.url)).bearer_auth(token).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let text = response.text().await.unwrap();
        if path == "metrics" && status == 200 {
            assert_eq!(kind.as_deref(), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
            assert!(text.contains("\npingtong_reports_accepted_total 1\n"), "{text}");
        }
    }
    let output = site.run("verify", &["--pair", "nowhere"]);
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("there are: peering1/192.168.1.10-172.16.1.10/icmp"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_asked_of_one_agent_and_only_where_the_settings_permit_it() {
    let site = Site::new();
    let (a, b) = (site.enroll("A.ecs1", A, "i-a"), site.enroll("B.ecs1", B, "i-b"));
    let mut server = site.serve();
    assert_eq!(a.hello("i-a", "vpc-a", "192.168.1.10").await.status(), 204);
    assert_eq!(b.hello("i-b", "vpc-b", "172.16.1.10").await.status(), 204);
    let refused = site.run("verify", &["--json", "--load", "--pair", "peering1"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("load_mbit") && !refused.status.success(), "{text}");
    server.terminate();

    let settings = std::fs::read_to_string(site.path("collector.toml")).unwrap();
    let permitted = settings.replacen("kind = ", "load_mbit = 20\nload_seconds = 2\nkind = ", 1);
    std::fs::write(site.path("collector.toml"), permitted).unwrap();
    let mut server = site.serve();
    assert_eq!(a.hello("i-a", "vpc-a", "192.168.1.10").await.status(), 204);
    assert_eq!(b.hello("i-b", "vpc-b", "172.16.1.10").await.status(), 204);
    let verify = site
        .command("verify", &["--json", "--wait", "20", "--load", "--pair", "peering1", "--lang", "en"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (plan_a, plan_b) = tokio::join!(
        answer(&a, "172.16.1.10", "192.168.1.10", "172.16.1.10", "B.ecs1"),
        answer(&b, "192.168.1.10", "172.16.1.10", "192.168.1.10", "A.ecs1")
    );
    let load = plan_a.load.unwrap();
    assert_eq!((load.mbit, load.seconds, load.address.to_string()), (20, 2, "172.16.1.10".to_owned()));
    assert_eq!(plan_b.load, None);
    let output = verify.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("takes bandwidth from others"), "it is announced: {said}");
    assert_eq!(a.plan(0, 0).await.load, None, "once");
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_of_probes_that_took_more_than_their_budget_are_asked_for_again() {
    let site = Site::new();
    let (a, b) = (site.enroll("A.ecs1", A, "i-a"), site.enroll("B.ecs1", B, "i-b"));
    let _server = site.serve();
    assert_eq!(a.hello("i-a", "vpc-a", "192.168.1.10").await.status(), 204);
    assert_eq!(b.hello("i-b", "vpc-b", "172.16.1.10").await.status(), 204);
    let share = a.plan(0, 0).await.shares.remove(0);
    let budget = share.budget;
    assert_eq!((budget.bandwidth.bits_per_s, budget.bandwidth.source), (2_000_000, BandwidthSource::Assumed));
    assert_eq!((budget.fresh_bits_per_s, budget.steady_bits_per_s, budget.flows), (400_000, 40_000, 2));
    assert_eq!((share.fresh_bits_per_s, share.fresh.probes, share.fresh.spacing_ms), (200_000, 400, 4));

    let verify = site
        .command("verify", &["--json", "--wait", "20", "--save", "evidence.json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ends_a = ["172.16.1.10", "192.168.1.10", "172.16.1.10", "B.ecs1"];
    let ends_b = ["192.168.1.10", "172.16.1.10", "192.168.1.10", "A.ecs1"];
    let loud = Burst { number: 1, probes: 1_000, sending_ms: 500, answered: 800 };
    let (first, _) = tokio::join!(answer_with(&a, ends_a, loud, None), answer_with(&b, ends_b, loud, None));
    let calm = Burst { number: 2, probes: 400, sending_ms: 1_600, answered: 400 };
    let before = first.fresh.as_ref();
    tokio::join!(answer_with(&a, ends_a, calm, before), answer_with(&b, ends_b, calm, before));
    let output = verify.wait_with_output().unwrap();
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&verdict["state"], &verdict["directions"]["forward"]["sent"]), (&json!("healthy"), &json!(400)));
    assert_eq!(verdict["probing"]["budget"]["fresh_bits_per_s"], 400_000, "{verdict}");
    assert!(site.log().contains("more than their budget"), "{}", site.log());
}
