//! What somebody tries who means harm: made-up and stolen secrets, guessing, names that are mistaken for others,
//! foreign pages, and values that are not what they should be.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::people::PASSWORD;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::http::Answer;
use crate::support::{TestServer, in_time, list, text};

const BEHIND_A_PROXY: [&str; 2] = ["--trusted-proxy", "127.0.0.1"];

#[tokio::test]
async fn a_cookie_that_is_edited_stale_or_foreign_is_nobodys() {
    let (server, elsewhere) = (TestServer::unhurried().await, TestServer::unhurried().await);
    let (ann, eve) = (server.register("ann").await, elsewhere.register("ann").await);
    let edit = |at: usize| {
        let mut token = ann.token.clone().into_bytes();
        token[at] = if token[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(token).unwrap()
    };
    let (first, rest) = ann.token.split_at(ann.token.len() / 2);
    let stale = server.sign_in("ann").await;
    stale.delete("/api/session").await;
    let made_up = [
        edit(0),
        edit(20),
        // The last letter holds two bits more than the secret: another spelling of the same bytes is another token.
        edit(ann.token.len() - 1),
        first.to_owned(),
        rest.to_owned(),
        format!("{}A", ann.token),
        format!("{}=", ann.token),
        ann.token.to_lowercase(),
        format!("\"{}\"", ann.token),
        eve.token.clone(),
        stale.token.clone(),
        ann.id.clone(),
        "null".to_owned(),
        "0".repeat(43),
        "x".repeat(8_000),
    ];
    for token in made_up {
        for answer in [
            server.get("/api/session").cookie(&token).await,
            server.get("/api/session").bearer(&token).await,
            server.knock("/api/socket").cookie(&token).await,
            server.post("/api/rooms/lobby/messages").cookie(&token).json(&json!({"txn_id": "t", "text": "hi"})).await,
        ] {
            assert_eq!(answer.error(), (401, "no_session".to_owned()), "{token}");
        }
    }
    ann.me().await;
    let two = format!("chinwag_session={}; chinwag_session={}", eve.token, ann.token);
    assert_eq!(server.get("/api/session").header("Cookie", &two).await.status, 401, "the first one counts");
}

/// Somebody puts the cookie of a guest of theirs into a browser, and waits until its owner has an account.
#[tokio::test]
async fn a_session_that_was_foisted_on_somebody_does_not_outlive_their_signing_in() {
    let server = TestServer::unhurried().await;
    server.register("ann").await;
    let foisted = server.sign_up("gus").await;
    let mut listening = foisted.connects().await;
    let account = json!({"name": "victim", "password": PASSWORD});
    let answer = server.registers(&account).cookie(&foisted.token).await;
    assert_eq!(answer.status, 201);
    assert_ne!(answer.cookie(), foisted.token);
    foisted.is_over().await;
    listening.expects_close(4001).await;

    let foisted = server.sign_up("pia").await;
    let answer = server.signs_in("ann", PASSWORD).cookie(&foisted.token).await;
    assert_ne!(answer.cookie(), foisted.token);
    assert_eq!(foisted.me().await["name"], "pia", "still the guest that it was");
}

#[tokio::test]
async fn guesses_at_one_account_are_slowed_from_wherever_they_come() {
    let server = TestServer::with(&BEHIND_A_PROXY).await;
    let account = json!({"name": "ann", "password": PASSWORD, "email": "ann@example.org"});
    assert_eq!(server.registers(&account).await.status, 201);
    let mut guessed = 0;
    let refused = loop {
        let login = if guessed % 2 == 0 { "ann" } else { "ANN" };
        let answer = server.signs_in(login, "a guess").from(&format!("203.0.113.{guessed}")).await;
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.error(), (401, "bad_credentials".to_owned()));
        guessed += 1;
        assert!(guessed < 20, "nobody is slowed");
    };
    // Ten at once, and two a minute.
    assert!((10..=12).contains(&guessed), "{guessed} guesses got through");
    assert_eq!(refused.error(), (429, "rate_limited".to_owned()));
    assert!(refused.header("retry-after").is_some());
    let right = server.signs_in("ann", PASSWORD).from("203.0.113.99").await;
    assert_eq!(right.error(), (429, "rate_limited".to_owned()), "the right one is no exception");
    let by_email = server.signs_in("ann@example.org", "a guess").from("203.0.113.98").await;
    assert_eq!(by_email.error(), (429, "rate_limited".to_owned()), "by whatever they are called");
    let other = server.signs_in("bob", "a guess").from("203.0.113.99").await;
    assert_eq!(other.error(), (401, "bad_credentials".to_owned()), "other accounts are not troubled");
}

