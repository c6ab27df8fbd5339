//! Sessions of people, tokens of programs, and links.

use chinwag::protocol::Scope;
use chinwag::store::{Link, LinkKind};

use super::*;

/// A session of this day, whose token and id are this number.
fn session(number: u8, at: i64, scopes: Option<Vec<Scope>>) -> NewSession {
    NewSession {
        token: [number; 32],
        id: Uuid::from_bytes([number; 16]),
        label: format!("no {number}"),
        address: "192.0.2.1".to_owned(),
        at: day(at),
        scopes,
    }
}

/// A link of this number, made on this day.
fn link(number: u8, kind: LinkKind, made: i64, expires: Option<i64>, max_uses: Option<u32>) -> Link {
    let by = (kind != LinkKind::Owner).then(|| author("ann"));
    let (token, id) = ([number; 32], Uuid::from_bytes([number; 16]));
    Link { id, token, kind, by, made: day(made), expires: expires.map(day), used: 0, max_uses }
}

fn invite(room: Option<&str>) -> LinkKind {
    LinkKind::Invite { role: Role::Member, room: room.map(RoomId::from) }
}

impl House {
    /// An account with the sessions 1 and 2, and the token 3 of a program.
    fn has_sessions(&self) -> UserId {
        let ann = account("Ann");
        self.adds(&ann, 0).unwrap();
        let scopes = Some(vec![Scope::Read, Scope::Admin]);
        for session in [session(1, 10, None), session(2, 20, None), session(3, 5, scopes)] {
            wait(self.sessions().add_session(ann.record.id, session)).unwrap();
        }
        ann.record.id
    }

    fn numbers(&self, user: UserId, programs: bool) -> Vec<u8> {
        let sessions = wait(self.sessions().sessions(user, programs)).unwrap();
        sessions.into_iter().map(|record| record.session.token[0]).collect()
    }

    fn is_good(&self, number: u8, at: i64) -> bool {
        wait(self.sessions().link([number; 32], day(at))).unwrap().is_some()
    }

    fn uses(&self, number: u8, at: i64) -> Result<u32> {
        wait(self.sessions().use_link([number; 32], day(at))).map(|link| link.used)
    }
}

mod sessions_of_a_user {
    use super::*;

    #[test]
    fn are_listed_apart_from_those_of_programs() {
        on_every_backend(|mut house| {
            let ann = house.has_sessions();
            house.reopen();
            assert_eq!(
                (house.numbers(ann, false), house.numbers(ann, true)),
                (vec![2, 1], vec![3]),
                "the newest first"
            );
            let found = wait(house.sessions().session([3; 32])).unwrap().unwrap();
            assert_eq!(found.session, session(3, 5, Some(vec![Scope::Read, Scope::Admin])));
            assert_eq!((found.user.id, found.seen), (ann, day(5)));
            let nobody = wait(house.sessions().add_session(UserId::random(), session(4, 1, None)));
            assert_eq!(nobody, Err(Error::NoUser));
        });
    }

    #[test]
    fn end_as_they_are_picked() {
        let cases: [(Which, &[u8]); 6] = [
            (Which::One(Uuid::from_bytes([1; 16])), &[1]),
            (Which::One(Uuid::from_bytes([3; 16])), &[3]),
            (Which::One(Uuid::from_bytes([9; 16])), &[]),
            (Which::OthersThan([1; 32]), &[2]),
            (Which::OfPeople, &[1, 2]),
            (Which::All, &[1, 2, 3]),
        ];
        for (which, expected) in cases {
            on_every_backend(|house| {
                let ann = house.has_sessions();
                let bob = account("Bob");
                house.adds(&bob, 0).unwrap();
                wait(house.sessions().add_session(bob.record.id, session(7, 1, None))).unwrap();
                let ended = wait(house.sessions().end_sessions(ann, which)).unwrap();
                let mut ended: Vec<u8> = ended.into_iter().map(|token| token[0]).collect();
                ended.sort_unstable();
                assert_eq!(ended, expected, "{which:?}");
                let left = |number: &u8| wait(house.sessions().session([*number; 32])).unwrap().is_some();
                assert_eq!([1, 2, 3].iter().filter(|number| left(number)).count(), 3 - expected.len());
                assert!(left(&7), "nobody else's");
            });
        }
    }

    #[test]
    fn expire_but_for_those_of_programs() {
        on_every_backend(|house| {
            let ann = house.has_sessions();
            wait(house.sessions().expire_sessions(day(15))).unwrap();
            assert_eq!((house.numbers(ann, false), house.numbers(ann, true)), (vec![2], vec![3]));
            assert!(house.holders(&["ann"], 0).contains_key("ann"), "an account's name stays");
        });
    }
}

mod many_sessions {
    use super::*;

    #[test]
    fn expire_at_once_with_the_names_that_guests_held_by_them() {
        on_every_backend(|house| {
            let guests: Vec<_> = (0..1200).map(|n| guest(&format!("guest {n}"), 10 + n % 2)).collect();
            wait(futures_util::future::join_all(
                guests.iter().map(|guest| house.accounts().add_user(guest.clone(), day(0))),
            ));
            wait(house.sessions().expire_sessions(day(11))).unwrap();
            let left = wait(house.accounts().users("", None, 2000)).unwrap();
            assert_eq!(left.len(), 600);
            for (guest, goes) in [(&guests[1198], true), (&guests[1199], false)] {
                assert_eq!(wait(house.sessions().session(token(guest))).unwrap().is_none(), goes);
                assert_eq!(left.iter().all(|user| user.id != guest.record.id), goes);
            }
            wait(house.sessions().touch_session(token(&guests[1199]), day(20))).unwrap();
            wait(house.sessions().expire_sessions(day(20))).unwrap();
            assert_eq!(wait(house.accounts().users("", None, 10)).unwrap().len(), 1, "who was seen since then");
        });
    }
}

