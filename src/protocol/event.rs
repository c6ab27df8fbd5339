//! One event of a room's log, and its JSON: written by hand, since every delivery of every reader shares these bytes
//! and the content was already turned into JSON when it was posted.

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{MemberRole, RoomId, Seq, UserId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Message,
    Edit,
    Delete,
    Reaction,
    Pin,
    Topic,
    Member,
}

impl Kind {
    pub const ALL: [Self; 7] =
        [Self::Message, Self::Edit, Self::Delete, Self::Reaction, Self::Pin, Self::Topic, Self::Member];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Edit => "edit",
            Self::Delete => "delete",
            Self::Reaction => "reaction",
            Self::Pin => "pin",
            Self::Topic => "topic",
            Self::Member => "member",
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| format!("no kind of event: {word:?}"))
    }
}

/// Who wrote an event, named as they were then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    pub id: UserId,
    pub name: Arc<str>,
}

/// What an event says: the members of a JSON object without its braces, `"text":"hi"`, never empty.
/// `rendering` is the renderer's version behind its `html`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub json: Box<str>,
    pub rendering: u32,
}

#[derive(Serialize, Deserialize)]
struct MessageFields<'a> {
    #[serde(borrow)]
    text: std::borrow::Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<UserId>,
}

/// What a `member` event tells: of its author, of the user whom it names, or of the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum MemberChange {
    Joined,
    Left,
    Added {
        user: Author,
    },
    Removed {
        user: Author,
    },
    Role {
        user: Author,
        role: MemberRole,
    },
    /// Anyone may come in from here on.
    Public,
    /// From here on the room is its members' alone.
    Private,
}

/// What is changed of a room, and stands in its `topic` event; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<Arc<str>>,
    /// Only moderators write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announcement: Option<bool>,
    /// Nobody writes any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Seconds between two messages of one user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_seconds: Option<u32>,
    /// Guests may be let into a private room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guests: Option<bool>,
}

impl Content {
    pub fn message(text: &str, html: Option<&str>, mentions: &[UserId], rendering: u32) -> Self {
        let fields = MessageFields { text: text.into(), html: html.map(Into::into), mentions: mentions.to_vec() };
        Self { json: without_braces(&fields), rendering }
    }

    pub fn member(change: &MemberChange) -> Self {
        Self { json: without_braces(change), rendering: 0 }
    }

    /// Of a `topic` event.
    pub fn room(change: &RoomChange) -> Self {
        Self { json: without_braces(change), rendering: 0 }
    }

    /// Of the `topic` event that is a room's last.
    pub fn room_deleted() -> Self {
        Self { json: r#""deleted":true"#.into(), rendering: 0 }
    }

    /// Of a `delete` event; with `all_of` it empties all that this user wrote before it.
    pub fn delete(all_of: Option<UserId>) -> Self {
        let json = match all_of {
            Some(user) => format!(r#""all_of":"{user}""#),
            // Never empty: an event without content reads as one that was redacted.
            None => r#""deleted":true"#.to_owned(),
        };
        Self { json: json.into(), rendering: 0 }
    }

    /// The text and the mentions of a message; none where this is no message's content.
    pub fn as_message(&self) -> Option<(String, Vec<UserId>)> {
        let object = format!("{{{}}}", self.json);
        let fields: MessageFields = serde_json::from_str(&object).ok()?;
        Some((fields.text.into_owned(), fields.mentions))
    }
}

fn without_braces(fields: &impl Serialize) -> Box<str> {
    let object = serde_json::to_string(fields).expect("strings and lists of them always serialise");
    object[1..object.len() - 1].into()
}

/// One entry of a room's log. Nothing changes it but redaction, which takes its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Given by the log; 0 before that.
    pub seq: Seq,
    pub id: Uuid,
    pub kind: Kind,
    pub at: Timestamp,
    pub author: Author,
    pub txn_id: Option<Box<str>>,
    /// The event that this one changes.
    pub target: Option<Seq>,
    /// None once redacted.
    pub content: Option<Content>,
}

impl Event {
    /// An event that is about to be appended.
    pub fn new(author: Author, kind: Kind, content: Content) -> Self {
        let (id, at) = (Uuid::now_v7(), Timestamp::now());
        Self { seq: 0, id, kind, at, author, txn_id: None, target: None, content: Some(content) }
    }

    /// Appends the push `event` to `out`: the bytes that every reader of the room gets.
    pub fn push_json(&self, room: &RoomId, out: &mut String) {
        out.push_str(r#"{"type":"event","room":"#);
        push_string(room.as_str(), out);
        out.push(',');
        self.members_json(out);
        out.push('}');
    }

    /// Appends the event as an object of a `history` reply: the push without `type` and `room`.
    pub fn history_json(&self, out: &mut String) {
        out.push('{');
        self.members_json(out);
        out.push('}');
    }

    fn members_json(&self, out: &mut String) {
        let Self { seq, id, kind, at, author, .. } = self;
        let kind = kind.as_str();
        write!(
            out,
            r#""seq":{seq},"id":"{id}","kind":"{kind}","at":"{at:.3}","author":{{"id":"{}","name":"#,
            author.id
        )
        .expect("writing to a string cannot fail");
        push_string(&author.name, out);
        out.push('}');
        if let Some(target) = self.target {
            write!(out, r#","target":{target}"#).expect("writing to a string cannot fail");
        }
        let Some(content) = &self.content else {
            out.push_str(r#","redacted":true"#);
            return;
        };
        if let Some(txn_id) = &self.txn_id {
            out.push_str(r#","txn_id":"#);
            push_string(txn_id, out);
        }
        out.push(',');
        out.push_str(&content.json);
    }
}

/// Appends `text` as a JSON string.
fn push_string(text: &str, out: &mut String) {
    let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text).expect("a string always serialises"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Event {
        Event {
            seq: 58,
            id: Uuid::nil(),
            kind: Kind::Message,
            at: "2026-11-20T09:38:50.512Z".parse().unwrap(),
            author: Author { id: UserId(Uuid::nil()), name: "b\"ob".into() },
            txn_id: Some("c0ffee-1".into()),
            target: None,
            content: Some(Content::message(text, None, &[], 1)),
        }
    }

    #[test]
    fn an_event_is_the_json_that_the_protocol_shows() {
        let mut json = String::new();
        message("hello\n\"there\"").push_json(&"lobby".into(), &mut json);
        let nil = Uuid::nil().to_string();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&json).unwrap(),
            serde_json::json!({"type": "event", "room": "lobby", "seq": 58, "id": nil, "kind": "message",
                "at": "2026-11-20T09:38:50.512Z", "author": {"id": nil, "name": "b\"ob"}, "txn_id": "c0ffee-1",
                "text": "hello\n\"there\""})
        );
    }

    #[test]
    fn a_redacted_event_keeps_its_place_and_nothing_else() {
        let mut json = String::new();
        Event { content: None, ..message("secret") }.history_json(&mut json);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["redacted"], true);
        assert!(value.get("text").is_none() && value.get("txn_id").is_none() && value["seq"] == 58);
    }

    #[test]
    fn a_message_can_be_read_back_from_its_content() {
        let ann = UserId::random();
        let content = Content::message("hi @ann", Some("<p>hi</p>"), &[ann], 1);
        assert_eq!(content.as_message(), Some(("hi @ann".to_owned(), vec![ann])));
    }
}
