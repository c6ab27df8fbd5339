//! One connection's life, from its greeting to its end: what comes in is decoded and carried out in order, what is to
//! go out is pumped, and closing takes its time. The door gives it its turns; it waits for nothing but by being given
//! another.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use tokio::time::Sleep;

use super::Door;
use super::socket::Socket;
use crate::chat::auth::NameClaim;
use crate::chat::by_id::Identified;
use crate::chat::connection::{Connection, Nudges, OUTBOX_FULL, Pumped};
use crate::chat::limit::Permit;
use crate::chat::user::ConnectionId;
use crate::error::Result;
use crate::frame::{self, Decoder, Incoming};
use crate::protocol::CloseCode;

/// Posts of one connection under way at once; what comes then waits in the socket.
const POSTS_UNDER_WAY: u16 = 256;
/// How long the other side may take to answer a close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);
/// After so many turns a connection with more to do makes way for the others of its worker.
const TURNS: u32 = 4;

pub type Task<T> = Pin<Box<dyn Future<Output = T>>>;

pub struct Life {
    pub door: Rc<Door>,
    pub socket: Rc<Socket>,
    pub connection: Rc<Connection>,
    decoder: Decoder,
    /// What most lives have nothing of at most times, since thousands of them are idle.
    under_way: Option<Box<UnderWay>>,
    /// It waits among those with something to do.
    pub queued: bool,
    /// Both are let go of with the life.
    _claim: Option<NameClaim>,
    _permit: Permit,
}

impl Identified for Box<Life> {
    type Id = ConnectionId;

    fn id(&self) -> ConnectionId {
        self.connection.id
    }
}

#[derive(Default)]
struct UnderWay {
    /// Input that waits until the command before it is carried out.
    unread: Vec<u8>,
    /// A command that waits for the posts before it.
    deferred: Option<Box<str>>,
    command: Option<Task<()>>,
    page: Option<Task<Result<()>>>,
    ending: Option<Ending>,
}

struct Ending {
    /// What is said in the close frame; without one it has none.
    code: Option<u16>,
    said: bool,
    /// All that was said has gone out, and the socket knows that nothing more will come.
    finished: bool,
    patience: Pin<Box<Sleep>>,
}

/// What became of a life that was given its turns.
pub enum Outcome {
    /// It is told when there is more to do.
    Waits,
    HasMore,
    Over,
}

/// The socket is closed or broken: nothing more can be said.
struct Gone;

/// Wakes a life whose command or page is told of by the store.
struct Nudge {
    connection: ConnectionId,
    nudges: Arc<Nudges>,
}

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.nudges.nudge(self.connection);
    }
}

impl Life {
    /// A life that has read `unread` with the request that it began as.
    pub fn new(
        door: Rc<Door>,
        socket: Rc<Socket>,
        connection: Rc<Connection>,
        unread: &[u8],
        claim: Option<NameClaim>,
        permit: Permit,
    ) -> Self {
        let decoder = Decoder::default();
        let under_way =
            (!unread.is_empty()).then(|| Box::new(UnderWay { unread: unread.to_vec(), ..UnderWay::default() }));
        Self { door, socket, connection, decoder, under_way, queued: false, _claim: claim, _permit: permit }
    }

    /// Puts it among those with something to do, unless it is there.
    pub fn queue(&mut self, ready: &mut VecDeque<ConnectionId>) {
        if !self.queued {
            self.queued = true;
            ready.push_back(self.connection.id);
        }
    }

    /// Does what can be done now, or some of it.
    pub fn turns(&mut self) -> Outcome {
        for _ in 0..TURNS {
            if let Some(code) = self.connection.closing() {
                self.end(Some(code as u16));
            }
            let more = if self.is_ending() { self.turn_to_the_end() } else { self.turn() };
            match more {
                Ok(true) => {}
                Ok(false) => {
                    self.tidy();
                    return Outcome::Waits;
                }
                Err(Gone) => return Outcome::Over,
            }
        }
        Outcome::HasMore
    }

    /// An idle life keeps nothing.
    fn tidy(&mut self) {
        let idle = |it: &UnderWay| {
            it.unread.is_empty()
                && it.deferred.is_none()
                && it.command.is_none()
                && it.page.is_none()
                && it.ending.is_none()
        };
        if self.under_way.as_deref().is_some_and(idle) {
            self.under_way = None;
        }
    }

    /// Does what can be done now; false where everything waits.
    fn turn(&mut self) -> Result<bool, Gone> {
        let carried_out = self.poll_command();
        let read = self.take_what_came()?;
        let page = self.poll_page();
        let listened = self.listens();
        let more = self.send()?;
        // What went out may have made room for the next command, of whose coming nobody would tell us.
        let listens_again = !listened && self.listens();
        Ok(more || carried_out || read || page || listens_again)
    }

    fn poll_command(&mut self) -> bool {
        let Some(under_way) = self.under_way.as_deref_mut() else { return false };
        if let Some(command) = &mut under_way.command {
            let done = is_done(&self.connection, &self.door, command);
            if done {
                under_way.command = None;
            }
            return done;
        }
        if self.connection.posts_under_way.get() == 0
            && let Some(text) = under_way.deferred.take()
        {
            let command = self.carry_out(text);
            self.under_way().command = Some(command);
            return true;
        }
        false
    }

    /// Whether the next command may be read: commands are carried out in order, and who does not take replies is not
    /// listened to.
    fn listens(&self) -> bool {
        let waits = |it: &UnderWay| it.command.is_some() || it.deferred.is_some() || it.ending.is_some();
        !self.under_way.as_deref().is_some_and(waits)
            && self.connection.posts_under_way.get() < POSTS_UNDER_WAY
            && self.connection.outbox_len() < OUTBOX_FULL
    }

