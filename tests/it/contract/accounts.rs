//! Users: accounts and guests, their names, how they prove who they are, their pictures, and their end.

use std::time::Duration;

use chinwag::store::{Picture, PictureSource, UsedCode};

use super::*;

const HOUR: Duration = Duration::from_hours(1);

impl House {
    fn has_account(&self, name: &str) -> UserId {
        let user = account(name);
        self.adds(&user, 0).unwrap();
        user.record.id
    }

    fn has_changed(&self, user: UserId, change: UserChange) -> Result<UserRecord> {
        wait(self.accounts().change_user(user, change, day(0)))
    }

    fn is_called(&self, user: UserId, name: &str, reserved_until: Option<Timestamp>) -> Result<UserRecord> {
        self.has_changed(user, UserChange { name: Some(called(name, reserved_until)), ..UserChange::default() })
    }

    fn user(&self, id: UserId) -> Option<UserRecord> {
        wait(self.accounts().user(id)).unwrap()
    }

    fn found(&self, login: &str) -> Option<UserId> {
        wait(self.accounts().account(&login.to_lowercase(), login)).unwrap().map(|(user, _)| user.id)
    }

    fn has_email(&self, user: UserId, email: &str, verified: bool) -> UserRecord {
        let email = Some(Some((email.to_owned(), verified)));
        self.has_changed(user, UserChange { email, ..UserChange::default() }).unwrap()
    }
}

fn called(name: &str, reserved_until: Option<Timestamp>) -> NewName {
    let UserRecord { name, folded, skeleton, .. } = record(UserId::random(), name, Role::Guest);
    NewName { name, folded, skeleton, reserved_until }
}

fn taken<T>(name: &str) -> Result<T> {
    Err(Error::NameTaken(name.to_owned()))
}

mod the_name_of_an_account {
    use super::*;

    #[test]
    fn is_held_without_a_session_and_for_good() {
        on_every_backend(|mut house| {
            let bob = house.has_account("Bob");
            house.reopen();
            wait(house.sessions().expire_sessions(day(100_000))).unwrap();
            assert_eq!(house.adds(&guest("bob", 99_999), 99_999), taken("bob"));
            assert_eq!(house.adds(&account("BOB"), 99_999), taken("BOB"));
            assert_eq!(house.holders(&["bob"], 99_999), HashMap::from([("bob".to_owned(), bob)]));
        });
    }

    #[test]
    fn is_not_to_be_mistaken() {
        on_every_backend(|house| {
            let bob = house.has_account("b0b");
            for name in ["bob", "BOB", "B0B"] {
                assert_eq!(house.adds(&account(name), 0), taken(name));
                assert_eq!(house.adds(&guest(name, 10), 0), taken(name));
            }
            let eve = guest("Eve", 10);
            house.adds(&eve, 0).unwrap();
            assert_eq!(house.is_called(eve.record.id, "Bob", None), taken("Bob"));
            assert_eq!(house.holders(&["bob"], 0), HashMap::from([("bob".to_owned(), bob)]), "by what it looks like");
            assert!(house.is_called(bob, "Bob", None).is_ok(), "one's own name looks like itself");
        });
    }

    #[test]
    fn of_two_guests_may_look_the_same_until_one_has_an_account() {
        on_every_backend(|house| {
            let (one, other) = (guest("fo0", 10), guest("f0o", 10));
            house.adds(&one, 0).unwrap();
            house.adds(&other, 0).unwrap();
            let member = UserChange { role: Some(Role::Member), ..UserChange::default() };
            house.has_changed(one.record.id, member.clone()).unwrap();
            assert_eq!(house.has_changed(other.record.id, member), taken("f0o"));
            assert_eq!(house.user(other.record.id).unwrap().role, Role::Guest);
        });
    }

