//! What a delivery costs as the rooms grow in number and all else stays: the same connections, ten of them in each room,
//! the same number of posts under way, which the rooms take in turn. Ten neighbouring sockets get each post, however
//! many rooms they share, so the kernel's part stays the same. 10 rooms are told, but not held against the others: they
//! have a tenth of the connections, each of which gets several posts with one write.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{DELIVERIES, EACH, P50, P99, WITHOUT_LOG, megabytes, millis, scene};
use crate::dialect::Dialect;
use crate::figure::{Figure, readable};
use crate::ledger::Ledger;
use crate::limits;
use crate::load::latencies;
use crate::server::Launcher;
use crate::swarm::{Patience, Swarm};
use crate::watch::Spent;
use crate::wire::{self, Reply};

const SIZES: [usize; 4] = [10, 100, 1000, 10_000];
/// Each size that is held against a smaller one.
const RATIOS: [(usize, usize); 2] = [(1000, 100), (10_000, 100)];
pub const TARGET_RATIO: f64 = 1.2;
/// In each room.
const READERS: usize = 10;
const SENDERS: usize = 4;
const WARM_UP: Duration = Duration::from_secs(1);
const MICRO: f64 = 1e6;

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Connections that read, a multiple of ten
    #[arg(long, default_value_t = Options::default().connections)]
    pub connections: usize,
    /// Posts under way in all rooms together: fewer than a tenth of the connections, lest one gets two at once
    #[arg(long, default_value_t = Options::default().window)]
    pub window: usize,
    /// How long to measure each number of rooms
    #[arg(long, default_value_t = Options::default().seconds)]
    pub seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections: 1000, window: 64, seconds: 10 }
    }
}

pub fn run(launcher: &Launcher, options: &Options) -> Result<Vec<Figure>> {
    let tens = options.connections > 0 && options.connections.is_multiple_of(READERS);
    if !tens || options.seconds == 0 || options.window == 0 {
        bail!("--connections must be a multiple of ten, --window and --seconds at least 1");
    }
    // Before the servers start, which inherit the limit.
    limits::allow_connections(options.connections + SENDERS)?;
    let all = SIZES.iter().map(|rooms| measure(launcher, options, *rooms)).collect::<Result<Vec<_>>>()?;
    let mut figures: Vec<Figure> = all.iter().flat_map(Seen::figures).collect();
    for (large, small) in RATIOS {
        let each = |rooms| all.iter().find(|seen| seen.rooms == rooms).map_or(f64::NAN, |seen| seen.each(Spent::total));
        figures.push(Figure::new(ratio_name(large, small), each(large) / each(small), "×").at_most(TARGET_RATIO));
    }
    Ok(figures)
}

/// Names of the figures that have a target.
pub fn ratio_names() -> impl Iterator<Item = String> {
    RATIOS.into_iter().map(|(large, small)| ratio_name(large, small))
}

fn ratio_name(large: usize, small: usize) -> String {
    format!("{EACH}, {} : {} rooms", readable(large as f64), readable(small as f64))
}

/// What was seen with one number of rooms.
struct Seen {
    rooms: usize,
    deliveries: u64,
    took: f64,
    spent: Spent,
    latency: Histogram<u64>,
    resident: u64,
}

impl Seen {
    fn each(&self, seconds: impl Fn(Spent) -> f64) -> f64 {
        seconds(self.spent) * MICRO / self.deliveries as f64
    }

    fn figures(&self) -> [Figure; 6] {
        let name = |what| format!("{} rooms: {what}", readable(self.rooms as f64));
        let quantile = |quantile| millis(self.latency.value_at_quantile(quantile));
        [
            Figure::new(name(EACH), self.each(Spent::total), "µs"),
            Figure::new(name(WITHOUT_LOG), self.each(|spent| spent.total() - spent.log), "µs"),
            Figure::new(name(DELIVERIES), self.deliveries as f64 / self.took, "/s"),
            Figure::new(name(P50), quantile(0.5), "ms"),
            Figure::new(name(P99), quantile(0.99), "ms"),
            Figure::new(name("server resident"), megabytes(self.resident), "MB"),
        ]
    }
}

