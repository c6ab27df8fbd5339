//! What nodes tell each other over Redis, and hold there for each other: a lease that says a node lives, who is present
//! by it, which names its connections hold, and words that any node may take. What a notice means is not known here.
//!
//! `node:ID` is the lease; `nodes` names all who have one. Of each room `present` holds `NODE USER` → name; a name's
//! `claim:NAME` holds node → `USER STAMP`, and `claims:NODE` all names of a node. What has to be said waits here until
//! Redis has taken it, in order; what is said twice does no harm.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Pipeline, RedisResult, Script, Value, cmd, pipe};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use super::link::{Link, STOPPED, is_demoted};
use super::{Backend, Channels, key, room_key};
use crate::protocol::{Author, RoomId, UserId};
use crate::store::{Answer, NodeId, Nodes, Tiding, Watcher};

/// A node that has not renewed its lease for so long is dead.
const LEASE_SECONDS: u32 = 20;
/// How often the lease is renewed, and looked who has none any more.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// What could not be said is said again after this time.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
/// A node that ends waits at most so long until it has said everything.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// More notices do not wait. So many never should: they tell of what Redis has taken, which it does not while it is away.
const NOTICES: usize = 10_000;

/// This node among the others.
pub(super) struct Peers {
    node: NodeId,
    watcher: Arc<dyn Watcher>,
    channels: Channels,
    waiting: Mutex<Waiting>,
    bell: Notify,
    /// Notified when nothing waits any more.
    silence: Condvar,
    /// The names that connections here hold.
    claims: Mutex<HashMap<String, Claim>>,
    stamp: AtomicU64,
    /// Other nodes that were heard of and have not ended.
    others: Mutex<HashSet<NodeId>>,
    left: AtomicBool,
}

/// What the others have yet to be told.
#[derive(Default)]
struct Waiting {
    /// Channel and words.
    notices: Vec<(String, String)>,
    /// By room: who is present here, by their name, or not any more.
    present: BTreeMap<RoomId, BTreeMap<UserId, Option<Arc<str>>>>,
    /// Names that were let go, by the stamp with which they were claimed.
    released: BTreeMap<String, u64>,
    leaves: bool,
    /// What waited before is just being said.
    being_said: bool,
}

#[derive(Clone, Copy)]
struct Claim {
    user: UserId,
    count: u32,
    /// Rises: a claim is not ended by the release of the one before.
    stamp: u64,
}

/// What goes over a channel.
#[derive(Serialize, Deserialize)]
struct Envelope {
    node: NodeId,
    #[serde(flatten)]
    said: Said,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Notice(String),
    Present { came: Vec<Author>, left: Vec<UserId> },
    Gone,
}

/// Renews a lease and names the living; whoever is found dead lets go of their names.
static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local had = redis.call('EXISTS', '{chinwag}:node:' .. ARGV[1])
redis.call('SET', '{chinwag}:node:' .. ARGV[1], '1', 'EX', ARGV[2])
redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])
local living = {}
for _, node in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if redis.call('EXISTS', '{chinwag}:node:' .. node) == 1 then
    living[#living + 1] = node
  else
    for _, name in ipairs(redis.call('SMEMBERS', '{chinwag}:claims:' .. node)) do
      redis.call('HDEL', '{chinwag}:claim:' .. name, node)
    end
    redis.call('DEL', '{chinwag}:claims:' .. node)
    redis.call('ZREM', KEYS[1], node)
  end
end
return {had, living}
",
    )
});

/// Ends a lease, and says so.
const LEAVE: &str = r"
for _, name in ipairs(redis.call('SMEMBERS', '{chinwag}:claims:' .. ARGV[1])) do
  redis.call('HDEL', '{chinwag}:claim:' .. name, ARGV[1])
end
redis.call('DEL', '{chinwag}:claims:' .. ARGV[1], '{chinwag}:node:' .. ARGV[1])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('SPUBLISH', KEYS[2], ARGV[2])
";

