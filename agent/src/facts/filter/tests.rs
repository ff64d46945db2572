//! The rule set and what refuses in it, from the kernel's lists.

use super::{rule::sample, *};
use netlink::push;
use pingtong_evidence::packet_filter::{Condition, Element, Field, SetRef, Span, Statement, Test, Value, Verdict};

fn message(body: Vec<u8>) -> Message {
    Message { kind: 0, body }
}

fn table() -> Message {
    let mut body = vec![1, 0, 0, 0];
    push(&mut body, TABLE_NAME, b"t\0");
    message(body)
}

fn chain(name: &str, hook: Option<u32>, policy: u32) -> Message {
    let mut body = vec![1, 0, 0, 0];
    push(&mut body, CHAIN_TABLE, b"t\0");
    push(&mut body, CHAIN_NAME, format!("{name}\0").as_bytes());
    if let Some(hook) = hook {
        let mut nested = vec![];
        push(&mut nested, HOOK_NUMBER, &hook.to_be_bytes());
        push(&mut nested, HOOK_PRIORITY, &(-150i32).to_be_bytes());
        push(&mut body, CHAIN_HOOK, &nested);
        push(&mut body, CHAIN_POLICY, &policy.to_be_bytes());
        push(&mut body, CHAIN_TYPE, b"filter\0");
    }
    message(body)
}

fn rule(chain: &str, handle: u64, expressions: &[Vec<u8>]) -> Message {
    let mut body = vec![1, 0, 0, 0];
    push(&mut body, RULE_TABLE, b"t\0");
    push(&mut body, RULE_CHAIN, format!("{chain}\0").as_bytes());
    push(&mut body, RULE_HANDLE, &handle.to_be_bytes());
    let mut list = vec![];
    for expression in expressions {
        push(&mut list, 1, expression);
    }
    push(&mut body, RULE_EXPRESSIONS, &list);
    message(body)
}

#[test]
fn policies_and_rules_behind_jumps_are_listed_at_their_hook() {
    let lists = Lists {
        tables: vec![table()],
        chains: vec![chain("in", Some(1), 0), chain("out", Some(3), 1), chain("deep", None, 1)],
        rules: vec![
            rule("in", 7, &[sample::jump("deep")]),
            rule("deep", 9, &[sample::meta_l4proto(), sample::cmp(&[1]), sample::verdict(0)]),
            rule("out", 11, &[sample::verdict(1)]),
            rule("nowhere", 12, &[sample::verdict(0)]),
        ],
        sets: Sets::default(),
    };
    let rules = rule_set(&lists, &|_| None);
    let base = rules.tables[0].chains[0].base.as_ref().unwrap();
    assert_eq!((base.priority, base.kind, base.policy), (-150, ChainKind::Filter, Policy::Drop));
    let fact = refusing::fact(rules, false);
    assert_eq!(fact.base_chains, 2);
    let shown: Vec<_> =
        fact.refusing.iter().map(|r| (r.chain.as_str(), r.hook, r.handle, r.protocol, r.to_string())).collect();
    assert_eq!(
        shown,
        [
            ("deep", FirewallHook::Input, Some(9), Some(1), "meta l4proto icmp drop".into()),
            ("in", FirewallHook::Input, None, None, "policy drop".into())
        ]
    );
}

#[test]
fn rules_beyond_the_bound_are_counted() {
    let lists = Lists {
        tables: vec![table()],
        chains: vec![chain("in", Some(1), 1)],
        rules: (0..RuleSet::RULES_MAX as u64 + 3).map(|handle| rule("in", handle, &[])).collect(),
        sets: Sets::default(),
    };
    let rules = rule_set(&lists, &|_| None);
    assert_eq!((rules.tables[0].chains[0].rules.len(), rules.rules_omitted), (RuleSet::RULES_MAX, 3));
}

#[test]
fn sets_beyond_the_bound_of_a_report_are_listed_as_not_read() {
    let port = |number: u64| Element { key: vec![Span::One(Value::Number(number))], data: None };
    let rule = |handle: u64, elements: u64| {
        let set = SetRef { name: "__set0".into(), elements: Some((0..elements).map(port).collect()) };
        let test = Test::In { set, inverted: false };
        let condition = Condition::new(Field::TcpDestinationPort, test);
        Rule { handle, statements: vec![Statement::Match(condition), Statement::Verdict(Verdict::Drop)] }
    };
    let (_, mut table) = table_of(&table());
    let (_, mut chain) = super::chain(&chain("in", Some(1), 1).body).unwrap();
    chain.rules = vec![rule(1, 4_000), rule(2, 4_000), rule(3, 90)];
    table.chains.push(chain);
    let fact = refusing::fact(RuleSet { tables: vec![table], rules_omitted: 0 }, false);
    let read: Vec<bool> = fact.refusing.iter().map(|rule| !rule.to_string().contains("@__set0")).collect();
    assert_eq!(read, [true, false, true]);
}

fn table_of(message: &Message) -> (Place, Table) {
    super::table(&message.body).unwrap()
}
