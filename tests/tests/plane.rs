//! Boots a small data plane and checks with real packets that it implements the desired state.
//!
//! `cargo test -p pingtong-lab --test plane [-- CHECK…]`. This test does not use the standard harness, because a
//! sandbox must be started from a process with a single thread. It prints a line per check and exits 0 if all of them
//! hold.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test program")]
#![allow(clippy::disallowed_methods, reason = "a test program reads the clock")]

use pingtong_evidence::Direction;
use pingtong_lab::{
    desired::{
        AclPlane, Desired, EniPlane, Filter, HopPlane, InstancePlane, LinkPlane, Match, RoutePlane, Shape,
        TransitPlane, VSwitchPlane, VpcPlane,
    },
    guest,
    plane::{
        Place, Plane, PlaneOptions, ServiceSpec, guest_path,
        sandbox::{self, Stage},
    },
};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{ErrorKind, Read as _},
    net::{SocketAddr, TcpStream, UdpSocket},
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

#[path = "plane/agent.rs"]
mod agent;
#[path = "plane/machine.rs"]
mod machine;

use machine::{guest_faults, in_shell, own_machine};

const A: &str = "A.ecs1";
const B: &str = "B.ecs1";
const LINK: &str = "ri-a";

type Check = (&'static str, fn(&Plane));

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = guest::dispatch(&args) {
        return code;
    }
    match sandbox::stage(args) {
        Stage::Exit(code) => code,
        Stage::Outside(args) => outside(&args),
        Stage::Inside(args) => inside(&args),
    }
}

fn outside(args: &[OsString]) -> ExitCode {
    let machine = Command::new(env!("CARGO_BIN_EXE_pingtong-lab")).arg("check").output().expect("the lab's own check");
    if !machine.status.success() {
        println!("SKIPPED: {}", String::from_utf8_lossy(&machine.stderr).trim());
        return ExitCode::from(u8::from(std::env::var_os("CI").is_some()));
    }
    sandbox::run_inside(&args[1..]).expect("a sandbox, since the lab's check found one")
}

fn inside(args: &[OsString]) -> ExitCode {
    let started = Instant::now();
    let plane = Plane::boot(PlaneOptions { seed: 1 }).expect("boot");
    plane.apply(Arc::new(tutorial())).expect("apply");
    let took = started.elapsed();
    println!("boot and apply took {took:?}");
    let checks: [Check; 23] = [
        ("healthy both ways", healthy),
        ("unchanged state costs nothing", idempotent),
        ("a revoked rule cuts a running flow, an unrelated change does not", revoked),
        ("security groups are stateful", stateful),
        ("network ACLs are stateless", acl),
        ("a removed route drops silently", route),
        ("loss is what the counters say", loss),
        ("delay, down and a frozen link", delay),
        ("MTU: larger packets vanish or are cut", mtu),
        ("tcp passes a link with its checksums", tcp),
        ("stopped and started", stopped),
        ("processes of an instance see and end only each other", own_machine),
        ("a start undoes what the guest changed", rebooted),
        ("services and the metadata address", service),
        ("overlapping VPCs reach the service network", overlapping),
        ("an instance that goes and one that comes", membership),
        ("a route through an instance, and another table", appliance),
        ("transit routers look up by where a packet comes in", transit),
        ("addresses nobody owns are silent", nobody),
        ("a guest may break itself", guest_faults),
        ("the agent tells ends of ports apart", agent::ports),
        ("the agent finds sizes and hops", agent::sizes_and_hops),
        ("the agent's load finds what a link carries", agent::load),
    ];
    let words = args[1..].iter().filter_map(|arg| arg.to_str());
    let wanted: Vec<&str> = words.filter(|word| !word.starts_with("--")).collect();
    for (name, check) in checks {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word)) {
            let begun = Instant::now();
            check(&plane);
            for direction in Direction::BOTH {
                plane.set_shape(LINK, direction, Shape::default());
            }
            plane.apply(Arc::new(tutorial())).expect("apply");
            println!("ok {name} ({:?})", begun.elapsed());
        }
    }
    println!("all hold");
    ExitCode::SUCCESS
}

