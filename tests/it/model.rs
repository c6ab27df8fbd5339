//! The live path against a model so simple that it cannot be wrong: whatever happens to rooms, workers and wires, and
//! in whatever order, every subscription brings exactly the events after its cursor, each once and whole. A failing
//! play is kept in model.seeds and played again; `CHINWAG_LONG=1` plays many more.

mod stage;
mod stream;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use self::stage::{Announce, Stage, TAILS, Tails};

/// One thing that happens. Who and where are numbers that are taken modulo as many as there are.
#[derive(Clone, Debug)]
pub enum Op {
    /// Messages of these lengths are committed together. They are announced later.
    Append {
        room: usize,
        lengths: Vec<usize>,
    },
    /// A deletion is committed, and empties this event.
    Redact {
        room: usize,
        target: u64,
    },
    /// The log begins another life with the first of its events, as after a restore.
    Restore {
        room: usize,
        keep: u64,
    },
    /// The hub hears of the oldest commit that it has not heard of.
    Announce(Announce),
    Subscribe {
        who: usize,
        room: usize,
        last: u64,
    },
    Resume {
        who: usize,
        room: usize,
        seq: u64,
        stale: bool,
    },
    Unsubscribe {
        who: usize,
        room: usize,
    },
    /// The room's live readers are sent a signal.
    Signal {
        room: usize,
    },
    Ping {
        who: usize,
    },
    /// The wire takes this many bytes more, then blocks.
    Take {
        who: usize,
        bytes: usize,
    },
    /// The wire takes everything.
    Flow {
        who: usize,
    },
    /// The wire takes at most so many bytes at once.
    Narrow {
        who: usize,
        bytes: usize,
    },
    /// What the store was asked is answered.
    Answers,
    /// The worker does a bit of its work.
    Round,
    /// The connection's task runs, if it was woken; or for nothing.
    Tend {
        who: usize,
        woken: bool,
    },
    /// The connection breaks, and another takes its place.
    Leave {
        who: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    // Of a crowd mostly the first few, so that what concerns one of them comes together.
    let who = prop_oneof![7 => 0..8_usize, 1 => 0..1_000_usize];
    let room = 0..8_usize;
    let lengths = vec(prop_oneof![6 => 0..40_usize, 2 => 40..400_usize, 1 => 2_000..70_000_usize], 1..6);
    let announce = prop_oneof![
        8 => Just(Announce::AsItIs),
        2 => (1..4_u64).prop_map(Announce::Overlapping),
        2 => Just(Announce::WithTheNext),
        1 => Just(Announce::Lost),
    ];
    let few = prop_oneof![Just(1_usize), 2..20_usize, 20..2_000_usize];
    prop_oneof![
        12 => (room.clone(), lengths).prop_map(|(room, lengths)| Op::Append { room, lengths }),
        3 => (room.clone(), any::<u64>()).prop_map(|(room, target)| Op::Redact { room, target }),
        1 => (room.clone(), any::<u64>()).prop_map(|(room, keep)| Op::Restore { room, keep }),
        14 => announce.prop_map(Op::Announce),
        6 => (who.clone(), room.clone(), 0..12_u64).prop_map(|(who, room, last)| Op::Subscribe { who, room, last }),
        4 => (who.clone(), room.clone(), any::<u64>(), prop::bool::weighted(0.1))
            .prop_map(|(who, room, seq, stale)| Op::Resume { who, room, seq, stale }),
        3 => (who.clone(), room.clone()).prop_map(|(who, room)| Op::Unsubscribe { who, room }),
        1 => room.prop_map(|room| Op::Signal { room }),
        1 => who.clone().prop_map(|who| Op::Ping { who }),
        4 => (who.clone(), few.clone()).prop_map(|(who, bytes)| Op::Take { who, bytes }),
        4 => who.clone().prop_map(|who| Op::Flow { who }),
        2 => (who.clone(), few).prop_map(|(who, bytes)| Op::Narrow { who, bytes }),
        8 => Just(Op::Answers),
        12 => Just(Op::Round),
        14 => (who.clone(), prop::bool::weighted(0.8)).prop_map(|(who, woken)| Op::Tend { who, woken }),
        1 => who.prop_map(|who| Op::Leave { who }),
    ]
}

fn tails() -> impl Strategy<Value = Tails> {
    prop_oneof![
        3 => (300..3_000_usize, 300..6_000_usize).prop_map(|(room_bytes, all_bytes)| Tails { room_bytes, all_bytes }),
        1 => Just(TAILS),
    ]
}

fn config(cases: u32) -> ProptestConfig {
    let cases = if std::env::var_os("CHINWAG_LONG").is_some() { cases * 16 } else { cases };
    ProptestConfig {
        cases,
        max_shrink_iters: 2_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("seeds"))),
        ..ProptestConfig::default()
    }
}

fn play(connections: usize, rooms: usize, tails: Tails, ops: &[Op]) {
    let mut stage = Stage::new(connections, rooms, tails);
    for op in ops {
        stage.does(op);
        stage.is_bounded();
    }
    stage.comes_to_rest();
    stage.all_is_told();
    stage.leaves_nothing();
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn every_subscription_brings_the_events_after_its_cursor(
        connections in 1..5_usize,
        rooms in 1..4_usize,
        tails in tails(),
        ops in vec(op(), 1..120),
    ) {
        play(connections, rooms, tails, &ops);
    }
}

