//! The place and its people over HTTP: settings, roles, mutes, kicks and bans, reports, the audit log.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::super::request::{Asker, Gateway, InPath, Json, bad_query, check_limit, room_id, user_id};
use super::account::{Handed, handed};
use crate::chat::people::{AuditView, BanView, Person, ReportView};
use crate::chat::place::{PlaceChange, PlaceView};
use crate::error::Result;
use crate::protocol::{Role, Scope, Seq};

pub async fn place(State(gateway): State<Gateway>) -> axum::Json<PlaceView> {
    axum::Json(gateway.chat.place_view())
}

pub async fn change_place(
    State(gateway): State<Gateway>,
    asker: Asker,
    Json(change): Json<PlaceChange>,
) -> Result<axum::Json<PlaceView>> {
    Ok(axum::Json(gateway.chat.change_place(&asker.may(Scope::Admin)?, change).await?))
}

#[derive(Deserialize)]
pub struct PeopleQuery {
    #[serde(default)]
    q: String,
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct People {
    users: Vec<Person>,
    more: bool,
}

pub async fn people(
    State(gateway): State<Gateway>,
    asker: Asker,
    query: Result<Query<PeopleQuery>, QueryRejection>,
) -> Result<Response> {
    let Query(PeopleQuery { q, after, limit }) = query.map_err(|rejection| bad_query(&rejection))?;
    let after = after.as_deref().map(user_id).transpose()?;
    let visitor = asker.may(Scope::Read)?;
    gateway.chat.limiter.command(visitor.user.id)?;
    let (users, more) = gateway.chat.people(&visitor, &q, after, check_limit(limit)?).await?;
    Ok(axum::Json(People { users, more }).into_response())
}

pub async fn person(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(user): InPath<String>,
) -> Result<axum::Json<Person>> {
    let visitor = asker.may(Scope::Read)?;
    gateway.chat.limiter.command(visitor.user.id)?;
    Ok(axum::Json(gateway.chat.person(&visitor, user_id(&user)?).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRequest {
    role: Role,
}

pub async fn set_role(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(user): InPath<String>,
    Json(request): Json<RoleRequest>,
) -> Result<StatusCode> {
    gateway.chat.set_role(&asker.may(Scope::Admin)?, user_id(&user)?, request.role).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// For so long; without an end where it is null or left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MuteRequest {
    minutes: Option<u32>,
}

pub async fn mute(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(user): InPath<String>,
    Json(request): Json<MuteRequest>,
) -> Result<StatusCode> {
    gateway.chat.mute(&asker.may(Scope::Admin)?, user_id(&user)?, Some(request.minutes)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn unmute(State(gateway): State<Gateway>, asker: Asker, InPath(user): InPath<String>) -> Result<StatusCode> {
    gateway.chat.mute(&asker.may(Scope::Admin)?, user_id(&user)?, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn kick(State(gateway): State<Gateway>, asker: Asker, InPath(user): InPath<String>) -> Result<StatusCode> {
    gateway.chat.kick(&asker.may(Scope::Admin)?, user_id(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BanRequest {
    minutes: Option<u32>,
    #[serde(default)]
    reason: String,
}

pub async fn ban(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(user): InPath<String>,
    Json(request): Json<BanRequest>,
) -> Result<StatusCode> {
    let BanRequest { minutes, reason } = request;
    gateway.chat.ban(&asker.may(Scope::Admin)?, user_id(&user)?, minutes, &reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn lift_ban(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(user): InPath<String>,
) -> Result<StatusCode> {
    gateway.chat.lift_ban(&asker.may(Scope::Admin)?, user_id(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
struct Bans {
    bans: Vec<BanView>,
}

pub async fn bans(State(gateway): State<Gateway>, asker: Asker) -> Result<Response> {
    let bans = gateway.chat.bans(&asker.may(Scope::Admin)?).await?;
    Ok(axum::Json(Bans { bans }).into_response())
}

pub async fn reset_link(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(user): InPath<String>,
    headers: HeaderMap,
) -> Result<axum::Json<Handed>> {
    let token = gateway.chat.reset_link(&asker.may(Scope::Admin)?, user_id(&user)?).await?;
    Ok(axum::Json(handed(&gateway, None, &token, &headers)?))
}

pub async fn ignore(State(gateway): State<Gateway>, asker: Asker, InPath(user): InPath<String>) -> Result<StatusCode> {
    gateway.chat.ignore(&asker.person()?, user_id(&user)?, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn hear(State(gateway): State<Gateway>, asker: Asker, InPath(user): InPath<String>) -> Result<StatusCode> {
    gateway.chat.ignore(&asker.person()?, user_id(&user)?, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest {
    reason: String,
}

pub async fn report(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath((room, seq)): InPath<(String, Seq)>,
    Json(request): Json<ReportRequest>,
) -> Result<StatusCode> {
    gateway.chat.report(&asker.may(Scope::Post)?, &room_id(&room)?, seq, &request.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
struct Reports {
    reports: Vec<ReportView>,
}

pub async fn reports(State(gateway): State<Gateway>, asker: Asker) -> Result<Response> {
    let reports = gateway.chat.reports(&asker.may(Scope::Admin)?).await?;
    Ok(axum::Json(Reports { reports }).into_response())
}

pub async fn settle_report(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(id): InPath<u64>,
) -> Result<StatusCode> {
    gateway.chat.settle_report(&asker.may(Scope::Admin)?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
pub struct AuditQuery {
    before: Option<u64>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Audit {
    entries: Vec<AuditView>,
    more: bool,
}

pub async fn audit(
    State(gateway): State<Gateway>,
    asker: Asker,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Response> {
    let Query(AuditQuery { before, limit }) = query.map_err(|rejection| bad_query(&rejection))?;
    let (entries, more) = gateway.chat.audit(&asker.may(Scope::Admin)?, before, check_limit(limit)?).await?;
    Ok(axum::Json(Audit { entries, more }).into_response())
}