fn any(cidr: &str, protocol: Option<u8>) -> Match {
    let peers = vec![cidr.parse().unwrap()];
    Match { accept: true, protocol, ports: None, source_ports: None, peers, own: None }
}

fn tutorial() -> Desired {
    let mut desired = Desired::default();
    for (vpc, cidr, peer, instance, address, mac) in [
        ("vpc-a", "192.168.1.0/24", "172.16.0.0/16", A, "192.168.1.10", 1),
        ("vpc-b", "172.16.1.0/24", "192.168.0.0/16", B, "172.16.1.10", 2),
    ] {
        let vswitch = format!("vsw-{vpc}");
        let cidr = cidr.parse().unwrap();
        let routes = vec![
            RoutePlane { destination: cidr, hops: vec![HopPlane::Local] },
            RoutePlane { destination: peer.parse().unwrap(), hops: vec![HopPlane::Link(LINK.to_owned())] },
            RoutePlane { destination: "100.64.0.0/10".parse().unwrap(), hops: vec![HopPlane::Service] },
        ];
        desired.vpcs.insert(
            vpc.to_owned(),
            VpcPlane {
                vswitches: BTreeMap::from([(
                    vswitch.clone(),
                    VSwitchPlane { cidr, table: "vtb".to_owned(), acl: None },
                )]),
                tables: BTreeMap::from([("vtb".to_owned(), routes)]),
            },
        );
        desired.instances.insert(
            instance.to_owned(),
            InstancePlane {
                id: format!("i-{mac}"),
                running: true,
                enis: vec![EniPlane {
                    id: format!("eni-{mac}"),
                    vpc: vpc.to_owned(),
                    vswitch,
                    mac: [0, 0x16, 0x3e, 0, 0, mac],
                    addresses: vec![address.parse().unwrap()],
                    ingress: Filter { rules: vec![any(peer, Some(1)), any(peer, Some(6))], ..Filter::default() },
                    egress: Filter { accept_by_default: true, ..Filter::default() },
                }],
            },
        );
    }
    let link = LinkPlane { initiator: "vpc-a".into(), acceptor: "vpc-b".into(), carries: true, rate_mbit: Some(1000) };
    desired.links.insert(LINK.to_owned(), link);
    desired
}

fn eni<'a>(desired: &'a mut Desired, instance: &str) -> &'a mut EniPlane {
    &mut desired.instances.get_mut(instance).unwrap().enis[0]
}

fn ping_command(args: &[&str]) -> Command {
    // Always the stand-in, even if the machine has another ping.
    let mut command = Command::new("/run/guest-tools/ping");
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::null()).env("PATH", guest_path());
    command
}

fn start(plane: &Plane, from: &str, args: &[&str]) -> Child {
    plane.namespace(&Place::Instance(from.to_owned())).unwrap().spawn(ping_command(args)).expect("ping starts")
}