proptest! {
    #![proptest_config(config(8))]

    /// So many that a round is cut into slices, between which readers come and go.
    #[test]
    fn a_crowd_is_served_in_slices(connections in 257..600_usize, ops in vec(op(), 1..120)) {
        let ops = [everyone_subscribes(connections), ops].concat();
        play(connections, 2, TAILS, &ops);
    }
}

/// Guards against a round that passed one over when somebody before them left while it made way for others.
#[test]
fn nobody_is_passed_over_when_another_leaves_in_mid_round() {
    for rounds in 1..6 {
        let mut ops = everyone_subscribes(300);
        ops.extend([Op::Append { room: 0, lengths: vec![1] }, Op::Announce(Announce::AsItIs)]);
        ops.extend(vec![Op::Round; rounds]);
        ops.extend([Op::Unsubscribe { who: 0, room: 0 }, Op::Tend { who: 0, woken: true }]);
        play(300, 1, TAILS, &ops);
    }
}

fn everyone_subscribes(connections: usize) -> Vec<Op> {
    let tended = |who| Op::Tend { who, woken: true };
    let ask = (0..connections).flat_map(|who| [Op::Subscribe { who, room: 0, last: 0 }, tended(who)]);
    ask.chain([Op::Answers]).chain((0..connections).map(tended)).collect()
}

/// What a connection needs to be subscribed: its task asks where the log stands, and is told.
fn subscribes(last: u64) -> [Op; 4] {
    let tend = Op::Tend { who: 0, woken: true };
    [Op::Subscribe { who: 0, room: 0, last }, tend, Op::Answers, Op::Narrow { who: 0, bytes: 100 }]
}

/// Guards against a worker that span until the hub had heard what a page from the store already held.
#[test]
fn a_reader_may_be_ahead_of_what_was_announced() {
    let mut ops = vec![Op::Append { room: 0, lengths: vec![1, 2, 3] }, Op::Announce(Announce::AsItIs)];
    ops.extend(subscribes(2));
    ops.extend([
        Op::Append { room: 0, lengths: vec![4] },
        Op::Tend { who: 0, woken: true },
        Op::Answers,
        Op::Tend { who: 0, woken: true },
    ]);
    play(1, 1, TAILS, &ops);
}

/// Guards against a page, read before a deletion, that a slow reader was still sent long after it.
#[test]
fn what_was_deleted_is_not_sent_from_a_page_that_waits() {
    let mut ops = vec![Op::Append { room: 0, lengths: vec![9, 9, 9] }, Op::Announce(Announce::AsItIs)];
    ops.extend(subscribes(3));
    ops.extend([
        Op::Take { who: 0, bytes: 300 },
        Op::Tend { who: 0, woken: true },
        Op::Answers,
        Op::Tend { who: 0, woken: true },
        Op::Redact { room: 0, target: 2 },
        Op::Announce(Announce::AsItIs),
        Op::Flow { who: 0 },
    ]);
    play(1, 1, TAILS, &ops);
}

/// The same where the hub did not hear of the deletion, but only that it had missed something.
#[test]
fn what_was_deleted_unheard_is_not_sent_from_a_page_that_waits() {
    let mut ops = vec![Op::Append { room: 0, lengths: vec![9, 9, 9] }, Op::Announce(Announce::AsItIs)];
    ops.extend(subscribes(3));
    ops.extend([
        Op::Take { who: 0, bytes: 300 },
        Op::Tend { who: 0, woken: true },
        Op::Answers,
        Op::Tend { who: 0, woken: true },
        Op::Redact { room: 0, target: 2 },
        Op::Announce(Announce::Lost),
        Op::Append { room: 0, lengths: vec![9] },
        Op::Announce(Announce::AsItIs),
        Op::Flow { who: 0 },
    ]);
    play(1, 1, TAILS, &ops);
}

/// Guards against a page, read for a subscription that has ended, that spoke of it and would have ended the next one.
#[test]
fn a_page_for_a_subscription_that_is_over_changes_nothing() {
    let mut ops = vec![Op::Append { room: 0, lengths: vec![1, 2, 3] }, Op::Announce(Announce::AsItIs)];
    ops.extend(subscribes(3));
    ops.extend([
        Op::Restore { room: 0, keep: 2 },
        Op::Tend { who: 0, woken: true },
        Op::Unsubscribe { who: 0, room: 0 },
        Op::Tend { who: 0, woken: true },
        Op::Answers,
        Op::Tend { who: 0, woken: true },
    ]);
    play(1, 1, TAILS, &ops);
}

/// Guards against a room that took what it had heard of an earlier life for what the store told of this one.
#[test]
fn what_was_heard_of_an_earlier_life_is_forgotten() {
    let ops = [
        Op::Append { room: 0, lengths: vec![1, 2, 3, 4] },
        Op::Restore { room: 0, keep: 1 },
        Op::Subscribe { who: 0, room: 0, last: 0 },
        Op::Tend { who: 0, woken: true },
        Op::Announce(Announce::AsItIs),
        Op::Answers,
        Op::Tend { who: 0, woken: true },
    ];
    play(1, 1, TAILS, &ops);
}

/// Guards against a room that took an answer of the store for newer than what it had heard meanwhile.
#[test]
fn an_answer_from_an_earlier_life_is_asked_for_again() {
    let ops = [
        Op::Subscribe { who: 0, room: 0, last: 0 },
        Op::Tend { who: 0, woken: true },
        Op::Restore { room: 0, keep: 0 },
        Op::Append { room: 0, lengths: vec![1] },
        Op::Announce(Announce::AsItIs),
        Op::Answers,
        Op::Tend { who: 0, woken: true },
    ];
    play(1, 1, TAILS, &ops);
}
