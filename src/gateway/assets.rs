//! The embedded web page. One hash over all of web/ stands in the path of every file, so that a file may be kept for
//! ever and a new version is a new path. Compressed once, when first asked for.

use std::collections::HashMap;
use std::io::Write;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::request::InPath;
use crate::error::{Error, Result};

#[derive(RustEmbed)]
#[folder = "web/"]
#[exclude = "test/*"]
struct Web;

/// What the page may load and do: nothing from elsewhere, no script but its own files.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The first 16 hexadecimal digits of SHA-256 over all names and contents.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut names: Vec<_> = Web::iter().collect();
    names.sort();
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name.as_bytes());
        hash.update(Web::get(&name).map(|file| file.metadata.sha256_hash()).unwrap_or_default());
    }
    let hash: [u8; 32] = hash.finalize().into();
    format!("{:016x}", hash[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
});

static INDEX: LazyLock<Bytes> = LazyLock::new(|| {
    let index = Web::get("index.html").map(|file| file.data).unwrap_or_default();
    String::from_utf8_lossy(&index).replace("/assets/HASH/", &format!("/assets/{}/", *HASH)).into()
});

static COMPRESSED: LazyLock<Mutex<HashMap<String, Bytes>>> = LazyLock::new(Mutex::default);

/// The page, whatever room it is to open with.
pub async fn page(headers: HeaderMap) -> Response {
    let (body, encoded) = encode("index.html", INDEX.clone(), &headers);
    let own = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (own, encoded, body).into_response()
}

pub async fn asset(InPath((hash, path)): InPath<(String, String)>, headers: HeaderMap) -> Result<Response> {
    if hash != *HASH {
        return Err(Error::NoPath);
    }
    let kind = content_type(&path).ok_or(Error::NoPath)?;
    let file = Web::get(&path).ok_or(Error::NoPath)?;
    let (body, encoded) = encode(&path, file.data.into_owned().into(), &headers);
    let own = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, FOR_EVER)];
    Ok((own, encoded, body).into_response())
}

/// Browsers ask here before they have read the page.
pub async fn favicon() -> Result<Response> {
    let file = Web::get("favicon.svg").ok_or(Error::NoPath)?;
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "max-age=86400")];
    Ok((headers, file.data.into_owned()).into_response())
}

fn content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

/// The body as the client can take it, and the headers that say so.
fn encode(path: &str, plain: Bytes, headers: &HeaderMap) -> (Bytes, HeaderMap) {
    let mut encoded = HeaderMap::new();
    encoded.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let gzip = accepts.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        // A weight of 0 refuses (RFC 9110 §12.4.2).
        let refused = |part: &str| part.strip_prefix("q=").is_some_and(|weight| weight.parse() == Ok(0.0));
        parts.next() == Some("gzip") && !parts.any(refused)
    });
    if !gzip {
        return (plain, encoded);
    }
    let mut compressed = COMPRESSED.lock();
    let body = match compressed.get(path) {
        Some(body) => body.clone(),
        None => match compress(&plain) {
            Ok(body) => compressed.entry(path.to_owned()).or_insert(body).clone(),
            Err(_) => return (plain, encoded),
        },
    };
    encoded.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    (body, encoded)
}

fn compress(plain: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain)?;
    Ok(encoder.finish()?.into())
}
