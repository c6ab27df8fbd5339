//! The binary on the command line: what it says of its options, where it takes them from, and how it ends when it
//! cannot start.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

use clap::CommandFactory;
use tempfile::TempDir;

use chinwag::config::Config;

use crate::support::http::Request;
use crate::support::process::{Process, chinwag, run};

/// It does not start, and says why in one line that holds all of these.
fn fails(command: &mut Command, parts: &[&str]) {
    let Output { status, stdout, stderr } = run(command);
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(!status.success(), "{command:?}");
    assert_eq!((stderr.lines().count(), &*stdout), (1, ""), "{stderr}");
    assert!(stderr.starts_with("chinwag: ") && !stderr.contains("panicked"), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part:?} is missing in: {stderr}");
    }
}

#[test]
fn a_port_in_use_is_said() {
    let data = TempDir::new().unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap().to_string();
    fails(chinwag().args(["--addr", &addr]).arg("--data").arg(data.path()), &[&addr, "in use", "--addr"]);
}

#[test]
fn what_is_missing_in_the_environment_is_said() {
    let data = TempDir::new().unwrap();
    let start = || {
        let mut command = chinwag();
        command.args(["--addr", "127.0.0.1:0", "--data"]).arg(data.path());
        command
    };
    fails(start().env("CHINWAG_GITHUB_ID", "chat"), &["CHINWAG_GITHUB_SECRET"]);
    fails(start().env("CHINWAG_SMTP_URL", "smtps://mail.example.org"), &["--mail-from"]);
}

#[test]
fn a_directory_that_cannot_be_used_is_said() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    for path in [file.clone(), file.join("below")] {
        let shown = path.display().to_string();
        fails(chinwag().args(["--addr", "127.0.0.1:0", "--data", &shown]), &[&shown, "--data"]);
    }
}

#[test]
fn a_foreign_database_is_said_and_left_alone() {
    let data = TempDir::new().unwrap();
    let path = data.path().join("chinwag.db");
    fs::write(&path, "this was somebody's diary, once upon a time").unwrap();
    fails(chinwag().args(["--addr", "127.0.0.1:0", "--data"]).arg(data.path()), &["chinwag.db"]);
    assert!(fs::read_to_string(&path).unwrap().starts_with("this was"));
}

#[test]
fn a_directory_in_use_by_another_process_is_said() {
    let data = TempDir::new().unwrap();
    let first = Process::start(data.path(), &[]);
    let shown = data.path().display().to_string();
    fails(chinwag().args(["--addr", "127.0.0.1:0", "--data", &shown]), &["in use by another chinwag", "--data"]);
    first.kill();
    Process::start(data.path(), &[]).kill();
}

#[test]
fn a_wrong_option_is_named() {
    for (arguments, parts) in [
        (vec!["--heartbeat", "soon"], ["--heartbeat", "expected a time"]),
        (vec!["--addr", "8080"], ["--addr", "8080"]),
        (vec!["--no-such-option"], ["--no-such-option", "unexpected"]),
    ] {
        let output = run(chinwag().args(&arguments));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(parts.iter().all(|part| stderr.contains(part)), "{stderr}");
    }
    let output = run(chinwag().env("CHINWAG_LIMITS", "some"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("--limits") && stderr.contains("possible values: on, off"), "{stderr}");
}

#[test]
fn help_names_every_option_with_its_variable() {
    let output = run(chinwag().arg("--help"));
    assert!(output.status.success() && output.stderr.is_empty());
    let help = String::from_utf8(output.stdout).unwrap();
    let mut options = 0;
    for option in Config::command().get_arguments() {
        let (Some(flag), Some(variable)) = (option.get_long(), option.get_env()) else {
            panic!("{option} has no flag or no variable");
        };
        let variable = variable.to_str().unwrap();
        let expected = match flag {
            "addr" | "port" => flag.to_uppercase(),
            flag => format!("CHINWAG_{}", flag.replace('-', "_").to_uppercase()),
        };
        assert_eq!(variable, expected);
        assert!(help.contains(&format!("--{flag}")), "--{flag} is missing in\n{help}");
        assert!(help.contains(&format!("[env: {variable}=")), "{variable} is missing in\n{help}");
        assert!(option.get_help().is_some(), "--{flag} is not described");
        options += 1;
    }
    assert!(options >= 10, "{options} options were looked at");
    for part in ["0.0.0.0:8080", ".env", "30s"] {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
}

#[tokio::test]
async fn options_come_from_the_command_line_the_environment_and_a_file_in_this_order() {
    let dir = TempDir::new().unwrap();
    let (port, data) = (free_port(), dir.path().join("data"));
    fs::write(
        dir.path().join(".env"),
        format!(
            "ADDR=127.0.0.1:{port}\nCHINWAG_DATA={}\nCHINWAG_TEXT_BYTES=11\nCHINWAG_HEARTBEAT=11s\n",
            data.display()
        ),
    )
    .unwrap();
    let mut command = chinwag();
    command.current_dir(dir.path()).env("CHINWAG_TEXT_BYTES", "22").env("CHINWAG_HEARTBEAT", "22s");
    let process = Process::spawn(command.args(["--heartbeat", "33s"]));
    assert_eq!(process.addr.port(), port, "from the file");
    assert!(data.join("chinwag.db").exists(), "from the file");
    let bob = crate::support::client::Call::new(process.addr).name("bob").await;
    assert_eq!(bob.hello["limits"]["text_bytes"], 22, "the environment wins over the file");
    assert_eq!(bob.hello["heartbeat_ms"], 33_000, "the command line wins over both");
    process.kill();
}

#[tokio::test]
async fn the_platforms_port_is_taken() {
    let data = TempDir::new().unwrap();
    let port = free_port().to_string();
    let process =
        Process::spawn(chinwag().args(["--addr", "127.0.0.1:1", "--data"]).arg(data.path()).env("PORT", &port));
    assert_eq!(process.addr.port().to_string(), port);
    let health = Request::new(process.addr, "GET", "/health").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &serde_json::json!("ok")));
}

#[tokio::test]
async fn without_any_option_the_data_is_kept_at_home() {
    let home = TempDir::new().unwrap();
    for (variable, place) in [("HOME", ".local/share/chinwag/chinwag.db"), ("XDG_DATA_HOME", "chinwag/chinwag.db")] {
        let mut command = chinwag();
        command.env("HOME", home.path()).env(variable, home.path()).args(["--addr", "127.0.0.1:0"]);
        let process = Process::spawn(&mut command);
        assert!(home.path().join(place).exists(), "{variable}");
        process.kill();
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
