//! The end of a server: everyone is told to come back, what was acknowledged is there afterwards, and the port is free.

use futures_util::future::join_all;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::process::Process;
use crate::support::{TestServer, list, number, text};

#[tokio::test]
async fn a_server_that_stops_tells_everyone_to_come_back() {
    let mut server = TestServer::start().await;
    let mut users = join_all((0..10).map(|n| server.guest_in(format!("user{n}"), "lobby"))).await;
    assert_eq!(server.get("/ready").await.json(), json!({"status": "ready"}));
    let addr = server.addr;
    let told = join_all(users.iter_mut().map(|user| user.expects_close(1001)));
    let (outcome, _) = tokio::join!(server.stop(), told);
    outcome.unwrap();
    TcpStream::connect(addr).await.expect_err("nobody listens there any more");
    std::net::TcpListener::bind(addr).expect("the port is free");
}

#[tokio::test]
async fn what_was_acknowledged_before_the_end_is_there_after_it() {
    const SENDERS: usize = 4;
    let mut server = TestServer::with(&["--limits", "off"]).await;
    let mut senders = join_all((0..SENDERS).map(|n| server.guest(format!("sender{n}")))).await;
    // Each posts on and on, many at a time, until it is closed.
    let talk = join_all(senders.iter_mut().map(async |sender| {
        let mut posts = Vec::new();
        for n in 0..3_000 {
            let mut post = sender.post("lobby", &format!("{n}"));
            post["ref"] = post["txn_id"].clone();
            posts.push(post);
        }
        sender.begin_all(&posts).await;
        sender.expects_close(1001).await;
        let replies = sender.take_arrived("reply");
        let acknowledged = replies.iter().filter_map(|reply| Some((text(&reply["ref"]), reply["ok"]["seq"].as_u64()?)));
        acknowledged.collect::<Vec<_>>()
    }));
    let mut witness = server.guest_in("witness", "lobby").await;
    let stop = async {
        // In the middle of it.
        witness.hears_events("lobby", 500).await;
        tokio::join!(server.stop(), witness.expects_close(1001)).0.unwrap();
    };
    let (acknowledged, ()) = tokio::join!(talk, stop);
    let acknowledged: Vec<_> = acknowledged.into_iter().flatten().collect();
    assert!(acknowledged.len() >= 400, "only {} posts were acknowledged", acknowledged.len());

    server.start_again().await;
    let mut reader = server.guest("reader").await;
    let head = number(&reader.subscribes_to_last("lobby", u64::MAX).await["head"]);
    let events = reader.hears_events("lobby", usize::try_from(head).unwrap()).await;
    assert_eq!(events[0]["seq"], 1);
    for (txn_id, seq) in acknowledged {
        let event = &events[usize::try_from(seq).unwrap() - 1];
        assert_eq!((&event["txn_id"], &event["seq"]), (&json!(txn_id), &json!(seq)));
    }
}

#[tokio::test]
async fn whoever_does_not_answer_holds_nobody_up() {
    let mut server = TestServer::start().await;
    let _deaf = server.raw("deaf").await;
    let _idle = TcpStream::connect(server.addr).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_binary_stops_cleanly_when_told_to() {
    for signal in ["TERM", "INT"] {
        let data = TempDir::new().unwrap();
        let process = Process::start(data.path(), &[]);
        let addr = process.addr;
        let mut bob = crate::support::client::Call::new(addr).name("bob").await;
        bob.says("lobby", "last words").await;
        process.signal(signal);
        bob.expects_close(1001).await;
        let (status, log) = process.end();
        assert!(status.success(), "{signal}: {status}: {log}");
        assert!(log.lines().last().unwrap().contains("stopped"), "{log}");
        let again = Process::start(data.path(), &[]);
        let mut bob = crate::support::client::Call::new(again.addr).name("bob").await;
        let page = bob.asks(json!({"type": "history", "room": "lobby"})).await;
        assert_eq!(list(&page["messages"])[0]["text"], "last words");
        again.kill();
    }
}
