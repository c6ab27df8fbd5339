//! Everyone comes back at once: readers of one room, each with a session, are cut off together, miss some messages, and
//! subscribe again with their cursors, as fast as the generator can open connections. How soon is each answered, and how
//! soon has each what it missed, once and in order?

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{CONNECTED, create_room, megabytes};
use crate::connection::Opening;
use crate::figure::{Figure, readable};
use crate::ledger::Ledger;
use crate::limits;
use crate::load::Load;
use crate::server::Launcher;
use crate::session;
use crate::swarm::{AT_ONCE, Patience, Swarm};
use crate::wire::{self, Reply, SeqReader};

const POSTS_UNDER_WAY: usize = 64;
/// Name of the figure that has a target.
pub const ANSWERED: &str = "every subscribe answered";
pub const TARGET_SECONDS: f64 = 5.0;
/// How long to listen for what comes twice.
const AFTERWARDS: Duration = Duration::from_secs(1);

#[derive(clap::Args, Clone)]
pub struct Options {
    /// Connections that come back
    #[arg(long, default_value_t = Options::default().connections)]
    pub connections: usize,
    /// Messages that are posted while they are away
    #[arg(long, default_value_t = Options::default().messages)]
    pub messages: usize,
    /// Connections under way at once: opened, but not yet subscribed
    #[arg(long, default_value_t = Options::default().at_once)]
    pub at_once: usize,
    /// One more reader stays: only while somebody reads a room does the server keep its newest events in memory
    #[arg(long)]
    pub one_stays: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections: 10_000, messages: 100, at_once: 1024, one_stays: false }
    }
}

pub fn run(launcher: &Launcher, options: &Options) -> Result<Vec<Figure>> {
    if options.connections == 0 || options.messages == 0 || options.at_once == 0 {
        bail!("--connections, --messages and --at-once must be at least 1");
    }
    limits::allow_connections(options.connections + 1)?;
    let server = launcher.fresh()?;
    let mut staying = Swarm::new(server.address)?;
    let author = staying.connect(1)?;
    let room = create_room(&mut staying, author.start, "Reconnect")?;
    let tokens = session::make(server.address, options.connections)?;
    let openings: Vec<_> = tokens.into_iter().map(opening).collect();
    let cursors = subscribe_and_leave(server.address, &room, &openings)?;
    let noticed = until_nobody_is_present(&mut staying, author.start, &room)?;
    if options.one_stays {
        staying.ask(author.start, &json!({"type": "subscribe", "room": room, "last": 0}))?;
    }
    let mut missed = Load::new(&room, author, POSTS_UNDER_WAY)?;
    missed.post_until(&mut staying, options.messages)?;

    server.forget_peak()?;
    let used = server.usage()?;
    let (before, head) = (cursors[0]["seq"].as_u64().unwrap_or(0), missed.highest_seq());
    let mut crowd = Crowd::new(&room, &openings, before, head);
    let mut swarm = Swarm::new(server.address)?;
    let since = Instant::now();
    crowd.subscribe(&mut swarm, options.at_once, |who| json!({"cursor": cursors[who]}))?;
    let answered = since.elapsed().as_secs_f64();
    crowd.complete(&mut swarm)?;
    let complete = since.elapsed().as_secs_f64();
    let used = server.usage()?.since(&used).total();
    let peak = server.peak_resident()?;
    crowd.check(&mut swarm)?;
    server.stop()?;

    let count = readable(options.connections as f64);
    Ok(vec![
        Figure::new(format!("{count} closed at once: the server has noticed"), noticed.as_secs_f64(), "s"),
        Figure::new(ANSWERED, answered, "s").at_most(TARGET_SECONDS),
        Figure::new("everyone has everything", complete, "s"),
        Figure::new(CONNECTED, options.connections as f64 / answered, "/s"),
        Figure::new("server CPU", used, "s"),
        Figure::new("server resident, at most", megabytes(peak), "MB"),
    ])
}

fn opening(token: String) -> Opening {
    Opening { target: wire::TARGET.to_owned(), token: Some(token), ..Opening::default() }
}

/// Subscribes everyone, closes all connections, and returns where each stopped.
fn subscribe_and_leave(server: SocketAddr, room: &str, openings: &[Opening]) -> Result<Vec<Value>> {
    let mut crowd = Crowd::new(room, openings, 0, 0);
    let mut swarm = Swarm::new(server)?;
    crowd.subscribe(&mut swarm, AT_ONCE, |_| json!({"last": 0}))?;
    Ok(crowd.replies.iter().map(|reply| json!({"epoch": reply["epoch"], "seq": reply["head"]})).collect())
}

