//! Rooms: making, finding, joining and leaving them; and what a user has not read in those they joined.

use serde_json::{Value, json};

use crate::support::{Client, Session, TestServer, list, text};

#[tokio::test]
async fn anyone_makes_a_room_and_its_id_comes_from_its_name() {
    let server = TestServer::start().await;
    let mut alice = server.guest("alice").await;
    let names = [
        ("Reading club", "reading-club"),
        ("  Rust & C++!  ", "rust-c"),
        ("ＡＢＣ１２", "abc12"),
        ("Straße", "strasse"),
        ("日本語", "日本語"),
        ("don't panic", "dont-panic"),
        ("_2026_", "2026"),
    ];
    for (name, id) in names {
        assert_eq!(alice.creates(name).await, json!({"room": id}), "{name}");
    }
    for name in ["Reading club", "reading CLUB", "reading-club", "Reading -- Club", "Lobby"] {
        let error = alice.is_refused(json!({"type": "create", "name": name}), "exists").await;
        assert_eq!(error["room"], if name == "Lobby" { "lobby" } else { "reading-club" }, "{name}");
    }
    assert_eq!(alice.says("reading-club", "welcome").await, 1);
    let back = server.get("/api/rooms?q=reading").await.json();
    assert_eq!(back["rooms"][0]["name"], "Reading club");
}

#[tokio::test]
async fn odd_names_of_rooms_are_refused() {
    let server = TestServer::start().await;
    let mut alice = server.guest("alice").await;
    let too_long = "x".repeat(65);
    for name in ["", "   ", "!!!", "🦊", "a\u{0}b", "\u{202e}abc", "a\u{200b}b", &too_long] {
        let error = alice.is_refused(json!({"type": "create", "name": name}), "invalid").await;
        assert!(text(&error["message"]).starts_with("name: "), "{error}");
    }
    assert_eq!(list(&server.get("/api/rooms").await.json()["rooms"]).len(), 1, "there is the lobby alone");
}

#[tokio::test]
async fn rooms_are_browsed_page_by_page() {
    let server = TestServer::start().await;
    let (session, mut alice) = server.signed_in("alice").await;
    for name in ["Ants", "Bees", "Cats", "Dogs", "Big cats"] {
        alice.creates(name).await;
    }
    alice.says("cats", "meow").await;
    alice.subscribes("cats").await;
    let ids = ["ants", "bees", "big-cats", "cats", "dogs", "lobby"];
    let all = server.get("/api/rooms").await;
    assert_eq!(all.status, 200);
    assert_eq!((room_ids(&all.json()), &all.json()["more"]), (ids.map(str::to_owned).to_vec(), &json!(false)));
    let cats = json!({"room": "cats", "name": "Cats", "head": 1, "online": 1, "joined": false});
    assert_eq!(all.json()["rooms"][3], cats, "for somebody without a session");
    assert_eq!(session.get("/api/rooms").await.json()["rooms"][3]["joined"], true, "whoever makes it has joined it");

    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = session.get(&format!("/api/rooms?limit=4{after}")).await.json();
        found.extend(room_ids(&page));
        if page["more"] == false {
            break;
        }
        after = format!("&after={}", found.last().unwrap());
    }
    assert_eq!(found, ids, "every room once");

    for (query, expected) in [("q=CAT", vec!["big-cats", "cats"]), ("q=big%20", vec!["big-cats"]), ("q=%25", vec![])] {
        assert_eq!(room_ids(&server.get(&format!("/api/rooms?{query}")).await.json()), expected, "{query}");
    }
    assert!(room_ids(&server.get("/api/rooms?after=lobby").await.json()).is_empty());
    for query in ["limit=0", "limit=201", "limit=x", "limit=-1"] {
        assert_eq!(server.get(&format!("/api/rooms?{query}")).await.error(), (400, "invalid".to_owned()), "{query}");
    }
}

