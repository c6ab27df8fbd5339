//! The live rooms of this node. Hears what was committed, keeps the tails, and tells the workers, with one wake-up a
//! worker and batch. It knows no connection: what a worker does with the news is worker.rs.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, mpsc};

use super::presence::Heard;
use super::room::Room;
use super::tail::Segment;
use super::user::{ConnectionId, User};
use crate::error::Result;
use crate::protocol::{Author, CloseCode, Kind, Ref, RoomId, RoomKind, Seq, UserId};
use crate::store::{Announcement, Committed, NodeId, RoomInfo, Tiding, Watcher};

/// How much the tails may hold.
#[derive(Clone, Copy, Debug)]
pub struct TailLimits {
    pub room_bytes: usize,
    pub all_bytes: usize,
}

/// What a worker is told.
pub enum News {
    /// Something was committed to this room.
    Deliver(Arc<Room>),
    /// What became of a connection's post.
    Settled {
        connection: ConnectionId,
        reference: Option<Ref>,
        room: RoomId,
        outcome: Result<Seq>,
    },
    /// A push for all live readers of a room.
    Signal {
        room: Arc<Room>,
        json: Arc<str>,
    },
    /// A push for some connections.
    Tell {
        connections: Vec<ConnectionId>,
        json: Arc<str>,
    },
    /// A push for every connection.
    TellAll {
        json: Arc<str>,
    },
    /// What was withheld may be read.
    LetGo,
    /// New messages in rooms that connections may have joined without being subscribed.
    Stirred(Arc<HashSet<RoomId>>),
    /// The read marker of these connections' user moved in this room.
    MarkerMoved {
        connections: Vec<ConnectionId>,
        room: RoomId,
    },
    /// A connection's user joined a room, or left it.
    Member {
        connections: Vec<ConnectionId>,
        room: RoomId,
        joined: bool,
    },
    Close {
        connections: Vec<ConnectionId>,
        code: CloseCode,
    },
    Drain,
}

/// A worker's letter box.
#[derive(Default)]
pub struct Inbox {
    news: Mutex<Vec<News>>,
    unrung: AtomicBool,
    /// The worker waits for the next commit, whether or not that brings it anything.
    awaits_commit: AtomicBool,
    bell: Notify,
}

impl Inbox {
    /// Puts news into the box; the worker looks when the bell is rung.
    pub fn put(&self, news: News) {
        self.news.lock().push(news);
        self.unrung.store(true, Ordering::Release);
    }

    /// Wakes the worker, if there is anything new.
    pub fn ring(&self) {
        if self.unrung.swap(false, Ordering::AcqRel) {
            self.bell.notify_one();
        }
    }

    fn ring_after_commit(&self) {
        if self.awaits_commit.swap(false, Ordering::SeqCst) {
            self.bell.notify_one();
        }
        self.ring();
    }

    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Takes all news in the order in which they came, leaving the emptied `into` in their place.
    pub fn take(&self, into: &mut Vec<News>) {
        into.clear();
        std::mem::swap(&mut *self.news.lock(), into);
    }
}

pub struct Hub {
    rooms: RwLock<HashMap<RoomId, Weak<Room>>>,
    inboxes: Box<[Arc<Inbox>]>,
    limits: TailLimits,
    all_tails: Arc<AtomicUsize>,
    appends: AtomicU64,
    /// Posts whose outcome is not known yet.
    posts_under_way: AtomicUsize,
    due: Mutex<Due>,
    due_changed: Notify,
    stirred: Mutex<HashSet<RoomId>>,
    moved: Mutex<HashMap<(RoomId, UserId), Arc<User>>>,
    /// Rooms in which somebody came or went here, of whom the other nodes have not been told. Held so that the last who
    /// goes is told of, too.
    untold: Mutex<HashMap<RoomId, Arc<Room>>>,
    tell_tidings: mpsc::UnboundedSender<Tiding>,
    tidings: Mutex<Option<mpsc::UnboundedReceiver<Tiding>>>,
    /// How often the store was away and what may have changed meanwhile was not looked at yet: until then nothing new
    /// is delivered.
    held_back: AtomicUsize,
    /// There is something new: even who reads on by themselves must wait, while what was there before may be read.
    withheld: AtomicBool,
}

