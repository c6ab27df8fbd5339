//! One WebSocket to the server at the price of a socket: its buffers hold only what is cut off in the middle.
//! It answers pings by itself; every text goes to the caller.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::frame;

/// What is read at once; a larger frame makes the buffer grow.
const READ_BYTES: usize = 256 * 1024;
const ETHERNET_SEGMENT: u32 = 1448;
const SMALLEST_RECEIVE_BUFFER: usize = 4096;

/// What lies between the server and a connection.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Link {
    #[default]
    Loopback,
    /// Segments like Ethernet's and a receive buffer as small as it goes: on loopback's own, the kernel would hold
    /// megabytes for a reader that does not read.
    Narrow,
}

pub struct Connection {
    socket: TcpStream,
    /// Said as soon as the upgrade is done; nothing from then on.
    begins: Option<Vec<u8>>,
    /// The start of a frame (or of the answer to the upgrade) whose end has not come yet.
    unread: Vec<u8>,
    unsent: Vec<u8>,
    /// Bytes.
    received: u64,
}

/// How a connection begins.
#[derive(Default)]
pub struct Opening {
    /// Request target of the upgrade.
    pub target: String,
    pub subprotocol: Option<&'static str>,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// Frames for the moment after the upgrade.
    pub begins: Vec<u8>,
    pub link: Link,
}

impl Connection {
    /// Begins to connect; the caller registers the socket and passes its readiness on.
    pub fn open(server: SocketAddr, source: Ipv4Addr, opening: &Opening) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).context("no socket")?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if opening.link == Link::Narrow {
            socket.set_tcp_mss(ETHERNET_SEGMENT)?;
            socket.set_recv_buffer_size(SMALLEST_RECEIVE_BUFFER)?;
        }
        socket.bind(&SocketAddr::from((source, 0)).into()).with_context(|| format!("no port free on {source}"))?;
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                return Err(error).with_context(|| format!("{server} does not answer"));
            }
            _ => {}
        }
        let upgrade = opening.request(server).into_bytes();
        let socket = TcpStream::from_std(socket.into());
        Ok(Self { socket, begins: Some(opening.begins.clone()), unread: Vec::new(), unsent: upgrade, received: 0 })
    }

    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Bytes that have come so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Lays a text ready; true if nothing else lay there.
    pub fn say(&mut self, text: &str) -> bool {
        let first = self.unsent.is_empty();
        frame::encode(&mut self.unsent, frame::TEXT, text.as_bytes());
        first
    }

    /// Lays encoded frames ready; true if nothing else lay there.
    pub fn say_frames(&mut self, frames: &[u8]) -> bool {
        let first = self.unsent.is_empty();
        self.unsent.extend_from_slice(frames);
        first
    }

    /// Writes as much as the socket takes.
    pub fn flush(&mut self) -> Result<()> {
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.socket.write(&self.unsent[sent..]) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("cannot write"),
            }
        }
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        Ok(())
    }

    /// Reads all that has come and passes on its messages. `buffer` is shared by all connections of a thread.
    pub fn receive(&mut self, buffer: &mut Vec<u8>, mut hears: impl FnMut(&[u8])) -> Result<()> {
        loop {
            let kept = self.unread.len();
            if buffer.len() < kept + READ_BYTES {
                buffer.resize(kept + READ_BYTES, 0);
            }
            let bytes = match self.socket.read(&mut buffer[kept..]) {
                Ok(0) => bail!("the server hung up"),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("cannot read"),
            };
            buffer[..kept].copy_from_slice(&self.unread);
            self.received += bytes as u64;
            let emptied = kept + bytes < buffer.len();
            let mut rest = &buffer[..kept + bytes];
            self.take(&mut rest, &mut hears)?;
            self.unread = rest.to_vec();
            // A short read emptied the socket: no second call only to be told so.
            if emptied {
                return Ok(());
            }
        }
    }

    fn take(&mut self, bytes: &mut &[u8], hears: &mut impl FnMut(&[u8])) -> Result<()> {
        if self.begins.is_some() {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(()) };
            if !bytes.starts_with(b"HTTP/1.1 101 ") {
                bail!("the upgrade was refused: {}", String::from_utf8_lossy(bytes).replace("\r\n", "; "));
            }
            *bytes = &bytes[end + 4..];
            self.unsent.extend(self.begins.take().unwrap_or_default());
            self.flush()?;
        }
        while let Some(frame) = frame::decode(bytes)? {
            match frame.opcode {
                frame::TEXT | frame::BINARY => hears(frame.payload),
                frame::PING => {
                    frame::encode(&mut self.unsent, frame::PONG, frame.payload);
                    self.flush()?;
                }
                frame::CLOSE => bail!("the server closed: {}", close_reason(frame.payload)),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Opening {
    fn request(&self, server: SocketAddr) -> String {
        let mut request = format!(
            "GET {} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: Y2hpbndhZyBtZWFzdXJlZA==\r\n",
            self.target
        );
        let optional =
            [("Sec-WebSocket-Protocol: ", self.subprotocol), ("Authorization: Bearer ", self.token.as_deref())];
        for (header, value) in optional {
            if let Some(value) = value {
                request.extend([header, value, "\r\n"]);
            }
        }
        request + "\r\n"
    }
}

fn close_reason(payload: &[u8]) -> String {
    match payload {
        [high, low, reason @ ..] => {
            format!("{} {}", u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason)).trim_end().to_owned()
        }
        _ => "without a code".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_names_what_was_asked_for() {
        let opening = Opening { target: "/x".to_owned(), token: Some("t".to_owned()), ..Default::default() };
        let request = opening.request(SocketAddr::from(([127, 0, 0, 1], 80)));
        assert!(request.starts_with("GET /x HTTP/1.1\r\n") && request.ends_with("Bearer t\r\n\r\n"), "{request}");
        assert!(!request.contains("Protocol"), "{request}");
    }

    #[test]
    fn a_close_tells_its_number_and_reason() {
        assert_eq!(close_reason(&[0x0f, 0xa8, b'b', b'y', b'e']), "4008 bye");
        assert_eq!(close_reason(&[0x03, 0xe9]), "1001");
        assert_eq!(close_reason(&[]), "without a code");
    }
}
