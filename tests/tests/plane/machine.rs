//! Instances as machines: their own processes, and what their own settings do to packets.

use super::{A, A_IP, B, B_IP, ping, start};
use pingtong_lab::plane::{Place, Plane, ServiceSpec, guest_path};
use std::{
    os::unix::process::ExitStatusExt as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

pub(super) fn in_shell(plane: &Plane, on: &str, line: &str) -> String {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).env("PATH", guest_path()).stdout(Stdio::piped());
    let child = plane.namespace(&Place::Instance(on.to_owned())).unwrap().spawn(command).expect("a shell starts");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{line:?} on {on}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub(super) fn own_machine(plane: &Plane) {
    let endless = ["-q", "-i", "0.01"];
    let mut survivor = start(plane, A, &[&endless[..], &[B_IP]].concat());
    let mut victim = start(plane, B, &[&endless[..], &[A_IP]].concat());
    assert_eq!(in_shell(plane, B, "read name </proc/sys/kernel/hostname; echo $name"), B);
    let seen = in_shell(plane, B, "read name </proc/1/comm; echo $name /proc/[0-9]*");
    assert_eq!(seen.split_whitespace().next(), Some("init"));
    assert_eq!(seen.matches("/proc/").count(), 3, "an init, a ping and a shell: {seen}");
    in_shell(plane, B, "kill -9 -1");
    assert_eq!(victim.wait().unwrap().signal(), Some(9));
    assert_eq!(survivor.try_wait().unwrap(), None);
    survivor.kill().unwrap();
    survivor.wait().unwrap();
    let argv = vec!["/bin/sh".into(), "-c".into(), "kill -9 $$".into()];
    plane.set_services(B, vec![ServiceSpec { argv, env: vec![], log_path: None }]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(3);
    while in_shell(plane, B, "echo /proc/[0-9]*").matches("/proc/").count() != 2 {
        assert!(Instant::now() < deadline, "a dead service is never reaped");
    }
    plane.set_services(B, vec![]).unwrap();
    let begun = Instant::now();
    for _ in 0..20 {
        in_shell(plane, B, ":");
    }
    println!("   20 commands took {:?}", begun.elapsed());
    let pid = plane.outside_pid(B).expect("a pid that the outside knows");
    assert!(std::fs::read_to_string(format!("/run/outside-proc/{pid}/comm")).unwrap().trim() == "init");
}

pub(super) fn guest_faults(plane: &Plane) {
    let tool = |on: &str, words: &[&str]| {
        let mut command = Command::new(format!("/run/guest-tools/{}", words[0]));
        command.args(&words[1..]).stdout(Stdio::piped()).env("PATH", guest_path());
        let child = plane.namespace(&Place::Instance(on.to_owned())).unwrap().spawn(command).expect(words[0]);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let run = |on: &str, line: &str| tool(on, &line.split_whitespace().collect::<Vec<_>>());
    run(B, "ip link add docker0 type bridge");
    run(B, "ip addr add 192.168.0.1/20 dev docker0");
    for (on, break_it, mend_it) in [
        (B, "sysctl -w net.ipv4.icmp_echo_ignore_all=1", "sysctl -w net.ipv4.icmp_echo_ignore_all=0"),
        (B, "ip link set docker0 up", "ip link set docker0 down"),
        (B, "ip route add blackhole 192.168.1.0/24", "ip route del blackhole 192.168.1.0/24"),
        (A, "ip route del default", "ip route add default via 192.168.1.253 dev eth0"),
        (B, "nft -f /run/rules", "nft flush ruleset"),
    ] {
        std::fs::write(
            "/run/rules",
            "table inet filter {\n chain input {\n type filter hook input priority filter; policy accept;\n\
             iifname \"eth0\" ip saddr 192.168.0.0/16 icmp type echo-request counter drop\n }\n}\n",
        )
        .unwrap();
        run(on, break_it);
        assert_eq!(ping(plane, A, B_IP), 0, "{break_it}");
        run(on, mend_it);
        assert_eq!(ping(plane, A, B_IP), 3, "{mend_it}");
    }
    run(B, "ip link delete docker0");
    run(B, "nft add table inet filter");
    tool(B, &["nft", "add chain inet filter input { type filter hook input priority 0 ; policy accept ; }"]);
    tool(B, &["nft", "add", "rule", "inet", "filter", "input", "ip", "protocol", "icmp", "drop"]);
    assert_eq!(ping(plane, A, B_IP), 0);
    let listed = run(B, "nft -a list ruleset");
    let line = listed.lines().find(|line| line.contains("ip protocol icmp drop")).expect(&listed);
    let handle = line.rsplit(' ').next().unwrap();
    run(B, &format!("nft delete rule inet filter input handle {handle}"));
    assert_eq!(ping(plane, A, B_IP), 3);
    tool(B, &["nft", "chain inet filter input { policy drop ; }"]);
    assert_eq!(ping(plane, A, B_IP), 0);
    run(B, "nft add rule inet filter input icmp type echo-request limit rate 100/second accept");
    assert_eq!(ping(plane, A, B_IP), 3);
    run(B, "nft insert rule inet filter input ct state established,related accept");
    run(B, "nft add rule inet filter input tcp dport {22,80-90} reject with tcp reset");
    run(B, "nft add rule inet filter input meta l4proto udp counter reject");
    run(B, "nft list chain inet filter input");
    run(B, "nft delete table inet filter");
    assert!(run(B, "ip route get 192.168.1.10").contains("via 172.16.1.253 dev eth0"));
    assert!(run(B, "ip route show").contains("default via 172.16.1.253 dev eth0"));
    assert!(run(B, "ip addr show dev eth0").contains("172.16.1.10/24"));
    assert!(run(B, "sysctl -n net.ipv4.ip_forward").trim() == "0");
    run(B, "ip rule");
}
