//! Rooms that are not everyone's: who sees that there is one, where a right to it ends, and what its people are in it.

use serde_json::{Value, json};

use crate::support::http::Request;
use crate::support::{Client, Session, TestServer, list, number, text};

/// Every request that names a room.
fn requests_about(by: &Session, room: &str, other: &str) -> Vec<Request> {
    let path = |rest: &str| format!("/api/rooms/{room}{rest}");
    vec![
        by.get(&path("")),
        by.patch(&path("")).json(&json!({"topic": "mine"})),
        by.patch(&path("")).json(&json!({"kind": "public"})),
        by.patch(&path("")).json(&json!({"colour": "red"})),
        by.delete(&path("")),
        by.get(&path("/members")),
        by.get(&path("/members?limit=0")),
        by.put(&path("/members/me")),
        by.delete(&path("/members/me")),
        by.put(&path(&format!("/members/{other}"))).json(&json!({"role": "owner"})),
        by.put(&path(&format!("/members/{}", by.id))).json(&json!({})),
        by.delete(&path(&format!("/members/{other}"))),
        by.get(&path("/messages")),
        by.get(&path("/messages?around=1")),
        by.post(&path("/messages")).json(&json!({"txn_id": "t", "text": "hello?"})),
        by.delete(&path("/messages/1")),
        by.post(&path("/messages/1/report")).json(&json!({"reason": "rude"})),
        by.get(&format!("/api/invites?room={room}")),
        by.post("/api/invites").json(&json!({"room": room})),
        by.post("/api/invites").json(&json!({"room": room, "role": "guest"})),
    ]
}

/// Every command that names a room.
fn commands_about(room: &str) -> [Value; 9] {
    [
        json!({"type": "subscribe", "room": room, "last": 0}),
        json!({"type": "subscribe", "room": room, "cursor": {"epoch": "9f86d081884c7d65", "seq": 1}}),
        json!({"type": "unsubscribe", "room": room}),
        json!({"type": "post", "room": room, "txn_id": "t", "text": "hello?"}),
        json!({"type": "post", "room": room, "txn_id": "u", "text": "hello @ann"}),
        json!({"type": "history", "room": room}),
        json!({"type": "read", "room": room, "seq": 0}),
        json!({"type": "present", "room": room}),
        json!({"type": "typing", "room": room}),
    ]
}

/// Whatever this person asks, a room of this id is answered like one that is not there.
async fn finds_no(by: &Session, room: &str, other: &str) {
    let nowhere = room.replace(|c: char| c.is_ascii_digit(), "f");
    assert_ne!(room, nowhere);
    let mut found = Vec::new();
    for (real, made_up) in requests_about(by, room, other).into_iter().zip(requests_about(by, &nowhere, other)) {
        let (real, made_up) = (real.await, made_up.await);
        assert_eq!(real.status, made_up.status, "{}: {} {}", by.name, real.text(), made_up.text());
        assert_eq!(real.text().replace(room, "ROOM"), made_up.text().replace(&nowhere, "ROOM"), "{}", by.name);
        found.push(real.error());
    }
    let no_room = found.iter().filter(|error| **error == (404, "no_room".to_owned())).count();
    assert!(no_room >= 11, "{}: {found:?}", by.name);
    let mut client = by.connects().await;
    for (real, made_up) in commands_about(room).into_iter().zip(commands_about(&nowhere)) {
        let asked = real.to_string();
        let (real, made_up) = (client.ask(real).await, client.ask(made_up).await);
        let hidden = |outcome: Result<Value, Value>, id: &str| format!("{outcome:?}").replace(id, "ROOM");
        assert_eq!(hidden(real, room), hidden(made_up, &nowhere), "{}: {asked}", by.name);
    }
    assert!(!client.hello.to_string().contains(room) && !by.get("/api/rooms").await.text().contains(room));
}

