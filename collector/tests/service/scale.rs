//! A link with a thousand pairs: its evidence travels once, and the collector stays small.

use crate::site::{A, Agent, B, Server, Site, health, report};
use pingtong_evidence::{
    ArrivalRound, Known, Plan, ProbeRound, Report, ReportBody, RequestTag, SequenceSet, Snapshot, Timestamp,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Stdio, time::Duration};
use tokio::task::JoinSet;

const INITIATORS: usize = 25;
const ACCEPTORS: usize = 40;
const PAIRS: usize = INITIATORS * ACCEPTORS;
const ROUTES: usize = 2_000;
/// Rules of each side, in groups of a hundred.
const GROUPS: usize = 100;
const RULES_OF_GROUP: usize = 100;
/// What a pair may add to the answer, and how often the answer may repeat all.
const PAIR_BYTES: usize = 3_000;
const TIMES: usize = 2;
const COLLECTOR_MIB_MAX: u64 = 200;

/// A played agent: at an address, beside others of its side.
#[derive(Clone)]
struct Host {
    agent: Agent,
    address: String,
}

fn snapshot(account: &str, region: &str, letter: &str, request: &RequestTag, now: Timestamp) -> Snapshot {
    let routes: Vec<Value> = (0..ROUTES)
        .map(|n| {
            json!({"id": format!("rte-{letter}{n}"), "destination": format!("10.{}.{}.0/24", n / 250, n % 250),
                "kind": "custom", "status": "available",
                "next_hops": [{"kind": "router_interface", "id": format!("ri-{letter}"), "enabled": null, "weight": null}]})
        })
        .collect();
    let rule = |group: usize, n: usize| {
        json!({"id": format!("sgr-{letter}{group}x{n}"), "ingress": true, "policy": "accept", "priority": 1,
            "protocol": "icmp", "ports": [0, 65535], "peer": {"cidr": format!("10.{group}.{n}.0/24")}})
    };
    let groups: Vec<Value> = (0..GROUPS)
        .map(|group| {
            let rules: Vec<Value> = (0..RULES_OF_GROUP).map(|n| rule(group, n)).collect();
            json!({"id": format!("sg-{letter}{group}"), "vpc": format!("vpc-{letter}"), "kind": "normal",
                "rules": {"known": rules}})
        })
        .collect();
    serde_json::from_value(json!({
        "schema": 1, "account": account, "region": region, "request": request, "taken_at": now, "finished_at": now,
        "route_tables": {"known": [{"id": format!("vtb-{letter}"), "vpc": format!("vpc-{letter}"), "kind": "system",
            "associate_type": "v_switch", "entries": {"known": routes}}]},
        "security_groups": {"known": groups}
    }))
    .unwrap()
}

/// One round to each target and the arrivals of each peer's round, all answered.
fn answers(host: &Host, peers: &[Host], plan: &Plan, tag: &RequestTag) -> Vec<Report> {
    let (now, all) = (plan.now, SequenceSet::first(50));
    let known = Known::Known(all.clone());
    let number = |peer: &str| peers.iter().position(|other| other.address == peer).unwrap() as u64;
    let mut reports = vec![];
    for target in &plan.targets {
        let peer = target.address.to_string();
        let round: ProbeRound = serde_json::from_value(json!({
            "key": {"agent": host.agent.name, "round": number(&peer)}, "pair": target.pair, "target": peer, "protocol": "icmp",
            "request": tag, "started_at": now, "ended_at": now.plus(Duration::from_secs(1)), "payload_bytes": 56,
            "planned": 50, "sent": all, "replied": all, "sending_ms": 900
        }))
        .unwrap();
        reports.push(report(&format!("probe-{peer}"), ReportBody::Probe(Box::new(round))));
    }
    // A peer numbers its rounds by the places of this side's hosts.
    let own = host.address.rsplit('.').next().unwrap().parse::<u64>().unwrap() - 10;
    for peer in peers {
        let part: ArrivalRound = serde_json::from_value(json!({
            "observer": host.agent.name, "key": {"agent": peer.agent.name, "round": own}, "from": peer.address,
            "to": host.address, "first_at": now, "last_at": now, "interface": "eth0", "on_wire": known, "accepted": known,
            "replied": known
        }))
        .unwrap();
        reports.push(report(&format!("arrival-{}", peer.address), ReportBody::Arrival(part)));
    }
    reports
}

