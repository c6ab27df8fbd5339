//! Posts on their way into logs: those that wait, each room's in its own order, and what a batch of them is to Redis.
//! It must not know when a batch is sent, nor who hears of what it brought.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::{Pipeline, Script, Value};
use serde::Serialize;

use super::event;
use super::{Channels, key, room_key};
use crate::error::{Error, Result};
use crate::protocol::{Epoch, Event, Kind, MemberRole, RoomChange, RoomId, RoomKind, Seq, UserId};
use crate::store::{ARCHIVED, Append, Completion, Effect, NOT_ENOUGH, Right};

/// More than this waiting to be sent, and what comes is refused.
const MAX_WAITING: usize = 64 << 20;

/// Bounds of what is sent together.
const BATCH_POSTS: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;

/// What is held of posts whose outcome is not known.
#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<AtomicUsize>);

/// A post's part of that, for as long as it is held.
struct Weight {
    bytes: usize,
    of: Waiting,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.of.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

pub(super) struct Post {
    pub room: RoomId,
    pub event: Event,
    pub done: Completion,
    right: Right,
    effect: Effect,
    /// Asked for where the effect puts guests out.
    guests: Option<Guests>,
    weight: Weight,
}

/// The guests among the members, as long as the count of changes is this.
#[derive(Clone, Debug)]
pub(super) struct Guests {
    pub rev: String,
    pub users: Vec<UserId>,
}

impl Waiting {
    /// Takes a post up, or refuses it.
    pub fn admit(&self, append: Append) -> Option<Post> {
        let Append { room, mut event, right, effect, done } = append;
        let content = event.content.as_ref().map_or(0, |content| content.json.len());
        let words = room.as_str().len() + event.author.name.len() + event.txn_id.as_ref().map_or(0, |id| id.len());
        let bytes = content + words + size_of::<Post>();
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        let weight = Weight { bytes, of: self.clone() };
        if before > MAX_WAITING {
            done.tell(Err(Error::Unavailable("too much is waiting to be written")));
            return None;
        }
        // What is announced is what will be read.
        event.at = jiff::Timestamp::from_millisecond(event.at.as_millisecond()).unwrap_or(event.at);
        Some(Post { room, event, done, right, effect, guests: None, weight })
    }
}

impl Post {
    pub fn refuse(self, error: Error) {
        self.done.tell(Err(error));
    }

    fn puts_guests_out(&self) -> bool {
        match &self.effect {
            Effect::Change(change) => change.guests == Some(false),
            Effect::Kind(kind) => *kind != RoomKind::Public,
            _ => false,
        }
    }

    /// The list that has this room on it before the post is appended: the rooms of whoever joins, or those of which
    /// something may be left.
    fn list(&self) -> Option<String> {
        match self.effect {
            Effect::Join => Some(key(&format!("joined:{}", self.event.author.id))),
            Effect::Member(user, _) => Some(key(&format!("joined:{user}"))),
            Effect::Delete => Some(key("deleted")),
            _ => None,
        }
    }
}

/// What waits to be sent.
#[derive(Default)]
pub(super) struct Pending {
    posts: HashMap<RoomId, VecDeque<Post>>,
    /// The rooms that posts wait for, in turn.
    turns: VecDeque<RoomId>,
    /// Rooms of which something must be found out first.
    held: HashSet<RoomId>,
}

/// What of one room is sent together.
pub(super) struct Batch {
    pub room: RoomId,
    pub posts: Vec<Post>,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty()
    }

    pub fn push(&mut self, post: Post) {
        let room = post.room.clone();
        self.posts.entry(room.clone()).or_insert_with(|| {
            self.turns.push_back(room);
            VecDeque::new()
        });
        if let Some(posts) = self.posts.get_mut(&post.room) {
            posts.push_back(post);
        }
    }

    /// Takes posts back that were not appended, in front of those that came meanwhile.
    pub fn put_back(&mut self, room: &RoomId, posts: Vec<Post>) {
        if posts.is_empty() {
            return;
        }
        let waiting = self.posts.entry(room.clone()).or_insert_with(|| {
            self.turns.push_back(room.clone());
            VecDeque::new()
        });
        for mut post in posts.into_iter().rev() {
            post.guests = None;
            waiting.push_front(post);
        }
    }

