//! The WebSocket door of one worker: takes admitted connections from HTTP and looks after their lives. All their
//! sockets stand in one `epoll` of its own, since a task and a registration of the runtime's for each would weigh more
//! than everything else that an idle connection keeps. It never touches the store, and knows what a room is only by
//! its name.

mod command;
mod life;
mod socket;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use mio::{Events, Poll, Registry, Token};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;

use self::life::{Life, Outcome};
use self::socket::Socket;
use crate::chat::auth::Admission;
use crate::chat::by_id::ById;
use crate::chat::connection::{Connection, Nudges};
use crate::chat::tail::View;
use crate::chat::user::{ConnectionId, Link, next_connection};
use crate::chat::worker::Worker;
use crate::frame;
use crate::protocol::{CloseCode, Push};

/// Fragments in one message, the most.
const FRAGMENTS: u32 = 65_536;
/// A heartbeat in ticks of the clock by which silence is measured.
const HEARTBEAT_TICKS: u16 = 8;
/// What is read from a socket at once, into a buffer shared by all connections of the thread.
const READ_BYTES: usize = 16 << 10;
/// What the kernel tells at once.
const EVENTS: usize = 1024;
/// After so many lives the door makes way for HTTP and for deliveries.
const SLICE: usize = 256;

/// What all WebSocket connections of one worker share.
pub struct Door {
    worker: Rc<Worker>,
    /// The kernel tells of their sockets under their connections' ids. Boxed, for the table has free places.
    lives: RefCell<ById<Box<Life>>>,
    poll: RefCell<Poll>,
    /// Tells the runtime, which waits for everything else, that `poll` has something to tell.
    kernel: AsyncFd<OwnedFd>,
    nudges: Arc<Nudges>,
    /// Lives with something to do.
    ready: RefCell<VecDeque<ConnectionId>>,
    /// Held by every connection on its way in.
    upgrading: Rc<()>,
    buffer: RefCell<Box<[u8]>>,
    view: RefCell<View>,
    limits: frame::Limits,
    clock: Rc<Cell<u16>>,
}

impl Door {
    pub fn new(worker: Rc<Worker>) -> io::Result<Rc<Self>> {
        let message_bytes = worker.chat.settings.limits.frame_bytes;
        let poll = Poll::new()?;
        Ok(Rc::new(Self {
            worker,
            lives: RefCell::default(),
            kernel: watch(poll.registry())?,
            poll: RefCell::new(poll),
            nudges: Arc::default(),
            ready: RefCell::default(),
            upgrading: Rc::default(),
            buffer: RefCell::new(vec![0; READ_BYTES].into()),
            view: RefCell::default(),
            limits: frame::Limits { message_bytes, fragments: FRAGMENTS },
            clock: Rc::default(),
        }))
    }

    /// Whether connections are left, or on their way in.
    pub fn is_open(&self) -> bool {
        Rc::strong_count(&self.upgrading) > 1 || !self.lives.borrow().is_empty()
    }

    /// Takes in a connection once its upgrade is done; from then on `attend` looks after it.
    pub fn admit(self: Rc<Self>, upgrade: OnUpgrade, admission: Admission) -> impl Future<Output = ()> {
        let upgrading = self.upgrading.clone();
        async move {
            if let Err(error) = self.welcome(upgrade, admission).await {
                tracing::debug!(%error, "an upgrade broke off");
            }
            drop(upgrading);
        }
    }

