//! Going on where one stopped: from every event, from off the tail, after a broken connection and after a restart;
//! and the cursors that cannot be honoured.

use serde_json::{Value, json};

use crate::support::{Client, TestServer, number, text};

#[tokio::test]
async fn a_reader_resumes_from_every_event() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.guest("alice").await, server.guest("bob").await);
    alice.says_all("lobby", words(1..=20)).await;
    let epoch = epoch_of(&bob);
    for seq in 0..=20 {
        let position = bob.resumes("lobby", &epoch, seq).await;
        assert_eq!(position, json!({"epoch": epoch, "seq": seq, "head": 20 + seq, "oldest": 1}));
        alice.says("lobby", "live").await;
        bob.hears_all_between(seq, 21 + seq).await;
        bob.is_answered().await;
        bob.heard_no("event");
    }
}

#[tokio::test]
async fn last_counts_back_from_the_head_and_has_no_upper_bound() {
    let server = TestServer::start().await;
    let mut bob = server.guest("bob").await;
    for (last, seq) in [(0, 0), (5, 0)] {
        let position = bob.subscribes_to_last("lobby", last).await;
        assert_eq!((&position["seq"], &position["head"]), (&json!(seq), &json!(0)), "an empty room");
    }
    bob.says_all("lobby", words(1..=9)).await;
    bob.hears_all_between(0, 9).await;
    for (last, seq) in [(0, 9), (1, 8), (8, 1), (9, 0), (10, 0), (1_000_000, 0), (u64::MAX, 0)] {
        let position = bob.subscribes_to_last("lobby", last).await;
        assert_eq!((&position["seq"], &position["head"]), (&json!(seq), &json!(9)), "the last {last}");
        bob.hears_all_between(seq, 9).await;
    }
}

#[tokio::test]
async fn a_reader_that_fell_off_the_tail_reads_from_the_store() {
    const ALL: u64 = 1_500;
    // The tail holds about four of these messages; the store's pages hold 512.
    let server = TestServer::with(&["--limits", "off", "--tail-kb", "1"]).await;
    let mut alice = server.guest("alice").await;
    let long = |n: u32| format!("{n} {}", "x".repeat(200));
    for start in (1..=1_500).step_by(100) {
        alice.says_all("lobby", (start..start + 100).map(long)).await;
    }
    let mut bob = server.guest("bob").await;
    let epoch = epoch_of(&bob);
    for seq in [0, 1, 700, ALL - 513, ALL - 6, ALL - 5, ALL - 1, ALL] {
        bob.resumes("lobby", &epoch, seq).await;
        bob.hears_all_between(seq, ALL).await;
        bob.is_answered().await;
        bob.heard_no("event");
    }
    alice.says("lobby", "live").await;
    bob.hears("live").await;
}

#[tokio::test]
async fn a_reader_catches_up_with_a_room_that_goes_on() {
    const ALL: u64 = 600;
    let server = TestServer::with(&["--limits", "off", "--tail-kb", "1"]).await;
    let (mut alice, mut bob) = (server.guest("alice").await, server.guest("bob").await);
    let epoch = epoch_of(&bob);
    let talk = async {
        for start in (1..=600).step_by(20) {
            alice.says_all("lobby", (start..start + 20).map(|n| format!("{n} {}", "x".repeat(100)))).await;
        }
    };
    let follow = async {
        // Each time from the beginning, while the end moves on.
        let mut resumed = 0;
        loop {
            let head = number(&bob.resumes("lobby", &epoch, 0).await["head"]);
            resumed += 1;
            bob.hears_all_between(0, head).await;
            if head == ALL {
                return resumed;
            }
            // What follows the head is live, and is heard by the next subscription again.
            bob.unsubscribes("lobby").await;
            bob.take_arrived("event");
        }
    };
    let ((), resumed) = tokio::join!(talk, follow);
    assert!(resumed >= 3, "bob resumed {resumed} times while alice talked");
}

#[tokio::test]
async fn a_reader_whose_connection_broke_misses_nothing_and_hears_nothing_twice() {
    let server = TestServer::with(&["--limits", "off"]).await;
    let mut alice = server.guest("alice").await;
    let (session, mut bob) = server.signed_in("bob").await;
    bob.subscribes("lobby").await;
    let epoch = epoch_of(&bob);
    let mut seen = 0;
    for round in 0..6 {
        alice.says_all("lobby", words(1..=10)).await;
        bob.hears_all_between(seen, seen + 7).await;
        seen += 7;
        // With events unread, in three ways of breaking off.
        match round % 3 {
            0 => bob.crashes(),
            1 => drop(bob.hangs_up().await),
            _ => drop(bob),
        }
        alice.says_all("lobby", words(11..=20)).await;
        bob = session.connects().await;
        bob.resumes("lobby", &epoch, seen).await;
        bob.hears_all_between(seen, (round + 1) * 20).await;
        seen = (round + 1) * 20;
    }
}

#[tokio::test]
async fn a_cursor_outlives_a_restart() {
    let mut server = TestServer::start().await;
    let (session, mut bob) = server.signed_in("bob").await;
    bob.says_all("lobby", words(1..=5)).await;
    let epoch = epoch_of(&bob);
    for restart in 0..2 {
        bob.leaves().await;
        server.restart().await;
        bob = session.at(&server).connects().await;
        assert_eq!(epoch_of(&bob), epoch, "the log goes on");
        bob.resumes("lobby", &epoch, 2).await;
        bob.hears_all_between(2, 5 + restart).await;
        assert_eq!(bob.says("lobby", "on").await, 6 + restart);
        bob.hears("on").await;
    }
}

