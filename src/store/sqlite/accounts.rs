//! People: who they are, how they prove it, their pictures. The changes, and then the queries.
//! A change refuses before it writes anything, since it shares its transaction with others.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::directory::add_member;
use super::log::find;
use super::names::{USER, claim_name, give_up_names, holder, holds_by_session, user, user_record};
use super::sessions::add_session;
use super::{Fault, Sqlite, time, to_sql_limit};
use crate::error::{Error, Result};
use crate::protocol::{MemberRole, UserId};
use crate::store::{Accounts, Answer, NewUser, Picture, PictureSource, Secrets, UsedCode, UserChange, UserRecord};

impl Accounts for Sqlite {
    fn add_user(&self, user: NewUser, expired_before: Timestamp) -> Answer<'_, ()> {
        self.queue.change(0, move |db| add_user(db, &user, expired_before))
    }

    fn change_user(&self, user: UserId, change: UserChange, expired_before: Timestamp) -> Answer<'_, UserRecord> {
        self.queue.change(0, move |db| change_user(db, user, change, expired_before))
    }

    fn user(&self, id: UserId) -> Answer<'_, Option<UserRecord>> {
        self.reads.ask(move |db| user(db, id))
    }

    fn users<'a>(&'a self, query: &'a str, after: Option<UserId>, limit: usize) -> Answer<'a, Vec<UserRecord>> {
        let query = query.to_owned();
        self.reads.ask(move |db| users(db, &query, after, limit))
    }

    fn holders(&self, folded: Vec<String>, expired_before: Timestamp) -> Answer<'_, HashMap<String, UserId>> {
        self.reads.ask(move |db| holders(db, folded, expired_before))
    }

    fn account<'a>(&'a self, folded: &'a str, email: &'a str) -> Answer<'a, Option<(UserRecord, Secrets)>> {
        let (folded, email) = (folded.to_owned(), email.to_owned());
        self.reads.ask(move |db| account(db, &folded, &email))
    }

    fn secrets(&self, user: UserId) -> Answer<'_, Secrets> {
        self.reads.ask(move |db| secrets(db, user))
    }

    fn set_secrets(&self, user: UserId, secrets: Secrets) -> Answer<'_, ()> {
        self.queue.change(0, move |db| set_secrets(db, user, &secrets))
    }

    fn use_code(&self, user: UserId, code: UsedCode) -> Answer<'_, bool> {
        self.queue.change(0, move |db| use_code(db, user, code))
    }

    fn identity<'a>(&'a self, issuer: &'a str, subject: &'a str) -> Answer<'a, Option<UserId>> {
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        self.reads.ask(move |db| identity(db, &issuer, &subject))
    }

    fn set_identity<'a>(&'a self, user: UserId, issuer: &'a str, subject: Option<&'a str>) -> Answer<'a, bool> {
        let (issuer, subject) = (issuer.to_owned(), subject.map(ToOwned::to_owned));
        self.queue.change(0, move |db| set_identity(db, user, &issuer, subject.as_deref()))
    }

    fn identities(&self, user: UserId) -> Answer<'_, Vec<String>> {
        self.reads.ask(move |db| identities(db, user))
    }

    fn delete_user(&self, user: UserId) -> Answer<'_, bool> {
        self.queue.change(0, move |db| delete_user(db, user))
    }

    fn picture(&self, user: UserId) -> Answer<'_, Option<Picture>> {
        self.reads.ask(move |db| picture(db, user))
    }

    fn set_picture(&self, user: UserId, source: PictureSource, picture: Option<Picture>) -> Answer<'_, ()> {
        let bytes = picture.as_ref().map_or(0, |picture| picture.bytes.len());
        self.queue.change(bytes, move |db| set_picture(db, user, source, picture.as_ref()))
    }
}

