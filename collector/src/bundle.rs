//! Kept evidence: questions as JSON, one after another, in a file or in a directory's `*.json` files by name; snapshots
//! likewise.

use pingtong_evidence::{SCHEMA, Snapshot};
use pingtong_verdict::Question;
use serde::de::DeserializeOwned;
use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Bytes of one file of evidence; the largest seen in the lab are below 2 MB for each pair.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Why evidence cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// A file cannot be read.
    #[error("cannot read the evidence \"{}\"; give a file written by \"pingtong verify --save FILE\", its directory, or -", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write the evidence to \"{}\"; name another file with --save", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The content is no evidence.
    #[error("\"{}\" holds no evidence that this version understands; give a file written by \"pingtong verify --save FILE\"", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// A file of snapshots cannot be read.
    #[error("cannot read the snapshot \"{}\"; give a file written by \"pingtong snapshot --out FILE\", or -", path.display())]
    ReadSnapshot {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The content is no snapshot.
    #[error("\"{}\" is no snapshot; give a file written by \"pingtong snapshot --out FILE\"", path.display())]
    ParseSnapshot {
        /// The file.
        path: PathBuf,
        /// Why, with line and column.
        #[source]
        source: serde_json::Error,
    },
    /// There is no snapshot in it, or none of this version.
    #[error("\"{}\" holds no snapshot that this version understands; write it anew with \"pingtong snapshot\"", path.display())]
    NoSnapshot {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing in it.
    #[error("\"{}\" holds no question; give a file written by \"pingtong verify --save FILE\"", path.display())]
    Empty {
        /// The file or directory.
        path: PathBuf,
    },
}

/// Reads all questions of a file, a directory or standard input (`-`).
///
/// # Errors
/// [`BundleError`].
pub(crate) fn read(path: &Path) -> Result<Vec<Question>, BundleError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::Read { path, source }
    };
    let mut questions = vec![];
    if path == Path::new("-") {
        questions.extend(parse(path, io::stdin().lock())?);
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
            questions.extend(parse(&file, std::fs::File::open(&file).map_err(unreadable(&file))?)?);
        }
    } else {
        questions.extend(parse(path, std::fs::File::open(path).map_err(unreadable(path))?)?);
    }
    if questions.is_empty() { Err(BundleError::Empty { path: path.to_owned() }) } else { Ok(questions) }
}

fn parse(path: &Path, source: impl Read) -> Result<Vec<Question>, BundleError> {
    let text = text_of(source).map_err(|source| BundleError::Read { path: path.to_owned(), source })?;
    documents(&text).map_err(|source| BundleError::Parse { path: path.to_owned(), source })
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
/// [`BundleError`].
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

/// Snapshots as text, one on each line.
pub(crate) fn lines_of(snapshots: &[Snapshot]) -> String {
    let mut text = String::new();
    for snapshot in snapshots {
        // Values made of our own types always have a JSON form.
        text.push_str(&serde_json::to_string(snapshot).unwrap_or_default());
        text.push('\n');
    }
    text
}

/// Writes questions, one on each line.
///
/// # Errors
/// [`BundleError::Write`].
pub(crate) fn write(path: &Path, questions: &[Question]) -> Result<(), BundleError> {
    let fail = |source| BundleError::Write { path: path.to_owned(), source };
    let mut file = io::BufWriter::new(std::fs::File::create(path).map_err(fail)?);
    for question in questions {
        serde_json::to_writer(&mut file, question).map_err(|error| fail(error.into()))?;
        file.write_all(b"\n").map_err(fail)?;
    }
    file.flush().map_err(fail)
}
