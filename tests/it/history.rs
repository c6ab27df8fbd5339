//! Pages of what was said: the newest, older ones by seq, the surroundings of one message; over the socket and over
//! REST; and how a page and the pushes after it make one whole.

use std::ops::Range;

use serde_json::{Value, json};

use crate::support::{Client, TestServer, list, number, text};

#[tokio::test]
async fn a_newcomer_gets_the_last_page_and_older_pages_on_demand() {
    let server = TestServer::with(&["--limits", "off"]).await;
    let mut alice = server.guest("alice").await;
    alice.says_all("lobby", numbers(1..=120)).await;
    let mut bob = server.guest("bob").await;
    let page = bob.asks(json!({"type": "history", "room": "lobby"})).await;
    assert_eq!((&page["head"], &page["oldest"], &page["more"]), (&json!(120), &json!(1), &json!(true)));
    assert_eq!(page["epoch"], bob.hello["rooms"][0]["epoch"]);
    assert_eq!(seqs(&page), (71..=120).collect::<Vec<_>>(), "fifty, the oldest first");
    let mut all = seqs(&page);
    let mut more = true;
    while more {
        let page = bob.asks(json!({"type": "history", "room": "lobby", "before": all[0], "limit": 33})).await;
        assert!(seqs(&page).len() <= 33);
        more = page["more"].as_bool().unwrap();
        all.splice(0..0, seqs(&page));
    }
    assert_eq!(all, (1..=120).collect::<Vec<_>>(), "every message once");
}

#[tokio::test]
async fn pages_have_edges() {
    let server = TestServer::start().await;
    let mut bob = server.guest("bob").await;
    let empty = bob.asks(json!({"type": "history", "room": "lobby"})).await;
    assert_eq!(
        (seqs(&empty), &empty["more"], &empty["head"], &empty["oldest"]),
        (vec![], &json!(false), &json!(0), &json!(1))
    );
    bob.says_all("lobby", numbers(1..=10)).await;
    let huge = u64::MAX;
    let cases: [(Value, Range<u64>, bool); 19] = [
        (json!({}), 1..11, false),
        (json!({"limit": 10}), 1..11, false),
        (json!({"limit": 9}), 2..11, true),
        (json!({"limit": 1}), 10..11, true),
        (json!({"limit": 200}), 1..11, false),
        (json!({"before": 0}), 1..1, false),
        (json!({"before": 1}), 1..1, false),
        (json!({"before": 2}), 1..2, false),
        (json!({"before": 10, "limit": 3}), 7..10, true),
        (json!({"before": 11, "limit": 3}), 8..11, true),
        (json!({"before": huge, "limit": 3}), 8..11, true),
        (json!({"around": 5, "limit": 4}), 4..8, true),
        (json!({"around": 5, "limit": 1}), 5..6, true),
        (json!({"around": 1, "limit": 4}), 1..4, false),
        (json!({"around": 10, "limit": 4}), 9..11, true),
        (json!({"around": 5, "limit": 200}), 1..11, false),
        (json!({"around": 0, "limit": 4}), 1..3, false),
        (json!({"around": 11, "limit": 4}), 9..11, true),
        (json!({"around": huge, "limit": 4}), 9..11, true),
    ];
    for (mut command, expected, more) in cases {
        command["type"] = "history".into();
        command["room"] = "lobby".into();
        let asked = command.to_string();
        let page = bob.asks(command).await;
        assert_eq!((seqs(&page), &page["more"]), (expected.collect(), &json!(more)), "{asked}");
    }
    bob.is_refused(json!({"type": "history", "room": "nowhere"}), "no_room").await;
}

