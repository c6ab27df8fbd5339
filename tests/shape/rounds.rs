//! Rounds over a room's readers, whose sockets only count: one write to each reader however much was committed, the
//! same bytes for all, and nothing from the heap.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;

use chinwag::chat::connection::{Connection, LocalRoom, LocalRooms, Pumped, Reader, Wire};
use chinwag::chat::hub::{Hub, TailLimits};
use chinwag::chat::room::{Ahead, Room};
use chinwag::chat::tail::View;
use chinwag::chat::user::User;
use chinwag::protocol::{Author, Content, Cursor, Epoch, Event, Kind, Position, RoomKind, Seq, UserId};
use chinwag::store::{Announcement, RoomInfo};
use jiff::Timestamp;
use uuid::Uuid;

use crate::heap;

const EPOCH: Epoch = Epoch(1);

#[test]
fn a_batch_is_one_write_to_each_reader_however_many_events_it_holds() {
    let mut play = Play::with_readers(20);
    let single = play.delivers(&[1]).bytes;
    for events in [1, 16, 256] {
        let delivery = play.delivers(&[events]);
        assert_eq!((delivery.writes, delivery.slices), (1, 1), "{events} events");
        assert!(delivery.bytes > single * events / 2, "all of the {events} events: {} bytes", delivery.bytes);
    }
}

#[test]
fn what_gathered_meanwhile_goes_out_with_one_write() {
    let mut play = Play::with_readers(20);
    let delivery = play.delivers(&[3; 40]);
    assert_eq!((delivery.writes, delivery.slices), (1, 40), "a slice for each of 40 commits");
    // One write takes so many slices.
    let delivery = play.delivers(&[3; View::SLICES + 1]);
    assert_eq!((delivery.writes, delivery.slices), (2, View::SLICES + 1));
}

#[test]
fn all_readers_are_sent_the_bytes_of_the_tail_and_not_copies() {
    let mut play = Play::with_readers(20);
    let before = play.cursor();
    play.delivers(&[4]);
    let mut view = View::default();
    assert_eq!(play.local.room.view_after(before, &mut view), Ahead::Frames);
    let tail = Counter::default();
    view.write_after(before.seq, |frames| tail.write(frames)).unwrap();
    assert!(play.wires.iter().all(|wire| wire.lent == tail.lent));
}

#[test]
fn rounds_take_nothing_from_the_heap() {
    for readers in [1, 300] {
        let mut play = Play::with_readers(readers);
        for commits in [1, 2, 64] {
            // The first time the view grows to what it then keeps.
            play.delivers(&vec![1; commits]);
            for events in [1, 16, 256] {
                let delivery = play.delivers(&vec![events; commits]);
                assert_eq!(
                    delivery.allocations, 0,
                    "{commits} commits of {events} events were brought to {readers} readers"
                );
            }
        }
    }
}

/// A room and its readers on one worker, all of them live.
struct Play {
    local: Rc<LocalRoom>,
    wires: Vec<Rc<Counter>>,
    view: View,
    /// Held as the worker holds it.
    _rooms: Rc<LocalRooms>,
}

/// What one round did.
struct Delivery {
    /// To each reader.
    writes: usize,
    slices: usize,
    bytes: usize,
    /// For all readers together.
    allocations: i64,
}

impl Play {
    fn with_readers(count: u64) -> Self {
        let hub = Arc::new(Hub::new(1, TailLimits { room_bytes: 16 << 20, all_bytes: 64 << 20 }));
        let room = hub.enliven(RoomInfo::new("garden".into(), "Garden".into(), RoomKind::Public));
        assert!(room.learn(Position { epoch: EPOCH, oldest: 1, head: 0 }));
        let rooms = Rc::<LocalRooms>::default();
        let local = Rc::new(LocalRoom::new(room.clone(), 0, hub, &rooms));
        rooms.borrow_mut().insert(room.id.clone(), local.clone());
        let mut play = Self { local, wires: Vec::new(), view: View::default(), _rooms: rooms };
        for id in 1..=count {
            play.comes(id);
        }
        play
    }

    /// One more reader, who has read everything and was told who is there.
    fn comes(&mut self, id: u64) {
        let wire = Rc::new(Counter::default());
        let user = Arc::new(User::guest(UserId::random(), format!("reader-{id}").into()));
        let connection = Rc::new(Connection::new(id, user, true, wire.clone(), Arc::default()));
        let reader = Rc::new(Reader::new(connection.clone(), self.local.clone(), self.cursor(), 0));
        connection.add_reader(reader.clone());
        self.local.attach(reader.clone());
        assert!(matches!(connection.pump(&mut self.view, false), Pumped::Idle) && reader.is_live());
        self.wires.push(wire);
    }

    /// Commits so many events each, then delivers them in one round, and says what that did to every reader alike.
    fn delivers(&mut self, commits: &[usize]) -> Delivery {
        let room: &Room = &self.local.room;
        for events in commits {
            room.append(&announcement(room, *events));
        }
        self.wires.iter().for_each(|wire| wire.forget());
        let before = heap::here();
        assert!(self.local.begin_round());
        while self.local.is_in_round() {
            self.local.deliver_slice(&mut self.view, 256);
        }
        let taken = heap::here() - before;
        let first = &self.wires[0];
        for wire in &self.wires {
            assert_eq!(
                (wire.writes.get(), wire.slices.get(), wire.bytes.get()),
                (first.writes.get(), first.slices.get(), first.bytes.get()),
                "one reader as the other"
            );
        }
        Delivery {
            writes: first.writes.get(),
            slices: first.slices.get(),
            bytes: first.bytes.get(),
            allocations: taken.allocations,
        }
    }

    /// The cursor of who has read everything.
    fn cursor(&self) -> Cursor {
        self.local.room.position().unwrap().head_cursor()
    }
}

/// The next events of the room.
fn announcement(room: &Room, events: usize) -> Announcement {
    let author = Author { id: UserId(Uuid::nil()), name: "bob".into() };
    let event = |seq| Event {
        seq,
        id: Uuid::nil(),
        kind: Kind::Message,
        at: Timestamp::UNIX_EPOCH,
        author: author.clone(),
        txn_id: None,
        target: None,
        content: Some(Content::message("what is new?", None, &[], 1)),
    };
    let head = room.position().unwrap().head;
    let events = (head + 1..=head + events as Seq).map(event).collect();
    Announcement::new(room.id.clone(), EPOCH, events)
}

/// A wire that takes everything and keeps nothing.
#[derive(Default)]
struct Counter {
    writes: Cell<usize>,
    slices: Cell<usize>,
    bytes: Cell<usize>,
    /// Where the bytes of the last write stand.
    lent: Cell<usize>,
}

impl Counter {
    fn forget(&self) {
        self.writes.set(0);
        self.slices.set(0);
        self.bytes.set(0);
    }
}

impl Wire for Counter {
    fn write(&self, frames: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes = frames.iter().map(|frame| frame.len()).sum();
        self.writes.set(self.writes.get() + 1);
        self.slices.set(self.slices.get() + frames.len());
        self.bytes.set(self.bytes.get() + bytes);
        self.lent.set(frames[0].as_ptr().addr());
        Ok(bytes)
    }
}
