//! People talk: what one says all hear, once, in one order, however many speak at a time.

use std::collections::HashSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{TestServer, number, text};

#[tokio::test]
async fn two_users_talk() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.guest("alice").await, server.guest("bob").await);
    alice.subscribes("lobby").await;
    bob.subscribes("lobby").await;
    let seq = alice.says("lobby", "hello *there*").await;
    let event = bob.hears("hello *there*").await;
    assert_eq!((number(&event["seq"]), text(&event["author"]["name"])), (seq, "alice".to_owned()));
    assert_eq!(event["html"], json!("<p>hello <em>there</em></p>"));
    assert_eq!((&event["kind"], &event["room"]), (&json!("message"), &json!("lobby")));
    text(&event["at"]).parse::<jiff::Timestamp>().expect("a time in RFC 3339");
    bob.says("lobby", "hi alice").await;
    alice.hears("hello *there*").await;
    let answer = alice.hears("hi alice").await;
    assert!(answer.get("html").is_none(), "a plain text travels once: {answer}");
}

#[tokio::test]
async fn fifty_users_talk_and_all_hear_all_in_one_order() {
    const USERS: usize = 50;
    const EACH: usize = 6;
    let server = TestServer::start().await;
    let mut users = join_all((0..USERS).map(|user| server.guest_in(format!("user{user}"), "lobby"))).await;
    let heard = join_all(users.iter_mut().map(async |user| {
        let words: Vec<String> = (0..EACH).map(|n| format!("{} {n}", user.name)).collect();
        for words in &words {
            user.says("lobby", words).await;
        }
        user.hears_events("lobby", USERS * EACH).await
    }))
    .await;
    assert_eq!(heard.len(), USERS);
    for (user, events) in users.iter().zip(&heard) {
        assert_eq!(number(&events[0]["seq"]), 1);
        assert_eq!(texts(events), texts(&heard[0]), "{} heard another order", user.name);
    }
    let said = texts(&heard[0]);
    assert_eq!(said.iter().collect::<HashSet<_>>().len(), USERS * EACH, "each message once");
    for user in &users {
        let own: Vec<_> = said.iter().filter(|words| words.starts_with(&format!("{} ", user.name))).collect();
        let expected: Vec<_> = (0..EACH).map(|n| format!("{} {n}", user.name)).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>(), "a user's own order stays");
    }
    for user in &mut users {
        user.is_answered().await;
        user.heard_no("event");
    }
}

#[tokio::test]
async fn many_senders_at_once_through_both_doors_make_one_log() {
    const SENDERS: usize = 8;
    const EACH: usize = 100;
    let server = TestServer::with(&["--limits", "off"]).await;
    let mut readers = join_all((0..3).map(|n| server.guest_in(format!("reader{n}"), "lobby"))).await;
    let mut senders = join_all((0..SENDERS).map(|n| server.guest(format!("sender{n}")))).await;
    let program = server.sign_up("program").await;
    let by_socket = join_all(senders.iter_mut().map(|sender| {
        let words = (0..EACH).map(|n| format!("{n}")).collect::<Vec<_>>();
        sender.says_all("lobby", words)
    }));
    let by_rest = async {
        let mut seqs = Vec::new();
        for n in 0..EACH {
            let message = json!({"txn_id": format!("r{n}"), "text": format!("{n}")});
            let answer = program.post("/api/rooms/lobby/messages").json(&message).await;
            assert_eq!(answer.status, 201, "{answer:?}");
            seqs.push(number(&answer.json()["seq"]));
        }
        seqs
    };
    let (mut seqs, more) = tokio::join!(by_socket, by_rest);
    seqs.push(more);
    for own in &seqs {
        assert!(own.is_sorted(), "what one connection posts keeps its order: {own:?}");
    }
    let all: HashSet<u64> = seqs.concat().into_iter().collect();
    let total = (SENDERS + 1) * EACH;
    assert_eq!(all, (1..=total as u64).collect(), "every seq once, without a gap");
    let mut first = None;
    for reader in &mut readers {
        let events: Vec<_> = reader.hears_events("lobby", total).await.iter().map(identity).collect();
        assert_eq!(events, *first.get_or_insert_with(|| events.clone()), "{} heard another order", reader.name);
    }
    let order: HashSet<_> = first.into_iter().flatten().collect();
    assert_eq!(order.len(), total, "each message once");
}

