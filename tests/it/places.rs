//! The place as a whole: its owner, how it looks, who may come in, and the links that let in.

use serde_json::{Value, json};

use crate::support::people::{PASSWORD, secret_of};
use crate::support::{Session, TestServer, list, text};

#[tokio::test]
async fn whoever_has_the_owners_link_becomes_the_owner_once() {
    let server = TestServer::unhurried().await;
    let page = server.get("/join").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let link = server.owner_link().await;
    let look = server.post("/api/links/look").json(&json!({ "link": link })).await;
    assert_eq!(look.json(), json!({"kind": "owner", "place": {"name": "Chinwag"}}));

    let gus = server.sign_up("gus").await;
    assert_eq!(gus.uses_link(&link).await.error(), (403, "not_allowed".to_owned()), "the owner has an account");
    let guest = server.post("/api/session").json(&json!({"name": "eve", "invite": link})).await;
    assert_eq!(guest.error(), (403, "not_allowed".to_owned()));
    let account = json!({"name": "Gustav", "password": PASSWORD, "invite": link});
    let gustav = Session::of(&server, &gus.post("/api/account").json(&account).await);
    assert_eq!((&gustav.id, &gustav.me().await["role"]), (&gus.id, &json!("owner")));

    let bad_link = (410, "bad_link".to_owned());
    assert_eq!(server.post("/api/links/look").json(&json!({ "link": link })).await.error(), bad_link);
    let again = json!({"name": "eve", "password": PASSWORD, "invite": link});
    assert_eq!(server.registers(&again).await.error(), bad_link);
    let ann = server.register("ann").await;
    assert_eq!(ann.uses_link(&link).await.error(), bad_link);
    let mut desk = ann.connects().await;
    let used = ann.uses_link(&server.owner_link().await).await;
    assert_eq!((used.status, &used.json()["user"]["role"]), (200, &json!("owner")), "who has an account already");
    assert_eq!(desk.next_push("me").await, json!({"type": "me", "role": "owner", "muted_until": null}));
}

#[tokio::test]
async fn the_owner_says_what_the_place_is_called_and_how_it_looks() {
    let server = TestServer::unhurried().await;
    let (olga, ada, ann) = (server.owner().await, server.register("ada").await, server.register("ann").await);
    olga.appoints(&ada, "admin").await;
    let before = json!({"name": "Chinwag", "welcome": "", "accent": null, "join": "open", "join_fixed": false,
        "guests": true, "guests_paused": false, "register": true, "passwords": true, "mail": false});
    let found = server.get("/api/place").await.json();
    for (field, value) in before.as_object().unwrap() {
        assert_eq!(found[field], *value, "{field}");
    }
    let mut alice = server.guest("alice").await;
    let change = json!({"name": " The Attic ", "welcome": "Come in", "accent": "#0A7D5C"});
    let answer = olga.patch("/api/place").json(&change).await;
    let looks = json!({"name": "The Attic", "welcome": "Come in", "accent": "#0a7d5c"});
    for (field, value) in looks.as_object().unwrap() {
        assert_eq!(answer.json()[field], *value);
    }
    assert_eq!(answer.json(), server.get("/api/place").await.json());
    let mut push = looks;
    push["type"] = "place".into();
    assert_eq!(alice.next_push("place").await, push);
    assert_eq!(olga.patch("/api/place").json(&json!({"accent": ""})).await.json()["accent"], Value::Null);
    for by in [&ada, &ann] {
        let answer = by.patch("/api/place").json(&json!({"name": "Mine"})).await;
        assert_eq!(answer.error(), (403, "not_allowed".to_owned()), "{}", by.name);
    }
    for odd in [
        json!({"name": ""}),
        json!({"name": "x".repeat(65)}),
        json!({"welcome": "a\u{0}"}),
        json!({"accent": "red"}),
        json!({"accent": "#12345g"}),
        json!({"join": "nobody"}),
        json!({"owned": false}),
    ] {
        assert_eq!(olga.patch("/api/place").json(&odd).await.error(), (400, "invalid".to_owned()), "{odd}");
    }
}

