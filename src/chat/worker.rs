//! What one worker thread holds: its connections, and of each room its readers. Delivers in rounds: all that has
//! gathered for a room goes to each of its live readers with one write, straight from the shared tail. It knows
//! rooms and connections, and no socket.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use super::by_id::{ById, Identified};
use super::connection::{Connection, LocalRoom, LocalRooms, Reader};
use super::hub::{Inbox, News};
use super::room::Room;
use super::tail::{Segment, View};
use super::user::ConnectionId;
use super::{Chat, Open};
use crate::error::{Error, Result};
use crate::protocol::{CloseCode, Cursor, Ref, RoomId, Seq, UserId};
use crate::store::{Span, Watch};

/// What a reader that catches up reads from the store at once.
const PAGE_EVENTS: usize = 512;
const PAGE_BYTES: usize = 64 << 10;
/// After so many sockets the rounds make way for the connections' own turns, and a large room's for other rooms.
const SLICE: usize = 256;
/// Rooms kept live for those who only post.
const KEPT: usize = 64;

/// Somebody who reads one room by themselves, and is told only that it has something new, or that they are to go.
pub struct Listener {
    pub id: ConnectionId,
    pub room: Arc<Room>,
    bell: Notify,
    closing: Cell<Option<CloseCode>>,
}

impl Identified for Rc<Listener> {
    type Id = ConnectionId;

    fn id(&self) -> ConnectionId {
        self.id
    }
}

impl Listener {
    /// Comes to pass once there may be something new since this was last asked.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Asks whoever listens to go; the first reason stays.
    pub fn close(&self, code: CloseCode) {
        if self.closing.get().is_none() {
            self.closing.set(Some(code));
        }
        self.bell.notify_one();
    }

    pub fn closing(&self) -> Option<CloseCode> {
        self.closing.get()
    }
}

pub struct Worker {
    pub chat: Arc<Chat>,
    pub index: usize,
    inbox: Arc<Inbox>,
    connections: RefCell<ById<Rc<Connection>>>,
    /// Who reads by themselves.
    listeners: RefCell<ById<Rc<Listener>>>,
    rooms: Rc<LocalRooms>,
    /// Who has joined which room, of the connections here; not of the lobby, which everyone has joined.
    joined: RefCell<HashMap<RoomId, Joined>>,
    /// Rooms that connections here have posted to of late without reading along: live, a post asks no store.
    kept: RefCell<VecDeque<Arc<Room>>>,
    /// Rooms with something to deliver, taking turns.
    rounds: RefCell<VecDeque<Rc<LocalRoom>>>,
    /// Whom to tell what they have not read: everyone who has joined these rooms and does not read along …
    stirred: RefCell<HashSet<RoomId>>,
    /// … and these connections, whose user's read marker moved.
    moved: RefCell<HashSet<(ConnectionId, RoomId)>>,
    unread_changed: Notify,
    view: RefCell<View>,
    draining: Cell<bool>,
}

/// Connections that have joined a room, which is followed for them.
struct Joined {
    connections: Vec<ConnectionId>,
    _follow: Watch,
}

impl Worker {
    pub fn new(chat: Arc<Chat>, index: usize) -> Rc<Self> {
        Rc::new(Self {
            inbox: chat.hub.inbox(index).clone(),
            chat,
            index,
            connections: RefCell::default(),
            listeners: RefCell::default(),
            rooms: Rc::default(),
            joined: RefCell::default(),
            kept: RefCell::default(),
            rounds: RefCell::default(),
            stirred: RefCell::default(),
            moved: RefCell::default(),
            unread_changed: Notify::new(),
            view: RefCell::default(),
            draining: Cell::new(false),
        })
    }

    /// Takes news and delivers, for ever.
    pub async fn run(self: Rc<Self>) {
        self.recover();
        let mut news = Vec::new();
        loop {
            self.inbox.rung().await;
            self.take_news(&mut news);
            if !self.rounds.borrow().is_empty() {
                // A write costs the same for one message and for ten: what is just being committed goes along.
                self.chat.hub.next_commit(self.index).await;
            }
            loop {
                // Connections that are ready come first: what they post is delivered with what is there already.
                tokio::task::yield_now().await;
                self.take_news(&mut news);
                if !self.deliver_slice() {
                    break;
                }
            }
        }
    }

    fn take_news(&self, news: &mut Vec<News>) {
        self.inbox.take(news);
        self.hear(news);
    }

