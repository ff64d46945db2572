//! Mistakes in a user's TOML, shown with file, line and what was expected.
//!
//! All mistakes of a file are shown at once. Syntax errors and unknown keys come from the `toml` crate, which knows the
//! expected keys; semantic mistakes (a name that refers to nothing, a block with host bits) come from our own checks.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::{fmt, ops::Range, path::Path};

/// Where a mistake is and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Bytes of the file that are wrong.
    pub span: Range<usize>,
    /// What is wrong, with the offending value.
    pub what: String,
    /// What was expected instead.
    pub expected: String,
}

/// Every mistake found in one file.
#[derive(Debug)]
pub struct Mistakes {
    rendered: String,
    /// Number of mistakes.
    pub count: usize,
}

impl Mistakes {
    /// Renders the mistakes of the file `path`, whose content is `text`.
    pub fn new(path: &Path, text: &str, mistakes: &[Mistake]) -> Self {
        let path = path.display().to_string();
        let rendered = mistakes.iter().map(|m| one(&path, text, m)).collect::<Vec<_>>().join("\n");
        Self { rendered, count: mistakes.len() }
    }

    /// Renders an error of the `toml` crate.
    pub fn from_toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let mistake = Mistake {
            span: error.span().unwrap_or(0..0),
            what: error.message().to_owned(),
            expected: "see the formats in tests/README.md, \"Scenarios and topologies\"".into(),
        };
        Self::new(path, text, &[mistake])
    }
}

fn one(path: &str, text: &str, mistake: &Mistake) -> String {
    let end = mistake.span.end.min(text.len());
    let start = mistake.span.start.min(end);
    let report = Level::ERROR.primary_title(&mistake.what).element(
        Snippet::source(text)
            .path(path)
            .fold(true)
            .annotation(AnnotationKind::Primary.span(start..end).label(&mistake.expected)),
    );
    Renderer::plain().render(&[report]).clone()
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}

impl std::error::Error for Mistakes {}
