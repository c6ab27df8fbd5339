//! What outlives us: the rooms' logs, the directory of rooms, and beside them people (accounts.rs), order
//! (moderation.rs), and what the nodes on one store tell each other (nodes.rs). The comments on the traits are the
//! contract; tests/it/contract.rs holds every backend to it. Nothing here knows who may do what, or who is connected.
//! Only `open` and `leave_link` name a backend.

mod accounts;
mod alone;
mod moderation;
mod nodes;
mod redis;
mod sqlite;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::{Error, Fatal, Result};
use crate::protocol::{
    Author, Epoch, Event, History, MemberRole, Position, Role, RoomChange, RoomId, RoomKind, Seq, UserId,
};

pub use accounts::{
    Accounts, Link, LinkKind, NewName, NewSession, NewUser, Picture, PictureSource, Secrets, SessionRecord, Sessions,
    TokenHash, UsedCode, UserChange, UserRecord, Which,
};
pub use moderation::{AuditEntry, Ban, Moderation, Report};
pub use nodes::{NodeId, Nodes, Tiding};
pub use redis::ClassicList;
pub use sqlite::{Dump, DumpedPlace, DumpedRoom, DumpedUser};

/// Unread messages and mentions are counted up to here, which stands for "99+".
pub const UNREAD_CAP: u32 = 100;

/// What the store is, and how it is kept.
#[derive(Clone, Debug)]
pub struct Options {
    pub dir: PathBuf,
    pub durability: Durability,
    /// Where this is given everything is kept there, and nothing in the directory.
    pub redis: Option<Redis>,
}

/// Where everything is kept, for the log: the directory, or the Redis without user and password.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Redis { url, .. }) = &self.redis else { return self.dir.display().fmt(f) };
        let (scheme, rest) = url.split_once("://").unwrap_or(("redis", ""));
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        write!(f, "{scheme}://{place}")
    }
}

/// A Redis, or a Valkey, that several nodes may share.
#[derive(Clone)]
pub struct Redis {
    /// `redis://`, `rediss://` for TLS, or `redis+sentinel://`; it may hold a password.
    pub url: String,
    /// An acknowledged event has reached so many replicas.
    pub wait: u32,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("wait", &self.wait).finish_non_exhaustive()
    }
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
    pub accounts: Arc<dyn Accounts>,
    pub sessions: Arc<dyn Sessions>,
    pub moderation: Arc<dyn Moderation>,
    pub nodes: Arc<dyn Nodes>,
}

/// Opens the store that the options describe, creating it where there is none. `watcher` hears every commit from the
/// first on.
pub fn open(options: &Options, watcher: Arc<dyn Watcher>) -> Result<Store, Fatal> {
    if let Some(address) = &options.redis {
        let store = Arc::new(redis::Backend::open(address, watcher)?);
        return Ok(Store {
            log: store.clone(),
            directory: store.clone(),
            accounts: store.clone(),
            sessions: store.clone(),
            moderation: store.clone(),
            nodes: store,
        });
    }
    let store = Arc::new(sqlite::Sqlite::open(options, watcher)?);
    Ok(Store {
        log: store.clone(),
        directory: store.clone(),
        accounts: store.clone(),
        sessions: store.clone(),
        moderation: store,
        nodes: Arc::new(alone::Alone::default()),
    })
}

/// Leaves a link in a store that a server may be using at the same time; in a data directory there must be one already.
pub fn leave_link(options: &Options, link: &Link) -> Result<(), Fatal> {
    match &options.redis {
        Some(address) => redis::leave_link(address, link),
        None => sqlite::leave_link(options, link),
    }
}

