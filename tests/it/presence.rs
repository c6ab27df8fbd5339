//! Who is there: told whole on arrival, then by changes, once a user however many tabs; and who is typing.

use std::collections::HashSet;
use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Client, PATIENCE, TestServer, list, text};

#[tokio::test]
async fn presence_is_told_whole_on_arrival_and_then_by_changes() {
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let whole = alice.next_push("presence").await;
    assert_eq!(whole, json!({"type": "presence", "room": "lobby", "online": [user(&alice)], "count": 1}));
    let mut bob = server.guest_in("bob", "lobby").await;
    let whole = bob.next_push("presence").await;
    assert_eq!((names(&whole["online"]), &whole["count"]), (set(&["alice", "bob"]), &json!(2)));
    let joined = alice.sees_joined("bob").await;
    assert_eq!((&joined["count"], joined.get("left"), joined.get("online")), (&json!(2), None, None));
    let (id, count) = (bob.id.clone(), json!(1));
    bob.unsubscribes("lobby").await;
    let left = alice.sees_left(&id).await;
    assert_eq!((&left["count"], left.get("joined")), (&count, None));
    assert_eq!(alice.sees_present("lobby").await, ["alice"]);
}

#[tokio::test]
async fn whoever_is_connected_without_being_subscribed_is_not_present() {
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let mut bob = server.guest("bob").await;
    bob.says("lobby", "passing by").await;
    assert_eq!(alice.sees_present("lobby").await, ["alice"]);
    assert_eq!(bob.sees_present("lobby").await, ["alice"], "anyone may ask");
}

#[tokio::test]
async fn a_user_with_two_tabs_is_there_once_and_gone_with_the_last() {
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let (bob, mut desk) = server.signed_in("bob").await;
    desk.subscribes("lobby").await;
    alice.sees_joined("bob").await;
    let mut phone = bob.connects().await;
    phone.subscribes("lobby").await;
    let whole = phone.next_push("presence").await;
    assert_eq!((names(&whole["online"]), &whole["count"]), (set(&["alice", "bob"]), &json!(2)));
    desk.leaves().await;
    // Eve's coming is told after whatever the first tab's going would have told.
    let eve = server.guest_in("eve", "lobby").await;
    assert_eq!(alice.sees_joined("eve").await["count"], 3);
    assert_eq!(alice.asks(json!({"type": "present", "room": "lobby"})).await["count"], 3);
    let before = alice.take_arrived("presence");
    assert!(before.iter().all(|push| push.get("left").is_none()), "bob has a tab left: {before:?}");
    phone.leaves().await;
    let left = alice.sees_left(&bob.id).await;
    assert_eq!((&left["left"], &left["count"]), (&json!([bob.id]), &json!(2)));
    drop(eve);
}

#[tokio::test]
async fn whoever_goes_is_gone_at_once_however_they_go() {
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    for way in ["a close frame", "FIN", "RST"] {
        let bob = server.guest_in("bob", "lobby").await;
        let id = bob.id.clone();
        alice.sees_joined("bob").await;
        let gone = Instant::now();
        let half_open = match way {
            "a close frame" => {
                bob.leaves().await;
                None
            }
            "FIN" => Some(bob.hangs_up().await),
            _ => {
                bob.crashes();
                None
            }
        };
        assert_eq!(alice.sees_left(&id).await["count"], 1, "{way}");
        assert!(gone.elapsed() < PATIENCE / 3, "{way}: gone after {:?}", gone.elapsed());
        drop(half_open);
    }
}

#[tokio::test]
async fn changes_are_gathered() {
    const GUESTS: usize = 30;
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let mut guests =
        join_all((0..GUESTS).map(|n| server.guest_in(format!("guest no {n}").replace(' ', "_"), "lobby"))).await;
    // Whoever was told of the last to come has been told of all.
    let (mut pushes, mut joined) = (0, HashSet::new());
    while joined.len() <= GUESTS {
        let push = alice.next_push("presence").await;
        joined.extend(names(&push["joined"]).into_iter().chain(names(&push["online"])));
        pushes += 1;
    }
    assert!(pushes < GUESTS / 2, "{GUESTS} arrivals took {pushes} pushes");
    let first = guests.remove(0);
    let id = first.id.clone();
    first.leaves().await;
    alice.sees_left(&id).await;
}

