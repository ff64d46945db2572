//! What an auditor keeps: gaps once, answers as long as nothing that they depend on changes; and which VPC a link means.

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
    let mut stranger = world.question.snapshots.clone();
    for snapshot in &mut stranger {
        snapshot.account = id("1000000000000000");
        (snapshot.enis, snapshot.instances) = (Known::Known(vec![]), Known::Known(vec![]));
    }
    let both = [stranger, world.question.snapshots.clone()].concat();
    let shared = Estate::new(both, std::slice::from_ref(&world.question.pair.link));
    let ask = ask(&world, block("192.168.0.0/16"), block("172.16.0.0/16"), Protocol::Icmp, None);
    assert_eq!(answers(&shared, &ask).0.pairs, answers(&estate, &ask).0.pairs);
}