#[tokio::test]
async fn a_cursor_that_cannot_be_honoured_is_refused_with_where_the_log_stands() {
    let server = TestServer::start().await;
    let mut bob = server.guest("bob").await;
    bob.says_all("lobby", words(1..=3)).await;
    bob.asks(json!({"type": "create", "name": "Garden"})).await;
    let epoch = text(&epoch_of(&bob));
    let garden = bob.asks(json!({"type": "history", "room": "garden"})).await;
    let foreign = text(&garden["epoch"]);
    assert_ne!(epoch, foreign, "each room's log has a life of its own");
    let refused = [
        (&*epoch, 4),
        (&epoch, u64::MAX),
        (&foreign, 2),
        ("", 2),
        ("0000000000000000", 0),
        ("not an epoch of ours", 2),
        (&epoch.to_uppercase()[..15], 2),
    ];
    for (epoch_asked, seq) in refused {
        let cursor = json!({"epoch": epoch_asked, "seq": seq});
        let error = bob.is_refused(json!({"type": "subscribe", "room": "lobby", "cursor": cursor}), "reset").await;
        assert_eq!(
            (&error["epoch"], &error["oldest"], &error["head"]),
            (&json!(epoch), &json!(1), &json!(3)),
            "{error}"
        );
    }
    bob.says("lobby", "anyone?").await;
    bob.is_up_to_date().await;
    bob.heard_no("event");
}

#[tokio::test]
async fn a_refused_cursor_leaves_the_subscription_that_is_there() {
    let server = TestServer::start().await;
    let mut bob = server.guest_in("bob", "lobby").await;
    let cursor = json!({"epoch": epoch_of(&bob), "seq": 1});
    bob.is_refused(json!({"type": "subscribe", "room": "lobby", "cursor": cursor}), "reset").await;
    bob.says("lobby", "still here").await;
    bob.hears("still here").await;
}

/// Retention is yet to come; its trace in the store is `oldest`, which is moved here by hand.
#[tokio::test]
async fn a_cursor_before_the_oldest_event_is_refused() {
    let mut server = TestServer::start().await;
    let (session, mut bob) = server.signed_in("bob").await;
    bob.says_all("lobby", words(1..=9)).await;
    let epoch = epoch_of(&bob);
    bob.leaves().await;
    server.stop().await.unwrap();
    let database = rusqlite::Connection::open(server.data_dir().join("chinwag.db")).unwrap();
    database.execute("DELETE FROM events WHERE seq < 5", []).unwrap();
    database.execute("UPDATE rooms SET oldest = 5 WHERE id = 'lobby'", []).unwrap();
    database.close().unwrap();
    server.start_again().await;
    let mut bob = session.at(&server).connects().await;
    for seq in 0..4 {
        let cursor = json!({"epoch": epoch, "seq": seq});
        let error = bob.is_refused(json!({"type": "subscribe", "room": "lobby", "cursor": cursor}), "reset").await;
        assert_eq!((&error["oldest"], &error["head"]), (&json!(5), &json!(9)));
    }
    bob.resumes("lobby", &epoch, 4).await;
    bob.hears_all_between(4, 9).await;
    assert_eq!(bob.subscribes_to_last("lobby", 100).await["seq"], 4, "there is no more than that");
    bob.hears_all_between(4, 9).await;
    let page = bob.asks(json!({"type": "history", "room": "lobby"})).await;
    assert_eq!((&page["oldest"], &page["more"], &page["messages"][0]["seq"]), (&json!(5), &json!(false), &json!(5)));
}

fn words(range: std::ops::RangeInclusive<u32>) -> impl Iterator<Item = String> {
    range.map(|n| n.to_string())
}

fn epoch_of(client: &Client) -> Value {
    client.hello["rooms"][0]["epoch"].clone()
}

impl Client {
    /// The next events are those after `after`, up to and including `to`, each once.
    async fn hears_all_between(&mut self, after: u64, to: u64) {
        for seq in after + 1..=to {
            let event = self.next_event(&format!("event {seq}")).await;
            assert_eq!(number(&event["seq"]), seq, "{} expected event {seq}, found {event}", self.name);
        }
    }
}

#[tokio::test]
async fn a_page_of_history_is_always_a_place_to_resume_from() {
    let server = TestServer::with(&["--limits", "off"]).await;
    let mut reader = server.guest("reader").await;
    let mut writer = server.guest("writer").await;
    writer.says("lobby", "first").await;
    let writing = async { writer.says_all("lobby", (0..3_000).map(|n| format!("message {n}"))).await };
    let resuming = async {
        // The page may hold what was committed a moment ago and is only just being announced.
        for _ in 0..300 {
            let page = reader.asks(json!({"type": "history", "room": "lobby", "limit": 1})).await;
            let cursor = json!({"epoch": page["epoch"], "seq": page["head"]});
            reader.asks(json!({"type": "subscribe", "room": "lobby", "cursor": cursor})).await;
        }
    };
    let (seqs, ()) = tokio::join!(writing, resuming);
    assert_eq!(seqs.len(), 3_000);
}
