//! What an auditor keeps: each gap once, answers as long as nothing that they depend on changes; and which hosts belong
//! to a link.

use super::*;

const I: Side = Side::Initiator;

#[test]
fn a_gap_of_several_answers_is_told_once() {
    let (world, estate) = estate();
    let open = |ports| ask(&world, block("192.168.0.0/16"), block("172.16.1.14/32"), Protocol::Tcp, Some(ports));
    let asks = [open((80, 80)), open((443, 443))];
    let gaps = Auditor::default().audit(&estate, &asks, &asks, Lang::En).gaps;
    let told: Vec<_> = gaps.iter().map(|gap| (format!("{} {}", gap.code, gap.what), gap.side)).collect();
    assert_eq!(told, [(REFUSED.to_owned(), Some(C))]);
    assert!(gaps[0].closes_with.starts_with("grant ecs:Rules to the role"), "{}", gaps[0].closes_with);
}

#[test]
fn an_answer_is_remembered_until_what_it_depends_on_changes() {
    let (mut world, mut estate) = estate();
    let asks = [ask(&world, block("192.168.0.0/16"), block("172.16.0.0/16"), Protocol::Icmp, None)];
    let mut auditor = Auditor::default();
    auditor.audit(&estate, &asks, &asks, Lang::En);
    for (_, answer) in auditor.expectations.values_mut() {
        answer.pairs = 77;
    }
    for (_, answer) in auditor.forbids.values_mut() {
        answer.pairs = 78;
    }
    let pairs = |audit: &Audit| (audit.expectations[0].pairs, audit.forbids[0].pairs);
    assert_eq!(pairs(&auditor.audit(&estate, &asks, &asks, Lang::En)), (77, 78), "taken from memory");
    assert_eq!(pairs(&auditor.audit(&estate, &asks, &asks, Lang::Zh)), (5, 5), "another language is another answer");
    world.rules(I).clear();
    estate.refresh(world.snapshot(I).clone());
    assert_eq!(pairs(&auditor.audit(&estate, &asks, &asks, Lang::En)), (5, 5), "decided anew");
}

#[test]
fn a_link_tells_apart_two_readings_of_one_vpc() {
    let (world, estate) = estate();
    // Another account is shown the same VPCs, with nothing in them.
    let mut stranger = world.case.snapshots.clone();
    for snapshot in &mut stranger {
        snapshot.account = id("1000000000000000");
        (snapshot.enis, snapshot.instances) = (Known::Known(vec![]), Known::Known(vec![]));
    }
    let both = [stranger, world.case.snapshots.clone()].concat();
    let shared = Estate::new(both, std::slice::from_ref(&world.case.pair.link));
    let ask = ask(&world, block("192.168.0.0/16"), block("172.16.0.0/16"), Protocol::Icmp, None);
    assert_eq!(answers(&shared, &ask).0.pairs, answers(&estate, &ask).0.pairs);
}

/// Two hosts of one group that isolates its members or does not, asked about flows to the first of them.
fn to_the_first(isolated: bool) -> (ExpectationAnswer, ForbidAnswer) {
    let (mut world, _) = estate();
    let policy = if isolated { Policy::Drop } else { Policy::Accept };
    world.group(Side::Acceptor).inner_access = Known::Known(policy);
    let estate = Estate::new(world.case.snapshots.clone(), std::slice::from_ref(&world.case.pair.link));
    let ask = ask(&world, block("172.16.1.10/31"), block("172.16.1.10/32"), Protocol::Tcp, Some((80, 80)));
    answers(&estate, &Ask { link: None, ..ask })
}

#[test]
fn a_host_that_is_at_both_ends_hides_no_other_pair() {
    let (expected, forbidden) = to_the_first(true);
    let hosts = "vpc-b 172.16.1.10-172.16.1.11 (2) > vpc-b 172.16.1.10-172.16.1.10 (1) 80-80 inside";
    assert_eq!(failing(&expected), [format!("{hosts}: sg-ingress-missing - sg-b")]);
    assert_eq!((expected.state, forbidden.state), (ExpectationState::Fails, ForbidState::Holds));
    let (expected, forbidden) = to_the_first(false);
    assert_eq!((expected.state, forbidden.state), (ExpectationState::Holds, ForbidState::Leaks));
    assert_eq!(leaking(&forbidden), [format!("{hosts}: sg-b, vpc-b, sg-b")]);
}

