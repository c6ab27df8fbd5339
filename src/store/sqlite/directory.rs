//! Rooms, members, users, names and sessions: the changes, and then the queries.
//! A change refuses before it writes anything, since it shares its transaction with others.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::log::{columns_position, count_unread, find};
use super::{Fault, from_sql, time, to_sql, to_sql_limit};
use crate::error::{Error, Result};
use crate::protocol::{RoomId, Seq, UserId};
use crate::store::{Joined, Listed, Marker, NewUser, RoomInfo, SessionRecord, TokenHash, UserRecord};

pub(super) fn create_room(db: &Connection, room: &RoomInfo, creator: Option<UserId>) -> Result<(), Fault> {
    let mut create = db.prepare_cached(
        "INSERT INTO rooms (id, name, epoch, oldest, made_after, created_at)
         VALUES (?1, ?2, random() | 1, 1, coalesce((SELECT max(place) FROM events), 0), ?3)
         ON CONFLICT (id) DO NOTHING",
    )?;
    if create.execute(params![room.id.as_str(), room.name, Timestamp::now().as_millisecond()])? == 0 {
        return Err(Error::Exists(room.id.clone()).into());
    }
    if let Some(creator) = creator {
        add_member(db, creator, db.last_insert_rowid(), 0)?;
    }
    Ok(())
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

pub(super) fn add_user(db: &Connection, user: &NewUser, expired_before: Timestamp) -> Result<(), Fault> {
    let NewUser { record, session, joins, read } = user;
    if self::user(db, record.id)?.is_some() {
        return Ok(());
    }
    let (room, _) = find(db, joins)?.ok_or_else(|| Error::NoRoom(joins.to_string()))?;
    if let Some((token, seen)) = session {
        claim_name(db, record, expired_before)?;
        db.prepare_cached("INSERT INTO sessions (token, user, seen) VALUES (?1, ?2, ?3)")?.execute(params![
            token,
            record.id.0.as_bytes(),
            seen.as_millisecond()
        ])?;
    }
    db.prepare_cached("INSERT INTO users (id, name, folded, email, guest) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![record.id.0.as_bytes(), record.name, record.folded, record.email, record.guest])?;
    Ok(add_member(db, record.id, room, *read)?)
}

pub(super) fn change_user(db: &Connection, user: &UserRecord, expired_before: Timestamp) -> Result<(), Fault> {
    let id = user.id.0.as_bytes();
    if self::user(db, user.id)?.is_none() {
        return Err(Error::NoUser.into());
    }
    let mut signed_in = db.prepare_cached("SELECT EXISTS (SELECT 1 FROM sessions WHERE user = ?1)")?;
    if signed_in.query_row([id], |row| row.get(0))? {
        claim_name(db, user, expired_before)?;
    }
    db.prepare_cached("DELETE FROM names WHERE user = ?1 AND folded <> ?2")?.execute(params![id, user.folded])?;
    let mut change = db.prepare_cached("UPDATE users SET name = ?2, folded = ?3, email = ?4 WHERE id = ?1")?;
    change.execute(params![id, user.name, user.folded, user.email])?;
    Ok(())
}

pub(super) fn touch_session(db: &Connection, token: TokenHash, seen: Timestamp) -> Result<(), Fault> {
    let mut touch = db.prepare_cached("UPDATE sessions SET seen = ?2 WHERE token = ?1")?;
    touch.execute(params![token, seen.as_millisecond()])?;
    Ok(())
}

pub(super) fn end_session(db: &Connection, token: TokenHash) -> Result<bool, Fault> {
    let mut end = db.prepare_cached("DELETE FROM sessions WHERE token = ?1 RETURNING user")?;
    // Read to its end, or the row stays.
    let users: Vec<[u8; 16]> = end.query_map([token], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for user in &users {
        free_name(db, *user)?;
    }
    Ok(!users.is_empty())
}

pub(super) fn expire_sessions(db: &Connection, before: Timestamp) -> Result<(), Fault> {
    let mut expire = db.prepare_cached("DELETE FROM sessions WHERE seen < ?1 RETURNING user")?;
    let users = expire.query_map([before.as_millisecond()], |row| row.get(0))?;
    for user in users.collect::<rusqlite::Result<Vec<[u8; 16]>>>()? {
        free_name(db, user)?;
    }
    Ok(())
}

/// The user holds their name from here on, or somebody else does.
fn claim_name(db: &Connection, user: &UserRecord, expired_before: Timestamp) -> Result<(), Fault> {
    let id = user.id.0.as_bytes();
    if let Some((holder, seen)) = holder(db, &user.folded)?
        && holder != user.id
    {
        if seen.is_some_and(|seen| seen >= expired_before.as_millisecond()) {
            return Err(Error::NameTaken(user.name.to_string()).into());
        }
        db.prepare_cached("DELETE FROM sessions WHERE user = ?1")?.execute([holder.0.as_bytes()])?;
    }
    db.prepare_cached("INSERT OR REPLACE INTO names (folded, user) VALUES (?1, ?2)")?
        .execute(params![user.folded, id])?;
    Ok(())
}

/// Who holds a name, and when one of their sessions was last seen.
fn holder(db: &Connection, folded: &str) -> rusqlite::Result<Option<(UserId, Option<i64>)>> {
    let mut query = db.prepare_cached(
        "SELECT user, (SELECT max(seen) FROM sessions WHERE sessions.user = names.user) FROM names WHERE folded = ?1",
    )?;
    query.query_row([folded], |row| Ok((UserId(Uuid::from_bytes(row.get(0)?)), row.get(1)?))).optional()
}

/// Guests hold their name by their sessions.
fn free_name(db: &Connection, user: [u8; 16]) -> rusqlite::Result<()> {
    let mut free = db.prepare_cached(
        "DELETE FROM names WHERE user = ?1 AND (SELECT guest FROM users WHERE id = ?1)
         AND NOT EXISTS (SELECT 1 FROM sessions WHERE user = ?1)",
    )?;
    free.execute([user]).map(drop)
}

fn add_member(db: &Connection, user: UserId, room: i64, read: Seq) -> rusqlite::Result<()> {
    let mut add = db.prepare_cached("INSERT INTO members (user, room, read) VALUES (?1, ?2, ?3)")?;
    add.execute(params![user.0.as_bytes(), room, to_sql(read)]).map(drop)
}

pub(super) fn room(db: &Connection, id: &RoomId) -> Result<Option<RoomInfo>, Fault> {
    let mut query = db.prepare_cached("SELECT id, name FROM rooms WHERE id = ?1")?;
    Ok(query.query_row([id.as_str()], room_info).optional()?)
}

pub(super) fn public_rooms(
    db: &Connection,
    query: &str,
    after: Option<&RoomId>,
    limit: usize,
) -> Result<Vec<Listed>, Fault> {
    let mut rooms = db.prepare_cached(
        "SELECT id, name, coalesce((SELECT max(seq) FROM events WHERE room = num), oldest - 1) FROM rooms
         WHERE id > ?1 AND (instr(lower(name), lower(?2)) OR instr(lower(id), lower(?2))) ORDER BY id LIMIT ?3",
    )?;
    let after = after.map_or("", RoomId::as_str);
    let rooms = rooms.query_map(params![after, query, to_sql_limit(limit)], |row| {
        Ok(Listed { room: room_info(row)?, head: from_sql(row.get(2)?) })
    })?;
    Ok(rooms.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn joined(db: &Connection, user: UserId, limit: usize) -> Result<Vec<Joined>, Fault> {
    // Of an event and a room made right after it the room is newer, and has the higher number.
    let mut query = db.prepare_cached(
        "SELECT id, name, epoch, oldest, coalesce((SELECT max(seq) FROM events WHERE room = num), oldest - 1),
             num, read,
             coalesce((SELECT place FROM events WHERE room = num ORDER BY seq DESC LIMIT 1), made_after) AS newest
         FROM members JOIN rooms ON num = room WHERE user = ?1 ORDER BY newest DESC, num DESC LIMIT ?2",
    )?;
    let joined = query.query_map(params![user.0.as_bytes(), to_sql_limit(limit)], |row| join(db, row, user))?;
    Ok(joined.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn member(db: &Connection, room: &RoomId, user: UserId) -> Result<Option<Joined>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT id, name, epoch, oldest, coalesce((SELECT max(seq) FROM events WHERE room = num), oldest - 1),
             num, read
         FROM rooms JOIN members ON room = num WHERE id = ?1 AND user = ?2",
    )?;
    let member = query.query_row(params![room.as_str(), user.0.as_bytes()], |row| join(db, row, user));
    Ok(member.optional()?)
}

pub(super) fn user(db: &Connection, id: UserId) -> Result<Option<UserRecord>, Fault> {
    let mut query = db.prepare_cached("SELECT id, name, folded, email, guest FROM users WHERE id = ?1")?;
    Ok(query.query_row([id.0.as_bytes()], user_record).optional()?)
}

pub(super) fn holders(
    db: &Connection,
    folded: Vec<String>,
    expired_before: Timestamp,
) -> Result<HashMap<String, UserId>, Fault> {
    let mut holders = HashMap::new();
    for folded in folded {
        if let Some((user, Some(seen))) = holder(db, &folded)?
            && seen >= expired_before.as_millisecond()
        {
            holders.insert(folded, user);
        }
    }
    Ok(holders)
}

pub(super) fn session(db: &Connection, token: TokenHash) -> Result<Option<SessionRecord>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT id, name, folded, email, guest, seen FROM sessions JOIN users ON id = user WHERE token = ?1",
    )?;
    let session = query.query_row([token], |row| Ok(SessionRecord { user: user_record(row)?, seen: time(row, 5)? }));
    Ok(session.optional()?)
}

fn join(db: &Connection, row: &Row, user: UserId) -> rusqlite::Result<Joined> {
    let (room, position) = (room_info(row)?, columns_position(row, 2)?);
    let read = from_sql(row.get(6)?);
    let unread = count_unread(db, row.get(5)?, position.head, user, read)?;
    Ok(Joined { room, position, read, unread })
}

fn room_info(row: &Row) -> rusqlite::Result<RoomInfo> {
    Ok(RoomInfo { id: row.get_ref(0)?.as_str()?.into(), name: row.get(1)? })
}

fn user_record(row: &Row) -> rusqlite::Result<UserRecord> {
    Ok(UserRecord {
        id: UserId(Uuid::from_bytes(row.get(0)?)),
        name: row.get(1)?,
        folded: row.get(2)?,
        email: row.get(3)?,
        guest: row.get(4)?,
    })
}
