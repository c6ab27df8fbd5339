//! Several nodes on one Redis, and what may befall them: Redis is killed, stands still, hangs up; a node is killed, or
//! replaced. People go on wherever a node answers. Whatever was acknowledged stands where it said, nothing stands twice,
//! and all readers on all nodes read the same, in one order. `CHINWAG_LONG=1` has it all happen more often.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::support::in_time;
use crate::support::process::{Process, chinwag};
use crate::support::redis::RedisServer;
use crate::support::witness::{Poster, ROOMS, Reader, assert_reads_the_same, open};

const POSTERS: usize = 4;
/// Acknowledgements before something befalls them, and after it.
const ENOUGH: usize = 150;
/// A client that was refused comes back after so long.
const BACK_AFTER: Duration = Duration::from_millis(20);

const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

fn rounds() -> usize {
    if std::env::var_os("CHINWAG_LONG").is_some() { 20 } else { 2 }
}

#[tokio::test]
async fn nothing_is_lost_when_redis_is_killed() {
    let mut play = Play::new(2, &DURABLE).await;
    for _ in 0..rounds() {
        play.goes_on(|play| {
            play.redis.kill();
            play.redis.start_again();
        })
        .await;
    }
    play.everything_is_there().await;
}

#[tokio::test]
async fn nothing_is_lost_when_redis_stands_still() {
    let mut play = Play::new(2, &DURABLE).await;
    play.goes_on(|play| {
        play.redis.pause();
        // Longer than anybody waits for an answer.
        std::thread::sleep(Duration::from_secs(5));
        play.redis.resume();
    })
    .await;
    play.everything_is_there().await;
}

#[tokio::test]
async fn nothing_is_lost_when_redis_hangs_up() {
    let mut play = Play::new(3, &DURABLE).await;
    for _ in 0..2 * rounds() {
        play.goes_on(|play| {
            play.redis.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            play.redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes"]);
        })
        .await;
    }
    play.everything_is_there().await;
}

#[tokio::test]
async fn nothing_is_lost_when_a_node_is_killed() {
    let mut play = Play::new(3, &DURABLE).await;
    for round in 0..rounds() {
        play.goes_on(move |play| play.replace(round % 3, Process::kill)).await;
    }
    play.everything_is_there().await;
}

#[tokio::test]
async fn nothing_is_lost_when_nodes_are_replaced_one_after_the_other() {
    let mut play = Play::new(2, &DURABLE).await;
    play.goes_on(|play| {
        for node in 0..2 {
            play.replace(node, |process| {
                let (status, log) = process.stop();
                assert_eq!(status.code(), Some(0), "{log}");
            });
        }
    })
    .await;
    play.everything_is_there().await;
}

/// Nodes, and those who post and read wherever one answers.
struct Play {
    /// Lent to what befalls it.
    stage: Option<Stage>,
    posters: Vec<Poster>,
    readers: Vec<Reader>,
}

/// What things befall.
struct Stage {
    redis: RedisServer,
    data: TempDir,
    nodes: Vec<Process>,
    /// Where they are now.
    addresses: watch::Sender<Vec<SocketAddr>>,
}

impl Play {
    async fn new(nodes: usize, redis: &[&str]) -> Self {
        let (redis, data) = (RedisServer::with(redis), TempDir::new().expect("a temporary directory"));
        let nodes: Vec<_> = (0..nodes).map(|_| start(&redis, &data)).collect();
        let addresses = watch::Sender::new(nodes.iter().map(|node| node.addr).collect::<Vec<_>>());
        let mut posters: Vec<_> = (0..POSTERS).map(|number| Poster::new(format!("poster{number}"))).collect();
        for poster in &mut posters {
            poster.arrives(nodes[0].addr).await;
        }
        // One of each room on each node, to begin with.
        let readers = nodes.iter().flat_map(|_| ROOMS.map(Reader::new)).collect();
        Self { stage: Some(Stage { redis, data, nodes, addresses }), posters, readers }
    }