    /// After a panic: what was heard and not done is lost, so every room is delivered anew, and who waits for an
    /// outcome is sent away to ask again.
    fn recover(&self) {
        self.rounds.borrow_mut().clear();
        for local in self.rooms.borrow().values() {
            local.room.begin_delivery(self.index);
            local.recover();
        }
        for listener in self.listeners.borrow().iter() {
            listener.room.begin_delivery(self.index);
            listener.bell.notify_one();
        }
        for connection in self.connections.borrow().iter() {
            if connection.posts_under_way.replace(0) > 0 {
                connection.close(CloseCode::GoingAway);
            }
        }
    }

    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// Lets the worker hear what was put into its box.
    pub fn ring(&self) {
        self.inbox.ring();
    }

    pub fn add(&self, connection: Rc<Connection>, joined: impl IntoIterator<Item = RoomId>) {
        for room in joined.into_iter().filter(|room| *room != RoomId::lobby()) {
            self.join(&room, &[connection.id]);
        }
        if self.draining.get() {
            connection.close(CloseCode::GoingAway);
        }
        self.connections.borrow_mut().insert(connection);
    }

    /// Lets somebody hear of what is new in a room, until `forget`.
    pub fn listen(&self, id: ConnectionId, room: Arc<Room>) -> Rc<Listener> {
        room.add_reader(self.index);
        let listener = Rc::new(Listener { id, room, bell: Notify::new(), closing: Cell::new(None) });
        if self.draining.get() {
            listener.close(CloseCode::GoingAway);
        }
        self.listeners.borrow_mut().insert(listener.clone());
        listener
    }

    pub fn forget(&self, listener: &Listener) {
        listener.room.remove_reader(self.index);
        self.listeners.borrow_mut().remove(listener.id);
    }

    /// Ends a connection's subscriptions. It still hears what became of its posts.
    pub fn retire(&self, connection: &Connection) {
        for room in connection.rooms() {
            self.unsubscribe(connection, &room);
        }
    }

    /// Forgets a connection.
    pub fn remove(&self, connection: &Connection) {
        self.retire(connection);
        self.connections.borrow_mut().remove(connection.id);
        self.joined.borrow_mut().retain(|_, joined| {
            joined.connections.retain(|id| *id != connection.id);
            !joined.connections.is_empty()
        });
    }

    /// Attaches the connection to an opened room, after the cursor's event; a second subscription takes the first one's
    /// place. Its events come once the connection is pumped, so the reply can be said before.
    pub fn subscribe(&self, connection: &Rc<Connection>, open: &Open, cursor: Cursor) {
        let room = &open.room;
        let was_there = match connection.reader(room.id.as_str()) {
            Some(reader) if Arc::ptr_eq(reader.room(), room) => {
                reader.local.detach(connection.id);
                connection.remove_reader(&room.id);
                true
            }
            Some(reader) => {
                reader.local.unsubscribe(connection);
                false
            }
            None => false,
        };
        let local = self.local(room);
        let reader = Rc::new(Reader::new(connection.clone(), local.clone(), cursor, open.rights));
        connection.add_reader(reader.clone());
        local.attach(reader);
        if !was_there {
            let author = connection.user.author();
            let ((), due) = room.with_presence(|presence| presence.enter(author));
            self.chat.hub.presence_changed(room, due);
        }
        connection.nudge();
    }

    /// Keeps a room live until others take its place.
    pub fn keep(&self, room: Arc<Room>) {
        let mut kept = self.kept.borrow_mut();
        if !kept.iter().any(|known| Arc::ptr_eq(known, &room)) {
            if kept.len() == KEPT {
                kept.pop_front();
            }
            kept.push_back(room);
        }
    }

    pub fn unsubscribe(&self, connection: &Connection, room: &RoomId) {
        if let Some(reader) = connection.reader(room.as_str()) {
            reader.local.unsubscribe(connection);
        }
    }

    fn local(&self, room: &Arc<Room>) -> Rc<LocalRoom> {
        if let Some(known) = self.rooms.borrow().get(&room.id) {
            if Arc::ptr_eq(&known.room, room) {
                return known.clone();
            }
            // That one was deleted, which its readers find out in their own turns.
            known.recover();
        }
        let new = Rc::new(LocalRoom::new(room.clone(), self.index, self.chat.hub.clone(), &self.rooms));
        self.rooms.borrow_mut().insert(room.id.clone(), new.clone());
        new
    }

