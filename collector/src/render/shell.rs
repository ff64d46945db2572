//! Renders argument vectors as lines for a POSIX shell, to be copied and run.
//!
//! `${name}` inside an argument refers to a value that an earlier line saved, so the shell must expand it. The shell
//! must not expand anything else.

use pingtong_verdict::Repair;
use std::fmt::Write as _;

/// Quotes one argument.
pub(super) fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_owned();
    }
    if !has_variable(argument) {
        return format!("'{}'", argument.replace('\'', r"'\''"));
    }
    let mut text = String::from("\"");
    let mut rest = argument;
    while let Some(character) = rest.chars().next() {
        if let Some(length) = variable_length(rest) {
            text.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        if matches!(character, '"' | '\\' | '`' | '$') {
            text.push('\\');
        }
        text.push(character);
        rest = &rest[character.len_utf8()..];
    }
    text.push('"');
    text
}

/// Renders a whole command.
pub(super) fn line(argv: &[String]) -> String {
    argv.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(" ")
}

/// The lines of one repair: a command, and variable assignments if it saves values.
pub(super) fn repair_lines(repair: &Repair) -> Vec<String> {
    let mut lines = vec![];
    if !repair.cli.is_empty() {
        let command = line(&repair.cli);
        let mut saved = repair.save.iter();
        match (saved.next(), saved.next()) {
            (None, _) => lines.push(command),
            (Some((name, field)), None) => {
                lines.push(format!("{name}=$({command} | jq -r {})", quoted(&path_of(field))));
            }
            _ => {
                lines.push(format!("response=$({command})"));
                for (name, field) in &repair.save {
                    lines.push(format!("{name}=$(printf %s \"$response\" | jq -r {})", quoted(&path_of(field))));
                }
            }
        }
    }
    if !repair.guest.is_empty() {
        lines.push(line(&repair.guest));
    }
    lines
}

/// Converts `Response.A.B` to a path of `jq`.
fn path_of(field: &str) -> String {
    let mut path = String::new();
    for part in field.strip_prefix("Response.").unwrap_or(field).split('.') {
        let _ = match part.parse::<usize>() {
            Ok(index) => write!(path, "[{index}]"),
            Err(_) => write!(path, ".{part}"),
        };
    }
    path
}

fn has_variable(text: &str) -> bool {
    text.char_indices().any(|(at, _)| variable_length(&text[at..]).is_some())
}

/// Length in bytes of a leading `${name}`, if the text begins with one.
fn variable_length(text: &str) -> Option<usize> {
    let name = text.strip_prefix("${")?;
    let end = name.find('}')?;
    let name = &name[..end];
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_saved_names_stay_open_to_the_shell() {
        for (argument, expected) in [
            ("--PortRange=-1/-1", "--PortRange=-1/-1"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("${ri}", "\"${ri}\""),
            ("x ${ri} `y` $z", "\"x ${ri} \\`y\\` \\$z\""),
            ("${a b}", "'${a b}'"),
            ("{ policy accept ; }", "'{ policy accept ; }'"),
        ] {
            assert_eq!(quoted(argument), expected);
        }
    }

    #[test]
    fn a_saved_field_is_a_path_of_jq() {
        assert_eq!(path_of("Response.RouterInterfaceId"), ".RouterInterfaceId");
        assert_eq!(path_of("Response.Ids.Id.0"), ".Ids.Id[0]");
    }
}
