//! Wraps text in both languages. A Chinese character takes two columns.
//!
//! Our own, since the line breaking of Unicode (UAX #14, as in `textwrap`) also breaks at the hyphens and slashes of
//! object ids, options and addresses, which must stay whole to be copied.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Wraps a text into lines of at most `width` columns, each with a line end. Indents the first line by `first` and
/// the others by `rest`. Breaks at spaces and beside Chinese characters, but never before closing or after opening
/// punctuation.
pub fn wrapped(text: &str, width: usize, first: usize, rest: usize) -> String {
    let mut out = String::new();
    let mut indent = first;
    for paragraph in text.lines() {
        let (mut line, mut used) = (String::new(), indent);
        for piece in pieces(paragraph) {
            if used + piece.trim_end().width() > width && !line.trim().is_empty() {
                push_line(&mut out, indent, &line);
                indent = rest;
                line.clear();
                used = indent;
            }
            line.push_str(piece);
            used += piece.width();
        }
        push_line(&mut out, indent, &line);
        indent = rest;
    }
    out
}

fn push_line(out: &mut String, indent: usize, line: &str) {
    out.extend(std::iter::repeat_n(' ', indent));
    out.push_str(line.trim_end());
    out.push('\n');
}

/// Splits a text where a line may break; each piece keeps its trailing spaces.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = vec![];
    let mut start = 0;
    let mut previous: Option<char> = None;
    for (at, character) in text.char_indices() {
        let may_break = previous.is_some_and(|before| {
            (before == ' ' && character != ' ')
                || ((is_wide(before) || is_wide(character)) && !is_closing(character) && !is_opening(before))
        });
        if may_break && at > start {
            pieces.push(&text[start..at]);
            start = at;
        }
        previous = Some(character);
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}

fn is_wide(character: char) -> bool {
    character.width() == Some(2)
}

fn is_closing(character: char) -> bool {
    "，。；：！？、）》」』”’,.;:!?)] ".contains(character)
}

fn is_opening(character: char) -> bool {
    "（《「『“‘([".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_nothing_is_lost() {
        let text = "路由表 vtb-m5e33r3n78zyi5573kf85 没有到 192.168.0.0/16 的路由，请求死在两台主机之间。".repeat(4);
        let lines = wrapped(&text, 60, 2, 4);
        assert!(lines.lines().all(|line| line.width() <= 60), "{lines}");
        assert!(lines.lines().all(|line| !line.trim_start().starts_with(['，', '。'])), "{lines}");
        let squeezed = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(squeezed(&lines), squeezed(&text));
    }

    #[test]
    fn ids_and_options_stay_whole() {
        let text = "vtb-2zehl7p0z3bqf07tpktg 10000000000000001 --access-key-secret-file ".repeat(3);
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(wrapped(&text, 30, 0, 2).split_whitespace().collect::<Vec<_>>(), words);
    }
}
