//! How much one user, and one address, may do in a time: who is told to wait, who is shown the door, and who is not
//! troubled by it. Every client here comes from the same address, as a whole school may.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::raw::{FIN, TEXT, frame};
use crate::support::{Client, TestServer, in_time, list, number, text};

#[tokio::test]
async fn whoever_posts_too_fast_is_told_when_to_try_again() {
    let server = TestServer::with(&["--post-rate", "1"]).await;
    let (session, mut bob) = server.signed_in("bob").await;
    let (mut phone, mut eve) = (session.connects().await, server.guest_in("eve", "lobby").await);
    // Five at once; more than those only as fast as the seconds go by.
    let (accepted, refused, wait) = bob.posts_until_refused().await;
    assert!((5..15).contains(&accepted), "{accepted} were accepted");
    assert!((1..=1_000).contains(&wait), "try again in {wait} ms");
    let by_phone = phone.ask(phone.post("lobby", "by phone")).await;
    assert_eq!(by_phone.unwrap_err()["code"], "rate_limited", "all connections of a user count together");
    let by_rest = session.post("/api/rooms/lobby/messages").json(&json!({"txn_id": "r", "text": "hi"})).await;
    assert_eq!(by_rest.error(), (429, "rate_limited".to_owned()), "through whatever door");
    assert_eq!(by_rest.header("retry-after"), Some("1"));
    assert!((1..=1_000).contains(&number(&by_rest.json()["error"]["retry_after_ms"])));
    eve.says("lobby", "I am somebody else").await;
    bob.asks(json!({"type": "history", "room": "lobby", "limit": 1})).await;

    // What was refused is not stored, and may be sent again when the time has come.
    let seq = loop {
        match bob.ask(refused.clone()).await {
            Ok(posted) => break number(&posted["seq"]),
            Err(error) => tokio::time::sleep(Duration::from_millis(number(&error["retry_after_ms"]))).await,
        }
    };
    assert_eq!(seq, accepted + 2, "bob's, eve's, and now this");
}

#[tokio::test]
async fn whoever_goes_on_all_the_same_is_shown_the_door() {
    let server = TestServer::with(&["--post-rate", "1"]).await;
    let mut eve = server.guest_in("eve", "lobby").await;
    let mut bob = server.guest("bob").await;
    // The few that are accepted each begin the count anew.
    let flood: Vec<Value> = (0..3_000).map(|_| bob.post("lobby", "flood")).map(|post| with_ref(&post)).collect();
    bob.send_at_once(&flood).await;
    bob.expects_close(4029).await;
    let refused = bob.take_arrived("reply").into_iter().filter(|reply| reply["error"]["code"] == "rate_limited");
    assert!(refused.count() >= 200, "it had been told so before");
    eve.says("lobby", "quiet again").await;
    eve.find("her own words", |frame| frame["text"] == "quiet again").await;
}

#[tokio::test]
async fn other_commands_have_a_rate_too() {
    let server = TestServer::start().await;
    let (mut bob, mut eve) = (server.guest("bob").await, server.guest("eve").await);
    let commands: Vec<Value> =
        (0..380).map(|n| json!({"type": "present", "ref": n, "room": "lobby", "limit": 1})).collect();
    bob.send_at_once(&commands).await;
    bob.reply(&json!(379)).await;
    let refused = bob.take_arrived("reply").iter().filter(|reply| reply["error"]["code"] == "rate_limited").count();
    assert!((1..=180).contains(&refused), "{refused} of 380 were refused");
    eve.is_answered().await;
}

#[tokio::test]
async fn nobody_makes_too_many_rooms() {
    let server = TestServer::start().await;
    let (mut bob, mut eve) = (server.guest("bob").await, server.guest("eve").await);
    for n in 0..12 {
        bob.asks(json!({"type": "create", "name": format!("room {n}")})).await;
    }
    let error = bob.is_refused(json!({"type": "create", "name": "one too many"}), "rate_limited").await;
    assert!((1..=10_000).contains(&number(&error["retry_after_ms"])), "{error}");
    eve.asks(json!({"type": "create", "name": "eve's own"})).await;
}

