//! Compares what `pingtong-agent check` reports of a path with what the plane does to its packets.

use super::{A, B, B_IP, LINK, any, eni, in_shell, tutorial};
use pingtong_evidence::Direction;
use pingtong_lab::{
    desired::Shape,
    plane::{Place, Plane, guest_path},
    programs::Programs,
};
use serde_json::Value;
use std::{
    net::{SocketAddr, UdpSocket},
    process::{Command, Stdio},
    sync::Arc,
};

/// Runs `check` from the initiator's host to the acceptor's. Returns the exit code and the output.
fn check(plane: &Plane, args: &[&str]) -> (i32, Value) {
    let mut command = Command::new(Programs::find(None).unwrap().agent);
    command.args(["--json", "check", B_IP, "--count", "5", "--metadata", "http://127.0.0.1:1"]).args(args);
    command.env("PATH", guest_path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = plane.namespace(&Place::Instance(A.to_owned())).unwrap().spawn(command).expect("the agent starts");
    let out = child.wait_with_output().unwrap();
    let said = serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("no JSON: {out:?}"));
    (out.status.code().unwrap(), said)
}

/// Numbers of probes sent, answered, and refused by the target, in the round of this protocol.
fn fates(said: &Value, protocol: &str) -> [u64; 3] {
    let rounds = said["rounds"].as_array().unwrap();
    let round = rounds.iter().find(|round| round["protocol"] == protocol).unwrap();
    let count = |set: &Value| {
        let ranges = set.as_array().into_iter().flatten();
        ranges.map(|range| range[1].as_u64().unwrap() + 1 - range[0].as_u64().unwrap()).sum()
    };
    [count(&round["sent"]), count(&round["replied"]), count(&round["ports"]["closed"])]
}

/// Ports that are closed, open, silent (UDP), dropped or rejected by the guest, and dropped by the cloud.
pub(super) fn ports(plane: &Plane) {
    let mut open = tutorial();
    eni(&mut open, B).ingress.rules.push(any("192.168.0.0/16", Some(17)));
    plane.apply(Arc::new(open)).unwrap();
    let far = || plane.namespace(&Place::Instance(B.to_owned())).unwrap();
    let (code, said) = check(plane, &["--tcp", "80", "--udp", "53"]);
    assert_eq!((code, fates(&said, "tcp")), (0, [5, 5, 5]), "a port without listener is a path: {said}");
    let [sent, replied, closed] = fates(&said, "udp");
    assert!(sent == 5 && replied >= 1 && closed == replied, "{said}");
    let listener = far().tcp_listener(format!("{B_IP}:80").parse::<SocketAddr>().unwrap()).unwrap();
    let (code, said) = check(plane, &["--tcp", "80"]);
    assert_eq!((code, fates(&said, "tcp")), (0, [5, 5, 0]), "{said}");
    drop(listener);
    let mute = far().run(|| UdpSocket::bind("0.0.0.0:53")).unwrap();
    let (code, said) = check(plane, &["--udp", "53"]);
    assert_eq!((code, fates(&said, "udp")), (2, [5, 0, 0]), "a listener in silence proves nothing: {said}");
    drop(mute);
    in_shell(plane, B, "nft add table inet h; nft add chain inet h i '{ type filter hook input priority 0 ; }'");
    in_shell(plane, B, "nft add rule inet h i tcp dport 80 drop");
    let (code, said) = check(plane, &["--tcp", "80"]);
    assert_eq!((code, fates(&said, "tcp")), (1, [5, 0, 0]), "{said}");
    in_shell(
        plane,
        B,
        "nft flush chain inet h i; nft add rule inet h i tcp dport 80 reject with icmpx type admin-prohibited",
    );
    let (code, said) = check(plane, &["--tcp", "80"]);
    assert_eq!((code, fates(&said, "tcp")), (1, [5, 0, 0]), "{said}");
    let round = said["rounds"].as_array().unwrap().iter().find(|round| round["protocol"] == "tcp").unwrap();
    let error = &round["icmp_errors"][0];
    assert_eq!((error["from"].as_str(), error["code"].as_u64()), (Some(B_IP), Some(13)), "{said}");
    in_shell(plane, B, "nft delete table inet h");
    let mut closed = tutorial();
    eni(&mut closed, B).ingress.rules.retain(|rule| rule.protocol != Some(6));
    plane.apply(Arc::new(closed)).unwrap();
    let (code, said) = check(plane, &["--tcp", "80"]);
    assert_eq!((code, fates(&said, "tcp"), fates(&said, "icmp")), (1, [5, 0, 0], [5, 5, 0]), "{said}");
}

/// A smaller MTU without any ICMP error is a black hole. A walk over hop limits ends at the target and proves nothing.
pub(super) fn sizes_and_hops(plane: &Plane) {
    let (code, said) = check(plane, &["--path-size", "--hops", "6"]);
    let size = &said["path_sizes"][0];
    assert_eq!((code, size["verdict"].as_str(), size["passes"].as_u64()), (0, Some("whole"), Some(1_500)), "{said}");
    let hops = said["hops"][0]["hops"].as_array().unwrap();
    let last = hops.last().unwrap();
    assert_eq!((last["answers"][0]["from"].as_str(), last["answers"][0]["icmp_type"].as_u64()), (Some(B_IP), Some(0)));
    assert!(hops.len() < 6 && said["hops"][0]["proof"] == false, "{said}");
    plane.set_shape(LINK, Direction::Forward, Shape { mtu: Some(1_400), ..Shape::default() });
    let (code, said) = check(plane, &["--path-size"]);
    let size = &said["path_sizes"][0];
    assert_eq!((code, size["verdict"].as_str()), (1, Some("black-hole")), "{said}");
    assert_eq!((size["passes"].as_u64(), size["dies"].as_u64()), (Some(1_400), Some(1_401)), "{said}");
    plane.set_shape(LINK, Direction::Forward, Shape { down: true, ..Shape::default() });
    let (code, said) = check(plane, &["--path-size", "--hops", "3"]);
    assert_eq!((code, said["path_sizes"][0]["verdict"].as_str()), (1, Some("dead")), "{said}");
    let answered =
        said["hops"][0]["hops"].as_array().unwrap().iter().flat_map(|hop| hop["answers"].as_array().unwrap());
    assert!(answered.into_iter().all(|answer| answer["from"] != B_IP), "{said}");
}

/// A load below the link's bandwidth comes back completely; above it, no more comes back than the link carries.
pub(super) fn load(plane: &Plane) {
    let (_, said) = check(plane, &[]);
    assert!(said.get("loads").is_none(), "nobody asked for a load: {said}");
    plane.set_shape(LINK, Direction::Forward, Shape { rate_mbit: Some(6.0), ..Shape::default() });
    let (_, said) = check(plane, &["--load", "16", "--load-seconds", "3"]);
    let steps = said["loads"][0]["steps"].as_array().unwrap();
    let number = |step: &Value, name: &str| step[name].as_u64().unwrap();
    let offered: Vec<u64> = steps.iter().map(|step| number(step, "offered_bits_per_s")).collect();
    assert_eq!(offered, [4_000_000, 8_000_000, 16_000_000]);
    assert_eq!(number(&steps[0], "lost_permille"), 0, "{said}");
    assert!(number(&steps[2], "lost_permille") > 400, "{said}");
    let back = number(&steps[2], "received_bits_per_s");
    assert!((5_000_000..8_500_000).contains(&back), "{back} of 6 Mbit/s: {said}");
}
