//! Comments, documents and user texts use standard terms: words of a private dialect are refused.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Refused words and what to write instead. Quotations do not count: code between backticks, and what a comment quotes.
const REFUSED: [(&str, &str); 17] = [
    ("told", "reported, distinguished, known"),
    ("tells", "reports, says, shows"),
    ("nought", "zero"),
    ("whither", "destination"),
    ("heed", "respect, take into account"),
    ("heeds", "respects, takes into account"),
    ("thereof", "of it"),
    ("bears", "has, carries"),
    ("is dear", "is expensive"),
    ("speaks of", "matches, names"),
    ("a card", "a network interface"),
    ("the card", "the network interface"),
    ("pick up of", "ring-buffer receive"),
    ("at leisure", "batched, low priority"),
    ("the own", "its own"),
    ("are no custom", "are too few samples for a baseline"),
    ("none where", "`None` if"),
];

#[test]
fn no_word_of_a_private_dialect_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let found: Vec<String> = files(root)
        .iter()
        .flat_map(|file| {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            let parts = if file.extension().is_some_and(|extension| extension == "md") {
                text.lines().zip(1..).map(|(line, number)| (number, line.to_owned())).collect()
            } else {
                let shipped = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
                prose(shipped, !is_test(file))
            };
            let name = file.display().to_string();
            parts.into_iter().filter_map(move |(line, text)| {
                let (word, instead) = refused(&text)?;
                Some(format!("{name}:{line}: \"{word}\"; write: {instead}"))
            })
        })
        .collect();
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
}

#[test]
fn quotations_and_parts_of_words_do_not_count() {
    assert_eq!(refused("the agent told us").map(|(word, _)| word), Some("told"));
    assert_eq!(refused("A card carries packets").map(|(word, _)| word), Some("a card"));
    assert_eq!(refused("a cardinal, untold, `told_by`, and its own"), None);
    let source = "let a = \"told\"; // tells \"told\" 'x'\n/// nought\nlet b = r#\"whither\"#;";
    let texts: Vec<String> = prose(source, true).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["told", " tells  'x'", "/ nought", "whither"]);
    assert_eq!(prose(source, false).len(), 2, "comments alone");
}

fn files(root: &Path) -> Vec<PathBuf> {
    let out = Command::new("git").args(["ls-files", "*.rs", "*.md"]).current_dir(root).output().unwrap();
    let listed = String::from_utf8(out.stdout).unwrap();
    listed.lines().map(PathBuf::from).filter(|file| !file.ends_with("words.rs") && root.join(file).is_file()).collect()
}

/// Strings of tests are no user texts.
fn is_test(file: &Path) -> bool {
    let name = file.file_name().is_some_and(|name| name == "tests.rs");
    name || file.starts_with("tests") || file.components().any(|part| part.as_os_str() == "tests")
}

fn refused(text: &str) -> Option<(&'static str, &'static str)> {
    let plain: String = text.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let lower = plain.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '_').filter(|word| !word.is_empty()).collect();
    REFUSED.into_iter().find(|(refused, _)| {
        let sought: Vec<&str> = refused.split(' ').collect();
        words.windows(sought.len()).any(|window| window == sought)
    })
}

/// Comments of a Rust file, without what they quote, and its string literals, each with its line.
fn prose(text: &str, strings: bool) -> Vec<(usize, String)> {
    let bytes = text.as_bytes();
    let (mut found, mut at, mut line) = (vec![], 0, 1);
    while at < bytes.len() {
        let rest = &text[at..];
        let (length, part) = if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            (end, Some(rest[2..end].split('"').step_by(2).collect::<String>()))
        } else if let Some(raw) = raw_string(rest, at.checked_sub(1).map(|before| bytes[before])) {
            (raw.0, Some(raw.1.to_owned()).filter(|_| strings))
        } else if rest.starts_with('"') {
            let end = end_of_string(rest);
            (end, Some(rest[1..end.saturating_sub(1).max(1)].to_owned()).filter(|_| strings))
        } else if let Some(length) = character(rest) {
            (length, None)
        } else {
            (rest.chars().next().map_or(1, char::len_utf8), None)
        };
        found.extend(part.map(|part| (line, part)));
        line += rest[..length].matches('\n').count();
        at += length;
    }
    found
}

/// Length and content of a raw string at the beginning of a text.
fn raw_string(text: &str, before: Option<u8>) -> Option<(usize, &str)> {
    if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let inner = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = inner.bytes().take_while(|byte| *byte == b'#').count();
    let content = inner[hashes..].strip_prefix('"')?;
    let end = content.find(&format!("\"{}", "#".repeat(hashes)))?;
    Some((text.len() - content.len() + end + 1 + hashes, &content[..end]))
}

/// Length of a string literal with its quotes.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of a character literal; lifetimes are none.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let first = inner.chars().next()?;
    let length = if first == '\\' { 1 + inner[1..].find('\'')? } else { first.len_utf8() };
    (inner[length..].starts_with('\'')).then_some(length + 2)
}
