//! One page per cause code, in both languages: what it means, what shows it, who must do what, how we could be wrong.
//!
//! Pure data and its rendering. Tests hold that every code of `causes.md` has a page and every page all its parts.

mod texts;

use crate::{
    code::CauseCode,
    lang::{Lang, Texts},
};

/// Whether a code is a fault or something that could not be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CauseKind {
    /// Something is wrong.
    Fault,
    /// Something is not known; never blamed.
    Gap,
}

/// A page of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CauseDoc {
    /// The code.
    pub code: CauseCode,
    /// The tutorial's step or steps.
    pub step: &'static str,
    /// Fault or gap.
    pub kind: CauseKind,
    /// One line.
    pub title: Texts,
    /// What it means.
    pub meaning: Texts,
    /// What shows it.
    pub evidence: Texts,
    /// The repair, or who must act.
    pub repair: Texts,
    /// How we could be wrong.
    pub doubt: Texts,
    /// The way through the console.
    pub console: Texts,
}

impl CauseDoc {
    /// The whole page.
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

/// Every page, in the codes' order.
pub fn catalogue() -> &'static [CauseDoc] {
    texts::PAGES
}

/// The page of a code as a user writes it.
pub fn explain(code: &str) -> Option<&'static CauseDoc> {
    code.parse().ok().map(doc)
}

/// The page of a code. A test holds that pages are in the codes' order, one each.
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
}
