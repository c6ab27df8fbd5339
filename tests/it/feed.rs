//! The store on Redis as a node hears it: what gets lost on the way is found, and what Redis loses is not passed over.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chinwag::error::{Error, Result};
use chinwag::protocol::{Author, Content, Event, Kind, MemberRole, Position, RoomKind, Seq, UserId};
use chinwag::store::{
    self, Append, Committed, Completion, Durability, Effect, Options, Right, RoomInfo, Store, Tiding, Watch, Watcher,
};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::support::proxy::{Proxy, Way};
use crate::support::redis::{RedisServer, Sentinel};

/// Notes what it hears.
#[derive(Default)]
struct Ear {
    seqs: Mutex<Vec<Seq>>,
    began: Mutex<Vec<Position>>,
    told: Mutex<Vec<Tiding>>,
}

impl Watcher for Ear {
    fn committed(&self, batch: Committed) {
        for announcement in batch.announcements {
            self.began.lock().unwrap().extend(announcement.began);
            self.seqs.lock().unwrap().extend(announcement.events.iter().map(|event| event.seq));
        }
        for receipt in batch.receipts {
            receipt.done.tell(receipt.outcome);
        }
    }

    fn told(&self, tiding: Tiding) {
        self.told.lock().unwrap().push(tiding);
    }
}

struct Node {
    store: Store,
    ear: Arc<Ear>,
}

impl Node {
    fn start(redis: &RedisServer) -> Self {
        Self::start_at(redis.url())
    }

    fn start_at(url: String) -> Self {
        let ear = Arc::new(Ear::default());
        Self { store: open(url, ear.clone()).unwrap_or_else(|fatal| panic!("{fatal}")), ear }
    }

    /// Becomes one of the nodes, and has a lease.
    fn joins(&self, redis: &RedisServer) {
        self.store.nodes.join();
        until(|| (redis.ask(&["EXISTS", &self.lease()]) == "1").then_some(()));
    }

    fn lease(&self) -> String {
        format!("{{chinwag}}:node:{}", self.store.nodes.node())
    }

    fn claims(&self, name: &str, user: UserId) -> Result<Vec<bool>> {
        block(self.store.nodes.claim(vec![name.to_owned()], user))
    }

    fn watch(&self, room: &str) -> Watch {
        block(self.store.log.watch(&room.into())).unwrap()
    }

    fn append_with(&self, room: &str, txn_id: &str, effect: Effect) -> Result<Seq> {
        let author = Author { id: UserId(Uuid::from_u128(1)), name: "ann".into() };
        let mut event = Event::new(author, Kind::Message, Content::message("hi", None, &[], 1));
        event.txn_id = Some(txn_id.into());
        let (tell, told) = oneshot::channel();
        let done = Completion::new(move |outcome| drop(tell.send(outcome)));
        self.store.log.append(Append {
            room: room.into(),
            event,
            right: Right::Write(MemberRole::Member),
            effect,
            done,
        });
        block(told).unwrap()
    }

    fn append(&self, room: &str, txn_id: &str) -> Result<Seq> {
        self.append_with(room, txn_id, Effect::None)
    }

    /// As a client does: again until the outcome is known.
    fn insist(&self, room: &str, txn_id: &str) -> Seq {
        until(|| match self.append(room, txn_id) {
            Ok(seq) => Some(seq),
            Err(Error::Unavailable(_) | Error::UnknownOutcome) => None,
            Err(error) => panic!("{error}"),
        })
    }

    fn hears(&self, expected: impl IntoIterator<Item = Seq>) {
        let expected: Vec<Seq> = expected.into_iter().collect();
        until(|| (*self.ear.seqs.lock().unwrap() == expected).then_some(()));
    }
}

fn open(url: String, ear: Arc<Ear>) -> std::result::Result<Store, chinwag::error::Fatal> {
    let redis = Some(store::Redis { url, wait: 0 });
    store::open(&Options { dir: "unused".into(), durability: Durability::Full, redis }, ear)
}

/// As nobody makes one: without events.
fn make_room(redis: &RedisServer, id: &str) {
    let fields = ["id", id, "name", id, "kind", "public", "epoch", "7", "oldest", "1", "head", "0"];
    redis.ask(&[&["HSET", &format!("chinwag:{{{id}}}:room")], &fields[..]].concat());
}

/// By which one who may do all but this comes in.
fn url_without(redis: &RedisServer, what: &str) -> String {
    permit(redis, &["on", "nopass", "~*", "&*", "+@all", what]);
    format!("redis://app:any@127.0.0.1:{}", redis.port())
}