#[tokio::test]
async fn joining_and_leaving_are_events_that_happen_once() {
    let server = TestServer::start().await;
    let mut alice = server.guest("alice").await;
    alice.creates("Garden").await;
    alice.subscribes("garden").await;
    let (bob, mut desk) = server.signed_in("bob").await;
    assert_eq!(rooms_of(&desk), ["lobby"]);
    for _ in 0..2 {
        assert_eq!(bob.put("/api/rooms/garden/members/me").await.status, 204);
    }
    let joined = alice.next_event("bob to join").await;
    assert_eq!((&joined["kind"], &joined["change"], &joined["seq"]), (&json!("member"), &json!("joined"), &json!(1)));
    assert_eq!(joined["author"], json!({"id": bob.id, "name": "bob"}));
    let push = desk.room_push("garden").await;
    assert_eq!(
        (&push["head"], &push["read"], &push["unread"], &push["name"]),
        (&json!(1), &json!(1), &json!(0), &json!("Garden"))
    );
    assert_eq!(rooms_of(&bob.connects().await), ["garden", "lobby"], "by last activity");

    for _ in 0..2 {
        assert_eq!(bob.delete("/api/rooms/garden/members/me").await.status, 204);
    }
    let left = alice.next_event("bob to leave").await;
    assert_eq!((&left["change"], &left["seq"]), (&json!("left"), &json!(2)));
    let gone = desk.find("the end of it", |frame| frame["type"] == "room" && frame["gone"] == true).await;
    assert_eq!(gone["room"], "garden");
    assert_eq!(rooms_of(&bob.connects().await), ["lobby"]);
    alice.is_up_to_date().await;
    alice.heard_no("event");

    assert_eq!(bob.delete("/api/rooms/lobby/members/me").await.error(), (403, "not_allowed".to_owned()));
    assert_eq!(bob.put("/api/rooms/lobby/members/me").await.status, 204);
    assert_eq!(bob.put("/api/rooms/nowhere/members/me").await.error(), (404, "no_room".to_owned()));
    assert_eq!(bob.connects().await.hello["rooms"][0]["head"], 0, "nobody joins the lobby twice");
}

#[tokio::test]
async fn whoever_left_hears_no_more_of_what_is_unread() {
    let server = TestServer::start().await;
    let mut alice = server.guest("alice").await;
    alice.creates("Garden").await;
    let (bob, mut desk) = server.signed_in("bob").await;
    bob.put("/api/rooms/garden/members/me").await;
    desk.room_push("garden").await;
    bob.delete("/api/rooms/garden/members/me").await;
    desk.find("the end of it", |frame| frame["gone"] == true).await;
    alice.says("garden", "psst").await;
    alice.says("lobby", "hello all").await;
    assert_eq!(desk.next_push("room").await["room"], "lobby");
    desk.heard_no("room");
}

#[tokio::test]
async fn what_others_say_in_a_joined_room_is_told_to_whoever_does_not_read_along() {
    let server = TestServer::start().await;
    let mut alice = server.guest("alice").await;
    alice.creates("Garden").await;
    let (bob, mut desk) = server.signed_in("bob").await;
    bob.put("/api/rooms/garden/members/me").await;
    desk.subscribes("lobby").await;
    let mut eve = server.guest("eve").await;
    for n in 1..=10 {
        alice.says("garden", &format!("{n}")).await;
    }
    alice.says("garden", "and you, @bob?").await;
    let told = desk.find("all to be counted", |frame| frame["type"] == "room" && frame["unread"] == 11).await;
    let expected = json!({"type": "room", "room": "garden", "name": "Garden", "kind": "public", "role": "member", "epoch": told["epoch"], "head": 12,
        "read": 1, "unread": 11, "mentions": 1});
    assert_eq!(told, expected);
    alice.says("lobby", "hello all").await;
    assert_eq!(
        eve.next_push("room").await["room"],
        "lobby",
        "everyone has joined the lobby, and the garden eve has not"
    );
    alice.says("garden", "last words").await;
    desk.find("the last words", |frame| frame["type"] == "room" && frame["unread"] == 12).await;
    let lobby = desk.take_arrived("room").into_iter().find(|push| push["room"] == "lobby");
    assert_eq!(lobby, None, "whoever reads along is not told");
    eve.heard_no("room");
}

#[tokio::test]
async fn counts_are_told_at_most_once_a_second() {
    const MESSAGES: usize = 40;
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.guest("alice").await, server.guest("bob").await);
    for n in 0..MESSAGES {
        alice.says("lobby", &format!("{n}")).await;
    }
    let (mut pushes, mut unread) = (0, json!(0));
    while unread != MESSAGES {
        unread = bob.next_push("room").await["unread"].clone();
        pushes += 1;
    }
    assert!(pushes < MESSAGES / 4, "{MESSAGES} messages took {pushes} pushes");
}