fn measure(launcher: &Launcher, options: &Options, rooms: usize) -> Result<Seen> {
    let server = launcher.fresh()?;
    let names: Vec<String> = (0..rooms).map(name).collect();
    scene::make_rooms(&server, Dialect::Chinwag, &names)?;
    let mut swarm = Swarm::new(server.address)?;
    let readers = swarm.connect(options.connections)?.len();
    let senders = swarm.connect(SENDERS)?;
    let heads = subscribe(&mut swarm, &names, readers)?;
    let mut run = Run::new(readers, senders, heads, options.window)?;

    // What a room needs for its first post is no part of what one more costs.
    while run.posted < rooms {
        run.keep_up(&mut swarm, WARM_UP)?;
    }
    run.latency.reset();
    let (deliveries, used, since) = (run.deliveries, server.usage()?, Instant::now());
    run.keep_up(&mut swarm, Duration::from_secs(options.seconds))?;
    let took = since.elapsed().as_secs_f64();
    let (deliveries, spent) = (run.deliveries - deliveries, server.usage()?.since(&used));
    let (latency, resident) = (run.latency.clone(), server.resident()?);
    if deliveries == 0 {
        bail!("nothing was delivered");
    }
    run.finish(&mut swarm)?;
    server.stop()?;
    Ok(Seen { rooms, deliveries, took, spent, latency, resident })
}

fn name(room: usize) -> String {
    format!("room-{room}")
}

/// Which connection has this place in this room.
fn member(room: usize, place: usize, readers: usize) -> usize {
    (room * READERS + place) % readers
}

/// Puts ten into each room, and returns the heads.
fn subscribe(swarm: &mut Swarm, names: &[String], readers: usize) -> Result<Vec<u64>> {
    let command = |at: usize| {
        let (room, place) = (at / READERS, at % READERS);
        (member(room, place, readers), json!({"type": "subscribe", "room": names[room], "last": 0}))
    };
    let replies = swarm.ask_all((0..names.len() * READERS).map(command))?;
    let head = |ten: &[Value]| ten.iter().filter_map(|reply| reply["head"].as_u64()).max();
    replies.chunks(READERS).map(|ten| head(ten).context("subscribe replied without a head")).collect()
}

struct Run {
    readers: usize,
    senders: Range<usize>,
    heads: Vec<u64>,
    window: usize,
    posted: usize,
    acknowledged: usize,
    /// By room: the number after the last that was acknowledged, where the first after the head is 1.
    ends: Vec<u64>,
    deliveries: u64,
    /// The rooms are the lanes, and the places in them the readers.
    ledger: Ledger,
    latency: Histogram<u64>,
    refused: Option<String>,
    patience: Patience,
}

impl Run {
    fn new(readers: usize, senders: Range<usize>, heads: Vec<u64>, window: usize) -> Result<Self> {
        Ok(Self {
            readers,
            senders,
            window,
            posted: 0,
            acknowledged: 0,
            ends: vec![1; heads.len()],
            deliveries: 0,
            ledger: Ledger::new(READERS * heads.len(), 1),
            heads,
            latency: latencies()?,
            refused: None,
            patience: Patience::new("the next delivery"),
        })
    }

