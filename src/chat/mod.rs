//! What chat means: rooms, messages, who may do what. Every door comes through `Chat`, which asks who is asking, and
//! the store is reached through `Chat` alone. Nothing here knows HTTP or sockets.

pub mod auth;
pub mod avatar;
mod by_id;
pub mod connection;
pub mod hub;
pub mod limit;
mod marker;
pub mod message;
pub mod name;
pub mod picture;
pub mod presence;
pub mod room;
pub mod tail;
pub mod user;
pub mod worker;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use self::hub::{Hub, News, TailLimits};
use self::limit::{Limiter, Rates};
use self::marker::Markers;
use self::room::Room;
use self::user::{User, Users};
use crate::error::{Error, Fatal, Result};
use crate::protocol::{
    Content, Cursor, Event, Hello, History, Kind, Limits, Me, MemberChange, Position, Push, RoomId, RoomState, Seq,
    Start, UserId, VERSION,
};
use crate::store::{
    Append, Completion, Directory, Effect, Joined, Log, Messages, NewUser, Page, RoomInfo, Store, Unread, UserRecord,
    Watcher, Window,
};

/// `hello` lists at most so many rooms.
const HELLO_ROOMS: usize = 500;
const MARKERS_EVERY: Duration = Duration::from_secs(1);
const EXPIRE_EVERY: Duration = Duration::from_hours(1);

pub struct Settings {
    pub workers: usize,
    pub tails: TailLimits,
    /// None lifts rates and caps, never bounds of memory.
    pub rates: Option<Rates>,
    pub limits: Limits,
    pub heartbeat: Duration,
}

pub struct Chat {
    pub hub: Arc<Hub>,
    pub users: Arc<Users>,
    pub limiter: Arc<Limiter>,
    pub settings: Settings,
    store: Store,
    markers: Markers,
    /// How many sessions were ended since the start.
    ended_sessions: AtomicU64,
    /// This process, for whoever reads a log of several.
    node: String,
    /// Held, so that the room where everyone lands is always live.
    lobby: Arc<Room>,
}

/// Told once what became of a post: its seq, or why it is not stored.
pub trait Done: FnOnce(Result<Seq>) + Send + 'static {}

impl<F: FnOnce(Result<Seq>) + Send + 'static> Done for F {}

/// A room in the list that anyone may browse.
#[derive(serde::Serialize)]
pub struct Browsed {
    pub room: RoomId,
    pub name: Arc<str>,
    pub head: Seq,
    pub online: usize,
    pub joined: bool,
}

impl Chat {
    /// Prepares the hub and the lobby. `open` opens the store, whose commits the watcher is to hear.
    pub async fn start(
        settings: Settings,
        open: impl FnOnce(Arc<dyn Watcher>) -> Result<Store, Fatal>,
    ) -> Result<Arc<Self>, Fatal> {
        let hub = Arc::new(Hub::new(settings.workers, settings.tails));
        let store = open(hub.clone())?;
        let lobby = RoomInfo { id: RoomId::lobby(), name: "Lobby".into() };
        match store.directory.create_room(lobby.clone(), None).await {
            Ok(()) | Err(Error::Exists(_)) => {}
            Err(error) => return Err(Fatal::Lobby(error)),
        }
        let room = hub.enliven(lobby);
        let position = store.log.position(&room.id).await.map_err(Fatal::Lobby)?;
        room.learn(position.ok_or_else(|| Fatal::Lobby(Error::NoRoom(room.id.to_string())))?);
        Ok(Arc::new(Self {
            hub,
            users: Arc::default(),
            limiter: Arc::new(Limiter::new(settings.rates)),
            settings,
            store,
            markers: Markers::default(),
            ended_sessions: AtomicU64::new(0),
            node: format!("{:08x}", Uuid::now_v7().as_u128() & 0xffff_ffff),
            lobby: room,
        }))
    }

