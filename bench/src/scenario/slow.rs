//! One reader among many stops reading, long enough that the tail no longer holds what it misses: what the others and
//! the server's memory notice of it, against phases of the same run in which it reads. Then it reads again, while the
//! posts go on, and must get everything.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use serde_json::json;

use super::{create_room, megabytes, millis};
use crate::connection::Link;
use crate::figure::{Figure, medians, readable};
use crate::ledger::Ledger;
use crate::load::latencies;
use crate::server::{Launcher, Server};
use crate::swarm::{Patience, Swarm};
use crate::wire::{self, Reply, SeqReader};

const WARM_UP: Duration = Duration::from_secs(3);
const SECOND: u64 = 1_000_000_000;
/// What the server keeps of a room in memory (`--tail-kb`).
const TAIL_BYTES: u64 = 256 << 10;
/// Names of the figures that have targets.
pub const LATENCY: &str = "the others' p99, one has stopped : all read";
pub const RESIDENT: &str = "server resident, one has stopped : all read";
pub const TARGET_P99: f64 = 1.1;
pub const TARGET_RESIDENT: f64 = 1.05;

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Readers besides the slow one
    #[arg(long, default_value_t = Options::default().others)]
    others: usize,
    /// Posts a second
    #[arg(long, default_value_t = Options::default().rate)]
    rate: u64,
    /// Length of each phase; the server closes who is silent for two heartbeats, a minute
    #[arg(long, default_value_t = Options::default().seconds)]
    seconds: u64,
    /// How often it reads and then stops
    #[arg(long, default_value_t = Options::default().phases)]
    phases: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { others: 19, rate: 500, seconds: 6, phases: 6 }
    }
}

pub fn run(launcher: &Launcher, options: &Options) -> Result<Vec<Figure>> {
    if options.others == 0 || options.phases == 0 || !(1..=SECOND).contains(&options.rate) {
        bail!("--others, --rate and --phases must be at least 1");
    }
    let server = launcher.fresh()?;
    let mut swarm = Swarm::new(server.address)?;
    let slow = swarm.connect(options.others)?.end;
    let readers = 0..swarm.connect_over(Link::Narrow, 1)?.end;
    let sender = swarm.connect(1)?.start;
    let room = create_room(&mut swarm, sender, "Slow")?;
    let heads = swarm.ask_each(readers, &json!({"type": "subscribe", "room": room, "last": 0}))?;
    let head = heads[slow]["head"].as_u64().context("subscribe replied without a head")?;

    let mut run = Run::new(&room, slow, sender, head, SECOND / options.rate, swarm.now())?;
    let phase = Duration::from_secs(options.seconds);
    run.go_on(&mut swarm, WARM_UP)?;
    let (mut reading, mut stopped, mut afterwards) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.phases {
        reading.push(run.phase(&mut swarm, &server, phase)?);
        swarm.stop_reading(slow)?;
        let missed = run.bytes;
        stopped.push(run.phase(&mut swarm, &server, phase)?);
        let missed = (run.bytes - missed).saturating_sub(held(server.address, swarm.address(slow)?)?);
        if missed <= TAIL_BYTES {
            bail!("what it missed is still in the tail ({missed} bytes): raise --seconds or --rate");
        }
        let caught_up = run.catch_up(&mut swarm)?;
        afterwards.push(Figure::new("missed, less what the kernel holds", missed as f64 / 1e3, "kB"));
        afterwards.push(Figure::new("until it has everything again", caught_up.as_secs_f64() * 1e3, "ms"));
    }
    reading.push(run.phase(&mut swarm, &server, phase)?);
    run.finish(&mut swarm)?;
    server.stop()?;
    let mut figures: Vec<Figure> = reading.iter().flat_map(|phase| phase.figures("all read")).collect();
    figures.extend(stopped.iter().flat_map(|phase| phase.figures("one has stopped")));
    figures.extend(ratios(&reading, &stopped));
    figures.extend(afterwards);
    Ok(medians(figures))
}

/// What was seen in one phase.
struct Phase {
    p50: u64,
    p99: u64,
    resident: u64,
}

