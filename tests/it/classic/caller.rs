//! A client of a classic chat, as small as those are: it sends and is sent text, and knows its own format.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};

use crate::support::{Session, TestServer, in_time, list, text};

pub const GORILLA: &str = "/ws";
pub const BLUEPRINTS: &str = "/room";
pub const HEROKU: &str = "/websocket";

pub struct Caller {
    socket: WebSocketStream<TcpStream>,
    path: String,
}

impl Caller {
    pub async fn at(server: &TestServer, path: &str) -> Self {
        Self::with(server, path, &[]).await
    }

    /// With an e-mail, as it stands in the URL.
    pub async fn by_email(server: &TestServer, email: &str) -> Self {
        Self::at(server, &format!("/chat?email={email}")).await
    }

    pub async fn by_session(server: &TestServer, session: &Session) -> Self {
        let cookie = format!("chinwag_session={}", session.token);
        Self::with(server, BLUEPRINTS, &[("Cookie", &cookie)]).await
    }

    pub async fn with(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = format!("ws://{}{path}", server.addr).into_client_request().expect("a URL");
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).expect("a header's name");
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        let stream = TcpStream::connect(server.addr).await.expect("the server listens");
        let opened = in_time(path, tokio_tungstenite::client_async(request, stream)).await;
        let (socket, _) = opened.unwrap_or_else(|error| panic!("{path} was refused: {error:?}"));
        Self { socket, path: path.to_owned() }
    }

    pub async fn sends(&mut self, words: &str) {
        self.sends_message(Message::text(words)).await;
    }

    pub async fn sends_json(&mut self, value: Value) {
        self.sends(&value.to_string()).await;
    }

    pub async fn sends_message(&mut self, message: Message) {
        let sent = in_time("the server to take a frame", self.socket.send(message)).await;
        sent.unwrap_or_else(|error| panic!("{} cannot send: {error}", self.path));
    }

    /// The next text, past pings.
    pub async fn next(&mut self) -> String {
        match self.next_but_pings().await {
            Some(Message::Text(words)) => words.to_string(),
            other => panic!("{} expected text, found {other:?}", self.path),
        }
    }

    pub async fn next_json(&mut self) -> Value {
        let words = self.next().await;
        serde_json::from_str(&words).unwrap_or_else(|error| panic!("{}: {error} in {words}", self.path))
    }

    pub async fn next_but_pings(&mut self) -> Option<Message> {
        in_time(format!("something at {}", self.path), async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Ping(_))) => {}
                    Some(Ok(message)) => return Some(message),
                    Some(Err(_)) | None => return None,
                }
            }
        })
        .await
    }

    pub async fn hears(&mut self, words: &str) {
        assert_eq!(self.next().await, words, "{}", self.path);
    }

    /// The next message of a chat that tells who is there, too.
    pub async fn next_said(&mut self) -> Value {
        loop {
            let frame = self.next_json().await;
            if frame["MType"] == "text_mtype" {
                return frame;
            }
        }
    }

    /// Waits until just these are there, by name; gives them.
    pub async fn sees(&mut self, names: &[&str]) -> Vec<Value> {
        loop {
            let frame = self.next_json().await;
            if frame["MType"] != "status_mtype" {
                continue;
            }
            let users = list(&frame["UserStatus"]["Users"]).to_vec();
            let mut found: Vec<_> = users.iter().map(|user| text(&user["Name"])).collect();
            found.sort();
            if found == names {
                return users;
            }
        }
    }

    pub async fn expects_close(&mut self, code: u16) {
        loop {
            match self.next_but_pings().await {
                Some(Message::Text(_)) => {}
                Some(Message::Close(frame)) => {
                    assert_eq!(frame.map(|frame| u16::from(frame.code)), Some(code), "{}", self.path);
                    // The close is answered, and nothing follows.
                    return assert_eq!(self.next_but_pings().await, None, "{}", self.path);
                }
                other => panic!("{} expected a close, found {other:?}", self.path),
            }
        }
    }
}

/// A message as the Heroku sample sends and is sent it.
pub fn heroku(username: &str, words: &str) -> Value {
    json!({"username": username, "text": words})
}
