//! The embedded backend: one database file in the data directory, one thread that writes it, two that read it, one
//! that makes checkpoints. Only this folder knows SQL.

mod accounts;
mod append;
mod checkpoint;
mod database;
mod directory;
mod dump;
mod log;
mod moderation;
mod names;
mod reader;
mod sessions;
mod waits;
mod writer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::{Type, ValueRef};

pub use self::dump::{Dump, DumpedPlace, DumpedRoom, DumpedUser};

use self::checkpoint::Checkpoints;
use self::database::Database;
use self::reader::{Readers, Reads};
use self::writer::{Queue, Writer};
use crate::error::{Error, Fatal};
use crate::protocol::{MemberRole, Position, RoomId, Seq, UserId};
use crate::store::{
    Answer, Append, Directory, Durability, Joined, Link, Listed, Log, Marker, Member, Messages, Options, Page,
    RoomInfo, Span, Unread, Watch, Watcher, Window,
};

const READERS: usize = 2;

pub struct Sqlite {
    queue: Queue,
    reads: Reads,
    durability: Durability,
    /// None once closed.
    writer: Mutex<Option<JoinHandle<()>>>,
    threads: Vec<ThreadId>,
}

impl Sqlite {
    pub fn open(options: &Options, watcher: Arc<dyn Watcher>) -> Result<Self, Fatal> {
        let database = Database::open(options)?;
        let (queue, jobs) = writer::queue();
        let connections = (0..READERS).map(|_| database.reader()).collect::<Result<_, _>>()?;
        let checkpointer = database.checkpointer()?;
        let readers = Readers::start(connections)?;
        let restart_wal = queue.clone();
        let checkpoints = Checkpoints::start(checkpointer, move || restart_wal.restart_wal())?;
        // A killed process may have left a long WAL.
        checkpoints.written();

        let reads = readers.reads();
        let mut threads: Vec<_> = readers.threads().collect();
        let (queue_to_writer, heads, waits) = (queue.clone(), append::Heads::default(), waits::Waits::default());
        let writer = Writer { database, watcher, jobs, queue: queue_to_writer, readers, checkpoints, heads, waits };
        let writer = thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run())?;
        threads.push(writer.thread().id());
        Ok(Self { queue, reads, durability: options.durability, writer: Mutex::new(Some(writer)), threads })
    }
}

/// Adds a link beside a server that has the database open: `SQLite`'s own locks keep the two apart.
pub fn leave_link(options: &Options, link: &Link) -> Result<(), Fatal> {
    let path = options.dir.join("chinwag.db");
    database::beside(&path, |db| sessions::add_link(db, link))
}

impl Log for Sqlite {
    fn append(&self, append: Append) {
        self.queue.append(append);
    }

    /// The writer announces everything.
    fn watch<'a>(&'a self, _room: &'a RoomId) -> Answer<'a, Watch> {
        Box::pin(std::future::ready(Ok(Watch::default())))
    }

    fn follow(&self, _room: &RoomId) -> Watch {
        Watch::default()
    }

    fn position<'a>(&'a self, room: &'a RoomId) -> Answer<'a, Option<Position>> {
        let room = room.clone();
        self.reads.ask(move |db| log::position(db, &room))
    }

    fn read<'a>(&'a self, room: &'a RoomId, reader: Option<UserId>, span: Span) -> Answer<'a, Page> {
        let room = room.clone();
        self.reads.ask(move |db| log::read(db, &room, reader, span))
    }

