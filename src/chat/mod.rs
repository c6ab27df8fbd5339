//! What chat means: rooms, messages, who may do what. Every door comes through `Chat`, which asks who is asking, and
//! the store is reached through `Chat` alone. Nothing here knows HTTP or sockets.

pub mod account;
pub mod auth;
pub mod avatar;
pub mod by_id;
pub mod connection;
pub mod hub;
pub mod limit;
pub mod link;
mod marker;
pub mod message;
pub mod name;
mod nodes;
mod password;
pub mod people;
pub mod picture;
pub mod place;
pub mod presence;
pub mod provider;
pub mod room;
pub mod rooms;
pub mod tail;
pub mod user;
pub mod worker;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use self::avatar::Wanted;
use self::hub::{Hub, News, TailLimits};
use self::limit::{Limiter, Rates};
use self::marker::Markers;
use self::nodes::Notice;
use self::password::Passwords;
use self::place::{Join, Place};
use self::provider::{Provider, ProviderSettings};
use self::room::Room;
use self::user::{User, Users};
use crate::error::{Error, Fatal, Result};
use crate::fetch::Fetcher;
use crate::mail::Mailer;
use crate::protocol::{
    Content, Cursor, Event, Hello, History, Kind, Limits, Me, MemberRole, Position, Push, RoomId, RoomKind, RoomState,
    Seq, Start, UserId, VERSION,
};
use crate::store::{
    Append, Completion, Directory, Effect, Joined, Log, Messages, NewUser, Page, Right, Secrets, Span, Store, Tiding,
    TokenHash, Unread, UserRecord, Watcher, Window,
};

/// `hello` lists at most so many rooms.
const HELLO_ROOMS: usize = 500;
const MARKERS_EVERY: Duration = Duration::from_secs(1);
const EXPIRE_EVERY: Duration = Duration::from_hours(1);
/// More are not looked for at once.
const PICTURES_WANTED: usize = 1_000;
/// More are not written at once.
const MAILS_WANTED: usize = 100;
/// Between two takes of what a deleted room has left, so that others' appends come in between.
const PURGE_EVERY: Duration = Duration::from_millis(100);

pub struct Settings {
    pub workers: usize,
    pub tails: TailLimits,
    /// None lifts rates and caps, never bounds of memory.
    pub rates: Option<Rates>,
    pub limits: Limits,
    pub heartbeat: Duration,
    /// Who may come in, where that is not the owner's to say.
    pub join: Option<Join>,
    /// Whether there are accounts with passwords.
    pub passwords: bool,
    /// Where pictures are looked for that go with e-mails, if anywhere.
    pub gravatar: Option<String>,
    /// Who vouches for people.
    pub providers: Vec<ProviderSettings>,
    /// How this server is called from outside, where its host says so.
    pub public_url: Option<String>,
    /// By which others are asked.
    pub fetcher: Fetcher,
    /// By which people are written to, if they are.
    pub mailer: Option<Mailer>,
}

pub struct Chat {
    pub hub: Arc<Hub>,
    pub users: Arc<Users>,
    pub limiter: Arc<Limiter>,
    pub settings: Settings,
    store: Store,
    markers: Markers,
    passwords: Passwords,
    place: RwLock<Arc<Place>>,
    /// Held while the place is changed, which takes a moment.
    changing_place: tokio::sync::Mutex<()>,
    banned_addresses: RwLock<Vec<(IpAddr, Option<Timestamp>)>>,
    /// Pictures to be fetched, and who fetches them.
    pictures_wanted: (mpsc::Sender<Wanted>, tokio::sync::Mutex<mpsc::Receiver<Wanted>>),
    providers: Vec<Provider>,
    /// Links to be mailed, and who mails them.
    mails_wanted: (mpsc::Sender<String>, tokio::sync::Mutex<mpsc::Receiver<String>>),
    /// Turns to decode a picture.
    decoding: Arc<Semaphore>,
    /// How often sessions were ended, or what a user may do was changed, since the start.
    changes: AtomicU64,
    /// What the store and the other nodes tell.
    tidings: tokio::sync::Mutex<mpsc::UnboundedReceiver<Tiding>>,
    /// Rooms of which the other nodes are to be asked who is present in them, and who asks.
    newly_live: (mpsc::UnboundedSender<RoomId>, tokio::sync::Mutex<mpsc::UnboundedReceiver<RoomId>>),
    /// The store cannot be reached.
    away: AtomicBool,
    /// By which guests are known again that have no session, to this process alone.
    guest_key: TokenHash,
    /// This process, for whoever reads a log of several.
    node: String,
    /// Held, so that the room where everyone lands is always live.
    lobby: Arc<Room>,
}

