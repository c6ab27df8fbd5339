//! An event as an entry of a room's stream holds it: a head, and beside it the content, so that a redaction can keep
//! the one and take the other. It must not know where entries stand.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::protocol::{Author, Content, Event, Kind, Seq, UserId};

/// All of an event but its seq, which is the entry's id, and its content.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    id: Uuid,
    kind: Kind,
    /// Milliseconds.
    at: i64,
    #[serde(borrow)]
    author: Writer<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    txn_id: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rendering: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct Writer<'a> {
    id: UserId,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// The fields `e` and `c` of the event's entry. The content is an object in its own bytes.
pub(super) fn encode(event: &Event) -> (String, Option<String>) {
    let Event { id, kind, at, author, txn_id, target, content, .. } = event;
    let head = Head {
        id: *id,
        kind: *kind,
        at: at.as_millisecond(),
        author: Writer { id: author.id, name: Cow::Borrowed(&author.name) },
        txn_id: txn_id.as_deref().map(Cow::Borrowed),
        target: *target,
        rendering: content.as_ref().map(|content| content.rendering),
    };
    let head = serde_json::to_string(&head).expect("strings and numbers always serialise");
    (head, content.as_ref().map(|content| format!("{{{}}}", content.json)))
}

/// An entry without content is that of a redacted event.
pub(super) fn decode(seq: Seq, e: &str, c: Option<&str>) -> Result<Event> {
    read(seq, e, c).map_err(|fault| {
        tracing::error!(seq, fault, "Redis holds an event that cannot be read");
        Error::Internal
    })
}

/// Stands in the place of an event that cannot be read, or is not there: nobody's, without content. So whoever hears of
/// it hears of those after it, too.
pub(super) fn stand_in(seq: Seq) -> Event {
    let (id, at, author) = (Uuid::nil(), Timestamp::UNIX_EPOCH, Author { id: UserId(Uuid::nil()), name: "".into() });
    Event { seq, id, kind: Kind::Message, at, author, txn_id: None, target: None, content: None }
}

fn read(seq: Seq, e: &str, c: Option<&str>) -> Result<Event, String> {
    let head: Head<'_> = serde_json::from_str(e).map_err(|fault| fault.to_string())?;
    let at = Timestamp::from_millisecond(head.at).map_err(|fault| fault.to_string())?;
    let content = c.map(|object| {
        let json =
            object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or("its content is no object")?;
        Ok::<_, String>(Content { json: json.into(), rendering: head.rendering.unwrap_or_default() })
    });
    Ok(Event {
        seq,
        id: head.id,
        kind: head.kind,
        at,
        author: Author { id: head.author.id, name: head.author.name.into() },
        txn_id: head.txn_id.map(Into::into),
        target: head.target,
        content: content.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(content: Option<Content>) -> Event {
        Event {
            seq: 7,
            id: Uuid::now_v7(),
            kind: Kind::Edit,
            at: Timestamp::from_millisecond(1_790_000_000_123).unwrap(),
            author: Author { id: UserId::random(), name: "ann \u{1f98a}\"\0".into() },
            txn_id: Some("a \"b\"".into()),
            target: Some(Seq::MAX),
            content,
        }
    }

    #[test]
    fn is_read_as_it_was_written() {
        let json = r#""text":"a \"b\"\n","odd":1.50, "html":"<p>""#.into();
        for content in [Some(Content { json, rendering: 3 }), None] {
            let event = event(content);
            let (e, c) = encode(&event);
            assert_eq!(decode(7, &e, c.as_deref()).unwrap(), event);
        }
    }

    #[test]
    fn that_was_redacted_keeps_its_head() {
        let event = event(Some(Content { json: r#""text":"secret""#.into(), rendering: 3 }));
        let (e, _) = encode(&event);
        assert_eq!(decode(7, &e, None).unwrap(), Event { content: None, ..event });
    }

    #[test]
    fn that_is_none_is_a_fault() {
        let (e, _) = encode(&event(None));
        for (e, c) in [("", None), ("{}", None), (&*e, Some("[]"))] {
            assert_eq!(decode(7, e, c), Err(Error::Internal));
        }
    }
}
