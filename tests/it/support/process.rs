//! The real binary as a process: started, read, told to stop, killed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// A command that runs the binary with nothing of this process's environment.
pub fn chinwag() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chinwag"));
    command.env_clear();
    command
}

/// Runs the binary to its end, which has to come by itself.
pub fn run(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the binary starts");
    let ended = wait(&mut child);
    if ended.is_none() {
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("its output can be read");
    assert!(ended.is_some(), "{command:?} does not end: {output:?}");
    output
}

/// The binary, listening.
pub struct Process {
    pub addr: SocketAddr,
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Reads its log all the time, so that it never waits for us to read. None once that was asked for.
    log: Option<JoinHandle<String>>,
    /// What it has printed so far.
    pub printed: Vec<String>,
}

impl Process {
    /// On a free port, with this data directory.
    pub fn start(data: &Path, options: &[&str]) -> Self {
        Self::spawn(chinwag().arg("--addr").arg("127.0.0.1:0").arg("--data").arg(data).args(options))
    }

    /// Waits until the binary says where it listens.
    pub fn spawn(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut stderr = child.stderr.take().expect("it is piped");
        let log = thread::spawn(move || std::io::read_to_string(&mut stderr).expect("its log is UTF-8"));
        let mut printed = Vec::new();
        let addr = loop {
            let mut line = String::new();
            let length = stdout.read_line(&mut line).expect("its output can be read");
            assert!(length > 0, "{command:?} does not start: {:?}", log.join());
            let addr = line.trim().strip_prefix("Chinwag is open at http://").and_then(|addr| addr.parse().ok());
            printed.push(line.trim().to_owned());
            if let Some(addr) = addr {
                break addr;
            }
        };
        let mut worth = String::new();
        stdout.read_line(&mut worth).expect("its output can be read");
        printed.push(worth.trim().to_owned());
        Self { addr, child, stdout, log: Some(log), printed }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as TERM.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(sent.expect("there is a kill").success(), "{name} cannot be sent");
    }

    /// Kills it without a word, as a crash would.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// Tells it to stop, and gives its exit status and what it wrote to standard error.
    pub fn stop(self) -> (ExitStatus, String) {
        self.signal("TERM");
        self.end()
    }

    /// Waits for its end.
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.child).expect("it ends when told to");
        let log = self.log.take().expect("it ends once");
        (status, log.join().expect("reading does not panic"))
    }

    /// The next line that it prints.
    pub fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("its output can be read");
        line
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // It may say why the test fails.
        if thread::panicking()
            && let Some(Ok(log)) = self.log.take().map(JoinHandle::join)
        {
            eprintln!("the log of {}:\n{log}", self.addr);
        }
    }
}

/// A process has no way to be awaited with a time-out but to be asked again and again.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match child.try_wait().expect("it is ours") {
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            ended => return ended,
        }
    }
}
