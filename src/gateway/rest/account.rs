//! Sessions and accounts over HTTP: coming in, proving who one is, what belongs to oneself alone; and the links that let
//! others in. It knows the cookie and no password's hash.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use qrcode::QrCode;
use qrcode::render::svg;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::request::{Asker, Gateway, InPath, Json, bad_query, room_id, session_cookie};
use crate::chat::account::{Credentials, NewAccount, Profile, SessionView};
use crate::chat::auth::{Change, Device, Token};
use crate::chat::link::{InviteView, LinkView, NewInvite};
use crate::chat::picture;
use crate::error::{Error, Result};
use crate::protocol::{Role, RoomId, Scope};

/// A guest comes in by name, an account by login and password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    name: Option<String>,
    email: Option<String>,
    invite: Option<String>,
    login: Option<String>,
    password: Option<String>,
    code: Option<String>,
}

#[derive(Serialize)]
struct SessionAnswer {
    user: Profile,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<RoomId>,
}

pub async fn open_session(
    State(gateway): State<Gateway>,
    // Not `Asker`: who holds a cookie of a session that is over must be able to make another.
    device: Device,
    headers: HeaderMap,
    Json(request): Json<SessionRequest>,
) -> Result<Response> {
    let SessionRequest { name, email, invite, login, password, code } = request;
    let (user, token, room) = match (name, login, password) {
        (Some(name), None, None) => {
            gateway.chat.open_session(&name, email.as_deref(), invite.as_deref(), device).await?
        }
        (None, Some(login), Some(password)) => {
            let credentials = Credentials { login: &login, password: &password, code: code.as_deref() };
            let (user, token) = gateway.chat.sign_in(credentials, device).await?;
            (user, token, None)
        }
        _ => return Err(Error::Invalid("expected a name, or a login and a password".to_owned())),
    };
    welcome(gateway.chat.profile(&user).await?, &token, room, &headers)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRequest {
    name: String,
    password: String,
    email: Option<String>,
    invite: Option<String>,
}

pub async fn register(
    State(gateway): State<Gateway>,
    asker: Result<Asker>,
    device: Device,
    headers: HeaderMap,
    Json(request): Json<AccountRequest>,
) -> Result<Response> {
    // A session that is over makes nobody a guest.
    let guest = match asker {
        Ok(asker) => asker.visitor,
        Err(Error::NoSession) => None,
        Err(error) => return Err(error),
    };
    let AccountRequest { name, password, email, invite } = &request;
    let account = NewAccount { name, password, email: email.as_deref(), invite: invite.as_deref() };
    let (user, token, room) = gateway.chat.register(guest.as_ref(), account, device).await?;
    welcome(gateway.chat.profile(&user).await?, &token, room, &headers)
}

/// The answer to whoever has just come in: who they are, and their session.
fn welcome(user: Profile, token: &Token, room: Option<RoomId>, headers: &HeaderMap) -> Result<Response> {
    let origin = headers.get(header::ORIGIN);
    // A browser keeps its token in the cookie, where no script can read it.
    let shown = origin.is_none().then(|| token.as_str().to_owned());
    let answer = SessionAnswer { user, token: shown, room };
    let cookie = session_cookie(token.as_str(), is_secure(origin))?;
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie)], axum::Json(answer)).into_response())
}

pub async fn session(State(gateway): State<Gateway>, asker: Asker) -> Result<Response> {
    let visitor = asker.may(Scope::Read)?;
    gateway.chat.limiter.command(visitor.user.id)?;
    let user = gateway.chat.profile(&visitor.user).await?;
    Ok(axum::Json(SessionAnswer { user, token: None, room: None }).into_response())
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
    let user = gateway.chat.change_user(&asker.person()?, change).await?;
    let user = gateway.chat.profile(&user).await?;
    Ok(axum::Json(SessionAnswer { user, token: None, room: None }).into_response())
}

/// Clears the cookie also where its session is over already: no script could.
pub async fn end_session(State(gateway): State<Gateway>, asker: Result<Asker>, headers: HeaderMap) -> Result<Response> {
    match asker.and_then(Asker::person) {
        Ok(visitor) => gateway.chat.end_session(&visitor).await?,
        Err(Error::NoSession) => {}
        Err(error) => return Err(error),
    }
    signed_out(&headers)
}

