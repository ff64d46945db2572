//! Stores configuration snapshots, and reads them back.
//!
//! A snapshot that was read lately is not parsed again: looks at a link come every few seconds, its configuration changes
//! once a minute, and a large account's snapshot has megabytes.

use super::{Store, StoreError, body_of};
use pingtong_evidence::{AccountId, RegionId, RequestTag, Snapshot, Timestamp};
use rusqlite::{Transaction, params};
use std::{collections::BTreeMap, sync::Arc};

/// Maximum number of latest snapshots of one account and region that are read together: each agent there takes its own,
/// and the collector may too.
pub(super) const READERS_MAX: u32 = 8;

/// Maximum number of bytes of JSON whose snapshots are kept in memory.
const PARSED_BYTES_MAX: usize = 64 << 20;

/// Stands in place of a request's tag, which is a UUID: no request, but an operator handed the snapshot over.
const HANDED_OVER: &str = "handed-over";

/// Parsed snapshots by row, and the time at which the row was stored: a row's number may be used again after the row was
/// deleted.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    rows: BTreeMap<(i64, i64), ParsedRow>,
    bytes: usize,
    /// Number of look-ups so far, by which the row that was not used for longest is found.
    uses: u64,
}

#[derive(Debug)]
struct ParsedRow {
    snapshot: Arc<Snapshot>,
    bytes: usize,
    used: u64,
}

impl Parsed {
    /// The snapshot of a row; `body` is its JSON and is parsed only if the row is not known.
    fn snapshot(&mut self, row: (i64, i64), body: &str) -> Result<Arc<Snapshot>, StoreError> {
        self.uses += 1;
        if let Some(known) = self.rows.get_mut(&row) {
            known.used = self.uses;
            return Ok(Arc::clone(&known.snapshot));
        }
        let snapshot: Snapshot =
            serde_json::from_str(body).map_err(|source| StoreError::Body { what: "snapshot", source })?;
        let snapshot = Arc::new(snapshot);
        self.bytes += body.len();
        self.rows.insert(row, ParsedRow { snapshot: Arc::clone(&snapshot), bytes: body.len(), used: self.uses });
        while self.bytes > PARSED_BYTES_MAX {
            let Some(oldest) = self.rows.iter().min_by_key(|(_, row)| row.used).map(|(row, _)| *row) else { break };
            self.bytes -= self.rows.remove(&oldest).map_or(0, |row| row.bytes);
        }
        Ok(snapshot)
    }
}

impl Store {
    /// The snapshots of the rows that the condition of a query selects.
    pub(super) fn snapshots(
        &self,
        condition: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<Arc<Snapshot>>, StoreError> {
        let fail = StoreError::of("read kept evidence");
        let sql = format!("SELECT id, kept_at, body FROM snapshot {condition}");
        let mut statement = self.connection.prepare_cached(&sql).map_err(&fail)?;
        let mut rows = statement.query(parameters).map_err(&fail)?;
        let mut parsed = self.parsed.borrow_mut();
        let mut found = vec![];
        while let Some(row) = rows.next().map_err(&fail)? {
            let key = (row.get(0).map_err(&fail)?, row.get(1).map_err(&fail)?);
            let body = row.get_ref(2).and_then(|body| Ok(body.as_str()?)).map_err(&fail)?;
            found.push(parsed.snapshot(key, body)?);
        }
        Ok(found)
    }

    /// Stores snapshots that the collector itself took, all or nothing.
    ///
    /// # Errors
    /// If a snapshot cannot be serialised or the store cannot be written; then nothing is stored.
    pub fn keep_snapshots(&mut self, snapshots: &[Snapshot], now: Timestamp) -> Result<(), StoreError> {
        let fail = StoreError::of("keep a snapshot");
        let transaction = self.connection.transaction().map_err(&fail)?;
        for snapshot in snapshots {
            keep_snapshot(&transaction, snapshot, &body_of("snapshot", snapshot)?, now.as_millis())?;
        }
        transaction.commit().map_err(&fail)
    }

    /// Stores snapshots that an operator took, all or nothing, and marks them as handed over.
    ///
    /// # Errors
    /// If a snapshot cannot be serialised or the store cannot be written; then nothing is stored.
    pub fn keep_handed_over(&mut self, mut snapshots: Vec<Snapshot>, now: Timestamp) -> Result<(), StoreError> {
        let tag = RequestTag::parse(HANDED_OVER).ok();
        for snapshot in &mut snapshots {
            snapshot.request.clone_from(&tag);
        }
        self.keep_snapshots(&snapshots, now)
    }

    /// The newest snapshot of an account and region that an operator handed over.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn handed_over(&self, account: &AccountId, region: &RegionId) -> Result<Option<Arc<Snapshot>>, StoreError> {
        let newest = self.snapshots(
            "WHERE request = ?1 AND account = ?2 AND region = ?3 ORDER BY taken_at DESC LIMIT 1",
            [HANDED_OVER, account.as_str(), region.as_str()],
        )?;
        Ok(newest.into_iter().next())
    }

