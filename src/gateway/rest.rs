//! What the socket does not do, over plain HTTP and JSON: the list of rooms, history and posting for programs that hold
//! no socket, pictures, and how the server is; rest/ has accounts, people, and the rooms' own settings.

pub mod account;
pub mod people;
pub mod rooms;

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::Ordering;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::request::{Asker, Gateway, InPath, Json, bad_query, check_limit, room_id, user_id};
use crate::chat::avatar::Avatar;
use crate::chat::rooms::Browsed;
use crate::error::{Error, Result};
use crate::protocol::{self, RoomId, Scope, Seq, check_room, check_txn_id, history_json};

#[derive(Deserialize)]
pub struct RoomsQuery {
    #[serde(default)]
    q: String,
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Rooms {
    rooms: Vec<Browsed>,
    more: bool,
}

pub async fn browse(
    State(gateway): State<Gateway>,
    asker: Asker,
    query: Result<Query<RoomsQuery>, QueryRejection>,
) -> Result<Response> {
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    let limit = check_limit(query.limit)?;
    let user = asker.reads(&gateway)?.map(|visitor| visitor.user.id);
    let after = query.after.as_deref().map(RoomId::from);
    let (rooms, more) = gateway.chat.browse(user, &query.q, after.as_ref(), limit).await?;
    Ok(axum::Json(Rooms { rooms, more }).into_response())
}

#[derive(Deserialize)]
pub struct HistoryQuery {
    before: Option<Seq>,
    around: Option<Seq>,
    limit: Option<usize>,
}

pub async fn history(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(room): InPath<String>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Response> {
    let reader = asker.reads(&gateway)?.map(|visitor| visitor.user.id);
    check_room(&room)?;
    let Query(HistoryQuery { before, around, limit }) = query.map_err(|rejection| bad_query(&rejection))?;
    let history = protocol::History { room: Cow::Owned(room), before, around, limit: limit.unwrap_or(50) };
    history.check()?;
    let page = gateway.chat.history(reader, &history).await?;
    let json = history_json(page.position, &page.events, page.more);
    Ok(([(header::CONTENT_TYPE, "application/json")], json).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostRequest {
    txn_id: String,
    text: String,
}

#[derive(Serialize)]
struct Posted {
    room: RoomId,
    seq: Seq,
}

pub async fn post(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(room): InPath<String>,
    Json(request): Json<PostRequest>,
) -> Result<Response> {
    let user = asker.may(Scope::Post)?.acting(&gateway.chat.users);
    check_txn_id(&request.txn_id)?;
    let room = room_id(&room)?;
    let (tell, told) = tokio::sync::oneshot::channel();
    let done = move |outcome| {
        // Whoever asked may have gone; the message stands all the same.
        let _ = tell.send(outcome);
    };
    gateway.chat.post_any(&user, &room, &request.txn_id, &request.text, done).await;
    let seq = told.await.unwrap_or(Err(Error::UnknownOutcome))?;
    gateway.chat.posted(&user, &room, seq);
    Ok((StatusCode::CREATED, axum::Json(Posted { room, seq })).into_response())
}

#[derive(Deserialize)]
pub struct AvatarQuery {
    v: Option<String>,
}

/// Asked for by its version, a picture never changes; else browsers ask whether it has.
pub async fn avatar(
    State(gateway): State<Gateway>,
    InPath(user): InPath<String>,
    query: Result<Query<AvatarQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response> {
    let (media_type, bytes) = match gateway.chat.avatar(user_id(&user)?).await? {
        Avatar::Stored { media_type, bytes } => (media_type, bytes),
        Avatar::Drawn(svg) => ("image/svg+xml".to_owned(), svg.into_bytes()),
    };
    let versioned = query.is_ok_and(|Query(query)| query.v.is_some());
    let lasts = if versioned { "private, max-age=31536000, immutable" } else { "private, no-cache" };
    let tag = format!("\"{:016x}\"", fingerprint(&bytes));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let caching = [(header::CACHE_CONTROL, lasts), (header::ETAG, &*tag)];
    if known == Some(&*tag) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    Ok((caching, [(header::CONTENT_TYPE, &*media_type)], bytes).into_response())
}

fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

pub async fn health(State(gateway): State<Gateway>) -> Response {
    let (node, worth) = (gateway.chat.node(), gateway.chat.worth());
    let store = if gateway.chat.is_away() { "away" } else { "ok" };
    axum::Json(serde_json::json!({ "status": "ok", "node": node, "store": store, "acknowledged": worth }))
        .into_response()
}

/// Whether new connections are welcome.
pub async fn ready(State(gateway): State<Gateway>) -> Response {
    if gateway.draining.load(Ordering::Acquire) {
        return Error::Unavailable("this node is stopping").into_response();
    }
    if gateway.chat.is_away() {
        return Error::Unavailable("the store cannot be reached").into_response();
    }
    axum::Json(serde_json::json!({ "status": "ready" })).into_response()
}
