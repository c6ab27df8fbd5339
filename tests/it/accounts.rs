//! Accounts: how one is made, how its holder proves who they are, what ends a session, and how an account ends.

use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::support::people::{PASSWORD, secret_of};
use crate::support::{Client, Session, TestServer, list, text};

const OTHER_PASSWORD: &str = "a wholly different phrase";

#[tokio::test]
async fn an_account_is_made_with_a_name_and_a_password() {
    let server = TestServer::unhurried().await;
    let account = json!({"name": "Ann Lee", "password": PASSWORD, "email": "ann@example.org"});
    let answer = server.registers(&account).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let id = text(&answer.json()["user"]["id"]);
    let expected = json!({"id": id, "name": "Ann Lee", "guest": false, "role": "member", "email": "ann@example.org",
        "email_verified": false, "password": true, "second_factor": false, "providers": [], "picture": "generated",
        "ignored": []});
    assert_eq!(answer.json()["user"], expected);
    assert_eq!(text(&answer.json()["token"]), answer.cookie(), "whoever shows either is the same");
    let ann = Session::of(&server, &answer);
    assert_eq!(ann.me().await, expected);
    let desk = ann.connects().await;
    assert_eq!(desk.hello["user"], json!({"id": id, "name": "Ann Lee", "guest": false, "role": "member"}));
    let own = format!("http://{}", server.addr);
    let browser = server.registers(&json!({"name": "bob", "password": PASSWORD})).header("Origin", &own).await;
    assert_eq!((browser.status, browser.json().get("token")), (201, None), "no script may read it");
    assert!(browser.header("set-cookie").unwrap().contains("; HttpOnly; SameSite=Lax"));
}

#[tokio::test]
async fn an_account_that_cannot_be_is_refused() {
    let server = TestServer::unhurried().await;
    let ann = server.register("ann").await;
    server.sign_up("gus").await;
    let with = |name: &str, password: &str| json!({"name": name, "password": password});
    let long = "four score ".repeat(30);
    for (account, status, code) in [
        (with("bob", "short"), 400, "weak_password"),
        (with("bob", "1234567890"), 400, "weak_password"),
        (with("bob", "passwordpassword"), 400, "weak_password"),
        (with("bob miller", "bob.miller1"), 400, "weak_password"),
        (with("bob", &long), 400, "weak_password"),
        (with("", PASSWORD), 400, "invalid"),
        (with("a@b", PASSWORD), 400, "invalid"),
        (with("Ann", PASSWORD), 409, "name_taken"),
        (with("GUS", PASSWORD), 409, "name_taken"),
        (json!({"name": "bob"}), 400, "invalid"),
        (json!({"name": "bob", "password": PASSWORD, "email": "nobody"}), 400, "invalid"),
        (json!({"name": "bob", "password": PASSWORD, "role": "owner"}), 400, "invalid"),
        (json!({"name": "bob", "password": PASSWORD, "invite": "made-up"}), 410, "bad_link"),
    ] {
        let answer = server.registers(&account).await;
        assert_eq!(answer.error(), (status, code.to_owned()), "{account}");
        assert!(answer.header("set-cookie").is_none());
    }
    let again = ann.post("/api/account").json(&with("bob", PASSWORD)).await;
    assert_eq!(again.error(), (403, "not_allowed".to_owned()), "who has an account makes no other");
    server.register("bob").await;
}

/// Whoever has copied a guest's session, too, may try; the password is that of the one whose account it becomes.
#[tokio::test]
async fn of_two_who_turn_one_guest_into_an_account_one_does() {
    let server = TestServer::unhurried().await;
    let gus = server.sign_up("gus").await;
    let registers = |password: &'static str| {
        let account = json!({"name": "Gus", "password": password});
        let request = gus.post("/api/account").json(&account);
        async move { (password, request.await.status) }
    };
    let (one, other) = tokio::join!(registers(PASSWORD), registers(OTHER_PASSWORD));
    let made: Vec<_> = [one, other].into_iter().filter(|(_, status)| *status == 201).collect();
    let [(password, _)] = made[..] else { panic!("one of them makes the account: {one:?} {other:?}") };
    assert_eq!(server.signs_in("Gus", password).await.status, 201);
}

