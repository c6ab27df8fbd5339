//! What the log says: with --trace each connection, message and delivery; without it hardly anything; and never what
//! people said, nor their secrets.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::Call;
use crate::support::http::Request;
use crate::support::process::{Process, chinwag};
use crate::support::text;

/// Two users come, one posts, both hear it, both go; gives the token and the ids that were in play.
async fn play(process: &Process) -> Vec<String> {
    let session = Request::new(process.addr, "POST", "/api/session").json(&json!({"name": "bob"})).await.json();
    let token = text(&session["token"]);
    let mut bob = Call::new(process.addr).bearer(&token).await;
    let mut alice = Call::new(process.addr).name("alice").await;
    bob.subscribes("lobby").await;
    alice.subscribes("lobby").await;
    bob.says("lobby", "a confidential word").await;
    bob.hears("a confidential word").await;
    alice.hears("a confidential word").await;
    alice.send_text("nonsense").await;
    alice.is_answered().await;
    let ids = vec![token, bob.id.clone(), alice.id.clone()];
    alice.leaves().await;
    bob.leaves().await;
    ids
}

fn lines_with<'a>(log: &'a str, parts: &[&str]) -> Vec<&'a str> {
    log.lines().filter(|line| parts.iter().all(|part| line.contains(part))).collect()
}

#[tokio::test]
async fn with_trace_the_log_shows_what_happens() {
    let data = TempDir::new().unwrap();
    let process = Process::start(data.path(), &["--trace"]);
    let ids = play(&process).await;
    let (status, log) = process.stop();
    assert!(status.success());
    for id in &ids[1..] {
        assert_eq!(lines_with(&log, &[" connected ", id]).len(), 1, "{log}");
        assert_eq!(lines_with(&log, &[" disconnected ", id]).len(), 1, "{log}");
        assert!(!lines_with(&log, &["connected", "alice"]).is_empty(), "{log}");
    }
    assert_eq!(lines_with(&log, &[" message ", "room=lobby", &ids[1], "bytes=19"]).len(), 1, "{log}");
    let delivered = lines_with(&log, &[" delivered ", "room=lobby", "head=1"]);
    let readers: usize = delivered.iter().map(|line| count(line, "readers=")).sum();
    let events: usize = delivered.iter().map(|line| count(line, "events=")).sum();
    assert_eq!((readers, events), (2, 2), "one event to each of two readers: {log}");
    assert_eq!(lines_with(&log, &[" subscribed ", "room=lobby"]).len(), 2, "{log}");
    assert_eq!(lines_with(&log, &["refused", "malformed"]).len(), 1, "{log}");
    assert!(!log.contains("confidential") && !log.contains(&ids[0]), "what is said and secrets stay out of it: {log}");
}

#[tokio::test]
async fn without_trace_the_log_is_quiet() {
    let data = TempDir::new().unwrap();
    let mut process = Process::start(data.path(), &[]);
    assert_eq!(process.printed[0], format!("Chinwag is open at http://{}", process.addr));
    assert!(process.printed[1].starts_with("An acknowledged message is "), "{:?}", process.printed);
    assert!(process.next_line().starts_with("Who opens this first becomes its owner"), "there is none yet");
    play(&process).await;
    process.signal("TERM");
    assert_eq!(process.next_line(), "", "it prints nothing more");
    let (_, log) = process.end();
    let said: Vec<_> = log.lines().map(|line| line.split(": ").last().unwrap().split(' ').next().unwrap()).collect();
    assert_eq!(said, ["started", "stopping", "stopped"], "{log}");
}

#[tokio::test]
async fn the_log_may_be_json_and_the_usual_variable_filters_it() {
    let data = TempDir::new().unwrap();
    let arguments = ["--addr", "127.0.0.1:0", "--log-format", "json", "--data"];
    let mut command = chinwag();
    let process = Process::spawn(command.args(arguments).arg(data.path()).env("RUST_LOG", "chinwag::chat=debug"));
    play(&process).await;
    let (_, log) = process.stop();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    assert!(lines.iter().any(|line| line["fields"]["message"] == "delivered"), "{log}");
    assert!(!lines.iter().any(|line| line["fields"]["message"] == "connected"), "not asked for: {log}");
}

#[tokio::test]
async fn options_that_cost_something_warn() {
    let data = TempDir::new().unwrap();
    let process = Process::start(data.path(), &["--limits", "off", "--durability", "fast"]);
    assert!(process.printed[1].contains("a power cut may take"), "{:?}", process.printed);
    let (_, log) = process.stop();
    assert_eq!(lines_with(&log, &["WARN", "--limits off"]).len(), 1, "{log}");
    assert_eq!(lines_with(&log, &["WARN", "--durability fast"]).len(), 1, "{log}");
}

fn count(line: &str, field: &str) -> usize {
    let value = line.split(field).nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {field} in {line}"))
}
