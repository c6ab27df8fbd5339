//! The place's settings, bans of addresses, reports, who ignores whom, and the audit log.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::directory::author;
use super::{Fault, Sqlite, from_sql, from_sql_time, time, to_sql, to_sql_limit};
use crate::protocol::UserId;
use crate::store::{Answer, AuditEntry, Ban, Moderation, Report};

impl Moderation for Sqlite {
    fn settings(&self) -> Answer<'_, String> {
        self.reads.ask(settings)
    }

    fn set_settings(&self, json: String) -> Answer<'_, ()> {
        self.queue.change(json.len(), move |db| set_settings(db, &json))
    }

    fn ban(&self, given: Ban) -> Answer<'_, ()> {
        self.queue.change(0, move |db| ban(db, &given))
    }

    fn bans(&self, now: Timestamp) -> Answer<'_, Vec<Ban>> {
        self.reads.ask(move |db| bans(db, now))
    }

    fn lift_bans(&self, user: UserId) -> Answer<'_, ()> {
        self.queue.change(0, move |db| lift_bans(db, user))
    }

    fn report(&self, given: Report) -> Answer<'_, ()> {
        self.queue.change(given.text.len(), move |db| report(db, &given))
    }

    fn reports(&self, limit: usize) -> Answer<'_, Vec<Report>> {
        self.reads.ask(move |db| reports(db, limit))
    }

    fn settle_report(&self, id: u64) -> Answer<'_, Option<Report>> {
        self.queue.change(0, move |db| settle_report(db, id))
    }

    fn ignore(&self, user: UserId, other: UserId, ignored: bool) -> Answer<'_, ()> {
        self.queue.change(0, move |db| ignore(db, user, other, ignored))
    }

    fn ignored(&self, user: UserId) -> Answer<'_, Vec<UserId>> {
        self.reads.ask(move |db| ignored(db, user))
    }

    fn note(&self, entry: AuditEntry) -> Answer<'_, ()> {
        self.queue.change(entry.detail.len(), move |db| note(db, &entry))
    }

    fn audit(&self, before: Option<u64>, limit: usize) -> Answer<'_, Vec<AuditEntry>> {
        self.reads.ask(move |db| audit(db, before, limit))
    }
}

fn set_settings(db: &Connection, json: &str) -> Result<(), Fault> {
    db.prepare_cached("INSERT OR REPLACE INTO settings (one, json) VALUES (1, ?1)")?.execute([json])?;
    Ok(())
}