    async fn welcome(
        self: &Rc<Self>,
        upgrade: OnUpgrade,
        admission: Admission,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let upgraded = upgrade.await?;
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| "not a socket of ours")?;
        let id = next_connection();
        let mut stream = mio::net::TcpStream::from_std(parts.io.into_inner().into_std()?);
        let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
        self.poll.borrow().registry().register(&mut stream, token(id), interest)?;
        let socket = Rc::new(Socket::new(stream, self.clock.clone()));
        let Admission { user, session, changed_before, posts, claim, permit } = admission;
        let (session_of_link, source) = (session.map(Box::new), permit.source());
        let link = Link { worker: self.worker.index, connection: id, session: session_of_link, source };
        let user = self.worker.chat.users.connect(user, link);
        let connection = Rc::new(Connection::new(id, user, posts, socket.clone(), self.nudges.clone()));
        tracing::debug!(connection = id, user = %connection.user.id, name = %connection.user.name(), "connected");
        // However this ends, by a panic too, the life takes back with it what was entered anywhere.
        let life = Life::new(self.clone(), socket, connection.clone(), &parts.read_buf, claim, permit);
        match self.worker.chat.hello(&connection.user).await {
            Ok((hello, joined)) => {
                connection.say(&hello);
                self.worker.add(connection.clone(), joined);
                if self.worker.chat.is_away() {
                    connection.say(&Push::Store { away: true }.json());
                }
                // A sign-out while the connection came in did not reach it.
                if !self.worker.chat.session_lives(&connection.user, session, changed_before).await {
                    connection.close(CloseCode::SessionEnded);
                }
            }
            Err(error) => {
                tracing::warn!(connection = id, %error, "cannot greet");
                connection.close(CloseCode::GoingAway);
            }
        }
        self.lives.borrow_mut().insert(Box::new(life));
        connection.nudge();
        Ok(())
    }

    /// Looks after all connections, for ever: takes what the kernel tells of their sockets, and gives each that has
    /// something to do its turn.
    pub async fn attend(self: Rc<Self>) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            if self.ready.borrow().is_empty() {
                tokio::select! {
                    // Cleared first, asked then: what comes in between is told again.
                    Ok(mut readable) = self.kernel.readable() => readable.clear_ready(),
                    () = self.nudges.rung() => {}
                }
            }
            self.gather(&mut events);
            self.give_turns();
            tokio::task::yield_now().await;
        }
    }

    /// Finds out who has something to do.
    fn gather(&self, events: &mut Events) {
        let mut lives = self.lives.borrow_mut();
        let mut ready = self.ready.borrow_mut();
        loop {
            if let Err(error) = self.poll.borrow_mut().poll(events, Some(Duration::ZERO)) {
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                tracing::error!(%error, "the kernel does not tell of sockets");
                break;
            }
            for event in events.iter() {
                let id = event.token().0 as ConnectionId;
                if let Some(life) = lives.get_mut(id) {
                    life.socket.hears(event);
                    life.queue(&mut ready);
                }
            }
            if events.iter().count() < EVENTS {
                break;
            }
        }
        for id in self.nudges.take() {
            if let Some(life) = lives.get_mut(id) {
                life.queue(&mut ready);
            }
        }
    }

    fn give_turns(&self) {
        for _ in 0..SLICE {
            let Some(id) = self.ready.borrow_mut().pop_front() else { return };
            let mut lives = self.lives.borrow_mut();
            let Some(life) = lives.get_mut(id) else { continue };
            life.queued = false;
            // A fault in one connection's affairs ends that connection.
            match catch_unwind(AssertUnwindSafe(|| life.turns())) {
                Ok(Outcome::Waits) => {}
                Ok(Outcome::HasMore) => life.queue(&mut self.ready.borrow_mut()),
                Ok(Outcome::Over) | Err(_) => {
                    lives.remove(id);
                }
            }
        }
    }

    /// Drops the connections that are left.
    pub fn close(&self) {
        self.lives.take();
    }

    /// Pings who was not pinged for a heartbeat and closes who was silent for two, for ever.
    pub async fn keep_time(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(self.worker.chat.settings.heartbeat / u32::from(HEARTBEAT_TICKS));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.clock.set(self.clock.get().wrapping_add(1));
            for life in self.lives.borrow().iter() {
                self.check_pulse(&life.socket, &life.connection);
            }
        }
    }

    fn check_pulse(&self, socket: &Socket, connection: &Connection) {
        let since = |tick: &Cell<u16>| self.clock.get().wrapping_sub(tick.get());
        // One tick more than two heartbeats: the clock may have been about to tick when it was heard.
        let silent = since(&socket.heard) > 2 * HEARTBEAT_TICKS;
        let not_reading = connection.outbox_len() > 0 && since(&socket.taken) > 2 * HEARTBEAT_TICKS;
        if silent || not_reading {
            connection.close(CloseCode::Silent);
        } else if since(&socket.pinged) >= HEARTBEAT_TICKS {
            socket.pinged.set(self.clock.get());
            connection.say_frames(|out| frame::write_ping(b"", out));
            connection.flush();
        }
    }
}

/// Lets the runtime, which waits for everything else, wait for the door's `epoll` too.
#[expect(unsafe_code, reason = "the runtime has no safe way to watch a descriptor that is not a socket of its own")]
fn watch(registry: &Registry) -> io::Result<AsyncFd<OwnedFd>> {
    let descriptor = registry.as_fd().try_clone_to_owned()?;
    // SAFETY: `AsyncFd` asks that the descriptor be valid and neither closed nor replaced while it holds it. It is the
    // only owner.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}

fn token(id: ConnectionId) -> Token {
    Token(usize::try_from(id).unwrap_or(usize::MAX))
}
