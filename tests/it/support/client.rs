//! A client from outside: tokio-tungstenite speaks for it, and its frames wait, in the order in which they came, until
//! the play asks for them.

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{PATIENCE, in_time, list, number, text};

/// So many frames are shown by a client that waited in vain.
const SHOWN: usize = 12;

pub struct Client {
    socket: WebSocketStream<TcpStream>,
    pub id: String,
    pub name: String,
    pub hello: Value,
    /// What came and was not asked for yet.
    arrived: VecDeque<Value>,
    closed: Option<Closed>,
    last_ref: u64,
    /// How many pings came.
    pub pings: u64,
    /// The last frames, for whoever has to find out what went wrong.
    seen: VecDeque<String>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    By(u16),
    /// With a close frame that has no code.
    Silently,
    /// Without any close frame.
    Broken,
}

/// A connection that is about to be opened; awaiting it opens it.
pub struct Call {
    addr: SocketAddr,
    path: String,
    headers: Vec<(String, String)>,
}

impl Call {
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, path: "/api/socket".to_owned(), headers: Vec::new() }
    }

    /// Proposes a name, which has to fit into a URL as it is.
    pub fn name(mut self, name: &str) -> Self {
        self.path = format!("/api/socket?name={name}");
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As a proxy passes it on that had it from this address.
    pub fn from(self, address: &str) -> Self {
        self.header("X-Forwarded-For", address)
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn cookie(self, token: &str) -> Self {
        self.header("Cookie", &format!("chinwag_session={token}"))
    }
}

impl IntoFuture for Call {
    type Output = Client;
    type IntoFuture = Pin<Box<dyn Future<Output = Client>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { in_time("a connection", Client::connect(&self)).await })
    }
}

impl Client {
    async fn connect(call: &Call) -> Self {
        let mut request = format!("ws://{}{}", call.addr, call.path).into_client_request().expect("a URL");
        for (name, value) in &call.headers {
            let name = HeaderName::try_from(name.as_str()).expect("a header's name");
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        let stream = TcpStream::connect(call.addr).await.expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .unwrap_or_else(|error| panic!("{} was refused: {error:?}", call.path));
        let mut client = Self {
            socket,
            id: String::new(),
            name: call.path.clone(),
            hello: Value::Null,
            arrived: VecDeque::new(),
            closed: None,
            last_ref: 0,
            pings: 0,
            seen: VecDeque::new(),
        };
        client.hello = client.next_frame().await;
        assert_eq!(client.hello["type"], "hello", "the server speaks first");
        client.id = text(&client.hello["user"]["id"]);
        client.name = text(&client.hello["user"]["name"]);
        client
    }

    /// Subscribes from the head on.
    pub async fn subscribes(&mut self, room: &str) -> Value {
        self.subscribes_to_last(room, 0).await
    }

    pub async fn subscribes_to_last(&mut self, room: &str, last: u64) -> Value {
        self.asks(json!({"type": "subscribe", "room": room, "last": last})).await
    }

    /// Subscribes after the event that a cursor names.
    pub async fn resumes(&mut self, room: &str, epoch: &Value, seq: u64) -> Value {
        self.asks(json!({"type": "subscribe", "room": room, "cursor": {"epoch": epoch, "seq": seq}})).await
    }

    pub async fn unsubscribes(&mut self, room: &str) {
        self.asks(json!({"type": "unsubscribe", "room": room})).await;
    }

    /// Posts, and gives the seq of the acknowledged message.
    pub async fn says(&mut self, room: &str, words: &str) -> u64 {
        let post = self.post(room, words);
        number(&self.asks(post).await["seq"])
    }

    /// A post with a `txn_id` of its own, not sent yet.
    pub fn post(&self, room: &str, words: &str) -> Value {
        // Over all connections, since a txn_id is its user's.
        static LAST: AtomicU64 = AtomicU64::new(0);
        let txn_id = format!("{}-{}", &self.id[24..], LAST.fetch_add(1, Ordering::Relaxed));
        json!({"type": "post", "room": room, "txn_id": txn_id, "text": words})
    }

    /// Posts all of these at once, and gives their seqs.
    pub async fn says_all(&mut self, room: &str, words: impl IntoIterator<Item = String>) -> Vec<u64> {
        let mut posts = Vec::new();
        for words in words {
            let mut post = self.post(room, &words);
            self.last_ref += 1;
            post["ref"] = self.last_ref.into();
            posts.push(post);
        }
        self.send_at_once(&posts).await;
        let mut seqs = Vec::new();
        for post in posts {
            let outcome = self.reply(&post["ref"]).await;
            seqs.push(number(&outcome["ok"]["seq"]));
        }
        seqs
    }

    /// The next events of a room, so many; each follows the one before it.
    pub async fn hears_events(&mut self, room: &str, count: usize) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::with_capacity(count);
        while events.len() < count {
            let what = format!("event {} of {count} of {room}", events.len() + 1);
            let event = self.find(&what, |frame| frame["type"] == "event" && frame["room"] == room).await;
            if let Some(last) = events.last() {
                assert_eq!(number(&event["seq"]), number(&last["seq"]) + 1, "{}: {event} after {last}", self.name);
            }
            events.push(event);
        }
        events
    }

