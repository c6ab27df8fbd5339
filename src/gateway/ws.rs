//! The WebSocket door: one connection's life on the raw socket. Commands come in and are carried out in order,
//! replies and pushes go out, heartbeats tell who is still there. It never touches the store, and knows what a room
//! is only by its name.

mod command;
mod socket;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use self::socket::Socket;
use super::request::Arrival;
use crate::chat::auth::{Admission, NameClaim};
use crate::chat::connection::{Connection, OUTBOX_FULL, Pumped};
use crate::chat::limit::Permit;
use crate::chat::tail::View;
use crate::chat::user::{ConnectionId, Link};
use crate::chat::worker::Worker;
use crate::error::Result;
use crate::frame::{self, Decoder, Incoming};
use crate::protocol::CloseCode;

/// Fragments in one message, the most.
const FRAGMENTS: u32 = 65_536;
/// Posts of one connection under way at once; what comes then waits in the socket.
const POSTS_UNDER_WAY: u32 = 256;
/// A heartbeat in ticks of the clock by which silence is measured.
const HEARTBEAT_TICKS: u32 = 8;
/// How long the other side may take to answer a close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// What is read from a socket at once, into a buffer shared by all connections of the thread.
const READ_BYTES: usize = 16 << 10;
/// After so many turns a connection with more to do makes way for the others of its worker.
const TURNS: u32 = 4;

/// What all WebSocket connections of one worker share.
pub struct Door {
    worker: Rc<Worker>,
    sockets: RefCell<BTreeMap<ConnectionId, Rc<Socket>>>,
    upgrading: Cell<u32>,
    buffer: RefCell<Box<[u8]>>,
    view: RefCell<View>,
    limits: frame::Limits,
    clock: Rc<Cell<u32>>,
}

/// Ids are given in the order in which connections come, over all workers: rounds walk them in this order.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Door {
    pub fn new(worker: Rc<Worker>) -> Rc<Self> {
        let message_bytes = worker.chat.settings.limits.frame_bytes;
        Rc::new(Self {
            worker,
            sockets: RefCell::default(),
            upgrading: Cell::new(0),
            buffer: RefCell::new(vec![0; READ_BYTES].into()),
            view: RefCell::default(),
            limits: frame::Limits { message_bytes, fragments: FRAGMENTS },
            clock: Rc::default(),
        })
    }

    /// Whether connections are left, or on their way in.
    pub fn is_open(&self) -> bool {
        self.upgrading.get() > 0 || !self.sockets.borrow().is_empty()
    }

    /// One connection from its upgrade to its end.
    pub fn serve(self: Rc<Self>, arrival: Arrival) -> Service {
        self.upgrading.set(self.upgrading.get() + 1);
        Service::Upgrading(Box::pin(async move {
            let life = self.clone().welcome(arrival).await;
            self.upgrading.set(self.upgrading.get() - 1);
            life
        }))
    }

    /// Pings who was not pinged for a heartbeat and closes who was silent for two, for ever.
    pub async fn keep_time(self: Rc<Self>) {
        let mut ticks = tokio::time::interval(self.worker.chat.settings.heartbeat / HEARTBEAT_TICKS);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.clock.set(self.clock.get().wrapping_add(1));
            for socket in self.sockets.borrow().values() {
                if let Some(connection) = socket.connection.borrow().upgrade() {
                    self.check_pulse(socket, &connection);
                }
            }
        }
    }

    fn check_pulse(&self, socket: &Socket, connection: &Connection) {
        let since = |tick: &Cell<u32>| self.clock.get().wrapping_sub(tick.get());
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

    async fn welcome(self: Rc<Self>, arrival: Arrival) -> Option<Life> {
        let upgraded = arrival.upgrade.await.ok()?;
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let socket = Rc::new(Socket::new(parts.io.into_inner(), self.clock.clone()));
        let Admission { user, session, claim, permit } = arrival.admission;
        let link = Link { worker: self.worker.index, connection: id, session: session.map(Box::new) };
        let user = self.worker.chat.users.connect(user, link);
        let connection = Rc::new(Connection::new(id, user, socket.clone()));
        *socket.connection.borrow_mut() = Rc::downgrade(&connection);
        self.sockets.borrow_mut().insert(id, socket.clone());
        tracing::debug!(connection = id, user = %connection.user.id, name = %connection.user.name(), "connected");
        let life = Life {
            door: self.clone(),
            socket,
            connection,
            decoder: Decoder::default(),
            unread: parts.read_buf.to_vec(),
            deferred: None,
            command: None,
            page: None,
            ending: None,
            _claim: claim,
            _permit: permit,
        };
        match self.worker.chat.hello(&life.connection.user).await {
            Ok((hello, joined)) => {
                life.connection.say(&hello);
                self.worker.add(life.connection.clone(), joined);
                // A sign-out while the connection came in did not reach it.
                if !self.worker.chat.session_lives(session).await {
                    life.connection.close(CloseCode::SessionEnded);
                }
            }
            Err(error) => {
                tracing::warn!(connection = id, %error, "cannot greet");
                life.connection.close(CloseCode::GoingAway);
            }
        }
        Some(life)
    }
}

