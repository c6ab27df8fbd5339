//! Keeping order: who may act on whom, mutes, kicks and bans, messages taken back, ignoring, reports, the audit log.

use serde_json::{Value, json};

use crate::support::{Session, TestServer, list, number, text};

const BEHIND_A_PROXY: [&str; 4] = ["--limits", "off", "--trusted-proxy", "127.0.0.1"];

/// One of each role.
struct Cast {
    olga: Session,
    ada: Session,
    mia: Session,
    ann: Session,
    bob: Session,
    gus: Session,
}

impl Cast {
    async fn of(server: &TestServer) -> Self {
        let olga = server.owner().await;
        let (ada, mia) = (server.register("ada").await, server.register("mia").await);
        olga.appoints(&ada, "admin").await;
        olga.appoints(&mia, "moderator").await;
        let (ann, bob) = (server.register("ann").await, server.register("bob").await);
        Self { olga, ada, mia, ann, bob, gus: server.sign_up("gus").await }
    }
}

fn refused() -> (u16, String) {
    (403, "not_allowed".to_owned())
}

#[tokio::test]
async fn nobody_acts_on_who_is_not_below_them() {
    let server = TestServer::unhurried().await;
    let Cast { olga, ada, mia, ann, bob, gus } = Cast::of(&server).await;
    for (by, on) in [
        (&gus, &bob),
        (&ann, &bob),
        (&ann, &gus),
        (&mia, &mia),
        (&mia, &ada),
        (&mia, &olga),
        (&ada, &olga),
        (&ada, &ada),
        (&olga, &olga),
    ] {
        for act in ["mute", "kick", "ban"] {
            let answer = by.acts_on(&on.id, act, &json!({})).await;
            assert_eq!(answer.error(), refused(), "{} cannot {act} {}", by.name, on.name);
        }
        let lift = by.delete(&format!("/api/users/{}/ban", on.id)).await;
        assert_eq!(lift.error(), refused(), "{} on {}", by.name, on.name);
        let lift = by.delete(&format!("/api/users/{}/mute", on.id)).await;
        assert_eq!(lift.error(), refused(), "{} on {}", by.name, on.name);
    }
    for who in [&olga, &ada, &mia, &ann, &bob, &gus] {
        who.me().await;
    }
    let nobody = uuid::Uuid::now_v7().to_string();
    assert_eq!(mia.acts_on(&nobody, "mute", &json!({})).await.error(), (404, "no_user".to_owned()));
    assert_eq!(mia.acts_on("nobody", "kick", &json!({})).await.error(), (404, "no_user".to_owned()));
    for odd in [json!({"minutes": 0}), json!({"minutes": 10_000_000}), json!({"minutes": -1})] {
        assert_eq!(mia.acts_on(&bob.id, "mute", &odd).await.error(), (400, "invalid".to_owned()), "{odd}");
        assert_eq!(mia.acts_on(&bob.id, "ban", &odd).await.error(), (400, "invalid".to_owned()), "{odd}");
    }
}

#[tokio::test]
async fn roles_are_given_by_those_above_them() {
    let server = TestServer::unhurried().await;
    let Cast { olga, ada, mia, ann, bob, gus } = Cast::of(&server).await;
    for (by, whom, role) in [
        (&ann, &bob, "moderator"),
        (&mia, &bob, "member"),
        (&ada, &bob, "admin"),
        (&ada, &bob, "owner"),
        (&ada, &olga, "member"),
        (&ada, &ada, "owner"),
        (&olga, &gus, "member"),
        (&olga, &bob, "guest"),
    ] {
        assert_eq!(by.asks_role(whom, role).await.error(), refused(), "{} makes {} {role}", by.name, whom.name);
    }
    let mut desk = bob.connects().await;
    ada.appoints(&bob, "moderator").await;
    assert_eq!(desk.next_push("me").await, json!({"type": "me", "role": "moderator", "muted_until": null}));
    bob.does(bob.acts_on(&ann.id, "mute", &json!({}))).await;
    olga.appoints(&bob, "owner").await;
    assert_eq!(desk.next_push("me").await["role"], "owner");
    bob.appoints(&olga, "admin").await;
    assert_eq!(bob.connects().await.hello["user"]["role"], "owner");
    assert_eq!(olga.patch("/api/place").json(&json!({"name": "Mine"})).await.error(), refused(), "at once");
}

