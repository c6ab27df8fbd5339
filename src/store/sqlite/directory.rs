//! Rooms, and their members with their markers: the changes, and then the queries.
//! A change refuses before it writes anything, since it shares its transaction with others.

use std::collections::HashMap;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::log::{columns_position, count_unread};
use super::{Fault, from_sql, to_sql, to_sql_limit, unreadable};
use crate::error::{Error, Result};
use crate::protocol::{Author, MemberRole, RoomId, RoomKind, Seq, UserId};
use crate::store::{Joined, Listed, Marker, Member, RoomInfo};

/// Events of deleted rooms that are taken away at once.
const PURGED_AT_ONCE: u32 = 2_000;

/// The columns that `room_info` reads.
pub(super) const INFO: &str = "id, name, kind, topic, announcement, archived, slow_seconds, guests";
const INFO_COLUMNS: usize = 8;

pub(super) fn create_room(db: &Connection, room: &RoomInfo, members: &[(UserId, MemberRole)]) -> Result<(), Fault> {
    let people = (room.kind == RoomKind::Direct).then(|| people(members));
    if let Some(people) = &people {
        let mut same = db.prepare_cached("SELECT id FROM rooms WHERE people = ?1")?;
        let same = same.query_row([people], |row| Ok(RoomId::from(row.get_ref(0)?.as_str()?))).optional()?;
        if let Some(same) = same {
            return Err(Error::Exists(same).into());
        }
    }
    let mut create = db.prepare_cached(
        "INSERT INTO rooms (id, name, epoch, oldest, made_after, created_at, kind, people, topic, announcement,
             archived, slow_seconds, guests)
         VALUES (?1, ?2, random() | 1, 1, coalesce((SELECT max(place) FROM events), 0), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (id) DO NOTHING",
    )?;
    let created = create.execute(params![
        room.id.as_str(),
        room.name,
        Timestamp::now().as_millisecond(),
        room.kind.as_str(),
        people,
        room.topic,
        room.announcement,
        room.archived,
        room.slow_seconds,
        room.guests,
    ])?;
    if created == 0 {
        return Err(Error::Exists(room.id.clone()).into());
    }
    let num = db.last_insert_rowid();
    for (user, role) in members {
        add_member(db, *user, num, 0, *role)?;
    }
    Ok(())
}

