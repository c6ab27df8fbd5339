//! Who somebody is: guests for one connection, guests with a session, their names, their pictures, and what nobody
//! else may learn of them.

use serde_json::json;

use crate::support::{Client, TestServer, text};

#[tokio::test]
async fn a_guest_proposes_a_name_and_gets_it_or_one_like_it() {
    let server = TestServer::start().await;
    let first = server.guest("bob").await;
    assert_eq!(first.hello["user"], json!({"id": first.id, "name": "bob", "guest": true, "role": "guest"}));
    let second = server.guest("bob").await;
    let third = server.guest("BOB").await;
    let fourth = server.guest("%EF%BD%82ob").await;
    assert_eq!([&*second.name, &third.name, &fourth.name], ["bob-2", "BOB-3", "bob-4"], "whatever case and width");
    assert_eq!(server.guest("%20%20ann%20%20lee%20").await.name, "ann lee");
    assert!(server.call().await.name.starts_with("guest-"), "who proposes none is given one");
    let id = first.id.clone();
    first.leaves().await;
    let again = server.becomes_free("bob").await;
    assert_ne!(again.id, id, "such a guest cannot come back");
}

#[tokio::test]
async fn odd_names_are_refused() {
    let server = TestServer::start().await;
    let too_long = "x".repeat(33);
    let odd = ["", "%20", "a%40b", "a%0Ab%00", "%E2%80%AEbob", "a%E2%80%8Bb", &too_long, "guest-12345", "Guest-1"];
    for name in odd {
        let answer = server.knock(&format!("/api/socket?name={name}")).await;
        assert_eq!(answer.error(), (400, "invalid".to_owned()), "{name:?}");
        assert!(text(&answer.json()["error"]["message"]).starts_with("name: "), "{}", answer.text());
    }
    for query in ["name=%ff", "name=a&name=b"] {
        let answer = server.knock(&format!("/api/socket?{query}")).await;
        assert_eq!(answer.error(), (400, "invalid".to_owned()), "{query}");
    }
    for name in ["", " ", "a@b", "a\u{0}b", "\u{202e}bob", "a\u{200b}b", &too_long, "guest-12345"] {
        let answer = server.post("/api/session").json(&json!({"name": name})).await;
        assert_eq!(answer.error(), (400, "invalid".to_owned()), "{name:?}");
        assert!(answer.header("set-cookie").is_none());
    }
}

#[tokio::test]
async fn a_session_is_a_cookie_for_browsers_and_a_token_for_programs() {
    let server = TestServer::start().await;
    let program = server.post("/api/session").json(&json!({"name": "bob"})).await;
    assert_eq!(program.status, 201);
    let token = text(&program.json()["token"]);
    assert_eq!(program.cookie(), token, "whoever shows either is the same");
    let id = text(&program.json()["user"]["id"]);
    assert_eq!(program.json()["user"], profile(&id, "bob"));

    let own = format!("http://{}", server.addr);
    let browser = server.post("/api/session").header("Origin", &own).json(&json!({"name": "eve"})).await;
    assert_eq!((browser.status, browser.json().get("token")), (201, None), "no script may read it");
    let cookie = browser.header("set-cookie").unwrap();
    for flag in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=34560000"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");

    let host = "chat.example.org";
    let secure = server.post("/api/session").host(host).header("Origin", &format!("https://{host}"));
    let secure = secure.json(&json!({"name": "ann"})).await;
    assert!(secure.header("set-cookie").unwrap().ends_with("; Secure"), "{secure:?}");

    for connected in [server.call().bearer(&token).await, server.call().cookie(&token).await] {
        assert_eq!((&connected.id, &*connected.name), (&id, "bob"));
    }
    let with_name = server.call().name("ann").bearer(&token).await;
    assert_eq!(with_name.name, "bob", "with a session a proposed name is passed over");
    let eve = server.call().cookie(&browser.cookie()).header("Origin", &own).await;
    assert_eq!(eve.name, "eve");
}

