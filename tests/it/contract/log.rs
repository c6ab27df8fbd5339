//! The log: seqs, transactions, redactions, reading on, pages of messages, unread counts.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

use super::*;

mod the_log {
    use super::*;

    #[test]
    fn numbers_the_events_of_a_room_without_gaps_whoever_writes_them() {
        on_every_backend(|house| {
            let rooms = [lobby(), house.room("garden"), house.room("kitchen")];
            thread::scope(|scope| {
                for name in ["ann", "bob", "cid", "dan", "eve", "fay"] {
                    let (house, rooms) = (&house, &rooms);
                    scope.spawn(move || {
                        let author = author(name);
                        let outcomes: Vec<_> = (0..300)
                            .map(|n| house.append(&rooms[n % 3], message(&author, "hello"), Effect::None))
                            .collect();
                        let seqs: Vec<Seq> =
                            outcomes.into_iter().map(|outcome| outcome.recv().unwrap().unwrap()).collect();
                        for room in 0..3 {
                            let own = seqs.iter().skip(room).step_by(3);
                            assert!(own.is_sorted_by(|one, next| one < next), "one caller's appends keep their order");
                        }
                    });
                }
            });
            for room in &rooms {
                let page = house.read(room, 0);
                assert_eq!(seqs(&page), (1..=600).collect::<Vec<_>>());
                assert_eq!(house.heard(room), page, "live and store agree");
            }
        });
    }

    #[test]
    fn tells_of_a_seq_when_the_event_is_announced_and_can_be_read() {
        on_every_backend(|house| {
            let (told, hears) = mpsc::channel();
            for _ in 0..50 {
                let (told, ear) = (told.clone(), house.ear.clone());
                let done = Completion::new(move |outcome| {
                    let seq = outcome.unwrap();
                    told.send((seq, ear.heard(&lobby()).iter().any(|event| event.seq == seq))).unwrap();
                });
                let event = message(&author("ann"), "hello");
                house.log().append(Append { room: lobby(), event, right: Right::Free, effect: Effect::None, done });
                let (seq, announced) = hears.recv().unwrap();
                assert!(announced);
                assert_eq!(house.position(&lobby()).head, seq);
                assert_eq!(seqs(&house.read(&lobby(), seq - 1)), [seq]);
            }
        });
    }

    #[test]
    fn announces_each_room_once_for_what_was_committed_together() {
        on_every_backend(|house| {
            let garden = house.room("garden");
            house.together(|| {
                vec![
                    house.append(&lobby(), message(&author("ann"), "1"), Effect::None),
                    house.append(&garden, message(&author("bob"), "1"), Effect::None),
                    house.append(&lobby(), message(&author("bob"), "2"), Effect::None),
                ]
            });
            let batches = house.ear.batches.lock().unwrap();
            let last = batches.last().unwrap();
            let rooms: HashSet<&RoomId> = last.iter().map(|announcement| &announcement.room).collect();
            assert_eq!(rooms.len(), last.len());
            assert_eq!(last.iter().map(|announcement| announcement.events.len()).sum::<usize>(), 3);
            assert!(last.iter().all(|announcement| announcement.epoch == house.position(&announcement.room).epoch));
        });
    }

    #[test]
    fn keeps_an_event_as_it_was_written() {
        on_every_backend(|house| {
            let ann = author("ann \u{1f98a}\"\0");
            house.says(&ann, "1");
            let event = Event {
                kind: Kind::Edit,
                target: Some(1),
                content: Some(Content::message("a \"b\"\n\u{1f98a}", Some("<p>a</p>"), &[ann.id], 7)),
                ..message(&ann, "")
            };
            house.appended(&lobby(), event.clone(), Effect::None).unwrap();
            let [_, read] = house.read(&lobby(), 0).try_into().unwrap();
            assert_eq!(read, Event { seq: 2, at: read.at, ..event.clone() });
            assert_eq!(read.at.as_millisecond(), event.at.as_millisecond());
        });
    }

