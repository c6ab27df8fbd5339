//! Two nodes on one Redis: whoever is on one notices nothing of it, and what is done on one holds on the other.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::http::Answer;
use crate::support::process::{Process, chinwag};
use crate::support::redis::{RedisServer, until};
use crate::support::{Call, Session, TestServer, in_time, number, text};

/// Two nodes, where nobody is held up by limits.
async fn two_nodes(redis: &RedisServer) -> (TestServer, TestServer) {
    (node(redis).await, node(redis).await)
}

async fn node(redis: &RedisServer) -> TestServer {
    TestServer::on_redis(redis.url(), &[]).await
}

/// A moderator, who is signed in at the first node.
async fn moderator(server: &TestServer) -> Session {
    let (olga, mia) = (server.owner().await, server.register("mia").await);
    olga.appoints(&mia, "moderator").await;
    mia
}

#[tokio::test]
async fn who_is_on_another_node_is_present_and_goes() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis).await;
    let mut alice = one.guest_in("alice", "lobby").await;
    let mut bob = two.guest_in("bob", "lobby").await;
    alice.sees_joined("bob").await;
    assert_eq!(alice.sees_present("lobby").await.len(), 2);
    bob.sees_presence("alice", |push| push["count"] == 2).await;
    alice.says("lobby", "hello").await;
    bob.hears("hello").await;
    let id = bob.id.clone();
    bob.leaves().await;
    alice.sees_left(&id).await;
}

#[tokio::test]
async fn who_types_on_another_node_is_seen_typing() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis).await;
    let mut alice = one.guest_in("alice", "lobby").await;
    let mut bob = two.guest_in("bob", "lobby").await;
    alice.sees_joined("bob").await;
    bob.send(&json!({"type": "typing", "room": "lobby"})).await;
    let by = |push: &Value, user: &str| push["type"] == "typing" && push["users"][0]["name"] == user;
    alice.sees("bob typing", |push| by(push, "bob")).await;
}

#[tokio::test]
async fn a_guests_name_is_held_on_every_node() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis).await;
    let first = one.guest("bob").await;
    let second = two.guest("bob").await;
    assert_eq!((&*first.name, &*second.name), ("bob", "bob-2"));
    first.leaves().await;
    drop(second);
    let mut eve = two.guest("eve").await;
    // The name is let go of a moment after the connection.
    let mut tries = 0..100;
    while two.guest("bob").await.name != "bob" {
        tries.next().expect("bob's name is free again");
        eve.is_answered().await;
    }
}

#[tokio::test]
async fn a_mute_a_kick_and_a_ban_hold_on_every_node() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis).await;
    let mia = moderator(&one).await;
    let bob = two.register("bob").await;
    let mut tab = bob.connects_to("lobby").await;
    assert_eq!(mia.acts_on(&bob.id, "mute", &json!({"minutes": 5})).await.status, 204);
    let told = tab.next_push("me").await;
    assert!(told["muted_until"].is_string(), "{told}");
    tab.is_refused(tab.post("lobby", "may I?"), "muted").await;
    assert_eq!(mia.acts_on(&bob.id, "kick", &json!({})).await.status, 204);
    tab.expects_close(4001).await;
    let mut tab = bob.connects_to("lobby").await;
    assert_eq!(mia.acts_on(&bob.id, "ban", &json!({})).await.status, 204);
    tab.expects_close(1008).await;
}

#[tokio::test]
async fn what_another_node_asks_for_is_done_as_soon_as_the_store_can_be_read() {
    let redis = RedisServer::start();
    let one = node(&redis).await;
    let two = TestServer::on_redis(url_of_its_own(&redis), &[]).await;
    let mia = moderator(&one).await;
    let bob = one.register("bob").await;
    let mut tab = bob.at(&two).connects_to("lobby").await;
    permit(&redis, &["-hgetall"]);
    mia.does(mia.acts_on(&bob.id, "mute", &json!({"minutes": 5}))).await;
    redis.until("two has tried", &["ACL", "LOG"], |log| log.contains("hgetall"));
    permit(&redis, &["+hgetall"]);
    assert!(tab.next_push("me").await["muted_until"].is_string());
}

#[tokio::test]
async fn who_is_present_is_asked_again_until_there_is_an_answer() {
    let redis = RedisServer::start();
    let one = node(&redis).await;
    let mut alice = one.guest_in("alice", "lobby").await;
    redis.until("alice is noted", &["EXISTS", "chinwag:{lobby}:present"], |there| there == "1");
    let url = url_of_its_own(&redis);
    permit(&redis, &["resetkeys", "~{chinwag}:*", "~chinwag:{lobby}:[^p]*"]);
    let two = TestServer::on_redis(url, &[]).await;
    let mut bob = two.guest_in("bob", "lobby").await;
    redis.until("two has tried", &["ACL", "LOG"], |log| log.contains("chinwag:{lobby}:present"));
    permit(&redis, &["~*"]);
    bob.sees_joined("alice").await;
    alice.says("lobby", "hello").await;
    bob.hears("hello").await;
}

