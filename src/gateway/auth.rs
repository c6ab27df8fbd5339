//! The door by which people come in who sign in elsewhere: away to a provider, and back. It moves browsers about and
//! knows their cookies; what is asked of a provider, and who may come in, is chat's.

use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::request::{Asker, Base, Gateway, InPath, cookie, session_cookie, set_cookie};
use crate::chat::auth::Device;
use crate::chat::provider::{Arrival, Departure, ERRAND_LASTS, Refusal, Return, Wish};
use crate::error::{Error, Result};

/// Holds what binds a sign-in to the browser that began it.
const SIGN_IN_COOKIE: &str = "chinwag_sign_in";
/// How browsers say from where a page was asked for (Fetch Metadata).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[derive(Deserialize)]
pub struct LeaveQuery {
    next: Option<String>,
    invite: Option<String>,
}

/// Away to the provider.
pub async fn leave(
    State(gateway): State<Gateway>,
    InPath(provider): InPath<String>,
    asker: Result<Asker>,
    Base(base): Base,
    device: Device,
    headers: HeaderMap,
    query: Result<Query<LeaveQuery>, QueryRejection>,
) -> Result<Response> {
    let Query(LeaveQuery { next, invite }) = query.unwrap_or(Query(LeaveQuery { next: None, invite: None }));
    // A foreign page must not have its visitor's account tied to a sign-in of its choice, and a program nobody's.
    let asker = present(asker)?.filter(|_| is_own_page(&headers, &base));
    let asker = asker.and_then(|asker| asker.visitor).filter(|visitor| visitor.must_be_person().is_ok());
    let wish = Wish {
        next: next.as_deref(),
        invite: invite.as_deref(),
        asker: asker.map(|visitor| visitor.user.id),
        base: &base,
    };
    match gateway.chat.leave_for(&provider, wish, &device).await {
        Ok(Departure { url, browser }) => {
            let kept = sign_in_cookie(browser.as_str(), ERRAND_LASTS, &base)?;
            go(&url, [kept])
        }
        Err(refusal) => refused(refusal, None),
    }
}

#[derive(Default, Deserialize)]
pub struct ReturnQuery {
    #[serde(default)]
    state: String,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

/// Back from the provider.
pub async fn come_back(
    State(gateway): State<Gateway>,
    InPath(provider): InPath<String>,
    asker: Result<Asker>,
    Base(base): Base,
    device: Device,
    headers: HeaderMap,
    query: Result<Query<ReturnQuery>, QueryRejection>,
) -> Result<Response> {
    let Query(query) = query.unwrap_or_default();
    let visitor = present(asker)?.and_then(|asker| asker.visitor);
    let browser = cookie(&headers, SIGN_IN_COOKIE).unwrap_or_default();
    let done = sign_in_cookie("", Duration::ZERO, &base)?;
    // Seen through also where the browser hangs up: an account is made or it is not.
    let entering = tokio::spawn(async move {
        let back = Return {
            state: &query.state,
            browser: &browser,
            code: query.code.as_deref(),
            error: query.error.as_deref(),
            issuer: query.iss.as_deref(),
        };
        gateway.chat.come_back_from(&provider, back, visitor, &device).await
    });
    match entering.await.unwrap_or(Err(Refusal::Other(Error::Internal))) {
        Ok(Arrival { session, next }) => {
            let session = session.map(|token| session_cookie(token.as_str(), is_secure(&base))).transpose()?;
            go(&next, [done].into_iter().chain(session))
        }
        Err(refusal) => refused(refusal, Some(done)),
    }
}

/// A session that is over is none: its holder comes to get another.
fn present(asker: Result<Asker>) -> Result<Option<Asker>> {
    match asker {
        Ok(asker) => Ok(Some(asker)),
        Err(Error::NoSession) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a page of ours leads here, or the person by themselves. Browsers say so over TLS and on this machine; to
/// others the address is told from which they come.
fn is_own_page(headers: &HeaderMap, base: &str) -> bool {
    if let Some(site) = headers.get(FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let from = headers.get(header::REFERER).and_then(|from| from.to_str().ok());
    from.and_then(|from| from.strip_prefix(base)).is_some_and(|path| path.starts_with('/'))
}

fn refused(refusal: Refusal, done: Option<HeaderValue>) -> Result<Response> {
    match (refusal.code(), refusal) {
        (Some(code), _) => go(&format!("/?sign_in_problem={code}"), done),
        (None, Refusal::Other(error)) => Err(error),
        (None, _) => Err(Error::Internal),
    }
}

fn go(to: &str, cookies: impl IntoIterator<Item = HeaderValue>) -> Result<Response> {
    let to = HeaderValue::try_from(to).map_err(|_| Error::Internal)?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn sign_in_cookie(token: &str, lasts: Duration, base: &str) -> Result<HeaderValue> {
    set_cookie(SIGN_IN_COOKIE, token, "/auth", lasts, is_secure(base))
}

fn is_secure(base: &str) -> bool {
    base.starts_with("https://")
}