    #[test]
    fn that_was_given_up_is_its_users_own_for_a_while_and_then_anybodys() {
        on_every_backend(|house| {
            let (bob, eve) = (guest("Bob", 10), guest("Eve", 10));
            house.adds(&bob, 0).unwrap();
            house.adds(&eve, 0).unwrap();
            let soon = Timestamp::now() + HOUR;
            house.is_called(bob.record.id, "Robert", Some(soon)).unwrap();
            assert_eq!(house.adds(&account("bob"), 0), taken("bob"));
            assert_eq!(house.adds(&guest("bob", 10), 0), taken("bob"));
            house.is_called(bob.record.id, "bob", Some(day(1))).unwrap();
            assert_eq!(house.holders(&["bob", "robert"], 0), HashMap::from([("bob".to_owned(), bob.record.id)]));
            house.is_called(eve.record.id, "robert", None).unwrap();
            assert!(wait(house.sessions().session(token(&bob))).unwrap().is_some(), "bob himself is still here");
        });
    }
}

mod a_change {
    use super::*;

    #[test]
    fn is_made_as_a_whole_or_not_at_all() {
        on_every_backend(|house| {
            house.has_account("Ann");
            let bob = house.has_account("Bob");
            let before = house.user(bob).unwrap();
            let change = UserChange {
                name: Some(called("ann", None)),
                email: Some(Some(("bob@example.org".to_owned(), true))),
                role: Some(Role::Admin),
                muted_until: Some(Some(day(1))),
                banned_until: Some(Some(day(2))),
            };
            assert_eq!(house.has_changed(bob, change.clone()), taken("ann"));
            assert_eq!(house.user(bob), Some(before));
            let now = house.has_changed(bob, UserChange { name: None, ..change }).unwrap();
            assert_eq!(house.user(bob), Some(now.clone()));
            assert_eq!((now.role, now.muted_until, now.banned_until), (Role::Admin, Some(day(1)), Some(day(2))));
            assert_eq!((now.email.as_deref(), now.email_verified), (Some("bob@example.org"), true));
            let change = UserChange { muted_until: Some(None), email: Some(None), ..UserChange::default() };
            let now = house.has_changed(bob, change).unwrap();
            assert_eq!(
                (now.muted_until, now.banned_until, now.email),
                (None, Some(day(2)), None),
                "what is absent stays"
            );
            assert_eq!(house.has_changed(UserId::random(), UserChange::default()), Err(Error::NoUser));
        });
    }
}

mod an_account {
    use super::*;

    #[test]
    fn is_found_by_its_name_and_by_an_email_that_is_its_own() {
        on_every_backend(|house| {
            let (ann, bob) = (house.has_account("Ann"), house.has_account("Bob"));
            let passing = guest("Gus", 10);
            house.adds(&passing, 0).unwrap();
            assert_eq!((house.found("ANN"), house.found("gus"), house.found("nobody")), (Some(ann), None, None));
            house.has_email(passing.record.id, "ann@example.org", false);
            house.has_email(ann, "Ann@Example.org", false);
            assert_eq!(house.found("ann@example.ORG"), Some(ann), "the only account; guests do not count");
            house.has_email(bob, "ann@example.org", false);
            assert_eq!(house.found("ann@example.org"), None, "it may be either's");
            house.has_email(bob, "ANN@example.org", true);
            assert_eq!(house.found("ann@example.org"), Some(bob), "who has shown that it is theirs");
            assert_eq!(house.user(ann).unwrap().email, None, "it is nobody else's any more");
            assert_eq!(house.user(passing.record.id).unwrap().email.as_deref(), Some("ann@example.org"));
        });
    }

    #[test]
    fn takes_no_email_from_one_who_has_shown_that_it_is_theirs() {
        on_every_backend(|house| {
            let (ann, bob) = (house.has_account("Ann"), house.has_account("Bob"));
            house.has_email(ann, "ann@example.org", true);
            house.has_email(bob, "ann@example.org", false);
            assert_eq!(house.found("ann@example.org"), Some(ann));
        });
    }

