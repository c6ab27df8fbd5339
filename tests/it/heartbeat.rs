//! Who is still there: connections are pinged, and closed when nothing comes from them, or when they take nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::raw::{FIN, PONG, TEXT, frame};

/// Short, and yet long enough for a client of a busy machine to answer in time.
const FAST: [&str; 2] = ["--heartbeat", "400ms"];

#[tokio::test]
async fn whoever_answers_pings_stays() {
    let server = TestServer::with(&FAST).await;
    let mut bob = server.guest_in("bob", "lobby").await;
    assert_eq!(bob.hello["heartbeat_ms"], 400);
    // A silent connection is closed after two heartbeats.
    bob.is_pinged(5).await;
    bob.is_answered().await;
}

#[tokio::test]
async fn whoever_answers_none_is_closed() {
    let server = TestServer::with(&FAST).await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let mut bob = server.raw("bob").await;
    bob.send(&json!({"type": "subscribe", "ref": 1, "room": "lobby", "last": 0})).await;
    let silent = async {
        bob.is_pinged().await;
        bob.expects_close(4008).await;
    };
    let gone = |push: &Value| push["count"] == 1 && push.get("left").is_some();
    tokio::join!(silent, alice.sees_presence("bob to go", gone));
    alice.is_answered().await;
}

#[tokio::test]
async fn anything_that_comes_is_a_sign_of_life() {
    let server = TestServer::with(&FAST).await;
    let mut words = server.raw("words").await;
    let mut pongs = server.raw("pongs").await;
    let mut bytes = server.raw("bytes").await;
    // One byte of this frame at a time; it is not finished before the end.
    let mut long =
        frame(FIN | TEXT, json!({"type": "present", "ref": 1, "room": "lobby"}).to_string().as_bytes()).into_iter();
    for _ in 0..5 {
        // Each round takes a heartbeat: the next ping is its clock.
        words.is_pinged().await;
        words.send(&json!({"type": "typing", "room": "lobby"})).await;
        pongs.is_pinged().await;
        pongs.write(&frame(FIN | PONG, b"unasked")).await;
        bytes.is_pinged().await;
        bytes.write(&[long.next().unwrap()]).await;
    }
    bytes.write(&long.collect::<Vec<_>>()).await;
    assert_eq!(bytes.next_reply().await["ref"], 1);
    for raw in [&mut words, &mut pongs] {
        raw.send(&json!({"type": "present", "ref": 2, "room": "lobby"})).await;
        assert_eq!(raw.next_reply().await["ref"], 2);
    }
}

#[tokio::test]
async fn whoever_sends_and_never_reads_is_closed() {
    // Far more than the kernel keeps for a socket.
    const MESSAGES: usize = 2_000;
    let server = TestServer::with(&["--heartbeat", "1s", "--limits", "off"]).await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let mut bob = server.raw("bob").await;
    bob.send(&json!({"type": "subscribe", "ref": 1, "room": "lobby", "last": 0})).await;
    bob.next_reply().await;
    let (mut reading, mut writing) = bob.split();
    let chatter = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            writing.try_write(&frame(FIN | PONG, b"still here")).await;
        }
    };
    let others = async {
        let words = "x".repeat(7_900);
        for _ in 0..MESSAGES / 100 {
            alice.says_all("lobby", (0..100).map(|_| words.clone())).await;
        }
        alice.sees_presence("bob to go", |push| push["count"] == 1 && push.get("left").is_some()).await;
        alice.hears_events("lobby", MESSAGES).await;
    };
    tokio::select! {
        () = chatter => {}
        () = others => {}
    }
    // The close may be lost to him, since the server does not wait for ever until he has read what comes before it.
    let end = reading.end().await;
    assert!(matches!(end, Some(4008) | None), "{end:?}");
}
