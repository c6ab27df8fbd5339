//! The appends of one transaction: each event gets its seq and its place, and its effect comes to pass with it.
//! It must not know when the transaction is committed, nor who waits for it.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::{Fault, from_sql, to_sql};
use crate::error::{Error, Result};
use crate::protocol::{Epoch, Event, RoomId, Seq};
use crate::store::{Announcement, Effect};

/// More rooms than write at once, few enough to forget about.
const MAX_HEADS: usize = 10_000;

/// Where the rooms stand that were written to of late, as the writer left them.
#[derive(Default)]
pub(super) struct Heads(HashMap<RoomId, Head>);

#[derive(Clone, Copy)]
struct Head {
    num: i64,
    epoch: Epoch,
    seq: Seq,
}

impl Heads {
    pub fn forget(&mut self) {
        self.0.clear();
    }

    pub fn trim(&mut self) {
        if self.0.len() > MAX_HEADS {
            self.forget();
        }
    }

    fn of(&mut self, room: &RoomId, db: &Connection) -> Result<&mut Head, Fault> {
        if !self.0.contains_key(room) {
            let head = load(room, db)?.ok_or_else(|| Error::NoRoom(room.to_string()))?;
            self.0.insert(room.clone(), head);
        }
        Ok(self.0.get_mut(room).expect("it was there, or has just been put there"))
    }
}

fn load(room: &RoomId, db: &Connection) -> rusqlite::Result<Option<Head>> {
    let mut query = db.prepare_cached(
        "SELECT num, epoch, coalesce((SELECT max(seq) FROM events WHERE room = num), oldest - 1)
         FROM rooms WHERE id = ?1",
    )?;
    query
        .query_row([room.as_str()], |row| {
            let epoch = Epoch(row.get::<_, i64>(1)?.cast_unsigned());
            Ok(Head { num: row.get(0)?, epoch, seq: from_sql(row.get(2)?) })
        })
        .optional()
}

pub(super) struct Appender<'a> {
    db: &'a Connection,
    heads: &'a mut Heads,
    insert: CachedStatement<'a>,
    announcements: Vec<Announcement>,
    /// Which announcement is a room's.
    places: HashMap<i64, usize>,
}

impl<'a> Appender<'a> {
    pub fn new(db: &'a Connection, heads: &'a mut Heads) -> rusqlite::Result<Self> {
        let insert = db.prepare_cached(
            "INSERT INTO events (room, seq, id, kind, at, author, author_name, txn_id, target, content, rendering)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (room, author, txn_id) WHERE txn_id IS NOT NULL DO NOTHING",
        )?;
        Ok(Self { db, heads, insert, announcements: Vec::new(), places: HashMap::new() })
    }

    pub fn append(&mut self, room: RoomId, mut event: Event, effect: &Effect) -> Result<Seq, Fault> {
        let head = self.heads.of(&room, self.db)?;
        let (num, epoch) = (head.num, head.epoch);
        event.seq = head.seq + 1;
        // What is announced is what will be read.
        event.at = Timestamp::from_millisecond(event.at.as_millisecond()).unwrap_or(event.at);
        if insert(&mut self.insert, num, &event)? == 0 {
            return Ok(first_seq(self.db, num, &event)?);
        }
        head.seq = event.seq;
        let emptied = take_effect(self.db, num, &event, effect)?;
        let seq = event.seq;
        let announcement = self.announcement(room, num, epoch);
        announcement.events.push(event);
        if let Some(target) = emptied {
            empty(announcement, target);
        }
        Ok(seq)
    }

    pub fn finish(self) -> Vec<Announcement> {
        self.announcements
    }

    fn announcement(&mut self, room: RoomId, num: i64, epoch: Epoch) -> &mut Announcement {
        let place = *self.places.entry(num).or_insert_with(|| {
            self.announcements.push(Announcement { room, epoch, events: Vec::new(), redacted: false });
            self.announcements.len() - 1
        });
        &mut self.announcements[place]
    }
}

/// Inserts nothing where the author has used the `txn_id` in this room before.
fn insert(insert: &mut CachedStatement, room: i64, event: &Event) -> rusqlite::Result<usize> {
    insert.execute(params![
        room,
        to_sql(event.seq),
        event.id.as_bytes(),
        event.kind.as_str(),
        event.at.as_millisecond(),
        event.author.id.0.as_bytes(),
        event.author.name,
        event.txn_id,
        event.target.map(to_sql),
        event.content.as_ref().map(|content| &content.json),
        event.content.as_ref().map(|content| content.rendering),
    ])
}

fn first_seq(db: &Connection, room: i64, event: &Event) -> rusqlite::Result<Seq> {
    let mut query = db.prepare_cached("SELECT seq FROM events WHERE room = ?1 AND author = ?2 AND txn_id = ?3")?;
    query.query_row(params![room, event.author.id.0.as_bytes(), event.txn_id], |row| row.get(0).map(from_sql))
}

/// Says which earlier event was emptied by it.
fn take_effect(db: &Connection, room: i64, event: &Event, effect: &Effect) -> rusqlite::Result<Option<Seq>> {
    let author = event.author.id.0.as_bytes();
    match effect {
        Effect::Mention(users) => {
            let mut mention =
                db.prepare_cached("INSERT OR IGNORE INTO mentions (user, room, seq) VALUES (?1, ?2, ?3)")?;
            for user in users {
                mention.execute(params![user.0.as_bytes(), room, to_sql(event.seq)])?;
            }
        }
        Effect::Redact(target) if *target < event.seq => {
            return Ok(redact(db, room, *target)?.then_some(*target));
        }
        Effect::None | Effect::Redact(_) => {}
        Effect::Join => {
            let mut join =
                db.prepare_cached("INSERT OR REPLACE INTO members (user, room, read) VALUES (?1, ?2, ?3)")?;
            join.execute(params![author, room, to_sql(event.seq)])?;
        }
        Effect::Leave => {
            let mut leave = db.prepare_cached("DELETE FROM members WHERE user = ?1 AND room = ?2")?;
            leave.execute(params![author, room])?;
        }
    }
    Ok(None)
}

fn redact(db: &Connection, room: i64, target: Seq) -> rusqlite::Result<bool> {
    let target = params![room, to_sql(target)];
    let mut empty = db.prepare_cached(
        "UPDATE events SET content = NULL, rendering = NULL WHERE room = ?1 AND seq = ?2 AND content IS NOT NULL",
    )?;
    let emptied = empty.execute(target)? > 0;
    if emptied {
        db.prepare_cached("DELETE FROM mentions WHERE room = ?1 AND seq = ?2")?.execute(target)?;
    }
    Ok(emptied)
}

/// What was written and taken back in one batch is announced without its content, too.
fn empty(announcement: &mut Announcement, target: Seq) {
    announcement.redacted = true;
    if let Some(event) = announcement.events.iter_mut().find(|event| event.seq == target) {
        event.content = None;
    }
}
