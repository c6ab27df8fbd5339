//! What names a place in a conversation: rooms, users, seqs, epochs, cursors.
//! It must not know what is stored or sent under these names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// An event's place in its room's log: 1, 2, 3 … without gaps. 0 is the place before the first event.
pub type Seq = u64;

/// A room's id: for public rooms a slug made from the name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoomId(Arc<str>);

impl RoomId {
    /// The room that everyone has joined.
    pub fn lobby() -> Self {
        Self("lobby".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RoomId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub Uuid);

impl UserId {
    pub fn random() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for UserId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// One life of a log, 16 hexadecimal digits on the wire. It changes when a log was restored or rewritten, so that
/// a cursor into the old life is refused instead of misread. No log has the epoch 0: it stands for "not ours".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    /// Any string is read: one that is no epoch of ours becomes 0, which the room answers with `reset`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Ok(Self(u64::from_str_radix(&text, 16).ok().filter(|_| text.len() == 16).unwrap_or(0)))
    }
}

/// The last event that a reader has processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub epoch: Epoch,
    pub seq: Seq,
}

/// Where a room's log stands: its events are `oldest..=head`. An empty log has head = oldest − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub epoch: Epoch,
    pub oldest: Seq,
    pub head: Seq,
}

impl Position {
    /// The cursor of a reader that has processed everything.
    pub fn head_cursor(&self) -> Cursor {
        Cursor { epoch: self.epoch, seq: self.head }
    }

    /// Whether reading on after `cursor` yields every event that its reader has not seen.
    pub fn honours(&self, cursor: Cursor) -> bool {
        cursor.epoch == self.epoch && cursor.seq <= self.head && cursor.seq + 1 >= self.oldest
    }
}
