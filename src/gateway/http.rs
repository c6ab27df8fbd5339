//! Every route on one page, and what stands before them all: who is asking, from where, and what an error is as an
//! HTTP status. The routes' own work is elsewhere.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use hyper::upgrade::OnUpgrade;
use serde::Deserialize;
use tower::ServiceExt;
use tower_http::timeout::TimeoutLayer;

use super::classic::{self, Client};
use super::request::{Asker, Gateway, bad_query};
use super::rest::{account, people, rooms};
use super::ws::Door;
use super::{assets, auth, rest};
use crate::chat::picture;
use crate::error::Error;
use crate::frame;

const BODY_BYTES: usize = 256 << 10;
/// Where sockets are opened.
const SOCKET: &str = "/api/socket";
/// Where the sockets of classic clients are opened, if they are let in.
const CLASSIC: [(&str, Client); 4] = [
    ("/ws", Client::Gorilla),
    ("/room", Client::Blueprints),
    ("/websocket", Client::Heroku),
    ("/chat", Client::Gochatting),
];
/// Where pictures are sent to, which are larger than other bodies.
const PICTURE: &str = "/api/account/picture";
/// How long a request may take to arrive and be answered.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// What one worker answers HTTP from.
pub struct Site {
    gateway: Gateway,
    door: Rc<Door>,
    classic: Option<Rc<classic::Door>>,
    router: Router,
}

/// Whose socket is to be opened.
enum Caller {
    Ours,
    Classic(Rc<classic::Door>, Client),
}

impl Site {
    pub fn new(gateway: Gateway, door: Rc<Door>, classic: Option<Rc<classic::Door>>) -> Self {
        Self { router: routes(gateway.clone()), gateway, door, classic }
    }

    /// Answers one request. Sockets come by the thousand at once, so they are let in ahead of the other routes, whose
    /// layers guard bodies and pages: to pass through them cost a tenth of a connection.
    pub async fn answer(&self, mut request: Request) -> Response {
        let Some(caller) = self.caller(request.uri().path()) else {
            return self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        };
        if !is_from_here(&request, &self.gateway) {
            return add_headers(foreign().into_response()).await;
        }
        let opened = tokio::time::timeout(REQUEST_TIME, self.open_socket(caller, &mut request)).await;
        add_headers(opened.map_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response(), IntoResponse::into_response))
            .await
    }

    fn caller(&self, path: &str) -> Option<Caller> {
        if path == SOCKET {
            return Some(Caller::Ours);
        }
        let door = self.classic.as_ref()?;
        let (_, client) = CLASSIC.iter().find(|(at, client)| *at == path && door.serves(*client))?;
        Some(Caller::Classic(door.clone(), *client))
    }

    /// Admits a WebSocket (RFC 6455 §4.2). A refusal is an HTTP status, so that a client need not open one to learn it.
    async fn open_socket(&self, caller: Caller, request: &mut Request) -> Result<Response, Error> {
        if request.method() != Method::GET {
            return Ok(([(header::ALLOW, "GET")], no_method().await).into_response());
        }
        let accept = accept_key(request.headers())?;
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let upgrade = upgrade.ok_or_else(|| Error::Invalid("expected HTTP/1.1".to_owned()))?;
        if self.gateway.draining.load(Ordering::Acquire) {
            return Err(Error::Unavailable("this node is stopping; connect again"));
        }
        match caller {
            Caller::Ours => {
                let query =
                    Query::<SocketQuery>::try_from_uri(request.uri()).map_err(|rejection| bad_query(&rejection))?;
                let Asker { visitor, address } =
                    Asker::of(request.headers(), request.extensions(), &self.gateway).await?;
                let admission = self.gateway.chat.admit(visitor, query.name.as_deref(), address).await?;
                tokio::task::spawn_local(self.door.clone().admit(upgrade, admission));
            }
            Caller::Classic(door, client) => {
                let admitted = door.admit(client, request, upgrade, &self.gateway).await?;
                tokio::task::spawn_local(admitted);
            }
        }
        let headers = [
            (header::CONNECTION, HeaderValue::from_static("Upgrade")),
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::SEC_WEBSOCKET_ACCEPT, accept),
        ];
        Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
    }
}

