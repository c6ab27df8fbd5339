//! Plain HTTP from outside: one request a connection, written and read by hand.

use std::fmt::Write as _;
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::pin::Pin;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::in_time;

/// A request that is about to be sent; awaiting it gives the answer.
pub struct Request {
    addr: SocketAddr,
    head: String,
    host: Option<String>,
    body: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(addr: SocketAddr, method: &str, path: &str) -> Self {
        Self { addr, head: format!("{method} {path} HTTP/1.1\r\n"), host: Some(addr.to_string()), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        write!(self.head, "{name}: {value}\r\n").expect("a string takes all");
        self
    }

    /// As a proxy passes it on that had it from this address.
    pub fn from(self, address: &str) -> Self {
        self.header("X-Forwarded-For", address)
    }

    /// In place of the address.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn cookie(self, token: &str) -> Self {
        self.header("Cookie", &format!("chinwag_session={token}"))
    }

    pub fn json(self, value: &Value) -> Self {
        self.body("application/json", value.to_string())
    }

    pub fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", kind)
    }

    async fn send(self) -> Answer {
        let (mut stream, body) = self.begin().await;
        // A server that refuses by the head alone may close before it has read the body.
        let _ = stream.write_all(&body).await;
        Answer::read(&mut stream).await
    }

    /// Sends the head, and no more once the server waits for the body; the caller is to send that.
    pub async fn waits_for_body(self) -> (TcpStream, Vec<u8>) {
        const GO_ON: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let (mut stream, body) = self.header("Expect", "100-continue").begin().await;
        let mut told = [0; GO_ON.len()];
        in_time("to be told to go on", stream.read_exact(&mut told)).await.expect("the server goes on");
        assert_eq!(told, GO_ON);
        (stream, body)
    }

    async fn begin(self) -> (TcpStream, Vec<u8>) {
        let mut stream = TcpStream::connect(self.addr).await.expect("the server listens");
        let Self { mut head, host, body, .. } = self;
        if let Some(host) = host {
            write!(head, "Host: {host}\r\n").expect("a string takes all");
        }
        if !body.is_empty() {
            write!(head, "Content-Length: {}\r\n", body.len()).expect("a string takes all");
        }
        head.push_str("\r\n");
        // It may have closed already.
        let _ = stream.write_all(head.as_bytes()).await;
        (stream, body)
    }
}

impl IntoFuture for Request {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer>>>;

    fn into_future(self) -> Self::IntoFuture {
        let what = format!("the answer to {}", self.head.lines().next().unwrap_or_default());
        Box::pin(async move { in_time(what, self.send()).await })
    }
}

impl Answer {
    /// Reads one answer; what follows it stays in the stream.
    pub async fn read(stream: &mut TcpStream) -> Self {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = stream.read_u8().await;
            head.push(byte.unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&head))));
        }
        let head = String::from_utf8(head).expect("a head in UTF-8");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in {head}"));
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let mut answer = Self { status, headers, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        assert!(answer.header("transfer-encoding").is_none(), "no answer of ours comes in chunks");
        answer.body = vec![0; length];
        stream.read_exact(&mut answer.body).await.expect("a body of the announced length");
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Of a header that may come several times.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The status, and the code of the error that the body holds.
    pub fn error(&self) -> (u16, String) {
        assert!(self.status >= 400, "expected an error, found {} {}", self.status, self.text());
        (self.status, super::text(&self.json()["error"]["code"]))
    }

    /// The session's token in the cookie that is set.
    pub fn cookie(&self) -> String {
        let cookie = self.header("set-cookie").and_then(|cookie| cookie.strip_prefix("chinwag_session="));
        let token = cookie.and_then(|cookie| cookie.split(';').next());
        token.unwrap_or_else(|| panic!("no session's cookie in {self:?}")).to_owned()
    }
}
