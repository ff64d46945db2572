//! Stand-in for `nft [-a] [-n] [-f FILE|-] COMMAND…`: tables, chains and filter rules, in the syntax of `nft(8)`.
//!
//! Each rule stores its text as a comment, so that `list` shows what was typed. For rules of other programs `list`
//! shows only the names of their expressions. A set of values becomes one rule per value, except after `!=`, where all
//! values go into one rule.

mod listing;
mod phrase;

use super::Refusal;
use crate::plane::{
    netlink::{Message, Netlink},
    nft::{self, Hook, Position},
};
use phrase::Words;
use std::io::Read as _;

const PACKAGE: &str = "nftables";

pub(super) fn run(words: &[String]) -> Result<u8, Refusal> {
    let mut handles = false;
    let mut text = String::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-f" | "--file" => {
                let path = rest.next().ok_or_else(|| Refusal::new("-f wants a file"))?;
                text = read(path)?;
            }
            option if option.starts_with('-') && option.len() > 1 && text.is_empty() => {
                for letter in option.trim_start_matches('-').chars() {
                    match letter {
                        'a' => handles = true,
                        'n' | 's' | 'y' | 'N' => {}
                        _ => return Err(Refusal::not_understood(option, PACKAGE)),
                    }
                }
            }
            word => text = format!("{text} {word}"),
        }
    }
    let mut words = Words::new(&text);
    let mut messages = Vec::new();
    while !words.is_empty() {
        if words.take_if(";") {
            continue;
        }
        command(&mut words, &mut messages, handles)?;
    }
    send(&messages)?;
    Ok(0)
}

fn read(path: &str) -> Result<String, Refusal> {
    let mut text = String::new();
    let outcome = match path {
        "-" => std::io::stdin().read_to_string(&mut text).map(drop),
        path => std::fs::read_to_string(path).map(|read| text = read),
    };
    outcome.map_err(|error| Refusal::failed(&format!("cannot read {path}"), &error))?;
    Ok(text)
}

fn send(messages: &[Message]) -> Result<(), Refusal> {
    let opened = Netlink::netfilter().map_err(|error| Refusal::failed("cannot open netlink", &error))?;
    let mut netlink = opened;
    netlink.transaction(messages).map_err(|(_, error)| Refusal {
        message: format!(
            "Error: Could not process rule: {}",
            error
                .raw_os_error()
                .map_or_else(|| error.to_string(), |code| nix::errno::Errno::from_raw(code).desc().to_owned(),)
        ),
        code: 1,
    })
}

fn command(words: &mut Words, messages: &mut Vec<Message>, handles: bool) -> Result<(), Refusal> {
    let verb = words.next("a command")?;
    match verb.as_str() {
        "add" | "create" => add(words, messages, true),
        "insert" => {
            words.expect("rule")?;
            rule(words, messages, false)
        }
        "table" | "chain" => {
            words.back(&verb);
            add(words, messages, true)
        }
        "delete" | "destroy" => delete(words, messages),
        "flush" => flush(words, messages),
        "list" => listing::list(words, handles),
        other => Err(Refusal::not_understood(other, PACKAGE)),
    }
}

fn add(words: &mut Words, messages: &mut Vec<Message>, last: bool) -> Result<(), Refusal> {
    match words.next("an object")?.as_str() {
        "table" => {
            let (family, table) = (words.family(), words.next("a table")?);
            messages.push(nft::table(family, &table));
            if words.take_if("{") {
                while !words.take_if("}") {
                    if words.take_if(";") {
                        continue;
                    }
                    words.expect("chain")?;
                    let name = words.next("a chain")?;
                    chain(words, messages, family, &table, &name)?;
                }
            }
            Ok(())
        }
        "chain" => {
            let (family, table, name) = (words.family(), words.next("a table")?, words.next("a chain")?);
            chain(words, messages, family, &table, &name)
        }
        "rule" => rule(words, messages, last),
        other => Err(Refusal::not_understood(other, PACKAGE)),
    }
}