/// The ids of a direct room's people, each once and in order.
fn people(members: &[(UserId, MemberRole)]) -> Vec<u8> {
    let mut ids: Vec<[u8; 16]> = members.iter().map(|(user, _)| *user.0.as_bytes()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.concat()
}

/// Writes what an event changed of a room.
pub(super) fn change_room(db: &Connection, num: i64, room: &RoomInfo) -> rusqlite::Result<()> {
    let mut change = db.prepare_cached(
        "UPDATE rooms SET name = ?2, topic = ?3, announcement = ?4, archived = ?5, slow_seconds = ?6, guests = ?7,
             kind = ?8
         WHERE num = ?1",
    )?;
    let kind = room.kind.as_str();
    let RoomInfo { name, topic, announcement, archived, slow_seconds, guests, .. } = room;
    change.execute(params![num, name, topic, announcement, archived, slow_seconds, guests, kind]).map(drop)
}

/// From here on the room is found no more. What is left of it goes with `purge`.
pub(super) fn delete_room(db: &Connection, num: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM members WHERE room = ?1")?.execute([num])?;
    db.prepare_cached("DELETE FROM mentions WHERE room = ?1")?.execute([num])?;
    // No id of ours begins so. The number stays taken until the log is gone.
    let mut hide =
        db.prepare_cached("UPDATE rooms SET id = '/deleted/' || num, kind = 'deleted', people = NULL WHERE num = ?1")?;
    hide.execute([num]).map(drop)
}

pub(super) fn purge(db: &Connection) -> Result<bool, Fault> {
    let mut deleted = db.prepare_cached("SELECT num FROM rooms WHERE id > '/deleted/' AND id < '/deleted0' LIMIT 1")?;
    let Some(num) = deleted.query_row([], |row| row.get::<_, i64>(0)).optional()? else { return Ok(false) };
    let mut purge = db.prepare_cached(
        "DELETE FROM events WHERE place IN (SELECT place FROM events WHERE room = ?1 ORDER BY seq LIMIT ?2)",
    )?;
    if purge.execute(params![num, PURGED_AT_ONCE])? == 0 {
        db.prepare_cached("DELETE FROM rooms WHERE num = ?1")?.execute([num])?;
    }
    Ok(true)
}

pub(super) fn set_markers(db: &Connection, markers: &HashMap<(RoomId, UserId), Marker>) -> Result<(), Fault> {
    let mut set = db.prepare_cached(
        "UPDATE members SET read = CASE WHEN ?4 THEN max(read, ?3) ELSE ?3 END
         WHERE user = ?2 AND room = (SELECT num FROM rooms WHERE id = ?1)",
    )?;
    for ((room, user), marker) in markers {
        let (seq, forward) = match marker {
            Marker::Forward(seq) => (seq, true),
            Marker::Exactly(seq) => (seq, false),
        };
        set.execute(params![room.as_str(), user.0.as_bytes(), to_sql(*seq), forward])?;
    }
    Ok(())
}

/// Adds a member, or gives one who is there already the role and leaves their read marker.
pub(super) fn add_member(
    db: &Connection,
    user: UserId,
    room: i64,
    read: Seq,
    role: MemberRole,
) -> rusqlite::Result<()> {
    let mut add = db.prepare_cached(
        "INSERT INTO members (user, room, read, role) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (user, room) DO UPDATE SET role = ?4",
    )?;
    add.execute(params![user.0.as_bytes(), room, to_sql(read), role.as_str()]).map(drop)
}

/// False where the user was no member.
pub(super) fn remove_member(db: &Connection, user: UserId, room: i64) -> rusqlite::Result<bool> {
    let mut remove = db.prepare_cached("DELETE FROM members WHERE user = ?1 AND room = ?2")?;
    Ok(remove.execute(params![user.0.as_bytes(), room])? > 0)
}

/// Says who they were.
pub(super) fn remove_guests(db: &Connection, room: i64) -> rusqlite::Result<Vec<UserId>> {
    let mut remove = db.prepare_cached(
        "DELETE FROM members WHERE room = ?1 AND user IN (SELECT id FROM users WHERE role = 'guest') RETURNING user",
    )?;
    remove.query_map([room], |row| Ok(UserId(Uuid::from_bytes(row.get(0)?))))?.collect()
}

pub(super) fn member_role(db: &Connection, user: UserId, room: i64) -> rusqlite::Result<Option<MemberRole>> {
    let mut query = db.prepare_cached("SELECT role FROM members WHERE user = ?1 AND room = ?2")?;
    query.query_row(params![user.0.as_bytes(), room], |row| word(row, 0)).optional()
}

pub(super) fn role(db: &Connection, room: &RoomId, user: UserId) -> Result<Option<MemberRole>, Fault> {
    let mut query =
        db.prepare_cached("SELECT role FROM members WHERE user = ?1 AND room = (SELECT num FROM rooms WHERE id = ?2)")?;
    Ok(query.query_row(params![user.0.as_bytes(), room.as_str()], |row| word(row, 0)).optional()?)
}

pub(super) fn room(db: &Connection, id: &RoomId) -> Result<Option<RoomInfo>, Fault> {
    let mut query = db.prepare_cached(&format!("SELECT {INFO} FROM rooms WHERE id = ?1 AND kind <> 'deleted'"))?;
    Ok(query.query_row([id.as_str()], room_info).optional()?)
}

pub(super) fn public_rooms(
    db: &Connection,
    query: &str,
    after: Option<&RoomId>,
    limit: usize,
) -> Result<Vec<Listed>, Fault> {
    let mut rooms = db.prepare_cached(&format!(
        "SELECT {INFO}, coalesce((SELECT max(seq) FROM events WHERE room = num), oldest - 1) FROM rooms
         WHERE kind = 'public' AND id > ?1 AND (instr(lower(name), lower(?2)) OR instr(lower(id), lower(?2)))
         ORDER BY id LIMIT ?3",
    ))?;
    let after = after.map_or("", RoomId::as_str);
    let rooms = rooms.query_map(params![after, query, to_sql_limit(limit)], |row| {
        Ok(Listed { room: room_info(row)?, head: from_sql(row.get(INFO_COLUMNS)?) })
    })?;
    Ok(rooms.collect::<rusqlite::Result<_>>()?)
}

/// What `join` reads after the room's columns.
const JOINED: &str =
    "epoch, oldest, coalesce((SELECT max(seq) FROM events WHERE room = num), oldest - 1), num, read, role";

pub(super) fn joined(db: &Connection, user: UserId, limit: usize) -> Result<Vec<Joined>, Fault> {
    // Of an event and a room made right after it the room is newer, and has the higher number.
    let mut query = db.prepare_cached(&format!(
        "SELECT {INFO}, {JOINED},
             coalesce((SELECT place FROM events WHERE room = num ORDER BY seq DESC LIMIT 1), made_after) AS newest
         FROM members JOIN rooms ON num = room WHERE user = ?1 ORDER BY newest DESC, num DESC LIMIT ?2",
    ))?;
    let joined = query.query_map(params![user.0.as_bytes(), to_sql_limit(limit)], |row| join(db, row, user))?;
    Ok(joined.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn member(db: &Connection, room: &RoomId, user: UserId) -> Result<Option<Joined>, Fault> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {INFO}, {JOINED} FROM rooms JOIN members ON room = num WHERE id = ?1 AND user = ?2",
    ))?;
    let member = query.query_row(params![room.as_str(), user.0.as_bytes()], |row| join(db, row, user));
    Ok(member.optional()?)
}

