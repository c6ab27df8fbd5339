//! The place's settings, bans of addresses, reports, who ignores whom, and the audit log. What changes more than one
//! key is done by moderation.lua.
//!
//! Keys, all under {chinwag}: `settings`, JSON; `bans` hash: address → the ban in JSON; `reports` and `audit`
//! streams, whose entries are `ID-0`, counted by `reports_id` and `audit_id`; `reported` hash: "ROOM SEQ USER" → id;
//! `ignored:USER` set: whom they ignore, `ignoring:USER` set: who ignores them.

use std::sync::LazyLock;

use jiff::Timestamp;
use redis::{FromRedisValue, Script};

use super::records::{Fields, ms, user_id};
use super::{Backend, key};
use crate::error::{Error, Result};
use crate::protocol::UserId;
use crate::store::{Answer, AuditEntry, Ban, Moderation, Report};

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("moderation.lua")));

/// As a stream holds it: its id, which is `ID-0`, and its fields.
type Entry = (String, Fields);

impl Moderation for Backend {
    fn settings(&self) -> Answer<'_, String> {
        Box::pin(async {
            let read = |mut redis| async move { redis::cmd("GET").arg(key("settings")).query_async(&mut redis).await };
            Ok(self.link.read::<Option<String>, _>(read).await?.unwrap_or_default())
        })
    }

    fn set_settings(&self, json: String) -> Answer<'_, ()> {
        self.link.change(|mut redis| async move {
            redis::cmd("SET").arg(key("settings")).arg(json).query_async(&mut redis).await
        })
    }

    fn ban(&self, given: Ban) -> Answer<'_, ()> {
        let Ban { address, user, until, reason, at } = given;
        let fields = Fields::default()
            .with("address", &address)
            .with_author("user", &user)
            .with_some("until", until.map(ms))
            .with("reason", reason)
            .with("at", ms(at));
        let json = serde_json::json!(fields).to_string();
        self.link.change(|mut redis| async move {
            redis::cmd("HSET").arg(key("bans")).arg(address).arg(json).query_async(&mut redis).await
        })
    }

    fn bans(&self, now: Timestamp) -> Answer<'_, Vec<Ban>> {
        Box::pin(async move {
            let read = |mut redis| async move { redis::cmd("HVALS").arg(key("bans")).query_async(&mut redis).await };
            let given: Vec<String> = self.link.read(read).await?;
            let mut bans = given.iter().map(|json| ban(json)).collect::<Result<Vec<_>>>()?;
            bans.retain(|ban| ban.until.is_none_or(|until| until > now));
            bans.sort_unstable_by(|a, b| b.at.cmp(&a.at).then_with(|| a.address.cmp(&b.address)));
            Ok(bans)
        })
    }

    fn lift_bans(&self, user: UserId) -> Answer<'_, ()> {
        self.change_order("lift_bans", vec![user.to_string()])
    }

    fn report(&self, given: Report) -> Answer<'_, ()> {
        let Report { room, seq, text, author, by, reason, at, .. } = given;
        let fields = Fields::default()
            .with("room", &room)
            .with("seq", seq)
            .with("text", text)
            .with_author("author", &author)
            .with_author("by", &by)
            .with("reason", reason)
            .with("at", ms(at));
        self.change_order("report", flat(Some(format!("{room} {seq} {}", by.id)), &fields))
    }

    fn reports(&self, limit: usize) -> Answer<'_, Vec<Report>> {
        Box::pin(async move {
            let mut ask = redis::cmd("XRANGE");
            ask.arg(key("reports")).arg("-").arg("+").arg("COUNT").arg(count(limit));
            let open: Vec<Entry> = self.link.read(|mut redis| async move { ask.query_async(&mut redis).await }).await?;
            open.iter().map(|(id, fields)| report(number(id)?, fields)).collect()
        })
    }

    fn settle_report(&self, id: u64) -> Answer<'_, Option<Report>> {
        let settled = self.change_order("settle", vec![id.to_string()]);
        Box::pin(async move {
            let settled: Option<Fields> = settled.await?;
            settled.map(|fields| report(id, &fields)).transpose()
        })
    }

    fn ignore(&self, user: UserId, other: UserId, ignored: bool) -> Answer<'_, ()> {
        let ignored = u8::from(ignored).to_string();
        self.change_order("ignore", vec![user.to_string(), other.to_string(), ignored])
    }

    fn ignored(&self, user: UserId) -> Answer<'_, Vec<UserId>> {
        Box::pin(async move {
            let ignored = key(&format!("ignored:{user}"));
            let read = |mut redis| async move { redis::cmd("SMEMBERS").arg(ignored).query_async(&mut redis).await };
            let others: Vec<String> = self.link.read(read).await?;
            let mut others = others.iter().map(|other| user_id(other)).collect::<Result<Vec<_>>>()?;
            others.sort_unstable();
            Ok(others)
        })
    }

    fn note(&self, entry: AuditEntry) -> Answer<'_, ()> {
        let AuditEntry { at, by, act, subject, detail, .. } = entry;
        let fields = Fields::default()
            .with("at", ms(at))
            .with_author("by", &by)
            .with("act", act)
            .with("subject", subject)
            .with("detail", detail);
        self.change_order("note", flat(None, &fields))
    }

    fn audit(&self, before: Option<u64>, limit: usize) -> Answer<'_, Vec<AuditEntry>> {
        Box::pin(async move {
            let newest = match before {
                Some(before) => before.saturating_sub(1).to_string(),
                None => "+".to_owned(),
            };
            let mut ask = redis::cmd("XREVRANGE");
            ask.arg(key("audit")).arg(newest).arg("-").arg("COUNT").arg(count(limit));
            let entries: Vec<Entry> =
                self.link.read(|mut redis| async move { ask.query_async(&mut redis).await }).await?;
            entries.iter().map(audit_entry).collect()
        })
    }
}

