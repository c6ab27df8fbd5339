//! What outlives us: the rooms' logs and the directory of rooms, users and sessions. The comments on the two traits
//! are the contract; tests/it/contract.rs holds every backend to it. Nothing here knows who may do what, or who is
//! connected. Only `open` names a backend.

mod sqlite;

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;

use crate::error::{Error, Fatal, Result};
use crate::protocol::{Epoch, Event, History, Position, RoomId, Seq, UserId};

/// Unread messages and mentions are counted up to here, which stands for "99+".
pub const UNREAD_CAP: u32 = 100;

/// What the store is, and how it is kept.
#[derive(Clone, Debug)]
pub struct Options {
    pub dir: PathBuf,
    pub durability: Durability,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// An acknowledged event is on disk.
    Full,
    /// A crash of the process loses nothing, a power cut may lose the last moments.
    Fast,
}

pub struct Store {
    pub log: Arc<dyn Log>,
    pub directory: Arc<dyn Directory>,
}

/// Opens the store that the options describe, creating it where there is none. `watcher` hears every commit from the
/// first on.
pub fn open(options: &Options, watcher: Arc<dyn Watcher>) -> Result<Store, Fatal> {
    let store = Arc::new(sqlite::Sqlite::open(options, watcher)?);
    Ok(Store { log: store.clone(), directory: store })
}

/// An answer that the store gives in its own time. Dropping it does not undo a write.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// The durable, ordered logs of all rooms.
///
/// Within a room and an epoch seqs are contiguous from `oldest` to `head`, and what was announced or acknowledged
/// keeps its seq for ever. Every method can be called from any thread and none blocks its caller.
pub trait Log: Send + Sync {
    /// Queues an event for the room's log and returns at once. Appends of one caller to one room keep their order.
    ///
    /// The outcome goes to `append.done`: the seq, once the event is durable as `worth` says; for a `txn_id` that
    /// the same author already used in this room the seq of the first one, and nothing is appended. `NoRoom` where
    /// there is no such room, `Unavailable` where it is not stored (more than 64 MB wait already, the disk is full),
    /// `UnknownOutcome` where that cannot be told. `append.effect` takes place with the event or not at all.
    fn append(&self, append: Append);

    /// Where a room's log stands; `None` if there is no such room.
    fn position<'a>(&'a self, room: &'a RoomId) -> Answer<'a, Option<Position>>;

    /// The events after `after`, oldest first, contiguous, as they were committed but for redactions: at most
    /// `limit`, and no more than fit into about `bytes` of content, but at least one if there is one. Starts at
    /// `oldest` where `after` lies before it. The position is of the same moment. `NoRoom` where there is none.
    fn read<'a>(&'a self, room: &'a RoomId, after: Seq, limit: usize, bytes: usize) -> Answer<'a, Page>;

    /// A page of events of kind message, oldest first, redactions applied: at most `limit`, and fewer where they are
    /// long (about 512 KB of content on each side of the window, but at least one message). Its cost does not depend on the length
    /// of the log. The position is of the same moment. `NoRoom` where there is none.
    fn messages<'a>(&'a self, room: &'a RoomId, window: Window, limit: usize) -> Answer<'a, Messages>;

    /// How many messages by others stand after `after`, redacted ones too, and how many events after it mention
    /// `user`; each counted to `UNREAD_CAP`. Passes over no more than a thousand messages of the user's own. Zero
    /// where there is no such room.
    fn unread<'a>(&'a self, room: &'a RoomId, user: UserId, after: Seq) -> Answer<'a, Unread>;

    /// In words, what an acknowledgement is worth as this store is configured: the end of the sentence
    /// "an acknowledged message is …".
    fn worth(&self) -> String;

    /// Commits all that was queued, and ends. Later appends are answered with `Unavailable`. Blocks; once called,
    /// calling it again does nothing.
    fn close(&self);
}

/// Hears what was committed, in order, from the first append on; called by the store's own thread, one batch after
/// the other, and must not block.
pub trait Watcher: Send + Sync {
    fn committed(&self, batch: Committed);
}

/// What one commit brought.
#[derive(Default)]
pub struct Committed {
    /// At most one for each room.
    pub announcements: Vec<Announcement>,
    /// The outcomes of the appends of this batch. The watcher settles them when it has taken note of the
    /// announcements, so that who is told of a seq finds the room there.
    pub receipts: Vec<Receipt>,
}

/// New events of one room, contiguous, in order.
#[derive(Clone, Debug)]
pub struct Announcement {
    pub room: RoomId,
    pub epoch: Epoch,
    pub events: Vec<Event>,
    /// An earlier event, or one of these, was emptied: copies of the log's past are stale.
    pub redacted: bool,
}

/// One event on its way into a log.
pub struct Append {
    pub room: RoomId,
    /// Complete but for its seq.
    pub event: Event,
    pub effect: Effect,
    pub done: Completion,
}

/// What comes to pass with an event, in the same transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    /// A message that mentions these users.
    Mention(Vec<UserId>),
    /// Takes the content of the event at this seq, and its mentions.
    Redact(Seq),
    /// Makes the author a member whose read marker stands at this event.
    Join,
    /// Ends the author's membership.
    Leave,
}

