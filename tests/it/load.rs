//! Readers that do not read: they cost the others nothing and the server next to nothing, and lose nothing. And rooms
//! with a long past, whose newest page costs what any page costs. `CHINWAG_LONG=1` makes it more of everything.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::client::Call;
use crate::support::http::Request;
use crate::support::process::Process;
use crate::support::raw::{CLOSE, FIN, Raw, frame};
use crate::support::{TestServer, in_time, list, number, text};

/// Nothing is limited, tails are tiny, and nobody is closed for not reading while the test takes its time.
const OPTIONS: [&str; 6] = ["--limits", "off", "--tail-kb", "16", "--heartbeat", "10m"];
/// The bytes of one message; the text limit is 8,000.
const BYTES: usize = 7_000;
/// What is posted at once before the acknowledgements are awaited.
const BATCH: usize = 50;

#[tokio::test]
async fn a_reader_that_stops_reading_holds_up_nobody_and_misses_nothing() {
    let server = TestServer::with(&OPTIONS).await;
    let mut slow = Slow::subscribes(server.addr, &["lobby"]).await;
    let mut alice = server.guest("alice").await;
    let mut bob = server.guest_in("bob", "lobby").await;
    let messages = more_than_the_kernel_holds();
    for batch in 0..messages / BATCH {
        alice.says_all("lobby", words(batch)).await;
        // Bob is served while the slow one takes nothing.
        for event in bob.hears_events("lobby", BATCH).await {
            assert_eq!(text(&event["text"]).len(), BYTES);
        }
    }
    slow.reads_on(messages).await;
    alice.says("lobby", "now").await;
    assert_eq!(slow.hears().await["text"], "now", "the slow one is live again");
}

#[tokio::test]
async fn a_connection_that_stops_reading_misses_nothing_in_any_of_its_rooms() {
    let server = TestServer::with(&OPTIONS).await;
    let mut alice = server.guest("alice").await;
    let mut rooms = vec!["lobby".to_owned()];
    for number in 1..8 {
        let created = alice.asks(json!({"type": "create", "name": format!("Room {number}")})).await;
        rooms.push(text(&created["room"]));
    }
    let names: Vec<_> = rooms.iter().map(String::as_str).collect();
    let mut slow = Slow::subscribes(server.addr, &names).await;
    let mut readers = join_all(rooms.iter().map(|room| server.guest_in(format!("reader-of-{room}"), room))).await;
    let each = more_than_the_kernel_holds() / rooms.len() / BATCH * BATCH;
    for batch in 0..each / BATCH {
        for (room, reader) in rooms.iter().zip(&mut readers) {
            alice.says_all(room, words(batch)).await;
            reader.hears_events(room, BATCH).await;
        }
    }
    let heard = slow.reads_on(each * rooms.len()).await;
    assert_eq!(heard, rooms.iter().map(|room| (room.clone(), each as u64)).collect());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn readers_that_stop_reading_cost_bounded_memory() {
    const SLOW: usize = 16;
    const ALLOWED: usize = 24 << 20;
    let dir = TempDir::new().unwrap();
    let process = Process::start(dir.path(), &OPTIONS);
    let mut alice = Call::new(process.addr).name("alice").await;
    // Caches and buffers are as large as they get.
    for batch in 0..10 {
        alice.says_all("lobby", words(batch)).await;
    }
    let mut slow = join_all((0..SLOW).map(|_| Slow::subscribes(process.addr, &["lobby"]))).await;
    let before = resident(&process);
    let messages = more_than_the_kernel_holds();
    for batch in 0..messages / BATCH {
        alice.says_all("lobby", words(batch)).await;
    }
    let grown = resident(&process).saturating_sub(before);
    let waits = SLOW * messages * BYTES;
    println!("{grown} bytes more, while {waits} wait to be read");
    assert!(waits > 4 * ALLOWED, "too little to show anything");
    assert!(grown < ALLOWED, "more than {ALLOWED} bytes for {SLOW} who do not read");
    slow.pop().unwrap().reads_on(messages).await;
}

/// Counts what the store reads, page by page, since nothing is mapped into memory: a page of messages takes a few more
/// steps down a taller tree, and no more.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_page_costs_the_same_in_a_room_with_a_long_past() {
    let long = if std::env::var_os("CHINWAG_LONG").is_some() { 1_000_000 } else { 100_000 };
    let dir = TempDir::new().unwrap();
    drop(Process::start(dir.path(), &[]).stop());
    let rooms = [("small", 100), ("long", long), ("other", 100)];
    write_rooms(dir.path(), &rooms);

    let process = Process::start(dir.path(), &[]);
    let middle = format!("around={}", long / 2);
    let mut costs = HashMap::new();
    for (room, query) in [("small", ""), ("other", ""), ("long", ""), ("long", "before=60"), ("long", middle.as_str())]
    {
        let before = read_by(&process);
        let path = format!("/api/rooms/{room}/messages?limit=50&{query}");
        let page = Request::new(process.addr, "GET", &path).await.json();
        costs.insert((room, query), read_by(&process) - before);
        let seqs: Vec<_> = list(&page["messages"]).iter().map(|message| number(&message["seq"])).collect();
        let head = rooms.iter().find(|(id, _)| *id == room).unwrap().1;
        let last = match query {
            "" => head,
            "before=60" => 59,
            _ => long / 2 + 25,
        };
        assert_eq!(seqs, (last - 49..=last).collect::<Vec<_>>());
        assert_eq!((number(&page["head"]), &page["more"]), (head, &json!(true)));
    }
    let cost_of_few = costs[&("other", "")];
    println!("{costs:?}");
    for (asked, cost) in costs.into_iter().filter(|((room, _), _)| *room == "long") {
        assert!(cost > 0, "the store reads with calls that are counted");
        assert!(cost < cost_of_few + (128 << 10), "{asked:?} read {cost} bytes, a room of a hundred {cost_of_few}");
    }
}

