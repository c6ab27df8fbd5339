//! One room, many readers: what a delivery costs the server, how soon it is there, and whether every reader gets
//! every event once and in order. A message is under way until its last reader has it, so that "one at a time" is
//! what it says and a server without acknowledgements can be measured in the same way.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use serde_json::json;

use super::{create_room, millis};
use crate::figure::Figure;
use crate::ledger::Ledger;
use crate::limits;
use crate::load::latencies;
use crate::server::{self, Launcher};
use crate::swarm::{Patience, Swarm};
use crate::wire::{self, Reply, SeqReader};

const WARM_UP: Duration = Duration::from_secs(2);
const MICRO: f64 = 1e6;

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Connections that read
    #[arg(long, default_value_t = Options::default().readers)]
    pub readers: usize,
    /// Connections that post
    #[arg(long, default_value_t = Options::default().senders)]
    pub senders: usize,
    /// Messages under way in all: posted, but not yet with every reader
    #[arg(long, default_value_t = Options::default().window)]
    pub window: usize,
    /// How long to measure
    #[arg(long, default_value_t = Options::default().seconds)]
    pub seconds: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 1000, senders: 4, window: 64, seconds: 10 }
    }
}

pub fn run(launcher: &Launcher, options: &Options) -> Result<Vec<Figure>> {
    if options.readers == 0 || options.senders == 0 || options.window == 0 {
        bail!("--readers, --senders and --window must be at least 1");
    }
    limits::allow_connections(options.readers + options.senders)?;
    let server = launcher.fresh()?;
    let mut swarm = Swarm::new(server.address)?;
    let readers = swarm.connect(options.readers)?;
    let senders = swarm.connect(options.senders)?;
    let room = create_room(&mut swarm, senders.start, "Fan-out")?;
    let heads = swarm.ask_each(readers.clone(), &json!({"type": "subscribe", "room": room, "last": 0}))?;
    let head =
        heads.iter().filter_map(|reply| reply["head"].as_u64()).max().context("subscribe replied without a head")?;

    let mut run = Run::new(&room, readers, senders, options.window, head)?;
    run.keep_up(&mut swarm, WARM_UP)?;
    run.latency.reset();
    let before = (run.deliveries, server.processor_seconds()?, server::own_processor_seconds()?, Instant::now());
    run.keep_up(&mut swarm, Duration::from_secs(options.seconds))?;
    let deliveries = (run.deliveries - before.0) as f64;
    let used = server.processor_seconds()? - before.1;
    let own = server::own_processor_seconds()? - before.2;
    let took = before.3.elapsed().as_secs_f64();
    let latency = run.latency.clone();
    run.finish(&mut swarm)?;
    let resident = server.resident()?;
    server.stop()?;

    let quantile = |quantile| millis(latency.value_at_quantile(quantile));
    Ok(vec![
        Figure::new("deliveries", deliveries / took, "/s"),
        Figure::new("server CPU each", used * MICRO / deliveries, "µs"),
        Figure::new("p50", quantile(0.5), "ms"),
        Figure::new("p99", quantile(0.99), "ms"),
        Figure::new("p99.9", quantile(0.999), "ms"),
        Figure::new("server resident", super::megabytes(resident), "MB"),
        Figure::new("generator busy", own / took * 100.0, "% of a core"),
    ])
}

struct Run {
    room: String,
    seqs: SeqReader,
    /// Readers are the connections from 0 on.
    readers: usize,
    senders: Range<usize>,
    window: usize,
    posted: usize,
    acknowledged: usize,
    /// Messages that every reader has.
    complete: usize,
    deliveries: u64,
    head: u64,
    /// Seq of the first entry of `events`.
    first: u64,
    events: Vec<Event>,
    ledger: Ledger,
    latency: Histogram<u64>,
    refused: Option<String>,
    patience: Patience,
}

struct Event {
    /// Nothing for an event that is not a message of ours.
    due: Option<u64>,
    /// Readers that do not have it yet.
    left: usize,
}