#[tokio::test]
async fn all_connections_of_the_author_get_the_event_with_its_txn_id() {
    let server = TestServer::start().await;
    let (bob, mut desk) = server.signed_in("bob").await;
    let mut phone = bob.connects().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    desk.subscribes("lobby").await;
    phone.subscribes("lobby").await;
    desk.asks(json!({"type": "post", "room": "lobby", "txn_id": "c0ffee-1", "text": "hi"})).await;
    let heard = [desk.hears("hi").await, phone.hears("hi").await, alice.hears("hi").await];
    assert_eq!(heard[0]["txn_id"], "c0ffee-1");
    assert!(heard[1] == heard[0] && heard[2] == heard[0], "no field depends on the reader: {heard:?}");
    assert_eq!(desk.id, phone.id);
}

#[tokio::test]
async fn a_message_sent_again_is_stored_once() {
    let server = TestServer::start().await;
    let (session, mut bob) = server.signed_in("bob").await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let post = |words: &str| json!({"type": "post", "room": "lobby", "txn_id": "t1", "text": words});
    let seq = number(&bob.asks(post("first")).await["seq"]);
    assert_eq!(bob.asks(post("first")).await["seq"], seq);
    assert_eq!(bob.asks(post("other words")).await["seq"], seq, "the first one's words stand");
    let again = session.post("/api/rooms/lobby/messages").json(&json!({"txn_id": "t1", "text": "first"})).await;
    assert_eq!(again.json(), json!({"room": "lobby", "seq": seq}), "the other door knows it too");
    let mut other_tab = session.connects().await;
    assert_eq!(other_tab.asks(post("first")).await["seq"], seq, "so does another connection");
    bob.says("lobby", "the end").await;
    alice.hears("first").await;
    alice.hears("the end").await;
}

#[tokio::test]
async fn a_message_sent_again_before_it_was_acknowledged_is_stored_once() {
    let server = TestServer::start().await;
    let mut bob = server.guest_in("bob", "lobby").await;
    bob.says("lobby", "here I am").await;
    bob.hears("here I am").await;
    let post = |reference: u32| json!({"type": "post", "ref": reference, "room": "lobby", "txn_id": "t", "text": "hi"});
    bob.send_at_once(&[post(101), post(102), post(103)]).await;
    for reference in 101..=103 {
        assert_eq!(bob.reply(&json!(reference)).await["ok"], json!({"room": "lobby", "seq": 2}));
    }
    bob.hears("hi").await;
    bob.is_up_to_date().await;
    bob.heard_no("event");
}

#[tokio::test]
async fn the_same_txn_id_of_another_user_or_in_another_room_is_another_message() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.guest_in("alice", "lobby").await, server.guest("bob").await);
    alice.asks(json!({"type": "create", "name": "Garden"})).await;
    let post = |room: &str| json!({"type": "post", "room": room, "txn_id": "t1", "text": "hi"});
    assert_eq!(alice.asks(post("lobby")).await["seq"], 1);
    assert_eq!(bob.asks(post("lobby")).await["seq"], 2);
    assert_eq!(alice.asks(post("garden")).await, json!({"room": "garden", "seq": 1}));
    assert_eq!(alice.hears_events("lobby", 2).await[1]["author"]["name"], "bob");
}

#[tokio::test]
async fn a_message_sent_again_after_a_restart_is_stored_once() {
    let mut server = TestServer::start().await;
    let (session, mut bob) = server.signed_in("bob").await;
    let post = json!({"type": "post", "room": "lobby", "txn_id": "t1", "text": "hi"});
    let seq = bob.asks(post.clone()).await["seq"].clone();
    bob.leaves().await;
    server.restart().await;
    let mut bob = session.at(&server).connects().await;
    assert_eq!(bob.asks(post).await["seq"], seq);
    bob.subscribes_to_last("lobby", 10).await;
    bob.hears("hi").await;
    bob.is_up_to_date().await;
    bob.heard_no("event");
}

