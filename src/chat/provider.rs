//! Signing in by a provider, from leaving for it to coming back: what is carried along is kept here, and the browser
//! has no more than two secrets of it. What is asked of each kind of provider is in provider/openid.rs and
//! provider/oauth.rs, what becomes of who came back in provider/enter.rs. Knows no cookie and no route.

mod enter;
mod oauth;
mod openid;

use std::error;
use std::pin::Pin;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use oauth2::{AsyncHttpClient, ClientSecret, HttpRequest, HttpResponse, PkceCodeVerifier};
use openidconnect::Nonce;
use serde::{Deserialize, Serialize};

use self::openid::Metadata;
use super::Chat;
use super::auth::{Device, Token, Visitor, hash};
use crate::error::Error;
use crate::fetch::{FetchError, Fetcher};
use crate::protocol::UserId;
use crate::store::TokenHash;

/// Who left comes back within this time.
pub const ERRAND_LASTS: Duration = Duration::from_mins(10);
/// A longer path or link is not carried along.
const CARRIED_BYTES: usize = 512;
/// What a provider answers is not longer.
const ANSWER_BYTES: usize = 1 << 20;

/// A provider as the host has set it up.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Its name in paths, such as `github`.
    pub id: String,
    /// What people call it.
    pub name: String,
    pub kind: ProviderKind,
    pub client: String,
    pub secret: ClientSecret,
    /// Who may come in by it: those whom it knows by a verified e-mail at one of these domains. Anyone if empty.
    pub domains: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum ProviderKind {
    /// OIDC, Google among others: the issuer tells all else by itself.
    OpenId { issuer: String },
    /// Plain OAuth.
    OAuth(OAuth),
}

#[derive(Clone, Debug)]
pub struct OAuth {
    pub dialect: Dialect,
    /// Where its pages are.
    pub web: String,
    pub api: String,
}

/// How a provider of plain OAuth tells who came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    GitHub,
    Facebook,
}

impl ProviderSettings {
    /// Whose subjects these are: what accounts are tied to.
    fn issuer(&self) -> &str {
        match &self.kind {
            ProviderKind::OpenId { issuer } => issuer,
            ProviderKind::OAuth(oauth) => &oauth.web,
        }
    }

    fn admits(&self, email: &str) -> bool {
        let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
        self.domains.is_empty() || self.domains.iter().any(|admitted| admitted.eq_ignore_ascii_case(domain))
    }
}

/// A provider as anyone may know of it.
#[derive(Debug, Serialize)]
pub struct ProviderView {
    id: String,
    name: String,
}

/// A provider, and what was learned of it since the start.
pub(super) struct Provider {
    settings: ProviderSettings,
    metadata: Metadata,
}

impl Provider {
    pub(super) fn new(settings: ProviderSettings) -> Self {
        Self { settings, metadata: Metadata::default() }
    }

    pub(super) fn view(&self) -> ProviderView {
        ProviderView { id: self.settings.id.clone(), name: self.settings.name.clone() }
    }

    fn failed(&self, error: &dyn error::Error) -> Refusal {
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(deeper) = cause {
            reason = format!("{reason}: {deeper}");
            cause = deeper.source();
        }
        tracing::warn!(provider = self.settings.id, reason, "a provider failed");
        Refusal::Provider
    }

    fn said(&self, what: &str) -> Refusal {
        tracing::warn!(provider = self.settings.id, reason = what, "a provider failed");
        Refusal::Provider
    }
}

/// Why somebody does not come in by a provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("they did not agree at the provider")]
    Denied,
    /// Unknown, used, too old, or begun by another browser.
    #[error("nobody has left for this provider who could come back like this")]
    State,
    #[error("the provider gave no good answer")]
    Provider,
    #[error("they may not come in")]
    NotAllowed,
    #[error("they are banned")]
    Banned,
    #[error(transparent)]
    Other(Error),
}

impl Refusal {
    /// The word for it in the page's address; none for what is any request's error.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Denied => Some("denied"),
            Self::State => Some("state"),
            Self::Provider => Some("provider"),
            Self::NotAllowed => Some("not_allowed"),
            Self::Banned => Some("banned"),
            Self::Other(_) => None,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Banned(_) => Self::Banned,
            Error::NotAllowed(_) | Error::BadLink => Self::NotAllowed,
            other => Self::Other(other),
        }
    }
}

/// What somebody wants who leaves for a provider.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The page to come back to; anything but a path of this server is passed over.
    pub next: Option<&'a str>,
    pub invite: Option<&'a str>,
    /// To whom the provider is to be tied, where somebody who is in already leaves from a page of ours.
    pub asker: Option<UserId>,
    /// How this server is called from outside.
    pub base: &'a str,
}

/// Somebody on their way to a provider.
pub struct Departure {
    pub url: String,
    /// What their browser has to keep, so that nobody else comes back in their place.
    pub browser: Token,
}

/// What somebody brings back.
#[derive(Debug)]
pub struct Return<'a> {
    pub state: &'a str,
    /// What the browser has kept.
    pub browser: &'a str,
    pub code: Option<&'a str>,
    /// In place of a code.
    pub error: Option<&'a str>,
    /// Who answers, where the provider says it (RFC 9207).
    pub issuer: Option<&'a str>,
}

/// Somebody who came in.
pub struct Arrival {
    /// None where they keep the session that they have.
    pub session: Option<Token>,
    /// The page to go on with: a path of this server.
    pub next: String,
}

