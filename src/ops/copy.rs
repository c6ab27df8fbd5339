//! Moving house: all that a data directory holds, put down in a Redis. What is there already from an earlier try is left
//! as it is, so it can be broken off and run again; at the end both sides are read and compared. It knows no backend.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Quiet;
use crate::error::{Error, Fatal, Result};
use crate::protocol::{Content, Event, Kind, RoomId, RoomKind, Seq, UserId};
use crate::store::{
    self, Append, Completion, Dump, DumpedRoom, DumpedUser, Effect, Marker, NewUser, Options, Right, Span, Store,
    UserChange,
};

const EVENTS: usize = 1_000;
const USERS: usize = 500;
const AUDIT: usize = 1_000;
const PAGE_BYTES: usize = 4 << 20;

/// What was copied, and found to be the same on both sides.
#[derive(Debug, Default)]
pub struct Copied {
    pub rooms: usize,
    pub events: u64,
    pub users: usize,
    /// Of all events of all rooms, in order.
    pub digest: String,
}

/// Copies everything `from` one store to an empty one, or goes on with that. `progress` is told in words how far it is.
pub fn copy(from: &Options, to: &Options, progress: impl Fn(&str)) -> Result<Copied, Fatal> {
    let dump = store::dump(from)?;
    let target = store::open(to, Arc::new(Quiet))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let copied = runtime.block_on(Mover { dump: &dump, target: &target, progress: &progress }.all());
    target.log.close();
    dump.close();
    copied
}

struct Mover<'a> {
    dump: &'a Dump,
    target: &'a Store,
    progress: &'a dyn Fn(&str),
}

