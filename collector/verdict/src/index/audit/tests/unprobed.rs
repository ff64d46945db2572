//! What is said about hosts of expected sets on which no agent runs.

use super::*;

fn told(world: &World, unprobed: &Unprobed) -> Vec<String> {
    let one = |set: &SetAnswer| {
        let hosts: Vec<String> =
            set.hosts.iter().map(|host| format!("{} {} {:?}", host.instance, host.side, host.predicted)).collect();
        assert_eq!(set.link, world.case.pair.link.id);
        format!("{} probed; {}", set.probed, hosts.join(", "))
    };
    unprobed.sets.iter().map(one).collect()
}

fn predict(world: &World, asks: &[Ask]) -> Unprobed {
    let snapshots = world.case.snapshots.iter().cloned().map(std::sync::Arc::new);
    Unprobed::predict(snapshots, asks, [&world.case.pair], Lang::En)
}

fn vpc(name: &str) -> EndpointSet {
    EndpointSet::Vpc(id(name))
}

#[test]
fn hosts_that_nobody_probes_are_predicted() {
    let (mut world, _) = estate();
    let asks = [ask(&world, vpc("vpc-a"), vpc("vpc-b"), Protocol::Icmp, None)];
    let hosts = "i-11 acceptor Passes, i-12 acceptor Blocked, i-13 acceptor Passes, i-14 acceptor Unknown";
    let found = predict(&world, &asks);
    assert_eq!(told(&world, &found), [format!("1 probed; {hosts}")]);
    let set = &found.sets[0];
    let causes: Vec<&str> = set.failing.iter().flat_map(|part| &part.causes).map(|c| c.code.as_str()).collect();
    assert_eq!(causes, ["sg-ingress-missing"]);
    assert!(!set.unknown.is_empty() && set.unknown.iter().all(|part| !part.gaps.is_empty()));
    assert_eq!(set.unread, Vec::<VpcId>::new());
    // An interface that belongs to no instance is no host of an expectation.
    let mut spare = known(&mut world.snapshot(C).enis)[0].clone();
    (spare.id, spare.instance, spare.addresses) = (id("eni-spare"), None, vec![ip("172.16.1.99")]);
    known(&mut world.snapshot(C).enis).push(spare);
    assert_eq!(told(&world, &predict(&world, &asks)), [format!("1 probed; {hosts}")]);
}

#[test]
fn what_is_probed_is_not_predicted_whatever_other_addresses_it_has() {
    let mut world = World::healthy();
    let asks = [ask(&world, vpc("vpc-a"), block("172.16.0.0/16"), Protocol::Icmp, None)];
    assert_eq!(told(&world, &predict(&world, &asks)), Vec::<String>::new());
    known(&mut world.snapshot(C).enis)[0].addresses.push(ip("172.16.1.77"));
    known(&mut world.snapshot(C).instances)[0].addresses.push(ip("172.16.1.77"));
    assert_eq!(told(&world, &predict(&world, &asks)), Vec::<String>::new());
    // Two named instances are a pair of their own.
    let named = |side: Side| {
        let (x, .., address) = World::side(side);
        EndpointSet::Instance { id: id(&format!("i-{x}")), address: ip(address) }
    };
    host(&mut world, C, 11, "sg-b");
    let asks = [ask(&world, named(Side::Initiator), named(C), Protocol::Icmp, None)];
    assert_eq!(told(&world, &predict(&world, &asks)), Vec::<String>::new());
}

#[test]
fn a_stopped_host_is_blocked_and_a_vpc_that_was_not_read_is_open() {
    let mut world = World::healthy();
    host(&mut world, C, 11, "sg-b");
    known(&mut world.snapshot(C).instances)[1].status = InstanceStatus::Stopped;
    let asks = [ask(&world, vpc("vpc-a"), vpc("vpc-b"), Protocol::Tcp, Some((22, 22)))];
    assert_eq!(told(&world, &predict(&world, &asks)), ["1 probed; i-11 acceptor Blocked"]);
    world.snapshot(C).enis = Known::default();
    assert_eq!(predict(&world, &asks).sets[0].unread, [id::<VpcId>("vpc-b")]);
    world.case.snapshots.retain(|snapshot| snapshot.account.as_str() == A);
    let found = predict(&world, &asks);
    assert_eq!((told(&world, &found), found.sets[0].unread.len()), (vec!["0 probed; ".to_owned()], 1));
}
