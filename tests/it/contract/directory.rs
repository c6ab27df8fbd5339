//! The directory: rooms, members with their markers, users with their names and sessions.

use std::collections::HashMap;

use super::*;

mod rooms {
    use super::*;

    #[test]
    fn are_made_once() {
        on_every_backend(|house| {
            let info = public("garden", "Garden");
            let ann = author("ann");
            assert_eq!(wait(house.directory().room(&info.id)), Ok(None));
            assert_eq!(wait(house.directory().create_room(info.clone(), vec![(ann.id, MemberRole::Owner)])), Ok(()));
            let other = RoomInfo { name: "Another garden".into(), ..info.clone() };
            let exists = wait(house.directory().create_room(other, vec![(author("bob").id, MemberRole::Owner)]));
            assert_eq!(exists, Err(Error::Exists(info.id.clone())));
            assert_eq!(wait(house.directory().room(&info.id)), Ok(Some(info.clone())));
            let joined = wait(house.directory().joined(ann.id, 10)).unwrap();
            assert_eq!(joined.iter().map(|joined| &joined.room).collect::<Vec<_>>(), [&info]);
            assert_ne!(house.position(&info.id).epoch, house.position(&lobby()).epoch);
        });
    }

    #[test]
    fn are_listed_in_pages_by_what_they_are_called() {
        on_every_backend(|house| {
            for (id, name) in [("books", "Reading CLUB"), ("chess", "Chess club"), ("garden", "Garden")] {
                let info = public(id, name);
                wait(house.directory().create_room(info, Vec::new())).unwrap();
            }
            house.says(&author("ann"), "hello");
            let list = |query: &str, after: Option<&str>, limit| -> Vec<(String, Seq)> {
                let after = after.map(RoomId::from);
                let rooms = wait(house.directory().public_rooms(query, after.as_ref(), limit)).unwrap();
                rooms.into_iter().map(|listed| (listed.room.id.to_string(), listed.head)).collect()
            };
            let named = |names: &[&str]| -> Vec<(String, Seq)> {
                names.iter().map(|name| ((*name).to_owned(), Seq::from(*name == "lobby"))).collect()
            };
            assert_eq!(list("", None, 10), named(&["books", "chess", "garden", "lobby"]));
            assert_eq!(list("", None, 2), named(&["books", "chess"]));
            assert_eq!(list("", Some("chess"), 2), named(&["garden", "lobby"]));
            assert_eq!(list("", Some("lobby"), 2), []);
            assert_eq!(list("Club", None, 10), named(&["books", "chess"]));
            assert_eq!(list("BOOK", None, 10), named(&["books"]));
            assert_eq!(list("club", Some("books"), 10), named(&["chess"]));
            assert_eq!(list("%", None, 10), []);
        });
    }

    #[test]
    fn that_were_joined_are_listed_by_their_last_event() {
        on_every_backend(|mut house| {
            let ann = author("ann");
            let joined = |house: &House, limit| -> Vec<String> {
                let rooms = wait(house.directory().joined(ann.id, limit)).unwrap();
                rooms.into_iter().map(|joined| joined.room.id.to_string()).collect()
            };
            for id in ["a", "b", "c"] {
                wait(house.directory().create_room(public(id, id), vec![(ann.id, MemberRole::Owner)])).unwrap();
            }
            assert_eq!(joined(&house, 10), ["c", "b", "a"]);
            house.appended(&"a".into(), message(&author("bob"), "hello"), Effect::None).unwrap();
            assert_eq!(joined(&house, 10), ["a", "c", "b"]);
            wait(house.directory().create_room(public("d", "d"), vec![(ann.id, MemberRole::Owner)])).unwrap();
            assert_eq!(joined(&house, 10), ["d", "a", "c", "b"]);
            house.appended(&"b".into(), message(&author("bob"), "hello"), Effect::None).unwrap();
            house.reopen();
            assert_eq!(joined(&house, 10), ["b", "d", "a", "c"]);
            assert_eq!(joined(&house, 2), ["b", "d"]);
        });
    }

    #[test]
    fn are_joined_and_left_with_an_event() {
        on_every_backend(|house| {
            let (ann, bob) = (author("ann"), author("bob"));
            house.say(&bob, 2);
            house.appended(&lobby(), message(&ann, "joins"), Effect::Join).unwrap();
            house.say(&bob, 1);
            assert_eq!(house.member(&ann), Some((3, Unread { messages: 1, mentions: 0 })));
            house.appended(&lobby(), message(&ann, "leaves"), Effect::Leave).unwrap();
            assert_eq!(house.member(&ann), None);
            assert_eq!(wait(house.directory().joined(ann.id, 10)), Ok(vec![]));
        });
    }
}

mod read_markers {
    use super::*;

