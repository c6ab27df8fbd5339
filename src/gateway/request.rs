//! What the doors over HTTP are given: who is asking, a body or a path read. It knows no route.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{Extensions, HeaderMap, HeaderValue, header};
use ipnet::IpNet;
use serde::de::DeserializeOwned;

use crate::chat::Chat;
use crate::chat::auth::{Device, Visitor};
use crate::error::Error;
use crate::protocol::{RoomId, Scope, UserId, check_room};

const SESSION_COOKIE: &str = "chinwag_session";

/// As long as browsers keep a cookie at all. When a session is over is the server's to say.
const COOKIE_LASTS: Duration = Duration::from_hours(400 * 24);
const LIST_LIMIT: usize = 200;

/// What every route may use.
#[derive(Clone)]
pub struct Gateway {
    pub chat: Arc<Chat>,
    /// Where pages may be served that use this server, beside the server itself.
    pub origins: Arc<[String]>,
    /// Who may say from where a request comes.
    pub proxies: Arc<[IpNet]>,
    pub draining: Arc<AtomicBool>,
}

impl Gateway {
    /// Whether this is a proxy that may speak for others.
    fn trusts(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|net| net.contains(&peer.to_canonical()))
    }
}

/// Who is asking: by `Authorization: Bearer`, else by the session cookie, else nobody. A session that is over is an
/// error, not nobody: its holder would otherwise speak on as somebody else.
pub struct Asker {
    pub visitor: Option<Visitor>,
    pub address: IpAddr,
}

impl FromRequestParts<Gateway> for Asker {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Error> {
        Self::of(&parts.headers, &parts.extensions, gateway).await
    }
}

impl Asker {
    pub async fn of(headers: &HeaderMap, extensions: &Extensions, gateway: &Gateway) -> Result<Self, Error> {
        let Address(address) = Address::of(headers, extensions, gateway)?;
        let Some((token, by_cookie)) = token(headers) else { return Ok(Self { visitor: None, address }) };
        let visitor = gateway.chat.visitor(&token).await?;
        // A program's token is for the header: a cookie goes along with what other pages ask for.
        let visitor = visitor.filter(|visitor| !by_cookie || visitor.must_be_person().is_ok());
        let visitor = visitor.ok_or(Error::NoSession)?;
        if visitor.user.role.is_guest() {
            gateway.chat.check_address(address)?;
        }
        Ok(Self { visitor: Some(visitor), address })
    }

    /// Somebody with a session, or a program that may do this.
    pub fn may(self, scope: Scope) -> Result<Visitor, Error> {
        let visitor = self.visitor.ok_or(Error::NoSession)?;
        if visitor.may(scope) {
            Ok(visitor)
        } else {
            Err(Error::NotAllowed("this token is not good for that: its scopes"))
        }
    }

    /// A person with a session: what concerns an account itself is not for programs.
    pub fn person(self) -> Result<Visitor, Error> {
        let visitor = self.visitor.ok_or(Error::NoSession)?;
        visitor.must_be_person().map(|()| visitor)
    }

    /// Somebody who reads what is public: also nobody, where strangers may look around.
    pub fn reads(self, gateway: &Gateway) -> Result<Option<Visitor>, Error> {
        gateway.chat.limiter.look(self.visitor.as_ref().map(|visitor| visitor.user.id), self.address)?;
        match self.visitor {
            None if gateway.chat.welcomes_strangers() => Ok(None),
            _ => self.may(Scope::Read).map(Some),
        }
    }
}

/// From where a request comes, whoever asks: the peer, or whom a trusted proxy names.
pub struct Address(pub IpAddr);

impl FromRequestParts<Gateway> for Address {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Error> {
        Self::of(&parts.headers, &parts.extensions, gateway)
    }
}

impl Address {
    pub fn of(headers: &HeaderMap, extensions: &Extensions, gateway: &Gateway) -> Result<Self, Error> {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().ok_or(Error::Internal)?;
        let mut address = peer.0.ip();
        // Each proxy adds at the end from whom it had the request: what stands before a stranger's entry may be made up.
        let named = headers.get_all("x-forwarded-for").into_iter().filter_map(|value| value.to_str().ok());
        let mut named = named.flat_map(|value| value.split(',')).map(str::trim).collect::<Vec<_>>().into_iter().rev();
        while gateway.trusts(address)
            && let Some(before) = named.next().and_then(|before| before.parse().ok())
        {
            address = before;
        }
        Ok(Self(address))
    }
}

/// How this server is called from outside, such as `https://chat.example.org`: as its host says, else as the browser
/// calls it, whose scheme a trusted proxy knows.
pub struct Base(pub String);

impl FromRequestParts<Gateway> for Base {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Error> {
        Self::of(&parts.headers, &parts.extensions, gateway)
    }
}