/// As a user who may do all, until `permit` says otherwise.
fn url_of_its_own(redis: &RedisServer) -> String {
    permit(redis, &["on", "nopass", "~*", "&*", "+@all"]);
    format!("redis://app:any@127.0.0.1:{}", redis.port())
}

fn permit(redis: &RedisServer, rules: &[&str]) {
    redis.sets(&[&["ACL", "SETUSER", "app"], rules].concat());
}

#[tokio::test]
async fn slow_mode_holds_on_every_node() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis).await;
    let (ann, bob) = (one.register("ann").await, one.register("bob").await);
    let garden = ann.makes_room("public", "Garden").await;
    ann.sets(&garden, &json!({"slow_seconds": 300})).await;
    bob.writes(&garden, "one").await;
    assert_eq!(bob.at(&two).posts(&garden, "two").await.error(), (429, "slow_mode".to_owned()));
}

#[tokio::test]
async fn a_guest_who_has_said_nothing_is_banned_by_another_node() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis).await;
    let mia = moderator(&one).await;
    let mut watching = mia.connects_to("lobby").await;
    let mut gus = two.guest_in("gus", "lobby").await;
    watching.sees_joined("gus").await;
    assert_eq!(mia.acts_on(&gus.id, "ban", &json!({})).await.status, 204);
    gus.expects_close(1008).await;
    watching.sees_left(&gus.id).await;
}

#[tokio::test]
async fn a_session_that_ends_on_one_node_is_over_on_the_other() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis).await;
    let bob = one.register("bob").await;
    let mut tab = bob.at(&two).connects_to("lobby").await;
    bob.does(bob.delete("/api/session")).await;
    tab.expects_close(4001).await;
}

#[tokio::test]
async fn the_places_settings_are_those_of_all_nodes() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis).await;
    let olga = one.owner().await;
    let mut bob = two.guest_in("bob", "lobby").await;
    let set = olga.patch("/api/place").json(&json!({"name": "The Shed", "guests_paused": true})).await;
    assert_eq!(set.status, 200, "{}", set.text());
    assert_eq!(bob.next_push("place").await["name"], "The Shed");
    assert_eq!(two.get("/api/place").await.json()["guests"], false);
}

#[tokio::test]
async fn a_read_marker_moves_on_every_node() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis).await;
    let bob = one.register("bob").await;
    let (mut desk, mut phone) = (bob.connects_to("lobby").await, bob.at(&two).connects().await);
    let mut alice = one.guest("alice").await;
    let seq = alice.says("lobby", "hello").await;
    phone.sees("the message unread", |push| push["type"] == "room" && push["unread"] == 1).await;
    desk.hears("hello").await;
    desk.asks(json!({"type": "read", "room": "lobby", "seq": seq})).await;
    let read = phone.find("it read", |push| push["type"] == "room" && push["unread"] == 0).await;
    assert_eq!(number(&read["read"]), seq);
}

#[tokio::test]
async fn who_is_let_into_a_room_and_taken_out_on_another_node_is_told() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis).await;
    let (ann, bob) = (one.register("ann").await, two.register("bob").await);
    let mut tab = bob.connects().await;
    let room = ann.makes_room("private", "shed").await;
    ann.lets_in(&room, &bob).await;
    tab.sees("the room", |push| push["type"] == "room" && push["room"] == *room).await;
    tab.subscribes(&room).await;
    ann.writes(&room, "welcome").await;
    tab.hears("welcome").await;
    ann.does(ann.takes_out(&room, &bob)).await;
    tab.sees("the room gone", |push| push["type"] == "room" && push["gone"] == true).await;
}

#[tokio::test]
async fn a_node_that_stops_takes_its_people_with_it_at_once() {
    let redis = RedisServer::start();
    let (one, mut two) = two_nodes(&redis).await;
    let mut alice = one.guest_in("alice", "lobby").await;
    let mut bob = two.guest_in("bob", "lobby").await;
    alice.sees_joined("bob").await;
    let id = bob.id.clone();
    let (stopped, _, ()) = tokio::join!(two.stop(), alice.sees_left(&id), bob.expects_close(1001));
    stopped.expect("a clean stop");
}