#[tokio::test]
async fn the_place_is_the_same_after_a_restart() {
    let mut server = TestServer::unhurried().await;
    let olga = server.owner().await;
    olga.patch("/api/place").json(&json!({"name": "The Attic", "join": "invite", "guests_paused": true})).await;
    let before = server.get("/api/place").await.json();
    server.restart().await;
    assert_eq!(server.get("/api/place").await.json(), before);
    assert_eq!(olga.at(&server).me().await["role"], "owner");
}

#[tokio::test]
async fn by_invitation_alone_nobody_looks_in_from_outside() {
    let server = TestServer::unhurried().await;
    let (olga, gus) = (server.owner().await, server.sign_up("gus").await);
    assert_eq!(olga.patch("/api/place").json(&json!({"join": "invite"})).await.status, 200);
    let place = server.get("/api/place").await.json();
    assert_eq!(
        [&place["join"], &place["guests"], &place["register"]],
        [&json!("invite"), &json!(false), &json!(false)]
    );
    let refused = (403, "not_allowed".to_owned());
    assert_eq!(server.knock("/api/socket").await.error(), refused);
    assert_eq!(server.knock("/api/socket?name=eve").await.error(), refused);
    assert_eq!(server.post("/api/session").json(&json!({"name": "eve"})).await.error(), refused);
    assert_eq!(server.registers(&json!({"name": "eve", "password": PASSWORD})).await.error(), refused);
    for path in ["/api/rooms", "/api/rooms/lobby", "/api/rooms/lobby/messages"] {
        assert_eq!(server.get(path).await.error(), (401, "no_session".to_owned()), "{path}");
        assert_eq!(gus.get(path).await.status, 200, "who is in may look: {path}");
    }
    assert_eq!(server.get("/").await.status, 200, "the page has to show the door");
    gus.connects().await.says("lobby", "still here").await;

    let secret = olga.invites(&json!({})).await;
    let ann = server.registers(&json!({"name": "ann", "password": PASSWORD, "invite": secret})).await;
    assert_eq!(ann.json()["user"]["role"], "member");
    let guests = olga.invites(&json!({"role": "guest"})).await;
    let eve = server.post("/api/session").json(&json!({"name": "eve", "invite": guests})).await;
    assert_eq!(eve.json()["user"]["role"], "guest");
    let account = server.registers(&json!({"name": "eva", "password": PASSWORD, "invite": guests})).await;
    assert_eq!(account.error(), refused, "a link for guests makes no members");
    server.sign_in("ann").await;
}

#[tokio::test]
async fn with_accounts_alone_there_are_no_new_guests() {
    let server = TestServer::with(&["--limits", "off", "--join", "accounts"]).await;
    let olga = server.owner().await;
    let place = server.get("/api/place").await.json();
    let shown = [&place["join"], &place["join_fixed"], &place["guests"], &place["register"]];
    assert_eq!(shown, [&json!("accounts"), &json!(true), &json!(false), &json!(true)]);
    let fixed = olga.patch("/api/place").json(&json!({"join": "open"})).await;
    assert_eq!(fixed.error(), (403, "not_allowed".to_owned()));
    let refused = (403, "not_allowed".to_owned());
    assert_eq!(server.knock("/api/socket?name=eve").await.error(), refused);
    assert_eq!(server.post("/api/session").json(&json!({"name": "eve"})).await.error(), refused);
    assert_eq!(server.get("/api/rooms/lobby/messages").await.error(), (401, "no_session".to_owned()));
    server.register("ann").await.connects().await.says("lobby", "hello").await;
}