/// When each room next has signals to push.
#[derive(Default)]
struct Due {
    order: BTreeSet<(Instant, RoomId)>,
    of_room: HashMap<RoomId, Instant>,
}

/// How long what was committed waits at most for what is being committed: as long as a slow disk's commits take under
/// load, or nearly all of the waits would be in vain.
const COMMIT_PATIENCE: Duration = Duration::from_millis(6);
/// How often joined rooms' unread counts are told at most.
const STIRRED_EVERY: Duration = Duration::from_secs(1);

impl Hub {
    pub fn new(workers: usize, limits: TailLimits) -> Self {
        let (tell_tidings, tidings) = mpsc::unbounded_channel();
        Self {
            rooms: RwLock::default(),
            inboxes: (0..workers).map(|_| Arc::default()).collect(),
            limits,
            all_tails: Arc::default(),
            appends: AtomicU64::new(0),
            posts_under_way: AtomicUsize::new(0),
            due: Mutex::default(),
            due_changed: Notify::new(),
            stirred: Mutex::default(),
            moved: Mutex::default(),
            untold: Mutex::default(),
            tell_tidings,
            tidings: Mutex::new(Some(tidings)),
            held_back: AtomicUsize::new(0),
            withheld: AtomicBool::new(false),
        }
    }

    /// What the store tells beside what was committed; it is given once.
    pub fn take_tidings(&self) -> Option<mpsc::UnboundedReceiver<Tiding>> {
        self.tidings.lock().take()
    }

    pub fn inbox(&self, worker: usize) -> &Arc<Inbox> {
        &self.inboxes[worker]
    }

    pub fn workers(&self) -> usize {
        self.inboxes.len()
    }

    /// The bytes in the tails of all rooms.
    pub fn tail_bytes(&self) -> usize {
        self.all_tails.load(Ordering::Relaxed)
    }

    /// A post was begun; `post_ends` follows, before the workers hear of the commit.
    pub fn post_begins(&self) {
        self.posts_under_way.fetch_add(1, Ordering::SeqCst);
    }

    pub fn post_ends(&self) {
        self.posts_under_way.fetch_sub(1, Ordering::SeqCst);
    }

    /// Comes to pass with the next commit or other news, if posts are under way; after a moment in any case.
    pub async fn next_commit(&self, worker: usize) {
        let inbox = &self.inboxes[worker];
        // In one order for all threads: either the post's end is seen here, or the wish to be rung for is seen there.
        inbox.awaits_commit.store(true, Ordering::SeqCst);
        if self.posts_under_way.load(Ordering::SeqCst) > 0 {
            // Late or not makes no difference.
            let _ = tokio::time::timeout(COMMIT_PATIENCE, inbox.bell.notified()).await;
        }
        inbox.awaits_commit.store(false, Ordering::SeqCst);
    }

    /// The room, if it is live.
    pub fn room(&self, id: &RoomId) -> Option<Arc<Room>> {
        self.rooms.read().get(id).and_then(Weak::upgrade)
    }

    /// Makes the room live: from now on its announcements reach it. It lives as long as somebody holds it.
    pub fn enliven(&self, info: RoomInfo) -> Arc<Room> {
        let mut rooms = self.rooms.write();
        if let Some(room) = rooms.get(&info.id).and_then(Weak::upgrade) {
            return room;
        }
        if rooms.len() >= 64 && rooms.len().is_power_of_two() {
            rooms.retain(|_, room| room.strong_count() > 0);
        }
        let id = info.id.clone();
        let room = Arc::new(Room::new(info, self.workers(), self.limits.room_bytes, self.all_tails.clone()));
        rooms.insert(id, Arc::downgrade(&room));
        room
    }

    /// Lets a page that one reader had to get from the store serve the others too: after a restart, or when all come
    /// back at once, thousands ask for the same events.
    pub fn offer(&self, room: &Room, page: &Arc<Segment>, revision: u64) {
        if self.tail_bytes() + page.size() <= self.limits.all_bytes {
            room.offer(page, revision);
        }
    }