    fn take_what_came(&mut self) -> Result<bool, Gone> {
        if !self.listens() {
            self.connection.wait_for_posts(self.connection.posts_under_way.get() > 0);
            return Ok(false);
        }
        self.connection.wait_for_posts(false);
        let mut unread = self.under_way.as_deref_mut().map(|it| std::mem::take(&mut it.unread)).unwrap_or_default();
        if !unread.is_empty() {
            self.take_input(&mut unread);
            return Ok(true);
        }
        if !self.socket.is_readable() {
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
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(true),
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
                if !decoding.rest().is_empty() {
                    self.under_way().unread = decoding.rest().to_vec();
                }
                break;
            }
        }
        self.decoder = decoder;
    }

    /// A command that takes its time: whatever comes next waits for it.
    pub fn begin(&mut self, command: Task<()>) {
        self.under_way().command = Some(command);
    }

    /// A command that waits for the posts before it.
    pub fn defer(&mut self, text: &str) {
        self.under_way().deferred = Some(text.into());
    }

    fn poll_page(&mut self) -> bool {
        let Some(page) = self.under_way.as_deref_mut().and_then(|it| it.page.as_mut()) else { return false };
        let Some(outcome) = poll(&self.connection, &self.door, page) else { return false };
        self.under_way().page = None;
        if let Err(error) = outcome {
            tracing::warn!(connection = self.connection.id, %error, "cannot read the log");
            self.connection.close(CloseCode::GoingAway);
        }
        true
    }

    fn send(&mut self) -> Result<bool, Gone> {
        let withholds = self.door.worker.chat.hub.withholds();
        let pumped = self.connection.pump(&mut self.door.view.borrow_mut(), withholds);
        match pumped {
            Pumped::Idle => Ok(false),
            Pumped::Blocked => Ok(self.socket.is_writable()),
            Pumped::Broken => Err(Gone),
            Pumped::Reads(reader) => {
                let worker = self.door.worker.clone();
                let under_way = self.under_way();
                if under_way.page.is_some() {
                    return Ok(false);
                }
                under_way.page = Some(Box::pin(async move { worker.read_page(reader).await }));
                Ok(true)
            }
        }
    }

    fn is_ending(&self) -> bool {
        self.under_way.as_deref().is_some_and(|it| it.ending.is_some())
    }

    /// Begins to close: subscriptions end now, the close frame goes out when nothing is under way any more.
    fn end(&mut self, code: Option<u16>) {
        if !self.is_ending() {
            self.door.worker.retire(&self.connection);
            let patience = Box::pin(tokio::time::sleep(CLOSE_PATIENCE));
            self.under_way().ending = Some(Ending { code, said: false, finished: false, patience });
        }
    }

    /// Does what can be done to end in good order; false where everything waits.
    fn turn_to_the_end(&mut self) -> Result<bool, Gone> {
        self.poll_command();
        let (connection, door) = (&self.connection, &self.door);
        let Some(under_way) = self.under_way.as_deref_mut() else { return Err(Gone) };
        let Some(ending) = &mut under_way.ending else { return Err(Gone) };
        if is_done(connection, door, &mut ending.patience) {
            return Err(Gone);
        }
        if under_way.command.is_some() || connection.posts_under_way.get() > 0 {
            connection.wait_for_posts(true);
            return Ok(false);
        }
        if !ending.said {
            ending.said = true;
            match ending.code {
                Some(code) => connection.say_frames(|out| frame::write_close(code, "", out)),
                // RFC 6455 §5.5.1: a close without a code is answered by one without a code.
                None => connection.say_frames(|out| out.extend_from_slice(&[0x88, 0])),
            }
            connection.say_no_more();
        }
        match connection.pump(&mut door.view.borrow_mut(), door.worker.chat.hub.withholds()) {
            Pumped::Idle | Pumped::Reads(_) => {
                // Once: the kernel tells of each shutdown as news of the socket, which would be another turn.
                if !std::mem::replace(&mut ending.finished, true) {
                    self.socket.finish();
                }
            }
            Pumped::Blocked => return Ok(self.socket.is_writable()),
            Pumped::Broken => return Err(Gone),
        }
        // The other side's answer, or its end, so that our close is not overtaken by a reset.
        if !self.socket.is_readable() {
            return Ok(false);
        }
        match self.socket.read(&mut door.buffer.borrow_mut()) {
            Ok(0) => Err(Gone),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(true),
            Err(_) => Err(Gone),
        }
    }

    fn under_way(&mut self) -> &mut UnderWay {
        self.under_way.get_or_insert_default()
    }
}

/// Whether this came to its end. If not, the life is given another turn when it may have.
fn is_done<F: Future<Output = ()> + ?Sized>(connection: &Connection, door: &Door, task: &mut Pin<Box<F>>) -> bool {
    poll(connection, door, task).is_some()
}

fn poll<T, F: Future<Output = T> + ?Sized>(connection: &Connection, door: &Door, task: &mut Pin<Box<F>>) -> Option<T> {
    let nudge = Nudge { connection: connection.id, nudges: door.nudges.clone() };
    match task.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(nudge)))) {
        std::task::Poll::Ready(outcome) => Some(outcome),
        std::task::Poll::Pending => None,
    }
}

impl Drop for Life {
    /// However the life ends, by a panic too, nothing of it stays.
    fn drop(&mut self) {
        let connection = &self.connection;
        self.door.worker.remove(connection);
        self.door.worker.chat.users.disconnect(&connection.user, connection.id);
        tracing::debug!(connection = connection.id, user = %connection.user.id, "disconnected");
    }
}
