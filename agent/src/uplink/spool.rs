//! Keeps reports on disk until the collector has them.
//!
//! Reports that were made together share a file, one report per line. A file is written under another name and renamed;
//! its name is a number that only grows. A crash thus leaves complete reports in their order. The size is bounded; the
//! oldest reports are dropped first, and are counted. This module knows nothing of HTTP.
//!
//! If the disk fails, reports stay in memory: a full disk must not silence an agent whose collector is reachable.

use pingtong_evidence::{Report, ReportId};
use std::{
    collections::{BTreeSet, VecDeque},
    fs, io,
    path::{Path, PathBuf},
};

/// Maximum bytes of reports: about a day of steady rounds of eight pairs.
pub const SPOOL_BYTES_MAX: u64 = 64 << 20;

const SUFFIX: &str = ".json";

/// Reports waiting to be acknowledged, oldest first.
#[derive(Debug)]
pub struct Spool {
    directory: PathBuf,
    bytes_max: u64,
    bytes: u64,
    next: u64,
    waiting: VecDeque<Waiting>,
    dropped: u64,
}

/// Reports that were made together.
#[derive(Debug)]
struct Waiting {
    number: u64,
    /// Id of the report in each line; `None` once the collector has it.
    ids: Vec<Option<ReportId>>,
    bytes: u64,
    /// The lines themselves, if they could not be written to disk.
    text: Option<String>,
}

impl Spool {
    /// Opens the spool with what an earlier run left. Files that are not reports are removed and counted.
    ///
    /// # Errors
    /// Fails if the directory cannot be created or read. A spool can still work in memory: see [`Spool::in_memory`].
    pub fn open(directory: &Path, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut spool = Self::in_memory(directory, bytes_max);
        let mut numbers = vec![];
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            match name.strip_suffix(SUFFIX).and_then(|number| number.parse::<u64>().ok()) {
                Some(number) => numbers.push(number),
                None if name.strip_suffix(".part").is_some() => drop(fs::remove_file(directory.join(name))),
                None => {}
            }
        }
        numbers.sort_unstable();
        for number in numbers {
            spool.next = number + 1;
            spool.take_up(number);
        }
        spool.make_room();
        Ok(spool)
    }

    /// An empty spool that writes into `directory` when it can.
    pub fn in_memory(directory: &Path, bytes_max: u64) -> Self {
        Self { directory: directory.to_owned(), bytes_max, bytes: 0, next: 0, waiting: VecDeque::new(), dropped: 0 }
    }

    /// Keeps reports that were made together.
    ///
    /// # Errors
    /// Fails if they could not be written; they are then kept in memory.
    pub fn push(&mut self, reports: &[Report]) -> io::Result<()> {
        if reports.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = reports.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let text = lines.join("\n");
        let number = self.next;
        self.next += 1;
        let bytes = text.len() as u64;
        let written = self.write(number, &text);
        self.bytes += bytes;
        self.waiting.push_back(Waiting {
            number,
            ids: reports.iter().map(|report| Some(report.id.clone())).collect(),
            bytes,
            text: written.is_err().then_some(text),
        });
        self.make_room();
        written
    }

    /// The oldest reports as JSON texts: at most `count_max` and `bytes_max`, but at least one.
    pub fn batch(&mut self, count_max: usize, bytes_max: u64) -> Vec<(ReportId, String)> {
        let mut batch = vec![];
        let (mut bytes, mut lost) = (0, BTreeSet::new());
        'all: for waiting in &self.waiting {
            let read = match &waiting.text {
                Some(_) => None,
                None => fs::read_to_string(self.path(waiting.number)).ok(),
            };
            let mut lines = waiting.text.as_ref().or(read.as_ref()).map(|text| text.lines());
            for id in &waiting.ids {
                let line = lines.as_mut().and_then(Iterator::next);
                let Some(id) = id else { continue };
                let Some(line) = line else {
                    lost.insert(id.clone());
                    continue;
                };
                bytes += line.len() as u64;
                if batch.len() == count_max || (bytes > bytes_max && !batch.is_empty()) {
                    break 'all;
                }
                batch.push((id.clone(), line.to_owned()));
            }
        }
        self.dropped += lost.len() as u64;
        self.remove(&lost);
        batch
    }

    /// Removes reports that the collector has, or will never accept.
    pub fn remove(&mut self, ids: &BTreeSet<ReportId>) {
        if ids.is_empty() {
            return;
        }
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        for mut waiting in std::mem::take(&mut self.waiting) {
            for id in &mut waiting.ids {
                id.take_if(|id| ids.contains(id));
            }
            if waiting.count() == 0 {
                self.bytes -= waiting.bytes;
                self.forget(&waiting);
            } else {
                kept.push_back(waiting);
            }
        }
        self.waiting = kept;
    }

    /// Counts reports that were removed without being accepted.
    pub fn count_dropped(&mut self, reports: u64) {
        self.dropped += reports;
    }

    /// Number of waiting reports.
    pub fn len(&self) -> usize {
        self.waiting.iter().map(Waiting::count).sum()
    }

    /// Whether no report waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Reports lost since start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Loads a file of an earlier run.
    fn take_up(&mut self, number: u64) {
        let path = self.path(number);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let id = |line| serde_json::from_str(line).ok().map(|report: Report| report.id);
        let ids: Vec<Option<ReportId>> = text.lines().map(id).collect();
        self.dropped += (ids.iter().filter(|id| id.is_none()).count() as u64).max(u64::from(ids.is_empty()));
        let waiting = Waiting { number, ids, bytes: text.len() as u64, text: None };
        if waiting.count() == 0 {
            drop(fs::remove_file(path));
        } else {
            self.bytes += waiting.bytes;
            self.waiting.push_back(waiting);
        }
    }

    fn make_room(&mut self) {
        while self.bytes > self.bytes_max && self.waiting.len() > 1 {
            let Some(oldest) = self.waiting.pop_front() else { return };
            self.bytes -= oldest.bytes;
            self.dropped += oldest.count() as u64;
            self.forget(&oldest);
        }
    }

    fn forget(&self, waiting: &Waiting) {
        if waiting.text.is_none() {
            drop(fs::remove_file(self.path(waiting.number)));
        }
    }

    fn write(&self, number: u64, text: &str) -> io::Result<()> {
        let part = self.directory.join(format!("{number:016}.part"));
        fs::write(&part, text)?;
        fs::rename(&part, self.path(number))
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:016}{SUFFIX}"))
    }
}

