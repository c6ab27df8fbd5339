//! Tokens of programs: what each is good for, and what none is.

use serde_json::json;

use crate::support::{TestServer, list, text};

#[tokio::test]
async fn a_token_is_shown_once_and_revoked() {
    let server = TestServer::unhurried().await;
    let ann = server.register("ann").await;
    let made = ann.post("/api/tokens").json(&json!({"name": "weather", "scopes": ["post", "read", "post"]})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let (id, token) = (text(&made.json()["id"]), text(&made.json()["token"]));
    let listed = ann.get("/api/tokens").await;
    assert!(!listed.text().contains(&token));
    let view = listed.json()["tokens"][0].clone();
    let expected = json!({"id": id, "name": "weather", "scopes": ["read", "post"], "created": view["created"],
        "seen": null});
    assert_eq!(view, expected);
    let mut bot = server.call().bearer(&token).await;
    assert_eq!((&bot.id, &*bot.name), (&ann.id, "ann"));
    assert!(text(&ann.get("/api/tokens").await.json()["tokens"][0]["seen"]).ends_with('Z'), "its last use is shown");
    let eve = server.register("eve").await;
    assert_eq!(eve.delete(&format!("/api/tokens/{id}")).await.error(), (404, "not_found".to_owned()));
    ann.does(ann.delete(&format!("/api/tokens/{id}"))).await;
    bot.expects_close(4001).await;
    assert_eq!(server.get("/api/rooms").bearer(&token).await.error(), (401, "no_session".to_owned()));
    assert!(list(&ann.get("/api/tokens").await.json()["tokens"]).is_empty());
}

#[tokio::test]
async fn a_token_that_cannot_be_is_refused() {
    let server = TestServer::unhurried().await;
    let (ann, gus) = (server.register("ann").await, server.sign_up("gus").await);
    let makes = json!({"name": "weather", "scopes": ["read"]});
    assert_eq!(gus.post("/api/tokens").json(&makes).await.error(), (403, "not_allowed".to_owned()), "a guest");
    for odd in [
        json!({"name": "", "scopes": ["read"]}),
        json!({"name": "a\u{0}b", "scopes": ["read"]}),
        json!({"name": "x".repeat(65), "scopes": ["read"]}),
        json!({"name": "weather", "scopes": []}),
        json!({"name": "weather", "scopes": ["write"]}),
        json!({"name": "weather"}),
    ] {
        assert_eq!(ann.post("/api/tokens").json(&odd).await.error(), (400, "invalid".to_owned()), "{odd}");
    }
    for _ in 0..50 {
        ann.makes_token(&["read"]).await;
    }
    assert_eq!(ann.post("/api/tokens").json(&makes).await.error(), (403, "not_allowed".to_owned()), "50 are enough");
}

#[tokio::test]
async fn who_may_only_read_posts_nowhere() {
    let server = TestServer::unhurried().await;
    let ann = server.register("ann").await;
    ann.writes("lobby", "hello").await;
    let reader = ann.makes_token(&["read"]).await;
    assert_eq!(reader.reads("lobby").await[0]["text"], "hello");
    let mut bot = reader.connects().await;
    bot.subscribes_to_last("lobby", 1).await;
    bot.hears("hello").await;
    bot.is_refused(bot.post("lobby", "hi"), "not_allowed").await;
    bot.is_refused(json!({"type": "create", "name": "Garden"}), "not_allowed").await;
    let refused = (403, "not_allowed".to_owned());
    assert_eq!(reader.posts("lobby", "hi").await.error(), refused);
    for request in [
        reader.post("/api/rooms").json(&json!({"kind": "public", "name": "Garden"})),
        reader.delete("/api/rooms/lobby/messages/1"),
        reader.put("/api/rooms/lobby/members/me"),
        reader.post("/api/rooms/lobby/messages/1/report").json(&json!({"reason": "rude"})),
        reader.sets("lobby", &json!({"topic": "mine"})),
        reader.get("/api/audit"),
    ] {
        assert_eq!(request.await.error(), refused);
    }
    assert_eq!(ann.reads("lobby").await.len(), 1);
}

#[tokio::test]
async fn who_may_only_post_reads_nothing() {
    let server = TestServer::unhurried().await;
    let ann = server.register("ann").await;
    let writer = ann.makes_token(&["post"]).await;
    assert_eq!(writer.writes("lobby", "sunny today").await, 1);
    for request in [
        writer.get("/api/rooms"),
        writer.get("/api/rooms/lobby"),
        writer.get("/api/rooms/lobby/members"),
        writer.get("/api/rooms/lobby/messages"),
        writer.get("/api/users"),
        writer.get("/api/session"),
        server.knock("/api/socket").bearer(&writer.token),
    ] {
        assert_eq!(request.await.error(), (403, "not_allowed".to_owned()));
    }
}

#[tokio::test]
async fn no_token_manages_the_account_itself() {
    let server = TestServer::unhurried().await;
    let ann = server.owner().await;
    let all = ann.makes_token(&["read", "post", "admin"]).await;
    let session = text(&ann.get("/api/sessions").await.json()["sessions"][0]["id"]);
    let requests = [
        all.patch("/api/session").json(&json!({"name": "eve"})),
        all.delete("/api/session"),
        all.get("/api/sessions"),
        all.delete("/api/sessions"),
        all.delete(&format!("/api/sessions/{session}")),
        all.delete("/api/account").json(&json!({})),
        all.put("/api/account/password").json(&json!({"new": "a wholly different phrase"})),
        all.post("/api/account/second-factor").json(&json!({})),
        all.put("/api/account/second-factor").json(&json!({"code": "123456"})),
        all.delete("/api/account/second-factor").json(&json!({})),
        all.put("/api/account/picture").body("image/png", "x"),
        all.delete("/api/account/picture"),
        all.get("/api/tokens"),
        all.post("/api/tokens").json(&json!({"name": "more", "scopes": ["admin"]})),
        all.delete(&format!("/api/tokens/{session}")),
        all.uses_link(&server.owner_link().await),
        all.put(&format!("/api/ignored/{}", ann.id)),
    ];
    for request in requests {
        assert_eq!(request.await.error(), (403, "not_allowed".to_owned()));
    }
    assert_eq!(ann.me().await["name"], "olga");
}

#[tokio::test]
async fn a_token_may_do_no_more_than_its_user() {
    let server = TestServer::unhurried().await;
    let (olga, ann) = (server.owner().await, server.register("ann").await);
    let place = |by: &crate::support::Session| by.patch("/api/place").json(&json!({"name": "Ours"}));
    assert_eq!(place(&ann.makes_token(&["admin"]).await).await.error(), (403, "not_allowed".to_owned()));
    assert_eq!(place(&olga.makes_token(&["read", "post"]).await).await.error(), (403, "not_allowed".to_owned()));
    assert_eq!(place(&olga.makes_token(&["admin"]).await).await.status, 200);
}

#[tokio::test]
async fn a_token_comes_in_the_header_and_nowhere_else() {
    let server = TestServer::unhurried().await;
    let program = server.register("ann").await.makes_token(&["read", "post"]).await;
    let cookie = server.get("/api/rooms").cookie(&program.token).await;
    assert_eq!(cookie.error(), (401, "no_session".to_owned()), "a cookie goes along with what others ask for");
    let url = server.get(&format!("/api/session?token={0}&access_token={0}", program.token)).await;
    assert_eq!(url.error(), (401, "no_session".to_owned()));
    assert_ne!(server.call().name(&format!("bot&token={}", program.token)).await.id, program.id, "it is a guest");
}

#[tokio::test]
async fn who_may_only_read_is_not_seen_typing_and_who_may_only_post_takes_back_nothing_of_others() {
    let server = TestServer::unhurried().await;
    let (olga, bob) = (server.owner().await, server.register("bob").await);
    let mut bot = olga.makes_token(&["read"]).await.connects_to("lobby").await;
    bot.is_refused(json!({"type": "typing", "room": "lobby"}), "not_allowed").await;
    let seq = bob.writes("lobby", "mine").await;
    let path = format!("/api/rooms/lobby/messages/{seq}");
    let poster = olga.makes_token(&["read", "post"]).await;
    assert_eq!(poster.delete(&path).await.error(), (403, "not_allowed".to_owned()));
    let keeper = olga.makes_token(&["read", "post", "admin"]).await;
    assert_eq!(keeper.delete(&path).await.status, 200);
}
