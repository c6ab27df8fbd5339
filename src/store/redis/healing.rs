//! What the feed asks of Redis when it does not know all: where rooms stand, what it has missed, whether what it
//! delivered is still there. It must not know what is done about it.

use std::collections::HashMap;

use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, Script};
use uuid::Uuid;

use super::append::Guests;
use super::{event, key, room, room_key};
use crate::protocol::{Epoch, Event, Position, RoomId, Seq, UserId};
use crate::store::RoomInfo;

/// So many missed events are read at once.
const PAGE: Seq = 512;

/// How the store knows a room.
pub(super) struct Found {
    pub info: RoomInfo,
    pub position: Position,
    /// The id of the event that was asked for, if it is there.
    pub there: Option<Uuid>,
    /// The id of the event at the head.
    pub last: Option<Uuid>,
}

/// What comes after an event.
pub(super) struct Page {
    pub info: RoomInfo,
    pub position: Position,
    pub events: Vec<Event>,
}

/// Where these rooms' logs stand; `None` of a room that is no more. With no rooms, whether Redis answers.
pub(super) async fn heads(
    redis: &mut MultiplexedConnection,
    rooms: &[RoomId],
) -> RedisResult<Vec<Option<(Epoch, Seq)>>> {
    let mut pipe = Pipeline::new();
    pipe.cmd("PING").ignore();
    for room in rooms {
        pipe.cmd("HMGET").arg(room_key(room, "room")).arg("epoch").arg("head");
    }
    let heads: Vec<(Option<u64>, Option<Seq>)> = pipe.query_async(redis).await?;
    Ok(heads.into_iter().map(|(epoch, head)| Some((Epoch(epoch?), head?))).collect())
}

pub(super) async fn find(
    mut redis: MultiplexedConnection,
    room: &RoomId,
    asked: Option<Seq>,
) -> RedisResult<Option<Found>> {
    let fields: HashMap<String, String> =
        redis::cmd("HGETALL").arg(room_key(room, "room")).query_async(&mut redis).await?;
    let Some((info, position)) = room::read(&fields) else { return Ok(None) };
    let last = id_at(&mut redis, room, position.head).await?;
    let there = match asked {
        Some(seq) if seq < position.head => id_at(&mut redis, room, seq).await?,
        Some(seq) if seq > position.head => None,
        _ => last,
    };
    Ok(Some(Found { info, position, there, last }))
}

async fn id_at(redis: &mut MultiplexedConnection, room: &RoomId, seq: Seq) -> RedisResult<Option<Uuid>> {
    let event = if seq > 0 { events(redis, room, seq, seq).await?.pop() } else { None };
    Ok(event.map(|event| event.id))
}

/// Redacted ones stand among the events without their content.
pub(super) async fn page(mut redis: MultiplexedConnection, room: &RoomId, after: Seq) -> RedisResult<Option<Page>> {
    let fields: HashMap<String, String> =
        redis::cmd("HGETALL").arg(room_key(room, "room")).query_async(&mut redis).await?;
    let Some((info, position)) = room::read(&fields) else { return Ok(None) };
    let first = (after + 1).max(position.oldest);
    let events = events(&mut redis, room, first, position.head.min(after + PAGE)).await?;
    Ok(Some(Page { info, position, events }))
}

/// The events from `first` to `last`. What is emptied between the two questions is found by the second.
async fn events(redis: &mut MultiplexedConnection, room: &RoomId, first: Seq, last: Seq) -> RedisResult<Vec<Event>> {
    if first > last {
        return Ok(Vec::new());
    }
    let mut range = redis::cmd("XRANGE");
    range.arg(room_key(room, "log")).arg(format!("{first}-0")).arg(format!("{last}-0"));
    let entries: StreamRangeReply = range.query_async(redis).await?;
    let mut found = HashMap::new();
    for entry in entries.ids {
        let seq: Seq = entry.id.trim_end_matches("-0").parse().map_err(|_| unreadable())?;
        let (head, content): (Option<String>, Option<String>) = (entry.get("e"), entry.get("c"));
        found.insert(seq, (head.ok_or_else(unreadable)?, content));
    }
    let gone: Vec<Seq> = (first..=last).filter(|seq| !found.contains_key(seq)).collect();
    if !gone.is_empty() {
        let mut ask = redis::cmd("HMGET");
        ask.arg(room_key(room, "gone")).arg(&gone);
        let heads: Vec<Option<String>> = ask.query_async(redis).await?;
        found.extend(gone.into_iter().zip(heads).filter_map(|(seq, head)| Some((seq, (head?, None)))));
    }
    if found.is_empty() {
        // The room has been deleted since.
        return Ok(Vec::new());
    }
    let read = |seq: Seq| {
        let (head, content) = found.remove(&seq)?;
        event::decode(seq, &head, content.as_deref()).ok()
    };
    let events = (first..=last).zip((first..=last).map(read));
    Ok(events.map(|(seq, event)| event.unwrap_or_else(|| stand_in(room, seq))).collect())
}

fn stand_in(room: &RoomId, seq: Seq) -> Event {
    tracing::error!(%room, seq, "an event is missing, or cannot be read; readers are told of it without content");
    event::stand_in(seq)
}

fn unreadable() -> RedisError {
    (ErrorKind::Client, "an entry of a room's log is not one of ours").into()
}

/// Lets a room's log begin another life, unless it has already.
pub(super) async fn renew(mut redis: MultiplexedConnection, room: &RoomId, lost: Epoch) -> RedisResult<()> {
    const RENEW: &str = "
        if redis.call('HGET', KEYS[1], 'epoch') == ARGV[1] then
          redis.call('HSET', KEYS[1], 'epoch', ARGV[2])
        end
        return redis.status_reply('OK')";
    let script = Script::new(RENEW);
    let mut call = script.key(room_key(room, "room"));
    call.arg(lost.0.to_string()).arg(new_epoch().0.to_string()).invoke_async(&mut redis).await
}

/// Never 0.
pub(super) fn new_epoch() -> Epoch {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    Epoch((high ^ low).max(1))
}

/// Who among the members is a guest. The count of changes is asked first, so that whoever comes after it is noticed.
pub(super) async fn guests(mut redis: MultiplexedConnection, room: &RoomId) -> RedisResult<Guests> {
    let mut pipe = Pipeline::new();
    pipe.cmd("HGET").arg(room_key(room, "room")).arg("rev");
    pipe.cmd("ZRANGE").arg(room_key(room, "members")).arg(0).arg(-1);
    let (rev, members): (Option<String>, Vec<String>) = pipe.query_async(&mut redis).await?;
    let members: Vec<UserId> = members.iter().filter_map(|user| user.parse().ok()).collect();
    let mut pipe = Pipeline::new();
    for user in &members {
        pipe.cmd("HGET").arg(key(&format!("user:{user}"))).arg("role");
    }
    let roles: Vec<Option<String>> = if members.is_empty() { Vec::new() } else { pipe.query_async(&mut redis).await? };
    let guests = members.into_iter().zip(roles).filter(|(_, role)| role.as_deref() == Some("guest"));
    Ok(Guests { rev: rev.unwrap_or_default(), users: guests.map(|(user, _)| user).collect() })
}
