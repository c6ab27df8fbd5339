//! What this node knows of rooms: who watches them, how far their logs were heard of, and which outcomes wait for an
//! announcement. It announces what comes next, and says what must be asked to find out what was missed; it must not
//! know how that is asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::healing::{Found, Page};
use super::news::Header;
use crate::error::{Error, Result};
use crate::protocol::{Epoch, Event, Kind, Position, RoomId, RoomKind, Seq};
use crate::store::{Announcement, Committed, Receipt, RoomInfo, Watch, Watcher};

/// For so long it is remembered what was delivered of a room, to find out whether it is still there.
const MEMORY: Duration = Duration::from_hours(1);

pub(super) struct Known {
    rooms: HashMap<RoomId, Room>,
    watcher: Arc<dyn Watcher>,
    /// Makes what a watcher of a room holds.
    watch: Box<dyn Fn(&RoomId) -> Watch + Send>,
    out: Committed,
}

/// An event that was announced or acknowledged: is it still there?
#[derive(Clone, Copy)]
pub(super) struct Asked {
    epoch: Epoch,
    pub seq: Seq,
    id: Option<Uuid>,
}

/// What must be asked about a room.
#[derive(Clone, Copy)]
pub(super) enum Ask {
    /// How the store knows it, and this event.
    Check(Option<Asked>),
    /// What comes after this event.
    Page(Seq),
    /// For another life of its log, if it is still in this one.
    Renew(Epoch),
}

#[derive(Default)]
struct Room {
    watchers: usize,
    /// Who waits until it is watched.
    asking: Vec<oneshot::Sender<Result<Watch>>>,
    /// All after the head will be announced: what is missing is read.
    live: bool,
    log: Option<Log>,
    /// A read is under way, which brings what is heard meanwhile.
    reading: bool,
    /// The newest event that was heard of.
    heard: Seq,
    /// Outcomes of seqs that are not announced yet.
    owed: Vec<(Seq, Receipt)>,
}

/// What was announced of a room, or acknowledged.
struct Log {
    epoch: Epoch,
    head: Seq,
    /// The id of the event there, where one was seen.
    last: Option<Uuid>,
    at: Instant,
}

impl Known {
    pub fn new(watcher: Arc<dyn Watcher>, watch: impl Fn(&RoomId) -> Watch + Send + 'static) -> Self {
        Self { rooms: HashMap::new(), watcher, watch: Box::new(watch), out: Committed::default() }
    }

    /// The connection is lost, and whatever was asked for with it.
    pub fn lose(&mut self, error: &Error) {
        for room in self.rooms.values_mut() {
            room.reading = false;
            for asking in room.asking.drain(..) {
                let _ = asking.send(Err(error.clone()));
            }
            // These are stored, whatever else is missing.
            self.out.receipts.extend(room.owed.drain(..).map(|(_, receipt)| receipt));
        }
        self.commit();
    }

    /// Forgets what nobody watches and was not heard of for long.
    pub fn forget(&mut self) {
        let now = Instant::now();
        self.rooms.retain(|_, room| {
            room.watchers > 0 || !room.asking.is_empty() || room.log.as_ref().is_some_and(|log| now - log.at < MEMORY)
        });
    }

    pub fn all(&self) -> impl Iterator<Item = &RoomId> {
        self.rooms.keys()
    }

    pub fn watched(&self) -> impl Iterator<Item = &RoomId> {
        self.rooms.iter().filter(|(_, room)| room.watchers > 0).map(|(id, _)| id)
    }

    pub fn live(&self) -> impl Iterator<Item = &RoomId> {
        self.rooms.iter().filter(|(_, room)| room.live).map(|(id, _)| id)
    }

    pub fn is_live(&self, id: &RoomId) -> bool {
        self.rooms.get(id).is_some_and(|room| room.live)
    }

    /// In which life a room's log is, as far as it was announced or acknowledged.
    pub fn epoch(&self, id: &RoomId) -> Option<Epoch> {
        self.rooms.get(id)?.log.as_ref().map(|log| log.epoch)
    }

    /// The last event of a room that was announced or acknowledged.
    pub fn last(&self, id: &RoomId) -> Option<Asked> {
        self.rooms.get(id)?.log.as_ref().map(Log::last)
    }

    /// Takes up one more watcher. True where the room must be subscribed to first.
    pub fn watch(&mut self, id: &RoomId, asking: oneshot::Sender<Result<Watch>>) -> bool {
        let room = self.rooms.entry(id.clone()).or_default();
        if room.live {
            room.watchers += 1;
            let _ = asking.send(Ok((self.watch)(id)));
            return false;
        }
        room.asking.push(asking);
        room.asking.len() == 1
    }

