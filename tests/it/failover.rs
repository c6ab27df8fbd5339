//! A Redis with replicas, and a Sentinel over them: the primary stands still, another takes its place, and the old one
//! comes back behind it. What was acknowledged is there, as docs/operating.md promises of its settings.

use crate::support::play::{DURABLE, Play};
use crate::support::redis::{RedisServer, Sentinel, documented_user, until};

/// A primary that nobody follows takes nothing.
const FOLLOWED: [&str; 4] = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"];

/// A primary with two replicas: when one of them takes its place, the other follows that.
struct Replicated {
    sentinel: Sentinel,
    servers: [RedisServer; 3],
}

impl Replicated {
    fn start(options: &[&str]) -> Self {
        let options = [&DURABLE[..], options, &["--user"], &documented_user()].concat();
        let primary = RedisServer::with(&options);
        let replicas = [primary.followed(&options), primary.followed(&options)];
        let sentinel = Sentinel::over(&primary, replicas.len());
        let [second, third] = replicas;
        Self { sentinel, servers: [primary, second, third] }
    }

    fn primary(&self) -> &RedisServer {
        let port = self.sentinel.primary();
        self.servers.iter().find(|server| server.port() == port).expect("one of ours")
    }

    /// The replicas hear no more, while the primary goes on for itself, until it has so many more messages.
    fn falls_behind(&self, by: u64) {
        let primary = self.primary();
        let replicas = || self.servers.iter().filter(|server| server.port() != primary.port());
        replicas().for_each(RedisServer::pause);
        primary.ask(&["CLIENT", "KILL", "TYPE", "replica"]);
        let head = || primary.ask(&["HGET", "chinwag:{lobby}:room", "head"]).parse::<u64>().expect("a seq");
        let before = head();
        until("it has messages that no replica has", || head() >= before + by);
        primary.pause();
        replicas().for_each(RedisServer::resume);
    }

    /// The primary stands still until another is what it was and has all the nodes.
    fn fails_over(&self, nodes: usize) {
        let old = self.primary();
        old.pause();
        until("another is the primary", || self.sentinel.primary() != old.port());
        let new = self.primary();
        new.until("it has the nodes", &["PUBSUB", "SHARDNUMSUB", "{chinwag}:notices"], |told| {
            told.ends_with(&format!("\n{nodes}"))
        });
        new.until("it is followed", &["INFO", "replication"], |info| info.contains("state=online"));
        old.resume();
    }

    /// All but the primary follow it.
    fn is_one_again(&self) {
        let port = format!("master_port:{}", self.sentinel.primary());
        for server in self.servers.iter().filter(|server| server.port() != self.sentinel.primary()) {
            server.until("it follows", &["INFO", "replication"], |info| {
                info.contains(&port) && info.contains("master_link_status:up")
            });
        }
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_a_replica_takes_over() {
    let redis = Replicated::start(&FOLLOWED);
    let urls = vec![redis.sentinel.url(); 2];
    let mut play = Play::on(redis, urls, &["--redis-wait", "1"]).await;
    play.goes_on(|stage| stage.store.fails_over(2)).await;
    play.goes_on(|stage| stage.store.is_one_again()).await;
    play.everything_is_there().await;
}

#[tokio::test]
async fn what_no_replica_had_was_never_acknowledged() {
    let redis = Replicated::start(&[]);
    let urls = vec![redis.sentinel.url(); 2];
    let mut play = Play::on(redis, urls, &["--redis-wait", "1"]).await;
    play.may_lose_the_rest();
    play.goes_on(|stage| {
        stage.store.falls_behind(20);
        stage.store.fails_over(2);
    })
    .await;
    play.everything_is_there().await;
}
