//! Many connections on one thread: connects them, sends what was laid ready, hands every text to the scenario.
//! One `epoll` and one read buffer for all, so that the generator has processor time left when the server has none.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use serde_json::{Value, json};

use crate::connection::{Connection, Link, Opening};
use crate::limits;
use crate::wire::{self, Reply};

/// Handshakes and commands under way at once while the scene is set. What the server's allocator keeps of its buffers
/// for them shows in what idle connections weigh.
pub const AT_ONCE: usize = 64;
/// For one answer, or for the next one of many.
pub const PATIENCE: Duration = Duration::from_secs(20);

const ALARM: Token = Token(usize::MAX - 1);

pub struct Swarm {
    servers: Vec<SocketAddr>,
    poll: Poll,
    events: Events,
    connections: Vec<Option<Connection>>,
    /// Those for which something was laid ready since the last turn.
    unflushed: Vec<usize>,
    buffer: Vec<u8>,
    clock: Instant,
    alarm: Alarm,
    /// Why the first connection that ended did so.
    ended: Option<anyhow::Error>,
}

impl Swarm {
    pub fn new(server: SocketAddr) -> Result<Self> {
        Self::spread(vec![server])
    }

    /// Connects to these servers in turn.
    pub fn spread(servers: Vec<SocketAddr>) -> Result<Self> {
        let poll = Poll::new().context("no epoll")?;
        let alarm = Alarm::new()?;
        poll.registry().register(&mut SourceFd(&alarm.0.as_raw_fd()), ALARM, Interest::READABLE)?;
        Ok(Self {
            servers,
            poll,
            alarm,
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
        self.connect_over(Link::Loopback, count)
    }

    pub fn connect_over(&mut self, link: Link, count: usize) -> Result<Range<usize>> {
        let first = self.connections.len();
        let all = first..first + count;
        limits::allow_connections(all.end)?;
        let mut greeted = 0;
        let mut patience = Patience::new("the next connection's hello");
        while greeted < all.len() {
            while self.connections.len() < all.end && self.connections.len() - first - greeted < AT_ONCE {
                self.open(&Opening { target: wire::TARGET.to_owned(), link, ..Opening::default() })?;
            }
            let before = greeted;
            self.turn(|_, text, _| greeted += usize::from(wire::is_hello(text)))?;
            self.all_live()?;
            patience.check(greeted > before)?;
        }
        Ok(all)
    }

    /// Begins one connection and returns its number, the next one from 0.
    pub fn open(&mut self, opening: &Opening) -> Result<usize> {
        let who = self.connections.len();
        let mut connection = Connection::open(self.servers[who % self.servers.len()], limits::source(who), opening)
            .with_context(|| format!("connection {who}"))?;
        watch(&self.poll, &mut connection, who)?;
        self.connections.push(Some(connection));
        Ok(who)
    }

    /// Leaves what comes for this connection in its socket.
    pub fn stop_reading(&mut self, who: usize) -> Result<()> {
        let connection = self.connections[who].as_mut().context("it has ended")?;
        self.poll.registry().deregister(connection.socket()).context("cannot unwatch a socket")
    }

    pub fn read_again(&mut self, who: usize) -> Result<()> {
        let connection = self.connections[who].as_mut().context("it has ended")?;
        watch(&self.poll, connection, who)
    }

    /// Where the server sees this connection come from.
    pub fn address(&mut self, who: usize) -> Result<SocketAddr> {
        Ok(self.connections[who].as_mut().context("it has ended")?.socket().local_addr()?)
    }

    /// Bytes that these connections have received so far.
    pub fn received(&self, connections: Range<usize>) -> u64 {
        self.connections[connections].iter().flatten().map(Connection::received).sum()
    }

    /// Lays a text ready for the next turn.
    pub fn say(&mut self, who: usize, text: &str) {
        if let Some(connection) = &mut self.connections[who]
            && connection.say(text)
        {
            self.unflushed.push(who);
        }
    }

    /// Lays encoded frames ready for the next turn.
    pub fn say_frames(&mut self, who: usize, frames: &[u8]) {
        if let Some(connection) = &mut self.connections[who]
            && connection.say_frames(frames)
        {
            self.unflushed.push(who);
        }
    }

    /// A [`Swarm::turn`] that waits no longer than until then, on this swarm's clock, and is punctual about it.
    pub fn turn_until(&mut self, time: u64, hears: impl FnMut(usize, &[u8], u64)) -> Result<()> {
        // A timer of nothing would never ring.
        self.alarm.set(Duration::from_nanos(time.saturating_sub(self.now()).max(1)))?;
        self.turn(hears)
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
            if event.token() == ALARM {
                continue;
            }
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
        self.ask_all(all.map(|who| (who, command.clone())))
    }

    /// Sends commands, each from the connection that is named, and returns the replies in their order.
    pub fn ask_all(&mut self, commands: impl ExactSizeIterator<Item = (usize, Value)>) -> Result<Vec<Value>> {
        let mut replies = vec![Value::Null; commands.len()];
        let mut commands = commands;
        let (mut asked, mut answered) = (0, 0);
        let mut patience = Patience::new("the next reply");
        while answered < replies.len() {
            while asked - answered < AT_ONCE
                && let Some((who, mut command)) = commands.next()
            {
                command["ref"] = json!(asked);
                self.say(who, &command.to_string());
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
                bail!("the server refused a command: {error}");
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
}

/// A timer that wakes the epoll to the microsecond; its own time-out counts milliseconds.
struct Alarm(OwnedFd);

impl Alarm {
    fn new() -> Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags).context("no timer")?))
    }

    fn set(&self, time: Duration) -> Result<()> {
        let time = Timespec { tv_sec: i64::try_from(time.as_secs())?, tv_nsec: time.subsec_nanos().into() };
        let once = Itimerspec { it_interval: Timespec::default(), it_value: time };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once).context("cannot set a timer")?;
        Ok(())
    }
}

fn watch(poll: &Poll, connection: &mut Connection, who: usize) -> Result<()> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(connection.socket(), Token(who), interest).context("cannot watch a socket")
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
