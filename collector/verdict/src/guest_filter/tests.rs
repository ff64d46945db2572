//! Rules and whether they apply.

use super::{
    Maybe::{No, Perhaps, Surely},
    *,
};
use crate::tests::rules::{
    ECHO_REPLY as REPLY, ECHO_REQUEST as REQUEST, any_of, block, cmp, equal, icmp, l4proto, masked, match_on,
    named_set, not_understood, refusing, within,
};
use pingtong_evidence::packet_filter::{
    Comparison, CtKey, Element, FibResult, FirewallHook, Limit, LimitUnit, ObjectKind, PayloadBase, Span, Value,
    Verdict,
};

fn ends() -> (IpAddr, IpAddr) {
    ("192.168.1.10".parse().unwrap(), "172.16.1.10".parse().unwrap())
}

fn hook_of(asked: Asked) -> FirewallHook {
    match asked {
        Asked::Requests | Asked::Replies => FirewallHook::Input,
        Asked::Sent | Asked::Answers => FirewallHook::Output,
    }
}

fn ask(protocol: Option<u8>, statements: Vec<Statement>, service: (Protocol, Option<u16>), asked: Asked) -> Maybe {
    let (peer, own) = ends();
    let rule = FirewallRule { protocol, hook: hook_of(asked), ..refusing(statements) };
    applies(&rule, &Packets { service, peer, own }, asked)
}

#[test]
fn a_set_of_protocols_or_ports_holds_each_of_its_values_and_no_other() {
    let services = [(Protocol::Icmp, None), (Protocol::Tcp, Some(443)), (Protocol::Udp, Some(443))];
    let tcp = |how, port| vec![l4proto(6), cmp(Field::TcpDestinationPort, how, port)];
    let udp = |how, port| vec![l4proto(17), cmp(Field::UdpDestinationPort, how, port)];
    for (statements, meant) in [
        (vec![any_of(Field::MetaL4proto, &[1, 6], false)], [true, true, false]),
        (vec![any_of(Field::MetaL4proto, &[6, 17], false)], [false, true, true]),
        (vec![any_of(Field::MetaL4proto, &[6, 17], true)], [true, false, false]),
        (tcp(Comparison::Lt, 444), [false, true, false]),
        (tcp(Comparison::Lt, 443), [false, false, false]),
        (tcp(Comparison::Le, 443), [false, true, false]),
        (udp(Comparison::Gt, 442), [false, false, true]),
        (udp(Comparison::Gt, 443), [false, false, false]),
        (udp(Comparison::Ge, 443), [false, false, true]),
        (vec![any_of(Field::TcpDestinationPort, &[80, 443], false)], [false, true, false]),
        (vec![any_of(Field::TcpDestinationPort, &[80, 443], true)], [false, false, false]),
        (tcp(Comparison::Ne, 443), [false, false, false]),
        (vec![within(Field::ThDestinationPort, 400, 450, false)], [true, true, true]),
        (vec![within(Field::ThDestinationPort, 400, 450, true)], [true, false, false]),
    ] {
        let shown = refusing(statements.clone()).to_string();
        for (service, applied) in services.into_iter().zip(meant) {
            let found = ask(None, statements.clone(), service, Asked::Requests);
            assert_eq!(found != No, applied, "{shown}: {service:?}");
            assert_ne!(found, Surely, "{shown}: no protocol of its own");
        }
    }
}

