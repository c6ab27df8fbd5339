//! Words for plays about accounts, roles, and rooms that are not everyone's.

use chinwag::ops;
use serde_json::{Value, json};

use super::client::Client;
use super::http::{Answer, Request};
use super::{Session, TestServer, list, number, text};

/// What everyone's password is, as long as they change nothing.
pub const PASSWORD: &str = "correct horse battery";

impl TestServer {
    /// Nobody is told to wait.
    pub async fn unhurried() -> Self {
        Self::with(&["--limits", "off"]).await
    }

    /// Somebody who makes an account.
    pub async fn register(&self, name: &str) -> Session {
        Session::of(self, &self.registers(&json!({"name": name, "password": PASSWORD})).await)
    }

    /// Asks for an account with these fields.
    pub fn registers(&self, account: &Value) -> Request {
        self.post("/api/account").json(account)
    }

    /// Olga, who makes her account with the owner's link.
    pub async fn owner(&self) -> Session {
        let account = json!({"name": "olga", "password": PASSWORD, "invite": self.owner_link().await});
        Session::of(self, &self.registers(&account).await)
    }

    /// The secret of an owner's link, as the command line leaves one beside the server.
    pub async fn owner_link(&self) -> String {
        // It listens before it has opened its store.
        assert_eq!(self.get("/ready").await.status, 200);
        let options = self.store_options();
        // It blocks, as the command line does.
        let left = std::thread::spawn(move || ops::owner_link(&options)).join().expect("it does not panic");
        let path = left.expect("a database that is there");
        secret_in(&path)
    }

    /// Asks for a session of an account.
    pub fn signs_in(&self, login: &str, password: &str) -> Request {
        self.post("/api/session").json(&json!({"login": login, "password": password}))
    }

    /// One more session of an account.
    pub async fn sign_in(&self, login: &str) -> Session {
        Session::of(self, &self.signs_in(login, PASSWORD).await)
    }
}

impl Session {
    /// The session that came with this answer.
    pub fn of(server: &TestServer, answer: &Answer) -> Self {
        assert_eq!(answer.status, 201, "{}", answer.text());
        let user = answer.json()["user"].clone();
        let token = answer.json()["token"].as_str().expect("programs are shown their token").to_owned();
        Self { addr: server.addr, token, id: text(&user["id"]), name: text(&user["name"]) }
    }

    /// Themselves, as the server shows them.
    pub async fn me(&self) -> Value {
        let answer = self.get("/api/session").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["user"].clone()
    }

    /// The session is over.
    pub async fn is_over(&self) {
        assert_eq!(self.get("/api/session").await.error(), (401, "no_session".to_owned()), "{}", self.name);
    }

    pub async fn connects_to(&self, room: &str) -> Client {
        let mut client = self.connects().await;
        client.subscribes(room).await;
        client
    }

    /// Does what is done without an answer.
    pub async fn does(&self, request: Request) {
        let answer = request.await;
        assert_eq!(answer.status, 204, "{}: {}", self.name, answer.text());
    }

    /// Makes a private room, or a public one; gives its id.
    pub async fn makes_room(&self, kind: &str, name: &str) -> String {
        let answer = self.post("/api/rooms").json(&json!({"kind": kind, "name": name})).await;
        assert_eq!(answer.status, 201, "{}: {}", self.name, answer.text());
        text(&answer.json()["room"])
    }

    /// Asks for the direct room with these people.
    pub fn writes_to(&self, others: &[&Session]) -> Request {
        let members: Vec<_> = others.iter().map(|other| &other.id).collect();
        self.post("/api/rooms").json(&json!({"kind": "direct", "members": members}))
    }

    /// Their direct room with these people.
    pub async fn direct_room(&self, others: &[&Session]) -> String {
        let answer = self.writes_to(others).await;
        assert_eq!(answer.status, 201, "{}: {}", self.name, answer.text());
        text(&answer.json()["room"])
    }

    /// Asks to be let a person into a room, or to give them a role there.
    pub fn sets_member(&self, room: &str, other: &Session, role: Option<&str>) -> Request {
        self.put(&format!("/api/rooms/{room}/members/{}", other.id)).json(&json!({ "role": role }))
    }

    pub async fn lets_in(&self, room: &str, other: &Session) {
        self.does(self.sets_member(room, other, None)).await;
    }

    pub fn takes_out(&self, room: &str, other: &Session) -> Request {
        self.delete(&format!("/api/rooms/{room}/members/{}", other.id))
    }

    /// Asks for a change of a room's settings.
    pub fn sets(&self, room: &str, settings: &Value) -> Request {
        self.patch(&format!("/api/rooms/{room}")).json(settings)
    }

    /// Posts without a socket.
    pub fn posts(&self, room: &str, words: &str) -> Request {
        let message = json!({"txn_id": uuid::Uuid::now_v7().to_string(), "text": words});
        self.post(&format!("/api/rooms/{room}/messages")).json(&message)
    }

    /// Posts without a socket, and gives the seq.
    pub async fn writes(&self, room: &str, words: &str) -> u64 {
        let answer = self.posts(room, words).await;
        assert_eq!(answer.status, 201, "{}: {}", self.name, answer.text());
        number(&answer.json()["seq"])
    }

    /// The newest messages of a room.
    pub async fn reads(&self, room: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/rooms/{room}/messages")).await;
        assert_eq!(answer.status, 200, "{}: {}", self.name, answer.text());
        list(&answer.json()["messages"]).to_vec()
    }

    /// Gives a person a role in the place.
    pub async fn appoints(&self, other: &Session, role: &str) {
        self.does(self.asks_role(other, role)).await;
    }

    pub fn asks_role(&self, other: &Session, role: &str) -> Request {
        self.patch(&format!("/api/users/{}", other.id)).json(&json!({ "role": role }))
    }

    /// Acts on a person: `mute`, `kick`, `ban`.
    pub fn acts_on(&self, other: &str, act: &str, details: &Value) -> Request {
        self.post(&format!("/api/users/{other}/{act}")).json(details)
    }

    /// Makes an invite; gives its secret.
    pub async fn invites(&self, invite: &Value) -> String {
        let answer = self.post("/api/invites").json(invite).await;
        assert_eq!(answer.status, 201, "{}: {}", self.name, answer.text());
        secret_of(&answer)
    }

    /// Uses a link.
    pub fn uses_link(&self, secret: &str) -> Request {
        self.post("/api/links/use").json(&json!({ "link": secret }))
    }

    /// Makes a token for a program, which then speaks for the same user.
    pub async fn makes_token(&self, scopes: &[&str]) -> Self {
        let answer = self.post("/api/tokens").json(&json!({"name": "a program", "scopes": scopes})).await;
        assert_eq!(answer.status, 201, "{}: {}", self.name, answer.text());
        Self { token: text(&answer.json()["token"]), ..self.clone() }
    }
}

/// The secret of the link in an answer.
pub fn secret_of(answer: &Answer) -> String {
    secret_in(&text(&answer.json()["link"]))
}

fn secret_in(link: &str) -> String {
    link.strip_prefix("/join#").unwrap_or_else(|| panic!("no link: {link}")).to_owned()
}