#[tokio::test]
async fn a_private_room_looks_to_outsiders_like_none() {
    let server = TestServer::unhurried().await;
    let (olga, ann, bob) = (server.owner().await, server.register("ann").await, server.register("bob").await);
    let (ada, gus) = (server.register("ada").await, server.sign_up("gus").await);
    olga.appoints(&ada, "admin").await;
    let den = ann.makes_room("private", "Den").await;
    ann.lets_in(&den, &bob).await;
    let mut here = ann.connects_to(&den).await;
    here.says(&den, "among ourselves").await;
    for outsider in [&gus, &ada, &olga] {
        finds_no(outsider, &den, &ann.id).await;
    }
    ann.does(ann.takes_out(&den, &bob)).await;
    finds_no(&bob, &den, &ann.id).await;
    let direct = ann.direct_room(&[&bob]).await;
    finds_no(&gus, &direct, &ann.id).await;
    for path in ["", "/members", "/messages"] {
        let real = server.get(&format!("/api/rooms/{den}{path}")).await;
        let made_up = server.get(&format!("/api/rooms/_{}{path}", "f".repeat(32))).await;
        assert_eq!((real.status, real.body.len()), (made_up.status, made_up.body.len()), "{}", real.text());
    }
    let mut eve = server.guest("eve").await;
    assert_eq!(eve.asks(json!({"type": "create", "name": den})).await["room"], den[1..], "its id is no name's");
    here.is_up_to_date().await;
    let events: Vec<_> = here.take_arrived("event").into_iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(events, ["message", "member"], "nobody else has left a trace in it");
}

#[tokio::test]
async fn a_member_is_told_of_the_room_and_reads_all_of_it() {
    let server = TestServer::unhurried().await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let den = ann.makes_room("private", "Den").await;
    ann.writes(&den, "before you came").await;
    let mut desk = bob.connects().await;
    ann.lets_in(&den, &bob).await;
    let push = desk.find("the new room", |frame| frame["type"] == "room" && frame["room"] == *den).await;
    let expected = (&json!("Den"), &json!("private"), &json!("member"));
    assert_eq!((&push["name"], &push["kind"], &push["role"]), expected);
    desk.subscribes_to_last(&den, 10).await;
    desk.hears("before you came").await;
    let added = desk.next_event("the event").await;
    let expected = json!({"id": bob.id, "name": "bob"});
    assert_eq!((&added["kind"], &added["change"], &added["user"]), (&json!("member"), &json!("added"), &expected));
    desk.says(&den, "thanks").await;
    assert_eq!(list(&bob.connects().await.hello["rooms"])[0]["room"], *den);
    let view = bob.get(&format!("/api/rooms/{den}")).await.json();
    let expected = json!({"room": den, "name": "Den", "kind": "private", "topic": "", "announcement": false,
        "archived": false, "slow_seconds": 0, "guests": false, "role": "member", "members": 2});
    assert_eq!(view, expected);
    let eve = server.register("eve").await;
    assert_eq!(
        bob.sets_member(&den, &eve, None).await.error(),
        (403, "not_allowed".to_owned()),
        "a member lets nobody in"
    );
    ann.writes(&den, "a word while you are away").await;
    let told = bob.connects().await.hello["rooms"][0].clone();
    assert_eq!((&told["room"], &told["unread"]), (&json!(den), &json!(1)));
}

#[tokio::test]
async fn a_right_ends_before_any_later_event() {
    let server = TestServer::unhurried().await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let den = ann.makes_room("private", "Den").await;
    ann.lets_in(&den, &bob).await;
    let (mut here, mut desk, mut phone) =
        (ann.connects_to(&den).await, bob.connects_to(&den).await, bob.connects_to(&den).await);
    here.says(&den, "still among us").await;
    ann.does(ann.takes_out(&den, &bob)).await;
    here.says(&den, "now that he is gone").await;
    here.hears("still among us").await;
    let removed = here.next_event("the removal").await;
    assert_eq!((&removed["change"], &removed["user"]["id"]), (&json!("removed"), &json!(bob.id)));
    for client in [&mut desk, &mut phone] {
        client.hears("still among us").await;
        let gone = client.find("the end of it", |frame| frame["type"] == "room" && frame["gone"] == true).await;
        assert_eq!(gone["room"], *den);
        client.is_refused(client.post(&den, "hello?"), "no_room").await;
        client.is_refused(json!({"type": "subscribe", "room": den, "last": 5}), "no_room").await;
        client.is_refused(json!({"type": "typing", "room": den}), "not_allowed").await;
    }
    phone.is_up_to_date().await;
    assert!(phone.take_arrived("event").iter().all(|event| event["room"] != *den));
    assert_eq!(bob.get(&format!("/api/rooms/{den}/messages")).await.error(), (404, "no_room".to_owned()));

    ann.lets_in(&den, &bob).await;
    desk.subscribes_to_last(&den, 2).await;
    desk.hears("now that he is gone").await;
    assert_eq!(desk.next_event("his return").await["change"], "added", "who is let in again may read it all");
    desk.says(&den, "back").await;
}

