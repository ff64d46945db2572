//! Rules from the kernel's bytes, one question each. Rules that real tools wrote are in `tests/packet_filter.rs`.

use super::{sample, *};
use crate::facts::{
    filter::set::{Sets, sample::anonymous},
    netlink::push,
};
use pingtong_evidence::packet_filter::Rule;

const INET: u8 = 1;
const IP: u8 = 2;

fn read_in(family: u8, sets: &Sets, expressions: &[Vec<u8>]) -> String {
    let mut list = vec![];
    for expression in expressions {
        push(&mut list, 1, expression);
    }
    let names = |index: u64| (index == 1).then(|| String::from("lo"));
    let around = Surroundings { family, table: "t", sets, names: &names };
    let statements = read(around, Attributes::from(list.as_slice()));
    Rule { handle: 1, statements }.to_string()
}

fn rule(family: u8, expressions: &[Vec<u8>]) -> String {
    read_in(family, &Sets::default(), expressions)
}

#[test]
fn a_drop_of_echo_requests_is_understood() {
    let expressions = [
        sample::payload(1, 9, 1),
        sample::cmp(&[1]),
        sample::payload(2, 0, 1),
        sample::cmp(&[8]),
        sample::payload(1, 12, 2),
        sample::cmp(&[192, 168]),
        sample::verdict(0),
    ];
    assert_eq!(rule(IP, &expressions), "ip protocol icmp icmp type echo-request ip saddr 192.168.0.0/16 drop");
}

#[test]
fn a_type_is_one_of_icmp_only_behind_the_protocol() {
    let of = |protocol: u8| {
        let expressions =
            [sample::meta_l4proto(), sample::cmp(&[protocol]), sample::payload(2, 0, 1), sample::cmp(&[8])];
        rule(INET, &expressions)
    };
    assert_eq!(of(1), "icmp type echo-request");
    assert_eq!(of(6), "meta l4proto tcp @th,0,8 0x8");
    assert_eq!(rule(INET, &[sample::payload(2, 0, 1), sample::cmp(&[8])]), "@th,0,8 0x8");
    let unequal = [sample::meta_l4proto(), sample::compare(1, &[1]), sample::payload(2, 0, 1), sample::cmp(&[8])];
    assert_eq!(rule(INET, &unequal), "meta l4proto != icmp @th,0,8 0x8");
}

#[test]
fn a_range_of_ports_is_not_its_ends() {
    let expressions = [
        sample::meta_l4proto(),
        sample::cmp(&[6]),
        sample::payload(2, 2, 2),
        sample::compare(5, &[1, 187]),
        sample::compare(3, &[1, 188]),
        sample::verdict(0),
    ];
    assert_eq!(rule(INET, &expressions), "tcp dport >= 443 tcp dport <= 444 drop");
}

#[test]
fn a_later_load_of_a_register_replaces_the_earlier_one() {
    let narrow = sample::payload_into(8, (1, 16, 4));
    let expressions = [sample::payload(1, 12, 4), narrow, sample::cmp(&[10, 0, 0, 1])];
    assert_eq!(rule(IP, &expressions), "ip daddr 10.0.0.1", "register 1 and register 8 are the same");
    let overwritten = [sample::payload(1, 12, 4), sample::expression("numgen", &sample::numbers(&[(1, 1)]))];
    let expressions: Vec<Vec<u8>> = overwritten.into_iter().chain([sample::cmp(&[10, 0, 0, 1])]).collect();
    assert_eq!(rule(IP, &expressions), "(numgen) 0x0a000001");
    let unknown = [sample::payload(1, 12, 4), sample::expression("teleport", &[]), sample::cmp(&[10, 0, 0, 1])];
    assert_eq!(rule(IP, &unknown), "(teleport) (teleport) 0x0a000001");
}

#[test]
fn fields_that_were_loaded_together_are_compared_one_by_one_only_for_equality() {
    let both = [10, 0, 0, 1, 10, 0, 0, 2];
    assert_eq!(rule(IP, &[sample::payload(1, 12, 8), sample::cmp(&both)]), "ip saddr 10.0.0.1 ip daddr 10.0.0.2");
    assert_eq!(rule(IP, &[sample::payload(1, 12, 8), sample::compare(1, &both)]), "@nh,96,64 != 0xa0000010a000002");
}