#[test]
fn a_rule_for_something_else_is_never_sure() {
    let ping = |protocol, statements| ask(protocol, statements, (Protocol::Icmp, None), Asked::Requests);
    let tcp_port = |port| equal(Field::TcpDestinationPort, port);
    let state = masked(Field::Ct { key: CtKey::State, direction: None }, 1, Comparison::Ne, 0);
    let source = |how, text: &str| match_on(Field::IpSource, how, block(text));
    let raw = equal(Field::Raw { base: PayloadBase::Network, offset: 0, length: 8 }, 69);
    let tos = equal(Field::Raw { base: PayloadBase::Network, offset: 8, length: 8 }, 0);
    let bridge = match_on(Field::MetaIifname, Comparison::Eq, Value::Name("docker0".into()));
    for (protocol, statements, expected) in [
        (Some(1), vec![icmp(REQUEST)], Surely),
        (Some(1), vec![], Surely),
        (Some(6), vec![], No),
        (None, vec![tcp_port(22)], No),
        (Some(1), vec![source(Comparison::Eq, "10.0.0.0/8")], No),
        (Some(1), vec![source(Comparison::Eq, "192.168.0.0/16")], Surely),
        (Some(1), vec![source(Comparison::Ne, "10.0.0.0/8")], Surely),
        (Some(1), vec![state], Perhaps),
        (Some(1), vec![l4proto(1), icmp(REQUEST)], Surely),
        (Some(1), vec![l4proto(1), icmp(REPLY)], No),
        (Some(1), vec![equal(Field::MetaNfproto, 2), l4proto(1), icmp(REQUEST)], Surely),
        (Some(1), vec![equal(Field::MetaNfproto, 10)], No),
        (None, vec![cmp(Field::MetaL4proto, Comparison::Ne, 1)], No),
        (Some(1), vec![l4proto(1), raw], Surely),
        (Some(1), vec![l4proto(1), tos], Perhaps),
        (Some(1), vec![bridge, l4proto(1)], Perhaps),
        (None, vec![source(Comparison::Eq, "192.168.0.0/16")], Perhaps),
        (None, vec![], Perhaps),
        (Some(1), vec![l4proto(1), icmp(3)], No),
    ] {
        assert_eq!(ping(protocol, statements.clone()), expected, "{protocol:?} {}", refusing(statements));
    }
    let reply = |statements| ask(Some(1), statements, (Protocol::Icmp, None), Asked::Replies);
    assert_eq!(reply(vec![icmp(REPLY)]), Surely);
    assert_eq!(reply(vec![icmp(REQUEST)]), No);
}

#[test]
fn a_block_in_a_set_is_each_of_its_addresses() {
    let set = |blocks: &[&str]| {
        let elements = blocks.iter().map(|text| Element { key: vec![Span::One(block(text))], data: None }).collect();
        named_set(vec![Field::IpSource], "__set0", Some(elements), false)
    };
    let ping = |statement| ask(Some(1), vec![statement], (Protocol::Icmp, None), Asked::Requests);
    assert_eq!(ping(set(&["10.0.0.0/8", "192.168.0.0/16"])), Surely);
    assert_eq!(ping(set(&["10.0.0.0/8"])), No);
    assert_eq!(ping(set(&[])), No);
    let catch_all = Element { key: vec![Span::Any], data: None };
    assert_eq!(ping(named_set(vec![Field::IpSource], "__set0", Some(vec![catch_all]), false)), Surely);
}

#[test]
fn ports_are_those_of_the_service_at_its_end() {
    let port = |bound, statements, asked| ask(bound, statements, (Protocol::Tcp, Some(443)), asked);
    let to = |port| equal(Field::TcpDestinationPort, port);
    let from = |port| equal(Field::TcpSourcePort, port);
    let at = |how, port| cmp(Field::TcpDestinationPort, how, port);
    let (udp, ping) = (equal(Field::UdpDestinationPort, 443), icmp(REQUEST));
    for (bound, statements, asked, expected) in [
        (Some(6), vec![l4proto(6), to(443)], Asked::Requests, Surely),
        (Some(6), vec![l4proto(6)], Asked::Requests, Surely),
        (Some(6), vec![l4proto(6), to(22)], Asked::Requests, No),
        (Some(6), vec![l4proto(6), at(Comparison::Ne, 443)], Asked::Requests, No),
        (Some(6), vec![l4proto(6), any_of(Field::TcpDestinationPort, &[22, 443], false)], Asked::Requests, Surely),
        (Some(6), vec![l4proto(6), at(Comparison::Ge, 443), at(Comparison::Le, 444)], Asked::Requests, Surely),
        (Some(6), vec![l4proto(6), at(Comparison::Ge, 444), at(Comparison::Le, 450)], Asked::Requests, No),
        (Some(6), vec![l4proto(6), within(Field::TcpDestinationPort, 443, 444, false)], Asked::Requests, Surely),
        (Some(6), vec![l4proto(6), within(Field::TcpDestinationPort, 443, 444, true)], Asked::Requests, No),
        (
            Some(6),
            vec![l4proto(6), named_set(vec![Field::TcpDestinationPort], "web", None, false)],
            Asked::Requests,
            Perhaps,
        ),
        // The source port of the peer is not known here.
        (Some(6), vec![l4proto(6), from(443)], Asked::Requests, Perhaps),
        (Some(6), vec![l4proto(6), from(443)], Asked::Answers, Surely),
        (Some(6), vec![l4proto(6), to(443)], Asked::Answers, Perhaps),
        (Some(6), vec![l4proto(6), from(443)], Asked::Replies, Surely),
        (Some(17), vec![l4proto(17), udp.clone()], Asked::Requests, No),
        (None, vec![l4proto(17), udp.clone()], Asked::Requests, No),
        (None, vec![udp], Asked::Requests, No),
        (None, vec![ping], Asked::Requests, No),
        (Some(1), vec![l4proto(1)], Asked::Requests, No),
    ] {
        let found = port(bound, statements.clone(), asked);
        assert_eq!(found, expected, "{bound:?} {} {asked:?}", refusing(statements));
    }
}

