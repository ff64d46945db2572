//! Saved evidence as JSON documents, one after another, in a file or in the `*.json` files of a directory in order of
//! name. Snapshots have the same form, in files only.

use pingtong_evidence::{SCHEMA, Snapshot};
use pingtong_verdict::{Bundle, Case, Configurations, Lang, Unprobed, Verdict, diagnose_in};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Maximum number of bytes read from one evidence file.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Why evidence cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// A file cannot be read.
    #[error("cannot read the evidence \"{}\"; give a file written by \"pingtong verify --save FILE\", its directory, or -", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write the evidence to \"{}\"; name another file with --save", path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// The content is not evidence.
    #[error("\"{}\" holds no evidence that this version understands; give a file written by \"pingtong verify --save FILE\"", path.display())]
    Parse {
        /// Path of the file.
        path: PathBuf,
        /// The JSON error, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// A file of snapshots cannot be read.
    #[error("cannot read the snapshot \"{}\"; give a file written by \"pingtong snapshot --out FILE\", or -", path.display())]
    ReadSnapshot {
        /// Path of the file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// The content is not a snapshot.
    #[error("\"{}\" is no snapshot; give a file written by \"pingtong snapshot --out FILE\"", path.display())]
    ParseSnapshot {
        /// Path of the file.
        path: PathBuf,
        /// The JSON error, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// The file holds no snapshot, or one of another version.
    #[error("\"{}\" holds no snapshot that this version understands; write it anew with \"pingtong snapshot\"", path.display())]
    NoSnapshot {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file or directory holds no question.
    #[error("\"{}\" holds no question; give a file written by \"pingtong verify --save FILE\"", path.display())]
    Empty {
        /// Path of the file or directory.
        path: PathBuf,
    },
}

/// A document of saved evidence.
#[derive(Debug)]
pub(crate) enum Saved {
    /// Schema 1: one pair with evidence of its own.
    Case(Box<Case>),
    /// Schema 2: many pairs that share their evidence.
    Bundle(Box<Bundle>),
}

impl Saved {
    /// Reads a document by the schema that it states; a document of schema 1 states none.
    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Head {
            schema: Option<u32>,
        }
        match serde_json::from_str::<Head>(text)?.schema {
            None => serde_json::from_str(text).map(|case| Self::Case(Box::new(case))),
            Some(_) => serde_json::from_str(text).map(|bundle| Self::Bundle(Box::new(bundle))),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Bundle(bundle) if bundle.pairs.is_empty())
    }

    /// What is predicted for the hosts that no pair covers; `None` if there are none.
    pub(crate) fn unprobed(&self, lang: Lang) -> Option<Unprobed> {
        let Self::Bundle(bundle) = self else { return None };
        Some(bundle.unprobed(lang)).filter(|unprobed| !unprobed.sets.is_empty())
    }

    /// The verdict about each pair.
    pub(crate) fn verdicts(&self, lang: Lang) -> Vec<Verdict> {
        match self {
            Self::Case(case) => vec![diagnose_in(&case.question(), lang)],
            Self::Bundle(bundle) => {
                let mut configurations = Configurations::default();
                bundle.questions(&mut configurations).map(|question| diagnose_in(&question, lang)).collect()
            }
        }
    }
}

/// Reads all documents of a file, a directory or standard input (`-`).
///
/// # Errors
/// If a file cannot be read or parsed, or if there is no question.
pub(crate) fn read(path: &Path) -> Result<Vec<Saved>, BundleError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::Read { path, source }
    };
    let mut found = vec![];
    if path == Path::new("-") {
        found.extend(parse(path, io::stdin().lock())?);
    } else if path.is_dir() {
        let mut files = vec![];
        for entry in std::fs::read_dir(path).map_err(unreadable(path))? {
            let file = entry.map_err(unreadable(path))?.path();
            if file.extension().is_some_and(|extension| extension == "json") {
                files.push(file);
            }
        }
        files.sort();
        for file in files {
            found.extend(parse(&file, std::fs::File::open(&file).map_err(unreadable(&file))?)?);
        }
    } else {
        found.extend(parse(path, std::fs::File::open(path).map_err(unreadable(path))?)?);
    }
    if found.iter().all(Saved::is_empty) { Err(BundleError::Empty { path: path.to_owned() }) } else { Ok(found) }
}

fn parse(path: &Path, source: impl Read) -> Result<Vec<Saved>, BundleError> {
    let text = text_of(source).map_err(|source| BundleError::Read { path: path.to_owned(), source })?;
    let all = serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>();
    all.map(|document| Saved::parse(document?.get()))
        .collect::<Result<_, _>>()
        .map_err(|source| BundleError::Parse { path: path.to_owned(), source })
}

fn text_of(source: impl Read) -> io::Result<String> {
    let mut text = String::new();
    source.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn documents<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, serde_json::Error> {
    serde_json::Deserializer::from_str(text).into_iter().collect()
}

/// Reads all snapshots of these files; `-` is standard input.
///
/// # Errors
/// If a file cannot be read or parsed, holds no snapshot, or holds one of another version.
pub(crate) fn read_snapshots(paths: &[PathBuf]) -> Result<Vec<Snapshot>, BundleError> {
    let mut all: Vec<Snapshot> = vec![];
    for path in paths {
        let text = if path == Path::new("-") {
            text_of(io::stdin().lock())
        } else {
            std::fs::File::open(path).and_then(text_of)
        };
        let text = text.map_err(|source| BundleError::ReadSnapshot { path: path.clone(), source })?;
        let found: Vec<Snapshot> =
            documents(&text).map_err(|source| BundleError::ParseSnapshot { path: path.clone(), source })?;
        if found.is_empty() || found.iter().any(|snapshot| snapshot.schema != SCHEMA) {
            return Err(BundleError::NoSnapshot { path: path.clone() });
        }
        all.extend(found);
    }
    Ok(all)
}

/// Serialises snapshots as JSON, one per line.
pub(crate) fn lines_of(snapshots: &[Snapshot]) -> String {
    let mut text = String::new();
    for snapshot in snapshots {
        // Serialising our own types to JSON never fails.
        text.push_str(&serde_json::to_string(snapshot).unwrap_or_default());
        text.push('\n');
    }
    text
}

/// Writes evidence as JSON on one line.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write(path: &Path, bundle: &Bundle) -> Result<(), BundleError> {
    let fail = |source| BundleError::Write { path: path.to_owned(), source };
    let mut file = io::BufWriter::new(std::fs::File::create(path).map_err(fail)?);
    serde_json::to_writer(&mut file, bundle).map_err(|error| fail(error.into()))?;
    file.write_all(b"\n").map_err(fail)?;
    file.flush().map_err(fail)
}
