//! The contract of the store, as its traits' comments state it: every test here holds every backend to it, each time
//! on a fresh store. Here are the backends, and the words in which the tests are written.

mod accounts;
mod directory;
mod log;
mod moderation;
mod restart;
mod rights;
mod sessions;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex, mpsc};

use chinwag::error::{Error, Result};
use chinwag::protocol::{
    Author, Content, Epoch, Event, Kind, MemberRole, Position, Role, RoomChange, RoomId, RoomKind, Seq, UserId,
};
use chinwag::store::{
    self, Accounts, Announcement, Append, Committed, Completion, Directory, Durability, Effect, Log, Marker,
    Moderation, NewName, NewSession, NewUser, Options, Right, RoomInfo, Secrets, Sessions, Span, Store, TokenHash,
    UNREAD_CAP, Unread, UserChange, UserRecord, Watcher, Which, Window,
};
use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::redis::RedisServer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    Sqlite,
    Redis,
}

fn on_every_backend(test: impl Fn(House)) {
    for backend in [Backend::Sqlite, Backend::Redis] {
        println!("on {backend:?}");
        test(House::new(backend, Durability::Full));
    }
}

/// A store with a lobby, and an ear for what it announces.
struct House {
    ground: Ground,
    ear: Arc<Ear>,
    store: Store,
}

/// What a store stands on, all its own.
struct Ground {
    dir: TempDir,
    durability: Durability,
    redis: Option<RedisServer>,
}

impl House {
    fn new(backend: Backend, durability: Durability) -> Self {
        let redis = (backend == Backend::Redis).then(|| RedisServer::with(&["--appendfsync", "always"]));
        let house = Self::on(Ground { dir: TempDir::new().unwrap(), durability, redis });
        house.room("lobby");
        house
    }

    fn on(ground: Ground) -> Self {
        let ear = Arc::<Ear>::default();
        let store = store::open(&ground.options(), ear.clone()).unwrap();
        Self { ground, ear, store }
    }

    fn backend(&self) -> Backend {
        if self.ground.redis.is_some() { Backend::Redis } else { Backend::Sqlite }
    }

    fn dir(&self) -> &Path {
        self.ground.dir.path()
    }

    fn reopen(&mut self) {
        self.log().close();
        self.store = store::open(&self.ground.options(), self.ear.clone()).unwrap();
    }

    /// What another process would find if this one ended now, without a word, and the store with it.
    fn after_a_crash(self, durability: Durability) -> Self {
        let dir = TempDir::new().unwrap();
        let Some(mut redis) = self.ground.redis else {
            // In this order: what moves from the WAL into the database meanwhile is then in both.
            for file in ["chinwag.db", "chinwag.db-wal"] {
                fs::copy(self.ground.dir.path().join(file), dir.path().join(file)).unwrap();
            }
            return Self::on(Ground { dir, durability, redis: None });
        };
        redis.kill();
        redis.start_again();
        Self::on(Ground { dir, durability, redis: Some(redis) })
    }

    fn log(&self) -> &dyn Log {
        &*self.store.log
    }

    fn directory(&self) -> &dyn Directory {
        &*self.store.directory
    }

    fn accounts(&self) -> &dyn Accounts {
        &*self.store.accounts
    }

    fn sessions(&self) -> &dyn Sessions {
        &*self.store.sessions
    }

    fn moderation(&self) -> &dyn Moderation {
        &*self.store.moderation
    }

    fn room(&self, id: &str) -> RoomId {
        wait(self.directory().create_room(public(id, id), Vec::new())).unwrap();
        id.into()
    }

    fn append(&self, room: &RoomId, event: Event, effect: Effect) -> Outcome {
        self.append_by(room, event, Right::Free, effect)
    }

    fn append_by(&self, room: &RoomId, event: Event, right: Right, effect: Effect) -> Outcome {
        let (told, outcome) = mpsc::channel();
        let done = Completion::new(move |outcome| drop(told.send(outcome)));
        self.log().append(Append { room: room.clone(), event, right, effect, done });
        outcome
    }

    fn appended(&self, room: &RoomId, event: Event, effect: Effect) -> Result<Seq> {
        self.append(room, event, effect).recv().unwrap()
    }

    fn says(&self, author: &Author, text: &str) -> Seq {
        self.appended(&lobby(), message(author, text), Effect::None).unwrap()
    }

    fn say(&self, author: &Author, messages: u32) {
        for _ in 0..messages {
            self.says(author, "hello");
        }
    }

    /// Has what `append` appends committed together: meanwhile the store is kept busy with something else.
    fn together(&self, append: impl FnOnce() -> Vec<Outcome>) -> Vec<Result<Seq>> {
        let aside = self.room(&format!("aside-{}", Uuid::now_v7()));
        let gate = Arc::new(Barrier::new(2));
        *self.ear.gate.lock().unwrap() = Some(gate.clone());
        let busy = self.append(&aside, message(&author("nobody"), "wait"), Effect::None);
        gate.wait();
        let outcomes = append();
        gate.wait();
        busy.recv().unwrap().unwrap();
        outcomes.into_iter().map(|outcome| outcome.recv().unwrap()).collect()
    }

    fn heard(&self, room: &RoomId) -> Vec<Event> {
        self.ear.heard(room)
    }

    fn announcements(&self, room: &RoomId) -> Vec<Announcement> {
        let batches = self.ear.batches.lock().unwrap();
        batches.iter().flatten().filter(|heard| heard.room == *room).cloned().collect()
    }

