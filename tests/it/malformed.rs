//! Input that no good client sends: what each is answered with, and that nobody else on the server notices.

use serde_json::{Value, json};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::http::Answer;
use crate::support::raw::{BINARY, CLOSE, CONTINUATION, FIN, KEY, PING, PONG, Raw, TEXT, frame, header};
use crate::support::{Client, TestServer, in_time, text};

const FRAME_BYTES: usize = 262_144;

/// Somebody in the same room, who must not be disturbed.
struct Bystander {
    client: Client,
    said: u32,
}

impl Bystander {
    async fn of(server: &TestServer) -> Self {
        Self { client: server.guest_in("bystander", "lobby").await, said: 0 }
    }

    async fn goes_on(&mut self) {
        self.said += 1;
        let words = format!("undisturbed {}", self.said);
        self.client.says("lobby", &words).await;
        self.client.hears(&words).await;
    }
}

#[tokio::test]
async fn what_is_no_json_object_is_answered_with_malformed_and_no_ref() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::of(&server).await;
    let mut bob = server.guest("bob").await;
    let deep = "[".repeat(100_000);
    let deep_object = r#"{"a":"#.repeat(40_000);
    let inputs = [
        "",
        " ",
        "null",
        "true",
        "5",
        "\"post\"",
        "[]",
        "[{\"type\":\"typing\"}]",
        "{",
        "{\"type\":",
        "post",
        "{\"type\":\"typing\",\"room\":\"lobby\"} x",
        "{\"type\":\"typing\",\"room\":\"lobby\"}{}",
        "{'type':'typing'}",
        "{\"type\":\"typing\",}",
        "\u{feff}{}",
        "{\"type\":\"typing\",\"ref\":1,\"room\":\"\u{1}\"}",
        "\u{0}",
        "{\"ref\":1e999}",
        &deep,
        &deep_object,
    ];
    for input in inputs {
        bob.send_text(input).await;
        let reply = bob.find("a reply", |frame| frame["type"] == "reply").await;
        let shown: String = input.chars().take(60).collect();
        assert_eq!(reply["error"]["code"], "malformed", "{shown:?}: {reply}");
        assert!(reply.as_object().unwrap().contains_key("ref") && reply["ref"].is_null(), "{reply}");
    }
    bob.is_answered().await;
    bystander.goes_on().await;
}

