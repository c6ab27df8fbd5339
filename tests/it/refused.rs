//! What Redis refuses is not stored, and people are told so while they go on reading; when it is mended, the same post
//! is stored once. What not enough replicas have is not acknowledged.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::redis::{RedisServer, until};
use crate::support::{Client, TestServer, in_time, list, number, text};

#[tokio::test]
async fn a_primary_without_its_replicas_takes_no_post() {
    let breaks = ["CONFIG", "SET", "min-replicas-to-write", "1"];
    let mends = ["CONFIG", "SET", "min-replicas-to-write", "0"];
    is_refused("fewer replicas", |redis| redis.sets(&breaks), |redis| redis.sets(&mends)).await;
}

#[tokio::test]
async fn a_full_redis_takes_no_post() {
    let mends = ["CONFIG", "SET", "maxmemory", "0"];
    is_refused("full", |redis| redis.sets(&["CONFIG", "SET", "maxmemory", "1"]), |redis| redis.sets(&mends)).await;
}

#[tokio::test]
async fn a_replica_takes_no_post() {
    // It keeps what it has, since nobody is there whom it could follow.
    let breaks = ["REPLICAOF", "127.0.0.1", "1"];
    is_refused("replica", |redis| redis.sets(&breaks), |redis| redis.sets(&["REPLICAOF", "NO", "ONE"])).await;
}

#[tokio::test]
async fn a_node_whose_redis_has_become_a_replica_waits_until_it_is_none() {
    let redis = RedisServer::start();
    let server = TestServer::on_redis(redis.url(), &[]).await;
    let mut alice = server.guest("alice").await;
    alice.says("lobby", "before").await;
    redis.sets(&["REPLICAOF", "127.0.0.1", "1"]);
    let post = alice.post("lobby", "hello");
    alice.is_refused(post.clone(), "unavailable").await;
    assert_eq!(alice.next_push("store").await["away"], true);
    for _ in 0..100 {
        alice.is_refused(post.clone(), "unavailable").await;
    }
    alice.heard_no("store");
    assert_eq!(server.get("/ready").await.status, 503);
    redis.sets(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(alice.next_push("store").await["away"], false);
    alice.asks(post).await;
}

#[tokio::test]
async fn a_redis_that_cannot_write_to_its_disk_takes_no_post() {
    // A directory stands where the snapshot should.
    let in_its_way = |redis: &RedisServer| {
        let dir = redis.ask(&["CONFIG", "GET", "dir"]);
        Path::new(dir.lines().last().expect("a path")).join("dump.rdb")
    };
    let saves = |redis: &RedisServer, status: &str| {
        redis.ask(&["BGSAVE"]);
        redis.until("it has tried", &["INFO", "persistence"], |info| {
            info.contains(&format!("rdb_last_bgsave_status:{status}")) && info.contains("rdb_bgsave_in_progress:0")
        });
    };
    let breaks = |redis: &RedisServer| {
        fs::create_dir(in_its_way(redis)).expect("a directory of ours");
        redis.sets(&["CONFIG", "SET", "save", "3600 1"]);
        saves(redis, "err");
    };
    let mends = |redis: &RedisServer| {
        fs::remove_dir(in_its_way(redis)).expect("it is empty");
        saves(redis, "ok");
    };
    is_refused("cannot write to its disk", breaks, mends).await;
}

async fn is_refused(words: &str, breaks: impl FnOnce(&RedisServer), mends: impl FnOnce(&RedisServer)) {
    let redis = RedisServer::start();
    let server = TestServer::on_redis(redis.url(), &[]).await;
    let mut alice = server.guest_in("alice", "lobby").await;
    alice.says("lobby", "before").await;
    breaks(&redis);
    let post = alice.post("lobby", "meanwhile");
    let error = alice.is_refused(post.clone(), "unavailable").await;
    assert!(text(&error["message"]).contains(words), "{error}");
    assert_eq!(history(&mut alice).await, ["before"]);
    mends(&redis);
    let seq = insists(&mut alice, &post).await;
    assert_eq!(alice.asks(post).await["seq"], seq);
    assert_eq!(history(&mut alice).await, ["before", "meanwhile"]);
    alice.hears("before").await;
    assert_eq!(alice.hears("meanwhile").await["seq"], seq);
}

#[tokio::test]
async fn what_redis_refuses_for_a_while_the_other_nodes_are_told_later() {
    let redis = RedisServer::start();
    let one = TestServer::on_redis(redis.url(), &[]).await;
    let two = TestServer::on_redis(redis.url(), &[]).await;
    let bob = one.guest_in("bob", "lobby").await;
    let mut eve = two.guest_in("eve", "lobby").await;
    eve.sees_presence("both", |push| push["count"] == 2).await;
    let present = || redis.ask(&["HLEN", "chinwag:{lobby}:present"]);
    redis.sets(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let id = bob.id.clone();
    bob.leaves().await;
    eve.sees_left(&id).await;
    assert_eq!(present(), "2", "it is refused");
    redis.sets(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    until("bob's leaving is noted", || present() == "1");
    while two.guest("bob").await.name != "bob" {
        eve.is_answered().await;
    }
}

#[tokio::test]
async fn what_no_replica_has_is_not_acknowledged() {
    let redis = RedisServer::start();
    let replica = redis.followed(&[]);
    let (one, two) = (node(&redis).await, node(&redis).await);
    let (session, mut alice) = one.signed_in("alice").await;
    let mut elsewhere = session.at(&two).connects().await;
    let before = alice.says("lobby", "before").await;
    replica.pause();
    let post = alice.post("lobby", "meanwhile");
    alice.is_refused(post.clone(), "unknown_outcome").await;
    // It is in the log by now, which is not enough.
    elsewhere.is_refused(post.clone(), "unknown_outcome").await;
    replica.resume();
    assert_eq!(insists(&mut elsewhere, &post).await, before + 1);
    assert_eq!(alice.asks(post).await["seq"], before + 1);
    assert_eq!(history(&mut alice).await, ["before", "meanwhile"]);
}

#[tokio::test]
async fn what_was_sent_before_is_not_acknowledged_again_by_a_primary_without_its_replicas() {
    let redis = RedisServer::start();
    let server = TestServer::on_redis(redis.url(), &[]).await;
    let mut alice = server.guest("alice").await;
    let post = alice.post("lobby", "hello");
    let seq = alice.asks(post.clone()).await["seq"].clone();
    redis.sets(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    alice.is_refused(post.clone(), "unavailable").await;
    redis.sets(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    assert_eq!(alice.asks(post).await["seq"], seq);
}

async fn node(redis: &RedisServer) -> TestServer {
    TestServer::on_redis(redis.url(), &["--redis-wait", "1"]).await
}

/// Sends it until it is taken: the node may have to connect anew first.
async fn insists(client: &mut Client, post: &Value) -> u64 {
    let taken = async {
        loop {
            match client.ask(post.clone()).await {
                Ok(told) => return number(&told["seq"]),
                Err(error) => {
                    assert!(["unavailable", "unknown_outcome"].contains(&&*text(&error["code"])), "{error}");
                }
            }
        }
    };
    in_time("it to be taken", taken).await
}

async fn history(client: &mut Client) -> Vec<String> {
    let page = client.asks(json!({"type": "history", "room": "lobby", "limit": 50})).await;
    list(&page["messages"]).iter().map(|message| text(&message["text"])).collect()
}
