//! What the parts of the hot path take by themselves: `cargo bench -p chinwag-bench`, or with a part of a name after
//! it. Every figure is of one thread; the store's is of real commits to the disk below the build folder.

use chinwag::protocol::{Author, Content, Event, Kind, RoomId, Seq, UserId};

fn main() {
    divan::main();
}

/// So long are the texts of ordinary messages here, in bytes.
const TEXT: usize = 128;

fn words(bytes: usize) -> String {
    "what the parts of the hot path take ".chars().cycle().take(bytes).collect()
}

/// An ordinary message.
fn event(seq: Seq) -> Event {
    let author = UserId::random();
    Event {
        seq,
        id: author.0,
        kind: Kind::Message,
        at: "2026-11-20T09:38:50.512Z".parse().expect("a time"),
        author: Author { id: author, name: "guest-1a2b3".into() },
        txn_id: None,
        target: None,
        content: Some(Content::message(&words(TEXT), None, &[], 1)),
    }
}

fn room() -> RoomId {
    RoomId::lobby()
}

/// Reading what clients sent.
mod frames {
    use chinwag::frame::{Decoder, Limits};
    use divan::counter::{BytesCount, ItemsCount};
    use divan::{Bencher, black_box};

    const LIMITS: Limits = Limits { message_bytes: 64 << 10, fragments: 16 };
    /// What the server reads from a socket at once.
    const READ: usize = 16 << 10;

    #[divan::bench(args = [1, 16, 100])]
    fn small_in_one_read(bencher: Bencher, frames: usize) {
        decode(bencher, frames, super::TEXT, usize::MAX);
    }

    #[divan::bench(args = [1, 6, 64])]
    fn small_cut_into_reads_of(bencher: Bencher, bytes: usize) {
        decode(bencher, 16, super::TEXT, bytes);
    }

    #[divan::bench]
    fn of_64_kb_whole(bencher: Bencher) {
        decode(bencher, 1, LIMITS.message_bytes, usize::MAX);
    }

    #[divan::bench]
    fn of_64_kb_in_reads(bencher: Bencher) {
        decode(bencher, 1, LIMITS.message_bytes, READ);
    }

    fn decode(bencher: Bencher, frames: usize, payload: usize, read: usize) {
        let sent = masked(&super::words(payload)).repeat(frames);
        bencher
            .counter(BytesCount::new(sent.len()))
            .counter(ItemsCount::new(frames))
            // Unmasking is done in place.
            .with_inputs(|| sent.clone())
            .bench_local_refs(|bytes| {
                let mut decoder = Decoder::default();
                let reads = bytes.chunks_mut(read.min(sent.len()));
                let whole: usize = reads.map(|read| decoder.decode(read, LIMITS).map(black_box).count()).sum();
                assert_eq!(whole, frames);
            });
    }

    fn masked(text: &str) -> Vec<u8> {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let mut frame = vec![0x81];
        match u16::try_from(text.len()) {
            Ok(length @ ..126) => frame.push(0x80 | length.to_be_bytes()[1]),
            Ok(length) => frame.extend([&[0x80 | 0x7e][..], &length.to_be_bytes()].concat()),
            Err(_) => frame.extend([&[0x80 | 0x7f][..], &text.len().to_be_bytes()].concat()),
        }
        frame.extend(mask);
        frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }
}

/// What is done once for a batch, and what is done for each reader.
mod tail {
    use std::convert::Infallible;
    use std::io::IoSlice;
    use std::sync::Arc;

    use chinwag::chat::tail::{Segment, Tail, View};
    use chinwag::protocol::Seq;
    use divan::counter::ItemsCount;
    use divan::{Bencher, black_box};

    const LIMIT: usize = 256 << 10;

    fn segment(after: Seq, events: Seq) -> Arc<Segment> {
        let events: Vec<_> = (after + 1..=after + events).map(super::event).collect();
        Arc::new(Segment::encode(&super::room(), &events).expect("there are events"))
    }

    #[divan::bench(args = [1, 16, 256])]
    fn encode(bencher: Bencher, events: Seq) {
        let (room, events) = (super::room(), (1..=events).map(super::event).collect::<Vec<_>>());
        bencher.counter(ItemsCount::new(events.len())).bench_local(|| Segment::encode(&room, black_box(&events)));
    }

    /// To a full tail, which lets go of its oldest segment each time.
    #[divan::bench(args = [1, 16, 256])]
    fn append(bencher: Bencher, events: Seq) {
        let mut tail = Tail::new(0, LIMIT);
        while tail.bytes() + segment(tail.head(), events).size() <= LIMIT {
            tail.append(segment(tail.head(), events));
        }
        let mut head = tail.head();
        let next = || {
            head += events;
            segment(head - events, events)
        };
        bencher.with_inputs(next).bench_local_values(|segment| tail.append(segment));
    }

    /// One reader's share of a round, but for the write itself: all that stands in the tail is lent.
    #[divan::bench(args = [1, 4, 64])]
    fn lend_segments(bencher: Bencher, segments: Seq) {
        let tail = tail_of(segments);
        let mut view = View::default();
        tail.view_after(0, &mut view).expect("all of it stands there");
        bencher.bench_local(|| lend(&view));
    }

