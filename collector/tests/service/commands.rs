//! What each command reports if it cannot do its job, and with which exit code.

use crate::site::{A, Site};
use std::process::Output;

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn verify_says_what_is_missing() {
    let site = Site::new();
    let output = site.run("verify", &[]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(
        said(&output).contains("is no data directory of a collector yet; start one with \"pingtong serve\""),
        "{}",
        said(&output)
    );

    site.enroll("A.ecs1", A, "i-a");
    let output = site.run("verify", &[]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(said(&output).contains("no collector answers at https://127."), "{}", said(&output));
}

#[test]
fn verify_without_agents_says_how_to_enroll() {
    let site = Site::new();
    let _server = site.serve();
    let output = site.run("verify", &[]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(said(&output).contains("run \"pingtong enroll --name NAME --account ID"), "{}", said(&output));
}

#[test]
fn verify_does_not_trust_another_certificate() {
    let site = Site::new();
    let _server = site.serve();
    let other = Site::new();
    other.enroll("A.ecs1", A, "i-a");
    let config = std::fs::read_to_string(site.path("collector.toml")).unwrap();
    std::fs::write(other.path("collector.toml"), config).unwrap();
    let output = other.run("verify", &[]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(said(&output).contains("shows another certificate than"), "{}", said(&output));
}

#[test]
fn every_mistake_of_the_settings_is_told_with_its_line() {
    let site = Site::new();
    site.write_config("settle = 5\nlinks = 3");
    let output = site.run("serve", &[]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let said = said(&output);
    assert!(said.contains("collector.toml:5: unknown key \"settle\""), "{said}");
    assert!(said.contains("collector.toml:6: unknown key \"links\""), "{said}");
}

#[test]
fn an_agent_of_no_link_is_not_enrolled() {
    let site = Site::new();
    let output = site.run("enroll", &["--name", "C.ecs1", "--account", "3", "--out", "c.toml"]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(
        said(&output)
            .contains("account \"3\" is on no link of the settings; accepted: 1000000000000001, 1000000000000002")
    );
    assert!(!site.path("c.toml").exists());
}

#[test]
fn an_agent_may_probe_what_its_expectations_name_and_no_more() {
    let site = Site::new();
    let allow = |name: &str, instance: &str| {
        let output =
            site.run("enroll", &["--name", name, "--account", A, "--instance", instance, "--out", "a.toml", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let written: toml::Table = std::fs::read_to_string(site.path("a.toml")).unwrap().parse().unwrap();
        assert_eq!(serde_json::to_value(&written["allow"]).unwrap(), told["allow"]);
        told["allow"].clone()
    };
    assert_eq!(allow("A.ecs1", "i-a"), serde_json::json!(["172.16.1.10/32"]));
    assert_eq!(allow("A.ecs2", "i-other"), serde_json::json!([]));
    let config = std::fs::read_to_string(site.path("collector.toml")).unwrap();
    let config = config.replace(r#"{ instance = { id = "i-b", address = "172.16.1.10" } }"#, r#"{ vpc = "vpc-b" }"#);
    std::fs::write(site.path("collector.toml"), config).unwrap();
    assert_eq!(allow("A.ecs1", "i-a"), serde_json::json!(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]));
}

#[test]
fn a_second_server_does_not_share_the_data() {
    let site = Site::new();
    let _server = site.serve();
    let output = site.run("serve", &[]);
    assert_eq!(output.status.code(), Some(70), "{output:?}");
    assert!(said(&output).contains("another \"pingtong serve\" uses"), "{}", said(&output));
}

#[test]
fn a_role_without_credentials_to_assume_it_is_told_by_the_named_profile() {
    let site = Site::new();
    site.write_config(&format!("profile = \"ops\"\n[[account]]\nid = \"{A}\"\nrole = \"acs:ram::{A}:role/reader\""));
    let output = site.run("serve", &[]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let said = said(&output);
    assert!(said.contains("cannot assume the roles of [[account]]") && said.contains(".aliyun/config.json"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_listed_beside_a_running_server() {
    let site = Site::new();
    let agent = site.enroll("A.ecs1", A, "i-a");
    let listed = || -> Vec<serde_json::Value> {
        let output = site.run("agents", &["--json"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let _server = site.serve();
    let before = listed();
    assert_eq!(before.len(), 1);
    assert_eq!(
        (&before[0]["name"], &before[0]["account"], &before[0]["instance"]),
        (&"A.ecs1".into(), &A.into(), &"i-a".into())
    );
    assert!(before[0]["last_seen"].is_null() && before[0]["enrolled_at"].is_i64(), "{before:?}");
    assert_eq!(agent.hello("i-a", "vpc-a", "192.168.1.10").await.status(), 204);
    assert!(listed()[0]["last_seen"].is_i64());
    let page = site.run("agents", &["--lang", "zh"]);
    assert!(String::from_utf8(page.stdout).unwrap().starts_with("名称"));
}

#[test]
fn usage_mistakes_end_with_64() {
    let site = Site::new();
    for (name, arguments) in [
        ("verify", &["--wait", "-1"][..]),
        ("verify", &["--lang", "fr"]),
        ("explain", &[]),
        ("explain", &["no-such-code"]),
        ("diagnose", &["nowhere.json"]),
        ("nonsense", &[]),
    ] {
        let output = site.run(name, arguments);
        assert_eq!(output.status.code(), Some(64), "{name} {arguments:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
    let output = site.run("explain", &["route-missing", "--lang", "zh"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!output.stdout.is_empty());
}