#[tokio::test]
async fn a_guest_turns_into_an_account_and_stays_who_they_are() {
    let server = TestServer::unhurried().await;
    let (gus, mut desk) = server.signed_in("gus").await;
    let mut alice = server.guest_in("alice", "lobby").await;
    desk.says("lobby", "I was here before").await;
    assert_eq!(gus.makes_room("public", "Garden").await, "garden");
    let answer = gus.post("/api/account").json(&json!({"name": "Gustav", "password": PASSWORD})).await;
    let gustav = Session::of(&server, &answer);
    assert_eq!(gustav.id, gus.id);
    desk.expects_close(4001).await;
    gus.is_over().await;
    let push = alice.next_push("user").await;
    assert_eq!((&push["id"], &push["name"]), (&json!(gus.id), &json!("Gustav")));

    let mut back = gustav.connects_to("lobby").await;
    assert_eq!(back.hello["user"]["role"], "member");
    let rooms: Vec<_> = list(&back.hello["rooms"]).iter().map(|room| text(&room["room"])).collect();
    assert_eq!(rooms, ["garden", "lobby"]);
    let history = gustav.reads("lobby").await;
    assert_eq!((&history[0]["text"], &history[0]["author"]["id"]), (&json!("I was here before"), &json!(gus.id)));
    back.says("lobby", "and still am").await;
    let taken = server.post("/api/session").json(&json!({"name": "gus"})).await;
    assert_eq!(taken.error(), (409, "name_taken".to_owned()), "the guest's name stays theirs a while");
    assert_eq!(server.sign_in("gustav").await.id, gus.id);
}

#[tokio::test]
async fn one_signs_in_by_name_and_by_email() {
    let server = TestServer::unhurried().await;
    let account = json!({"name": "Ann", "password": PASSWORD, "email": "Ann@example.org"});
    let ann = Session::of(&server, &server.registers(&account).await);
    for login in ["Ann", "ann", " ANN ", "ann@example.org", "ANN@example.org"] {
        let answer = server.signs_in(login, PASSWORD).await;
        assert_eq!((answer.status, &answer.json()["user"]["id"]), (201, &json!(ann.id)), "{login}");
        assert_ne!(answer.cookie(), ann.token, "each time it is another session");
    }
    ann.me().await;
    for body in [
        json!({"login": "ann"}),
        json!({"password": PASSWORD}),
        json!({"name": "ann", "login": "ann", "password": PASSWORD}),
        json!({}),
    ] {
        assert_eq!(server.post("/api/session").json(&body).await.error(), (400, "invalid".to_owned()), "{body}");
    }
}

#[tokio::test]
async fn whoever_has_a_wrong_password_learns_nothing() {
    let server = TestServer::unhurried().await;
    server.register("ann").await;
    server.sign_up("gus").await;
    let wrong = server.signs_in("ann", OTHER_PASSWORD).await;
    assert_eq!(wrong.error(), (401, "bad_credentials".to_owned()));
    for (login, password) in [("nobody", PASSWORD), ("gus", PASSWORD), ("ann", ""), ("ann", "correct horse batterY")] {
        let answer = server.signs_in(login, password).await;
        assert_eq!((answer.status, answer.text()), (wrong.status, wrong.text()), "{login} {password}");
        assert!(answer.header("set-cookie").is_none());
    }
}