#[tokio::test]
async fn whoever_leaves_hears_no_more() {
    let server = TestServer::unhurried().await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let den = ann.makes_room("private", "Den").await;
    ann.lets_in(&den, &bob).await;
    let mut desk = bob.connects_to(&den).await;
    bob.does(bob.delete(&format!("/api/rooms/{den}/members/me"))).await;
    desk.find("the end of it", |frame| frame["type"] == "room" && frame["gone"] == true).await;
    ann.writes(&den, "bob has left").await;
    desk.is_up_to_date().await;
    assert!(desk.take_arrived("event").iter().all(|event| event["room"] != *den));
    assert_eq!(bob.put(&format!("/api/rooms/{den}/members/me")).await.error(), (404, "no_room".to_owned()));
    let last = ann.delete(&format!("/api/rooms/{den}/members/me")).await;
    assert_eq!(last.error(), (403, "not_allowed".to_owned()), "it would have no owner");
}

/// Twelve megabytes are more than the kernel keeps for a socket, so the reader stands somewhere in the middle when its
/// right ends.
#[tokio::test]
async fn a_slow_reader_is_given_nothing_from_after_the_end_of_its_right() {
    for tail_kb in ["1", "65536"] {
        let server = TestServer::with(&["--limits", "off", "--tail-kb", tail_kb]).await;
        let (ann, bob) = (server.register("ann").await, server.register("bob").await);
        let den = ann.makes_room("private", "Den").await;
        ann.lets_in(&den, &bob).await;
        let mut here = ann.connects().await;
        let mut slow = bob.connects_to(&den).await;
        for _ in 0..15 {
            here.says_all(&den, (0..100).map(|n| format!("{n} {}", "x".repeat(7_900)))).await;
        }
        ann.does(ann.takes_out(&den, &bob)).await;
        let end = here.says(&den, "now that he is gone").await - 1;
        let told = slow.begin(json!({"type": "present", "room": "lobby"})).await;
        slow.find("the end of it", |frame| frame["type"] == "room" && frame["gone"] == true).await;
        slow.outcome(told).await.unwrap();
        slow.is_up_to_date().await;
        let seqs: Vec<u64> = slow
            .take_arrived("event")
            .iter()
            .filter(|event| event["room"] == *den)
            .map(|event| number(&event["seq"]))
            .collect();
        let last = *seqs.last().expect("some had been sent before");
        assert!(last < end, "the right ended at {end}, and {last} was sent");
        assert!(seqs.is_sorted_by(|one, next| one + 1 == *next), "what came before came without gaps");
    }
}

