//! The clients of four classic Go chats, in one room with the page: what each sends and is sent to the letter, whose
//! names they may have, and what keeps them from harming anybody.

mod caller;
mod guards;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use self::caller::{BLUEPRINTS, Caller, GORILLA, HEROKU, heroku};
use crate::support::{Client, TestServer, text};

const UNHURRIED: [&str; 3] = ["--classic", "--limits", "off"];

/// One of each client, and somebody who has the page open.
struct Cast {
    page: Client,
    gorilla: Caller,
    plain: Caller,
    session: Caller,
    heroku: Caller,
    gochatting: Caller,
    mat: String,
}

impl Cast {
    async fn of(server: &TestServer) -> Self {
        let mat = server.sign_up("Mat Ryer").await;
        Self {
            page: server.guest_in("paula", "lobby").await,
            gorilla: Caller::at(server, GORILLA).await,
            plain: Caller::at(server, BLUEPRINTS).await,
            session: Caller::by_session(server, &mat).await,
            heroku: Caller::at(server, HEROKU).await,
            gochatting: Caller::by_email(server, "alice@example.com").await,
            mat: mat.id,
        }
    }

    /// Everyone is told this, which somebody called `name` has said.
    async fn all_hear(&mut self, name: &str, words: &str) -> Value {
        let event = self.page.hears(words).await;
        assert_eq!(event["author"]["name"], name);
        self.others_hear(name, words).await;
        event
    }

    async fn others_hear(&mut self, name: &str, words: &str) {
        self.gorilla.hears(words).await;
        self.plain.hears(words).await;
        let told = self.session.next_json().await;
        assert_eq!((&told["Name"], &told["Message"]), (&json!(name), &json!(words)));
        assert_eq!(self.heroku.next_json().await, heroku(name, words));
        let told = self.gochatting.next_said().await;
        assert_eq!(told["TextMessage"]["Content"], words);
        assert_eq!(told["TextMessage"]["UserInfo"]["Name"], name);
    }
}

#[tokio::test]
async fn all_talk_in_one_room_with_the_page() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut cast = Cast::of(&server).await;
    cast.page.says("lobby", "hello from the page").await;
    cast.all_hear("paula", "hello from the page").await;
    cast.gorilla.sends("from gorilla").await;
    let event = cast.page.hears("from gorilla").await;
    let guest = text(&event["author"]["name"]);
    assert!(guest.starts_with("guest-"), "a generated name: {guest}");
    cast.others_hear(&guest, "from gorilla").await;
    cast.plain.sends("from plain").await;
    let event = cast.page.hears("from plain").await;
    let guest = text(&event["author"]["name"]);
    assert!(guest.starts_with("guest-"), "a generated name: {guest}");
    cast.others_hear(&guest, "from plain").await;
    cast.session.sends(r#"{"Message":"from a session"}"#).await;
    cast.all_hear("Mat Ryer", "from a session").await;
    cast.heroku.sends_json(heroku("henry", "from heroku")).await;
    cast.all_hear("henry", "from heroku").await;
    cast.gochatting.sends("from gochatting").await;
    let event = cast.all_hear("alice", "from gochatting").await;
    let moderator = server.register("molly").await;
    let alice = moderator.get(&format!("/api/users/{}", text(&event["author"]["id"]))).await.json();
    assert_eq!((&alice["name"], &alice["role"]), (&json!("alice"), &json!("guest")), "marked as a guest");
    let mut present = cast.page.sees_present("lobby").await;
    present.retain(|name| !name.starts_with("guest-"));
    present.sort();
    assert_eq!(present, ["Mat Ryer", "alice", "henry", "paula"]);
}