    pub fn hold(&mut self, room: &RoomId) {
        self.held.insert(room.clone());
    }

    pub fn release(&mut self, room: &RoomId) {
        self.held.remove(room);
    }

    /// The post that waits first in this room has what it asked for.
    pub fn found(&mut self, room: &RoomId, guests: Guests) {
        if let Some(post) = self.posts.get_mut(room).and_then(VecDeque::front_mut) {
            post.guests = Some(guests);
        }
        self.release(room);
    }

    /// What may be sent now; and of which rooms the guests must be known first, which are held.
    pub fn take(&mut self) -> (Vec<Batch>, Vec<RoomId>) {
        let (mut batches, mut asked) = (Vec::new(), Vec::new());
        let (mut count, mut bytes) = (0, 0);
        for _ in 0..self.turns.len() {
            let Some(room) = self.turns.pop_front() else { break };
            let Some(waiting) = self.posts.get_mut(&room) else { continue };
            let mut posts = Vec::new();
            while !self.held.contains(&room)
                && count < BATCH_POSTS
                && bytes < BATCH_BYTES
                && let Some(post) = waiting.pop_front()
            {
                if post.puts_guests_out() && post.guests.is_none() {
                    waiting.push_front(post);
                    if posts.is_empty() {
                        self.held.insert(room.clone());
                        asked.push(room.clone());
                    }
                    break;
                }
                count += 1;
                bytes += post.weight.bytes;
                posts.push(post);
            }
            if waiting.is_empty() {
                self.posts.remove(&room);
            } else {
                self.turns.push_back(room.clone());
            }
            if !posts.is_empty() {
                batches.push(Batch { room, posts });
            }
        }
        (batches, asked)
    }

    pub fn refuse_all(&mut self, error: &Error) {
        self.turns.clear();
        self.held.clear();
        for post in self.posts.drain().flat_map(|(_, posts)| posts) {
            post.refuse(error.clone());
        }
    }
}

/// The part of a pipeline that appends these.
pub(super) fn add_to(pipe: &mut Pipeline, script: &Script, batch: &Batch, epoch: Option<Epoch>, channels: &Channels) {
    for list in batch.posts.iter().filter_map(Post::list) {
        pipe.cmd("SADD").arg(list).arg(batch.room.as_str()).ignore();
    }
    let call = pipe.cmd("EVALSHA").arg(script.get_hash()).arg(1).arg(room_key(&batch.room, "room"));
    call.arg(epoch.map_or_else(String::new, |Epoch(epoch)| epoch.to_string())).arg(&channels.of_database);
    for post in &batch.posts {
        let (right, least, rank) = match post.right {
            Right::Free => ("", 0, 0),
            Right::Write(role) => ("write", 0, rank(role)),
            Right::AtLeast(least, role) => ("at_least", rank(least), rank(role)),
        };
        let (head, content) = event::encode(&post.event);
        call.arg(head).arg(content.unwrap_or_default());
        call.arg(if post.event.kind == Kind::Message { "1" } else { "" });
        call.arg(post.event.author.id.to_string()).arg(post.event.txn_id.as_deref().unwrap_or_default());
        call.arg(right).arg(least).arg(rank).arg(effect_of(post));
    }
}

/// How many answers `add_to` brings before that of the script.
pub(super) fn answers_before(batch: &Batch) -> usize {
    batch.posts.iter().filter_map(Post::list).count()
}

