//! Stores configuration snapshots, and reads them back.
//!
//! A snapshot that was read lately is not parsed again: looks at a link come every few seconds, its configuration changes
//! once a minute, and a large account's snapshot has megabytes.
//!
//! Snapshots of one account and region that cover different VPCs are separate series: the newest of one says nothing about
//! another.

use super::{Store, StoreError, body_of};
use pingtong_evidence::{AccountId, Coverage, LinkSide, RegionId, RequestTag, Snapshot, Timestamp, VpcId};
use rusqlite::{Transaction, params};
use std::{collections::BTreeMap, sync::Arc};

/// Maximum number of latest snapshots of the same VPCs that are read together: each agent there takes its own, and the
/// collector may too.
pub(crate) const READERS_MAX: u32 = 8;

/// Maximum number of bytes of JSON whose snapshots are kept in memory.
const PARSED_BYTES_MAX: usize = 64 << 20;

/// Stands in place of a request's tag, which is a UUID: no request, but an operator handed the snapshot over.
const HANDED_OVER: &str = "handed-over";

/// Stands in place of a list of VPCs for all of them.
const ALL_VPCS: &str = "*";

/// The VPCs that a snapshot covers, as one text: ids are separated by spaces, which they never contain.
fn covers_of(snapshot: &Snapshot) -> String {
    match &*snapshot.coverage() {
        Coverage::All => ALL_VPCS.to_owned(),
        Coverage::Vpcs(vpcs) => vpcs.iter().map(VpcId::as_str).collect::<Vec<_>>().join(" "),
    }
}

fn covers(text: &str, vpc: &VpcId) -> bool {
    text == ALL_VPCS || text.split(' ').any(|covered| covered == vpc.as_str())
}

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

    /// The newest snapshot that an operator handed over and that covers the VPC of a side.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn handed_over(&self, side: &LinkSide) -> Result<Option<Arc<Snapshot>>, StoreError> {
        let mut newest: Option<Arc<Snapshot>> = None;
        for series in self.series(side)? {
            let found = self.snapshots(
                "WHERE request = ?1 AND account = ?2 AND region = ?3 AND covers IS ?4 ORDER BY taken_at DESC LIMIT 1",
                params![HANDED_OVER, side.account.as_str(), side.region.as_str(), series],
            )?;
            let found = found.into_iter().filter(|snapshot| snapshot.coverage().includes(&side.vpc));
            newest = newest.into_iter().chain(found).max_by_key(|snapshot| snapshot.taken_at);
        }
        Ok(newest)
    }

    /// The lists of VPCs that cover the VPC of a side and of which there are snapshots; `None` stands for snapshots that
    /// were stored before that was recorded.
    fn series(&self, side: &LinkSide) -> Result<Vec<Option<String>>, StoreError> {
        let fail = StoreError::of("read kept evidence");
        // One search in the index for each list, however many snapshots there are of it.
        let sql = "WITH RECURSIVE series (covers) AS (
                SELECT min(covers) FROM snapshot WHERE account = ?1 AND region = ?2
                UNION ALL
                SELECT (SELECT min(covers) FROM snapshot WHERE account = ?1 AND region = ?2 AND covers > series.covers)
                FROM series WHERE series.covers IS NOT NULL
            ) SELECT covers FROM series WHERE covers IS NOT NULL";
        let mut statement = self.connection.prepare_cached(sql).map_err(&fail)?;
        let place = [side.account.as_str(), side.region.as_str()];
        let rows = statement.query_map(place, |row| row.get::<_, String>(0)).map_err(&fail)?;
        let mut found = vec![None];
        for row in rows {
            found.push(Some(row.map_err(&fail)?).filter(|text| covers(text, &side.vpc)));
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// The latest snapshots that cover the VPC of a side and were taken at or before a time: up to `count` of each list
    /// of VPCs.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn snapshots_of(
        &self,
        side: &LinkSide,
        before: Timestamp,
        count: u32,
    ) -> Result<Vec<Arc<Snapshot>>, StoreError> {
        let mut found = vec![];
        for series in self.series(side)? {
            let read = self.snapshots(
                "WHERE account = ?1 AND region = ?2 AND covers IS ?3 AND taken_at <= ?4 ORDER BY taken_at DESC LIMIT ?5",
                params![side.account.as_str(), side.region.as_str(), series, before.as_millis(), count],
            )?;
            found.extend(read.into_iter().filter(|snapshot| snapshot.coverage().includes(&side.vpc)));
        }
        Ok(found)
    }

    /// The latest snapshots of the same VPCs as `like` that were taken at or before a time, newest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn snapshots_like(
        &self,
        like: &Snapshot,
        before: Timestamp,
        count: u32,
    ) -> Result<Vec<Arc<Snapshot>>, StoreError> {
        let (account, region, covers) = (like.account.as_str(), like.region.as_str(), covers_of(like));
        self.snapshots(
            "WHERE account = ?1 AND region = ?2 AND covers = ?3 AND taken_at <= ?4 ORDER BY taken_at DESC LIMIT ?5",
            params![account, region, covers, before.as_millis(), count],
        )
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

    /// Snapshots of the same VPCs as `like` around a period: the latest ones before it, up to `count` within it, and the
    /// first ones after it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn snapshots_around(
        &self,
        like: &Snapshot,
        (from, to): (Timestamp, Timestamp),
        count: u32,
    ) -> Result<Vec<Arc<Snapshot>>, StoreError> {
        let (account, region, covers) = (like.account.as_str(), like.region.as_str(), covers_of(like));
        let within = "WHERE account = ?1 AND region = ?2 AND covers = ?3 AND taken_at > ?4 AND taken_at < ?5
             ORDER BY taken_at LIMIT ?6";
        let after = "WHERE account = ?1 AND region = ?2 AND covers = ?3 AND taken_at >= ?4 ORDER BY taken_at LIMIT ?5";
        let mut found = self.snapshots_like(like, from, READERS_MAX)?;
        let stretch = params![account, region, covers, from.as_millis(), to.as_millis(), count];
        found.extend(self.snapshots(within, stretch)?);
        let first = params![account, region, covers, to.as_millis(), READERS_MAX];
        found.extend(self.snapshots(after, first)?);
        Ok(found)
    }
}

