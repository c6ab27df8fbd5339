//! What goes wrong inside the store, brought about from inside. All else that it must do is in tests/it/contract.rs.

use std::sync::mpsc;

use rusqlite::{Connection, StatementStatus};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::error::Result;
use crate::protocol::{Author, Content, Event, Kind, Role, RoomKind};
use crate::store::{Accounts, Committed, Completion, Effect, Right, Sessions};

#[test]
fn a_full_disk_refuses_and_harms_nothing() {
    let house = House::new();
    let full = house.changes(|db| {
        let pages: i64 = db.pragma_query_value(None, "page_count", |row| row.get(0))?;
        Ok(db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?)
    });
    assert_eq!(full, Ok(()));
    let mut stored = 0;
    let refusal = loop {
        match house.appends() {
            Ok(seq) => stored = seq,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, Error::Unavailable("the disk is full"));
    assert_eq!(house.position().head, stored);

    house.changes(|db| Ok(db.pragma_update_and_check(None, "max_page_count", i64::MAX, |_| Ok(()))?)).unwrap();
    assert_eq!(house.appends(), Ok(stored + 1), "no seq was lost");
}

#[test]
fn a_fault_leaves_nothing_of_its_batch() {
    let house = House::new();
    let faulty = house.changes(|db| {
        directory::create_room(db, &garden(), &[])?;
        Ok(db.execute_batch("INSERT INTO nowhere VALUES (1)")?)
    });
    assert_eq!(faulty, Err(Error::Unavailable("the database failed")));
    assert_eq!(wait(house.store.room(&garden().id)), Ok(None));
    assert_eq!(house.appends(), Ok(1));
}

#[test]
fn a_panic_leaves_nothing_of_its_batch() {
    let house = House::new();
    let panicking = house.changes(|db| -> Result<(), Fault> {
        directory::create_room(db, &garden(), &[])?;
        panic!("as the test wants it")
    });
    assert_eq!(panicking, Err(Error::UnknownOutcome));
    assert_eq!(wait(house.store.room(&garden().id)), Ok(None));
    assert_eq!(house.appends(), Ok(1));
}

#[test]
fn of_a_commit_that_fails_nobody_knows_the_outcome() {
    let house = House::new();
    house.appends().unwrap();
    let uncommittable = "
        CREATE TABLE parents (id INTEGER PRIMARY KEY);
        CREATE TABLE children (parent INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO children VALUES (1)";
    let unknown = house.changes(move |db| Ok(db.execute_batch(uncommittable)?));
    assert_eq!(unknown, Err(Error::UnknownOutcome));
    assert_eq!(house.appends(), Ok(2));
}

#[test]
fn a_panicking_query_harms_no_other() {
    let house = House::new();
    for _ in 0..=READERS {
        let panicking = house.store.reads.ask(|_| -> Result<(), Fault> { panic!("as the test wants it") });
        assert!(matches!(wait(panicking), Err(Error::Unavailable(_))));
    }
    assert_eq!(house.position().head, 0);
}

#[test]
fn a_statement_is_planned_once_whatever_is_bound_to_it() {
    let house = House::new();
    for limit in 1..5 {
        let planned_anew = house.store.reads.ask(move |db| {
            let mut query = db.prepare_cached("SELECT seq FROM events ORDER BY place LIMIT ?1")?;
            query.query_map([limit], |row| row.get::<_, i64>(0))?.for_each(drop);
            Ok(query.get_status(StatementStatus::RePrepare))
        });
        assert_eq!(wait(planned_anew), Ok(0));
    }
}

#[test]
fn the_log_goes_on_while_the_wal_is_started_anew() {
    let house = House::new();
    for seq in 1..50 {
        assert_eq!(house.appends(), Ok(seq));
        house.store.queue.restart_wal();
    }
}

#[test]
fn the_last_owner_may_be_a_callback_of_the_store() {
    let House { store, dir: _dir, ended } = House::new();
    let (left, alone) = mpsc::channel();
    let last = Arc::clone(&store);
    let done = Completion::new(move |_| {
        alone.recv().unwrap();
        drop(last);
    });
    store.append(Append { room: lobby(), event: event(), right: Right::Free, effect: Effect::None, done });
    drop(store);
    left.send(()).unwrap();
    ended.recv().unwrap();
}

#[test]
fn a_database_of_the_first_version_is_brought_up_to_date() {
    let dir = TempDir::new().unwrap();
    let old = Connection::open(dir.path().join("chinwag.db")).unwrap();
    old.execute_batch(include_str!("../schema.sql")).unwrap();
    old.execute_batch(
        "PRAGMA application_id = 0x43686e77; PRAGMA user_version = 1;
         INSERT INTO rooms (num, id, name, epoch, oldest, made_after, created_at) VALUES (1, 'lobby', 'Lobby', 1, 1, 0, 0);
         INSERT INTO users (id, name, folded, email, guest) VALUES (zeroblob(16), 'Ann', 'ann', NULL, 1);
         INSERT INTO names (folded, user) VALUES ('ann', zeroblob(16));
         INSERT INTO members (user, room, read) VALUES (zeroblob(16), 1, 0);
         INSERT INTO sessions (token, user, seen) VALUES (zeroblob(32), zeroblob(16), 1000);",
    )
    .unwrap();
    old.close().unwrap();

    let (end, _ended) = mpsc::channel();
    let options = Options { dir: dir.path().to_owned(), durability: Durability::Full, redis: None };
    let store = Sqlite::open(&options, Arc::new(Ear(end))).unwrap();
    let session = wait(store.session([0; 32])).unwrap().unwrap();
    assert_eq!((&*session.user.name, session.user.role), ("Ann", Role::Guest));
    assert_eq!((session.session.at, session.session.scopes), (session.seen, None));
    assert!(!session.session.id.is_nil());
    let joined = wait(store.joined(session.user.id, 10)).unwrap().remove(0);
    assert_eq!((joined.room.kind, joined.role), (RoomKind::Public, MemberRole::Member));
    assert!(wait(store.holders(vec!["ann".to_owned()], Timestamp::UNIX_EPOCH)).unwrap().contains_key("ann"));
}

struct House {
    store: Arc<Sqlite>,
    dir: TempDir,
    /// Told when the writer has let go of its watcher.
    ended: mpsc::Receiver<()>,
}

impl House {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let (end, ended) = mpsc::channel();
        let options = Options { dir: dir.path().to_owned(), durability: Durability::Full, redis: None };
        let store = Arc::new(Sqlite::open(&options, Arc::new(Ear(end))).unwrap());
        let lobby = RoomInfo::new(lobby(), "Lobby".into(), RoomKind::Public);
        wait(store.create_room(lobby, Vec::new())).unwrap();
        Self { store, dir, ended }
    }

    fn changes<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        wait(self.store.queue.change(0, change))
    }

    fn appends(&self) -> Result<Seq> {
        let (told, outcome) = mpsc::channel();
        let done = Completion::new(move |outcome| told.send(outcome).unwrap());
        self.store.append(Append { room: lobby(), event: event(), right: Right::Free, effect: Effect::None, done });
        outcome.recv().unwrap()
    }

    fn position(&self) -> Position {
        wait(self.store.position(&lobby())).unwrap().unwrap()
    }
}

struct Ear(mpsc::Sender<()>);

impl Watcher for Ear {
    fn committed(&self, batch: Committed) {
        for receipt in batch.receipts {
            receipt.done.tell(receipt.outcome);
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer)
}

fn lobby() -> RoomId {
    RoomId::lobby()
}

fn garden() -> RoomInfo {
    RoomInfo::new("garden".into(), "Garden".into(), RoomKind::Public)
}

fn event() -> Event {
    Event {
        seq: 0,
        id: Uuid::now_v7(),
        kind: Kind::Message,
        at: Timestamp::now(),
        author: Author { id: UserId::random(), name: "ann".into() },
        txn_id: None,
        target: None,
        content: Some(Content::message(&"hello ".repeat(200), None, &[], 1)),
    }
}