    /// Keeps the window full for so long.
    fn keep_up(&mut self, swarm: &mut Swarm, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            while self.posted < self.acknowledged + self.window {
                self.post(swarm);
            }
            self.turn(swarm)?;
        }
        Ok(())
    }

    /// Waits until everyone has everything; an error if anything was lost, duplicated or reordered.
    fn finish(&mut self, swarm: &mut Swarm) -> Result<()> {
        while self.acknowledged < self.posted || self.ledger.faults(&self.ends).lost > 0 {
            self.turn(swarm)?;
        }
        let faults = self.ledger.faults(&self.ends);
        if faults.any() {
            bail!("of {} deliveries: {faults}", self.deliveries);
        }
        Ok(())
    }

    /// Rooms take turns, and so do the senders.
    fn post(&mut self, swarm: &mut Swarm) {
        let room = name(self.posted % self.heads.len());
        let sender = self.senders.start + self.posted % self.senders.len();
        let txn_id = format!("bench-{}", self.posted);
        swarm.say(sender, &wire::post(self.posted as u64, &room, &txn_id, swarm.now()));
        self.posted += 1;
    }

    fn turn(&mut self, swarm: &mut Swarm) -> Result<()> {
        let before = (self.posted, self.acknowledged, self.deliveries);
        swarm.turn(|who, text, now| self.hears(who, text, now))?;
        swarm.all_live()?;
        if let Some(refused) = self.refused.take() {
            bail!("{refused}");
        }
        let progress = before != (self.posted, self.acknowledged, self.deliveries);
        self.patience.check(progress).with_context(|| format!("so far {}", self.ledger.faults(&self.ends)))
    }

    fn hears(&mut self, who: usize, text: &[u8], now: u64) {
        if self.senders.contains(&who) {
            match wire::reply(text) {
                Some(Reply::Posted { reference, seq }) => {
                    let room = usize::try_from(reference).unwrap_or(usize::MAX) % self.heads.len();
                    self.acknowledged += 1;
                    self.ends[room] = self.ends[room].max((seq + 1).saturating_sub(self.heads[room]));
                }
                Some(Reply::Error { reference, error }) => self.refused = Some(format!("post {reference}: {error}")),
                Some(Reply::Ok { .. }) | None => {}
            }
        } else if let Some((room, seq)) = event(text) {
            self.delivered(who, room, seq);
            if let Some(due) = wire::due(text) {
                self.latency.saturating_record(now.saturating_sub(due));
            }
        }
    }

    fn delivered(&mut self, who: usize, room: usize, seq: u64) {
        let rooms = self.heads.len();
        let place = (who + self.readers - member(room, 0, self.readers)) % self.readers;
        if room >= rooms || place >= READERS || seq <= self.heads[room] {
            self.refused = Some(format!("connection {who} got seq {seq} of room {room}, which was not for it"));
            return;
        }
        self.deliveries += 1;
        self.ledger.delivered(place * rooms + room, seq - self.heads[room]);
    }
}

/// The room and the seq of an event; nothing for any other frame.
fn event(text: &[u8]) -> Option<(usize, u64)> {
    let (room, seq) = wire::event(text)?;
    Some((room.strip_prefix("room-")?.parse().ok()?, seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event_of(room: usize, seq: u64) -> Vec<u8> {
        format!(r#"{{"type":"event","room":"{}","seq":{seq},"text":"x"}}"#, name(room)).into_bytes()
    }

    /// 20 connections, of which the first ten are in the rooms 0 and 2, the others in 1 and 3; 20 sends.
    fn run() -> Run {
        Run::new(20, 20..21, vec![5; 4], 1).unwrap()
    }

    #[test]
    fn every_room_has_its_own_account() {
        let mut run = run();
        run.hears(20, br#"{"type":"reply","ref":2,"ok":{"room":"room-2","seq":6}}"#, 1);
        assert_eq!(run.ledger.faults(&run.ends).lost, 10);
        for who in 0..10 {
            run.hears(who, &event_of(2, 6), 1);
        }
        assert!(!run.ledger.faults(&run.ends).any());
        run.hears(3, &event_of(2, 6), 1);
        assert_eq!((run.ledger.faults(&run.ends).duplicated, run.deliveries), (1, 11));
        assert!(run.refused.is_none());
    }

    #[test]
    fn what_is_for_others_is_refused() {
        for (who, room, seq) in [(10, 2, 6), (0, 3, 6), (0, 4, 6), (0, 0, 5)] {
            let mut run = run();
            run.hears(who, &event_of(room, seq), 1);
            assert!(run.refused.is_some(), "{who} {room} {seq}");
        }
    }
}
