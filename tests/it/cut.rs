//! Two nodes, and something between one of them and its Redis that does what networks do: it hangs up, loses what goes one
//! way, cuts a reply in two, is slow. Who is on the other node goes on; and of all that was acknowledged nothing is lost.

use std::time::Duration;

use serde_json::json;

use crate::support::TestServer;
use crate::support::play::{DURABLE, Play, Stage};
use crate::support::proxy::{Proxy, Way};
use crate::support::redis::{RedisServer, until};

/// Longer than a node waits for an answer.
const TOO_LONG: Duration = Duration::from_millis(3500);

struct Cut {
    redis: RedisServer,
    proxy: Proxy,
}

/// One node by the proxy, one without.
async fn play() -> Play<Cut> {
    let redis = RedisServer::with(&DURABLE);
    let proxy = Proxy::before(redis.port());
    let urls = vec![proxy.url(), redis.url()];
    Play::on(Cut { redis, proxy }, urls, &[]).await
}

/// Both nodes hear each other again.
fn all_are_back(stage: &mut Stage<Cut>) {
    let hear = ["PUBSUB", "SHARDNUMSUB", "{chinwag}:notices"];
    stage.store.redis.until("both nodes are back", &hear, |told| told.ends_with("\n2"));
}

#[tokio::test]
async fn nothing_is_lost_when_the_way_to_redis_breaks_off() {
    let mut play = play().await;
    for _ in 0..5 {
        play.goes_on(|stage| {
            stage.store.proxy.hangs_up();
            all_are_back(stage);
        })
        .await;
    }
    play.everything_is_there().await;
}

#[tokio::test]
async fn nothing_is_lost_when_replies_are() {
    let mut play = play().await;
    play.goes_on(|stage| loses(stage, Way::Replies)).await;
    play.everything_is_there().await;
}

#[tokio::test]
async fn nothing_is_lost_when_requests_are() {
    let mut play = play().await;
    play.goes_on(|stage| loses(stage, Way::Requests)).await;
    play.everything_is_there().await;
}

fn loses(stage: &mut Stage<Cut>, way: Way) {
    stage.store.proxy.swallows(way);
    std::thread::sleep(TOO_LONG);
    stage.store.proxy.lets_through();
    all_are_back(stage);
}

#[tokio::test]
async fn nothing_is_lost_when_a_reply_is_cut_in_two() {
    let mut play = play().await;
    for bytes in [0, 1, 7, 100, 1000, 5000] {
        play.goes_on(move |stage| cuts(stage, Way::Replies, bytes)).await;
    }
    play.everything_is_there().await;
}

#[tokio::test]
async fn nothing_is_lost_when_a_request_is_cut_in_two() {
    let mut play = play().await;
    for bytes in [0, 1, 7, 100, 1000, 5000] {
        play.goes_on(move |stage| cuts(stage, Way::Requests, bytes)).await;
    }
    play.everything_is_there().await;
}

fn cuts(stage: &mut Stage<Cut>, way: Way, bytes: usize) {
    stage.store.proxy.cuts_after(way, bytes);
    until("it is cut", || stage.store.proxy.has_cut());
    all_are_back(stage);
}

#[tokio::test]
async fn nothing_is_lost_when_the_way_to_redis_is_slow() {
    let mut play = play().await;
    play.goes_on(|stage| stage.store.proxy.delays(Duration::from_millis(50))).await;
    play.goes_on(|stage| stage.store.proxy.hangs_up()).await;
    play.everything_is_there().await;
}

#[tokio::test]
async fn who_is_there_is_seen_again_after_a_cut_longer_than_the_nodes_lease() {
    let redis = RedisServer::start();
    let proxy = Proxy::before(redis.port());
    let one = TestServer::on_redis(redis.url(), &[]).await;
    let leases = || redis.ask(&["--scan", "--pattern", "{chinwag}:node:*"]);
    let leases_before = leases();
    let two = TestServer::on_redis(proxy.url(), &[]).await;
    let mut alice = one.guest_in("alice", "lobby").await;
    let mut bob = two.guest_in("bob", "lobby").await;
    alice.sees_joined("bob").await;
    bob.sees_presence("alice", |push| push["count"] == 2).await;
    proxy.shuts();
    assert_eq!(bob.next_push("store").await["away"], true);
    // It would end by itself, which takes up to 20 seconds.
    for lease in leases().lines().filter(|lease| !leases_before.contains(lease)) {
        redis.ask(&["DEL", lease]);
    }
    alice.sees_left(&bob.id).await;
    let dave = one.guest_in("dave", "lobby").await;
    alice.sees_joined("dave").await;
    let erin = one.guest_in("erin", "lobby").await;
    alice.sees_joined("erin").await;
    dave.leaves().await;
    proxy.lets_through();
    assert_eq!(bob.next_push("store").await["away"], false);
    bob.sees_joined("erin").await;
    alice.sees_joined("bob").await;
    alice.says("lobby", "there you are").await;
    bob.hears("there you are").await;
    let mut last = two.guest_in("frank", "lobby").await;
    assert_eq!(last.sees_present("lobby").await, ["alice", "bob", "erin", "frank"]);
    drop(erin);
}

#[tokio::test]
async fn what_happened_to_people_while_their_node_was_cut_off_holds_when_it_is_back() {
    let redis = RedisServer::start();
    let proxy = Proxy::before(redis.port());
    let (one, two) = (TestServer::on_redis(redis.url(), &[]).await, TestServer::on_redis(proxy.url(), &[]).await);
    let mia = one.owner().await;
    let mut watching = mia.connects_to("lobby").await;
    let bob = one.register("bob").await;
    // Neither guest stands in the store before they are muted and banned.
    let (mut gus, mut eve) = (two.guest_in("gus", "lobby").await, two.guest_in("eve", "lobby").await);
    let mut tab = bob.at(&two).connects_to("lobby").await;
    watching.sees_joined("bob").await;
    let all = ["bob", "eve", "gus", &*mia.name];
    while watching.sees_present("lobby").await.len() < all.len() {}
    proxy.shuts();
    assert_eq!(gus.next_push("store").await["away"], true);
    mia.does(mia.acts_on(&gus.id, "mute", &json!({"minutes": 5}))).await;
    mia.does(mia.acts_on(&eve.id, "ban", &json!({}))).await;
    let renamed = bob.patch("/api/session").json(&json!({"name": "robert"})).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    proxy.lets_through();
    eve.expects_close(1008).await;
    assert!(gus.next_push("me").await["muted_until"].is_string());
    gus.is_refused(gus.post("lobby", "may I?"), "muted").await;
    tab.sees("the new name", |push| push["type"] == "user" && push["name"] == "robert").await;
}
