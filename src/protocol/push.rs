//! What the server says: `hello`, replies, signals, and the numbers with which it closes.
//! Events are not here: they have their own bytes (event.rs).

use jiff::Timestamp;
use serde::Serialize;

use super::{Author, Epoch, Event, MemberRole, Position, Ref, Role, RoomId, RoomKind, Seq, UserId};

/// All pushes but events.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Push<'a> {
    Hello(Hello<'a>),
    Presence(Presence<'a>),
    Typing { room: &'a RoomId, users: &'a [Author] },
    Room(RoomState<'a>),
    User { id: UserId, name: &'a str, picture: String },
    Reset { room: &'a RoomId, epoch: Epoch, oldest: Seq, head: Seq },
    Place(PlaceLook<'a>),
    Me { role: Role, muted_until: Option<Timestamp> },
    Store { away: bool },
}

impl Push<'_> {
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a push always serialises")
    }
}

/// What the place is called and how it looks.
#[derive(Serialize)]
pub struct PlaceLook<'a> {
    pub name: &'a str,
    pub welcome: &'a str,
    pub accent: Option<&'a str>,
}

#[derive(Serialize)]
pub struct Hello<'a> {
    pub protocol: u32,
    pub node: &'a str,
    pub user: Me<'a>,
    pub rooms: Vec<RoomState<'a>>,
    pub heartbeat_ms: u64,
    pub limits: Limits,
}

/// The user whom this connection speaks for.
#[derive(Serialize)]
pub struct Me<'a> {
    pub id: UserId,
    pub name: &'a str,
    pub guest: bool,
    pub role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    pub text_bytes: usize,
    pub frame_bytes: usize,
}

/// A joined room as one user left it: an entry of `hello`, and the push `room`.
#[derive(Serialize)]
pub struct RoomState<'a> {
    pub room: &'a RoomId,
    pub name: &'a str,
    pub kind: RoomKind,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub topic: &'a str,
    /// What the user is in it.
    pub role: MemberRole,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub announcement: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
    /// Of a direct room, the others.
    #[serde(skip_serializing_if = "<[Author]>::is_empty")]
    pub with: &'a [Author],
    pub epoch: Epoch,
    pub head: Seq,
    pub read: Seq,
    pub unread: u32,
    pub mentions: u32,
    /// The right to this room ended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// Who is online in a room: whole (`online`), as a change (`joined`, `left`), or of a large room the count alone.
#[derive(Serialize)]
pub struct Presence<'a> {
    pub room: &'a RoomId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<Vec<Author>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<Author>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<UserId>,
    pub count: usize,
}

/// A reply that it was done. `null` stands for a ref that could not be read.
pub fn reply_ok(reference: Option<&Ref>, ok: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Reply<'a, T> {
        r#type: &'static str,
        r#ref: Option<&'a Ref>,
        ok: &'a T,
    }
    serde_json::to_string(&Reply { r#type: "reply", r#ref: reference, ok }).expect("a reply always serialises")
}

/// A reply that it was not done, and why.
pub fn reply_error(reference: Option<&Ref>, error: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Reply<'a, T> {
        r#type: &'static str,
        r#ref: Option<&'a Ref>,
        error: &'a T,
    }
    serde_json::to_string(&Reply { r#type: "reply", r#ref: reference, error }).expect("a reply always serialises")
}

/// A page of history, as the socket's reply and as REST's answer hold it.
pub fn history_json(position: Position, messages: &[Event], more: bool) -> String {
    let Position { epoch, oldest, head } = position;
    let mut json = format!(r#"{{"epoch":"{epoch}","head":{head},"oldest":{oldest},"messages":["#);
    for (index, message) in messages.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        message.history_json(&mut json);
    }
    json.push_str(if more { r#"],"more":true}"# } else { r#"],"more":false}"# });
    json
}

/// Why the server closes a connection; the number tells the client whether to come back (RFC 6455 §7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// The node drains: come back now.
    GoingAway = 1001,
    /// A broken frame.
    Protocol = 1002,
    /// A binary frame.
    Unsupported = 1003,
    /// Invalid UTF-8.
    InvalidText = 1007,
    /// Not allowed: do not come back.
    Policy = 1008,
    /// A frame or a message over the limit.
    TooBig = 1009,
    /// The session ended: sign in.
    SessionEnded = 4001,
    /// Silent for two heartbeats, or not reading: come back with your cursor.
    Silent = 4008,
    /// Too many: come back later.
    TooMany = 4029,
}

impl CloseCode {
    pub const ALL: [Self; 9] = [
        Self::GoingAway,
        Self::Protocol,
        Self::Unsupported,
        Self::InvalidText,
        Self::Policy,
        Self::TooBig,
        Self::SessionEnded,
        Self::Silent,
        Self::TooMany,
    ];
}
