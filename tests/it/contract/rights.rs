//! Who may write and read, where a right begins and ends, and what an event changes of its room.

use super::*;

const AS_MEMBER: Right = Right::Write(MemberRole::Member);
const AS_MODERATOR: Right = Right::AtLeast(MemberRole::Moderator, MemberRole::Member);

/// A private room of Ann's, whose moderator is Mia and whose member is Bob; Eve is none.
struct Den {
    room: RoomId,
    ann: Author,
    mia: Author,
    bob: Author,
    eve: Author,
}

impl Den {
    fn of(house: &House) -> Self {
        let [ann, mia, bob, eve] = ["ann", "mia", "bob", "eve"].map(|name| {
            let user = account(name);
            house.adds(&user, 0).unwrap();
            user.record.author()
        });
        let members = vec![(ann.id, MemberRole::Owner), (mia.id, MemberRole::Moderator), (bob.id, MemberRole::Member)];
        let info = RoomInfo::new("_den".into(), "Den".into(), RoomKind::Private);
        wait(house.directory().create_room(info, members)).unwrap();
        Self { room: "_den".into(), ann, mia, bob, eve }
    }

    fn no_room<T>(&self) -> Result<T> {
        Err(Error::NoRoom(self.room.to_string()))
    }
}

impl House {
    fn writes(&self, room: &RoomId, author: &Author, right: Right) -> Result<Seq> {
        self.append_by(room, message(author, "hello"), right, Effect::None).recv().unwrap()
    }

    fn reads(&self, room: &RoomId, reader: Option<&Author>) -> Result<Vec<Seq>> {
        let (reader, span) = (reader.map(|user| user.id), Span { after: 0, limit: 100, bytes: 1 << 20 });
        let read = wait(self.log().read(room, reader, span)).map(|page| seqs(&page.events));
        let paged = wait(self.log().messages(room, reader, Window::Newest, 100)).map(|page| page.position.head);
        assert_eq!(read.as_ref().err(), paged.as_ref().err(), "both ways of reading ask for the same right");
        read
    }

    fn changes(&self, room: &RoomId, author: &Author, effect: Effect) -> Result<Seq> {
        self.appended(room, Event { kind: Kind::Topic, ..message(author, "changed") }, effect)
    }

    fn role(&self, room: &RoomId, user: &Author) -> Option<(MemberRole, Seq)> {
        wait(self.directory().member(room, user.id)).unwrap().map(|joined| (joined.role, joined.read))
    }
}

fn not_allowed<T: std::fmt::Debug>(outcome: &Result<T>) -> bool {
    matches!(outcome, Err(Error::NotAllowed(_)))
}

mod a_right {
    use super::*;

