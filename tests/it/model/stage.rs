//! Where the plays are played: the real chat, hub, worker and store, with the test between them. It decides when a
//! commit is announced, when the store's answers come, when a task runs, and what a wire takes.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use chinwag::chat::connection::{Connection, Nudges, OUTBOX_FULL, Pumped};
use chinwag::chat::hub::{News, TailLimits};
use chinwag::chat::tail::View;
use chinwag::chat::user::User;
use chinwag::chat::worker::Worker;
use chinwag::chat::{Chat, Open, Settings};
use chinwag::error::{Error, Result};
use chinwag::fetch::Fetcher;
use chinwag::frame;
use chinwag::protocol::{
    Author, Content, Cursor, Epoch, Event, Kind, Limits, Position, Ref, RoomId, RoomKind, Seq, Start, UserId,
};
use chinwag::store::{
    self, Announcement, Answer, Append, Committed, Completion, Directory, Durability, Effect, Log, Messages, Options,
    Page, Right, RoomInfo, Span, Store, Unread, Watch, Watcher, Window,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::Op;
use super::stream::{Frame, Pipe};

pub type Tails = TailLimits;

/// Those of a server that is started without options.
pub const TAILS: Tails = TailLimits { room_bytes: 256 << 10, all_bytes: 64 << 20 };

/// How the hub hears of the next commit.
#[derive(Clone, Copy, Debug)]
pub enum Announce {
    AsItIs,
    /// With so many events that it has heard of.
    Overlapping(u64),
    /// Together with the one after it.
    WithTheNext,
    /// Not at all.
    Lost,
}

pub struct Stage {
    chat: Arc<Chat>,
    worker: Rc<Worker>,
    work: Pin<Box<dyn Future<Output = ()>>>,
    worker_bell: Arc<Bell>,
    store: Arc<StagedLog>,
    committed: mpsc::Receiver<Announcement>,
    /// What the hub has not heard of, the oldest first.
    unheard: VecDeque<Announcement>,
    directory: Arc<dyn Directory>,
    rooms: Vec<Logged>,
    clients: Vec<Client>,
    gone: Vec<Client>,
    author: Author,
    longest: usize,
    tails: Tails,
    _dir: TempDir,
}

/// The model: what a room's log holds, in each of its lives.
struct Logged {
    id: RoomId,
    lives: Vec<Life>,
    /// What the hub heard of it last.
    heard: Option<(Epoch, Seq)>,
}

struct Life {
    epoch: Epoch,
    events: Vec<Event>,
    /// Emptied events, and from which byte on each connection (of an id) must not be sent their content.
    emptied: HashMap<Seq, Option<HashMap<u64, usize>>>,
}

struct Client {
    id: u64,
    store: Arc<StagedLog>,
    connection: Rc<Connection>,
    pipe: Rc<Pipe>,
    nudges: Arc<Nudges>,
    /// It was nudged and not given its turn since.
    due: Cell<bool>,
    blocked: bool,
    asked: VecDeque<Ask>,
    command: Option<Task>,
    page: Option<Task>,
    answers: Rc<RefCell<VecDeque<Told>>>,
    references: Cell<i64>,
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

enum Ask {
    Subscribe(RoomId, Start),
    Unsubscribe(RoomId),
}

/// What a connection was told in reply to a command.
enum Told {
    Subscribed { room: RoomId, cursor: Cursor },
    Refused,
    Unsubscribed { room: RoomId },
}

impl Stage {
    pub fn new(connections: usize, rooms: usize, tails: Tails) -> Self {
        let dir = TempDir::new().unwrap();
        let options = Options { dir: dir.path().to_owned(), durability: Durability::Fast, redis: None };
        let (told, committed) = mpsc::channel();
        let mut staged = None;
        let open = |_hub: Arc<dyn Watcher>| {
            let store = store::open(&options, Arc::new(Relay(told)))?;
            let log = Arc::new(StagedLog {
                log: store.log,
                answers: true.into(),
                held: false.into(),
                lives: Mutex::default(),
            });
            staged = Some((log.clone(), store.directory.clone()));
            Ok(Store { log, ..store })
        };
        let settings = Settings {
            workers: 1,
            tails,
            rates: None,
            limits: Limits { text_bytes: 100_000, frame_bytes: 262_144 },
            heartbeat: Duration::from_secs(30),
            join: None,
            passwords: true,
            gravatar: None,
            providers: Vec::new(),
            public_url: None,
            mailer: None,
            fetcher: Fetcher::new(&[]).unwrap(),
        };
        let chat = wait(Chat::start(settings, open)).unwrap();
        let (store, directory) = staged.unwrap();
        store.answers.store(false, Ordering::Release);
        let worker = Worker::new(chat.clone(), 0);
        let mut stage = Self {
            work: Box::pin(worker.clone().run()),
            worker_bell: Bell::rung(),
            chat,
            worker,
            store,
            committed,
            unheard: VecDeque::new(),
            directory,
            rooms: Vec::new(),
            clients: Vec::new(),
            gone: Vec::new(),
            author: Author { id: UserId::random(), name: "bob".into() },
            longest: 0,
            tails,
            _dir: dir,
        };
        for number in 0..rooms {
            stage.rooms.push(Logged { id: format!("room-{number}").as_str().into(), lives: Vec::new(), heard: None });
            stage.restore(number, 0);
        }
        // As on a server: at work before anybody comes.
        stage.work();
        stage.clients = (0..connections as u64).map(|id| stage.enters(id)).collect();
        stage
    }

    pub fn does(&mut self, op: &Op) {
        match *op {
            Op::Append { room, ref lengths } => self.append(room % self.rooms.len(), lengths),
            Op::Redact { room, target } => self.redact(room % self.rooms.len(), target),
            Op::Restore { room, keep } => self.restore(room % self.rooms.len(), keep),
            Op::Announce(how) => self.announce(how),
            Op::Subscribe { who, room, last } => {
                let room = self.room(room).id.clone();
                self.client(who).asks(Ask::Subscribe(room, Start::Last(last)));
            }
            Op::Resume { who, room, seq, stale } => {
                let room = self.room(room);
                let seq = seq % (room.now().head() + 2);
                let id = room.id.clone();
                let epoch = if stale { room.lives[0].epoch } else { room.now().epoch };
                self.client(who).asks(Ask::Subscribe(id, Start::Cursor(Cursor { epoch, seq })));
            }
            Op::Unsubscribe { who, room } => {
                let room = self.room(room).id.clone();
                self.client(who).asks(Ask::Unsubscribe(room));
            }
            Op::Signal { room } => {
                if let Some(room) = self.chat.hub.room(&self.room(room).id) {
                    let json = json!({ "type": "typing", "room": room.id, "users": [] }).to_string().into();
                    self.chat.hub.tell(0, News::Signal { room, json });
                }
            }
            Op::Ping { who } => {
                let connection = self.client(who).connection.clone();
                connection.say_frames(|out| frame::write_ping(b"", out));
                connection.flush();
            }
            Op::Take { who, bytes } => self.client(who).pipe.take(bytes),
            Op::Flow { who } => self.client(who).pipe.flow(),
            Op::Narrow { who, bytes } => self.client(who).pipe.narrow(bytes),
            Op::Answers => self.answers(),
            Op::Round => self.work(),
            Op::Tend { who, woken } => {
                let worker = self.worker.clone();
                let client = self.client(who);
                if !woken || client.is_due() {
                    client.poll(&worker);
                }
            }
            Op::Leave { who } => self.leaves(who),
        }
    }

    /// No outbox holds more than its bound and one frame, no tail more than its limit.
    pub fn is_bounded(&self) {
        for client in &self.clients {
            let waits = client.connection.outbox_len();
            assert!(waits <= OUTBOX_FULL + self.longest + 1_000, "{waits} bytes wait in an outbox");
        }
        let held = self.chat.hub.tail_bytes();
        assert!(held <= self.tails.all_bytes, "the tails hold {held} bytes");
    }

    /// Everything takes its course: all is announced and answered, every wire takes what there is. Whoever is not
    /// woken does not run: a wake-up that was forgotten shows here.
    pub fn comes_to_rest(&mut self) {
        while !self.unheard.is_empty() {
            self.announce(Announce::AsItIs);
        }
        self.store.answers.store(true, Ordering::Release);
        for client in &self.clients {
            client.pipe.narrow(usize::MAX);
            client.pipe.flow();
        }
        self.rests();
        self.is_level();
        // Where an announcement was lost, the next one makes up for it.
        for room in 0..self.rooms.len() {
            self.append(room, &[0]);
            self.announce(Announce::AsItIs);
        }
        self.rests();
        self.is_level();
    }

    fn rests(&mut self) {
        for _ in 0..100_000 {
            let mut rests = !self.worker_bell.has_rung();
            self.work();
            for client in &mut self.clients {
                if client.is_due() || client.waits_for_answers() {
                    rests = false;
                    client.poll(&self.worker);
                }
            }
            if rests {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Of a room whose last event the hub has heard of, every reader stands at the head.
    fn is_level(&self) {
        for room in &self.rooms {
            let Life { epoch, events, .. } = room.now();
            let head = Cursor { epoch: *epoch, seq: events.len() as Seq };
            if room.heard != Some((head.epoch, head.seq)) {
                continue;
            }
            for client in &self.clients {
                if let Some(reader) = client.connection.reader(room.id.as_str()) {
                    assert_eq!(reader.cursor(), head, "was not served in {}", room.id);
                }
            }
        }
    }

    /// What came out of every wire is what the model says.
    pub fn all_is_told(&self) {
        for client in &self.gone {
            self.check(client, false);
        }
        for client in &self.clients {
            self.check(client, true);
            assert_eq!(client.connection.outbox_len(), 0);
        }
    }

    /// When all have gone, no room lives and no tail holds a byte.
    pub fn leaves_nothing(mut self) {
        for client in self.clients.drain(..) {
            self.worker.remove(&client.connection);
        }
        while self.worker_bell.has_rung() {
            self.work();
        }
        // Rooms are held until the other nodes were told who has gone.
        drop(self.chat.hub.take_untold());
        for room in &self.rooms {
            assert!(self.chat.hub.room(&room.id).is_none(), "{} lives on", room.id);
        }
        assert_eq!(self.chat.hub.tail_bytes(), 0);
        self.store.close();
    }

    fn room(&self, room: usize) -> &Logged {
        &self.rooms[room % self.rooms.len()]
    }

    fn life(&self, room: &str, epoch: Epoch) -> &Life {
        let room = self.rooms.iter().find(|logged| logged.id.as_str() == room).expect("a room of the play");
        room.lives.iter().find(|life| life.epoch == epoch).expect("a life of its log")
    }

    fn client(&mut self, who: usize) -> &mut Client {
        let among = self.clients.len();
        &mut self.clients[who % among]
    }

    fn enters(&self, id: u64) -> Client {
        let user = Arc::new(User::guest(UserId::random(), "somebody".into()));
        user.set_stored();
        let client = Client::new(id, user, self.store.clone());
        self.worker.add(client.connection.clone(), []);
        client
    }

    fn leaves(&mut self, who: usize) {
        let who = who % self.clients.len();
        let id = (self.clients.len() + self.gone.len()) as u64;
        let newcomer = self.enters(id);
        let mut client = std::mem::replace(&mut self.clients[who], newcomer);
        client.pipe.broken.set(true);
        self.worker.remove(&client.connection);
        (client.command, client.page) = (None, None);
        self.gone.push(client);
    }

    fn work(&mut self) {
        if self.worker_bell.answered() {
            let waker = Waker::from(self.worker_bell.clone());
            assert!(self.work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "a worker never ends");
        }
    }

    fn answers(&mut self) {
        self.store.answers.store(true, Ordering::Release);
        for client in self.clients.iter_mut().filter(|client| client.waits_for_answers()) {
            client.poll_tasks();
        }
        self.store.answers.store(false, Ordering::Release);
    }

    fn append(&mut self, room: usize, lengths: &[usize]) {
        let events = lengths.iter().map(|length| (self.event(&"x".repeat(*length), Kind::Message, None), Effect::None));
        let events = events.collect();
        self.longest = self.longest.max(lengths.iter().copied().max().unwrap_or(0));
        let announcement = self.commit(room, events);
        self.unheard.push_back(announcement);
    }

    fn redact(&mut self, room: usize, target: u64) {
        let target = 1 + target % self.rooms[room].now().head().max(1);
        let event = self.event("", Kind::Delete, Some(target));
        let announcement = self.commit(room, vec![(event, Effect::Redact(target))]);
        self.unheard.push_back(announcement);
        let life = self.rooms[room].lives.last_mut().unwrap();
        if target < life.head() {
            life.emptied.entry(target).or_default();
        }
    }

    /// Every life is a log of its own in the real store. The hub hears nothing of it, but with the next announcement.
    fn restore(&mut self, room: usize, keep: u64) {
        let logged = &self.rooms[room];
        let kept: Vec<_> = match logged.lives.last() {
            Some(life) => (1..=keep % (life.head() + 1)).map(|seq| (life.event(seq), Effect::None)).collect(),
            None => Vec::new(),
        };
        let id: RoomId = match logged.lives.len() {
            0 => logged.id.clone(),
            life => format!("{}-restored-{life}", logged.id).as_str().into(),
        };
        let info = RoomInfo::new(id.clone(), "A room".into(), RoomKind::Public);
        wait(self.directory.create_room(info, Vec::new())).unwrap();
        self.store.lives.lock().unwrap().insert(logged.id.clone(), id);
        let epoch = self.store.now(&logged.id).epoch;
        let emptied = kept.iter().zip(1..).filter(|((event, _), _)| event.content.is_none());
        let emptied = emptied.map(|(_, seq)| (seq, Some(HashMap::new()))).collect();
        self.rooms[room].lives.push(Life { epoch, events: Vec::new(), emptied });
        if !kept.is_empty() {
            self.commit(room, kept);
        }
    }

    /// No two events say the same.
    fn event(&self, text: &str, kind: Kind, target: Option<Seq>) -> Event {
        let id = Uuid::now_v7();
        let content = Content::message(&format!("{id} {text}"), None, &[], 1_000);
        let (at, author) = (jiff::Timestamp::now(), self.author.clone());
        Event { seq: 0, id, kind, at, author, txn_id: None, target, content: Some(content) }
    }

    fn commit(&mut self, room: usize, events: Vec<(Event, Effect)>) -> Announcement {
        let room = &mut self.rooms[room];
        let mut outcomes = Vec::new();
        for (event, effect) in events {
            let (tell, told) = mpsc::channel();
            let done = Completion::new(move |outcome| drop(tell.send(outcome)));
            self.store.append(Append { room: room.id.clone(), event, right: Right::Free, effect, done });
            outcomes.push(told);
        }
        for outcome in outcomes {
            outcome.recv().unwrap().unwrap();
        }
        let mut heard = self.committed.try_iter();
        let mut announcement = heard.next().expect("what was committed is announced");
        for more in heard {
            announcement.events.extend(more.events);
            announcement.redacted |= more.redacted;
        }
        announcement.room = room.id.clone();
        room.lives.last_mut().unwrap().events.extend(announcement.events.iter().cloned());
        announcement
    }

    fn announce(&mut self, how: Announce) {
        let Some(mut next) = self.unheard.pop_front() else { return };
        match how {
            Announce::AsItIs => {}
            Announce::Lost => return,
            Announce::Overlapping(events) => self.lengthen(&mut next, events),
            Announce::WithTheNext => match self.unheard.pop_front() {
                Some(after) if after.room == next.room && after.epoch == next.epoch => {
                    next.events.extend(after.events);
                    next.redacted |= after.redacted;
                }
                Some(after) if after.room != next.room => {
                    self.hear(vec![next, after]);
                    return;
                }
                Some(after) => self.unheard.push_front(after),
                None => {}
            },
        }
        self.hear(vec![next]);
    }

    /// Puts earlier events before those of the announcement, as the log holds them now.
    fn lengthen(&self, announcement: &mut Announcement, by: u64) {
        let life = self.life(announcement.room.as_str(), announcement.epoch);
        let first = announcement.events[0].seq;
        let earlier = (first.saturating_sub(by).max(1)..first).map(|seq| life.event(seq));
        announcement.events = earlier.chain(announcement.events.drain(..)).collect();
        announcement.redacted |= announcement.events.iter().any(|event| event.kind == Kind::Delete);
    }

    fn hear(&mut self, announcements: Vec<Announcement>) {
        let heard: Vec<_> = announcements.iter().map(|one| (one.epoch, one.events.last().unwrap().seq)).collect();
        self.chat.hub.committed(Committed { announcements, receipts: Vec::new() });
        let clients = self.clients.iter().chain(&self.gone);
        let sent: HashMap<u64, usize> = clients.map(|client| (client.id, client.pipe.len())).collect();
        for (epoch, seq) in heard {
            let mut rooms = self.rooms.iter_mut();
            let room = rooms.find(|room| room.lives.iter().any(|life| life.epoch == epoch)).unwrap();
            room.heard = Some((epoch, seq));
            let life = room.lives.iter_mut().find(|life| life.epoch == epoch).unwrap();
            // The deletions up to this event are known, those in a lost announcement too: it left a hole.
            for event in &life.events[..usize::try_from(seq).unwrap()] {
                if let Some(target) = event.target.filter(|target| *target < event.seq)
                    && let Some(since @ None) = life.emptied.get_mut(&target)
                {
                    *since = Some(sent.clone());
                }
            }
        }
    }

    /// Follows what a connection was sent, frame by frame.
    fn check(&self, client: &Client, is_here: bool) {
        let (frames, torn) = client.pipe.frames();
        assert!(!is_here || !torn, "the end of a frame is missing");
        let mut answers = client.answers.borrow_mut();
        let mut subscriptions: HashMap<String, Subscription> = HashMap::new();
        for (at, frame) in frames {
            let Frame::Text(json) = frame else { continue };
            let kind = json["type"].as_str().expect("every frame has a type");
            if kind == "reply" {
                take_reply(&mut subscriptions, answers.pop_front().expect("a reply answers a command"), &json);
                continue;
            }
            let room = json["room"].as_str().expect("a push names its room");
            let subscription = subscriptions.get_mut(room);
            let subscription = subscription.unwrap_or_else(|| panic!("not subscribed, and sent {json}"));
            match kind {
                "event" => {
                    let seq = subscription.seq + 1;
                    assert_eq!(json["seq"], seq, "after {} in {room}", subscription.seq);
                    self.life(room, subscription.epoch).check(seq, &json, client, at);
                    subscription.seq = seq;
                }
                "presence" => subscription.has_presence = true,
                "reset" => {
                    assert_ne!(json["epoch"], subscription.epoch.to_string(), "reset for nothing");
                    subscriptions.remove(room);
                }
                "typing" => {}
                other => panic!("nobody asked for {other}"),
            }
        }
        if is_here {
            assert!(answers.is_empty(), "a reply is missing");
            let told: HashSet<_> = subscriptions.keys().map(|room| RoomId::from(&**room)).collect();
            assert_eq!(told, client.connection.rooms().into_iter().collect(), "subscribed, as the client sees it");
            for (room, subscription) in subscriptions {
                let head = self.store.now(&room.as_str().into()).head_cursor();
                let Subscription { epoch, seq, has_presence } = subscription;
                assert_eq!(Cursor { epoch, seq }, head, "not at the head of {room}");
                assert!(has_presence, "was not told who is online in {room}");
            }
        }
    }
}

/// A subscription as the client sees it.
struct Subscription {
    epoch: Epoch,
    seq: Seq,
    has_presence: bool,
}

fn take_reply(subscriptions: &mut HashMap<String, Subscription>, told: Told, reply: &Value) {
    match told {
        Told::Subscribed { room, cursor: Cursor { epoch, seq } } => {
            assert_eq!(reply["ok"], json!({ "room": room, "seq": seq }));
            subscriptions.insert(room.to_string(), Subscription { epoch, seq, has_presence: false });
        }
        Told::Unsubscribed { room } => {
            assert_eq!(reply["ok"], json!({ "room": room }));
            subscriptions.remove(room.as_str());
        }
        Told::Refused => assert_eq!(reply["error"]["code"], "reset"),
    }
}

impl Logged {
    fn now(&self) -> &Life {
        self.lives.last().expect("a room has a log")
    }
}

impl Life {
    fn head(&self) -> Seq {
        self.events.len() as Seq
    }

    /// As it stands in the log now.
    fn event(&self, seq: Seq) -> Event {
        let mut event = self.events[usize::try_from(seq).unwrap() - 1].clone();
        if self.emptied.contains_key(&seq) {
            event.content = None;
        }
        event
    }

    /// This event began at byte `at` of what the connection was sent.
    fn check(&self, seq: Seq, json: &Value, client: &Client, at: usize) {
        let event = &self.events[usize::try_from(seq).unwrap() - 1];
        assert_eq!(json["id"], event.id.to_string(), "not the event of this seq");
        let emptied = self.emptied.get(&seq);
        if json["redacted"] == true {
            assert!(emptied.is_some() && json.get("text").is_none(), "emptied for nothing: {json}");
            return;
        }
        if let Some(Some(since)) = emptied {
            let since = since.get(&client.id).copied().unwrap_or(0);
            assert!(at < since, "sent after it was deleted: {json}");
        }
        let (text, _) = event.content.as_ref().and_then(Content::as_message).expect("it was not emptied in its batch");
        assert_eq!(json["text"], text);
    }
}

impl Client {
    fn new(id: u64, user: Arc<User>, store: Arc<StagedLog>) -> Self {
        let (pipe, nudges) = (Rc::new(Pipe::new()), Arc::<Nudges>::default());
        Self {
            id,
            store,
            connection: Rc::new(Connection::new(id, user, true, pipe.clone(), nudges.clone())),
            pipe,
            nudges,
            due: Cell::new(true),
            blocked: false,
            asked: VecDeque::new(),
            command: None,
            page: None,
            answers: Rc::default(),
            references: Cell::new(0),
        }
    }

    fn asks(&mut self, ask: Ask) {
        self.asked.push_back(ask);
        self.due.set(true);
    }

    /// Whether it would be given its turn now.
    fn is_due(&self) -> bool {
        if !self.nudges.take().is_empty() {
            self.due.set(true);
        }
        self.due.get() || self.blocked && self.pipe.is_writable()
    }

    fn waits_for_answers(&self) -> bool {
        self.command.is_some() || self.page.is_some()
    }

    /// As the door does it: commands one after the other, pages from the store, then all that can be sent.
    fn poll(&mut self, worker: &Rc<Worker>) {
        self.nudges.take();
        self.due.set(false);
        self.blocked = false;
        loop {
            let mut moved = self.poll_tasks();
            if self.command.is_none()
                && self.connection.outbox_len() < OUTBOX_FULL
                && let Some(ask) = self.asked.pop_front()
            {
                self.command = Some(self.carry_out(worker, ask));
                moved = true;
            }
            match self.connection.pump(&mut View::default(), false) {
                Pumped::Idle => {}
                Pumped::Blocked => self.blocked = true,
                Pumped::Reads(reader) => {
                    if self.page.is_none() {
                        let worker = worker.clone();
                        self.page = Some(Box::pin(async move { worker.read_page(reader).await.unwrap() }));
                        moved = true;
                    }
                }
                Pumped::Broken => panic!("its wire is whole"),
            }
            if !moved {
                return;
            }
        }
    }

    fn poll_tasks(&mut self) -> bool {
        let mut moved = false;
        for task in [&mut self.command, &mut self.page] {
            if let Some(under_way) = task
                && self.store.comes_to_an_end(under_way)
            {
                *task = None;
                moved = true;
            }
        }
        if moved {
            self.due.set(true);
        }
        moved
    }

    fn carry_out(&self, worker: &Rc<Worker>, ask: Ask) -> Task {
        let (worker, connection, answers) = (worker.clone(), self.connection.clone(), self.answers.clone());
        self.references.set(self.references.get() + 1);
        let reference = Ref::Number(self.references.get());
        Box::pin(async move {
            let told = match ask {
                Ask::Unsubscribe(room) => {
                    worker.unsubscribe(&connection, &room);
                    connection.reply(Some(&reference), &json!({ "room": room }));
                    Told::Unsubscribed { room }
                }
                Ask::Subscribe(room, start) => match subscribe(&worker, &connection.user, &room, start).await {
                    Ok((open, cursor)) => {
                        connection.reply(Some(&reference), &json!({ "room": room, "seq": cursor.seq }));
                        worker.subscribe(&connection, &open, cursor);
                        Told::Subscribed { room, cursor }
                    }
                    Err(error) => {
                        assert!(matches!(error, Error::Reset(_)), "{error}");
                        connection.refuse(Some(&reference), &error);
                        Told::Refused
                    }
                },
            };
            answers.borrow_mut().push_back(told);
        })
    }
}

async fn subscribe(worker: &Worker, user: &User, room: &RoomId, start: Start) -> Result<(Open, Cursor)> {
    let open = worker.chat.open(user, room).await?;
    let cursor = worker.chat.starts(room, open.position, start).await?;
    Ok((open, cursor))
}

/// The real log, but that its answers come when the test says so, and that a room can begin another life: which of the
/// real store's rooms it is may change.
struct StagedLog {
    log: Arc<dyn Log>,
    answers: AtomicBool,
    /// Somebody has just been kept waiting for an answer.
    held: AtomicBool,
    lives: Mutex<HashMap<RoomId, RoomId>>,
}

impl StagedLog {
    /// Where the room's log stands at this moment.
    fn now(&self, room: &RoomId) -> Position {
        wait(self.log.position(&self.real(room))).unwrap().expect("there is such a room")
    }

    fn real(&self, room: &RoomId) -> RoomId {
        self.lives.lock().unwrap().get(room).unwrap_or(room).clone()
    }

    /// What was read at this moment is told later.
    fn later<'a, T: Send + 'a>(&'a self, answer: Result<T>) -> Answer<'a, T> {
        let mut answer = Some(answer);
        Box::pin(std::future::poll_fn(move |_| {
            if self.answers.load(Ordering::Acquire) {
                Poll::Ready(answer.take().expect("an answer is told once"))
            } else {
                self.held.store(true, Ordering::Release);
                Poll::Pending
            }
        }))
    }

    /// Goes on with a task as far as the test lets it, whatever else it has to wait for; whether it has come to an end.
    fn comes_to_an_end(&self, task: &mut Task) -> bool {
        let stops = std::future::poll_fn(|cx| {
            self.held.store(false, Ordering::Release);
            match task.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(true),
                Poll::Pending if self.held.load(Ordering::Acquire) => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            }
        });
        wait(stops)
    }
}

impl Log for StagedLog {
    fn append(&self, append: Append) {
        let room = self.real(&append.room);
        self.log.append(Append { room, ..append });
    }

    fn watch<'a>(&'a self, room: &'a RoomId) -> Answer<'a, Watch> {
        self.log.watch(room)
    }

    fn follow(&self, room: &RoomId) -> Watch {
        self.log.follow(room)
    }

    fn position<'a>(&'a self, room: &'a RoomId) -> Answer<'a, Option<Position>> {
        self.later(wait(self.log.position(&self.real(room))))
    }

    fn read<'a>(&'a self, room: &'a RoomId, reader: Option<UserId>, span: Span) -> Answer<'a, Page> {
        // Small pages, so that catching up takes several.
        let span = Span { limit: span.limit.min(5), bytes: span.bytes.min(1_000), ..span };
        self.later(wait(self.log.read(&self.real(room), reader, span)))
    }

    fn messages<'a>(
        &'a self,
        room: &'a RoomId,
        reader: Option<UserId>,
        window: Window,
        limit: usize,
    ) -> Answer<'a, Messages> {
        self.log.messages(room, reader, window, limit)
    }

    fn unread<'a>(&'a self, room: &'a RoomId, user: UserId, after: Seq) -> Answer<'a, Unread> {
        self.log.unread(room, user, after)
    }

    fn worth(&self) -> String {
        self.log.worth()
    }

    fn close(&self) {
        self.log.close();
    }
}

/// Brings what was committed to the test, which brings it to the hub.
struct Relay(mpsc::Sender<Announcement>);

impl Watcher for Relay {
    fn committed(&self, batch: Committed) {
        for announcement in batch.announcements {
            // The test may be over.
            let _ = self.0.send(announcement);
        }
        for receipt in batch.receipts {
            receipt.done.tell(receipt.outcome);
        }
    }
}

/// Whether a task was woken.
struct Bell(AtomicBool);

impl Bell {
    fn rung() -> Arc<Self> {
        Arc::new(Self(true.into()))
    }

    fn ring(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn has_rung(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn answered(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// Waits on this thread, within whatever else is being waited for.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut answer = std::pin::pin!(answer);
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}
