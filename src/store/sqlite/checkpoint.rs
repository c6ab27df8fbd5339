//! Moves what was committed from the WAL into the database file, beside the writer and never in its way.
//! It must not know what is written.

use std::convert::Infallible;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::Connection;

use super::database::{WAL_BYTES, checkpoint};

/// A pause lets pages be written again and again before they are moved, once. It ends early when much was written.
const PAUSE_STEPS: u32 = 20;
const PAUSE_STEP: Duration = Duration::from_millis(50);
const MUCH: i64 = WAL_BYTES / 4;

/// The thread that makes the checkpoints. It sleeps while nothing is written, and ends when this is stopped or dropped.
pub(super) struct Checkpoints {
    written: Sender<()>,
    alive: Sender<Infallible>,
    thread: JoinHandle<()>,
}

impl Checkpoints {
    /// `restart` is called when the WAL has grown long, which only its writer can mend.
    pub fn start(db: Connection, restart: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (written, writes) = bounded(1);
        let (alive, end) = bounded(0);
        let thread = thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || make_checkpoints(&db, &writes, &end, restart))?;
        Ok(Self { written, alive, thread })
    }

    pub fn written(&self) {
        // Full: the thread knows already.
        let _ = self.written.try_send(());
    }

    pub fn stop(self) {
        drop((self.written, self.alive));
        if self.thread.join().is_err() {
            tracing::error!("the checkpoints ended in a panic");
        }
    }
}

fn make_checkpoints(db: &Connection, writes: &Receiver<()>, end: &Receiver<Infallible>, restart: impl Fn()) {
    while writes.recv().is_ok() {
        for _ in 0..PAUSE_STEPS {
            if end.recv_timeout(PAUSE_STEP) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
            if checkpoint(db, "NOOP").is_ok_and(|bytes| bytes > MUCH) {
                break;
            }
        }
        // Under constant writing a passive checkpoint never reaches the end of the WAL, which then only grows.
        match checkpoint(db, "PASSIVE") {
            Ok(bytes) if bytes > WAL_BYTES => restart(),
            Ok(_) => {}
            Err(fault) => tracing::warn!(%fault, "a checkpoint failed; the next one tries again"),
        }
    }
}
