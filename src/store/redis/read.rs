//! Reading the rooms' logs. Each answer is that of one script, so that position, right and content are of one moment.
//! It must not know who writes the logs.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind, pipe};

use super::event::decode;
use super::{Backend, room_key};
use crate::error::{Error, Result};
use crate::protocol::{Epoch, Event, Position, RoomId, Seq, UserId};
use crate::store::{Messages, Page, Span, UNREAD_CAP, Unread, Window};

/// Counting unread messages looks at no more than this many: who wrote more than that since the marker, and nobody
/// else did, has read them.
pub(super) const UNREAD_REACH: u32 = 1000;

/// On either side of a page's window: what a page weighs is bounded, however long its messages are.
const MESSAGES_BYTES: usize = 512 << 10;

/// More than any page holds; Redis refuses a count that it cannot add to.
const MOST: usize = 1_000_000;

/// A script about one room, which has room.lua before it.
macro_rules! room_script {
    ($file:literal) => {
        ::redis::Script::new(concat!(include_str!("room.lua"), include_str!($file)))
    };
}
pub(super) use room_script;

static READ: LazyLock<Script> = LazyLock::new(|| room_script!("read.lua"));
static MESSAGES: LazyLock<Script> = LazyLock::new(|| room_script!("messages.lua"));
static UNREAD: LazyLock<Script> = LazyLock::new(|| room_script!("unread.lua"));

/// Seq, head and content.
type Entry = (Seq, String, Option<String>);

/// What messages.lua answers.
type FoundMessages = (u64, Seq, Seq, bool, Vec<Entry>, Vec<Entry>);

impl Backend {
    pub(super) async fn read_position(&self, room: &RoomId) -> Result<Option<Position>> {
        let key = room_key(room, "room");
        let found = self.link.read(|mut redis| async move {
            let mut query = redis::cmd("HMGET");
            query.arg(key).arg(&["epoch", "oldest", "head"]);
            query.query_async::<(Option<u64>, Option<Seq>, Option<Seq>)>(&mut redis).await
        });
        let (epoch, oldest, head) = found.await?;
        Ok(epoch.zip(oldest).zip(head).map(|((epoch, oldest), head)| Position { epoch: Epoch(epoch), oldest, head }))
    }

    pub(super) async fn read_log(&self, room: &RoomId, reader: Option<UserId>, span: Span) -> Result<Page> {
        let mut call = READ.prepare_invoke();
        call.key(room_key(room, "room")).arg(text(reader)).arg(span.after).arg(span.limit.min(MOST)).arg(span.bytes);
        let found = self.link.read(|mut redis| async move { call.invoke_async(&mut redis).await });
        let found: Option<(u64, Seq, Seq, Vec<Entry>)> = found.await?;
        let (epoch, oldest, head, entries) = found.ok_or_else(|| Error::NoRoom(room.to_string()))?;
        Ok(Page { position: Position { epoch: Epoch(epoch), oldest, head }, events: events(entries)? })
    }

    pub(super) async fn read_messages(
        &self,
        room: &RoomId,
        reader: Option<UserId>,
        window: Window,
        limit: usize,
    ) -> Result<Messages> {
        let limit = limit.min(MOST);
        let (before, older, newer) = match window {
            Window::Newest => (Seq::MAX, limit, 0),
            Window::Before(seq) => (seq, limit, 0),
            Window::Around(seq) => (seq.saturating_add(1), limit - limit / 2, limit / 2),
        };
        let mut call = MESSAGES.prepare_invoke();
        call.key(room_key(room, "room")).arg(text(reader)).arg(before).arg(older).arg(newer).arg(MESSAGES_BYTES);
        let found = self.link.read(|mut redis| async move { call.invoke_async(&mut redis).await });
        let found: Option<FoundMessages> = found.await?;
        let (epoch, oldest, head, more, past, rest) = found.ok_or_else(|| Error::NoRoom(room.to_string()))?;
        let mut events = events(past)?;
        events.reverse();
        events.extend(self::events(rest)?);
        Ok(Messages { position: Position { epoch: Epoch(epoch), oldest, head }, events, more })
    }

    pub(super) async fn count_unread(&self, room: &RoomId, user: UserId, after: Seq) -> Result<Unread> {
        let mut call = UNREAD.prepare_invoke();
        call.key(room_key(room, "room")).arg(user.to_string()).arg(after).arg(UNREAD_CAP).arg(UNREAD_REACH);
        let found = self.link.read(|mut redis| async move { call.invoke_async(&mut redis).await });
        let (messages, mentions) = found.await?;
        Ok(Unread { messages, mentions })
    }
}

fn text(reader: Option<UserId>) -> String {
    reader.map(|user| user.to_string()).unwrap_or_default()
}

fn events(entries: Vec<Entry>) -> Result<Vec<Event>> {
    entries.into_iter().map(|(seq, e, c)| decode(seq, &e, c.as_deref())).collect()
}

/// Runs a script once for each of these keys with their arguments, at one go.
pub(super) async fn run_each<T: FromRedisValue>(
    redis: &mut MultiplexedConnection,
    script: &Script,
    calls: &[(String, Vec<String>)],
) -> RedisResult<Vec<T>> {
    if calls.is_empty() {
        return Ok(Vec::new());
    }
    let mut all = pipe();
    for (key, args) in calls {
        all.cmd("EVALSHA").arg(script.get_hash()).arg(1).arg(key).arg(args);
    }
    match all.query_async(redis).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            script.load_async(redis).await?;
            all.query_async(redis).await
        }
        answers => answers,
    }
}