    #[test]
    fn has_secrets_that_are_replaced_as_a_whole() {
        on_every_backend(|mut house| {
            let password = |word: &str| Secrets { password: Some(word.to_owned()), ..Secrets::default() };
            let ann = NewUser { secrets: password("one"), ..account("Ann") };
            house.adds(&ann, 0).unwrap();
            let id = ann.record.id;
            assert_eq!(wait(house.accounts().secrets(id)), Ok(password("one")));
            assert_eq!(wait(house.accounts().account("ann", "ann")).unwrap().unwrap().1, password("one"));
            let full = Secrets { totp: Some(vec![1, 2, 3]), recovery: vec![[7; 32], [8; 32]], ..password("two") };
            wait(house.accounts().set_secrets(id, full.clone())).unwrap();
            house.reopen();
            assert_eq!(wait(house.accounts().secrets(id)), Ok(full));
            wait(house.accounts().set_secrets(id, password("three"))).unwrap();
            assert_eq!(wait(house.accounts().secrets(id)), Ok(password("three")));
            assert_eq!(wait(house.accounts().secrets(UserId::random())), Ok(Secrets::default()));
        });
    }

    #[test]
    fn takes_a_code_once() {
        on_every_backend(|mut house| {
            let ann = house.has_account("Ann");
            let used = |house: &House, code| wait(house.accounts().use_code(ann, code)).unwrap();
            assert!(!used(&house, UsedCode::Step(5)), "there is no second factor yet");
            let secrets = Secrets { totp: Some(vec![1]), recovery: vec![[7; 32], [8; 32]], ..Secrets::default() };
            wait(house.accounts().set_secrets(ann, secrets)).unwrap();
            assert!(used(&house, UsedCode::Step(5)));
            assert!(!used(&house, UsedCode::Step(5)) && !used(&house, UsedCode::Step(4)), "a later one was used");
            assert!(used(&house, UsedCode::Step(6)));
            assert!(used(&house, UsedCode::Recovery([7; 32])));
            house.reopen();
            assert!(!used(&house, UsedCode::Recovery([7; 32])) && !used(&house, UsedCode::Step(6)));
            assert!(used(&house, UsedCode::Recovery([8; 32])) && !used(&house, UsedCode::Recovery([9; 32])));
        });
    }

    #[test]
    fn is_tied_to_one_subject_of_an_issuer() {
        on_every_backend(|house| {
            let (ann, bob) = (house.has_account("Ann"), house.has_account("Bob"));
            let tie =
                |user, issuer: &str, subject: &str| wait(house.accounts().set_identity(user, issuer, Some(subject)));
            let known = |issuer: &str, subject: &str| wait(house.accounts().identity(issuer, subject)).unwrap();
            assert_eq!((tie(ann, "b", "1"), tie(ann, "a", "1"), tie(ann, "a", "1")), (Ok(true), Ok(true), Ok(true)));
            assert_eq!(tie(bob, "a", "1"), Ok(false), "it is somebody else's");
            assert_eq!((known("a", "1"), known("b", "1"), known("a", "2")), (Some(ann), Some(ann), None));
            assert_eq!(wait(house.accounts().identities(ann)), Ok(vec!["a".to_owned(), "b".to_owned()]));
            assert_eq!(tie(ann, "a", "2"), Ok(true));
            assert_eq!((known("a", "1"), known("a", "2")), (None, Some(ann)), "the new one takes the old one's place");
            assert_eq!(wait(house.accounts().identities(bob)), Ok(vec![]));
            assert_eq!(wait(house.accounts().set_identity(ann, "a", None)), Ok(true));
            assert_eq!((known("a", "2"), known("b", "1")), (None, Some(ann)), "untied from that one alone");
            assert_eq!(tie(bob, "a", "2"), Ok(true));
        });
    }

