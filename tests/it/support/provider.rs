//! A provider of sign-ins, as a real server on this machine: it speaks OIDC, and the ways of GitHub and Facebook. It
//! checks what a strict provider checks, and lies where a play tells it to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use chinwag::chat::provider::{Dialect, OAuth, ProviderKind, ProviderSettings};
use oauth2::ClientSecret;
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PrivateSigningKey};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use url::form_urlencoded::parse;

use super::http::Request;

const CLIENT: &str = "chinwag";
const SECRET: &str = "s3cret & more";

/// Who is signed in at the provider.
#[derive(Clone)]
pub struct Person {
    pub subject: &'static str,
    pub name: &'static str,
    pub email: Option<&'static str>,
    pub verified: bool,
    pub picture: bool,
}

pub const ANN: Person =
    Person { subject: "4711", name: "Ann Lee", email: Some("ann@example.org"), verified: true, picture: false };

/// How it answers.
#[derive(Clone, Default)]
pub struct Manner {
    /// Replaces claims of the id token.
    pub claims: Value,
    /// The id token is signed with a key that it does not publish.
    pub wrong_key: bool,
    /// Whom it names as the issuer when it sends somebody back.
    pub answers_as: Option<&'static str>,
    /// In place of a code.
    pub refuses: Option<&'static str>,
    /// It answers nothing that makes sense.
    pub down: bool,
    /// It tells e-mail and name only to who asks, and not in the id token.
    pub terse: bool,
    /// It takes the client's secret in the body alone.
    pub secret_in_body: bool,
}

struct Grant {
    challenge: String,
    nonce: Option<String>,
    redirect: String,
    person: Person,
}

struct Inner {
    base: String,
    person: Person,
    manner: Manner,
    key: CoreEdDsaPrivateSigningKey,
    key_id: u32,
    codes: HashMap<String, Grant>,
    tokens: HashMap<String, Person>,
    count: u32,
}

type Shared = Arc<Mutex<Inner>>;

pub struct StubProvider {
    pub addr: SocketAddr,
    inner: Shared,
}

impl StubProvider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("it listens");
        let inner = Arc::new(Mutex::new(Inner {
            base: format!("http://{addr}"),
            person: ANN,
            manner: Manner::default(),
            key: new_key(1),
            key_id: 1,
            codes: HashMap::new(),
            tokens: HashMap::new(),
            count: 0,
        }));
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/github/login/oauth/authorize", get(authorize))
            .route("/facebook/dialog/oauth", get(authorize))
            .route("/token", post(token))
            .route("/github/login/oauth/access_token", post(token))
            .route("/facebook/api/oauth/access_token", post(token))
            .route("/userinfo", get(userinfo))
            .route("/github/api/user", get(github_user))
            .route("/github/api/user/emails", get(github_emails))
            .route("/facebook/api/me", get(facebook_me))
            .route("/picture.png", get(picture))
            .with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { addr, inner }
    }

    /// The option that lets the server ask it.
    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    pub fn becomes(&self, person: Person) {
        self.inner.lock().person = person;
    }

    pub fn behaves(&self, manner: Manner) {
        self.inner.lock().manner = manner;
    }

    /// From now on it signs with another key, and publishes no other.
    pub fn changes_its_key(&self) {
        let mut inner = self.inner.lock();
        inner.key_id += 1;
        inner.key = new_key(inner.key_id);
    }

    pub fn oidc(&self) -> ProviderSettings {
        settings("oidc", "Our company", ProviderKind::OpenId { issuer: format!("http://{}", self.addr) })
    }

    pub fn github(&self) -> ProviderSettings {
        settings("github", "GitHub", self.oauth(Dialect::GitHub))
    }

    pub fn facebook(&self) -> ProviderSettings {
        settings("facebook", "Facebook", self.oauth(Dialect::Facebook))
    }

    fn oauth(&self, dialect: Dialect) -> ProviderKind {
        let path = if dialect == Dialect::GitHub { "github" } else { "facebook" };
        let web = format!("http://{}/{path}", self.addr);
        ProviderKind::OAuth(OAuth { dialect, api: format!("{web}/api"), web })
    }

    /// Somebody who was sent here agrees; gives the path by which they go back.
    pub async fn agrees(&self, there: &str) -> String {
        let path = there.strip_prefix(&format!("http://{}", self.addr)).expect("they were sent here");
        let answer = Request::new(self.addr, "GET", path).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let back = answer.header("location").expect("somewhere to go back to").to_owned();
        let path = back.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()));
        path.unwrap_or_else(|| panic!("no path in {back}"))
    }
}