#[tokio::test]
async fn who_is_muted_writes_nowhere() {
    let server = TestServer::unhurried().await;
    let Cast { mia, ann, bob, .. } = Cast::of(&server).await;
    let den = ann.makes_room("private", "Den").await;
    ann.lets_in(&den, &bob).await;
    let mut desk = bob.connects_to("lobby").await;
    let seq = desk.says("lobby", "before").await;
    mia.does(mia.acts_on(&bob.id, "mute", &json!({"minutes": 10}))).await;
    let push = desk.next_push("me").await;
    assert_eq!(push["role"], "member");
    assert!(text(&push["muted_until"]).ends_with('Z'), "{push}");
    for room in ["lobby", &den] {
        desk.is_refused(desk.post(room, "hello?"), "muted").await;
        assert_eq!(bob.posts(room, "hello?").await.error(), (403, "muted".to_owned()));
    }
    desk.is_refused(json!({"type": "create", "name": "My own"}), "muted").await;
    let room = bob.post("/api/rooms").json(&json!({"kind": "private", "name": "My own"})).await;
    assert_eq!(room.error(), (403, "muted".to_owned()));
    assert_eq!(bob.delete(&format!("/api/rooms/lobby/messages/{seq}")).await.status, 200, "one takes back one's own");
    assert!(bob.me().await["muted_until"].is_string());
    assert_eq!(bob.connects().await.hello["user"]["muted_until"], push["muted_until"]);
    let people = mia.get("/api/users?q=bob").await.json();
    assert_eq!(people["users"][0]["muted_until"], push["muted_until"], "moderators see it");
    assert_eq!(ann.get("/api/users?q=bob").await.json()["users"][0].get("muted_until"), None);

    mia.does(mia.delete(&format!("/api/users/{}/mute", bob.id))).await;
    assert_eq!(desk.next_push("me").await["muted_until"], Value::Null);
    desk.says("lobby", "after").await;
    mia.does(mia.acts_on(&bob.id, "mute", &json!({"minutes": null}))).await;
    desk.is_refused(desk.post("lobby", "hello?"), "muted").await;
}

#[tokio::test]
async fn a_guest_who_has_said_nothing_yet_is_muted_too() {
    let server = TestServer::unhurried().await;
    let mia = Cast::of(&server).await.mia;
    let mut eve = server.guest("eve").await;
    mia.does(mia.acts_on(&eve.id.clone(), "mute", &json!({"minutes": 10}))).await;
    eve.is_refused(eve.post("lobby", "spam"), "muted").await;
}

#[tokio::test]
async fn a_mute_ends_by_itself() {
    let mut server = TestServer::unhurried().await;
    let Cast { mia, bob, .. } = Cast::of(&server).await;
    mia.does(mia.acts_on(&bob.id, "mute", &json!({"minutes": 10}))).await;
    server.sets_back("UPDATE users SET muted_until = 1 WHERE muted_until IS NOT NULL").await;
    let bob = bob.at(&server);
    assert_eq!(bob.me().await.get("muted_until"), None);
    bob.writes("lobby", "at last").await;
}

#[tokio::test]
async fn who_is_kicked_may_come_back() {
    let server = TestServer::unhurried().await;
    let Cast { mia, bob, gus, .. } = Cast::of(&server).await;
    let (mut desk, mut guest, mut eve) = (bob.connects().await, gus.connects().await, server.guest("eve").await);
    for id in [&bob.id, &gus.id, &eve.id.clone()] {
        mia.does(mia.acts_on(id, "kick", &json!({}))).await;
    }
    desk.expects_close(4001).await;
    guest.expects_close(4001).await;
    eve.expects_close(4001).await;
    gus.is_over().await;
    bob.connects().await.says("lobby", "back again").await;
    server.sign_up("gus").await;
}

