//! Widths, wrapping and colour. A Chinese character takes two columns; the page has 100 columns.

use pingtong_verdict::Lang;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Width of the page in columns.
pub(super) const WIDTH: usize = 100;

/// How to print: the language, whether to use colour, and the level of detail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) lang: Lang,
    pub(crate) colour: bool,
    /// Show every line of evidence with its source; otherwise only what a reader at 3 a.m. needs.
    pub(crate) verbose: bool,
}

/// Colours by meaning.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tone {
    Good,
    Bad,
    Open,
    Strong,
    Faint,
}

impl Style {
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Open => "33",
            Tone::Strong => "1",
            Tone::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// The text in the given language.
pub(super) fn pick(lang: Lang, en: &'static str, zh: &'static str) -> &'static str {
    match lang {
        Lang::En => en,
        Lang::Zh => zh,
    }
}

/// Pads texts to column widths; a width of 0 adds no padding.
pub(super) fn columns(cells: &[(&str, usize)]) -> String {
    let mut line = String::new();
    for (text, width) in cells {
        line.push_str(text);
        let missing = width.saturating_sub(text.width());
        line.extend(std::iter::repeat_n(' ', missing));
    }
    line.truncate(line.trim_end().len());
    line
}

/// Pads a text on the left to a width.
pub(super) fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.width())))
}

/// Wraps a text into lines of at most [`WIDTH`] columns, each with a line end. Indents the first line by `first` and
/// the others by `rest`. Breaks at spaces and beside Chinese characters, but never before closing or after opening
/// punctuation.
pub(super) fn wrapped(text: &str, first: usize, rest: usize) -> String {
    let mut out = String::new();
    let mut indent = first;
    for paragraph in text.lines() {
        let (mut line, mut used) = (String::new(), indent);
        for piece in pieces(paragraph) {
            let width = piece.trim_end().width();
            if used + width > WIDTH && !line.trim().is_empty() {
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
        let lines = wrapped(&text, 2, 4);
        assert!(lines.lines().all(|line| line.width() <= WIDTH), "{lines}");
        assert!(lines.lines().all(|line| !line.trim_start().starts_with(['，', '。'])), "{lines}");
        let squeezed = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(squeezed(&lines), squeezed(&text));
    }

    #[test]
    fn columns_line_up_in_chinese() {
        assert_eq!(columns(&[("去程", 8), ("x", 0)]), "去程    x");
        assert_eq!(columns(&[("forward", 8), ("x", 0)]), "forward x");
    }
}
