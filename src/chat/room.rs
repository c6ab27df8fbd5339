//! A live room: where its log stands, its tail, who is online in it, and which workers have readers of it.
//! Shared by all threads; every lock here is held for moments only. It knows no connection and no store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::presence::{Change, Presence};
use super::tail::{FellOff, Segment, Tail, View};
use crate::protocol::{Author, Cursor, Epoch, Position, Presence as PresencePush, Push, RoomId, RoomKind, Seq, UserId};
use crate::store::{Announcement, RoomInfo, Watch};

pub struct Room {
    pub id: RoomId,
    info: Mutex<Known>,
    /// How many rights to read it have ended; `ended` says whose.
    rights: AtomicU64,
    ended: Mutex<Ended>,
    state: Mutex<State>,
    presence: Mutex<Presence>,
    /// By which it hears of all that is committed, as long as it lives.
    watch: Mutex<Option<Watch>>,
    workers: Box<[WorkerMark]>,
    /// The bytes in the tails of all rooms of this node.
    all_tails: Arc<AtomicUsize>,
    /// When the last event came, in appends of the whole hub: the room that has been quiet longest gives up its tail
    /// first.
    pub stirred: AtomicU64,
}

/// What the room is.
struct Known {
    info: Arc<RoomInfo>,
    /// By an announcement, which nothing is newer than that was read.
    announced: bool,
}

struct State {
    /// The life of the log that the tail is of; None before anything is known of it.
    epoch: Option<Epoch>,
    /// None until the store was asked.
    oldest: Option<Seq>,
    tail: Tail,
    /// How often what was read of the log became stale.
    revision: u64,
}

/// How a right to read is over.
#[derive(Debug, PartialEq, Eq)]
pub enum Over {
    Ended,
    /// Perhaps; the store knows.
    Doubtful,
}

/// Which rights to read the room have ended, each by its number.
#[derive(Default)]
struct Ended {
    of: HashMap<UserId, u64>,
    /// The last time that everyone's did, and who has one had to ask again.
    all: u64,
}

/// What one worker has to do with this room.
#[derive(Default)]
struct WorkerMark {
    readers: AtomicU32,
    /// It has been told that there is something to deliver, and has not begun.
    told: AtomicBool,
}

/// What a reader finds after its cursor.
#[derive(Debug, PartialEq, Eq)]
pub enum Ahead {
    /// It stands at the head.
    Nothing,
    /// The view was filled.
    Frames,
    /// Only the store has it.
    FellOff,
    /// The log has begun another life.
    Reset(Position),
}

impl Room {
    pub fn new(info: RoomInfo, workers: usize, tail_bytes: usize, all_tails: Arc<AtomicUsize>) -> Self {
        Self {
            id: info.id.clone(),
            info: Mutex::new(Known { info: Arc::new(info), announced: false }),
            rights: AtomicU64::new(0),
            ended: Mutex::default(),
            state: Mutex::new(State { epoch: None, oldest: None, tail: Tail::new(0, tail_bytes), revision: 0 }),
            presence: Mutex::default(),
            watch: Mutex::default(),
            workers: (0..workers).map(|_| WorkerMark::default()).collect(),
            all_tails,
            stirred: AtomicU64::new(0),
        }
    }

    pub fn info(&self) -> Arc<RoomInfo> {
        self.info.lock().info.clone()
    }

    /// It hears of all that is committed from here on.
    pub fn hold(&self, watch: Watch) {
        *self.watch.lock() = Some(watch);
    }

    pub fn is_watched(&self) -> bool {
        self.watch.lock().is_some()
    }

    /// Takes note of what the store says that the room is, asked since it is live.
    pub fn learn_info(&self, info: RoomInfo) {
        let mut known = self.info.lock();
        if !known.announced {
            known.info = Arc::new(info);
        }
    }

    /// How many rights to read have ended: whoever asks for one notes this before they ask, and `over` tells them
    /// whether it has ended since.
    pub fn rights(&self) -> u64 {
        self.rights.load(Ordering::Acquire)
    }

    /// Whether a user's right has ended that was looked up when so many rights had.
    pub fn over(&self, user: UserId, since: u64) -> Option<Over> {
        let ended = self.ended.lock();
        if ended.of.get(&user).is_some_and(|number| *number > since) {
            return Some(Over::Ended);
        }
        (ended.all > since).then_some(Over::Doubtful)
    }

