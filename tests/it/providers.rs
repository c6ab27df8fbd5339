//! Coming in by a provider: the whole way there and back, what is refused on it, and who may come in at its end.

use chinwag::chat::provider::ProviderSettings;
use chinwag::config::Hidden;
use chinwag::ops::owner_link;
use chinwag::store::{Durability, Options};
use serde_json::{Value, json};

use crate::support::TestServer;
use crate::support::browser::Browser;
use crate::support::provider::{ANN, Manner, Person, StubProvider};
use crate::support::redis::RedisServer;

const PASSWORD: &str = "correct horse battery";

/// A server with all three kinds of provider.
async fn place(options: &[&str]) -> (StubProvider, TestServer) {
    place_with(options, |_| {}).await
}

async fn place_with(options: &[&str], change: impl Fn(&mut ProviderSettings)) -> (StubProvider, TestServer) {
    let stub = StubProvider::start().await;
    let host = stub.host();
    let options = [&["--fetch-private", &host, "--gravatar", "off"], options].concat();
    let server = TestServer::set_up(&options, |config| {
        config.providers = vec![stub.oidc(), stub.github(), stub.facebook()];
        config.providers.iter_mut().for_each(change);
    })
    .await;
    (stub, server)
}

/// Somebody with another's identity at the provider.
fn bob() -> Person {
    Person { subject: "42", name: "Bob", email: Some("bob@example.org"), ..ANN }
}

/// The secret of a link that makes its visitor the owner.
async fn ownership(server: &TestServer) -> String {
    // Who is answered knows that there is a store.
    assert_eq!(server.get("/health").await.status, 200);
    let options = Options { dir: server.data_dir().to_owned(), durability: Durability::Full, redis: None };
    owner_link(&options).unwrap().strip_prefix("/join#").unwrap().to_owned()
}

