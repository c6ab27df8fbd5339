//! What keeps order: settings, bans of addresses, reports, who ignores whom, the audit log.

use chinwag::store::{AuditEntry, Ban, Report};

use super::*;

fn ban(address: &str, user: &Author, until: Option<i64>, at: i64) -> Ban {
    Ban {
        address: address.to_owned(),
        user: user.clone(),
        until: until.map(day),
        reason: "noise".to_owned(),
        at: day(at),
    }
}

fn report(by: &Author, seq: Seq) -> Report {
    Report {
        id: 0,
        room: lobby(),
        seq,
        text: "as it stood".to_owned(),
        author: author("eve"),
        by: by.clone(),
        reason: "rude".to_owned(),
        at: day(1),
    }
}

#[test]
fn settings_are_those_that_were_set_last() {
    on_every_backend(|mut house| {
        assert_eq!(wait(house.moderation().settings()), Ok(String::new()));
        for json in [r#"{"name":"One"}"#, r#"{"name":"Two"}"#] {
            wait(house.moderation().set_settings(json.to_owned())).unwrap();
        }
        house.reopen();
        assert_eq!(wait(house.moderation().settings()), Ok(r#"{"name":"Two"}"#.to_owned()));
    });
}

#[test]
fn a_ban_holds_until_its_time_or_until_it_is_lifted() {
    on_every_backend(|mut house| {
        let (gus, pia) = (author("gus"), author("pia"));
        let given = [
            ban("192.0.2.1", &gus, Some(10), 1),
            ban("192.0.2.2", &gus, None, 2),
            ban("2001:db8::", &pia, Some(20), 3),
        ];
        for ban in &given {
            wait(house.moderation().ban(ban.clone())).unwrap();
        }
        house.reopen();
        let hold = |at| -> Vec<String> {
            wait(house.moderation().bans(day(at))).unwrap().into_iter().map(|ban| ban.address).collect()
        };
        assert_eq!(hold(9), ["2001:db8::", "192.0.2.2", "192.0.2.1"], "the newest first");
        assert_eq!(
            (hold(10), hold(20)),
            (vec!["2001:db8::".to_owned(), "192.0.2.2".to_owned()], vec!["192.0.2.2".to_owned()])
        );
        assert_eq!(wait(house.moderation().bans(day(9))).unwrap()[0], given[2]);
        wait(house.moderation().ban(ban("192.0.2.2", &pia, Some(30), 4))).unwrap();
        assert_eq!(hold(29), ["192.0.2.2"], "in place of the older one");
        wait(house.moderation().lift_bans(gus.id)).unwrap();
        assert_eq!(hold(9), ["192.0.2.2", "2001:db8::"], "what was given for gus");
        wait(house.moderation().lift_bans(pia.id)).unwrap();
        assert!(hold(0).is_empty());
    });
}

#[test]
fn a_report_counts_once_for_each_who_makes_it() {
    on_every_backend(|mut house| {
        let (ann, bob) = (author("ann"), author("bob"));
        for given in [report(&ann, 1), report(&ann, 1), report(&bob, 1), report(&ann, 2)] {
            wait(house.moderation().report(given)).unwrap();
        }
        house.reopen();
        let open = wait(house.moderation().reports(10)).unwrap();
        let shown: Vec<_> = open.iter().map(|report| (report.by.clone(), report.seq)).collect();
        assert_eq!(shown, [(ann.clone(), 1), (bob, 1), (ann.clone(), 2)], "the oldest first");
        assert!(open.is_sorted_by_key(|report| report.id));
        let expected = Report { id: open[0].id, author: open[0].author.clone(), ..report(&ann, 1) };
        assert_eq!(open[0], expected);
        assert_eq!(wait(house.moderation().reports(1)).unwrap(), open[..1]);
        assert_eq!(wait(house.moderation().settle_report(open[0].id)), Ok(Some(expected)));
        assert_eq!(wait(house.moderation().settle_report(open[0].id)), Ok(None));
        assert_eq!(wait(house.moderation().reports(10)).unwrap(), open[1..]);
    });
}

#[test]
fn whoever_is_ignored_is_until_they_are_heard_again() {
    on_every_backend(|mut house| {
        let [ann, bob, eve] = [(); 3].map(|()| UserId::random());
        for (user, other) in [(ann, bob), (ann, bob), (ann, eve), (eve, ann)] {
            wait(house.moderation().ignore(user, other, true)).unwrap();
        }
        house.reopen();
        let ignored = |user| {
            let mut ignored = wait(house.moderation().ignored(user)).unwrap();
            ignored.sort_unstable_by_key(|user| user.0);
            ignored
        };
        let mut both = vec![bob, eve];
        both.sort_unstable_by_key(|user| user.0);
        assert_eq!((ignored(ann), ignored(bob), ignored(eve)), (both, vec![], vec![ann]));
        wait(house.moderation().ignore(ann, bob, false)).unwrap();
        wait(house.moderation().ignore(ann, bob, false)).unwrap();
        assert_eq!(ignored(ann), [eve]);
    });
}

#[test]
fn the_audit_log_is_read_backwards_in_pages() {
    on_every_backend(|mut house| {
        let ann = author("ann");
        let entry = |n: i64| AuditEntry {
            id: 0,
            at: day(n),
            by: ann.clone(),
            act: "ban".to_owned(),
            subject: format!("no {n}"),
            detail: String::new(),
        };
        for n in 1..=5 {
            wait(house.moderation().note(entry(n))).unwrap();
        }
        house.reopen();
        let page = |before, limit| wait(house.moderation().audit(before, limit)).unwrap();
        let all = page(None, 10);
        let subjects: Vec<_> = all.iter().map(|entry| &*entry.subject).collect();
        assert_eq!(subjects, ["no 5", "no 4", "no 3", "no 2", "no 1"]);
        assert!(all.is_sorted_by(|newer, older| newer.id > older.id));
        assert_eq!(all[0], AuditEntry { id: all[0].id, ..entry(5) });
        assert_eq!((page(None, 2), page(Some(all[1].id), 10)), (all[..2].to_vec(), all[2..].to_vec()));
        assert!(page(Some(all[4].id), 10).is_empty());
    });
}
