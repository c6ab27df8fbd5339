//! What a client may ask for on the socket: one struct a command, read from one JSON object, bounds checked.
//! Whether the asker may have it is not decided here.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Cursor, Seq, UserId};

const TXN_ID_BYTES: usize = 64;
/// 64 characters of at most four bytes.
const ROOM_BYTES: usize = 256;
/// So much of a fault is told; serde's words hold the whole wrong value.
const FAULT_CHARS: usize = 200;
const REF_BYTES: usize = 64;
const HISTORY_LIMIT: usize = 200;
const PRESENT_LIMIT: usize = 200;

/// What the client calls its command, given back with the reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ref {
    Number(i64),
    Text(Box<str>),
}

impl Ref {
    fn is_short(&self) -> bool {
        matches!(self, Self::Number(_)) || matches!(self, Self::Text(text) if text.len() <= REF_BYTES)
    }
}

#[derive(Debug, PartialEq)]
pub enum Command<'a> {
    Create(Create<'a>),
    Subscribe(Subscribe<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Post(Post<'a>),
    History(History<'a>),
    Read(Read<'a>),
    Present(Present<'a>),
    Typing(Typing<'a>),
}

#[derive(Debug, PartialEq, Deserialize)]
pub struct Create<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
}

#[derive(Debug, PartialEq)]
pub struct Subscribe<'a> {
    pub room: Cow<'a, str>,
    pub start: Start,
}

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// This many events before the head.
    Last(u64),
    /// After the last event that the reader has processed.
    Cursor(Cursor),
}

#[derive(Deserialize)]
struct SubscribeFields<'a> {
    #[serde(borrow)]
    room: Cow<'a, str>,
    last: Option<u64>,
    cursor: Option<Cursor>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Subscribe<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = SubscribeFields::deserialize(deserializer)?;
        let start = match (fields.last, fields.cursor) {
            (Some(last), None) => Start::Last(last),
            (None, Some(cursor)) => Start::Cursor(cursor),
            _ => return Err(D::Error::custom("expected one of the fields `last` and `cursor`")),
        };
        Ok(Self { room: fields.room, start })
    }
}

#[derive(Debug, PartialEq, Deserialize)]
pub struct Unsubscribe<'a> {
    #[serde(borrow)]
    pub room: Cow<'a, str>,
}

#[derive(Debug, PartialEq, Deserialize)]
pub struct Post<'a> {
    #[serde(borrow)]
    pub room: Cow<'a, str>,
    #[serde(borrow)]
    pub txn_id: Cow<'a, str>,
    #[serde(borrow)]
    pub text: Cow<'a, str>,
}

#[derive(Debug, PartialEq, Deserialize)]
pub struct History<'a> {
    #[serde(borrow)]
    pub room: Cow<'a, str>,
    pub before: Option<Seq>,
    pub around: Option<Seq>,
    #[serde(default = "default_history_limit")]
    pub limit: usize,
}

fn default_history_limit() -> usize {
    50
}

#[derive(Debug, PartialEq, Deserialize)]
pub struct Read<'a> {
    #[serde(borrow)]
    pub room: Cow<'a, str>,
    pub seq: Seq,
    #[serde(default)]
    pub back: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
pub struct Present<'a> {
    #[serde(borrow)]
    pub room: Cow<'a, str>,
    pub after: Option<UserId>,
    #[serde(default = "default_present_limit")]
    pub limit: usize,
}

fn default_present_limit() -> usize {
    100
}

#[derive(Debug, PartialEq, Deserialize)]
pub struct Typing<'a> {
    #[serde(borrow)]
    pub room: Cow<'a, str>,
}

/// Why a frame is no command.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not a JSON object.
    Malformed,
    UnknownType(String),
    /// The ref itself is none, so the reply has `null` in its place.
    Ref(String),
    /// Names the field and says what was expected.
    Invalid(String),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "ref")]
    reference: Option<Ref>,
}