/// Claims names for a node and user: of each 1 where it is held now. Names and stamps come in pairs.
static CLAIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local node, user, outcome = ARGV[1], ARGV[2], {}
for at = 3, #ARGV, 2 do
  local name, stamp = ARGV[at], ARGV[at + 1]
  local claim, free = '{chinwag}:claim:' .. name, 1
  local held = redis.call('HGETALL', claim)
  for i = 1, #held, 2 do
    local holder = string.match(held[i + 1], '^%S+')
    if held[i] ~= node and redis.call('EXISTS', '{chinwag}:node:' .. held[i]) == 0 then
      redis.call('HDEL', claim, held[i])
    elseif holder ~= user then
      free = 0
    elseif held[i] == node and tonumber(string.match(held[i + 1], '%d+$')) > tonumber(stamp) then
      stamp = string.match(held[i + 1], '%d+$')
    end
  end
  if free == 1 then
    redis.call('HSET', claim, node, user .. ' ' .. stamp)
    redis.call('SADD', KEYS[1], name)
  end
  outcome[#outcome + 1] = free
end
return outcome
",
    )
});

/// Lets go of a name that was claimed with this stamp, or one before.
const RELEASE: &str = r"
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and tonumber(string.match(held, '%d+$')) <= tonumber(ARGV[3]) then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('SREM', KEYS[2], ARGV[2])
end
";

/// Who holds names by another living node; empty where nobody does.
static HELD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local outcome = {}
for _, claim in ipairs(KEYS) do
  local user, held = '', redis.call('HGETALL', claim)
  for i = 1, #held, 2 do
    if held[i] ~= ARGV[1] and redis.call('EXISTS', '{chinwag}:node:' .. held[i]) == 1 then
      user = string.match(held[i + 1], '^%S+')
    end
  end
  outcome[#outcome + 1] = user
end
return outcome
",
    )
});

impl Peers {
    pub fn new(watcher: Arc<dyn Watcher>, channels: Channels) -> Self {
        Self {
            node: format!("{:08x}", Uuid::now_v7().as_u128() & 0xffff_ffff),
            watcher,
            channels,
            waiting: Mutex::default(),
            bell: Notify::new(),
            silence: Condvar::new(),
            claims: Mutex::default(),
            stamp: AtomicU64::new(1),
            others: Mutex::default(),
            left: AtomicBool::new(false),
        }
    }

    fn join(self: &Arc<Self>, link: &Link) {
        link.runtime().spawn(self.clone().live(link.clone()));
        link.runtime().spawn(self.clone().speak(link.clone()));
    }

    /// What was heard on a channel of ours; `None` where that was our own voice, or is nothing of ours.
    pub fn heard(&self, data: &[Value]) -> Option<Tiding> {
        let [Value::BulkString(channel), Value::BulkString(said)] = data else { return None };
        let Envelope { node, said } = serde_json::from_slice(said).ok()?;
        if node == self.node {
            return None;
        }
        let channel = Channels::read(std::str::from_utf8(channel).ok()?);
        let room = channel.filter(|(_, what)| *what == "signals").map(|(room, _)| room);
        if let Said::Gone = said {
            self.others.lock().remove(&node);
            return Some(Tiding::NodeGone(node));
        }
        self.others.lock().insert(node.clone());
        Some(match (said, room) {
            (Said::Notice(notice), None) => Tiding::Notice(notice),
            (Said::Notice(notice), Some(room)) => Tiding::RoomNotice { room: room.into(), notice },
            (Said::Present { came, left }, Some(room)) => Tiding::Present { node, room: room.into(), came, left },
            _ => return None,
        })
    }

    /// Keeps the lease, and notices whose has ended, until this node leaves.
    async fn live(self: Arc<Self>, link: Link) {
        let (mut first, mut failed) = (true, false);
        while !self.left.load(Ordering::Acquire) {
            match self.renew(&link).await {
                Ok(had) => {
                    // The others took this node for dead, or Redis has lost what it held; or the answer that said so
                    // was lost.
                    let lapsed = failed || !(had || first);
                    (first, failed) = (false, false);
                    if lapsed {
                        failed = !self.claim_anew(&link).await;
                        self.watcher.told(Tiding::Lapsed);
                    }
                }
                Err(error) => {
                    failed = true;
                    tracing::debug!(%error, "cannot renew this node's lease");
                }
            }
            tokio::time::sleep(RENEW_EVERY).await;
        }
    }

    /// Says whether there was a lease to renew.
    async fn renew(&self, link: &Link) -> Result<bool, crate::error::Error> {
        let (node, nodes) = (self.node.clone(), key("nodes"));
        let (had, living): (bool, HashSet<NodeId>) = link
            .change(move |mut redis| async move {
                RENEW.key(nodes).arg(node).arg(LEASE_SECONDS).invoke_async(&mut redis).await
            })
            .await?;
        let mut others = self.others.lock();
        let dead: Vec<_> = others.iter().filter(|node| !living.contains(*node)).cloned().collect();
        *others = living;
        others.remove(&self.node);
        drop(others);
        for node in dead {
            self.watcher.told(Tiding::NodeGone(node));
        }
        Ok(had)
    }