#[tokio::test]
async fn every_frame_is_as_these_clients_know_it() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut cast = Cast::of(&server).await;
    cast.session.sends(r#"{"Message":"one\ntwo"}"#).await;
    let event = cast.page.hears("one\ntwo").await;
    let (mat, at) = (&cast.mat, text(&event["at"]));
    cast.gorilla.hears("one two").await;
    cast.plain.hears("one\ntwo").await;
    let when = at.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    let expected =
        format!(r#"{{"Name":"Mat Ryer","Message":"one\ntwo","When":"{when}Z","AvatarURL":"/avatars/{mat}"}}"#);
    cast.session.hears(&expected).await;
    cast.heroku.hears(r#"{"username":"Mat Ryer","text":"one\ntwo"}"#).await;
    let said = loop {
        let frame = cast.gochatting.next().await;
        if frame.starts_with(r#"{"MType":"text_mtype""#) {
            break frame;
        }
    };
    let (time, base) = (format!("{} {}", &at[5..10], &at[11..19]), format!("http://{}", server.addr));
    let expected = format!(
        r#"{{"MType":"text_mtype","TextMessage":{{"Content":"one\ntwo","UserInfo":{{"Name":"Mat Ryer","Email":"{mat}@guests.invalid","Gravatar":"{base}/avatars/{mat}"}},"Time":"{time}"}},"UserStatus":{{"Users":null}}}}"#
    );
    assert_eq!(said, expected);
    assert_eq!(server.get(&format!("/avatars/{mat}")).await.status, 200, "there is a picture");
}

#[tokio::test]
async fn gochatting_is_told_who_is_there() {
    let server = TestServer::with(&["--classic", "gochatting", "--limits", "off"]).await;
    let mut alice = Caller::by_email(&server, "alice+tag@example.com").await;
    let first = alice.next().await;
    let base = format!("http://{}", server.addr);
    let users: Value = serde_json::from_str(&first).unwrap();
    let gravatar = text(&users["UserStatus"]["Users"][0]["Gravatar"]);
    let id = gravatar.strip_prefix(&format!("{base}/avatars/")).expect("a picture of ours");
    let expected = format!(
        r#"{{"MType":"status_mtype","TextMessage":{{"Content":"","UserInfo":null,"Time":""}},"UserStatus":{{"Users":[{{"Name":"alice+tag","Email":"alice+tag@example.com","Gravatar":"{base}/avatars/{id}"}}]}}}}"#
    );
    assert_eq!(first, expected, "the plus was not encoded");
    let mut bob = Caller::by_email(&server, "bob@example.com").await;
    let seen = bob.sees(&["alice+tag", "bob"]).await;
    let alice_to_bob = seen.iter().find(|user| user["Name"] == "alice+tag").unwrap();
    assert_eq!(text(&alice_to_bob["Email"]), format!("{id}@guests.invalid"), "a stable placeholder");
    assert_eq!(seen.iter().find(|user| user["Name"] == "bob").unwrap()["Email"], "bob@example.com");
    alice.sees(&["alice+tag", "bob"]).await;
    let mut tab = Caller::by_email(&server, "Alice%2Btag@example.com").await;
    tab.sees(&["alice+tag", "bob"]).await;
    bob.sends("to both tabs").await;
    for caller in [&mut alice, &mut tab, &mut bob] {
        assert_eq!(caller.next_said().await["TextMessage"]["Content"], "to both tabs");
    }
    drop(alice);
    let eve = server.guest_in("eve", "lobby").await;
    bob.sees(&["alice+tag", "bob", "eve"]).await;
    drop((tab, eve));
    bob.sees(&["bob"]).await;
    let mut again = Caller::by_email(&server, "alice+tag@example.com").await;
    let seen = again.sees(&["alice+tag", "bob"]).await;
    assert!(seen.iter().any(|user| user["Gravatar"] == gravatar), "the same as before");
}

#[tokio::test]
async fn the_same_address_from_elsewhere_is_somebody_else() {
    let server = TestServer::with(&["--classic", "--limits", "off", "--trusted-proxy", "127.0.0.1"]).await;
    let path = "/chat?email=alice@example.com";
    let mut alice = Caller::with(&server, path, &[("X-Forwarded-For", "192.0.2.1")]).await;
    alice.sees(&["alice"]).await;
    let _tab = Caller::with(&server, path, &[("X-Forwarded-For", "192.0.2.1")]).await;
    let mut other = Caller::with(&server, path, &[("X-Forwarded-For", "192.0.2.2")]).await;
    let seen = other.sees(&["alice", "alice-2"]).await;
    let emails: Vec<_> = seen.iter().map(|user| (text(&user["Name"]), text(&user["Email"]))).collect();
    assert!(emails.contains(&("alice-2".to_owned(), "alice@example.com".to_owned())), "{emails:?}");
    assert!(!emails.contains(&("alice".to_owned(), "alice@example.com".to_owned())), "{emails:?}");
}

#[tokio::test]
async fn who_is_there_is_told_at_most_once_a_second() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut alice = Caller::by_email(&server, "alice@example.com").await;
    alice.sees(&["alice"]).await;
    let (start, mut told) = (std::time::Instant::now(), 0);
    let mut guests = Vec::new();
    for number in 0..100 {
        let mut guest = server.guest_in(format!("g{number}"), "lobby").await;
        guest.says("lobby", "hello").await;
        guests.push(guest);
    }
    for _ in 0..100 {
        while alice.next_json().await["MType"] == "status_mtype" {
            told += 1;
        }
    }
    let most = start.elapsed().as_secs() + 1;
    assert!(told <= most, "{told} times, at most {most}");
}

#[tokio::test]
async fn gochatting_is_told_at_most_two_hundred_names() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut guests = Vec::new();
    for number in 0..201 {
        guests.push(server.guest_in(format!("g{number}"), "lobby").await);
    }
    let mut alice = Caller::by_email(&server, "alice@example.com").await;
    let status = alice.next_json().await;
    assert_eq!(status["UserStatus"]["Users"].as_array().unwrap().len(), 200);
}

