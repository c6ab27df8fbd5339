//! What Redis tells unasked, as append.lua publishes it. Pure: it must not know who hears it.

use std::collections::HashMap;

use redis::Value;
use serde::Deserialize;

use super::Channels;
use super::event;
use super::room;
use crate::protocol::{Epoch, Event, RoomId, Seq, UserId};
use crate::store::{Announcement, RoomInfo};

pub(super) enum News {
    /// New events of a room.
    Events(RoomId, Header, Vec<Event>),
    /// There is something new in this room.
    Head(RoomId),
}

/// What is said of events beside themselves.
pub(super) struct Header {
    pub epoch: Epoch,
    pub first: Seq,
    pub deleted: bool,
    redacted: bool,
    shut: bool,
    ended: Vec<UserId>,
    emptied: Vec<Seq>,
    changed: Option<RoomInfo>,
}

#[derive(Deserialize)]
struct Line {
    epoch: String,
    first: Seq,
    #[serde(default)]
    redacted: bool,
    #[serde(default)]
    shut: bool,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    ended: Vec<UserId>,
    #[serde(default)]
    emptied: Vec<Seq>,
    #[serde(default)]
    changed: Option<HashMap<String, String>>,
}

/// Of a channel and what was said there; `None` where that is not ours.
pub(super) fn read(data: &[Value]) -> Option<News> {
    let [Value::BulkString(channel), Value::BulkString(said)] = data else { return None };
    let (channel, said) = (std::str::from_utf8(channel).ok()?, std::str::from_utf8(said).ok()?);
    let (room, what) = Channels::read(channel)?;
    match what {
        "news" => {
            let mut lines = said.split('\n');
            let header = Header::read(lines.next()?)?;
            let mut events = Vec::new();
            let mut seq = header.first;
            while let Some(head) = lines.next() {
                let content = lines.next().filter(|content| !content.is_empty());
                events.push(event::decode(seq, head, content).ok()?);
                seq += 1;
            }
            Some(News::Events(room.into(), header, events))
        }
        "head" => Some(News::Head(room.into())),
        _ => None,
    }
}

impl Header {
    pub fn read(line: &str) -> Option<Self> {
        let line: Line = serde_json::from_str(line).ok()?;
        Some(Self {
            epoch: Epoch(line.epoch.parse().ok()?),
            first: line.first,
            deleted: line.deleted,
            redacted: line.redacted,
            shut: line.shut,
            ended: line.ended,
            emptied: line.emptied,
            changed: line.changed.and_then(|fields| room::read(&fields)).map(|(info, _)| info),
        })
    }

    /// What was written and taken back in one batch is announced without its content, too.
    pub fn empty(&self, events: &mut [Event]) {
        for event in events.iter_mut().filter(|event| self.emptied.contains(&event.seq)) {
            event.content = None;
        }
    }

    pub fn announcement(self, room: RoomId, events: Vec<Event>) -> Announcement {
        Announcement {
            redacted: self.redacted,
            ended: self.ended,
            shut: self.shut,
            deleted: self.deleted,
            changed: self.changed,
            ..Announcement::new(room, self.epoch, events)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(channel: &str, said: &str) -> [Value; 2] {
        [Value::BulkString(channel.into()), Value::BulkString(said.into())]
    }

    #[test]
    fn events_are_read_as_they_are_published() {
        let head = r#"{"id":"018f0000-0000-7000-8000-000000000001","kind":"message","at":5,
            "author":{"id":"018f0000-0000-7000-8000-000000000002","name":"ann"}}"#
            .replace('\n', "");
        let text = format!(
            "{{\"epoch\":\"18446744073709551615\",\"first\":7,\"shut\":true}}\n{head}\n\n{head}\n{{\"text\":\"hi\"}}"
        );
        let said = said("chinwag:{garden}:news", &text);
        let Some(News::Events(room, header, events)) = read(&said) else { panic!("no events") };
        assert_eq!((room, header.epoch, header.shut, header.deleted), ("garden".into(), Epoch(u64::MAX), true, false));
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [7, 8]);
        assert!(events[0].content.is_none() && events[1].content.is_some());
    }

    #[test]
    fn what_is_not_ours_is_nothing() {
        assert!(matches!(read(&said("chinwag:{garden}:head", "")), Some(News::Head(room)) if room == "garden".into()));
        assert!(read(&said("chinwag:{garden}:news", "{}")).is_none());
        assert!(read(&said("garden", "")).is_none());
    }
}
