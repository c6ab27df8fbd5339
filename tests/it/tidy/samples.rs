//! Every sample in docs/protocol.md against the code: commands are understood to the last field, and replies and
//! pushes have the form of those that a real server sends in the play below.

use chinwag::config::Hidden;
use chinwag::protocol::{Command, Epoch, PlaceLook, Push, Role};
use serde_json::{Value, json};

use super::{none, read};
use crate::support::redis::RedisServer;
use crate::support::{Client, Session, TestServer, text};

/// Fields that hold one of a few words, or stand only where they are true: a sample's must have been sent so.
const WORDS: [&str; 6] = ["type", "kind", "change", "code", "gone", "redacted"];

#[test]
fn the_samples_of_commands_are_understood() {
    let mut faults = Vec::new();
    for sample in samples("Commands").into_iter().filter(|sample| sample["type"] != "reply") {
        let text = sample.to_string();
        if let (_, Err(fault)) = Command::parse(&text) {
            faults.push(format!("docs/protocol.md: {text} is refused: {fault:?}"));
        }
        for field in sample.as_object().expect("a sample is an object").keys() {
            // An object in an object's place is of the wrong type for every field there is.
            let mut odd = sample.clone();
            odd[field] = json!([[]]);
            if Command::parse(&odd.to_string()).1.is_ok() {
                faults.push(format!("docs/protocol.md: the field {field} of {text} means nothing"));
            }
        }
    }
    none(&faults);
}

#[tokio::test]
async fn the_samples_of_replies_and_pushes_are_what_a_server_sends() {
    let sent = play().await;
    let replies = samples("Commands").into_iter().filter(|sample| sample["type"] == "reply");
    let told: Vec<_> = samples("Connecting").into_iter().chain(replies).chain(samples("Pushes")).collect();
    let mut faults = Vec::new();
    for sample in &told {
        if !sent.iter().any(|real| is_like(sample, real, "")) {
            let alike: Vec<_> =
                sent.iter().filter(|real| real["type"] == sample["type"]).map(Value::to_string).collect();
            let alike = alike.join("\n    ");
            faults.push(format!(
                "docs/protocol.md: nothing like this was sent:\n    {sample}\nbut:\n    {alike}\n\
                 mend the sample, or have tests/it/tidy/samples.rs bring it about"
            ));
        }
    }
    for real in &sent {
        if !told.iter().any(|sample| is_like(sample, real, "")) && real["type"] != "reply" {
            faults.push(format!("docs/protocol.md has no sample like this: add one\n    {real}"));
        }
    }
    none(&faults);
}

/// Brings about every push and every reply, and gives them all.
async fn play() -> Vec<Value> {
    let server = TestServer::with(&["--post-rate", "3"]).await;
    let mut sent = Vec::new();

    let (bobs_session, mut bob) = server.signed_in("bob").await;
    let (eves_session, mut eve) = server.signed_in("eve").await;
    sent.push(bob.hello.clone());

    for command in [
        json!({"type": "create", "ref": 1, "name": "Reading club"}),
        json!({"type": "create", "ref": 2, "name": "Reading club"}),
        json!({"type": "create", "ref": 3, "name": "Garden"}),
        json!({"type": "subscribe", "ref": 4, "room": "lobby", "last": 0}),
        json!({"type": "subscribe", "ref": 5, "room": "garden", "last": 0}),
    ] {
        bob.send(&command).await;
        sent.push(bob.reply(&command["ref"]).await);
    }
    sent.push(bob.sees_presence("all of the lobby", |push| push["room"] == "lobby" && push["online"].is_array()).await);

    eve.subscribes("lobby").await;
    sent.push(bob.sees_presence("eve coming", |push| push["joined"].is_array()).await);
    eve.asks(json!({"type": "typing", "room": "lobby"})).await;
    sent.push(bob.find("eve typing", |push| push["type"] == "typing" && push["users"] != json!([])).await);
    eve.says("lobby", "@bob hi").await;
    sent.push(bob.hears("@bob hi").await);
    eve.unsubscribes("lobby").await;
    sent.push(bob.sees_presence("eve going", |push| push["left"].is_array()).await);

    assert_eq!(eves_session.put("/api/rooms/garden/members/me").await.status, 204);
    let joins = |push: &Value| push["type"] == "event" && push["room"] == "garden";
    sent.push(bob.find("eve joining", joins).await);
    sent.extend(changes_a_room(&server, &bobs_session, &mut bob, &eves_session.id).await);

    let posted = json!({"type": "post", "ref": 6, "room": "lobby", "txn_id": "c0ffee-1", "text": "hello *there*"});
    bob.send(&posted).await;
    let reply = bob.reply(&json!(6)).await;
    sent.push(bob.hears("hello *there*").await);
    let (epoch, head) = (text(&bob.hello["rooms"][0]["epoch"]), reply["ok"]["seq"].clone());
    sent.push(reply);
    bob.says("lobby", "good morning").await;
    for command in [
        json!({"type": "history", "ref": 7, "room": "lobby"}),
        json!({"type": "read", "ref": 8, "room": "lobby", "seq": head}),
        json!({"type": "present", "ref": 9, "room": "lobby"}),
        json!({"type": "subscribe", "ref": 10, "room": "lobby", "cursor": {"epoch": epoch, "seq": 1}}),
        json!({"type": "subscribe", "ref": 11, "room": "lobby", "cursor": {"epoch": "another", "seq": 1}}),
        json!({"type": "unsubscribe", "ref": 12, "room": "garden"}),
    ] {
        bob.send(&command).await;
        sent.push(bob.reply(&command["ref"]).await);
    }

    eve.says("garden", "@bob look").await;
    let of_the_garden = |push: &Value| push["type"] == "room" && push["room"] == "garden" && push["mentions"] == 1;
    sent.push(bob.find("what is unread", of_the_garden).await);
    assert_eq!(bobs_session.delete("/api/rooms/garden/members/me").await.status, 204);
    sent.push(bob.find("the end of a membership", |push| push["gone"] == true).await);
    assert_eq!(eves_session.patch("/api/session").json(&json!({"name": "robert"})).await.status, 200);
    sent.push(bob.next_push("user").await);

    sent.push(is_too_fast(&mut bob).await);
    // No store of ours ever begins a log anew while somebody reads it: this is the code's word alone.
    let (room, reset) = ("lobby".into(), Epoch(1));
    let look = PlaceLook { name: "The Potting Shed", welcome: "Mind the hoses.", accent: Some("#0a7d5c") };
    let told = [
        Push::Reset { room: &room, epoch: reset, oldest: 1, head: 12 },
        Push::Place(look),
        Push::Me { role: Role::Moderator, muted_until: None },
        Push::Store { away: true },
    ];
    sent.extend(told.map(|push| serde_json::from_str::<Value>(&push.json()).unwrap()));
    sent.push(told_that_the_store_is_away().await);
    sent
}