/// Stores a snapshot; `body` is its JSON.
pub(super) fn keep_snapshot(db: &Transaction<'_>, snapshot: &Snapshot, body: &str, now: i64) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO snapshot (account, region, covers, request, taken_at, kept_at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            snapshot.account.as_str(),
            snapshot.region.as_str(),
            covers_of(snapshot),
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
        let side = |region: &RegionId, vpc: &str| LinkSide {
            account: account.clone(),
            region: region.clone(),
            vpc: VpcId::parse(vpc).unwrap(),
        };
        let (a, b) = (side(&region, "vpc-a"), side(&region, "vpc-b"));
        let taken =
            |ms, covers| Snapshot { covers: Some(covers), ..Snapshot::unread(account.clone(), region.clone(), at(ms)) };
        let only = |side: &LinkSide| Coverage::Vpcs([side.vpc.clone()].into());
        store.keep_snapshots(&[taken(9, Coverage::All)], at(20)).unwrap();
        assert_eq!(store.handed_over(&a).unwrap(), None, "that was an agent's");
        store.keep_handed_over(vec![taken(5, Coverage::All), taken(3, only(&a)), taken(7, only(&b))], at(21)).unwrap();
        let found = |side: &LinkSide| store.handed_over(side).unwrap().map(|snapshot| snapshot.taken_at);
        assert_eq!((found(&a), found(&b)), (Some(at(5)), Some(at(7))));
        assert_eq!(found(&side(&RegionId::parse("s").unwrap(), "vpc-a")), None);
    }

    #[test]
    fn each_list_of_vpcs_is_a_series_of_its_own() {
        let mut store = Store::open(Path::new(":memory:")).unwrap();
        let (account, region) = (AccountId::parse("1").unwrap(), RegionId::parse("r").unwrap());
        let vpc = |name: &str| VpcId::parse(name).unwrap();
        let taken = |ms, covers: Option<Coverage>| Snapshot {
            covers,
            ..Snapshot::unread(account.clone(), region.clone(), at(ms))
        };
        let only = |name: &str| Some(Coverage::Vpcs([vpc(name)].into()));
        // Many agents of one VPC do not hide the reading of another one.
        let many = (0..50).map(|n| taken(100 + n, only("vpc-a")));
        let all: Vec<Snapshot> =
            many.chain([taken(7, only("vpc-b")), taken(8, Some(Coverage::All)), taken(9, None)]).collect();
        store.keep_snapshots(&all, at(200)).unwrap();
        let found = |name: &str, count| {
            let side = LinkSide { account: account.clone(), region: region.clone(), vpc: vpc(name) };
            let found = store.snapshots_of(&side, at(1_000), count).unwrap();
            found.iter().map(|snapshot| snapshot.taken_at.as_millis()).collect::<Vec<_>>()
        };
        assert_eq!(found("vpc-a", 2), [8, 149, 148]);
        assert_eq!(found("vpc-b", 2), [8, 7]);
        assert_eq!(found("vpc-c", 2), [8]);
        let like = store.snapshots_like(&taken(0, only("vpc-b")), at(1_000), 9).unwrap();
        assert_eq!(like.iter().map(|snapshot| snapshot.taken_at).collect::<Vec<_>>(), [at(7)]);
        let around = store.snapshots_around(&taken(0, only("vpc-b")), (at(1), at(120)), 9).unwrap();
        assert_eq!(around.len(), 1);
    }

    #[test]
    fn a_row_from_before_coverage_was_recorded_covers_what_it_shows() {
        let mut store = Store::open(Path::new(":memory:")).unwrap();
        let body = r#"{"schema": 1, "account": "1", "region": "r", "taken_at": 5, "finished_at": 6, "vpcs": {"known":
            [{"id": "vpc-a", "cidr": "10.0.0.0/8", "router": null, "provenance": 0}]}}"#;
        let snapshot: Snapshot = serde_json::from_str(body).unwrap();
        store.keep_snapshots(std::slice::from_ref(&snapshot), at(20)).unwrap();
        store.connection.execute("UPDATE snapshot SET covers = NULL", []).unwrap();
        let found = |name: &str| {
            let (account, region) = (snapshot.account.clone(), snapshot.region.clone());
            store.snapshots_of(&LinkSide { account, region, vpc: VpcId::parse(name).unwrap() }, at(9), 1).unwrap().len()
        };
        assert_eq!((found("vpc-a"), found("vpc-b")), (1, 0));
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
