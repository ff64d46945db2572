//! The history of verdicts: one row per change of a pair's state or causes.

use super::{Store, StoreError};
use pingtong_evidence::{LinkId, PairId, Timestamp};
use rusqlite::params;

/// One stored verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictRow {
    /// The link of the pair.
    pub link: LinkId,
    /// The pair that the verdict is about.
    pub pair: PairId,
    /// When the verdict was reached.
    pub at: Timestamp,
    /// The state in one word.
    pub state: String,
    /// The whole verdict as JSON.
    pub body: String,
}

impl Store {
    /// Stores a verdict.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn keep_verdict(&self, row: &VerdictRow) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO verdict (link, pair, at, state, body) VALUES (?1, ?2, ?3, ?4, ?5)")
            .and_then(|mut insert| {
                insert.execute(params![row.link.as_str(), row.pair.as_str(), row.at.as_millis(), row.state, row.body])
            })
            .map(drop)
            .map_err(StoreError::of("keep a verdict"))
    }

    /// When a pair was first recorded as broken since it was last recorded as working; `None` if it was not.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn broke_at(&self, link: &LinkId, pair: &PairId) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT MIN(at) FROM verdict WHERE link = ?1 AND pair = ?2 AND state = 'broken' AND at >
             (SELECT MAX(at) FROM verdict WHERE link = ?1 AND pair = ?2 AND state IN ('healthy', 'degraded'))";
        self.connection
            .prepare_cached(sql)
            .and_then(|mut select| select.query_row([link.as_str(), pair.as_str()], |row| row.get::<_, Option<i64>>(0)))
            .map(|at| at.map(Timestamp::from_millis))
            .map_err(StoreError::of("read the kept verdicts"))
    }

    /// The latest verdicts, newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn verdicts(&self, count: u32) -> Result<Vec<VerdictRow>, StoreError> {
        let fail = StoreError::of("read the kept verdicts");
        let mut statement = self
            .connection
            .prepare_cached("SELECT link, pair, at, state, body FROM verdict ORDER BY at DESC, link, pair LIMIT ?1")
            .map_err(&fail)?;
        let rows = statement
            .query_map([count], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })
            .map_err(&fail)?;
        let mut found = vec![];
        for row in rows {
            let (link, pair, at, state, body) = row.map_err(&fail)?;
            if let (Ok(link), Ok(pair)) = (LinkId::parse(&link), PairId::parse(&pair)) {
                found.push(VerdictRow { link, pair, at: Timestamp::from_millis(at), state, body });
            }
        }
        Ok(found)
    }
}
