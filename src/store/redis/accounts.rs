//! People: who they are, how they prove it, their pictures. The changes are made by accounts.lua, each as a whole;
//! what a room knows of its members lies elsewhere and is changed beside it, in an order that a second try completes.
//!
//! Keys, all under {chinwag}, where USER is a user's id and FOLDED a name as it is compared:
//! - `user:USER` hash: `name folded skeleton email email_verified role muted_until banned_until picture`, and
//!   `joining`, "SEQ ROOM", until their first membership stands in the room.
//! - `name:FOLDED` hash: user, skeleton of an account's, `reserved_until` (ms) of one that was given up. `names`
//!   zset, score 0: the names in their order but for those. `names:USER` set: the user's, both kinds. `looks` hash:
//!   skeleton of an account's name → user. `reserved` zset: FOLDED by when its reservation ends.
//! - `email:ADDRESS` set, in small ASCII letters: the accounts whose e-mail it is, verified or not.
//! - `secrets:USER` hash: `password totp step` (the last one taken). `codes:USER` set: recovery codes.
//! - `subjects:ISSUER` hash: subject → user. `identities:USER` hash: issuer → subject.
//! - `pictures:USER` hash: `0:kind` `0:at` `0:bytes`, and so on for each source.
//! - `joined:USER` set: rooms whose members may have the user among them.

use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisResult, Script, Value};
use serde_json::{Value as Json, json};

use super::records::{Fields, base64, bytes, ms, session_fields, time, token, user_fields, user_id, user_record};
use super::{Backend, key, room_key};
use crate::error::{Error, Result};
use crate::protocol::{Role, RoomId, UserId};
use crate::store::{
    Accounts, Answer, NewSession, NewUser, Picture, PictureSource, Secrets, UsedCode, UserChange, UserRecord,
};

static SCRIPT: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("people.lua"), include_str!("accounts.lua"))));
static MEMBERSHIP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("membership.lua")));

/// So many names are looked through at once: Redis does nothing else meanwhile.
const SPAN: usize = 500;