impl Mover<'_> {
    async fn all(&self) -> Result<Copied, Fatal> {
        let rooms = self.dump.rooms().map_err(Fatal::CopyFrom)?;
        for room in &rooms {
            self.make_room(room).await?;
        }
        let users = self.users().await?;
        let mut copied = Copied { rooms: rooms.len(), users, ..Copied::default() };
        for (number, room) in rooms.iter().enumerate() {
            (self.progress)(&format!("room {} of {}: {} events", number + 1, rooms.len(), room.head));
            self.events(room).await?;
            self.markers(room).await.map_err(Fatal::CopyTo)?;
            copied.events += room.head;
        }
        self.place().await.map_err(Fatal::CopyTo)?;
        self.audit().await.map_err(Fatal::CopyTo)?;
        (self.progress)("comparing both sides");
        let mut digest = Sha256::new();
        for room in &rooms {
            digest.update(self.compare(room).await?);
        }
        copied.digest = BASE64_URL_SAFE_NO_PAD.encode(digest.finalize());
        Ok(copied)
    }

    /// Of another chat nothing is touched.
    async fn make_room(&self, room: &DumpedRoom) -> Result<(), Fatal> {
        let members = room.members.iter().map(|(user, role, _)| (*user, *role)).collect();
        match self.target.directory.create_room(room.info.clone(), members).await {
            Ok(()) => return Ok(()),
            Err(Error::Exists(id)) if id == room.info.id => {}
            Err(error) => return Err(Fatal::CopyTo(error)),
        }
        let there = self.target.log.position(&room.info.id).await.map_err(Fatal::CopyTo)?;
        let head = there.map_or(0, |position| position.head);
        let newest = |events: Vec<Event>| events.into_iter().next_back().map(|event| event.id);
        let theirs = self.read(room, head.saturating_sub(1), 1).await?;
        let ours = self.dump.events(&room.info.id, head.saturating_sub(1), 1).map_err(Fatal::CopyFrom)?;
        if head > 0 && newest(theirs) != newest(ours) {
            return Err(Fatal::OtherChat);
        }
        Ok(())
    }

    async fn users(&self) -> Result<usize, Fatal> {
        let (mut after, mut copied) = (None, 0);
        loop {
            let users = self.dump.users(after, USERS).map_err(Fatal::CopyFrom)?;
            let Some(last) = users.last() else { return Ok(copied) };
            after = Some(last.record.id);
            copied += users.len();
            for user in users {
                let id = user.record.id;
                self.user(user).await.map_err(Fatal::CopyTo)?;
                if self.target.accounts.user(id).await.map_err(Fatal::CopyTo)?.is_none() {
                    return Err(Fatal::NotCopied(format!("the user {id}")));
                }
            }
            (self.progress)(&format!("{copied} users"));
        }
    }

    async fn user(&self, user: DumpedUser) -> Result<()> {
        let DumpedUser { record, secrets, sessions, identities, pictures, ignored } = user;
        let (accounts, id) = (&self.target.accounts, record.id);
        let mut sessions = sessions.into_iter();
        let first = sessions.next();
        let new = NewUser {
            record: record.clone(),
            session: first.as_ref().map(|first| first.session.clone()),
            secrets,
            joins: RoomId::lobby(),
            read: 0,
        };
        let unnamed = NewUser { session: None, ..new.clone() };
        match accounts.add_user(new, Timestamp::MIN).await {
            // A guest whose name has become somebody else's keeps their sessions.
            Err(Error::NameTaken(_)) if record.role.is_guest() => accounts.add_user(unnamed, Timestamp::MIN).await?,
            outcome => outcome?,
        }
        for known in first.into_iter().chain(sessions) {
            let (token, seen) = (known.session.token, known.seen);
            if self.target.sessions.session(token).await?.is_none() {
                self.target.sessions.add_session(id, known.session).await?;
            }
            self.target.sessions.touch_session(token, seen).await?;
        }
        if record.muted_until.is_some() || record.banned_until.is_some() {
            let (muted_until, banned_until) = (Some(record.muted_until), Some(record.banned_until));
            let change = UserChange { muted_until, banned_until, ..UserChange::default() };
            accounts.change_user(id, change, Timestamp::MIN).await?;
        }
        for (issuer, subject) in identities {
            accounts.set_identity(id, &issuer, Some(&subject)).await?;
        }
        for picture in pictures {
            accounts.set_picture(id, picture.source, Some(picture)).await?;
        }
        for other in ignored {
            self.target.moderation.ignore(id, other, true).await?;
        }
        Ok(())
    }

    async fn events(&self, room: &DumpedRoom) -> Result<(), Fatal> {
        let id = &room.info.id;
        let there = self.target.log.position(id).await.map_err(Fatal::CopyTo)?;
        let mut after = there.map_or(0, |position| position.head);
        loop {
            let events = self.dump.events(id, after, EVENTS).map_err(Fatal::CopyFrom)?;
            let Some(last) = events.last().map(|event| event.seq) else { return Ok(()) };
            self.append(id, events).map_err(Fatal::CopyTo)?;
            after = last;
            if after % 100_000 < EVENTS as u64 {
                (self.progress)(&format!("{after} of {} events in {id}", room.head));
            }
        }
    }

    /// All at once, and each at its place.
    fn append(&self, room: &RoomId, events: Vec<Event>) -> Result<()> {
        let (told, outcomes) = mpsc::channel();
        for event in events {
            let (seq, told) = (event.seq, told.clone());
            let mentioned = event.content.as_ref().filter(|_| event.kind == Kind::Message);
            let mentioned = mentioned.and_then(Content::as_message).map(|(_, users)| users);
            let effect = mentioned.filter(|users| !users.is_empty()).map_or(Effect::None, Effect::Mention);
            let done = Completion::new(move |outcome| {
                // Nobody waits any more after the first failure.
                let _ = told.send((seq, outcome));
            });
            self.target.log.append(Append { room: room.clone(), event, right: Right::Free, effect, done });
        }
        drop(told);
        for (seq, outcome) in outcomes {
            if outcome? != seq {
                tracing::error!(%room, seq, "an event has another place");
                return Err(Error::Internal);
            }
        }
        Ok(())
    }

    async fn markers(&self, room: &DumpedRoom) -> Result<()> {
        let markers =
            room.members.iter().map(|(user, _, read)| ((room.info.id.clone(), *user), Marker::Exactly(*read)));
        self.target.directory.set_markers(markers.collect::<HashMap<_, _>>()).await
    }

    async fn place(&self) -> Result<()> {
        let now = Timestamp::now();
        let place = self.dump.place(now)?;
        if !place.settings.is_empty() {
            self.target.moderation.set_settings(place.settings).await?;
        }
        for ban in place.bans {
            self.target.moderation.ban(ban).await?;
        }
        for report in place.reports {
            self.target.moderation.report(report).await?;
        }
        for link in place.links {
            if self.target.sessions.link(link.token, now).await?.is_none() {
                self.target.sessions.add_link(link).await?;
            }
        }
        Ok(())
    }

    async fn audit(&self) -> Result<()> {
        let (mut there, mut before) = (0, None);
        loop {
            let page = self.target.moderation.audit(before, AUDIT).await?;
            let Some(last) = page.last() else { break };
            there += page.len();
            before = Some(last.id);
        }
        let (mut after, mut passed) = (0, 0);
        loop {
            let entries = self.dump.audit(after, AUDIT)?;
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.id;
            for entry in entries {
                passed += 1;
                if passed > there {
                    self.target.moderation.note(entry).await?;
                }
            }
        }
    }

    /// The digest of the room's log, the same on both sides.
    async fn compare(&self, room: &DumpedRoom) -> Result<[u8; 32], Fatal> {
        let (mut ours, mut theirs) = (Sha256::new(), Sha256::new());
        let mut after: Seq = 0;
        while after < room.head {
            let here = self.dump.events(&room.info.id, after, EVENTS).map_err(Fatal::CopyFrom)?;
            let there = self.read(room, after, EVENTS).await?;
            let number = here.len().min(there.len());
            if number == 0 {
                return Err(Fatal::NotCopied(format!("the room {}", room.info.id)));
            }
            here.iter().take(number).for_each(|event| digest(event, &mut ours));
            there.iter().take(number).for_each(|event| digest(event, &mut theirs));
            after += number as Seq;
        }
        let (ours, theirs) = (ours.finalize(), theirs.finalize());
        if ours == theirs { Ok(ours.into()) } else { Err(Fatal::NotCopied(format!("the room {}", room.info.id))) }
    }

    /// As one of its members, where only they may read it. Of a room without any nothing can be read.
    async fn read(&self, room: &DumpedRoom, after: Seq, limit: usize) -> Result<Vec<Event>, Fatal> {
        let reader: Option<UserId> = room.members.first().map(|(user, ..)| *user);
        if reader.is_none() && room.info.kind != RoomKind::Public {
            return self.dump.events(&room.info.id, after, limit).map_err(Fatal::CopyFrom);
        }
        let span = Span { after, limit, bytes: PAGE_BYTES };
        let page = self.target.log.read(&room.info.id, reader, span).await.map_err(Fatal::CopyTo)?;
        Ok(page.events)
    }
}

fn digest(event: &Event, into: &mut Sha256) {
    let content = event.content.as_ref().map(|content| (&*content.json, content.rendering));
    let head = (event.seq, event.id, event.kind.as_str(), event.at.as_millisecond(), event.author.id);
    into.update(format!("{head:?}{:?}{:?}{:?}{content:?}\n", event.author.name, event.txn_id, event.target));
}