/// Tells whoever waits for an append what became of it. Dropped untold, it says `UnknownOutcome`.
pub struct Completion(Option<Box<dyn FnOnce(Result<Seq>) + Send>>);

impl Completion {
    pub fn new(tell: impl FnOnce(Result<Seq>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    pub fn tell(mut self, outcome: Result<Seq>) {
        if let Some(tell) = self.0.take() {
            tell(outcome);
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(Err(Error::UnknownOutcome));
        }
    }
}

/// An append's outcome, not yet told.
pub struct Receipt {
    pub done: Completion,
    pub outcome: Result<Seq>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub position: Position,
    pub events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages {
    pub position: Position,
    pub events: Vec<Event>,
    /// There are older messages.
    pub more: bool,
}

/// Which messages a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The newest.
    Newest,
    /// The newest before this seq.
    Before(Seq),
    /// Half of them up to and including this seq, half after it.
    Around(Seq),
}

impl Window {
    /// The window that a `history` command asks for.
    pub fn of(history: &History<'_>) -> Self {
        match (history.before, history.around) {
            (Some(before), _) => Self::Before(before),
            (None, Some(around)) => Self::Around(around),
            (None, None) => Self::Newest,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    pub messages: u32,
    pub mentions: u32,
}

/// Who and what there is beside the logs: rooms, members with their read markers, users, names, sessions.
pub trait Directory: Send + Sync {
    /// Makes an empty room with a new epoch, and `creator` its member. `Exists` where the id is taken.
    fn create_room(&self, room: RoomInfo, creator: Option<UserId>) -> Answer<'_, ()>;

    fn room<'a>(&'a self, id: &'a RoomId) -> Answer<'a, Option<RoomInfo>>;

    /// Public rooms in the order of their ids, after the id `after`, whose name or id holds `query` (in any case of
    /// ASCII letters).
    fn public_rooms<'a>(&'a self, query: &'a str, after: Option<&'a RoomId>, limit: usize) -> Answer<'a, Vec<Listed>>;

    /// The rooms whose member the user is, those with the newest event first (the room's making counts as one), at
    /// most `limit`.
    fn joined(&self, user: UserId, limit: usize) -> Answer<'_, Vec<Joined>>;

    /// One membership with its read marker and counts, `None` where the user is no member.
    fn member<'a>(&'a self, room: &'a RoomId, user: UserId) -> Answer<'a, Option<Joined>>;

    /// Moves read markers. Passes over who is no member.
    fn set_markers(&self, markers: HashMap<(RoomId, UserId), Marker>) -> Answer<'_, ()>;

    /// Adds a user who has joined `joins` and read it up to `read`. With a session the user holds their name:
    /// `NameTaken` where another user holds it whose session was seen since `expired_before`. A holder not seen since
    /// then loses the name and their sessions. Without a session no name is claimed. Adding a user that is there
    /// already changes nothing.
    fn add_user(&self, user: NewUser, expired_before: Timestamp) -> Answer<'_, ()>;

    /// Changes a user's name and e-mail. `NameTaken` as above; `NoUser` where there is none.
    fn change_user(&self, user: UserRecord, expired_before: Timestamp) -> Answer<'_, ()>;

    fn user(&self, id: UserId) -> Answer<'_, Option<UserRecord>>;

    /// Who holds these folded names, for those that are held by a session seen since `expired_before`.
    fn holders(&self, folded: Vec<String>, expired_before: Timestamp) -> Answer<'_, HashMap<String, UserId>>;

    /// The user whose session this is, and when it was last seen; `None` where there is none.
    fn session(&self, token: TokenHash) -> Answer<'_, Option<SessionRecord>>;

    /// Notes that a session was seen.
    fn touch_session(&self, token: TokenHash, seen: Timestamp) -> Answer<'_, ()>;

    /// Ends a session; a guest's name is free with their last one. Says whether there was one.
    fn end_session(&self, token: TokenHash) -> Answer<'_, bool>;

    /// Ends all sessions last seen before this, and frees their guests' names.
    fn expire_sessions(&self, before: Timestamp) -> Answer<'_, ()>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    pub id: RoomId,
    pub name: Arc<str>,
}

/// A room in the list of public rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub room: RoomInfo,
    pub head: Seq,
}

/// Where a read marker is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// To this event, unless it stands further already.
    Forward(Seq),
    /// To just this event, forward or back.
    Exactly(Seq),
}

impl Marker {
    /// Where a marker stands that stood at `read`.
    pub fn from(self, read: Seq) -> Seq {
        match self {
            Self::Forward(seq) => seq.max(read),
            Self::Exactly(seq) => seq,
        }
    }
}

/// A room that a user has joined, as they left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub room: RoomInfo,
    pub position: Position,
    pub read: Seq,
    pub unread: Unread,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    pub record: UserRecord,
    pub session: Option<(TokenHash, Timestamp)>,
    pub joins: RoomId,
    pub read: Seq,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord {
    pub id: UserId,
    pub name: Arc<str>,
    /// The name as it is compared, so that no two users' names differ in case alone.
    pub folded: String,
    pub email: Option<String>,
    pub guest: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    pub user: UserRecord,
    pub seen: Timestamp,
}

/// SHA-256 of a session's token, which itself is never stored.
pub type TokenHash = [u8; 32];
