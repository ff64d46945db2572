use super::*;

const GOOD: &str = r#"
listen = "100.100.0.10:7443"
url = "https://100.100.0.10:7443"
settle_ms = 0
steady_probes = 3
[[link]]
id = "peering1"
kind = "router-interface"
initiator = { account = "1000000000000001", region = "cn-qingdao", vpc = "vpc-a" }
acceptor = { account = "1000000000000002", region = "cn-beijing", vpc = "vpc-b" }
[[link.expect]]
from = { instance = { id = "i-a", address = "192.168.1.10" } }
to = { vpc = "vpc-b" }
protocol = "icmp"
[[link.expect]]
from = { cidr = "192.168.0.0/16" }
to = { vswitch = "vsw-b" }
protocol = "tcp"
ports = [443, 443]
[[link.forbid]]
from = { vpc = "vpc-b" }
to = { vswitch = "vsw-a" }
protocol = "tcp"
ports = [22, 22]
"#;

#[test]
fn reads_a_whole_file() {
    let settings = Settings::parse(GOOD, "collector.toml").unwrap();
    assert_eq!((settings.settle_ms, settings.steady_probes), (0, 3));
    assert_eq!(settings.service().unwrap().url.host(), "100.100.0.10");
    assert_eq!(settings.links[0].expectations.len(), 2);
    assert_eq!(settings.links[0].expectations[1].ports, PortRange::new(443, 443));
    assert_eq!(settings.links[0].forbids[0].ports, PortRange::new(22, 22));
    assert_eq!(settings.accounts().len(), 2);
}

#[test]
fn what_works_on_files_alone_needs_no_service_and_half_of_one_is_a_mistake() {
    let without = |left_out: &[&str]| {
        let kept = GOOD.lines().filter(|line| !left_out.iter().any(|key| line.starts_with(key)));
        Settings::parse(&kept.collect::<Vec<_>>().join("\n"), "c.toml")
    };
    let settings = without(&["listen", "url"]).unwrap();
    assert!(settings.service().unwrap_err().to_string().contains("listen = \"ADDRESS:PORT\""));
    for (half, missing) in [("listen", "\"listen\" is missing"), ("url", "\"url\" is missing")] {
        assert!(without(&[half]).unwrap_err().to_string().contains(missing), "{half}");
    }
}

