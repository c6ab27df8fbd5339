//! One connection's sending half, what it has still to be sent and a cursor for each room that it is subscribed to; and
//! side by side the readers of one room, to whom rounds deliver. Events are never queued. All of it lives on one worker's
//! thread, and knows no socket but through `Wire`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use smallvec::SmallVec;
use tokio::sync::Notify;

use super::by_id::Identified;
use super::hub::Hub;
use super::room::{Ahead, Over, Room};
use super::tail::{Segment, View};
use super::user::{ConnectionId, User};
use crate::error::Error;
use crate::frame;
use crate::protocol::{CloseCode, Cursor, Epoch, Position, Push, Ref, RoomId, Seq, reply_error, reply_ok};

/// Signals are left out where so much waits already, and commands are not read.
pub const OUTBOX_FULL: usize = 64 << 10;

/// Who goes on after so many commands in a row were refused for coming too fast is shown the door.
const REFUSALS: u8 = 200;

/// Where bytes leave us.
pub trait Wire {
    /// Takes as many of these bytes as it can now; `WouldBlock` where that is none.
    fn write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize>;
}

pub struct Connection {
    pub id: ConnectionId,
    pub user: Arc<User>,
    /// Whether it may post: a program's token may be good for reading alone.
    pub posts: bool,
    wire: Rc<dyn Wire>,
    /// Replies, signals, and the rest of an event's frame that was sent in part: whatever goes before the next event.
    outbox: RefCell<Vec<u8>>,
    /// Most connections are in one room.
    readers: RefCell<SmallVec<[Rc<Reader>; 1]>>,
    /// Calls for whoever looks after the connection.
    nudges: Arc<Nudges>,
    /// Posts whose outcome is not known yet. Other commands wait for them, so that all are carried out in order.
    pub posts_under_way: Cell<u16>,
    waits_for_posts: Cell<bool>,
    /// Commands refused in a row for coming too fast.
    refusals: Cell<u8>,
    closing: Cell<Option<CloseCode>>,
    /// The last word is in the outbox.
    silent: Cell<bool>,
}

/// The connections of a worker that want to be looked after. The store's threads, too, may say so.
#[derive(Default)]
pub struct Nudges {
    connections: Mutex<Vec<ConnectionId>>,
    bell: Notify,
}

impl Nudges {
    pub fn nudge(&self, connection: ConnectionId) {
        self.connections.lock().push(connection);
        self.bell.notify_one();
    }

    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Everyone who was nudged since, some of them more than once.
    pub fn take(&self) -> Vec<ConnectionId> {
        std::mem::take(&mut *self.connections.lock())
    }
}

/// A connection's subscription: its cursor into one room.
pub struct Reader {
    pub connection: Rc<Connection>,
    pub local: Rc<LocalRoom>,
    epoch: Epoch,
    seq: Cell<Seq>,
    /// How many rights to read the room had ended when the user's was last known to hold.
    rights: Cell<u64>,
    /// The worker's rounds pass it over: its connection's own turns bring it to the head.
    behind: Cell<bool>,
    /// It is owed the room's presence as a whole, once it is live.
    owed_presence: Cell<bool>,
    /// What was read from the store, while it catches up.
    page: RefCell<Option<Box<ReadAhead>>>,
}

/// A page from the store, and the room's revision of which it is.
struct ReadAhead {
    view: View,
    revision: u64,
}

/// The rooms of one worker that have readers.
pub type LocalRooms = RefCell<HashMap<RoomId, Rc<LocalRoom>>>;

/// The readers of one room on one worker, in the order in which their connections were accepted.
pub struct LocalRoom {
    pub room: Arc<Room>,
    worker: usize,
    readers: RefCell<Vec<Rc<Reader>>>,
    /// Where the round stands that is under way.
    round: Cell<Option<usize>>,
    /// More was committed since the round began.
    again: Cell<bool>,
    /// The worker's rooms, to leave when the last reader goes.
    rooms: Weak<LocalRooms>,
    hub: Arc<Hub>,
}

/// How far `Connection::pump` came.
pub enum Pumped {
    /// Everything is sent.
    Idle,
    /// The wire takes no more for now.
    Blocked,
    /// Everything is sent but what this reader must first read from the store.
    Reads(Rc<Reader>),
    /// The wire is broken.
    Broken,
}

