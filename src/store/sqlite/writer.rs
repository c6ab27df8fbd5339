//! The one thread that writes. What waits while it commits is committed together the next time: appends of all rooms
//! and changes of the directory. It must not know what the changes are for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::vec;

use crossbeam_channel::{Receiver, SendError, Sender, unbounded};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::Fault;
use super::append::{Appender, Heads};
use super::checkpoint::Checkpoints;
use super::database::{Database, PATIENCE, checkpoint};
use super::reader::Readers;
use super::waits::Waits;
use crate::error::{Error, Result};
use crate::store::{Announcement, Answer, Append, Committed, Receipt, Watcher};

/// More than this waiting to be written, and what comes is refused.
const MAX_WAITING: usize = 64 * 1024 * 1024;

/// Bounds of what is committed together.
const BATCH_JOBS: usize = 1000;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How long a commit may have to wait for readers of the WAL.
const RESTART_PATIENCE: Duration = Duration::from_millis(100);

const STOPPED: Error = Error::Unavailable("the server is stopping");

/// Where work is left for the writer.
#[derive(Clone)]
pub(super) struct Queue {
    jobs: Sender<Job>,
    waiting: Arc<AtomicUsize>,
}

pub(super) enum Job {
    Append(Append),
    Change(Box<dyn Change>),
    RestartWal,
    Close,
}

/// A change of the directory, and whoever waits for it.
pub(super) trait Change: Send {
    /// What is refused here has changed nothing; what is broken takes the whole batch with it.
    fn apply(&mut self, db: &Connection) -> rusqlite::Result<()>;

    fn bytes(&self) -> usize;

    /// Tells what became of it: what `apply` came to, or why that is undone.
    fn settle(self: Box<Self>, undone: Option<Error>);
}

pub(super) fn queue() -> (Queue, Receiver<Job>) {
    let (jobs, receiver) = unbounded();
    (Queue { jobs, waiting: Arc::default() }, receiver)
}

impl Queue {
    pub fn append(&self, append: Append) {
        self.push(Job::Append(append));
    }

    pub fn change<T: Send + 'static>(
        &self,
        bytes: usize,
        change: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'static, T> {
        let (answer, answered) = oneshot::channel();
        self.push(Job::Change(Box::new(Waiting { change: Some(change), outcome: None, bytes, answer })));
        Box::pin(async { answered.await.unwrap_or(Err(Error::UnknownOutcome)) })
    }

    pub fn restart_wal(&self) {
        let _ = self.jobs.send(Job::RestartWal);
    }

    pub fn close(&self) {
        let _ = self.jobs.send(Job::Close);
    }

    fn push(&self, job: Job) {
        let bytes = job.bytes();
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let refused = if before > MAX_WAITING {
            Some((job, Error::Unavailable("too much is waiting to be written")))
        } else {
            self.jobs.send(job).err().map(|SendError(job)| (job, STOPPED))
        };
        if let Some((job, error)) = refused {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            job.refuse(error);
        }
    }
}

impl Job {
    fn bytes(&self) -> usize {
        let held = match self {
            Self::Append(Append { room, event, .. }) => {
                let content = event.content.as_ref().map_or(0, |content| content.json.len());
                content
                    + room.as_str().len()
                    + event.author.name.len()
                    + event.txn_id.as_ref().map_or(0, |txn_id| txn_id.len())
            }
            Self::Change(change) => change.bytes(),
            Self::RestartWal | Self::Close => 0,
        };
        held + size_of::<Self>()
    }

    fn refuse(self, error: Error) {
        match self {
            Self::Append(append) => append.done.tell(Err(error)),
            Self::Change(change) => change.settle(Some(error)),
            Self::RestartWal | Self::Close => {}
        }
    }
}