impl Base {
    pub fn of(headers: &HeaderMap, extensions: &Extensions, gateway: &Gateway) -> Result<Self, Error> {
        if let Some(url) = &gateway.chat.settings.public_url {
            return Ok(Self(url.clone()));
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.and_then(|host| host.parse::<Authority>().ok()).filter(|host| !host.as_str().contains('@'));
        let host = host.ok_or_else(|| Error::Invalid("Host: expected the name of this server".to_owned()))?;
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().ok_or(Error::Internal)?;
        let told = headers.get("x-forwarded-proto").filter(|_| gateway.trusts(peer.0.ip()));
        let scheme = if told.is_some_and(|scheme| scheme == "https") { "https" } else { "http" };
        Ok(Self(format!("{scheme}://{host}")))
    }
}

impl FromRequestParts<Gateway> for Device {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Error> {
        let Address(address) = Address::of(&parts.headers, &parts.extensions, gateway)?;
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        Ok(Self { address, label: label(agent.unwrap_or_default()) })
    }
}

/// What a person would call their browser, by the words that each of them sends. The order counts: most of them name
/// others too.
fn label(agent: &str) -> String {
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "Mac"),
        ("Linux", "Linux"),
    ];
    let find =
        |known: &[(&str, &'static str)]| known.iter().find(|(word, _)| agent.contains(word)).map(|(_, name)| *name);
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) if agent.is_empty() => "a program".to_owned(),
        (None, _) => agent.chars().filter(|c| !c.is_control()).take(60).collect(),
    }
}

/// A part of the path, as it was before it was encoded. What is not UTF-8 then is no path of ours.
pub struct InPath<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Gateway> for InPath<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Error> {
        Path::from_request_parts(parts, gateway).await.map(|Path(part)| Self(part)).map_err(|_| Error::NoPath)
    }
}

/// The id of a room in the path, bounded as on the socket.
pub fn room_id(room: &str) -> Result<RoomId, Error> {
    check_room(room)?;
    Ok(RoomId::from(room))
}

/// The id of a user in the path.
pub fn user_id(user: &str) -> Result<UserId, Error> {
    user.parse().map_err(|_| Error::NoUser)
}

/// How much of a list is asked for.
pub fn check_limit(limit: Option<usize>) -> Result<usize, Error> {
    let limit = limit.unwrap_or(50);
    if (1..=LIST_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    Err(Error::Invalid(format!("limit: expected 1 to {LIST_LIMIT}, found {limit}")))
}

pub fn bad_query(rejection: &QueryRejection) -> Error {
    Error::Invalid(format!("query: {}", rejection.body_text().to_lowercase()))
}

/// The token, and whether it came as a cookie.
fn token(headers: &HeaderMap) -> Option<(String, bool)> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let value = value.to_str().unwrap_or_default();
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        // Whatever else stands there is no token of ours, and is refused as such.
        let token = if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" };
        return Some((token.to_owned(), false));
    }
    cookie(headers, SESSION_COOKIE).map(|token| (token, true))
}

/// A cookie's value.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
}

/// Sets the session's cookie; clears it where there is no token.
pub fn session_cookie(token: &str, secure: bool) -> Result<HeaderValue, Error> {
    let lasts = if token.is_empty() { Duration::ZERO } else { COOKIE_LASTS };
    set_cookie(SESSION_COOKIE, token, "/", lasts, secure)
}

/// Sets a cookie that no script sees, and that no other site's form sends.
pub fn set_cookie(name: &str, value: &str, path: &str, lasts: Duration, secure: bool) -> Result<HeaderValue, Error> {
    let (secure, seconds) = (if secure { "; Secure" } else { "" }, lasts.as_secs());
    let cookie = format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    HeaderValue::try_from(cookie).map_err(|_| Error::Internal)
}

/// A body of JSON, whose faults are told as everywhere.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Gateway> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Error> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        // A form on a foreign page cannot send this type without asking first.
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Error::Invalid("Content-Type: expected application/json".to_owned()));
        }
        let body = Bytes::from_request(request, gateway).await.map_err(|rejection: BytesRejection| {
            Error::Invalid(format!("body: {}", rejection.body_text().to_lowercase()))
        })?;
        let mut reader = serde_json::Deserializer::from_slice(&body);
        let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| match error.inner().classify() {
            serde_json::error::Category::Data => Error::Invalid(error.to_string()),
            _ => Error::Malformed,
        })?;
        reader.end().map_err(|_| Error::Malformed)?;
        // What is read as fields by their names would also be read from a list, by their order.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Error::Invalid("body: expected one JSON object".to_owned()));
        }
        Ok(Self(read))
    }
}