#[tokio::test]
async fn an_account_that_is_banned_comes_in_nowhere_until_it_is_over() {
    let mut server = TestServer::unhurried().await;
    let Cast { mia, ann, bob, .. } = Cast::of(&server).await;
    let program = bob.makes_token(&["read"]).await;
    let (mut desk, mut bot) = (bob.connects_to("lobby").await, program.connects().await);
    mia.does(mia.acts_on(&bob.id, "ban", &json!({"minutes": 10, "reason": "noise"}))).await;
    desk.expects_close(1008).await;
    bot.expects_close(1008).await;
    bob.is_over().await;
    program.is_over().await;
    let banned = server.signs_in("bob", crate::support::people::PASSWORD).await;
    assert_eq!(banned.error(), (403, "banned".to_owned()));
    let wrong = server.signs_in("bob", "wrong").await;
    assert_eq!(wrong.error(), (401, "bad_credentials".to_owned()), "only bob himself is told");
    let people = mia.get("/api/users?q=bob").await.json();
    assert!(people["users"][0]["banned_until"].is_string(), "{people}");
    assert_eq!(ann.get("/api/users?q=bob").await.json()["users"][0].get("banned_until"), None);
    ann.me().await;
    mia.does(mia.delete(&format!("/api/users/{}/ban", bob.id))).await;
    server.sign_in("bob").await;

    mia.does(mia.acts_on(&bob.id, "ban", &json!({"minutes": 10}))).await;
    server.sets_back("UPDATE users SET banned_until = 1 WHERE banned_until IS NOT NULL").await;
    server.sign_in("bob").await;
}

#[tokio::test]
async fn a_guest_is_banned_by_address_for_a_time() {
    const HERE: &str = "203.0.113.7";
    const THERE: &str = "203.0.113.8";
    let mut server = TestServer::with(&BEHIND_A_PROXY).await;
    let Cast { mia, ann, .. } = Cast::of(&server).await;
    let arrives = |server: &TestServer, name: &str, from: &str| {
        server.post("/api/session").from(from).json(&json!({ "name": name }))
    };
    let gus = Session::of(&server, &arrives(&server, "gustav", HERE).await);
    let mut desk = server.call().bearer(&gus.token).from(HERE).await;
    let mut passing = server.call().name("passing").from(HERE).await;
    mia.does(mia.acts_on(&gus.id, "ban", &json!({"minutes": 10, "reason": "noise"}))).await;
    desk.expects_close(1008).await;
    gus.is_over().await;
    passing.is_answered().await;
    let banned = (403, "banned".to_owned());
    assert_eq!(arrives(&server, "again", HERE).await.error(), banned);
    assert_eq!(server.knock("/api/socket?name=again").from(HERE).await.error(), banned);
    let account = json!({"name": "again", "password": crate::support::people::PASSWORD});
    assert_eq!(server.registers(&account).from(HERE).await.error(), banned, "nor by making an account");
    assert_eq!(server.signs_in("ann", crate::support::people::PASSWORD).from(HERE).await.status, 201, "accounts do");
    assert_eq!(arrives(&server, "elsewhere", THERE).await.status, 201);
    let bans = mia.get("/api/bans").await.json();
    let expected = json!([{"id": gus.id, "name": "gustav", "until": bans["bans"][0]["until"], "reason": "noise"}]);
    assert_eq!(bans["bans"], expected);
    assert!(bans["bans"][0]["until"].is_string());
    assert_eq!(ann.get("/api/bans").await.error(), refused());

    server.restart().await;
    assert_eq!(arrives(&server, "again", HERE).await.error(), banned, "a restart forgets no ban");
    let mia = mia.at(&server);
    mia.does(mia.delete(&format!("/api/users/{}/ban", gus.id))).await;
    assert_eq!(arrives(&server, "again", HERE).await.status, 201);
    assert!(list(&mia.get("/api/bans").await.json()["bans"]).is_empty());

    let mut passing = server.call().name("passing").from(HERE).await;
    mia.does(mia.acts_on(&passing.id.clone(), "ban", &json!({"minutes": 10}))).await;
    passing.expects_close(1008).await;
    assert_eq!(server.knock("/api/socket?name=passing").from(HERE).await.error(), banned, "without a session too");
    server.sets_back("UPDATE bans SET until = 1").await;
    assert_eq!(server.knock("/api/socket?name=passing").from(HERE).await.status, 101, "its time is over");
}

#[tokio::test]
async fn a_ban_of_an_ipv6_address_is_one_of_its_network() {
    let server = TestServer::with(&BEHIND_A_PROXY).await;
    let mia = Cast::of(&server).await.mia;
    let mut eve = server.call().name("eve").from("2001:db8:1:2::9").await;
    mia.does(mia.acts_on(&eve.id.clone(), "ban", &json!({}))).await;
    eve.expects_close(1008).await;
    let knock = |from: &str| server.knock("/api/socket").from(from);
    assert_eq!(knock("2001:db8:1:2:aaaa::1").await.error(), (403, "banned".to_owned()));
    assert_eq!(knock("2001:db8:1:3::9").await.status, 101);
}