#[tokio::test]
async fn new_guests_are_paused_by_an_admin() {
    let server = TestServer::unhurried().await;
    let (olga, ada, ann) = (server.owner().await, server.register("ada").await, server.register("ann").await);
    olga.appoints(&ada, "admin").await;
    let gus = server.sign_up("gus").await;
    let pauses = |by: &Session, paused: bool| by.patch("/api/place").json(&json!({ "guests_paused": paused }));
    assert_eq!(pauses(&ann, true).await.error(), (403, "not_allowed".to_owned()));
    assert_eq!(pauses(&ada, true).await.json()["guests"], false);
    let refused = (403, "not_allowed".to_owned());
    assert_eq!(server.knock("/api/socket").await.error(), refused);
    assert_eq!(server.post("/api/session").json(&json!({"name": "eve"})).await.error(), refused);
    assert_eq!(server.get("/api/rooms/lobby/messages").await.status, 200, "the door is open to look in");
    gus.connects().await.says("lobby", "I was here before").await;
    let guests = ada.invites(&json!({"role": "guest"})).await;
    let eve = server.post("/api/session").json(&json!({"name": "eve", "invite": guests})).await;
    assert_eq!(eve.status, 201, "who was invited comes in all the same");
    server.register("bob").await;
    assert_eq!(pauses(&ada, false).await.json()["guests"], true);
    server.guest("pia").await;
}

#[tokio::test]
async fn an_invite_lets_in_as_often_as_it_says() {
    let server = TestServer::unhurried().await;
    let olga = server.owner().await;
    let made = olga.post("/api/invites").json(&json!({"role": "moderator", "max_uses": 2, "expires_hours": 1})).await;
    assert_eq!(made.status, 201);
    assert!(text(&made.json()["qr"]).starts_with("<svg"));
    let (id, secret) = (text(&made.json()["id"]), secret_of(&made));
    let look = server.post("/api/links/look").json(&json!({ "link": secret })).await.json();
    let by = json!({"name": "olga"});
    assert_eq!(look, json!({"kind": "invite", "role": "moderator", "place": {"name": "Chinwag"}, "by": by}));
    let registers = |name: &str| server.registers(&json!({"name": name, "password": PASSWORD, "invite": secret}));
    assert_eq!(registers("mia").await.json()["user"]["role"], "moderator");
    let listed = olga.get("/api/invites").await;
    assert!(!listed.text().contains(&secret), "a link is shown once");
    let view = listed.json()["invites"][0].clone();
    let expected = json!({"id": id, "role": "moderator", "uses": 1, "max_uses": 2, "expires": view["expires"],
        "by": {"id": olga.id, "name": "olga"}});
    assert_eq!(view, expected);
    assert!(text(&view["expires"]).ends_with('Z'));
    let weak = server.registers(&json!({"name": "moe", "password": "short", "invite": secret})).await;
    assert_eq!(weak.error(), (400, "weak_password".to_owned()), "which does not use it");
    let ann = server.register("ann").await;
    assert_eq!(ann.uses_link(&secret).await.json()["user"]["role"], "moderator", "who is in already is raised");
    let bad_link = (410, "bad_link".to_owned());
    assert_eq!(registers("eve").await.error(), bad_link, "it is used up");
    assert_eq!(server.post("/api/links/look").json(&json!({ "link": secret })).await.error(), bad_link);
    assert!(list(&olga.get("/api/invites").await.json()["invites"]).is_empty());
}

#[tokio::test]
async fn an_invite_is_taken_back_or_its_time_is_over() {
    let mut server = TestServer::unhurried().await;
    let olga = server.owner().await;
    let secret = olga.invites(&json!({})).await;
    let id = text(&olga.get("/api/invites").await.json()["invites"][0]["id"]);
    let ann = server.register("ann").await;
    assert_eq!(ann.delete(&format!("/api/invites/{id}")).await.error(), (404, "not_found".to_owned()));
    olga.does(olga.delete(&format!("/api/invites/{id}"))).await;
    assert_eq!(ann.uses_link(&secret).await.error(), (410, "bad_link".to_owned()));
    assert_eq!(olga.delete(&format!("/api/invites/{id}")).await.error(), (404, "not_found".to_owned()));

    let secret = olga.invites(&json!({"expires_hours": 1})).await;
    server.stop().await.unwrap();
    let database = rusqlite::Connection::open(server.data_dir().join("chinwag.db")).unwrap();
    assert_eq!(database.execute("UPDATE links SET expires = 1 WHERE kind = 'invite'", []).unwrap(), 1);
    database.close().unwrap();
    server.start_again().await;
    assert_eq!(ann.at(&server).uses_link(&secret).await.error(), (410, "bad_link".to_owned()));
}