    #[test]
    fn is_listed_by_its_name() {
        on_every_backend(|house| {
            let (cid, ann) = (house.has_account("Cid"), house.has_account("ann"));
            let bob = guest("Bob", 10);
            house.adds(&bob, 0).unwrap();
            house.adds(&NewUser { session: None, ..guest("Passing", 10) }, 0).unwrap();
            let list = |query: &str, after, limit| -> Vec<UserId> {
                let users = wait(house.accounts().users(query, after, limit)).unwrap();
                users.into_iter().map(|user| user.id).collect()
            };
            let bob = bob.record.id;
            assert_eq!(list("", None, 10), [ann, bob, cid], "those who hold a name, in its order");
            assert_eq!((list("", None, 2), list("", Some(bob), 2)), (vec![ann, bob], vec![cid]));
            assert_eq!((list("B", None, 10), list("%", None, 10)), (vec![bob], vec![]));
            house.is_called(cid, "Aaron", Some(Timestamp::now() + HOUR)).unwrap();
            assert_eq!(list("", None, 10), [cid, ann, bob], "each by one name");
        });
    }

    #[test]
    fn is_found_behind_many_others() {
        on_every_backend(|house| {
            let many = (0..1200).map(|n| NewUser { record: many_record(n), ..account("") });
            wait(futures_util::future::join_all(many.map(|user| house.accounts().add_user(user, day(0)))));
            let list = |query: &str, after, limit| wait(house.accounts().users(query, after, limit)).unwrap();
            let names = |users: Vec<UserRecord>| -> Vec<String> { users.into_iter().map(|user| user.folded).collect() };
            let all = list("", None, 5000);
            assert_eq!((all.len(), &*all[1199].folded), (1200, "user 1199"));
            assert_eq!(names(list("1100", None, 2)), ["user 1100"]);
            assert_eq!(names(list("99", Some(all[600].id), 2)), ["user 0699", "user 0799"], "in pages that go on");
        });
    }

    fn many_record(number: usize) -> UserRecord {
        let name = format!("User {number:04}");
        UserRecord { skeleton: name.clone(), ..record(UserId::random(), &name, Role::Member) }
    }
}

mod a_picture {
    use super::*;

    fn picture(source: PictureSource) -> Picture {
        Picture { source, kind: "image/png".to_owned(), bytes: vec![source as u8; 10], at: day(1) }
    }

    #[test]
    fn is_the_one_from_the_first_source_that_has_one() {
        on_every_backend(|house| {
            let ann = house.has_account("Ann");
            let shown = || wait(house.accounts().picture(ann)).unwrap().map(|picture| picture.source);
            let set = |source, picture| wait(house.accounts().set_picture(ann, source, picture)).unwrap();
            assert_eq!((shown(), house.user(ann).unwrap().picture), (None, 0));
            for source in [PictureSource::Gravatar, PictureSource::Provider, PictureSource::Upload] {
                let before = house.user(ann).unwrap().picture;
                set(source, Some(picture(source)));
                assert_eq!(shown(), Some(source));
                assert_ne!(house.user(ann).unwrap().picture, before, "it changes with the picture");
            }
            assert_eq!(wait(house.accounts().picture(ann)), Ok(Some(picture(PictureSource::Upload))));
            set(PictureSource::Provider, Some(picture(PictureSource::Provider)));
            assert_eq!(shown(), Some(PictureSource::Upload));
            set(PictureSource::Upload, None);
            assert_eq!(shown(), Some(PictureSource::Provider));
            set(PictureSource::Provider, None);
            set(PictureSource::Gravatar, None);
            assert_eq!(shown(), None);
        });
    }
}

mod a_user_who_comes {
    use super::*;

    #[test]
    fn again_stays_as_they_are() {
        on_every_backend(|house| {
            let ann = guest("Ann", 10);
            house.adds(&ann, 0).unwrap();
            assert!(house.member(&ann.record.author()).is_some());
            let leaves = house.append(&lobby(), message(&ann.record.author(), "bye"), Effect::Leave);
            leaves.recv().unwrap().unwrap();
            house.is_called(ann.record.id, "Anna", None).unwrap();
            house.adds(&ann, 0).unwrap();
            assert_eq!(house.member(&ann.record.author()), None, "who has left is not made a member again");
            assert_eq!(&*house.user(ann.record.id).unwrap().name, "Anna");
            let nowhere = NewUser { joins: "nowhere".into(), ..ann };
            assert_eq!(house.adds(&nowhere, 0), Ok(()), "whatever they were to join");
            let new = NewUser { joins: "nowhere".into(), ..guest("Bob", 10) };
            assert_eq!(house.adds(&new, 0), Err(Error::NoRoom("nowhere".to_owned())));
            assert_eq!(house.user(new.record.id), None);
        });
    }

