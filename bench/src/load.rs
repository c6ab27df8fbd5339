//! Senders that keep so many posts under way: an acknowledged one makes room for the next. Every reply is checked.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::swarm::{Patience, Swarm};
use crate::wire::{self, Reply, SeqReader};

pub struct Load {
    room: String,
    /// Senders that may post, one entry for each post they may have under way.
    free: Vec<usize>,
    /// By `ref`.
    posts: Vec<Post>,
    acknowledged: usize,
    refused: Option<String>,
    latency: Histogram<u64>,
    patience: Patience,
}

#[derive(Clone, Copy)]
struct Post {
    due: u64,
    /// 0 while it is under way.
    seq: u64,
}

impl Load {
    pub fn new(room: &str, senders: Range<usize>, window: usize) -> Result<Self> {
        Ok(Self {
            room: room.to_owned(),
            free: shares(senders, window),
            posts: Vec::new(),
            acknowledged: 0,
            refused: None,
            latency: latencies()?,
            patience: Patience::new("the next acknowledgement"),
        })
    }

    /// Keeps the window full for so long.
    pub fn keep_up(&mut self, swarm: &mut Swarm, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.post_all(swarm);
            self.turn(swarm)?;
        }
        Ok(())
    }

    /// Keeps the window full until so many posts are acknowledged, those under way included.
    pub fn post_until(&mut self, swarm: &mut Swarm, posts: usize) -> Result<()> {
        while self.posts.len() < posts {
            self.post_all(swarm);
            self.turn(swarm)?;
        }
        self.finish(swarm)
    }

    /// Waits for what is under way.
    pub fn finish(&mut self, swarm: &mut Swarm) -> Result<()> {
        while self.acknowledged < self.posts.len() {
            self.turn(swarm)?;
        }
        Ok(())
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    pub fn highest_seq(&self) -> u64 {
        self.posts.iter().map(|post| post.seq).max().unwrap_or(0)
    }

    /// The latencies since the last call.
    pub fn take_latency(&mut self) -> Histogram<u64> {
        let empty = Histogram::new_from(&self.latency);
        std::mem::replace(&mut self.latency, empty)
    }

    fn post_all(&mut self, swarm: &mut Swarm) {
        let due = swarm.now();
        for sender in self.free.drain(..) {
            let reference = self.posts.len();
            swarm.say(sender, &wire::post(reference as u64, &self.room, &format!("bench-{reference}"), due));
            self.posts.push(Post { due, seq: 0 });
        }
    }

    fn turn(&mut self, swarm: &mut Swarm) -> Result<()> {
        let before = self.acknowledged;
        swarm.turn(|who, text, now| self.hears(who, text, now))?;
        swarm.all_live()?;
        if let Some(refused) = self.refused.take() {
            bail!("{refused}");
        }
        self.patience.check(self.acknowledged > before)
    }

    fn hears(&mut self, who: usize, text: &[u8], now: u64) {
        match wire::reply(text) {
            Some(Reply::Posted { reference, seq }) => {
                let post = usize::try_from(reference).ok().and_then(|reference| self.posts.get_mut(reference));
                match post {
                    Some(post) if post.seq == 0 && seq > 0 => {
                        post.seq = seq;
                        self.latency.saturating_record(now.saturating_sub(post.due));
                        self.acknowledged += 1;
                        self.free.push(who);
                    }
                    _ => self.refused = Some(format!("post {reference} was acknowledged twice, or never sent")),
                }
            }
            Some(Reply::Error { reference, error }) => self.refused = Some(format!("post {reference}: {error}")),
            Some(Reply::Ok { .. }) | None => {}
        }
    }

    /// Reads the room from the cursor on, as a new reader, and checks that the log holds every acknowledged post at
    /// its seq, each once, and that no seq is left out.
    pub fn check_log(&self, swarm: &mut Swarm, epoch: &Value, before: u64) -> Result<()> {
        let reader = swarm.connect(1)?.start;
        let subscribe =
            json!({"type": "subscribe", "ref": 0, "room": self.room, "cursor": {"epoch": epoch, "seq": before}});
        swarm.say(reader, &subscribe.to_string());
        let seqs = SeqReader::new(&self.room);
        let head = self.highest_seq();
        let (mut last, mut found, mut wrong) = (before, 0, None);
        let mut patience = Patience::new("the next stored event");
        while last < head && wrong.is_none() {
            let start = last;
            swarm.turn(|_, text, _| {
                if let Some(seq) = seqs.seq(text) {
                    if seq != last + 1 {
                        wrong.get_or_insert(anyhow!("after seq {last} came {seq}"));
                    }
                    last = seq;
                    match self.stored(text, seq) {
                        Ok(ours) => found += usize::from(ours),
                        Err(error) => wrong = Some(error),
                    }
                } else if let Some(Reply::Error { error, .. }) = wire::reply(text) {
                    wrong = Some(anyhow!("subscribe was refused: {error}"));
                }
            })?;
            swarm.all_live()?;
            patience.check(last > start)?;
        }
        if let Some(error) = wrong {
            return Err(error.context("the log is wrong"));
        }
        if found != self.acknowledged {
            bail!("{} posts were acknowledged, but the log holds {found} of them", self.acknowledged);
        }
        Ok(())
    }

    /// Is this event one of ours, at the seq that was acknowledged? An error if it is at another.
    fn stored(&self, event: &[u8], seq: u64) -> Result<bool> {
        let event: Value = serde_json::from_slice(event)?;
        let Some(reference) = event["txn_id"].as_str().and_then(|txn_id| txn_id.strip_prefix("bench-")) else {
            return Ok(false);
        };
        let post = reference.parse().ok().and_then(|reference: usize| self.posts.get(reference));
        match post {
            Some(post) if post.seq == seq => Ok(true),
            Some(post) => bail!("post {reference} was acknowledged as {}, but stands at {seq}", post.seq),
            None => bail!("seq {seq} holds a post that was never sent: {reference}"),
        }
    }
}

/// Spreads a window over senders, as evenly as it goes.
fn shares(senders: Range<usize>, window: usize) -> Vec<usize> {
    senders.cycle().take(window).collect()
}

/// Nanoseconds from a microsecond to a minute, to one percent.
pub fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1_000, 60_000_000_000, 2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_spread_evenly() {
        assert_eq!(shares(3..6, 4), [3, 4, 5, 3]);
        assert_eq!(shares(0..0, 4), [0; 0]);
    }

    #[test]
    fn a_second_acknowledgement_is_noticed() {
        let mut load = Load::new("lobby", 0..1, 1).unwrap();
        load.posts.push(Post { due: 0, seq: 0 });
        let reply = br#"{"type":"reply","ref":0,"ok":{"room":"lobby","seq":1}}"#;
        load.hears(0, reply, 5);
        assert_eq!((load.acknowledged(), load.highest_seq(), load.refused.is_none()), (1, 1, true));
        load.hears(0, reply, 6);
        assert!(load.refused.is_some());
    }

    #[test]
    fn a_stored_post_must_stand_where_it_was_acknowledged() {
        let mut load = Load::new("lobby", 0..1, 1).unwrap();
        load.posts.push(Post { due: 0, seq: 7 });
        assert!(load.stored(br#"{"txn_id":"bench-0"}"#, 7).unwrap());
        assert!(!load.stored(br#"{"kind":"member"}"#, 8).unwrap());
        assert!(load.stored(br#"{"txn_id":"bench-0"}"#, 8).is_err());
        assert!(load.stored(br#"{"txn_id":"bench-1"}"#, 8).is_err());
    }
}
