//! One page per cause code, in both languages: its meaning, its evidence, who must do what, and how the verdict could
//! be wrong.
//!
//! Pure data and its rendering. Tests ensure that every code has a page and that every page has all its
//! parts.

mod texts;

use crate::{
    code::CauseCode,
    lang::{Lang, Texts},
};

/// Whether a code is a fault, or a gap in what could be read or observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CauseKind {
    /// Something is wrong.
    Fault,
    /// Something is not known; a gap is never blamed.
    Gap,
}

/// A page of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CauseDoc {
    /// Cause code of the page.
    pub code: CauseCode,
    /// The tutorial's step or steps.
    pub step: &'static str,
    /// Fault or gap.
    pub kind: CauseKind,
    /// Title, one line.
    pub title: Texts,
    /// Meaning of the code.
    pub meaning: Texts,
    /// Evidence that shows the cause.
    pub evidence: Texts,
    /// The repair, or who must act.
    pub repair: Texts,
    /// How the verdict could be wrong.
    pub doubt: Texts,
    /// Path through the console.
    pub console: Texts,
}

impl CauseDoc {
    /// Renders the whole page as text.
    pub fn render(&self, lang: Lang) -> String {
        let heads = match lang {
            Lang::En => ["Step", "Meaning", "Evidence", "Repair", "Console", "How this could be wrong"],
            Lang::Zh => ["步骤", "含义", "证据", "修复", "控制台", "可能误判的情形"],
        };
        let parts = [self.meaning, self.evidence, self.repair, self.console, self.doubt].map(|texts| texts.get(lang));
        let mut page = format!("{}: {}\n\n{}: {}\n", self.code, self.title.get(lang), heads[0], self.step);
        for (head, part) in heads[1..].iter().zip(parts) {
            page.extend(["\n", head, "\n  ", part, "\n"]);
        }
        page
    }
}

/// Every page, in the order of [`CauseCode::ALL`].
pub fn catalogue() -> &'static [CauseDoc] {
    texts::PAGES
}

/// Returns the page of the code that a user wrote; `None` if it is not a code.
pub fn explain(code: &str) -> Option<&'static CauseDoc> {
    code.parse().ok().map(doc)
}

/// The page of a code. A test ensures that the pages are in the order of the codes, one page per code.
pub(crate) fn doc(code: CauseCode) -> &'static CauseDoc {
    &texts::PAGES[code as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_page_with_every_part() {
        assert_eq!(catalogue().len(), CauseCode::ALL.len());
        for (page, code) in catalogue().iter().zip(CauseCode::ALL) {
            assert_eq!(page.code, *code);
            assert_eq!(explain(code.as_str()), Some(page));
            for texts in [page.title, page.meaning, page.evidence, page.repair, page.doubt, page.console] {
                assert!(texts.en.len() > 3 && texts.zh.chars().count() > 1, "{code} lacks a part");
            }
            assert!(page.render(Lang::Zh).contains(page.title.zh));
        }
    }

    #[test]
    fn evidence_and_doubt_are_written_for_their_cause() {
        let all =
            catalogue().iter().flat_map(|page| [page.evidence, page.doubt]).flat_map(|texts| [texts.en, texts.zh]);
        let mut times = std::collections::BTreeMap::new();
        all.for_each(|text| *times.entry(text).or_insert(0) += 1);
        let often: Vec<_> = times.iter().filter(|(_, times)| **times > 3).collect();
        assert!(often.is_empty(), "used by more than three codes: {often:?}");
    }
}