    #[test]
    fn move_forward_and_back() {
        on_every_backend(|house| {
            let (ann, bob) = (author("ann"), author("bob"));
            house.say(&bob, 5);
            house.appended(&lobby(), message(&ann, "joins"), Effect::Join).unwrap();
            let set = |markers: &[(&Author, Marker)]| {
                let markers = markers.iter().map(|(user, marker)| ((lobby(), user.id), *marker)).collect();
                wait(house.directory().set_markers(markers)).unwrap();
            };
            set(&[(&ann, Marker::Exactly(2)), (&bob, Marker::Exactly(2))]);
            assert_eq!(house.member(&ann), Some((2, Unread { messages: 3, mentions: 0 })));
            assert_eq!(house.member(&bob), None, "who is no member has no marker");
            set(&[(&ann, Marker::Forward(4))]);
            assert_eq!(house.member(&ann), Some((4, Unread { messages: 1, mentions: 0 })));
            set(&[(&ann, Marker::Forward(1))]);
            assert_eq!(house.member(&ann), Some((4, Unread { messages: 1, mentions: 0 })), "forward is never back");
            set(&[(&ann, Marker::Exactly(0))]);
            let joined = wait(house.directory().joined(ann.id, 1)).unwrap().remove(0);
            assert_eq!((joined.read, joined.unread), (0, Unread { messages: 5, mentions: 0 }));
            assert_eq!(joined.position, house.position(&lobby()));
            let elsewhere = HashMap::from([(("nowhere".into(), ann.id), Marker::Exactly(1))]);
            assert_eq!(wait(house.directory().set_markers(elsewhere)), Ok(()));
        });
    }
}

mod names {
    use super::*;

    #[test]
    fn are_held_in_any_case_while_their_session_is_seen() {
        on_every_backend(|house| {
            let bob = guest("Bob", 10);
            house.adds(&bob, 0).unwrap();
            assert_eq!(house.adds(&guest("bOB", 11), 0), Err(Error::NameTaken("bOB".to_owned())));
            assert_eq!(house.holders(&["bob", "eve"], 0), HashMap::from([("bob".to_owned(), bob.record.id)]));
            wait(house.sessions().touch_session(token(&bob), day(20))).unwrap();
            assert_eq!(house.adds(&guest("BOB", 21), 20), Err(Error::NameTaken("BOB".to_owned())));
            assert!(house.holders(&["bob"], 21).is_empty());
        });
    }

    #[test]
    fn pass_on_from_who_was_not_seen_for_long() {
        on_every_backend(|house| {
            let (old, new) = (guest("Bob", 10), guest("bob", 50));
            house.adds(&old, 0).unwrap();
            house.adds(&new, 20).unwrap();
            assert_eq!(house.holders(&["bob"], 20), HashMap::from([("bob".to_owned(), new.record.id)]));
            assert_eq!(wait(house.sessions().session(token(&old))), Ok(None));
            assert_eq!(wait(house.accounts().user(old.record.id)), Ok(Some(old.record)));
        });
    }

    #[test]
    fn are_free_with_the_last_session() {
        on_every_backend(|house| {
            let bob = guest("Bob", 10);
            house.adds(&bob, 0).unwrap();
            let one = Which::One(session_id(&bob));
            assert_eq!(wait(house.sessions().end_sessions(bob.record.id, one)), Ok(vec![token(&bob)]));
            assert_eq!(wait(house.sessions().end_sessions(bob.record.id, one)), Ok(vec![]));
            assert!(house.holders(&["bob"], 0).is_empty());
            assert_eq!(house.adds(&guest("bob", 11), 0), Ok(()));
        });
    }

    #[test]
    fn are_not_held_without_a_session() {
        on_every_backend(|house| {
            let passing = NewUser { session: None, ..guest("Bob", 10) };
            house.adds(&passing, 0).unwrap();
            assert!(house.holders(&["bob"], 0).is_empty());
            assert_eq!(house.adds(&guest("bob", 10), 0), Ok(()));
            let eve = UserChange { name: Some(named("Eve", None)), ..UserChange::default() };
            wait(house.accounts().change_user(passing.record.id, eve, day(0))).unwrap();
            assert!(house.holders(&["eve"], 0).is_empty());
        });
    }

