//! All that a database holds, for whoever moves it elsewhere: each thing as its contract knows it, in an order in
//! which it can be put down again. It must not know where to.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::accounts::{every_picture, secrets};
use super::database::Database;
use super::directory::{INFO, room_info, word};
use super::log::{READ, events, find};
use super::moderation::{audit_after, bans, ignored, reports, settings};
use super::names::{USER, user_record};
use super::sessions::{good_links, sessions};
use super::{Fault, from_sql, to_sql_limit};
use crate::error::{Error, Fatal};
use crate::protocol::{Event, MemberRole, RoomId, Seq, UserId};
use crate::store::{AuditEntry, Ban, Link, Options, Picture, Report, RoomInfo, Secrets, SessionRecord, UserRecord};

/// Reports that are open at once; more than anybody looks through.
const REPORTS: usize = 100_000;

/// A database that nobody else has open meanwhile.
pub struct Dump {
    database: Database,
    db: Connection,
}

/// A room with its members, each with their read marker.
pub struct DumpedRoom {
    pub info: RoomInfo,
    pub members: Vec<(UserId, MemberRole, Seq)>,
    pub head: Seq,
}

/// A user with all that is theirs alone.
pub struct DumpedUser {
    pub record: UserRecord,
    pub secrets: Secrets,
    pub sessions: Vec<SessionRecord>,
    /// Issuers, and what the user is called there.
    pub identities: Vec<(String, String)>,
    pub pictures: Vec<Picture>,
    pub ignored: Vec<UserId>,
}

/// What is nobody's alone.
pub struct DumpedPlace {
    /// In JSON; empty where they never were set.
    pub settings: String,
    pub bans: Vec<Ban>,
    pub reports: Vec<Report>,
    /// Those that are still good.
    pub links: Vec<Link>,
}

impl Dump {
    pub fn open(options: &Options) -> Result<Self, Fatal> {
        let database = Database::open(options)?;
        let db = database.reader()?;
        Ok(Self { database, db })
    }

    /// The rooms, those with the oldest news first.
    pub fn rooms(&self) -> Result<Vec<DumpedRoom>, Error> {
        self.ask(|db| {
            let mut query = db.prepare_cached(&format!(
                "SELECT {INFO}, num,
                     coalesce((SELECT place FROM events WHERE room = num ORDER BY seq DESC LIMIT 1), made_after) AS newest
                 FROM rooms WHERE kind <> 'deleted' ORDER BY newest, num",
            ))?;
            let rooms = query.query_map([], |row| Ok((room_info(row)?, row.get::<_, i64>("num")?)))?;
            let rooms = rooms.collect::<rusqlite::Result<Vec<_>>>()?;
            rooms.into_iter().map(|(info, num)| dumped_room(db, info, num)).collect()
        })
    }

    /// Events after this seq, oldest first.
    pub fn events(&self, room: &RoomId, after: Seq, limit: usize) -> Result<Vec<Event>, Error> {
        self.ask(|db| {
            let (num, _) = find(db, room)?.ok_or_else(|| Error::NoRoom(room.to_string()))?;
            Ok(events(db, READ, num, after, limit)?)
        })
    }

    /// Users in the order of their ids, after this one.
    pub fn users(&self, after: Option<UserId>, limit: usize) -> Result<Vec<DumpedUser>, Error> {
        self.ask(|db| {
            let mut query =
                db.prepare_cached(&format!("SELECT {USER} FROM users WHERE id > ?1 ORDER BY id LIMIT ?2"))?;
            let after = after.map_or_else(Vec::new, |user| user.0.as_bytes().to_vec());
            let users = query.query_map(params![after, to_sql_limit(limit)], user_record)?;
            let users = users.collect::<rusqlite::Result<Vec<_>>>()?;
            users.into_iter().map(|record| dumped_user(db, record)).collect()
        })
    }

    pub fn place(&self, now: Timestamp) -> Result<DumpedPlace, Error> {
        self.ask(|db| {
            Ok(DumpedPlace {
                settings: settings(db)?,
                bans: bans(db, now)?,
                reports: reports(db, REPORTS)?,
                links: good_links(db, now)?,
            })
        })
    }

    /// Entries of the audit log after this one, oldest first.
    pub fn audit(&self, after: u64, limit: usize) -> Result<Vec<AuditEntry>, Error> {
        self.ask(|db| audit_after(db, after, limit))
    }

    /// Nothing was changed.
    pub fn close(self) {
        drop(self.db);
        self.database.close();
    }

    fn ask<T>(&self, ask: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Error> {
        ask(&self.db).map_err(|fault| match fault {
            Fault::Refused(error) => error,
            Fault::Broken(fault) => {
                tracing::error!(%fault, "the database cannot be read");
                Error::Internal
            }
        })
    }
}

fn dumped_room(db: &Connection, info: RoomInfo, num: i64) -> Result<DumpedRoom, Fault> {
    let mut query = db.prepare_cached(
        "SELECT user, role, read FROM members INDEXED BY members_by_room WHERE room = ?1 ORDER BY user",
    )?;
    let members = query
        .query_map([num], |row| Ok((UserId(Uuid::from_bytes(row.get(0)?)), word(row, 1)?, from_sql(row.get(2)?))))?;
    let members = members.collect::<rusqlite::Result<_>>()?;
    let head = find(db, &info.id)?.map_or(0, |(_, position)| position.head);
    Ok(DumpedRoom { info, members, head })
}

fn dumped_user(db: &Connection, record: UserRecord) -> Result<DumpedUser, Fault> {
    let id = record.id;
    let mut identities = db.prepare_cached("SELECT issuer, subject FROM identities WHERE user = ?1 ORDER BY issuer")?;
    let identities = identities.query_map([id.0.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut all = sessions(db, id, false)?;
    all.extend(sessions(db, id, true)?);
    Ok(DumpedUser {
        secrets: secrets(db, id)?,
        sessions: all,
        identities: identities.collect::<rusqlite::Result<_>>()?,
        pictures: every_picture(db, id)?,
        ignored: ignored(db, id)?,
        record,
    })
}