impl Backend {
    fn change_order<T: FromRedisValue + Send + 'static>(
        &self,
        what: &'static str,
        arguments: Vec<String>,
    ) -> Answer<'static, T> {
        self.link.change(move |mut redis| async move {
            SCRIPT.key(key("")).arg(what).arg(arguments).invoke_async(&mut redis).await
        })
    }
}

/// As arguments of a script, after this one.
fn flat(first: Option<String>, fields: &Fields) -> Vec<String> {
    first.into_iter().chain(fields.iter().flat_map(|(field, value)| [field.clone(), value.clone()])).collect()
}

/// As Redis counts; it takes no more than an i64.
fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn ban(json: &str) -> Result<Ban> {
    let fields: Fields = serde_json::from_str(json).map_err(|fault| {
        tracing::error!(%fault, "Redis holds a ban that this version cannot read");
        Error::Internal
    })?;
    Ok(Ban {
        address: fields.text("address")?.to_owned(),
        user: fields.author("user")?,
        until: fields.some_time("until")?,
        reason: fields.text("reason")?.to_owned(),
        at: fields.time("at")?,
    })
}

fn report(id: u64, fields: &Fields) -> Result<Report> {
    Ok(Report {
        id,
        room: fields.text("room")?.into(),
        seq: fields.parse("seq")?,
        text: fields.text("text")?.to_owned(),
        author: fields.author("author")?,
        by: fields.author("by")?,
        reason: fields.text("reason")?.to_owned(),
        at: fields.time("at")?,
    })
}

fn audit_entry((id, fields): &Entry) -> Result<AuditEntry> {
    Ok(AuditEntry {
        id: number(id)?,
        at: fields.time("at")?,
        by: fields.author("by")?,
        act: fields.text("act")?.to_owned(),
        subject: fields.text("subject")?.to_owned(),
        detail: fields.text("detail")?.to_owned(),
    })
}

/// Of the entry `ID-0`.
fn number(id: &str) -> Result<u64> {
    id.split('-').next().and_then(|number| number.parse().ok()).ok_or_else(|| {
        tracing::error!(id, "Redis holds an entry whose id is not ours");
        Error::Internal
    })
}