/// The wire takes no more for now, or never will.
enum Stopped {
    Blocked,
    Broken,
}

impl Identified for Rc<Connection> {
    type Id = ConnectionId;

    fn id(&self) -> ConnectionId {
        self.id
    }
}

impl Connection {
    pub fn new(id: ConnectionId, user: Arc<User>, posts: bool, wire: Rc<dyn Wire>, nudges: Arc<Nudges>) -> Self {
        Self {
            id,
            user,
            posts,
            wire,
            outbox: RefCell::default(),
            readers: RefCell::default(),
            nudges,
            posts_under_way: Cell::new(0),
            waits_for_posts: Cell::new(false),
            refusals: Cell::new(0),
            closing: Cell::new(None),
            silent: Cell::new(false),
        }
    }

    /// Queues a reply or a push of the connection's own; `pump` or `flush` sends it.
    pub fn say(&self, json: &str) {
        self.say_frames(|out| frame::write_text(json, out));
    }

    /// Queues the reply that a command was carried out; without a ref there is none.
    pub fn reply(&self, reference: Option<&Ref>, ok: &impl Serialize) {
        self.refusals.set(0);
        if reference.is_some() {
            self.say(&reply_ok(reference, ok));
        }
    }

    /// Queues the reply that a command was refused, also without a ref where the command could not even be read.
    pub fn refuse(&self, reference: Option<&Ref>, error: &Error) {
        tracing::debug!(connection = self.id, code = error.code(), %error, "refused");
        if matches!(error, Error::RateLimited { .. }) {
            self.refusals.set(self.refusals.get().saturating_add(1));
            if self.refusals.get() > REFUSALS {
                self.close(CloseCode::TooMany);
            }
        }
        if reference.is_some() || matches!(error, Error::Malformed | Error::BadRef(_)) {
            self.say(&reply_error(reference, error));
        }
    }

    /// Queues frames, until the close was said.
    pub fn say_frames(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.silent.get() {
            write(&mut self.outbox.borrow_mut());
        }
    }

    /// Nothing follows what has been said: it was the close.
    pub fn say_no_more(&self) {
        self.silent.set(true);
    }

    /// Queues a signal, unless too much waits already: a signal is delivered at most once. False if it was left out.
    pub fn signal(&self, json: &str) -> bool {
        let fits = self.outbox.borrow().len() < OUTBOX_FULL;
        if fits {
            self.say(json);
        }
        fits
    }

    pub fn outbox_len(&self) -> usize {
        self.outbox.borrow().len()
    }

    /// Asks whoever looks after the connection to close it; the first reason stays.
    pub fn close(&self, code: CloseCode) {
        if self.closing.get().is_none() {
            self.closing.set(Some(code));
            // Rounds pass them over: nothing is delivered to who has lost their right to be here.
            self.readers.borrow().iter().for_each(|reader| reader.fall_behind());
            self.nudge();
        }
    }

    pub fn closing(&self) -> Option<CloseCode> {
        self.closing.get()
    }

    /// Whether the connection's turns wait for posts to be settled.
    pub fn wait_for_posts(&self, waits: bool) {
        self.waits_for_posts.set(waits);
    }

    pub fn nudge_if_waiting(&self) {
        if self.waits_for_posts.get() {
            self.nudge();
        }
    }

    pub fn nudge(&self) {
        self.nudges.nudge(self.id);
    }

    pub fn reader(&self, room: &str) -> Option<Rc<Reader>> {
        self.readers.borrow().iter().find(|reader| reader.local.room.id.as_str() == room).cloned()
    }

    pub fn is_subscribed(&self, room: &RoomId) -> bool {
        self.readers.borrow().iter().any(|reader| reader.local.room.id == *room)
    }

    pub fn add_reader(&self, reader: Rc<Reader>) {
        self.readers.borrow_mut().push(reader);
    }

    pub fn remove_reader(&self, room: &RoomId) {
        self.readers.borrow_mut().retain(|reader| reader.local.room.id != *room);
    }

    pub fn rooms(&self) -> Vec<RoomId> {
        self.readers.borrow().iter().map(|reader| reader.local.room.id.clone()).collect()
    }

