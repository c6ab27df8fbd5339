//! A swarm whose connections speak a dialect: seats them, keeps their conversations going, and hands on what they
//! heard. It must not know which server it talks to.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::connection::Opening;
use crate::dialect::{Heard, Outbox, Talk};
use crate::limits;
use crate::swarm::{Patience, Swarm};

pub struct Crowd {
    swarm: Swarm,
    talks: Vec<Box<dyn Talk>>,
    /// What the talks answered within a turn, by connection.
    answers: Vec<(usize, Vec<u8>)>,
}

/// Who sits where.
pub struct Seated {
    pub connections: Range<usize>,
    /// As [`Heard::In`] told it, the highest if they differ.
    pub head: Option<u64>,
}

impl Crowd {
    pub fn new(server: SocketAddr) -> Result<Self> {
        Self::spread(vec![server])
    }

    /// Sits down at these servers in turn.
    pub fn spread(servers: Vec<SocketAddr>) -> Result<Self> {
        Ok(Self { swarm: Swarm::spread(servers)?, talks: Vec::new(), answers: Vec::new() })
    }

    /// Connects one for each talk, with so many handshakes under way at once, and waits until all are in.
    pub fn seat(&mut self, talks: impl ExactSizeIterator<Item = Box<dyn Talk>>, at_once: usize) -> Result<Seated> {
        let first = self.talks.len();
        let all = first..first + talks.len();
        limits::allow_connections(all.end)?;
        let mut talks = talks;
        let (mut seated, mut head, mut refused) = (0, None, None);
        let mut patience = Patience::new("the next connection to be let in");
        while seated < all.len() {
            while self.talks.len() - first - seated < at_once
                && let Some(talk) = talks.next()
            {
                self.open(talk)?;
            }
            let before = seated;
            self.turn(None, |_, heard, _| match heard {
                Heard::In { head: found } => {
                    seated += 1;
                    head = head.max(found);
                }
                Heard::Refused(why) => refused = Some(why),
                Heard::Delivered { .. } | Heard::Acknowledged => {}
            })?;
            if let Some(why) = refused {
                bail!("a connection was not let in: {why}");
            }
            patience.check(seated > before)?;
        }
        Ok(Seated { connections: all, head })
    }

    /// Keeps the conversations going for so long.
    pub fn idle(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(None, |_, _, _| {})?;
        }
        Ok(())
    }

    fn open(&mut self, mut talk: Box<dyn Talk>) -> Result<()> {
        let mut say = Outbox::new(talk.binary());
        talk.begins(&mut say);
        self.swarm.open(&Opening {
            target: talk.target(),
            subprotocol: talk.subprotocol(),
            token: talk.token().map(str::to_owned),
            begins: say.take(),
            ..Opening::default()
        })?;
        self.talks.push(talk);
        Ok(())
    }

    /// Nanoseconds on the swarm's clock.
    pub fn now(&self) -> u64 {
        self.swarm.now()
    }

    /// Bytes that these connections have received so far.
    pub fn received(&self, connections: Range<usize>) -> u64 {
        self.swarm.received(connections)
    }

    /// Lays a post ready for the next turn.
    pub fn post(&mut self, who: usize, number: u64, text: &str) {
        let talk = &mut self.talks[who];
        let mut say = Outbox::new(talk.binary());
        talk.post(number, text, &mut say);
        self.swarm.say_frames(who, &say.take());
    }

    /// Sends what lies ready, waits a moment (not beyond `until`), and passes on what was heard with its connection's
    /// number and the time it was read. An error if any connection has ended.
    pub fn turn(&mut self, until: Option<u64>, mut hears: impl FnMut(usize, Heard, u64)) -> Result<()> {
        let Self { swarm, talks, answers } = self;
        let mut say = [Outbox::new(false), Outbox::new(true)];
        let pass = |who: usize, payload: &[u8], now: u64| {
            let talk = &mut talks[who];
            let say = &mut say[usize::from(talk.binary())];
            talk.hears(payload, say, &mut |heard| hears(who, heard, now));
            if !say.is_empty() {
                answers.push((who, say.take()));
            }
        };
        match until {
            Some(time) => swarm.turn_until(time, pass)?,
            None => swarm.turn(pass)?,
        }
        for (who, frames) in answers.drain(..) {
            swarm.say_frames(who, &frames);
        }
        swarm.all_live()
    }
}