impl<'a> Command<'a> {
    /// Reads a text frame. The ref comes with the fault too, where one could be read.
    pub fn parse(text: &'a str) -> (Option<Ref>, Result<Self, Fault>) {
        let Ok(envelope) = serde_json::from_str::<Envelope>(text) else { return envelope_fault(text) };
        if envelope.reference.as_ref().is_some_and(|reference| !reference.is_short()) {
            return (None, Err(bad_ref()));
        }
        (envelope.reference, Self::of_type(&envelope.kind, text))
    }

    fn of_type(kind: &str, text: &'a str) -> Result<Self, Fault> {
        let command = match kind {
            "create" => Self::Create(fields(text)?),
            "subscribe" => Self::Subscribe(fields(text)?),
            "unsubscribe" => Self::Unsubscribe(fields(text)?),
            "post" => Self::Post(fields(text)?),
            "history" => Self::History(fields(text)?),
            "read" => Self::Read(fields(text)?),
            "present" => Self::Present(fields(text)?),
            "typing" => Self::Typing(fields(text)?),
            unknown => return Err(Fault::UnknownType(unknown.chars().take(64).collect())),
        };
        command.check()?;
        Ok(command)
    }

    fn check(&self) -> Result<(), Fault> {
        if let Some(room) = self.room() {
            check_room(room)?;
        }
        match self {
            Self::Post(post) => check_txn_id(&post.txn_id),
            Self::History(history) => history.check(),
            Self::Present(present) => check_limit(present.limit, PRESENT_LIMIT),
            _ => Ok(()),
        }
    }
}

impl Command<'_> {
    fn room(&self) -> Option<&str> {
        match self {
            Self::Create(_) => None,
            Self::Subscribe(Subscribe { room, .. })
            | Self::Unsubscribe(Unsubscribe { room })
            | Self::Post(Post { room, .. })
            | Self::History(History { room, .. })
            | Self::Read(Read { room, .. })
            | Self::Present(Present { room, .. })
            | Self::Typing(Typing { room }) => Some(room),
        }
    }
}

/// No room's id is longer; what is would only be carried about and given back.
pub fn check_room(room: &str) -> Result<(), Fault> {
    if room.len() <= ROOM_BYTES {
        return Ok(());
    }
    Err(Fault::Invalid(format!("room: expected at most {ROOM_BYTES} bytes")))
}

impl History<'_> {
    /// Also for the page of history over REST, which comes without JSON.
    pub fn check(&self) -> Result<(), Fault> {
        if self.before.is_some() && self.around.is_some() {
            return Err(Fault::Invalid("expected at most one of the fields `before` and `around`".to_owned()));
        }
        check_limit(self.limit, HISTORY_LIMIT)
    }
}

pub fn check_txn_id(txn_id: &str) -> Result<(), Fault> {
    let printable = txn_id.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if printable && (1..=TXN_ID_BYTES).contains(&txn_id.len()) {
        return Ok(());
    }
    Err(Fault::Invalid(format!("txn_id: expected 1 to {TXN_ID_BYTES} printable ASCII characters")))
}

fn check_limit(limit: usize, most: usize) -> Result<(), Fault> {
    if (1..=most).contains(&limit) {
        return Ok(());
    }
    Err(Fault::Invalid(format!("limit: expected 1 to {most}, found {limit}")))
}

fn fields<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| {
        // Read again with the path followed, which costs, but names the field.
        let mut reader = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, T>(&mut reader) {
            Err(error) if error.path().iter().next().is_some() => {
                Fault::Invalid(format!("{}: {}", error.path(), without_place(error.inner())))
            }
            Err(error) => Fault::Invalid(without_place(error.inner())),
            Ok(_) => Fault::Malformed,
        }
    })
}

/// The error without serde's "at line 1 column 30", which tells a client's author nothing.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).chars().take(FAULT_CHARS).collect()
}

fn bad_ref() -> Fault {
    Fault::Ref(format!("ref: expected an integer or a string of at most {REF_BYTES} bytes"))
}