    /// Takes note of the rights that end with an announcement. Before its events are to be seen, so that whoever finds
    /// them finds this too.
    pub fn end_rights(&self, announcement: &Announcement) {
        if let Some(info) = &announcement.changed {
            *self.info.lock() = Known { info: Arc::new(info.clone()), announced: true };
        }
        if announcement.ended.is_empty() && !announcement.shut {
            return;
        }
        let mut ended = self.ended.lock();
        let number = self.rights.load(Ordering::Acquire) + 1;
        ended.of.extend(announcement.ended.iter().map(|user| (*user, number)));
        if announcement.shut {
            ended.all = number;
        }
        self.rights.store(number, Ordering::Release);
    }

    /// Whoever has a right to read must ask for it again.
    pub fn doubt_rights(&self) {
        let mut ended = self.ended.lock();
        ended.all = self.rights.load(Ordering::Acquire) + 1;
        self.rights.store(ended.all, Ordering::Release);
    }

    /// Where the log stands; `None` until `learn` was called.
    pub fn position(&self) -> Option<Position> {
        self.state.lock().position()
    }

    /// Takes note of what the store says, the first time. Announcements heard since it was asked may know more; where
    /// they are of another life of the log nobody can tell which is the newer, and this is false: ask again.
    pub fn learn(&self, position: Position) -> bool {
        let mut fits = true;
        self.change_tail(|state| fits = state.learn(position));
        fits
    }

    /// Takes what was committed into the tail.
    pub fn append(&self, announcement: &Announcement) {
        let segment = Segment::encode(&self.id, &announcement.events);
        self.change_tail(|state| {
            state.hear(announcement, segment);
            if announcement.redacted {
                state.revision += 1;
                state.tail.clear();
            }
        });
    }

    /// A page that was read from the store before this changed may hold what was redacted since.
    pub fn revision(&self) -> u64 {
        self.state.lock().revision
    }

    /// Takes a page that was read from the store at this revision into the tail, where it goes further back. Of a room
    /// that is not public none is taken: it may be ahead of what was announced, and so of the end of a right.
    pub fn offer(&self, page: &Arc<Segment>, revision: u64) {
        if self.info().kind != RoomKind::Public {
            return;
        }
        self.change_tail(|state| {
            if state.revision == revision {
                state.tail.offer(page);
            }
        });
    }

    /// Drops the tail's frames; readers behind the head catch up from the store.
    pub fn drop_tail(&self) {
        self.change_tail(|state| state.tail.clear());
    }

