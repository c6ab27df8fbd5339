//! Several nodes on one Redis, and what may befall them: Redis is killed, stands still, hangs up; a node is killed, or
//! replaced. People go on wherever a node answers. Whatever was acknowledged stands where it said, nothing stands twice,
//! and all readers on all nodes read the same, in one order. `CHINWAG_LONG=1` has it all happen more often.

use std::time::Duration;

use crate::support::play::{DURABLE, Play};
use crate::support::process::Process;

fn rounds() -> usize {
    if std::env::var_os("CHINWAG_LONG").is_some() { 20 } else { 2 }
}

#[tokio::test]
async fn nothing_is_lost_when_redis_is_killed() {
    let mut play = Play::new(2, &DURABLE).await;
    for _ in 0..rounds() {
        play.goes_on(|play| {
            play.store.kill();
            play.store.start_again();
        })
        .await;
    }
    play.everything_is_there().await;
}

#[tokio::test]
async fn nothing_is_lost_when_redis_stands_still() {
    let mut play = Play::new(2, &DURABLE).await;
    play.goes_on(|play| {
        play.store.pause();
        // Longer than anybody waits for an answer.
        std::thread::sleep(Duration::from_secs(5));
        play.store.resume();
    })
    .await;
    play.everything_is_there().await;
}

#[tokio::test]
async fn nothing_is_lost_when_redis_hangs_up() {
    let mut play = Play::new(3, &DURABLE).await;
    for _ in 0..2 * rounds() {
        play.goes_on(|play| {
            play.store.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            play.store.ask(&["CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes"]);
        })
        .await;
    }
    play.everything_is_there().await;
}

#[tokio::test]
async fn nothing_is_lost_when_a_node_is_killed() {
    let mut play = Play::new(3, &DURABLE).await;
    for round in 0..rounds() {
        play.goes_on(move |play| play.replace(round % 3, Process::kill)).await;
    }
    play.everything_is_there().await;
}

#[tokio::test]
async fn nothing_is_lost_when_nodes_are_replaced_one_after_the_other() {
    let mut play = Play::new(2, &DURABLE).await;
    play.goes_on(|play| {
        for node in 0..2 {
            play.replace(node, |process| {
                let (status, log) = process.stop();
                assert_eq!(status.code(), Some(0), "{log}");
            });
        }
    })
    .await;
    play.everything_is_there().await;
}

#[tokio::test]
async fn five_nodes_tell_the_same_in_one_order() {
    let mut play = Play::new(5, &DURABLE).await;
    play.goes_on(|_| {}).await;
    play.everything_is_there().await;
}
