//! Every error that a client may see, and its one code on the wire; and the errors that end the program.
//! What status or close code an error becomes is each door's own matter.

use std::path::PathBuf;

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::protocol::{Fault, Position, RoomId};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command or a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("expected one JSON object in a text frame")]
    Malformed,
    #[error("unknown type {0:?}; docs/protocol.md lists the commands")]
    UnknownType(String),
    /// The ref of a command is no ref; the text says what was expected.
    #[error("{0}")]
    BadRef(String),
    /// A field that is missing or out of bounds; the text names it and says what was expected.
    #[error("{0}")]
    Invalid(String),
    #[error("no room {0:?} that you may read")]
    NoRoom(String),
    #[error("no user of that id")]
    NoUser,
    #[error("there is nothing at this path")]
    NoPath,
    #[error("a room of that name exists already: {0}")]
    Exists(RoomId),
    #[error("{0}")]
    NotAllowed(&'static str),
    #[error("expected at most {limit} bytes of text, found {found}")]
    TooLong { limit: usize, found: usize },
    #[error("expected at most {limit} bytes")]
    TooLarge { limit: usize },
    #[error("expected a picture of at most {megapixels} megapixels")]
    TooManyPixels { megapixels: u64 },
    #[error("expected a picture: PNG, JPEG, GIF or WebP")]
    NotAnImage,
    #[error("too many at once; try again in {retry_after_ms} ms")]
    RateLimited { retry_after_ms: u64 },
    #[error("the cursor does not fit this room's log; start from a fresh page")]
    Reset(Position),
    #[error("unavailable: {0}")]
    Unavailable(&'static str),
    #[error("it may or may not be stored; send the same txn_id again to find out")]
    UnknownOutcome,
    #[error("the name {0:?} is in use; choose another")]
    NameTaken(String),
    #[error("there is no session; make one with POST /api/session")]
    NoSession,
    /// Also where there is no such account: nobody learns which.
    #[error("the name or the password is wrong")]
    BadCredentials,
    #[error("expected the second factor's code, one that was not used yet")]
    SecondFactor,
    #[error("password: {0}")]
    WeakPassword(String),
    #[error("this link is unknown, used up or expired; ask for another")]
    BadLink,
    #[error("you are muted until {0}")]
    Muted(String),
    #[error("you are banned until {0}")]
    Banned(String),
    #[error("this room is in slow mode; write again in {retry_after_ms} ms")]
    SlowMode { retry_after_ms: u64 },
    /// A fault of ours. The log of the server says more; the client is told no details.
    #[error("the server failed at this; its log says why")]
    Internal,
}

impl Error {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownType(_) => "unknown_type",
            Self::BadRef(_) | Self::Invalid(_) => "invalid",
            Self::NoRoom(_) => "no_room",
            Self::NoUser => "no_user",
            Self::NoPath => "not_found",
            Self::Exists(_) => "exists",
            Self::NotAllowed(_) => "not_allowed",
            Self::TooLong { .. } => "too_long",
            Self::TooLarge { .. } | Self::TooManyPixels { .. } => "too_large",
            Self::NotAnImage => "not_an_image",
            Self::RateLimited { .. } => "rate_limited",
            Self::Reset(_) => "reset",
            Self::Unavailable(_) => "unavailable",
            Self::UnknownOutcome => "unknown_outcome",
            Self::NameTaken(_) => "name_taken",
            Self::NoSession => "no_session",
            Self::BadCredentials => "bad_credentials",
            Self::SecondFactor => "second_factor",
            Self::WeakPassword(_) => "weak_password",
            Self::BadLink => "bad_link",
            Self::Muted(_) => "muted",
            Self::Banned(_) => "banned",
            Self::SlowMode { .. } => "slow_mode",
            Self::Internal => "internal",
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed => Self::Malformed,
            Fault::UnknownType(word) => Self::UnknownType(word),
            Fault::Ref(words) => Self::BadRef(words),
            Fault::Invalid(words) => Self::Invalid(words),
        }
    }
}

