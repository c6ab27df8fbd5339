//! What keeps classic clients from harming others, and others from harming them.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::caller::{BLUEPRINTS, Caller, GORILLA, HEROKU, heroku};
use super::{Cast, UNHURRIED};
use crate::support::raw::{self, CONTINUATION, FIN, PING, PONG, Raw, TEXT};
use crate::support::{TestServer, text};

const PATHS: [&str; 4] = [GORILLA, BLUEPRINTS, HEROKU, "/chat?email=eve@example.com"];

#[tokio::test]
async fn they_are_let_in_only_where_the_host_says_so() {
    let server = TestServer::start().await;
    for path in PATHS {
        assert_eq!(server.knock(path).await.error(), (404, "not_found".to_owned()), "{path}: off by default");
    }
    let server = TestServer::with(&["--classic", "gorilla,heroku"]).await;
    Caller::at(&server, GORILLA).await;
    Caller::at(&server, HEROKU).await;
    for path in [BLUEPRINTS, "/chat?email=eve@example.com"] {
        assert_eq!(server.knock(path).await.status, 404, "{path}");
    }
    let server = TestServer::with(&["--classic", "all"]).await;
    for path in PATHS {
        Caller::at(&server, path).await;
    }
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so() {
    let server = TestServer::with(&["--classic"]).await;
    for path in PATHS {
        let answer = server.get(path).await;
        assert_eq!(answer.error(), (400, "invalid".to_owned()), "{path}");
        assert!(answer.text().contains("expected a WebSocket"), "{}", answer.text());
        assert_eq!(server.post(path).await.status, 405, "{path}");
    }
    for query in ["", "?email=", "?email=nobody", "?name=eve", "?email=a@b@c", "?email=%00@b"] {
        let answer = server.knock(&format!("/chat{query}")).await;
        assert_eq!(answer.error(), (400, "invalid".to_owned()), "{query}");
        assert!(answer.text().contains("email: expected"), "{}", answer.text());
    }
    assert_eq!(server.knock(BLUEPRINTS).cookie("stale").await.error(), (401, "no_session".to_owned()));
    let mut caller = Caller::at(&server, GORILLA).await;
    caller.sends("the server lives on").await;
    caller.hears("the server lives on").await;
}

#[tokio::test]
async fn pages_of_elsewhere_are_refused() {
    let server = TestServer::with(&["--classic", "--origins", "https://chat.example"]).await;
    let own = format!("http://{}", server.addr);
    for path in PATHS {
        let refused = server.knock(path).header("Origin", "https://evil.example").await;
        assert_eq!(refused.error(), (403, "not_allowed".to_owned()), "{path}");
        Caller::with(&server, path, &[("Origin", "https://chat.example")]).await;
        Caller::with(&server, path, &[("Origin", &own)]).await;
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_closes() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut cast = Cast::of(&server).await;
    let most = "ü".repeat(256);
    cast.gorilla.sends(&most).await;
    cast.gorilla.hears(&most).await;
    cast.gorilla.sends(&format!("{most}x")).await;
    cast.gorilla.expects_close(1009).await;
    cast.plain.hears(&most).await;
    let longest = "x".repeat(8_000);
    cast.plain.sends(&longest).await;
    cast.plain.hears(&longest).await;
    let too_long = format!("{longest}x");
    cast.plain.sends(&too_long).await;
    cast.plain.expects_close(1009).await;
    cast.gochatting.sends(&too_long).await;
    cast.gochatting.expects_close(1009).await;
    cast.session.sends_json(json!({"Message": too_long})).await;
    cast.session.expects_close(1009).await;
    cast.heroku.sends_json(heroku("henry", &too_long)).await;
    cast.heroku.expects_close(1009).await;
    cast.page.hears(&most).await;
    cast.page.hears(&longest).await;
}

#[tokio::test]
async fn fragments_are_one_message_and_a_pong_is_a_pong() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut page = server.guest_in("paula", "lobby").await;
    let mut raw = Raw::open_at(server.addr, GORILLA).await;
    let fox = "🦊".as_bytes();
    raw.write(&raw::frame(TEXT, &fox[..1])).await;
    raw.write(&raw::frame(FIN | PING, b"between")).await;
    raw.write(&raw::frame(FIN | PONG, b"unasked")).await;
    raw.write(&raw::frame(CONTINUATION, &fox[1..3])).await;
    raw.write(&raw::frame(FIN | CONTINUATION, &fox[3..])).await;
    assert_eq!(raw.next_frame().await, Some((FIN | PONG, b"between".to_vec())));
    assert_eq!(raw.next_frame().await, Some((FIN | TEXT, fox.to_vec())));
    page.hears("🦊").await;
    let too_long = [raw::frame(TEXT, &[b'x'; 300]), raw::frame(FIN | CONTINUATION, &[b'x'; 213])].concat();
    raw.write(&too_long).await;
    raw.expects_close(1009).await;
}

#[tokio::test]
async fn broken_input_closes_its_sender_and_nobody_else() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut cast = Cast::of(&server).await;
    for path in PATHS {
        for (bytes, code) in [
            (raw::frame(FIN | TEXT, b"\xff\xfe"), 1007),
            (raw::frame(FIN | raw::BINARY, b"bytes"), 1003),
            (raw::frame(FIN | CONTINUATION, b"of nothing"), 1002),
        ] {
            let mut raw = Raw::open_at(server.addr, path).await;
            raw.write(&bytes).await;
            raw.expects_close(code).await;
        }
    }
    cast.page.says("lobby", "undisturbed").await;
    cast.all_hear("paula", "undisturbed").await;
}