    /// Puts news into one worker's box, or into all, and rings.
    pub fn tell(&self, worker: usize, news: News) {
        self.inboxes[worker].put(news);
        self.inboxes[worker].ring();
    }

    pub fn tell_all(&self, news: impl Fn() -> News) {
        (0..self.workers()).for_each(|worker| self.tell(worker, news()));
    }

    /// Lets the user's connections be told of their read marker in this room, within a second.
    pub fn marker_moved(&self, room: &RoomId, user: &Arc<User>) {
        self.moved.lock().insert((room.clone(), user.id), user.clone());
    }

    /// Lets those who have joined the room and do not read along be told how it stands, within a second.
    pub fn stir(&self, room: &RoomId) {
        self.stirred.lock().insert(room.clone());
    }

    /// Lets a room's signals be pushed when they are due.
    pub fn schedule(&self, room: &RoomId, due: Option<Instant>) {
        let Some(due) = due else { return };
        let mut schedule = self.due.lock();
        match schedule.of_room.get(room).copied() {
            Some(earlier) if earlier <= due => return,
            Some(later) => {
                schedule.order.remove(&(later, room.clone()));
            }
            None => {}
        }
        schedule.order.insert((due, room.clone()));
        schedule.of_room.insert(room.clone(), due);
        drop(schedule);
        self.due_changed.notify_one();
    }

    /// Somebody came to this room here, or went: those who look at it are told, and the other nodes.
    pub fn presence_changed(&self, room: &Arc<Room>, due: Option<Instant>) {
        self.schedule(&room.id, due);
        self.untold.lock().entry(room.id.clone()).or_insert_with(|| room.clone());
    }

    /// The rooms of whose presence the other nodes are to be told.
    pub fn take_untold(&self) -> Vec<Arc<Room>> {
        std::mem::take(&mut *self.untold.lock()).into_values().collect()
    }

    /// Another node tells who came to a room and went.
    pub fn hear_present(&self, room: &RoomId, heard: Heard) {
        let Some(room) = self.room(room) else { return };
        let ((), due) = room.with_presence(|presence| presence.hear(heard));
        self.schedule(&room.id, due);
    }

    /// Nobody is present by this node any more.
    pub fn lose_node(&self, node: &NodeId) {
        for room in self.live_rooms() {
            let ((), due) = room.with_presence(|presence| presence.lose(node));
            self.schedule(&room.id, due);
        }
    }

    /// Somebody who is present by another node.
    pub fn elsewhere(&self, user: UserId) -> Option<Author> {
        self.live_rooms().into_iter().find_map(|room| room.with_presence(|presence| presence.elsewhere(user)).0)
    }

    pub fn live_rooms(&self) -> Vec<Arc<Room>> {
        self.rooms.read().values().filter_map(Weak::upgrade).collect()
    }