fn rank(role: MemberRole) -> u8 {
    match role {
        MemberRole::Member => 1,
        MemberRole::Moderator => 2,
        MemberRole::Owner => 3,
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Words<'a> {
    Mention {
        users: &'a [UserId],
    },
    Redact {
        target: Seq,
    },
    RedactAll {
        user: UserId,
    },
    Join,
    Leave,
    Member {
        user: UserId,
        role: MemberRole,
    },
    Remove {
        user: UserId,
    },
    Change {
        fields: HashMap<&'static str, String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        rev: Option<&'a str>,
        guests: &'a [UserId],
    },
    Kind {
        kind: RoomKind,
        #[serde(skip_serializing_if = "Option::is_none")]
        rev: Option<&'a str>,
        guests: &'a [UserId],
    },
    Delete,
}

fn effect_of(post: &Post) -> String {
    let rev = post.guests.as_ref().map(|guests| &*guests.rev);
    let guests = post.guests.as_ref().map_or(&[][..], |guests| &guests.users);
    let words = match &post.effect {
        Effect::None => return String::new(),
        Effect::Mention(users) => Words::Mention { users },
        Effect::Redact(target) => Words::Redact { target: *target },
        Effect::RedactAll(user) => Words::RedactAll { user: *user },
        Effect::Join => Words::Join,
        Effect::Leave => Words::Leave,
        Effect::Member(user, role) => Words::Member { user: *user, role: *role },
        Effect::Remove(user) => Words::Remove { user: *user },
        Effect::Change(change) => Words::Change { fields: fields_of(change), rev, guests },
        Effect::Kind(kind) => Words::Kind { kind: *kind, rev, guests },
        Effect::Delete => Words::Delete,
    };
    serde_json::to_string(&words).expect("an effect has no keys but words")
}

fn fields_of(change: &RoomChange) -> HashMap<&'static str, String> {
    let RoomChange { name, topic, announcement, archived, slow_seconds, guests } = change;
    let flag = |flag: &Option<bool>| flag.map(|flag| u8::from(flag).to_string());
    let fields = [
        ("name", name.as_deref().map(str::to_owned)),
        ("topic", topic.as_deref().map(str::to_owned)),
        ("announcement", flag(announcement)),
        ("archived", flag(archived)),
        ("slow_seconds", slow_seconds.map(|seconds| seconds.to_string())),
        ("guests", flag(guests)),
    ];
    fields.into_iter().filter_map(|(field, value)| Some((field, value?))).collect()
}

/// What became of a batch.
pub(super) enum Answered {
    /// The log is in another life than was thought, and nothing was done.
    OtherEpoch,
    /// Of each post, as far as they went: the seq and whether it is new, or why not.
    Done { outcomes: Vec<Outcome>, header: String },
}

pub(super) enum Outcome {
    Appended(Seq),
    /// The author had sent it before.
    Before(Seq),
    Refused(Error),
    /// The members have changed since the guests among them were asked for: again, with all that follows.
    Again,
}

/// Reads the script's answer; `None` where it is none of ours.
pub(super) fn answer(room: &RoomId, posts: usize, answer: &Value) -> Option<Answered> {
    let Value::Array(parts) = answer else { return None };
    let [status, _epoch, outcomes, header] = &parts[..] else { return None };
    let Value::Array(outcomes) = outcomes else { return None };
    let no_room = || Outcome::Refused(Error::NoRoom(room.to_string()));
    match words(status)? {
        "epoch" => Some(Answered::OtherEpoch),
        "noroom" => Some(Answered::Done { outcomes: (0..posts).map(|_| no_room()).collect(), header: String::new() }),
        _ => {
            let outcome = |outcome: &Value| match outcome {
                Value::Int(seq) if *seq > 0 => Some(Outcome::Appended(seq.unsigned_abs())),
                Value::Int(seq) => Some(Outcome::Before(seq.unsigned_abs())),
                refused => Some(match words(refused)? {
                    "noroom" => no_room(),
                    "archived" => Outcome::Refused(ARCHIVED),
                    "notenough" => Outcome::Refused(NOT_ENOUGH),
                    "moved" => Outcome::Again,
                    slow => {
                        Outcome::Refused(Error::SlowMode { retry_after_ms: slow.strip_prefix("slow ")?.parse().ok()? })
                    }
                }),
            };
            let outcomes = outcomes.iter().map(outcome).collect::<Option<_>>()?;
            Some(Answered::Done { outcomes, header: words(header)?.to_owned() })
        }
    }
}

fn words(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

impl Outcome {
    /// What the author is told; `None` where that is not known yet.
    pub fn told(&self) -> Option<Result<Seq>> {
        match self {
            Self::Appended(seq) | Self::Before(seq) => Some(Ok(*seq)),
            Self::Refused(error) => Some(Err(error.clone())),
            Self::Again => None,
        }
    }
}