fn permit(redis: &RedisServer, rules: &[&str]) {
    redis.ask(&[&["ACL", "SETUSER", "app"], rules].concat());
}

/// How often a command was refused.
fn refusals_of(redis: &RedisServer, command: &str) -> u32 {
    let stats = redis.ask(&["INFO", "commandstats"]);
    let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:"))).unwrap_or_default();
    line.split(',').find_map(|field| field.strip_prefix("rejected_calls=")).map_or(0, |count| count.parse().unwrap())
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "it does not come to pass");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn two_nodes_hear_all_in_one_order() {
    let redis = RedisServer::start();
    make_room(&redis, "garden");
    let (one, two) = (Node::start(&redis), Node::start(&redis));
    let _watches = (one.watch("garden"), two.watch("garden"));
    assert_eq!(one.append("garden", "a"), Ok(1));
    assert_eq!(two.append("garden", "a"), Ok(1), "sent again to another node");
    assert_eq!(two.append("garden", "b"), Ok(2));
    assert_eq!(one.append("garden", "c"), Ok(3));
    assert!(matches!(one.append("nowhere", "d"), Err(Error::NoRoom(_))));
    one.hears(1..=3);
    two.hears(1..=3);
    assert!(one.store.log.worth().contains("appendfsync everysec"), "{}", one.store.log.worth());
    one.store.log.close();
    assert!(matches!(one.append("garden", "e"), Err(Error::Unavailable(_))));
}

#[test]
fn a_lost_announcement_is_found() {
    let redis = RedisServer::start();
    make_room(&redis, "garden");
    let (one, two) = (Node::start(&redis), Node::start(&redis));
    let _watch = one.watch("garden");
    two.append("garden", "a").unwrap();
    one.hears(1..=1);
    // Deaf for a while, as if Redis had dropped what it had for it.
    redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    two.insist("garden", "b");
    two.insist("garden", "c");
    one.hears(1..=3);
    assert!(one.ear.told.lock().unwrap().contains(&Tiding::Back));
}

#[test]
fn a_killed_redis_loses_nothing_that_was_acknowledged() {
    let mut redis = RedisServer::with(&["--appendfsync", "always"]);
    make_room(&redis, "garden");
    let (one, two) = (Node::start(&redis), Node::start(&redis));
    let _watches = (one.watch("garden"), two.watch("garden"));
    for number in 1..=20 {
        assert_eq!(one.insist("garden", &format!("before {number}")), number);
    }
    redis.kill();
    assert!(one.append("garden", "away").is_err());
    redis.start_again();
    assert_eq!(one.insist("garden", "after"), 21);
    one.hears(1..=21);
    two.hears(1..=21);
    assert!(one.ear.began.lock().unwrap().is_empty(), "nothing was lost");
}

#[test]
fn a_redis_that_lost_what_was_delivered_begins_another_life() {
    let mut redis = RedisServer::with(&["--appendfsync", "always"]);
    make_room(&redis, "garden");
    let (one, two) = (Node::start(&redis), Node::start(&redis));
    let _watches = (one.watch("garden"), two.watch("garden"));
    for number in 1..=3 {
        one.insist("garden", &format!("{number}"));
    }
    two.hears(1..=3);
    redis.kill();
    // As a replica does that was promoted too early: its log is shorter.
    let mut other = RedisServer::with(&["--appendfsync", "always"]);
    make_room(&other, "garden");
    other.takes_the_place_of(&redis);
    for node in [&one, &two] {
        let began = until(|| node.ear.began.lock().unwrap().first().copied());
        assert!(began.head == 0 && began.epoch.0 != 7);
    }
    assert_eq!(one.insist("garden", "anew"), 1);
    two.hears([1, 2, 3, 1]);
}

#[test]
fn a_redis_that_lost_what_was_there_before_one_came_begins_another_life() {
    let mut redis = RedisServer::with(&["--appendfsync", "always"]);
    let mut other = RedisServer::with(&["--appendfsync", "always"]);
    for server in [&redis, &other] {
        make_room(server, "garden");
        let writer = Node::start(server);
        writer.append("garden", "a").unwrap();
        writer.append("garden", "b").unwrap();
        writer.store.log.close();
    }
    let node = Node::start(&redis);
    let _watch = node.watch("garden");
    redis.kill();
    other.takes_the_place_of(&redis);
    let began = until(|| node.ear.began.lock().unwrap().first().copied());
    assert_eq!(began.head, 2, "as long, and another");
}

