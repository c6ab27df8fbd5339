//! Users as they stand in the database, and the names that they hold. Whose a name is, is decided here alone.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::directory::word;
use super::{Fault, from_sql_time};
use crate::error::{Error, Result};
use crate::protocol::{Role, UserId};
use crate::store::UserRecord;

/// The columns that `user_record` reads.
pub(super) const USER: &str = "users.id, users.name, users.folded, users.skeleton, users.email, users.email_verified,
    users.role, users.muted_until, users.banned_until, users.picture";
pub(super) const USER_COLUMNS: usize = 10;

pub(super) fn user(db: &Connection, id: UserId) -> Result<Option<UserRecord>, Fault> {
    let mut query = db.prepare_cached(&format!("SELECT {USER} FROM users WHERE id = ?1"))?;
    Ok(query.query_row([id.0.as_bytes()], user_record).optional()?)
}

/// The user holds their name from here on, or somebody else does.
pub(super) fn claim_name(db: &Connection, user: &UserRecord, expired_before: Timestamp) -> Result<(), Fault> {
    let id = user.id.0.as_bytes();
    let taken = || Fault::from(Error::NameTaken(user.name.to_string()));
    let mut alike = db.prepare_cached("SELECT EXISTS (SELECT 1 FROM names WHERE skeleton = ?1 AND user <> ?2)")?;
    if alike.query_row(params![user.skeleton, id], |row| row.get(0))? {
        return Err(taken());
    }
    if let Some(holder) = holder(db, &user.folded)?
        && holder.user != user.id
    {
        if holder.holds(expired_before, Timestamp::now()) {
            return Err(taken());
        }
        // Whose reservation has ended goes by another name by now.
        if holder.reserved_until.is_none() {
            forget_sessions(db, holder.user)?;
        }
    }
    let skeleton = (!user.role.is_guest()).then_some(&user.skeleton);
    db.prepare_cached("INSERT OR REPLACE INTO names (folded, user, skeleton) VALUES (?1, ?2, ?3)")?
        .execute(params![user.folded, id, skeleton])?;
    Ok(())
}

/// Names that the user held before the present one.
pub(super) fn give_up_names(
    db: &Connection,
    user: &UserRecord,
    reserved_until: Option<Timestamp>,
) -> rusqlite::Result<()> {
    let id = user.id.0.as_bytes();
    match reserved_until {
        Some(until) => db
            .prepare_cached(
                "UPDATE names SET skeleton = NULL, reserved_until = ?3
                 WHERE user = ?1 AND folded <> ?2 AND reserved_until IS NULL",
            )?
            .execute(params![id, user.folded, until.as_millisecond()])?,
        None => db
            .prepare_cached("DELETE FROM names WHERE user = ?1 AND folded <> ?2 AND reserved_until IS NULL")?
            .execute(params![id, user.folded])?,
    };
    Ok(())
}

pub(super) fn holds_by_session(db: &Connection, user: UserId) -> rusqlite::Result<bool> {
    let mut query = db.prepare_cached("SELECT EXISTS (SELECT 1 FROM sessions WHERE user = ?1)")?;
    query.query_row([user.0.as_bytes()], |row| row.get(0))
}

pub(super) struct Holder {
    pub user: UserId,
    /// When a session of theirs was last seen.
    seen: Option<i64>,
    reserved_until: Option<i64>,
    has_account: bool,
}

impl Holder {
    pub fn holds(&self, expired_before: Timestamp, now: Timestamp) -> bool {
        match self.reserved_until {
            Some(until) => until > now.as_millisecond(),
            None => self.has_account || self.seen.is_some_and(|seen| seen >= expired_before.as_millisecond()),
        }
    }
}

pub(super) fn holder(db: &Connection, folded: &str) -> rusqlite::Result<Option<Holder>> {
    let mut query = db.prepare_cached(
        "SELECT user, (SELECT max(seen) FROM sessions WHERE sessions.user = names.user), reserved_until,
             skeleton IS NOT NULL
         FROM names WHERE folded = ?1",
    )?;
    let holder = query.query_row([folded], |row| {
        let user = UserId(Uuid::from_bytes(row.get(0)?));
        Ok(Holder { user, seen: row.get(1)?, reserved_until: row.get(2)?, has_account: row.get(3)? })
    });
    holder.optional()
}

/// Guests hold their name by their sessions.
pub(super) fn free_name(db: &Connection, user: [u8; 16]) -> rusqlite::Result<()> {
    let mut free = db.prepare_cached(
        "DELETE FROM names WHERE user = ?1 AND skeleton IS NULL AND reserved_until IS NULL
         AND NOT EXISTS (SELECT 1 FROM sessions WHERE user = ?1)",
    )?;
    free.execute([user]).map(drop)
}

pub(super) fn free_reserved_names(db: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM names WHERE reserved_until < ?1")?.execute([now.as_millisecond()]).map(drop)
}

/// Of one who has lost their name to somebody else.
fn forget_sessions(db: &Connection, user: UserId) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM sessions WHERE user = ?1")?.execute([user.0.as_bytes()]).map(drop)
}

/// Reads the columns of `USER`, which come first.
pub(super) fn user_record(row: &Row) -> rusqlite::Result<UserRecord> {
    let role: Role = word(row, 6)?;
    Ok(UserRecord {
        id: UserId(Uuid::from_bytes(row.get(0)?)),
        name: row.get(1)?,
        folded: row.get(2)?,
        skeleton: row.get(3)?,
        email: row.get(4)?,
        email_verified: row.get(5)?,
        role,
        muted_until: from_sql_time(row, 7)?,
        banned_until: from_sql_time(row, 8)?,
        picture: row.get(9)?,
    })
}
