//! Reports kept on disk until the collector has them.
//!
//! One file a report, written whole under another name and renamed, named by a number that only grows: a crash leaves
//! whole reports and keeps their order. Bounded in bytes; the oldest go first, and are counted. Knows nothing of HTTP.
//! When the disk fails, a report stays in memory: a full disk must not silence an agent whose collector is there.

use pingtong_evidence::{Report, ReportId};
use std::{
    collections::{BTreeSet, VecDeque},
    fs, io,
    path::{Path, PathBuf},
};

/// Kept at most: about a day of steady rounds of eight pairs.
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

#[derive(Debug)]
struct Waiting {
    number: u64,
    id: ReportId,
    bytes: u64,
    /// The report itself, when the disk did not take it.
    text: Option<String>,
}

impl Spool {
    /// Takes up what an earlier run left; files that are no reports are removed and counted.
    ///
    /// # Errors
    /// When the directory can be neither made nor read. The spool then works in memory: see [`Spool::in_memory`].
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
            let path = spool.path(number);
            let report = fs::read_to_string(&path).ok().and_then(|text| {
                let report: Report = serde_json::from_str(&text).ok()?;
                Some((report.id, text.len() as u64))
            });
            if let Some((id, bytes)) = report {
                spool.bytes += bytes;
                spool.waiting.push_back(Waiting { number, id, bytes, text: None });
            } else {
                spool.dropped += 1;
                drop(fs::remove_file(path));
            }
        }
        spool.make_room();
        Ok(spool)
    }

    /// An empty spool that writes into `directory` when it can.
    pub fn in_memory(directory: &Path, bytes_max: u64) -> Self {
        Self { directory: directory.to_owned(), bytes_max, bytes: 0, next: 0, waiting: VecDeque::new(), dropped: 0 }
    }

    /// Keeps a report.
    ///
    /// # Errors
    /// When it could not be written; it is kept in memory then.
    pub fn push(&mut self, report: &Report) -> io::Result<()> {
        let text = serde_json::to_string(report).map_err(io::Error::other)?;
        let number = self.next;
        self.next += 1;
        let bytes = text.len() as u64;
        let written = self.write(number, &text);
        let text = written.is_err().then_some(text);
        self.bytes += bytes;
        self.waiting.push_back(Waiting { number, id: report.id.clone(), bytes, text });
        self.make_room();
        written
    }

    /// The oldest reports as JSON texts: at most `count_max` and `bytes_max`, but at least one.
    pub fn batch(&mut self, count_max: usize, bytes_max: u64) -> Vec<(ReportId, String)> {
        let mut batch = vec![];
        let (mut bytes, mut lost) = (0, BTreeSet::new());
        for waiting in self.waiting.iter().take(count_max) {
            bytes += waiting.bytes;
            if bytes > bytes_max && !batch.is_empty() {
                break;
            }
            let text = waiting.text.clone().or_else(|| fs::read_to_string(self.path(waiting.number)).ok());
            match text {
                Some(text) => batch.push((waiting.id.clone(), text)),
                None => {
                    lost.insert(waiting.id.clone());
                }
            }
        }
        self.dropped += lost.len() as u64;
        self.remove(&lost);
        batch
    }

    /// Forgets reports that the collector has, or will never take.
    pub fn remove(&mut self, ids: &BTreeSet<ReportId>) {
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        for waiting in std::mem::take(&mut self.waiting) {
            if ids.contains(&waiting.id) {
                self.bytes -= waiting.bytes;
                self.forget(&waiting);
            } else {
                kept.push_back(waiting);
            }
        }
        self.waiting = kept;
    }

    /// Counts reports that were removed without having been taken.
    pub fn count_dropped(&mut self, reports: u64) {
        self.dropped += reports;
    }

    /// Reports waiting.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Reports lost since start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn make_room(&mut self) {
        while self.bytes > self.bytes_max && self.waiting.len() > 1 {
            let Some(oldest) = self.waiting.pop_front() else { return };
            self.bytes -= oldest.bytes;
            self.dropped += 1;
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
            spool.push(&report(name)).unwrap();
        }
        spool.remove(&BTreeSet::from([ReportId::parse("b").unwrap()]));
        fs::write(directory.path().join("0000000000000009.json"), "cut by a cra").unwrap();
        let mut again = Spool::open(directory.path(), SPOOL_BYTES_MAX).unwrap();
        assert_eq!(ids(&mut again), ["a", "c"]);
        assert_eq!(again.dropped(), 1, "the file that is no report");
        again.push(&report("d")).unwrap();
        assert_eq!(ids(&mut Spool::open(directory.path(), SPOOL_BYTES_MAX).unwrap()), ["a", "c", "d"]);
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let directory = tempfile::tempdir().unwrap();
        let one = serde_json::to_string(&report("a")).unwrap().len() as u64;
        let mut spool = Spool::open(directory.path(), one * 2).unwrap();
        for name in ["a", "b", "c"] {
            spool.push(&report(name)).unwrap();
        }
        assert_eq!((ids(&mut spool), spool.dropped()), (vec![String::from("b"), String::from("c")], 1));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_disk_that_fails_silences_nobody() {
        let mut spool = Spool::in_memory(Path::new("/proc/none"), SPOOL_BYTES_MAX);
        assert!(spool.push(&report("a")).is_err());
        assert_eq!(ids(&mut spool), ["a"]);
    }
}