    /// Sends what waits in the outbox; if the wire does not take it all, the connection's own turns go on.
    pub fn flush(&self) {
        if self.send_outbox().is_err() {
            self.nudge();
        }
    }

    /// Sends all that can be sent now: each reader that is behind until it is live, and the outbox, before the events
    /// where there are any. Readers wait while the hub withholds what is new, and for ever once this closes.
    pub fn pump(&self, view: &mut View, withholds: bool) -> Pumped {
        let mut reads = None;
        for at in 0.. {
            if withholds || self.closing.get().is_some() {
                break;
            }
            let Some(reader) = self.readers.borrow().get(at).cloned() else { break };
            match reader.catch_up(view) {
                Ok(CaughtUp::Live | CaughtUp::Over) => {}
                Ok(CaughtUp::Reads) => reads = reads.or(Some(reader)),
                Err(stopped) => return stopped.into(),
            }
        }
        if let Err(stopped) = self.send_outbox() {
            return stopped.into();
        }
        if let Some(reader) = &reads {
            self.put_last(reader);
        }
        reads.map_or(Pumped::Idle, Pumped::Reads)
    }

    /// Lets the other rooms that are behind have the next page: a long log must not hold up a short one.
    fn put_last(&self, reader: &Rc<Reader>) {
        let mut readers = self.readers.borrow_mut();
        if let Some(at) = readers.iter().position(|other| Rc::ptr_eq(other, reader)) {
            readers[at..].rotate_left(1);
        }
    }

    fn send_outbox(&self) -> Result<(), Stopped> {
        let mut outbox = self.outbox.borrow_mut();
        let mut sent = 0;
        let outcome = loop {
            if sent == outbox.len() {
                // An idle connection keeps no buffer.
                *outbox = Vec::new();
                return Ok(());
            }
            match self.write(&[IoSlice::new(&outbox[sent..])]) {
                Ok(taken) => sent += taken,
                Err(stopped) => break Err(stopped),
            }
        };
        outbox.drain(..sent);
        outcome
    }

    fn write(&self, frames: &[IoSlice<'_>]) -> Result<usize, Stopped> {
        loop {
            match self.wire.write(frames) {
                Ok(0) => return Err(Stopped::Broken),
                Ok(taken) => return Ok(taken),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Stopped::Blocked),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Stopped::Broken),
            }
        }
    }
}

/// What became of a reader that was behind.
enum CaughtUp {
    Live,
    Reads,
    /// The subscription has ended.
    Over,
}

impl Reader {
    /// A reader that has processed the cursor's event; it is behind until its connection is pumped. The right to read
    /// was looked up when so many rights had ended.
    pub fn new(connection: Rc<Connection>, local: Rc<LocalRoom>, cursor: Cursor, rights: u64) -> Self {
        Self {
            connection,
            local,
            epoch: cursor.epoch,
            seq: Cell::new(cursor.seq),
            rights: Cell::new(rights),
            behind: Cell::new(true),
            owed_presence: Cell::new(true),
            page: RefCell::default(),
        }
    }

    pub fn room(&self) -> &Arc<Room> {
        &self.local.room
    }

