//! Messages through rooms, kept going by a window or by a clock, and the account of every delivery: who got what, how
//! late, and whether each reader got everything once and in order. A message is under way until its last reader has
//! it, so that "one at a time" is what it says and a server without acknowledgements is measured in the same way.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;

use crate::crowd::{Crowd, Seated};
use crate::dialect::{Dialect, Heard};
use crate::ledger::{Faults, Ledger};
use crate::load::latencies;
use crate::stamp::Stamp;
use crate::swarm::Patience;
use crate::wire;

/// What drives the senders.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Drive {
    /// Messages under way in all: posted, but not yet with every reader.
    Window(usize),
    /// Messages a second, each due at its time, however late the one before is.
    Rate(f64),
}

/// At a fixed rate, a server that is so far behind will not catch up.
const BEHIND_SECONDS: f64 = 2.0;

/// The server cannot keep up with a fixed rate: no fault, but nothing to measure either.
#[derive(Debug)]
pub struct Overload {
    under_way: usize,
}

pub struct Traffic {
    drive: Drive,
    acknowledges: bool,
    text_bytes: usize,
    rooms: Vec<Room>,
    /// By connection: its room.
    homes: Vec<u32>,
    posted: usize,
    acknowledged: usize,
    /// Messages that every reader of their room has.
    complete: usize,
    pub deliveries: u64,
    /// Of the messages, each counted once.
    pub payloads: Mean,
    /// Nanoseconds from when a message was due until a reader had it.
    pub latency: Histogram<u64>,
    refused: Option<String>,
    patience: Patience,
}

#[derive(Clone, Copy, Default)]
pub struct Mean {
    sum: u64,
    count: u64,
}

struct Room {
    readers: Range<usize>,
    senders: Range<usize>,
    /// By sender: how much it has posted.
    posted: Vec<u64>,
    lanes: Vec<Lane>,
    ledger: Ledger,
}

/// The messages from the first one on that some reader lacks.
struct Lane {
    first: u64,
    messages: VecDeque<Message>,
}

#[derive(Clone, Copy)]
struct Message {
    /// Nothing for an event that is not a message of ours.
    due: Option<u64>,
    /// Readers that do not have it yet.
    left: usize,
}

impl Traffic {
    /// `rooms`: the readers and the senders of each. Every text is so many bytes long.
    pub fn new(dialect: Dialect, rooms: Vec<(Seated, Seated)>, drive: Drive, text_bytes: usize) -> Result<Self> {
        let connections = rooms.iter().map(|(readers, senders)| readers.connections.end.max(senders.connections.end));
        let mut homes = vec![0; connections.max().unwrap_or(0)];
        for (home, (readers, senders)) in (0..).zip(&rooms) {
            homes[readers.connections.clone()].fill(home);
            homes[senders.connections.clone()].fill(home);
        }
        Ok(Self {
            drive,
            acknowledges: dialect.acknowledges(),
            text_bytes,
            rooms: rooms.into_iter().map(|(readers, senders)| Room::new(&readers, senders.connections)).collect(),
            homes,
            posted: 0,
            acknowledged: 0,
            complete: 0,
            deliveries: 0,
            payloads: Mean::default(),
            latency: latencies()?,
            refused: None,
            patience: Patience::new("the next delivery"),
        })
    }