#[tokio::test]
async fn the_reply_comes_before_the_events_that_it_announces() {
    let server = TestServer::start().await;
    let mut bob = server.guest("bob").await;
    for n in 1..=5 {
        bob.says("lobby", &format!("{n}")).await;
    }
    // Signals come when they are due, in between.
    let logged = |frame: &Value| frame["type"] == "reply" || frame["type"] == "event";
    // Twice: a first subscription, and one that takes its place.
    for _ in 0..2 {
        let reference = bob.begin(json!({"type": "subscribe", "room": "lobby", "last": 3})).await;
        let reply = bob.find("the reply", logged).await;
        assert_eq!((&reply["type"], &reply["ref"]), (&json!("reply"), &json!(reference)));
        assert_eq!(
            (&reply["ok"]["seq"], &reply["ok"]["head"], &reply["ok"]["oldest"]),
            (&json!(2), &json!(5), &json!(1))
        );
        for seq in 3..=5 {
            assert_eq!(bob.find("an event", logged).await["seq"], seq);
        }
        bob.find("the whole presence", |frame| frame["online"].is_array()).await;
    }
}

#[tokio::test]
async fn nothing_of_a_room_follows_the_reply_to_unsubscribe() {
    const ROUNDS: usize = 20;
    let server = TestServer::with(&["--limits", "off"]).await;
    let (mut alice, mut bob) = (server.guest("alice").await, server.guest("bob").await);
    let mut posts = Vec::new();
    let mut story = Vec::new();
    for _ in 0..ROUNDS {
        for _ in 0..5 {
            let post = alice.post("lobby", "hi");
            posts.push(alice.begin(post).await);
        }
        bob.begin(json!({"type": "subscribe", "room": "lobby", "last": 1})).await;
        bob.sees("an event", |frame| frame["type"] == "event").await;
        let off = bob.begin(json!({"type": "unsubscribe", "room": "lobby"})).await;
        bob.sees("the reply", |frame| frame["type"] == "reply" && frame["ref"] == off).await;
        story.extend(bob.take_all());
    }
    for post in posts {
        alice.outcome(post).await.unwrap();
    }
    bob.is_up_to_date().await;
    story.extend(bob.take_all());
    let (mut subscribed, mut replies, mut events) = (false, 0, 0);
    for frame in story {
        match frame["type"].as_str() {
            Some("reply") => {
                subscribed = frame["ok"].get("head").is_some();
                replies += 1;
            }
            Some("event" | "presence" | "typing") if frame["room"] == "lobby" => {
                assert!(subscribed, "{frame} came after the reply to unsubscribe");
                events += usize::from(frame["type"] == "event");
            }
            _ => {}
        }
    }
    assert_eq!(replies, 2 * ROUNDS);
    assert!(events >= ROUNDS, "only {events} events came");
}

#[tokio::test]
async fn a_second_subscribe_takes_the_place_of_the_first() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.guest_in("alice", "lobby").await, server.guest_in("bob", "lobby").await);
    alice.says("lobby", "one").await;
    alice.says("lobby", "two").await;
    bob.hears_events("lobby", 2).await;
    bob.subscribes_to_last("lobby", 2).await;
    bob.hears("one").await;
    bob.hears("two").await;
    alice.says("lobby", "three").await;
    bob.hears("three").await;
    bob.is_up_to_date().await;
    bob.heard_no("event");
    assert_eq!(bob.asks(json!({"type": "present", "room": "lobby"})).await["count"], 2, "bob is there once");
    bob.unsubscribes("lobby").await;
    alice.says("lobby", "four").await;
    bob.is_up_to_date().await;
    bob.heard_no("event");
    assert_eq!(alice.sees_present("lobby").await, ["alice"], "one unsubscribe ends it");
}

#[tokio::test]
async fn commands_in_one_write_are_carried_out_in_order() {
    let server = TestServer::start().await;
    // Once as a guest whose first post is written to the store with the guest, once as one who is there already.
    let mut bob = server.guest("bob").await;
    for round in 0..2 {
        let (first, second) = (bob.post("lobby", "a"), bob.post("lobby", "b"));
        let commands = [
            with_ref(1, first),
            with_ref(2, second),
            with_ref(3, json!({"type": "history", "room": "lobby", "limit": 2})),
            with_ref(4, json!({"type": "subscribe", "room": "lobby", "last": 1})),
            with_ref(5, json!({"type": "unsubscribe", "room": "lobby"})),
            with_ref(6, bob.post("lobby", "c")),
            with_ref(7, json!({"type": "read", "room": "lobby", "seq": round * 3 + 3})),
            with_ref(8, json!({"type": "dance"})),
            with_ref(9, json!({"type": "present", "room": "lobby"})),
        ];
        bob.send_at_once(&commands).await;
        bob.reply(&json!(9)).await;
        let replies: Vec<Value> = bob.take_arrived("reply");
        let refs: Vec<u64> = replies.iter().map(|reply| number(&reply["ref"])).collect();
        assert_eq!(refs, [1, 2, 3, 4, 5, 6, 7, 8], "the replies keep the order of the commands");
        let page = &replies[2]["ok"]["messages"];
        assert_eq!((&page[0]["text"], &page[1]["text"]), (&json!("a"), &json!("b")), "the page holds what was posted");
        assert_eq!(replies[3]["ok"]["head"], round * 3 + 2);
        assert!(replies[6].get("ok").is_some(), "the marker may move to what was posted before: {}", replies[6]);
        bob.is_answered().await;
        bob.take_all();
    }
}