#[tokio::test]
async fn a_read_marker_moves_forward_and_back_only_when_asked_to() {
    let server = TestServer::start().await;
    let mut alice = server.guest("alice").await;
    let (bob, mut desk) = server.signed_in("bob").await;
    let mut phone = bob.connects().await;
    for n in 1..=6 {
        alice.says("lobby", &format!("{n}")).await;
    }
    let read = |seq: u64| json!({"type": "read", "room": "lobby", "seq": seq});
    let back = |seq: u64| json!({"type": "read", "room": "lobby", "seq": seq, "back": true});
    let steps = [
        (read(4), 4, 2, true),
        (read(2), 4, 2, false),
        (back(1), 1, 5, true),
        (read(6), 6, 0, true),
        (back(0), 0, 6, true),
    ];
    for (command, stands, unread, moves) in steps {
        let asked = command.to_string();
        desk.asks(command).await;
        let again = bob.connects().await;
        let lobby = &again.hello["rooms"][0];
        assert_eq!((&lobby["read"], &lobby["unread"]), (&json!(stands), &json!(unread)), "after {asked}");
        // Nothing is told where nothing moved.
        if moves {
            let fits = |frame: &Value| frame["type"] == "room" && frame["read"] == stands && frame["unread"] == unread;
            phone.find(&format!("what {asked} moved"), fits).await;
        }
    }
    let error = desk.is_refused(read(7), "invalid").await;
    assert!(text(&error["message"]).starts_with("seq: "), "{error}");
    alice.creates("Garden").await;
    desk.is_refused(json!({"type": "read", "room": "garden", "seq": 0}), "not_allowed").await;
    desk.is_refused(json!({"type": "read", "room": "nowhere", "seq": 0}), "not_allowed").await;
}

#[tokio::test]
async fn posting_moves_the_marker_and_ones_own_messages_are_never_unread() {
    let server = TestServer::start().await;
    let mut alice = server.guest("alice").await;
    let (bob, mut desk) = server.signed_in("bob").await;
    alice.says("lobby", "one").await;
    desk.says("lobby", "two").await;
    let lobby =
        |client: &Client| (client.hello["rooms"][0]["read"].clone(), client.hello["rooms"][0]["unread"].clone());
    assert_eq!(lobby(&bob.connects().await), (json!(2), json!(0)));
    desk.asks(json!({"type": "read", "room": "lobby", "seq": 0, "back": true})).await;
    assert_eq!(lobby(&bob.connects().await), (json!(0), json!(1)), "alice's alone");
    bob.post("/api/rooms/lobby/messages").json(&json!({"txn_id": "t", "text": "three"})).await;
    assert_eq!(lobby(&bob.connects().await), (json!(3), json!(0)), "by the other door too");
}

#[tokio::test]
async fn a_marker_outlives_a_restart() {
    let mut server = TestServer::start().await;
    let mut alice = server.guest("alice").await;
    let (bob, mut desk) = server.signed_in("bob").await;
    for n in 1..=4 {
        alice.says("lobby", &format!("{n}")).await;
    }
    desk.asks(json!({"type": "read", "room": "lobby", "seq": 3})).await;
    drop((alice, desk));
    server.restart().await;
    let lobby = bob.at(&server).connects().await.hello["rooms"][0].clone();
    assert_eq!((&lobby["read"], &lobby["unread"], &lobby["head"]), (&json!(3), &json!(1), &json!(4)));
}

#[tokio::test]
async fn unread_messages_are_counted_to_a_hundred() {
    let server = TestServer::with(&["--limits", "off"]).await;
    let mut alice = server.guest("alice").await;
    let bob = server.sign_up("bob").await;
    let mut unread = Vec::new();
    for more in [98, 1, 1, 30] {
        alice.says_all("lobby", (0..more).map(|n| format!("@bob {n}"))).await;
        let lobby = bob.connects().await.hello["rooms"][0].clone();
        unread.push((lobby["unread"].clone(), lobby["mentions"].clone()));
    }
    assert_eq!(unread, [98, 99, 100, 100].map(|count| (json!(count), json!(count))), "100 stands for 99+");
}

