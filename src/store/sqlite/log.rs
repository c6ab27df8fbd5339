//! Reading the rooms' logs. It must not know who writes them.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Fault, from_sql, time, to_sql, to_sql_limit, unreadable};
use crate::error::{Error, Result};
use crate::protocol::{Author, Content, Epoch, Event, Position, RoomId, Seq, UserId};
use crate::store::{Messages, Page, Span, UNREAD_CAP, Unread, Window};

/// Counting unread messages looks at no more than this many: who wrote more than that since the marker, and nobody
/// else did, has read them.
const UNREAD_REACH: u32 = 1000;

const POSITION: &str = "
    SELECT epoch, oldest, coalesce((SELECT max(seq) FROM events WHERE room = num), oldest - 1), num
    FROM rooms WHERE id = ?1 AND kind <> 'deleted'";

pub(super) const READ: &str = "
    SELECT seq, id, kind, at, author, author_name, txn_id, target, content, rendering
    FROM events WHERE room = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";

const MESSAGES_BEFORE: &str = "
    SELECT seq, id, kind, at, author, author_name, txn_id, target, content, rendering
    FROM events INDEXED BY messages
    WHERE kind = 'message' AND room = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3";

/// On either side of a page's window: what a page weighs is bounded, however long its messages are.
const MESSAGES_BYTES: usize = 512 << 10;

const MESSAGES_AFTER: &str = "
    SELECT seq, id, kind, at, author, author_name, txn_id, target, content, rendering
    FROM events INDEXED BY messages
    WHERE kind = 'message' AND room = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";

const UNREAD_AUTHORS: &str = "
    SELECT author FROM events INDEXED BY messages
    WHERE kind = 'message' AND room = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";

const MENTIONS: &str = "
    SELECT count(*) FROM (SELECT 1 FROM mentions WHERE user = ?1 AND room = ?2 AND seq > ?3 LIMIT ?4)";

/// The same, for those who may read it.
const READABLE: &str = "
    SELECT epoch, oldest, coalesce((SELECT max(seq) FROM events WHERE room = num), oldest - 1), num
    FROM rooms WHERE id = ?1
    AND (kind = 'public' OR kind <> 'deleted' AND EXISTS (SELECT 1 FROM members WHERE room = num AND user = ?2))";

pub(super) fn position(db: &Connection, room: &RoomId) -> Result<Option<Position>, Fault> {
    Ok(find(db, room)?.map(|(_, position)| position))
}

pub(super) fn read(db: &Connection, room: &RoomId, reader: Option<UserId>, span: Span) -> Result<Page, Fault> {
    let Span { after, limit, bytes } = span;
    let (num, position) = readable(db, room, reader)?;
    let mut query = db.prepare_cached(READ)?;
    let mut rows = query.query(params![num, to_sql(after), to_sql_limit(limit)])?;
    let mut page = Page { position, events: Vec::new() };
    let mut taken = 0;
    while let Some(row) = rows.next()? {
        taken += content_bytes(row)?;
        if taken > bytes && !page.events.is_empty() {
            break;
        }
        page.events.push(event(row)?);
    }
    Ok(page)
}

pub(super) fn messages(
    db: &Connection,
    room: &RoomId,
    reader: Option<UserId>,
    window: Window,
    limit: usize,
) -> Result<Messages, Fault> {
    let (num, position) = readable(db, room, reader)?;
    let (before, older, newer) = match window {
        Window::Newest => (Seq::MAX, limit, 0),
        Window::Before(seq) => (seq, limit, 0),
        Window::Around(seq) => (seq.saturating_add(1), limit - limit / 2, limit / 2),
    };
    // One more than asked for shows whether there is more.
    let mut events = events(db, MESSAGES_BEFORE, num, before, older.saturating_add(1))?;
    let more = events.len() > older;
    events.truncate(older);
    let cut = fitting(&events, MESSAGES_BYTES);
    let more = more || cut < events.len();
    events.truncate(cut);
    events.reverse();
    if newer > 0 {
        let mut newer = self::events(db, MESSAGES_AFTER, num, before - 1, newer)?;
        newer.truncate(fitting(&newer, MESSAGES_BYTES));
        events.extend(newer);
    }
    Ok(Messages { position, events, more })
}

/// How many of the first events fit into so many bytes of content; at least one.
fn fitting(events: &[Event], bytes: usize) -> usize {
    let mut taken = 0;
    let fit = events.iter().take_while(|event| {
        taken += event.content.as_ref().map_or(0, |content| content.json.len());
        taken <= bytes
    });
    fit.count().max(1)
}

pub(super) fn unread(db: &Connection, room: &RoomId, user: UserId, after: Seq) -> Result<Unread, Fault> {
    let room = find(db, room)?;
    Ok(room.map_or(Ok(Unread::default()), |(num, position)| count_unread(db, num, position.head, user, after))?)
}

pub(super) fn count_unread(
    db: &Connection,
    room: i64,
    head: Seq,
    user: UserId,
    after: Seq,
) -> rusqlite::Result<Unread> {
    if after >= head {
        return Ok(Unread::default());
    }
    let (user, after) = (user.0.as_bytes(), to_sql(after));
    let mut messages = 0;
    let mut authors = db.prepare_cached(UNREAD_AUTHORS)?;
    let mut authors = authors.query(params![room, after, UNREAD_REACH])?;
    while messages < UNREAD_CAP
        && let Some(row) = authors.next()?
    {
        messages += u32::from(row.get_ref(0)?.as_blob()? != user);
    }
    let mut mentions = db.prepare_cached(MENTIONS)?;
    let mentions = mentions.query_row(params![user, room, after, UNREAD_CAP], |row| row.get(0))?;
    Ok(Unread { messages, mentions })
}