    #[test]
    fn knows_no_room_that_was_not_made() {
        on_every_backend(|house| {
            let nowhere = RoomId::from("nowhere");
            let no_room = Error::NoRoom("nowhere".to_owned());
            let outcome = house.appended(&nowhere, message(&author("ann"), "hello"), Effect::None);
            assert_eq!(outcome, Err(no_room.clone()));
            assert_eq!(wait(house.log().position(&nowhere)), Ok(None));
            assert_eq!(
                wait(house.log().read(&nowhere, None, Span { after: 0, limit: 10, bytes: 1000 })).unwrap_err(),
                no_room
            );
            assert_eq!(wait(house.log().messages(&nowhere, None, Window::Newest, 10)).unwrap_err(), no_room);
            assert_eq!(wait(house.log().unread(&nowhere, UserId::random(), 0)), Ok(Unread::default()));
        });
    }

    #[test]
    fn one_append_that_is_refused_leaves_the_others_of_its_batch() {
        on_every_backend(|house| {
            let outcomes = house.together(|| {
                vec![
                    house.append(&lobby(), message(&author("ann"), "1"), Effect::None),
                    house.append(&"nowhere".into(), message(&author("ann"), "2"), Effect::None),
                    house.append(&lobby(), message(&author("ann"), "3"), Effect::None),
                ]
            });
            assert_eq!(outcomes, [Ok(1), Err(Error::NoRoom("nowhere".to_owned())), Ok(2)]);
        });
    }

