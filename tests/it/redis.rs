//! A server on Redis as its host meets it: what it says when it cannot start, and a link for the owner. What befalls
//! nodes later is outage.rs.

use std::process::Output;

use chinwag::store::{self, Durability};
use tempfile::TempDir;

use crate::support::process::chinwag;
use crate::support::redis::RedisServer;

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