mod a_link {
    use super::*;

    #[test]
    fn is_good_until_it_is_used_up_or_its_time_is_over() {
        on_every_backend(|mut house| {
            for link in [
                link(1, LinkKind::Owner, 1, Some(10), Some(1)),
                link(2, invite(None), 1, None, Some(2)),
                link(3, invite(None), 1, None, None),
            ] {
                wait(house.sessions().add_link(link)).unwrap();
            }
            assert!(house.is_good(1, 9) && !house.is_good(1, 10) && !house.is_good(9, 1));
            assert_eq!(house.uses(1, 10), Err(Error::BadLink));
            assert_eq!((house.uses(1, 9), house.uses(1, 9)), (Ok(1), Err(Error::BadLink)));
            assert!(!house.is_good(1, 9));
            assert_eq!([house.uses(2, 1), house.uses(2, 1), house.uses(2, 1)], [Ok(1), Ok(2), Err(Error::BadLink)]);
            house.reopen();
            assert!(!house.is_good(2, 1));
            assert_eq!((1..=5).map(|_| house.uses(3, 9_999)).collect::<Vec<_>>(), (1..=5).map(Ok).collect::<Vec<_>>());
            assert_eq!(house.uses(9, 1), Err(Error::BadLink));
        });
    }

    #[test]
    fn is_used_once_by_two_at_once() {
        on_every_backend(|house| {
            wait(house.sessions().add_link(link(1, LinkKind::Owner, 1, None, Some(1)))).unwrap();
            let uses = [(); 8].map(|()| house.sessions().use_link([1; 32], day(1)));
            let good = uses.into_iter().filter_map(|answer| wait(answer).ok()).count();
            assert_eq!(good, 1);
        });
    }

    #[test]
    fn keeps_what_it_is_for() {
        on_every_backend(|mut house| {
            let reset = |mailed_to: Option<&str>| LinkKind::Reset {
                user: UserId::random(),
                mailed_to: mailed_to.map(str::to_owned),
            };
            let role = LinkKind::Invite { role: Role::Admin, room: Some("_den".into()) };
            let links = [LinkKind::Owner, invite(None), role, reset(None), reset(Some("ann@example.org"))];
            let links: Vec<Link> = (1..).zip(links).map(|(n, kind)| link(n, kind, 1, Some(9), Some(3))).collect();
            for link in &links {
                wait(house.sessions().add_link(link.clone())).unwrap();
            }
            house.reopen();
            for link in links {
                assert_eq!(wait(house.sessions().link(link.token, day(1))), Ok(Some(link)));
            }
        });
    }

    #[test]
    fn is_listed_where_it_is_an_invite_and_good() {
        on_every_backend(|house| {
            for link in [
                link(1, invite(None), 1, Some(10), None),
                link(2, invite(Some("_den")), 2, None, Some(1)),
                link(3, invite(Some("garden")), 3, None, None),
                link(4, LinkKind::Owner, 4, None, None),
            ] {
                wait(house.sessions().add_link(link)).unwrap();
            }
            let list = |room: Option<&str>, at| -> Vec<u8> {
                let room = room.map(RoomId::from);
                let invites = wait(house.sessions().invites(room.as_ref(), day(at))).unwrap();
                invites.into_iter().map(|link| link.token[0]).collect()
            };
            assert_eq!((list(None, 5), list(Some("_den"), 5)), (vec![3, 2, 1], vec![2]), "the newest first");
            assert_eq!(list(None, 10), [3, 2]);
            house.uses(2, 1).unwrap();
            assert!(list(Some("_den"), 5).is_empty());
            let revoke = || wait(house.sessions().revoke_link(Uuid::from_bytes([3; 16])));
            assert_eq!((revoke(), revoke()), (Ok(true), Ok(false)));
            assert!(list(None, 10).is_empty() && !house.is_good(3, 1) && house.is_good(4, 1));
        });
    }

    #[test]
    fn goes_with_old_sessions_once_its_time_is_over() {
        on_every_backend(|house| {
            wait(house.sessions().add_link(link(1, invite(None), 1, Some(10), None))).unwrap();
            wait(house.sessions().add_link(link(2, invite(None), 1, None, None))).unwrap();
            wait(house.sessions().expire_sessions(day(11))).unwrap();
            assert!(!house.is_good(1, 5) && house.is_good(2, 5));
        });
    }

    #[test]
    fn may_be_left_beside_a_store_that_is_in_use() {
        let house = House::new(Backend::Sqlite, Durability::Full);
        let options = house.ground.options();
        store::leave_link(&options, &link(1, LinkKind::Owner, 1, None, Some(1))).unwrap();
        assert!(house.is_good(1, 1));
        assert_eq!(house.uses(1, 1), Ok(1));
        let nowhere = Options { dir: house.dir().join("nowhere"), ..options };
        assert!(store::leave_link(&nowhere, &link(2, LinkKind::Owner, 1, None, None)).is_err(), "there must be one");
        assert!(!nowhere.dir.exists());
    }
}
