//! A WebSocket whose bytes the test writes and reads itself: for frames that no client library would send, and for
//! clients that answer no ping.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::http::Answer;
use super::in_time;

/// The sample key of RFC 6455 §1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;

pub struct Raw {
    stream: TcpStream,
}

/// The two directions of a raw connection, for those that do both at once.
pub struct Reading<R>(R);
pub struct Writing<W>(W);

impl Raw {
    /// Opens a WebSocket as a guest, and reads the hello.
    pub async fn open(addr: SocketAddr, name: &str) -> Self {
        let mut raw = Self::open_at(addr, &format!("/api/socket?name={name}")).await;
        assert_eq!(raw.next_json().await["type"], "hello");
        raw
    }

    /// Opens a WebSocket anywhere, and reads nothing.
    pub async fn open_at(addr: SocketAddr, path: &str) -> Self {
        let mut raw = Self { stream: TcpStream::connect(addr).await.expect("the server listens") };
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        raw.write(head.as_bytes()).await;
        let answer = in_time("the upgrade", Answer::read(&mut raw.stream)).await;
        assert_eq!(answer.status, 101, "{answer:?}");
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "RFC 6455 §1.3");
        raw
    }

    pub fn split(&mut self) -> (Reading<ReadHalf<'_>>, Writing<WriteHalf<'_>>) {
        let (read, write) = self.stream.split();
        (Reading(read), Writing(write))
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        Writing(&mut self.stream).write(bytes).await;
    }

    /// Writes what the server may refuse before it has taken all of it.
    pub async fn try_write(&mut self, bytes: &[u8]) {
        Writing(&mut self.stream).try_write(bytes).await;
    }

    pub async fn send(&mut self, command: &Value) {
        self.write(&frame(FIN | TEXT, command.to_string().as_bytes())).await;
    }

    /// The next frame: its first byte and its payload. None where the stream ends.
    pub async fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        Reading(&mut self.stream).next_frame().await
    }

    /// The next text frame, past the pings.
    pub async fn next_json(&mut self) -> Value {
        loop {
            match self.next_frame().await {
                Some((first, payload)) if first == FIN | TEXT => {
                    return serde_json::from_slice(&payload).expect("a frame of JSON");
                }
                Some((first, _)) if first == FIN | PING => {}
                other => panic!("expected a text frame, found {other:?}"),
            }
        }
    }

    /// The next reply, past pings and pushes.
    pub async fn next_reply(&mut self) -> Value {
        loop {
            let frame = self.next_json().await;
            if frame["type"] == "reply" {
                return frame;
            }
        }
    }

    /// Waits for the next ping, past all else, and does not answer it.
    pub async fn is_pinged(&mut self) {
        loop {
            match self.next_frame().await {
                Some((first, _)) if first == FIN | PING => return,
                Some((first, payload)) if first == FIN | CLOSE => panic!("closed by {payload:?} in place of a ping"),
                Some(_) => {}
                None => panic!("the stream ended in place of a ping"),
            }
        }
    }

    /// The server closes with this code and then ends the stream. What comes before is passed over.
    pub async fn expects_close(&mut self, code: u16) {
        Reading(&mut self.stream).expects_close(code).await;
    }
}

impl<W: AsyncWrite + Unpin> Writing<W> {
    pub async fn write(&mut self, bytes: &[u8]) {
        let written = in_time("the server to take some bytes", self.0.write_all(bytes)).await;
        written.expect("a connection that is open");
    }

    pub async fn try_write(&mut self, bytes: &[u8]) {
        let _ = in_time("the server to take some bytes, or to refuse them", self.0.write_all(bytes)).await;
    }
}

impl<R: AsyncRead + Unpin> Reading<R> {
    pub async fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        in_time("a frame", self.read_frame()).await
    }

    pub async fn expects_close(&mut self, code: u16) {
        assert_eq!(self.end().await, Some(code), "the code of the close");
    }

    /// The code with which the stream ends. What comes before is passed over, and nothing may follow.
    pub async fn end(&mut self) -> Option<u16> {
        in_time("the end", async {
            let code = loop {
                match self.read_frame().await {
                    Some((first, payload)) if first == FIN | CLOSE => break payload.first_chunk().copied(),
                    Some(_) => {}
                    None => return None,
                }
            };
            assert!(self.read_frame().await.is_none(), "nothing follows a close");
            code.map(u16::from_be_bytes)
        })
        .await
    }

    async fn read_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = self.0.read_u8().await.ok()?;
        let second = self.0.read_u8().await.ok()?;
        assert_eq!(second & 0x80, 0, "a server masks nothing");
        let length = match second {
            126 => self.0.read_u16().await.ok()?.into(),
            127 => usize::try_from(self.0.read_u64().await.ok()?).expect("a frame that fits"),
            length => length.into(),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((first, payload))
    }
}

/// A client's frame, masked; `first` is its first byte: FIN, reserved bits, opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = header(first, payload.len() as u64, true);
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A frame's header up to the mask.
pub fn header(first: u8, length: u64, masked: bool) -> Vec<u8> {
    let masked = if masked { 0x80 } else { 0 };
    let mut header = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..126), _) => header.push(masked | length),
        (_, Ok(length)) => {
            header.push(masked | 0x7e);
            header.extend(length.to_be_bytes());
        }
        _ => {
            header.push(masked | 0x7f);
            header.extend(length.to_be_bytes());
        }
    }
    header
}