    /// The next event says these words; gives the event.
    pub async fn hears(&mut self, words: &str) -> Value {
        let event = self.next_event(&format!("{words:?}")).await;
        assert_eq!(event["text"], words, "{}: in place of what was expected came {event}", self.name);
        event
    }

    /// The next event of any room.
    pub async fn next_event(&mut self, what: &str) -> Value {
        self.find(what, |frame| frame["type"] == "event").await
    }

    /// The next push of this type; what came before it stays to be asked for.
    pub async fn next_push(&mut self, kind: &str) -> Value {
        self.find(&format!("a push {kind}"), |frame| frame["type"] == kind).await
    }

    /// The next frame, whatever it is.
    pub async fn next_frame(&mut self) -> Value {
        self.find("any frame", |_| true).await
    }

    /// The first frame that fits, taken from among what has come and what comes.
    pub async fn find(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let at = self.sees(what, fits).await;
        self.arrived.remove(at).expect("it is there")
    }

    /// Waits for a frame that fits and leaves it in its place among those that have come, which it gives.
    pub async fn sees(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> usize {
        let deadline = Instant::now() + PATIENCE;
        let mut looked_at = 0;
        loop {
            if let Some(at) = self.arrived.iter().skip(looked_at).position(&fits) {
                return looked_at + at;
            }
            looked_at = self.arrived.len();
            if let Some(closed) = self.closed {
                panic!("{} waited for {what} and was closed: {closed:?}; {}", self.name, self.story());
            }
            self.receive(what, deadline).await;
        }
    }

    /// Takes everything of this type that has come so far, without waiting.
    pub fn take_arrived(&mut self, kind: &str) -> Vec<Value> {
        let (taken, kept): (Vec<_>, _) = self.arrived.drain(..).partition(|frame| frame["type"] == kind);
        self.arrived = kept.into();
        taken
    }

    /// Takes everything that has come so far, without waiting.
    pub fn take_all(&mut self) -> Vec<Value> {
        self.arrived.drain(..).collect()
    }

    /// Nothing of this type has come so far.
    pub fn heard_no(&self, kind: &str) {
        let found = self.arrived.iter().find(|frame| frame["type"] == kind);
        assert!(found.is_none(), "{} was to hear no {kind} and heard {found:?}", self.name);
    }

    /// Sends a command with a ref of its own; gives what the reply says, `ok` or `error`.
    pub async fn ask(&mut self, command: Value) -> Result<Value, Value> {
        let reference = self.begin(command).await;
        self.outcome(reference).await
    }

    /// Sends a command that is carried out.
    pub async fn asks(&mut self, command: Value) -> Value {
        let asked = command.to_string();
        self.ask(command).await.unwrap_or_else(|error| panic!("{} was refused {asked}: {error}", self.name))
    }

    /// Sends a command that is refused with this code; gives the error.
    pub async fn is_refused(&mut self, command: Value, code: &str) -> Value {
        let asked = command.to_string();
        match self.ask(command).await {
            Err(error) if error["code"] == code => error,
            other => panic!("{} expected the error {code} to {asked}, found {other:?}", self.name),
        }
    }

    /// Sends a command with a ref of its own, without waiting for the reply.
    pub async fn begin(&mut self, mut command: Value) -> u64 {
        self.last_ref += 1;
        command["ref"] = self.last_ref.into();
        self.send(&command).await;
        self.last_ref
    }

    /// The reply to a command that was begun.
    pub async fn outcome(&mut self, reference: u64) -> Result<Value, Value> {
        let reply = self.reply(&json!(reference)).await;
        match (reply.get("ok"), reply.get("error")) {
            (Some(ok), None) => Ok(ok.clone()),
            (None, Some(error)) => Err(error.clone()),
            _ => panic!("a reply has either ok or error: {reply}"),
        }
    }

    /// The reply with this ref, whole.
    pub async fn reply(&mut self, reference: &Value) -> Value {
        let what = format!("the reply to {reference}");
        self.find(&what, |frame| frame["type"] == "reply" && frame["ref"] == *reference).await
    }

    pub async fn send(&mut self, command: &Value) {
        self.send_text(&command.to_string()).await;
    }

    pub async fn send_text(&mut self, words: &str) {
        self.send_message(Message::text(words)).await;
    }

    pub async fn send_message(&mut self, message: Message) {
        let sent = in_time("the server to take a frame", self.socket.send(message)).await;
        sent.unwrap_or_else(|error| panic!("{} cannot send: {error}; {}", self.name, self.story()));
    }

    /// Sends several commands with one write; the refs are theirs.
    pub async fn send_at_once(&mut self, commands: &[Value]) {
        for command in commands {
            self.socket.feed(Message::text(command.to_string())).await.expect("a socket that takes it");
        }
        in_time("the server to take some frames", self.socket.flush()).await.expect("a socket that takes it");
    }

    /// Sends commands that bring their own refs, and goes on reading meanwhile, so that the server can go on too.
    pub async fn begin_all(&mut self, commands: &[Value]) {
        let deadline = Instant::now() + PATIENCE;
        for commands in commands.chunks(50) {
            self.send_at_once(commands).await;
            // What has come by now is taken without waiting for more.
            let _ = tokio::time::timeout(Duration::ZERO, self.receive("anything", deadline)).await;
        }
    }

    /// Waits until so many pings have come since it was greeted, and answers them.
    pub async fn is_pinged(&mut self, pings: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.pings < pings {
            assert_eq!(self.closed, None, "{} waited for ping {pings}", self.name);
            self.receive("a ping", deadline).await;
        }
    }

    /// A round trip: every command sent before this has been carried out.
    pub async fn is_answered(&mut self) {
        self.asks(json!({"type": "present", "room": "lobby", "limit": 1})).await;
    }

    /// Goes to a room of its own and hears itself there: every event that was acknowledged to anybody before this, of
    /// every room that it was subscribed to, has come.
    pub async fn is_up_to_date(&mut self) {
        let room = format!("echo {}", &self.id[self.id.len() - 12..]);
        let room = match self.ask(json!({"type": "create", "name": room})).await {
            Ok(created) => text(&created["room"]),
            Err(error) => text(&error["room"]),
        };
        self.subscribes(&room).await;
        let seq = self.says(&room, "echo").await;
        self.find("the echo", |frame| frame["type"] == "event" && frame["room"] == *room && frame["seq"] == seq).await;
        self.unsubscribes(&room).await;
    }

    /// Who is online in a room, by name, in the order of the ids.
    pub async fn sees_present(&mut self, room: &str) -> Vec<String> {
        let answer = self.asks(json!({"type": "present", "room": room, "limit": 200})).await;
        list(&answer["users"]).iter().map(|user| text(&user["name"])).collect()
    }

    /// Waits until a presence push of the room satisfies.
    pub async fn sees_presence(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.find(what, |frame| frame["type"] == "presence" && fits(frame)).await
    }

    /// The server closes with this code. What comes before can still be asked for.
    pub async fn expects_close(&mut self, code: u16) {
        let closed = self.is_closed().await;
        assert_eq!(closed, Closed::By(code), "{}; {}", self.name, self.story());
    }

    /// Waits for the end, however it comes.
    pub async fn is_closed(&mut self) -> Closed {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(closed) = self.closed {
                return closed;
            }
            self.receive("the connection to be closed", deadline).await;
        }
    }

