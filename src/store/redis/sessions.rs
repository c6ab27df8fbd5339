//! Sessions of people, tokens of programs, and links. The changes are made by sessions.lua, each as a whole.
//!
//! Keys, all under {chinwag}, where TOKEN is the hash of a secret:
//! - `session:TOKEN` hash: `user id label address at seen`, and `scopes` of a program's. `sessions:USER` zset: the
//!   user's, by when they were seen. `sessions` zset: those of people, by the same.
//! - `link:TOKEN` hash: `id kind role room user mailed_to by by_name made expires used max_uses`. `link_ids` hash: id
//!   → TOKEN. `invites` set, and `invites:ROOM` of those into a room; `owner_links` set. `link_ends` zset: TOKEN by
//!   when it expires, or -inf once it is used up.

use std::sync::LazyLock;

use jiff::Timestamp;
use redis::{FromRedisValue, Script};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::accounts::session_argument;
use super::records::{Fields, base64, link_fields, link_record, ms, session_record, token};
use super::{Backend, key};
use crate::error::Error;
use crate::protocol::{RoomId, UserId};
use crate::store::{Answer, Link, NewSession, SessionRecord, Sessions, TokenHash, Which};

static SCRIPT: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("people.lua"), include_str!("sessions.lua"))));

/// So many are ended at once: Redis does nothing else meanwhile.
const SPAN: usize = 500;

impl Sessions for Backend {
    fn add_session(&self, user: UserId, session: NewSession) -> Answer<'_, ()> {
        let new = json!({ "user": user, "session": session_argument(&session) });
        Box::pin(async {
            let added: bool = self.change_sessions("add_session", new).await?;
            if added { Ok(()) } else { Err(Error::NoUser) }
        })
    }

    fn session(&self, token: TokenHash) -> Answer<'_, Option<SessionRecord>> {
        Box::pin(async move {
            let asked = json!({ "token": base64(&token) });
            let found: Option<(Fields, Fields)> = self.read_sessions("session", asked).await?;
            found.map(|(session, user)| session_record(&session, &user)).transpose()
        })
    }

    fn touch_session(&self, token: TokenHash, seen: Timestamp) -> Answer<'_, ()> {
        self.change_sessions("touch_session", json!({ "token": base64(&token), "seen": ms(seen) }))
    }

    fn sessions(&self, user: UserId, programs: bool) -> Answer<'_, Vec<SessionRecord>> {
        Box::pin(async move {
            let asked = json!({ "user": user, "programs": programs });
            let found: Vec<(Fields, Fields)> = self.read_sessions("sessions", asked).await?;
            let found = found.iter().map(|(session, user)| session_record(session, user));
            let mut sessions = found.collect::<Result<Vec<_>, _>>()?;
            sessions.sort_unstable_by_key(|record| std::cmp::Reverse((record.session.at, record.session.id)));
            Ok(sessions)
        })
    }

    fn end_sessions(&self, user: UserId, which: Which) -> Answer<'_, Vec<TokenHash>> {
        let which = match which {
            Which::One(id) => json!({ "user": user, "one": id }),
            Which::OthersThan(token) => json!({ "user": user, "other_than": base64(&token) }),
            Which::OfPeople => json!({ "user": user }),
            Which::All => json!({ "user": user, "all": true }),
        };
        Box::pin(async {
            let ended: Vec<String> = self.change_sessions("end_sessions", which).await?;
            ended.iter().map(|ended| token(ended)).collect()
        })
    }

    fn expire_sessions(&self, before: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            let over = json!({ "before": ms(before), "now": ms(Timestamp::now()), "span": SPAN.to_string() });
            while self.change_sessions("expire", over.clone()).await? {}
            Ok(())
        })
    }

    fn add_link(&self, link: Link) -> Answer<'_, ()> {
        self.change_sessions("add_link", json!({ "token": base64(&link.token), "fields": link_fields(&link) }))
    }

    fn link(&self, token: TokenHash, now: Timestamp) -> Answer<'_, Option<Link>> {
        Box::pin(async move {
            let asked = json!({ "token": base64(&token), "now": ms(now) });
            let found: Option<Fields> = self.read_sessions("link", asked).await?;
            found.map(|link| link_record(&link)).transpose()
        })
    }

    fn use_link(&self, token: TokenHash, now: Timestamp) -> Answer<'_, Link> {
        // The link is used whether or not somebody waits to hear of it.
        let used = self.change_sessions("use_link", json!({ "token": base64(&token), "now": ms(now) }));
        Box::pin(async {
            let used: Option<Fields> = used.await?;
            link_record(&used.ok_or(Error::BadLink)?)
        })
    }

    fn invites<'a>(&'a self, room: Option<&'a RoomId>, now: Timestamp) -> Answer<'a, Vec<Link>> {
        Box::pin(async move {
            let asked = json!({ "room": room, "now": ms(now) });
            let found: Vec<Fields> = self.read_sessions("invites", asked).await?;
            let mut links = found.iter().map(link_record).collect::<Result<Vec<_>, _>>()?;
            links.sort_unstable_by_key(|link| std::cmp::Reverse((link.made, link.id)));
            Ok(links)
        })
    }

    fn revoke_link(&self, id: Uuid) -> Answer<'_, bool> {
        self.change_sessions("revoke_link", json!({ "id": id }))
    }
}

impl Backend {
    fn read_sessions<T: FromRedisValue + Send + 'static>(&self, what: &'static str, asked: Json) -> Answer<'static, T> {
        self.link.read(move |mut redis| async move {
            SCRIPT.key(key("")).arg(what).arg(asked.to_string()).invoke_async(&mut redis).await
        })
    }

    fn change_sessions<T: FromRedisValue + Send + 'static>(
        &self,
        what: &'static str,
        change: Json,
    ) -> Answer<'static, T> {
        self.link.change(move |mut redis| async move {
            SCRIPT.key(key("")).arg(what).arg(change.to_string()).invoke_async(&mut redis).await
        })
    }
}