fn settings(id: &str, name: &str, kind: ProviderKind) -> ProviderSettings {
    let secret = ClientSecret::new(SECRET.to_owned());
    let (id, name, client) = (id.to_owned(), name.to_owned(), CLIENT.to_owned());
    ProviderSettings { id, name, kind, client, secret, domains: Vec::new() }
}

fn new_key(id: u32) -> CoreEdDsaPrivateSigningKey {
    // PKCS#8 of an Ed25519 key (RFC 8410): a fixed head, and 32 random bytes.
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([0; 32]);
    getrandom::fill(&mut der[16..]).expect("random numbers");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(der));
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new(id.to_string()))).expect("a key")
}

type Pairs = HashMap<String, String>;

fn pairs(text: &[u8]) -> Pairs {
    parse(text).into_owned().collect()
}

fn json_answer(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn refusal(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/json")], json!({"error": why}).to_string())
        .into_response()
}

async fn discovery(State(shared): State<Shared>) -> Response {
    let inner = shared.lock();
    if inner.manner.down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let base = &inner.base;
    let method = if inner.manner.secret_in_body { "client_secret_post" } else { "client_secret_basic" };
    json_answer(&json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "jwks_uri": format!("{base}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "EdDSA"],
        "token_endpoint_auth_methods_supported": [method],
    }))
}

async fn keys(State(shared): State<Shared>) -> Response {
    let key = shared.lock().key.as_verification_key();
    json_answer(&json!({ "keys": [key] }))
}

async fn authorize(State(shared): State<Shared>, uri: Uri) -> Response {
    let asked = pairs(uri.query().unwrap_or_default().as_bytes());
    let is = |name: &str, value: &str| asked.get(name).is_some_and(|found| found == value);
    if !is("client_id", CLIENT) || !is("response_type", "code") || !is("code_challenge_method", "S256") {
        return refusal("invalid_request");
    }
    let mut inner = shared.lock();
    let redirect = asked["redirect_uri"].clone();
    let mut back = url::Url::parse(&redirect).expect("a redirect URI");
    let mut query = back.query_pairs_mut();
    if let Some(error) = inner.manner.refuses {
        query.append_pair("error", error);
    } else {
        inner.count += 1;
        let code = format!("code-{}", inner.count);
        let (challenge, nonce) = (asked["code_challenge"].clone(), asked.get("nonce").cloned());
        let person = inner.person.clone();
        inner.codes.insert(code.clone(), Grant { challenge, nonce, redirect, person });
        query.append_pair("code", &code);
    }
    query.append_pair("state", &asked["state"]);
    if let Some(issuer) = inner.manner.answers_as {
        query.append_pair("iss", issuer);
    }
    drop(query);
    (StatusCode::SEE_OTHER, [(header::LOCATION, back.to_string())]).into_response()
}

async fn token(State(shared): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let asked = pairs(&body);
    let get = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    let mut inner = shared.lock();
    if inner.manner.down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let is_oidc = uri.path() == "/token";
    let known = if is_oidc && !inner.manner.secret_in_body {
        let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let expected = BASE64_STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET)));
        headers.get(header::AUTHORIZATION).is_some_and(|found| *found == format!("Basic {expected}"))
    } else {
        get("client_id") == CLIENT && get("client_secret") == SECRET
    };
    if !known {
        return refusal("invalid_client");
    }
    let Some(grant) = inner.codes.remove(get("code")) else { return refusal("invalid_grant") };
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(get("code_verifier").as_bytes()));
    if challenge != grant.challenge || get("redirect_uri") != grant.redirect {
        return refusal("invalid_grant");
    }
    let access = format!("token-{}", inner.tokens.len());
    let mut answer = json!({ "access_token": access, "token_type": "bearer", "expires_in": 600 });
    if is_oidc {
        answer["id_token"] = id_token(&inner, &grant, &access).into();
    }
    inner.tokens.insert(access, grant.person);
    json_answer(&answer)
}

