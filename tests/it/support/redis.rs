//! A Redis of one's own: Debian's redis-server on a free port, with a temporary directory, that can be killed, started
//! again and held up; and a Sentinel over several.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chinwag::config::Hidden;
use tempfile::TempDir;
use uuid::Uuid;

use super::{PATIENCE, TestServer};

/// Its port, among the options that it is started with.
pub const PORT: &str = "PORT";

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

    /// With more options of redis-server's, such as `--appendfsync always`, each a word; `PORT` stands for its port.
    pub fn with(options: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let (port, child) = on_a_free_port(|port| launch(port, &dir, &options));
        Self { port, dir, options, child }
    }

    /// One that holds what this one holds, and goes on to.
    pub fn followed(&self, options: &[&str]) -> Self {
        let port = self.port.to_string();
        let replica = Self::with(&[&["--replicaof", "127.0.0.1", &port], options].concat());
        replica.until("it follows", &["INFO", "replication"], |info| info.contains("master_link_status:up"));
        replica
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// For the user that the document gives, which must have been made.
    pub fn url_as_documented(&self) -> String {
        format!("redis://{AS_DOCUMENTED}127.0.0.1:{}", self.port)
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
        ask(self.port, command)
    }

    /// Tells it to be so.
    pub fn sets(&self, command: &[&str]) {
        assert_eq!(self.ask(command), "OK", "{command:?}");
    }

    /// Asks again and again, until it says that. Who is made a replica hangs up on everybody: then it is asked anew.
    pub fn until(&self, what: &str, command: &[&str], says: impl Fn(&str) -> bool) {
        until(what, || answer(self.port, command).is_ok_and(|answer| says(&answer)));
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

impl TestServer {
    /// A node on the Redis of this URL, where nobody is held up by limits.
    pub async fn on_redis(url: String, options: &[&str]) -> Self {
        let options = [&["--limits", "off"], options].concat();
        Self::set_up(&options, |config| config.redis_url = Some(Hidden(url))).await
    }
}

/// The user that docs/operating.md gives to the nodes, by the name and password with which it gives it.
pub fn documented_user() -> Vec<&'static str> {
    let document = include_str!("../../../docs/operating.md");
    let line = document.lines().find_map(|line| line.trim().strip_prefix("ACL SETUSER "));
    line.expect("the document says how to make a user").split(' ').collect()
}

/// What stands before the host in the URL of that user.
pub const AS_DOCUMENTED: &str = "chinwag:SECRET@";

/// Who watches a primary and its replicas, and puts one of them in its place when it is gone.
pub struct Sentinel {
    port: u16,
    _dir: TempDir,
    child: Child,
}

impl Sentinel {
    /// Over a primary, by the name of `chat`, and those that follow it now.
    pub fn over(primary: &RedisServer, replicas: usize) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let config = dir.path().join("sentinel.conf");
        let watched = primary.port;
        let (port, child) = on_a_free_port(|port| {
            let words = format!(
                "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor chat 127.0.0.1 {watched} 1\n\
                 sentinel down-after-milliseconds chat 500\nsentinel failover-timeout chat 4000\n",
                dir.path().display()
            );
            fs::write(&config, words).expect("a file of our own");
            run(Command::new("redis-sentinel").arg(&config), "+monitor master chat")
        });
        let sentinel = Self { port, _dir: dir, child };
        until("Sentinel knows the replicas", || {
            sentinel.ask(&["SENTINEL", "REPLICAS", "chat"]).lines().filter(|line| *line == "runid").count() == replicas
        });
        sentinel
    }

    /// For the user that the document gives.
    pub fn url(&self) -> String {
        format!("redis+sentinel://{AS_DOCUMENTED}127.0.0.1:{}/chat", self.port)
    }

    /// The port of who is the primary now.
    pub fn primary(&self) -> u16 {
        let address = self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "chat"]);
        address.lines().last().and_then(|port| port.parse().ok()).expect("a port")
    }

    fn ask(&self, command: &[&str]) -> String {
        ask(self.port, command)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits on this thread, for what another process does in its own time.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + 2 * PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(30));
    }
}

fn ask(port: u16, command: &[&str]) -> String {
    answer(port, command).unwrap_or_else(|output| panic!("{command:?}: {output:?}"))
}

fn answer(port: u16, command: &[&str]) -> Result<String, Output> {
    let output = Command::new("redis-cli").arg("-p").arg(port.to_string()).args(command).output();
    let output = output.expect("there is a redis-cli");
    if !output.status.success() {
        return Err(output);
    }
    Ok(String::from_utf8(output.stdout).expect("it prints UTF-8").trim_end().to_owned())
}

fn on_a_free_port(mut launch: impl FnMut(u16) -> Option<Child>) -> (u16, Child) {
    for _ in 0..100 {
        // Below those that the system hands out: nobody takes it while the server is away.
        let port = 20_000 + Uuid::new_v4().as_fields().1 % 12_000;
        if let Some(child) = launch(port) {
            return (port, child);
        }
    }
    panic!("it starts on none of a hundred ports");
}

/// None where the port is somebody else's.
fn launch(port: u16, dir: &TempDir, options: &[String]) -> Option<Child> {
    let port = port.to_string();
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port]).arg("--dir").arg(dir.path());
    command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--repl-diskless-sync-delay", "0"]);
    command.args(options.iter().map(|word| if word == PORT { &port } else { word }));
    run(&mut command, "Ready to accept connections")
}

/// Started, once it has said so; None where it ends before.
fn run(command: &mut Command, ready: &str) -> Option<Child> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("there is a redis-server: scripts/test installs it");
    let mut printed = BufReader::new(child.stdout.take().expect("it is piped"));
    if has_said(&mut printed, ready) {
        // It must never wait for us to read on.
        thread::spawn(move || io::copy(&mut printed, &mut io::sink()));
        return Some(child);
    }
    child.wait().expect("it is ours");
    None
}

/// Whether it said that, before it ended.
fn has_said(printed: &mut BufReader<ChildStdout>, words: &str) -> bool {
    printed.lines().map_while(Result::ok).any(|line| line.contains(words))
}