/// The server waits two seconds for whoever has said goodbye, and has nothing to do meanwhile.
#[tokio::test]
async fn whoever_says_goodbye_and_does_not_hang_up_keeps_nobody_busy() {
    let data = TempDir::new().unwrap();
    let process = Process::start(data.path(), &["--heartbeat", "400ms"]);
    let mut bob = Call::new(process.addr).name("bob").await;
    let mut eve = Raw::open(process.addr, "eve").await;
    eve.write(&frame(FIN | CLOSE, &1000_u16.to_be_bytes())).await;
    eve.expects_close(1000).await;
    let before = worked_by(&process);
    // Bob's pings are the clock: three heartbeats of the time that she is waited for.
    bob.is_pinged(3).await;
    let worked = worked_by(&process).saturating_sub(before);
    assert!(worked < Duration::from_millis(200), "{worked:?} of processor time");
}

/// Three times what the kernel buffers of one socket that nobody reads, in messages.
fn more_than_the_kernel_holds() -> usize {
    let limits = fs::read_to_string("/proc/sys/net/ipv4/tcp_wmem").unwrap_or_default();
    let most: usize = limits.split_whitespace().last().and_then(|most| most.parse().ok()).unwrap_or(4 << 20);
    let times = if std::env::var_os("CHINWAG_LONG").is_some() { 20 } else { 3 };
    (times * most).div_ceil(BYTES).next_multiple_of(BATCH * 8)
}

fn words(batch: usize) -> impl Iterator<Item = String> {
    (0..BATCH).map(move |number| format!("{:x<BYTES$}", format!("{} ", batch * BATCH + number)))
}

/// Writes rooms with so many messages into the database of a server that does not run.
fn write_rooms(dir: &Path, rooms: &[(&str, u64)]) {
    let db = rusqlite::Connection::open(dir.join("chinwag.db")).unwrap();
    for (id, messages) in rooms {
        let room = "INSERT INTO rooms (id, name, epoch, oldest, made_after, created_at) VALUES (?1, ?1, 1, 1, 0, 0)";
        db.execute(room, [id]).unwrap();
        let events = "WITH RECURSIVE seqs (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM seqs WHERE seq < ?2)
             INSERT INTO events (room, seq, id, kind, at, author, author_name, content, rendering)
             SELECT ?1, seq, randomblob(16), 'message', 0, zeroblob(16), 'ann', '\"text\":\"' || seq || '\"', 1000
             FROM seqs";
        db.execute(events, rusqlite::params![db.last_insert_rowid(), messages.cast_signed()]).unwrap();
    }
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

/// The process's memory that is its own, in bytes.
fn resident(process: &Process) -> usize {
    1024 * figure(&format!("/proc/{}/status", process.id()), "RssAnon:")
}

/// What the process has read so far, in bytes, from wherever.
fn read_by(process: &Process) -> usize {
    figure(&format!("/proc/{}/io", process.id()), "rchar:")
}

/// The processor time that the process has used so far.
fn worked_by(process: &Process) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    let schedules = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap());
    let nanos = schedules.map(|schedule| schedule.split_whitespace().next().unwrap().parse::<u64>().unwrap());
    Duration::from_nanos(nanos.sum())
}

fn figure(path: &str, name: &str) -> usize {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{path} has no {name}"));
    line.split_whitespace().nth(1).and_then(|figure| figure.parse().ok()).expect("a number")
}

/// Takes as little as a socket can, and nothing until it is asked to.
struct Slow {
    socket: WebSocketStream<TcpStream>,
    /// The last seq of each room.
    heard: HashMap<String, u64>,
}

impl Slow {
    async fn subscribes(addr: SocketAddr, rooms: &[&str]) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = in_time("a connection", socket.connect(addr)).await.unwrap();
        let url = format!("ws://{addr}/api/socket?name=slow");
        let (socket, _) = in_time("the upgrade", tokio_tungstenite::client_async(url, stream)).await.unwrap();
        let mut slow = Self { socket, heard: HashMap::new() };
        for room in rooms {
            let subscribe = json!({"type": "subscribe", "ref": 1, "room": room, "last": 0});
            slow.socket.send(Message::text(subscribe.to_string())).await.unwrap();
            let reply = slow.next("reply").await;
            slow.heard.insert((*room).to_owned(), number(&reply["ok"]["head"]));
        }
        slow
    }

    /// The next frame of this type; others are passed over.
    async fn next(&mut self, kind: &str) -> Value {
        loop {
            match in_time(kind, self.socket.next()).await {
                Some(Ok(Message::Text(words))) => {
                    let frame: Value = serde_json::from_str(&words).unwrap();
                    if frame["type"] == kind {
                        return frame;
                    }
                }
                Some(Ok(Message::Ping(_))) => {}
                other => panic!("waited for {kind}, and there came {other:?}"),
            }
        }
    }

    /// The next event, which follows the one before it in its room.
    async fn hears(&mut self) -> Value {
        let event = self.next("event").await;
        let room = text(&event["room"]);
        let last = self.heard.get_mut(&room).expect("a room that it is subscribed to");
        *last += 1;
        assert_eq!(number(&event["seq"]), *last, "a gap or a double in {room}");
        event
    }

    /// Reads so many events, and gives the last seq of each room.
    async fn reads_on(&mut self, events: usize) -> HashMap<String, u64> {
        for _ in 0..events {
            self.hears().await;
        }
        self.heard.clone()
    }
}