    /// Which announcements of the lobby spoke of a redaction.
    fn redacted(&self) -> Vec<bool> {
        let batches = self.ear.batches.lock().unwrap();
        batches.iter().flatten().filter(|heard| heard.room == lobby()).map(|heard| heard.redacted).collect()
    }

    fn position(&self, room: &RoomId) -> Position {
        wait(self.log().position(room)).unwrap().unwrap()
    }

    fn read(&self, room: &RoomId, after: Seq) -> Vec<Event> {
        wait(self.log().read(room, None, Span { after, limit: 10_000, bytes: 100_000_000 })).unwrap().events
    }

    fn read_some(&self, after: Seq, limit: usize, bytes: usize) -> Vec<Seq> {
        seqs(&wait(self.log().read(&lobby(), None, Span { after, limit, bytes })).unwrap().events)
    }

    fn messages(&self, window: Window, limit: usize) -> (Vec<Seq>, bool) {
        let page = wait(self.log().messages(&lobby(), None, window, limit)).unwrap();
        (seqs(&page.events), page.more)
    }

    fn unread(&self, user: &Author, after: Seq) -> Unread {
        wait(self.log().unread(&lobby(), user.id, after)).unwrap()
    }

    /// The read marker and the counts of a member of the lobby.
    fn member(&self, user: &Author) -> Option<(Seq, Unread)> {
        wait(self.directory().member(&lobby(), user.id)).unwrap().map(|joined| (joined.read, joined.unread))
    }

    fn adds(&self, user: &NewUser, expired_before: i64) -> Result<()> {
        wait(self.accounts().add_user(user.clone(), day(expired_before)))
    }

    fn holders(&self, folded: &[&str], expired_before: i64) -> HashMap<String, UserId> {
        let folded = folded.iter().map(|name| (*name).to_owned()).collect();
        wait(self.accounts().holders(folded, day(expired_before))).unwrap()
    }
}

impl Ground {
    fn options(&self) -> Options {
        let redis = self.redis.as_ref().map(|server| store::Redis { url: server.url(), wait: 0 });
        Options { dir: self.dir.path().to_owned(), durability: self.durability, redis }
    }
}

type Outcome = mpsc::Receiver<Result<Seq>>;

/// Remembers what was announced, and tells the outcomes after that.
#[derive(Default)]
struct Ear {
    batches: Mutex<Vec<Vec<Announcement>>>,
    /// The next batch waits here twice: once to say that it has come, once to be let through.
    gate: Mutex<Option<Arc<Barrier>>>,
}

impl Ear {
    fn heard(&self, room: &RoomId) -> Vec<Event> {
        let batches = self.batches.lock().unwrap();
        batches.iter().flatten().filter(|heard| heard.room == *room).flat_map(|heard| heard.events.clone()).collect()
    }
}

impl Watcher for Ear {
    fn committed(&self, batch: Committed) {
        let gate = self.gate.lock().unwrap().take();
        if let Some(gate) = gate {
            gate.wait();
            gate.wait();
        }
        self.batches.lock().unwrap().push(batch.announcements);
        for receipt in batch.receipts {
            receipt.done.tell(receipt.outcome);
        }
    }
}

fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer)
}

fn lobby() -> RoomId {
    RoomId::lobby()
}

fn author(name: &str) -> Author {
    Author { id: UserId::random(), name: name.into() }
}

fn message(author: &Author, text: &str) -> Event {
    Event {
        seq: 0,
        id: Uuid::now_v7(),
        kind: Kind::Message,
        at: Timestamp::now(),
        author: author.clone(),
        txn_id: None,
        target: None,
        content: Some(Content::message(text, None, &[], 1)),
    }
}

fn with_txn(author: &Author, txn_id: &str) -> Event {
    Event { txn_id: Some(txn_id.into()), ..message(author, "hello") }
}

fn delete(author: &Author, target: Seq) -> Event {
    Event { kind: Kind::Delete, target: Some(target), ..message(author, "gone") }
}

fn seqs(events: &[Event]) -> Vec<Seq> {
    events.iter().map(|event| event.seq).collect()
}

/// A guest whose session was seen on this day.
fn guest(name: &str, seen: i64) -> NewUser {
    let id = UserId::random();
    let mut token = TokenHash::default();
    token[..16].copy_from_slice(id.0.as_bytes());
    let session = NewSession {
        token,
        id: Uuid::now_v7(),
        label: "a test".to_owned(),
        address: "192.0.2.1".to_owned(),
        at: day(seen),
        scopes: None,
    };
    let record = record(id, name, Role::Guest);
    NewUser { record, session: Some(session), secrets: Secrets::default(), joins: lobby(), read: 0 }
}

/// An account without a session.
fn account(name: &str) -> NewUser {
    let record = record(UserId::random(), name, Role::Member);
    NewUser { record, session: None, ..guest(name, 0) }
}

fn record(id: UserId, name: &str, role: Role) -> UserRecord {
    UserRecord {
        id,
        name: name.into(),
        folded: name.to_lowercase(),
        skeleton: name.to_lowercase().replace('0', "o"),
        email: None,
        email_verified: false,
        role,
        muted_until: None,
        banned_until: None,
        picture: 0,
    }
}

fn public(id: &str, name: &str) -> RoomInfo {
    RoomInfo::new(id.into(), name.into(), RoomKind::Public)
}

fn token(user: &NewUser) -> TokenHash {
    user.session.as_ref().expect("a guest of these tests has a session").token
}

fn session_id(user: &NewUser) -> Uuid {
    user.session.as_ref().expect("a guest of these tests has a session").id
}

fn day(number: i64) -> Timestamp {
    Timestamp::from_second(number * 24 * 60 * 60).unwrap()
}