#[tokio::test]
async fn a_room_that_becomes_private_keeps_its_members_alone() {
    let server = TestServer::unhurried().await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let garden = ann.makes_room("public", "Garden").await;
    bob.does(bob.put("/api/rooms/garden/members/me")).await;
    let (mut here, mut desk) = (ann.connects_to(&garden).await, bob.connects_to(&garden).await);
    let mut eve = server.guest_in("eve", &garden).await;
    here.says(&garden, "for all to hear").await;
    let epoch = eve.next_event("the words").await["seq"].clone();
    here.hears("for all to hear").await;
    desk.hears("for all to hear").await;
    assert_eq!(epoch, 2);
    let change = ann.sets(&garden, &json!({"kind": "private"})).await;
    assert_eq!((change.status, &change.json()["kind"]), (200, &json!("private")));
    ann.writes(&garden, "among ourselves").await;
    assert_eq!(eve.next_push("reset").await["room"], *garden);
    eve.is_refused(json!({"type": "subscribe", "room": garden, "last": 5}), "no_room").await;
    eve.is_refused(eve.post(&garden, "hello?"), "no_room").await;
    eve.is_up_to_date().await;
    let arrived = eve.take_arrived("event");
    assert!(arrived.iter().all(|event| event["room"] != *garden), "{arrived:?}");
    assert_eq!(server.get("/api/rooms/garden/messages").await.error(), (404, "no_room".to_owned()));
    assert_eq!(
        list(&server.get("/api/rooms").await.json()["rooms"]).iter().filter(|it| it["room"] == *garden).count(),
        0
    );

    for member in [&mut here, &mut desk] {
        member.find("the change", |frame| frame["change"] == "private").await;
        member.hears("among ourselves").await;
        member.heard_no("reset");
    }

    ann.sets(&garden, &json!({"kind": "public"})).await;
    assert_eq!(desk.next_event("the change").await["change"], "public");
    eve.subscribes_to_last(&garden, 2).await;
    eve.hears("among ourselves").await;
}

#[tokio::test]
async fn a_deleted_room_is_gone_for_all() {
    let server = TestServer::unhurried().await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let garden = ann.makes_room("public", "Garden").await;
    bob.does(bob.put("/api/rooms/garden/members/me")).await;
    let (mut desk, mut eve) = (bob.connects_to(&garden).await, server.guest_in("eve", &garden).await);
    let epoch = server.get("/api/rooms/garden/messages").await.json()["epoch"].clone();
    assert_eq!(bob.delete("/api/rooms/garden").await.error(), (403, "not_allowed".to_owned()));
    ann.does(ann.delete("/api/rooms/garden")).await;
    desk.find("the end of it", |frame| frame["type"] == "room" && frame["gone"] == true).await;
    for client in [&mut desk, &mut eve] {
        client.next_push("reset").await;
        client.is_refused(json!({"type": "subscribe", "room": garden, "last": 0}), "no_room").await;
        client.is_refused(client.post(&garden, "hello?"), "no_room").await;
    }
    assert_eq!(bob.get("/api/rooms/garden").await.error(), (404, "no_room".to_owned()));
    assert!(list(&bob.connects().await.hello["rooms"]).iter().all(|room| room["room"] != *garden));

    assert_eq!(bob.makes_room("public", "Garden").await, "garden", "the name is free");
    let page = server.get("/api/rooms/garden/messages").await.json();
    assert_ne!(page["epoch"], epoch);
    assert_eq!((&page["head"], list(&page["messages"]).len()), (&json!(0), 0));
    let error = eve
        .is_refused(json!({"type": "subscribe", "room": garden, "cursor": {"epoch": epoch, "seq": 1}}), "reset")
        .await;
    assert_eq!(error["epoch"], page["epoch"]);
    assert_eq!(ann.delete("/api/rooms/lobby").await.error(), (403, "not_allowed".to_owned()));
}

/// A reader that does not read holds on to the deleted room.
#[tokio::test]
async fn a_room_of_a_deleted_ones_id_is_another() {
    let server = TestServer::with(&["--limits", "off", "--tail-kb", "1"]).await;
    let ann = server.register("ann").await;
    let garden = ann.makes_room("public", "Garden").await;
    let mut here = ann.connects_to(&garden).await;
    for _ in 0..15 {
        here.says_all(&garden, (0..100).map(|n| format!("{n} {}", "x".repeat(7_900)))).await;
    }
    let mut slow = server.raw("slow").await;
    slow.send(&json!({"type": "subscribe", "room": garden, "last": 10_000})).await;
    // Meanwhile it is sent as much as goes into its socket.
    for _ in 0..40 {
        here.asks(json!({"type": "history", "room": garden, "limit": 200})).await;
    }
    ann.does(ann.delete("/api/rooms/garden")).await;
    here.next_push("reset").await;
    here.is_refused(json!({"type": "subscribe", "room": garden, "last": 0}), "no_room").await;
    ann.makes_room("public", "Garden").await;
    let position = here.subscribes(&garden).await;
    assert_eq!((&position["head"], &position["oldest"]), (&json!(0), &json!(1)));
    let page = server.get("/api/rooms/garden/messages").await.json();
    assert_eq!(position["epoch"], page["epoch"]);
    here.take_all();
    here.says(&garden, "new ground").await;
    assert_eq!(here.hears("new ground").await["seq"], 1);
    assert_eq!(here.sees_present(&garden).await, ["ann"]);
    drop(slow);
}