fn ban(db: &Connection, ban: &Ban) -> Result<(), Fault> {
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO bans (address, user, user_name, until, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let Ban { address, user, until, reason, at } = ban;
    let until = until.map(Timestamp::as_millisecond);
    insert.execute(params![address, user.id.0.as_bytes(), user.name, until, reason, at.as_millisecond()])?;
    Ok(())
}

fn lift_bans(db: &Connection, user: UserId) -> Result<(), Fault> {
    db.prepare_cached("DELETE FROM bans WHERE user = ?1")?.execute([user.0.as_bytes()])?;
    Ok(())
}

fn report(db: &Connection, report: &Report) -> Result<(), Fault> {
    let mut insert = db.prepare_cached(
        "INSERT INTO reports (room, seq, text, author, author_name, by, by_name, reason, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
    )?;
    let Report { room, seq, text, author, by, reason, at, .. } = report;
    insert.execute(params![
        room.as_str(),
        to_sql(*seq),
        text,
        author.id.0.as_bytes(),
        author.name,
        by.id.0.as_bytes(),
        by.name,
        reason,
        at.as_millisecond(),
    ])?;
    Ok(())
}

fn settle_report(db: &Connection, id: u64) -> Result<Option<Report>, Fault> {
    let mut query = db.prepare_cached(&format!("{REPORT} WHERE id = ?1"))?;
    let report = query.query_row([to_sql(id)], report_record).optional()?;
    db.prepare_cached("DELETE FROM reports WHERE id = ?1")?.execute([to_sql(id)])?;
    Ok(report)
}

fn ignore(db: &Connection, user: UserId, other: UserId, ignored: bool) -> Result<(), Fault> {
    let sql = if ignored {
        "INSERT OR IGNORE INTO ignored (user, other) VALUES (?1, ?2)"
    } else {
        "DELETE FROM ignored WHERE user = ?1 AND other = ?2"
    };
    db.prepare_cached(sql)?.execute([user.0.as_bytes(), other.0.as_bytes()])?;
    Ok(())
}

fn note(db: &Connection, entry: &AuditEntry) -> Result<(), Fault> {
    let mut insert =
        db.prepare_cached("INSERT INTO audit (at, by, by_name, act, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    let AuditEntry { at, by, act, subject, detail, .. } = entry;
    insert.execute(params![at.as_millisecond(), by.id.0.as_bytes(), by.name, act, subject, detail])?;
    Ok(())
}

pub(super) fn settings(db: &Connection) -> Result<String, Fault> {
    let mut query = db.prepare_cached("SELECT json FROM settings")?;
    Ok(query.query_row([], |row| row.get(0)).optional()?.unwrap_or_default())
}

pub(super) fn bans(db: &Connection, now: Timestamp) -> Result<Vec<Ban>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT address, user, user_name, until, reason, at FROM bans WHERE until IS NULL OR until > ?1
         ORDER BY at DESC, address",
    )?;
    let bans = query.query_map([now.as_millisecond()], |row| {
        Ok(Ban {
            address: row.get(0)?,
            user: author(row, 1)?,
            until: from_sql_time(row, 3)?,
            reason: row.get(4)?,
            at: time(row, 5)?,
        })
    })?;
    Ok(bans.collect::<rusqlite::Result<_>>()?)
}

const REPORT: &str = "SELECT id, room, seq, text, author, author_name, by, by_name, reason, at FROM reports";

pub(super) fn reports(db: &Connection, limit: usize) -> Result<Vec<Report>, Fault> {
    let mut query = db.prepare_cached(&format!("{REPORT} ORDER BY id LIMIT ?1"))?;
    let reports = query.query_map([to_sql_limit(limit)], report_record)?;
    Ok(reports.collect::<rusqlite::Result<_>>()?)
}

fn report_record(row: &Row) -> rusqlite::Result<Report> {
    Ok(Report {
        id: from_sql(row.get(0)?),
        room: row.get_ref(1)?.as_str()?.into(),
        seq: from_sql(row.get(2)?),
        text: row.get(3)?,
        author: author(row, 4)?,
        by: author(row, 6)?,
        reason: row.get(8)?,
        at: time(row, 9)?,
    })
}

pub(super) fn ignored(db: &Connection, user: UserId) -> Result<Vec<UserId>, Fault> {
    let mut query = db.prepare_cached("SELECT other FROM ignored WHERE user = ?1 ORDER BY other")?;
    let others = query.query_map([user.0.as_bytes()], |row| Ok(UserId(Uuid::from_bytes(row.get(0)?))))?;
    Ok(others.collect::<rusqlite::Result<_>>()?)
}

fn audit(db: &Connection, before: Option<u64>, limit: usize) -> Result<Vec<AuditEntry>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT id, at, by, by_name, act, subject, detail FROM audit WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let before = before.map_or(i64::MAX, to_sql);
    let entries = query.query_map(params![before, to_sql_limit(limit)], audit_entry)?;
    Ok(entries.collect::<rusqlite::Result<_>>()?)
}

/// Oldest first.
pub(super) fn audit_after(db: &Connection, after: u64, limit: usize) -> Result<Vec<AuditEntry>, Fault> {
    let mut query = db.prepare_cached(
        "SELECT id, at, by, by_name, act, subject, detail FROM audit WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let entries = query.query_map(params![to_sql(after), to_sql_limit(limit)], audit_entry)?;
    Ok(entries.collect::<rusqlite::Result<_>>()?)
}

fn audit_entry(row: &Row) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        id: from_sql(row.get(0)?),
        at: time(row, 1)?,
        by: author(row, 2)?,
        act: row.get(4)?,
        subject: row.get(5)?,
        detail: row.get(6)?,
    })
}