    #[test]
    fn refuses_at_once_when_too_much_is_waiting() {
        on_every_backend(|house| {
            let large = Content { json: format!(r#""text":"{}""#, "x".repeat(1 << 20)).into(), rendering: 0 };
            let large = || Event { content: Some(large.clone()), ..message(&author("ann"), "") };
            let outcomes = house.together(|| {
                let waiting: Vec<_> = (0..64).map(|_| house.append(&lobby(), large(), Effect::None)).collect();
                let refused = house.append(&lobby(), large(), Effect::None).try_recv();
                assert!(matches!(refused, Ok(Err(Error::Unavailable(_)))), "{refused:?}");
                waiting
            });
            assert_eq!(outcomes, (1..=64).map(Ok).collect::<Vec<_>>());
            assert_eq!(house.appended(&lobby(), large(), Effect::None), Ok(65));
        });
    }

    #[test]
    fn says_that_the_outcome_is_unknown_where_nobody_told_it() {
        let (told, hears) = mpsc::channel();
        drop(Completion::new(move |outcome| told.send(outcome).unwrap()));
        assert_eq!(hears.recv(), Ok(Err(Error::UnknownOutcome)));
    }
}

mod a_txn_id {
    use super::*;

    #[test]
    fn sent_again_leads_to_the_first_seq() {
        on_every_backend(|house| {
            let ann = author("ann");
            assert_eq!(house.appended(&lobby(), with_txn(&ann, "t"), Effect::None), Ok(1));
            house.says(&ann, "between");
            assert_eq!(house.appended(&lobby(), with_txn(&ann, "t"), Effect::None), Ok(1));
            assert_eq!(house.position(&lobby()).head, 2);
            assert_eq!(house.heard(&lobby()).len(), 2, "nothing was announced a second time");
        });
    }

    #[test]
    fn belongs_to_its_author_and_room() {
        on_every_backend(|house| {
            let garden = house.room("garden");
            let (ann, bob) = (author("ann"), author("bob"));
            assert_eq!(house.appended(&lobby(), with_txn(&ann, "t"), Effect::None), Ok(1));
            assert_eq!(house.appended(&lobby(), with_txn(&bob, "t"), Effect::None), Ok(2));
            assert_eq!(house.appended(&garden, with_txn(&ann, "t"), Effect::None), Ok(1));
            assert_eq!(house.position(&garden).head, 1);
        });
    }

    #[test]
    fn is_found_within_one_batch() {
        on_every_backend(|house| {
            let (ann, bob) = (author("ann"), author("bob"));
            let outcomes = house.together(|| {
                vec![
                    house.append(&lobby(), with_txn(&ann, "t"), Effect::None),
                    house.append(&lobby(), with_txn(&bob, "t"), Effect::None),
                    house.append(&lobby(), with_txn(&ann, "t"), Effect::None),
                    house.append(&lobby(), with_txn(&ann, "u"), Effect::None),
                ]
            });
            assert_eq!(outcomes, [Ok(1), Ok(2), Ok(1), Ok(3)]);
            assert_eq!(seqs(&house.heard(&lobby())), [1, 2, 3]);
        });
    }

    #[test]
    fn is_kept_over_a_restart_and_a_redaction() {
        on_every_backend(|mut house| {
            let ann = author("ann");
            house.appended(&lobby(), with_txn(&ann, "t"), Effect::None).unwrap();
            house.appended(&lobby(), delete(&ann, 1), Effect::Redact(1)).unwrap();
            assert_eq!(house.appended(&lobby(), with_txn(&ann, "t"), Effect::None), Ok(1));
            house.reopen();
            assert_eq!(house.appended(&lobby(), with_txn(&ann, "t"), Effect::None), Ok(1));
            assert_eq!(house.position(&lobby()).head, 2);
        });
    }

    #[test]
    fn sent_again_has_no_effect() {
        on_every_backend(|house| {
            let ann = author("ann");
            house.appended(&lobby(), with_txn(&ann, "t"), Effect::None).unwrap();
            house.appended(&lobby(), with_txn(&ann, "t"), Effect::Join).unwrap();
            assert_eq!(house.member(&ann), None);
        });
    }
}

mod a_redaction {
    use super::*;

    #[test]
    fn takes_the_content_and_leaves_the_rest() {
        on_every_backend(|house| {
            let ann = author("ann");
            house.says(&ann, "secret");
            let written = house.read(&lobby(), 0).remove(0);
            house.appended(&lobby(), delete(&ann, 1), Effect::Redact(1)).unwrap();
            assert_eq!(house.read(&lobby(), 0)[0], Event { content: None, ..written.clone() });
            assert_eq!(house.messages(Window::Newest, 10).0, [1]);
            assert_eq!(house.redacted(), [false, true], "copies are told to be stale");
            assert_eq!(house.heard(&lobby())[0], written, "what was announced before stays what it was");
        });
    }

    #[test]
    fn of_an_event_in_its_own_batch_leaves_no_copy() {
        on_every_backend(|house| {
            let ann = author("ann");
            house.together(|| {
                vec![
                    house.append(&lobby(), message(&ann, "secret"), Effect::None),
                    house.append(&lobby(), delete(&ann, 1), Effect::Redact(1)),
                ]
            });
            assert_eq!(house.heard(&lobby()), house.read(&lobby(), 0));
            assert_eq!(house.heard(&lobby())[0].content, None);
        });
    }

    #[test]
    fn of_nothing_is_an_event_without_effect() {
        on_every_backend(|house| {
            let ann = author("ann");
            house.says(&ann, "secret");
            for target in [1, 1, 0, 5, 99, Seq::MAX] {
                house.appended(&lobby(), delete(&ann, target), Effect::Redact(target)).unwrap();
            }
            assert_eq!(house.redacted(), [false, true, false, false, false, false, false]);
            assert!(house.read(&lobby(), 1).iter().all(|event| event.content.is_some()));
        });
    }

    #[test]
    fn takes_the_mentions() {
        on_every_backend(|house| {
            let (ann, bob) = (author("ann"), author("bob"));
            house.appended(&lobby(), message(&ann, "hi @bob"), Effect::Mention(vec![bob.id])).unwrap();
            assert_eq!(house.unread(&bob, 0).mentions, 1);
            house.appended(&lobby(), delete(&ann, 1), Effect::Redact(1)).unwrap();
            assert_eq!(house.unread(&bob, 0).mentions, 0);
        });
    }
}

mod reading {
    use super::*;

    #[test]
    fn stops_at_a_number_of_events() {
        on_every_backend(|house| {
            house.say(&author("ann"), 10);
            assert_eq!(house.read_some(0, 3, 1_000_000), [1, 2, 3]);
            assert_eq!(house.read_some(7, 3, 1_000_000), [8, 9, 10]);
            assert_eq!(house.read_some(9, 3, 1_000_000), [10]);
            assert!(house.read_some(10, 3, 1_000_000).is_empty());
            assert!(house.read_some(Seq::MAX, 3, 1_000_000).is_empty());
        });
    }

    #[test]
    fn stops_at_a_number_of_bytes_but_reads_one_event() {
        on_every_backend(|house| {
            let ann = author("ann");
            for text in ["x".repeat(1000), "x".repeat(1000), "x".repeat(5000), "x".to_owned(), "x".to_owned()] {
                house.says(&ann, &text);
            }
            assert_eq!(house.read_some(0, 100, 3000), [1, 2]);
            assert_eq!(house.read_some(2, 100, 3000), [3]);
            assert_eq!(house.read_some(2, 100, 0), [3]);
            assert_eq!(house.read_some(3, 100, 3000), [4, 5]);
        });
    }

    #[test]
    fn tells_the_position_of_the_same_moment() {
        on_every_backend(|house| {
            let writing = AtomicBool::new(true);
            thread::scope(|scope| {
                scope.spawn(|| {
                    house.say(&author("ann"), 500);
                    writing.store(false, Ordering::SeqCst);
                });
                while writing.load(Ordering::SeqCst) {
                    let page =
                        wait(house.log().read(&lobby(), None, Span { after: 0, limit: 1000, bytes: 10_000_000 }))
                            .unwrap();
                    assert_eq!(page.position.head, page.events.last().map_or(0, |event| event.seq));
                    let page = wait(house.log().messages(&lobby(), None, Window::Newest, 1)).unwrap();
                    assert_eq!(page.position.head, page.events.last().map_or(0, |event| event.seq));
                }
            });
            assert_eq!(house.position(&lobby()).head, 500);
        });
    }

    #[test]
    fn an_empty_room_stands_before_its_first_event() {
        on_every_backend(|house| {
            let Position { epoch, oldest, head } = house.position(&lobby());
            assert_eq!((oldest, head), (1, 0));
            assert_ne!(epoch, Epoch(0));
            assert!(house.read(&lobby(), 0).is_empty());
            assert_eq!(house.messages(Window::Newest, 10), (vec![], false));
        });
    }
}

mod a_page_of_messages {
    use super::*;

    /// Messages at 1, 3, 5, 7, 9; a reaction after each.
    fn conversation(house: &House) {
        let ann = author("ann");
        for seq in [1, 3, 5, 7, 9] {
            house.says(&ann, "hello");
            let reaction = Event { kind: Kind::Reaction, target: Some(seq), ..message(&ann, ":+1:") };
            house.appended(&lobby(), reaction, Effect::None).unwrap();
        }
    }

    #[test]
    fn holds_the_newest() {
        on_every_backend(|house| {
            conversation(&house);
            assert_eq!(house.messages(Window::Newest, 2), (vec![7, 9], true));
            assert_eq!(house.messages(Window::Newest, 4), (vec![3, 5, 7, 9], true));
            assert_eq!(house.messages(Window::Newest, 5), (vec![1, 3, 5, 7, 9], false));
            assert_eq!(house.messages(Window::Newest, 200), (vec![1, 3, 5, 7, 9], false));
        });
    }

    #[test]
    fn holds_the_newest_before_a_seq() {
        on_every_backend(|house| {
            conversation(&house);
            assert_eq!(house.messages(Window::Before(7), 2), (vec![3, 5], true));
            assert_eq!(house.messages(Window::Before(8), 2), (vec![5, 7], true));
            assert_eq!(house.messages(Window::Before(4), 2), (vec![1, 3], false));
            assert_eq!(house.messages(Window::Before(1), 2), (vec![], false));
            assert_eq!(house.messages(Window::Before(0), 2), (vec![], false));
            assert_eq!(house.messages(Window::Before(Seq::MAX), 1), (vec![9], true));
        });
    }

    #[test]
    fn holds_those_around_a_seq() {
        on_every_backend(|house| {
            conversation(&house);
            assert_eq!(house.messages(Window::Around(5), 4), (vec![3, 5, 7, 9], true));
            assert_eq!(house.messages(Window::Around(4), 4), (vec![1, 3, 5, 7], false));
            assert_eq!(house.messages(Window::Around(5), 1), (vec![5], true));
            assert_eq!(house.messages(Window::Around(1), 4), (vec![1, 3, 5], false));
            assert_eq!(house.messages(Window::Around(0), 4), (vec![1, 3], false));
            assert_eq!(house.messages(Window::Around(9), 4), (vec![7, 9], true));
            assert_eq!(house.messages(Window::Around(Seq::MAX), 2), (vec![9], true));
        });
    }

    #[test]
    fn holds_redacted_ones_without_their_content() {
        on_every_backend(|house| {
            conversation(&house);
            house.appended(&lobby(), delete(&author("ann"), 5), Effect::Redact(5)).unwrap();
            let page = wait(house.log().messages(&lobby(), None, Window::Newest, 3)).unwrap();
            assert_eq!(seqs(&page.events), [5, 7, 9]);
            let empty: Vec<bool> = page.events.iter().map(|event| event.content.is_none()).collect();
            assert_eq!(empty, [true, false, false]);
            assert_eq!(page.position.head, 11);
        });
    }
}

mod unread {
    use super::*;

    #[test]
    fn counts_messages_by_others_and_mentions_after_the_marker() {
        on_every_backend(|house| {
            let (ann, bob) = (author("ann"), author("bob"));
            house.say(&ann, 3);
            house.say(&bob, 2);
            let reaction = Event { kind: Kind::Reaction, target: Some(1), ..message(&ann, ":+1:") };
            house.appended(&lobby(), reaction, Effect::None).unwrap();
            house.appended(&lobby(), message(&ann, "hi @bob"), Effect::Mention(vec![bob.id, ann.id])).unwrap();
            assert_eq!(house.unread(&bob, 0), Unread { messages: 4, mentions: 1 });
            assert_eq!(house.unread(&bob, 2), Unread { messages: 2, mentions: 1 });
            assert_eq!(house.unread(&bob, 7), Unread::default());
            assert_eq!(house.unread(&bob, Seq::MAX), Unread::default());
            assert_eq!(house.unread(&ann, 0), Unread { messages: 2, mentions: 1 });
            house.appended(&lobby(), delete(&ann, 7), Effect::Redact(7)).unwrap();
            assert_eq!(house.unread(&bob, 2), Unread { messages: 2, mentions: 0 });
        });
    }

    #[test]
    fn is_counted_to_its_cap() {
        on_every_backend(|house| {
            let (ann, bob) = (author("ann"), author("bob"));
            let mention = || house.append(&lobby(), message(&ann, "@bob"), Effect::Mention(vec![bob.id]));
            house.together(|| (0..=UNREAD_CAP).map(|_| mention()).collect());
            let capped = Unread { messages: UNREAD_CAP, mentions: UNREAD_CAP };
            let one_less = Unread { messages: UNREAD_CAP - 1, mentions: UNREAD_CAP - 1 };
            assert_eq!(house.unread(&bob, 0), capped);
            assert_eq!(house.unread(&bob, 1), capped);
            assert_eq!(house.unread(&bob, 2), one_less);
        });
    }
}

mod on_redis {
    use super::*;

    #[test]
    fn an_event_that_is_missing_without_a_tombstone_is_a_defect_and_no_gap() {
        let house = House::new(Backend::Redis, Durability::Full);
        let redis = house.ground.redis.as_ref().unwrap();
        house.say(&author("ann"), 3);
        house.appended(&lobby(), delete(&author("ann"), 1), Effect::Redact(1)).unwrap();
        redis.ask(&["XDEL", "chinwag:{lobby}:log", "2-0"]);
        let span = |after| Span { after, limit: 10, bytes: 1000 };
        assert_eq!(wait(house.log().read(&lobby(), None, span(0))), Err(Error::Internal));
        assert_eq!(wait(house.log().messages(&lobby(), None, Window::Newest, 3)), Err(Error::Internal));
        assert_eq!(seqs(&house.read(&lobby(), 2)), [3, 4], "the rest can be read");
    }

    #[test]
    fn redacted_events_are_read_in_their_places_however_many_there_are() {
        let house = House::new(Backend::Redis, Durability::Full);
        let ann = author("ann");
        let said: Vec<_> =
            (0..250).map(|n| house.append(&lobby(), with_txn(&ann, &n.to_string()), Effect::None)).collect();
        assert!(said.into_iter().all(|outcome| outcome.recv().unwrap().is_ok()));
        house.says(&author("bob"), "hello");
        house.appended(&lobby(), delete(&ann, 1), Effect::RedactAll(ann.id)).unwrap();
        house.appended(&lobby(), delete(&ann, 252), Effect::Redact(252)).unwrap();
        let events = house.read(&lobby(), 0);
        assert_eq!(seqs(&events), (1..=253).collect::<Vec<_>>());
        let kept: Vec<Seq> = events.iter().filter(|event| event.content.is_some()).map(|event| event.seq).collect();
        assert_eq!(kept, [251, 253]);
        assert_eq!(house.read_some(100, 3, 1000), [101, 102, 103]);
    }
}
