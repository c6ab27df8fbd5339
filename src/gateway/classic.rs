//! A door for the clients of four small Go chats, unchanged: each has its own words for the one room that they all talk
//! in. A connection is a task that reads the room by a cursor of its own, and holds no queue. It never touches the store.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::net::{IpAddr, Shutdown};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::extract::Request;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use url::form_urlencoded;
use uuid::Uuid;

use super::request::{Address, Asker, Base, Gateway};
use crate::chat::auth::{Admission, NameClaim};
use crate::chat::limit::Permit;
use crate::chat::name;
use crate::chat::room::{Ahead, Room};
use crate::chat::tail::View;
use crate::chat::user::{Link, User, next_connection};
use crate::chat::worker::{Listener, Worker};
use crate::chat::{Chat, Open};
use crate::error::{Error, Result};
use crate::frame::{self, Decoder, Incoming};
use crate::protocol::{Author, CloseCode, Cursor, History, Kind, Position, RoomId, RoomKind, Start, UserId};

/// Whose clients come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Gorilla,
    /// By a session the chapters 2 and 3, else chapter 1.
    Blueprints,
    Heroku,
    Gochatting,
}

impl Client {
    pub const ALL: [Self; 4] = [Self::Gorilla, Self::Blueprints, Self::Heroku, Self::Gochatting];
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub clients: Vec<Client>,
    pub room: RoomId,
    /// So many messages of the past are sent to those clients that expect them.
    pub history: usize,
}

/// What all classic connections of one worker share.
pub struct Door {
    worker: Rc<Worker>,
    settings: Settings,
    /// Held by every connection, from its way in on.
    open: Rc<()>,
}

/// A message of these clients, the most: more than that closes.
const GORILLA_BYTES: usize = 512;
/// Fragments in one message, the most.
const FRAGMENTS: u32 = 65_536;
const READ_BYTES: usize = 16 << 10;
/// Nothing is added to what waits to be sent beyond this, and nothing is read.
const OUT_FULL: usize = 64 << 10;
/// As many messages as a page of history has at most.
const HISTORY_PAGE: usize = 200;
/// How long the other side may take to answer a close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// A post of which nobody can say whether it is stored is tried again after this.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Who is there is told at most so often, and by so many names.
const PEOPLE_EVERY: Duration = Duration::from_secs(1);
const PEOPLE: usize = 200;
/// No name is longer, however it is written; what is counts as none.
const NAME_BYTES: usize = 512;
/// Guests that speak over one connection, the most: who speaks with more names begins to be somebody else again.
const VOICES: usize = 16;
/// Speaks where the server itself has something to say; nobody else has this name.
const SERVER: &str = "server";

impl Door {
    pub fn new(worker: Rc<Worker>, settings: Settings) -> Rc<Self> {
        Rc::new(Self { worker, settings, open: Rc::default() })
    }

    pub fn serves(&self, client: Client) -> bool {
        self.settings.clients.contains(&client)
    }

    /// Whether connections are left, or on their way in.
    pub fn is_open(&self) -> bool {
        Rc::strong_count(&self.open) > 1
    }

