//! The two languages of the users.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A language. Logs are always in English; everything else that a user reads exists in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

impl Lang {
    /// Returns the language as users write it, `en` or `zh`.
    pub fn as_str(self) -> &'static str {
        self.pick("zh", "en")
    }

    /// The text in this language.
    pub fn pick<T>(self, zh: T, en: T) -> T {
        match self {
            Self::En => en,
            Self::Zh => zh,
        }
    }

    /// The language of a POSIX locale such as `zh_CN.UTF-8`; English for every locale that is not Chinese.
    pub fn from_locale(locale: &str) -> Self {
        if locale.to_ascii_lowercase().starts_with("zh") { Self::Zh } else { Self::En }
    }
}

impl FromStr for Lang {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "en" => Ok(Self::En),
            "zh" => Ok(Self::Zh),
            _ => Err("write the language as \"zh\" or \"en\""),
        }
    }
}