/// A room's number and where its log stands.
pub(super) fn find(db: &Connection, room: &RoomId) -> rusqlite::Result<Option<(i64, Position)>> {
    let mut query = db.prepare_cached(POSITION)?;
    query.query_row([room.as_str()], |row| Ok((row.get(3)?, columns_position(row, 0)?))).optional()
}

/// Reads epoch, oldest and head, from the column `first` on.
pub(super) fn columns_position(row: &Row, first: usize) -> rusqlite::Result<Position> {
    let epoch = Epoch(row.get::<_, i64>(first)?.cast_unsigned());
    Ok(Position { epoch, oldest: from_sql(row.get(first + 1)?), head: from_sql(row.get(first + 2)?) })
}

fn readable(db: &Connection, room: &RoomId, reader: Option<UserId>) -> Result<(i64, Position), Fault> {
    let mut query = db.prepare_cached(READABLE)?;
    let reader = reader.map(|user| *user.0.as_bytes());
    let found = query.query_row(params![room.as_str(), reader], |row| Ok((row.get(3)?, columns_position(row, 0)?)));
    found.optional()?.ok_or_else(|| Error::NoRoom(room.to_string()).into())
}

pub(super) fn events(db: &Connection, sql: &str, room: i64, from: Seq, limit: usize) -> rusqlite::Result<Vec<Event>> {
    let mut query = db.prepare_cached(sql)?;
    let events = query.query_map(params![room, to_sql(from), to_sql_limit(limit)], event)?;
    events.collect()
}

fn event(row: &Row) -> rusqlite::Result<Event> {
    let content: Option<Box<str>> = row.get(8)?;
    Ok(Event {
        seq: from_sql(row.get(0)?),
        id: Uuid::from_bytes(row.get(1)?),
        kind: row.get_ref(2)?.as_str()?.parse().map_err(|fault: String| unreadable(2, Type::Text, fault))?,
        at: time(row, 3)?,
        author: Author { id: UserId(Uuid::from_bytes(row.get(4)?)), name: row.get(5)? },
        txn_id: row.get(6)?,
        target: row.get::<_, Option<i64>>(7)?.map(from_sql),
        content: content.map(|json| Ok::<_, rusqlite::Error>(Content { json, rendering: row.get(9)? })).transpose()?,
    })
}

/// Found before the text is copied.
fn content_bytes(row: &Row) -> rusqlite::Result<usize> {
    Ok(row.get_ref(8)?.as_str_or_null()?.map_or(0, str::len))
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    /// A room whose log holds a message by `ann` after every nine reactions.
    fn room_of(events: u32) -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("../schema.sql")).unwrap();
        db.execute_batch(include_str!("../accounts.sql")).unwrap();
        let room = "INSERT INTO rooms (num, id, name, epoch, oldest, made_after, created_at)
            VALUES (1, 'lobby', 'Lobby', 1, 1, 0, 0)";
        db.execute(room, []).unwrap();
        db.execute(
            "WITH RECURSIVE seqs (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM seqs WHERE seq < ?1)
             INSERT INTO events (room, seq, id, kind, at, author, author_name)
             SELECT 1, seq, zeroblob(16), iif(seq % 10, 'reaction', 'message'), 0, zeroblob(16), 'ann' FROM seqs",
            [events],
        )
        .unwrap();
        db
    }

    #[test]
    fn no_query_of_the_log_scans_or_sorts() {
        let db = room_of(10);
        for sql in [POSITION, READABLE, READ, MESSAGES_BEFORE, MESSAGES_AFTER, UNREAD_AUTHORS, MENTIONS] {
            let mut query = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let unbound = vec![rusqlite::types::Null; query.parameter_count()];
            let plan = query.query_map(rusqlite::params_from_iter(unbound), |row| row.get("detail")).unwrap();
            let plan: Vec<String> = plan.collect::<rusqlite::Result<_>>().unwrap();
            let scans = |step: &String| step.starts_with("SCAN") && !step.contains("subquery");
            let sorts = |step: &String| step.contains("TEMP B-TREE");
            assert!(!plan.iter().any(|step| scans(step) || sorts(step)), "{sql}\n{plan:?}");
        }
    }

    #[test]
    fn a_page_of_messages_costs_the_same_in_a_log_of_any_length() {
        let steps = |events| {
            let db = room_of(events);
            let mut query = db.prepare(MESSAGES_BEFORE).unwrap();
            assert_eq!(query.query_map(params![1, i64::MAX, 50], event).unwrap().count(), 50);
            query.get_status(StatementStatus::VmStep)
        };
        assert_eq!(steps(1_000), steps(100_000));
    }

    #[test]
    fn counting_unread_messages_has_an_end() {
        let db = room_of(10 * (UNREAD_REACH + 1));
        let room = "lobby".into();
        db.execute("UPDATE events SET author = randomblob(16) WHERE seq = ?1", [10 * (UNREAD_REACH + 1)]).unwrap();
        let ann = UserId(Uuid::nil());
        let count = |after| unread(&db, &room, ann, after).map_err(|_| "a fault").unwrap().messages;
        assert_eq!((count(0), count(10)), (0, 1));
    }
}