/// A chain with the content of its braces, rules included.
fn chain(words: &mut Words, messages: &mut Vec<Message>, family: u8, table: &str, name: &str) -> Result<(), Refusal> {
    if !words.take_if("{") {
        messages.push(nft::chain(family, table, name, None));
        return Ok(());
    }
    let (mut base, mut policy, mut rules) = (None, None, Vec::new());
    while !words.take_if("}") {
        if words.take_if(";") {
            continue;
        }
        if words.take_if("type") {
            let kind = words.next("a chain type")?;
            words.expect("hook")?;
            let number = hook_number(&words.next("a hook")?)?;
            let device = if words.take_if("device") { Some(words.next("a device")?) } else { None };
            words.expect("priority")?;
            base = Some((kind, number, device, words.priority()?));
        } else if words.take_if("policy") {
            policy = Some(match words.next("a policy")?.as_str() {
                "accept" => true,
                "drop" => false,
                other => return Err(Refusal::new(format!("a policy is accept or drop, not {other:?}"))),
            });
        } else {
            rules.extend(phrase::rules(words, family)?);
        }
    }
    messages.push(match (&base, policy) {
        (Some((kind, number, device, priority)), accept) => {
            let hook = Hook { kind, number: *number, device: device.as_deref(), priority: *priority, accept };
            nft::chain(family, table, name, Some(hook))
        }
        (None, Some(accept)) => nft::policy(family, table, name, accept),
        (None, None) => nft::chain(family, table, name, None),
    });
    for (rule, text) in rules {
        messages.push(nft::rule(family, table, name, Position::Last, &rule, Some(&text)));
    }
    Ok(())
}

fn hook_number(name: &str) -> Result<u32, Refusal> {
    match name {
        "ingress" => Ok(nft::hook::INGRESS),
        "prerouting" => Ok(nft::hook::PREROUTING),
        "input" => Ok(nft::hook::INPUT),
        "forward" => Ok(nft::hook::FORWARD),
        "output" => Ok(nft::hook::OUTPUT),
        "postrouting" => Ok(nft::hook::POSTROUTING),
        other => Err(Refusal::not_understood(other, PACKAGE)),
    }
}

fn rule(words: &mut Words, messages: &mut Vec<Message>, last: bool) -> Result<(), Refusal> {
    let (family, table, chain) = (words.family(), words.next("a table")?, words.next("a chain")?);
    let handle = if words.take_if("position") || words.take_if("handle") { Some(words.number()?) } else { None };
    let position = match (handle, last) {
        (Some(handle), true) => Position::After(handle),
        (Some(handle), false) => Position::Before(handle),
        (None, true) => Position::Last,
        (None, false) => Position::First,
    };
    for (rule, text) in phrase::rules(words, family)? {
        messages.push(nft::rule(family, &table, &chain, position, &rule, Some(&text)));
    }
    Ok(())
}

fn delete(words: &mut Words, messages: &mut Vec<Message>) -> Result<(), Refusal> {
    let object = words.next("an object")?;
    let (family, table) = (words.family(), words.next("a table")?);
    messages.push(match object.as_str() {
        "table" => nft::remove_table(family, &table),
        "chain" => nft::remove_chain(family, &table, &words.next("a chain")?),
        "rule" => {
            let chain = words.next("a chain")?;
            words.expect("handle")?;
            nft::remove_rules(family, &table, Some(&chain), Some(words.number()?))
        }
        other => return Err(Refusal::not_understood(other, PACKAGE)),
    });
    Ok(())
}

fn flush(words: &mut Words, messages: &mut Vec<Message>) -> Result<(), Refusal> {
    let object = words.next("an object")?;
    if object == "ruleset" {
        for (family, table) in listing::tables()? {
            messages.push(nft::remove_table(family, &table));
        }
        return Ok(());
    }
    let (family, table) = (words.family(), words.next("a table")?);
    messages.push(match object.as_str() {
        "table" => nft::remove_rules(family, &table, None, None),
        "chain" => nft::remove_rules(family, &table, Some(&words.next("a chain")?), None),
        other => return Err(Refusal::not_understood(other, PACKAGE)),
    });
    Ok(())
}
