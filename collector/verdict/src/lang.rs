//! The two languages of the users, and texts that exist in both.
//!
//! Makes no decision about the network. Every text of a verdict is created as a [`Both`]; one of its halves is selected
//! only at the very end, so no text can exist in one language alone.

pub use pingtong_evidence::Lang;

/// A fixed text in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Texts {
    /// English.
    pub en: &'static str,
    /// Chinese.
    pub zh: &'static str,
}

impl Texts {
    /// The text in one language.
    pub fn get(&self, lang: Lang) -> &'static str {
        lang.pick(self.zh, self.en)
    }
}

/// A composed text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Both {
    pub(crate) en: String,
    pub(crate) zh: String,
}

impl Both {
    pub(crate) fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { en: en.into(), zh: zh.into() }
    }

    pub(crate) fn get(&self, lang: Lang) -> String {
        lang.pick(&self.zh, &self.en).clone()
    }
}

/// Builds a [`Both`] from two format strings.
macro_rules! both {
    ($en:literal, $zh:literal $(,)?) => {
        $crate::lang::Both::new(format!($en), format!($zh))
    };
}
pub(crate) use both;