/// All that a data directory holds, where no server uses it.
pub fn dump(options: &Options) -> Result<Dump, Fatal> {
    Dump::open(options)
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
    /// there is no such room, or `append.right` is not given since the author is no member; `NotAllowed` where it is
    /// not given otherwise; `Unavailable` where it is not stored (more than 64 MB wait already, the disk is full),
    /// `UnknownOutcome` where that cannot be told. The right is looked at in the transaction, so that it ends at a
    /// seq. `append.effect` takes place with the event or not at all.
    fn append(&self, append: Append);

    /// Lets the watcher hear of all that is committed to this room from here on, by whichever node, as long as the
    /// answer is held. Of rooms that nobody watches it may hear, or not.
    fn watch<'a>(&'a self, room: &'a RoomId) -> Answer<'a, Watch>;

    /// Lets the watcher hear at least that there is something new in this room (`Tiding::Stirred`, unless the events
    /// themselves are announced), as long as the answer is held. Returns at once.
    fn follow(&self, room: &RoomId) -> Watch;

    /// Where a room's log stands; `None` if there is no such room.
    fn position<'a>(&'a self, room: &'a RoomId) -> Answer<'a, Option<Position>>;

    /// The events after `after`, oldest first, contiguous, as they were committed but for redactions: at most
    /// `limit`, and no more than fit into about `bytes` of content, but at least one if there is one. Starts at
    /// `oldest` where `after` lies before it. The position is of the same moment, and so is the right to read:
    /// `NoRoom` where there is none that the reader may read. A room that is not public is read by its members alone.
    fn read<'a>(&'a self, room: &'a RoomId, reader: Option<UserId>, span: Span) -> Answer<'a, Page>;

    /// A page of events of kind message, oldest first, redactions applied: at most `limit`, and fewer where they are
    /// long (about 512 KB of content on each side of the window, but at least one message). Its cost does not depend
    /// on the length of the log. Position and right are those of the same moment, as above.
    fn messages<'a>(
        &'a self,
        room: &'a RoomId,
        reader: Option<UserId>,
        window: Window,
        limit: usize,
    ) -> Answer<'a, Messages>;

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

    /// What else this node should know.
    fn told(&self, tiding: Tiding) {
        drop(tiding);
    }
}

/// Held by whoever wants to hear of a room; dropped, it ends that.
#[derive(Default)]
pub struct Watch(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Watch {
    pub fn new(end: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(end)))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
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
    /// Whose right to read the room ended with one of these events.
    pub ended: Vec<UserId>,
    /// Who is no member may not read it any more, or it is no more at all.
    pub shut: bool,
    /// It is no more: a room of this id that comes later is another one.
    pub deleted: bool,
    /// What the room is now, where one of these events changed that.
    pub changed: Option<RoomInfo>,
    /// The log has begun another life, which stands here before these events: what was known of it is void.
    pub began: Option<Position>,
}

impl Announcement {
    /// Of events that change nothing else.
    pub fn new(room: RoomId, epoch: Epoch, events: Vec<Event>) -> Self {
        Self {
            room,
            epoch,
            events,
            redacted: false,
            ended: Vec::new(),
            shut: false,
            deleted: false,
            changed: None,
            began: None,
        }
    }
}

/// One event on its way into a log.
pub struct Append {
    pub room: RoomId,
    /// Complete but for its seq.
    pub event: Event,
    pub right: Right,
    pub effect: Effect,
    pub done: Completion,
}

/// What the author must be for an append to take place. The role is what their part in the place gives them here;
/// what they are as a member counts where it is more. In a room that is not public nobody is anything but its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing is asked.
    Free,
    /// One who may write: anyone, but in announcements moderators alone, and nobody once it is archived. In slow mode
    /// who is no moderator waits after each of these, else `SlowMode` says how long still. A wait is never longer than
    /// the room asks for now; it may end when the store is closed.
    Write(MemberRole),
    /// At least this, having that.
    AtLeast(MemberRole, MemberRole),
}

const ARCHIVED: Error = Error::NotAllowed("this room is archived: nobody writes in it any more");
const NOT_ENOUGH: Error = Error::NotAllowed("expected one of this room's moderators, or its owner");

/// What comes to pass with an event, in the same transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    /// A message that mentions these users.
    Mention(Vec<UserId>),
    /// Takes the content of the event at this seq, and its mentions.
    Redact(Seq),
    /// The same of all earlier messages by this user.
    RedactAll(UserId),
    /// Makes the author a member whose read marker stands at this event.
    Join,
    /// Ends the author's membership.
    Leave,
    /// Makes this user a member (whose read marker stands before this event), or gives a member another role.
    Member(UserId, MemberRole),
    /// Ends this user's membership.
    Remove(UserId),
    Change(Box<RoomChange>),
    /// Makes a public room private, or a private one public. Guests stay members of a private room only while its
    /// settings let them in; so it is with `Change`.
    Kind(RoomKind),
    /// This event is the room's last: it is found no more, and its log is taken away by and by (`Directory::purge`).
    Delete,
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