#[tokio::test]
async fn what_a_node_does_while_it_stops_holds_on_the_others() {
    let redis = RedisServer::start();
    let (one, mut two) = two_nodes(&redis).await;
    let mia = moderator(&one).await;
    let bob = one.register("bob").await;
    let mut tab = bob.connects_to("lobby").await;
    let mut gus = two.guest_in("gus", "lobby").await;
    tab.sees_joined("gus").await;
    let gone = gus.id.clone();
    let (mut stream, body) = mia.at(&two).acts_on(&bob.id, "kick", &json!({})).waits_for_body().await;
    let goes_on = async {
        // The node has said by now that it leaves.
        tab.sees_left(&gone).await;
        stream.write_all(&body).await.expect("the request is still read");
        assert_eq!(Answer::read(&mut stream).await.status, 204);
        tab.expects_close(4001).await;
    };
    let (stopped, (), ()) = tokio::join!(two.stop(), gus.expects_close(1001), goes_on);
    stopped.expect("a clean stop");
}

#[tokio::test]
async fn the_people_of_a_node_that_was_killed_are_gone() {
    let redis = RedisServer::start();
    let one = node(&redis).await;
    let two = Process::spawn(chinwag().args(["--addr", "127.0.0.1:0"]).env("REDIS_URL", redis.url()));
    let mut alice = one.guest_in("alice", "lobby").await;
    let mut bob = Call::new(two.addr).name("bob").await;
    bob.subscribes("lobby").await;
    let joined = alice.sees_joined("bob").await;
    assert_eq!(text(&joined["joined"][0]["name"]), "bob");
    two.kill();
    // Its lease is not waited for, which takes up to 20 seconds.
    for name in redis.ask(&["--scan", "--pattern", "{chinwag}:node:*"]).lines() {
        redis.ask(&["EXPIRE", name, "6"]);
    }
    alice.sees_left(&bob.id).await;
}

#[tokio::test]
async fn while_redis_is_away_people_are_told_and_posts_wait() {
    let mut redis = RedisServer::start();
    let server = node(&redis).await;
    let mut alice = server.guest_in("alice", "lobby").await;
    alice.says("lobby", "before").await;
    alice.hears("before").await;
    redis.kill();
    assert_eq!(alice.next_push("store").await["away"], true);
    let post = alice.post("lobby", "meanwhile");
    alice.is_refused(post.clone(), "unavailable").await;
    assert_eq!(server.get("/ready").await.status, 503);
    assert_eq!(server.get("/health").await.json()["store"], "away");
    redis.start_again();
    assert_eq!(alice.next_push("store").await["away"], false);
    alice.asks(post).await;
    alice.hears("meanwhile").await;
    assert_eq!(server.get("/ready").await.status, 200);
}

#[tokio::test]
async fn who_may_do_the_same_as_before_goes_on_without_a_word_when_redis_is_back() {
    let mut redis = RedisServer::start();
    let server = node(&redis).await;
    let (ann, bob) = (server.register("ann").await, server.register("bob").await);
    let den = ann.makes_room("private", "Den").await;
    ann.lets_in(&den, &bob).await;
    let mut tab = bob.connects_to(&den).await;
    ann.writes(&den, "before").await;
    tab.hears("before").await;
    redis.kill();
    assert_eq!(tab.next_push("store").await["away"], true);
    redis.start_again();
    assert_eq!(tab.next_push("store").await["away"], false);
    ann.writes(&den, "after").await;
    tab.hears("after").await;
    tab.heard_no("reset");
    tab.heard_no("me");
}

#[tokio::test]
async fn a_session_that_ended_while_a_node_was_cut_off_is_over_when_it_is_back() {
    let redis = RedisServer::start();
    let server = node(&redis).await;
    let bob = server.register("bob").await;
    let mut tab = bob.connects_to("lobby").await;
    // As another node would have, whose notice got lost on the way.
    for name in redis.ask(&["--scan", "--pattern", "{chinwag}:session:*"]).lines() {
        redis.ask(&["DEL", name]);
    }
    redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    tab.expects_close(4001).await;
}

#[tokio::test]
async fn a_place_in_another_database_of_the_same_redis_hears_nothing() {
    let redis = RedisServer::start();
    let one = TestServer::on_redis(format!("{}/0", redis.url()), &[]).await;
    let other = TestServer::on_redis(format!("{}/1", redis.url()), &[]).await;
    let third = TestServer::on_redis(format!("{}/1", redis.url()), &[]).await;
    let mut bob = other.guest_in("bob", "lobby").await;
    let mut alice = one.guest_in("alice", "lobby").await;
    alice.says("lobby", "not for bob").await;
    alice.hears("not for bob").await;
    // What comes after it from his own place: nothing came before.
    let mut carol = third.guest_in("carol", "lobby").await;
    bob.sees_joined("carol").await;
    assert_eq!(bob.sees_present("lobby").await.len(), 2);
    carol.says("lobby", "for bob").await;
    assert_eq!(text(&bob.next_push("event").await["author"]["name"]), "carol");
}