    /// Lets somebody in, or says why not. What is given looks after the connection once its upgrade is done.
    pub async fn admit(
        self: &Rc<Self>,
        client: Client,
        request: &Request,
        upgrade: OnUpgrade,
        gateway: &Gateway,
    ) -> Result<impl Future<Output = ()> + use<>> {
        let (headers, extensions, chat) = (request.headers(), request.extensions(), &gateway.chat);
        let Address(address) = Address::of(headers, extensions, gateway)?;
        let (admission, dialect) = match client {
            Client::Gorilla => (chat.admit(None, None, address).await?, Dialect::Gorilla),
            Client::Heroku => (chat.admit(None, None, address).await?, Dialect::Heroku),
            Client::Blueprints => {
                let visitor = Asker::of(headers, extensions, gateway).await?.visitor;
                let dialect = if visitor.is_some() { Dialect::Session } else { Dialect::Plain };
                (chat.admit(visitor, None, address).await?, dialect)
            }
            Client::Gochatting => {
                let email = email(request.uri().query().unwrap_or_default());
                let Base(base) = Base::of(headers, extensions, gateway)?;
                (chat.admit_by_email(&email, address).await?, Dialect::Gochatting { email, base })
            }
        };
        let open = chat.open(&admission.user, &self.settings.room).await?;
        if open.room.info().kind != RoomKind::Public {
            return Err(Error::NotAllowed("expected a public room; --classic-room names one"));
        }
        let cursor = match dialect {
            Dialect::Heroku => self.before_history(admission.user.id, open.position).await?,
            _ => chat.starts(&open.room.id, open.position, Start::Last(0)).await?,
        };
        let (door, held) = (self.clone(), self.open.clone());
        let guest = Guest { admission, address, dialect, open, cursor };
        Ok(async move {
            if let Err(error) = door.welcome(upgrade, guest).await {
                tracing::debug!(%error, "an upgrade broke off");
            }
            drop(held);
        })
    }

    /// The place before the first message of the past that is sent. What is sent is read from there on, page by page.
    async fn before_history(&self, reader: UserId, position: Position) -> Result<Cursor> {
        let (mut left, mut cursor, mut before) = (self.settings.history, position.head_cursor(), None);
        while left > 0 {
            let limit = left.min(HISTORY_PAGE);
            let room = Cow::Borrowed(self.settings.room.as_str());
            let page = self.worker.chat.history(Some(reader), &History { room, before, around: None, limit }).await?;
            let Some(first) = page.events.first() else { break };
            left -= page.events.iter().filter(|event| event.content.is_some()).count().min(left);
            cursor.seq = first.seq - 1;
            before = Some(first.seq);
            if !page.more {
                break;
            }
        }
        Ok(cursor)
    }

    async fn welcome(self: &Rc<Self>, upgrade: OnUpgrade, guest: Guest) -> Result<(), Box<dyn std::error::Error>> {
        let parts = upgrade.await?.downcast::<TokioIo<TcpStream>>().map_err(|_| "not a socket of ours")?;
        let Guest { admission, address, dialect, open, cursor } = guest;
        let Admission { user, session, changed_before, posts, claim, permit } = admission;
        let listener = self.worker.listen(next_connection(), open.room);
        let (connection, now) = (listener.id, Instant::now());
        let mut talk = Talk {
            door: self.clone(),
            stream: parts.io.into_inner(),
            dialect,
            address,
            posts,
            listener,
            cursor,
            rights: open.rights,
            voices: Vec::new(),
            speaking: None,
            decoder: Decoder::default(),
            unread: parts.read_buf.to_vec(),
            out: Vec::new(),
            task: None,
            people: People { told: None, next: now, pending: true },
            heard: now,
            taken: now,
            pinged: now,
            permit,
        };
        talk.hear_voice(Voice { called: None, user, _claim: claim }, session);
        tracing::debug!(connection, user = %talk.me(), "connected to a classic client");
        // A sign-out while the connection came in did not reach it.
        if !self.worker.chat.session_lives(&talk.voices[0].user, session, changed_before).await {
            talk.listener.close(CloseCode::SessionEnded);
        }
        talk.run().await;
        tracing::debug!(connection, "disconnected");
        Ok(())
    }
}

/// Somebody on their way in.
struct Guest {
    admission: Admission,
    address: IpAddr,
    dialect: Dialect,
    open: Open,
    cursor: Cursor,
}

/// One connection, from its upgrade to its end.
struct Talk {
    door: Rc<Door>,
    stream: TcpStream,
    dialect: Dialect,
    address: IpAddr,
    /// Whether it may post: a program's token may be good for reading alone.
    posts: bool,
    listener: Rc<Listener>,
    cursor: Cursor,
    /// How many rights to read the room had ended when this one was last known to hold.
    rights: u64,
    /// Who speaks here: the one who came in, and those by whose names they have spoken since.
    voices: Vec<Voice>,
    /// Who of them is present in the room.
    speaking: Option<UserId>,
    decoder: Decoder,
    /// Input that waits until what came before it is done.
    unread: Vec<u8>,
    /// Whole frames, but for what was sent of the first.
    out: Vec<u8>,
    /// What is being done. Nothing is read meanwhile.
    task: Option<Pin<Box<dyn Future<Output = Done>>>>,
    people: People,
    heard: Instant,
    taken: Instant,
    pinged: Instant,
    permit: Permit,
}

