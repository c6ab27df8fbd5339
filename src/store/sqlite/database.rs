//! The files in the data directory: their lock, opening the database and bringing its schema up to date, ending it.
//! It must not know what the tables are for, but for the epochs that an unclean start changes.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::Fault;
use crate::error::Fatal;
use crate::store::{Durability, Options};

/// Says in the file's header that it is ours: "Chnw".
const APPLICATION_ID: i32 = 0x4368_6e77;

/// One step for each version of the schema.
const STEPS: [&str; 2] = [include_str!("../schema.sql"), include_str!("../accounts.sql")];

/// The WAL is cut back to this after it had to grow larger.
pub(super) const WAL_BYTES: i64 = 64 * 1024 * 1024;
const PAGE_BYTES: i64 = 4096;

/// Somebody else (a backup, a shell) may hold the database for a moment.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// More statements than there are in this backend.
const STATEMENTS: usize = 128;

/// The database, held by this process alone until this is dropped.
pub(super) struct Database {
    pub writer: Connection,
    path: PathBuf,
    durability: Durability,
    _lock: File,
}

impl Database {
    pub fn open(options: &Options) -> Result<Self, Fatal> {
        let lock = lock(&options.dir)?;
        let path = options.dir.join("chinwag.db");
        let explain = |fault: rusqlite::Error| match fault.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Fatal::ForeignDatabase { path: path.clone() },
            _ => Fatal::Database { path: path.clone(), reason: fault.to_string() },
        };
        sync_wal(&path).map_err(|fault| Fatal::Database { path: path.clone(), reason: fault.to_string() })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let writer = connect(&path, flags).map_err(explain)?;
        let version = recognise(&writer, &path, explain)?;
        prepare_writer(&writer).map_err(explain)?;
        migrate(&writer, version).map_err(explain)?;
        start(&writer, options.durability).map_err(explain)?;
        Ok(Self { writer, path, durability: options.durability, _lock: lock })
    }

    pub fn reader(&self) -> Result<Connection, Fatal> {
        self.further(OpenFlags::SQLITE_OPEN_READ_ONLY, |db| {
            // What is read twice stands in the system's cache: a larger one here was no faster, and is kept for ever.
            db.pragma_update(None, "cache_size", -128)?;
            db.pragma_update(None, "mmap_size", 0)
        })
    }

    /// Checkpoints must sync even where commits need not.
    pub fn checkpointer(&self) -> Result<Connection, Fatal> {
        self.further(OpenFlags::SQLITE_OPEN_READ_WRITE, |db| {
            db.pragma_update(None, "synchronous", "FULL")?;
            db.pragma_update(None, "cache_size", -64)
        })
    }

    fn further(
        &self,
        flags: OpenFlags,
        prepare: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<Connection, Fatal> {
        connect(&self.path, flags)
            .and_then(|db| prepare(&db).map(|()| db))
            .map_err(|fault| Fatal::Database { path: self.path.clone(), reason: fault.to_string() })
    }

    /// A clean end: all is in the database file, and the next start may trust it. Wants to be the last connection.
    pub fn close(self) {
        let finish = || {
            self.writer.pragma_update(None, "synchronous", "FULL")?;
            if self.durability == Durability::Fast {
                self.writer.execute("DELETE FROM meta WHERE key = 'unclean_fast'", [])?;
            }
            checkpoint(&self.writer, "TRUNCATE").map(drop)
        };
        if let Err(fault) = finish() {
            tracing::warn!(%fault, "the database was not closed cleanly");
        }
    }
}

/// Changes a database of this version that another process may have open.
pub(super) fn beside(path: &Path, change: impl FnOnce(&Connection) -> Result<(), Fault>) -> Result<(), Fatal> {
    let broken = |reason: String| Fatal::Database { path: path.to_owned(), reason };
    let explain = |fault: rusqlite::Error| broken(fault.to_string());
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(explain)?;
    if recognise(&db, path, explain)? < STEPS.len() {
        return Err(broken("it is of an older chinwag; start this one once, which brings it up to date".to_owned()));
    }
    let transaction = db.unchecked_transaction().map_err(explain)?;
    change(&db).map_err(|fault| match fault {
        Fault::Refused(error) => broken(error.to_string()),
        Fault::Broken(fault) => explain(fault),
    })?;
    transaction.commit().map_err(explain)
}