#[tokio::test]
async fn an_unknown_type_and_a_bad_ref_are_named() {
    let server = TestServer::start().await;
    let mut bob = server.guest("bob").await;
    for kind in ["dance", "", "Post", "post ", "hello", "event", "reply", &"x".repeat(10_000)] {
        let error = bob.is_refused(json!({"type": kind}), "unknown_type").await;
        let shown: String = kind.chars().take(64).collect();
        assert!(text(&error["message"]).contains(&shown), "{error}");
        assert!(text(&error["message"]).len() < 200, "{error}");
    }
    for kind in [json!(5), json!(null), json!(["post"]), json!({})] {
        let error = bob.is_refused(json!({"type": kind}), "invalid").await;
        assert!(text(&error["message"]).contains("type"), "{error}");
    }
    assert!(text(&bob.is_refused(json!({"room": "lobby"}), "invalid").await["message"]).contains("`type`"));
    for twice in
        [r#"{"type":"typing","type":"typing","ref":"a"}"#, r#"{"type":"typing","ref":"a","room":"a","room":"b"}"#]
    {
        bob.send_text(twice).await;
        assert_eq!(bob.reply(&json!("a")).await["error"]["code"], "invalid", "{twice}");
    }

    let long = "x".repeat(65);
    for bad in [json!(1.5), json!(true), json!([1]), json!({}), json!(long), json!(u64::MAX), json!(1e300)] {
        bob.send(&json!({"type": "present", "room": "lobby", "ref": bad})).await;
        let reply = bob.find("a reply", |frame| frame["type"] == "reply").await;
        assert_eq!((&reply["ref"], &reply["error"]["code"]), (&Value::Null, &json!("invalid")), "{bad}: {reply}");
        assert!(text(&reply["error"]["message"]).starts_with("ref: "), "{reply}");
    }
    for good in
        [json!(0), json!(-5), json!(i64::MAX), json!(i64::MIN), json!(""), json!("x".repeat(64)), json!("ü\u{0}\n")]
    {
        bob.send(&json!({"type": "present", "room": "lobby", "ref": good})).await;
        assert!(bob.reply(&good).await.get("ok").is_some(), "{good}");
    }
    bob.send(&json!({"type": "present", "room": "lobby", "ref": null})).await;
    bob.is_answered().await;
    bob.heard_no("reply");
}

/// Every command with its fields: each is left out, given in a wrong type, and set beyond its bounds.
#[tokio::test]
async fn a_field_that_is_missing_or_wrong_is_named() {
    let server = TestServer::with(&["--limits", "off"]).await;
    let mut bystander = Bystander::of(&server).await;
    let mut bob = server.guest("bob").await;
    let epoch = bob.hello["rooms"][0]["epoch"].clone();
    let mut refused = 0;
    for (good, field, bad_values, required) in wrong_values(&epoch) {
        let mut tried: Vec<Value> = bad_values
            .into_iter()
            .map(|bad| {
                let mut command = good.clone();
                command[field] = bad;
                command
            })
            .collect();
        if required {
            let mut command = good.clone();
            command.as_object_mut().unwrap().remove(field);
            tried.push(command);
        }
        for command in tried {
            let shown: String = command.to_string().chars().take(200).collect();
            let error = bob.is_refused(command, "invalid").await;
            assert!(text(&error["message"]).contains(field), "{shown}: {error}");
            refused += 1;
        }
    }
    assert!(refused > 70, "{refused} were tried");
    let cursor = json!({"epoch": epoch, "seq": 0});
    let both = json!({"type": "subscribe", "room": "lobby", "last": 0, "cursor": cursor});
    bob.is_refused(both, "invalid").await;
    for odd_room in ["", "no such room", "LOBBY", "../lobby", "lobby\u{0}", &"x".repeat(256)] {
        bob.is_refused(json!({"type": "subscribe", "room": odd_room, "last": 0}), "no_room").await;
    }
    bob.heard_no("event");
    bystander.goes_on().await;
}

/// Commands as they should be, one of their fields, what it must not be, and whether it has to be there.
fn wrong_values(epoch: &Value) -> Vec<(Value, &'static str, Vec<Value>, bool)> {
    let (long_txn, long_name) = ("x".repeat(65), "x".repeat(65));
    let cursor = json!({"epoch": epoch, "seq": 0});
    vec![
        (
            json!({"type": "create", "name": "Garden"}),
            "name",
            vec![json!(5), json!(null), json!(""), json!(long_name)],
            true,
        ),
        (
            json!({"type": "subscribe", "room": "lobby", "last": 0}),
            "room",
            vec![json!(5), json!(null), json!([])],
            true,
        ),
        (
            json!({"type": "subscribe", "room": "lobby", "last": 0}),
            "last",
            vec![json!(-1), json!(1.5), json!("1"), json!(1e30), json!(null)],
            true,
        ),
        (
            json!({"type": "subscribe", "room": "lobby", "cursor": cursor}),
            "cursor",
            vec![json!(5), json!({}), json!({"epoch": 5, "seq": 0}), json!({"epoch": epoch}), json!({"seq": 1})],
            true,
        ),
        (json!({"type": "unsubscribe", "room": "lobby"}), "room", vec![json!(5), json!(null)], true),
        (
            json!({"type": "post", "room": "lobby", "txn_id": "t", "text": "hi"}),
            "room",
            vec![json!(5), json!(null)],
            true,
        ),
        (
            json!({"type": "post", "room": "lobby", "txn_id": "t", "text": "hi"}),
            "txn_id",
            vec![json!(""), json!(long_txn), json!("é"), json!("a\nb"), json!("\u{7f}"), json!(5), json!(null)],
            true,
        ),
        (
            json!({"type": "post", "room": "lobby", "txn_id": "t", "text": "hi"}),
            "text",
            vec![json!(""), json!(" \n\t "), json!("\u{3000}"), json!(5), json!(null), json!(["hi"])],
            true,
        ),
        (json!({"type": "history", "room": "lobby"}), "room", vec![json!(5), json!(null)], true),
        (
            json!({"type": "history", "room": "lobby", "limit": 10}),
            "limit",
            vec![json!(0), json!(201), json!(-1), json!(1.5), json!(u64::MAX), json!(1e30), json!("5")],
            false,
        ),
        (
            json!({"type": "history", "room": "lobby"}),
            "before",
            vec![json!(-1), json!(1.5), json!("5"), json!(1e30)],
            false,
        ),
        (json!({"type": "history", "room": "lobby"}), "around", vec![json!(-1), json!(1.5), json!("5")], false),
        (json!({"type": "history", "room": "lobby", "around": 1}), "before", vec![json!(1)], false),
        (json!({"type": "read", "room": "lobby", "seq": 0}), "room", vec![json!(5)], true),
        (
            json!({"type": "read", "room": "lobby", "seq": 0}),
            "seq",
            vec![json!(-1), json!(1e9), json!("0"), json!(1_000_000)],
            true,
        ),
        (json!({"type": "read", "room": "lobby", "seq": 0}), "back", vec![json!("yes"), json!(1)], false),
        (json!({"type": "present", "room": "lobby"}), "room", vec![json!(5)], true),
        (json!({"type": "present", "room": "lobby"}), "limit", vec![json!(0), json!(201), json!(-1)], false),
        (json!({"type": "present", "room": "lobby"}), "after", vec![json!("bob"), json!(5), json!("")], false),
        (json!({"type": "typing", "room": "lobby"}), "room", vec![json!(5), json!(null)], true),
    ]
}

#[tokio::test]
async fn text_over_the_limit_is_refused_and_the_connection_stays() {
    let server = TestServer::start().await;
    let mut bob = server.guest_in("bob", "lobby").await;
    assert_eq!(bob.hello["limits"], json!({"text_bytes": 8_000, "frame_bytes": FRAME_BYTES}));
    let longest = "é".repeat(4_000);
    bob.says("lobby", &longest).await;
    bob.hears(&longest).await;
    let error = bob.is_refused(bob.post("lobby", &format!("{longest}x")), "too_long").await;
    assert!(text(&error["message"]).contains("8000"), "{error}");
    // A frame as long as a frame may be.
    let mut command = bob.post("lobby", "");
    let rest = command.to_string().len() + r#","ref":"a""#.len();
    command["text"] = "x".repeat(FRAME_BYTES - rest).into();
    command["ref"] = "a".into();
    let command = command.to_string();
    assert_eq!(command.len(), FRAME_BYTES);
    bob.send_text(&command).await;
    assert_eq!(bob.reply(&json!("a")).await["error"]["code"], "too_long");
    bob.is_answered().await;
}

#[tokio::test]
async fn what_a_server_does_not_know_it_passes_over() {
    let server = TestServer::start().await;
    let mut bob = server.guest_in("bob", "lobby").await;
    let depth = 50_000;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let post = format!(
        r#"{{"new":{{"a":[1,2,{{}}]}},"type":"post","ref":"a","deep":{deep},"room":"lobby","huge":1e9999,"txn_id":"t","text":"hi","html":"<b>"}}"#
    );
    bob.send_text(&post).await;
    assert_eq!(bob.reply(&json!("a")).await["ok"]["seq"], 1);
    assert_eq!(bob.hears("hi").await.get("html"), None, "nobody brings their own HTML");
    bob.send_text("{ \"type\" :\n\"\\u0070resent\",\t\"r\\u0065f\":\"b\",\"room\":\"\\u006cobby\"\r\n}").await;
    assert!(bob.reply(&json!("b")).await.get("ok").is_some(), "any way of writing JSON will do");
    bob.send_text(r#"{"type":"post","ref":"c","room":"lobby","txn_id":"u","text":"\ud83d\ude00"}"#).await;
    bob.hears("😀").await;
    bob.send_text(r#"{"type":"post","ref":"d","room":"lobby","txn_id":"v","text":"\ud83d"}"#).await;
    assert_eq!(bob.reply(&json!("d")).await["error"]["code"], "invalid", "half of a pair is no text");
}

#[tokio::test]
async fn broken_frames_are_closed_with_the_code_that_says_how() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::of(&server).await;
    let typing = br#"{"type":"typing","room":"lobby"}"#;
    let unmasked = [header(FIN | TEXT, typing.len() as u64, false), typing.to_vec()].concat();
    let begun = frame(TEXT, b"{");
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("an unmasked frame", unmasked, 1002),
        ("a reserved bit", frame(FIN | 0x40 | TEXT, typing), 1002),
        ("another reserved bit", frame(FIN | 0x10 | TEXT, typing), 1002),
        ("a reserved opcode", frame(FIN | 0x3, typing), 1002),
        ("a reserved control opcode", frame(FIN | 0xb, b""), 1002),
        ("a ping in fragments", frame(PING, b"x"), 1002),
        ("a long ping", frame(FIN | PING, &[b'x'; 126]), 1002),
        ("a long close", frame(FIN | CLOSE, &[3; 126]), 1002),
        ("a continuation of nothing", frame(FIN | CONTINUATION, typing), 1002),
        ("a message within a message", [begun.clone(), frame(FIN | TEXT, typing)].concat(), 1002),
        ("a close of one byte", frame(FIN | CLOSE, &[3]), 1002),
        ("a close with a code that must not be sent", frame(FIN | CLOSE, &1005_u16.to_be_bytes()), 1002),
        ("a close with a code that is none", frame(FIN | CLOSE, &999_u16.to_be_bytes()), 1002),
        ("a length in more bytes than it needs", vec![FIN | TEXT, 0xfe, 0, 5, 0, 0, 0, 0], 1002),
        ("a length over 63 bits", header(FIN | TEXT, u64::MAX, true), 1002),
        ("HTTP in place of a frame", b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".to_vec(), 1002),
        ("a binary frame", frame(FIN | BINARY, typing), 1003),
        ("the beginning of a binary message", frame(BINARY, b"x"), 1003),
        ("text that is no UTF-8", frame(FIN | TEXT, b"{\"type\":\"\xff\"}"), 1007),
        ("text that ends within a character", frame(FIN | TEXT, b"{\xf0\x9f\x98"), 1007),
        ("half a surrogate pair in UTF-8", frame(FIN | TEXT, b"\xed\xa0\x80"), 1007),
        ("no UTF-8 in fragments", [begun, frame(FIN | CONTINUATION, b"\xc3\x28")].concat(), 1007),
        ("a frame over the limit", header(FIN | TEXT, FRAME_BYTES as u64 + 1, true), 1009),
        ("a frame of 4 EB", header(FIN | TEXT, 1 << 62, true), 1009),
        (
            "fragments that together are over the limit",
            [frame(TEXT, &vec![b' '; FRAME_BYTES - 5]), header(CONTINUATION, 6, true)].concat(),
            1009,
        ),
    ];
    for (what, bytes, code) in cases {
        println!("{what}");
        let mut bob = server.raw("bob").await;
        // A length alone is enough to be refused: the mask makes the header whole.
        bob.try_write(&[bytes, vec![0; 4]].concat()).await;
        bob.expects_close(code).await;
    }
    bystander.goes_on().await;
}

#[tokio::test]
async fn a_message_may_have_so_many_fragments_and_no_more() {
    const MOST: usize = 65_536;
    let server = TestServer::start().await;
    let mut bystander = Bystander::of(&server).await;
    let command = br#"{"type":"present","ref":1,"room":"lobby"}"#;
    for (fragments, allowed) in [(MOST, true), (MOST + 1, false)] {
        let mut bytes = frame(TEXT, command);
        let empty = frame(CONTINUATION, b"");
        bytes.extend(empty.repeat(fragments - 2));
        bytes.extend(frame(FIN | CONTINUATION, b""));
        let mut bob = server.raw("bob").await;
        bob.try_write(&bytes).await;
        if allowed {
            assert_eq!(bob.next_json().await["ok"]["count"], 1);
        } else {
            bob.expects_close(1009).await;
        }
    }
    bystander.goes_on().await;
}

#[tokio::test]
async fn frames_may_come_in_any_pieces() {
    let server = TestServer::start().await;
    let mut bob = server.raw("bob").await;
    let command = br#"{"type":"present","ref":"a","room":"lobby"}"#;
    for byte in frame(FIN | TEXT, command) {
        bob.write(&[byte]).await;
    }
    assert_eq!(bob.next_json().await["ref"], "a", "byte by byte");
    let pieces = [
        frame(TEXT, &command[..10]),
        frame(FIN | PING, b"between fragments"),
        frame(CONTINUATION, &command[10..20]),
        frame(FIN | PONG, b"that nobody asked for"),
        frame(FIN | CONTINUATION, &command[20..]),
    ];
    bob.write(&pieces.concat()).await;
    assert_eq!(bob.next_frame().await, Some((FIN | PONG, b"between fragments".to_vec())));
    assert_eq!(bob.next_json().await["ref"], "a");
    let many = frame(FIN | TEXT, command).repeat(100);
    let (front, back) = many.split_at(many.len() / 2 + 7);
    bob.write(front).await;
    bob.write(back).await;
    for _ in 0..100 {
        assert_eq!(bob.next_json().await["ref"], "a", "many in a write");
    }
}

#[tokio::test]
async fn a_close_is_answered_by_its_own_code() {
    let server = TestServer::start().await;
    for code in [1000_u16, 1001, 3000, 4999] {
        let mut bob = server.raw("bob").await;
        bob.write(&frame(FIN | CLOSE, &[&code.to_be_bytes()[..], b"bye"].concat())).await;
        bob.expects_close(code).await;
    }
    let mut bob = server.raw("bob").await;
    bob.write(&frame(FIN | CLOSE, b"")).await;
    assert_eq!(bob.next_frame().await, Some((FIN | CLOSE, vec![])), "no code by no code");
    assert_eq!(bob.next_frame().await, None);
    let mut bob = server.raw("bob").await;
    let post = json!({"type": "post", "ref": 1, "room": "lobby", "txn_id": "t", "text": "last words"}).to_string();
    bob.write(&[frame(FIN | TEXT, post.as_bytes()), frame(FIN | CLOSE, &1000_u16.to_be_bytes())].concat()).await;
    assert_eq!(bob.next_json().await["ok"]["seq"], 1, "what came before the close is answered");
    bob.expects_close(1000).await;
}

#[tokio::test]
async fn whoever_breaks_off_within_a_frame_disturbs_nobody() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::of(&server).await;
    for cut in [1, 3, 7, 12] {
        let mut bob = server.raw("bob").await;
        bob.send(&json!({"type": "subscribe", "ref": 1, "room": "lobby", "last": 0})).await;
        bob.next_json().await;
        let whole = frame(FIN | TEXT, br#"{"type":"typing","room":"lobby"}"#);
        bob.write(&whole[..cut]).await;
        drop(bob);
        bystander.goes_on().await;
    }
    let fits = |push: &Value| push["count"] == 1 && push.get("left").is_some();
    bystander.client.sees_presence("all of them to go", fits).await;
}

#[tokio::test]
async fn a_handshake_that_is_none_is_refused() {
    let server = TestServer::start().await;
    let socket = || server.get("/api/socket");
    let upgrade = || socket().header("Connection", "keep-alive, Upgrade").header("Upgrade", "websocket");
    let key = |request: crate::support::http::Request| request.header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    for request in [
        socket(),
        key(socket().header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13")),
        key(socket().header("Connection", "Upgrade").header("Sec-WebSocket-Version", "13")),
        key(upgrade()),
        key(upgrade().header("Sec-WebSocket-Version", "8")),
        upgrade().header("Sec-WebSocket-Version", "13"),
        upgrade().header("Sec-WebSocket-Version", "13").header("Sec-WebSocket-Key", "short"),
        upgrade().header("Sec-WebSocket-Version", "13").header("Sec-WebSocket-Key", "AAAA"),
    ] {
        assert_eq!(request.await.error(), (400, "invalid".to_owned()));
    }
    assert_eq!(server.post("/api/socket").await.status, 405);
    assert_eq!(key(upgrade().header("Sec-WebSocket-Version", "13")).await.status, 101);
}

/// The kernel tells of the end before anyone listens, while the store is asked what the user has joined.
#[tokio::test]
async fn whoever_hangs_up_before_the_greeting_is_gone() {
    let server = TestServer::start().await;
    let bob = server.sign_up("bob").await;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let head = format!(
            "GET /api/socket HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
            server.addr, bob.token
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = in_time("the upgrade", Answer::read(&mut stream)).await;
        assert_eq!(answer.status, 101);
        stream.write_all(&frame(FIN | TEXT, br#"{"type":"typing","room":"lobby"}"#)).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut last_words = Vec::new();
        in_time("the end", stream.read_to_end(&mut last_words)).await.unwrap();
    }
}

#[tokio::test]
async fn odd_bodies_and_paths_are_refused() {
    let server = TestServer::start().await;
    let session = |body: &[u8]| server.post("/api/session").body("application/json", body);
    let deep = "[".repeat(100_000);
    let cases: [(&[u8], &str); 9] = [
        (b"{", "malformed"),
        (b"null", "invalid"),
        (b"[]", "invalid"),
        (b"{\"name\":\"bob\"", "malformed"),
        (b"{\"name\":\"\xff\"}", "malformed"),
        (b"{\"name\":5}", "invalid"),
        (b"{\"name\":\"bob\",\"admin\":true}", "invalid"),
        (b"{\"email\":\"bob@example.org\"}", "invalid"),
        (deep.as_bytes(), "invalid"),
    ];
    for (body, code) in cases {
        let answer = session(body).await;
        let shown: String = String::from_utf8_lossy(body).chars().take(60).collect();
        assert_eq!(answer.error(), (400, code.to_owned()), "{shown}");
    }
    let huge = vec![b' '; 300_000];
    assert_eq!(session(&huge).await.error(), (400, "invalid".to_owned()));
    for path in
        ["/api", "/api/", "/api/nothing", "/nothing", "/api/rooms/lobby/nothing", "/%00", "/..%2f..%2fetc%2fpasswd"]
    {
        assert_eq!(server.get(path).await.error(), (404, "not_found".to_owned()), "{path}");
    }
    assert_eq!(server.delete("/api/rooms").await.status, 405);
    assert_eq!(server.sign_up("bob").await.name, "bob", "nothing of it was carried out");
}

/// A flood of what is malformed costs its sender alone.
#[tokio::test]
async fn a_flood_of_nonsense_disturbs_nobody() {
    let server = TestServer::with(&["--limits", "off"]).await;
    let mut bystander = Bystander::of(&server).await;
    let mut bob: Raw = server.raw("bob").await;
    let flood = frame(FIN | TEXT, b"nonsense").repeat(2_000);
    bob.try_write(&flood).await;
    bystander.goes_on().await;
    for _ in 0..2_000 {
        assert_eq!(bob.next_json().await["error"]["code"], "malformed");
    }
    bystander.goes_on().await;
}