#[tokio::test]
async fn who_writes_too_fast_is_held_up_and_loses_nothing() {
    let server = TestServer::with(&["--classic", "--post-rate", "5"]).await;
    let mut page = server.guest_in("paula", "lobby").await;
    let mut one = Caller::at(&server, HEROKU).await;
    for number in 0..35 {
        // As many names as there may be do not make it faster.
        one.sends_json(heroku(&format!("voice{}", number % 10), &format!("message {number}"))).await;
    }
    let events = page.hears_events("lobby", 35).await;
    let times: Vec<jiff::Timestamp> = events.iter().map(|event| text(&event["at"]).parse().unwrap()).collect();
    let took = times[34].duration_since(times[0]);
    assert!(took.as_millis() > 1_500, "25 at once, and 5 a second: {took}");
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["text"], format!("message {number}"), "in order");
    }
}

#[tokio::test]
async fn what_nothing_comes_of_is_no_faster() {
    let server = TestServer::with(&["--classic"]).await;
    let mut page = server.guest_in("paula", "lobby").await;
    let mut one = Caller::at(&server, HEROKU).await;
    one.sends_json(heroku("henry", "before")).await;
    for _ in 0..250 {
        one.sends("rubbish").await;
    }
    one.sends_json(heroku("henry", "after")).await;
    let events = page.hears_events("lobby", 2).await;
    let times: Vec<jiff::Timestamp> = events.iter().map(|event| text(&event["at"]).parse().unwrap()).collect();
    let took = times[1].duration_since(times[0]);
    assert!(took.as_millis() > 700, "200 at once, and 50 a second: {took}");
}

#[tokio::test]
async fn a_mute_holds_by_any_name() {
    let server = TestServer::with(&UNHURRIED).await;
    let olga = server.owner().await;
    let mut cast = Cast::of(&server).await;
    cast.heroku.sends_json(heroku("mallory", "spam")).await;
    let mallory = text(&cast.all_hear("mallory", "spam").await["author"]["id"]);
    olga.does(olga.acts_on(&mallory, "mute", &json!({"minutes": 10}))).await;
    for name in ["mallory", "trent"] {
        cast.heroku.sends_json(heroku(name, "more")).await;
        let told = cast.heroku.next_json().await;
        assert_eq!(told["username"], "server");
        assert!(text(&told["text"]).starts_with("not sent: you are muted until"), "{told}");
    }
    cast.gochatting.sends("hi").await;
    let alice = text(&cast.all_hear("alice", "hi").await["author"]["id"]);
    olga.does(olga.acts_on(&alice, "mute", &json!({"minutes": 10}))).await;
    cast.gochatting.sends("hi").await;
    assert_eq!(cast.gochatting.next_said().await["TextMessage"]["UserInfo"]["Name"], "server");
    drop(cast.gochatting);
    cast.gochatting = Caller::by_email(&server, "alice@example.com").await;
    cast.gochatting.sends("back again").await;
    let told = cast.gochatting.next_said().await;
    assert_eq!(told["TextMessage"]["UserInfo"]["Name"], "server", "the mute is that of the e-mail");
    cast.page.says("lobby", "quiet").await;
    cast.all_hear("paula", "quiet").await;
}