    /// Signals, read markers and the end of old sessions, for ever.
    pub async fn keep_house(&self) {
        let markers = async {
            loop {
                tokio::time::sleep(MARKERS_EVERY).await;
                self.write_markers().await;
            }
        };
        let sessions = async {
            loop {
                let before = auth::expired_before(Timestamp::now());
                if let Err(error) = self.directory().expire_sessions(before).await {
                    tracing::warn!(%error, "cannot end old sessions");
                }
                self.limiter.forget();
                tokio::time::sleep(EXPIRE_EVERY).await;
            }
        };
        tokio::join!(self.hub.push_signals(), markers, sessions);
    }

    /// Writes what is not written yet, and closes the store. Blocks.
    pub async fn close(&self) {
        self.write_markers().await;
        self.store.log.close();
    }

    /// The end of the sentence "an acknowledged message is …".
    pub fn worth(&self) -> String {
        self.store.log.worth()
    }

    pub fn node(&self) -> &str {
        &self.node
    }

    /// The first push of a connection, and the rooms that its user has joined.
    pub async fn hello(&self, user: &User) -> Result<(String, Vec<RoomId>)> {
        let joined = self.joined(user).await?;
        let name = user.name();
        let hello = Push::Hello(Hello {
            protocol: VERSION,
            node: &self.node,
            user: Me { id: user.id, name: &name, guest: user.guest, email: None },
            rooms: joined.iter().map(room_state).collect(),
            heartbeat_ms: u64::try_from(self.settings.heartbeat.as_millis()).unwrap_or(u64::MAX),
            limits: self.settings.limits,
        });
        Ok((hello.json(), joined.into_iter().map(|joined| joined.room.id).collect()))
    }

    /// Whether `post` will do for this: the author is stored and the text names nobody.
    pub fn posts_at_once(&self, user: &User, text: &str) -> bool {
        user.is_stored() && !text.contains('@')
    }

    /// Appends a message that `posts_at_once`. `done` is told the seq once it is durable, or why it is not.
    pub fn post(&self, user: &Arc<User>, room: &RoomId, txn_id: &str, text: &str, done: impl Done) {
        match self.check_post(user, text) {
            Ok(text) => self.append_message(user, room, txn_id, text, Vec::new(), done),
            Err(error) => done(Err(error)),
        }
    }

    /// Appends any message: stores its author first where that is needed, and finds out whom it mentions.
    pub async fn post_any(&self, user: &Arc<User>, room: &RoomId, txn_id: &str, text: &str, done: impl Done) {
        let prepared = async {
            let text = self.check_post(user, text)?;
            self.store_guest(user).await?;
            Ok((text, self.mentions(text).await?))
        };
        match prepared.await {
            Ok((text, mentions)) => self.append_message(user, room, txn_id, text, mentions, done),
            Err(error) => done(Err(error)),
        }
    }

    /// A page of messages as they stand, rendered as this version renders.
    pub async fn history(&self, asked: &History<'_>) -> Result<Messages> {
        let room = RoomId::from(&*asked.room);
        let mut page = self.log().messages(&room, Window::of(asked), asked.limit).await?;
        page.events.iter_mut().for_each(refresh);
        Ok(page)
    }

    /// Makes a public room, whose first member is the user.
    pub async fn create_room(&self, user: &Arc<User>, name: &str) -> Result<RoomId> {
        let (id, name) = name::room(name)?;
        self.limiter.rare(user.id)?;
        self.store_guest(user).await?;
        self.directory().create_room(RoomInfo { id: id.clone(), name }, Some(user.id)).await?;
        self.tell_member(user, &id, true);
        Ok(id)
    }

    pub async fn join(&self, user: &Arc<User>, room: &RoomId) -> Result<()> {
        self.limiter.post(user.id)?;
        self.store_guest(user).await?;
        if self.directory().member(room, user.id).await?.is_none() {
            self.append_member(user, room, MemberChange::Joined, Effect::Join).await?;
            self.tell_member(user, room, true);
        }
        Ok(())
    }