#[tokio::test]
async fn nobody_invites_to_what_they_are_not_above() {
    let server = TestServer::unhurried().await;
    let (olga, ada, mia) = (server.owner().await, server.register("ada").await, server.register("mia").await);
    olga.appoints(&ada, "admin").await;
    olga.appoints(&mia, "moderator").await;
    let ann = server.register("ann").await;
    let invites = |by: &Session, role: &str| by.post("/api/invites").json(&json!({ "role": role }));
    for (by, role, status) in [
        (&olga, "admin", 201),
        (&olga, "owner", 403),
        (&ada, "moderator", 201),
        (&ada, "admin", 403),
        (&mia, "member", 403),
        (&ann, "guest", 403),
    ] {
        assert_eq!(invites(by, role).await.status, status, "{} as {role}", by.name);
    }
    assert_eq!(list(&olga.get("/api/invites").await.json()["invites"]).len(), 2, "an admin sees all");
    assert!(list(&ann.get("/api/invites").await.json()["invites"]).is_empty(), "others their own");
    let gus = server.sign_up("gus").await;
    assert_eq!(gus.get("/api/invites").await.error(), (403, "not_allowed".to_owned()));
    for odd in [json!({"max_uses": 0}), json!({"expires_hours": 0}), json!({"expires_hours": 8_761})] {
        assert_eq!(olga.post("/api/invites").json(&odd).await.error(), (400, "invalid".to_owned()), "{odd}");
    }
}

#[tokio::test]
async fn an_invite_dies_with_the_right_to_give_it() {
    let server = TestServer::unhurried().await;
    let (olga, ada, ann) = (server.owner().await, server.register("ada").await, server.register("ann").await);
    olga.appoints(&ada, "admin").await;
    let (raised, plain) =
        (ada.invites(&json!({"role": "moderator"})).await, ada.invites(&json!({"role": "member"})).await);
    olga.appoints(&ada, "moderator").await;
    for secret in [&raised, &plain] {
        assert_eq!(ann.uses_link(secret).await.error(), (410, "bad_link".to_owned()));
        let look = server.post("/api/links/look").json(&json!({ "link": secret })).await;
        assert_eq!(look.error(), (410, "bad_link".to_owned()));
    }
    assert_eq!(ann.me().await["role"], "member");
    olga.appoints(&ada, "admin").await;
    assert_eq!(ann.uses_link(&raised).await.status, 200);
    olga.does(olga.acts_on(&ada.id, "ban", &json!({}))).await;
    assert_eq!(ann.uses_link(&plain).await.error(), (410, "bad_link".to_owned()), "she is banned");
}