    #[test]
    fn ends_at_a_seq_within_one_batch() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            let outcomes = house.together(|| {
                vec![
                    house.append_by(&den.room, message(&den.bob, "still here"), AS_MEMBER, Effect::None),
                    house.append_by(&den.room, message(&den.mia, "out"), AS_MODERATOR, Effect::Remove(den.bob.id)),
                    house.append_by(&den.room, message(&den.bob, "too late"), AS_MEMBER, Effect::None),
                    house.append_by(&den.room, message(&den.ann, "quiet now"), AS_MEMBER, Effect::None),
                ]
            });
            assert_eq!(outcomes, [Ok(1), Ok(2), den.no_room(), Ok(3)]);
            let [heard] = house.announcements(&den.room).try_into().unwrap();
            assert_eq!((seqs(&heard.events), heard.ended, heard.shut), (vec![1, 2, 3], vec![den.bob.id], false));
            assert_eq!(house.reads(&den.room, Some(&den.bob)), den.no_room());
            assert_eq!(house.reads(&den.room, Some(&den.ann)), Ok(vec![1, 2, 3]));
        });
    }

    #[test]
    fn begins_at_a_seq_within_one_batch() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            let lets_in = Effect::Member(den.eve.id, MemberRole::Member);
            let outcomes = house.together(|| {
                vec![
                    house.append_by(&den.room, message(&den.eve, "too soon"), AS_MEMBER, Effect::None),
                    house.append_by(&den.room, message(&den.ann, "come in"), AS_MODERATOR, lets_in),
                    house.append_by(&den.room, message(&den.eve, "thanks"), AS_MEMBER, Effect::None),
                ]
            });
            assert_eq!(outcomes, [den.no_room(), Ok(1), Ok(2)]);
        });
    }

    #[test]
    fn to_what_is_not_public_is_its_members_alone() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            assert_eq!(house.writes(&den.room, &den.bob, AS_MEMBER), Ok(1));
            for right in [
                AS_MEMBER,
                Right::Write(MemberRole::Owner),
                Right::AtLeast(MemberRole::Member, MemberRole::Owner),
                Right::AtLeast(MemberRole::Owner, MemberRole::Owner),
            ] {
                assert_eq!(house.writes(&den.room, &den.eve, right), den.no_room(), "{right:?}");
            }
            assert_eq!(house.reads(&den.room, Some(&den.eve)), den.no_room());
            assert_eq!(house.reads(&den.room, None), den.no_room());
            assert_eq!(house.reads(&den.room, Some(&den.bob)), Ok(vec![1]));
            assert_eq!(wait(house.directory().public_rooms("", None, 10)).unwrap().len(), 1, "the lobby alone");
            assert_eq!(house.writes(&den.room, &den.eve, Right::Free), Ok(2), "what asks for nothing is let through");
        });
    }

    #[test]
    fn is_what_one_has_as_a_member_or_by_the_place_whichever_is_more() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            let (member, moderator, owner) = (MemberRole::Member, MemberRole::Moderator, MemberRole::Owner);
            for (author, least, rank, may) in [
                (&den.bob, member, member, true),
                (&den.bob, moderator, member, false),
                (&den.bob, moderator, moderator, true),
                (&den.mia, moderator, member, true),
                (&den.mia, owner, moderator, false),
                (&den.ann, owner, member, true),
            ] {
                let outcome = house.writes(&den.room, author, Right::AtLeast(least, rank));
                assert_eq!((outcome.is_ok(), not_allowed(&outcome)), (may, !may), "{author:?} {least:?} {rank:?}");
            }
            assert!(house.writes(&lobby(), &author("fay"), Right::AtLeast(moderator, moderator)).is_ok());
            assert!(not_allowed(&house.writes(&lobby(), &author("fay"), Right::AtLeast(moderator, member))));
        });
    }

    #[test]
    fn that_is_not_given_has_no_effect() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            let out = |author: &Author| {
                house.append_by(&den.room, message(author, "out"), AS_MODERATOR, Effect::Remove(den.mia.id)).recv()
            };
            assert!(not_allowed(&out(&den.bob).unwrap()));
            assert_eq!(out(&den.eve).unwrap(), den.no_room());
            assert_eq!(house.role(&den.room, &den.mia), Some((MemberRole::Moderator, 0)));
            assert_eq!(house.position(&den.room).head, 0);
        });
    }

    #[test]
    fn to_announce_is_the_moderators() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            let announcement = RoomChange { announcement: Some(true), ..RoomChange::default() };
            for room in [&den.room, &lobby()] {
                house.changes(room, &den.ann, Effect::Change(announcement.clone().into())).unwrap();
            }
            assert!(not_allowed(&house.writes(&den.room, &den.bob, AS_MEMBER)));
            assert!(house.writes(&den.room, &den.mia, AS_MEMBER).is_ok());
            assert!(not_allowed(&house.writes(&lobby(), &den.mia, AS_MEMBER)), "in the lobby she is nothing");
            assert!(house.writes(&lobby(), &den.eve, Right::Write(MemberRole::Moderator)).is_ok());
            assert_eq!(house.writes(&den.room, &den.eve, Right::Write(MemberRole::Owner)), den.no_room());
        });
    }

    #[test]
    fn to_write_ends_for_all_where_a_room_is_archived() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            let archived =
                |archived| Effect::Change(RoomChange { archived: Some(archived), ..RoomChange::default() }.into());
            let outcomes = house.together(|| {
                vec![
                    house.append_by(&den.room, message(&den.ann, "the end"), AS_MODERATOR, archived(true)),
                    house.append_by(&den.room, message(&den.ann, "one more"), AS_MEMBER, Effect::None),
                ]
            });
            assert!(outcomes[0].is_ok() && not_allowed(&outcomes[1]), "{outcomes:?}");
            assert!(not_allowed(&house.writes(&den.room, &den.ann, Right::Write(MemberRole::Owner))));
            house.changes(&den.room, &den.ann, archived(false)).unwrap();
            assert_eq!(house.writes(&den.room, &den.bob, AS_MEMBER), Ok(3));
        });
    }

    #[test]
    fn that_was_lowered_counts_from_that_event_on() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            let lower = Effect::Member(den.mia.id, MemberRole::Member);
            let outcomes = house.together(|| {
                vec![
                    house.append_by(&den.room, message(&den.mia, "may"), AS_MODERATOR, Effect::None),
                    house.append_by(&den.room, message(&den.ann, "no more"), AS_MODERATOR, lower),
                    house.append_by(&den.room, message(&den.mia, "may not"), AS_MODERATOR, Effect::None),
                ]
            });
            assert!(outcomes[1].is_ok() && not_allowed(&outcomes[2]), "{outcomes:?}");
            let [heard] = house.announcements(&den.room).try_into().unwrap();
            assert_eq!(heard.ended, [], "she may still read");
        });
    }
}

