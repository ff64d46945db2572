//! `nft list …`: prints the kernel's tables, chains and rules, each rule with the text that it was created with.

use super::{PACKAGE, Refusal, phrase::Words};
use crate::{
    guest::render,
    plane::netlink::{Answer, Attributes, DUMP, Message, Netlink, attribute, attributes, text_of},
};

const GET_TABLE: u16 = 1;
const GET_CHAIN: u16 = 4;
const GET_RULE: u16 = 7;

fn dump(kind: u16) -> Result<Vec<Answer>, Refusal> {
    let failed = |error: std::io::Error| Refusal::failed("cannot list", &error);
    let mut netlink = Netlink::netfilter().map_err(failed)?;
    netlink.ask(&Message::netfilter(kind, DUMP, 0, &Attributes::new())).map_err(failed)
}

fn text(answer: &Answer, kind: u16) -> String {
    attribute(answer.body.get(4..).unwrap_or_default(), kind).map(text_of).unwrap_or_default()
}

fn family(answer: &Answer) -> u8 {
    answer.body.first().copied().unwrap_or_default()
}

fn number(bytes: Option<&[u8]>) -> u64 {
    bytes.unwrap_or_default().iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Family and name of every table.
pub(super) fn tables() -> Result<Vec<(u8, String)>, Refusal> {
    Ok(dump(GET_TABLE)?.iter().map(|answer| (family(answer), text(answer, 1))).collect())
}

pub(super) fn list(words: &mut Words, handles: bool) -> Result<(), Refusal> {
    let object = words.next("what to list")?;
    let (mut only_table, mut only_chain) = (None, None);
    match object.as_str() {
        "ruleset" | "tables" | "chains" => {
            words.family();
        }
        "table" | "chain" => {
            only_table = Some((words.family(), words.next("a table")?));
            if object == "chain" {
                only_chain = Some(words.next("a chain")?);
            }
        }
        other => return Err(Refusal::not_understood(&format!("list {other}"), PACKAGE)),
    }
    let (tables, chains, rules) = (tables()?, dump(GET_CHAIN)?, dump(GET_RULE)?);
    if only_table.as_ref().is_some_and(|table| !tables.contains(table)) {
        return Err(Refusal { message: "Error: No such file or directory".to_owned(), code: 1 });
    }
    for table in tables.iter().filter(|table| only_table.as_ref().is_none_or(|only| only == *table)) {
        if object == "tables" {
            render::line(&format!("table {} {}", family_name(table.0), table.1));
            continue;
        }
        render::line(&format!("table {} {} {{", family_name(table.0), table.1));
        let of_table = |answer: &&Answer| (family(answer), text(answer, 1)) == *table;
        for chain in chains.iter().filter(of_table) {
            let name = text(chain, 3);
            if only_chain.as_ref().is_some_and(|only| *only != name) {
                continue;
            }
            render::line(&format!("\tchain {name} {{{}", mark(handles, number(attribute(&chain.body[4..], 2)))));
            if let Some(base) = base(chain) {
                render::line(&format!("\t\t{base}"));
            }
            if object != "chains" {
                for rule in rules.iter().filter(of_table).filter(|rule| text(rule, 2) == name) {
                    let handle = number(attribute(&rule.body[4..], 3));
                    render::line(&format!("\t\t{}{}", said(rule), mark(handles, handle)));
                }
            }
            render::line("\t}");
        }
        render::line("}");
    }
    Ok(())
}

fn mark(handles: bool, handle: u64) -> String {
    if handles { format!(" # handle {handle}") } else { String::new() }
}

fn base(chain: &Answer) -> Option<String> {
    let body = chain.body.get(4..)?;
    let hook = attribute(body, 4)?;
    let device = attribute(hook, 3).map(text_of).filter(|device| !device.is_empty());
    let place = match number(attribute(hook, 1)) {
        0 if device.is_some() => "ingress",
        0 => "prerouting",
        1 => "input",
        2 => "forward",
        3 => "output",
        _ => "postrouting",
    };
    let priority = u32::try_from(number(attribute(hook, 2))).unwrap_or_default().cast_signed();
    let policy = if number(attribute(body, 5)) == 0 { "drop" } else { "accept" };
    let device = device.map_or_else(String::new, |device| format!(" device \"{device}\""));
    Some(format!("type {} hook {place}{device} priority {priority}; policy {policy};", text(chain, 7)))
}

/// The text that the rule was created with; for a rule of another program, the names of its expressions.
fn said(rule: &Answer) -> String {
    let body = rule.body.get(4..).unwrap_or_default();
    if let Some([0, length, note @ ..]) = attribute(body, 7) {
        return text_of(note.get(..usize::from(*length)).unwrap_or(note));
    }
    let expressions = attribute(body, 4).unwrap_or_default();
    let names: Vec<String> = attributes(expressions)
        .into_iter()
        .filter_map(|(_, expression)| attribute(expression, 1).map(text_of))
        .collect();
    format!("# made by another program: {}", names.join(" "))
}

fn family_name(family: u8) -> &'static str {
    match family {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        _ => "ip6",
    }
}
