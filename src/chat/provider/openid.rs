//! What is asked of an OIDC issuer (Core and Discovery 1.0): where its pages are, and who came. The
//! checks of its tokens are the crate's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreProviderMetadata, CoreUserInfoClaims,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, CsrfToken,
    EndUserEmail, EndUserName, EndUserPictureUrl, EndUserUsername, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    IssuerUrl, LocalizedClaim, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    SubjectIdentifier, TokenResponse,
};
use parking_lot::RwLock;

use super::{Errand, Http, Person, Provider, Refusal};
use crate::fetch::Fetcher;

/// What an issuer says of itself is asked for anew after this time.
const METADATA_LASTS: Duration = Duration::from_hours(1);

/// What an issuer says of itself, its keys included, since it was last asked.
#[derive(Default)]
pub(super) struct Metadata(RwLock<Option<(Instant, Arc<CoreProviderMetadata>)>>);

impl Metadata {
    /// Asked for when first needed. A failure is not kept: the next one asks again.
    pub(super) async fn of(
        &self,
        provider: &Provider,
        issuer: &str,
        fetcher: &Fetcher,
    ) -> Result<Arc<CoreProviderMetadata>, Refusal> {
        if let Some((at, known)) = &*self.0.read()
            && at.elapsed() < METADATA_LASTS
        {
            return Ok(known.clone());
        }
        let url = IssuerUrl::new(issuer.to_owned()).map_err(|error| provider.failed(&error))?;
        let http = Http(fetcher);
        let found = CoreProviderMetadata::discover_async(url, &http).await.map_err(|error| provider.failed(&error))?;
        let found = Arc::new(found);
        *self.0.write() = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    fn forget(&self) {
        *self.0.write() = None;
    }
}

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

fn client(provider: &Provider, metadata: &CoreProviderMetadata, redirect: &str) -> Result<Client, Refusal> {
    let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|error| provider.failed(&error))?;
    let methods = metadata.token_endpoint_auth_methods_supported();
    // Basic is what an issuer takes that does not say (Discovery §3).
    let takes_basic = methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
    let (id, secret) = (ClientId::new(provider.settings.client.clone()), provider.settings.secret.clone());
    let client = CoreClient::from_provider_metadata(metadata.clone(), id, Some(secret)).set_redirect_uri(redirect);
    Ok(client.set_auth_type(if takes_basic { AuthType::BasicAuth } else { AuthType::RequestBody }))
}

/// The address to leave for, and the secret that proves who has left when the code is redeemed (RFC 7636).
pub(super) fn leave(
    provider: &Provider,
    metadata: &CoreProviderMetadata,
    redirect: &str,
    state: &str,
    nonce: &Nonce,
) -> Result<(String, PkceCodeVerifier), Refusal> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let client = client(provider, metadata, redirect)?;
    let (state, nonce) = (CsrfToken::new(state.to_owned()), nonce.clone());
    let request = client.authorize_url(CoreAuthenticationFlow::AuthorizationCode, || state, || nonce);
    let request = request.add_scope(Scope::new("email".to_owned())).add_scope(Scope::new("profile".to_owned()));
    let (url, _, _) = request.set_pkce_challenge(challenge).url();
    Ok((url.into(), verifier))
}

/// Who came back with this code.
pub(super) async fn who(
    provider: &Provider,
    issuer: &str,
    errand: &Errand,
    code: &str,
    fetcher: &Fetcher,
) -> Result<Person, Refusal> {
    let http = Http(fetcher);
    let metadata = provider.metadata.of(provider, issuer, fetcher).await?;
    let mut client = client(provider, &metadata, &errand.redirect)?;
    let request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
    let request = request.map_err(|error| provider.failed(&error))?;
    let verifier = PkceCodeVerifier::new(errand.verifier.secret().clone());
    let answer = request.set_pkce_verifier(verifier).request_async(&http).await;
    let answer = answer.map_err(|error| provider.failed(&error))?;
    let token = answer.id_token().ok_or_else(|| provider.said("it gave no id token"))?;
    let found = token.claims(&client.id_token_verifier(), &errand.nonce).map(drop);
    if let Err(ClaimsVerificationError::SignatureVerification(_)) = found {
        // An issuer changes its keys when it likes.
        provider.metadata.forget();
        let metadata = provider.metadata.of(provider, issuer, fetcher).await?;
        client = self::client(provider, &metadata, &errand.redirect)?;
    }
    let keys = client.id_token_verifier();
    let claims = token.claims(&keys, &errand.nonce).map_err(|error| provider.failed(&error))?;
    if let Some(expected) = claims.access_token_hash() {
        let algorithm = token.signing_alg().map_err(|error| provider.failed(&error))?;
        let key = token.signing_key(&keys).map_err(|error| provider.failed(&error))?;
        let found = AccessTokenHash::from_token(answer.access_token(), algorithm, key);
        if found.map_err(|error| provider.failed(&error))? != *expected {
            return Err(provider.said("its access token is another than the id token names"));
        }
    }
    let mut person = Person { subject: claims.subject().to_string(), ..Person::default() };
    person.learn(claims.name(), claims.preferred_username(), claims.picture());
    person.learn_email(claims.email(), claims.email_verified());
    // What an id token does not hold the issuer tells who asks for it (Core §5.4).
    if (person.email.is_none() || person.names.is_empty()) && client.user_info_url().is_some() {
        let asked = user_info(provider, &client, answer.access_token(), claims.subject().clone(), fetcher).await?;
        person.learn(asked.name(), asked.preferred_username(), asked.picture());
        person.learn_email(asked.email(), asked.email_verified());
    }
    Ok(person)
}

async fn user_info(
    provider: &Provider,
    client: &Client,
    token: &AccessToken,
    subject: SubjectIdentifier,
    fetcher: &Fetcher,
) -> Result<CoreUserInfoClaims, Refusal> {
    let http = Http(fetcher);
    let request = client.user_info(token.clone(), Some(subject)).map_err(|error| provider.failed(&error))?;
    request.request_async(&http).await.map_err(|error| provider.failed(&error))
}

impl Person {
    /// Takes from claims what is not known yet.
    fn learn(
        &mut self,
        name: Option<&LocalizedClaim<EndUserName>>,
        username: Option<&EndUserUsername>,
        picture: Option<&LocalizedClaim<EndUserPictureUrl>>,
    ) {
        if self.names.is_empty() {
            let name = name.and_then(any).map(|name| name.to_string());
            self.names = name.into_iter().chain(username.map(|name| name.to_string())).collect();
        }
        if self.picture.is_none() {
            self.picture = picture.and_then(any).map(|url| url.to_string());
        }
    }

    fn learn_email(&mut self, email: Option<&EndUserEmail>, verified: Option<bool>) {
        if self.email.is_none() {
            self.email = email.map(|email| email.to_string());
            self.email_verified = verified.unwrap_or_default();
        }
    }
}

/// A claim in the issuer's own language, or else in any.
fn any<T>(claim: &LocalizedClaim<T>) -> Option<&T> {
    claim.get(None).or_else(|| claim.iter().next().map(|(_, value)| value))
}