impl Accounts for Backend {
    fn add_user(&self, user: NewUser, expired_before: Timestamp) -> Answer<'_, ()> {
        let added = self.link.change(move |redis| add_user(redis, user, expired_before));
        Box::pin(async { added.await? })
    }

    fn change_user(&self, user: UserId, change: UserChange, expired_before: Timestamp) -> Answer<'_, UserRecord> {
        let arguments = change_arguments(user, change, expired_before);
        Box::pin(async {
            match self.change_people("change_user", arguments).await? {
                Value::Nil => Err(Error::NoUser),
                Value::BulkString(name) => Err(Error::NameTaken(String::from_utf8_lossy(&name).into_owned())),
                fields => user_record(&Fields::from_redis_value(fields).map_err(|_| Error::Internal)?),
            }
        })
    }

    fn user(&self, id: UserId) -> Answer<'_, Option<UserRecord>> {
        Box::pin(async move {
            let hash = key(&format!("user:{id}"));
            let read = |mut redis| async move { redis::cmd("HGETALL").arg(hash).query_async(&mut redis).await };
            let fields: Fields = self.link.read(read).await?;
            fields.some("name").map(|_| user_record(&fields.clone().with("id", id))).transpose()
        })
    }

    fn users<'a>(&'a self, query: &'a str, after: Option<UserId>, limit: usize) -> Answer<'a, Vec<UserRecord>> {
        Box::pin(self.list_users(query.to_ascii_lowercase(), after, limit))
    }

    fn holders(&self, folded: Vec<String>, expired_before: Timestamp) -> Answer<'_, HashMap<String, UserId>> {
        Box::pin(async move {
            let (expired_before, now) = (ms(expired_before), ms(Timestamp::now()));
            let asked = json!({ "folded": folded, "expired_before": expired_before, "now": now });
            let holders: Vec<Option<String>> = self.read_people("holders", asked).await?;
            let held = folded.into_iter().zip(holders).filter_map(|(name, holder)| Some((name, holder?)));
            held.map(|(name, holder)| Ok((name, user_id(&holder)?))).collect()
        })
    }

    fn account<'a>(&'a self, folded: &'a str, email: &'a str) -> Answer<'a, Option<(UserRecord, Secrets)>> {
        let asked = json!({ "folded": folded, "email": email });
        Box::pin(async {
            let found: Option<(Fields, Fields, Vec<String>)> = self.read_people("account", asked).await?;
            found.map(|(user, known, codes)| Ok((user_record(&user)?, secrets(&known, &codes)?))).transpose()
        })
    }

    fn secrets(&self, user: UserId) -> Answer<'_, Secrets> {
        Box::pin(async move {
            let asked = json!({ "id": user });
            let (_, known, codes): (Fields, Fields, Vec<String>) = self.read_people("secrets", asked).await?;
            secrets(&known, &codes)
        })
    }

    fn set_secrets(&self, user: UserId, secrets: Secrets) -> Answer<'_, ()> {
        self.change_people("set_secrets", json!({ "id": user, "secrets": secrets_argument(&secrets) }))
    }

    fn use_code(&self, user: UserId, code: UsedCode) -> Answer<'_, bool> {
        match code {
            UsedCode::Step(step) => self.change_people("use_step", json!({ "id": user, "step": step.to_string() })),
            UsedCode::Recovery(code) => {
                let codes = key(&format!("codes:{user}"));
                self.link.change(move |mut redis| async move {
                    redis::cmd("SREM").arg(codes).arg(base64(&code)).query_async(&mut redis).await
                })
            }
        }
    }

    fn identity<'a>(&'a self, issuer: &'a str, subject: &'a str) -> Answer<'a, Option<UserId>> {
        let (subjects, subject) = (key(&format!("subjects:{issuer}")), subject.to_owned());
        Box::pin(async {
            let read =
                |mut redis| async move { redis::cmd("HGET").arg(subjects).arg(subject).query_async(&mut redis).await };
            let user: Option<String> = self.link.read(read).await?;
            user.map(|user| user_id(&user)).transpose()
        })
    }

    fn set_identity<'a>(&'a self, user: UserId, issuer: &'a str, subject: Option<&'a str>) -> Answer<'a, bool> {
        self.change_people("set_identity", json!({ "id": user, "issuer": issuer, "subject": subject }))
    }

    fn identities(&self, user: UserId) -> Answer<'_, Vec<String>> {
        Box::pin(async move {
            let identities = key(&format!("identities:{user}"));
            let read = |mut redis| async move { redis::cmd("HKEYS").arg(identities).query_async(&mut redis).await };
            let mut issuers: Vec<String> = self.link.read(read).await?;
            issuers.sort_unstable();
            Ok(issuers)
        })
    }

    fn delete_user(&self, user: UserId) -> Answer<'_, bool> {
        self.link.change(move |redis| delete_user(redis, user))
    }

    fn picture(&self, user: UserId) -> Answer<'_, Option<Picture>> {
        Box::pin(async move {
            let found: Option<(u8, String, String, Vec<u8>)> =
                self.read_people("picture", json!({ "id": user })).await?;
            let picture = found.map(|(source, kind, at, bytes)| {
                let source = match source {
                    0 => PictureSource::Upload,
                    1 => PictureSource::Provider,
                    _ => PictureSource::Gravatar,
                };
                Ok(Picture { source, kind, bytes, at: time(&at)? })
            });
            picture.transpose()
        })
    }

    fn set_picture(&self, user: UserId, source: PictureSource, picture: Option<Picture>) -> Answer<'_, ()> {
        let source = (source as u8).to_string();
        let (kind, at) = picture.as_ref().map(|picture| (&*picture.kind, ms(picture.at))).unzip();
        let arguments = json!({ "id": user, "source": source, "kind": kind, "at": at }).to_string();
        let bytes = picture.map(|picture| picture.bytes).unwrap_or_default();
        self.link.change(|mut redis| async move {
            let mut call = SCRIPT.key(key(""));
            call.arg("set_picture").arg(arguments).arg(bytes).invoke_async(&mut redis).await
        })
    }
}

impl Backend {
    fn read_people<T: FromRedisValue + Send + 'static>(&self, what: &'static str, asked: Json) -> Answer<'static, T> {
        self.link.read(move |redis| call(redis, what, asked))
    }

    fn change_people<T: FromRedisValue + Send + 'static>(
        &self,
        what: &'static str,
        change: Json,
    ) -> Answer<'static, T> {
        self.link.change(move |redis| call(redis, what, change))
    }

    async fn list_users(&self, query: String, after: Option<UserId>, limit: usize) -> Result<Vec<UserRecord>> {
        let mut after = match after {
            Some(after) => self.user(after).await?.map(|user| user.folded),
            None => None,
        };
        let mut users = Vec::new();
        while users.len() < limit {
            let left = (limit - users.len()).min(SPAN).to_string();
            let asked = json!({ "query": query, "after": after, "limit": left, "span": SPAN.to_string() });
            let (last, found): (Option<String>, Vec<Fields>) = self.read_people("users", asked).await?;
            for fields in found {
                users.push(user_record(&fields)?);
            }
            if last.is_none() {
                break;
            }
            after = last;
        }
        Ok(users)
    }
}

async fn call<T: FromRedisValue>(mut redis: MultiplexedConnection, what: &str, arguments: Json) -> RedisResult<T> {
    SCRIPT.key(key("")).arg(what).arg(arguments.to_string()).invoke_async(&mut redis).await
}