fn until_nobody_is_present(swarm: &mut Swarm, who: usize, room: &str) -> Result<Duration> {
    let since = Instant::now();
    let mut patience = Patience::new("the server to notice that all have gone");
    loop {
        let present = swarm.ask(who, &json!({"type": "present", "room": room, "after": null, "limit": 1}))?;
        if present["count"] == 0 {
            return Ok(since.elapsed());
        }
        patience.check(false)?;
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The readers, as they come.
struct Crowd<'a> {
    room: &'a str,
    seqs: SeqReader,
    openings: &'a [Opening],
    greeted: Vec<usize>,
    /// What each was told on subscribing.
    replies: Vec<Value>,
    answered: usize,
    /// The newest of what was missed.
    head: u64,
    /// Readers that have everything.
    complete: usize,
    ledger: Ledger,
    refused: Option<String>,
    patience: Patience,
}

impl<'a> Crowd<'a> {
    /// All have the events up to `before`, and miss those up to `head`.
    fn new(room: &'a str, openings: &'a [Opening], before: u64, head: u64) -> Self {
        Self {
            room,
            seqs: SeqReader::new(room),
            openings,
            greeted: Vec::new(),
            replies: vec![Value::Null; openings.len()],
            answered: 0,
            head,
            complete: 0,
            ledger: Ledger::new(openings.len(), before + 1),
            refused: None,
            patience: Patience::new("the next reader"),
        }
    }

    /// Connects and subscribes all, each from where `position` says, and waits until each is answered.
    fn subscribe(&mut self, swarm: &mut Swarm, at_once: usize, position: impl Fn(usize) -> Value) -> Result<()> {
        let mut opened = 0;
        while self.answered < self.openings.len() {
            while opened < self.openings.len() && opened - self.answered < at_once {
                swarm.open(&self.openings[opened])?;
                opened += 1;
            }
            self.turn(swarm)?;
            for who in self.greeted.drain(..) {
                let mut command = position(who);
                command["type"] = json!("subscribe");
                command["ref"] = json!(0);
                command["room"] = json!(self.room);
                swarm.say(who, &command.to_string());
            }
        }
        Ok(())
    }

    /// Waits until everyone has everything.
    fn complete(&mut self, swarm: &mut Swarm) -> Result<()> {
        while self.complete < self.openings.len() {
            self.turn(swarm)?;
        }
        Ok(())
    }

    /// An error if anything was lost, duplicated or reordered.
    fn check(&mut self, swarm: &mut Swarm) -> Result<()> {
        let end = Instant::now() + AFTERWARDS;
        while Instant::now() < end {
            self.turn(swarm)?;
        }
        let faults = self.ledger.faults(&[self.head + 1]);
        if faults.any() {
            bail!("of what {} readers missed: {faults}", self.openings.len());
        }
        Ok(())
    }

    fn turn(&mut self, swarm: &mut Swarm) -> Result<()> {
        let before = (self.answered, self.complete);
        swarm.turn(|who, text, _| self.hears(who, text))?;
        swarm.all_live()?;
        if let Some(refused) = self.refused.take() {
            bail!("{refused}");
        }
        let faults = || format!("so far {}", self.ledger.faults(&[self.head + 1]));
        self.patience.check((self.answered, self.complete) != before).with_context(faults)
    }

    fn hears(&mut self, who: usize, text: &[u8]) {
        if let Some(seq) = self.seqs.seq(text) {
            let had = self.ledger.newest(who);
            self.ledger.delivered(who, seq);
            self.complete += usize::from(had < self.head && self.ledger.newest(who) >= self.head);
            return;
        }
        match wire::reply(text) {
            Some(Reply::Ok { body, .. }) => {
                self.replies[who] = body;
                self.answered += 1;
            }
            Some(Reply::Error { error, .. }) => self.refused = Some(format!("reader {who} may not subscribe: {error}")),
            None if wire::is_hello(text) => self.greeted.push(who),
            Some(Reply::Posted { .. }) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_complete_when_it_has_the_last_that_it_missed() {
        let openings = [Opening::default(), Opening::default()];
        let mut crowd = Crowd::new("r", &openings, 4, 6);
        let event = |seq| format!(r#"{{"type":"event","room":"r","seq":{seq},"text":"x"}}"#).into_bytes();
        crowd.hears(1, br#"{"type":"hello"}"#);
        crowd.hears(1, br#"{"type":"reply","ref":0,"ok":{"epoch":"e","seq":4,"head":6,"oldest":1}}"#);
        assert_eq!((crowd.greeted.as_slice(), crowd.answered, crowd.complete), ([1].as_slice(), 1, 0));
        crowd.hears(1, &event(5));
        crowd.hears(1, &event(6));
        assert_eq!((crowd.complete, crowd.ledger.faults(&[7]).lost), (1, 2));
        crowd.hears(1, &event(6));
        assert_eq!((crowd.complete, crowd.ledger.faults(&[7]).duplicated), (1, 1));
        crowd.hears(0, &event(6));
        assert_eq!(crowd.ledger.faults(&[7]).lost, 1);
    }

    #[test]
    fn a_refusal_is_not_an_answer() {
        let openings = [Opening::default()];
        let mut crowd = Crowd::new("r", &openings, 4, 6);
        crowd.hears(0, br#"{"type":"reply","ref":0,"error":{"code":"reset"}}"#);
        assert_eq!((crowd.answered, crowd.refused.is_some()), (0, true));
    }
}