/// What a browser was sent to a provider for. Kept by its state, so that any node can end it, once.
#[derive(Serialize, Deserialize)]
struct Errand {
    browser: TokenHash,
    provider: String,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    redirect: String,
    next: String,
    invite: Option<String>,
    asker: Option<UserId>,
}

/// Somebody as their provider describes them.
#[derive(Debug, Default)]
struct Person {
    subject: String,
    /// What they may be called, the best first.
    names: Vec<String>,
    email: Option<String>,
    email_verified: bool,
    picture: Option<String>,
}

/// The guarded client as the crates for OAuth take it.
struct Http<'a>(&'a Fetcher);

impl<'c> AsyncHttpClient<'c> for Http<'_> {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.0.send(request, ANSWER_BYTES))
    }
}

impl Chat {
    /// Where a browser goes to sign in by a provider. `NoPath` where there is no such one.
    pub async fn leave_for(&self, provider: &str, wish: Wish<'_>, device: &Device) -> Result<Departure, Refusal> {
        let provider = self.provider(provider)?;
        self.limiter.arrive(device.address)?;
        let (state, browser, nonce) = (Token::new()?, Token::new()?, Nonce::new(Token::new()?.as_str().to_owned()));
        let redirect = format!("{}/auth/{}/callback", wish.base, provider.settings.id);
        let (url, verifier) = match &provider.settings.kind {
            ProviderKind::OpenId { issuer } => {
                let metadata = provider.metadata.of(provider, issuer, &self.settings.fetcher).await?;
                openid::leave(provider, &metadata, &redirect, state.as_str(), &nonce)?
            }
            ProviderKind::OAuth(oauth) => oauth::leave(provider, oauth, &redirect, state.as_str())?,
        };
        let carried = |text: &&str| text.len() <= CARRIED_BYTES;
        let errand = Errand {
            browser: browser.hash(),
            provider: provider.settings.id.clone(),
            nonce,
            verifier,
            redirect,
            next: wish.next.filter(carried).filter(|next| is_local(next)).unwrap_or("/").to_owned(),
            invite: wish.invite.filter(carried).map(ToOwned::to_owned),
            asker: wish.asker,
        };
        let word = serde_json::to_string(&errand).map_err(|_| Error::Internal)?;
        self.store.nodes.keep(kept_by(state.as_str()), word, ERRAND_LASTS).await?;
        Ok(Departure { url, browser })
    }

    /// Lets in who comes back from a provider. `NoPath` where there is no such one.
    pub async fn come_back_from(
        &self,
        provider: &str,
        back: Return<'_>,
        asker: Option<Visitor>,
        device: &Device,
    ) -> Result<Arrival, Refusal> {
        let provider = self.provider(provider)?;
        let word = self.store.nodes.take(kept_by(back.state)).await?.ok_or(Refusal::State)?;
        let errand: Errand = serde_json::from_str(&word).map_err(|_| Refusal::State)?;
        // Who left as somebody comes back as the same, or not at all.
        let asker = asker.filter(|visitor| errand.asker == Some(visitor.user.id));
        if errand.browser != hash(back.browser)
            || errand.provider != provider.settings.id
            || errand.asker.is_some() != asker.is_some()
        {
            return Err(Refusal::State);
        }
        let person = self.ask_who(provider, &errand, &back).await?;
        self.enter(provider, person, &errand, asker, device).await
    }

    async fn ask_who(&self, provider: &Provider, errand: &Errand, back: &Return<'_>) -> Result<Person, Refusal> {
        match back.error {
            Some("access_denied") => return Err(Refusal::Denied),
            Some(other) => return Err(provider.said(&format!("it answered {other:?}"))),
            None => {}
        }
        let code = back.code.ok_or_else(|| provider.said("it answered without a code"))?;
        let fetcher = &self.settings.fetcher;
        match &provider.settings.kind {
            ProviderKind::OpenId { issuer } => {
                if back.issuer.is_some_and(|named| named != issuer) {
                    return Err(provider.said("another issuer has answered"));
                }
                openid::who(provider, issuer, errand, code, fetcher).await
            }
            ProviderKind::OAuth(oauth) => oauth::who(provider, oauth, errand, code, fetcher).await,
        }
    }

    fn provider(&self, id: &str) -> Result<&Provider, Error> {
        self.providers.iter().find(|provider| provider.settings.id == id).ok_or(Error::NoPath)
    }

    /// The providers, of those that there are, by whose issuers somebody is known.
    pub(super) fn providers_of(&self, issuers: &[String]) -> Vec<String> {
        let known = |provider: &&Provider| issuers.iter().any(|issuer| issuer == provider.settings.issuer());
        self.providers.iter().filter(known).map(|provider| provider.settings.id.clone()).collect()
    }
}

/// By its hash: what is kept shows no secret that somebody could come back with.
fn kept_by(state: &str) -> String {
    format!("errand:{}", BASE64_URL_SAFE_NO_PAD.encode(hash(state)))
}

/// Whether a browser that is sent there stays with this server: what looks like a path can lead elsewhere.
fn is_local(next: &str) -> bool {
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    plain && next.starts_with('/') && !next.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = ClientSecret::new("do not tell".to_owned());
        let kind = ProviderKind::OpenId { issuer: "https://id.example.org".to_owned() };
        let (id, name, client) = ("oidc".to_owned(), "Example".to_owned(), "chat".to_owned());
        let settings = ProviderSettings { id, name, kind, client, secret, domains: Vec::new() };
        assert!(!format!("{settings:?}").contains("do not tell"));
    }
}