#[tokio::test]
async fn a_message_is_taken_back_by_its_author_or_a_moderator() {
    let server = TestServer::unhurried().await;
    let Cast { ada, mia, ann, bob, .. } = Cast::of(&server).await;
    let mut alice = server.guest_in("alice", "lobby").await;
    let deletes = |by: &Session, seq: u64| by.delete(&format!("/api/rooms/lobby/messages/{seq}"));
    bob.writes("lobby", "a mistake, @ann").await;
    bob.writes("lobby", "rude").await;
    bob.writes("lobby", "worse").await;
    for words in ["a mistake, @ann", "rude", "worse"] {
        alice.hears(words).await;
    }
    assert_eq!(ann.connects().await.hello["rooms"][0]["mentions"], 1);
    assert_eq!(deletes(&ann, 1).await.error(), refused(), "another's");
    for (by, seq) in [(&bob, 1), (&mia, 2), (&ada, 3)] {
        let answer = deletes(by, seq).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"room": "lobby", "seq": seq + 3})), "{}", by.name);
        let event = alice.next_event("a deletion").await;
        assert_eq!(
            (&event["kind"], &event["target"], &event["author"]["id"]),
            (&json!("delete"), &json!(seq), &json!(by.id))
        );
    }
    assert_eq!(ann.connects().await.hello["rooms"][0]["mentions"], 0);
    for message in ann.reads("lobby").await {
        assert_eq!((&message["redacted"], message.get("text"), message.get("html")), (&json!(true), None, None));
    }
    let mut late = server.guest("late").await;
    late.subscribes_to_last("lobby", 10).await;
    let events = late.hears_events("lobby", 6).await;
    assert!(events[..3].iter().all(|event| event["redacted"] == true), "{events:?}");
    for (seq, status) in [(4, 400), (99, 400), (0, 400)] {
        assert_eq!(deletes(&mia, seq).await.status, status, "no message at {seq}");
    }
    assert_eq!(mia.delete("/api/rooms/lobby/messages/x").await.status, 404);
    let twice = |txn| bob.delete(&format!("/api/rooms/lobby/messages/1?txn_id={txn}"));
    let first = number(&twice("t").await.json()["seq"]);
    assert_eq!(number(&twice("t").await.json()["seq"]), first, "a retry is the same deletion");
}

#[tokio::test]
async fn what_is_taken_back_is_kept_from_readers_who_are_behind() {
    let server = TestServer::with(&["--limits", "off", "--tail-kb", "1"]).await;
    let (ann, mut bob) = (server.register("ann").await, server.guest("bob").await);
    bob.says_all("lobby", (0..700).map(|n| format!("{n} {}", "x".repeat(200)))).await;
    let seq = ann.writes("lobby", "secret").await;
    let mut late = server.guest("late").await;
    // Reads pages of 512 from the store.
    late.begin(json!({"type": "subscribe", "room": "lobby", "last": 10_000})).await;
    assert_eq!(ann.delete(&format!("/api/rooms/lobby/messages/{seq}")).await.status, 200);
    let events = late.hears_events("lobby", 702).await;
    let (told, deleted) = (&events[700], &events[701]);
    assert_eq!((number(&told["seq"]), &deleted["target"]), (seq, &json!(seq)));
    let mut after = server.guest("after").await;
    after.subscribes_to_last("lobby", 2).await;
    assert_eq!(after.hears_events("lobby", 2).await[0]["redacted"], true);
}

