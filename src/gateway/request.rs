//! What the doors over HTTP are given: who is asking, a body or a path read. It knows no route.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::chat::Chat;
use crate::chat::auth::Visitor;
use crate::error::Error;
use crate::protocol::{RoomId, check_room};

pub const SESSION_COOKIE: &str = "chinwag_session";

/// What every route may use.
#[derive(Clone)]
pub struct Gateway {
    pub chat: Arc<Chat>,
    /// Where pages may be served that use this server, beside the server itself.
    pub origins: Arc<[String]>,
    pub draining: Arc<AtomicBool>,
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
        let Address(address) = Address::of(extensions)?;
        let Some(token) = token(headers) else { return Ok(Self { visitor: None, address }) };
        let visitor = gateway.chat.visitor(&token).await?.ok_or(Error::NoSession)?;
        Ok(Self { visitor: Some(visitor), address })
    }

    pub fn known(self) -> Result<Visitor, Error> {
        self.visitor.ok_or(Error::NoSession)
    }
}

/// From where a request comes, whoever asks.
pub struct Address(pub IpAddr);

impl FromRequestParts<Gateway> for Address {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Gateway) -> Result<Self, Error> {
        Self::of(&parts.extensions)
    }
}

impl Address {
    fn of(extensions: &Extensions) -> Result<Self, Error> {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().ok_or(Error::Internal)?;
        Ok(Self(peer.0.ip()))
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

pub fn bad_query(rejection: &QueryRejection) -> Error {
    Error::Invalid(format!("query: {}", rejection.body_text().to_lowercase()))
}

fn token(headers: &HeaderMap) -> Option<String> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let value = value.to_str().unwrap_or_default();
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        // Whatever else stands there is no token of ours, and is refused as such.
        return Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim().to_owned() } else { String::new() });
    }
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == SESSION_COOKIE).map(|(_, token)| token.to_owned()).next()
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
        serde_path_to_error::deserialize(&mut reader).map(Self).map_err(|error| match error.inner().classify() {
            serde_json::error::Category::Data => Error::Invalid(error.to_string()),
            _ => Error::Malformed,
        })
    }
}