    /// What was held back since the store was away is delivered, to whom may still read it.
    pub fn let_go(&self) {
        // The store may have gone away again, or have come back without having been known to be away.
        let _ = self.held_back.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |times| times.checked_sub(1));
        if self.held_back.load(Ordering::SeqCst) == 0 {
            self.deliver_all();
        }
    }

    fn deliver_all(&self) {
        self.withheld.store(false, Ordering::SeqCst);
        for room in self.live_rooms() {
            self.put_delivery(&room);
        }
        self.tell_all(|| News::LetGo);
    }

    /// Whether there is something new in the rooms that must not be read yet.
    pub fn withholds(&self) -> bool {
        self.withheld.load(Ordering::SeqCst)
    }

    fn put_delivery(&self, room: &Arc<Room>) {
        for worker in 0..self.workers() {
            if room.must_tell(worker) {
                self.inboxes[worker].put(News::Deliver(room.clone()));
            }
        }
    }

    /// Pushes signals as they fall due, for ever.
    pub async fn push_signals(&self) {
        let mut stirred = tokio::time::interval(STIRRED_EVERY);
        stirred.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let next = self.due.lock().order.first().map(|(due, _)| *due);
            let wait = async {
                match next {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => self.push_due_signals(Instant::now()),
                () = self.due_changed.notified() => {}
                _ = stirred.tick() => self.tell_stirred(),
            }
        }
    }

    /// Shows a user's new name in the presence of every live room.
    pub fn rename(&self, user: &Author) {
        for room in self.live_rooms() {
            let (is_here, _) = room.with_presence(|presence| {
                presence.rename(user);
                presence.has_untold()
            });
            if is_here {
                self.presence_changed(&room, None);
            }
        }
    }

    fn push_due_signals(&self, now: Instant) {
        loop {
            // Taken in a statement of its own: the lock must not be held below.
            let due = self.due.lock().take_due(now);
            let Some(id) = due else { return };
            let Some(room) = self.room(&id) else { continue };
            let (signals, due) = room.gather_signals(now);
            for json in signals {
                let json: Arc<str> = json.into();
                for worker in 0..self.workers() {
                    if room.has_readers(worker) {
                        self.tell(worker, News::Signal { room: room.clone(), json: json.clone() });
                    }
                }
            }
            self.schedule(&id, due);
        }
    }

    fn tell_stirred(&self) {
        let stirred = std::mem::take(&mut *self.stirred.lock());
        if !stirred.is_empty() {
            let stirred = Arc::new(stirred);
            self.tell_all(|| News::Stirred(stirred.clone()));
        }
        let moved = std::mem::take(&mut *self.moved.lock());
        for ((room, _), user) in moved {
            for (worker, connections) in user.connections(|_| true) {
                self.tell(worker, News::MarkerMoved { connections, room: room.clone() });
            }
        }
    }

    fn announce(&self, announcement: &Announcement) {
        if announcement.events.iter().any(|event| event.kind == Kind::Message) {
            self.stirred.lock().insert(announcement.room.clone());
        }
        let Some(room) = self.room(&announcement.room) else { return };
        let held_back = self.held_back.load(Ordering::SeqCst) > 0;
        if held_back {
            self.withheld.store(true, Ordering::SeqCst);
        }
        room.end_rights(announcement);
        room.append(announcement);
        self.end_typing(&room, announcement);
        room.stirred.store(self.appends.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        match (held_back, self.held_back.load(Ordering::SeqCst) > 0) {
            (false, _) => self.put_delivery(&room),
            // It was let go of meanwhile.
            (true, false) => self.deliver_all(),
            (true, true) => {}
        }
        if announcement.deleted {
            self.rooms.write().remove(&announcement.room);
        }
        if self.tail_bytes() > self.limits.all_bytes {
            self.shrink_tails();
        }
    }

    /// Whoever has sent a message types no more.
    fn end_typing(&self, room: &Room, announcement: &Announcement) {
        let messages = announcement.events.iter().filter(|event| event.kind == Kind::Message);
        let ((), due) = room.with_presence(|presence| {
            messages.for_each(|message| presence.stop_typing(message.author.id));
        });
        self.schedule(&room.id, due);
    }

    /// Drops the tails of the rooms that have been quiet longest, down to 7/8 of what is allowed.
    fn shrink_tails(&self) {
        let mut rooms = self.live_rooms();
        rooms.sort_by_key(|room| room.stirred.load(Ordering::Relaxed));
        for room in rooms {
            if self.tail_bytes() <= self.limits.all_bytes / 8 * 7 {
                return;
            }
            room.drop_tail();
        }
    }
}

impl Watcher for Hub {
    fn committed(&self, batch: Committed) {
        for announcement in &batch.announcements {
            self.announce(announcement);
        }
        for receipt in batch.receipts {
            receipt.done.tell(receipt.outcome);
        }
        for inbox in &self.inboxes {
            inbox.ring_after_commit();
        }
    }

    fn told(&self, tiding: Tiding) {
        match tiding {
            Tiding::Stirred(room) => return self.stir(&room),
            Tiding::Away => drop(self.held_back.fetch_add(1, Ordering::SeqCst)),
            // A public room's readers need no right; if it is one no more, that is announced.
            Tiding::Back | Tiding::Lapsed => {
                for room in self.live_rooms().iter().filter(|room| room.info().kind != RoomKind::Public) {
                    room.doubt_rights();
                }
            }
            _ => {}
        }
        // Nobody listens any more where the node is stopping.
        let _ = self.tell_tidings.send(tiding);
    }
}