async fn told_that_the_store_is_away() -> Value {
    let mut redis = RedisServer::start();
    let server = TestServer::set_up(&[], |config| config.redis_url = Some(Hidden(redis.url()))).await;
    let mut bob = server.guest("bob").await;
    redis.kill();
    bob.next_push("store").await
}

/// What the owner of a room may do in it, as events.
async fn changes_a_room(server: &TestServer, owner: &Session, bob: &mut Client, eve: &str) -> Vec<Value> {
    let ann = server.sign_up("ann").await;
    let garden = |rest: &str| format!("/api/rooms/garden{rest}");
    let of = |key: &'static str, word: &'static str| move |push: &Value| push["room"] == "garden" && push[key] == word;
    let mut events = Vec::new();
    assert_eq!(owner.put(&garden(&format!("/members/{}", ann.id))).json(&json!({})).await.status, 204);
    events.push(bob.find("ann let in", of("change", "added")).await);
    let role = json!({"role": "moderator"});
    assert_eq!(owner.put(&garden(&format!("/members/{eve}"))).json(&role).await.status, 204);
    events.push(bob.find("eve's role", of("change", "role")).await);
    assert_eq!(owner.patch(&garden("")).json(&json!({"topic": "What grows"})).await.status, 200);
    events.push(bob.find("the topic", of("kind", "topic")).await);
    let seq = bob.says("garden", "a slip").await;
    bob.hears("a slip").await;
    assert_eq!(owner.delete(&garden(&format!("/messages/{seq}"))).await.status, 200);
    events.push(bob.find("the slip taken back", of("kind", "delete")).await);
    events
}

/// The reply that it was too fast, to one of so many that one must be.
async fn is_too_fast(who: &mut Client) -> Value {
    for n in 100..200 {
        who.send(&json!({"type": "post", "ref": n, "room": "lobby", "txn_id": format!("t{n}"), "text": "quick"})).await;
        let reply = who.reply(&json!(n)).await;
        if reply["error"]["code"] == "rate_limited" {
            return reply;
        }
    }
    panic!("nobody is too fast");
}

/// The JSON samples of a chapter.
fn samples(chapter: &str) -> Vec<Value> {
    let document = read("docs/protocol.md");
    let (_, after) =
        document.split_once(&format!("\n## {chapter}\n")).unwrap_or_else(|| panic!("no chapter {chapter}"));
    let chapter = after.split("\n## ").next().expect("a split has a first part");
    let blocks = chapter.split("\n```json\n").skip(1).filter_map(|block| block.split("\n```").next());
    let samples = blocks.flat_map(str::lines).map(|line| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("docs/protocol.md: {error} in the sample {line}"))
    });
    let samples: Vec<Value> = samples.collect();
    assert!(!samples.is_empty(), "the samples are found");
    samples
}

/// Whether a sample has the form of what was sent: the same fields of the same types, at every depth.
fn is_like(sample: &Value, real: &Value, field: &str) -> bool {
    match (sample, real) {
        (Value::Object(sample), Value::Object(real)) => {
            sample.len() == real.len()
                && sample.iter().all(|(key, value)| real.get(key).is_some_and(|real| is_like(value, real, key)))
        }
        (Value::Array(sample), Value::Array(real)) => {
            sample.is_empty() == real.is_empty()
                && sample.iter().all(|one| real.iter().any(|other| is_like(one, other, field)))
        }
        (sample, real) if WORDS.contains(&field) => sample == real,
        (Value::String(sample), Value::String(real)) if field == "message" => plain(sample) == plain(real),
        (Value::String(sample), Value::String(real)) => kind_of_string(sample) == kind_of_string(real),
        (Value::Number(_), Value::Number(_)) | (Value::Bool(_), Value::Bool(_)) | (Value::Null, Value::Null) => true,
        _ => false,
    }
}

/// The text without its numbers.
fn plain(message: &str) -> String {
    message.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("0")
}

fn kind_of_string(string: &str) -> &'static str {
    if string.parse::<uuid::Uuid>().is_ok() {
        "an id"
    } else if string.len() == 16 && string.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        "an epoch"
    } else if string.parse::<jiff::Timestamp>().is_ok() {
        "a time"
    } else if string.starts_with("/avatars/") {
        "a picture"
    } else if string.starts_with('<') {
        "HTML"
    } else {
        "words"
    }
}