fn finish(child: Child) -> (u32, u32) {
    let output = child.wait_with_output().expect("ping ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line =
        text.lines().find(|line| line.contains("transmitted")).unwrap_or_else(|| panic!("no result in {text:?}"));
    let numbers: Vec<u32> = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

/// Seconds to wait for a reply. Long for a link that answers in a millisecond, so that a busy machine does not fail a
/// check.
const REPLY_WITHIN: &str = "1.5";

fn ping(plane: &Plane, from: &str, to: &str) -> u32 {
    finish(start(plane, from, &["-c", "3", "-i", "0.01", "-W", REPLY_WITHIN, to])).1
}

const A_IP: &str = "192.168.1.10";
const B_IP: &str = "172.16.1.10";

fn healthy(plane: &Plane) {
    assert_eq!(ping(plane, A, B_IP), 3);
    assert_eq!(ping(plane, B, A_IP), 3);
}

fn idempotent(plane: &Plane) {
    let begun = Instant::now();
    plane.apply(Arc::new(tutorial())).unwrap();
    let mut other = tutorial();
    eni(&mut other, A).ingress.rules.push(any("10.0.0.0/8", None));
    plane.apply(Arc::new(other)).unwrap();
    println!("   two applies took {:?}", begun.elapsed());
}

fn counter_reaches(plane: &Plane, least: u64) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while plane.counters(LINK, Direction::Forward).seen < least {
        assert!(Instant::now() < deadline, "the link never saw {least} packets");
        std::thread::yield_now();
    }
}

fn revoked(plane: &Plane) {
    let before = plane.counters(LINK, Direction::Forward).seen;
    let running = start(plane, A, &["-c", "60", "-i", "0.01", "-W", "0.3", B_IP]);
    counter_reaches(plane, before + 10);
    let mut unrelated = tutorial();
    eni(&mut unrelated, B).ingress.rules.push(any("10.0.0.0/8", Some(17)));
    eni(&mut unrelated, A).ingress.rules.push(any("10.0.0.0/8", Some(17)));
    plane.apply(Arc::new(unrelated)).unwrap();
    assert_eq!(finish(running), (60, 60));
    let before = plane.counters(LINK, Direction::Forward).seen;
    let running = start(plane, A, &["-c", "60", "-i", "0.01", "-W", "0.3", B_IP]);
    counter_reaches(plane, before + 10);
    let mut revoked = tutorial();
    eni(&mut revoked, B).ingress.rules.clear();
    plane.apply(Arc::new(revoked)).unwrap();
    let (_, received) = finish(running);
    assert!((9..40).contains(&received), "{received} of 60");
}

fn stateful(plane: &Plane) {
    let mut desired = tutorial();
    eni(&mut desired, A).ingress.rules.clear();
    eni(&mut desired, B).egress.accept_by_default = false;
    plane.apply(Arc::new(desired)).unwrap();
    assert_eq!(ping(plane, A, B_IP), 3);
    assert_eq!(ping(plane, B, A_IP), 0);
    // An ICMP error about a flow passes like its replies, although nothing else passes.
    let mut desired = tutorial();
    eni(&mut desired, A).ingress.rules.clear();
    eni(&mut desired, B).ingress.rules = vec![any("192.168.0.0/16", Some(17))];
    plane.apply(Arc::new(desired)).unwrap();
    let refused = plane.namespace(&Place::Instance(A.to_owned())).unwrap().run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        socket.connect((B_IP, 9)).unwrap();
        socket.send(b"x").unwrap();
        socket.recv(&mut [0; 9]).map_err(|error| error.kind())
    });
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
    assert_eq!(ping(plane, A, B_IP), 0);
}

fn acl(plane: &Plane) {
    let mut desired = tutorial();
    let vswitch = desired.vpcs.get_mut("vpc-b").unwrap().vswitches.get_mut("vsw-vpc-b").unwrap();
    vswitch.acl = Some(AclPlane { ingress: vec![any("0.0.0.0/0", None)], egress: vec![] });
    plane.apply(Arc::new(desired)).unwrap();
    assert_eq!(ping(plane, A, B_IP), 0);
    assert_eq!(ping(plane, B, A_IP), 0);
}

fn route(plane: &Plane) {
    let mut desired = tutorial();
    desired.vpcs.get_mut("vpc-b").unwrap().tables.get_mut("vtb").unwrap().remove(1);
    plane.apply(Arc::new(desired)).unwrap();
    let before = plane.counters(LINK, Direction::Forward).sent;
    assert_eq!(ping(plane, A, B_IP), 0);
    assert_eq!(plane.counters(LINK, Direction::Forward).sent, before + 3);
    assert_eq!(ping(plane, B, A_IP), 0);
}

fn loss(plane: &Plane) {
    plane.set_shape(LINK, Direction::Forward, Shape { loss: 0.05, ..Shape::default() });
    let before = plane.counters(LINK, Direction::Forward);
    let [carried_before, _] = plane.carried()[LINK];
    let (sent, received) = finish(start(plane, A, &["-q", "-c", "1000", "-i", "0.001", "-W", "0.5", B_IP]));
    let after = plane.counters(LINK, Direction::Forward);
    let lost = u32::try_from(after.lost - before.lost).unwrap();
    assert_eq!((after.seen - before.seen, sent - received), (1000, lost));
    assert!((20..90).contains(&lost), "{lost} of 1000");
    let [carried, _] = plane.carried()[LINK];
    let (left, came) = (carried.bytes_in - carried_before.bytes_in, carried.bytes_out - carried_before.bytes_out);
    assert_eq!((left - came) * 1000, left * u64::from(lost), "packets of one size: lost ones have left and not come");
    assert_eq!(carried.over_grant, 0, "what the fabric loses is beyond no bandwidth");
}