#[tokio::test]
async fn who_is_sent_out_goes() {
    let server = TestServer::with(&UNHURRIED).await;
    let olga = server.owner().await;
    let mut cast = Cast::of(&server).await;
    for name in ["mallory", "trent"] {
        cast.heroku.sends_json(heroku(name, "hi")).await;
        cast.all_hear(name, "hi").await;
    }
    cast.heroku.sends_json(heroku("mallory", "again")).await;
    let mallory = text(&cast.all_hear("mallory", "again").await["author"]["id"]);
    cast.heroku.sends_json(heroku("trent", "again")).await;
    cast.all_hear("trent", "again").await;
    olga.does(olga.acts_on(&mallory, "kick", &json!({}))).await;
    cast.heroku.expects_close(4001).await;
    olga.does(olga.acts_on(&cast.mat, "kick", &json!({}))).await;
    cast.session.expects_close(4001).await;
    cast.plain.sends("bye").await;
    let guest = text(&cast.page.hears("bye").await["author"]["id"]);
    olga.does(olga.acts_on(&guest, "ban", &json!({"minutes": 10}))).await;
    cast.plain.expects_close(1008).await;
    for path in PATHS {
        assert_eq!(server.knock(path).await.error(), (403, "banned".to_owned()), "{path}: by their address");
    }
}

#[tokio::test]
async fn a_session_that_ends_takes_its_connections_along() {
    let server = TestServer::with(&UNHURRIED).await;
    let mat = server.register("mat").await;
    let mut session = Caller::by_session(&server, &mat).await;
    session.sends_json(json!({"Message": "as the account"})).await;
    assert_eq!(session.next_json().await["Name"], "mat");
    mat.does(mat.delete("/api/session")).await;
    session.expects_close(4001).await;
    assert_eq!(server.knock(BLUEPRINTS).cookie(&mat.token).await.status, 401);
}

#[tokio::test]
async fn a_token_that_is_for_reading_does_not_write() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut page = server.guest_in("paula", "lobby").await;
    let mat = server.register("mat").await;
    let made = mat.post("/api/tokens").json(&json!({"name": "reader", "scopes": ["read"]})).await;
    let bearer = format!("Bearer {}", text(&made.json()["token"]));
    let mut reader = Caller::with(&server, BLUEPRINTS, &[("Authorization", &bearer)]).await;
    reader.sends_json(json!({"Message": "hello"})).await;
    let told = reader.next_json().await;
    assert_eq!(
        (&told["Name"], &told["Message"]),
        (&json!("server"), &json!("not sent: expected a token with the scope post"))
    );
    page.says("lobby", "first").await;
    page.hears("first").await;
    assert_eq!(reader.next_json().await["Message"], "first");
}

#[tokio::test]
async fn where_no_guests_come_in_none_come_this_way() {
    let server = TestServer::with(&["--classic", "--join", "accounts"]).await;
    let mat = server.register("mat").await;
    for path in PATHS {
        assert_eq!(server.knock(path).await.error(), (403, "not_allowed".to_owned()), "{path}");
    }
    Caller::by_session(&server, &mat).await;
}