mod a_member {
    use super::*;

    #[test]
    fn has_a_role_and_a_marker_that_change_apart() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            house.writes(&den.room, &den.bob, AS_MEMBER).unwrap();
            house.changes(&den.room, &den.ann, Effect::Member(den.eve.id, MemberRole::Member)).unwrap();
            assert_eq!(house.role(&den.room, &den.eve), Some((MemberRole::Member, 1)), "before the event");
            house.changes(&den.room, &den.ann, Effect::Member(den.eve.id, MemberRole::Moderator)).unwrap();
            assert_eq!(house.role(&den.room, &den.eve), Some((MemberRole::Moderator, 1)));
            house.changes(&den.room, &den.eve, Effect::Join).unwrap();
            assert_eq!(
                house.role(&den.room, &den.eve),
                Some((MemberRole::Moderator, 4)),
                "joining again takes no role"
            );
        });
    }

    #[test]
    fn who_goes_has_no_right_to_what_is_not_public() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            let garden = house.room("garden");
            house.changes(&garden, &den.bob, Effect::Join).unwrap();
            let ended = |room: &RoomId| house.announcements(room).last().unwrap().ended.clone();
            house.changes(&garden, &den.bob, Effect::Leave).unwrap();
            assert_eq!(ended(&garden), [], "anyone may read what is public");
            house.changes(&den.room, &den.bob, Effect::Leave).unwrap();
            assert_eq!((ended(&den.room), house.role(&den.room, &den.bob)), (vec![den.bob.id], None));
            house.changes(&den.room, &den.ann, Effect::Remove(den.bob.id)).unwrap();
            assert_eq!(ended(&den.room), [], "there was no right to end");
        });
    }

    #[test]
    fn is_listed_with_the_others_in_the_order_of_the_ids() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            let (all, count) = wait(house.directory().members(&den.room, None, 10)).unwrap();
            let mut expected = [den.ann.id, den.mia.id, den.bob.id];
            expected.sort_unstable_by_key(|user| user.0);
            assert_eq!((all.iter().map(|member| member.user.id).collect::<Vec<_>>(), count), (expected.to_vec(), 3));
            let bob = all.iter().find(|member| member.user == den.bob).unwrap();
            assert_eq!((bob.role, bob.place_role), (MemberRole::Member, Role::Member));
            let (rest, count) = wait(house.directory().members(&den.room, Some(expected[0]), 1)).unwrap();
            assert_eq!((rest[0].user.id, rest.len(), count), (expected[1], 1, 3));
            assert_eq!(wait(house.directory().members(&"nowhere".into(), None, 10)), Ok((vec![], 0)));
        });
    }
}