#[test]
fn however_often_healing_fails_it_is_away_once_and_back_once() {
    let redis = RedisServer::start();
    make_room(&redis, "garden");
    let node = Node::start_at(url_without(&redis, "+hgetall"));
    let _watch = node.watch("garden");
    permit(&redis, &["-hgetall"]);
    redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    until(|| (refusals_of(&redis, "hgetall") > 1).then_some(()));
    permit(&redis, &["+hgetall"]);
    until(|| node.ear.told.lock().unwrap().contains(&Tiding::Back).then_some(()));
    assert_eq!(*node.ear.told.lock().unwrap(), [Tiding::Away, Tiding::Back]);
}

#[test]
fn an_event_that_cannot_be_read_keeps_nobody_from_the_next() {
    let redis = RedisServer::start();
    make_room(&redis, "garden");
    let (one, two) = (Node::start(&redis), Node::start(&redis));
    let _watch = one.watch("garden");
    two.append("garden", "a").unwrap();
    redis.ask(&["XADD", "chinwag:{garden}:log", "2-0", "e", "of another version"]);
    redis.ask(&["HSET", "chinwag:{garden}:room", "head", "3"]);
    assert_eq!(two.append("garden", "d"), Ok(4), "the third is missing");
    one.hears(1..=4);
    assert!(one.ear.told.lock().unwrap().is_empty(), "it was never away");
}

#[test]
fn a_redis_that_stands_still_is_away_and_comes_back() {
    let redis = RedisServer::start();
    make_room(&redis, "garden");
    let node = Node::start(&redis);
    let _watch = node.watch("garden");
    node.append("garden", "a").unwrap();
    redis.pause();
    assert!(matches!(node.append("garden", "b"), Err(Error::UnknownOutcome | Error::Unavailable(_))));
    until(|| node.ear.told.lock().unwrap().contains(&Tiding::Away).then_some(()));
    redis.resume();
    assert_eq!(node.insist("garden", "b"), 2);
    node.hears(1..=2);
}

#[test]
fn a_script_that_redis_forgot_is_given_to_it_again() {
    let redis = RedisServer::start();
    make_room(&redis, "garden");
    let node = Node::start(&redis);
    node.append("garden", "a").unwrap();
    redis.ask(&["SCRIPT", "FLUSH"]);
    assert_eq!(node.append("garden", "b"), Ok(2));
}

#[test]
fn a_script_that_redis_does_not_take_is_told_to_whoever_posts() {
    let redis = RedisServer::start();
    make_room(&redis, "garden");
    let node = Node::start_at(url_without(&redis, "-script|load"));
    let Err(Error::Unavailable(words)) = node.append("garden", "a") else { panic!("it is not stored") };
    assert!(words.contains("permit"), "{words}");
    permit(&redis, &["+script|load"]);
    assert_eq!(node.append("garden", "a"), Ok(1));
}

#[test]
fn a_notice_that_redis_refuses_is_given_up() {
    let redis = RedisServer::start();
    let (one, two) = (Node::start_at(url_without(&redis, "-spublish")), Node::start(&redis));
    one.store.nodes.join();
    one.store.nodes.tell("refused".to_owned());
    until(|| redis.ask(&["INFO", "commandstats"]).contains("cmdstat_spublish:").then_some(()));
    permit(&redis, &["+spublish"]);
    one.store.nodes.tell("taken".to_owned());
    let told = until(|| two.ear.told.lock().unwrap().first().cloned());
    assert_eq!(told, Tiding::Notice("taken".to_owned()));
}

#[test]
fn who_loses_the_lease_is_told_and_not_that_redis_is_back() {
    let redis = RedisServer::start();
    let node = Node::start(&redis);
    node.joins(&redis);
    redis.ask(&["DEL", &node.lease()]);
    until(|| node.ear.told.lock().unwrap().contains(&Tiding::Lapsed).then_some(()));
    assert_eq!(*node.ear.told.lock().unwrap(), [Tiding::Lapsed]);
}

#[test]
fn a_name_whose_claim_was_not_answered_is_let_go_of() {
    let redis = RedisServer::start();
    let proxy = Proxy::before(redis.port());
    let (one, two) = (Node::start_at(proxy.url()), Node::start(&redis));
    one.joins(&redis);
    let [ann, bob] = [1, 2].map(|n| UserId(Uuid::from_u128(n)));
    // Redis knows the script from now on.
    one.claims("lily", ann).unwrap();
    proxy.swallows(Way::Replies);
    assert_eq!(one.claims("rose", ann), Err(Error::UnknownOutcome));
    assert_eq!(two.claims("rose", bob), Ok(vec![false]), "Redis has heard of it");
    one.store.nodes.release("rose", ann);
    proxy.lets_through();
    until(|| (two.claims("rose", bob) == Ok(vec![true])).then_some(()));
}