impl Waiting {
    /// Reports that the collector does not have.
    fn count(&self) -> usize {
        self.ids.iter().flatten().count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{AgentHealth, ReportBody, Timestamp};

    fn report(name: &str) -> Report {
        Report {
            id: ReportId::parse(name).unwrap(),
            at: Timestamp::from_millis(1),
            body: ReportBody::Health(AgentHealth::default()),
        }
    }

    fn ids(spool: &mut Spool) -> Vec<String> {
        spool.batch(100, u64::MAX).into_iter().map(|(id, _)| id.to_string()).collect()
    }

    #[test]
    fn survives_a_restart_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(directory.path(), SPOOL_BYTES_MAX).unwrap();
        for name in ["a", "b", "c"] {
            spool.push(&[report(name)]).unwrap();
        }
        spool.remove(&BTreeSet::from([ReportId::parse("b").unwrap()]));
        fs::write(directory.path().join("0000000000000009.json"), "cut by a cra").unwrap();
        let mut again = Spool::open(directory.path(), SPOOL_BYTES_MAX).unwrap();
        assert_eq!(ids(&mut again), ["a", "c"]);
        assert_eq!(again.dropped(), 1, "the file that is no report");
        again.push(&[report("d")]).unwrap();
        assert_eq!(ids(&mut Spool::open(directory.path(), SPOOL_BYTES_MAX).unwrap()), ["a", "c", "d"]);
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let one = serde_json::to_string(&report("a")).unwrap().len() as u64;
        let mut spool = Spool::open(directory.path(), one * 2).unwrap();
        for name in ["a", "b", "c"] {
            spool.push(&[report(name)]).unwrap();
        }
        assert_eq!((ids(&mut spool), spool.dropped()), (vec![String::from("b"), String::from("c")], 1));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn reports_made_together_share_a_file_and_leave_it_one_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let files = || fs::read_dir(directory.path()).unwrap().count();
        let mut spool = Spool::open(directory.path(), SPOOL_BYTES_MAX).unwrap();
        spool.push(&[report("a"), report("b"), report("c")]).unwrap();
        spool.push(&[report("d")]).unwrap();
        assert_eq!((spool.len(), files()), (4, 2));
        let two: Vec<String> = spool.batch(2, u64::MAX).into_iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(two, ["a", "b"]);
        assert_eq!(spool.batch(9, 1).len(), 1, "one at least");
        spool.remove(&BTreeSet::from(["a", "c"].map(|name| ReportId::parse(name).unwrap())));
        assert_eq!((ids(&mut spool), spool.len(), files()), (vec!["b".to_owned(), "d".to_owned()], 2, 2));
        spool.remove(&BTreeSet::from([ReportId::parse("b").unwrap()]));
        assert_eq!((ids(&mut spool), spool.dropped(), files()), (vec!["d".to_owned()], 0, 1));
        // A missing file loses the reports that were in it, and no others.
        spool.push(&[report("e"), report("f")]).unwrap();
        fs::remove_file(spool.path(2)).unwrap();
        assert_eq!((ids(&mut spool), spool.dropped(), spool.len()), (vec!["d".to_owned()], 2, 1));
    }

    #[test]
    fn a_disk_that_fails_silences_nobody() {
        let mut spool = Spool::in_memory(Path::new("/proc/none"), SPOOL_BYTES_MAX);
        assert!(spool.push(&[report("a")]).is_err());
        assert_eq!(ids(&mut spool), ["a"]);
    }
}