    fn change_tail(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        let before = state.tail.bytes();
        change(&mut state);
        let after = state.tail.bytes();
        if after >= before {
            self.all_tails.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.all_tails.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// Fills `view` with what stands in the tail after the cursor.
    pub fn view_after(&self, cursor: Cursor, view: &mut View) -> Ahead {
        let state = self.state.lock();
        match state.position() {
            Some(position) if position.epoch != cursor.epoch => return Ahead::Reset(position),
            // A page from the store may have brought the reader further than was announced.
            _ if cursor.seq >= state.tail.head() => return Ahead::Nothing,
            _ => {}
        }
        match state.tail.view_after(cursor.seq, view) {
            Ok(()) => Ahead::Frames,
            Err(FellOff) => Ahead::FellOff,
        }
    }

    pub fn add_reader(&self, worker: usize) {
        self.workers[worker].readers.fetch_add(1, Ordering::AcqRel);
    }

    pub fn remove_reader(&self, worker: usize) {
        self.workers[worker].readers.fetch_sub(1, Ordering::AcqRel);
    }

    pub fn has_readers(&self, worker: usize) -> bool {
        self.workers[worker].readers.load(Ordering::Acquire) > 0
    }

    /// Whether this worker has readers and does not know yet that there is something for them.
    pub fn must_tell(&self, worker: usize) -> bool {
        let mark = &self.workers[worker];
        self.has_readers(worker) && !mark.told.swap(true, Ordering::AcqRel)
    }

    /// This worker begins to deliver: what is committed from now on must be told again.
    pub fn begin_delivery(&self, worker: usize) {
        self.workers[worker].told.store(false, Ordering::Release);
    }

    /// Lets the presence be changed or asked; says when it has something to push.
    pub fn with_presence<T>(&self, act: impl FnOnce(&mut Presence) -> T) -> (T, Option<Instant>) {
        let mut presence = self.presence.lock();
        let answer = act(&mut presence);
        let due = presence.due(Instant::now());
        (answer, due)
    }

    /// Everyone online, as the push that a reader gets once it is live.
    pub fn whole_presence(&self) -> String {
        let presence = self.presence.lock();
        let (online, count) = (presence.whole(), presence.count());
        self.presence_push(online, Vec::new(), Vec::new(), count)
    }

    /// The pushes that are due now, and when the next will be.
    pub fn gather_signals(&self, now: Instant) -> (Vec<String>, Option<Instant>) {
        let mut presence = self.presence.lock();
        let changes = presence.gather(now);
        let due = presence.due(now);
        drop(presence);
        (changes.into_iter().map(|change| self.signal(change)).collect(), due)
    }

    fn signal(&self, change: Change) -> String {
        match change {
            Change::Whole(online) => {
                let count = online.len();
                self.presence_push(Some(online), Vec::new(), Vec::new(), count)
            }
            Change::Presence { joined, left, count } => self.presence_push(None, joined, left, count),
            Change::Typing(users) => Push::Typing { room: &self.id, users: &users }.json(),
        }
    }

    fn presence_push(
        &self,
        online: Option<Vec<Author>>,
        joined: Vec<Author>,
        left: Vec<UserId>,
        count: usize,
    ) -> String {
        Push::Presence(PresencePush { room: &self.id, online, joined, left, count }).json()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.drop_tail();
    }
}

impl State {
    fn position(&self) -> Option<Position> {
        Some(Position { epoch: self.epoch?, oldest: self.oldest?, head: self.tail.head() })
    }

    fn learn(&mut self, position: Position) -> bool {
        if self.oldest.is_some() {
            return true;
        }
        if self.epoch.take().is_some_and(|heard| heard != position.epoch) {
            self.tail.restart();
            return false;
        }
        self.epoch = Some(position.epoch);
        self.oldest = Some(position.oldest);
        self.tail.advance(position.head);
        true
    }

    /// In a new life of the log nothing that stands here is true any more.
    fn enter(&mut self, epoch: Epoch) {
        if self.epoch.is_some_and(|known| known != epoch) {
            self.revision += 1;
            self.tail.restart();
            self.oldest = self.oldest.map(|_| 1);
        }
        self.epoch = Some(epoch);
    }

    fn hear(&mut self, announcement: &Announcement, segment: Option<Segment>) {
        // What is heard before the store was asked is kept, since the answer may be older.
        self.enter(announcement.epoch);
        if let Some(position) = announcement.began {
            self.oldest = self.oldest.map(|_| position.oldest);
            self.tail.advance(position.head);
        }
        if let Some(segment) = segment
            && segment.last() > self.tail.head()
        {
            if segment.first() > self.tail.head() + 1 {
                // What was not heard may have been a redaction.
                self.revision += 1;
            }
            self.tail.append(Arc::new(segment));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private() -> RoomInfo {
        RoomInfo::new("garden".into(), "Garden".into(), RoomKind::Private)
    }

    fn public() -> RoomInfo {
        RoomInfo { kind: RoomKind::Public, ..private() }
    }

    fn announcement() -> Announcement {
        Announcement::new("garden".into(), Epoch(1), Vec::new())
    }

    #[test]
    fn what_was_announced_is_newer_than_what_was_read() {
        let room = Room::new(public(), 1, 1 << 10, Arc::default());
        room.learn_info(private());
        assert_eq!(room.info().kind, RoomKind::Private, "asked again since it is live");
        room.end_rights(&Announcement { changed: Some(public()), ..announcement() });
        room.learn_info(private());
        assert_eq!(room.info().kind, RoomKind::Public);
    }

    #[test]
    fn a_right_is_over_that_was_looked_up_before_it_ended() {
        let (ann, bob) = (UserId::random(), UserId::random());
        let room = Room::new(private(), 1, 1 << 10, Arc::default());
        let before = room.rights();
        room.end_rights(&Announcement { ended: vec![bob], ..announcement() });
        let between = room.rights();
        assert_eq!((room.over(bob, before), room.over(ann, before)), (Some(Over::Ended), None));
        assert_eq!(room.over(bob, between), None, "he was let in again");
        room.end_rights(&Announcement { shut: true, ..announcement() });
        assert_eq!((room.over(ann, between), room.over(ann, room.rights())), (Some(Over::Doubtful), None));
    }

    #[test]
    fn a_reader_of_a_former_life_is_sent_to_the_head_of_the_new_one() {
        let room = Room::new(private(), 1, 1 << 10, Arc::default());
        assert!(room.learn(Position { epoch: Epoch(1), oldest: 1, head: 9 }));
        let position = Position { epoch: Epoch(2), oldest: 3, head: 7 };
        let began = Announcement { began: Some(position), ..Announcement::new(room.id.clone(), Epoch(2), Vec::new()) };
        room.append(&began);
        let ahead = room.view_after(Cursor { epoch: Epoch(1), seq: 9 }, &mut View::default());
        assert_eq!((ahead, room.position()), (Ahead::Reset(position), Some(position)));
    }
}
