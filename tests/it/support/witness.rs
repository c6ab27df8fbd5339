//! Who posts as fast as they can and remembers what they were told, and who reads along: between them they notice every
//! message that is lost, doubled or moved, over breaks of connection and ends of servers.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::http::Request;
use super::{in_time, number, text};

pub const ROOMS: [&str; 2] = ["lobby", "garden"];
/// Posts of one poster that wait for their acknowledgement.
const WINDOW: usize = 32;

pub struct Post {
    pub room: &'static str,
    /// Its `txn_id`, too.
    pub text: String,
    /// As it was acknowledged.
    pub seq: Option<u64>,
}

/// Posts as fast as it is let, and remembers what it was told.
pub struct Poster {
    pub name: String,
    pub token: String,
    pub posts: Vec<Post>,
    /// Those that were sent and not acknowledged, the oldest first.
    pub unknown: Vec<usize>,
}

impl Poster {
    pub fn new(name: String) -> Self {
        Self { name, token: String::new(), posts: Vec::new(), unknown: Vec::new() }
    }

    /// On their first day they get their session, and the garden is made.
    pub async fn arrives(&mut self, addr: SocketAddr) {
        if !self.token.is_empty() {
            return;
        }
        let answer = Request::new(addr, "POST", "/api/session").json(&json!({ "name": self.name })).await;
        self.token = text(&answer.json()["token"]);
        let mut socket = open(addr, Some(&self.token)).await.expect("the server listens");
        let create = json!({ "type": "create", "ref": 1, "name": "Garden" });
        let reply = ask(&mut socket, &create).await.expect("a reply");
        assert!(reply.get("ok").is_some() || reply["error"]["code"] == "exists", "{reply}");
    }

    /// Until the connection breaks, or the server refuses.
    pub async fn posts(&mut self, addr: SocketAddr, acknowledged: &watch::Sender<usize>) {
        let Ok(mut socket) = open(addr, Some(&self.token)).await else { return };
        if self.settles(&mut socket).await.is_err() {
            return;
        }
        loop {
            while self.unknown.len() < WINDOW {
                let number = self.writes();
                if self.feed(&mut socket, number).await.is_err() {
                    return;
                }
            }
            if socket.flush().await.is_err() || self.hears(&mut socket).await.is_err() {
                return;
            }
            acknowledged.send_modify(|count| *count += 1);
        }
    }

    /// Sends again all that it does not know of, and some that it does: each gets the seq that it had.
    pub async fn settles(&mut self, socket: &mut Socket) -> Result<(), Gone> {
        let known = self.posts.len().saturating_sub(10 + self.unknown.len())..self.posts.len();
        let again: Vec<_> = known.filter(|number| !self.unknown.contains(number)).collect();
        let all = [self.unknown.clone(), again].concat();
        for number in &all {
            self.feed(socket, *number).await?;
        }
        socket.flush().await.map_err(|_| Gone)?;
        for _ in all {
            self.hears(socket).await?;
        }
        Ok(())
    }

    pub fn writes(&mut self) -> usize {
        let number = self.posts.len();
        let text = format!("{}-{number}", self.name);
        self.posts.push(Post { room: ROOMS[number % ROOMS.len()], text, seq: None });
        self.unknown.push(number);
        number
    }

    pub async fn feed(&mut self, socket: &mut Socket, number: usize) -> Result<(), Gone> {
        let Post { room, text, .. } = &self.posts[number];
        let post = json!({ "type": "post", "ref": number, "room": room, "txn_id": text, "text": text });
        socket.feed(Message::text(post.to_string())).await.map_err(|_| Gone)
    }

    /// Waits for the next acknowledgement.
    pub async fn hears(&mut self, socket: &mut Socket) -> Result<(), Gone> {
        let reply = next(socket, |frame| frame["type"] == "reply" && frame["ref"].is_u64()).await?;
        // Nothing but what the end of the server brings may go wrong.
        if let Some(error) = reply.get("error") {
            assert!(["unavailable", "unknown_outcome"].contains(&text(&error["code"]).as_str()), "{reply}");
            return Err(Gone);
        }
        let post = usize::try_from(number(&reply["ref"])).expect("a small number");
        let seq = number(&reply["ok"]["seq"]);
        let Post { text, seq: known, .. } = &mut self.posts[post];
        assert_eq!(*known.get_or_insert(seq), seq, "{text} has moved");
        self.unknown.retain(|unknown| *unknown != post);
        Ok(())
    }
}