fn signed_out(headers: &HeaderMap) -> Result<Response> {
    let cookie = session_cookie("", is_secure(headers.get(header::ORIGIN)))?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

#[derive(Serialize)]
struct Sessions {
    sessions: Vec<SessionView>,
}

pub async fn sessions(State(gateway): State<Gateway>, asker: Asker) -> Result<Response> {
    let sessions = gateway.chat.sessions(&asker.person()?, false).await?;
    Ok(axum::Json(Sessions { sessions }).into_response())
}

pub async fn sign_out_everywhere(State(gateway): State<Gateway>, asker: Asker, headers: HeaderMap) -> Result<Response> {
    gateway.chat.sign_out_everywhere(&asker.person()?).await?;
    signed_out(&headers)
}

/// Of people and of programs alike.
pub async fn end_one_session(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(id): InPath<String>,
) -> Result<StatusCode> {
    gateway.chat.end_one_session(&asker.person()?, uuid(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    password: Option<String>,
    new: String,
}

pub async fn change_password(
    State(gateway): State<Gateway>,
    asker: Asker,
    device: Device,
    Json(request): Json<PasswordRequest>,
) -> Result<StatusCode> {
    let visitor = asker.person()?;
    gateway.chat.change_password(&visitor, request.password.as_deref(), &request.new, &device).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetRequest {
    link: String,
    new: String,
}

pub async fn reset_password(
    State(gateway): State<Gateway>,
    device: Device,
    Json(request): Json<ResetRequest>,
) -> Result<StatusCode> {
    gateway.chat.reset_password(&request.link, &request.new, &device).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgottenRequest {
    login: String,
}

/// Answered at once and alike, whether or not there is such an account.
pub async fn forgotten(
    State(gateway): State<Gateway>,
    device: Device,
    Json(request): Json<ForgottenRequest>,
) -> Result<StatusCode> {
    gateway.chat.forgotten(&request.login, device.address)?;
    Ok(StatusCode::ACCEPTED)
}

/// The password again, where there is one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    password: Option<String>,
}

#[derive(Serialize)]
struct Offered {
    secret: String,
    uri: String,
    qr: String,
}

pub async fn offer_second_factor(
    State(gateway): State<Gateway>,
    asker: Asker,
    device: Device,
    Json(request): Json<ConfirmRequest>,
) -> Result<Response> {
    let visitor = asker.person()?;
    let offered = gateway.chat.offer_second_factor(&visitor, request.password.as_deref(), &device).await?;
    let qr = qr(&offered.uri)?;
    Ok(axum::Json(Offered { secret: offered.secret, uri: offered.uri, qr }).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeRequest {
    code: String,
}

#[derive(Serialize)]
struct Recovery {
    recovery: Vec<String>,
}

pub async fn confirm_second_factor(
    State(gateway): State<Gateway>,
    asker: Asker,
    device: Device,
    Json(request): Json<CodeRequest>,
) -> Result<Response> {
    let recovery = gateway.chat.confirm_second_factor(&asker.person()?, &request.code, &device).await?;
    Ok(axum::Json(Recovery { recovery }).into_response())
}

pub async fn drop_second_factor(
    State(gateway): State<Gateway>,
    asker: Asker,
    device: Device,
    Json(request): Json<ConfirmRequest>,
) -> Result<StatusCode> {
    gateway.chat.drop_second_factor(&asker.person()?, request.password.as_deref(), &device).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn delete_account(
    State(gateway): State<Gateway>,
    asker: Asker,
    device: Device,
    headers: HeaderMap,
    Json(request): Json<ConfirmRequest>,
) -> Result<Response> {
    gateway.chat.delete_account(&asker.person()?, request.password.as_deref(), &device).await?;
    signed_out(&headers)
}

pub async fn set_picture(
    State(gateway): State<Gateway>,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode> {
    let visitor = asker.person()?;
    let file = body.map_err(|_| Error::TooLarge { limit: picture::MOST_BYTES })?;
    gateway.chat.set_own_picture(&visitor, Some(file.to_vec())).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn drop_picture(State(gateway): State<Gateway>, asker: Asker) -> Result<StatusCode> {
    gateway.chat.set_own_picture(&asker.person()?, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
struct Tokens {
    tokens: Vec<TokenView>,
}

/// A program's token is a session by another name.
#[derive(Serialize)]
struct TokenView {
    id: Uuid,
    name: String,
    scopes: Vec<Scope>,
    created: Timestamp,
    seen: Option<Timestamp>,
}

pub async fn tokens(State(gateway): State<Gateway>, asker: Asker) -> Result<Response> {
    let tokens = gateway.chat.sessions(&asker.person()?, true).await?;
    let view = |token: SessionView| {
        let SessionView { id, label: name, created, seen, scopes, .. } = token;
        TokenView { id, name, scopes: scopes.unwrap_or_default(), created, seen }
    };
    Ok(axum::Json(Tokens { tokens: tokens.into_iter().map(view).collect() }).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    name: String,
    scopes: Vec<Scope>,
}

#[derive(Serialize)]
struct NewToken {
    id: Uuid,
    token: String,
}

pub async fn make_token(
    State(gateway): State<Gateway>,
    asker: Asker,
    Json(request): Json<TokenRequest>,
) -> Result<Response> {
    let (id, token) = gateway.chat.make_token(&asker.person()?, &request.name, &request.scopes).await?;
    Ok((StatusCode::CREATED, axum::Json(NewToken { id, token: token.as_str().to_owned() })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    link: String,
}

pub async fn look_at_link(
    State(gateway): State<Gateway>,
    device: Device,
    Json(request): Json<LinkRequest>,
) -> Result<axum::Json<LinkView>> {
    gateway.chat.limiter.guess_from(device.address)?;
    Ok(axum::Json(gateway.chat.look_at_link(&request.link).await?))
}

pub async fn use_link(
    State(gateway): State<Gateway>,
    asker: Asker,
    Json(request): Json<LinkRequest>,
) -> Result<Response> {
    let (user, room) = gateway.chat.use_link(&asker.person()?, &request.link).await?;
    let user = gateway.chat.profile(&user).await?;
    Ok(axum::Json(SessionAnswer { user, token: None, room }).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteRequest {
    role: Option<Role>,
    room: Option<String>,
    max_uses: Option<u32>,
    expires_hours: Option<u32>,
}

/// A link as it is handed over, and a picture of it for a telephone's camera.
#[derive(Serialize)]
pub struct Handed {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    link: String,
    qr: String,
}

pub async fn invite(
    State(gateway): State<Gateway>,
    asker: Asker,
    headers: HeaderMap,
    Json(request): Json<InviteRequest>,
) -> Result<Response> {
    let InviteRequest { role, room, max_uses, expires_hours } = request;
    let room = room.as_deref().map(room_id).transpose()?;
    let new = NewInvite { role: role.unwrap_or(Role::Member), room, max_uses, expires_hours };
    let (id, token) = gateway.chat.invite(&asker.may(Scope::Admin)?, new).await?;
    Ok((StatusCode::CREATED, axum::Json(handed(&gateway, Some(id), &token, &headers)?)).into_response())
}

/// A link to this server, as its asker calls it.
pub fn handed(gateway: &Gateway, id: Option<Uuid>, token: &Token, headers: &HeaderMap) -> Result<Handed> {
    let link = format!("/join#{}", token.as_str());
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).map(ToOwned::to_owned);
    let host = || headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(|host| format!("http://{host}"));
    let base = gateway.chat.settings.public_url.clone().or(origin).or_else(host);
    let qr = qr(&format!("{}{link}", base.unwrap_or_default()))?;
    Ok(Handed { id, link, qr })
}

#[derive(Deserialize)]
pub struct InvitesQuery {
    room: Option<String>,
}

#[derive(Serialize)]
struct Invites {
    invites: Vec<InviteView>,
}

pub async fn invites(
    State(gateway): State<Gateway>,
    asker: Asker,
    query: Result<Query<InvitesQuery>, QueryRejection>,
) -> Result<Response> {
    let Query(InvitesQuery { room }) = query.map_err(|rejection| bad_query(&rejection))?;
    let room = room.as_deref().map(room_id).transpose()?;
    let invites = gateway.chat.invites(&asker.may(Scope::Admin)?, room.as_ref()).await?;
    Ok(axum::Json(Invites { invites }).into_response())
}

pub async fn revoke_invite(
    State(gateway): State<Gateway>,
    asker: Asker,
    InPath(id): InPath<String>,
) -> Result<StatusCode> {
    gateway.chat.revoke_invite(&asker.may(Scope::Admin)?, uuid(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn qr(text: &str) -> Result<String> {
    let code = QrCode::new(text).map_err(|error| {
        tracing::error!(%error, "a link does not fit into a QR code");
        Error::Internal
    })?;
    let drawn = code.render::<svg::Color>().min_dimensions(240, 240).build();
    // What comes before the picture is for files, not for pages.
    Ok(drawn.find("<svg").map_or(drawn.clone(), |start| drawn[start..].to_owned()))
}

fn uuid(text: &str) -> Result<Uuid> {
    text.parse().map_err(|_| Error::NoPath)
}

/// A browser names its page's origin itself, so this holds behind a proxy that ends TLS too.
fn is_secure(origin: Option<&HeaderValue>) -> bool {
    origin.is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}
