//! The types in JSON and as text.

use super::*;
use crate::Policy;
use serde_json::json;

fn compare(field: Field, how: Comparison, value: Value) -> Statement {
    Statement::Match(Condition::new(field, Test::Compare { how, value }))
}

fn equal(field: Field, number: u64) -> Statement {
    Statement::Match(Condition::equal(field, number))
}

fn masked(field: Field, mask: u64, how: Comparison, value: u64) -> Statement {
    let operands = vec![Operand { field, mask: Some(Value::Number(mask)) }];
    Statement::Match(Condition { operands, test: Test::Compare { how, value: Value::Number(value) } })
}

fn ct(key: CtKey) -> Field {
    Field::Ct { key, direction: None }
}

fn one(number: u64) -> Element {
    Element { key: vec![Span::One(Value::Number(number))], data: None }
}

fn within(operands: Vec<Operand>, name: &str, elements: Option<Vec<Element>>) -> Statement {
    let set = SetRef { name: name.into(), elements };
    Statement::Match(Condition { operands, test: Test::In { set, inverted: false } })
}

fn block(text: &str) -> Value {
    Value::Prefix(text.parse().unwrap())
}

/// Rules with their text: at least one of each statement, test, value and kind of field.
fn samples() -> Vec<(Vec<Statement>, &'static str)> {
    let drop = || Statement::Verdict(Verdict::Drop);
    let address = |text: &str| Value::Address(text.parse().unwrap());
    let fixed = |value: Value| SourceRange { first: Source::Value(value.clone()), last: Source::Value(value) };
    let range = |first: Value, last: Value| SourceRange { first: Source::Value(first), last: Source::Value(last) };
    let ports = || vec![Operand::from(Field::TcpDestinationPort)];
    let nat = |nat: Nat| Statement::Nat(Box::new(nat));
    let vmap = Element { data: Some(Data::Verdict(Verdict::Jump("ssh".into()))), ..one(22) };
    let nat_map = Element { data: Some(Data::Values(vec![address("10.0.0.1")])), ..one(80) };
    vec![
        (
            vec![
                equal(Field::MetaNfproto, 2),
                equal(Field::MetaL4proto, 1),
                equal(Field::IcmpType, 8),
                Statement::Counter,
                drop(),
            ],
            "icmp type echo-request counter drop",
        ),
        (vec![equal(Field::MetaL4proto, 6), drop()], "meta l4proto tcp drop"),
        (vec![equal(Field::MetaL4proto, 6), equal(Field::UdpLength, 8), drop()], "meta l4proto tcp udp length 8 drop"),
        (
            vec![compare(Field::IpSource, Comparison::Ne, block("10.0.0.0/8")), Statement::Verdict(Verdict::Accept)],
            "ip saddr != 10.0.0.0/8 accept",
        ),
        (vec![compare(Field::IpTtl, Comparison::Lt, Value::Number(5)), Statement::Log, drop()], "ip ttl < 5 log drop"),
        (
            vec![compare(Field::MetaIifname, Comparison::Eq, Value::NameStart("eth".into())), drop()],
            "iifname \"eth*\" drop",
        ),
        (vec![compare(Field::MetaIif, Comparison::Eq, Value::Name("lo".into())), drop()], "iif \"lo\" drop"),
        (
            vec![compare(Field::EtherSource, Comparison::Eq, Value::Bytes("001122334455".into())), drop()],
            "ether saddr 00:11:22:33:44:55 drop",
        ),
        (vec![masked(ct(CtKey::State), 6, Comparison::Ne, 0), drop()], "ct state established,related drop"),
        (vec![masked(ct(CtKey::Status), 32, Comparison::Eq, 0), drop()], "ct status ! dnat drop"),
        (vec![masked(Field::TcpFlags, 0x12, Comparison::Eq, 2), drop()], "tcp flags syn / syn,ack drop"),
        (vec![masked(Field::MetaMark, 0xf0, Comparison::Eq, 0x10), drop()], "meta mark & 0xf0 == 0x10 drop"),
        (
            vec![
                Statement::Match(Condition::new(
                    Field::UdpDestinationPort,
                    Test::Range { first: Value::Number(10), last: Value::Number(20), inverted: true },
                )),
                Statement::Reject(Reject::Icmp(3)),
            ],
            "udp dport != 10-20 reject with icmp port-unreachable",
        ),
        (
            vec![
                within(
                    vec![Field::IpSource.into(), Field::TcpDestinationPort.into()],
                    "__set0",
                    Some(vec![Element {
                        key: vec![
                            Span::One(block("1.2.3.0/24")),
                            Span::Range { first: Value::Number(80), last: Value::Number(90) },
                        ],
                        data: None,
                    }]),
                ),
                Statement::Reject(Reject::TcpReset),
            ],
            "ip saddr . tcp dport { 1.2.3.0/24 . 80-90 } reject with tcp reset",
        ),
        (vec![within(ports(), "web", None), drop()], "tcp dport @web drop"),
        (
            vec![Statement::VerdictMap {
                operands: ports(),
                map: SetRef { name: "__map0".into(), elements: Some(vec![vmap]) },
            }],
            "tcp dport vmap { 22 : jump ssh }",
        ),
        (
            vec![nat(Nat {
                kind: NatKind::Dnat,
                family: Some(Family::Ip),
                address: Some(range(address("10.0.0.1"), address("10.0.0.9"))),
                port: Some(range(Value::Number(80), Value::Number(90))),
            })],
            "dnat to 10.0.0.1-10.0.0.9:80-90",
        ),
        (
            vec![nat(Nat {
                kind: NatKind::Dnat,
                family: Some(Family::Ip),
                address: Some({
                    let map = SetRef { name: "__map0".into(), elements: Some(vec![nat_map]) };
                    let from = Source::Map { operands: ports(), map, part: 0 };
                    SourceRange { first: from.clone(), last: from }
                }),
                port: None,
            })],
            "dnat to tcp dport map { 80 : 10.0.0.1 }",
        ),
        (
            vec![nat(Nat {
                kind: NatKind::Redirect,
                family: None,
                address: None,
                port: Some(fixed(Value::Number(8080))),
            })],
            "redirect to :8080",
        ),
        (vec![nat(Nat { kind: NatKind::Masquerade, family: None, address: None, port: None })], "masquerade"),
        (
            vec![
                Statement::Limit(Limit { unit: LimitUnit::Packets, rate: 5, per_seconds: 60, burst: 3, over: true }),
                Statement::Quota { bytes: 1_000, over: false },
                Statement::ConnectionLimit { count: 10, over: true },
                drop(),
            ],
            "limit rate over 5/minute burst 3 packets quota 1000 bytes ct count over 10 drop",
        ),
        (
            vec![Statement::Assign { field: Field::MetaMark, to: Source::Field(ct(CtKey::Mark).into()) }],
            "meta mark set ct mark",
        ),
        (vec![Statement::Queue { first: 3, last: 5, bypass: true }], "queue to 3-5 bypass"),
        (vec![Statement::NoTrack, Statement::Verdict(Verdict::Goto("x".into()))], "notrack goto x"),
        (
            vec![
                Statement::Object { kind: ObjectKind::Counter, name: "c".into() },
                Statement::Verdict(Verdict::Return),
            ],
            "counter name \"c\" return",
        ),
        (
            vec![
                equal(
                    Field::Fib {
                        source: true,
                        destination: false,
                        mark: false,
                        iif: true,
                        oif: false,
                        result: FibResult::Exists,
                    },
                    0,
                ),
                equal(Field::Raw { base: PayloadBase::Transport, offset: 0, length: 16 }, 22),
                drop(),
            ],
            "fib saddr . iif oif missing @th,0,16 0x16 drop",
        ),
        (
            vec![
                equal(Field::NotUnderstood { name: "numgen".into() }, 0),
                Statement::NotUnderstood { name: "xt recent".into() },
                drop(),
            ],
            "(numgen) 0 (xt recent) drop",
        ),
        (vec![Statement::Reject(Reject::Icmpv6(1))], "reject with icmpv6 admin-prohibited"),
        (vec![Statement::Reject(Reject::Icmpx(3))], "reject with icmpx admin-prohibited"),
    ]
}