fn id_token(inner: &Inner, grant: &Grant, access: &str) -> String {
    let now = jiff::Timestamp::now().as_second();
    let hash = BASE64_URL_SAFE_NO_PAD.encode(&sha2::Sha512::digest(access.as_bytes())[..32]);
    let mut claims = json!({
        "iss": inner.base, "aud": CLIENT, "iat": now, "exp": now + 600, "nonce": grant.nonce, "at_hash": hash,
    });
    let person = if inner.manner.terse { json!({"sub": grant.person.subject}) } else { about(inner, &grant.person) };
    for (name, value) in [&person, &inner.manner.claims].into_iter().filter_map(Value::as_object).flatten() {
        claims[name] = value.clone();
    }
    let head = json!({"alg": "EdDSA", "kid": inner.key_id.to_string()});
    let encoded = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encoded(&head), encoded(&claims));
    let another = new_key(inner.key_id);
    let key = if inner.manner.wrong_key { &another } else { &inner.key };
    let signature = key.sign(&CoreJwsSigningAlgorithm::EdDsa, signed.as_bytes()).expect("a signature");
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn about(inner: &Inner, person: &Person) -> Value {
    let mut claims = json!({"sub": person.subject, "name": person.name, "preferred_username": "ann"});
    if let Some(email) = person.email {
        claims["email"] = email.into();
        claims["email_verified"] = person.verified.into();
    }
    if person.picture {
        claims["picture"] = format!("{}/picture.png", inner.base).into();
    }
    claims
}

/// Whoever holds this token.
fn bearer(inner: &Inner, headers: &HeaderMap) -> Option<Person> {
    let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    inner.tokens.get(token).cloned()
}

async fn userinfo(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let inner = shared.lock();
    match bearer(&inner, &headers) {
        Some(person) => json_answer(&about(&inner, &person)),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn github_user(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let inner = shared.lock();
    let Some(person) = bearer(&inner, &headers) else { return StatusCode::UNAUTHORIZED.into_response() };
    let id: u64 = person.subject.parse().expect("GitHub's subjects are numbers");
    let picture = person.picture.then(|| format!("{}/picture.png", inner.base));
    json_answer(&json!({"id": id, "login": "ann", "name": person.name, "avatar_url": picture}))
}

async fn github_emails(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let inner = shared.lock();
    let Some(person) = bearer(&inner, &headers) else { return StatusCode::UNAUTHORIZED.into_response() };
    let other = json!({"email": "ann@elsewhere.example", "primary": false, "verified": true});
    let own = person.email.map(|email| json!({"email": email, "primary": true, "verified": person.verified}));
    json_answer(&[other].into_iter().chain(own).collect())
}

async fn facebook_me(State(shared): State<Shared>, uri: Uri, headers: HeaderMap) -> Response {
    let inner = shared.lock();
    let Some(person) = bearer(&inner, &headers) else { return StatusCode::UNAUTHORIZED.into_response() };
    let fields = pairs(uri.query().unwrap_or_default().as_bytes());
    assert!(fields["fields"].starts_with("id,name,email,picture"), "Facebook tells what it is asked for");
    let url = format!("{}/picture.png", inner.base);
    json_answer(&json!({
        "id": person.subject, "name": person.name, "email": person.email,
        "picture": {"data": {"url": url, "is_silhouette": !person.picture}},
    }))
}

async fn picture() -> Response {
    let mut file = std::io::Cursor::new(Vec::new());
    let pixels = image::RgbImage::from_pixel(64, 64, image::Rgb([200, 30, 90]));
    pixels.write_to(&mut file, image::ImageFormat::Png).expect("a picture");
    ([(header::CONTENT_TYPE, "image/png")], file.into_inner()).into_response()
}
