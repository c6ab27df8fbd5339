//! Sessions of people, tokens of programs, and links: the changes, and then the queries.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::directory::{author, word};
use super::names::{USER, USER_COLUMNS, free_name, free_reserved_names, user, user_record};
use super::{Fault, Sqlite, from_sql_time, time};
use crate::error::{Error, Result};
use crate::protocol::{RoomId, Scope, UserId};
use crate::store::{Answer, Link, LinkKind, NewSession, SessionRecord, Sessions, TokenHash, Which};

impl Sessions for Sqlite {
    fn add_session(&self, user: UserId, session: NewSession) -> Answer<'_, ()> {
        self.queue.change(0, move |db| add_session(db, user, &session))
    }

    fn session(&self, token: TokenHash) -> Answer<'_, Option<SessionRecord>> {
        self.reads.ask(move |db| session(db, token))
    }

    fn touch_session(&self, token: TokenHash, seen: Timestamp) -> Answer<'_, ()> {
        self.queue.change(0, move |db| touch_session(db, token, seen))
    }

    fn sessions(&self, user: UserId, programs: bool) -> Answer<'_, Vec<SessionRecord>> {
        self.reads.ask(move |db| sessions(db, user, programs))
    }

    fn end_sessions(&self, user: UserId, which: Which) -> Answer<'_, Vec<TokenHash>> {
        self.queue.change(0, move |db| end_sessions(db, user, which))
    }

    fn expire_sessions(&self, before: Timestamp) -> Answer<'_, ()> {
        self.queue.change(0, move |db| expire_sessions(db, before))
    }

    fn add_link(&self, link: Link) -> Answer<'_, ()> {
        self.queue.change(0, move |db| add_link(db, &link))
    }

    fn link(&self, token: TokenHash, now: Timestamp) -> Answer<'_, Option<Link>> {
        self.reads.ask(move |db| link(db, token, now))
    }

    fn use_link(&self, token: TokenHash, now: Timestamp) -> Answer<'_, Link> {
        self.queue.change(0, move |db| use_link(db, token, now))
    }

    fn invites<'a>(&'a self, room: Option<&'a RoomId>, now: Timestamp) -> Answer<'a, Vec<Link>> {
        let room = room.cloned();
        self.reads.ask(move |db| invites(db, room.as_ref(), now))
    }

    fn revoke_link(&self, id: Uuid) -> Answer<'_, bool> {
        self.queue.change(0, move |db| revoke_link(db, id))
    }
}

pub(super) fn add_session(db: &Connection, user: UserId, session: &NewSession) -> Result<(), Fault> {
    if self::user(db, user)?.is_none() {
        return Err(Error::NoUser.into());
    }
    let mut add = db.prepare_cached(
        "INSERT INTO sessions (token, user, seen, id, label, address, at, scopes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?3, ?7)",
    )?;
    let NewSession { token, id, label, address, at, scopes } = session;
    let scopes = scopes.as_ref().map(|scopes| {
        let words: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
        words.join(" ")
    });
    add.execute(params![token, user.0.as_bytes(), at.as_millisecond(), id.as_bytes(), label, address, scopes])?;
    Ok(())
}

fn touch_session(db: &Connection, token: TokenHash, seen: Timestamp) -> Result<(), Fault> {
    let mut touch = db.prepare_cached("UPDATE sessions SET seen = ?2 WHERE token = ?1")?;
    touch.execute(params![token, seen.as_millisecond()])?;
    Ok(())
}

fn end_sessions(db: &Connection, user: UserId, which: Which) -> Result<Vec<TokenHash>, Fault> {
    let (condition, one) = match &which {
        Which::One(id) => ("id = ?2", id.as_bytes().to_vec()),
        Which::OthersThan(token) => ("scopes IS NULL AND token <> ?2", token.to_vec()),
        Which::OfPeople => ("scopes IS NULL AND ?2 = x''", Vec::new()),
        Which::All => ("?2 = x''", Vec::new()),
    };
    let mut end =
        db.prepare_cached(&format!("DELETE FROM sessions WHERE user = ?1 AND {condition} RETURNING token"))?;
    // Read to its end, or the rows stay.
    let ended = end.query_map(params![user.0.as_bytes(), one], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    free_name(db, *user.0.as_bytes())?;
    Ok(ended)
}

fn expire_sessions(db: &Connection, before: Timestamp) -> Result<(), Fault> {
    let mut expire = db.prepare_cached("DELETE FROM sessions WHERE seen < ?1 AND scopes IS NULL RETURNING user")?;
    let users = expire.query_map([before.as_millisecond()], |row| row.get(0))?;
    for user in users.collect::<rusqlite::Result<Vec<[u8; 16]>>>()? {
        free_name(db, user)?;
    }
    db.prepare_cached("DELETE FROM links WHERE expires < ?1 OR used >= max_uses")?
        .execute([before.as_millisecond()])?;
    Ok(free_reserved_names(db, Timestamp::now())?)
}

pub(super) fn add_link(db: &Connection, link: &Link) -> Result<(), Fault> {
    let mut add = db.prepare_cached(
        "INSERT INTO links (token, id, kind, role, room, user, mailed_to, by, by_name, made, expires, used, max_uses)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    let (kind, role, room, user, mailed_to) = match &link.kind {
        LinkKind::Owner => ("owner", None, None, None, None),
        LinkKind::Invite { role, room } => {
            ("invite", Some(role.as_str()), room.as_ref().map(RoomId::as_str), None, None)
        }
        LinkKind::Reset { user, mailed_to } => ("reset", None, None, Some(user.0.as_bytes()), mailed_to.as_ref()),
    };
    add.execute(params![
        link.token,
        link.id.as_bytes(),
        kind,
        role,
        room,
        user,
        mailed_to,
        link.by.as_ref().map(|by| by.id.0.as_bytes()),
        link.by.as_ref().map(|by| &by.name),
        link.made.as_millisecond(),
        link.expires.map(Timestamp::as_millisecond),
        link.used,
        link.max_uses,
    ])?;
    Ok(())
}

fn use_link(db: &Connection, token: TokenHash, now: Timestamp) -> Result<Link, Fault> {
    let mut link = link(db, token, now)?.ok_or(Error::BadLink)?;
    db.prepare_cached("UPDATE links SET used = used + 1 WHERE token = ?1")?.execute([token])?;
    if link.kind == LinkKind::Owner {
        // Each start made one until there was an owner.
        db.prepare_cached("DELETE FROM links WHERE kind = 'owner' AND token <> ?1")?.execute([token])?;
    }
    link.used += 1;
    Ok(link)
}

fn revoke_link(db: &Connection, id: Uuid) -> Result<bool, Fault> {
    Ok(db.prepare_cached("DELETE FROM links WHERE id = ?1")?.execute([id.as_bytes()])? > 0)
}

const SESSION: &str = "token, sessions.id, label, address, at, scopes, seen";

fn session(db: &Connection, token: TokenHash) -> Result<Option<SessionRecord>, Fault> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {USER}, {SESSION} FROM sessions JOIN users ON users.id = user WHERE token = ?1",
    ))?;
    Ok(query.query_row([token], session_record).optional()?)
}

