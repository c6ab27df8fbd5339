//! The appends of one transaction: each event gets its seq and its place, and its effect comes to pass with it.
//! It must not know when the transaction is committed, nor who waits for it.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::directory::{
    INFO, add_member, change_room, delete_room, member_role, remove_guests, remove_member, room_info,
};
use super::waits::Waits;
use super::{Fault, from_sql, to_sql};
use crate::error::{Error, Result};
use crate::protocol::{Epoch, Event, Kind, MemberRole, RoomId, RoomKind, Seq, UserId};
use crate::store::{ARCHIVED, Announcement, Effect, NOT_ENOUGH, Right, RoomInfo};

/// More rooms than write at once, few enough to forget about.
const MAX_HEADS: usize = 10_000;

/// Where the rooms stand that were written to of late, as the writer left them.
#[derive(Default)]
pub(super) struct Heads(HashMap<RoomId, Head>);

struct Head {
    num: i64,
    epoch: Epoch,
    seq: Seq,
    info: RoomInfo,
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
    let mut query = db.prepare_cached(&format!(
        "SELECT {INFO}, num, epoch, coalesce((SELECT max(seq) FROM events WHERE room = num), oldest - 1)
         FROM rooms WHERE id = ?1 AND kind <> 'deleted'",
    ))?;
    query
        .query_row([room.as_str()], |row| {
            let epoch = Epoch(row.get::<_, i64>("epoch")?.cast_unsigned());
            Ok(Head { num: row.get("num")?, epoch, seq: from_sql(row.get(10)?), info: room_info(row)? })
        })
        .optional()
}

impl Head {
    /// Refuses what the author has no right to at this place of the log. Says how long they wait once they have
    /// written.
    fn check(&self, author: UserId, right: Right, waits: &Waits, db: &Connection) -> Result<Duration, Fault> {
        let open = self.info.kind == RoomKind::Public;
        let slow = Duration::from_secs(self.info.slow_seconds.into());
        let (least, rank) = match right {
            Right::Free => return Ok(Duration::ZERO),
            Right::Write(_) if self.info.archived => return Err(ARCHIVED.into()),
            Right::Write(rank) if self.info.announcement => (MemberRole::Moderator, rank),
            Right::Write(_) if open && slow.is_zero() => return Ok(Duration::ZERO),
            Right::Write(rank) => (MemberRole::Member, rank),
            Right::AtLeast(least, rank) => (least, rank),
        };
        let role = match member_role(db, author, self.num)? {
            Some(role) => role.max(rank),
            None if open => rank,
            None => return Err(Error::NoRoom(self.info.id.to_string()).into()),
        };
        if role < least {
            return Err(NOT_ENOUGH.into());
        }
        if !matches!(right, Right::Write(_)) || role >= MemberRole::Moderator {
            return Ok(Duration::ZERO);
        }
        waits.check(self.epoch, author, slow)?;
        Ok(slow)
    }
}

pub(super) struct Appender<'a> {
    db: &'a Connection,
    heads: &'a mut Heads,
    waits: &'a mut Waits,
    insert: CachedStatement<'a>,
    announcements: Vec<Announcement>,
    /// Which announcement is a room's.
    places: HashMap<i64, usize>,
}

impl<'a> Appender<'a> {
    pub fn new(db: &'a Connection, heads: &'a mut Heads, waits: &'a mut Waits) -> rusqlite::Result<Self> {
        let insert = db.prepare_cached(
            "INSERT INTO events (room, seq, id, kind, at, author, author_name, txn_id, target, content, rendering)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (room, author, txn_id) WHERE txn_id IS NOT NULL DO NOTHING",
        )?;
        Ok(Self { db, heads, waits, insert, announcements: Vec::new(), places: HashMap::new() })
    }

    pub fn append(&mut self, room: RoomId, mut event: Event, right: Right, effect: Effect) -> Result<Seq, Fault> {
        let head = self.heads.of(&room, self.db)?;
        let (num, epoch) = (head.num, head.epoch);
        event.seq = head.seq + 1;
        // What is announced is what will be read.
        event.at = Timestamp::from_millisecond(event.at.as_millisecond()).unwrap_or(event.at);
        let wait = match head.check(event.author.id, right, self.waits, self.db) {
            Ok(wait) => wait,
            // What was taken before stands, whatever its author may do by now: a retry is told so.
            Err(refusal) => return first_seq(self.db, num, &event)?.ok_or(refusal),
        };
        if insert(&mut self.insert, num, &event)? == 0 {
            return first_seq(self.db, num, &event)?.ok_or(Error::Internal.into());
        }
        head.seq = event.seq;
        if !wait.is_zero() {
            self.waits.begin(epoch, event.author.id, wait);
        }
        let done = take_effect(self.db, head, &event, effect)?;
        let seq = event.seq;
        if done.deleted {
            self.heads.0.remove(&room);
        }
        let announcement = self.announcement(room, num, epoch);
        announcement.events.push(event);
        announcement.take(done);
        Ok(seq)
    }

    pub fn finish(self) -> Vec<Announcement> {
        self.announcements
    }