#[tokio::test]
async fn who_is_ignored_writes_no_direct_messages() {
    let server = TestServer::unhurried().await;
    let Cast { ann, bob, .. } = Cast::of(&server).await;
    let eve = server.register("eve").await;
    let (pair, three) = (ann.direct_room(&[&bob]).await, ann.direct_room(&[&bob, &eve]).await);
    bob.writes(&pair, "hello").await;
    ann.does(ann.put(&format!("/api/ignored/{}", bob.id))).await;
    assert_eq!(ann.me().await["ignored"], json!([bob.id]));
    let mut desk = bob.connects_to(&pair).await;
    desk.is_refused(desk.post(&pair, "hello?"), "not_allowed").await;
    assert_eq!(bob.posts(&pair, "hello?").await.error(), refused());
    ann.writes(&pair, "I can still write").await;
    for by in [&bob, &eve, &ann] {
        by.writes(&three, "a conversation of three goes on").await;
    }
    bob.writes("lobby", "and in public I am folded away, not silenced").await;
    let fay = server.register("fay").await;
    assert_eq!(bob.writes_to(&[&ann, &fay]).await.error(), refused(), "nobody is drawn into another room");
    let den = bob.makes_room("private", "Den").await;
    assert_eq!(bob.sets_member(&den, &ann, None).await.error(), refused());

    ann.does(ann.delete(&format!("/api/ignored/{}", bob.id))).await;
    assert_eq!(ann.me().await["ignored"], json!([]));
    desk.says(&pair, "thanks").await;
    assert_eq!(ann.put(&format!("/api/ignored/{}", ann.id)).await.error(), refused(), "oneself");
    let nobody = ann.put(&format!("/api/ignored/{}", uuid::Uuid::now_v7())).await;
    assert_eq!(nobody.error(), (404, "no_user".to_owned()));
}

#[tokio::test]
async fn a_report_is_for_the_moderators() {
    let server = TestServer::unhurried().await;
    let Cast { mia, ann, bob, gus, .. } = Cast::of(&server).await;
    let seq = bob.writes("lobby", "something *rude*").await;
    let reports = |by: &Session, seq: u64, reason: &str| {
        by.post(&format!("/api/rooms/lobby/messages/{seq}/report")).json(&json!({ "reason": reason }))
    };
    ann.does(reports(&ann, seq, " rude ")).await;
    ann.does(reports(&ann, seq, "again")).await;
    gus.does(reports(&gus, seq, "me too")).await;
    for (odd, reason) in [(seq, ""), (seq, &*"x".repeat(501)), (99, "rude")] {
        assert_eq!(reports(&ann, odd, reason).await.error(), (400, "invalid".to_owned()), "{odd} {reason}");
    }
    assert_eq!(bob.delete(&format!("/api/rooms/lobby/messages/{seq}")).await.status, 200);
    assert_eq!(reports(&mia, seq, "late").await.error(), refused(), "it was taken back");
    assert_eq!(ann.get("/api/reports").await.error(), refused());
    let open = mia.get("/api/reports").await.json();
    let first = open["reports"][0].clone();
    let expected = json!({"id": first["id"], "room": "lobby", "room_name": "Lobby", "seq": seq,
        "text": "something *rude*", "author": {"id": bob.id, "name": "bob"}, "by": {"id": ann.id, "name": "ann"},
        "reason": "rude", "at": first["at"]});
    assert_eq!(first, expected, "as it stood then");
    assert_eq!(list(&open["reports"]).len(), 2);
    let path = format!("/api/reports/{}", first["id"]);
    assert_eq!(ann.delete(&path).await.error(), refused());
    mia.does(mia.delete(&path)).await;
    assert_eq!(mia.delete(&path).await.error(), (404, "not_found".to_owned()));
    assert_eq!(list(&mia.get("/api/reports").await.json()["reports"]).len(), 1);
}