impl Phase {
    fn figures(&self, name: &str) -> [Figure; 3] {
        [
            Figure::new(format!("{name}: the others' p50"), millis(self.p50), "ms"),
            Figure::new(format!("{name}: the others' p99"), millis(self.p99), "ms"),
            Figure::new(format!("{name}: server resident"), megabytes(self.resident), "MB"),
        ]
    }
}

/// Each phase in which it has stopped against the two around it in which it reads, so that what grows in time weighs on
/// both alike.
fn ratios(reading: &[Phase], stopped: &[Phase]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (around, between) in reading.windows(2).zip(stopped) {
        let ratio = |value: fn(&Phase) -> u64| {
            2.0 * value(between) as f64 / around.iter().map(|phase| value(phase) as f64).sum::<f64>()
        };
        let [latency, resident] = [ratio(|phase| phase.p99), ratio(|phase| phase.resident)];
        figures.push(Figure::new(LATENCY, latency, "×").at_most(TARGET_P99));
        figures.push(Figure::new(RESIDENT, resident, "×").at_most(TARGET_RESIDENT));
    }
    figures
}

struct Run {
    room: String,
    seqs: SeqReader,
    /// The slow reader; those before it are the others.
    slow: usize,
    sender: usize,
    /// When the next post is due, and the time between two.
    due: u64,
    gap: u64,
    posted: u64,
    acknowledged: u64,
    head: u64,
    /// Of events, by what the first of the others got.
    bytes: u64,
    ledger: Ledger,
    latency: Histogram<u64>,
    refused: Option<String>,
    patience: Patience,
}

impl Run {
    fn new(room: &str, slow: usize, sender: usize, head: u64, gap: u64, now: u64) -> Result<Self> {
        Ok(Self {
            room: room.to_owned(),
            seqs: SeqReader::new(room),
            slow,
            sender,
            due: now,
            gap,
            posted: 0,
            acknowledged: 0,
            head,
            bytes: 0,
            ledger: Ledger::new(slow + 1, head + 1),
            latency: latencies()?,
            refused: None,
            patience: Patience::new("the next delivery"),
        })
    }

    fn phase(&mut self, swarm: &mut Swarm, server: &Server, time: Duration) -> Result<Phase> {
        self.latency.reset();
        self.go_on(swarm, time)?;
        let quantile = |quantile| self.latency.value_at_quantile(quantile);
        Ok(Phase { p50: quantile(0.5), p99: quantile(0.99), resident: server.resident()? })
    }

    /// Posts at the rate for so long.
    fn go_on(&mut self, swarm: &mut Swarm, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.post_due(swarm);
            self.turn(swarm)?;
        }
        Ok(())
    }

    /// Lets the slow reader read, and posts until it has all that any reader has.
    fn catch_up(&mut self, swarm: &mut Swarm) -> Result<Duration> {
        let since = Instant::now();
        swarm.read_again(self.slow)?;
        let mut patience = Patience::new("what the slow reader missed");
        while self.ledger.newest(self.slow) < self.head {
            let before = self.ledger.newest(self.slow);
            self.post_due(swarm);
            self.turn(swarm)?;
            patience.check(self.ledger.newest(self.slow) > before)?;
        }
        Ok(since.elapsed())
    }

    /// Waits until everyone has everything; an error if anything was lost, duplicated or reordered.
    fn finish(&mut self, swarm: &mut Swarm) -> Result<()> {
        while self.acknowledged < self.posted || (0..=self.slow).any(|reader| self.ledger.newest(reader) < self.head) {
            self.turn(swarm)?;
        }
        let faults = self.ledger.faults(&[self.head + 1]);
        if faults.any() {
            bail!("of {} events to each reader: {faults}", readable(self.posted as f64));
        }
        Ok(())
    }

    fn post_due(&mut self, swarm: &mut Swarm) {
        while self.due <= swarm.now() {
            let txn_id = format!("bench-{}", self.posted);
            swarm.say(self.sender, &wire::post(self.posted, &self.room, &txn_id, self.due));
            self.posted += 1;
            self.due += self.gap;
        }
    }

    fn turn(&mut self, swarm: &mut Swarm) -> Result<()> {
        let before = self.head;
        swarm.turn_until(self.due, |who, text, now| self.hears(who, text, now))?;
        swarm.all_live()?;
        if let Some(refused) = self.refused.take() {
            bail!("{refused}");
        }
        self.patience.check(self.head > before)
    }

    fn hears(&mut self, who: usize, text: &[u8], now: u64) {
        if who == self.sender {
            match wire::reply(text) {
                Some(Reply::Posted { .. }) => self.acknowledged += 1,
                Some(Reply::Error { reference, error }) => self.refused = Some(format!("post {reference}: {error}")),
                Some(Reply::Ok { .. }) | None => {}
            }
        } else if let Some(seq) = self.seqs.seq(text) {
            self.ledger.delivered(who, seq);
            self.head = self.head.max(seq);
            if who == 0 {
                self.bytes += text.len() as u64;
            }
            if who != self.slow
                && let Some(due) = wire::due(text)
            {
                self.latency.saturating_record(now.saturating_sub(due));
            }
        }
    }
}

