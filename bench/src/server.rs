//! The servers under test: started on a folder of their own, watched, and ended by their process number, in peace or
//! not. What they are asked and how they answer is the dialects' business.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::watch::{self, Usage};

/// For a server to answer after its start, and to exit after SIGTERM.
const PATIENCE: Duration = Duration::from_mins(1);

/// Bytes of Chinwag's event with a text of 128, as it was last measured.
const USUAL_PAYLOAD: usize = 376;

/// How servers are started in this run.
pub struct Launcher {
    binary: PathBuf,
    /// Where the databases go.
    data: PathBuf,
    payload: OnceCell<usize>,
}

pub struct Server {
    child: Child,
    /// Chinwag must drain and exit with success; others need only end.
    strict: bool,
    /// It was ended on purpose.
    ended: bool,
    log: PathBuf,
    /// Kept open: a server that prints must not fail at it.
    #[allow(dead_code)]
    stdout: Option<BufReader<ChildStdout>>,
    pub address: SocketAddr,
    /// From exec to the first good answer of /health, or to the first connection that was taken.
    pub started_in: Duration,
    folder: Option<TempDir>,
}

impl Launcher {
    pub fn new(binary: &Path, data: &Path) -> Result<Self> {
        let binary = std::path::absolute(binary)?;
        fs::create_dir_all(data).with_context(|| format!("cannot create {}", data.display()))?;
        let data = data.canonicalize()?;
        Ok(Self { binary, data, payload: OnceCell::new() })
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The payload that peers and the floor carry, in bytes; measured when it is first asked for, or the usual one
    /// where no Chinwag is built.
    pub fn payload(&self, measure: impl FnOnce() -> Result<usize>) -> Result<usize> {
        match self.payload.get() {
            Some(known) => Ok(*known),
            None if !self.binary.exists() => Ok(USUAL_PAYLOAD),
            None => measure().map(|measured| *self.payload.get_or_init(|| measured)),
        }
    }

    /// An empty folder in which a server can be started, removed when dropped.
    pub fn folder(&self) -> Result<TempDir> {
        TempDir::new_in(&self.data).with_context(|| format!("cannot write in {}", self.data.display()))
    }

    /// A Chinwag with nothing stored.
    pub fn fresh(&self) -> Result<Server> {
        let folder = self.folder()?;
        Ok(self.start(folder.path())?.with_folder(folder))
    }

    /// A Chinwag on what a former one left in this folder.
    pub fn start(&self, folder: &Path) -> Result<Server> {
        self.chinwag(folder, None)
    }

    /// A node of the chat on this Redis.
    pub fn node(&self, redis: SocketAddr) -> Result<Server> {
        let folder = self.folder()?;
        Ok(self.chinwag(folder.path(), Some(redis))?.with_folder(folder))
    }

    fn chinwag(&self, folder: &Path, redis: Option<SocketAddr>) -> Result<Server> {
        if !self.binary.exists() {
            bail!(
                "no server at {}: build it with `cargo build --release`, or name it with --server",
                self.binary.display()
            );
        }
        let mut command = Command::new(&self.binary);
        command.args(["--addr", "127.0.0.1:0", "--limits", "off", "--data"]).arg(folder.join("data"));
        for (name, _) in std::env::vars_os() {
            if ["ADDR", "PORT", "REDIS_URL"].map(OsStr::new).contains(&&*name)
                || name.to_string_lossy().starts_with("CHINWAG_")
            {
                command.env_remove(name);
            }
        }
        if let Some(redis) = redis {
            command.env("REDIS_URL", format!("redis://{redis}"));
        }
        command.stdout(Stdio::piped());
        launch(command, folder, true, |child, begun| {
            let (stdout, address) = first_line(child)?;
            wait(begun, "/health did not answer 200", || healthy(address))?;
            Ok((Some(stdout), address))
        })
    }

    /// A server that is not Chinwag: the command, for an address where nobody listens yet and a folder of its own, in
    /// which its configuration may lie and it runs.
    pub fn listener(&self, command: impl FnOnce(&Path, SocketAddr) -> Result<Command>) -> Result<Server> {
        let (folder, address) = (self.folder()?, free_address()?);
        let mut command = command(folder.path(), address)?;
        command.stdout(Stdio::null());
        let server = launch(command, folder.path(), false, |child, begun| {
            let mut ended = None;
            wait(begun, "it does not listen", || {
                ended = child.try_wait().ok().flatten();
                ended.is_some() || TcpStream::connect(address).is_ok()
            })?;
            ended.map_or(Ok((None, address)), |status| bail!("it ended at once with {status}"))
        })?;
        Ok(server.with_folder(folder))
    }
}

/// For a server that cannot choose by itself.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

type Greeting = (Option<BufReader<ChildStdout>>, SocketAddr);

fn launch(
    mut command: Command,
    folder: &Path,
    strict: bool,
    greet: impl FnOnce(&mut Child, Instant) -> Result<Greeting>,
) -> Result<Server> {
    let log = folder.join("stderr");
    command.current_dir(folder).stdin(Stdio::null()).stderr(File::create(&log)?);
    let program = command.get_program().to_owned();
    let begun = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut server =
        Server { child, strict, ended: false, log, stdout: None, address, started_in: Duration::ZERO, folder: None };
    (server.stdout, server.address) =
        greet(&mut server.child, begun).with_context(|| format!("{} did not start", program.display()))?;
    server.started_in = begun.elapsed();
    Ok(server)
}

fn wait(begun: Instant, complaint: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
    while !ready() {
        if begun.elapsed() > PATIENCE {
            bail!("{complaint} within {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn first_line(child: &mut Child) -> Result<(BufReader<ChildStdout>, SocketAddr)> {
    let mut stdout = BufReader::new(child.stdout.take().context("its standard output is not ours")?);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let address = address(&line).with_context(|| format!("no http://127.0.0.1:PORT in its first line: {line:?}"))?;
    Ok((stdout, address))
}

fn address(line: &str) -> Option<SocketAddr> {
    let (_, address) = line.split_once("http://")?;
    let end = address.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(address.len());
    address[..end].trim_end_matches(['.', ':']).parse().ok()
}

fn healthy(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        write!(socket, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        socket.read_exact(&mut status)?;
        Ok(status == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

impl Server {
    /// Leaves the folder to the server, to be removed after it.
    #[must_use]
    pub fn with_folder(mut self, folder: TempDir) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Resident memory in bytes, of its children too.
    pub fn resident(&self) -> Result<u64> {
        watch::resident(self.child.id())
    }

    /// Processor time used so far, by its children too.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.child.id())
    }

    /// The most that was resident since the start, or since [`Server::forget_peak`], in bytes.
    pub fn peak_resident(&self) -> Result<u64> {
        watch::peak_resident(self.child.id())
    }

    pub fn forget_peak(&self) -> Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").context("cannot reset the server's peak")
    }

    /// SIGKILL, at once.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("cannot kill the server")?;
        self.child.wait()?;
        self.ended = true;
        Ok(())
    }

    /// SIGTERM; it must end. Chinwag must drain and exit with success.
    pub fn stop(mut self) -> Result<()> {
        if self.strict {
            signal(self.child.id(), Signal::TERM).context("cannot stop the server")?;
        } else {
            // A shell that waits for the real server would not pass the signal on.
            for process in watch::family(self.child.id()) {
                let _ = signal(process, Signal::TERM);
            }
        }
        let since = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() || !self.strict => {
                    self.ended = true;
                    return Ok(());
                }
                Some(status) => bail!("the server ended with {status} after SIGTERM"),
                None if since.elapsed() > PATIENCE => bail!("the server did not end after SIGTERM"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        for process in watch::family(self.child.id()) {
            let _ = signal(process, Signal::KILL);
        }
        let _ = self.child.wait();
        // The scenario has failed, and here may stand why.
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        eprintln!("the server said:\n{}", said.trim_end());
    }
}

fn signal(process: u32, signal: Signal) -> Result<()> {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw).context("a process number of 0")?;
    Ok(kill_process(process, signal)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_a_sentence() {
        let address = |line| address(line).map(|address| address.to_string());
        assert_eq!(address("open http://127.0.0.1:8080 in a browser").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(address("open http://127.0.0.1:8080/.").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(address("Chinwag is at http://127.0.0.1:41234.\n").as_deref(), Some("127.0.0.1:41234"));
        assert_eq!(address("nothing here"), None);
    }
}
