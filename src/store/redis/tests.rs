//! The feed against a real Redis: what gets lost on the way is found, and what Redis loses is not passed over.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ::redis::{Client, Commands, Connection};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::error::{Error, Result};
use crate::protocol::{Author, Content, Event, Kind, MemberRole, Seq, UserId};
use crate::store::{Append, Committed, Completion, Effect, Log, Right, Tiding, Watch};

/// A `redis-server` of the test's own, which ends with it.
struct Server {
    process: Child,
    port: u16,
    dir: TempDir,
}

impl Server {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        Self { process: Self::run(port, &dir), port, dir }
    }

    fn run(port: u16, dir: &TempDir) -> Child {
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", "always", "--dir"])
            .arg(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let since = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(since.elapsed() < Duration::from_secs(10), "redis-server does not start");
            thread::sleep(Duration::from_millis(10));
        }
        process
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        self.process = Self::run(self.port, &self.dir);
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn ask(&self) -> Connection {
        Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    fn make_room(&self, id: &str) {
        let fields = [("id", id), ("name", id), ("kind", "public"), ("epoch", "7"), ("oldest", "1"), ("head", "0")];
        let () = self.ask().hset_multiple(format!("chinwag:{{{id}}}:room"), &fields).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Notes what it hears.
#[derive(Default)]
struct Ear {
    seqs: Mutex<Vec<Seq>>,
    began: Mutex<Vec<crate::protocol::Position>>,
    told: Mutex<Vec<Tiding>>,
}

impl Watcher for Ear {
    fn committed(&self, batch: Committed) {
        for announcement in batch.announcements {
            self.began.lock().extend(announcement.began);
            self.seqs.lock().extend(announcement.events.iter().map(|event| event.seq));
        }
        for receipt in batch.receipts {
            receipt.done.tell(receipt.outcome);
        }
    }

    fn told(&self, tiding: Tiding) {
        self.told.lock().push(tiding);
    }
}

struct Node {
    backend: Backend,
    ear: Arc<Ear>,
}

impl Node {
    fn start(server: &Server) -> Self {
        let ear = Arc::new(Ear::default());
        let backend = Backend::open(&Redis { url: server.url(), wait: 0 }, ear.clone());
        Self { backend: backend.unwrap_or_else(|fatal| panic!("{fatal}")), ear }
    }

    fn watch(&self, room: &str) -> Watch {
        block(self.backend.watch(&room.into())).unwrap()
    }

    fn append_with(&self, room: &str, txn_id: &str, effect: Effect) -> Result<Seq> {
        let author = Author { id: UserId(uuid::Uuid::from_u128(1)), name: "ann".into() };
        let mut event = Event::new(author, Kind::Message, Content::message("hi", None, &[], 1));
        event.txn_id = Some(txn_id.into());
        let (tell, told) = oneshot::channel();
        let done = Completion::new(move |outcome| drop(tell.send(outcome)));
        self.backend.append(Append { room: room.into(), event, right: Right::Write(MemberRole::Member), effect, done });
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
        until(|| (*self.ear.seqs.lock() == expected).then_some(()));
    }
}

fn block<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().build().unwrap().block_on(future)
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
    let server = Server::start();
    server.make_room("garden");
    let (one, two) = (Node::start(&server), Node::start(&server));
    let _watches = (one.watch("garden"), two.watch("garden"));
    assert_eq!(one.append("garden", "a"), Ok(1));
    assert_eq!(two.append("garden", "a"), Ok(1), "sent again to another node");
    assert_eq!(two.append("garden", "b"), Ok(2));
    assert_eq!(one.append("garden", "c"), Ok(3));
    assert!(matches!(one.append("nowhere", "d"), Err(Error::NoRoom(_))));
    one.hears(1..=3);
    two.hears(1..=3);
    assert!(one.backend.worth().contains("on Redis's disk"), "{}", one.backend.worth());
    Log::close(&one.backend);
    assert!(matches!(one.append("garden", "e"), Err(Error::Unavailable(_))));
}

#[test]
fn a_lost_announcement_is_found() {
    let server = Server::start();
    server.make_room("garden");
    let (one, two) = (Node::start(&server), Node::start(&server));
    let _watch = one.watch("garden");
    two.append("garden", "a").unwrap();
    one.hears(1..=1);
    // Deaf for a while, as if Redis had dropped what it had for it.
    let () = ::redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").query(&mut server.ask()).unwrap();
    two.insist("garden", "b");
    two.insist("garden", "c");
    one.hears(1..=3);
    assert!(one.ear.told.lock().contains(&Tiding::Back));
}

#[test]
fn a_killed_redis_loses_nothing_that_was_acknowledged() {
    let mut server = Server::start();
    server.make_room("garden");
    let (one, two) = (Node::start(&server), Node::start(&server));
    let _watches = (one.watch("garden"), two.watch("garden"));
    for number in 1..=20 {
        assert_eq!(one.insist("garden", &format!("before {number}")), number);
    }
    server.kill();
    assert!(one.append("garden", "away").is_err());
    server.restart();
    assert_eq!(one.insist("garden", "after"), 21);
    one.hears(1..=21);
    two.hears(1..=21);
    assert!(one.ear.began.lock().is_empty(), "nothing was lost");
}

#[test]
fn a_redis_that_lost_what_was_delivered_begins_another_life() {
    let mut server = Server::start();
    server.make_room("garden");
    let (one, two) = (Node::start(&server), Node::start(&server));
    let _watches = (one.watch("garden"), two.watch("garden"));
    for number in 1..=3 {
        one.insist("garden", &format!("{number}"));
    }
    two.hears(1..=3);
    server.kill();
    // As a replica does that was promoted too early: its log is shorter.
    let port = server.port;
    let mut other = Server::start();
    other.kill();
    other.port = port;
    other.restart();
    other.make_room("garden");
    for node in [&one, &two] {
        let began = until(|| node.ear.began.lock().first().copied());
        assert!(began.head == 0 && began.epoch.0 != 7);
    }
    assert_eq!(one.insist("garden", "anew"), 1);
    two.hears([1, 2, 3, 1]);
}

#[test]
fn a_redis_that_stands_still_is_away_and_comes_back() {
    let server = Server::start();
    server.make_room("garden");
    let node = Node::start(&server);
    let _watch = node.watch("garden");
    node.append("garden", "a").unwrap();
    let signal = |name: &str| {
        let id = server.process.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    };
    signal("-STOP");
    assert!(matches!(node.append("garden", "b"), Err(Error::UnknownOutcome | Error::Unavailable(_))));
    until(|| node.ear.told.lock().contains(&Tiding::Away).then_some(()));
    signal("-CONT");
    assert_eq!(node.insist("garden", "b"), 2);
    node.hears(1..=2);
}

#[test]
fn a_wrong_address_or_password_is_one_line() {
    let server = Server::start();
    let () = ::redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("secret").query(&mut server.ask()).unwrap();
    let fails = |url: String| {
        let backend = Backend::open(&Redis { url, wait: 0 }, Arc::new(Ear::default()));
        backend.err().expect("it must not open").to_string()
    };
    let port = server.port;
    let cases = [
        ("nonsense".to_owned(), "cannot read REDIS_URL"),
        ("redis://127.0.0.1:1".to_owned(), "cannot reach the Redis"),
        (format!("redis://:wrong@127.0.0.1:{port}"), "does not let us in"),
        (format!("redis://127.0.0.1:{port}"), "does not let us in"),
    ];
    for (url, expected) in cases {
        let words = fails(url);
        assert!(words.contains(expected) && !words.contains('\n') && !words.contains("wrong@"), "{words}");
    }
}

#[test]
fn a_script_that_redis_forgot_is_given_to_it_again() {
    let server = Server::start();
    server.make_room("garden");
    let node = Node::start(&server);
    node.append("garden", "a").unwrap();
    let () = ::redis::cmd("SCRIPT").arg("FLUSH").query(&mut server.ask()).unwrap();
    assert_eq!(node.append("garden", "b"), Ok(2));
}

#[test]
fn what_is_emptied_leaves_its_place() {
    let server = Server::start();
    server.make_room("garden");
    let node = Node::start(&server);
    let ann = UserId(uuid::Uuid::from_u128(1));
    node.append_with("garden", "a", Effect::Mention(vec![ann])).unwrap();
    node.append("garden", "b").unwrap();
    node.append_with("garden", "c", Effect::Redact(1)).unwrap();
    let mut redis = server.ask();
    assert_eq!(redis.hkeys::<_, Vec<Seq>>("chinwag:{garden}:gone").unwrap(), [1]);
    assert_eq!(redis.xlen::<_, usize>("chinwag:{garden}:log").unwrap(), 2);
    node.append_with("garden", "d", Effect::RedactAll(ann)).unwrap();
    assert_eq!(redis.hlen::<_, usize>("chinwag:{garden}:gone").unwrap(), 3);
    node.append_with("garden", "e", Effect::Delete).unwrap();
    assert_eq!(redis.keys::<_, Vec<String>>("chinwag:{garden}:*").unwrap(), Vec::<String>::new());
    assert!(matches!(node.append("garden", "f"), Err(Error::NoRoom(_))));
}
