//! The real binary is killed, or told to stop, while people post as fast as they can: whatever it acknowledged stands
//! where it said, nothing stands twice, and readers go on from their cursors as if nothing had been.
//! `CHINWAG_LONG=1` kills it more often.

use std::net::SocketAddr;

use futures_util::future::{join_all, join4};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::http::Request;
use crate::support::process::Process;
use crate::support::{in_time, number, text};

const ROOMS: [&str; 2] = ["lobby", "garden"];
const POSTERS: usize = 4;
/// Posts of one poster that wait for their acknowledgement.
const WINDOW: usize = 32;
/// What the one who does not listen posts in a round.
const UNHEARD: usize = 20;

#[tokio::test]
async fn what_was_acknowledged_survives_every_kill() {
    let rounds = if std::env::var_os("CHINWAG_LONG").is_some() { 40 } else { 5 };
    let mut play = Play::new();
    for round in 0..rounds {
        let process = play.start(&[]);
        play.goes_on(process, 100 + 40 * (round % 5), Process::kill).await;
    }
    play.everything_is_there(rounds).await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_being_told_to_stop() {
    let rounds = 3;
    let mut play = Play::new();
    for round in 0..rounds {
        let process = play.start(&[]);
        play.goes_on(process, 100 + 40 * round, |process| {
            let (status, log) = process.stop();
            assert_eq!(status.code(), Some(0), "{log}");
        })
        .await;
    }
    play.everything_is_there(rounds).await;
}

#[tokio::test]
async fn an_unclean_end_in_the_fast_mode_begins_new_epochs_and_a_clean_one_does_not() {
    let fast = ["--durability", "fast"];
    let mut play = Play::new();
    let first = play.start(&fast);
    play.goes_on(first, 100, |process| drop(process.stop())).await;
    for reader in &mut play.readers {
        assert!(reader.epoch.is_some(), "it has read");
    }
    let second = play.start(&fast);
    // Readers insist on their epoch: a reset would be a failure here.
    play.goes_on(second, 100, Process::kill).await;

    let third = play.start(&fast);
    for reader in &mut play.readers {
        let mut socket = open(third.addr, None).await.expect("the server listens");
        let error = reader.subscribe(&mut socket).await.expect_err("an epoch that has ended");
        assert_eq!((&error["code"], &error["oldest"]), (&json!("reset"), &json!(1)));
        assert_ne!(error["epoch"].as_str(), reader.epoch.as_deref());
        // A client would take a fresh page; this one reads all again.
        *reader = Reader::new(&reader.room);
    }
    drop(third.stop());
    play.everything_is_there(2).await;
}

/// Those who post and those who read, over several lives of one server.
struct Play {
    dir: TempDir,
    options: Vec<String>,
    posters: Vec<Poster>,
    unheard: Poster,
    readers: Vec<Reader>,
    /// How often it ended while posts were under way.
    interrupted: usize,
    /// Acknowledgements that were on their way when it ended, and came when the post was sent again.
    lost: usize,
}

impl Play {
    fn new() -> Self {
        Self {
            dir: TempDir::new().expect("a temporary directory"),
            options: Vec::new(),
            posters: (0..POSTERS).map(|number| Poster::new(format!("poster{number}"))).collect(),
            unheard: Poster::new("unheard".to_owned()),
            readers: ROOMS.map(Reader::new).into(),
            interrupted: 0,
            lost: 0,
        }
    }

    fn start(&mut self, options: &[&str]) -> Process {
        self.options = options.iter().map(ToString::to_string).collect();
        Process::start(self.dir.path(), &[&["--limits", "off"], options].concat())
    }

    /// Everyone posts and reads until so many posts are acknowledged; then the server comes to an end.
    async fn goes_on(&mut self, process: Process, acknowledged: usize, end: impl FnOnce(Process) + Send + 'static) {
        let addr = process.addr;
        self.arrive(addr).await;
        let (count, mut counted) = watch::channel(0);
        let posters = join_all(self.posters.iter_mut().map(|poster| poster.posts(addr, &count)));
        let readers = join_all(self.readers.iter_mut().map(|reader| reader.reads(addr, None)));
        let (ending, ended) = watch::channel(false);
        let (stored, mut is_stored) = watch::channel(false);
        let unheard = self.unheard.posts_unheard(addr, &stored, ended);
        let ends = async {
            let enough = in_time("posts to be acknowledged", counted.wait_for(|count| *count >= acknowledged)).await;
            drop(enough.expect("somebody counts"));
            let unheard = in_time("the unheard to be stored", is_stored.wait_for(|stored| *stored)).await;
            drop(unheard.expect("somebody posts unheard"));
            // On a thread of its own: until it has ended, everyone goes on.
            tokio::task::spawn_blocking(move || end(process)).await.expect("it ends as it should");
            ending.send_replace(true);
        };
        let (_, lost, _, ()) = join4(posters, unheard, readers, ends).await;
        self.lost += lost;
        self.interrupted += usize::from(self.posters.iter().any(|poster| !poster.unknown.is_empty()));
    }

    /// On their first day people get their sessions, and the garden is made.
    async fn arrive(&mut self, addr: SocketAddr) {
        for poster in self.posters.iter_mut().chain([&mut self.unheard]).filter(|poster| poster.token.is_empty()) {
            let answer = Request::new(addr, "POST", "/api/session").json(&json!({ "name": poster.name })).await;
            poster.token = text(&answer.json()["token"]);
        }
        let mut socket = open(addr, Some(&self.unheard.token)).await.expect("the server listens");
        let create = json!({ "type": "create", "ref": 1, "name": "Garden" });
        let reply = ask(&mut socket, &create).await.expect("a reply");
        assert!(reply.get("ok").is_some() || reply["error"]["code"] == "exists", "{reply}");
    }

    /// A last life: what was not known is asked again, all is read, and compared.
    async fn everything_is_there(mut self, rounds: usize) {
        let options = self.options.clone();
        let process = self.start(&options.iter().map(String::as_str).collect::<Vec<_>>());
        let addr = process.addr;
        for poster in self.posters.iter_mut().chain([&mut self.unheard]) {
            let mut socket = open(addr, Some(&poster.token)).await.expect("the server listens");
            poster.settles(&mut socket).await.expect("a server that stays");
        }
        let posters: Vec<_> = self.posters.iter().chain([&self.unheard]).collect();
        let posted = posters.iter().map(|poster| poster.posts.len()).sum::<usize>();
        for reader in &mut self.readers {
            let room = reader.room.clone();
            let here = posters.iter().flat_map(|poster| &poster.posts).filter(|post| post.room == room);
            let head = here.clone().count();
            reader.reads(addr, Some(head)).await;
            assert_eq!(reader.events.len(), head, "each post of {} is one event", reader.room);
            for post in here {
                let seq = post.seq.expect("it is settled");
                let event = &reader.events[usize::try_from(seq).expect("a small seq") - 1];
                assert_eq!(event["text"], post.text, "acknowledged as {seq} of {}", reader.room);
                assert_eq!(event["txn_id"], post.text);
            }
            assert_reads_the_same(addr, reader).await;
        }
        assert!(posted >= 100 * rounds, "only {posted} posts in {rounds} rounds");
        assert_eq!(self.interrupted, rounds, "each end is to interrupt somebody");
        assert!(self.lost > 0, "no acknowledgement was lost");
        let (status, log) = process.stop();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

/// Whoever comes now reads what was read over all these lives.
async fn assert_reads_the_same(addr: SocketAddr, reader: &Reader) {
    let mut newcomer = Reader::new(&reader.room);
    newcomer.reads(addr, Some(reader.events.len())).await;
    assert_eq!(newcomer.events, reader.events);
}

struct Post {
    room: &'static str,
    /// Its `txn_id`, too.
    text: String,
    /// As it was acknowledged.
    seq: Option<u64>,
}

/// Posts as fast as it is let, and remembers what it was told.
struct Poster {
    name: String,
    token: String,
    posts: Vec<Post>,
    /// Those that were sent and not acknowledged, the oldest first.
    unknown: Vec<usize>,
}

impl Poster {
    fn new(name: String) -> Self {
        Self { name, token: String::new(), posts: Vec::new(), unknown: Vec::new() }
    }

    /// Until the connection breaks.
    async fn posts(&mut self, addr: SocketAddr, acknowledged: &watch::Sender<usize>) {
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

    /// Posts into the lobby and takes no acknowledgement; once its posts are stored, waits until the server has ended.
    /// Says how many of its earlier posts had been stored all the same.
    async fn posts_unheard(
        &mut self,
        addr: SocketAddr,
        stored: &watch::Sender<bool>,
        mut ended: watch::Receiver<bool>,
    ) -> usize {
        let Ok(mut socket) = open(addr, Some(&self.token)).await else { return 0 };
        let position = json!({ "type": "subscribe", "ref": "here", "room": ROOMS[0], "last": 0 });
        let Ok(reply) = ask(&mut socket, &position).await else { return 0 };
        let (head, unknown) = (number(&reply["ok"]["head"]), self.unknown.clone());
        if self.settles(&mut socket).await.is_err() {
            return 0;
        }
        let was_stored = |number: &&usize| self.posts[**number].seq.is_some_and(|seq| seq <= head);
        let lost = unknown.iter().filter(was_stored).count();
        for _ in 0..UNHEARD {
            let number = self.writes();
            self.posts[number].room = ROOMS[0];
            if self.feed(&mut socket, number).await.is_err() {
                return lost;
            }
        }
        // What is delivered is stored; the acknowledgements that come beside it are passed over.
        let final_text = self.posts[self.posts.len() - 1].text.clone();
        if socket.flush().await.is_err()
            || next(&mut socket, |frame| frame["text"] == final_text.as_str()).await.is_err()
        {
            return lost;
        }
        stored.send_replace(true);
        ended.wait_for(|ended| *ended).await.expect("it ends");
        lost
    }

    /// Sends again all that it does not know of, and some that it does: each gets the seq that it had.
    async fn settles(&mut self, socket: &mut Socket) -> Result<(), Gone> {
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

    fn writes(&mut self) -> usize {
        let number = self.posts.len();
        let text = format!("{}-{number}", self.name);
        self.posts.push(Post { room: ROOMS[number % ROOMS.len()], text, seq: None });
        self.unknown.push(number);
        number
    }

    async fn feed(&mut self, socket: &mut Socket, number: usize) -> Result<(), Gone> {
        let Post { room, text, .. } = &self.posts[number];
        let post = json!({ "type": "post", "ref": number, "room": room, "txn_id": text, "text": text });
        socket.feed(Message::text(post.to_string())).await.map_err(|_| Gone)
    }

    /// Waits for the next acknowledgement.
    async fn hears(&mut self, socket: &mut Socket) -> Result<(), Gone> {
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
struct Reader {
    room: String,
    epoch: Option<String>,
    events: Vec<Value>,
}

impl Reader {
    fn new(room: &str) -> Self {
        Self { room: room.to_owned(), epoch: None, events: Vec::new() }
    }

    /// Up to this seq, or until the connection breaks.
    async fn reads(&mut self, addr: SocketAddr, to: Option<usize>) {
        let Ok(mut socket) = open(addr, None).await else { return };
        match self.subscribe(&mut socket).await {
            Ok(Some(())) => {}
            Ok(None) => return,
            Err(error) => panic!("the cursor of {} is refused: {error}", self.room),
        }
        while to.is_none_or(|to| self.events.len() < to) {
            let Ok(event) = next(&mut socket, |frame| frame["type"] == "event").await else {
                assert!(to.is_none(), "the connection broke after {} of {to:?}", self.events.len());
                return;
            };
            assert_eq!(number(&event["seq"]), self.events.len() as u64 + 1, "a gap or a double in {}", self.room);
            self.events.push(event);
        }
    }

    /// From where it stopped. None where the connection broke.
    async fn subscribe(&mut self, socket: &mut Socket) -> Result<Option<()>, Value> {
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

type Socket = WebSocketStream<TcpStream>;

/// The connection is over.
#[derive(Debug)]
struct Gone;

async fn open(addr: SocketAddr, token: Option<&str>) -> Result<Socket, Gone> {
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

async fn ask(socket: &mut Socket, command: &Value) -> Result<Value, Gone> {
    socket.send(Message::text(command.to_string())).await.map_err(|_| Gone)?;
    next(socket, |frame| frame["type"] == "reply" && frame["ref"] == command["ref"]).await
}

/// The next frame that fits; the others are passed over.
async fn next(socket: &mut Socket, fits: impl Fn(&Value) -> bool) -> Result<Value, Gone> {
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