    fn messages<'a>(
        &'a self,
        room: &'a RoomId,
        reader: Option<UserId>,
        window: Window,
        limit: usize,
    ) -> Answer<'a, Messages> {
        let room = room.clone();
        self.reads.ask(move |db| log::messages(db, &room, reader, window, limit))
    }

    fn unread<'a>(&'a self, room: &'a RoomId, user: UserId, after: Seq) -> Answer<'a, Unread> {
        let room = room.clone();
        self.reads.ask(move |db| log::unread(db, &room, user, after))
    }

    fn worth(&self) -> String {
        match self.durability {
            Durability::Full => "on disk".to_owned(),
            Durability::Fast => {
                "safe from a crash of this process, but a power cut may take the last moments (--durability fast)"
                    .to_owned()
            }
        }
    }

    fn close(&self) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(thread) = writer.take() else { return };
        self.queue.close();
        // The last owner may be a callback on one of these threads, which cannot wait for itself.
        if !self.threads.contains(&thread::current().id()) && thread.join().is_err() {
            tracing::error!("the writer ended in a panic");
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}

impl Directory for Sqlite {
    fn create_room(&self, room: RoomInfo, members: Vec<(UserId, MemberRole)>) -> Answer<'_, ()> {
        let bytes = room.name.len();
        self.queue.change(bytes, move |db| directory::create_room(db, &room, &members))
    }

    fn room<'a>(&'a self, id: &'a RoomId) -> Answer<'a, Option<RoomInfo>> {
        let id = id.clone();
        self.reads.ask(move |db| directory::room(db, &id))
    }

    fn public_rooms<'a>(&'a self, query: &'a str, after: Option<&'a RoomId>, limit: usize) -> Answer<'a, Vec<Listed>> {
        let (query, after) = (query.to_owned(), after.cloned());
        self.reads.ask(move |db| directory::public_rooms(db, &query, after.as_ref(), limit))
    }

    fn joined(&self, user: UserId, limit: usize) -> Answer<'_, Vec<Joined>> {
        self.reads.ask(move |db| directory::joined(db, user, limit))
    }

    fn member<'a>(&'a self, room: &'a RoomId, user: UserId) -> Answer<'a, Option<Joined>> {
        let room = room.clone();
        self.reads.ask(move |db| directory::member(db, &room, user))
    }

    fn set_markers(&self, markers: HashMap<(RoomId, UserId), Marker>) -> Answer<'_, ()> {
        let bytes = markers.len() * size_of::<(RoomId, UserId, Seq)>();
        self.queue.change(bytes, move |db| directory::set_markers(db, &markers))
    }

    fn role<'a>(&'a self, room: &'a RoomId, user: UserId) -> Answer<'a, Option<MemberRole>> {
        let room = room.clone();
        self.reads.ask(move |db| directory::role(db, &room, user))
    }

    fn members<'a>(
        &'a self,
        room: &'a RoomId,
        after: Option<UserId>,
        limit: usize,
    ) -> Answer<'a, (Vec<Member>, usize)> {
        let room = room.clone();
        self.reads.ask(move |db| directory::members(db, &room, after, limit))
    }

    fn written(&self, user: UserId) -> Answer<'_, Vec<RoomId>> {
        self.reads.ask(move |db| directory::written(db, user))
    }

    fn purge(&self) -> Answer<'_, bool> {
        self.queue.change(0, directory::purge)
    }
}

/// Why a step of a transaction was not carried out.
enum Fault {
    /// An answer to the one who asked.
    Refused(Error),
    /// A failure of the database.
    Broken(rusqlite::Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(fault: rusqlite::Error) -> Self {
        Self::Broken(fault)
    }
}

/// SQL's integers are signed. No log is so long that this loses anything, but a client may name any seq.
fn to_sql(seq: Seq) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn from_sql(seq: i64) -> Seq {
    Seq::try_from(seq).unwrap_or(0)
}

fn to_sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn time(row: &Row, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(row.get(column)?).map_err(|fault| unreadable(column, Type::Integer, fault))
}

fn from_sql_time(row: &Row, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    if row.get_ref(column)? == ValueRef::Null { Ok(None) } else { time(row, column).map(Some) }
}

/// A value that no version of ours has written.
fn unreadable(
    column: usize,
    found: Type,
    fault: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, found, fault.into())
}

#[cfg(test)]
mod tests;
