//! A Redis of one's own: Debian's redis-server on a free port, with a temporary directory, that can be killed, started
//! again and held up.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use tempfile::TempDir;
use uuid::Uuid;

pub struct RedisServer {
    port: u16,
    dir: TempDir,
    options: Vec<String>,
    child: Child,
}

impl RedisServer {
    /// One that writes what it is told to its file, and flushes it every second.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With more options of redis-server's, such as `--appendfsync always`, each a word.
    pub fn with(options: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        for _ in 0..100 {
            // Below those that the system hands out: nobody takes it while the server is away.
            let port = 20_000 + Uuid::new_v4().as_fields().1 % 12_000;
            if let Some(child) = launch(port, &dir, &options) {
                return Self { port, dir, options, child };
            }
        }
        panic!("redis-server starts on none of a hundred ports");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it without a word, as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// After a kill: on the same port, with what it has kept.
    pub fn start_again(&mut self) {
        self.child = launch(self.port, &self.dir, &self.options).expect("redis-server starts again");
    }

    /// With what it has itself, on the port of one that was killed.
    pub fn takes_the_place_of(&mut self, other: &Self) {
        self.kill();
        self.port = other.port;
        self.start_again();
    }

    /// It stays, and does not answer.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// What redis-cli prints for a command.
    pub fn ask(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli").arg("-p").arg(self.port.to_string()).args(command).output();
        let output = output.expect("there is a redis-cli");
        assert!(output.status.success(), "{command:?}: {output:?}");
        String::from_utf8(output.stdout).expect("it prints UTF-8").trim_end().to_owned()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(sent.expect("there is a kill").success(), "{name} cannot be sent");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// None where the port is somebody else's.
fn launch(port: u16, dir: &TempDir, options: &[String]) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]).arg("--dir").arg(dir.path());
    command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]).args(options);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("there is a redis-server: scripts/test installs it");
    let mut printed = BufReader::new(child.stdout.take().expect("it is piped"));
    if is_ready(&mut printed) {
        // It must never wait for us to read on.
        thread::spawn(move || io::copy(&mut printed, &mut io::sink()));
        return Some(child);
    }
    child.wait().expect("it is ours");
    None
}

/// Whether it came to listen, before it ended.
fn is_ready(printed: &mut BufReader<ChildStdout>) -> bool {
    printed.lines().map_while(Result::ok).any(|line| line.contains("Ready to accept connections"))
}