    /// What a round asks of the tail once for 256 sockets, and a reader that is behind for itself.
    #[divan::bench(args = [1, 4, 64])]
    fn view_and_lend_segments(bencher: Bencher, segments: Seq) {
        let tail = tail_of(segments);
        let mut view = View::default();
        bencher.bench_local(|| {
            tail.view_after(black_box(0), &mut view).expect("all of it stands there");
            lend(&view)
        });
    }

    fn tail_of(segments: Seq) -> Tail {
        let mut tail = Tail::new(0, LIMIT);
        (0..segments).for_each(|after| tail.append(segment(after, 1)));
        tail
    }

    fn lend(view: &View) -> Seq {
        let take = |frames: &[IoSlice<'_>]| Ok(black_box(frames).iter().map(|frame| frame.len()).sum());
        let Ok::<_, Infallible>(progress) = view.write_after(black_box(0), take);
        progress.seq
    }
}

/// Rendering, once for each post.
mod markdown {
    use std::fmt;

    use chinwag::chat::message;
    use divan::counter::BytesCount;
    use divan::{Bencher, black_box};

    struct Sample(&'static str, String);

    impl fmt::Display for Sample {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    fn samples() -> [Sample; 7] {
        const LONG: usize = 16 << 10;
        let formatted = "**Well**, see `code`, _this_ list and https://example.org/:\n\n- one :tada:\n- two\n\n";
        [
            Sample("plain", super::words(super::TEXT)),
            Sample("formatted", formatted.to_owned()),
            Sample("long plain", super::words(LONG)),
            Sample("long formatted", formatted.repeat(LONG / formatted.len())),
            Sample("nested quotes", "> ".repeat(LONG / 2)),
            Sample("nested brackets", "[".repeat(LONG)),
            Sample("unclosed emphasis", "*a **b _c ".repeat(LONG / 10)),
        ]
    }

    #[divan::bench(args = samples())]
    fn render(bencher: Bencher, Sample(_, text): &Sample) {
        bencher.counter(BytesCount::of_str(text)).bench_local(|| message::render(black_box(text)));
    }
}

/// Posts that wait for the disk.
mod store {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex};

    use chinwag::protocol::{MemberRole, RoomKind};
    use chinwag::store::{
        self, Append, Committed, Completion, Durability, Effect, Options, Right, RoomInfo, Store, Watcher,
    };
    use divan::Bencher;
    use divan::counter::ItemsCount;
    use tempfile::TempDir;

    /// From the moment when the writer finds so many posts waiting until all of them are on disk.
    #[divan::bench(args = [1, 16, 256, 1000], sample_size = 1, sample_count = 60)]
    fn group_commit(bencher: Bencher, posts: usize) {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk");
        let options = Options { dir: folder.path().to_owned(), durability: Durability::Full, redis: None };
        let holds = Arc::new(AtomicBool::new(false));
        let ((committed, commits), (go_on, told)) = (channel(), channel());
        let doorman = Doorman { committed, holds: holds.clone(), told: told.into() };
        let store = store::open(&options, Arc::new(doorman)).expect("a new store");
        make_room(&store);
        bencher
            .counter(ItemsCount::new(posts))
            .with_inputs(|| {
                holds.store(true, Ordering::SeqCst);
                post(&store);
                wait(&commits, 1);
                holds.store(false, Ordering::SeqCst);
                (0..posts).for_each(|_| post(&store));
            })
            .bench_local_values(|()| {
                go_on.send(()).expect("a writer that waits");
                wait(&commits, posts);
            });
        store.log.close();
    }

    /// Tells of each commit, and holds the writer up where it shall: what is queued meanwhile is committed together.
    struct Doorman {
        committed: Sender<usize>,
        holds: Arc<AtomicBool>,
        told: Mutex<Receiver<()>>,
    }

    impl Watcher for Doorman {
        fn committed(&self, batch: Committed) {
            // Looked at before anybody hears of this commit, since that may change it for the next.
            let holds = self.holds.load(Ordering::SeqCst);
            let posts = batch.receipts.len();
            batch.receipts.into_iter().for_each(|receipt| receipt.done.tell(receipt.outcome));
            // Nobody listens any more once a benchmark has ended.
            let _ = self.committed.send(posts);
            if holds {
                let told = self.told.lock().expect("nobody else waits here");
                let _ = told.recv();
            }
        }
    }

    fn make_room(store: &Store) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let room = RoomInfo::new(super::room(), "Lobby".into(), RoomKind::Public);
        runtime.block_on(store.directory.create_room(room, Vec::new())).expect("a new room");
    }

    fn post(store: &Store) {
        let done = Completion::new(|outcome| assert!(outcome.is_ok(), "{outcome:?}"));
        store.log.append(Append {
            room: super::room(),
            event: super::event(0),
            right: Right::Write(MemberRole::Member),
            effect: Effect::None,
            done,
        });
    }

    fn wait(commits: &Receiver<usize>, posts: usize) {
        let mut committed = 0;
        while committed < posts {
            committed += commits.recv().expect("a writer that goes on");
        }
    }
}