/// Every statement and field that is not understood, or whose value is not known here.
#[test]
fn what_is_not_understood_is_never_sure_and_never_ruled_out() {
    let limit = Limit { unit: LimitUnit::Packets, rate: 10, per_seconds: 1, burst: 5, over: false };
    let fib =
        Field::Fib { source: true, destination: false, mark: false, iif: true, oif: false, result: FibResult::Exists };
    for statement in [
        not_understood("xt recent"),
        Statement::Limit(limit),
        Statement::Quota { bytes: 1, over: true },
        Statement::ConnectionLimit { count: 1, over: false },
        Statement::Object { kind: ObjectKind::Limit, name: "l".into() },
        Statement::Object { kind: ObjectKind::Other, name: "o".into() },
        equal(Field::NotUnderstood { name: "numgen".into() }, 0),
        cmp(Field::NotUnderstood { name: "numgen".into() }, Comparison::Ne, 0),
        equal(fib, 0),
        equal(Field::MetaMark, 1),
        masked(Field::MetaMark, 0xff, Comparison::Ne, 1),
        cmp(Field::IpTtl, Comparison::Lt, 5),
        within(Field::MetaLength, 100, 200, true),
        named_set(vec![Field::IpSource, Field::MetaMark], "both", None, true),
    ] {
        for (protocol, service) in [(1, (Protocol::Icmp, None)), (6, (Protocol::Tcp, Some(443)))] {
            for asked in [Asked::Requests, Asked::Replies, Asked::Sent, Asked::Answers] {
                let shown = refusing(vec![statement.clone()]).to_string();
                let found = ask(Some(protocol), vec![statement.clone()], service, asked);
                assert_eq!(found, Perhaps, "{shown} {service:?} {asked:?}");
                let impossible = vec![statement.clone(), l4proto(132)];
                assert_eq!(ask(Some(protocol), impossible, service, asked), No, "{shown} and another protocol");
            }
        }
    }
}

#[test]
fn what_adds_no_condition_leaves_a_rule_sure() {
    let statements = vec![
        l4proto(1),
        Statement::Counter,
        Statement::Log,
        Statement::NoTrack,
        Statement::Object { kind: ObjectKind::Counter, name: "c".into() },
        Statement::Verdict(Verdict::Drop),
    ];
    assert_eq!(ask(Some(1), statements, (Protocol::Icmp, None), Asked::Requests), Surely);
}

#[test]
fn a_concatenation_holds_if_each_of_its_parts_does() {
    let element =
        |text: &str, port| Element { key: vec![Span::One(block(text)), Span::One(Value::Number(port))], data: None };
    let set = |elements, inverted| {
        vec![
            l4proto(6),
            named_set(vec![Field::IpSource, Field::TcpDestinationPort], "__set0", Some(elements), inverted),
        ]
    };
    let request = |elements: Vec<Element>, inverted| {
        ask(Some(6), set(elements, inverted), (Protocol::Tcp, Some(443)), Asked::Requests)
    };
    assert_eq!(request(vec![element("10.0.0.0/8", 443), element("192.168.0.0/16", 443)], false), Surely);
    assert_eq!(request(vec![element("10.0.0.0/8", 443), element("192.168.0.0/16", 22)], false), No);
    assert_eq!(request(vec![element("192.168.0.0/16", 22)], true), Surely);
    let (source_port, destination) = (Field::TcpSourcePort, Field::IpDestination);
    let half_known = named_set(vec![destination, source_port], "s", Some(vec![element("172.16.0.0/12", 443)]), false);
    assert_eq!(ask(Some(6), vec![half_known], (Protocol::Tcp, Some(443)), Asked::Requests), Perhaps);
}