mod in_slow_mode {
    use super::*;

    fn slow(house: &House, den: &Den, seconds: u32) {
        let change = RoomChange { slow_seconds: Some(seconds), ..RoomChange::default() };
        house.changes(&den.room, &den.ann, Effect::Change(change.into())).unwrap();
    }

    /// How long the author has yet to wait; `None` where they were let through.
    fn waits(outcome: Result<Seq>) -> Option<u64> {
        match outcome {
            Ok(_) => None,
            Err(Error::SlowMode { retry_after_ms }) => Some(retry_after_ms),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn one_waits_after_what_one_wrote_and_a_retry_is_told_its_seq() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            slow(&house, &den, 300);
            let writes = |author: &Author, txn_id: &str, right| {
                house.append_by(&den.room, with_txn(author, txn_id), right, Effect::None)
            };
            let outcomes = house.together(|| {
                vec![
                    writes(&den.eve, "a", AS_MEMBER),
                    writes(&den.bob, "a", AS_MEMBER),
                    writes(&den.bob, "b", AS_MEMBER),
                    writes(&den.bob, "a", AS_MEMBER),
                    writes(&den.mia, "a", AS_MEMBER),
                    writes(&den.mia, "b", AS_MEMBER),
                    writes(&den.bob, "c", Right::AtLeast(MemberRole::Member, MemberRole::Member)),
                ]
            });
            assert!(outcomes[0] == den.no_room() && outcomes[1] == Ok(2), "{outcomes:?}");
            let left = waits(outcomes[2].clone()).unwrap();
            assert!((200_000..=300_000).contains(&left), "{left}");
            assert_eq!(outcomes[3..], [Ok(2), Ok(3), Ok(4), Ok(5)], "a retry, a moderator, what is no writing");
            assert!(waits(house.writes(&den.room, &den.bob, AS_MEMBER)).is_some(), "in the next batch, too");
            assert_eq!(house.writes(&den.room, &den.bob, Right::Write(MemberRole::Moderator)), Ok(6));
            slow(&house, &den, 0);
            assert_eq!(waits(house.writes(&den.room, &den.bob, AS_MEMBER)), None);
        });
    }

    #[test]
    fn who_is_refused_does_not_wait_for_it() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            slow(&house, &den, 300);
            let archived = |archived| {
                let change = RoomChange { archived: Some(archived), ..RoomChange::default() };
                house.changes(&den.room, &den.ann, Effect::Change(change.into())).unwrap();
            };
            archived(true);
            assert!(not_allowed(&house.writes(&den.room, &den.bob, AS_MEMBER)));
            archived(false);
            assert_eq!(waits(house.writes(&den.room, &den.bob, AS_MEMBER)), None);
        });
    }

    #[test]
    fn a_wait_ends_and_is_never_longer_than_the_room_asks_for_now() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            slow(&house, &den, 300);
            assert_eq!(waits(house.writes(&den.room, &den.bob, AS_MEMBER)), None);
            slow(&house, &den, 1);
            let left = waits(house.writes(&den.room, &den.bob, AS_MEMBER)).unwrap();
            assert!(left <= 1000, "{left}");
            house.writes(&den.room, &den.mia, AS_MEMBER).unwrap();
            slow(&house, &den, 0);
            let public = Effect::Kind(RoomKind::Public);
            house.changes(&den.room, &den.ann, public).unwrap();
            slow(&house, &den, 1);
            assert_eq!(waits(house.writes(&den.room, &den.eve, AS_MEMBER)), None, "eve is no member");
            assert!(waits(house.writes(&den.room, &den.eve, AS_MEMBER)).is_some(), "and waits all the same");
            // It ends by itself, however often she tries: refused posts begin no wait.
            while waits(house.writes(&den.room, &den.eve, AS_MEMBER)).is_some() {}
        });
    }
}

