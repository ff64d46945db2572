//! Widths and colour. A Chinese character takes two columns; the page has 80 columns.

use pingtong_verdict::Lang;
use unicode_width::UnicodeWidthStr;

/// Width of the page in columns.
pub(super) const WIDTH: usize = 80;

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
    lang.pick(zh, en)
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

/// Wraps a text to the page; see [`pingtong_cli::wrapped`].
pub(super) fn wrapped(text: &str, first: usize, rest: usize) -> String {
    pingtong_cli::wrapped(text, WIDTH, first, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_in_chinese() {
        assert_eq!(columns(&[("去程", 8), ("x", 0)]), "去程    x");
        assert_eq!(columns(&[("forward", 8), ("x", 0)]), "forward x");
    }
}