#[tokio::test]
async fn a_page_from_rest_is_that_of_the_socket() {
    let server = TestServer::start().await;
    let mut bob = server.guest("bob").await;
    bob.says_all("lobby", numbers(1..=12)).await;
    bob.says("lobby", "with *emphasis* and \"quotes\"").await;
    let cases = [
        ("", json!({})),
        ("?limit=5", json!({"limit": 5})),
        ("?before=4&limit=2", json!({"before": 4, "limit": 2})),
        ("?around=6&limit=5", json!({"around": 6, "limit": 5})),
    ];
    for (query, mut command) in cases {
        command["type"] = "history".into();
        command["room"] = "lobby".into();
        let answer = server.get(&format!("/api/rooms/lobby/messages{query}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        assert_eq!(answer.json(), bob.asks(command).await, "{query}");
    }
    let refused = [
        ("/api/rooms/nowhere/messages", 404, "no_room"),
        ("/api/rooms/lobby/messages?limit=0", 400, "invalid"),
        ("/api/rooms/lobby/messages?limit=201", 400, "invalid"),
        ("/api/rooms/lobby/messages?limit=many", 400, "invalid"),
        ("/api/rooms/lobby/messages?before=-1", 400, "invalid"),
        ("/api/rooms/lobby/messages?before=1&around=1", 400, "invalid"),
        ("/api/rooms/%ff/messages", 404, "not_found"),
    ];
    for (path, status, code) in refused {
        assert_eq!(server.get(path).await.error(), (status, code.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_page_and_the_pushes_after_it_equal_a_fresh_page() {
    let server = TestServer::with(&["--limits", "off"]).await;
    let (mut alice, mut bob) = (server.guest("alice").await, server.guest("bob").await);
    for round in 0..5 {
        // Alice talks on while bob opens the room.
        let mut posts = Vec::new();
        for n in 0..15 {
            let post = alice.post("lobby", &format!("round {round}, **{n}**"));
            posts.push(alice.begin(post).await);
        }
        let page = bob.asks(json!({"type": "history", "room": "lobby", "limit": 200})).await;
        let (head, epoch) = (number(&page["head"]), page["epoch"].clone());
        for n in 15..30 {
            let post = alice.post("lobby", &format!("round {round}, {n}"));
            posts.push(alice.begin(post).await);
        }
        bob.resumes("lobby", &epoch, head).await;
        for post in posts {
            alice.outcome(post).await.unwrap();
        }
        bob.is_up_to_date().await;
        let pushed = bob.take_arrived("event");
        let last = pushed.last().map_or(head, |event| number(&event["seq"]));
        assert_eq!(last, (round + 1) * 30, "everything came");
        let mut whole = list(&page["messages"]).to_vec();
        whole.extend(pushed.into_iter().map(as_in_a_page));
        let fresh = bob.asks(json!({"type": "history", "room": "lobby", "limit": 200})).await;
        assert_eq!(json!(whole), fresh["messages"]);
        bob.unsubscribes("lobby").await;
    }
}

#[tokio::test]
async fn a_page_holds_messages_alone_and_the_head_counts_every_event() {
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    alice.asks(json!({"type": "create", "name": "Garden"})).await;
    alice.says("garden", "first").await;
    let bob = server.sign_up("bob").await;
    assert_eq!(bob.put("/api/rooms/garden/members/me").await.status, 204);
    alice.says("garden", "welcome bob").await;
    let page = alice.asks(json!({"type": "history", "room": "garden"})).await;
    assert_eq!((&page["head"], seqs(&page)), (&json!(3), vec![1, 3]));
    alice.subscribes_to_last("garden", 2).await;
    let member = alice.next_event("that bob joined").await;
    assert_eq!((&member["kind"], &member["change"], &member["seq"]), (&json!("member"), &json!("joined"), &json!(2)));
    assert_eq!((&member["author"]["name"], member.get("text")), (&json!("bob"), None));
    alice.hears("welcome bob").await;
}

#[tokio::test]
async fn a_page_that_was_read_goes_on_after_a_restart() {
    let mut server = TestServer::start().await;
    let (session, mut bob) = server.signed_in("bob").await;
    bob.says_all("lobby", numbers(1..=5)).await;
    let before = bob.asks(json!({"type": "history", "room": "lobby"})).await;
    bob.leaves().await;
    server.restart().await;
    let mut bob = session.at(&server).connects().await;
    assert_eq!(bob.asks(json!({"type": "history", "room": "lobby"})).await, before);
    bob.resumes("lobby", &before["epoch"], 5).await;
    bob.says("lobby", "six").await;
    assert_eq!(bob.hears("six").await["seq"], 6);
}

/// Rendered Markdown, kept as it was rendered, in pages as in pushes.
#[tokio::test]
async fn markdown_is_safe_and_the_same_everywhere() {
    let server = TestServer::start().await;
    let mut bob = server.guest_in("bob", "lobby").await;
    bob.says("lobby", "<img src=x onerror=alert(1)> **bold** [x](javascript:alert(1))").await;
    let event = bob.next_event("the message").await;
    let html = text(&event["html"]);
    assert!(html.contains("<strong>bold</strong>") && html.contains("&lt;img"), "{html}");
    assert!(!html.contains("<img") && !html.contains("href=\"javascript"), "{html}");
    let page = bob.page().await;
    assert_eq!(page["messages"][0], as_in_a_page(event));
}

impl Client {
    async fn page(&mut self) -> Value {
        self.asks(json!({"type": "history", "room": "lobby"})).await
    }
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> impl Iterator<Item = String> {
    range.map(|n| n.to_string())
}

fn seqs(page: &Value) -> Vec<u64> {
    list(&page["messages"]).iter().map(|message| number(&message["seq"])).collect()
}

/// A pushed event in the form that it has in a page.
fn as_in_a_page(mut event: Value) -> Value {
    let fields = event.as_object_mut().unwrap();
    fields.remove("type");
    fields.remove("room");
    event
}