    /// The latest snapshots of an account and region that were taken at or before a time, newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn snapshots_before(
        &self,
        account: &AccountId,
        region: &RegionId,
        before: Timestamp,
        count: u32,
    ) -> Result<Vec<Arc<Snapshot>>, StoreError> {
        self.snapshots(
            "WHERE account = ?1 AND region = ?2 AND taken_at <= ?3 ORDER BY taken_at DESC LIMIT ?4",
            params![account.as_str(), region.as_str(), before.as_millis(), count],
        )
    }

    /// Snapshots of an account and region around a period: the latest ones before it, up to `count` within it, and the
    /// first ones after it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn snapshots_around(
        &self,
        account: &AccountId,
        region: &RegionId,
        from: Timestamp,
        to: Timestamp,
        count: u32,
    ) -> Result<Vec<Arc<Snapshot>>, StoreError> {
        let stretch = params![account.as_str(), region.as_str(), from.as_millis(), to.as_millis(), count];
        let within =
            "WHERE account = ?1 AND region = ?2 AND taken_at > ?3 AND taken_at < ?4 ORDER BY taken_at LIMIT ?5";
        let after = "WHERE account = ?1 AND region = ?2 AND taken_at >= ?3 ORDER BY taken_at LIMIT ?4";
        let mut found = self.snapshots_before(account, region, from, READERS_MAX)?;
        found.extend(self.snapshots(within, stretch)?);
        let first = params![account.as_str(), region.as_str(), to.as_millis(), READERS_MAX];
        found.extend(self.snapshots(after, first)?);
        Ok(found)
    }
}

/// Stores a snapshot; `body` is its JSON.
pub(super) fn keep_snapshot(db: &Transaction<'_>, snapshot: &Snapshot, body: &str, now: i64) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO snapshot (account, region, request, taken_at, kept_at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            snapshot.account.as_str(),
            snapshot.region.as_str(),
            snapshot.request.as_ref().map(RequestTag::as_str),
            snapshot.taken_at.as_millis(),
            now,
            body,
        ])
    })
    .map(drop)
    .map_err(StoreError::of("keep a report"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn what_an_operator_brought_is_found_as_such_and_the_newest_counts() {
        let mut store = Store::open(Path::new(":memory:")).unwrap();
        let (account, region) = (AccountId::parse("1").unwrap(), RegionId::parse("r").unwrap());
        let taken = |ms| Snapshot::unread(account.clone(), region.clone(), at(ms));
        store.keep_snapshots(&[taken(9)], at(20)).unwrap();
        assert_eq!(store.handed_over(&account, &region).unwrap(), None, "that was an agent's");
        store.keep_handed_over(vec![taken(5), taken(3)], at(21)).unwrap();
        let found = store.handed_over(&account, &region).unwrap().unwrap();
        assert_eq!(found.taken_at, at(5));
        assert_eq!(store.handed_over(&account, &RegionId::parse("s").unwrap()).unwrap(), None);
    }

    #[test]
    fn a_snapshot_is_parsed_once_and_a_row_that_replaced_it_is_not_taken_for_it() {
        let mut store = Store::open(Path::new(":memory:")).unwrap();
        let (account, region) = (AccountId::parse("1").unwrap(), RegionId::parse("r").unwrap());
        let taken = |ms| Snapshot::unread(account.clone(), region.clone(), at(ms));
        let newest = |store: &Store| store.snapshots_before(&account, &region, at(100), 1).unwrap().remove(0);
        store.keep_snapshots(&[taken(9)], at(20)).unwrap();
        let first = newest(&store);
        assert!(Arc::ptr_eq(&first, &newest(&store)));
        store.connection.execute("DELETE FROM snapshot", []).unwrap();
        store.keep_snapshots(&[taken(7)], at(21)).unwrap();
        assert_eq!(newest(&store).taken_at, at(7));
    }

    #[test]
    fn memory_for_parsed_snapshots_is_bounded_and_the_latest_used_stay() {
        let (account, region) = (AccountId::parse("1").unwrap(), RegionId::parse("r").unwrap());
        let mut body = serde_json::to_string(&Snapshot::unread(account, region, at(1))).unwrap();
        body.push_str(&" ".repeat(PARSED_BYTES_MAX / 3));
        let mut parsed = Parsed::default();
        let first = parsed.snapshot((1, 1), &body).unwrap();
        for row in [2, 1, 3, 4] {
            parsed.snapshot((row, 1), &body).unwrap();
        }
        assert_eq!(parsed.rows.keys().map(|row| row.0).collect::<Vec<_>>(), [3, 4]);
        assert!(!Arc::ptr_eq(&first, &parsed.snapshot((1, 1), &body).unwrap()));
    }
}