#[tokio::test]
async fn two_people_have_one_direct_room() {
    let server = TestServer::unhurried().await;
    let (ann, bob, gus) = (server.register("ann").await, server.register("bob").await, server.sign_up("gus").await);
    let mut desk = bob.connects().await;
    let room = ann.direct_room(&[&bob]).await;
    assert!(room.len() >= 32, "its id cannot be guessed: {room}");
    let push = desk.find("the new room", |frame| frame["type"] == "room" && frame["room"] == *room).await;
    let expected = (&json!("direct"), &json!([{"id": ann.id, "name": "ann"}]));
    assert_eq!((&push["kind"], &push["with"]), expected, "it is called by the other");
    for (by, others) in [(&ann, [&bob]), (&bob, [&ann])] {
        assert_eq!(by.direct_room(&others).await, room, "always the same");
    }
    desk.subscribes(&room).await;
    ann.writes(&room, "psst").await;
    desk.hears("psst").await;
    let refused = (403, "not_allowed".to_owned());
    let eve = server.register("eve").await;
    for request in [
        ann.sets_member(&room, &eve, None),
        ann.takes_out(&room, &bob),
        ann.delete(&format!("/api/rooms/{room}/members/me")),
        ann.delete(&format!("/api/rooms/{room}")),
        ann.sets(&room, &json!({"topic": "secrets"})),
        ann.sets(&room, &json!({"kind": "public"})),
        ann.writes_to(&[&gus]),
        gus.writes_to(&[&ann]),
        gus.post("/api/rooms").json(&json!({"kind": "private", "name": "Den"})),
    ] {
        assert_eq!(request.await.error(), refused);
    }
    let invalid = (400, "invalid".to_owned());
    assert_eq!(ann.writes_to(&[]).await.error(), invalid);
    assert_eq!(ann.writes_to(&[&ann]).await.error(), invalid, "nobody else");
    for odd in [
        json!({"kind": "direct", "name": "Us"}),
        json!({"kind": "private"}),
        json!({"kind": "private", "name": "Den", "members": [bob.id]}),
        json!({"kind": "direct", "members": ["bob"]}),
    ] {
        assert_eq!(ann.post("/api/rooms").json(&odd).await.error(), invalid, "{odd}");
    }
    let nobody = ann.post("/api/rooms").json(&json!({"kind": "direct", "members": [uuid::Uuid::now_v7()]})).await;
    assert_eq!(nobody.error(), (404, "no_user".to_owned()));
}

#[tokio::test]
async fn a_direct_room_has_at_most_twenty_people() {
    let server = TestServer::unhurried().await;
    let ann = server.register("ann").await;
    let mut others = Vec::new();
    for n in 1..=20 {
        others.push(server.register(&format!("friend {n}")).await);
    }
    let others: Vec<&Session> = others.iter().collect();
    assert_eq!(ann.writes_to(&others).await.error(), (400, "invalid".to_owned()), "21 with ann");
    let room = ann.direct_room(&others[..19]).await;
    assert_eq!(others[3].get(&format!("/api/rooms/{room}")).await.json()["members"], 20);
    let mut desk = others[7].connects_to(&room).await;
    ann.writes(&room, "hello all").await;
    desk.hears("hello all").await;
    assert_ne!(ann.direct_room(&others[..2]).await, room);
}