/// Told once what became of a post: its seq, or why it is not stored.
pub trait Done: FnOnce(Result<Seq>) + Send + 'static {}

impl<F: FnOnce(Result<Seq>) + Send + 'static> Done for F {}

/// A room that somebody may read, live as long as it is held.
pub struct Open {
    pub room: Arc<Room>,
    pub position: Position,
    /// How many rights to read it had ended before this one was looked up.
    pub rights: u64,
}

impl Chat {
    /// Prepares the hub and the lobby. `open` opens the store, whose commits the watcher is to hear.
    pub async fn start(
        settings: Settings,
        open: impl FnOnce(Arc<dyn Watcher>) -> Result<Store, Fatal>,
    ) -> Result<Arc<Self>, Fatal> {
        let hub = Arc::new(Hub::new(settings.workers, settings.tails));
        let store = open(hub.clone())?;
        store.nodes.join();
        let lobby = rooms::make_lobby(&*store.directory).await.map_err(Fatal::Lobby)?;
        let place = store.moderation.settings().await.map_err(Fatal::Lobby)?;
        let place = place::parse_place(&place).map_err(|error| Fatal::Settings(error.to_string()))?;
        let room = hub.enliven(lobby);
        room.hold(store.log.watch(&room.id).await.map_err(Fatal::Lobby)?);
        let position = store.log.position(&room.id).await.map_err(Fatal::Lobby)?;
        room.learn(position.ok_or_else(|| Fatal::Lobby(Error::NoRoom(room.id.to_string())))?);
        let (want, wanted) = mpsc::channel(PICTURES_WANTED);
        let tidings = hub.take_tidings().expect("nobody else hears a new hub");
        let (live, newly_live) = mpsc::unbounded_channel();
        let node = match store.nodes.node() {
            alone if alone.is_empty() => format!("{:08x}", Uuid::now_v7().as_u128() & 0xffff_ffff),
            node => node,
        };
        let (mail, mailed) = mpsc::channel(MAILS_WANTED);
        let chat = Arc::new(Self {
            hub,
            users: Arc::default(),
            limiter: Arc::new(Limiter::new(settings.rates)),
            providers: settings.providers.iter().cloned().map(Provider::new).collect(),
            mails_wanted: (mail, tokio::sync::Mutex::new(mailed)),
            settings,
            store,
            markers: Markers::default(),
            passwords: Passwords::default(),
            place: RwLock::new(Arc::new(place)),
            changing_place: tokio::sync::Mutex::default(),
            banned_addresses: RwLock::default(),
            pictures_wanted: (want, tokio::sync::Mutex::new(wanted)),
            decoding: Arc::new(Semaphore::new(1)),
            changes: AtomicU64::new(0),
            tidings: tokio::sync::Mutex::new(tidings),
            newly_live: (live, tokio::sync::Mutex::new(newly_live)),
            away: AtomicBool::new(false),
            node,
            guest_key: auth::Token::new().map_err(Fatal::Lobby)?.hash(),
            lobby: room,
        });
        chat.ask_presence_in(&chat.lobby.id);
        chat.learn_bans().await.map_err(Fatal::Lobby)?;
        Ok(chat)
    }