#[test]
fn ports_that_share_a_fate_are_one_range_whatever_stages_tell_them_apart() {
    let mut world = World::healthy();
    let entry = |name, first, last| {
        let ports = PortRange::new(first, last).unwrap();
        AclEntry { ports, ..acl_entry(name, Policy::Accept, RuleProtocol::Tcp, "0.0.0.0/0") }
    };
    world.acl(Side::Acceptor, true, vec![entry("nae-1", 0, 25), entry("nae-2", 26, 65_535)]);
    let one = rule("sgr-30", Policy::Accept, 1, RuleProtocol::Tcp, RulePeer::Any);
    world.rules(Side::Acceptor).push(SecurityRule { ports: PortRange::new(30, 30).unwrap(), ..one });
    let estate = Estate::new(world.case.snapshots.clone(), std::slice::from_ref(&world.case.pair.link));
    let ask = ask(&world, block("192.168.0.0/16"), block("172.16.0.0/16"), Protocol::Tcp, Some((20, 40)));
    let (expected, forbidden) = answers(&estate, &ask);
    let ports = |ports: Option<PortRange>| ports.map(|ports| (ports.first(), ports.last()));
    let failing: Vec<_> = expected.failing.iter().map(|part| ports(part.flows.ports)).collect();
    assert_eq!(failing, [Some((20, 29)), Some((31, 40))]);
    let leaking: Vec<_> = forbidden.leaking.iter().map(|part| ports(part.flows.ports)).collect();
    assert_eq!(leaking, [Some((30, 30))]);
}

#[test]
fn a_set_that_lies_at_both_sides_is_told_from_the_initiating_side_first() {
    let (world, estate) = estate();
    let everywhere = || block("0.0.0.0/0");
    let (expected, _) = answers(&estate, &ask(&world, everywhere(), everywhere(), Protocol::Udp, Some((53, 53))));
    let ways: Vec<_> = expected.failing.iter().filter_map(|part| part.flows.direction).collect();
    assert_eq!(ways.first(), Some(&Direction::Forward));
    assert!(ways.is_sorted() && ways.contains(&Direction::Return), "{ways:?}");
    assert_eq!(expected.pairs, 10);
}

#[test]
fn the_side_of_a_host_is_where_it_shows_and_not_where_blocks_say() {
    let (mut world, _) = estate();
    known(&mut world.snapshot(Side::Acceptor).vpcs)[0].secondary_cidrs = vec![cidr("192.168.0.0/16")];
    world.snapshot(I).vpcs = Known::default();
    let way = |world: &World, from, to| {
        let estate = Estate::new(world.case.snapshots.clone(), std::slice::from_ref(&world.case.pair.link));
        let (expected, _) = answers(&estate, &ask(world, from, to, Protocol::Icmp, None));
        expected.failing.first().and_then(|part| part.flows.direction)
    };
    let (nobody, a, b) = (named("i-x", "172.16.1.99"), named("i-a", "192.168.1.10"), named("i-b", "172.16.1.10"));
    assert_eq!(way(&world, a, nobody), Some(Direction::Forward));
    world.snapshot(Side::Acceptor).vpcs = Known::default();
    assert_eq!(way(&world, b, named("i-y", "192.168.1.99")), Some(Direction::Return));
}

#[test]
fn a_missing_host_fails_an_expectation_of_icmp_whichever_end_it_is_named_as() {
    let (world, estate) = estate();
    let (nobody, there) = (named("i-nobody", "172.16.1.99"), named("i-a", "192.168.1.10"));
    let way =
        "- 192.168.1.10-192.168.1.10 (1) > - 172.16.1.99-172.16.1.99 (1) forward: ip-not-on-eni acceptor 172.16.1.99";
    for (from, to) in [(nobody.clone(), there.clone()), (there.clone(), nobody.clone())] {
        let (expected, _) = answers(&estate, &ask(&world, from, to, Protocol::Icmp, None));
        assert_eq!((failing(&expected), expected.state), (vec![way.to_owned()], ExpectationState::Fails));
    }
    // A flow that the missing host opens may come from another address that it has.
    let mut open = World::healthy();
    open.rules(I).push(rule("sgr-web", Policy::Accept, 1, RuleProtocol::Tcp, RulePeer::Any));
    let estate = Estate::new(open.case.snapshots.clone(), std::slice::from_ref(&open.case.pair.link));
    let (expected, _) = answers(&estate, &ask(&open, nobody, there, Protocol::Tcp, Some((80, 80))));
    assert_eq!((failing(&expected), expected.state), (vec![], ExpectationState::Unknown));
}

#[test]
fn hosts_at_one_side_of_a_link_are_no_pair_of_it_and_nothing_is_said_to_fail() {
    let (world, estate) = estate();
    let whole = || EndpointSet::Vpc(id("vpc-b"));
    let (expected, forbidden) = answers(&estate, &ask(&world, whole(), whole(), Protocol::Icmp, None));
    assert_eq!((expected.state, forbidden.state), (ExpectationState::Unknown, ForbidState::Unknown));
    assert_eq!(expected.unknown[0].gaps[0].what, "no two of these hosts have the link between them");
    assert_eq!((expected.unknown, expected.pairs), (forbidden.unknown, 0));
}