#[tokio::test]
async fn a_second_factor_is_asked_for_once_it_is_confirmed() {
    let server = TestServer::unhurried().await;
    let ann = server.register("ann").await;
    let other = server.sign_in("ann").await;
    let mut phone = other.connects().await;
    let path = "/api/account/second-factor";
    let wrong = ann.post(path).json(&json!({"password": OTHER_PASSWORD})).await;
    assert_eq!(wrong.error(), (401, "bad_credentials".to_owned()));
    let early = ann.put(path).json(&json!({"code": "123456"})).await;
    assert_eq!(early.error(), (403, "not_allowed".to_owned()), "none was offered");
    let offered = ann.post(path).json(&json!({"password": PASSWORD})).await.json();
    assert!(text(&offered["uri"]).starts_with("otpauth://totp/") && text(&offered["qr"]).starts_with("<svg"));
    let codes = authenticator(&offered["secret"]);
    let unconfirmed = server.sign_in("ann").await;
    let wrong = ann.put(path).json(&json!({"code": "12345"})).await;
    assert_eq!(wrong.error(), (401, "second_factor".to_owned()));

    let used = codes.generate(now()).to_string();
    let confirmed = ann.put(path).json(&json!({ "code": used })).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());
    let recovery: Vec<String> = list(&confirmed.json()["recovery"]).iter().map(text).collect();
    assert_eq!(recovery.len(), 8);
    assert_eq!(ann.me().await["second_factor"], true);
    phone.expects_close(4001).await;
    unconfirmed.is_over().await;

    let signs_in = |code: Option<&str>| {
        server.post("/api/session").json(&json!({"login": "ann", "password": PASSWORD, "code": code}))
    };
    let refused = (401, "second_factor".to_owned());
    assert_eq!(signs_in(None).await.error(), refused);
    assert_eq!(signs_in(Some("12345")).await.error(), refused);
    assert_eq!(signs_in(Some(&used)).await.error(), refused, "a code is taken once");
    let next = codes.generate(now() + 30).to_string();
    assert_eq!(signs_in(Some(&next)).await.status, 201);
    assert_eq!(signs_in(Some(&next)).await.error(), refused);
    assert_eq!(signs_in(Some(&recovery[0].to_uppercase())).await.status, 201);
    assert_eq!(signs_in(Some(&recovery[0])).await.error(), refused, "each once");
    assert_eq!(signs_in(Some(&recovery[1])).await.status, 201);
    let wrong = server.post("/api/session").json(&json!({"login": "ann", "password": "x", "code": recovery[2]})).await;
    assert_eq!(wrong.error(), (401, "bad_credentials".to_owned()), "the password comes first");

    let twice = ann.post(path).json(&json!({"password": PASSWORD})).await;
    assert_eq!(twice.error(), (403, "not_allowed".to_owned()));
    let wrong = ann.delete(path).json(&json!({})).await;
    assert_eq!(wrong.error(), (401, "bad_credentials".to_owned()));
    ann.does(ann.delete(path).json(&json!({"password": PASSWORD}))).await;
    server.sign_in("ann").await;
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions() {
    let server = TestServer::unhurried().await;
    let (ann, phone) = (server.register("ann").await, server.sign_in("ann").await);
    let program = ann.makes_token(&["read"]).await;
    let (mut here, mut there, mut bot) = (ann.connects().await, phone.connects().await, program.connects().await);
    let change =
        |old: Option<&str>, new: &str| ann.put("/api/account/password").json(&json!({"password": old, "new": new}));
    assert_eq!(change(None, OTHER_PASSWORD).await.error(), (401, "bad_credentials".to_owned()));
    assert_eq!(change(Some("wrong"), OTHER_PASSWORD).await.error(), (401, "bad_credentials".to_owned()));
    assert_eq!(change(Some(PASSWORD), "short").await.error(), (400, "weak_password".to_owned()));
    there.is_answered().await;
    ann.does(change(Some(PASSWORD), OTHER_PASSWORD)).await;
    there.expects_close(4001).await;
    phone.is_over().await;
    here.is_answered().await;
    bot.is_answered().await;
    assert_eq!(server.signs_in("ann", PASSWORD).await.error(), (401, "bad_credentials".to_owned()));
    assert_eq!(server.signs_in("ann", OTHER_PASSWORD).await.status, 201);
    let guest = server.sign_up("gus").await;
    let none = guest.put("/api/account/password").json(&json!({"new": OTHER_PASSWORD})).await;
    assert_eq!(none.error(), (403, "not_allowed".to_owned()), "a guest has no password");
}