#[test]
fn tells_every_mistake_at_once_with_its_line() {
    let bad = r#"
listen = "nowhere"
url = "http://x:1"
settle = 3
[[link]]
id = "a b"
kind = "wire"
initiator = { account = "1", region = "r", vpc = "v", zone = "z" }
[[link.expect]]
from = { cidr = "10.0.0.1/8" }
to = { vpc = "v", cidr = "10.0.0.0/8" }
protocol = "tcp"
[[link.forbid]]
from = { vpc = "v" }
to = { vpc = "w" }
protocol = "icmp"
ports = [1, 2]
"#;
    let mistakes = Settings::parse(bad, "c.toml").unwrap_err();
    insta::assert_snapshot!(mistakes.to_string(), @r##"
c.toml:2: listen = "nowhere": invalid socket address syntax; accepted: ADDRESS:PORT, such as "100.100.0.10:7443"
c.toml:3: url = "http://x:1": agents speak TLS only; accepted: "https://HOST:PORT", as agents reach it
c.toml:4: unknown key "settle"; accepted here: account, budget, cloud_endpoint, link, listen, profile, settle_ms, steady_probes, url
c.toml:5: "link[0].acceptor" is missing; accepted: { account = "…", region = "…", vpc = "…" }
c.toml:6: link[0].id = "a b": id "a b" contains white space or a control character; accepted: a name without spaces, such as "peering1"
c.toml:7: link[0].kind = "wire": no such kind of link; accepted: "router-interface", "vpc-peering" or "transit-router"
c.toml:8: unknown key "link[0].initiator.zone"; accepted here: account, region, vpc
c.toml:9: link[0].expect[0]: tcp and udp need ports, such as ports = [443, 443]
c.toml:10: link[0].expect[0].from.cidr = "10.0.0.1/8": "10.0.0.1/8" has host bits set; probably 10.0.0.0/8 was meant; accepted: a block such as "10.0.0.0/8"
c.toml:11: link[0].expect[0].to: exactly one set of hosts is needed; accepted: { instance = { id = "i-…", address = "192.168.1.10" } }, { vswitch = "vsw-…" }, { vpc = "vpc-…" } or { cidr = "10.0.0.0/8" }
c.toml:13: link[0].forbid[0]: icmp has no ports; leave them out
"##);
}

#[test]
fn roles_are_read_and_belong_to_accounts_of_links() {
    let with = |more: &str| Settings::parse(&format!("{GOOD}{more}"), "c.toml");
    assert_eq!(with("").unwrap().endpoint, EndpointRule::Public);
    let granted = with(
        "[[account]]\nid = \"1000000000000002\"\nrole = \"acs:ram::1000000000000002:role/reader\"\nexternal_id = \"x-1\"\n",
    );
    let granted = granted.unwrap();
    assert_eq!(granted.grants.len(), 1);
    assert_eq!(granted.grants[0].external_id.as_deref(), Some("x-1"));
    let lines = GOOD.lines().count();
    let mistakes = with(
        "[[account]]\nid = \"3\"\nrole = \"acs:ram::3:role/r\"\n[[account]]\nid = \"1000000000000001\"\nrole = \"acs:ram::9:role/r\"\n\
         [[account]]\nid = \"1000000000000001\"\nrole = \"reader\"\nexternal_id = \"x\"\nkey = 1\n\
         [[account]]\nid = \"1000000000000001\"\nrole = \"acs:ram::1000000000000001:role/r\"\n",
    );
    let mistakes = mistakes.unwrap_err();
    let told: Vec<String> = mistakes.all.iter().map(|one| format!("+{}: {}", one.line - lines, one.what)).collect();
    insta::assert_snapshot!(told.join("\n"), @r##"
+1: account[0]: account "3" is on no link; accepted: 1000000000000001, 1000000000000002
+4: account[1]: the role "acs:ram::9:role/r" belongs to another account than 1000000000000001
+9: account[2].role = "reader": not the ARN of a role; accepted: "acs:ram::ACCOUNT:role/NAME"
+10: account[2].external_id = "x": no external id has that form; accepted: 2 to 1224 letters, digits and any of =,.@:/-_+
+11: unknown key "account[2].key"; accepted here: external_id, id, role
+12: two roles are given for account 1000000000000001; the collector needs one
"##);
}

#[test]
fn the_cloud_is_asked_where_the_settings_say() {
    let head = "cloud_endpoint = \"http://100.100.0.2\"\nprofile = \"ops\"\n";
    let settings = Settings::parse(&format!("{head}{GOOD}"), "c.toml").unwrap();
    assert!(matches!(&settings.endpoint, EndpointRule::Fixed(url) if url.host_str() == Some("100.100.0.2")));
    assert_eq!(settings.profile.as_deref(), Some("ops"));
    let bad = Settings::parse(&format!("cloud_endpoint = \"nowhere\"\nprofile = \"\"\n{GOOD}"), "c.toml").unwrap_err();
    assert_eq!(bad.all.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_link_may_be_loaded_only_where_the_settings_say_how_much() {
    let of = |more: &str| {
        let text = GOOD.replace("kind = \"router-interface\"", &format!("kind = \"router-interface\"\n{more}"));
        Settings::parse(&text, "c.toml")
    };
    assert_eq!(of("").unwrap().links[0].load, None);
    assert_eq!(of("load_mbit = 0").unwrap().links[0].load, None);
    assert_eq!(of("load_mbit = 20").unwrap().links[0].load, Some(LoadLimit { mbit: 20, seconds: 3 }));
    assert_eq!(of("load_mbit = 20\nload_seconds = 10").unwrap().links[0].load.unwrap().seconds, 10);
    let mistakes = of("load_mbit = 201\nload_seconds = 0").unwrap_err();
    assert_eq!(mistakes.all.len(), 2, "{mistakes}");
}

#[test]
fn what_probes_may_take_is_settable_in_general_and_for_one_link() {
    assert_eq!(Settings::parse(GOOD, "c.toml").unwrap().budgets, Budgets::default());
    let general = "[budget]\nverify_percent = 50\nsteady_percent = 1\nhost_kbit = 9\ncollector_mbit = 7\n";
    let of_link = "kind = \"router-interface\"\nbandwidth_mbit = 5\nverify_percent = 10";
    let text = format!("{}{general}", GOOD.replace("kind = \"router-interface\"", of_link));
    let settings = Settings::parse(&text, "c.toml").unwrap();
    let expected =
        Budgets { verify_percent: 50, steady_percent: 1, host_kbit: 9, collector_mbit: 7, ..Budgets::default() };
    assert_eq!(settings.budgets, expected);
    let link = &settings.links[0];
    assert_eq!((link.bandwidth_mbit, link.verify_percent, link.steady_percent), (Some(5), Some(10), None));
    let bad = text.replace("verify_percent = 50", "verify_percent = 101").replace("host_kbit", "host_kbits");
    let mistakes = Settings::parse(&bad, "c.toml").unwrap_err();
    let lines = GOOD.lines().count() + 2;
    assert_eq!(mistakes.all.iter().map(|mistake| mistake.line).collect::<Vec<_>>(), [lines + 2, lines + 4]);
    assert!(mistakes.to_string().contains("a whole number from 1 to 100"), "{mistakes}");
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let mistakes = Settings::parse("listen = \n\nurl = \"\n", "c.toml").unwrap_err();
    assert!(mistakes.to_string().starts_with("c.toml:1: not TOML"), "{mistakes}");
}

#[test]
fn a_url_keeps_its_host() {
    assert_eq!(ServiceUrl::parse("https://[fd00::1]:7443/").unwrap().host(), "fd00::1");
    for bad in ["http://a:1", "https://a", "https://:1", "https://a:0", "https://a:1/x", "https://u@a:1"] {
        assert!(ServiceUrl::parse(bad).is_err(), "{bad}");
    }
}