/// All in one go, whether or not somebody waits for it: who was added is to be a member, too.
async fn add_user(
    mut redis: MultiplexedConnection,
    new: NewUser,
    expired_before: Timestamp,
) -> RedisResult<Result<()>> {
    let NewUser { record, session, secrets, joins, read } = new;
    let user = key(&format!("user:{}", record.id));
    let mut there = Pipeline::new();
    there.exists(&user).exists(room_key(&joins, "room"));
    let there: (bool, bool) = there.query_async(&mut redis).await?;
    if there == (false, false) {
        return Ok(Err(Error::NoRoom(joins.to_string())));
    }
    let session = session.map(|session| session_argument(&session));
    let secrets = (secrets != Secrets::default()).then(|| secrets_argument(&secrets));
    let new = json!({
        "id": record.id, "record": user_fields(&record), "session": session, "secrets": secrets,
        "room": joins, "read": read.to_string(), "expired_before": ms(expired_before), "now": ms(Timestamp::now()),
    });
    let joining: Option<String> = call(redis.clone(), "add_user", new).await?;
    let Some(joining) = joining else { return Ok(Err(Error::NameTaken(record.name.to_string()))) };
    // Also of one who was added by an earlier try that broke off.
    if let Some((read, room)) = joining.split_once(' ') {
        set_membership(&mut redis, room, record.id, Some(read)).await?;
        redis::cmd("HDEL").arg(user).arg("joining").exec_async(&mut redis).await?;
    }
    Ok(Ok(()))
}

/// The memberships go first, so that a second try finds what the first has left.
async fn delete_user(mut redis: MultiplexedConnection, user: UserId) -> RedisResult<bool> {
    let joined = key(&format!("joined:{user}"));
    let rooms: Vec<String> = redis::cmd("SMEMBERS").arg(joined).query_async(&mut redis).await?;
    for room in &rooms {
        set_membership(&mut redis, room, user, None).await?;
    }
    let (there, joined): (bool, Vec<String>) = call(redis.clone(), "delete_user", json!({ "id": user })).await?;
    // Where they have become a member meanwhile.
    for room in joined.iter().filter(|room| !rooms.contains(room)) {
        set_membership(&mut redis, room, user, None).await?;
    }
    Ok(there)
}

/// Makes the user a member who has read up to there, or no member.
async fn set_membership(
    redis: &mut MultiplexedConnection,
    room: &str,
    user: UserId,
    read: Option<&str>,
) -> RedisResult<()> {
    let room = RoomId::from(room);
    let mut call = MEMBERSHIP.prepare_invoke();
    for what in ["room", "members", "roles", "reads"] {
        call.key(room_key(&room, what));
    }
    call.arg(user.to_string());
    if let Some(read) = read {
        call.arg(read);
    }
    call.invoke_async(redis).await
}

fn change_arguments(user: UserId, change: UserChange, expired_before: Timestamp) -> Json {
    let UserChange { name, email, role, muted_until, banned_until } = change;
    let (mut set, mut unset) = (Fields::default(), Vec::new());
    let reserved_until = name.as_ref().and_then(|name| name.reserved_until).map(ms);
    if let Some(name) = name {
        set = set.with("name", name.name).with("folded", name.folded).with("skeleton", name.skeleton);
    }
    let (address, verified) = match email {
        Some(Some((address, verified))) => (Some(Some(address)), Some(verified)),
        Some(None) => (Some(None), Some(false)),
        None => (None, None),
    };
    set = set.with_some("email_verified", verified.map(u8::from)).with_some("role", role.map(Role::as_str));
    let until = |time: Option<Option<Timestamp>>| time.map(|time| time.map(ms));
    let rest = [("email", address), ("muted_until", until(muted_until)), ("banned_until", until(banned_until))];
    for (field, value) in rest {
        match value {
            Some(Some(value)) => set = set.with(field, value),
            Some(None) => unset.push(field),
            None => {}
        }
    }
    json!({
        "id": user, "set": set, "unset": unset, "reserved_until": reserved_until,
        "expired_before": ms(expired_before), "now": ms(Timestamp::now()),
    })
}

fn secrets_argument(secrets: &Secrets) -> Json {
    let fields = Fields::default()
        .with_some("password", secrets.password.as_ref())
        .with_some("totp", secrets.totp.as_deref().map(base64));
    let recovery: Vec<_> = secrets.recovery.iter().map(|code| base64(code)).collect();
    json!({ "fields": fields, "recovery": recovery })
}

fn secrets(known: &Fields, codes: &[String]) -> Result<Secrets> {
    let mut recovery = codes.iter().map(|code| token(code)).collect::<Result<Vec<_>>>()?;
    recovery.sort_unstable();
    let totp = known.some("totp").map(bytes).transpose()?;
    Ok(Secrets { password: known.some("password").map(str::to_owned), totp, recovery })
}

/// As people.lua takes it.
pub(super) fn session_argument(session: &NewSession) -> Json {
    json!({ "token": base64(&session.token), "fields": session_fields(session) })
}
