//! The threads that own the store: one writes and one reads, so that a verdict never waits behind uploads.
//!
//! Both queues are bounded: if the disk is slow, uploads wait and agents back off, and memory does not fill.

use crate::store::{Store, StoreError};
use std::{path::Path, thread::JoinHandle};
use tokio::sync::{mpsc, oneshot};

/// Maximum number of jobs that wait for one thread; each holds at most one request body.
const JOBS_MAX: usize = 64;

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// Access to the store from async code.
pub(crate) struct Keeper {
    writer: Lane,
    reader: Lane,
}

struct Lane {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Opens the file and starts the threads.
    ///
    /// # Errors
    /// If the file cannot be opened or migrated.
    pub(crate) fn start(path: &Path) -> Result<Self, StoreError> {
        let writer = Lane::start(Store::open(path)?);
        let reader = Lane::start(Store::open(path)?);
        Ok(Self { writer, reader })
    }

    /// Runs a change. When it returns `Ok`, the change is on disk.
    ///
    /// # Errors
    /// If the job fails, or the thread has ended.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.run(job).await
    }

    /// Runs a look-up. It sees every change that returned before.
    ///
    /// # Errors
    /// If the job fails, or the thread has ended.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.reader.run(job).await
    }

    /// Lets the threads finish the queued jobs and closes the file. Blocks until they are done.
    pub(crate) fn close(self) {
        for Lane { jobs, thread } in [self.writer, self.reader] {
            drop(jobs);
            if thread.join().is_err() {
                tracing::error!("the store's thread ended by a panic");
            }
        }
    }
}

impl Lane {
    fn start(mut store: Store) -> Self {
        let (jobs, mut queue) = mpsc::channel::<Job>(JOBS_MAX);
        let thread = std::thread::spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                job(&mut store);
            }
        });
        Self { jobs, thread }
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        // If the caller gives up waiting, the job is still done.
        let job: Job = Box::new(move |store| drop(answer.send(job(store))));
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }
}