fn refusing(statements: Option<Vec<Statement>>, text: &str) -> FirewallRule {
    FirewallRule {
        family: "inet".into(),
        table: "t".into(),
        chain: "c".into(),
        hook: FirewallHook::Input,
        handle: Some(1),
        verdict: FirewallVerdict::Drop,
        protocol: None,
        limited: false,
        statements,
        text: text.into(),
    }
}

#[test]
fn every_rule_is_read_back_and_has_the_text_of_nft() {
    for (statements, text) in samples() {
        let json = serde_json::to_string(&statements).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Statement>>(&json).unwrap(), statements, "{json}");
        assert_eq!(refusing(Some(statements.clone()), "").to_string(), text);
        assert_eq!(Rule { handle: 1, statements }.to_string(), text);
    }
}

#[test]
fn the_form_in_json_is_stable() {
    let (statements, _) = samples().remove(3);
    assert_eq!(
        serde_json::to_value(statements).unwrap(),
        json!([
            {"match": {"operands": [{"field": "ip_source"}],
                "test": {"compare": {"how": "ne", "value": {"prefix": "10.0.0.0/8"}}}}},
            {"verdict": "accept"}
        ])
    );
    let ct = Field::Ct { key: CtKey::SourcePort, direction: Some(CtDirection::Reply) };
    assert_eq!(serde_json::to_value(ct).unwrap(), json!({"ct": {"key": "source_port", "direction": "reply"}}));
}