#[tokio::test]
async fn ones_sessions_are_listed_and_ended() {
    let server = TestServer::unhurried().await;
    let ann = server.register("ann").await;
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let browser = server.signs_in("ann", PASSWORD).header("User-Agent", agent).await;
    let (browser, phone) = (Session::of(&server, &browser), server.sign_in("ann").await);
    let eve = server.register("eve").await;
    ann.makes_token(&["read"]).await;
    let listed = ann.get("/api/sessions").await.json();
    let shown: Vec<_> =
        list(&listed["sessions"]).iter().map(|it| (text(&it["label"]), it["current"] == true)).collect();
    let expected = [("a program", false), ("Firefox on Linux", false), ("a program", true)];
    assert_eq!(shown, expected.map(|(label, current)| (label.to_owned(), current)), "the newest first, and no tokens");
    let first = &listed["sessions"][0];
    assert!(text(&first["created"]).ends_with('Z') && text(&first["seen"]).ends_with('Z'), "{first}");

    let mut window = browser.connects().await;
    let path = format!("/api/sessions/{}", text(&listed["sessions"][1]["id"]));
    assert_eq!(eve.delete(&path).await.error(), (404, "not_found".to_owned()), "it is none of eve's");
    assert_eq!(ann.delete("/api/sessions/none").await.error(), (404, "not_found".to_owned()));
    ann.does(ann.delete(&path)).await;
    window.expects_close(4001).await;
    browser.is_over().await;
    assert_eq!(ann.delete(&path).await.error(), (404, "not_found".to_owned()));

    let (mut here, mut there) = (ann.connects().await, phone.connects().await);
    let answer = ann.delete("/api/sessions").await;
    assert_eq!((answer.status, answer.cookie()), (204, String::new()));
    here.expects_close(4001).await;
    there.expects_close(4001).await;
    ann.is_over().await;
    phone.is_over().await;
    eve.me().await;
    server.sign_in("ann").await;
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_a_link_of_an_admins() {
    let server = TestServer::unhurried().await;
    let (olga, ann, ada) = (server.owner().await, server.register("ann").await, server.register("ada").await);
    olga.appoints(&ada, "admin").await;
    let mut desk = ann.connects().await;
    let reset = |by: &Session, whom: &str| by.post(&format!("/api/users/{whom}/reset"));
    assert_eq!(reset(&ann, &ada.id).await.error(), (403, "not_allowed".to_owned()));
    assert_eq!(reset(&ada, &olga.id).await.error(), (403, "not_allowed".to_owned()), "she is above");
    let guest = server.sign_up("gus").await;
    assert_eq!(reset(&ada, &guest.id).await.error(), (403, "not_allowed".to_owned()));
    let link = secret_of(&reset(&ada, &ann.id).await);
    let look = server.post("/api/links/look").json(&json!({ "link": link })).await;
    let expected =
        json!({"kind": "reset", "place": {"name": "Chinwag"}, "user": {"name": "ann"}, "by": {"name": "ada"}});
    assert_eq!(look.json(), expected);

    let sets = |new: &str| server.post("/api/account/reset").json(&json!({"link": link, "new": new}));
    assert_eq!(sets("short").await.error(), (400, "weak_password".to_owned()), "which does not use it up");
    assert_eq!(sets(OTHER_PASSWORD).await.status, 204);
    desk.expects_close(4001).await;
    ann.is_over().await;
    assert_eq!(sets(OTHER_PASSWORD).await.error(), (410, "bad_link".to_owned()), "it is used up");
    assert_eq!(server.signs_in("ann", PASSWORD).await.status, 401);
    assert_eq!(server.signs_in("ann", OTHER_PASSWORD).await.status, 201);

    let late = secret_of(&reset(&ada, &ann.id).await);
    olga.appoints(&ada, "member").await;
    let stale = server.post("/api/account/reset").json(&json!({"link": late, "new": PASSWORD})).await;
    assert_eq!(stale.error(), (410, "bad_link".to_owned()), "who gave it is no admin any more");
}

#[tokio::test]
async fn a_deleted_account_leaves_empty_messages_and_a_free_name() {
    let server = TestServer::unhurried().await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let den = ann.makes_room("private", "Den").await;
    ann.lets_in(&den, &bob).await;
    let (mut desk, mut alice) = (bob.connects().await, server.guest_in("alice", "lobby").await);
    let mut here = ann.connects_to(&den).await;
    for room in ["lobby", &den] {
        desk.says(room, "secret").await;
    }
    let program = bob.makes_token(&["read"]).await;
    alice.hears("secret").await;
    here.hears("secret").await;
    let wrong = bob.delete("/api/account").json(&json!({"password": "wrong"})).await;
    assert_eq!(wrong.error(), (401, "bad_credentials".to_owned()));
    let answer = bob.delete("/api/account").json(&json!({"password": PASSWORD})).await;
    assert_eq!((answer.status, answer.cookie()), (204, String::new()));

    desk.expects_close(4001).await;
    bob.is_over().await;
    program.is_over().await;
    for client in [&mut alice, &mut here] {
        let event = client.next_event("the end of bob's words").await;
        assert_eq!((&event["kind"], &event["all_of"]), (&json!("delete"), &json!(bob.id)), "{event}");
    }
    let left = here.next_event("bob to leave").await;
    assert_eq!((&left["change"], &left["author"]["id"]), (&json!("left"), &json!(bob.id)));
    for room in ["lobby", &den] {
        let history = ann.reads(room).await;
        assert_eq!((history.len(), &history[0]["redacted"], history[0].get("text")), (1, &json!(true), None));
    }
    let mut again = server.guest("eve").await;
    again.subscribes_to_last("lobby", 10).await;
    let events = again.hears_events("lobby", 2).await;
    assert_eq!((&events[0]["redacted"], &events[1]["kind"]), (&json!(true), &json!("delete")), "in the log too");
    assert_eq!(server.signs_in("bob", PASSWORD).await.error(), (401, "bad_credentials".to_owned()));
    assert_eq!(server.get(&format!("/avatars/{}", bob.id)).await.status, 404);
    let members = ann.get(&format!("/api/rooms/{den}/members")).await.json();
    assert_eq!(list(&members["members"]).len(), 1);
    assert_ne!(server.register("bob").await.id, bob.id, "the name is free");
}

#[tokio::test]
async fn a_guest_deletes_themselves_without_a_password() {
    let server = TestServer::unhurried().await;
    let (gus, mut desk) = server.signed_in("gus").await;
    desk.says("lobby", "forget me").await;
    assert_eq!(gus.delete("/api/account").json(&json!({})).await.status, 204);
    desk.expects_close(4001).await;
    gus.is_over().await;
    let history = server.get("/api/rooms/lobby/messages").await.json();
    assert_eq!(history["messages"][0]["redacted"], true);
    server.sign_up("gus").await;
}

#[tokio::test]
async fn the_place_is_never_without_an_owner() {
    let server = TestServer::unhurried().await;
    let (olga, ann) = (server.owner().await, server.register("ann").await);
    let deletes = || olga.delete("/api/account").json(&json!({"password": PASSWORD}));
    assert_eq!(deletes().await.error(), (403, "not_allowed".to_owned()));
    assert_eq!(olga.asks_role(&olga, "member").await.error(), (403, "not_allowed".to_owned()));
    olga.appoints(&ann, "owner").await;
    olga.does(deletes()).await;
    assert_eq!(ann.me().await["role"], "owner");
}

#[tokio::test]
async fn accounts_with_passwords_are_an_option() {
    let server = TestServer::with(&["--passwords", "off"]).await;
    let place = server.get("/api/place").await.json();
    assert_eq!((&place["passwords"], &place["register"]), (&json!(false), &json!(false)));
    let account = json!({"name": "ann", "password": PASSWORD});
    assert_eq!(server.registers(&account).await.error(), (403, "not_allowed".to_owned()));
    server.sign_up("gus").await;
}

#[tokio::test]
async fn a_renamed_account_is_shown_by_its_new_name_and_keeps_the_old_one_a_while() {
    let server = TestServer::unhurried().await;
    let ann = server.register("ann").await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let mut desk = ann.connects_to("lobby").await;
    let change = ann.patch("/api/session").json(&json!({"name": "Anna"})).await;
    assert_eq!((change.status, &change.json()["user"]["name"]), (200, &json!("Anna")));
    assert_eq!(alice.next_push("user").await["name"], "Anna");
    desk.says("lobby", "it is me").await;
    assert_eq!(alice.hears("it is me").await["author"]["name"], "Anna");
    for name in ["ann", "anna"] {
        let taken = server.registers(&json!({"name": name, "password": PASSWORD})).await;
        assert_eq!(taken.error(), (409, "name_taken".to_owned()), "{name}");
    }
    assert_eq!(server.signs_in("ann", PASSWORD).await.error(), (401, "bad_credentials".to_owned()));
    server.sign_in("anna").await;
    assert_eq!(ann.patch("/api/session").json(&json!({"name": "ann"})).await.status, 200, "it is still hers");
}

#[tokio::test]
async fn people_are_listed_for_those_with_an_account() {
    let server = TestServer::unhurried().await;
    let (ann, gus) = (server.register("ann").await, server.sign_up("gus").await);
    server.register("Bob").await;
    let _desk: Client = ann.connects().await;
    assert_eq!(gus.get("/api/users").await.error(), (403, "not_allowed".to_owned()));
    assert_eq!(server.get("/api/users").await.error(), (401, "no_session".to_owned()));
    let page = ann.get("/api/users?limit=2").await.json();
    let first = json!({"id": ann.id, "name": "ann", "role": "member", "online": true});
    assert_eq!((&page["users"][0], &page["users"][1]["name"], &page["more"]), (&first, &json!("Bob"), &json!(true)));
    let after = text(&page["users"][1]["id"]);
    let rest = ann.get(&format!("/api/users?after={after}")).await.json();
    let expected = json!([{"id": gus.id, "name": "gus", "role": "guest", "online": false}]);
    assert_eq!((&rest["users"], &rest["more"]), (&expected, &json!(false)));
    let names = |page: &Value| list(&page["users"]).iter().map(|user| text(&user["name"])).collect::<Vec<_>>();
    assert_eq!(names(&ann.get("/api/users?q=B").await.json()), ["Bob"]);
}

fn authenticator(secret: &Value) -> Totp {
    let secret = Secret::try_from_base32(text(secret)).expect("a secret in base 32");
    Builder::new().with_secret(secret).with_account_name("ann").build().expect("an authenticator")
}

fn now() -> u64 {
    jiff::Timestamp::now().as_second().try_into().expect("a time after 1970")
}