#[tokio::test]
async fn heroku_is_sent_the_history_first() {
    let server = TestServer::with(&["--classic", "heroku", "--limits", "off", "--classic-history", "450"]).await;
    let ann = server.sign_up("ann").await;
    let mut page = ann.connects_to("lobby").await;
    let seqs = page.says_all("lobby", (1..=460).map(|number| format!("message {number}"))).await;
    page.hears_events("lobby", 460).await;
    let gone = ann.delete(&format!("/api/rooms/lobby/messages/{}", seqs[449])).await;
    assert_eq!(gone.status, 200);
    let mut heroku_client = Caller::at(&server, HEROKU).await;
    page.says("lobby", "live").await;
    for number in (10..=460).filter(|number| *number != 450) {
        assert_eq!(heroku_client.next_json().await, heroku("ann", &format!("message {number}")));
    }
    assert_eq!(heroku_client.next_json().await, heroku("ann", "live"));
}

#[tokio::test]
async fn none_but_heroku_is_sent_what_was_said_before() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut page = server.guest_in("paula", "lobby").await;
    page.says("lobby", "before").await;
    page.hears("before").await;
    let mut cast = Cast::of(&server).await;
    page.says("lobby", "after").await;
    cast.gorilla.hears("after").await;
    cast.plain.hears("after").await;
    assert_eq!(cast.session.next_json().await["Message"], "after");
    assert_eq!(cast.gochatting.next_said().await["TextMessage"]["Content"], "after");
    assert_eq!(cast.heroku.next_json().await, heroku("paula", "before"));
    assert_eq!(cast.heroku.next_json().await, heroku("paula", "after"));
}

#[tokio::test]
async fn what_a_message_claims_of_its_author_does_not_count() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut cast = Cast::of(&server).await;
    let spoofed = r#"{"name":"olga","MESSAGE":"hi","When":"1970-01-01T00:00:00Z","AvatarURL":"http://evil.example/x"}"#;
    cast.session.sends(spoofed).await;
    let told = cast.session.next_json().await;
    assert_eq!((&told["Name"], &told["Message"]), (&json!("Mat Ryer"), &json!("hi")), "keys in any case");
    assert_eq!(text(&told["AvatarURL"]), format!("/avatars/{}", cast.mat));
    assert!(!text(&told["When"]).starts_with("1970"));
    for nothing in ["", "hello", "[]", "{}", r#"{"Message":7}"#, r#"{"Message":" "}"#] {
        cast.session.sends(nothing).await;
        cast.heroku.sends(nothing).await;
    }
    cast.plain.sends(" ").await;
    cast.gorilla.sends("").await;
    cast.session.sends(r#"{"message":"still here"}"#).await;
    cast.page.hears("hi").await;
    cast.page.hears("still here").await;
    assert_eq!(cast.session.next_json().await["Message"], "still here");
}

#[tokio::test]
async fn nobody_speaks_by_a_name_that_somebody_else_has() {
    let server = TestServer::with(&UNHURRIED).await;
    let (olga, _sam) = (server.register("olga").await, server.sign_up("sam").await);
    let mut page = server.guest_in("paula", "lobby").await;
    let mut one = Caller::at(&server, HEROKU).await;
    let mut says = async |caller: &mut Caller, name: &str| {
        caller.sends_json(heroku(name, "hi")).await;
        let author = page.hears("hi").await["author"].clone();
        (text(&author["name"]), text(&author["id"]))
    };
    let (name, alice) = says(&mut one, "alice").await;
    assert_eq!(name, "alice");
    let (name, impostor) = says(&mut one, "olga").await;
    assert_eq!(name, "olga-2", "an account's");
    assert!(impostor != olga.id && impostor != alice, "each name is a guest of its own");
    assert_eq!(says(&mut one, "0LGA").await.0, "0LGA-2", "what looks like an account's");
    assert_eq!(says(&mut one, "sam").await.0, "sam-2", "a session's");
    assert_eq!(says(&mut one, "paula").await.0, "paula-2", "a connection's");
    assert_eq!(says(&mut one, "alice").await, ("alice".to_owned(), alice.clone()), "the same as before");
    assert_eq!(says(&mut one, "ALICE").await, ("alice".to_owned(), alice), "one's own name in another case");
    for nobodys in ["admin", "server", "guest-12345", "a\u{202e}b", &"x".repeat(40), &"y".repeat(10_000), " "] {
        let (name, _) = says(&mut one, nobodys).await;
        assert!(name.starts_with("guest-") && name != nobodys, "{nobodys:?} was {name}");
    }
    assert_eq!(says(&mut one, "dora@example.com").await.0, "dora", "no e-mail is shown");
    let mut other = Caller::at(&server, HEROKU).await;
    assert_eq!(says(&mut other, "alice").await.0, "alice-2", "another connection's");
    let mut email = Caller::by_email(&server, "olga@example.com").await;
    email.sends("hi").await;
    assert_eq!(email.next_said().await["TextMessage"]["UserInfo"]["Name"], "olga-3");
    assert_eq!(page.hears("hi").await["author"]["name"], "olga-3");
    for number in 0..20 {
        one.sends_json(heroku(&format!("voice{number}"), "one of many")).await;
        assert_eq!(page.hears("one of many").await["author"]["name"], format!("voice{number}"));
    }
    page.sees_presence("the last name to be there alone", |push| {
        push["joined"].as_array().is_some_and(|joined| joined.iter().any(|user| user["name"] == "voice19"))
    })
    .await;
    let present = page.sees_present("lobby").await;
    assert!(!present.iter().any(|name| name == "voice18"), "{present:?}");
    // Of so many names the connection keeps the last ones.
    assert_eq!(server.guest("voice0").await.name, "voice0");
    assert_eq!(server.guest("voice18").await.name, "voice18-2");
}

