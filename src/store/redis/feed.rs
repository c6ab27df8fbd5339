//! The connection by which a node appends and hears: replies and announcements come in Redis's own order. Whatever gets
//! lost is found by the seqs and read from the log; when the connection breaks off, a new one heals all. It must not
//! know what events mean.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, PushInfo, PushKind, RedisError, RedisResult, Script, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::Channels;
use super::append::{self, Answered, Batch, Guests, Outcome, Pending, Post, Waiting};
use super::healing::{self, Found, Page};
use super::known::{Ask, Asked, Known};
use super::link::{AWAY, STOPPED, config, is_demoted, outcome, was_refused};
use super::news::{self, Header, News};
use super::nodes::Peers;
use super::source::Source;
use super::worth::{self, Settings};
use crate::error::{Error, Result};
use crate::protocol::{Epoch, RoomId, Seq};
use crate::store::{Answer, Append, Receipt, Tiding, Watch, Watcher};

/// How often it is asked where the watched rooms stand.
const HEADS_EVERY: Duration = Duration::from_secs(2);
/// How often it is asked what an acknowledgement is worth: replicas come and go.
const WORTH_EVERY: Duration = Duration::from_secs(5);
/// Between two attempts to connect, at most.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long replicas may take, in milliseconds.
const WAIT_TIME: u32 = 2000;

const APPEND: &str = include_str!("append.lua");

/// What the node asks of its feed, from any thread.
#[derive(Clone)]
pub(super) struct Feed {
    jobs: mpsc::UnboundedSender<Job>,
    waiting: Waiting,
}

enum Job {
    Append(Box<Post>),
    Watch(RoomId, oneshot::Sender<Result<Watch>>),
    Unwatch(RoomId),
    Follow(RoomId),
    Unfollow(RoomId),
    Close,
}

impl Feed {
    pub fn append(&self, append: Append) {
        let Some(post) = self.waiting.admit(append) else { return };
        if let Err(mpsc::error::SendError(Job::Append(post))) = self.jobs.send(Job::Append(Box::new(post))) {
            post.refuse(STOPPED);
        }
    }

    pub fn watch(&self, room: &RoomId) -> Answer<'static, Watch> {
        let (answer, answered) = oneshot::channel();
        // Where it has ended, the answer is dropped.
        let _ = self.jobs.send(Job::Watch(room.clone(), answer));
        Box::pin(async { answered.await.unwrap_or(Err(STOPPED)) })
    }

    pub fn follow(&self, room: &RoomId) -> Watch {
        let _ = self.jobs.send(Job::Follow(room.clone()));
        let room = room.clone();
        self.until_dropped(|| Job::Unfollow(room))
    }

    pub fn close(&self) {
        let _ = self.jobs.send(Job::Close);
    }

    fn until_dropped(&self, end: impl FnOnce() -> Job + Send + Sync + 'static) -> Watch {
        let jobs = self.jobs.clone();
        Watch::new(move || {
            let _ = jobs.send(end());
        })
    }
}

/// A connection and what it is told unasked.
pub(super) struct Connected {
    pub redis: MultiplexedConnection,
    pushes: mpsc::UnboundedReceiver<PushInfo>,
}

impl Connected {
    /// The first connection, which hears what is told to all nodes.
    pub async fn first(source: &Source) -> RedisResult<Self> {
        let connected = Self::new(source).await?;
        subscribe(connected.redis.clone(), source.channels().notices()).await?;
        Ok(connected)
    }

    async fn new(source: &Source) -> RedisResult<Self> {
        let (sender, pushes) = mpsc::unbounded_channel();
        let redis = source.connect(&config().set_push_sender(sender)).await?;
        Ok(Self { redis, pushes })
    }
}

/// An answer from Redis, when it comes.
type Task = Pin<Box<dyn Future<Output = Reply> + Send>>;

enum Reply {
    Appended(Sent, RedisResult<Vec<Value>>),
    Watched(RoomId, RedisResult<()>),
    Heads(Vec<RoomId>, RedisResult<Vec<Option<(Epoch, Seq)>>>),
    Checked(RoomId, Option<Asked>, RedisResult<Option<Found>>),
    Page(RoomId, RedisResult<Option<Page>>),
    Guests(RoomId, RedisResult<Guests>),
    Settings(Settings),
    Nothing(RedisResult<()>),
}

