//! Pictures of one's own: what may be uploaded, where it is shown, and who is told.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, RgbImage};
use serde_json::json;

use crate::support::http::{Answer, Request};
use crate::support::{Session, TestServer, text};

const PATH: &str = "/api/account/picture";

fn picture(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 90]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(image).write_to(&mut bytes, format).expect("a picture that can be written");
    bytes.into_inner()
}

impl Session {
    fn uploads(&self, kind: &str, bytes: &[u8]) -> Request {
        self.put(PATH).body(kind, bytes)
    }
}

async fn shown(server: &TestServer, user: &Session) -> Answer {
    server.get(&format!("/avatars/{}", user.id)).await
}

#[tokio::test]
async fn an_upload_is_shown_small_and_told_to_all() {
    let server = TestServer::unhurried().await;
    let ann = server.register("ann").await;
    let mut alice = server.guest("alice").await;
    assert_eq!(shown(&server, &ann).await.header("content-type"), Some("image/svg+xml"));
    let mut before = String::new();
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        // What the request calls it does not count.
        ann.does(ann.uploads("text/plain", &picture(format, 60, 30))).await;
        let push = alice.next_push("user").await;
        assert_eq!((&push["id"], &push["name"]), (&json!(ann.id), &json!("ann")));
        let path = text(&push["picture"]);
        assert!(path.starts_with(&format!("/avatars/{}?v=", ann.id)) && path != before, "{path}");
        let answer = server.get(&path).await;
        assert!(["image/png", "image/webp"].contains(&answer.header("content-type").unwrap()), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let small = image::load_from_memory(&answer.body).unwrap();
        assert_eq!((small.width(), small.height()), (30, 30), "the square in its middle, {format:?}");
        before = path;
    }
    assert_eq!(ann.me().await["picture"], "upload");
    ann.does(ann.delete(PATH)).await;
    assert_ne!(text(&alice.next_push("user").await["picture"]), before);
    assert_eq!(shown(&server, &ann).await.header("content-type"), Some("image/svg+xml"));
    assert_eq!(ann.me().await["picture"], "generated");
}

#[tokio::test]
async fn what_is_no_picture_is_refused_in_words() {
    let server = TestServer::unhurried().await;
    let ann = server.register("ann").await;
    let png = picture(ImageFormat::Png, 20, 20);
    let svg = br#"<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>"#;
    let half = &png[..png.len() / 2];
    for (bytes, status, code) in [
        (&b"GIF89a"[..], 415, "not_an_image"),
        (svg, 415, "not_an_image"),
        (b"<html>", 415, "not_an_image"),
        (b"BM", 415, "not_an_image"),
        (half, 415, "not_an_image"),
        (b"", 415, "not_an_image"),
        (&vec![0; (5 << 20) + 1], 413, "too_large"),
        (&[&png[..], &vec![0; 5 << 20]].concat(), 413, "too_large"),
        (&huge_png(), 413, "too_large"),
    ] {
        let answer = ann.uploads("image/png", bytes).await;
        assert_eq!(answer.error(), (status, code.to_owned()), "{} bytes", bytes.len());
        assert!(text(&answer.json()["error"]["message"]).starts_with("expected "), "{}", answer.text());
    }
    assert_eq!(ann.me().await["picture"], "generated");
    let large = [&png[..], &vec![0; 4 << 20]].concat();
    ann.does(ann.uploads("image/png", &large)).await;
}

/// A picture that says it has more than 25 megapixels, whose pixels do not follow.
fn huge_png() -> Vec<u8> {
    let mut png = picture(ImageFormat::Png, 20, 20);
    png[16..20].copy_from_slice(&6_000_u32.to_be_bytes());
    png[20..24].copy_from_slice(&6_000_u32.to_be_bytes());
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[tokio::test]
async fn a_picture_is_changed_by_its_user_alone() {
    let server = TestServer::unhurried().await;
    let (ann, gus) = (server.register("ann").await, server.sign_up("gus").await);
    let png = picture(ImageFormat::Png, 20, 20);
    ann.does(ann.uploads("image/png", &png)).await;
    gus.does(gus.uploads("image/png", &png)).await;
    let before = shown(&server, &ann).await.body;
    for request in [
        server.put(PATH).body("image/png", png.clone()),
        server.delete(PATH),
        gus.put(&format!("/avatars/{}", ann.id)).body("image/png", png),
        gus.delete(&format!("/avatars/{}", ann.id)),
        gus.delete(PATH),
    ] {
        request.await;
    }
    assert_eq!(shown(&server, &ann).await.body, before);
    assert_eq!(shown(&server, &gus).await.header("content-type"), Some("image/svg+xml"), "gus took away his own");
}

#[tokio::test]
async fn a_picture_outlives_a_restart_and_not_its_user() {
    let mut server = TestServer::unhurried().await;
    let gus = server.sign_up("gus").await;
    gus.does(gus.uploads("image/png", &picture(ImageFormat::Png, 20, 20))).await;
    let before = shown(&server, &gus).await.body;
    server.restart().await;
    assert_eq!(shown(&server, &gus).await.body, before);
    let gus = gus.at(&server);
    assert_eq!(gus.delete("/api/account").json(&json!({})).await.status, 204);
    assert_eq!(shown(&server, &gus).await.status, 404);
}
