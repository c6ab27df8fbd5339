//! A Redis with replicas, and a Sentinel over them: the primary stands still, another takes its place, and the old one
//! comes back behind it. What was acknowledged is there, as docs/operating.md promises of its settings.

use std::net::SocketAddr;

use tokio::runtime::Handle;

use crate::support::Call;
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

    /// The replicas hear no more, while the primary goes on for itself and takes a message.
    async fn falls_behind(&self, node: SocketAddr) {
        let primary = self.primary();
        let replicas = || self.servers.iter().filter(|server| server.port() != primary.port());
        replicas().for_each(RedisServer::pause);
        primary.ask(&["CLIENT", "KILL", "TYPE", "replica"]);
        let mut zoe = Call::new(node).name("zoe").await;
        zoe.is_refused(zoe.post("lobby", "will this stand?"), "unknown_outcome").await;
        primary.pause();
        replicas().for_each(RedisServer::resume);
    }

    /// The primary stands still until another is what it was and has all the nodes.
    fn fails_over(&self, nodes: usize) {
        let old = self.is_replaced();
        self.has_all(nodes);
        old.resume();
    }

    /// The primary stands still until another is what it was, and goes on before any node has noticed, until it is told
    /// to follow the other, as Sentinel does a while later.
    fn fails_over_unnoticed(&self, nodes: usize) {
        let old = self.is_replaced();
        old.resume();
        old.until("it has lost its replicas", &["INFO", "replication"], |info| info.contains("connected_slaves:0"));
        old.sets(&["REPLICAOF", "127.0.0.1", &self.sentinel.primary().to_string()]);
        self.has_all(nodes);
    }

    /// Gives who was the primary, which stands still.
    fn is_replaced(&self) -> &RedisServer {
        let old = self.primary();
        old.pause();
        until("another is the primary", || self.sentinel.primary() != old.port());
        old
    }

    fn has_all(&self, nodes: usize) {
        let new = self.primary();
        new.until("it has the nodes", &["PUBSUB", "SHARDNUMSUB", "{chinwag}:notices"], |told| {
            told.ends_with(&format!("\n{nodes}"))
        });
        new.until("it is followed", &["INFO", "replication"], |info| info.contains("state=online"));
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
        Handle::current().block_on(stage.store.falls_behind(stage.nodes[0].addr));
        stage.store.fails_over(2);
    })
    .await;
    play.everything_is_there().await;
}

#[tokio::test]
async fn nothing_is_acknowledged_by_a_primary_that_is_none_any_more() {
    let redis = Replicated::start(&FOLLOWED);
    // Both: one of them would follow the old primary for a while longer, and acknowledge what is lost then.
    let urls = vec![redis.sentinel.url(); 2];
    let mut play = Play::on(redis, urls, &["--redis-wait", "2"]).await;
    play.may_lose_the_rest();
    play.goes_on(|stage| stage.store.fails_over_unnoticed(2)).await;
    play.everything_is_there().await;
}
