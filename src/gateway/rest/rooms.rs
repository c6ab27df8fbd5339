//! The rooms' own settings and their members over HTTP.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::super::request::{Asker, Gateway, InPath, Json, bad_query, check_limit, room_id, user_id};
use crate::chat::rooms::{MemberView, RoomSettings, RoomView};
use crate::error::{Error, Result};
use crate::protocol::{MemberRole, RoomChange, RoomId, RoomKind, Scope, Seq, UserId, check_txn_id};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRequest {
    kind: RoomKind,
    name: Option<String>,
    members: Option<Vec<UserId>>,
}

#[derive(Serialize)]
struct Created {
    room: RoomId,
}

pub async fn create(
    State(gateway): State<Gateway>,
    asker: Asker,
    Json(request): Json<CreateRequest>,
) -> Result<Response> {
    let user = asker.may(Scope::Post)?.acting(&gateway.chat.users);
    let CreateRequest { kind, name, members } = request;
    let room = match (kind, name, members) {
        (RoomKind::Public, Some(name), None) => gateway.chat.create_room(&user, &name).await?,
        (RoomKind::Private, Some(name), None) => gateway.chat.create_private_room(&user, &name).await?,
        (RoomKind::Direct, None, Some(members)) => gateway.chat.create_direct_room(&user, &members).await?,
        _ => return Err(Error::Invalid("expected a name, or for a direct room its members".to_owned())),
    };
    Ok((StatusCode::CREATED, axum::Json(Created { room })).into_response())
}

pub async fn room(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(room): InPath<String>,
) -> Result<axum::Json<RoomView>> {
    let visitor = asker.may(Scope::Read)?;
    gateway.chat.limiter.command(visitor.user.id)?;
    Ok(axum::Json(gateway.chat.room_view(&visitor.acting(&gateway.chat.users), &room_id(&room)?).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRequest {
    name: Option<String>,
    topic: Option<String>,
    announcement: Option<bool>,
    archived: Option<bool>,
    slow_seconds: Option<u32>,
    guests: Option<bool>,
    kind: Option<RoomKind>,
}

pub async fn change(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(room): InPath<String>,
    Json(request): Json<ChangeRequest>,
) -> Result<axum::Json<RoomView>> {
    let user = asker.may(Scope::Admin)?.acting(&gateway.chat.users);
    let ChangeRequest { name, topic, announcement, archived, slow_seconds, guests, kind } = request;
    let (name, topic) = (name.map(Into::into), topic.map(Into::into));
    let change = RoomChange { name, topic, announcement, archived, slow_seconds, guests };
    let settings = RoomSettings { change, kind };
    Ok(axum::Json(gateway.chat.change_room(&user, &room_id(&room)?, settings).await?))
}

pub async fn delete(State(gateway): State<Gateway>, asker: Asker, InPath(room): InPath<String>) -> Result<StatusCode> {
    let user = asker.may(Scope::Admin)?.acting(&gateway.chat.users);
    gateway.chat.delete_room(&user, &room_id(&room)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
pub struct MembersQuery {
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Members {
    members: Vec<MemberView>,
    more: bool,
}

pub async fn members(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(room): InPath<String>,
    query: Result<Query<MembersQuery>, QueryRejection>,
) -> Result<Response> {
    let Query(MembersQuery { after, limit }) = query.map_err(|rejection| bad_query(&rejection))?;
    let after = after.as_deref().map(user_id).transpose()?;
    let visitor = asker.may(Scope::Read)?;
    gateway.chat.limiter.command(visitor.user.id)?;
    let user = visitor.acting(&gateway.chat.users);
    let (members, more) = gateway.chat.members(&user, &room_id(&room)?, after, check_limit(limit)?).await?;
    Ok(axum::Json(Members { members, more }).into_response())
}

pub async fn join(State(gateway): State<Gateway>, asker: Asker, InPath(room): InPath<String>) -> Result<StatusCode> {
    gateway.chat.join(&asker.may(Scope::Post)?.acting(&gateway.chat.users), &room_id(&room)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn leave(State(gateway): State<Gateway>, asker: Asker, InPath(room): InPath<String>) -> Result<StatusCode> {
    gateway.chat.leave(&asker.may(Scope::Post)?.acting(&gateway.chat.users), &room_id(&room)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRequest {
    role: Option<MemberRole>,
}

pub async fn set_member(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath((room, member)): InPath<(String, String)>,
    Json(request): Json<MemberRequest>,
) -> Result<StatusCode> {
    let user = asker.may(Scope::Admin)?.acting(&gateway.chat.users);
    gateway.chat.set_member(&user, &room_id(&room)?, user_id(&member)?, request.role).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn remove_member(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath((room, member)): InPath<(String, String)>,
) -> Result<StatusCode> {
    let user = asker.may(Scope::Admin)?.acting(&gateway.chat.users);
    gateway.chat.remove_member(&user, &room_id(&room)?, user_id(&member)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
pub struct DeleteQuery {
    txn_id: Option<String>,
}

#[derive(Serialize)]
struct Deleted {
    room: RoomId,
    seq: Seq,
}

pub async fn delete_message(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath((room, seq)): InPath<(String, Seq)>,
    query: Result<Query<DeleteQuery>, QueryRejection>,
) -> Result<Response> {
    let Query(DeleteQuery { txn_id }) = query.map_err(|rejection| bad_query(&rejection))?;
    txn_id.as_deref().map_or(Ok(()), check_txn_id)?;
    let (visitor, room) = (asker.may(Scope::Post)?, room_id(&room)?);
    let seq = gateway.chat.delete_message(&visitor, &room, seq, txn_id.as_deref()).await?;
    Ok(axum::Json(Deleted { room, seq }).into_response())
}