fn routes(gateway: Gateway) -> Router {
    Router::new()
        .route("/", get(assets::page))
        .route("/join", get(assets::page))
        .route("/r/{room}", get(assets::page))
        .route("/r/{room}/{seq}", get(assets::page))
        .route("/assets/{hash}/{*path}", get(assets::asset))
        .route("/favicon.ico", get(assets::favicon))
        .route("/avatars/{user}", get(rest::avatar))
        .route("/auth/{provider}", get(auth::leave))
        .route("/auth/{provider}/callback", get(auth::come_back))
        .route("/health", get(rest::health))
        .route("/ready", get(rest::ready))
        .route(
            "/api/session",
            get(account::session).post(account::open_session).patch(account::change_user).delete(account::end_session),
        )
        .route("/api/sessions", get(account::sessions).delete(account::sign_out_everywhere))
        .route("/api/sessions/{id}", delete(account::end_one_session))
        .route("/api/account", post(account::register).delete(account::delete_account))
        .route("/api/account/password", put(account::change_password))
        .route("/api/account/forgotten", post(account::forgotten))
        .route("/api/account/reset", post(account::reset_password))
        .route(
            "/api/account/second-factor",
            post(account::offer_second_factor).put(account::confirm_second_factor).delete(account::drop_second_factor),
        )
        .route(
            "/api/account/picture",
            put(account::set_picture).delete(account::drop_picture).layer(DefaultBodyLimit::max(picture::MOST_BYTES)),
        )
        .route("/api/tokens", get(account::tokens).post(account::make_token))
        .route("/api/tokens/{id}", delete(account::end_one_session))
        .route("/api/links/look", post(account::look_at_link))
        .route("/api/links/use", post(account::use_link))
        .route("/api/invites", get(account::invites).post(account::invite))
        .route("/api/invites/{id}", delete(account::revoke_invite))
        .route("/api/place", get(people::place).patch(people::change_place))
        .route("/api/users", get(people::people))
        .route("/api/users/{user}", get(people::person).patch(people::set_role))
        .route("/api/users/{user}/mute", post(people::mute).delete(people::unmute))
        .route("/api/users/{user}/kick", post(people::kick))
        .route("/api/users/{user}/ban", post(people::ban).delete(people::lift_ban))
        .route("/api/users/{user}/reset", post(people::reset_link))
        .route("/api/ignored/{user}", put(people::ignore).delete(people::hear))
        .route("/api/bans", get(people::bans))
        .route("/api/reports", get(people::reports))
        .route("/api/reports/{id}", delete(people::settle_report))
        .route("/api/audit", get(people::audit))
        .route("/api/rooms", get(rest::browse).post(rooms::create))
        .route("/api/rooms/{room}", get(rooms::room).patch(rooms::change).delete(rooms::delete))
        .route("/api/rooms/{room}/members", get(rooms::members))
        .route("/api/rooms/{room}/members/me", put(rooms::join).delete(rooms::leave))
        .route("/api/rooms/{room}/members/{user}", put(rooms::set_member).delete(rooms::remove_member))
        .route("/api/rooms/{room}/messages", get(rest::history).post(rest::post))
        .route("/api/rooms/{room}/messages/{seq}", delete(rooms::delete_message))
        .route("/api/rooms/{room}/messages/{seq}/report", post(people::report))
        .fallback(|| async { Error::NoPath })
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn(see_through))
        .layer(middleware::from_fn(gather))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIME))
        .layer(middleware::from_fn_with_state(gateway.clone(), check_origin))
        .layer(middleware::map_response(add_headers))
        .with_state(gateway)
}