#[tokio::test]
async fn what_pages_take_for_html_is_escaped_for_them() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut cast = Cast::of(&server).await;
    let (raw, escaped) =
        (r#"<img src=x onerror="alert('&')">"#, "&lt;img src=x onerror=&#34;alert(&#39;&amp;&#39;)&#34;&gt;");
    cast.heroku.sends_json(heroku("<b>", raw)).await;
    let event = cast.page.hears(raw).await;
    assert_eq!(event["author"]["name"], "<b>");
    assert_eq!(cast.heroku.next_json().await, heroku("&lt;b&gt;", escaped));
    let told = cast.gochatting.next_said().await;
    assert_eq!(told["TextMessage"]["Content"], escaped);
    assert_eq!(told["TextMessage"]["UserInfo"]["Name"], "&lt;b&gt;");
    cast.gochatting.sees(&expected_names(&mut cast.page).await.iter().map(String::as_str).collect::<Vec<_>>()).await;
    cast.gorilla.hears(raw).await;
    cast.plain.hears(raw).await;
    assert_eq!(cast.session.next_json().await["Message"], raw);
}

/// Who is there, as gochatting is told.
async fn expected_names(page: &mut Client) -> Vec<String> {
    let present = page.sees_present("lobby").await;
    let mut names: Vec<_> = present.iter().map(|name| name.replace('<', "&lt;").replace('>', "&gt;")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_text_is_kept_byte_for_byte() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut plain = Caller::at(&server, BLUEPRINTS).await;
    for words in ["one\n\n  two \n", "\ttab", "ümläut 🦊\r\n", "**not bold**"] {
        plain.sends(words).await;
        plain.hears(words).await;
    }
}

#[tokio::test]
async fn a_burst_loses_nothing() {
    let server = TestServer::with(&UNHURRIED).await;
    let mut cast = Cast::of(&server).await;
    let words = |number: usize| format!("{} message {number}", "x".repeat(1 + number % 97));
    let seqs = cast.page.says_all("lobby", (0..2_000).map(words)).await;
    assert_eq!(seqs.len(), 2_000);
    for number in 0..2_000 {
        cast.gorilla.hears(&words(number)).await;
        cast.plain.hears(&words(number)).await;
        assert_eq!(cast.session.next_json().await["Message"], words(number));
        assert_eq!(cast.heroku.next_json().await["text"], words(number));
        assert_eq!(cast.gochatting.next_said().await["TextMessage"]["Content"], words(number));
    }
    for number in 0..300 {
        cast.gorilla.sends(&format!("{number}")).await;
    }
    for number in 0..300 {
        cast.gorilla.hears(&format!("{number}")).await;
    }
}

#[tokio::test]
async fn a_ping_is_answered_and_a_close_too() {
    let server = TestServer::with(&UNHURRIED).await;
    for path in [GORILLA, BLUEPRINTS, HEROKU] {
        let mut caller = Caller::at(&server, path).await;
        caller.sends_message(Message::Ping("are you there".into())).await;
        assert_eq!(caller.next_but_pings().await, Some(Message::Pong("are you there".into())), "{path}");
        caller.sends_message(Message::Pong("unasked".into())).await;
        caller.sends_message(Message::Close(None)).await;
        assert_eq!(caller.next_but_pings().await, Some(Message::Close(None)), "{path}");
    }
}