    /// Says whether nothing came in between.
    async fn claim_anew(self: &Arc<Self>, link: &Link) -> bool {
        let claims: Vec<_> =
            self.claims.lock().iter().map(|(name, claim)| (name.clone(), claim.user, claim.stamp)).collect();
        for (name, user, stamp) in claims {
            if let Err(error) = self.claim_all(link, vec![(name, stamp)], user).await {
                tracing::debug!(%error, "cannot claim a name anew");
                return false;
            }
        }
        true
    }

    fn claim_all(self: &Arc<Self>, link: &Link, names: Vec<(String, u64)>, user: UserId) -> Answer<'static, Vec<bool>> {
        let (node, claims, asked) = (self.node.clone(), key(&format!("claims:{}", self.node)), names.clone());
        let claimed = link.change(move |mut redis| async move {
            let mut claim = CLAIM.key(claims);
            claim.arg(node).arg(user.to_string());
            for (name, stamp) in asked {
                claim.arg(name).arg(stamp);
            }
            claim.invoke_async(&mut redis).await
        });
        let peers = self.clone();
        // It goes on where whoever asked has gone.
        let claiming = link.runtime().spawn(async move {
            let claimed = claimed.await;
            peers.release_unclaimed(names);
            claimed
        });
        Box::pin(async { claiming.await.unwrap_or(Err(STOPPED)) })
    }

    /// Lets go once more of what was let go of while Redis was asked for it: that may have come first.
    fn release_unclaimed(&self, names: Vec<(String, u64)>) {
        let claims = self.claims.lock();
        for (name, stamp) in names {
            if !claims.contains_key(&name) {
                self.release(name, stamp);
            }
        }
    }

    fn release(&self, name: String, stamp: u64) {
        let mut waiting = self.waiting.lock();
        let released = waiting.released.entry(name).or_default();
        *released = stamp.max(*released);
        drop(waiting);
        self.bell.notify_one();
    }

    /// One more claim of this name, and its stamp.
    fn count(&self, name: String, user: UserId) -> (String, u64) {
        let mut claims = self.claims.lock();
        let stamp = self.stamp.fetch_add(1, Ordering::Relaxed);
        let claim = claims.entry(name.clone()).or_insert(Claim { user, count: 0, stamp });
        if claim.user != user {
            *claim = Claim { user, count: 0, stamp };
        }
        (claim.count, claim.stamp) = (claim.count + 1, stamp);
        (name, stamp)
    }

    fn say(&self, channel: String, said: Said) {
        let words = self.words(said);
        let mut waiting = self.waiting.lock();
        if waiting.notices.len() < NOTICES {
            waiting.notices.push((channel, words));
        }
        drop(waiting);
        self.bell.notify_one();
    }

    fn words(&self, said: Said) -> String {
        let envelope = Envelope { node: self.node.clone(), said };
        serde_json::to_string(&envelope).expect("an envelope always serialises")
    }

    /// Blocks until everything is said, but not for long.
    pub fn say_the_rest(&self) {
        let until = Instant::now() + LAST_WORDS;
        let mut waiting = self.waiting.lock();
        while waiting.being_said || !waiting.is_empty() {
            if self.silence.wait_until(&mut waiting, until).timed_out() {
                return tracing::debug!("the other nodes are not told the rest");
            }
        }
    }

    /// Says what waits to be said, for ever: also after this node has left some things are still to be done.
    async fn speak(self: Arc<Self>, link: Link) {
        loop {
            self.bell.notified().await;
            loop {
                let mut waiting = self.waiting.lock().take();
                if waiting.is_empty() {
                    self.silence.notify_all();
                    break;
                }
                let pipeline = self.pipeline(&waiting);
                match link.change(move |mut redis| async move { say_all(pipeline, &mut redis).await }).await {
                    Ok(outcomes) => waiting.keep_unsaid(outcomes),
                    Err(error) => tracing::debug!(%error, "cannot tell the other nodes"),
                }
                if !waiting.is_empty() {
                    self.waiting.lock().put_back(waiting);
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    /// In an order on which `keep_unsaid` relies.
    fn pipeline(&self, waiting: &Waiting) -> Pipeline {
        let mut pipeline = pipe();
        for (channel, words) in &waiting.notices {
            pipeline.cmd("SPUBLISH").arg(channel).arg(words);
        }
        for (room, present) in &waiting.present {
            let (hash, field) = (room_key(room, "present"), |user: UserId| format!("{} {user}", self.node));
            let (mut came, mut left) = (Vec::new(), Vec::new());
            for (user, name) in present {
                if let Some(name) = name {
                    pipeline.cmd("HSET").arg(&hash).arg(field(*user)).arg(&**name);
                    came.push(Author { id: *user, name: name.clone() });
                } else {
                    pipeline.cmd("HDEL").arg(&hash).arg(field(*user));
                    left.push(*user);
                }
            }
            // After the hash: whoever looks there and listens misses nothing.
            let words = self.words(Said::Present { came, left });
            pipeline.cmd("SPUBLISH").arg(self.channels.of_room(room, "signals")).arg(words);
        }
        for (name, stamp) in &waiting.released {
            let claims = [key(&format!("claim:{name}")), key(&format!("claims:{}", self.node))];
            pipeline.cmd("EVAL").arg(RELEASE).arg(2).arg(&claims).arg(&self.node).arg(name).arg(*stamp);
        }
        if waiting.leaves {
            let keys = [key("nodes"), self.channels.notices()];
            pipeline.cmd("EVAL").arg(LEAVE).arg(2).arg(&keys).arg(&self.node).arg(self.words(Said::Gone));
        }
        pipeline.ignore_errors();
        pipeline
    }
}

/// What has become of each. A server that is no primary any more is left.
async fn say_all(pipeline: Pipeline, redis: &mut MultiplexedConnection) -> RedisResult<Vec<RedisResult<Value>>> {
    let mut outcomes: Vec<RedisResult<Value>> = pipeline.query_async(redis).await?;
    match outcomes.iter().position(|outcome| outcome.as_ref().is_err_and(is_demoted)) {
        Some(at) => outcomes.swap_remove(at).map(|_| Vec::new()),
        None => Ok(outcomes),
    }
}

/// Most of what Redis refuses it takes another time: when it is loaded, has its replicas again, has made room. What this
/// node's user may not do is given up.
fn may_be_said_again(outcome: RedisResult<Value>) -> bool {
    let Err(error) = outcome else { return false };
    if error.code() == Some("NOPERM") {
        tracing::warn!(%error, "Redis does not permit what the other nodes were to be told; they are not told");
        return false;
    }
    tracing::debug!(%error, "Redis does not take what the other nodes are to be told; it is told again");
    true
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.notices.is_empty() && self.present.is_empty() && self.released.is_empty() && !self.leaves
    }

    /// Takes what is to be said now.
    fn take(&mut self) -> Self {
        let being_said = !self.is_empty();
        mem::replace(self, Self { being_said, ..Self::default() })
    }

    /// Leaves what has to be said again.
    fn keep_unsaid(&mut self, outcomes: Vec<RedisResult<Value>>) {
        let mut again = outcomes.into_iter().map(may_be_said_again);
        // All are taken, whatever the first has come to.
        let mut any = |count| again.by_ref().take(count).fold(false, |any, one| any | one);
        self.notices.retain(|_| any(1));
        self.present.retain(|_, users| any(users.len() + 1));
        self.released.retain(|_, _| any(1));
        self.leaves = self.leaves && any(1);
    }

    /// Puts back what was not said, before what came since.
    fn put_back(&mut self, mut before: Self) {
        before.notices.append(&mut self.notices);
        before.notices.truncate(NOTICES);
        for (room, since) in mem::take(&mut self.present) {
            before.present.entry(room).or_default().extend(since);
        }
        for (name, stamp) in mem::take(&mut self.released) {
            before.released.insert(name, stamp);
        }
        before.leaves |= self.leaves;
        *self = before;
    }
}

impl Nodes for Backend {
    fn node(&self) -> NodeId {
        self.peers.node.clone()
    }

    fn join(&self) {
        self.peers.join(&self.link);
    }

    fn tell(&self, notice: String) {
        self.peers.say(self.peers.channels.notices(), Said::Notice(notice));
    }

    fn tell_room(&self, room: &RoomId, notice: String) {
        self.peers.say(self.peers.channels.of_room(room, "signals"), Said::Notice(notice));
    }

    fn present(&self, room: &RoomId, came: Vec<Author>, left: Vec<UserId>) {
        let mut waiting = self.peers.waiting.lock();
        let present = waiting.present.entry(room.clone()).or_default();
        present.extend(left.into_iter().map(|user| (user, None)));
        present.extend(came.into_iter().map(|user| (user.id, Some(user.name))));
        drop(waiting);
        self.peers.bell.notify_one();
    }

    fn others_present<'a>(&'a self, room: &'a RoomId) -> Answer<'a, Vec<(NodeId, Vec<Author>)>> {
        let (hash, own) = (room_key(room, "present"), self.peers.node.clone());
        self.link.read(move |mut redis| async move {
            let present: HashMap<String, String> = redis.hgetall(&hash).await?;
            let mut by_node: HashMap<NodeId, Vec<Author>> = HashMap::new();
            for (field, name) in present {
                let Some((node, user)) = field.split_once(' ') else { continue };
                if node != own
                    && let Ok(id) = user.parse()
                {
                    by_node.entry(node.to_owned()).or_default().push(Author { id: UserId(id), name: name.into() });
                }
            }
            let mut living = Vec::new();
            for (node, users) in by_node {
                if redis.exists(key(&format!("node:{node}"))).await? {
                    living.push((node, users));
                } else {
                    let fields: Vec<_> = users.iter().map(|user| format!("{node} {}", user.id)).collect();
                    let () = cmd("HDEL").arg(&hash).arg(fields).query_async(&mut redis).await?;
                }
            }
            Ok(living)
        })
    }

    fn claim(&self, folded: Vec<String>, user: UserId) -> Answer<'_, Vec<bool>> {
        let peers = &self.peers;
        // Counted before Redis is asked: whatever becomes of that, it is let go of in the end.
        let stamped = folded.into_iter().map(|name| peers.count(name, user)).collect();
        peers.claim_all(&self.link, stamped, user)
    }

    fn release(&self, folded: &str, user: UserId) {
        let mut claims = self.peers.claims.lock();
        let Some(claim) = claims.get_mut(folded).filter(|claim| claim.user == user) else { return };
        claim.count -= 1;
        if claim.count == 0 {
            let stamp = claim.stamp;
            claims.remove(folded);
            self.peers.release(folded.to_owned(), stamp);
        }
    }

    fn held(&self, folded: Vec<String>) -> Answer<'_, Vec<Option<UserId>>> {
        if folded.is_empty() {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        }
        let node = self.peers.node.clone();
        self.link.read(move |mut redis| async move {
            let mut ask = HELD.prepare_invoke();
            for name in folded {
                ask.key(key(&format!("claim:{name}")));
            }
            let held: Vec<String> = ask.arg(node).invoke_async(&mut redis).await?;
            Ok(held.iter().map(|user| user.parse().ok().map(UserId)).collect())
        })
    }

    fn leave(&self) {
        self.peers.left.store(true, Ordering::Release);
        self.peers.waiting.lock().leaves = true;
        self.peers.bell.notify_one();
    }

    fn keep(&self, word_key: String, word: String, lasts: Duration) -> Answer<'_, ()> {
        let word_key = key(&format!("word:{word_key}"));
        self.link.change(move |mut redis| async move { redis.set_ex(word_key, word, lasts.as_secs().max(1)).await })
    }

    fn take(&self, word_key: String) -> Answer<'_, Option<String>> {
        let word_key = key(&format!("word:{word_key}"));
        self.link.change(move |mut redis| async move { redis.get_del(word_key).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_said_goes_before_what_came_since() {
        let (room, bob) = (RoomId::lobby(), UserId::random());
        let waiting = |notice: &str, name: Option<&str>| {
            let present = BTreeMap::from([(bob, name.map(Into::into))]);
            Waiting {
                notices: vec![("notices".to_owned(), notice.to_owned())],
                present: BTreeMap::from([(room.clone(), present)]),
                ..Waiting::default()
            }
        };
        let mut since = waiting("second", None);
        since.put_back(waiting("first", Some("bob")));
        assert_eq!(since.notices.iter().map(|(_, words)| &**words).collect::<Vec<_>>(), ["first", "second"]);
        assert_eq!(since.present[&room][&bob], None, "he has left since");
    }
}
