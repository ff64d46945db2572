//! Acknowledged reports are on disk, whatever happens to the process. Reports are rejected one by one.

use crate::site::{A, B, Site, health};
use pingtong::store::Store;
use pingtong_evidence::{Ack, ReportId};
use serde_json::json;
use std::{collections::BTreeSet, sync::mpsc};

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_in_the_middle_of_uploads_loses_no_acknowledged_report() {
    let site = Site::new();
    let agent = site.enroll("A.ecs1", A, "i-a");
    let mut server = site.serve();
    let (told, acknowledged) = mpsc::channel::<ReportId>();
    let uploads: Vec<_> = (0..4)
        .map(|lane| {
            let (agent, told) = (agent.clone(), told.clone());
            tokio::spawn(async move {
                for n in 0.. {
                    let ids = (0..5).map(|part| format!("r-{lane}-{n}-{part}"));
                    let reports = ids.map(|id| serde_json::to_value(health(&id, None)).unwrap()).collect();
                    let Ok(response) = agent.try_report(reports).await else { return };
                    let Ok(ack) = response.json::<Ack>().await else { return };
                    ack.accepted.into_iter().for_each(|id| told.send(id).unwrap());
                }
            })
        })
        .collect();
    drop(told);
    let mut acked: BTreeSet<ReportId> = tokio::task::block_in_place(|| acknowledged.iter().take(200).collect());
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    for upload in uploads {
        upload.await.unwrap();
    }
    acked.extend(acknowledged.iter());
    assert!(acked.len() >= 200);

    let _server = site.serve();
    let kept: BTreeSet<ReportId> =
        Store::open(&site.path("data/pingtong.sqlite3")).unwrap().report_ids().unwrap().into_iter().collect();
    let lost: Vec<_> = acked.difference(&kept).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let first = acked.first().unwrap().to_string();
    assert_eq!(
        agent.report(vec![health(&first, None)]).await.accepted.len(),
        1,
        "a resent report is acknowledged again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_report_does_not_spoil_the_batch() {
    let site = Site::new();
    let (a, _b) = (site.enroll("A.ecs1", A, "i-a"), site.enroll("B.ecs1", B, "i-b"));
    let _server = site.serve();
    let good = serde_json::to_value(health("good", None)).unwrap();
    let foreign = json!({"id": "foreign", "at": 1, "body": {"snapshot": {
        "schema": 1, "account": B, "region": "cn-beijing", "taken_at": 1, "finished_at": 1
    }}});
    let future = json!({"id": "future", "at": 1, "body": {"dream": {}}});
    let ack: Ack = a.try_report(vec![good.clone(), foreign, future]).await.unwrap().json().await.unwrap();
    assert_eq!(ack.accepted.iter().map(ReportId::as_str).collect::<Vec<_>>(), ["good"]);
    assert_eq!(ack.rejected.iter().map(|rejected| rejected.id.as_str()).collect::<Vec<_>>(), ["foreign", "future"]);

    let mut liar = a.clone();
    liar.name = "B.ecs1".to_owned();
    assert_eq!(liar.try_report(vec![good.clone()]).await.unwrap().status(), 400);
    liar.name = "A.ecs1".to_owned();
    liar.account = B.to_owned();
    assert_eq!(liar.try_report(vec![good.clone()]).await.unwrap().status(), 400);
    liar.account = A.to_owned();
    liar.token.pop();
    assert_eq!(liar.try_report(vec![good.clone()]).await.unwrap().status(), 401);
    let mut large = good;
    large["padding"] = json!("x".repeat(9 << 20));
    assert_eq!(a.try_report(vec![large]).await.unwrap().status(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_enrolment_makes_the_old_credential_worthless() {
    let site = Site::new();
    let old = site.enroll("A.ecs1", A, "i-a");
    let _server = site.serve();
    let new = site.enroll("A.ecs1", A, "i-a");
    let good = serde_json::to_value(health("good", None)).unwrap();
    assert_eq!(old.try_report(vec![good.clone()]).await.unwrap().status(), 401);
    assert_eq!(new.try_report(vec![good]).await.unwrap().status(), 200);
}

#[test]
fn a_crash_of_the_server_writes_no_credentials_to_disk() {
    let site = Site::new();
    let server = site.serve();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}