    /// True where that was the last.
    pub fn unwatch(&mut self, id: &RoomId) -> bool {
        let Some(room) = self.rooms.get_mut(id) else { return false };
        room.watchers = room.watchers.saturating_sub(1);
        let last = room.watchers == 0 && room.asking.is_empty();
        if last {
            room.live = false;
            // Nobody is left to whom anything is announced before them.
            self.out.receipts.extend(room.owed.drain(..).map(|(_, receipt)| receipt));
        }
        last
    }

    /// A room cannot be subscribed to.
    pub fn refuse_watchers(&mut self, id: &RoomId, error: &Error) {
        let asking = self.rooms.get_mut(id).map(|room| std::mem::take(&mut room.asking));
        for asking in asking.into_iter().flatten() {
            let _ = asking.send(Err(error.clone()));
        }
    }

    /// Takes note of events that come next in a room, or reads what lies between.
    pub fn learn(&mut self, id: &RoomId, header: Header, mut events: Vec<Event>) -> Option<Ask> {
        let last = events.last().map(|event| (event.seq, event.id))?;
        let room = self.rooms.entry(id.clone()).or_default();
        if room.live
            && let Some(log) = &room.log
        {
            if header.epoch != log.epoch {
                return Some(Ask::Check(Some(log.last())));
            }
            if last.0 <= log.head {
                return None;
            }
            room.heard = room.heard.max(last.0);
            if room.reading || header.first > log.head + 1 {
                return room.read_on();
            }
            events.retain(|event| event.seq > log.head);
        }
        let head = room.log.as_ref().filter(|log| log.epoch == header.epoch).map_or(0, |log| log.head);
        if last.0 > head {
            let log = Log { epoch: header.epoch, head: last.0, last: Some(last.1), at: Instant::now() };
            room.log = Some(log);
        }
        if header.deleted {
            (room.live, room.log) = (false, None);
        }
        self.announce(header.announcement(id.clone(), events));
        None
    }

    /// Tells these outcomes; where the room is watched, each of a seq not before that is announced.
    pub fn owe(&mut self, id: &RoomId, receipts: Vec<(Option<Seq>, Receipt)>) {
        let mut waits = self.rooms.get_mut(id).filter(|room| room.live);
        let announced = waits.as_ref().and_then(|room| room.log.as_ref()).map_or(Seq::MAX, |log| log.head);
        for (seq, receipt) in receipts {
            match (&mut waits, seq) {
                (Some(room), Some(seq)) if seq > announced => room.owed.push((seq, receipt)),
                _ => self.out.receipts.push(receipt),
            }
        }
    }

    /// Tells an outcome that nothing announces.
    pub fn tell(&mut self, receipt: Receipt) {
        self.out.receipts.push(receipt);
    }

    /// Compares a watched room's head with that of the store.
    pub fn compare(&mut self, id: &RoomId, head: Option<(Epoch, Seq)>) -> Option<Ask> {
        let room = self.rooms.get_mut(id).filter(|room| room.live)?;
        let log = room.log.as_ref()?;
        match head {
            Some((epoch, head)) if epoch == log.epoch && head == log.head => None,
            Some((epoch, head)) if epoch == log.epoch && head > log.head => {
                if !room.reading {
                    tracing::info!(room = %id, after = log.head, "an announcement was lost");
                }
                room.read_on()
            }
            _ => Some(Ask::Check(Some(log.last()))),
        }
    }

    /// Takes note of how the store knows a room, and of what was lost or came meanwhile.
    pub fn checked(&mut self, id: &RoomId, asked: Option<Asked>, found: Option<Found>) -> Option<Ask> {
        let room = self.rooms.get_mut(id)?;
        let Some(Found { info, position, there, last }) = found else {
            self.answer_watchers(id);
            self.gone(id);
            return None;
        };
        if let Some(log) = &room.log
            && log.epoch == position.epoch
        {
            // More may have been heard of since that was asked.
            let asked = asked.filter(|asked| asked.epoch == log.epoch);
            if asked.is_some_and(|Asked { seq, id, .. }| position.head < seq || (id.is_some() && there != id)) {
                tracing::error!(room = %id, seq = log.head, "Redis has lost what was delivered; the log begins another life");
                return Some(Ask::Renew(log.epoch));
            }
            if room.live && position.head > log.head {
                return room.read_on();
            }
        }
        let begun = room.live && room.log.as_ref().is_some_and(|log| log.epoch != position.epoch);
        let known = room.log.as_ref().is_some_and(|log| log.epoch == position.epoch && log.head >= position.head);
        if !known {
            let log = Log { epoch: position.epoch, head: position.head, last, at: Instant::now() };
            (room.log, room.heard) = (Some(log), 0);
        }
        if begun {
            self.begin(id, info, position);
        }
        self.answer_watchers(id);
        if let Some(room) = self.rooms.get_mut(id) {
            room.live = room.watchers > 0;
        }
        None
    }