    /// Keeps it going for so long.
    pub fn keep_up(&mut self, crowd: &mut Crowd, time: Duration) -> Result<()> {
        let start = crowd.now();
        let end = start + u64::try_from(time.as_nanos())?;
        match self.drive {
            Drive::Window(window) => {
                while crowd.now() < end {
                    while self.posted < self.complete + window {
                        self.post(crowd, crowd.now());
                    }
                    self.turn(crowd, None)?;
                }
            }
            Drive::Rate(per_second) => {
                let apart = Duration::from_secs_f64(1.0 / per_second).as_nanos();
                let apart = u64::try_from(apart)?.max(1);
                let mut due = start;
                while crowd.now() < end {
                    while due <= crowd.now() {
                        self.post(crowd, due);
                        due += apart;
                    }
                    self.turn(crowd, Some(due))?;
                    let under_way = self.posted - self.complete;
                    if under_way as f64 > per_second * BEHIND_SECONDS {
                        return Err(Overload { under_way }.into());
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits until everyone has everything; an error if anything was lost, duplicated or reordered.
    pub fn finish(&mut self, crowd: &mut Crowd) -> Result<()> {
        while self.complete < self.posted || (self.acknowledges && self.acknowledged < self.posted) {
            self.turn(crowd, None)?;
        }
        let faults = self.faults();
        if faults.any() || self.complete > self.posted {
            bail!("of {} deliveries: {faults}; {} posted, {} came", self.deliveries, self.posted, self.complete);
        }
        Ok(())
    }

    /// Rooms take turns, and so do the senders of each.
    fn post(&mut self, crowd: &mut Crowd, due: u64) {
        let rooms = self.rooms.len();
        let room = &mut self.rooms[self.posted % rooms];
        let lane = (self.posted / rooms) % room.posted.len();
        let number = room.posted[lane];
        room.posted[lane] += 1;
        crowd.post(room.senders.start + lane, number, &Stamp { due, lane, number }.text(self.text_bytes));
        self.posted += 1;
    }

    fn turn(&mut self, crowd: &mut Crowd, until: Option<u64>) -> Result<()> {
        let before = (self.deliveries, self.acknowledged, self.posted);
        crowd.turn(until, |who, heard, now| self.hears(who, &heard, now))?;
        if let Some(refused) = self.refused.take() {
            bail!("{refused}");
        }
        let idle = self.complete == self.posted;
        let progress = idle || before != (self.deliveries, self.acknowledged, self.posted);
        self.patience
            .check(progress)
            .with_context(|| format!("of {} deliveries so far {}", self.deliveries, self.faults()))
    }

    fn hears(&mut self, who: usize, heard: &Heard, now: u64) {
        match *heard {
            Heard::Delivered { lane, number, message } => self.delivered(who, lane, number, message, now),
            Heard::Acknowledged => self.acknowledged += 1,
            Heard::Refused(ref why) => self.refused = Some(why.clone()),
            Heard::In { .. } => self.refused = Some(format!("connection {who} was let in twice")),
        }
    }

    fn delivered(&mut self, who: usize, lane: usize, number: u64, message: &[u8], now: u64) {
        let room = &mut self.rooms[self.homes[who] as usize];
        if !room.readers.contains(&who) || lane >= room.lanes.len() {
            self.refused = Some(format!("connection {who} got what nobody sent to it: {lane}:{number}"));
            return;
        }
        self.deliveries += 1;
        let (reader, lanes) = (who - room.readers.start, room.lanes.len());
        if !room.ledger.delivered(reader * lanes + lane, number) {
            return;
        }
        let readers = room.readers.len();
        let Some((due, first, last)) = room.lanes[lane].count_off(number, readers, || wire::due(message)) else {
            return;
        };
        if let Some(due) = due {
            self.latency.saturating_record(now.saturating_sub(due));
            self.complete += usize::from(last);
            if first {
                self.payloads.add(message.len());
            }
        }
    }

    fn faults(&self) -> Faults {
        self.rooms.iter().map(|room| room.ledger.faults(&room.lanes.iter().map(Lane::end).collect::<Vec<_>>())).sum()
    }
}

impl Error for Overload {}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "it cannot keep up: {} messages under way", self.under_way)
    }
}

impl Room {
    fn new(readers: &Seated, senders: Range<usize>) -> Self {
        // A room that numbers its messages itself has one lane, else each sender has one.
        let (lanes, first) = readers.head.map_or((senders.len(), 0), |head| (1, head + 1));
        Self {
            posted: vec![0; senders.len()],
            lanes: (0..lanes).map(|_| Lane { first, messages: VecDeque::new() }).collect(),
            ledger: Ledger::new(readers.connections.len() * lanes, first),
            readers: readers.connections.clone(),
            senders,
        }
    }
}

impl Lane {
    /// Notes that one more reader has this message: when it was due, and whether that was the first and the last of
    /// them. `due` is asked for the first.
    fn count_off(
        &mut self,
        number: u64,
        readers: usize,
        due: impl FnOnce() -> Option<u64>,
    ) -> Option<(Option<u64>, bool, bool)> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        if place >= self.messages.len() {
            self.messages.resize(place + 1, Message { due: None, left: readers });
        }
        let message = &mut self.messages[place];
        let first = message.left == readers;
        if first {
            message.due = due();
        }
        message.left = message.left.checked_sub(1)?;
        let counted = (message.due, first, message.left == 0);
        while self.messages.front().is_some_and(|message| message.left == 0) {
            self.messages.pop_front();
            self.first += 1;
        }
        Some(counted)
    }

    /// The number after the last one that any reader has.
    fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }
}

