//! The tables, and the migration of an older file to the current format. A migration is never edited, only followed by
//! another one.

use super::StoreError;
use rusqlite::{Connection, TransactionBehavior};

/// One script for each step of `user_version`.
const MIGRATIONS: [&str; 4] = [
    r"
CREATE TABLE word (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE agent (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, instance TEXT, secret_hash BLOB NOT NULL,
    enrolled_at INTEGER NOT NULL, seen_at INTEGER, hello TEXT
) WITHOUT ROWID;
CREATE TABLE report (agent TEXT NOT NULL, id TEXT NOT NULL, kept_at INTEGER NOT NULL, PRIMARY KEY (agent, id)) WITHOUT ROWID;
CREATE INDEX report_age ON report (kept_at);
CREATE TABLE probe (
    link TEXT NOT NULL, pair TEXT NOT NULL, agent TEXT NOT NULL, round INTEGER NOT NULL,
    request TEXT, started_at INTEGER NOT NULL, kept_at INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (link, pair, agent, round)
) WITHOUT ROWID;
CREATE INDEX probe_recent ON probe (link, kept_at);
CREATE INDEX probe_request ON probe (request) WHERE request IS NOT NULL;
CREATE TABLE arrival (
    agent TEXT NOT NULL, round INTEGER NOT NULL, observer TEXT NOT NULL, kept_at INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (agent, round, observer)
) WITHOUT ROWID;
CREATE TABLE host (id INTEGER PRIMARY KEY, agent TEXT NOT NULL, request TEXT, at INTEGER NOT NULL, kept_at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX host_recent ON host (agent, at);
CREATE INDEX host_request ON host (request) WHERE request IS NOT NULL;
CREATE TABLE snapshot (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, request TEXT,
    taken_at INTEGER NOT NULL, kept_at INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE INDEX snapshot_recent ON snapshot (account, region, taken_at);
CREATE INDEX snapshot_request ON snapshot (request) WHERE request IS NOT NULL;
CREATE TABLE health (agent TEXT PRIMARY KEY, at INTEGER NOT NULL, kept_at INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE verdict (
    link TEXT NOT NULL, pair TEXT NOT NULL, at INTEGER NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (link, pair, at)
) WITHOUT ROWID;
",
    // Rounds of ports have numbers from 2^62 on; arrivals of connections have negative numbers.
    r"
CREATE INDEX probe_ports_started ON probe (agent, started_at) WHERE round >= 4611686018427387904;
CREATE INDEX probe_ports_kept ON probe (agent, kept_at) WHERE round >= 4611686018427387904;
CREATE INDEX arrival_connections ON arrival (agent, kept_at) WHERE round < 0;
",
    // Packet filters of hosts, once per content; `kept_at` is when facts with that content last came.
    r"
CREATE TABLE rule_set (agent TEXT NOT NULL, content TEXT NOT NULL, kept_at INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (agent, content)) WITHOUT ROWID;
",
    // The VPCs that a snapshot covers, as `store::snapshots` writes them; rows from before cover those that they show.
    r"
ALTER TABLE snapshot ADD COLUMN covers TEXT;
CREATE INDEX snapshot_covering ON snapshot (account, region, covers, taken_at);
",
];

pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let fail = StoreError::of("bring the store to the current format");
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    // Immediate: two programs that open a new file at the same time must not both create the tables.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&fail)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&fail)?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(migration).map_err(&fail)?;
    }
    transaction.pragma_update(None, "user_version", known).map_err(&fail)?;
    transaction.commit().map_err(&fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_file_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(migrate(&mut connection), Err(StoreError::Newer { found: 99, .. })));
    }
}