fn add_user(db: &Connection, new: &NewUser, expired_before: Timestamp) -> Result<(), Fault> {
    let NewUser { record, session, secrets, joins, read } = new;
    if user(db, record.id)?.is_some() {
        return Ok(());
    }
    let (room, _) = find(db, joins)?.ok_or_else(|| Error::NoRoom(joins.to_string()))?;
    if session.is_some() || !record.role.is_guest() {
        claim_name(db, record, expired_before)?;
    }
    let mut insert = db.prepare_cached(
        "INSERT INTO users (id, name, folded, skeleton, email, email_verified, role)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let UserRecord { id, name, folded, skeleton, email, email_verified, role, .. } = record;
    insert.execute(params![id.0.as_bytes(), name, folded, skeleton, email, email_verified, role.as_str()])?;
    if let Some(session) = session {
        add_session(db, *id, session)?;
    }
    if *secrets != Secrets::default() {
        set_secrets(db, *id, secrets)?;
    }
    Ok(add_member(db, *id, room, *read, MemberRole::Member)?)
}

fn change_user(
    db: &Connection,
    id: UserId,
    change: UserChange,
    expired_before: Timestamp,
) -> Result<UserRecord, Fault> {
    let before = user(db, id)?.ok_or(Error::NoUser)?;
    let UserChange { name, email, role, muted_until, banned_until } = change;
    let mut now = before.clone();
    let mut reserved_until = None;
    // Whoever keeps their name keeps it, whatever others are called by now: they must be muted all the same.
    let claims = name.is_some() || role.is_some();
    if let Some(name) = name {
        (now.name, now.folded, now.skeleton) = (name.name, name.folded, name.skeleton);
        reserved_until = name.reserved_until;
    }
    if let Some(email) = email {
        (now.email, now.email_verified) = email.map_or((None, false), |(email, verified)| (Some(email), verified));
    }
    now.role = role.unwrap_or(now.role);
    now.muted_until = muted_until.unwrap_or(now.muted_until);
    now.banned_until = banned_until.unwrap_or(now.banned_until);
    if claims && (!now.role.is_guest() || holds_by_session(db, id)?) {
        claim_name(db, &now, expired_before)?;
        give_up_names(db, &now, reserved_until)?;
    }
    write_user(db, &now)?;
    Ok(now)
}

fn write_user(db: &Connection, user: &UserRecord) -> rusqlite::Result<()> {
    let id = user.id.0.as_bytes();
    if let Some(email) = user.email.as_ref().filter(|_| user.email_verified) {
        let mut others = db.prepare_cached(
            "UPDATE users SET email = NULL
             WHERE lower(email) = lower(?2) AND role <> 'guest' AND id <> ?1 AND NOT email_verified",
        )?;
        others.execute(params![id, email])?;
    }
    let mut change = db.prepare_cached(
        "UPDATE users SET name = ?2, folded = ?3, skeleton = ?4, email = ?5, email_verified = ?6, role = ?7,
             muted_until = ?8, banned_until = ?9
         WHERE id = ?1",
    )?;
    let until = |time: Option<Timestamp>| time.map(Timestamp::as_millisecond);
    change.execute(params![
        id,
        user.name,
        user.folded,
        user.skeleton,
        user.email,
        user.email_verified,
        user.role.as_str(),
        until(user.muted_until),
        until(user.banned_until),
    ])?;
    Ok(())
}

fn set_secrets(db: &Connection, user: UserId, secrets: &Secrets) -> Result<(), Fault> {
    let id = user.0.as_bytes();
    let mut set = db.prepare_cached(
        "INSERT INTO secrets (user, password, totp) VALUES (?1, ?2, ?3)
         ON CONFLICT (user) DO UPDATE SET password = ?2, totp = ?3",
    )?;
    set.execute(params![id, secrets.password, secrets.totp])?;
    db.prepare_cached("DELETE FROM recovery_codes WHERE user = ?1")?.execute([id])?;
    let mut add = db.prepare_cached("INSERT INTO recovery_codes (user, code) VALUES (?1, ?2)")?;
    for code in &secrets.recovery {
        add.execute(params![id, code])?;
    }
    Ok(())
}

fn use_code(db: &Connection, user: UserId, code: UsedCode) -> Result<bool, Fault> {
    let id = user.0.as_bytes();
    let changed = match code {
        UsedCode::Step(step) => db
            .prepare_cached("UPDATE secrets SET totp_step = ?2 WHERE user = ?1 AND totp_step < ?2")?
            .execute(params![id, step])?,
        UsedCode::Recovery(code) => {
            db.prepare_cached("DELETE FROM recovery_codes WHERE user = ?1 AND code = ?2")?.execute(params![id, code])?
        }
    };
    Ok(changed > 0)
}

fn set_identity(db: &Connection, user: UserId, issuer: &str, subject: Option<&str>) -> Result<bool, Fault> {
    if let Some(subject) = subject
        && identity(db, issuer, subject)?.is_some_and(|holder| holder != user)
    {
        return Ok(false);
    }
    let id = user.0.as_bytes();
    db.prepare_cached("DELETE FROM identities WHERE user = ?1 AND issuer = ?2")?.execute(params![id, issuer])?;
    if let Some(subject) = subject {
        db.prepare_cached("INSERT INTO identities (issuer, subject, user) VALUES (?1, ?2, ?3)")?
            .execute(params![issuer, subject, id])?;
    }
    Ok(true)
}

/// Where a user's own rows stand, and by which column.
const OWN: [(&str, &str); 10] = [
    ("names", "user"),
    ("sessions", "user"),
    ("secrets", "user"),
    ("recovery_codes", "user"),
    ("identities", "user"),
    ("pictures", "user"),
    ("members", "user"),
    ("ignored", "user"),
    ("ignored", "other"),
    ("users", "id"),
];

fn delete_user(db: &Connection, user: UserId) -> Result<bool, Fault> {
    let mut there = false;
    for (table, column) in OWN {
        let deleted =
            db.prepare_cached(&format!("DELETE FROM {table} WHERE {column} = ?1"))?.execute([user.0.as_bytes()])?;
        there = deleted > 0;
    }
    Ok(there)
}

fn set_picture(db: &Connection, user: UserId, source: PictureSource, picture: Option<&Picture>) -> Result<(), Fault> {
    let id = user.0.as_bytes();
    match picture {
        Some(Picture { kind, bytes, at, .. }) => db
            .prepare_cached(
                "INSERT OR REPLACE INTO pictures (user, source, kind, bytes, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![id, source as u8, kind, bytes, at.as_millisecond()])?,
        None => db
            .prepare_cached("DELETE FROM pictures WHERE user = ?1 AND source = ?2")?
            .execute(params![id, source as u8])?,
    };
    db.prepare_cached("UPDATE users SET picture = picture + 1 WHERE id = ?1")?.execute([id])?;
    Ok(())
}

fn users(db: &Connection, query: &str, after: Option<UserId>, limit: usize) -> Result<Vec<UserRecord>, Fault> {
    let mut users = db.prepare_cached(&format!(
        "SELECT {USER} FROM names JOIN users ON users.id = names.user
         WHERE names.folded > coalesce((SELECT folded FROM users WHERE id = ?2), '') AND reserved_until IS NULL
             AND instr(lower(users.name), lower(?1))
         ORDER BY names.folded LIMIT ?3",
    ))?;
    let after = after.map(|user| *user.0.as_bytes());
    let users = users.query_map(params![query, after, to_sql_limit(limit)], user_record)?;
    Ok(users.collect::<rusqlite::Result<_>>()?)
}

fn holders(db: &Connection, folded: Vec<String>, expired_before: Timestamp) -> Result<HashMap<String, UserId>, Fault> {
    let now = Timestamp::now();
    let mut holders = HashMap::new();
    let mut alike = db.prepare_cached("SELECT user FROM names WHERE skeleton = ?1 LIMIT 1")?;
    for folded in folded {
        let holder = holder(db, &folded)?.filter(|holder| holder.holds(expired_before, now)).map(|holder| holder.user);
        let alike = || alike.query_row([&folded], |row| Ok(UserId(Uuid::from_bytes(row.get(0)?)))).optional();
        if let Some(user) = holder.map_or_else(alike, |user| Ok(Some(user)))? {
            holders.insert(folded, user);
        }
    }
    Ok(holders)
}

fn account(db: &Connection, folded: &str, email: &str) -> Result<Option<(UserRecord, Secrets)>, Fault> {
    let mut by_name = db.prepare_cached(&format!(
        "SELECT {USER} FROM names JOIN users ON users.id = names.user
         WHERE names.folded = ?1 AND names.skeleton IS NOT NULL",
    ))?;
    let named = by_name.query_row([folded], user_record).optional()?;
    let found = match named {
        Some(user) => Some(user),
        None => by_email(db, email)?,
    };
    let Some(user) = found else { return Ok(None) };
    let secrets = secrets(db, user.id)?;
    Ok(Some((user, secrets)))
}

/// A verified address is one account's. One that nobody has verified may be several people's: then it is nobody's.
fn by_email(db: &Connection, email: &str) -> rusqlite::Result<Option<UserRecord>> {
    let mut by_email = db.prepare_cached(&format!(
        "SELECT {USER} FROM users WHERE lower(email) = lower(?1) AND email IS NOT NULL AND role <> 'guest'
         ORDER BY email_verified DESC LIMIT 2",
    ))?;
    let mut found: Vec<UserRecord> = by_email.query_map([email], user_record)?.collect::<rusqlite::Result<_>>()?;
    let clear = found.len() == 1 || found.first().is_some_and(|first| first.email_verified);
    Ok(if clear { Some(found.swap_remove(0)) } else { None })
}

pub(super) fn secrets(db: &Connection, user: UserId) -> Result<Secrets, Fault> {
    let id = user.0.as_bytes();
    let mut query = db.prepare_cached("SELECT password, totp FROM secrets WHERE user = ?1")?;
    let found =
        query.query_row([id], |row| Ok(Secrets { password: row.get(0)?, totp: row.get(1)?, recovery: Vec::new() }));
    let mut secrets = found.optional()?.unwrap_or_default();
    let mut codes = db.prepare_cached("SELECT code FROM recovery_codes WHERE user = ?1")?;
    secrets.recovery = codes.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(secrets)
}

fn identity(db: &Connection, issuer: &str, subject: &str) -> Result<Option<UserId>, Fault> {
    let mut query = db.prepare_cached("SELECT user FROM identities WHERE issuer = ?1 AND subject = ?2")?;
    let user = query.query_row([issuer, subject], |row| Ok(UserId(Uuid::from_bytes(row.get(0)?))));
    Ok(user.optional()?)
}

fn identities(db: &Connection, user: UserId) -> Result<Vec<String>, Fault> {
    let mut query = db.prepare_cached("SELECT issuer FROM identities WHERE user = ?1 ORDER BY issuer")?;
    let issuers = query.query_map([user.0.as_bytes()], |row| row.get(0))?;
    Ok(issuers.collect::<rusqlite::Result<_>>()?)
}

fn picture(db: &Connection, user: UserId) -> Result<Option<Picture>, Fault> {
    Ok(pictures(db, user, 1)?.pop())
}

pub(super) fn every_picture(db: &Connection, user: UserId) -> Result<Vec<Picture>, Fault> {
    Ok(pictures(db, user, -1)?)
}

/// From the first sources that have one.
fn pictures(db: &Connection, user: UserId, limit: i32) -> rusqlite::Result<Vec<Picture>> {
    let mut query =
        db.prepare_cached("SELECT source, kind, bytes, at FROM pictures WHERE user = ?1 ORDER BY source LIMIT ?2")?;
    let pictures = query.query_map(params![user.0.as_bytes(), limit], |row| {
        let source = match row.get::<_, u8>(0)? {
            0 => PictureSource::Upload,
            1 => PictureSource::Provider,
            _ => PictureSource::Gravatar,
        };
        Ok(Picture { source, kind: row.get(1)?, bytes: row.get(2)?, at: time(row, 3)? })
    })?;
    pictures.collect()
}