/// Reads one room through all lives of the server.
pub struct Reader {
    pub room: String,
    pub epoch: Option<String>,
    pub events: Vec<Value>,
    /// The log may begin another life: something may be lost that nobody was promised.
    pub may_begin_anew: bool,
}

impl Reader {
    pub fn new(room: &str) -> Self {
        Self { room: room.to_owned(), epoch: None, events: Vec::new(), may_begin_anew: false }
    }

    /// Up to this seq, or until the connection breaks.
    pub async fn reads(&mut self, addr: SocketAddr, to: Option<usize>) {
        let Ok(mut socket) = open(addr, None).await else { return };
        if !self.goes_on(&mut socket, to).await {
            return;
        }
        while to.is_none_or(|to| self.events.len() < to) {
            let Ok(event) = next(&mut socket, |frame| frame["type"] == "event" || frame["type"] == "reset").await
            else {
                assert!(to.is_none(), "the connection broke after {} of {to:?}", self.events.len());
                return;
            };
            if event["type"] == "reset" {
                self.begins_anew(&event);
                if !self.goes_on(&mut socket, to).await {
                    return;
                }
                continue;
            }
            assert_eq!(number(&event["seq"]), self.events.len() as u64 + 1, "a gap or a double in {}", self.room);
            self.events.push(event);
        }
    }

    /// Whether it reads on from where it stopped.
    async fn goes_on(&mut self, socket: &mut Socket, to: Option<usize>) -> bool {
        loop {
            match self.subscribe(socket).await {
                Ok(subscribed) => return subscribed.is_some(),
                // A node that cannot reach its store makes no room live; it may be asked later.
                Err(error) if to.is_none() && error["code"] == "unavailable" => return false,
                Err(error) if error["code"] == "reset" => self.begins_anew(&error),
                Err(error) => panic!("the cursor of {} is refused: {error}", self.room),
            }
        }
    }

    fn begins_anew(&mut self, reset: &Value) {
        assert!(self.may_begin_anew, "what was read stands, and nobody is put out of {}: {reset}", self.room);
        self.epoch = None;
        self.events.clear();
    }

    /// From where it stopped. None where the connection broke.
    pub async fn subscribe(&mut self, socket: &mut Socket) -> Result<Option<()>, Value> {
        let mut subscribe = json!({ "type": "subscribe", "ref": 1, "room": self.room });
        match &self.epoch {
            Some(epoch) => subscribe["cursor"] = json!({ "epoch": epoch, "seq": self.events.len() }),
            None => subscribe["last"] = json!(u32::MAX),
        }
        let Ok(reply) = ask(socket, &subscribe).await else { return Ok(None) };
        if let Some(error) = reply.get("error") {
            return Err(error.clone());
        }
        assert_eq!(reply["ok"]["seq"], self.events.len());
        self.epoch = Some(text(&reply["ok"]["epoch"]));
        Ok(Some(()))
    }
}

/// Whoever comes now reads what was read before.
pub async fn assert_reads_the_same(addr: SocketAddr, reader: &Reader) {
    let mut newcomer = Reader::new(&reader.room);
    newcomer.reads(addr, Some(reader.events.len())).await;
    assert_eq!(newcomer.events, reader.events);
}

pub type Socket = WebSocketStream<TcpStream>;

/// The connection is over.
#[derive(Debug)]
pub struct Gone;

pub async fn open(addr: SocketAddr, token: Option<&str>) -> Result<Socket, Gone> {
    let mut request = format!("ws://{addr}/api/socket").into_client_request().expect("a URL");
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("a header's value");
        request.headers_mut().insert("authorization", value);
    }
    let stream = TcpStream::connect(addr).await.map_err(|_| Gone)?;
    stream.set_nodelay(true).expect("a TCP socket");
    let opened = in_time("a connection", tokio_tungstenite::client_async(request, stream)).await;
    Ok(opened.map_err(|_| Gone)?.0)
}

pub async fn ask(socket: &mut Socket, command: &Value) -> Result<Value, Gone> {
    socket.send(Message::text(command.to_string())).await.map_err(|_| Gone)?;
    next(socket, |frame| frame["type"] == "reply" && frame["ref"] == command["ref"]).await
}

/// The next frame that fits; the others are passed over.
pub async fn next(socket: &mut Socket, fits: impl Fn(&Value) -> bool) -> Result<Value, Gone> {
    loop {
        match in_time("a frame, or the end", socket.next()).await {
            Some(Ok(Message::Text(words))) => {
                let frame: Value = serde_json::from_str(&words).expect("a frame of JSON");
                if fits(&frame) {
                    return Ok(frame);
                }
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(_) | Err(_)) | None => return Err(Gone),
        }
    }
}
