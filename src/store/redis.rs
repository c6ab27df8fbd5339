//! The backend for several nodes: a Redis (7.0 or newer) or Valkey that they share. Each room's log is a stream; keys
//! and channels of a room share `{ROOM}`, all else is under `{chinwag}`, so that no script needs two places of a
//! cluster. Only this folder knows Redis.

mod accounts;
mod append;
mod classic;
mod directory;
mod event;
mod feed;
mod healing;
mod known;
mod link;
mod log;
mod moderation;
mod news;
mod nodes;
mod read;
mod records;
mod room;
mod sessions;
mod source;
mod worth;

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle, ThreadId};

use ::redis::aio::MultiplexedConnection;
use ::redis::{ErrorKind, RedisError};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};

pub use self::classic::ClassicList;

use self::feed::{Connected, Feed, Runner};
use self::link::Link;
use self::nodes::Peers;
use self::source::Source;
use crate::error::Fatal;
use crate::protocol::RoomId;
use crate::store::{Committed, Link as LinkRecord, Redis, Sessions, Watcher};

/// Channels of a cluster's shards, which an announcement needs.
const OLDEST_VERSION: u32 = 7;

pub struct Backend {
    link: Link,
    feed: Feed,
    peers: Arc<Peers>,
    worth: Arc<Mutex<String>>,
    /// None once closed.
    thread: Mutex<Option<JoinHandle<()>>>,
    thread_id: ThreadId,
}

impl Backend {
    /// Blocks until Redis answers, which it must: later it may be away.
    pub fn open(options: &Redis, watcher: Arc<dyn Watcher>) -> Result<Self, Fatal> {
        let source = Arc::new(Source::new(&options.url)?);
        let worth = Arc::new(Mutex::new(String::new()));
        let peers = Arc::new(Peers::new(watcher.clone(), source.channels().clone()));
        let runner = Runner::new(source.clone(), options.wait, watcher, peers.clone(), worth.clone());
        let feed = runner.feed();
        let (opened, opening) = mpsc::channel();
        let connect = source.clone();
        let thread = thread::Builder::new().name("store-redis".to_owned()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(opened.send(Err(Fatal::Start(error)))),
            };
            runtime.block_on(async {
                match first(&connect).await {
                    Ok(connected) if opened.send(Ok(Handle::current())).is_ok() => runner.run(connected).await,
                    Ok(_) => {}
                    Err(fatal) => drop(opened.send(Err(fatal))),
                }
            });
        })?;
        let thread_id = thread.thread().id();
        let ended = |_| Fatal::RedisAway("the thread for it has ended".to_owned());
        let runtime = opening.recv().map_err(ended)??;
        let link = Link::new(source, runtime);
        Ok(Self { link, feed, peers, worth, thread: Mutex::new(Some(thread)), thread_id })
    }

    fn close(&self) {
        let Some(thread) = self.thread.lock().take() else { return };
        // The last owner may be a callback on this thread, which cannot wait for itself.
        let waits = thread::current().id() != self.thread_id;
        if waits {
            self.peers.say_the_rest();
        }
        self.feed.close();
        if waits && thread.join().is_err() {
            tracing::error!("the thread for Redis ended in a panic");
        }
        self.link.close();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.close();
    }
}

/// Adds a link beside the nodes that use this Redis.
pub fn leave_link(options: &Redis, link: &LinkRecord) -> Result<(), Fatal> {
    let backend = Backend::open(options, Arc::new(Deaf))?;
    let (told, outcome) = mpsc::channel();
    let added = backend.add_link(link.clone());
    // Waited for on a thread of its own: who calls may be driving a runtime.
    thread::scope(|scope| {
        scope.spawn(|| {
            let added = Builder::new_current_thread().build().map(|runtime| runtime.block_on(added));
            let _ = told.send(added);
        });
    });
    outcome.recv().map_err(|_| Fatal::RedisAway("the thread for it has ended".to_owned()))??.map_err(Fatal::OwnerLink)
}

/// Hears of nothing, since nothing is watched.
struct Deaf;

impl Watcher for Deaf {
    fn committed(&self, _batch: Committed) {}
}

async fn first(source: &Source) -> Result<Connected, Fatal> {
    let mut connected = Connected::first(source).await.map_err(|error| why_not(&error))?;
    let version = version(&mut connected.redis).await.map_err(|error| why_not(&error))?;
    match version {
        Some(version) if major(&version) < OLDEST_VERSION => Err(Fatal::RedisVersion(version)),
        // A user may not be let to ask.
        _ => Ok(connected),
    }
}

async fn version(redis: &mut MultiplexedConnection) -> Result<Option<String>, RedisError> {
    let info: Result<String, _> = ::redis::cmd("INFO").arg("server").query_async(redis).await;
    match info {
        Ok(info) => Ok(worth::field(&info, "redis_version")),
        Err(error) if error.code() == Some("NOPERM") => Ok(None),
        Err(error) => Err(error),
    }
}

fn major(version: &str) -> u32 {
    version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(u32::MAX)
}

fn why_not(error: &RedisError) -> Fatal {
    let words = error.detail().map_or_else(|| error.to_string(), str::to_owned).replace('\n', " ");
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => {
            Fatal::RedisPassword(words)
        }
        (ErrorKind::RESP3NotSupported, _) => Fatal::RedisVersion("older than 6".to_owned()),
        _ => Fatal::RedisAway(words),
    }
}

/// The names of channels. Unlike keys they are the same in all databases of a Redis, so all but the first put their
/// number on them: a place hears nothing of another beside it.
#[derive(Clone)]
struct Channels {
    of_database: String,
}

impl Channels {
    fn of(database: i64) -> Self {
        Self { of_database: if database == 0 { String::new() } else { format!("@{database}") } }
    }

    /// What all nodes hear.
    fn notices(&self) -> String {
        key("notices") + &self.of_database
    }

    fn of_room(&self, room: &RoomId, what: &str) -> String {
        room_key(room, what) + &self.of_database
    }

    /// The room, and what is said there.
    fn read(channel: &str) -> Option<(&str, &str)> {
        let (room, what) = channel.strip_prefix("chinwag:{")?.rsplit_once("}:")?;
        Some((room, what.split_once('@').map_or(what, |(what, _)| what)))
    }
}

/// A key of a room.
fn room_key(room: &RoomId, what: &str) -> String {
    format!("chinwag:{{{room}}}:{what}")
}

/// A key of what is no room's.
fn key(what: &str) -> String {
    format!("{{chinwag}}:{what}")
}