#[tokio::test]
async fn every_act_stands_in_the_audit_log_that_admins_read() {
    let server = TestServer::unhurried().await;
    let Cast { olga, ada, mia, ann, bob, gus } = Cast::of(&server).await;
    let garden = ann.makes_room("public", "Garden").await;
    let seq = bob.writes("lobby", "rude").await;
    ann.does(ann.post("/api/rooms/lobby/messages/1/report").json(&json!({"reason": "rude"}))).await;
    let report = mia.get("/api/reports").await.json()["reports"][0]["id"].clone();
    let user = |act: &str, on: &Session| format!("/api/users/{}/{act}", on.id);
    for request in [
        mia.acts_on(&bob.id, "mute", &json!({"minutes": 10})),
        mia.delete(&user("mute", &bob)),
        mia.acts_on(&gus.id, "kick", &json!({})),
        mia.acts_on(&bob.id, "ban", &json!({"reason": "noise"})),
        mia.delete(&user("ban", &bob)),
        mia.delete(&format!("/api/reports/{report}")),
        mia.delete(&format!("/api/rooms/lobby/messages/{seq}")),
        ada.post(&user("reset", &bob)),
        ada.post("/api/invites").json(&json!({})),
        ada.patch("/api/place").json(&json!({"guests_paused": true})),
        ann.sets(&garden, &json!({"slow_seconds": 5})),
        ann.sets_member(&garden, &mia, Some("moderator")),
        ann.takes_out(&garden, &mia),
        ann.delete(&format!("/api/rooms/{garden}")),
    ] {
        let answer = request.await;
        assert!(matches!(answer.status, 200 | 201 | 204), "{}", answer.text());
    }
    let invite = text(&ada.get("/api/invites").await.json()["invites"][0]["id"]);
    ada.does(ada.delete(&format!("/api/invites/{invite}"))).await;
    for by in [&mia, &ann] {
        assert_eq!(by.get("/api/audit").await.error(), refused(), "{}", by.name);
    }
    let log = ada.get("/api/audit?limit=200").await.json();
    let entries: Vec<_> = list(&log["entries"])
        .iter()
        .rev()
        .map(|entry| (text(&entry["by"]["name"]), text(&entry["act"]), text(&entry["subject"])))
        .collect();
    let expected = [
        ("olga", "owner", "olga"),
        ("olga", "role", "ada"),
        ("olga", "role", "mia"),
        ("mia", "mute", "bob"),
        ("mia", "unmute", "bob"),
        ("mia", "kick", "gus"),
        ("mia", "ban", "bob"),
        ("mia", "unban", "bob"),
        ("mia", "settle", "bob"),
        ("mia", "delete", "bob"),
        ("ada", "reset", "bob"),
        ("ada", "invite", "member"),
        ("ada", "place", "Chinwag"),
        ("ann", "room", "Garden"),
        ("ann", "member", "mia"),
        ("ann", "remove", "mia"),
        ("ann", "delete room", "Garden"),
        ("ada", "revoke", "invite"),
    ];
    assert_eq!(entries, expected.map(|(by, act, subject)| (by.to_owned(), act.to_owned(), subject.to_owned())));
    assert_eq!(list(&log["entries"]).iter().find(|it| it["act"] == "ban").unwrap()["detail"], "until lifted: noise");
    let page = olga.get("/api/audit?limit=3").await.json();
    assert_eq!((list(&page["entries"]), &page["more"]), (&list(&log["entries"])[..3], &json!(true)));
    let before = &page["entries"][2]["id"];
    let rest = olga.get(&format!("/api/audit?limit=200&before={before}")).await.json();
    assert_eq!((list(&rest["entries"]), &rest["more"]), (&list(&log["entries"])[3..], &json!(false)));
}

impl TestServer {
    /// Stops, turns the clock of the store by hand, and starts again.
    async fn sets_back(&mut self, sql: &str) {
        self.stop().await.unwrap();
        let database = rusqlite::Connection::open(self.data_dir().join("chinwag.db")).unwrap();
        assert!(database.execute(sql, []).unwrap() > 0, "{sql}");
        database.close().unwrap();
        self.start_again().await;
    }
}

#[tokio::test]
async fn a_guest_is_muted_and_banned_whose_name_has_come_to_look_like_an_accounts() {
    let server = TestServer::unhurried().await;
    let olga = server.owner().await;
    let guest = server.sign_up("c0ra").await;
    server.register("cora").await;
    olga.does(olga.acts_on(&guest.id, "mute", &json!({"minutes": 5}))).await;
    assert_eq!(guest.posts("lobby", "hello?").await.error(), (403, "muted".to_owned()));
    olga.does(olga.acts_on(&guest.id, "ban", &json!({}))).await;
    guest.is_over().await;
}

#[tokio::test]
async fn the_last_owner_of_a_private_room_leaves_it_to_another() {
    let server = TestServer::unhurried().await;
    let (ann, bob, mia) = (server.register("ann").await, server.register("bob").await, server.register("mia").await);
    let den = ann.makes_room("private", "Den").await;
    ann.lets_in(&den, &bob).await;
    ann.does(ann.sets_member(&den, &mia, Some("moderator"))).await;
    let password = json!({ "password": crate::support::people::PASSWORD });
    assert_eq!(ann.delete("/api/account").json(&password).await.status, 204);
    assert_eq!(mia.get(&format!("/api/rooms/{den}")).await.json()["role"], "owner", "whoever was most in it");
    assert_eq!(bob.get(&format!("/api/rooms/{den}")).await.json()["role"], "member");
}