mod a_change_of_a_room {
    use super::*;

    #[test]
    fn is_announced_with_what_the_room_is_now() {
        on_every_backend(|mut house| {
            let den = Den::of(&house);
            let change = RoomChange {
                name: Some("Cellar".into()),
                topic: Some("wine".into()),
                slow_seconds: Some(30),
                guests: Some(true),
                ..RoomChange::default()
            };
            house.changes(&den.room, &den.ann, Effect::Change(change.into())).unwrap();
            let expected = RoomInfo {
                topic: "wine".into(),
                slow_seconds: 30,
                guests: true,
                ..RoomInfo::new(den.room.clone(), "Cellar".into(), RoomKind::Private)
            };
            let heard = house.announcements(&den.room).pop().unwrap();
            assert_eq!((heard.changed.as_ref(), heard.shut, heard.deleted), (Some(&expected), false, false));
            house.writes(&den.room, &den.bob, AS_MEMBER).unwrap();
            assert_eq!(house.announcements(&den.room).pop().unwrap().changed, None);
            house.reopen();
            assert_eq!(wait(house.directory().room(&den.room)), Ok(Some(expected)));
        });
    }

    #[test]
    fn to_private_shuts_out_who_is_no_member_and_to_public_lets_all_in() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            let garden = RoomId::from("garden");
            let members = vec![(den.ann.id, MemberRole::Owner)];
            wait(house.directory().create_room(public("garden", "Garden"), members)).unwrap();
            let outcomes = house.together(|| {
                vec![
                    house.append_by(&garden, message(&den.eve, "a"), AS_MEMBER, Effect::None),
                    house.append_by(&garden, message(&den.ann, "b"), AS_MODERATOR, Effect::Kind(RoomKind::Private)),
                    house.append_by(&garden, message(&den.eve, "c"), AS_MEMBER, Effect::None),
                ]
            });
            assert_eq!(outcomes, [Ok(1), Ok(2), Err(Error::NoRoom("garden".to_owned()))]);
            let heard = house.announcements(&garden).pop().unwrap();
            assert_eq!((heard.shut, heard.deleted, heard.ended.len()), (true, false, 0));
            assert_eq!(heard.changed.unwrap().kind, RoomKind::Private);
            assert!(house.reads(&garden, Some(&den.eve)).is_err() && house.reads(&garden, Some(&den.ann)).is_ok());
            house.changes(&garden, &den.ann, Effect::Kind(RoomKind::Public)).unwrap();
            let heard = house.announcements(&garden).pop().unwrap();
            assert_eq!((heard.shut, heard.changed.unwrap().kind), (false, RoomKind::Public));
            assert_eq!(house.reads(&garden, None), Ok(vec![1, 2, 3]));
        });
    }
}

mod a_deleted_room {
    use super::*;