/// Where a page of the log starts, and what it holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub after: Seq,
    pub limit: usize,
    pub bytes: usize,
}

/// What rooms there are, and their members with their read markers.
pub trait Directory: Send + Sync {
    /// Makes an empty room with a new epoch and these members. `Exists` where the id is taken, or where it is a direct
    /// room and the same people have one already: with that one's id.
    fn create_room(&self, room: RoomInfo, members: Vec<(UserId, MemberRole)>) -> Answer<'_, ()>;

    fn room<'a>(&'a self, id: &'a RoomId) -> Answer<'a, Option<RoomInfo>>;

    /// Public rooms in the order of their ids, after the id `after`, whose name or id holds `query` (in any case of
    /// ASCII letters).
    fn public_rooms<'a>(&'a self, query: &'a str, after: Option<&'a RoomId>, limit: usize) -> Answer<'a, Vec<Listed>>;

    /// The rooms whose member the user is, those with the newest event first (the room's making counts as one), at
    /// most `limit`.
    fn joined(&self, user: UserId, limit: usize) -> Answer<'_, Vec<Joined>>;

    /// One membership with its read marker and counts, `None` where the user is no member.
    fn member<'a>(&'a self, room: &'a RoomId, user: UserId) -> Answer<'a, Option<Joined>>;

    /// What the user is in the room; `None` where they are no member.
    fn role<'a>(&'a self, room: &'a RoomId, user: UserId) -> Answer<'a, Option<MemberRole>>;

    /// The members of a room in the order of their ids, after `after`, and how many there are.
    fn members<'a>(&'a self, room: &'a RoomId, after: Option<UserId>, limit: usize)
    -> Answer<'a, (Vec<Member>, usize)>;

    /// Moves read markers. Passes over who is no member.
    fn set_markers(&self, markers: HashMap<(RoomId, UserId), Marker>) -> Answer<'_, ()>;

    /// The rooms in which the user has written, deleted ones not among them.
    fn written(&self, user: UserId) -> Answer<'_, Vec<RoomId>>;

    /// Takes away some of what deleted rooms have left behind; false where nothing is left.
    fn purge(&self) -> Answer<'_, bool>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    pub id: RoomId,
    /// Empty for direct rooms, which are called by who is in them.
    pub name: Arc<str>,
    pub kind: RoomKind,
    pub topic: Arc<str>,
    /// Only moderators write.
    pub announcement: bool,
    /// Nobody writes any more.
    pub archived: bool,
    /// Seconds between two messages of one user; moderators are free of it.
    pub slow_seconds: u32,
    /// Guests may be let into a private room.
    pub guests: bool,
}

impl RoomInfo {
    /// A room as it is when it is made.
    pub fn new(id: RoomId, name: Arc<str>, kind: RoomKind) -> Self {
        let (announcement, archived, guests) = (false, false, false);
        Self { id, name, kind, topic: "".into(), announcement, archived, slow_seconds: 0, guests }
    }

    pub fn apply(&mut self, change: &RoomChange) {
        let RoomChange { name, topic, announcement, archived, slow_seconds, guests } = change.clone();
        self.name = name.unwrap_or_else(|| self.name.clone());
        self.topic = topic.unwrap_or_else(|| self.topic.clone());
        self.announcement = announcement.unwrap_or(self.announcement);
        self.archived = archived.unwrap_or(self.archived);
        self.slow_seconds = slow_seconds.unwrap_or(self.slow_seconds);
        self.guests = guests.unwrap_or(self.guests);
    }
}

/// A room in the list of public rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub room: RoomInfo,
    pub head: Seq,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user: Author,
    /// In the place.
    pub place_role: Role,
    pub role: MemberRole,
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
    pub role: MemberRole,
    pub read: Seq,
    pub unread: Unread,
    /// Of a direct room, the others.
    pub with: Vec<Author>,
}