type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// What `serve` returns. A future of our own, since an `async fn` would keep place for its arguments and for the
/// upgrade beside the life, as long as that lasts.
pub enum Service {
    Upgrading(Task<Option<Life>>),
    Living(Life),
}

impl Future for Service {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Upgrading(upgrade) = &mut *self {
            match ready!(upgrade.as_mut().poll(cx)) {
                Some(life) => self.set(Self::Living(life)),
                None => return Poll::Ready(()),
            }
        }
        match &mut *self {
            Self::Living(life) => Pin::new(life).poll(cx),
            Self::Upgrading(_) => Poll::Pending,
        }
    }
}

/// A connection's life, polled by its own task: waits for the socket, for commands that take their time, and for
/// pages from the store. All of it that is not always needed is boxed, since thousands of lives are idle.
pub struct Life {
    door: Rc<Door>,
    socket: Rc<Socket>,
    connection: Rc<Connection>,
    decoder: Decoder,
    /// Input that waits until the command before it is carried out.
    unread: Vec<u8>,
    /// A command that waits for the posts before it.
    deferred: Option<Box<str>>,
    command: Option<Task<()>>,
    page: Option<Task<Result<()>>>,
    ending: Option<Box<Ending>>,
    /// Both are let go of with the life.
    _claim: Option<NameClaim>,
    _permit: Permit,
}

struct Ending {
    /// What is said in the close frame; None until it is said.
    code: Option<u16>,
    said: bool,
    patience: Pin<Box<Sleep>>,
}

/// The socket is closed or broken: nothing more can be said.
struct Gone;