#[tokio::test]
async fn a_name_is_one_users_whatever_its_case() {
    let server = TestServer::start().await;
    let bob = server.sign_up("Bob").await;
    for name in ["Bob", "bob", "BOB", "\u{ff22}ob", " bob "] {
        let answer = server.post("/api/session").json(&json!({"name": name})).await;
        assert_eq!(answer.error(), (409, "name_taken".to_owned()), "{name:?}");
    }
    assert_eq!(server.guest("bob").await.name, "bob-2", "a session holds its name without a connection");
    let guest = server.guest("eve").await;
    let answer = server.post("/api/session").json(&json!({"name": "EVE"})).await;
    assert_eq!(answer.error(), (409, "name_taken".to_owned()), "so does a connection without a session");
    let answer = bob.patch("/api/session").json(&json!({"name": "Eve"})).await;
    assert_eq!(answer.error(), (409, "name_taken".to_owned()));
    assert_eq!(bob.patch("/api/session").json(&json!({"name": "BOB"})).await.status, 200, "one's own name is free");
    guest.leaves().await;
    server.becomes_free("eve").await;
}

#[tokio::test]
async fn a_name_that_was_given_up_stays_its_users_for_a_while() {
    let server = TestServer::start().await;
    let bob = server.sign_up("bob").await;
    assert_eq!(bob.patch("/api/session").json(&json!({"name": "robert"})).await.status, 200);
    let heir = server.post("/api/session").json(&json!({"name": "bob"})).await;
    assert_eq!(heir.error(), (409, "name_taken".to_owned()));
    assert_eq!(server.guest("bob").await.name, "bob-2");
    assert_eq!(bob.patch("/api/session").json(&json!({"name": "bob"})).await.status, 200, "they may come back to it");
    assert_eq!(bob.delete("/api/session").await.status, 204);
    assert_eq!(server.sign_up("bob").await.name, "bob", "a guest's name is free with the last session");
}

#[tokio::test]
async fn a_session_is_remembered_over_a_restart() {
    let mut server = TestServer::start().await;
    let bob = server.sign_up("bob").await;
    server.restart().await;
    let bob = bob.at(&server);
    let mut back = bob.connects().await;
    assert_eq!((&back.id, &*back.name), (&bob.id, "bob"));
    assert_eq!(back.says("lobby", "back").await, 1);
    assert_eq!(server.guest("bob").await.name, "bob-2", "the name is held all the same");
}

#[tokio::test]
async fn the_store_never_holds_a_token() {
    let mut server = TestServer::start().await;
    let bob = server.sign_up("bob").await;
    bob.connects().await.says("lobby", "hello").await;
    server.stop().await.unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(server.data_dir()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!contains(&bytes, bob.token.as_bytes()), "a token lies in the data directory");
        files += u32::from(contains(&bytes, b"hello"));
    }
    assert!(files >= 1, "the search finds what is there");
}

#[tokio::test]
async fn an_email_is_shown_to_nobody_else() {
    const EMAIL: &str = "bob.secret@example.org";
    let server = TestServer::start().await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let answer = server.post("/api/session").json(&json!({"name": "bob", "email": EMAIL})).await;
    assert_eq!(answer.json()["user"]["email"], EMAIL);
    let token = text(&answer.json()["token"]);
    assert_eq!(server.get("/api/session").bearer(&token).await.json()["user"]["email"], EMAIL);
    let mut bob = server.call().bearer(&token).await;
    bob.subscribes("lobby").await;
    bob.asks(json!({"type": "create", "name": "Bob's own"})).await;
    bob.asks(json!({"type": "typing", "room": "lobby"})).await;
    assert_eq!(bob.hello["user"].get("email"), None);
    alice.next_push("typing").await;
    bob.says("lobby", "hi @alice").await;
    server.patch("/api/session").bearer(&token).json(&json!({"name": "robert"})).await;
    bob.says("lobby", "the end").await;
    alice.next_push("user").await;
    alice.find("the end", |frame| frame["text"] == "the end").await;
    let page = alice.asks(json!({"type": "history", "room": "lobby"})).await;
    let present = alice.asks(json!({"type": "present", "room": "lobby"})).await;
    let mut seen = alice.take_all();
    seen.extend([page, present, server.get("/api/rooms").await.json()]);
    seen.extend([server.get("/api/rooms/lobby/messages").await.json(), server.get("/health").await.json()]);
    assert!(seen.len() > 6, "{seen:?}");
    for frame in seen {
        assert!(!frame.to_string().contains("secret"), "{frame}");
    }
    let picture = server.get(&format!("/avatars/{}", bob.id)).await;
    assert!(!picture.text().contains("secret"));
}

