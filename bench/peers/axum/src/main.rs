//! axum with a broadcast channel for each room: one text, shared by all readers; each reader's task writes it.
//! What lies ready in the channel goes out with one flush.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use futures_util::SinkExt;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{Receiver, Sender};

/// Messages a reader may be behind before it misses some.
const CAPACITY: usize = 1024;
/// A connection keeps a buffer of this size for reading; axum's default is 128 KB.
const READ_BYTES: usize = 4 * 1024;

#[derive(Clone, Default)]
struct Rooms(Arc<Mutex<HashMap<String, Sender<Utf8Bytes>>>>);

impl Rooms {
    fn channel(&self, room: String) -> Sender<Utf8Bytes> {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.entry(room).or_insert_with(|| Sender::new(CAPACITY)).clone()
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let port = std::env::var("PORT").context("PORT is not set")?.parse::<u16>().context("PORT is no port")?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await.context("cannot listen")?.tap_io(|socket| {
        // Without it, it is slower but no less right.
        let _ = socket.set_nodelay(true);
    });
    let router =
        Router::new().route("/{room}/read", get(read)).route("/{room}/write", get(write)).with_state(Rooms::default());
    axum::serve(listener, router).await.context("cannot serve")
}

async fn read(Path(room): Path<String>, State(rooms): State<Rooms>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.read_buffer_size(READ_BYTES).on_upgrade(async move |mut socket| {
        let messages = rooms.channel(room).subscribe();
        // It hung up, which is no matter.
        let _ = deliver(&mut socket, messages).await;
    })
}

async fn deliver(socket: &mut WebSocket, mut messages: Receiver<Utf8Bytes>) -> Result<()> {
    socket.send(Message::Text("in".into())).await?;
    loop {
        tokio::select! {
            message = messages.recv() => {
                socket.feed(Message::Text(message?)).await?;
                while let Ok(message) = messages.try_recv() {
                    socket.feed(Message::Text(message)).await?;
                }
                socket.flush().await?;
            }
            heard = socket.recv() => {
                heard.context("it hung up")??;
            }
        }
    }
}

async fn write(Path(room): Path<String>, State(rooms): State<Rooms>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.read_buffer_size(READ_BYTES).on_upgrade(async move |mut socket| {
        let channel = rooms.channel(room);
        let _ = publish(&mut socket, &channel).await;
    })
}

async fn publish(socket: &mut WebSocket, channel: &Sender<Utf8Bytes>) -> Result<()> {
    socket.send(Message::Text("in".into())).await?;
    while let Some(message) = socket.recv().await {
        if let Message::Text(text) = message? {
            // An error says only that the room has no readers.
            let _ = channel.send(text);
        }
    }
    Ok(())
}