#[tokio::test]
async fn who_cannot_be_read_when_redis_is_back_holds_nobody_up() {
    let redis = RedisServer::start();
    let server = node(&redis).await;
    let bob = server.register("bob").await;
    let mut tab = bob.connects_to("lobby").await;
    let mut alice = server.guest_in("alice", "lobby").await;
    redis.ask(&["HSET", &format!("{{chinwag}}:user:{}", bob.id), "role", "nonsense"]);
    redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    tab.expects_close(1001).await;
    assert_eq!(alice.next_push("store").await["away"], true);
    assert_eq!(alice.next_push("store").await["away"], false);
}

/// What append.lua does with an event, but for telling of it.
const APPEND_UNHEARD: &str = r#"
local room, log = 'chinwag:{lobby}:room', 'chinwag:{lobby}:log'
local last = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
local seq = redis.call('HINCRBY', room, 'head', 1)
local head = string.gsub(last[2][2], '"id":"%x%x%x%x%x%x%x%x', '"id":"01234567', 1)
return redis.call('XADD', log, seq .. '-0', 'e', head, 'c', last[2][4])
"#;

#[tokio::test]
async fn an_event_of_which_nobody_was_told_is_heard_of() {
    let redis = RedisServer::start();
    let server = node(&redis).await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let seq = alice.says("lobby", "hello").await;
    alice.hears("hello").await;
    assert_eq!(redis.ask(&["EVAL", APPEND_UNHEARD, "0"]), format!("{}-0", seq + 1));
    assert_eq!(alice.hears("hello").await["seq"], seq + 1);
    assert_eq!(alice.says("lobby", "on it goes").await, seq + 2);
    alice.hears("on it goes").await;
}

#[tokio::test]
async fn whose_node_stops_goes_on_at_another_where_they_were() {
    let redis = RedisServer::start();
    let (one, mut two) = two_nodes(&redis).await;
    let mut alice = one.guest_in("alice", "lobby").await;
    let (session, mut bob) = two.signed_in("bob").await;
    let epoch = bob.subscribes("lobby").await["epoch"].clone();
    let seq = alice.says("lobby", "before").await;
    bob.hears("before").await;
    let (stopped, ()) = tokio::join!(two.stop(), bob.expects_close(1001));
    stopped.expect("a clean stop");
    alice.says("lobby", "meanwhile").await;
    let mut bob = session.at(&one).connects().await;
    bob.resumes("lobby", &epoch, seq).await;
    assert_eq!(bob.hears("meanwhile").await["seq"], seq + 1);
    bob.says("lobby", "here again").await;
    bob.hears("here again").await;
}

#[tokio::test]
async fn where_redis_was_emptied_people_can_talk_again() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis).await;
    let mut alice = one.guest_in("alice", "lobby").await;
    alice.says("lobby", "lost").await;
    alice.hears("lost").await;
    redis.ask(&["FLUSHALL"]);
    let post = alice.post("lobby", "anew");
    let taken = async { while alice.ask(post.clone()).await.is_err() {} };
    in_time("another lobby", taken).await;
    alice.subscribes_to_last("lobby", 10).await;
    alice.hears("anew").await;
    let mut bob = two.guest("bob").await;
    bob.subscribes_to_last("lobby", 10).await;
    bob.hears("anew").await;
    bob.says("lobby", "so be it").await;
    alice.hears("so be it").await;
}

#[tokio::test]
async fn while_redis_stands_still_nobody_waits_for_all_the_others() {
    let redis = RedisServer::start();
    let server = node(&redis).await;
    let ann = server.register("ann").await;
    redis.pause();
    let asked = (0..20).map(|_| async { ann.get("/api/session").await.status });
    assert_eq!(in_time("all to be refused", join_all(asked)).await, [503; 20]);
    // The connection is given up by now, and nobody gets another.
    let asked = (0..20).map(|_| async { ann.get("/api/session").await.status });
    assert_eq!(in_time("all to be refused again", join_all(asked)).await, [503; 20]);
    redis.resume();
}

#[tokio::test]
async fn a_node_that_connects_again_leaves_all_its_connections() {
    let redis = RedisServer::start();
    let server = node(&redis).await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let connections = || {
        let list = redis.ask(&["CLIENT", "LIST", "TYPE", "normal"]);
        list.lines().map(|line| line.split(' ').next().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    let before = connections();
    // The one by which it hears. It may have been another server's all the time.
    redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(alice.next_push("store").await["away"], true);
    assert_eq!(alice.next_push("store").await["away"], false);
    server.get("/api/rooms/lobby/messages").await;
    until("the other is left, too", || !connections().iter().any(|id| before.contains(id)));
}