struct Voice {
    /// By which name it was called, folded, where it was.
    called: Option<String>,
    user: Arc<User>,
    _claim: Option<NameClaim>,
}

/// What was last told of who is there, and whether there may be more to tell.
struct People {
    told: Option<Vec<Author>>,
    next: Instant,
    pending: bool,
}

/// What a task came to.
enum Done {
    /// Somebody may speak by a new name; the words are theirs.
    Voice {
        called: String,
        text: String,
        voice: Result<(Arc<User>, NameClaim)>,
    },
    Said(Result<()>),
}

/// How a connection ends.
enum End {
    /// The other side is gone: nothing more can be said.
    Gone,
    /// By a close, perhaps with a code.
    Close(Option<u16>),
}

impl From<CloseCode> for End {
    fn from(code: CloseCode) -> Self {
        Self::Close(Some(code as u16))
    }
}

impl Talk {
    async fn run(mut self) {
        let heartbeat = self.door.worker.chat.settings.heartbeat;
        let mut ticks = interval(heartbeat / 8);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            if let Err(end) = self.turn(&mut ticks, heartbeat).await {
                break end;
            }
        };
        if let End::Close(code) = end {
            // Whoever does not take it is let go.
            let _ = timeout(CLOSE_PATIENCE, self.close(code)).await;
        }
    }

    /// Does what can be done, and waits until there is more.
    async fn turn(&mut self, ticks: &mut Interval, heartbeat: Duration) -> Result<(), End> {
        if let Some(code) = self.listener.closing() {
            return Err(code.into());
        }
        if self.listens() && !self.unread.is_empty() {
            self.take_input()?;
        }
        self.read_on().await?;
        self.tell_people();
        if self.listens() && !self.unread.is_empty() {
            return Ok(());
        }
        let (listens, waits) = (self.listens(), !self.out.is_empty());
        tokio::select! {
            done = poll_fn(|context| self.task.as_mut().map_or(Poll::Pending, |task| task.as_mut().poll(context))) => {
                self.task = None;
                self.settle(done);
            }
            _ = self.stream.readable(), if listens => self.read()?,
            _ = self.stream.writable(), if waits => self.write()?,
            () = self.listener.rung() => self.people.pending = true,
            () = sleep_until(self.people.next), if self.people.pending && self.out.len() < OUT_FULL => {}
            _ = ticks.tick() => self.check_pulse(heartbeat)?,
        }
        Ok(())
    }

    fn me(&self) -> UserId {
        self.voices[0].user.id
    }

    fn chat(&self) -> &Arc<Chat> {
        &self.door.worker.chat
    }

    /// Whether input is taken: messages are posted one after the other, and who does not read is not listened to.
    fn listens(&self) -> bool {
        self.task.is_none() && self.out.len() < OUT_FULL
    }

    fn read(&mut self) -> Result<(), End> {
        let mut buffer = [0; READ_BYTES];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => return Err(End::Gone),
            Ok(length) => {
                self.heard = Instant::now();
                self.unread.extend_from_slice(&buffer[..length]);
            }
            Err(error) if is_passing(&error) => {}
            Err(_) => return Err(End::Gone),
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), End> {
        match self.stream.try_write(&self.out) {
            Ok(length) => {
                self.taken = Instant::now();
                self.out.drain(..length);
                if self.out.is_empty() {
                    self.out = Vec::new();
                }
            }
            Err(error) if is_passing(&error) => {}
            Err(_) => return Err(End::Gone),
        }
        Ok(())
    }

    fn check_pulse(&mut self, heartbeat: Duration) -> Result<(), End> {
        let now = Instant::now();
        if !self.listens() {
            self.heard = now;
        }
        let silent = now - self.heard > heartbeat * 2 + heartbeat / 8;
        let not_reading = !self.out.is_empty() && now - self.taken > heartbeat * 2;
        if silent || not_reading {
            return Err(CloseCode::Silent.into());
        }
        if now - self.pinged >= heartbeat {
            self.pinged = now;
            frame::write_ping(b"", &mut self.out);
        }
        Ok(())
    }

    fn take_input(&mut self) -> Result<(), End> {
        let chat = &self.door.worker.chat.settings.limits;
        let message_bytes = self.dialect.message_bytes(chat.text_bytes, chat.frame_bytes);
        let limits = frame::Limits { message_bytes, fragments: FRAGMENTS };
        let (mut decoder, mut input) = (mem::take(&mut self.decoder), mem::take(&mut self.unread));
        let mut decoding = decoder.decode(&mut input, limits);
        let mut end = None;
        while end.is_none()
            && self.listens()
            && let Some(incoming) = decoding.next()
        {
            match incoming {
                Ok(Incoming::Text(text)) => end = self.take_text(&text).err(),
                Ok(Incoming::Ping(payload)) => frame::write_pong(&payload, &mut self.out),
                Ok(Incoming::Pong(_)) => {}
                Ok(Incoming::Close(code)) => end = Some(End::Close(code.map(|(code, _)| code))),
                Err(violation) => end = Some(End::Close(Some(violation.close_code()))),
            }
        }
        self.unread = decoding.rest().to_vec();
        self.decoder = decoder;
        end.map_or(Ok(()), Err)
    }

    /// What is no message of theirs is passed over, as their own servers do.
    fn take_text(&mut self, text: &str) -> Result<(), End> {
        let Some(Said { name, text }) = self.dialect.read(text).filter(|said| !said.text.trim().is_empty()) else {
            self.waste();
            return Ok(());
        };
        if text.len() > self.chat().settings.limits.text_bytes {
            return Err(CloseCode::TooBig.into());
        }
        let may = || {
            // Another name does not lift a mute.
            self.voices.iter().try_for_each(|voice| voice.user.check_not_muted())?;
            if self.posts { Ok(()) } else { Err(Error::NotAllowed("expected a token with the scope post")) }
        };
        if let Err(error) = may() {
            self.refuse(&error);
            self.waste();
            return Ok(());
        }
        let called = name.as_deref().map(name::fold);
        match self.voices.iter().position(|voice| voice.called == called) {
            Some(voice) => self.say(voice, text),
            None => self.call(name.unwrap_or_default(), text),
        }
        Ok(())
    }

    /// What nothing comes of costs as much as commands do elsewhere.
    fn waste(&mut self) {
        let (chat, host) = (self.chat().clone(), self.me());
        if chat.limiter.command(host).is_err() {
            self.task = Some(Box::pin(async move {
                in_turn(|| chat.limiter.command(host)).await;
                Done::Said(Ok(()))
            }));
        }
    }

    /// Lets another guest speak here, who is called so.
    fn call(&mut self, called: String, text: String) {
        let (chat, address) = (self.chat().clone(), self.address);
        self.task = Some(Box::pin(async move {
            loop {
                match chat.another_guest(&called, address).await {
                    Err(Error::RateLimited { retry_after_ms }) => sleep(Duration::from_millis(retry_after_ms)).await,
                    voice => return Done::Voice { called, text, voice },
                }
            }
        }));
    }

    fn say(&mut self, voice: usize, text: String) {
        let user = self.voices[voice].user.clone();
        self.shows(&user);
        let (chat, room, host) = (self.chat().clone(), self.listener.room.clone(), self.me());
        let verbatim = matches!(self.dialect, Dialect::Plain);
        self.task = Some(Box::pin(async move { Done::Said(post(&chat, &room, &user, host, &text, verbatim).await) }));
    }

    fn settle(&mut self, done: Done) {
        match done {
            Done::Voice { called, text, voice: Ok((user, claim)) } => {
                self.hear_voice(Voice { called: Some(name::fold(&called)), user, _claim: Some(claim) }, None);
                self.say(self.voices.len() - 1, text);
            }
            // By a name that nobody may have they speak as who they came in.
            Done::Voice { text, voice: Err(Error::Invalid(_) | Error::NameTaken(_)), .. } => self.say(0, text),
            Done::Voice { voice: Err(error), .. } | Done::Said(Err(error)) => self.refuse(&error),
            Done::Said(Ok(())) => {}
        }
    }

    /// Tells the author, and nobody else, why a message is not there.
    fn refuse(&mut self, error: &Error) {
        let author = Author { id: self.me(), name: SERVER.into() };
        let notice =
            Heard { kind: Kind::Message, at: Timestamp::now(), author, text: Some(format!("not sent: {error}")) };
        self.tell(&notice);
    }

    fn tell(&mut self, heard: &Heard) {
        if let Some(words) = self.dialect.message(heard, self.me()) {
            frame::write_text(&words, &mut self.out);
        }
    }

    /// Takes a voice in, and lets whoever spoke longest ago go where there are too many.
    fn hear_voice(&mut self, mut voice: Voice, session: Option<[u8; 32]>) {
        if self.voices.len() == VOICES {
            let gone = self.voices.remove(1);
            self.chat().users.disconnect(&gone.user, self.listener.id);
        }
        let (worker, connection) = (self.door.worker.index, self.listener.id);
        let link = Link { worker, connection, session: session.map(Box::new), source: self.permit.source() };
        voice.user = self.chat().users.connect(voice.user, link);
        self.shows(&voice.user.clone());
        self.voices.push(voice);
    }

    /// Who speaks is present, in place of who spoke before.
    fn shows(&mut self, user: &User) {
        if self.speaking == Some(user.id) {
            return;
        }
        let before = self.speaking.replace(user.id);
        let ((), due) = self.listener.room.with_presence(|presence| {
            presence.enter(user.author());
            if let Some(before) = before {
                presence.leave(before);
            }
        });
        self.chat().hub.schedule(&self.listener.room.id, due);
    }

    /// Takes what the room has after the cursor, as far as there is room to send it.
    async fn read_on(&mut self) -> Result<(), End> {
        let room = self.listener.room.clone();
        let mut view = View::default();
        while self.out.len() < OUT_FULL && !self.chat().hub.withholds() {
            let ahead = room.view_after(self.cursor, &mut view);
            self.check_right()?;
            match ahead {
                Ahead::Nothing => return Ok(()),
                Ahead::Frames => self.take_view(&view),
                Ahead::FellOff => {
                    let page = self.door.worker.read_after(&room, self.me(), self.cursor).await;
                    let (segment, revision) = page.map_err(|error| {
                        tracing::debug!(connection = self.listener.id, %error, "cannot read on");
                        CloseCode::GoingAway
                    })?;
                    // What was read before a message was taken back is read again.
                    if let Some(segment) = segment.filter(|_| revision == room.revision()) {
                        self.take_view(&View::of(segment));
                    }
                }
                Ahead::Reset(_) => return Err(CloseCode::GoingAway.into()),
            }
        }
        Ok(())
    }

    fn take_view(&mut self, view: &View) {
        for (seq, frame) in view.frames_after(self.cursor.seq) {
            if self.out.len() >= OUT_FULL {
                return;
            }
            self.cursor.seq = seq;
            match serde_json::from_str::<Heard>(frame::written_text(frame)) {
                Ok(heard) => self.tell(&heard),
                Err(error) => tracing::error!(seq, %error, "an event cannot be read"),
            }
        }
    }

    /// Asked after the view was taken: what stands in it behind the end of a right was announced after that.
    fn check_right(&mut self) -> Result<(), End> {
        let room = &self.listener.room;
        let (since, rights) = (self.rights, room.rights());
        self.rights = rights;
        if since != rights && room.over(self.me(), since).is_some() { Err(CloseCode::GoingAway.into()) } else { Ok(()) }
    }

    /// Tells who is there, where the client shows that and it has changed.
    fn tell_people(&mut self) {
        let now = Instant::now();
        if !self.dialect.shows_people() {
            self.people.pending = false;
        }
        if !self.people.pending || now < self.people.next || self.out.len() >= OUT_FULL {
            return;
        }
        let ((people, _), _) = self.listener.room.with_presence(|presence| presence.names(None, PEOPLE));
        self.people.pending = false;
        self.people.next = now + PEOPLE_EVERY;
        if self.people.told.as_ref() != Some(&people) {
            frame::write_text(&self.dialect.people(&people, self.me()), &mut self.out);
            self.people.told = Some(people);
        }
    }

    /// Sends what waits and the close, and waits for the other side's, so that ours is not overtaken by a reset.
    async fn close(&mut self, code: Option<u16>) -> io::Result<()> {
        match code {
            Some(code) => frame::write_close(code, "", &mut self.out),
            // RFC 6455 §5.5.1: a close without a code is answered by one without a code.
            None => self.out.extend_from_slice(&[0x88, 0]),
        }
        while !self.out.is_empty() {
            self.stream.writable().await?;
            if self.write().is_err() {
                return Ok(());
            }
        }
        SockRef::from(&self.stream).shutdown(Shutdown::Write)?;
        loop {
            self.stream.readable().await?;
            if self.read().is_err() {
                return Ok(());
            }
            self.unread.clear();
        }
    }
}