    #[test]
    fn change() {
        on_every_backend(|house| {
            let (bob, eve) = (guest("Bob", 10), guest("Eve", 10));
            house.adds(&bob, 0).unwrap();
            house.adds(&eve, 0).unwrap();
            let rename = |user: &NewUser, name: &str, reserved_until: Option<Timestamp>| {
                let email = Some(Some(("bob@example.org".to_owned(), false)));
                let change = UserChange { name: Some(named(name, reserved_until)), email, ..UserChange::default() };
                wait(house.accounts().change_user(user.record.id, change, day(0)))
            };
            assert_eq!(rename(&bob, "EVE", None), Err(Error::NameTaken("EVE".to_owned())));
            assert!(rename(&bob, "BOB", None).is_ok(), "a name may change its case");
            let robert = rename(&bob, "Robert", None).unwrap();
            assert_eq!((&*robert.name, robert.email.as_deref()), ("Robert", Some("bob@example.org")));
            assert_eq!(wait(house.accounts().user(bob.record.id)), Ok(Some(robert)));
            assert_eq!(house.holders(&["bob", "robert"], 0), HashMap::from([("robert".to_owned(), bob.record.id)]));
            assert!(rename(&eve, "bob", None).is_ok(), "the old name is free");
            assert_eq!(rename(&guest("Fay", 10), "Fay", None), Err(Error::NoUser));
        });
    }

    #[test]
    fn that_were_given_up_stay_reserved_for_a_while() {
        on_every_backend(|house| {
            let (bob, eve) = (guest("Bob", 10), guest("Eve", 10));
            house.adds(&bob, 0).unwrap();
            house.adds(&eve, 0).unwrap();
            let rename = |user: &NewUser, name: &str, reserved_until: Timestamp| {
                let change = UserChange { name: Some(named(name, Some(reserved_until))), ..UserChange::default() };
                wait(house.accounts().change_user(user.record.id, change, day(0)))
            };
            let (past, future) = (day(1), Timestamp::now() + std::time::Duration::from_hours(1));
            rename(&bob, "Robert", future).unwrap();
            assert_eq!(rename(&eve, "bob", past), Err(Error::NameTaken("bob".to_owned())));
            assert!(house.holders(&["bob"], 0).contains_key("bob"));
            rename(&bob, "bob", past).unwrap();
            assert!(rename(&eve, "robert", past).is_ok(), "its time has passed");
        });
    }
}

fn named(name: &str, reserved_until: Option<Timestamp>) -> NewName {
    let UserRecord { name, folded, skeleton, .. } = record(UserId::random(), name, Role::Guest);
    NewName { name, folded, skeleton, reserved_until }
}

mod users {
    use super::*;

    #[test]
    fn are_found_by_their_session() {
        on_every_backend(|mut house| {
            let bob = guest("Bob", 10);
            house.adds(&bob, 0).unwrap();
            wait(house.sessions().touch_session(token(&bob), day(12))).unwrap();
            house.reopen();
            let session = wait(house.sessions().session(token(&bob))).unwrap().unwrap();
            assert_eq!((&session.user, session.seen), (&bob.record, day(12)));
            assert_eq!(Some(session.session), bob.session);
            assert_eq!(wait(house.sessions().session(token(&guest("Eve", 1)))), Ok(None));
            assert_eq!(wait(house.accounts().user(UserId::random())), Ok(None));
        });
    }

    #[test]
    fn are_added_once_and_have_joined() {
        on_every_backend(|house| {
            house.say(&author("ann"), 3);
            let bob = NewUser { read: 2, ..guest("Bob", 10) };
            house.adds(&bob, 0).unwrap();
            let again = UserRecord { name: "Eve".into(), folded: "eve".to_owned(), ..bob.record.clone() };
            house.adds(&NewUser { record: again, read: 0, ..bob.clone() }, 0).unwrap();
            assert_eq!(wait(house.accounts().user(bob.record.id)), Ok(Some(bob.record.clone())));
            assert!(house.holders(&["eve"], 0).is_empty());
            let as_author = Author { id: bob.record.id, name: bob.record.name };
            assert_eq!(house.member(&as_author), Some((2, Unread { messages: 1, mentions: 0 })));
        });
    }

    #[test]
    fn that_were_refused_leave_nothing_behind() {
        on_every_backend(|house| {
            let nowhere = NewUser { joins: "nowhere".into(), ..guest("Bob", 10) };
            assert_eq!(house.adds(&nowhere, 0), Err(Error::NoRoom("nowhere".to_owned())));
            assert_eq!(wait(house.accounts().user(nowhere.record.id)), Ok(None));
            assert_eq!(wait(house.sessions().session(token(&nowhere))), Ok(None));
            assert!(house.holders(&["bob"], 0).is_empty());
        });
    }

    #[test]
    fn lose_sessions_that_were_not_seen_for_long() {
        on_every_backend(|house| {
            let (bob, eve) = (guest("Bob", 10), guest("Eve", 20));
            house.adds(&bob, 0).unwrap();
            house.adds(&eve, 0).unwrap();
            wait(house.sessions().expire_sessions(day(20))).unwrap();
            assert_eq!(wait(house.sessions().session(token(&bob))), Ok(None));
            assert!(wait(house.sessions().session(token(&eve))).unwrap().is_some());
            assert_eq!(house.holders(&["bob", "eve"], 0), HashMap::from([("eve".to_owned(), eve.record.id)]));
        });
    }
}
