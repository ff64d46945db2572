//! What the collector stores, in one SQLite file.
//!
//! Decides how evidence is laid out, merged and deleted. A transaction that returned `Ok` survives `kill -9` and a
//! power failure: write-ahead log with `synchronous = FULL`. Nothing here reads the clock, and nothing here is async:
//! [`crate::keeper`] has the threads. Evidence bodies are the JSON of `pingtong-evidence`; only what is searched has a
//! column.

mod agents;
mod arrivals;
mod connections;
mod evidence;
mod hosts;
mod retention;
mod schema;
mod snapshots;
mod verdicts;

pub use agents::{AgentRow, SECRET_BYTES, hash_of};
pub use evidence::{Incoming, LinkEvidence};
pub(crate) use snapshots::READERS_MAX as SNAPSHOT_READERS_MAX;
pub use verdicts::VerdictRow;

use pingtong_evidence::ReportId;
use rusqlite::{Connection, ErrorCode, OptionalExtension};
use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a statement waits for another process (`enroll` beside `serve`) to finish writing.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// The open store.
pub struct Store {
    connection: Connection,
    parsed: RefCell<snapshots::Parsed>,
    large_parts: RefCell<hosts::LargeParts>,
}

/// Why something could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("cannot open the store \"{}\"; is the data directory yours to write?", path.display())]
    Open {
        /// Path of the file.
        path: PathBuf,
        /// The SQLite error.
        #[source]
        source: rusqlite::Error,
    },
    /// The file was written by a newer version.
    #[error("the store is of format {found}, this program knows up to {known}; use the program that wrote it")]
    Newer {
        /// Format version of the file.
        found: i64,
        /// Newest format version that this program knows.
        known: i64,
    },
    /// The disk is full.
    #[error("no room left to keep {what}; free space on the disk of the data directory")]
    Full {
        /// What was to be stored.
        what: &'static str,
        /// The SQLite error.
        #[source]
        source: rusqlite::Error,
    },
    /// Any other SQLite error.
    #[error("cannot {what}")]
    Sql {
        /// The operation that failed.
        what: &'static str,
        /// The SQLite error.
        #[source]
        source: rusqlite::Error,
    },
    /// A body cannot be parsed from JSON, or serialised to it.
    #[error("a kept {what} cannot be read")]
    Body {
        /// The kind of body.
        what: &'static str,
        /// The JSON error.
        #[source]
        source: serde_json::Error,
    },
    /// The kernel returned no random numbers for a key.
    #[error("cannot make a key")]
    Random(#[source] getrandom::Error),
    /// The thread that owns the file is gone.
    #[error("the store has been closed")]
    Closed,
}

impl StoreError {
    /// Wraps an SQLite error of the operation `what`.
    pub(crate) fn of(what: &'static str) -> impl Fn(rusqlite::Error) -> Self {
        move |source| match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { what, source },
            _ => Self::Sql { what, source },
        }
    }
}

impl Store {
    /// Opens the file; creates or migrates it if needed.
    ///
    /// # Errors
    /// If the file cannot be opened or migrated, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let open = |source| StoreError::Open { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(open)?;
        connection.busy_timeout(BUSY_WAIT).map_err(open)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(open)?;
        connection.pragma_update(None, "synchronous", "full").map_err(open)?;
        schema::migrate(&mut connection)?;
        Ok(Self { connection, parsed: RefCell::default(), large_parts: RefCell::default() })
    }

    /// A stored value, such as the plan's revision.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn word(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.connection
            .query_row("SELECT value FROM word WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(StoreError::of("read a kept word"))
    }

    /// Stores a value under a key.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn set_word(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.connection
            .execute(
                "INSERT INTO word (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
                [key, value],
            )
            .map(drop)
            .map_err(StoreError::of("keep a word"))
    }

    /// The stored value of a key; if there is no value yet, stores and returns `fresh`. Safe beside another process.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn word_or_insert(&self, key: &str, fresh: &str) -> Result<String, StoreError> {
        self.connection
            .execute("INSERT INTO word (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING", [key, fresh])
            .map_err(StoreError::of("keep a word"))?;
        Ok(self.word(key)?.unwrap_or_else(|| fresh.to_owned()))
    }

    /// All stored report IDs of all agents, sorted. For tests of durability and for audits.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn report_ids(&self) -> Result<Vec<ReportId>, StoreError> {
        let fail = StoreError::of("list the kept reports");
        let mut statement = self.connection.prepare_cached("SELECT id FROM report ORDER BY id").map_err(&fail)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(&fail)?;
        let mut ids = vec![];
        for row in rows {
            ids.extend(ReportId::parse(&row.map_err(&fail)?).ok());
        }
        Ok(ids)
    }

    /// Limits the file to this many pages, to simulate a full disk.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, pages: u32) {
        self.connection.pragma_update(None, "max_page_count", pages).unwrap();
    }
}

/// Reads the JSON bodies in the first column of a query.
fn bodies<T: serde::de::DeserializeOwned>(
    connection: &Connection,
    what: &'static str,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<T>, StoreError> {
    let fail = StoreError::of("read kept evidence");
    let mut statement = connection.prepare_cached(sql).map_err(&fail)?;
    let rows = statement.query_map(parameters, |row| row.get::<_, String>(0)).map_err(&fail)?;
    let mut found = vec![];
    for row in rows {
        let body = row.map_err(&fail)?;
        found.push(serde_json::from_str(&body).map_err(|source| StoreError::Body { what, source })?);
    }
    Ok(found)
}

fn body_of<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Body { what, source })
}