    /// Goes with a close frame, and waits for the server's.
    pub async fn leaves(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.socket.close(Some(frame)).await.expect("a socket that takes it");
        assert_eq!(self.is_closed().await, Closed::By(1000), "a close is answered by its own code");
    }

    /// Goes with a FIN and no close frame.
    pub async fn hangs_up(mut self) -> impl Sized {
        self.socket.get_mut().shutdown().await.expect("a socket that is open");
        // The socket lives on in the caller's hands: closing it with something unread would send an RST.
        self.socket
    }

    /// Goes with an RST, as a program that crashes.
    pub fn crashes(self) {
        let socket = socket2::SockRef::from(self.socket.get_ref());
        socket.set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    }

    async fn receive(&mut self, what: &str, deadline: Instant) {
        let Ok(message) = tokio::time::timeout_at(deadline, self.socket.next()).await else {
            panic!("{} waited in vain for {what}; {}", self.name, self.story());
        };
        match message {
            Some(Ok(Message::Text(words))) => {
                self.note(words.chars().take(400).collect());
                let frame = serde_json::from_str(&words).unwrap_or_else(|error| panic!("{error} in {words}"));
                self.arrived.push_back(frame);
            }
            Some(Ok(Message::Ping(_))) => {
                self.pings += 1;
                // The pong is written now, not with the next command.
                let _ = self.socket.flush().await;
            }
            Some(Ok(Message::Close(frame))) => {
                self.note(format!("{frame:?}"));
                self.closed = Some(frame.map_or(Closed::Silently, |frame| Closed::By(frame.code.into())));
                // Answers the close, and waits for the end of the stream.
                while let Ok(Some(Ok(_))) = tokio::time::timeout_at(deadline, self.socket.next()).await {}
                // As clients do, it ends its side too.
                let _ = self.socket.get_mut().shutdown().await;
            }
            Some(Ok(other)) => panic!("{} was sent {other:?}", self.name),
            Some(Err(Error::ConnectionClosed)) | None => self.closed = Some(self.closed.unwrap_or(Closed::Broken)),
            Some(Err(error)) => {
                self.note(error.to_string());
                self.closed = Some(Closed::Broken);
            }
        }
    }

    fn note(&mut self, frame: String) {
        if self.seen.len() == SHOWN {
            self.seen.pop_front();
        }
        self.seen.push_back(frame);
    }

    fn story(&self) -> String {
        format!("the last frames that came: {:#?}", self.seen)
    }
}