#[test]
fn a_whole_rule_set_is_read_back() {
    let set = RuleSet {
        tables: vec![
            Table {
                family: Family::Inet,
                name: "t".into(),
                dormant: false,
                chains: vec![Chain {
                    name: "in".into(),
                    base: Some(BaseChain {
                        kind: ChainKind::Filter,
                        hook: FirewallHook::Egress,
                        priority: -150,
                        policy: Policy::Drop,
                        devices: vec!["eth0".into()],
                    }),
                    rules: samples().into_iter().map(|(statements, _)| Rule { handle: 7, statements }).collect(),
                }],
                sets: vec![Set { name: "web".into(), elements: Some(vec![one(80)]), dynamic: false }],
            },
            Table {
                family: Family::Unknown("11".into()),
                name: "u".into(),
                dormant: true,
                chains: vec![],
                sets: vec![],
            },
        ],
        rules_omitted: 3,
    };
    let json = serde_json::to_string(&set).unwrap();
    assert_eq!(serde_json::from_str::<RuleSet>(&json).unwrap(), set);
}

#[test]
fn what_a_later_version_may_add_is_read_as_unknown() {
    let base = json!({"kind": "teleport", "hook": "teleport", "priority": 0, "policy": "accept"});
    let base: BaseChain = serde_json::from_value(base).unwrap();
    assert_eq!((base.kind, base.hook), (ChainKind::Unknown, FirewallHook::Unknown));
    assert_eq!(serde_json::from_value::<Family>(json!("teleport")).unwrap(), Family::Unknown("teleport".into()));
}

#[test]
fn a_rule_from_an_agent_that_reported_text_is_read_and_shown_as_it_came() {
    let old = json!({"family": "inet", "table": "t", "chain": "c", "hook": "input", "handle": 1, "verdict": "drop",
        "protocol": null, "text": "tcp dport 443 drop"});
    let rule: FirewallRule = serde_json::from_value(old).unwrap();
    assert_eq!(rule, refusing(None, "tcp dport 443 drop"));
    assert_eq!(rule.to_string(), "tcp dport 443 drop");
    let policy = FirewallRule { handle: None, ..refusing(Some(vec![]), "") };
    assert_eq!(policy.to_string(), "policy drop");
}