/// Finds out, at leisure, what kept the envelope from being read.
fn envelope_fault<'a>(text: &str) -> (Option<Ref>, Result<Command<'a>, Fault>) {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text) else {
        return (None, Err(Fault::Malformed));
    };
    let reference = match object.get("ref").map(Ref::deserialize) {
        None => None,
        Some(Ok(reference)) if reference.is_short() => Some(reference),
        Some(_) => return (None, Err(bad_ref())),
    };
    let fault = match object.get("type") {
        None => "missing field `type`",
        Some(serde_json::Value::String(_)) => "expected each field once",
        Some(_) => "type: expected a string",
    };
    (reference, Err(Fault::Invalid(fault.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_read_with_its_ref() {
        let (reference, command) = Command::parse(r#"{"type":"read","ref":5,"room":"lobby","seq":57}"#);
        assert_eq!(reference, Some(Ref::Number(5)));
        assert_eq!(command, Ok(Command::Read(Read { room: "lobby".into(), seq: 57, back: false })));
    }

    #[test]
    fn a_fault_names_what_is_wrong() {
        let cases = [
            ("", "malformed"),
            ("[]", "malformed"),
            (r#"{"type":"post""#, "malformed"),
            (r#"{"ref":1}"#, "missing field `type`"),
            (r#"{"type":5}"#, "type: expected a string"),
            (r#"{"type":"post","type":"post"}"#, "expected each field once"),
            (r#"{"type":"post","ref":1.5}"#, "ref: expected an integer or a string of at most 64 bytes"),
            (r#"{"type":"dance"}"#, "unknown dance"),
            (r#"{"type":"post","room":"lobby","txn_id":"a"}"#, "missing field `text`"),
            (r#"{"type":"post","room":"lobby","txn_id":"","text":"a"}"#, "txn_id: expected 1 to 64 printable"),
            (r#"{"type":"post","room":"lobby","txn_id":"é","text":"a"}"#, "txn_id: expected 1 to 64 printable"),
            (
                r#"{"type":"post","room":5,"txn_id":"a","text":"a"}"#,
                "room: invalid type: integer `5`, expected a string",
            ),
            (r#"{"type":"subscribe","room":"lobby"}"#, "expected one of the fields `last` and `cursor`"),
            (r#"{"type":"history","room":"lobby","limit":0}"#, "limit: expected 1 to 200, found 0"),
            (r#"{"type":"history","room":"lobby","before":1,"around":1}"#, "at most one of the fields"),
            (r#"{"type":"present","room":"lobby","limit":201}"#, "limit: expected 1 to 200, found 201"),
            (r#"{"type":"read","room":"lobby","seq":-1}"#, "seq: invalid value: integer `-1`, expected u64"),
        ];
        for (text, expected) in cases {
            let found = match Command::parse(text).1.expect_err(text) {
                Fault::Malformed => "malformed".to_owned(),
                Fault::UnknownType(word) => format!("unknown {word}"),
                Fault::Ref(words) | Fault::Invalid(words) => words,
            };
            assert!(found.starts_with(expected) || found.contains(expected), "{text}: {found}");
        }
    }

    #[test]
    fn a_fault_keeps_the_ref() {
        assert_eq!(Command::parse(r#"{"type":"dance","ref":"a"}"#).0, Some(Ref::Text("a".into())));
        assert_eq!(Command::parse(r#"{"ref":7}"#).0, Some(Ref::Number(7)));
    }

    #[test]
    fn a_long_ref_is_not_given_back() {
        let long = "r".repeat(REF_BYTES + 1);
        for text in [format!(r#"{{"ref":"{long}"}}"#), format!(r#"{{"type":"dance","ref":"{long}"}}"#)] {
            assert_eq!(Command::parse(&text), (None, Err(bad_ref())));
        }
    }

    #[test]
    fn a_foreign_epoch_is_no_error_of_form() {
        let text = r#"{"type":"subscribe","room":"lobby","cursor":{"epoch":"not ours","seq":4}}"#;
        let Ok(Command::Subscribe(subscribe)) = Command::parse(text).1 else { panic!("it is a subscribe") };
        assert_eq!(subscribe.start, Start::Cursor(Cursor { epoch: super::super::Epoch(0), seq: 4 }));
    }
}