#[tokio::test]
async fn a_large_room_is_told_by_count_and_named_page_by_page() {
    const GUESTS: usize = 201;
    let server = TestServer::start().await;
    let mut guests = Vec::new();
    for n in 0..GUESTS {
        guests.push(server.guest_in(format!("guest{n}"), "lobby").await);
    }
    let mut last = guests.pop().unwrap();
    let whole = last.next_push("presence").await;
    assert_eq!(whole, json!({"type": "presence", "room": "lobby", "count": GUESTS}), "by count alone");
    let counted = guests[0].sees_presence("the count", |push| push["count"] == GUESTS).await;
    assert_eq!((counted.get("joined"), counted.get("online")), (None, None));

    let (mut seen, mut after, mut sizes) = (Vec::new(), Value::Null, Vec::new());
    loop {
        let page = last.asks(json!({"type": "present", "room": "lobby", "after": after, "limit": 90})).await;
        assert_eq!(page["count"], GUESTS);
        seen.extend(list(&page["users"]).iter().map(|user| text(&user["id"])));
        sizes.push(list(&page["users"]).len());
        after = json!(seen.last());
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(sizes, [90, 90, 21]);
    assert!(seen.is_sorted(), "in the order of the ids");
    let all: HashSet<_> = guests.iter().map(|guest| guest.id.clone()).chain([last.id.clone()]).collect();
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), all, "everyone once");

    let id = last.id.clone();
    last.leaves().await;
    let small = guests[0].sees_presence("everyone by name again", |push| push.get("online").is_some()).await;
    // The first one that it heard, on its own arrival, comes first.
    let small = if small["count"] == GUESTS - 1 {
        small
    } else {
        let fits = |push: &Value| push.get("online").is_some() && push["count"] == GUESTS - 1;
        guests[0].sees_presence("everyone by name again", fits).await
    };
    assert_eq!(list(&small["online"]).len(), GUESTS - 1);
    assert!(!list(&small["online"]).iter().any(|user| user["id"] == *id));
}

#[tokio::test]
async fn presence_has_rooms_of_its_own() {
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    alice.asks(json!({"type": "create", "name": "Garden"})).await;
    let mut bob = server.guest_in("bob", "garden").await;
    assert_eq!(bob.next_push("presence").await["room"], "garden");
    assert_eq!(bob.sees_present("garden").await, ["bob"]);
    assert_eq!(bob.sees_present("lobby").await, ["alice"]);
    alice.subscribes("garden").await;
    assert_eq!(bob.sees_joined("alice").await["room"], "garden");
}

#[tokio::test]
async fn typing_shows_the_whole_set_and_ends_with_the_message() {
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let (mut bob, mut eve) = (server.guest_in("bob", "lobby").await, server.guest_in("eve", "lobby").await);
    let typing = json!({"type": "typing", "room": "lobby"});
    bob.asks(typing.clone()).await;
    assert_eq!(alice.next_push("typing").await, json!({"type": "typing", "room": "lobby", "users": [user(&bob)]}));
    eve.asks(typing.clone()).await;
    assert_eq!(names(&alice.next_push("typing").await["users"]), set(&["bob", "eve"]));
    bob.says("lobby", "hi").await;
    assert_eq!(alice.next_push("typing").await["users"], json!([user(&eve)]), "a message ends it");
    let id = eve.id.clone();
    eve.leaves().await;
    assert_eq!(alice.next_push("typing").await["users"], json!([]), "so does leaving");
    alice.sees_left(&id).await;
    let refused = json!({"type": "typing", "room": "garden"});
    alice.is_refused(refused, "not_allowed").await;
}

/// An entry ends six seconds after its last command: longer than most tests take, and worth it once.
#[tokio::test]
async fn typing_ends_by_itself() {
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let mut bob = server.guest_in("bob", "lobby").await;
    bob.asks(json!({"type": "typing", "room": "lobby"})).await;
    assert_eq!(alice.next_push("typing").await["users"], json!([user(&bob)]));
    assert_eq!(alice.next_push("typing").await["users"], json!([]));
}

#[tokio::test]
async fn a_new_name_is_pushed_to_everyone_and_shows_in_presence_and_messages() {
    let server = TestServer::start().await;
    let (session, mut desk) = server.signed_in("bob").await;
    let mut phone = session.connects().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    desk.subscribes("lobby").await;
    let answer = session.patch("/api/session").json(&json!({"name": "robert"})).await;
    assert_eq!((answer.status, &answer.json()["user"]["name"]), (200, &json!("robert")));
    let push =
        json!({"type": "user", "id": session.id, "name": "robert", "picture": format!("/avatars/{}", session.id)});
    for client in [&mut alice, &mut desk, &mut phone] {
        assert_eq!(client.next_push("user").await, push);
    }
    assert!(alice.sees_present("lobby").await.contains(&"robert".to_owned()));
    desk.says("lobby", "it is me").await;
    assert_eq!(alice.hears("it is me").await["author"], json!({"id": session.id, "name": "robert"}));
    let mut eve = server.guest_in("eve", "lobby").await;
    assert!(names(&eve.next_push("presence").await["online"]).contains("robert"));
    assert_eq!(session.connects().await.name, "robert");
}

impl Client {
    pub async fn sees_joined(&mut self, name: &str) -> Value {
        let fits = |push: &Value| names(&push["joined"]).contains(name);
        self.sees_presence(&format!("{name} to come"), fits).await
    }

    pub async fn sees_left(&mut self, id: &str) -> Value {
        let fits = |push: &Value| push["left"].as_array().is_some_and(|left| left.contains(&json!(id)));
        self.sees_presence(&format!("{id} to go"), fits).await
    }
}

/// As others are shown this user.
fn user(client: &Client) -> Value {
    json!({"id": client.id, "name": client.name})
}

fn names(users: &Value) -> HashSet<String> {
    users.as_array().into_iter().flatten().map(|user| text(&user["name"])).collect()
}

fn set(names: &[&str]) -> HashSet<String> {
    names.iter().map(ToString::to_string).collect()
}