/// Waits for the request and answers it; the first host of a side also reads its account.
async fn answer(host: Host, peers: Vec<Host>, reads: Option<(&'static str, &'static str)>) {
    let mut plan = host.agent.plan(0, 0).await;
    while plan.fresh.is_none() {
        plan = host.agent.plan(plan.revision, 30_000).await;
    }
    let tag = plan.fresh.clone().unwrap();
    let mut reports = answers(&host, &peers, &plan, &tag);
    if let Some((region, letter)) = reads {
        let read = snapshot(&host.agent.account, region, letter, &tag, plan.now);
        reports.push(report("snapshot", ReportBody::Snapshot(Box::new(read))));
    }
    reports.push(health("health", Some(&tag)));
    let ack = host.agent.report(reports).await;
    assert!(ack.rejected.is_empty(), "{:?}", ack.rejected);
}

/// The most memory that the collector ever held, in MiB.
fn peak_mib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_pairs_cost_their_evidence_once() {
    let site = Site::new();
    let config = site.path("collector.toml");
    let sets = "[[link.expect]]\nfrom = { vpc = \"vpc-a\" }\nto = { vpc = \"vpc-b\" }\nprotocol = \"icmp\"\n";
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + sets).unwrap();
    let enrolled = |count: usize, letter: &str, account: &str, block: &str| -> Vec<Host> {
        let hosts = (0..count).map(|n| {
            let instance = if n == 0 { format!("i-{letter}") } else { format!("i-{letter}{n}") };
            Host {
                agent: site.enroll(&format!("{letter}{n}"), account, &instance),
                address: format!("{block}.{}", 10 + n),
            }
        });
        hosts.collect()
    };
    let (initiators, acceptors) = (enrolled(INITIATORS, "a", A, "192.168.1"), enrolled(ACCEPTORS, "b", B, "172.16.1"));
    let mut server = site.serve();
    for (hosts, letter) in [(&initiators, "a"), (&acceptors, "b")] {
        for (n, host) in hosts.iter().enumerate() {
            let instance = if n == 0 { format!("i-{letter}") } else { format!("i-{letter}{n}") };
            assert_eq!(host.agent.hello(&instance, &format!("vpc-{letter}"), &host.address).await.status(), 204);
        }
    }
    let verify = site
        .command("verify", &["--json", "--wait", "120", "--save", "evidence.json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut playing = JoinSet::new();
    for (hosts, peers, reads) in
        [(&initiators, &acceptors, ("cn-qingdao", "a")), (&acceptors, &initiators, ("cn-beijing", "b"))]
    {
        for (n, host) in hosts.iter().enumerate() {
            playing.spawn(answer(host.clone(), peers.clone(), (n == 0).then_some(reads)));
        }
    }
    playing.join_all().await;
    let output = tokio::task::spawn_blocking(move || verify.wait_with_output()).await.unwrap().unwrap();
    let verdicts = String::from_utf8(output.stdout).unwrap();
    assert_eq!(verdicts.lines().count(), PAIRS, "{}", site.log());
    assert!(
        verdicts.lines().all(|line| line.contains("\"state\":\"healthy\"")),
        "{}",
        verdicts.lines().next().unwrap()
    );

    let saved = std::fs::read_to_string(site.path("evidence.json")).unwrap();
    let bundle: Value = serde_json::from_str(&saved).unwrap();
    let evidence = &bundle["evidence"];
    let snapshots = evidence["snapshots"].as_array().unwrap();
    let places: BTreeSet<&str> = snapshots.iter().map(|read| read["account"].as_str().unwrap()).collect();
    assert_eq!((snapshots.len(), places), (2, BTreeSet::from([A, B])), "each snapshot once");
    assert_eq!(evidence["probes"].as_array().unwrap().len(), 2 * PAIRS);
    let once = evidence["snapshots"].to_string().len();
    let most = TIMES * (once + PAIR_BYTES * PAIRS);
    assert!(saved.len() <= most, "the answer has {} bytes of at most {most}; the snapshots have {once}", saved.len());
    let peak = peak_mib(&server);
    eprintln!("answer: {} bytes of at most {most}; snapshots: {once} bytes; collector: {peak} MiB", saved.len());
    assert!(peak <= COLLECTOR_MIB_MAX, "the collector held {peak} MiB");
    assert_eq!(server.terminate(), Some(0));
}