impl Due {
    fn take_due(&mut self, now: Instant) -> Option<RoomId> {
        if self.order.first().is_none_or(|(due, _)| *due > now) {
            return None;
        }
        let (_, room) = self.order.pop_first()?;
        self.of_room.remove(&room);
        Some(room)
    }
}

#[cfg(test)]
mod tests {
    use super::super::presence::Presence;
    use super::*;
    use crate::protocol::{Content, Epoch, Event};

    fn hub() -> Hub {
        Hub::new(1, TailLimits { room_bytes: 1 << 10, all_bytes: 1 << 12 })
    }

    fn info(id: &str) -> RoomInfo {
        RoomInfo::new(id.into(), id.into(), RoomKind::Public)
    }

    #[test]
    fn a_room_lives_as_long_as_somebody_holds_it() {
        let hub = hub();
        let room = hub.enliven(info("garden"));
        assert!(Arc::ptr_eq(&room, &hub.enliven(info("garden"))));
        drop(room);
        assert!(hub.room(&"garden".into()).is_none());
    }

    #[tokio::test]
    async fn what_was_committed_waits_for_what_is_being_committed() {
        use futures_util::poll;

        let hub = hub();
        let nothing = || Committed { announcements: Vec::new(), receipts: Vec::new() };
        assert!(poll!(std::pin::pin!(hub.next_commit(0))).is_ready(), "nothing is under way");
        hub.post_begins();
        let mut waiting = std::pin::pin!(hub.next_commit(0));
        assert!(poll!(&mut waiting).is_pending());
        hub.post_ends();
        hub.committed(nothing());
        assert!(poll!(&mut waiting).is_ready(), "rung for, though the commit brought this worker nothing");
    }

    #[test]
    fn what_comes_before_rights_were_looked_at_again_is_withheld() {
        let hub = hub();
        let garden = hub.enliven(info("garden"));
        let news = || {
            let announcement = Announcement::new(garden.id.clone(), Epoch(1), Vec::new());
            hub.committed(Committed { announcements: vec![announcement], receipts: Vec::new() });
        };
        hub.told(Tiding::Away);
        assert!(!hub.withholds(), "what was there before may be read");
        hub.told(Tiding::Back);
        news();
        assert!(hub.withholds());
        hub.let_go();
        assert!(!hub.withholds());
        news();
        assert!(!hub.withholds());
    }

    #[test]
    fn whoever_has_sent_a_message_types_no_more_wherever_they_sent_it() {
        let (hub, bob) = (hub(), Author { id: UserId::random(), name: "bob".into() });
        let room = hub.enliven(info("garden"));
        let typing = |presence: &mut Presence| presence.typing(bob.clone(), Instant::now());
        assert!(room.with_presence(typing).0, "it is news");
        let message = Event::new(bob.clone(), Kind::Message, Content::message("hi", None, &[], 0));
        let announcement = Announcement::new(room.id.clone(), Epoch(1), vec![Event { seq: 1, ..message }]);
        hub.committed(Committed { announcements: vec![announcement], receipts: Vec::new() });
        assert!(room.with_presence(typing).0, "it is news again");
    }

    #[test]
    fn the_earliest_time_counts_where_a_room_is_scheduled_twice() {
        let (hub, start) = (hub(), Instant::now());
        hub.schedule(&"garden".into(), Some(start + Duration::from_secs(5)));
        hub.schedule(&"garden".into(), Some(start + Duration::from_secs(1)));
        hub.schedule(&"garden".into(), Some(start + Duration::from_secs(3)));
        let mut due = hub.due.lock();
        assert_eq!(due.take_due(start), None);
        assert_eq!(due.take_due(start + Duration::from_secs(1)), Some("garden".into()));
        assert_eq!(due.take_due(start + Duration::from_secs(9)), None);
    }
}