    #[test]
    fn is_found_no_more() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            house.appended(&den.room, with_txn(&den.bob, "t"), Effect::None).unwrap();
            assert_eq!(wait(house.directory().written(den.bob.id)), Ok(vec![den.room.clone()]));
            let outcomes = house.together(|| {
                vec![
                    house.append_by(&den.room, message(&den.ann, "the end"), AS_MODERATOR, Effect::Delete),
                    house.append_by(&den.room, message(&den.ann, "one more"), AS_MEMBER, Effect::None),
                ]
            });
            assert_eq!(outcomes, [Ok(2), den.no_room()]);
            let heard = house.announcements(&den.room).pop().unwrap();
            assert_eq!((seqs(&heard.events), heard.shut, heard.deleted), (vec![2], true, true));
            assert_eq!(wait(house.directory().room(&den.room)), Ok(None));
            assert_eq!(wait(house.log().position(&den.room)), Ok(None));
            assert_eq!(house.reads(&den.room, Some(&den.ann)), den.no_room());
            assert_eq!(house.role(&den.room, &den.ann), None);
            assert_eq!(wait(house.directory().members(&den.room, None, 10)), Ok((vec![], 0)));
            assert!(wait(house.directory().joined(den.ann.id, 10)).unwrap().iter().all(|room| room.room.id == lobby()));
            assert_eq!(wait(house.directory().written(den.bob.id)), Ok(vec![]));
            assert_eq!(house.writes(&den.room, &den.ann, Right::Free), den.no_room());
        });
    }

    #[test]
    fn leaves_its_id_to_another_and_is_taken_away_by_and_by() {
        on_every_backend(|mut house| {
            let (ann, garden) = (author("ann"), house.room("garden"));
            let outcomes: Vec<_> =
                (0..4_500).map(|_| house.append(&garden, message(&ann, "old"), Effect::None)).collect();
            assert!(outcomes.into_iter().all(|outcome| outcome.recv().unwrap().is_ok()));
            house.appended(&garden, with_txn(&ann, "t"), Effect::Mention(vec![ann.id])).unwrap();
            let before = house.position(&garden);
            house.changes(&garden, &ann, Effect::Delete).unwrap();
            house.room("garden");
            let after = house.position(&garden);
            assert_ne!(after.epoch, before.epoch);
            assert_eq!((after.oldest, after.head), (1, 0));
            assert_eq!(
                house.appended(&garden, with_txn(&ann, "t"), Effect::None),
                Ok(1),
                "not what was sent to the other"
            );
            let mut takes = 0;
            while wait(house.directory().purge()).unwrap() {
                takes += 1;
                assert!(takes < 100, "there is an end to it");
            }
            assert_eq!(takes > 1, house.backend() == Backend::Sqlite, "not all at once, unless that costs nothing");
            house.reopen();
            assert_eq!(wait(house.directory().purge()), Ok(false));
            assert_eq!(seqs(&house.read(&garden, 0)), [1], "the other room stays");
            assert_eq!(wait(house.log().unread(&garden, ann.id, 0)), Ok(Unread::default()));
            assert_eq!(house.position(&garden).epoch, after.epoch);
        });
    }
}

mod a_direct_room {
    use super::*;

    fn direct(house: &House, id: &str, people: &[&Author]) -> Result<()> {
        let members = people.iter().map(|user| (user.id, MemberRole::Member)).collect();
        wait(house.directory().create_room(RoomInfo::new(id.into(), "".into(), RoomKind::Direct), members))
    }

    #[test]
    fn is_one_for_the_same_people() {
        on_every_backend(|mut house| {
            let Den { ann, bob, eve, .. } = Den::of(&house);
            assert_eq!(direct(&house, "_1", &[&ann, &bob]), Ok(()));
            house.reopen();
            let exists = Err(Error::Exists("_1".into()));
            assert_eq!(direct(&house, "_2", &[&bob, &ann]), exists, "in whatever order");
            assert_eq!(direct(&house, "_2", &[&bob, &ann, &bob]), exists, "each once");
            assert_eq!(direct(&house, "_2", &[&ann, &bob, &eve]), Ok(()), "with one more it is another");
            assert_eq!(direct(&house, "_3", &[&ann, &eve]), Ok(()));
            assert_eq!(wait(house.directory().room(&"_4".into())), Ok(None));
        });
    }

    #[test]
    fn is_called_by_the_others() {
        on_every_backend(|house| {
            let Den { ann, bob, .. } = Den::of(&house);
            direct(&house, "_1", &[&ann, &bob]).unwrap();
            let with = |user: &Author| wait(house.directory().member(&"_1".into(), user.id)).unwrap().unwrap().with;
            assert_eq!((with(&ann), with(&bob)), (vec![bob.clone()], vec![ann.clone()]));
            let joined = wait(house.directory().joined(ann.id, 10)).unwrap();
            assert_eq!(joined.iter().find(|joined| joined.room.kind == RoomKind::Direct).unwrap().with, [bob]);
            assert_eq!(house.reads(&"_1".into(), None), Err(Error::NoRoom("_1".to_owned())));
        });
    }
}

