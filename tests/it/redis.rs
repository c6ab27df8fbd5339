//! A server on Redis as its host meets it: what it says when it cannot start, and a link for the owner. What befalls
//! nodes later is outage.rs.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use chinwag::store::{self, Durability};
use serde_json::json;
use tempfile::TempDir;

use crate::support::process::{Process, chinwag};
use crate::support::redis::{PORT, RedisServer, documented_user};
use crate::support::{Call, TestServer, in_time};

fn started(url: &str, arguments: &[&str]) -> Output {
    let data = TempDir::new().expect("a temporary directory");
    let mut command = chinwag();
    command.args(["--addr", "127.0.0.1:0", "--data"]).arg(data.path()).args(arguments).env("REDIS_URL", url);
    command.output().expect("it runs")
}

#[test]
fn a_wrong_address_or_password_ends_it_with_one_line() {
    let redis = RedisServer::with(&["--requirepass", "secret"]);
    let port = redis.port();
    let cases = [
        ("nonsense".to_owned(), "cannot read REDIS_URL"),
        ("redis://127.0.0.1:1".to_owned(), "cannot reach the Redis of REDIS_URL"),
        (format!("redis://:wrong@127.0.0.1:{port}"), "does not let us in"),
        (format!("redis://127.0.0.1:{port}"), "does not let us in"),
    ];
    for (url, expected) in cases {
        let output = started(&url, &[]);
        let words = String::from_utf8(output.stderr).expect("it prints UTF-8");
        assert_eq!(output.status.code(), Some(1), "{url}: {words}");
        assert!(words.starts_with("chinwag: ") && words.contains(expected), "{url}: {words}");
        assert!(words.trim_end().lines().count() == 1 && !words.contains("wrong@"), "{url}: {words}");
    }
}

#[test]
fn what_the_log_says_of_it_holds_no_password() {
    let at = |url: &str| {
        let redis = Some(store::Redis { url: url.to_owned(), wait: 0 });
        store::Options { dir: "/srv/chat".into(), durability: Durability::Full, redis }
    };
    assert_eq!(at("rediss://app:s@crt@one:1/2").to_string(), "rediss://one:1/2");
    assert_eq!(at("redis+sentinel://one,two/main").to_string(), "redis+sentinel://one,two/main");
    assert_eq!(store::Options { redis: None, ..at("") }.to_string(), "/srv/chat");
}

#[test]
fn an_owners_link_is_left_on_redis() {
    let redis = RedisServer::start();
    let output = started(&redis.url(), &["owner-link"]);
    let printed = String::from_utf8(output.stdout).expect("it prints UTF-8");
    assert!(output.status.success() && printed.contains("/join#"), "{printed}{:?}", output.stderr);
    assert_eq!(redis.ask(&["SCARD", "{chinwag}:owner_links"]), "1");
    assert_eq!(redis.ask(&["ZCARD", "{chinwag}:nodes"]), "0", "who only leaves a link is no node");
}

#[test]
fn a_redis_that_is_too_old_ends_it_with_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    // Ends with the test's process.
    thread::spawn(move || listener.incoming().for_each(|node| answers_as_an_old_one(node.unwrap())));
    let output = started(&url, &[]);
    let words = String::from_utf8(output.stderr).expect("it prints UTF-8");
    assert_eq!(output.status.code(), Some(1), "{words}");
    let expected = "chinwag: the Redis of REDIS_URL is version 6.2.14; expected 7.0 or newer, or a Valkey\n";
    assert_eq!(words, expected);
}

/// Knows as much of Redis's protocol as it takes to be asked for its version.
fn answers_as_an_old_one(node: TcpStream) {
    let mut requests = BufReader::new(node.try_clone().unwrap());
    let mut answers = node;
    let mut line = String::new();
    while requests.read_line(&mut line).is_ok_and(|length| length > 0) {
        let count: usize = line.trim_end().strip_prefix('*').expect("a request").parse().unwrap();
        let words: Vec<_> = (0..count).map(|_| word(&mut requests)).collect();
        let answer = match words[0].to_uppercase().as_str() {
            "HELLO" => "%1\r\n$5\r\nproto\r\n:3\r\n".to_owned(),
            "INFO" => "$22\r\nredis_version:6.2.14\r\n\r\n".to_owned(),
            _ => "+OK\r\n".to_owned(),
        };
        answers.write_all(answer.as_bytes()).unwrap();
        line.clear();
    }
}