/// Moves what the WAL holds into the database file (but for NOOP). Says how many bytes the WAL holds.
pub(super) fn checkpoint(db: &Connection, mode: &str) -> rusqlite::Result<i64> {
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| Ok(row.get::<_, i64>("log")? * PAGE_BYTES))
}

fn lock(dir: &Path) -> Result<File, Fatal> {
    let unusable = |source| Fatal::DataDir { dir: dir.to_owned(), source };
    create(dir).map_err(unusable)?;
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Fatal::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// E-mails and hashes of tokens lie in there: a new directory is its owner's alone.
fn create(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}

/// What a killed process had written but not synced is found again in the WAL. It must be on disk before anybody is
/// told of it, and a retry would be told without a further commit.
fn sync_wal(database: &Path) -> io::Result<()> {
    match File::open(database.with_extension("db-wal")) {
        Ok(wal) => wal.sync_all(),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(fault) => Err(fault),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(PATIENCE)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else every use of a statement with `LIMIT ?` plans it anew, by the value that is bound.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(db)
}

/// The version of the schema, 0 for a new database. Changes nothing, since the file may be somebody else's.
fn recognise(db: &Connection, path: &Path, explain: impl Fn(rusqlite::Error) -> Fatal + Copy) -> Result<usize, Fatal> {
    let id: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(explain)?;
    let found: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(explain)?;
    let empty = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)";
    let new = id == 0 && found == 0 && db.query_row(empty, [], |row| row.get(0)).map_err(explain)?;
    if new {
        return Ok(0);
    }
    if id != APPLICATION_ID {
        return Err(Fatal::ForeignDatabase { path: path.to_owned() });
    }
    usize::try_from(found).ok().filter(|version| *version <= STEPS.len()).ok_or_else(|| Fatal::NewerSchema {
        path: path.to_owned(),
        found,
        known: STEPS.len().cast_signed() as i64,
    })
}

fn prepare_writer(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    // Checkpoints have a thread of their own.
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    db.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "cache_size", -8192)
}

fn migrate(db: &Connection, version: usize) -> rusqlite::Result<()> {
    for (number, step) in STEPS.iter().enumerate().skip(version) {
        db.execute_batch(&format!(
            "BEGIN IMMEDIATE; {step}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {}; COMMIT",
            number + 1
        ))?;
    }
    Ok(())
}

/// Commits that are not synced may be gone after a power cut, and their seqs given again: so a start after an unclean
/// end of such a time begins new epochs. Must itself be synced.
fn start(db: &Connection, durability: Durability) -> rusqlite::Result<()> {
    let unclean = "SELECT EXISTS (SELECT 1 FROM meta WHERE key = 'unclean_fast')";
    let unclean: bool = db.query_row(unclean, [], |row| row.get(0))?;
    let transaction = db.unchecked_transaction()?;
    if unclean {
        tracing::warn!("not ended cleanly with durability fast: all rooms begin a new epoch");
        db.execute("UPDATE rooms SET epoch = random() | 1", [])?;
    }
    match durability {
        Durability::Fast => db.execute("INSERT OR IGNORE INTO meta VALUES ('unclean_fast', 1)", [])?,
        Durability::Full => db.execute("DELETE FROM meta WHERE key = 'unclean_fast'", [])?,
    };
    transaction.commit()?;
    match durability {
        Durability::Fast => db.pragma_update(None, "synchronous", "NORMAL"),
        Durability::Full => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_bundled_sqlite_keeps_its_wal_intact() {
        assert!(rusqlite::version_number() >= 3_051_003, "{} can corrupt a WAL", rusqlite::version());
    }
}