#[tokio::test]
async fn a_newcomer_has_nothing_unread() {
    let server = TestServer::start().await;
    server.guest("alice").await.says("lobby", "before").await;
    let (_, mut bob) = server.signed_in("bob").await;
    let mut eve = server.guest("eve").await;
    for client in [&bob, &eve] {
        let lobby = &client.hello["rooms"][0];
        assert_eq!((&lobby["read"], &lobby["unread"]), (&json!(1), &json!(0)), "{}", client.name);
    }
    server.guest("ann").await.says("lobby", "after").await;
    for client in [&mut bob, &mut eve] {
        let lobby = client.room_push("lobby").await;
        assert_eq!((&lobby["head"], &lobby["unread"]), (&json!(2), &json!(1)), "{}", client.name);
    }
    eve.asks(json!({"type": "read", "room": "lobby", "seq": 2})).await;
    let read = eve.room_push("lobby").await;
    assert_eq!((&read["read"], &read["unread"]), (&json!(2), &json!(0)), "a guest who is not stored reads too");
}

#[tokio::test]
async fn a_mention_names_whom_it_means() {
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let (bob, mut desk) = server.signed_in("Bob").await;
    desk.subscribes("lobby").await;
    let eve = server.guest("eve").await;
    for (words, expected) in [
        ("hi @bob and @nobody", vec![&bob.id]),
        ("@eve, @BOB: look", vec![&eve.id, &bob.id]),
        ("mail bob@eve.example", vec![]),
        ("`@bob`", vec![]),
    ] {
        alice.says("lobby", words).await;
        let event = desk.hears(words).await;
        assert_eq!(event.get("mentions"), (!expected.is_empty()).then(|| json!(expected)).as_ref(), "{words}");
    }
    assert_eq!(bob.connects().await.hello["rooms"][0]["mentions"], 2);
}

#[tokio::test]
async fn a_message_posted_over_rest_is_a_message_like_any_other() {
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let bob = server.sign_up("bob").await;
    let answer = bob.says("lobby", json!({"txn_id": "t1", "text": "from *afar*"})).await;
    assert_eq!(answer, (201, json!({"room": "lobby", "seq": 1})));
    let event = alice.hears("from *afar*").await;
    assert_eq!((&event["author"]["id"], &event["txn_id"]), (&json!(bob.id), &json!("t1")));
    let refused = [
        (json!({"txn_id": "", "text": "hi"}), 400, "invalid"),
        (json!({"txn_id": "x".repeat(65), "text": "hi"}), 400, "invalid"),
        (json!({"txn_id": "t", "text": " \n"}), 400, "invalid"),
        (json!({"txn_id": "t", "text": "x".repeat(8_001)}), 413, "too_long"),
        (json!({"text": "hi"}), 400, "invalid"),
        (json!({"txn_id": "t", "text": "hi", "html": "<b>"}), 400, "invalid"),
        (json!([]), 400, "invalid"),
    ];
    for (body, status, code) in refused {
        let (found, error) = bob.says("lobby", body.clone()).await;
        assert_eq!((found, &error["error"]["code"]), (status, &json!(code)), "{body}");
    }
    assert_eq!(bob.says("nowhere", json!({"txn_id": "t", "text": "hi"})).await.0, 404);
}

impl Client {
    async fn creates(&mut self, name: &str) -> Value {
        self.asks(json!({"type": "create", "name": name})).await
    }

    async fn room_push(&mut self, room: &str) -> Value {
        self.find(&format!("a push of the room {room}"), |frame| frame["type"] == "room" && frame["room"] == room).await
    }
}

impl Session {
    async fn says(&self, room: &str, body: Value) -> (u16, Value) {
        let answer = self.post(&format!("/api/rooms/{room}/messages")).json(&body).await;
        (answer.status, answer.json())
    }
}

fn rooms_of(client: &Client) -> Vec<String> {
    list(&client.hello["rooms"]).iter().map(|room| text(&room["room"])).collect()
}

fn room_ids(page: &Value) -> Vec<String> {
    list(&page["rooms"]).iter().map(|room| text(&room["room"])).collect()
}

#[tokio::test]
async fn a_retry_does_not_move_the_marker_back() {
    let server = TestServer::start().await;
    let (session, mut bob) = server.signed_in("bob").await;
    let first = json!({"type": "post", "room": "lobby", "txn_id": "first", "text": "first"});
    assert_eq!(bob.asks(first.clone()).await["seq"], 1);
    server.guest("alice").await.says_all("lobby", (2..=6).map(|n| format!("{n}"))).await;
    bob.asks(json!({"type": "read", "room": "lobby", "seq": 6})).await;
    assert_eq!(bob.asks(first).await["seq"], 1);
    let lobby = session.connects().await.hello["rooms"][0].clone();
    assert_eq!((&lobby["read"], &lobby["unread"]), (&json!(6), &json!(0)));
}
