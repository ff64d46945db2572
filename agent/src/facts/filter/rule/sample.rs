//! Expressions as the kernel writes them.

use crate::facts::netlink::push;

pub(in crate::facts::filter) fn expression(name: &str, data: &[u8]) -> Vec<u8> {
    let mut body = vec![];
    push(&mut body, super::EXPRESSION_NAME, format!("{name}\0").as_bytes());
    push(&mut body, super::EXPRESSION_DATA, data);
    body
}

pub(in crate::facts::filter) fn numbers(pairs: &[(u16, u32)]) -> Vec<u8> {
    let mut data = vec![];
    for (kind, value) in pairs {
        push(&mut data, *kind, &value.to_be_bytes());
    }
    data
}

pub(in crate::facts::filter) fn value(data: &mut Vec<u8>, kind: u16, bytes: &[u8]) {
    let mut nested = vec![];
    push(&mut nested, super::DATA_VALUE, bytes);
    push(data, kind, &nested);
}

pub(in crate::facts::filter) fn meta(key: u32) -> Vec<u8> {
    expression("meta", &numbers(&[(1, 1), (2, key)]))
}

pub(in crate::facts::filter) fn meta_l4proto() -> Vec<u8> {
    meta(16)
}

pub(in crate::facts::filter) fn payload(base: u32, offset: u32, length: u32) -> Vec<u8> {
    payload_into(1, (base, offset, length))
}

pub(in crate::facts::filter) fn payload_into(register: u32, (base, offset, length): (u32, u32, u32)) -> Vec<u8> {
    expression("payload", &numbers(&[(1, register), (2, base), (3, offset), (4, length)]))
}

pub(in crate::facts::filter) fn cmp(bytes: &[u8]) -> Vec<u8> {
    compare(0, bytes)
}

pub(in crate::facts::filter) fn compare(how: u32, bytes: &[u8]) -> Vec<u8> {
    let mut data = numbers(&[(1, 1), (2, how)]);
    value(&mut data, 3, bytes);
    expression("cmp", &data)
}

pub(in crate::facts::filter) fn mask(bytes: &[u8]) -> Vec<u8> {
    let mut data = numbers(&[(1, 1), (2, 1), (3, u32::try_from(bytes.len()).unwrap()), (6, 0)]);
    value(&mut data, 4, bytes);
    value(&mut data, 5, &vec![0; bytes.len()]);
    expression("bitwise", &data)
}

pub(in crate::facts::filter) fn lookup(set: &str, inverted: bool) -> Vec<u8> {
    let mut data = vec![];
    push(&mut data, 1, format!("{set}\0").as_bytes());
    data.extend(numbers(&[(2, 1), (5, u32::from(inverted))]));
    expression("lookup", &data)
}

pub(in crate::facts::filter) fn verdict(code: i32) -> Vec<u8> {
    immediate(code, None)
}

pub(in crate::facts::filter) fn jump(chain: &str) -> Vec<u8> {
    immediate(-3, Some(chain))
}

fn immediate(code: i32, chain: Option<&str>) -> Vec<u8> {
    let mut verdict = vec![];
    push(&mut verdict, 1, &code.to_be_bytes());
    if let Some(chain) = chain {
        push(&mut verdict, 2, format!("{chain}\0").as_bytes());
    }
    let (mut nested, mut data) = (vec![], numbers(&[(1, 0)]));
    push(&mut nested, super::DATA_VERDICT, &verdict);
    push(&mut data, 2, &nested);
    expression("immediate", &data)
}