/// Posts that were sent in one pipeline.
struct Sent {
    batches: Vec<Batch>,
    /// The script was sent before them.
    script: bool,
}

/// The connection is of no use any more.
struct Lost;

pub(super) struct Runner {
    source: Arc<Source>,
    wait: u32,
    watcher: Arc<dyn Watcher>,
    peers: Arc<Peers>,
    worth: Arc<Mutex<String>>,
    /// What was refused is not asked for again, since Redis keeps a list of what it refused.
    may_ask_worth: bool,
    feed: Feed,
    jobs: mpsc::UnboundedReceiver<Job>,
    script: Script,
    known: Known,
    followed: HashMap<RoomId, usize>,
    pending: Pending,
    tasks: FuturesUnordered<Task>,
    /// Posts are under way.
    sending: bool,
    /// Redis has the script.
    loaded: bool,
    closing: bool,
    /// The watcher was told that Redis is away, and not yet that it is back.
    away: bool,
}

impl Runner {
    pub fn new(
        source: Arc<Source>,
        wait: u32,
        watcher: Arc<dyn Watcher>,
        peers: Arc<Peers>,
        worth: Arc<Mutex<String>>,
    ) -> Self {
        let (sender, jobs) = mpsc::unbounded_channel();
        let feed = Feed { jobs: sender, waiting: Waiting::default() };
        let of_watch = feed.clone();
        let watch = move |room: &RoomId| {
            let room = room.clone();
            of_watch.until_dropped(|| Job::Unwatch(room))
        };
        Self {
            source,
            wait,
            watcher: watcher.clone(),
            peers,
            worth,
            may_ask_worth: true,
            feed,
            jobs,
            script: Script::new(APPEND),
            known: Known::new(watcher, watch),
            followed: HashMap::new(),
            pending: Pending::default(),
            tasks: FuturesUnordered::new(),
            sending: false,
            loaded: false,
            closing: false,
            away: false,
        }
    }

    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// Serves until it is closed.
    pub async fn run(mut self, first: Connected) {
        let mut connected = first;
        let mut again = false;
        loop {
            let since = Instant::now();
            let settings = Settings::ask(connected.redis.clone()).await;
            self.note(&settings);
            match AssertUnwindSafe(self.serve(&mut connected, again)).catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(Lost)) => tracing::warn!("the connection to Redis is lost"),
                Err(_) => tracing::error!("a panic; all is asked of Redis anew"),
            }
            self.lose();
            if self.closing {
                break;
            }
            // Once, however many connections break off before all is healed.
            if !std::mem::replace(&mut self.away, true) {
                self.watcher.told(Tiding::Away);
            }
            // One that did not last may not last the next time, where Redis refuses what it is for.
            let pause = PATIENCE.saturating_sub(since.elapsed());
            match self.reconnect(pause).await {
                Some(new) => connected = new,
                None => break,
            }
            // The link may be with a primary that stood still and has been replaced, and hear nothing of it.
            self.source.doubt();
            again = true;
        }
        self.jobs.close();
        while let Ok(job) = self.jobs.try_recv() {
            self.refuse(job, &STOPPED);
        }
    }

    /// Of what was under way nobody can tell whether it was done; what was not sent was not.
    fn lose(&mut self) {
        self.tasks.clear();
        (self.sending, self.loaded) = (false, false);
        let error = if self.closing { STOPPED } else { AWAY };
        self.pending.refuse_all(&error);
        self.known.lose(&error);
    }

    async fn reconnect(&mut self, first_pause: Duration) -> Option<Connected> {
        let source = self.source.clone();
        let mut connecting = Box::pin(async move {
            tokio::time::sleep(first_pause).await;
            let mut pause = Duration::from_millis(20);
            loop {
                match Connected::new(&source).await {
                    Ok(connected) if !is_replica(connected.redis.clone()).await => return connected,
                    Ok(_) => tracing::debug!("this Redis is a replica just now"),
                    Err(error) => tracing::debug!(%error, "cannot reach Redis"),
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PATIENCE);
            }
        });
        loop {
            tokio::select! {
                connected = &mut connecting => return Some(connected),
                job = self.jobs.recv() => match job {
                    Some(Job::Close) | None => {
                        self.closing = true;
                        return None;
                    }
                    Some(job) => self.refuse(job, &AWAY),
                }
            }
        }
    }

    fn refuse(&mut self, job: Job, error: &Error) {
        match job {
            Job::Append(post) => {
                post.refuse(error.clone());
                self.known.commit();
            }
            Job::Watch(_, asking) => drop(asking.send(Err(error.clone()))),
            Job::Unwatch(room) => drop(self.known.unwatch(&room)),
            Job::Follow(room) => drop(self.follow(room)),
            Job::Unfollow(room) => drop(self.unfollow(&room)),
            Job::Close => {}
        }
    }

    async fn serve(&mut self, connected: &mut Connected, again: bool) -> Result<(), Lost> {
        let redis = connected.redis.clone();
        if again {
            self.heal(&redis, connected).await?;
            tracing::info!("connected to Redis again");
            self.away = false;
            self.watcher.told(Tiding::Back);
        }
        let mut heads = tokio::time::interval_at(tokio::time::Instant::now() + HEADS_EVERY, HEADS_EVERY);
        let mut worth = tokio::time::interval_at(tokio::time::Instant::now() + WORTH_EVERY, WORTH_EVERY);
        heads.set_missed_tick_behavior(MissedTickBehavior::Delay);
        worth.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                job = self.jobs.recv() => self.take(job.unwrap_or(Job::Close), &redis),
                push = connected.pushes.recv() => self.hear(push, &redis)?,
                Some(reply) = self.tasks.next() => {
                    // What was told before it comes first.
                    self.hear_all(connected, &redis)?;
                    self.handle(reply, &redis)?;
                }
                _ = heads.tick() => self.ask_heads(&redis),
                _ = worth.tick(), if self.may_ask_worth => {
                    let asked = Settings::ask(redis.clone());
                    self.tasks.push(Box::pin(async { Reply::Settings(asked.await) }));
                }
            }
            self.hear_all(connected, &redis)?;
            while let Ok(job) = self.jobs.try_recv() {
                self.take(job, &redis);
            }
            self.send(&redis);
            self.known.flush();
            if self.closing && !self.sending && self.pending.is_empty() {
                return Ok(());
            }
        }
    }

    /// Subscribes to all that is watched and followed, and finds out what happened meanwhile.
    async fn heal(&mut self, redis: &MultiplexedConnection, connected: &mut Connected) -> Result<(), Lost> {
        self.known.forget();
        let channels = self.source.channels();
        let watched = self.known.watched().flat_map(|id| watched(channels, id));
        let heads = self.followed.keys().map(|id| channels.of_room(id, "head"));
        let all = watched.chain(heads).chain([channels.notices()]);
        let subscribed = join_all(all.map(|channel| subscribe(redis.clone(), channel))).await;
        subscribed.into_iter().collect::<RedisResult<()>>().map_err(|error| lost(&error))?;
        for id in self.known.all() {
            self.tasks.push(check(redis.clone(), id.clone(), self.known.last(id)));
        }
        while let Some(reply) = self.tasks.next().await {
            self.hear_all(connected, redis)?;
            self.handle(reply, redis)?;
        }
        self.known.flush();
        for id in self.followed.keys() {
            self.watcher.told(Tiding::Stirred(id.clone()));
        }
        Ok(())
    }

    fn take(&mut self, job: Job, redis: &MultiplexedConnection) {
        match job {
            Job::Append(post) => self.pending.push(*post),
            Job::Watch(id, asking) => {
                if self.known.watch(&id, asking) {
                    let (redis, channels) = (redis.clone(), watched(self.source.channels(), &id));
                    self.tasks.push(Box::pin(async move {
                        let subscribed = join_all(channels.map(|channel| subscribe(redis.clone(), channel))).await;
                        Reply::Watched(id, subscribed.into_iter().collect())
                    }));
                }
            }
            Job::Unwatch(id) => {
                if self.known.unwatch(&id) {
                    for channel in watched(self.source.channels(), &id) {
                        self.unsubscribe(channel, redis);
                    }
                }
            }
            Job::Follow(id) => {
                let channel = self.source.channels().of_room(&id, "head");
                if self.follow(id) {
                    let redis = redis.clone();
                    self.tasks.push(Box::pin(async move { Reply::Nothing(subscribe(redis, channel).await) }));
                }
            }
            Job::Unfollow(id) => {
                if self.unfollow(&id) {
                    self.unsubscribe(self.source.channels().of_room(&id, "head"), redis);
                }
            }
            Job::Close => self.closing = true,
        }
    }

    /// True where that is the first.
    fn follow(&mut self, id: RoomId) -> bool {
        let count = self.followed.entry(id).or_default();
        *count += 1;
        *count == 1
    }

    /// True where that was the last.
    fn unfollow(&mut self, id: &RoomId) -> bool {
        let Some(count) = self.followed.get_mut(id) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.followed.remove(id);
        true
    }

    fn unsubscribe(&mut self, channel: String, redis: &MultiplexedConnection) {
        let mut redis = redis.clone();
        self.tasks.push(Box::pin(async move {
            Reply::Nothing(redis::cmd("SUNSUBSCRIBE").arg(channel).exec_async(&mut redis).await)
        }));
    }

    /// Sends what waits, unless the last is still under way. One pipeline at a time, for all rooms: Redis runs one
    /// script after the other and answers a connection in order, and a `WAIT` holds back all that comes after it, so
    /// that another pipeline would wait there instead of here, where it grows meanwhile. The price is one way to Redis
    /// and back for a post that comes just too late. It keeps each room to one batch under way, which its order rests
    /// on: what is sent again goes before what came since.
    fn send(&mut self, redis: &MultiplexedConnection) {
        if self.sending || self.pending.is_empty() {
            return;
        }
        let (batches, asked) = self.pending.take();
        for id in asked {
            let redis = redis.clone();
            self.tasks.push(Box::pin(async move {
                let guests = healing::guests(redis, &id).await;
                Reply::Guests(id, guests)
            }));
        }
        if batches.is_empty() {
            return;
        }
        let mut pipe = Pipeline::new();
        let sent = Sent { batches, script: !self.loaded };
        if sent.script {
            pipe.cmd("SCRIPT").arg("LOAD").arg(APPEND);
        }
        for batch in &sent.batches {
            let epoch = self.known.epoch(&batch.room);
            append::add_to(&mut pipe, &self.script, batch, epoch, self.source.channels());
        }
        if self.wait > 0 {
            pipe.cmd("WAIT").arg(self.wait).arg(WAIT_TIME);
        }
        (self.sending, self.loaded) = (true, true);
        let mut redis = redis.clone();
        self.tasks.push(Box::pin(async move {
            let count = pipe.len();
            Reply::Appended(sent, redis.send_packed_commands(&pipe, 0, count).await)
        }));
    }

    fn note(&mut self, settings: &Settings) {
        *self.worth.lock() = settings.worth(self.wait);
        self.may_ask_worth = settings.can_be_read();
    }

    fn ask_heads(&mut self, redis: &MultiplexedConnection) {
        self.known.forget();
        let live: Vec<_> = self.known.live().cloned().collect();
        let mut redis = redis.clone();
        self.tasks.push(Box::pin(async move {
            let heads = healing::heads(&mut redis, &live).await;
            Reply::Heads(live, heads)
        }));
    }
}