#[tokio::test]
async fn a_visitor_reads_changes_and_ends_their_session() {
    let server = TestServer::start().await;
    let bob = server.sign_up("bob").await;
    let user = |name: &str| profile(&bob.id, name);
    assert_eq!(bob.get("/api/session").await.json(), json!({"user": user("bob")}));
    let by_cookie = server.get("/api/session").cookie(&bob.token).await;
    assert_eq!(by_cookie.json(), json!({"user": user("bob")}));

    let mut with_email = user("bob");
    with_email["email"] = "bob@example.org".into();
    let change = bob.patch("/api/session").json(&json!({"email": "bob@example.org"})).await;
    assert_eq!((change.status, change.json()), (200, json!({"user": with_email})));
    let change = bob.patch("/api/session").json(&json!({"name": "robert"})).await;
    assert_eq!(change.json()["user"]["email"], "bob@example.org", "what is left out stays");
    let change = bob.patch("/api/session").json(&json!({"email": null})).await;
    assert_eq!(change.json(), json!({"user": user("robert")}));
    assert_eq!(bob.get("/api/session").await.json(), json!({"user": user("robert")}));
    for odd in [json!({"name": ""}), json!({"email": "nobody"}), json!({"name": null, "colour": 1}), json!({"name": 5})]
    {
        let answer = bob.patch("/api/session").json(&odd).await;
        assert_eq!(answer.error(), (400, "invalid".to_owned()), "{odd}");
    }

    let mut desk = bob.connects().await;
    let other = server.sign_up("eve").await;
    let mut eve = other.connects().await;
    let answer = bob.delete("/api/session").await;
    assert_eq!((answer.status, answer.cookie()), (204, String::new()));
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    desk.expects_close(4001).await;
    assert_eq!(bob.get("/api/session").await.error(), (401, "no_session".to_owned()));
    eve.is_answered().await;
}

#[tokio::test]
async fn signing_out_closes_the_connections_of_that_session_alone() {
    let server = TestServer::start().await;
    let bob = server.sign_up("bob").await;
    let (mut desk, mut phone) = (bob.connects().await, bob.connects().await);
    let mut guest = server.guest("alice").await;
    assert_eq!(server.delete("/api/session").cookie(&bob.token).await.status, 204);
    desk.expects_close(4001).await;
    phone.expects_close(4001).await;
    guest.is_answered().await;
}

#[tokio::test]
async fn a_session_that_is_over_is_refused_not_passed_over() {
    let server = TestServer::start().await;
    let bob = server.sign_up("bob").await;
    let half = &bob.token[..bob.token.len() / 2];
    let foreign = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for token in ["", half, foreign, "not a token", &format!("{}x", bob.token)] {
        for request in [server.get("/api/session"), server.get("/api/rooms"), server.knock("/api/socket?name=bob")] {
            assert_eq!(request.bearer(token).await.error(), (401, "no_session".to_owned()), "{token:?}");
        }
        let post = server.post("/api/rooms/lobby/messages").json(&json!({"txn_id": "t", "text": "hi"}));
        assert_eq!(post.bearer(token).await.error(), (401, "no_session".to_owned()), "{token:?}");
    }
    let basic = server.get("/api/session").header("Authorization", "Basic Ym9iOmJvYg==").await;
    assert_eq!(basic.error(), (401, "no_session".to_owned()));
    let cookie = server.knock("/api/socket").cookie(half).await;
    assert_eq!(cookie.error(), (401, "no_session".to_owned()));
    for request in [
        server.get("/api/session"),
        server.patch("/api/session").json(&json!({"name": "eve"})),
        server.put("/api/rooms/lobby/members/me"),
        server.post("/api/rooms/lobby/messages").json(&json!({"txn_id": "t", "text": "hi"})),
    ] {
        assert_eq!(request.await.error(), (401, "no_session".to_owned()), "nobody asks");
    }
}