impl Drop for Talk {
    /// However it ends, by a panic too, nothing of it stays.
    fn drop(&mut self) {
        let (chat, room) = (&self.door.worker.chat, &self.listener.room);
        self.door.worker.forget(&self.listener);
        for voice in &self.voices {
            chat.users.disconnect(&voice.user, self.listener.id);
        }
        if let Some(user) = self.speaking {
            let ((), due) = room.with_presence(|presence| presence.leave(user));
            chat.hub.schedule(&room.id, due);
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Waits until the limiter lets this pass.
async fn in_turn(may: impl Fn() -> Result<()>) {
    while let Err(Error::RateLimited { retry_after_ms }) = may() {
        sleep(Duration::from_millis(retry_after_ms)).await;
    }
}

/// Posts until it is known what became of it. Who is too fast is held up, and with them their connection.
async fn post(chat: &Arc<Chat>, room: &Room, user: &Arc<User>, host: UserId, text: &str, verbatim: bool) -> Result<()> {
    let txn_id = Uuid::new_v4().to_string();
    // More names do not make more messages.
    if host != user.id {
        in_turn(|| chat.limiter.post(host)).await;
    }
    loop {
        let (tell, told) = oneshot::channel();
        let done = move |outcome| {
            // The connection may have gone; the message stands all the same.
            let _ = tell.send(outcome);
        };
        if verbatim {
            chat.post_verbatim(user, &room.id, &txn_id, text, done).await;
        } else if chat.posts_at_once(user, room, text) {
            chat.post(user, &room.id, &txn_id, text, done);
        } else {
            chat.post_any(user, &room.id, &txn_id, text, done).await;
        }
        match told.await.unwrap_or(Err(Error::UnknownOutcome)) {
            Ok(seq) => {
                chat.posted(user, &room.id, seq);
                return Ok(());
            }
            Err(Error::RateLimited { retry_after_ms }) => sleep(Duration::from_millis(retry_after_ms)).await,
            Err(Error::UnknownOutcome) => sleep(TRY_AGAIN).await,
            Err(error) => return Err(error),
        }
    }
}

/// How one client's words look on its wire.
enum Dialect {
    Gorilla,
    /// Blueprints, chapter 1.
    Plain,
    /// Blueprints, chapters 2 and 3.
    Session,
    Heroku,
    /// Its e-mail, and how it calls this server.
    Gochatting {
        email: String,
        base: String,
    },
}

/// What a client said, by a name that it chose for just this where it may.
struct Said {
    name: Option<String>,
    text: String,
}

/// What these clients are told of an event; the text of one that was taken back is none.
#[derive(Deserialize)]
struct Heard {
    kind: Kind,
    at: Timestamp,
    author: Author,
    text: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SessionMessage<'a> {
    name: &'a str,
    message: &'a str,
    when: Timestamp,
    #[serde(rename = "AvatarURL")]
    avatar_url: String,
}

#[derive(Serialize)]
struct HerokuMessage {
    username: String,
    text: String,
}

/// All that gochatting is sent: each frame has all of it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GochattingFrame {
    #[serde(rename = "MType")]
    kind: &'static str,
    text_message: TextMessage,
    user_status: UserStatus,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TextMessage {
    content: String,
    user_info: Option<UserInfo>,
    time: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UserStatus {
    users: Option<Vec<UserInfo>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UserInfo {
    name: String,
    email: String,
    gravatar: String,
}

impl Dialect {
    fn message_bytes(&self, text_bytes: usize, frame_bytes: usize) -> usize {
        match self {
            Self::Gorilla => GORILLA_BYTES.min(text_bytes),
            Self::Plain | Self::Gochatting { .. } => text_bytes,
            Self::Session | Self::Heroku => frame_bytes,
        }
    }

    fn shows_people(&self) -> bool {
        matches!(self, Self::Gochatting { .. })
    }

    fn read(&self, frame: &str) -> Option<Said> {
        match self {
            Self::Gorilla | Self::Plain | Self::Gochatting { .. } => Some(Said { name: None, text: frame.to_owned() }),
            Self::Session => Some(Said { name: None, text: field(&serde_json::from_str(frame).ok()?, "message")? }),
            Self::Heroku => {
                let fields = serde_json::from_str(frame).ok()?;
                let name =
                    field(&fields, "username").filter(|name| !name.trim().is_empty() && name.len() <= NAME_BYTES);
                Some(Said { name, text: field(&fields, "text")? })
            }
        }
    }

    /// A message, for `me`; none where it was taken back, or is no message.
    fn message(&self, heard: &Heard, me: UserId) -> Option<String> {
        let Heard { kind: Kind::Message, at, author, text: Some(text) } = heard else { return None };
        Some(match self {
            Self::Gorilla => text.replace('\n', " "),
            Self::Plain => text.clone(),
            Self::Session => {
                let avatar_url = format!("/avatars/{}", author.id);
                json(&SessionMessage { name: &author.name, message: text, when: *at, avatar_url })
            }
            Self::Heroku => json(&HerokuMessage { username: escaped(&author.name), text: escaped(text) }),
            Self::Gochatting { email, base } => json(&GochattingFrame {
                kind: "text_mtype",
                text_message: TextMessage {
                    content: escaped(text),
                    user_info: Some(user_info(author, me, email, base)),
                    time: at.strftime("%m-%d %H:%M:%S").to_string(),
                },
                user_status: UserStatus { users: None },
            }),
        })
    }

    /// Who is there.
    fn people(&self, people: &[Author], me: UserId) -> String {
        let Self::Gochatting { email, base } = self else { return String::new() };
        let users = people.iter().map(|author| user_info(author, me, email, base)).collect();
        json(&GochattingFrame {
            kind: "status_mtype",
            text_message: TextMessage::default(),
            user_status: UserStatus { users: Some(users) },
        })
    }
}

/// Somebody as gochatting shows them. Only one's own e-mail is shown; in place of others' stands what is no address.
fn user_info(author: &Author, me: UserId, email: &str, base: &str) -> UserInfo {
    let Author { id, name } = author;
    let email = if *id == me { email.to_owned() } else { format!("{id}@guests.invalid") };
    UserInfo { name: escaped(name), email: escaped(&email), gravatar: escaped(&format!("{base}/avatars/{id}")) }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings always serialise")
}

/// A string in what a client sent, its name in any case.
fn field(fields: &Map<String, Value>, name: &str) -> Option<String> {
    let (_, value) = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    value.as_str().map(str::to_owned)
}

/// For pages that take what they are sent for HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The e-mail by which somebody comes in. No address has a space: where there is one stood a plus that was not encoded.
fn email(query: &str) -> String {
    let email = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "email");
    email.map(|(_, email)| email.trim().replace(' ', "+")).unwrap_or_default()
}