fn delay(plane: &Plane) {
    plane.set_shape(LINK, Direction::Return, Shape { delay_ms: 20.0, ..Shape::default() });
    let begun = Instant::now();
    assert_eq!(finish(start(plane, A, &["-c", "1", "-W", "1", B_IP])), (1, 1));
    assert!(begun.elapsed() >= Duration::from_millis(20));
    plane.set_shape(LINK, Direction::Return, Shape { down: true, ..Shape::default() });
    assert_eq!(ping(plane, A, B_IP), 0);
    plane.set_shape(LINK, Direction::Return, Shape::default());
    let mut desired = tutorial();
    desired.links.get_mut(LINK).unwrap().carries = false;
    plane.apply(Arc::new(desired)).unwrap();
    assert_eq!(ping(plane, A, B_IP), 0);
}

fn mtu(plane: &Plane) {
    plane.set_shape(LINK, Direction::Forward, Shape { mtu: Some(1400), ..Shape::default() });
    // Without DF: fragmented on the path, reassembled by the target, and answered.
    assert_eq!(
        finish(start(plane, A, &["-M", "dont", "-c", "3", "-i", "0.01", "-W", "0.5", "-s", "1472", B_IP])),
        (3, 3)
    );
    assert_eq!(finish(start(plane, A, &["-c", "3", "-i", "0.01", "-W", "0.5", "-s", "1000", B_IP])), (3, 3));
    let before = plane.counters(LINK, Direction::Forward).oversize;
    assert_eq!(
        finish(start(plane, A, &["-M", "do", "-c", "3", "-i", "0.01", "-W", "0.3", "-s", "1472", B_IP])),
        (3, 0)
    );
    assert_eq!(plane.counters(LINK, Direction::Forward).oversize, before + 3);
    // Larger than the interface's MTU: the sending kernel fragments it.
    assert_eq!(finish(start(plane, A, &["-c", "3", "-i", "0.01", "-W", "0.5", "-s", "4000", B_IP])), (3, 3));
}

fn tcp(plane: &Plane) {
    let address: SocketAddr = format!("{B_IP}:7").parse().unwrap();
    let listener = plane.namespace(&Place::Instance(B.to_owned())).unwrap().tcp_listener(address).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all.len()
    });
    let client = plane.namespace(&Place::Instance(A.to_owned())).unwrap();
    client
        .run(move || {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
            std::io::Write::write_all(&mut stream, &vec![7; 1_000_000])
        })
        .expect("a stream crosses the link");
    assert_eq!(server.join().unwrap(), 1_000_000);
}

fn stopped(plane: &Plane) {
    let argv = vec!["/run/guest-tools/ping".into(), "-q".into(), "-i".into(), "0.01".into(), A_IP.into()];
    plane.set_services(B, vec![ServiceSpec { argv, env: vec![], log_path: None }]).unwrap();
    let flows = |plane: &Plane| plane.counters(LINK, Direction::Return).seen;
    let grows = |plane: &Plane| {
        let (before, deadline) = (flows(plane), Instant::now() + Duration::from_secs(3));
        while flows(plane) < before + 5 {
            assert!(Instant::now() < deadline, "the service sends nothing");
            std::thread::yield_now();
        }
    };
    grows(plane);
    let mut desired = tutorial();
    desired.instances.get_mut(B).unwrap().running = false;
    plane.apply(Arc::new(desired)).unwrap();
    let before = flows(plane);
    assert_eq!(ping(plane, A, B_IP), 0);
    assert_eq!(flows(plane), before);
    plane.apply(Arc::new(tutorial())).unwrap();
    grows(plane);
    assert_eq!(ping(plane, A, B_IP), 3);
    plane.set_services(B, vec![]).unwrap();
}