#[tokio::test]
async fn people_have_roles_in_a_room() {
    let server = TestServer::unhurried().await;
    let (ann, mia, bob) = (server.register("ann").await, server.register("mia").await, server.register("bob").await);
    let eve = server.register("eve").await;
    let den = ann.makes_room("private", "Den").await;
    ann.lets_in(&den, &mia).await;
    ann.lets_in(&den, &bob).await;
    let mut here = bob.connects_to(&den).await;
    let refused = (403, "not_allowed".to_owned());
    ann.does(ann.sets_member(&den, &mia, Some("moderator"))).await;
    let event = here.next_event("mia's new role").await;
    assert_eq!(
        (&event["change"], &event["role"], &event["user"]["id"]),
        (&json!("role"), &json!("moderator"), &json!(mia.id))
    );
    for (request, allowed) in [
        (bob.sets(&den, &json!({"topic": "mine"})), false),
        (bob.takes_out(&den, &mia), false),
        (bob.sets_member(&den, &bob, Some("owner")), false),
        (mia.sets_member(&den, &bob, Some("moderator")), false),
        (mia.sets_member(&den, &mia, Some("owner")), false),
        (mia.takes_out(&den, &ann), false),
        (mia.sets(&den, &json!({"archived": true})), false),
        (mia.sets(&den, &json!({"kind": "public"})), false),
        (mia.sets(&den, &json!({"guests": true})), false),
        (mia.delete(&format!("/api/rooms/{den}")), false),
        (mia.sets(&den, &json!({"topic": "ours", "name": "Cellar", "slow_seconds": 0})), true),
        (mia.sets_member(&den, &eve, None), true),
        (mia.takes_out(&den, &eve), true),
    ] {
        let answer = request.await;
        if allowed {
            assert!(matches!(answer.status, 200 | 204), "{}", answer.text());
        } else {
            assert_eq!(answer.error(), refused);
        }
    }
    let event = here.next_event("the new topic").await;
    assert_eq!((&event["kind"], &event["topic"], &event["name"]), (&json!("topic"), &json!("ours"), &json!("Cellar")));
    let members = bob.get(&format!("/api/rooms/{den}/members")).await.json();
    let mut roles: Vec<_> =
        list(&members["members"]).iter().map(|member| (text(&member["name"]), text(&member["role"]))).collect();
    roles.sort();
    assert_eq!(
        roles,
        [("ann", "owner"), ("bob", "member"), ("mia", "moderator")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    let first = bob.get(&format!("/api/rooms/{den}/members?limit=2")).await.json();
    assert_eq!((list(&first["members"]).len(), &first["more"]), (2, &json!(true)));

    assert_eq!(ann.sets_member(&den, &ann, Some("member")).await.error(), refused, "the last owner stays one");
    ann.does(ann.sets_member(&den, &mia, Some("owner"))).await;
    ann.does(ann.sets_member(&den, &ann, Some("member"))).await;
    assert_eq!(mia.connects().await.hello["rooms"][0]["role"], "owner");
    mia.does(mia.takes_out(&den, &ann)).await;
    assert_eq!(ann.get(&format!("/api/rooms/{den}")).await.error(), (404, "no_room".to_owned()));
}

#[tokio::test]
async fn in_public_rooms_the_places_moderators_and_admins_count() {
    let server = TestServer::unhurried().await;
    let (olga, mia, ann) = (server.owner().await, server.register("mia").await, server.register("ann").await);
    olga.appoints(&mia, "moderator").await;
    let garden = ann.makes_room("public", "Garden").await;
    let refused = (403, "not_allowed".to_owned());
    assert_eq!(mia.sets(&garden, &json!({"topic": "tidy"})).await.json()["role"], "moderator");
    assert_eq!(mia.sets(&garden, &json!({"archived": true})).await.error(), refused);
    assert_eq!(olga.sets(&garden, &json!({"archived": true})).await.json()["role"], "owner");
    assert_eq!(ann.sets(&garden, &json!({"archived": false})).await.json()["archived"], false);
    assert_eq!(ann.sets("lobby", &json!({"topic": "mine"})).await.error(), refused);
    assert_eq!(olga.sets("lobby", &json!({"topic": "all", "name": "Hall"})).await.status, 200);
    for odd in [json!({"archived": true}), json!({"kind": "private"})] {
        assert_eq!(olga.sets("lobby", &odd).await.error(), refused, "everyone comes in there: {odd}");
    }
    for odd in [
        json!({"name": ""}),
        json!({"topic": "x".repeat(251)}),
        json!({"slow_seconds": 21_601}),
        json!({"kind": "direct"}),
    ] {
        assert_eq!(olga.sets(&garden, &odd).await.error(), (400, "invalid".to_owned()), "{odd}");
    }
    assert_eq!(server.guest("eve").await.hello["rooms"][0]["name"], "Hall");
    olga.does(olga.delete("/api/rooms/garden")).await;
}

#[tokio::test]
async fn announcements_are_the_moderators_and_an_archive_is_nobodys() {
    let server = TestServer::unhurried().await;
    let (ann, mia, bob) = (server.register("ann").await, server.register("mia").await, server.register("bob").await);
    let news = ann.makes_room("public", "News").await;
    ann.does(ann.sets_member(&news, &mia, Some("moderator"))).await;
    let mut desk = bob.connects_to(&news).await;
    assert_eq!(ann.sets(&news, &json!({"announcement": true})).await.json()["announcement"], true);
    assert_eq!(desk.next_event("the change").await["announcement"], true);
    for (by, status) in [(&ann, 201), (&mia, 201), (&bob, 403)] {
        assert_eq!(by.posts(&news, "news").await.status, status, "{}", by.name);
    }
    desk.is_refused(desk.post(&news, "what?"), "not_allowed").await;
    assert_eq!(mia.connects().await.hello["rooms"][0]["announcement"], true);
    ann.sets(&news, &json!({"announcement": false, "archived": true})).await;
    for by in [&ann, &mia, &bob] {
        assert_eq!(by.posts(&news, "news").await.error(), (403, "not_allowed".to_owned()), "{}", by.name);
    }
    assert_eq!(mia.connects().await.hello["rooms"][0]["archived"], true);
    assert_eq!(bob.reads(&news).await.len(), 2, "it is there to be read");
    ann.sets(&news, &json!({"archived": false})).await;
    desk.says(&news, "at last").await;
}

#[tokio::test]
async fn in_slow_mode_one_waits_between_two_messages() {
    let server = TestServer::unhurried().await;
    let (ann, bob, eve) = (server.register("ann").await, server.register("bob").await, server.register("eve").await);
    let room = ann.makes_room("public", "Garden").await;
    assert_eq!(ann.sets(&room, &json!({"slow_seconds": 300})).await.json()["slow_seconds"], 300);
    // Nobody reads along, so nothing but what was noted knows that he wrote.
    bob.writes(&room, "one").await;
    let answer = bob.posts(&room, "two").await;
    assert_eq!(answer.error(), (429, "slow_mode".to_owned()));
    let wait = number(&answer.json()["error"]["retry_after_ms"]);
    assert!((200_000..=300_000).contains(&wait), "{wait}");
    assert!(answer.header("retry-after").is_some());
    let mut desk = bob.connects_to(&room).await;
    desk.is_refused(desk.post(&room, "three"), "slow_mode").await;
    bob.writes("lobby", "elsewhere as I please").await;
    eve.connects_to(&room).await.says(&room, "my first").await;
    for _ in 0..3 {
        ann.writes(&room, "a moderator is free of it").await;
    }
    ann.sets(&room, &json!({"slow_seconds": 0})).await;
    desk.says(&room, "at my own pace").await;
}

#[tokio::test]
async fn who_is_present_in_a_private_room_is_told_to_its_readers_alone() {
    let server = TestServer::unhurried().await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let den = ann.makes_room("private", "Den").await;
    ann.lets_in(&den, &bob).await;
    let (mut here, mut desk): (Client, Client) = (ann.connects_to(&den).await, bob.connects_to(&den).await);
    assert_eq!(here.sees_present(&den).await.len(), 2);
    ann.does(ann.takes_out(&den, &bob)).await;
    here.sees_presence("bob to be gone", |push| push["room"] == *den && push["left"][0] == *bob.id).await;
    desk.find("the end of it", |frame| frame["gone"] == true).await;
    desk.take_all();
    here.asks(json!({"type": "typing", "room": den})).await;
    here.next_push("typing").await;
    desk.is_answered().await;
    desk.heard_no("typing");
    desk.is_refused(json!({"type": "present", "room": den}), "no_room").await;
}