    pub fn cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, seq: self.seq.get() }
    }

    pub fn is_live(&self) -> bool {
        !self.behind.get()
    }

    /// Sends what `view` holds after the cursor, from the worker's round. A reader that cannot take it all falls
    /// behind, which costs the round one failed write. Returns the number of events sent.
    pub fn deliver(&self, view: &View) -> u64 {
        let before = self.seq.get();
        let blocked = self.connection.outbox_len() > 0;
        if blocked || self.is_doubtful() || !view.continues(before) || self.send_from(view).is_err() {
            self.fall_behind();
        }
        self.seq.get() - before
    }

    /// The right to read may have ended, which is dealt with in the connection's own turn.
    fn is_doubtful(&self) -> bool {
        self.rights.get() != self.room().rights()
    }

    pub fn fall_behind(&self) {
        self.behind.set(true);
        self.connection.nudge();
    }

    /// It missed signals: once live again it is told the whole presence.
    pub fn owe_presence(&self) {
        self.owed_presence.set(true);
    }

    /// The store has given a page to this user, who was asked for when so many rights had ended.
    pub fn may_read(&self, rights: u64) {
        self.rights.set(rights);
    }

    /// Takes a page that was read from the store after the cursor, when the room was at this revision.
    pub fn take_page(&self, segment: Arc<Segment>, revision: u64) {
        *self.page.borrow_mut() = Some(Box::new(ReadAhead { view: View::of(segment), revision }));
    }

    /// Whether the subscription has neither ended nor been replaced.
    pub fn is_attached(&self) -> bool {
        self.connection
            .reader(self.room().id.as_str())
            .is_some_and(|reader| std::ptr::from_ref(self) == Rc::as_ptr(&reader))
    }

    /// Brings the reader to the head, from its page and the tail, as far as the wire and these go.
    fn catch_up(&self, view: &mut View) -> Result<CaughtUp, Stopped> {
        if self.is_live() {
            return Ok(CaughtUp::Live);
        }
        let start = self.seq.get();
        loop {
            if let Some(page) = &*self.page.borrow()
                && page.revision == self.room().revision()
            {
                self.send_from(&page.view)?;
            }
            *self.page.borrow_mut() = None;
            let ahead = self.room().view_after(self.cursor(), view);
            // Asked after the view was taken: what stands in it behind the end of a right was announced after that.
            match self.over() {
                Some(Over::Ended) => {
                    // They are told that the room is gone.
                    self.local.unsubscribe(&self.connection);
                    // The pump that found out has passed over the reader after this one.
                    self.connection.nudge();
                    return Ok(CaughtUp::Over);
                }
                // The store knows, and gives a page to nobody else.
                Some(Over::Doubtful) if !matches!(ahead, Ahead::Reset(_)) => return Ok(CaughtUp::Reads),
                _ => {}
            }
            match ahead {
                Ahead::Frames => self.send_from(view)?,
                Ahead::FellOff => return Ok(CaughtUp::Reads),
                Ahead::Reset(position) => {
                    self.reset(position);
                    return Ok(CaughtUp::Over);
                }
                Ahead::Nothing => {
                    // The whole presence must have room.
                    if self.connection.outbox_len() >= OUTBOX_FULL {
                        self.connection.send_outbox()?;
                    }
                    self.behind.set(false);
                    let events = self.seq.get() - start;
                    tracing::debug!(connection = self.connection.id, room = %self.room().id, events, "live");
                    if self.owed_presence.replace(false) {
                        self.connection.signal(&self.room().whole_presence());
                    }
                    return Ok(CaughtUp::Live);
                }
            }
        }
    }

    fn over(&self) -> Option<Over> {
        let (since, rights) = (self.rights.get(), self.room().rights());
        let over = if since == rights { None } else { self.room().over(self.connection.user.id, since) };
        // In doubt it stays so until the store has answered.
        if over.is_none() {
            self.rights.set(rights);
        }
        over
    }

    /// The log has begun another life, or may not be read any more: says so and ends the subscription.
    pub fn reset(&self, position: Position) {
        let Position { epoch, oldest, head } = position;
        let room = &self.room().id;
        self.connection.say(&Push::Reset { room, epoch, oldest, head }.json());
        self.local.unsubscribe(&self.connection);
        self.connection.nudge();
    }

    /// Sends all that `view` holds after the cursor. Events are written straight from the shared frames, which asks
    /// that the outbox be empty; a frame sent in part leaves its rest there.
    fn send_from(&self, view: &View) -> Result<(), Stopped> {
        while view.continues(self.seq.get()) {
            self.connection.send_outbox()?;
            let progress = view.write_after(self.seq.get(), |frames| self.connection.write(frames))?;
            self.seq.set(progress.seq);
            if !progress.rest.is_empty() {
                self.connection.outbox.borrow_mut().extend_from_slice(progress.rest);
            }
        }
        self.connection.send_outbox()
    }
}

impl LocalRoom {
    pub fn new(room: Arc<Room>, worker: usize, hub: Arc<Hub>, rooms: &Rc<LocalRooms>) -> Self {
        Self {
            room,
            worker,
            readers: RefCell::default(),
            round: Cell::new(None),
            again: Cell::new(false),
            rooms: Rc::downgrade(rooms),
            hub,
        }
    }

