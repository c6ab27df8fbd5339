//! The kernel's floor: a server that does nothing but `write` an encoded frame to every reader of a room, one after
//! another. It speaks the plain dialect as far as the generator does, checks nothing, and trusts its readers to read.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::frame;

const LISTENER: Token = Token(usize::MAX);
/// What has gathered is written after that long without another message, full or not.
const GATHER: Duration = Duration::from_millis(2);
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[derive(clap::Args)]
pub struct Options {
    #[arg(long)]
    listen: SocketAddr,
    /// Frames that are gathered for one write
    #[arg(long, default_value_t = 1)]
    frames: usize,
}

struct Floor {
    poll: Poll,
    connections: Vec<Option<Connection>>,
    rooms: HashMap<String, Room>,
    frames: usize,
    buffer: Vec<u8>,
}

struct Connection {
    socket: TcpStream,
    unread: Vec<u8>,
    /// The room that it writes to, once it has said so.
    room: Option<String>,
}

#[derive(Default)]
struct Room {
    readers: Vec<TcpStream>,
    frames: Vec<u8>,
    gathered: usize,
}

/// Serves until it is killed.
pub fn run(options: &Options) -> Result<()> {
    let mut listener =
        TcpListener::bind(options.listen).with_context(|| format!("cannot listen at {}", options.listen))?;
    let poll = Poll::new().context("no epoll")?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut floor = Floor {
        poll,
        connections: Vec::new(),
        rooms: HashMap::new(),
        frames: options.frames,
        buffer: vec![0; 256 * 1024],
    };
    let mut events = Events::with_capacity(1024);
    loop {
        let gathered = floor.rooms.values().any(|room| room.gathered > 0);
        match floor.poll.poll(&mut events, gathered.then_some(GATHER)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error).context("epoll failed"),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => floor.accept(&listener)?,
                Token(who) => floor.read(who)?,
            }
        }
        if events.is_empty() {
            floor.rooms.values_mut().try_for_each(Room::write)?;
        }
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        loop {
            match listener.accept() {
                Ok((mut socket, _)) => {
                    socket.set_nodelay(true)?;
                    self.poll.registry().register(&mut socket, Token(self.connections.len()), Interest::READABLE)?;
                    self.connections.push(Some(Connection { socket, unread: Vec::new(), room: None }));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot accept"),
            }
        }
    }

    fn read(&mut self, who: usize) -> Result<()> {
        while let Some(mut connection) = self.connections[who].take() {
            match connection.socket.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(bytes) => {
                    connection.unread.extend_from_slice(&self.buffer[..bytes]);
                    self.connections[who] = self.hear(connection)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.connections[who] = Some(connection);
                    return Ok(());
                }
                // It hung up in its own way.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// The connection, unless it has become a reader.
    fn hear(&mut self, mut connection: Connection) -> Result<Option<Connection>> {
        let Some(room) = &connection.room else { return self.seat(connection) };
        let room = self.rooms.entry(room.clone()).or_default();
        let mut rest = connection.unread.as_slice();
        while let Some(payload) = frame::decode_masked(&mut rest)? {
            frame::encode_unmasked(&mut room.frames, frame::TEXT, &payload);
            room.gathered += 1;
            if room.gathered >= self.frames {
                room.write()?;
            }
        }
        connection.unread = rest.to_vec();
        Ok(Some(connection))
    }

    fn seat(&mut self, mut connection: Connection) -> Result<Option<Connection>> {
        if !connection.unread.ends_with(b"\r\n\r\n") {
            return Ok(Some(connection));
        }
        let request = std::mem::take(&mut connection.unread);
        let Some((room, place)) = target(&request) else { bail!("not a request that the generator makes") };
        let mut answer = ANSWER.to_vec();
        frame::encode_unmasked(&mut answer, frame::TEXT, b"in");
        connection.socket.write_all(&answer)?;
        if place == "read" {
            self.poll.registry().deregister(&mut connection.socket)?;
            self.rooms.entry(room.to_owned()).or_default().readers.push(connection.socket);
            return Ok(None);
        }
        connection.room = Some(room.to_owned());
        Ok(Some(connection))
    }
}

/// The room and the place in `GET /ROOM/PLACE `.
fn target(request: &[u8]) -> Option<(&str, &str)> {
    let request = std::str::from_utf8(request).ok()?;
    request.strip_prefix("GET /")?.split(' ').next()?.split_once('/')
}

impl Room {
    fn write(&mut self) -> Result<()> {
        for reader in &mut self.readers {
            let mut rest = self.frames.as_slice();
            while !rest.is_empty() {
                match reader.write(rest) {
                    Ok(bytes) => rest = &rest[bytes..],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                    Err(error) => return Err(error).context("a reader is gone"),
                }
            }
        }
        self.frames.clear();
        self.gathered = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_room_and_place() {
        assert_eq!(target(b"GET /tea/write HTTP/1.1\r\n\r\n"), Some(("tea", "write")));
        assert_eq!(target(b"POST /tea/write HTTP/1.1\r\n\r\n"), None);
    }
}