#[tokio::test]
async fn many_rooms_share_one_connection() {
    const ROOMS: usize = 20;
    const EACH: u64 = 15;
    let server = TestServer::with(&["--limits", "off"]).await;
    let (mut alice, mut bob) = (server.guest("alice").await, server.guest("bob").await);
    let rooms: Vec<String> = (0..ROOMS).map(|n| format!("room-{n}")).collect();
    for room in &rooms {
        alice.asks(json!({"type": "create", "name": room})).await;
        bob.subscribes(room).await;
    }
    for n in 0..EACH {
        for room in &rooms {
            let post = alice.post(room, &format!("{n} in {room}"));
            alice.begin(post).await;
        }
    }
    let mut seen = 0;
    for room in &rooms {
        let events = bob.hears_events(room, usize::try_from(EACH).unwrap()).await;
        let expected: Vec<_> = (0..EACH).map(|n| format!("{n} in {room}")).collect();
        assert_eq!(texts(&events), expected);
        seen += events.len();
    }
    assert_eq!(seen, 300);
    bob.is_up_to_date().await;
    bob.heard_no("event");
}

#[tokio::test]
async fn words_arrive_as_they_were_said() {
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let mut bob = server.guest_in("bob", "lobby").await;
    let odd = [
        "\"quoted\" and \\backslashed\\",
        "two\nlines\tand a tab",
        "\u{2028}\u{2029}\u{feff}x",
        "null \u{0} and bell \u{7} and escape \u{1b}[0m",
        "👩\u{200d}👩\u{200d}👧 مرحبا ไทย ﷽ é e\u{301}",
        "</script><!-- ]]> &amp; &lt;",
        "  spaces in front stay",
        "{\"type\":\"event\"}",
        "\u{10ffff}\u{fffe}",
    ];
    for words in odd {
        alice.says("lobby", words).await;
        bob.hears(words).await;
        assert_eq!(alice.hears(words).await["author"]["name"], "alice");
    }
}

#[tokio::test]
async fn a_public_room_takes_messages_without_being_joined_or_subscribed_to() {
    let server = TestServer::start().await;
    let mut alice = server.guest("alice").await;
    alice.asks(json!({"type": "create", "name": "Garden"})).await;
    let (_, mut bob) = server.signed_in("bob").await;
    assert_eq!(bob.says("garden", "nice flowers").await, 1);
    bob.heard_no("event");
    bob.is_refused(json!({"type": "post", "room": "nowhere", "txn_id": "t", "text": "hi"}), "no_room").await;
    bob.is_refused(json!({"type": "subscribe", "room": "nowhere", "last": 1}), "no_room").await;
    bob.is_refused(json!({"type": "present", "room": "nowhere"}), "no_room").await;
}

#[tokio::test]
async fn a_command_without_a_ref_gets_no_reply() {
    let server = TestServer::start().await;
    let mut bob = server.guest_in("bob", "lobby").await;
    bob.send(&json!({"type": "post", "room": "lobby", "txn_id": "t1", "text": "hi"})).await;
    bob.send(&json!({"type": "post", "room": "nowhere", "txn_id": "t1", "text": "hi"})).await;
    bob.send(&json!({"type": "dance"})).await;
    bob.send(&json!({"type": "typing", "room": "lobby", "ref": "a word"})).await;
    assert_eq!(bob.find("a reply", |frame| frame["type"] == "reply").await["ref"], "a word");
    bob.hears("hi").await;
    bob.heard_no("reply");
}

fn texts(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| text(&event["text"])).collect()
}

/// What makes a message that message.
fn identity(event: &Value) -> (String, String) {
    (text(&event["author"]["id"]), text(&event["txn_id"]))
}

fn with_ref(reference: u32, mut command: Value) -> Value {
    command["ref"] = reference.into();
    command
}