#[test]
fn masks_are_prefixes_fields_of_some_bits_or_masks() {
    let address = |mask: [u8; 4], value: [u8; 4]| {
        rule(IP, &[sample::payload(1, 12, 4), sample::mask(&mask), sample::cmp(&value)])
    };
    assert_eq!(address([255, 254, 0, 0], [10, 2, 0, 0]), "ip saddr 10.2.0.0/15");
    assert_eq!(address([0, 255, 0, 0], [0, 2, 0, 0]), "ip saddr & 0.255.0.0 == 0.2.0.0");
    assert_eq!(address([255, 0, 0, 0], [10, 2, 0, 0]), "ip saddr & 255.0.0.0 == 10.2.0.0", "never met");
    let byte =
        |offset, mask, value| rule(IP, &[sample::payload(1, offset, 1), sample::mask(&[mask]), sample::cmp(&[value])]);
    assert_eq!(byte(1, 0xfc, 0x20), "ip dscp 0x8");
    assert_eq!(byte(1, 0xfc, 0x21), "(bitwise) 0x21", "no code point equals it");
    assert_eq!(byte(0, 0xf0, 0x40), "ip version 4");
    let fragment = [sample::payload(1, 6, 2), sample::mask(&[0x1f, 0xff]), sample::compare(1, &[0, 0])];
    assert_eq!(rule(IP, &fragment), "ip frag-off & 0x1fff != 0x0");
}

#[test]
fn interfaces_are_named_whole_or_by_their_beginning() {
    let name = |bytes: &[u8]| rule(INET, &[sample::meta(6), sample::cmp(bytes)]);
    assert_eq!(name(b"eth0\0"), "iifname \"eth0\"");
    assert_eq!(name(b"eth"), "iifname \"eth*\"");
    assert_eq!(name(b"exactly-15-long\0"), "iifname \"exactly-15-long\"");
    let index = |index: u32| rule(INET, &[sample::meta(4), sample::cmp(&index.to_ne_bytes())]);
    assert_eq!((index(1), index(9)), ("iif \"lo\"".into(), "iif 9".into()));
}

#[test]
fn a_set_in_the_rule_has_its_elements_and_establishes_protocols() {
    let sets = Sets::default().with(INET, "t", "__set0", anonymous(1, &[&[6], &[17]]));
    let ports = [sample::payload(2, 2, 2), sample::cmp(&[0, 53])];
    let expressions: Vec<Vec<u8>> =
        [sample::meta_l4proto(), sample::lookup("__set0", false)].into_iter().chain(ports.clone()).collect();
    assert_eq!(read_in(INET, &sets, &expressions), "meta l4proto { tcp, udp } th dport 53");
    let expressions: Vec<Vec<u8>> =
        [sample::meta_l4proto(), sample::lookup("__set0", true)].into_iter().chain(ports).collect();
    assert_eq!(read_in(INET, &sets, &expressions), "meta l4proto != { tcp, udp } @th,16,16 0x35");
    assert_eq!(rule(INET, &[sample::meta_l4proto(), sample::lookup("gone", false)]), "meta l4proto @gone");
}

#[test]
fn queues_names_of_bridges_and_shifts_are_read() {
    let mut data = vec![];
    for (kind, number) in [(1, 3u16), (2, 3), (3, 1)] {
        push(&mut data, kind, &number.to_be_bytes());
    }
    assert_eq!(rule(IP, &[sample::expression("queue", &data)]), "queue to 3-5 bypass");
    assert_eq!(rule(7, &[sample::meta(17), sample::cmp(b"br0\0")]), "meta ibrname \"br0\"");
    let mut shift = sample::numbers(&[(1, 1), (2, 1), (3, 1), (6, 2)]);
    sample::value(&mut shift, 7, &2u32.to_ne_bytes());
    let shift = sample::expression("bitwise", &shift);
    let expressions = [sample::payload(1, 1, 1), sample::mask(&[0xfc]), shift, sample::cmp(&[8])];
    assert_eq!(rule(IP, &expressions), "ip dscp 0x8");
}

#[test]
fn damaged_expressions_are_named() {
    assert_eq!(rule(INET, &[vec![1, 2, 3], sample::expression("cmp", &[])]), "(expression) (cmp)");
    assert_eq!(rule(INET, &[sample::cmp(&[1])]), "(expression) 0x01".replace("expression", "register"));
    let bytes = sample::compare(0, &[1, 2, 3, 4]);
    for cut in 0..bytes.len() {
        let _ = rule(IP, &[sample::payload(1, 12, 4), bytes[..cut].to_vec()]);
    }
}
