//! Builders of packet-filter rules.

use pingtong_evidence::{
    FirewallHook, FirewallRule, FirewallVerdict,
    packet_filter::{Comparison, Condition, Element, Field, Operand, SetRef, Span, Statement, Test, Value},
};

/// Types of ICMP messages.
pub(crate) const ECHO_REPLY: u64 = 0;
pub(crate) const ECHO_REQUEST: u64 = 8;

/// A dropping rule at the input hook.
pub(crate) fn refusing(statements: Vec<Statement>) -> FirewallRule {
    FirewallRule {
        family: "inet".into(),
        table: "t".into(),
        chain: "c".into(),
        hook: FirewallHook::Input,
        handle: Some(1),
        verdict: FirewallVerdict::Drop,
        protocol: None,
        limited: false,
        statements: Some(statements),
        text: String::new(),
    }
}

pub(crate) fn match_on(field: Field, how: Comparison, value: Value) -> Statement {
    Statement::Match(Condition::new(field, Test::Compare { how, value }))
}

pub(crate) fn cmp(field: Field, how: Comparison, number: u64) -> Statement {
    match_on(field, how, Value::Number(number))
}

pub(crate) fn equal(field: Field, number: u64) -> Statement {
    Statement::Match(Condition::equal(field, number))
}

pub(crate) fn l4proto(number: u64) -> Statement {
    equal(Field::MetaL4proto, number)
}

/// A comparison of the type of an ICMP message.
pub(crate) fn icmp(number: u64) -> Statement {
    equal(Field::IcmpType, number)
}

pub(crate) fn block(text: &str) -> Value {
    Value::Prefix(text.parse().unwrap())
}

pub(crate) fn masked(field: Field, mask: u64, how: Comparison, value: u64) -> Statement {
    let operands = vec![Operand { field, mask: Some(Value::Number(mask)) }];
    Statement::Match(Condition { operands, test: Test::Compare { how, value: Value::Number(value) } })
}

pub(crate) fn within(field: Field, first: u64, last: u64, inverted: bool) -> Statement {
    let test = Test::Range { first: Value::Number(first), last: Value::Number(last), inverted };
    Statement::Match(Condition::new(field, test))
}

pub(crate) fn named_set(fields: Vec<Field>, name: &str, elements: Option<Vec<Element>>, inverted: bool) -> Statement {
    let operands = fields.into_iter().map(Operand::from).collect();
    Statement::Match(Condition { operands, test: Test::In { set: SetRef { name: name.into(), elements }, inverted } })
}

pub(crate) fn any_of(field: Field, numbers: &[u64], inverted: bool) -> Statement {
    let one = |number: &u64| Element { key: vec![Span::One(Value::Number(*number))], data: None };
    named_set(vec![field], "__set0", Some(numbers.iter().map(one).collect()), inverted)
}

pub(crate) fn not_understood(name: &str) -> Statement {
    Statement::NotUnderstood { name: name.into() }
}