impl Run {
    fn new(room: &str, readers: Range<usize>, senders: Range<usize>, window: usize, head: u64) -> Result<Self> {
        Ok(Self {
            room: room.to_owned(),
            seqs: SeqReader::new(room),
            readers: readers.len(),
            senders,
            window,
            posted: 0,
            acknowledged: 0,
            complete: 0,
            deliveries: 0,
            head,
            first: head + 1,
            events: Vec::new(),
            ledger: Ledger::new(readers.len(), head + 1),
            latency: latencies()?,
            refused: None,
            patience: Patience::new("the next delivery"),
        })
    }

    fn keep_up(&mut self, swarm: &mut Swarm, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            while self.posted < self.complete + self.window {
                let sender = self.senders.start + self.posted % self.senders.len();
                let txn_id = format!("bench-{}", self.posted);
                swarm.say(sender, &wire::post(self.posted as u64, &self.room, &txn_id, swarm.now()));
                self.posted += 1;
            }
            self.turn(swarm)?;
        }
        Ok(())
    }

    /// Waits until everyone has everything; an error if anything was lost, duplicated or reordered.
    fn finish(&mut self, swarm: &mut Swarm) -> Result<()> {
        while self.complete < self.posted || self.acknowledged < self.posted {
            self.turn(swarm)?;
        }
        let faults = self.ledger.faults(self.head);
        if faults.any() {
            bail!("of {} deliveries: {faults}", self.deliveries);
        }
        Ok(())
    }

    fn turn(&mut self, swarm: &mut Swarm) -> Result<()> {
        let before = self.deliveries;
        swarm.turn(|who, text, now| self.hears(who, text, now))?;
        swarm.all_live()?;
        if let Some(refused) = self.refused.take() {
            bail!("{refused}");
        }
        let faults = || format!("of {} deliveries so far {}", self.deliveries, self.ledger.faults(self.head));
        self.patience.check(self.deliveries > before).with_context(faults)
    }

    fn hears(&mut self, who: usize, text: &[u8], now: u64) {
        if who >= self.readers {
            match wire::reply(text) {
                Some(Reply::Posted { seq, .. }) => {
                    self.acknowledged += 1;
                    self.head = self.head.max(seq);
                }
                Some(Reply::Error { reference, error }) => self.refused = Some(format!("post {reference}: {error}")),
                Some(Reply::Ok { .. }) | None => {}
            }
        } else if let Some(seq) = self.seqs.seq(text) {
            self.delivered(who, seq, text, now);
        }
    }

    fn delivered(&mut self, who: usize, seq: u64, text: &[u8], now: u64) {
        self.deliveries += 1;
        self.head = self.head.max(seq);
        if !self.ledger.delivered(who, seq) {
            return;
        }
        let Some(place) = seq.checked_sub(self.first).and_then(|place| usize::try_from(place).ok()) else { return };
        if place >= self.events.len() {
            self.events.resize_with(place + 1, || Event { due: None, left: self.readers });
        }
        let event = &mut self.events[place];
        if event.left == self.readers {
            event.due = wire::due(text);
        }
        event.left -= 1;
        if let Some(due) = event.due {
            self.latency.saturating_record(now.saturating_sub(due));
            self.complete += usize::from(event.left == 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, due: u64) -> Vec<u8> {
        format!(r#"{{"type":"event","room":"r","seq":{seq},"text":"{due:016} x"}}"#).into_bytes()
    }

    #[test]
    fn a_message_is_complete_when_every_reader_has_it() {
        let mut run = Run::new("r", 0..2, 2..3, 1, 10).unwrap();
        run.hears(0, &event(11, 1000), 5000);
        assert_eq!((run.complete, run.deliveries), (0, 1));
        run.hears(1, &event(11, 1000), 6000);
        assert_eq!((run.complete, run.deliveries), (1, 2));
        assert_eq!(run.latency.len(), 2);
        assert!(!run.ledger.faults(run.head).any());
    }

    #[test]
    fn an_event_of_another_kind_is_no_message() {
        let mut run = Run::new("r", 0..1, 1..2, 1, 0).unwrap();
        run.hears(0, br#"{"type":"event","room":"r","seq":1,"kind":"member"}"#, 1);
        assert_eq!((run.complete, run.deliveries, run.latency.len()), (0, 1, 0));
    }

    #[test]
    fn a_gap_is_found() {
        let mut run = Run::new("r", 0..1, 1..2, 1, 0).unwrap();
        run.hears(0, &event(2, 1), 1);
        assert_eq!(run.ledger.faults(run.head).lost, 1);
    }
}
