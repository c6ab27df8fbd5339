//! What outlives a process. A data directory belongs to the embedded backend alone, and so do the tests of one.

use chinwag::error::Fatal;

use super::*;

mod a_restart {
    use super::*;

    #[test]
    fn keeps_everything() {
        on_every_backend(|mut house| {
            let (ann, garden) = (author("ann"), house.room("garden"));
            house.say(&ann, 20);
            house.appended(&garden, message(&ann, "hello"), Effect::Join).unwrap();
            let before = (house.position(&lobby()), house.read(&lobby(), 0), house.position(&garden));
            house.reopen();
            assert_eq!((house.position(&lobby()), house.read(&lobby(), 0), house.position(&garden)), before);
            assert_eq!(house.says(&ann, "next"), 21);
            assert_eq!(wait(house.directory().joined(ann.id, 10)).unwrap().len(), 1);
        });
    }

    #[test]
    fn comes_after_all_that_was_queued_is_committed() {
        on_every_backend(|mut house| {
            let ann = author("ann");
            let outcomes: Vec<_> =
                (0..5000).map(|_| house.append(&lobby(), message(&ann, "hello"), Effect::None)).collect();
            house.log().close();
            for (seq, outcome) in (1..).zip(outcomes) {
                assert_eq!(outcome.try_recv().expect("told before close returns"), Ok(seq));
            }
            house.reopen();
            assert_eq!(house.position(&lobby()).head, 5000);
        });
    }

    #[test]
    fn is_preceded_by_a_close_that_refuses_what_comes_after() {
        on_every_backend(|house| {
            house.log().close();
            house.log().close();
            let outcome = house.append(&lobby(), message(&author("ann"), "late"), Effect::None).try_recv();
            assert!(matches!(outcome, Ok(Err(Error::Unavailable(_)))), "{outcome:?}");
            assert!(matches!(house.adds(&guest("Bob", 1), 0), Err(Error::Unavailable(_))));
            assert!(matches!(wait(house.log().position(&lobby())), Err(Error::Unavailable(_))));
        });
    }

    #[test]
    fn says_what_an_acknowledgement_is_worth() {
        on_every_backend(|house| assert!(!house.log().worth().is_empty()));
    }
}

mod a_crash {
    use super::*;

    /// Of the node and the store, which says that it is worth something.
    #[test]
    fn keeps_what_was_acknowledged() {
        on_every_backend(|house| {
            let bob = guest("Bob", 10);
            house.adds(&bob, 0).unwrap();
            house.say(&author("ann"), 100);
            let before = (house.position(&lobby()), house.read(&lobby(), 0));
            let house = house.after_a_crash(Durability::Full);
            assert_eq!((house.position(&lobby()), house.read(&lobby(), 0)), before);
            assert_eq!(wait(house.sessions().session(token(&bob))).unwrap().unwrap().user, bob.record);
        });
    }
}

mod a_data_directory {
    use super::*;

    fn open(dir: &Path, durability: Durability) -> Result<Store, Fatal> {
        store::open(&Options { dir: dir.to_owned(), durability, redis: None }, Arc::<Ear>::default())
    }

    fn refusal(dir: &Path) -> String {
        open(dir, Durability::Full).err().expect("it is not opened").to_string()
    }

    #[test]
    fn has_one_chinwag_at_a_time() {
        let house = House::new(Backend::Sqlite, Durability::Full);
        let words = refusal(house.dir());
        assert!(words.contains("in use") && words.contains("--data"), "{words}");
        let dir = house.ground.dir;
        drop(house.store);
        open(dir.path(), Durability::Full).expect("its first owner has left");
    }

    #[test]
    fn is_made_where_there_is_none() {
        let dir = TempDir::new().unwrap();
        open(&dir.path().join("a/b"), Durability::Full).unwrap();
        assert!(dir.path().join("a/b/chinwag.db").is_file());
    }

    #[test]
    fn that_is_none_is_refused() {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "not a directory").unwrap();
        let words = refusal(&file);
        assert!(words.contains("file") && words.contains("--data"), "{words}");
    }

    #[test]
    fn of_a_newer_chinwag_is_refused() {
        let dir = TempDir::new().unwrap();
        open(dir.path(), Durability::Full).unwrap();
        tamper(dir.path(), "PRAGMA user_version = 99");
        let words = refusal(dir.path());
        assert!(words.contains("newer") && words.contains("99"), "{words}");
    }

    #[test]
    fn of_somebody_else_is_refused_and_left_alone() {
        let dir = TempDir::new().unwrap();
        tamper(dir.path(), "CREATE TABLE theirs (a)");
        let theirs = fs::read(dir.path().join("chinwag.db")).unwrap();
        assert!(refusal(dir.path()).contains("not a chinwag database"));
        assert_eq!(fs::read(dir.path().join("chinwag.db")).unwrap(), theirs);

        fs::write(dir.path().join("chinwag.db"), "a letter to a friend, and no database at all").unwrap();
        assert!(refusal(dir.path()).contains("not a chinwag database"));
    }

    fn tamper(dir: &Path, sql: &str) {
        rusqlite::Connection::open(dir.join("chinwag.db")).unwrap().execute_batch(sql).unwrap();
    }

    #[test]
    fn written_in_haste_begins_new_epochs_after_a_crash() {
        for next in [Durability::Full, Durability::Fast] {
            let house = House::new(Backend::Sqlite, Durability::Fast);
            let garden = house.room("garden");
            house.says(&author("ann"), "hello");
            let before = [house.position(&lobby()), house.position(&garden)];
            let house = house.after_a_crash(next);
            let after = [house.position(&lobby()), house.position(&garden)];
            for (before, after) in before.iter().zip(&after) {
                assert_ne!(before.epoch, after.epoch);
                assert_eq!(before.head, after.head);
            }
            assert_ne!(after[0].epoch, after[1].epoch);
        }
    }

    #[test]
    fn written_in_haste_and_closed_keeps_its_epochs() {
        let mut house = House::new(Backend::Sqlite, Durability::Fast);
        let before = house.position(&lobby());
        house.reopen();
        assert_eq!(house.position(&lobby()), before);
        house.ground.durability = Durability::Full;
        house.reopen();
        let house = house.after_a_crash(Durability::Full);
        assert_eq!(house.position(&lobby()), before, "one unclean end changes the epochs once");
    }

    #[test]
    fn forgets_an_unclean_end_after_one_start() {
        let house = House::new(Backend::Sqlite, Durability::Fast).after_a_crash(Durability::Full);
        let before = house.position(&lobby());
        let house = house.after_a_crash(Durability::Full);
        assert_eq!(house.position(&lobby()), before);
    }
}