pub(super) fn members(
    db: &Connection,
    room: &RoomId,
    after: Option<UserId>,
    limit: usize,
) -> Result<(Vec<Member>, usize), Fault> {
    let mut number = db.prepare_cached("SELECT num FROM rooms WHERE id = ?1")?;
    let Some(num) = number.query_row([room.as_str()], |row| row.get::<_, i64>(0)).optional()? else {
        return Ok((Vec::new(), 0));
    };
    let mut query = db.prepare_cached(
        "SELECT id, name, users.role, members.role FROM members INDEXED BY members_by_room JOIN users ON id = user
         WHERE room = ?1 AND user > ?2 ORDER BY user LIMIT ?3",
    )?;
    let after = after.map_or_else(Vec::new, |user| user.0.as_bytes().to_vec());
    let members = query.query_map(params![num, after, to_sql_limit(limit)], |row| {
        Ok(Member { user: author(row, 0)?, place_role: word(row, 2)?, role: word(row, 3)? })
    })?;
    let members = members.collect::<rusqlite::Result<_>>()?;
    let mut count = db.prepare_cached("SELECT count(*) FROM members WHERE room = ?1")?;
    Ok((members, count.query_row([num], |row| row.get::<_, u32>(0))? as usize))
}

pub(super) fn written(db: &Connection, user: UserId) -> Result<Vec<RoomId>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT id FROM rooms WHERE kind <> 'deleted' AND EXISTS (SELECT 1 FROM events INDEXED BY events_by_txn
             WHERE room = num AND author = ?1 AND txn_id IS NOT NULL)",
    )?;
    let rooms = query.query_map([user.0.as_bytes()], |row| Ok(RoomId::from(row.get_ref(0)?.as_str()?)))?;
    Ok(rooms.collect::<rusqlite::Result<_>>()?)
}

fn join(db: &Connection, row: &Row, user: UserId) -> rusqlite::Result<Joined> {
    let (room, position) = (room_info(row)?, columns_position(row, INFO_COLUMNS)?);
    let (num, read) = (row.get(INFO_COLUMNS + 3)?, from_sql(row.get(INFO_COLUMNS + 4)?));
    let role = word(row, INFO_COLUMNS + 5)?;
    let unread = count_unread(db, num, position.head, user, read)?;
    let with = if room.kind == RoomKind::Direct { others(db, num, user)? } else { Vec::new() };
    Ok(Joined { room, position, role, read, unread, with })
}

/// A direct room's other people; who has left us has no name any more.
fn others(db: &Connection, room: i64, user: UserId) -> rusqlite::Result<Vec<Author>> {
    let mut query = db.prepare_cached(
        "SELECT id, name FROM members INDEXED BY members_by_room JOIN users ON id = user
         WHERE room = ?1 AND user <> ?2 ORDER BY user",
    )?;
    query.query_map(params![room, user.0.as_bytes()], |row| author(row, 0))?.collect()
}

/// Reads the columns of `INFO`, which come first.
pub(super) fn room_info(row: &Row) -> rusqlite::Result<RoomInfo> {
    Ok(RoomInfo {
        id: row.get_ref(0)?.as_str()?.into(),
        name: row.get(1)?,
        kind: word(row, 2)?,
        topic: row.get(3)?,
        announcement: row.get(4)?,
        archived: row.get(5)?,
        slow_seconds: row.get(6)?,
        guests: row.get(7)?,
    })
}

/// Reads an id and a name.
pub(super) fn author(row: &Row, first: usize) -> rusqlite::Result<Author> {
    Ok(Author { id: UserId(Uuid::from_bytes(row.get(first)?)), name: row.get(first + 1)? })
}

/// Reads a word of the wire.
pub(super) fn word<T: FromStr<Err = String>>(row: &Row, column: usize) -> rusqlite::Result<T> {
    row.get_ref(column)?.as_str()?.parse().map_err(|fault: String| unreadable(column, Type::Text, fault))
}
