//! The threads that read, each with a read-only connection. What one query reads is of one moment.
//! They must not know what the queries ask for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Fault;
use crate::error::{Error, Result};
use crate::store::Answer;

/// Each waiting query has a caller who waits for it; there should never be so many.
const MAX_WAITING: usize = 50_000;

type Query = Box<dyn FnOnce(&Connection) + Send>;

enum Job {
    Query(Query),
    Stop,
}

/// Where queries are left for the reading threads.
#[derive(Clone)]
pub(super) struct Reads {
    jobs: Sender<Job>,
    waiting: Arc<AtomicUsize>,
}

pub(super) struct Readers {
    reads: Reads,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub fn start(connections: Vec<Connection>) -> std::io::Result<Self> {
        let (jobs, queue) = unbounded();
        let reads = Reads { jobs, waiting: Arc::default() };
        let start = |db: Connection| {
            let (queue, waiting) = (queue.clone(), reads.waiting.clone());
            thread::Builder::new().name("store-reader".to_owned()).spawn(move || answer_queries(&db, &queue, &waiting))
        };
        let threads = connections.into_iter().map(start).collect::<std::io::Result<_>>()?;
        Ok(Self { reads, threads })
    }

    pub fn reads(&self) -> Reads {
        self.reads.clone()
    }

    pub fn threads(&self) -> impl Iterator<Item = thread::ThreadId> {
        self.threads.iter().map(|thread| thread.thread().id())
    }

    /// Answers what is waiting, and ends.
    pub fn stop(self) {
        for _ in &self.threads {
            let _ = self.reads.jobs.send(Job::Stop);
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a reading thread ended in a panic");
            }
        }
    }
}

impl Reads {
    pub fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'static, T> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Query(Box::new(move |db| {
            if !answer.is_closed() {
                let _ = answer.send(at_one_moment(db, query));
            }
        }));
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING || self.jobs.send(job).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        // What was not taken up, or broken off, has dropped its answer.
        Box::pin(async { answered.await.unwrap_or(Err(Error::Unavailable("the store could not be asked"))) })
    }
}

fn answer_queries(db: &Connection, queue: &Receiver<Job>, waiting: &AtomicUsize) {
    while let Ok(Job::Query(query)) = queue.recv() {
        waiting.fetch_sub(1, Ordering::Relaxed);
        if catch_unwind(AssertUnwindSafe(|| query(db))).is_err() {
            tracing::error!("a query ended in a panic");
        }
    }
}

fn at_one_moment<T>(db: &Connection, query: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T> {
    let answer = db.unchecked_transaction().map_err(Fault::from).and_then(|_transaction| query(db));
    answer.map_err(|fault| match fault {
        Fault::Refused(error) => error,
        Fault::Broken(fault) => {
            tracing::error!(%fault, "a query failed");
            Error::Internal
        }
    })
}
