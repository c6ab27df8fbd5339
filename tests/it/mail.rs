//! Forgotten passwords by mail: the letter, its link, and that nobody learns from the answer who has an account.

use chinwag::config::Hidden;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::http::Request;
use crate::support::{TestServer, in_time};

const PASSWORD: &str = "correct horse battery";
const ANOTHER: &str = "seven wise crows fly";

/// A mail server on this machine, and the letters that it took.
struct Postbox {
    url: String,
    letters: mpsc::UnboundedReceiver<Letter>,
}

#[derive(Debug)]
struct Letter {
    to: String,
    text: String,
}

impl Postbox {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let (posted, letters) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, posted.clone()));
            }
        });
        Self { url, letters }
    }

    async fn letter(&mut self) -> Letter {
        in_time("a letter", self.letters.recv()).await.unwrap()
    }
}

/// As much of RFC 5321 as a letter needs.
async fn take(stream: TcpStream, posted: mpsc::UnboundedSender<Letter>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut to = String::new();
    stream.write_all(b"220 here\r\n").await.ok()?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let answer = match line.get(..4).unwrap_or_default() {
            "RCPT" => {
                line.trim_end().clone_into(&mut to);
                "250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.ok()?;
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut text).await.ok()?;
                }
                posted.send(Letter { to: std::mem::take(&mut to), text }).ok()?;
                "250 taken\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

async fn place(postbox: &Postbox) -> TestServer {
    let options = [
        ["--mail-from", "Our chat <chat@example.org>"],
        ["--public-url", "https://chat.example.org"],
        ["--gravatar", "off"],
    ];
    TestServer::set_up(&options.concat(), |config| config.smtp_url = Some(Hidden(postbox.url.clone()))).await
}

async fn registers(server: &TestServer, name: &str, email: &str) -> String {
    let account = json!({"name": name, "password": PASSWORD, "email": email});
    let answer = server.post("/api/account").json(&account).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn forgets(server: &TestServer, login: &str) -> Request {
    server.post("/api/account/forgotten").json(&json!({ "login": login }))
}

fn signs_in(server: &TestServer, password: &str) -> Request {
    server.post("/api/session").json(&json!({"login": "ann", "password": password}))
}

async fn me(server: &TestServer, token: &str) -> Value {
    server.get("/api/session").bearer(token).await.json()["user"].clone()
}

fn link_in(letter: &Letter) -> String {
    let (_, rest) = letter.text.split_once("https://chat.example.org/join#").expect("a link to this server");
    rest.split("\r\n").next().unwrap().to_owned()
}

#[tokio::test]
async fn a_mailed_link_sets_a_password_and_shows_whose_the_address_is() {
    let mut postbox = Postbox::open().await;
    let server = place(&postbox).await;
    assert_eq!(server.get("/api/place").await.json()["mail"], true);
    let token = registers(&server, "ann", "ann@example.org").await;
    assert_eq!(me(&server, &token).await["email_verified"], false);

    assert_eq!(forgets(&server, "Ann").await.status, 202);
    let letter = postbox.letter().await;
    assert_eq!(letter.to, "RCPT TO:<ann@example.org>");
    assert!(letter.text.contains("From: \"Our chat\" <chat@example.org>"), "{}", letter.text);
    assert!(letter.text.contains("Subject: A new password for Chinwag"), "{}", letter.text);
    let link = link_in(&letter);
    let look = server.post("/api/links/look").json(&json!({ "link": link })).await.json();
    assert_eq!((&look["kind"], &look["user"]["name"]), (&json!("reset"), &json!("ann")));
    let reset = || server.post("/api/account/reset").json(&json!({"link": link, "new": ANOTHER}));
    assert_eq!(reset().await.status, 204);
    assert_eq!(reset().await.error(), (410, "bad_link".to_owned()), "it is good once");

    assert_eq!(signs_in(&server, PASSWORD).await.error(), (401, "bad_credentials".to_owned()));
    let answer = signs_in(&server, ANOTHER).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["user"]["email_verified"], true);
    assert_eq!(server.get("/api/session").bearer(&token).await.status, 401, "older sessions are over");
}

#[tokio::test]
async fn nobody_learns_who_has_an_account() {
    let mut postbox = Postbox::open().await;
    let server = place(&postbox).await;
    registers(&server, "ann", "ann@example.org").await;
    registers(&server, "zoe", "zoe@example.org").await;
    let mut answers = Vec::new();
    for login in ["nobody", "ann@example.org", "no@example.org", "", "\u{0}", &"x".repeat(10_000)] {
        answers.push(forgets(&server, login).await);
    }
    assert!(answers.iter().all(|answer| answer.status == 202 && answer.body.is_empty()), "{answers:?}");
    // Letters are written in turn, so whatever the others would have caused has come to pass when this one comes.
    assert_eq!(forgets(&server, "zoe").await.status, 202);
    assert_eq!(postbox.letter().await.to, "RCPT TO:<ann@example.org>");
    assert_eq!(postbox.letter().await.to, "RCPT TO:<zoe@example.org>");
}

#[tokio::test]
async fn nobody_is_flooded_with_letters() {
    let mut postbox = Postbox::open().await;
    let server = place(&postbox).await;
    registers(&server, "ann", "ann@example.org").await;
    registers(&server, "zoe", "zoe@example.org").await;
    for login in ["ann", "ann@example.org", "ANN", "ann", "ann@example.org"] {
        assert_eq!(forgets(&server, login).await.status, 202);
    }
    assert_eq!(forgets(&server, "zoe").await.status, 202);
    let mut to_ann = 0;
    while postbox.letter().await.to.contains("ann@") {
        to_ann += 1;
    }
    assert_eq!(to_ann, 3);
    // And who asks again and again is told to wait, whether or not there is such an account.
    for login in ["ann", "nobody"] {
        let mut last = 202;
        for _ in 0..30 {
            last = forgets(&server, login).await.status;
            if last != 202 {
                break;
            }
        }
        assert_eq!(last, 429, "{login}");
    }
}

#[tokio::test]
async fn without_a_mail_server_everyone_is_told_so() {
    let server = TestServer::with(&["--gravatar", "off"]).await;
    registers(&server, "ann", "ann@example.org").await;
    assert_eq!(server.get("/api/place").await.json()["mail"], false);
    let (known, unknown) = (forgets(&server, "ann").await, forgets(&server, "nobody").await);
    assert_eq!(known.error(), (403, "not_allowed".to_owned()));
    assert_eq!(known.body, unknown.body);
    assert!(known.text().contains("CHINWAG_SMTP_URL"), "{}", known.text());
}