#[test]
fn a_name_that_is_held_outlives_another_claim_that_is_refused() {
    let redis = RedisServer::start();
    let (one, two) = (Node::start_at(url_without(&redis, "+ping")), Node::start(&redis));
    one.joins(&redis);
    let [ann, bob] = [1, 2].map(|n| UserId(Uuid::from_u128(n)));
    assert_eq!(one.claims("rose", ann), Ok(vec![true]));
    permit(&redis, &["-evalsha"]);
    one.claims("rose", ann).unwrap_err();
    permit(&redis, &["+evalsha"]);
    one.store.nodes.release("rose", ann);
    // Said after it.
    one.store.nodes.tell("released".to_owned());
    until(|| two.ear.told.lock().unwrap().contains(&Tiding::Notice("released".to_owned())).then_some(()));
    assert_eq!(two.claims("rose", bob), Ok(vec![false]));
    one.store.nodes.release("rose", ann);
    until(|| (two.claims("rose", bob) == Ok(vec![true])).then_some(()));
}

#[test]
fn a_redis_whose_channels_one_may_not_use_is_refused_at_once() {
    let redis = RedisServer::start();
    let opened = open(url_without(&redis, "resetchannels"), Arc::default());
    let words = opened.err().expect("it must not open").to_string();
    assert!(words.contains("does not let us in"), "{words}");
}

#[test]
fn what_is_emptied_leaves_its_place() {
    let redis = RedisServer::start();
    make_room(&redis, "garden");
    let node = Node::start(&redis);
    let ann = UserId(Uuid::from_u128(1));
    node.append_with("garden", "a", Effect::Mention(vec![ann])).unwrap();
    node.append("garden", "b").unwrap();
    node.append_with("garden", "c", Effect::Redact(1)).unwrap();
    assert_eq!(redis.ask(&["HKEYS", "chinwag:{garden}:gone"]), "1");
    assert_eq!(redis.ask(&["XLEN", "chinwag:{garden}:log"]), "2");
    node.append_with("garden", "d", Effect::RedactAll(ann)).unwrap();
    assert_eq!(redis.ask(&["HLEN", "chinwag:{garden}:gone"]), "3");
    node.append_with("garden", "e", Effect::Delete).unwrap();
    assert_eq!(redis.ask(&["KEYS", "chinwag:{garden}:*"]), "");
    assert!(matches!(node.append("garden", "f"), Err(Error::NoRoom(_))));
}

#[test]
fn a_deleted_room_is_taken_from_every_list() {
    let redis = RedisServer::start();
    let node = Node::start(&redis);
    let directory = &node.store.directory;
    let members = || (1..=600).map(|number| (UserId(Uuid::from_u128(number)), MemberRole::Member)).collect();
    let make = || {
        let garden = RoomInfo::new("garden".into(), "Garden".into(), RoomKind::Public);
        block(directory.create_room(garden, members())).unwrap();
    };
    let purge = || (0..10).take_while(|_| block(directory.purge()).unwrap()).count();
    make();
    node.append_with("garden", "a", Effect::Delete).unwrap();
    assert_eq!(purge(), 2, "some at a time");
    assert_eq!(redis.ask(&["KEYS", "*"]), "");
    make();
    node.append_with("garden", "a", Effect::Delete).unwrap();
    make();
    purge();
    let ann = UserId(Uuid::from_u128(1));
    assert_eq!(block(directory.joined(ann, 10)).unwrap().len(), 1, "there is one of this id again");
    assert_eq!(block(directory.public_rooms("", None, 10)).unwrap().len(), 1);
    assert_eq!(redis.ask(&["KEYS", "*left*"]), "");
}

#[test]
fn sentinels_that_do_not_answer_keep_nobody_waiting() {
    let redis = RedisServer::start();
    make_room(&redis, "garden");
    let sentinel = Sentinel::over(&redis, 0);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let others = format!("127.0.0.1:{},", silent.local_addr().unwrap().port()).repeat(8);
    let url = sentinel.url();
    let (_, place) = url.rsplit_once('@').unwrap();
    let node = Node::start_at(format!("redis+sentinel://{others}{place}"));
    assert_eq!(node.append("garden", "a"), Ok(1));
}