#[tokio::test]
async fn what_was_taken_back_is_not_sent() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut cast = Cast::of(&server).await;
    let ann = server.sign_up("ann").await;
    let seq = ann.posts("lobby", "oops").await.json()["seq"].clone();
    cast.all_hear("ann", "oops").await;
    assert_eq!(ann.delete(&format!("/api/rooms/lobby/messages/{seq}")).await.status, 200);
    let mut late = Caller::at(&server, HEROKU).await;
    cast.page.says("lobby", "next").await;
    cast.page.next_event("the deletion").await;
    cast.all_hear("paula", "next").await;
    assert_eq!(late.next_json().await, heroku("paula", "next"));
}

#[tokio::test]
async fn their_room_is_the_hosts_to_choose_and_a_public_one() {
    let server = TestServer::with(&["--classic", "--limits", "off", "--classic-room", "garden"]).await;
    for path in PATHS {
        assert_eq!(server.knock(path).await.error(), (404, "no_room".to_owned()), "{path}");
    }
    let ann = server.register("ann").await;
    assert_eq!(ann.makes_room("public", "Garden").await, "garden");
    let mut page = ann.connects_to("garden").await;
    let mut caller = Caller::at(&server, GORILLA).await;
    page.says("garden", "among flowers").await;
    caller.hears("among flowers").await;
    let changed = ann.patch("/api/rooms/garden").json(&json!({"kind": "private"})).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    page.says("garden", "a secret").await;
    match caller.next_but_pings().await {
        Some(Message::Close(frame)) => assert_eq!(frame.map(|frame| u16::from(frame.code)), Some(1001)),
        other => panic!("nothing is said after a right ended: {other:?}"),
    }
    assert_eq!(server.knock(GORILLA).await.status, 404);
    assert_eq!(server.knock(BLUEPRINTS).cookie(&ann.token).await.error(), (403, "not_allowed".to_owned()));
}

#[tokio::test]
async fn who_is_silent_is_closed() {
    let server = TestServer::with(&["--classic", "--limits", "off", "--heartbeat", "200ms"]).await;
    for path in PATHS {
        let mut raw = Raw::open_at(server.addr, path).await;
        raw.is_pinged().await;
        raw.expects_close(4008).await;
    }
}

#[tokio::test]
async fn who_does_not_read_is_closed() {
    // Long enough for the two who do read to answer in time, whatever the disk does.
    let server = TestServer::with(&["--classic", "--limits", "off", "--heartbeat", "1s"]).await;
    let mut page = server.guest_in("paula", "lobby").await;
    let mut deaf = Raw::open_at(server.addr, BLUEPRINTS).await;
    let mut answering = Caller::at(&server, BLUEPRINTS).await;
    let (mut reading, mut writing) = deaf.split();
    // More than the socket's buffers hold, while pongs still come: it is its not reading that ends it.
    for _ in 0..4_000 {
        let says = page.says_all("lobby", (0..10).map(|number| format!("{number} {}", "x".repeat(7_900))));
        // Side by side: whoever is not read answers no ping.
        let hears = async {
            for _ in 0..10 {
                answering.next().await;
            }
        };
        tokio::join!(says, hears);
        writing.try_write(&raw::frame(FIN | PONG, b"")).await;
        if present(&server).await == 2 {
            assert_eq!(reading.end().await, None, "cut off, since it takes no close either");
            return;
        }
    }
    panic!("who does not read is still there");
}

/// How many are in the lobby.
async fn present(server: &TestServer) -> u64 {
    let rooms: Value = server.get("/api/rooms").await.json();
    rooms["rooms"][0]["online"].as_u64().unwrap()
}

#[tokio::test]
async fn stopping_sends_them_away_to_come_back() {
    let mut server = TestServer::with(&UNHURRIED).await;
    let mut cast = Cast::of(&server).await;
    let (stopped, ()) = tokio::join!(server.stop(), async {
        for caller in [&mut cast.gorilla, &mut cast.plain, &mut cast.session, &mut cast.heroku, &mut cast.gochatting] {
            caller.expects_close(1001).await;
        }
        cast.page.expects_close(1001).await;
    });
    stopped.unwrap();
}