struct Waiting<T, F> {
    change: Option<F>,
    outcome: Option<Result<T>>,
    bytes: usize,
    answer: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T, Fault> + Send> Change for Waiting<T, F> {
    fn apply(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let Some(change) = self.change.take() else { return Ok(()) };
        self.outcome = Some(match change(db) {
            Ok(value) => Ok(value),
            Err(Fault::Refused(error)) => Err(error),
            Err(Fault::Broken(fault)) => return Err(fault),
        });
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn settle(self: Box<Self>, undone: Option<Error>) {
        let outcome = undone.map(Err).or(self.outcome).unwrap_or(Err(Error::UnknownOutcome));
        let _ = self.answer.send(outcome);
    }
}

pub(super) struct Writer {
    pub database: Database,
    pub watcher: Arc<dyn Watcher>,
    pub jobs: Receiver<Job>,
    pub queue: Queue,
    pub readers: Readers,
    pub checkpoints: Checkpoints,
    pub heads: Heads,
    pub waits: Waits,
}

/// What is taken from the queue at once.
#[derive(Default)]
struct Batch {
    jobs: Vec<Job>,
    bytes: usize,
    restart_wal: bool,
    close: bool,
}

/// What a batch has come to, kept back until it is committed.
#[derive(Default)]
struct Done {
    announcements: Vec<Announcement>,
    receipts: Vec<Receipt>,
    changes: Vec<Box<dyn Change>>,
}

impl Writer {
    pub fn run(mut self) {
        loop {
            let Batch { jobs, bytes, restart_wal, close } = self.gather();
            if !jobs.is_empty() && catch_unwind(AssertUnwindSafe(|| self.commit(jobs))).is_err() {
                tracing::error!("a batch ended in a panic");
                self.undo();
            }
            self.queue.waiting.fetch_sub(bytes, Ordering::Relaxed);
            if restart_wal {
                self.restart_wal();
            }
            if close {
                return self.close();
            }
        }
    }

    /// Waits for a job, and takes with it what else is there.
    fn gather(&self) -> Batch {
        let mut batch = Batch::default();
        let mut next = self.jobs.recv().ok();
        while let Some(job) = next {
            match job {
                Job::RestartWal => batch.restart_wal = true,
                Job::Close => batch.close = true,
                job => {
                    batch.bytes += job.bytes();
                    batch.jobs.push(job);
                }
            }
            let more = !batch.close && batch.jobs.len() < BATCH_JOBS && batch.bytes < BATCH_BYTES;
            next = if more { self.jobs.try_recv().ok() } else { None };
        }
        batch
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        let mut jobs = jobs.into_iter();
        let mut done = Done::default();
        let outcome = self.write(&mut jobs, &mut done).map_err(|fault| not_stored(&fault)).and_then(|()| {
            let commit = self.database.writer.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
            commit.map(drop).map_err(|fault| not_known(&fault))
        });
        let undone = outcome.err();
        if let Some(error) = &undone {
            self.undo();
            done.undo(error, jobs);
        } else {
            self.waits.keep();
            self.checkpoints.written();
        }
        let Done { announcements, receipts, changes } = done;
        if !receipts.is_empty() {
            self.watcher.committed(Committed { announcements, receipts });
        }
        for change in changes {
            change.settle(undone.clone());
        }
    }

    /// Ends at the first fault of the database, and leaves the rest of the jobs where they are.
    fn write(&mut self, jobs: &mut vec::IntoIter<Job>, done: &mut Done) -> rusqlite::Result<()> {
        let db = &self.database.writer;
        db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        self.heads.trim();
        let mut appender = Appender::new(db, &mut self.heads, &mut self.waits)?;
        for job in jobs.by_ref() {
            match job {
                Job::Append(Append { room, event, right, effect, done: tell }) => {
                    let (outcome, fault) = match appender.append(room, event, right, effect) {
                        Ok(seq) => (Ok(seq), None),
                        Err(Fault::Refused(error)) => (Err(error), None),
                        Err(Fault::Broken(fault)) => (Err(Error::UnknownOutcome), Some(fault)),
                    };
                    done.receipts.push(Receipt { done: tell, outcome });
                    fault.map_or(Ok(()), Err)?;
                }
                Job::Change(mut change) => {
                    let applied = change.apply(db);
                    done.changes.push(change);
                    applied?;
                }
                Job::RestartWal | Job::Close => {}
            }
        }
        done.announcements = appender.finish();
        Ok(())
    }

    /// After this nothing of an unfinished batch is left.
    fn undo(&mut self) {
        self.heads.forget();
        self.waits.undo();
        let db = &self.database.writer;
        if !db.is_autocommit()
            && let Err(fault) = db.execute_batch("ROLLBACK")
        {
            tracing::error!(%fault, "a batch could not be rolled back");
        }
    }

    /// Short, since most of the WAL was moved by the checkpoints beside the writer; and not worth a wait for somebody
    /// who reads for long, such as a backup.
    fn restart_wal(&self) {
        let db = &self.database.writer;
        let restarted = db.busy_timeout(RESTART_PATIENCE).and_then(|()| checkpoint(db, "RESTART"));
        if let Err(fault) = db.busy_timeout(PATIENCE).and(restarted) {
            tracing::warn!(%fault, "the write-ahead log could not be started anew; the next checkpoint tries again");
        }
    }

    fn close(self) {
        for job in self.jobs.try_iter() {
            job.refuse(STOPPED);
        }
        // From here on the queue refuses by itself.
        drop(self.jobs);
        self.checkpoints.stop();
        self.readers.stop();
        self.database.close();
    }
}

impl Done {
    fn undo(&mut self, error: &Error, left: vec::IntoIter<Job>) {
        self.announcements.clear();
        for receipt in &mut self.receipts {
            receipt.outcome = Err(error.clone());
        }
        for job in left {
            match job {
                Job::Append(append) => {
                    self.receipts.push(Receipt { done: append.done, outcome: Err(error.clone()) });
                }
                Job::Change(change) => self.changes.push(change),
                Job::RestartWal | Job::Close => {}
            }
        }
    }
}

fn not_stored(fault: &rusqlite::Error) -> Error {
    tracing::error!(%fault, "a batch was not stored");
    Error::Unavailable(if is_full(fault) { "the disk is full" } else { "the database failed" })
}

/// A commit may have reached the disk and still fail; but where there was no room for it, it did not.
fn not_known(fault: &rusqlite::Error) -> Error {
    if is_full(fault) {
        return not_stored(fault);
    }
    tracing::error!(%fault, "a commit failed");
    Error::UnknownOutcome
}

fn is_full(fault: &rusqlite::Error) -> bool {
    fault.sqlite_error_code() == Some(ErrorCode::DiskFull)
}