fn rebooted(plane: &Plane) {
    in_shell(plane, B, "ping -q -i 0.01 192.168.1.10 >/dev/null 2>&1 &");
    for line in [
        "sysctl -w net.ipv4.icmp_echo_ignore_all=1",
        "sysctl -w net.ipv4.conf.eth0.rp_filter=1",
        "ip route add blackhole 10.0.0.0/8",
        "ip link add docker0 type bridge",
        "ip addr add 192.168.0.1/20 dev docker0",
        "ip link set docker0 up",
        "ip addr add 172.16.1.99/24 dev eth0",
        "ip rule add to 192.168.0.0/16 lookup 77",
        "nft add table inet filter",
        "ip addr del 100.100.100.200/32 dev lo",
        "ip link set eth0 down",
    ] {
        in_shell(plane, B, line);
    }
    let mut desired = tutorial();
    desired.instances.get_mut(B).unwrap().running = false;
    let begun = Instant::now();
    plane.apply(Arc::new(desired)).unwrap();
    println!("   a stop took {:?}", begun.elapsed());
    assert!(plane.outside_pid(B).is_none());
    let refused = plane.namespace(&Place::Instance(B.to_owned())).unwrap().spawn(Command::new("/bin/true"));
    assert!(refused.unwrap_err().to_string().contains("stopped"));
    let begun = Instant::now();
    plane.apply(Arc::new(tutorial())).unwrap();
    println!("   a start took {:?}", begun.elapsed());
    assert_eq!(ping(plane, A, B_IP), 3);
    assert_eq!(ping(plane, B, A_IP), 3);
    assert_eq!(in_shell(plane, B, "nft list ruleset"), "");
    let parameters = "sysctl -n net.ipv4.icmp_echo_ignore_all net.ipv4.conf.eth0.rp_filter";
    assert_eq!(in_shell(plane, B, parameters), "0\n0");
    let state = in_shell(plane, B, "ip addr; ip route; ip rule; echo /proc/[0-9]*");
    for gone in ["docker0", "172.16.1.99", "blackhole", "77"] {
        assert!(!state.contains(gone), "{gone} in {state}");
    }
    assert!(state.contains("100.100.100.200"));
    assert_eq!(state.matches("/proc/").count(), 2, "an init and a shell: {state}");
}

fn speaks(plane: &Plane, from: &str, address: &str) -> Option<SocketAddr> {
    let there = if from == "service" { Place::Service } else { Place::Instance(from.to_owned()) };
    let at: SocketAddr = address.parse().unwrap();
    let listening = if at.ip().to_string() == "100.100.100.200" { there.clone() } else { Place::Service };
    let listener = plane.namespace(&listening).unwrap().tcp_listener(at).unwrap();
    let client = plane.namespace(&there).unwrap();
    client.run(move || TcpStream::connect_timeout(&at, Duration::from_millis(500))).ok()?;
    listener.accept().ok().map(|(_, peer)| peer)
}

fn service(plane: &Plane) {
    let mut desired = tutorial();
    eni(&mut desired, A).egress.accept_by_default = false;
    plane.apply(Arc::new(desired)).unwrap();
    assert!(speaks(plane, A, "100.100.0.2:80").is_some());
    assert!(speaks(plane, B, "100.100.0.10:7443").is_some());
    assert!(speaks(plane, A, "100.100.100.200:80").is_some());
    assert!(speaks(plane, "service", "100.100.0.2:80").is_some());
}

fn overlapping(plane: &Plane) {
    let mut desired = tutorial();
    let mut vpc = desired.vpcs["vpc-a"].clone();
    vpc.tables.get_mut("vtb").unwrap().remove(1);
    desired.vpcs.insert("vpc-c".to_owned(), vpc);
    let mut instance = desired.instances[A].clone();
    "eni-3".clone_into(&mut instance.enis[0].id);
    "vpc-c".clone_into(&mut instance.enis[0].vpc);
    desired.instances.insert("C.ecs1".to_owned(), instance);
    plane.apply(Arc::new(desired)).unwrap();
    let (one, other) =
        (speaks(plane, A, "100.100.0.2:80").unwrap(), speaks(plane, "C.ecs1", "100.100.0.2:80").unwrap());
    assert_ne!(one.ip(), other.ip());
    assert_eq!(ping(plane, "C.ecs1", B_IP), 0);
}