fn word(requests: &mut impl BufRead) -> String {
    let mut line = String::new();
    requests.read_line(&mut line).unwrap();
    let length: usize = line.trim_end().strip_prefix('$').expect("a word").parse().unwrap();
    let mut word = vec![0; length + 2];
    requests.read_exact(&mut word).unwrap();
    String::from_utf8(word).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn a_redis_that_speaks_tls_is_spoken_to_by_who_trusts_its_authority() {
    let dir = TempDir::new().unwrap();
    certify(dir.path());
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (authority, certificate, key) = (file("authority.pem"), file("redis.pem"), file("redis.key"));
    let tls = ["--port", "0", "--tls-port", PORT, "--tls-auth-clients", "no", "--tls-ca-cert-file", &authority];
    let redis = RedisServer::with(&[&tls[..], &["--tls-cert-file", &certificate, "--tls-key-file", &key]].concat());
    let url = format!("rediss://127.0.0.1:{}", redis.port());
    let output = started(&url, &[]);
    let words = String::from_utf8(output.stderr).expect("it prints UTF-8");
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.starts_with("chinwag: cannot reach the Redis of REDIS_URL: ") && words.contains("ertificate"),
        "{words}"
    );
    assert_eq!(words.trim_end().lines().count(), 1, "{words}");
    let mut command = chinwag();
    command.args(["--addr", "127.0.0.1:0"]).env("REDIS_URL", &url).env("SSL_CERT_FILE", &authority);
    let node = Process::spawn(&mut command);
    let mut alice = Call::new(node.addr).name("alice").await;
    alice.subscribes("lobby").await;
    alice.says("lobby", "between us").await;
    alice.hears("between us").await;
}

/// An authority of its own, and what it certifies for 127.0.0.1.
fn certify(dir: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.current_dir(dir).args(arguments.split(' ')).stdin(Stdio::null());
        let output = command.output().expect("there is an openssl");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(&format!("{new} -subj /CN=Authority -keyout authority.key -out authority.pem"));
    let names = "-subj /CN=Redis -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
    openssl(&format!("{new} {names} -CA authority.pem -CAkey authority.key -keyout redis.key -out redis.pem"));
}

#[tokio::test]
async fn the_user_that_the_document_gives_may_do_all_that_nodes_do() {
    let redis = RedisServer::start();
    redis.sets(&[&["ACL", "SETUSER"][..], &documented_user()].concat());
    let url = redis.url_as_documented();
    let (one, mut two) = (TestServer::on_redis(url.clone(), &[]).await, TestServer::on_redis(url, &[]).await);
    let (olga, mia) = (one.owner().await, two.register("mia").await);
    olga.appoints(&mia, "moderator").await;
    let bob = two.register("bob").await;
    let (mut alice, mut tab) = (one.guest_in("alice", "lobby").await, bob.connects_to("lobby").await);
    let seq = alice.says("lobby", "hello @bob").await;
    tab.hears("hello @bob").await;
    tab.asks(json!({"type": "read", "room": "lobby", "seq": seq})).await;
    alice.send(&json!({"type": "typing", "room": "lobby"})).await;
    tab.sees("alice typing", |push| push["type"] == "typing").await;
    let shed = bob.makes_room("private", "shed").await;
    bob.lets_in(&shed, &mia).await;
    mia.writes(&shed, "welcome").await;
    assert_eq!(bob.reads(&shed).await.len(), 1);
    bob.does(bob.takes_out(&shed, &mia)).await;
    olga.writes(&olga.direct_room(&[&bob]).await, "between us").await;
    let gone = mia.delete(&format!("/api/rooms/lobby/messages/{seq}?txn_id=d-1")).await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert_eq!(mia.acts_on(&bob.id, "mute", &json!({"minutes": 5})).await.status, 204);
    tab.is_refused(tab.post("lobby", "may I?"), "muted").await;
    assert_eq!(mia.acts_on(&bob.id, "ban", &json!({})).await.status, 204);
    tab.expects_close(1008).await;
    assert_eq!(olga.patch("/api/place").json(&json!({"name": "The Shed"})).await.status, 200);
    olga.invites(&json!({})).await;
    olga.makes_token(&["post"]).await;
    two.stop().await.expect("a clean stop");
    alice.says("lobby", "that is all").await;
    assert!(one.get("/health").await.text().contains("appendfsync everysec"), "it may ask for the settings");
    assert_eq!(redis.ask(&["ACL", "LOG"]), "");
}

#[tokio::test]
async fn a_user_who_may_not_ask_for_settings_will_do() {
    let redis = RedisServer::start();
    redis.sets(&[&["ACL", "SETUSER"][..], &documented_user(), &["-info", "-config|get"]].concat());
    let node = TestServer::on_redis(redis.url_as_documented(), &[]).await;
    let mut alice = node.guest_in("alice", "lobby").await;
    alice.says("lobby", "hello").await;
    alice.hears("hello").await;
    assert!(node.get("/health").await.text().contains("its settings cannot be read"));
    redis.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(alice.next_push("store").await["away"], true);
    assert_eq!(alice.next_push("store").await["away"], false);
    alice.says("lobby", "here again").await;
}

#[tokio::test]
async fn what_an_acknowledgement_is_worth_is_said_anew_when_a_replica_follows() {
    let redis = RedisServer::start();
    let server = TestServer::on_redis(redis.url(), &[]).await;
    assert!(server.get("/health").await.text().contains("no replica follows it now"));
    let _replica = redis.followed(&[]);
    let said = async { while !server.get("/health").await.text().contains("replicas that follow it now: 1") {} };
    in_time("the replica to be told of", said).await;
}
