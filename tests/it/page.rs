//! The page and its files as a browser gets them: where they are, how long they may be kept, and what they may do.

use std::collections::BTreeSet;
use std::io::Read as _;

use crate::support::TestServer;

#[tokio::test]
async fn the_page_is_served_for_every_room() {
    let server = TestServer::start().await;
    let page = server.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert!(page.text().starts_with("<!doctype html>") || page.text().starts_with("<!DOCTYPE html>"));
    assert!(!page.text().contains("HASH"), "the hash is filled in");
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    for path in ["/r/lobby", "/r/lobby/58", "/r/no-such-room", "/r/%E6%97%A5%E6%9C%AC"] {
        let same = server.get(path).await;
        assert_eq!((same.status, same.text()), (200, page.text()), "{path}");
        assert_eq!(same.header("content-security-policy"), Some(policy), "{path}");
    }
}

#[tokio::test]
async fn files_are_named_by_a_hash_and_may_be_kept_for_ever() {
    let server = TestServer::start().await;
    let page = server.get("/").await;
    let assets = assets_of(page.text());
    assert!(assets.len() >= 3, "{assets:?}");
    let hash = assets.first().unwrap().split('/').nth(2).unwrap().to_owned();
    assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    let mut kinds = BTreeSet::new();
    for path in &assets {
        assert_eq!(path.split('/').nth(2), Some(&*hash), "one hash for all");
        let file = server.get(path).await;
        assert_eq!(file.status, 200, "{path}");
        assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"), "{path}");
        assert!(!file.body.is_empty(), "{path}");
        kinds.insert(file.header("content-type").unwrap().to_owned());
    }
    assert!(kinds.contains("text/javascript; charset=utf-8") && kinds.contains("text/css; charset=utf-8"), "{kinds:?}");
    let other_hash = hash.chars().rev().collect::<String>();
    for path in [
        format!("/assets/{hash}/no-such-file.js"),
        format!("/assets/{hash}/"),
        format!("/assets/{hash}/index.html"),
        format!("/assets/{hash}/../main.js"),
        format!("/assets/{hash}/%2e%2e/Cargo.toml"),
        format!("/assets/{hash}/test/wire.test.js"),
        format!("/assets/{other_hash}/main.js"),
        "/assets/HASH/main.js".to_owned(),
        "/assets/%ff/main.js".to_owned(),
        "/assets/".to_owned(),
    ] {
        assert_eq!(server.get(&path).await.error(), (404, "not_found".to_owned()), "{path}");
    }
    let icon = server.get("/favicon.ico").await;
    assert_eq!((icon.status, icon.header("content-type")), (200, Some("image/svg+xml")));
}

#[tokio::test]
async fn whoever_accepts_gzip_gets_it() {
    let server = TestServer::start().await;
    let page = server.get("/").await;
    assert_eq!((page.header("content-encoding"), page.header("vary")), (None, Some("Accept-Encoding")));
    let script = script_of(page.text());
    for path in ["/", &script] {
        let plain = server.get(path).await;
        for _ in 0..2 {
            let packed = server.get(path).header("Accept-Encoding", "br, gzip;q=0.8").await;
            assert_eq!(
                (packed.header("content-encoding"), packed.header("vary")),
                (Some("gzip"), Some("Accept-Encoding"))
            );
            assert_eq!(packed.header("content-type"), plain.header("content-type"));
            assert!(packed.body.len() < plain.body.len(), "{path}");
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == plain.body, "{path}");
        }
        for coding in ["identity", "br", "gzip;q=0", ""] {
            let plain = server.get(path).header("Accept-Encoding", coding).await;
            assert_eq!(plain.header("content-encoding"), None, "{path}: {coding:?}");
        }
    }
}

#[tokio::test]
async fn every_answer_is_guarded() {
    let server = TestServer::start().await;
    let bob = server.sign_up("bob").await;
    let script = script_of(server.get("/").await.text());
    let picture = format!("/avatars/{}", bob.id);
    let paths = [
        "/",
        "/r/lobby",
        &script,
        &picture,
        "/favicon.ico",
        "/health",
        "/ready",
        "/api/rooms",
        "/nothing",
        "/api/session",
    ];
    for path in paths {
        let answer = server.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
        assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"), "{path}");
        assert!(answer.header("cache-control").is_some(), "{path}");
    }
    for answer in [bob.get("/api/session").await, server.get("/api/rooms").await, server.get("/nothing").await] {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    }
    let foreign = server.delete("/api/session").header("Origin", "https://evil.example").await;
    assert_eq!((foreign.status, foreign.header("x-content-type-options")), (403, Some("nosniff")));
}

fn script_of(page: &str) -> String {
    assets_of(page).into_iter().find(|path| path.contains(".js")).expect("the page has a script")
}

/// The paths of the files that a page names.
fn assets_of(page: &str) -> BTreeSet<String> {
    let parts = page.split("/assets/").skip(1);
    parts.map(|rest| format!("/assets/{}", rest.split(['"', '\'', ')', ' ', '>']).next().unwrap())).collect()
}