impl Future for Life {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.attend(cx);
        for _ in 0..TURNS {
            if self.ending.is_none()
                && let Some(code) = self.connection.closing()
            {
                self.end(Some(code as u16));
            }
            if self.ending.is_some() {
                return self.poll_ending(cx);
            }
            match self.turn(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(Gone) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Life {
    /// Does what can be done now; false where everything waits, with this task woken when that changes.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, Gone> {
        let carried_out = self.poll_command(cx);
        let read = self.poll_input(cx)?;
        let page = self.poll_page(cx);
        let listened = self.listens();
        let more = self.poll_output(cx)?;
        // What went out may have made room for the next command, of whose coming nobody would tell us.
        let listens_again = !listened && self.listens();
        Ok(more || carried_out || read || page || listens_again)
    }

    fn poll_command(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(command) = &mut self.command {
            if command.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.command = None;
            return true;
        }
        if self.connection.posts_under_way.get() == 0
            && let Some(text) = self.deferred.take()
        {
            self.command = Some(self.carry_out(text));
            return true;
        }
        false
    }

    /// Whether the next command may be read: commands are carried out in order, and who does not take replies is not
    /// listened to.
    fn listens(&self) -> bool {
        self.command.is_none()
            && self.deferred.is_none()
            && self.connection.posts_under_way.get() < POSTS_UNDER_WAY
            && self.connection.outbox_len() < OUTBOX_FULL
            && self.ending.is_none()
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Result<bool, Gone> {
        if !self.listens() {
            self.connection.wait_for_posts(self.connection.posts_under_way.get() > 0);
            return Ok(false);
        }
        self.connection.wait_for_posts(false);
        if !self.unread.is_empty() {
            let mut unread = std::mem::take(&mut self.unread);
            self.take_input(&mut unread);
            return Ok(true);
        }
        if self.socket.poll_read_ready(cx).is_pending() {
            return Ok(false);
        }
        let door = self.door.clone();
        let mut buffer = door.buffer.borrow_mut();
        match self.socket.read(&mut buffer) {
            Ok(0) => Err(Gone),
            Ok(length) => {
                self.take_input(&mut buffer[..length]);
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(true),
            Err(_) => Err(Gone),
        }
    }

    fn take_input(&mut self, input: &mut [u8]) {
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut decoding = decoder.decode(input, self.door.limits);
        while let Some(incoming) = decoding.next() {
            match incoming {
                Ok(Incoming::Text(text)) => self.take_command(&text),
                Ok(Incoming::Ping(payload)) => {
                    self.connection.say_frames(|out| frame::write_pong(&payload, out));
                }
                Ok(Incoming::Pong(_)) => {}
                Ok(Incoming::Close(code)) => self.end(code.map(|(code, _)| code)),
                Err(violation) => {
                    tracing::debug!(connection = self.connection.id, %violation, "broken input");
                    self.end(Some(violation.close_code()));
                }
            }
            if !self.listens() {
                self.unread = decoding.rest().to_vec();
                break;
            }
        }
        self.decoder = decoder;
    }

    fn poll_page(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(page) = &mut self.page else { return false };
        let Poll::Ready(outcome) = page.as_mut().poll(cx) else { return false };
        self.page = None;
        if let Err(error) = outcome {
            tracing::warn!(connection = self.connection.id, %error, "cannot read the log");
            self.connection.close(CloseCode::GoingAway);
        }
        true
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Result<bool, Gone> {
        match self.connection.pump(&mut self.door.view.borrow_mut()) {
            Pumped::Idle => Ok(false),
            Pumped::Blocked => Ok(self.socket.poll_write_ready(cx).is_ready()),
            Pumped::Broken => Err(Gone),
            Pumped::Reads(reader) => {
                if self.page.is_some() {
                    return Ok(false);
                }
                let worker = self.door.worker.clone();
                self.page = Some(Box::pin(async move { worker.read_page(reader).await }));
                Ok(true)
            }
        }
    }

    /// Begins to close: subscriptions end now, the close frame goes out when nothing is under way any more.
    fn end(&mut self, code: Option<u16>) {
        if self.ending.is_none() {
            self.door.worker.retire(&self.connection);
            let patience = Box::pin(tokio::time::sleep(CLOSE_PATIENCE));
            self.ending = Some(Box::new(Ending { code, said: false, patience }));
        }
    }

    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(command) = &mut self.command
            && command.as_mut().poll(cx).is_ready()
        {
            self.command = None;
        }
        let under_way = self.command.is_some() || self.connection.posts_under_way.get() > 0;
        let Some(ending) = &mut self.ending else { return Poll::Ready(()) };
        if ending.patience.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if under_way {
            self.connection.wait_for_posts(true);
            return Poll::Pending;
        }
        if !ending.said {
            ending.said = true;
            match ending.code {
                Some(code) => self.connection.say_frames(|out| frame::write_close(code, "", out)),
                // RFC 6455 §5.5.1: a close without a code is answered by one without a code.
                None => self.connection.say_frames(|out| out.extend_from_slice(&[0x88, 0])),
            }
            self.connection.say_no_more();
        }
        loop {
            match self.connection.pump(&mut self.door.view.borrow_mut()) {
                Pumped::Idle | Pumped::Reads(_) => break,
                Pumped::Blocked => ready!(self.socket.poll_write_ready(cx)),
                Pumped::Broken => return Poll::Ready(()),
            }
        }
        self.socket.finish();
        // The other side's answer, or its end, so that our close is not overtaken by a reset.
        loop {
            ready!(self.socket.poll_read_ready(cx));
            match self.socket.read(&mut self.door.buffer.borrow_mut()) {
                Ok(0) => return Poll::Ready(()),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl Drop for Life {
    /// However the life ends, by a panic too, nothing of it stays.
    fn drop(&mut self) {
        let connection = &self.connection;
        self.door.worker.remove(connection);
        self.door.sockets.borrow_mut().remove(&connection.id);
        self.door.worker.chat.users.disconnect(&connection.user, connection.id);
        tracing::debug!(connection = connection.id, user = %connection.user.id, "disconnected");
    }
}
