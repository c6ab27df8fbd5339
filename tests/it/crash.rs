//! The real binary is killed, or told to stop, while people post as fast as they can: whatever it acknowledged stands
//! where it said, nothing stands twice, and readers go on from their cursors as if nothing had been.
//! `CHINWAG_LONG=1` kills it more often.

use std::net::SocketAddr;

use futures_util::SinkExt;
use futures_util::future::{join_all, join4};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::support::process::Process;
use crate::support::witness::{Poster, ROOMS, Reader, ask, assert_reads_the_same, next, open};
use crate::support::{in_time, number};

const POSTERS: usize = 4;
/// What the one who does not listen posts in a round.
const UNHEARD: usize = 20;

#[tokio::test]
async fn what_was_acknowledged_survives_every_kill() {
    let rounds = if std::env::var_os("CHINWAG_LONG").is_some() { 40 } else { 5 };
    let mut play = Play::new();
    for round in 0..rounds {
        let process = play.start(&[]);
        play.goes_on(process, 100 + 40 * (round % 5), Process::kill).await;
    }
    play.everything_is_there(rounds).await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_being_told_to_stop() {
    let rounds = 3;
    let mut play = Play::new();
    for round in 0..rounds {
        let process = play.start(&[]);
        play.goes_on(process, 100 + 40 * round, |process| {
            let (status, log) = process.stop();
            assert_eq!(status.code(), Some(0), "{log}");
        })
        .await;
    }
    play.everything_is_there(rounds).await;
}

#[tokio::test]
async fn an_unclean_end_in_the_fast_mode_begins_new_epochs_and_a_clean_one_does_not() {
    let fast = ["--durability", "fast"];
    let mut play = Play::new();
    let first = play.start(&fast);
    play.goes_on(first, 100, |process| drop(process.stop())).await;
    for reader in &mut play.readers {
        assert!(reader.epoch.is_some(), "it has read");
    }
    let second = play.start(&fast);
    // Readers insist on their epoch: a reset would be a failure here.
    play.goes_on(second, 100, Process::kill).await;

    let third = play.start(&fast);
    for reader in &mut play.readers {
        let mut socket = open(third.addr, None).await.expect("the server listens");
        let error = reader.subscribe(&mut socket).await.expect_err("an epoch that has ended");
        assert_eq!((&error["code"], &error["oldest"]), (&json!("reset"), &json!(1)));
        assert_ne!(error["epoch"].as_str(), reader.epoch.as_deref());
        // A client would take a fresh page; this one reads all again.
        *reader = Reader::new(&reader.room);
    }
    drop(third.stop());
    play.everything_is_there(2).await;
}

/// Those who post and those who read, over several lives of one server.
struct Play {
    dir: TempDir,
    options: Vec<String>,
    posters: Vec<Poster>,
    unheard: Poster,
    readers: Vec<Reader>,
    /// How often it ended while posts were under way.
    interrupted: usize,
    /// Acknowledgements that were on their way when it ended, and came when the post was sent again.
    lost: usize,
}

impl Play {
    fn new() -> Self {
        Self {
            dir: TempDir::new().expect("a temporary directory"),
            options: Vec::new(),
            posters: (0..POSTERS).map(|number| Poster::new(format!("poster{number}"))).collect(),
            unheard: Poster::new("unheard".to_owned()),
            readers: ROOMS.map(Reader::new).into(),
            interrupted: 0,
            lost: 0,
        }
    }

    fn start(&mut self, options: &[&str]) -> Process {
        self.options = options.iter().map(ToString::to_string).collect();
        Process::start(self.dir.path(), &[&["--limits", "off"], options].concat())
    }

    /// Everyone posts and reads until so many posts are acknowledged; then the server comes to an end.
    async fn goes_on(&mut self, process: Process, acknowledged: usize, end: impl FnOnce(Process) + Send + 'static) {
        let addr = process.addr;
        self.arrive(addr).await;
        let (count, mut counted) = watch::channel(0);
        let posters = join_all(self.posters.iter_mut().map(|poster| poster.posts(addr, &count)));
        let readers = join_all(self.readers.iter_mut().map(|reader| reader.reads(addr, None)));
        let (ending, ended) = watch::channel(false);
        let (stored, mut is_stored) = watch::channel(false);
        let unheard = self.unheard.posts_unheard(addr, &stored, ended);
        let ends = async {
            let enough = in_time("posts to be acknowledged", counted.wait_for(|count| *count >= acknowledged)).await;
            drop(enough.expect("somebody counts"));
            let unheard = in_time("the unheard to be stored", is_stored.wait_for(|stored| *stored)).await;
            drop(unheard.expect("somebody posts unheard"));
            // On a thread of its own: until it has ended, everyone goes on.
            tokio::task::spawn_blocking(move || end(process)).await.expect("it ends as it should");
            ending.send_replace(true);
        };
        let (_, lost, _, ()) = join4(posters, unheard, readers, ends).await;
        self.lost += lost;
        self.interrupted += usize::from(self.posters.iter().any(|poster| !poster.unknown.is_empty()));
    }

    /// On their first day people get their sessions, and the garden is made.
    async fn arrive(&mut self, addr: SocketAddr) {
        for poster in self.posters.iter_mut().chain([&mut self.unheard]) {
            poster.arrives(addr).await;
        }
    }

    /// A last life: what was not known is asked again, all is read, and compared.
    async fn everything_is_there(mut self, rounds: usize) {
        let options = self.options.clone();
        let process = self.start(&options.iter().map(String::as_str).collect::<Vec<_>>());
        let addr = process.addr;
        for poster in self.posters.iter_mut().chain([&mut self.unheard]) {
            let mut socket = open(addr, Some(&poster.token)).await.expect("the server listens");
            poster.settles(&mut socket).await.expect("a server that stays");
        }
        let posters: Vec<_> = self.posters.iter().chain([&self.unheard]).collect();
        let posted = posters.iter().map(|poster| poster.posts.len()).sum::<usize>();
        for reader in &mut self.readers {
            let room = reader.room.clone();
            let here = posters.iter().flat_map(|poster| &poster.posts).filter(|post| post.room == room);
            let head = here.clone().count();
            reader.reads(addr, Some(head)).await;
            assert_eq!(reader.events.len(), head, "each post of {} is one event", reader.room);
            for post in here {
                let seq = post.seq.expect("it is settled");
                let event = &reader.events[usize::try_from(seq).expect("a small seq") - 1];
                assert_eq!(event["text"], post.text, "acknowledged as {seq} of {}", reader.room);
                assert_eq!(event["txn_id"], post.text);
            }
            assert_reads_the_same(addr, reader).await;
        }
        assert!(posted >= 100 * rounds, "only {posted} posts in {rounds} rounds");
        assert_eq!(self.interrupted, rounds, "each end is to interrupt somebody");
        assert!(self.lost > 0, "no acknowledgement was lost");
        let (status, log) = process.stop();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

impl Poster {
    /// Posts into the lobby and takes no acknowledgement; once its posts are stored, waits until the server has ended.
    /// Says how many of its earlier posts had been stored all the same.
    async fn posts_unheard(
        &mut self,
        addr: SocketAddr,
        stored: &watch::Sender<bool>,
        mut ended: watch::Receiver<bool>,
    ) -> usize {
        let Ok(mut socket) = open(addr, Some(&self.token)).await else { return 0 };
        let position = json!({ "type": "subscribe", "ref": "here", "room": ROOMS[0], "last": 0 });
        let Ok(reply) = ask(&mut socket, &position).await else { return 0 };
        let (head, unknown) = (number(&reply["ok"]["head"]), self.unknown.clone());
        if self.settles(&mut socket).await.is_err() {
            return 0;
        }
        let was_stored = |number: &&usize| self.posts[**number].seq.is_some_and(|seq| seq <= head);
        let lost = unknown.iter().filter(was_stored).count();
        for _ in 0..UNHEARD {
            let number = self.writes();
            self.posts[number].room = ROOMS[0];
            if self.feed(&mut socket, number).await.is_err() {
                return lost;
            }
        }
        // What is delivered is stored; the acknowledgements that come beside it are passed over.
        let final_text = self.posts[self.posts.len() - 1].text.clone();
        if socket.flush().await.is_err()
            || next(&mut socket, |frame| frame["text"] == final_text.as_str()).await.is_err()
        {
            return lost;
        }
        stored.send_replace(true);
        ended.wait_for(|ended| *ended).await.expect("it ends");
        lost
    }
}