pub(super) fn sessions(db: &Connection, user: UserId, programs: bool) -> Result<Vec<SessionRecord>, Fault> {
    let mut query = db.prepare_cached(&format!(
        "SELECT {USER}, {SESSION} FROM sessions JOIN users ON users.id = user
         WHERE user = ?1 AND (scopes IS NOT NULL) = ?2 ORDER BY at DESC, sessions.id DESC",
    ))?;
    let sessions = query.query_map(params![user.0.as_bytes(), programs], session_record)?;
    Ok(sessions.collect::<rusqlite::Result<_>>()?)
}

const LINK: &str =
    "SELECT token, id, kind, role, room, user, mailed_to, by, by_name, made, expires, used, max_uses FROM links";
/// At the time ?2.
const GOOD: &str = "(expires IS NULL OR expires > ?2) AND (max_uses IS NULL OR used < max_uses)";

fn link(db: &Connection, token: TokenHash, now: Timestamp) -> Result<Option<Link>, Fault> {
    let mut query = db.prepare_cached(&format!("{LINK} WHERE token = ?1 AND {GOOD}"))?;
    Ok(query.query_row(params![token, now.as_millisecond()], link_record).optional()?)
}

fn invites(db: &Connection, room: Option<&RoomId>, now: Timestamp) -> Result<Vec<Link>, Fault> {
    let mut query = db.prepare_cached(&format!(
        "{LINK} WHERE kind = 'invite' AND (?1 IS NULL OR room = ?1) AND {GOOD} ORDER BY made DESC, id DESC",
    ))?;
    let links = query.query_map(params![room.map(RoomId::as_str), now.as_millisecond()], link_record)?;
    Ok(links.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn good_links(db: &Connection, now: Timestamp) -> Result<Vec<Link>, Fault> {
    let mut query = db.prepare_cached(&format!("{LINK} WHERE ?1 IS NULL AND {GOOD} ORDER BY made"))?;
    let links = query.query_map(params![None::<i64>, now.as_millisecond()], link_record)?;
    Ok(links.collect::<rusqlite::Result<_>>()?)
}

fn session_record(row: &Row) -> rusqlite::Result<SessionRecord> {
    const FIRST: usize = USER_COLUMNS;
    let scopes: Option<String> = row.get(FIRST + 5)?;
    let session = NewSession {
        token: row.get(FIRST)?,
        id: Uuid::from_bytes(row.get(FIRST + 1)?),
        label: row.get(FIRST + 2)?,
        address: row.get(FIRST + 3)?,
        at: time(row, FIRST + 4)?,
        // A word of a later version is none that this one gives a right by.
        scopes: scopes.map(|words| words.split(' ').filter_map(|word| word.parse::<Scope>().ok()).collect()),
    };
    Ok(SessionRecord { user: user_record(row)?, session, seen: time(row, FIRST + 6)? })
}

fn link_record(row: &Row) -> rusqlite::Result<Link> {
    let kind = match row.get_ref(2)?.as_str()? {
        "owner" => LinkKind::Owner,
        "reset" => LinkKind::Reset { user: UserId(Uuid::from_bytes(row.get(5)?)), mailed_to: row.get(6)? },
        _ => LinkKind::Invite { role: word(row, 3)?, room: row.get::<_, Option<String>>(4)?.map(|id| (&*id).into()) },
    };
    let by: Option<[u8; 16]> = row.get(7)?;
    Ok(Link {
        id: Uuid::from_bytes(row.get(1)?),
        token: row.get(0)?,
        kind,
        by: by.map(|_| author(row, 7)).transpose()?,
        made: time(row, 9)?,
        expires: from_sql_time(row, 10)?,
        used: row.get(11)?,
        max_uses: row.get(12)?,
    })
}