/// An account with a password; gives its token.
async fn registers(server: &TestServer, account: &Value) -> String {
    let answer = server.post("/api/account").json(account).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

async fn owner(server: &TestServer) -> Browser {
    let account = json!({"name": "olga", "password": PASSWORD, "invite": ownership(server).await});
    let token = registers(server, &account).await;
    server.browser().of(&token)
}

fn problem(code: &str) -> String {
    format!("/?sign_in_problem={code}")
}

#[tokio::test]
async fn one_comes_in_by_every_kind_of_provider_and_is_the_same_the_next_time() {
    let (stub, server) = place(&[]).await;
    let kinds = [("oidc", "1", true), ("github", "2", true), ("facebook", "3", false)];
    for (provider, subject, verified) in kinds {
        let email = ["one@example.org", "two@example.org", "three@example.org"][subject.parse::<usize>().unwrap() - 1];
        stub.becomes(Person { subject, email: Some(email), ..ANN });
        let mut ann = server.browser();
        assert_eq!(ann.signs_in(&stub, &format!("/auth/{provider}?next=/r/lobby")).await, "/r/lobby");
        let me = ann.me().await;
        let name = if subject == "1" { "Ann Lee".to_owned() } else { format!("Ann Lee-{subject}") };
        assert_eq!((&me["name"], &me["guest"], &me["role"]), (&json!(name), &json!(false), &json!("member")));
        assert_eq!((&me["email"], &me["email_verified"]), (&json!(email), &json!(verified)), "{provider}");
        assert_eq!((&me["providers"], &me["password"]), (&json!([provider]), &json!(false)));

        let mut again = server.browser();
        assert_eq!(again.signs_in(&stub, &format!("/auth/{provider}")).await, "/");
        assert_eq!(again.me().await["id"], me["id"], "{provider}");
        assert_ne!(again.session(), ann.session());
    }
}

#[tokio::test]
async fn the_page_is_told_which_providers_there_are() {
    let (_stub, server) = place(&[]).await;
    let place = server.get("/api/place").await.json();
    let expected = json!([
        {"id": "oidc", "name": "Our company"}, {"id": "github", "name": "GitHub"}, {"id": "facebook", "name": "Facebook"},
    ]);
    assert_eq!(place["providers"], expected);
    let without = TestServer::start().await;
    assert_eq!(without.get("/api/place").await.json()["providers"], json!([]));
}

#[tokio::test]
async fn an_unknown_provider_is_not_found() {
    let (_stub, server) = place(&[]).await;
    for path in ["/auth/google", "/auth/google/callback?state=a&code=b", "/auth/OIDC", "/auth/"] {
        assert_eq!(server.get(path).await.error(), (404, "not_found".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn nobody_comes_back_who_has_not_left() {
    let (stub, server) = place(&[]).await;
    let mut ann = server.browser();
    let back = ann.agrees(&stub, "/auth/oidc").await;
    let made_up = back.replace("state=", "state=x");
    let no_state = back.split("&state=").next().unwrap().to_owned();
    for path in [made_up, no_state, format!("{back}&state=twice"), "/auth/oidc/callback".to_owned()] {
        assert_eq!(ann.comes_back(&path).await, problem("state"), "{path}");
    }
    assert_eq!(ann.session(), None);

    // By another browser, which uses the state up for good.
    let mut ann = server.browser();
    let back = ann.agrees(&stub, "/auth/oidc").await;
    let mut eve = server.browser();
    eve.leaves_by("/auth/oidc").await;
    assert_eq!(eve.comes_back(&back).await, problem("state"));
    assert_eq!(ann.comes_back(&back).await, problem("state"));

    // By another provider's path.
    let back = ann.agrees(&stub, "/auth/oidc").await.replace("/auth/oidc/", "/auth/github/");
    assert_eq!(ann.comes_back(&back).await, problem("state"));

    // Twice.
    let back = ann.agrees(&stub, "/auth/oidc").await;
    assert_eq!(ann.comes_back(&back).await, "/");
    assert_eq!(ann.comes_back(&back).await, problem("state"));
}

#[tokio::test]
async fn who_leaves_by_one_node_comes_back_by_another() {
    let (redis, stub) = (RedisServer::start(), StubProvider::start().await);
    let node = async || {
        TestServer::set_up(&["--fetch-private", &stub.host()], |config| {
            config.providers = vec![stub.oidc(), stub.github()];
            config.redis_url = Some(Hidden(redis.url()));
        })
        .await
    };
    let (one, two) = (node().await, node().await);
    for path in ["/auth/oidc", "/auth/github"] {
        let mut ann = one.browser();
        let back = ann.agrees(&stub, path).await;
        let mut ann = ann.at(&two);
        assert_eq!(ann.comes_back(&back).await, "/");
        assert!(ann.me().await["name"].as_str().unwrap().starts_with("Ann Lee"));
        let mut ann = ann.at(&one);
        assert_eq!(ann.comes_back(&back).await, problem("state"), "it is used up");
        assert!(ann.me().await["name"].as_str().unwrap().starts_with("Ann Lee"));
    }
}

#[tokio::test]
async fn an_id_token_that_is_not_meant_for_us_lets_nobody_in() {
    let (stub, server) = place(&[]).await;
    let claims = |claims: Value| Manner { claims, ..Manner::default() };
    let lies = [
        ("issuer", claims(json!({"iss": "https://elsewhere.example"}))),
        ("audience", claims(json!({"aud": "another-client"}))),
        ("further audience", claims(json!({"aud": ["chinwag", "another-client"]}))),
        ("nonce", claims(json!({"nonce": "of another sign-in"}))),
        ("no nonce", claims(json!({"nonce": null}))),
        ("time", claims(json!({"exp": 1}))),
        ("access token", claims(json!({"at_hash": "x".repeat(43)}))),
        ("key", Manner { wrong_key: true, ..Manner::default() }),
        ("answering issuer", Manner { answers_as: Some("https://elsewhere.example"), ..Manner::default() }),
    ];
    for (what, lie) in lies {
        stub.behaves(lie);
        let mut ann = server.browser();
        assert_eq!(ann.signs_in(&stub, "/auth/oidc").await, problem("provider"), "{what}");
        assert_eq!(ann.session(), None, "{what}");
    }
    stub.behaves(Manner::default());
    assert_eq!(server.browser().signs_in(&stub, "/auth/oidc").await, "/");
}

#[tokio::test]
async fn an_issuer_may_answer_in_many_manners() {
    let (stub, server) = place(&[]).await;
    let mut ann = server.browser();
    stub.behaves(Manner { terse: true, ..Manner::default() });
    assert_eq!(ann.signs_in(&stub, "/auth/oidc").await, "/");
    let me = ann.me().await;
    assert_eq!(
        (&me["name"], &me["email"], &me["email_verified"]),
        (&json!("Ann Lee"), &json!(ANN.email), &json!(true))
    );
    // Its keys have changed since they were asked for.
    stub.changes_its_key();
    assert_eq!(server.browser().signs_in(&stub, "/auth/oidc").await, "/");

    let (stub, server) = place(&[]).await;
    stub.behaves(Manner { secret_in_body: true, ..Manner::default() });
    assert_eq!(server.browser().signs_in(&stub, "/auth/oidc").await, "/");
}

#[tokio::test]
async fn a_provider_that_is_down_is_asked_again_the_next_time() {
    let (stub, server) = place(&[]).await;
    stub.behaves(Manner { down: true, ..Manner::default() });
    let mut ann = server.browser();
    assert_eq!(ann.opens("/auth/oidc").await.header("location"), Some(&*problem("provider")));
    assert_eq!(ann.signs_in(&stub, "/auth/github").await, problem("provider"));
    stub.behaves(Manner::default());
    assert_eq!(ann.signs_in(&stub, "/auth/oidc").await, "/");
    stub.behaves(Manner { down: true, ..Manner::default() });
    assert_eq!(server.browser().signs_in(&stub, "/auth/oidc").await, problem("provider"));
}

#[tokio::test]
async fn who_does_not_agree_is_told_so() {
    let (stub, server) = place(&[]).await;
    for (error, code) in [("access_denied", "denied"), ("server_error", "provider")] {
        stub.behaves(Manner { refuses: Some(error), ..Manner::default() });
        assert_eq!(server.browser().signs_in(&stub, "/auth/oidc").await, problem(code));
    }
}

#[tokio::test]
async fn next_leads_to_pages_of_this_server_alone() {
    let (stub, server) = place(&[]).await;
    let cases = [
        ("/r/lobby", "/r/lobby"),
        ("/r/caf%C3%A9/12?a=b#c", "/r/caf%C3%A9/12?a=b#c"),
        ("", "/"),
        ("r/lobby", "/"),
        ("//evil.example", "/"),
        ("///evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("/\u{e9}", "/"),
        (" //evil.example", "/"),
        ("https://evil.example", "/"),
        ("https:evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("@evil.example", "/"),
        (".evil.example", "/"),
    ];
    for (next, expected) in cases {
        let encoded: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let ends = server.browser().signs_in(&stub, &format!("/auth/oidc?next={encoded}")).await;
        assert_eq!(ends, expected, "{next:?}");
    }
    let long = format!("/auth/oidc?next=/{}", "a".repeat(5_000));
    assert_eq!(server.browser().signs_in(&stub, &long).await, "/");
    assert_eq!(server.browser().signs_in(&stub, "/auth/oidc?next=/a&next=/b").await, "/");
}

#[tokio::test]
async fn an_email_joins_accounts_only_where_both_sides_have_verified_it() {
    let (stub, server) = place(&[]).await;
    // Eve puts down Ann's address before Ann comes.
    let account = json!({"name": "eve", "password": PASSWORD, "email": "Ann@Example.org"});
    let eve = server.browser().of(&registers(&server, &account).await);
    let mut ann = server.browser();
    ann.signs_in(&stub, "/auth/oidc").await;
    let me = ann.me().await;
    assert_ne!(me["id"], eve.me().await["id"], "eve does not get ann's sign-in");
    assert_eq!(eve.me().await["email"], Value::Null, "and the address is not hers");

    // Who has not shown that the address is theirs does not get Ann's account.
    stub.becomes(Person { subject: "666", verified: false, ..ANN });
    let mut mallory = server.browser();
    mallory.signs_in(&stub, "/auth/github").await;
    assert_ne!(mallory.me().await["id"], me["id"]);
    stub.becomes(Person { subject: "667", ..ANN });
    let mut mallory = server.browser();
    mallory.signs_in(&stub, "/auth/facebook").await;
    assert_ne!(mallory.me().await["id"], me["id"]);

    // Ann by another provider, which has verified it too.
    stub.becomes(Person { subject: "99", email: Some("ANN@example.org"), ..ANN });
    let mut again = server.browser();
    again.signs_in(&stub, "/auth/github").await;
    let joined = again.me().await;
    assert_eq!((&joined["id"], &joined["providers"]), (&me["id"], &json!(["oidc", "github"])));

    // Another whom the first provider knows by the same address is not Ann, who is known there already.
    stub.becomes(Person { subject: "4712", ..ANN });
    let mut heir = server.browser();
    heir.signs_in(&stub, "/auth/oidc").await;
    let heir = heir.me().await;
    assert_ne!(heir["id"], me["id"]);
    assert_eq!(heir["email"], Value::Null, "a verified address is one account's");

    // Nor does it become another's who puts it down later, whatever their provider says.
    let account = json!({"name": "zoe", "password": PASSWORD, "email": ANN.email});
    let mut zoe = server.browser().of(&registers(&server, &account).await);
    stub.becomes(Person { subject: "100", ..ANN });
    assert_eq!(zoe.signs_in(&stub, "/auth/github").await, "/");
    let zoe = zoe.me().await;
    assert_eq!((&zoe["providers"], &zoe["email_verified"]), (&json!(["github"]), &json!(false)));
}

#[tokio::test]
async fn who_is_in_already_ties_a_provider_to_themselves() {
    let (stub, server) = place(&[]).await;
    let account = json!({"name": "ann", "password": PASSWORD, "email": ANN.email});
    let mut ann = server.browser().of(&registers(&server, &account).await);
    let session = ann.session().unwrap().to_owned();
    assert_eq!(ann.signs_in(&stub, "/auth/github?next=/me").await, "/me");
    assert_eq!(ann.session(), Some(&*session), "she keeps her session");
    let me = ann.me().await;
    assert_eq!((&me["name"], &me["providers"]), (&json!("ann"), &json!(["github"])));
    assert_eq!(me["email_verified"], true, "the provider has verified her own address");
    let mut elsewhere = server.browser();
    elsewhere.signs_in(&stub, "/auth/github").await;
    assert_eq!(elsewhere.me().await["id"], me["id"]);

    // What is hers is nobody else's.
    let mut bob = server.browser().of(&registers(&server, &json!({"name": "bob", "password": PASSWORD})).await);
    assert_eq!(bob.signs_in(&stub, "/auth/github").await, problem("not_allowed"));
    assert_eq!(bob.me().await["providers"], json!([]));
}

#[tokio::test]
async fn what_one_begins_signed_in_nobody_else_ends() {
    let (stub, server) = place(&[]).await;
    let token = registers(&server, &json!({"name": "bob", "password": PASSWORD})).await;
    let mut bob = server.browser().of(&token);
    let back = bob.agrees(&stub, "/auth/github").await;
    assert_eq!(bob.request("DELETE", "/api/session").await.status, 204);
    assert_eq!(bob.comes_back(&back).await, problem("state"));
    // The session is over, and the cookie is still there: he comes in like anybody.
    assert_eq!(bob.signs_in(&stub, "/auth/github").await, "/");
    assert_ne!(bob.me().await["name"], "bob");
}

#[tokio::test]
async fn a_foreign_page_ties_nothing_to_its_visitor() {
    let (stub, server) = place(&[]).await;
    let token = registers(&server, &json!({"name": "ann", "password": PASSWORD})).await;
    let ann = server.browser().of(&token);
    let own = format!("http://{}/r/lobby", server.addr);
    let foreign = [
        server.browser().led_by_site("cross-site"),
        server.browser().led_by_site("same-site"),
        server.browser().led_by_page("http://elsewhere.example/"),
        server.browser().led_by_page(&format!("http://{}.elsewhere.example/", server.addr)),
        server.browser().led_by_page(""),
    ];
    for (subject, browser) in ["1", "2", "3", "4", "5"].into_iter().zip(foreign) {
        stub.becomes(Person { subject, email: None, ..ANN });
        let mut led = browser.of(&token);
        assert_eq!(led.signs_in(&stub, "/auth/github").await, "/");
        assert_ne!(led.me().await["name"], "ann", "they come in as whom they are at the provider");
        assert_eq!(ann.me().await["providers"], json!([]));
    }
    stub.becomes(bob());
    let mut led = server.browser().led_by_page(&own).of(&token);
    assert_eq!(led.signs_in(&stub, "/auth/github").await, "/");
    assert_eq!(ann.me().await["providers"], json!(["github"]));
}

#[tokio::test]
async fn a_program_ties_nothing_to_its_user() {
    let (stub, server) = place(&[]).await;
    let token = registers(&server, &json!({"name": "ann", "password": PASSWORD})).await;
    let tokens = server.post("/api/tokens").bearer(&token);
    let program = tokens.json(&json!({"name": "bot", "scopes": ["read", "post", "admin"]})).await.json();
    let program = program["token"].as_str().unwrap();
    let start = || server.get("/auth/github").header("Sec-Fetch-Site", "same-origin").bearer(program);
    let answer = start().await;
    let browser = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let back = stub.agrees(answer.header("location").unwrap()).await;
    let answer = server.get(&back).header("Cookie", &browser).bearer(program).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "it comes in as somebody else");
    assert_eq!(server.browser().of(&token).me().await["providers"], json!([]));
}

#[tokio::test]
async fn a_guest_becomes_an_account_and_stays_who_they_are() {
    let (stub, server) = place(&[]).await;
    let guest = server.sign_up("Annie").await;
    let mut client = guest.connects().await;
    client.subscribes("lobby").await;
    client.says("lobby", "hello").await;
    let mut ann = server.browser().of(&guest.token);
    assert_eq!(ann.signs_in(&stub, "/auth/oidc").await, "/");
    let me = ann.me().await;
    assert_eq!((&me["id"], &me["name"]), (&json!(guest.id), &json!("Annie")));
    assert_eq!((&me["guest"], &me["email"], &me["email_verified"]), (&json!(false), &json!(ANN.email), &json!(true)));
    assert_ne!(ann.session(), Some(&*guest.token), "an older session is not carried over");
    client.expects_close(4001).await;

    // A guest whom the provider knows as somebody is that one from now on.
    let other = server.sign_up("someone").await;
    let mut again = server.browser().of(&other.token);
    again.signs_in(&stub, "/auth/oidc").await;
    assert_eq!(again.me().await["id"], me["id"]);
}

#[tokio::test]
async fn who_is_banned_stays_out() {
    let (stub, server) = place(&[]).await;
    let owner = owner(&server).await;
    let mut ann = server.browser();
    ann.signs_in(&stub, "/auth/oidc").await;
    let id = ann.me().await["id"].as_str().unwrap().to_owned();
    let ban = owner.request("POST", &format!("/api/users/{id}/ban")).json(&json!({"minutes": null, "reason": ""}));
    assert_eq!(ban.await.status, 204);
    let mut ann = server.browser();
    assert_eq!(ann.signs_in(&stub, "/auth/oidc").await, problem("banned"));
    assert_eq!(ann.session(), None);
    // By the same verified address from elsewhere either.
    assert_eq!(ann.signs_in(&stub, "/auth/github").await, problem("banned"));
}

#[tokio::test]
async fn a_banned_address_makes_no_account() {
    let (stub, server) = place(&[]).await;
    let owner = owner(&server).await;
    let guest = server.sign_up("spammer").await;
    let ban = owner.request("POST", &format!("/api/users/{}/ban", guest.id)).json(&json!({"minutes": null}));
    assert_eq!(ban.await.status, 204);
    assert_eq!(server.browser().signs_in(&stub, "/auth/oidc").await, problem("banned"));
}

#[tokio::test]
async fn where_one_needs_an_invite_one_needs_it_by_a_provider_too() {
    let (stub, server) = place(&["--join", "invite"]).await;
    let owner = owner(&server).await;
    assert_eq!(server.browser().signs_in(&stub, "/auth/oidc").await, problem("not_allowed"));
    assert_eq!(server.browser().signs_in(&stub, "/auth/oidc?invite=made-up").await, problem("not_allowed"));

    let room = owner.request("POST", "/api/rooms").json(&json!({"kind": "private", "name": "Attic"})).await;
    let room = room.json()["room"].as_str().unwrap().to_owned();
    let invite = json!({"role": "member", "room": room, "max_uses": 1});
    let invite = owner.request("POST", "/api/invites").json(&invite).await.json();
    let secret = invite["link"].as_str().unwrap().strip_prefix("/join#").unwrap().to_owned();
    let mut ann = server.browser();
    let there = ann.leaves_by(&format!("/auth/oidc?next=/join&invite={secret}")).await;
    assert!(!there.contains(&secret), "an invite is no matter of the provider's");
    let back = stub.agrees(&there).await;
    assert_eq!(ann.comes_back(&back).await, format!("/r/{room}"), "an invite to a room leads there");

    // It is used up; who has an account needs none.
    stub.becomes(bob());
    let path = format!("/auth/oidc?invite={secret}");
    assert_eq!(server.browser().signs_in(&stub, &path).await, problem("not_allowed"));
    stub.becomes(ANN);
    assert_eq!(server.browser().signs_in(&stub, "/auth/oidc").await, "/");
}

#[tokio::test]
async fn a_company_lets_in_its_own_people_and_no_passwords() {
    let domains = |provider: &mut ProviderSettings| provider.domains = vec!["Example.org".to_owned()];
    let options = ["--join", "accounts", "--passwords", "off"];
    let (stub, server) = place_with(&options, domains).await;
    // The owner's link makes an owner by a provider too.
    let mut olga = server.browser();
    stub.becomes(Person { subject: "1", name: "Olga", email: Some("olga@example.org"), ..ANN });
    olga.signs_in(&stub, &format!("/auth/oidc?invite={}", ownership(&server).await)).await;
    assert_eq!(olga.me().await["role"], "owner");

    let strangers = [
        Person { email: Some("ann@elsewhere.example"), ..ANN },
        Person { email: Some("ann@sub.example.org"), ..ANN },
        Person { email: Some("ann@evilexample.org"), ..ANN },
        Person { verified: false, ..ANN },
        Person { email: None, ..ANN },
    ];
    for stranger in strangers {
        stub.becomes(stranger);
        assert_eq!(server.browser().signs_in(&stub, "/auth/oidc").await, problem("not_allowed"));
    }
    stub.becomes(ANN);
    assert_eq!(server.browser().signs_in(&stub, "/auth/facebook").await, problem("not_allowed"), "not verified there");
    assert_eq!(server.browser().signs_in(&stub, "/auth/oidc").await, "/");
    // Who is not at the company any more.
    stub.becomes(Person { email: Some("ann@elsewhere.example"), ..ANN });
    assert_eq!(server.browser().signs_in(&stub, "/auth/oidc").await, problem("not_allowed"));
}

#[tokio::test]
async fn another_address_that_github_has_verified_admits_too() {
    let domains = |provider: &mut ProviderSettings| provider.domains = vec!["elsewhere.example".to_owned()];
    let (stub, server) = place_with(&[], domains).await;
    let mut ann = server.browser();
    assert_eq!(ann.signs_in(&stub, "/auth/github").await, "/");
    assert_eq!(ann.me().await["email"], "ann@elsewhere.example");
}

#[tokio::test]
async fn the_providers_picture_is_shown() {
    let (stub, server) = place(&[]).await;
    let mut bystander = server.guest("bystander").await;
    for (subject, provider) in [("1", "oidc"), ("2", "github"), ("3", "facebook")] {
        stub.becomes(Person { subject, email: None, picture: true, ..ANN });
        let mut ann = server.browser();
        ann.signs_in(&stub, &format!("/auth/{provider}")).await;
        let me = ann.me().await;
        let shown = |push: &Value| {
            push["type"] == "user" && push["id"] == me["id"] && push["picture"].as_str().unwrap().contains("?v=")
        };
        bystander.find("the new picture", shown).await;
        assert_eq!(ann.me().await["picture"], "provider");
        let picture = server.get(&format!("/avatars/{}", me["id"].as_str().unwrap())).await;
        assert!(picture.header("content-type").unwrap().starts_with("image/"), "{picture:?}");
        assert_ne!(picture.header("content-type"), Some("image/svg+xml"));
    }
}

#[tokio::test]
async fn names_that_cannot_be_give_way_to_others() {
    let (stub, server) = place(&[]).await;
    let names =
        [("1", "Admin", "ann"), ("2", "\u{202e}\u{202d}", "ann-2"), ("3", "a\u{43d}n", "ann-3"), ("4", "Ann", "Ann-4")];
    for (subject, name, expected) in names {
        stub.becomes(Person { subject, name, email: None, ..ANN });
        let mut ann = server.browser();
        ann.signs_in(&stub, "/auth/oidc").await;
        assert_eq!(ann.me().await["name"], expected);
    }
}

#[tokio::test]
async fn a_browser_is_sent_back_to_where_the_server_is_called() {
    let redirect = |there: &str| {
        let url = url::Url::parse(there).unwrap();
        url.query_pairs().find(|(name, _)| name == "redirect_uri").map(|(_, value)| value.into_owned()).unwrap()
    };
    let (_stub, server) = place(&[]).await;
    let by_host = |host: &'static str, scheme: &'static str| {
        server.get("/auth/oidc").host(host).header("X-Forwarded-Proto", scheme)
    };
    let answer = by_host("chat.example.org:8443", "https").await;
    // Nobody but a trusted proxy says how its visitor came.
    assert_eq!(redirect(answer.header("location").unwrap()), "http://chat.example.org:8443/auth/oidc/callback");
    assert!(!answer.header("set-cookie").unwrap().contains("Secure"));
    for host in ["", "a b", "user@chat.example.org"] {
        assert_eq!(by_host(host, "https").await.error(), (400, "invalid".to_owned()), "{host:?}");
    }

    let (_stub, server) = place(&["--trusted-proxy", "127.0.0.1"]).await;
    let answer = server.get("/auth/oidc").host("chat.example.org").header("X-Forwarded-Proto", "https").await;
    assert_eq!(redirect(answer.header("location").unwrap()), "https://chat.example.org/auth/oidc/callback");

    let (stub, server) = place(&["--public-url", "https://chat.example.org/"]).await;
    let answer = server.get("/auth/oidc").host("elsewhere.example").await;
    let there = answer.header("location").unwrap();
    assert_eq!(redirect(there), "https://chat.example.org/auth/oidc/callback");
    // The cookie is for this way alone, and for no script.
    let cookie = answer.header("set-cookie").unwrap();
    for part in ["chinwag_sign_in=", "; Path=/auth;", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600", "; Secure"] {
        assert!(cookie.contains(part), "{part} in {cookie}");
    }
    let mut ann = server.browser();
    let back = ann.agrees(&stub, "/auth/oidc").await;
    let answer = ann.opens(&back).await;
    let session = answer.headers("set-cookie").find(|cookie| cookie.starts_with("chinwag_session=")).unwrap();
    for part in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(session.contains(part), "{part} in {session}");
    }
    assert!(!ann.has("chinwag_sign_in"), "what was for the way there and back is gone");
}

#[tokio::test]
async fn who_leaves_again_and_again_is_told_to_wait() {
    let (_stub, server) = place(&["--arrival-rate", "1"]).await;
    let mut last = 303;
    for _ in 0..=70 {
        last = server.get("/auth/github").await.status;
        if last != 303 {
            break;
        }
    }
    assert_eq!(last, 429);
}