fn membership(plane: &Plane) {
    let mut desired = tutorial();
    let mut second = desired.instances[A].clone();
    "eni-9".clone_into(&mut second.enis[0].id);
    second.enis[0].mac[5] = 9;
    second.enis[0].addresses = vec!["192.168.1.11".parse().unwrap()];
    second.enis[0].ingress.members = ["192.168.1.10".parse().unwrap(), "192.168.1.11".parse().unwrap()].into();
    desired.instances.insert("A.ecs2".to_owned(), second);
    let begun = Instant::now();
    plane.apply(Arc::new(desired.clone())).unwrap();
    println!("   it took {:?}", begun.elapsed());
    assert_eq!(ping(plane, "A.ecs2", B_IP), 3);
    assert_eq!(ping(plane, A, "192.168.1.11"), 3);
    assert_eq!(ping(plane, "A.ecs2", A_IP), 0); // only the second has the group's inner rule
    // An ACL does not filter traffic inside its own vSwitch.
    let vswitch = desired.vpcs.get_mut("vpc-a").unwrap().vswitches.get_mut("vsw-vpc-a").unwrap();
    vswitch.acl = Some(AclPlane::default());
    plane.apply(Arc::new(desired)).unwrap();
    assert_eq!(ping(plane, A, "192.168.1.11"), 3);
    assert_eq!(ping(plane, "A.ecs2", B_IP), 0);
    plane.apply(Arc::new(tutorial())).unwrap();
    assert!(plane.namespace(&Place::Instance("A.ecs2".to_owned())).is_none());
    let mounted = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounted.contains("A.ecs2") && !std::path::Path::new("/run/machines/A.ecs2").exists(), "{mounted}");
}

fn appliance(plane: &Plane) {
    let mut desired = tutorial();
    let mut middle = desired.instances[A].clone();
    "eni-9".clone_into(&mut middle.enis[0].id);
    middle.enis[0].mac[5] = 9;
    middle.enis[0].addresses = vec!["192.168.1.11".parse().unwrap()];
    desired.instances.insert("A.fw".to_owned(), middle);
    eni(&mut desired, A).ingress.rules.clear();
    plane.apply(Arc::new(desired.clone())).unwrap();
    // A second vSwitch with its own table, whose route to the peer leads through the appliance in the first vSwitch.
    let vpc = desired.vpcs.get_mut("vpc-a").unwrap();
    let block = "192.168.2.0/24".parse().unwrap();
    let local = |destination| RoutePlane { destination, hops: vec![HopPlane::Local] };
    for table in vpc.tables.values_mut() {
        table.push(local(block));
    }
    let mut own = vec![local("192.168.1.0/24".parse().unwrap()), local(block)];
    own.push(RoutePlane {
        destination: "172.16.0.0/16".parse().unwrap(),
        hops: vec![HopPlane::Eni("eni-9".to_owned())],
    });
    vpc.tables.insert("vtb-2".to_owned(), own);
    vpc.vswitches.insert("vsw-2".to_owned(), VSwitchPlane { cidr: block, table: "vtb-2".to_owned(), acl: None });
    let mut client = desired.instances[A].clone();
    "eni-8".clone_into(&mut client.enis[0].id);
    "vsw-2".clone_into(&mut client.enis[0].vswitch);
    client.enis[0].mac[5] = 8;
    client.enis[0].addresses = vec!["192.168.2.5".parse().unwrap()];
    desired.instances.insert("A.client".to_owned(), client);
    for instance in ["A.fw", "A.client"] {
        eni(&mut desired, instance).ingress.rules = vec![any("0.0.0.0/0", None)];
    }
    plane.apply(Arc::new(desired)).unwrap();
    assert_eq!(ping(plane, "A.client", "192.168.1.11"), 3);
    assert_eq!(ping(plane, "A.client", B_IP), 0);
    let appliance = plane.namespace(&Place::Instance("A.fw".to_owned())).unwrap();
    appliance.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")).unwrap();
    assert_eq!(ping(plane, "A.client", B_IP), 3);
}

