//! What a hash of Redis says, in our words: times are milliseconds, tokens Base64, flags 0 and 1, and what is absent
//! has no field. It must not know where a hash lies, or who asks for it.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use redis::{FromRedisValue, ParsingError, Value};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::protocol::{Author, Scope, UserId};
use crate::store::{Link, LinkKind, NewSession, SessionRecord, TokenHash, UserRecord};

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Fields(HashMap<String, String>);

impl Fields {
    pub fn with(mut self, field: &str, value: impl fmt::Display) -> Self {
        self.0.insert(field.to_owned(), value.to_string());
        self
    }

    pub fn with_some(self, field: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(field, value),
            None => self,
        }
    }

    pub fn with_author(self, field: &str, author: &Author) -> Self {
        self.with(field, author.id).with(&format!("{field}_name"), &author.name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    pub fn some(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }

    pub fn text(&self, field: &str) -> Result<&str> {
        self.some(field).ok_or_else(|| unreadable(field, &"it is missing"))
    }

    pub fn parse<T: FromStr<Err: fmt::Display>>(&self, field: &str) -> Result<T> {
        self.text(field)?.parse().map_err(|fault| unreadable(field, &fault))
    }

    pub fn parse_some<T: FromStr<Err: fmt::Display>>(&self, field: &str) -> Result<Option<T>> {
        self.some(field).map(|_| self.parse(field)).transpose()
    }

    pub fn time(&self, field: &str) -> Result<Timestamp> {
        time(self.text(field)?)
    }

    pub fn some_time(&self, field: &str) -> Result<Option<Timestamp>> {
        self.some(field).map(time).transpose()
    }

    pub fn flag(&self, field: &str) -> bool {
        self.some(field) == Some("1")
    }

    /// The fields `field` and `field_name`.
    pub fn author(&self, field: &str) -> Result<Author> {
        let name = self.text(&format!("{field}_name"))?;
        Ok(Author { id: self.parse(field)?, name: name.into() })
    }
}

impl FromRedisValue for Fields {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        HashMap::from_redis_value(value).map(Self)
    }
}

pub(super) fn user_fields(user: &UserRecord) -> Fields {
    // The picture's number is counted up in its place.
    let UserRecord { name, folded, skeleton, email, email_verified, role, muted_until, banned_until, .. } = user;
    Fields::default()
        .with("name", name)
        .with("folded", folded)
        .with("skeleton", skeleton)
        .with_some("email", email.as_ref())
        .with("email_verified", u8::from(*email_verified))
        .with("role", role.as_str())
        .with_some("muted_until", muted_until.map(ms))
        .with_some("banned_until", banned_until.map(ms))
}

pub(super) fn user_record(fields: &Fields) -> Result<UserRecord> {
    Ok(UserRecord {
        id: fields.parse("id")?,
        name: fields.text("name")?.into(),
        folded: fields.text("folded")?.to_owned(),
        skeleton: fields.text("skeleton")?.to_owned(),
        email: fields.some("email").map(str::to_owned),
        email_verified: fields.flag("email_verified"),
        role: fields.parse("role")?,
        muted_until: fields.some_time("muted_until")?,
        banned_until: fields.some_time("banned_until")?,
        picture: fields.parse_some("picture")?.unwrap_or_default(),
    })
}

pub(super) fn session_fields(session: &NewSession) -> Fields {
    let NewSession { id, label, address, at, scopes, .. } = session;
    let scopes = scopes.as_ref().map(|scopes| {
        let words: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
        words.join(" ")
    });
    Fields::default()
        .with("id", id)
        .with("label", label)
        .with("address", address)
        .with("at", ms(*at))
        .with("seen", ms(*at))
        .with_some("scopes", scopes)
}

pub(super) fn session_record(session: &Fields, user: &Fields) -> Result<SessionRecord> {
    let seen = session.time("seen")?;
    let session = NewSession {
        token: token(session.text("token")?)?,
        id: session.parse("id")?,
        label: session.text("label")?.to_owned(),
        address: session.text("address")?.to_owned(),
        at: session.time("at")?,
        // A word of a later version is none that this one gives a right by.
        scopes: session
            .some("scopes")
            .map(|words| words.split(' ').filter_map(|word| word.parse::<Scope>().ok()).collect()),
    };
    Ok(SessionRecord { user: user_record(user)?, session, seen })
}

pub(super) fn link_fields(link: &Link) -> Fields {
    let Link { id, kind, by, made, expires, used, max_uses, .. } = link;
    let fields = Fields::default()
        .with("id", id)
        .with("made", ms(*made))
        .with_some("expires", expires.map(ms))
        .with("used", used)
        .with_some("max_uses", *max_uses);
    let fields = match kind {
        LinkKind::Owner => fields.with("kind", "owner"),
        LinkKind::Invite { role, room } => {
            fields.with("kind", "invite").with("role", role.as_str()).with_some("room", room.as_ref())
        }
        LinkKind::Reset { user, mailed_to } => {
            fields.with("kind", "reset").with("user", user).with_some("mailed_to", mailed_to.as_ref())
        }
    };
    match by {
        Some(by) => fields.with_author("by", by),
        None => fields,
    }
}

pub(super) fn link_record(fields: &Fields) -> Result<Link> {
    let kind = match fields.text("kind")? {
        "owner" => LinkKind::Owner,
        "reset" => {
            LinkKind::Reset { user: fields.parse("user")?, mailed_to: fields.some("mailed_to").map(str::to_owned) }
        }
        _ => LinkKind::Invite { role: fields.parse("role")?, room: fields.some("room").map(Into::into) },
    };
    Ok(Link {
        id: fields.parse("id")?,
        token: token(fields.text("token")?)?,
        kind,
        by: fields.some("by").map(|_| fields.author("by")).transpose()?,
        made: fields.time("made")?,
        expires: fields.some_time("expires")?,
        used: fields.parse("used")?,
        max_uses: fields.parse_some("max_uses")?,
    })
}

pub(super) fn base64(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn bytes(text: &str) -> Result<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|fault| unreadable("bytes in Base64", &fault))
}

pub(super) fn token(text: &str) -> Result<TokenHash> {
    bytes(text)?.try_into().map_err(|_| unreadable("token", &"expected 32 bytes"))
}

pub(super) fn user_id(text: &str) -> Result<UserId> {
    text.parse().map_err(|fault| unreadable("user's id", &fault))
}

pub(super) fn ms(time: Timestamp) -> String {
    time.as_millisecond().to_string()
}

pub(super) fn time(text: &str) -> Result<Timestamp> {
    let ms = text.parse().map_err(|fault| unreadable("time", &fault))?;
    Timestamp::from_millisecond(ms).map_err(|fault| unreadable("time", &fault))
}

fn unreadable(what: &str, fault: &dyn fmt::Display) -> Error {
    tracing::error!(what, %fault, "Redis holds what this version cannot read");
    Error::Internal
}