    /// People and rooms lie in two places of a cluster: what is changed in both may break off between them.
    #[test]
    fn by_half_is_a_member_with_a_second_try_and_goes_wholly_with_one() {
        let house = House::new(Backend::Redis, Durability::Full);
        let redis = house.ground.redis.as_ref().expect("it stands on one");
        let ann = guest("Ann", 10);
        let (id, author) = (ann.record.id.to_string(), ann.record.author());
        house.adds(&ann, 0).unwrap();
        redis.ask(&["HSET", &format!("{{chinwag}}:user:{id}"), "joining", "0 lobby"]);
        redis.ask(&["ZREM", "chinwag:{lobby}:members", &id]);
        assert_eq!(house.member(&author), None);
        house.adds(&ann, 0).unwrap();
        assert!(house.member(&author).is_some());
        redis.ask(&["DEL", &format!("{{chinwag}}:user:{id}")]);
        assert_eq!(wait(house.accounts().delete_user(ann.record.id)), Ok(false));
        assert_eq!(house.member(&author), None);
        assert_eq!(redis.ask(&["KEYS", &format!("*{id}*")]), "");
    }
}

mod a_user_who_goes {
    use super::*;

    #[test]
    fn leaves_their_events_and_nothing_else() {
        on_every_backend(|mut house| {
            let (ann, bob) = (guest("Ann", 10), house.has_account("Bob"));
            let ann = NewUser { record: UserRecord { role: Role::Member, ..ann.record.clone() }, ..ann };
            house.adds(&ann, 0).unwrap();
            let id = ann.record.id;
            let secrets = Secrets { password: Some("p".to_owned()), totp: Some(vec![1]), recovery: vec![[7; 32]] };
            wait(house.accounts().set_secrets(id, secrets)).unwrap();
            wait(house.accounts().set_identity(id, "a", Some("1"))).unwrap();
            let picture =
                Picture { source: PictureSource::Upload, kind: "image/png".to_owned(), bytes: vec![1], at: day(1) };
            wait(house.accounts().set_picture(id, PictureSource::Upload, Some(picture))).unwrap();
            wait(house.moderation().ignore(id, bob, true)).unwrap();
            wait(house.moderation().ignore(bob, id, true)).unwrap();
            house.says(&ann.record.author(), "hello");
            let events = house.read(&lobby(), 0);

            assert_eq!(wait(house.accounts().delete_user(id)), Ok(true));
            assert_eq!(wait(house.accounts().delete_user(id)), Ok(false));
            house.reopen();
            assert_eq!(house.read(&lobby(), 0), events);
            assert_eq!(house.user(id), None);
            assert_eq!(house.member(&ann.record.author()), None);
            assert_eq!(wait(house.sessions().session(token(&ann))), Ok(None));
            assert_eq!(wait(house.accounts().secrets(id)), Ok(Secrets::default()));
            assert_eq!(wait(house.accounts().use_code(id, UsedCode::Recovery([7; 32]))), Ok(false));
            assert_eq!(wait(house.accounts().identity("a", "1")), Ok(None));
            assert_eq!(wait(house.accounts().picture(id)), Ok(None));
            assert_eq!(wait(house.moderation().ignored(id)), Ok(vec![]));
            assert_eq!(wait(house.moderation().ignored(bob)), Ok(vec![]));
            assert_eq!(house.adds(&account("ann"), 0), Ok(()), "the name is free");
        });
    }
}
