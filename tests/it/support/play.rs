//! Nodes on a store that they share, and those who post and read wherever one answers: something befalls them under load,
//! and afterwards everything that was acknowledged must be there, once, in one order.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::sync::watch;

use super::in_time;
use super::process::{Process, chinwag};
use super::redis::RedisServer;
use super::witness::{Poster, ROOMS, Reader, assert_reads_the_same, open};

const POSTERS: usize = 4;
/// Acknowledgements before something befalls them, and after it.
const ENOUGH: usize = 150;
/// A client that was refused comes back after so long.
const BACK_AFTER: Duration = Duration::from_millis(20);

/// What makes an acknowledgement outlive Redis.
pub const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

pub struct Play<S> {
    /// Lent to what befalls it.
    stage: Option<Stage<S>>,
    posters: Vec<Poster>,
    readers: Vec<Reader>,
}

/// What things befall.
pub struct Stage<S> {
    /// What the nodes share.
    pub store: S,
    data: TempDir,
    pub nodes: Vec<Process>,
    /// By which each of them finds the store.
    urls: Vec<String>,
    options: Vec<&'static str>,
    /// Where they are now.
    addresses: watch::Sender<Vec<SocketAddr>>,
}

impl Play<RedisServer> {
    /// So many nodes on a Redis with these options of its own.
    pub async fn new(nodes: usize, redis: &[&str]) -> Self {
        let redis = RedisServer::with(redis);
        let urls = vec![redis.url(); nodes];
        Self::on(redis, urls, &[]).await
    }
}

impl<S: Send + 'static> Play<S> {
    /// A node for each of these URLs, with these options.
    pub async fn on(store: S, urls: Vec<String>, options: &[&'static str]) -> Self {
        let (data, options) = (TempDir::new().expect("a temporary directory"), options.to_vec());
        let nodes: Vec<_> = urls.iter().map(|url| start(url, &data, &options)).collect();
        let addresses = watch::Sender::new(nodes.iter().map(|node| node.addr).collect::<Vec<_>>());
        let mut posters: Vec<_> = (0..POSTERS).map(|number| Poster::new(format!("poster{number}"))).collect();
        for poster in &mut posters {
            poster.arrives(nodes[0].addr).await;
        }
        // One of each room on each node, to begin with.
        let readers = nodes.iter().flat_map(|_| ROOMS.map(Reader::new)).collect();
        Self { stage: Some(Stage { store, data, nodes, urls, options, addresses }), posters, readers }
    }

    /// People post and read; then something befalls them; it is over when as much was acknowledged again.
    pub async fn goes_on(&mut self, befall: impl FnOnce(&mut Stage<S>) + Send + 'static) {
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

    /// What was delivered and not acknowledged may be lost.
    pub fn may_lose_the_rest(&mut self) {
        self.readers.iter_mut().for_each(|reader| reader.may_begin_anew = true);
    }

    /// All that was posted, asked of each node.
    pub async fn everything_is_there(mut self) {
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

impl<S> Stage<S> {
    /// Ends a node and starts another in its place.
    pub fn replace(&mut self, node: usize, end: impl FnOnce(Process)) {
        let new = start(&self.urls[node], &self.data, &self.options);
        let old = std::mem::replace(&mut self.nodes[node], new);
        end(old);
        self.addresses.send_replace(self.nodes.iter().map(|node| node.addr).collect());
    }
}

fn start(url: &str, data: &TempDir, options: &[&str]) -> Process {
    let mut command = chinwag();
    command.args(["--addr", "127.0.0.1:0", "--limits", "off", "--data"]).arg(data.path()).args(options);
    command.env("REDIS_URL", url);
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
