//! Moving house: everything in a data directory comes to a Redis, and a classic chat's history into a room.

use std::process::Output;

use serde_json::json;

use crate::support::TestServer;
use crate::support::process::{Process, chinwag, run};
use crate::support::redis::RedisServer;

/// What the command printed, having succeeded.
fn done(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout.clone()).expect("it prints UTF-8")
}

#[tokio::test]
async fn a_copied_chat_goes_on_where_it_was() {
    let mut server = TestServer::start().await;
    let (ann, mut ann_here) = server.signed_in("ann").await;
    let (_, mut bob) = server.signed_in("bob").await;
    for n in 0..30 {
        ann_here.says("lobby", &format!("message {n}")).await;
    }
    let taken_back = ann_here.says("lobby", "a slip").await;
    let gone = ann.delete(&format!("/api/rooms/lobby/messages/{taken_back}?txn_id=d-1")).await;
    assert_eq!(gone.status, 200);
    let garden =
        ann_here.asks(json!({"type": "create", "name": "Garden"})).await["room"].as_str().expect("a room").to_owned();
    bob.says(&garden, "hello @ann").await;
    drop((ann_here, bob));
    server.stop().await.expect("a clean stop");

    let redis = RedisServer::start();
    let copy = || {
        let mut command = chinwag();
        command.arg("copy").arg("--from").arg(server.data_dir()).args(["--to", &redis.url()]);
        done(&run(&mut command))
    };
    let said = copy();
    assert!(said.contains("2 rooms") && said.contains("2 users"), "{said}");
    assert_eq!(copy(), said, "a second time there is nothing left to do");

    let node = Process::spawn(chinwag().args(["--addr", "127.0.0.1:0"]).env("REDIS_URL", redis.url()));
    let mut ann = crate::support::client::Call::new(node.addr).bearer(&ann.token).await;
    assert_eq!(ann.name, "ann", "she is still signed in");
    let rooms = ann.hello["rooms"].as_array().expect("rooms").clone();
    let garden_here = rooms.iter().find(|room| room["room"] == garden.as_str()).expect("she has joined the garden");
    assert_eq!((&garden_here["unread"], &garden_here["mentions"]), (&json!(1), &json!(1)));
    let page = ann.asks(json!({"type": "history", "room": "lobby", "limit": 200})).await;
    let messages = page["messages"].as_array().expect("messages");
    assert_eq!(messages.len(), 31);
    assert_eq!((&messages[29]["text"], &messages[30]["redacted"]), (&json!("message 29"), &json!(true)));
    assert_eq!(ann.says("lobby", "here now").await, page["head"].as_u64().expect("a head") + 1);
}

#[tokio::test]
async fn nothing_is_copied_over_another_chat() {
    let mut server = TestServer::start().await;
    server.guest("ann").await.says("lobby", "here").await;
    server.stop().await.expect("a clean stop");
    let redis = RedisServer::start();
    let node = Process::spawn(chinwag().args(["--addr", "127.0.0.1:0"]).env("REDIS_URL", redis.url()));
    crate::support::client::Call::new(node.addr).name("eve").await.says("lobby", "another chat").await;
    let mut command = chinwag();
    command.arg("copy").arg("--from").arg(server.data_dir()).args(["--to", &redis.url()]);
    let output = run(&mut command);
    let stderr = String::from_utf8(output.stderr).expect("it prints UTF-8");
    assert!(!output.status.success() && stderr.contains("another chat already"), "{stderr}");
}

#[tokio::test]
async fn a_classic_chat_comes_into_a_room_in_its_order_and_once() {
    let redis = RedisServer::start();
    for n in 0..25 {
        let entry =
            json!({"username": if n % 2 == 0 { "alice" } else { "bob@example.org" }, "text": format!("old {n}")});
        redis.ask(&["RPUSH", "chat_messages", &entry.to_string()]);
    }
    redis.ask(&["RPUSH", "chat_messages", "no message"]);
    let mut server = TestServer::start().await;
    server.stop().await.expect("a clean stop");
    let import = || {
        let mut command = chinwag();
        command.arg("--data").arg(server.data_dir()).args(["import", "classic", "--from", &redis.url()]);
        done(&run(&mut command))
    };
    let said = import();
    assert!(said.contains("25 messages") && said.contains("1 entries"), "{said}");
    assert_eq!(import(), said);
    server.start_again().await;
    let mut ann = server.guest("ann").await;
    let page = ann.asks(json!({"type": "history", "room": "lobby", "limit": 200})).await;
    let messages = page["messages"].as_array().expect("messages");
    let texts: Vec<_> = messages.iter().map(|message| message["text"].as_str().expect("a text").to_owned()).collect();
    assert_eq!(texts, (0..25).map(|n| format!("old {n}")).collect::<Vec<_>>(), "once, and in order");
    assert_eq!(messages[0]["author"]["name"], "alice");
    assert_eq!(messages[1]["author"]["name"], "someone", "an e-mail is no name");
}