    /// The readers of just this room here, not of another that had its id before or has it now.
    fn readers(&self, room: &Arc<Room>) -> Option<Rc<LocalRoom>> {
        self.rooms.borrow().get(&room.id).filter(|local| Arc::ptr_eq(&local.room, room)).cloned()
    }

    /// Reads the next page for a reader that has fallen off the tail, or whose right is in doubt, and gives it to the
    /// reader.
    pub async fn read_page(&self, reader: Rc<Reader>) -> Result<()> {
        let rights = reader.room().rights();
        let page = self.read_after(reader.room(), reader.connection.user.id, reader.cursor()).await;
        if !reader.is_attached() {
            return Ok(());
        }
        match page {
            // The right ended, which is about to be announced.
            Err(Error::NoRoom(_)) => match reader.room().position() {
                Some(position) => reader.reset(position),
                None => reader.local.unsubscribe(&reader.connection),
            },
            Err(Error::Reset(position)) => reader.reset(position),
            Ok((segment, revision)) => {
                reader.may_read(rights);
                if let Some(segment) = segment {
                    reader.take_page(segment, revision);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A page of what the store has after a cursor that has fallen off the tail, and of which revision of the room it
    /// is; no page where there is nothing after it. `NoRoom` where the user may not read it any more, `Reset` where the
    /// cursor is of another life of the log.
    pub async fn read_after(&self, room: &Room, user: UserId, cursor: Cursor) -> Result<(Option<Arc<Segment>>, u64)> {
        let revision = room.revision();
        let span = Span { after: cursor.seq, limit: PAGE_EVENTS, bytes: PAGE_BYTES };
        let page = self.chat.read_page(&room.id, user, span).await?;
        if !page.position.honours(cursor) {
            return Err(Error::Reset(page.position));
        }
        match Segment::encode(&room.id, &page.events) {
            Some(segment) if segment.first() == cursor.seq + 1 => {
                tracing::debug!(room = %room.id, after = cursor.seq, events = page.events.len(), "read from the store");
                let segment = Arc::new(segment);
                self.chat.hub.offer(room, &segment, revision);
                Ok((Some(segment), revision))
            }
            None if page.position.head == cursor.seq => Ok((None, revision)),
            // The store has less than it announced.
            _ => {
                tracing::error!(room = %room.id, after = cursor.seq, "the log has a hole");
                Err(Error::Internal)
            }
        }
    }

    fn hear(&self, news: &mut Vec<News>) {
        let mut settled = Vec::new();
        for news in news.drain(..) {
            match news {
                News::Deliver(room) => self.begin_round(&room),
                News::Settled { connection, reference, room, outcome } => {
                    if let Some(connection) = self.connections.borrow().get(connection) {
                        settle(connection, reference.as_ref(), &room, outcome);
                        settled.push(connection.clone());
                    }
                }
                News::LetGo => self.connections.borrow().iter().for_each(|connection| connection.nudge()),
                News::Signal { room, json } => self.signal(&room, &json),
                News::Tell { connections, json } => self.each(&connections, |connection| {
                    connection.signal(&json);
                    connection.flush();
                }),
                News::TellAll { json } => {
                    for connection in self.connections.borrow().iter() {
                        connection.signal(&json);
                        connection.flush();
                    }
                }
                News::Stirred(rooms) => {
                    self.stirred.borrow_mut().extend(rooms.iter().cloned());
                    self.unread_changed.notify_one();
                }
                News::MarkerMoved { connections, room } => {
                    self.moved.borrow_mut().extend(connections.into_iter().map(|id| (id, room.clone())));
                    self.unread_changed.notify_one();
                }
                News::Member { connections, room, joined } => self.change_member(&connections, &room, joined),
                News::Close { connections, code } => self.close(&connections, code),
                News::Drain => self.drain(),
            }
        }
        // Many posts of one connection are often settled together: one write for all their replies.
        for connection in settled {
            connection.flush();
            connection.nudge_if_waiting();
        }
    }

    fn each(&self, ids: &[ConnectionId], act: impl Fn(&Connection)) {
        let connections = self.connections.borrow();
        ids.iter().filter_map(|id| connections.get(*id)).for_each(|connection| act(connection));
    }

    fn close(&self, ids: &[ConnectionId], code: CloseCode) {
        self.each(ids, |connection| connection.close(code));
        let listeners = self.listeners.borrow();
        ids.iter().filter_map(|id| listeners.get(*id)).for_each(|listener| listener.close(code));
    }

    fn drain(&self) {
        self.draining.set(true);
        self.listeners.borrow().iter().for_each(|listener| listener.close(CloseCode::GoingAway));
        for connection in self.connections.borrow().iter() {
            connection.close(CloseCode::GoingAway);
        }
    }

    fn begin_round(&self, room: &Arc<Room>) {
        room.begin_delivery(self.index);
        self.ring_listeners(room);
        let Some(local) = self.readers(room) else { return };
        if local.begin_round() {
            self.rounds.borrow_mut().push_back(local);
        }
    }

    /// Delivers to the next few readers, of as many rooms as these take; false where no room has anything to deliver.
    fn deliver_slice(&self) -> bool {
        let mut left = SLICE;
        while left > 0 {
            let Some(local) = self.rounds.borrow_mut().pop_front() else { return false };
            left -= local.deliver_slice(&mut self.view.borrow_mut(), left);
            if local.is_in_round() {
                self.rounds.borrow_mut().push_back(local);
            }
        }
        !self.rounds.borrow().is_empty()
    }

    fn ring_listeners(&self, room: &Arc<Room>) {
        for listener in self.listeners.borrow().iter().filter(|listener| Arc::ptr_eq(&listener.room, room)) {
            listener.bell.notify_one();
        }
    }

    fn signal(&self, room: &Arc<Room>, json: &str) {
        self.ring_listeners(room);
        if let Some(local) = self.readers(room) {
            local.signal(json);
        }
    }

    fn change_member(&self, ids: &[ConnectionId], room: &RoomId, joined: bool) {
        if joined {
            return self.join(room, ids);
        }
        let mut rooms = self.joined.borrow_mut();
        let Some(members) = rooms.get_mut(room) else { return };
        members.connections.retain(|id| !ids.contains(id));
        if members.connections.is_empty() {
            rooms.remove(room);
        }
    }

    fn join(&self, room: &RoomId, ids: &[ConnectionId]) {
        let mut rooms = self.joined.borrow_mut();
        let joined = rooms
            .entry(room.clone())
            .or_insert_with(|| Joined { connections: Vec::new(), _follow: self.chat.log().follow(room) });
        joined.connections.retain(|id| !ids.contains(id));
        joined.connections.extend(ids);
    }

    /// Tells connections what they have not read, one after the other, for ever. What is stirred meanwhile waits for
    /// the next turn, so however many there are, each is told once a turn.
    pub async fn tell_unread(self: Rc<Self>) {
        loop {
            self.unread_changed.notified().await;
            for (id, room) in self.take_unread() {
                let connection = self.connections.borrow().get(id).cloned();
                let Some(connection) = connection else { continue };
                match self.chat.room_state(&connection.user, &room).await {
                    Ok(Some(json)) => {
                        connection.signal(&json);
                        connection.flush();
                    }
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%room, %error, "cannot count what is unread"),
                }
            }
        }
    }

    fn take_unread(&self) -> HashSet<(ConnectionId, RoomId)> {
        let mut unread = std::mem::take(&mut *self.moved.borrow_mut());
        let (connections, joined) = (self.connections.borrow(), self.joined.borrow());
        for room in std::mem::take(&mut *self.stirred.borrow_mut()) {
            let mut note = |connection: &Rc<Connection>| {
                if !connection.is_subscribed(&room) {
                    unread.insert((connection.id, room.clone()));
                }
            };
            if room == RoomId::lobby() {
                connections.iter().for_each(&mut note);
            } else {
                let members = joined.get(&room).into_iter().flat_map(|joined| &joined.connections);
                members.filter_map(|id| connections.get(*id)).for_each(&mut note);
            }
        }
        unread
    }
}

fn settle(connection: &Connection, reference: Option<&Ref>, room: &RoomId, outcome: Result<Seq>) {
    #[derive(serde::Serialize)]
    struct Posted<'a> {
        room: &'a RoomId,
        seq: Seq,
    }
    connection.posts_under_way.set(connection.posts_under_way.get() - 1);
    match outcome {
        Ok(seq) => connection.reply(reference, &Posted { room, seq }),
        Err(error) => connection.refuse(reference, &error),
    }
}