/// `{"code":"…","message":"…"}`, and what a client needs to go on.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", self.code())?;
        map.serialize_entry("message", &self.to_string())?;
        match self {
            Self::Exists(room) => map.serialize_entry("room", room)?,
            Self::RateLimited { retry_after_ms } | Self::SlowMode { retry_after_ms } => {
                map.serialize_entry("retry_after_ms", retry_after_ms)?;
            }
            Self::Reset(position) => {
                map.serialize_entry("epoch", &position.epoch)?;
                map.serialize_entry("oldest", &position.oldest)?;
                map.serialize_entry("head", &position.head)?;
            }
            _ => {}
        }
        map.end()
    }
}

/// Why the server does not start, or ends: one line for its host, who is told what mends it.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    #[error("cannot listen on {addr}: {source}; choose another address with --addr")]
    Listen { addr: String, source: std::io::Error },
    #[error("cannot use {} as the data directory: {source}; choose another with --data", dir.display())]
    DataDir { dir: PathBuf, source: std::io::Error },
    #[error("no home directory to keep the data in; name a directory with --data")]
    NoDataDir,
    #[error("{} is in use by another chinwag; stop it, or choose another directory with --data", dir.display())]
    Locked { dir: PathBuf },
    #[error("{} was written by a newer chinwag (schema {found}, this one knows {known}); update this one", path.display())]
    NewerSchema { path: PathBuf, found: i64, known: i64 },
    #[error("{} is not a chinwag database; choose another directory with --data", path.display())]
    ForeignDatabase { path: PathBuf },
    #[error("cannot open the database {}: {reason}", path.display())]
    Database { path: PathBuf, reason: String },
    #[error("cannot read {0:?} in --fetch-private; expected HOST or HOST:PORT")]
    FetchPrivate(String),
    #[error("{variable}: expected {expected}")]
    Environment { variable: String, expected: &'static str },
    #[error("cannot read CHINWAG_SMTP_URL; expected smtps://USER:PASSWORD@HOST or smtp://USER:PASSWORD@HOST:PORT")]
    Smtp,
    #[error("cannot read {0:?} in --mail-from; expected an address such as chat@example.org")]
    MailFrom(String),
    #[error("mail needs all three of CHINWAG_SMTP_URL, --mail-from and --public-url; without: {0}")]
    Mail(&'static str),
    #[error(
        "cannot read REDIS_URL; expected redis://USER:PASSWORD@HOST:PORT/DB, rediss:// for TLS, or redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER"
    )]
    RedisUrl,
    #[error("cannot reach the Redis of REDIS_URL: {0}")]
    RedisAway(String),
    #[error("the Redis of REDIS_URL does not let us in: {0}; set user and password in REDIS_URL")]
    RedisPassword(String),
    #[error("the Redis of REDIS_URL is version {0}; expected 7.0 or newer, or a Valkey")]
    RedisVersion(String),
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
    #[error("cannot prepare the lobby: {0}")]
    Lobby(Error),
    #[error("cannot make a link: {0}")]
    OwnerLink(Error),
    #[error("there is no database in {}; name the data directory with --from", dir.display())]
    NothingToCopy { dir: PathBuf },
    #[error("expected the Redis to copy to: --to redis://HOST, or REDIS_URL in the environment")]
    NowhereToCopy,
    #[error("cannot read what is to be copied: {0}")]
    CopyFrom(Error),
    #[error("cannot copy: {0}; run it again, it goes on where it stopped")]
    CopyTo(Error),
    #[error("the Redis holds another chat already; choose an empty one, or another database of it, with --to")]
    OtherChat,
    #[error("{0} is not the same on both sides; empty the Redis and copy again")]
    NotCopied(String),
    #[error("cannot import: {0}")]
    Import(String),
    #[error("the settings of the place cannot be read: {0}; were they written by a newer chinwag?")]
    Settings(String),
}