#[tokio::test]
async fn a_full_server_says_so_and_makes_room_when_somebody_goes() {
    let server = TestServer::with(&["--connections", "2"]).await;
    let session = server.sign_up("bob").await;
    let (mut alice, eve) = (server.guest("alice").await, server.guest("eve").await);
    for knock in [server.knock("/api/socket"), server.knock("/api/socket").bearer(&session.token)] {
        let answer = knock.await;
        assert_eq!(answer.error(), (503, "unavailable".to_owned()));
    }
    assert_eq!(server.get("/api/rooms").await.status, 200, "requests are answered all the same");
    alice.is_answered().await;
    eve.leaves().await;
    server.admits("/api/socket").await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_without_a_session() {
    let server = TestServer::with(&["--connections-per-address", "2"]).await;
    let session = server.sign_up("bob").await;
    let (_alice, eve) = (server.guest("alice").await, server.guest("eve").await);
    let answer = server.knock("/api/socket").await;
    assert_eq!(answer.error(), (429, "rate_limited".to_owned()));
    assert!(answer.header("retry-after").is_some());
    session.connects().await.is_answered().await;
    eve.crashes();
    server.admits("/api/socket").await;
}

#[tokio::test]
async fn an_address_brings_so_many_new_guests() {
    let server = TestServer::with(&["--arrival-rate", "1"]).await;
    let session = server.sign_up("bob").await;
    // Sixty at once; more than those only as fast as the seconds go by.
    let mut arrived = 1;
    let refused = loop {
        let answer = if arrived % 2 == 0 {
            server.post("/api/session").json(&json!({"name": format!("guest no {arrived}")})).await
        } else {
            server.knock("/api/socket").await
        };
        if !matches!(answer.status, 101 | 201) {
            break answer;
        }
        arrived += 1;
        assert!(arrived < 200, "nobody is refused");
    };
    assert!(arrived >= 60, "{arrived} arrived");
    assert_eq!(refused.error(), (429, "rate_limited".to_owned()));
    assert!((1..=1_000).contains(&number(&refused.json()["error"]["retry_after_ms"])));
    session.connects().await.says("lobby", "who has a session comes and goes").await;
    assert_eq!(server.get("/").await.status, 200);
}

#[tokio::test]
async fn without_limits_rates_and_caps_are_gone_and_bounds_stay() {
    let options = ["--limits", "off", "--post-rate", "1", "--connections", "1", "--connections-per-address", "1"];
    let server = TestServer::with(&options).await;
    let (mut alice, mut bob) = (server.guest_in("alice", "lobby").await, server.guest("bob").await);
    let seqs = bob.says_all("lobby", (0..300).map(|n| n.to_string())).await;
    assert_eq!(seqs.len(), 300);
    alice.hears_events("lobby", 300).await;
    for n in 0..20 {
        bob.asks(json!({"type": "create", "name": format!("room {n}")})).await;
    }
    bob.is_refused(bob.post("lobby", &"x".repeat(8_001)), "too_long").await;
    let too_big = format!(r#"{{"type":"post","x":"{}"}}"#, "x".repeat(262_144));
    bob.send_text(&too_big).await;
    bob.expects_close(1009).await;
}

#[tokio::test]
async fn the_longest_text_is_an_option() {
    let server = TestServer::with(&["--text-bytes", "10"]).await;
    let (session, mut bob) = server.signed_in("bob").await;
    assert_eq!(bob.hello["limits"]["text_bytes"], 10);
    bob.says("lobby", "0123456789").await;
    let error = bob.is_refused(bob.post("lobby", "0123456789x"), "too_long").await;
    assert!(text(&error["message"]).contains("at most 10 bytes"), "{error}");
    let by_rest = session.post("/api/rooms/lobby/messages").json(&json!({"txn_id": "r", "text": "0123456789x"})).await;
    assert_eq!(by_rest.error(), (413, "too_long".to_owned()));
}

/// Else anyone could make the server keep any amount of replies for them.
#[tokio::test]
async fn whoever_does_not_read_replies_is_not_listened_to() {
    // Together far more than the kernel keeps for a socket: half a megabyte each.
    const PAGES: usize = 60;
    let server = TestServer::with(&["--limits", "off"]).await;
    let mut eve = server.guest("eve").await;
    eve.says_all("lobby", (0..200).map(|_| "x".repeat(7_900))).await;
    eve.subscribes("lobby").await;
    let mut bob = server.raw("bob").await;
    let page = json!({"type": "history", "ref": 1, "room": "lobby", "before": 201, "limit": 200});
    let post = json!({"type": "post", "ref": 2, "room": "lobby", "txn_id": "t", "text": "at last"});
    let mut commands = frame(FIN | TEXT, page.to_string().as_bytes()).repeat(PAGES);
    commands.extend(frame(FIN | TEXT, post.to_string().as_bytes()));
    bob.write(&commands).await;
    // Somebody else asks for twice as much meanwhile, and reads it.
    let mut ann = server.guest("ann").await;
    for _ in 0..2 * PAGES {
        ann.asks(json!({"type": "history", "room": "lobby", "before": 201, "limit": 200})).await;
    }
    ann.says("lobby", "ann is done").await;
    // In place of "at last".
    eve.hears("ann is done").await;
    for _ in 0..PAGES {
        let reply = bob.next_reply().await;
        assert_eq!(list(&reply["ok"]["messages"]).last().unwrap()["seq"], 200);
    }
    assert_eq!(bob.next_reply().await["ref"], 2);
    eve.hears("at last").await;
}

impl Client {
    /// Gives how many posts were accepted, the post that was not, and how long it is to wait.
    async fn posts_until_refused(&mut self) -> (u64, Value, u64) {
        for accepted in 0.. {
            let post = self.post("lobby", &format!("no {accepted}"));
            match self.ask(post.clone()).await {
                Ok(_) => assert!(accepted < 100, "nothing is refused"),
                Err(error) => {
                    assert_eq!(error["code"], "rate_limited");
                    return (accepted, post, number(&error["retry_after_ms"]));
                }
            }
        }
        unreachable!()
    }
}

impl TestServer {
    /// Knocks until there is room: somebody has just gone.
    async fn admits(&self, path: &str) {
        in_time("room for one more", async {
            while self.knock(path).await.status != 101 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

fn with_ref(post: &Value) -> Value {
    let mut post = post.clone();
    post["ref"] = post["txn_id"].clone();
    post
}

#[tokio::test]
async fn what_cannot_be_read_is_limited_like_what_can() {
    let server = TestServer::start().await;
    let mut mallory = server.raw("mallory").await;
    for _ in 0..40 {
        let faulty: Vec<u8> = (0..20).flat_map(|_| frame(FIN | TEXT, br#"{"type":"read","room":"lobby"}"#)).collect();
        mallory.try_write(&faulty).await;
    }
    mallory.expects_close(4029).await;
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes_too() {
    let server = TestServer::with(&["--limits", "off"]).await;
    let mut alice = server.guest("alice").await;
    let long = "x".repeat(7_990);
    alice.says_all("lobby", (0..200).map(|n| format!("{n} {long}"))).await;
    let mut before = u64::MAX;
    let mut seen = 0;
    while before > 1 {
        let command = json!({"type": "history", "room": "lobby", "limit": 200, "before": before});
        let page = alice.asks(command).await;
        let messages = list(&page["messages"]);
        let bytes: usize = messages.iter().map(|message| text(&message["text"]).len()).sum();
        assert!(bytes <= 512 << 10 && !messages.is_empty(), "{bytes} bytes in {} messages", messages.len());
        seen += messages.len();
        before = number(&messages[0]["seq"]);
        assert_eq!(page["more"], before > 1, "a page that was cut says that there is more");
    }
    assert_eq!(seen, 200);
}

#[tokio::test]
async fn a_room_that_cannot_be_is_not_given_back() {
    let server = TestServer::start().await;
    let mut alice = server.guest("alice").await;
    let room = "x".repeat(100_000);
    for command in ["post", "history", "subscribe", "unsubscribe", "read", "present", "typing"] {
        let command = json!({"type": command, "room": room, "txn_id": "a", "text": "a", "last": 0, "seq": 0});
        let error = alice.is_refused(command, "invalid").await;
        assert_eq!(error["message"], "room: expected at most 256 bytes");
    }
    let error = alice.is_refused(json!({"type": "read", "room": "lobby", "seq": room}), "invalid").await;
    assert!(text(&error["message"]).len() < 300);
}