/// Hearing: what Redis tells and answers.
impl Runner {
    fn hear_all(&mut self, connected: &mut Connected, redis: &MultiplexedConnection) -> Result<(), Lost> {
        while let Ok(push) = connected.pushes.try_recv() {
            self.hear(Some(push), redis)?;
        }
        Ok(())
    }

    fn hear(&mut self, push: Option<PushInfo>, redis: &MultiplexedConnection) -> Result<(), Lost> {
        let push = push.ok_or(Lost)?;
        match push.kind {
            PushKind::Disconnection => Err(Lost),
            PushKind::SMessage => {
                match news::read(&push.data) {
                    Some(News::Events(id, header, events)) => {
                        if self.known.is_live(&id) {
                            let ask = self.known.learn(&id, header, events);
                            self.ask(id, ask, redis);
                        }
                    }
                    Some(News::Head(id)) => {
                        if self.followed.contains_key(&id) && !self.known.is_live(&id) {
                            self.watcher.told(Tiding::Stirred(id));
                        }
                    }
                    None => {
                        if let Some(tiding) = self.peers.heard(&push.data) {
                            self.watcher.told(tiding);
                        } else {
                            tracing::debug!("Redis told what is our own, or of no version of ours");
                        }
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn handle(&mut self, reply: Reply, redis: &MultiplexedConnection) -> Result<(), Lost> {
        match reply {
            Reply::Appended(sent, answers) => {
                self.sending = false;
                return self.settle(sent, answers, redis);
            }
            Reply::Watched(id, watched) => match watched {
                Ok(()) => {
                    let last = self.known.last(&id);
                    self.tasks.push(check(redis.clone(), id, last));
                }
                Err(error) => {
                    self.known.refuse_watchers(&id, &if was_refused(&error) { outcome(&error) } else { AWAY });
                    return stands(&error);
                }
            },
            Reply::Heads(ids, Ok(heads)) => {
                for (id, head) in ids.into_iter().zip(heads) {
                    let ask = self.known.compare(&id, head);
                    self.ask(id, ask, redis);
                }
            }
            Reply::Checked(id, asked, Ok(found)) => {
                self.pending.release(&id);
                let ask = self.known.checked(&id, asked, found);
                self.ask(id, ask, redis);
            }
            Reply::Page(id, Ok(page)) => {
                let ask = self.known.take_page(&id, page);
                self.ask(id, ask, redis);
            }
            Reply::Guests(id, Ok(guests)) => self.pending.found(&id, guests),
            Reply::Settings(settings) => self.note(&settings),
            Reply::Nothing(Ok(())) => {}
            Reply::Heads(_, Err(error))
            | Reply::Checked(_, _, Err(error))
            | Reply::Page(_, Err(error))
            | Reply::Guests(_, Err(error))
            | Reply::Nothing(Err(error)) => return Err(lost(&error)),
        }
        Ok(())
    }

    fn settle(
        &mut self,
        sent: Sent,
        answers: RedisResult<Vec<Value>>,
        redis: &MultiplexedConnection,
    ) -> Result<(), Lost> {
        let Sent { batches, script } = sent;
        let mut answers = match answers {
            Ok(answers) => answers.into_iter(),
            Err(error) => {
                for post in batches.into_iter().flat_map(|batch| batch.posts) {
                    self.known.tell(Receipt { done: post.done, outcome: Err(outcome(&error)) });
                }
                return stands(&error);
            }
        };
        let short = self.wait > 0
            && !matches!(answers.as_slice().last(), Some(Value::Int(count)) if *count >= i64::from(self.wait));
        // Redis may not take the script, and then does not know it the next time either.
        let refused = match script.then(|| answers.next()) {
            Some(Some(Value::ServerError(error))) => Some(RedisError::from(error)),
            _ => None,
        };
        let mut stands = Ok(());
        for batch in batches {
            let answer = answers.nth(append::answers_before(&batch)).unwrap_or(Value::Nil);
            if let Value::ServerError(error) = answer {
                let mut error = RedisError::from(error);
                if error.kind() == ErrorKind::Server(redis::ServerErrorKind::NoScript) {
                    self.loaded = false;
                    let Some(refused) = &refused else {
                        self.pending.put_back(&batch.room, batch.posts);
                        continue;
                    };
                    error = refused.clone();
                }
                tracing::warn!(%error, room = %batch.room, "Redis did not append");
                for post in batch.posts {
                    self.known.tell(Receipt { done: post.done, outcome: Err(outcome(&error)) });
                }
                if is_demoted(&error) {
                    stands = Err(Lost);
                }
                continue;
            }
            match append::answer(&batch.room, batch.posts.len(), &answer) {
                Some(Answered::Done { outcomes, header }) => self.done(batch, &outcomes, &header, short, redis),
                Some(Answered::OtherEpoch) => {
                    self.pending.hold(&batch.room);
                    self.tasks.push(check(redis.clone(), batch.room.clone(), self.known.last(&batch.room)));
                    self.pending.put_back(&batch.room, batch.posts);
                }
                None => tracing::error!(room = %batch.room, "an append was answered with what is no answer"),
            }
        }
        stands
    }

    fn done(&mut self, batch: Batch, outcomes: &[Outcome], header: &str, short: bool, redis: &MultiplexedConnection) {
        let Batch { room: id, posts } = batch;
        let mut posts = posts.into_iter();
        let (mut events, mut receipts) = (Vec::new(), Vec::new());
        for (mut post, outcome) in posts.by_ref().zip(outcomes) {
            let Some(told) = outcome.told() else {
                let mut again = vec![post];
                again.extend(posts);
                self.pending.put_back(&id, again);
                break;
            };
            if let Outcome::Appended(seq) = outcome {
                post.event.seq = *seq;
                events.push(post.event);
            }
            let seq = told.as_ref().ok().copied();
            let outcome = if short && seq.is_some() { Err(Error::UnknownOutcome) } else { told };
            receipts.push((seq, Receipt { done: post.done, outcome }));
        }
        if let Some(header) = Header::read(header) {
            header.empty(&mut events);
            let ask = self.known.learn(&id, header, events);
            self.ask(id.clone(), ask, redis);
        }
        self.known.owe(&id, receipts);
    }

    fn ask(&mut self, id: RoomId, ask: Option<Ask>, redis: &MultiplexedConnection) {
        let redis = redis.clone();
        self.tasks.push(match ask {
            Some(Ask::Check(asked)) => check(redis, id, asked),
            Some(Ask::Page(after)) => page(redis, id, after),
            Some(Ask::Renew(lost)) => renew(redis, id, lost),
            None => return,
        });
    }
}

/// One that does not let us ask is taken for a primary.
async fn is_replica(mut redis: MultiplexedConnection) -> bool {
    let info: RedisResult<String> = redis::cmd("INFO").arg("replication").query_async(&mut redis).await;
    info.is_ok_and(|info| worth::field::<String>(&info, "role").as_deref() == Some("slave"))
}

/// Where an error leaves the connection.
fn stands(error: &RedisError) -> Result<(), Lost> {
    if was_refused(error) && !is_demoted(error) { Ok(()) } else { Err(lost(error)) }
}

fn lost(error: &RedisError) -> Lost {
    tracing::warn!(%error, "Redis does not answer as it should");
    Lost
}

/// The channels of a room that is watched. Each is subscribed to by itself, since each is answered by itself.
fn watched(channels: &Channels, room: &RoomId) -> [String; 2] {
    ["news", "signals"].map(|what| channels.of_room(room, what))
}

async fn subscribe(mut redis: MultiplexedConnection, channel: String) -> RedisResult<()> {
    redis::cmd("SSUBSCRIBE").arg(channel).exec_async(&mut redis).await
}

fn check(redis: MultiplexedConnection, id: RoomId, asked: Option<Asked>) -> Task {
    Box::pin(async move {
        let found = healing::find(redis, &id, asked.map(|asked| asked.seq)).await;
        Reply::Checked(id, asked, found)
    })
}

fn renew(redis: MultiplexedConnection, id: RoomId, lost: Epoch) -> Task {
    Box::pin(async move {
        let found = match healing::renew(redis.clone(), &id, lost).await {
            Ok(()) => healing::find(redis, &id, None).await,
            Err(error) => Err(error),
        };
        Reply::Checked(id, None, found)
    })
}

fn page(redis: MultiplexedConnection, id: RoomId, after: Seq) -> Task {
    Box::pin(async move {
        let page = healing::page(redis, &id, after).await;
        Reply::Page(id, page)
    })
}