/// The tutorial's VPCs connected by two transit routers, each with one table for all arriving packets.
fn regions() -> Desired {
    let mut desired = tutorial();
    let link = |from: &str, to: &str| LinkPlane {
        initiator: from.into(),
        acceptor: to.into(),
        carries: true,
        rate_mbit: None,
    };
    desired.links = [("at-a", "vpc-a", "tr-a"), ("at-b", "vpc-b", "tr-b"), ("between", "tr-a", "tr-b")]
        .map(|(name, from, to)| (name.to_owned(), link(from, to)))
        .into();
    let route = |destination: &str, hop: &str| RoutePlane {
        destination: destination.parse().unwrap(),
        hops: vec![HopPlane::Link(hop.to_owned())],
    };
    for (router, own, to_a, to_b) in [("tr-a", "at-a", "at-a", "between"), ("tr-b", "at-b", "between", "at-b")] {
        let transit = TransitPlane {
            arrivals: [own, "between"].map(|link| (link.to_owned(), "vtb".to_owned())).into(),
            tables: BTreeMap::from([(
                "vtb".to_owned(),
                vec![route("192.168.1.0/24", to_a), route("172.16.1.0/24", to_b)],
            )]),
        };
        desired.transits.insert(router.to_owned(), transit);
    }
    for (vpc, link) in [("vpc-a", "at-a"), ("vpc-b", "at-b")] {
        let table = desired.vpcs.get_mut(vpc).unwrap().tables.get_mut("vtb").unwrap();
        table[1].hops = vec![HopPlane::Link(link.to_owned())];
    }
    desired
}

fn transit(plane: &Plane) {
    fn table(desired: &mut Desired) -> &mut Vec<RoutePlane> {
        desired.transits.get_mut("tr-b").unwrap().tables.get_mut("vtb").unwrap()
    }
    let apply = |change: fn(&mut Desired)| {
        let mut desired = regions();
        change(&mut desired);
        plane.apply(Arc::new(desired)).unwrap();
    };
    let passed = |link: &str| plane.counters(link, Direction::Forward).sent;
    apply(|_| ());
    assert_eq!((ping(plane, A, B_IP), ping(plane, B, A_IP)), (3, 3));
    assert_eq!(passed("between"), 6, "three requests and three replies of A's");

    // The longer prefix wins, and a black hole is silent: A's requests arrive at the far router and go no further.
    let answers = || plane.counters("at-a", Direction::Return).sent;
    let (before, told) = (passed("between"), answers());
    apply(|desired| {
        let hole = RoutePlane { destination: "172.16.1.0/28".parse().unwrap(), hops: vec![HopPlane::Blackhole] };
        table(desired).push(hole);
    });
    assert_eq!(ping(plane, A, B_IP), 0);
    assert_eq!((passed("between"), answers()), (before + 3, told));

    // The far router uses another table for packets from B, which has no route back.
    apply(|desired| {
        let transit = desired.transits.get_mut("tr-b").unwrap();
        transit.tables.insert("other".to_owned(), vec![]);
        transit.arrivals.insert("at-b".to_owned(), "other".to_owned());
    });
    let arrived = || plane.counters("at-b", Direction::Return).sent;
    let (before, told) = (arrived(), answers());
    assert_eq!(ping(plane, A, B_IP), 0);
    assert_eq!((arrived(), answers()), (before + 3, told));

    // Packets from a link without a table are dropped.
    apply(|desired| _ = desired.transits.get_mut("tr-a").unwrap().arrivals.remove("at-a"));
    assert_eq!((ping(plane, A, B_IP), ping(plane, B, A_IP)), (0, 0));
    apply(|desired| desired.links.get_mut("between").unwrap().carries = false);
    assert_eq!(ping(plane, B, A_IP), 0);
    apply(|_| ());
    assert_eq!((ping(plane, A, B_IP), ping(plane, B, A_IP)), (3, 3));
}

fn nobody(plane: &Plane) {
    for to in ["192.168.1.77", "192.168.1.253", "172.16.1.77", "10.9.9.9"] {
        let output = start(plane, A, &["-c", "2", "-i", "0.01", "-W", "0.2", to]).wait_with_output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).contains("2 packets transmitted, 0 received"), "{to}");
    }
}