    pub fn attach(&self, reader: Rc<Reader>) {
        let mut readers = self.readers.borrow_mut();
        // Nearly always the newest connection; to search among all of them is dear where thousands come.
        if readers.last().is_none_or(|last| last.connection.id < reader.connection.id) {
            readers.push(reader);
        } else {
            let at = readers.partition_point(|other| other.connection.id < reader.connection.id);
            readers.insert(at, reader);
        }
        // A round that has passed this place meets a reader twice, which has nothing left to send: harmless.
        self.room.add_reader(self.worker);
    }

    /// Takes away a connection's reader; false where there was none.
    pub fn detach(&self, connection: ConnectionId) -> bool {
        let mut readers = self.readers.borrow_mut();
        let Ok(at) = readers.binary_search_by_key(&connection, |reader| reader.connection.id) else { return false };
        readers.remove(at);
        if let Some(round) = self.round.get()
            && at < round
        {
            // Those behind it have moved up: the round must not pass one over.
            self.round.set(Some(round - 1));
        }
        self.room.remove_reader(self.worker);
        true
    }

    /// Ends the connection's subscription, and its presence with it.
    pub fn unsubscribe(&self, connection: &Connection) {
        connection.remove_reader(&self.room.id);
        if !self.detach(connection.id) {
            return;
        }
        let ((), due) = self.room.with_presence(|presence| presence.leave(connection.user.id));
        self.hub.presence_changed(&self.room, due);
        if self.readers.borrow().is_empty()
            && let Some(rooms) = self.rooms.upgrade()
            // Another room may have the id by now.
            && rooms.borrow().get(&self.room.id).is_some_and(|local| std::ptr::eq(&raw const **local, self))
        {
            rooms.borrow_mut().remove(&self.room.id);
        }
    }

    /// Lets a round begin, or another follow the one under way; true where it is to be given its turn.
    pub fn begin_round(&self) -> bool {
        if let Some(at) = self.round.get() {
            // A round that has reached nobody yet will find what is new by itself.
            self.again.set(self.again.get() || at > 0);
            return false;
        }
        self.round.set(Some(0));
        true
    }

    /// Forgets the round under way; every reader finds its own way to the head.
    pub fn recover(&self) {
        self.round.set(None);
        self.again.set(false);
        self.readers.borrow().iter().for_each(|reader| reader.fall_behind());
    }

    /// Brings a signal to all live readers; the others are owed the whole presence.
    pub fn signal(&self, json: &str) {
        for reader in self.readers.borrow().iter() {
            if reader.is_live() && !reader.is_doubtful() && reader.connection.signal(json) {
                reader.connection.flush();
            } else {
                reader.owe_presence();
                reader.fall_behind();
            }
        }
    }

    /// Delivers to the next few readers, `most` of them at most. Returns how many it came past; whether the round, or
    /// the one after it, has more is asked of `is_in_round`.
    pub fn deliver_slice(&self, view: &mut View, most: usize) -> usize {
        let start = self.round.get().unwrap_or(0);
        let readers = self.readers.borrow();
        let end = readers.len().min(start + most);
        let Some(position) = self.room.position() else {
            self.round.set(None);
            return 0;
        };
        view.clear();
        let (mut events, mut reached) = (0, 0);
        for reader in &readers[start.min(end)..end] {
            if reader.is_live() && reader.cursor() != position.head_cursor() {
                let sent = self.deliver(reader, position, view);
                events += sent;
                reached += u64::from(sent > 0);
            }
        }
        tracing::debug!(room = %self.room.id, head = position.head, readers = reached, events, "delivered");
        let more = end < readers.len();
        self.round.set(if more || self.again.replace(false) { Some(if more { end } else { 0 }) } else { None });
        end.saturating_sub(start)
    }

    pub fn is_in_round(&self) -> bool {
        self.round.get().is_some()
    }

    fn deliver(&self, reader: &Reader, position: Position, view: &mut View) -> Seq {
        let cursor = reader.cursor();
        if cursor.epoch != position.epoch {
            reader.fall_behind();
            return 0;
        }
        if !view.continues(cursor.seq) {
            // Nearly all readers stand at the same event, so this is asked once a slice.
            self.room.view_after(cursor, view);
        }
        reader.deliver(view)
    }
}

impl From<Stopped> for Pumped {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Blocked => Self::Blocked,
            Stopped::Broken => Self::Broken,
        }
    }
}
