//! How one kind of server is spoken to over a WebSocket: what is said, and what that which is heard means. One object
//! for each connection, with the state of its own conversation. It does no I/O and measures nothing.

mod chinwag;
mod mqtt;
mod nats;
mod plain;
mod socketio;
mod xmpp;

pub use self::chinwag::Chinwag;
use crate::frame;
use crate::stamp::Stamp;

/// One entry for each kind of server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    Chinwag,
    Plain,
    SocketIo,
    Nats,
    Mqtt,
    Xmpp,
}

/// What a connection is for.
#[derive(Clone, Debug)]
pub struct Seat {
    pub role: Role,
    /// Lower-case letters, digits and `-`. It exists where the server wants rooms made.
    pub room: String,
    /// No other connection of the run has this number: for client ids and nicknames.
    pub number: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Gets every message of the room.
    Reader,
    /// Posts to the room; what it gets itself is not looked at.
    Sender,
}

pub enum Heard<'a> {
    /// The connection is where it should be: whatever is posted from now on comes to it (a reader), or it may post (a
    /// sender). Said once.
    In {
        /// Number of the room's last message so far, in lane 0; `None` where lanes are counted by the sender, from 0.
        head: Option<u64>,
    },
    /// A message came to a reader. Within a room, the numbers of a lane must come without gaps, in order, each once.
    Delivered {
        lane: usize,
        number: u64,
        /// The text; or, for Chinwag, the event that holds it.
        message: &'a [u8],
    },
    /// The server has stored a post of this sender.
    Acknowledged,
    /// The server will not do what it must; the run fails.
    Refused(String),
}

/// One connection's side of the conversation.
pub trait Talk {
    /// Request target of the upgrade.
    fn target(&self) -> String;

    fn subprotocol(&self) -> Option<&'static str> {
        None
    }

    /// A session, sent as `Authorization: Bearer`.
    fn token(&self) -> Option<&str> {
        None
    }

    /// Are messages to the server binary frames? What comes from it may be either.
    fn binary(&self) -> bool {
        false
    }

    /// What is said as soon as the upgrade is done.
    fn begins(&mut self, _say: &mut Outbox) {}

    /// A frame's payload has come. Pings of the WebSocket itself are answered by the connection.
    fn hears(&mut self, payload: &[u8], say: &mut Outbox, heard: &mut dyn FnMut(Heard));

    /// Posts a text. `number` counts this connection's posts from 0; the text carries its stamp already.
    fn post(&mut self, number: u64, text: &str, say: &mut Outbox);
}

impl Dialect {
    pub fn talk(self, seat: Seat) -> Box<dyn Talk> {
        match self {
            Self::Chinwag => Box::new(Chinwag::new(seat, None)),
            Self::Plain => Box::new(plain::Plain::new(seat)),
            Self::SocketIo => Box::new(socketio::SocketIo::new(seat)),
            Self::Nats => Box::new(nats::Nats::new(seat)),
            Self::Mqtt => Box::new(mqtt::Mqtt::new(seat)),
            Self::Xmpp => Box::new(xmpp::Xmpp::new(seat)),
        }
    }

    /// Are posts acknowledged, and must be?
    pub fn acknowledges(self) -> bool {
        self == Self::Chinwag
    }
}

impl<'a> Heard<'a> {
    /// A delivery of a text that starts with its stamp, as all dialects but Chinwag's tell it.
    pub fn text(text: &'a [u8]) -> Self {
        match Stamp::identity(text) {
            Some((lane, number)) => Self::Delivered { lane, number, message: text },
            None => Self::Refused(format!("a text that nobody posted: {}", String::from_utf8_lossy(text))),
        }
    }
}

/// Frames that are laid ready for one connection.
pub struct Outbox {
    opcode: u8,
    frames: Vec<u8>,
}

impl Outbox {
    pub fn new(binary: bool) -> Self {
        Self { opcode: if binary { frame::BINARY } else { frame::TEXT }, frames: Vec::new() }
    }

    /// One frame with this payload.
    pub fn say(&mut self, payload: &[u8]) {
        frame::encode(&mut self.frames, self.opcode, payload);
    }

    /// The encoded frames so far, of which the outbox is empty afterwards.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.frames)
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The payloads so far, as text, of which the outbox is empty afterwards.
    #[cfg(test)]
    pub fn said(&mut self) -> Vec<String> {
        let frames = self.take();
        let mut rest = frames.as_slice();
        let payloads = std::iter::from_fn(|| frame::decode_masked(&mut rest).unwrap());
        payloads.map(|it| String::from_utf8_lossy(&it).into_owned()).collect()
    }
}