/// Bytes under way from the server to one reader, in the kernel's buffers of both.
fn held(server: SocketAddr, reader: SocketAddr) -> Result<u64> {
    let table = fs::read_to_string("/proc/net/tcp").context("no /proc/net/tcp")?;
    let (server, reader) = (hexadecimal(server)?, hexadecimal(reader)?);
    let sending = queues(&table, &server, &reader).context("the server's end is not in /proc/net/tcp")?.0;
    let receiving = queues(&table, &reader, &server).context("the reader's end is not in /proc/net/tcp")?.1;
    Ok(sending + receiving)
}

/// What waits to be taken by the other side, and by ours.
fn queues(table: &str, local: &str, remote: &str) -> Option<(u64, u64)> {
    let mut lines = table.lines().map(|line| line.split_whitespace().skip(1));
    let mut fields = lines.find(|fields| fields.clone().take(2).eq([local, remote]))?.skip(3);
    let (sending, receiving) = fields.next()?.split_once(':')?;
    Some((u64::from_str_radix(sending, 16).ok()?, u64::from_str_radix(receiving, 16).ok()?))
}

/// An address as /proc/net/tcp writes it.
fn hexadecimal(address: SocketAddr) -> Result<String> {
    let SocketAddr::V4(address) = address else { bail!("{address} is not an IPv4 address") };
    Ok(format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    #[test]
    fn the_slow_readers_own_waiting_is_not_the_others() {
        let mut run = Run::new("r", 1, 2, 0, 1, 0).unwrap();
        let text = Stamp { due: 1000, lane: 0, number: 0 }.text(wire::TEXT_BYTES);
        let event = format!(r#"{{"type":"event","room":"r","seq":1,"text":"{text}"}}"#).into_bytes();
        run.hears(1, &event, 9000);
        assert_eq!((run.latency.len(), run.bytes, run.head), (0, 0, 1));
        run.hears(0, &event, 5000);
        assert_eq!((run.latency.len(), run.bytes), (1, event.len() as u64));
        assert!(!run.ledger.faults(&[2]).any());
    }

    #[test]
    fn a_phase_is_held_against_the_two_around_it() {
        let phase = |p99, resident| Phase { p50: 1, p99, resident };
        let figures = ratios(&[phase(1000, 10), phase(3000, 12)], &[phase(2400, 11)]);
        let [latency, memory] = figures.as_slice() else { panic!("{figures:?}") };
        assert!(latency.to_string().ends_with("1.2 ×  (≤ 1.1: missed)"), "{latency}");
        assert!(memory.to_string().ends_with("1 ×  (≤ 1.05: reached)"), "{memory}");
    }

    #[test]
    fn queues_are_found_by_both_addresses() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n\
                     0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000\n\
                     1: 0100007F:1F90 0101017F:C350 01 0000A001:00000002 00:00000000\n";
        let (server, reader) = ("127.0.0.1:8080".parse().unwrap(), "127.1.1.1:50000".parse().unwrap());
        let (server, reader) = (hexadecimal(server).unwrap(), hexadecimal(reader).unwrap());
        assert_eq!(queues(table, &server, &reader), Some((0xa001, 2)));
        assert_eq!(queues(table, &reader, &server), None);
    }
}