#[tokio::test]
async fn an_invite_leads_into_the_room_that_it_is_for() {
    let server = TestServer::unhurried().await;
    let (ann, bob, eve) = (server.register("ann").await, server.register("bob").await, server.register("eve").await);
    let den = ann.makes_room("private", "Den").await;
    let other = ann.makes_room("private", "Cellar").await;
    let mut here = ann.connects_to(&den).await;
    let mut desk = bob.connects().await;
    let secret = ann.invites(&json!({"room": den, "max_uses": 1})).await;
    let look = server.post("/api/links/look").json(&json!({ "link": secret })).await.json();
    assert_eq!(look["room"], json!({"name": "Den"}));
    let used = bob.uses_link(&secret).await;
    assert_eq!((used.status, &used.json()["room"]), (200, &json!(den)));
    let added = here.next_event("bob to come in").await;
    assert_eq!((&added["change"], &added["user"]["id"]), (&json!("added"), &json!(bob.id)));
    assert_eq!(added["author"]["id"], json!(ann.id), "in the name of whoever gave the link");
    desk.find("the new room", |frame| frame["type"] == "room" && frame["room"] == *den).await;
    desk.subscribes(&den).await;
    desk.is_refused(json!({"type": "subscribe", "room": other, "last": 0}), "no_room").await;
    assert_eq!(eve.uses_link(&secret).await.error(), (410, "bad_link".to_owned()), "it was used");
    desk.is_answered().await;

    assert_eq!(bob.post("/api/invites").json(&json!({ "room": den })).await.error(), (403, "not_allowed".to_owned()));
    assert_eq!(eve.post("/api/invites").json(&json!({ "room": den })).await.error(), (404, "no_room".to_owned()));
    let raised = ann.post("/api/invites").json(&json!({"room": den, "role": "moderator"})).await;
    assert_eq!(raised.error(), (403, "not_allowed".to_owned()), "a room's owner raises nobody in the place");
    let direct = ann.direct_room(&[&bob]).await;
    assert_eq!(
        ann.post("/api/invites").json(&json!({ "room": direct })).await.error(),
        (403, "not_allowed".to_owned())
    );

    ann.does(ann.sets_member(&den, &bob, Some("moderator"))).await;
    let secret = bob.invites(&json!({ "room": den })).await;
    ann.does(ann.takes_out(&den, &bob)).await;
    assert_eq!(eve.uses_link(&secret).await.error(), (410, "bad_link".to_owned()), "bob may not let in any more");
    let secret = ann.invites(&json!({ "room": den })).await;
    ann.does(ann.delete(&format!("/api/rooms/{den}"))).await;
    assert_eq!(eve.uses_link(&secret).await.error(), (410, "bad_link".to_owned()), "there is no such room any more");
}

#[tokio::test]
async fn guests_come_into_private_rooms_only_where_their_owner_lets_them() {
    let server = TestServer::unhurried().await;
    let (ann, gus) = (server.register("ann").await, server.sign_up("gus").await);
    let den = ann.makes_room("private", "Den").await;
    let refused = (403, "not_allowed".to_owned());
    assert_eq!(ann.sets_member(&den, &gus, None).await.error(), refused);
    assert_eq!(ann.post("/api/invites").json(&json!({"room": den, "role": "guest"})).await.error(), refused);
    let secret = ann.invites(&json!({ "room": den })).await;
    assert_eq!(gus.uses_link(&secret).await.error(), refused);
    let newcomer = || server.post("/api/session").json(&json!({"name": "eve", "invite": secret}));
    assert_eq!(newcomer().await.error(), refused, "a guest by a member's link");
    assert_eq!(ann.sets(&den, &json!({"guests": true})).await.json()["guests"], true);
    ann.lets_in(&den, &gus).await;
    gus.connects_to(&den).await.says(&den, "thank you").await;
    let eve = Session::of(&server, &newcomer().await);
    assert_eq!(eve.reads(&den).await.len(), 1);
}

#[tokio::test]
async fn an_owners_link_that_was_left_over_is_good_for_nothing() {
    let server = TestServer::unhurried().await;
    let (first, second) = (server.owner_link().await, server.owner_link().await);
    let ann = server.register("ann").await;
    assert_eq!(ann.uses_link(&second).await.status, 200);
    let look = server.post("/api/links/look").json(&json!({ "link": first })).await;
    assert_eq!(look.error(), (410, "bad_link".to_owned()));
}

#[tokio::test]
async fn nobody_invites_by_a_public_room_who_may_not_invite_into_the_place() {
    let server = TestServer::unhurried().await;
    let (olga, ann, gus) = (server.owner().await, server.register("ann").await, server.sign_up("gus").await);
    for by in [&ann, &gus] {
        let room = by.makes_room("public", &format!("{}'s own", by.name)).await;
        let invite = by.post("/api/invites").json(&json!({ "room": room })).await;
        assert_eq!(invite.error(), (403, "not_allowed".to_owned()), "{}", by.name);
        assert_eq!(olga.post("/api/invites").json(&json!({ "room": room })).await.status, 201);
    }
}
