//! What the socket does not do, over plain HTTP and JSON: sessions, the list of rooms, joining and leaving, pictures,
//! and how the server is. `post` and `history` are here too, for programs that hold no socket.

use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::request::{Address, Asker, Gateway, InPath, Json, SESSION_COOKIE, bad_query, room_id};
use crate::chat::auth::{Change, Visitor};
use crate::chat::{Browsed, avatar};
use crate::error::{Error, Result};
use crate::protocol::{self, Me, RoomId, Seq, UserId, check_room, check_txn_id, history_json};

const ROOMS_LIMIT: usize = 200;
/// As long as browsers keep a cookie at all. When a session is over is the server's to say.
const COOKIE_LASTS: Duration = Duration::from_hours(400 * 24);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    name: String,
    email: Option<String>,
}

#[derive(Serialize)]
struct SessionAnswer<'a> {
    user: Me<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

pub async fn open_session(
    State(gateway): State<Gateway>,
    // Not `Asker`: who holds a cookie of a session that is over must be able to make another.
    Address(address): Address,
    headers: HeaderMap,
    Json(request): Json<SessionRequest>,
) -> Result<Response> {
    let (user, token) = gateway.chat.open_session(&request.name, request.email.as_deref(), address).await?;
    let origin = headers.get(header::ORIGIN);
    // A browser keeps its token in the cookie, where no script can read it.
    let shown = origin.is_none().then(|| token.as_str());
    let answer = SessionAnswer { user: Visitor::me(&user), token: shown };
    let cookie = session_cookie(token.as_str(), COOKIE_LASTS.as_secs(), is_secure(origin))?;
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], axum::Json(answer)).into_response())
}

pub async fn session(asker: Asker) -> Result<Response> {
    let visitor = asker.known()?;
    Ok(axum::Json(SessionAnswer { user: Visitor::me(&visitor.user), token: None }).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRequest {
    name: Option<String>,
    /// `null` takes it away; left out, it stays.
    #[serde(default, deserialize_with = "given")]
    email: Option<Option<String>>,
}

fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

pub async fn change_user(
    State(gateway): State<Gateway>,
    asker: Asker,
    Json(request): Json<ChangeRequest>,
) -> Result<Response> {
    let change = Change { name: request.name, email: request.email };
    let user = gateway.chat.change_user(&asker.known()?, change).await?;
    Ok(axum::Json(SessionAnswer { user: Visitor::me(&user), token: None }).into_response())
}

/// Clears the cookie also where its session is over already: no script could.
pub async fn end_session(State(gateway): State<Gateway>, asker: Result<Asker>, headers: HeaderMap) -> Result<Response> {
    match asker.and_then(Asker::known) {
        Ok(visitor) => gateway.chat.end_session(&visitor).await?,
        Err(Error::NoSession) => {}
        Err(error) => return Err(error),
    }
    let cookie = session_cookie("", 0, is_secure(headers.get(header::ORIGIN)))?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

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

pub async fn rooms(
    State(gateway): State<Gateway>,
    asker: Asker,
    query: Result<Query<RoomsQuery>, QueryRejection>,
) -> Result<Response> {
    let Query(query) = query.map_err(|rejection| bad_query(&rejection))?;
    let limit = query.limit.unwrap_or(50);
    if !(1..=ROOMS_LIMIT).contains(&limit) {
        return Err(Error::Invalid(format!("limit: expected 1 to {ROOMS_LIMIT}, found {limit}")));
    }
    let user = asker.visitor.map(|visitor| visitor.user.id);
    gateway.chat.limiter.look(user, asker.address)?;
    let after = query.after.as_deref().map(RoomId::from);
    let (rooms, more) = gateway.chat.browse(user, &query.q, after.as_ref(), limit).await?;
    Ok(axum::Json(Rooms { rooms, more }).into_response())
}

pub async fn join(State(gateway): State<Gateway>, asker: Asker, InPath(room): InPath<String>) -> Result<StatusCode> {
    gateway.chat.join(&asker.known()?.acting(&gateway.chat.users), &room_id(&room)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn leave(State(gateway): State<Gateway>, asker: Asker, InPath(room): InPath<String>) -> Result<StatusCode> {
    gateway.chat.leave(&asker.known()?.acting(&gateway.chat.users), &room_id(&room)?).await?;
    Ok(StatusCode::NO_CONTENT)
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
    gateway.chat.limiter.look(asker.visitor.map(|visitor| visitor.user.id), asker.address)?;
    check_room(&room)?;
    let Query(HistoryQuery { before, around, limit }) = query.map_err(|rejection| bad_query(&rejection))?;
    let history = protocol::History { room: Cow::Owned(room), before, around, limit: limit.unwrap_or(50) };
    history.check()?;
    let page = gateway.chat.history(&history).await?;
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
    let user = asker.known()?.acting(&gateway.chat.users);
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

pub async fn avatar(State(gateway): State<Gateway>, InPath(user): InPath<String>) -> Result<Response> {
    let id: UserId = user.parse().map_err(|_| Error::NoUser)?;
    let name = gateway.chat.user_name(id).await?.ok_or(Error::NoUser)?;
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "max-age=300")];
    Ok((headers, avatar::svg(id, &name)).into_response())
}

pub async fn health(State(gateway): State<Gateway>) -> Response {
    let (node, worth) = (gateway.chat.node(), gateway.chat.worth());
    axum::Json(serde_json::json!({ "status": "ok", "node": node, "acknowledged": worth })).into_response()
}

/// Whether new connections are welcome.
pub async fn ready(State(gateway): State<Gateway>) -> Response {
    if gateway.draining.load(Ordering::Acquire) {
        return Error::Unavailable("this node is stopping").into_response();
    }
    axum::Json(serde_json::json!({ "status": "ready" })).into_response()
}

/// A browser names its page's origin itself, so this holds behind a proxy that ends TLS too.
fn is_secure(origin: Option<&HeaderValue>) -> bool {
    origin.is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

fn session_cookie(token: &str, seconds: u64, secure: bool) -> Result<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!("{SESSION_COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    HeaderValue::try_from(cookie).map_err(|_| Error::Internal)
}