mod emptying_all_of_a_user {
    use super::*;

    #[test]
    fn takes_what_they_wrote_before_and_nothing_else() {
        on_every_backend(|house| {
            let (ann, bob) = (author("ann"), author("bob"));
            house.appended(&lobby(), with_txn(&ann, "1"), Effect::Mention(vec![bob.id])).unwrap();
            house.appended(&lobby(), with_txn(&bob, "2"), Effect::Mention(vec![bob.id])).unwrap();
            let joins = Event { kind: Kind::Member, ..with_txn(&ann, "3") };
            house.appended(&lobby(), joins, Effect::Join).unwrap();
            let all_of = Event { kind: Kind::Delete, ..message(&ann, "all of ann's") };
            house.together(|| {
                vec![
                    house.append(&lobby(), with_txn(&ann, "4"), Effect::None),
                    house.append(&lobby(), all_of, Effect::RedactAll(ann.id)),
                    house.append(&lobby(), with_txn(&ann, "6"), Effect::None),
                ]
            });
            let emptied = |events: &[Event]| -> Vec<Seq> {
                events.iter().filter(|event| event.content.is_none()).map(|event| event.seq).collect()
            };
            assert_eq!(emptied(&house.read(&lobby(), 0)), [1, 4]);
            let heard = house.announcements(&lobby()).pop().unwrap();
            assert_eq!((emptied(&heard.events), heard.redacted), (vec![4], true), "no copy is left in its own batch");
            assert_eq!(house.heard(&lobby())[3..], house.read(&lobby(), 3), "live and store agree");
            assert_eq!(house.unread(&bob, 0).mentions, 1, "bob's own mention of himself");
            assert_eq!(wait(house.directory().written(ann.id)), Ok(vec![lobby()]), "the events stay");
            assert_eq!(wait(house.directory().written(UserId::random())), Ok(vec![]));
        });
    }
}

mod guests {
    use super::*;

    #[test]
    fn are_members_of_a_private_room_only_while_its_settings_let_them_in() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            let gus = guest("gus", 10);
            house.adds(&gus, 0).unwrap();
            let gus = gus.record.author();
            let enters = || house.changes(&den.room, &den.ann, Effect::Member(gus.id, MemberRole::Member)).unwrap();
            let sets = |guests| {
                let change = RoomChange { guests: Some(guests), ..RoomChange::default() };
                house.changes(&den.room, &den.ann, Effect::Change(Box::new(change))).unwrap();
            };
            sets(true);
            enters();
            assert!(house.reads(&den.room, Some(&gus)).is_ok());
            sets(false);
            assert_eq!(house.reads(&den.room, Some(&gus)), den.no_room());
            assert_eq!(house.announcements(&den.room).last().unwrap().ended, [gus.id]);
            assert!(house.role(&den.room, &den.bob).is_some(), "who has an account stays");

            house.changes(&den.room, &den.ann, Effect::Kind(RoomKind::Public)).unwrap();
            enters();
            house.changes(&den.room, &den.ann, Effect::Kind(RoomKind::Private)).unwrap();
            assert_eq!(house.reads(&den.room, Some(&gus)), den.no_room());
        });
    }
}

mod a_retry {
    use super::*;

    #[test]
    fn is_told_what_was_taken_before_the_right_ended() {
        on_every_backend(|house| {
            let den = Den::of(&house);
            let writes = |txn_id: &str| {
                house.append_by(&den.room, with_txn(&den.bob, txn_id), AS_MEMBER, Effect::None).recv().unwrap()
            };
            let first = writes("one").unwrap();
            house.changes(&den.room, &den.ann, Effect::Remove(den.bob.id)).unwrap();
            assert_eq!(writes("one"), Ok(first));
            assert_eq!(writes("two"), den.no_room());
        });
    }
}
