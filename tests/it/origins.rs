//! Pages of other origins: what they ask for in the name of their visitors is refused, unless they are admitted.

use serde_json::json;

use crate::support::http::Request;
use crate::support::{Session, TestServer};

/// Every request that changes something, and the socket.
fn unsafe_requests(server: &TestServer, bob: &Session) -> Vec<Request> {
    vec![
        server.knock("/api/socket").bearer(&bob.token),
        server.knock("/api/socket?name=eve"),
        server.post("/api/session").json(&json!({"name": "eve"})),
        bob.patch("/api/session").json(&json!({"name": "robert"})),
        bob.delete("/api/session"),
        bob.put("/api/rooms/lobby/members/me"),
        bob.delete("/api/rooms/lobby/members/me"),
        bob.post("/api/rooms/lobby/messages").json(&json!({"txn_id": "t", "text": "hi"})),
        server.delete("/no/such/path"),
    ]
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_and_opens_no_socket() {
    let server = TestServer::start().await;
    let bob = server.sign_up("bob").await;
    let port = server.addr.port();
    let foreign = [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        String::new(),
        format!("http://127.0.0.1:{}", port - 1),
        format!("http://127.0.0.1:{port}.evil.example"),
        format!("http://evil.example/127.0.0.1:{port}"),
        format!("127.0.0.1:{port}"),
        "http://127.0.0.1".to_owned(),
    ];
    for origin in &foreign {
        for request in unsafe_requests(&server, &bob) {
            let answer = request.header("Origin", origin).await;
            assert_eq!(answer.error(), (403, "not_allowed".to_owned()), "{origin:?}");
            assert!(answer.header("set-cookie").is_none());
        }
    }
    assert_eq!(bob.get("/api/session").await.json()["user"]["name"], "bob", "the session stands as it was");
    assert_eq!(server.get("/api/rooms/lobby/messages").await.json()["head"], 0, "nothing was posted");
    assert_eq!(server.sign_up("eve").await.name, "eve", "nobody was signed up");
}

#[tokio::test]
async fn what_changes_nothing_is_answered_without_admitting_the_reader() {
    let server = TestServer::start().await;
    for path in ["/", "/health", "/api/rooms", "/api/rooms/lobby/messages"] {
        let answer = server.get(path).header("Origin", "https://evil.example").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("access-control-allow-origin").is_none(), "{path}");
    }
}

#[tokio::test]
async fn ones_own_page_and_programs_are_welcome() {
    let server = TestServer::start().await;
    let bob = server.sign_up("bob").await;
    let own = format!("http://{}", server.addr);
    assert_eq!(server.knock("/api/socket").header("Origin", &own).await.status, 101);
    assert_eq!(server.knock("/api/socket").await.status, 101);
    let message = json!({"txn_id": "t", "text": "hi"});
    let post = || bob.post("/api/rooms/lobby/messages").json(&message);
    assert_eq!(post().header("Origin", &own).await.status, 201);
    assert_eq!(post().await.status, 201);
    let behind_a_proxy = post().host("chat.example.org").header("Origin", "https://chat.example.org").await;
    assert_eq!(behind_a_proxy.status, 201);
    assert_eq!(post().host("chat.example.org").header("Origin", &own).await.status, 403);
}

#[tokio::test]
async fn further_origins_are_admitted_by_option() {
    let server = TestServer::with(&["--origins", "https://friend.example,http://localhost:3000"]).await;
    let bob = server.sign_up("bob").await;
    for (origin, admitted) in [
        ("https://friend.example", true),
        ("http://localhost:3000", true),
        ("http://friend.example", false),
        ("https://friend.example:8443", false),
        ("https://evil.friend.example", false),
        ("http://localhost:3001", false),
    ] {
        let status = server.knock("/api/socket").bearer(&bob.token).header("Origin", origin).await.status;
        assert_eq!(status, if admitted { 101 } else { 403 }, "{origin}");
        let status = bob.put("/api/rooms/lobby/members/me").header("Origin", origin).await.status;
        assert_eq!(status, if admitted { 204 } else { 403 }, "{origin}");
    }
}

/// A form on a foreign page can send these types without asking first, and old browsers send no `Origin`.
#[tokio::test]
async fn a_body_has_to_be_said_to_be_json() {
    let server = TestServer::start().await;
    let bob = server.sign_up("bob").await;
    let message = r#"{"txn_id":"t","text":"hi"}"#;
    let path = "/api/rooms/lobby/messages";
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonp"] {
        assert_eq!(bob.post(path).body(kind, message).await.error(), (400, "invalid".to_owned()), "{kind:?}");
        let sign_up = server.post("/api/session").body(kind, r#"{"name":"eve"}"#).await;
        assert_eq!(sign_up.error(), (400, "invalid".to_owned()), "{kind:?}");
        let change = bob.patch("/api/session").body(kind, r#"{"name":"robert"}"#).await;
        assert_eq!(change.error(), (400, "invalid".to_owned()), "{kind:?}");
    }
    assert_eq!(bob.post(path).await.error(), (400, "invalid".to_owned()), "no body at all");
    for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(bob.post(path).body(kind, message).await.status, 201, "{kind}");
    }
}