impl Mean {
    fn add(&mut self, value: usize) {
        self.sum += value as u64;
        self.count += 1;
    }

    /// Rounded; nothing while nothing was added.
    pub fn value(self) -> Option<usize> {
        usize::try_from((self.sum + self.count / 2).checked_div(self.count)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections 0 and 1 read, 2 and 3 send.
    fn traffic(dialect: Dialect, head: Option<u64>) -> Traffic {
        let seated = |connections, head| Seated { connections, head };
        let mut traffic =
            Traffic::new(dialect, vec![(seated(0..2, head), seated(2..4, None))], Drive::Window(1), 64).unwrap();
        traffic.posted = 2;
        traffic
    }

    fn event(due: u64) -> Vec<u8> {
        let text = Stamp { due, lane: 0, number: 0 }.text(64);
        format!(r#"{{"type":"event","room":"r","text":"{text}"}}"#).into_bytes()
    }

    #[test]
    fn a_message_is_complete_when_every_reader_has_it() {
        let mut traffic = traffic(Dialect::Chinwag, Some(10));
        traffic.delivered(0, 0, 11, &event(1000), 5000);
        assert_eq!((traffic.complete, traffic.deliveries), (0, 1));
        traffic.delivered(1, 0, 11, &event(1000), 6000);
        assert_eq!((traffic.complete, traffic.deliveries), (1, 2));
        assert_eq!(traffic.latency.len(), 2);
        assert_eq!(traffic.payloads.value(), Some(event(1000).len()));
        assert!(!traffic.faults().any());
    }

    #[test]
    fn an_event_of_another_kind_is_no_message() {
        let mut traffic = traffic(Dialect::Chinwag, Some(0));
        traffic.delivered(0, 0, 1, br#"{"type":"event","room":"r","seq":1,"kind":"member"}"#, 1);
        assert_eq!((traffic.complete, traffic.deliveries, traffic.latency.len()), (0, 1, 0));
    }

    #[test]
    fn a_gap_is_found_in_its_lane() {
        let mut traffic = traffic(Dialect::Plain, None);
        let text = |lane, number| Stamp { due: 1, lane, number }.text(64).into_bytes();
        for reader in [0, 1] {
            traffic.delivered(reader, 0, 0, &text(0, 0), 1);
            traffic.delivered(reader, 1, 0, &text(1, 0), 1);
        }
        assert!(!traffic.faults().any());
        traffic.delivered(0, 1, 2, &text(1, 2), 1);
        assert_eq!(traffic.faults().lost, 3, "one by the reader that got the next, two by the other");
    }

    #[test]
    fn what_nobody_sent_is_refused() {
        let mut traffic = traffic(Dialect::Plain, None);
        traffic.delivered(0, 2, 0, b"", 1);
        assert!(traffic.refused.take().is_some(), "no such lane");
        traffic.delivered(2, 0, 0, b"", 1);
        assert!(traffic.refused.is_some(), "no reader");
    }
}
