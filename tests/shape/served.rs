//! The very server, with clients from outside: a delivery takes nothing from its heap and a post little; an idle
//! connection holds little there, and gives all of it back.

use std::thread::available_parallelism;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::heap;
use crate::it::support::TestServer;
use crate::it::support::raw::{FIN, PING, PONG, Raw, frame};

/// One server at a time: all threads share the heap.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_delivery_takes_nothing_from_the_heap_and_a_post_little() {
    const POSTS: u32 = 100;
    /// To be read, rendered, queued, stored, encoded, announced and acknowledged: 24 allocations, and room for one more
    /// in ten.
    const A_POST: i64 = 27;
    let _alone = ALONE.lock().await;
    let few = posting(POSTS, 10).await;
    let many = posting(POSTS, 110).await;
    // One allocation a delivery would be 10,000. What there is, is the clocks of two servers.
    assert!((many - few).abs() < 200, "{few} allocations for {POSTS} posts to 10 readers, {many} to 110");
    assert!(many <= i64::from(POSTS) * A_POST, "{many} allocations for {POSTS} posts");
}

#[tokio::test]
async fn an_idle_connection_holds_little_and_gives_it_back() {
    const CONNECTIONS: u16 = 200;
    /// Bytes asked of the allocator, which adds to each block: 700, its share of the hash tables included, and room for
    /// one more in ten.
    const HELD: i64 = 770;
    /// By all of them together after they have gone.
    const KEPT: i64 = 4 << 10;
    let _alone = ALONE.lock().await;
    let mut play = Play::start().await;
    let start = heap::elsewhere();
    let mut guests = play.come(CONNECTIONS).await;
    let held = (heap::elsewhere() - start).live / i64::from(CONNECTIONS);
    assert!(held <= HELD, "{held} bytes are held for an idle connection");
    // Tables keep the size that they once had. Half filled, they do not grow again.
    guests.extend(play.come(CONNECTIONS).await);
    play.leave(guests).await;
    let once = heap::elsewhere();
    let guests = play.come(CONNECTIONS).await;
    play.leave(guests).await;
    let kept = (heap::elsewhere() - once).live;
    assert!(kept.abs() <= KEPT, "{kept} bytes more are held after {CONNECTIONS} connections came and went again");
}

/// How often the server allocates for so many posts, one after the other, to so many readers.
async fn posting(posts: u32, readers: u16) -> i64 {
    let mut play = Play::start().await;
    let mut readers = play.come(readers).await;
    // The first time everything grows to what it then keeps.
    for number in 0..posts {
        post(&mut readers, number).await;
    }
    let before = heap::elsewhere();
    for number in posts..2 * posts {
        post(&mut readers, number).await;
    }
    (heap::elsewhere() - before).allocations
}

/// The first of them posts, and all hear it.
async fn post(readers: &mut [Raw], number: u32) {
    let words = format!("message {number}");
    let post = json!({"type": "post", "ref": number, "room": "lobby", "txn_id": number.to_string(), "text": words});
    readers[0].send(&post).await;
    for reader in readers {
        let event = next(reader, |frame| frame["type"] == "event").await;
        assert_eq!(event["text"], words);
    }
}

/// A server, and on each of its workers somebody who was the first to come and stays.
struct Play {
    // They go before the server, which else would wait for them to answer its close.
    watchers: Vec<Raw>,
    server: TestServer,
    /// In the lobby, the watchers too.
    present: usize,
}

impl Play {
    async fn start() -> Self {
        let server = TestServer::with(&["--limits", "off"]).await;
        let mut play = Self { watchers: Vec::new(), server, present: 0 };
        let workers = available_parallelism().unwrap().get().try_into().unwrap();
        play.watchers = play.come(workers).await;
        play
    }

    /// So many guests come into the lobby. Returns when all that this stirred is over.
    async fn come(&mut self, count: u16) -> Vec<Raw> {
        let numbers = self.present + 1..=self.present + usize::from(count);
        let guests =
            stream::iter(numbers.map(|number| enter(&self.server, number))).buffered(8).collect::<Vec<_>>().await;
        self.present += guests.len();
        self.settle().await;
        guests
    }

    /// All of them go. Returns when all that this stirred is over.
    async fn leave(&mut self, guests: Vec<Raw>) {
        self.present -= guests.len();
        drop(guests);
        self.settle().await;
    }

    /// Waits until everybody was told how many are present. Rounds and signals go to the watchers first, and a worker
    /// ends what it has begun before it answers a ping.
    async fn settle(&mut self) {
        for watcher in &mut self.watchers {
            next(watcher, |frame| frame["type"] == "presence" && frame["count"] == self.present).await;
        }
        for watcher in &mut self.watchers {
            watcher.write(&frame(FIN | PING, b"")).await;
            while watcher.next_frame().await.is_some_and(|(first, _)| first != FIN | PONG) {}
        }
    }
}

/// A guest who is subscribed to the lobby, and has been told who is there.
async fn enter(server: &TestServer, number: usize) -> Raw {
    let mut guest = server.raw(&format!("visitor-{number:03}")).await;
    guest.send(&json!({"type": "subscribe", "ref": 0, "room": "lobby", "last": 0})).await;
    next(&mut guest, |frame| frame["type"] == "presence").await;
    guest
}

/// The next frame of this kind, past all others.
async fn next(client: &mut Raw, fits: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame = client.next_json().await;
        if fits(&frame) {
            return frame;
        }
    }
}