    /// Signals, read markers, the end of old sessions and deleted rooms, pictures to fetch and letters to send, for ever.
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
                if let Err(error) = self.store.sessions.expire_sessions(before).await {
                    tracing::warn!(%error, "cannot end old sessions");
                }
                self.limiter.forget();
                tokio::time::sleep(EXPIRE_EVERY).await;
            }
        };
        let purge = async {
            loop {
                match self.directory().purge().await {
                    Ok(true) => tokio::time::sleep(PURGE_EVERY).await,
                    Ok(false) => tokio::time::sleep(EXPIRE_EVERY).await,
                    Err(error) => {
                        tracing::warn!(%error, "cannot take away what deleted rooms left");
                        tokio::time::sleep(EXPIRE_EVERY).await;
                    }
                }
            }
        };
        let nodes = async { tokio::join!(self.hear_tidings(), self.tell_presence(), self.ask_presence()) };
        tokio::join!(
            nodes,
            self.hub.push_signals(),
            markers,
            sessions,
            purge,
            self.fetch_pictures(),
            self.mail_links()
        );
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

    /// Whether the store cannot be reached just now.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }

    /// Sends everyone away, who come back to another node or to the next process; the other nodes are told at once.
    pub fn drain(&self) {
        self.hub.tell_all(|| News::Drain);
        self.store.nodes.leave();
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
            user: Me {
                id: user.id,
                name: &name,
                guest: user.role().is_guest(),
                role: user.role(),
                muted_until: user.muted_until(),
            },
            rooms: joined.iter().map(room_state).collect(),
            heartbeat_ms: u64::try_from(self.settings.heartbeat.as_millis()).unwrap_or(u64::MAX),
            limits: self.settings.limits,
        });
        Ok((hello.json(), joined.into_iter().map(|joined| joined.room.id).collect()))
    }

    /// Whether `post` will do for this: the author is stored, the text names nobody, and nothing is to be asked of the
    /// room that its log does not ask itself.
    pub fn posts_at_once(&self, user: &User, room: &Room, text: &str) -> bool {
        let info = room.info();
        user.is_stored() && info.kind != RoomKind::Direct && !text.contains('@')
    }

    /// Appends a message that `posts_at_once`. `done` is told the seq once it is durable, or why it is not.
    pub fn post(&self, user: &Arc<User>, room: &RoomId, txn_id: &str, text: &str, done: impl Done) {
        let text = text.trim_end();
        match self.check_post(user, text) {
            Ok(()) => self.append_message(user, room, txn_id, text, Vec::new(), done),
            Err(error) => done(Err(error)),
        }
    }

    /// Appends any message: stores its author first where that is needed, and finds out whom it mentions.
    pub async fn post_any(&self, user: &Arc<User>, room: &RoomId, txn_id: &str, text: &str, done: impl Done) {
        self.post_verbatim(user, room, txn_id, text.trim_end(), done).await;
    }

    /// The same without cutting the white space at the end.
    pub async fn post_verbatim(&self, user: &Arc<User>, room: &RoomId, txn_id: &str, text: &str, done: impl Done) {
        let prepared = async {
            self.check_post(user, text)?;
            self.check_room(user, room).await?;
            self.store_guest(user).await?;
            self.mentions(text).await
        };
        match prepared.await {
            Ok(mentions) => self.append_message(user, room, txn_id, text, mentions, done),
            Err(error) => done(Err(error)),
        }
    }

    /// Refuses what the room's log does not refuse by itself: writing to somebody who does not want to hear from the
    /// author.
    async fn check_room(&self, user: &Arc<User>, id: &RoomId) -> Result<()> {
        let info = self.open(user, id).await?.room.info();
        if info.kind == RoomKind::Direct {
            let (members, count) = self.directory().members(id, None, 2).await?;
            let alone_with = members.iter().find(|member| member.user.id != user.id).filter(|_| count == 2);
            if let Some(other) = alone_with
                && self.store.moderation.ignored(other.user.id).await?.contains(&user.id)
            {
                return Err(rooms::IGNORED);
            }
        }
        Ok(())
    }

    /// A page of messages as they stand, rendered as this version renders.
    pub async fn history(&self, reader: Option<UserId>, asked: &History<'_>) -> Result<Messages> {
        let room = RoomId::from(&*asked.room);
        let mut page = self.log().messages(&room, reader, Window::of(asked), asked.limit).await?;
        page.events.iter_mut().for_each(refresh);
        Ok(page)
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

    /// The room, if the user may read it, live from now on as long as it is held; its position is known.
    pub async fn open(&self, user: &User, id: &RoomId) -> Result<Open> {
        let live = self.hub.room(id).filter(|room| room.position().is_some());
        let room = match live {
            Some(room) => room,
            None => self.enliven(user, id).await?,
        };
        // Noted before the right is looked up: one that ends meanwhile is found out.
        let rights = room.rights();
        if room.info().kind != RoomKind::Public {
            self.standing(user, id).await?;
        }
        let position = room.position().ok_or_else(|| Error::NoRoom(id.to_string()))?;
        Ok(Open { room, position, rights })
    }

    /// Makes a room live that the user may read. What it is may have changed since that was looked up, and is asked
    /// again once it hears of changes; so is where its log stands.
    async fn enliven(&self, user: &User, id: &RoomId) -> Result<Arc<Room>> {
        let no_room = || Error::NoRoom(id.to_string());
        let room = self.hub.enliven(self.standing(user, id).await?.info);
        if !room.is_watched() {
            room.hold(self.log().watch(id).await?);
        }
        loop {
            room.learn_info(self.directory().room(id).await?.ok_or_else(no_room)?);
            let position = self.log().position(id).await?.ok_or_else(no_room)?;
            if room.learn(position) {
                self.ask_presence_in(id);
                return Ok(room);
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

    pub async fn read_page(&self, room: &RoomId, reader: UserId, span: Span) -> Result<Page> {
        let mut page = self.log().read(room, Some(reader), span).await?;
        page.events.iter_mut().for_each(refresh);
        Ok(page)
    }

    /// The user is typing in a room that they are subscribed to.
    pub fn typing(&self, user: &User, room: &Room) {
        let author = user.author();
        let (is_news, due) = room.with_presence(|presence| presence.typing(author.clone(), Instant::now()));
        self.hub.schedule(&room.id, due);
        if is_news {
            self.tell_typing(&room.id, author);
        }
    }

    /// The name behind a user's generated picture.
    pub async fn user_name(&self, id: UserId) -> Result<Option<Arc<str>>> {
        if let Some(user) = self.users.online(id) {
            return Ok(Some(user.name()));
        }
        Ok(self.store.accounts.user(id).await?.map(|record| record.name))
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

    fn check_post(&self, user: &User, text: &str) -> Result<()> {
        let limit = self.settings.limits.text_bytes;
        if text.len() > limit {
            return Err(Error::TooLong { limit, found: text.len() });
        }
        if text.trim().is_empty() {
            return Err(Error::Invalid("text: expected at least one visible character".to_owned()));
        }
        user.check_not_muted()?;
        self.limiter.post(user.id)
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
        let event = Event { txn_id: Some(txn_id.into()), ..Event::new(user.author(), Kind::Message, content) };
        let right = Right::Write(user.role().in_rooms());
        let hub = self.hub.clone();
        hub.post_begins();
        let done = Completion::new(move |outcome| {
            hub.post_ends();
            done(outcome);
        });
        self.log().append(Append { room: room.clone(), event, right, effect, done });
    }

    /// Called with a message's outcome, wherever that is heard: the author has read up to their own message.
    pub fn posted(&self, user: &Arc<User>, room: &RoomId, seq: Seq) {
        self.markers.advance(room, user.id, seq);
        if user.has_several_connections() {
            self.hub.marker_moved(room, user);
        }
    }

    /// Writes a guest who came without a session into the store, without which nothing of theirs could stay.
    async fn store_guest(&self, user: &User) -> Result<()> {
        if user.is_stored() {
            return Ok(());
        }
        let record = auth::new_record(user.name(), None, user.role());
        let record = UserRecord { id: user.id, ..record };
        let read = user.lobby_read.load(Ordering::Relaxed);
        let (joins, secrets) = (self.lobby.id.clone(), Secrets::default());
        let user_to_add = NewUser { record, session: None, secrets, joins, read };
        self.store.accounts.add_user(user_to_add, auth::expired_before(Timestamp::now())).await?;
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
        let names = folded.concat();
        let elsewhere = self.store.nodes.held(names.clone()).await?;
        let elsewhere =
            names.iter().cloned().zip(elsewhere).filter_map(|(name, holder)| Some((name, holder?))).collect();
        let held = self.store.accounts.holders(names, auth::expired_before(Timestamp::now())).await?;
        let mut mentioned = Vec::new();
        for names in folded {
            for name in names {
                let Some(id) = self.called(&name, &elsewhere, &held).await? else { continue };
                if !mentioned.contains(&id) {
                    mentioned.push(id);
                }
                break;
            }
        }
        Ok(mentioned)
    }

    /// Who is called just this; an account whose name only looks like it is not meant.
    async fn called(
        &self,
        folded: &str,
        elsewhere: &HashMap<String, UserId>,
        held: &HashMap<String, UserId>,
    ) -> Result<Option<UserId>> {
        if let Some(holder) = self.users.holder(folded).or_else(|| elsewhere.get(folded).copied()) {
            return Ok(Some(holder));
        }
        let Some(holder) = held.get(folded) else { return Ok(None) };
        let holder = self.store.accounts.user(*holder).await?.filter(|user| user.folded == folded);
        Ok(holder.map(|user| user.id))
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
        let read = user.lobby_read.load(Ordering::Relaxed);
        let unread =
            if read < position.head { self.log().unread(room, user.id, read).await? } else { Unread::default() };
        let (room, role, with) = ((*self.lobby.info()).clone(), MemberRole::Member, Vec::new());
        Ok(Some(Joined { room, position, role, read, unread, with }))
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
        match self.markers.write(self.directory()).await {
            Ok(moved) if moved.is_empty() => {}
            Ok(moved) => self.tell_nodes(&Notice::Markers(moved)),
            Err(error) => tracing::warn!(%error, "cannot write read markers; they are kept for the next time"),
        }
    }
}

fn room_state(joined: &Joined) -> RoomState<'_> {
    RoomState {
        room: &joined.room.id,
        name: &joined.room.name,
        kind: joined.room.kind,
        topic: &joined.room.topic,
        role: joined.role,
        announcement: joined.room.announcement,
        archived: joined.room.archived,
        with: &joined.with,
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