    pub async fn leave(&self, user: &Arc<User>, room: &RoomId) -> Result<()> {
        if *room == self.lobby.id {
            return Err(Error::NotAllowed("everyone has joined the lobby for good"));
        }
        self.limiter.post(user.id)?;
        let Some(member) = self.directory().member(room, user.id).await? else { return Ok(()) };
        self.append_member(user, room, MemberChange::Left, Effect::Leave).await?;
        self.tell_member(user, room, false);
        let gone: Arc<str> = Push::Room(RoomState { gone: true, ..room_state(&member) }).json().into();
        for (worker, connections) in user.connections(|_| true) {
            self.hub.tell(worker, News::Tell { connections, json: gone.clone() });
        }
        Ok(())
    }

    /// The public rooms that match, in the order of their ids, and whether there are more.
    pub async fn browse(
        &self,
        user: Option<UserId>,
        query: &str,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<(Vec<Browsed>, bool)> {
        let mut listed = self.directory().public_rooms(query, after, limit + 1).await?;
        let more = listed.len() > limit;
        listed.truncate(limit);
        let mut rooms = Vec::with_capacity(listed.len());
        for listed in listed {
            let RoomInfo { id, name } = listed.room;
            let joined = match user {
                Some(user) => id == self.lobby.id || self.directory().member(&id, user).await?.is_some(),
                None => false,
            };
            let online = self.hub.room(&id).map_or(0, |room| room.with_presence(|presence| presence.count()).0);
            rooms.push(Browsed { room: id, name, head: listed.head, online, joined });
        }
        Ok((rooms, more))
    }

    /// Moves the user's read marker: forward, or with `back` to just this event.
    pub async fn read(&self, user: &Arc<User>, room: &RoomId, seq: Seq, back: bool) -> Result<()> {
        let Some(state) = self.joined_room(user, room).await? else {
            return Err(Error::NotAllowed("expected a room that you have joined"));
        };
        if seq > state.position.head {
            return Err(Error::Invalid(format!("seq: expected at most the head, {}", state.position.head)));
        }
        if back || seq > state.read {
            if user.is_stored() {
                if back {
                    self.markers.set(room, user.id, seq);
                } else {
                    self.markers.advance(room, user.id, seq);
                }
            } else {
                user.set_lobby_read(seq);
            }
            self.hub.marker_moved(room, user);
        }
        Ok(())
    }

    /// The push `room` for this user; `None` where they have not joined the room.
    pub async fn room_state(&self, user: &User, room: &RoomId) -> Result<Option<String>> {
        let joined = self.joined_room(user, room).await?;
        Ok(joined.map(|joined| Push::Room(room_state(&joined)).json()))
    }

    /// The room, live from now on as long as it is held; its position is known.
    pub async fn open(&self, id: &RoomId) -> Result<(Arc<Room>, Position)> {
        if let Some(room) = self.hub.room(id)
            && let Some(position) = room.position()
        {
            return Ok((room, position));
        }
        let info = self.directory().room(id).await?.ok_or_else(|| Error::NoRoom(id.to_string()))?;
        // Live first, then asked for its head: whatever is committed in between is heard.
        let room = self.hub.enliven(info);
        loop {
            let position = self.log().position(id).await?.ok_or_else(|| Error::NoRoom(id.to_string()))?;
            if room.learn(position) {
                let position = room.position().unwrap_or(position);
                return Ok((room, position));
            }
        }
    }

    /// The event after which a subscription starts; `Reset` where the cursor cannot be honoured.
    pub async fn starts(&self, room: &RoomId, mut position: Position, start: Start) -> Result<Cursor> {
        if matches!(start, Start::Cursor(cursor) if cursor.epoch == position.epoch && cursor.seq > position.head) {
            // A page of history may be ahead of what was announced.
            position = self.log().position(room).await?.ok_or_else(|| Error::NoRoom(room.to_string()))?;
        }
        match start {
            Start::Last(events) => {
                let seq = position.head.saturating_sub(events).max(position.oldest - 1);
                Ok(Cursor { epoch: position.epoch, seq })
            }
            Start::Cursor(cursor) if position.honours(cursor) => Ok(cursor),
            Start::Cursor(_) => Err(Error::Reset(position)),
        }
    }

    pub async fn read_page(&self, room: &RoomId, after: Seq, limit: usize, bytes: usize) -> Result<Page> {
        let mut page = self.log().read(room, after, limit, bytes).await?;
        page.events.iter_mut().for_each(refresh);
        Ok(page)
    }

    /// The user is typing in a room that they are subscribed to.
    pub fn typing(&self, user: &User, room: &Room) {
        let author = user.author();
        let ((), due) = room.with_presence(|presence| presence.typing(author, std::time::Instant::now()));
        self.hub.schedule(&room.id, due);
    }

    /// The name behind a user's generated picture.
    pub async fn user_name(&self, id: UserId) -> Result<Option<Arc<str>>> {
        if let Some(user) = self.users.online(id) {
            return Ok(Some(user.name()));
        }
        Ok(self.directory().user(id).await?.map(|record| record.name))
    }

    fn log(&self) -> &dyn Log {
        &*self.store.log
    }

    fn directory(&self) -> &dyn Directory {
        &*self.store.directory
    }

    fn lobby_head(&self) -> Seq {
        self.lobby.position().map_or(0, |position| position.head)
    }

    fn check_post<'a>(&self, user: &User, text: &'a str) -> Result<&'a str> {
        let limit = self.settings.limits.text_bytes;
        if text.len() > limit {
            return Err(Error::TooLong { limit, found: text.len() });
        }
        let text = text.trim_end();
        if text.trim_start().is_empty() {
            return Err(Error::Invalid("text: expected at least one visible character".to_owned()));
        }
        self.limiter.post(user.id)?;
        Ok(text)
    }

    fn append_message(
        &self,
        user: &Arc<User>,
        room: &RoomId,
        txn_id: &str,
        text: &str,
        mentions: Vec<UserId>,
        done: impl Done,
    ) {
        let html = message::render(text);
        let content = Content::message(text, html.as_deref(), &mentions, message::RENDERER);
        let effect = if mentions.is_empty() { Effect::None } else { Effect::Mention(mentions) };
        tracing::debug!(%room, author = %user.id, bytes = text.len(), "message");
        if let Some(room) = self.hub.room(room) {
            let ((), due) = room.with_presence(|presence| presence.stop_typing(user.id));
            self.hub.schedule(&room.id, due);
        }
        let event = new_event(user, Kind::Message, Some(txn_id), content);
        let hub = self.hub.clone();
        hub.post_begins();
        let done = Completion::new(move |outcome| {
            hub.post_ends();
            done(outcome);
        });
        self.log().append(Append { room: room.clone(), event, effect, done });
    }

    /// Called with a message's outcome, wherever that is heard: the author has read up to their own message.
    pub fn posted(&self, user: &Arc<User>, room: &RoomId, seq: Seq) {
        self.markers.advance(room, user.id, seq);
        if user.has_several_connections() {
            self.hub.marker_moved(room, user);
        }
    }

    async fn append_member(&self, user: &User, room: &RoomId, change: MemberChange, effect: Effect) -> Result<Seq> {
        let (tell, told) = tokio::sync::oneshot::channel();
        let done = Completion::new(move |outcome| {
            // Whoever asked may have gone; the event stands all the same.
            let _ = tell.send(outcome);
        });
        let event = new_event(user, Kind::Member, None, Content::member(change));
        self.log().append(Append { room: room.clone(), event, effect, done });
        told.await.unwrap_or(Err(Error::UnknownOutcome))
    }

    fn tell_member(&self, user: &Arc<User>, room: &RoomId, joined: bool) {
        for (worker, connections) in user.connections(|_| true) {
            self.hub.tell(worker, News::Member { connections, room: room.clone(), joined });
        }
        if joined {
            self.hub.marker_moved(room, user);
        }
    }

    /// Writes a guest who came without a session into the store, without which nothing of theirs could stay.
    async fn store_guest(&self, user: &User) -> Result<()> {
        if user.is_stored() {
            return Ok(());
        }
        let name = user.name();
        let record = UserRecord { id: user.id, folded: name::fold(&name), name, email: None, guest: user.guest };
        let read = user.lobby_read.load(std::sync::atomic::Ordering::Relaxed);
        let user_to_add = NewUser { record, session: None, joins: self.lobby.id.clone(), read };
        self.directory().add_user(user_to_add, auth::expired_before(Timestamp::now())).await?;
        user.set_stored();
        Ok(())
    }

    /// The users whom the text mentions by names that are held now.
    async fn mentions(&self, text: &str) -> Result<Vec<UserId>> {
        let candidates = message::mention_candidates(text);
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let folded: Vec<Vec<String>> =
            candidates.iter().map(|names| names.iter().map(|name| name::fold(name)).collect()).collect();
        let held = self.directory().holders(folded.concat(), auth::expired_before(Timestamp::now())).await?;
        let mut mentioned = Vec::new();
        for names in folded {
            let holder = names.iter().find_map(|name| self.users.holder(name).or_else(|| held.get(name).copied()));
            mentioned.extend(holder.filter(|id| !mentioned.contains(id)));
        }
        Ok(mentioned)
    }

    async fn joined(&self, user: &User) -> Result<Vec<Joined>> {
        if !user.is_stored() {
            return Ok(self.joined_room(user, &self.lobby.id).await?.into_iter().collect());
        }
        let mut joined = self.directory().joined(user.id, HELLO_ROOMS).await?;
        for room in &mut joined {
            self.correct_marker(room, user.id).await?;
        }
        Ok(joined)
    }

    /// A joined room as this user left it.
    async fn joined_room(&self, user: &User, room: &RoomId) -> Result<Option<Joined>> {
        if user.is_stored() {
            let Some(mut joined) = self.directory().member(room, user.id).await? else { return Ok(None) };
            self.correct_marker(&mut joined, user.id).await?;
            return Ok(Some(joined));
        }
        let Some(position) = self.lobby.position().filter(|_| *room == self.lobby.id) else { return Ok(None) };
        let read = user.lobby_read.load(std::sync::atomic::Ordering::Relaxed);
        let unread =
            if read < position.head { self.log().unread(room, user.id, read).await? } else { Unread::default() };
        let info = RoomInfo { id: self.lobby.id.clone(), name: self.lobby.name.clone() };
        Ok(Some(Joined { room: info, position, read, unread }))
    }

    /// A marker that moved and is not yet written is truer than the stored one.
    async fn correct_marker(&self, joined: &mut Joined, user: UserId) -> Result<()> {
        if let Some(marker) = self.markers.moved(&joined.room.id, user)
            && let read = marker.from(joined.read)
            && read != joined.read
        {
            joined.read = read;
            joined.unread = self.log().unread(&joined.room.id, user, read).await?;
        }
        Ok(())
    }

    async fn write_markers(&self) {
        if let Err(error) = self.markers.write(self.directory()).await {
            tracing::warn!(%error, "cannot write read markers; they are kept for the next time");
        }
    }
}

fn new_event(user: &User, kind: Kind, txn_id: Option<&str>, content: Content) -> Event {
    Event {
        seq: 0,
        id: Uuid::now_v7(),
        kind,
        at: Timestamp::now(),
        author: user.author(),
        txn_id: txn_id.map(Into::into),
        target: None,
        content: Some(content),
    }
}

fn room_state(joined: &Joined) -> RoomState<'_> {
    RoomState {
        room: &joined.room.id,
        name: &joined.room.name,
        epoch: joined.position.epoch,
        head: joined.position.head,
        read: joined.read,
        unread: joined.unread.messages,
        mentions: joined.unread.mentions,
        gone: false,
    }
}

/// Renders a message anew that an older renderer rendered.
fn refresh(event: &mut Event) {
    if event.kind != Kind::Message {
        return;
    }
    let Some(content) = event.content.as_mut().filter(|content| content.rendering < message::RENDERER) else { return };
    if let Some((text, mentions)) = content.as_message() {
        *content = Content::message(&text, message::render(&text).as_deref(), &mentions, message::RENDERER);
    }
}