#[tokio::test]
async fn an_unknown_account_is_slowed_like_any_other() {
    let server = TestServer::with(&BEHIND_A_PROXY).await;
    let mut guessed = 0;
    while server.signs_in("nobody", "a guess").from(&format!("203.0.113.{guessed}")).await.status == 401 {
        guessed += 1;
        assert!(guessed < 20, "nobody is slowed");
    }
    assert!((10..=12).contains(&guessed), "{guessed} guesses got through");
}

impl TestServer {
    /// How many links are tried from an address until it is told to wait. `from` says how a request is passed on.
    async fn tries_links(&self, from: impl Fn(u32) -> Option<String>) -> u32 {
        for tried in 0..200 {
            let request = self.post("/api/links/look").json(&json!({"link": format!("guess {tried}")}));
            let request = match from(tried) {
                Some(address) => request.from(&address),
                None => request,
            };
            let answer = request.await;
            if answer.status == 429 {
                return tried;
            }
            assert_eq!(answer.error(), (410, "bad_link".to_owned()));
        }
        200
    }
}

#[tokio::test]
async fn guesses_from_one_address_are_slowed() {
    // Sixty at once, and twenty a minute.
    let slowed = 60..100;
    let server = TestServer::with(&BEHIND_A_PROXY).await;
    let same = server.tries_links(|_| Some("203.0.113.7".to_owned())).await;
    assert!(slowed.contains(&same), "{same} got through");
    let signing_in = server.signs_in("ann", "a guess").from("203.0.113.7").await;
    assert_eq!(signing_in.error(), (429, "rate_limited".to_owned()), "whatever is guessed");
    let network = server.tries_links(|n| Some(format!("2001:db8:1:2:{n:x}::1"))).await;
    assert!(slowed.contains(&network), "{network} got through: a /64 is one customer's");
    let mapped = server.tries_links(|_| Some("::ffff:203.0.113.7".to_owned())).await;
    assert!(mapped < 5, "{mapped} got through: it is the same address");
    assert_eq!(server.tries_links(|n| Some(format!("2001:db8:7:{n:x}::1"))).await, 200, "others are not troubled");
    let appended = server.tries_links(|n| Some(format!("198.51.100.{n}, 203.0.113.9"))).await;
    assert!(slowed.contains(&appended), "{appended} got through: what the visitor made up stands before");
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_says_from_where_a_request_comes() {
    let server = TestServer::with(&["--trusted-proxy", "192.0.2.1"]).await;
    let spoofed = server.tries_links(|n| Some(format!("203.0.113.{n}"))).await;
    assert!((60..100).contains(&spoofed), "{spoofed} got through");
}

#[tokio::test]
async fn a_name_that_could_be_mistaken_for_an_accounts_is_taken() {
    let server = TestServer::unhurried().await;
    for name in ["PayPal", "bob", "scope", "Ice"] {
        server.register(name).await;
    }
    let mixed = ["p\u{430}ypal", "b\u{3bf}b", "bo\u{441}", "\u{441}cope"];
    for name in mixed {
        let answer = server.registers(&json!({"name": name, "password": PASSWORD})).await;
        assert!(matches!(answer.error().1.as_str(), "invalid" | "name_taken"), "{name}: {}", answer.text());
    }
    // Of one script, or of digits, and yet the same to the eye.
    let alike = [
        "paypa1",
        "PAYPAL",
        "PayPaI",
        "b0b",
        "\u{412}\u{41e}\u{412}",
        "\u{455}\u{441}\u{43e}\u{440}\u{435}",
        "\u{456}\u{441}\u{435}",
        "1ce",
        "\u{ff50}aypal",
    ];
    for name in alike.iter().chain(&["p\u{430}ypal", "b\u{3bf}b"]) {
        let guest = server.post("/api/session").json(&json!({ "name": name })).await;
        assert_eq!(guest.error(), (409, "name_taken".to_owned()), "{name} for a guest");
    }
    for name in alike {
        let account = server.registers(&json!({"name": name, "password": PASSWORD})).await;
        assert_eq!(account.error(), (409, "name_taken".to_owned()), "{name} for an account");
    }
    assert_eq!(server.guest("paypa1").await.name, "paypa1-2", "for a guest without a session");
    let (ann, gus) = (server.register("ann").await, server.sign_up("gus").await);
    for by in [&ann, &gus] {
        let answer = by.patch("/api/session").json(&json!({"name": "b0b"})).await;
        assert_eq!(answer.error(), (409, "name_taken".to_owned()), "{} would be", by.name);
    }
    let promoted = gus.post("/api/account").json(&json!({"name": "b0b", "password": PASSWORD})).await;
    assert_eq!(promoted.error(), (409, "name_taken".to_owned()));
    assert_eq!(gus.me().await["guest"], true);
}

#[tokio::test]
async fn names_that_speak_for_the_place_are_nobodys() {
    let server = TestServer::unhurried().await;
    let gus = server.sign_up("gus").await;
    for name in
        ["admin", "Admin", "\u{430}dmin", "ADMlN", "M0derator", "moderator", "chinwag", "everyone", "\u{ff41}dmin"]
    {
        let taken = (409, "name_taken".to_owned());
        let account = server.registers(&json!({"name": name, "password": PASSWORD})).await.error();
        // An account is named in one script in the first place.
        assert!(account == taken || account.0 == 400 && name.starts_with('\u{430}'), "{name}: {account:?}");
        assert_eq!(server.post("/api/session").json(&json!({ "name": name })).await.error(), taken, "{name}");
        assert_eq!(gus.patch("/api/session").json(&json!({ "name": name })).await.error(), taken, "{name}");
        if name.is_ascii() {
            assert_eq!(server.knock(&format!("/api/socket?name={name}")).await.error(), taken, "{name}");
        }
    }
}

#[tokio::test]
async fn a_guest_who_takes_another_name_keeps_the_old_one_a_day() {
    let mut server = TestServer::unhurried().await;
    let gus = server.sign_up("gus").await;
    assert_eq!(gus.patch("/api/session").json(&json!({"name": "gustav"})).await.status, 200);
    let taken = (409, "name_taken".to_owned());
    for name in ["gus", "GUS", "gustav"] {
        assert_eq!(server.post("/api/session").json(&json!({ "name": name })).await.error(), taken, "{name}");
        assert_eq!(server.registers(&json!({"name": name, "password": PASSWORD})).await.error(), taken, "{name}");
    }
    assert_eq!(server.guest("gus").await.name, "gus-2");
    let day = 24 * 60 * 60 * 1000;
    server.stop().await.unwrap();
    let database = rusqlite::Connection::open(server.data_dir().join("chinwag.db")).unwrap();
    let sql = "UPDATE names SET reserved_until = reserved_until - ?1 WHERE reserved_until IS NOT NULL";
    assert_eq!(database.execute(sql, [day]).unwrap(), 1, "a day, no more");
    database.close().unwrap();
    server.start_again().await;
    server.sign_up("gus").await;
    assert_eq!(gus.at(&server).me().await["name"], "gustav", "who is still here");
}

/// Every route that changes something, as gateway/http.rs names them: method and path.
fn unsafe_routes() -> Vec<(String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gateway/http.rs");
    let source = fs::read_to_string(file).unwrap();
    let (_, routes) = source.split_once("Router::new()").expect("the routes stand in one place");
    let (routes, _) = routes.split_once(".fallback").expect("they end");
    let mut found = Vec::new();
    for route in routes.split(".route(").skip(1) {
        let path = route.split('"').nth(1).expect("a route has a path");
        let id = uuid::Uuid::now_v7().to_string();
        let path = path.replace("{room}", "lobby").replace("{seq}", "1").replace("{user}", &id).replace("{id}", &id);
        for method in ["post", "put", "patch", "delete"] {
            if route.contains(&format!("{method}(")) {
                found.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    assert!(found.len() > 40, "the routes are found: {found:?}");
    found
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_on_any_route() {
    let server = TestServer::unhurried().await;
    let olga = server.owner().await;
    let own = format!("http://{}", server.addr);
    for (method, path) in unsafe_routes() {
        for origin in ["https://evil.example", "null"] {
            let request = server.request(&method, &path).cookie(&olga.token).header("Origin", origin);
            let answer = request.json(&json!({})).await;
            assert_eq!(answer.error(), (403, "not_allowed".to_owned()), "{method} {path}");
            assert!(text(&answer.json()["error"]["message"]).contains("--origins"), "{}", answer.text());
            assert!(answer.header("set-cookie").is_none());
        }
        if method != "DELETE" {
            let answer =
                server.request(&method, &path).cookie(&olga.token).header("Origin", &own).json(&json!({})).await;
            assert!(!answer.text().contains("--origins"), "one's own page may ask: {method} {path}");
        }
    }
    olga.me().await;
}

/// A body that each route takes, by its fields.
fn bodies(session: &str) -> Vec<(&'static str, String, Value)> {
    let user = format!("/api/users/{session}");
    vec![
        ("POST", "/api/session".to_owned(), json!({"name": "eve", "email": "eve@example.org", "invite": "x"})),
        ("POST", "/api/session".to_owned(), json!({"login": "eve", "password": "x", "code": "123456"})),
        ("PATCH", "/api/session".to_owned(), json!({"name": "eve", "email": "eve@example.org"})),
        (
            "POST",
            "/api/account".to_owned(),
            json!({"name": "eve", "password": PASSWORD, "email": "eve@example.org", "invite": "x"}),
        ),
        ("DELETE", "/api/account".to_owned(), json!({"password": "x"})),
        ("PUT", "/api/account/password".to_owned(), json!({"password": "x", "new": "x"})),
        ("POST", "/api/account/reset".to_owned(), json!({"link": "x", "new": "x"})),
        ("POST", "/api/account/second-factor".to_owned(), json!({"password": "x"})),
        ("PUT", "/api/account/second-factor".to_owned(), json!({"code": "123456"})),
        ("DELETE", "/api/account/second-factor".to_owned(), json!({"password": "x"})),
        ("POST", "/api/tokens".to_owned(), json!({"name": "x", "scopes": "read"})),
        ("POST", "/api/links/look".to_owned(), json!({"link": "x"})),
        ("POST", "/api/links/use".to_owned(), json!({"link": "x"})),
        (
            "POST",
            "/api/invites".to_owned(),
            json!({"role": "member", "room": "lobby", "max_uses": "x", "expires_hours": "x"}),
        ),
        (
            "PATCH",
            "/api/place".to_owned(),
            json!({"name": "x", "welcome": "x", "accent": "#000000", "join": "open", "guests_paused": "x"}),
        ),
        ("PATCH", user.clone(), json!({"role": "member"})),
        ("POST", format!("{user}/mute"), json!({"minutes": "x"})),
        ("POST", format!("{user}/ban"), json!({"minutes": "x", "reason": "x"})),
        ("POST", "/api/rooms".to_owned(), json!({"kind": "public", "name": "x", "members": "x"})),
        (
            "PATCH",
            "/api/rooms/lobby".to_owned(),
            json!({"name": "x", "topic": "x", "announcement": "x", "archived": "x", "slow_seconds": "x",
                "guests": "x", "kind": "public"}),
        ),
        ("PUT", format!("/api/rooms/lobby/members/{session}"), json!({"role": "member"})),
        ("POST", "/api/rooms/lobby/messages".to_owned(), json!({"txn_id": "t", "text": "x"})),
        ("POST", "/api/rooms/lobby/messages/1/report".to_owned(), json!({"reason": "x"})),
    ]
}

#[tokio::test]
async fn no_list_or_object_stands_where_a_string_belongs() {
    let server = TestServer::unhurried().await;
    let olga = server.owner().await;
    let ann = server.register("ann").await;
    let malformed = [Value::Null, json!([]), json!(["x"]), json!("x"), json!(5)];
    for (method, path, body) in bodies(&ann.id) {
        let sends = |body: &Value| olga.request(method, &path).json(body);
        for field in body.as_object().unwrap().keys() {
            let within = json!({ text(&body[field]): null });
            for wrong in [json!([]), json!(["x"]), json!({}), json!({"$ne": null}), within, json!(5.5), json!(-1)] {
                let mut body = body.clone();
                body[field] = wrong;
                let answer = sends(&body).await;
                assert_eq!(answer.error(), (400, "invalid".to_owned()), "{method} {path} {body}");
            }
            let twice = format!("{{{0}:{1},{0}:{1}}}", json!(field), body[field]);
            let answer = olga.request(method, &path).body("application/json", twice).await;
            assert_eq!(answer.error(), (400, "invalid".to_owned()), "{method} {path}: {field} twice");
        }
        for body in &malformed {
            assert_eq!(sends(body).await.error(), (400, "invalid".to_owned()), "{method} {path} {body}");
        }
        for body in ["", "{", "{}}", "\u{feff}{}", "{\"a\":\"\u{0}\"}", &"[".repeat(10_000)] {
            let answer = olga.request(method, &path).body("application/json", body).await;
            assert_eq!(answer.status, 400, "{method} {path} {}", answer.text());
        }
    }
    let lobby = ann.get("/api/rooms/lobby").await.json();
    assert_eq!((&lobby["name"], &lobby["topic"]), (&json!("Lobby"), &json!("")), "none of it was half done");
    assert!(list(&olga.get("/api/tokens").await.json()["tokens"]).is_empty());
    assert_eq!(ann.me().await["role"], "member");
}

#[tokio::test]
async fn ids_in_a_path_are_ids_or_nothing() {
    let server = TestServer::unhurried().await;
    let olga = server.owner().await;
    let long = "x".repeat(300);
    for id in ["x", "0", "%00", "%ff", "..%2f..", "01a1fb28-76c7-770d-90a9-5d51299484ab", &long] {
        for (method, path, expected) in [
            ("DELETE", format!("/api/sessions/{id}"), [404, 404]),
            ("DELETE", format!("/api/tokens/{id}"), [404, 404]),
            ("DELETE", format!("/api/invites/{id}"), [404, 404]),
            ("DELETE", format!("/api/reports/{id}"), [404, 404]),
            ("PATCH", format!("/api/users/{id}"), [404, 404]),
            ("POST", format!("/api/users/{id}/kick"), [404, 404]),
            ("POST", format!("/api/users/{id}/reset"), [404, 404]),
            ("PUT", format!("/api/ignored/{id}"), [404, 404]),
            ("GET", format!("/api/rooms/{id}"), [404, 400]),
            ("DELETE", format!("/api/rooms/{id}"), [404, 400]),
            ("GET", format!("/api/rooms/{id}/members"), [404, 400]),
            ("PUT", format!("/api/rooms/lobby/members/{id}"), [404, 404]),
            ("DELETE", format!("/api/rooms/lobby/messages/{id}"), [404, 400]),
        ] {
            let answer = olga.request(method, &path).json(&json!({"role": "member"})).await;
            assert!(expected.contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        }
    }
    olga.me().await;
}

#[tokio::test]
async fn a_mention_means_nobody_who_is_only_called_alike() {
    let server = TestServer::unhurried().await;
    let ann = server.register("lan").await;
    let mut alice = server.guest_in("alice", "lobby").await;
    alice.says("lobby", "@1an @Ian @lan").await;
    assert_eq!(alice.hears("@1an @Ian @lan").await["mentions"], json!([ann.id]));
    alice.says("lobby", "@1an @Ian").await;
    assert_eq!(alice.hears("@1an @Ian").await.get("mentions"), None);
}

/// Who asks is looked up when all has come, so a body that is held back keeps no right alive.
#[tokio::test]
async fn a_request_that_is_held_back_does_not_outlive_the_right_to_it() {
    let server = TestServer::unhurried().await;
    let (olga, bob) = (server.owner().await, server.register("bob").await);
    let body = json!({"txn_id": "held", "text": "after all"}).to_string();
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!(
        "POST /api/rooms/lobby/messages HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        server.addr,
        bob.token,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    olga.does(olga.acts_on(&bob.id, "mute", &json!({"minutes": 5}))).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let answer = in_time("the answer", Answer::read(&mut stream)).await;
    assert_eq!(answer.error(), (403, "muted".to_owned()));
}