/// A session is over 30 days after it was last seen; the clock of the store is turned back by hand.
#[tokio::test]
async fn whoever_holds_the_cookie_of_a_session_that_is_over_can_sign_in_and_out() {
    let server = TestServer::start().await;
    let answer = server.post("/api/session").cookie("of-another-server").json(&json!({"name": "bob"})).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let answer = server.delete("/api/session").cookie("of-another-server").await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"), "no script could clear it");
}

#[tokio::test]
async fn two_changes_of_a_user_at_once_leave_one_name() {
    let server = TestServer::start().await;
    let (session, mut bob) = server.signed_in("bob").await;
    bob.subscribes("lobby").await;
    let (name, email) = (json!({"name": "robert"}), json!({"email": "bob@example.org"}));
    let rename = session.patch("/api/session").json(&name);
    let address = session.patch("/api/session").json(&email);
    let (renamed, _) = tokio::join!(rename, address);
    let stored = text(&session.get("/api/session").await.json()["user"]["name"]);
    assert_eq!(stored == "robert", renamed.status == 200, "{}", renamed.text());
    assert_eq!(bob.sees_present("lobby").await, [stored], "what is shown is what is stored");
}

#[tokio::test]
async fn a_session_expires_and_gives_its_name_back() {
    let mut server = TestServer::start().await;
    let (bob, eve) = (server.sign_up("bob").await, server.sign_up("eve").await);
    server.stop().await.unwrap();
    let database = rusqlite::Connection::open(server.data_dir().join("chinwag.db")).unwrap();
    let day: i64 = 24 * 60 * 60 * 1000;
    let sql = "UPDATE sessions SET seen = seen - ?1 WHERE user = (SELECT id FROM users WHERE name = ?2)";
    assert_eq!(database.execute(sql, rusqlite::params![day * 30 + day / 24, "bob"]).unwrap(), 1);
    assert_eq!(database.execute(sql, rusqlite::params![day * 29, "eve"]).unwrap(), 1);
    database.close().unwrap();
    server.start_again().await;
    assert_eq!(bob.at(&server).get("/api/session").await.error(), (401, "no_session".to_owned()));
    assert_eq!(eve.at(&server).get("/api/session").await.status, 200);
    assert_eq!(server.sign_up("bob").await.name, "bob");
    let taken = server.post("/api/session").json(&json!({"name": "eve"})).await;
    assert_eq!(taken.error(), (409, "name_taken".to_owned()));
}

#[tokio::test]
async fn everyone_has_a_picture() {
    let server = TestServer::start().await;
    let bob = server.sign_up("bob <lee>").await;
    let picture = server.get(&format!("/avatars/{}", bob.id)).await;
    assert_eq!((picture.status, picture.header("content-type")), (200, Some("image/svg+xml")));
    assert!(picture.text().starts_with("<svg ") && picture.text().ends_with("</svg>"), "{}", picture.text());
    assert!(picture.text().contains(">B"), "initials: {}", picture.text());
    assert!(picture.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let mut guest = server.guest("eve").await;
    let path = format!("/avatars/{}", guest.id);
    assert!(server.get(&path).await.text().contains(">E<"), "a guest who has said nothing yet too");
    guest.says("lobby", "hi").await;
    guest.leaves().await;
    assert!(server.get(&path).await.text().contains(">E<"), "what they said is still shown with it");
    for nobody in
        ["/avatars/", "/avatars/bob", "/avatars/01a1fb28-76c7-770d-90a9-5d51299484ab", "/avatars/%ff", "/avatars/a/b"]
    {
        assert_eq!(server.get(nobody).await.status, 404, "{nobody}");
    }
}

/// A guest as they see themselves.
fn profile(id: &str, name: &str) -> serde_json::Value {
    json!({"id": id, "name": name, "guest": true, "role": "guest", "email_verified": false, "password": false,
        "second_factor": false, "providers": [], "picture": "generated", "ignored": []})
}

impl TestServer {
    /// Asks for the name until it is given: whoever held it has just gone.
    async fn becomes_free(&self, name: &str) -> Client {
        crate::support::in_time(format!("the name {name} to be free"), async {
            loop {
                let guest = self.guest(name).await;
                if guest.name == name {
                    return guest;
                }
                guest.leaves().await;
            }
        })
        .await
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