    fn announcement(&mut self, room: RoomId, num: i64, epoch: Epoch) -> &mut Announcement {
        let place = *self.places.entry(num).or_insert_with(|| {
            self.announcements.push(Announcement::new(room, epoch, Vec::new()));
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

fn first_seq(db: &Connection, room: i64, event: &Event) -> rusqlite::Result<Option<Seq>> {
    let mut query = db.prepare_cached("SELECT seq FROM events WHERE room = ?1 AND author = ?2 AND txn_id = ?3")?;
    let seq =
        query.query_row(params![room, event.author.id.0.as_bytes(), event.txn_id], |row| row.get(0).map(from_sql));
    seq.optional()
}

/// What came to pass beside the event.
#[derive(Default)]
struct Done {
    emptied: Option<Emptied>,
    ended: Vec<UserId>,
    changed: Option<RoomInfo>,
    shut: bool,
    deleted: bool,
}

enum Emptied {
    One(Seq),
    AllOf(UserId),
}

fn take_effect(db: &Connection, head: &mut Head, event: &Event, effect: Effect) -> rusqlite::Result<Done> {
    let (room, author) = (head.num, event.author.id);
    let mut done = Done::default();
    match effect {
        Effect::None => {}
        Effect::Mention(users) => mention(db, room, event.seq, &users)?,
        Effect::Redact(target) => {
            let emptied = target < event.seq && redact(db, room, target)?;
            done.emptied = emptied.then_some(Emptied::One(target));
        }
        Effect::RedactAll(user) => {
            redact_all(db, room, user, event.seq)?;
            done.emptied = Some(Emptied::AllOf(user));
        }
        Effect::Join => {
            let mut join = db.prepare_cached(
                "INSERT INTO members (user, room, read) VALUES (?1, ?2, ?3)
                 ON CONFLICT (user, room) DO UPDATE SET read = ?3",
            )?;
            join.execute(params![author.0.as_bytes(), room, to_sql(event.seq)])?;
        }
        Effect::Member(user, role) => add_member(db, user, room, event.seq - 1, role)?,
        Effect::Leave => done.ended = end_membership(db, head, author)?,
        Effect::Remove(user) => done.ended = end_membership(db, head, user)?,
        Effect::Change(change) => {
            head.info.apply(&change);
            if change.guests == Some(false) && head.info.kind == RoomKind::Private {
                done.ended = remove_guests(db, room)?;
            }
            change_room(db, room, &head.info)?;
            done.changed = Some(head.info.clone());
        }
        Effect::Kind(kind) => {
            done.shut = kind != RoomKind::Public && head.info.kind == RoomKind::Public;
            head.info.kind = kind;
            if done.shut && !head.info.guests {
                done.ended = remove_guests(db, room)?;
            }
            change_room(db, room, &head.info)?;
            done.changed = Some(head.info.clone());
        }
        Effect::Delete => {
            delete_room(db, room)?;
            (done.shut, done.deleted) = (true, true);
        }
    }
    Ok(done)
}

/// Says whose right to read ended by it: anyone may read what is public.
fn end_membership(db: &Connection, head: &Head, user: UserId) -> rusqlite::Result<Vec<UserId>> {
    let was_member = remove_member(db, user, head.num)?;
    Ok(if was_member && head.info.kind != RoomKind::Public { vec![user] } else { Vec::new() })
}

fn mention(db: &Connection, room: i64, seq: Seq, users: &[UserId]) -> rusqlite::Result<()> {
    let mut mention = db.prepare_cached("INSERT OR IGNORE INTO mentions (user, room, seq) VALUES (?1, ?2, ?3)")?;
    for user in users {
        mention.execute(params![user.0.as_bytes(), room, to_sql(seq)])?;
    }
    Ok(())
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

/// Every message has a `txn_id`, so the index of these finds them.
fn redact_all(db: &Connection, room: i64, user: UserId, before: Seq) -> rusqlite::Result<()> {
    let of_user = params![room, user.0.as_bytes(), to_sql(before)];
    let mut mentions = db.prepare_cached(
        "DELETE FROM mentions WHERE room = ?1 AND seq IN (SELECT seq FROM events INDEXED BY events_by_txn
             WHERE room = ?1 AND author = ?2 AND txn_id IS NOT NULL AND seq < ?3)",
    )?;
    mentions.execute(of_user)?;
    let mut empty = db.prepare_cached(
        "UPDATE events INDEXED BY events_by_txn SET content = NULL, rendering = NULL
         WHERE room = ?1 AND author = ?2 AND txn_id IS NOT NULL AND seq < ?3 AND kind = 'message'",
    )?;
    empty.execute(of_user).map(drop)
}

impl Announcement {
    /// What was written and taken back in one batch is announced without its content, too.
    fn take(&mut self, done: Done) {
        let emptied = |event: &Event| match done.emptied {
            Some(Emptied::One(target)) => event.seq == target,
            Some(Emptied::AllOf(user)) => event.author.id == user && event.kind == Kind::Message,
            None => false,
        };
        for event in self.events.iter_mut().filter(|event| emptied(event)) {
            event.content = None;
        }
        self.redacted |= done.emptied.is_some();
        self.ended.extend(done.ended);
        self.shut |= done.shut;
        self.deleted |= done.deleted;
        if done.changed.is_some() {
            self.changed = done.changed;
        }
    }
}
