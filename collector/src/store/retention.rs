//! How long each kind of data is kept. Deletions are small, so that reports never wait long behind them.

use super::{Store, StoreError};
use pingtong_evidence::Timestamp;
use rusqlite::params;

const HOUR_MS: i64 = 3_600_000;
/// Steady rounds and their arrivals: two hours. A row has about 600 bytes; there is one per pair, direction and second.
const STEADY_MS: i64 = 2 * HOUR_MS;
/// Arrivals of connections as reported: ten minutes. Those that belong to a round are stored with it, within a minute
/// or not at all.
const CONNECTIONS_MS: i64 = HOUR_MS / 6;
/// Steady snapshots and all host facts: one day, to find what changed.
const READINGS_MS: i64 = 24 * HOUR_MS;
/// Evidence gathered on request, and report IDs: seven days, longer than an agent's spool may hold a report back.
const REQUESTED_MS: i64 = 7 * 24 * HOUR_MS;
/// Verdict history: thirty days.
const VERDICTS_MS: i64 = 30 * 24 * HOUR_MS;
/// Maximum number of rows deleted in one transaction.
const ROWS_MAX: u32 = 5_000;

/// Statement of each rule, and the age in milliseconds at which it applies. `?1` is the time before which rows are
/// deleted, `?2` the maximum number of rows.
const RULES: [(&str, i64); 11] = [
    (
        "DELETE FROM report WHERE (agent, id) IN (SELECT agent, id FROM report WHERE kept_at < ?1 LIMIT ?2)",
        REQUESTED_MS,
    ),
    (
        "DELETE FROM probe WHERE (link, pair, agent, round) IN (SELECT link, pair, agent, round FROM probe WHERE kept_at < ?1 AND request IS NULL LIMIT ?2)",
        STEADY_MS,
    ),
    (
        "DELETE FROM probe WHERE (link, pair, agent, round) IN (SELECT link, pair, agent, round FROM probe WHERE kept_at < ?1 LIMIT ?2)",
        REQUESTED_MS,
    ),
    (
        "DELETE FROM arrival WHERE (agent, round, observer) IN (SELECT agent, round, observer FROM arrival WHERE round < 0 AND kept_at < ?1 LIMIT ?2)",
        CONNECTIONS_MS,
    ),
    (
        "DELETE FROM arrival WHERE (agent, round, observer) IN (SELECT a.agent, a.round, a.observer FROM arrival a WHERE a.kept_at < ?1 AND NOT EXISTS (SELECT 1 FROM probe p WHERE p.request IS NOT NULL AND p.agent = a.agent AND p.round = a.round) LIMIT ?2)",
        STEADY_MS,
    ),
    (
        "DELETE FROM arrival WHERE (agent, round, observer) IN (SELECT agent, round, observer FROM arrival WHERE kept_at < ?1 LIMIT ?2)",
        REQUESTED_MS,
    ),
    (
        "DELETE FROM rule_set WHERE (agent, content) IN (SELECT agent, content FROM rule_set WHERE kept_at < ?1 LIMIT ?2)",
        REQUESTED_MS,
    ),
    ("DELETE FROM host WHERE id IN (SELECT id FROM host WHERE kept_at < ?1 LIMIT ?2)", READINGS_MS),
    (
        "DELETE FROM snapshot WHERE id IN (SELECT id FROM snapshot WHERE kept_at < ?1 AND request IS NULL LIMIT ?2)",
        READINGS_MS,
    ),
    ("DELETE FROM snapshot WHERE id IN (SELECT id FROM snapshot WHERE kept_at < ?1 LIMIT ?2)", REQUESTED_MS),
    (
        "DELETE FROM verdict WHERE (link, pair, at) IN (SELECT link, pair, at FROM verdict WHERE at < ?1 LIMIT ?2)",
        VERDICTS_MS,
    ),
];

impl Store {
    /// Deletes some of the data that is too old. Returns the number of deleted rows.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn forget(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut gone = 0;
        for (sql, age_ms) in RULES {
            let before = now.as_millis().saturating_sub(age_ms);
            gone += self
                .connection
                .execute(sql, params![before, ROWS_MAX])
                .map_err(StoreError::of("delete what is too old"))?;
        }
        Ok(gone)
    }
}
