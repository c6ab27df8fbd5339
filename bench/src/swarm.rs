//! Many connections on one thread: connects them, sends what was laid ready, hands every text to the scenario.
//! One `epoll` and one read buffer for all, so that the generator has processor time left when the server has none.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::limits;
use crate::wire::{self, Reply};

/// Handshakes and commands under way at once while the scene is set. What the server's allocator keeps of its buffers
/// for them shows in what idle connections weigh.
pub const AT_ONCE: usize = 64;
/// For one answer, or for the next one of many.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Swarm {
    server: SocketAddr,
    poll: Poll,
    events: Events,
    connections: Vec<Option<Connection>>,
    /// Those for which something was laid ready since the last turn.
    unflushed: Vec<usize>,
    buffer: Vec<u8>,
    clock: Instant,
    /// Why the first connection that ended did so.
    ended: Option<anyhow::Error>,
}

impl Swarm {
    pub fn new(server: SocketAddr) -> Result<Self> {
        Ok(Self {
            server,
            poll: Poll::new().context("no epoll")?,
            events: Events::with_capacity(1024),
            connections: Vec::new(),
            unflushed: Vec::new(),
            buffer: Vec::new(),
            clock: Instant::now(),
            ended: None,
        })
    }

    /// Nanoseconds on this swarm's clock.
    pub fn now(&self) -> u64 {
        nanos(self.clock)
    }

    /// Connects `count` guests and waits until each has been greeted.
    pub fn connect(&mut self, count: usize) -> Result<Range<usize>> {
        let first = self.connections.len();
        let all = first..first + count;
        limits::allow_connections(all.end)?;
        let mut greeted = 0;
        let mut patience = Patience::new("the next connection's hello");
        while greeted < count {
            while self.connections.len() < all.end && self.connections.len() - first - greeted < AT_ONCE {
                self.open()?;
            }
            let before = greeted;
            self.turn(|_, text, _| greeted += usize::from(is_hello(text)))?;
            self.all_live()?;
            patience.check(greeted > before)?;
        }
        Ok(all)
    }

    fn open(&mut self) -> Result<()> {
        let who = self.connections.len();
        let path = format!("/api/socket?name=bench-{who}");
        let mut connection =
            Connection::open(self.server, limits::source(who), &path).with_context(|| format!("connection {who}"))?;
        self.poll
            .registry()
            .register(connection.socket(), Token(who), Interest::READABLE | Interest::WRITABLE)
            .context("cannot watch a socket")?;
        self.connections.push(Some(connection));
        Ok(())
    }

    /// Lays a text ready for the next turn.
    pub fn say(&mut self, who: usize, text: &str) {
        if let Some(connection) = &mut self.connections[who]
            && connection.say(text)
        {
            self.unflushed.push(who);
        }
    }

    /// Sends what lies ready, waits a moment for sockets to become readable, and passes on each text with its
    /// connection's number and the time it was read.
    pub fn turn(&mut self, mut hears: impl FnMut(usize, &[u8], u64)) -> Result<()> {
        for who in self.unflushed.drain(..) {
            attend(&mut self.connections[who], &mut self.ended, Connection::flush);
        }
        match self.poll.poll(&mut self.events, Some(Duration::from_millis(20))) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error).context("epoll failed"),
            _ => {}
        }
        for event in &self.events {
            let who = event.token().0;
            let connection = &mut self.connections[who];
            if event.is_writable() {
                attend(connection, &mut self.ended, Connection::flush);
            }
            if event.is_readable() {
                let now = nanos(self.clock);
                let buffer = &mut self.buffer;
                attend(connection, &mut self.ended, |it| it.receive(buffer, |text| hears(who, text, now)));
            }
        }
        Ok(())
    }

    /// An error if any connection has ended so far.
    pub fn all_live(&mut self) -> Result<()> {
        self.ended.take().map_or(Ok(()), Err)
    }

    /// Sends one command from each connection and returns the replies in their order.
    pub fn ask_each(&mut self, all: Range<usize>, command: &Value) -> Result<Vec<Value>> {
        let mut replies = vec![Value::Null; all.len()];
        let (mut asked, mut answered) = (0, 0);
        let mut command = command.clone();
        let mut patience = Patience::new("the next reply");
        while answered < all.len() {
            while asked < all.len() && asked - answered < AT_ONCE {
                command["ref"] = json!(asked);
                self.say(all.start + asked, &command.to_string());
                asked += 1;
            }
            let before = answered;
            let mut refused = None;
            self.turn(|_, text, _| match wire::reply(text) {
                Some(Reply::Ok { reference, body }) => {
                    if let Some(reply) = replies.get_mut(usize::try_from(reference).unwrap_or(usize::MAX)) {
                        *reply = body;
                        answered += 1;
                    }
                }
                Some(Reply::Error { error, .. }) => refused = Some(error),
                Some(Reply::Posted { .. }) | None => {}
            })?;
            if let Some(error) = refused {
                bail!("the server refused {command}: {error}");
            }
            self.all_live()?;
            patience.check(answered > before)?;
        }
        Ok(replies)
    }

    /// Sends one command from one connection and returns the reply.
    pub fn ask(&mut self, who: usize, command: &Value) -> Result<Value> {
        self.ask_each(who..who + 1, command)?.pop().ok_or_else(|| anyhow!("no reply to {command}"))
    }

    /// Turns for so long, only to keep the connections alive.
    pub fn idle(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(|_, _, _| {})?;
            self.all_live()?;
        }
        Ok(())
    }
}

/// Does something with a connection that has not ended; drops it with the reason when that fails.
fn attend(
    connection: &mut Option<Connection>,
    ended: &mut Option<anyhow::Error>,
    act: impl FnOnce(&mut Connection) -> Result<()>,
) {
    let Some(live) = connection else { return };
    if let Err(error) = act(live) {
        *connection = None;
        ended.get_or_insert(error);
    }
}

fn is_hello(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).is_ok_and(|frame| frame["type"] == "hello")
}

fn nanos(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Gives up when nothing has come for too long.
pub struct Patience {
    waits_for: &'static str,
    since: Instant,
}

impl Patience {
    pub fn new(waits_for: &'static str) -> Self {
        Self { waits_for, since: Instant::now() }
    }

    pub fn check(&mut self, progress: bool) -> Result<()> {
        if progress {
            self.since = Instant::now();
        } else if self.since.elapsed() > PATIENCE {
            bail!("waited {} s for {}", PATIENCE.as_secs(), self.waits_for);
        }
        Ok(())
    }
}
