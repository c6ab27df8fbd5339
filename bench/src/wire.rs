//! Chinwag's words as the generator speaks them. What comes by the million is read by its usual beginning;
//! whatever looks different goes through a JSON parser, so the speed rests on no promise of the server's.

use std::borrow::Cow;

use serde_json::Value;

use crate::stamp::Stamp;

/// Length of every posted text, in bytes.
pub const TEXT_BYTES: usize = 128;

/// Request target of the upgrade, for a session or for a guest who leaves the name to the server.
pub const TARGET: &str = "/api/socket";

pub fn is_hello(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).is_ok_and(|frame| frame["type"] == "hello")
}

/// A post whose text starts with the time at which it was due.
pub fn post(reference: u64, room: &str, txn_id: &str, due: u64) -> String {
    post_text(reference, room, txn_id, &Stamp { due, lane: 0, number: reference }.text(TEXT_BYTES))
}

/// A post of a text in which JSON needs nothing escaped.
pub fn post_text(reference: u64, room: &str, txn_id: &str, text: &str) -> String {
    format!(r#"{{"type":"post","ref":{reference},"room":"{room}","txn_id":"{txn_id}","text":"{text}"}}"#)
}

/// The time that was written into the text of this event, or into this text; nothing for anything else.
pub fn due(message: &[u8]) -> Option<u64> {
    const FIELD: &[u8] = br#""text":""#;
    let start = message.windows(FIELD.len()).position(|window| window == FIELD).map_or(0, |start| start + FIELD.len());
    Stamp::read(&message[start..]).map(|stamp| stamp.due)
}

/// The room and the seq of an event; nothing for any other frame.
pub fn event(text: &[u8]) -> Option<(Cow<'_, str>, u64)> {
    usual_event(text).map(|(room, seq)| (room.into(), seq)).or_else(|| {
        let frame: Value = serde_json::from_slice(text).ok()?;
        (frame["type"] == "event").then_some(())?;
        Some((frame["room"].as_str()?.to_owned().into(), frame["seq"].as_u64()?))
    })
}

fn usual_event(text: &[u8]) -> Option<(&str, u64)> {
    let rest = text.strip_prefix(br#"{"type":"event","room":""#)?;
    let (room, rest) = rest.split_at(rest.iter().position(|byte| *byte == b'"')?);
    let (seq, _) = number(rest.strip_prefix(br#"","seq":"#)?)?;
    Some((std::str::from_utf8(room).ok()?, seq))
}

/// Finds the seq of a room's events.
pub struct SeqReader {
    usual: Vec<u8>,
    room: String,
}

impl SeqReader {
    pub fn new(room: &str) -> Self {
        Self { usual: format!(r#"{{"type":"event","room":"{room}","seq":"#).into_bytes(), room: room.to_owned() }
    }

    /// The event's seq; nothing for any other frame.
    pub fn seq(&self, text: &[u8]) -> Option<u64> {
        if let Some(rest) = text.strip_prefix(self.usual.as_slice()) {
            return number(rest).map(|(seq, _)| seq);
        }
        let frame: Value = serde_json::from_slice(text).ok()?;
        (frame["type"] == "event" && frame["room"] == self.room.as_str()).then(|| frame["seq"].as_u64())?
    }
}

/// A reply: its `ref`, and what it says.
pub enum Reply {
    Posted { reference: u64, seq: u64 },
    Ok { reference: u64, body: Value },
    Error { reference: u64, error: Value },
}

/// The frame as a reply; nothing for a push.
pub fn reply(text: &[u8]) -> Option<Reply> {
    usual_reply(text).or_else(|| any_reply(text))
}

fn usual_reply(text: &[u8]) -> Option<Reply> {
    let (reference, rest) = number(text.strip_prefix(br#"{"type":"reply","ref":"#)?)?;
    let rest = rest.strip_prefix(br#","ok":{"room":""#)?;
    let room = rest.iter().position(|byte| *byte == b'"')?;
    let (seq, rest) = number(rest[room..].strip_prefix(br#"","seq":"#)?)?;
    (rest == b"}}").then_some(Reply::Posted { reference, seq })
}

fn any_reply(text: &[u8]) -> Option<Reply> {
    let mut frame: Value = serde_json::from_slice(text).ok()?;
    if frame["type"] != "reply" {
        return None;
    }
    let reference = frame["ref"].as_u64().unwrap_or(u64::MAX);
    if frame["ok"].is_null() {
        return Some(Reply::Error { reference, error: frame["error"].take() });
    }
    Some(match (frame["ok"]["seq"].as_u64(), frame["ok"]["head"].is_null()) {
        (Some(seq), true) => Reply::Posted { reference, seq },
        _ => Reply::Ok { reference, body: frame["ok"].take() },
    })
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at(digits);
    (1..=19)
        .contains(&digits.len())
        .then(|| (digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_is_json_with_a_text_of_the_right_length_and_carries_its_time() {
        let post = post(7, "lobby", "a-7", 1234);
        let parsed: Value = serde_json::from_str(&post).unwrap();
        assert_eq!(parsed["text"].as_str().unwrap().len(), TEXT_BYTES);
        assert_eq!(parsed["ref"], 7);
        assert_eq!(due(post.as_bytes()), Some(1234));
        assert_eq!(due(br#"{"type":"event","text":"hello"}"#), None);
    }

    #[test]
    fn a_seq_is_found_in_the_usual_and_in_any_other_order() {
        let reader = SeqReader::new("lobby");
        assert_eq!(reader.seq(br#"{"type":"event","room":"lobby","seq":58,"id":"x"}"#), Some(58));
        assert_eq!(reader.seq(br#"{"seq":58,"room":"lobby","type":"event"}"#), Some(58));
        assert_eq!(reader.seq(br#"{"type":"event","room":"lobby-2","seq":58}"#), None);
        assert_eq!(reader.seq(br#"{"type":"presence","room":"lobby","count":3}"#), None);
        let both =
            [&br#"{"type":"event","room":"tea","seq":58,"id":"x"}"#[..], br#"{"seq":58,"room":"tea","type":"event"}"#];
        assert!(both.iter().all(|text| event(text) == Some(("tea".into(), 58))));
        assert_eq!(usual_event(both[0]), Some(("tea", 58)));
        assert_eq!(event(br#"{"type":"presence","room":"tea","seq":3}"#), None);
    }

    #[test]
    fn replies_are_told_apart() {
        let usual = br#"{"type":"reply","ref":3,"ok":{"room":"lobby","seq":58}}"#;
        assert!(matches!(usual_reply(usual), Some(Reply::Posted { reference: 3, seq: 58 })));
        let other = br#"{"type":"reply","ref":3,"ok":{"seq":58,"room":"lobby"}}"#;
        assert!(matches!(reply(other), Some(Reply::Posted { reference: 3, seq: 58 })));
        let subscribed = br#"{"type":"reply","ref":1,"ok":{"epoch":"e","seq":58,"head":58,"oldest":1}}"#;
        assert!(matches!(reply(subscribed), Some(Reply::Ok { reference: 1, .. })));
        let refused = br#"{"type":"reply","ref":1,"error":{"code":"no_room","message":"m"}}"#;
        assert!(matches!(reply(refused), Some(Reply::Error { reference: 1, .. })));
        assert!(reply(br#"{"type":"presence","room":"lobby","count":1}"#).is_none());
    }
}