    /// Announces what was missed. It may have been anything.
    pub fn take_page(&mut self, id: &RoomId, page: Option<Page>) -> Option<Ask> {
        let room = self.rooms.get_mut(id)?;
        room.reading = false;
        let Some(Page { info, position, events }) = page else {
            self.gone(id);
            return None;
        };
        let log = room.log.as_mut().filter(|_| room.live)?;
        if log.epoch != position.epoch {
            return Some(Ask::Check(Some(log.last())));
        }
        match events.last() {
            Some(last) => (log.head, log.last) = (last.seq, Some(last.id)),
            None if position.head > log.head => (log.head, log.last) = (position.head, None),
            None => {}
        }
        log.at = Instant::now();
        let more = room.heard.max(position.head) > log.head;
        let ask = if more { room.read_on() } else { None };
        if !events.is_empty() {
            let mut announcement = Announcement::new(id.clone(), position.epoch, events);
            announcement.redacted = announcement.events.iter().any(|event| event.kind == Kind::Delete);
            // A right may have ended with them, which nobody needs in a public room.
            announcement.shut = info.kind != RoomKind::Public;
            announcement.changed = Some(info);
            self.announce(announcement);
        }
        ask
    }

    /// Lets the watcher hear what has come together.
    pub fn flush(&mut self) {
        if !self.out.announcements.is_empty() || !self.out.receipts.is_empty() {
            self.commit();
        }
    }

    /// Even where nothing waits: whose post was refused by itself hears of it when others are woken.
    pub fn commit(&mut self) {
        self.watcher.committed(std::mem::take(&mut self.out));
    }

    fn answer_watchers(&mut self, id: &RoomId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        for asking in room.asking.drain(..) {
            room.watchers += 1;
            // Who does not wait any more drops it, which ends it.
            let _ = asking.send(Ok((self.watch)(id)));
        }
    }

    /// The room is no more.
    fn gone(&mut self, id: &RoomId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        let known = room.log.take();
        if std::mem::take(&mut room.live)
            && let Some(log) = known
        {
            let mut announcement = Announcement::new(id.clone(), log.epoch, Vec::new());
            (announcement.shut, announcement.deleted) = (true, true);
            self.announce(announcement);
        }
    }

    /// The room's log has begun another life.
    fn begin(&mut self, id: &RoomId, info: RoomInfo, position: Position) {
        let mut announcement = Announcement::new(id.clone(), position.epoch, Vec::new());
        (announcement.redacted, announcement.shut) = (true, true);
        (announcement.changed, announcement.began) = (Some(info), Some(position));
        self.announce(announcement);
        let owed = self.rooms.get_mut(id).map(|room| std::mem::take(&mut room.owed));
        for (_, receipt) in owed.into_iter().flatten() {
            self.out.receipts.push(Receipt { outcome: Err(Error::UnknownOutcome), ..receipt });
        }
    }

    /// At most one for each room goes out together.
    fn announce(&mut self, new: Announcement) {
        let id = new.room.clone();
        let plain = !new.redacted && !new.shut && new.ended.is_empty() && new.changed.is_none();
        let before = self.out.announcements.iter_mut().find(|announcement| announcement.room == id);
        match before {
            Some(before) if plain && !before.deleted && before.epoch == new.epoch => before.events.extend(new.events),
            Some(_) => {
                self.flush();
                self.out.announcements.push(new);
            }
            None => self.out.announcements.push(new),
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let head = room.log.as_ref().filter(|_| room.live).map_or(Seq::MAX, |log| log.head);
        let (due, owed) = room.owed.drain(..).partition(|(seq, _)| *seq <= head);
        room.owed = owed;
        let due: Vec<(Seq, Receipt)> = due;
        self.out.receipts.extend(due.into_iter().map(|(_, receipt)| receipt));
    }
}

impl Log {
    fn last(&self) -> Asked {
        Asked { epoch: self.epoch, seq: self.head, id: self.last }
    }
}

impl Room {
    /// What comes after the head is to be read, unless it is being read already.
    fn read_on(&mut self) -> Option<Ask> {
        let head = self.log.as_ref()?.head;
        if std::mem::replace(&mut self.reading, true) { None } else { Some(Ask::Page(head)) }
    }
}
