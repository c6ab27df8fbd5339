//! What is asked of providers that speak plain OAuth (RFC 6749), each of which tells in its own way who came: GitHub
//! and Facebook.

use http::{Request, header};
use oauth2::basic::BasicClient;
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, ClientId, CsrfToken, EndpointNotSet, EndpointSet, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse, TokenUrl,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ANSWER_BYTES, Dialect, Errand, Http, OAuth, Person, Provider, Refusal};
use crate::fetch::{FetchError, Fetcher};

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// Where a provider's pages and tokens are, and what is asked for.
struct Ways {
    authorize: String,
    token: String,
    scopes: [&'static str; 2],
}

fn ways(OAuth { dialect, web, api }: &OAuth) -> Ways {
    match dialect {
        Dialect::GitHub => Ways {
            authorize: format!("{web}/login/oauth/authorize"),
            token: format!("{web}/login/oauth/access_token"),
            scopes: ["read:user", "user:email"],
        },
        Dialect::Facebook => Ways {
            authorize: format!("{web}/dialog/oauth"),
            token: format!("{api}/oauth/access_token"),
            scopes: ["public_profile", "email"],
        },
    }
}

fn client(provider: &Provider, ways: Ways, redirect: &str) -> Result<Client, Refusal> {
    let no_url = |error| provider.failed(&error);
    let client = BasicClient::new(ClientId::new(provider.settings.client.clone()))
        .set_client_secret(provider.settings.secret.clone())
        .set_auth_uri(AuthUrl::new(ways.authorize).map_err(no_url)?)
        .set_token_uri(TokenUrl::new(ways.token).map_err(no_url)?)
        .set_redirect_uri(RedirectUrl::new(redirect.to_owned()).map_err(no_url)?);
    Ok(client.set_auth_type(AuthType::RequestBody))
}

/// The address to leave for, and the secret that proves who has left when the code is redeemed (RFC 7636).
pub(super) fn leave(
    provider: &Provider,
    oauth: &OAuth,
    redirect: &str,
    state: &str,
) -> Result<(String, PkceCodeVerifier), Refusal> {
    let ways = ways(oauth);
    let scopes = ways.scopes.map(|scope| Scope::new(scope.to_owned()));
    let client = client(provider, ways, redirect)?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let request = client.authorize_url(|| CsrfToken::new(state.to_owned())).set_pkce_challenge(challenge);
    let (url, _) = request.add_scopes(scopes).url();
    Ok((url.into(), verifier))
}

/// Who came back with this code.
pub(super) async fn who(
    provider: &Provider,
    oauth: &OAuth,
    errand: &Errand,
    code: &str,
    fetcher: &Fetcher,
) -> Result<Person, Refusal> {
    let client = client(provider, ways(oauth), &errand.redirect)?;
    let http = Http(fetcher);
    let request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
    let verifier = PkceCodeVerifier::new(errand.verifier.secret().clone());
    let answer = request.set_pkce_verifier(verifier).request_async(&http).await;
    let answer = answer.map_err(|error| provider.failed(&error))?;
    let token = answer.access_token().secret();
    match oauth.dialect {
        Dialect::GitHub => github(provider, &oauth.api, token, fetcher).await,
        Dialect::Facebook => facebook(provider, &oauth.api, token, fetcher).await,
    }
}

#[derive(Deserialize)]
struct GitHubUser {
    id: u64,
    login: String,
    name: Option<String>,
    avatar_url: Option<String>,
}

#[derive(Deserialize)]
struct GitHubEmail {
    email: String,
    primary: bool,
    verified: bool,
}

/// The e-mail is the primary one, unless another that is verified admits them.
async fn github(provider: &Provider, api: &str, token: &str, fetcher: &Fetcher) -> Result<Person, Refusal> {
    let user: GitHubUser = ask(provider, &format!("{api}/user"), token, fetcher).await?;
    let mut emails: Vec<GitHubEmail> = ask(provider, &format!("{api}/user/emails"), token, fetcher).await?;
    emails.sort_by_key(|email| !email.primary);
    let admits = |email: &&GitHubEmail| email.verified && provider.settings.admits(&email.email);
    let email = emails.iter().find(admits).or(emails.first());
    Ok(Person {
        subject: user.id.to_string(),
        names: user.name.into_iter().chain([user.login]).collect(),
        email: email.map(|email| email.email.clone()),
        email_verified: email.is_some_and(|email| email.verified),
        picture: user.avatar_url,
    })
}

#[derive(Deserialize)]
struct FacebookUser {
    id: String,
    name: Option<String>,
    email: Option<String>,
    picture: Option<FacebookPicture>,
}

#[derive(Deserialize)]
struct FacebookPicture {
    data: FacebookPictureData,
}

#[derive(Deserialize)]
struct FacebookPictureData {
    url: String,
    /// That it stands for having none.
    #[serde(default)]
    is_silhouette: bool,
}

/// Facebook does not say whether an e-mail is verified, so it is not.
async fn facebook(provider: &Provider, api: &str, token: &str, fetcher: &Fetcher) -> Result<Person, Refusal> {
    let url = format!("{api}/me?fields=id,name,email,picture.width(256).height(256)");
    let user: FacebookUser = ask(provider, &url, token, fetcher).await?;
    let picture = user.picture.map(|picture| picture.data).filter(|picture| !picture.is_silhouette);
    Ok(Person {
        subject: user.id,
        names: user.name.into_iter().collect(),
        email: user.email,
        email_verified: false,
        picture: picture.map(|picture| picture.url),
    })
}

async fn ask<T: DeserializeOwned>(
    provider: &Provider,
    url: &str,
    token: &str,
    fetcher: &Fetcher,
) -> Result<T, Refusal> {
    let request = Request::get(url)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::ACCEPT, "application/json")
        .body(Vec::new());
    let request = request.map_err(|error| provider.failed(&error))?;
    let answer = fetcher.send(request, ANSWER_BYTES).await.map_err(|error| provider.failed(&error))?;
    if !answer.status().is_success() {
        return Err(provider.failed(&FetchError::Status(answer.status().as_u16())));
    }
    serde_json::from_slice(answer.body()).map_err(|error| provider.failed(&error))
}
