//! Two nodes, and something between one of them and its Redis that does what networks do: it hangs up, loses what goes one
//! way, cuts a reply in two, is slow. Who is on the other node goes on; and of all that was acknowledged nothing is lost.

use std::time::Duration;

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