#[derive(Deserialize)]
struct SocketQuery {
    name: Option<String>,
}

async fn no_method() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, Error::NoPath).into_response()
}

fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, Error> {
    let has = |name: HeaderName, word: &str| {
        let words = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        words.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(word))
    };
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(Error::Invalid("expected a WebSocket: `Connection: Upgrade` and `Upgrade: websocket`".to_owned()));
    }
    if !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(Error::Invalid("Sec-WebSocket-Version: expected 13".to_owned()));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    key.and_then(frame::accept_key)
        .and_then(|accept| accept.parse().ok())
        .ok_or_else(|| Error::Invalid("Sec-WebSocket-Key: expected 16 bytes in base64".to_owned()))
}

/// Refuses what a page of another origin asks for in the name of its visitor: on the socket and wherever something
/// changes. Programs send no `Origin`.
async fn check_origin(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if safe || is_from_here(&request, &gateway) {
        return next.run(request).await;
    }
    foreign().into_response()
}

fn is_from_here(request: &Request, gateway: &Gateway) -> bool {
    let headers = request.headers();
    headers.get(header::ORIGIN).is_none_or(|origin| is_ours(origin, headers, &gateway.origins))
}

fn foreign() -> Error {
    Error::NotAllowed("expected a page of this server; --origins admits others")
}

fn is_ours(origin: &HeaderValue, headers: &HeaderMap, origins: &[String]) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    (authority.is_some() && authority == host) || origins.iter().any(|allowed| allowed == origin)
}

/// Waits for the whole body of what changes something, before anybody looks up who asks: a right must not outlive its end
/// by as long as a body is held back.
async fn gather(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let is_picture = request.uri().path() == PICTURE;
    let limit = if is_picture { picture::MOST_BYTES } else { BODY_BYTES };
    let (parts, body) = request.into_parts();
    match axum::body::to_bytes(body, limit).await {
        Ok(body) => next.run(Request::from_parts(parts, body.into())).await,
        Err(_) if is_picture => Error::TooLarge { limit }.into_response(),
        Err(_) => Error::Invalid(format!("body: expected at most {limit} bytes")).into_response(),
    }
}

/// Carries out what changes something also where its asker hangs up half way: what was begun has effects that belong
/// together.
async fn see_through(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    tokio::spawn(next.run(request)).await.unwrap_or_else(|_| Error::Internal.into_response())
}

/// The headers that every answer carries.
async fn add_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // A picture or an error is no page: nothing in it may run.
    let nothing = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(nothing);
    response
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = status(&self);
        let retry_after = match &self {
            Self::RateLimited { retry_after_ms } | Self::SlowMode { retry_after_ms } => {
                Some(retry_after_ms.div_ceil(1000))
            }
            _ => None,
        };
        let body = serde_json::json!({ "error": self }).to_string();
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn status(error: &Error) -> StatusCode {
    match error {
        Error::Malformed | Error::UnknownType(_) | Error::BadRef(_) | Error::Invalid(_) | Error::WeakPassword(_) => {
            StatusCode::BAD_REQUEST
        }
        Error::NoSession | Error::BadCredentials | Error::SecondFactor => StatusCode::UNAUTHORIZED,
        Error::NotAllowed(_) | Error::Muted(_) | Error::Banned(_) => StatusCode::FORBIDDEN,
        Error::BadLink => StatusCode::GONE,
        Error::NoRoom(_) | Error::NoUser | Error::NoPath => StatusCode::NOT_FOUND,
        Error::Exists(_) | Error::NameTaken(_) | Error::Reset(_) => StatusCode::CONFLICT,
        Error::TooLong { .. } | Error::TooLarge { .. } | Error::TooManyPixels { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Error::NotAnImage => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::RateLimited { .. } | Error::SlowMode { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Error::UnknownOutcome => StatusCode::GATEWAY_TIMEOUT,
        Error::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