    /// People post and read; then something befalls them; it is over when as much was acknowledged again.
    async fn goes_on(&mut self, befall: impl FnOnce(&mut Stage) + Send + 'static) {
        let Self { stage, posters, readers } = self;
        let mut lent = stage.take().expect("nothing else befalls it");
        let (count, over) = (watch::Sender::new(0), watch::Sender::new(false));
        let addresses = lent.addresses.subscribe();
        let posting = posters
            .iter_mut()
            .enumerate()
            .map(|(number, poster)| until(over.subscribe(), posts_anywhere(poster, number, addresses.clone(), &count)));
        let reading = readers.iter_mut().enumerate().map(|(number, reader)| {
            until(over.subscribe(), reads_anywhere(reader, number / ROOMS.len(), addresses.clone()))
        });
        let events = async {
            acknowledged(&count, ENOUGH).await;
            // On a thread of its own: everyone goes on meanwhile.
            let befallen = tokio::task::spawn_blocking(move || {
                befall(&mut lent);
                lent
            });
            *stage = Some(befallen.await.expect("it befalls them as it should"));
            let before = *count.borrow();
            acknowledged(&count, before + ENOUGH).await;
            over.send_replace(true);
        };
        let ((), _, _) = tokio::join!(events, join_all(posting), join_all(reading));
    }

    /// All that was posted, asked of each node.
    async fn everything_is_there(mut self) {
        let stage = self.stage.expect("it is over");
        let addr = stage.nodes[0].addr;
        for poster in &mut self.posters {
            let mut socket = open(addr, Some(&poster.token)).await.expect("the node listens");
            poster.settles(&mut socket).await.expect("a node that stays");
        }
        for reader in &mut self.readers {
            let room = reader.room.clone();
            let posts = self.posters.iter().flat_map(|poster| &poster.posts).filter(|post| post.room == room);
            let head = posts.clone().count();
            reader.reads(addr, Some(head)).await;
            assert_eq!(reader.events.len(), head, "each post of {} is one event", reader.room);
            for post in posts {
                let seq = usize::try_from(post.seq.expect("it is settled")).expect("a small seq");
                let event = &reader.events[seq - 1];
                assert_eq!((&event["text"], &event["txn_id"]), (&post.text.clone().into(), &post.text.clone().into()));
            }
            for node in &stage.nodes {
                assert_reads_the_same(node.addr, reader).await;
            }
        }
    }
}

impl Stage {
    /// Ends a node and starts another in its place.
    fn replace(&mut self, node: usize, end: impl FnOnce(Process)) {
        let new = start(&self.redis, &self.data);
        let old = std::mem::replace(&mut self.nodes[node], new);
        end(old);
        self.addresses.send_replace(self.nodes.iter().map(|node| node.addr).collect());
    }
}

fn start(redis: &RedisServer, data: &TempDir) -> Process {
    let mut command = chinwag();
    command.args(["--addr", "127.0.0.1:0", "--limits", "off", "--data"]).arg(data.path()).env("REDIS_URL", redis.url());
    Process::spawn(&mut command)
}

async fn acknowledged(count: &watch::Sender<usize>, enough: usize) {
    // Redis may be away for half of that.
    let enough = async { count.subscribe().wait_for(|count| *count >= enough).await.map(|count| *count) };
    in_time("posts to be acknowledged", enough).await.expect("somebody counts");
}

async fn until(mut over: watch::Receiver<bool>, act: impl Future<Output = ()>) {
    tokio::select! {
        () = act => {}
        _ = over.wait_for(|over| *over) => {}
    }
}

/// At one node after the other, whenever one breaks off or refuses.
async fn posts_anywhere(
    poster: &mut Poster,
    first: usize,
    addresses: watch::Receiver<Vec<SocketAddr>>,
    count: &watch::Sender<usize>,
) {
    for turn in first.. {
        let addr = turn_of(&addresses, turn);
        poster.posts(addr, count).await;
        tokio::time::sleep(BACK_AFTER).await;
    }
}

async fn reads_anywhere(reader: &mut Reader, first: usize, addresses: watch::Receiver<Vec<SocketAddr>>) {
    for turn in first.. {
        let addr = turn_of(&addresses, turn);
        reader.reads(addr, None).await;
        tokio::time::sleep(BACK_AFTER).await;
    }
}

fn turn_of(addresses: &watch::Receiver<Vec<SocketAddr>>, turn: usize) -> SocketAddr {
    let addresses = addresses.borrow();
    addresses[turn % addresses.len()]
}