#[test]
fn bytes_without_a_name_are_those_of_the_probes_headers() {
    let raw = |offset, length, value| equal(Field::Raw { base: PayloadBase::Transport, offset, length }, value);
    let tcp = |statement| ask(Some(6), vec![statement], (Protocol::Tcp, Some(443)), Asked::Requests);
    assert_eq!(tcp(raw(16, 16, 443)), Surely);
    assert_eq!(tcp(raw(16, 16, 22)), No);
    assert_eq!(tcp(raw(0, 16, 22)), Perhaps);
    let ping = |statement| ask(Some(1), vec![statement], (Protocol::Icmp, None), Asked::Requests);
    assert_eq!(ping(raw(0, 8, 8)), Surely);
    assert_eq!(ping(raw(0, 16, 0x0800)), Surely);
    assert_eq!(ping(raw(16, 16, 53)), Perhaps, "a checksum");
}

#[test]
fn a_rule_of_another_family_says_nothing() {
    let (peer, own) = ends();
    let (peer6, own6): (IpAddr, IpAddr) = ("fd01::1".parse().unwrap(), "fd02::1".parse().unwrap());
    let rule = |family: &str, protocol, statements| FirewallRule {
        family: family.into(),
        protocol: Some(protocol),
        ..refusing(statements)
    };
    let ping = |rule: &FirewallRule, (peer, own)| {
        applies(rule, &Packets { service: (Protocol::Icmp, None), peer, own }, Asked::Requests)
    };
    assert_eq!(ping(&rule("ip", 1, vec![]), (peer, own)), Surely);
    assert_eq!(ping(&rule("ip6", 1, vec![]), (peer, own)), No);
    assert_eq!(ping(&rule("arp", 1, vec![]), (peer, own)), No);
    let v6 = rule("inet", 58, vec![l4proto(58), equal(Field::Icmpv6Type, 128)]);
    assert_eq!((ping(&v6, (peer6, own6)), ping(&v6, (peer, own))), (Surely, No));
    assert_eq!(ping(&rule("ip", 1, vec![]), (peer6, own6)), No);
}

#[test]
fn the_text_of_an_old_rule_is_not_read() {
    let (peer, own) = ends();
    let old = |protocol, family: &str, text: &str| FirewallRule {
        protocol,
        family: family.into(),
        statements: None,
        text: text.into(),
        ..refusing(vec![])
    };
    let ping =
        |rule: &FirewallRule| applies(rule, &Packets { service: (Protocol::Icmp, None), peer, own }, Asked::Requests);
    for text in ["meta l4proto icmp icmp type echo-request drop", "tcp dport 22", ""] {
        assert_eq!(ping(&old(Some(1), "inet", text)), Perhaps, "{text}");
        assert_eq!(ping(&old(None, "inet", text)), Perhaps, "{text}");
        assert_eq!(ping(&old(Some(6), "inet", text)), No, "{text}");
        assert_eq!(ping(&old(Some(1), "ip6", text)), No, "{text}");
        let rule = old(Some(1), "inet", "icmp type echo-reply sport 443");
        assert!(!names_a_type(&rule, peer, own) && !names_a_source_port(&rule));
    }
}

#[test]
fn a_rule_names_a_type_if_it_treats_requests_and_replies_differently() {
    let (peer, own) = ends();
    let names = |statement| names_a_type(&refusing(vec![statement]), peer, own);
    assert!(names(icmp(REQUEST)) && names(icmp(REPLY)));
    assert!(names(cmp(Field::IcmpType, Comparison::Ne, REQUEST)));
    assert!(!names(l4proto(1)) && !names(any_of(Field::IcmpType, &[REQUEST, REPLY], false)));
    assert!(!names(match_on(Field::IpSource, Comparison::Eq, block("192.168.0.0/16"))));
    let port = refusing(vec![equal(Field::TcpSourcePort, 443)]);
    assert!(names_a_source_port(&port) && !names_a_source_port(&refusing(vec![equal(Field::TcpDestinationPort, 443)])));
}
